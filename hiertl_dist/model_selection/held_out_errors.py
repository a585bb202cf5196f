"""``HeldOut``: errors of a model on rows that it was not fitted on, as sums of squares that can be pooled exactly.

Energies count per atom, stresses in GPa; a sum is kept for each kind, source, composition and fold, so that every RMSE,
the score of a model and its standard error follow without the rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..errors import InputError
from ..frames.rows import KINDS, POOLED, Group, person_kind
from ..text.display import Shown
from ..text.result_cards import held_out_card
from ..units import KCAL_PER_A3_IN_GPA

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEGLIGIBLE: Final = 1e-6

UNITS: Final = {"force": "kcal/mol/Å", "stress": "GPa", "energy": "kcal/mol/atom"}


class Cell(NamedTuple):
    """What rows have in common whose errors are summed: kind as a person names it, source, composition, fold."""

    kind: str
    source: str
    composition: str
    fold: int


def cell_of(group: Group) -> tuple[Cell, float]:
    """The cell of a group's rows, and the factor that makes their residuals those of :data:`UNITS`."""
    kind = person_kind(group.kind)
    factor = {"force": 1.0, "stress": KCAL_PER_A3_IN_GPA, "energy": 1.0 / max(group.atoms, 1)}[kind]
    return Cell(kind, group.source, group.composition, group.fold), factor


@dataclass(frozen=True, eq=False, repr=False)
class HeldOut(Shown, card=held_out_card):
    """Held-out errors of one model.

    Attributes
    ----------
    cells : tuple of Cell
        Which rows: their kind, source, composition and fold.
    rows : ndarray of int, shape (cells,)
        How many rows each cell has.
    squares : ndarray of shape (cells,)
        Sums of squared residuals, in the squares of :data:`UNITS`: kcal/mol/Å, GPa, kcal/mol/atom.
    """

    cells: tuple[Cell, ...]
    rows: NDArray[np.int64]
    squares: NDArray[np.float64]

    @classmethod
    def of(cls, groups: Mapping[Group, tuple[int, float]]) -> HeldOut:
        """Errors from what is known of each group of rows.

        Parameters
        ----------
        groups : Mapping from Group to tuple of (int, float)
            Number of rows, and sum of squared residuals: (kcal/mol/Å)², (kcal/mol/Å³)², or (kcal/mol)² for energies of
            whole frames.

        Returns
        -------
        HeldOut
            The same by cell, in :data:`UNITS`.
        """
        rows: dict[Cell, int] = {}
        squares: dict[Cell, float] = {}
        for group, (count, square) in groups.items():
            cell, factor = cell_of(group)
            rows[cell] = rows.get(cell, 0) + count
            squares[cell] = squares.get(cell, 0.0) + factor**2 * square
        return cls(tuple(rows), np.array(list(rows.values()), np.int64), np.array(list(squares.values())))

    def _chosen(self, where: Mapping[str, Any]) -> NDArray[np.bool_]:
        wanted = {k: v for k, v in where.items() if v is not None}
        if unknown := set(wanted) - set(Cell._fields):
            raise InputError(f"expected some of {Cell._fields}, found {sorted(unknown)}")
        chosen = np.ones(len(self.cells), bool)
        for key, value in wanted.items():
            match = self._fields[key] == value
            if key != "kind" and not match.any():
                known = self.values(key)
                hint = (
                    f"; {POOLED!r} are groups that were not kept apart" if key == "source" and POOLED in known else ""
                )
                raise InputError(f"{key}: expected one of {known}, found {value!r}{hint}")
            chosen &= match
        return chosen

    @cached_property
    def _fields(self) -> dict[str, NDArray[np.object_]]:
        """(cells,) values of each field: a search asks for some hundred errors of each model."""
        return {k: np.array([getattr(c, k) for c in self.cells], object) for k in Cell._fields}

    def rmse(self, kind: str, **where: Any) -> float:
        """RMSE of a kind of rows, of all of them or of some.

        Parameters
        ----------
        kind : {"force", "stress", "energy"}
            Kind of rows.
        **where : str or int
            ``source``, ``composition`` and ``fold`` of the rows that count; what is ``None`` or not named is not asked.

        Returns
        -------
        float
            In kcal/mol/Å, GPa or kcal/mol/atom; NaN where there are no such rows.

        Raises
        ------
        ValueError
            A kind that is none, or a source, composition or fold that no row has.

        Examples
        --------
        >>> errors.rmse("force", composition="C75N25")
        """
        if kind not in KINDS:
            raise InputError(f"kind: expected one of {KINDS}, found {kind!r}")
        return self._rmse(np.flatnonzero(self._chosen({"kind": kind, **where})))

    def _rmse(self, chosen: Sequence[int] | NDArray[np.intp]) -> float:
        """RMSE of some cells, by their numbers."""
        rows = int(self.rows[chosen].sum()) if len(chosen) else 0
        return math.sqrt(float(self.squares[chosen].sum()) / rows) if rows else math.nan

    def values(self, field: str) -> list[Any]:
        """What there is of a field of the cells.

        Parameters
        ----------
        field : {"kind", "source", "composition", "fold"}
            Which one.

        Returns
        -------
        list of str or list of int
            Its values, sorted; kinds in their usual order, force, stress, energy.
        """
        values = {getattr(c, field) for c in self.cells}
        return [k for k in KINDS if k in values] if field == "kind" else sorted(values)

    def table(self, by: str = "composition") -> dict[Any, dict[str, float]]:
        """RMSE of each kind of rows, part by part.

        Parameters
        ----------
        by : {"composition", "source", "fold"}, optional
            What the parts are.

        Returns
        -------
        dict from str or int to dict from str to float
            By part and kind, in kcal/mol/Å, GPa and kcal/mol/atom, NaN where a part has no such rows; all of them
            together under ``"all"``.
        """
        kinds = self.values("kind")
        cells: dict[tuple[Any, str], list[int]] = {}
        for i, cell in enumerate(self.cells):
            cells.setdefault((getattr(cell, by), cell.kind), []).append(i)
        table: dict[Any, dict[str, float]] = {
            v: {k: self._rmse(cells.get((v, k), [])) for k in kinds} for v in self.values(by)
        }
        return table | {"all": {k: self.rmse(k) for k in kinds}}

    def score(self, importance: Mapping[str, float] | None = None, **where: Any) -> float:
        """Geometric mean of the RMSEs of the kinds of rows, by which the models of a search are compared.

        It needs no scale for each kind: a model that halves the error of forces and doubles that of energies scores
        the same. An RMSE below ``NEGLIGIBLE`` of that over all rows of its kind counts as so much: forces that are zero
        by symmetry, as in perfect crystals, leave rounding, whose ratios mean nothing.

        Parameters
        ----------
        importance : Mapping from str to float, optional
            Exponent of each kind, relative to one another; default: all alike. Zero leaves a kind out, as does a table
            that does not name it.
        **where : str or int
            As for :meth:`rmse`.

        Returns
        -------
        float
            The score (docs/theory.md, section 9); lower is better.

        Raises
        ------
        ValueError
            No rows of a kind that counts, an importance that is no finite number ≥ 0, or as of :meth:`rmse`.
        """
        shares = self._shares(importance)
        total = weighted = 0.0
        for kind, share in shares.items():
            error = self.rmse(kind, **where)
            if share and not math.isnan(error):
                total += share
                weighted += share * math.log(max(error, NEGLIGIBLE * self.rmse(kind), 1e-300))
        if not total:
            raise InputError(f"score: no held-out rows of the kinds {', '.join(k for k, s in shares.items() if s)}")
        return math.exp(weighted / total)

    def _shares(self, importance: Mapping[str, float] | None) -> dict[str, float]:
        """Exponent of each kind; raises as :meth:`score` does."""
        shares = dict.fromkeys(self.values("kind"), 1.0) if importance is None else dict(importance)
        for kind, share in shares.items():
            if not (kind in KINDS and math.isfinite(share) and share >= 0.0):
                raise InputError(f"importance: expected numbers ≥ 0 by {KINDS}, found {kind}: {share}")
        return shares

    def fold_scores(self, importance: Mapping[str, float] | None = None, **where: Any) -> NDArray[np.float64]:
        """Score of each fold that has such rows of a kind that counts.

        A fold that lacks a kind is scored by the others, relative to their errors in all folds: the mean of fewer kinds
        has another scale.

        Parameters
        ----------
        importance : Mapping from str to float, optional
            Exponent of each kind, as for :meth:`score`.
        **where : str or int
            As for :meth:`rmse`.

        Returns
        -------
        ndarray of shape (folds,)
            In the order of the folds.

        Raises
        ------
        ValueError
            As of :meth:`score`.
        """
        shares = {k: s for k, s in self._shares(importance).items() if s}
        pooled = {k: self.rmse(k, **{**where, "fold": None}) for k in shares}
        whole = [k for k in shares if not math.isnan(pooled[k])]
        scores = []
        for fold in self.values("fold") if where.get("fold") is None else [where["fold"]]:
            of_fold = {**where, "fold": fold}
            kinds = [k for k in whole if self._chosen({"kind": k, **of_fold}).any()]
            if kinds == whole:
                scores.append(self.score(importance, **of_fold))
            elif kinds:
                present = {k: shares[k] for k in kinds}
                ratio = self.score(present, **of_fold) / self.score(present, **{**where, "fold": None})
                scores.append(self.score(importance, **{**where, "fold": None}) * ratio)
        return np.array(scores)

    def standard_error(self, importance: Mapping[str, float] | None = None, **where: Any) -> float:
        """Standard error of the score: the spread of the folds' scores over the root of their number.

        Of its logarithm, times the score, for scores are ratios. Folds share most of what they are fitted on, so it
        is a rough guide: Hastie, Tibshirani, Friedman, Elements of Statistical Learning, 7.10.

        Parameters
        ----------
        importance : Mapping from str to float, optional
            Exponent of each kind, as for :meth:`score`.
        **where : str or int
            As for :meth:`rmse`.

        Returns
        -------
        float
            On the scale of the score (docs/theory.md, section 9); NaN with fewer than two folds.

        Raises
        ------
        ValueError
            As of :meth:`score`.
        """
        scores = np.log(self.fold_scores(importance, **where))
        if len(scores) < 2:
            return math.nan
        return float(self.score(importance, **where) * np.std(scores, ddof=1) / math.sqrt(len(scores)))

    def pooled(self, fields: Iterable[str] = ("kind", "composition", "fold")) -> HeldOut:
        """The same errors, fewer fields kept apart.

        Parameters
        ----------
        fields : iterable of str, optional
            Some of ``"source"``, ``"composition"``, ``"fold"``; kinds are always kept apart.

        Returns
        -------
        HeldOut
            Sources and compositions that are not kept apart are ``""`` in it, folds −1.
        """
        kept = set(fields)
        rows: dict[Cell, int] = {}
        squares: dict[Cell, float] = {}
        for cell, count, square in zip(self.cells, self.rows, self.squares, strict=True):
            pooled = Cell(
                cell.kind, cell.source if "source" in kept else "", cell.composition if "composition" in kept else "",
                cell.fold if "fold" in kept else -1,
            )  # fmt: skip
            rows[pooled] = rows.get(pooled, 0) + int(count)
            squares[pooled] = squares.get(pooled, 0.0) + float(square)
        return HeldOut(tuple(rows), np.array(list(rows.values()), np.int64), np.array(list(squares.values())))

    def as_dict(self) -> dict[str, Any]:
        """The errors as JSON can hold them; :meth:`from_dict` gives them back.

        Returns
        -------
        dict
            ``cells``, ``rows`` and ``squares`` as lists.
        """
        return {"cells": [list(c) for c in self.cells], "rows": self.rows.tolist(), "squares": self.squares.tolist()}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> HeldOut:
        """Errors from what :meth:`as_dict` made.

        Parameters
        ----------
        table : Mapping from str to list
            ``cells``, ``rows`` and ``squares``.

        Returns
        -------
        HeldOut
            The same errors.
        """
        cells = tuple(Cell(*c) for c in table["cells"])
        return cls(cells, np.array(table["rows"], np.int64), np.array(table["squares"], np.float64))
