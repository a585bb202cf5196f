"""``assemble``: write the tiles of a plan into a design store, those that are missing and nothing else."""

from __future__ import annotations

import platform
import sys
import warnings
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import HiertlWarning, StoreError
from ..evaluation.compiled_basis import compile_recipe
from ..evaluation.energies import Model, predicted_rows
from ..evaluation.frame_rows import InnerPolicy, rows_of
from ..executors import borrowed
from ..executors.ask import ask
from ..executors.launch import launched_first
from ..files.locks import locked
from ..files.write_errors import write_errors
from ..frames.frame_sequence import joined_frames
from ..frames.rows import SUMMARY_KINDS, atom_numbers, kind_codes, n_rows, row_targets
from ..model.one_body import without_one_body
from ..text.cards import assembly_card
from ..text.display import Shown
from .assembly_items import (
    LABELS,
    SegmentPart,
    Work,
    block_array,
    chunk_rows_of,
    items_of,
    kind_of,
    label_of,
    numbers_of,
    offset_array,
    parts_of,
)
from .planning import PART_BYTES, Need, Plan, check_plan, make_plan
from .store import DesignStore
from .store_checks import repair_store, store_faults
from .store_claims import begin_run, claimed, end_run, remove_partials_of, wait_for_others
from .store_layout import LABEL_ARRAYS, is_store_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ..evaluation.compiled_basis import Recipe
    from ..executors.base import Executor
    from ..files.object_path import Place
    from ..frames.frame import Frame
    from ..model.basis import Basis
    from ..model.parameters import Parameters
    from .segments import Segment
    from .store_layout import TileSpec


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
    by_others : int
        Number of parts that became complete meanwhile without this call: by other runs on the same store, or by a
        worker of this one that was lost.
    repaired : tuple of str
        What was damaged of the store: the file, and what was done about it.
    """

    store: DesignStore
    plan: Plan
    computed: int
    present: int
    by_others: int = 0
    repaired: tuple[str, ...] = ()


# long: its parameters are documented
def assemble(
    frames: Sequence[Frame],
    basis: Basis,
    store: str | Place,
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
    store : str, Path or ObjectPath
        Folder of the zarr store, on an object store ``s3://bucket/name``; created, or continued if it was made with
        the same basis and policy.
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
        Read all of the store that is there, mend what is damaged, and compute again the tiles that are: also those of
        other frames and frozen models, whose ledger entries are removed, so that the fit that needs them does.
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
    LockError
        Another run is at work on the store and not to be joined, or keeps this one waiting for too long: see
        :class:`~hiertl_dist.StoreUse`.
    ResourceError, DiskFullError, WriteError
        The plan needs more memory or disk than there is; the store cannot be written.
    TaskFailed
        Naming the tile; what other tiles wrote is kept.
    """
    frozen = without_one_body(frozen)
    with borrowed(executor) as runner:
        place = runner.shared_place(store, "design store")
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
                store=place,
            )
        at_once = check_plan(plan, runner, memory=memory, store=place, tell=True)
        parts = list(parts_of(plan, frozen))
        specs = [spec for part in parts for spec in part.specs]
        listed = joined_frames([s.frames for s in plan.segments])
        prepare = partial(
            _prepare, place, basis=plan.basis, policy=plan.policy, specs=specs,
            chunk_rows=chunk_rows_of(specs), frames=listed.digests, groups=listed.facts.groups(), verify=verify,
        )  # fmt: skip
        missing, layout, numbers, repaired = ask(runner, prepare, what="prepare the store")
        lacking = [p for p in parts if any((s.array, s.key) in missing for s in p.specs)]
        computed = 0
        if lacking:
            task = partial(_compute, store=DesignStore(place), layout={"arrays": layout["arrays"]}, basis=basis,
                           policy=policy, frozen=tuple(frozen))  # fmt: skip
            with runner.at_most(at_once):
                computed = _complete(lacking, layout, numbers_of(plan, numbers), task, place, runner)
    if repaired and launched_first():
        warnings.warn(f"{place}: it was damaged:\n  " + "\n  ".join(repaired), HiertlWarning, stacklevel=2)
    present = len(parts) - len(lacking)
    return Assembly(
        DesignStore(place), plan, computed, present, len(lacking) - computed, tuple(repaired)
    )  # fmt: skip


def _complete(
    lacking: Sequence[SegmentPart], layout: dict[str, Any], numbers: Mapping[str, NDArray[np.int32]],
    task: Callable[..., Any], store: Place, runner: Executor,
) -> int:  # fmt: skip
    """Have parts computed that no other run computes, and wait for those; how many were computed here."""
    ask(runner, partial(begin_run, store), what=f"begin with {store}")
    computed = 0
    try:
        while lacking:
            items = items_of(lacking, layout, numbers)
            ends = runner.run(task, items, label=label_of, what="assemble", cost=lambda w: w.seconds, kind=kind_of)
            by_part = {(w.segment.key, p): e for w, own in zip(items, ends, strict=True)
                       for p, e in zip(w.parts, own, strict=True)}  # fmt: skip
            computed += sum(end == COMPUTED for end in by_part.values())
            lacking = [part for part in lacking if by_part[part.segment.key, part.part] == CLAIMED]
            if lacking:
                places = [[(s.array, s.key) for s in part.specs] for part in lacking]
                wait = partial(wait_for_others, store, places)
                still = ask(runner, wait, what=f"wait for other runs on {store}")
                lacking = [part for part, is_missing in zip(lacking, still, strict=True) if is_missing]
    finally:
        end_run(store)
    return computed


def _prepare(
    path: Place, *, basis: Basis, policy: InnerPolicy, specs: Sequence[TileSpec], chunk_rows: dict[str, int],
    frames: NDArray[np.uint8], groups: Sequence[str], verify: bool,
) -> tuple[set[tuple[str, str]], dict[str, Any], NDArray[np.int32], list[str]]:  # fmt: skip
    """Make the store ready for these tiles.

    (array, key) of those that it lacks, its layout, numbers of frames, what was damaged. A store that has all of them
    is only read: it may be on a file system that can't be written.
    """
    repaired: list[str] = []
    # looked at first, for a store that is whole may be where nothing can be written
    if verify and is_store_folder(path) and next(store_faults(path), None) is not None:
        done, left = repair_store(path)
        if left:
            raise StoreError("\n".join(fault.text() for fault in left))
        repaired += [fault.text() for fault in done]
    store = DesignStore.create(path, basis.to_dict(), basis.digest, policy)
    missing = {(s.array, s.key) for s in store.missing(specs)}
    if not missing:
        return missing, {}, np.empty(0, np.int32), repaired
    numbers = store.prepare(specs, chunk_rows, frames=frames, groups=groups, provenance=_provenance())
    for spec in (s for s in specs if (s.array, s.key) in missing):
        ledger = store.ledger_path(spec.array, spec.key)
        if not ledger.exists():
            continue
        with locked(path), write_errors(path):
            if not store.missing([spec]):  # another run has completed the tile meanwhile
                continue
            ledger.unlink()  # who claims a tile whose ledger is there takes it for complete
        repaired.append(f"{ledger}: it is no ledger entry of this tile; the tile is computed again")
    return missing, store.layout(), numbers, repaired


def _provenance() -> dict[str, Any]:
    packages = ("hiertl-dist", "numpy", "numba", "zarr", "scipy", "vesin")
    return {
        "command": " ".join(sys.argv), "python": platform.python_version(), "machine": platform.machine(),
        "versions": {p: _version(p) for p in packages},
        "units": {"force": "kcal/mol/Å", "stress": "kcal/mol/Å³, positive under compression", "energy": "kcal/mol"},
        "kinds": list(SUMMARY_KINDS),
    }  # fmt: skip


@cache  # a file is parsed to find it
def _version(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:
        return "not installed"


COMPUTED: Final = "computed"
COMPLETE: Final = "complete"
CLAIMED: Final = "claimed"
"""What became of a part: computed now, complete already, or claimed by another process, which computes it."""


def _compute(
    work: Work, *, store: DesignStore, layout: dict[str, Any], basis: Basis, policy: InnerPolicy,
    frozen: tuple[Parameters, ...],
) -> tuple[str, ...]:  # fmt: skip
    """Compute those parts of an item that nobody has claimed; what became of each."""
    key, segment = work.segment.key, None
    ends = []
    for part in work.parts:
        name = LABELS if part == LABELS else block_array(part) if isinstance(part, str) else offset_array(frozen[part])
        arrays = [f"labels/{a}" for a in LABEL_ARRAYS] if part == LABELS else [name]
        with claimed(store.path, name, key) as claim:
            if claim is None:
                ends.append(CLAIMED)
                continue
            if claim.after_death:
                remove_partials_of(store.path, arrays, key, layout)
            if all(store.ledger_path(a, key).exists() for a in arrays):
                ends.append(COMPLETE)
                continue
            segment = work.segment.loaded() if segment is None else segment
            rows: NDArray[Any] | Iterator[NDArray[Any]]
            if part == LABELS:
                for array, data in label_columns(segment, work.numbers).items():
                    store.write(f"labels/{array}", key, data[:, None], layout)
            else:
                if isinstance(part, str):
                    rows = row_parts(segment.frames, compile_recipe(basis, (part,)), policy)
                else:
                    rows = frozen_rows(segment.frames, frozen[part], policy)[:, None]
                store.write(name, key, rows, layout)
            ends.append(COMPUTED)
    return tuple(ends)


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
