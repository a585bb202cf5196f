"""The checkpoint of a run that was cut: all that the rest of it depends on, in one ``.npz`` file with a SHA-256."""

from __future__ import annotations

import hashlib
import json
import logging
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..files.paths import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_log = logging.getLogger("hiertl_dist")

DAMAGED: Final = (
    KeyError, ValueError, TypeError, AttributeError, OSError, EOFError, zipfile.BadZipFile, zlib.error, TokenError,
    MemoryError, struct.error, RuntimeError, OverflowError, IndexError, SyntaxError,
)  # fmt: skip
"""What numpy raises of archives that are damaged, heads of arrays among them."""


@dataclass
class Progress:
    """What a run has come to: frames by their step, and sums over steps."""

    step: int = 0
    kept: list[tuple[int, Any, Any]] = field(default_factory=list)
    """Step, positions and cell of each frame that was kept."""
    heat: float = 0.0
    """Sum of temperatures, K."""
    pressure: float = 0.0
    """Sum of pressures, GPa, where the cell breathes."""
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class RunCheckpoint:
    """Where a run was.

    Attributes
    ----------
    digest : str
        Of all that the run depends on.
    rng : Mapping
        State of the numbers drawn at random.
    positions, momenta : ndarray of shape (atoms, 3)
        Of the atoms, in ASE's units.
    cell : ndarray of shape (3, 3)
        Of the cell.
    progress : Progress
        What it had come to.
    """

    digest: str
    rng: dict[str, Any]
    positions: NDArray[np.float64]
    momenta: NDArray[np.float64]
    cell: NDArray[np.float64]
    progress: Progress


def write_checkpoint(path: Path, at: RunCheckpoint) -> None:
    """Write one, so that a reader sees the one before or this one."""
    kept, progress = at.progress.kept, at.progress
    arrays = {
        "digest": np.array(at.digest), "rng": np.array(json.dumps(at.rng)), "positions": at.positions,
        "momenta": at.momenta, "cell": at.cell, "steps": np.array([k[0] for k in kept], np.int64),
        "frames": np.array([k[1] for k in kept], float).reshape(len(kept), len(at.positions), 3),
        "cells": np.array([np.zeros((3, 3)) if k[2] is None else k[2] for k in kept], float).reshape(len(kept), 3, 3),
        "sums": np.array([progress.step, progress.heat, progress.pressure, progress.seconds]),
    }  # fmt: skip
    with replacing(path) as stream:
        np.savez(stream, sha256=np.array(_sha256(arrays)), **arrays)  # type: ignore[arg-type]


def read_checkpoint(path: Path, digest: str, atoms: int) -> RunCheckpoint | None:
    """What was written of a run of so many atoms; None where there is none of this run. What is damaged is told."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            kept = {key: data[key] for key in data.files}
        if str(kept.pop("sha256")) != _sha256(kept):
            raise ValueError("its content is not that of its SHA-256")
        if str(kept["digest"]) != digest or kept["positions"].shape != (atoms, 3):
            return None
        step, heat, pressure, seconds = kept["sums"].tolist()
        frames = list(zip(kept["steps"].tolist(), kept["frames"], kept["cells"], strict=True))
        progress = Progress(int(step), frames, heat, pressure, seconds)
        state = json.loads(str(kept["rng"]))
        return RunCheckpoint(digest, state, kept["positions"], kept["momenta"], kept["cell"], progress)
    except FileNotFoundError:
        return None
    except DAMAGED as error:
        _log.warning("%s: a checkpoint of a run that is damaged, and the run begins anew: %r", path, error)
        return None


def _sha256(arrays: dict[str, Any]) -> str:
    whole = hashlib.sha256()
    for key in sorted(arrays):
        values = np.ascontiguousarray(arrays[key])
        content = str(values).encode() if values.dtype.kind == "U" else values.tobytes()
        whole.update(f"{key} {values.dtype} {values.shape} ".encode() + content)
    return whole.hexdigest()
