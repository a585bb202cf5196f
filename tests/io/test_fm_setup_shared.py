"""chimes_lsq's own inputs: as many columns as it has, and its targets to the last digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hiertl_dist.io.fm_setup import read_fm_setup
from hiertl_dist.model.blocks import columns_of

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
shared = pytest.mark.skipif(not SHARED.exists(), reason="reference data ../shared is absent")
CASES = sorted(p.parent.name for p in SHARED.glob("reference/*/fm_setup.in")) or ["absent"]


def lsq_targets(frames) -> np.ndarray:
    """Targets in chimes_lsq's layout: forces, 9 (or 3) stresses, 3 energies."""
    parts = []
    for frame in frames:
        parts.append(frame.forces.ravel())
        if frame.stress is not None:
            nine = frame.stress[[0, 3, 4, 3, 1, 5, 4, 5, 2]]
            parts.append(frame.stress[:3] if np.isnan(nine).any() else nine)
        if frame.energy is not None:
            parts.append(np.full(3, frame.energy))
    return np.concatenate(parts)


@pytest.mark.shared
@shared
@pytest.mark.parametrize("case", CASES)
def test_targets_and_columns_of_chimes_lsq(case):
    folder = SHARED / "reference" / case
    read = read_fm_setup(folder / "fm_setup.in")
    with np.load(folder / "rows.npz") as rows:
        assert len(columns_of(read.basis)) == rows["A"].shape[1]
        targets = lsq_targets(read.frames)
        assert targets.shape == rows["b"].shape
        assert np.allclose(targets, rows["b"], rtol=1e-12, atol=0)


@pytest.mark.shared
@shared
@pytest.mark.parametrize(
    ("name", "frames", "columns", "groups"),
    [("cn_dft", 20, 3747, 1), ("hydrogen", 104, 287, 2), ("carbon", 25, 42, 1)],
)
def test_examples_of_al_driver(name, frames, columns, groups):
    read = read_fm_setup(SHARED / name / "fm_setup.in")
    assert len(read.frames) == frames
    assert len(columns_of(read.basis)) == columns
    assert len({frame.group for frame in read.frames}) == groups
