"""``FileKeys``: what names there are in a file that may be those of labels and groups."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..io.ase_files import images_of_ase, is_of_vasp
from ..io.comments import LISTS, NUMBER, parse_comment
from ..io.labelled_atoms import are_numbers
from ..io.layouts import DEFAULT_PROPERTIES
from ..io.lines import LineSource
from ..text.words import whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GROUP_KEYS: Final = ("config_type", "group", "trajectory", "traj", "dataset", "structure_type", "system", "config")
"""Keys that name a frame's group, the likeliest first; ``config_type`` is QUIP's, GAP's and FitSNAP's."""


@dataclass
class FileKeys:
    """What the comment lines of an extended XYZ file, or the images of a file for ASE, name.

    Attributes
    ----------
    path : Path
        The file.
    frames : int
        How many were looked at.
    keys : Counter
        Keys of the comment line, of ``info`` and of results, and in how many frames each is with a value.
    sizes : dict from str to int or None
        Per key, how many numbers its value has in each frame that has it; ``None`` where that differs or it is no
        numbers.
    columns : Counter
        Columns of three real numbers an atom, and in how many frames.
    groups : dict from str to Counter
        Of the keys in :data:`GROUP_KEYS`, their values.
    """

    path: Path
    frames: int = 0
    keys: Counter[str] = field(default_factory=Counter)
    sizes: dict[str, int | None] = field(default_factory=dict)
    columns: Counter[str] = field(default_factory=Counter)
    groups: dict[str, Counter[str]] = field(default_factory=dict)


def file_keys(path: Path, format: str = "extxyz", most: int | None = None) -> FileKeys:
    """Read the comment lines of an extended XYZ file, or what ASE reads (``format="ase"``), of so many frames at most.

    Text that cannot be read is read as far as that goes. Of files of VASP the first frame is looked at: there are no
    keys in them but those of labels. Raises FrameError naming frame and line, or OSError, where the reader would.
    """
    in_file = FileKeys(path)
    if format == "ase":
        for image in itertools.islice(images_of_ase(path), 1 if is_of_vasp(path) else most):
            in_file.frames += 1
            _enter_image(in_file, image.atoms)
        return in_file
    with LineSource(path) as source:
        while (line := source.read_filled()) is not None and (n := whole_number(line.strip())):
            if source.frame == most:
                break
            source.frame += 1
            comment = source.read()
            if comment is None:
                break
            in_file.frames += 1
            _enter(in_file, parse_comment(comment, LISTS, source.error).values)
            for _ in range(n):
                if source.read() is None:
                    break
    return in_file


def _enter(in_file: FileKeys, info: Mapping[str, str]) -> None:
    for key, value in info.items():
        if not value:
            continue
        in_file.keys[key] += 1
        words = re.sub(r"[\[\]{},]", " ", value).split()
        size = len(words) if words and all(NUMBER.fullmatch(w) for w in words) else None
        if in_file.sizes.setdefault(key, size) != size:
            in_file.sizes[key] = None
        if key in GROUP_KEYS:
            in_file.groups.setdefault(key, Counter())[value] += 1
    fields = info.get("Properties", DEFAULT_PROPERTIES).split(":")
    for name, kind, width in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
        if kind.upper() == "R" and width == "3":
            in_file.columns[name] += 1


def _enter_image(in_file: FileKeys, atoms: Any) -> None:
    of_atoms = atoms.info | {k: v for k, v in (getattr(atoms.calc, "results", None) or {}).items() if v is not None}
    for key, value in of_atoms.items():
        size = int(np.size(value)) if are_numbers(value) else None
        in_file.keys[str(key)] += 1
        if in_file.sizes.setdefault(str(key), size) != size:
            in_file.sizes[str(key)] = None
        if key in GROUP_KEYS and (name := str(value).strip()):
            in_file.groups.setdefault(key, Counter())[name] += 1
    for key, value in (*of_atoms.items(), *atoms.arrays.items()):
        if are_numbers(value) and np.shape(value) == (len(atoms), 3):
            in_file.columns[str(key)] += 1
