"""The coefficients of one fit, bit for bit, on every executor and number of workers.

The problem is that of ``cn_dft_chain.py``, cut down by options. Each executor fits in processes of its own, once
with rows kept in a store and once streaming; the SHA-256 of the coefficients must be one and the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cn_dft_chain import ALPHA, BLOCK, DATA, THEIR_FRAMES, read_problem
from launched import mpi_words
from measure import figure, machine, machine_lines, table, variables

from hiertl_dist import FitSettings, executor, fit_block
from hiertl_dist.design_matrix import planning
from hiertl_dist.fitting import leaves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hiertl_dist import BlockFit

RUNS: Final = ("serial:1", "processes:2", "dask:1", "dask:2", "dask:3", "mpi:1", "mpi:2", "mpi:3", "mpi:5")
MANY: Final = 4
"""With fewer leaves the tree has next to nothing to get wrong."""


def parser() -> argparse.ArgumentParser:
    """Options, the same for the run and for each of its fits."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("--data", type=Path, default=DATA, help="folder with fm_setup.in and the parameter files")
    made.add_argument("--frames", type=int, default=THEIR_FRAMES)
    made.add_argument("--orders", type=int, nargs=3, default=(12, 6, 3), metavar=("N2", "N3", "N4"))
    made.add_argument("--full", action="store_true", help="the orders of fm_setup.in")
    made.add_argument("--method", choices=("rfactor", "gram"), default="rfactor")
    made.add_argument("--tile-kib", type=int, default=planning.TILE_BYTES // 2**10, help="size of a tile")
    made.add_argument("--leaf-rows", type=int, default=leaves.LEAF_ROWS, help="least rows of a leaf, per column")
    made.add_argument("--runs", nargs="+", default=RUNS, metavar="KIND:WORKERS", help=f"default: {' '.join(RUNS)}")
    made.add_argument("--out", type=Path, help="JSON file; a .md beside it gets the Markdown")
    made.add_argument("--one", type=Path, help=argparse.SUPPRESS)  # this process is one of a fit; folder of its store
    return made


def fit_one(given: argparse.Namespace) -> None:
    """Fit on the one executor of ``--runs``; each calling process writes a file of JSON lines."""
    planning.TILE_BYTES, leaves.LEAF_ROWS = given.tile_kib * 2**10, given.leaf_rows
    problem = read_problem(given.data, given.frames, None if given.full else given.orders)
    settings = FitSettings({"kind": "ridge", "alpha": ALPHA}, weights={}, method=given.method)
    kind, workers = given.runs[0].split(":")
    answers = []
    with executor(kind, workers=int(workers)) as runner:
        for name, store in (("kept", given.one / "store"), ("streamed", None)):
            began = time.perf_counter()
            fit = fit_block(
                problem.frames, problem.basis, BLOCK, frozen=problem.frozen, settings=settings, executor=runner,
                store=store,
            )  # fmt: skip
            answers.append({"rows": name, "seconds": time.perf_counter() - began, **describe(fit)})
    (given.one / f"{os.getpid()}.json").write_text(json.dumps(answers))


def describe(fit: BlockFit) -> dict[str, Any]:
    """Digest of the coefficients, and the size of the problem and of its tree."""
    coefficients = fit.solution.parameters.coefficients
    width = len(coefficients) + 1 + len(fit.summaries.frozen)
    return {
        "sha256": hashlib.sha256(coefficients.tobytes()).hexdigest(), "columns": len(coefficients),
        "n_rows": fit.solution.rows, "tiles": len(fit.plan.tiles), "rmse": fit.solution.rmse,
        "leaves": len(leaves.cut_leaves(fit.plan.segments, width)),
    }  # fmt: skip


def launch(run: str, arguments: Sequence[str], scratch: Path) -> list[dict[str, Any]]:
    """The answers of both fits on one executor, in new processes; of several ranks, that of each that differs."""
    kind, workers = run.split(":")
    launcher = mpi_words(int(workers)) if kind == "mpi" else []
    command = [*launcher, sys.executable, str(Path(__file__).resolve()), *arguments]
    folder = scratch / run.replace(":", "-")
    folder.mkdir()
    done = subprocess.run(
        [*command, "--runs", run, "--one", str(folder)], capture_output=True, text=True, check=False,
        env=variables(),
    )  # fmt: skip
    said = [json.loads(p.read_text()) for p in sorted(folder.glob("*.json"))]
    if done.returncode != 0 or len(said) != (int(workers) if kind == "mpi" else 1):
        raise SystemExit(f"{run}: exit code {done.returncode}, {len(said)} answers\n{done.stderr}")
    shutil.rmtree(folder)
    distinct = {(one["rows"], one["sha256"]): one for answers in said for one in answers}
    return [{"run": run, "processes": len(said), **one} for one in distinct.values()]


def markdown(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    first = report["fits"][0]
    rows = [[f["run"], f["rows"], f["sha256"][:32], figure(f["seconds"])] for f in report["fits"]]
    verdict = "the same bits on every process of all" if report["same"] else "**the bits differ** among the"
    return "\n\n".join([
        f"{report['frames']} frames, {first['n_rows']} rows, {first['columns']} columns, {first['tiles']} tiles, "
        f"{first['leaves']} leaves, method {report['method']}: {verdict} {len(rows)} fits. "
        f"{machine_lines(report['machine'])}",
        table(["executor", "rows", "SHA-256 of the coefficients (first half)", "wall s"], rows),
    ])  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Fit everywhere and print the digests; 1 where they differ."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    given = parser().parse_args(arguments)
    if given.one is not None:
        fit_one(given)
        return 0
    fits: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="hiertl-bench-") as scratch:
        for run in given.runs:
            fits += launch(run, arguments, Path(scratch))
            print(f"{run}: {fits[-1]['sha256'][:16]}, {fits[-1]['leaves']} leaves", file=sys.stderr, flush=True)
    if fits[0]["leaves"] < MANY:
        print(f"only {fits[0]['leaves']} leaves: --tile-kib and --leaf-rows make more", file=sys.stderr)
    report = {
        "benchmark": "same_bits", "frames": given.frames, "method": given.method, "machine": machine(),
        "orders": None if given.full else list(given.orders), "fits": fits,
        "same": len({f["sha256"] for f in fits}) == 1,
    }  # fmt: skip
    text = markdown(report)
    print(text)
    if given.out is not None:
        given.out.write_text(json.dumps(report, indent=1))
        given.out.with_suffix(".md").write_text(text + "\n")
    return int(not report["same"])


if __name__ == "__main__":
    sys.exit(main())
