"""What goes wrong with one of many frames names that frame, not the chunk, segment or leaf it was handled with."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from synthetic import random_frames, random_parameters, small_basis

from hiertl_dist import Model, design_rows
from hiertl_dist.cli.commands import main
from hiertl_dist.design_matrix.assembly import assemble
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.errors import FrameError, InnerCutoffError
from hiertl_dist.evaluation import frame_rows as tiles
from hiertl_dist.evaluation.costs import scan_some
from hiertl_dist.executors import SerialExecutor, TaskFailed, executor
from hiertl_dist.fitting.reduction import reduce_rows
from hiertl_dist.fitting.summary_pass import summarise
from hiertl_dist.frames.frame_sequence import FrameList
from hiertl_dist.uncertainty.active_selection import select

BASIS = small_basis()
FRAMES = [replace(f, origin=f"data.extxyz, frame {i}") for i, f in enumerate(random_frames({"C": 30}), 1)]
CULPRIT = 24


def stray(frame):
    """A molecule one atom of which has gone astray."""
    positions = frame.positions.copy()
    positions[3, 0] = 2e5
    return replace(frame, positions=positions, cell=None, pbc=None, stress=None)


def coinciding(frame):
    positions = frame.positions.copy()
    positions[4] = positions[2]
    return replace(frame, positions=positions)


def thin(frame):
    return replace(frame, cell=np.diag([4.0, 4.0, 4e6]))


def close(frame):
    positions = frame.positions.copy()
    positions[4] = positions[2] + [0.3, 0.0, 0.0]
    return replace(frame, positions=positions)


FAULTS = {
    stray: (FrameError, r"at most 1e5 Å, found one 2e\+05 Å across, from atom \d+ to atom 3|from atom 3"),
    coinciding: (FrameError, r"atoms 2 \(C\) and 4 \(C\) coincide"),
    thin: (FrameError, r"4 × 4 × 4e\+06 Å: too long and thin"),
    close: (InnerCutoffError, r"atoms 2 \(C\) and 4 \(C\) are 0\.3000 Å apart, inside the inner cutoff"),
}
faults = pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)


def spoilt(fault):
    """The frames with one that is at fault."""
    return [fault(f) if i == CULPRIT else f for i, f in enumerate(FRAMES)]


@pytest.fixture(scope="module", params=["serial", "two_processes", "dask"])
def runner(request):
    if request.param == "two_processes":
        yield request.getfixturevalue("two_processes")
        return
    workers = {} if request.param == "serial" else {"workers": 2}
    with executor(request.param, **workers) as found:
        yield found


def exchanged(plan, good, bad):
    """A plan in which one frame was exchanged after it was made, so that the work itself finds the fault."""
    found = {s: replace(s, frames=FrameList(bad if f is good else f for f in s.frames)) for s in plan.segments}
    tiles = tuple(replace(t, segment=found[t.segment]) for t in plan.tiles)
    return replace(plan, segments=tuple(found.values()), tiles=tiles)


def plan_of(fault):
    plan = make_plan(FRAMES, BASIS, blocks=["C"])
    assert len(plan.segments) < len(FRAMES)
    return exchanged(plan, FRAMES[CULPRIT], fault(FRAMES[CULPRIT]))


def named(error, fault):
    """Check that an exception names the frame at fault alone, with the atoms and what is wrong with them."""
    kind, message = FAULTS[fault]
    assert re.search(message, str(error)), str(error)
    assert re.findall(r"frame \d+", str(error)) == [f"frame {CULPRIT + 1}"], str(error)
    if isinstance(error, TaskFailed):
        assert isinstance(error.__cause__, kind)
        assert f" failed with {kind.__name__}: data.extxyz, frame {CULPRIT + 1}: " in str(error)
    else:
        assert isinstance(error, kind)


@pytest.mark.parametrize("fault", [stray, coinciding, thin], ids=lambda f: f.__name__)
def test_the_first_look_at_all_frames(runner, fault):
    with pytest.raises(TaskFailed) as caught:
        make_plan(spoilt(fault), BASIS, blocks=["C"], executor=runner)
    named(caught.value, fault)


def test_assembly_of_rows(runner, tmp_path):
    with pytest.raises(TaskFailed) as caught:
        assemble([], BASIS, tmp_path / "store", executor=runner, plan=plan_of(coinciding))
    named(caught.value, coinciding)


def test_contributions_of_frozen_models(runner, tmp_path):
    frames = random_frames({"CN": 6})
    frames = [replace(f, origin=f"data.extxyz, frame {CULPRIT - 3 + i}") for i, f in enumerate(frames)]
    plan = replace(exchanged(make_plan(frames, BASIS, blocks=["CN"]), frames[4], close(frames[4])), tiles=())
    frozen = random_parameters(BASIS)
    message = r"^assemble failed with InnerCutoffError: data.extxyz, frame 25: atoms 2 "
    with pytest.raises(TaskFailed, match=message) as caught:
        assemble([], BASIS, tmp_path / "store", frozen=[frozen], executor=runner, plan=plan)
    assert re.findall(r"frame \d+", str(caught.value)) == ["frame 25"]


@faults
def test_reduction_of_rows_made_on_the_fly(fault):
    with pytest.raises(TaskFailed) as caught:
        reduce_rows(plan_of(fault), ["C"], store=None, executor=SerialExecutor())
    named(caught.value, fault)


def test_reduction_by_other_processes(runner):
    with pytest.raises(TaskFailed) as caught:
        reduce_rows(plan_of(thin), ["C"], store=None, executor=runner)
    named(caught.value, thin)


@faults
def test_evaluation(runner, fault):
    model = Model(random_parameters(BASIS))
    with pytest.raises(TaskFailed) as caught:
        model.evaluate(spoilt(fault), policy="refuse", executor=runner)
    named(caught.value, fault)


@faults
@pytest.mark.parametrize("call", [
    lambda frames: Model(random_parameters(BASIS)).evaluate(frames, policy="refuse"),
    lambda frames: Model(random_parameters(BASIS)).evaluate(frames, policy="refuse", threads=2),
    lambda frames: select(frames, 2, BASIS, alpha=1.0),
], ids=["evaluate", "threads", "select"])  # fmt: skip
def test_without_an_executor(call, fault):
    with pytest.raises((FrameError, InnerCutoffError)) as caught:
        call(spoilt(fault))
    named(caught.value, fault)


@pytest.mark.parametrize("fault", [stray, coinciding, thin], ids=lambda f: f.__name__)
@pytest.mark.parametrize("call", [
    lambda frames: make_plan(frames, BASIS),
    lambda frames: scan_some(frames, BASIS, 30),
    lambda frames: design_rows(frames, BASIS, policy="skip_frame"),
], ids=["plan", "costs", "skip_frame"])  # fmt: skip
def test_without_an_executor_whatever_the_policy(call, fault):
    with pytest.raises(FrameError) as caught:
        call(spoilt(fault))
    named(caught.value, fault)


def test_what_nobody_foresaw_names_the_frame_too(monkeypatch, tmp_path):
    fill_rows = tiles.fill_rows

    def failing(frame, *rest):
        if frame is FRAMES[CULPRIT]:
            raise MemoryError("no room left")
        fill_rows(frame, *rest)

    monkeypatch.setattr(tiles, "fill_rows", failing)
    message = r"^{}: data\.extxyz, frame 25 failed with MemoryError: no room left"
    plan = make_plan(FRAMES, BASIS, blocks=["C"])
    with pytest.raises(TaskFailed, match=message.format("assemble")) as caught:
        assemble(FRAMES, BASIS, tmp_path / "store", executor=SerialExecutor(), plan=plan)
    assert isinstance(caught.value.__cause__, MemoryError)
    # the tile and its block too, where a person reads tracebacks
    assert any(re.match(r"in tile [0-9a-f]{12} of block C", note) for note in caught.value.__notes__)
    with pytest.raises(TaskFailed, match=message.format(r"reduce C")):
        reduce_rows(plan, ["C"], store=None, executor=SerialExecutor())
    with pytest.raises(TaskFailed, match=message.format("summarise")):
        summarise(FRAMES, BASIS, blocks=["C"], executor=SerialExecutor())
    with pytest.raises(MemoryError, match="no room left") as bare:
        design_rows(FRAMES, BASIS)
    assert bare.value.__notes__ == ["while working on data.extxyz, frame 25"]


def test_a_failure_that_no_frame_is_to_blame_for_names_the_work(monkeypatch):
    def failing(*_):
        raise MemoryError

    monkeypatch.setattr("hiertl_dist.fitting.leaves.grouped_rows", failing)
    plan = make_plan(FRAMES, BASIS, blocks=["C"])
    with pytest.raises(TaskFailed, match=r"reduce C: leaf of \d+ tiles \(data.* … .*\) failed with Mem"):
        reduce_rows(plan, ["C"], store=None, executor=SerialExecutor())


INPUT = """
[basis]
elements = ["C"]
orders = [3, 2, 0]
[basis.pairs]
CC = { rmin = 0.5, rmax = 4.0, lambda = 1.8 }
[[data]]
path = "data.extxyz"
[executor]
kind = "serial"
"""


@pytest.mark.parametrize("verb", ["plan", "fit", "assemble", "summarise"])
@pytest.mark.parametrize("where", [0, CULPRIT, 29])
def test_on_the_command_line(tmp_path, capsys, verb, where):
    lines = []
    for i, frame in enumerate(FRAMES):
        cell, far = 'Lattice="{} 0 0 0 {} 0 0 0 {}" '.format(*np.diag(frame.cell)), i == where
        lines += ["2", ("" if far else cell) + "Properties=species:S:1:pos:R:3:forces:R:3 energy=0.0"]
        lines += ["C 0 0 0 0 0 0", f"C {2e5 if far else 1.4 + 0.01 * i} 0 0 0 0 0"]
    (tmp_path / "data.extxyz").write_text("\n".join(lines) + "\n")
    (tmp_path / "input.toml").write_text(INPUT)
    assert main([verb, str(tmp_path / "input.toml")]) == 2
    said = capsys.readouterr().err
    assert re.findall(r"frame \d+", said) == [f"frame {where + 1}"]
    assert "expected a molecule of at most 1e5 Å, found one 2e+05 Å across, from atom 0 to atom 1" in said
