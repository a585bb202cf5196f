"""The benchmarks' folder as tests import from it, and a toy of the DFT data that they are about."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
from synthetic import random_parameters

from hiertl_dist import Basis, read_fm_setup, read_frames
from hiertl_dist.evaluation.energies import Model
from hiertl_dist.units import HARTREE_PER_BOHR, KCAL_PER_A3_IN_GPA

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
FRAMES = 3
SETUP = """
# TRJFILE #
    toy.xyzf
# NFRAMES #
    {frames}
# FITSTRS #
    ALL
# FITENER #
    true
# PAIRTYP #
    CHEBYSHEV 4 3 2 -1 1
# CHBTYPE #
    MORSE
# HIERARC #
    true
EXCLUDE 1B INTERACTION: 2
C
N
EXCLUDE 2B INTERACTION: 2
C C
N N
EXCLUDE 3B INTERACTION: 2
C C C
N N N
EXCLUDE 4B INTERACTION: 2
C C C C
N N N N
# NATMTYP #
    2
# TYPEIDX #  # ATM_TYP #  # ATMCHRG #  # ATMMASS #
1 C 0.0 12.0
2 N 0.0 14.0
# PAIRIDX #  # ATM_TY1 #  # ATM_TY1 #  # S_MINIM #  # S_MAXIM #  # S_DELTA #  # MORSE_LAMBDA #
1 C C 0.5 4.0 0.01 1.4
2 N N 0.5 4.0 0.01 1.09
3 C N 0.5 4.0 0.01 1.34
# FCUTTYP #
    CUBIC
# ENDFILE #
"""


def forget_benchmarks():
    """Drop every module of that folder, for their names are plain words."""
    for path in BENCHMARKS.glob("*.py"):
        sys.modules.pop(path.stem, None)


def toy_cn_dft(folder):
    """Write fm_setup.in, a trajectory, and parameter files of C, N and CN, as the folder of the DFT frames has them."""
    shipped = read_frames(files("hiertl_dist").joinpath("data", "cn_pbe.extxyz.gz"))
    frames = [f for f in shipped if f.elements == {"C", "N"}][:: len(shipped) // 5][:FRAMES]
    (folder / "toy.xyzf").write_text("".join(as_xyzf(f) for f in frames))
    (folder / "fm_setup.in").write_text(SETUP.format(frames=len(frames)))
    table = {"rmin": 0.5, "rmax": 4.0}
    for element, lam in (("C", 1.4), ("N", 1.09)):
        pairs = {2 * element: table | {"lambda": lam}}
        basis = Basis.from_dict({"elements": [element], "orders": [4, 3, 2], "pairs": pairs})
        Model(strong(basis)).write(folder / f"{element}.params.txt.reduced")
    Model(strong(read_fm_setup(folder / "fm_setup.in").basis)).write(folder / "ALC-3.params.txt")
    return folder


def strong(basis):
    """Random coefficients with forces of tens of kcal/mol/Å."""
    made = random_parameters(basis)
    return replace(made, coefficients=300.0 * made.coefficients)


def as_xyzf(frame):
    """One frame of a ChIMES trajectory."""
    cell, stress = frame.cell.ravel(), frame.stress * KCAL_PER_A3_IN_GPA
    header = " ".join(repr(float(x)) for x in (*cell, *stress, frame.energy))
    numbers = np.hstack([frame.positions, frame.forces / HARTREE_PER_BOHR])
    atoms = [f"{s} {' '.join(repr(float(x)) for x in row)}" for s, row in zip(frame.species, numbers, strict=True)]
    return "\n".join([str(len(frame)), f"NON_ORTHO {header}", *atoms, ""])
