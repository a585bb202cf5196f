"""Runs of the model: checkpoints, what cuts them, pressure, and where they start."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from cycle_files import cycle_table, emt_atoms

from hiertl_dist import Frame, FrameError, Input, InputError, Model, fit_all_at_once, frames_from_ase, read_frames
from hiertl_dist.active_learning import dynamics
from hiertl_dist.active_learning.runs import planned_runs
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting.settings import HierarchyOptions
from hiertl_dist.jobs.cycle_settings import CycleSettings, CycleState
from hiertl_dist.units import KCAL_PER_A3_IN_GPA

pytest.importorskip("ase")


@pytest.fixture(scope="module")
def copper():
    """Frames of copper, and a model of them."""
    frames = frames_from_ase([emt_atoms(a=3.4 + 0.05 * k, seed=k) for k in range(8)])
    job = Input.from_dict(cycle_table())
    fit = fit_all_at_once(frames, job.basis, options=HierarchyOptions(job.fit), executor=SerialExecutor())
    return frames, Model(fit.solution.parameters)


def settings_of(steps=20, every=5, **state):
    own = CycleState(**({"temperatures": (300.0,)} | state))
    return CycleSettings((own,), steps=steps, every=every, timestep=2.0, heat=50.0, friction=0.02)


class Killed(BaseException):
    """Stands for a process that ends without a word."""


@pytest.mark.parametrize("state", [{"pressures": (5.0,)}, {"volumes": (1.02,)}])
def test_a_run_goes_on_with_the_same_bits(copper, tmp_path, monkeypatch, state):
    frames, model = copper
    settings = settings_of(**state)
    (run,), _ = planned_runs(settings, frames, ["Cu"], 0)
    given = {"model": model, "settings": settings, "limits": {"CuCu": 1.0}}
    whole = dynamics.run_dynamics(run, folder=tmp_path / "whole", **given)
    steps, own = [], dynamics.exploded

    def killing(*args):
        steps.append(1)
        if len(steps) in (7, 14):
            raise Killed
        return own(*args)

    monkeypatch.setattr(dynamics, "exploded", killing)
    for _ in range(2):
        with pytest.raises(Killed):
            dynamics.run_dynamics(run, folder=tmp_path / "cut", save=0.0, **given)
    assert (tmp_path / "cut" / "run_0000.partial.npz").exists()
    again = dynamics.run_dynamics(run, folder=tmp_path / "cut", save=0.0, **given)
    assert len(steps) < 25  # one after another, none from the beginning
    assert {**again, "seconds": 0} == {**whole, "seconds": 0}
    files = [[(f / name).read_bytes() for name in ("run_0000.extxyz",)] for f in (tmp_path / "whole", tmp_path / "cut")]
    assert files[0] == files[1]
    assert not (tmp_path / "cut" / "run_0000.partial.npz").exists()
    assert len(read_frames(tmp_path / "cut" / "run_0000.extxyz")) == 4 + run.fresh
    monkeypatch.setattr(dynamics, "started", None)  # what is there is not run again
    assert dynamics.run_dynamics(run, folder=tmp_path / "cut", **given) == again


def test_a_damaged_checkpoint_is_told_of_and_nothing_of_it_is_taken(copper, tmp_path, monkeypatch, caplog):
    """Nor is its cell taken, where only its positions are damaged."""
    frames, model = copper
    settings = settings_of()
    (run,), _ = planned_runs(settings, frames, ["Cu"], 0)
    given = {"model": model, "settings": settings, "limits": {"CuCu": 1.0}}
    whole = dynamics.run_dynamics(run, folder=tmp_path / "whole", **given)
    steps, own = [], dynamics.exploded

    def killing(*args):
        steps.append(1)
        if len(steps) == 7:
            raise Killed
        return own(*args)

    monkeypatch.setattr(dynamics, "exploded", killing)
    with pytest.raises(Killed):
        dynamics.run_dynamics(run, folder=tmp_path / "cut", save=0.0, **given)
    path = tmp_path / "cut" / "run_0000.partial.npz"
    with np.load(path) as data:
        arrays = {key: data[key] for key in data.files}
    np.savez(path, **{**arrays, "cell": 2.0 * arrays["cell"], "positions": arrays["positions"][1:]})
    again = dynamics.run_dynamics(run, folder=tmp_path / "cut", **given)
    assert f"{path}: a checkpoint of a run that is damaged, and the run begins anew" in caplog.text
    assert {**again, "seconds": 0} == {**whole, "seconds": 0}
    names = [tmp_path / folder / "run_0000.extxyz" for folder in ("whole", "cut")]
    assert names[0].read_bytes() == names[1].read_bytes()


def test_a_checkpoint_of_something_else_is_not_taken(copper, tmp_path):
    frames, model = copper
    settings = settings_of()
    (run,), _ = planned_runs(settings, frames, ["Cu"], 0)
    (tmp_path / "run_0000.partial.npz").write_bytes(b"damaged")
    told = dynamics.run_dynamics(run, model=model, settings=settings, limits={}, folder=tmp_path)
    assert (told["made"], told["frames"], told["stopped"]) == (20, 4, "")
    assert told["sha256_of_frames"]
    assert set(json.loads((tmp_path / "run_0000.json").read_text())) == {*told, "sha256"}


def test_a_run_of_another_model_is_not_taken(copper, tmp_path):
    frames, model = copper
    settings = settings_of()
    (run,), _ = planned_runs(settings, frames, ["Cu"], 0)
    other = Model(replace(model.parameters, coefficients=1.001 * model.parameters.coefficients))
    first, second = (
        dynamics.run_dynamics(run, model=m, settings=settings, limits={}, folder=tmp_path) for m in (model, other)
    )
    assert first["model"] != second["model"] == other.parameters.digest
    assert first["sha256_of_frames"] != second["sha256_of_frames"]


@pytest.mark.parametrize(
    ("changes", "limits", "message"),
    [
        ({"heat": 1e-3}, {}, r"cut after 1 step: the atoms have \d+ K"),
        ({}, {"CuCu": 3.0}, r"not begun: CuCu are .* less than 3.000 Å"),
        ({"timestep": 200.0}, {"CuCu": 1.5}, r"cut after \d+ step"),
    ],
)
def test_unsafe_runs_are_cut(copper, tmp_path, changes, limits, message):
    frames, model = copper
    settings = replace(settings_of(volumes=(1.01,)), **changes)
    (run,), _ = planned_runs(settings, frames, ["Cu"], 0)
    told = dynamics.run_dynamics(run, model=model, settings=settings, limits=limits, folder=tmp_path)
    assert re.match(message, told["stopped"])
    kept = read_frames(tmp_path / "run_0000.extxyz") if told["frames"] else []
    assert len(kept) == told["frames"] <= 1 + told["made"] // 5


def test_the_volume_follows_the_pressure(copper, tmp_path):
    frames, model = copper
    volumes = []
    for pressure in (0.0, 20.0):
        settings = settings_of(steps=250, every=25, pressures=(pressure,), temperatures=(50.0,))
        (run,), _ = planned_runs(settings, frames[2:3], ["Cu"], 0)
        folder = tmp_path / f"{pressure:g}"
        dynamics.run_dynamics(run, model=model, settings=settings, limits={}, folder=folder)
        last = read_frames(folder / "run_0000.extxyz")[-3:]
        said = [e.stress[:3].mean() * KCAL_PER_A3_IN_GPA for e in model.evaluate(last)]
        assert np.mean(said) == pytest.approx(pressure, abs=4.0)
        volumes.append(last[-1].volume)
    assert volumes[1] < 0.95 * volumes[0]


def test_starts_and_conditions():
    frames = frames_from_ase([emt_atoms(s, a=a, seed=k) for k, (s, a) in enumerate([("Cu", 3.6), ("Au", 4.1)] * 3)])
    states = (
        CycleState((300.0, 600.0), pressures=(0.0, 5.0), elements=("Au",), count=2),
        CycleState((300.0,), volumes=(0.9, 1.0), compositions=({"Cu": 3.0, "Au": 1.0},)),
    )
    settings = CycleSettings(states, every=50)
    runs, notes = planned_runs(settings, frames, ["Au", "Cu"], 0)
    assert [r.number for r in runs] == list(range(10))
    assert not notes
    assert [(r.temperature, r.pressure) for r in runs[:4]] == [(300, 0), (300, 5), (600, 0), (600, 5)]
    assert all(r.start.elements == {"Au"} and not r.fresh for r in runs[:8])
    small, same = (r.start for r in runs[8:])
    assert same.species.count("Cu") == 3
    assert small.volume == pytest.approx(0.9 * same.volume)
    assert same.volume == pytest.approx(0.75 * 3.6**3 + 0.25 * 4.1**3)
    assert all(r.fresh and r.start.energy is None for r in runs[8:])
    again, _ = planned_runs(settings, frames, ["Au", "Cu"], 0)
    assert [r.start.digest for r in again] == [r.start.digest for r in runs]
    other, _ = planned_runs(settings, frames, ["Au", "Cu"], 1)
    assert [r.start.digest for r in other] != [r.start.digest for r in runs]


def test_starts_that_are_none(tmp_path):
    frames = frames_from_ase([emt_atoms(a=3.6, seed=k) for k in range(2)])
    more = CycleSettings((CycleState((300.0,), count=5),))
    assert planned_runs(more, frames, ["Cu"], 0)[1] == ["cycle.states[1]: 5 starts asked for, 2 there"]

    def refused(kind, message, known=("Cu",), own=frames, **state):
        with pytest.raises(kind, match=message):
            planned_runs(CycleSettings((CycleState((300.0,), **state),)), own, list(known), 0)

    refused(InputError, "matches no group", groups=("hot*",))
    refused(InputError, "nothing tells the volume of an atom of Au", compositions=({"Cu": 1, "Au": 1},))
    refused(FrameError, "expected a start of the elements Ni of the basis, found Cu in it", known=("Ni",))
    molecule = [Frame(("Cu", "Cu"), [[0, 0, 0], [0, 0, 2.4]], origin="dimer")]
    refused(FrameError, "dimer: expected a start that repeats in three directions", own=molecule, pressures=(0.0,))
    refused(InputError, "dimer has 2 atoms, too few for all elements of", own=molecule,
            compositions=({"Cu": 1, "Au": 1, "Ni": 1},))  # fmt: skip
    refused(InputError, "no fitted frame has Au elements; there are Cu", elements=("Au",))
