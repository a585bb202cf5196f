"""Help: commands in groups, a screen of ``-h``, examples that run and print what is said, completion in shells."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import shutil
import subprocess

import pytest
from doc_pages import commands
from job_files import job_frames, write_job
from jsonschema import Draft7Validator
from synthetic import labelled, random_parameters, small_basis

from hiertl_dist import open_library
from hiertl_dist.cli import commands as cli
from hiertl_dist.cli.help_pages import EXAMPLES, GROUPS, SHARED
from hiertl_dist.text.json_results import RESULTS, result_schema

SCREEN = 48
"""Lines of 80 columns of a terminal that is as high as a small laptop's."""

NAMES = {name.removeprefix("hiertl-dist ") for name, _, _ in commands()}
LEAVES = sorted(name for name in NAMES if not any(other.startswith(f"{name} ") for other in NAMES))
ELSEWHERE = {
    "demo": "takes a minute, and is the README's",
    "config expand": "takes an fm_setup, as tests/jobs/test_expanding.py has",
}
QUICKER = {
    "import": ["--executor", "serial"], "report": ["--no-figures"], "tabulate": ["--tolerance", "0.01"],
    "check": ["--temperatures", "300", "--arrangements", "1"],
    "properties": ["--properties", "eos", "elastic"],
}  # fmt: skip
"""What the tests add to examples."""
SEARCH = {"folds": {"count": 2, "split": "frame"}, "grid": {"regulariser": {"kind": "ridge", "alpha": [1e-4, 1.0]}}}
CYCLE = {
    "steps": 2, "every": 1, "picks": 2, "label": "lj",
    "states": [{"temperatures": [1], "volumes": [1.05], "elements": ["C"]}],
}  # fmt: skip
FIT = {"regulariser": {"kind": "ridge", "alpha": 0.1}}
MAY_DOUBT = {"check", "doctor", "properties"}
"""Commands that end with 4 where what they look at has problems, as toy models have."""


def help_of(name, option, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        cli.main([*name.split(), option])
    assert end.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_every_command_is_in_one_group():
    verbs = [verb for group in GROUPS.values() for verb in group]
    assert len(verbs) == len(set(verbs))
    assert set(verbs) == {name.split()[0] for name in NAMES}


def test_all_commands_fit_a_screen(capsys, monkeypatch):
    lines = help_of("", "-h", capsys, monkeypatch).splitlines()
    assert len(lines) <= SCREEN
    assert max(map(len, lines)) <= 80
    for title, verbs in GROUPS.items():
        at = lines.index(f"{title}:")
        assert [line.split()[0] for line in lines[at + 1 : at + 1 + len(verbs)]] == list(verbs), "a line for each"


@pytest.mark.parametrize("name", LEAVES)
def test_short_help_fits_a_screen_and_names_what_it_leaves_out(name, capsys, monkeypatch):
    short, whole = (help_of(name, option, capsys, monkeypatch) for option in ("-h", "--help"))
    assert len(short.splitlines()) <= SCREEN
    own = next(own for command, _, own in commands() if command == f"hiertl-dist {name}")
    options = {action.option_strings[-1] for action in own._actions if action.option_strings}
    assert options <= set(short.replace(",", " ").split())
    assert options <= set(whole.replace(",", " ").replace("[", " ").replace("]", " ").split())
    assert f"hiertl-dist {name} {EXAMPLES[name]}".strip() in short


def test_options_of_many_commands_are_called_the_same():
    """A short option stands for one long one everywhere, and those that are shared exist."""
    long_of, there = {}, set()
    for _, _, own in commands():
        for action in own._actions:
            there.add(action.dest)
            short = [o for o in action.option_strings if not o.startswith("--")]
            for option in short:
                long_of.setdefault(option, set()).add(action.dest)
    assert {k: v for k, v in long_of.items() if len(v) > 1} == {}
    assert {name for names in SHARED.values() for name in names} <= there
    outputs = [a for _, _, own in commands() for a in own._actions if "--output" in a.option_strings]
    assert all("-o" in action.option_strings for action in outputs)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder in which all examples were run, in their order: what each printed and its exit code."""
    folder = tmp_path_factory.mktemp("examples")
    basis = small_basis((3, 2, 0))
    frames = labelled(job_frames()[0], random_parameters(basis, 3))
    write_job(folder, frames)
    (folder / "input.toml").unlink()
    found = {}
    with contextlib.chdir(folder):
        for name, words in EXAMPLES.items():
            if name in ELSEWHERE:
                continue
            if "VERSION" in words:
                words = words.replace("VERSION", open_library("blocks").find("C").version)
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                as_json = ["--json"] * (name in RESULTS)
                code = cli.main([*name.split(), *shlex.split(words), *QUICKER.get(name, []), *as_json])
            found[name] = (code, out.getvalue(), err.getvalue())
            if name == "init":  # what it proposes is larger than a test needs
                tables = {"output": {"folder": "results"}, "search": SEARCH, "fit": FIT, "cycle": CYCLE}
                write_job(folder, frames, basis=basis.to_dict(), **tables)
    return found


@pytest.mark.parametrize("name", [name for name in LEAVES if name not in ELSEWHERE])
def test_examples_run(workplace, name):
    code, out, err = workplace[name]
    assert code in ((0, 4) if name in MAY_DOUBT else (0,)), err
    assert out
    if name in RESULTS:
        Draft7Validator(result_schema(name)).validate(json.loads(out))


def test_commands_with_json_are_those_that_say_what_they_print():
    with_json = {n for n, _, own in commands() if any(a.dest == "json" for a in own._actions)}
    assert {name.removeprefix("hiertl-dist ") for name in with_json} == set(RESULTS)


@pytest.mark.parametrize("name", RESULTS)
def test_schemas_are_schemas_and_refuse_other_keys(name, capsys):
    assert cli.main(["config", "schema", "--of", name]) == 0
    schema = json.loads(capsys.readouterr().out)
    Draft7Validator.check_schema(schema)
    assert not Draft7Validator(schema).is_valid({"another": 1})


def test_every_command_has_an_example():
    assert set(EXAMPLES) == set(LEAVES)


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_commands_and_options(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(verb in script for group in GROUPS.values() for verb in group)
    assert "--all-at-once" in script or "all-at-once" in script
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_bash_completes(capsys):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    assert cli.main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    asked = 'COMP_WORDS=(hiertl-dist ev); COMP_CWORD=1; _shtab_hiertl_dist; echo "${COMPREPLY[@]}"'
    done = subprocess.run([bash, "-c", f"{script}\n{asked}"], text=True, capture_output=True, check=True)
    assert done.stdout.split() == ["evaluate"]
