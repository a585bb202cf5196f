"""Lazy greedy selection against plain greedy on dense determinants, and against the best subset."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiertl_dist.algebra import RFactor
from hiertl_dist.algebra.d_optimal import Pick, d_optimal
from hiertl_dist.algebra.posterior import Posterior, posterior

ALPHA = 0.05


def pool(n: int, sizes: list[int], seed: int) -> list[np.ndarray]:
    """Blocks that differ in size, in strength and in where they lie."""
    rng = np.random.default_rng([seed, n])
    return [rng.normal(size=(m, n)) * 10.0 ** rng.uniform(-1.5, 0.5, size=n) for m in sizes]


def fitted(n: int, seed: int, m: int = 12) -> tuple[np.ndarray, Posterior]:
    A = np.random.default_rng([seed, n, 7]).normal(size=(m, n))
    return A.T @ A + ALPHA * np.eye(n), posterior(RFactor.of(A, np.zeros(m)), penalties=ALPHA, noise=1.0)


def logdet(P: np.ndarray) -> float:
    return float(np.linalg.slogdet(P)[1])


def plain_greedy(P: np.ndarray, blocks: list[np.ndarray], count: int) -> list[Pick]:
    """Every gain of every step from dense determinants; equal ones (to 1e-9) go to the first."""
    picks: list[Pick] = []
    for _ in range(count):
        left = [i for i in range(len(blocks)) if i not in [pick.index for pick in picks]]
        gains = [logdet(P + blocks[i].T @ blocks[i]) - logdet(P) for i in left]
        best = next(j for j, gain in enumerate(gains) if gain >= max(gains) - 1e-9 * max(1.0, max(gains)))
        A = blocks[left[best]]
        picks.append(Pick(left[best], gains[best], float(np.trace(A @ np.linalg.solve(P, A.T)))))
        P = P + A.T @ A
    return picks


def counted(blocks: list[np.ndarray]) -> tuple[Callable[[int], np.ndarray], list[int]]:
    calls: list[int] = []

    def rows_of(i: int) -> np.ndarray:
        calls.append(i)
        return blocks[i]

    return rows_of, calls


def same(found: list[Pick], truth: list[Pick]) -> None:
    assert [pick.index for pick in found] == [pick.index for pick in truth]
    np.testing.assert_allclose([p.gain for p in found], [p.gain for p in truth], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose([p.leverage_sum for p in found], [p.leverage_sum for p in truth], rtol=1e-8, atol=1e-10)


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 8),
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=12),
    twins=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=3),
    seed=st.integers(0, 10**6),
    data=st.data(),
)
def test_lazy_is_plain_greedy(
    n: int, sizes: list[int], twins: list[tuple[int, int]], seed: int, data: st.DataObject
) -> None:
    """Blocks of no rows, of few (2 m ≤ n) and of many, and exact doubles in another order of rows."""
    blocks = pool(n, sizes, seed)
    for a, b in twins:
        blocks[a % len(blocks)] = blocks[b % len(blocks)][::-1]
    count = data.draw(st.integers(0, len(blocks)))
    P, start = fitted(n, seed)
    same(d_optimal(start, range(len(blocks)), count, lambda i: blocks[i]), plain_greedy(P, blocks, count))


def test_lazy_greedy_saves_evaluations() -> None:
    """Redundant candidates, as of a trajectory: few have to be looked at again."""
    rng = np.random.default_rng(4)
    kinds = pool(20, [6] * 30, 4)
    blocks = [kinds[i % 30] + 0.05 * rng.normal(size=(6, 20)) for i in range(300)]
    P, start = fitted(20, 4, m=25)
    rows_of, calls = counted(blocks)
    found = d_optimal(start, range(300), 15, rows_of)
    same(found, plain_greedy(P, blocks, 15))
    plain = sum(300 - step for step in range(15))
    assert calls[:300] == list(range(300))
    assert len(calls) < plain / 2
    first = [start.gain(block) for block in blocks]
    rows_of, later = counted(blocks)
    assert d_optimal(start, range(300), 15, rows_of, initial_gains=first) == found
    assert len(later) == len(calls) - 300


@pytest.mark.parametrize("seed", range(6))
def test_greedy_is_near_the_best_subset(seed: int) -> None:
    P, start = fitted(5, seed)
    blocks = pool(5, [2] * 9, seed)
    best = max(logdet(P + sum(blocks[i].T @ blocks[i] for i in chosen)) for chosen in combinations(range(9), 3))
    reached = sum(pick.gain for pick in d_optimal(start, range(9), 3, lambda i: blocks[i]))
    assert (1.0 - np.exp(-1.0)) * (best - logdet(P)) <= reached <= best - logdet(P) + 1e-9


def test_ties_go_to_the_first_candidate() -> None:
    _, start = fitted(4, 0)
    block = pool(4, [3], 0)[0]
    turned = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0] @ block
    blocks = {7: 0.5 * block, 3: turned, 9: block, 1: block[::-1]}
    assert [p.index for p in d_optimal(start, [7, 3, 9, 1], 1, blocks.__getitem__)] == [3]
    assert [p.index for p in d_optimal(start, [9, 1, 7, 3], 1, blocks.__getitem__)] == [9]
    assert [p.index for p in d_optimal(start, [7, 1, 3, 9], 4, blocks.__getitem__)] == [1, 3, 9, 7]


def test_a_bound_barely_above_the_best_is_looked_at() -> None:
    """Candidate 1 falls, when 0 is taken, to 5e-4 less than candidate 2 has all the time."""
    start = posterior(RFactor.of(np.eye(3), np.zeros(3)), noise=1.0)
    falling = np.array([[2.0, 0.0, 0.0], [0.0, 1.5, 0.0]])
    fallen = np.log1p(4.0 / 101.0) + np.log1p(2.25)
    steady = np.array([[0.0, 0.0, np.sqrt(np.expm1(fallen + 5e-4))]])
    blocks = [np.array([[10.0, 0.0, 0.0]]), falling, steady]
    assert start.gain(falling) > start.gain(steady) + 1.0
    rows_of, calls = counted(blocks)
    assert [p.index for p in d_optimal(start, range(3), 3, rows_of)] == [0, 2, 1]
    # first sweep; pick; bounds 1 and 2; pick; bound 1; pick
    assert calls == [0, 1, 2, 0, 1, 2, 2, 1, 1]


def test_gains_are_those_of_the_whole_set() -> None:
    _, start = fitted(6, 2)
    blocks = pool(6, [1, 2, 3, 4, 9, 30], 2)
    picks = d_optimal(start, range(6), 6, lambda i: blocks[i])
    assert sum(pick.gain for pick in picks) == pytest.approx(start.gain(np.vstack(blocks)), rel=1e-10)
    assert sorted(pick.index for pick in picks) == list(range(6))
    # the gains of a greedy selection can only fall
    assert all(a.gain >= b.gain for a, b in pairwise(picks))


def test_columns_held_fixed_count_for_nothing() -> None:
    rng = np.random.default_rng(0)
    A = rng.normal(size=(12, 3))
    A[:, 2] = 0.0
    new, old = np.array([[0.0, 0.0, 50.0]]), np.array([[0.1, 0.0, 0.0]])
    blocks = [old, new]
    held = posterior(RFactor.of(A, np.zeros(12)), noise=1.0)
    assert [p.index for p in d_optimal(held, [0, 1], 2, lambda i: blocks[i])] == [0, 1]
    ridge = posterior(RFactor.of(A, np.zeros(12)), penalties=1e-3, noise=1.0)
    assert [p.index for p in d_optimal(ridge, [0, 1], 2, lambda i: blocks[i])] == [1, 0]


def test_arguments_that_do_not_fit() -> None:
    _, start = fitted(3, 0)
    blocks = pool(3, [2, 2], 0)
    with pytest.raises(ValueError, match="can't select 3 of 2 candidates"):
        d_optimal(start, [0, 1], 3, lambda i: blocks[i])
    with pytest.raises(ValueError, match="count: expected ≥ 0, found -1"):
        d_optimal(start, [0, 1], -1, lambda i: blocks[i])
    with pytest.raises(ValueError, match="candidates: expected each once, found 1 again"):
        d_optimal(start, [1, 0, 1], 1, lambda i: blocks[i])
    with pytest.raises(ValueError, match=r"initial_gains: expected one per candidate \(2\), found shape \(1,\)"):
        d_optimal(start, [0, 1], 1, lambda i: blocks[i], initial_gains=[1.0])
    with pytest.raises(ValueError, match="initial_gains: expected finite numbers ≥ 0, found nan for candidate 1"):
        d_optimal(start, [0, 1], 1, lambda i: blocks[i], initial_gains=[1.0, np.nan])
    with pytest.raises(ValueError, match=r"rows: expected shape \(m, 3\)"):
        d_optimal(start, [0, 1], 1, lambda i: blocks[i][:, :2])
    assert d_optimal(start, [], 0, lambda i: blocks[i]) == []
