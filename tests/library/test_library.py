"""The library of blocks: one command for one more element, nothing that is there changes, gates that fire or don't."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_files import ORDERS, job_frames, write_job
from synthetic import files_below, random_frame, random_parameters, small_basis

from hiertl_dist import (
    FitSettings,
    HierarchyOptions,
    LibrarySettings,
    Model,
    Penalty,
    add_to_library,
    check_library,
    export_from_library,
    grow_library,
    open_library,
    posterior,
    solve,
    summarise,
    view,
)
from hiertl_dist.cli import commands as cli
from hiertl_dist.errors import InputError, MismatchError, StoreError, UnknownBlockError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.library import folder as library_folder
from hiertl_dist.library.labels import differing, for_elements
from hiertl_dist.model.parameters import only_blocks
from hiertl_dist.model.relabelling import relabelled

RIDGE = {"kind": "ridge", "alpha": 0.01}
STATED = {"theory": "PBE, 520 eV", "energy_reference": {"C": -154.9, "unit": "eV"}}
LIB = {"path": "lib", **STATED}
BOTH = LIB | {"energy_reference": {"unit": "eV", "N": -1.0, "C": -154.90}}
BASIS = small_basis(ORDERS)
SERIAL = SerialExecutor()


def frames_of(*names):
    return [f for f in job_frames()[0] if "".join(sorted(f.elements)) in names]


def write_carbon(folder, fit=None, **more):
    return write_job(folder, frames_of("C"), basis=BASIS.restricted("C").to_dict(), library=LIB | more,
                     fit=fit or {"regulariser": RIDGE})  # fmt: skip


def write_both(folder, frames=None, basis=None, fit=None, search=None, **more):
    return write_job(
        folder, frames or frames_of("N", "CN"), basis=basis or BASIS.to_dict(), library=BOTH | more,
        fit={"regulariser": RIDGE} | (fit or {}), search=search,
    )  # fmt: skip


def run(*words):
    """Exit code, standard output and error of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(w) for w in words])
    return code, out.getvalue(), err.getvalue()


def done(*words):
    code, out, err = run(*words)
    assert code == 0, err
    return out


def refused(*words):
    code, _, err = run(*words)
    assert code == 2, err
    return err


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A folder with a library of C, and after one more command of C, N and CN; what was there after the first."""
    folder = tmp_path_factory.mktemp("grown")
    done("fit", write_carbon(folder))
    before = files_below(folder / "lib", "blocks")
    done("fit", write_both(folder))
    return folder, before


@pytest.fixture
def copied(grown, tmp_path):
    shutil.copytree(grown[0] / "lib", tmp_path / "lib")
    return tmp_path


def test_one_command_adds_an_element_and_changes_nothing_that_was_there(grown):
    folder, before = grown
    after = files_below(folder / "lib", "blocks")
    assert before
    assert {k: after[k] for k in before} == before
    library = open_library(folder / "lib")
    assert library.names == ("C", "N", "CN")
    assert len(library.entries) == 3
    carbon, nitrogen, both = (library.find(b) for b in ("C", "N", "NC"))
    assert both.lower == {"C": carbon.version, "N": nitrogen.version}
    assert (both.data["frames"], both.data["groups"], carbon.data["frames"]) == (8, {"all": 8}, 5)
    assert both.sources[0]["path"] == [str(folder / "data.extxyz")]
    assert both.coverage == both.parameters().coverage != {}
    assert both.fit["residuals"]["all/force"]["rmse"] == both.solution().residuals["all/force"].rmse
    # each with the part of the statement that is of its elements
    assert carbon.energy_reference == {"C": -154.9, "unit": "eV"}
    assert nitrogen.energy_reference == {"N": -1.0, "unit": "eV"}
    # the rows are in the library, and nowhere beside the input
    assert len(list((folder / "lib" / "rows").iterdir())) == 2
    assert not list(folder.glob("*.zarr"))


def test_coefficients_are_those_of_one_climb_bit_for_bit(grown):
    frames = frames_of("C", "N", "CN")
    path = grown[0] / "whole"
    path.mkdir()
    done("fit", write_job(path, frames, fit={"regulariser": RIDGE}))
    library = open_library(grown[0] / "lib")
    for block in ("C", "N", "CN"):
        whole = Model.read(path / "hiertl_results" / f"{block}.params.txt").parameters
        assert whole.coefficients.tobytes() == library.find(block).parameters().coefficients.tobytes()
        assert Model.read(library.find(block).checked_file("params.txt")).parameters.digest == whole.digest
    merged = Model.read(grown[0] / "hiertl_results" / "model.params.txt").parameters
    assert merged.digest == Model.read(path / "hiertl_results" / "model.params.txt").parameters.digest


def test_checksums_are_what_sha256sum_reads(grown):
    for entry in open_library(grown[0] / "lib").entries:
        subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "checksums.sha256"], cwd=entry.folder, check=True)
    checked = check_library(grown[0] / "lib")
    assert (checked.versions, checked.files, checked.problems) == (3, 15, ())


def test_the_same_command_again_fits_nothing(copied):
    before = files_below(copied, "lib")
    out = done("fit", write_both(copied))
    assert "has every block of the basis; nothing is fitted" in out
    after = files_below(copied, "lib")
    assert after == before
    assert (copied / "hiertl_results" / "model.params.txt").is_file()


def test_the_plan_is_of_the_missing_blocks(copied):
    """Also where a run was stopped after a block was written and before it was said to be in use."""
    for block in ("N", "CN"):
        shutil.rmtree(open_library(copied / "lib").find(block).folder)
    (copied / "lib" / "in_use.json").unlink()
    facts = json.loads(done("plan", write_both(copied), "--json"))
    assert sorted(facts["blocks"]) == ["CN", "N"]
    assert any("taken as they are: C " in note for note in facts["notes"])


def test_covariance_is_that_of_the_posterior(tmp_path):
    frames = frames_of("C")
    grow_library(frames, BASIS.restricted("C"), LibrarySettings(tmp_path / "lib", **STATED), executor=SERIAL,
                 options=HierarchyOptions(FitSettings(RIDGE, {"energy": 0.5})))  # fmt: skip
    entry = open_library(tmp_path / "lib").find("C")
    chosen = view(summarise(frames, BASIS.restricted("C"), executor=SERIAL), blocks=["C"], weights={"energy": 0.5})
    expected = posterior(chosen, solve(chosen, RIDGE)).linear
    columns, covariance = entry.covariance()
    assert columns == [chosen.columns[i] for i in expected.columns]
    np.testing.assert_allclose(covariance, expected.covariance(), rtol=1e-6, atol=1e-12)


def test_no_covariance_is_said(tmp_path):
    for regulariser, text in (({"kind": "svd", "tolerance": 1e-8}, "svd says nothing"), (RIDGE, "not asked for")):
        settings = LibrarySettings(tmp_path / text, **STATED, covariance="svd" in text)
        grow_library(frames_of("C"), BASIS.restricted("C"), settings, executor=SERIAL,
                     options=HierarchyOptions(FitSettings(regulariser)))  # fmt: skip
        entry = open_library(settings.path).find("C")
        assert text in repr(entry)
        with pytest.raises(InputError, match=text):
            entry.covariance()


# ---- versions


def test_a_second_version_leaves_the_first_as_it_is(copied):
    before = files_below(copied / "lib", "blocks")
    first = open_library(copied / "lib").find("C")
    path = write_both(copied, frames_of("C", "N", "CN"), fit={"regulariser": RIDGE | {"alpha": 1.0}},
                      update=["C", "CN"])  # fmt: skip
    out = done("fit", path)
    assert "taken as they are: N" in out
    library = open_library(copied / "lib")
    after = files_below(copied / "lib", "blocks")
    assert {k: after[k] for k in before} == before
    second = library.find("C")
    assert second.version != first.version
    assert library.find("CN").lower["C"] == second.version
    # both are there; which counts is written, and what did before
    assert {e.version for e in library.versions("C")} == {first.version, second.version}
    chosen = json.loads((copied / "lib" / "in_use.json").read_text())["C"]
    assert (chosen["version"], chosen["before"][0]["version"]) == (second.version, first.version)
    done("library", "use", copied / "lib", "C", first.version[:8])
    assert open_library(copied / "lib").find("C").version == first.version
    # the block above stands on another version now
    err = refused("fit", write_both(copied))
    assert f"library block CN ({library.find('CN').version[:12]}), lower_blocks" in err
    assert f"version {second.version[:12]} of C, and {first.version[:12]} is taken" in err
    old = next(e for e in library.versions("CN") if e.lower["C"] == first.version)
    done("fit", write_both(copied, versions={"CN": old.version[:10]}))
    assert check_library(copied / "lib").problems == ()


def test_a_refit_of_a_lower_block_alone_is_refused(copied):
    err = refused("fit", write_both(copied, frames_of("C", "N", "CN"), update=["C"]))
    assert "library block CN" in err
    assert "and it is fitted anew" in err
    done("fit", write_both(copied, frames_of("C", "N", "CN"), fit={"regulariser": RIDGE | {"alpha": 1.0}}, update=["C"],
                           accept={"CN": ["lower_blocks"]}))  # fmt: skip
    assert len(open_library(copied / "lib").versions("C")) == 2


def test_the_same_block_twice_is_one_version(copied):
    before = files_below(copied, "lib")
    done("fit", write_both(copied, frames_of("C", "N", "CN"), update=["C", "N", "CN"]))
    assert len(open_library(copied / "lib").entries) == 3
    assert files_below(copied / "lib", "blocks") == {k.removeprefix("lib/"): v for k, v in before.items()
                                                    if k.startswith("lib/blocks")}  # fmt: skip


def test_what_was_changed_is_named_and_not_used(copied):
    library = open_library(copied / "lib")
    file = library.find("C").folder / "params.txt"
    whole = library.find("N").folder / "solution.npz"
    file.write_text(file.read_text() + "\n")
    whole.write_bytes(whole.read_bytes()[:-1] + b"x")
    (library.find("CN").folder / "mine.txt").write_text("mine")
    entry = library.find("CN").folder / "entry.json"
    entry.write_text(entry.read_text().replace('"PBE, 520 eV"', '"SCAN"'))
    code, out, _ = run("library", "check", copied / "lib")
    assert code == 4
    for path in (file, whole, entry):
        assert f"{path}: SHA-256 expected" in out
    assert "mine.txt: a file that does not belong" in out
    assert "it was changed after it was written" in out
    with pytest.raises(StoreError, match=r"solution\.npz: SHA-256 expected"):
        library.find("N").parameters()
    with pytest.raises(StoreError, match="changed after it was written"):
        open_library(copied / "lib")
    (copied / "lib" / "in_use.json").write_text('{"C": 3}')
    assert "expected version and since of block C, found 3" in refused("library", "check", copied / "lib")


def test_an_interrupted_write_leaves_nothing_that_counts(copied, monkeypatch):
    shutil.rmtree(open_library(copied / "lib").find("CN").folder)
    in_use = json.loads((copied / "lib" / "in_use.json").read_text())
    odd = in_use | {"C": {**in_use["C"], "version": "1" * 64}}
    (copied / "lib" / "in_use.json").write_text(json.dumps(odd))
    with pytest.raises(StoreError, match=r"in_use.json: version 1{16} of block C is said to be in use, expected"):
        open_library(copied / "lib")
    (copied / "lib" / "in_use.json").write_text(json.dumps({"C-": in_use["C"]}))
    with pytest.raises(StoreError, match=r"in_use.json: expected names of blocks, found 'C-'"):
        open_library(copied / "lib")
    (copied / "lib" / "in_use.json").write_text(json.dumps({b: v for b, v in in_use.items() if b != "CN"}))
    with monkeypatch.context() as patched:
        patched.setattr(library_folder, "write_json", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        assert run("fit", write_both(copied))[0] != 0
    assert open_library(copied / "lib").names == ("C", "N")
    assert not list((copied / "lib" / "blocks").glob("*.partial"))
    done("fit", write_both(copied))
    assert check_library(copied / "lib").problems == ()
    (copied / "lib" / "blocks" / "X-1.abc.partial").mkdir()
    assert "not written to its end" in check_library(copied / "lib").notes[0]


# ---- gates


def changed_basis(orders=ORDERS, *, pair=None, **more):
    """The basis of the library with something else; ``pair`` are keys of CC."""
    if pair is not None:
        pairs = {p.name: {"rmin": p.rmin, "rmax": p.rmax, "lambda": p.morse_lambda} for p in BASIS.pairs}
        more["pairs"] = pairs | {"CC": pairs["CC"] | pair}
    return small_basis(orders, **more)


@pytest.mark.parametrize(
    ("basis", "message"),
    [
        (changed_basis(pair={"rmax": 5.1}), r"pair CC, rmax \(Å\): library block C \(.*\) has 5.0, the basis has 5.1"),
        (changed_basis(pair={"rmin": 0.8}), r"pair CC, rmin \(Å\): library block C \(.*\) has 0.9, the basis has 0.8"),
        (changed_basis(pair={"lambda": 1.5}), r"pair CC, λ \(Å\): library block C \(.*\) has 1.2, the basis has 1.5"),
        (changed_basis(cutoff="TERSOFF 0.5"), r"cutoff function: library block C \(.*\) has CUBIC, .* has TERSOFF 0.5"),
        (changed_basis(transform="INVRSE_R"), r"pair CC, transform: library block C .* MORSE, the basis has INVRSE_R"),
        (changed_basis(three_body={"rmax": 4.6}), r"type CCC, rmax \(Å\) of its CC edges: .* has 4.7, .* has 4.6"),
        (changed_basis((4, 2, 2)), r"C \(.*\), orders: the block and the basis have CC 3 and 4; accept = "),
        (changed_basis((2, 2, 2)), r"type CC, order: library block C .* has 3, the basis has 2"),
        (changed_basis(blocks={"C": {"orders": [3, 2, 0]}}), r"type CCCC, order: .* has 2, the basis has no such type"),
    ],
)  # fmt: skip
def test_a_basis_that_does_not_fit_is_refused_with_both_values(grown, tmp_path, basis, message):
    path = write_both(tmp_path, basis=basis.to_dict(), path=str(grown[0] / "lib"))
    with pytest.raises(MismatchError, match=message):
        _take(path)


def _take(path):
    from hiertl_dist.jobs.fit_job import read_frozen
    from hiertl_dist.jobs.input_file import Input

    job = Input.from_toml(path)
    return read_frozen(job, job.read_frames()[0], SERIAL, lambda _: None)[1]


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"theory": "SCAN"}, r"C \(.*\), theory: the block and the input have 'PBE, 520 eV' and 'SCAN'"),
        ({"theory": {"functional": "PBE"}}, r"theory: .*'PBE, 520 eV' and { functional = 'PBE' }"),
        ({"theory": "unknown"}, r"theory: .*'PBE, 520 eV' and 'unknown'"),
        ({"energy_reference": {"C": -155.0, "N": -1.0, "unit": "eV"}}, "energy_reference: .*C = -154.9 and C = -155.0"),
        ({"energy_reference": {"C": -154.9, "N": -1.0}}, "energy_reference: .*unit = 'eV' and unit = nothing"),
    ],
)
def test_statements_that_differ_are_refused_with_both_values(copied, stated, message):
    with pytest.raises(MismatchError, match=message) as caught:
        _take(write_both(copied, **stated))
    what = next(iter(stated))
    # of each block, but of N where what is stated of C differs
    concerned = ["C", "CN"] if "-155" in message else ["C", "N", "CN"]
    assert len(caught.value.problems) == len(concerned)
    taken = _take(write_both(copied, accept={b: [what] for b in ("C", "N", "CN")}, **stated))
    assert [(d.block, d.what) for d in taken.accepted] == [(b, what) for b in concerned]
    assert sum("WARNING: accepted" in note for note in taken.notes) == len(concerned)


def test_numbers_compare_as_numbers_and_words_without_case(copied):
    taken = _take(write_both(copied, theory="pbe,  520.0 EV", basis=BASIS.to_dict() | {"elements": ["N", "C"]}))
    assert list(taken.entries) == ["N", "C", "CN"]
    assert taken.accepted == ()


VALUES = st.one_of(st.integers(-9, 9), st.from_regex(r"[ab1]+( [ab1]+)?", fullmatch=True))


@given(st.dictionaries(st.sampled_from(["C", "N", "W", "xc", "ecut"]), VALUES, min_size=1))
@settings(max_examples=30, deadline=None)
def test_a_statement_is_the_same_as_itself_in_any_order_and_number(label):
    other = {k: float(v) if isinstance(v, int) else f" {v.upper()} " for k, v in reversed(label.items())}
    assert differing(label, other) == differing(other, label) == ""
    for key in label:
        assert key in differing(label, other | {key: "else"})
    assert (
        differing(for_elements(label, ["C"], ["C", "N", "W"]), {k: v for k, v in label.items() if k not in "NW"}) == ""
    )


WALL = Penalty(2e4, 0.05)
WALLED = {"regulariser": RIDGE, "penalty": {"scale": 2e4, "distance": 0.05}}


@pytest.mark.parametrize("command", ["fit", "search"])
def test_blocks_that_stand_on_nothing_have_the_wall_of_the_library(tmp_path, command):
    """N stands on no block of the library, and CN on both: walls of their own would make a sum impossible."""
    done("fit", write_carbon(tmp_path, fit=WALLED))
    path = write_both(tmp_path, search={"folds": {"count": 2}})
    assert f"wall: that of the frozen models ({WALL})" in done("plan", path)
    assert f"wall: that of the frozen models ({WALL})" in done(command, path)
    results = tmp_path / "hiertl_results"
    assert {Model.read(p).parameters.penalty for p in results.glob("*.params.txt")} == {WALL}
    assert len(list(results.glob("*.params.txt"))) == 3
    if command == "fit":
        assert export_from_library(tmp_path / "lib")[0].parameters.penalty == WALL


def test_walls_that_differ_are_told_or_refused_before_anything_is_fitted(tmp_path):
    done("fit", write_carbon(tmp_path, fit=WALLED))
    named = write_both(tmp_path, fit={"penalty": {"scale": 3e4, "distance": 0.02}})
    told = re.search(
        r"WARNING: penalty: library block C \(.*\) has (.*), the settings name (.*), which", done("plan", named)
    )
    assert told.groups() == (str(WALL), str(Penalty(3e4, 0.02)))
    done("fit", named)
    assert Model.read(tmp_path / "hiertl_results" / "model.params.txt").parameters.penalty == Penalty(3e4, 0.02)
    more = write_both(tmp_path, update=["CN"])
    for command in ("plan", "fit"):
        err = refused(command, more)
        assert all(str(w) in err for w in (WALL, Penalty(3e4, 0.02)))
        assert "penalty = { scale = …, distance = … } in [fit]" in err


def test_what_is_accepted_is_recorded_in_the_block_that_is_fitted_upon_it(tmp_path):
    done("fit", write_carbon(tmp_path))
    path = write_both(tmp_path, basis=changed_basis((4, 2, 2)).to_dict(), theory="SCAN",
                      accept={"C": ["theory", "orders"]})  # fmt: skip
    out = done("fit", path)
    assert "WARNING: accepted: C, theory: the block and the input have 'PBE, 520 eV' and 'SCAN'" in out
    library = open_library(tmp_path / "lib")
    assert library.find("N").accepted == ()
    assert [(a["block"], a["what"]) for a in library.find("CN").accepted] == [("C", "orders"), ("C", "theory")]
    assert library.find("CN").theory == "SCAN"
    with pytest.raises(MismatchError, match=r"'SCAN'.*--accept C:theory"):
        export_from_library(tmp_path / "lib")


def test_a_block_fitted_without_one_that_is_there_now_is_refused(tmp_path):
    """CN fitted upon C alone counts what an N that comes later has, too."""
    frames = frames_of("C", "CN")
    settings_ = LibrarySettings(tmp_path / "lib", "PBE", "none")
    alone = BASIS.with_types(t for t in BASIS.types if t.block != "N")
    options = HierarchyOptions(FitSettings(missing_energies="zero"))
    grow_library(frames, alone, settings_, options=options, executor=SERIAL)
    with pytest.raises(MismatchError, match="it was fitted upon no block N, and it is fitted anew"):
        grow_library(frames_of("N"), BASIS, settings_, executor=SERIAL)


def test_the_settings_name_every_value_at_fault(tmp_path):
    path = write_both(tmp_path, theory="", energy_reference={"C": True, "N": ""}, accept={"CN": ["cutoff"]},
                      versions={"C": 3}, update=["CC"])  # fmt: skip
    err = refused("fit", path)
    for key in ("theory: expected a text", "energy_reference.N: expected a text", "accept.CN: expected some of",
                "versions.C: expected a version", "update: "):  # fmt: skip
        assert f"library.{key}" in err
    assert "cutoffs, λ, transform and cutoff function can't differ" in err
    err = refused("fit", write_job(tmp_path, library={"path": "lib", "theroy": "PBE"}, frozen={"files": ["C.txt"]}))
    assert "did you mean 'theory'" in err
    assert "library.energy_reference: missing" in err
    assert "frozen.files beside it" in err
    assert "update: ['CO'] are not blocks" in refused("fit", write_both(tmp_path, update=["CO"]))
    assert "partial" in refused("fit", write_both(tmp_path, fit={"blocks": {"CN": {"partial": ["C"]}}}))
    assert "library.versions: ['C'] are not in" in refused("fit", write_both(tmp_path, versions={"C": "1"}))
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "mine.txt").write_text("mine")
    assert "expected a library" in refused("fit", write_both(tmp_path))


def test_blocks_that_the_library_has_are_not_fitted_again_unless_that_is_said(copied):
    err = refused("fit", write_both(copied, frames_of("C")), "--blocks", "C")
    assert "only: the library has C already; update = ['C']" in err
    assert "frozen files beside a library" in refused("fit", write_both(copied), "--frozen", copied / "data.extxyz")


# ---- import and export


def test_a_published_file_is_imported_block_by_block_with_what_is_unknown(tmp_path):
    truth = random_parameters(BASIS, 4)
    Model(truth).write(tmp_path / "published.txt")
    out = done("library", "add", tmp_path / "lib", tmp_path / "published.txt", "--theory", "unknown",
               "--energy-reference", "unknown", "--data", "a paper")  # fmt: skip
    assert out.count("; in use") == 3
    library = open_library(tmp_path / "lib")
    both = library.find("CN")
    assert both.lower == {b: library.find(b).version for b in ("C", "N")}
    assert (both.together, both.fit, both.data) == (("C", "N"), {}, {})
    assert both.checked_file("original.txt").read_bytes() == (tmp_path / "published.txt").read_bytes()
    model, _ = export_from_library(tmp_path / "lib")
    assert model.parameters.as_dict() == truth.as_dict()
    with pytest.raises(MismatchError, match="'unknown' and 'PBE, 520 eV'"):
        _take(write_both(tmp_path))
    accept = {b: ["theory", "energy_reference"] for b in ("C", "N", "CN")}
    taken = _take(write_both(tmp_path, accept=accept))
    assert len(taken.accepted) == 6
    taken = _take(write_both(tmp_path, theory="unknown", energy_reference="Unknown"))
    assert any("nobody can tell whether they go together" in note for note in taken.notes)


def test_a_file_of_one_cross_block_stands_on_what_is_stated(grown, tmp_path):
    done("library", "add", tmp_path / "lib", grown[0] / "hiertl_results" / "earlier_1" / "C.params.txt", *_stated())
    results = tmp_path / "results"
    shutil.copytree(grown[0] / "lib", tmp_path / "whole")
    shutil.copytree(open_library(tmp_path / "whole").find("CN").folder, results)
    done("library", "add", tmp_path / "lib", results / "params.txt", *_stated())
    library = open_library(tmp_path / "lib")
    assert library.find("CN").lower == {"C": "unknown", "N": "unknown"}
    with pytest.raises(MismatchError, match="a block C that nobody knows, and"):
        export_from_library(tmp_path / "lib", blocks=["C", "CN"])
    done("library", "add", tmp_path / "lib", results / "params.txt", *_stated(), "--upon", "C", "--use")
    assert open_library(tmp_path / "lib").find("CN").lower == {"C": library.find("C").version, "N": "unknown"}
    # a solution file names what was frozen by its digest
    done("library", "add", tmp_path / "lib", results / "solution.npz", *_stated(), "--use")
    assert open_library(tmp_path / "lib").find("CN").lower["C"] == library.find("C").version
    err = refused("library", "add", tmp_path / "lib", results / "params.txt", *_stated(), "--upon", "CO")
    assert "no lower blocks" in err
    assert "no block 'N'" in refused(
        "library", "add", tmp_path / "lib", results / "params.txt", *_stated(), "--upon", "N"
    )


def _stated():
    return "--theory", "PBE", "--energy-reference", "{ C = -154.9, unit = 'eV' }"


def test_a_file_whose_energies_belong_to_no_block_alone_is_refused(tmp_path):
    parts = [t for t in BASIS.types if t.elements == ("C",) or t.block in ("N", "CN")]
    truth = random_parameters(BASIS, 1)
    Model(truth.with_types(parts)).write(tmp_path / "odd.txt")
    with pytest.raises(InputError, match="energies of free atoms of C"):
        add_to_library(tmp_path / "lib", tmp_path / "odd.txt", theory="PBE", energy_reference="none")
    assert not (tmp_path / "lib").exists()


def test_the_commands_of_a_library(copied):
    out = done("library", "list", copied / "lib")
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["C", "N", "CN"]
    facts = json.loads(done("library", "list", copied / "lib", "--json"))
    assert facts["in_use"]["CN"] == open_library(copied / "lib").find("CN").version
    shown = done("library", "show", copied / "lib", "NC")
    assert facts["in_use"]["CN"] in shown
    assert "RMSE over counted rows" in shown
    assert "no block 'CO'" in refused("library", "show", copied / "lib", "CO")
    assert "no version of C begin with 'zz'" in refused("library", "use", copied / "lib", "C", "zz")
    file = copied / "out.txt"
    done("library", "export", copied / "lib", "--elements", "C", "N", "-o", file, "--rename", "C=Z")
    assert "there already" in refused("library", "export", copied / "lib", "-o", file)
    model = Model.read(file)
    assert sorted(model.elements) == ["N", "Z"]
    assert "block CN, version" in file.read_text()
    done("merge", file, "-o", copied / "part.txt", "--blocks", "N", "--rename", "N=C1")
    part = Model.read(copied / "part.txt").parameters
    assert part.basis.elements == ("C1",)
    own = open_library(copied / "lib").find("N").parameters()
    assert part.coefficients.tobytes() == own.coefficients.tobytes()
    assert "['CO'] are in none of the files" in refused("merge", file, "-o", copied / "x.txt", "--blocks", "CO")
    with pytest.raises(UnknownBlockError, match="no block 'CO'"):
        export_from_library(copied / "lib", blocks=["CO"])
    with pytest.raises(InputError, match=r"\['W'\] are in no block"):
        export_from_library(copied / "lib", elements=["C", "W"])


@pytest.mark.parametrize("names", [{"C": "Z"}, {"C": "N", "N": "C"}, {"N": "B", "C": "C1"}, {"O": "A"}])
def test_a_relabelled_model_says_the_same_of_relabelled_frames(names):
    basis = small_basis((3, 3, 2), ("C", "N", "O"))
    frame = random_frame(("C", "N", "O"), 3)
    before = random_parameters(basis, 2)
    before = replace(before, coverage={"CN:CN": (1.0, 2.0)}, undetermined=({"C": 1.0},))
    after = relabelled(before, names)
    expected = Model(before).evaluate(frame)[0]
    renamed_frame = replace(frame, species=tuple(names.get(s, s) for s in frame.species))
    value = Model(after).evaluate(renamed_frame)[0]
    np.testing.assert_allclose(value.forces, expected.forces, rtol=1e-9, atol=1e-9)
    assert value.energy == pytest.approx(expected.energy, rel=1e-12)
    back = relabelled(after, {v: k for k, v in names.items()})
    assert back.as_dict() == before.as_dict()
    assert back.coverage == before.coverage
    assert back.undetermined == before.undetermined
    with pytest.raises(InputError, match="would both be"):
        relabelled(before, {"C": "N"})
    with pytest.raises(InputError, match=r"\['X'\] are no types"):
        relabelled(before, {"X": "N"})


def test_a_block_that_does_not_go_with_those_in_use_is_told(tmp_path, capsys):
    one, other = (random_parameters(small_basis((2, 0, 0), rmax=r), 1) for r in (5.0, 4.9))
    for name, whole in (("C", one), ("CN", other), ("N", one)):
        Model(only_blocks(whole, {name})).write(tmp_path / f"{name}.txt")
    stated = ["--theory", "PBE", "--energy-reference", "atoms"]
    for name, told in (("C", False), ("N", False), ("CN", True)):
        assert cli.main(["library", "add", str(tmp_path / "lib"), str(tmp_path / f"{name}.txt"), *stated]) == 0
        assert ("does not go with" in capsys.readouterr().err) == told


def test_a_block_of_other_orders_is_accepted_and_one_of_other_cutoffs_or_wall_told_with_both_values(tmp_path):
    """What is added changes nothing that is there; blocks that do not go together are refused where both are used."""

    def add(name, basis, wall=None, seed=1):
        own = only_blocks(random_parameters(basis, seed), {name})
        Model(own if wall is None else replace(own, penalty=wall)).write(tmp_path / f"{name}.txt")
        code, out, err = run("library", "add", tmp_path / "lib", tmp_path / f"{name}.txt", *_stated())
        assert (code, "added" in out) == (0, True)
        return err

    assert "WARNING" not in add("C", small_basis((2, 0, 0))) + add("N", small_basis((5, 3, 0))), "orders are their own"
    told = add("CN", small_basis((2, 2, 0), rmax=4.9))
    for other in ("C", "N"):
        assert (
            f"CN does not go with {other}, which is in use: pair {other}{other}, rmax (Å): CN has 4.9, {other}" in told
        )
    stated = {"theory": "PBE", "energy_reference": {"C": -154.9, "unit": "eV"}}
    accept = {b: ["orders", "lower_blocks"] for b in ("C", "N", "CN")}
    words = ["library", "export", tmp_path / "lib", "-o", tmp_path / "all.txt", "--accept", "CN:lower_blocks"]
    assert re.search(r"rmax \(Å\): .* has 5.0, .* has 4.9", refused(*words))
    basis = small_basis((5, 3, 0)).to_dict()
    err = refused("plan", write_job(tmp_path, frames_of("CN"), basis=basis,
                                    library={"path": "lib", "accept": accept, **stated}))  # fmt: skip
    assert re.search(r"rmax \(Å\): library block CN .* has 4.9, the basis has 5.0", err)
    # upon C and N, whose orders are accepted, a CN of the input's own cutoffs is fitted
    shutil.rmtree(open_library(tmp_path / "lib").find("CN").folder)
    (tmp_path / "lib" / "in_use.json").unlink()
    out = done("plan", write_job(tmp_path, frames_of("CN"), basis=basis,
                                 library={"path": "lib", "accept": {"C": ["orders"]}, **stated}))  # fmt: skip
    assert "accepted: C, orders: the block and the basis have CC 2 and 5; CCC none and 3" in out
    err = add("C", small_basis((2, 0, 0)), WALL, seed=2)
    assert all(text in err for text in ("C does not go with", "penalty: ", str(WALL), str(Penalty())))


def test_predicted_errors_from_files_alone(grown, tmp_path):
    results, lib = grown[0] / "hiertl_results", grown[0] / "lib"
    words = ["evaluate", results / "model.params.txt", "--frames", grown[0] / "data.extxyz"]
    told = json.loads(done(*words, "--covariance", lib, "--json"))["sigma"]
    assert [row["kind"] for row in told["kinds"]] == ["force", "energy", "stress"]
    assert all(0.2 < row["standardised"] < 5.0 for row in told["kinds"])
    assert all(frame["force"] > frame["coefficients"]["force"] > 0.0 for frame in told["frames"])
    text = done(*words, "--covariance", results / "N.covariance.npz", results, "--known", "C", "--csv", tmp_path)
    assert "within 2 σ" in text
    assert "count as known" in text
    assert len((tmp_path / "sigma.csv").read_text().splitlines()) == 1 + len(told["frames"])
    # beside the model are those of N and CN, and of no C, which was fitted in an earlier run
    assert "no covariance of blocks C in" in refused(*words, "--covariance")
    assert "--covariance is asked for" in refused(*words, "--known", "C")
    assert "--ignore-other-elements" in refused(*words, "--covariance", lib, "--ignore-other-elements")


def test_a_fit_says_what_it_leaves_open_unless_told_not_to(tmp_path):
    path = write_job(tmp_path, frames_of("C"), basis=BASIS.restricted("C").to_dict(), fit={"regulariser": RIDGE})
    planned = json.loads(done("plan", path, "--json"))["covariance_bytes"]
    assert "C.covariance.npz, about" in done("fit", path)
    written = tmp_path / "hiertl_results" / "C.covariance.npz"
    assert 0.3 < written.stat().st_size / planned < 1.5
    done("fit", path, "--no-covariance")
    assert not written.exists()  # that of the earlier fit went with it
    assert (written.parent / "earlier_1" / written.name).is_file()
    path = write_job(tmp_path, frames_of("C"), basis=BASIS.restricted("C").to_dict(), output={"covariance": True},
                     fit={"regulariser": {"kind": "svd", "tolerance": 1e-8}})  # fmt: skip
    assert "no C.covariance.npz: posterior: svd says nothing" in done("fit", path)
    assert not written.exists()
