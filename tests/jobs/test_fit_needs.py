"""How long a climb takes at least: blocks of a level share the workers."""

from __future__ import annotations

import pytest
from synthetic import random_frames, small_basis

from hiertl_dist import plan
from hiertl_dist.design_matrix import fit_costs, planning
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting import leaves
from hiertl_dist.fitting.caller_memory import CHOICE_BYTES, FitMemory, caller_bytes, probe_leaf_bytes
from hiertl_dist.fitting.settings import FitSettings, HierarchyOptions
from hiertl_dist.frames.element_set import ElementSet
from hiertl_dist.frames.frame_sequence import sequence_of
from hiertl_dist.jobs.fit_needs import levels_of, needs_of_fits, probe_rows_of_fit, shared_seconds
from hiertl_dist.model.priors import Prior

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


class Elsewhere(Workers):
    """Workers that are no part of the calling process."""

    caller_works = False
    copies_sent = 2.0


def memory_of(prior, executor=Workers, **more):
    planned = plan(FRAMES, BASIS, blocks=BLOCKS, needs={(b, b) for b in BLOCKS})
    fits = {(b,): {(b, b)} for b in BLOCKS}
    options = HierarchyOptions(FitSettings(prior=Prior.of(prior)), **more)
    return needs_of_fits(planned, fits, FRAMES, 0, options, executor(1), all_at_once=False)


@pytest.mark.parametrize("executor", [Workers, Elsewhere])
def test_memory_of_probes_is_counted(executor):
    zero, mixed, probed = (
        memory_of(p, executor) for p in ("zero", {"mean": "mixed"}, {"mean": "mixed", "probes": 2000})
    )
    assert zero.caller == mixed.caller
    atoms = sum(len(f) for f in FRAMES if len(f.elements) == 1) / 36
    columns = {b: sum(t.block == b for t in BASIS.types) and plan(FRAMES, BASIS, blocks=[b]).columns[b] for b in BLOCKS}
    rows = 2000 + round(3 * 2000 * atoms)
    bytes_of_rows = [8 * rows * (columns[b] + 1) for b in BLOCKS[3:]]
    # the rows of three blocks side by side are there together, and the largest once more
    assert probed.caller - mixed.caller > sum(bytes_of_rows) + max(bytes_of_rows) - CHOICE_BYTES
    assert probed.reduction > mixed.reduction
    assert probed.solve > mixed.solve


def test_rows_of_probes():
    prior, atoms = Prior.of({"mean": "mixed", "probes": 5}), {ElementSet.parse("C"): (80, 10), BLOCKS[3]: (30, 3)}
    options = HierarchyOptions(FitSettings(prior=prior))
    assert probe_rows_of_fit(BLOCKS[3:4], options, atoms) == 5 + 3 * 5 * 8
    assert probe_rows_of_fit(BLOCKS[:1], options, atoms) == 0
    assert probe_rows_of_fit(BLOCKS[3:4], HierarchyOptions(), atoms) == 0
    given = random_frames({"CN": 2, "CO": 1}, seed=3)
    own = HierarchyOptions(FitSettings(prior=prior), probes=given)
    assert probe_rows_of_fit(BLOCKS[3:4], own, atoms) == sum(3 * len(f) + 1 for f in given[:2])


def test_what_waits_side_by_side_is_there_together():
    plain, probed = FitMemory(500, 10**7, 0, 0, 2 * 10**7), FitMemory(500, 10**7, 4000, 0, 2 * 10**7)
    assert plain.kept == 10**7
    assert probed.kept == 10**7 + 8 * 500**2
    assert probe_leaf_bytes(probed) == 2 * 8 * 500 * 4000
    one, two, after = (caller_bytes(levels, Workers(1)) for levels in ([[plain]], [[plain] * 2], [[plain], [plain]]))
    assert two == after == one + plain.kept
    assert caller_bytes([[probed] * 3], Workers(1)) - caller_bytes([[probed] * 2], Workers(1)) >= probed.rows_of_probes
    # who does not work has no solve of its own, and keeps the same
    assert caller_bytes([[plain]], Elsewhere(1)) < one
