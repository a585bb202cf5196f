"""A block that lacks terms of a number of atoms that its lower blocks have is told of, before a fit and after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist import Basis, fit_all_at_once, fit_block
from hiertl_dist.fitting.lattice_rows import uninformed_notes
from hiertl_dist.frames.element_set import ElementSet

WHOLE = small_basis((3, 2, 0))
TRUTH = random_parameters(WHOLE, seed=2)
C, N = TRUTH.restricted({"C"}), TRUTH.restricted({"N"})
CN = ElementSet.parse("CN")
TOLD = "and its lower blocks have "


def bare():
    """The basis without mixed triplets."""
    return replace(WHOLE, types=tuple(t for t in WHOLE.types if t.body == 2 or len(set(t.elements)) == 1))


def without_triplets(one):
    return replace(one, coefficients=np.where([len(c.elements) > 2 for c in one.columns], 0.0, one.coefficients))


def told(notes):
    return [n for n in notes if TOLD in n]


@pytest.mark.parametrize("made", [True, False])
def test_before_a_fit(made):
    (note,) = told(uninformed_notes(bare(), {CN}, [C, N], made=made))
    assert note.startswith("WARNING: ")
    assert "CN has no CCN, CNN, and its lower blocks have CCC, NNN: " in note
    assert not told(uninformed_notes(WHOLE, {CN}, [C, N], made=made))
    assert not told(uninformed_notes(bare(), {ElementSet.parse("C")}, []))
    fitted_with_it = uninformed_notes(bare(), {CN, ElementSet.parse("C"), ElementSet.parse("N")}, [])
    assert told(fitted_with_it) == [note]


@pytest.mark.parametrize(
    ("basis", "frozen", "expected"),
    [
        (bare(), [C, N], "CCC, NNN"),
        (WHOLE, [C, N], None),
        # coefficients that are zero do not count
        (bare(), [C, without_triplets(N)], "CCC"),
    ],
)
def test_after_a_fit(basis, frozen, expected):
    frames = labelled(random_frames({"CN": 4}), TRUTH)
    notes = told(fit_block(frames, basis, "CN", frozen=frozen).solution.notes)
    assert [n.partition(TOLD)[2].partition(":")[0] for n in notes] == ([expected] if expected else [])


@pytest.mark.parametrize("how", ["all at once", "free"])
def test_blocks_that_are_fitted_together(how):
    frames = labelled(random_frames({"C": 3, "N": 3, "CN": 4}), TRUTH)
    if how == "free":
        solution = fit_block(frames, bare(), "CN", frozen=[N], free=["C"]).solution
    else:
        solution = fit_all_at_once(frames, bare()).solution
    (note,) = told(solution.notes)
    assert "CN has no CCN, CNN, and its lower blocks have CCC, NNN: " in note


def test_one_type_that_is_left_out_is_named():
    one = replace(WHOLE, types=tuple(t for t in WHOLE.types if t.name != "CCN"))
    (note,) = told(uninformed_notes(one, {CN}, [C, N]))
    assert "CN has no CCN, and " in note


def test_triplets_that_are_switched_off_do_not_count():
    table = WHOLE.to_dict()
    for name in ("CCC", "NNN"):
        table["types"][name]["rmax"] = table["types"][name]["rmin"]
    off = Basis.from_dict(table)
    assert not told(
        uninformed_notes(
            replace(off, types=tuple(t for t in off.types if len(set(t.elements)) == 1 or t.body == 2)),
            {CN, ElementSet.parse("C"), ElementSet.parse("N")},
            [],
        )
    )
