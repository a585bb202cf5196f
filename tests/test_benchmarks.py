"""The benchmarks run, at toy size on the shipped frames, and what they report is right."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from synthetic import HAS_MPI, random_parameters

from hiertl_dist import Basis, executor, fit_block, read_fm_setup, read_frames
from hiertl_dist.evaluation import Model
from hiertl_dist.units import HARTREE_PER_BOHR, KCAL_PER_A3_IN_GPA

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
FRAMES = 3
SETUP = """
# TRJFILE #
    toy.xyzf
# NFRAMES #
    {frames}
# FITSTRS #
    ALL
# FITENER #
    true
# PAIRTYP #
    CHEBYSHEV 4 3 2 -1 1
# CHBTYPE #
    MORSE
# HIERARC #
    true
EXCLUDE 1B INTERACTION: 2
C
N
EXCLUDE 2B INTERACTION: 2
C C
N N
EXCLUDE 3B INTERACTION: 2
C C C
N N N
EXCLUDE 4B INTERACTION: 2
C C C C
N N N N
# NATMTYP #
    2
# TYPEIDX #  # ATM_TYP #  # ATMCHRG #  # ATMMASS #
1 C 0.0 12.0
2 N 0.0 14.0
# PAIRIDX #  # ATM_TY1 #  # ATM_TY1 #  # S_MINIM #  # S_MAXIM #  # S_DELTA #  # MORSE_LAMBDA #
1 C C 0.5 4.0 0.01 1.4
2 N N 0.5 4.0 0.01 1.09
3 C N 0.5 4.0 0.01 1.34
# FCUTTYP #
    CUBIC
# ENDFILE #
"""


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


def forget_benchmarks():
    """Drop every module of that folder, for their names are plain words."""
    for path in BENCHMARKS.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder like that of the DFT frames."""
    return toy_cn_dft(tmp_path_factory.mktemp("toy"))


def toy_cn_dft(folder):
    """Write fm_setup.in, a trajectory, and parameter files of C, N and CN, as the folder of the DFT frames has them."""
    shipped = read_frames(files("hiertl_dist").joinpath("data", "cn_pbe.extxyz.gz"))
    frames = [f for f in shipped if f.elements == {"C", "N"}][:: len(shipped) // 5][:FRAMES]
    (folder / "toy.xyzf").write_text("".join(as_xyzf(f) for f in frames))
    (folder / "fm_setup.in").write_text(SETUP.format(frames=len(frames)))
    table = {"rmin": 0.5, "rmax": 4.0}
    for element, lam in (("C", 1.4), ("N", 1.09)):
        pairs = {2 * element: table | {"lambda": lam}}
        basis = Basis.from_dict({"elements": [element], "orders": [4, 3, 2], "pairs": pairs})
        Model(strong(basis)).write(folder / f"{element}.params.txt.reduced")
    Model(strong(read_fm_setup(folder / "fm_setup.in").basis)).write(folder / "ALC-3.params.txt")
    return folder


def strong(basis):
    """Random coefficients with forces of tens of kcal/mol/Å."""
    made = random_parameters(basis)
    return replace(made, coefficients=300.0 * made.coefficients)


def as_xyzf(frame):
    """One frame of a ChIMES trajectory."""
    cell, stress = frame.cell.ravel(), frame.stress * KCAL_PER_A3_IN_GPA
    header = " ".join(repr(float(x)) for x in (*cell, *stress, frame.energy))
    numbers = np.hstack([frame.positions, frame.forces / HARTREE_PER_BOHR])
    atoms = [f"{s} {' '.join(repr(float(x)) for x in row)}" for s, row in zip(frame.species, numbers, strict=True)]
    return "\n".join([str(len(frame)), f"NON_ORTHO {header}", *atoms, ""])


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


RUNS = ["serial:1", "processes:2", *(["mpi:2"] if HAS_MPI else [])]


def test_same_bits_prints_one_digest_for_all_executors(benchmarks, data, tmp_path, capsys):
    out = tmp_path / "bits.json"
    sizes = ["--full", "--tile-kib", "64", "--leaf-rows", "1"]
    assert benchmarks["bits"].main(["--data", str(data), *sizes, "--out", str(out), "--runs", *RUNS]) == 0
    report = json.loads(out.read_text())
    assert report["same"]
    assert [(f["run"], f["rows"]) for f in report["fits"]] == [(r, k) for r in RUNS for k in ("kept", "streamed")]
    assert report["fits"][0]["leaves"] > 1
    assert "the same bits on every process of all" in capsys.readouterr().out
