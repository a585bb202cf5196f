"""A cache bounded by bytes: what was asked for least recently goes first."""

from __future__ import annotations

import pickle
from operator import attrgetter

import numpy as np

from hiertl_dist.algebra.byte_cache import Kept


def test_it_keeps_so_many_bytes():
    made = []

    def make(key):
        made.append(key)
        return np.full(key, 1.0)

    kept = Kept(8 * 5, attrgetter("nbytes"))
    one, two = kept.of(1, make), kept.of(2, make)
    assert kept.of(1, make) is one
    kept.of(3, make)  # six numbers with the others: the two of the one that waited longest go
    assert kept.of(1, make) is one
    assert made == [1, 2, 3]
    assert kept.of(2, make) is not two
    assert made == [1, 2, 3, 2]


def test_the_last_is_kept_whatever_its_size():
    kept = Kept(0, attrgetter("nbytes"))
    found = kept.of(9, np.ones)
    assert kept.of(9, np.zeros) is found


def test_a_value_may_be_made_of_others():
    kept = Kept(100, int.bit_length)

    def fibonacci(n):
        return n if n < 2 else kept.of(n - 1, fibonacci) + kept.of(n - 2, fibonacci)

    assert kept.of(20, fibonacci) == 6765


def test_it_travels():
    kept = Kept(100, attrgetter("nbytes"))
    kept.of(2, np.ones)
    assert pickle.loads(pickle.dumps(kept)).of(2, np.zeros).tolist() == [1.0, 1.0]
