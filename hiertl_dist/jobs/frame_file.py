"""``FrameFile``: a file of many frames that is written as they come, some at a time, and appears whole."""

from __future__ import annotations

import uuid
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Self, TypeVar

from ..files.paths import make_folder
from ..files.write_errors import write_errors
from .predicted_lines import IN_WORDS, LeftOut

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from ..executors.base import Executor
    from .predicted_lines import FrameText

Task = TypeVar("Task")

TASKS_AT_ONCE: Final = 64
"""Tasks whose texts are in memory together: some 64 MB."""


def batches_of(tasks: Sequence[Task]) -> list[Sequence[Task]]:
    """Tasks in their order, as many together as are in memory at a time."""
    return [tasks[i : i + TASKS_AT_ONCE] for i in range(0, len(tasks), TASKS_AT_ONCE)]


class FrameFile:
    """A context in which texts of frames are appended; it leaves the whole file, or none where something fails.

    Parameters
    ----------
    path : Path
        The file; one that is there is replaced in the end.
    executor : Executor
        Lets one process write.
    """

    def __init__(self, path: Path, executor: Executor) -> None:
        self.path = path
        self._left_out = LeftOut()
        self._executor = executor
        self._place: Path = executor.once(partial(_begin, path.absolute()), what=f"write {path}")
        self._end = 0

    def add(self, texts: Sequence[FrameText]) -> None:
        """Append frames; all calling processes have the same."""
        append = partial(_append, self._place, self._end, [t.text for t in texts])
        self._end = self._executor.once(append, what=f"write {self.path}")
        self._left_out = self._left_out.with_(texts)

    def notes(self) -> tuple[str, ...]:
        """How the file is to be read, and what frames in it could not have."""
        return (IN_WORDS, *self._left_out.notes())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._executor.once(partial(_finish, self._place, self.path.absolute()), what=f"write {self.path}")
        else:
            with suppress(OSError):
                self._place.unlink(missing_ok=True)


def _begin(path: Path) -> Path:
    make_folder(path.parent)
    place = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    with write_errors(path), place.open("xb"):
        return place


def _append(place: Path, end: int, texts: Sequence[bytes]) -> int:
    with write_errors(place), place.open("r+b") as stream:
        stream.truncate(end)
        stream.seek(end)
        stream.writelines(texts)
        return stream.tell()


def _finish(place: Path, path: Path) -> None:
    with write_errors(path):
        place.replace(path)
