"""The work of a search: models with the same columns are cross-validated together, and what is found is kept in files.

What one item holds, and so how its sums are grouped and rounded, follows from the grid alone: neither workers nor an
interruption change a bit.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..algebra.errors import SOLVER_ERRORS
from ..design_matrix.resources import calls_at_once, process_bytes
from ..errors import HiertlError
from ..evaluation.costs import model_cost, scan_some
from ..evaluation.kernels.scratch import return_memory
from ..fitting.reduction import EVIDENCE_SQUARES
from ..fitting.view_choice import view
from ..fitting.view_solutions import as_regulariser
from ..fitting.views import View
from ..fitting.weights import EVIDENCE
from ..model.basis import Basis, ClusterType, Elements
from ..model.priors import Prior
from ..text.words import count_text
from .choice import Candidate, failed, scored
from .cross_validation import CrossValidation, Pools, cross_validate
from .held_out_errors import HeldOut
from .kept_results import as_kept, keep_result, kept_results

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..dataset.folds import Folds
    from ..executors.base import Executor
    from ..fitting.probe_rows import ProbeRows
    from ..fitting.reduction import Summaries
    from ..frames.element_set import ElementSet
    from ..model.one_body import MissingEnergies
    from ..model.parameters import Parameters
    from .fold_checks import Contents
    from .search_parts import Columns, Part
    from .search_settings import Choice

FORMAT: Final = 1

VIEWS: Final = 4
"""Weightings of one item, at most: more would share more (a tenth of the time, with all together), and fewer workers
could take part. It does not depend on their number, or bits would."""

TOGETHER: Final = ("weights", "objective", "prior")
"""What views that are cross-validated together may differ in."""

ITEM_BYTES: Final = 2**30
"""Of an item's factors, one for each weighting and fold, unless one weighting alone needs more."""

FRAMES_SCANNED: Final = 20
"""For the cost of evaluation."""


@dataclass(frozen=True, eq=False)
class Setup:
    """What all models of a stage have in common: free blocks, element sets of the frames, frozen models, folds.

    And what becomes of energies that neither says, and of those that lower stages left open; rows of probe structures
    by their number and seed.
    """

    blocks: tuple[ElementSet, ...]
    sets: tuple[ElementSet, ...]
    frozen: tuple[Parameters, ...]
    folds: Folds
    importance: Mapping[str, float] | None
    missing_energies: MissingEnergies = "refuse"
    left_open: tuple[str, ...] = ()
    probes: Mapping[tuple[int, int], ProbeRows] = field(default_factory=dict)

    def view_options(self, choice: Choice) -> dict[str, Any]:
        """The arguments of :func:`~hiertl_dist.view` for a choice; weights by evidence are those of its regulariser."""
        prior = Prior.of(choice.prior)
        return {
            "blocks": self.blocks, "sets": self.sets, "frozen": self.frozen, "orders": choice.orders,
            "exclude": choice.exclude, **choice.view, "missing_energies": self.missing_energies,
            "left_open": self.left_open, "probes": self.probes.get((prior.probes, prior.seed)),
            "regulariser": choice.regulariser if choice.weights == EVIDENCE else None,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Source:
    """Summaries, what names them, bytes of pooled factors that a thread may keep, and bytes of all workers.

    And what each fold leaves out, where that are systems. A copy in another process has pools of its own, kept as
    long as the copy is.
    """

    summaries: Summaries
    identity: Mapping[str, Any]
    pool_bytes: int
    memory: int
    systems: Contents = ()

    @cached_property
    def _own(self) -> threading.local:
        return threading.local()

    @property
    def pools(self) -> Pools:
        """Factors of groups together, kept in this process."""
        if not hasattr(self._own, "pools"):
            self._own.pools = Pools(self.summaries, self.pool_bytes)
        pools: Pools = self._own.pools
        return pools

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_own"}


@dataclass(frozen=True, eq=False)
class Item:
    """Models that are cross-validated together: the same columns, some weightings, and the regularisers of each.

    A weighting is a choice, of which the regulariser is of no matter; they differ in weights and objective.
    """

    columns: Columns
    weightings: tuple[Choice, ...]
    regularisers: tuple[Mapping[str, Any], ...]
    places: tuple[int, ...]

    @property
    def cost(self) -> float:
        """Roughly in proportion to its CPU seconds."""
        return float(self.columns.count) ** 3 * (6 + len(self.weightings) * (8 + len(self.regularisers)))

    def digest(self, setup: Setup, source: Source) -> str:
        """SHA-256 of everything that determines what comes of it."""
        summaries = {k: v for k, v in source.identity.items() if k not in ("path", "batches")}
        summaries["batches"] = sorted(i for i, s in source.identity.get("batches", {}).items() if s in setup.sets)
        content = {
            "format": FORMAT, "version": package_version("hiertl-dist"), "summaries": summaries,
            "frozen_files": [f.digest for f in source.summaries.frozen], "blocks": setup.blocks, "sets": setup.sets,
            "frozen": [f.digest for f in setup.frozen], "folds": setup.folds.as_dict(),
            "basis": self.columns.basis.digest, "energies": source.summaries.basis.energies,
            "probes": sorted(rows.identity for rows in setup.probes.values()),
            "missing_energies": setup.missing_energies, "left_open": setup.left_open,
            "weightings": [choice.view for choice in self.weightings], "regularisers": self.regularisers,
        }  # fmt: skip
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@cache  # a file is parsed to find it
def package_version(package: str) -> str:
    """The version that is installed, or ``"unknown"``."""
    try:
        return version(package)
    except PackageNotFoundError:  # a source tree that was never installed
        return "unknown"


# ---- cross-validation


def items_of(models: Sequence[tuple[Choice, Columns]], folds: int) -> list[Item]:
    """Items of models with the same columns; the places of their models among those given, regularisers fastest."""
    by_columns: dict[tuple[str, str], list[int]] = {}
    for i, (choice, columns) in enumerate(models):
        apart = {k: v for k, v in choice.view.items() if k not in TOGETHER}
        by_columns.setdefault((columns.basis.digest, json.dumps(apart, sort_keys=True)), []).append(i)
    items = []
    for places in by_columns.values():
        columns = models[places[0]][1]
        # weightings that have the same regularisers go together
        weightings: dict[str, list[int]] = {}
        for i in places:
            # each regulariser has its own weights by evidence
            own = dict(models[i][0].regulariser) if models[i][0].weights == EVIDENCE else None
            weightings.setdefault(json.dumps([models[i][0].view, own], sort_keys=True), []).append(i)
        alike: dict[str, list[list[int]]] = {}
        for members in weightings.values():
            alike.setdefault(json.dumps([dict(models[i][0].regulariser) for i in members]), []).append(members)
        most = max(1, min(VIEWS, ITEM_BYTES // (2 * folds * 8 * (columns.count + 1) ** 2)))
        for group in alike.values():
            parts = -(-len(group) // most)
            for part in range(parts):
                some = group[part * len(group) // parts : (part + 1) * len(group) // parts]
                items.append(Item(
                    columns, tuple(models[members[0]][0] for members in some),
                    tuple(models[i][0].regulariser for i in some[0]), tuple(i for members in some for i in members),
                ))  # fmt: skip
    return items


def cross_validated(
    models: Sequence[tuple[Choice, Columns]], part: Part, setup: Setup, frozen: Sequence[Parameters], source: Source,
    folder: Path | None, runner: Executor, tell: Callable[[str], None],
) -> list[Candidate]:  # fmt: skip
    """A candidate for each model, in order; what files of ``folder`` hold is not computed again."""
    items = items_of(models, setup.folds.count)
    keys = [item.digest(setup, source) for item in items]
    kept: dict[str, Any] = {}
    if folder is not None:
        kept = runner.once(partial(kept_results, folder, keys), what=f"look at {folder}")
    todo = [(key, item) for key, item in zip(keys, items, strict=True) if key not in kept]
    ready = f", {len(items) - len(todo)} of which are there already" if len(todo) < len(items) else ""
    folds, cut = count_text(setup.folds.count, "fold"), count_text(len(items), "part")
    tell(f"  {count_text(len(models), 'model')}, {folds} each, in {cut}{ready}")
    at_once = 1
    if todo:
        at_once = calls_at_once(
            max(_item_bytes(item, setup.folds.count) for _, item in todo) + source.pool_bytes + runner.overhead,
            f"cross-validation of {count_text(max(item.columns.count for _, item in todo), 'column')}",
            executor=runner, memory=source.memory, items=len(todo), tell=True,
        )  # fmt: skip
    task = partial(_run_item, setup=setup, source=source, folder=folder)
    with runner.at_most(at_once):
        made = runner.run(task, todo, label=_label, what=f"search {part.name}", cost=lambda pair: pair[1].cost)
    kept |= {key: result for (key, _), result in zip(todo, made, strict=True)}
    finish = partial(_candidates, models, items, [kept[k] for k in keys], part, setup, frozen)
    # once, so that all processes choose the same
    return list(runner.once(finish, what=f"score the models of {part.name}"))


def _label(pair: tuple[str, Item]) -> str:
    item = pair[1]
    return f"{count_text(len(item.places), 'model')} of {count_text(item.columns.count, 'column')}"


def _item_bytes(item: Item, folds: int) -> int:
    square = 8 * (item.columns.count + 1) ** 2
    solve = EVIDENCE_SQUARES if any(choice.weights == EVIDENCE for choice in item.weightings) else 10
    return process_bytes() + int(square * (2 * folds * len(item.weightings) + solve))


def _run_item(pair: tuple[str, Item], *, setup: Setup, source: Source, folder: Path | None) -> Any:
    key, item = pair
    return_memory()
    views: list[View] = []
    refused: dict[int, str] = {}
    for i, choice in enumerate(item.weightings):
        # one regulariser alone where weights are by evidence
        try:
            views.append(view(source.summaries, **setup.view_options(choice)))
        except SOLVER_ERRORS as error:
            refused[i] = f"{type(error).__name__}: {error}"
    cells: Any = None
    models: list[dict[str, Any]] = []
    validated = iter(_validated(views, item.regularisers, source.pools) if views else ())
    for i in range(len(item.weightings) * len(item.regularisers)):
        if (fault := refused.get(i // len(item.regularisers))) is not None:
            models.append({"failed": fault})
            continue
        one = next(validated)
        if one.errors is None:
            models.append({"failed": one.failed})
            continue
        if not np.isfinite(one.errors.squares).all():
            models.append({"failed": "held-out errors are not finite"})
            continue
        table = one.errors.as_dict()
        cells = {"cells": table["cells"], "rows": table["rows"]}
        models.append({"squares": table["squares"], "nonzeros": one.nonzeros, "conditions": one.conditions})
    result = {"key": key, **(cells or {}), "models": models}
    if folder is not None:
        keep_result(folder, key, result)
    return as_kept(result)


def _validated(views: Sequence[View], regularisers: Sequence[Mapping[str, Any]], pools: Pools) -> list[CrossValidation]:
    """One that a solver refuses does not take the others with it."""
    try:
        return cross_validate(views, regularisers, pools=pools)
    except HiertlError:
        raise
    except ValueError as error:
        if len(views) == len(regularisers) == 1:
            return [CrossValidation(views[0], as_regulariser(regularisers[0]), None, failed=f"ValueError: {error}")]
        return [m for v in views for r in regularisers for m in _validated([v], [r], pools)]


def _candidates(
    models: Sequence[tuple[Choice, Columns]], items: Sequence[Item], results: Sequence[Any], part: Part, setup: Setup,
    frozen: Sequence[Parameters],
) -> list[Candidate]:  # fmt: skip
    prices = _costs({c.basis.digest: c.basis for _, c in models}, part, (*frozen, *setup.frozen))
    candidates: dict[int, Candidate] = {}
    for item, result in zip(items, results, strict=True):
        cost = prices[item.columns.basis.digest]
        for place, one in zip(item.places, result["models"], strict=True):
            choice, count = models[place][0], item.columns.count
            if "failed" in one:
                candidates[place] = failed(choice, count, cost, one["failed"])
                continue
            errors = HeldOut.from_dict({"cells": result["cells"], "rows": result["rows"], "squares": one["squares"]})
            conditions = [np.inf if k is None else k for k in one["conditions"]]
            candidates[place] = scored(
                choice, count, cost, errors, setup.importance, one["nonzeros"], conditions,
                by_system=setup.folds.split == "system",
            )  # fmt: skip
    return [candidates[i] for i in range(len(models))]


def _costs(bases: Mapping[str, Basis], part: Part, frozen: Sequence[Parameters]) -> dict[str, float]:
    """CPU seconds per atom of evaluating each basis together with the frozen models, on frames of the stage."""
    elements = set(part.basis.elements)
    frozen_types: dict[Elements, ClusterType] = {}
    for model in frozen:
        for kind in model.basis.types:
            if set(kind.elements) <= elements and (part.all_at_once or kind.block.is_proper_subset(part.name)):
                known = frozen_types.get(kind.elements, kind)
                frozen_types[kind.elements] = max(known, kind, key=lambda t: t.order)
    pairs = {p.elements: p for model in frozen for p in model.basis.pairs if set(p.elements) <= elements}
    pairs |= {p.elements: p for p in part.basis.pairs}

    def whole(basis: Basis) -> Basis:
        return Basis(basis.elements, tuple(pairs.values()), (*basis.types, *frozen_types.values()), basis.cutoff)

    free = part.basis.with_types(t for t in part.basis.types if t.block in part.blocks)
    scanned = scan_some(part.frames, whole(free), FRAMES_SCANNED)
    return {digest: model_cost(whole(basis), scanned) for digest, basis in bases.items()}
