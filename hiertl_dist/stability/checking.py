"""``check_model``: whether a model can be used beyond the frames that it was fitted on (docs/theory.md, section 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InputError
from ..units import SYMBOLS
from .check_rows import CheckRow, CheckSettings, ModelCheck, unchecked
from .dynamics import run_rows, time_step
from .lattices import (
    SITES,
    arranged,
    common_lattice,
    equation_row,
    ideal_cell,
    mixed_volume,
    mixing_rows,
    relaxed_lattices,
)
from .perturbed import deviation_row
from .pushed_pairs import pushed_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..evaluation.energies import Model
    from ..uncertainty.predictive import ModelPosterior
    from ..uncertainty.whole_model import HierarchyPosterior
    from .lattices import Lattice


# long: its parameters are documented
def check_model(
    model: Model,
    *,
    elements: Iterable[str] | None = None,
    posterior: ModelPosterior | HierarchyPosterior | None = None,
    settings: CheckSettings | None = None,
    without: str = "",
) -> ModelCheck:
    """Whether a model can be used: without labels, by what any model of matter has to do.

    On ideal lattices, whose lattice constants are the model's own: equations of state of the elements with one minimum;
    energies of all sets of two to four elements near linear mixing, at the volume of Vegard's rule; the energy that
    pairs and triplets need to get past one another; runs of constant energy of a cell of all elements, by ASE; forces
    of perturbed cells beside their predicted σ. The same seed gives the same numbers.

    Parameters
    ----------
    model : Model
        The whole model: a sum of blocks by :meth:`Model.merge <hiertl_dist.Model.merge>`.
    elements : Iterable of str, optional
        Those to be checked; default: all of the model.
    posterior : ModelPosterior or HierarchyPosterior, optional
        The fit of this model with its covariance, for σ; from files by :func:`~hiertl_dist.read_posterior`.
    settings : CheckSettings, optional
        Lattice, limits, temperatures and lengths; default: those of :class:`~hiertl_dist.CheckSettings`.
    without : str, optional
        Why there is no posterior, for the row of σ.

    Returns
    -------
    ModelCheck
        A row for each check: value, limit, and whether it passes, fails, or was not checked and why.

    Raises
    ------
    InputError
        Elements that the model does not have, or that are no chemical elements.
    MismatchError
        The posterior is one of another model.
    ImportError
        ASE is not installed.

    Examples
    --------
    >>> check = check_model(Model.read("MoNbTaW.params.txt"))
    >>> check.passed, check.failures
    """
    from ..calculator import Calculator  # noqa: F401  says what to install where ASE is not

    wanted, chosen = settings or CheckSettings(), _elements(model, elements)
    by_element = {e: relaxed_lattices(model, e) for e in chosen}
    rows = [_equation(model, e, by_element[e], wanted.lattice) for e in chosen]
    notes = [_lattice_note(e, lattices) for e, lattices in by_element.items()]
    name = common_lattice(by_element, wanted.lattice)
    label = "-".join(chosen)
    if name is None:
        which = "no ideal lattice" if wanted.lattice == "auto" else f"the {wanted.lattice} lattice"
        unbound = [e for e, lattices in by_element.items() if wanted.lattice not in lattices]
        reason = f"{which} has a minimum of the energy for all elements" + (
            "" if wanted.lattice == "auto" else f" (none for {', '.join(unbound)})"
        )
        rows += [CheckRow("lattice", label, float("nan"), "Å³/atom", "a minimum", "fail", reason)]
        rows += [unchecked(what, label, reason) for what in ("mixing", "pushed together", "dynamics", "σ of forces")]
        return ModelCheck(model.parameters.source, tuple(rows), wanted, tuple(notes))
    lattices = {e: by_element[e][name] for e in chosen}
    rows += mixing_rows(model, name, lattices, wanted)
    pushed, said = pushed_rows(model, name, lattices, wanted)
    rows, notes = [*rows, *pushed], [*notes, *said]
    species = arranged(chosen, SITES[name], 1, wanted.seed)
    cell = ideal_cell(name, species, mixed_volume(species, lattices))
    rows += [row for t in wanted.temperatures for row in run_rows(model, cell.copy(), t, wanted)]
    rows.append(deviation_row(model, posterior, name, chosen, lattices, wanted, without))
    notes.append(
        f"mixtures, pairs and dynamics: {name}, cells of {SITES[name]} atoms at the volume of Vegard's rule; time "
        f"step {time_step(cell, wanted):g} fs; seed {wanted.seed}"
    )
    return ModelCheck(model.parameters.source, tuple(rows), wanted, tuple(notes))


def _elements(model: Model, elements: Iterable[str] | None) -> list[str]:
    chosen = sorted(set(model.elements if elements is None else elements))
    if not chosen:
        raise InputError(f"elements: expected some of {', '.join(model.elements)}, found none")
    if others := [e for e in chosen if e not in model.elements]:
        raise InputError(f"elements: the model has {', '.join(model.elements)}, found {', '.join(others)}")
    if odd := [e for e in chosen if e not in SYMBOLS]:
        raise InputError(
            f"elements: {', '.join(odd)} are types of atoms and no chemical elements, so that no lattice and no mass "
            "is known; name the elements to be checked"
        )
    return chosen


def _equation(model: Model, element: str, lattices: Mapping[str, Lattice], wanted: str) -> CheckRow:
    """The equation of state of the lattice wanted, else of the lowest one."""
    known: Sequence[Lattice] = [x for x in lattices.values() if wanted in ("auto", x.name)]
    if not known:
        which = "no ideal lattice" if wanted == "auto" else f"the {wanted} lattice"
        reason = f"{which} has a minimum of the energy within the distances that the model knows"
        return CheckRow("equation of state", element, float("nan"), "GPa", "above 0, one minimum", "fail", reason)
    return equation_row(model, element, min(known, key=lambda x: x.energy))


def _lattice_note(element: str, lattices: Mapping[str, Lattice]) -> str:
    """The lattices of an element, the lowest first."""
    ordered = sorted(lattices.values(), key=lambda x: x.energy)
    if not ordered:
        return f"{element}: no ideal lattice has a minimum of the energy"
    least = ordered[0]
    others = "".join(f", {x.name} {x.energy - least.energy:+.3f}" for x in ordered[1:])
    thin = "".join(f"; {x.name} has a lower minimum at {x.lower:.2f} Å" for x in ordered if x.lower is not None)
    return (
        f"{element}: {least.name} is lowest, {least.volume:.2f} Å³/atom, nearest neighbours at {least.nearest:.3f} Å"
        f"{others and '; eV/atom above it' + others}{thin}"
    )
