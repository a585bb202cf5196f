"""What folds leave out is told as soon as it is settled, with the names of systems, blocks and elements."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import random_frames

from hiertl_dist.dataset.folds import Folds
from hiertl_dist.errors import InputError
from hiertl_dist.frames.element_set import ElementSet
from hiertl_dist.frames.frame_sequence import sequence_of
from hiertl_dist.model_selection.fold_checks import folds_text, look_at_folds

FRAMES = sequence_of(random_frames({"C": 4, "N": 4, "CN": 4}, groups=("a", "b")))
SETS = np.array(FRAMES.facts.set_names)[FRAMES.facts.sets]
ELEMENTS = Folds(3, "system", system="elements")


def part(name, blocks, sets):
    return SimpleNamespace(
        name=name, blocks=list(map(ElementSet.parse, blocks)), sets=list(map(ElementSet.parse, sets))
    )


ALL = part("C, N, CN", ("C", "N", "CN"), ("C", "N", "CN"))


def looked(parts, folds, of_frames):
    """What was told, and what each fold has."""
    told = []
    return told, look_at_folds(parts, folds, FRAMES, np.asarray(of_frames, np.int32), told.append)


def by_set(**folds):
    return [folds[s] for s in SETS]


def test_a_block_without_rows_is_told():
    told, contents = looked([ALL], ELEMENTS, by_set(C=0, N=1, CN=2))
    assert contents == ({"C": 4}, {"N": 4}, {"CN": 4})
    assert told[:2] == ["note: folds by system (elements):", "note:   fold 0: 1 system, 4 frames: C 4"]
    (line,) = told[4:]
    assert line.startswith("note: C, N, CN: without fold 2 no frame has all elements of CN: in that fit ")


def test_an_element_without_frames_is_refused():
    text = r"C, N, CN: fold 0 has all frames with C, and without them nothing is known .* \(folds.count, now 2\)"
    with pytest.raises(InputError, match=text):
        looked([ALL], Folds(2, "system", system="elements"), by_set(C=0, N=1, CN=0))


def test_each_stage_needs_two_folds():
    of_frames = by_set(C=0, N=1, CN=0)
    with pytest.raises(InputError, match=r"all frames of N are in fold 1 \(systems N\), .* frames of another system"):
        looked([part("N", ("N",), ("N",))], ELEMENTS, of_frames)
    with pytest.raises(InputError, match=r"all frames of CN are in fold 0, which can't be left out"):
        looked([part("CN", ("CN",), ("CN",))], Folds(2), of_frames)
    halves = np.arange(len(FRAMES)) % 2
    assert looked([part(n, (n,), (n,)) for n in ("C", "N", "CN")], Folds(2), halves) == ([], ())


def test_a_stage_of_few_systems_has_fewer_folds():
    folds = Folds(3, "system", system={"one": "a", "two": "b", "three": "c*"})
    in_a = np.array(FRAMES.facts.group_names)[FRAMES.facts.group] == "a"
    told, contents = looked([ALL], folds, np.where(in_a, 2, 0))
    assert (set(contents[0]), contents[1], set(contents[2])) == ({"two"}, {}, {"one"})
    assert told[-2:] == [
        "note: search.folds.system: the patterns of three match no group of these frames",
        "note: C, N, CN: cross-validated in 2 of 3 folds, for it has 2 systems: one, two",
    ]
    assert folds_text(folds, contents).splitlines()[2] == "  fold 1: 0 systems, 0 frames: none"
