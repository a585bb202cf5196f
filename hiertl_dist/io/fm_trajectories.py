"""The frames that an ``fm_setup.in`` asks for: which trajectories, how many of their frames, which of their labels."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import FrameError, InputError
from ..files.paths import require_file
from ..text.words import shown
from .fm_sections import FALSE, TRUE, Line, Sections, clean_lines
from .reading import Reading, are_small, frames_of_file
from .text_files import names_apart, stem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..frames.frame import Frame
    from ..frames.frame_table import FrameTable

FIRST: Final = ("first", "First", "FIRST")
ALL: Final = ("all", "All", "ALL", "A", "a")
FIRST_ALL: Final = ("firstall", "FirstAll", "FIRSTALL")


@dataclass(frozen=True)
class FittedLabels:
    """The labels that are fitted: forces always; of the first n frames (None: of all) a stress, an energy.

    Attributes
    ----------
    stress : {"none", "diagonal", "full"}
        How much of the stress.
    n_stress : int or None
        Of how many frames, counted over all trajectories.
    energy : bool
        Whether energies are fitted.
    n_energy : int or None
        Of how many frames.
    elements : tuple of str
        Those of TYPEIDX, which frames must keep to.
    """

    stress: str
    n_stress: int | None
    energy: bool
    n_energy: int | None
    elements: tuple[str, ...] = ()

    def of_frame(self, frame: Frame, index: int) -> Frame:
        """A frame with these labels alone.

        Parameters
        ----------
        frame : Frame
            As it was read.
        index : int
            Its number, from 0, over all trajectories.

        Returns
        -------
        Frame
            Without what is not fitted.

        Raises
        ------
        FrameError
            It lacks a label, or has other elements.
        """
        if unknown := frame.elements - set(self.elements):
            raise FrameError(f"{frame.origin}: {sorted(unknown)} are not elements of TYPEIDX, {list(self.elements)}")
        if frame.forces is None:
            raise FrameError(f"{frame.origin}: expected forces, which are always fitted, found none")
        with_energy = self.energy and _is_first(index, self.n_energy)
        if with_energy and frame.energy is None:
            raise FrameError(f"{frame.origin}: expected an energy (FITENER), found none")
        stress = None
        if self.stress != "none" and _is_first(index, self.n_stress):
            if frame.stress is None:
                raise FrameError(f"{frame.origin}: expected a stress (FITSTRS), found none")
            stress = np.array(frame.stress)
            if self.stress == "diagonal":
                stress[3:] = np.nan
            elif np.isnan(stress).any():
                raise FrameError(f"{frame.origin}: expected the full stress (FITSTRS ALL), found its diagonal only")
        return replace(frame, stress=stress, energy=frame.energy if with_energy else None)

    def of_table(self, table: FrameTable, first: int) -> FrameTable:
        """The same of consecutive frames, of which the first has the number ``first``; errors are of the first frame.

        Parameters
        ----------
        table : FrameTable
            As they were read.
        first : int
            Number of the first of them, from 0, over all trajectories.

        Returns
        -------
        FrameTable
            Without what is not fitted.

        Raises
        ------
        FrameError
            As of :meth:`of_frame`.
        """
        numbers = first + np.arange(len(table))
        with_energy = self.energy & (
            np.ones(len(table), np.bool_) if self.n_energy is None else numbers < self.n_energy
        )
        with_stress = np.full(len(table), self.stress != "none")
        with_stress &= True if self.n_stress is None else numbers < self.n_stress
        missing = np.isnan(table.stresses)
        lacking = missing.any(axis=1) if self.stress == "full" else missing.all(axis=1)
        foreign = np.array([name not in self.elements for name in table.names])[table.types]
        wrong = ~table.has_forces | (with_energy & np.isnan(table.energies)) | (with_stress & lacking)
        wrong |= np.logical_or.reduceat(foreign, table.starts[:-1])
        for k in np.flatnonzero(wrong).tolist():
            self.of_frame(table.frame(k), first + k)  # which says what is wrong
        stresses = np.where(with_stress[:, None], table.stresses, np.nan)
        if self.stress == "diagonal":
            stresses[:, 3:] = np.nan
        return replace(table, energies=np.where(with_energy, table.energies, np.nan), stresses=stresses)


def _is_first(index: int, n: int | None) -> bool:
    return n is None or index < n


@dataclass(frozen=True)
class Trajectory:
    """A file that an ``fm_setup.in`` names.

    Attributes
    ----------
    path : Path
        The file.
    frames : int
        How many of its frames are read, from the first on.
    group : str
        Their group.
    exact : bool
        Whether the file must end there.
    first : int
        Number of its first frame, from 0, over all trajectories.
    name : str
        What origins call it; nothing: its name.
    """

    path: Path
    frames: int
    group: str
    exact: bool
    first: int = 0
    name: str = ""

    @property
    def reading(self) -> Reading:
        """How it is read."""
        return Reading("xyzf", self.group, str(self.path), name=self.name)

    @property
    def surplus(self) -> str:
        """What is said of a file that does not end there, and need not."""
        return f"{self.path.name}: only the first {self.frames} frames are read (NFRAMES); it has more"

    def check_count(self, frames: int) -> None:
        """Raise FrameError where the file may not have so many frames."""
        if frames < self.frames or (frames > self.frames and self.exact):
            raise FrameError(f"{self.path}: expected {self.frames} frames, found {frames}")

    def read(self, notes: list[str]) -> Iterator[Frame]:
        """Its frames with all labels that it has; a note where it has more.

        Parameters
        ----------
        notes : list of str
            Gets the note, after the last frame.

        Yields
        ------
        Frame
            In order.

        Raises
        ------
        FrameError
            It cannot be read, or has another number of frames.
        """
        reader = frames_of_file(self.path, self.reading, self.reading.keys(), small=are_small([self.path]))
        count = 0
        for frame in itertools.islice(reader, self.frames):
            count += 1
            yield frame
        self.check_count(count)
        if self.exact:
            self.check_count(count + sum(1 for _ in reader))
        elif _has_more(reader):
            notes.append(self.surplus)


def _has_more(reader: Iterator[Frame]) -> bool:
    """Whether anything is left in a file, be it a frame or not."""
    try:
        return next(reader, None) is not None
    except FrameError:
        return True


def fitted_labels(sections: Sections) -> FittedLabels:
    """What FITSTRS and FITENER ask for; elements are left to the caller."""
    stress, n_stress = "none", None
    if "FITSTRS" in sections.values:
        line = sections.values["FITSTRS"]
        word = line.words[0]
        if word in FIRST + FIRST_ALL:
            n_stress = sections.integer(line, 1, "the number of frames of FITSTRS")
        elif word not in ALL + TRUE + FALSE:
            sections.fail(f"FITSTRS: expected true, false, FIRST n, ALL or FIRSTALL n, found {shown(str(line))}", line)
        stress = "full" if word in ALL + FIRST_ALL else "none" if word in FALSE else "diagonal"
    energy, n_energy = False, None
    if "FITENER" in sections.values:
        line = sections.values["FITENER"]
        if line.words[0] in FIRST:
            energy, n_energy = True, sections.integer(line, 1, "the number of frames of FITENER")
        else:
            energy = sections.flag("FITENER")
    return FittedLabels(stress, n_stress, energy, n_energy)


def trajectories_of(sections: Sections, source: Line, n_frames: int, notes: list[str]) -> list[Trajectory]:
    """The trajectories that TRJFILE names, in order.

    Parameters
    ----------
    sections : Sections
        The ``fm_setup.in``.
    source : Line
        The value of TRJFILE.
    n_frames : int
        That of NFRAMES.
    notes : list of str
        Gets what a list says that has no effect.

    Returns
    -------
    list of Trajectory
        Those of which frames are read. They were not opened.

    Raises
    ------
    InputError
        Naming file and line: no file or list, or a list that does not add up to NFRAMES.
    MissingFileError
        There is no list.
    """
    folder = sections.path.parent
    if "\0" in str(source):
        sections.fail(f"TRJFILE: expected the name of a file, found {shown(str(source))}", source)
    if len(source.words) == 1:
        path = folder / source.words[0]
        return [Trajectory(path, n_frames, stem(path), exact=False)]
    if source.words[0] != "MULTI" or len(source.words) != 2:
        sections.fail(f"TRJFILE: expected a file, or MULTI and a list, found {shown(str(source))}", source)
    lister = Sections(folder / source.words[1])
    rows = clean_lines(require_file(lister.path, f"TRJFILE of {sections.path}"))
    if not rows or len(rows[0].words) != 1:
        lister.fail(
            f"expected the number of trajectories alone, found {shown(str(rows[0])) if rows else 'an empty file'}"
        )
    n_files = lister.integer(rows[0], 0, "the number of trajectories", least=1)
    if len(rows) - 1 != n_files:
        lister.fail(f"expected {n_files} trajectories, found {len(rows) - 1} lines", rows[0])
    counts = [lister.integer(row, 0, "the number of frames") for row in rows[1:]]
    for row in rows[1:]:
        if len(row.words) not in (2, 3, 5, 6) or "\0" in str(row):
            lister.fail(f"expected 'frames file [label] [F S E]', found {shown(str(row))}", row)
        if len(row.words) >= 5 and len(prefixes := set(row.words[-3:])) > 1 and prefixes != {"None"}:
            notes.append(f"{lister.path.name}, line {row.number}: the prefixes of row labels have no effect")
    if sum(counts) != n_frames:
        raise InputError(
            f"{sections.path}, line {sections.values['NFRAMES'].number}: NFRAMES is {n_frames}, "
            f"but the frames of {lister.path} add up to {sum(counts)}"
        )
    return list(_listed(folder, rows[1:], counts, notes))


def _listed(folder: Path, rows: list[Line], counts: list[int], notes: list[str]) -> Iterator[Trajectory]:
    """The trajectories of a list; where two files have one name, the label tells their groups apart.

    A prefix that all labels of rows of a file have is one of its group, too: al_driver's ``G_`` of the gas phase.
    """
    paths = [folder / row.words[1] for row in rows]
    prefixes = [
        row.words[-1] if len(row.words) >= 5 and len(set(row.words[-3:])) == 1 and row.words[-1] != "None" else ""
        for row in rows
    ]
    labels = [row.words[2] if len(row.words) in (3, 6) else "" for row in rows]
    for path, times in Counter(path.resolve() for path in paths).items():
        if times > 1:
            consequence = "its frames count as often, as for chimes_lsq"
            notes.append(f"{path.name} is {times} times in the list of TRJFILE: {consequence}")
    same = Counter(stem(path) for path in set(paths))
    unused = [label for path, label in zip(paths, labels, strict=True) if label and same[stem(path)] == 1]
    if unused:
        notes.append(
            f"labels {', '.join(dict.fromkeys(unused))} of the list of TRJFILE: no effect, for groups are the names of "
            "files where no two are called alike (al_driver has the temperature of electrons there)"
        )
    first = 0
    for path, called, label, prefix, n in zip(paths, names_apart(paths), labels, prefixes, counts, strict=True):
        if n == 0:
            notes.append(f"{path.name}: left out, the list asks for 0 of its frames")
            continue
        name = stem(path)
        group = prefix + (f"{name}_{label}" if same[name] > 1 and label else name)
        yield Trajectory(path, n, group, exact=True, first=first, name=called)
        first += n
