"""The ASE calculator says what the model says, in ASE's units and by ASE's rules, and MD with it conserves energy."""

from __future__ import annotations

import importlib
import json
import pickle
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from synthetic import random_frame, random_parameters, small_basis

from hiertl_dist import Calculator, Model, read_frames
from hiertl_dist.errors import FrameError, MismatchError, ParameterFileError
from hiertl_dist.model.parameters import Parameters, Penalty
from hiertl_dist.model.solution import Solution
from hiertl_dist.units import EV

ase = pytest.importorskip("ase")

BASIS = small_basis()
TRUTH = random_parameters(BASIS, 3)
FRAME = random_frame(("C", "N"), 5)


def atoms_of(frame=FRAME, calc=None, pbc=True):
    """A frame as ASE's Atoms."""
    return ase.Atoms(list(frame.species), frame.positions, cell=frame.cell, pbc=pbc, calculator=calc)


def part(*blocks):
    """The true model of some blocks."""
    return TRUTH.restricted(set(blocks))


def known(model, frame=FRAME, **options):
    """Energy, forces and stress of a frame, by hand from the model's."""
    (found,) = model.evaluate(frame, **options)
    xx, yy, zz, xy, xz, yz = -found.stress / EV
    return found.energy / EV, found.forces / EV, np.array([xx, yy, zz, yz, xz, xy])


@pytest.fixture
def evaluations(monkeypatch):
    """The frames that models were asked to evaluate."""
    asked, evaluate = [], Model.evaluate

    def counted(model, frames, **options):
        asked.extend([frames] if not isinstance(frames, list) else frames)
        return evaluate(model, frames, **options)

    monkeypatch.setattr(Model, "evaluate", counted)
    return asked


# ---- numbers


def test_the_numbers_are_the_models_in_ase_units_and_order():
    atoms = atoms_of(calc=Calculator(TRUTH))
    energy, forces, stress = known(Model(TRUTH))
    assert atoms.get_potential_energy() == atoms.get_potential_energy(force_consistent=True) == energy
    np.testing.assert_array_equal(atoms.get_forces(), forces)
    np.testing.assert_allclose(atoms.get_stress(), stress, rtol=1e-15)


def test_forces_and_stress_are_the_derivatives_of_the_energy():
    fd = pytest.importorskip("ase.calculators.fd")
    atoms = atoms_of(calc=Calculator(TRUTH))
    atoms.set_cell(atoms.cell @ [[1, 0.03, 0.01], [0, 1, -0.04], [0, 0, 1]], scale_atoms=True)
    forces, stress = atoms.get_forces(), atoms.get_stress()
    numerical = fd.calculate_numerical_forces(atoms, eps=1e-5, iatoms=[0, 7])
    np.testing.assert_allclose(numerical, forces[[0, 7]], atol=1e-6 * np.abs(forces).max())
    numerical = fd.calculate_numerical_stress(atoms, eps=1e-5)
    np.testing.assert_allclose(numerical, stress, atol=1e-6 * np.abs(stress).max())


def test_the_repulsion_of_nuclei_is_added_if_asked_for():
    fd = pytest.importorskip("ase.calculators.fd")
    far = replace(TRUTH, coverage={"CN:CC": (2.4, 5.0), "CN:CN": (2.3, 5.0), "CN:NN": (2.2, 5.0)})
    atoms, plain = (atoms_of(calc=Calculator(far, extrapolation="record", zbl=z)) for z in (True, False))
    assert atoms.get_potential_energy() > plain.get_potential_energy()
    forces, stress = atoms.get_forces(), atoms.get_stress()
    assert np.abs(forces - plain.get_forces()).max() > 1.0
    numerical = fd.calculate_numerical_forces(atoms, eps=1e-5, iatoms=[0, 7])
    np.testing.assert_allclose(numerical, forces[[0, 7]], atol=1e-6 * np.abs(forces).max())
    np.testing.assert_allclose(fd.calculate_numerical_stress(atoms, eps=1e-5), stress, atol=1e-6 * np.abs(stress).max())
    assert atoms.calc.todict()["zbl"] is True
    with pytest.raises(TypeError, match="zbl: expected True or False, found 'yes'"):
        Calculator(TRUTH, zbl="yes")


def test_a_molecule_has_no_stress_and_is_not_calculated_again_to_say_so(evaluations):
    from ase.calculators.calculator import PropertyNotImplementedError

    atoms = atoms_of(calc=Calculator(TRUTH), pbc=False)
    alone = replace(FRAME, cell=None, pbc=None, stress=None)
    energy, forces, _ = known(Model(TRUTH), alone)
    assert atoms.get_potential_energy() == energy
    np.testing.assert_array_equal(atoms.get_forces(), forces)
    before = len(evaluations)
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()
    assert len(evaluations) == before


@pytest.mark.shared
@pytest.mark.parametrize("name", ["C", "N", "ALC-3"])
def test_published_models_equal_chimes_calculator(shared, name):
    frame = read_frames(shared / "cn_dft" / "20.3percN_3.5gcc.xyzf")[0]
    file = shared / "cn_dft" / f"{name}.params.txt{'' if name == 'ALC-3' else '.reduced'}"
    atoms = atoms_of(frame, Calculator(file, ignore_other_elements=True, missing="zero"))
    with np.load(shared / "reference" / "oracle" / f"{name}_frame0.npz") as oracle:
        energy, stress = float(oracle["energy"]) / EV, -oracle["stress"] / EV
        forces = np.zeros((len(atoms), 3))
        forces[oracle["atom_index"]] = oracle["forces"] / EV
    assert atoms.get_potential_energy() == pytest.approx(energy, rel=1e-6)
    np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-6 * np.abs(forces).max())
    np.testing.assert_allclose(atoms.get_stress(voigt=False), stress, atol=1e-6 * np.abs(stress).max())


# ---- what it is made from


def solution(parameters):
    """A solution that holds these parameters."""
    return Solution(parameters, "CN", ("CN",), {}, {"kind": "none"}, {}, "lsq", "rfactor", 1, 1.0, 1, 1, 0.0)


def test_parts_of_every_kind_are_added_up(tmp_path):
    Model(part("C")).write(tmp_path / "C.params.txt")
    solution(part("N")).save(tmp_path / "N.npz")
    atoms = atoms_of(calc=Calculator([tmp_path / "C.params.txt", str(tmp_path / "N.npz"), solution(part("CN"))]))
    energy, forces, _ = known(Model(TRUTH))
    assert atoms.get_potential_energy() == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(atoms.get_forces(), forces, rtol=1e-9, atol=1e-9)


def test_a_model_is_taken_as_it_is():
    model = Model(TRUTH)
    assert Calculator(model).model is model
    assert Calculator([model]).model.parameters is TRUTH


def test_parts_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(MismatchError, match=r"type CC is in .*--add .*overlap='add'.*Model.merge has the options"):
        Calculator([part("C"), Model(part("C", "N"))])
    with pytest.raises(TypeError, match="expected a Model, Parameters, Solution or a path, found int"):
        Calculator([part("C"), 3])
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ParameterFileError, match=r"empty\.txt"):
        Calculator(tmp_path / "empty.txt")


# ---- what it refuses


@pytest.mark.parametrize("builtin", [ValueError, RuntimeError, FrameError])
def test_atoms_that_a_frame_cannot_be_are_refused_as_errors_of_ase_too(builtin):
    atoms = atoms_of(calc=Calculator(TRUTH))
    atoms.positions[1] = atoms.positions[0]
    with pytest.raises(builtin, match=r"atoms C\d+N\d+: atoms 0 \(\w\) and 1 \(\w\) coincide"):
        atoms.get_potential_energy()


def test_other_elements_are_refused_or_left_out_as_asked():
    from ase.calculators.calculator import CalculatorSetupError

    carbon = part("C").basis.restricted({"C"})
    model = Model(Parameters(carbon, part("C").coefficients))
    atoms = atoms_of(calc=Calculator(model))
    with pytest.raises(CalculatorSetupError, match=r"elements C, the frame also N; .*ignore_other_elements=True"):
        atoms.get_forces()
    atoms.calc.set(ignore_other_elements=True)
    energy, forces, _ = known(model, ignore_other_elements=True)
    assert atoms.get_potential_energy() == energy
    np.testing.assert_array_equal(atoms.get_forces(), forces)
    assert not atoms.get_forces()[atoms.numbers == 7].any()


@pytest.mark.parametrize("policy", ["damp", "lsq", "refuse"])
def test_pairs_inside_an_inner_cutoff(policy):
    positions = FRAME.positions.copy()
    positions[1] = positions[0] + [0.0, 0.0, 0.8]
    close = replace(FRAME, positions=positions)
    atoms = atoms_of(close, Calculator(TRUTH, policy=policy))
    if policy == "refuse":
        with pytest.raises(ValueError, match=r"atoms C\d+N\d+: atoms 0 \(\w\) and 1 .* inside the inner cutoff"):
            atoms.get_potential_energy()
    else:
        assert atoms.get_potential_energy() == known(Model(TRUTH), close, policy=policy)[0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"policy": "hope"}, ValueError, "policy for pairs inside .* found 'hope'"),
        ({"policy": "skip_frame"}, ValueError, "skip_frame"),
        ({"extrapolation": "cheer"}, ValueError, "extrapolation: expected one of .* found 'cheer'"),
        ({"skin": 1.0}, TypeError, r"found \['skin'\]"),
    ],
)
def test_wrong_options_are_refused_at_once(options, error, message):
    with pytest.raises(error, match=message):
        Calculator(TRUTH, **options)
    calc = Calculator(TRUTH)
    with pytest.raises(error, match=message):
        calc.set(**options)
    assert calc.parameters == Calculator.default_parameters


def test_without_ase_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "hiertl_dist.calculator")
    monkeypatch.setitem(sys.modules, "ase.calculators", None)
    with pytest.raises(ImportError, match=r"pip install 'hiertl-dist\[ase\]'"):
        importlib.import_module("hiertl_dist.calculator")


# ---- extrapolation


@pytest.fixture
def narrow():
    """The true model, fitted on CN distances of 2.0 to 2.1 Å, they say."""
    return replace(TRUTH, coverage={"CN:CN": (2.0, 2.1)})


def test_extrapolation_is_warned_of_once_and_counted(narrow, recwarn):
    atoms = atoms_of(calc=Calculator(narrow))
    for _ in range(3):
        atoms.get_potential_energy()
        atoms.rattle(1e-3, rng=np.random.default_rng(1))
    shorter, longer = (str(w.message) for w in recwarn)
    assert re.match(r"atoms C\d+N\d+: CN 1\.\d+ Å .* shorter than any it was fitted on .*; said once", shorter)
    assert "CN" in longer
    assert "longer than any" in longer
    assert atoms.calc.extrapolated == {("CN", "shorter"): 3, ("CN", "longer"): 3}
    assert [p.pair for p in atoms.calc.out_of_range] == ["CN", "CN"]


def test_extrapolation_can_be_recorded_in_silence_or_refused(narrow):
    atoms = atoms_of(calc=Calculator(narrow, extrapolation="record"))
    atoms.get_potential_energy()
    assert len(atoms.calc.out_of_range) == 2
    atoms.calc.set(extrapolation="refuse")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"atoms C\d+N\d+: CN .* shorter than any .*2 such pairs of elements"):
            atoms.get_forces()


# ---- ASE's rules


def test_it_calculates_when_something_has_changed_and_only_then(evaluations):
    atoms = atoms_of(calc=Calculator(TRUTH))
    first = atoms.get_forces()
    atoms.get_stress()
    atoms.get_potential_energy()
    atoms.set_initial_charges(np.ones(len(atoms)))
    atoms.set_velocities(np.ones((len(atoms), 3)))
    atoms.get_forces()
    assert len(evaluations) == 1
    for change in (
        lambda: atoms.rattle(0.01, seed=1), lambda: atoms.set_cell(atoms.cell * 1.01),
        lambda: atoms.set_chemical_symbols(atoms.get_chemical_symbols()[::-1]), lambda: atoms.set_pbc(False),
        lambda: atoms.calc.set(policy="lsq"),
    ):  # fmt: skip
        before = len(evaluations)
        change()
        atoms.get_potential_energy()
        assert len(evaluations) == before + 1
    assert atoms.calc.set(policy="lsq") == {}
    first[:] = 0.0
    assert atoms.get_forces().any()


def test_threads_are_the_models_business(monkeypatch):
    asked, evaluate = [], Model.evaluate

    def threaded(model, frames, *, threads=1, **options):
        asked.append(threads)
        return evaluate(model, frames, **options)

    monkeypatch.setattr(Model, "evaluate", threaded)
    threaded_energy = atoms_of(calc=Calculator(TRUTH, threads=2)).get_potential_energy()
    assert threaded_energy == pytest.approx(known(Model(TRUTH))[0], rel=1e-12)
    assert set(asked) == {1, 2}


def test_it_pickles_with_its_results(evaluations):
    calc = Calculator(TRUTH, policy="lsq", extrapolation="record")
    atoms = pickle.loads(pickle.dumps(atoms_of(calc=calc)))
    assert atoms.get_potential_energy() == known(Model(TRUTH), policy="lsq")[0]
    again = pickle.loads(pickle.dumps(atoms))
    before = len(evaluations)
    assert again.get_potential_energy() == atoms.get_potential_energy()
    assert len(evaluations) == before


def test_trajectories_and_databases_say_which_model(tmp_path):
    from ase.db import connect
    from ase.io import read, write

    atoms = atoms_of(calc=Calculator(TRUTH, policy="lsq"))
    energy = atoms.get_potential_energy()
    assert atoms.get_stress().any()
    expected = {"source": "truth 3", "digest": TRUTH.digest, "elements": ["C", "N"], "policy": "lsq"}
    assert json.loads(json.dumps(atoms.calc.todict())) == expected
    with connect(tmp_path / "a.db") as db:
        db.write(atoms)
    (row,) = db.select()
    assert (row.calculator, row.energy) == ("hiertl_dist", energy)
    assert row.calculator_parameters == expected
    for name in ("a.traj", "a.extxyz"):
        write(tmp_path / name, atoms)
        np.testing.assert_allclose(read(tmp_path / name).get_stress(), atoms.get_stress(), atol=1e-7)
    assert read(tmp_path / "a.traj").calc.name == "hiertl_dist"


# ---- what ASE does with it


def bound_atoms(strength):
    """Atoms at rest in the true model, made stronger, with a wall that keeps them apart."""
    parameters = replace(TRUTH, coefficients=strength * TRUTH.coefficients, penalty=Penalty(1e4, 0.3))
    return atoms_of(calc=Calculator(parameters))


def test_dynamics_conserves_energy():
    from ase import units
    from ase.md.verlet import VelocityVerlet

    drift = []
    for step in (2.0, 1.0):
        atoms, found = bound_atoms(3), []
        dynamics = VelocityVerlet(atoms, timestep=step * units.fs)
        dynamics.attach(lambda a=atoms, f=found: f.append((a.get_total_energy(), a.get_kinetic_energy())))
        dynamics.run(int(60 / step))
        total, kinetic = np.array(found).T
        drift.append(np.abs(total - total[0]).max())
    assert kinetic.max() > 0.2
    assert drift[1] < 0.01 * kinetic.max()
    # the integrator's error falls with the square of the step; that of wrong forces would not
    assert 0.2 < drift[1] / drift[0] < 0.3


@pytest.mark.parametrize("cell", [False, True], ids=["positions", "cell"])
def test_relaxation_goes_downhill_to_rest(cell):
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    atoms = bound_atoms(10)
    before, stress = atoms.get_potential_energy(), np.abs(atoms.get_stress()).max()
    assert BFGS(FrechetCellFilter(atoms) if cell else atoms, logfile=None).run(fmax=0.3, steps=200)
    assert atoms.get_potential_energy() < before - 2.0
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 0.3
    if cell:
        assert np.abs(atoms.get_stress()).max() < 0.1 * stress
