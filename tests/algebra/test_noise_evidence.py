"""Noise of kinds of rows by evidence, beside the evidence from the covariance of all rows and scipy's maximum of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from hiertl_dist.algebra import BayesianRidge, ConvergenceError, RFactor
from hiertl_dist.algebra import noise_evidence as module
from hiertl_dist.algebra.noise_evidence import KindOfRows, noise_evidence
from hiertl_dist.algebra.solve import solve

Rows = list[tuple[np.ndarray, np.ndarray]]


def made(counts: tuple[int, ...], n: int, noises: tuple[float, ...], *, free: int = 0, seed: int = 0) -> Rows:
    """Rows of one truth with these noises; the last kind alone has the ``free`` last columns."""
    rng = np.random.default_rng([*counts, n, seed])
    c = np.append(rng.normal(size=n), 50.0 * rng.normal(size=free))
    parts = []
    for i, (count, noise) in enumerate(zip(counts, noises, strict=True)):
        A = rng.normal(size=(count, n + free)) * 10.0 ** rng.uniform(-1, 1)
        A[:, n:] = rng.integers(1, 5, size=(count, free)) if i == len(counts) - 1 else 0.0
        parts.append((A, A @ c + noise * rng.normal(size=count)))
    return parts


def kinds_of(parts: Rows, guesses: list[float]) -> list[KindOfRows]:
    return [KindOfRows(RFactor.of(A, b), g) for (A, b), g in zip(parts, guesses, strict=True)]


def dense_log_evidence(parts: Rows, noises: np.ndarray, precision: float, free: int) -> float:
    """log p(b) by determinants of the covariance of the rows, those of flat columns projected out."""
    A = np.vstack([a for a, _ in parts])
    b = np.concatenate([b for _, b in parts])
    variances = np.concatenate([np.full(len(b), s**2) for (_, b), s in zip(parts, noises, strict=True)])
    n = A.shape[1] - free
    if free:
        left = np.linalg.svd(A[:, n:])[0]
        rank = np.linalg.matrix_rank(A[:, n:])
        # within the one kind that has them
        A, b, variances = left[:, rank:].T @ A, left[:, rank:].T @ b, left[:, rank:].T * variances @ left[:, rank:]
    else:
        variances = np.diag(variances)
    covariance = variances + A[:, :n] @ A[:, :n].T / precision
    sign, volume = np.linalg.slogdet(2 * math.pi * covariance)
    assert sign > 0
    return float(-0.5 * (volume + b @ np.linalg.solve(covariance, b)))


def best_of_dense(
    parts: Rows, guesses: list[float], alpha: float | None, free: int, start: np.ndarray
) -> tuple[np.ndarray, float]:
    """Noises and alpha of the largest evidence, one row of the guess added to each kind."""

    def read(x: np.ndarray) -> tuple[np.ndarray, float]:
        noises = np.exp(x[: len(parts)])
        return noises, (alpha if alpha is not None else math.exp(x[-1])) / noises[0] ** 2

    def fall(x: np.ndarray) -> float:
        noises, precision = read(x)
        prior = sum(-math.log(s) - 0.5 * (g / s) ** 2 for s, g in zip(noises, guesses, strict=True))
        return -dense_log_evidence(parts, noises, precision, free) - prior

    best = minimize(fall, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 4000})
    noises, precision = read(best.x)
    return noises, precision * noises[0] ** 2


@pytest.mark.parametrize("alpha", [None, 0.3])
@pytest.mark.parametrize(("counts", "free"), [((40, 12), 0), ((30, 14, 9), 2), ((25,), 0)])
def test_it_is_the_maximum_of_the_evidence_by_determinants(
    counts: tuple[int, ...], free: int, alpha: float | None
) -> None:
    parts = made(counts, 6, (0.3, 2.0, 0.05)[: len(counts)], free=free)
    guesses = [1.0, 0.7, 0.4][: len(counts)]
    best = noise_evidence(kinds_of(parts, guesses), alpha, range(6, 6 + free))
    start = np.log([*best.noise, best.alpha])[: len(counts) + (alpha is None)] + 0.3
    noises, penalty = best_of_dense(parts, guesses, alpha, free, start)
    np.testing.assert_allclose(best.noise, noises, rtol=1e-4)
    assert best.alpha == pytest.approx(penalty, rel=1e-3)
    known = dense_log_evidence(parts, best.noise, best.alpha / best.noise[0] ** 2, free)
    assert best.log_evidence == pytest.approx(known, abs=1e-8)
    assert not best.at_edge


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6), n=st.integers(1, 15),
    logs=st.tuples(*[st.floats(-4.0, 3.0)] * 3), bad=st.tuples(*[st.floats(-3.0, 3.0)] * 3),
)  # fmt: skip
def test_known_noises_come_out_whatever_was_guessed(
    seed: int, n: int, logs: tuple[float, ...], bad: tuple[float, ...]
) -> None:
    noises = 10.0 ** np.array(logs)
    parts = made((900, 500, 250), n, tuple(noises), free=1, seed=seed)
    guesses = [float(s * 10**x) if s < 1 or x < 0 else float(s) for s, x in zip(noises, np.array(bad) / 3, strict=True)]
    best = noise_evidence(kinds_of(parts, guesses), None, [n])
    # a guess that is ten times too large is one row of a hundred times its square
    for k, (count, part) in enumerate(zip((900, 500, 250), parts, strict=True)):
        left = best.left[k]
        assert 0.0 < left <= len(part[1])
        extra = (guesses[k] / noises[k]) ** 2 / count
        assert best.noise[k] == pytest.approx(noises[k] * math.sqrt(1 + extra), rel=6 / math.sqrt(2 * count))


def test_a_weighted_fit_by_evidence_agrees() -> None:
    """Rows weighted by these noises have the alpha, the noise and the effective parameters of Bayesian ridge."""
    parts = made((4000, 900), 12, (0.2, 3.0), seed=4)
    best = noise_evidence(kinds_of(parts, [0.2, 3.0]))
    weighted = [RFactor.of(A, b).scale(best.noise[0] / s) for (A, b), s in zip(parts, best.noise, strict=True)]
    answer = solve(weighted[0].merge(weighted[1]), BayesianRidge())
    assert answer.hyperparameters["alpha"] == pytest.approx(best.alpha, rel=2e-3)
    assert answer.hyperparameters["noise"] == pytest.approx(best.noise[0], rel=2e-3)
    assert answer.hyperparameters["effective_parameters"] == pytest.approx(4900 - best.left.sum(), rel=1e-3)


def test_few_rows_and_exact_rows_keep_a_noise() -> None:
    """Fewer rows than columns are fitted exactly, and labels of a model are: their noise rests on the guess."""
    few = made((300, 2), 8, (0.1, 0.1), seed=1)
    best = noise_evidence(kinds_of(few, [0.1, 5.0]), 1e-6)
    assert 0.1 < best.noise[1] < 10.0
    exact = made((200, 60, 20), 8, (0.0, 0.0, 0.0), free=2)
    best = noise_evidence(kinds_of(exact, [1e-3] * 3), 1e-8, [8, 9])
    assert (best.noise < 1e-3).all()
    assert (best.noise > 1e-3 / math.sqrt(210)).all()
    noise = made((200, 60), 8, (1.0, 1.0))
    empty = [(A, np.random.default_rng(0).normal(size=len(b))) for A, b in noise]
    best = noise_evidence(kinds_of(empty, [1.0, 1.0]))
    np.testing.assert_allclose(best.noise, 1.0, rtol=0.2)


def test_columns_of_any_length_and_columns_that_depend_on_others() -> None:
    parts = made((500, 80), 10, (0.3, 1.0))
    scales = np.geomspace(1e-6, 1e2, 10)
    stretched = [(np.column_stack([A * scales, A[:, 0] * scales[0], 0 * A[:, 0]]), b) for A, b in parts]
    best = noise_evidence(kinds_of(stretched, [0.3, 1.0]), 1e-12)
    plain = noise_evidence(kinds_of(parts, [0.3, 1.0]), 1e-12)
    np.testing.assert_allclose(best.noise, plain.noise, rtol=0.02)


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = made((40, 12), 6, (0.3, 2.0), free=1)
    with pytest.raises(ValueError, match="unpenalised: expected columns of one kind of rows alone, found them in"):
        noise_evidence(kinds_of(parts, [1.0, 1.0]), 1.0, [0])
    with pytest.raises(ValueError, match="guess of kind 1: expected a finite number > 0, found 0"):
        noise_evidence(kinds_of(parts, [1.0, 0.0]), 1.0, [6])
    one = [parts[0], (parts[1][0][:1], parts[1][1][:1])]
    with pytest.raises(ValueError, match="kind 1: expected more rows than its unpenalised columns fit, found none"):
        noise_evidence(kinds_of(one, [1.0, 1.0]), 1.0, [6])
    monkeypatch.setattr(module, "_ROUNDS", 1)
    with pytest.raises(ConvergenceError, match="noise by evidence: expected a maximum within 1 rounds"):
        noise_evidence(kinds_of(parts, [1e-5, 1.0]), 1.0, [6])
