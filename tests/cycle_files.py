"""Inputs of small active-learning loops: copper of four atoms a cell, with ASE's EMT as the truth."""

from __future__ import annotations

import numpy as np
import pytest
from job_files import write_toml

LOOP = {
    "cycles": 2, "picks": 4, "steps": 10, "every": 5, "timestep": 2.0, "label": "emt", "heat": 50.0,
    "states": [{"temperatures": [300, 600], "pressures": [0]}, {"temperatures": [300], "volumes": [0.97, 1.03]}],
}  # fmt: skip


def emt_atoms(symbols="Cu", a=3.6, seed=0, rattle=0.08):
    """A rattled cubic cell with EMT."""
    build, emt = pytest.importorskip("ase.build"), pytest.importorskip("ase.calculators.emt")
    rng = np.random.default_rng(seed)
    atoms = build.bulk("Cu", a=a, cubic=True)
    atoms.set_chemical_symbols(list(rng.permutation([symbols] * 4 if isinstance(symbols, str) else symbols)))
    atoms.positions += rng.normal(scale=rattle, size=(4, 3))
    atoms.calc = emt.EMT()
    atoms.get_forces()
    atoms.get_stress()
    return atoms


def cycle_table(elements=("Cu",), **loop):
    """The tables of an input; ``loop`` replaces keys of ``[cycle]``."""
    names = ["".join(sorted((a, b))) for i, a in enumerate(elements) for b in elements[i:]]
    return {
        "basis": {
            "elements": list(elements), "orders": [5, 2, 0], "cutoff": "TERSOFF 0.75",
            "pairs": {p: {"rmin": 1.4, "rmax": 4.2, "lambda": 2.5} for p in names}, "three_body": {"rmax": 3.6},
        },
        "data": [{"path": "data.extxyz", "group_key": "config_type"}],
        "fit": {
            "regulariser": {"kind": "ridge", "alpha": 1e-3}, "policy": "damp",
            "weights": {"force": 1.0, "energy": 1.0, "stress": 50.0},
        },
        "store": {"keep_rows": False}, "executor": {"kind": "serial"}, "cycle": LOOP | loop,
    }  # fmt: skip


def write_cycle(folder, count=8, frames=None, **loop):
    """The input file with its data beside it."""
    io = pytest.importorskip("ase.io")
    frames = frames or [emt_atoms(a=3.5 + 0.03 * k, seed=k) for k in range(count)]
    for k, atoms in enumerate(frames):
        atoms.info["config_type"] = "even" if k % 2 == 0 else "odd"
    folder.mkdir(parents=True, exist_ok=True)
    io.write(folder / "data.extxyz", frames)
    elements = sorted({s for atoms in frames for s in atoms.get_chemical_symbols()})
    return write_toml(folder / "input.toml", **cycle_table(elements, **loop))
