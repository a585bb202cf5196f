"""What planning costs beside the rows that are planned: CPU seconds a frame, where nothing of the frames is known yet.

Each plan has frames that were just read, so that digests, which name segments, are made in it; or those of a data set
on disk, which has digests and facts. Rows are those of every block in every frame that has its elements, as a plan for
a fit of all blocks at once has them.
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any, Final

from bench import Benchmark, Options, absent_lines, interleaved, main, median_ratio, tell
from measure import figure, table

from hiertl_dist import Basis, Dataset, blocks_of, executor, plan, read_fm_setup, read_frames
from hiertl_dist.evaluation.compiled_basis import compile_recipe
from hiertl_dist.evaluation.frame_rows import rows_of
from hiertl_dist.frames.frame_table import table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hiertl_dist import Frame

ORDERS: Final = {"two-body": (8, 0, 0), "two- and three-body": (8, 4, 0)}
CUTOFFS: Final = {"carbon": (0.9, 5.0, 4.0), "cn_pbe": (0.6, 5.0, 4.0), "hydrogen": (0.5, 4.0, 3.0)}
"""Å: the inner cutoff, which no pair of atoms is inside of; the outer one of pairs, and of three-body clusters."""

FRAMES: Final = 3000
"""Of each set, some of them more than once where it has fewer."""

REPEATS: Final = 5


def _frames(options: Options, name: str) -> list[Frame]:
    if name != "cn_pbe":
        return list(read_fm_setup(options.data / name / "fm_setup.in").frames)
    with as_file(files("hiertl_dist") / "data" / "cn_pbe.extxyz.gz") as shipped:
        return list(read_frames(shipped, group_key="config_type"))


def basis_of(elements: Sequence[str], orders: Sequence[int], cutoffs: tuple[float, float, float]) -> Basis:
    """Pairs of all of these elements, alike."""
    pair = {"rmin": cutoffs[0], "rmax": cutoffs[1], "lambda": 1.6}
    pairs = {a + b: pair for i, a in enumerate(elements) for b in elements[i:]}
    return Basis.from_dict(
        {"elements": list(elements), "orders": list(orders), "pairs": pairs, "three_body": {"rmax": cutoffs[2]}}
    )


def timing(options: Options, name: str) -> Callable[[], dict[str, Any]]:
    """CPU milliseconds a frame of plan and rows, by orders, in turn."""
    every = _frames(options, name)
    number = options.sized(FRAMES, 4)
    # what a plan takes once, a few milliseconds, is shared by as many frames in each set
    frames = [every[k * len(every) // number] for k in range(number)]
    elements = sorted(set().union(*(f.elements for f in frames)))
    repeats = options.sized(REPEATS, 1)

    place = options.scratch / f"planning {name}.frames"
    with executor("serial") as runner:
        Dataset.create(place, frames, executor=runner)

    def work() -> dict[str, Any]:
        found: dict[str, Any] = {"frames": len(frames), "atoms": statistics.mean(map(len, frames)), "orders": {}}
        for label, orders in ORDERS.items():
            basis = basis_of(elements, orders, CUTOFFS[name])
            by_blocks: dict[tuple[str, ...], list[Frame]] = defaultdict(list)
            for frame in frames:
                present = tuple(b.name for b in blocks_of(basis) if b.name.is_subset(frame.element_set))
                by_blocks[present].append(frame)
            fresh = iter([list(table_of(frames)) for _ in range(repeats + 1)])

            def rows(parts: Any = by_blocks, basis: Basis = basis) -> None:
                for present, own in parts.items():
                    for frame in own:
                        rows_of([frame], compile_recipe(basis, present), kept="planning")

            with executor("serial") as runner:

                def planning(basis: Basis = basis, fresh: Any = fresh, runner: Any = runner) -> None:
                    plan(next(fresh), basis, executor=runner)

                def of_data_set(basis: Basis = basis, runner: Any = runner) -> None:
                    plan(Dataset(place), basis, executor=runner)

                planning()
                of_data_set()
                rows()
                cpu = interleaved({"plan": planning, "data set": of_data_set, "rows": rows}, repeats)
            found["orders"][label] = {
                "plan_ms": 1e3 * statistics.median(cpu["plan"]) / len(frames),
                "data_set_ms": 1e3 * statistics.median(cpu["data set"]) / len(frames),
                "rows_ms": 1e3 * statistics.median(cpu["rows"]) / len(frames),
                "ratio": median_ratio(cpu["plan"], cpu["rows"]),
                "data_set_ratio": median_ratio(cpu["data set"], cpu["rows"]),
            }
        return found

    return work


def run(options: Options) -> dict[str, Any]:
    """Every set that is there."""
    sets, absent = {}, {}
    for name in CUTOFFS:
        why = None if name == "cn_pbe" else options.missing(name)
        if why:
            absent[f"`{name}`"] = why
            continue
        tell(f"  {name}")
        sets[name] = options.value(timing, options, name)
    return {"sets": sets, "absent": absent}


def _share(ratio: float | None) -> str | None:
    return None if ratio is None else f"{100 * ratio:.1f} %"


def markdown(record: dict[str, Any]) -> str:
    """One table."""
    lines = [
        [f"`{name}`", own["frames"], figure(own["atoms"]), label, figure(c["rows_ms"]), figure(c["plan_ms"]),
         _share(c["ratio"]), figure(c["data_set_ms"]), _share(c["data_set_ratio"])]
        for name, own in record["sets"].items() for label, c in own["orders"].items()
    ]  # fmt: skip
    head = [
        "set", "frames", "atoms", "orders", "rows, ms a frame", "plan of a list", "÷ rows", "plan of a data set",
        "÷ rows",
    ]  # fmt: skip
    return f"{table(head, lines)}\n\n{absent_lines(record['absent'])}".rstrip()


BENCHMARK: Final = Benchmark("planning", "What planning costs beside the rows that are planned.", run, markdown)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
