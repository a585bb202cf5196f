"""Inputs of DFT programs, and their results: of the right frame, in any order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cycle_files import emt_atoms

from hiertl_dist import FrameError, InputError, frames_from_ase
from hiertl_dist.active_learning.dft_inputs import read_results, write_inputs
from hiertl_dist.active_learning.labelling import labelled_lines
from hiertl_dist.active_learning.steps import by_species
from hiertl_dist.jobs.cycle_settings import CycleLabel

ase_io = pytest.importorskip("ase.io")


@pytest.fixture
def frames():
    """Labelled frames of Au and Cu, atoms in the order of elements, and the same without labels."""
    given = frames_from_ase([emt_atoms(["Cu", "Au", "Cu", "Au"], a=3.85, seed=k) for k in range(2)])
    bare = [by_species(f) for f in given]
    order = [np.argsort(np.array(f.species), kind="stable") for f in given]
    labelled = [
        replace(b, energy=f.energy, forces=f.forces[o], stress=f.stress)
        for b, f, o in zip(bare, given, order, strict=True)
    ]
    assert bare[0].species == ("Au", "Au", "Cu", "Cu")
    assert bare[0].energy is None
    return bare, labelled


def test_vasp(frames, tmp_path, monkeypatch):
    monkeypatch.delenv("VASP_PP_PATH", raising=False)
    bare, _ = frames
    label = CycleLabel(code="vasp", options={"encut": 400, "xc": "pbe", "kpts": [3, 3, 3], "ismear": 1, "sigma": 0.1})
    notes = write_inputs(bare, label, tmp_path)
    assert notes[0].startswith("no POTCAR is written, and it must be put beside each POSCAR: ")
    assert "energy(sigma->0)" in notes[1]
    assert "vasprun.xml or OUTCAR is beside each" in notes[2]
    totals = write_inputs(bare, replace(label, energy_key="free_energy"), tmp_path)
    assert len(totals) == 2
    assert "sigma" not in "".join(totals)
    own = tmp_path / "frame_0001"
    read = ase_io.read(own / "POSCAR")
    np.testing.assert_allclose(read.get_positions(), bare[1].positions, atol=1e-9)
    assert tuple(read.get_chemical_symbols()) == bare[1].species
    incar = (own / "INCAR").read_text()
    assert "ENCUT = 400" in incar
    assert "ISMEAR = 1" in incar
    assert "3 3 3" in (own / "KPOINTS").read_text()
    with pytest.raises(InputError, match="ASE writes no input of vasp with the options"):
        write_inputs(bare, replace(label, options={"no_such_key": {}}), tmp_path)


@pytest.mark.filterwarnings("ignore:Loaded VASP_PP_PATH")
def test_vasp_with_potentials(frames, tmp_path, monkeypatch):
    bare, _ = frames
    for element in ("Au", "Cu"):
        folder = tmp_path / "pp" / "potpaw_PBE" / element
        folder.mkdir(parents=True)
        (folder / "POTCAR").write_text(f"potential of {element}\n")
    monkeypatch.setenv("VASP_PP_PATH", str(tmp_path / "pp"))
    notes = write_inputs(bare, CycleLabel(code="vasp", options={"xc": "pbe", "kpts": [1, 1, 1]}), tmp_path / "inputs")
    assert len(notes) == 2
    assert (tmp_path / "inputs" / "frame_0000" / "POTCAR").read_text() == "potential of Au\npotential of Cu\n"


def test_espresso(frames, tmp_path):
    bare, _ = frames
    options = {"pseudopotentials": {"Au": "au.upf", "Cu": "cu.upf"}, "kpts": [2, 2, 2],
               "input_data": {"system": {"ecutwfc": 40.0}}}  # fmt: skip
    write_inputs(bare, CycleLabel(code="espresso", options=options), tmp_path)
    file = tmp_path / "frame_0000" / "espresso.pwi"
    read = ase_io.read(file)
    np.testing.assert_allclose(read.get_positions(), bare[0].positions, atol=1e-8)
    text = file.read_text()
    assert "tprnfor          = .true." in text
    assert "ecutwfc          = 40.0" in text
    label = CycleLabel(code="espresso", options={"pseudopotentials": {"Au": "au.upf"}})
    with pytest.raises(InputError, match="pseudopotentials: expected a file for each element, found none of Cu"):
        write_inputs(bare, label, tmp_path)


def test_cp2k(frames, tmp_path):
    bare, _ = frames
    template = tmp_path / "template.inp"
    template.write_text("&FORCE_EVAL\n  METHOD QS\n  &SUBSYS\n    &KIND Cu\n    &END KIND\n  &END SUBSYS\n&END\n")
    write_inputs(bare, CycleLabel(code="cp2k", template=template), tmp_path / "in")
    text = (tmp_path / "in" / "frame_0000" / "cp2k.inp").read_text()
    lines = [line.split() for line in text.splitlines()]
    np.testing.assert_array_equal(np.array([w[1:] for w in lines if w[0] in "ABC"], float), bare[0].cell)
    atoms = [w for w in lines if w[0] in ("Au", "Cu")]
    np.testing.assert_array_equal(np.array([w[1:] for w in atoms], float), bare[0].positions)
    assert ["PERIODIC", "XYZ"] in lines
    template.write_text(text)
    with pytest.raises(InputError, match="expected an input without cell and atoms, but: Keyword A already present"):
        write_inputs(bare, CycleLabel(code="cp2k", template=template), tmp_path / "in")


@pytest.mark.parametrize(("text", "said"), [
    (b"&FORCE_EVAL\n  &SUBSYS\n  &END SUBSYS\n", "section &FORCE_EVAL, which line 1 begins, does not end"),
    (b"&FORCE_EVAL\n&END\n&END\n", "line 3: expected the end of a section, found '&END'"),
    (b"&FORCE_EVAL\n  &SUBSYS\n  &END DFT\n&END\n", "line 3: expected the end of &SUBSYS, which line 2 begins"),
    (b"\xff\xfe", "expected a text in UTF-8"),
])  # fmt: skip
def test_a_template_that_was_cut_is_refused(frames, tmp_path, text, said):
    (tmp_path / "template.inp").write_bytes(text)
    label = CycleLabel(code="cp2k", template=tmp_path / "template.inp")
    with pytest.raises(InputError, match=said):
        write_inputs(frames[0], label, tmp_path / "in")


def test_results_are_of_their_frames(frames, tmp_path):
    bare, labelled = frames
    label = CycleLabel(code="vasp")
    write_inputs(bare, replace(label, code="extxyz"), tmp_path)
    found, notes = read_results(bare, label, tmp_path)
    assert found == [None, None]
    assert notes[0].endswith("frame_0000: no labelled.extxyz or vasprun.xml or OUTCAR yet")
    (tmp_path / "frame_0001").mkdir()
    own = tmp_path / "frame_0001" / "labelled.extxyz"
    # few digits, and an atom on the other side of the cell
    shifts = np.outer([1.0, 0.0, 0.0, 0.0], labelled[1].cell[0])
    shifted = replace(labelled[1], positions=np.round(labelled[1].positions, 4) + shifts)
    own.write_text("".join(labelled_lines([shifted], 0)))
    found, notes = read_results(bare, label, tmp_path)
    assert found[0] is None
    assert found[1].energy == labelled[1].energy
    np.testing.assert_array_equal(found[1].positions, bare[1].positions)
    assert len(notes) == 1
    own.write_text("".join(labelled_lines([labelled[0]], 0)))
    with pytest.raises(FrameError, match="has the positions of none of the 1 frames that were to be labelled"):
        read_results(bare, label, tmp_path)
    (tmp_path / "labelled.extxyz").write_text("".join(labelled_lines(labelled[::-1], 0)))
    found, _ = read_results(bare, label, tmp_path)
    assert [f.energy for f in found] == [f.energy for f in labelled]
    bare_forces = [replace(f, energy=None) for f in labelled]
    for first, other in (
        (labelled, replace(labelled[0], energy=0.0)),
        (bare_forces, replace(bare_forces[0], forces=2.0 * labelled[0].forces)),
    ):
        (tmp_path / "labelled.extxyz").write_text("".join(labelled_lines([*first, other], 0)))
        with pytest.raises(FrameError, match=r"a second result of .*, with other labels"):
            read_results(bare, label, tmp_path)
    (tmp_path / "labelled.extxyz").write_text((tmp_path / "to_label.extxyz").read_text())
    with pytest.raises(FrameError, match="expected labels, found neither an energy nor forces"):
        read_results(bare, label, tmp_path)
    with pytest.raises(FrameError, match="stress of six components"):
        list(labelled_lines([replace(labelled[0], stress=[0.1, np.nan, 0, 0, 0, 0])], 0))


def test_results_of_picks_that_are_nearly_the_same_are_told_apart(frames, tmp_path):
    _, (first, _) = frames
    near = replace(first, positions=first.positions + 1e-4, energy=first.energy + 1.0)
    label = CycleLabel(code="extxyz")
    (tmp_path / "labelled.extxyz").write_text("".join(labelled_lines([near, first], 0)))
    bare = [replace(f, energy=None, forces=None, stress=None) for f in (first, near)]
    read, notes = read_results(bare, label, tmp_path)
    assert notes == []
    assert [f.energy for f in read] == [pytest.approx(first.energy), pytest.approx(near.energy)]
