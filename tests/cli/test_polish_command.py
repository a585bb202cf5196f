"""``hiertl-dist polish``: from the input and the model of a fit to a model of which chosen blocks were fitted again."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from job_files import job_frames, write_job

from hiertl_dist.cli import commands as cli
from hiertl_dist.evaluation.energies import read_parts
from hiertl_dist.model.solution import Solution

RIDGE = {"kind": "ridge", "alpha": 0.01}
SMALL = {"C": 3, "N": 3, "CN": 4}


@pytest.fixture
def run(capsys):
    def command(*words):
        code = cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        return code, out, err

    return command


def noisy(frames):
    return [
        replace(f, forces=f.forces + np.random.default_rng(i).normal(scale=0.3, size=f.forces.shape))
        for i, f in enumerate(frames)
    ]


def test_a_model_is_polished(run, tmp_path):
    path = write_job(tmp_path, noisy(job_frames(SMALL)[0]), fit={"regulariser": RIDGE})
    assert run("fit", path)[0] == 0
    results = tmp_path / "hiertl_results"
    model = results / "model.params.txt"
    bytes_before = model.read_bytes()
    code, out, err = run("polish", path, "--blocks", "CN", "--hold", "C=10")
    assert (code, err) == (0, "")
    assert "polished: blocks C, CN, ridge alpha 0.01" in out
    assert "before" in out
    before, after = read_parts(model).as_dict(), read_parts(results / "polished" / "model.params.txt").as_dict()
    changed = {c.block for c in after if c.powers and after[c] != before[c]}
    assert (changed, after.keys()) == ({"C", "CN"}, before.keys())
    assert {c: v for c, v in after.items() if not c.powers} == pytest.approx(
        {c: v for c, v in before.items() if not c.powers}, rel=1e-12
    )
    assert Solution.load(results / "polished" / "polished.solution.npz").prior["mean"]["source"].endswith("(C, CN)")
    assert model.read_bytes() == bytes_before
    # from the summaries that are there, all at once, elsewhere
    code, out, err = run("polish", path, "--blocks", "C", "N", "CN", "--prior", "zero", "--model", model,
                         "--output", tmp_path / "other", "--json")  # fmt: skip
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["solution"]["blocks"] == ["C", "N", "CN"]
    assert found["errors"]["after"]["fitted"]["all"]["force"] < found["errors"]["before"]["fitted"]["all"]["force"]
    assert (tmp_path / "other" / "model.params.txt").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hold", "much"], "--hold: expected one number, or BLOCK=NUMBER such as C=100, each once, found 'much'"),
        (["--hold", "C=1", "C=2"], "found 'C=2'"),
        (["--hold", "C=x"], "found 'C=x'"),
    ],
)
def test_strengths_that_are_none(run, tmp_path, words, message):
    code, _, err = run("polish", write_job(tmp_path, job_frames(SMALL)[0]), "--blocks", "CN", *words)
    assert code == 2
    assert message in err
