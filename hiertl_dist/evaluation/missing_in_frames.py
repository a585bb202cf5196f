"""Clusters in frames that a model has no coefficients for: who evaluates such frames is told, or refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ..errors import InputError, MissingTypesError
from ..frames.type_names import cluster_name
from ..model.missing_types import HOW_TO_ANSWER, stated_zeros, types_text, unanswered_clusters
from ..text.display import listed
from ..text.words import count_text
from .cluster_counts import count_in, edge_reaches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..frames.frame import Frame
    from ..frames.type_names import Elements
    from ..model.parameters import Parameters

MISSING: Final = ("refuse", "zero")
"""What is done with frames that contain types without coefficients: refused; these types count for nothing."""

SHOWN: Final = 3
"""Frames that a refusal names."""


@dataclass(frozen=True)
class MissingType:
    """A type of cluster without coefficients, and where it occurs.

    Attributes
    ----------
    name : str
        Of the type, such as ``MoNbTa``.
    clusters : int
        How many of them there are within cutoffs, in all frames.
    frames : int
        How many frames have one.
    origins : tuple of str
        The first of these frames.
    """

    name: str
    clusters: int
    frames: int
    origins: tuple[str, ...]


@dataclass(frozen=True)
class MissingClusters:
    """The types that a sum of models has no coefficients of and says nothing of, and how far their edges reach.

    Attributes
    ----------
    clusters : tuple of tuple of str
        Sorted elements of each.
    reaches : Mapping from (int, tuple of str) to float
        As of :func:`~hiertl_dist.evaluation.cluster_counts.edge_reaches`.
    source : str
        The models, for messages.
    """

    clusters: tuple[Elements, ...]
    reaches: Mapping[tuple[int, Elements], float]
    source: str

    @classmethod
    def of(cls, parts: Sequence[Parameters]) -> MissingClusters:
        """Those of a sum of models."""
        clusters = tuple(unanswered_clusters(parts))
        reaches = edge_reaches([p.basis for p in parts], clusters)
        return cls(clusters, reaches, " + ".join(p.source for p in parts))

    @classmethod
    def stated(cls, parts: Sequence[Parameters]) -> MissingClusters:
        """Those that a sum of models says it is without on purpose."""
        clusters = tuple(stated_zeros(parts))
        reaches = edge_reaches([p.basis for p in parts], clusters)
        return cls(clusters, reaches, " + ".join(p.source for p in parts))

    def met_in(self, frames: Iterable[Frame]) -> tuple[MissingType, ...]:
        """Those that occur in frames, pairs first."""
        if not self.clusters:
            return ()
        met: dict[Elements, MissingType] = {}
        for frame in frames:
            for cluster, number in count_in(frame, self.clusters, self.reaches).items():
                own = MissingType(cluster_name(cluster), number, 1, (frame.origin,))
                met[cluster] = _sum(met[cluster], own) if cluster in met else own
        return tuple(met[c] for c in self.clusters if c in met)

    def refuse(self, frames: Iterable[Frame]) -> None:
        """Raise MissingTypesError where one of them occurs in frames."""
        refuse_missing(self.met_in(frames), self.source)


def _sum(a: MissingType, b: MissingType) -> MissingType:
    origins = (*a.origins, *b.origins)[: SHOWN + 1]
    return replace(a, clusters=a.clusters + b.clusters, frames=a.frames + b.frames, origins=origins)


def joined_missing(parts: Iterable[Sequence[MissingType]]) -> tuple[MissingType, ...]:
    """What :meth:`MissingClusters.met_in` would say of the frames of all parts."""
    known: dict[str, MissingType] = {}
    for own in (m for part in parts for m in part):
        known[own.name] = _sum(known[own.name], own) if own.name in known else own
    return tuple(known.values())


def missing_text(met: Sequence[MissingType]) -> str:
    """Types without coefficients that frames contain, and in which frames, in one line."""
    most = max(met, key=lambda m: m.frames)
    return (
        f"{types_text(m.name for m in met)}; {most.name} occurs {most.clusters} times in "
        f"{count_text(most.frames, 'frame')}, such as {listed(most.origins[:SHOWN])}"
    )


def refuse_missing(met: Sequence[MissingType], source: str) -> None:
    """Raise MissingTypesError, naming types and frames, if there are any."""
    if met:
        error = MissingTypesError(
            f"{source}: expected coefficients for all clusters of the frames, found none for {missing_text(met)}; zero "
            f"is not neutral: {HOW_TO_ANSWER}"
        )
        error.types = tuple(m.name for m in met)
        raise error


def check_missing(missing: str) -> None:
    """Raise InputError unless ``missing`` is one of :data:`MISSING`."""
    if missing not in MISSING:
        raise InputError(f"missing: expected one of {MISSING}, found {missing!r}")
