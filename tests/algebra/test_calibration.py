"""Reliability and coverage on errors that were drawn from what was predicted, and on others."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hiertl_dist.algebra.calibration import coverage, reliability


def test_reliability_of_honest_and_of_boastful_deviations() -> None:
    rng = np.random.default_rng(8)
    sigmas = rng.uniform(0.1, 3.0, size=20_003)
    errors = sigmas * rng.normal(size=len(sigmas))
    honest = reliability(errors, sigmas, 10)
    assert honest.count.tolist() == [2001] * 3 + [2000] * 7
    order = np.argsort(sigmas)
    np.testing.assert_allclose(honest.sigma[0], sigmas[order[:2001]].mean())
    np.testing.assert_allclose(honest.rms_error[-1], np.sqrt(np.mean(errors[order[-2000:]] ** 2)))
    np.testing.assert_allclose(honest.rms_error / honest.rms_sigma, 1.0, atol=0.06)
    assert (np.diff(honest.sigma) > 0).all()
    assert honest.calibration_error() < 0.04
    assert reliability(errors, sigmas / 3.0, 10).calibration_error() == pytest.approx(2.0, abs=0.1)
    levels = [0.05, 0.5, 0.6827, 0.95]
    np.testing.assert_allclose(coverage(errors, sigmas, levels), levels, atol=0.01)
    np.testing.assert_allclose(coverage(errors, sigmas / 2.0, [0.6827]), [0.3829], atol=0.01)


def test_reliability_of_certainties_and_ties() -> None:
    certain = reliability([0.0, 0.0, 1.0, -1.0], [0.0, 0.0, 1.0, 1.0], 2)
    assert certain.calibration_error() == 0.0
    assert reliability([0.5, 0.0], [0.0, 1.0], 2).calibration_error() == math.inf
    tied = reliability([1.0, 2.0, 3.0, 4.0], [1.0] * 4, 2)
    np.testing.assert_allclose(tied.rms_error**2, [2.5, 12.5])
    np.testing.assert_array_equal(coverage([0.0, 1.0], [0.0, 0.0], [0.5]), [0.5])


def test_calibration_refuses_what_it_cannot_judge() -> None:
    with pytest.raises(ValueError, match="bins: expected 1 … 2, the number of predictions, found 3"):
        reliability([1.0, 2.0], [1.0, 1.0], 3)
    with pytest.raises(ValueError, match=r"same shape \(m,\), found \(2,\) and \(1,\)"):
        reliability([1.0, 2.0], [1.0], 1)
    with pytest.raises(ValueError, match="errors: expected finite numbers, found nan at 1"):
        coverage([1.0, math.nan], [1.0, 1.0], [0.5])
    with pytest.raises(ValueError, match=r"sigmas: expected finite numbers ≥ 0, found -1\.0 at 0"):
        coverage([1.0], [-1.0], [0.5])
    with pytest.raises(ValueError, match="levels: expected a list of numbers between 0 and 1"):
        coverage([1.0], [1.0], [1.0])
    with pytest.raises(ValueError, match="expected at least one"):
        coverage([], [], [0.5])
