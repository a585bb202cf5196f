"""Rows that come tile by tile and block by block give the summary of the rows as a whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiertl_dist.algebra import Gram, RFactor, Summary
from hiertl_dist.algebra.collect import Piece

KINDS = [RFactor, Gram]


def content(summary: Summary) -> np.ndarray:
    return summary.r.T @ summary.r if isinstance(summary, RFactor) else summary.g


def cut(rows: np.ndarray, columns: list[int]) -> list[Piece]:
    """The rows as row-major pieces that start at these columns."""
    ends = [*columns[1:], rows.shape[1]]
    return [(a, np.ascontiguousarray(rows[:, a:b])) for a, b in zip(columns, ends, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
class TestCollector:
    @settings(deadline=None, derandomize=True, max_examples=40)
    @given(
        tiles=st.lists(st.integers(0, 700), min_size=0, max_size=4),
        every=st.sampled_from([1, 2, 100]),
        width=st.integers(2, 9),
    )
    def test_is_the_summary_of_the_chosen_rows(
        self, kind: type[Summary], tiles: list[int], every: int, width: int
    ) -> None:
        """Rows are chosen in runs, one by one, or every hundredth."""
        rng = np.random.default_rng([*tiles, every, width])
        made = [rng.normal(size=(m, width)) for m in tiles]
        chosen = [np.flatnonzero(np.arange(len(t)) % 150 % every == 0) for t in made]
        whole = np.vstack([np.zeros((0, width)), *(t[c] for t, c in zip(made, chosen, strict=True))])
        collector = kind.collector(len(whole), width, 1)
        for tile, own in zip(made, chosen, strict=True):
            collector.add(cut(tile, [0, width - 1]), own)
        found = collector.finish()
        assert isinstance(found, kind)
        assert (found.rows, found.width, found.n_targets) == (len(whole), width, 1)
        np.testing.assert_allclose(content(found), whole.T @ whole, atol=1e-10)

    def test_has_the_bits_of_the_rows_in_one_piece(self, kind: type[Summary]) -> None:
        rows = np.random.default_rng(0).normal(size=(900, 40))
        whole, parts = kind.collector(900, 40, 2), kind.collector(900, 40, 2)
        whole.add([(0, rows)], np.arange(900))
        for start in (0, 300, 600):
            parts.add(cut(rows[start : start + 300], [0, 7, 38]), np.arange(300))
        first, second = whole.finish().to_arrays(), parts.finish().to_arrays()
        assert {k: v.tobytes() for k, v in first.items()} == {k: v.tobytes() for k, v in second.items()}

    def test_columns_without_a_piece_are_zero(self, kind: type[Summary]) -> None:
        rows = np.random.default_rng(0).normal(size=(50, 3))
        collector = kind.collector(50, 9, 1)
        collector.add([(7, rows[:, 1:2]), (2, rows[:, :1])], np.arange(50))
        expected = np.zeros((50, 9))
        expected[:, [2, 7]] = rows[:, :2]
        np.testing.assert_allclose(content(collector.finish()), expected.T @ expected, atol=1e-12)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("row", [0, 191, 192, 499])
    def test_names_what_is_not_finite(self, kind: type[Summary], bad: float, row: int) -> None:
        rows = np.zeros((500, 4))
        rows[row, 2] = bad
        collector = kind.collector(500, 4)
        start = row // 192 * 192
        place = rf"counted from row {start}: .* row {row - start}," if kind is Gram else rf"row {row},"

        def collect() -> None:
            collector.add([(0, rows)], np.arange(500))
            collector.finish()

        with pytest.raises(ValueError, match=rf"{place} column 2"):
            collect()

    def test_refuses_too_many_rows_too_few_and_columns_beyond(self, kind: type[Summary]) -> None:
        collector = kind.collector(5, 3)
        collector.add([(0, np.ones((4, 3)))], np.arange(4))
        with pytest.raises(ValueError, match="expected 5 rows, found 4"):
            collector.finish()
        with pytest.raises(ValueError, match="expected 5 rows, found 8"):
            collector.add([(0, np.ones((4, 3)))], np.arange(4))
        with pytest.raises(ValueError, match=r"expected columns in 0 … 2, found 1 … 4"):
            collector.add([(1, np.ones((1, 3)))], np.arange(1))


def test_large_numbers_are_finite() -> None:
    """Their squares are not: the quick look at a sum of squares is not the last word."""
    assert RFactor.of(np.full((2, 1), 1e200), np.zeros(2)).rows == 2
    with pytest.raises(ValueError, match="row 1, column 0"):
        RFactor.of(np.array([[1e200], [np.inf]]), np.zeros(2))
