"""Reading of chimes_lsq's ``fm_setup.in``: the basis, and the frames with the labels that it asks for.

Keywords that change nothing here, and those that are not known, are listed in ``FmSetup.notes``; those that would
change the result and are not supported (charges, overcoordination) are refused when they are switched on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ..files.paths import require_file
from ..text.display import Shown
from ..text.words import shown
from .fm_basis import basis_of
from .fm_sections import FALSE, Sections, read_sections
from .fm_trajectories import ALL, FittedLabels, Trajectory, fitted_labels, trajectories_of

if TYPE_CHECKING:
    from pathlib import Path

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
    sections, labels, basis, notes = _checked(path)
    frames: list[Frame] = []
    if read_frames:
        given = _frames_of(sections, labels)
        notes += given.notes
        for trajectory in given.trajectories:
            frames += trajectory.read(notes)
        frames = [labels.of_frame(frame, k) for k, frame in enumerate(frames)]
    return FmSetup(basis, tuple(frames), tuple(notes))


@dataclass(frozen=True)
class SetupFrames:
    """Where the frames of an ``fm_setup.in`` are.

    Attributes
    ----------
    trajectories : tuple of Trajectory
        In order.
    labels : FittedLabels
        Which labels are fitted, and no others are kept.
    notes : tuple of str
        What of its list of trajectories has no effect here, one sentence each.
    """

    trajectories: tuple[Trajectory, ...]
    labels: FittedLabels
    notes: tuple[str, ...]


def find_setup_frames(path: str | Path) -> SetupFrames:
    """The trajectories of an ``fm_setup.in`` and which of their labels are fitted; none is opened.

    Parameters
    ----------
    path : str or Path
        The ``fm_setup.in``.

    Returns
    -------
    SetupFrames
        What :func:`read_fm_setup` reads.

    Raises
    ------
    InputError, MissingFileError, OSError
        As :func:`read_fm_setup` raises them.
    """
    sections, labels, _, _ = _checked(path)
    return _frames_of(sections, labels)


def _checked(path: str | Path) -> tuple[Sections, FittedLabels, Basis, list[str]]:
    """The lines, labels, basis and notes of an ``fm_setup.in``. Raises InputError for what is not supported."""
    sections = read_sections(require_file(path, "fm_setup.in"))
    for key, what in REFUSED.items():
        if sections.flag(key):
            sections.fail(f"{key} is true: {what} is not supported", sections.values[key])
    if "SKPFRMS" in sections.values and sections.integer(sections.values["SKPFRMS"], 0, "SKPFRMS", least=-1) > 1:
        sections.fail("SKPFRMS above 1: skipping frames is not supported", sections.values["SKPFRMS"])
    labels = fitted_labels(sections)
    basis = basis_of(sections, labels.energy)
    notes = [*_notes(sections, basis), *_unknown(sections, basis)]
    sections.integer(sections.need("NFRAMES"), 0, "NFRAMES", least=1)
    sections.need("TRJFILE")
    return sections, replace(labels, elements=basis.elements), basis, notes


def _frames_of(sections: Sections, labels: FittedLabels) -> SetupFrames:
    n_frames = sections.integer(sections.need("NFRAMES"), 0, "NFRAMES", least=1)
    notes: list[str] = []
    trajectories = trajectories_of(sections, sections.need("TRJFILE"), n_frames, notes)
    return SetupFrames(tuple(trajectories), labels, tuple(notes))


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


def _own_masses(basis: Basis) -> str:
    """Which masses are kept as the file states them."""
    kept = ", ".join(f"{element} {mass:g}" for element, mass in basis.masses.items())
    return f", and of this file {kept}" if kept else ""


def _notes(sections: Sections, basis: Basis) -> list[str]:
    notes = [
        f"{key} {sections.values[key]}: no effect here; {why}"
        for key, why in WITHOUT_EFFECT.items()
        if key in sections.values
    ]
    notes.append(f"ATMMASS: masses have no effect on a fit; parameter files have standard ones{_own_masses(basis)}")
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
