"""The JSON schema of input files, and what keys mean: they are those that are checked, and say what the reader does."""

from __future__ import annotations

import json
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path

import jsonschema
import pytest

import hiertl_dist
from hiertl_dist.algebra.regularisers import regulariser_kinds
from hiertl_dist.cli import commands as cli
from hiertl_dist.dataset.folds import Folds
from hiertl_dist.errors import HiertlError
from hiertl_dist.executors.dask_options import DaskOptions
from hiertl_dist.files.store_use import StoreUse
from hiertl_dist.fitting.settings import FitSettings
from hiertl_dist.jobs.input_file import Input
from hiertl_dist.jobs.input_schema import NARROWER, input_schema
from hiertl_dist.jobs.input_tables import KINDS
from hiertl_dist.library.settings import LibrarySettings
from hiertl_dist.model.parameters import Penalty
from hiertl_dist.model.priors import Prior
from hiertl_dist.model_selection.search_settings import Grid, SearchSettings
from hiertl_dist.text import table_keys
from hiertl_dist.text.key_meanings import MEANINGS

SCHEMA = input_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
DEMO = Path(hiertl_dist.__file__).parent / "data" / "demo.toml"
PAIR = {"rmin": 0.6, "rmax": 6.0, "lambda": 1.6}
LEAST = {
    "basis": {"elements": ["C", "N"], "orders": [4, 3, 2], "pairs": dict.fromkeys(("CC", "CN", "NN"), PAIR)},
    "data": [{"path": "data.extxyz"}],
}

OTHERS = {
    "[basis.three_body], [basis.four_body]": table_keys.MANY_BODY,
    "[basis.blocks] XY": table_keys.OF_BLOCK,
    "[search] folds": [f.name for f in fields(Folds)],
}


def test_every_key_has_a_meaning_and_nothing_else_has():
    expected = {place: set(keys) for place, keys in {**table_keys.TABLES, **OTHERS}.items()}
    assert {place: set(meanings) for place, meanings in MEANINGS.items()} == expected
    assert all(m.text.endswith((".", ":")) or m.text.endswith("…") for own in MEANINGS.values() for m in own.values())


def test_closer_descriptions_are_of_keys_that_there_are():
    assert [(p, k) for p, own in NARROWER.items() for k in own if k not in MEANINGS[p]] == []


CLASSES = {
    "[fit]": FitSettings, "[fit] penalty": Penalty, "[store]": StoreUse, "[executor]": DaskOptions,
    "[library]": LibrarySettings, "[search] folds": Folds, "[search]": SearchSettings,
}  # fmt: skip


def plain(default):
    """A default as an input file has it."""
    if isinstance(default, Prior):
        return default.short()
    if isinstance(default, Grid):
        return dict(default.axes)
    return default.count if isinstance(default, Folds) else list(default) if isinstance(default, tuple) else default


@pytest.mark.parametrize("place", CLASSES)
def test_defaults_are_those_of_the_code(place):
    compared = 0
    for field in fields(CLASSES[place]):
        meaning = MEANINGS[place].get(field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if meaning is None or default is MISSING:
            continue
        try:
            said = tomllib.loads(f"x = {meaning.default}")["x"]
        except tomllib.TOMLDecodeError:
            continue  # words
        if field.name == "system":
            default = Folds(split="system").system
        assert plain(default) == said, field.name
        compared += 1
    assert compared or place == "[search]"


def test_defaults_of_a_prior_and_of_what_the_input_alone_has(tmp_path):
    for name, meaning in MEANINGS["[fit] prior"].items():
        if name not in ("mean", "probe_weight", "probe_force", "probe_energy"):
            said = tomllib.loads(f"x = {meaning.default}")["x"]
            own = getattr(Prior(), name)
            assert (list(own) if isinstance(own, tuple) else own) == said
    job = Input.from_dict(LEAST, tmp_path)
    found = {
        ("[store]", "path"): job.store.name, ("[output]", "folder"): job.output.name, ("[output]", "units"): job.units,
        ("[store]", "keep_rows"): job.keep_rows, ("[executor]", "kind"): job.executor,
        ("[search]", "summaries"): job.summaries.name,
    }  # fmt: skip
    assert {(p, k): tomllib.loads(f"x = {MEANINGS[p][k].default}")["x"] for p, k in found} == found


def test_it_is_a_schema_and_takes_what_is_shipped():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    VALIDATOR.validate(tomllib.loads(DEMO.read_text(encoding="utf-8")))
    VALIDATOR.validate(LEAST)
    VALIDATOR.validate({"fm_setup": "fm_setup.in", "fit": {"regularizer": {"kind": "ridge", "alpha": 1}}})


TABLES = {"data": table_keys.DATA, "fit": {**table_keys.FIT, **table_keys.OF_CLIMB}, "store": table_keys.STORE,
          "hold_out": table_keys.HOLD_OUT, "frozen": table_keys.FROZEN, "output": table_keys.OUTPUT,
          "executor": table_keys.EXECUTOR, "library": table_keys.LIBRARY}  # fmt: skip
VALUES = ["x", 3, 0.5, True, ["a"], [], {}, {"a": 1.5}, {"a": "x"}, [1], [{}], "auto"]


def errors_at(table, name, key):
    return [e for e in VALIDATOR.iter_errors(table) if [p for p in e.absolute_path if p != 0][:2] == [name, key]]


@pytest.mark.parametrize("name", TABLES)
def test_kinds_of_values_are_those_of_the_reader(name):
    """What the reader refuses by its kind the schema refuses; what it takes only where few values are known."""
    places = {"data": "[[data]]"}
    for key, kind in TABLES[name].items():
        narrower = key in NARROWER.get(places.get(name, f"[{name}]"), {}) or kind in (
            table_keys.REGULARISER, table_keys.LABEL, table_keys.LISTED)  # fmt: skip
        for value in VALUES:
            own = {"path": "x", key: value}
            table = LEAST | {name: [own] if name == "data" else own}
            refused = bool(errors_at(table, name, key))
            if not KINDS[kind](value):
                assert refused, (key, value)
            elif not narrower:
                assert not refused, (key, value)


WRONG = {
    "an unknown table": LEAST | {"fits": {}},
    "an unknown key": LEAST | {"fit": {"weight": "auto"}},
    "no data": {"basis": LEAST["basis"]},
    "both": LEAST | {"fm_setup": "fm_setup.in"},
    "a data table without a path": LEAST | {"data": [{"group": "x"}]},
    "no such regulariser": LEAST | {"fit": {"regulariser": {"kind": "rigde", "alpha": 0.1}}},
    "a regulariser without its penalty": LEAST | {"fit": {"regulariser": {"kind": "ridge"}}},
    "a key of another regulariser": LEAST | {"fit": {"regulariser": {"kind": "ridge", "alpha": 1.0, "lam": 1.0}}},
    "no such policy": LEAST | {"fit": {"policy": "ignore"}},
    "no such method": LEAST | {"fit": {"method": "svd"}},
    "no such prior": LEAST | {"fit": {"prior": "same"}},
    "an unknown key of a prior": LEAST | {"fit": {"prior": {"means": "mixed"}}},
    "a key of the climb for one block": LEAST | {"fit": {"blocks": {"CN": {"only": ["CN"]}}}},
    "two orders": LEAST | {"basis": LEAST["basis"] | {"orders": [4, 3]}},
    "a pair without an outer cutoff": LEAST | {"basis": LEAST["basis"] | {"pairs": {"CC": {"rmin": 0.6}}}},
    "no such transform": LEAST | {"basis": LEAST["basis"] | {"transform": "EXP"}},
    "units": LEAST | {"output": {"units": "Hartree"}},
    "workers": LEAST | {"executor": {"workers": 0}},
    "a fraction": LEAST | {"hold_out": {"fraction": 1.5}},
    "one fold": LEAST | {"search": {"folds": 1}},
    "a rule": LEAST | {"search": {"rule": "first"}},
    "an axis": LEAST | {"search": {"grid": {"order": [[4, 3, 2]]}}},
    "a gate": LEAST | {"library": {"path": "l", "theory": "x", "energy_reference": "y", "accept": {"C": ["all"]}}},
    "a library without a theory": LEAST | {"library": {"path": "l", "energy_reference": "y"}},
}


@pytest.mark.parametrize("table", WRONG.values(), ids=WRONG)
def test_what_the_reader_refuses_is_refused(table, tmp_path):
    with pytest.raises(HiertlError):
        Input.from_dict(table, tmp_path)
    assert not VALIDATOR.is_valid(table)


def enumerated():
    """(table, key, value) of every value that the schema knows of keys of a table."""
    for name in ("fit", "store", "output", "executor", "frozen"):
        for key, own in SCHEMA["definitions"][name]["properties"].items():
            for one in own.get("anyOf", [own]):
                yield from ((name, key, value) for value in one.get("enum", ()))


@pytest.mark.parametrize(("name", "key", "value"), list(enumerated()))
def test_values_that_the_schema_knows_are_taken(name, key, value, tmp_path):
    table = {"regulariser": {"kind": "ridge", "alpha": 0.1}, key: value} if name == "fit" else {key: value}
    Input.from_dict(LEAST | {name: table}, tmp_path)


@pytest.mark.parametrize("kind", regulariser_kinds())
def test_regularisers_with_what_they_must_have(kind, tmp_path):
    noun = regulariser_kinds()[kind]
    must = {f.name: 0.5 for f in fields(noun) if f.default is MISSING}
    table = LEAST | {"fit": {"regulariser": {"kind": kind, **must}}}
    VALIDATOR.validate(table)
    Input.from_dict(table, tmp_path)


def test_the_command_writes_it_and_overwrites_nothing(tmp_path, capsys):
    file = tmp_path / "input.schema.json"
    assert cli.main(["config", "schema", "-o", str(file)]) == 0
    assert json.loads(file.read_text(encoding="utf-8")) == SCHEMA
    assert cli.main(["config", "schema", "-o", str(file)]) == 2
    capsys.readouterr()
    assert cli.main(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA


def test_the_command_checks_an_input(tmp_path, capsys):
    assert cli.main(["config", "check", str(DEMO), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["elements"] == ["C", "N"]
    (tmp_path / "input.toml").write_text(DEMO.read_text(encoding="utf-8").replace("alpha = 0.1", "alfa = 0.1"))
    assert cli.main(["config", "check", str(tmp_path / "input.toml")]) == 2
    said = capsys.readouterr().err
    assert "alfa" in said
    assert "cn_pbe.extxyz.gz" in said
