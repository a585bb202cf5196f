"""How long a climb takes at least: blocks of a level share the workers."""

from __future__ import annotations

import pytest
from synthetic import random_frames, small_basis

from hiertl_dist import plan
from hiertl_dist.design_matrix import fit_costs, planning
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting import leaves
from hiertl_dist.fitting.settings import FitSettings, HierarchyOptions
from hiertl_dist.frames.element_set import ElementSet
from hiertl_dist.frames.frame_sequence import sequence_of
from hiertl_dist.jobs.fit_needs import levels_of, needs_of_fits, shared_seconds

FRAMES = sequence_of(random_frames(dict.fromkeys(("C", "N", "O", "CN", "CO", "NO"), 12)))
BASIS = small_basis((3, 2, 0), ("C", "N", "O"))
BLOCKS = [ElementSet.parse(b) for b in ("C", "N", "O", "CN", "CO", "NO")]


class Workers(SerialExecutor):
    """So many, who are asked for nothing."""

    def __init__(self, workers):
        super().__init__()
        self._workers = workers


def needs(workers, all_at_once=False):
    planned = plan(FRAMES, BASIS, blocks=BLOCKS, needs={(b, b) for b in BLOCKS})
    fits = {tuple(BLOCKS): {(b, b) for b in BLOCKS}} if all_at_once else {(b,): {(b, b)} for b in BLOCKS}
    made = needs_of_fits(planned, fits, FRAMES, 0, HierarchyOptions(), Workers(workers), all_at_once=all_at_once)
    those = [(blocks, planned.segments) for blocks in fits] if all_at_once else [
        (b, [s for s in planned.segments if s.elements == b[0]]) for b in fits
    ]  # fmt: skip
    return made.wall, fit_costs.fit_seconds(planned, those)


def test_one_worker_takes_as_long_as_all_takes(monkeypatch):
    monkeypatch.setattr(planning, "SEGMENT_ROWS", 40)
    monkeypatch.setattr(leaves, "LEAF_ROWS", 1)
    alone, spent = needs(1)
    assert alone == pytest.approx(spent.total, rel=1e-9)
    walls = [needs(workers)[0] for workers in (2, 3, 6, 1000)]
    assert alone > walls[0] > walls[1] > walls[2] > walls[3] > 0.0
    assert walls[0] == pytest.approx(alone / 2, rel=0.1), "three blocks of a level share two workers"
    together, spent = needs(1, all_at_once=True)
    assert together == pytest.approx(spent.total, rel=1e-9)


def test_calls_that_share_workers():
    assert shared_seconds([], 3) == 0.0
    assert shared_seconds([1.0, 2.0, 3.0], 1) == 6.0
    assert shared_seconds([1.0, 2.0, 3.0], 3) == 3.0


def test_levels():
    assert levels_of(BLOCKS, FRAMES, HierarchyOptions()) == [BLOCKS[:3], BLOCKS[3:]]
    fitting = HierarchyOptions(FitSettings(missing_energies="fit"))
    assert [len(level) for level in levels_of(BLOCKS, FRAMES, fitting)] == [3, 1, 1, 1]
