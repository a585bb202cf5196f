"""Forces and stresses of a fit must not depend on the zero of the energies.

cn_pbe's frames are fitted as they are and with −1036 eV for each carbon and −1486 eV for each nitrogen (total energies
of all electrons), and with −1e5 eV for every atom, block by block and all at once. Shown is the largest difference of
forces and stresses over all frames, relative to their root mean square, and of energies after the zero is taken off.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bench import Benchmark, Options, main, tell
from measure import table
from threadpoolctl import threadpool_limits

from hiertl_dist import Basis, FitSettings, HierarchyOptions, Model, fit_all_at_once, fit_hierarchy, read_frames
from hiertl_dist.executors import executor
from hiertl_dist.units import EV

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hiertl_dist import Frame
    from hiertl_dist.executors.base import Executor
    from hiertl_dist.model.parameters import Parameters

ZEROS: Final = {"all electrons": {"C": -1036.0, "N": -1486.0}, "far": {"C": -1e5, "N": -1e5}}
"""eV for each atom."""

REGULARISERS: Final[Mapping[str, dict[str, Any]]] = {
    "ridge 1e-2": {"kind": "ridge", "alpha": 1e-2},
    "ridge 0.1": {"kind": "ridge", "alpha": 0.1},
    "ridge 1": {"kind": "ridge", "alpha": 1.0},
    "elastic net": {"kind": "elastic_net", "lam": 1e-3, "l1_ratio": 0.5},
    "Bayesian ridge": {"kind": "bayesian_ridge"},
}

ORDERS: Final = [10, 5, 3]
TOY_ORDERS: Final = [4, 3, 0]
TOY_FRAMES: Final = 8
"""Of each composition."""


def basis_of(orders: Sequence[int]) -> Basis:
    """A basis of carbon and nitrogen."""
    pairs = {n: {"rmin": 0.6, "rmax": 5.0, "lambda": lam} for n, lam in (("CC", 1.8), ("NN", 1.5), ("CN", 1.6))}
    return Basis.from_dict({
        "elements": ["C", "N"], "orders": list(orders), "transform": "MORSE", "cutoff": "TERSOFF 0.75", "pairs": pairs,
        "three_body": {"rmax": 4.0}, "four_body": {"rmax": 3.5},
    })  # fmt: skip


def moved(frames: Sequence[Frame], zeros: Mapping[str, float]) -> list[Frame]:
    """The frames with other energies of free atoms, in eV."""
    return [
        f if f.energy is None else replace(f, energy=f.energy + EV * sum(zeros[s] for s in f.species)) for f in frames
    ]


def models(frames: Sequence[Frame], basis: Basis, how: Mapping[str, Any], runner: Executor) -> dict[str, Parameters]:
    """The fit of all blocks, both ways."""
    options = HierarchyOptions(FitSettings(how))
    return {
        "block by block": fit_hierarchy(frames, basis, options=options, executor=runner).model.parameters,
        "all at once": fit_all_at_once(frames, basis, options=options, executor=runner).solution.parameters,
    }


def predicted(frames: Sequence[Frame], given: Parameters) -> dict[str, NDArray[np.float64]]:
    """Forces, stresses and energies of all frames."""
    found = Model(given).evaluate(frames)
    return {
        "force": np.concatenate([e.forces.ravel() for e in found]), "stress": np.concatenate([e.stress for e in found]),
        "energy": np.array([e.energy for e in found]),
    }  # fmt: skip


def apart(frames: Sequence[Frame], one: Parameters, other: Parameters, zeros: Mapping[str, float]) -> dict[str, float]:
    """Largest differences: of forces and stresses relative to their root mean squares, of energies in eV/atom."""
    a, b = predicted(frames, one), predicted(frames, other)
    shift = EV * np.array([sum(zeros[s] for s in f.species) for f in frames])
    energies = np.abs(b["energy"] - shift - a["energy"]) / np.array([len(f) for f in frames]) / EV
    relative = {k: float(np.abs(a[k] - b[k]).max() / np.sqrt(np.mean(np.square(a[k])))) for k in ("force", "stress")}
    return relative | {"energy": float(energies.max())}


def run(options: Options) -> dict[str, Any]:
    """Every regulariser and zero."""
    with as_file(files("hiertl_dist") / "data" / "cn_pbe.extxyz.gz") as shipped:
        frames = read_frames(shipped, group_key="config_type")
    if options.toy:
        kept: dict[str, list[Frame]] = {}
        for frame in frames:
            kept.setdefault(frame.composition, []).append(frame)
        frames = [f for own in kept.values() for f in own[:TOY_FRAMES]]
    basis = basis_of(options.sized(ORDERS, TOY_ORDERS))
    rows = []
    with threadpool_limits(1), executor("serial") as runner:
        for name, how in REGULARISERS.items():
            tell(f"  {name}")
            plain = models(frames, basis, how, runner)
            for label, zeros in ZEROS.items():
                other = models(moved(frames, zeros), basis, how, runner)
                rows += [
                    {"regulariser": name, "zero": label, "fit": fit, **apart(frames, plain[fit], other[fit], zeros)}
                    for fit in plain
                ]
    return {"frames": len(frames), "rows": rows}


def markdown(record: dict[str, Any]) -> str:
    """One table."""
    lines = [
        [r["regulariser"], r["zero"], r["fit"], *(f"{r[k]:.1e}" for k in ("force", "stress", "energy"))]
        for r in record["rows"]
    ]
    head = ["regulariser", "zero", "fit", "forces, relative", "stresses, relative", "energies, eV/atom"]
    return f"{record['frames']} frames\n\n{table(head, lines)}"


BENCHMARK: Final = Benchmark(
    "energy_zero", "How far forces, stresses and energies move with the zero of the energies.", run, markdown
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
