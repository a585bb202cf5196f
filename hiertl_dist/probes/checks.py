"""What every way of making probes checks of what it is asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..errors import InputError
from ..frames.element_set import ElementSet
from ..text.words import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .probe_set import ProbeSet


def checked_elements(elements: str | Iterable[str], least: int) -> tuple[str, ...]:
    """The elements of a set, sorted; InputError where they are fewer than ``least``."""
    named = ElementSet.of(elements)
    if len(named.elements) < least:
        raise InputError(
            f"probes: expected {least} different elements or more, found {shown(str(named)) if named else 'none'}"
        )
    return tuple(sorted(named.elements))


def check_integers(least: Mapping[str, int], values: Mapping[str, object]) -> None:
    """InputError, which names it, for what is no integer of at least so much."""
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < least[name]:
            raise InputError(
                f"probes: expected {name} to be an integer of at least {least[name]}, found {shown(value)}"
            )


def check_positive(what: str, values: Mapping[str, float], unit: str) -> None:
    """InputError for a value that is no finite number above 0; ``what`` says of what there is one for each name."""
    for name, value in values.items():
        if not (isinstance(value, int | float) and 0.0 < value < math.inf):
            raise InputError(f"probes: expected a {what} of {name} above 0 {unit}, found {shown(value)}")


def refuse_none(made: ProbeSet, what: str) -> ProbeSet:
    """The same probes; InputError, which says what was passed over and dropped, where there is none."""
    if not made.frames:
        raise InputError(f"{what}: no probe could be made: {'; '.join(made.notes) or 'no frames'}")
    return made
