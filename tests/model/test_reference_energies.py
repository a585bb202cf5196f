"""Energies of free atoms that are far from what labels tell, kinds of labels that a fit has not learned, and models
that know energies of free atoms in combinations alone: said, never taken without a word."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis, unchecked

from hiertl_dist import FitSettings, HierarchyOptions, Model, fit_hierarchy, solve, summarise, view
from hiertl_dist.errors import HiertlWarning, ParameterFileError
from hiertl_dist.evaluation.energies import read_parts
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting import unfitted_labels
from hiertl_dist.frames.frame_sequence import FrameList
from hiertl_dist.jobs.evaluate_job import EvaluationReport, evaluate_job
from hiertl_dist.model.one_body import energies_against_labels
from hiertl_dist.model.reference_energies import reference_notes
from hiertl_dist.model.solution import Solution
from hiertl_dist.model.undetermined import combined, is_determined
from hiertl_dist.units import EV

SERIAL = SerialExecutor()
BASIS = small_basis(orders=(4, 3, 0))
TRUTH = random_parameters(BASIS, seed=5)
ZERO = {"C": EV * -155.0, "N": EV * -270.0}
OFFSETS = {c.elements[0]: v for c, v in TRUTH.as_dict().items() if len(c.elements) == 1}
FRAMES = [
    replace(f, energy=f.energy + sum(ZERO[s] - OFFSETS[s] for s in f.species))
    for f in labelled(random_frames({"C": 12, "N": 12, "CN": 12}, atoms=9), TRUTH)
]
"""Their free atoms have the energies ``ZERO``."""


def climb(basis=BASIS, frames=FRAMES, frozen=(), **settings):
    told = []
    options = HierarchyOptions(FitSettings(**settings))
    fit = fit_hierarchy(frames, basis, frozen=frozen, options=options, executor=SERIAL, tell=told.append)
    return fit, told


def warned(fit):
    return {b: [n for n in f.solution.notes if n.startswith("WARNING")] for b, f in fit.fits.items()}


# ------------------------------------------------------------------------------------- far from the labels


@pytest.mark.parametrize(
    ("factor", "size", "unit"),
    [(EV, "large", "23.06 (one eV is 23.0605 kcal/mol)"), (1.0 / EV, "small", "23.06 (one eV is 23.0605 kcal/mol)"),
     (1.0 / 27.2114, "small", "27.21 (one Hartree is 27.2114 eV)"),
     (1.0 / 627.51, "small", "627.5 (one Hartree is 627.51 kcal/mol)"),
     (1.0 / 13.6057, "small", "13.61 (one Rydberg is 13.6057 eV)"),
     (96.485, "large", "96.49 (one eV is 96.485 kJ/mol)")],
)  # fmt: skip
def test_energies_in_another_unit_are_warned_of_by_name(factor, size, unit):
    fit, _ = climb(BASIS.with_energies({e: factor * x / EV for e, x in ZERO.items()}))
    for element in "CN":
        (said,) = [n for n in warned(fit)[element] if "free atoms" in n]
        assert unit in said
        assert f"as if the energies given were too {size}, or the labels too" in said
        assert f"{element} is given as" in said
        assert "the labels tell about -1" in said or "the labels tell about -2" in said
        (energy,) = [n for n in warned(fit)[element] if n.startswith("WARNING: energy:")]
        assert "count for next to nothing" in energy


@pytest.mark.parametrize(("zero", "ratio", "text"), [
    (-1036.0, 27.211386, "given were too large, or the labels too small, by 23.06 (one eV is 23.0605 kcal/mol) or "
     "27.21 (one Hartree is 27.2114 eV)"),
    (-155.0, 1.0 / EV, "given were too small, or the labels too large, by 23.06 (one eV is 23.0605 kcal/mol)"),
    (-155.0, 1.0 / 96.485, "given were too small, or the labels too large, by 96.49 (one eV is 96.485 kJ/mol)"),
])  # fmt: skip
def test_labels_in_another_unit_are_no_reason_to_change_right_energies(zero, ratio, text):
    """Labels are read as eV and are Hartree, kcal/mol or kJ/mol; the energies given are right."""
    labels = 8.0 * (zero - 8.0) / ratio
    (said,) = reference_notes(
        np.array([[8.0]]), EV * np.array([labels]), ["C"], given={"C": EV * zero}, frozen={}, fitted=(), where="x"
    )  # fmt: skip
    assert text in said
    assert "the unit of either may be another than it was read in" in said
    assert "and of the energy labels" in said
    assert "read as" not in said
    assert "say unit" not in said


@pytest.mark.parametrize("binding", [-1.0, 0.0, 4.0, 10.0])
@pytest.mark.parametrize("zero", [-13.6, -155.0, -4.0e4])
def test_energies_of_isolated_atoms_are_not_warned_of(binding, zero):
    """Binding of so many eV an atom, valence electrons or all of them, one composition or several."""
    counts = np.array([[4.0, 0.0], [0.0, 4.0], [4.0, 4.0], [2.0, 6.0]])
    atoms = np.array([zero, 1.7 * zero])
    energies = EV * (counts @ atoms - binding * counts.sum(axis=1))
    given = {"C": EV * zero, "N": EV * 1.7 * zero}
    for used in (slice(0, 2), slice(2, 3), slice(0, 4)):
        for basis, frozen in ((given, {}), ({}, given)):
            notes = reference_notes(
                counts[used], energies[used], ["C", "N"], given=basis, frozen=frozen, fitted=(), where="x"
            )
            assert notes == ()


def test_only_elements_that_are_far_are_named_and_only_as_far_as_compositions_tell():
    counts, energies = np.array([[4.0, 0.0], [2.0, 2.0]]), EV * np.array([-640.0, -870.0])
    given = {"C": EV * -155.0, "N": EV * -100.0}

    def notes(used, **how):
        return reference_notes(counts[used], energies[used], ["C", "N"], **{
            "given": given, "frozen": {}, "fitted": (), "where": "x", **how})  # fmt: skip

    (said,) = notes(slice(0, 2))
    assert "N is given as -100" in said
    assert "labels tell about -275" in said
    assert "C is" not in said
    assert "tell about" not in notes(slice(1, 2))[0]
    assert "do not tell apart" in notes(slice(1, 2))[0]
    assert notes(slice(0, 1)) == ()
    # what is fitted may be anything
    assert notes(slice(0, 2), given={"C": given["C"]}, fitted=["N"]) == ()
    (said,) = notes(slice(0, 2), given={}, frozen={"C": given["C"]})
    assert "N has none, which is 0" in said


def test_models_without_energies_of_free_atoms_are_warned_of_where_labels_have_them():
    basis = BASIS.with_types(t for t in BASIS.types if t.body > 1)
    fit, _ = climb(basis)
    assert any("C has none, which is 0" in n for n in warned(fit)["C"])
    assert any(n.startswith("WARNING: energy:") for n in warned(fit)["CN"])


# -------------------------------------------------------------------------------------------- not learned


def test_a_fit_that_goes_well_is_not_warned_of():
    fit, _ = climb()
    assert set(map(tuple, warned(fit).values())) == {()}
    found = solve(view(summarise(FRAMES, BASIS, folds=None, executor=SERIAL)), {"kind": "ridge", "alpha": 1e-6})
    assert not [n for n in found.notes if n.startswith("WARNING")]


def test_energies_a_few_ev_off_are_warned_of():
    """Less than binding could be, but the model can't describe them: in a climb and in a view alike."""
    off = BASIS.with_energies({e: x / EV + 5.0 for e, x in ZERO.items()})
    fit, _ = climb(off)
    for said in warned(fit).values():
        assert [n.split(":")[1] for n in said] == [" energy"]
    found = solve(view(summarise(FRAMES, off, folds=None, executor=SERIAL)), {"kind": "ridge", "alpha": 1e-6})
    (said,) = [n for n in found.notes if n.startswith("WARNING")]
    assert said.startswith("WARNING: energy: the fit of CN leaves")
    assert "count for next to nothing" in said


@pytest.mark.parametrize("weights", ["auto", {"stress": 0.1}])
def test_stresses_that_say_nothing_are_warned_of(weights):
    rng = np.random.default_rng(0)
    frames = [replace(f, stress=rng.normal(size=6)) for f in FRAMES]
    fit, _ = climb(frames=frames, weights=weights)
    assert any(n.startswith("WARNING: stress:") for n in warned(fit)["CN"])
    assert not any(n.startswith(("WARNING: force:", "WARNING: energy:")) for own in warned(fit).values() for n in own)
    found = solve(
        view(summarise(frames, BASIS, folds=None, executor=SERIAL), weights=weights), {"kind": "ridge", "alpha": 1e-6}
    )
    assert any(n.startswith("WARNING: stress:") for n in found.notes)
    # left out on purpose
    fit, _ = climb(frames=frames, weights={"stress": 0.0})
    assert not any(n.startswith("WARNING: stress:") for own in warned(fit).values() for n in own)


def test_the_spread_of_stresses_is_about_the_mean_of_each_component(monkeypatch):
    monkeypatch.setattr(unfitted_labels, "FRAMES", 4)
    rng = np.random.default_rng(1)
    frames = [replace(f, stress=1e3 + rng.normal(size=6)) for f in FRAMES[:11]]
    frames[3] = replace(frames[3], stress=np.array([1e3, np.nan, 0.0, np.nan, np.nan, np.nan]))
    frames[6] = replace(frames[6], stress=None)
    spread, freedom, _ = unfitted_labels.label_spread("stress", FrameList(frames))
    stresses = np.array([f.stress for f in frames if f.stress is not None])
    assert freedom == np.isfinite(stresses).sum() - 6
    rest = stresses - np.nanmean(stresses, axis=0)
    assert spread == pytest.approx(np.sqrt(np.nansum(rest**2) / freedom), rel=1e-9)
    assert np.isnan(unfitted_labels.label_spread("stress", FrameList([frames[6]]))[0])


# ------------------------------------------------------------------------------------------ weight of zero


def test_notes_are_true_where_energies_have_weight_zero():
    fit, told = climb(weights={"energy": 0.0})
    for block, own in fit.fits.items():
        notes = own.solution.notes
        assert any(f"left open: energies have weight 0 in the fit of {block};" in n for n in notes)
        assert not any("fitted here" in n or "no frame of" in n for n in notes)
    (said,) = [line for line in told if "not determined by any frame" in line]
    assert "other compositions" not in said
    lower = view(summarise(FRAMES, BASIS, folds=None, executor=SERIAL), weights={"energy": 0.0})
    notes = solve(lower, {"kind": "ridge", "alpha": 1e-3}).notes
    assert any("energies have weight 0" in n for n in notes)
    assert not any("as was asked for" in n or "fitted here" in n for n in notes)


# ----------------------------------------------------------------------------------- combinations alone


@pytest.fixture(scope="module")
def partly():
    """A climb of which the energies of C and N are known in one combination: four of one and five of the other."""
    frames = labelled(random_frames({"C": 8, "N": 8, "CN": 60}, atoms=9), TRUTH)
    frames = [f.without_labels(energy=True) if len(f.elements) == 1 else f for f in frames]
    return climb(frames=[f for f in frames if len(f.elements) < 2 or f.species.count("C") == 4])


def test_a_combination_goes_through_files_parts_and_sums(partly, tmp_path):
    fit, told = partly
    assert any("C, N are not determined by any frame one by one, but in combination" in line for line in told)
    model = fit.model
    for species, known in (("CCCCNNNNN", True), ("C", False), ("CN", False), ("CCCCNNNNN" * 2, True)):
        assert is_determined(model.parameters.undetermined, Counter(species)) == known
    model.write(tmp_path / "model.params.txt")
    assert read_parts(tmp_path / "model.params.txt").undetermined == model.parameters.undetermined
    solution = fit.fits["CN"].solution
    solution.save(tmp_path / "CN.npz")
    read = Solution.load(tmp_path / "CN.npz").parameters
    assert read.undetermined == solution.parameters.undetermined == model.parameters.undetermined
    assert any("combinations are known" in n for n in read.notes)
    parts = [Model(f.solution.parameters) for f in fit.fits.values()]
    assert Model.merge(parts).parameters.undetermined == model.parameters.undetermined
    assert combined(read.restricted({"CN", "C"}).undetermined) == ({"C": 1.0},) or combined(
        read.restricted({"CN", "C"}).undetermined
    ) == ({"C": -1.0},)
    assert read.restricted({"CN"}).undetermined == ()
    text = (tmp_path / "model.params.txt").read_text()
    for bad in ("Xx 1 N 1", "C 0 N 0", "C 0.0", "C 1 C 2", "C nan N 1", "C", ""):
        (tmp_path / "bad.txt").write_text(re.sub("UNDETERMINED_ENERGIES: .*", f"UNDETERMINED_ENERGIES: {bad}", text))
        with pytest.raises(ParameterFileError, match="UNDETERMINED_ENERGIES: elements of the file, each once with a"):
            Model.read(tmp_path / "bad.txt")


def test_files_that_have_the_names_of_before_are_read(partly, tmp_path):
    fit = partly[0]
    expected = fit.model.parameters.undetermined
    fit.model.write(tmp_path / "model.params.txt")
    text = (tmp_path / "model.params.txt").read_text()
    (tmp_path / "before.params.txt").write_text(unchecked(text).replace("UNDETERMINED_ENERGIES:", "UNTOLD:"))
    assert Model.read(tmp_path / "before.params.txt").parameters.undetermined == expected
    fit.fits["CN"].solution.save(tmp_path / "CN.npz")
    with np.load(tmp_path / "CN.npz") as data:
        coefficients, meta = data["coefficients"], str(data["meta"])
    assert '"undetermined": ' in meta
    meta = meta.replace('"undetermined": ', '"untold": ')
    np.savez(tmp_path / "before.npz", coefficients=coefficients, meta=np.array(meta))
    assert Solution.load(tmp_path / "before.npz").parameters.undetermined == expected


def test_evaluate_counts_the_frames_that_a_combination_does_not_cover(partly):
    model = partly[0].model
    covered = [f for f in FRAMES if Counter(f.species) == Counter("CCCCNNNNN")]
    report = evaluate_job([model], FRAMES, SERIAL)
    assert (report.undetermined, report.undetermined_frames) == (("C", "N"), len(FRAMES) - len(covered))
    assert "WARNING: of the energies of free atoms of C, N the files know combinations alone" in report.text("eV")
    assert "combinations alone" not in evaluate_job([Model(TRUTH)], FRAMES, SERIAL).text("eV")
    assert isinstance(report, EvaluationReport)


def test_a_fit_upon_a_combination_says_so(partly):
    model = partly[0].model.parameters
    frames = labelled(FRAMES, TRUTH)
    (said,) = energies_against_labels(frames, {}, [model], (), "block CN")
    off = sum(Counter(f.species) != Counter("CCCCNNNNN") for f in frames)
    assert "WARNING: " in said
    assert "only combinations are known" in said
    assert f"{off} frames of block CN" in said
    covered = [f for f in labelled(random_frames({"CN": 60}, atoms=9), TRUTH) if f.species.count("C") == 4]
    assert covered
    assert energies_against_labels(covered, {}, [model], (), "block CN") == ()


def test_a_calculator_warns_once_of_energies_and_not_of_forces(partly, tmp_path):
    ase = pytest.importorskip("ase")
    from hiertl_dist import Calculator

    open_fit = partly[0]
    atoms = ase.Atoms("C2", [[0, 0, 0], [0, 0, 1.9]])
    for parameters, said in (
        (open_fit.model.parameters, "C, N only combinations"), (open_fit.fits["C"].solution.parameters, "atom of C"),
    ):  # fmt: skip
        atoms.calc = Calculator(parameters)
        with warnings.catch_warnings():
            warnings.simplefilter("error", HiertlWarning)
            atoms.get_forces()
        with pytest.warns(HiertlWarning, match=said):
            atoms.get_potential_energy()
        with warnings.catch_warnings():
            warnings.simplefilter("error", HiertlWarning)
            atoms.positions[1, 2] += 0.1
            atoms.get_potential_energy()
    atoms.calc = Calculator(TRUTH)
    with warnings.catch_warnings():
        warnings.simplefilter("error", HiertlWarning)
        atoms.get_potential_energy()
