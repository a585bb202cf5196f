"""The page on active learning: its example runs as it stands, as a command and in Python."""

from __future__ import annotations

import pytest
from doc_pages import blocks
from test_architecture import ROOT

import hiertl_dist
from hiertl_dist.cli import commands as cli
from hiertl_dist.executors import SerialExecutor

pytest.importorskip("ase")
PAGE = ROOT / "docs" / "howto" / "active_learning.md"


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hiertl_dist, "executor", SerialExecutor)  # that of the page starts a cluster
    (_, _, data), (_, _, script), _ = blocks(PAGE, "python")
    exec(compile(data, "data", "exec"), {})
    (tmp_path / "input.toml").write_text(blocks(PAGE, "toml")[0][2])
    ((_, _, command),) = blocks(PAGE, "sh")
    assert command.split() == ["hiertl-dist", "cycle", "input.toml"]
    assert cli.main([*command.split()[1:], "--executor", "serial"]) == 0
    printed = capsys.readouterr().out
    assert "ended: 2 cycles done, and a model fitted to all labels" in printed
    rows = [line.split() for line in printed.splitlines() if line[:1].isdigit()]
    assert [row[:2] for row in rows] == [["0", "8"], ["1", "14"], ["2", "20"]]
    assert float(rows[-1][2]) < float(rows[0][2])  # what is held out is told better in the end
    exec(compile(script, "script", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.splitlines()[-4:] == printed.splitlines()[-4:]


def test_xtb_labels_what_the_loop_picks(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tblite", reason="tblite is not installed: no xTB to label frames")
    monkeypatch.chdir(tmp_path)
    data = blocks(PAGE, "python")[-1][2]
    exec(compile(data, "data", "exec"), {})
    (table,) = (text for _, _, text in blocks(PAGE, "toml") if "[basis]" in text and "tblite" in text)
    (tmp_path / "input.toml").write_text(table)
    assert cli.main(["cycle", "input.toml", "--executor", "serial"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line[:1].isdigit()]
    assert [row[:2] for row in rows] == [["0", "10"], ["1", "18"], ["2", "26"], ["3", "34"]]
    assert float(rows[-1][2]) < 0.5 * float(rows[0][2])
