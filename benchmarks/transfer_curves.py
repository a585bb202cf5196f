"""Learning curves: errors on unseen mixtures against the number of frames of the mixture, by prior.

``alloys``: each binary of Mo, Nb, Ta, W in turn is the one that is missing. ``cn``: whole trajectories are left out.
``wbe``: each group of frames in turn. Draws are paired: all priors see the same frames, so the error of a difference
between two of them is that over draws. ``compositions``: errors from all carbon to all nitrogen.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bench import tell
from transfer_fits import (
    ALPHA,
    WAYS,
    Cross,
    Predicted,
    System,
    basis_of,
    frame_errors,
    learning_curve,
    read_groups,
)

from hiertl_dist import Model, read_frames, summarise, view
from hiertl_dist.model.parameters import merge_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench import Options

    from hiertl_dist import Basis, Frame
    from hiertl_dist.executors.base import Executor

ALLOY: Final = ("Mo", "Nb", "Ta", "W")
BINARIES: Final = ("NbMo", "MoTa", "MoW", "NbTa", "NbW", "TaW")
UNARY_KINDS: Final = ("AIMD", "Elastic", "Surface")
ALPHAS: Final = (1e-3, 1e-1, 1.0, 10.0)
PROBE_WEIGHTS: Final = (0.1, 1.0)
"""Beside the usual one."""

ALLOY_COUNTS: Final = (0, 1, 5, 20, 100)
CN_COUNTS: Final = (0, 1, 5, 12, 25, 50, 108)
WBE_COUNTS: Final = (0, 1, 5, 20, 100, 400)
HELD_OUT: Final = 60
"""Frames of a binary that are never added."""

Draw = tuple[str, "list[Frame]", "list[Frame]"]
"""Which it is, the pool in the order in which it is added, and what is predicted."""


def alloy_basis(orders: Sequence[int] = (12, 6, 0)) -> Basis:
    """That of the issue: one λ, 6, 5 and 4 Å."""
    outer = {"two_body": 6.0, "three_body": 5.0, "four_body": 4.0}
    return basis_of(ALLOY, orders, {"all": 2.8}, 1.8, outer)


def cn_basis(orders: Sequence[int] = (12, 6, 0)) -> Basis:
    return basis_of(("C", "N"), orders, {"all": 1.6}, 0.7, {"two_body": 6.0, "three_body": 4.5})


def wbe_basis(orders: Sequence[int] = (10, 5, 0)) -> Basis:
    """With λ that differ, so that the mean of a prior is projected."""
    own = {"BeBe": 2.2, "BeW": 2.4, "WW": 2.8}
    return basis_of(("Be", "W"), orders, own, 1.2, {"two_body": 5.5, "three_body": 4.5})


def shipped_frames() -> list[Frame]:
    """The C/N set of the package; a group is a trajectory."""
    with as_file(files("hiertl_dist") / "data" / "cn_pbe.extxyz.gz") as path:
        return list(read_frames(path, group_key="config_type"))


def ways(full: bool) -> dict[str, Any]:
    """Priors by name; in full the probe weights as well."""
    more = {f"auto, w {w:g}": {"mean": "auto", "probes": 24, "probe_weight": w} for w in PROBE_WEIGHTS}
    return {**WAYS, **(more if full else {})}


def alloys(options: Options, runner: Executor) -> dict[str, Any]:
    """Leave one binary out. No other binary says anything of its pairs and triplets, so they are not fitted."""
    folder, step = options.data / "monbtaw", options.sized(1, 20)
    unary = [f for e in ALLOY for fs in read_groups(folder, [f"{e}_{k}" for k in UNARY_KINDS]).values() for f in fs]
    system = System(alloy_basis(options.sized((12, 6, 0), (4, 3, 0))), unary[::step], runner)
    rows = []
    for name in options.sized(BINARIES, BINARIES[:1]):
        tell(f"  {name} is missing")
        own = read_groups(folder, [f"{name}_SS", f"{name}_Test"])
        cross = Cross(system, name)
        for draw in range(options.sized(6, 1)):
            order = np.random.default_rng([7, draw]).permutation(len(own[f"{name}_SS"]))
            frames = [own[f"{name}_SS"][i] for i in order]
            predicted = Predicted.of(cross, [*frames[:HELD_OUT], *own[f"{name}_Test"]][:: options.sized(1, 10)])
            curve = learning_curve(cross, frames[HELD_OUT:], predicted, options.sized(ALLOY_COUNTS, (0, 1, 5)),
                                   ways(not options.toy), options.sized(ALPHAS, (1.0,)))  # fmt: skip
            rows += [{"case": name, "draw": draw, **r} for r in curve]
    return {"rows": rows}


def cn(options: Options, runner: Executor) -> dict[str, Any]:
    """A fifth of the mixed trajectories left out at a time; frames of the others are added in random order."""
    frames = shipped_frames()
    mixed = [f for f in frames if len(f.elements) == 2]
    system = System(cn_basis(options.sized((12, 6, 0), (4, 3, 0))),
                    [f for f in frames if len(f.elements) == 1][:: options.sized(1, 6)], runner)  # fmt: skip
    return _curves(Cross(system, "CN"), trajectories_out(mixed, options.sized(10, 1)), options,
                   options.sized(CN_COUNTS, (0, 1, 5)))  # fmt: skip


def trajectories_out(mixed: Sequence[Frame], draws: int) -> Iterator[Draw]:
    """Each time five trajectories; two draws of five folds would be paired, these are simply random."""
    names = sorted({f.group for f in mixed})
    for draw in range(draws):
        rng = np.random.default_rng([8, draw])
        out = set(rng.permutation(names)[:5])
        pool = [f for f in mixed if f.group not in out]
        yield f"draw {draw}", [pool[i] for i in rng.permutation(len(pool))], [f for f in mixed if f.group in out]


def wbe(options: Options, runner: Executor) -> dict[str, Any]:
    """Each group of W–Be left out in turn."""
    step = options.sized(20, 1000)
    unary, mixed = (
        [f for n in names for f in list(read_frames(options.data / "wbe" / f"{n}.extxyz.gz", group_key="config_type"))]
        for names in (("Be", "W"), ("WBe",))
    )
    system = System(wbe_basis(options.sized((10, 5, 0), (4, 3, 0))), unary[::step], runner)
    return _curves(Cross(system, "BeW"), _groups_out(mixed, options.sized(2, 1)), options,
                   options.sized(WBE_COUNTS, (0, 1, 5)))  # fmt: skip


def _groups_out(mixed: Sequence[Frame], draws: int) -> Iterator[Draw]:
    for draw in range(draws):
        rng = np.random.default_rng([9, draw])
        for name in sorted({f.group for f in mixed}):
            out, pool = ([f for f in mixed if (f.group == name) is own] for own in (True, False))
            yield name, [pool[i] for i in rng.permutation(len(pool))], [out[i] for i in rng.permutation(len(out))[:60]]


def _curves(cross: Cross, draws: Iterator[Draw], options: Options, counts: Sequence[int]) -> dict[str, Any]:
    rows = []
    for draw, (name, pool, out) in enumerate(draws):
        tell(f"  {cross.block}: {name}")
        curve = learning_curve(cross, pool, Predicted.of(cross, out[:: options.sized(1, 6)]), counts,
                               ways(not options.toy), options.sized(ALPHAS, (1.0,)))  # fmt: skip
        rows += [{"case": name, "draw": draw, **r} for r in curve]
    return {"rows": rows}


def averaged(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> dict[tuple[Any, ...], dict[str, list[float]]]:
    """Errors of all draws by the values of some keys."""
    found: dict[tuple[Any, ...], dict[str, list[float]]] = {}
    for row in rows:
        kept = found.setdefault(tuple(row[k] for k in keys), {})
        for kind in ("force", "force_rmse", "energy", "stress"):
            if kind in row:
                kept.setdefault(kind, []).append(row[kind])
    return found


# ---- errors against composition
def compositions(options: Options, runner: Executor) -> dict[str, Any]:
    """C/N trajectories in five folds, each predicted by fits to the others; errors by composition."""
    frames = shipped_frames()[:: options.sized(1, 5)]
    basis = cn_basis(options.sized((12, 6, 0), (4, 3, 0)))
    names = sorted({(f.composition, f.group) for f in frames})
    fold_of = {group: number % 5 for number, (_, group) in enumerate(names)}
    rows = []
    for fold in range(options.sized(5, 1)):
        tell(f"  compositions, fold {fold}")
        train, out = ([f for f in frames if (fold_of[f.group] == fold) is own] for own in (False, True))
        for name, model in _cn_models(basis, train, runner).items():
            for composition in sorted({f.composition for f in out}):
                own = [f for f in out if f.composition == composition]
                percent = round(100 * float(np.mean([f.species.count("N") / len(f) for f in own])))
                rows.append({"model": name, "percent": percent, "fold": fold, **frame_errors(model, own)})
    return {"rows": rows}


def _cn_models(basis: Basis, train: Sequence[Frame], runner: Executor) -> dict[str, Model]:
    """By name, models of C/N fitted to the same frames."""
    system = System(basis, [f for f in train if len(f.elements) == 1], runner)
    cross = Cross(system, "CN")
    summaries = cross.summaries([f for f in train if len(f.elements) == 2])
    models = {"C + N alone": Model(merge_parameters(cross.lower))}
    made = cross.without_frames("mixed")
    models["C + N, mixed made of them"] = Model(merge_parameters([*cross.lower, *([] if made is None else [made])]))
    for way in ("zero", "mixed", "auto"):
        block, _ = cross.fitted(summaries, WAYS[way])
        models[f"hierarchical, {way}"] = Model(merge_parameters([*cross.lower, block]))
    every = view(summarise(train, basis, folds=None, executor=runner), weights=system.weights)
    for alpha in (system.alpha, ALPHA):
        models[f"all at once, α {alpha:g}"] = Model(system.solved(every, alpha))
    return models
