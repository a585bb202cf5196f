"""``run.json``: what a run was, beside its results: input, data, versions, who worked, what it cost, all that it said.

It stands apart from ``report.json`` and ``search.json``, which are the same for the same input, whenever and wherever
they are made.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..files.object_path import ObjectPath
from ..model_selection.candidates import package_version

if TYPE_CHECKING:
    from ..design_matrix.planning import Plan
    from ..executors.base import Executor
    from ..fitting.block_lattice import BlockLattice
    from ..frames.frame_sequence import FrameSequence
    from .input_file import Input

FORMAT: Final = 1

PACKAGES: Final = ("hiertl-dist", "numpy", "scipy", "numba", "zarr", "dask", "vesin", "scikit-learn")
"""Whose versions are recorded."""

SETTINGS: Final = (
    "fm_setup", "data", "hold_out", "hold_out_fraction", "hold_out_every", "fit", "block_fits", "partial", "only",
    "frozen", "missing", "probes", "library", "search", "keep_rows", "units", "weights",
)  # fmt: skip
"""What of an input is recorded beside its basis."""


@dataclass(eq=False)
class RunRecorder:
    """Keeps what a run says, when it began, and at its end what it was.

    Attributes
    ----------
    command : str
        ``"fit"`` or ``"search"``.
    job : Input
        What was asked for.
    executor : Executor
        Who works.
    listener : callable
        To whom lines are handed on.
    lines : list of str
        What was said until now, notes of the input first.
    """

    command: str
    job: Input
    executor: Executor
    listener: Callable[[str], None]
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lines += [f"note: {note}" for note in self.job.notes]
        self._started, self._wall, self._cpu = datetime.now(UTC), time.perf_counter(), time.process_time()

    def tell(self, line: str) -> None:
        """Hand a line on, and keep it."""
        self.lines.append(line.strip())
        self.listener(line)

    def as_dict(
        self, frames: FrameSequence, held_out: FrameSequence, lattice: BlockLattice, plans: Mapping[str, Plan]
    ) -> dict[str, Any]:  # fmt: skip
        """The run for JSON.

        Parameters
        ----------
        frames, held_out : FrameSequence
            What was fitted, and what was not.
        lattice : BlockLattice
            What became of every block.
        plans : Mapping from str to Plan
            By fit, what was computed; empty where none is known.

        Returns
        -------
        dict from str to Any
            Times in seconds: of the clock, and CPU time of the process that was called, without its workers.
        """
        sets = {"fitted": frames, "held out": held_out}
        return {
            "hiertl_dist_run": FORMAT, "command": self.command,
            "versions": {"Python": platform.python_version()} | {p: package_version(p) for p in PACKAGES},
            "machine": {"platform": platform.platform(), "processor": platform.machine(), "byte_order": sys.byteorder},
            "executor": {"kind": self.executor.name, "workers": self.executor.workers},
            "started": self._started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": {"clock": time.perf_counter() - self._wall, "caller_cpu": time.process_time() - self._cpu},
            "input": {name: plain(getattr(self.job, name)) for name in SETTINGS} | {"basis": self.job.basis.to_dict()},
            "frames": {name: _sizes(own) for name, own in sets.items()},
            "lattice": lattice.as_dict(),
            "plans": {name: _costs(plan) for name, plan in plans.items()},
            "said": list(self.lines),
        }  # fmt: skip


def _sizes(frames: FrameSequence) -> dict[str, int]:
    facts = frames.facts
    return {"frames": len(frames), "atoms": int(facts.n_atoms.sum()), "labels": int(facts.n_rows.sum())}


def _costs(plan: Plan) -> dict[str, Any]:
    facts = plan.as_dict()
    names = ("blocks", "frames", "disk_bytes", "worker_bytes", "cpu_seconds", "inside_inner_cutoff", "skipped_frames",
             "unlabelled_frames", "inactive_types")  # fmt: skip
    return {name: facts[name] for name in names}


def plain(value: Any) -> Any:
    """A value as JSON can hold it: data classes become tables, paths and what else there is become text."""
    if isinstance(value, Path | ObjectPath):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(v) for v in value]
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)
