"""A JSON schema of the input file, for editors that complete and check while one writes.

It is made of the tables that :mod:`~hiertl_dist.jobs.input_tables` checks with, and says what they can say of one key
by itself. What hangs together (names of blocks, files that are there, keys that exclude each other) is for
``hiertl-dist config check``. Draft 7, which editors' TOML plug-ins know.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, Final, get_args

from ..algebra.regularisers import regulariser_kinds
from ..dataset.folds import SPLITS
from ..evaluation.frame_rows import INNER_POLICIES
from ..executors import KINDS as EXECUTORS
from ..files.store_use import IN_USE
from ..fitting.settings import METHODS
from ..fitting.settings import MISSING as WAYS_OF_MISSING
from ..fitting.weights import CHOSEN
from ..frames.rows import KINDS as ROW_KINDS
from ..frames.rows import OBJECTIVES
from ..io.trajectories import FORMATS
from ..library.settings import GATES
from ..model.cluster_types import TRANSFORMS
from ..model.one_body import MISSING_ENERGIES
from ..model.priors import DECAYS, LOWER, MEANS
from ..model_selection.search_settings import Rule, Strategy
from ..text.key_meanings import MEANINGS
from ..text.table_keys import (
    BASIS,
    BYTES,
    CYCLE,
    CYCLE_LABEL,
    CYCLE_SHARES,
    CYCLE_STATE,
    CYCLES,
    DATA,
    EXECUTOR,
    EXPRESSION,
    FIT,
    FOLDER_OR_SWITCH,
    FROZEN,
    HOLD_OUT,
    INTEGER,
    LABEL,
    LIBRARY,
    LISTED,
    NAME_OR_TABLE,
    NUMBER,
    NUMBERS,
    OF_BLOCK,
    OF_CLIMB,
    OF_REGULARISER,
    OUTPUT,
    PAIR,
    PATHS,
    PENALTY,
    PRIOR,
    REGULARISER,
    REGULARISERS,
    ROW_WEIGHTS,
    STORE,
    SWITCH,
    TABLE,
    TEXT,
    TEXTS,
    TOP,
    TYPE,
    WALL,
    WEIGHTS,
    spellings,
)
from .cycle_settings import CODES
from .input_tables import UNITS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

Schema = dict[str, Any]

STRING: Final[Schema] = {"type": "string"}
STRINGS: Final[Schema] = {"type": "array", "items": STRING}
BOOLEAN: Final[Schema] = {"type": "boolean"}
A_NUMBER: Final[Schema] = {"type": "number"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
TABLE_OF_NUMBERS: Final[Schema] = {"type": "object", "additionalProperties": A_NUMBER}
THREE: Final[Schema] = {"type": "array", "items": COUNT, "minItems": 3, "maxItems": 3}


def one_of(values: Iterable[Any]) -> Schema:
    """A value that is one of some."""
    return {"enum": list(values)}


def either(*schemas: Schema) -> Schema:
    """A value that one of several schemas takes."""
    return {"anyOf": list(schemas)}


def listed(schema: Schema) -> Schema:
    """A list of such values, at least one."""
    return {"type": "array", "items": schema, "minItems": 1}


def or_list(schema: Schema) -> Schema:
    """Such a value, or an axis of them."""
    return either(schema, listed(schema))


OF_KINDS: Final[Mapping[str, Schema]] = {
    TEXT: STRING,
    TEXTS: STRINGS,
    TABLE: {"type": "object"},
    INTEGER: {"type": "integer"},
    SWITCH: BOOLEAN,
    NUMBER: A_NUMBER,
    PATHS: either(STRING, STRINGS),
    NUMBERS: TABLE_OF_NUMBERS,
    EXPRESSION: either(A_NUMBER, STRING),
    CYCLES: {"type": "object", "additionalProperties": COUNT},
    WALL: either(one_of(("auto",)), TABLE_OF_NUMBERS),
    WEIGHTS: either(one_of(CHOSEN), TABLE_OF_NUMBERS),
    REGULARISER: {"$ref": "#/definitions/regulariser"},
    NAME_OR_TABLE: either(STRING, {"type": "object"}),
    FOLDER_OR_SWITCH: either(STRING, BOOLEAN),
    BYTES: either(STRING, {"type": "integer"}),
    LABEL: either(STRING, {"type": "object", "additionalProperties": either(STRING, A_NUMBER, BOOLEAN)}),
    LISTED: {"type": "array"},
}
"""What a value may be, by the words that messages have for it."""

_AXIS_OF_WEIGHTS: Final = {"type": "object", "additionalProperties": or_list(A_NUMBER)}
_ORDERS: Final = either(THREE, {"type": "object", "additionalProperties": either(COUNT, THREE)})
_NUMBER_OR_LIST: Final = either(A_NUMBER, {"type": "array", "items": A_NUMBER})
_TEXT_OR_LIST: Final = either(STRING, STRINGS)
_EDGE: Final = either(A_NUMBER, TABLE_OF_NUMBERS)
_TRANSFORM: Final = one_of((*TRANSFORMS, "NONE"))


def _blocks_of(name: str) -> Schema:
    return {"type": "object", "additionalProperties": {"$ref": f"#/definitions/{name}"}}


def _names() -> Schema:
    return either(one_of(MEANS), {"$ref": "#/definitions/prior"})


NARROWER: Final[Mapping[str, Mapping[str, Schema]]] = {
    "[basis]": {
        "elements": STRINGS, "orders": THREE, "transform": _TRANSFORM, "cutoff": STRING,
        "pairs": _blocks_of("pair"), "three_body": {"$ref": "#/definitions/many_body"},
        "four_body": {"$ref": "#/definitions/many_body"}, "blocks": _blocks_of("basis_block"),
        "types": _blocks_of("type"), "one_body": either(BOOLEAN, STRINGS), "exclude": STRINGS,
        "energies": {**TABLE_OF_NUMBERS, "properties": {"unit": one_of(("eV", "kcal"))}},
        "masses": TABLE_OF_NUMBERS,
    },
    "[basis.pairs] XY": {"rmin": A_NUMBER, "rmax": A_NUMBER, "lambda": A_NUMBER, "transform": _TRANSFORM},
    "[basis.types] XYZ": {"order": COUNT, "rmin": _EDGE, "rmax": _EDGE},
    "[basis.three_body], [basis.four_body]": {"rmin": _EDGE, "rmax": _EDGE},
    "[basis.blocks] XY": {"orders": THREE},
    "[[data]]": {"format": one_of(sorted({*FORMATS.values(), "ase"}))},
    "[hold_out]": {"fraction": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}},
    "[fit]": {
        "objective": one_of(OBJECTIVES), "method": one_of(METHODS), "policy": one_of(INNER_POLICIES),
        "missing": one_of(WAYS_OF_MISSING), "prior": _names(),
        "penalty": either(one_of(("auto",)), {"$ref": "#/definitions/penalty"}),
    },
    "[fit] penalty": {"scale": A_NUMBER, "distance": A_NUMBER},
    "[fit] prior": {
        "mean": one_of(MEANS), "gamma": either(A_NUMBER, {**THREE, "items": A_NUMBER}), "lower": one_of(LOWER),
        "decay": one_of(DECAYS), "strength": A_NUMBER, "spread": TABLE_OF_NUMBERS, "probes": COUNT,
        "probe_weight": A_NUMBER, "probe_force": A_NUMBER, "probe_energy": A_NUMBER, "seed": COUNT,
    },
    "[frozen]": {"energies": one_of(MISSING_ENERGIES)},
    "[store]": {"in_use": one_of(IN_USE), "wait": {"type": "number", "minimum": 0}},
    "[output]": {"units": one_of(UNITS)},
    "[executor]": {
        "kind": one_of(EXECUTORS), "workers": {"type": "integer", "minimum": 1},
        "worker_wait": {"type": "number", "exclusiveMinimum": 0},
        "resources": {"type": "object", "additionalProperties": TABLE_OF_NUMBERS},
    },
    "[library]": {
        "versions": {"type": "object", "additionalProperties": STRING},
        "accept": {"type": "object", "additionalProperties": either(one_of(GATES), listed(one_of(GATES)))},
    },
    "[search]": {
        "summaries": STRING, "folds": either({"type": "integer", "minimum": 2}, {"$ref": "#/definitions/folds"}),
        "strategy": one_of(get_args(Strategy)), "rule": one_of(get_args(Rule)),
        "importance": {"type": "object", "properties": {k: {"type": "number", "minimum": 0} for k in ROW_KINDS},
                       "additionalProperties": False},
        "grid": {"$ref": "#/definitions/grid"}, "blocks": _blocks_of("grid"),
    },
    "[search] folds": {
        "count": {"type": "integer", "minimum": 2}, "split": one_of(SPLITS), "seed": COUNT, "stratify": BOOLEAN,
        "system": either(STRING, STRINGS, {"type": "object", "additionalProperties": either(STRING, STRINGS)}),
    },
    "[search.grid]": {
        "regulariser": or_list({"$ref": "#/definitions/axis_of_regularisers"}),
        "weights": either(one_of(CHOSEN), _AXIS_OF_WEIGHTS, listed(either(one_of(CHOSEN), _AXIS_OF_WEIGHTS))),
        "objective": or_list(one_of(OBJECTIVES)), "orders": either(_ORDERS, listed(_ORDERS)),
        "exclude": either(STRINGS, listed(STRINGS)),
        "prior": or_list(either(one_of(MEANS), {"$ref": "#/definitions/axis_of_priors"})),
    },
    "[cycle]": {
        "states": listed({"$ref": "#/definitions/cycle_state"}), "shares": {"$ref": "#/definitions/cycle_shares"},
        "label": either(STRING, {"$ref": "#/definitions/cycle_label"}),
    },
    "[[cycle.states]]": {
        "temperatures": _NUMBER_OR_LIST, "pressures": _NUMBER_OR_LIST, "volumes": _NUMBER_OR_LIST,
        "start": _TEXT_OR_LIST, "groups": _TEXT_OR_LIST, "elements": _TEXT_OR_LIST,
        "compositions": either(TABLE_OF_NUMBERS, listed(TABLE_OF_NUMBERS)),
        "count": {"type": "integer", "minimum": 1},
    },
    "[cycle] label": {
        "calculator": STRING, "code": one_of(CODES), "options": {"type": "object"}, "template": STRING,
        "energy_key": STRING,
    },
    "[cycle] shares": {k: {"type": "number", "minimum": 0, "maximum": 1} for k in CYCLE_SHARES},
}  # fmt: skip
"""Of keys whose values are known more closely than by their kind, what they are; by table."""


def table_schema(place: str, kinds: Mapping[str, str] | Collection[str], required: Collection[str] = ()) -> Schema:
    """The schema of one table of an input file.

    Parameters
    ----------
    place : str
        What the table is called in :data:`~hiertl_dist.text.key_meanings.MEANINGS`.
    kinds : Mapping from str to str, or Collection of str
        Its keys, with what their values are where messages have words for that.
    required : Collection of str
        Keys that must be given.

    Returns
    -------
    dict
        Which takes no other keys.
    """
    own = NARROWER.get(place, {})
    properties: dict[str, Schema] = {}
    for key in kinds:
        value = own[key] if key in own else OF_KINDS[kinds[key]]  # type: ignore[index]  # a mapping then
        properties |= spelt(key, described(value, place, key))
    return {"type": "object", "properties": properties, "additionalProperties": False} | (
        {"required": list(required)} if required else {}
    )


def described(value: Schema, place: str, key: str) -> Schema:
    """A value's schema with what its key means, and its default if that is a value."""
    text, default = MEANINGS[place][key]
    beside: Schema = {}
    if default:
        try:
            beside["default"] = tomllib.loads(f"x = {default}")["x"]
        except tomllib.TOMLDecodeError:
            text = f"{text} Default: {default}."
    # in this draft what stands beside a reference is passed over
    return {"description": text, **beside, **({"allOf": [value]} if "$ref" in value else value)}


def spelt(key: str, value: Schema) -> dict[str, Schema]:
    """A key, and the other spelling that is taken: ``regularizer``."""
    others = {s for s in spellings(key) if s != key and re.search(r"i[sz]er?(_|$)", key)}
    return {key: value} | {other: {**value, "description": f"The same as `{key}`."} for other in others}


def _regulariser() -> Schema:
    """One table for each kind, whose keys are the fields of its class."""
    branches = []
    for kind, noun in regulariser_kinds().items():
        properties: dict[str, Schema] = {"kind": {"const": kind}}
        required = ["kind"]
        for field in fields(noun):
            value = BOOLEAN if "bool" in str(field.type) else {"type": "integer"} if field.type == "int" else A_NUMBER
            own = spelt(field.name, {"description": MEANINGS[OF_REGULARISER][field.name].text, **value})
            properties |= own
            if field.default is MISSING:
                required.append(field.name)
            elif field.default is not None:
                properties[field.name]["default"] = field.default
        branches.append({"properties": properties, "required": required, "additionalProperties": False})
    kinds = {"description": MEANINGS[OF_REGULARISER]["kind"].text, **one_of(regulariser_kinds())}
    return {"type": "object", "properties": {"kind": kinds}, "required": ["kind"], "oneOf": branches}


def _axis_of(place: str, keys: Collection[str], own: Mapping[str, Schema], required: Collection[str] = ()) -> Schema:
    """A table in a grid: each value may be a list, which is an axis."""
    properties: dict[str, Schema] = {}
    for key in keys:
        value = own.get(key, either(A_NUMBER, BOOLEAN))
        properties |= spelt(key, {"description": MEANINGS[place][key].text, **either(value, listed(value))})
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def input_schema() -> Schema:
    """The schema of an input file.

    Returns
    -------
    dict
        A JSON schema, draft 7.
    """
    blocks_of_fit = described(_blocks_of("fit_block"), "the top of the file", "fit") | {
        "description": "The keys of `[fit]` but those of the whole climb, for single blocks, by their elements."
    }
    whole_fit = table_schema("[fit]", {**FIT, **OF_CLIMB})
    whole_fit["properties"]["blocks"] = blocks_of_fit
    tables = {
        "basis": table_schema("[basis]", BASIS, ("elements", "pairs")),
        "hold_out": table_schema("[hold_out]", HOLD_OUT),
        "fit": whole_fit, "frozen": table_schema("[frozen]", FROZEN), "store": table_schema("[store]", STORE),
        "output": table_schema("[output]", OUTPUT), "executor": table_schema("[executor]", EXECUTOR),
        "search": table_schema("[search]", MEANINGS["[search]"]),
        "weights": table_schema("[weights]", ROW_WEIGHTS),
        "library": table_schema("[library]", LIBRARY, ("path", "theory", "energy_reference")),
        "cycle": table_schema("[cycle]", CYCLE, ("states",)),
    }  # fmt: skip
    others = {
        "pair": table_schema("[basis.pairs] XY", PAIR, ("rmin", "rmax")),
        "type": table_schema("[basis.types] XYZ", TYPE),
        "many_body": table_schema("[basis.three_body], [basis.four_body]", ("rmin", "rmax")),
        "basis_block": table_schema("[basis.blocks] XY", OF_BLOCK), "source": table_schema("[[data]]", DATA, ("path",)),
        "fit_block": table_schema("[fit]", FIT), "penalty": table_schema("[fit] penalty", PENALTY),
        "prior": table_schema("[fit] prior", PRIOR), "regulariser": _regulariser(),
        "folds": table_schema("[search] folds", MEANINGS["[search] folds"]),
        "grid": table_schema("[search.grid]", MEANINGS["[search.grid]"]),
        "axis_of_regularisers": _axis_of(
            OF_REGULARISER, REGULARISERS, {"kind": one_of(regulariser_kinds())}, ("kind",)),
        "axis_of_priors": _axis_of("[fit] prior", PRIOR, NARROWER["[fit] prior"]),
        "cycle_state": table_schema("[[cycle.states]]", CYCLE_STATE, ("temperatures",)),
        "cycle_label": table_schema("[cycle] label", CYCLE_LABEL),
        "cycle_shares": table_schema("[cycle] shares", CYCLE_SHARES),
    }  # fmt: skip
    properties = {
        key: described(
            {"$ref": f"#/definitions/{key}"} if key in tables
            else {"type": "array", "items": {"$ref": "#/definitions/source"}, "minItems": 1} if key == "data"
            else OF_KINDS[kind],
            "the top of the file", key,
        )
        for key, kind in TOP.items()
    }  # fmt: skip
    return {
        "$schema": "http://json-schema.org/draft-07/schema#", "title": "hiertl-dist input file", "type": "object",
        "properties": properties, "additionalProperties": False,
        "oneOf": [{"required": ["basis", "data"]}, {"required": ["fm_setup"]}], "definitions": tables | others,
    }  # fmt: skip
