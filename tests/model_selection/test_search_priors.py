"""Priors as an axis of a search: what a table means, which models are alike, and that a search is a climb with them."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist import FitSettings, HierarchyOptions, SearchSettings, fit_hierarchy, search
from hiertl_dist.errors import InputError
from hiertl_dist.executors import executor
from hiertl_dist.model_selection.search_settings import Choice
from hiertl_dist.model_selection.strength import family_of, grid_edges, prior_strengths

SERIAL = executor("serial")
BASIS = small_basis((4, 3, 0))
FRAMES = labelled(random_frames({"C": 6, "N": 6, "CN": 9}), random_parameters(BASIS, 3))
WEIGHTS = {"force": 1.0, "energy": 1.0, "stress": 50.0}
RIDGE = {"kind": "ridge", "alpha": 1.0}


def found(prior, frames=FRAMES, basis=BASIS, **more):
    table = {"folds": 3, "rule": "best", "grid": {"regulariser": RIDGE, "weights": WEIGHTS, "prior": prior}}
    options = HierarchyOptions(FitSettings(RIDGE, weights=WEIGHTS), **more)
    return search(frames, basis, SearchSettings.from_dict(table), options=options, executor=SERIAL)


def test_lists_in_a_table_are_an_axis():
    table = {"mean": "mixed", "probes": 24, "probe_weight": [0.1, 0.3], "gamma": [[1, 1, 0], 0.5]}
    axis = SearchSettings.from_dict({"grid": {"prior": ["zero", "auto", table]}}).grid.axes["prior"]
    assert axis[:2] == ("zero", "auto")
    assert len(axis) == 6
    assert axis[2] == {"mean": "mixed", "gamma": [1.0, 1.0, 0.0], "probes": 24, "probe_weight": 0.1}
    one = SearchSettings.from_dict({"grid": {"prior": {"gamma": [1, 1, 0]}}}).grid.axes["prior"]
    assert one == ({"mean": "mixed", "gamma": [1.0, 1.0, 0.0]},)
    with pytest.raises(InputError, match=r"search.grid.prior\[1\]: prior.mean: expected one of zero, mixed, auto"):
        SearchSettings.from_dict({"grid": {"prior": ["zero", "mixd"]}})


def test_a_search_of_one_prior_is_the_climb():
    prior = {"mean": "mixed", "probes": 5, "probe_weight": 0.5}
    result = found(prior)
    settings = FitSettings(RIDGE, weights=WEIGHTS, prior=prior)
    climb = fit_hierarchy(FRAMES, BASIS, options=HierarchyOptions(settings), executor=SERIAL)
    ours, theirs = result.model.parameters.as_dict(), climb.model.parameters.as_dict()
    np.testing.assert_allclose([ours[c] for c in theirs], list(theirs.values()), rtol=1e-6, atol=1e-7)
    assert result.stages[-1].solution.prior == climb.fits["CN"].solution.prior == prior
    assert [len(s.selection.candidates) for s in result.stages] == [1, 1, 1]


def test_single_elements_have_one_model_and_mixtures_one_for_each_prior():
    result = found(["zero", "mixed", {"probes": 5, "probe_weight": [0.1, 1.0]}])
    assert [len(s.selection.candidates) for s in result.stages] == [1, 1, 4]
    scores = [c.score for c in result.stages[-1].selection.candidates]
    assert len(set(scores)) == 4


def test_blocks_without_frames_are_made_and_stood_upon():
    basis = small_basis((3, 2, 0), ("C", "N", "O"))
    frames = labelled(random_frames({"C": 4, "N": 4, "O": 4, "CN": 4, "CNO": 6}), random_parameters(basis, 4))
    result = found("mixed", frames, basis, missing="mixed")
    made = {n for n, way in result.model.parameters.without_data.items() if way == "mixed"}
    assert made == {"CO", "CCO", "COO", "NO", "NNO", "NOO"}
    settings = FitSettings(RIDGE, weights=WEIGHTS, prior="mixed")
    climb = fit_hierarchy(frames, basis, options=HierarchyOptions(settings), executor=SERIAL).model.parameters
    ours, theirs = result.model.parameters.as_dict(), climb.as_dict()
    np.testing.assert_allclose([ours[c] for c in theirs], list(theirs.values()), rtol=1e-6, atol=1e-7)


def test_strength_of_priors():
    weak, strong = ({"mean": "mixed", "probes": 24, "probe_weight": w} for w in (0.1, 1.0))
    assert family_of(RIDGE, weak) == family_of(RIDGE, strong) == family_of(RIDGE, "mixed") != family_of(RIDGE, "zero")
    assert prior_strengths("mixed") < prior_strengths(weak) < prior_strengths(strong)
    assert family_of(RIDGE, {"mean": "mixed", "gamma": 0.5}) != family_of(RIDGE, "mixed")
    far, near = ({"mean": "mixed", "probes": 24, "probe_force": f} for f in (0.3, 0.1))
    assert family_of(RIDGE, far) == family_of(RIDGE, near) != family_of(RIDGE, weak), "units of their own"
    assert prior_strengths(far) < prior_strengths(near) < prior_strengths({**near, "probe_energy": 5.0})


def test_edges_of_gamma_and_of_strengths_of_probes_are_told():
    axes = {"prior": {"mean": "mixed", "probes": 3, "probe_force": [0.1, 0.2, 0.3], "gamma": [0.2, 0.4, 0.6, 1.0]}}
    grid = SearchSettings.from_dict({"folds": {"split": "system"}, "grid": axes}).grid
    choices = [Choice({"kind": "ridge", "alpha": 1.0}, prior=p) for p in grid.axes["prior"]]
    of = {(c.prior["probe_force"], c.prior.get("gamma", [1.0])[0]): i for i, c in enumerate(choices)}
    edges = grid_edges(choices, of[0.3, 0.2], of[0.1, 1.0])
    assert {(e.axis, e.value, e.side) for e in edges if "force" in e.axis} == {
        ("prior.probe_force", 0.3, "largest"), ("prior.probe_force", 0.1, "smallest"),
    }  # fmt: skip
    assert {(e.value, e.side) for e in edges if "gamma" in e.axis} == {(0.2, "smallest")}, "1 is as far as it goes"
