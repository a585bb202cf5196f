"""``assemble``: write the tiles of a plan into a design store, those that are missing and nothing else."""

from __future__ import annotations

import platform
import sys
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..evaluation.compiled_basis import compile_recipe
from ..evaluation.energies import Model, predicted_rows
from ..evaluation.frame_rows import InnerPolicy, rows_of
from ..executors import borrowed
from ..frames.frame_sequence import joined_frames
from ..frames.rows import SUMMARY_KINDS, atom_numbers, kind_codes, n_rows, row_targets
from ..model.one_body import without_one_body
from ..text.cards import assembly_card
from ..text.display import Shown
from .planning import Need, Plan, check_plan, chunk_rows, make_plan
from .store import DesignStore
from .store_layout import LABEL_ARRAYS, TileSpec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ..evaluation.compiled_basis import Recipe
    from ..executors.base import Executor
    from ..frames.frame import Frame
    from ..model.basis import Basis
    from ..model.parameters import Parameters
    from .segments import Segment


@dataclass(frozen=True, eq=False, repr=False)
class Assembly(Shown, card=assembly_card):
    """A complete store, its plan, and how much of it had to be computed.

    Attributes
    ----------
    store : DesignStore
        Where the rows are.
    plan : Plan
        What the store holds of it is complete.
    computed : int
        Number of parts that this call computed: rows of a tile, labels of a segment, or what a frozen model predicts of
        one.
    present : int
        Number of parts that were complete before.
    """

    store: DesignStore
    plan: Plan
    computed: int
    present: int


PART_BYTES: Final = 4 * 2**20
"""Rows of a tile go to the store in parts of whole frames of about this size, written while the next part is made."""

SMALL_SECONDS: Final = 0.25
"""A part of a segment that is expected to take less is not worth an item of its own: dask spends 7 to 20 ms on each."""

Part = str | int
"""What an item makes of a segment: the rows of a block (its name), the labels, or what a frozen model (its index)
predicts."""

LABELS: Final = "labels"

FROZEN_SECONDS: Final = 1e-4
"""Of evaluating an atom, roughly: that of C takes 24 ms for 216 (``benchmarks/evaluation.py``)."""


@dataclass(frozen=True, eq=False)
class _Work:
    """One item: some parts of a segment. ``numbers``, (frames, 2): of each frame and of its group in the store."""

    segment: Segment
    parts: tuple[Part, ...]
    seconds: float
    numbers: NDArray[np.int32]

    @property
    def label(self) -> str:
        return f"tile {self.segment.key[:12]} of {', '.join(map(_part_name, self.parts))} ({self.segment.label})"


def _part_name(part: Part) -> str:
    if isinstance(part, int):
        return f"frozen contribution {part}"
    return part if part == LABELS else f"block {part}"


def offset_array(frozen: Parameters) -> str:
    """Name of the array that holds what a frozen model predicts for each row."""
    return f"offsets/{frozen.digest[:24]}"


def block_array(block: str) -> str:
    """Name of the array that holds a block's design rows."""
    return f"blocks/{block}"


# long: its parameters are documented
def assemble(
    frames: Sequence[Frame],
    basis: Basis,
    store: str | Path,
    *,
    blocks: Sequence[str] | None = None,
    needs: Collection[Need] | None = None,
    frozen: Sequence[Parameters] = (),
    policy: InnerPolicy = "refuse",
    executor: Executor | None = None,
    verify: bool = False,
    memory: int | None = None,
    plan: Plan | None = None,
) -> Assembly:
    """Compute design rows out-of-core: write what a plan wants and a design store lacks.

    Parameters
    ----------
    frames : Sequence of Frame
        To be fitted; not looked at where ``plan`` is given, which has its own.
    basis : Basis
        Whose columns are made.
    store : str or Path
        Folder of the zarr store; created, or continued if it was made with the same basis and policy.
    blocks : Sequence of str, optional
        Names of blocks, as for :func:`~hiertl_dist.plan`.
    needs : Collection of (str, str), optional
        Which blocks are wanted in which frames, as for :func:`~hiertl_dist.plan`.
    frozen : Sequence of Parameters
        Models whose predictions for each row are stored, but for energies of free atoms, which fits count.
    policy : {"refuse", "skip_frame", "lsq", "damp"}
        For pairs inside an inner cutoff, as for :func:`~hiertl_dist.plan`.
    executor : Executor, optional
        Who computes; default: mpirun's ranks, the current dask client, else a local cluster.
    verify : bool
        Also compute again the tiles whose checksum does not match.
    memory : int, optional
        Bytes that all workers may take together; default: what is available.
    plan : Plan, optional
        The plan, if it was made before, with the same basis and policy; it says which blocks and frames.

    Returns
    -------
    Assembly
        The complete store, its plan, and how much was computed.

    Raises
    ------
    StoreError
        The store was made from something else.
    LaunchError
        Some workers see another folder under the store's path, or none; which are named, and nothing is written.
    ResourceError
        The plan needs more memory or disk than there is.
    TaskFailed
        Naming the tile; what other tiles wrote is kept.
    """
    frozen = without_one_body(frozen)
    with borrowed(executor) as runner:
        store = runner.shared_folder(store, "design store")
        if plan is None:
            plan = make_plan(
                frames,
                basis,
                blocks=blocks,
                needs=needs,
                frozen=frozen,
                policy=policy,
                executor=runner,
                memory=memory,
                store=store,
            )
        else:
            check_plan(plan, runner, memory=memory, store=store)
        parts = list(_parts(plan, frozen))
        specs = [spec for part in parts for spec in part.specs]
        listed = joined_frames([s.frames for s in plan.segments])
        # one item, so that on every executor exactly one process creates the arrays and looks at the ledger
        prepare = partial(
            _prepare, basis=plan.basis, policy=plan.policy, specs=specs,
            chunk_rows=_chunk_rows(specs), frames=listed.digests, groups=listed.facts.groups(), verify=verify,
        )  # fmt: skip
        missing, layout, numbers = runner.run(prepare, [store], label=str, what="prepare the store")[0]
        lacking = [p for p in parts if any((s.array, s.key) in missing for s in p.specs)]
        task = partial(_compute, store=DesignStore(store), layout={"arrays": layout["arrays"]}, basis=basis,
                       policy=policy, frozen=tuple(frozen))  # fmt: skip
        items = _items(lacking, layout, _numbers_of(plan, numbers))
        runner.run(task, items, label=_label, what="assemble", cost=lambda w: w.seconds, kind=_kind)
    return Assembly(DesignStore(store), plan, len(lacking), len(parts) - len(lacking))


def _chunk_rows(specs: Sequence[TileSpec]) -> dict[str, int]:
    """By array, the rows of a chunk."""
    most: dict[tuple[str, int], int] = defaultdict(int)
    for spec in specs:
        most[spec.array, spec.columns] = max(most[spec.array, spec.columns], spec.rows)
    return {array: chunk_rows(rows, columns) for (array, columns), rows in most.items()}


def _label(work: _Work) -> str:
    return work.label


def _kind(work: _Work) -> str:
    """The blocks whose rows an item makes, else what it makes instead."""
    blocks = [p for p in work.parts if isinstance(p, str) and p != LABELS]
    return " ".join(sorted(blocks)) or (LABELS if LABELS in work.parts else "frozen")


@dataclass(frozen=True, eq=False)
class _SegmentPart:
    """A part of a segment, the tiles that hold it, and its expected CPU seconds."""

    segment: Segment
    part: Part
    specs: tuple[TileSpec, ...]
    seconds: float


def _parts(plan: Plan, frozen: Sequence[Parameters]) -> Iterator[_SegmentPart]:
    """Everything that a complete store holds of a plan."""
    for t in plan.tiles:
        spec = TileSpec(block_array(t.block), t.segment.key, t.segment.rows, t.columns)
        yield _SegmentPart(t.segment, t.block, (spec,), t.seconds)
    for s in plan.segments:
        yield _SegmentPart(s, LABELS, tuple(TileSpec(f"labels/{a}", s.key, s.rows, 1) for a in LABEL_ARRAYS), 0.0)
        for i, model in enumerate(frozen):
            spec = TileSpec(offset_array(model), s.key, s.rows, 1)
            yield _SegmentPart(s, i, (spec,), FROZEN_SECONDS * int(s.frames.facts.n_atoms.sum()))


def _numbers_of(plan: Plan, numbers: NDArray[np.int32]) -> dict[str, NDArray[np.int32]]:
    """By segment, the numbers of its frames in the store."""
    starts = np.cumsum([0, *(len(s.frames) for s in plan.segments)])
    return {s.key: numbers[first : first + len(s.frames)] for s, first in zip(plan.segments, starts, strict=False)}


def _items(
    parts: Sequence[_SegmentPart], layout: dict[str, Any], frames: Mapping[str, NDArray[np.int32]]
) -> list[_Work]:
    """The items of some parts: each by itself, but for small ones, which go with the longest of their segment."""
    groups = {name: i for i, name in enumerate(layout["groups"])}
    by_segment: dict[str, list[_SegmentPart]] = defaultdict(list)
    for part in parts:
        by_segment[part.segment.key].append(part)
    items = []
    for of_segment in by_segment.values():
        segment = of_segment[0].segment
        facts = segment.frames.facts
        names = np.array([groups.get(name, -1) for name in facts.group_names], np.int32)
        numbers = np.stack([frames[segment.key], names[facts.group]], axis=1)
        longest, *others = sorted(of_segment, key=lambda p: -p.seconds)
        alone = [[p] for p in others if p.seconds >= SMALL_SECONDS]
        small = [p for p in others if p.seconds < SMALL_SECONDS]
        together, load = [[longest]], 0.0
        for part in small:
            # no more with one than what would be worth an item of its own
            load = load + part.seconds
            if load > SMALL_SECONDS:
                together.append([])
                load = part.seconds
            together[-1].append(part)
        for item_parts in (*together, *alone):
            items.append(_Work(segment, tuple(p.part for p in item_parts), sum(p.seconds for p in item_parts), numbers))
    return items


def _prepare(
    path: Path, *, basis: Basis, policy: InnerPolicy, specs: Sequence[TileSpec], chunk_rows: dict[str, int],
    frames: NDArray[np.uint8], groups: Sequence[str], verify: bool,
) -> tuple[set[tuple[str, str]], dict[str, Any], NDArray[np.int32]]:  # fmt: skip
    """Make the store ready for these tiles; (array, key) of those that it lacks, its layout, numbers of frames."""
    store = DesignStore.create(path, basis.to_dict(), basis.digest, policy)
    numbers = store.prepare(specs, chunk_rows, frames=frames, groups=groups, provenance=_provenance())
    return {(s.array, s.key) for s in store.missing(specs, verify=verify)}, store.layout(), numbers


def _provenance() -> dict[str, Any]:
    packages = ("hiertl-dist", "numpy", "numba", "zarr", "scipy", "vesin")
    return {
        "command": " ".join(sys.argv), "python": platform.python_version(), "machine": platform.machine(),
        "versions": {p: _version(p) for p in packages},
        "units": {"force": "kcal/mol/Å", "stress": "kcal/mol/Å³, positive under compression", "energy": "kcal/mol"},
        "kinds": list(SUMMARY_KINDS),
    }  # fmt: skip


def _version(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:
        return "not installed"


def _compute(
    work: _Work, *, store: DesignStore, layout: dict[str, Any], basis: Basis, policy: InnerPolicy,
    frozen: tuple[Parameters, ...],
) -> None:  # fmt: skip
    segment = work.segment.loaded()
    for part in work.parts:
        if part == LABELS:
            for name, data in label_columns(segment, work.numbers).items():
                store.write(f"labels/{name}", segment.key, data[:, None], layout)
        elif isinstance(part, str):
            rows = row_parts(segment.frames, compile_recipe(basis, (part,)), policy)
            store.write(block_array(part), segment.key, rows, layout)
        else:
            rows_of_frozen = frozen_rows(segment.frames, frozen[part], policy)[:, None]
            store.write(offset_array(frozen[part]), segment.key, rows_of_frozen, layout)


def row_parts(frames: Sequence[Frame], recipe: Recipe, policy: InnerPolicy) -> Iterator[NDArray[np.float64]]:
    """Design rows of some frames in order, in parts of whole frames of about PART_BYTES, (some rows, columns) each.

    A part is good until the next but one is asked for: by then it is written.
    """
    run: list[Frame] = []
    size = number = 0
    for last, frame in enumerate(frames, 1 - len(frames)):
        run.append(frame)
        size += 8 * recipe.n_columns * n_rows(frame)
        if size >= PART_BYTES or last == 0:
            yield rows_of(run, recipe, policy, kept=f"part {number % 2}")
            run, size, number = [], 0, number + 1


def frozen_rows(frames: Sequence[Frame], frozen: Parameters, policy: InnerPolicy) -> NDArray[np.float64]:
    """What a frozen model predicts for each row of some frames, (rows,): the clusters of its own elements."""
    # the plan has left out the frames that the policy skip_frame leaves out
    inside: InnerPolicy = "refuse" if policy == "skip_frame" else policy
    model = Model(frozen)
    return np.concatenate([predicted_rows(model, f, inside) for f in frames])


def label_columns(segment: Segment, numbers: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
    """Target, kind, frame, atom and group of each row of a segment.

    Parameters
    ----------
    segment : Segment
        Frames and their rows.
    numbers : ndarray of int32, shape (frames, 2)
        The number of each frame and of its group, in the store.

    Returns
    -------
    dict from str to ndarray of shape (rows,)
        By the name of the label.
    """
    kinds = [kind_codes(f) for f in segment.frames]
    counts = [len(k) for k in kinds]
    return {
        "target": np.concatenate([row_targets(f) for f in segment.frames]),
        "kind": np.concatenate(kinds).astype(np.int32),
        "atom": np.concatenate([atom_numbers(f) for f in segment.frames]),
        "frame": np.repeat(numbers[:, 0], counts),
        "group": np.repeat(numbers[:, 1], counts),
    }
