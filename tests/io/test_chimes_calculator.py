"""Parameter files of ours, read and evaluated by chimes_calculator's own library, where one has built it.

``CHIMES_CALCULATOR=…/libchimescalc_dl.so`` says where the library is: in a clone of
https://github.com/rk-lindsey/chimes_calculator, ``cmake . -DWITH_FORTRAN_API=OFF -DWITH_FORTRAN08_API=OFF`` and
``make ChimesCalc_dynamic`` build it.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from hiertl_dist import Basis, Frame, Model, Parameters, Penalty
from hiertl_dist.model.blocks import columns_of

# a process of its own: the library prints, ends the process where it fails, and keeps one model
CALLS = """
import ctypes, json, sys
library, parameters, atoms, answer = sys.argv[1:]
given = json.load(open(atoms))
n = len(given["species"])
chimes = ctypes.CDLL(library)
chimes.set_chimes_serial(0)
chimes.init_chimes_serial(parameters.encode(), ctypes.byref(ctypes.c_int(0)))
doubles = lambda values: (ctypes.c_double * len(values))(*values)
names = (ctypes.c_char_p * n)(*(s.encode() for s in given["species"]))
forces = [doubles([0.0] * n) for _ in range(3)]
stress, energy = doubles([0.0] * 9), ctypes.c_double(0.0)
chimes.calculate_chimes(
    n, *(doubles(x) for x in given["positions"]), names, *(doubles(x) for x in given["cell"]), ctypes.byref(energy),
    *forces, stress,
)
json.dump({"energy": energy.value, "forces": list(map(list, forces)), "stress": list(stress)}, open(answer, "w"))
"""


@pytest.mark.parametrize(("elements", "orders"), [(("C",), (8, 4, 3)), (("C", "N"), (6, 4, 3))])
def test_chimes_calculator_says_the_same(tmp_path, elements, orders):
    library = os.environ.get("CHIMES_CALCULATOR")
    if not library:
        pytest.skip("CHIMES_CALCULATOR does not name a library (libchimescalc_dl.so) of chimes_calculator")
    pairs = {
        a + b: {"rmin": 0.9 + 0.05 * i, "rmax": 3.4 + 0.2 * i, "lambda": 1.3 + 0.1 * i}
        for i, (a, b) in enumerate(itertools.combinations_with_replacement(elements, 2))
    }
    basis = Basis.from_dict({
        "elements": list(elements), "orders": list(orders), "cutoff": "TERSOFF 0.6", "pairs": pairs,
        "three_body": {"rmax": 3.0}, "four_body": {"rmax": 2.8},
    })  # fmt: skip
    draw = np.random.default_rng(3)
    model = Model(Parameters(basis, draw.normal(size=len(columns_of(basis))) * 5.0, Penalty(1e4, 0.02)))
    model.write(tmp_path / "params.txt")
    cell = np.array([[7.3, 0.0, 0.0], [0.6, 7.5, 0.0], [-0.4, 0.3, 7.1]])
    points = []
    while len(points) < 24:
        new = draw.random(3) @ cell
        shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3))) @ cell
        if all(np.linalg.norm(new - p + shifts, axis=1).min() > 1.1 for p in points):
            points.append(new)
    positions = np.array(points)
    frame = Frame(tuple(elements[i % len(elements)] for i in range(24)), positions, cell)
    facts = {"species": frame.species, "positions": positions.T.tolist(), "cell": cell.tolist()}
    (tmp_path / "atoms.json").write_text(json.dumps(facts))
    words = [library, "params.txt", "atoms.json", "answer.json"]
    done = subprocess.run(
        [sys.executable, "-c", CALLS, *words], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    theirs = json.loads((tmp_path / "answer.json").read_text())
    (ours,) = model.evaluate([frame])
    forces, stress = np.array(theirs["forces"]).T, np.array(theirs["stress"])[[0, 4, 8, 1, 2, 5]]
    our_stress = np.asarray(ours.stress)
    differences = {
        "energy": abs(theirs["energy"] - ours.energy) / abs(ours.energy),
        "forces": np.abs(forces - ours.forces).max() / np.abs(ours.forces).max(),
        "stress": np.abs(stress - our_stress).max() / np.abs(our_stress).max(),
    }
    assert max(differences.values()) < 1e-10, differences
