"""``import_frames``: frames of files, or of any iterable, become a data set on disk, or are added to one.

Files of text are cut into runs of frames, and workers parse and write a run each. What is packed, has no plain
structure, or is read by ASE, is read by one process. An import that was stopped is gone on with: parts that are
complete stay. Frames belong to the data set all at once, when the last part is complete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import HiertlError, InputError, StoreError
from ..executors import TaskFailed, borrowed
from ..executors.ask import ask
from ..files.json_files import json_text
from ..files.paths import local_path
from ..frames.frame import Frame, frames_digest
from ..frames.frame_table import table_of
from ..io.label_keys import LabelKeys
from ..io.reading import frames_of_file, odd_frames, parse_run
from ..io.runs import RUN, changed, iter_run_bytes, iter_runs, refuse_changed
from ..io.trajectories import iter_frames
from .dataset_index import is_dataset
from .folder import begin, finish, hold, is_complete, let_go
from .parts import MOST_ATOMS, MOST_FRAMES, Part, following, read_ledger, write_part
from .sources import File, Source, refuse_overlaps, sorted_out

if TYPE_CHECKING:
    from ..executors.base import Executor
    from ..frames.frame_table import FrameTable
    from ..io.runs import Run
    from .dataset_index import DatasetIndex


@dataclass(frozen=True)
class _Item:
    """A part, and the run of a file that its frames are in."""

    part: Part
    run: Run
    file: File

    @property
    def label(self) -> str:
        last = self.run.frame + self.run.frames - 1
        return f"{self.run.path.name}, frames {self.run.frame} to {last}"

    @property
    def source(self) -> dict[str, Any]:
        return {**self.file.as_dict(), "first_byte": self.run.first, "last_byte": self.run.last}


def import_frames(
    path: str | Path, sources: Any, *, options: Mapping[str, Any], append: bool, executor: Executor | None
) -> int:
    """Make a data set, or add to one; see ``Dataset.create``.

    Parameters
    ----------
    path : str or Path
        The folder.
    sources : str, Path, iterable of them, iterable of mappings, or iterable of Frame
        Files and patterns; or tables as of ``[[data]]``; or frames.
    options : mapping from str to object
        Keyword arguments of ``read_frames`` for all files.
    append : bool
        Whether there may be a data set already, to which frames are added.
    executor : Executor or None
        Who parses and writes.

    Returns
    -------
    int
        How many frames were added.

    Raises
    ------
    StoreError, InputError, FrameError, OSError
        As of ``Dataset.create``.
    """
    folder = local_path(path, "data set").absolute()
    given = sorted_out(sources, options)
    asked = [source.as_dict() for source in given]
    with borrowed(executor) as runner:
        runner.require_alike([json_text(source) for source in asked], "sources")
        ask(runner, partial(hold, folder), what=f"lock {folder}")
        try:
            index: DatasetIndex
            index, done = ask(runner, partial(_open, folder, asked, append), what=f"open {folder}")
            if done:
                return 0
            parts = _write(folder, index, given, runner)
            if not parts:
                raise InputError(f"{folder}: no frames from {', '.join(source.name for source in given)}")
            ask(runner, partial(_check_keys, folder, given, parts), what=f"check {folder}")
            added = {"sources": asked, "frames": sum(p.frames for p, _ in parts)}
            ask(runner, partial(finish, folder, index, parts, added), what=f"complete {folder}")
        except TaskFailed as failed:
            if isinstance(failed.__cause__, HiertlError):  # of a file, as its reader raises it
                raise failed.__cause__ from failed
            raise
        finally:
            let_go(folder)
    return sum(p.frames for p, _ in parts)


def _open(folder: Path, asked: Sequence[Mapping[str, Any]], append: bool) -> tuple[DatasetIndex, bool]:
    """The index of the data set, and whether nothing is to be done.

    Raises StoreError where there is a data set and nothing is to be appended, InputError where a file is in it already.
    """
    index = begin(folder)
    if not is_dataset(folder):
        return index, False
    files = any("files" in source for source in asked)
    if files and any(list(asked) == list(done["sources"]) for done in index.imports):
        return index, True
    if not append:
        raise StoreError(
            f"{folder}: there is a data set of {index.frames} frames already; append=True (--append) adds to it, "
            "another folder gets a data set of its own, and without the folder this one can be made anew"
        )
    refuse_overlaps(asked, [source for done in index.imports for source in done["sources"]])
    return index, False


Written = tuple[Part, Mapping[str, Any]]
"""A part and what tells its frames from those of another import."""


def _write(folder: Path, index: DatasetIndex, given: Sequence[Source], runner: Executor) -> list[Written]:
    """Write all parts: runs of text by all workers, what can't be cut by one process, in the order of the frames."""
    plain = [file for source in given for file in source.files if source.can_be_cut and file.can_be_cut]
    cut = dict(zip(plain, runner.run(partial(_cut, size=RUN), plain, label=_name, what="look for frames"), strict=True))
    for file, runs in cut.items():
        if (runs[0].size, runs[0].mtime_ns) != (file.size, file.mtime_ns):
            raise changed(file)
    before = index.parts[-1] if index.parts else None
    parts: list[Written] = []

    def last() -> Part | None:
        return parts[-1][0] if parts else before

    def streamed(reading: Any, what: str) -> None:
        parts.extend(ask(runner, partial(_stream, folder, last(), reading), what=f"import {what}"))

    for source in given:
        if not source.can_be_cut:
            streamed(partial(_batches, source), source.name)
            continue
        for file in source.files:
            if not file.can_be_cut:
                read = _unpacked if file.reading.is_text else _whole
                streamed(partial(read, file), file.path.name)
                continue
            items = []
            for run in (run for run in cut[file] if not run.odd):
                items.append(_Item(following(last(), run.frames, run.atoms), run, file))
                parts.append((items[-1].part, items[-1].source))
            runner.run(
                partial(_import, folder=folder), items, label=_label, what=f"import {file.path.name}", cost=_cost
            )
            for run in (run for run in cut[file] if run.odd):
                streamed(partial(_odd, file, run), file.path.name)
    return parts


def _name(file: File) -> str:
    return file.path.name


def _label(item: _Item) -> str:
    return item.label


def _cost(item: _Item) -> float:
    return float(item.run.last - item.run.first)


def _cut(file: File, *, size: int) -> list[Run]:
    return list(iter_runs(file.path, size))


def _import(item: _Item, *, folder: Path) -> None:
    """Parse and write one part, unless that was done."""
    if not is_complete(folder, item.part, item.source):
        table, met = _parsed(item.run, item.file)
        write_part(folder, item.part, table, item.source, met)


def _parsed(run: Run, file: File, text: bytes | None = None) -> tuple[FrameTable, dict[str, Any]]:
    """The frames of a run, and which keys were met."""
    parsed = parse_run(run, file.reading, text)
    assert parsed.table is not None  # only an odd run may turn out blank
    return parsed.table, {"seen": sorted(parsed.seen), "offered": sorted(parsed.offered)}


Batch = tuple[dict[str, Any], dict[str, Any], "FrameTable"]
"""What tells frames from those of another import, what was met when they were read, and the frames."""


def _stream(folder: Path, before: Part | None, batches: Any) -> list[Written]:
    """Read and write frames in one process."""
    parts: list[Written] = []
    for source, met, table in batches():
        part = following(parts[-1][0] if parts else before, len(table), int(table.starts[-1]))
        if not is_complete(folder, part, source):
            write_part(folder, part, table, source, met)
        parts.append((part, source))
    return parts


def _unpacked(file: File) -> Iterator[Batch]:
    """The frames of a packed file."""
    for run, text in iter_run_bytes(file.path, RUN):
        if run.odd:
            yield from _odd(file, run)
            return
        table, met = _parsed(run, file, text)
        yield {**file.as_dict(), "first_byte": run.first, "last_byte": run.last}, met, table
    refuse_changed(file)


def _odd(file: File, run: Run) -> Iterator[Batch]:
    """The frames of a file from where it has no plain structure."""
    keys = file.reading.keys()
    refuse_changed(file)
    frames = odd_frames(run, file.reading.file(file.path, keys))
    yield from _numbered({**file.as_dict(), "first_byte": run.first}, frames, keys)
    refuse_changed(file)


def _whole(file: File) -> Iterator[Batch]:
    """The frames of a file that ASE reads."""
    keys = file.reading.keys()
    yield from _numbered(file.as_dict(), frames_of_file(file.path, file.reading, keys, small=False), keys)
    refuse_changed(file)


def _numbered(source: dict[str, Any], frames: Iterable[Frame], keys: LabelKeys) -> Iterator[Batch]:
    for number, some in enumerate(_runs(frames)):
        met = {"seen": sorted(keys.seen), "offered": sorted(keys.offered)}
        yield {**source, "part": number}, met, table_of(some)


def _batches(source: Source) -> Iterator[Batch]:
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


def _check_keys(folder: Path, given: Sequence[Source], parts: Sequence[Written]) -> None:
    """Raise FrameError where a key that was named is in no frame of a source."""
    met: dict[str, list[Mapping[str, Any]]] = {}
    for part, source_of_part in parts:
        met.setdefault(_name_of(source_of_part), []).append(read_ledger(folder, part.number)["met"])
    for source in given:
        if not source.can_be_cut:
            continue
        own = [one for file in source.files for one in met.get(_name_of(file.as_dict()), ()) if one]
        keys = LabelKeys(*source.files[0].reading.keys().given())
        keys.seen = {key for one in own for key in one["seen"]}
        keys.offered = {key for one in own for key in one["offered"]}
        keys.check_seen(", ".join(str(file.path) for file in source.files))


def _name_of(source: Mapping[str, Any]) -> str:
    """A file and how it is read, as a text."""
    return json_text([source.get("file"), source.get("reading")])
