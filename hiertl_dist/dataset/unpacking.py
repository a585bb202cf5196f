"""Packed files: one process unpacks and cuts them, and lays texts of runs down for all workers to parse.

A packed file can be read from its beginning only. Its reader goes on window by window: the texts of some tens of runs
stand in scratch files in the folder of the data set, and each worker reads those of its runs, while the reader unpacks
the next window. So there are two windows on disk at a time, and the text of one run in memory.
"""

from __future__ import annotations

import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Final

from ..errors import LockError, StoreError
from ..files.places import new_file, remove_tree
from ..io.runs import iter_run_bytes, refuse_changed
from .folder import is_complete
from .parts import Part, following

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..files.object_path import Place
    from ..io.runs import Run
    from .sources import File

SCRATCH: Final = "unpacked"
"""The folder of scratch files in that of a data set."""

LEAST_RUNS: Final = 8
"""Runs of a window; more for many workers, so that each gets some."""

RUNS_PER_WORKER: Final = 4


@dataclass(frozen=True)
class Excerpt:
    """A scratch file, and how many bytes it has."""

    path: Place
    size: int

    def read(self) -> bytes:
        """The text. Raises StoreError where it is not there as it was."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError as error:
            raise StoreError(f"{self.path}: {_GONE}") from error
        if len(text) != self.size:
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

    def __init__(self, folder: Place, file: File, before: Part | None, after: int, size: int, runs: int) -> None:
        self.file, self.frames, self._after = file, after, after
        self._folder, self._before, self._size, self._runs = folder, before, size, runs
        self._stop = Event()
        self._current: list[Excerpt] = []
        self._cut = iter_run_bytes(file.path, size)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="unpack")
        self._ahead: Future[Window] = self._thread.submit(self._make)

    def next(self) -> Window | None:
        """The next window, whose texts stay until the one after it is asked for; None: there are no more frames."""
        for excerpt in self._current:
            excerpt.path.unlink(missing_ok=True)
        window = self._ahead.result()
        self._current = [one.excerpt for one in window.runs if one.excerpt is not None]
        refuse_changed(self.file)
        if not window.runs and window.odd is None:
            return None
        self.frames += sum(one.run.frames for one in window.runs)
        if window.odd is None:
            self._ahead = self._thread.submit(self._make)
        return window

    def _make(self) -> Window:
        made: list[Unpacked] = []
        for run, text in self._rest():
            if run.odd:
                return Window(tuple(made), run)
            part = following(self._before, run.frames, run.atoms)
            excerpt = None
            if not is_complete(self._folder, part, self.file.source_of(run)):
                excerpt = Excerpt(self._folder / SCRATCH / f"{uuid.uuid4().hex}.text", len(text))
                with new_file(excerpt.path) as stream:
                    stream.write(text)
            made.append(Unpacked(run, part, excerpt))
            self._before = part
            if len(made) == self._runs:
                break
        return Window(tuple(made))

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


_readers: dict[Place, _Reader] = {}
"""What this process reads, by the folder of the data set."""


def next_window(
    folder: Place, file: File, before: Part | None, after: int, *, size: int, workers: int
) -> Window | None:  # fmt: skip
    """The next frames of a packed file, for workers to parse.

    It goes on where the window before ended if that was made by this process, and else unpacks the file from its
    beginning again.

    Parameters
    ----------
    folder : Path or ObjectPath
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
    OSError, ObjectStoreError
        It cannot be read, or a scratch file cannot be written.
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


def drop_unpacked(folder: Place) -> None:
    """End the reader that this process has, and remove all scratch files, also of an import that was killed."""
    let_reader_go(folder)
    remove_tree(folder / SCRATCH)


def let_reader_go(folder: Place) -> None:
    """End the reader where this process has it, and remove its scratch files."""
    if (reader := _readers.pop(folder, None)) is not None:
        reader.close()
        with suppress(LockError):  # what is there is another process's, which has taken over
            remove_tree(folder / SCRATCH)
