"""What is said of the frames of a pass over the rows, in fits and in summaries alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..errors import StoreError
from ..frames.frame_sequence import hex_of
from ..text.words import count_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..evaluation.frame_rows import InnerPair
    from ..frames.frame_sequence import FrameSequence
    from .summary_batches import Batch

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


def strangers_notes(frames: FrameSequence, batches: Sequence[Batch], store: str | Path | None) -> tuple[str, ...]:
    """What is said of frames that a store has and that were not given: they are part of what is returned.

    Raises StoreError where they are given frames with other labels, which would be fitted twice.
    """
    records = {r.digest: r for batch in batches for r in batch.frames}
    if not records:
        return ()
    groups = (frames.facts.group_names[code] for code in frames.facts.group.tolist())
    given = dict(zip(hex_of(frames.digests), zip(groups, hex_of(frames.configurations), strict=True), strict=True))
    strange = [r for r in records.values() if r.digest not in given]
    new = {source for digest, source in given.items() if digest not in records}
    if changed := [r.origin for r in strange if (r.group, r.configuration) in new]:
        raise StoreError(
            f"{store}: {count_text(len(changed), 'frame')} would be fitted twice, for the store has them with other "
            f"labels: {named(changed)}; name another folder for the summaries of these labels"
        )
    if not strange or not given:  # who gives none wants what is there
        return ()
    return (
        f"{store}: {count_text(len(strange), 'frame')} of the summary store were not given (held out since, or from an "
        f"earlier call?) and are fitted with the others: {named([r.origin for r in strange])}",
    )
