"""Merging: the sum of blocks and nothing else; what differs is named, what overlaps is refused or added."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from synthetic import random_frames, random_parameters, small_basis

from hiertl_dist import Model
from hiertl_dist.cli import commands as cli
from hiertl_dist.errors import MismatchError
from hiertl_dist.evaluation.energies import read_parts
from hiertl_dist.model.parameters import Parameters, Penalty, merge_parameters

BASIS = small_basis((3, 3, 2))
TRUTH = random_parameters(BASIS, 3)
FRAMES = random_frames({"C": 1, "N": 1, "CN": 2})
WALL = Penalty(1e6, 0.02)


def part(*blocks, coverage=None, source=None):
    """The true model of some blocks, on the elements that it has."""
    found = TRUTH.restricted(set(blocks))
    basis = found.basis.restricted(set().union(*(t.elements for t in found.basis.types)))
    return Parameters(basis, found.coefficients, coverage=coverage or {}, source=source or "+".join(blocks))


@pytest.fixture
def files(tmp_path):
    """C, N and CN as parameter files."""
    for block in ("C", "N", "CN"):
        Model(part(block)).write(tmp_path / f"{block}.params.txt")
    return [tmp_path / f"{b}.params.txt" for b in ("C", "N", "CN")]


@pytest.fixture
def merge(capsys, tmp_path):
    """``hiertl-dist merge``: exit code, stdout, stderr; the result is ``tmp_path/model.params.txt``."""

    def command(*words):
        code = cli.main(["merge", *map(str, words), "-o", str(tmp_path / "model.params.txt")])
        return code, *capsys.readouterr()

    return command


# ---- parameters


def test_the_sum_has_every_coefficient_of_its_parts():
    merged = merge_parameters([part("C"), part("N"), part("CN")])
    assert merged.basis == BASIS
    assert merged.as_dict() == TRUTH.as_dict()
    assert merged.source == "C + N + CN"


def test_the_order_of_the_parts_does_not_matter():
    merged = merge_parameters([part("CN"), part("N"), part("C")])
    assert merged.as_dict() == TRUTH.as_dict()
    assert merged.basis.elements == ("C", "N")


def test_the_sum_predicts_the_sum():
    parts = [Model(part(b)) for b in ("C", "N", "CN")]
    merged = Model.merge(parts)
    found = [p.evaluate(FRAMES, ignore_other_elements=True, missing="zero") for p in parts]
    for i, whole in enumerate(merged.evaluate(FRAMES)):
        for what in ("energy", "forces", "stress"):
            total = sum(getattr(f[i], what) for f in found)
            np.testing.assert_allclose(getattr(whole, what), total, rtol=0, atol=1e-9 * np.abs(total).max())


def test_overlap_is_refused_unless_it_is_to_be_added():
    residual = replace(TRUTH, source="residual")
    with pytest.raises(MismatchError, match=r"type CC is in C and in residual: .* --add sums .*overlap='add'"):
        merge_parameters([part("C"), residual])
    merged, once, twice = merge_parameters([part("C"), residual], overlap="add").as_dict(), TRUTH.as_dict(), part("C")
    for column, value in once.items():
        assert merged[column] == (2 * value if column in twice.as_dict() else value)


def test_the_higher_order_stays_where_terms_are_added():
    low = random_parameters(small_basis((2, 2, 0), ("C",)), 8)
    merged = merge_parameters([low, part("C")], overlap="add")
    assert merged.basis == part("C").basis
    expected = part("C").as_dict()
    for column, value in low.as_dict().items():
        expected[column] += value
    assert merged.as_dict() == expected


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"rmax": 5.5}, "pair CC, rmax (Å): C has 5.0, other has 5.5"),
        ({"rmin": 0.8}, "pair CC, rmin (Å): C has 0.9, other has 0.8"),
        ({"cutoff": "TERSOFF 0.75"}, "cutoff function: C has CUBIC, other has TERSOFF 0.75"),
        ({"three_body": {"rmax": 4.2}}, "type CCC, rmax (Å) of its CC edges: C has 4.7, other has 4.2"),
    ],
    ids=["rmax", "rmin", "cutoff function", "three-body"],
)
def test_what_differs_is_named(change, text):
    other = replace(random_parameters(small_basis((3, 3, 2), **change)), source="other")
    with pytest.raises(MismatchError) as caught:
        merge_parameters([part("C"), other], overlap="add")
    assert str(caught.value) == text


def test_different_walls_need_a_choice():
    parts = [part("C"), replace(part("N"), penalty=WALL)]
    with pytest.raises(MismatchError) as caught:
        merge_parameters(parts)
    assert "C has scale 10000.0, distance 0.01, N has scale 1000000.0, distance 0.02; --penalty SCALE DISTANCE" in str(
        caught.value
    )
    assert merge_parameters(parts, penalty=WALL).penalty == WALL
    assert merge_parameters([parts[1]]).penalty == WALL


def test_coverage_of_what_is_added_is_what_both_saw():
    first, second = (part("C", coverage={"C:CC": r}) for r in ((1.1, 5.0), (1.3, 4.8)))
    assert merge_parameters([first, second], overlap="add").coverage == {"C:CC": (1.3, 4.8)}
    other = part("N", coverage={"N:NN": (1.0, 4.0)})
    assert merge_parameters([first, other]).coverage == {"C:CC": (1.1, 5.0), "N:NN": (1.0, 4.0)}


@pytest.mark.parametrize(
    ("parts", "more", "text"), [([], {}, "at least one part"), ([part("C")], {"overlap": "replace"}, "'replace'")]
)
def test_what_makes_no_sense_is_refused(parts, more, text):
    with pytest.raises(ValueError, match=text):
        merge_parameters(parts, **more)


# ---- the command


def test_files_become_one(merge, files, tmp_path):
    code, out, err = merge(*files, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "output": str(tmp_path / "model.params.txt"), "elements": ["C", "N"],
        "types": [t.name for t in BASIS.types], "columns": len(TRUTH.coefficients),
        "missing_types": [],
    }  # fmt: skip
    found = Model.read(tmp_path / "model.params.txt").parameters
    assert found.basis == BASIS
    np.testing.assert_array_equal(found.coefficients, TRUTH.coefficients)


def test_for_people(merge, files, tmp_path):
    code, out, _ = merge(files[0], files[2])
    assert code == 0
    size = len(part("C", "CN").coefficients)
    kinds = "CC, CN, CCC, CCN, CNN, CCCC, CCCN, CCNN, CNNN, C"
    assert out == f"{tmp_path / 'model.params.txt'}: {size} coefficients of {kinds}\n"


def test_a_file_states_every_pair(merge, files, tmp_path):
    code, out, err = merge(*files[:2])
    assert (code, out) == (2, "")
    assert "merge: no file states the pairs ['CN']" in err
    assert 'missing = "mixed" or "zero" in [fit]' in err
    assert not (tmp_path / "model.params.txt").exists()


def test_overlap_of_files(merge, files, tmp_path):
    code, out, err = merge(files[0], *files)
    assert (code, out) == (2, "")
    assert "MismatchError: type CC is in" in err
    assert str(files[0]) in err
    assert not (tmp_path / "model.params.txt").exists()
    assert merge(files[0], *files, "--add")[0] == 0
    found, own = read_parts(tmp_path / "model.params.txt").as_dict(), part("C").as_dict()
    assert found == {c: 2 * v if c in own else v for c, v in TRUTH.as_dict().items()}


def test_the_wall_of_the_merged_file(merge, files, tmp_path):
    Model(replace(part("N"), penalty=WALL)).write(files[1])
    code, _, err = merge(*files)
    assert code == 2
    assert "has scale 10000.0" in err
    assert "has scale 1000000.0" in err
    assert merge(*files, "--penalty", 1e5, 0.015)[0] == 0
    assert read_parts(tmp_path / "model.params.txt").penalty == Penalty(1e5, 0.015)


def test_reduced_files_leave_out_what_is_tiny(merge, files, tmp_path):
    tiny = part("CN")
    index = [i for i, c in enumerate(tiny.columns) if len(c.elements) == 3][::2]
    values = tiny.coefficients.copy()
    values[index] = 1e-7
    Model(replace(tiny, coefficients=values)).write(files[2])
    assert merge(*files)[0] == 0
    full = read_parts(tmp_path / "model.params.txt")
    size = (tmp_path / "model.params.txt").stat().st_size
    code, said, _ = merge(*files, "--reduced", "--overwrite")
    assert (code, f", {len(index)} of them left out, of at most 1e-6" in said) == (0, True)
    reduced = read_parts(tmp_path / "model.params.txt")
    assert (tmp_path / "model.params.txt").stat().st_size < size
    gone = {c for c, v in full.as_dict().items() if v != reduced.as_dict()[c]}
    assert gone == {tiny.columns[i] for i in index}
    assert not any(reduced.as_dict()[c] for c in gone)


def test_models_are_merged_and_nothing_else():
    with pytest.raises(TypeError, match=r"expected Models, found Parameters: Model\(parameters\) makes one"):
        Model.merge([part("C")])
