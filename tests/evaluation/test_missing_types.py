"""Types without coefficients: counted as they occur, named, refused in evaluation unless it is said how they count."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_files import write_extxyz, write_job
from reference import clusters as one_by_one
from synthetic import labelled, random_frame, random_frames, random_parameters, small_basis

from hiertl_dist import (
    AtomsError,
    Calculator,
    Frame,
    HierarchyOptions,
    MissingTypesError,
    Model,
    fit_hierarchy,
    types_without_coefficients,
)
from hiertl_dist.cli import commands as cli
from hiertl_dist.errors import InputError
from hiertl_dist.evaluation.cluster_counts import count_in, edge_reaches
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.jobs.evaluate_job import evaluate_job
from hiertl_dist.jobs.evaluating import evaluate_frames
from hiertl_dist.jobs.report import warnings_text
from hiertl_dist.model.missing_types import missing_notes, types_text
from hiertl_dist.model.parameters import Parameters, only_blocks

BASIS = small_basis((3, 2, 0), ("C", "N", "O"))
TRUTH = random_parameters(BASIS, 3)
BINARY = TRUTH.with_types(t for t in BASIS.types if len(set(t.elements)) < 3)
"""All but the triplet CNO."""
TERNARY = random_frame(("C", "N", "O"), 1)
SERIAL = SerialExecutor()


def without(*names):
    return TRUTH.with_types(t for t in BASIS.types if t.name not in names)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 99), reach=st.floats(1.2, 2.6), periodic=st.booleans())
def test_clusters_are_counted_as_one_by_one(seed, reach, periodic):
    rng = np.random.default_rng(seed)
    species = tuple(rng.choice(["C", "N"], 4))
    frame = Frame(species, rng.uniform(0.0, 2.2, (4, 3)), 2.3 * np.eye(3) if periodic else None)
    more = {"three_body": {"rmax": reach - 0.1}, "four_body": {"rmax": reach - 0.2}}
    basis = small_basis((2, 2, 2), rmin=0.1, rmax=reach, **more)
    kinds = [t.elements for t in basis.types if t.body > 1]
    expected = {}
    for kind in kinds:
        places = np.array(one_by_one(frame, basis, len(kind))[kind][0]).reshape(-1, len(kind), 3)
        apart = np.linalg.norm(places[:, :, np.newaxis] - places[:, np.newaxis], axis=-1).max(axis=(1, 2))
        if number := np.count_nonzero(apart < reach - 0.1 * (len(kind) - 2)) // len(kind):
            expected[kind] = number
    assert count_in(frame, kinds, edge_reaches([basis], kinds)) == expected


def test_missing_types_are_those_that_can_occur():
    assert types_without_coefficients(TRUTH) == ()
    assert types_without_coefficients(BINARY) == ("CNO",)
    assert types_without_coefficients(BINARY, ["C", "N"]) == ()
    assert types_without_coefficients([TRUTH.basis.with_types(t for t in BASIS.types if t.body == 2)]) == ()
    parts = [TRUTH.restricted({"C"}), TRUTH.restricted({"N"})]
    assert types_without_coefficients(parts, ["C", "N"]) == ("CN", "CCN", "CNN")
    # energies of free atoms alone are no model of pairs
    assert types_without_coefficients(TRUTH.with_types(t for t in BASIS.types if t.body == 1)) == ()
    names = ["AB", *(f"A{chr(97 + i)}BB" for i in range(9))]
    assert types_text(names) == "1 pair (AB), 9 triplets (AaBB, AbBB, AcBB, AdBB, AeBB, AfBB, … and 3 more)"


def test_an_edge_that_no_type_has_reaches_as_far_as_the_longest():
    basis = small_basis((3, 2, 0), ("C", "N"))
    alone = basis.with_types(t for t in basis.types if set(t.elements) == {"C"})
    reaches = edge_reaches([alone], [("C", "N"), ("C", "C", "N")])
    assert reaches == {(2, ("C", "N")): 5.0, (3, ("C", "C")): 4.7, (3, ("C", "N")): 4.7}
    asleep = [replace(p, rmin=5.0) if p.name == "CN" else p for p in basis.pairs]
    off = edge_reaches([replace(alone, pairs=tuple(asleep))], [("C", "N"), ("C", "C", "N")])
    assert off == {(2, ("C", "N")): 0.0, (3, ("C", "C")): 4.7, (3, ("C", "N")): 0.0}


def test_frames_with_such_clusters_are_refused():
    model = Model(BINARY)
    with pytest.raises(
        MissingTypesError, match=r"found none for 1 triplet \(CNO\).* in 1 frame.*such as CNO 1"
    ) as caught:
        model.evaluate([random_frame(("C", "N"), 2), TERNARY])
    assert caught.value.types == ("CNO",)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(InputError, match="missing: expected one of"):
        model.evaluate(TERNARY, missing="mixed")
    # atoms that are left out are in no cluster, others are in what they were in
    with pytest.raises(MissingTypesError):
        model.evaluate(TERNARY, ignore_other_elements=True)
    carbon = Model(only_blocks(BINARY, {"C"}))
    assert len(carbon.evaluate(TERNARY, ignore_other_elements=True)) == 1


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (TRUTH, {}), (BINARY, {"missing": "zero"}), (replace(BINARY, without_data={"CNO": "zero"}), {}),
        # a part of a sum
        (BINARY, {"ignore_other_elements": True, "missing": "zero"}),
        # a model of pairs alone has no triplets
        (TRUTH.with_types(t for t in BASIS.types if t.body == 2), {}),
    ],
    ids=["there", "zero", "stated", "a part", "pairs"],
)  # fmt: skip
def test_others_are_not(model, options):
    (found,) = Model(model).evaluate(TERNARY, **options)
    assert np.isfinite(found.energy)


def test_atoms_far_apart_have_no_such_cluster():
    near = Frame(("C", "N", "O"), np.array([[0.0, 0, 0], [1.5, 0, 0], [0, 1.5, 0]]), None)
    chain = replace(near, positions=np.array([[0.0, 0, 0], [3.0, 0, 0], [6.0, 0, 0]]))
    with pytest.raises(MissingTypesError):
        Model(BINARY).evaluate(near)
    assert len(Model(BINARY).evaluate(chain)) == 1


def test_the_calculator_refuses_them():
    atoms = pytest.importorskip("ase").Atoms("CNO", [[0.0, 0, 0], [1.5, 0, 0], [0, 1.5, 0]])
    atoms.calc = Calculator(Model(BINARY))
    with pytest.raises(AtomsError, match="CNO"):
        atoms.get_potential_energy()
    atoms.calc = Calculator(Model(BINARY), missing="zero")
    assert np.isfinite(atoms.get_potential_energy())


def test_reports_refuse_or_name_them():
    frames = [random_frame(("C", "N"), 2), TERNARY, random_frame(("C", "N", "O"), 5)]
    with pytest.raises(MissingTypesError, match="CNO"):
        evaluate_job([Model(BINARY)], frames, SERIAL)
    report = evaluate_job([Model(BINARY)], frames, SERIAL, missing="zero")
    assert "WARNING: no coefficients for clusters that these frames contain, 1 triplet (CNO)" in report.text("eV")
    (only,) = report.as_dict()["missing_types"]
    assert (only["name"], only["frames"]) == ("CNO", 2)
    # as parts of a sum, each of which lacks what others have
    parts = [Model(BINARY), Model(TRUTH.with_types(t for t in BASIS.types if t.name == "CNO"))]
    whole = evaluate_job(parts, frames, SERIAL)
    assert whole.as_dict()["missing_types"] == []
    assert "no coefficients" not in warnings_text(evaluate_frames(parts, frames))


def test_the_command_refuses_them(capsys, tmp_path):
    Model(BINARY).write(tmp_path / "model.txt")
    write_extxyz(tmp_path / "data.extxyz", [TERNARY])
    words = ["evaluate", str(tmp_path / "model.txt"), "--frames", str(tmp_path / "data.extxyz")]
    assert cli.main(words) == 2
    err = capsys.readouterr().err
    assert "MissingTypesError" in err
    assert "--missing zero" in err
    assert cli.main([*words, "--missing", "zero", "--json"]) == 0
    assert [m["name"] for m in json.loads(capsys.readouterr().out)["missing_types"]] == ["CNO"]
    merged = ["merge", str(tmp_path / "model.txt"), "-o", str(tmp_path / "merged.txt")]
    assert cli.main(merged) == 0
    assert "note: WARNING: " in (note := capsys.readouterr().err)
    assert "no coefficients for 1 triplet (CNO)" in note


def test_plan_and_fit_name_what_no_frame_informs(capsys, tmp_path):
    basis = small_basis((2, 2, 0))
    frames = labelled(random_frames({"C": 3, "N": 3}), random_parameters(basis))
    path = write_job(tmp_path, frames, basis=basis.to_dict())
    assert cli.main(["plan", str(path)]) == 0
    assert "no frame informs 1 pair (CN), 2 triplets (CCN, CNN) (blocks CN)" in capsys.readouterr().out
    assert cli.main(["fit", str(path)]) == 0
    assert "WARNING: the hierarchical model has no coefficients for 1 pair (CN), 2 triplets" in capsys.readouterr().out


def test_what_a_basis_leaves_out_is_left_out_on_purpose():
    basis = small_basis((2, 2, 0), exclude=["CCN"])
    frames = labelled(random_frames({"C": 3, "N": 3, "CN": 4}), random_parameters(small_basis((2, 2, 0))))
    fit = fit_hierarchy(frames, basis, options=HierarchyOptions(), executor=SERIAL)
    assert fit.model.parameters.without_data == {"CCN": "zero"}
    assert fit.fits["CN"].solution.parameters.without_data == {"CCN": "zero"}
    assert fit.fits["C"].solution.parameters.without_data == {}
    assert missing_notes([fit.model.parameters], "it") == ()
    assert len(fit.model.evaluate(frames)) == len(frames)
    # but not what no frame informed
    bare = fit_hierarchy([f for f in frames if len(f.elements) == 1], basis, executor=SERIAL).model.parameters
    assert bare.without_data == {"CCN": "zero"}
    assert "no coefficients for 1 pair (CN), 1 triplet (CNN)" in missing_notes([bare], "it")[0]
    assert isinstance(bare, Parameters)
