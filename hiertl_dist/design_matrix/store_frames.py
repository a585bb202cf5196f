"""Frames of a design store: labels of rows have numbers of them, and ``frames.sha256`` the digest of each number."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import StoreError
from ..files.paths import replacing
from ..files.sealed import repair_command
from ..frames.digests import DIGEST
from .layout_file import LAYOUT, read_layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..files.object_path import Place

FRAMES: Final = "frames.sha256"


def read_digests(path: Place) -> NDArray[np.uint8]:
    """(n, 32) digests of the frames of a store. Raises StoreError where the file is cut or damaged."""
    layout = read_layout(path / LAYOUT)
    listed = layout.get("frames")  # where stores had them before
    if listed:
        return np.frombuffer(bytes.fromhex("".join(listed)), np.uint8).reshape(-1, DIGEST)
    known = layout.get("frames_in_file")
    if known is not None and not known["count"]:
        return np.empty((0, DIGEST), np.uint8)
    file, way_on = path / FRAMES, repair_command(path)
    try:
        digests = np.frombuffer(file.read_bytes(), np.uint8)
    except FileNotFoundError as error:
        if known is None:
            return np.empty((0, DIGEST), np.uint8)
        raise StoreError(f"{file}: expected the digests of {known['count']} frames, found no file; {way_on}") from error
    except OSError as error:
        raise StoreError(f"{file}: cannot be read: {error}") from error
    if len(digests) % DIGEST:
        raise StoreError(f"{file}: expected {DIGEST} bytes for each frame, found {len(digests)}; {way_on}")
    if known is not None:
        # more than the layout tells of are those of an assembly that was killed before it wrote the layout
        digests = digests[: known["count"] * DIGEST]
        if len(digests) < known["count"] * DIGEST or (read := _sha256(digests)) != known["sha256"]:
            found = f"{len(digests)} bytes" if len(digests) < known["count"] * DIGEST else f"SHA-256 {read}"
            raise StoreError(
                f"{file}: expected {known['count']} frames of SHA-256 {known['sha256']}, found {found}; {way_on}"
            )
    return digests.reshape(-1, DIGEST)


def _sha256(digests: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(digests).data).hexdigest()


def number_frames(path: Place, layout: dict[str, Any], digests: NDArray[np.uint8] | None) -> NDArray[np.int32]:
    """Give frames numbers in a store; those that have one keep it.

    Parameters
    ----------
    path : Place
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
        The file of digests is cut or damaged.
    """
    known = read_digests(path)
    both = known if digests is None else np.concatenate([known, digests])
    whole = np.ascontiguousarray(both).view(f"V{DIGEST}").reshape(-1)
    _, first, which = np.unique(whole, return_index=True, return_inverse=True)
    first_of = first[which.reshape(-1)]
    is_first = first_of == np.arange(len(both))
    listed = both[is_first]
    if layout.pop("frames", None) or len(listed) > len(known):
        with replacing(path / FRAMES) as stream:
            stream.write(listed.tobytes())
    layout["frames_in_file"] = {"count": len(listed), "sha256": _sha256(listed)}
    number = np.cumsum(is_first) - 1
    return number[first_of[len(known) :]].astype(np.int32)
