"""Digests in arrays: as dicts of bytes have them, also where first bytes are the same and the rest is not."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hiertl_dist.dataset.fold_units import Units, least_digests
from hiertl_dist.frames import digests as module
from hiertl_dist.frames.digests import DigestIndex, first_equal, heads_of, is_among, repeated

some_digests = st.lists(
    st.builds(lambda head, tail: bytes([head]) * 8 + bytes([tail]) * 24, st.integers(0, 4), st.integers(0, 2)),
    max_size=30,
)


def array(digests):
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)


@settings(deadline=None)
@given(some_digests, some_digests, st.integers(1, 9))
def test_digests_are_found_as_in_a_dict(digests, wanted, chunk):
    first = {}
    for i, digest in enumerate(digests):
        first.setdefault(digest, i)
    with patch.object(module, "CHUNK", chunk):
        assert first_equal(array(digests)).tolist() == [first[d] for d in digests]
        assert DigestIndex.of(array(digests)).places(array(wanted)).tolist() == [first.get(d, -1) for d in wanted]
        again = repeated(heads_of(array(digests)))
        heads = [d[:8] for d in digests]
        assert again.tobytes() == b"".join(sorted({h for h in heads if heads.count(h) > 1}))
        assert is_among(heads_of(array(wanted)), again).tolist() == [heads.count(w[:8]) > 1 for w in wanted]


@settings(deadline=None, max_examples=40)
@given(some_digests, st.data())
def test_the_least_digest_of_each_unit(digests, data):
    of_frames = data.draw(st.lists(st.integers(0, 5), min_size=len(digests), max_size=len(digests)))
    numbers = {unit: k for k, unit in enumerate(dict.fromkeys(of_frames))}
    own = [numbers[unit] for unit in of_frames]
    starts = np.arange(len(numbers) + 1, dtype=np.int32)
    units = Units(np.array(own, np.int32), (), ("",), starts, np.zeros_like(starts), np.ones_like(starts))
    least = least_digests(units, array(digests))
    assert [digests[i] for i in least] == [
        min(d for d, unit in zip(digests, own, strict=True) if unit == k) for k in range(len(numbers))
    ]
    assert [own[i] for i in least] == list(range(len(numbers)))
