"""Frames from ASE's ``Atoms``, for users whose data is already in Python. Needs no import of ASE itself."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from ..errors import FrameError
from ..frames.frame import Frame
from ..text.words import shown
from .label_keys import LabelKeys
from .labelled_atoms import labelled_frame
from .trajectories import warn_of_labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def frames_from_ase(
    images: Iterable[Any] | Any,
    *,
    group: str = "ase",
    group_key: str | None = None,
    energy_key: str | None = None,
    forces_key: str | None = None,
    stress_key: str | None = None,
    virial_key: str | None = None,
) -> list[Frame]:
    """Frames of ASE ``Atoms`` (Å, eV, eV/Å, eV/Å³), as :func:`read_frames` makes them of a file that ASE writes.

    A label is looked for in the results of the calculator, in ``atoms.info`` and in ``atoms.arrays``; nothing is
    calculated. ASE's stress has the opposite sign and the order xx yy zz yz xz xy. Of ``energy`` and ``free_energy``
    the former is taken, as from a file; where they differ, that is said: forces of electronic-structure codes are
    derivatives of the free energy, and ``energy_key="free_energy"`` takes that.

    Parameters
    ----------
    images : iterable of ASE Atoms, or ASE Atoms
        A sequence of Atoms, an open ASE trajectory, or one Atoms.
    group : str, default "ase"
        Group of the frames, unless ``group_key`` is given.
    group_key : str, optional
        Key of ``atoms.info`` that holds the group of each frame; where that is empty, ``group`` is taken.
    energy_key, forces_key, stress_key, virial_key : str, optional
        As for :func:`read_frames`; defaults ``energy`` (eV), ``forces`` (eV/Å), ``stress`` (eV/Å³), and ``virial``
        (eV, −V × stress).

    Returns
    -------
    list of Frame
        In the order of the images and in the package's units (Å, kcal/mol; stress positive under compression).

    Warns
    -----
    HiertlWarning
        As :func:`read_frames` does: look-alikes passed over, a key in some images only, a stress or a cell dropped,
        energies that are all exactly 0 (as of ASE's readers of dumps that have none).

    Raises
    ------
    FrameError
        Naming the image: labels of a calculator whose atoms have changed since the calculation (ASE gives none
        either), a label that is given twice and differs, or has another shape; coinciding atoms, or what
        :class:`~hiertl_dist.Frame` refuses. A named key that no image has, or something that is no Atoms.
    """
    keys = LabelKeys(energy_key, forces_key, stress_key, virial_key)
    source = "ASE Atoms" if group == "ase" else f"ASE Atoms of {group!r}"
    frames = [labelled_frame(atoms, f"image {i}", keys, group, group_key, source) for i, atoms in _numbered(images)]
    if frames:
        keys.check_seen("frames_from_ase")
    warn_of_labels(frames, "frames_from_ase")
    return frames


def _numbered(images: Any) -> Iterator[tuple[int, Any]]:
    """The images, from 1. Raises FrameError for what is none."""
    if isinstance(images, str | PathLike):
        raise FrameError(
            f"frames_from_ase: expected ASE Atoms, found the path {shown(str(images))}; read_frames reads files, and "
            "ase.io.read(path, ':') gives Atoms"
        )
    if _is_atoms(images):
        images = [images]
    if not hasattr(images, "__iter__") and not hasattr(images, "__getitem__"):
        raise FrameError(f"frames_from_ase: expected a sequence of ASE Atoms, found {type(images).__name__}")
    for i, atoms in enumerate(images, 1):
        if not _is_atoms(atoms):
            raise FrameError(f"image {i}: expected ASE Atoms, found {type(atoms).__name__} {shown(atoms)}")
        yield i, atoms


def _is_atoms(value: Any) -> bool:
    return all(hasattr(value, name) for name in ("get_positions", "get_chemical_symbols", "pbc", "cell", "info"))
