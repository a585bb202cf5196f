"""``hiertl-dist evaluate``: how frames are read, what is said of it, units, energy offsets, files that are there."""

from __future__ import annotations

import json
import os
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from job_files import write_extxyz, write_xyzf
from synthetic import labelled, random_frames, random_parameters, small_basis, unchecked

from hiertl_dist import Frame, HiertlWarning, Model
from hiertl_dist.cli import commands as cli
from hiertl_dist.cli.command_line import parser
from hiertl_dist.cli.executor_options import executor_of
from hiertl_dist.cli.look_commands import reading_options
from hiertl_dist.errors import InputError
from hiertl_dist.evaluation.coverage import coverage_report
from hiertl_dist.evaluation.sums import sum_evaluations
from hiertl_dist.model.parameters import Parameters
from hiertl_dist.suggestion.guessing import read_guessed
from hiertl_dist.units import EV

BASIS = small_basis((4, 3, 2))
TRUTH = random_parameters(BASIS, 5)
FRAMES = [
    replace(f, group=f"run{i % 2}") for i, f in enumerate(labelled(random_frames({"C": 2, "N": 2, "CN": 2}), TRUTH))
]


@pytest.fixture
def command(capsys):
    """Runs a command that must end with an exit code: stdout, stderr."""

    def run(*words, code=0):
        found = cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        assert found == code, err
        return out, err

    return run


@pytest.fixture
def model(tmp_path):
    """A file of the true model with all forces, energies and stresses off a little."""
    wrong = replace(TRUTH, coefficients=1.01 * TRUTH.coefficients)
    Model(wrong).write(tmp_path / "model.txt")
    return tmp_path / "model.txt"


@pytest.fixture
def renamed(tmp_path):
    """Extended XYZ whose labels have the names of a level of theory, and whose groups are under a usual key."""
    path = write_extxyz(tmp_path / "data.extxyz", FRAMES)
    text = path.read_text().replace(" energy=", " dft_energy=").replace(":forces:", ":dft_forces:")
    path.write_text(text.replace("config=", "config_type="))
    return path


def test_extended_xyz_is_read_as_init_reads_it(command, model, renamed, tmp_path):
    out, err = command("evaluate", model, "--frames", renamed)
    assert err == ""
    head = out.partition("\n\n")[0]
    assert "energy read from 'dft_energy', found in 6 of 6 frames" in head
    assert "forces read from 'dft_forces'" in head
    assert "groups are told apart by the key 'config_type': 2 groups" in head
    assert "energy 6 (key dft_energy), forces 6 (key dft_forces)" in head
    assert "taken for eV, eV/Å, eV/Å³" in head
    assert "--energy-key" in head
    assert "--units kcal has them in kcal/mol/Å" in head
    found = json.loads(command("evaluate", model, "--frames", renamed, "--json")[0])
    looked = json.loads(command("inspect", renamed, "--json")[0])
    assert found["sources"] == looked["sources"]
    assert len(found["notes"]) == 4, "three guesses, and the units"
    assert found["notes"][:3] == looked["notes"][:3]
    assert list(found["group_errors"]) == ["run0", "run1"]


def test_tables_are_in_the_units_of_the_labels(command, model, tmp_path):
    rms = np.sqrt(np.mean(np.concatenate([f.forces.ravel() for f in FRAMES]) ** 2))
    extxyz, xyzf = write_extxyz(tmp_path / "a.extxyz", FRAMES), write_xyzf(tmp_path / "b.xyzf", FRAMES)
    for files, options, unit, one in (
        ([extxyz], (), "eV/Å", EV), ([xyzf], (), "kcal/mol/Å", 1.0), ([extxyz, xyzf], (), "eV/Å", EV),
        ([extxyz], ("--units", "kcal"), "kcal/mol/Å", 1.0), ([xyzf], ("--units", "eV"), "eV/Å", EV),
    ):  # fmt: skip
        out, _ = command("evaluate", model, "--frames", *files, *options)
        assert re.search(rf"RMSE \(reference: RMS of the labels[^)]*\); forces in {unit},", out)
        row = next(line for line in out.splitlines() if line.startswith("all"))
        assert float(row.split()[2]) == pytest.approx(rms / one, rel=1e-3)
        assert ("units of .xyzf: ChIMES' own" in out) == (xyzf in files)
        assert ("units of extended XYZ" in out) == (extxyz in files)
    found = json.loads(command("evaluate", model, "--frames", extxyz, "--units", "eV", "--json")[0])
    assert found["units"] == {"force": "kcal/mol/Å", "energy": "kcal/mol/atom", "stress": "GPa"}
    assert found["errors"]["all"]["force_rms"] == pytest.approx(rms)


def test_labels_that_are_missed_are_told_in_words_of_the_command_line(command, model, tmp_path):
    path = write_extxyz(tmp_path / "data.extxyz", FRAMES)
    path.write_text(path.read_text().replace(" energy=", " b_energy=1.0 a_energy="))
    out, err = command("evaluate", model, "--frames", path)
    assert err == ""
    assert "'b_energy', 'a_energy' look alike; name one with --energy-key" in out
    assert "(on a command line --energy-key b_energy)" in out
    out, _ = command("evaluate", model, "--frames", path, "--energy-key", "a_energy")
    assert "energy 6 (key a_energy)" in out


@pytest.mark.parametrize("verb", ["inspect", "evaluate"])
def test_a_key_is_refused_where_no_file_has_keys(command, model, tmp_path, verb):
    path = write_xyzf(tmp_path / "data.xyzf", FRAMES)
    words = ("evaluate", model, "--frames", path) if verb == "evaluate" else ("inspect", path)
    assert "the key 'e' is named, but an xyzf file has no keys" in command(*words, "--energy-key", "e", code=2)[1]


def test_format_of_files_without_an_ending_that_says_it(command, model, tmp_path):
    path = write_extxyz(tmp_path / "data.txt", FRAMES)
    assert "--format" in command("evaluate", model, "--frames", path, code=2)[1]
    assert "6 frames" in command("evaluate", model, "--frames", path, "--format", "extxyz")[0]


def test_a_model_without_energy_offsets_says_so_beside_the_energy_errors(command, model, tmp_path):
    bare = TRUTH.with_types(t for t in BASIS.types if t.elements != ("N",))
    assert any(t.elements == ("C",) for t in bare.basis.types)
    Model(bare).write(tmp_path / "bare.txt")
    path = write_extxyz(tmp_path / "data.extxyz", FRAMES)
    lines = command("evaluate", tmp_path / "bare.txt", "--frames", path)[0].splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.startswith("WARNING: no file has an energy offset of N (")]
    assert lines[at - 1].startswith("RMSE (reference")
    assert json.loads(command("evaluate", tmp_path / "bare.txt", "--frames", path, "--json")[0])[
        "no_energy_offsets"
    ] == ["N"]
    assert "energy offset" not in command("evaluate", model, "--frames", path)[0]
    # without energies there are no errors that are off
    write_extxyz(path, [f.without_labels(energy=True) for f in FRAMES])
    assert "energy offset" not in command("evaluate", tmp_path / "bare.txt", "--frames", path)[0]


def test_no_energy_offsets_announced_as_0(command, tmp_path):
    Model(TRUTH).write(tmp_path / "model.txt")
    text = unchecked((tmp_path / "model.txt").read_text())
    head, _, tail = text.partition("NO ENERGY OFFSETS:")
    rest = [line for line in tail.splitlines()[1:] if not line.startswith("ENERGY OFFSET")]
    (tmp_path / "none.txt").write_text("\n".join([f"{head}NO ENERGY OFFSETS: 0", *rest, ""]))
    path = write_extxyz(tmp_path / "data.extxyz", FRAMES)
    assert "an energy offset of C, N" in command("evaluate", tmp_path / "none.txt", "--frames", path)[0]


# ---- out of range


def parts_of(ranges):
    """The C and the CN part of the truth, each fitted on a range of CC distances."""
    for block, own in ranges.items():
        found = TRUTH.restricted({block})
        basis = found.basis.restricted(set().union(*(t.elements for t in found.basis.types)))
        yield Model(Parameters(basis, found.coefficients, coverage={f"{block}:CC": own}, source=block))


def dimer(distance):
    """C2 and a nitrogen atom at some distance of both."""
    at = np.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0], [0.5 * distance, 3.0, 0.0]])
    return Frame(("C", "C", "N"), at, energy=0.0)


@pytest.mark.parametrize(("distance", "flags"), [(1.0, 1), (1.2, 0), (1.4, 0), (3.5, 1)])
def test_files_of_a_sum_know_what_the_merged_model_knows(distance, flags):
    parts = list(parts_of({"C": (1.1, 2.0), "CN": (1.3, 3.0)}))
    frame = dimer(distance)
    total = sum_evaluations(
        [m.evaluate(frame, ignore_other_elements=True, missing="zero") for m in parts], [m.coverage for m in parts]
    )[0]
    merged = Model.merge(parts).evaluate(frame, ignore_other_elements=True, missing="zero")[0]
    assert [str(f) for f in total.out_of_range] == [str(f) for f in merged.out_of_range]
    assert len(total.out_of_range) == flags
    assert total.ranges == merged.ranges
    assert len(coverage_report(Model.merge(parts).coverage, [total.ranges])) == 2


# ---- files that are there


def test_merge_and_evaluate_write_over_nothing_unless_told(command, model, tmp_path):
    path = write_extxyz(tmp_path / "data.extxyz", FRAMES)
    for words, written in (
        (("merge", model, "-o", tmp_path / "new.txt"), "new.txt"),
        (("evaluate", model, "--frames", path, "--csv", tmp_path / "tables"), "tables/frames.csv"),
        (("init", path, "-o", tmp_path / "input.toml"), "input.toml"),
    ):
        (tmp_path / written).parent.mkdir(exist_ok=True)
        (tmp_path / written).write_text("kept")
        _, err = command(*words, code=2)
        assert f"{tmp_path / written} is there already; --overwrite writes over it" in err
        assert (tmp_path / written).read_text() == "kept"
        command(*words, "--overwrite")
        assert (tmp_path / written).read_text() != "kept"


def test_a_figure_is_not_written_over_unless_told(command, model, tmp_path):
    pytest.importorskip("matplotlib")
    path = write_extxyz(tmp_path / "data.extxyz", FRAMES[:2])
    (tmp_path / "p.pdf").write_text("kept")
    words = ("evaluate", model, "--frames", path, "--plot", tmp_path / "p.png")
    assert "p.pdf is there already" in command(*words, code=2)[1]
    command(*words, "--overwrite")
    assert (tmp_path / "p.pdf").read_bytes()[:4] == b"%PDF"
    assert (tmp_path / "p_coverage.pdf").read_bytes()[:4] == b"%PDF"


@pytest.fixture
def linked(tmp_path):
    """Data and other names of them."""
    path = write_extxyz(tmp_path / "data.extxyz", FRAMES)
    (tmp_path / "soft.extxyz").symlink_to(path)
    os.link(path, tmp_path / "hard.extxyz")
    return path


@pytest.mark.parametrize("name", ["data.extxyz", "soft.extxyz", "hard.extxyz", "sub/../data.extxyz"])
def test_what_is_read_is_not_written_over(command, model, linked, tmp_path, name):
    (tmp_path / "sub").mkdir()
    before, size = linked.read_bytes(), model.read_bytes()
    ending = name.removesuffix(".extxyz") + ".txt"
    (tmp_path / "soft.txt").symlink_to(model)
    os.link(model, tmp_path / "hard.txt")
    other = tmp_path / ending.replace("data", "model")
    for words in (
        ("init", linked, "-o", tmp_path / name),
        ("init", tmp_path / "d*.extxyz", "-o", tmp_path / name),
        ("merge", model, "-o", other),
    ):
        for more in ((), ("--overwrite",)):
            _, err = command(*words, *more, code=2)
            assert err.startswith("hiertl-dist: InputError: -o: ")
            assert "this file is read, and the results would be written over it" in err
    assert (linked.read_bytes(), model.read_bytes()) == (before, size)
    assert linked.samefile(tmp_path / name)


def test_tables_and_figures_are_not_written_over_what_is_read(command, model, tmp_path):
    pytest.importorskip("matplotlib")
    data = write_extxyz(tmp_path / "frames.csv", FRAMES)
    image = tmp_path / "model.pdf"
    image.write_bytes(model.read_bytes())
    before, size = data.read_bytes(), image.read_bytes()
    words = ("evaluate", image, "--frames", data, "--format", "extxyz", "--overwrite")
    assert f"--csv: {data}: this file is read" in command(*words, "--csv", tmp_path, code=2)[1]
    assert f"--plot: {image}: this file is read" in command(*words, "--plot", tmp_path / "model.png", code=2)[1]
    assert (data.read_bytes(), image.read_bytes()) == (before, size)


def test_places_where_nothing_can_be_written_are_refused_before_anything_is_computed(command, model, tmp_path):
    pytest.importorskip("matplotlib")
    data = write_extxyz(tmp_path / "data.extxyz", FRAMES)
    (tmp_path / "there.xyz").write_text("kept")
    (tmp_path / "folder.png").mkdir()
    words = ("evaluate", model, "--frames", data, "--overwrite")
    for more, said in (
        (("--csv", tmp_path / "there.xyz"), f"--csv: expected a folder {tmp_path / 'there.xyz'}"),
        (("--plot", tmp_path / "there.xyz" / "a.png"), f"--plot: expected a folder {tmp_path / 'there.xyz'}"),
        (("--plot", tmp_path / "there.xyz"), "expected a name with one of the endings"),
        (("--plot", tmp_path / "new.xyz"), "found 'xyz'"),
        (("--plot", tmp_path / "folder.png"), "--plot: expected a file, found the folder"),
    ):
        _, err = command(*words, *more, code=2)
        assert err.startswith("hiertl-dist: InputError: ")
        assert said in err
    assert (tmp_path / "there.xyz").read_text() == "kept"
    assert not list(tmp_path.glob("*.pdf"))


# ---- warnings


def test_warnings_are_lines_of_the_command(command, monkeypatch, tmp_path):
    def warning(_):
        warnings.simplefilter("always")
        warnings.warn("something is odd", HiertlWarning, stacklevel=1)
        warnings.warn("overflow", RuntimeWarning, stacklevel=1)
        return 0

    monkeypatch.setitem(cli._VERBS, "doctor", warning)
    _, err = command("doctor")
    first, second = err.splitlines()
    assert first == "hiertl-dist: warning: something is odd"
    assert second.startswith("hiertl-dist: warning: overflow (RuntimeWarning, ")


def test_hints_of_errors_name_options(command, model, tmp_path):
    walled = tmp_path / "walled.txt"
    walled.write_text(unchecked(model.read_text()).replace("PENALTY SCALING: 10000", "PENALTY SCALING: 20000"))
    assert walled.read_text() != model.read_text()
    err = command("merge", model, walled, "-o", tmp_path / "m.txt", "--add", code=2)[1]
    assert "scale 10000.0, distance 0.01" in err
    assert "--penalty SCALE DISTANCE (in Python penalty=) says which holds" in err
    assert "--add sums their coefficients" in command("merge", model, model, "-o", tmp_path / "m.txt", code=2)[1]


def test_groups_may_be_the_files_although_frames_have_a_key(tmp_path):
    path = tmp_path / "a.extxyz"
    frame = '1\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3 energy=-1 config_type={}\nC 0 0 0.{}\n'
    path.write_text("".join(frame.format(kind, i) for i, kind in enumerate("xyxyx")))
    guessed = read_guessed([str(path)])
    assert {f.group for f in guessed.frames} == {"x", "y"}
    assert "--group-by-file takes the names of the files instead" in guessed.text()
    for verb, more in (("evaluate", ["model", "--frames"]), ("inspect", []), ("init", [])):
        arguments = parser().parse_args([verb, *more, str(path), "--group-by-file"])
        read = read_guessed([str(path)], reading_options(arguments))
        assert {f.group for f in read.frames} == {"a"}
        assert "groups are told apart" not in read.text()
        assert "groups: the names of the files" in read.text()
    with pytest.raises(SystemExit):
        parser().parse_args(["inspect", str(path), "--group-by-file", "--group-key", "x"])


def test_workers_beside_a_scheduler_are_refused(tmp_path):
    path = tmp_path / "a.xyzf"
    path.write_text("1\n9 9 9\nC 0 0 0 0 0 0\n")
    arguments = parser().parse_args(
        ["evaluate", "m", "--frames", str(path), "--workers", "2", "--scheduler", "tcp://127.0.0.1:1"]
    )
    with pytest.raises(InputError, match="--workers 2 is of no use beside --scheduler"):
        executor_of(arguments)
