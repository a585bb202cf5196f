"""The tables of a fit or an evaluation as CSV files, for spreadsheets and scripts: full digits, a number a cell."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..files.paths import replacing
from ..fitting.mean_model import QUANTITIES
from .report import unit_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..evaluation.coverage import Coverage
    from ..model.solution import Solution
    from ..uncertainty.frame_sigmas import SigmaReport
    from .error_tables import Errors
    from .evaluated import EvaluatedFrames

ERRORS_HEADER: Final = (
    "model", "frames_of", "by", "name", "quantity", "unit", "frames", "frames_out_of_range", "atoms", "labels",
    "size_of_labels", "rmse", "mae", "max", "rmse_of_mean", "worse_than_mean",
)  # fmt: skip
"""``by`` is composition, group or all; ``size_of_labels`` the RMS of forces and stresses, the standard deviation of
energies per atom; ``rmse_of_mean`` the RMSE of a model that predicts the mean of the labels; ``worse_than_mean``
whether the RMSE is above it, yes or no, which is not judged by fewer than ten labels."""

COVERAGE_HEADER: Final = (
    "model", "block", "pair", "fitted_from_Å", "fitted_to_Å", "used_from_Å", "used_to_Å", "frames", "frames_beyond",
    "two_body_force_beyond_kcal/mol/Å",
)  # fmt: skip

BLOCKS_HEADER: Final = (
    "block", "blocks_fitted", "frozen", "columns", "rows", "counted_rows", "rank", "nonzeros", "rmse", "condition",
    "method", "objective", "regulariser", "weights", "hyperparameters",
)  # fmt: skip


BLOCKS, ERRORS, FRAMES, COVERAGE = NAMES = ("blocks.csv", "errors.csv", "frames.csv", "coverage.csv")
"""Of all files of tables of a fit."""

SIGMA: Final = "sigma.csv"


@dataclass(frozen=True, eq=False)
class CsvTable:
    """One file: its name, titles and rows, which may be made one by one as they are written."""

    name: str
    header: tuple[str, ...]
    rows: Iterable[tuple[Any, ...]]

    def write(self, folder: Path) -> Path:
        """Write it into a folder, which is made, so that a reader sees the old file or the new one; returns its path.

        Numbers have all digits; what is not there (NaN) is an empty cell. UTF-8, commas, a line feed after each row.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.name
        with replacing(path) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(self.header)
            writer.writerows([_cell(v) for v in row] for row in self.rows)
            text.detach()
        return path


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value))
    return value


def errors_csv(
    compositions: Mapping[str, Mapping[str, Mapping[str, Errors]]],
    groups: Mapping[str, Mapping[str, Mapping[str, Errors]]], units: str,
) -> CsvTable:  # fmt: skip
    """``errors.csv``: by model, set of frames, composition and group, and kind of label.

    Parameters
    ----------
    compositions, groups : mapping
        ``{model: {set of frames: {name: Errors}}}``.
    units : {"kcal", "eV"}
        Units of energies in the table.

    Returns
    -------
    CsvTable
        Its name, header and rows.
    """
    rows: list[tuple[Any, ...]] = []
    for by, tables in (("composition", compositions), ("group", groups)):
        for model, sets in tables.items():
            for frames_of, table in sets.items():
                for name, errors in table.items():
                    kind = "all" if by == "composition" and name == "all" else by
                    rows += _error_rows((model, frames_of, kind, name), errors, units)
    return CsvTable(ERRORS, ERRORS_HEADER, tuple(rows))


def _error_rows(first: tuple[str, ...], errors: Errors, units: str) -> list[tuple[Any, ...]]:
    rows = []
    for kind in QUANTITIES:
        of_kind, (unit, factor) = errors.of(kind), unit_of(kind, units)
        numbers = [x * factor for x in (of_kind.size, of_kind.rmse, of_kind.mae, of_kind.max)]
        judged = ("yes" if of_kind.worse else "no") if of_kind.labels else ""
        counts = (errors.frames, errors.out_of_range, errors.atoms, of_kind.labels)
        rows.append((*first, kind, unit, *counts, *numbers, of_kind.spread * factor, judged))
    return rows


def frames_csv(found: Mapping[str, Mapping[str, EvaluatedFrames]], units: str) -> CsvTable:
    """``frames.csv``: by model and set of frames, the errors of each frame, and what is out of range in it."""
    titles = [f"{kind}_{'error' if kind == 'energy' else 'rmse'}_{unit_of(kind, units)[0]}" for kind in QUANTITIES]
    header = ("model", "frames_of", "index", "origin", "group", "composition", *titles, "out_of_range")
    return CsvTable(FRAMES, header, _FrameRows(found, units))


@dataclass(frozen=True, eq=False)
class _FrameRows(Iterable[tuple[Any, ...]]):
    """Rows of ``frames.csv``, made anew each time they are walked through."""

    found: Mapping[str, Mapping[str, EvaluatedFrames]]
    units: str

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        factors = [unit_of(kind, self.units)[1] for kind in QUANTITIES]
        for model, sets in self.found.items():
            for frames_of, evaluated in sets.items():
                for f in evaluated.residuals():
                    errors = (x * factor for x, factor in zip((f.force, f.energy, f.stress), factors, strict=True))
                    yield (
                        model, frames_of, f.index, f.origin, f.group, f.composition, *errors,
                        "; ".join(f.out_of_range),
                    )  # fmt: skip


def sigma_csv(report: SigmaReport, units: str) -> CsvTable:
    """``sigma.csv``: predicted errors of each frame, what the coefficients account for, the largest leverage."""
    named = [(kind, *unit_of(kind, units)) for kind in QUANTITIES]
    header = (
        "index", "origin", *(f"{kind}_sigma_{unit}" for kind, unit, _ in named),
        *(f"{kind}_of_coefficients_{unit}" for kind, unit, _ in named), "leverage_max",
    )  # fmt: skip
    factors = [factor for _, _, factor in named]
    rows = (
        (i, f.origin, *(x * y for x, y in zip((f.force, f.energy, f.stress), factors, strict=True)),
         *(x * y for x, y in zip(f.parts, factors, strict=True)), f.leverage)
        for i, f in enumerate(report.frames)
    )  # fmt: skip
    return CsvTable(SIGMA, header, rows)


def coverage_csv(listed: Mapping[str, Sequence[Coverage]]) -> CsvTable:
    """``coverage.csv``: by model, block and pair of elements, the distances fitted on and used on."""
    rows = [
        (model, c.block, c.pair, *map(float, (*c.fitted, *c.used)), c.frames, c.beyond, c.force)
        for model, coverages in listed.items() for c in coverages
    ]  # fmt: skip
    return CsvTable(COVERAGE, COVERAGE_HEADER, tuple(rows))


def blocks_csv(solutions: Mapping[str, Solution]) -> CsvTable:
    """``blocks.csv``: each fit, and what it was conditioned on; tables are JSON."""
    rows = [
        (
            name, " ".join(s.blocks), "; ".join(s.frozen), s.n_columns, s.rows, s.n_counted, s.rank, s.nonzeros,
            float(s.rmse), float(s.condition), s.method, s.objective,
            *(json.dumps(dict(t)) for t in (s.regulariser, s.weights, s.hyperparameters)),
        )
        for name, s in solutions.items()
    ]  # fmt: skip
    return CsvTable(BLOCKS, BLOCKS_HEADER, tuple(rows))
