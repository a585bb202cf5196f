"""Packed triangles: LAPACK's order, half the numbers, every bit kept."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hiertl_dist.algebra import RFactor
from hiertl_dist.algebra.packed import WIDEST, pack_upper, packed_size, unpack_upper

finite = st.floats(allow_nan=False, allow_infinity=False)
squares = st.integers(0, 8).flatmap(lambda n: hnp.arrays(np.float64, (n, n), elements=finite))


@settings(deadline=None, derandomize=True, max_examples=30)
@given(a=squares, order=st.sampled_from("CF"))
def test_the_upper_triangle_column_by_column_and_back_to_the_bit(a: np.ndarray, order: str) -> None:
    triangle = np.array(np.triu(a), order=order)
    packed = pack_upper(triangle)
    slow = [triangle[row, column] for column in range(len(a)) for row in range(column + 1)]
    assert packed.tobytes() == np.array(slow, np.float64).tobytes()
    assert len(packed) == packed_size(len(a))
    back = unpack_upper(packed)
    assert back.flags.f_contiguous
    assert back.tobytes(order="C") == triangle.tobytes(order="C")


@pytest.mark.parametrize("n", [1, 2, 63, 64, 257])
def test_what_is_below_the_diagonal_is_zero_in_used_memory(n: int) -> None:
    np.full((n, n), np.nan).sum()  # leaves memory that is not zero behind
    back = unpack_upper(np.full(packed_size(n), -0.0))
    assert not back[np.tril_indices(n, -1)].view(np.int64).any()
    assert np.signbit(back[np.triu_indices(n)]).all()


def test_a_factor_that_may_not_be_written_to_is_packed() -> None:
    factor = RFactor.of(np.random.default_rng(0).normal(size=(50, 6)), np.arange(50.0))
    assert not factor.r.flags.writeable
    np.testing.assert_array_equal(unpack_upper(pack_upper(factor.r)), factor.r)


def test_numbers_below_the_diagonal_are_named() -> None:
    a = np.triu(np.ones((4, 4)))
    a[3, 1] = 5e-324
    with pytest.raises(ValueError, match=r"found 5e-324 in row 3, column 1"):
        pack_upper(a)


@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (2, 3, 3)])
def test_what_is_not_square_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"n ≤ {WIDEST}, found {shape}")):
        pack_upper(np.zeros(shape))


@pytest.mark.parametrize("shape", [(2,), (4,), (3, 1)])
def test_what_no_triangle_has_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"found an array of shape {shape}")):
        unpack_upper(np.zeros(shape))


def test_a_triangle_too_wide_for_lapack_is_refused() -> None:
    wide = np.broadcast_to(0.0, (WIDEST + 1, WIDEST + 1))
    with pytest.raises(ValueError, match=f"n ≤ {WIDEST}"):
        pack_upper(wide)
    with pytest.raises(ValueError, match=f"n ≤ {WIDEST}"):
        unpack_upper(np.broadcast_to(0.0, (packed_size(WIDEST + 1),)))
