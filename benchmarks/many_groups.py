"""What names of groups by the thousand cost: number of summaries, their bytes, times of plan, fit and summaries.

Frames of a few carbon atoms, each trajectory of four frames a group of its own, imported into a data set. Everything is
done with groups pooled, as is the default, and with every group kept apart.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bench import Benchmark, Options, main, tell
from measure import figure, table

from hiertl_dist import Basis, Dataset, FitSettings, Frame, executor, fit_block, plan, summarise
from hiertl_dist.design_matrix.kept_summaries import kept_summaries, pooled_segments
from hiertl_dist.errors import HiertlWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hiertl_dist.algebra import Summary

GROUPS: Final = 5000
FRAMES: Final = 4
"""Of each group."""

ATOMS: Final = (4, 8)
"""The least of a frame, and the most."""

ORDERS: Final = {"two-body": (6, 0, 0), "two- and three-body": (6, 3, 0)}
SPACING: Final = 2.0
"""Å between the sites of a grid of 2 × 2 × 2, some of which have an atom."""

WIDTHS: Final = (487, 3747)
"""Columns of larger fits, of C and CN in ``paper_scale``."""

WAYS: Final = {"pooled": (), "apart": ("*",)}
"""Patterns of groups that are kept apart."""


def frames(groups: int) -> Iterator[Frame]:
    """Labelled at random: what a fit comes to is no matter here."""
    rng = np.random.default_rng(0)
    sites = SPACING * np.argwhere(np.ones((2, 2, 2)))
    for group in range(groups):
        for number in range(FRAMES):
            n = int(rng.integers(ATOMS[0], ATOMS[1] + 1))
            positions = sites[rng.permutation(len(sites))[:n]] + rng.uniform(-0.2, 0.2, (n, 3))
            yield Frame(
                ("C",) * n, positions, 2 * SPACING * np.eye(3), group=f"trajectory {group:05d}",
                energy=float(rng.normal()), forces=rng.normal(size=(n, 3)), stress=1e-3 * rng.normal(size=6),
                origin=f"trajectory {group:05d} {number}",
            )  # fmt: skip


def basis_of(orders: tuple[int, int, int]) -> Basis:
    """Carbon alone."""
    pairs = {"CC": {"rmin": 1.0, "rmax": 3.9, "lambda": 1.4}}
    three = {"three_body": {"rmax": 3.5}}
    return Basis.from_dict({"elements": ["C"], "orders": list(orders), "pairs": pairs, **three})


def kept(groups: Mapping[Any, Summary]) -> dict[str, int]:
    """Number of summaries, and the bytes of their numbers."""
    return {
        "summaries": len(groups),
        "bytes": sum(a.nbytes for s in groups.values() for a in s.to_arrays().values() if a.ndim == 2),
    }


def imported(options: Options) -> Callable[[], dict[str, Any]]:
    """Seconds of the import, and what is in the data set."""

    def work() -> dict[str, Any]:
        with executor("serial") as runner:
            began = time.perf_counter()
            data = Dataset.create(_place(options), frames(options.sized(GROUPS, 60)), executor=runner)
        return {"seconds": time.perf_counter() - began, "frames": len(data), "groups": len(data.facts.groups())}

    return work


def _place(options: Options) -> str:
    return str(options.scratch / "many.frames")


def passes(options: Options, orders: tuple[int, int, int], way: str) -> Callable[[], dict[str, Any]]:
    """Seconds of a plan, a fit and a pass into summaries, and what each keeps."""
    data, basis, apart = Dataset(_place(options)), basis_of(orders), WAYS[way]
    settings = FitSettings(regulariser={"kind": "ridge", "alpha": 1e-2}, apart=apart)

    def work() -> dict[str, Any]:
        found: dict[str, Any] = {}
        with executor("serial") as runner:
            if not apart:  # a plan alone knows of no settings
                clock = time.perf_counter()
                planned = plan(data, basis, executor=runner).as_dict()["summaries"]
                found["plan"] = {"seconds": time.perf_counter() - clock, "summaries": planned["count"]} | planned
            clock = time.perf_counter()
            fit = fit_block(data, basis, "C", settings=settings, executor=runner)
            found["fit"] = {"seconds": time.perf_counter() - clock, **kept(fit.summaries.groups)}
            found["rows"] = fit.solution.rows
            clock = time.perf_counter()
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".* are pooled as", HiertlWarning)  # which is the point here
                reduced = summarise(data, basis, executor=runner, apart=apart)
            found["summarise"] = {"seconds": time.perf_counter() - clock, **kept(reduced.groups)}
        return found

    return work


def foreseen(options: Options) -> Callable[[], dict[str, Any]]:
    """What a plan says that fits of more columns would keep; nothing is computed."""
    data = Dataset(_place(options))

    def work() -> dict[str, Any]:
        with executor("serial") as runner:
            planned = plan(data, basis_of(ORDERS["two-body"]), executor=runner)
        found: dict[str, Any] = {}
        for width in WIDTHS:
            for way, apart in WAYS.items():
                segments, pooling = pooled_segments(planned.segments, patterns=apart)
                found[f"{width} {way}"] = kept_summaries(segments, width + 1, pooling).as_dict() | {"columns": width}
        return found

    return work


def run(options: Options) -> dict[str, Any]:
    """The import, then each order in both ways."""
    record: dict[str, Any] = {"import": options.value(imported, options), "orders": {}, "absent": {}}
    for name, orders in ORDERS.items():
        tell(f"  {name}")
        record["orders"][name] = {way: options.value(passes, options, orders, way) for way in WAYS}
    record["foreseen"] = options.value(foreseen, options)
    return record


def markdown(record: dict[str, Any]) -> str:
    """A table: orders × ways × what is done."""
    made = record["import"]
    lines = [
        [orders, way, what, figure(c["seconds"]), c["summaries"], figure(c["bytes"] / 2**20)]
        for orders, ways in record["orders"].items() for way, done in ways.items() for what, c in done.items()
        if what != "rows"
    ]  # fmt: skip
    head = ["orders", "groups", "what", "s", "summaries", "MiB"]
    text = f"{made['frames']} frames of {made['groups']} groups, imported in {figure(made['seconds'])} s."
    wide = [[c["columns"], key.split()[1], c["count"], figure(c["bytes"] / 2**20)]
            for key, c in record["foreseen"].items()]  # fmt: skip
    more = table(["columns", "groups", "summaries of a fit, as a plan has them", "MiB"], wide)
    return f"{text}\n\n{table(head, lines)}\n\n{more}"


BENCHMARK: Final = Benchmark("many_groups", "What names of groups by the thousand cost.", run, markdown)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
