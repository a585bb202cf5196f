"""One look at many frames tells what a list of neighbours of each does, frame by frame."""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from synthetic import random_frames, small_basis

from hiertl_dist import Basis, Frame, blocks_of
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.errors import FrameError
from hiertl_dist.evaluation import contacts
from hiertl_dist.evaluation.chunk_scan import FrameScans, ScanOptions, any_inside, scan_chunk
from hiertl_dist.evaluation.compiled_basis import compile_recipe
from hiertl_dist.evaluation.frame_rows import scan_frame, widest_ranges
from hiertl_dist.evaluation.kernels import scan as kernel
from hiertl_dist.evaluation.row_costs import FrameCounts, structural_nonzeros, tile_seconds
from hiertl_dist.evaluation.set_scan import _square_limit, look_at, wanted_in
from hiertl_dist.frames.element_set import ElementSet
from hiertl_dist.frames.frame_table import table_of
from hiertl_dist.model.basis import cluster_name

BASIS = small_basis((4, 3, 2), rmin=0.8)
NAMES = tuple(b.name for b in blocks_of(BASIS))
EVERYWHERE = frozenset((s, b) for s in NAMES for b in NAMES if b.is_subset(s))


def options(basis=BASIS, frozen=(), skip=False):
    names = tuple(b.name for b in blocks_of(basis))
    needs = frozenset((s, b) for s in names for b in names if b.is_subset(s))
    return ScanOptions(basis, names, frozen, needs, skip)


def slow(frame, basis=BASIS, frozen=()):
    """What a list of the frame's neighbours tells."""
    sets = [b.name for b in blocks_of(basis) if b.name.is_subset(frame.element_set)]
    models = {
        source: compile_recipe(o, tuple(b.name for b in blocks_of(o) if b.name.is_subset(frame.element_set)))
        for source, o in frozen
    }
    return scan_frame(frame, compile_recipe(basis, tuple(sets)), {b: compile_recipe(basis, (b,)) for b in sets}, models)


def compare(frames, basis=BASIS, frozen=(), skip=False):
    """Check one look at some frames against the scans of each."""
    found = scan_chunk(frames, options(basis, frozen, skip))
    scans = [slow(f, basis, frozen) for f in frames]
    assert found.pairs == tuple(p for s in scans for p in s.inside)
    assert found.frame_of.tolist() == [i for i, s in enumerate(scans) for _ in s.inside]
    assert found.inside.tolist() == [bool(s.inside) for s in scans]
    ranges, closest = defaultdict(list), defaultdict(dict)
    for frame, scan in zip(frames, scans, strict=True):
        if not (skip and scan.inside):
            ranges[frame.element_set].append(scan.ranges)
        known = closest[frame.element_set]
        for pair, (distance, atoms) in scan.closest.items():
            if pair not in known or distance < known[pair][0]:
                known[pair] = distance, frame.origin, atoms
    assert found.ranges == {s: widest_ranges(r) for s, r in ranges.items()}
    assert found.closest == closest
    return found, scans


def fault(frames):
    """What is wrong with the first of some frames that can't be looked at, as an expression; None if all can."""
    for frame in frames:
        try:
            slow(frame)
        except FrameError as error:
            return f"^{re.escape(str(error))}$"
    return None


def counted(frame, basis=BASIS):
    """Numbers of pairs by elements and cutoff, as the kernel has them, and whether it found the frame odd."""
    look = look_at(table_of([frame]), np.array([0]), wanted_in(frame.element_set, basis, NAMES, ()))
    pairs = {
        (a, b, cutoff): int(look.seen.within[0, look.wanted.column(p, cutoff)])
        for _, a, b, p in look.wanted.known_pairs()
        for cutoff in look.wanted.cutoffs[look.wanted.first[p] : look.wanted.first[p + 1]].tolist()
    }
    return pairs, bool(look.seen.flag[0])


@st.composite
def configurations(draw, most=40):
    """Frames of any shape: molecules, wires, slabs and crystals, thin and skewed ones, atoms outside of the cell."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(1, most))
    pbc = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    edges = np.array([draw(st.floats(0.4, 2.5)) for _ in range(3)]) * (8.0 * n) ** (1.0 / 3.0)
    cell = np.diag(edges) + draw(st.sampled_from([0.0, 0.2, 0.5])) * edges.min() * rng.uniform(-1, 1, (3, 3))
    if draw(st.booleans()):
        cell = cell @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assume(abs(np.linalg.det(cell)) > 0.1 * edges.prod())
    positions = rng.random((n, 3)) @ cell
    if draw(st.booleans()):
        positions += rng.integers(-3, 4, (n, 3)) @ cell
    if draw(st.booleans()):  # many equal distances
        cell, positions = np.round(cell), np.round(positions)
        assume(abs(np.linalg.det(cell)) > 0.1)
    species = tuple(rng.choice(draw(st.sampled_from([["C"], ["N"], ["C", "N"]])), n).tolist())
    periodic = any(pbc)
    return Frame(species, positions, cell if periodic else None, energy=0.0, pbc=pbc if periodic else None)


@given(configurations())
@settings(derandomize=True, database=None, deadline=None)
def test_a_frame_of_any_shape(frame):
    if refused := fault([frame]):
        with pytest.raises(FrameError, match=refused):
            scan_chunk([frame], options())
        return
    scan = slow(frame)
    pairs, odd = counted(frame)
    assert not odd
    assert pairs == scan.pairs
    compare([frame])


@given(st.lists(configurations(12), min_size=2, max_size=12), st.booleans())
@settings(derandomize=True, database=None, max_examples=30, deadline=None)
def test_several_frames(frames, skip):
    good = [replace(f, origin=f"frame {i}") for i, f in enumerate(frames)]
    if refused := fault(good):
        with pytest.raises(FrameError, match=refused):
            scan_chunk(good, options(skip=skip))
    else:
        compare(good, skip=skip)


@pytest.mark.parametrize("pbc", list(itertools.product([True, False], repeat=3)))
@pytest.mark.parametrize("few", [kernel.FEW, 0], ids=["one column", "columns"])
@pytest.mark.parametrize("n", [3, 300, 900])
def test_many_atoms(n, few, pbc, monkeypatch):
    rng = np.random.default_rng(n)
    cell = np.diag([1.0, 1.4, 0.7]) * (10.0 * n) ** (1.0 / 3.0) + 0.3 * rng.normal(size=(3, 3))
    at = (rng.random((n, 3)) + rng.integers(-2, 3, (n, 3))) @ cell
    frame = Frame(tuple(rng.choice(["C", "N"], n)), at, cell if any(pbc) else None, energy=0.0, pbc=pbc)
    monkeypatch.setattr(kernel, "FEW", few)
    assert counted(frame) == (slow(frame).pairs, False)
    compare([frame])


@pytest.mark.parametrize("cells", [0, 3, 20000])
@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True), (False, False, False)])
def test_last_digits_at_cutoffs_and_of_equal_distances(cells, pbc, monkeypatch):
    """Many distances are a cutoff but for last digits, and the shortest and the longest are those of many pairs."""
    rng = np.random.default_rng(cells)
    basis = small_basis((4, 3, 2), rmin=0.2)  # its cutoffs are 5, 4.7 and 4.4 Å
    for spacing in (0.5, 0.47, 0.4):
        cell = np.diag([7, 6, 5]) * spacing + np.array([[0, 0, 0], [2, 0, 0], [1, 1, 0]]) * spacing
        at = rng.permutation(np.array(list(itertools.product(range(4), range(3), range(3)))))[:20] * spacing
        at = at + rng.integers(-cells, cells + 1, (20, 3)) @ (cell * np.array(pbc)[:, np.newaxis])
        species = tuple(rng.choice(["C", "N"], 20).tolist())
        frame = Frame(species, at, cell if any(pbc) else None, energy=0.0, pbc=pbc if any(pbc) else None)
        for few in (kernel.FEW, 0):
            monkeypatch.setattr(kernel, "FEW", few)
            assert counted(frame, basis) == (slow(frame, basis).pairs, False)
            compare([frame], basis)


def test_frozen_models_and_elements_that_the_basis_lacks():
    frames = random_frames({"C": 2, "CN": 3, "CO": 2, "CNO": 2})
    other = small_basis((4, 0, 0), elements=("C", "O"), rmin=1.5)
    found, _ = compare(frames, frozen=(("other", other),))
    assert {p.source for p in found.pairs} == {"other"}
    assert {p.elements for p in found.pairs} >= {("C", "O"), ("C", "C")}
    assert set(found.closest["CO"]) == {"CC"}
    assert set(found.ranges["CNO"]) == {f"{b}:{p}" for b, p in [
        ("C", "CC"), ("N", "NN"), ("CN", "CC"), ("CN", "CN"), ("CN", "NN")]}  # fmt: skip


def test_a_pair_within_rounding_of_an_inner_cutoff_is_judged_as_the_rows_judge_it():
    pairs = {"CC": {"rmin": 1.0, "rmax": 3.0, "lambda": 1.3}}
    basis = Basis.from_dict({"elements": ["C"], "orders": [3, 0, 0], "pairs": pairs})
    for distance, inside in ((1.0, False), (np.nextafter(1.0, 0.0), True), (1.0 + 1e-10, False), (1.0 - 1e-10, True)):
        frame = Frame(("C", "C"), np.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]]), energy=0.0)
        found, _ = compare([frame], basis)
        assert found.inside.tolist() == [inside]
        assert any_inside([frame], options(basis)) == inside


@given(st.floats(1e-3, 1e3))
@example(5.0)
@settings(derandomize=True, database=None, deadline=None)
def test_squares_compare_as_their_roots(cutoff):
    limit = _square_limit(cutoff)
    assert math.sqrt(math.nextafter(limit, 0.0)) < cutoff <= math.sqrt(limit)


def test_costs_of_a_lone_frame_are_those_of_its_scan_and_of_alike_frames_nearly():
    basis = small_basis((5, 4, 3))
    frames = random_frames({"C": 20, "N": 3, "CN": 33})
    frames += [f.without_labels(forces=True) for f in frames[:4]]
    everything = scan_chunk(frames, options(basis))
    for i, frame in enumerate(frames):
        alone, scan = scan_chunk([frame], options(basis)), slow(frame, basis)
        for block in (b.name for b in blocks_of(basis)):
            recipe = compile_recipe(basis, (block,))
            if not block.is_subset(frame.element_set):
                assert alone.seconds[block] == everything.seconds[block][i] == 0.0
                continue
            own = scan_frame(frame, recipe)
            expected = tile_seconds(frame, replace(scan, overlap=own.overlap), recipe)
            assert alone.seconds[block][0] == pytest.approx(expected, rel=1e-6)
            assert everything.seconds[block][i] == pytest.approx(expected, rel=0.3)
            zeros = structural_nonzeros(FrameCounts.of(frame, scan, recipe.elements), recipe)
            assert [alone.nonzeros[block][0], everything.nonzeros[block][i]] == [zeros[0]] * 2


def test_columns_are_joined_as_they_are_looked_at(monkeypatch):
    frames = random_frames({"C": 5, "N": 3, "CN": 7})
    whole = contacts.scan_frames(frames, BASIS, NAMES, needs=EVERYWHERE)
    monkeypatch.setattr(contacts, "CHUNK_ATOMS", 30)
    parts = contacts.scan_frames(frames, BASIS, NAMES, needs=EVERYWHERE)
    assert (parts.pairs, parts.ranges, parts.closest) == (whole.pairs, whole.ranges, whole.closest)
    assert (parts.frame_of == whole.frame_of).all()
    for block in NAMES:
        assert (parts.nonzeros[block] == whole.nonzeros[block]).all()
        assert parts.seconds[block] == pytest.approx(whole.seconds[block], rel=0.1)
    nothing = FrameScans.joined([], NAMES)
    assert nothing.inside.shape == nothing.seconds["C"].shape == (0,)


def test_frames_may_give_their_table_themselves():
    frames = random_frames({"C": 3, "CN": 3})

    class Stored(list):
        def table(self):
            asked.append(len(self))
            return table_of(self)

    asked = []
    found, expected = scan_chunk(Stored(frames), options()), scan_chunk(frames, options())
    assert asked == [6]
    assert found.ranges == expected.ranges


def test_tables_that_can_not_be_written_to_are_looked_at():
    frames = random_frames({"CN": 3})
    table = table_of(frames)
    for name in ("positions", "cells", "pbc", "types", "n_atoms"):
        getattr(table, name).setflags(write=False)

    class Stored(list):
        def table(self):
            return table

    before = len(kernel.scan_contacts.signatures)
    assert scan_chunk(Stored(frames), options()).closest == scan_chunk(frames, options()).closest
    assert len(kernel.scan_contacts.signatures) == max(before, 1)


def test_only_what_is_needed_is_priced():
    frames = random_frames({"C": 2, "CN": 2})
    found = scan_chunk(frames, ScanOptions(BASIS, NAMES, needs=frozenset({(ElementSet("CN"), ElementSet("C"))})))
    assert list(found.seconds) == ["C"]
    assert (found.seconds["C"] > 0).tolist() == [False, False, True, True]
    assert cluster_name(("C", "N")) in found.closest["CN"]


def test_a_frame_that_goes_astray_later_is_refused_by_the_first(monkeypatch):
    """Odd frames of several element sets are refused in the order of frames."""
    frames = random_frames({"C": 2, "N": 2})
    bad = [replace(f, positions=np.zeros_like(f.positions), origin=f"bad {i}") for i, f in enumerate(frames)]
    order = [bad[3], bad[0], bad[2]]
    with pytest.raises(FrameError, match=r"^bad 3: atoms"):
        scan_chunk(order, options())
    with pytest.raises(FrameError, match=r"^bad 3: atoms"):
        make_plan(order, BASIS)
