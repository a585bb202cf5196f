"""The figure of a search: the front of Pareto against its definition, and what a person has to see."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiertl_dist.jobs.search_report import MOST_ACROSS, pareto, plot_search, pm, search_figure
from hiertl_dist.model_selection.choice import Candidate, choose
from hiertl_dist.model_selection.search_settings import Choice

pytest.importorskip("matplotlib")


def model(cost, score, error=0.1, **more):
    return Candidate(Choice({"kind": "ridge", "alpha": score}), 10, cost, score, error, nonzeros=(10,), **more)


def stage(candidates, name="CN"):
    selection = choose(candidates, "one_se")
    chosen, best = selection.candidates[selection.chosen], selection.candidates[selection.best]
    return SimpleNamespace(name=name, selection=selection, chosen=chosen, best=best)


MODELS = [model(1e-6 * c, s) for c, s in ((1, 5.0), (2, 2.0), (3, 3.0), (4, 1.0), (5, 1.05), (5, 4.0))]


def figure(*stages):
    return search_figure(SimpleNamespace(stages=stages))


def labelled(fig):
    (legend,) = fig.legends
    return dict(zip([t.get_text() for t in legend.get_texts()], legend.legend_handles, strict=True))


positive = st.integers(1, 6)


@given(st.lists(st.tuples(positive, positive), min_size=1, max_size=12))
def test_the_front_has_those_that_none_is_cheaper_and_better_than(pairs):
    listed = [model(float(c), float(s)) for c, s in pairs]
    front = pareto(listed)
    by_definition = {
        (a.cost, a.score) for a in listed
        if not any((b.cost <= a.cost and b.score < a.score) or (b.cost < a.cost and b.score <= a.score) for b in listed)
    }  # fmt: skip
    assert [(c.cost, c.score) for c in front] == sorted(by_definition)


def test_the_line_of_the_front():
    (ax,) = figure(stage(MODELS)).axes
    (line,) = [x for x in ax.lines if x.get_drawstyle() == "steps-post"]
    np.testing.assert_allclose(line.get_xydata(), [(1, 5.0), (2, 2.0), (4, 1.0), (5, 1.0)])


def test_what_the_guard_keeps_out_is_not_on_the_front():
    kept_out = replace(MODELS[1], rejected="it is worse for C")
    given_stage = stage(MODELS)
    selection = replace(given_stage.selection, candidates=(MODELS[0], kept_out, *MODELS[2:]))
    (ax,) = (fig := figure(SimpleNamespace(**{**vars(given_stage), "selection": selection}))).axes
    (line,) = [x for x in ax.lines if x.get_drawstyle() == "steps-post"]
    np.testing.assert_allclose(line.get_xydata(), [(1, 5.0), (3, 3.0), (4, 1.0), (5, 1.0)])
    assert "kept out by the guard" in labelled(fig)


def test_error_and_number_of_models_are_said():
    lost = replace(MODELS[0], failed="no convergence")
    given_stage = stage([lost, *MODELS])
    (ax,) = figure(given_stage).axes
    first, second = ax.get_title().split("\n")
    assert first == "CN: 7 models, 1 not fitted"
    assert second == f"lowest {pm(1.0, 0.1)}, chosen {pm(given_stage.chosen.score, 0.1)}"
    assert ax.get_xlabel() == "cost of evaluation, µs/atom (estimate)"


@pytest.mark.parametrize("stages", [1, 2, 3, 7])
def test_the_legend_is_not_cut(stages):
    fig = figure(*(stage(MODELS, f"block {i}") for i in range(stages)))
    assert len(fig.axes) == stages
    assert {"models ± standard error", "Pareto front", "lowest + its standard error", "lowest", "chosen"} == set(
        labelled(fig)
    )
    fig.canvas.draw()
    (legend,) = fig.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= fig.bbox.x1
    assert box.y0 >= 0
    assert all(box.y1 <= ax.get_tightbbox().y0 for ax in fig.axes), "nor does it hide a panel"
    assert fig.get_size_inches()[0] <= 4.8 * MOST_ACROSS


@pytest.mark.parametrize(("factor", "scale"), [(10.0, "linear"), (1000.0, "log")])
def test_scores_that_differ_much_have_a_logarithmic_axis(factor, scale):
    (ax,) = figure(stage([model(1e-6, 1.0), model(2e-6, factor)])).axes
    assert ax.get_yscale() == scale
    assert ax.get_xscale() == "linear"


def test_models_without_a_standard_error(tmp_path):
    result = SimpleNamespace(stages=(stage([model(1e-6, 1.0, float("nan"))]),))
    assert "lowest + its standard error" not in labelled(search_figure(result))
    written = plot_search(tmp_path / "search.png", result)
    assert [p.name for p in written] == ["search.png", "search.pdf"]
    assert written[0].read_bytes().startswith(b"\x89PNG")
    assert written[1].read_bytes().startswith(b"%PDF")
