"""Every benchmark of ``benchmarks/run.py`` at toy size, on frames like the DFT ones, and what they share."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from benchmark_toys import BENCHMARKS, forget_benchmarks, toy_cn_dft
from synthetic import HAS_MPI

MODULES = (
    "bench", "clocked", "cost_model", "end_to_end", "launched", "measure", "paper_frames", "paper_scale", "peers",
    "row_kernels", "run", "scaling",
)  # fmt: skip


@pytest.fixture(scope="module")
def suite():
    """The modules of the benchmarks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    forget_benchmarks()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of data sets that has toy DFT frames, and no others."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "cn_dft").mkdir()
    toy_cn_dft(folder / "cn_dft")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("paper")


def run_one(suite, name, root, out, *more):
    """The record and the Markdown of one benchmark, through the one command."""
    words = ["--toy", "--in-process", "--data", str(root), "--out", str(out), "--only", name, *map(str, more)]
    assert suite.run.main(words) == 0
    report = (out / "report.md").read_text()
    assert (out / f"{name}.md").read_text().strip() in report
    return json.loads((out / f"{name}.json").read_text()), report


@pytest.fixture
def options(suite, root, cache, tmp_path):
    return suite.bench.Options(tmp_path, root, toy=True, apart=False, cache=cache, scale=0.01)


def test_a_record_names_machine_threads_blas_and_commit(suite, root, tmp_path):
    record, report = run_one(suite, "evaluation", root, tmp_path)
    machine = record["machine"]
    assert {"commit", "versions", "blas", "cpu", "load", "openblas_coretype_preset"} <= set(machine)
    assert all(b["architecture"] for b in machine["blas"])
    assert all(b["threads"] == 1 for b in suite.measure.machine()["blas"]), "of a process as the measured ones are"
    assert record["toy"]
    assert "Toy size: the figures mean nothing" in report
    assert set(record["cases"]) == {"C", "N", "C and N", "ALC-3", "ASE calculator: C + N + CN"}
    assert all(case["seconds_a_frame"] > 0 for case in record["cases"].values())


def test_row_kernels_count_entries_and_say_what_is_absent(suite, root, tmp_path):
    record, report = run_one(suite, "row_kernels", root, tmp_path)
    cases = record["cases"]
    assert set(cases) == {"CN, two-body only", "CN, two- and three-body", "CN", "C", "N"}
    assert cases["CN, two-body only"]["columns"] < cases["CN, two- and three-body"]["columns"] < cases["CN"]["columns"]
    assert cases["CN"]["entries"] == cases["CN"]["rows"] * cases["CN"]["columns"]
    assert cases["CN"]["ratio_to_dsyrk"] > 0
    assert [s["atoms"] for s in record["sizes"]] == [2, 16]
    assert set(record["absent"]) == {"hydrogen", "carbon"}
    assert "not measured: hydrogen: not there: " in report


def test_row_kernels_on_the_authors_trajectories(suite, shared, tmp_path):
    options = suite.bench.Options(tmp_path, shared, toy=True, apart=False)
    for name, columns in (("hydrogen", 287), ("carbon", 42)):
        found = suite.row_kernels.derived(options.value(suite.row_kernels.timing, options, name))
        assert found["columns"] == columns
        assert found["entries_per_second"] > 0


def test_the_cost_model_is_held_against_the_clock(suite, root, tmp_path):
    record, report = run_one(suite, "cost_model", root, tmp_path)
    assert set(record["absent"]) == {"`hydrogen`", "`monbtaw`: Mo, Ta"}
    assert len({tile["block"] for tile in record["tiles"]["`cn_pbe`"]}) > 1
    assert all(t["predicted"] > 0 and t["measured"] > 0 for own in record["tiles"].values() for t in own)
    assert "crystals, CN: 16 atoms" in report


def test_whole_fits_are_held_against_their_parts(suite, root, tmp_path):
    record, report = run_one(suite, "end_to_end", root, tmp_path)
    assert set(record["chains"]) == {"kept", "streamed"}
    assert len({own["coefficients_sha256"] for own in record["chains"].values()}) == 1
    assert set(record["fits"]) == {"CN", "C"}
    assert set(record["absent"]) == {"streaming fit of H"}
    assert all(own["fit_ratio"] > 0 for own in record["fits"].values())
    assert "| **the chain, streamed** |" not in report
    assert report.count("| **the chain** |") == 2


def test_peers_that_are_not_there_are_reported(suite, root, tmp_path):
    record, report = run_one(suite, "peers", root, tmp_path)
    assert set(record["rows"]) == {"ours, CN, up to three bodies", "ours, CN"}
    assert "no --peers-python was given" in report
    solvers = record["solvers"]["least squares"]["solvers"]
    assert {"ours: TSQR", "numpy.linalg.lstsq", "numpy.linalg.qr of [A b]", "dask.array.linalg.tsqr"} <= set(solvers)
    assert max(own["error"] for own in solvers.values()) < 1e-6
    assert solvers["ours: TSQR"]["rms"] == pytest.approx(solvers["numpy.linalg.lstsq"]["rms"], rel=1e-6)
    lasso = record["solvers"]["LASSO"]["solvers"]
    assert lasso["ours: TSQR, exact"]["error"] < lasso["scikit-learn Lasso, as it is set"]["error"]


def test_a_peer_that_fails_says_why(suite, options, tmp_path):
    frames = suite.peers.save_frames(options)
    which = next(iter(suite.peers.ACE))
    missing = replace(options, peers_python=tmp_path / "python")
    assert suite.peers.peer_rows(missing, which, frames) == f"there is no interpreter {tmp_path / 'python'}"
    without = replace(options, peers_python=Path(sys.executable))
    assert "No module named 'pyace'" in suite.peers.peer_rows(without, which, frames)


@pytest.fixture(scope="module")
def paper(suite, root, cache, tmp_path_factory):
    """paper_scale at a hundredth, kept and streamed."""
    out = tmp_path_factory.mktemp("out")
    return run_one(suite, "paper_scale", root, out, "--cache", cache, "--frames-scale", 0.01)


def test_paper_scale_fits_every_block_both_ways(suite, paper):
    record, report = paper
    assert set(record["modes"]) == {"kept", "streamed"}
    assert record["frames"] == {"C": 11, "N": 3, "CN": 2}
    assert record["rows_as_lsq_counts"] == {b: n * (3 * 32 + 12) for b, n in record["frames"].items()}
    for mode, found in record["modes"].items():
        assert list(found["blocks"]) == ["C", "N", "CN"]
        for name, block in found["blocks"].items():
            done = {step["what"] for step in block["steps"]}
            assert {"look at frames", f"reduce {name}", f"solve {name}", "rest"} <= done
            assert ("assemble" in done) == (mode == "kept")
            assert block["cpu"] == pytest.approx(sum(s["cpu"] for s in block["steps"]))
            assert block["kkt_gap"] < 1e-4
        assert found["peak"] > 2**20
    kept, streamed = (record["modes"][m]["blocks"] for m in ("kept", "streamed"))
    for name in kept:
        assert kept[name]["coefficients"] == streamed[name]["coefficients"]
        assert kept[name]["rows"] == record["frames"][name] * (3 * 32 + 7)
    assert "**streamed, all**" in report


def test_paper_scale_recovers_what_made_the_labels(paper):
    c = paper[0]["modes"]["kept"]["blocks"]["C"]
    assert c["held_out"]["forces"] < 0.5 * paper[0]["noise"]["force"]
    assert c["held_out"]["forces_rms"] > 20
    assert 0 < c["coefficients"]["scaled"] < 0.05
    assert c["coefficients"]["true_nonzeros"] == c["columns"]


def test_made_frames_keep_their_distance(suite, options, monkeypatch):
    made = suite.paper_frames
    problem = made.read_problem(options.data / "cn_dft", 2)
    limit = made.limits(made.published(options.data / "cn_dft").basis)
    assert limit == pytest.approx({"CC": 0.51, "CN": 0.51, "NN": 0.51})
    frame, thrown = made.make_frame(problem.frames[0], limit, (1, 2))
    assert thrown == 0
    assert 0.04 < np.abs(frame.positions - problem.frames[0].positions).max() <= made.DISPLACEMENT
    again, _ = made.make_frame(problem.frames[0], limit, (1, 2))
    assert np.array_equal(frame.positions, again.positions)
    monkeypatch.setattr(made, "TRIES", 2)
    far = dict.fromkeys(limit, 1.29)
    with pytest.raises(ValueError, match=r"2 displacements .* apart, expected more than 1\.2900 Å"):
        made.make_frame(problem.frames[0], far, (1, 2))


def test_made_frames_are_kept(suite, options, monkeypatch):
    made, paper = suite.paper_frames, suite.paper_scale
    first = paper.load(options, ["CN"])["CN"]
    monkeypatch.setattr(made, "_make", None)
    second = paper.load(options, ["CN"])["CN"]
    assert [f.digest for f in first.fitted] == [f.digest for f in second.fitted]
    assert len(first.held_out) == made.HELD_OUT
    model = made.Model(made.published(options.data / "cn_dft"))
    clean, noisy = model.evaluate([first.held_out[0], first.fitted[0]])
    assert np.array_equal(clean.forces, first.held_out[0].forces)
    assert 0.5 < np.std(noisy.forces - first.fitted[0].forces) < 2.0


def test_scaling_compares_with_processes_that_run_at_once(suite, root, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(suite.scaling, "KINDS", ("processes",))
    record, report = run_one(suite, "scaling", root, tmp_path, "--cache", cache, "--frames-scale", 0.01)
    assert set(record["workers"]) == {"1", "2"}
    assert record["workers"]["2"]["processes"]["kept"] > 0
    assert record["overhead_seconds"]["serial"] >= 0
    assert "2 serial at once, mean" in report


def test_a_watched_executor_counts_its_workers(suite):
    from hiertl_dist import executor

    with executor("processes", workers=2) as inner:
        watched = suite.clocked.Clocked(inner)
        assert watched.workers == 2
        assert watched.run(_burn, [0.3, 0.3], what="solve it") == [0.3, 0.3]
        assert watched.reduce(_burn, max, [0.1, 0.2], what="reduce") == 0.2
    first, second = watched.taken()
    assert watched.taken() == []
    assert watched.solved == [0.3, 0.3]
    assert (first["what"], second["what"]) == ("solve it", "reduce")
    assert first["cpu"] > 0.55
    assert first["peak"] > 2**20


def _burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return seconds


def test_calls_are_made_in_new_interpreters(suite, tmp_path, capfd):
    # of a module that imports little
    assert suite.launched.launch_at_once("measure:figure", [[1.0], [0.5, 2]], tmp_path) == ["1.00", "0.50"]
    with pytest.raises(RuntimeError, match="measure:figure: exit code 1, 0 answers"):
        suite.launched.launch("measure:figure", ["far"], tmp_path)
    assert "ValueError" in capfd.readouterr().err


@pytest.mark.mpi
@pytest.mark.skipif(not HAS_MPI, reason="mpi4py and an mpiexec are not both here")
def test_calls_are_made_by_ranks(suite, tmp_path):
    assert suite.launched.launch("measure:figure", [1.2], tmp_path, ranks=2) == ["1.20", "1.20"]


@pytest.mark.parametrize("name", ["reduction", "store_io"])
def test_arithmetic_and_store_by_themselves(suite, root, tmp_path, name):
    record, report = run_one(suite, name, root, tmp_path)
    assert record["benchmark"] == name
    assert f"## {name}" in report


def test_one_that_fails_is_reported(suite, root, tmp_path, monkeypatch):
    def broken(options):
        raise ValueError("no such thing")

    evaluation = importlib.import_module("evaluation")
    monkeypatch.setattr(evaluation, "BENCHMARK", suite.bench.Benchmark("evaluation", "It breaks.", broken, str))
    words = ["--toy", "--in-process", "--data", str(root), "--out", str(tmp_path), "--only", "evaluation"]
    assert suite.run.main(words) == 1
    assert "ValueError: no such thing" in (tmp_path / "report.md").read_text()
    assert "failed" in json.loads((tmp_path / "evaluation.json").read_text())


def test_the_one_command_knows_every_benchmark():
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "run.py"), "--help"], capture_output=True, text=True, check=True
    )
    having = {p.stem for p in BENCHMARKS.glob("*.py") if "BENCHMARK: Final = Benchmark(" in p.read_text()}
    assert having
    assert all(name in done.stdout for name in having)
