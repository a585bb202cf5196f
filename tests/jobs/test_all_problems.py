"""All that is wrong with an input file is told at once: what is told of a fault alone is told beside any other."""

from __future__ import annotations

import copy
import itertools
from dataclasses import fields

import pytest

from hiertl_dist.algebra import regularisers
from hiertl_dist.errors import HiertlError, InputError
from hiertl_dist.fitting.settings import FitSettings
from hiertl_dist.jobs.input_file import Input
from hiertl_dist.jobs.input_tables import KINDS
from hiertl_dist.text import table_keys
from hiertl_dist.text.problems import unknown_keys_message

GOOD = {
    "basis": {
        "elements": ["C", "N"], "orders": [3, 2, 0], "transform": "MORSE", "cutoff": "TERSOFF 0.75",
        "pairs": {p: {"rmin": 0.5, "rmax": 4.0, "lambda": 1.5} for p in ("CC", "CN", "NN")},
        "three_body": {"rmax": 3.5}, "energies": {"C": -1.0, "unit": "eV"}, "masses": {"C": 12.0},
        "types": {"CCN": {"order": 3}}, "blocks": {"CN": {"orders": [3, 2, 0]}},
    },
    "data": [{"path": "a.extxyz"}, {"path": "b.extxyz"}],
    "fit": {"regulariser": {"kind": "ridge", "alpha": 1e-4}, "weights": {"force": 1.0}, "blocks": {"CN": {}}},
    "hold_out": {}, "frozen": {}, "store": {}, "output": {}, "executor": {},
    "search": {"grid": {}, "folds": {"count": 5}, "importance": {"force": 1.0}},
}  # fmt: skip

FAULTS = {
    "basis.elements": 3, "basis.orders": [3, -2, 0], "basis.transform": "MORS", "basis.cutoff": "TERSOF 0.75",
    "basis.pairs.CC.rmin": 5.5, "basis.pairs.CN.rmin": "x", "basis.pairs.CN.transform": "EXP",
    "basis.pairs.NN.lambda": -1.0, "basis.pairs.NN.rmx": 4.0, "basis.pairs.NN.rmax": float("inf"),
    "basis.three_body.rmax": 0.1, "basis.three_body.rmx": 1.0, "basis.energies.C": "x", "basis.energies.Q": 1.0,
    "basis.energies.unit": "Ha", "basis.masses.C": -1.0, "basis.masses.Q": "x", "basis.types.CCN.order": 1000,
    "basis.types.CCN.rmin": "x", "basis.types.CC": {"rmin": 0.6}, "basis.blocks.CN.orders": [1, 2],
    "basis.exclude": ["QQ", 3], "basis.one_body": 3,
    "data.0.pth": "x", "data.0.start": "x", "data.1.path": 3, "data.1.energy_ky": "e", "data.1.stop": 2**70,
    "fit.regulariser.kind": "rigde", "fit.regulariser.alpha": -1, "fit.regulariser.alhpa": 1.0,
    "fit.weights.forces": 1.0, "fit.weights.energy": -1.0, "fit.weights.stress": float("nan"), "fit.method": "qr",
    "fit.penalise_one_body": True, "fit.objective": "x", "fit.policy": "x", "fit.penalty": {"depth": 1},
    "fit.blocks.CN.method": "qr", "fit.blocks.CN.weights": {"energies": 1.0}, "fit.blocks.CQ": {},
    "hold_out.fraction": 2.0, "hold_out.every": "x", "frozen.energies": "maybe", "store.pth": "x",
    "store.memory": "1e400 GiB", "store.in_use": "share", "store.wait": -1,
    "output.units": "Ha", "output.folder": 3, "executor.kind": "daks",
    "executor.workers": -1, "serach": {}, "search.strategy": "x", "search.folds.count": 1, "search.folds.sed": 1,
    "search.importance.forces": 1.0, "search.importance.energy": -1.0,
    "search.grid.regulariser": [{"kind": "ridge", "alpha": -1.0}, {"kind": "laso", "lam": 1.0}],
    "search.grid.exclud": [], "search.grid.weights": {"force": [-1.0]},
}  # fmt: skip


def spoilt(*keys):
    table = copy.deepcopy(GOOD)
    for key in keys:
        *path, last = key.split(".")
        own = table
        for part in path:
            own = own[int(part)] if isinstance(own, list) else own.setdefault(part, {})
        own[last] = FAULTS[key]
    return table


def told(*keys):
    """What is told of an input with these faults, the lists of known keys aside."""
    with pytest.raises(HiertlError) as caught:
        Input.from_dict(spoilt(*keys))
    return set(caught.value.problems or (str(caught.value),))


def test_nothing_is_wrong_with_the_one_that_is_spoilt():
    Input.from_dict(copy.deepcopy(GOOD))


@pytest.mark.parametrize("key", FAULTS)
def test_each_is_told_with_its_place(key):
    for text in told(key):
        place = text.partition(":")[0]
        assert place == "input" or place.split(".")[0].partition("[")[0] in GOOD, text


def apart(one, other):
    """Whether one fault can be judged where the other is: not what stands on it, nor both in one unknown-keys line."""
    above = ("basis.elements", "basis.orders", "basis.one_body")
    cutoffs = ("basis.pairs.CC.rmin", "basis.pairs.CN.rmin", "basis.pairs.NN.rmax")
    upon = ("basis.three_body.rmax", "basis.types.CC")
    if "basis.elements" in (one, other) and "fit.blocks.CQ" in (one, other):
        return False
    if (one in cutoffs and other in upon) or (other in cutoffs and one in upon):
        return False
    return not any(
        a.startswith(b) or a.rpartition(".")[0] == b.rpartition(".")[0] or (b in above and a.startswith("basis."))
        for a, b in ((one, other), (other, one))
    )


def test_any_two_are_told_together():
    alone = {key: told(key) for key in FAULTS}
    hidden = {}
    for one, other in itertools.combinations(FAULTS, 2):
        if apart(one, other) and (lost := (alone[one] | alone[other]) - told(one, other)):
            hidden[one, other] = lost
    assert not hidden


def test_any_two_keys_of_one_table_are_told_together():
    for one, other in itertools.combinations(FAULTS, 2):
        if one.rpartition(".")[0] == other.rpartition(".")[0] and one.startswith("basis.") and "." in one[6:]:
            names = [key.rpartition(".")[2] for key in (one, other)]
            text = " ".join(told(one, other))
            assert all(name in text for name in names), (one, other, text)


def test_all_are_told_together():
    text = "\n".join(told(*(k for k in FAULTS if k not in ("basis.elements", "basis.one_body"))))
    for said in (
        "basis.transform: expected a transform", "basis.cutoff: ", "basis.energies.unit", "basis.energies.C: ",
        "basis.energies.Q: ", "fit.regulariser: alpha: ", "fit.regulariser: regulariser kind", "did you mean 'ridge'?",
        "data[1] ('a.extxyz'): unknown keys ['pth']", "data[2] (3): unknown keys ['energy_ky']",
        "'forces' names no kind",
        "'penalise_one_body' is a key of the table of the regulariser", "basis.pairs.CC: expected 0 ≤ rmin ≤ rmax",
    ):  # fmt: skip
        assert said in text, said


class TestSlips:
    @pytest.mark.parametrize(("name", "meant"), [
        ("forces", "force"), ("Force", "force"), ("energies", "energy"), ("stresses", "stress"),
        ("a/forces", "a/force"),
    ])  # fmt: skip
    def test_a_kind_before_any_data_is_read(self, name, meant):
        with pytest.raises(InputError, match=rf"^fit.weights: '{name}' names no kind.*did you mean '{meant}'"):
            Input.from_dict(GOOD | {"fit": {"weights": {name: 1.0}}})

    def test_a_group_of_that_name_is_none(self):
        source = {"path": "x.extxyz", "group": "forces"}
        Input.from_dict(GOOD | {"data": [source], "fit": {"weights": {"forces": 1.0}}})

    def test_a_file_of_that_name_is_none(self, tmp_path):
        (tmp_path / "forces.extxyz").write_text("")
        fit = {"weights": {"forces": 1.0, "forces/energy": 2.0}}
        job = Input.from_dict(GOOD | {"data": [{"path": "*.extxyz"}], "fit": fit}, tmp_path)
        assert job.fit.weights == fit["weights"]

    def test_groups_named_by_frames_are_left_to_them(self):
        Input.from_dict(GOOD | {"data": [{"path": "a.extxyz", "group_key": "g"}], "fit": {"weights": {"forces": 1.0}}})

    @pytest.mark.parametrize(("key", "place"), [
        ("penalise_one_body", "the table of the regulariser"), ("penalize_one_body", "the table of the regulariser"),
        ("rmin", "[basis.pairs] XY"), ("keep_rows", "[store]"), ("energy_key", "[[data]]"), ("folds", "[search]"),
    ])  # fmt: skip
    def test_a_key_of_another_table_names_that(self, key, place):
        with pytest.raises(InputError) as caught:
            Input.from_dict(GOOD | {"fit": {key: 1}})
        assert f"'{key}' is a key of " in str(caught.value)
        assert place in str(caught.value)
        with pytest.raises(InputError, match=r"'include_fewer' is a key of \[fit\]"):
            FitSettings({"kind": "ridge", "alpha": 1.0, "include_fewer": True})

    def test_in_any_case(self):
        assert "did you mean 'alpha'?" in unknown_keys_message(["ALPHA"], ["alpha", "kind"])


def test_the_tables_of_keys_are_those_that_are_read():
    nouns = regularisers._KINDS.values()
    assert {"kind", *(f.name for noun in nouns for f in fields(noun))} == set(table_keys.REGULARISERS)
    for kinds in (table_keys.TOP, table_keys.DATA, table_keys.FIT, table_keys.STORE, table_keys.HOLD_OUT):
        assert set(kinds.values()) <= set(KINDS)


class TestNothingIsLeft:
    @pytest.mark.parametrize("weights", [{"force": 0.0, "energy": 0.0, "stress": 0.0}])
    def test_weights_of_zero(self, weights):
        with pytest.raises(InputError, match=r"^fit.weights: force, stress, energy are all 0"):
            Input.from_dict(GOOD | {"fit": {"weights": weights}})
        with pytest.raises(InputError, match=r"^weights: force, stress, energy are all 0"):
            FitSettings(weights=weights)

    def test_an_integer_that_python_cannot_read(self, tmp_path):
        path = tmp_path / "input.toml"
        path.write_text(f"[store]\nmemory = {'9' * 5001}\n")
        with pytest.raises(InputError) as caught:
            Input.from_toml(path)
        assert "line 2: memory is an integer of 5001 digits, 9999999999…" in str(caught.value)
        assert "set_int_max" not in str(caught.value)


@pytest.mark.parametrize("key", ["regulariser", "regularizer"])
@pytest.mark.parametrize(("where", "value", "named"), [
    (("fit",), {"kind": "ridge", "alpha": float("nan")}, "alpha"),
    (("fit", "blocks", "C"), {"kind": "svd", "rcond": float("inf")}, "rcond"),
    (("search", "grid"), [{"kind": "ridge", "alpha": [float("nan")]}], "alpha[0]"),
])  # fmt: skip
def test_a_number_that_is_wrong_is_not_said_to_be_missing(key, where, value, named):
    table = {part: copy.deepcopy(GOOD[part]) for part in ("basis", "data")}
    own = table
    for name in where:
        own = own.setdefault(name, {})
    own[key] = value
    with pytest.raises(InputError) as caught:
        Input.from_dict(table)
    place = f"{'.'.join(where)}.{key}{'[0]' if isinstance(value, list) else ''}.{named}"
    assert str(caught.value).startswith(f"{place}: expected a finite number, found ")
    assert "missing" not in str(caught.value)
    assert caught.value.problems == ()
