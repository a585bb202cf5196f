"""``crystal_properties``: properties of one crystal, each by itself, and why one could not be computed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from ..errors import HiertlError, HiertlWarning
from ..text.heard_warnings import hearing_warnings
from ..text.words import count_text
from .crystals import (
    elastic_constants,
    elastic_moduli,
    equation_of_state,
    relaxed_crystal,
    surface_energies,
    vacancy_energies,
)
from .phonons import need_phonopy, phonons
from .report import CrystalProperties, index_text
from .settings import NEEDS_PHONOPY, PROPERTIES, PropertySettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from .phonons import Phonons

DEFAULT_LENGTH: Final = 12.0
"""Å, of a supercell of phonons with a calculator whose reach is not known."""

DISTORTED: Final = 0.02
"""Of a length, or Å of an ion: a relaxation that changes the shape of a crystal by more is told of."""

Found = TypeVar("Found")


class _Trials:
    """What is tried one after another with one calculator: what failed, and what was out of the fitted range."""

    def __init__(self, calculator: Any) -> None:
        self.calculator = calculator
        self.failed: dict[str, str] = {}
        self.out_of_range: dict[str, dict[str, int]] = {}

    def of(self, name: str, make: Callable[[], Found]) -> Found | None:
        """What comes out, or None."""
        before = self._counts()
        try:
            return make()
        except HiertlError as error:
            self.failed[name] = str(error)
            return None
        finally:
            new = {key: n - before.get(key, 0) for key, n in self._counts().items() if n > before.get(key, 0)}
            if new:
                own = self.out_of_range.setdefault(name, {})
                own |= {key: own.get(key, 0) + n for key, n in new.items()}

    def _counts(self) -> dict[str, int]:
        counts = getattr(self.calculator, "extrapolated", {})
        return {f"{pair} {side}": n for (pair, side), n in counts.items()}


def crystal_properties(
    atoms: Any, settings: PropertySettings | None = None, *, name: str | None = None
) -> CrystalProperties:
    """Relax a crystal, and compute its equation of state, elastic constants, vacancy and surface energies, phonons.

    What can't be computed is no number: the others are computed all the same, and the reason is told. Of a
    :class:`~hiertl_dist.Calculator` with ``extrapolation="record"`` it is told which properties lie outside the
    distances that the model was fitted on.

    Parameters
    ----------
    atoms : ase.Atoms
        A crystal, periodic in three directions, with any calculator of ASE that has stresses.
    settings : PropertySettings, optional
        What is computed, and in cells of what size.
    name : str, optional
        How it is called; default: its formula.

    Returns
    -------
    CrystalProperties
        With tables for people and for JSON.

    Raises
    ------
    ModuleNotFoundError
        Phonons are asked for, and phonopy is not installed.
    """
    wanted = settings or PropertySettings()
    if "phonons" in (wanted.properties or ()):
        need_phonopy()
    chosen, notes = _chosen(atoms, wanted)
    trials = _Trials(atoms.calc)
    with hearing_warnings(HiertlWarning) as heard:
        crystal = trials.of("relaxation", lambda: relaxed_crystal(atoms))
        if crystal is None:
            reason = "the crystal could not be relaxed"
            failed = trials.failed | dict.fromkeys(chosen, reason)
            found: dict[str, Any] = {}
        else:
            notes += _changes(atoms, crystal)
            found, more = _computed(crystal, chosen, wanted, trials)
            notes += more
            failed = trials.failed
        energy = float("nan") if crystal is None else float(crystal.get_potential_energy() / len(crystal))
    notes += [*dict.fromkeys(warning.text for warning in heard), *_coverage_notes(atoms.calc)]
    return CrystalProperties(
        name or atoms.get_chemical_formula(), atoms.get_chemical_formula(), crystal, energy, found.get("eos"),
        found.get("elastic"), found.get("vacancy") or {}, found.get("surface") or {}, found.get("phonons"), failed,
        trials.out_of_range, tuple(dict.fromkeys(notes)),
    )  # fmt: skip


def not_begun(name: str, reason: str, settings: PropertySettings) -> CrystalProperties:
    """What is told of a crystal that there is no cell to begin with of: nothing but why."""
    failed = {"relaxation": reason} | dict.fromkeys(settings.properties or PROPERTIES, "there is no relaxed crystal")
    return CrystalProperties(
        name, name.rpartition(":")[2], None, float("nan"), None, None, {}, {}, None, failed, {}, ()
    )


def _chosen(atoms: Any, wanted: PropertySettings) -> tuple[tuple[str, ...], list[str]]:
    """What is computed, and what nobody asked for by name is not."""
    if wanted.properties is not None:
        return tuple(p for p in PROPERTIES if p in wanted.properties), []
    left_out = {}
    if len(set(atoms.get_chemical_symbols())) > 1:
        left_out["vacancy"] = "no vacancies: in a crystal of several elements their energies hang on where atoms go to"
    if find_spec("phonopy") is None:
        left_out["phonons"] = f"no phonons: {NEEDS_PHONOPY}"
    return tuple(p for p in PROPERTIES if p not in left_out), list(left_out.values())


def _computed(
    crystal: Any, chosen: tuple[str, ...], wanted: PropertySettings, trials: _Trials
) -> tuple[dict[str, Any], list[str]]:
    """By name what came out, and notes."""
    length, notes = _phonon_length(crystal.calc, wanted, "phonons" in chosen)
    ways: dict[str, Callable[[], Any]] = {
        "eos": lambda: equation_of_state(crystal),
        "elastic": lambda: elastic_constants(crystal, wanted.strain),
        "vacancy": lambda: vacancy_energies(crystal, wanted.vacancy_length),
        "phonons": lambda: phonons(crystal, length, wanted.displacement, wanted.mesh),
    }
    found = {name: trials.of(name, ways[name]) for name in chosen if name != "surface"}
    if "surface" in chosen:
        found["surface"] = _surfaces(crystal, wanted, trials)
        if len(set(crystal.get_chemical_symbols())) > 1:
            notes.append("surfaces: of several elements; the two ends of a slab may differ, their mean is given")
    elastic, modes = found.get("elastic"), found.get("phonons")
    if elastic is not None and not elastic_moduli(elastic).softest > 0.0:
        notes.append("not stable: the elastic constants have an eigenvalue that is not above 0 (Born)")
    if modes is not None and modes.imaginary:
        notes.append(_imaginary_note(modes))
    return found, notes


def _imaginary_note(modes: Phonons) -> str:
    share = float((modes.bands.min(axis=1) < 0.0).mean())
    at = ", ".join(f"{x:.3f}" for x in modes.lowest_at)
    return (
        f"not stable: imaginary phonons, the lowest {abs(modes.lowest):.3f}i THz at q = ({at}); {100.0 * share:.0f} % "
        "of the path has some"
    )


def _surfaces(crystal: Any, wanted: PropertySettings, trials: _Trials) -> dict[tuple[int, int, int], float]:
    """eV/Å² of each surface that could be computed."""
    energies: dict[tuple[int, int, int], float] = {}
    for index in wanted.surfaces or _default_surfaces(crystal):
        made = trials.of(
            f"surface {index_text(index)}",
            lambda index=index: surface_energies(crystal, [index], wanted.thickness, wanted.vacuum),  # type: ignore[misc]
        )
        energies |= made or {}
    return energies


def _default_surfaces(crystal: Any) -> tuple[tuple[int, int, int], ...]:
    lengths, angles = crystal.cell.lengths(), crystal.cell.angles()
    is_cubic = np.ptp(lengths) < 1e-3 * lengths.mean() and np.abs(angles - 90.0).max() < 0.1
    return ((1, 0, 0), (1, 1, 0), (1, 1, 1)) if is_cubic else ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def _phonon_length(calculator: Any, wanted: PropertySettings, asked: bool) -> tuple[float, list[str]]:
    """Å of the supercell of phonons, and what is to be said of it."""
    basis = getattr(getattr(getattr(calculator, "model", None), "parameters", None), "basis", None)
    reach = None if basis is None else max(p.rmax for p in basis.pairs)
    if wanted.phonon_length is None:
        if reach is not None:
            return 2.0 * reach, []
        note = (
            f"phonons: faces of the supercell are {DEFAULT_LENGTH:g} Å apart; forces must not reach farther than half"
        )
        return DEFAULT_LENGTH, [note] if asked else []
    if asked and reach is not None and wanted.phonon_length < 2.0 * reach - 1e-9:
        return wanted.phonon_length, [
            f"phonons: faces of the supercell are {wanted.phonon_length:g} Å apart, and forces reach {reach:g} Å: what "
            f"reaches farther than half is folded back; {2.0 * reach:g} Å would do"
        ]
    return wanted.phonon_length, []


def _changes(before: Any, after: Any) -> list[str]:
    """How the relaxation has changed the crystal, where it has become another one."""
    ratio = after.cell.volume / before.cell.volume
    change = np.linalg.solve(before.cell[:], after.cell[:]) / ratio ** (1.0 / 3.0)
    stretch = float(np.abs(np.linalg.svd(change, compute_uv=False) - 1.0).max())
    moved = after.get_scaled_positions(wrap=False) - before.get_scaled_positions(wrap=False)
    moved -= moved.mean(axis=0)
    farthest = float(np.linalg.norm(moved @ after.cell[:], axis=1).max())
    notes = []
    if not 0.8 < ratio < 1.25:
        notes.append(f"the relaxation has changed the volume by a factor of {ratio:.3f}")
    if stretch > DISTORTED or farthest > DISTORTED:
        notes.append(
            f"the relaxation has changed the shape of the cell by {100.0 * stretch:.1f} % and moved ions by up to "
            f"{farthest:.3f} Å: look whether it is still the crystal that was meant"
        )
    return notes


def _coverage_notes(calculator: Any) -> list[str]:
    """What is to be said where nothing is known of distances that a model was fitted on."""
    parameters = getattr(getattr(calculator, "model", None), "parameters", None)
    if parameters is None:
        return []
    if not parameters.coverage:
        return [f"{parameters.source} does not say on which distances it was fitted: nothing can be out of range"]
    blocks = {b for b, _, _ in (key.partition(":") for key in parameters.coverage)}
    return [f"distances that were fitted are known of {count_text(len(blocks), 'block')}: {', '.join(sorted(blocks))}"]
