"""Which sources of rows keep summaries of their own, and which share one.

A name of a group for each trajectory would make a triangle for each trajectory, of which nobody asks anything. So
where there are more than a few sources that nobody named, these are pooled: their rows have one summary for each kind
(in a pass for many fits, for each kind, composition and fold), with the source
:data:`~hiertl_dist.frames.rows.POOLED`. What is named stays apart, by a weight or in ``apart``. Sums over rows are the
same either way, and so is a fit but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError
from ..text.display import listed
from ..text.words import count_text, shown
from .rows import KINDS, POOLED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

MOST_SOURCES: Final = 50
"""Sources that nobody named are pooled where there are more than so many. A few tell of themselves, in residuals and
held-out errors, at the price of a triangle for each kind."""

KEEP_APART: Final = 'name it in apart (patterns such as "liquid*"; "*" for all)'
"""How a source is kept apart."""

NAMED: Final = 5
"""How many sources a message names."""


@dataclass(frozen=True)
class Pooling:
    """Which sources are apart, and which are pooled.

    Attributes
    ----------
    apart : frozenset of str or None
        Sources with summaries of their own; ``None``: all.
    pooled : tuple of str
        The others, sorted.
    """

    apart: frozenset[str] | None = None
    pooled: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What is said of pooled sources; nothing where there are none."""
        if not self.pooled:
            return ()
        return (
            f"{count_text(len(self.pooled), 'source')} of rows (groups of frames) are pooled as {POOLED!r}, for no "
            f"weight names them and there are more than {MOST_SOURCES}: {listed(self.pooled, NAMED)}; errors are told "
            f"of all of them together. To keep one apart, {KEEP_APART}, or give it a weight",
        )


def check_apart(apart: Any, where: str = "apart") -> None:
    """Raise InputError unless ``apart`` is a list of patterns."""
    if isinstance(apart, str) or not isinstance(apart, Sequence) or not all(isinstance(p, str) for p in apart):
        raise InputError(f"{where}: expected a list of patterns of groups, found {shown(apart)}")


def require_matches(patterns: Iterable[str], sources: Iterable[str], where: str) -> None:
    """Raise InputError for a pattern that matches no source."""
    known = list(sources)
    for pattern in patterns:
        if not any(fnmatchcase(s, pattern) for s in known):
            raise InputError(f"{where}: {pattern!r} matches no group; there are {sorted(known)[:20]}")


def named_sources(sources: Iterable[str], weights: Collection[str], patterns: Sequence[str] = ()) -> frozenset[str]:
    """The sources that weights name, alone or with a kind, or that a pattern matches."""
    if not weights and not patterns:
        return frozenset()
    names = frozenset(weights)
    return frozenset(
        s for s in sources
        if s in names or any(f"{s}/{k}" in names for k in KINDS) or any(fnmatchcase(s, p) for p in patterns)
    )  # fmt: skip


def pooling_of(
    sources: Iterable[str], weights: Collection[str] = (), patterns: Sequence[str] = (), *,
    held_apart: frozenset[str] = frozenset(), held_pooled: frozenset[str] = frozenset(),
) -> Pooling:  # fmt: skip
    """Which of some sources are pooled.

    Parameters
    ----------
    sources : iterable of str
        Those of the frames of a pass.
    weights : collection of str
        Names of weights, by kind, source or both.
    patterns : sequence of str
        Of sources that are to be apart.
    held_apart, held_pooled : frozenset of str
        Sources that are apart, and that are pooled, in what the pass is added to; they stay so.

    Returns
    -------
    Pooling
        Of all sources.

    Raises
    ------
    InputError
        A source that is to be apart has the name of the pool, or is pooled already.
    """
    new = frozenset(sources) - held_apart - held_pooled
    wanted = named_sources(new | held_apart | held_pooled, weights, patterns)
    if gone := sorted(wanted & held_pooled):
        raise InputError(
            f"{count_text(len(gone), 'group')} to be kept apart, {listed(gone, NAMED)}: rows are pooled with those of "
            "others already, and can't be told from them"
        )
    unnamed = (held_apart | new) - wanted
    pooled = held_pooled | (new - wanted if held_pooled or len(unnamed) > MOST_SOURCES else frozenset())
    if not pooled:
        return Pooling()
    apart = (held_apart | new) - pooled
    if POOLED in apart:
        raise InputError(f"group {POOLED!r}: that is the name of pooled groups; give these frames another")
    return Pooling(apart, tuple(sorted(pooled)))
