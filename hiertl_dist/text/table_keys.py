"""The keys of each table of an input file, and in words for messages what their values are.

A key that stands in the wrong table is found here: :func:`elsewhere`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

TEXT: Final = "a string"
TEXTS: Final = "a list of strings"
TABLE: Final = "a table"
INTEGER: Final = "an integer"
SWITCH: Final = "true or false"
NUMBER: Final = "a number"
PATHS: Final = "a string or a list of strings"
NUMBERS: Final = "a table of numbers"
WALL: Final = 'a table of numbers or "auto"'
WEIGHTS: Final = 'a table of numbers, "auto" or "evidence"'
EXPRESSION: Final = "a number or an expression"
CYCLES: Final = "a table of whole numbers"
REGULARISER: Final = "a table such as {kind = 'ridge', alpha = 1e-4}"
NAME_OR_TABLE: Final = "a name or a table"
FOLDER_OR_SWITCH: Final = "a folder, true or false"
BYTES: Final = "bytes such as '8 GiB'"
LABEL: Final = "a string or a table"
LISTED: Final = "[[…]] tables"

TOP: Final = dict.fromkeys(
    ("basis", "hold_out", "fit", "weights", "frozen", "store", "output", "executor", "search", "library", "cycle"),
    TABLE,
) | {
    "fm_setup": TEXT,
    "data": LISTED,
}
DATA: Final = {"path": PATHS, "start": INTEGER, "stop": INTEGER} | dict.fromkeys(
    ("format", "group", "group_key", "energy_key", "forces_key", "stress_key", "virial_key"), TEXT
)
FIT: Final = {
    "regulariser": REGULARISER, "weights": WEIGHTS, "objective": TEXT, "method": TEXT, "policy": TEXT,
    "include_fewer": SWITCH, "penalty": WALL, "partial": TEXTS, "apart": TEXTS, "prior": NAME_OR_TABLE,
}  # fmt: skip
ROW_WEIGHTS: Final = {
    "force": EXPRESSION, "energy": EXPRESSION, "stress": EXPRESSION, "rows": TEXT, "frames": TEXT, "cycles": CYCLES,
    "gas": PATHS,
}  # fmt: skip
OF_CLIMB: Final = {"only": TEXTS, "missing": TEXT, "probes": PATHS}
"""Keys of the general table that no single block has."""

STORE: Final = {
    "path": TEXT, "keep_rows": SWITCH, "memory": BYTES, "in_use": TEXT, "wait": NUMBER, "fsync": SWITCH,
    "checkpoint": FOLDER_OR_SWITCH,
}  # fmt: skip
HOLD_OUT: Final = {"groups": TEXTS, "fraction": NUMBER, "every": INTEGER}
FROZEN: Final = {"files": TEXTS, "energies": TEXT}
OUTPUT: Final = {"folder": TEXT, "units": TEXT, "covariance": SWITCH}
EXECUTOR: Final = {
    "kind": TEXT, "workers": INTEGER, "scheduler": TEXT, "tls_ca_file": TEXT, "tls_cert": TEXT, "tls_key": TEXT,
    "encrypted": SWITCH, "worker_wait": NUMBER, "dashboard": SWITCH, "performance_report": TEXT, "resources": TABLE,
    "scratch": TEXT,
}  # fmt: skip
LIBRARY: Final = {
    "path": TEXT, "theory": LABEL, "energy_reference": LABEL, "versions": TABLE, "update": TEXTS, "accept": TABLE,
    "covariance": SWITCH,
}  # fmt: skip
CYCLE: Final = {
    "states": LISTED, "folder": TEXT, "cycles": INTEGER, "picks": INTEGER, "shares": NUMBERS, "label": NAME_OR_TABLE,
    "steps": INTEGER, "every": INTEGER, "timestep": NUMBER, "friction": NUMBER, "contact": NUMBER, "heat": NUMBER,
    "sigma": NUMBER, "least": NUMBER, "seed": INTEGER,
}  # fmt: skip
CYCLE_STATE: Final = (
    "temperatures", "pressures", "volumes", "start", "groups", "elements", "compositions", "count",
)  # fmt: skip
CYCLE_LABEL: Final = ("calculator", "code", "options", "template", "energy_key")
CYCLE_SHARES: Final = ("distances", "leverage", "clusters", "random")
PRIOR: Final = (
    "mean",
    "gamma",
    "lower",
    "decay",
    "strength",
    "spread",
    "probes",
    "probe_weight",
    "probe_force",
    "probe_energy",
    "seed",
)
PENALTY: Final = ("scale", "distance")
SUMMARIES: Final = {"summaries": TEXT}
SEARCH: Final = ("folds", "strategy", "rule", "importance", "grid", "blocks")
AXES: Final = ("regulariser", "weights", "objective", "orders", "exclude", "prior")
BASIS: Final = (
    "elements", "orders", "transform", "cutoff", "pairs", "three_body", "four_body", "blocks", "types", "one_body",
    "exclude", "energies", "masses",
)  # fmt: skip
PAIR: Final = ("rmin", "rmax", "lambda", "transform")
TYPE: Final = ("order", "rmin", "rmax")
MANY_BODY: Final = ("rmin", "rmax")
OF_BLOCK: Final = ("orders",)
REGULARISERS: Final = (
    "kind", "alpha", "lam", "l1_ratio", "gamma", "normalize", "tolerance", "max_iter", "prune", "penalise_one_body",
)  # fmt: skip
"""What :func:`~hiertl_dist.algebra.regulariser_from_dict` takes, of one kind or another."""

OF_REGULARISER: Final = "the table of the regulariser, { kind = … }"

TABLES: Final[Mapping[str, Collection[str]]] = {
    "the top of the file": TOP, "[basis]": BASIS, "[basis.pairs] XY": PAIR, "[basis.types] XYZ": TYPE, "[[data]]": DATA,
    "[hold_out]": HOLD_OUT, "[fit]": {*FIT, *OF_CLIMB}, "[weights]": ROW_WEIGHTS, OF_REGULARISER: REGULARISERS,
    "[fit] penalty": PENALTY, "[fit] prior": PRIOR, "[frozen]": FROZEN, "[store]": STORE, "[output]": OUTPUT,
    "[executor]": EXECUTOR,
    "[library]": LIBRARY, "[search]": {*SEARCH, *SUMMARIES}, "[search.grid]": AXES,
    "[cycle]": CYCLE, "[[cycle.states]]": CYCLE_STATE, "[cycle] label": CYCLE_LABEL, "[cycle] shares": CYCLE_SHARES,
}  # fmt: skip
"""The keys of each table, by how a person would write where it is."""


def spellings(key: Any) -> tuple[str, ...]:
    """A word's other spelling: with s for z, or z for s."""
    return (key.replace("iz", "is"), key.replace("is", "iz")) if isinstance(key, str) else ()


def elsewhere(keys: Iterable[Any], here: str = "") -> dict[str, str]:
    """Of keys that a table does not have, those that other tables than ``here`` have, and which these are."""
    tables_of: dict[str, str] = {}
    for key in keys:
        names = {key, *spellings(key)}
        places = [table for table, known in TABLES.items() if table != here and names & set(known)]
        if places:
            tables_of[str(key)] = " and ".join(places)
    return tables_of
