"""Frames that one process reads, a batch for each part: made in Python, read by ASE, or of no plain structure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from ..frames.frame import Frame, frames_digest
from ..frames.frame_table import table_of
from ..io.reading import frames_of_file, odd_frames
from ..io.runs import refuse_changed
from ..io.trajectories import iter_frames
from .parts import MOST_ATOMS, MOST_FRAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..frames.frame_table import FrameTable
    from ..io.label_keys import LabelKeys
    from ..io.runs import Run
    from .sources import File, Source

Batch = tuple[dict[str, Any], dict[str, Any], "FrameTable"]
"""What tells frames from those of another import, what was met when they were read, and the frames."""


def odd_batches(file: File, run: Run) -> Iterator[Batch]:
    """The frames of a file from where it has no plain structure."""
    keys = file.reading.keys()
    refuse_changed(file)
    frames = odd_frames(run, file.reading.file(file.path, keys), file.reading)
    yield from _numbered({**file.source, "first_byte": run.first}, frames, keys)
    refuse_changed(file)


def ase_batches(file: File) -> Iterator[Batch]:
    """The frames of a file that ASE reads."""
    keys = file.reading.keys()
    yield from _numbered(file.source, frames_of_file(file.path, file.reading, keys, small=False), keys)
    refuse_changed(file)


def trajectory_batches(file: File, notes: list[str]) -> Iterator[Batch]:
    """The frames of a file that an ``fm_setup.in`` names; a note where it has more than those."""
    assert file.trajectory is not None
    assert file.labels is not None
    numbered = enumerate(file.trajectory.read(notes), file.trajectory.first)
    frames = (file.labels.of_frame(frame, number) for number, frame in numbered)
    yield from _numbered(file.source, frames, file.reading.keys())
    refuse_changed(file)


def _numbered(source: dict[str, Any], frames: Iterable[Frame], keys: LabelKeys) -> Iterator[Batch]:
    for number, some in enumerate(_runs(frames)):
        met = {"seen": sorted(keys.seen), "offered": sorted(keys.offered)}
        yield {**source, "part": number}, met, table_of(some)


def source_batches(source: Source) -> Iterator[Batch]:
    """Frames that are given, or those between ``start`` and ``stop`` of files."""
    if source.frames is None:
        for number, some in enumerate(_runs(iter_frames(**source.options))):
            yield {**source.as_dict(), "part": number}, {}, table_of(some)
        for file in source.files:
            refuse_changed(file)
        return
    for some in _runs(source.frames):
        told = hashlib.sha256("\0".join(f"{f.origin}\0{f.labels!r}" for f in some).encode()).hexdigest()
        yield {"frames": frames_digest(some), "told": told}, {}, table_of(some)


def _runs(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    """Frames for a part each."""
    run: list[Frame] = []
    atoms = 0
    for frame in frames:
        if run and (len(run) == MOST_FRAMES or atoms + len(frame) > MOST_ATOMS):
            yield run
            run, atoms = [], 0
        run.append(frame)
        atoms += len(frame)
    if run:
        yield run
