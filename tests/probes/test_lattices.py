"""Probe structures of ideal lattices, and by molecular dynamics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import random_frame, small_basis

from hiertl_dist import Frame, FrameError, InputError, Model, lattice_frames, md_frames
from hiertl_dist.model.parameters import Parameters
from hiertl_dist.probes.contacts import closest_contacts
from hiertl_dist.probes.lattice_volumes import lattice_volumes
from hiertl_dist.probes.lattices import LATTICES, ideal_lattice

SHELLS = {"bcc": (8, 6), "fcc": (12, 6), "hcp": (12, 6), "diamond": (4, 12)}


@pytest.mark.parametrize("name", LATTICES)
def test_lattices_have_their_shells(name):
    cell, positions = ideal_lattice(name, 10.0, 30)
    assert len(positions) >= 30
    assert np.linalg.det(cell) / len(positions) == pytest.approx(10.0)
    shifts = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T @ cell
    for place in positions:
        r = np.sort(np.linalg.norm((positions[:, None] + shifts - place).reshape(-1, 3), axis=1))[1:40]
        counts = np.unique(np.round(r, 8), return_counts=True)[1]
        assert tuple(counts[:2]) == SHELLS[name]


@settings(max_examples=12, deadline=None)
@given(
    st.sets(st.sampled_from(["Mo", "Nb", "W"]), min_size=1), st.integers(1, 7), st.integers(0, 1000),
    st.sampled_from([0.0, 0.05]),
)  # fmt: skip
def test_probes_of_lattices(elements, count, seed, strain):
    volumes = {"Mo": 15.9, "Nb": 18.3, "W": 16.2}
    made = lattice_frames(elements, count, volumes, seed=seed, strain=strain, lattices=["bcc", "diamond"])
    assert len(made.frames) == count
    kinds = [s.origin for s in made.sources]
    assert abs(kinds.count("bcc") - kinds.count("diamond")) <= 1
    for frame in made.frames:
        assert frame.elements == set(elements)
        assert frame.energy is frame.forces is frame.stress is None
        mixed = sum(volumes[e] for e in frame.species) / len(frame)
        # three diagonal entries and three others of at most the strain
        assert frame.volume / len(frame) == pytest.approx(mixed, rel=4 * strain + 1e-9)
    assert made.notes == ("no shortest distance is known: contacts are not checked",)
    same, other = (lattice_frames(elements, count, volumes, seed=seed + k, strain=strain, lattices=["bcc", "diamond"])
                   for k in (0, 1))  # fmt: skip
    assert [f.digest for f in same.frames] == [f.digest for f in made.frames]
    assert {f.digest for f in other.frames}.isdisjoint(f.digest for f in made.frames)


def test_lattices_that_are_too_close():
    volumes = {"Mo": 15.9, "Nb": 15.9}
    made = lattice_frames("MoNb", 6, volumes, lattices=["bcc", "diamond"], strain=0.0, rattle=0.0,
                          shortest={"MoMo": 2.75, "NbNb": 2.75})  # fmt: skip
    # neighbours in bcc are 2.74 Å apart, in diamond 2.18
    assert {s.origin for s in made.sources} == {"bcc"}
    assert all(r >= 2.75 for f in made.frames for r in closest_contacts(f).values())
    assert made.notes[0].startswith("3 probes on diamond dropped: atoms would have to be moved apart")
    assert made.notes[1].startswith("3 probes stretched by up to 0.")
    with pytest.raises(InputError, match="lattices of MoNb: no probe could be made"):
        lattice_frames("MoNb", 2, volumes, shortest={"MoNb": 3.2})


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"lattices": ["sc"]}, r"expected lattices of bcc, fcc, hcp, diamond, found \['sc'\]"),
        ({"lattices": []}, "expected lattices of"),
        ({"strain": 0.4}, r"expected a strain from 0 to below 0\.3, found 0\.4"),
        ({"rattle": -1.0}, "expected a rattle of 0 Å or more"),
        ({"volumes": {"C": 5.7}}, "expected a volume of N above 0 Å³ an atom"),
    ],
)
def test_what_makes_no_lattices_is_refused(how, message):
    with pytest.raises(InputError, match=message):
        lattice_frames("CN", 2, **({"volumes": {"C": 5.7, "N": 7.0}} | how))


def well():
    """A two-body model whose energy falls with the distance, and then rises."""
    basis = small_basis((2, 0, 0), ("C",), rmin=0.8, rmax=2.5, three_body={"rmax": 2.5}, four_body={"rmax": 2.5})
    return Model(Parameters(basis, np.array([200.0, 20.0, 0.0]), source="well"))


def test_volumes_of_a_model():
    model = well()
    volume = lattice_volumes(model)["C"]

    def energy(lattice, v):
        cell, positions = ideal_lattice(lattice, v, 1)
        return model.evaluate(Frame(("C",) * len(positions), positions, cell))[0].energy / len(positions)

    lowest = min(("bcc", "fcc", "hcp"), key=lambda name: min(energy(name, volume * s) for s in (0.999, 1.0, 1.001)))
    assert all(energy(lowest, volume) <= energy(lowest, volume * s) for s in (0.97, 0.99, 1.01, 1.03))
    flat = Model(replace(model.parameters, coefficients=0.0 * model.parameters.coefficients, source="flat"))
    with pytest.raises(
        InputError, match="lattice_volumes: flat: no energy of bcc, fcc, hcp lattices of C has a minimum"
    ):
        lattice_volumes(flat)
    with pytest.raises(InputError, match="found sc"):
        lattice_volumes(model, lattices=["sc"])


def test_dynamics():
    pytest.importorskip("ase")
    from ase.calculators.morse import MorsePotential

    calculator = MorsePotential(epsilon=0.5, r0=2.5, rho0=4.0)
    start = lattice_frames(["Mo", "Nb"], 1, {"Mo": 11.0, "Nb": 11.0}, lattices=["fcc"], rattle=0.0, strain=0.0).frames[
        0
    ]
    made = md_frames(calculator, [start], [300.0, 900.0], steps=20, every=5, group="hot")
    assert len(made.frames) == 8
    for frame in made.frames:
        assert frame.species == start.species
        assert np.array_equal(frame.cell, start.cell)
        assert frame.group == "hot"
        assert frame.energy is frame.forces is frame.stress is None
    spread = [np.std(f.positions - start.positions) for f in made.frames]
    assert 0.0 < spread[0] < spread[4] < 0.5
    again, other = (md_frames(calculator, [start], [300.0], steps=5, every=5, seed=s) for s in (0, 1))
    assert np.array_equal(again.frames[0].positions, made.frames[0].positions)
    assert not np.array_equal(other.frames[0].positions, made.frames[0].positions)

    squeezed = replace(start, positions=0.7 * start.positions, cell=0.7 * start.cell, origin="squeezed")
    # no frame is taken of a run that explodes, and all of the other
    rattled = replace(squeezed, positions=squeezed.positions + np.random.default_rng(0).normal(0, 0.1, (16, 3)))
    made = md_frames(calculator, [rattled, start], [300.0], steps=10, every=5)
    assert len(made.frames) == 2
    assert any(note.startswith("squeezed at 300 K: stopped after ") and "atoms have" in note for note in made.notes)
    with pytest.raises(InputError, match=r"molecular dynamics of MoNb: no probe could be made: .*less than 2\.600 Å"):
        md_frames(calculator, [start], [300.0], steps=5, every=5, shortest={"MoNb": 2.6})
    with pytest.raises(InputError, match="expected a value of temperature 1 above 0 K, found 0"):
        md_frames(calculator, [start], [0])
    with pytest.raises(FrameError, match="CG1: molecular dynamics in ASE needs chemical elements"):
        md_frames(calculator, [replace(random_frame(("C",), 1), species=("CG1",) * 12, origin="CG1")], [300.0])
