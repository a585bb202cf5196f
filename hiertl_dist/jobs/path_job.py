"""What ``hiertl-dist path`` does, as one function: the solutions of blocks along a regularisation path."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError
from ..fitting.mean_model import QUANTITIES
from ..fitting.view_solutions import path, residual_squares
from ..frames.rows import person_kind
from ..text.display import Shown, number_text, table_text
from ..text.words import count_text
from ..units import KCAL_PER_A3_IN_GPA
from .csv_tables import CsvTable
from .figures import COLOURS, add_legend, figure_files, new_figure, save_figure
from .input_views import view_of_input
from .job_stores import with_its_stores
from .outputs import Results, figure_writer, table_writer
from .report import unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ..executors.base import Executor
    from ..fitting.mean_model import Kind
    from ..fitting.views import View
    from .input_file import Input

FOLDER: Final = "path"
"""Folder in that of the results."""
POINTS: Final = "path.csv"
COEFFICIENTS: Final = "path_coefficients.csv"
FIGURE: Final = "path.png"
MOST: Final = 25
"""Points of the table for people."""
MOST_LINES: Final = 40
"""Coefficients of the figure: the largest."""
GRID: Final = 41
WIDE: Final = (1e-6, 1e4)
"""Ridge: from which alpha to which, where nobody says."""


@dataclass(frozen=True, eq=False, repr=False)
class PathReport(Shown):
    """What ``path`` found.

    Attributes
    ----------
    kind : {"ridge", "lasso"}
        Of the path.
    view : View
        What was fitted.
    strengths : ndarray of shape (k,)
        alpha, or λ.
    coefficients : ndarray of shape (k, columns)
        In the order of the view's columns, kcal/mol.
    errors : Mapping from str to ndarray of shape (k,)
        RMSE of the rows that were fitted by kind: kcal/mol/Å, kcal/mol/atom, GPa.
    freedom : ndarray of shape (k,)
        Degrees of freedom.
    criteria : Mapping from str to ndarray of shape (k,)
        ``gcv``; or ``aic`` and ``bic``.
    best : Mapping from str to int
        The point of the smallest, by name; none where no point has one.
    files : tuple of Path
        What was written.
    """

    kind: str
    view: View
    strengths: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    errors: Mapping[Kind, NDArray[np.float64]]
    freedom: NDArray[np.float64]
    criteria: Mapping[str, NDArray[np.float64]]
    best: Mapping[str, int]
    files: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """Of the strength."""
        return "alpha" if self.kind == "ridge" else "lam"

    @property
    def terms(self) -> list[int]:
        """Coefficients that are not zero, at each point."""
        return [int(n) for n in np.count_nonzero(self.coefficients, axis=1)]

    def text(self, units: str) -> str:
        """For people: a table of some points, the best ones marked.

        Parameters
        ----------
        units : {"kcal", "eV"}
            Of the table.

        Returns
        -------
        str
            Several lines.
        """
        k = len(self.strengths)
        shown = sorted({*np.linspace(0, k - 1, min(k, MOST)).round().astype(int).tolist(), *self.best.values()})
        named = [(kind, *unit_of(kind, units)) for kind in self.errors]
        rows = []
        for i in shown:
            mark = ", ".join(f"least {n}" for n, at in self.best.items() if at == i)
            errors = [number_text(float(self.errors[kind][i]) * x) for kind, _, x in named]
            rows.append([f"{self.strengths[i]:.4g}", self.terms[i], f"{self.freedom[i]:.4g}", *errors, mark])
        heads = [self.name, "terms", "degrees\nof freedom", *(f"{kind}\n{unit}" for kind, unit, _ in named), ""]
        of_what = f"blocks {', '.join(self.view.blocks)}: {count_text(k, 'point')} of {len(self.view.columns)} columns"
        lines = [f"{self.kind} path of {of_what}; RMSE of the rows that were fitted", table_text(heads, rows)]
        return "\n".join(lines) + "\n\nwritten:" + "".join(f"\n  {f}" for f in self.files)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, in kcal/mol, Å and GPa.

        Returns
        -------
        dict from str to object
            Numbers of each point; coefficients are in the file.
        """
        numbers = {**{f"{kind}_rmse": e for kind, e in self.errors.items()}, **self.criteria}
        return {
            "kind": self.kind, "blocks": list(map(str, self.view.blocks)), "columns": len(self.view.columns),
            "points": [
                {self.name: float(s), "terms": self.terms[i], "degrees_of_freedom": float(self.freedom[i])}
                | {n: float(v[i]) for n, v in numbers.items()}
                for i, s in enumerate(self.strengths)
            ],
            "best": dict(self.best), "files": [str(f) for f in self.files],
        }  # fmt: skip

    def tables(self, units: str) -> tuple[CsvTable, CsvTable]:
        """``path.csv`` and ``path_coefficients.csv``.

        Parameters
        ----------
        units : {"kcal", "eV"}
            Of errors; coefficients are in kcal/mol, as in parameter files.

        Returns
        -------
        tuple of CsvTable
            A row a point; and a row a column with its coefficient at each point.
        """
        named = [(kind, *unit_of(kind, units)) for kind in self.errors]
        errors = (f"{kind}_rmse_{unit}" for kind, unit, _ in named)
        points = tuple(
            (
                float(s), self.terms[i], float(self.freedom[i]),
                *(float(self.errors[kind][i]) * x for kind, _, x in named),
                *(float(v[i]) for v in self.criteria.values()),
            )
            for i, s in enumerate(self.strengths)
        )  # fmt: skip
        columns = tuple(
            (c.block, " ".join(c.elements), " ".join(map(str, c.powers)), *map(float, self.coefficients[:, j]))
            for j, c in enumerate(self.view.columns)
        )
        strengths = (f"{self.name}_{s:.10g}" for s in self.strengths)
        return (
            CsvTable(POINTS, (self.name, "terms", "degrees_of_freedom", *errors, *self.criteria), points),
            CsvTable(COEFFICIENTS, ("block", "elements", "powers", *strengths), columns),
        )


# long: its parameters are documented
@with_its_stores
def path_job(
    job: Input, executor: Executor, *, kind: str = "ridge", strengths: tuple[float, float] | None = None,
    points: int = GRID, blocks: Sequence[str] | None = None, model: Path | None = None, output: Path | None = None,
    plot: bool = False, fresh: bool = False, tell: Callable[[str], None] = lambda _: None,
) -> PathReport:  # fmt: skip
    """Fit blocks of an input along a path of strengths, and write tables, and a figure if asked for.

    Parameters
    ----------
    job : Input
        Its data, basis and settings but for the regulariser.
    executor : Executor
        Who makes the pass over the rows.
    kind : {"ridge", "lasso"}
        As of :func:`~hiertl_dist.path`.
    strengths : tuple of 2 float, optional
        From which alpha to which; a LASSO begins where all terms are zero and ends at the smaller, which it needs.
    points : int
        Of a ridge, evenly in the logarithm.
    blocks : Sequence of str, optional
        That are fitted together; default: all.
    model : Path, optional
        The model that has the others, which are frozen.
    output : Path, optional
        Folder of the results; default: ``path`` in that of the input.
    plot : bool
        Draw coefficients and errors (needs matplotlib).
    fresh : bool
        Make a new summary store; the one that is there gets another name.
    tell : callable, optional
        Takes lines for a person.

    Returns
    -------
    PathReport
        What was found and written.

    Raises
    ------
    InputError, MismatchError, ConvergenceError
        As of :func:`~hiertl_dist.path` and :func:`~hiertl_dist.jobs.input_views.view_of_input`.
    """
    if kind == "lasso" and strengths is None:
        raise InputError("path: a lasso needs the λ at which its path ends: --strengths LOW HIGH")
    low, high = WIDE if strengths is None else strengths
    if not 0.0 < low < high < np.inf or points < 2:
        raise InputError(f"path: expected 0 < LOW < HIGH and at least 2 points, found {low}, {high} and {points}")
    folder = job.output / FOLDER if output is None else output
    chosen = view_of_input(job, blocks, model, executor, fresh=fresh, tell=tell).view
    report = _along(chosen, kind, low, high, points)
    writers = [table_writer(folder, table) for table in report.tables(job.units)]
    if plot:
        writers.append(figure_writer(folder / FIGURE, partial(_draw, report)))
    planned = [folder / POINTS, folder / COEFFICIENTS, *figure_files(folder / FIGURE)]
    results = Results(folder, planned, [*job.frozen, *([] if model is None else [model])], executor, tell)
    return replace(report, files=results.write(writers))


def _along(given: View, kind: str, low: float, high: float, points: int) -> PathReport:
    options: dict[str, Any] = {"lam_min": low} if kind == "lasso" else {"alphas": np.geomspace(high, low, points)}
    found: Any = path(given, kind, **options)
    whole = np.array(found.coefficients)
    squares, _ = residual_squares(given, (whole - given.zeros).T)
    errors: dict[Kind, NDArray[np.float64]] = {}
    for name in QUANTITIES:
        groups = [g for g in squares if person_kind(g.kind) == name]
        if groups:
            per_atom = [1.0 / max(g.atoms, 1) ** 2 if name == "energy" else 1.0 for g in groups]
            total = np.sum([s * squares[g] for s, g in zip(per_atom, groups, strict=True)], axis=0)
            mean = total / sum(given.summaries.rows(g) for g in groups)
            errors[name] = (KCAL_PER_A3_IN_GPA if name == "stress" else 1.0) * np.sqrt(mean)
    criteria = {"aic": found.aic, "bic": found.bic} if kind == "lasso" else {"gcv": found.gcv}
    best = {name: int(np.argmin(v)) for name, v in criteria.items() if np.isfinite(v).any()}
    strengths = found.lams if kind == "lasso" else found.alphas
    return PathReport(kind, given, strengths, whole, errors, found.degrees_of_freedom, criteria, best)


def _draw(report: PathReport, place: Path) -> None:
    """Coefficients, and errors, along a path."""
    figure = new_figure(10.0, 4.8)
    left, right = figure.subplots(1, 2)
    powers = [j for j, c in enumerate(report.view.columns) if c.powers]
    largest = sorted(powers, key=lambda j: -float(np.abs(report.coefficients[:, j]).max()))[:MOST_LINES]
    left.plot(report.strengths, report.coefficients[:, largest], lw=0.7)
    left.set(xscale="log", xlabel=report.name, ylabel="coefficient, kcal/mol")
    left.set_title(f"the {len(largest)} largest of {len(powers)} coefficients", fontsize="medium")
    handles: dict[str, Any] = {}
    for (kind, values), colour in zip(report.errors.items(), COLOURS, strict=False):
        (handles[f"{kind}, {unit_of(kind, 'kcal')[0]}"],) = right.plot(report.strengths, values, color=colour)
    for (name, i), style in zip(report.best.items(), (":", "--"), strict=False):
        handles[f"least {name}"] = right.axvline(report.strengths[i], color="k", ls=style, lw=0.8)
    right.set(xscale="log", yscale="log", xlabel=report.name, ylabel="RMSE of the rows that were fitted")
    add_legend(figure, handles)
    save_figure(figure, place)
