"""A command that is killed and started again, what is compared then, and a short soak."""

from __future__ import annotations

import importlib
import json

import pytest
from benchmark_toys import BENCHMARKS, forget_benchmarks


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module
    forget_benchmarks()


def test_a_killed_import_goes_on_to_the_same_files(modules, tmp_path):
    kills = modules("kills")
    record = kills.run(modules("bench").Options(tmp_path, toy=True, apart=False))
    (case,) = json.loads(json.dumps(record))["cases"]
    assert case["wrong"] == []
    assert case["killed"] == 1
    assert case["ends"][0].endswith(": -9")
    assert case["ends"][1].endswith(": 0")
    assert case["pieces"] == record["pieces"]["import"] > 1
    assert "serial, main KILL: -9 (1)" in kills.markdown(record)


def test_what_differs_is_missing_or_left_is_seen(modules, tmp_path):
    kills = modules("kills")
    for name, content in (("a", b"1"), ("b", b"2"), (".lock", b""), ("dataset.json", b'{"id": 1, "frames": 2}')):
        (tmp_path / name).write_bytes(content)
    truth = kills.digests(tmp_path)
    assert set(truth) == {"a", "b", "dataset.json"}
    (tmp_path / "dataset.json").write_bytes(b'{"id": 5, "frames": 2}')
    (tmp_path / "a").write_bytes(b"0")
    (tmp_path / "b").rename(tmp_path / "b.partial")
    said = list(kills.compared(kills.digests(tmp_path), truth))
    assert said == ["missing: ['b']", "differs: ['a']", "left behind: ['b.partial']"]


def test_every_victim_has_its_turn_with_every_command(modules):
    kills = modules("kills")
    cases = [kills.case_of(0, i, tuple(kills.VICTIMS)) for i in range(155)]
    assert cases == [kills.case_of(0, i, tuple(kills.VICTIMS)) for i in range(155)]
    met = {(c.command, c.kills[0].executor, c.kills[0].victim) for c in cases}
    assert len(met) == len(kills.COMMANDS) * sum(map(len, kills.VICTIMS.values())) == 155
    assert {len(c.kills) for c in cases} == {1, 2}
    assert any(c.at_once for c in cases)
    worker = kills.Kill("mpi", 2, "rank KILL", 0.5, 0.0, 0)
    assert 0 not in kills.allowed(worker, hit=True)
    assert kills.allowed(worker, hit=False) == (0,)


def test_a_soak(modules, tmp_path):
    soak = modules("soak")
    record = soak.run(modules("bench").Options(tmp_path, toy=True, apart=False))
    assert len(json.loads(json.dumps(record))["rounds"]) == 2
    assert list(tmp_path.iterdir()) == []
    assert "caller: files" in soak.markdown(record)
    for number, own in enumerate(record["rounds"]):
        own["caller"]["files"] = 10 + number
    assert soak.trend(record, "caller", "files")["most"] == 11
