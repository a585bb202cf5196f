"""What users state of their data, level of theory and zero of the energies, and whether two statements are the same."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from ..errors import InputError
from ..text.words import finite_number, shown

Label = str | Mapping[str, Any]
"""A text, or a table of texts, numbers and switches."""

UNKNOWN: Final = "unknown"
"""What is stated of a parameter file that says nothing of its data."""


def checked_label(label: object, where: str) -> Label:
    """A statement as JSON holds it. Raises InputError, naming what it is of, for what is none."""
    if isinstance(label, str) and label.strip():
        return " ".join(label.split())
    if isinstance(label, Mapping) and label:
        for key, value in label.items():
            number = isinstance(value, int | float) and math.isfinite(value)
            if not (number or (isinstance(value, str) and value.strip())):
                raise InputError(
                    f"{where}.{key}: expected a text, a finite number, true or false, found {shown(value)}"
                )
        return dict(label)
    raise InputError(
        f'{where}: expected a text such as "PBE, 520 eV", or a table of texts and numbers, found {shown(label)}; '
        f'"{UNKNOWN}" if nobody knows it'
    )


def is_unknown(label: Label) -> bool:
    """Whether nobody stated anything."""
    return isinstance(label, str) and label.strip().casefold() == UNKNOWN


def for_elements(label: Label, own: Collection[str], known: Collection[str]) -> Label:
    """The part of a statement that is of some elements: a table less its keys that are other known elements."""
    if isinstance(label, str):
        return label
    return {k: v for k, v in label.items() if k in own or k not in known}


def label_text(label: Label) -> str:
    """A statement in one line."""
    if isinstance(label, str):
        return shown(label)
    return "{ " + ", ".join(f"{k} = {shown(v)}" for k, v in sorted(label.items())) + " }"


def differing(one: Label, other: Label) -> str:
    """How two statements differ, with both values; nothing where they are the same.

    Numbers are compared as numbers (``520`` is ``520.0``), words whatever their case, keys in any order.
    """
    if isinstance(one, str) or isinstance(other, str):
        same = isinstance(one, str) and isinstance(other, str) and _words(one) == _words(other)
        return "" if same else f"{label_text(one)} and {label_text(other)}"
    absent = object()
    for key in sorted({*one, *other}):
        a, b = one.get(key, absent), other.get(key, absent)
        if (a is absent) != (b is absent) or _value(a) != _value(b):
            shown_a, shown_b = ("nothing" if v is absent else shown(v) for v in (a, b))
            return f"{key} = {shown_a} and {key} = {shown_b}"
    return ""


def _words(text: str) -> list[float | str]:
    return [w.casefold() if (x := finite_number(w)) is None else x for w in re.split(r"[\s,;]+", text.strip())]


def _value(value: Any) -> Any:
    """What a value is compared by; a switch is no number."""
    if isinstance(value, str):
        return _words(value)
    return value if isinstance(value, bool) else [float(value)] if isinstance(value, int | float) else value
