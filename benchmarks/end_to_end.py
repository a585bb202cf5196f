"""Whole fits: the CN chain of ``cn_dft`` kept and streamed, and what a streaming fit adds to its rows and reduction.

The chain is ``cn_dft_chain.py``. A streaming fit (``fit_block`` without a store: plan, rows, predictions of frozen
models, TSQR, solve) is held against the sum of two things measured bare in the same process and turn: making the rows
and predictions in memory, and the TSQR of rows that lie in memory in the leaves' buffers (which are filled unmeasured).
"""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING, Any, Final

import cn_dft_chain as chain
import numpy as np
from bench import Benchmark, Options, interleaved, main, median_ratio, tell
from made import relabelled
from measure import figure, table

from hiertl_dist import FitSettings, Model, executor, fit_block, plan, read_fm_setup, reduce_rows
from hiertl_dist.algebra import RFactor
from hiertl_dist.design_matrix.assembly import frozen_rows
from hiertl_dist.evaluation.compiled_basis import compile_recipe
from hiertl_dist.evaluation.frame_rows import rows_of
from hiertl_dist.fitting.leaves import cut_leaves, grouped_rows
from hiertl_dist.frames.rows import row_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hiertl_dist import Basis, Frame, Parameters, Plan
    from hiertl_dist.design_matrix.planning import Segment

REPEATS: Final = 3
SETTINGS: Final = FitSettings({"kind": "ridge", "alpha": chain.ALPHA}, weights={})
LIMIT: Final = 1.15
CASES: Final = {"CN": "cn_dft", "C": "cn_dft", "H": "hydrogen"}
"""Block → its data set; C is ``cn_dft`` with all atoms C."""

PARTS: Final = ("rows", "reduction", "streaming pass", "streaming fit")


def problem(options: Options, block: str) -> tuple[Sequence[Frame], Basis, tuple[Parameters, ...]]:
    """Frames, basis and frozen models of a case."""
    if block == "H":
        setup = read_fm_setup(options.data / "hydrogen" / "fm_setup.in")
        return setup.frames[: options.sized(len(setup.frames), 8)], setup.basis, ()
    found = chain.read_problem(options.data / "cn_dft", options.sized(20, 2))
    if block == "CN":
        return found.frames, found.basis, found.frozen
    basis = Model.read(options.data / "cn_dft" / chain.FILES[block]).parameters.basis
    return [relabelled(f, block) for f in found.frames], basis, ()


def segment_rows(segment: Segment, planned: Plan, block: str, frozen: Sequence[Parameters]) -> NDArray[np.float64]:
    """Rows, target and predictions of frozen models of a segment."""
    rows = rows_of(segment.frames, compile_recipe(planned.basis, (block,)))
    target = np.concatenate([row_targets(f) for f in segment.frames])
    offsets = [frozen_rows(segment.frames, f, "refuse") for f in frozen]
    return np.column_stack([rows, target, *offsets])


def leaf_buffers(planned: Plan, block: str, frozen: Sequence[Parameters]) -> dict[Any, list[NDArray[np.float64]]]:
    """Per group of rows, the column-major buffer of each leaf."""
    width = planned.columns[block] + 1 + len(frozen)
    buffers: dict[Any, list[NDArray[np.float64]]] = {}
    for leaf in cut_leaves(planned.segments, width):
        parts: dict[Any, list[NDArray[np.float64]]] = {}
        for segment in leaf:
            rows = segment_rows(segment, planned, block, frozen)
            for group, own in grouped_rows(segment).items():
                parts.setdefault(group, []).append(rows[own])
        for group, own_parts in parts.items():
            buffers.setdefault(group, []).append(np.asfortranarray(np.concatenate(own_parts)))
    return buffers


def streaming(options: Options, block: str) -> Callable[[], dict[str, Any]]:
    """The parts of a streaming fit and the fit itself, in turn."""
    frames, basis, frozen = problem(options, block)
    planned = plan(frames, basis, blocks=[block], needs={(block, block)}, frozen=frozen)
    runner = executor("serial")
    recipe = compile_recipe(basis, (block,))

    def rows() -> None:
        for segment in planned.segments:
            rows_of(segment.frames, recipe)
            for model in frozen:
                frozen_rows(segment.frames, model, "refuse")

    def reduction(buffers: dict[Any, list[NDArray[np.float64]]]) -> None:
        for own in buffers.values():
            runner.reduce(lambda b: RFactor.of_buffer(b, 1 + len(frozen), overwrite=True), RFactor.merge, own)

    def streaming_pass() -> None:
        reduce_rows(planned, [block], store=None, frozen=frozen, executor=runner)

    def streaming_fit() -> None:
        fit_block(frames, basis, block, frozen=frozen, settings=SETTINGS, executor=runner)

    def work() -> dict[str, Any]:
        found: dict[str, list[float]] = {name: [] for name in PARTS}
        rows()
        for _ in range(options.sized(REPEATS, 1)):
            buffers = leaf_buffers(planned, block, frozen)  # anew: the factorisation overwrites them
            bare = {"rows": rows, "reduction": lambda own=buffers: reduction(own)}
            for name, cpu in interleaved(bare, 1).items():
                found[name] += cpu
            del buffers, bare
            for name, cpu in interleaved({"streaming pass": streaming_pass, "streaming fit": streaming_fit}, 1).items():
                found[name] += cpu
        bare_sum = [a + b for a, b in zip(found["rows"], found["reduction"], strict=True)]
        return {
            "frames": len(frames), "rows": sum(s.rows for s in planned.segments), "columns": planned.columns[block],
            "leaves": len(cut_leaves(planned.segments, planned.columns[block] + 1 + len(frozen))), "cpu": found,
            "pass_ratio": median_ratio(found["streaming pass"], bare_sum),
            "fit_ratio": median_ratio(found["streaming fit"], bare_sum),
        }  # fmt: skip

    return work


def run(options: Options) -> dict[str, Any]:
    """The chain twice, then every streaming fit, in processes of their own."""
    absent, chains, fits = {}, {}, {}
    if (why := options.missing("cn_dft")) is not None:
        absent["chain"] = why
    else:
        for mode in ("kept", "streamed"):
            folder = options.scratch / f"chain-{mode}"
            folder.mkdir()
            own = chain.Options(options.data / "cn_dft", options.sized(20, 2), mode == "streamed", folder)
            chains[mode] = chain.run(own, apart=options.apart)
    for block, folder_name in CASES.items():
        if (why := options.missing(folder_name)) is not None:
            absent[f"streaming fit of {block}"] = why
            continue
        fits[block] = options.value(streaming, options, block)
        tell(f"streaming fit of {block}: {fits[block]['fit_ratio']:.3f} × (rows + reduction)")
    return {"chains": chains, "fits": fits, "absent": absent}


def markdown(record: dict[str, Any]) -> str:
    """The chain's tables, then the streaming fits."""
    parts = []
    for mode, found in record["chains"].items():
        checks = found["checks"]
        said = f"gradient of the ridge objective {checks['gradient']:.1e} of ‖Aᵀb‖, from the rows (limit 1e-10)"
        if "predictions_rms_difference" in checks:
            said += f"; predictions {checks['predictions_rms_difference']:.1e} kcal/mol/Å from the reference's"
        parts += [f"### The chain, {mode}", chain.steps_table(found), f"{said}."]
    rows = [
        [f"{block}, {own['rows']} × {own['columns']}", own["leaves"],
         *(figure(statistics.median(own["cpu"][part])) for part in PARTS), figure(own["pass_ratio"]),
         figure(own["fit_ratio"])]
        for block, own in record["fits"].items()
    ]  # fmt: skip
    head = ["block", "leaves", *(f"{part}, CPU s" for part in PARTS), "pass / (rows + reduction)",
            f"fit / (rows + reduction), limit {LIMIT}"]  # fmt: skip
    return "\n\n".join([*parts, "### Streaming", table(head, rows)])


BENCHMARK: Final = Benchmark("end_to_end", "Whole fits, one core.", run, markdown)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
