"""More kinds of files for ``mutations_files.py``: covariances, what ``report`` reads, checkpoints of a pass."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from damaged_files import Kind, frames_file
from mutations_models import mutate

if TYPE_CHECKING:
    from pathlib import Path

    from hiertl_dist.fitting.checkpoints import PassFolder

TILES: Final = ("first", "second")
JOB: Final = """
[basis]
elements = ["C", "N"]
orders = [3, 2, 0]
[basis.pairs]
CC = {{ rmin = 0.8, rmax = 4.0, lambda = 1.3 }}
CN = {{ rmin = 0.8, rmax = 4.0, lambda = 1.3 }}
NN = {{ rmin = 0.8, rmax = 4.0, lambda = 1.3 }}
[[data]]
path = "{frames}"
group_key = "config"
[fit]
regulariser = {{ kind = "ridge", alpha = 1e-3 }}
[output]
folder = "{folder}"
[executor]
kind = "serial"
[search]
strategy = "grid"
folds = 2
[search.grid]
regulariser = {{ kind = "ridge", alpha = [1e-3, 1e-2] }}
"""


def _command(*words: object) -> str:
    """What a command prints."""
    from hiertl_dist.cli.commands import main

    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(io.StringIO()):
        if code := main([str(word) for word in words]):
            raise RuntimeError(f"{words}: exit code {code}: {printed.getvalue()}")
    return printed.getvalue()


def _job(folder: Path) -> Path:
    job = folder.parent / f"{folder.name}-job.toml"
    job.write_text(JOB.format(frames=frames_file(folder), folder=folder / "results"), encoding="utf-8")
    return job


def _write_fit(folder: Path) -> None:
    _command("fit", _job(folder), "--csv")


def _write_search(folder: Path) -> None:
    _command("search", _job(folder), "--no-plot")


def _write_evaluation(folder: Path) -> None:
    _write_fit(folder)
    words = ("evaluate", folder / "results" / "model.params.txt", "--frames", frames_file(folder))
    printed = _command(*words, "--group-key", "config", "--json")
    (folder / "evaluation.json").write_text(printed, encoding="utf-8")


def _write_tables(folder: Path) -> None:
    _write_fit(folder)
    words = ("evaluate", folder / "results" / "model.params.txt", "--frames", frames_file(folder))
    _command(*words, "--group-key", "config", "--csv", folder / "tables")


def _page(path: Path) -> str:
    """The page of a report, as text."""
    from hiertl_dist.pages.html_page import html_text
    from hiertl_dist.pages.report_page import report_page
    from hiertl_dist.pages.results_folder import read_results

    return html_text(report_page(read_results(path), draw=False))


def _read_covariances(folder: Path) -> Any:
    from hiertl_dist import Model, read_posterior

    results = folder / "results"
    model = Model.read(results / "model.params.txt")
    whole = read_posterior(model, *sorted(results.glob("*.covariance.npz")))
    return repr(whole), [p.tobytes() for part in whole.blocks.values() for p in part.arrays().values()]


def _pass(folder: Path) -> PassFolder:
    from hiertl_dist.fitting.checkpoints import Checkpoints, opened_pass

    made = opened_pass(Checkpoints(folder / "cut"), "a" * 64, 2, lambda: 1, "a pass")
    assert made is not None
    return made


def _write_checkpoints(folder: Path) -> None:
    from hiertl_dist.algebra import RFactor
    from hiertl_dist.fitting.leaves import Reduced
    from hiertl_dist.frames.rows import Group

    place, rng = _pass(folder), np.random.default_rng(3)
    for lo, rows in ((0, 12), (1, 3)):
        buffer = rng.normal(size=(rows, 6))
        reduced = Reduced(RFactor.of_buffer(np.asfortranarray(buffer)), np.sum(buffer**2, axis=0))
        place.write(lo, lo + 1, TILES[lo : lo + 1], {Group("a", "force", "C"): reduced})


def _read_checkpoints(folder: Path) -> Any:
    place = _pass(folder)
    parts = [place.read(lo, lo + 1, TILES[lo : lo + 1]) for lo in sorted(place.complete)]
    return [
        (lo, tuple(group), own.summary.r.tobytes(), own.squares.tobytes())  # type: ignore[attr-defined]
        for lo, part in zip(sorted(place.complete), parts, strict=True)
        for group, own in part.items()
    ]


RESULTS: Final = (
    Kind("covariances", _write_fit, _read_covariances, "results/*.covariance.npz", checked=True),
    Kind("results of a fit", _write_fit, lambda folder: _page(folder / "results"), "results/*.json", mutate),
    Kind("results of a search", _write_search, lambda folder: _page(folder / "results"), "results/*.json", mutate),
    Kind("evaluation", _write_evaluation, lambda folder: _page(folder / "evaluation.json"), "evaluation.json", mutate),
    Kind("tables", _write_tables, lambda folder: _page(folder / "tables"), "tables/*.csv", mutate),
    Kind("checkpoints", _write_checkpoints, _read_checkpoints, "cut/*/*", checked=True),
)  # fmt: skip
