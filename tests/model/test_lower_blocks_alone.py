"""A block that lacks terms of a number of atoms that its lower blocks have is told of, before a fit and after it."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from job_files import write_job
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist import (
    Basis,
    Calculator,
    FitSettings,
    HierarchyOptions,
    HiertlWarning,
    MissingTypesError,
    Model,
    fit_all_at_once,
    fit_block,
    fit_hierarchy,
)
from hiertl_dist.cli import commands as cli
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting.lattice_rows import uninformed_notes
from hiertl_dist.frames.element_set import ElementSet
from hiertl_dist.model.missing_types import stated_zeros

WHOLE = small_basis((3, 2, 0))
TRUTH = random_parameters(WHOLE, seed=2)
C, N = TRUTH.restricted({"C"}), TRUTH.restricted({"N"})
CN = ElementSet.parse("CN")
TOLD = "and its lower blocks have "
SERIAL = SerialExecutor()
ABSENT = "nothing has terms of 1 pair (CN), 2 triplets (CCN, CNN) (blocks CN), and their lower blocks have "
FRAMES = labelled(random_frames({"C": 3, "N": 3, "CN": 2}), TRUTH)


def bare():
    """The basis without mixed triplets."""
    return replace(WHOLE, types=tuple(t for t in WHOLE.types if t.body == 2 or len(set(t.elements)) == 1))


def without_triplets(one):
    return replace(one, coefficients=np.where([len(c.elements) > 2 for c in one.columns], 0.0, one.coefficients))


def told(notes):
    return [n for n in notes if TOLD in n]


@pytest.mark.parametrize("way", ["refuse", "zero", "mixed"])
def test_before_a_fit(way):
    (note,) = told(uninformed_notes(bare(), {CN}, [C, N], way=way))
    assert note.startswith("WARNING: ")
    assert "CN has no CCN, CNN, and its lower blocks have CCC, NNN: " in note
    assert not told(uninformed_notes(WHOLE, {CN}, [C, N], way=way))
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
    notes = told(fit_block(frames, basis, "CN", frozen=frozen, executor=SERIAL).solution.notes)
    assert [n.partition(TOLD)[2].partition(":")[0] for n in notes] == ([expected] if expected else [])


@pytest.mark.parametrize("how", ["all at once", "free"])
def test_blocks_that_are_fitted_together(how):
    frames = labelled(random_frames({"C": 3, "N": 3, "CN": 4}), TRUTH)
    if how == "free":
        solution = fit_block(frames, bare(), "CN", frozen=[N], free=["C"], executor=SERIAL).solution
    else:
        solution = fit_all_at_once(frames, bare(), executor=SERIAL).solution
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


def apart():
    """The basis without the cross block."""
    return replace(WHOLE, types=tuple(t for t in WHOLE.types if len(set(t.elements)) == 1))


def absences(notes):
    return [n for n in notes if "nothing has terms of " in n]


@pytest.mark.parametrize(
    ("way", "says"),
    [("refuse", "refuses frames that have such clusters"), ("zero", "they are zero in the model"), ("mixed", "only")],
)
def test_before_a_fit_a_cross_block_that_is_absent_as_a_whole(way, says):
    both = {ElementSet.parse("C"), ElementSet.parse("N")}
    (note,) = absences(uninformed_notes(apart(), both, [], way=way))
    assert note.startswith(f"WARNING: {ABSENT}CC, NN, CCC, NNN: ")
    assert says in note
    assert absences(uninformed_notes(apart(), set(), [C, N], way=way)) == [note]
    # one that is there, if only without frames; an element alone; lower blocks without such terms
    assert not absences(uninformed_notes(WHOLE, both, [], way=way))
    assert not absences(uninformed_notes(apart(), {ElementSet.parse("C")}, [], way=way))
    ones = WHOLE.with_types(t for t in WHOLE.types if t.body == 1)
    assert not absences(uninformed_notes(ones, both, [], way=way))


def test_pairs_of_a_ternary_that_is_not_fitted():
    three = small_basis((3, 2, 0), ("C", "N", "O"))
    bare = three.with_types(t for t in three.types if t.block != "CN")
    wanted = {t.block for t in bare.types}
    (note,) = absences(uninformed_notes(bare, wanted, []))
    assert "1 pair (CN), 2 triplets (CCN, CNN) (blocks CN)" in note
    (note,) = absences(uninformed_notes(three.with_types(t for t in three.types if t.name != "CNO"), wanted, []))
    assert "nothing has terms of 1 triplet (CNO) (blocks CNO)" in note


def test_a_model_without_a_cross_block_refuses_its_frames():
    said = []
    fit = fit_hierarchy(FRAMES, apart(), executor=SERIAL, tell=said.append)
    assert len(absences(said)) == 1
    assert fit.model.parameters.without_data == {}
    with pytest.raises(MissingTypesError, match=r"1 pair \(CN\), 2 triplets"):
        fit.model.evaluate(FRAMES)
    together = fit_all_at_once(FRAMES, apart(), executor=SERIAL).solution
    with pytest.raises(MissingTypesError, match="CN"):
        Model(together.parameters).evaluate(FRAMES)


def test_clusters_of_an_absent_block_that_no_lower_block_has_lack_nothing():
    three = small_basis((3, 2, 0), ("C", "N", "O"))
    bare = three.with_types(t for t in three.types if t.block != "NO" and (t.body < 3 or t.name == "CCC"))
    frames = labelled(
        random_frames({"C": 2, "N": 2, "O": 2, "CN": 2, "CO": 2, "NO": 1}), random_parameters(three, seed=2)
    )
    of = {str(f.element_set): f for f in frames}
    said = []
    model = fit_hierarchy(frames, bare, executor=SERIAL, tell=said.append).model
    assert "nothing has terms of 1 pair (NO), 1 triplet (CNO) (blocks CNO, NO)" in absences(said)[0]
    with pytest.raises(MissingTypesError, match=r"none for 1 pair \(NO\); NO occurs"):
        model.evaluate([of["NO"]])
    zero = fit_hierarchy(frames, bare, options=HierarchyOptions(missing="zero"), executor=SERIAL).model
    stated = set(map("".join, stated_zeros([zero.parameters])))
    assert stated == {"CCN", "CCO", "CNN", "COO", "CNO", "NO"}
    assert len(zero.evaluate(frames)) == len(frames)
    calculator = Calculator(zero)
    atoms = pytest.importorskip("ase").Atoms("N3", [[0.0, 0, 0], [1.5, 0, 0], [0, 1.5, 0]], calculator=calculator)
    with warnings.catch_warnings():  # nitrogen has no triplets, and lacks none
        warnings.simplefilter("error")
        atoms.get_potential_energy()


def test_lower_blocks_without_coefficients_ask_for_none():
    nothing = FitSettings({"kind": "lasso", "lam": 1e9})
    fit = fit_hierarchy(FRAMES, apart(), options=HierarchyOptions(nothing, missing="zero"), executor=SERIAL)
    assert set(fit.model.parameters.without_data) == {"CN", "CCN", "CNN"}
    assert stated_zeros([fit.model.parameters]) == []
    assert len(fit.model.evaluate(FRAMES)) == len(FRAMES)


def test_one_that_was_asked_to_be_zero_says_so():
    said = []
    fit = fit_hierarchy(FRAMES, apart(), options=HierarchyOptions(missing="zero"), executor=SERIAL, tell=said.append)
    assert 'they are zero in the model, as missing = "zero" says' in absences(said)[0]
    assert fit.model.parameters.without_data == {"CN": "zero", "CCN": "zero", "CNN": "zero"}
    assert len(fit.model.evaluate(FRAMES)) == len(FRAMES)
    atoms = pytest.importorskip("ase").Atoms("CN", [[0.0, 0, 0], [1.5, 0, 0]])
    atoms.calc = Calculator(fit.model)
    with pytest.warns(HiertlWarning, match=r"count for nothing, .*on purpose: 1 pair \(CN\)"):
        atoms.get_potential_energy()
    atoms.rattle()
    with warnings.catch_warnings():  # once, and not where it was said
        warnings.simplefilter("error")
        atoms.get_potential_energy()
        atoms.calc = Calculator(fit.model, missing="zero")
        atoms.get_potential_energy()
        atoms.positions[1, 0] = 9.0  # nor where no such cluster is met
        atoms.calc = Calculator(fit.model)
        atoms.get_potential_energy()


def test_commands_say_it(tmp_path, capsys):
    path = write_job(tmp_path, FRAMES, basis=apart().to_dict(), output={"folder": "results"})
    assert cli.main(["plan", str(path), "--executor", "serial"]) == 0
    assert ABSENT in capsys.readouterr().out
    assert cli.main(["fit", str(path), "--executor", "serial"]) == 0
    printed = capsys.readouterr().out
    types = "1 pair (CN), 2 triplets (CCN, CNN)"
    assert f"\nfitted frames ({types}, no coefficients: count for nothing)\n" in printed
    summary = printed.partition("\nwhat was warned of\n")[2]
    assert f"WARNING: the hierarchical model has no coefficients for {types}" in summary
    stated = ["merge", str(tmp_path / "results" / "model.params.txt"), "-o", str(tmp_path / "stated.txt")]
    assert cli.main([*stated, "--missing", "zero"]) == 0
    capsys.readouterr()
    assert (
        cli.main(
            [
                "evaluate",
                str(tmp_path / "stated.txt"),
                "--frames",
                str(tmp_path / "data.extxyz"),
                "--executor",
                "serial",
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert f"WARNING: the model is without terms of {types} on purpose, and these frames have them" in printed
    assert "left out: zero" in printed
    zero = Model(replace(TRUTH.with_types(apart().types), without_data={"CN": "zero"}))
    zero.write(tmp_path / "zero.txt")
    merged = ["merge", str(tmp_path / "zero.txt"), "-o", str(tmp_path / "merged.txt")]
    assert cli.main(merged) == 0
    said = capsys.readouterr().err
    assert "says that it is without terms of 1 pair (CN) on purpose" in said
    assert "no coefficients for 2 triplets (CCN, CNN)" in said
    assert cli.main([*merged, "--missing", "zero", "--overwrite"]) == 0
    said = capsys.readouterr().err
    assert "without terms of 1 pair (CN), 2 triplets (CCN, CNN) on purpose" in said
    assert "no coefficients" not in said
    whole = Model.read(tmp_path / "merged.txt")
    assert len(whole.evaluate(FRAMES)) == len(FRAMES)
    assert (
        cli.main(["tabulate", str(tmp_path / "merged.txt"), "-o", str(tmp_path / "tables"), "--tolerance", "0.5"]) == 0
    )
    assert "on purpose" in capsys.readouterr().err
