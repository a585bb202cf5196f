"""Design rows of other programs, run by the interpreter that has them: ``peer_rows.py WHICH FRAMES.npz ANSWER.json``.

This file is run by ``peers.py`` in another environment and imports nothing of ours. Each peer makes, from positions and
species, a dense matrix with one row a force component and one or more a frame, as its own linear fit would.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

CUTOFF = 5.0
ELEMENTS = ("C", "N")

ACE = {
    "python-ace, ranks 1-3, about 1 000 columns": (500, [15, 6, 4], [0, 4, 2]),
    "python-ace, ranks 1-4, about 2 100 columns": (1870, [8, 4, 3, 3], [0, 2, 1, 1]),
    "python-ace, ranks 1-4, about 3 700 columns": (1870, [20, 8, 5, 3], [0, 4, 3, 2]),
}
"""Functions an element, radial functions and largest l by rank. Of several of a size, the faster ones."""

SNAP = {
    "LAMMPS compute snap, explicit elements, 2J = 8": "8 0.5 0.5 1.0 1.0 chem 2 0 1 bzeroflag 0",
    "LAMMPS compute snap, quadratic, 2J = 8": "8 0.5 0.5 1.0 1.0 quadraticflag 1 bzeroflag 0",
}
"""What FitSNAP calls for its rows."""


def ace_rows(frames, functions, radial, angular):
    """python-ace: B-projections summed over atoms, and their gradients; as ``pyace.linearacefit`` fills its matrix."""
    from ase import Atoms
    from pyace import ACEBBasisSet, ACEBEvaluator, ACECalculator, create_multispecies_basis_config
    from pyace.atomicenvironment import aseatoms_to_atomicenvironment
    from pyace.linearacefit import compute_nfunc_func_ind_shift

    basis = ACEBBasisSet(create_multispecies_basis_config({
        "deltaSplineBins": 0.001, "elements": list(ELEMENTS),
        "embeddings": {"ALL": {"npot": "FinnisSinclair", "fs_parameters": [1, 1], "ndensity": 1}},
        "bonds": {"ALL": {"radbase": "SBessel", "radparameters": [5.25], "rcut": CUTOFF, "dcut": 0.01,
                          "NameOfCutoffFunction": "cos"}},
        "functions": {"number_of_functions_per_element": functions,
                      "ALL": {"nradmax_by_orders": radial, "lmax_by_orders": angular}},
    }))  # fmt: skip
    columns, shift = compute_nfunc_func_ind_shift(basis)
    evaluator = ACEBEvaluator(basis)  # the calculator only borrows it
    calculator = ACECalculator(evaluator)
    cpu, rows = [], 0
    for frame in frames:
        atoms = Atoms(frame["species"], positions=frame["positions"], cell=frame["cell"], pbc=True)
        began = time.process_time()
        around = aseatoms_to_atomicenvironment(
            atoms, cutoff=basis.cutoffmax, elements_mapper_dict=basis.elements_to_index_map
        )
        calculator.compute(around, compute_projections=True, compute_b_grad=True)
        matrix = np.zeros((3 * len(atoms) + 1, columns))
        # the environment goes on with periodic images, which have no projections
        for kind, own in zip(around.species_type, calculator.projections, strict=False):
            matrix[-1, shift[kind] : shift[kind] + len(own)] += own
        matrix[:-1] = np.array(calculator.forces_bfuncs).transpose(0, 2, 1).reshape(-1, columns)
        cpu.append(time.process_time() - began)
        rows = len(matrix)
    return {"columns": columns, "rows": rows, "cpu": cpu, "version": version("python-ace")}


def snap_rows(frames, arguments):
    """LAMMPS's compute snap: energy row, force rows, six virial rows, and a column for the reference."""
    import lammps

    cpu, shape = [], (0, 0)
    for frame in frames:
        edges = np.diag(frame["cell"])
        if np.abs(frame["cell"] - np.diag(edges)).max() > 1e-8:
            raise ValueError("this script makes boxes with right angles only")
        run = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
        run.commands_string(
            "units metal\natom_style atomic\natom_modify map array sort 0 0\nboundary p p p\n"
            f"region box block 0 {edges[0]} 0 {edges[1]} 0 {edges[2]}\ncreate_box 2 box\nmass * 1.0\n"
            f"pair_style zero {CUTOFF}\npair_coeff * *\nneighbor 0.0 bin\n"
        )
        n = len(frame["species"])
        kinds = [ELEMENTS.index(s) + 1 for s in frame["species"]]
        run.create_atoms(n, list(range(1, n + 1)), kinds, (frame["positions"] % edges).ravel().tolist())
        run.commands_string(
            f"compute snap all snap {CUTOFF} 0.99363 {arguments}\nthermo_style custom step c_snap[1][1]\n"
        )
        began = time.process_time()
        run.command("run 0")
        matrix = run.numpy.extract_compute("snap", lammps.LMP_STYLE_GLOBAL, lammps.LMP_TYPE_ARRAY)
        cpu.append(time.process_time() - began)
        shape = matrix.shape
        run.close()
    return {"columns": shape[1], "rows": shape[0], "cpu": cpu, "version": version("lammps")}


def main(which, source, target):
    """Time one peer on the frames of a file."""
    with np.load(source) as data:
        frames = [
            {"species": [str(s) for s in data[f"species{i}"]], "positions": data[f"positions{i}"],
             "cell": data[f"cell{i}"]}
            for i in range(int(data["frames"]))
        ]  # fmt: skip
    found = ace_rows(frames, *ACE[which]) if which in ACE else snap_rows(frames, SNAP[which])
    Path(target).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
