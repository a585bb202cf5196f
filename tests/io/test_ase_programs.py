"""Outputs of Quantum ESPRESSO, dumps of LAMMPS and files of CP2K, written here as these programs write them."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from conftest import ROOT
from doc_pages import blocks

from hiertl_dist import read_frames
from hiertl_dist.errors import FrameError, InputError
from hiertl_dist.frames.label_summary import summarise_labels
from hiertl_dist.units import EV, HARTREE, HARTREE_PER_BOHR, INVERSE_BOHR

pytest.importorskip("ase")

CELL = np.array([[4.0, 0.0, 0.0], [0.5, 5.0, 0.0], [0.2, 0.3, 6.0]])
POSITIONS = np.array([[0.1, 0.2, 0.3], [1.3, 0.5, 0.7]])
FORCES = np.array([[0.02, -0.01, 0.005], [-0.02, 0.01, -0.005]])
"""In the program's own unit."""

ENERGY = -21.5
STRESS = np.array([[3e-4, 1e-5, 2e-5], [1e-5, 4e-4, 3e-5], [2e-5, 3e-5, 5e-4]])
"""Ry/bohr³ as pw.x prints it: positive under compression, as P is."""


def row(numbers, form="14.9f"):
    return "".join(f" {x:{form}}" for x in numbers)


def espresso():
    """What pw.x prints of an SCF step, with tprnfor and tstress."""
    alat = 4.0 * INVERSE_BOHR
    lines = [
        "     Program PWSCF v.7.2 starts on  1Jan2024 at  0: 0: 0", "",
        "     bravais-lattice index     =            0",
        f"     lattice parameter (alat)  = {alat:11.4f}  a.u.",
        f"     unit-cell volume          = {np.linalg.det(CELL) * INVERSE_BOHR**3:11.4f} (a.u.)^3",
        "     number of atoms/cell      =            2", "     number of atomic types    =            2", "",
        f"     celldm(1)= {alat:10.6f}  celldm(2)=   0.000000  celldm(3)=   0.000000",
        "     celldm(4)=   0.000000  celldm(5)=   0.000000  celldm(6)=   0.000000", "",
        "     crystal axes: (cart. coord. in units of alat)",
        *(f"               a({i + 1}) = ({row(CELL[i] / 4.0, '11.6f')} )" for i in range(3)), "",
        "     atomic species   valence    mass     pseudopotential",
        "        C              4.00    12.01100     C ( 1.00)",
        "        N              5.00    14.00700     N ( 1.00)", "",
        "   Cartesian axes", "",
        "     site n.     atom                  positions (alat units)",
        *(f"         {i + 1}           {s}   tau(   {i + 1}) = ({row(POSITIONS[i] / 4.0, '11.7f')}  )"
          for i, s in enumerate("CN")),
        "", f"!    total energy              =  {ENERGY:16.8f} Ry", "",
        "     Forces acting on atoms (cartesian axes, Ry/au):", "",
        *(f"     atom    {i + 1} type  {i + 1}   force = {row(FORCES[i], '13.8f')}" for i in range(2)), "",
        "     Total force =     0.045826     Total SCF correction =     0.000001", "",
        "     Computing stress (Cartesian axis) and pressure", "",
        "          total   stress  (Ry/bohr**3)                   (kbar)     P=       58.84",
        *(f"  {row(STRESS[i], '12.8f')}        {row(STRESS[i] * 147105.08, '11.2f')}" for i in range(3)), "", "",
        "     JOB DONE.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def test_quantum_espresso(tmp_path):
    path = tmp_path / "pw.out"
    path.write_text(espresso())
    (frame,) = read_frames(path, format="ase")
    rydberg = 0.5 * HARTREE
    assert frame.species == ("C", "N")
    assert frame.cell == pytest.approx(CELL, abs=1e-5)
    assert frame.positions == pytest.approx(POSITIONS, abs=1e-5)
    assert frame.energy == pytest.approx(ENERGY * rydberg, rel=1e-6)
    assert frame.forces == pytest.approx(FORCES * rydberg * INVERSE_BOHR, rel=1e-6)
    expected = STRESS[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]] * rydberg * INVERSE_BOHR**3
    assert frame.stress == pytest.approx(expected, rel=1e-6)


def dump(units="metal", columns="id element x y z fx fy fz", steps=2):
    text = f"ITEM: UNITS\n{units}\n" if units else ""
    for step in range(steps):
        text += f"ITEM: TIMESTEP\n{100 * step}\nITEM: NUMBER OF ATOMS\n2\n"
        text += "ITEM: BOX BOUNDS xy xz yz pp pp pp\n"
        (lx, _, _), (xy, ly, _), (xz, yz, lz) = CELL.tolist()
        text += f"0.0 {lx + xy + xz!r} {xy!r}\n0.0 {ly + yz!r} {xz!r}\n0.0 {lz!r} {yz!r}\n"
        text += f"ITEM: ATOMS {columns}\n"
        values = {"id": "21", "type": "21", "element": "NC"}
        for k, i in enumerate((1, 0)):  # not in the order of their numbers
            own = {n: v[k] for n, v in values.items()}
            own |= {n: repr(float(x)) for n, x in zip(("x", "y", "z"), POSITIONS[i], strict=True)}
            own |= {n: repr(float(x)) for n, x in zip(("fx", "fy", "fz"), FORCES[i] * (1 + step), strict=True)}
            text += " ".join(own[c] for c in columns.split()) + "\n"
    return text


@pytest.mark.parametrize(("units", "factor", "length"), [("metal", EV, 1.0), ("real", 1.0, 1.0)])
def test_a_dump_of_lammps(tmp_path, units, factor, length):
    path = tmp_path / "run.dump.gz"
    path.write_bytes(gzip.compress(dump(units).encode()))
    first, second = read_frames(path, format="ase")
    assert first.species == ("C", "N")
    assert first.cell == pytest.approx(CELL * length)
    assert first.positions == pytest.approx(POSITIONS * length)
    assert first.forces == pytest.approx(FORCES * factor, rel=1e-6)
    assert second.forces == pytest.approx(2 * FORCES * factor, rel=1e-6)
    assert first.energy is None
    assert first.stress is None
    assert "no energy of the configuration" in summarise_labels([first, second]).text()


@pytest.mark.parametrize(("options", "said"), [
    ({"units": ""}, "does not say its units"), ({"units": "lj"}, "expected units of one of the styles .*, found 'lj'"),
    ({"columns": "id type x y z fx fy fz"}, "numbers of types are no elements"),
])  # fmt: skip
def test_dumps_that_do_not_say_what_they_are(tmp_path, options, said):
    path = tmp_path / "run.dump"
    path.write_text(dump(**options))
    with pytest.raises(FrameError, match=said) as caught:
        read_frames(path, format="ase")
    assert "dump_modify d element C N units yes" in str(caught.value) or "styles" in str(caught.value)


@pytest.mark.parametrize("count", ["1000000000", "9" * 5000, "-2", "2.0", ""])
def test_a_dump_with_more_atoms_than_it_has_room_for(tmp_path, count):
    """ASE would read on at its end, for minutes."""
    path = tmp_path / "run.dump"
    path.write_text(dump().replace("ITEM: NUMBER OF ATOMS\n2\n", f"ITEM: NUMBER OF ATOMS\n{count}\n"))
    with pytest.raises(FrameError, match="line 6: expected a number of atoms, at most "):
        read_frames(path, format="ase")


def test_a_dump_without_forces_has_no_labels(tmp_path):
    path = tmp_path / "run.dump"
    path.write_text(dump(columns="id element x y z"))
    for frame in read_frames(path, format="ase"):
        assert frame.energy is None
        assert frame.forces is None


def test_a_binary_dump_is_refused(tmp_path):
    from hiertl_dist.io.ase_lammps import dump_images

    with pytest.raises(FrameError, match="a binary dump of LAMMPS says neither units nor elements"):
        next(dump_images(tmp_path / "run.bin", "lammps-dump-binary"))


def test_files_of_cp2k_by_the_recipe_of_the_page(tmp_path):
    """CP2K's trajectories hold hartree and hartree/bohr, which ASE does not convert: the page says how."""
    steps = range(2)
    for what, values, kind in (("pos", POSITIONS, "E ="), ("frc", FORCES, "E =")):
        text = "".join(
            f"2\n i = {k:8d}, time = {0.5 * k:12.3f}, {kind} {ENERGY - k:20.10f}\n"
            + "".join(f" {s} {row(values[i] * (1 + k), '19.10f')}\n" for i, s in enumerate("CN")) for k in steps
        )  # fmt: skip
        (tmp_path / f"run-{what}-1.xyz").write_text(text)
    header = "#   Step   Time [fs]       Ax [Angstrom]       Ay [Angstrom] …\n"
    lines = [f"{k} {0.5 * k}" + row(CELL.ravel()) + f" {np.linalg.det(CELL)}\n" for k in steps]
    (tmp_path / "run-1.cell").write_text(header + "".join(lines))
    page = ROOT / "docs" / "howto" / "other_programs.md"
    (code,) = [text for _, _, text in blocks(page, "python") if "-frc-1.xyz" in text]
    exec(compile(code.replace('folder = "."', f"folder = {str(tmp_path)!r}"), "page", "exec"), {})
    found = read_frames(tmp_path / "run.extxyz")
    for k, frame in enumerate(found):
        assert frame.energy == pytest.approx((ENERGY - k) * HARTREE, rel=1e-6)
        assert frame.forces == pytest.approx(FORCES * (1 + k) * HARTREE_PER_BOHR, rel=1e-6)
        assert frame.cell == pytest.approx(CELL, abs=1e-6)
        assert frame.positions == pytest.approx(POSITIONS * (1 + k), abs=1e-6)


def test_cp2k_restart_files_have_no_labels(tmp_path):
    path = tmp_path / "run-1.restart"
    path.write_text("&FORCE_EVAL\n &SUBSYS\n  &CELL\n  A 4 0 0\n  B 0 5 0\n  C 0 0 6\n  &END CELL\n  &COORD\n"
                    "  C 0.1 0.2 0.3\n  N 1.3 0.5 0.7\n  &END COORD\n &END SUBSYS\n&END FORCE_EVAL\n")  # fmt: skip
    try:
        frames = read_frames(path, format="ase")
    except (FrameError, InputError):  # as ASE has it
        return
    assert all(f.energy is None and f.forces is None for f in frames)
