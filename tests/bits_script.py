"""Digests of the coefficients of one fit on an executor; of ranks of MPI as a program: ``bits_script.py FOLDER NAME``.

Each calling process writes a file ``FOLDER/NAME/<process>``; each line of it: the executor, its workers, whether
rows were kept or frames were imported, number of leaves, digest of the coefficients, digest of the summaries, digest of
the coefficients of a climb, which each executor does once.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from synthetic import n_columns, random_frames, random_parameters, small_basis

from hiertl_dist.dataset import streaming
from hiertl_dist.dataset.dataset import Dataset
from hiertl_dist.design_matrix import planning
from hiertl_dist.executors import executor
from hiertl_dist.fitting.block_fit import fit_block
from hiertl_dist.fitting.hierarchy import fit_hierarchy
from hiertl_dist.fitting.leaves import cut_leaves
from hiertl_dist.fitting.settings import FitSettings


def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[:16]


def frames_of():
    return random_frames({"C": 3, "CN": 60}, groups=("liquid", "solid"))


def climbing_frames():
    """For a climb, whose blocks of single elements are fitted side by side."""
    return random_frames({"C": 6, "N": 9, "CN": 12})


def report(runner, store, frames, how, climbed):
    """Fit CN with C and N frozen, on labels with noise, two sources, some leaves."""
    basis = small_basis()
    truth = random_parameters(basis)
    fit = fit_block(
        frames, basis, "CN",
        frozen=[truth.restricted({"C"}), truth.restricted({"N"})],
        settings=FitSettings({"kind": "ridge", "alpha": 1e-8}, {"energy": 0.5, "solid": 2.0}),
        executor=runner, store=store,
    )  # fmt: skip
    summaries = [a for s in fit.summaries.groups.values() for a in s.to_arrays().values()]
    leaves = cut_leaves(fit.plan.segments, n_columns(basis, ["CN"]) + 3)
    return (
        f"{runner.name} {runner.workers} {how} {len(leaves)} "
        f"{digest(fit.solution.parameters.coefficients)} {digest(*summaries)} {climbed}"
    )


def write_reports(folder, name, runner):
    """All fits on an executor, with small tiles and batches of frames."""
    place = folder / f"{runner.name}-{runner.workers}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "TILE_BYTES", 2**18)
        patch.setattr(streaming, "MOST_FRAMES", 25)
        climb = fit_hierarchy(climbing_frames(), small_basis(), executor=runner)
        climbed = digest(climb.model.parameters.coefficients)
        lines = [
            report(runner, None, frames_of(), "streamed", climbed),
            report(runner, place, frames_of(), "kept", climbed),
        ]
        data = Dataset.create(place.with_suffix(".frames"), frames_of(), executor=runner)
        lines.append(report(runner, None, data, "imported", climbed))
    (folder / name).mkdir(exist_ok=True)
    (folder / name / str(os.getpid())).write_text("\n".join(lines))


if __name__ == "__main__":
    with executor("mpi") as ranks:
        write_reports(Path(sys.argv[1]), sys.argv[2], ranks)
