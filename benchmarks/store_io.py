"""The store's tiles, written and read, beside ``tofile``, ``fromfile`` and one CRC32C, ``numpy.memmap``, and zarr.

Each way of writing makes a file that was not there; warm reads find it in the page cache; cold ones come after fsync
and ``POSIX_FADV_DONTNEED``. All ways take turns in one process, and ratios are those of times taken in the same turn.
Writing and reading warm is counted in CPU seconds, of all threads, and reading cold in wall seconds, for it waits.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import zarr
from bench import Benchmark, Options, main, median_ratio, tell
from measure import MB, figure, table

from hiertl_dist.design_matrix.store import DesignStore
from hiertl_dist.design_matrix.store_layout import TileSpec
from hiertl_dist.files.chunks import crc32c

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Ways = Mapping[str, Callable[[], Any]]

ARRAY: Final = "blocks/CN"
REPEATS: Final = 15


class Shape(NamedTuple):
    """A tile: rows × columns, in chunks of so many rows."""

    rows: int
    columns: int
    chunk_rows: int


SHAPES: Final = {
    "wide": Shape(840, 3747, 840), "narrow": Shape(6459, 487, 6459), "narrow, large": Shape(16384, 487, 16384),
    "wide, three chunks": Shape(840, 3747, 280),
}  # fmt: skip
TOY: Final = {"wide": Shape(8, 37, 8), "wide, three chunks": Shape(8, 37, 3)}

STEPS: Final = {
    "write": ("cpu", "tofile, CRC32C", 0.7), "read warm": ("cpu", "fromfile, CRC32C", 0.7),
    "read cold": ("wall", "memmap, copied", 0.8),
}  # fmt: skip
"""What is measured of each step, what the store is held against, and at least at which ratio of speeds."""


def drop(path: Path) -> None:
    """Have the page cache forget a file."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Turns:
    """Times of each step's ways, turn by turn."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, list[dict[str, float]]]] = {}

    def take(self, step: str, ways: Ways) -> None:
        for name, work in ways.items():
            cpu, wall = time.process_time(), time.perf_counter()
            work()
            took = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
            self.found.setdefault(step, {}).setdefault(name, []).append(took)


def checked(data: NDArray[np.float64]) -> NDArray[np.float64]:
    """The data, after one pass that sums up its CRC32C."""
    crc32c(data)
    return data


def timing(options: Options, shape: Shape) -> Callable[[], dict[str, dict[str, list[dict[str, float]]]]]:
    """Every step and way for one shape of tile, in turn."""
    folder = options.scratch / f"{shape.rows}-{shape.columns}-{shape.chunk_rows}"
    store = DesignStore.create(folder / "store", {}, "none", "refuse")
    store.prepare([TileSpec(ARRAY, "ours", shape.rows, shape.columns)], {ARRAY: shape.chunk_rows})
    plain = zarr.create_array(
        folder / "plain", shape=(shape.rows, shape.columns), chunks=(shape.chunk_rows, shape.columns), dtype="float64",
        compressors=[zarr.codecs.Crc32cCodec()], config={"write_empty_chunks": True},
    )  # fmt: skip
    raw, layout = folder / "raw", store.layout()
    data = np.random.default_rng(0).normal(size=(shape.rows, shape.columns))
    wider = np.empty((shape.rows, shape.columns + 3))

    def files() -> list[Path]:
        return [raw, *(p for f in (store.path / ARRAY, folder / "plain") for p in (f / "c").rglob("*") if p.is_file())]

    def write_ways() -> Ways:
        return {
            "tofile, CRC32C": lambda: checked(data).tofile(raw),
            "store": lambda: store.write(ARRAY, "ours", data, layout),
            "zarr": lambda: plain.__setitem__(slice(None), data),
        }

    def read_ways() -> Ways:
        return {
            "fromfile, CRC32C": lambda: checked(np.fromfile(raw)),
            "store": lambda: store.read(ARRAY, "ours", layout),
            "store, into a wider array": lambda: store.read(ARRAY, "ours", layout, wider[:, : shape.columns]),
            "zarr": lambda: plain[:],
            "memmap, copied": lambda: np.array(np.memmap(raw)),
            "memmap, summed": lambda: np.memmap(raw, np.float64).sum(),
        }

    def turn(turns: Turns) -> None:
        turns.take("write", write_ways())
        turns.take("read warm", read_ways())
        for name, way in read_ways().items():
            for path in files():
                drop(path)
            turns.take("read cold", {name: way})
        for path in files():
            path.unlink()

    def work() -> dict[str, dict[str, list[dict[str, float]]]]:
        turn(Turns())
        turns = Turns()
        for _ in range(options.sized(REPEATS, 1)):
            turn(turns)
        return turns.found

    return work


def derived(shape: Shape, found: dict[str, dict[str, list[dict[str, float]]]]) -> dict[str, Any]:
    """Median seconds and MB/s of each way; the store's speed as a ratio of what it is held against."""
    steps: dict[str, Any] = {}
    nbytes = 8 * shape.rows * shape.columns
    for step, (clock, against, least) in STEPS.items():
        turns = {way: [t[clock] for t in times] for way, times in found[step].items()}
        medians = {way: statistics.median(times) for way, times in turns.items()}
        ways = {
            way: {"seconds": s, "mb_per_second": nbytes / MB / s if s else None, "turns": found[step][way]}
            for way, s in medians.items()
        }
        ratio = median_ratio(turns[against], turns["store"])
        steps[step] = {"clock": clock, "against": against, "least": least, "ratio": ratio, "ways": ways}
    return {**shape._asdict(), "nbytes": nbytes, "steps": steps}


def run(options: Options) -> dict[str, Any]:
    """Every shape in a process of its own."""
    shapes = {}
    for name, shape in options.sized(SHAPES, TOY).items():
        shapes[name] = derived(shape, options.value(timing, options, shape, warm=False))
        tell(f"store, {name}: " + ", ".join(f"{s} {v['ratio']:.2f}" for s, v in shapes[name]["steps"].items()))
    return {"shapes": shapes}


def step_rows(name: str, case: dict[str, Any]) -> list[list[Any]]:
    """The lines of one shape: a step each."""
    size = f"{name} ({case['rows']} × {case['columns']}, {case['nbytes'] / 2**20:.0f} MiB)"
    lines = []
    for step, found in case["steps"].items():
        speed = {way: figure(v["mb_per_second"]) for way, v in found["ways"].items()}
        ratio = f"{figure(found['ratio'], 2)} (≥ {found['least']})"
        into = speed.get("store, into a wider array")
        lines.append([
            size, f"{step}, {found['clock']}", figure(1e3 * found["ways"]["store"]["seconds"]), speed["store"], into,
            f"{found['against']}: {speed[found['against']]}", ratio, speed["zarr"], speed.get("memmap, summed"),
        ])  # fmt: skip
    return lines


def markdown(record: dict[str, Any]) -> str:
    """One line for each shape and step."""
    head = ["tile", "step, clock", "store, ms", "store, MB/s", "into a wider array", "held against", "ratio", "zarr",
            "memmap, summed"]  # fmt: skip
    return table(head, [line for name, case in record["shapes"].items() for line in step_rows(name, case)])


BENCHMARK: Final = Benchmark(
    "store_io", "Tiles of the store, one process, MB/s; warm by CPU seconds, cold by wall seconds.", run, markdown
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
