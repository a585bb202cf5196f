"""A block that lacks terms of a number of atoms that its lower blocks have is told of, before a fit and after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist import fit_block
from hiertl_dist.fitting.lattice_rows import uninformed_notes
from hiertl_dist.frames.element_set import ElementSet

WHOLE = small_basis((3, 2, 0))
TRUTH = random_parameters(WHOLE, seed=2)
C, N = TRUTH.restricted({"C"}), TRUTH.restricted({"N"})
CN = ElementSet.parse("CN")
TOLD = "CN has no triplets, and its lower blocks have ("


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
    assert "(CCC, NNN)" in note
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
    assert [n.partition(TOLD)[2].partition(")")[0] for n in notes] == ([expected] if expected else [])
