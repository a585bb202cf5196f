"""Blocks that lean on their lower blocks: in a fit, a view, a search's folds, and where no frame informs a type."""

from __future__ import annotations

import re
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist import (
    Frame,
    Model,
    SearchSettings,
    Solution,
    columns_of,
    cross_validate,
    design_rows,
    path,
    solve,
    summarise,
    view,
)  # fmt: skip
from hiertl_dist.dataset.folds import Folds
from hiertl_dist.errors import InputError, MissingTypesError
from hiertl_dist.executors import executor
from hiertl_dist.fitting import view_priors
from hiertl_dist.fitting.hierarchy import fit_all_at_once, fit_hierarchy
from hiertl_dist.fitting.mean_choice import (
    LEAST_WEIGHT,
    MOST_COST,
    PROBE_SHARE,
    WEIGHT_OF_FEW,
    WEIGHTS_TRIED,
    estimated_weight,
)
from hiertl_dist.fitting.probe_rows import reduce_probes
from hiertl_dist.fitting.settings import FitSettings, HierarchyOptions
from hiertl_dist.fitting.view_solutions import residual_squares
from hiertl_dist.fitting.views import combined_factor
from hiertl_dist.frames.element_set import ElementSet
from hiertl_dist.frames.row_weights import RowWeights
from hiertl_dist.model.mixing import prior_mean
from hiertl_dist.model.parameters import Parameters, merge_parameters
from hiertl_dist.model.priors import Prior
from hiertl_dist.model_selection.held_out_errors import HeldOut
from hiertl_dist.uncertainty.committee import committee
from hiertl_dist.uncertainty.predictive import free_coefficients, posterior
from hiertl_dist.units import EV

BASIS = small_basis((4, 3, 0))
TRUTH = random_parameters(BASIS, 3)
FRAMES = labelled(random_frames({"C": 5, "N": 5, "CN": 6}), TRUTH)
SERIAL = executor("serial")
MIXED = Prior(mean="mixed")
CN = columns_of(BASIS, ["CN"])
WEIGHTS = {"force": 1.0, "energy": 1.0, "stress": 50.0}


def climb(alpha, frames=FRAMES, basis=BASIS, **more):
    settings = FitSettings({"kind": "ridge", "alpha": alpha}, weights=WEIGHTS, **more.pop("fit", {}))
    blocks = {e: replace(settings, regulariser={"kind": "ridge", "alpha": 1e-9}) for e in basis.elements}
    options = HierarchyOptions(settings, blocks, **more)
    return fit_hierarchy(frames, basis, options=options, executor=SERIAL)


def cn_of(fit):
    values = fit.model.parameters.as_dict()
    return np.array([values[c] for c in CN])


@pytest.fixture(scope="module")
def summaries():
    return summarise(FRAMES, BASIS, executor=SERIAL, folds=Folds(3))


def lower(fit):
    return [fit.fits[e].solution.parameters for e in "CN"]


def test_a_stiff_ridge_leaves_the_mean_and_a_soft_one_finds_the_truth():
    stiff = climb(1e12, fit={"prior": "mixed"})
    mean = prior_mean(MIXED, BASIS, CN, lower(stiff)).values
    np.testing.assert_allclose(cn_of(stiff), mean, atol=1e-7)
    assert np.abs(mean).max() > 0.1
    assert stiff.fits["CN"].solution.prior == {"mean": "mixed"}
    assert not stiff.fits["C"].solution.prior  # nothing is below it
    truth = TRUTH.as_dict()
    np.testing.assert_allclose(cn_of(climb(1e-12, fit={"prior": "mixed"})), [truth[c] for c in CN], atol=1e-4)


def test_the_solution_keeps_its_prior(tmp_path):
    prior = Prior.of({"gamma": 0.5, "decay": "exponential", "strength": 0.2})
    fit = climb(1.0, fit={"prior": prior})
    fit.fits["CN"].solution.save(tmp_path / "CN.npz")
    assert Prior.of(Solution.load(tmp_path / "CN.npz").prior) == prior


def test_a_view_with_a_prior_is_the_fit(summaries):
    prior = Prior.of({"gamma": [1.0, 0.5, 1.0], "decay": "algebraic", "strength": 1.0})
    fit = climb(2.0, fit={"prior": prior})
    frozen = lower(fit)
    given = view(summaries, blocks=["CN"], frozen=frozen, weights=WEIGHTS, prior=prior)
    found = solve(given, {"kind": "ridge", "alpha": 2.0})
    values = found.parameters.as_dict()
    np.testing.assert_allclose([values[c] for c in CN], cn_of(fit), rtol=1e-6, atol=1e-8)
    assert found.prior == fit.fits["CN"].solution.prior


@pytest.mark.parametrize("regulariser", [{"kind": "lasso", "lam": 1e3}, {"kind": "bayesian_ridge"}, {"kind": "ard"}])
def test_other_regularisers_act_on_the_deviation(summaries, regulariser):
    fit = climb(1.0)
    given = view(summaries, blocks=["CN"], frozen=lower(fit), weights=WEIGHTS, prior="mixed")
    found = solve(given, regulariser)
    mean = given.deviation.mean
    values = found.parameters.as_dict()
    coefficients = np.array([values[c] for c in given.columns])
    if regulariser["kind"] == "lasso":
        np.testing.assert_array_equal(coefficients, mean)
    else:  # exact labels: evidence trusts them
        truth = TRUTH.as_dict()
        np.testing.assert_allclose(coefficients, [truth[c] for c in given.columns], atol=1e-3)


def test_uncertainty_is_about_the_mean(summaries):
    """As the dense formula: precision (RᵀR + alpha D⁻²) / noise²."""
    prior = Prior.of({"decay": "exponential", "strength": 0.3})
    given = view(summaries, blocks=["CN"], frozen=lower(climb(1.0)), weights=WEIGHTS, prior=prior)
    known = posterior(given, {"kind": "ridge", "alpha": 3.0}, held_out=False)
    r = combined_factor(given).r[:, : len(CN)]
    precision = r.T @ r + np.diag(3.0 / given.deviation.scale**2)
    np.testing.assert_allclose(
        known.linear.covariance(), known.linear.noise**2 * np.linalg.inv(precision), rtol=1e-6, atol=1e-12
    )
    again = posterior(given, solve(given, {"kind": "ridge", "alpha": 3.0}), held_out=True)
    assert again.linear.noise == pytest.approx(known.linear.noise)


def test_probes_hold_predictions_and_not_coefficients(summaries):
    frozen = lower(climb(1.0))
    probes = reduce_probes(random_frames({"CN": 12}, seed=9), BASIS, [ElementSet("CN")], executor=SERIAL)
    assert probes.frames == 12
    far = []
    for weight in (0.0, 1.0, 1e5):
        prior = Prior.of({"probes": 12, "probe_weight": weight})
        given = view(summaries, blocks=["CN"], frozen=frozen, weights=WEIGHTS, prior=prior, probes=probes)
        solution = solve(given, {"kind": "ridge", "alpha": 1e-12})
        values = solution.parameters.as_dict()
        deviation = np.array([values[c] for c in given.columns]) - given.deviation.mean
        far.append(np.linalg.norm(probes.in_order(given.columns) @ deviation))
        if not weight:
            truth = TRUTH.as_dict()
            np.testing.assert_allclose([values[c] for c in given.columns], [truth[c] for c in given.columns], atol=1e-3)
    assert far[0] > 1.5 * far[1] > 100.0 * far[2]
    with pytest.raises(InputError, match="ard: a prior with rows of its own"):
        solve(given, {"kind": "ard"})


def dense_of(given):
    """Rows of the data and of the probes (dense, in units of the prior), the target about the mean, N."""
    data = combined_factor(given)
    n, own = len(given.columns), given.deviation
    r = data.r[:, :n] * own.scale
    return r, own.weighted * own.scale, data.r[:, n] - data.r[:, :n] @ own.mean, data.rows


def with_probes(summaries, weight=0.5, **more):
    probes = reduce_probes(random_frames({"CN": 12}, seed=9), BASIS, [ElementSet("CN")], executor=SERIAL)
    prior = Prior.of({"probes": 12, "probe_weight": weight, "decay": "exponential", "strength": 0.1, **more})
    return view(summaries, blocks=["CN"], frozen=lower(climb(1.0)), weights=WEIGHTS, prior=prior, probes=probes)


def test_evidence_with_probes_is_that_of_the_data(summaries):
    given = with_probes(summaries)
    found = solve(given, {"kind": "bayesian_ridge"})
    chosen = found.hyperparameters
    alpha, noise = chosen["alpha"], chosen["noise"]
    r, p, z, rows = dense_of(given)
    eye = np.eye(len(given.columns))
    whole, prior = r.T @ r + p.T @ p + alpha * eye, p.T @ p + alpha * eye
    x = np.linalg.solve(whole, r.T @ z)
    energy = np.sum((r @ x - z) ** 2) + x @ prior @ x
    volume = np.linalg.slogdet(whole)[1] - np.linalg.slogdet(prior)[1]
    expected = -0.5 * (rows * np.log(2 * np.pi * noise**2) + volume + energy / noise**2)
    assert chosen["log_evidence"] == pytest.approx(expected, rel=1e-6)
    assert noise == pytest.approx(np.sqrt(energy / rows), rel=1e-5)
    freedom = np.trace(np.linalg.solve(whole, r.T @ r))
    assert chosen["effective_parameters"] == pytest.approx(freedom, rel=1e-5)
    values = found.parameters.as_dict()
    coefficients = np.array([values[c] for c in given.columns])
    np.testing.assert_allclose(coefficients, given.deviation.mean + given.deviation.scale * x, rtol=1e-5, atol=1e-8)
    known = posterior(given, {"kind": "bayesian_ridge"}, held_out=False).linear
    assert (known.noise, known.degrees_of_freedom) == (pytest.approx(noise), pytest.approx(freedom, rel=1e-5))
    scale = given.deviation.scale
    np.testing.assert_allclose(
        known.covariance(), noise**2 * np.linalg.inv(whole) * np.outer(scale, scale), rtol=1e-4, atol=1e-14
    )


def test_paths_with_probes_count_data_alone(summaries):
    given = with_probes(summaries)
    r, p, _, rows = dense_of(given)
    outside = combined_factor(given).residual_norm2(np.linalg.lstsq(*dense_columns(given))[0])
    grid = path(given, "ridge", alphas=[1e-3, 1.0])
    assert grid.n_counted == rows
    for i, alpha in enumerate(grid.alphas):
        hat = r @ np.linalg.solve(r.T @ r + p.T @ p + alpha * np.eye(r.shape[1]), r.T)
        assert grid.degrees_of_freedom[i] == pytest.approx(np.trace(hat), rel=1e-6)
        data = combined_factor(given)
        left = data.residual_norm2(grid.coefficients[i])
        assert left >= outside
        assert grid.residual_norm2[i] == pytest.approx(left, rel=1e-6)
        assert grid.gcv[i] == pytest.approx(rows * left / (rows - np.trace(hat)) ** 2, rel=1e-6)
    lasso = path(given, lam_min=3e-2)
    assert lasso.rows == rows
    left = [combined_factor(given).residual_norm2(c) for c in lasso.coefficients]
    np.testing.assert_allclose(lasso.residual_norm2, left, rtol=1e-6)
    assert (lasso.degrees_of_freedom[1:] < lasso.nonzeros[1:]).all()


def dense_columns(given):
    data = combined_factor(given)
    return data.r[:, :-1], data.r[:, -1]


def test_a_climb_and_its_folds_by_evidence_with_probes(summaries):
    own = FitSettings({"kind": "bayesian_ridge"}, weights=WEIGHTS, prior=Prior(mean="mixed", probes=4))
    fit = fit_hierarchy(FRAMES, BASIS, options=HierarchyOptions(own), executor=SERIAL).fits["CN"]
    assert fit.view.deviation.rows is not None
    assert np.isfinite(fit.solution.hyperparameters["log_evidence"])
    given = with_probes(summaries)
    (checked,) = cross_validate(given, {"kind": "bayesian_ridge"})
    for fold in range(3):  # as a fit to what is left, and the rows of the fold beside what it says of them
        others = replace(given, factors={g: w for g, w in given.factors.items() if g.fold != fold})
        direct = solve(others, {"kind": "bayesian_ridge"})
        r, p, z, rows = dense_of(others)
        alpha = direct.hyperparameters["alpha"]
        x = np.linalg.solve(r.T @ r + p.T @ p + alpha * np.eye(r.shape[1]), r.T @ z)
        assert direct.hyperparameters["noise"] == pytest.approx(
            np.sqrt((np.sum((r @ x - z) ** 2) + np.sum((p @ x) ** 2) + alpha * x @ x) / rows), rel=1e-5
        )
        coefficients = given.deviation.mean + given.deviation.scale * x
        for kind in ("force", "energy", "stress"):
            left = [g for g in given.factors if g.fold == fold and g.kind.startswith(kind)]
            squares, _ = residual_squares(given, coefficients[:, np.newaxis], left)
            expected = HeldOut.of({g: (given.summaries.rows(g), float(squares[g][0])) for g in left})
            assert checked.errors.rmse(kind, fold=fold) == pytest.approx(expected.rmse(kind), rel=1e-5)


@pytest.mark.parametrize("prior", [{"probe_force": 0.02}, {"weight": 0.3}, {"probe_force": 0.1, "probe_energy": 5.0}])
def test_a_fit_by_evidence_says_how_hard_its_noise_makes_probes(summaries, prior):
    prior = {"weight": None, **prior}
    given = with_probes(summaries, **prior)
    weight = prior["weight"] or float(re.search(r"probes have the weight ([\d.e+-]+)", " ".join(given.notes))[1])
    found = solve(given, {"kind": "bayesian_ridge"})
    (note,) = [n for n in found.notes if n.startswith("with the noise that the evidence finds, forces on probes are")]
    said = float(re.search(r"about (.*) eV/Å", note)[1])
    assert said == pytest.approx(found.hyperparameters["noise"] / weight / EV, rel=0.1)
    assert not any("noise that the evidence" in n for n in solve(given, {"kind": "ridge", "alpha": 1.0}).notes)


def test_weights_by_evidence_are_said_to_be_without_probes(summaries):
    options = {"blocks": ["CN"], "frozen": lower(climb(1.0)), "weights": "evidence"}
    probes = reduce_probes(random_frames({"CN": 12}, seed=9), BASIS, [ElementSet("CN")], executor=SERIAL)
    for kind, more in ({"kind": "bayesian_ridge"}, True), ({"kind": "ridge", "alpha": 1.0}, False):
        held = {"prior": {"probes": 12, "probe_weight": 0.5}, "probes": probes}
        given = view(summaries, regulariser=kind, **options, **held)
        (note,) = [n for n in solve(given, kind).notes if "weights by evidence are estimated without the probes" in n]
        assert ("alpha and noise of the fit" in note) == more
        plain = view(summaries, regulariser=kind, prior="mixed", **options)
        assert plain.weights == given.weights
        assert not any("without the probes" in n for n in solve(plain, kind).notes)


def test_probes_in_a_climb(tmp_path):
    given = random_frames({"CN": 6}, seed=9)
    near = climb(1e-6, fit={"prior": {"probes": 6, "probe_weight": 1e5}}, probes=given)
    mean = prior_mean(MIXED, BASIS, CN, lower(near)).values
    frames = [replace(f, energy=None, stress=None, forces=None) for f in given]
    values = dict(zip(CN, mean, strict=True))
    parameters = near.model.parameters
    held = replace(parameters, coefficients=np.array([values.get(c, v) for c, v in parameters.as_dict().items()]))
    for a, b in zip(near.model.evaluate(frames), Model(held).evaluate(frames), strict=True):
        np.testing.assert_allclose(a.forces, b.forces, atol=1e-3)
    with pytest.raises(InputError, match="no prior holds predictions on them"):
        HierarchyOptions(probes=given)


def test_a_block_without_frames_is_made_left_out_or_zero():
    alone = [f for f in FRAMES if len(f.elements) == 1]
    mixed = climb(1.0, alone, fit={"prior": "mixed"}).model.parameters
    mean = prior_mean(MIXED, BASIS, CN, [mixed.restricted({"C"}), mixed.restricted({"N"})]).values
    np.testing.assert_allclose([mixed.as_dict()[c] for c in CN], mean)
    assert mixed.without_data == {"CN": "mixed", "CCN": "mixed", "CNN": "mixed"}
    assert not climb(1.0, alone).model.parameters.without_data
    zero = climb(1.0, alone, missing="zero").model.parameters
    assert zero.without_data == {"CN": "zero", "CCN": "zero", "CNN": "zero"}
    assert {t.block for t in zero.basis.types} == {"C", "N"}
    refused = climb(1.0, alone, fit={"prior": "mixed"}, missing="refuse").model.parameters
    assert {t.block for t in refused.basis.types} == {"C", "N"}


def test_a_block_may_stand_on_one_that_was_made():
    elements = ("C", "N", "O")
    basis = small_basis((3, 2, 0), elements)
    frames = labelled(random_frames({"C": 3, "N": 3, "O": 3, "CN": 3, "CNO": 4}), random_parameters(basis, 4))
    with pytest.raises(InputError, match="no frame contains exactly C, O, and CNO stands on it"):
        climb(1.0, frames, basis)
    fit = climb(1.0, frames, basis, fit={"prior": "mixed"})
    made = {n for n, way in fit.model.parameters.without_data.items() if way == "mixed"}
    assert made == {"CO", "CCO", "COO", "NO", "NNO", "NOO"}
    assert list(fit.fits) == ["C", "N", "O", "CN", "CNO"]


def test_a_mean_of_what_is_fitted_together_is_refused(summaries):
    with pytest.raises(InputError, match=r"block CN leans on blocks of single elements, and C, N is fitted together"):
        view(summaries, prior="mixed", weights=WEIGHTS)
    with pytest.raises(InputError, match="name no cluster type or body"):
        view(summaries, blocks=["C"], prior={"mean": "zero", "spread": {"5B": 2.0}}, weights=WEIGHTS)


def test_auto_takes_the_mean_that_the_forces_speak_for(summaries):
    frozen = lower(climb(1.0))
    blind = [replace(p, coefficients=-p.coefficients) for p in frozen]
    for models, mean in ((blind, "zero"), (frozen, None)):
        given = view(summaries, blocks=["CN"], frozen=models, weights=WEIGHTS, prior="auto")
        groups = [g for g in given.factors if g.kind == "force"]
        r = [given.layer(g, given.summaries.groups[g]) for g in groups]
        m = prior_mean(MIXED, BASIS, given.columns, models).values
        left = sum(np.sum((x.factor.r @ x.target - x.factor.r[:, x.kept] @ m[x.places]) ** 2) for x in r)
        total = sum(np.sum((x.factor.r @ x.target) ** 2) for x in r)
        expected = mean or ("mixed" if 1.0 - left / total >= 0.5 else "zero")
        assert given.prior.mean == expected
        assert any(note.startswith("prior auto: the mean of lower blocks explains") for note in given.notes)
    with mock.patch.object(view_priors, "prior_mean", wraps=prior_mean) as made:
        view(summaries, blocks=["CN"], frozen=frozen, weights=WEIGHTS, prior="auto")
    assert made.call_count == 1, "a projection takes long"
    likely = labelled(random_frames({"C": 4, "N": 4, "CN": 6}), climb(1e12, fit={"prior": "mixed"}).model.parameters)
    fit = climb(1.0, likely, fit={"prior": {"mean": "auto"}})
    assert fit.fits["CN"].solution.prior == {"mean": "mixed"}
    assert any("explains 100 %" in note for note in fit.fits["CN"].solution.notes)


def test_folds_that_are_left_out_choose_nothing(summaries):
    probes = reduce_probes(random_frames({"CN": 8}, seed=9), BASIS, [ElementSet("CN")], executor=SERIAL)
    ridge = {"kind": "ridge", "alpha": 1.0}
    likely = labelled(random_frames({"C": 4, "N": 4, "CN": 9}), climb(1e12, fit={"prior": "mixed"}).model.parameters)
    of_mean = summarise(likely, BASIS, executor=SERIAL, folds=Folds(3))  # where auto takes it, and else
    for sums, mean in ((summaries, "auto"), (of_mean, "auto"), (summaries, "mixed")):
        how = {"blocks": ["CN"], "frozen": lower(climb(1.0)), "weights": WEIGHTS, "probes": probes,
               "prior": {"mean": mean, "probes": 8}}  # fmt: skip
        whole = view(sums, **how)
        ((checked,), chosen) = cross_validate(whole, ridge), []
        for fold in range(3):
            part = view(sums, folds=[k for k in range(3) if k != fold], **how)
            values = free_coefficients(part, solve(part, ridge))
            groups = [g for g in whole.factors if g.fold == fold and g.kind == "force"]
            squares, _ = residual_squares(whole, values[:, np.newaxis], groups)
            expected = np.sqrt(sum(s[0] for s in squares.values()) / sum(sums.rows(g) for g in groups))
            assert checked.errors.rmse("force", fold=fold) == pytest.approx(expected, rel=1e-7)
            chosen.append(part.prior.as_dict())
        assert whole.asked is not None
        assert any(own != whole.prior.as_dict() for own in chosen) or whole.prior.mean == "zero"
    assert view(summaries, **how | {"prior": {"mean": "mixed", "probes": 8, "probe_weight": 0.3}}).asked is None


def test_auto_makes_probes_of_the_frames(tmp_path):
    likely = labelled(random_frames({"C": 4, "N": 4, "CN": 6}), climb(1e12, fit={"prior": "mixed"}).model.parameters)
    fit = climb(1e-3, likely, fit={"prior": "auto"})
    own = fit.fits["CN"].solution.prior
    assert own.keys() == {"mean", "probes", "probe_weight"}
    assert 0.0 < own["probe_weight"] <= 1.0
    assert any(note.startswith("probes: ") for note in fit.fits["CN"].solution.notes)
    with pytest.raises(InputError, match="whose rows are to be given"):
        view(summarise(likely, BASIS, executor=SERIAL), blocks=["CN"], frozen=lower(fit), prior={"probes": 3})


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_probes_hold_as_hard_as_the_data_bear(noise, monkeypatch):
    likely = climb(1e12, fit={"prior": "mixed"}).model.parameters
    rng = np.random.default_rng(1)
    mixtures = [
        replace(f, forces=f.forces + rng.normal(0.0, noise, f.forces.shape))
        for f in labelled(random_frames({"CN": 30}, seed=4), likely if noise else TRUTH)
    ]
    frozen = lower(climb(1e-9))
    sums = summarise(mixtures, BASIS, blocks=["CN"], frozen=frozen, folds=None, executor=SERIAL)
    probes = reduce_probes(random_frames({"CN": 12}, seed=9), BASIS, [ElementSet("CN")], executor=SERIAL)
    given = view(sums, weights=WEIGHTS)
    mean = prior_mean(MIXED, BASIS, given.columns, frozen).values
    weight, note, noise_told = estimated_weight(given, mean, probes)

    rows = design_rows(mixtures, BASIS, ["CN"])
    own = np.array([r.kind == "force" for r in rows.rows])
    a = rows.matrix[own][:, [rows.columns.index(c) for c in given.columns]]
    said = np.concatenate([
        sum(Model(p).evaluate([f], ignore_other_elements=True, missing="zero")[0].forces for p in frozen).ravel()
        for f in mixtures
    ])  # fmt: skip
    left = rows.target[own] - said - a @ mean
    held = probes.in_order(given.columns)

    def expected(w, times=1):
        hat = a @ np.linalg.solve(times * a.T @ a + np.eye(a.shape[1]) + w * w * held.T @ held, times * a.T)
        # the same rows several times: the mean of squares is theirs, and so is the freedom of each
        return np.linalg.norm(left - hat @ left) / np.sqrt(len(left)) / (1.0 - np.trace(hat) / (times * len(left)))

    tried = np.geomspace(LEAST_WEIGHT, 1.0, WEIGHTS_TRIED)
    errors = np.array([expected(w) for w in tried])
    cheap = tried[np.flatnonzero(errors <= (1.0 + MOST_COST) * errors.min())[-1]]
    share = np.sqrt(PROBE_SHARE * len(left) / probes.rows)
    assert probes.rows == sum(3 * len(f) for f in random_frames({"CN": 12}, seed=9))
    assert weight == pytest.approx(max(cheap, share), rel=0.05)
    assert noise_told == pytest.approx(errors.min(), rel=0.05)
    again = estimated_weight(given, mean, probes, dict.fromkeys(given.factors, 4))
    errors = np.array([expected(w, 4) for w in tried])
    cheap = tried[np.flatnonzero(errors <= (1.0 + MOST_COST) * errors.min())[-1]]
    assert again.weight == pytest.approx(max(cheap, min(1.0, 2.0 * share)), rel=0.05)
    assert again.noise == pytest.approx(errors.min(), rel=0.05)
    # exact labels that deviate bear no probes but those of the share; noise about the mean bears all
    assert ("of the data" in note, "cross-validation" in note) == ((True, False) if not noise else (False, True))
    monkeypatch.setattr("hiertl_dist.fitting.mean_choice.MOST_FREEDOM", 0.0)
    weight, note, _ = estimated_weight(given, mean, probes)
    assert (weight, "are few" in note) == (WEIGHT_OF_FEW, True)


@pytest.mark.parametrize("force", [None, 0.2])
def test_probes_hold_by_strengths_in_units_of_forces_and_energies(summaries, force):
    frozen = lower(climb(1.0))
    structures = random_frames({"CN": 12}, seed=9)
    probes = reduce_probes(structures, BASIS, [ElementSet("CN")], executor=SERIAL)

    def held(**own):
        prior = Prior.of({"probes": 12, "probe_force": force, **own})
        return view(summaries, blocks=["CN"], frozen=frozen, weights={"force": 2.0}, prior=prior, probes=probes)

    given = held(probe_energy=5.0)
    plain = view(summaries, blocks=["CN"], frozen=frozen, weights={"force": 2.0})
    _, _, noise = estimated_weight(plain, given.deviation.mean, probes)
    a = design_rows([replace(f, energy=0.0, forces=np.zeros((len(f), 3))) for f in structures], BASIS, ["CN"])
    place = [a.columns.index(c) for c in given.columns]
    atoms = np.array([len(structures[r.frame]) for r in a.rows])
    energy = np.array([r.kind == "energy" for r in a.rows])
    by_force = given.prior.probe_weight if force is None else noise / (force * EV)
    weights = np.where(energy, noise / (0.005 * EV * atoms), by_force)
    rows = (weights[:, None] * a.matrix)[:, place][[r.kind in ("force", "energy") for r in a.rows]]
    own = given.deviation.weighted
    np.testing.assert_allclose(own.T @ own, rows.T @ rows, rtol=0, atol=1e-12 * np.abs(own.T @ own).max())
    assert any("held to about 5 meV/atom" in n for n in given.notes)
    assert any(f"forces are held to about {noise / by_force / EV:.2g} eV/Å" in n for n in given.notes)
    assert given.prior == Prior.of(given.prior.as_dict())
    assert len(held().deviation.rows) < len(own), "without a strength energies are not held"


@pytest.mark.parametrize(("own", "said"), [
    ({"probes": 3, "probe_force": 0.0}, "probe_force: expected a number > 0"),
    ({"probe_energy": 5.0}, "there are no probes, so it would be ignored"),
    ({"probes": 3, "probe_force": 0.1, "probe_weight": 1.0}, "takes the place of probe_weight"),
])  # fmt: skip
def test_strengths_that_say_nothing_are_refused(own, said):
    with pytest.raises(InputError, match=said):
        Prior.of(own)


def test_any_parameters_are_a_mean(summaries):
    fit = climb(1.0)
    own = fit.model.parameters
    for blocks, frozen in ((["C"], ()), (["CN"], lower(fit))):
        given = view(summaries, blocks=blocks, frozen=frozen, weights=WEIGHTS, prior=Prior(mean=own))
        values = solve(given, {"kind": "ridge", "alpha": 1e12}).parameters.as_dict()
        expected = own.as_dict()
        shapes = [c for c in given.columns if c.powers]
        np.testing.assert_allclose([values[c] for c in shapes], [expected[c] for c in shapes], atol=1e-7)
    settings = FitSettings({"kind": "ridge", "alpha": 1.0}, prior=Prior(mean=own))
    with pytest.raises(InputError, match="for fits and views"):
        SearchSettings().grid.start(settings)


def test_the_share_that_auto_tells_is_that_of_the_mean_it_takes():
    elements = ("C", "N", "O")
    basis = small_basis((3, 3, 0), elements)
    frames = labelled(random_frames({"C": 3, "N": 3, "O": 3, "CN": 3, "CO": 3, "NO": 3}), random_parameters(basis, 4))
    lowers = [f.solution.parameters for f in climb(1e-9, frames, basis).fits.values()]
    cno = columns_of(basis, ["CNO"])
    whole = prior_mean(MIXED, basis, cno, lowers).values
    half = prior_mean(Prior(mean="mixed", gamma=0.5), basis, cno, lowers).values
    np.testing.assert_allclose(half, 0.5 * whole)
    truth = merge_parameters([*lowers, Parameters(basis.with_types(t for t in basis.types if t.block == "CNO"), half)])
    mixtures = labelled(random_frames({"CNO": 6}, seed=3), truth)
    sums = summarise(mixtures, basis, executor=SERIAL, missing_energies="fit")
    given = view(sums, blocks=["CNO"], frozen=lowers, weights=WEIGHTS, prior="auto", missing_energies="fit")
    assert given.prior.gamma[1] == pytest.approx(0.5, abs=1e-3)
    values = dict(zip(given.columns, given.deviation.mean, strict=True))
    np.testing.assert_allclose([values[c] for c in cno], half, atol=2e-3 * np.abs(half).max())


def test_few_rows_do_not_choose_the_factors_of_a_mean():
    """Near a lattice two- and three-body means look alike: factors from the forces of one frame ruin energies."""
    basis = small_basis((8, 4, 0))
    frozen = [random_parameters(basis.with_types(t for t in basis.types if t.block == e), 2) for e in ("C", "N")]
    half = prior_mean(Prior(mean="mixed", gamma=0.5), basis, columns_of(basis, ["CN"]), frozen).values
    cross = Parameters(basis.with_types(t for t in basis.types if t.block == "CN"), half)
    frames = labelled(random_frames({"CN": 40}, seed=5), merge_parameters([*frozen, cross]))
    for count in (1, 40):
        sums = summarise(frames[:count], basis, blocks=["CN"], folds=None, frozen=frozen, executor=SERIAL)
        for most in (1.0, 0.8):
            given = view(sums, blocks=["CN"], weights=WEIGHTS, prior={"mean": "auto", "gamma": most})
            rows = sum(sums.rows(g) for g in given.factors if g.kind == "force")
            few = rows < len(given.columns)
            assert few == (count == 1)
            assert given.prior.mean == "mixed"
            assert given.prior.gamma[:2] == pytest.approx((most if few else 0.5,) * 2, abs=0.02)
            said = f"{rows} rows are too few beside {len(given.columns)} columns to choose factors"
            assert any(said in note for note in given.notes) == few


def test_rows_of_weight_zero_do_not_count_as_those_that_choose():
    """As without them: the 30 largest forces have weights above 0."""
    basis = small_basis((8, 4, 0))
    frozen = [random_parameters(basis.with_types(t for t in basis.types if t.block == e), 2) for e in ("C", "N")]
    half = prior_mean(Prior(mean="mixed", gamma=0.5), basis, columns_of(basis, ["CN"]), frozen).values
    cross = Parameters(basis.with_types(t for t in basis.types if t.block == "CN"), half)
    frames = labelled(random_frames({"CN": 12}, seed=5), merge_parameters([*frozen, cross]))
    least = np.sort(np.abs(np.concatenate([f.forces.ravel() for f in frames])))[-30]
    sums = summarise(
        frames, basis, blocks=["CN"], folds=None, frozen=frozen, executor=SERIAL,
        row_weights=RowWeights(force=f"1 if abs(value) >= {float(least) * (1 - 1e-12)!r} else 0"),
    )  # fmt: skip
    given = view(sums, blocks=["CN"], weights=WEIGHTS, prior={"mean": "auto", "gamma": 0.8})
    assert sum(sums.rows(g) for g in given.factors if g.kind == "force") > len(given.columns)
    assert given.prior.gamma[:2] == (0.8, 0.8)
    assert any("; 30 rows are too few" in note for note in given.notes)


def test_rows_of_probes_are_no_data_in_a_posterior(summaries):
    frozen = lower(climb(1.0))
    probes = reduce_probes(random_frames({"CN": 12}, seed=9), BASIS, [ElementSet("CN")], executor=SERIAL)
    prior = Prior.of({"probes": 12, "probe_weight": 2.0})
    given = view(summaries, blocks=["CN"], frozen=frozen, weights=WEIGHTS, prior=prior, probes=probes)
    known = posterior(given, {"kind": "ridge", "alpha": 0.5}, held_out=False)
    data = combined_factor(given)
    r, ap = data.r[:, : len(CN)], given.deviation.weighted
    precision = r.T @ r + ap.T @ ap + 0.5 * np.eye(len(CN))
    freedom = np.trace(np.linalg.solve(precision, r.T @ r))
    values = known.solution.parameters.as_dict()
    left = r @ np.array([values[c] for c in given.columns]) - data.r[:, len(CN)]
    assert known.linear.degrees_of_freedom == pytest.approx(freedom, rel=1e-6)
    assert known.linear.noise**2 == pytest.approx(left @ left / (data.rows - freedom), rel=1e-6)
    np.testing.assert_allclose(
        known.linear.covariance(), known.linear.noise**2 * np.linalg.inv(precision), rtol=1e-5, atol=1e-14
    )


def test_what_no_frame_has_is_refused_or_marked():
    """Two nitrogens are never near each other in these frames: CNN has no cluster, and its columns hold nothing."""
    alone = [f for f in FRAMES if len(f.elements) == 1]
    far = [Frame(("C", "C", "N"), [[0, 0, 0], [1.4, 0.1 * i, 0], [0.2, 1.5, 0.1 * i]]) for i in range(4)]
    said = Model(TRUTH).evaluate(far)
    frames = [*alone, *(replace(f, energy=s.energy, forces=s.forces) for f, s in zip(far, said, strict=True))]
    near = Frame(("C", "N", "N"), [[0, 0, 0], [1.4, 0, 0], [0.2, 1.5, 0]])
    model = climb(1.0, frames).model
    assert model.parameters.fitted_on["CNN"] == (0, 0)
    with pytest.raises(MissingTypesError, match="CNN"):
        model.evaluate([near])
    model.evaluate(far)
    mixed = climb(1.0, frames, fit={"prior": "mixed"}).model
    assert mixed.parameters.without_data["CNN"] == "mixed"
    mixed.evaluate([near])


def test_options_that_would_be_ignored_are_refused():
    with pytest.raises(InputError, match="with only, no block is made"):
        HierarchyOptions(only=["C"], missing="mixed")
    with pytest.raises(InputError, match="missing"):
        fit_all_at_once(FRAMES, BASIS, options=HierarchyOptions(missing="mixed"), executor=SERIAL)
    together = HierarchyOptions(FitSettings({"kind": "ridge", "alpha": 1.0}, prior="auto"))
    notes = fit_all_at_once(FRAMES, BASIS, options=together, executor=SERIAL).solution.notes
    assert any(note.startswith("prior auto: zero, for block CN is fitted together") for note in notes)
    for more, match in (
        ({"regulariser": {"kind": "ard"}}, "ard has a variance for each column"),
        ({"method": "gram"}, "method gram"),
    ):
        settings = FitSettings(**{"regulariser": {"kind": "ridge", "alpha": 1.0}, "prior": "auto", **more})
        with pytest.raises(InputError, match=match):
            fit_hierarchy(FRAMES, BASIS, options=HierarchyOptions(settings), executor=SERIAL)


def test_a_mean_that_has_nothing_of_a_block_is_refused(summaries):
    other = TRUTH.restricted({"C"})
    with pytest.raises(InputError, match="has no coefficient of blocks CN"):
        view(summaries, blocks=["CN"], frozen=lower(climb(1.0)), prior=Prior(mean=other), weights=WEIGHTS)


def test_rows_that_are_drawn_anew_choose_the_prior():
    """As without a fold where each other one is there once; other rows, another choice."""
    likely, rng = climb(1e12, fit={"prior": "mixed"}).model.parameters, np.random.default_rng(1)
    mixed = np.array([c.block == "CN" for c in columns_of(likely.basis)])
    factors = np.where(mixed, rng.uniform(0.3, 1.2, len(mixed)), 1.0)
    mixtures = labelled(random_frames({"CN": 6}, seed=4), replace(likely, coefficients=factors * likely.coefficients))
    frozen = lower(climb(1e-9))
    sums = summarise(mixtures, BASIS, blocks=["CN"], frozen=frozen, folds=Folds(3), executor=SERIAL)
    probes = reduce_probes(random_frames({"CN": 2}, seed=9), BASIS, ["CN"], executor=SERIAL, lower=frozen)
    given = view(sums, weights=WEIGHTS, prior=Prior(mean="auto", probes=2), probes=probes)
    assert given.asked is not None
    assert given.prior.mean == "mixed"
    once = view_priors.redrawn(given, dict.fromkeys(given.factors, 1))
    assert (once.prior, once.factors) == (given.prior, given.factors)
    for fold in range(3):
        times = {g: int(g.fold != fold) for g in given.factors}
        mine, theirs = view_priors.redrawn(given, times), view_priors.without_fold(given, fold)
        assert (mine.prior, mine.factors) == (theirs.prior, theirs.factors)
        np.testing.assert_array_equal(mine.deviation.mean, theirs.deviation.mean)
    fixed = replace(given, asked=None)
    for k in range(3):
        times = {g: 2 * int(g.fold == k) + int(g.fold != k) for g in given.factors}
        mine = view_priors.redrawn(given, times)
        assert mine.prior != given.prior
        assert mine.factors == view_priors.redrawn(fixed, times).factors
        assert mine.factors == {g: w * times[g] ** 0.5 for g, w in given.factors.items()}
    members = committee(given, {"kind": "ridge", "alpha": 1.0}, kind="bootstrap", members=3).members
    others = committee(fixed, {"kind": "ridge", "alpha": 1.0}, kind="bootstrap", members=3).members
    assert all(a.digest != b.digest for a, b in zip(members, others, strict=True))
