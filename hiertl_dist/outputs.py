"""Files of results: what writes each, and writing them once, whatever the number of calling processes."""

from __future__ import annotations

import itertools
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .evaluation import Model
from .figures import plot_parity
from .store import write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .csv_tables import CsvTable
    from .executors.base import Executor
    from .solution import Solution


def write_outputs(executor: Executor, writers: Sequence[Callable[[], Path | tuple[Path, ...]]]) -> tuple[Path, ...]:
    """Write files once, whatever the number of calling processes; returns their paths."""
    return tuple(itertools.chain.from_iterable(executor.run(_call, list(writers), label=_label, what="write results")))


def _call(writer: Callable[[], Path | tuple[Path, ...]]) -> tuple[Path, ...]:
    written = writer()
    return (written,) if isinstance(written, Path) else written


def _label(writer: Any) -> str:
    return str(writer.args[-1])


def _write_solution(solution: Solution, path: Path) -> Path:
    solution.save(path)
    return path


def write_model(model: Model, comments: tuple[str, ...], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    model.write(path, comments=comments)
    return path


def write_json_file(value: Any, path: Path) -> Path:
    write_json(path, value)
    return path


def _solution_comments(solution: Solution) -> tuple[str, ...]:
    return (
        f"fit of block {solution.block}: {solution.n_columns} columns, {solution.rows} rows, "
        f"regulariser {json.dumps(dict(solution.regulariser))}, RMSE over counted rows {solution.rmse:.6g}",
    )


def solution_writers(name: str, solution: Solution, folder: Path) -> list[Callable[[], Path]]:
    return [
        partial(_write_solution, solution, folder / f"{name}.solution.npz"),
        partial(write_model, Model(solution.parameters), _solution_comments(solution), folder / f"{name}.params.txt"),
    ]


def write_plot(drawn: Any, units: str, path: Path) -> tuple[Path, ...]:
    return plot_parity(path, drawn, units)


def write_table(table: CsvTable, path: Path) -> Path:
    return table.write(path.parent)
