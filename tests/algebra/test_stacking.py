"""`stack`: the factor of weighted layers, each with columns and a target of its own, beside their rows written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiertl_dist.algebra import RFactor, stacking
from hiertl_dist.algebra.stacking import Layer, stack


def rows_of(rng, m, n, t):
    """Random rows [A | T] whose columns are of unlike lengths."""
    return rng.normal(size=(m, n + t)) * np.geomspace(1.0, 1e-3, n + t)


def layer_of(rng, m, n, t, kept, places, weight=1.0, target=None):
    """A layer of m random rows, and what its rows [A | b] are in a stack."""
    rows = rows_of(rng, m, n, t)
    wanted = rng.normal(size=n + t) if target is None else np.asarray(target, float)
    layer = Layer(RFactor.of(rows[:, :n], rows[:, n:]), np.array(kept, int), np.array(places, int), wanted, weight)
    return layer, lambda width: _written_out(rows, layer, width)


def _written_out(rows, layer, width):
    out = np.zeros((len(rows), width))
    for column, place in zip(layer.kept, layer.places, strict=True):
        out[:, place] = rows[:, column]
    out[:, -1] = rows @ layer.target
    return layer.weight * out


def check(layers, n, rtol=1e-13):
    """The stack of layers has the normal equations of their rows, all of them and nothing else."""
    found = stack([layer for layer, _ in layers], n)
    used = [written(n + 1) for layer, written in layers if layer.weight > 0.0]
    everything = np.vstack([np.zeros((0, n + 1)), *used])
    assert isinstance(found, RFactor)
    assert found.rows == len(everything)
    assert found.n_targets == 1
    assert found.r.shape == (min(len(everything), n + 1), n + 1)
    if found.is_triangle:
        assert not np.tril(found.r, -1).any()
    expected = everything.T @ everything
    lengths = np.sqrt(np.diag(expected))
    scale = np.outer(lengths, lengths)
    assert (np.abs(found.r.T @ found.r - expected) <= rtol * scale + 1e-300).all()
    return found


@st.composite
def problems(draw):
    n = draw(st.integers(0, 9))
    seed = draw(st.integers(0, 2**32 - 1))
    layers = []
    for _ in range(draw(st.integers(0, 6))):
        own = draw(st.integers(0, 9))
        k = draw(st.integers(0, min(own, n)))
        kept = draw(st.permutations(range(own)))[:k]
        places = draw(st.permutations(range(n)))[:k]
        if draw(st.booleans()):
            kept, places = sorted(kept), sorted(places)
        m, t = draw(st.integers(0, 40)), draw(st.integers(1, 3))
        weight = draw(st.sampled_from([0.0, 1.0, 1.0, 0.3, 50.0]))
        layers.append((m, own, t, kept, places, weight))
    return n, layers, seed


@settings(deadline=None)
@given(problems())
def test_the_stack_has_the_normal_equations_of_all_rows(problem):
    n, layers, seed = problem
    rng = np.random.default_rng(seed)
    check([layer_of(rng, *layer) for layer in layers], n)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 3), st.booleans()), min_size=1, max_size=5))
def test_whole_triangles_are_merged_as_they_are(shapes):
    rng = np.random.default_rng(len(shapes))
    n = 6
    whole = range(n)
    layers = []
    for m, t, frozen in shapes:
        target = np.r_[rng.normal(size=n) if frozen else np.zeros(n), 1.0, -np.ones(t - 1)]
        layers.append(layer_of(rng, m, n, t, whole, whole, 2.0, target))
    check(layers, n)


def test_columns_that_no_layer_has_are_zero():
    found = check([layer_of(np.random.default_rng(0), 20, 3, 1, [0, 2], [4, 1])], 6)
    assert not found.r[:, [0, 2, 3, 5]].any()


def test_a_target_may_take_frozen_columns_and_offsets_away():
    rng = np.random.default_rng(1)
    rows = rows_of(rng, 30, 4, 3)
    layer = Layer(RFactor.of(rows[:, :4], rows[:, 4:]), np.array([1, 3]), np.array([0, 1]),
                  np.array([-2.0, 0.0, -5.0, 0.0, 1.0, -1.0, -1.0]))  # fmt: skip
    target = rows[:, 4] - rows[:, 5] - rows[:, 6] - 2.0 * rows[:, 0] - 5.0 * rows[:, 2]
    found = stack([layer], 2)
    c = np.array([0.7, -1.1])
    expected = np.sum((rows[:, [1, 3]] @ c - target) ** 2)
    assert found.residual_norm2(c) == pytest.approx(expected, rel=1e-12)


def test_of_nothing_there_are_no_rows():
    found = stack([], 3)
    assert (found.rows, found.r.shape) == (0, (0, 4))


def test_rows_beyond_the_buffer_are_reduced_on_the_way(monkeypatch):
    """Many loose layers are more than one buffer, whose rows are never all at once in memory."""
    largest = []
    original = stacking.qr_triangle
    monkeypatch.setattr(stacking, "qr_triangle", lambda a, **more: largest.append(len(a)) or original(a, **more))
    rng = np.random.default_rng(2)
    n = 5
    check([layer_of(rng, 11, 7, 1, [6, 1, 2], [0, 4, 3]) for _ in range(40)], n)
    assert len(largest) > 4
    assert max(largest) <= stacking.ROWS_AT_ONCE * (n + 1)


def test_digits_survive_an_ill_conditioned_stack():
    """Nothing is squared or taken away: a direction of 1e-11 is found again with its sign and size."""
    rng = np.random.default_rng(3)
    basis = rng.normal(size=(200, 4))
    A = np.column_stack([basis, basis[:, 0] + 1e-11 * rng.normal(size=200)])
    x = np.arange(1.0, 6.0)
    parts = [slice(0, 70), slice(70, 140), slice(140, 200)]
    whole = np.arange(5)
    target = np.r_[np.zeros(5), 1.0]
    layers = [Layer(RFactor.of(A[p], A[p] @ x), whole, whole, target) for p in parts]
    found = stack(layers, 5)
    singular = np.linalg.svd(A, compute_uv=False)
    np.testing.assert_allclose(np.linalg.svd(found.r[:5, :5], compute_uv=False), singular, rtol=1e-4)
    solved = np.linalg.solve(found.r[:5, :5], found.r[:5, 5])
    np.testing.assert_allclose(A @ solved, A @ x, rtol=0, atol=1e-12 * np.abs(A @ x).max())


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_a_weight_that_is_none_is_refused(weight):
    layer, _ = layer_of(np.random.default_rng(0), 5, 2, 1, [0], [0], weight)
    with pytest.raises(ValueError, match="weight: expected a finite number ≥ 0"):
        stack([layer], 1)


def test_the_order_of_layers_matters_in_the_last_digits_only():
    rng = np.random.default_rng(4)
    layers = [layer_of(rng, m, 6, 1, [0, 3, 4], [2, 0, 1])[0] for m in (3, 50, 8)]
    layers += [layer_of(rng, 40, 4, 1, range(4), range(4))[0]]
    forth, back = stack(layers, 4), stack(layers[::-1], 4)
    np.testing.assert_allclose(forth.r.T @ forth.r, back.r.T @ back.r, rtol=0, atol=1e-12 * np.abs(forth.r).max() ** 2)
    assert forth.rows == back.rows
