"""Reading frames from trajectories, one file or many, whatever their format."""

from __future__ import annotations

import itertools
import json
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import HiertlWarning, InputError
from ..frames.label_summary import summarise_labels
from .ase_files import is_for_ase, need_ase
from .label_keys import LabelKeys
from .reading import Reading, are_small, frames_of_file
from .text_files import default_groups, find_files, names_apart, unpacked_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..frames.frame import Frame

FORMATS: Final = {".xyzf": "xyzf", ".extxyz": "extxyz", ".exyz": "extxyz", ".xyz": "extxyz"}
SETUP: Final = re.compile(rb"^\s*#\s*(TRJFILE|PAIRTYP|NATMTYP)\s*#", re.M)
"""Keywords of an fm_setup.in."""

HEAD: Final = 2**16
"""Bytes of a file in which these are looked for."""

MOST_WARNINGS: Final = 20
"""Sentences of one warning."""


# long: its parameters are documented
def read_frames(
    path: str | Path | Iterable[str | Path],
    *,
    format: str | None = None,
    group: str | None = None,
    group_key: str | None = None,
    energy_key: str | None = None,
    forces_key: str | None = None,
    stress_key: str | None = None,
    virial_key: str | None = None,
    start: int = 0,
    stop: int | None = None,
) -> list[Frame]:
    """Read trajectories, in the package's units (Å, kcal/mol; stress positive under compression).

    Extended XYZ and ChIMES' own format are read by this package itself, all else by ASE
    (``pip install "hiertl-dist[ase]"``), frame by frame.

    Parameters
    ----------
    path : str, Path, or iterable of them
        A file, a glob pattern, or several of them; plain, or packed with gzip, bzip2 or xz (zstandard where Python
        can). Matches of a pattern are sorted.
    format : {"extxyz", "xyzf", "ase"}, optional
        Default: by extension (``.extxyz``, ``.exyz``, ``.xyz``, ``.xyzf``, in any case, followed by ``.gz``, ``.bz2``,
        ``.xz``), and ``"ase"`` for files called ``*OUTCAR*``, ``*vasp*.xml``, ``*.traj``, ``*.db`` and ``*.aselmdb``
        (with ``pip install ase-db-backends``). ``format="ase"`` reads whatever ``ase.io.iread`` does.
    group : str, optional
        Group of every frame; default: the file's name without its extensions, and before it, where other files have the
        same name, as much of its path as tells them apart; of ``run1/OUTCAR`` and ``run2/OUTCAR`` (``vasprun.xml``)
        that alone: ``run1`` and ``run2``.
    group_key : str, optional
        What holds the group of each frame: a key of the comment line of extended XYZ, of ``atoms.info``, or of the
        key-value pairs or the data of a row of an ASE database.
    energy_key, forces_key, stress_key, virial_key : str, optional
        Where extended XYZ keeps the labels; defaults ``energy`` (eV), ``forces`` (eV/Å), ``stress`` (eV/Å³, ASE's sign)
        and ``virial`` (eV, −V × stress). Of what ASE reads they are names of its results, of ``atoms.info`` and of
        ``atoms.arrays``. A label whose default key is absent is absent; a key named here that no frame has is an
        error. Naming one leaves the others under their usual names, but that of two keys of a stress only the one named
        is read.
    start : int, default 0
        Number of frames at the beginning, counted over all files in order, that are passed over.
    stop : int, optional
        The number, counted from 0, of the first frame that is not given back; it and those after it are not read.
        Default: all are given back.

    Returns
    -------
    list of Frame
        Each says in ``Frame.origin`` which frame of which file it is (as much of the path as tells files of one name
        apart), and in ``Frame.labels`` where its labels come from; :func:`summarise_labels` counts that.

    Warns
    -----
    HiertlWarning
        Once, of what is likely not meant: a look-alike passed over where the label is missing (``force``,
        ``REF_energy``), a named key that is in some frames only, a stress or lattice dropped, all energies exactly 0.

    Raises
    ------
    FrameError
        Naming file, frame (from 1) and line: damaged or truncated files, missing or extra columns, non-finite
        numbers, singular cells, coinciding atoms; or a named key that no frame has.
    InputError
        Options that contradict each other, or an unknown format.
    MissingFileError
        There is no such file, or none of a pattern: where was looked and which names are similar is said.
    OSError
        A file cannot be opened.

    Examples
    --------
    >>> frames = read_frames("data/*.extxyz", group_key="config_type")
    """
    frames = list(
        iter_frames(
            path, format=format, group=group, group_key=group_key, energy_key=energy_key,
            forces_key=forces_key, stress_key=stress_key, virial_key=virial_key, start=start, stop=stop,
        )
    )  # fmt: skip
    warn_of_labels(frames, "read_frames")
    return frames


def warn_of_labels(frames: Iterable[Frame], caller: str) -> None:
    """One HiertlWarning, on the line that called ``caller``, of what is likely not meant of the frames' labels."""
    if lines := summarise_labels(frames).warnings():
        more = [f"… and {len(lines) - MOST_WARNINGS} more"] if len(lines) > MOST_WARNINGS else []
        text = "\n  ".join((f"{caller}:", *lines[:MOST_WARNINGS], *more)) if len(lines) > 1 else f"{caller}: {lines[0]}"
        warnings.warn(text, HiertlWarning, stacklevel=3)


def iter_frames(
    path: str | Path | Iterable[str | Path],
    *,
    format: str | None = None,
    group: str | None = None,
    group_key: str | None = None,
    energy_key: str | None = None,
    forces_key: str | None = None,
    stress_key: str | None = None,
    virial_key: str | None = None,
    start: int = 0,
    stop: int | None = None,
) -> Iterator[Frame]:
    """As :func:`read_frames`, one frame at a time and without a warning; options and patterns are checked at once.

    Parameters
    ----------
    path : str, Path, or iterable of them
        As for :func:`read_frames`.
    format : {"extxyz", "xyzf", "ase"}, optional
        As for :func:`read_frames`.
    group, group_key : str, optional
        As for :func:`read_frames`.
    energy_key, forces_key, stress_key, virial_key : str, optional
        As for :func:`read_frames`.
    start, stop : int, optional
        As for :func:`read_frames`.

    Returns
    -------
    iterator of Frame
        The frames in order; a file is opened when its first frame is asked for.

    Raises
    ------
    FrameError, InputError, MissingFileError, OSError
        As :func:`read_frames` raises them: for options and paths at once, for what is in a file when its frames are
        asked for. That a named key is in no frame shows after the last one.
    """
    if start < 0 or (stop is not None and stop < start):
        raise InputError(f"expected 0 ≤ start ≤ stop, found start {start}, stop {stop}")
    keys = LabelKeys(energy_key, forces_key, stress_key, virial_key)
    files = files_to_read(path, keys, format=format, group=group, group_key=group_key)
    return _checked(itertools.islice(_frames(files, keys, stop), start, stop), files, keys)


def files_to_read(
    path: str | Path | Iterable[str | Path], keys: LabelKeys, *, format: str | None, group: str | None,
    group_key: str | None,
) -> list[tuple[Path, Reading]]:  # fmt: skip
    """The files that paths and patterns stand for, and how each is read. Raises as :func:`iter_frames` at once."""
    return readings_of(find_files(path), keys, format=format, group=group, group_key=group_key)


def readings_of(
    found: Iterable[tuple[Path, str]], keys: LabelKeys, *, format: str | None, group: str | None, group_key: str | None
) -> list[tuple[Path, Reading]]:
    """The same of files that were found, each with the path or pattern that stands for it."""
    if group is not None and group_key is not None:
        raise InputError(f"group {group!r} and group_key {group_key!r} are both given; only one can name the group")
    listed = list(found)
    paths = [file for file, _ in listed]
    own = zip(listed, names_apart(paths), default_groups(paths), strict=True)
    files = [
        (file, Reading(format_of(file, format), group or default, asked, group_key, *keys.given(), name=name))
        for (file, asked), name, default in own
    ]
    xyzf = next((file for file, reading in files if reading.kind == "xyzf"), None)
    if xyzf is not None and (named := group_key or next(iter(keys.named().values()), None)):
        raise InputError(f"{xyzf}: the key {named!r} is named, but an xyzf file has no keys")
    for file, reading in files:
        if reading.kind == "ase":
            need_ase(file)
    return files


def _checked(frames: Iterator[Frame], files: list[tuple[Path, Reading]], keys: LabelKeys) -> Iterator[Frame]:
    """The frames; after the last, every key that was named must have been met."""
    any_frame = False
    for frame in frames:
        any_frame = True
        yield frame
    if any_frame:
        keys.check_seen(", ".join(str(file) for file, *_ in files))


def _frames(files: list[tuple[Path, Reading]], keys: LabelKeys, stop: int | None) -> Iterator[Frame]:
    small = are_small(file for file, _ in files)
    count = 0
    for file, reading in files:
        most = None if stop is None else stop - count
        for frame in frames_of_file(file, reading, keys, small=small, most=most):
            count += 1
            yield frame


def format_of(file: Path, given: str | None = None) -> str:
    """The format of a file: the one given, else what its name says. Raises InputError where that is none."""
    known = sorted({*FORMATS.values(), "ase"})
    if given is not None:
        if given not in known:
            raise InputError(f"expected a format of {known}, found {given!r}")
        return given
    suffix = Path(unpacked_name(file.name)).suffix
    if suffix.lower() not in FORMATS and is_for_ase(file):
        return "ase"
    if suffix.lower() not in FORMATS:
        raise InputError(
            _no_trajectory(file)
            or f"{file}: unknown extension {suffix!r}; expected one of {list(FORMATS)}, or format (on a command "
            f"line --format) {' or '.join(map(repr, known))}"
        )
    return FORMATS[suffix.lower()]


def is_fm_setup(file: Path) -> bool:
    """Whether a file is no trajectory, by its name, and an ``fm_setup.in``, by what it begins with."""
    suffix = Path(unpacked_name(file.name)).suffix.lower()
    if suffix in (*FORMATS, ".toml") or is_for_ase(file):
        return False
    with file.open("rb") as stream:
        return SETUP.search(stream.read(HEAD)) is not None


def _no_trajectory(file: Path) -> str:
    """What to say of a file that is an input instead; nothing if it is none."""
    if file.suffix.lower() == ".toml":
        return f"{file}: expected trajectories, found an input file, which hiertl-dist fit takes as it is"
    if not is_fm_setup(file):
        return ""
    line = f"fm_setup = {json.dumps(file.name, ensure_ascii=False)}"
    return (
        f"{file}: expected trajectories, found an input of chimes_lsq (fm_setup.in), which names basis and "
        f"trajectories itself: an input file with the line {line} beside it can be fitted "
        "(hiertl-dist fit input.toml), and hiertl-dist import takes it for its frames; for another basis give "
        "hiertl-dist init the trajectories that its TRJFILE names"
    )
