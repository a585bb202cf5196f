"""``suggest_input``: from what there is in a data set to an input that runs as it is, each choice with its reason.

The choices that the literature leaves open were compared by cross-validation on four data sets
(``benchmarks/init_rules.py``): liquid C/N, Si/C (crystals, amorphous Si, dimers), bcc Mo, fluid H.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..dataset.holding_out import hold_out
from ..errors import InputError
from ..frames.frame_sequence import sequence_of
from ..model.priors import PROBES
from .distances import REACH
from .fit_estimates import FitEstimates
from .known_blocks import contact_notes, known_blocks
from .mean_losses import mean_loss_notes
from .suggested import HoldOut, SuggestedInput
from .suggesting_basis import BlockChoice, basis_table, choose_blocks, choose_cutoffs, choose_pairs
from .suggesting_search import choose_search
from .surveying import Survey, survey

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ..frames.element_set import ElementSet
    from ..frames.frame import Frame
    from ..frames.frame_facts import FrameFacts
    from ..frames.frame_sequence import FrameSequence
    from ..library.labels import Label

ALPHA: Final = 0.1
ALPHA_ALONE: Final = 0.01
DECAY: Final = 0.1
"""Ridge strength, with forces in kcal/mol/Å of weight 1, of coefficients whose powers are 0, where blocks lean on
others or where none does, and how fast the standard deviation of a coefficient falls with the sum of its powers,
exp(−DECAY p). Beside a ridge of 1e-3 without decay errors of forces are 11 % smaller for H and 3 % larger for Mo,
those of stresses 15 % larger. Of a model of Mo, Nb, Ta, W a decay of 0.1 leaves no row of the check that fails;
without, nine triplets with Ta fall into holes; with 0.2 mixtures of its four elements are 0.20 eV/atom from linear
mixing, with 0.1 0.12, and errors of forces on test sets of alloys up to 1.2 times as large. C/N can't tell 0.1 from
0.2: 1.187 and 1.192 eV/Å on frames held out, 130 and 128 meV/atom."""

EVERY: Final = 10
"""One frame in so many is held out where whole groups cannot be."""

LEAST_GROUPS: Final = 5
"""Groups that an element set needs before whole ones are held out, one in five."""


# long: its parameters are documented
def suggest_input(
    frames: Sequence[Frame],
    data: Iterable[Mapping[str, Any]] = (),
    *,
    found: Survey | None = None,
    notes: Iterable[str] = (),
    library: str | Path | None = None,
    theory: Label | None = None,
    energy_reference: Label | None = None,
) -> SuggestedInput:
    """Choose basis, blocks, frames held out, weights and regulariser for a data set.

    Parameters
    ----------
    frames : sequence of Frame
        All of them, a list or a :class:`~hiertl_dist.Dataset`; those held out count for closest contacts.
    data : iterable of Mapping, optional
        The ``[[data]]`` tables that read them.
    found : Survey, optional
        What :func:`~hiertl_dist.survey` found in them, if that is known.
    notes : iterable of str, optional
        What was guessed before, handed on.
    library : str or Path, optional
        Folder of a library whose blocks are taken as they are: cutoffs, λ, orders and wall are theirs for what it has,
        and its other blocks are fitted upon them. Pairs that it lacks are chosen by the rules, with its outer cutoffs.
    theory, energy_reference : str or Mapping, optional
        What is stated of the data, with a library; default: what it states itself, and a note says so.

    Returns
    -------
    SuggestedInput
        The choices with their reasons, as a table, as TOML and as text.

    Raises
    ------
    InputError
        No frame has a label, or no two atoms are near one another in any frame; the library has nothing of these
        elements or all of it; statements without a library.
    MismatchError
        Blocks in use of the library don't go with one another, or with what is stated; both values are named.
    FrameError
        A cell without volume, naming the frame.

    Examples
    --------
    >>> frames = read_frames("*.extxyz")
    >>> suggested = suggest_input(frames, [{"path": "*.extxyz"}])
    >>> Path("input.toml").write_text(suggested.toml(), encoding="utf-8")
    """
    sequence = sequence_of(frames)
    has_label = sequence.facts.n_rows > 0
    if not has_label.any():
        raise InputError(f"none of the {len(frames)} frames has an energy, forces or a stress: there is nothing to fit")
    labelled = _with_labels(sequence)
    known = survey(sequence) if found is None else found
    isolated = np.isin(np.flatnonzero(has_label), known.isolated_frames)
    held_out = choose_hold_out(labelled.facts, isolated)
    if library is None and (theory is not None or energy_reference is not None):
        raise InputError("theory and energy_reference are statements for a library: name one (--library)")
    blocks_there = None
    if library is not None:
        blocks_there = known_blocks(library, known.elements, theory=theory, energy_reference=energy_reference)
    pairs, wall = choose_pairs(known.pairs, blocks_there)
    cutoffs = choose_cutoffs(known.pairs, blocks_there)
    share = held_out.frames / len(labelled)
    used = sequence_of(hold_out(sequence, **held_out.table)[0])
    estimates = FitEstimates(_with_labels(used), PROBES)
    blocks, cpu, together = choose_blocks(
        labelled, known.telling, known.elements, pairs, cutoffs, share, estimates, blocks_there
    )  # fmt: skip
    own_orders = {} if together else {name: orders for b in blocks for name, orders in b.orders.items()}
    basis = basis_table(known.elements, pairs, cutoffs, max(b.level for b in blocks), own_orders, blocks_there)
    leaning = len(known.elements) > 1 and not together
    fit: dict[str, Any] = {
        "regulariser": {"kind": "ridge", "alpha": ALPHA if leaning else ALPHA_ALONE}, "weights": "auto",
        "penalty": {"scale": wall.scale, "distance": wall.distance},
    }  # fmt: skip
    fit["prior"] = {
        **({"mean": "auto", "probes": PROBES} if leaning else {"mean": "zero"}),
        "decay": "exponential", "strength": DECAY,
    }  # fmt: skip
    if any(b.needs_only for b in blocks):
        fit["only"] = [b.name for b in blocks]
    if tables := {b.name: _block_table(b) for b in blocks if b.free and not together}:
        fit["blocks"] = tables
    table = {
        "basis": basis, "data": [dict(d) for d in data],
        "hold_out": dict(held_out.table), "fit": fit, "output": {"folder": "results", "units": "eV"},
        "library": {} if blocks_there is None else blocks_there.table,
    }  # fmt: skip
    table = {key: value for key, value in table.items() if value}
    frozen = () if blocks_there is None else tuple(blocks_there.blocks.values())
    search = choose_search(table, used, blocks, together, frozen)
    if search.table:
        table["search"] = search.table
    warnings = _warnings(known, cutoffs.two_body, together)
    if blocks_there is not None:
        warnings += [*blocks_there.notes, *contact_notes(blocks_there, known)]
    warnings += mean_loss_notes(table, known, blocks_there)
    return SuggestedInput(
        table, known, pairs, blocks, held_out, together, tuple(notes), tuple(warnings), search, cpu, estimates.looked_at
    )


def _with_labels(frames: FrameSequence) -> FrameSequence:
    has_label = frames.facts.n_rows > 0
    return frames if has_label.all() else frames.take(np.flatnonzero(has_label))


def _block_table(block: BlockChoice) -> dict[str, Any]:
    return {"partial": list(block.free)} | ({"include_fewer": True} if block.include_fewer else {})


def _warnings(known: Survey, cutoff: float, together: bool) -> list[str]:
    warnings = []
    if thin := known.thinner(2.0 * cutoff):
        warnings.append(
            f"{thin} cells are thinner than twice the two-body cutoff of {cutoff} Å, so atoms meet several images of "
            "one another; that is exact, but such frames say little of what lies beyond the cell"
        )
    if known.undetermined:
        warnings.append(
            f"the compositions do not tell the energies of single atoms of {', '.join(known.undetermined)} apart: "
            "energies of other compositions than these would be wrong by a constant for each element"
        )
    for kind, of in (("energy", "energies"), ("force", "forces"), ("stress", "stresses")):
        if known.label(kind) is None:
            warnings.append(f"no frame has {of}: the model will not be fitted to any")
    met = [p for p in known.pairs if p.shortest is not None]
    if apart := [p.name for p in known.pairs if p.shortest is None]:
        warnings.append(
            f"no two atoms of {', '.join(apart)} come within {REACH} Å of one another in any frame: rmin and λ are "
            f"means of those of {', '.join(p.name for p in met)}, and the model will know nothing of these pairs"
        )
    if together:
        warnings.append(
            "some frames have more elements than a block can have, which are four: all blocks are fitted at once, by "
            "hiertl-dist fit --all-at-once"
        )
    return warnings


def choose_hold_out(facts: FrameFacts, isolated: NDArray[np.bool_]) -> HoldOut:
    """What to hold out: whole groups where each element set has several, else single frames; nothing of very few.

    Frames of one trajectory are nearly the same frame, so that errors of single frames held out are too good; whole
    groups are a test. But a group that is the only one of its kind (surfaces, dimers) tells nothing of the others.

    Parameters
    ----------
    facts : FrameFacts
        Of the frames with labels.
    isolated : ndarray of bool, shape (n,)
        Which of them are an isolated atom.

    Returns
    -------
    HoldOut
        The choice, and why.
    """
    total = len(facts)
    # isolated atoms are in no trajectory
    by_set = _sizes_of_groups(facts if isolated.all() else facts.take(np.flatnonzero(~isolated)))
    shared = [g for g in facts.groups() if sum(g in sizes for sizes in by_set.values()) > 1]
    if total < EVERY:
        return HoldOut({}, 0, f"{total} frames are too few to hold one out: the errors are those of the fit")
    if not shared and all(len(sizes) >= LEAST_GROUPS and max(sizes.values()) <= sum(sizes.values()) / 4
                          for sizes in by_set.values()):  # fmt: skip
        chosen = [g for sizes in by_set.values() for g in _spread_groups(sizes)]
        held_out = sum(sizes[g] for sizes in by_set.values() for g in chosen if g in sizes)
        reason = (
            f"{len(chosen)} of {sum(map(len, by_set.values()))} groups, {held_out} of {total} frames: every "
            "fifth group of each element set, from the third"
        )
        return HoldOut({"groups": [glob.escape(g) for g in chosen]}, held_out, reason)
    groups: dict[str, int] = {}
    for sizes in by_set.values():
        for group, count in sizes.items():
            groups[group] = groups.get(group, 0) + count
    optimistic = "errors of single frames are too good where frames follow one another in a trajectory"
    if all(count >= EVERY for count in groups.values()):
        held_out = sum(count // EVERY for count in groups.values())
        reason = f"one frame in {EVERY} of each group, {held_out} of {total}; {optimistic}"
        return HoldOut({"every": EVERY}, held_out, reason)
    held_out = max(1, round(total / EVERY))
    reason = f"a tenth of the frames, about {held_out} of {total}, of each group alike; {optimistic}"
    return HoldOut({"fraction": 1.0 / EVERY}, held_out, reason)


def _sizes_of_groups(facts: FrameFacts) -> dict[ElementSet, dict[str, int]]:
    """Number of frames by element set and group, each in order of first appearance."""
    codes = facts.sets.astype(np.int64) * len(facts.group_names) + facts.group
    present, first, numbers = np.unique(codes, return_index=True, return_counts=True)
    by_set: dict[ElementSet, dict[str, int]] = {}
    for k in np.argsort(first).tolist():
        elements, group = divmod(int(present[k]), len(facts.group_names))
        by_set.setdefault(facts.set_names[elements], {})[facts.group_names[group]] = int(numbers[k])
    return by_set


def _spread_groups(sizes: Mapping[str, int]) -> list[str]:
    """Every fifth group in order of appearance, from the third."""
    return list(sizes)[2::LEAST_GROUPS]
