"""What a data set is made of: files, each with how it is read, or frames that are given."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError
from ..frames.frame import Frame
from ..io.label_keys import LabelKeys
from ..io.text_files import packing_of
from ..io.trajectories import files_to_read
from ..text.problems import require_known

if TYPE_CHECKING:
    from ..io.reading import Reading
    from ..io.runs import Run

KEYS: Final = ("energy_key", "forces_key", "stress_key", "virial_key")
WHOLE: Final = ("format", "group", "group_key", *KEYS)
"""Options of ``read_frames`` that hold for each frame of a file, wherever it is read."""


TABLE: Final = ("path", "start", "stop", *WHOLE)
"""What a table may have."""


@dataclass(frozen=True)
class File:
    """A file, as it was when it was looked at.

    Attributes
    ----------
    path : Path
        The file.
    size, mtime_ns : int
        Its own.
    reading : Reading
        How it is read.
    packed : bool
        Whether it is packed, by its content.
    """

    path: Path
    size: int
    mtime_ns: int
    reading: Reading
    packed: bool = False

    @property
    def name(self) -> str:
        """The file whatever links name it."""
        return os.path.realpath(self.path)

    @property
    def place(self) -> str:
        """For messages."""
        return str(self.path)

    @property
    def can_be_cut(self) -> bool:
        """Whether it is plain text, any run of which can be read by itself."""
        return self.reading.is_text and not self.packed

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        # how the file was asked for tells nothing of its frames
        options = {k: v for k, v in asdict(self.reading).items() if v is not None and k != "asked"}
        return {"file": self.name, "size": self.size, "mtime_ns": self.mtime_ns, "reading": options}

    def source_of(self, run: Run) -> dict[str, Any]:
        """For JSON: what tells the frames of one of its runs from others."""
        return {**self.as_dict(), "first_byte": run.first, "last_byte": run.last}


@dataclass(frozen=True)
class Source:
    """Files that are read alike, or frames.

    Attributes
    ----------
    options : mapping from str to object
        Keyword arguments of :func:`~hiertl_dist.read_frames`.
    files : tuple of File
        The files.
    frames : iterable of Frame or None
        The frames, where no files are given.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    frames: Iterable[Frame] | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what tells its frames from those of others."""
        if self.frames is not None:
            return {"frames": "made in Python"}
        slices = {k: self.options[k] for k in ("start", "stop") if self.options.get(k) is not None}
        return {"files": [file.as_dict() for file in self.files], **slices}

    @property
    def can_be_cut(self) -> bool:
        """Whether each file can be read by itself and all of it."""
        return self.frames is None and all(self.options.get(k) is None for k in ("start", "stop"))

    @property
    def name(self) -> str:
        """For messages."""
        return ", ".join(file.path.name for file in self.files[:3]) or "frames made in Python"


def sorted_out(sources: Any, options: Mapping[str, Any]) -> list[Source]:
    """The files, tables of ``[[data]]`` or frames that somebody has given.

    Parameters
    ----------
    sources : str, Path, mapping, or iterable of str, Path, mapping or Frame
        What was given.
    options : mapping from str to object
        Keyword arguments of :func:`~hiertl_dist.read_frames` for all files.

    Returns
    -------
    list of Source
        In their order.

    Raises
    ------
    InputError
        Nothing is given, or things of several kinds; options that contradict each other.
    MissingFileError
        There is no such file.
    """
    if isinstance(sources, str | Path):
        return [_files({**options, "path": sources})]
    if isinstance(sources, Mapping):
        return [_files({**options, **sources})]
    given = _listed(sources, options)
    refuse_overlaps([source.as_dict() for source in given])
    return given


def _listed(sources: Any, options: Mapping[str, Any]) -> list[Source]:
    listed = iter(sources)
    first = next(listed, None)
    if first is None:
        raise InputError("import: expected files, tables as of [[data]], or frames; found an empty sequence")
    if isinstance(first, Frame):
        if named := sorted(k for k, v in options.items() if v is not None):
            raise InputError(f"import: {', '.join(named)} say how files are read, but frames are given")
        return [Source(frames=_chained(first, listed))]
    if isinstance(first, Mapping):
        return [_files({**options, **table}) for table in (first, *listed)]
    return [_files({**options, "path": [first, *listed]})]


def refuse_overlaps(sources: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]] = ()) -> None:
    """Raise InputError where a file is read twice, by these sources or by one of them and one that came before.

    Parts of it that start and stop keep apart are no fault.
    """
    known: dict[str, list[Mapping[str, Any]]] = {}
    for number, source in enumerate([*before, *sources]):
        for file in source.get("files", ()):
            others = known.setdefault(file["file"], [])
            for other in others:
                single = len(source["files"]) == len(other["files"]) == 1
                if number >= len(before) and not (single and are_apart(source, other)):
                    there = " in the data set already" if any(other is one for one in before) else " named twice"
                    raise InputError(f"{file['file']}: it is{there}; its frames would count twice")
            others.append(source)


def are_apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether what two sources read of one file, by their start and stop, shares no frame."""
    return any(a.get("stop", math.inf) <= b.get("start", 0) for a, b in ((one, other), (other, one)))


def _files(options: Mapping[str, Any]) -> Source:
    require_known(options, TABLE, "import")
    energy, forces, stress, virial = (options.get(key) for key in KEYS)
    keys = LabelKeys(energy, forces, stress, virial)
    files = []
    for file, reading in files_to_read(
        options["path"], keys, format=options.get("format"), group=options.get("group"),
        group_key=options.get("group_key"),
    ):  # fmt: skip
        status = file.stat()
        packed = reading.is_text and bool(packing_of(file))
        files.append(File(file.absolute(), status.st_size, status.st_mtime_ns, reading, packed))
    return Source(options, tuple(files))


def _chained(first: Frame, rest: Iterator[Any]) -> Iterator[Frame]:
    yield first
    for number, frame in enumerate(rest, 2):
        if not isinstance(frame, Frame):
            raise InputError(f"import: expected a Frame as number {number}, found {type(frame).__name__}")
        yield frame
