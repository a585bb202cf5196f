"""The lattice of blocks: what is said to happen to each is what a climb does; its columns are those that are made."""

from __future__ import annotations

import itertools
import json

import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist import Basis, FitSettings, HierarchyOptions, columns_of
from hiertl_dist.errors import InputError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting.block_lattice import WAYS, BlockLattice
from hiertl_dist.fitting.block_order import blocks_to_make, fitted_blocks, wanted_blocks
from hiertl_dist.fitting.hierarchy import fit_hierarchy
from hiertl_dist.fitting.lattice_drawing import COLOURS, MARKS
from hiertl_dist.fitting.lattice_rows import block_lattice

ELEMENTS = ("C", "N", "O")
BASIS = small_basis((3, 2, 0), ELEMENTS)
TRUTH = random_parameters(BASIS, 5)
COUNTS = {"C": 3, "N": 3, "O": 2, "CN": 4, "NO": 2, "CNO": 3}
FRAMES = random_frames(COUNTS)


def ways(lattice):
    return {row.block: row.way for row in lattice.rows}


@pytest.mark.parametrize("missing", ["refuse", "zero", "mixed"])
@pytest.mark.parametrize(
    ("sets", "frozen", "options"),
    [
        (["C", "N", "CN"], (), {}),
        (["C", "N", "O", "CN", "NO"], ("C",), {}),
        (["C", "CN"], ("N",), {"partial": {"CN": ["N"]}}),
        (["C", "N", "CN"], (), {"partial": {"CN": ["C"]}}),
        (["C", "N", "O", "CN", "NO", "CO"], ("C", "CN"), {"only": ["CN", "NO"]}),
    ],
)
def test_ways_are_those_of_a_climb(sets, frozen, options, missing):
    frames = [f for f in FRAMES if f.element_set in sets]
    models = [TRUTH.restricted({b}) for b in frozen]
    how = HierarchyOptions(missing=None if "only" in options else missing, **options)
    lattice = block_lattice(BASIS, frames, frozen=models, options=how)
    wanted = wanted_blocks(frames, BASIS, models, how, lambda _: None)
    assert lattice.of_way("needs frames") == []
    assert lattice.of_way("fitted") == wanted
    assert {*wanted, *lattice.of_way("fitted with a larger block")} == fitted_blocks(wanted, how)
    made = blocks_to_make(wanted, BASIS, models, how)
    assert lattice.of_way("mixed") == (made if how.way_of_missing == "mixed" else [])
    assert lattice.of_way("zero") == (made if how.way_of_missing == "zero" else [])
    assert set(lattice.of_way("frozen")) == set(frozen) - fitted_blocks(wanted, how)
    for row in lattice.rows:
        own = {s for b in wanted if row.block in how.together(b) for s in how.sets_of(b, frames)}
        assert row.frames == sum(f.element_set == row.block for f in frames)
        assert row.used_frames == sum(f.element_set in own for f in frames)


def test_a_block_that_a_climb_would_refuse_for_needs_frames():
    frames = [f for f in FRAMES if f.element_set in ("C", "CN")]
    row = block_lattice(BASIS, frames)["N"]
    assert (row.way, row.detail) == ("needs frames", "CN stands on it")
    with pytest.raises(InputError, match=r"block N: no frame contains exactly N, and CN stands on it"):
        wanted_blocks(frames, BASIS, [], HierarchyOptions(), lambda _: None)


def test_rows_tell_columns_dependencies_and_frames():
    options = HierarchyOptions(FitSettings(include_fewer=True), partial={"CN": ["N"]}, missing="mixed")
    lattice = block_lattice(BASIS, [f for f in FRAMES if f.element_set != "N"], options=options)
    assert [r.level for r in lattice.rows] == [1, 1, 1, 2, 2, 2, 3]
    for row in lattice.rows:
        assert row.columns == len(columns_of(BASIS, [row.block]))
    assert lattice["N"].what == "fitted with CN"
    assert (lattice["CN"].stands_on, lattice["CN"].frames, lattice["CN"].used_frames) == (("C",), 4, 4)
    assert (lattice["N"].frames, lattice["N"].used_frames) == (0, 4)
    assert lattice["CO"].what == "mixed of lower blocks, no frame has exactly its elements"
    assert lattice["CNO"].stands_on == ("C", "N", "O", "CN", "CO", "NO")
    assert lattice["CNO"].used_frames == 3
    assert lattice.problem_columns == lattice["CN"].columns + lattice["N"].columns
    everything = block_lattice(BASIS, FRAMES, all_at_once=True)
    assert everything.problem_columns == everything.columns == len(columns_of(BASIS))
    assert everything["N"].used_frames == sum(n for s, n in COUNTS.items() if "N" in s)


def test_what_the_basis_lacks_and_what_is_frozen_beyond_it_is_there():
    basis = BASIS.with_types(t for t in BASIS.types if t.block != "NO")
    frozen = random_parameters(small_basis((2, 0, 0), ("C", "N")), 2).restricted({"C"})
    lattice = block_lattice(basis, FRAMES, frozen=[frozen])
    assert ways(lattice) | {"NO": "not in the basis", "C": "frozen"} == ways(lattice)
    assert (lattice["NO"].columns, lattice["NO"].types) == (0, ())
    assert lattice["C"].columns == len(frozen.coefficients) < len(columns_of(basis, ["C"]))
    assert lattice["C"].what == f"frozen: {frozen.source}"
    with pytest.raises(InputError, match="no block CW; there are C, N, O, CN"):
        lattice["CW"]


def test_a_climb_of_it_fits_these_columns():
    fit = fit_hierarchy(labelled(FRAMES, TRUTH), BASIS, options=HierarchyOptions(missing="mixed"),
                        executor=SerialExecutor())  # fmt: skip
    lattice = block_lattice(BASIS, FRAMES, options=HierarchyOptions(missing="mixed"))
    assert {b: f.solution.n_columns for b, f in fit.fits.items()} == {
        r.block: r.columns for r in lattice.rows if r.way == "fitted"
    }
    assert lattice.columns == len(fit.model.parameters.coefficients)


def test_a_lattice_as_json_and_as_text():
    lattice = block_lattice(BASIS, FRAMES, options=HierarchyOptions(missing="mixed"))
    again = BlockLattice.from_dict(json.loads(json.dumps(lattice.as_dict())))
    assert again.rows == lattice.rows
    assert again.text() == lattice.text()
    lines = lattice.text().splitlines()
    assert [line.split()[0] for line in lines[2:9]] == ["C", "N", "O", "CN", "CO", "NO", "CNO"]
    drawn = [" ".join(line.split()) for line in lines[10:]]
    assert "2 ● CN ~ CO ● NO" in drawn
    assert drawn[5:8] == ["│ ╲ ╱ ╲ ╱ │", "│ ╳ ╳ │", "│ ╱ ╲ ╱ ╲ │"]
    assert lines[-3].split("   ") == ["● fitted", "~ mixed"]
    assert lines[-1].startswith("7 blocks of 3 elements: 6 fitted, 1 mixed; ")
    edges = {("C", "CN"), ("N", "CN"), ("CN", "CNO"), ("O", "NO")}
    assert all(f'"{a}" -> "{b}";' in lattice.dot() for a, b in edges)
    assert lattice.dot().count("->") == 3 * 2 + 3


def test_eight_elements_with_four_bodies_stay_readable():
    """Columns are those of section 4 of docs/theory.md; nothing of 776 778 columns is made."""
    elements = ("C", "H", "N", "O", "Si", "Al", "Fe", "W")
    pairs = {a + b: {"rmin": 1.0, "rmax": 5.0, "lambda": 1.4}
             for a, b in itertools.combinations_with_replacement(elements, 2)}  # fmt: skip
    basis = Basis.from_dict({"elements": list(elements), "orders": [25, 10, 4], "pairs": pairs})
    lattice = block_lattice(basis)
    assert [sum(r.level == n for r in lattice.rows) for n in (1, 2, 3, 4)] == [8, 28, 56, 70]
    assert {r.level: r.columns for r in lattice.rows} == {1: 492, 2: 3747, 3: 7101, 4: 3861}
    assert (lattice.problem_columns, lattice.columns) == (7101, 776_778)
    text = lattice.text()
    assert text.count("\n") < 20
    assert "70 as CHNO" in text
    assert "56 blocks: ● 56; the largest is CHN, 7101 columns" in text
    for n, largest, total in ((1, 492, 492), (2, 3747, 4731), (3, 7101, 19818), (4, 7101, 56715)):
        own = block_lattice(basis.restricted(elements[:n]))
        assert (own.problem_columns, own.columns) == (largest, total)


def test_every_way_has_a_mark():
    assert len(WAYS) == len(MARKS) == len(COLOURS) == len(set(MARKS))
