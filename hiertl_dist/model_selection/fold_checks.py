"""What the folds of a search leave out, looked at as soon as they are settled, and before any row is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..dataset.systems import COMPOSITION, systems_in_folds
from ..text.display import listed
from ..text.problems import Problems
from ..text.words import count_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..dataset.folds import Folds
    from ..frames.frame_sequence import FrameSequence
    from .search_parts import Part, Tell

Contents = tuple["Mapping[str, int]", ...]
"""Of each fold, how many frames of each system it has."""

SHOWN = 8
"""Systems of a fold that are told."""


def look_at_folds(
    parts: Sequence[Part], folds: Folds, frames: FrameSequence, of_frames: NDArray[np.int32], tell: Tell
) -> Contents:
    """Look whether each stage can be cross-validated, and tell what is left out together.

    Parameters
    ----------
    parts : sequence of Part
        The stages.
    folds : Folds
        How frames are divided.
    frames : FrameSequence
        All frames of the search.
    of_frames : ndarray of int32, shape (frames,)
        The fold of each.
    tell : callable taking str
        Called with the systems of each fold, where systems are kept together, and with each block that a fold's fit
        has no row of.

    Returns
    -------
    tuple of Mapping from str to int
        Of each fold, its frames by system; empty where systems are not kept together.

    Raises
    ------
    InputError
        The frames of a stage are all in one fold, or those of an element.
    """
    labels = folds.labels(frames.facts)
    contents: Contents = ()
    if folds.split == "system" and labels is not None:
        contents = tuple(systems_in_folds(labels, of_frames, folds.count))
        for line in folds_text(folds, contents).splitlines():
            tell(f"note: {line}")
        if not isinstance(folds.system, str):
            empty = sorted({name for name, _ in folds.system} - labels.present)
            if empty:
                tell(f"note: search.folds.system: the patterns of {listed(empty)} match no group of these frames")
    problems = Problems()
    for part in parts:
        own = frames.facts.of_sets(part.sets)
        present = np.unique(of_frames[own]).tolist()
        names = [] if labels is None else sorted({labels.names[c] for c in np.unique(labels.codes[own]).tolist()})
        if len(present) < 2:
            which = f" ({folds.split}s {listed(names)})" if names else ""
            problems.add(
                f"search.folds: all frames of {part.name} are in fold {listed(present)}{which}, which can't be left "
                f"out and fitted; give it frames of another {folds.split}, or another folds.count or folds.seed"
            )
            continue
        if folds.split == "system" and len(present) < folds.count:
            tell(
                f"note: {part.name}: cross-validated in {len(present)} of {folds.count} folds, for it has "
                f"{count_text(len(names), 'system')}: {listed(names, SHOWN)}"
            )
        _look_at_blocks(part, folds, frames, of_frames, own, problems, tell)
    problems.settle()
    return contents


def _look_at_blocks(
    part: Part, folds: Folds, frames: FrameSequence, of_frames: NDArray[np.int32], own: NDArray[np.bool_],
    problems: Problems, tell: Tell,
) -> None:  # fmt: skip
    """Blocks that no frame of a training set has all elements of: refused of an element, else told."""
    facts = frames.facts
    for fold in np.unique(of_frames[own]).tolist():
        sets = facts.element_sets(own & (of_frames != fold))
        gone = [b for b in part.blocks if not any(b.is_subset(s) for s in sets)]
        elements, blocks = [b for b in gone if len(b.elements) == 1], [b for b in gone if len(b.elements) > 1]
        if elements:
            problems.add(
                f"search.folds: {part.name}: fold {fold} has all frames with {', '.join(elements)}, and without them "
                "nothing is known of its energies or forces; more folds "
                f"(folds.count, now {folds.count}) leave out less at once, so do other systems or another folds.seed"
            )
        if blocks:
            tell(
                f"note: {part.name}: without fold {fold} no frame has all elements of {', '.join(blocks)}: in that fit "
                "the coefficients are what the regulariser alone makes of them"
            )


def folds_text(folds: Folds, contents: Contents, most: int = SHOWN) -> str:
    """The systems of each fold with their numbers of frames, for people.

    Parameters
    ----------
    folds : Folds
        How frames are divided.
    contents : tuple of Mapping from str to int
        As of :func:`look_at_folds`.
    most : int, optional
        Systems of a fold that are named.

    Returns
    -------
    str
        A line for each fold, one before them.
    """
    rule = folds.system if isinstance(folds.system, str) else "patterns of groups"
    rule += ", of a single element by group" if folds.system == COMPOSITION else ""
    lines = [f"folds by system ({rule}):"]
    for fold, own in enumerate(contents):
        largest = sorted(own, key=lambda name: (-own[name], name))
        lines.append(
            f"  fold {fold}: {count_text(len(own), 'system')}, {count_text(sum(own.values()), 'frame')}: "
            f"{listed([f'{name} {own[name]}' for name in largest], most)}"
        )
    return "\n".join(lines)
