"""The loop as a whole: what it leaves, that it goes on from wherever it was cut, and when it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from cycle_files import write_cycle

from hiertl_dist import FrameError, Input, InputError, LockError, StoreError, TaskFailed, read_frames, run_cycles
from hiertl_dist.active_learning import cycling, dynamics, labelling, records, steps
from hiertl_dist.cli import commands as cli
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.frames.row_weights import RowWeights
from hiertl_dist.units import EV

pytest.importorskip("ase")
FILES = ("picked.extxyz", "picks.json", "labels.extxyz", "runs/run_0003.extxyz", "model/model.params.txt")


def cycled(input_file, executor=None, **changes):
    job = Input.from_toml(input_file)
    job = replace(job, cycle=replace(job.cycle, **changes))
    return run_cycles(job, executor or SerialExecutor())


def left(folder, cycle=1):
    return {name: (folder / "cycles" / f"{cycle:04d}" / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A loop that nothing cut, its folder, and its report."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, cycled(write_cycle(folder))


def test_what_a_loop_leaves(whole):
    folder, report = whole
    assert [row.fitted for row in report.rows] == [8, 12, 16]
    assert report.ended == "2 cycles done, and a model fitted to all labels"
    assert not report.waiting
    assert report.model == folder / "cycles" / "0002" / "model" / "model.params.txt"
    assert report.model.exists()
    assert report.rows[0].runs == 4
    assert sum(report.rows[0].picked.values()) == report.rows[0].labelled == 4
    assert report.rows[2].runs is None
    text = (folder / "cycles" / "0001" / "labels.extxyz").read_text()
    assert text.count(" cycle=1 ") == 4
    for frame in read_frames(folder / "cycles" / "0001" / "labels.extxyz"):
        from ase import Atoms
        from ase.calculators.emt import EMT

        atoms = Atoms(frame.species, frame.positions, cell=frame.cell, pbc=True, calculator=EMT())
        assert frame.energy / EV == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(frame.forces / EV, atoms.get_forces(), atol=1e-9)
        np.testing.assert_allclose(-frame.stress[[0, 1, 2, 5, 4, 3]] / EV, atoms.get_stress(), atol=1e-12)
    table = json.loads((folder / "cycles" / "cycles.json").read_text())
    assert [row["fitted"] for row in table["cycles"]] == [8, 12, 16]
    own = json.loads((folder / "cycles" / "0000" / "report.json").read_text())
    assert own["labelled"] == 4
    assert "[8, 12]" not in report.text("eV")
    assert "their error" in report.text("kcal")


def test_bits_depend_on_the_seed_alone(whole, tmp_path, two_processes):
    cycled(write_cycle(tmp_path / "again"), two_processes)
    assert left(tmp_path / "again") == left(whole[0])
    cycled(write_cycle(tmp_path / "other"), seed=1, cycles=1)
    assert left(tmp_path / "other", 0)["runs/run_0003.extxyz"] != left(whole[0], 0)["runs/run_0003.extxyz"]


class Killed(BaseException):
    """Stands for a process that ends without a word."""


def test_killed_after_every_piece_it_goes_on_and_does_nothing_twice(whole, tmp_path, monkeypatch):
    done = []

    def noting(module, name, key):
        own = getattr(module, name)

        def noted(*args, **kwargs):
            value = own(*args, **kwargs)
            done.append(key(*args, **kwargs))
            if done.count(done[-1]) == 1:
                raise Killed
            return value

        monkeypatch.setattr(module, name, noted)

    noting(steps, "fit_job", lambda job, *_, **__: ("fit", len(job.added)))
    noting(dynamics, "write_json", lambda path, _: ("run", str(path)))
    noting(labelling, "write_record", lambda path, _: ("label", str(path)))
    noting(cycling, "write_step", lambda place, step, *_: ("step", place.name, step))
    input_file = write_cycle(tmp_path)
    report = None
    while report is None:
        with suppress(Killed):
            report = cycled(input_file)
    assert report.rows[-1].fitted == 16
    assert left(tmp_path) == left(whole[0])
    pieces = [d for d in done if d[0] in ("run", "label")]
    assert len(pieces) == 2 * 4 + 2 * 4
    assert len(set(pieces)) == len(pieces)
    assert done.count(("step", "0001", "label")) == 1
    # a fit that was killed before its step was noted is made again, and no other
    assert sorted(d for d in done if d[0] == "fit") == [("fit", k) for k in (0, 0, 1, 1, 2, 2)]


def test_it_goes_on_with_more_cycles_and_refuses_what_has_changed(tmp_path):
    input_file = write_cycle(tmp_path)
    assert len(cycled(input_file, cycles=1).rows) == 2
    with pytest.raises(InputError, match=r"0001: this cycle was begun with other values of cycle.steps, cycle.timest"):
        cycled(input_file, cycles=2, steps=12, timestep=1.0)
    assert not [n for n in cycled(input_file, cycles=1).notes if "[[data]]" in n]
    data = tmp_path / "data.extxyz"
    data.write_text("".join(data.read_text().splitlines(keepends=True)[:-6]))  # the last frame, of four atoms
    again = cycled(input_file, cycles=2, sigma=1e-9)
    assert len(again.rows) == 3
    (note,) = (n for n in again.notes if "[[data]]" in n)
    assert note.endswith("not those that cycle 1 was fitted to: 8 then, 7 now")
    labels = tmp_path / "cycles" / "0000" / "labels.extxyz"
    labels.write_text(labels.read_text().replace("energy=", "energy=1"))
    with pytest.raises(StoreError, match=r"labels.extxyz: expected SHA-256 .* as the step 'label' .* was changed"):
        cycled(input_file)
    labels.unlink()
    with pytest.raises(StoreError, match="left this file, and it is gone"):
        cycled(input_file)


def test_weights_name_labels_that_are_not_there_yet(tmp_path):
    input_file = write_cycle(tmp_path)
    job = Input.from_toml(input_file)
    weights = {**job.fit.weights, "cycle_0/force": 3.0, "cycle_0": 0.5, "cycle_1": 2.0, "cycle_10/energy": 4.0}
    own = replace(job, fit=replace(job.fit, weights=weights), block_fits={"Cu": replace(job.fit, weights=weights)})
    assert cycling.without_later(own, 0).fit.weights == job.fit.weights
    later = cycling.without_later(own, 1)
    assert later.fit.weights == {**job.fit.weights, "cycle_0/force": 3.0, "cycle_0": 0.5}
    assert later.block_fits["Cu"].weights == later.fit.weights
    assert set(weights) - set(cycling.without_later(own, 10).fit.weights) == {"cycle_10/energy"}
    auto = replace(job, fit=replace(job.fit, weights="auto"))
    assert cycling.without_later(auto, 0).fit.weights == "auto"
    given = {"even": 0, "odd": 0, "cycle_0": 2, "cycle_1*": 3}
    rows = RowWeights(force="1 / (1 + cycle)", cycles=given)
    fit = replace(job.fit, weights={**job.fit.weights, "cycle_0/force": 2.0}, row_weights=rows)
    report = run_cycles(replace(job, fit=fit, cycle=replace(job.cycle, cycles=1)), SerialExecutor())
    assert [row.fitted for row in report.rows] == [8, 12]
    kept = [cycling.without_later(replace(job, fit=fit), k).fit.row_weights.cycles for k in range(3)]
    assert [len(own) for own in kept] == [2, 3, 4]
    assert kept[2] == given


def test_another_process_works_there(tmp_path):
    input_file = write_cycle(tmp_path)
    code = (
        "import sys; from pathlib import Path; from hiertl_dist.active_learning.records import begin_work;"
        "begin_work(Path(sys.argv[1])); print('ready', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "cycles")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(LockError, match=f"its cycles are worked on by process {other.pid}"):
            cycled(input_file)
        other.communicate("")
    assert not records._claims


def test_it_ends_by_rules(tmp_path):
    input_file = write_cycle(tmp_path)
    report = cycled(input_file, sigma=100.0)
    assert report.ended.startswith("the largest σ of forces of all ")
    assert report.ended.endswith("at most the 100 that were asked for")
    assert len(report.rows) == 1
    assert report.rows[0].labelled == 0
    assert np.isnan(report.rows[0].picked_force)
    # the record of the picks stands, and so does the end
    report = cycled(input_file, folder=tmp_path / "other", least=1e9, shares={"leverage": 1.0})
    assert "nothing is left to pick: of 10 frames none has a new distance" in report.ended


def test_labels_that_fail(tmp_path):
    (tmp_path / "truth_of_test.py").write_text(
        "from ase.calculators.emt import EMT\n"
        "class Sometimes(EMT):\n"
        "    def __init__(self, above): super().__init__(); self.above = above\n"
        "    def calculate(self, atoms, *args):\n"
        "        if atoms.get_volume() > self.above: raise RuntimeError('no convergence')\n"
        "        super().calculate(atoms, *args)\n"
    )
    label = {"calculator": "truth_of_test:Sometimes", "options": {"above": 1000.0}}
    input_file = write_cycle(tmp_path, label=label, cycles=1)
    job = Input.from_toml(input_file)
    none = replace(job.cycle.label, options={"above": 1.0})
    with pytest.raises(FrameError, match=r"none of 4 frames could be labelled: not labelled: .*no convergence"):
        cycled(input_file, label=none)
    assert not list((tmp_path / "cycles" / "0000" / "labels").iterdir())
    with pytest.raises(InputError, match=r"begun with other values of cycle\.label"):
        cycled(input_file)
    volumes = sorted(f.volume for f in read_frames(tmp_path / "cycles" / "0000" / "picked.extxyz"))
    some = replace(job.cycle.label, options={"above": volumes[-1] - 1e-6})
    report = cycled(input_file, label=some, folder=tmp_path / "others")
    assert report.rows[0].labelled == 3
    assert report.rows[1].fitted == 11
    assert "RuntimeError: no convergence" in report.notes[-1]


def test_what_can_not_be_labelled_is_told_before_anything_is_fitted(tmp_path):
    input_file = write_cycle(tmp_path)
    for name, options, message in (
        ("no_such:thing", {}, "ModuleNotFoundError"), ("ase.build:nothing", {}, "has no attribute 'nothing'"),
        ("nothing_of_ase", {}, "ModuleNotFoundError"), ("ase.calculators.tersoff:Tersoff", {"x": 1}, "TypeError"),
    ):  # fmt: skip
        label = replace(Input.from_toml(input_file).cycle.label, calculator=name, options=options)
        with pytest.raises(InputError, match=message):
            cycled(input_file, label=label)
    assert not (tmp_path / "cycles" / "0000").exists()


def test_no_run_keeps_a_frame(tmp_path):
    # with frames this hot the first look already cuts every run
    states = [{"temperatures": [300]}]
    with pytest.raises(FrameError, match=r"no run kept a frame.*cut after 1 step: the atoms have"):
        cycled(write_cycle(tmp_path, states=states, heat=1e-6))


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"cycle": None}, r"the input has no \[cycle\] table"),
        ({"library": {"path": "lib", "theory": "EMT", "energy_reference": "x"}}, "would be taken from there, as it is"),
    ],
)
def test_inputs_that_are_for_no_loop(tmp_path, tables, message):
    from cycle_files import cycle_table

    write_cycle(tmp_path)
    table = {k: v for k, v in {**cycle_table(), **tables}.items() if v is not None}
    with pytest.raises(InputError, match=message):
        run_cycles(Input.from_dict(table, tmp_path), SerialExecutor())


def test_the_command(tmp_path, capsys):
    input_file = write_cycle(tmp_path, label="extxyz")
    words = ["cycle", str(input_file), "--cycles", "1", "--executor", "serial"]
    assert cli.main([*words, "--json"]) == 5
    said = json.loads(capsys.readouterr().out)
    assert set(said) == {"folder", "cycles", "model", "ended", "waiting", "notes"}
    assert "calculate the frames of" in said["waiting"][0]
    inputs = tmp_path / "cycles" / "0000" / "inputs"
    frames = read_frames(inputs / "to_label.extxyz")
    moved = [replace(f, positions=f.positions + f.cell[0]) for f in reversed(frames)]
    label = replace(Input.from_toml(write_cycle(tmp_path / "x")).cycle.label)
    told = labelling.label_frames(moved[1:], label, tmp_path / "labels", SerialExecutor())
    lines = list(labelling.labelled_lines(labelling.labelled_by(moved[1:], told), 7))
    (inputs / "labelled.extxyz").write_text("".join(lines))
    assert cli.main(words) == 5
    assert "3 of 4 results are there" in capsys.readouterr().out
    told = labelling.label_frames(moved, label, tmp_path / "labels_of_all", SerialExecutor())
    lines = list(labelling.labelled_lines(labelling.labelled_by(moved, told), 7))
    (inputs / "labelled.extxyz").write_text("".join(lines))
    assert cli.main(words) == 0
    assert "ended: 1 cycle done" in capsys.readouterr().out
    labelled = read_frames(tmp_path / "cycles" / "0000" / "labels.extxyz")
    np.testing.assert_array_equal(labelled[0].positions, frames[0].positions)
    assert "cycle=0" in (tmp_path / "cycles" / "0000" / "labels.extxyz").read_text()


def test_a_task_that_fails_is_named(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise OSError("no disk")

    monkeypatch.setattr(dynamics, "started", broken)
    with pytest.raises(TaskFailed, match=r"runs: run 0 \(Cu4, 300 K, 0 GPa\) failed with OSError: no disk"):
        cycled(write_cycle(tmp_path))
