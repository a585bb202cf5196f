"""Posteriors of views and predictions with their deviations, against dense Bayesian algebra and against sampling."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from synthetic import labelled, random_frame, random_frames, random_parameters, small_basis
from view_oracle import dense, frames_of
from view_oracle import plain_view as view

from hiertl_dist import Frame, Model, design_rows
from hiertl_dist.algebra import (
    ARD,
    AdaptiveLasso,
    BayesianRidge,
    ElasticNet,
    Lasso,
    NoRegularisation,
    Ridge,
    TruncatedSVD,
)
from hiertl_dist.dataset.folds import Folds
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.errors import FrameError, InnerCutoffError, InputError, MismatchError
from hiertl_dist.evaluation.energies import Evaluation
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting.reduction import reduce_rows
from hiertl_dist.fitting.summary_pass import summarise
from hiertl_dist.fitting.view_solutions import solve
from hiertl_dist.model.parameters import Parameters, merge_parameters
from hiertl_dist.uncertainty.calibration import calibration
from hiertl_dist.uncertainty.noise import Cell, fitted_noise
from hiertl_dist.uncertainty.predictive import Prediction, Spread, posterior, predict
from hiertl_dist.units import KCAL_PER_A3_IN_GPA

SERIAL = SerialExecutor()
BASIS = small_basis((4, 3, 0))
FOLDS = 3
TRUTH = random_parameters(BASIS, 3)
C, N = (TRUTH.restricted({b}) for b in ("C", "N"))
WEIGHTS = {"energy": 0.5, "stress": 20.0, "solid": 1.5}
ALPHA = 0.02


def noisy(frames, seed=7, sigma=(0.3, 2e-3, 1.0)):
    rng = np.random.default_rng(seed)
    return [
        replace(
            f, forces=f.forces + sigma[0] * rng.normal(size=f.forces.shape),
            stress=f.stress + sigma[1] * rng.normal(size=6), energy=f.energy + sigma[2] * rng.normal(),
        )
        for f in frames
    ]  # fmt: skip


FRAMES = noisy(
    labelled([*frames_of({"C": 6, "N": 6, "CN": 14}), *frames_of({"CN": 8}, atoms=11, group="solid", seed=1)], TRUTH)
)
NEW = [random_frame(("C", "N"), (99, i), 10, "liquid") for i in range(3)]
ALL = dense(FRAMES, BASIS, folds=FOLDS)


@pytest.fixture(scope="module")
def summaries():
    return summarise(FRAMES, BASIS, folds=FOLDS, executor=SERIAL)


@pytest.fixture(scope="module")
def chosen(summaries):
    """CN free, C and N frozen, weighted."""
    return view(summaries, blocks=["CN"], frozen=[C, N], weights=WEIGHTS)


class Direct:
    """A ridge fit of CN to dense rows, and what Bayes says of it."""

    def __init__(self, used=True, penalties=ALPHA, active=None):
        free = np.array([c.block == "CN" for c in ALL.columns])
        self.kept = np.flatnonzero(free)
        self.used = ALL.used(elements=["CN"]) & used
        factors = ALL.factors(WEIGHTS)[self.used]
        self.target = ALL.target - ALL.matrix @ ALL.values([C, N])
        self.rows = ALL.matrix[:, self.kept]
        self.A, self.b = factors[:, None] * self.rows[self.used], factors * self.target[self.used]
        self.active = np.ones(len(self.kept), bool) if active is None else active
        alphas = np.broadcast_to(penalties, len(self.kept))[self.active]
        A = self.A[:, self.active]
        self.inverse = np.zeros((len(self.kept),) * 2)
        self.inverse[np.ix_(self.active, self.active)] = np.linalg.inv(A.T @ A + np.diag(alphas))
        self.c = self.inverse @ self.A.T @ self.b
        self.dof = np.trace(self.A @ self.inverse @ self.A.T)

    def sigma(self, c=None):
        left = self.A @ (self.c if c is None else c) - self.b
        # each row once: an energy that counts three times is a row of weight √3
        return np.sqrt(left @ left / (np.count_nonzero(self.A.any(axis=1)) - self.dof))

    def variances(self, rows):
        return np.einsum("ij,jk,ik->i", rows, self.inverse, rows)


def flat(spread):
    return np.concatenate([spread.forces.ravel(), spread.stress, [spread.energy]])


def rows_of_new(frame):
    return design_rows(frame, BASIS, ["CN"]).matrix


def test_deviations_are_those_of_dense_bayesian_algebra(chosen):
    found = posterior(chosen, Ridge(ALPHA), held_out=False)
    direct = Direct()
    assert found.linear.noise == pytest.approx(direct.sigma(), rel=1e-9)
    assert found.linear.degrees_of_freedom == pytest.approx(direct.dof, rel=1e-9)
    whole = Model(merge_parameters([found.solution.parameters, C, N]))
    weight = np.r_[np.ones(30), np.full(3, 20.0), np.full(3, 20 * 2**0.5), 0.5 * 3**0.5]
    for frame, got in zip(NEW, predict(NEW, found), strict=True):
        variances = direct.variances(rows_of_new(frame))
        np.testing.assert_allclose(flat(got.coefficients), direct.sigma() * np.sqrt(variances), rtol=1e-8)
        assert got.leverage_sum == pytest.approx((weight**2 * variances).sum(), rel=1e-8)
        assert got.leverage_max == pytest.approx((weight**2 * variances).max(), rel=1e-8)
        expected = whole.evaluate(frame)[0]
        np.testing.assert_allclose(got.mean.forces, expected.forces, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(got.mean.stress, expected.stress, rtol=1e-9, atol=1e-12)
        assert got.mean.energy == pytest.approx(expected.energy, rel=1e-12)
        # the noise of the kind comes on top, of energies for each atom
        noise = found.noise
        floor = np.r_[[noise["force"].noise] * 30, [noise["stress"].noise] * 6, 10 * noise["energy"].noise]
        np.testing.assert_allclose(flat(got.total), np.hypot(flat(got.coefficients), floor), rtol=1e-12)
        assert got.origin == frame.origin
    as_solid = predict(NEW[0], found, source="solid")[0]
    assert as_solid.leverage_sum == pytest.approx(1.5**2 * predict(NEW[0], found)[0].leverage_sum, rel=1e-12)


def test_noise_in_sample_is_unbiased_by_kind(chosen):
    found = posterior(chosen, Ridge(ALPHA), held_out=False)
    direct = Direct()
    left = (direct.rows @ direct.c - direct.target)[direct.used]
    hat = np.einsum("ij,jk,ik->i", direct.A, direct.inverse, direct.A)
    kinds = ALL.by_field["kind"][direct.used]
    atoms = ALL.by_field["atoms"][direct.used]
    for kind, expected in (("force", 0.3), ("stress", 2e-3), ("energy", 1.0 / 9)):
        mine = np.char.startswith(kinds, kind)
        scaled = left[mine] / (atoms[mine] if kind == "energy" else 1)
        noise = np.sqrt((scaled**2).sum() / (mine.sum() - hat[mine].sum()))
        got = found.noise[kind]
        assert (got.noise, got.scale, got.rows, got.held_out) == (
            pytest.approx(noise, rel=1e-8),
            1.0,
            mine.sum(),
            False,
        )
        assert got.noise == pytest.approx(expected, rel=0.35)  # what was put in


def test_kinds_without_weight_count_as_not_fitted(summaries):
    found = posterior(view(summaries, blocks=["C"], weights={"energy": 0.0}), Ridge(ALPHA), held_out=False)
    # rows without weight say nothing of the energy of a free atom, which stays at the estimate that labels lose first
    kept = np.array([c.block == "C" and c.powers != () for c in ALL.columns])
    above_zero = ALL.above(summaries.energies.zeros)
    used = ALL.used(elements=["C"])
    energies = used & ALL.used(kind=["energy"])
    factors = ALL.factors({"energy": 0.0})[used]
    A = factors[:, None] * ALL.matrix[used][:, kept]
    inverse = np.linalg.inv(A.T @ A + ALPHA * np.eye(kept.sum()))
    c = inverse @ A.T @ (factors * ALL.target[used])
    rows = ALL.matrix[energies][:, kept]
    squares = ((rows @ c - above_zero[energies]) / 8) ** 2
    variances = found.linear.noise**2 * np.einsum("ij,jk,ik->i", rows, inverse, rows) / 64
    assert found.noise["energy"].noise == pytest.approx(np.sqrt(max(squares.sum() - variances.sum(), 0) / 6), rel=1e-7)


def held_out_cells():
    """By kind: rows, e² and v of each source, composition and fold, from dense fits without the fold."""
    cells = {}
    for fold in range(FOLDS):
        direct = Direct(used=~ALL.used(fold=[fold]))
        test = ALL.used(elements=["CN"], fold=[fold])
        variances = direct.sigma() ** 2 * direct.variances(direct.rows)
        errors = direct.rows @ direct.c - direct.target
        for i in np.flatnonzero(test):
            row = ALL.labels[i]
            unit = row.atoms if row.kind == "energy" else 1.0
            cell = cells.setdefault(row.person_kind, {}).setdefault((row.source, row.composition, fold), np.zeros(3))
            cell += 1.0, (errors[i] / unit) ** 2, variances[i] / unit**2
    return {kind: np.array(list(own.values())) for kind, own in cells.items()}


def likelihood(cells, scale2, noise2):
    """Of what Gaussian errors of these variances would be, rows of a cell together being one observation."""
    rows, squares, variances = cells.T
    wide = scale2 * variances / rows + noise2
    return -len(rows) * (rows / rows.sum()) @ (np.log(wide) + squares / rows / wide) - np.log(scale2) ** 2 / 4


def test_held_out_noise_standardises_errors_on_folds_left_out(chosen):
    found = posterior(chosen, Ridge(ALPHA))
    for kind, cells in held_out_cells().items():
        got = found.noise[kind]
        rows, squares, variances = cells.T
        assert got.held_out
        assert got.rows == rows.sum()
        standardised = squares / (got.scale**2 * variances / rows + got.noise**2)
        assert standardised.sum() / rows.sum() == pytest.approx(1.0, rel=1e-6)
        best = likelihood(cells, got.scale**2, got.noise**2)
        for ratio in variances.sum() / rows.sum() * np.geomspace(1e-6, 1e6, 400):
            scale2 = (squares / (variances / rows + ratio)).sum() / rows.sum()
            assert likelihood(cells, scale2, ratio * scale2) <= best + 1e-6
    said = predict(NEW[0], found)[0]
    energy = found.noise["energy"]
    assert said.total.energy == pytest.approx(np.hypot(energy.scale * said.coefficients.energy, 10 * energy.noise))


def test_noise_and_scale_are_found_where_cells_tell_them_apart():
    rng = np.random.default_rng(0)
    cells = []
    for i, v in enumerate(np.geomspace(0.01, 30.0, 60)):
        errors = rng.normal(size=400) * np.sqrt(2.5**2 * v + 1.7**2)
        cells.append(Cell("force", f"s{i}", "C", 0, 400, float(errors @ errors), 400 * v))
    found = fitted_noise(cells)
    assert found.scale == pytest.approx(2.5, rel=0.05)
    assert found.noise == pytest.approx(1.7, rel=0.05)


@pytest.mark.parametrize(("squares", "variances", "noise", "scale"), [
    (10.0, 4.0, 6.0**0.5, 1.0),  # nothing tells them apart: the coefficients are believed
    (10.0, 0.0, 10.0**0.5, 1.0),
    (1e-4, 4.0, None, None),  # errors far smaller than promised: sigmas shrink to them
])  # fmt: skip
def test_noise_where_all_variances_are_alike(squares, variances, noise, scale):
    found = fitted_noise([Cell("force", s, "C", 0, 10, 10 * squares, 10 * variances) for s in "abc"])
    if noise is not None:
        assert found.noise == pytest.approx(noise, rel=0.01)
        assert found.scale == pytest.approx(scale, rel=0.01)
    assert found.scale**2 * variances + found.noise**2 == pytest.approx(squares, rel=1e-6)


def test_errors_that_frames_of_a_source_share_are_told():
    """Energies of a source moved together: their errors about its mean are those of frames predicted one by one."""
    basis, groups = small_basis((3, 2, 0), elements=("C",)), tuple("abcdef")
    truth = random_parameters(basis, 3)
    frames = noisy(labelled(random_frames({"C": 36}, atoms=9, groups=groups), truth))
    moved = [replace(f, energy=f.energy + 90.0 * (groups.index(f.group) - 2.5)) for f in frames]
    for labels, shares in ((frames, False), (moved, True)):
        summaries = summarise(labels, basis, folds=Folds(3, split="group"), executor=SERIAL)
        found = posterior(view(summaries), Ridge(ALPHA))
        fold_of = {g.source: g.fold for g in summaries.groups}
        squares = 0.0
        for source, fold in fold_of.items():
            fit = solve(
                view(summaries, folds=[f for f in range(3) if f != fold], weights=found.view.weights), Ridge(ALPHA)
            )
            own = [f for f in labels if f.group == source]
            said = Model(fit.parameters).evaluate(own)
            squares += 5 * np.var([(s.energy - f.energy) / 9 for s, f in zip(said, own, strict=True)], ddof=1)
        energy = found.noise["energy"]
        assert energy.within == pytest.approx(np.sqrt(squares / 30), rel=1e-6)
        assert ("about the mean of their source" in repr(found)) == shares == (energy.within < 0.4 * energy.noise)
        assert np.isnan(found.noise["force"].within)


def test_draws_of_the_coefficients_spread_as_predicted(chosen):
    found = posterior(chosen, Ridge(ALPHA), held_out=False)
    center = np.array([found.solution.parameters.as_dict()[c] for c in chosen.columns])
    draws = found.linear.sample(1500, 5, center)
    own = found.solution.parameters
    at = [chosen.columns.index(c) for c in own.columns]
    said = [
        Model(replace(own, coefficients=d[at])).evaluate(NEW[0], ignore_other_elements=True, missing="zero")[0]
        for d in draws
    ]
    values = np.array([np.r_[e.forces.ravel(), e.stress, e.energy] for e in said])
    promised = flat(predict(NEW[0], found)[0].coefficients)
    # standard error of a deviation from 1500 draws is 1.8 %
    np.testing.assert_allclose(values.std(axis=0) / promised, 1.0, atol=0.09)
    assert np.mean(values.std(axis=0) / promised) == pytest.approx(1.0, abs=0.03)


def test_a_lasso_leaves_what_it_kept_free(chosen):
    fit = solve(chosen, Lasso(1e-3, normalize=True))
    values = fit.parameters.as_dict()
    active = np.array([values[c] != 0.0 for c in chosen.columns])
    assert 0 < active.sum() < len(active)
    found = posterior(chosen, fit, held_out=False)
    direct = Direct(penalties=0.0, active=active)
    sigma = direct.sigma(np.array([values[c] for c in chosen.columns]))
    expected = sigma * np.sqrt(direct.variances(rows_of_new(NEW[0])))
    np.testing.assert_allclose(flat(predict(NEW[0], found)[0].coefficients), expected, rtol=1e-6)


@pytest.mark.parametrize("normalize", [False, True])
def test_an_elastic_net_keeps_its_squared_penalty(chosen, normalize):
    net = ElasticNet(1e-3, 0.3, normalize=normalize)
    fit = solve(chosen, net)
    values = np.array([fit.parameters.as_dict()[c] for c in chosen.columns])
    lengths2 = np.square(np.linalg.norm(Direct().A, axis=0)) if normalize else 1.0
    penalties = 1e-3 * fit.n_counted * 0.7 * lengths2
    direct = Direct(penalties=penalties, active=values != 0.0)
    # where its signs are known, the net is that ridge with a shifted target
    shifted = direct.inverse @ (
        direct.A.T @ direct.b - 1e-3 * fit.n_counted * 0.3 * np.sqrt(lengths2) * np.sign(values)
    )
    np.testing.assert_allclose(direct.rows @ shifted, direct.rows @ values, atol=1e-5)
    found = posterior(chosen, net, held_out=False)
    expected = direct.sigma(values) * np.sqrt(direct.variances(rows_of_new(NEW[0])))
    np.testing.assert_allclose(flat(predict(NEW[0], found)[0].coefficients), expected, rtol=1e-6)


def test_evidence_brings_its_own_penalties_and_noise(chosen):
    found = posterior(chosen, BayesianRidge(), held_out=False)
    added = np.diag(found.linear.triangle.T @ found.linear.triangle - Direct().A.T @ Direct().A)
    np.testing.assert_allclose(added, added.mean(), atol=1e-8 * np.square(Direct().A).sum())
    direct = Direct(penalties=added.mean())
    assert found.linear.noise == pytest.approx(direct.sigma(), rel=1e-3)
    expected = found.linear.noise * np.sqrt(direct.variances(rows_of_new(NEW[0])))
    np.testing.assert_allclose(flat(predict(NEW[0], found)[0].coefficients), expected, rtol=1e-3)
    relevance = posterior(chosen, ARD(), held_out=False)
    again = posterior(chosen, relevance.solution, held_out=False)
    np.testing.assert_array_equal(again.linear.triangle, relevance.linear.triangle)
    assert 0 < len(relevance.linear.columns) <= len(chosen.columns)
    assert posterior(chosen, AdaptiveLasso(1e-4, 1e-3), held_out=False).linear.n == len(chosen.columns)


def test_a_solution_says_the_same_as_its_regulariser(chosen):
    fit = solve(chosen, {"kind": "ridge", "alpha": ALPHA})
    one, other = posterior(chosen, fit), posterior(chosen, Ridge(ALPHA))
    assert one.noise == other.noise
    np.testing.assert_array_equal(one.linear.triangle, other.linear.triangle)
    np.testing.assert_array_equal(one.solution.parameters.coefficients, other.solution.parameters.coefficients)


def test_solutions_of_other_views_are_refused(summaries, chosen):
    fit = solve(chosen, Ridge(ALPHA))
    for other, what in (
        (view(summaries, blocks=["CN"], frozen=[C, N]), "weights"),
        (view(summaries, blocks=["CN"], frozen=[C], weights=WEIGHTS), "frozen models"),
        (view(summaries, blocks=["CN"], frozen=[C, N], weights=WEIGHTS, orders=[3, 3, 0]), "columns"),
        (view(summaries, blocks=["CN"], frozen=[C, N], weights=WEIGHTS, objective="plain"), "objective"),
        (view(summaries, blocks=["CN"], frozen=[C, N], weights=WEIGHTS, folds=[0, 1]), "N of the view"),
    ):
        with pytest.raises(MismatchError, match=what):
            posterior(other, fit)


def test_refusals(summaries, chosen):
    with pytest.raises(InputError, match="svd"):
        posterior(chosen, TruncatedSVD(1e-8))
    with pytest.raises(InputError, match="two folds"):
        posterior(view(summaries, blocks=["C"], folds=[1]), Ridge(ALPHA), held_out=True)
    one = posterior(view(summaries, blocks=["C"], folds=[1]), Ridge(ALPHA))
    assert not one.noise["force"].held_out
    plan = make_plan(FRAMES, BASIS, blocks=["C"], executor=SERIAL)
    coarse = reduce_rows(plan, ["C"], store=None, executor=SERIAL)
    with pytest.raises(InputError, match="per atom"):
        posterior(view(coarse), Ridge(ALPHA))
    few = view(summaries, blocks=["CN"], frozen=[C, N], folds=[0], weights={"force": 0.0, "stress": 0.0})
    with pytest.raises(np.linalg.LinAlgError, match="depend on"):
        posterior(few, NoRegularisation())


def test_noise_of_rows_that_are_all_met_is_not_known(summaries):
    lone = summarise([f for f in FRAMES if f.elements == {"C"}][:1], BASIS, blocks=["C"], folds=None, executor=SERIAL)
    found = posterior(view(lone), NoRegularisation())
    assert np.isnan(found.noise["energy"].noise)
    said = predict(FRAMES[1], found)[0]
    assert np.isnan(said.total.energy)
    assert np.isfinite(said.total.forces).all()


def test_frames_need_no_labels_and_molecules_have_no_stress(chosen):
    found = posterior(chosen, Ridge(ALPHA))
    with_all = predict(NEW[0], found)[0]
    bare = predict(NEW[0].without_labels(energy=True, forces=True, stress=True), found)[0]
    np.testing.assert_array_equal(flat(bare.total), flat(with_all.total))
    assert bare.leverage_sum == with_all.leverage_sum
    molecule = Frame(("C", "N", "C"), np.array([[0.0, 0, 0], [1.3, 0, 0], [0, 1.5, 0]]))
    lone = predict(molecule, found)[0]
    assert np.isnan(lone.total.stress).all()
    assert np.isnan(lone.mean.stress).all()
    assert np.isfinite([lone.total.energy, *lone.total.forces.ravel()]).all()
    assert lone.leverage_max > 0


def test_frames_that_cannot_be_predicted_are_named(summaries, chosen):
    found = posterior(view(summaries, blocks=["C"]), Ridge(ALPHA))
    with pytest.raises(FrameError, match=re.escape(NEW[0].origin)):
        predict(NEW[0], found)
    found = posterior(chosen, Ridge(ALPHA))
    close = Frame(("C", "N", "C"), np.array([[0.0, 0, 0], [0.5, 0, 0], [0, 1.5, 0]]), origin="close one")
    assert np.isfinite(predict(close, found)[0].total.energy)
    with pytest.raises(InnerCutoffError, match="close one"):
        predict(close, found, policy="refuse")
    with pytest.raises(ValueError, match="skip_frame"):
        predict(close, found, policy="skip_frame")
    assert predict([], found) == []


def test_models_frozen_with_the_rows_are_part_of_the_mean(chosen):
    offset = summarise(FRAMES, BASIS, folds=FOLDS, frozen=[C, N], executor=SERIAL)
    found = posterior(view(offset, blocks=["CN"], sets=["CN"], weights=WEIGHTS), Ridge(ALPHA))
    expected = posterior(chosen, Ridge(ALPHA))
    for got, want in zip(predict(NEW, found), predict(NEW, expected), strict=True):
        assert got.mean.energy == pytest.approx(want.mean.energy, rel=1e-7)
        np.testing.assert_allclose(flat(got.total), flat(want.total), rtol=1e-5)


def test_an_executor_changes_nothing(chosen):
    found = posterior(chosen, Ridge(ALPHA), executor=SERIAL)
    for one, other in zip(predict(NEW, found), predict(NEW, found, executor=SERIAL), strict=True):
        np.testing.assert_array_equal(flat(one.total), flat(other.total))
        assert one.origin == other.origin


def test_calibration_compares_by_kind_in_the_units_of_held_out_errors():
    frames = [replace(random_frame(("C",), i), forces=None) if i == 1 else random_frame(("C",), i) for i in range(3)]
    predictions = []
    for i, f in enumerate(frames):
        forces = np.zeros((12, 3)) if f.forces is None else f.forces + 0.5
        mean = Evaluation(f.energy + 24.0 * i, forces, f.stress - 0.01)
        total = Spread(12.0, np.full((12, 3), 0.25 * (1 + i)), np.full(6, 0.02))
        predictions.append(Prediction(f.origin, mean, total, total, 0.0, 0.0))
    found = calibration(predictions, frames, bins=4, levels=[0.5])
    assert list(found) == ["force", "stress", "energy"]
    assert len(found["force"].errors) == 72
    assert found["force"].rmse == pytest.approx(0.5)
    np.testing.assert_allclose(found["force"].reliability.sigma, [0.25, 0.25, 0.75, 0.75])
    assert found["force"].standardised == pytest.approx(np.sqrt(0.5 * (2**2 + (2 / 3) ** 2)))
    assert found["force"].coverage[0.5] == pytest.approx(0.5)  # |e| = 2/3 σ < 0.6745 σ for half of them
    np.testing.assert_allclose(found["stress"].errors, -0.01 * KCAL_PER_A3_IN_GPA)
    np.testing.assert_allclose(found["stress"].sigmas, 0.02 * KCAL_PER_A3_IN_GPA)
    np.testing.assert_allclose(found["energy"].errors, [0.0, 2.0, 4.0])
    np.testing.assert_allclose(found["energy"].sigmas, 1.0)
    assert len(found["energy"].reliability.count) == 3
    with pytest.raises(ValueError, match="expected a prediction of each frame, found 2 of 3"):
        calibration(predictions[:2], frames)
    with pytest.raises(ValueError, match=r"expected a prediction of .*, found one of"):
        calibration(predictions[::-1], frames)


def test_sigmas_are_right_on_frames_that_were_not_fitted():
    """Labels of a known model and noise: standardised errors on new frames are about 1 wide."""
    fresh = noisy(labelled([random_frame(("C",), (5, i), 10) for i in range(40)], C), seed=1)
    frames = noisy(labelled(frames_of({"C": 40}, seed=3), C), seed=2)
    summaries = summarise(frames, BASIS, blocks=["C"], folds=4, executor=SERIAL)
    weighted = view(summaries, weights={"stress": 150.0, "energy": 0.3}, objective="plain")
    for held_out in (True, False):
        found = posterior(weighted, Ridge(1e-6), held_out=held_out)
        got = calibration(predict([replace(f, group="new") for f in fresh], found), fresh)
        assert got["force"].standardised == pytest.approx(1.0, abs=0.1)
        assert got["stress"].standardised == pytest.approx(1.0, abs=0.2)
        assert got["force"].coverage[0.6827] == pytest.approx(0.6827, abs=0.05)
    assert isinstance(found.solution.parameters, Parameters)


def test_summaries_in_a_store_say_the_same(chosen, tmp_path):
    kept = summarise(FRAMES, BASIS, folds=FOLDS, summaries=tmp_path / "kept", executor=SERIAL)
    stored = view(kept, blocks=["CN"], frozen=[C, N], weights=WEIGHTS)
    found, expected = (predict(NEW, posterior(v, Ridge(ALPHA))) for v in (stored, chosen))
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(flat(got.total), flat(want.total), rtol=1e-9)
