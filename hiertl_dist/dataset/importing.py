"""``import_frames``: frames of files, or of any iterable, become a data set on disk, or are added to one.

Files of text are cut into runs of frames, and workers parse and write a run each. What is packed, and what ASE reads,
is read by one process. An import that was stopped is gone on with: parts that are complete stay. Frames belong to the
data set all at once, when the last part is complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, StoreError
from ..executors import borrowed
from ..executors.ask import ask
from ..files.paths import local_path
from ..frames.frame import Frame, frames_digest
from ..frames.frame_table import table_of
from ..io.text_files import find_files
from ..io.trajectories import iter_frames
from .dataset_index import is_dataset
from .folder import begin, finish, hold, is_complete, let_go
from .parts import MOST_ATOMS, MOST_FRAMES, Part, following, write_part

if TYPE_CHECKING:
    from ..executors.base import Executor
    from .dataset_index import DatasetIndex

Reading = Mapping[str, Any]
"""Keyword arguments of :func:`~hiertl_dist.read_frames`, ``path`` among them."""


@dataclass(frozen=True)
class _File:
    """A file, what named it and how it is read."""

    path: Path
    size: int
    mtime_ns: int
    reading: Reading

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        options = {k: v for k, v in self.reading.items() if k != "path" and v is not None}
        return {"file": str(self.path), "size": self.size, "mtime_ns": self.mtime_ns, "options": options}


def import_frames(
    path: str | Path, sources: Any, *, options: Reading, append: bool, executor: Executor | None
) -> DatasetIndex:
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
    DatasetIndex
        What the data set has now.

    Raises
    ------
    StoreError, InputError, FrameError, OSError
        As of ``Dataset.create``.
    """
    folder = local_path(path, "data set").absolute()
    readings, frames = _sorted_out(sources, options)
    files = [file for reading in readings for file in _files(reading)]
    with borrowed(executor) as runner:
        ask(runner, partial(hold, folder), what=f"lock {folder}")
        try:
            opening = partial(_open, folder, [f.as_dict() for f in files], append)
            index: DatasetIndex
            index, done = ask(runner, opening, what=f"open {folder}")
            if done:
                return index
            task = partial(_stream, folder, index, readings, frames)
            parts = ask(runner, task, what=f"import into {folder}")
            added = {"files": [f.as_dict() for f in files], "frames": sum(p.frames for p in parts)}
            index = ask(runner, partial(finish, folder, index, parts, added), what=f"complete {folder}")
        finally:
            let_go(folder)
    return index


def _sorted_out(sources: Any, options: Reading) -> tuple[list[Reading], Iterable[Frame]]:
    """What is read from files, and frames that are given as they are."""
    if isinstance(sources, str | Path):
        return [{**options, "path": sources}], ()
    if isinstance(sources, Mapping):
        return [{**options, **sources}], ()
    listed = iter(sources)
    first = next(listed, None)
    if first is None:
        raise InputError("import: expected files, tables as of [[data]], or frames; found an empty sequence")
    if isinstance(first, Frame):
        if named := sorted(k for k, v in options.items() if v is not None):
            raise InputError(f"import: {', '.join(named)} say how files are read, but frames are given")
        return [], _chained(first, listed)
    rest = list(listed)
    if isinstance(first, Mapping):
        return [{**options, **table} for table in (first, *rest)], ()
    return [{**options, "path": [first, *rest]}], ()


def _chained(first: Frame, rest: Iterator[Any]) -> Iterator[Frame]:
    yield first
    for number, frame in enumerate(rest, 2):
        if not isinstance(frame, Frame):
            raise InputError(f"import: expected a Frame as number {number}, found {type(frame).__name__}")
        yield frame


def _files(reading: Reading) -> list[_File]:
    files = []
    for file, _ in find_files(reading["path"]):
        status = file.stat()
        files.append(_File(file.absolute(), status.st_size, status.st_mtime_ns, reading))
    return files


def _open(folder: Path, files: Sequence[Mapping[str, Any]], append: bool) -> tuple[DatasetIndex, bool]:
    """The index of the data set, and whether nothing is to be done.

    Raises StoreError where there is a data set and nothing is to be appended, InputError where a file is in it already.
    """
    index = begin(folder)
    if not is_dataset(folder):
        return index, False
    if files and any(list(files) == list(done["files"]) for done in index.imports):
        return index, True
    if not append:
        raise StoreError(
            f"{folder}: there is a data set of {index.frames} frames already; append=True (--append) adds to it, and "
            "another folder gets a data set of its own"
        )
    known = {file["file"]: number for number, done in enumerate(index.imports, 1) for file in done["files"]}
    for file in files:
        if file["file"] in known:
            raise InputError(
                f"{file['file']}: it is in {folder} already, by import {known[file['file']]} of {len(index.imports)}; "
                "its frames would count twice"
            )
    return index, False


def _stream(folder: Path, index: DatasetIndex, readings: Sequence[Reading], frames: Iterable[Frame]) -> list[Part]:
    """Read and write all frames in one process."""
    parts: list[Part] = []
    before = index.parts[-1] if index.parts else None
    for source, run in _batches(readings, frames):
        part = following(parts[-1] if parts else before, len(run), sum(map(len, run)))
        if not is_complete(folder, part, source):
            write_part(folder, part, table_of(run), source)
        parts.append(part)
    return parts


def _batches(readings: Sequence[Reading], frames: Iterable[Frame]) -> Iterator[tuple[Mapping[str, Any], list[Frame]]]:
    """Frames for a part each, and what tells these frames from those of another import."""
    for reading in readings:
        files = [f.as_dict() for f in _files(reading)]
        for number, run in enumerate(_runs(iter_frames(**reading))):
            yield {"files": files, "run": number}, run
    for number, run in enumerate(_runs(frames)):
        yield {"frames": frames_digest(run), "run": number}, run


def _runs(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
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
