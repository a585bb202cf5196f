"""How well the plan foresees a tile's time: predicted beside measured CPU seconds of single frames, 2 to 1 024 atoms.
And the same of evaluating a fitted model, by which models of a search are compared.

Each frame is planned and made alone, so that nothing averages out; the measured figure is the median of three. What
balances workers is that tiles are wrong by the same factor, so shares within ±30 % are given twice: as predicted, and
with the median factor of all frames of the run (how this machine differs from the one that the model was made on).
Models are evaluated on frames of the same sets, with the orders of a ladder and with cluster types left out, and on
crystals of one to four elements whose density, orders, cutoffs and cluster types are drawn at random, seeded.
"""

from __future__ import annotations

import itertools
import statistics
import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bench import BAND, Benchmark, Options, interleaved, main, near, tell
from cn_dft_chain import FILES, read_problem
from made import crystal, relabelled
from measure import figure, table
from scipy.optimize import nnls

from hiertl_dist import Basis, Input, Model, Parameters, blocks_of, plan, read_fm_setup, read_frames
from hiertl_dist.evaluation.compiled_basis import compile_recipe
from hiertl_dist.evaluation.costs import evaluation_seconds, evaluation_turns
from hiertl_dist.evaluation.frame_rows import rows_of, scan_frame
from hiertl_dist.evaluation.row_costs import count_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hiertl_dist import Frame

REPEATS: Final = 3
CELLS: Final = (1, 2, 3, 4, 5, 6, 7, 8)
MOST: Final = 24
"""Frames of a set, evenly spread over it."""

METALS: Final = {
    "elements": ["Mo", "Ta"], "orders": [12, 6, 3], "cutoff": "TERSOFF 0.75",
    "pairs": {p: {"rmin": 1.5, "rmax": 6.0, "lambda": 2.6} for p in ("MoMo", "TaTa", "MoTa")},
    "three_body": {"rmax": 5.0}, "four_body": {"rmax": 4.5},
}  # fmt: skip
"""No authors' basis is known for ``monbtaw``; this one has 2+3+4 bodies."""


LADDER: Final = ((4, 0, 0), (25, 0, 0), (8, 3, 0), (12, 6, 0), (12, 10, 0), (10, 4, 2), (12, 6, 3), (16, 8, 4))
"""Two-, three- and four-body orders of the models that are evaluated on the frames of a set."""

EVALUATED: Final = 3
"""Frames of a set that models are evaluated on."""

DRAWN: Final = 150
"""Models drawn at random."""

DRAWN_ELEMENTS: Final = ("C", "H", "N", "O")
LONGEST: Final = 2.0
"""Predicted CPU seconds above which a draw is made again."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Frames and a basis; each frame is planned for the block of exactly its elements."""

    frames: Sequence[Frame]
    basis: Basis

    def spread(self, most: int) -> DataSet:
        """At most so many of its frames, evenly spread."""
        step = max(1, -(-len(self.frames) // most))
        return DataSet(self.frames[::step], self.basis)


def _crystals(options: Options, element: str | None = None) -> DataSet:
    frames = [crystal(cells, seed) for cells in options.sized(CELLS, CELLS[:2]) for seed in range(2)]
    folder = options.data / "cn_dft"
    if element is None:
        return DataSet(frames, read_problem(folder, 1).basis)
    return DataSet([relabelled(f, element) for f in frames], Model.read(folder / FILES[element]).parameters.basis)


def _cn_dft(options: Options, element: str | None = None) -> DataSet:
    problem = read_problem(options.data / "cn_dft", 6)
    if element is None:
        return DataSet(problem.frames, problem.basis)
    frames = [relabelled(f, element) for f in problem.frames]
    return DataSet(frames, Model.read(options.data / "cn_dft" / FILES[element]).parameters.basis)


def _cn_pbe(_: Options) -> DataSet:
    from importlib.resources import files

    with_demo = Input.from_toml(str(files("hiertl_dist").joinpath("data", "demo.toml")))
    return DataSet(with_demo.read_frames()[0], with_demo.basis)


def _hydrogen(options: Options) -> DataSet:
    setup = read_fm_setup(options.data / "hydrogen" / "fm_setup.in")
    return DataSet(setup.frames, setup.basis)


def _metals(options: Options) -> DataSet:
    names = ("MoTa_SS", "Mo_AIMD", "Ta_AIMD")
    frames = [f for name in names for f in read_frames(options.data / "monbtaw" / f"{name}.extxyz.gz")]
    return DataSet(frames, Basis.from_dict(METALS))


SETS: Final[dict[str, tuple[str | None, Callable[[Options], DataSet]]]] = {
    "crystals, CN": ("cn_dft", _crystals),
    "crystals, C": ("cn_dft", lambda options: _crystals(options, "C")),
    "`cn_dft`": ("cn_dft", _cn_dft),
    "`cn_dft`, all C": ("cn_dft", lambda options: _cn_dft(options, "C")),
    "`cn_dft`, all N": ("cn_dft", lambda options: _cn_dft(options, "N")),
    "`cn_pbe`": (None, _cn_pbe),
    "`hydrogen`": ("hydrogen", _hydrogen),
    "`monbtaw`: Mo, Ta": ("monbtaw", _metals),
}
"""Name → the folder of the data it needs, and what makes it."""


def comparing(options: Options, name: str) -> Callable[[], list[dict[str, Any]]]:
    """Predicted and measured CPU seconds of every frame of a set."""
    data = SETS[name][1](options).spread(options.sized(MOST, 3))

    def work() -> list[dict[str, Any]]:
        found = []
        for frame in data.frames:
            block = "".join(sorted(frame.elements))
            # what is inside an inner cutoff costs the same
            planned = plan([frame], data.basis, blocks=[block], needs={(block, block)}, policy="damp")
            recipe = compile_recipe(data.basis, (block,))

            def rows(frame: Frame = frame, recipe: Any = recipe) -> None:
                rows_of([frame], recipe, "damp")

            rows()
            cpu = interleaved({"rows": rows}, options.sized(REPEATS, 1))["rows"]
            found.append({
                "atoms": len(frame), "block": block, "predicted": planned.tiles[0].seconds,
                "measured": statistics.median(cpu), "turns": count_turns(frame, scan_frame(frame, recipe), recipe),
            })  # fmt: skip
        return found

    return work


def evaluated(frame: Frame, basis: Basis, repeats: int) -> dict[str, Any]:
    """Predicted and measured CPU seconds of one model with known coverage on one frame."""
    recipe = compile_recipe(basis)
    scan = scan_frame(frame, recipe, {b.name: compile_recipe(basis, (b.name,)) for b in blocks_of(basis)})
    values = np.random.default_rng(recipe.n_columns).standard_normal(recipe.n_columns)
    model = Model(Parameters(basis, values, coverage=scan.ranges))
    model.evaluate(frame, missing="zero")
    cpu = interleaved({"evaluate": lambda: model.evaluate(frame, missing="zero")}, repeats)["evaluate"]
    return {
        "atoms": len(frame), "elements": len(basis.elements), "columns": recipe.n_columns,
        "orders": [max((t.order for t in basis.types if t.body == body), default=0) for body in (2, 3, 4)],
        "types": len(basis.types), "families": len(recipe.families),
        "predicted": evaluation_seconds(frame, scan, recipe), "measured": statistics.median(cpu),
        "turns": evaluation_turns(frame, scan, recipe),
    }  # fmt: skip


def lowered(basis: Basis, orders: Sequence[int], without: int = 0) -> Basis:
    """The basis with other orders, of each body; of the many-body types the last ``without`` are left out."""
    kept = [t for t in basis.types if t.body == 1 or orders[t.body - 2] > 0]
    chosen = [replace(t, order=orders[t.body - 2]) if t.body > 1 else t for t in kept]
    many = [t.elements for t in chosen if t.body > 2]
    left_out = many[len(many) - without :]
    return basis.with_types(t for t in chosen if t.elements not in left_out)


def evaluating(options: Options, name: str) -> Callable[[], list[dict[str, Any]]]:
    """Models of the ladder on some frames of a set, with all their cluster types and with half of them."""
    data = SETS[name][1](options).spread(options.sized(EVALUATED, 1))

    def work() -> list[dict[str, Any]]:
        found = []
        for frame in data.frames:
            own = data.basis.restricted(frame.elements)
            for orders in options.sized(LADDER, LADDER[-3:-2]):
                basis = lowered(own, orders)
                half = sum(t.body > 2 for t in basis.types) // 2
                for some in [basis, lowered(own, orders, half)][: 1 + (half > 0)]:
                    found.append(evaluated(frame, some, options.sized(REPEATS, 1)))
        return found

    return work


def drawn(seed: int) -> tuple[Frame, Basis]:
    """A crystal of one to four elements and a basis, both at random."""
    rng = np.random.default_rng((seed, 4))
    elements = DRAWN_ELEMENTS[: rng.integers(1, 5)]
    made, size = crystal(int(rng.integers(1, 6)), seed), rng.uniform(0.9, 1.3)
    species = rng.choice(elements, len(made), p=rng.dirichlet(np.full(len(elements), 2.0)))
    cell = size * np.asarray(made.cell)
    frame = replace(made, species=tuple(species.tolist()), positions=size * made.positions, cell=cell)
    names = ["".join(p) for p in itertools.combinations_with_replacement(elements, 2)]
    far = rng.uniform(4.5, 8.0)
    basis = Basis.from_dict({
        "elements": list(elements), "cutoff": str(rng.choice(["TERSOFF 0.75", "CUBIC"])),
        "orders": [int(rng.integers(2, 26)), int(rng.choice([0, *range(2, 11)])), int(rng.choice([0, 2, 3, 4]))],
        "pairs": {p: {"rmin": 0.5, "rmax": far, "lambda": 1.5} for p in names},
        "three_body": {"rmax": min(far, rng.uniform(3.5, 5.5))},
        "four_body": {"rmax": min(far, rng.uniform(3.0, 4.5))},
    })  # fmt: skip
    kept = rng.choice([1.0, 0.9, 0.6])
    types = [t for t in basis.types if t.body < 3 or rng.random() < kept]
    if rng.random() < 0.3:
        types = [replace(t, order=max(2, t.order - int(rng.integers(0, 2)))) if t.body > 2 else t for t in types]
    return frame, basis.with_types(types)


def evaluating_drawn(options: Options) -> Callable[[], list[dict[str, Any]]]:
    """Models drawn at random, each on a crystal of its own."""

    def work() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for seed in itertools.count():
            frame, basis = drawn(seed)
            recipe = compile_recipe(basis)
            if evaluation_seconds(frame, scan_frame(frame, recipe), recipe) < options.sized(LONGEST, 0.05):
                found.append(evaluated(frame, basis, options.sized(REPEATS, 1)))
            if len(found) == options.sized(DRAWN, 2):
                break
        return found

    return work


def run(options: Options) -> dict[str, Any]:
    """Every set in a process of its own."""
    tiles: dict[str, list[dict[str, Any]]] = {}
    models = {"drawn at random": options.value(evaluating_drawn, options)}
    absent = {}
    for name, (folder, _) in SETS.items():
        if folder is not None and (why := options.missing(folder)) is not None:
            absent[name] = why
            continue
        tiles[name] = options.value(comparing, options, name)
        models[name] = options.value(evaluating, options, name)
        factors = [f"{_factor(own[name]):.2f}" for own in (tiles, models)]
        tell(f"cost of {name}: measured {factors[0]} × predicted, of evaluating its models {factors[1]}")
    every, all_models = ([t for own in kept.values() for t in own] for kept in (tiles, models))
    return {
        "factor": _factor(every), "tiles": tiles, "absent": absent, "refit_nanoseconds": refit(every),
        "evaluation_factor": _factor(all_models), "models": models, "refit_evaluation_nanoseconds": refit(all_models),
    }  # fmt: skip


def refit(tiles: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What ``row_costs.NANOSECONDS``, or that of evaluations, would be after this run: non-negative least squares of
    the relative errors."""
    loops = sorted({loop for tile in tiles for loop in tile["turns"]})
    turns = np.array([[tile["turns"].get(loop, 0.0) / tile["measured"] for loop in loops] for tile in tiles])
    scale = np.linalg.norm(turns, axis=0)
    found, _ = nnls(turns / scale, np.ones(len(tiles)))
    return {loop: float(f"{1e9 * c / s:.3g}") for loop, c, s in zip(loops, found, scale, strict=True)}


def _ratios(tiles: Sequence[dict[str, Any]]) -> list[float]:
    return [t["measured"] / t["predicted"] for t in tiles]


def _factor(tiles: Sequence[dict[str, Any]]) -> float:
    return statistics.median(_ratios(tiles))


def markdown(record: dict[str, Any]) -> str:
    """By set and, for the crystals, by size."""

    def line(name: str, tiles: Sequence[dict[str, Any]], factor: float = record["factor"]) -> list[Any]:
        ratios = _ratios(tiles)
        shares = [sum(near(r / f) for r in ratios) / len(ratios) for f in (1.0, factor)]
        return [
            name, len(tiles), figure(1e3 * statistics.median(t["measured"] for t in tiles)), figure(min(ratios)),
            figure(statistics.median(ratios)), figure(max(ratios)), *(f"{100 * s:.0f} %" for s in shares),
        ]  # fmt: skip

    rows = [line(name, tiles) for name, tiles in record["tiles"].items()]
    by_size: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name in ("crystals, CN", "crystals, C"):
        for tile in record["tiles"].get(name, ()):
            by_size[f"{name}: {tile['atoms']} atoms"].append(tile)
    rows.append(line("**all**", [t for own in record["tiles"].values() for t in own]))

    def head(what: str, factor: float) -> list[str]:
        return ["frames", "number", f"CPU ms {what}", "measured / predicted: least", "median", "most",
                f"within ±{100 * BAND:.0f} %", f"divided by {figure(factor)}"]  # fmt: skip

    models, own = record["models"], record["evaluation_factor"]
    every = [m for some in models.values() for m in some]
    return "\n\n".join([
        table(head("a frame", record["factor"]), rows),
        table(head("a frame", record["factor"]), [line(n, t) for n, t in by_size.items()]),
        "Evaluating models on frames of these sets:",
        table(head("an evaluation", own), [line(n, m, own) for n, m in [*models.items(), ("**all**", every)]]),
    ])  # fmt: skip


BENCHMARK: Final = Benchmark("cost_model", "The plan's cost model against the clock.", run, markdown)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
