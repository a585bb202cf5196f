"""Blocks of a level side by side, beside one after the other: a climb of 14 blocks here, and on 4 to 1000 workers.

Four elements as ``monbtaw`` has them (bcc cells of 54 atoms, 6 and 5 Å), a few frames for each of the 15 element sets;
labels are random, for only time is looked at. Here both ways take turns with the same two workers, and their
coefficients must be the same bits. For more workers the reductions are simulated as ``at_scale`` does it, from the
same measured costs: of each level one after the other and joined, the longest leaves first. Added to each verb (frames
looked at, rows reduced, equations solved, clusters counted) is what its beginning costs a dask scheduler for each
worker; solves are spread over the workers where they are joined, those of one block are not.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import time
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from at_scale import LATENCY, NAMES, SHARES, SPREAD
from bench import Benchmark, Options, main, median_ratio, tell
from clocked import tree_cpu
from launched import launch
from measure import figure, table
from scale_costs import calibrated
from simulated_cluster import Cluster, Pool, Ranks
from simulated_work import Costs, Level, Work, leaves_of

from hiertl_dist import Basis, FitSettings, Frame, HierarchyOptions, executor, fit_hierarchy
from hiertl_dist.design_matrix.fit_costs import solve_seconds
from hiertl_dist.executors.shares import fair_shares
from hiertl_dist.fitting import hierarchy
from hiertl_dist.model.blocks import blocks_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ELEMENTS: Final = ("Mo", "Nb", "Ta", "W")
EIGHT: Final = (*ELEMENTS, "Cr", "Hf", "Ti", "V")
ORDERS: Final = [12, 6, 0]
TOY_ORDERS: Final = [4, 2, 0]
FRAMES: Final = 12
"""Of each element set here; simulated are as many and twenty times as many."""

TURNS: Final = 3
WORKERS: Final = (2, 4, 16, 100, 1000)
KINDS: Final = ("processes", "dask", "mpi")
ROWS_A_FRAME: Final = 3 * 54 + 7
VERBS: Final = 4


def basis_of(elements: Sequence[str], orders: Sequence[int]) -> Basis:
    """Of all blocks of some metals."""
    pairs = {"".join(p): {"rmin": 1.8, "rmax": 6.0, "lambda": 2.8} for p in combinations_with_replacement(elements, 2)}
    return Basis.from_dict({
        "elements": list(elements), "orders": list(orders), "pairs": pairs, "three_body": {"rmax": 5.0}
    })  # fmt: skip


def frames_of(elements: Sequence[str], number: int) -> list[Frame]:
    """So many rattled bcc cells of each set of the elements."""
    rng = np.random.default_rng(0)
    corners = np.array(list(np.ndindex(3, 3, 3)), float)
    places = 3.2 * np.concatenate([corners, corners + 0.5])
    frames = []
    for many in range(1, len(elements) + 1):
        for chosen in combinations(elements, many):
            for _ in range(number):
                types = rng.permutation(np.resize(chosen, 54))
                positions = places + rng.normal(scale=0.12, size=places.shape)
                frames.append(Frame(
                    list(types), positions, 9.6 * np.eye(3), energy=float(rng.normal()),
                    forces=rng.normal(size=(54, 3)), stress=rng.normal(size=6), group="made",
                ))  # fmt: skip
    return frames


def climb(toy: bool, kind: str, workers: int, turns: int) -> dict[str, list[Any]]:
    """Wall and CPU seconds of climbs, by way, which take turns; and digests of what they came to."""
    elements = ELEMENTS[:2] if toy else ELEMENTS
    basis, frames = basis_of(elements, TOY_ORDERS if toy else ORDERS), frames_of(elements, 1 if toy else FRAMES)
    options = HierarchyOptions(FitSettings({"kind": "ridge", "alpha": 0.1}, {"stress": 100.0}, prior="mixed"))
    together = hierarchy.independent_blocks
    ways = {"apart": lambda todo, *_: todo[:1], "together": together}
    taken: dict[str, list[Any]] = {f"{way} {what}": [] for way in ways for what in ("wall", "cpu", "digest")}
    with executor(kind, workers=workers) as runner:
        fit_hierarchy(frames, basis_of(elements, [2, 1, 0]), options=options, executor=runner)  # kernels are loaded
        for _ in range(turns):
            for way, choose in ways.items():
                hierarchy.independent_blocks = choose  # type: ignore[assignment]
                began, cpu = time.perf_counter(), tree_cpu()
                model = fit_hierarchy(frames, basis, options=options, executor=runner).model
                taken[f"{way} wall"].append(time.perf_counter() - began)
                taken[f"{way} cpu"].append(tree_cpu() - cpu)
                taken[f"{way} digest"].append(hashlib.sha256(model.parameters.coefficients.tobytes()).hexdigest())
        hierarchy.independent_blocks = together
    return taken


def here(options: Options) -> list[dict[str, Any]]:
    """Climbs by two workers of each kind."""
    rows = []
    for kind in options.sized(KINDS, ("serial",)):
        ranks, turns = (2 if kind == "mpi" else 0), options.sized(TURNS, 1)
        args = options.toy, kind, options.sized(2, 1), turns
        answers = launch("levels:climb", args, options.scratch, ranks=ranks) if options.apart else [climb(*args)]
        wall = {way: [max(a[f"{way} wall"][t] for a in answers) for t in range(turns)] for way in ("apart", "together")}
        cpu = {way: [sum(a[f"{way} cpu"][t] for a in answers) for t in range(turns)] for way in ("apart", "together")}
        digests = {d for a in answers for way in ("apart", "together") for d in a[f"{way} digest"]}
        rows.append({
            "kind": kind, "wall": wall, "cpu": cpu, "digests": sorted(digests),
            "wall_ratio": median_ratio(wall["apart"], wall["together"]),
            "cpu_ratio": median_ratio(cpu["apart"], cpu["together"]),
        })  # fmt: skip
        tell(f"levels: {rows[-1]}")
    return rows


# ------------------------------------------------------------------ what is simulated


@dataclass(frozen=True, eq=False)
class Climb:
    """A hierarchy to be simulated: by level, the reduction of each block."""

    name: str
    levels: tuple[tuple[Work, ...], ...]


def climbs(options: Options, costs: Costs) -> Iterator[Climb]:
    """Four elements with few and many frames, eight elements up to ternaries."""
    cases = [("4 elements", ELEMENTS, FRAMES), ("4 elements", ELEMENTS, 20 * FRAMES), ("8 elements", EIGHT, FRAMES)]
    for name, elements, number in options.sized(cases, [("4 elements", ELEMENTS, 2)]):
        blocks = blocks_of(basis_of(elements, options.sized(ORDERS, TOY_ORDERS)))
        levels: dict[int, list[Work]] = {}
        for n, block in enumerate(blocks):
            size = len(block.name.elements)
            below = 2**size - 2
            width = block.n_columns + below + 1
            if block.n_columns:
                rows = leaves_of(number * ROWS_A_FRAME, width, ROWS_A_FRAME)
                levels.setdefault(size, []).append(Work(rows, width, SHARES, costs, spread=SPREAD * (1 + n % 3)))
        yield Climb(f"{name}, {number} frames a set", tuple(map(tuple, levels.values())))


def simulated(kind: str, level: Sequence[Work], workers: int) -> float:
    """Wall seconds of a level whose blocks are fitted side by side: reduction, solves, what verbs cost to begin."""
    costs, cluster = level[0].costs, Cluster(workers, latency=LATENCY[kind])
    work = Level(sorted(level, key=lambda own: -max(own.leaf)))
    outcome = Pool(work, cluster).run() if kind == "dask" else Ranks(work, cluster).run()
    if outcome.rows != sum(int(own.rows.sum()) for own in level):
        raise RuntimeError(f"expected each row once, found {outcome.rows}")
    solves = [solve_seconds(own.columns) for own in level]
    beginning = (VERBS - 1) * costs.join * workers if kind == "dask" else 0.0
    looks = sum(float(own.rows.sum()) for own in level) / ROWS_A_FRAME * costs.look / workers
    return (
        outcome.wall + max(sum(solves[i] for i in share) for share in fair_shares(solves, workers)) + beginning + looks
    )


def cases(options: Options, costs: Costs) -> list[dict[str, Any]]:
    """Wall seconds of climbs by way, kind and number of workers."""
    found = []
    for climb_of in climbs(options, costs):
        for workers in options.sized(WORKERS, (2, 4)):
            for kind in LATENCY:
                apart = sum(simulated(kind, [own], workers) for level in climb_of.levels for own in level)
                together = sum(simulated(kind, level, workers) for level in climb_of.levels)
                ideal = sum(own.total for level in climb_of.levels for own in level) / workers
                found.append({
                    "climb": climb_of.name, "blocks": sum(map(len, climb_of.levels)), "kind": kind, "workers": workers,
                    "apart": apart, "together": together, "ideal": ideal,
                })  # fmt: skip
    return found


def run(options: Options) -> dict[str, Any]:
    """Here, then simulated."""
    rows = here(options)
    if (why := options.missing("cn_dft", "cn_dft/ALC-3.params.txt")) is not None:
        return {"here": rows, "cases": [], "absent": {"more workers": why}}
    costs, _ = calibrated(options)
    return {"here": rows, "cases": cases(options, costs), "absent": {}}


def markdown(record: dict[str, Any]) -> str:
    """Two tables."""
    rows = [
        [r["kind"], *(figure(statistics.median(r[what][way])) for what in ("wall", "cpu") for way in r[what]),
         figure(r["wall_ratio"]), figure(r["cpu_ratio"]), "yes" if len(r["digests"]) == 1 else "**no**"]
        for r in record["here"]
    ]  # fmt: skip
    parts = [table(["two workers", "wall s, one after the other", "side by side", "CPU s, one after the other",
                    "side by side", "wall, ratio", "CPU, ratio", "same bits"], rows)]  # fmt: skip
    if record["cases"]:
        parts.append(table(
            ["climb (simulated)", "blocks", "workers", "who", "wall s, one after the other", "side by side", "ratio",
             "work ÷ workers, s"],
            [[c["climb"], c["blocks"], c["workers"], NAMES[c["kind"]], figure(c["apart"]), figure(c["together"]),
              figure(c["apart"] / c["together"]), figure(c["ideal"])] for c in record["cases"]],
        ))  # fmt: skip
    parts += [f"- not measured: {name}: {why}" for name, why in record["absent"].items()]
    return "\n\n".join(parts)


BENCHMARK: Final = Benchmark(
    "levels", "Blocks of a level side by side, beside one after the other: climbs here, and simulated.", run, markdown
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
