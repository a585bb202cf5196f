"""Solutions record by what single rows were multiplied, from fits and from kept summaries, and say so."""

from __future__ import annotations

import re

from job_files import job_frames, write_job
from synthetic import small_basis

from hiertl_dist import Solution, open_summaries, solve, summarise, view
from hiertl_dist.cli.commands import main
from hiertl_dist.executors import executor
from hiertl_dist.fitting.block_fit import fit_block
from hiertl_dist.fitting.settings import FitSettings
from hiertl_dist.frames.frame_sequence import FrameList
from hiertl_dist.frames.row_weights import RowWeights
from hiertl_dist.io.weight_files import read_frame_weights
from hiertl_dist.text.result_cards import conditions_text

FRAMES = job_frames({"C": 3})[0]
BASIS = small_basis((3, 2, 0), elements=("C",))
SERIAL = executor("serial")
RIDGE = {"kind": "ridge", "alpha": 1e-3}


def test_fits_and_kept_summaries_record_weights_of_rows(tmp_path):
    (tmp_path / "weights.dat").write_text("frame,energy\n1,2.0\n2,3.0\n3,1.0\n")
    listed = read_frame_weights(tmp_path / "weights.dat", FrameList(FRAMES))
    weights = RowWeights(force="1 / (1 + max_force)", listed=listed)
    settings = FitSettings(RIDGE, weights={}, row_weights=weights)
    fitted = fit_block(FRAMES, BASIS, "C", settings=settings, executor=SERIAL).solution
    assert fitted.row_weights == {**weights.as_dict(), "listed_from": listed.source}
    fitted.save(tmp_path / "C.npz")
    assert Solution.load(tmp_path / "C.npz").row_weights == fitted.row_weights
    said = conditions_text(fitted)
    assert "weights 1 for every group of rows, and of single rows: force 1 / (1 + max_force), as listed in" in said
    assert "weights.dat" in said
    assert listed.digest[:12] in said

    kept = summarise(FRAMES, BASIS, summaries=tmp_path / "summaries", row_weights=weights, folds=None, executor=SERIAL)
    assert solve(view(kept, weights={}), RIDGE).row_weights == fitted.row_weights
    opened = solve(view(open_summaries(tmp_path / "summaries"), weights={}), RIDGE)
    assert opened.row_weights == weights.as_dict(), "the file is of no matter to what was kept; its content is"

    plain = fit_block(FRAMES, BASIS, "C", settings=FitSettings(RIDGE, weights={}), executor=SERIAL).solution
    assert plain.row_weights == {}
    assert "single rows" not in conditions_text(plain)


def test_the_page_of_a_run_names_the_file(tmp_path):
    lines = "".join(f"{i},2.0\n" for i in range(1, len(FRAMES) + 1))
    (tmp_path / "weights.csv").write_text(f"frame,energy\n{lines}")
    fit = {"regulariser": RIDGE}
    path = write_job(tmp_path, FRAMES, basis=BASIS.to_dict(), fit=fit, weights={"frames": "weights.csv"})
    assert main(["fit", str(path)]) == 0
    results = tmp_path / "hiertl_results"
    assert main(["report", str(results), "--no-figures"]) == 0
    page = (results / "report.html").read_text()
    (told,) = re.findall(r'weights of single rows</td><td class="text"[^>]*>(.*?)</td>', page)
    assert told.startswith("file ")
    assert told.endswith("weights.csv")
