"""``assemble``: write the tiles of a plan into a design store, those that are missing and nothing else."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .evaluation import Model, predicted_rows
from .executors import borrowed
from .planning import Need, Plan, Segment, check_plan, make_plan
from .recipe import compile_recipe
from .rows import SUMMARY_KINDS, atom_numbers, kind_codes, row_targets
from .store import LABEL_ARRAYS, DesignStore, TileSpec
from .tiles import InnerPolicy, rows_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from .basis import Basis
    from .executors.base import Executor
    from .frames import Frame
    from .parameters import Parameters


@dataclass(frozen=True, eq=False)
class Assembly:
    """A complete store, its plan, and how much of it had to be computed.

    Attributes
    ----------
    computed, present : number of tiles that this call computed, and found complete.
    """

    store: DesignStore
    plan: Plan
    computed: int
    present: int


@dataclass(frozen=True, eq=False)
class _Work:
    """One item: an array's tile. ``part`` is a block's name, "labels", or the index of a frozen model."""

    segment: Segment
    part: str | int
    seconds: float

    @property
    def label(self) -> str:
        what = f"block {self.part}" if isinstance(self.part, str) else f"frozen contribution {self.part}"
        return f"tile {self.segment.key[:12]} of {what} ({self.segment.label})"


def offset_array(frozen: Parameters) -> str:
    """Name of the array that holds what a frozen model predicts for each row."""
    return f"offsets/{frozen.digest[:24]}"


def block_array(block: str) -> str:
    """Name of the array that holds a block's design rows."""
    return f"blocks/{block}"


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
    """Compute design rows out-of-core.

    Parameters
    ----------
    store : folder of the zarr store; created, or continued if it was made with the same basis and policy.
    blocks, needs, policy : as for :func:`~hiertl_dist.planning.make_plan`.
    executor : who computes; default: mpirun's ranks, the current dask client, else a local cluster.
    frozen : models whose predictions for each row are stored beside the rows, as offsets.
    verify : also compute again the tiles whose checksum does not match.
    memory : bytes that all workers may take together; default: what is available.
    plan : the plan, if it was made before.

    Raises
    ------
    StoreError
        The store was made from something else.
    ResourceError
        The plan needs more memory or disk than there is.
    TaskFailed
        Naming the tile; what other tiles wrote is kept.
    """
    with borrowed(executor) as runner:
        if plan is None:
            plan = make_plan(
                frames, basis, blocks=blocks, needs=needs, frozen=frozen, policy=policy, executor=runner, memory=memory,
                store=store,
            )
        else:
            check_plan(plan, runner, memory=memory, store=store)
        # one item, so that on every executor exactly one process creates the arrays and looks at the ledger
        prepare = partial(_prepare, plan=plan, frozen=tuple(frozen), verify=verify)
        work, layout, present = runner.run(prepare, [Path(store)], label=str, what="prepare the store")[0]
        task = partial(_compute, store=DesignStore(Path(store)), layout=layout, basis=basis, policy=policy,
                       frozen=tuple(frozen))  # fmt: skip
        runner.run(task, work, label=_label, what="assemble")
    return Assembly(DesignStore(Path(store)), plan, len(work), present)


def _label(work: _Work) -> str:
    return work.label


def _prepare(
    path: Path, *, plan: Plan, frozen: tuple[Parameters, ...], verify: bool
) -> tuple[list[_Work], dict[str, Any], int]:
    store = DesignStore.create(path, plan.basis.to_dict(), plan.basis.digest, plan.policy)
    planned: list[tuple[_Work, list[TileSpec]]] = [
        (_Work(t.segment, t.block, t.seconds),
         [TileSpec(block_array(t.block), t.segment.key, t.segment.rows, t.columns)])
        for t in plan.tiles
    ]  # fmt: skip
    for segment in plan.segments:
        parts: list[tuple[str | int, list[str]]] = [("labels", [f"labels/{a}" for a in LABEL_ARRAYS])]
        parts += [(i, [offset_array(f)]) for i, f in enumerate(frozen)]
        for part, arrays in parts:
            seconds = 0.0 if part == "labels" else 0.01 * len(segment.frames)
            specs = [TileSpec(a, segment.key, segment.rows, 1) for a in arrays]
            planned.append((_Work(segment, part, seconds), specs))
    specs = [s for _, own in planned for s in own]
    chunk_rows = {s.array: plan.chunk_rows(s.columns) for s in specs}
    listed = [f for s in plan.segments for f in s.frames]
    store.prepare(
        specs, chunk_rows, frames=[f.digest for f in listed], groups=list(dict.fromkeys(f.group for f in listed)),
        provenance=_provenance(),
    )  # fmt: skip
    missing = {(s.array, s.key) for s in store.missing(specs, verify=verify)}
    work = [w for w, own in planned if any((s.array, s.key) in missing for s in own)]
    # longest first, so that workers finish together
    work.sort(key=lambda w: -w.seconds)
    return work, store.layout(), len(planned) - len(work)


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
    segment = work.segment
    if work.part == "labels":
        for name, data in label_columns(segment, layout).items():
            store.write(f"labels/{name}", segment.key, data[:, None], layout)
    elif isinstance(work.part, str):
        rows = rows_of(segment.frames, compile_recipe(basis, (work.part,)), policy)
        store.write(block_array(work.part), segment.key, rows, layout)
    else:
        model = frozen[work.part]
        rows = frozen_rows(segment.frames, model, policy)[:, None]
        store.write(offset_array(model), segment.key, rows, layout)


def frozen_rows(frames: Sequence[Frame], frozen: Parameters, policy: InnerPolicy) -> NDArray[np.float64]:
    """What a frozen model predicts for each row of some frames, (rows,): the clusters of its own elements."""
    # the plan has left out the frames that the policy skip_frame leaves out
    inside: InnerPolicy = "refuse" if policy == "skip_frame" else policy
    found = Model(frozen).evaluate(frames, ignore_other_elements=True, policy=inside)
    return np.concatenate([predicted_rows(f, e) for f, e in zip(frames, found, strict=True)])


def label_columns(segment: Segment, layout: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Target, kind, frame, atom and group of each row of a segment; frames and groups by number in the layout."""
    frames = {digest: i for i, digest in enumerate(layout["frames"])}
    groups = {name: i for i, name in enumerate(layout["groups"])}
    kinds = [kind_codes(f) for f in segment.frames]
    return {
        "target": np.concatenate([row_targets(f) for f in segment.frames]),
        "kind": np.concatenate(kinds).astype(np.int32),
        "atom": np.concatenate([atom_numbers(f) for f in segment.frames]),
        "frame": np.concatenate(
            [np.full(len(k), frames[f.digest], np.int32) for f, k in zip(segment.frames, kinds, strict=True)]
        ),
        "group": np.concatenate(
            [np.full(len(k), groups[f.group], np.int32) for f, k in zip(segment.frames, kinds, strict=True)]
        ),
    }
