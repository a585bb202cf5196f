"""The table ``[cycle]``: what it becomes, and what is wrong with it, all at once."""

from __future__ import annotations

import pytest
from cycle_files import cycle_table

from hiertl_dist import Input, InputError
from hiertl_dist.jobs.cycle_settings import CycleLabel, CycleSettings


def test_a_table_becomes_settings(tmp_path):
    own = Input.from_dict(cycle_table(), tmp_path).cycle
    assert own.folder == tmp_path / "cycles"
    assert own.states[0].temperatures == (300.0, 600.0)
    assert own.states[1].volumes == (0.97, 1.03)
    assert own.label == CycleLabel("emt", folder=tmp_path)
    states = [{"temperatures": 300, "pressures": -1, "start": "a.extxyz", "compositions": {"Cu": 3}}]
    label = {"code": "cp2k", "template": "t.inp", "energy_key": "free_energy"}
    own = CycleSettings.from_dict({"states": states, "label": label, "folder": "x"}, tmp_path)
    assert (own.cycles, own.picks, own.every, own.sigma) == (3, 20, 50, None)
    assert own.states[0].start == (tmp_path / "a.extxyz",)
    assert own.states[0].pressures == (-1.0,)
    assert own.states[0].compositions == ({"Cu": 3},)
    assert own.label.template == tmp_path / "t.inp"
    assert own.label.name == "cp2k"
    assert Input.from_dict({k: v for k, v in cycle_table().items() if k != "cycle"}, tmp_path).cycle is None


@pytest.mark.parametrize(
    ("loop", "messages"),
    [
        ({"states": []}, [r"cycle.states: expected one \[\[cycle.states\]\] table or more"]),
        ({"states": [{"pressures": [1]}]}, ["cycle.states.temperatures: expected one or more, in K"]),
        ({"states": [{"temperatures": [300, -1]}]}, ["cycle.states.temperatures: expected a number above 0, found -1"]),
        (
            {"states": [{"temperatures": 300, "pressures": [0], "volumes": [1]}]},
            ["expected pressures or volumes, found both"],
        ),
        (
            {"states": [{"temperatures": 1, "start": "a", "groups": "b"}, {"temperatures": 1, "presures": 2}]},
            [r"cycle.states\[1\]: groups and elements choose", r"cycle.states\[2\]: unknown keys .*'pressures'"],
        ),
        ({"states": [{"temperatures": 1, "compositions": {"Xx": 1}}]}, ["compositions: expected tables of elements"]),
        ({"states": [{"temperatures": 1, "count": 0}]}, ["count: expected an integer of at least 1, found 0"]),
        ({"picks": 0, "steps": 1.5, "heat": -1}, ["cycle.picks: ", "cycle.steps: ", "cycle.heat: "]),
        ({"every": 11}, ["cycle.every: expected at most the 10 steps of a run, found 11"]),
        ({"shares": {"leverage": 0.7, "clusters": 0.7}}, ["cycle.shares: expected a sum above 0 and up to 1"]),
        ({"shares": {"sigma": 1}}, ["cycle.shares: unknown keys"]),
        ({"sigma": True}, ["cycle.sigma: expected a number above 0, found True"]),
        ({"label": "a-b"}, ["cycle.label.calculator: expected module:function or the name"]),
        ({"label": {"calculator": "emt", "code": "vasp"}}, ["cycle.label: expected a calculator or a code"]),
        ({"label": "cp2k"}, ["cycle.label.template: missing"]),
        ({"label": {"code": "qe", "options": 3}}, ["cycle.label.code: expected one of", "cycle.label.options: "]),
        ({"label": {"code": "vasp", "template": "x"}}, ["cycle.label.template: it is of use to cp2k alone"]),
        ({"label": 3}, ["cycle.label: expected a name or a table, found 3"]),
        ({"folder": 3}, ["cycle.folder: expected a string"]),
        ({"pick": 3}, ["cycle: unknown keys .*did you mean 'picks'"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path, loop, messages):
    with pytest.raises(InputError) as caught:
        Input.from_dict(cycle_table(**loop), tmp_path)
    for message in messages:
        assert caught.match(message)
