"""Weights of groups of rows: those that a person names, and automatic ones from the labels and the residuals of a fit.

Weights multiply rows, so the objective holds their squares. A row counts besides as often as the objective says.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..algebra import Gram, RFactor, Ridge, UnsafeGram
from ..algebra.posterior import posterior
from ..algebra.solve import solve
from ..algebra.unpenalised import set_apart
from ..errors import InputError
from ..frames.rows import KINDS, OBJECTIVES, Group, person_kind
from ..text.problems import Problems
from ..text.table_keys import WEIGHTS
from ..text.words import count_text, percent_text, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ..algebra import LinearSolution, Summary

AUTO: Final = "auto"
EVIDENCE: Final = "evidence"
CHOSEN: Final = (AUTO, EVIDENCE)
"""Words that stand for weights that are chosen when the rows are known."""

SHARE: Final = 0.25
"""Exponent of (rows of the reference kind / rows of a kind): 0 weighs every row by its error alone, ½ gives every kind
the same say. Measured on four data sets (``benchmarks/init_rules.py``): ½ is ruinous where a basis can't describe a
kind at all, 0 leaves energies and stresses up to 1.3 times worse than they can be."""

FIRST_RIDGE: Final = 1e-2
"""Ridge of the first solve, in units in which rows of the reference kind have weight 1: near the best on those sets,
and errors change little with it."""

SMALLEST: Final = 1e-3
"""Residuals count as at least this part of the labels' spread: exact labels, as a model makes them, have none."""

FLAT: Final = {"force": 1e-8, "stress": 1e-10, "energy": 1e-6}
"""Spread below which labels are equal, kcal/mol/Å, kcal/mol/Å³, kcal/mol: what rounding leaves of a sum of large
numbers, and finer than any program's digits. Its inverse is no weight."""

NEARLY: Final = 0.7
"""Likeness (difflib's ratio) from which on a name is a slip for a kind: ``forces``, ``stresses``, ``energies``."""

MANY: Final = 20
"""Rows per column from which on the degrees of freedom that a kind takes change its residual by less than 3 %."""


def explicit(weights: Mapping[str, float] | str | None) -> Mapping[str, float]:
    """The weights that a person named: none where they are automatic."""
    return {} if weights is None or isinstance(weights, str) else weights


def checked_choice(weights: Any, where: str = "weights") -> None:
    """Raise InputError unless weights are one of CHOSEN or a table of finite numbers ≥ 0, of the kinds not all zero."""
    if isinstance(weights, str) and weights not in CHOSEN:
        raise InputError(f"{where}: expected {WEIGHTS}, found {weights!r}")
    problems = Problems()
    for key, value in explicit(weights).items():
        if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 <= value < 1e300:
            problems.add(f"{where}.{key}: expected a finite number ≥ 0, found {shown(value)}")
    if all(explicit(weights).get(kind, 1.0) == 0.0 for kind in KINDS):
        problems.add(f"{where}: {', '.join(KINDS)} are all 0, which leaves nothing to fit; give one a weight above 0")
    problems.settle()


def mistaken_kind(name: str) -> str | None:
    """The kind that the name of a weight is nearly: ``force`` for ``forces`` or ``liquid/forces``; None of others."""
    word = name.rpartition("/")[2].lower()
    close = difflib.get_close_matches(word, KINDS, 1, NEARLY)
    return close[0] if close and name.rpartition("/")[2] not in KINDS else None


def unknown_weight(name: str, sources: Iterable[str]) -> str:
    """What to say of a weight that names no kind or source of rows."""
    others = sorted({*sources} - {*KINDS})
    kind = mistaken_kind(name)
    prefix = name[: name.rfind("/") + 1]
    close = [prefix + kind] if kind else difflib.get_close_matches(name, [*KINDS, *others], 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"weights: {name!r} names no kind or source of rows; there are {', '.join(KINDS)} and {others[:20]}{hint}"


def check_fit_weights(groups: Collection[Group], weights: Mapping[str, float] | str, where: str) -> None:
    """Raise InputError as :func:`check_weights` does, and where weights of zero leave no row in a fit."""
    given = explicit(weights)
    check_weights(groups, given)
    names = {weight_names(group) for group in groups}
    if names and all(any(given.get(n, 1.0) == 0.0 for n in own) for own in names):
        zero = sorted({n for own in names for n in own if given.get(n, 1.0) == 0.0})
        zeros = ", ".join(f"{n} = 0" for n in zero)
        raise InputError(f"{where}: weights: no group of rows has a weight above zero: {zeros} leave nothing to fit")


def row_weights(groups: Iterable[Group], weights: Mapping[str, float], objective: str) -> dict[Group, float]:
    """The factor of each group's rows: its weights, and the root of how often the objective counts a row.

    Parameters
    ----------
    groups : Iterable of Group
        Whose rows are weighted.
    weights : Mapping from str to float
        By kind (``"force"``), by source (``"liquid"``) or by both (``"liquid/energy"``), where compositions are kept
        apart by these too (``"C75N25"``, ``"C75N25/energy"``); they multiply.
    objective : str
        Name in :data:`~hiertl_dist.frames.rows.OBJECTIVES`.

    Returns
    -------
    dict from Group to float
        By which rows are multiplied.

    Raises
    ------
    InputError
        An unknown objective.
    """
    if objective not in OBJECTIVES:
        raise InputError(f"objective: expected one of {sorted(OBJECTIVES)}, found {objective!r}")
    counts = OBJECTIVES[objective]
    return {
        g: float(np.prod([weights.get(k, 1.0) for k in weight_names(g)]) * np.sqrt(counts.count(g.kind)))
        for g in groups
    }


def weight_names(group: Group) -> tuple[str, ...]:
    """The names by which a person gives a weight to a group of rows."""
    kind = person_kind(group.kind)
    names = [n for n in dict.fromkeys((group.source, group.composition)) if n]
    return (kind, *(n for n in names if n != kind), *(f"{n}/{kind}" for n in names))


def check_weights(groups: Collection[Group], weights: Mapping[str, float]) -> None:
    """Raise InputError for a weight that names no kind or source of rows, or is no finite number ≥ 0."""
    names = {n for g in groups for n in weight_names(g)}
    for key, value in weights.items():
        if key not in names and key not in KINDS:
            raise InputError(unknown_weight(key, names))
        if not 0.0 <= value < 1e300:
            raise InputError(f"weights.{key}: expected a finite number ≥ 0, found {shown(value)}")


def shares_note(squares: Mapping[Group, float], factors: Mapping[Group, float]) -> tuple[str, ...]:
    """What given weights do to each kind, for people; nothing where there is one kind alone.

    Parameters
    ----------
    squares : mapping from Group to float
        Sum of squares of each group's labels, unweighted, energies above their zeros.
    factors : mapping from Group to float
        What its rows are multiplied by.
    """
    sums: dict[str, float] = {}
    for group, factor in factors.items():
        kind = person_kind(group.kind)
        sums[kind] = sums.get(kind, 0.0) + factor**2 * squares[group]
    total = sum(sums.values())
    if len(sums) < 2 or not total > 0.0:
        return ()
    parts = [f"{k} {percent_text(sums[k] / total)}" for k in KINDS if k in sums]
    return (f"with the weights given, the kinds' shares of the sum of squares are: {', '.join(parts)}",)


@dataclass(frozen=True, eq=False)
class KindRows:
    """All rows of a kind.

    Attributes
    ----------
    kind : {"force", "stress", "energy"}
        Which.
    summary : Summary
        Of [A | b], each row as often as the objective counts it.
    counted : int
        How many rows that makes.
    """

    kind: str
    summary: Summary
    counted: int


@dataclass(frozen=True)
class AutoWeights:
    """Automatic weights, or those by evidence, and where they come from, by kind of row (force, stress, energy).

    Attributes
    ----------
    weights : mapping from str to float
        Of each kind; 1 for the reference kind (forces, where there are any).
    rows : mapping from str to int
        How many rows of it there are.
    spreads : mapping from str to float
        Root mean square of the labels, frozen models subtracted, and of energies what one-body terms leave:
        kcal/mol/Å, kcal/mol/Å³, kcal/mol.
    residuals : mapping from str to float
        Those of the first solve, per degree of freedom; absent where it could not be made, and with evidence.
    notes : tuple of str
        What could not be told.
    noises : mapping from str to float
        With evidence, the standard deviations that it gives labels of each kind (of stresses those on the diagonal; of
        energies those of frames, not per atom), in the units of the spreads; otherwise none.
    log_evidence : float or None
        With evidence, its logarithm, of all rows as often as the objective counts them.
    regulariser : Mapping from str to object or None
        With evidence, that whose prior it has.
    """

    weights: Mapping[str, float]
    rows: Mapping[str, int]
    spreads: Mapping[str, float]
    residuals: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    noises: Mapping[str, float] = field(default_factory=dict)
    log_evidence: float | None = None
    regulariser: Mapping[str, Any] | None = None

    def hyperparameters(self) -> dict[str, float]:
        """What was estimated, by the names that a solution gives it.

        Returns
        -------
        dict from str to float
            ``noise_force`` (kcal/mol/Å), ``noise_stress`` (kcal/mol/Å³), ``noise_energy`` (kcal/mol), of those that
            there are, and ``log_evidence_of_kinds``; nothing of automatic weights.
        """
        evidence = {} if self.log_evidence is None else {"log_evidence_of_kinds": self.log_evidence}
        return {f"noise_{k}": noise for k, noise in self.noises.items()} | evidence

    def text(self) -> str:
        """One line for people."""
        units = {"force": "kcal/mol/Å", "stress": "kcal/mol/Å³", "energy": "kcal/mol"}
        parts = [
            f"{k} {w:.4g} ({count_text(self.rows[k], 'row')}, labels ± {self.spreads[k]:.3g}"
            + (f", residual ± {self.residuals[k]:.3g}" if k in self.residuals else "")
            + (f", noise ± {self.noises[k]:.3g}" if k in self.noises else "")
            + f" {units[k]})"
            for k, w in self.weights.items()
        ]
        return f"{'weights by evidence' if self.noises else 'automatic weights'}: {', '.join(parts)}"


def auto_weights(kinds: Sequence[KindRows], unpenalised: Sequence[int]) -> AutoWeights:
    """Weights by kind from the spread of labels, then improved once from the residuals of a first solve.

    With σ_k the root mean square of the labels of a kind, a first solve (ridge of 0.01 in the units of the reference
    kind) has the weights 1/σ_k. Its residuals s_k, per degree of freedom, give the weights

        w_k = (1/s_k) (N_ref / N_k)^¼,  N_k rows of the kind,

    scaled so that the reference kind (forces, else the kind with most rows) has 1. The first factor makes rows of every
    kind count by how well they can be described (weighted least squares with the errors' own variances), the second
    gives kinds with few rows more say than that.

    Parameters
    ----------
    kinds : sequence of KindRows
        Rows of each kind that there is, see :func:`by_kind`.
    unpenalised : sequence of int
        Indices of the one-body columns.

    Returns
    -------
    AutoWeights
        Weights of 1, and a note, where fewer than two kinds say anything of theirs.
    """
    parts, rows = {k.kind: k.summary for k in kinds}, {k.kind: k.summary.rows for k in kinds}
    counted = {k.kind: k.counted for k in kinds}
    spreads = {k: _spread(parts[k], counted[k], unpenalised if k == "energy" else ()) for k in parts}
    varying = [k for k, s in spreads.items() if s > FLAT[k]]
    notes = [_note_on_equal(k, rows[k]) for k in parts if k not in varying]
    if len(varying) < 2:
        return AutoWeights(dict.fromkeys(parts, 1.0), rows, spreads, notes=tuple(notes))
    reference = "force" if "force" in varying else max(varying, key=lambda k: rows[k])
    first = {k: spreads[reference] / spreads[k] if k in varying else 1.0 for k in parts}
    try:
        errors = _residuals(parts, counted, first, unpenalised)
    except UnsafeGram:
        note = "normal equations are unsafe without a stronger penalty: weights are from the spread of the labels alone"
        return AutoWeights(first, rows, spreads, notes=(*notes, note))
    errors = {k: max(errors[k], SMALLEST * spreads[k]) for k in varying}
    scale = errors[reference]
    weights = {k: scale / errors[k] * (rows[reference] / rows[k]) ** SHARE if k in varying else 1.0 for k in parts}
    return AutoWeights(weights, rows, spreads, errors, tuple(notes))


def _note_on_equal(kind: str, count: int) -> str:
    if count == 1:
        reason = "there is one label only"
    elif kind == "energy":
        reason = f"all {count} labels are equal once the energies of free atoms are taken off"
    else:
        reason = f"all {count} labels are zero"
    return f"WARNING: {kind}: {reason}; that says nothing of the weight of this kind, and weight 1 was taken"


def by_kind(groups: Mapping[Group, Summary], objective: str) -> list[KindRows]:
    """All rows of each kind together, from the summary of [A | b] of each group, frozen models subtracted from b."""
    counts = OBJECTIVES[objective]
    merged: dict[str, KindRows] = {}
    # small groups first: rows are put below rows for nothing
    for group in sorted(groups, key=lambda g: (groups[g].rows, g)):
        kind, times = person_kind(group.kind), counts.count(group.kind)
        scaled = groups[group].scale(float(np.sqrt(times)))
        before = merged.get(kind)
        merged[kind] = KindRows(
            kind, scaled if before is None else before.summary.merge(scaled),
            times * scaled.rows + (0 if before is None else before.counted),
        )  # fmt: skip
    return [merged[k] for k in KINDS if k in merged and merged[k].summary.rows]


def _spread(part: Summary, counted: int, unpenalised: Sequence[int]) -> float:
    if not len(unpenalised):
        return float(np.sqrt(part.target_norm2() / counted))
    # total energies differ with composition first of all, and that one-body terms describe
    one_body = part.columns(unpenalised)
    if isinstance(one_body, RFactor):
        apart = set_apart(one_body, np.arange(one_body.n_columns))
        squares, rank = apart.rest.target_norm2(), apart.rank
    else:
        squares, rank = _left_of_gram(one_body)
    left = part.rows - rank
    return float(np.sqrt(squares / (counted * left / part.rows))) if left > 0 else 0.0


def _left_of_gram(summary: Summary) -> tuple[float, int]:
    """‖b‖² that the columns, few and all of them whole numbers, leave; and their rank."""
    assert isinstance(summary, Gram)
    n = summary.n_columns
    c, _, rank, _ = np.linalg.lstsq(summary.g[:n, :n], summary.g[:n, n], rcond=1e-12)
    return summary.residual_norm2(c), int(rank)


def _residuals(
    parts: Mapping[str, Summary], counted: Mapping[str, int], weights: Mapping[str, float], unpenalised: Sequence[int]
) -> dict[str, float]:
    """Root mean square residual of each kind in a ridge fit, per degree of freedom that its rows have left."""
    scaled = {k: p.scale(weights[k]) for k, p in parts.items()}
    ordered = sorted(scaled.values(), key=lambda s: s.rows)
    total = ordered[0]
    for other in ordered[1:]:
        total = total.merge(other)
    linear = solve(total, Ridge(FIRST_RIDGE), unpenalised=unpenalised)
    errors = {}
    for kind, part in parts.items():
        freedom = _freedom(scaled[kind], total, linear, unpenalised) * counted[kind] / part.rows
        left = max(counted[kind] - freedom, 0.1 * counted[kind])
        errors[kind] = float(np.sqrt(part.residual_norm2(linear.coefficients) / left))
    return errors


def _freedom(part: Summary, total: Summary, linear: LinearSolution, unpenalised: Sequence[int]) -> float:
    """Degrees of freedom that the rows of a kind take of a fit, their leverages; 0 where they hardly matter."""
    n = total.n_columns
    if part.rows > MANY * n or not isinstance(total, RFactor) or not isinstance(part, RFactor):
        return 0.0
    assert linear.penalties is not None
    penalties = np.array(linear.penalties)
    # what rows don't tell of dependent one-body columns has no part in their leverage
    penalties[list(unpenalised)] = (1e-8 * total.column_norms()[list(unpenalised)]) ** 2
    return float(posterior(total, penalties=penalties, noise=1.0).leverage(part.r[:, :n]).sum())
