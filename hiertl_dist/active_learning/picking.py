"""Which frames of the runs are labelled: new distances first, then leverage, then clusters of frames that are alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from ..evaluation.energies import Model
from ..frames.frame import Frame
from ..probes.compositions import generator
from ..text.display import number_text
from ..text.words import count_text
from ..uncertainty.coverage_selection import select_for_coverage
from ..uncertainty.whole_selection import select_of_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ..executors.base import Executor
    from ..jobs.cycle_settings import CycleSettings
    from ..uncertainty.whole_model import HierarchyPosterior
    from .judging import Judged

MOST_CLUSTERED: Final = 3000
"""Frames whose distances from one another are compared; of more, so many evenly spaced ones."""

DIRECTIONS: Final = 20
"""Of fingerprints, those of the largest spread."""


@dataclass(frozen=True)
class Picked:
    """A frame that was picked, and why.

    Attributes
    ----------
    index : int
        Its place in the pool.
    by : {"distances", "leverage", "clusters", "random"}
        Which of the ways of picking took it.
    why : str
        In words, with numbers.
    """

    index: int
    by: str
    why: str

    def as_dict(self, frame: Frame, judged: Judged) -> dict[str, Any]:
        """For JSON, with what is known of the frame: σ in kcal/mol/Å."""
        return {
            "frame": frame.origin, "by": self.by, "why": self.why, "sigma": judged.sigma, "total": judged.total,
            "leverage": judged.leverage, "highest_leverage": judged.highest,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Pool:
    """What all ways of picking look at."""

    frames: Sequence[Frame]
    judged: Sequence[Judged]
    settings: CycleSettings
    usable: NDArray[np.bool_]
    """Frames that are neither fitted nor equal to one before them."""

    def left(self, picks: Sequence[Picked], *, known: bool = True) -> list[int]:
        """Frames that may be picked; with ``known`` those alone that would settle enough."""
        taken = {p.index for p in picks}
        free = [i for i in np.flatnonzero(self.usable).tolist() if i not in taken]
        return [i for i in free if not known or self.judged[i].leverage >= self.settings.least]


def pick_frames(
    frames: Sequence[Frame], judged: Sequence[Judged], given: HierarchyPosterior, settings: CycleSettings, cycle: int,
    known: Iterable[str], executor: Executor,
) -> list[Picked]:  # fmt: skip
    """The frames that a cycle has labelled, in the order in which they were picked.

    Parameters
    ----------
    frames : sequence of Frame
        All that the runs kept.
    judged : sequence of Judged
        What the model knows of each.
    given : HierarchyPosterior
        The model with what its fits leave open.
    settings : CycleSettings
        How many, and in which shares.
    cycle : int
        Which cycle, for what is random.
    known : iterable of str
        Configurations (:attr:`~hiertl_dist.Frame.configuration`) that have labels, perhaps :func:`by_species`.
    executor : Executor
        Whose workers look at frames.

    Returns
    -------
    list of Picked
        None where no frame is new to the model.
    """
    seen, usable = set(known), np.zeros(len(frames), np.bool_)
    for i, frame in enumerate(frames):
        own = {frame.configuration, by_species(frame).configuration}  # labels have atoms in that order
        usable[i] = seen.isdisjoint(own)
        seen |= own
    pool = _Pool(frames, judged, settings, usable)
    ends = _ends(settings)
    picks: list[Picked] = []
    picks += _by_distances(pool, ends["distances"], given.model, executor)
    picks += _by_leverage(pool, ends["leverage"] - len(picks), given, picks, executor)
    picks += _by_clusters(pool, ends["clusters"] - len(picks), picks)
    share = settings.shares.get("random", 0.0)
    picks += _at_random(pool, min(round(share * settings.picks), settings.picks - len(picks)), picks, cycle)
    return picks


def by_species(frame: Frame) -> Frame:
    """The frame with atoms in the order of their elements, as inputs of some programs want them."""
    order = np.argsort(np.array(frame.species), kind="stable")
    species = tuple(frame.species[i] for i in order)
    return Frame(
        species, frame.positions[order], frame.cell, group=frame.group, origin=frame.origin, pbc=frame.pbc
    )  # fmt: skip


def _ends(settings: CycleSettings) -> dict[str, int]:
    """After how many picks each way ends, so that what one leaves is for the next."""
    ends, total = {}, 0.0
    for way in ("distances", "leverage", "clusters"):
        share = settings.shares.get(way, 0.0)
        total += share
        ends[way] = round(total * settings.picks) if share else 0
    return ends


def _by_distances(pool: _Pool, count: int, model: Model, executor: Executor) -> list[Picked]:
    if count <= 0:
        return []
    free = pool.left([], known=False)
    own = [pool.frames[i] for i in free]
    picks = []
    for pick in select_for_coverage(own, count, model, executor=executor):
        new = [*pick.types, *(f"{name} {r:.2f} Å" for name, r in pick.distances.items())]
        picks.append(Picked(free[pick.index], "distances", f"not fitted: {', '.join(new)}"))
    return picks


def _by_leverage(
    pool: _Pool, count: int, given: HierarchyPosterior, picks: Sequence[Picked], executor: Executor
) -> list[Picked]:
    if count <= 0:
        return []
    free = pool.left(picks)
    own, taken = [pool.frames[i] for i in free], [pool.frames[p.index] for p in picks if _is_known(pool, p)]
    gains = {k: pool.judged[i].gain for k, i in enumerate(free)}
    least = pool.settings.least
    found = select_of_whole(own, count, given, taken=taken, least=least, gains=gains, executor=executor)
    return [
        Picked(free[p.index], "leverage", f"settles {number_text(p.leverage)} coefficients' worth, given those before")
        for p in found
    ]


def _is_known(pool: _Pool, pick: Picked) -> bool:
    return not pool.judged[pick.index].missing


def _by_clusters(pool: _Pool, count: int, picks: Sequence[Picked]) -> list[Picked]:
    """One frame of each cluster that has none yet, large clusters first."""
    free = pool.left(picks) if count > 0 else []
    if not free:
        return []
    there = [p.index for p in picks if _is_known(pool, p)]
    members = [*there, *_thinned(free)]
    labels = clusters_of([pool.judged[i].fingerprint for i in members], count + len(there))
    with_picks = set(labels[: len(there)].tolist())
    sizes = {k: int((labels == k).sum()) for k in set(labels.tolist()) - with_picks}
    found = []
    for k in sorted(sizes, key=lambda k: (-sizes[k], k))[:count]:
        own = [members[j] for j in np.flatnonzero(labels == k)]
        best = max(own, key=lambda i: (pool.judged[i].sigma, -i))
        found.append(
            Picked(best, "clusters", f"the largest σ of a cluster of {count_text(sizes[k], 'frame')} without a pick")
        )
    return found


def _thinned(free: Sequence[int]) -> list[int]:
    if len(free) <= MOST_CLUSTERED:
        return list(free)
    return [free[int(i)] for i in np.linspace(0, len(free) - 1, MOST_CLUSTERED).round()]


def clusters_of(fingerprints: Sequence[NDArray[np.float64] | None], count: int) -> NDArray[np.int64]:
    """The cluster of each of n fingerprints, at most ``count`` of them, by Ward's method.

    Parameters
    ----------
    fingerprints : sequence of ndarray of shape (columns,)
        Each column is divided by its spread, and of all directions those of the largest spread count.
    count : int
        At least 1.

    Returns
    -------
    ndarray of shape (n,)
        Numbers of clusters.
    """
    matrix = np.array(fingerprints, np.float64)
    if len(matrix) == 1:
        return np.ones(1, np.int64)
    spread = matrix.std(axis=0)
    used = spread > 1e-12 * max(1.0, float(np.abs(matrix).max(initial=0.0)))
    centred = (matrix[:, used] - matrix[:, used].mean(axis=0)) / spread[used]
    if not used.any():
        return np.ones(len(matrix), np.int64)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    tree = linkage(left[:, :DIRECTIONS] * sizes[:DIRECTIONS], method="ward")
    return np.asarray(fcluster(tree, count, criterion="maxclust"), np.int64)


def _at_random(pool: _Pool, count: int, picks: Sequence[Picked], cycle: int) -> list[Picked]:
    free = pool.left(picks, known=False) if count > 0 else []
    rng = generator(pool.settings.seed, "pick", cycle)
    drawn = rng.permutation(len(free))[:count].tolist()
    return [Picked(free[i], "random", "drawn at random") for i in drawn]


def counts_by_way(picks: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many frames each way of picking took."""
    counts: dict[str, int] = {}
    for pick in picks:
        counts[pick["by"]] = counts.get(pick["by"], 0) + 1
    return counts
