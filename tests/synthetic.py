"""Small random data sets whose labels come from known coefficients, and how tests start scripts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from hiertl_dist import Basis, Frame, Model, design_rows
from hiertl_dist.design_matrix import assembly
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.model.parameters import Parameters

HERE = Path(__file__).parent
BESIDE = Path(sys.executable).parent / "mpiexec"
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
HAS_MPI = MPIEXEC is not None and find_spec("mpi4py") is not None

GRID = 3
SPACING = (1.6, 2.0)
JITTER = 0.3
RMIN = 0.9
"""Å: a frame's grid has GRID³ sites at a spacing of its own; no two atoms are closer than 1 Å."""

assemble = partial(assembly.assemble, executor=SerialExecutor())
"""In this process, unless another executor is given."""

COUNTS = {"C": 8, "N": 8, "CN": 16}


def small_basis(orders=(4, 3, 2), elements=("C", "N"), rmin=RMIN, rmax=5.0, **more):
    """A basis of a few tens of columns a block; ``more`` goes into, or replaces keys of, its table."""
    names = ["".join(sorted((a, b))) for i, a in enumerate(elements) for b in elements[i:]]
    pairs = {p: {"rmin": rmin, "rmax": rmax, "lambda": 1.2 + 0.1 * k} for k, p in enumerate(names)}
    table = {"elements": list(elements), "orders": list(orders), "pairs": pairs, "three_body": {"rmax": 4.7}}
    return Basis.from_dict(table | {"four_body": {"rmax": 4.4}} | more)


def random_frame(elements, seed, atoms=12, group="all"):
    """Atoms on random sites of a jittered periodic grid, four or more of each element; labels at random."""
    rng = np.random.default_rng(seed)
    sites = np.argwhere(np.ones((GRID,) * 3))[rng.permutation(GRID**3)[:atoms]]
    spacing = rng.uniform(*SPACING)
    some = [e for e in elements for _ in range(4)]
    species = some + [str(e) for e in rng.choice(list(elements), atoms - len(some))]
    positions = spacing * sites + rng.uniform(-JITTER, JITTER, (atoms, 3))
    labels = {"energy": rng.normal(), "forces": rng.normal(size=(atoms, 3)), "stress": 1e-3 * rng.normal(size=6)}
    origin = f"{''.join(elements)} {seed}"
    return Frame(tuple(species), positions, np.eye(3) * GRID * spacing, **labels, group=group, origin=origin)


def random_frames(counts=COUNTS, seed=0, atoms=12, groups=("all",)):
    """Frames of each element set (by one-letter symbols), of the groups in turn."""
    return [
        random_frame(tuple(name), (seed, k, i), atoms, groups[i % len(groups)])
        for k, (name, count) in enumerate(counts.items())
        for i in range(count)
    ]


def random_parameters(basis, seed=0):
    """Coefficients of order one for every column of a basis."""
    values = np.random.default_rng(seed).standard_normal(n_columns(basis))
    return Parameters(basis, values, source=f"truth {seed}")


def n_columns(basis, blocks=None):
    """Number of columns of some blocks."""
    return design_rows([], basis, blocks).matrix.shape[1]


def unchecked(text):
    """A parameter file's text without its checksum, as one that was edited on purpose."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("! Checksum of the lines"))


def labelled(frames, parameters):
    """The same frames with the labels that a model predicts: free of noise."""
    return [
        replace(frame, energy=found.energy, forces=found.forces, stress=found.stress)
        for frame, found in zip(frames, Model(parameters).evaluate(frames, missing="zero"), strict=True)
    ]


def files_below(folder, *names):
    """Contents of every file below some folders of a folder, by relative path, but for unfinished ones."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for name in names
        for p in sorted((Path(folder) / name).rglob("*"))
        if p.is_file() and p.suffix != ".partial"
    }


def script(name, *args, ranks=0):
    """The command that runs a script of this folder, under mpiexec where ``ranks`` are given."""
    launcher = [str(MPIEXEC), "-n", str(ranks)] if ranks else []
    return [*launcher, sys.executable, str(HERE / name), *(str(a) for a in args)]


def environment():
    """Environment of a script: this package and this folder, one BLAS thread."""
    path = os.pathsep.join([str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}


def wait_at(owner, name, ledger, most):
    """Make a function that writes wait for a signal that kills, in place of writing, once a folder has so many files.

    However slow the one is that kills, writers are then found at work.
    """
    write = getattr(owner, name)

    def waiting(*args, **options):
        while sum(1 for path in ledger.rglob("*") if path.is_file()) >= most:
            time.sleep(0.05)
        return write(*args, **options)

    setattr(owner, name, waiting)


def run_script(name, *args, ranks=0, timeout=120):
    """What a script of this folder prints; AssertionError with its stderr where it fails."""
    done = subprocess.run(
        script(name, *args, ranks=ranks), env=environment(), capture_output=True, text=True, timeout=timeout,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
