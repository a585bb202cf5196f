"""``md_frames``: probe structures by short molecular dynamics of a model, in ASE."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..errors import FrameError
from ..frames.element_set import ElementSet
from ..frames.frame import Frame, elements_of
from ..text.words import count_text
from ..units import SYMBOLS
from .checks import check_integers, check_positive, refuse_none
from .compositions import generator
from .contacts import closest_contacts, contact_limits
from .probe_set import ProbeSet, ProbeSource
from .volumes import size_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..model.basis import Basis

MOST_HEAT: Final = 10.0
"""A run whose atoms are so many times as hot as they should be has exploded."""


class _Settings(NamedTuple):
    """How each run is done: numbers of steps, time step in fs, friction in 1/fs, group, limits in Å."""

    steps: int
    every: int
    timestep: float
    friction: float
    group: str
    limits: Mapping[str, float]


# long: its parameters are documented
def md_frames(
    calculator: Any,
    frames: Sequence[Frame],
    temperatures: Sequence[float],
    *,
    steps: int = 500,
    every: int = 50,
    timestep: float = 1.0,
    friction: float = 0.01,
    seed: int = 0,
    basis: Basis | None = None,
    shortest: Mapping[str, float] | None = None,
    group: str = "probe",
) -> ProbeSet:
    """Probe structures by Langevin dynamics at constant volume, from each frame at each temperature.

    Needs ASE (``pip install "hiertl-dist[ase]"``). A run stops where it explodes: numbers that are not finite, atoms
    that are ten times as hot as they should be, a pair closer than it may be, or a calculator that gives up after the
    first step. What was taken before is kept, and a note says when, and why.

    Parameters
    ----------
    calculator : ASE calculator
        Of energies and forces, such as ``hiertl_dist.Calculator(model)``.
    frames : sequence of Frame
        Where runs start, such as the frames of :func:`~hiertl_dist.reassigned_frames`; all of chemical elements.
    temperatures : sequence of float
        K, above 0.
    steps : int, default 500
        Of each run.
    every : int, default 50
        After so many steps, again and again, a frame is taken.
    timestep : float, default 1.0
        fs.
    friction : float, default 0.01
        1/fs, of Langevin's equation.
    seed : int, default 0
        Of velocities and random forces, 0 or more.
    basis : Basis, optional
        Whose inner cutoffs the atoms keep outside of.
    shortest : Mapping from str to float, optional
        Å, the shortest distance by pair that data know, as of :func:`~hiertl_dist.reassigned_frames`; or the
        ``limits`` of a :class:`~hiertl_dist.ProbeSet`.
    group : str, default "probe"
        Group of the probes.

    Returns
    -------
    ProbeSet
        Frames of all runs, without labels.

    Raises
    ------
    InputError
        A number that can't be meant; or every run exploded before a frame was taken.
    FrameError
        A frame has a type of atoms that is no chemical element: ASE knows neither its name nor its mass.
    ImportError
        ASE is not installed.
    """
    integers = {"steps": steps, "every": every, "seed": seed}
    check_integers({"steps": 1, "every": 1, "seed": 0}, integers)
    numbers = {f"temperature {i}": t for i, t in enumerate(temperatures, 1)}
    check_positive("value", numbers, "K")
    check_positive("value", {"timestep": timestep}, "fs")
    check_positive("value", {"friction": friction}, "1/fs")
    for frame in frames:
        if odd := sorted(frame.elements - SYMBOLS):
            raise FrameError(
                f"{frame.origin}: molecular dynamics in ASE needs chemical elements, which have masses; found "
                f"{', '.join(odd)}"
            )
    limits = contact_limits(elements_of(frames), shortest or {}, basis)
    settings = _Settings(steps, every, timestep, friction, group, limits)
    made: list[Frame] = []
    sources: list[ProbeSource] = []
    notes = [] if limits else ["no shortest distance is known: contacts are not checked"]
    for i, frame in enumerate(frames):
        for k, temperature in enumerate(temperatures):
            taken, why = _run(calculator, frame, temperature, settings, generator(seed, "dynamics", i, k))
            made += taken
            sources += [
                ProbeSource(
                    frame.origin, str(frame.element_set), frame.group, 1.0, 1.0, size_of(f).volume, closest_contacts(f)
                )
                for f in taken
            ]
            if why:
                notes.append(
                    f"{frame.origin} at {temperature:g} K: stopped {why}; {count_text(len(taken), 'frame')} kept"
                )
    what = f"molecular dynamics of {ElementSet.of(elements_of(frames))}" if frames else "molecular dynamics"
    return refuse_none(ProbeSet(tuple(made), tuple(sources), tuple(notes), limits), what)


def _run(
    calculator: Any, start: Frame, temperature: float, settings: _Settings, rng: np.random.Generator
) -> tuple[list[Frame], str]:  # fmt: skip
    """The frames of one run, and why it stopped before its end, empty where it did not."""
    atoms = started(calculator, start, temperature, rng)
    dynamics = langevin(atoms, temperature, settings.timestep, settings.friction, rng)
    taken: list[Frame] = []
    for number in range(1, settings.steps + 1):
        try:
            dynamics.run(1)
        except (ValueError, RuntimeError, ArithmeticError) as error:
            return taken, f"after {count_text(number, 'step')}: {error}"
        if why := exploded(atoms, temperature, MOST_HEAT):
            return taken, f"after {count_text(number, 'step')}: {why}"
        if number % settings.every == 0:
            origin = f"{start.origin}, {temperature:g} K, step {number}"
            frame = Frame(
                start.species, atoms.get_positions(), start.cell, group=settings.group, origin=origin, pbc=start.pbc
            )
            if why := too_close(frame, settings.limits):
                return taken, f"after {count_text(number, 'step')}: {why}"
            taken.append(frame)
    return taken, ""


def started(calculator: Any, start: Frame, temperature: float, rng: np.random.Generator) -> Any:
    """The frame as ``Atoms`` with a calculator and with momenta of a temperature, at rest as a whole.

    Raises what the calculator does: what is wrong with the model or the frame is an error; later it is an explosion.
    """
    from ase import Atoms, units

    atoms = Atoms(list(start.species), start.positions, cell=start.cell, pbc=start.pbc)
    atoms.calc = calculator
    atoms.get_forces()
    # what ASE calls it has changed
    momenta = rng.normal(size=(len(atoms), 3)) * np.sqrt(atoms.get_masses() * units.kB * temperature)[:, np.newaxis]
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    return atoms


def langevin(atoms: Any, temperature: float, timestep: float, friction: float, rng: np.random.Generator) -> Any:
    """Langevin's dynamics of ASE, in this process alone: K, fs, 1/fs."""
    from ase import units
    from ase.md.langevin import Langevin
    from ase.parallel import DummyMPI

    # ASE's way of keeping the centre in its place is deprecated, and no frame needs it
    has = inspect.signature(Langevin.__init__).parameters
    free: dict[str, Any] = {"fixcm": False} if "fixcm" in has else {}
    # under mpirun it would share its random numbers with runs of other ranks; what ASE calls that has changed
    free |= {"communicator": DummyMPI()} if "communicator" in has else {"comm": DummyMPI()}
    step, per_time = timestep * units.fs, friction / units.fs
    return Langevin(atoms, step, temperature_K=temperature, friction=per_time, rng=rng, **free)


def exploded(atoms: Any, temperature: float, most: float) -> str:
    """Why numbers of a run can't be meant, or are of atoms ``most`` times too hot; empty where neither is so."""
    heat = float(atoms.get_temperature())
    if not (np.isfinite(atoms.positions).all() and math.isfinite(heat)):
        return "positions or velocities are not finite"
    return f"the atoms have {heat:.0f} K" if heat > most * temperature else ""


def too_close(frame: Frame, limits: Mapping[str, float]) -> str:
    """Which pair is closer than it may be; empty where none is."""
    for pair, r in closest_contacts(frame).items():
        if r < limits.get(pair, 0.0):
            return f"{pair} are {r:.3f} Å apart, less than {limits[pair]:.3f} Å"
    return ""
