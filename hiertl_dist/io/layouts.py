"""``Layout``: the columns of the atom lines of extended XYZ, from ``Properties`` of the comment line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from ..text.words import shown

if TYPE_CHECKING:
    from .label_keys import LabelKeys
    from .lines import LineSource

DEFAULT_PROPERTIES: Final = "species:S:1:pos:R:3"
COLUMNS: Final = {"symbols": "species", "numbers": "Z", "positions": "pos"}
"""Names that ASE takes for a column besides the usual one."""
COUNT: Final = re.compile(r"[1-9][0-9]{0,5}")


class Layout(NamedTuple):
    """The columns of an atom line: how many, where the name of the type is, where positions and forces are.

    ``atomic`` says that the type is an atomic number, ``has_numbers`` that there are such beside the types, then the
    last of ``numbers``; ``vectors`` are the names of columns of three numbers, which
    forces could be; ``nameless`` says that there may be more columns than those with names.
    """

    width: int
    species: int
    numbers: tuple[int, ...]
    has_forces: bool
    atomic: bool
    has_numbers: bool
    names: tuple[str, ...]
    vectors: tuple[str, ...]
    nameless: bool


def layout_of(source: LineSource, properties: str | None, keys: LabelKeys) -> Layout:
    """Columns from ``name:type:count:…``; without such, element and position, and what follows is nameless."""
    text = DEFAULT_PROPERTIES if properties is None else properties
    words = text.split(":")
    columns: dict[str, tuple[str, range]] = {}
    width = 0
    for given, kind, count in zip(words[::3], words[1::3], words[2::3], strict=False):
        name = COLUMNS.get(given, given)
        if kind not in ("S", "R", "I", "L") or not COUNT.fullmatch(count) or name in columns:
            raise source.error(f"expected Properties as name:type:count, each name once, found {shown(text)}")
        columns[name] = (kind, range(width, width + int(count)))
        width += int(count)
    if len(words) % 3 or not width:
        raise source.error(f"expected Properties as name:type:count, found {shown(text)}")
    forces = keys.key("forces")
    types = "species" if "species" in columns or "Z" not in columns else "Z"
    kinds = {types: "SI" if types == "species" else "I", "pos": "RI", forces: "RI"}
    for name, size in ((types, 1), ("pos", 3), (forces, 3)):
        if name not in columns:
            if name == forces not in (types, "pos"):
                continue
            raise source.error(f"expected a column {name!r} in Properties, found {[n[:40] for n in columns][:20]}")
        kind, where = columns[name]
        if kind not in kinds[name] or len(where) != size:
            raise source.error(
                f"expected {name}:{kinds[name][0]}:{size} in Properties, found {name}:{kind}:{len(where)}"
            )
    numbers = [*columns["pos"][1]]
    has_forces = forces in columns
    if has_forces:
        keys.seen.add("forces")
        numbers += columns[forces][1]
    kind, where = columns[types]
    beside = columns.get("Z", ("", range(0))) if types == "species" and kind == "S" else ("", range(0))
    has_numbers = beside[0] == "I" and len(beside[1]) == 1
    numbers += beside[1] if has_numbers else ()
    vectors = tuple(name for name, (kinds_of, span) in columns.items() if kinds_of in "RI" and len(span) == 3)
    return Layout(
        width, where[0], tuple(numbers), has_forces, kind == "I", has_numbers, tuple(columns), vectors,
        properties is None,
    )  # fmt: skip
