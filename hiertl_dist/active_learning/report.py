"""What cycles came to: a row for each, why the loop ended, and what is left to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..jobs.report import unit_of
from ..text.display import Card, Shown, table_text

if TYPE_CHECKING:
    from collections.abc import Sequence

NAN: Final = float("nan")

WAYS: Final = ("distances", "leverage", "clusters", "random")


@dataclass(frozen=True)
class CycleRow:
    """One cycle in numbers; NaN or None where something is not known, or was not done.

    Attributes
    ----------
    cycle : int
        From 0.
    fitted : int
        Frames that were fitted.
    force, energy : float
        RMSE of the frames held out, kcal/mol/Å and kcal/mol/atom.
    fitted_force : float
        RMSE of the frames fitted, kcal/mol/Å.
    runs, cut : int or None
        Runs of the model, and how many of them were cut because they were unsafe.
    kept : int or None
        Frames that runs kept.
    outside : int or None
        Of these, frames with a distance or a type of clusters that the model was not fitted on.
    sigma : float
        The largest σ of forces of a frame that the coefficients leave, kcal/mol/Å.
    picked : Mapping from str to int
        By way of picking.
    labelled : int
        Picked frames that have labels.
    picked_force, picked_sigma : float
        RMSE of the model's forces of the picked frames before they were fitted, and their predicted σ (rms),
        kcal/mol/Å.
    """

    cycle: int
    fitted: int
    force: float = NAN
    energy: float = NAN
    fitted_force: float = NAN
    runs: int | None = None
    cut: int | None = None
    kept: int | None = None
    outside: int | None = None
    sigma: float = NAN
    picked: Mapping[str, int] | None = None
    labelled: int = 0
    picked_force: float = NAN
    picked_sigma: float = NAN

    @classmethod
    def of(cls, cycle: int, steps: Mapping[str, Any]) -> CycleRow:
        """The row of the steps of a cycle that are done.

        Parameters
        ----------
        cycle : int
            Which cycle.
        steps : Mapping from str to object
            What the record of the cycle says.

        Returns
        -------
        CycleRow
            With what is there.
        """
        fit, runs = steps.get("fit", {}), steps.get("runs", {})
        pick, label = steps.get("pick", {}), steps.get("label", {})
        return cls(
            cycle, fit.get("fitted", 0), _number(fit.get("held_out_force")), _number(fit.get("held_out_energy")),
            _number(fit.get("fitted_force")), runs.get("runs"), runs.get("cut"), runs.get("kept"),
            pick.get("outside"), _number(pick.get("sigma")), pick.get("by"), label.get("labelled", 0),
            _number(label.get("force")), _number(label.get("sigma")),
        )  # fmt: skip


def _number(value: Any) -> float:
    return NAN if value is None else float(value)


def _card(report: CyclesReport) -> Card:
    facts = (("model", str(report.model)), ("ended", report.ended or "waits for labels"))
    header, rows = report.cells("kcal")
    return Card(f"Active learning, {len(report.rows)} cycles", facts, tuple(header), tuple(map(tuple, rows)))


@dataclass(frozen=True, eq=False, repr=False)
class CyclesReport(Shown, card=_card):
    """What an active-learning loop came to.

    Attributes
    ----------
    folder : Path
        Where the folders of the cycles are.
    rows : tuple of CycleRow
        One for each cycle that was begun, in their order.
    model : Path
        The parameter file of the last fit.
    ended : str
        By which rule the loop ended; empty where it waits for labels.
    waiting : tuple of str
        What is to be done for it to go on.
    notes : tuple of str
        What was cut, left out, or guessed, by cycle.
    """

    folder: Path
    rows: tuple[CycleRow, ...]
    model: Path
    ended: str
    waiting: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def cells(self, units: str) -> tuple[list[str], list[list[Any]]]:
        """The header and the cells of the table.

        Parameters
        ----------
        units : {"kcal", "eV"}
            Of errors and σ.

        Returns
        -------
        tuple of (list of str, list of list)
            A row for each cycle.
        """
        (force, f), (energy, e) = unit_of("force", units), unit_of("energy", units)
        header = [
            "cycle", "frames\nfitted", f"held out\n{force}", f"held out\n{energy}", "runs", "cut", "frames\nkept",
            "outside", f"largest σ\n{force}", "picked", f"their error\n{force}", f"their σ\n{force}",
        ]  # fmt: skip
        rows = [
            [r.cycle, r.fitted, r.force * f, r.energy * e, *map(_count, (r.runs, r.cut, r.kept, r.outside)),
             r.sigma * f, _picked_text(r), r.picked_force * f, r.picked_sigma * f]
            for r in self.rows
        ]  # fmt: skip
        return header, rows

    def text(self, units: str) -> str:
        """For people.

        Parameters
        ----------
        units : {"kcal", "eV"}
            Of errors and σ.

        Returns
        -------
        str
            The table, notes, why the loop ended or what it waits for, and where the model is.
        """
        header, rows = self.cells(units)
        lines = [table_text(header, rows), "picked: by distances + leverage + clusters + random"]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"ended: {self.ended}"] if self.ended else [f"to do: {text}" for text in self.waiting]
        return "\n".join([*lines, f"model of the last fit: {self.model}"])

    def as_dict(self) -> dict[str, Any]:
        """For JSON: forces in kcal/mol/Å, energies in kcal/mol/atom.

        Returns
        -------
        dict
            ``folder``, ``cycles``, ``model``, ``ended``, ``waiting`` and ``notes``.
        """
        return {
            "folder": str(self.folder), "cycles": [vars(r) for r in self.rows], "model": str(self.model),
            "ended": self.ended, "waiting": list(self.waiting), "notes": list(self.notes),
        }  # fmt: skip


def _count(number: int | None) -> Any:
    return "–" if number is None else number


def _picked_text(row: CycleRow) -> str:
    if row.picked is None:
        return "–"
    parts = [row.picked.get(way, 0) for way in WAYS]
    return f"{sum(parts)} = {' + '.join(map(str, parts))}"


def rms(values: Sequence[float]) -> float:
    """Root mean square; NaN of none."""
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else NAN
