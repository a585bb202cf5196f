"""``RowWeights``: what each row of each frame is multiplied by before rows are reduced.

Weights of groups multiply what rows came to and may change afterwards; these are part of the rows of a pass. A weight
follows from the frame and its group alone, by an expression for each kind of row (:mod:`.expressions`) or from a list
that was read from a file, so that whoever makes the rows of a frame gives them the same weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError
from ..files.json_files import digest_of
from ..text.display import Shown
from ..text.words import count_text, shown
from .digests import DigestIndex
from .expressions import Expression
from .rows import KINDS
from .weight_facts import GAS, KNOWN, OF_LABELS, FactsOfRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .frame_sequence import FrameSequence

MOST: Final = 1e300
"""Weights are below this."""


class ListedWeights:
    """A weight for each row of some frames, which are known by their digests.

    Parameters
    ----------
    digests : ndarray of uint8, shape (n, 32)
        Of the frames.
    starts : ndarray of int, shape (n + 1,)
        Number of the first weight of each frame, and after the last of all.
    values : ndarray of shape (rows,)
        The weights, in the order of rows.
    source : str
        Where they are from, for messages.
    """

    def __init__(
        self, digests: NDArray[np.uint8], starts: NDArray[np.int64], values: NDArray[np.float64], source: str
    ) -> None:
        self.digests, self.starts, self.values, self.source = digests, starts, values, source

    def __str__(self) -> str:
        return f"{self.source}: {count_text(len(self.values), 'weight')}, SHA-256 {self.digest[:12]}"

    __repr__ = __str__

    @cached_property
    def digest(self) -> str:
        """SHA-256 of frames and weights."""
        h = hashlib.sha256()
        for part in (self.digests, self.starts.astype("<i8"), self.values.astype("<f8")):
            h.update(np.ascontiguousarray(part).tobytes())
        return h.hexdigest()

    @cached_property
    def _index(self) -> DigestIndex:
        return DigestIndex.of(self.digests)

    @classmethod
    def of_frames(cls, frames: FrameSequence, values: NDArray[np.float64], source: str) -> ListedWeights:
        """The weights (rows,) of all rows of some frames. Raises InputError where equal frames have other weights."""
        starts = np.concatenate([[0], np.cumsum(frames.facts.n_rows)])
        made = cls(frames.digests, starts, values, source)
        first = made._index.places(made.digests)
        for i in np.flatnonzero(first != np.arange(len(frames))).tolist():
            k = int(first[i])
            if not np.array_equal(values[starts[i] : starts[i + 1]], values[starts[k] : starts[k + 1]]):
                raise InputError(
                    f"{source}: {frames.origin(i)} equals {frames.origin(k)} and has other weights, so that nothing "
                    "tells which are meant; leave one of the frames out, or give both the same weights"
                )
        return made

    def _places(self, frames: FrameSequence) -> NDArray[np.int64]:
        places = self._index.places(frames.digests)
        if len(missing := np.flatnonzero(places < 0)):
            raise InputError(
                f"{self.source}: {frames.origin(int(missing[0]))} is none of the {len(self.digests)} frames that have "
                "weights there"
            )
        return places

    def restricted(self, frames: FrameSequence) -> ListedWeights:
        """Those of some of the frames, each once. Raises InputError for a frame that has none."""
        places = np.unique(self._places(frames))
        lengths = np.diff(self.starts)[places]
        rows = _ranges(self.starts[places], lengths)
        return ListedWeights(
            self.digests[places], np.concatenate([[0], np.cumsum(lengths)]), self.values[rows], self.source
        )

    def of(self, frames: FrameSequence) -> NDArray[np.float64]:
        """(rows,) the weights of the rows of some of the frames. Raises InputError for a frame that has none."""
        places = self._places(frames)
        return self.values[_ranges(self.starts[places], np.diff(self.starts)[places])]


def _ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """start, start + 1, … of each, one after the other."""
    before = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


@dataclass(frozen=True, eq=False, repr=False)
class RowWeights(Shown):
    """A weight for each row: by expressions over facts of frames, from a list, or both, which multiply.

    Attributes
    ----------
    force, energy, stress : str or float
        Expressions of the weight of a row of the kind (docs/howto/weights.md), or numbers; default: 1.
    cycles : Mapping from str to int
        By pattern of groups of frames, the number of their cycle; of others it is in the group's name: ``ALC-2``,
        ``cycle_2``.
    gas : Sequence of str
        Patterns of groups of frames of the gas phase, of which the fact ``gas`` is 1; default: ``G_*``.
    listed : ListedWeights or None
        A weight for each row of each frame, as :func:`~hiertl_dist.io.weight_files.read_row_weights` reads them.

    Raises
    ------
    InputError
        An expression that says something that is not known, which is named; a number that is negative or not finite;
        a cycle that is no whole number.

    Examples
    --------
    >>> RowWeights(force="A(1.0) * B(1.0, -1.0)", energy="5.0 if n_atoms == 1 else 0.3", cycles={"start": 0})
    """

    force: str | float = 1.0
    energy: str | float = 1.0
    stress: str | float = 1.0
    cycles: Mapping[str, int] = field(default_factory=dict)
    gas: Sequence[str] = GAS
    listed: ListedWeights | None = None

    def __post_init__(self) -> None:
        for kind in KINDS:
            value = getattr(self, kind)
            if isinstance(value, str):
                Expression.parse(value, f"weights.{kind}", KNOWN)
            elif isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < MOST:
                raise InputError(f"weights.{kind}: expected an expression or a finite number ≥ 0, found {shown(value)}")
        if isinstance(self.gas, str):
            object.__setattr__(self, "gas", (self.gas,))
        for pattern, cycle in self.cycles.items():
            if isinstance(cycle, bool) or not isinstance(cycle, int) or cycle < 0:
                raise InputError(f"weights.cycles.{pattern}: expected a whole number ≥ 0, found {shown(cycle)}")

    def as_dict(self) -> dict[str, Any]:
        """All that weights follow from, as JSON has it: what summaries made with them are known by.

        Returns
        -------
        dict from str to object
            Expressions and numbers by kind, cycles, patterns of the gas phase, and the digest of a list.
        """
        listed = {} if self.listed is None else {"listed": self.listed.digest}
        kinds = {kind: getattr(self, kind) for kind in KINDS}
        return {**kinds, "cycles": dict(self.cycles), "gas": list(self.gas), **listed}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that weights follow from."""
        return digest_of(self.as_dict())

    def record(self) -> dict[str, Any]:
        """What a fit records of them: :meth:`as_dict`, and where a list is from, which nothing follows from.

        Returns
        -------
        dict from str to object
            For JSON.
        """
        return self.as_dict() | ({} if self.listed is None else {"listed_from": self.listed.source})

    @property
    def of_labels(self) -> tuple[str, ...]:
        """Kinds whose weights depend on the label of each row."""
        return tuple(k for k in KINDS if OF_LABELS & set(_words(getattr(self, k))))

    def require_met(self, frames: FrameSequence) -> None:
        """Make sure that every group, pattern and type of atom that expressions name is there in some frame.

        Parameters
        ----------
        frames : FrameSequence
            All frames of a job.

        Raises
        ------
        InputError
            Naming the key, the text that matches nothing, and what there is.
        """
        groups, types = frames.facts.groups(), frames.facts.elements()
        named = [(f"weights.cycles.{p}", "pattern", p) for p in self.cycles]
        named += [("weights.gas", "pattern", p) for p in self.gas if tuple(self.gas) != GAS]
        for kind in KINDS:
            if isinstance(given := getattr(self, kind), str):
                where = f"weights.{kind}"
                named += [(where, what, text) for what, text in Expression.parse(given, where, KNOWN).texts()]
        for where, what, text in named:
            if what == "type" and text not in types:
                raise InputError(f"{where}: no frame has an atom of type {text!r}; there are {', '.join(types)}")
            if what != "type" and not any(fnmatchcase(g, text) if what == "pattern" else g == text for g in groups):
                raise InputError(f"{where}: {text!r} is no group of any frame; there are {sorted(groups)[:20]}")

    def restricted(self, frames: FrameSequence) -> RowWeights:
        """The same for some frames alone, which is cheap to send.

        Parameters
        ----------
        frames : FrameSequence
            Some of those of the list; any where there is none.

        Returns
        -------
        RowWeights
            With the part of the list that these frames have.

        Raises
        ------
        InputError
            A frame has no weights in the list.
        """
        return self if self.listed is None else replace(self, listed=self.listed.restricted(frames))

    def of(self, frames: FrameSequence) -> NDArray[np.float64]:
        """The weights of the rows of some frames.

        Parameters
        ----------
        frames : FrameSequence
            In memory.

        Returns
        -------
        ndarray of shape (rows,)
            In the order of rows: frame by frame, forces, stresses, energy.

        Raises
        ------
        InputError
            A frame has no weights in the list, or lacks a fact that an expression asks for; a weight is negative or
            not finite. The frame is named.
        """
        listed = self.listed
        out = np.ones(int(frames.facts.n_rows.sum())) if listed is None else listed.of(frames).copy()
        for kind in KINDS:
            given = getattr(self, kind)
            facts = FactsOfRows(frames, kind, self.cycles, self.gas)
            n = len(facts.rows)
            if not n or given == 1.0:
                continue
            text = given if isinstance(given, str) else repr(float(given))
            found = Expression.parse(text, f"weights.{kind}", KNOWN).evaluate(facts, n)
            wrong = np.flatnonzero(~((found >= 0.0) & (found < MOST)))
            if len(wrong):
                row = int(wrong[0])
                raise InputError(
                    f"weights.{kind}: {facts.origin(row)}: expected a finite number ≥ 0, found {found[row]:g} of "
                    f"{shown(text)}"
                )
            out[facts.rows] *= found
        return out


def _words(value: str | float) -> list[str]:
    if not isinstance(value, str):
        return []
    return [w for w in "".join(c if c.isalnum() or c == "_" else " " for c in value).split() if w]
