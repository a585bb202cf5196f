"""``Calculator``: a model as an ASE calculator, for dynamics, relaxation and whatever else ASE drives.

The one module that imports ASE at its top: nothing can subclass its calculator otherwise. ``hiertl_dist.Calculator``
imports it when it is first asked for.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

try:
    from ase.calculators import calculator as ase_calculator
except ImportError as missing:
    raise ImportError(
        f"hiertl_dist.Calculator needs ASE: pip install 'hiertl-dist[ase]' ({missing})", name="ase"
    ) from missing

from .errors import FrameError, HiertlWarning, InnerCutoffError, InputError, MismatchError, MissingTypesError
from .evaluation.energies import Model, read_parts
from .evaluation.missing_in_frames import MissingClusters, missing_text
from .evaluation.zbl import zbl_ends, zbl_repulsion
from .io.labelled_atoms import VOIGT, frame_from_ase
from .model.parameters import Parameters, merge_parameters
from .model.solution import Solution
from .model.undetermined import is_determined, undetermined_text
from .text.display import brief, cut
from .text.words import shown
from .units import EV, SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .evaluation.coverage import OutOfRange
    from .evaluation.energies import Evaluation
    from .frames.frame import Frame

Part = Model | Parameters | Solution | str | Path
"""A model, or the file that holds it: a ChIMES parameter file, or a solution file (``.npz``) of ``fit``."""

ENERGIES = ("energy", "free_energy")
EXTRAPOLATION = ("warn", "record", "refuse")


class AtomsError(FrameError, ase_calculator.CalculatorSetupError):  # type: ignore[misc]
    """The model, or the calculator's options, do not allow these atoms; a ValueError as well as one of ASE's errors."""


class Calculator(ase_calculator.Calculator):  # type: ignore[misc]
    """Energy (eV), forces (eV/Å) and stress (eV/Å³, ASE's sign and order xx yy zz yz xz xy) of a model.

    The energy is the model's own: it holds the energy offsets of the parameters (one-body terms), if they have any, and
    the wall below the inner cutoffs. Where it lacks the offset of an element, or knows offsets in combinations alone
    that the atoms' composition is not among, the first energy asked for brings a HiertlWarning. ``free_energy`` is the
    same number. Atoms that are periodic in no direction are an isolated molecule, whatever their cell; those that are
    in one or two are a wire or a slab, with images in these directions only. None of them has a volume, so that asking
    for their stress raises ASE's PropertyNotImplementedError. A calculator keeps the last result and calculates again
    when positions, cell, periodicity or elements have changed.

    Parameters
    ----------
    model : Model, Parameters, Solution, str or Path, or a Sequence of these
        A model, the path of a parameter or solution file, or a list of these, which are added up (C + N + CN). Parts
        that overlap or have different walls: :meth:`Model.merge <hiertl_dist.Model.merge>` them first.
    atoms : ase.Atoms, optional
        To which the calculator is attached, if given.
    threads : int
        Over which the atoms of a cell are shared out; default: 1.
    policy : {"damp", "lsq", "refuse"}
        For pairs inside an inner cutoff; default: ``damp`` (as chimes_calculator).
    ignore_other_elements : bool
        Leave atoms of other elements out (no energy, no force); otherwise, by default, they are refused.
    extrapolation : {"warn", "record", "refuse"}
        For distances that no block was fitted on, as far as the parameters say. By default ``warn`` once for each pair
        of elements, shorter and longer apart.
    missing : {"refuse", "zero"}
        For clusters of types of which the model has no coefficients and says nothing: refused, by default, or they
        count for nothing. Atoms that are left out by ``ignore_other_elements`` are in none of them. Types that the
        model says it is without on purpose count for nothing; the first atoms that have such clusters bring a
        HiertlWarning, unless this option is ``"zero"``.
    types : Mapping from str to str, or str, optional
        For models with types of atoms that are no chemical elements: the type of each symbol, ``{"C": "C1"}`` (others
        stand for themselves), or the name of an array of ``atoms`` that holds the type of each atom,
        ``atoms.arrays["types"]``.

    zbl : bool
        Add the screened repulsion of nuclei of Ziegler, Biersack and Littmark (docs/theory.md, section 1), for
        collisions of more energy than the wall is made for. It ends, smoothly, 0.02 Å below the closest contact that
        the model was fitted on, or where the wall begins if that is not known. A ChIMES file can't hold it:
        ``model.write`` writes the model without it, and other programs do not have it. Default: False.

    Attributes
    ----------
    model : Model
        What is evaluated, the sum of the parts.
    out_of_range : tuple of OutOfRange
        The worst pairs of atoms outside the fitted range in the last calculation, see :class:`~hiertl_dist.Evaluation`.
    extrapolated : dict from (str, str) to int
        Number of calculations since the start in which there were such pairs, by pair of elements and side: ``{("CN",
        "shorter"): 3}``.

    Raises
    ------
    ParameterFileError, MismatchError
        A file cannot be read; parts don't fit together.
    ValueError, TypeError
        An option is not one of those above.
    AtomsError
        From a calculation: other elements, atoms on top of one another, what ``refuse`` refuses. It is ASE's
        CalculatorSetupError and a ValueError.

    Examples
    --------
    >>> atoms.calc = hiertl_dist.Calculator(["C.txt", "N.txt", "CN.txt"])
    >>> atoms.get_potential_energy()  # eV
    """

    name = "hiertl_dist"
    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]
    default_parameters: ClassVar[dict[str, Any]] = {
        "threads": 1, "policy": "damp", "ignore_other_elements": False, "extrapolation": "warn", "types": None,
        "zbl": False,
        "missing": "refuse",
    }  # fmt: skip
    # the model knows neither, so a change of them changes nothing
    ignored_changes: ClassVar[set[str]] = {"initial_charges", "initial_magmoms"}
    discard_results_on_any_change = True

    def __init__(self, model: Part | Sequence[Part], *, atoms: Any = None, **options: Any) -> None:
        self.model = _model_of(model)
        self.out_of_range: tuple[OutOfRange, ...] = ()
        self.extrapolated: dict[tuple[str, str], int] = {}
        self._lacking, self._warned_lacking = "", False
        self._zeros = MissingClusters.stated([self.model.parameters])
        self.results: dict[str, Any]  # ASE makes it
        super().__init__(atoms=atoms, **options)

    def __repr__(self) -> str:
        options = {k: v for k, v in self.parameters.items() if v != self.default_parameters.get(k)}
        listed = ", ".join(f"{k}={brief(v)}" for k, v in options.items())
        return cut(f"Calculator({brief(self.model)}{', ' if listed else ''}{listed})")

    def set(self, **options: Any) -> dict[str, Any]:
        """Change options, and forget results if one of them is new.

        Parameters
        ----------
        **options : object
            Those of :class:`Calculator`, such as ``threads=4``.

        Returns
        -------
        dict from str to object
            The options that differ from what they were.

        Raises
        ------
        TypeError
            An option that there is not, or ``types`` that are neither a table nor a name.
        ValueError
            A value that an option can't have.
        """
        if unknown := sorted(options.keys() - self.default_parameters.keys()):
            raise TypeError(f"Calculator: expected options {sorted(self.default_parameters)}, found {unknown}")
        new = {**self.parameters, **options}
        if new["extrapolation"] not in EXTRAPOLATION:
            raise InputError(f"extrapolation: expected one of {EXTRAPOLATION}, found {new['extrapolation']!r}")
        if not (new["types"] is None or isinstance(new["types"], Mapping | str)):
            raise TypeError(f"types: expected a table of symbols or the name of an array, found {shown(new['types'])}")
        if not isinstance(new["zbl"], bool):
            raise TypeError(f"zbl: expected True or False, found {shown(new['zbl'])}")
        self.model.evaluate([], **_evaluate_options(new))  # which refuses what is wrong with the others
        changed: dict[str, Any] = super().set(**options)
        return changed

    def calculate(
        self,
        atoms: Any = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = ase_calculator.all_changes,
    ) -> None:
        """Calculate all properties at once, into ``results``, if anything has changed since the last time.

        Parameters
        ----------
        atoms : ase.Atoms, optional
            Default: those that the calculator has.
        properties : Sequence of str
            What ASE asks for; all are calculated whatever it says.
        system_changes : Sequence of str
            What has changed since the last calculation, in ASE's words.

        Raises
        ------
        AtomsError
            The model, or the calculator's options, do not allow these atoms.
        """
        if self.results and not system_changes:
            return  # asked for what a molecule does not have: ASE says so
        super().calculate(atoms, properties, system_changes)
        self.results, self.out_of_range = {}, ()
        origin = f"atoms {self.atoms.get_chemical_formula()}"
        try:
            frame = self._typed(frame_from_ase(self.atoms, origin=origin))
            (evaluation,) = self.model.evaluate(frame, **_evaluate_options(self.parameters))
            if self.parameters["zbl"]:
                evaluation = self._repelled(evaluation, frame)
        except (FrameError, InnerCutoffError, MissingTypesError) as error:
            raise AtomsError(str(error)) from error
        self._judge(evaluation.out_of_range, origin)
        self._tell_zeros(frame)
        self._lacking = _lacking(self.model.parameters, frame)
        energy = evaluation.energy / EV
        self.results = {"energy": energy, "free_energy": energy, "forces": evaluation.forces / EV}
        if frame.periodic:
            self.results["stress"] = -evaluation.stress[VOIGT] / EV

    def get_property(self, name: str, atoms: Any = None, allow_calculation: bool = True) -> Any:
        """A result, calculated if need be; says why there is no stress.

        Parameters
        ----------
        name : {"energy", "free_energy", "forces", "stress"}
            Which one.
        atoms : ase.Atoms, optional
            Of which atoms; default: those that the calculator has.
        allow_calculation : bool
            Whether it is calculated if it is not there.

        Returns
        -------
        float or ndarray or None
            Energy in eV, forces (atoms, 3) in eV/Å, stress (6,) in eV/Å³; None where it is not there and may not be
            calculated.

        Raises
        ------
        ase.calculators.calculator.PropertyNotImplementedError
            Another name, or the stress of atoms that have no volume.
        AtomsError
            As of :meth:`calculate`.
        """
        try:
            value = super().get_property(name, atoms, allow_calculation)
        except ase_calculator.PropertyNotImplementedError as error:
            pbc = self.atoms.pbc.tolist() if name == "stress" and self.atoms is not None else [True]
            if all(pbc):
                raise
            raise ase_calculator.PropertyNotImplementedError(
                f"stress: atoms {self.atoms.get_chemical_formula()} repeat along {sum(pbc)} directions (pbc {pbc}), so "
                "they have no volume and no stress; energy and forces are there"
            ) from error
        if name in ENERGIES and self._lacking and not self._warned_lacking:
            self._warned_lacking = True
            warnings.warn(f"{self._lacking}; said once", HiertlWarning, stacklevel=3)
        return value

    def check_state(self, atoms: Any, tol: float = 1e-15) -> list[str]:
        """What has changed since the last calculation; ASE does not look at an array of types.

        Parameters
        ----------
        atoms : ase.Atoms
            To be compared with those of the last calculation.
        tol : float
            Numbers that differ by less count as the same (ASE's tolerance).

        Returns
        -------
        list of str
            Such as ``["positions"]``; ``"types"`` where only the array of types differs.
        """
        changes: list[str] = super().check_state(atoms, tol)
        name = self.parameters.get("types")
        if isinstance(name, str) and not changes and _array(atoms, name) != _array(self.atoms, name):
            changes.append("types")
        return changes

    def _typed(self, frame: Frame) -> Frame:
        """The frame with the model's types in the place of symbols."""
        types = self.parameters["types"]
        if isinstance(types, str):
            names = _array(self.atoms, types)
            if names is None:
                raise FrameError(
                    f"{frame.origin}: expected an array {types!r} with the type of each atom (the option 'types'), "
                    f"found {sorted(self.atoms.arrays)}"
                )
            return replace(frame, species=names)
        if types is not None:
            return replace(frame, species=tuple(types.get(s, s) for s in frame.species))
        odd = sorted(set(self.model.elements) - SYMBOLS)
        if odd and not frame.elements <= set(self.model.elements) and not self.parameters["ignore_other_elements"]:
            raise FrameError(
                f"{frame.origin}: the model is of the types {', '.join(self.model.elements)}, the atoms are "
                f"{', '.join(sorted(frame.elements))}: say which is which, as in Calculator(…, types={{'C': "
                f"{odd[0]!r}}}), or name an array of atoms that holds the type of each, types='types'"
            )
        return frame

    def _repelled(self, evaluation: Evaluation, frame: Frame) -> Evaluation:
        """The same with the screened repulsion of nuclei."""
        added = zbl_repulsion(self.model, frame, self.atoms.get_atomic_numbers(), zbl_ends(self.model.parameters))
        energy, forces = evaluation.energy + added.energy, evaluation.forces + added.forces
        return replace(evaluation, energy=energy, forces=forces, stress=evaluation.stress + added.stress)

    def _tell_zeros(self, frame: Frame) -> None:
        """Warn, once, of clusters that count for nothing because the model says so."""
        if self._zeros.clusters and self.parameters["missing"] != "zero" and (met := self._zeros.met_in([frame])):
            self._zeros = replace(self._zeros, clusters=())
            text = (
                f"{self._zeros.source}: some clusters of these atoms count for nothing, for the model says that it is "
                f"without terms of them on purpose: {missing_text(met)}. Zero is not neutral; said once"
            )
            warnings.warn(text, HiertlWarning, stacklevel=2)

    def _judge(self, outside: tuple[OutOfRange, ...], origin: str) -> None:
        """Refuse, count or warn of pairs outside the fitted range."""
        self.out_of_range = outside
        if outside and self.parameters["extrapolation"] == "refuse":
            raise AtomsError(f"{origin}: {outside[0]} ({len(outside)} such pairs of elements; extrapolation 'refuse')")
        for pair in outside:
            key = (pair.pair, pair.side)
            self.extrapolated[key] = self.extrapolated.get(key, 0) + 1
            if self.extrapolated[key] == 1 and self.parameters["extrapolation"] == "warn":
                message = f"{origin}: {pair}; said once, Calculator.extrapolated goes on counting"
                warnings.warn(message, RuntimeWarning, stacklevel=2)

    def todict(self, skip_default: bool = True) -> dict[str, Any]:
        """What is written to trajectories and databases: where the model came from, its digest, and options.

        Parameters
        ----------
        skip_default : bool
            Leave out options that have their default.

        Returns
        -------
        dict from str to object
            ``source``, ``digest`` and ``elements`` of the model, and the options.
        """
        parameters = self.model.parameters
        own = {"source": parameters.source, "digest": parameters.digest, "elements": list(self.model.elements)}
        return {**own, **super().todict(skip_default)}


def _model_of(given: Part | Sequence[Part]) -> Model:
    if isinstance(given, Model):
        return given
    if isinstance(given, Parameters | Solution | str | Path):
        return Model(_parameters_of(given))
    parts = [_parameters_of(p) for p in given]
    if len(parts) == 1:
        return Model(parts[0])
    try:
        return Model(merge_parameters(parts))
    except MismatchError as error:
        raise MismatchError(f"{error} (Calculator only adds up parts; Model.merge has the options)") from error


def _parameters_of(part: Part) -> Parameters:
    if isinstance(part, str | Path):
        return read_parts(part)
    if isinstance(part, Model | Solution):
        return part.parameters
    if isinstance(part, Parameters):
        return part
    raise TypeError(f"Calculator: expected a Model, Parameters, Solution or a path, found {type(part).__name__}")


def _lacking(parameters: Parameters, frame: Frame) -> str:
    """What a model's energies of a frame lack, nothing if they are whole."""
    counts = Counter(s for s in frame.species if s in parameters.basis.elements)
    stated = {t.elements[0] for t in parameters.basis.types if t.body == 1}
    if absent := sorted(set(counts) - stated):
        named = ", ".join(absent)
        return (
            f"{parameters.source}: no energy of a free atom of {named} (energy offset): energies lack a constant for "
            f"each atom of {named}; forces and stresses don't, nor differences at the same numbers of atoms"
        )
    directions = parameters.undetermined
    return "" if is_determined(directions, counts) else f"{parameters.source}: {undetermined_text(directions)}"


def _array(atoms: Any, name: str) -> tuple[str, ...] | None:
    """The types of atoms that an array of theirs holds, if there is one of that name."""
    values = atoms.arrays.get(name)
    return None if values is None else tuple(map(str, values))


def _evaluate_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The calculator's options in the terms of :meth:`Model.evaluate`."""
    return {key: options[key] for key in ("policy", "ignore_other_elements", "threads", "missing")}
