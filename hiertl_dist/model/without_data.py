"""Cluster types that no fitted frame informed: how a model came to have them, or to be without them.

By the name of a type (``MoNbTa``) ``"mixed"``, its coefficients were made from those of lower blocks, or ``"zero"``, it
was left without terms on purpose. A model says so in its files, so that who evaluates it knows that it was meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ..errors import BasisError
from ..frames.type_names import cluster_name, split_symbols

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ..frames.type_names import Elements

WithoutData = Mapping[str, str]

WAYS: Final = ("zero", "mixed")
"""How a type without data came to be what it is in a model."""


def checked_ways(ways: WithoutData, elements: Collection[str]) -> dict[str, str]:
    """The same by sorted names. Raises BasisError for another way, or a name that is no cluster of the elements."""
    sorted_names = {}
    for name, way in ways.items():
        if way not in WAYS:
            raise BasisError(f"{name}: expected one of {WAYS}, found {way!r}")
        members = split_symbols(name)
        if not 2 <= len(members) <= 4 or not set(members) <= set(elements):
            raise BasisError(f"expected the name of a cluster of 2 to 4 of {' '.join(elements)}, found {name!r}")
        sorted_names[cluster_name(members)] = way
    return sorted_names


def ways_of_sum(parts: Sequence[tuple[Collection[Elements], WithoutData]]) -> dict[str, str]:
    """What holds for a sum of parts, each with the elements of its types and what it says of types without data.

    A type that one part has from its data has data. Of one that one part left out and another made, the latter holds.
    """
    made: dict[str, str] = {}
    for _, ways in parts:
        for name, way in ways.items():
            if way == "mixed" or name not in made:
                made[name] = way
    return {
        name: way
        for name, way in made.items()
        if all(split_symbols(name) not in kinds or name in ways for kinds, ways in parts)
    }
