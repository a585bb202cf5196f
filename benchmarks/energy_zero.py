"""Forces and stresses of a fit must not depend on the zero of the energies.

cn_pbe's frames are fitted as they are and with −1036 eV for each carbon and −1486 eV for each nitrogen (total energies
of all electrons), and with −1e5 eV for every atom, block by block and all at once. Shown is the largest difference of
forces and stresses over all frames, relative to their root mean square, and of energies after the zero is taken off.

    python benchmarks/energy_zero.py [--frames 60] [--orders 10 5 0]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hiertl_dist import Basis, FitSettings, Frame, HierarchyOptions, Model, fit_all_at_once, fit_hierarchy, read_frames
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.units import EV

DATA = Path(__file__).resolve().parent.parent / "hiertl_dist" / "data" / "cn_pbe.extxyz.gz"
ZEROS = {"all electrons": {"C": -1036.0, "N": -1486.0}, "far": {"C": -1e5, "N": -1e5}}
REGULARISERS: dict[str, dict[str, Any]] = {
    "ridge 1e-2": {"kind": "ridge", "alpha": 1e-2},
    "ridge 0.1": {"kind": "ridge", "alpha": 0.1},
    "ridge 1": {"kind": "ridge", "alpha": 1.0},
    "elastic net": {"kind": "elastic_net", "lam": 1e-3, "l1_ratio": 0.5},
    "Bayesian ridge": {"kind": "bayesian_ridge"},
}


def basis_of(orders: list[int]) -> Basis:
    """A basis of carbon and nitrogen."""
    pairs = {n: {"rmin": 0.6, "rmax": 5.0, "lambda": lam} for n, lam in (("CC", 1.8), ("NN", 1.5), ("CN", 1.6))}
    return Basis.from_dict({
        "elements": ["C", "N"], "orders": orders, "transform": "MORSE", "cutoff": "TERSOFF 0.75", "pairs": pairs,
        "three_body": {"rmax": 4.0}, "four_body": {"rmax": 3.5},
    })  # fmt: skip


def moved(frames: list[Frame], zeros: dict[str, float]) -> list[Frame]:
    """The frames with other energies of free atoms, in eV."""
    return [
        f if f.energy is None else replace(f, energy=f.energy + EV * sum(zeros[s] for s in f.species)) for f in frames
    ]


def compare(
    frames: list[Frame], basis: Basis, regulariser: dict[str, Any], zeros: dict[str, float]
) -> dict[str, float]:
    """Largest differences of what two fits predict; forces and stresses relative to their root mean squares."""
    found: dict[str, float] = {}
    runner = SerialExecutor()
    options = HierarchyOptions(FitSettings(regulariser))
    for name in ("block by block", "all at once"):
        models = []
        for own in (frames, moved(frames, zeros)):
            if name == "all at once":
                fit = fit_all_at_once(own, basis, options=options, executor=runner)
                models.append(fit.solution.parameters)
            else:
                models.append(fit_hierarchy(own, basis, options=options, executor=runner).model.parameters)
        one, other = (evaluated(frames, m) for m in models)
        shift = EV * np.array([sum(zeros[s] for s in f.species) for f in frames])
        for key in ("force", "stress"):
            scale = float(np.sqrt(np.mean(np.square(one[key]))))
            found[f"{name}: {key}"] = float(np.abs(one[key] - other[key]).max() / scale)
        sizes = np.array([len(f) for f in frames])
        found[f"{name}: energy, eV/atom"] = float((np.abs(other["energy"] - shift - one["energy"]) / sizes).max() / EV)
    return found


def evaluated(frames: list[Frame], parameters: Any) -> dict[str, np.ndarray]:
    """Forces, stresses and energies of all frames."""
    evaluations = Model(parameters).evaluate(frames)
    return {
        "force": np.concatenate([e.forces.ravel() for e in evaluations]),
        "stress": np.concatenate([e.stress for e in evaluations]),
        "energy": np.array([e.energy for e in evaluations]),
    }


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--frames", type=int, default=0, help="use so many of each composition (default: all)")
    command.add_argument("--orders", type=int, nargs=3, default=[10, 5, 0])
    command.add_argument("--json", type=Path, help="write the numbers there")
    arguments = command.parse_args()
    frames = read_frames(DATA, group_key="config_type")
    if arguments.frames:
        kept: dict[str, list[Frame]] = {}
        for frame in frames:
            kept.setdefault(frame.composition, []).append(frame)
        frames = [f for own in kept.values() for f in own[: arguments.frames]]
    basis = basis_of(arguments.orders)
    results = {}
    for label, zeros in ZEROS.items():
        for name, regulariser in REGULARISERS.items():
            results[f"{label}, {name}"] = found = compare(frames, basis, regulariser, zeros)
            print(f"{label}, {name}: " + ", ".join(f"{k} {v:.1e}" for k, v in found.items()), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
