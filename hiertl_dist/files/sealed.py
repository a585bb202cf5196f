"""JSON files that hold the SHA-256 of what they say, each with a copy beside it that ``store repair`` goes back to."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ..errors import StoreError
from .json_files import digest_of, json_text, read_object
from .paths import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from .object_path import P, Place

SEAL: Final = "sha256"
"""The key of the SHA-256 of all others."""

COPY: Final = ".copy"
"""What the name of a copy ends with."""


def repair_command(store: Place) -> str:
    """What to do about a damaged file of a store, as the end of a sentence."""
    return f"'hiertl-dist store repair {store}' mends what can be mended, and says what is computed again"


def copy_of(path: P) -> P:
    """Where the copy of a file is."""
    return path.with_name(path.name + COPY)


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """An object as JSON has it, with the SHA-256 of what it says."""
    plain = json.loads(json_text(content))
    return {**plain, SEAL: digest_of(plain)}


def unsealed(content: dict[str, Any], path: Place, way_on: str) -> dict[str, Any]:
    """What an object of a file says without its SHA-256. Raises StoreError where that is another one, or not there."""
    plain = {key: value for key, value in content.items() if key != SEAL}
    expected = content.get(SEAL)
    try:
        digest = digest_of(plain)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read: {error}; {way_on}") from error
    if expected != digest:
        raise StoreError(f"{path}: expected SHA-256 {expected}, found {digest}: it was changed or damaged; {way_on}")
    return plain


def read_checked(path: Place, way_on: str) -> dict[str, Any]:
    """An object in a JSON file. Raises FileNotFoundError, and StoreError that ends with what to do."""
    try:
        return read_object(path)
    except StoreError as error:
        raise StoreError(f"{error}; {way_on}") from error


def write_twice(path: Place, data: bytes) -> None:
    """Write a file and its copy, so that whatever kills the process there is a whole one of either.

    A new file comes before its copy, for there is no store without it; one that is replaced comes after, so that the
    copy is never behind.
    """
    both = (path, copy_of(path))
    for place in reversed(both) if path.exists() else both:
        with replacing(place) as stream:
            stream.write(data)


def has_copy(path: Place) -> bool:
    """Whether the copy of a file is there and the same."""
    with suppress(FileNotFoundError):
        return copy_of(path).read_bytes() == path.read_bytes()
    return False


def standing(path: P, fits: Callable[[P], bool], parts: Callable[[P], Collection[str]]) -> P:
    """Which of a file and its copy counts where they differ.

    That is the file, unless it does not go with what is there and its copy does; where both do, the one that has all
    that the other has, and else the copy, which is the first to be written where a file is replaced.

    Parameters
    ----------
    path : Path
        The file.
    fits : callable
        Whether one of the two goes with the other files of the store; raises StoreError where it is damaged.
    parts : callable
        What it has.
    """
    copy = copy_of(path)
    if not copy.exists() or has_copy(path):
        return path
    try:
        if not fits(copy):
            return path
    except (StoreError, OSError):
        return path
    if not fits(path):
        return copy
    own, other = set(parts(path)), set(parts(copy))
    return path if own > other else copy


def write_sealed(path: Place, content: dict[str, Any]) -> None:
    """Write an object with its SHA-256, and a copy beside it."""
    write_twice(path, json.dumps(sealed(content)).encode())
