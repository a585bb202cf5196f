"""Findings of the CSV files that ``evaluate --csv`` and ``fit --csv`` write, where nothing else is there."""

from __future__ import annotations

import csv
import math
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import InputError
from ..evaluation.coverage import Coverage
from ..fitting.mean_model import QUANTITIES, KindErrors
from ..jobs.csv_tables import COVERAGE, COVERAGE_HEADER, ERRORS, ERRORS_HEADER, FRAMES
from ..jobs.figure_facts import WORST
from ..jobs.report import unit_of
from .findings import ErrorsOf, as_written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ..fitting.mean_model import Kind

Name = TypeVar("Name", bound=str)


def csv_parts(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Parts of findings from the tables of a folder.

    Parameters
    ----------
    folder : Path
        Where they are.
    names : sequence of str
        Those that are there.

    Returns
    -------
    dict from str to Any
        ``errors``, ``coverage``, ``figures`` and ``units``, as far as there are files; of figures worst frames alone.

    Raises
    ------
    InputError
        Naming the file that is no such table.
    StoreError
        Naming the file that is damaged.
    """
    parts: dict[str, Any] = {}
    for name in names:
        with as_written(folder / name):
            if name == ERRORS and (rows := _rows(folder / name, ERRORS_HEADER)):
                parts |= {"errors": _errors(rows), "units": "kcal" if "kcal" in rows[0]["unit"] else "eV"}
            elif name == COVERAGE:
                parts["coverage"] = _coverage(_rows(folder / name, COVERAGE_HEADER))
            elif name == FRAMES:
                parts["figures"] = _worst(_rows(folder / name, ("model", "frames_of", "origin")))
    return parts


def _rows(path: Path, header: Sequence[str]) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if lacking := [name for name in header if name not in (reader.fieldnames or ())]:
            raise InputError(f"{path}: expected the columns that hiertl-dist writes, found none called {lacking[0]}")
        rows = list(_told(reader))
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise ValueError(f"row {number} does not have a value for each of {len(reader.fieldnames or ())} columns")
    return rows


def _told(reader: Iterable[dict[str, str]]) -> Iterator[dict[str, str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise ValueError(f"no CSV: {error}") from error


def _number(text: str) -> float:
    return float(text) if text else math.nan


def _errors(rows: Sequence[dict[str, str]]) -> tuple[ErrorsOf, ...]:
    tables: dict[tuple[str, str, str, str], dict[Kind, KindErrors]] = {}
    counts: dict[tuple[str, str, str, str], tuple[int, int, int]] = {}
    for row in rows:
        key = (row["model"], row["frames_of"], row["by"], row["name"])
        kind = _one_of(QUANTITIES, row["quantity"])
        factor = _factor(kind, row["unit"])
        names = ("rmse", "mae", "max", "size_of_labels", "rmse_of_mean")
        rmse, mae, largest, size, spread = (_number(row[name]) / factor for name in names)
        worse = row["worse_than_mean"] == "yes"
        tables.setdefault(key, {})[kind] = KindErrors(int(row["labels"]), rmse, mae, largest, size, spread, worse)
        counts[key] = (int(row["frames"]), int(row["atoms"]), int(row["frames_out_of_range"]))
    return tuple(ErrorsOf(*key, *counts[key], kinds) for key, kinds in tables.items())


def _factor(kind: Kind, unit: str) -> float:
    factors = dict(unit_of(kind, units) for units in ("kcal", "eV"))
    return factors[_one_of(tuple(factors), unit)]


def _one_of(names: Sequence[Name], found: str) -> Name:
    for name in names:
        if name == found:
            return name
    raise ValueError(f"expected one of {', '.join(names)}, found {found!r}")


def _coverage(rows: Sequence[dict[str, str]]) -> dict[str, tuple[Coverage, ...]]:
    listed: dict[str, list[Coverage]] = {}
    for row in rows:
        low, high, first, last = (float(row[name]) for name in COVERAGE_HEADER[3:7])
        counts = int(row["frames"]), int(row["frames_beyond"])
        own = Coverage(row["block"], row["pair"], (low, high), (first, last), *counts, _number(row[COVERAGE_HEADER[9]]))
        listed.setdefault(row["model"], []).append(own)
    return {model: tuple(own) for model, own in listed.items()}


def _worst(rows: Sequence[dict[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    frames: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        one: dict[str, Any] = {name: row[name] for name in ("origin", "group", "composition")}
        one |= {"index": int(row["index"]), "out_of_range": [row["out_of_range"]] if row["out_of_range"] else []}
        for title, text in row.items():
            kind = next((k for k in QUANTITIES if title.startswith(f"{k}_")), None)
            if kind is not None:
                one[kind] = _number(text) / _factor(kind, title.split("_", 2)[2])
        frames.setdefault((row["model"], row["frames_of"]), []).append(one)
    worst = {}
    for key, own in frames.items():
        by_kind = {k: sorted((f for f in own if not math.isnan(f[k])), key=itemgetter(k)) for k in QUANTITIES}
        worst[key] = {"worst_frames": {k: listed[::-1][:WORST] for k, listed in by_kind.items() if listed}}
    return worst
