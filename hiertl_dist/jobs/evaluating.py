"""Frames are evaluated for a report: by workers, in runs, of which sums and a few numbers a frame come back.

No forces come to the calling process. What is done together follows from the frames alone, and parts are joined in
order: bits don't depend on who works.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..evaluation.cluster_counts import MOST_COUNTED, TypeCounts, count_types, edge_reaches, joined_counts
from ..evaluation.coverage import coverage_report, joined_coverage
from ..evaluation.missing_in_frames import (
    MissingClusters,
    MissingType,
    check_missing,
    joined_missing,
    refuse_missing,
)
from ..evaluation.pair_forces import with_force
from ..evaluation.sums import sum_evaluations
from ..executors import InlineExecutor
from ..fitting.mean_model import NAN
from ..frames.frame_sequence import sequence_of
from ..frames.type_names import cluster_name, split_symbols
from ..units import KCAL_PER_A3_IN_GPA
from .error_tables import names_and_codes
from .evaluated import EvaluatedFrames, are_listed
from .flagged import FlaggedPairs
from .frame_file import batches_of
from .label_sums import ADDED, LabelSums, joined_sums
from .predicted_lines import predicted_text
from .samples import NO_POINTS, Points, joined_points, share_of, spread_evenly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..evaluation.coverage import Coverage
    from ..evaluation.energies import Evaluation, Model
    from ..executors.base import Executor
    from ..frames.frame import Frame
    from ..frames.frame_facts import FrameFacts
    from ..frames.frame_sequence import FrameSequence
    from .error_tables import Errors
    from .frame_file import FrameFile
    from .predicted_lines import FrameText

CHUNK_ATOMS: Final = 4096
"""Atoms of the frames that a task evaluates, a second's work of a large model."""

CHUNKS: Final = 256
"""Tasks that the frames make at least, where there are as many: work for many workers."""


def evaluate_frames(
    models: Sequence[Model], frames: Sequence[Frame], executor: Executor | None = None, *,
    ignore_other_elements: bool = False, points: bool = False, missing: str = "refuse", file: FrameFile | None = None,
) -> EvaluatedFrames:  # fmt: skip
    """Evaluate the sum of models on frames, for a report.

    Parameters
    ----------
    models : sequence of Model
        One or several.
    frames : sequence of Frame
        Any number, also on disk.
    executor : Executor, optional
        Who does it; default: this process.
    ignore_other_elements : bool
        As for ``Model.evaluate``.
    points : bool
        Whether a figure is to be drawn.
    missing : {"refuse", "zero"}
        For clusters of types of which no model has coefficients, whatever elements are ignored: refused before
        anything is evaluated, or they count for nothing, and the result names them.
    file : FrameFile, optional
        Gets what is said of each frame.

    Returns
    -------
    EvaluatedFrames
        In the order of the frames.

    Raises
    ------
    MissingTypesError
        Naming the types without coefficients and frames that contain them.
    """
    check_missing(missing)
    sequence = sequence_of(frames)
    lacking = MissingClusters.of([m.parameters for m in models])
    met = missing_in(sequence, lacking, executor, missing)
    chunks = _chunks(sequence)
    options = _options(sequence, points, texts=file is not None)
    task = partial(_evaluate, models=tuple(models), options=options, ignore=ignore_other_elements)
    runner = InlineExecutor() if executor is None else executor
    runner.require_alike(lambda: sequence.identities, "frames")
    parts: list[_Summary] = []
    for some in [chunks] if file is None else batches_of(chunks):
        found = runner.run(task, some, label=_label, what="evaluate", cost=_atoms)
        if file is not None:
            file.add([text for part in found for text in part.texts])
            found = [replace(part, texts=()) for part in found]
        parts += found
    joined = _joined(sequence, chunks, parts, models)
    coverage = tuple([with_force(m, c) for c in own] for m, own in zip(models, joined.coverage, strict=True))
    return replace(joined, missing=met, coverage=coverage, met=joined_counts(p.met for p in parts))


def missing_in(
    frames: FrameSequence, lacking: MissingClusters, executor: Executor | None, missing: str = "zero"
) -> tuple[MissingType, ...]:  # fmt: skip
    """The types without coefficients that occur; frames without the elements of any are not looked at.

    Raises MissingTypesError where there are some, unless ``missing`` is ``"zero"``.
    """
    met = _met_of(frames, lacking, executor)
    if missing == "refuse":
        refuse_missing(met, lacking.source)
    return met


def _met_of(
    frames: FrameSequence, lacking: MissingClusters, executor: Executor | None
) -> tuple[MissingType, ...]:  # fmt: skip
    wanted = [frozenset(c) for c in lacking.clusters]
    sets = [s for s in frames.facts.element_sets() if any(w <= s.elements for w in wanted)]
    if not sets:
        return ()
    chosen = frames.take(np.flatnonzero(frames.facts.of_sets(sets)))
    chunks = _chunks(chosen)
    task = partial(_met_in, lacking=lacking)
    if executor is None:
        return joined_missing(map(task, chunks))
    executor.require_alike(lambda: chosen.identities, "frames")
    return joined_missing(
        executor.run(task, chunks, label=_label, what="look for types without coefficients", cost=_atoms)
    )


def _met_in(chunk: _Chunk, *, lacking: MissingClusters) -> tuple[MissingType, ...]:
    return lacking.met_in(chunk.frames)


def _atoms(chunk: _Chunk) -> float:
    return float(chunk.atoms)


def evaluated_of(
    frames: Sequence[Frame], evaluations: Sequence[Evaluation], *, points: bool = False
) -> EvaluatedFrames:  # fmt: skip
    """The same of evaluations that are there already, one for each frame, which are few."""
    sequence = sequence_of(frames)
    chunk = _Chunk(sequence, 0, 0, *_codes(sequence), (0,) * len(ADDED))
    summary = _summary(chunk, list(frames), evaluations, _options(sequence, points))
    return _joined(sequence, [chunk], [summary], [])


def errors_of(frames: Sequence[Frame], evaluations: Sequence[Evaluation]) -> Errors:
    """Errors pooled over some frames."""
    return evaluated_of(frames, evaluations).whole


# ---- what a worker does


class _Chunk(NamedTuple):
    """Frames that are evaluated together; of each the numbers of its composition and its group."""

    frames: FrameSequence
    start: int
    atoms: int
    compositions: NDArray[np.int32]
    groups: NDArray[np.int32]
    labels_before: tuple[int, ...]


class _Options(NamedTuple):
    """``share``: which part of the labels of each kind becomes points; ``stresses``: whether what is said is kept.

    ``stride``: every so manieth frame is one in which clusters of all types are counted. ``texts``: whether frames are
    written.
    """

    share: tuple[float, ...]
    stresses: bool
    stride: int
    texts: bool = False


@dataclass(frozen=True, eq=False)
class _Summary:
    energies: NDArray[np.float64]
    rmse: NDArray[np.float64]
    stresses: NDArray[np.float64] | None
    flagged: FlaggedPairs
    coverage: tuple[list[Coverage], ...]
    sums: tuple[LabelSums, LabelSums, LabelSums]
    points: tuple[Points, ...]
    met: TypeCounts = field(default_factory=dict)
    texts: tuple[FrameText, ...] = ()


def _evaluate(chunk: _Chunk, models: tuple[Model, ...], options: _Options, ignore: bool) -> _Summary:
    frames = list(chunk.frames)
    parts = [m.evaluate(frames, ignore_other_elements=ignore, missing="zero") for m in models]
    found = parts[0] if len(models) == 1 else sum_evaluations(parts, [m.coverage for m in models])
    coverage = tuple(coverage_report(m.coverage, [e.ranges for e in own]) for m, own in zip(models, parts, strict=True))
    texts = tuple(map(predicted_text, frames, found)) if options.texts else ()
    summary = _summary(chunk, frames, found, options, coverage)
    return replace(summary, met=_counts_in(frames, models, options.stride), texts=texts)


def _counts_in(frames: Sequence[Frame], models: Sequence[Model], stride: int) -> TypeCounts:
    """How often types are met: of those that data informed in every so manieth frame, scaled, of the others in all."""
    kinds = list(dict.fromkeys(t.elements for m in models for t in m.parameters.basis.types if t.body > 1))
    # what a model says is zero is met as well
    stated = {split_symbols(n) for m in models for n, way in m.parameters.without_data.items() if way == "zero"}
    kinds += sorted(stated - set(kinds))
    reaches = edge_reaches([m.parameters.basis for m in models], kinds)
    uninformed = {n for m in models for n, (number, _) in m.parameters.fitted_on.items() if not number}
    uninformed |= {n for m in models for n in m.parameters.without_data}
    rare = [k for k in kinds if stride == 1 or cluster_name(k) in uninformed]
    met = count_types(frames, rare, reaches)
    if stride > 1:
        some = frames[::stride]
        share = len(frames) / len(some)
        often = count_types(some, [k for k in kinds if k not in set(rare)], reaches)
        met |= {name: (round(share * had), round(share * number)) for name, (had, number) in often.items()}
    return met


def _summary(
    chunk: _Chunk, frames: Sequence[Frame], found: Sequence[Evaluation], options: _Options,
    coverage: tuple[list[Coverage], ...] = (),
) -> _Summary:  # fmt: skip
    n = len(frames)
    sums, largest, stresses = np.zeros((n, len(ADDED), 4)), np.zeros((n, len(ADDED))), np.full((n, 6), np.nan)
    rmse = np.full((n, len(ADDED)), NAN)
    pairs: list[list[tuple[int, NDArray[np.float64], NDArray[np.float64]]]] = [[] for _ in ADDED]
    for i, (frame, evaluation) in enumerate(zip(frames, found, strict=True)):
        if frame.stress is not None:
            stresses[i] = frame.stress * KCAL_PER_A3_IN_GPA
        for k, (labels, values) in enumerate((_forces(frame, evaluation), _stresses(frame, evaluation))):
            if len(labels):
                errors = values - labels
                size = np.abs(errors)
                sums[i, k] = len(labels), np.sum(errors**2), np.sum(size), np.sum(labels**2)
                largest[i, k] = np.max(size)
                rmse[i, k] = np.sqrt(sums[i, k, 1] / len(labels))
                pairs[k].append((i, labels, values))
    keys = (chunk.compositions, chunk.groups, np.zeros(n, np.int32))
    by_composition, by_group, whole = (LabelSums.of_frames(codes, sums, largest, stresses) for codes in keys)
    points = tuple(
        _points(own, before, share)
        for own, before, share in zip(pairs, chunk.labels_before, options.share, strict=True)
    )
    return _Summary(
        np.array([e.energy for e in found], np.float64), rmse,
        np.array([e.stress for e in found]).reshape(-1, 6) if options.stresses else None,
        FlaggedPairs.of_frames([e.out_of_range for e in found]), coverage, (by_composition, by_group, whole), points,
    )  # fmt: skip


_NOTHING: Final = np.empty(0)


def _forces(frame: Frame, evaluation: Evaluation) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Labels that a frame has and what a model says of them, in the units of errors."""
    if frame.forces is None:
        return _NOTHING, _NOTHING
    return frame.forces.ravel(), evaluation.forces.ravel()


def _stresses(frame: Frame, evaluation: Evaluation) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if frame.stress is None:
        return _NOTHING, _NOTHING
    # components that the label lacks are NaN; a model that gives NaN is not to hide among them
    finite = np.isfinite(frame.stress)
    return frame.stress[finite] * KCAL_PER_A3_IN_GPA, evaluation.stress[finite] * KCAL_PER_A3_IN_GPA


def _points(pairs: Sequence[tuple[int, NDArray[np.float64], NDArray[np.float64]]], before: int, share: float) -> Points:
    if not pairs or not share:
        return NO_POINTS
    labels, values = (np.concatenate([p[j] for p in pairs]) for j in (1, 2))
    chosen = spread_evenly(before, len(labels), share)
    frames = np.repeat(np.array([p[0] for p in pairs], np.int32), [len(p[1]) for p in pairs])
    return Points(labels[chosen], values[chosen], frames[chosen])


# ---- cutting and joining


def _options(frames: FrameSequence, points: bool, *, texts: bool = False) -> _Options:
    labels = [int(_labels_of(frames.facts, kind).sum()) for kind in ADDED]
    return _Options(
        tuple(share_of(n) if points else 0.0 for n in labels),
        are_listed(len(frames)),
        max(1, -(-len(frames) // MOST_COUNTED)),
        texts,
    )


def _labels_of(facts: FrameFacts, kind: str) -> NDArray[np.int64]:
    """(n,) numbers of labels of a kind, one of :data:`ADDED`, of each frame."""
    forces = 3 * np.where(facts.has_forces, facts.n_atoms, 0).astype(np.int64)
    return forces if kind == "force" else facts.n_rows - forces - facts.has_energy


def _codes(frames: FrameSequence) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    facts = frames.facts
    return (
        names_and_codes(facts.compositions, facts.formula)[1],
        names_and_codes(facts.group_names, facts.group)[1],
    )


def _chunks(frames: FrameSequence) -> list[_Chunk]:
    """Runs of frames of about as many atoms, which follow from the frames alone."""
    ends = np.cumsum(frames.facts.n_atoms, dtype=np.int64)
    if not len(ends):
        return []
    size = max(min(CHUNK_ATOMS, int(ends[-1]) // CHUNKS), 1)
    cuts = [0, *(np.flatnonzero(np.diff((ends - 1) // size)) + 1).tolist(), len(ends)]
    labels = np.stack([np.add.reduceat(_labels_of(frames.facts, kind), cuts[:-1]) for kind in ADDED], axis=1)
    before = np.cumsum(labels, axis=0) - labels
    compositions, groups = _codes(frames)
    return [
        _Chunk(
            frames[first:last], first, int(frames.facts.n_atoms[first:last].sum()), compositions[first:last],
            groups[first:last], tuple(before[k].tolist()),
        )
        for k, (first, last) in enumerate(pairwise(cuts))
    ]  # fmt: skip


def _label(chunk: _Chunk) -> str:
    """Names a chunk: what befalls one of its frames names that, and this is for the rest."""
    first, last = (chunk.frames.origin(k) for k in (0, len(chunk.frames) - 1))
    return first if len(chunk.frames) == 1 else f"{first} … {last}"


def _joined(
    frames: FrameSequence, chunks: Sequence[_Chunk], parts: Sequence[_Summary], models: Sequence[Model]
) -> EvaluatedFrames:
    facts, n = frames.facts, len(frames)
    sizes = (len(set(facts.compositions)), len(set(facts.group_names)), 1)
    by_composition, by_group, whole = (joined_sums((p.sums[k] for p in parts), size) for k, size in enumerate(sizes))
    starts = [c.start for c in chunks]
    energies, force, stress = np.empty(n), np.empty(n), np.empty(n)
    stresses = np.empty((n, 6)) if are_listed(n) else None
    for start, part in zip(starts, parts, strict=True):
        own = slice(start, start + len(part.energies))
        energies[own], force[own], stress[own] = part.energies, part.rmse[:, 0], part.rmse[:, 1]
        if stresses is not None:
            stresses[own] = part.stresses
    return EvaluatedFrames(
        frames, energies, force, stress, stresses, FlaggedPairs.joined([p.flagged for p in parts], starts),
        tuple(joined_coverage(m.coverage, [p.coverage[k] for p in parts]) for k, m in enumerate(models)),
        (by_composition, by_group, whole),
        {kind: joined_points([p.points[k] for p in parts], starts) for k, kind in enumerate(ADDED)},
    )  # fmt: skip
