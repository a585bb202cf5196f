"""Frames of a design store: labels of rows have numbers of them, and ``frames.sha256`` the digest of each number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import StoreError
from ..files.paths import replacing
from ..frames.digests import DIGEST
from .store_layout import read_layout

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FRAMES: Final = "frames.sha256"


def read_digests(path: Path) -> NDArray[np.uint8]:
    """(n, 32) digests of the frames of a store. Raises StoreError where the file is cut."""
    listed = read_layout(path / "layout.json").get("frames")  # where stores had them before
    if listed:
        return np.frombuffer(bytes.fromhex("".join(listed)), np.uint8).reshape(-1, DIGEST)
    try:
        digests = np.fromfile(path / FRAMES, np.uint8)
    except FileNotFoundError:
        return np.empty((0, DIGEST), np.uint8)
    if len(digests) % DIGEST:
        raise StoreError(f"{path / FRAMES}: expected {DIGEST} bytes for each frame, found {len(digests)}")
    return digests.reshape(-1, DIGEST)


def number_frames(path: Path, layout: dict[str, Any], digests: NDArray[np.uint8] | None) -> NDArray[np.int32]:
    """Give frames numbers in a store; those that have one keep it.

    Parameters
    ----------
    path : Path
        The store, locked.
    layout : dict
        Its layout, to be written afterwards: a list of digests that is in it goes to the file.
    digests : ndarray of uint8, shape (n, 32), or None
        Those of the frames.

    Returns
    -------
    ndarray of int32, shape (n,)
        The number of each.

    Raises
    ------
    StoreError
        The file of digests is cut.
    """
    known = read_digests(path)
    both = known if digests is None else np.concatenate([known, digests])
    whole = np.ascontiguousarray(both).view(f"V{DIGEST}").reshape(-1)
    _, first, which = np.unique(whole, return_index=True, return_inverse=True)
    first_of = first[which.reshape(-1)]
    is_first = first_of == np.arange(len(both))
    if layout.pop("frames", None) or int(is_first.sum()) > len(known):
        with replacing(path / FRAMES) as stream:
            stream.write(both[is_first].tobytes())
    number = np.cumsum(is_first) - 1
    return number[first_of[len(known) :]].astype(np.int32)
