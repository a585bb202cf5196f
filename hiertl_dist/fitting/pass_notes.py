"""What is said of the frames of a pass over the rows, in fits and in summaries alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..text.words import count_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..evaluation.frame_rows import InnerPair

NAMED: Final = 5
"""How many frames or pairs a note names."""


def inside_notes(inside: Sequence[InnerPair], policy: str) -> tuple[str, ...]:
    """Pairs of atoms inside an inner cutoff that a policy let pass; nothing where there are none."""
    pairs = named([str(pair) for pair in inside])
    return (f"{count_text(len(inside), 'pair')} inside an inner cutoff, policy {policy}: {pairs}",) if inside else ()


def left_out_notes(skipped: Sequence[str], unlabelled: Sequence[str]) -> tuple[str, ...]:
    """Frames, by their origins, that the policy left out, and that have no label."""
    return tuple(
        f"{count_text(len(origins), 'frame')} {why}: {named(origins)}"
        for why, origins in (("left out by the policy", skipped), ("without a label", unlabelled)) if origins
    )  # fmt: skip


def named(things: Sequence[str]) -> str:
    """The first of some things, and whether there are more."""
    return "; ".join(things[:NAMED]) + " …" * (len(things) > NAMED)
