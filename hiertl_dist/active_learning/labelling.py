"""Labels of picked frames by a calculator of ASE, each frame a task of its own whose labels are kept."""

from __future__ import annotations

import importlib
import sys
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import FrameError, InputError, StoppedBySignal
from ..frames.frame import Frame
from ..io.atoms import frames_from_ase
from ..io.extxyz_write import frame_lines, stress_values
from ..text.words import count_text
from ..units import EV
from .records import read_record, write_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ..executors.base import Executor
    from ..jobs.cycle_settings import CycleLabel


def calculator_of(label: CycleLabel) -> Any:
    """A new calculator of ASE.

    Parameters
    ----------
    label : CycleLabel
        Which one, and its options.

    Returns
    -------
    ase.calculators.calculator.Calculator
        Made by the function that is named, or by ASE's class of that name.

    Raises
    ------
    InputError
        There is no such module, function or name, or it does not take the options.
    """
    name = label.calculator
    try:
        make = _function(name, str(label.folder)) if ":" in name else _named(name)
        return make(**label.options)
    except (ImportError, AttributeError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise InputError(
            f"cycle.label: {name} with the options {dict(label.options)} gives no calculator: {error!r}; expected "
            "module:function, a function in a module that Python finds or that is beside the input file, or the name "
            "of one of ASE's calculators"
        ) from error


def _function(name: str, folder: str) -> Any:
    module, _, function = name.partition(":")
    sys.path.insert(0, folder)
    try:
        return getattr(importlib.import_module(module), function)
    finally:
        sys.path.remove(folder)


def _named(name: str) -> Any:
    from ase.calculators.calculator import get_calculator_class

    return get_calculator_class(name)


def label_frames(frames: Sequence[Frame], label: CycleLabel, folder: Path, executor: Executor) -> list[dict[str, Any]]:
    """Have frames labelled, those that have no labels in the folder yet.

    Parameters
    ----------
    frames : sequence of Frame
        What was picked.
    label : CycleLabel
        By which calculator.
    folder : Path
        Where a file of each frame's labels is kept; all workers see it.
    executor : Executor
        Whose workers calculate.

    Returns
    -------
    list of dict
        ``energy`` (eV), ``forces`` (eV/Å), ``stress`` (eV/Å³, ASE's sign and order, or None), ``seconds``; or
        ``failed``, why there are none.
    """
    task = partial(_label, label=label, folder=folder)
    items = list(enumerate(frames))
    return executor.run(task, items, label=lambda item: item[1].origin, what="label frames", cost=_size)


def _size(item: tuple[int, Frame]) -> float:
    return float(len(item[1]))


def label_file(folder: Path, number: int) -> Path:
    """Where the labels of a picked frame are."""
    return folder / f"frame_{number:04d}.json"


def _label(item: tuple[int, Frame], *, label: CycleLabel, folder: Path) -> dict[str, Any]:
    from ase import Atoms

    number, frame = item
    path = label_file(folder, number)
    known = read_record(path)
    if known is not None and known["configuration"] == frame.configuration:
        return known
    begun, told = time.perf_counter(), {"frame": frame.origin, "configuration": frame.configuration}
    atoms = Atoms(list(frame.species), frame.positions, cell=frame.cell, pbc=frame.pbc)
    atoms.calc = calculator_of(label)
    if str(getattr(atoms.calc, "directory", "")) == ".":  # where workers would write over one another's files
        atoms.calc.directory = str(path.with_suffix(""))
    try:
        values: dict[str, Any] = {
            "energy": float(atoms.get_potential_energy()), "forces": atoms.get_forces().tolist(),
            "stress": atoms.get_stress().tolist() if frame.periodic and _has_stress(atoms) else None,
        }  # fmt: skip
    except StoppedBySignal:
        raise
    except Exception as error:  # whatever a calculator raises, one of ours too, is of this frame alone
        values = {"failed": f"{type(error).__name__}: {error}"}
    with suppress(OSError):  # ASE makes it also for calculators that leave nothing there
        path.with_suffix("").rmdir()
    record = {**told, **values, "calculator": label.name, "seconds": time.perf_counter() - begun}
    write_record(path, record)
    return record


def _has_stress(atoms: Any) -> bool:
    return "stress" in getattr(atoms.calc, "implemented_properties", ())


def labelled_by(frames: Sequence[Frame], labels: Sequence[dict[str, Any]]) -> list[Frame | None]:
    """The frames with their labels, None where a calculation failed.

    Raises
    ------
    FrameError
        A calculator gave what is no label: not finite, or of another shape.
    """
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    found: list[Frame | None] = []
    for frame, own in zip(frames, labels, strict=True):
        if "failed" in own:
            found.append(None)
            continue
        atoms = Atoms(list(frame.species), frame.positions, cell=frame.cell, pbc=frame.pbc)
        results = {key: own[key] for key in ("energy", "forces", "stress") if own[key] is not None}
        atoms.calc = SinglePointCalculator(atoms, **results)
        try:
            (read,) = frames_from_ase(atoms, group=frame.group)
        except FrameError as error:
            raise FrameError(f"{frame.origin}: {own['calculator']} gave no labels: {error}") from error
        found.append(with_labels_of(frame, read))
    return found


def with_labels_of(frame: Frame, read: Frame) -> Frame:
    """A frame with another's labels; its positions stay the bits that they are."""
    return Frame(
        frame.species, frame.positions, frame.cell, read.energy, read.forces, read.stress, frame.group, frame.origin,
        frame.pbc,
    )  # fmt: skip


def labelled_lines(frames: Iterable[Frame], cycle: int) -> Iterator[str]:
    """Frames with labels as extended XYZ (eV, Å), ``cycle=…`` in each comment line.

    Raises
    ------
    FrameError
        A stress lacks components, which a file can't say.
    """
    for frame in frames:
        values: dict[str, Any] = {"cycle": cycle}
        if frame.energy is not None:
            values["energy"] = frame.energy / EV
        if frame.stress is not None:
            if not (frame.stress == frame.stress).all():
                raise FrameError(f"{frame.origin}: expected a stress of six components, found {frame.stress.tolist()}")
            values["stress"] = stress_values(frame.stress)
        columns = {} if frame.forces is None else {"forces": frame.forces / EV}
        yield from frame_lines(frame, values, columns)


def failures_text(labels: Sequence[dict[str, Any]], most: int = 3) -> list[str]:
    """Which frames have no labels, and why, a line for each of the first few."""
    failed = [own for own in labels if "failed" in own]
    lines = [f"not labelled: {own['frame']}: {own['failed']}" for own in failed[:most]]
    return lines + [f"and {count_text(len(failed) - most, 'frame')} more not labelled"] * (len(failed) > most)
