"""Reading runs of frames, one by one or as tables: a whole file by one process, or a part by each of many."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ..frames.frame_table import FrameTable, table_of
from .ase_files import frames_of_ase
from .extxyz_heads import ExtxyzRuns
from .label_keys import LabelKeys
from .lines import LineSource
from .runs import Run, iter_run_bytes, read_run, refuse_changed
from .xyzf import XyzfFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..frames.frame import Frame
    from .heads import Format

SMALL: Final = 2 * 2**20
"""Bytes that the careful reader alone reads, in 0.15 s: to load numba takes longer, and to compile takes 2 s, once."""

PART: Final = 2**20
"""Bytes of text that one process reads at once: less than a run, so that the first frames come soon."""


@dataclass(frozen=True)
class Reading:
    """How the frames of a file are read.

    Attributes
    ----------
    kind : {"extxyz", "xyzf", "ase"}
        The format; ``"ase"``: what ASE reads, which is read from its beginning, by one process.
    group : str
        The group of the frames.
    asked : str
        The pattern or path that stands for the file.
    group_key, energy_key, forces_key, stress_key, virial_key : str, optional
        As :func:`~hiertl_dist.io.trajectories.read_frames` takes them.
    name : str
        What origins call the file; nothing: its name.
    """

    kind: str
    group: str
    asked: str
    group_key: str | None = None
    energy_key: str | None = None
    forces_key: str | None = None
    stress_key: str | None = None
    virial_key: str | None = None
    name: str = ""

    @property
    def is_text(self) -> bool:
        """Whether it is text that this package reads itself: it can be cut into runs."""
        return self.kind != "ase"

    def keys(self) -> LabelKeys:
        """The keys of labels, of which none was met so far."""
        return LabelKeys(self.energy_key, self.forces_key, self.stress_key, self.virial_key)

    def file(self, path: Path, keys: LabelKeys) -> Format:
        """What reads a file of text; the keys that are met are entered in ``keys``."""
        if self.kind == "xyzf":
            return XyzfFile(path, self.group, self.asked)
        return ExtxyzRuns(path, keys, self.group, self.group_key, self.asked)


class Parsed(NamedTuple):
    """The frames of a run, and which keys of labels were met, and which names there are, for ``check_seen``.

    ``table`` is None where an odd run turns out to hold nothing but blank lines.
    """

    table: FrameTable | None
    seen: frozenset[str]
    offered: frozenset[str]


def parse_run(run: Run, reading: Reading, text: bytes | None = None) -> Parsed:
    """Read the frames of a run, which depend on nothing else than the arguments.

    Parameters
    ----------
    run : Run
        Which part of a file, of :func:`~hiertl_dist.io.runs.iter_runs`.
    reading : Reading
        How it is read.
    text : bytes, optional
        Its text, of :func:`~hiertl_dist.io.runs.iter_run_bytes`; default: it is read from the file, which must be as it
        was when it was cut, and plain unless the run is odd. An odd run, which is all the rest of its file, is read
        from the file in any case.

    Returns
    -------
    Parsed
        The frames as a table, and what was met.

    Raises
    ------
    FrameError
        Naming file, frame and line: of the first frame that can't be read; or that the file has changed.
    OSError
        The file cannot be read.
    """
    keys = reading.keys()
    file = reading.file(run.path, keys)
    if run.odd:
        refuse_changed(run)
        frames = list(odd_frames(run, file, reading))
        table = table_of(frames) if frames else None
    else:
        from .run_tables import table_of_run

        found = table_of_run(run, read_run(run) if text is None else text, file)
        if found.error is not None:
            raise found.error
        table = None if found.table is None else _called(found.table, run.path, reading)
    return Parsed(table, frozenset(keys.seen), frozenset(keys.offered))


def are_small(paths: Iterable[Path]) -> bool:
    """Whether files are so small, together, that compiled code is not worth loading."""
    return sum(path.stat().st_size for path in paths if path.is_file()) < SMALL


def load_compiled() -> None:
    """Compile what reads runs, or load it where that was done before."""
    text = b"1\n9 9 9\nC 0 0 0\n"
    run = Run(Path("made.xyzf"), 0, 0, "", 0, len(text), 1, 1, 1, 1)
    parse_run(run, Reading("xyzf", "made", "made.xyzf"), text)


def frames_of_file(
    path: Path, reading: Reading, keys: LabelKeys, *, small: bool, most: int | None = None, size: int = PART
) -> Iterator[Frame]:
    """The frames of a file in order; what can't be read is raised after those before it.

    Parameters
    ----------
    path : Path
        The file.
    reading : Reading
        How it is read.
    keys : LabelKeys
        Gets the keys that are met.
    small : bool
        It is not worth loading compiled code.
    most : int, optional
        How many frames are asked for at most; default: all.
    size : int, default PART
        Bytes of text that are read at once, roughly.

    Yields
    ------
    Frame
        Each has arrays of its own.

    Raises
    ------
    FrameError
        Naming file, frame and line.
    """
    if not reading.is_text:
        frames = frames_of_ase(path, keys, reading.group, reading.group_key, reading.asked, reading.name or path.name)
        yield from itertools.islice(frames, most)
        return
    file = reading.file(path, keys)
    if small:
        with LineSource(path) as source:
            source.name = reading.name or path.name
            yield from itertools.islice(file.frames(source), most)
        return
    left = most
    for run, text in iter_run_bytes(path, size):
        if run.odd:
            yield from itertools.islice(odd_frames(run, file, reading), left)
            return
        from .run_tables import table_of_run

        found = table_of_run(run, text, file, left)
        if found.table is not None:
            yield from _called(found.table, path, reading).separate_frames()
        if found.error is not None:
            raise found.error
        left = None if left is None else left - run.frames
        if left is not None and left <= 0:
            return


def _called(table: FrameTable, path: Path, reading: Reading) -> FrameTable:
    """The frames of a file with the name that their origins are to have."""
    if reading.name in ("", path.name):
        return table
    return replace(table, origin_texts=tuple(reading.name + t.removeprefix(path.name) for t in table.origin_texts))


def odd_frames(run: Run, file: Format, reading: Reading) -> Iterator[Frame]:
    """The frames of an odd run, line by line; errors as of :func:`frames_of_file`."""
    with LineSource.at(run.path, run.first, run.line, run.frame, latin=run.latin) as source:
        source.name = reading.name or run.path.name
        yield from file.frames(source)
