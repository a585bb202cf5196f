"""Views written out: all rows of some frames in one dense matrix with their labels, and fits of them by numpy alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from synthetic import random_frame

from hiertl_dist import Model, columns_of, design_rows, view
from hiertl_dist.dataset.folds import Folds, assign_folds
from hiertl_dist.frames.rows import n_rows, select_rows

COUNTS = {"lsq": {"force": 1, "stress_diagonal": 1, "stress_off_diagonal": 2, "energy": 3}}
COUNTS["plain"] = dict.fromkeys(COUNTS["lsq"], 1)


class Label(NamedTuple):
    """What is known of a row: ``kind`` as the package keeps them apart, ``frame`` its number."""

    kind: str
    source: str
    composition: str
    elements: str
    fold: int
    atoms: int
    frame: int

    @property
    def person_kind(self):
        return "stress" if self.kind.startswith("stress") else self.kind

    @property
    def names(self):
        """By which a person gives its weight, each once."""
        kind = self.person_kind
        return {kind, self.source, self.composition, f"{self.source}/{kind}", f"{self.composition}/{kind}"}


@dataclass(frozen=True, eq=False)
class Dense:
    """All rows of frames, unweighted: matrix (rows, columns), target (rows,) less what ``frozen`` predict."""

    frames: tuple
    columns: tuple
    matrix: np.ndarray
    target: np.ndarray
    labels: tuple

    @cached_property
    def by_field(self):
        return {f: np.array([getattr(row, f) for row in self.labels]) for f in Label._fields}

    def used(self, **where):
        """(rows,) which rows have one of the values that are given for each field."""
        chosen = np.ones(len(self.labels), bool)
        for field, values in where.items():
            chosen &= np.isin(self.by_field[field], list(values))
        return chosen

    def factors(self, weights=None, objective="lsq"):
        """(rows,) what each row is multiplied by."""
        given, counts = weights or {}, COUNTS[objective]
        return np.array([
            math.prod(w for name, w in given.items() if name in row.names) * counts[row.kind] ** 0.5
            for row in self.labels
        ])  # fmt: skip

    def above(self, zeros):
        """(rows,) the target, energies less ``zeros`` of each atom."""
        taken = [
            sum(zeros.get(e, 0.0) for e in self.frames[row.frame].species) if row.kind == "energy" else 0.0
            for row in self.labels
        ]
        return self.target - np.array(taken)

    def values(self, models):
        """(columns,) what models say of each column."""
        found = {}
        for model in models:
            found |= model.as_dict()
        return np.array([found.get(c, 0.0) for c in self.columns])


def dense(frames, basis, blocks=None, *, folds=None, frozen=(), policy="refuse"):
    """The rows of frames that have labels, and all elements of a block."""
    own = [f for f in frames if n_rows(f)]
    how = Folds(folds) if isinstance(folds, int) else folds
    shares = [-1] * len(own) if how is None else assign_folds(own, how).tolist()
    rows = design_rows(own, basis, blocks, policy=policy)
    kept = [(f, fold) for i, (f, fold) in enumerate(zip(own, shares, strict=True)) if i not in rows.skipped]
    target = rows.target.copy()
    for model in frozen:
        found = Model(model).evaluate([f for f, _ in kept], ignore_other_elements=True, missing="zero")
        target -= np.concatenate([
            select_rows(f, e.forces, e.stress, e.energy) for (f, _), e in zip(kept, found, strict=True)
        ])  # fmt: skip
    labels = tuple(
        Label(kind, f.group, f.composition, "".join(sorted(f.elements)), fold, len(f), i)
        for i, (f, fold) in enumerate(kept)
        for kind in kinds_of(f)
    )
    return Dense(tuple(f for f, _ in kept), columns_of(basis, blocks), rows.matrix, target, labels)


def kinds_of(frame):
    """Kind of each row of a frame."""
    kinds = ["force"] * (3 * len(frame)) if frame.forces is not None else []
    if frame.stress is not None:
        all_six = ["stress_diagonal"] * 3 + ["stress_off_diagonal"] * 3
        kinds += [k for k, value in zip(all_six, frame.stress, strict=True) if np.isfinite(value)]
    return kinds + ["energy"] * (frame.energy is not None)


def least_squares(A, b, alpha, columns=()):
    """min ‖A c − b‖² + alpha ‖c‖² by stacking the penalty's rows; one-body ones of the columns have none."""
    n = A.shape[1]
    rows = alpha**0.5 * np.eye(n)
    rows[[i for i, c in enumerate(columns) if not c.powers]] = 0.0
    return np.linalg.lstsq(np.vstack([A, rows]), np.r_[b, np.zeros(n)], rcond=None)[0]


def plain_view(summaries, **options):
    """A view whose weights are 1 unless they are given, and in which energies that nothing says are zero."""
    return view(summaries, **{"weights": {}, "missing_energies": "zero", **options})


def moderate_alpha(A):
    """An alpha with which rounding is far below 1e-9 of predictions."""
    return 1e-6 * float(np.linalg.norm(A, 2)) ** 2


def frames_of(counts, *, atoms=8, group="liquid", seed=0):
    """Frames of each element set; of eight atoms and two elements, four are of each."""
    return [
        random_frame(tuple(name), (seed, k, i), atoms, group)
        for k, (name, count) in enumerate(counts.items()) for i in range(count)
    ]  # fmt: skip
