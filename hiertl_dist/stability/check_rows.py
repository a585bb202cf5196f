"""What a check of a model is asked for, and what it gives: a table of rows that pass, warn or fail."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from ..errors import InputError
from ..probes.lattices import LATTICES
from ..text.display import Shown, number_text, table_text
from ..text.result_cards import check_card

if TYPE_CHECKING:
    from collections.abc import Sequence

Verdict = Literal["pass", "warn", "fail", "not checked"]

VERDICTS: Final[tuple[Verdict, ...]] = ("pass", "warn", "fail", "not checked")

LATTICE_NAMES: Final = tuple(LATTICES)

FINEST_STEP: Final = 2.0
"""fs, the time step of atoms of :data:`HEAVY` and above."""

HEAVY: Final = 40.0
"""u: lighter atoms have a time step that is shorter by the root of their mass."""


# long: its parameters are documented
@dataclass(frozen=True, repr=False)
class CheckSettings(Shown):
    """What :func:`~hiertl_dist.check_model` does, and what passes.

    Attributes
    ----------
    lattice : {"auto", "bcc", "fcc", "hcp", "diamond"}
        The ideal lattice of mixtures and dynamics; ``auto``: of those on which the model binds all elements, the one of
        the lowest energy.
    mixing : float
        eV/atom, how far random mixtures on the ideal lattice may be from linear mixing of the pure elements.
    ordered : float
        eV/atom, the same of ordered arrangements, which real alloys may well prefer: bcc MoTa by 0.19 eV/atom.
    arrangements : int
        How many random arrangements of each element set, of equal numbers and of others by turns.
    temperatures : tuple of float
        K, of the runs of dynamics; velocities are drawn at twice this, half of which the ideal lattice takes up.
    picoseconds : float
        Length of each run.
    time_step : float or None
        fs; ``None``: 2, times √(m/40 u) where the lightest element has a mass m of less than 40 u.
    drift : float
        meV/atom/ps, how fast the total energy may change: the slope of a straight line through it, the first
        tenth of the run left out.
    heat : float
        eV/atom, how much the ideal lattice may give off in a run by turning into what the model likes better.
    outside : float
        Of the steps of a run, the share that may have pairs at distances that no block was fitted on; more is warned
        of.
    contact : float or None
        Å, no pair may come closer in a run; ``None``: nine tenths of how near each pair came in the fitted frames, or
        the pair's inner cutoff where the model does not say.
    displacement : float
        Å, standard deviation of the displacements of the perturbed cells.
    deviation : float
        Predicted σ of forces (rms, from the fitted coefficients) over the rms force of perturbed cells, at most.
    seed : int
        Of arrangements, displacements and velocities.
    threads : int
        That share the atoms of a cell.

    Raises
    ------
    InputError
        A value that can't be, naming it.
    """

    lattice: str = "auto"
    mixing: float = 0.15
    ordered: float = 0.3
    arrangements: int = 4
    temperatures: tuple[float, ...] = (300.0, 3000.0)
    picoseconds: float = 1.0
    time_step: float | None = None
    drift: float = 1.0
    heat: float = 0.1
    outside: float = 0.01
    contact: float | None = None
    displacement: float = 0.1
    deviation: float = 0.5
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if self.lattice not in ("auto", *LATTICE_NAMES):
            raise InputError(f"lattice: expected auto or one of {LATTICE_NAMES}, found {self.lattice!r}")
        for name in (
            "mixing",
            "ordered",
            "picoseconds",
            "time_step",
            "drift",
            "heat",
            "outside",
            "contact",
            "displacement",
            "deviation",
        ):
            _require_positive(name, getattr(self, name))
        for temperature in self.temperatures:
            _require_positive("temperatures", temperature)
        for name, least in (("arrangements", 1), ("seed", 0), ("threads", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(f"{name}: expected a whole number of at least {least}, found {value!r}")


def _require_positive(name: str, value: Any) -> None:
    number = isinstance(value, float | int) and not isinstance(value, bool)
    if value is not None and not (number and 0.0 < value < float("inf")):
        raise InputError(f"{name}: expected a number above 0, found {value!r}")


@dataclass(frozen=True, repr=False)
class CheckRow(Shown):
    """One thing that was looked at.

    Attributes
    ----------
    what : str
        Such as ``"mixing"`` or ``"drift, 300 K"``.
    elements : str
        Of which elements, or which pair: ``"Mo-Nb"``.
    value : float
        What came out; NaN where nothing did.
    unit : str
        Of value and limit.
    limit : str
        What passes, in words: ``"at most 0.15"``.
    verdict : {"pass", "warn", "fail", "not checked"}
        The outcome; ``"warn"``: nothing went wrong, but what the other rows say of it is worth less.
    reason : str
        Why it failed, warns or was not checked, and what is worth knowing of one that passed.
    """

    what: str
    elements: str
    value: float
    unit: str
    limit: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class ModelCheck(Shown, card=check_card):
    """A model's rows: see :func:`~hiertl_dist.check_model`.

    Attributes
    ----------
    source : str
        What was checked.
    rows : tuple of CheckRow
        In the order of the checks.
    settings : CheckSettings
        What was asked for.
    notes : tuple of str
        What was chosen: lattices, time step, cells.
    """

    source: str
    rows: tuple[CheckRow, ...]
    settings: CheckSettings
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether something was checked and nothing failed; what warns or was not checked is no failure."""
        return not self.failures and any(row.verdict == "pass" for row in self.rows)

    @property
    def failures(self) -> tuple[CheckRow, ...]:
        """The rows that failed."""
        return tuple(row for row in self.rows if row.verdict == "fail")

    @property
    def warnings(self) -> tuple[CheckRow, ...]:
        """The rows that warn."""
        return tuple(row for row in self.rows if row.verdict == "warn")

    @property
    def summary(self) -> str:
        """How many passed, warn, failed, were not checked."""
        return ", ".join(f"{sum(r.verdict == v for r in self.rows)} {v}" for v in VERDICTS)

    def text(self) -> str:
        """The table for people, the reasons below it.

        Returns
        -------
        str
            Several lines.
        """
        cells = [table_row(row) for row in self.rows]
        why = [f"{r.verdict}: {r.what} {r.elements}: {r.reason}" for r in self.rows if r.reason]
        notes = [f"note: {note}" for note in self.notes]
        table = table_text(["check", "elements", "value", "unit", "limit", "verdict"], cells)
        return "\n".join([self.source, *notes, "", table, "", *why, self.summary])

    def as_dict(self) -> dict[str, Any]:
        """For JSON.

        Returns
        -------
        dict
            Source, outcome, settings, notes and rows; a value that is not there is None.
        """
        rows: list[dict[str, Any]] = [asdict(r) | {"value": None if r.value != r.value else r.value} for r in self.rows]
        return {
            "source": self.source, "passed": self.passed, "settings": asdict(self.settings),
            "notes": list(self.notes), "rows": rows,
        }  # fmt: skip


def table_row(row: CheckRow) -> Sequence[str]:
    """The cells of a row."""
    return row.what, row.elements, number_text(row.value), row.unit, row.limit, row.verdict


def judged(what: str, elements: str, value: float, unit: str, limit: tuple[str, float], reason: str = "") -> CheckRow:
    """A row whose value passes at most, or at least, a limit; what is not finite fails."""
    side, bound = limit
    good = value <= bound if side == "at most" else value >= bound
    words = f"{side} {number_text(bound)}"
    return CheckRow(what, elements, float(value), unit, words, "pass" if good else "fail", reason)


def unchecked(what: str, elements: str, reason: str) -> CheckRow:
    """A row of what was not looked at."""
    return CheckRow(what, elements, float("nan"), "", "", "not checked", reason)
