"""The posterior against what repeated fits scatter, what draws scatter, and scikit-learn's Bayesian ridge."""

from __future__ import annotations

import numpy as np
import pytest

from hiertl_dist.algebra import NoRegularisation, RFactor
from hiertl_dist.algebra.posterior import posterior
from hiertl_dist.algebra.solve import solve


def test_bayesian_ridge_of_scikit_learn() -> None:
    """Precision alpha AᵀA + lambda I: penalty lambda / alpha, noise 1 / √alpha."""
    from sklearn.linear_model import BayesianRidge

    rng = np.random.default_rng(2)
    A = rng.normal(size=(30, 6)) @ rng.normal(size=(6, 6))
    b = A @ rng.normal(size=6) + 0.3 * rng.normal(size=30)
    model = BayesianRidge(fit_intercept=False).fit(A, b)
    found = posterior(RFactor.of(A, b), penalties=model.lambda_ / model.alpha_, noise=model.alpha_**-0.5)
    np.testing.assert_allclose(found.covariance(), model.sigma_, rtol=1e-8, atol=1e-10 * np.abs(model.sigma_).max())
    new = rng.normal(size=(5, 6))
    total = model.predict(new, return_std=True)[1]
    np.testing.assert_allclose(np.sqrt(found.variance(new) + found.noise**2), total, rtol=1e-9)


def test_noise_estimate_is_unbiased_and_the_variance_is_real() -> None:
    """Over 400 repetitions of a ridge-free fit: mean noise², and the scatter of the fitted coefficients."""
    rng = np.random.default_rng(11)
    A = rng.normal(size=(20, 5)) @ rng.normal(size=(5, 5))
    c, noises, fits = np.arange(5.0), [], []
    for _ in range(400):
        b = A @ c + 0.7 * rng.normal(size=20)
        summary = RFactor.of(A, b)
        fit = solve(summary, NoRegularisation()).coefficients
        fits.append(fit)
        noises.append(posterior(summary, coefficients=fit).noise ** 2)
    assert np.mean(noises) == pytest.approx(0.49, rel=0.05)
    predicted = posterior(summary, noise=0.7).standard_deviations()
    np.testing.assert_allclose(np.std(fits, axis=0), predicted, rtol=0.12)


def test_samples_have_the_covariance_and_come_again() -> None:
    A = np.random.default_rng(1).normal(size=(30, 5)) * [1.0, 1e-3, 10.0, 1e3, 0.1]
    b = A.sum(axis=1)
    found = posterior(RFactor.of(A, b), active=[0, 1, 3], penalties=0.1, noise=0.4)
    center = np.linspace(-1.0, 1.0, 5)
    draws = found.sample(40_000, 3, center)
    assert draws.shape == (40_000, 5)
    s = np.where(found.standard_deviations() > 0, found.standard_deviations(), 1.0)
    np.testing.assert_allclose((draws.mean(axis=0) - center) / s, 0.0, atol=0.03)
    np.testing.assert_allclose(np.cov(draws.T) / s / s[:, None], found.covariance() / s / s[:, None], atol=0.03)
    np.testing.assert_array_equal(draws[:, [2, 4]], np.tile(center[[2, 4]], (40_000, 1)))
    np.testing.assert_array_equal(draws, found.sample(40_000, 3, center))
    np.testing.assert_allclose(found.sample(7, 3, center), draws[:7], rtol=1e-12)
    assert not np.array_equal(found.sample(7, 4, center), draws[:7])
    assert found.sample(0, 3, center).shape == (0, 5)
