"""A problem in deviations from given coefficients: the answers of stacked rows, dense."""

from __future__ import annotations

import numpy as np
import pytest

from hiertl_dist.algebra import Gram, RFactor, Ridge
from hiertl_dist.algebra.deviation import Deviation
from hiertl_dist.algebra.solve import solve

RNG = np.random.default_rng(4)
A, B = RNG.normal(size=(60, 7)), RNG.normal(size=60)
MEAN, SCALE = RNG.normal(size=7), RNG.uniform(0.2, 3.0, 7)
PROBES = RNG.normal(size=(20, 7))


def dense(alpha, probes=None):
    """The minimum of ‖A c − b‖² + ‖A_p (c − m)‖² + alpha ‖(c − m) / D‖²."""
    rows, targets = [A, np.diag(np.sqrt(alpha) / SCALE)], [B, np.sqrt(alpha) / SCALE * MEAN]
    if probes is not None:
        rows, targets = [*rows, probes], [*targets, probes @ MEAN]
    return np.linalg.lstsq(np.vstack(rows), np.concatenate(targets))[0]


@pytest.mark.parametrize("kind", [RFactor, Gram])
@pytest.mark.parametrize("alpha", [1e-3, 10.0, 1e9])
def test_ridge_about_a_mean(kind, alpha):
    deviation = Deviation(MEAN, SCALE)
    summary = kind.of_buffer(np.column_stack([A, B]))
    found = deviation.solution(solve(deviation.scaled(summary), Ridge(alpha)))
    np.testing.assert_allclose(found.coefficients, dense(alpha), rtol=1e-8)
    np.testing.assert_allclose(found.penalties, alpha / SCALE**2)


@pytest.mark.parametrize("count", [3, 20])
@pytest.mark.parametrize("rows", [5, 60])
def test_probe_rows_hold_predictions(count, rows):
    probes = PROBES[:count]
    deviation = Deviation(MEAN, SCALE, probes)
    summary = RFactor.of_buffer(np.column_stack([A[:rows], B[:rows]]))
    found = deviation.solution(solve(deviation.scaled(summary), Ridge(0.3))).coefficients
    stacked = np.vstack([A[:rows], probes, np.diag(np.sqrt(0.3) / SCALE)])
    targets = np.concatenate([B[:rows], probes @ MEAN, np.sqrt(0.3) / SCALE * MEAN])
    np.testing.assert_allclose(found, np.linalg.lstsq(stacked, targets)[0], rtol=1e-9)


def test_columns_without_rows_stay_at_the_mean():
    nothing = np.column_stack([A[:, :6], np.zeros(60), B])
    deviation = Deviation(MEAN, SCALE)
    found = deviation.solution(solve(deviation.scaled(RFactor.of_buffer(nothing)), Ridge(1e-3)))
    assert found.coefficients[6] == MEAN[6]


def test_normal_equations_take_no_probes():
    summary = Gram.of_buffer(np.column_stack([A, B]))
    with pytest.raises(TypeError, match="triangular factor"):
        Deviation(MEAN, SCALE, PROBES).scaled(summary)


def test_mean_zero_and_scale_one_change_nothing():
    summary = RFactor.of_buffer(np.column_stack([A, B]))
    same = Deviation(np.zeros(7), np.ones(7)).scaled(summary)
    assert np.array_equal(same.r, summary.r)
