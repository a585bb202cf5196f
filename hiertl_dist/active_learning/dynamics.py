"""Runs of the model in ASE, each a task of its own that goes on where it was cut and is cut where it is unsafe."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import HiertlError
from ..files.json_files import digest_of, write_json
from ..files.paths import replacing
from ..files.sealed import sealed
from ..frames.frame import Frame
from ..io.extxyz_write import structure_lines
from ..probes.compositions import generator
from ..probes.dynamics import exploded, langevin, started, too_close
from ..text.words import count_text
from ..units import KCAL_PER_A3_IN_GPA
from .records import read_record
from .run_checkpoint import Progress, RunCheckpoint, read_checkpoint, write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..evaluation.energies import Model
    from ..jobs.cycle_settings import CycleSettings
    from .runs import Run

LOOK: Final = 5
"""Steps between two looks at the contacts, and at the pressure where the volume follows it."""

SAVE: Final = 30.0
"""Seconds between two checkpoints of a run."""

RELAXATION: Final = 200.0
"""fs, in which the volume follows a pressure."""

STRAIN: Final = 0.01
"""By how much the volume is changed to see how the pressure answers."""

SOFTEST: Final = 1.0
"""GPa: a model that seems softer counts as of this bulk modulus."""

MOST_SCALED: Final = 0.005
"""By how much lengths change at most at a time."""


def run_files(folder: Path, number: int) -> tuple[Path, Path]:
    """The frames of a run, and the record that says that they are complete."""
    return folder / f"run_{number:04d}.extxyz", folder / f"run_{number:04d}.json"


def run_dynamics(
    run: Run, *, model: Model, settings: CycleSettings, limits: Mapping[str, float], folder: Path, save: float = SAVE
) -> dict[str, Any]:
    """Run the model and write the frames; what is there already, of this model and run, is not done again.

    Langevin's dynamics at constant volume; at a pressure, lengths are scaled by 1 − κ Δt (p₀ − p) / 3 τ every few
    steps, which Δt are (Berendsen et al., J. Chem. Phys. 81, 3684 (1984)), with the model's own compressibility κ at
    the start. A run is cut where numbers are not finite, atoms are too hot or a pair is closer than its limit, or where
    the model refuses; the frame where that shows is not kept.

    Parameters
    ----------
    run : Run
        Where it starts and under which conditions.
    model : Model
        That is run.
    settings : CycleSettings
        Steps, thermostat and limits.
    limits : Mapping from str to float
        Å by pair, how close atoms may come.
    folder : Path
        Where files go.
    save : float, optional
        Seconds between two checkpoints.

    Returns
    -------
    dict
        What the record says: conditions, steps made, frames kept, and why it was cut, empty where it was not.
    """
    frames_file, record_file = run_files(folder, run.number)
    told = {
        **run.as_dict(), "model": model.parameters.digest, "limits": dict(limits), "steps": settings.steps,
        "every": settings.every, "timestep": settings.timestep, "friction": settings.friction, "heat": settings.heat,
        "seed": settings.seed, "cycle": run.cycle,
    }  # fmt: skip
    known = read_record(record_file)
    if known is not None and digest_of({key: known.get(key) for key in told}) == digest_of(told):
        return known
    way = _Way(run, model, settings, limits, frames_file.with_suffix(".partial.npz"), digest_of(told), save)
    progress, stopped = way.go()
    frames = [_frame(run, *kept) for kept in progress.kept]
    with replacing(frames_file) as stream:
        text = "".join(structure_lines(frames)).encode()
        stream.write(text)
    record = {
        **told, "made": progress.step, "frames": len(frames), "stopped": stopped,
        "mean_temperature": _mean(progress.heat, progress.step),
        "mean_pressure": _mean(progress.pressure, progress.step // LOOK) if run.pressure is not None else None,
        "seconds": progress.seconds, "sha256_of_frames": hashlib.sha256(text).hexdigest(),
    }  # fmt: skip
    written = sealed(record)
    write_json(record_file, written)
    way.place.unlink(missing_ok=True)
    return {k: v for k, v in written.items() if k != "sha256"}


def _mean(total: float, steps: int) -> float:
    return total / steps if steps else math.nan


def _frame(run: Run, step: int, positions: Any, cell: Any) -> Frame:
    start = run.start
    origin = f"cycle {run.cycle}, run {run.number} ({run.name}), step {step}"
    own = None if start.cell is None else cell
    return Frame(start.species, positions, own, group=f"cycle_{run.cycle}", origin=origin, pbc=start.pbc)


class _Way:
    """One run from its start, or from its checkpoint, to its end."""

    def __init__(
        self, run: Run, model: Model, settings: CycleSettings, limits: Mapping[str, float], place: Path, digest: str,
        save: float,
    ) -> None:  # fmt: skip
        from ..calculator import Calculator  # the module is read where there is no ASE, too

        self.run, self.settings, self.limits = run, settings, limits
        self.place, self.digest, self.save = place, digest, save
        self.calculator = Calculator(model, extrapolation="record")
        self.rng = generator(settings.seed, "dynamics", run.cycle, run.number)

    def go(self) -> tuple[Progress, str]:
        """What the run came to, and why it was cut; empty where it was not."""
        run, settings, progress = self.run, self.settings, Progress()
        if why := too_close(run.start, self.limits):
            return progress, f"not begun: {why}"
        if run.fresh:
            progress.kept.append((0, run.start.positions, run.start.cell))
        begun = time.perf_counter()
        try:
            softness = self._compressibility()
            atoms = started(self.calculator, run.start, run.temperature, self.rng)
        except HiertlError as error:
            return progress, f"not begun: {error}"
        progress = self._resumed(atoms) or progress
        dynamics = langevin(atoms, run.temperature, settings.timestep, settings.friction, self.rng)
        saved = time.perf_counter()
        while progress.step < settings.steps:
            stopped = self._step(atoms, dynamics, softness, progress)
            if stopped:
                progress.seconds += time.perf_counter() - begun
                return progress, f"cut after {count_text(progress.step, 'step')}: {stopped}"
            if time.perf_counter() - saved > self.save:
                self._keep(atoms, progress, time.perf_counter() - begun)
                saved = time.perf_counter()
        progress.seconds += time.perf_counter() - begun
        return progress, ""

    def _step(self, atoms: Any, dynamics: Any, softness: float, progress: Progress) -> str:
        """Make a step and keep its frame if it is time; why the run is cut, if it is."""
        settings = self.settings
        try:
            dynamics.run(1)
            if self.run.pressure is not None and (progress.step + 1) % LOOK == 0:
                progress.pressure += self._breathe(atoms, softness)
        except (HiertlError, ValueError, RuntimeError, ArithmeticError) as error:
            return str(error)
        progress.step += 1
        if why := exploded(atoms, self.run.temperature, settings.heat):
            return why
        progress.heat += float(atoms.get_temperature())
        keep = progress.step % settings.every == 0
        if keep or progress.step % LOOK == 0:
            kept = (progress.step, atoms.get_positions(), np.array(atoms.cell))
            if why := too_close(_frame(self.run, *kept), self.limits):
                return why
            if keep:
                progress.kept.append(kept)
        return ""

    def _pressure(self, atoms: Any, moving: bool) -> float:
        """GPa."""
        from ase.units import GPa

        return -float(np.trace(atoms.get_stress(voigt=False, include_ideal_gas=moving))) / 3.0 / float(GPa)

    def _compressibility(self) -> float:
        """1/GPa, of the model at the start, from two volumes."""
        if self.run.pressure is None:
            return 0.0
        cell, pressures = np.array(self.run.start.cell), []
        for change in (-STRAIN, STRAIN):
            scale = (1.0 + change) ** (1 / 3)
            start = Frame(
                self.run.start.species, scale * self.run.start.positions, scale * cell, origin=self.run.start.origin
            )
            (said,) = self.calculator.model.evaluate(start)
            pressures.append(float(said.stress[:3].mean()) * KCAL_PER_A3_IN_GPA)
        return 1.0 / max(SOFTEST, (pressures[0] - pressures[1]) / (2.0 * STRAIN))

    def _breathe(self, atoms: Any, softness: float) -> float:
        """Let the volume follow the pressure for some steps; the pressure, GPa."""
        assert self.run.pressure is not None
        pressure = self._pressure(atoms, moving=True)
        short = self.run.pressure - pressure
        change = -softness * LOOK * self.settings.timestep * short / (3.0 * RELAXATION)
        scale = 1.0 + float(np.clip(change, -MOST_SCALED, MOST_SCALED))
        atoms.set_cell(scale * np.array(atoms.cell), scale_atoms=True)
        return pressure

    def _keep(self, atoms: Any, progress: Progress, seconds: float) -> None:
        """Leave a checkpoint: all that the rest of the run depends on."""
        now = replace(progress, seconds=progress.seconds + seconds)
        write_checkpoint(self.place, RunCheckpoint(
            self.digest, dict(self.rng.bit_generator.state), atoms.get_positions(), atoms.get_momenta(),
            np.array(atoms.cell), now,
        ))  # fmt: skip

    def _resumed(self, atoms: Any) -> Progress | None:
        """Take up a checkpoint of this run; none where there is none that is whole."""
        at = read_checkpoint(self.place, self.digest, len(atoms))
        if at is None:
            return None
        self.rng.bit_generator.state = at.rng
        atoms.set_cell(at.cell)
        atoms.set_positions(at.positions)
        atoms.set_momenta(at.momenta)
        return at.progress
