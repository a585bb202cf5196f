"""``lower_basis``: the part of a basis that a fit uses, with lower orders and without some cluster types."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import BasisError, InputError
from ..frames.element_set import ElementSet
from .basis import Basis, cluster_name, split_symbols
from .cluster_types import ClusterType

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def lower_basis(basis: Basis, blocks: Collection[ElementSet], orders: Any = None, exclude: Sequence[str] = ()) -> Basis:
    """The part of a basis that some blocks have, with lower orders and without some types.

    Orders and exclusions are as :func:`~hiertl_dist.view` takes them.

    Raises InputError for an order above that of the basis, a name that is not there, or when nothing is left.
    """
    types = [t for t in basis.types if t.block in blocks]
    unwanted = _excluded(types, exclude)
    table = _orders_table(types, orders)
    kinds = []
    for kind in types:
        order = table.get(kind.name, kind.order)
        if kind.name in unwanted or order == 0:
            continue
        if order > kind.order:
            raise InputError(
                f"orders: type {kind.name} has order {kind.order} in the basis, {order} was asked for; higher "
                "orders need the rows again"
            )
        try:
            kinds.append(replace(kind, order=order))
        except BasisError as error:
            raise InputError(f"orders: type {error}; 0 leaves it out") from error
    if not kinds:
        raise InputError(f"nothing is left of blocks {', '.join(blocks)}")
    return basis.with_types(kinds)


def with_energy_columns(basis: Basis, elements: Collection[str]) -> Basis:
    """The basis with the energy of a free atom as all that the own block of some elements has.

    Where a frozen model holds the rest of the block, this is what may still be fitted of it.
    """
    wanted = sorted(set(elements))
    own_blocks = {ElementSet.of([e]) for e in wanted}
    kept = [t for t in basis.types if t.block not in own_blocks]
    return basis.with_types((*(ClusterType((e,), 1, ()) for e in wanted), *kept))


def _excluded(kinds: Sequence[ClusterType], exclude: Sequence[str]) -> set[str]:
    excluded = set()
    for name in exclude:
        bodies = name[:-1] if name in ("1B", "2B", "3B", "4B") else ""
        hit = {t.name for t in kinds if (str(t.body) == bodies if bodies else t.elements == split_symbols(name))}
        if not hit:
            raise InputError(f"exclude: {name!r} is none of the types {', '.join(t.name for t in kinds)}")
        excluded |= hit
    return excluded


def _orders_table(kinds: Sequence[ClusterType], orders: Any) -> dict[str, int]:
    """By type, the order that is asked for."""
    if orders is None:
        return {}
    if not isinstance(orders, dict):
        return _by_body(kinds, orders, "orders")
    by_type: dict[str, int] = {}
    blocks = {t.block for t in kinds}
    # what is said of a type goes before what is said of its block
    for key, value in sorted(orders.items(), key=lambda item: isinstance(item[1], int)):
        name = cluster_name(split_symbols(key))
        if not isinstance(value, int):
            if name not in blocks:
                raise InputError(f"orders.{key}: expected one of the blocks {', '.join(sorted(blocks))}")
            by_type |= _by_body([t for t in kinds if t.block == name], value, f"orders.{key}")
        elif all(t.name != name for t in kinds):
            raise InputError(f"orders.{key}: expected one of the types {', '.join(t.name for t in kinds)}")
        else:
            by_type[name] = _order(value, f"orders.{key}")
    return by_type


def _by_body(kinds: Sequence[ClusterType], orders: Any, where: str) -> dict[str, int]:
    if isinstance(orders, str) or len(orders) != 3:
        raise InputError(f"{where}: expected [n2, n3, n4], found {orders!r}")
    return {t.name: _order(orders[t.body - 2], where) for t in kinds if t.body > 1}


def _order(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InputError(f"{where}: expected whole numbers ≥ 0, found {value!r}")
    return value
