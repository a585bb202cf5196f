"""What ``hiertl-dist select`` does, as one function: frames of a pool to label next, why, and a file of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..evaluation.missing_in_frames import MissingClusters, check_missing
from ..files.paths import replacing
from ..frames.frame_sequence import sequence_of
from ..io.extxyz_write import frame_lines, stress_values
from ..text.display import Shown, number_text, table_text
from ..text.words import count_text, percent_text
from ..uncertainty.pool_selection import METHODS, PoolSelection, select_from_pool
from ..units import EV
from .csv_tables import CsvTable
from .evaluating import missing_in
from .outputs import file_writer, table_writer, write_outputs
from .predicted_lines import UNITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ..evaluation.energies import Model
    from ..evaluation.frame_rows import InnerPolicy
    from ..evaluation.missing_in_frames import MissingType
    from ..executors.base import Executor
    from ..frames.frame import Frame
    from ..frames.frame_sequence import FrameSequence
    from ..uncertainty.whole_model import HierarchyPosterior

SELECTION: Final = "selection.csv"
MOST: Final = 40
"""Frames of the table for people."""

HEADER: Final = (
    "rank", "index", "origin", "group", "composition", "atoms", "information_nats", "leverage_sum", "leverage",
    "gaps_closed", "share_so_far", "types", "distances_Å",
)  # fmt: skip

MEANINGS: Final = {
    "d_optimal": "information (nats) that the labels of a frame add to those of the frames before it; leverage: how "
    "many coefficients' worth was unknown",
    "leverage": "leverage of the row that lies farthest outside of the fits, and the sum over rows; each frame alone",
    "coverage": "types of clusters without data, and distances beyond the fitted ones, that no frame before has",
}


@dataclass(frozen=True, eq=False, repr=False)
class SelectionReport(Shown):
    """What ``select`` found.

    Attributes
    ----------
    selection : PoolSelection
        The frames, and why.
    pool : FrameSequence
        All frames.
    missing : tuple of MissingType
        Types of clusters without coefficients, of which only ``coverage`` knows.
    notes : tuple of str
        What there is to say of the model and of the file.
    files : tuple of Path
        What was written.
    """

    selection: PoolSelection
    pool: FrameSequence
    missing: tuple[MissingType, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def _rows(self) -> list[dict[str, Any]]:
        chosen = self.selection
        facts, so_far, rows = self.pool.facts, 0.0, []
        for rank, pick in enumerate(chosen.picks, 1):
            so_far += pick.value
            i = pick.index
            rows.append({
                "rank": rank, "index": i, "origin": self.pool.origin(i), "group": facts.group_names[facts.group[i]],
                "composition": facts.compositions[facts.formula[i]], "atoms": int(facts.n_atoms[i]),
                "share_so_far": so_far / chosen.total, **why(chosen.method, pick.value, pick.leverage),
                "types": list(pick.types), "distances": dict(pick.distances),
            })  # fmt: skip
        return rows

    def text(self) -> str:
        """For people: the frames, and why each was chosen.

        Returns
        -------
        str
            Several lines.
        """
        chosen = self.selection
        by_share = np.isfinite(chosen.total)
        heads = ["", "frame", "composition", "atoms", *_HEADS[chosen.method], *(["share"] if by_share else [])]
        cells = []
        for row in self._rows()[:MOST]:
            reasons = [number_text(row[key]) for key in _NUMBERS[chosen.method]]
            if chosen.method == "coverage":
                near = [f"{name} {distance:.3f} Å" for name, distance in row["distances"].items()]
                reasons = [", ".join(row["types"]) or "–", ", ".join(near) or "–"]
            share = [percent_text(row["share_so_far"])] if by_share else []
            cells.append([row["rank"], row["origin"], row["composition"], row["atoms"], *reasons, *share])
        left = [
            f"{n} {what}"
            for n, what in (
                (chosen.known, "known already"), (chosen.again, "there again"),
                (chosen.inside, "with a pair inside an inner cutoff"),
            ) if n
        ]  # fmt: skip
        head = f"{count_text(len(chosen.picks), 'frame')} of {chosen.candidates} by {chosen.method}"
        apart = f" (not to choose: {', '.join(left)})" if left else ""
        lines = [f"{head}{apart}; {MEANINGS[chosen.method]}"]
        lines += [table_text(heads, cells)] if cells else ["the model was fitted on all that the pool has"]
        if len(chosen.picks) > MOST:
            lines.append(f"… and {len(chosen.picks) - MOST} more")
        lines += [f"WARNING: {m.name}: no coefficients; no row knows of it, use coverage" for m in self.missing]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines) + ("\n\nwritten:" + "".join(f"\n  {f}" for f in self.files) if self.files else "")

    def as_dict(self) -> dict[str, Any]:
        """For JSON.

        Returns
        -------
        dict from str to object
            The frames and why; how many could not be chosen; files.
        """
        chosen = self.selection
        return {
            "method": chosen.method, "picks": self._rows(), "total": chosen.total, "candidates": chosen.candidates,
            "known": chosen.known, "again": chosen.again, "inside_inner_cutoff": chosen.inside,
            "missing_types": [vars(m) for m in self.missing], "selection_notes": self.notes,
            "files": [str(f) for f in self.files],
        }  # fmt: skip

    def table(self) -> CsvTable:
        """``selection.csv``: a row a chosen frame.

        Returns
        -------
        CsvTable
            In the order in which they were taken.
        """
        rows = tuple(
            (
                *(row[k] for k in HEADER[:6]), *(row.get(k, "") for k in HEADER[6:10]), row["share_so_far"],
                " ".join(row["types"]), "; ".join(f"{k} {v!r}" for k, v in row["distances"].items()),
            )
            for row in self._rows()
        )  # fmt: skip
        return CsvTable(SELECTION, HEADER, rows)


_NUMBERS: Final = {
    "d_optimal": ("information_nats", "leverage_sum"), "leverage": ("leverage", "leverage_sum"),
    "coverage": ("gaps_closed",),
}  # fmt: skip
_HEADS: Final = {
    "d_optimal": ("information", "leverage"), "leverage": ("leverage", "sum"), "coverage": ("types", "distances"),
}  # fmt: skip


def why(method: str, value: float, leverage: float) -> dict[str, float | int]:
    """The numbers by which a frame was chosen, by name."""
    if method == "d_optimal":  # the logarithm of a determinant is twice the information
        return {"information_nats": 0.5 * value, "leverage_sum": leverage}
    if method == "leverage":
        return {"leverage": leverage, "leverage_sum": value}
    return {"gaps_closed": round(value)}


# long: its parameters are documented
def select_job(
    pool: Sequence[Frame], given: HierarchyPosterior | Model, executor: Executor, *, method: str = METHODS[0],
    count: int | None = None, share: float | None = None, fitted: Sequence[Frame] = (), pending: Sequence[Frame] = (),
    policy: InnerPolicy = "refuse", step: float = 0.1, missing: str = "refuse", output: Path | None = None,
    keep_labels: bool = False, tables: Path | None = None,
) -> SelectionReport:  # fmt: skip
    """Choose frames of a pool, and write them and a table of why if asked for.

    Parameters
    ----------
    pool : sequence of Frame
        Frames, which need no labels.
    given : HierarchyPosterior or Model
        As of :func:`~hiertl_dist.uncertainty.pool_selection.select_from_pool`, as are the next ones.
    executor : Executor
        Who does the work.
    method : {"d_optimal", "leverage", "coverage"}
        How.
    count : int, optional
        How many at most.
    share : float, optional
        In place of a number.
    fitted : sequence of Frame
        That the model was fitted on.
    pending : sequence of Frame
        That were chosen before.
    policy : {"refuse", "skip_frame", "damp", "lsq"}
        For pairs inside an inner cutoff.
    step : float
        Å, of ``"coverage"``.
    missing : {"refuse", "zero"}
        For clusters of types without coefficients, but by ``"coverage"``, which looks for these.
    output : Path, optional
        The file of chosen frames, over one that is there.
    keep_labels : bool
        Write labels that the frames have; otherwise they are left out, which is told.
    tables : Path, optional
        Folder of ``selection.csv``.

    Returns
    -------
    SelectionReport
        The frames, and why.

    Raises
    ------
    InputError, FrameError, InnerCutoffError
        As of :func:`~hiertl_dist.uncertainty.pool_selection.select_from_pool`.
    MissingTypesError
        Frames contain clusters of types without coefficients.
    """
    check_missing(missing)
    frames = sequence_of(pool)
    executor.require_alike(lambda: frames.identities, "frames")
    model: Model = getattr(given, "model", given)  # type: ignore[arg-type]
    met: tuple[MissingType, ...] = ()
    if method != "coverage":
        met = missing_in(frames, MissingClusters.of([model.parameters]), executor, missing)
    found = select_from_pool(
        frames, given, method=method, count=count, share=share, fitted=fitted, pending=pending, policy=policy,
        step=step, executor=executor,
    )  # fmt: skip
    notes = list(getattr(given, "notes", ())) if method != "coverage" else []
    writers = []
    chosen = frames.take(np.array([p.index for p in found.picks], np.int64))
    if output is not None:
        writers.append(file_writer(output, partial(_write, chosen, found, keep_labels)))
        labelled = int(np.count_nonzero(chosen.facts.n_rows > 0))
        if labelled and not keep_labels:
            notes.append(f"labels of {count_text(labelled, 'frame')} are not in {output}; --keep-labels writes them")
        if keep_labels and (few := sum(_is_partial(frame) for frame in chosen)):
            of = count_text(few, "frame")
            notes.append(f"stresses of {of} are not in {output}: labels of some components alone can't be written")
    report = SelectionReport(found, frames, met, tuple(notes))
    if tables is not None:
        writers.append(table_writer(tables, report.table()))
    write_outputs(executor, writers)
    return replace(report, files=tuple(f for w in writers for f in w.files))


def _write(frames: FrameSequence, found: PoolSelection, keep_labels: bool, path: Path) -> None:
    with replacing(path) as stream:
        for rank, (pick, frame) in enumerate(zip(found.picks, frames, strict=True), 1):
            values: dict[str, Any] = {
                "selection_rank": rank, "selection_method": found.method, "pool_index": pick.index,
                **{f"selection_{k}": v for k, v in why(found.method, pick.value, pick.leverage).items()},
            }  # fmt: skip
            if pick.types:
                values["selection_types"] = " ".join(pick.types)
            if pick.distances:
                values["selection_distances"] = ", ".join(f"{k} {v:.4f}" for k, v in pick.distances.items())
            columns: Mapping[str, Any] = {}
            if keep_labels:
                values, columns = _labels(frame, values)
            stream.writelines(line.encode() for line in frame_lines(frame, values | UNITS, columns))


def _labels(frame: Frame, values: dict[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The labels of a frame under their usual names."""
    if frame.energy is not None:
        values["energy"] = frame.energy / EV
    if frame.stress is not None and not _is_partial(frame):
        values["stress"] = stress_values(frame.stress)
    return values, {} if frame.forces is None else {"forces": frame.forces / EV}


def _is_partial(frame: Frame) -> bool:
    return frame.stress is not None and not np.isfinite(frame.stress).all()
