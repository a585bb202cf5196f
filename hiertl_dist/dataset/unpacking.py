"""Packed files: one process unpacks and cuts them, and lays texts of runs down for all workers to parse.

A packed file can be read from its beginning only. Its reader goes on window by window: the texts of some tens of runs
stand in a scratch file in the folder of the data set, and each worker reads the bytes of its runs there, while the
reader unpacks the next window. So there are two windows on disk at a time, and the text of one run in memory.
"""

from __future__ import annotations

import shutil
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Final

from ..errors import StoreError
from ..io.runs import iter_run_bytes, refuse_changed
from .folder import is_complete
from .parts import Part, following

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..io.runs import Run
    from .sources import File

SCRATCH: Final = "unpacked"
"""The folder of scratch files in that of a data set."""

LEAST_RUNS: Final = 8
"""Runs of a window; more for many workers, so that each gets some."""

RUNS_PER_WORKER: Final = 4


@dataclass(frozen=True)
class Excerpt:
    """Bytes of a scratch file."""

    path: Path
    first: int
    last: int

    def read(self) -> bytes:
        """The text. Raises StoreError where it is not there as it was."""
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.first)
                text = stream.read(self.last - self.first)
        except FileNotFoundError as error:
            raise StoreError(f"{self.path}: {_GONE}") from error
        if len(text) != self.last - self.first:
            raise StoreError(f"{self.path}: {_GONE}")
        return text


_GONE: Final = "the text that was unpacked for this import was removed before it was read; import again to go on"


@dataclass(frozen=True)
class Unpacked:
    """A run of a packed file and the part that its frames become; no excerpt where that is complete already."""

    run: Run
    part: Part
    excerpt: Excerpt | None


@dataclass(frozen=True)
class Window:
    """Consecutive runs; ``odd`` is what follows where it has no plain structure, and all that is left."""

    runs: tuple[Unpacked, ...]
    odd: Run | None = None


class _Reader:
    """What unpacks one file, and is one window ahead of the workers."""

    def __init__(self, folder: Path, file: File, before: Part | None, after: int, size: int, runs: int) -> None:
        self.file, self.frames, self._after = file, after, after
        self._folder, self._before, self._size, self._runs = folder, before, size, runs
        self._stop = Event()
        self._current: Path | None = None
        self._cut = iter_run_bytes(file.path, size)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="unpack")
        self._ahead: Future[tuple[Window, Path]] = self._thread.submit(self._make)

    def next(self) -> Window | None:
        """The next window, whose texts stay until the one after it is asked for; None: there are no more frames."""
        if self._current is not None:
            self._current.unlink(missing_ok=True)
        window, self._current = self._ahead.result()
        refuse_changed(self.file)
        if not window.runs and window.odd is None:
            return None
        self.frames += sum(one.run.frames for one in window.runs)
        if window.odd is None:
            self._ahead = self._thread.submit(self._make)
        return window

    def _make(self) -> tuple[Window, Path]:
        path = self._folder / SCRATCH / f"{uuid.uuid4().hex}.text"
        made: list[Unpacked] = []
        written = 0
        for run, text in self._rest():
            if run.odd:
                return Window(tuple(made), run), path
            part = following(self._before, run.frames, run.atoms)
            excerpt = None
            if not is_complete(self._folder, part, self.file.source_of(run)):
                with path.open("ab") as stream:
                    stream.write(text)
                excerpt, written = Excerpt(path, written, written + len(text)), written + len(text)
            made.append(Unpacked(run, part, excerpt))
            self._before = part
            if len(made) == self._runs:
                break
        return Window(tuple(made)), path

    def _rest(self) -> Iterator[tuple[Run, bytes]]:
        """Runs that were not handed out yet, by this reader or by one before it in another process."""
        for run, text in self._cut:
            if self._stop.is_set():
                return
            if run.odd or run.frame > self._after:
                yield run, text

    def close(self) -> None:
        self._stop.set()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._cut.close()


_readers: dict[Path, _Reader] = {}
"""What this process reads, by the folder of the data set."""


def next_window(
    folder: Path, file: File, before: Part | None, after: int, *, size: int, workers: int
) -> Window | None:  # fmt: skip
    """The next frames of a packed file, for workers to parse.

    It goes on where the window before ended if that was made by this process, and else unpacks the file from its
    beginning again.

    Parameters
    ----------
    folder : Path
        The data set.
    file : File
        The packed file.
    before : Part or None
        The part before the next.
    after : int
        How many frames of the file were handed out before.
    size : int
        Bytes of text in a run, roughly.
    workers : int
        How many share the runs.

    Returns
    -------
    Window or None
        None where there are no more frames.

    Raises
    ------
    FrameError
        The file has changed since it was looked at.
    OSError
        It cannot be read, or the scratch file cannot be written.
    """
    reader = _readers.get(folder)
    if reader is None or (reader.file, reader.frames) != (file, after):
        drop_unpacked(folder)
        (folder / SCRATCH).mkdir(exist_ok=True)
        reader = _Reader(folder, file, before, after, size, max(LEAST_RUNS, RUNS_PER_WORKER * workers))
        _readers[folder] = reader
    window = reader.next()
    if window is None:
        drop_unpacked(folder)
    return window


def drop_unpacked(folder: Path) -> None:
    """End the reader that this process has, and remove all scratch files, also of an import that was killed."""
    let_reader_go(folder)
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)


def let_reader_go(folder: Path) -> None:
    """End the reader where this process has it, and remove its scratch files."""
    if (reader := _readers.pop(folder, None)) is not None:
        reader.close()
        shutil.rmtree(folder / SCRATCH, ignore_errors=True)
