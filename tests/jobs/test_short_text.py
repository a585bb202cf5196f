"""The screen of a fit of many blocks: a line a block, what matters of tables, all warnings; the file has all of it."""

from __future__ import annotations

import contextlib
import io
import re

import pytest
from job_files import write_job
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist.cli import commands as cli
from hiertl_dist.jobs.short_text import Screen

ELEMENTS = ("C", "N", "O")
BASIS = small_basis((3, 0, 0), ELEMENTS)
FIT = {"regulariser": {"kind": "ridge", "alpha": 0.01}, "penalty": {"scale": 1e4, "distance": 0.6}}


def run(*words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(w) for w in words])
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A fit of six blocks, of frames of many compositions and groups, whose wall acts on them."""
    folder = tmp_path_factory.mktemp("fitted")
    counts = {"C": 3, "N": 3, "O": 3, "CN": 7, "CO": 7, "NO": 7}
    frames = random_frames(counts, groups=tuple(f"g{k}" for k in range(15)))
    path = write_job(folder, labelled(frames, random_parameters(BASIS, 3)), basis=BASIS.to_dict(), fit=FIT)
    code, out, err = run("fit", path)
    assert code == 0, err
    return path, out, (folder / "hiertl_results" / "report.txt").read_text(), frames


def test_each_block_has_a_line_while_it_is_fitted_and_one_at_the_end(fitted):
    _, out, whole, _ = fitted
    for block in ("C", "N", "O", "CN", "CO", "NO"):
        assert len(re.findall(rf"^  {block}: \d+ columns, .* RMSE", out, re.M)) == 1
        assert len(re.findall(rf"^{block} +\d+ +\d+ ", out.partition("\nfitted frames\n")[0], re.M)) == 1
    assert "covariance.npz, about" not in out
    assert whole.count("covariance.npz, about") == 6
    assert len(out.splitlines()) < 0.6 * len(whole.splitlines())


def test_nothing_is_lost(fitted):
    path, out, whole, _ = fitted
    lines = {line.strip() for line in whole.splitlines()}
    told = out.partition("\nwritten:")[0]
    for line in told.splitlines():
        words = line.strip()
        shortened = words.startswith(("not shown here", "… and", "block  ", "─")) or re.match(
            r"(C|N|O|CN|CO|NO) +\d", words
        )
        assert shortened or words in lines, line
    (pointer,) = re.findall("not shown here: (.*)", told)
    assert str(path.parent / "hiertl_results" / "report.txt") in pointer
    assert "lines of single blocks" in pointer
    assert "conditioned on" in whole
    assert "group g6" in whole
    assert "group g6" not in told


def table(text):
    """Errors by composition."""
    return text.partition("\nfitted frames\n")[2].partition("RMSE (reference")[0]


def test_every_warning_is_on_the_screen(fitted):
    _, out, whole, _ = fitted
    warned = {line.strip() for line in whole.splitlines() if "WARNING" in line}
    assert len(warned) >= 6, "the wall acts on frames of every block"
    shown = {line.strip() for line in out.splitlines()}
    assert warned <= shown


def test_compositions_with_the_largest_errors_are_shown_and_others_counted(fitted):
    _, out, whole, frames = fitted
    compositions = {f.composition for f in frames}
    assert len(compositions) > 12
    errors, every = (
        {name: float(value) for name, value in re.findall(r"^(\S+) +\d+ +\S+ +!?(\d\S*)", table(text), re.M)}
        for text in (out, whole)
    )
    del every["all"]
    assert set(every) == compositions
    assert len(errors) == 12
    assert "all" in errors
    least = min(e for c, e in errors.items() if c != "all")
    assert all(e <= least for c, e in every.items() if c not in errors)
    assert f"… and {len(compositions) - 11} compositions with smaller errors" in out


def test_a_run_that_fails_shows_what_it_held_back(fitted, monkeypatch):
    path = fitted[0]

    def fail(*_, **__):
        raise ValueError("no report")

    monkeypatch.setattr("hiertl_dist.jobs.fit_job.report_writers", fail)
    code, out, err = run("fit", path)
    assert code == 2
    assert "no report" in err
    assert "said until then of single blocks:" in out
    assert out.count("covariance.npz, about") == 6


def test_few_blocks_are_told_in_full():
    few, many = Screen(4), Screen(5)
    for line in ("block CN: nothing frozen", "C, N: fitted side by side", "block C is fitted", "  note: of it"):
        assert few.shows(line)
        assert not many.shows(line)
    assert len(many.held) == 4
    for line in ("  note: WARNING: of it", "failed: it", "  C: 3 columns, 4 rows, rank 3", "note: of all",
                 "block CO is left out of the model: no frame"):  # fmt: skip
        assert many.shows(line)
