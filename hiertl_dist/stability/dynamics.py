"""A run of constant energy, by ASE, of a cell of the elements: drift of the total energy, heat, closest contacts."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import HiertlError, HiertlWarning
from ..frames.element_set import ElementSet
from ..frames.type_names import cluster_name
from ..io.labelled_atoms import frame_from_ase
from ..suggestion.distances import REACH, near_distances
from ..text.heard_warnings import hearing_warnings
from ..units import EV, KELVIN
from .check_rows import FINEST_STEP, HEAVY, CheckRow, judged, unchecked
from .lattices import nearest_allowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..evaluation.coverage import OutOfRange
    from ..evaluation.energies import Model
    from .check_rows import CheckSettings

CONTACT: Final = 0.9
"""Of the closest contact that is known, the closest that may be met."""

BURST: Final = 1.0
"""In eV/atom, by how much a total energy may change before a run is given up."""

BOLTZMANN: Final = KELVIN / EV
"""In eV/K."""

SHELL: Final = 1.2
"""Of the distances of nearest neighbours on the lattice: so far contacts are looked at."""

EVERY: Final = 4
"""Steps between two looks at the contacts."""


@dataclass
class Run:
    """What was seen of a run: times in ps, total energies in eV/atom, temperatures in K, contacts in Å by pair."""

    times: list[float] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    temperatures: list[float] = field(default_factory=list)
    contacts: dict[tuple[str, ...], tuple[float, float]] = field(default_factory=dict)
    """By pair, the closest contact (Å) and when it was (ps)."""
    outside: int = 0
    """Calculations with pairs at distances that no block was fitted on."""
    farthest: dict[tuple[str, str], OutOfRange] = field(default_factory=dict)
    """By pair and side (``"shorter"``), the pair of atoms that was farthest from what was fitted."""
    steps: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The same, in how many calculations."""
    stopped: str = ""

    @property
    def late_temperature(self) -> float:
        """K, the mean of the second half."""
        return float(np.mean(self.temperatures[len(self.temperatures) // 2 :]))

    @property
    def drift(self) -> tuple[float, float]:
        """meV/atom/ps, the slope of a straight line through the total energy, and what its wiggles alone can look like.

        The first tenth, in which the integrator's own energy settles, is left out. Infinite of a run that was given up.
        """
        first = len(self.times) // 10
        times, totals = np.array(self.times[first:]), 1000.0 * np.array(self.totals[first:])
        if self.stopped or len(times) < 3:
            return math.inf, 0.0
        line = np.polyfit(times, totals, 1)
        return float(line[0]), float(2.0 * np.std(totals - np.polyval(line, times)) / (times[-1] - times[0]))


def time_step(atoms: Any, settings: CheckSettings) -> float:
    """The time step in fs: the one that was given, or one for the lightest atom."""
    if settings.time_step is not None:
        return settings.time_step
    lightest = float(atoms.get_masses().min())
    return round(FINEST_STEP * min(1.0, math.sqrt(lightest / HEAVY)), 2)


def contact_limits(model: Model, settings: CheckSettings) -> dict[str, float]:
    """Å by pair, how near atoms may come in a run."""
    pairs = [p.name for p in model.parameters.basis.pairs]
    if settings.contact is not None:
        return dict.fromkeys(pairs, settings.contact)
    inner = {p.name: p.rmin for p in model.parameters.basis.pairs}
    nearest = nearest_allowed(model)
    return {name: CONTACT * nearest[name] if model.coverage else inner[name] for name in pairs}


def run_rows(model: Model, atoms: Any, temperature: float, settings: CheckSettings) -> list[CheckRow]:
    """Drift, heat, range, closest contact of a run at a temperature; one that bursts is given up early and says so.

    Heat is 3 k (T − the temperature wanted), T the mean of the second half: an ideal lattice that the model does not
    like turns into another arrangement and a hot one, though the total energy is conserved.
    """
    formula, limits = atoms.get_chemical_formula(), contact_limits(model, settings)
    run = _run(model, atoms, temperature, settings)
    named, label = "-".join(sorted(set(atoms.get_chemical_symbols()))), f"{temperature:g} K"
    if not run.times:
        return [unchecked(f"{what}, {label}", named, run.stopped) for what in ("drift", "heat", "range", "contact")]
    done = (
        f"{formula}, {time_step(atoms, settings):g} fs, {run.times[-1] if run.times else 0.0:.3g} ps, mean temperature "
        f"{np.mean(run.temperatures) if run.temperatures else math.nan:.0f} K"
    )
    said = f"{done}; {run.stopped}" if run.stopped else done
    rows = [_drift_row(f"drift, {label}", named, run, settings, said)]
    heat = math.inf if run.stopped else 3.0 * BOLTZMANN * (run.late_temperature - temperature)
    rows.append(
        judged(f"heat, {label}", named, heat, "eV/atom", ("at most", settings.heat), _heat_reason(run, heat, settings))
    )
    rows.append(_range_row(f"range, {label}", named, run, model, settings))
    judgeable = {pair: limits[cluster_name(pair)] for pair in run.contacts if cluster_name(pair) in limits}
    if not judgeable:
        return [*rows, unchecked(f"contact, {label}", named, f"{done}: no two atoms of a pair of the model are near")]
    pair = min(judgeable, key=lambda p: run.contacts[p][0] / judgeable[p])
    (distance, when), least = run.contacts[pair], judgeable[pair]
    contact = judged(f"contact, {label}", "-".join(pair), distance, "Å", ("at least", least), f"at {when:.3g} ps")
    return [*rows, contact]


def _drift_row(what: str, named: str, run: Run, settings: CheckSettings, said: str) -> CheckRow:
    slope, wiggle = run.drift
    row = judged(what, named, abs(slope), "meV/atom/ps", ("at most", settings.drift), said)
    if row.verdict == "fail" and abs(slope) <= wiggle:
        short = f"{said}: too short to tell, fluctuations of the total energy alone give {wiggle:.2g} meV/atom/ps"
        return replace(row, verdict="not checked", reason=short)
    return row


def _range_row(what: str, named: str, run: Run, model: Model, settings: CheckSettings) -> CheckRow:
    """In which share of the steps atoms were at distances that no block was fitted on: the run is then no proof."""
    pairs, unjudged = _unjudged_pairs(model, named.split("-"))
    if len(unjudged) == len(pairs):
        return unchecked(what, named, "the model does not say which distances it was fitted on")
    percent, most = 100.0 * run.outside / len(run.times), 100.0 * settings.outside
    unknown = f"of {', '.join(unjudged)} the model does not say which distances were fitted" if unjudged else ""
    said = "; ".join(filter(None, [_range_text(run), unknown]))
    row = judged(what, named, percent, "% of steps", ("at most", most), said)
    if row.verdict == "pass":
        return row
    why = (
        "; the model extrapolates there, so the rows of this run say that it holds together, not that its forces are "
        "right: fit frames with such distances (select_for_coverage offers some, hiertl-dist evaluate tells which "
        "frames have them), or do not use it there"
    )
    return replace(row, verdict="warn", reason=row.reason + why)


def _unjudged_pairs(model: Model, elements: Sequence[str]) -> tuple[list[str], list[str]]:
    """Pairs of some elements that the model has, and those of them of which no block says what it was fitted on."""
    basis, present = model.parameters.basis, frozenset(elements)
    pairs = [basis.pair(*t.elements).name for t in basis.types if t.body == 2 and present.issuperset(t.elements)]
    keys = (key.partition(":") for key in model.coverage)
    known = {pair for block, _, pair in keys if ElementSet.parse(block).elements <= present}
    return pairs, [name for name in pairs if name not in known]


def _range_text(run: Run) -> str:
    """Which pairs were outside the fitted range, those of the most steps first."""
    if not run.outside:
        return ""
    each = []
    for (pair, side), steps in run.steps.most_common():
        met, (low, high) = run.farthest[pair, side].distance, run.farthest[pair, side].fitted
        bound = f"down to {met:.3f} Å" if side == "shorter" else f"up to {met:.3f} Å"
        each.append(f"{pair} {bound} (fitted {low:.3f}–{high:.3f}) in {steps}")
    return f"pairs outside the fitted range in {run.outside} of {len(run.times)} steps: {'; '.join(each)}"


def _heat_reason(run: Run, heat: float, settings: CheckSettings) -> str:
    if run.stopped or heat <= settings.heat:
        return ""
    return (
        f"the second half of the run has {run.late_temperature:.0f} K: the ideal lattice has given off {heat:.2f} "
        "eV/atom, so the model prefers another arrangement"
    )


def _run(model: Model, atoms: Any, temperature: float, settings: CheckSettings) -> Run:
    from ase import units
    from ase.md.verlet import VelocityVerlet

    from ..calculator import Calculator

    run, step = Run(), time_step(atoms, settings)
    start = near_distances(frame_from_ase(atoms), REACH)
    reach = min(REACH, SHELL * max((float(d.min()) for d in start.values()), default=REACH))
    atoms.calc = Calculator(model, extrapolation="record", threads=settings.threads)
    # half of 2 T goes into the vibrations, which the ideal lattice has none of
    rng = np.random.default_rng([settings.seed, round(temperature)])
    masses = atoms.get_masses()[:, np.newaxis]
    velocities = rng.normal(size=(len(atoms), 3)) * np.sqrt(units.kB * 2.0 * temperature / masses)
    atoms.set_velocities(velocities - (masses * velocities).sum(axis=0) / masses.sum())
    dynamics = VelocityVerlet(atoms, timestep=step * units.fs)
    try:
        # of constants that energies lack, which no difference at one composition has
        with hearing_warnings(HiertlWarning):
            for number, _ in enumerate(dynamics.irun(math.ceil(1000.0 * settings.picoseconds / step))):
                run.stopped = _look(run, atoms, number * step / 1000.0, number % EVERY == 0, reach)
                if run.stopped:
                    break
    except HiertlError as error:
        run.stopped = f"given up: {error}"
    return run


def _look(run: Run, atoms: Any, now: float, contacts: bool, reach: float) -> str:
    """Note energies and contacts of this moment; why the run is given up, if it is."""
    run.times.append(now)
    run.totals.append(float(atoms.get_potential_energy() + atoms.get_kinetic_energy()) / len(atoms))
    run.temperatures.append(float(atoms.get_temperature()))
    _note_outside(run, atoms.calc.out_of_range)
    change = run.totals[-1] - run.totals[0]
    burst = not abs(change) <= BURST
    if (contacts or burst) and np.isfinite(atoms.get_positions()).all():
        frame = frame_from_ase(atoms, origin=f"{now:.3g} ps")
        for elements, distances in near_distances(frame, reach).items():
            least = float(distances.min())
            if least < run.contacts.get(elements, (math.inf, 0.0))[0]:
                run.contacts[elements] = (least, now)
    if not burst:
        return ""
    nearest = min(run.contacts.items(), key=lambda item: item[1][0], default=None)
    close = "" if nearest is None else f", the closest contact {'-'.join(nearest[0])} {nearest[1][0]:.2f} Å"
    return f"given up at {now:.3g} ps: the total energy has changed by {change:+.3g} eV/atom{close}"


def _note_outside(run: Run, outside: Sequence[OutOfRange]) -> None:
    """Count a calculation with pairs outside the fitted range, and keep those that are farthest from it."""
    run.outside += bool(outside)
    for pair in outside:
        key = (pair.pair, pair.side)
        run.steps[key] += 1
        if key not in run.farthest or pair.beyond > run.farthest[key].beyond:
            run.farthest[key] = pair
