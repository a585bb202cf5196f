"""Reading of a folder of results into findings: of a fit, a search, a polished model or an evaluation."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError, MissingFileError
from ..evaluation.coverage import Coverage
from ..evaluation.energies import read_parts
from ..evaluation.type_coverage import TypeCoverage
from ..files.checksums import warn_if_other
from ..files.json_files import read_object
from ..jobs.csv_tables import COVERAGE, ERRORS, FRAMES
from ..jobs.error_tables import Errors
from ..jobs.outputs import MODEL, REPORT, RUN, SEARCH
from ..model.file_names import ENDINGS
from ..model.solution import Solution
from ..text.words import count_text, shown
from .csv_findings import csv_parts
from .findings import Findings, as_written, errors_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAN: Final = math.nan

WARNS: Final = "WARNING: "
"""How a note begins that warns."""

LINE: Final = "note: "


# long: a step for each file that may be there
def read_results(path: str | Path, units: str | None = None, theory: str = "") -> Findings:
    """All that a folder of results has.

    Parameters
    ----------
    path : str or Path
        A folder that ``fit``, ``search``, ``polish`` or ``evaluate --csv`` wrote to, or a file with what ``evaluate
        --json`` printed.
    units : {"kcal", "eV"}, optional
        Of tables; default: those of the run, and eV where these are not known.
    theory : str
        Level of theory of the data; default: what the run knows.

    Returns
    -------
    Findings
        What is not there is empty.

    Raises
    ------
    MissingFileError
        There is no such folder.
    InputError
        It has nothing that a report could be made of, or results of two runs.
    StoreError, ParameterFileError
        Naming a file that is damaged.

    Warns
    -----
    HiertlWarning
        A file is not the one that the run wrote whose results are in the folder.
    """
    path = Path(path)
    if path.is_file():
        with as_written(path):
            return _of_evaluation(path, units, theory)
    if not path.is_dir():
        raise MissingFileError(f"{path}: no such folder; a report is made of the folder that a fit or search wrote")
    report, search, run = (_object_at(path / name) for name in (REPORT, SEARCH, RUN))
    if report and search:
        raise InputError(
            f"{path} has {REPORT} of a fit and {SEARCH} of a search: a report is of one run; move one of them, with "
            "what belongs to it, to a folder of its own"
        )
    if report or search:
        with as_written(path / (REPORT if report else SEARCH)):
            parts = _fit_parts(report) if report else _search_parts(search)
    else:
        there = [name for name in (ERRORS, COVERAGE, FRAMES) if (path / name).is_file()]
        for name in there:
            warn_if_other(path / name)
        parts = csv_parts(path, there)
    solutions = {s.name.removesuffix(ENDINGS[0]): Solution.load(s) for s in sorted(path.glob(f"*{ENDINGS[0]}"))}
    model = read_parts(path / MODEL) if (path / MODEL).is_file() else None
    if not (parts or solutions or model):
        raise InputError(
            f"{path}: expected {REPORT}, {SEARCH}, {ERRORS}, solutions (*{ENDINGS[0]}) or {MODEL}, found none of them; "
            "give the folder that hiertl-dist fit or search wrote its results to"
        )
    fits = parts.pop("fits", {}) or {name: s.as_dict() for name, s in solutions.items()}
    with as_written(path / RUN):
        chosen = units or run.get("input", {}).get("units") or parts.pop("units", None) or "eV"
        if chosen not in ("kcal", "eV"):
            raise ValueError(f"units {chosen!r}")
        parts.pop("units", None)
        warnings, notes = _said(run, fits, parts.pop("said", ()), () if model is None else model.notes)
        return Findings(
            str(path), chosen, run, solutions=solutions, fits=fits, model=model, warnings=warnings, notes=notes,
            theory=theory or _theory(run), **parts,
        )  # fmt: skip


def _object_at(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    warn_if_other(path)
    return read_object(path)


def _theory(run: Mapping[str, Any]) -> str:
    library = run.get("input", {}).get("library") or {}
    stated = library.get("theory", "")
    if isinstance(stated, dict):
        stated = ", ".join(f"{key} {value}" for key, value in stated.items())
    return "" if stated == "unknown" else str(stated)


# ---- what JSON has


def _of_evaluation(path: Path, units: str | None, theory: str) -> Findings:
    facts = read_object(path)
    if not {"errors", "group_errors", "coverage"} <= set(facts):
        raise InputError(
            f"{path}: expected a folder of results, or a file with what hiertl-dist evaluate --json printed, found an "
            f"object with {', '.join(sorted(facts)[:8]) or 'nothing in it'}"
        )
    model, of = "sum of models", "given"
    missing = {model: {of: facts.get("missing_types", [])}}
    said = list(_missing(missing))
    if elements := facts.get("no_energy_offsets"):
        said.append((model, f"{WARNS}no file has an energy offset of {', '.join(elements)}: energies are off by a "
                            "constant for each such atom"))  # fmt: skip
    frames = facts.get("frames", [])
    worst = sorted(
        ({"index": f["index"], "origin": f["origin"], "group": f["group"], "composition": "–",
          "force": number(f["force_rmse"]), "energy": abs(number(f["energy_error_per_atom"])),
          "stress": number(f["stress_rmse_gpa"]), "out_of_range": f["out_of_range"]} for f in frames),
        key=lambda f: -f["force"] if not math.isnan(f["force"]) else 0.0,
    )  # fmt: skip
    warnings, notes = _said({}, {}, said, ())
    return Findings(
        str(path), units or "eV", theory=theory, warnings=warnings, notes=notes,
        errors=_errors({model: {of: facts["errors"]}}, {model: {of: facts["group_errors"]}}),
        coverage={model: _coverage(facts["coverage"])}, types={model: _types(facts.get("types", []))},
        figures={(model, of): {"worst_frames": {"force": worst[:10]}}} if worst else {},
        out_of_range={(model, of): tuple(f for f in worst if f["out_of_range"])},
    )  # fmt: skip


def _fit_parts(report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "fits": report["solutions"], "labels": tuple(report.get("labels", ())),
        "errors": _errors(report["errors"], report["group_errors"]),
        "coverage": {name: _coverage(own) for name, own in report.get("coverage", {}).items()},
        "types": {name: _types(own) for name, own in report.get("types", {}).items()},
        "figures": _by_set(report.get("figures", {})), "out_of_range": _by_set(report.get("out_of_range", {})),
        "said": [*_missing(report.get("missing_types", {})), *_left_out(report.get("out_of_range_left_out", {}))],
    }  # fmt: skip


def _search_parts(search: Mapping[str, Any]) -> dict[str, Any]:
    name = "chosen"
    return {
        "fits": {s["name"]: s["chosen"]["solution"] for s in search["stages"]}, "search": search,
        "errors": _errors({name: search["errors"]}, {name: search["group_errors"]}),
        "coverage": {name: _coverage(search["coverage"])} if "coverage" in search else {},
        "types": {name: _types(search["types"])} if "types" in search else {},
        "figures": _by_set({name: search.get("figures", {})}),
        "out_of_range": _by_set({name: search.get("out_of_range", {})}),
        "said": [
            *_missing({name: search.get("missing_types", {})}),
            *_left_out({name: search.get("out_of_range_left_out", {})}),
            *((s["name"], f"{WARNS}{note}") for s in search["stages"] for note in s.get("notes", ())),
        ],
    }  # fmt: skip


def _by_set(tables: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], Any]:
    return {(model, of): own for model, sets in tables.items() for of, own in sets.items()}


def _errors(compositions: Mapping[str, Any], groups: Mapping[str, Any]) -> tuple[Any, ...]:
    names = {f.name for f in fields(Errors)}
    return tuple(
        errors_of(model, of, by, name, Errors(**{k: number(v) for k, v in own.items() if k in names}))
        for by, tables in (("composition", compositions), ("group", groups))
        for model, sets in tables.items() for of, table in sets.items() for name, own in table.items()
    )  # fmt: skip


def number(value: Any) -> Any:
    """A number of a JSON file, whose ``null`` is NaN."""
    return NAN if value is None else value


def _pair(values: Any) -> tuple[Any, Any]:
    """Two numbers. Raises ValueError for others."""
    first, second = values
    if not all(isinstance(value, int | float | None) and not isinstance(value, bool) for value in (first, second)):
        raise ValueError(f"expected two numbers, found {shown(values)}")
    return first, second


def _coverage(rows: Iterable[Mapping[str, Any]]) -> tuple[Coverage, ...]:
    return tuple(
        Coverage(c["block"], c["pair"], _pair(c["fitted"]), _pair(c["used"]), c["frames"], c["beyond"],
                 number(c["force"]))
        for c in rows
    )  # fmt: skip


def _types(rows: Iterable[Mapping[str, Any]]) -> tuple[TypeCoverage, ...]:
    return tuple(
        TypeCoverage(t["name"], t["block"], None if t["fitted"] is None else _pair(t["fitted"]), _pair(t["met"]),
                     t["without_data"])
        for t in rows
    )  # fmt: skip


# ---- what was said


def _missing(tables: Mapping[str, Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    for model, sets in tables.items():
        for of, types in sets.items():
            for kind in types:
                facts = ", ".join(f"{key} {value}" for key, value in kind.items())
                yield f"{model}, {of}", f"{WARNS}no coefficients for clusters that these frames contain: {facts}"


def _left_out(tables: Mapping[str, Mapping[str, str]]) -> Iterable[tuple[str, str]]:
    return ((f"{model}, {of}", text) for model, sets in tables.items() for of, text in sets.items())


def _said(
    run: Mapping[str, Any], fits: Mapping[str, Any], said: Iterable[tuple[str, str]], of_model: Iterable[str]
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """Warnings, and notes, each once, with where it comes from; what the run said of fits is theirs."""
    known = [
        *((name, note) for name, fit in fits.items() for note in fit.get("notes", ())), *said,
        *((MODEL, note) for note in of_model), *_planned(run),
    ]  # fmt: skip
    texts = {text for _, text in known}
    lines = [("the run", line.removeprefix(LINE)) for line in run.get("said", ())]
    both = list(dict.fromkeys([*known, *(line for line in lines if line[1] not in texts)]))
    warns = tuple((source, text.removeprefix(WARNS)) for source, text in both if text.startswith(WARNS))
    return warns, tuple((source, text) for source, text in both if not text.startswith(WARNS))


PLANNED: Final = {
    "skipped_frames": "{} left out", "unlabelled_frames": "{} without labels",
    "inside_inner_cutoff": "{} inside an inner cutoff", "inactive_types": "{} never active",
}  # fmt: skip
"""What a plan names that is not as usual."""

THINGS: Final = {"inside_inner_cutoff": "pair of atoms", "inactive_types": "type"}


def _planned(run: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, plan in run.get("plans", {}).items():
        for key, what in PLANNED.items():
            if own := plan.get(key):
                some = "; ".join(map(str, own[:20])) + (f"; … and {len(own) - 20} more" if len(own) > 20 else "")
                yield f"plan of {name}", f"{what.format(count_text(len(own), THINGS.get(key, 'frame')))}: {some}"
