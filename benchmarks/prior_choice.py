"""What evidence, folds of systems and folds of frames choose on all of ``monbtaw``, and what it is worth.

Evidence: the nine priors of ``prior_evidence`` in each binary block, elements fitted as ``transfer`` does. Systems:
``hiertl-dist search`` with compositions left out. Frames, systems: a search of the elements with frames left out, then,
these frozen, one of the binaries with compositions left out. Every model is tried on the sets that the authors of the
data laid aside and by :func:`~hiertl_dist.check_model`; the rule of ``auto`` and its parts stand beside. Last the
binaries once more, with γ, decay and the weight of probes as axes.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any, Final

import bench
import prior_evidence
from bench import Benchmark, Options, tell
from library_growth import command, toml
from measure import figure, table
from threadpoolctl import threadpool_limits
from transfer import mean_of
from transfer_curves import ALLOY, BINARIES, UNARY_KINDS, alloy_basis
from transfer_fits import ALPHA, WEIGHTS, Cross, System
from transfer_models import judged, training, whole

from hiertl_dist import ElementSet, Model, Prior
from hiertl_dist.executors import executor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hiertl_dist import Frame, Parameters
    from hiertl_dist.executors.base import Executor

RMIN: Final = 1.8
ORDERS: Final = [[12, 6, 0], [12, 6, 3]]
TOY_ORDERS: Final = [[3, 2, 0]]
FIXED: Final = ("zero", "mixed", "auto")
SYSTEM_ALPHAS: Final = [1e-3, 0.1, 1.0, 10.0, 100.0]
FRAME_ALPHAS: Final = [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0]
TOY_ALPHAS: Final = [0.1]
PRIOR_ALPHAS: Final = [1e-3, 0.1, 1.0, 10.0]
PRIORS: Final[list[Any]] = [
    "zero", {"mean": "mixed", "gamma": [0.5, 1.0]},
    {"mean": "mixed", "decay": "exponential", "strength": [0.1, 0.3]},
    {"mean": "mixed", "probes": 24, "probe_weight": [0.03, 0.1, 0.3]},
]  # fmt: skip
TOY_PRIORS: Final[list[Any]] = ["zero", {"mean": "mixed", "gamma": [0.5, 1.0]}]
EVIDENCE: Final[Mapping[str, Any]] = {"evidence": WEIGHTS, "evidence, weights too": "evidence"}
MOST_DRIFT: Final = 1.0
"""meV/atom/ps, that of ``hiertl-dist check``: more is no run of constant energy."""


@dataclass(frozen=True, eq=False)
class Known(System):
    """Elements whose models are there already."""

    known: Mapping[str, Parameters] = field(default_factory=dict)

    @property
    def pure(self) -> dict[str, Parameters]:  # type: ignore[override]
        return dict(self.known)


# ---- by evidence, and the ways of transfer
def by_evidence(options: Options, frames: Sequence[Frame], runner: Executor) -> Iterator[dict[str, Any]]:
    """Whole models with zero, mixed, auto (α = 1) and what evidence chooses in each binary block."""
    unary = [f for f in frames if len(f.elements) == 1]
    system = System(alloy_basis(options.sized(ORDERS, TOY_ORDERS)[0]), unary, runner)
    ways = (*FIXED, *EVIDENCE)
    blocks: dict[str, list[Parameters]] = {way: list(system.pure.values()) for way in ways}
    rows: dict[str, dict[str, Any]] = {way: {"by": way, "chosen": {}, "hot": {}, "cpu_seconds": 0.0} for way in ways}
    for pair in system.pairs:
        tell(f"  evidence, {pair}")
        cross = Cross(system, pair)
        summaries = cross.summaries([f for f in frames if f.element_set == ElementSet.parse(pair)])
        for way, row in rows.items():
            began = time.process_time()
            if way in EVIDENCE:
                block, choice = prior_evidence.chosen_by_evidence(cross, summaries, EVIDENCE[way])
            else:
                block, mean = cross.fitted(summaries, way)
                choice = {"mean": mean, "alpha": ALPHA}
            row["cpu_seconds"] += time.process_time() - began
            row["chosen"][pair] = choice
            row["hot"][pair] = prior_evidence.far_on_probes(cross, block)
            blocks[way].append(block)
    for way, row in rows.items():
        yield row | judged(whole(system, blocks[way], way), options, options.data / "monbtaw")


# ---- by search
def write_input(options: Options, name: str, tables: Mapping[str, Any]) -> Path:
    """An input file of the training frames, with tables that are added or laid over; results go beside it."""
    orders = options.sized(ORDERS, TOY_ORDERS)[-1]
    pairs = {"".join(p): {"rmin": RMIN, "rmax": 6.0, "lambda": 2.8} for p in combinations_with_replacement(ALLOY, 2)}
    basis = {"elements": list(ALLOY), "orders": orders, "transform": "MORSE", "cutoff": "TERSOFF 0.5", "pairs": pairs,
             "three_body": {"rmax": 5.0}, **({"four_body": {"rmax": 4.0}} if orders[2] else {})}  # fmt: skip
    patterns = [str(options.data / "monbtaw" / f"*_{kind}.extxyz.gz") for kind in (*UNARY_KINDS, "SS")]
    fit = {"regulariser": {"kind": "ridge", "alpha": ALPHA}, "weights": dict(WEIGHTS)}
    own = {
        "basis": basis, "data": [{"path": patterns}], "executor": {"kind": "serial"},
        "output": {"folder": str(options.scratch / name), "units": "eV"}, **tables, "fit": fit | tables.get("fit", {}),
    }  # fmt: skip
    path = options.scratch / f"{name}.toml"
    path.write_text("".join(f"{key} = {toml(value)}\n" for key, value in own.items()))
    return path


def grid(
    options: Options, name: str, count: int, split: str, alphas: Sequence[float], **more: Any
) -> dict[str, Any]:  # fmt: skip
    """The table of a search over orders and ridge strengths."""
    axes = {
        "orders": options.sized(ORDERS, TOY_ORDERS),
        "regulariser": {"kind": "ridge", "alpha": options.sized(list(alphas), TOY_ALPHAS)}, **more.pop("axes", {}),
    }  # fmt: skip
    folds = {"count": options.sized(count, 2), "split": split}
    return {"summaries": str(options.scratch / f"summaries_{name}"), "folds": folds, "grid": axes, **more}


def searches(options: Options) -> Iterator[tuple[str, Path, Path, list[dict[str, Any]]]]:
    """Which way, the folder of the elements, that of the whole model, and what its commands said."""
    tell("  systems")
    priors = options.sized(list(FIXED), ["zero", "mixed"])
    pairs = ["".join(sorted(ElementSet.parse(b).elements)) for b in BINARIES]
    own = grid(options, "systems", 3, "system", SYSTEM_ALPHAS, blocks={p: {"prior": priors} for p in pairs})
    path = write_input(options, "systems", {"fit": {"missing": "mixed"}, "search": own})
    folder = options.scratch / "systems"
    yield "systems", folder, folder, [command(options, "search", "--no-plot", str(path))]
    tell("  frames, systems")
    of_elements = {
        "fit": {"only": list(ALLOY)}, "search": grid(options, "elements", 5, "frame", FRAME_ALPHAS),
    }  # fmt: skip
    first = command(options, "search", "--no-plot", str(write_input(options, "elements", of_elements)))
    elements = options.scratch / "elements"
    of_binaries = {
        "fit": {"missing": "mixed"}, "frozen": {"files": [str(elements / f"{e}.params.txt") for e in ALLOY]},
        "search": grid(options, "binaries", 5, "system", FRAME_ALPHAS, axes={"prior": priors}),
    }  # fmt: skip
    second = command(options, "search", "--no-plot", str(write_input(options, "binaries", of_binaries)))
    yield "frames, systems", elements, options.scratch / "binaries", [first, second]
    tell("  frames, priors")
    axes = {"orders": [options.sized(ORDERS, TOY_ORDERS)[-1]], "prior": options.sized(PRIORS, TOY_PRIORS)}
    of_priors = {
        **of_binaries, "search": grid(options, "priors", 5, "system", PRIOR_ALPHAS, axes=axes),
    }  # fmt: skip
    third = command(options, "search", "--no-plot", str(write_input(options, "priors", of_priors)))
    yield "frames, priors", elements, options.scratch / "priors", [first, third]


def by_search(options: Options, unary: Sequence[Frame], runner: Executor) -> Iterator[dict[str, Any]]:
    """What the searches choose; beside it ``auto`` with the highest orders that they have, which chooses nothing."""
    for way, elements, folder, said in searches(options):
        stages = [stage for s in said for stage in s["answer"]["stages"]]
        yield _found(options, unary, runner, (way, elements, folder)) | _cost(said) | {
            "chosen": {s["name"]: _choice(s) for s in stages},
            "models": sum(len(s["candidates"]) for s in stages),
            "scores": {s["name"]: _best_scores(s) for s in stages},
        }  # fmt: skip
    if options.toy:
        return
    tell("  auto")
    path = write_input(options, "auto", {"fit": {"prior": "auto", "missing": "mixed"}})
    folder, said = options.scratch / "auto", [command(options, "fit", str(path))]
    yield _found(options, unary, runner, ("auto, highest orders", folder, folder)) | _cost(said) | {"chosen": {}}


def _choice(stage: Mapping[str, Any]) -> dict[str, Any]:
    """Prior, ridge strength and orders that a stage took, and whether the strength is at the edge of the grid."""
    chosen = stage["chosen"]
    edge = any("chosen" in e["models"] for e in stage["edges"] if e["axis"].endswith("alpha"))
    return {
        "mean": _named(chosen["prior"]), "alpha": chosen["regulariser"]["alpha"], "orders": chosen["orders"],
        "edge": edge,
    }  # fmt: skip


def _named(prior: Any) -> str:
    """A prior of the grid in a few words: its mean, and what of it differs from that mean alone."""
    own = Prior.of(prior)
    words = [str(own.mean)]
    words += [f"γ {own.gamma[0]:g}"] if own.gamma != (1.0, 1.0, 1.0) else []
    words += [f"decay {own.strength:g}"] if own.decay != "none" else []
    words += [f"probes {own.probe_weight:g}"] if own.probes and own.probe_weight is not None else []
    return ", ".join(words)


def _best_scores(stage: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The lowest score with each prior and with each orders, and its standard error."""
    best: dict[str, dict[str, float]] = {}
    for model in sorted(stage["candidates"], key=lambda m: m["score"]):
        said = {"score": model["score"], "standard_error": model["standard_error"]}
        for name in (_named(model["prior"]), "/".join(map(str, model["orders"]))):
            best.setdefault(name, said)
    return best


def _cost(said: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {"cpu_seconds": sum(s["cpu_seconds"] for s in said), "peak_MB": max(s["peak_MB"] for s in said)}


def _found(
    options: Options, unary: Sequence[Frame], runner: Executor, where: tuple[str, Path, Path]
) -> dict[str, Any]:  # fmt: skip
    """Errors, forces on probes and the check of a model that a command wrote."""
    way, elements, folder = where
    model = Model.read(folder / "model.params.txt")
    return {
        "by": way, "hot": hot_of(options, unary, runner, elements, model),
        **judged(model, options, options.data / "monbtaw"),
    }  # fmt: skip


def hot_of(
    options: Options, unary: Sequence[Frame], runner: Executor, elements: Path, model: Model
) -> dict[str, float]:  # fmt: skip
    """:func:`prior_evidence.far_on_probes` by binary block, from the mean of the elements that the model stands on."""
    known = {e: Model.read(elements / f"{e}.params.txt").parameters for e in ALLOY}
    system = Known(alloy_basis(options.sized(ORDERS, TOY_ORDERS)[-1]), unary, runner, known=known)
    return {p: prior_evidence.far_on_probes(Cross(system, p), model.parameters) for p in system.pairs}


def run(options: Options) -> dict[str, Any]:
    """Whole models by each way."""
    if (why := options.missing("monbtaw")) is not None:
        return {"absent": {"monbtaw": why}, "rows": []}
    with threadpool_limits(1), executor("serial") as runner:
        frames = training(options.data / "monbtaw")
        unary = [f for f in frames if len(f.elements) == 1]
        rows = [*by_evidence(options, frames, runner), *by_search(options, unary, runner)]
    return {"frames": len(frames), "rows": rows, "absent": {}}


# ---- text
def _prior(row: Mapping[str, Any]) -> str:
    """How many of the binary blocks took what."""
    own = [c for block, c in row["chosen"].items() if len(ElementSet.parse(block).elements) == 2]
    counted = Counter(
        ", ".join(
            text for key, text in (
                ("mean", f"{c.get('mean')}"), ("decay", f"decay {c.get('decay', 0):g}"),
                ("alpha", f"α {c.get('alpha', 0):g}{' (edge)' if c.get('edge') else ''}"),
                ("orders", " ".join(map(str, c.get("orders", ())))),
            ) if key in c
        ) for c in own
    )  # fmt: skip
    return "; ".join(f"{n} × {text}" for text, n in counted.most_common())


def _nve(check: Mapping[str, Any] | None) -> str | None:
    """What becomes of the runs: JSON has null where a drift is infinite."""
    if check is None:
        return None
    drifts = [v for name, v in check["runs"].items() if name.startswith("drift")]
    if any(d is None or d == float("inf") for d in drifts):
        return "diverges"
    return f"{'stable' if max(drifts) <= MOST_DRIFT else 'drifts'}, {figure(max(drifts))}"


def _mixing(check: Mapping[str, Any] | None) -> str | None:
    """The farthest lattices of three and four elements from linear mixing, disordered and ordered."""
    if check is None:
        return None
    kinds = ("mixing, {} elements", "mixing, ordered, {} elements")
    return ", ".join(f"{max(check['mixing'][kind.format(n)] for n in (3, 4)):.2f}" for kind in kinds)


def markdown(record: Mapping[str, Any]) -> str:
    """A row for each way, and the test sets of each."""
    if not record["rows"]:
        return ""
    lines, sets = [], []
    for row in record["rows"]:
        tests = row["tests"]
        means = [
            figure(mean_of([tests[name][kind] for name in names]))
            for kind in ("force", "energy") for names in (ALLOY, BINARIES)
        ]  # fmt: skip
        hot = list(row["hot"].values())
        lines.append([
            row["by"], _prior(row), *means, figure(mean_of(hot) if min(hot) > 0.0 else 0.0, 2), figure(max(hot), 2),
            _mixing(row["check"]),
            _nve(row["check"]), figure(row["cpu_seconds"]),
        ])  # fmt: skip
        sets.append([row["by"], *(f"{figure(e['force'])}; {figure(e['energy'])}" for e in tests.values())])
    head = ["chosen by", "prior of binary blocks", "elements, eV/Å", "binary, eV/Å", "elements, meV/atom",
            "binary, meV/atom", "hot, eV/Å", "largest", "mixing, eV/atom", "NVE, meV/atom/ps", "CPU s"]  # fmt: skip
    said = (
        "Geometric means over the sets that the authors laid aside. hot: root mean square of how far forces on 24 "
        "probe structures are from those of the mixed mean, geometric mean and largest of the binary blocks. mixing: "
        "farthest lattice of three or four elements from linear mixing, disordered and ordered. NVE: the larger drift "
        f"at 300 and 3000 K, stable up to {MOST_DRIFT:g}."
    )
    names = list(record["rows"][0]["tests"])
    return "\n\n".join([said, table(head, lines), table(["eV/Å; meV/atom", *names], sets)])


BENCHMARK: Final = Benchmark(
    "prior_choice",
    "What evidence and cross-validation choose on all of monbtaw, and what it is worth.",
    run,
    markdown,
)

if __name__ == "__main__":
    sys.exit(bench.main(BENCHMARK))
