"""Three cycles of active learning with ASE's EMT as the truth, beside as many frames drawn at random from its runs.

A model of gold and copper, fitted block by block, begins with a few frames of little disorder of Au, Cu and AuCu. Each
cycle runs it in ASE at 300 and 1500 K, as Au, Cu, AuCu, AuCu₃ and Au₃Cu, and has frames labelled by EMT: picked by
distances, leverage and clusters, or by the same loop drawn at random. What counts are errors on frames of states that
no start has: dynamics of EMT itself from 300 to 1500 K at three volumes, of the same compositions.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bench import Benchmark, Options, main, tell
from measure import figure, table

from hiertl_dist import Input, Model, run_cycles
from hiertl_dist.executors import SerialExecutor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hiertl_dist import Frame

WAYS: Final[Mapping[str, Mapping[str, float]]] = {
    "picked": {"distances": 0.25, "leverage": 0.5, "clusters": 0.25},
    "random": {"random": 1.0},
}
CELLS: Final = {"Au": 4.06, "Cu": 3.61}
"""Å, cubic lattice constants of EMT."""

TEMPERATURES: Final = (300.0, 900.0, 1500.0)
VOLUMES: Final = (0.95, 1.0, 1.05)
SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of gold, in what is held back."""


def atoms_of(gold: float, volume: float, repeat: int, rng: np.random.Generator) -> Any:
    """A cubic cell of fcc with sites at random, its volume that of its atoms by Vegard's rule, times a factor."""
    from ase.build import bulk

    length = (gold * CELLS["Au"] ** 3 + (1 - gold) * CELLS["Cu"] ** 3) ** (1 / 3) * volume ** (1 / 3)
    atoms = bulk("Cu", a=length, cubic=True) * (repeat, repeat, repeat)
    sites = rng.permutation(len(atoms))[: round(gold * len(atoms))]
    atoms.set_chemical_symbols(["Au" if i in set(sites.tolist()) else "Cu" for i in range(len(atoms))])
    return atoms


def labelled(atoms: Any, group: str) -> Any:
    """A copy with EMT's labels."""
    from ase.calculators.emt import EMT

    own = atoms.copy()
    own.calc = EMT()
    own.get_forces()
    own.get_stress()
    own.info["config_type"] = group
    return own


def first_frames(count: int, repeat: int, seed: int) -> list[Any]:
    """Rattled and strained a little: Au, Cu and AuCu."""
    rng = np.random.default_rng([seed, 1])
    found = []
    for gold in (0.0, 0.5, 1.0):
        for _ in range(count):
            atoms = atoms_of(gold, rng.uniform(0.97, 1.03), repeat, rng)
            atoms.positions += rng.normal(scale=0.06, size=(len(atoms), 3))
            found.append(labelled(atoms, "cold"))
    return found


def held_back(steps: int, repeat: int, few: bool) -> list[Any]:
    """Frames of EMT's own dynamics; as a toy of one temperature and volume."""
    from ase import units
    from ase.calculators.emt import EMT
    from ase.md.langevin import Langevin

    rng, found = np.random.default_rng(12345), []
    for gold in SHARES:
        for temperature in TEMPERATURES[few:][: 1 if few else None]:
            for volume in VOLUMES[few:][: 1 if few else None]:
                atoms = atoms_of(gold, volume, repeat, rng)
                atoms.calc = EMT()
                scale = np.sqrt(2 * units.kB * temperature * atoms.get_masses())[:, np.newaxis]
                atoms.set_momenta(scale * rng.normal(size=(len(atoms), 3)))
                friction = 0.02 / units.fs
                run = Langevin(atoms, 3 * units.fs, temperature_K=temperature, friction=friction, rng=rng, fixcm=False)
                for _ in range(2):
                    run.run(steps)
                    found.append(labelled(atoms, "held"))
    return found


def job_table(way: str, seed: int, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """The input file of a loop."""
    pairs = {p: {"rmin": 1.5, "rmax": sizes["reach"], "lambda": 2.7} for p in ("AuAu", "AuCu", "CuCu")}
    state = {"temperatures": sizes["temperatures"]}
    mixed = [{"Au": 1, "Cu": 3}, {"Au": 1, "Cu": 1}, {"Au": 3, "Cu": 1}]
    return {
        "basis": {
            "elements": ["Au", "Cu"], "orders": list(sizes["orders"]), "cutoff": "TERSOFF 0.75", "pairs": pairs,
            "three_body": {"rmax": min(4.6, sizes["reach"])},
        },
        "data": [{"path": "first.extxyz", "group_key": "config_type"}],
        "fit": {
            "regulariser": {"kind": "ridge", "alpha": 1e-3}, "policy": "damp",
            "weights": {"force": 1.0, "energy": 1.0, "stress": 50.0},
        },
        "store": {"keep_rows": False},
        "cycle": {
            "cycles": sizes["cycles"], "picks": sizes["picks"], "shares": dict(WAYS[way]), "label": "emt",
            "steps": sizes["steps"], "every": sizes["every"], "timestep": 3.0, "friction": 0.02, "seed": seed,
            "states": [
                {**state, "elements": "Au"}, {**state, "elements": "Cu"},
                {**state, "elements": "AuCu", "compositions": mixed},
            ],
        },
    }  # fmt: skip


def errors(model: Model, frames: Iterable[Frame]) -> dict[str, float]:
    """RMSE of forces in eV/Å and energies in meV/atom over what is held back, and the worst frame's forces."""
    from hiertl_dist.units import EV

    listed = list(frames)
    said = model.evaluate(listed)
    force = [(s.forces - f.forces) / EV for s, f in zip(said, listed, strict=True)]
    energy = np.array([(s.energy - (f.energy or 0.0)) / EV / len(f) for s, f in zip(said, listed, strict=True)])
    return {
        "force": float(np.sqrt(np.mean(np.concatenate([f.ravel() for f in force]) ** 2))),
        "energy": 1000.0 * float(np.sqrt(np.mean(energy**2))),
        "worst": max(float(np.sqrt(np.mean(f**2))) for f in force),
    }


def one_loop(way: str, seed: int, folder: Path, frames: Iterable[Frame], sizes: Mapping[str, Any]) -> dict[str, Any]:
    """A loop from its first fit to its last: a row of errors for each fit."""
    from ase.io import write

    folder.mkdir(parents=True)
    write(folder / "first.extxyz", first_frames(sizes["first"], sizes["repeat"], seed))
    began = time.process_time()
    report = run_cycles(Input.from_dict(job_table(way, seed, sizes), folder), SerialExecutor())
    found = []
    for row in report.rows:
        model = Model.read(report.folder / f"{row.cycle:04d}" / "model" / "model.params.txt")
        own = errors(model, frames)
        found.append(own | {"cycle": row.cycle, "fitted": row.fitted, "runs": row.runs, "cut": row.cut})
    return {"way": way, "seed": seed, "cpu_seconds": time.process_time() - began, "ended": report.ended, "fits": found}


def run(options: Options) -> dict[str, Any]:
    """Every way with every seed."""
    from hiertl_dist import frames_from_ase

    sizes = options.sized(
        {"orders": (10, 5, 0), "cycles": 3, "picks": 12, "steps": 200, "every": 20, "first": 5, "repeat": 2,
         "held": 120, "seeds": 5, "reach": 6.0, "temperatures": [300.0, 1500.0]},
        {"orders": (4, 2, 0), "cycles": 1, "picks": 4, "steps": 6, "every": 3, "first": 3, "repeat": 1, "held": 4,
         "seeds": 1, "reach": 3.9, "temperatures": [900.0]},
    )  # fmt: skip
    held = frames_from_ase(held_back(sizes["held"], sizes["repeat"], options.toy))
    loops = []
    for seed in range(sizes["seeds"]):
        for way in WAYS:
            loops.append(one_loop(way, seed, options.scratch / f"{way}_{seed}", held, sizes))
            last = loops[-1]["fits"][-1]
            tell(
                f"active_learning: {way}, seed {seed}: {figure(last['force'])} eV/Å in {loops[-1]['cpu_seconds']:.0f} s"
            )
    return {"sizes": sizes, "held": len(held), "loops": loops}


def spread(values: list[float]) -> str:
    """Mean ± standard deviation, if there is one."""
    mean = figure(statistics.mean(values))
    return f"{mean} ± {figure(statistics.stdev(values), 2)}" if len(values) > 1 else mean


def wins(loops: list[dict[str, Any]], cycle: int, kind: str) -> int:
    """Seeds in which picked frames leave a smaller error than random ones after so many cycles."""
    by = {(own["way"], own["seed"]): own["fits"][cycle][kind] for own in loops}
    seeds = {seed for _, seed in by}
    return sum(by["picked", seed] < by["random", seed] for seed in seeds)


def markdown(record: dict[str, Any]) -> str:
    """Errors after each cycle, mean ± standard deviation over seeds."""
    loops, sizes = record["loops"], record["sizes"]
    rows = []
    for cycle in range(sizes["cycles"] + 1):
        of = {way: [own["fits"][cycle] for own in loops if own["way"] == way] for way in WAYS}
        cells = [spread([f[k] for f in of[way]]) for k in ("force", "energy", "worst") for way in WAYS]
        won = f"{wins(loops, cycle, 'force')} of {sizes['seeds']}" if cycle else "–"
        rows.append([cycle, figure(statistics.mean(f["fitted"] for f in of["picked"])), *cells, won])
    head = ["labelled in cycles", "frames"]
    head += [f"{k}, {way}" for k in ("forces, eV/Å", "energies, meV/atom", "worst frame, eV/Å") for way in WAYS]
    cut = {way: sum(f["cut"] or 0 for own in loops if own["way"] == way for f in own["fits"]) for way in WAYS}
    runs = sum(f["runs"] or 0 for own in loops if own["way"] == "picked" for f in own["fits"])
    return "\n\n".join([
        f"{record['held']} held-back frames; {sizes['picks']} frames labelled in each of {sizes['cycles']} cycles; "
        f"{sizes['seeds']} seeds of first frames and runs, mean ± standard deviation. Runs cut for unsafe frames: "
        + ", ".join(f"{n} of {runs} ({way})" for way, n in cut.items())
        + f". A loop takes {figure(statistics.median(own['cpu_seconds'] for own in loops))} CPU s.",
        table([*head, "picked wins, forces"], rows),
    ])  # fmt: skip


BENCHMARK: Final = Benchmark(
    "active_learning", "Active learning with EMT as the truth, beside frames drawn at random.", run, markdown
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
