"""Input files and their data, as tests of several folders write them."""

from __future__ import annotations

import json

import numpy as np
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist.units import EV, HARTREE_PER_BOHR, KCAL_PER_A3_IN_GPA

ORDERS = (3, 2, 2)
JOB_COUNTS = {"C": 5, "N": 5, "CN": 8}


def toml(value):
    """A value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(k))} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)  # strings, numbers and booleans are written alike


def write_toml(path, **tables):
    """An input file of these top-level keys, those that are None left out."""
    path.write_text("".join(f"{k} = {toml(v)}\n" for k, v in tables.items() if v is not None), encoding="utf-8")
    return path


def write_extxyz(path, frames):
    """Frames as extended XYZ: eV, and ASE's sign of the stress; ``config`` is the group."""
    lines = []
    for frame in frames:
        words = [f"config={frame.group}"]
        if frame.cell is not None:
            words.append(f'Lattice="{" ".join(map(repr, frame.cell.ravel().tolist()))}"')
        if frame.energy is not None:
            words.append(f"energy={frame.energy / EV!r}")
        if frame.stress is not None:
            xx, yy, zz, xy, xz, yz = (-frame.stress / EV).tolist()
            words.append(f'stress="{" ".join(map(repr, (xx, xy, xz, xy, yy, yz, xz, yz, zz)))}"')
        numbers, properties = frame.positions, "species:S:1:pos:R:3"
        if frame.forces is not None:
            numbers, properties = np.hstack([numbers, frame.forces / EV]), properties + ":forces:R:3"
        lines += [str(len(frame)), " ".join([*words, f"Properties={properties}"])]
        lines += [f"{s} {' '.join(map(repr, row))}" for s, row in zip(frame.species, numbers.tolist(), strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_xyzf(path, frames):
    """Periodic frames with every label as a ChIMES trajectory."""
    lines = []
    for frame in frames:
        numbers = [*frame.cell.ravel(), *(frame.stress * KCAL_PER_A3_IN_GPA), frame.energy]
        lines += [str(len(frame)), "NON_ORTHO " + " ".join(repr(float(x)) for x in numbers)]
        rows = np.hstack([frame.positions, frame.forces / HARTREE_PER_BOHR]).tolist()
        lines += [f"{s} {' '.join(map(repr, row))}" for s, row in zip(frame.species, rows, strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def job_frames(counts=JOB_COUNTS, seed=0):
    """Frames whose labels a true model gives, and that model."""
    truth = random_parameters(small_basis(ORDERS), 3)
    return labelled(random_frames(counts, seed=seed), truth), truth


def write_job(folder, frames=None, **tables):
    """An input file in a folder, with its data beside it; ``tables`` replace, None removes."""
    frames = job_frames()[0] if frames is None else frames
    write_extxyz(folder / "data.extxyz", frames)
    default = {
        "basis": small_basis(ORDERS).to_dict(), "data": [{"path": "data.extxyz", "group_key": "config"}],
        "executor": {"kind": "serial"},
    }  # fmt: skip
    return write_toml(folder / "input.toml", **(default | tables))


FM_SETUP = """\
####### CONTROL VARIABLES #######
# TRJFILE #
        train.xyzf
# NFRAMES #
        {frames}
# FITSTRS #
        ALL
# FITENER #
        true
# FITCOUL #
        {fitcoul}
# PAIRTYP #
        CHEBYSHEV 3 2 0 -1 1
# CHBTYPE #
        MORSE
####### TOPOLOGY VARIABLES #######
# NATMTYP #
        2
# TYPEIDX # # ATM_TYP # # ATMCHRG # # ATMMASS #
1  C  {charge}  12.011
2  N  0.0  14.007
# PAIRIDX # # ATM_TY1 # # ATM_TY1 # # S_MINIM # # S_MAXIM # # S_DELTA # # MORSE_LAMBDA # # USEOVRP #
1  C  C  0.9  5.0  0.01  1.2  false
2  N  N  0.9  5.0  0.01  1.3  false
3  C  N  0.9  5.0  0.01  1.4  false
# FCUTTYP #
        CUBIC
# ENDFILE #
"""


def write_fm_setup(folder, frames, count=None, fitcoul="false", charge=0.0):
    """An ``fm_setup.in`` and its trajectory."""
    write_xyzf(folder / "train.xyzf", frames)
    count = len(frames) if count is None else count
    (folder / "fm_setup.in").write_text(FM_SETUP.format(frames=count, fitcoul=fitcoul, charge=charge))
    return folder / "fm_setup.in"


def unnamed(store):
    """Have a store be the folder that the input file names, as stores were before they had names of their own."""
    beside = store.rename(store.parent.with_name("beside"))
    store.parent.rmdir()
    return beside.rename(store.parent)
