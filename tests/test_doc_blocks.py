"""Blocks of code of the pages: commands are parsed, tables read, calls in Python compared with what they call."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import tomllib

import jsonschema
import pytest
from doc_pages import ADVICE, blocks, commands, errors, exit_code_of
from job_files import job_frames, write_extxyz, write_fm_setup, write_toml
from synthetic import random_frames, small_basis
from test_architecture import ROOT
from test_docs import LINKED, PAGES

import hiertl_dist
from hiertl_dist.algebra.errors import SOLVER_ERRORS
from hiertl_dist.cli import commands as cli
from hiertl_dist.cli.command_line import parser
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.jobs.input_file import Input
from hiertl_dist.jobs.input_schema import input_schema

SHELL, TOML, PYTHON = (
    [(path, *block) for path in LINKED for block in blocks(path, *languages)]
    for languages in (("sh", ""), ("toml",), ("python",))
)
PROGRAMS = {
    "python3",
    "python",
    ".venv/bin/python",
    ".venv/bin/pip",
    "pip",
    "conda",
    "mpirun",
    "do",
    "done",
    "[",
    "export",
}
BASE = {
    "basis": {
        "elements": ["C", "N"], "orders": [14, 7, 3],
        "pairs": {p: {"rmin": 0.6, "rmax": 6.0, "lambda": 1.6} for p in ("CC", "NN", "CN")},
    },
    "data": [{"path": "data.extxyz"}],
}  # fmt: skip


def named(items):
    return [f"{path.relative_to(ROOT)}:{line}" for path, line, *_ in items]


def calls(text):
    """Each simple command of a block: words, without comments and redirections."""
    for line in text.splitlines():
        for part in re.split(r"&&|;|\|", line.partition(" #")[0].partition(" > ")[0]):
            if words := shlex.split(part, comments=True):
                yield words


@pytest.mark.parametrize(("path", "line", "language", "text"), SHELL, ids=named(SHELL))
def test_commands_are_those_of_the_program(path, line, language, text):
    for words in calls(text):
        words = words[1:] if words[0] == "while" else words
        at = next((i for i, w in enumerate(words) if w.endswith("hiertl-dist")), None)
        if at is None or "install" in words:
            assert words[0] in PROGRAMS or language == "", f"line {line}: {words}"
            continue
        assert at == 0 or words[0] == "mpirun", words
        parser().parse_args(words[at + 1 :])


INLINE = [(p, m[1]) for p in LINKED for m in re.finditer(r"`hiertl-dist ([^`]+)`", p.read_text(encoding="utf-8"))]


def test_commands_in_sentences_have_such_verbs_and_options():
    grammars = {name.removeprefix("hiertl-dist "): own for name, _, own in commands()}
    wrong = []
    for path, text in INLINE:
        words = text.split()
        name = next((n for n in (" ".join(words[:2]), words[0]) if n in grammars), None)
        if name is None:
            wrong += [(path.name, text)] * (words[0] not in ("…", "--version"))
            continue
        known = {option for action in grammars[name]._actions for option in action.option_strings}
        wrong += [(path.name, text, w) for w in words[1:] if w.startswith("-") and w not in known]
    assert len(INLINE) > 40
    assert not wrong


def merged(base, table):
    """A fragment of an input file in a whole one; what it says of an fm_setup.in is instead of basis and data."""
    if "fm_setup" in table:
        return dict(table)
    whole = dict(base)
    for key, value in table.items():
        whole[key] = {**whole[key], **value} if isinstance(value, dict) and key in whole else value
    return whole


@pytest.mark.parametrize(("path", "line", "language", "text"), TOML, ids=named(TOML))
def test_tables_are_read_and_as_the_schema_says(path, line, language, text, tmp_path):
    table = merged(BASE, tomllib.loads(text))
    jsonschema.Draft7Validator(input_schema()).validate(table)
    if "fm_setup" in table:
        write_fm_setup(tmp_path, random_frames({"C": 2, "N": 2, "CN": 2}))
    Input.from_dict(table, tmp_path)


def imported(tree):
    """What a block imports from the package, by name."""
    return {
        name.asname or name.name: getattr(__import__(node.module, fromlist=["x"]), name.name)
        for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module.startswith("hiertl_dist")
        for name in node.names
    }  # fmt: skip


@pytest.mark.parametrize(("path", "line", "language", "text"), PYTHON, ids=named(PYTHON))
def test_python_calls_what_there_is_with_arguments_that_it_takes(path, line, language, text):
    tree = ast.parse(text)
    earlier = [ast.parse(t) for _, _, t in blocks(path, "python") if t != text]
    names = {k: v for one in (*earlier, tree) for k, v in imported(one).items()}
    given = {n: getattr(hiertl_dist, n) for n in hiertl_dist.__all__}
    for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call)):
        function = None
        if isinstance(call.func, ast.Name):
            function = names.get(call.func.id) or given.get(call.func.id)
        elif isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
            owner = names.get(call.func.value.id)
            function = getattr(owner, call.func.attr) if inspect.isclass(owner) else None
        stars = any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords)
        if function is not None and not stars:
            inspect.signature(function).bind(*call.args, **{k.arg: k for k in call.keywords})
    assert names or not re.search(r"from hiertl_dist", text)
    unknown = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in hiertl_dist.__all__} - set(names)
    assert not unknown, f"{unknown} are never imported on this page"


def test_blocks_of_pages_are_of_languages_that_are_tested():
    kinds = {m[1] for p in PAGES for m in re.finditer(r"^```([\w-]+)$", p.read_text(encoding="utf-8"), flags=re.M)}
    assert kinds <= {"sh", "toml", "python", "text"}
    assert min(map(len, (SHELL, TOML, PYTHON))) >= 10


SCRIPTS = {
    "reference/scripted.md": "there is no file",
    "howto/weights.md": "",
    "getting_started.md": "kcal/mol",
    "howto/large_data.md": "",
}
"""Pages whose scripts are run as they stand, on small data, and what they print."""


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_run(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hiertl_dist, "executor", SerialExecutor)  # that of the page starts a cluster
    basis = small_basis((3, 2, 0))
    if name == "getting_started.md":
        write_toml(tmp_path / "input.toml", basis=basis.to_dict())
    frames, _ = job_frames()
    for folder in ("trajectories", "mptrj"):
        (tmp_path / folder).mkdir()
        text = write_extxyz(tmp_path / folder / "a.extxyz", frames).read_text()
        (tmp_path / folder / "a.extxyz").write_text(text.replace("config=", "config_type="))
    space = {"__name__": "__main__", "basis": basis}
    for _, _, text in blocks(ROOT / "docs" / name, "python"):
        exec(compile(text, name, "exec"), space)
    assert SCRIPTS[name] in capsys.readouterr().out


# ---- what is made of the code


def test_every_command_is_in_its_reference():
    names = {name.split()[1] for name, _, _ in commands()}
    assert names == set(cli._VERBS) - {"summarize"}
    assert all(purpose for _, purpose, _ in commands())


@pytest.mark.parametrize("kind", errors(), ids=lambda kind: kind.__name__)
def test_exit_codes_of_errors(kind, monkeypatch, capsys):
    assert ADVICE[kind.__name__]

    def fail(_):
        raise kind("what was found", 2.5) if kind in SOLVER_ERRORS else kind("what was found")

    monkeypatch.setitem(cli._VERBS, "doctor", fail)
    assert cli.main(["doctor"]) == exit_code_of(kind)
    assert "what was found" in capsys.readouterr().err


def test_only_errors_that_there_are_have_advice():
    assert set(ADVICE) == {kind.__name__ for kind in errors()}


def test_extras_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = re.findall(r"^\| `([\w-]+)` \|", (ROOT / "docs" / "install.md").read_text(encoding="utf-8"), flags=re.M)
    assert rows == [e for e in rows if e in project["optional-dependencies"]]
    assert set(rows) == set(project["optional-dependencies"])


def test_the_command_that_builds_the_site_is_that_of_its_settings():
    command = "python -m sphinx -W -n --keep-going docs docs/_build/html"
    for name in ("docs/conf.py", "docs/install.md", "README.md"):
        assert command in (ROOT / name).read_text(encoding="utf-8")
