"""Values that are expensive to make, such as factors and rows, kept up to so many bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """Values by key, of which those that were asked for least recently go first where there are too many bytes.

    One value is kept whatever its size. ``functools.lru_cache`` counts values, and not their bytes.

    Parameters
    ----------
    most : int
        Bytes to keep.
    size : callable taking a value
        Its bytes.
    """

    def __init__(self, most: int, size: Callable[[Value], int]) -> None:
        self._most, self._size = most, size
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._bytes = 0

    def of(self, key: Key, make: Callable[[Key], Value]) -> Value:
        """The value of a key, made where it is not there; ``make`` may ask for others."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        made = make(key)
        self._values[key] = made
        self._bytes += self._size(made)
        while self._bytes > self._most and len(self._values) > 1:
            self._bytes -= self._size(self._values.popitem(last=False)[1])
        return made

    def get(self, key: Key) -> Value | None:
        """The value of a key, if it is kept."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def values(self) -> list[Value]:
        """What is kept, that which was asked for last at the end."""
        return list(self._values.values())
