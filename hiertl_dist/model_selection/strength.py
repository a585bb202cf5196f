"""How strongly a model is regularised, and numeric axes of a grid with the places of a choice on them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from ..fitting.mean_choice import LEAST_WEIGHT
from ..model.priors import ZERO, Prior

if TYPE_CHECKING:
    from .search_settings import Choice

STRENGTHS: Final[Mapping[str, str]] = {
    "ridge": "alpha", "lasso": "lam", "elastic_net": "lam", "adaptive_lasso": "lam", "svd": "tolerance",
}  # fmt: skip
"""By kind of regulariser, the number of which more leaves less to the data."""

BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "orders": (0.0, math.inf), "weights": (0.0, math.inf), "l1_ratio": (0.0, 1.0), "tolerance": (0.0, 1.0),
}  # fmt: skip
"""Least and greatest value of an axis, by the first or last word of its name: there is no value beyond them to add."""

FEWEST: Final = 3
"""Values of an axis with an inside: of two, each is at an edge."""

NO_STRENGTH: Final = ("prior.seed", "prior.probes")
"""Axes of which no end is an edge: other structures, and how many of them."""

STRENGTHS_OF_PRIOR: Final = ("probe_weight", "probe_force", "probe_energy", "strength")
"""Numbers of a prior of which more leaves less to the data."""

Side = Literal["smallest", "largest"]


def strength_of(regulariser: Mapping[str, Any]) -> float:
    """How strong a regulariser is among those of its :func:`family_of`; 0 where it has no strength."""
    value = regulariser.get(STRENGTHS.get(str(regulariser["kind"]), ""))
    return 0.0 if value is None else float(value)


def prior_strengths(prior: Any) -> tuple[float, ...]:
    """How strong a prior is among those of its :func:`family_of`: hold of its probes, decay with the powers."""
    given = Prior.of(prior)
    weight = 0.0 if not given.probes else LEAST_WEIGHT if given.probe_weight is None else given.probe_weight
    if given.probe_force is not None:  # the less they may deviate the harder
        weight = 1.0 / given.probe_force
    energy = 0.0 if given.probe_energy is None else 1.0 / given.probe_energy
    return weight, energy, given.strength if given.decay != "none" else 0.0


def family_of(regulariser: Mapping[str, Any], prior: Any = ZERO) -> str:
    """The same for regularisers, and priors, that differ in their strength alone, which is then comparable."""
    key = STRENGTHS.get(str(regulariser["kind"]))
    given = Prior.of(prior)
    own = {k: v for k, v in given.as_dict().items() if k not in (*STRENGTHS_OF_PRIOR, "probes", "seed")}
    own |= {"in_units": True} if given.probe_force is not None else {}  # weights and deviations don't compare
    return json.dumps([{k: v for k, v in regulariser.items() if k != key}, own], sort_keys=True)


@dataclass(frozen=True)
class GridEdge:
    """A model that has the first or last value of a numeric axis, beyond which better ones may lie.

    Attributes
    ----------
    axis : str
        Such as ``"regulariser.alpha"``, ``"weights.energy"``, ``"orders.2B"``.
    value : float
        That of the model.
    side : {"smallest", "largest"}
        Which end of the values that were tried it is.
    tried : int
        How many different values there are.
    models : tuple of str
        Whose it is: ``"chosen"``, ``"lowest"`` (the lowest score), or both.
    """

    axis: str
    value: float
    side: Side
    tried: int
    models: tuple[str, ...]

    def __str__(self) -> str:
        whose = " and ".join("lowest score" if model == "lowest" else model for model in self.models)
        more = "smaller" if self.side == "smallest" else "larger"
        basis = ", and to the orders of [basis]" if self.axis.startswith("orders") and more == "larger" else ""
        return (
            f"at the edge of the grid ({whose}): {self.axis.removeprefix('regulariser.')} = {self.value:g} is the "
            f"{self.side} of {self.tried} that were tried: add {more} ones to the grid{basis}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "axis": self.axis, "value": self.value, "side": self.side, "tried": self.tried, "models": list(self.models),
        }  # fmt: skip


def grid_edges(choices: Sequence[Choice], chosen: int, lowest: int) -> tuple[GridEdge, ...]:
    """The edges of the grid at which the chosen model, or the one of the lowest score, lies.

    An axis is each number of a choice that takes at least three values among them; numbers of a table with a kind are
    compared among those of this kind. What failed was tried, and counts.

    Parameters
    ----------
    choices : sequence of Choice
        All that were tried.
    chosen, lowest : int
        Places of the one that was chosen, and of the one with the lowest score.

    Returns
    -------
    tuple of GridEdge
        In the order of the choice's fields.
    """
    models = {"chosen": choices[chosen], "lowest": choices[lowest]}
    tried_of: dict[str, set[float]] = {}
    for choice in choices:
        for axis, value in numbers_of(choice).items():
            tried_of.setdefault(axis, set()).add(value)
    edges: dict[tuple[str, float], GridEdge] = {}
    for whose, model in models.items():
        for axis, value in numbers_of(model).items():
            tried = tried_of[axis]
            if axis in NO_STRENGTH or len(tried) < FEWEST or value not in (min(tried), max(tried)):
                continue
            side: Side = "smallest" if value == min(tried) else "largest"
            name = axis.partition(" ")[0]
            if value in bounds_of(name):
                continue
            before = edges.get((axis, value))
            edges[axis, value] = GridEdge(name, value, side, len(tried), (*(before.models if before else ()), whose))
    return tuple(edges.values())


def bounds_of(axis: str) -> tuple[float, float]:
    """The least and greatest value that an axis may have."""
    if axis.startswith("prior.gamma"):
        return 0.0, 1.0
    unbounded = (-math.inf, math.inf)
    return BOUNDS.get(axis.partition(".")[0], BOUNDS.get(axis.rpartition(".")[2], unbounded))


def numbers_of(choice: Choice) -> dict[str, float]:
    """The numbers of a choice by axis; of a table with a kind, ``"regulariser.alpha (ridge)"``."""
    numbers: dict[str, float] = {}
    for name, value in choice.as_dict().items():
        kind = f" ({value['kind']})" if isinstance(value, Mapping) and "kind" in value else ""
        numbers |= {f"{axis}{kind}": number for axis, number in _flat(name, value).items()}
    return numbers


def _flat(name: str, value: Any) -> dict[str, float]:
    """The numbers in nested tables and lists, which are three orders or more, by their places."""
    if isinstance(value, Mapping):
        return {k: v for key, inner in value.items() for k, v in _flat(f"{name}.{key}", inner).items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {k: v for i, inner in enumerate(value) for k, v in _flat(f"{name}.{i + 2}B", inner).items()}
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return {name: float(value)}
    return {}
