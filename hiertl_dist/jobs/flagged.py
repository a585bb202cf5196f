"""Pairs of atoms that are out of range in many frames, as columns: some forty bytes each, and text when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..evaluation.coverage import OutOfRange

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class FlaggedPairs:
    """m pairs of atoms at a distance that no block was fitted on, in the order of their frames.

    Attributes
    ----------
    frames : ndarray of int32, shape (m,)
        Number of the frame.
    names : tuple of str
        Names of pairs of elements.
    pairs : ndarray of int32, shape (m,)
        An index into ``names``.
    atoms : ndarray of int32, shape (m, 2)
        Numbers of the atoms.
    distances : ndarray of shape (m,)
        Å.
    fitted : ndarray of shape (m, 2)
        Shortest and longest distance of the pair that was fitted on, Å.
    """

    frames: NDArray[np.int32]
    names: tuple[str, ...]
    pairs: NDArray[np.int32]
    atoms: NDArray[np.int32]
    distances: NDArray[np.float64]
    fitted: NDArray[np.float64]

    @classmethod
    def of_frames(cls, listed: Iterable[Sequence[OutOfRange]]) -> FlaggedPairs:
        """Those of consecutive frames, which are numbered from 0."""
        flags = [(i, flag) for i, own in enumerate(listed) for flag in own]
        names = {name: k for k, name in enumerate(dict.fromkeys(f.pair for _, f in flags))}
        return cls(
            np.array([i for i, _ in flags], np.int32), tuple(names),
            np.array([names[f.pair] for _, f in flags], np.int32),
            np.array([f.atoms for _, f in flags], np.int32).reshape(-1, 2),
            np.array([f.distance for _, f in flags], np.float64),
            np.array([f.fitted for _, f in flags], np.float64).reshape(-1, 2),
        )  # fmt: skip

    @classmethod
    def joined(cls, parts: Sequence[FlaggedPairs], firsts: Sequence[int]) -> FlaggedPairs:
        """Those of runs of frames, whose first frames have the numbers ``firsts``."""
        names = {name: k for k, name in enumerate(dict.fromkeys(n for p in parts for n in p.names))}
        pairs = [np.array([names[n] for n in p.names], np.int32)[p.pairs] for p in parts]
        frames = [p.frames + np.int32(first) for p, first in zip(parts, firsts, strict=True)]
        none = cls.of_frames([])
        return cls(
            np.concatenate([none.frames, *frames]), tuple(names), np.concatenate([none.pairs, *pairs]),
            *(
                np.concatenate([getattr(none, column), *(getattr(p, column) for p in parts)])
                for column in ("atoms", "distances", "fitted")
            ),
        )  # fmt: skip

    def of(self, frame: int) -> tuple[OutOfRange, ...]:
        """Those of a frame."""
        low, high = np.searchsorted(self.frames, [frame, frame + 1]).tolist()
        return tuple(
            OutOfRange(self.names[pair], (atoms[0], atoms[1]), distance, (fitted[0], fitted[1]))
            for pair, atoms, distance, fitted in zip(
                self.pairs[low:high].tolist(), self.atoms[low:high].tolist(), self.distances[low:high].tolist(),
                self.fitted[low:high].tolist(), strict=True,
            )
        )  # fmt: skip

    def numbers(self) -> NDArray[np.int64]:
        """Numbers of the frames that have any, ascending."""
        return np.unique(self.frames).astype(np.int64)
