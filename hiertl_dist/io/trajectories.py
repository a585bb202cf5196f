"""Reading frames from trajectories, one file or many, whatever their format."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import FrameError, InputError
from ..paths import local_path
from .extxyz import LabelKeys, iter_extxyz
from .lines import LineSource, stem
from .xyzf import iter_xyzf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..frames import Frame

FORMATS: Final = {".xyzf": "xyzf", ".extxyz": "extxyz", ".exyz": "extxyz", ".xyz": "extxyz"}


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

    Parameters
    ----------
    path : a file, a glob pattern, or a sequence of them; plain or gzipped. Matches of a pattern are sorted.
    format : ``"extxyz"`` or ``"xyzf"``; default: by extension (``.extxyz``, ``.exyz``, ``.xyz``, ``.xyzf``).
    group : group of every frame; default: the file's name without its extensions.
    group_key : a key of the comment line that holds the group of each frame (extended XYZ).
    energy_key, forces_key, stress_key, virial_key : where extended XYZ keeps the labels; defaults
        ``energy``, ``forces``, ``stress`` (eV/Å³, ASE's sign) and ``virial`` (eV, −V × stress). A label
        whose default key is absent is absent; a key named here that no frame has is an error.
    start, stop : the slice of all frames, in order, to give back; those after ``stop`` are not read.

    Raises
    ------
    FrameError
        Naming file, frame (from 1) and line: damaged or truncated files, missing or extra columns,
        non-finite numbers, unknown elements, singular cells, mixed periodicity, coinciding atoms; or
        a pattern without a match, or a named key that no frame has.
    InputError
        Options that contradict each other, or an unknown format.
    OSError
        A file cannot be opened.
    """
    return list(
        iter_frames(
            path, format=format, group=group, group_key=group_key, energy_key=energy_key,
            forces_key=forces_key, stress_key=stress_key, virial_key=virial_key, start=start, stop=stop,
        )
    )  # fmt: skip


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
    """As :func:`read_frames`, one frame at a time; options and patterns are checked at once."""
    if group is not None and group_key is not None:
        raise InputError(
            f"group {group!r} and group_key {group_key!r} are both given; only one can name the group"
        )
    if start < 0 or (stop is not None and stop < start):
        raise InputError(f"expected 0 ≤ start ≤ stop, found start {start}, stop {stop}")
    files = [(file, _format(file, format)) for file in find_files(path)]
    keys = LabelKeys(energy_key, forces_key, stress_key, virial_key)
    xyzf = next((file for file, kind in files if kind == "xyzf"), None)
    if xyzf is not None and (named := group_key or next(iter(keys.named().values()), None)):
        raise InputError(f"{xyzf}: the key {named!r} is named, but an xyzf file has no keys")
    return _checked(itertools.islice(_frames(files, keys, group, group_key), start, stop), files, keys)


def _checked(frames: Iterator[Frame], files: list[tuple[Path, str]], keys: LabelKeys) -> Iterator[Frame]:
    """The frames; after the last, every key that was named must have been met."""
    any_frame = False
    for frame in frames:
        any_frame = True
        yield frame
    if any_frame:
        keys.check_seen(", ".join(str(file) for file, _ in files))


def _frames(
    files: list[tuple[Path, str]], keys: LabelKeys, group: str | None, group_key: str | None
) -> Iterator[Frame]:
    for file, kind in files:
        name = group or stem(file)
        with LineSource(file) as source:
            if kind == "xyzf":
                yield from iter_xyzf(source, name)
            else:
                yield from iter_extxyz(source, keys, name, group_key)


def _format(file: Path, given: str | None) -> str:
    known = sorted(set(FORMATS.values()))
    local_path(file, "trajectory")
    if given is not None:
        if given not in known:
            raise InputError(f"expected a format of {known}, found {given!r}")
        return given
    suffix = Path(file.name.removesuffix(".gz")).suffix
    if suffix not in FORMATS:
        raise InputError(
            f"{file}: unknown extension {suffix!r}; expected one of {list(FORMATS)}, or format={known}"
        )
    return FORMATS[suffix]


def find_files(path: str | Path | Iterable[str | Path]) -> list[Path]:
    """The files that paths and patterns stand for, those of a pattern sorted.

    Raises FrameError when a pattern matches nothing or there is no path at all.
    """
    if isinstance(path, str | Path):
        found = [Path(path)]
        # A file whose name has brackets in it is that file.
        if not found[0].exists() and any(c in str(path) for c in "*?["):
            pattern = Path(path)
            anchor = Path(pattern.anchor)
            relative = pattern.relative_to(anchor) if pattern.anchor else pattern
            found = sorted(file for file in anchor.glob(str(relative)) if file.is_file())
            if not found:
                raise FrameError(f"{path}: no file matches this pattern")
        return found
    files = [file for one in path for file in find_files(one)]
    if not files:
        raise FrameError("expected at least one file, found an empty sequence")
    return files
