"""Readers of the axes of a grid: what lists and tables of ``[search.grid]`` mean."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import HiertlError, InputError
from ..model.basis import split_symbols
from ..model.priors import Prior
from ..text.problems import Problems

if TYPE_CHECKING:
    from collections.abc import Sequence


def axis_of(values: Sequence[Any], where: str) -> tuple[Any, ...]:
    """The values of an axis, each once."""
    if not values:
        raise InputError(f"{where}: expected at least one value, found an empty list")
    distinct: dict[str, Any] = {}
    for value in values:
        distinct.setdefault(json.dumps(value, sort_keys=True, default=list), value)
    return tuple(distinct.values())


def orders_axis(value: Any, where: str) -> dict[str, tuple[Any, ...]]:
    """The axis of orders. Raises InputError naming the key."""
    listed = value if isinstance(value, list) and not _three(value) else [value]
    for one in listed:
        table = isinstance(one, dict) and all(_whole(v) or _three(v) for v in one.values())
        if not (table or _three(one)):
            raise InputError(
                f"{where}: expected [n2, n3, n4], a table of such or of numbers by block or type, or a list of these, "
                f"found {one!r}"
            )
    return {"orders": axis_of(listed, where)}


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _three(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_whole, value))


def exclusions_axis(value: Any, where: str) -> dict[str, tuple[Any, ...]]:
    """The axis of types that are left out. Raises InputError naming the key."""
    if not isinstance(value, list):
        raise InputError(f"{where}: expected a list of types, or a list of such lists, found {value!r}")
    listed = value if value and all(isinstance(v, list) for v in value) else [value]
    for one in listed:
        if not all(isinstance(name, str) for name in one):
            raise InputError(f"{where}: expected types such as 'CCCN' or '4B', found {one!r}")
        for name in one:
            _type_name(name, where)
    return {"exclude": axis_of([tuple(one) for one in listed], where)}


def _type_name(name: str, where: str) -> None:
    if name not in ("1B", "2B", "3B", "4B"):
        try:
            split_symbols(name)
        except HiertlError as error:
            raise InputError(f"{where}: expected types such as 'CCCN' or '4B', found {name!r}") from error


def priors_axis(value: Any, where: str) -> dict[str, tuple[Any, ...]]:
    """The axis of priors; a list within a table is an axis too. Raises InputError naming the key."""
    priors: list[Any] = []
    problems = Problems()
    for i, one in enumerate(value if isinstance(value, list) else [value]):
        place = f"{where}[{i}]" if isinstance(value, list) else where
        tables: list[Any] = [one]
        if isinstance(one, Mapping):
            parts = [axis_of(v, f"{place}.{k}") if _varies(str(k), v) else (v,) for k, v in one.items()]
            tables = [dict(zip(one, values, strict=True)) for values in itertools.product(*parts)]
        for table in tables:
            with problems.noting():
                try:
                    priors.append(Prior.of(table, place).short())
                except InputError as error:
                    raise InputError(f"{place}: {error}") from error
    problems.settle()
    return {"prior": axis_of(priors, where)}


def _varies(key: str, value: Any) -> bool:
    """Whether a value of a prior's table is a list of values; three numbers are one ``gamma``."""
    if not isinstance(value, list):
        return False
    return key != "gamma" or len(value) != 3 or any(isinstance(v, list) for v in value)
