"""Who does what: every item once, costs alike, consecutive where they must be."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiertl_dist import executor
from hiertl_dist.executors.shares import fair_runs, fair_shares, longest_first

costs = st.lists(st.floats(0.0, 100.0), min_size=1, max_size=40)
workers = st.integers(1, 9)
few = settings(derandomize=True, deadline=None, max_examples=30, database=None)


@few
@given(costs, workers)
def test_shares_have_each_item_once_and_loads_near_the_mean(given_costs, n):
    shares = fair_shares(given_costs, n)
    assert len(shares) == n
    assert sorted(i for share in shares for i in share) == list(range(len(given_costs)))
    assert all(share == sorted(share) for share in shares)
    most = max(sum(given_costs[i] for i in share) for share in shares)
    assert most <= sum(given_costs) / n + max(given_costs) + 1e-9


@few
@given(costs, workers)
def test_runs_are_consecutive_and_begin_with_worker_0(given_costs, n):
    owners = fair_runs(given_costs, n)
    assert owners[0] == 0
    assert all(0 <= b - a <= 1 for a, b in itertools.pairwise(owners))
    assert max(owners) < n
    loads = [sum(c for c, o in zip(given_costs, owners, strict=True) if o == w) for w in range(n)]
    assert max(loads) <= sum(given_costs) / n + 2 * max(given_costs) + 1e-9


def test_alike_items_are_shared_out_evenly():
    assert [len(share) for share in fair_shares([0.0] * 10, 3)] == [4, 3, 3]
    assert sorted(len(share) for share in fair_shares([2.0] * 10, 4)) == [2, 2, 3, 3]
    assert fair_runs([1.0] * 6, 3) == [0, 0, 1, 1, 2, 2]


def test_the_first_of_the_longest_goes_first():
    assert longest_first([1.0, 3.0, 2.0, 3.0]) == [1, 3, 2, 0]


@pytest.mark.parametrize("name", ["serial", "processes"])
def test_results_stay_in_the_order_of_the_items(name):
    with executor(name) as runner:
        assert runner.run(abs, [-1, -5, 2, -3], cost=abs) == [1, 5, 2, 3]


@pytest.mark.parametrize("bad", [float("inf"), float("nan"), -1.0])
def test_costs_are_finite_and_not_negative(bad):
    with executor("serial") as runner, pytest.raises(ValueError, match="cost of b: expected a finite number ≥ 0"):
        runner.run(str.upper, ["a", "b"], cost=lambda item: bad if item == "b" else 1.0)
