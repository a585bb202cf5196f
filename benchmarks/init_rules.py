"""The rules of ``hiertl-dist init``: held-out errors of what it suggests, of other choices, of a search over weights.

Five folds of each data set (whole trajectories where the suggested input holds out groups, runs of six frames where it
holds out one in ten, frames otherwise), all blocks at once, from one pass over the rows for each basis. A choice is
changed by itself: the inner cutoff as a fraction of the closest contact, λ as one of the first peak, outer cutoffs by
an ångström, orders by levels, the ridge strength by factors of ten. The score is the geometric mean of three errors.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any, Final

from bench import Benchmark, Options, main, tell
from measure import figure, table
from threadpoolctl import threadpool_limits

from hiertl_dist import Basis, Folds, cross_validate, read_frames, suggest_input, summarise, view
from hiertl_dist.executors import executor
from hiertl_dist.model.walls import INNER
from hiertl_dist.suggestion.guessing import guess_sources
from hiertl_dist.suggestion.isolated_atoms import agreed_energies
from hiertl_dist.suggestion.suggesting import ALPHA_ALONE as ALPHA
from hiertl_dist.suggestion.suggesting import DECAY
from hiertl_dist.suggestion.suggesting_basis import LEVELS
from hiertl_dist.units import EV

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hiertl_dist import Frame, SuggestedInput
    from hiertl_dist.executors.base import Executor
    from hiertl_dist.fitting.reduction import Summaries

SETS: Final = {
    "cn_pbe": "", "SiC": "sic/SiC.np1.xyz", "Mo": "monbtaw/Mo_[AES]*.extxyz.gz", "H": "hydrogen/OUTCAR*.xyzf"
}  # fmt: skip
"""Data set → files below the folder of data; nothing: what the package ships."""

RUN: Final = 6
"""Consecutive frames of a trajectory that are held out together."""

SHARES: Final = (0.0, 0.5)
"""Exponents of the number of rows in automatic weights, beside their own."""

INNERS: Final = (0.98, 0.9, 0.8, 0.7, 0.5)
LAMBDAS: Final = (0.8, 1.25, 1.5)
ALPHAS: Final = (1e-3, 1e-1)
GRID: Final = tuple(
    {"force": 1.0, "energy": e, "stress": s}
    for e in (0.1, 0.3, 1.0, 3.0, 10.0) for s in (3.0, 10.0, 30.0, 100.0, 300.0)
)  # fmt: skip
"""Weights that are compared with automatic ones, each with every ridge strength."""


def variants(basis: Mapping[str, Any], toy: bool, closest: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """``[basis]`` tables that differ from the suggested one in one choice."""
    pairs = basis["pairs"]
    found: dict[str, dict[str, Any]] = {}
    for x in INNERS[:1] if toy else INNERS:
        found[f"rmin {x} of the closest contact"] = {
            "pairs": {
                p: own | {"rmin": round(closest[p] * x if p in closest else own["rmin"] * x / INNER, 3)}
                for p, own in pairs.items()
            }
        }
    for x in () if toy else LAMBDAS:
        found[f"λ {x} of the first peak"] = {
            "pairs": {p: own | {"lambda": own["lambda"] * x} for p, own in pairs.items()}
        }
    for step in () if toy else (-1.0, 1.0):
        found[f"two-body cutoffs {step:+.0f} Å"] = {
            "pairs": {p: own | {"rmax": own["rmax"] + step} for p, own in pairs.items()}
        }
        for key in ("three_body", "four_body"):
            found[f"{key.replace('_', '-')} cutoffs {step:+.0f} Å"] = {key: {"rmax": basis[key]["rmax"] + step}}
    for level in LEVELS[1:2] if toy else (*LEVELS[2:], (16, 8, 3)):
        found[f"orders {' '.join(map(str, level))}"] = {"orders": list(level), "blocks": {}}
    changed = {name: {**basis, **own} for name, own in found.items()}
    return {name: own for name, own in changed.items() if own != {"blocks": {}, **basis} and own != basis}


def with_runs(frames: Sequence[Frame], suggested: SuggestedInput) -> tuple[list[Frame], str]:
    """Frames whose groups are what is held out together, and how folds divide them."""
    held = suggested.hold_out.table
    if "groups" in held:
        return list(frames), "group"
    if "every" not in held:
        return list(frames), "frame"
    seen: dict[str, int] = {}
    found = []
    for frame in frames:
        number = seen[frame.group] = seen.get(frame.group, -1) + 1
        found.append(replace(frame, group=f"{frame.group} {number // RUN}"))
    return found, "group"


def errors(summaries: Summaries, weights: Any, alphas: Sequence[float]) -> list[dict[str, Any]]:
    """Held-out errors of ridge fits (eV/Å, eV/atom, GPa) and their score."""
    chosen = view(summaries, weights=weights, prior={"mean": "zero", "decay": "exponential", "strength": DECAY})
    found = cross_validate(chosen, [{"kind": "ridge", "alpha": a} for a in alphas])
    return [
        {"alpha": a, "weights": dict(chosen.weights), "force": c.errors.rmse("force") / EV,
         "energy": c.errors.rmse("energy") / EV, "stress": c.errors.rmse("stress"), "score": c.errors.score()}
        for a, c in zip(alphas, found, strict=True) if c.errors is not None
    ]  # fmt: skip


def other_automatic(summaries: Summaries) -> dict[str, dict[str, float]]:
    """Weights by other formulas than the automatic ones, from the same spreads and residuals."""
    known = view(summaries).automatic
    if known is None or not known.residuals:
        return {}
    alone = {k: known.spreads["force"] / s for k, s in known.spreads.items()}
    found = {"automatic weights from the labels alone": alone}
    for share in SHARES:
        found[f"automatic weights with the exponent {share:g}"] = {
            k: known.residuals["force"] / s * (known.rows["force"] / known.rows[k]) ** share
            for k, s in known.residuals.items()
        }
    return found


def one_set(paths: str, toy: bool, runner: Executor) -> dict[str, Any]:
    """All choices for one data set."""
    sources, _ = guess_sources([paths])
    frames = [f for s in sources for f in read_frames(**s.as_dict())]
    frames = frames[:: max(1, len(frames) // 24)] if toy else frames
    suggested = suggest_input(frames)
    frames, split = with_runs(frames, suggested)
    basis = dict(suggested.table["basis"]) | ({"orders": list(LEVELS[2]), "blocks": {}} if toy else {})
    folds = Folds(3 if toy else 5, split=split)

    def passed(own: Mapping[str, Any]) -> Summaries:
        return summarise(frames, Basis.from_dict(own), folds=folds, executor=runner)

    summaries = passed(basis)
    (own,) = errors(summaries, "auto", [ALPHA])
    rows = [{"choice": "as suggested", "columns": len(summaries.columns), **own}]
    rows += [{"choice": f"α = {e['alpha']:g}", **e} for e in errors(summaries, "auto", ALPHAS)]
    searched = [e for w in (GRID[:2] if toy else GRID) for e in errors(summaries, w, (*ALPHAS, ALPHA))]
    best = min(searched, key=lambda e: float(e["score"]))
    rows.append({"choice": "best of a search over weights and α", **best})
    rows += [{"choice": "weights of 1", **e} for e in errors(summaries, {}, [ALPHA])]
    for name, weights in other_automatic(summaries).items():
        rows += [{"choice": name, **e} for e in errors(summaries, weights, [ALPHA])]
    others = variants(basis, toy, {p.name: p.shortest for p in suggested.pairs if p.shortest is not None})
    if given := agreed_energies(suggested.survey.isolated):
        others["energies of isolated atoms given"] = {**basis, "energies": {**given, "unit": "kcal"}}
    for name, other in others.items():
        summaries = passed(other)
        rows += [{"choice": name, "columns": len(summaries.columns), **e} for e in errors(summaries, "auto", [ALPHA])]
    return {"frames": len(frames), "split": split, "basis": basis, "rows": rows}


def run(options: Options) -> dict[str, Any]:
    """Every data set that is there."""
    cases, absent = {}, {}
    runners = executor("processes", workers=2) if options.apart else executor("serial")
    with threadpool_limits(1), runners as runner:
        for name, below in SETS.items():
            if below and (why := options.missing(below.partition("/")[0])):
                absent[name] = why
                continue
            tell(f"  {name}")
            with as_file(files("hiertl_dist") / "data" / "cn_pbe.extxyz.gz") as shipped:
                cases[name] = one_set(str(options.data / below) if below else str(shipped), options.toy, runner)
    return {"cases": cases, "absent": absent}


def markdown(record: dict[str, Any]) -> str:
    """A table for each data set."""
    parts = []
    for name, case in record["cases"].items():
        own = case["rows"][0]["score"]
        lines = [
            [r["choice"], r.get("columns"), figure(r["force"]), figure(r["energy"]), figure(r["stress"]),
             figure(r["score"]), f"{100 * (r['score'] / own - 1):+.0f} %"]
            for r in case["rows"]
        ]  # fmt: skip
        parts.append(f"**{name}**: {case['frames']} frames, folds by {case['split']}")
        parts.append(
            table(["choice", "columns", "forces, eV/Å", "energies, eV/atom", "stresses, GPa", "score", ""], lines)
        )
    return "\n\n".join(parts)


BENCHMARK: Final = Benchmark(
    "init_rules", "Held-out errors of the inputs that `hiertl-dist init` suggests, and of other choices.", run, markdown
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
