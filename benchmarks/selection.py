"""Thirty frames chosen by D-optimal selection against thirty at random: held-out errors on ``monbtaw``.

Two pools: tungsten (crystals at temperature of 54 atoms, strained cells of 2, surfaces) and niobium–molybdenum solid
solutions (16 atoms each). For each seed 30 % of the frames are laid aside as the test; of the rest, 30 are selected
from nothing but the basis, the weights and a ridge penalty, once by all rows as weighted in the fit and once by rows
of forces alone, and 30 are drawn at random, three times. Frames that are chosen are summarised and fitted by
themselves; each fit takes the alpha with the least error in 5-fold cross-validation of its own 30 frames. So that
sizes of frames can't decide, tungsten is also drawn with as many frames of each size as D-optimal selection took.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bench import Benchmark, Options, main, tell
from measure import figure, table

from hiertl_dist import Basis, Frame, Model, columns_of, read_frames
from hiertl_dist.algebra import Ridge
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting.summary_pass import summarise
from hiertl_dist.fitting.view_choice import view
from hiertl_dist.fitting.view_solutions import solve
from hiertl_dist.model_selection.cross_validation import cross_validate
from hiertl_dist.uncertainty.active_selection import select

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNT: Final = 30
ORDERS: Final = (12, 7, 3)
SEEDS: Final = 10
DRAWS: Final = 3
TEST: Final = 0.3
ALPHAS: Final = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
ALPHA: Final = 1e-2
"""Of the selection, before anything is fitted."""

WEIGHTS: Final = {"force": 1.0, "energy": 2.0, "stress": 100.0}
SELECTED: Final = {"D-optimal": WEIGHTS, "D-optimal, forces alone": {"energy": 0.0, "stress": 0.0}}
"""Weights of the rows by which frames are selected. Selection takes a row of weight w to have an error of 1 / w."""

WALL: Final = 1.2
"""Å: inner cutoff, below every distance of these data."""


@dataclass(frozen=True)
class Case:
    """A pool, and a test set of its own that the authors of the data laid aside."""

    name: str
    files: tuple[str, ...]
    test: str
    elements: tuple[str, ...]
    sizes_differ: bool

    def basis(self, orders: Sequence[int]) -> Basis:
        """One for all pairs, whatever their size."""
        names = ["".join(sorted((a, b))) for i, a in enumerate(self.elements) for b in self.elements[i:]]
        pairs = {p: {"rmin": WALL, "rmax": 6.0, "lambda": 2.8} for p in names}
        return Basis.from_dict({
            "elements": list(self.elements), "orders": list(orders), "transform": "MORSE", "cutoff": "TERSOFF 0.75",
            "pairs": pairs, "three_body": {"rmax": 5.0}, "four_body": {"rmax": 4.2},
        })  # fmt: skip


CASES: Final = (
    Case("W", ("W_AIMD", "W_Elastic", "W_Surface"), "W_Test", ("W",), True),
    Case("Nb–Mo", ("NbMo_SS",), "NbMo_Test", ("Mo", "Nb"), False),
)


def read(options: Options, names: Sequence[str]) -> list[Frame]:
    """All frames of some files; as a toy the first few."""
    folder, few = options.data / "monbtaw", options.sized(None, 30 // len(names))
    return [f for name in names for f in read_frames(folder / f"{name}.extxyz.gz", stop=few)]


def fitted(frames: Sequence[Frame], basis: Basis) -> tuple[Model, float]:
    """All blocks at once, with the alpha of least cross-validated error."""
    summaries = summarise(frames, basis, folds=5, executor=SerialExecutor())
    chosen = view(summaries, weights=WEIGHTS)
    found = cross_validate(chosen, [Ridge(a) for a in ALPHAS])
    scores = [np.inf if one.errors is None else one.errors.score() for one in found]
    alpha = ALPHAS[int(np.argmin(scores))]
    return Model(solve(chosen, Ridge(alpha)).parameters), alpha


def errors(model: Model, frames: Sequence[Frame]) -> dict[str, float]:
    """RMSE of forces (kcal/mol/Å) and energies (kcal/mol/atom), and the largest of each."""
    said = model.evaluate(frames)
    force = np.concatenate([(e.forces - f.forces).ravel() for e, f in zip(said, frames, strict=True)])
    energy = np.array([(e.energy - (f.energy or 0.0)) / len(f) for e, f in zip(said, frames, strict=True)])
    return {
        "force": float(np.sqrt(np.mean(force**2))), "energy": float(np.sqrt(np.mean(energy**2))),
        "worst force": float(np.abs(force).max()), "worst energy": float(np.abs(energy).max()),
    }  # fmt: skip


def drawn_with_atoms(pool: Sequence[Frame], sizes: Counter[int], rng: np.random.Generator) -> list[Frame]:
    """As many frames of each size as another choice has."""
    found = []
    for size, count in sorted(sizes.items()):
        own = [f for f in pool if len(f) == size]
        found += [own[i] for i in rng.permutation(len(own))[:count]]
    return found


def one_seed(case: Case, basis: Basis, frames: Sequence[Frame], apart: Sequence[Frame], seed: int, sized: Any) -> Any:
    """Selected and drawn frames of one split, each with what its fit errs by."""
    count, draws = sized
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(frames))
    cut = round(TEST * len(frames))
    test, pool = [frames[i] for i in order[:cut]], [frames[i] for i in order[cut:]]
    began = time.process_time()
    best = {
        way: [pool[p.index] for p in select(pool, count, basis, alpha=ALPHA, weights=own)]
        for way, own in SELECTED.items()
    }
    seconds = (time.process_time() - began) / len(SELECTED)
    sizes = Counter(len(f) for f in best["D-optimal"])
    ways = list(best.items())
    ways += [("random", [pool[i] for i in rng.permutation(len(pool))[:count]]) for _ in range(draws)]
    if case.sizes_differ:
        ways += [("random, same sizes", drawn_with_atoms(pool, sizes, rng)) for _ in range(draws)]
    found = []
    for way, own in ways:
        model, alpha = fitted(own, basis)
        found.append({
            "way": way, "seed": seed, "alpha": alpha, "atoms": sum(len(f) for f in own),
            "sources": dict(Counter(f.group for f in own)), "held out": errors(model, test),
            "their test": errors(model, apart),
        })  # fmt: skip
    return found, seconds


def run(options: Options) -> dict[str, Any]:
    """Every case, where the data are."""
    absent: dict[str, str] = {}
    cases: dict[str, Any] = {}
    seeds, count, draws, orders = options.sized((SEEDS, COUNT, DRAWS, ORDERS), (2, 8, 1, (5, 3, 0)))
    for case in CASES:
        if why := options.missing(*(f"monbtaw/{n}.extxyz.gz" for n in (*case.files, case.test))):
            absent[case.name] = why
            continue
        frames, apart = read(options, case.files), read(options, [case.test])
        basis = case.basis(orders)
        fits: list[dict[str, Any]] = []
        spent = []
        for seed in range(seeds):
            found, seconds = one_seed(case, basis, frames, apart, seed, (count, draws))
            fits += found
            spent.append(seconds)
            tell(f"selection: {case.name}, seed {seed}, selected in {seconds:.1f} CPU s")
        cases[case.name] = {
            "pool": len(frames) - round(TEST * len(frames)), "test": round(TEST * len(frames)), "count": count,
            "columns": len(columns_of(basis)), "seeds": seeds, "fits": fits,
            "select_seconds": statistics.median(spent), "wins": {way: wins(fits, way) for way in SELECTED},
        }  # fmt: skip
    return {"cases": cases, "absent": absent}


def wins(fits: Sequence[dict[str, Any]], way: str) -> dict[str, float]:
    """Share of random draws that a way of selecting in the same split errs less than, on held-out frames."""
    best = {f["seed"]: f for f in fits if f["way"] == way}
    others = [f for f in fits if f["way"] == "random"]
    return {
        k: sum(best[f["seed"]]["held out"][k] < f["held out"][k] for f in others) / len(others)
        for k in ("force", "energy", "worst force", "worst energy")
    }


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation."""
    return f"{figure(statistics.mean(values))} ± {figure(statistics.stdev(values), 2)}"


def markdown(record: dict[str, Any]) -> str:
    """Errors of each way of choosing, mean ± standard deviation over seeds and draws."""
    parts = []
    for name, case in record["cases"].items():
        lines = []
        for way in dict.fromkeys(f["way"] for f in case["fits"]):
            own = [f for f in case["fits"] if f["way"] == way]
            cells = [
                spread([f[where][k] for f in own]) for where in ("held out", "their test") for k in ("force", "energy")
            ]
            worst = [spread([f["held out"][k] for f in own]) for k in ("worst force", "worst energy")]
            lines.append([way, len(own), figure(statistics.mean(f["atoms"] for f in own)), *cells, *worst])
        head = [
            "frames", "fits", "atoms", "forces, held out", "energies, held out", "forces, their test",
            "energies, their test", "worst force, held out", "worst energy, held out",
        ]  # fmt: skip
        said = "; ".join(
            f"{way}: " + ", ".join(f"{k} {100 * v:.0f} %" for k, v in own.items()) for way, own in case["wins"].items()
        )
        parts.append(
            f"**{name}**: {case['count']} of {case['pool']} frames, {case['test']} held out, {case['seeds']} splits; "
            f"{case['columns']} columns; selecting takes {figure(case['select_seconds'])} CPU s. kcal/mol/Å and "
            f"kcal/mol/atom, mean ± standard deviation. Share of random draws with a larger held-out error: {said}."
        )
        parts.append(table(head, lines))
    return "\n\n".join(parts)


BENCHMARK: Final = Benchmark("selection", "D-optimal selection of 30 frames against random draws.", run, markdown)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
