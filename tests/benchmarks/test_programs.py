"""The benchmarks run, at toy size on the shipped frames, and what they report is right."""

from __future__ import annotations

import json

import numpy as np
import pytest
from benchmark_toys import BENCHMARKS, FRAMES, forget_benchmarks, toy_cn_dft
from synthetic import HAS_MPI

from hiertl_dist import executor, fit_block


@pytest.fixture(scope="module")
def benchmarks():
    """The scripts and what they share, as modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import cn_dft_chain
        import measure
        import same_bits

        yield {"chain": cn_dft_chain, "measure": measure, "bits": same_bits}
    forget_benchmarks()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder like that of the DFT frames."""
    return toy_cn_dft(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def fitted(benchmarks, data):
    """What fit_block says of the same problem."""
    chain = benchmarks["chain"]
    problem = chain.read_problem(data, FRAMES)
    with executor("serial") as runner:
        return fit_block(
            problem.frames, problem.basis, "CN", frozen=problem.frozen, settings=chain.SETTINGS, executor=runner
        ).solution


@pytest.mark.parametrize("mode", ["--keep-rows", "--stream"])
def test_the_chain_reports_the_fit_that_fit_block_makes(benchmarks, data, fitted, tmp_path, capsys, mode):
    out = tmp_path / "results.json"
    arguments = ["--data", str(data), "--frames", str(FRAMES), mode, "--in-process", "--out", str(out)]
    assert benchmarks["chain"].main(arguments) == 0
    report = json.loads(out.read_text())
    checks, steps = report["checks"], report["steps"]
    digest = benchmarks["chain"].hashlib.sha256(fitted.parameters.coefficients.tobytes()).hexdigest()
    assert report["coefficients_sha256"] == digest
    assert checks["fit"]["all"] == pytest.approx(fitted.rmse, rel=1e-6)
    by_kind = {name.rpartition("/")[2]: r for name, r in fitted.residuals.items()}
    assert checks["fit"]["forces"] == pytest.approx(by_kind["force"].rmse, rel=1e-6)
    assert checks["target"]["after"]["energies"] == pytest.approx(by_kind["energy"].target_rms, rel=1e-9)
    assert checks["gradient"] < 1e-9
    assert ("stream" in steps) == (mode == "--stream") != ("subtract" in steps)
    assert set(steps) >= {"read", "plan", "solve", "rows a frame", "evaluate C", "evaluate N"}
    assert all(s["cpu_seconds"] >= 0 and s["peak_bytes"] > 0 for s in steps.values())
    printed = capsys.readouterr().out
    assert "| **the chain** |" in printed
    assert printed == out.with_suffix(".md").read_text()


def test_lsq_rows_are_ours_with_repeats(benchmarks, data):
    chain = benchmarks["chain"]
    frame = chain.read_problem(data, 1).frames[0]
    layout, first = chain.lsq_rows(frame), 3 * len(frame)
    assert list(layout[:first]) == list(range(first))
    assert list(layout[first:] - first) == [0, 3, 4, 3, 1, 5, 4, 5, 2, 6, 6, 6]


def test_a_step_is_measured_in_a_process_of_its_own(benchmarks):
    measure = benchmarks["measure"]
    found = measure.measure(_touching, 2**28, warm=False, repeats=2)
    assert len(found.cpu) == len(found.wall) == 2
    assert found.value != measure.os.getpid()
    assert found.peak - found.before == pytest.approx(2**28, rel=0.05)


def _touching(size):
    import os

    def work():
        np.ones(size // 8).sum()
        return os.getpid()

    return work


RUNS = ["serial:1", "mpi:2" if HAS_MPI else "processes:2"]


def test_same_bits_prints_one_digest_for_all_executors(benchmarks, data, tmp_path, capsys):
    out = tmp_path / "bits.json"
    sizes = ["--full", "--tile-kib", "64", "--leaf-rows", "1"]
    assert benchmarks["bits"].main(["--data", str(data), *sizes, "--out", str(out), "--runs", *RUNS]) == 0
    report = json.loads(out.read_text())
    assert report["same"]
    assert [(f["run"], f["rows"]) for f in report["fits"]] == [(r, k) for r in RUNS for k in ("kept", "streamed")]
    assert report["fits"][0]["leaves"] > 1
    assert "the same bits on every process of all" in capsys.readouterr().out
