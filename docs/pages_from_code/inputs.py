"""The reference of the input file: the tables that check it, with what their keys mean."""

from __future__ import annotations

from typing import Any

from hiertl_dist.jobs.input_schema import input_schema
from hiertl_dist.text.key_meanings import MEANINGS

ORDER = (
    "the top of the file", "[basis]", "[basis.pairs] XY", "[basis.three_body], [basis.four_body]",
    "[basis.blocks] XY", "[basis.types] XYZ", "[[data]]", "[hold_out]", "[fit]",
    "the table of the regulariser, { kind = … }", "[fit] penalty", "[fit] prior", "[frozen]", "[library]", "[store]",
    "[output]", "[executor]", "[search]", "[search] folds", "[search.grid]",
)  # fmt: skip

DEFINITIONS = {
    "[basis]": "basis", "[basis.pairs] XY": "pair", "[basis.three_body], [basis.four_body]": "many_body",
    "[basis.blocks] XY": "basis_block", "[basis.types] XYZ": "type", "[[data]]": "source", "[hold_out]": "hold_out",
    "[fit]": "fit", "[fit] penalty": "penalty", "[fit] prior": "prior", "[frozen]": "frozen", "[library]": "library",
    "[store]": "store", "[output]": "output", "[executor]": "executor", "[search]": "search",
    "[search] folds": "folds", "[search.grid]": "grid",
}  # fmt: skip
"""What each table is called in the schema."""

TITLES = {
    "the top of the file": "The top of the file",
    "the table of the regulariser, { kind = … }": "The table of a regulariser",
    "[fit]": "[fit], [fit.blocks] XY",
}
WORDS = {"string": "text", "boolean": "true or false", "integer": "integer", "number": "number", "object": "table",
         "array": "list"}  # fmt: skip


def kind_text(schema: dict[str, Any]) -> str:
    """What a value may be, in words, from its schema."""
    if "allOf" in schema:
        return kind_text(schema["allOf"][0])
    if "$ref" in schema:
        return "table"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind_text(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array" and "items" in schema:
        inner = kind_text(schema["items"])
        plural = {"text": "texts", "number": "numbers", "integer": "integers", "table": "tables"}.get(inner)
        size = f"{schema['minItems']} " if schema.get("minItems", 0) == schema.get("maxItems") else ""
        return f"list of {size}{plural}" if plural else f"list of {size}({inner})"
    return WORDS[schema["type"]]


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _default(text: str) -> str:
    """A default: values of an input file as code, words as they are."""
    if not text:
        return "must be given"
    is_value = text[0] in '"[{-0123456789' or text in ("true", "false")
    return f"`{text}`" if is_value and " else " not in text and " where " not in text else text


def input_reference() -> str:
    """A section for each table, with a row for each key: what it may be, what holds without it, what it means."""
    schema = input_schema()
    lines = []
    for place in ORDER:
        lines += ["", f"## {TITLES.get(place, place).replace('[', chr(92) + '[')}", ""]
        if place in ("the top of the file", *DEFINITIONS):
            own = schema["properties"] if place not in DEFINITIONS else (
                schema["definitions"][DEFINITIONS[place]]["properties"])  # fmt: skip
            kinds = {key: kind_text(own[key]) for key in MEANINGS[place]}
        else:
            kinds = _regulariser_kinds(schema)
        lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{key}` | {_cell(kinds[key])} | {_cell(_default(meaning.default))} | {_cell(meaning.text)} |"
            for key, meaning in MEANINGS[place].items()
        ]
        if place == "the table of the regulariser, { kind = … }":
            lines += ["", *_regulariser_table(schema)]
        if place == "[fit]":
            lines += ["", "`[fit.blocks.CN]` has the same keys for one block, but not `only`, `missing` and `probes`."]
    return "\n".join(lines) + "\n"


def _branches(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["properties"]["kind"]["const"]: one for one in schema["definitions"]["regulariser"]["oneOf"]}


def _regulariser_kinds(schema: dict[str, Any]) -> dict[str, str]:
    kinds = {"kind": "text"}
    for branch in _branches(schema).values():
        kinds |= {key: kind_text(own) for key, own in branch["properties"].items() if key != "kind"}
    return kinds


def _regulariser_table(schema: dict[str, Any]) -> list[str]:
    lines = ["| kind | must have | may have |", "|---|---|---|"]
    for kind, branch in _branches(schema).items():
        must = [key for key in branch["required"] if key != "kind"]
        may = [k for k, own in branch["properties"].items()
               if k not in (*must, "kind") and not own["description"].startswith("The same as")]  # fmt: skip
        lines.append(f"| `{kind}` | {_keys(must)} | {_keys(may)} |")
    return lines


def _keys(keys: list[str]) -> str:
    return ", ".join(f"`{key}`" for key in keys) or "–"
