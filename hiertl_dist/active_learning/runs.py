"""Where runs of the model start and under which conditions: the states of a ``[cycle]`` table, one by one."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import FrameError, InputError
from ..frames.element_set import ElementSet
from ..frames.frame import Frame
from ..frames.frame_sequence import sequence_of
from ..io.trajectories import read_frames
from ..probes.compositions import assigned_species, generator
from ..probes.structures import scaled
from ..probes.volumes import size_of
from ..text.display import listed
from ..text.words import count_text
from ..units import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ..frames.frame_sequence import FrameSequence
    from ..jobs.cycle_settings import CycleSettings, CycleState

FOR_VOLUMES: Final = 500
"""Frames from which volumes of atoms are taken, evenly over all."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run of molecular dynamics.

    Attributes
    ----------
    number : int
        From 0, in its cycle.
    cycle : int
        Which cycle.
    start : Frame
        Without labels, as it begins.
    temperature : float
        K.
    pressure : float or None
        GPa; None: the volume is kept.
    volume : float
        Times the volume of the frame that it was made of.
    fresh : bool
        Whether the start is no frame that was fitted, so that it may be picked, too.
    """

    number: int
    cycle: int
    start: Frame
    temperature: float
    pressure: float | None
    volume: float
    fresh: bool

    @property
    def name(self) -> str:
        """The conditions and the start, for people."""
        where = f"{self.temperature:g} K"
        if self.pressure is not None:
            where += f", {self.pressure:g} GPa"
        elif self.volume != 1.0:
            where += f", volume × {self.volume:g}"
        return f"{self.start.formula}, {where}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: all but the positions of the start, which has a digest."""
        return {
            "run": self.number, "name": self.name, "start": self.start.origin, "formula": self.start.formula,
            "configuration": self.start.configuration, "temperature": self.temperature, "pressure": self.pressure,
            "volume": self.volume,
        }  # fmt: skip


def planned_runs(
    settings: CycleSettings, fitted: Sequence[Frame], elements: Sequence[str], cycle: int
) -> tuple[list[Run], list[str]]:
    """The runs of a cycle, and what is to be said of them.

    Parameters
    ----------
    settings : CycleSettings
        States and seed.
    fitted : sequence of Frame
        Frames that runs may start from.
    elements : sequence of str
        Those of the basis.
    cycle : int
        Which cycle; other cycles draw other starts.

    Returns
    -------
    tuple of (list of Run, list of str)
        Runs in the order of states, starts, compositions, temperatures, pressures and volumes; and notes.

    Raises
    ------
    InputError
        No frame is of a state; nothing tells the volume of an element of a composition.
    FrameError
        A start has types that are no elements of the periodic table, or that the basis lacks.
    """
    runs: list[Run] = []
    notes: list[str] = []
    frames = sequence_of(fitted)
    for number, state in enumerate(settings.states):
        for start, fresh in _starts(state, frames, number, settings.seed, cycle, notes):
            _check_elements(start, elements)
            conditions = itertools.product(state.temperatures, state.pressures or (None,), state.volumes or (1.0,))
            for temperature, pressure, volume in conditions:
                if (pressure is not None or volume != 1.0) and not start.periodic:
                    raise FrameError(
                        f"{start.origin}: expected a start that repeats in three directions for a state with "
                        "pressures or volumes, found one without a volume"
                    )
                own = start if volume == 1.0 else scaled(start, volume ** (1 / 3), origin=start.origin)
                runs.append(
                    Run(len(runs), cycle, own, float(temperature), pressure, float(volume), fresh or volume != 1.0)
                )
    return runs, notes


def _starts(
    state: CycleState, frames: FrameSequence, number: int, seed: int, cycle: int, notes: list[str]
) -> Iterator[tuple[Frame, bool]]:
    """Starting structures of a state, and whether they are none of the frames that are fitted."""
    where = f"cycle.states[{number + 1}]"
    if state.start:
        pool: Sequence[Frame] = read_frames(list(state.start))
    else:
        pool = frames.where(elements=state.elements or None, group=state.groups or None)
    if not len(pool):
        groups = f" and is of the groups {listed(state.groups)}" if state.groups else ""
        raise InputError(
            f"{where}: no fitted frame has {listed(state.elements) or 'all'} elements{groups}; there are "
            f"{listed(sorted(frames.facts.element_sets()))}, of the groups {listed(sorted(frames.facts.groups()))}"
        )
    rng = generator(seed, "start", cycle, number)
    if state.count > len(pool):
        notes.append(f"{where}: {count_text(state.count, 'start')} asked for, {len(pool)} there")
    drawn = np.sort(rng.choice(len(pool), min(state.count, len(pool)), replace=False))
    volumes = _atomic_volumes(frames) if state.compositions else {}
    for index in drawn.tolist():
        frame = pool[index]
        bare = frame.without_labels(energy=True, forces=True, stress=True)
        if not state.compositions:
            yield bare, bool(state.start)
        for shares in state.compositions:
            yield _reassigned(bare, shares, volumes, rng, where), True


def _reassigned(
    frame: Frame, shares: Mapping[str, float], volumes: Mapping[str, float], rng: np.random.Generator, where: str
) -> Frame:
    """A frame with elements assigned anew, in these shares, its volume that of its atoms."""
    names = sorted(shares)
    counts = _counts(np.array([shares[e] for e in names], np.float64), len(frame))
    if not counts.all():
        raise InputError(
            f"{where}.compositions: {frame.origin} has {count_text(len(frame), 'atom')}, too few for all elements of "
            f"{dict(shares)}; start from a larger frame"
        )
    species = assigned_species(names, counts, rng)
    factor = 1.0
    if frame.periodic:
        if lacking := [e for e in sorted({*species, *frame.species}) if e not in volumes]:
            raise InputError(
                f"{where}.compositions: nothing tells the volume of an atom of {listed(lacking)}: no fitted frame that "
                "fills space has it in a share of its own; give starting structures of this composition in start "
                "(hiertl-dist probes makes some)"
            )
        factor = (sum(volumes[e] for e in species) / sum(volumes[e] for e in frame.species)) ** (1 / 3)
    origin = f"{frame.origin} as {', '.join(f'{e} {species.count(e)}' for e in names)}"
    return scaled(frame, factor, origin=origin, species=species)


def _counts(shares: NDArray[np.float64], atoms: int) -> NDArray[np.int64]:
    """Whole numbers of atoms in shares, largest remainders first."""
    wanted = shares / shares.sum() * atoms
    counts = np.floor(wanted + 1e-9).astype(np.int64)
    counts[np.argsort(counts - wanted, kind="stable")[: atoms - int(counts.sum())]] += 1
    return np.asarray(counts, np.int64)


def _atomic_volumes(frames: FrameSequence) -> dict[str, float]:
    """Å³ an atom by element: least squares of the volumes of frames that fill space, where these determine it."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), FOR_VOLUMES)).round().astype(np.int64))
    dense = [f for f in (frames[int(i)] for i in chosen) if size_of(f).dense]
    if not dense:
        return {}
    names = sorted(set().union(*(f.elements for f in dense)))
    counts = np.array([[f.species.count(e) for e in names] for f in dense], np.float64)
    sizes = counts.sum(axis=1)
    shares, targets = counts / sizes[:, np.newaxis], np.array([f.volume for f in dense]) / sizes
    values, _, rank, _ = np.linalg.lstsq(shares, targets, rcond=1e-6)
    if rank == len(names):
        return {e: float(v) for e, v in zip(names, values, strict=True) if v > 0.0}
    return {e: float(targets[shares[:, k] == 1.0].mean()) for k, e in enumerate(names) if (shares[:, k] == 1.0).any()}


def _check_elements(frame: Frame, elements: Sequence[str]) -> None:
    if odd := sorted(frame.elements - SYMBOLS):
        raise FrameError(
            f"{frame.origin}: molecular dynamics in ASE needs chemical elements, which have masses; found "
            f"{', '.join(odd)}"
        )
    if odd := sorted(frame.elements - set(elements)):
        raise FrameError(
            f"{frame.origin}: expected a start of the elements {', '.join(elements)} of the basis, found "
            f"{', '.join(str(ElementSet.of([e])) for e in odd)} in it"
        )
