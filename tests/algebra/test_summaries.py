"""One contract for both kinds of summary, against plain numpy on the rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiertl_dist.algebra import Gram, NoRegularisation, RFactor, Ridge, Summary
from hiertl_dist.algebra.solve import solve

KINDS = [RFactor, Gram]


def rows(m: int, n: int, t: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, m, n, t])
    return rng.normal(size=(m, n)), rng.normal(size=(m, t))


def ridge_by_hand(A: np.ndarray, b: np.ndarray, alpha: float = 0.1) -> np.ndarray:
    n = A.shape[1]
    stacked = np.vstack([A, np.sqrt(alpha) * np.eye(n)])
    return np.linalg.lstsq(stacked, np.concatenate([b, np.zeros(n)]), rcond=None)[0]


def coefficients(summary: Summary, alpha: float = 0.1) -> np.ndarray:
    return solve(summary, Ridge(alpha)).coefficients


def content(summary: Summary) -> np.ndarray:
    """[A | T]ᵀ[A | T], which both kinds determine."""
    return summary.r.T @ summary.r if isinstance(summary, RFactor) else summary.g


shapes = st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(1, 6), st.integers(1, 3))
bounded = settings(deadline=None, derandomize=True, max_examples=30)


@pytest.mark.parametrize("kind", KINDS)
class TestSummary:
    """What holds for any kind of summary."""

    @bounded
    @given(shape=shapes)
    def test_content_is_that_of_the_rows(self, kind: type[Summary], shape: tuple[int, int, int, int]) -> None:
        m, _, n, t = shape
        A, T = rows(m, n, t)
        summary = kind.of(A, T)
        both = np.hstack([A, T])
        assert (summary.rows, summary.n_columns, summary.n_targets, summary.width) == (m, n, t, n + t)
        np.testing.assert_allclose(content(summary), both.T @ both, atol=1e-12)
        np.testing.assert_allclose(summary.column_norms(), np.linalg.norm(A, axis=0), atol=1e-12)
        assert summary.target_norm2() == pytest.approx(T[:, 0] @ T[:, 0], abs=1e-12)

    @bounded
    @given(shape=shapes)
    def test_merge_is_the_summary_of_stacked_rows(self, kind: type[Summary], shape: tuple[int, int, int, int]) -> None:
        m1, m2, n, t = shape
        (A, S), (B, T) = rows(m1, n, t), rows(m2, n, t, seed=1)
        merged = kind.of(A, S).merge(kind.of(B, T))
        whole = kind.of(np.vstack([A, B]), np.vstack([S, T]))
        assert merged.rows == whole.rows
        np.testing.assert_allclose(content(merged), content(whole), atol=1e-12)
        np.testing.assert_allclose(coefficients(merged), coefficients(whole), rtol=1e-9, atol=1e-11)

    @bounded
    @given(shape=shapes, data=st.data())
    def test_columns_is_the_summary_of_fewer_columns(
        self, kind: type[Summary], shape: tuple[int, int, int, int], data: st.DataObject
    ) -> None:
        m, _, n, t = shape
        subset = data.draw(st.permutations(range(n)))[: data.draw(st.integers(0, n))]
        A, T = rows(m, n, t)
        fewer, direct = kind.of(A, T).columns(subset), kind.of(A[:, subset], T)
        assert (fewer.rows, fewer.n_columns, fewer.n_targets) == (m, len(subset), t)
        np.testing.assert_allclose(content(fewer), content(direct), atol=1e-12)

    @bounded
    @given(shape=shapes, data=st.data())
    def test_freeze_is_the_summary_of_the_reduced_target(
        self, kind: type[Summary], shape: tuple[int, int, int, int], data: st.DataObject
    ) -> None:
        m, _, n, t = shape
        frozen = data.draw(st.permutations(range(n)))[: data.draw(st.integers(0, n))]
        A, T = rows(m, n, t)
        values = np.linspace(-1.0, 2.0, len(frozen))
        T_left = T.copy()
        T_left[:, 0] -= A[:, frozen] @ values
        free = np.delete(np.arange(n), frozen)
        left = kind.of(A, T).freeze(frozen, values)
        np.testing.assert_allclose(content(left), content(kind.of(A[:, free], T_left)), atol=1e-11)

    @bounded
    @given(shape=shapes)
    def test_offset_combines_targets(self, kind: type[Summary], shape: tuple[int, int, int, int]) -> None:
        m, _, n, t = shape
        A, T = rows(m, n, t)
        weights = np.array([1.0, -1.0, 0.5])[:t]
        one = kind.of(A, T).offset(weights)
        assert one.n_targets == 1
        np.testing.assert_allclose(content(one), content(kind.of(A, T @ weights)), atol=1e-12)

    def test_merge_is_associative(self, kind: type[Summary]) -> None:
        parts = [kind.of(*rows(m, 7, seed=m)) for m in (3, 20, 9, 2)]
        a, b, c, d = parts
        left = a.merge(b).merge(c).merge(d)
        right = a.merge(b.merge(c.merge(d)))
        probe, _ = rows(30, 7, seed=99)
        np.testing.assert_allclose(probe @ coefficients(left), probe @ coefficients(right), rtol=0, atol=1e-10)

    def test_scale_weights_the_rows(self, kind: type[Summary]) -> None:
        (A, S), (B, T) = rows(15, 5), rows(9, 5, seed=1)
        weighted = kind.of(A, S).scale(3.0).merge(kind.of(B, T).scale(0.25))
        by_hand = ridge_by_hand(np.vstack([3 * A, B / 4]), np.concatenate([3 * S[:, 0], T[:, 0] / 4]))
        np.testing.assert_allclose(coefficients(weighted), by_hand, rtol=1e-10)

    def test_scale_by_zero_switches_rows_off_and_keeps_their_count(self, kind: type[Summary]) -> None:
        (A, S), (B, T) = rows(15, 5), rows(9, 5, seed=1)
        summary = kind.of(A, S).merge(kind.of(B, T).scale(0.0))
        assert summary.rows == 24
        np.testing.assert_allclose(coefficients(summary), ridge_by_hand(A, S[:, 0]), rtol=1e-10)

    @pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
    def test_scale_refuses(self, kind: type[Summary], weight: float) -> None:
        with pytest.raises(ValueError, match="weight: expected a finite number ≥ 0"):
            kind.of(*rows(4, 2)).scale(weight)

    def test_columns_and_freeze_solve_like_fits_of_the_rows(self, kind: type[Summary]) -> None:
        A, T = rows(40, 8)
        b = T[:, 0]
        mask = np.arange(8) % 3 != 1
        fewer = coefficients(kind.of(A, b).columns(mask))
        np.testing.assert_allclose(fewer, ridge_by_hand(A[:, mask], b), rtol=1e-10)
        frozen = coefficients(kind.of(A, b).freeze([6, 0], [0.3, -2.0]))
        rest = [1, 2, 3, 4, 5, 7]
        by_hand = ridge_by_hand(A[:, rest], b - 0.3 * A[:, 6] + 2.0 * A[:, 0])
        np.testing.assert_allclose(frozen, by_hand, rtol=1e-10)

    def test_gradient_and_residual(self, kind: type[Summary]) -> None:
        A, T = rows(20, 6, 2)
        c = np.arange(6.0)
        summary, residual = kind.of(A, T), T[:, 0] - A @ c
        np.testing.assert_allclose(summary.gradient(c), A.T @ residual, rtol=1e-10)
        assert summary.residual_norm2(c) == pytest.approx(residual @ residual, rel=1e-12)
        with pytest.raises(ValueError, match=r"coefficients: expected shape \(6,\), found \(5,\)"):
            summary.gradient(np.zeros(5))

    @pytest.mark.parametrize("m", [0, 3, 30])
    def test_saved_and_loaded_bit_for_bit(self, kind: type[Summary], m: int) -> None:
        summary = kind.of(*rows(m, 6, 2))
        loaded = kind.from_arrays({k: np.ascontiguousarray(v) for k, v in summary.to_arrays().items()})
        assert (loaded.rows, loaded.n_targets) == (summary.rows, summary.n_targets)
        np.testing.assert_array_equal(content(loaded), content(summary))
        with pytest.raises(ValueError, match="missing rows"):
            kind.from_arrays({k: v for k, v in summary.to_arrays().items() if k != "rows"})

    def test_loading_refuses_damage(self, kind: type[Summary]) -> None:
        arrays = kind.of(*rows(30, 6)).to_arrays()
        name = "r" if kind is RFactor else "g"
        arrays[name] = np.array(arrays[name])
        arrays[name][4, 2] += 1.0
        with pytest.raises(ValueError, match="triang"):
            kind.from_arrays(arrays)

    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("m", [4, 40])
    def test_buffers(self, kind: type[Summary], order: str, m: int) -> None:
        A, T = rows(m, 5, 2)
        buffer = np.array(np.hstack([A, T]), order=order)
        kept = buffer.copy()
        plain = kind.of_buffer(buffer, 2)
        np.testing.assert_array_equal(buffer, kept)
        np.testing.assert_allclose(content(plain), content(kind.of(A, T)), atol=1e-12)
        np.testing.assert_array_equal(content(kind.of_buffer(buffer, 2, overwrite=True)), content(plain))

    def test_same_bits_twice(self, kind: type[Summary]) -> None:
        def everything() -> np.ndarray:
            merged = kind.of(*rows(90, 40, 2)).merge(kind.of(*rows(7, 40, 2, seed=1)).scale(0.3))
            return coefficients(merged.freeze([1, 5], [1.0, 2.0]).columns(range(1, 30)).offset([1.0, -1.0]))

        assert everything().tobytes() == everything().tobytes()

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_non_finite_rows_are_named(self, kind: type[Summary], bad: float) -> None:
        A, T = rows(10, 4)
        A[7, 2] = A[9, 0] = bad
        with pytest.raises(ValueError, match="row 7, column 2"):
            kind.of(A, T)
        A, T = rows(10, 4)
        T[3, 0] = bad
        with pytest.raises(ValueError, match="row 3, column 4"):
            kind.of(A, T)

    def test_wrong_shapes_are_named(self, kind: type[Summary]) -> None:
        with pytest.raises(ValueError, match=r"found \(3, 2\) and \(4,\)"):
            kind.of(np.zeros((3, 2)), np.zeros(4))
        with pytest.raises(ValueError, match=r"= \(2, 1\) with \(3, 1\)"):
            kind.of(*rows(5, 2)).merge(kind.of(*rows(5, 3)))
        with pytest.raises(ValueError, match=r"= \(2, 1\) with \(2, 2\)"):
            kind.of(*rows(5, 2)).merge(kind.of(*rows(5, 2, 2)))
        with pytest.raises(ValueError, match="t = 3"):
            kind.of_buffer(np.zeros((4, 2)), 3)
        other = Gram if kind is RFactor else RFactor
        with pytest.raises(TypeError, match=f"can't merge {kind.__name__} with {other.__name__}"):
            kind.of(*rows(5, 2)).merge(other.of(*rows(5, 2)))

    @pytest.mark.parametrize(
        ("subset", "message"),
        [([0, 4], "0 … 3"), ([-1], "0 … 3"), ([1, 1], "1 repeated"), ([0.5], "integers"),
         ([True, False], "mask")],
    )  # fmt: skip
    def test_wrong_columns_are_named(self, kind: type[Summary], subset: list[int], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            kind.of(*rows(9, 4)).columns(subset)

    def test_wrong_values_are_named(self, kind: type[Summary]) -> None:
        summary = kind.of(*rows(9, 4, 2))
        with pytest.raises(ValueError, match=r"frozen values: expected shape \(2,\), found \(1,\)"):
            summary.freeze([0, 1], [1.0])
        with pytest.raises(ValueError, match="offset weights: expected finite numbers, found nan in row 1"):
            summary.offset([1.0, np.nan])

    def test_is_frozen(self, kind: type[Summary]) -> None:
        summary = kind.of(*rows(9, 4))
        with pytest.raises(ValueError, match="read-only"):
            content_array(summary)[0, 0] = 1.0
        with pytest.raises(AttributeError):
            summary.rows = 3


def content_array(summary: Summary) -> np.ndarray:
    return summary.r if isinstance(summary, RFactor) else summary.g


def test_few_rows_stay_rows() -> None:
    A, T = rows(3, 5)
    few = RFactor.of(A, T)
    assert not few.is_triangle
    np.testing.assert_array_equal(few.r, np.hstack([A, T]))
    assert few.merge(few.scale(0.5)).is_triangle
    still = few.merge(RFactor.of(A[:1], T[:1]))
    assert still.r.shape == (4, 6)
    # Fewer columns may leave more rows than are needed.
    assert few.columns([1]).r.shape == (2, 2)


def test_rfactor_refuses_an_impossible_shape() -> None:
    with pytest.raises(ValueError, match=r"rows = 9, found \(2, 3\)"):
        RFactor(np.zeros((2, 3)), rows=9)


def test_triangle_over_many_panels() -> None:
    """More columns than one panel of the blocked routines, and merges of every pair of forms."""
    n = 150
    parts = [rows(m, n, seed=m) for m in (400, 20, 170, 60, 80)]
    merged = RFactor.of(*parts[0])
    for A, T in parts[1:]:
        merged = RFactor.of(A, T).merge(merged)
    A, T = np.vstack([p[0] for p in parts]), np.vstack([p[1] for p in parts])
    assert not np.tril(merged.r, -1).any()
    expected = np.linalg.lstsq(A, T[:, 0], rcond=None)[0]
    np.testing.assert_allclose(solve(merged, NoRegularisation()).coefficients, expected, atol=1e-12)
