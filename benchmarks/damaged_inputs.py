"""Still more kinds of files for ``mutations_files.py``: weights, expressions, positions of VASP, dumps of LAMMPS,
templates of CP2K, and what a search, a calibration and cycles of active learning keep."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from damaged_files import Kind, all_frames, frames_file
from mutations_models import mutate

if TYPE_CHECKING:
    from pathlib import Path

    from hiertl_dist.frames.frame_sequence import FrameSequence

EXPRESSIONS: Final = """\
0.3 if like(group, "C*") else 1.0
A(1.0) * B(1.0, -1.0) / (1 + fraction("N")) ** 2
5.0 if n_atoms == 1 and not gas else max(0.1, min(1.0, 2.0 - abs(energy) / n_atoms))
exp(-volume / 50.0) + count("C") * (group == "C") - 0.0
"""

POSCAR: Final = """\
made here
1.0
8.0 0.0 0.0
0.5 9.0 0.0
0.0 0.25 10.0
C N
1 2
Selective dynamics
Direct
0.0 0.0 0.0 T T F
0.25 0.0 0.0 T T T
0.5 0.5 0.125 F F F
"""

DUMP: Final = "".join(
    f"ITEM: UNITS\nmetal\nITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS xy xz yz pp pp pp\n"
    "0.0 8.5 0.5\n0.0 9.25 0.0\n0.0 10.0 0.25\nITEM: ATOMS id element x y z fx fy fz\n"
    f"2 N 1.5 0.5 0.{step} -0.5 0.25 1e-3\n1 C 0.0 0.0 0.0 0.5 -0.25 -1e-3\n"
    for step in (0, 100)
)

TEMPLATE: Final = """\
&GLOBAL
  PROJECT picked ! and nothing else
  RUN_TYPE ENERGY_FORCE
&END GLOBAL
&FORCE_EVAL
  METHOD QS
  &DFT
    BASIS_SET_FILE_NAME BASIS_MOLOPT
    &XC
      &XC_FUNCTIONAL PBE
      &END XC_FUNCTIONAL
    &END XC
  &END DFT
  &SUBSYS
    &KIND C
      BASIS_SET DZVP-MOLOPT-SR-GTH
    &END KIND
  &END SUBSYS
&END FORCE_EVAL
"""


@lru_cache(maxsize=4)
def _frames(path: Path) -> FrameSequence:
    from hiertl_dist import read_frames
    from hiertl_dist.frames.frame_sequence import sequence_of

    return sequence_of(read_frames(path, group_key="config"))


def _frames_of(folder: Path) -> FrameSequence:
    path = folder.parent / f"{folder.name}-frames.extxyz"
    return _frames(path if path.exists() else frames_file(folder))


def _write_rows(folder: Path) -> None:
    counts = _frames_of(folder).facts.rows_of_kinds
    numbers = np.linspace(0.5, 2.0, int(counts[:, 0].sum() + 3 * counts[:, 3].sum()))
    (folder / "weights.dat").write_text("".join(f"{x!r}\n" for x in numbers.tolist()))


def _read_rows(folder: Path) -> Any:
    from hiertl_dist.io.weight_files import read_row_weights

    return read_row_weights(folder / "weights.dat", _frames_of(folder)).values.tobytes()


def _write_table(folder: Path) -> None:
    rows = [f'{i},"1.{i}",0.{i}\n' for i in range(1, len(_frames_of(folder)) + 1)]
    (folder / "weights.csv").write_text("# of some frames\nframe,force,energy\n" + "".join(rows))


def _read_table(folder: Path) -> Any:
    from hiertl_dist.io.weight_files import read_frame_weights

    return read_frame_weights(folder / "weights.csv", _frames_of(folder)).values.tobytes()


def _read_expressions(folder: Path) -> Any:
    from hiertl_dist.frames.row_weights import RowWeights

    frames, made = _frames_of(folder), []
    for line in (folder / "expressions.txt").read_text(encoding="utf-8", errors="replace").split("\n"):
        if line.strip():
            made.append(RowWeights(force=line, energy=line, cycles={"*": 1}).of(frames).tobytes())
    return made


def _write_template(folder: Path) -> None:
    (folder / "template.inp").write_text(TEMPLATE)


def _read_template(folder: Path) -> Any:
    from hiertl_dist import Frame
    from hiertl_dist.active_learning.dft_inputs import write_inputs
    from hiertl_dist.jobs.cycle_settings import CycleLabel

    inputs = folder.parent / f"{folder.name}-inputs"
    frame = Frame(("C", "N"), np.array([[0.0, 0.0, 0.0], [1.5, 0.0, 0.0]]), 8.0 * np.eye(3))
    write_inputs([frame], CycleLabel(code="cp2k", template=folder / "template.inp"), inputs)
    return (inputs / "frame_0000" / "cp2k.inp").read_text(encoding="utf-8")


def _write_calibration(folder: Path) -> None:
    from hiertl_dist.uncertainty.sigma_factors import KindFactor, SigmaFactors

    names = KindFactor.__dataclass_fields__
    kinds = {kind: KindFactor(**{name: 1.5 + k for k, name in enumerate(names)}) for kind in ("force", "energy")}
    SigmaFactors(kinds, "a" * 64, "b" * 64, "here").save(folder / "calibration.json")


def _read_calibration(folder: Path) -> Any:
    from hiertl_dist.uncertainty.sigma_factors import SigmaFactors

    return SigmaFactors.load(folder / "calibration.json").as_dict()


def _write_cycle(folder: Path) -> None:
    from hiertl_dist.active_learning.records import write_record, write_step

    (folder / "picked.extxyz").write_text("1\n\nC 0 0 0\n")
    write_step(folder, "begin", {"settings": {"fit.objective": "c" * 64}})
    write_step(folder, "pick", {"picked": 1, "sigma": 0.25, "notes": ["a note"]}, [folder / "picked.extxyz"])
    write_record(folder / "run_0000.json", {"made": 20, "stopped": "", "mean_pressure": None})


def _read_cycle(folder: Path) -> Any:
    from hiertl_dist.active_learning.records import read_record, read_state

    return read_state(folder), read_record(folder / "run_0000.json")


def _write_run(folder: Path) -> None:
    from hiertl_dist.active_learning.run_checkpoint import Progress, RunCheckpoint, write_checkpoint

    rng = np.random.default_rng(1)
    state, (one, other) = rng.bit_generator.state, rng.normal(size=(2, 5, 3))
    progress = Progress(10, [(0, one, np.eye(3)), (5, other, None)], 3000.0, 0.5, 2.0)
    write_checkpoint(folder / "run.partial.npz", RunCheckpoint("d" * 64, dict(state), one, other, np.eye(3), progress))


def _read_run(folder: Path) -> Any:
    from hiertl_dist.active_learning.run_checkpoint import read_checkpoint
    from hiertl_dist.errors import StoreError

    at = read_checkpoint(folder / "run.partial.npz", "d" * 64, 5)
    if at is None:  # told of, and begun anew
        raise StoreError("it begins anew")
    kept = [(step, positions.tobytes(), cell.tobytes()) for step, positions, cell in at.progress.kept]
    sums = (at.progress.step, at.progress.heat, at.progress.pressure, at.progress.seconds)
    return at.rng, at.positions.tobytes(), at.momenta.tobytes(), at.cell.tobytes(), kept, sums


def _write_kept(folder: Path) -> None:
    from hiertl_dist.model_selection.kept_results import keep_result

    for key in ("e" * 64, "f" * 64):
        models = [{"squares": [[0.5, 0.25], [1.5, 2.5]], "nonzeros": [3, 4], "conditions": [10.0, None]}]
        keep_result(folder, key, {"cells": [["C", "force", 0]], "rows": [40], "models": models})


def _read_kept(folder: Path) -> Any:
    from hiertl_dist.errors import StoreError
    from hiertl_dist.model_selection.kept_results import kept_results

    found = kept_results(folder, ("e" * 64, "f" * 64))
    if len(found) < 2:  # told of, and computed again
        raise StoreError("it is computed again")
    return found


def _text(name: str, content: str, read: Any) -> Kind:
    return Kind(name, lambda folder: (folder / name).write_text(content), read, name, mutate)


INPUTS: Final = (
    Kind("weights.dat", _write_rows, _read_rows, "weights.dat", mutate),
    Kind("weights.csv", _write_table, _read_table, "weights.csv", mutate),
    _text("expressions.txt", EXPRESSIONS, _read_expressions),
    _text("POSCAR", POSCAR, lambda folder: all_frames(folder / "POSCAR")),
    _text("run.dump", DUMP, lambda folder: all_frames(folder / "run.dump")),
    Kind("template.inp", _write_template, _read_template, "template.inp", mutate),
    Kind("calibration", _write_calibration, _read_calibration, "calibration.json", checked=True),
    Kind("cycle", _write_cycle, _read_cycle, "*", checked=True),
    Kind("run of a cycle", _write_run, _read_run, "run.partial.npz", checked=True),
    Kind("kept results", _write_kept, _read_kept, "*.json", checked=True),
)  # fmt: skip
