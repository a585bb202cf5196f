"""What evaluating parameter files costs, beside chimes_calculator: energy, forces and stress of ``cn_dft`` frames.

Each file is evaluated on the atoms whose elements it has, as in subtracting a frozen block; reading it and compiling
are not counted. The ASE calculator is that of C + N + CN of ALC-3 together, a whole calculation from an Atoms object.
"""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING, Any, Final

from bench import Benchmark, Options, interleaved, main, tell
from cn_dft_chain import FILES
from measure import figure, table

from hiertl_dist import Model, Penalty, read_fm_setup
from hiertl_dist.model.parameters import merge_parameters

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hiertl_dist import Frame, Parameters

REPEATS: Final = 3
CASES: Final = {"C": ("C",), "N": ("N",), "C and N": ("C", "N"), "ALC-3": ("ALC-3",)}
THEIRS: Final = {"C and N": 10.3, "ALC-3": 35.0}
"""CPU seconds a frame of chimes_calculator; from ../shared/data/README.md."""

ASE: Final = "ASE calculator: C + N + CN"


def published(folder: Path) -> Parameters:
    """The published C and N files and the CN block of ALC-3 in one, the wall being chimes_calculator's default."""
    c, n, residual = (Model.read(folder / FILES[name]).parameters for name in ("C", "N", "ALC-3"))
    return merge_parameters([c, n, residual.restricted({"CN"})], penalty=Penalty())


def _frames(options: Options) -> tuple[Path, tuple[Frame, ...]]:
    folder = options.data / "cn_dft"
    frames = read_fm_setup(folder / "fm_setup.in").frames
    return folder, frames[: options.sized(len(frames), 1)]


def evaluating(options: Options, names: tuple[str, ...]) -> Callable[[], dict[str, Any]]:
    """Some files on every frame."""
    folder, frames = _frames(options)
    models = [Model.read(folder / FILES[name]) for name in names]

    def once() -> None:
        for model in models:
            model.evaluate(frames, ignore_other_elements=True, missing="zero")

    return _timed(options, once, len(frames))


def calculating(options: Options) -> Callable[[], dict[str, Any]]:
    """The ASE calculator of all blocks together on every frame, each an Atoms object made before."""
    from ase import Atoms

    from hiertl_dist import Calculator

    folder, frames = _frames(options)
    calculator = Calculator(Model(published(folder)))
    atoms = [Atoms(f.species, positions=f.positions, cell=f.cell, pbc=True) for f in frames]

    def once() -> None:
        for one in atoms:
            calculator.calculate(one, properties=["energy", "forces", "stress"])

    return _timed(options, once, len(frames))


def _timed(options: Options, once: Callable[[], None], frames: int) -> Callable[[], dict[str, Any]]:
    def work() -> dict[str, Any]:
        once()
        cpu = interleaved({"evaluate": once}, options.sized(REPEATS, 1))["evaluate"]
        return {"frames": frames, "cpu": cpu, "seconds_a_frame": statistics.median(cpu) / frames}

    return work


def run(options: Options) -> dict[str, Any]:
    """Every case in a process of its own."""
    cases: dict[str, Any] = {}
    absent: dict[str, str] = {}

    def do(name: str, files: tuple[str, ...], make: Callable[..., Any], *args: Any) -> None:
        if (why := options.missing("cn_dft", *(f"cn_dft/{FILES[f]}" for f in files))) is not None:
            absent[name] = why
            return
        cases[name] = options.value(make, options, *args)
        tell(f"evaluating {name}: {cases[name]['seconds_a_frame']:.4f} CPU s a frame")

    for name, files in CASES.items():
        do(name, files, evaluating, files)
    do(ASE, tuple(FILES), calculating)
    return {"cases": cases, "absent": absent}


def markdown(record: dict[str, Any]) -> str:
    """The table beside chimes_calculator's."""
    rows = [
        [name, case["frames"], figure(1e3 * case["seconds_a_frame"]), figure(THEIRS.get(name)),
         figure(THEIRS[name] / case["seconds_a_frame"]) if name in THEIRS else None]
        for name, case in record["cases"].items()
    ]  # fmt: skip
    return table(["parameters", "frames", "CPU ms a frame", "chimes_calculator, CPU s a frame", "times faster"], rows)


BENCHMARK: Final = Benchmark("evaluation", "Energy, forces and stress of 216-atom frames, one core.", run, markdown)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
