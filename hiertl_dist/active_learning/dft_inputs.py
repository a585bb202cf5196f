"""Inputs of DFT programs for picked frames, written through ASE, and their results when they are there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import FrameError, HiertlError, HiertlWarning, InputError
from ..files.paths import make_folder, replacing, require_file
from ..io.extxyz_write import structure_lines
from ..io.trajectories import read_frames
from ..text.display import listed
from ..text.heard_warnings import hearing_warnings
from ..text.words import shown
from .labelling import with_labels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ..frames.frame import Frame
    from ..jobs.cycle_settings import CycleLabel

TO_LABEL: Final = "to_label.extxyz"
LABELLED: Final = "labelled.extxyz"
"""What a person, or another program, makes of it: the same frames with labels, in any order."""

RESULTS: Final = {
    "extxyz": (), "vasp": ("vasprun.xml", "OUTCAR"), "espresso": ("*.pwo", "*.out"), "cp2k": (),
}  # fmt: skip
"""Files that ASE reads, in the folder of a frame, the first that is there."""

FARTHEST: Final = 2e-3
"""Å: so far an atom of a result may be from where it was, for programs print few digits."""


def frame_folder(folder: Path, number: int) -> Path:
    """The folder of a picked frame."""
    return folder / f"frame_{number:04d}"


def write_inputs(frames: Sequence[Frame], label: CycleLabel, folder: Path) -> list[str]:
    """Write all frames as one extended XYZ file, and for a program a folder of its inputs for each.

    Parameters
    ----------
    frames : sequence of Frame
        What was picked.
    label : CycleLabel
        For which program, with which options.
    folder : Path
        Where.

    Returns
    -------
    list of str
        What is to be said: what is missing of the inputs, and what to do next.

    Raises
    ------
    InputError
        The options, or the template, are not what ASE or the program takes.
    """
    make_folder(folder)
    with replacing(folder / TO_LABEL) as stream:
        stream.writelines(line.encode() for line in structure_lines(frames))
    notes = []
    if label.code != "extxyz":
        for number, frame in enumerate(frames):
            own = frame_folder(folder, number)
            make_folder(own)
            try:
                notes += _WRITERS[label.code](frame, label, own)
            except HiertlError:
                raise
            except (TypeError, ValueError, KeyError, RuntimeError, OSError, NotImplementedError) as error:
                raise InputError(
                    f"cycle.label: ASE writes no input of {label.code} with the options {dict(label.options)}: "
                    f"{error!r}"
                ) from error
    if label.code == "vasp" and not label.energy_key:
        notes.append(
            "of VASP's results energy(sigma->0) will be taken, as ASE does; data of al_driver, and others, have the "
            'free energy (TOTEN), which energy_key = "free_energy" in label takes, and the two do not go together'
        )
    return [*dict.fromkeys(notes), _what_next(label, folder)]


def _what_next(label: CycleLabel, folder: Path) -> str:
    one = f"all of them in {folder / LABELLED} (the frames of {TO_LABEL} with labels: energy in eV, forces, stress)"
    if not RESULTS[label.code]:
        return f"calculate the frames of {folder}, and put {one}; then give the same command again"
    files = " or ".join(RESULTS[label.code])
    return (
        f"calculate the inputs in {frame_folder(folder, 0).name} … of {folder}, so that {files} is beside each, or put "
        f"{one}; then give the same command again"
    )


def _atoms(frame: Frame) -> Any:
    from ase import Atoms

    return Atoms(list(frame.species), frame.positions, cell=frame.cell, pbc=frame.pbc)


def _write_vasp(frame: Frame, label: CycleLabel, folder: Path) -> list[str]:
    from ase.calculators.vasp.create_input import GenerateVaspInput
    from ase.io.vasp import write_vasp

    atoms, maker = _atoms(frame), GenerateVaspInput()
    maker.set(**label.options)
    place = os.fspath(folder)
    with (folder / "POSCAR").open("w", encoding="utf-8") as stream:
        write_vasp(stream, atoms, sort=False, direct=False)
    try:
        maker.initialize(atoms)
    except (RuntimeError, ValueError, OSError) as error:  # no potentials, or not told where they are
        maker.spinpol = atoms.get_initial_magnetic_moments().any() or maker.int_params["ispin"] == 2
        maker.sort, maker.all_symbols = list(range(len(atoms))), atoms.get_chemical_symbols()
        note = [f"no POTCAR is written, and it must be put beside each POSCAR: {str(error).splitlines()[0]}"]
    else:
        note = []
        maker.write_potcar(directory=place)
    maker.write_incar(atoms, directory=place)
    if maker.float_params["kspacing"] is None:
        maker.write_kpoints(atoms, directory=place)
    return note


def _write_espresso(frame: Frame, label: CycleLabel, folder: Path) -> list[str]:
    from ase.io.espresso import write_espresso_in

    if lacking := sorted(frame.elements - set(label.options.get("pseudopotentials", {}))):
        raise InputError(
            f"cycle.label.options.pseudopotentials: expected a file for each element, found none of {listed(lacking)}"
        )
    given = dict(label.options)
    data = dict(given.pop("input_data", {}))
    control = {"calculation": "scf", "tprnfor": True, "tstress": True, **data.get("control", {})}
    with (folder / "espresso.pwi").open("w", encoding="utf-8") as stream:
        write_espresso_in(stream, _atoms(frame), input_data={**data, "control": control}, **given)
    return []


def _write_cp2k(frame: Frame, label: CycleLabel, folder: Path) -> list[str]:
    assert label.template is not None
    root = _cp2k_template(label.template)
    if frame.cell is None:
        raise InputError(f"{frame.origin}: expected a frame with a cell for cp2k, found a molecule without one")
    subsystem = "FORCE_EVAL/SUBSYS"
    try:
        for name, vector in zip("ABC", frame.cell.tolist(), strict=True):
            root.add_keyword(f"{subsystem}/CELL", f"{name} {' '.join(map(repr, vector))}")
        along = "".join(axis for axis, repeats in zip("XYZ", frame.pbc or (), strict=True) if repeats)
        root.add_keyword(f"{subsystem}/CELL", f"PERIODIC {along}")
        for name, row in zip(frame.species, frame.positions.tolist(), strict=True):
            root.add_keyword(f"{subsystem}/COORD", f"{name} {' '.join(map(repr, row))}", unique=False)
    except Exception as error:  # ASE raises nothing more particular
        raise InputError(f"{label.template}: expected an input without cell and atoms, but: {error}") from error
    with (folder / "cp2k.inp").open("w", encoding="utf-8") as stream:
        stream.write("\n".join(root.write()) + "\n")
    return ["whether these inputs have forces and stresses printed is for the template to say (FORCE_EVAL/PRINT)"]


def _cp2k_template(path: Path) -> Any:
    """A template as ASE has it. Raises InputError where it is no text, or its sections do not end as they begin."""
    from ase.calculators.cp2k import parse_input

    try:
        text = require_file(path, "cycle.label.template").read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a text in UTF-8: {error}") from None
    opened: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split("!", 1)[0].split()
        if not words or not words[0].startswith("&"):
            continue
        if not words[0].upper().startswith("&END"):
            opened.append((number, words[0][1:].upper()))
            continue
        named = words[1].upper() if len(words) > 1 else ""
        if not opened or named not in ("", opened[-1][1]):
            inside = f"of &{opened[-1][1]}, which line {opened[-1][0]} begins" if opened else "of a section"
            raise InputError(f"{path}, line {number}: expected the end {inside}, found {shown(line.strip())}")
        opened.pop()
    if opened:
        raise InputError(f"{path}: the section &{opened[-1][1]}, which line {opened[-1][0]} begins, does not end")
    return parse_input(text)


_WRITERS: Final[dict[str, Callable[[Frame, CycleLabel, Path], list[str]]]] = {
    "vasp": _write_vasp, "espresso": _write_espresso, "cp2k": _write_cp2k,
}  # fmt: skip


def read_results(frames: Sequence[Frame], label: CycleLabel, folder: Path) -> tuple[list[Frame | None], list[str]]:
    """The picked frames with labels, as far as results are there, and what is to be said of the others.

    Parameters
    ----------
    frames : sequence of Frame
        What was picked.
    label : CycleLabel
        Which program was to calculate them.
    folder : Path
        Where inputs were written.

    Returns
    -------
    tuple of (list of Frame or None, list of str)
        In the order of the frames.

    Raises
    ------
    FrameError
        A result is of none of the frames, has no labels, or two that differ are of one.
    """
    together = folder / LABELLED
    if together.exists():
        return _matched(frames, _read(together, label)), []
    found: list[Frame | None] = []
    notes = []
    for number, frame in enumerate(frames):
        own = frame_folder(folder, number)
        patterns = (LABELLED, *RESULTS[label.code])
        file = next((f for pattern in patterns for f in sorted(own.glob(pattern))), None)
        if file is None:
            notes.append(f"{own}: no {' or '.join(patterns)} yet")
        found += [None] if file is None else _matched([frame], _read(file, label))
    return found, notes


def _read(file: Path, label: CycleLabel) -> list[Frame]:
    with hearing_warnings(HiertlWarning) as doubts:
        frames = read_frames(file, energy_key=label.energy_key or None)
    if doubts:  # labels that are likely not meant are not fitted
        raise FrameError(f"{file}: {doubts[0].text}")
    return frames


def _matched(frames: Sequence[Frame], results: Sequence[Frame]) -> list[Frame | None]:
    """Each frame with the labels of the result that is of it."""
    found: list[Frame | None] = [None] * len(frames)
    for result in results:
        if result.energy is None and result.forces is None:
            raise FrameError(f"{result.origin}: expected labels, found neither an energy nor forces")
        apart = [_apart(result, frame) for frame in frames]
        index = int(np.argmin(apart))  # picks may be closer to one another than a result may be to its own
        if apart[index] > FARTHEST:
            raise FrameError(
                f"{result.origin}: {result.formula} has the positions of none of the {len(frames)} frames that were to "
                f"be labelled (within {FARTHEST} Å, atoms in the same order); results of a relaxation are none"
            )
        before = found[index]
        if before is not None and not _same_labels(before, result):
            raise FrameError(f"{result.origin}: a second result of {frames[index].origin}, with other labels")
        found[index] = with_labels_of(frames[index], result)
    return found


def _same_labels(one: Frame, other: Frame) -> bool:
    return one.energy == other.energy and all(
        (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b, equal_nan=True))
        for a, b in ((one.forces, other.forces), (one.stress, other.stress))
    )


def _apart(result: Frame, frame: Frame) -> float:
    """Their largest difference of a coordinate, up to lattice vectors, or of the cell, Å; infinite for other atoms."""
    if result.species != frame.species or result.pbc != frame.pbc:
        return float("inf")
    apart, edges = result.positions - frame.positions, 0.0
    if frame.cell is not None and result.cell is not None:
        along = np.array(frame.pbc)
        edges = float(np.abs(result.cell - frame.cell)[along].max(initial=0.0))
        shifts = np.round(apart @ np.linalg.inv(frame.cell)) * along
        apart = apart - shifts @ frame.cell
    return max(float(np.abs(apart).max()), edges)
