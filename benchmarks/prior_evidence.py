"""Whether evidence chooses a prior: its mean, γ and decay, beside the rule of ``auto`` and the errors that follow.

Each of nine priors is fitted by Bayesian ridge, which seeks α and the noise, and that of the largest evidence is taken:
with the weights of the benchmark ``transfer``, and with weights by evidence. Probes are no data, so evidence has none.
What its choice says of the probe structures, which are hot, is compared with their mixed mean.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

import bench
import numpy as np
from bench import Benchmark, Options, tell
from measure import figure, table
from threadpoolctl import threadpool_limits
from transfer import mean_of, spread_of
from transfer_curves import ALLOY, BINARIES, HELD_OUT, UNARY_KINDS, alloy_basis, cn_basis, shipped_frames
from transfer_curves import trajectories_out as cn_draws
from transfer_fits import Cross, Predicted, System, read_groups

from hiertl_dist import Prior, solve, view
from hiertl_dist.executors import executor
from hiertl_dist.model.mixing import prior_mean
from hiertl_dist.units import EV

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hiertl_dist import Frame, Parameters
    from hiertl_dist.executors.base import Executor

BAYESIAN: Final = {"kind": "bayesian_ridge"}
MEANS: Final = {"zero": {"mean": "zero"}, "half": {"mean": "mixed", "gamma": 0.5}, "mixed": {"mean": "mixed"}}
DECAYS: Final = (0.0, 0.1, 0.3)
SEED: Final = 303
"""Of the draws: others than those on which the rule of ``auto`` was chosen."""


def priors() -> dict[tuple[str, float], Prior]:
    """By mean and strength of an exponential decay."""
    return {
        (name, s): Prior.of({**mean, "decay": "exponential", "strength": s})
        for name, mean in MEANS.items() for s in DECAYS
    }  # fmt: skip


def draws(options: Options, runner: Executor) -> Iterator[tuple[str, Cross, list[Frame], Predicted]]:
    """Which data, the block, the pool in the order in which it is added, and what is predicted."""
    orders = options.sized((12, 6, 0), (4, 3, 0))
    frames = shipped_frames()
    mixed = [f for f in frames if len(f.elements) == 2]
    unary = [f for f in frames if len(f.elements) == 1][:: options.sized(1, 6)]
    cross = Cross(System(cn_basis(orders), unary, runner), "CN")
    for _, pool, test in cn_draws(mixed, options.sized(4, 1)):
        yield "C/N", cross, pool, Predicted.of(cross, test)
    if options.missing("monbtaw"):
        return
    folder = options.data / "monbtaw"
    unary = [f for e in ALLOY for fs in read_groups(folder, [f"{e}_{k}" for k in UNARY_KINDS]).values() for f in fs]
    system = System(alloy_basis(orders), unary[:: options.sized(1, 20)], runner)
    for name in options.sized(BINARIES, BINARIES[:1]):
        own = read_groups(folder, [f"{name}_SS"])[f"{name}_SS"]
        order = np.random.default_rng([SEED, 0]).permutation(len(own))
        frames, cross = [own[i] for i in order], Cross(system, name)
        yield "alloys", cross, frames[HELD_OUT:], Predicted.of(cross, frames[:HELD_OUT])


def chosen_by_evidence(cross: Cross, summaries: Any, weights: Mapping[str, float] | str) -> tuple[Parameters, Any]:
    """The fit whose prior has the largest evidence; mean and decay, and by how many nats mixed beats zero."""
    asked = {"regulariser": BAYESIAN} if weights == "evidence" else {}
    fits = {
        key: solve(view(summaries, weights=weights, prior=prior, **asked), BAYESIAN) for key, prior in priors().items()
    }
    # weights by evidence differ from prior to prior, and evidence of weighted rows does not compare
    what = "log_evidence_of_kinds" if weights == "evidence" else "log_evidence"
    nats = {key: fit.hyperparameters[what] for key, fit in fits.items()}
    best = max(nats, key=lambda key: nats[key])
    above = {m: max(n for (mean, _), n in nats.items() if mean == m) for m in MEANS}
    return fits[best].parameters, {"mean": best[0], "decay": best[1], "nats": above["mixed"] - above["zero"]}


def far_on_probes(cross: Cross, block: Parameters) -> float:
    """Root mean square, eV/Å, of what forces on the probe structures are away from those of the mixed mean."""
    rows = cross.probes
    assert rows is not None
    mean = prior_mean(Prior(mean="mixed"), cross.system.basis, rows.columns, cross.lower).values
    known = block.as_dict()
    away = rows.factor @ (np.array([known.get(c, 0.0) for c in rows.columns]) - mean)
    return float(np.linalg.norm(away) / rows.rows**0.5 / EV)


def run(options: Options) -> dict[str, Any]:
    """Errors of what evidence chooses and of the other ways, on the same draws."""
    rows: list[dict[str, Any]] = []
    with threadpool_limits(1), executor("serial") as runner:
        for data, cross, pool, predicted in draws(options, runner):
            tell(f"  {data}, {cross.block}")
            for count in options.sized((5, 20, 100), (5,)):
                summaries = cross.summaries(pool[:count])
                row: dict[str, Any] = {"data": data, "block": cross.block, "frames": count}
                for way in ("zero", "mixed", "auto"):
                    block, _ = cross.fitted(summaries, way)
                    row[way] = {**predicted.errors(block), "hot": far_on_probes(cross, block)}
                for name, weights in (("given weights", cross.system.weights), ("weights by evidence", "evidence")):
                    began = time.process_time()
                    block, choice = chosen_by_evidence(cross, summaries, weights)
                    seconds = time.process_time() - began
                    hot = far_on_probes(cross, block)
                    row[name] = {**predicted.errors(block), **choice, "hot": hot, "cpu_seconds": seconds}
                rows.append(row)
    why = options.missing("monbtaw")
    return {"rows": rows, "absent": {"alloys": why} if why else {}}


def _ratio(rows: Sequence[Mapping[str, Any]], way: str, kind: str) -> str:
    """Errors over those of the better of zero and mixed, by pairs."""
    ratios = [r[way][kind] / min(r["zero"][kind], r["mixed"][kind]) for r in rows]
    return f"{mean_of(ratios):.2f} ± {spread_of(ratios):.2f}"


def markdown(record: Mapping[str, Any]) -> str:
    """A row for each number of frames and way."""
    lines = []
    for data, count in dict.fromkeys((r["data"], r["frames"]) for r in record["rows"]):
        own = [r for r in record["rows"] if (r["data"], r["frames"]) == (data, count)]
        for way in ("auto", "given weights", "weights by evidence"):
            nats = [r[way].get("nats") for r in own]
            lines.append([
                data, count, way, _ratio(own, way, "force"), _ratio(own, way, "energy"),
                figure(mean_of([r[way]["hot"] for r in own])), figure(max(r[way]["hot"] for r in own)),
                None if None in nats else f"{sum(n > 0 for n in nats)} of {len(nats)}",
                None if None in nats else f"{min(nats):.0f} … {max(nats):.0f}",
            ])  # fmt: skip
    head = ["data", "frames", "chosen by", "forces / better", "energies / better", "hot, eV/Å", "largest",
            "mixed likelier", "nats"]  # fmt: skip
    said = (
        "Errors on frames left out over those of the better of zero and mixed (α = 1); hot: forces on probe structures."
    )
    return "\n\n".join([said, table(head, lines), bench.absent_lines(record["absent"])]).strip()


BENCHMARK: Final = Benchmark(
    "prior_evidence", "Whether evidence chooses a prior as well as the rule of auto.", run, markdown
)

if __name__ == "__main__":
    sys.exit(bench.main(BENCHMARK))
