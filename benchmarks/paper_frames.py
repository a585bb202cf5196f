"""The frames of ``paper_scale``: seeded displacements of ``cn_dft``, labelled by published models, with noise.

As many frames as give each block at least the rows that the authors fitted, counted as chimes_lsq does (648 forces, 9
stresses, 3 energies a frame): all C, all N, and as they are. Labels are what the published C and N files and the CN
block of ALC-3 say, plus normal noise; frames held out have labels without noise. Making them takes minutes, so they
are kept in a folder, by a digest of everything that they depend on.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import vesin
from cn_dft_chain import read_problem
from evaluation import published
from made import displaced, relabelled

from hiertl_dist import Frame, Model, Penalty
from hiertl_dist.units import KCAL_PER_A3_IN_GPA

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from hiertl_dist import Basis, Parameters
    from hiertl_dist.executors import Executor

COUNTS: Final = {"C": 1119, "N": 274, "CN": 80}
AUTHORS_ROWS: Final = {"C": 738_360, "N": 180_576, "CN": 52_800}
LAMBDA: Final = {"C": 1e-8, "N": 1e-7, "CN": 1e-5}
WEIGHTS: Final = {"force": 1.0, "energy": 0.3, "stress": 100.0}
HELD_OUT: Final = 10

DISPLACEMENT: Final = 0.05
"""Å: largest move along each axis; closest contacts of the 20 frames are 1.07–1.20 Å, inner cutoffs 0.86–0.98 Å."""

TRIES: Final = 100
NOISE: Final = {"force": 1.0, "stress": 0.1, "energy": 1.0}
"""Standard deviations: kcal/mol/Å, GPa, kcal/mol a frame. Forces have 90, stresses 40, energies thousands (rms)."""

SEED: Final = 20_261_122
CLOSE: Final = 1.3
"""Å: contacts up to here are looked at; every inner cutoff is below."""


@dataclass(frozen=True, eq=False)
class BlockData:
    """The frames that a block is fitted on, those held out, and how many were thrown away for a close contact."""

    fitted: tuple[Frame, ...]
    held_out: tuple[Frame, ...]
    thrown: int


def lsq_rows(frames: Sequence[Frame]) -> int:
    """Rows as chimes_lsq counts them: 9 stresses and 3 energies a frame."""
    return sum(3 * len(f) + 12 for f in frames)


def limits(basis: Basis) -> dict[str, float]:
    """Per pair of elements, the largest distance (Å) at which an inner cutoff or the wall above it acts."""
    found: dict[str, float] = {}
    for kind in basis.types:
        for edge in kind.edges:
            wall = Penalty().distance if kind.body == 2 else 0.0
            found[edge.name] = max(found.get(edge.name, 0.0), edge.rmin + wall)
    if max(found.values()) >= CLOSE:
        raise ValueError(f"expected inner cutoffs below {CLOSE} Å, found {found}")
    return found


def contact(frame: Frame, limit: dict[str, float]) -> str | None:
    """What lies inside the limits, in words; None where nothing does."""
    neighbours = vesin.NeighborList(cutoff=CLOSE, full_list=False)
    i, j, d = neighbours.compute(points=frame.positions, box=frame.cell, periodic=True, quantities="ijd")
    for a, b, distance in zip(i, j, d, strict=True):
        pair = "".join(sorted((frame.species[a], frame.species[b])))
        if distance <= limit[pair]:
            return f"atoms {a} and {b} ({pair}) are {distance:.4f} Å apart, expected more than {limit[pair]:.4f} Å"
    return None


def make_frame(base: Frame, limit: dict[str, float], seed: tuple[int, ...]) -> tuple[Frame, int]:
    """A displaced frame with no pair inside an inner cutoff, and how many were thrown away before.

    Raises ValueError, naming the last contact, where none of 100 is fit.
    """
    found: str | None = None
    for attempt in range(TRIES):
        frame = displaced(base, DISPLACEMENT, np.random.default_rng((*seed, attempt)))
        found = contact(frame, limit)
        if found is None:
            return replace(frame, origin=f"{frame.origin}, seed {seed}"), attempt
    raise ValueError(f"{base.origin}: {TRIES} displacements of {DISPLACEMENT} Å are all inside a cutoff; last: {found}")


def with_noise(frame: Frame, rng: np.random.Generator) -> Frame:
    """The frame with normal noise on its labels."""
    assert frame.energy is not None
    assert frame.stress is not None
    stress = NOISE["stress"] / KCAL_PER_A3_IN_GPA
    return replace(
        frame, energy=frame.energy + rng.normal(0.0, NOISE["energy"]),
        forces=frame.forces + rng.normal(0.0, NOISE["force"], (len(frame), 3)),
        stress=frame.stress + rng.normal(0.0, stress, 6),
    )  # fmt: skip


def _key(base: Sequence[Frame], truth: Parameters) -> str:
    """Digest of what all frames depend on."""
    settled = [DISPLACEMENT, NOISE, SEED, TRIES, truth.digest, [f.digest for f in base]]
    return hashlib.sha256(json.dumps(settled).encode()).hexdigest()[:16]


def _make(
    block: str, count: int, base: Sequence[Frame], truth: Parameters, executor: Executor, tell: Callable[[str], None]
) -> dict[str, NDArray[Any]]:
    """Positions and labels of frames of a block, those held out last."""
    limit, code = limits(truth.basis), sorted(COUNTS).index(block)
    frames, thrown = [], 0
    for k in range(count + HELD_OUT):
        frame, tries = make_frame(base[k % len(base)], limit, (SEED, code, k))
        frames.append(frame)
        thrown += tries
    tell(f"{block}: {len(frames)} frames, {thrown} thrown away for a contact inside an inner cutoff; labels …")
    found = Model(truth).evaluate(frames, executor=executor, missing="zero")
    labelled = [
        replace(f, energy=e.energy, forces=e.forces, stress=e.stress) for f, e in zip(frames, found, strict=True)
    ]  # fmt: skip
    labelled[:count] = [
        with_noise(f, np.random.default_rng((SEED, 99, code, k))) for k, f in enumerate(labelled[:count])
    ]  # fmt: skip
    return {
        "positions": np.array([f.positions for f in labelled]), "forces": np.array([f.forces for f in labelled]),
        "stress": np.array([f.stress for f in labelled]), "energy": np.array([f.energy for f in labelled]),
        "thrown": np.array(thrown),
    }  # fmt: skip


def paper_frames(
    data: Path, scale: float, cache: Path, executor: Executor, tell: Callable[[str], None], blocks: Sequence[str],
) -> dict[str, BlockData]:  # fmt: skip
    """Frames of some blocks, made or taken from ``cache``; ``scale`` of their number, at least two."""
    problem = read_problem(data / "cn_dft", 20)
    truth = published(data / "cn_dft")
    cache.mkdir(parents=True, exist_ok=True)
    found = {}
    for block in blocks:
        count = max(2, round(scale * COUNTS[block]))
        base = problem.frames if block == "CN" else tuple(relabelled(f, block) for f in problem.frames)
        base = tuple(replace(f, group=block) for f in base)
        path = cache / f"{block}-{count}-{_key(base, truth)}.npz"
        if not path.exists():
            made = _make(block, count, base, truth, executor, tell)
            partial = path.with_suffix(".partial.npz")
            np.savez(partial, **made)
            partial.replace(path)
        with np.load(path) as saved:
            arrays = {k: saved[k] for k in ("positions", "forces", "stress", "energy", "thrown")}
        frames = tuple(
            Frame(
                base[k % len(base)].species, arrays["positions"][k], base[k % len(base)].cell,
                float(arrays["energy"][k]), arrays["forces"][k], arrays["stress"][k], block, f"{block}, made, {k}",
            )
            for k in range(count + HELD_OUT)
        )  # fmt: skip
        found[block] = BlockData(frames[:count], frames[count:], int(arrays["thrown"]))
    return found
