"""What the parts of ``transfer`` share: elements fitted once, cross blocks fitted with any prior, errors from rows.

Rows of the frames that are predicted are made once, so that a model costs a product of matrices: dozens of priors and
strengths can be compared on the same draws.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hiertl_dist import Basis, ElementSet, Model, Prior, design_rows, read_frames, solve, summarise, view
from hiertl_dist.fitting.view_priors import probe_rows_of
from hiertl_dist.frames.frame_sequence import sequence_of
from hiertl_dist.model.mixing import mixed_parameters
from hiertl_dist.model.priors import MIXED, PROBES
from hiertl_dist.units import EV, KCAL_PER_A3_IN_GPA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from hiertl_dist import Frame, Parameters, ProbeRows
    from hiertl_dist.executors.base import Executor
    from hiertl_dist.fitting.reduction import Summaries

WEIGHTS: Final = {"force": 1.0, "energy": 1.0, "stress": 100.0}
"""Of rows in kcal/mol/Å, kcal/mol a frame, kcal/mol/Å³."""

PURE_ALPHA: Final = 1e-3
"""Ridge strength of blocks of single elements: that of ``hiertl-dist init``."""

ALPHA: Final = 1.0
"""Of cross blocks, where none is varied."""

WAYS: Final[Mapping[str, Any]] = {
    "zero": "zero", "mixed": "mixed", "mixed, probes": {"mean": "mixed", "probes": PROBES}, "auto": "auto",
}  # fmt: skip
"""Priors by name, as an input file has them."""

UNITS: Final = {"force": "eV/Å", "energy": "meV/atom", "stress": "GPa"}


def basis_of(
    elements: Sequence[str], orders: Sequence[int], pairs: Mapping[str, Any], inner: float, outer: Mapping[str, float]
) -> Basis:
    """A basis of Morse coordinates: λ by pair, or one for all, and the same cutoffs for all pairs."""
    names = ["".join(sorted((a, b))) for i, a in enumerate(elements) for b in elements[i:]]
    table = {
        name: {"rmin": inner, "rmax": outer["two_body"], "lambda": pairs.get(name, pairs.get("all"))} for name in names
    }
    more = {body: {"rmax": outer[body]} for body in ("three_body", "four_body") if body in outer}
    return Basis.from_dict({
        "elements": list(elements), "orders": list(orders), "transform": "MORSE", "cutoff": "TERSOFF 0.5",
        "pairs": table, **more,
    })  # fmt: skip


def read_groups(folder: Path, names: Sequence[str]) -> dict[str, list[Frame]]:
    """Frames of some files of extended XYZ; each file is a group of its name."""
    return {name: list(read_frames(folder / f"{name}.extxyz.gz", group=name)) for name in names}


@dataclass(frozen=True, eq=False)
class System:
    """Elements with frames of their own, and how everything is fitted."""

    basis: Basis
    unary: Sequence[Frame]
    runner: Executor
    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)
    alpha: float = PURE_ALPHA

    @cached_property
    def pure(self) -> dict[str, Parameters]:
        """The models of the single elements."""
        elements = list(self.basis.elements)
        summaries = summarise(self.unary, self.basis, blocks=elements, folds=None, executor=self.runner)
        return {e: self.solved(view(summaries, blocks=[e], weights=self.weights), self.alpha) for e in elements}

    @cached_property
    def pairs(self) -> list[str]:
        """Names of the blocks of two elements."""
        return ["".join(p) for p in combinations(sorted(self.basis.elements), 2)]

    def solved(self, chosen: Any, alpha: float) -> Parameters:
        """The ridge fit of a view."""
        return solve(chosen, {"kind": "ridge", "alpha": alpha}).parameters

    def mixed_types(self, parts: Sequence[Parameters], least: int) -> Parameters:
        """Types of so many elements or more, made of lower blocks."""
        kinds = [t for t in self.basis.types if len(set(t.elements)) >= least]
        return mixed_parameters(self.basis, kinds, parts, Prior(mean=MIXED))


@dataclass(frozen=True, eq=False)
class Cross:
    """A block of two elements, upon the models of these."""

    system: System
    block: str

    @cached_property
    def elements(self) -> tuple[str, ...]:
        return tuple(sorted(ElementSet.parse(self.block).elements))

    @cached_property
    def lower(self) -> tuple[Parameters, ...]:
        """Models of its elements."""
        return tuple(self.system.pure[e] for e in self.elements)

    @cached_property
    def probes(self) -> ProbeRows | None:
        """Rows of the probe structures that the prior ``auto`` makes of the frames of the elements."""
        return probe_rows_of(
            Prior.of({"mean": MIXED, "probes": PROBES}), sequence_of(self.system.unary), self.system.basis,
            [ElementSet.parse(self.block)], lower=self.lower, probes=None, executor=self.system.runner, memory=None,
        )  # fmt: skip

    def summaries(self, frames: Sequence[Frame]) -> Summaries:
        """Rows of some frames of the block, reduced."""
        return summarise(
            frames, self.system.basis, blocks=[self.block], folds=None, frozen=self.lower, executor=self.system.runner
        )  # fmt: skip

    def fitted(self, summaries: Summaries, prior: Any, alpha: float = ALPHA) -> tuple[Parameters, str]:
        """The block with a prior, and the mean that it had in the end."""
        wanted = Prior.of(prior)
        rows = self.probes if wanted.probes else None
        chosen = view(summaries, weights=self.system.weights, prior=wanted, probes=rows)
        return self.system.solved(chosen, alpha), chosen.prior.mean

    def without_frames(self, way: str) -> Parameters | None:
        """What ``missing`` makes of the block where no frame informs it; None for zero."""
        if way == "zero":
            return None
        kinds = [t for t in self.system.basis.types if t.block == ElementSet.parse(self.block)]
        return mixed_parameters(self.system.basis, kinds, self.lower, Prior(mean=MIXED))


@dataclass(frozen=True, eq=False)
class Predicted:
    """Rows of frames of a cross block that are predicted, and what the elements' models leave of their labels."""

    matrix: NDArray[np.float64]
    left: NDArray[np.float64]
    kinds: NDArray[np.str_]
    atoms: NDArray[np.float64]
    columns: tuple[Any, ...]

    @classmethod
    def of(cls, cross: Cross, frames: Sequence[Frame]) -> Predicted:
        """From labelled frames; what the elements say of them is taken off."""
        rows = design_rows(frames, cross.system.basis, [cross.block])
        model = Model.merge([Model(p) for p in cross.lower])
        said = [
            np.concatenate([e.forces.ravel(), [] if f.stress is None else e.stress, [e.energy]])
            for e, f in zip(model.evaluate(frames, missing="zero"), frames, strict=True)
        ]  # fmt: skip
        kinds = np.array([r.kind for r in rows.rows])
        atoms = np.array([len(frames[r.frame]) for r in rows.rows], float)
        return cls(rows.matrix, rows.target - np.concatenate(said), kinds, atoms, tuple(rows.columns))

    def errors(self, block: Parameters | None) -> dict[str, float]:
        """Mean absolute errors of forces (eV/Å), energies (meV/atom) and stresses (GPa), and the RMSE of forces."""
        known = {} if block is None else block.as_dict()
        values = np.array([known.get(c, 0.0) for c in self.columns])
        return kind_errors(self.matrix @ values - self.left, self.kinds, self.atoms)


def kind_errors(errors: NDArray[np.float64], kinds: NDArray[np.str_], atoms: NDArray[np.float64]) -> dict[str, float]:
    """Errors of rows in kcal/mol by kind, in :data:`UNITS`."""
    force = errors[kinds == "force"] / EV
    energy = 1000.0 * (errors / atoms)[kinds == "energy"] / EV
    stress = errors[np.char.startswith(kinds, "stress")] * KCAL_PER_A3_IN_GPA
    own = {
        "force": np.abs(force), "energy": np.abs(energy), "stress": np.abs(stress), "force_rmse": force**2,
    }  # fmt: skip
    means = {k: float(v.mean()) for k, v in own.items() if len(v)}
    if "force_rmse" in means:
        means["force_rmse"] **= 0.5
    return means


def frame_errors(model: Model, frames: Sequence[Frame]) -> dict[str, float]:
    """Errors of a model on labelled frames."""
    errors, kinds, atoms = [], [], []
    for frame, said in zip(frames, model.evaluate(frames, missing="zero"), strict=True):
        errors += [(said.forces - frame.forces).ravel(), [said.energy - frame.energy]]
        kinds += ["force"] * (3 * len(frame)) + ["energy"]
        atoms += [len(frame)] * (3 * len(frame) + 1)
        if frame.stress is not None:
            errors.append(said.stress - frame.stress)
            kinds += ["stress"] * 6
            atoms += [len(frame)] * 6
    return kind_errors(np.concatenate(errors), np.array(kinds), np.array(atoms, float))


def learning_curve(
    cross: Cross, pool: Sequence[Frame], predicted: Predicted, counts: Sequence[int], ways: Mapping[str, Any],
    alphas: Sequence[float] = (ALPHA,),
) -> list[dict[str, Any]]:  # fmt: skip
    """Errors with the first so many frames of a pool, by prior and ridge strength."""
    rows: list[dict[str, Any]] = []
    for count in counts:
        if count == 0:
            for way in ("zero", "mixed"):
                rows.append({"frames": 0, "way": way, "alpha": None, **predicted.errors(cross.without_frames(way))})
            continue
        summaries = cross.summaries(pool[:count])
        for alpha in alphas:
            for way, prior in ways.items():
                block, mean = cross.fitted(summaries, prior, alpha)
                rows.append({
                    "frames": min(count, len(pool)), "way": way, "alpha": alpha, "mean": mean,
                    **predicted.errors(block),
                })  # fmt: skip
    return rows
