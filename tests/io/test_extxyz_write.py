"""Frames without labels as extended XYZ come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import random_frame

from hiertl_dist import Frame, FrameError, read_frames
from hiertl_dist.io.extxyz_write import structure_lines


def test_structures_are_read_as_they_were_written(tmp_path):
    crystal = random_frame(("C", "N"), 1).without_labels(energy=True, forces=True, stress=True)
    frames = [
        Frame(crystal.species, crystal.positions / 3.0, crystal.cell / 3.0, group='a "b" \\c', origin="x\ny"),
        Frame(crystal.species, crystal.positions, crystal.cell, group="slab", pbc=(True, True, False)),
        Frame(("C", "N"), np.array([[0.0, 0.0, 0.0], [0.1, 1.0, -1e-9]]), group="g"),
    ]
    path = tmp_path / "a.extxyz"
    path.write_text("".join(structure_lines(frames)), encoding="utf-8")
    back = read_frames(path, group_key="config_type")
    assert [f.configuration for f in back] == [f.configuration for f in frames]
    assert [f.group for f in back] == ["a 'b' /c", "slab", "g"]
    assert [f.pbc for f in back] == [f.pbc for f in frames]
    with pytest.raises(FrameError, match="expected a frame without labels"):
        list(structure_lines([random_frame(("C",), 1)]))
