"""Digests of summaries, views, cross-validation; as a program of the ranks of MPI: ``views_script.py FOLDER NAME``.

Each calling process writes ``FOLDER/NAME/<process>``: number of leaves, then digests of the groups in memory, of the
groups of a store that was extended, of a solution of a view, and of held-out errors.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from synthetic import random_parameters, small_basis
from view_oracle import frames_of

from hiertl_dist.design_matrix import planning
from hiertl_dist.executors import executor
from hiertl_dist.fitting import leaves as leaf_module
from hiertl_dist.fitting.summary_pass import summarise
from hiertl_dist.fitting.view_choice import view
from hiertl_dist.fitting.view_solutions import solve
from hiertl_dist.model_selection.cross_validation import cross_validate

BASIS = small_basis((4, 3, 2))
FRAMES = [*frames_of({"C": 6, "N": 6, "CN": 30}), *frames_of({"CN": 6}, atoms=12, group="solid", seed=1)]


def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[:16]


def of_groups(summaries):
    return digest(*(a for g in sorted(summaries.groups) for a in summaries.groups[g].to_arrays().values()))


def report(runner, folder, leaves):
    frozen = [random_parameters(BASIS).restricted({"C"})]
    found = summarise(FRAMES, BASIS, folds=3, frozen=frozen, executor=runner)
    summarise(FRAMES[:30], BASIS, folds=3, frozen=frozen, executor=runner, summaries=folder)
    stored = summarise(FRAMES, BASIS, folds=3, frozen=frozen, executor=runner, summaries=folder)
    chosen = view(stored, weights={"energy": 0.5, "solid": 2.0}, exclude=["CNNN"])
    solution = solve(chosen, {"kind": "ridge", "alpha": 1e-4})
    ridges = [{"kind": "ridge", "alpha": a} for a in (1e-4, 1.0)]
    # of summaries in memory and in a store, by the executor
    checked = [cross_validate(view(s), ridges, executor=runner) for s in (found, stored)]
    errors = [digest(*(own.errors.squares for own in one)) for one in checked]
    return " ".join(
        [str(leaves[0]), of_groups(found), of_groups(stored), digest(solution.parameters.coefficients), *errors]
    )


def write_report(folder, name, runner):
    """What an executor comes to, with small segments and leaves."""
    leaves = []
    cut = leaf_module.cut_leaves
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "SEGMENT_ROWS", 31)
        patch.setattr(leaf_module, "LEAF_ROWS", 1)
        patch.setattr(leaf_module, "cut_leaves", lambda *args: leaves.append(len(found := cut(*args))) or found)
        text = report(runner, folder / f"{name}.summaries", leaves)
    (folder / name).mkdir(exist_ok=True)
    (folder / name / str(os.getpid())).write_text(text)


if __name__ == "__main__":
    with executor("mpi") as ranks:
        write_report(Path(sys.argv[1]), sys.argv[2], ranks)
