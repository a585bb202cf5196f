"""Frames of files that ASE reads: OUTCAR, vasprun.xml, trajectories, databases, and what else it knows.

ASE is an extra of this package, and is imported when a file is read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ..errors import FrameError, HiertlError, InputError
from ..text.heard_warnings import hearing_warnings
from .ase_databases import database_images, need_lmdb
from .ase_images import Image
from .ase_lammps import DUMPS, dump_images
from .ase_vasp import POSITIONS, outcar_images, require_possible_counts, vasprun_images
from .labelled_atoms import labelled_frame
from .text_files import unpacked_name

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from ..frames.frame import Frame
    from .label_keys import LabelKeys

OUTCAR: Final = re.compile(r"OUTCAR")
VASPRUN: Final = re.compile(r"vasp.*\.xml$", re.I)
DATABASE: Final = re.compile(r"\.(db|aselmdb)$", re.I)
NAMES: Final = (OUTCAR, VASPRUN, DATABASE, re.compile(r"\.traj$", re.I))
"""In the name of a file, without the ending of its packing: it is one for ASE."""

QUIET: Final = (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ResourceWarning, ImportWarning)
"""Warnings of ASE about its own code."""


def is_for_ase(file: Path) -> bool:
    """Whether the name of a file says that ASE reads it."""
    return any(pattern.search(unpacked_name(file.name)) for pattern in NAMES)


def is_of_vasp(file: Path) -> bool:
    """Whether the name of a file says that it is an OUTCAR or a vasprun.xml: there is nothing beside labels in it."""
    return any(pattern.search(unpacked_name(file.name)) for pattern in (OUTCAR, VASPRUN))


def need_ase(file: Path) -> None:
    """Raise InputError, saying what to install, unless what reads a file is there."""
    try:
        import ase.io  # noqa: F401
    except ImportError as error:
        raise InputError(f'{file}: reading this file needs ASE: pip install "hiertl-dist[ase]" ({error})') from error
    if file.name.lower().endswith(".aselmdb"):
        need_lmdb(file)


def frames_of_ase(
    path: Path, keys: LabelKeys, group: str, group_key: str | None, asked: str, name: str
) -> Iterator[Frame]:  # fmt: skip
    """The frames of a file, one at a time.

    Parameters
    ----------
    path : Path
        The file.
    keys : LabelKeys
        Under which names the labels are; gets those that are met.
    group, group_key : str, optional
        The group of the frames, and the key of ``atoms.info``, or of a row of a database, that has another.
    asked : str
        The pattern or path that stands for the file.
    name : str
        What origins call it.

    Yields
    ------
    Frame
        In the package's units.

    Raises
    ------
    FrameError
        Naming file and frame: what ASE can't read, and what :func:`~hiertl_dist.frames_from_ase` refuses.
    InputError
        ASE, or what it needs for the file, is not there.
    OSError
        The file cannot be opened.
    """
    for number, image in enumerate(images_of_ase(path), 1):
        origin = f"{name}, frame {number}"
        try:
            frame = labelled_frame(image.atoms, origin, keys, group, group_key, asked, image.notes, image.doubts)
        except FrameError as error:
            text = str(error).removeprefix(origin).removeprefix(": ")
            raise FrameError(f"{path}, frame {number}: {text}") from error
        yield frame


def images_of_ase(path: Path) -> Iterator[Image]:
    """What ASE reads of a file, at least one image; raises as :func:`frames_of_ase`."""
    need_ase(path)
    with path.open("rb"):  # what can't be opened is an OSError, and what is wrong inside is none
        pass
    images = _images(path)
    number = 0
    try:
        while (image := _next(images, f"{path}, frame {number + 1}")) is not None:
            number += 1
            yield image
    finally:
        images.close()
    if number == 0:
        raise FrameError(f"{path}: expected at least one frame, found none")


def _images(path: Path) -> Generator[Image, None, None]:
    name = unpacked_name(path.name)
    if OUTCAR.search(name):
        yield from outcar_images(path)
    elif VASPRUN.search(name):
        yield from vasprun_images(path)
    elif DATABASE.search(name) or name.lower().endswith(".json"):
        yield from database_images(path)
    else:
        yield from _others(path)


def _others(path: Path) -> Iterator[Image]:
    """What ASE reads by itself; it finds out by name and content what it is."""
    from ase.io import iread
    from ase.io.formats import filetype

    full = str(path.absolute())
    kind = filetype(full)
    if kind == "vasp-out":
        yield from outcar_images(path)
    elif kind == "vasp-xml":
        yield from vasprun_images(path)
    elif kind in ("db", "json"):
        yield from database_images(path)
    elif kind in DUMPS:
        yield from dump_images(path, kind)
    else:
        if kind in POSITIONS:
            require_possible_counts(path)
        # one process reads, even where others of MPI's are there
        for atoms in iread(full, ":", format=kind, parallel=False, do_not_split_by_at_sign=True):
            yield Image(atoms)


def _next(images: Iterator[Image], where: str) -> Image | None:
    """The next image, with ASE's warnings among its doubts; None after the last one."""
    with hearing_warnings() as heard:
        try:
            image = next(images, None)
        except HiertlError:
            raise
        except MemoryError as error:  # a damaged length asks for all that there is
            raise FrameError(
                f"{where}: ASE finds no memory for what the file says is in it: the file is damaged, or one frame is "
                "larger than the memory of this machine"
            ) from error
        except ImportError as error:
            raise InputError(f"{where}: ASE needs more to read this file: {error}") from error
        except Exception as error:
            raise FrameError(f"{where}: ASE can't read it: {_said(error)}") from error
    if image is None:
        return None
    told = dict.fromkeys(f"ASE warns: {_one_line(w.text)}" for w in heard if not issubclass(w.category, QUIET))
    return image._replace(doubts=(*image.doubts, *told))


def _said(error: Exception) -> str:
    text = _one_line(error)
    return f"{type(error).__name__}{f': {text}' if text else ''}"


def _one_line(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 300 else f"{text[:300]}…"
