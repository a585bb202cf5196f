"""What a data set is made of: files, each with how it is read, or frames that are given."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError
from ..files.paths import require_file
from ..frames.frame import Frame
from ..io.fm_setup import find_setup_frames
from ..io.label_keys import LabelKeys
from ..io.text_files import default_groups, find_files, names_apart, packing_of
from ..io.trajectories import is_fm_setup, readings_of
from ..text.problems import require_known
from .overlaps import refuse_overlaps

if TYPE_CHECKING:
    from ..io.fm_trajectories import FittedLabels, Trajectory
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
    trajectory : Trajectory or None
        Which of its frames an ``fm_setup.in`` asks for, if one names the file.
    labels : FittedLabels or None
        Which labels it asks for.
    named : bool
        Whether somebody said the group of its frames, or the file is one of an ``fm_setup.in``.
    """

    path: Path
    size: int
    mtime_ns: int
    reading: Reading
    packed: bool = False
    trajectory: Trajectory | None = None
    labels: FittedLabels | None = None
    named: bool = False

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
        # how the file was asked for, and what it and its group are called beside others of the same name, tells nothing
        # of its frames
        left_out = ("asked", "name") if self.named else ("asked", "name", "group")
        options = {k: v for k, v in asdict(self.reading).items() if v is not None and k not in left_out}
        told = {"file": self.name, "size": self.size, "mtime_ns": self.mtime_ns, "reading": options}
        if self.trajectory is None or self.labels is None:
            return told
        labels = asdict(self.labels) | {"elements": list(self.labels.elements)}
        return {**told, "first": self.trajectory.first, "frames": self.trajectory.frames, "labels": labels}

    @property
    def source(self) -> dict[str, Any]:
        """For JSON: what tells its frames, with their origins and groups, from others."""
        called = self.reading.name or self.path.name
        return {
            **self.as_dict(),
            "group": self.reading.group,
            **({"called": called} if called != self.path.name else {}),
        }

    def source_of(self, run: Run) -> dict[str, Any]:
        """For JSON: what tells the frames of one of its runs from others."""
        return {**self.source, "first_byte": run.first, "last_byte": run.last}


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
    fm_setup : str
        The ``fm_setup.in`` that names the files, if one does.
    notes : tuple of str
        What it says that has no effect here.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    frames: Iterable[Frame] | None = None
    fm_setup: str = ""
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what tells its frames from those of others."""
        if self.frames is not None:
            return {"frames": "made in Python"}
        more = {k: self.options[k] for k in ("start", "stop") if self.options.get(k) is not None}
        more |= {"fm_setup": self.fm_setup} if self.fm_setup else {}
        return {"files": [file.as_dict() for file in self.files], **more}

    @property
    def can_be_cut(self) -> bool:
        """Whether each file can be read by itself and all of it."""
        return self.frames is None and all(self.options.get(k) is None for k in ("start", "stop"))

    def only(self, numbers: Sequence[int]) -> Source:
        """Some of its files, by their numbers from 0, read alike."""
        return replace(self, files=tuple(self.files[k] for k in numbers))

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
        given = _files({**options, "path": sources})
    elif isinstance(sources, Mapping):
        given = _files({**options, **sources})
    else:
        given = _listed(sources, options)
    refuse_overlaps([source.as_dict() for source in given])
    return given


def named_apart(sources: Sequence[Source], before: Iterable[str] = ()) -> list[Source]:
    """The sources with files, and their groups where nobody named them, called apart from all others of their names.

    Parameters
    ----------
    sources : sequence of Source
        Of one import.
    before : iterable of str
        Paths of files of imports before.

    Returns
    -------
    list of Source
        Files of an ``fm_setup.in``, and parts of files, are called as before.
    """
    own = [file for source in sources if source.can_be_cut for file in source.files if file.trajectory is None]
    paths = [*(file.path for file in own), *map(Path, before)]
    called = dict(zip(own, zip(names_apart(paths), default_groups(paths), strict=False), strict=False))

    def renamed(file: File) -> File:
        if file not in called:
            return file
        name, group = called[file]
        return replace(
            file, reading=replace(file.reading, name=name, group=file.reading.group if file.named else group)
        )

    return [replace(source, files=tuple(map(renamed, source.files))) for source in sources]


def _listed(sources: Any, options: Mapping[str, Any]) -> list[Source]:
    listed = iter(sources)
    first = next(listed, None)
    if not isinstance(first, str | Path | Mapping | Frame | None):
        raise InputError(
            f"import: expected files, tables as of [[data]], or frames; found {type(first).__name__} in a list; the "
            "frames of one data set are data, of several one + other"
        )
    if first is None:
        raise InputError("import: expected files, tables as of [[data]], or frames; found an empty sequence")
    if isinstance(first, Frame):
        if named := sorted(k for k, v in options.items() if v is not None):
            raise InputError(f"import: {', '.join(named)} say how files are read, but frames are given")
        return [Source(frames=_chained(first, listed))]
    if isinstance(first, Mapping):
        return [source for table in (first, *listed) for source in _files({**options, **table})]
    return _files({**options, "path": [first, *listed]})


def _files(options: Mapping[str, Any]) -> list[Source]:
    """Files that are read alike, and each ``fm_setup.in`` among them, in order."""
    require_known(options, TABLE, "import")
    known = [(options.get("format") is None and is_fm_setup(file), file, asked)
             for file, asked in find_files(options["path"])]  # fmt: skip
    sources: list[Source] = []
    for is_setup, group in itertools.groupby(known, lambda one: one[0]):
        some = [one[1:] for one in group]
        sources += [_setup(file, options) for file, _ in some] if is_setup else [_trajectories(some, options)]
    return sources


def _trajectories(known: Sequence[tuple[Path, str]], options: Mapping[str, Any]) -> Source:
    energy, forces, stress, virial = (options.get(key) for key in KEYS)
    files = readings_of(
        known, LabelKeys(energy, forces, stress, virial), format=options.get("format"), group=options.get("group"),
        group_key=options.get("group_key"),
    )  # fmt: skip
    named = options.get("group") is not None
    return Source(options, tuple(replace(_file(path, reading), named=named) for path, reading in files))


def _setup(path: Path, options: Mapping[str, Any]) -> Source:
    """The trajectories of an ``fm_setup.in``."""
    if named := sorted(k for k, v in options.items() if v is not None and k != "path"):
        raise InputError(f"{path}: {', '.join(named)} can't be given for an fm_setup.in, which says how it is read")
    asked = find_setup_frames(path)
    files = []
    for trajectory in asked.trajectories:
        file = _file(require_file(trajectory.path, "trajectory"), trajectory.reading)
        files.append(replace(file, trajectory=trajectory, labels=asked.labels, named=True))
    notes = tuple(f"{path.name}: {note}" for note in asked.notes)
    return Source({}, tuple(files), fm_setup=os.path.realpath(path), notes=notes)


def _file(path: Path, reading: Reading) -> File:
    status = path.stat()
    packed = reading.is_text and bool(packing_of(path))
    return File(path.absolute(), status.st_size, status.st_mtime_ns, reading, packed)


def _chained(first: Frame, rest: Iterator[Any]) -> Iterator[Frame]:
    yield first
    for number, frame in enumerate(rest, 2):
        if not isinstance(frame, Frame):
            raise InputError(f"import: expected a Frame as number {number}, found {type(frame).__name__}")
        yield frame
