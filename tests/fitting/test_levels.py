"""Blocks of a level side by side: the bits, notes and files are those of one block after the other."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist.errors import StoppedBySignal
from hiertl_dist.executors import SerialExecutor, TaskFailed, side_by_side
from hiertl_dist.executors.stopping import stopping_on_signals
from hiertl_dist.fitting import hierarchy, leaves, row_pass
from hiertl_dist.fitting.block_order import independent_blocks
from hiertl_dist.fitting.hierarchy import fit_hierarchy
from hiertl_dist.fitting.settings import FitSettings, HierarchyOptions
from hiertl_dist.frames.element_set import ElementSet
from hiertl_dist.frames.frame_sequence import sequence_of
from hiertl_dist.model.one_body import OpenEnergies

BASIS = small_basis((3, 2, 0), ("C", "N", "O"))
COUNTS = dict.fromkeys(("C", "N", "O", "CN", "CO", "NO"), 4) | {"CNO": 5}
NOISE = np.random.default_rng(5)
FRAMES = [
    replace(f, forces=f.forces + NOISE.normal(scale=0.1, size=f.forces.shape))
    for f in labelled(random_frames(COUNTS), random_parameters(BASIS, 5))
]
BARE = [replace(f, energy=None) if len(f.elements) == 1 else f for f in FRAMES]
RIDGE = FitSettings({"kind": "ridge", "alpha": 1e-6})


class Counting(SerialExecutor):
    """Notes what each verb does."""

    def __init__(self):
        super().__init__()
        self.verbs = []

    def _run(self, batches, ready):
        self.verbs.append(batches.what)
        super()._run(batches, ready)

    def _reduce(self, batches, ready):
        self.verbs.append(batches.what)
        super()._reduce(batches, ready)


def bits_of(summaries):
    return {g: {k: v.tobytes() for k, v in s.to_arrays().items()} for g, s in summaries.groups.items()}


def climbed(frames, monkeypatch=None, **how):
    """What a climb comes to, on the way that a given monkeypatch has one block after the other; and its verbs."""
    done, runner = [], Counting()
    options = HierarchyOptions(**{"settings": RIDGE, **how})
    if monkeypatch is not None:
        monkeypatch.setattr(hierarchy, "independent_blocks", lambda todo, *_: todo[:1])
    fit = fit_hierarchy(frames, BASIS, options=options, executor=runner, done=lambda f: done.append(f.solution.block))
    assert sorted(done) == sorted(fit.fits)
    blocks = {
        name: (own.solution.parameters.coefficients.tobytes(), own.solution.rmse, own.solution.notes,
               own.left_open.elements, own.left_open.directions.tobytes(), own.solution.parameters.fitted_on,
               own.solution.frozen, bits_of(own.summaries))
        for name, own in fit.fits.items()
    }  # fmt: skip
    model = fit.model.parameters
    return (blocks, model.coefficients.tobytes(), model.as_dict().keys(), fit.left_open.elements), runner.verbs


WAYS = {
    "plain": (FRAMES, {}),
    "energies that unaries leave open": (BARE, {}),
    "energies in one mixture alone": ([f if f.elements == {"C", "N"} else replace(f, energy=None) for f in FRAMES], {}),
    "lower blocks left free": (FRAMES, {"partial": {"CN": ["C"]}}),
    "gram, and where that is unsafe again": (FRAMES, {"settings": FitSettings(method="auto")}),
    "probes": (FRAMES, {"settings": replace(RIDGE, prior={"mean": "mixed", "probes": 2})}),
}


@pytest.mark.parametrize("name", WAYS)
def test_blocks_side_by_side_are_as_one_after_the_other(name, monkeypatch):
    frames, how = WAYS[name]
    together, fewer = climbed(frames, **how)
    apart, more = climbed(frames, monkeypatch, **how)
    assert together == apart
    assert len(fewer) < len(more)


def test_verbs_of_a_level_are_joined():
    _, verbs = climbed(FRAMES)
    assert [v for v in verbs if v.startswith("reduce")] == ["reduce C, N, O", "reduce CN, CO, NO", "reduce CNO"]
    assert [v for v in verbs if v.startswith("solve")] == ["solve C, N, O", "solve CN, CO, NO", "solve CNO"]


def test_with_a_store(tmp_path, monkeypatch):
    streamed, _ = climbed(FRAMES)
    kept, _ = climbed(FRAMES, store=tmp_path / "store")
    again, verbs = climbed(FRAMES, store=tmp_path / "store")
    assert streamed == kept == again
    assert not any(v.startswith("assemble") for v in verbs)


def test_where_memory_has_no_room_blocks_wait_for_one_another(monkeypatch):
    expected, _ = climbed(FRAMES)
    monkeypatch.setattr(side_by_side, "_needed", lambda verb, batches, workers: 2**60 * (len(batches) > 2))
    told, runner = [], Counting()
    fit = fit_hierarchy(FRAMES, BASIS, options=HierarchyOptions(RIDGE), executor=runner, tell=told.append)
    assert fit.model.parameters.coefficients.tobytes() == expected[1]
    assert "reduce CN, CO" in runner.verbs
    assert "reduce NO" in runner.verbs
    assert "reduce CN, CO, NO: 2 portions, one after the other, for memory has no room for all at a time" in told


def order(frames, left_open=(), level=("CN", "CO", "NO", "CNO"), **how):
    """The blocks of a level that may run side by side first."""
    options = HierarchyOptions(**{"settings": RIDGE, **how}).normal()
    blocks = list(map(ElementSet.parse, level))
    return independent_blocks(blocks, OpenEnergies.of(left_open), sequence_of(frames), options)


def test_what_may_run_side_by_side():
    assert order(FRAMES) == ["CN", "CO", "NO"], "blocks of as many elements"
    assert order(FRAMES, level=("C", "N", "O", "CN")) == ["C", "N", "O"]
    assert order(FRAMES, left_open=["C"]) == ["CN"], "CO may find the energy of C determined by CN"
    assert order(FRAMES, left_open=["O"]) == ["CN"], "CO is to begin with what is open by then"
    assert order(FRAMES, left_open=["O"], level=("CO", "CN", "NO")) == ["CO", "CN"]
    bare = [replace(f, energy=None) for f in FRAMES]
    assert order(bare, left_open=["C", "N", "O"]) == ["CN", "CO", "NO"], "without energies they move nothing"
    assert order(FRAMES, partial={"CN": ["N"]}) == ["CN", "CO"], "NO stands on the N that CN fits"
    assert order(FRAMES, settings=FitSettings(missing_energies="fit")) == ["CN"]
    other = random_frames({"AB": 1, "CN": 1, "CO": 1})
    fitting = FitSettings(missing_energies="fit")
    assert order(other, level=("AB", "CN", "CO"), settings=fitting) == ["AB", "CN"]


def test_what_is_whole_is_kept_where_a_block_beside_it_fails(monkeypatch):
    whole = row_pass.reduce_leaf

    def failing(segments, **how):
        if segments[0].elements == "CO":
            raise MemoryError("cut here")
        return whole(segments, **how)

    monkeypatch.setattr(row_pass, "reduce_leaf", failing)
    done, told = [], []
    with pytest.raises(TaskFailed, match=r"^reduce CO: .* failed with MemoryError: cut here"):
        fit_hierarchy(
            FRAMES, BASIS, options=HierarchyOptions(RIDGE), executor=SerialExecutor(), tell=told.append,
            done=lambda f: done.append(f.solution.block),
        )  # fmt: skip
    assert done == ["C", "N", "O", "CN", "NO"], "also of what would have come after"
    (line,) = (line for line in told if line.startswith("failed: reduce CO: "))
    assert line.endswith("; blocks beside it go on where they can")


def test_passes_that_are_short_together_alone_go_without_checkpoints(tmp_path, monkeypatch):
    """Of three passes at a time each is worth checkpoints that takes a third of what one by itself would have to."""
    passes, look = [], row_pass.range_size
    monkeypatch.setattr(row_pass, "range_size", lambda *given: passes.append(given[-1]) or look(*given))
    fit_hierarchy(FRAMES, BASIS, options=HierarchyOptions(RIDGE, checkpoint=tmp_path / "kept"), executor=Counting())
    assert passes == [3, 3, 3, 3, 3, 3, 1]


@pytest.mark.parametrize("by", ["a failure", "a signal"])
def test_a_level_that_was_cut_goes_on_from_what_all_its_blocks_had(tmp_path, monkeypatch, by):
    monkeypatch.setattr(leaves, "LEAF_ROWS", 1)
    monkeypatch.setattr(row_pass, "range_size", lambda *_: 1)
    expected, _ = climbed(FRAMES)
    whole, count = row_pass.reduce_leaf, []

    def counting(segments, **how):
        count.append(segments[0].elements)
        if count.count("CO") == 1 and count[-1] == "CO":
            if by == "a failure":
                raise MemoryError("cut here")
            os.kill(os.getpid(), signal.SIGTERM)
        return whole(segments, **how)

    monkeypatch.setattr(row_pass, "reduce_leaf", counting)
    folder = tmp_path / "kept"
    with pytest.raises(TaskFailed if by == "a failure" else StoppedBySignal), stopping_on_signals():
        climbed(FRAMES, checkpoint=folder)
    beside = {"NO"} if by == "a failure" else set()
    assert set(count) == {"C", "N", "O", "CN", "CO", *beside}
    before = len(count)
    count.append("CO")
    again, _ = climbed(FRAMES, checkpoint=folder)
    assert again == expected
    assert set(count[before + 1 :]) - {"CO"} == {"NO", "CNO"} - beside, "what the others had was kept"
    assert not folder.exists()
