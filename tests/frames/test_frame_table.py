"""Frames as ragged arrays: whatever goes in comes out again, with its digest, its origin and its labels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiertl_dist import Frame
from hiertl_dist.frames.frame_table import Numbered, joined_tables, numbered_origins, table_of
from hiertl_dist.frames.labels import LabelOrigin

ORIGINS = (
    "x.xyz, frame 7", "x.xyz, frame 8, line 99", "image 3", "frame", "a 007", "b 99999999999", "y, frame 12", "5",
)  # fmt: skip


def _frame(seed: int) -> Frame:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 6))
    species = tuple(rng.choice(["C", "N", "H", "C_2"], n))
    positions = 3.0 * rng.normal(size=(n, 3))
    pbc = [(True, True, True), (True, True, False), (False, False, True), None][rng.integers(4)]
    cell = None if pbc is None else np.diag(rng.uniform(3, 5, 3))
    stress = None
    if pbc == (True, True, True) and rng.random() < 0.7:
        stress = np.where(rng.random(6) < 0.3, np.nan, rng.normal(size=6))
    return Frame(
        species, positions, cell, float(rng.normal()) if rng.random() < 0.7 else None,
        rng.normal(size=(n, 3)) if rng.random() < 0.7 else None, stress, str(rng.choice(["a", "b"])),
        str(rng.choice(ORIGINS)), pbc,
        LabelOrigin("x.xyz") if rng.random() < 0.5 else None,
    )  # fmt: skip


def same(one: Frame, other: Frame) -> None:
    assert one.digest == other.digest
    assert one.configuration == other.configuration
    assert (one.origin, one.labels, one.group, one.species) == (other.origin, other.labels, other.group, other.species)
    assert one.pbc == (other.pbc or (False, False, False))
    for name in ("positions", "cell", "forces", "stress"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a, b)
            assert not a.flags.writeable
    assert one.energy == other.energy


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
def test_frames_come_out_as_they_went_in(seeds: list[int]) -> None:
    frames = [_frame(s) for s in seeds]
    table = table_of(frames)
    assert len(table) == len(frames)
    for one, other in zip(table, frames, strict=True):
        same(one, other)
    for one, other in zip(table.separate_frames(), frames, strict=True):
        same(one, other)
        assert all(a is None or a.base is None for a in (one.positions, one.cell, one.forces, one.stress))
    first, last = len(frames) // 3, len(frames)
    for one, other in zip(table.part(first, last), frames[first:last], strict=True):
        same(one, other)


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=1, max_size=3), min_size=1, max_size=4))
def test_tables_are_joined(seeds: list[list[int]]) -> None:
    parts = [[_frame(s) for s in part] for part in seeds]
    table = joined_tables([table_of(part) for part in parts])
    for one, other in zip(table, [f for part in parts for f in part], strict=True):
        same(one, other)
    for i, frame in enumerate(table):
        names = {n for k, n in enumerate(table.names) if int(table.element_sets[i, k // 64]) >> k % 64 & 1}
        assert names == frame.elements


def test_more_types_than_a_word_has_bits() -> None:
    names = [f"C_{k}" for k in range(1, 150)]
    frames = [Frame((a, b), [[0.0, 0, 0], [1.0, 0, 0]]) for a, b in itertools.pairwise(names)]
    table = table_of(frames)
    for i, frame in enumerate(frames):
        bits = {n for k, n in enumerate(table.names) if int(table.element_sets[i, k // 64]) >> k % 64 & 1}
        assert bits == frame.elements


def test_no_table_of_nothing() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        table_of([])


@given(st.text(max_size=12))
def test_an_origin_is_text_and_number(origin: str) -> None:
    assert str(Numbered.of(origin)) == origin


ENDS = ("", "0", "7", "12", "1234567890", ", line 3", ", line ", "a", "a, frame ", "b7, frame ")


@given(st.lists(st.lists(st.sampled_from(ENDS), max_size=4).map("".join), max_size=6))
def test_many_origins_are_taken_apart_as_each_is(origins: list[str]) -> None:
    assert numbered_origins(origins) == [Numbered.of(origin) for origin in origins]


@given(st.text(max_size=8), st.integers(1, 10**9 - 1), st.integers(1, 10**18 - 1))
def test_a_line_is_told_apart(text: str, number: int, line: int) -> None:
    known = Numbered.of(f"{text}, frame {number}, line {line}")
    assert known == (f"{text}, frame ", number, line)
    assert Numbered.of(f"{text}, frame {number}") == (f"{text}, frame ", number, 0)
