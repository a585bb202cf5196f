"""Arrays that are used again: aligned, one set for each thread, the large ones not kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from hiertl_dist.evaluation.kernels import scratch as module
from hiertl_dist.evaluation.kernels.edges import carve
from hiertl_dist.evaluation.kernels.scratch import kept_array, scratch_buffer


def test_the_same_memory_again_and_more_where_more_is_needed():
    first = kept_array("test", 100)
    assert first.shape == (100,)
    assert first.ctypes.data % 64 == 0
    assert np.shares_memory(first, kept_array("test", 50))
    assert not np.shares_memory(first, kept_array("other", 100))
    assert not np.shares_memory(first, kept_array("test", 10_000))


def test_each_thread_has_its_own():
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(kept_array, "test", 100).result()
    assert not np.shares_memory(theirs, kept_array("test", 100))


def test_what_is_too_large_is_not_kept(monkeypatch):
    monkeypatch.setattr(module, "MOST", 50)
    assert not np.shares_memory(kept_array("large", 60), kept_array("large", 60))


def test_the_buffer_grows_to_what_was_carved_out_of_it(monkeypatch):
    monkeypatch.setattr(module, "_kept", module._Kept())

    def arrays():
        with scratch_buffer() as scratch:
            parts = [carve(scratch, n) for n in (3, 1000, 17)]
            inside = [np.shares_memory(p, scratch) for p in parts]
            assert all(p.ctypes.data % 64 == 0 and not p.any() for p in parts)
            for a in parts:
                a += 1.0  # must not be seen by what is carved next
            assert [a.sum() for a in parts] == [3, 1000, 17]
        return inside

    assert arrays() == [False] * 3
    assert arrays() == [True] * 3
