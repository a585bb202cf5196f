"""Checks of the tables of an input file that do not depend on what a key means."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError
from ..text.words import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST: Final = 2**63
"""Integers from here on are no number of anything here, and no double or file holds them as they are."""

SIZE: Final = re.compile(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*[A-Za-z]*\s*")
"""A number and a unit, perhaps."""


def wrong_numbers(value: Any, where: str = "") -> Iterator[str]:
    """What is wrong with each number of a nested table that is too large, infinite or NaN."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from wrong_numbers(entry, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list | tuple):
        for i, entry in enumerate(value):
            yield from wrong_numbers(entry, f"{where}[{i}]")
    elif isinstance(value, int) and abs(value) >= LARGEST:
        yield f"{where}: expected an integer of less than 2^63, found {shown(value)}"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: expected a finite number, found {value}"


def without_wrong_numbers(value: Any) -> Any:
    """A nested table without the keys whose values have such numbers, in lists too; tables in it are kept."""
    if isinstance(value, dict):
        return {key: without_wrong_numbers(entry) for key, entry in value.items() if not _has_wrong(entry)}
    return [without_wrong_numbers(entry) for entry in value] if isinstance(value, list) else value


def _has_wrong(value: Any) -> bool:
    """Whether a value that is no table, or a list without tables, has a wrong number."""
    if isinstance(value, list):
        return any(_has_wrong(entry) for entry in value)
    return not isinstance(value, dict) and any(True for _ in wrong_numbers(value))


def bytes_of(value: str | int, where: str, expected: str) -> int:
    """A positive number of bytes from ``"8 GiB"`` or a number. Raises InputError naming the key."""
    from dask.utils import parse_bytes

    # dask takes no number for 1, and "8 8 GiB" for 88
    if isinstance(value, str) and not SIZE.fullmatch(value):
        raise InputError(f"{where}: expected {expected}, found {shown(value)}")
    try:
        size = int(parse_bytes(value))
    except (ValueError, OverflowError) as error:
        raise InputError(f"{where}: expected {expected}, found {shown(value)}") from error
    if not 0 < size < LARGEST:
        raise InputError(f"{where}: expected {expected}, found {shown(value)}")
    return size
