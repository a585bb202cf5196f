"""Reading of chimes_lsq's ``fm_setup.in``: the basis, and the frames with the labels that it asks for.

Keywords that change nothing here, and those that are not known, are listed in ``FmSetup.notes``; those that would
change the result and are not supported (charges, overcoordination) are refused when they are switched on.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import FrameError, InputError
from ..files.paths import require_file
from ..text.display import Shown
from ..text.words import shown
from .fm_basis import basis_of
from .fm_sections import FALSE, TRUE, Line, Sections, clean_lines, read_sections
from .reading import Reading, are_small, frames_of_file
from .text_files import stem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..frames.frame import Frame
    from ..model.basis import Basis

REFUSED: Final = {
    "FITCOUL": "fitting of charges",
    "FITPOVR": "fitting of overcoordination",
    "FITEATM": "fitting of energies per atom",
}
"""Keywords that must be false."""

REFUSED_ALIKE: Final = {
    "USECOUL": "charges are not supported",
    "USEPOVR": "overcoordination is not supported",
    "USEOVRP": "overcoordination is not supported",
    "SUBTFRC": "subtracting the forces of other files is not supported; frozen models do that",
}
"""Keywords that no chimes_lsq of today reads, but that said something of the model once; FIT… are others."""

SWITCHED_OFF: Final = ("USE2BCH", "USE3BCH", "USE4BCH")
"""Keywords that would switch a body off which PAIRTYP has orders for."""

WITHOUT_EFFECT: Final = {
    "WRAPTRJ": "positions are used as they stand; periodic images are exact",
    "NLAYERS": "periodic images are exact, however small the cell",
    "CNSCOUL": "no charges are fitted",
    "SPLITFI": "rows are stored in tiles",
    "USENEIG": "neighbours are always found with a list",
    "CHEBYFIX": "what happens inside an inner cutoff is chosen when rows are made",
}

FIRST: Final = ("first", "First", "FIRST")
ALL: Final = ("all", "All", "ALL", "A", "a")
FIRST_ALL: Final = ("firstall", "FirstAll", "FIRSTALL")


@dataclass(frozen=True, eq=False, repr=False)
class FmSetup(Shown):
    """What an ``fm_setup.in`` asks for.

    Attributes
    ----------
    basis : Basis
        One-body types are there only if energies are fitted.
    frames : tuple of Frame
        In the order of the trajectories, with the labels that are fitted and no others; empty if they were not read.
        The group is the name of the trajectory without its extension; where two files share it, with the label that the
        list gives the file.
    notes : tuple of str
        What the file says that has no effect here, one sentence each.
    """

    basis: Basis
    frames: tuple[Frame, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """Which labels are fitted: the first n frames (None: all) have a stress (diagonal or full), an energy."""

    stress: str
    n_stress: int | None
    energy: bool
    n_energy: int | None


@dataclass(frozen=True)
class Trajectory:
    """One file, how many of its frames are read, their group, and whether the file must end there."""

    path: Path
    n_frames: int
    group: str
    exact: bool


def read_fm_setup(path: str | Path, *, read_frames: bool = True) -> FmSetup:
    """Read an ``fm_setup.in`` and the trajectories it names, relative to its folder.

    Forces are always fitted. FITSTRS true or FIRST n gives the diagonal of the stress (NaN elsewhere), ALL
    or FIRSTALL n all of it; n counts frames over all trajectories, and ALL ignores it, as chimes_lsq does.

    Parameters
    ----------
    path : str or Path
        The ``fm_setup.in``.
    read_frames : bool, default True
        False leaves the trajectories unopened.

    Returns
    -------
    FmSetup
        Basis, frames, and notes of what has no effect here.

    Raises
    ------
    InputError
        Naming file and line: unknown keywords, tables that are incomplete or contradict themselves, what
        is not supported, a trajectory list that does not add up to NFRAMES.
    FrameError
        A trajectory cannot be read, has another number of frames than the list says, or lacks a label
        that is asked for.
    MissingFileError
        There is no such file.
    OSError
        A file cannot be opened.
    """
    sections = read_sections(require_file(path, "fm_setup.in"))
    for key, what in REFUSED.items():
        if sections.flag(key):
            sections.fail(f"{key} is true: {what} is not supported", sections.values[key])
    if "SKPFRMS" in sections.values and sections.integer(sections.values["SKPFRMS"], 0, "SKPFRMS", least=-1) > 1:
        sections.fail("SKPFRMS above 1: skipping frames is not supported", sections.values["SKPFRMS"])
    wanted = _wanted(sections)
    basis = basis_of(sections, wanted.energy)
    notes = [*_notes(sections, basis), *_unknown(sections, basis)]
    n_frames = sections.integer(sections.need("NFRAMES"), 0, "NFRAMES", least=1)
    source = sections.need("TRJFILE")
    frames: list[Frame] = []
    if read_frames:
        for trajectory in _trajectories(sections, source, n_frames, notes):
            frames += _read(trajectory, notes)
        frames = [_labelled(frame, k, wanted, basis) for k, frame in enumerate(frames)]
    return FmSetup(basis, tuple(frames), tuple(notes))


def _wanted(sections: Sections) -> Wanted:
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
    return Wanted(stress, n_stress, energy, n_energy)


def _unknown(sections: Sections, basis: Basis) -> list[str]:
    """Notes of keywords that are not known here. Raises InputError for those that would have changed the fit."""
    notes = []
    for key, line, rows in sections.unknown:
        value = str(rows[0]) if rows else ""
        off = not rows or rows[0].words[0] in FALSE
        why = REFUSED_ALIKE.get(key, "what it would fit is not known here" if key.startswith("FIT") else "")
        if why and not off:
            sections.fail(f"unknown keyword # {key} # is {shown(value)}: {why}", rows[0])
        if key in SWITCHED_OFF and off and rows and any(t.body == int(key[3]) for t in basis.types):
            sections.fail(f"{key} is false, but PAIRTYP has {key[3]}-body orders: 0 there switches them off", rows[0])
        given = f"{shown(value)} on line {rows[0].number}" if rows else "without a value"
        more = f" and {len(rows) - 1} more rows" if len(rows) > 1 else ""
        notes.append(
            f"# {key} # on line {line.number}, {given}{more}: not a keyword that is known here, so it has no effect"
        )
    return notes


def _notes(sections: Sections, basis: Basis) -> list[str]:
    notes = [
        f"{key} {sections.values[key]}: no effect here; {why}"
        for key, why in WITHOUT_EFFECT.items()
        if key in sections.values
    ]
    notes.append("ATMMASS: masses have no effect on a fit")
    if inactive := [p.name for p in basis.pairs if p.rmin == p.rmax]:
        notes.append(f"PAIRIDX: {', '.join(inactive)} inactive: S_MINIM is S_MAXIM, so all their terms are zero")
    if any(len(row.words) > 5 for row in sections.pair_rows):
        notes.append("S_DELTA: this column of PAIRIDX has no effect on a Chebyshev basis")
    if sections.charge_constraints is not None:
        notes.append("CHARGE CONSTRAINTS: no effect; no charges are fitted")
    if "FITSTRS" in sections.values:
        line = sections.values["FITSTRS"]
        if line.words[0] in ALL and len(line.words) > 1:
            notes.append(f"FITSTRS {line}: the number has no effect, all frames are used, as chimes_lsq does")
    orders = sections.values["PAIRTYP"].words
    for body in (3, 4):
        if len(orders) < body or int(orders[body - 1]) < 2:
            named = [*(f"SPECIAL {body}B {side}" for b, side in sections.special if b == body)]
            named += [f"EXCLUDE {body}B"] if body in sections.exclude else []
            notes += [f"{name}: no effect; PAIRTYP has no {body}-body functions" for name in named]
    return notes


def _trajectories(sections: Sections, source: Line, n_frames: int, notes: list[str]) -> list[Trajectory]:
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
        if len(row.words) >= 5 and set(row.words[-3:]) != {"None"}:
            notes.append(f"{lister.path.name}, line {row.number}: the prefixes of row labels have no effect")
    if sum(counts) != n_frames:
        raise InputError(
            f"{sections.path}, line {sections.values['NFRAMES'].number}: NFRAMES is {n_frames}, "
            f"but the frames of {lister.path} add up to {sum(counts)}"
        )
    return list(_listed(folder, rows[1:], counts, notes))


def _listed(folder: Path, rows: list[Line], counts: list[int], notes: list[str]) -> Iterator[Trajectory]:
    """The trajectories of a list; where two files have one name, the label tells their groups apart."""
    paths = [folder / row.words[1] for row in rows]
    labels = [row.words[2] if len(row.words) in (3, 6) else "" for row in rows]
    for path, times in Counter(path.resolve() for path in paths).items():
        if times > 1:
            consequence = "its frames count as often, as for chimes_lsq"
            notes.append(f"{path.name} is {times} times in the list of TRJFILE: {consequence}")
    same = Counter(stem(path) for path in set(paths))
    for path, label, n in zip(paths, labels, counts, strict=True):
        if n == 0:
            notes.append(f"{path.name}: left out, the list asks for 0 of its frames")
            continue
        name = stem(path)
        yield Trajectory(path, n, f"{name}_{label}" if same[name] > 1 and label else name, exact=True)


def _read(trajectory: Trajectory, notes: list[str]) -> list[Frame]:
    path, n = trajectory.path, trajectory.n_frames
    reading = Reading("xyzf", trajectory.group, str(path))
    reader = frames_of_file(path, reading, reading.keys(), small=are_small([path]))
    frames = list(itertools.islice(reader, n))
    if len(frames) < n:
        raise FrameError(f"{path}: expected {n} frames, found {len(frames)}")
    if trajectory.exact:
        extra = sum(1 for _ in reader)
        if extra:
            raise FrameError(f"{path}: expected {n} frames, found {n + extra}")
    elif _has_more(reader):
        notes.append(f"{path.name}: only the first {n} frames are read (NFRAMES); it has more")
    return frames


def _has_more(reader: Iterator[Frame]) -> bool:
    """Whether anything is left in a file, be it a frame or not."""
    try:
        return next(reader, None) is not None
    except FrameError:
        return True


def _labelled(frame: Frame, index: int, wanted: Wanted, basis: Basis) -> Frame:
    """The frame with the labels that are fitted; ``index`` counts over all trajectories."""
    if unknown := frame.elements - set(basis.elements):
        raise FrameError(f"{frame.origin}: {sorted(unknown)} are not elements of TYPEIDX, {list(basis.elements)}")
    if frame.forces is None:
        raise FrameError(f"{frame.origin}: expected forces, which are always fitted, found none")
    with_stress = wanted.stress != "none" and (wanted.n_stress is None or index < wanted.n_stress)
    with_energy = wanted.energy and (wanted.n_energy is None or index < wanted.n_energy)
    if with_energy and frame.energy is None:
        raise FrameError(f"{frame.origin}: expected an energy (FITENER), found none")
    stress = None
    if with_stress:
        if frame.stress is None:
            raise FrameError(f"{frame.origin}: expected a stress (FITSTRS), found none")
        stress = np.array(frame.stress)
        if wanted.stress == "diagonal":
            stress[3:] = np.nan
        elif np.isnan(stress).any():
            raise FrameError(f"{frame.origin}: expected the full stress (FITSTRS ALL), found its diagonal only")
    return replace(frame, stress=stress, energy=frame.energy if with_energy else None)
