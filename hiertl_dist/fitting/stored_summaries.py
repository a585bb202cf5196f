"""Summaries that lie in a store: opened without reading a factor, each of which is read when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..algebra import RFactor
from ..dataset.folds import Folds
from ..design_matrix.store_places import DIGITS
from ..errors import StoreError
from ..evaluation.frame_rows import widest_ranges
from ..files.json_files import digest_of
from ..files.object_path import in_order
from ..files.paths import ASIDE
from ..files.sealed import copy_of
from ..frames.element_set import ElementSet
from ..frames.rows import Group
from ..model.basis import Basis
from ..model.blocks import blocks_of, columns_of
from ..model.one_body import EnergyTerms, one_body_values
from ..model.parameters import Parameters, Penalty
from .reduction import Summaries
from .store_names import named_summaries
from .stored_pooling import sources_of
from .summary_batches import agreed, as_json
from .summary_index import INDEX
from .summary_store import SummaryStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..executors.base import Executor
    from ..files.object_path import Place
    from ..frames.row_weights import RowWeights
    from .summary_store import Batch


def open_summaries(
    summaries: str | Place | None = None, basis: Basis | None = None, *, store: str | Place | None = None
) -> Summaries:
    """What :func:`~hiertl_dist.summarise` put into a summary store; factors are read when they are asked for.

    Parameters
    ----------
    summaries : str, Path or ObjectPath
        Folder of the summary store; on an object store ``s3://bucket/name``.
    basis : Basis, optional
        Whose energies of free atoms and masses are meant, which no factor depends on; default: those that were given
        when the store was made.
    store : str or Path, optional
        What ``summaries`` was called before; a warning says so.

    Returns
    -------
    Summaries
        Their factors by group, for :func:`view`.

    Raises
    ------
    StoreError
        There is no such store, or a pass that adds columns to it did not end; the folder has a design store.
    InputError
        No folder is given.

    Warns
    -----
    HiertlWarning
        Of the name that ``summaries`` had before.
    """
    summaries = named_summaries("open_summaries", summaries, store)
    place = SummaryStore.open(summaries)
    settings, batches = place.settings, place.batches()
    stored = Basis.from_dict(settings["basis"])
    names = tuple(b.name for b in blocks_of(stored, settings["blocks"]))
    ranges: dict[str, dict[str, tuple[float, float]]] = {}
    for batch in batches:
        own = {key: (float(low), float(high)) for key, (low, high) in batch.info["ranges"].items()}
        ranges[batch.elements] = widest_ranges([ranges.get(batch.elements, {}), own])
        if lacking := lacking_blocks(batch, names):
            raise StoreError(
                f"{summaries}: frames of {batch.elements} lack the columns of blocks {', '.join(lacking)}: the pass "
                "that adds them did not end; summarise the frames again"
            )
        if batch.blocks != tuple(b for b in names if b in batch.blocks):
            raise StoreError(
                f"{summaries}: expected blocks in the order {', '.join(names)}, found {', '.join(batch.blocks)} in "
                f"batch {batch.id[:12]}: its columns would be taken for others"
            )
    # frames that are given again with others are said again
    notes = tuple(dict.fromkeys(n for batch in batches for n in batch.info["notes"]))
    folds = None if settings["folds"] is None else Folds.from_dict(settings["folds"])
    frozen = tuple(parameters_of(f) for f in settings["frozen"])
    groups, used = StoredGroups(place.path), stored if basis is None else _given_as_in(stored, basis)
    pooled = tuple(sorted(sources_of(batches)[1]))
    weighed = StoredGroups(place.path, weighed=True) if ROW_WEIGHTS in settings else None
    energies, of_rows = EnergyTerms(groups.zeros), settings.get(ROW_WEIGHTS, {})
    return Summaries(groups, used, names, frozen, folds, ranges, notes, energies, pooled, weighed, of_rows)


def _given_as_in(stored: Basis, basis: Basis) -> Basis:
    """The stored basis with what another one gives that no factor depends on."""
    ones = {t.elements[0] for t in stored.types if t.body == 1}
    return replace(
        stored, energies=tuple((e, x) for e, x in basis.energies if e in ones),
        masses={e: mass for e, mass in basis.masses.items() if e in stored.elements},
    )  # fmt: skip


def lacking_blocks(batch: Batch, names: Sequence[ElementSet]) -> list[ElementSet]:
    """The blocks among some that frames of a batch have the elements of, and its factors no columns."""
    return [b for b in names if b.is_subset(batch.elements) and b not in batch.blocks]


def require_shared(summaries: Summaries, executor: Executor) -> None:
    """Raise LaunchError where summaries are in a store, which workers read, and some of them do not see it."""
    if isinstance(summaries.groups, StoredGroups):
        executor.shared_place(summaries.groups.path, "summary store")


class StoredGroups(Mapping[Group, RFactor]):
    """The groups of a summary store, each read, and put together from its batches, when it is asked for.

    A copy in another process reads for itself: what travels is the path. ``weighed``: the groups' rows times their own
    weights, by the names of the groups.
    """

    def __init__(self, path: Place, weighed: bool = False) -> None:
        self.path, self.weighed = path.absolute(), weighed  # a worker may have another current folder
        self._store = SummaryStore.open(self.path)
        self._batches = {g.plain: own for g, own in self._store.groups().items() if g.weighed == weighed}
        self._rows = dict.fromkeys(self._batches, 0)
        self.zeros: dict[str, float] = {}
        """kcal/mol by element: what the labels' energies lack for each atom. Each pass chose its own; all are brought
        to that of the first batch that has the element."""
        batches = self._store.batches()
        for batch in batches:
            for entry in batch.groups:
                if entry.group.weighed == weighed:
                    self._rows[entry.group.plain] += entry.rows
            for element, zero in batch.info.get("zeros", {}).items():
                self.zeros.setdefault(element, float(zero))
        self._moves = {batch.id: self._moves_of(batch) for batch in batches}

    def _moves_of(self, batch: Batch) -> list[tuple[int, float]]:
        """(one-body column, kcal/mol that an atom's energy is to lose besides) of a batch's factors."""
        zeros = batch.info.get("zeros", {})
        basis = Basis.from_dict(self._store.settings["basis"])
        columns = columns_of(basis, batch.blocks) if batch.blocks else ()
        elements = {c.elements[0]: i for i, c in enumerate(columns) if not c.powers}
        moves = {e: self.zeros.get(e, 0.0) - float(zeros.get(e, 0.0)) for e in elements}
        return [(elements[e], move) for e, move in moves.items() if move]

    def __getitem__(self, group: Group) -> RFactor:
        own = group._replace(weighed=self.weighed)
        factors = [self._above_zero(self._store.read(batch, own)[0], batch) for batch in self._batches[group]]
        return merge_all(factors)

    def _above_zero(self, factor: RFactor, batch: str) -> RFactor:
        if not self._moves[batch]:
            return factor
        r = np.array(factor.r, order="F")
        for column, move in self._moves[batch]:
            r[:, factor.n_columns] -= move * r[:, column]
        return replace(factor, r=r)

    def __iter__(self) -> Iterator[Group]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)

    def rows(self, group: Group) -> int:
        """Rows of a group, without reading it."""
        return self._rows[group]

    def __reduce__(self) -> tuple[type[StoredGroups], tuple[Place, bool]]:
        return StoredGroups, (self.path, self.weighed)


ROW_WEIGHTS: Final = "weights_of_rows"
"""The setting of a store that has groups with weights of their rows."""

NEAR: Final = 100.0
"""kcal/mol for an atom. Energies that lack as much more or less lose no digit that matters."""


def zeros_as_stored(zeros: Mapping[str, float], batches: Sequence[Batch]) -> dict[str, float]:
    """The zeros of a pass, by element, those of the store's first batch that has the element where they are near.

    So the rows of a batch that was damaged, reduced again, become the same batch.
    """
    stored: dict[str, float] = {}
    for batch in batches:
        for element, zero in batch.info.get("zeros", {}).items():
            stored.setdefault(element, float(zero))
    return {e: stored[e] if abs(stored.get(e, np.inf) - x) <= NEAR else x for e, x in zeros.items()}


def merge_all(factors: Sequence[RFactor]) -> RFactor:
    """One factor of several with the same columns; those of few rows first, for rows go below rows for nothing."""
    first, *others = sorted(factors, key=lambda f: f.rows)
    for other in others:
        first = first.merge(other)
    return first


def store_settings(
    basis: Basis, names: Sequence[ElementSet], folds: Folds | None, frozen: Sequence[Parameters], policy: str,
    row_weights: RowWeights | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What all batches of a store have in common.

    Among it the weights of rows, if there are any; and the energies of free atoms that the basis gives, of elements
    without a column of their own here: what is taken off the labels for them can't be changed afterwards.
    """
    frozen_energies = one_body_values(frozen)
    taken = {e: x for e, x in basis.energies if ElementSet.of([e]) not in names and e not in frozen_energies}
    return {
        "basis": basis.to_dict(), "blocks": {b: block_digest(basis, b) for b in names},
        "folds": None if folds is None else folds.as_dict(), "policy": policy,
        "frozen": [parameters_dict(f) for f in frozen], **({"energies": taken} if taken else {}),
        **({} if row_weights is None else {ROW_WEIGHTS: row_weights.as_dict()}),
    }  # fmt: skip


def block_digest(basis: Basis, block: ElementSet) -> str:
    """SHA-256 of what a block's columns depend on: its types, the pairs of its elements, the cutoff function."""
    own = basis.with_types(t for t in basis.types if t.block == block)
    return own.restricted(block).digest


def parameters_dict(given: Parameters) -> dict[str, Any]:
    """A model as JSON has it, for :func:`parameters_of`."""
    return {
        "source": given.source, "digest": given.digest, "basis": given.basis.to_dict(),
        "coefficients": given.coefficients.tolist(), "penalty": [given.penalty.scale, given.penalty.distance],
        "coverage": {key: list(span) for key, span in given.coverage.items()},
        # its name of before: digests of settings name the folders of stores, and are compared with those there
        **({"untold": [dict(d) for d in given.undetermined]} if given.undetermined else {}),
        **({"without_data": dict(given.without_data)} if given.without_data else {}),
        **({"fitted_on": {t: list(n) for t, n in given.fitted_on.items()}} if given.fitted_on else {}),
    }  # fmt: skip


def parameters_of(table: Mapping[str, Any]) -> Parameters:
    """The model that :func:`parameters_dict` wrote."""
    return Parameters(
        Basis.from_dict(table["basis"]), np.array(table["coefficients"]), Penalty(*table["penalty"]),
        {key: (low, high) for key, (low, high) in table["coverage"].items()}, table["source"],
        undetermined=tuple(table.get("untold", ())), without_data=table.get("without_data", {}),
        fitted_on={t: (n, m) for t, (n, m) in table.get("fitted_on", {}).items()},
    )  # fmt: skip


def names_with(path: Place, stored: Mapping[str, Any], asked: Mapping[str, Any]) -> tuple[ElementSet, ...]:
    """The blocks that a store of these settings will have with those of a pass, in the order of their columns.

    Raises StoreError where the pass does not fit to the store.
    """
    basis = Basis.from_dict(asked["basis"])
    if lost := sorted(set(stored["blocks"]) - {b.name for b in blocks_of(basis)}):
        raise StoreError(f"{path}: the store has the blocks {', '.join(lost)}, which this basis lacks")
    # the order of blocks, and so of columns, is that of elements
    before = [e for e in stored["basis"]["elements"] if e in basis.elements]
    if before != (now := [e for e in basis.elements if e in before]):
        raise StoreError(f"{path}: the store has elements in the order {before}, this basis in the order {now}")
    names = tuple(b.name for b in blocks_of(basis, {*stored["blocks"], *asked["blocks"]}))
    agreed(str(path), dict(stored), as_json({**asked, "blocks": {b: block_digest(basis, b) for b in names}}))
    return names


def summary_folder(path: Place, settings: Mapping[str, Any], *, check: bool = True) -> Place:
    """Where below ``path`` the summary store of these settings is, or will be. Raises StoreError.

    A folder named by the first digits of their digest; or another one there that was made with the same but for blocks,
    which it gets too. Where ``path`` itself is a store, it is that one, if it fits; ``check``: an error if not.
    """
    if (path / INDEX).exists() or copy_of(path / INDEX).exists():
        try:
            names_with(path, SummaryStore.open(path).settings, settings)
        except StoreError:
            if check:
                raise
        return path
    own = path / digest_of(as_json(settings))[:DIGITS]
    if not (own / INDEX).exists() and not copy_of(own / INDEX).exists():
        below: list[Place] = in_order(p.parent for p in path.glob(f"*/{INDEX}") if ASIDE not in p.parent.name)
        for folder in below:
            with suppress(StoreError):
                names_with(folder, SummaryStore.open(folder).settings, settings)
                return folder
    return own
