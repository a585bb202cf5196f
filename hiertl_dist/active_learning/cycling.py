"""``run_cycles``: fit, run the model, pick frames, have them labelled, and again, each step once, whatever ends it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError
from ..executors import borrowed
from ..executors.ask import ask
from ..files.json_files import digest_of, json_text, write_json
from ..jobs.run_record import SETTINGS, plain
from ..text.words import count_text
from ..units import EV
from .labelling import calculator_of
from .records import begin_work, end_work, read_state, write_step
from .report import CycleRow, CyclesReport
from .steps import CycleWork

if TYPE_CHECKING:
    from ..executors.base import Executor
    from ..fitting.settings import FitSettings
    from ..jobs.cycle_settings import CycleSettings
    from ..jobs.input_file import Input

MAY_CHANGE: Final = ("cycles", "sigma", "folder")
"""Settings of a loop that say when it ends; a cycle that was begun goes on with others."""

OWN: Final = "cycle_"
"""With the number of a cycle, the group of its labels."""

GROUP: Final = re.compile(rf"{OWN}(\d+)(?:/|$)")
"""Weights of the labels of a cycle."""

TABLE: Final = "cycles.json"
"""The report of all cycles, in the folder above them."""

REPORT: Final = "report.json"
INPUT: Final = "input.json"
"""In the folder of a cycle: its row with its notes, and all that was asked for."""


# long: its parameters are documented
def run_cycles(
    job: Input, executor: Executor | None = None, *, tell: Callable[[str], None] = lambda _: None
) -> CyclesReport:
    """Run the active-learning loop of an input, from where it was left.

    Each cycle has a folder (``cycles/0000``) with the fit, the runs, the frames that were picked and why, their labels,
    and ``state.json``, which says with checksums what is done. Killed at any point, the same call goes on: no fit, run,
    or label that is complete is made again, and runs of molecular dynamics go on from their last checkpoint.

    Parameters
    ----------
    job : Input
        With a ``cycle``.
    executor : Executor, optional
        Whose workers fit, run and label; default: one of kind "auto".
    tell : callable taking a str, optional
        Is told what is done.

    Returns
    -------
    CyclesReport
        A row for each cycle, why the loop ended, or which labels it waits for.

    Raises
    ------
    InputError
        The input has no ``[cycle]``, or keys that don't go with a loop; or a cycle was begun with other settings.
    StoreError
        A file of a cycle was changed or is damaged.
    LockError
        Another process works on the same folder.
    TaskFailed, FrameError
        As of the steps: a start that can't be run, no picked frame that could be labelled.

    Examples
    --------
    >>> report = run_cycles(Input.from_toml("input.toml"), tell=print)
    >>> print(report.text("eV"))
    """
    settings = _checked(job)
    with borrowed(executor) as runner:
        folder = runner.shared_folder(settings.folder, "cycle.folder")
        if settings.label.calculator:
            ask(runner, partial(_try, settings), what="make the calculator")
        ask(runner, partial(begin_work, folder), what=f"claim {folder}")
        try:
            return _Loop(job, settings, folder, runner, tell).go()
        finally:
            runner.once(partial(end_work, folder), what=f"let {folder} go")


def _try(settings: CycleSettings) -> None:
    calculator_of(settings.label)


def _checked(job: Input) -> CycleSettings:
    """The settings, if the input can be fitted again and again."""
    if job.cycle is None:
        raise InputError("cycle: the input has no [cycle] table, which says how the model is run and who labels")
    if job.fm_setup is not None:
        raise InputError(
            "cycle: labelled frames are fitted beside [[data]], and this input has an fm_setup instead; hiertl-dist "
            "config expand writes the same input with [basis] and [[data]] of it"
        )
    if job.library is not None:
        raise InputError(
            "cycle: a block that a fit adds to a [library] would be taken from there, as it is, by the next cycle; use "
            "[frozen] for blocks that stay, and add the last model with hiertl-dist library add"
        )
    if job.weights is not None:
        raise InputError(
            f"cycle: {job.weights.path} has weights for the frames of [[data]] alone, and a loop adds frames; use "
            "expressions in [weights], which may name cycle"
        )
    return job.cycle


@dataclass(frozen=True, eq=False)
class _Loop:
    """The loop of one call."""

    job: Input
    settings: CycleSettings
    folder: Path
    executor: Executor
    tell: Callable[[str], None]

    def go(self) -> CyclesReport:
        """Cycle after cycle, until a rule ends it or labels are missing."""
        cycle = 0
        added: tuple[Mapping[str, Any], ...] = ()
        while True:
            ended, waiting, new = self._cycle(cycle, added)
            if ended or waiting:
                return self._report(cycle, ended, waiting)
            added = (*added, *new)
            cycle += 1

    def _cycle(
        self, cycle: int, added: tuple[Mapping[str, Any], ...]
    ) -> tuple[str, tuple[str, ...], tuple[Mapping[str, Any], ...]]:  # fmt: skip
        """Why the loop ends with this cycle; what it waits for; what it had labelled."""
        place = self.folder / f"{cycle:04d}"
        done = ask(self.executor, partial(read_state, place), what=f"read {place}")
        self._check_settings(place, done)
        job = replace(without_later(self.job, cycle), added=added, output=place / "model", covariance=True)
        work = CycleWork(job, self.settings, cycle, place, self.executor, self._told(cycle))
        if "begin" not in done:
            self._write(place / INPUT, self._asked())
            done = self._note(place, "begin", {"settings": self._digests()})
        for step, ends in (("fit", self._after_fit), ("runs", _never), ("pick", self._after_pick)):
            if step not in done:
                facts, files = getattr(work, step)(done)
                done = self._note(place, step, facts, files)
            if why := ends(cycle, done):
                return why, (), ()
        if "label" not in done:
            facts, files, waiting = work.label(done)
            if waiting:
                return "", waiting, ()
            done = self._note(place, "label", facts, files)
        self._report(cycle, "", ())
        return "", (), ({"path": [str(place / "labels.extxyz")], "group": f"{OWN}{cycle}"},)

    def _after_fit(self, cycle: int, done: Mapping[str, Any]) -> str:
        if cycle < self.settings.cycles:
            return ""
        return f"{count_text(self.settings.cycles, 'cycle')} done, and a model fitted to all labels"

    def _after_pick(self, _cycle: int, done: Mapping[str, Any]) -> str:
        pick, bound = done["pick"], self.settings.sigma
        if bound is not None and pick["sigma"] is not None and not pick["unknown"] and pick["sigma"] / EV <= bound:
            return (
                f"the largest σ of forces of all {pick['judged']} frames is {pick['sigma'] / EV:.3g} eV/Å, at most the "
                f"{bound:g} that were asked for"
            )
        if not pick["picked"]:
            return (
                f"nothing is left to pick: of {pick['judged']} frames none has a new distance, or would settle "
                f"{self.settings.least:g} coefficients' worth (least)"
            )
        return ""

    def _note(self, place: Path, step: str, facts: Mapping[str, Any], files: Any = ()) -> dict[str, Any]:
        return dict(ask(self.executor, partial(write_step, place, step, facts, tuple(files)), what=f"note {step}"))

    def _asked(self) -> dict[str, Any]:
        """What of the input a cycle depends on."""
        own = {name: plain(getattr(self.job, name)) for name in SETTINGS} | {"basis": self.job.basis.to_dict()}
        loop = {k: v for k, v in plain(self.settings).items() if k not in MAY_CHANGE}
        return {"input": own, "cycle": loop}

    def _digests(self) -> dict[str, str]:
        values = {f"{table}.{key}": v for table, own in self._asked().items() for key, v in own.items()}
        return {key: digest_of(json.loads(json_text(value))) for key, value in values.items()}

    def _check_settings(self, place: Path, done: Mapping[str, Any]) -> None:
        """Raise InputError where a cycle that was begun, and is not done, was asked for otherwise."""
        if "begin" not in done or "label" in done:
            return
        before, now = done["begin"]["settings"], self._digests()
        if other := sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k)):
            raise InputError(
                f"{place}: this cycle was begun with other values of {', '.join(other)} than the input has now; go on "
                f"with those ({place / INPUT} has them), or delete {place} to begin this cycle again"
            )

    def _told(self, cycle: int) -> Callable[[str], None]:
        return lambda line: self.tell(f"cycle {cycle}: {line}")

    def _rows(self, last: int) -> tuple[list[CycleRow], list[str]]:
        rows, notes = [], []
        for cycle in range(last + 1):
            place = self.folder / f"{cycle:04d}"
            done = ask(self.executor, partial(read_state, place), what=f"read {place}")
            rows.append(CycleRow.of(cycle, done))
            notes += [f"cycle {cycle}: {n}" for facts in done.values() for n in facts.get("notes", ())]
        return rows, notes

    def _report(self, last: int, ended: str, waiting: tuple[str, ...]) -> CyclesReport:
        rows, notes = self._rows(last)
        model = self.folder / f"{last:04d}" / "model" / "model.params.txt"
        report = CyclesReport(self.folder, tuple(rows), model, ended, waiting, tuple(notes))
        own = {**vars(rows[-1]), "notes": [n for n in notes if n.startswith(f"cycle {last}:")]}
        self._write(self.folder / f"{last:04d}" / REPORT, own)
        self._write(self.folder / TABLE, report.as_dict())
        return report

    def _write(self, path: Path, content: Mapping[str, Any]) -> None:
        self.executor.once(partial(write_json, path, dict(content)), what=f"write {path}")


def without_later(job: Input, cycle: int) -> Input:
    """A job without weights of the groups of labels that no cycle before has made, which no fit could know."""
    made = [f"{OWN}{number}" for number in range(cycle)]

    def fitting(settings: FitSettings) -> FitSettings:
        if isinstance(settings.weights, Mapping):
            later = {w for w in settings.weights if (met := GROUP.match(w)) and int(met[1]) >= cycle}
            settings = replace(settings, weights={w: v for w, v in settings.weights.items() if w not in later})
        if (own := settings.row_weights) is not None:
            known = {
                p: n for p, n in own.cycles.items() if not p.startswith(OWN) or any(fnmatchcase(m, p) for m in made)
            }
            settings = replace(settings, row_weights=replace(own, cycles=known))
        return settings

    return replace(job, fit=fitting(job.fit), block_fits={b: fitting(s) for b, s in job.block_fits.items()})


def _never(_cycle: int, _done: Mapping[str, Any]) -> str:
    return ""
