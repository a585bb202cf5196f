"""Volumes of elements and of their mixtures: by what lengths of a frame are multiplied when its elements change."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..errors import InputError
from .contacts import nearest_distances

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from ..frames.frame import Frame

VACUUM: Final = 5.0
"""Å: a layer without atoms that is wider than this, and than two distances of neighbours, is vacuum."""


class FrameSize(NamedTuple):
    """How large the atoms of a frame are.

    Attributes
    ----------
    volume : float
        Å³ an atom; NaN of a molecule, slab or wire, and where there is a layer of vacuum.
    nearest : float
        Å, mean distance of atoms from their nearest neighbours; NaN where no atom has one.
    shortest : float
        Å, the shortest of these distances; infinite where no atom has one.
    """

    volume: float
    nearest: float
    shortest: float

    @property
    def dense(self) -> bool:
        """Whether its volume means anything."""
        return not np.isnan(self.volume)


def size_of(frame: Frame) -> FrameSize:
    """The size of a frame's atoms."""
    nearest = nearest_distances(frame)
    known = nearest[np.isfinite(nearest)]
    mean = float(known.mean()) if len(known) else float("nan")
    dense = len(known) == len(nearest) and not has_vacuum(frame, mean)
    volume = frame.volume / len(frame) if dense else float("nan")
    return FrameSize(volume, mean, float(nearest.min()))


def has_vacuum(frame: Frame, nearest: float) -> bool:
    """Whether a frame does not repeat in three directions, or has a layer of vacuum across one of its cell vectors.

    ``nearest`` is the mean distance of its neighbours, Å. Slabs and molecules are often given in a cell that repeats.
    """
    if not frame.periodic or frame.cell is None:
        return True
    inverse = np.linalg.inv(frame.cell)
    spacings = 1.0 / np.linalg.norm(inverse, axis=0)
    places: NDArray[np.float64] = np.sort((frame.positions @ inverse) % 1.0, axis=0)
    gaps = np.diff(np.concatenate([places, places[:1] + 1.0]), axis=0).max(axis=0) * spacings
    return bool(gaps.max() > max(VACUUM, 2.0 * nearest))


def group_pattern(group: str, element: str) -> str:
    """A group's name without its element, ``Mo_AIMD`` → ``*_AIMD``: what it has in common with those of others."""
    return re.sub(rf"(?<![A-Za-z]){re.escape(element)}(?![a-z])", "*", group)


@dataclass(frozen=True)
class Volumes:
    """Volumes of elements by which frames are scaled to those of mixtures.

    Attributes
    ----------
    unit : str
        What they are: ``"volume"``, Å³ an atom, or ``"distance"``, the cube of the mean distance of nearest neighbours.
    general : Mapping from str to float
        Of each element.
    by_pattern : Mapping from str to Mapping from str to float
        The same by pattern of groups (:func:`group_pattern`), for those that all elements have.
    """

    unit: str
    general: Mapping[str, float]
    by_pattern: Mapping[str, Mapping[str, float]]

    def of(self, element: str, group: str) -> Mapping[str, float]:
        """The volumes that go with a group of frames of an element."""
        return self.by_pattern.get(group_pattern(group, element), self.general)

    def scale(self, element: str, group: str, shares: Mapping[str, float]) -> float:
        """By what lengths of a frame are multiplied to come from an element's volume to that of a mixture.

        V = Σ x_e V_e is the mixture's volume; a frame keeps its strain, for its own volume is multiplied by V / V_e.

        Parameters
        ----------
        element, group : str
            Of the frame.
        shares : Mapping from str to float
            x_e, the share of each element.

        Returns
        -------
        float
            (V / V_e)^(1/3).
        """
        volumes = self.of(element, group)
        return float((sum(x * volumes[e] for e, x in shares.items()) / volumes[element]) ** (1.0 / 3.0))


Sized = tuple[str, str, FrameSize]
"""Element, group and size of a frame."""


def volumes_of(elements: Iterable[str], sizes: Iterable[Sized], given: Mapping[str, float]) -> Volumes:
    """Volumes of elements from the sizes of frames of theirs.

    Parameters
    ----------
    elements : iterable of str
        The elements of the mixture.
    sizes : iterable of tuple (str, str, FrameSize)
        Element, group and size of frames of single elements.
    given : Mapping from str to float
        Å³ an atom of elements of which it is known; frames of theirs are not asked.

    Returns
    -------
    Volumes
        Of an element, the mean over its groups of the mean of a group. Where an element has frames, but none that fills
        space, distances of all elements take the place of volumes.

    Raises
    ------
    InputError
        Nothing is known of an element, or volumes of one and only distances of another.
    """
    names = sorted(elements)
    volumes: dict[tuple[str, str], list[float]] = defaultdict(list)
    cubes: dict[tuple[str, str], list[float]] = defaultdict(list)
    for element, group, size in sizes:
        if size.dense and element not in given:
            volumes[element, group].append(size.volume)
        if not np.isnan(size.nearest):
            cubes[element, group].append(size.nearest**3)
    known = {e for e, _ in volumes} | set(given)
    if all(e in known for e in names):
        return _gathered("volume", names, volumes, given)
    lacking = [e for e in names if e not in known]
    if any(e not in {e for e, _ in cubes} for e in names):
        raise InputError(
            f"probes: nothing is known of the volume of {', '.join(lacking)}: expected frames of the element alone, "
            "or its volume in Å³ an atom, as in volumes={'" + lacking[0] + "': 16.0}"
        )
    if used := [e for e in names if e in given]:
        raise InputError(
            f"probes: frames of {', '.join(lacking)} fill no space, so only distances of neighbours can be mixed, and "
            f"volumes are given of {', '.join(used)}: give those of all elements, or none"
        )
    return _gathered("distance", names, cubes, {})


def _gathered(
    unit: str, names: list[str], values: Mapping[tuple[str, str], list[float]], given: Mapping[str, float]
) -> Volumes:
    means: dict[str, dict[str, list[float]]] = {e: defaultdict(list) for e in names}
    for (element, group), own in sorted(values.items()):
        if element in means:
            # sorted: a sum must not depend on the order of frames
            means[element][group_pattern(group, element)].append(float(np.mean(np.sort(own))))
    general = {e: given[e] if e in given else float(np.mean([v for g in means[e].values() for v in g])) for e in names}
    asked = [e for e in names if e not in given]
    patterns = set.intersection(*(set(means[e]) for e in asked)) if asked else set()
    by_pattern = {
        p: {e: given[e] if e in given else float(np.mean(means[e][p])) for e in names} for p in sorted(patterns)
    }  # fmt: skip
    return Volumes(unit, general, by_pattern)
