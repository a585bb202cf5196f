"""What a fit says on the screen: what matters of long tables, all warnings, and where all of it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..fitting.mean_model import judgement_text
from ..text.display import table_text
from ..text.result_cards import conditions_text
from ..text.words import count_text
from .fit_report import coverage_of, solutions_of, title_of, types_of, warned_text
from .outputs import REPORT_TEXT
from .report import coverage_text, details_text, errors_text, types_table, warnings_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..model.solution import Solution
    from .error_tables import Errors
    from .fit_report import FitResult
    from .input_file import Input

MOST_ROWS: Final = 12
"""Of a table on the screen; of longer ones the rows that matter are shown, or as many with the largest errors."""

MOST_BLOCKS: Final = 4
"""Blocks of a fit of which all that is said is shown while they are fitted; of more, a line each."""

ALL: Final = "all"
"""The row of all compositions."""


@dataclass
class Screen:
    """The lines of a run that go to the screen, and those that are kept from it because there are many blocks.

    Attributes
    ----------
    blocks : int
        How many the basis has.
    held : list of str
        What was kept from the screen.
    """

    blocks: int
    held: list[str] = field(default_factory=list)

    def shows(self, line: str) -> bool:
        """Whether a line is shown; else it is held.

        Parameters
        ----------
        line : str
            As it was told.

        Returns
        -------
        bool
            True of warnings and failures, of what the fit of a block came to, and of all that is of no single block.
        """
        told = "WARNING" in line or line.startswith("failed") or " rank " in line
        about_a_block = line.startswith("  ") or line.startswith("block ") or line.endswith("fitted side by side")
        left_out = line.startswith("block ") and not line.endswith(("frozen", "is fitted", "left free"))
        if self.blocks <= MOST_BLOCKS or told or left_out or not about_a_block:
            return True
        self.held.append(line)
        return False


def short_text(result: FitResult, job: Input, screen: Screen) -> str:
    """A fit for people as it is on the screen.

    Parameters
    ----------
    result : FitResult
        What was made.
    job : Input
        For units and the folder of results.
    screen : Screen
        What was kept from the screen before.

    Returns
    -------
    str
        Nothing is lost: what it cuts is said, with the file that has it.
    """
    cut = [count_text(len(screen.held), "line") + " of single blocks"] if screen.held else []
    solutions = solutions_of(result)
    parts = [_blocks(solutions, cut)]
    if len(solutions) <= MOST_BLOCKS:
        conditions = "\n".join(f"  {name}: {conditions_text(s, job.units)}" for name, s in solutions.items())
        parts.append(f"\nconditioned on\n{conditions}")
    else:
        cut.append("what blocks were conditioned on")
    for s in next(iter(result.errors.values()), ()):
        beside = {name: by_set[s] for name, by_set in result.errors.items()}
        groups = {name: by_set[s] for name, by_set in result.group_errors.items()}
        parts.append(f"\n{title_of(result, s)}\n{_errors(beside, groups, job.units, s, cut)}")
    coverage, types = coverage_of(result), types_of(result)
    for name, covered in coverage.items():
        if listed := _marked(types[name], lambda t: bool(t.remark), f"types of clusters ({name})", cut):
            title = f"\n{name}: clusters that each type was fitted on, and that all frames have\n"
            parts.append(title + types_table(listed))
        rows = _marked(covered, lambda c: bool(c.beyond), "distances of blocks", cut) if name == "hierarchical" else ()
        if rows:
            title = "\ndistances that each block was fitted on, and is used on in all frames\n"
            parts.append(title + coverage_text(rows, job.units))
    for name, by_set in result.evaluated.items():
        for s, e in by_set.items():
            known = result.models[name].coverage
            parts.append(f"\n{name}, {s}: " + warnings_text(e, job.units, 5, known, coverage[name]))
    parts += warned_text(result)
    if cut:
        where = Path(job.output) / REPORT_TEXT
        parts.append(f"\nnot shown here: {'; '.join(cut)}. All of it is in {where}")
    return "\n".join(parts)


def _blocks(solutions: Mapping[str, Solution], cut: list[str]) -> str:
    """A line for each fit; which models were frozen, where there are few."""
    header = ["block", "columns", "rows", "rank", "nonzero", "RMSE", "condition"]
    rows: list[list[Any]] = [
        [name, s.n_columns, s.rows, s.rank, s.nonzeros, s.rmse, f"{s.condition:.1e}"] for name, s in solutions.items()
    ]
    if len(solutions) > MOST_BLOCKS:
        cut.append("what was frozen below blocks")
        return table_text(header, rows)
    frozen = [", ".join(Path(f).name for f in s.frozen) or "nothing" for s in solutions.values()]
    return table_text([*header, "frozen"], [[*row, f] for row, f in zip(rows, frozen, strict=True)])


def _errors(
    beside: Mapping[str, Mapping[str, Errors]], groups: Mapping[str, Mapping[str, Errors]], units: str, what: str,
    cut: list[str],
) -> str:  # fmt: skip
    """RMSE by composition and what is to be said of them; with few of both, tables of each kind of labels, too."""
    names = list(dict.fromkeys(c for table in beside.values() for c in table))
    sources = {g for table in groups.values() for g in table}
    if len(names) <= MOST_ROWS and len(sources) <= MOST_ROWS:
        return f"{errors_text(beside, units)}\n\n{details_text(beside, groups, units)}"
    single = [n for n in names if n != ALL]
    worst = sorted(single, key=lambda n: -_worst(beside, n))[: MOST_ROWS - 1]
    kept = [n for n in names if n in worst or n == ALL]
    cut.append(f"errors by kind and group of {what} frames")
    text = errors_text({m: {n: table[n] for n in kept if n in table} for m, table in beside.items()}, units)
    if len(single) > len(worst):
        text += f"\n… and {len(single) - len(worst)} compositions with smaller errors"
    judged = judgement_text(beside, groups)
    return f"{text}\n\n{judged}" if judged else text


def _worst(tables: Mapping[str, Mapping[str, Errors]], name: str) -> float:
    """The largest error of forces that a model has of a composition; of one without forces, that of energies."""
    errors = [table[name] for table in tables.values() if name in table]
    found = [x for e in errors if (x := e.of("force").rmse) == x]
    return max(found or [x for e in errors if (x := e.of("energy").rmse) == x], default=0.0)


def _marked(rows: Sequence[Any], matters: Any, what: str, cut: list[str]) -> Sequence[Any]:
    """All rows where they are few, else those that matter."""
    if len(rows) <= MOST_ROWS:
        return rows
    kept = [row for row in rows if matters(row)]
    left = len(rows) - len(kept)
    if left:
        cut.append(f"{left} of {len(rows)} rows of {what}, in none of which is anything amiss")
    return kept
