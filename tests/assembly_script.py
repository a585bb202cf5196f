"""Assembles a store that takes some seconds, to be killed: ``assembly_script.py FOLDER WORKERS [MOST]``.

With MOST, writers wait to be killed once the ledger has so many entries (one more for each other writer).
"""

from __future__ import annotations

import sys
from pathlib import Path

from synthetic import n_columns, random_frames, random_parameters, small_basis, wait_at

from hiertl_dist.design_matrix import planning
from hiertl_dist.design_matrix.assembly import assemble
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.design_matrix.store import DesignStore
from hiertl_dist.evaluation.compiled_basis import compile_recipe
from hiertl_dist.evaluation.frame_rows import rows_of
from hiertl_dist.executors import executor
from hiertl_dist.frames.rows import n_rows

FRAMES_A_TILE = 2

if len(sys.argv) > 3 and sys.argv[0].endswith("assembly_script.py"):  # in worker processes too
    wait_at(DesignStore, "write", Path(sys.argv[1]) / "ledger", int(sys.argv[3]))


def data_set():
    """Frames, basis and a frozen model of some seconds' work."""
    basis = small_basis((6, 4, 3))
    return random_frames({"CN": 50}, atoms=14), basis, random_parameters(basis).restricted({"C"})


def tile_bytes(basis):
    """``planning.TILE_BYTES`` for tiles of two frames."""
    rows = n_rows(random_frames({"CN": 1}, atoms=14)[0])
    return 8 * n_columns(basis, ["CN"]) * rows * FRAMES_A_TILE


def main(folder, workers):
    frames, basis, frozen = data_set()
    planning.TILE_BYTES = tile_bytes(basis)
    with executor("processes" if workers > 1 else "serial", workers=workers) as runner:
        # workers that have started and loaded their kernels, so that a kill finds them at work
        runner.run(warm, range(2 * workers))
        plan = make_plan(frames, basis)
        print("begin", flush=True)
        assemble(frames, basis, folder, frozen=[frozen], executor=runner, plan=plan)


def warm(_):
    frames, basis, _ = data_set()
    rows_of(frames[:1], compile_recipe(basis, None))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
