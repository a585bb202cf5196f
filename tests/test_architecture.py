"""The shape of the code (docs/architecture.md): imports go down, files and functions stay small, one place knows of
ranks."""

from __future__ import annotations

import ast
import importlib
import json
import pickle
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import hiertl_dist
from hiertl_dist import algebra, errors
from hiertl_dist.algebra.errors import SOLVER_ERRORS

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "hiertl_dist"

FOLDERS = (
    "errors", "units", "text", "files", "compiled", "algebra", "executors", "frames", "model", "io", "dataset",
    "evaluation", "lammps_tables", "probes", "design_matrix", "fitting", "model_selection", "uncertainty", "library",
    "jobs", "pages", "suggestion", "calculator", "stability", "properties", "active_learning", "cli",
)  # fmt: skip
"""What the package consists of, from the ground up; a module imports from its own folder and from those before it. The
package's face, ``__init__``, hands on what all of them have."""

ALONE = {
    "algebra": {"errors", "text"}, "compiled": set(), "evaluation.kernels": {"compiled"}, "io.kernels": {"compiled"}
}  # fmt: skip
"""Folders that know nothing of the package but of these."""

MOST_AT_THE_ROOT = 6

MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60
DOCUMENTED = "# long: its parameters are documented"
"""The reason of a function whose code alone is short."""

HEAVY = ("mpi4py", "distributed", "matplotlib", "pandas")
"""What ``import hiertl_dist`` leaves alone: it starts MPI, takes a second, or may not be installed."""

LATE = (*HEAVY, "ase")
"""What no module imports at its top. ASE is there all the same if it is installed, for vesin imports it."""

ADAPTERS = {("calculator",): {"ase"}}
"""Modules that subclass what belongs to a late import; the package imports them late in their turn."""

FILES = sorted(PACKAGE.rglob("*.py"))
PLACES = sorted({path.parent for path in FILES})


def names(check):
    """A test a folder, which names all files of it that fail: one a file takes longer to count than to do."""

    @pytest.mark.parametrize("folder", PLACES, ids=lambda p: str(p.relative_to(PACKAGE)))
    def of_folder(folder):
        failures = []
        for path in (p for p in FILES if p.parent == folder):
            try:
                check(path)
            except AssertionError as error:
                failures.append(f"{path.relative_to(PACKAGE)}: {error}")
        assert not failures, "\n".join(failures)

    of_folder.__name__ = check.__name__
    return of_folder


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_name(path):
    """``io/lines.py`` → ``("io", "lines")``; the package's own face is ``("__init__",)``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts


MODULES = {module_name(path): path for path in FILES}


def imported(path, node):
    """The package's modules that an import statement names, as tuples, each with its line."""
    if isinstance(node, ast.Import):
        absolute = [a.name.split(".") for a in node.names]
    else:
        base = list(path.relative_to(ROOT).parent.parts[: -(node.level - 1) or None]) if node.level else []
        base += node.module.split(".") if node.module else []
        absolute = [[*base, a.name] for a in node.names]
    for first, *rest in absolute:
        if first == PACKAGE.name:
            # "from .basis import Basis" names an attribute; "from . import clusters" a module
            found = next(m for m in (tuple(rest), tuple(rest[:-1]), ("__init__",)) if m in MODULES)
            yield found, node.lineno


def imports(path):
    """Every import of a module of the package: at the top, in functions, and for type checkers alone."""
    statements = (n for n in ast.walk(tree(path)) if isinstance(n, ast.Import | ast.ImportFrom))
    return [found for node in statements for found in imported(path, node)]


def place(module):
    """Of a module's folder in the order; the face is above all."""
    folder = FOLDERS[-1] if module == ("__init__",) else module[0]
    assert folder in FOLDERS, f"{'.'.join(module)} is in no folder of FOLDERS in this test"
    return FOLDERS.index(folder)


def functions(path):
    return [n for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


# ---- imports


def test_the_parser_of_imports_sees_every_form(monkeypatch):
    source = """
import hiertl_dist.frames.rows
from __future__ import annotations
from . import atoms_of_nothing, lines
from ..frames.frame import Frame
from hiertl_dist.evaluation.kernels import clusters
import numpy
if TYPE_CHECKING:
    from ..executors.base import Executor
def late():
    from ..jobs.fit_job import fit_job
    from .. import __version__
"""
    path = PACKAGE / "io" / "lines.py"
    monkeypatch.setitem(globals(), "tree", lambda _: ast.parse(source))
    assert imports(path) == [
        (("frames", "rows"), 2), (("io",), 4), (("io", "lines"), 4), (("frames", "frame"), 5),
        (("evaluation", "kernels", "clusters"), 6), (("executors", "base"), 9), (("jobs", "fit_job"), 11),
        (("__init__",), 12),
    ]  # fmt: skip


def test_the_folders_are_those_of_the_package():
    assert {m[0] for m in MODULES} == {*FOLDERS, "__init__"}


def test_few_modules_are_at_the_root():
    assert len([path for path in FILES if path.parent == PACKAGE]) <= MOST_AT_THE_ROOT


@names
def test_imports_go_down(path):
    here = module_name(path)
    up = [f"line {line}: {'.'.join(m)}" for m, line in imports(path) if place(m) > place(here)]
    assert not up, f"{'.'.join(here)} imports from folders above it: {up}"


def test_algebra_and_kernels_know_nothing_of_frames_and_models():
    wrong = [
        f"{'.'.join(here)}, line {line}: {'.'.join(m)}"
        for folder, known in ALONE.items()
        for here, path in MODULES.items()
        if ".".join(here).startswith(folder)
        for m, line in imports(path)
        if not ".".join(m).startswith(folder) and m[0] not in known
    ]
    assert not wrong


def test_no_module_imports_itself_in_a_circle():
    graph = {here: {m for m, _ in imports(path)} - {here} for here, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(".".join(m) for m in error.args[1]))


def test_no_folder_hands_on_a_name_that_hides_a_module():
    hidden = []
    for here, path in MODULES.items():
        if path.name == "__init__.py":
            own = () if here == ("__init__",) else here
            handed = {a.asname or a.name for n in tree(path).body if isinstance(n, ast.ImportFrom) for a in n.names}
            hidden += [(*own, name) for name in handed if (*own, name) in MODULES]
    assert not hidden
    # a module is what an import of it gives
    assert all(importlib.import_module(f"hiertl_dist.algebra.{n}") is getattr(algebra, n) for n in ("solve", "lasso"))


@names
def test_what_is_heavy_is_imported_late(path):
    inside = {id(n) for f in functions(path) for n in ast.walk(f)}
    late = {*LATE} - ADAPTERS.get(module_name(path), set())
    early = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        and id(node) not in inside
        and {n.partition(".")[0] for n in [getattr(node, "module", ""), *(a.name for a in node.names)] if n} & late
        and not getattr(node, "level", 0)
    ]
    assert not early


def test_import_of_the_package_is_light():
    late = [*HEAVY, *(".".join((PACKAGE.name, *adapter)) for adapter in ADAPTERS)]
    code = f"import sys, json, hiertl_dist; print(json.dumps([m for m in {late!r} if m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == []


# ---- what is raised

UNSEEN = "never reaches a user"
"""What a comment beside an exception says that is neither a HiertlError nor handed on."""


def exceptions():
    """The package's exceptions and warnings by the name of their module, but those that no user meets."""
    for module, path in MODULES.items():
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and UNSEEN not in lines[node.lineno - 1]:
                try:
                    kind = getattr(importlib.import_module(".".join((PACKAGE.name, *module))), node.name, None)
                except ImportError:
                    pytest.importorskip("ase")
                    raise
                if kind is None:  # a class in a function or a class, which can't be handed on
                    bases = [ast.unparse(base) for base in node.bases]
                    assert not any(b.endswith(("Error", "Exception", "Warning")) for b in bases), f"{module}: {bases}"
                elif issubclass(kind, BaseException):
                    yield kind


def test_what_is_raised_is_one_family_and_handed_on():
    found = list(exceptions())
    assert len(found) > 15
    for kind in found:
        if issubclass(kind, Warning):
            assert issubclass(kind, errors.HiertlWarning), kind
        else:
            assert issubclass(kind, errors.HiertlError), kind
            builtin = [b for b in kind.__mro__ if b.__module__ == "builtins" and b not in (Exception, BaseException)]
            assert kind is errors.HiertlError or builtin != [object], f"{kind} is no builtin"
        assert kind.__name__ in hiertl_dist.__all__, kind
        assert getattr(hiertl_dist, kind.__name__) is kind


def test_exceptions_travel_to_other_processes():
    for kind in exceptions():
        arguments = ("text", 2.5) if kind in SOLVER_ERRORS else ("text",)
        there = pickle.loads(pickle.dumps(kind(*arguments)))
        assert type(there) is kind
        assert str(there) == "text"
        assert vars(there) == vars(kind(*arguments))


# ---- one place that knows of ranks and clients


def rank_checks(source):
    """Lines that ask which process this is, or what kind of client: ``executors/`` alone may."""
    found = []
    for node in ast.walk(source):
        text = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Compare | ast.Call) else ""
        if (
            (isinstance(node, ast.Attribute) and node.attr in ("Get_rank", "Get_size"))
            or (isinstance(node, ast.Attribute) and node.attr == "rank" and "comm" in text.lower())
            or (isinstance(node, ast.Compare) and re.search(r"\brank\b.*\b0\b|\bcomm\b.*\b0\b", text))
            or (isinstance(node, ast.Call) and re.match(r"isinstance\((\w+\.)*_?client\b", text))
        ):
            found.append(f"line {node.lineno}: {text}")
    return found


@pytest.mark.parametrize(
    "text",
    ["comm.Get_rank()", "self._comm.rank", "if rank == 0: pass", "MPI.COMM_WORLD.rank", "if comm.rank != 0: pass",
     "isinstance(client, Client)", "isinstance(self.client, Client)"],
)  # fmt: skip
def test_rank_checks_are_recognised(text):
    assert rank_checks(ast.parse(text))


def test_the_rank_of_a_matrix_is_another():
    assert not rank_checks(ast.parse("solution.rank < n\nprint(linear.rank)\nf(comm=comm, client=client)"))


@names
def test_ranks_and_clients_are_the_executors_business(path):
    if module_name(path)[0] != "executors":
        assert not rank_checks(tree(path))


# ---- size and manners


@names
def test_files_are_short(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES


def lines_of(function):
    """Lines of a function from its ``def`` to its end without those of its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - (docstring.end_lineno - docstring.lineno + 1)


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("def f():\n    return 1", 2),
        ('def f():\n    """One line."""\n    return 1', 2),
        ('@cache\ndef f(\n    a,\n):\n    """Summary.\n\n    More.\n    """\n\n    b = """text\n"""\n    return b', 7),
        ('async def f():\n    a = 1\n    """no\n    docstring"""', 4),
        ('def f():\n    """Own."""\n    def g():\n        """Of\n        another."""', 4),
    ],
)
def test_lines_of_a_function_are_without_its_docstring(source, lines):
    assert lines_of(ast.parse(source).body[0]) == lines


@names
def test_functions_are_short_or_say_why(path):
    text = path.read_text(encoding="utf-8").splitlines()
    long = []
    for function in functions(path):
        first = min([function.lineno, *(d.lineno for d in function.decorator_list)])
        beside = text[max(first - 2, 0) : function.lineno]
        lines, said = function.end_lineno - function.lineno + 1, any(re.search(r"# long: \S", line) for line in beside)
        if any(DOCUMENTED in line for line in beside):
            lines, said = lines_of(function), False
        if lines > MOST_LINES_OF_A_FUNCTION and not said:
            long.append(f"{function.name}, line {function.lineno}: {lines} lines")
    assert not long, f"more than {MOST_LINES_OF_A_FUNCTION} lines without '# long: reason' at its def: {long}"


@names
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(tree(path)), "no docstring"


CHECKERS = {"lint": ["ruff", "check", "."], "format": ["ruff", "format", "--check", "."], "types": ["mypy"]}


@pytest.mark.parametrize("command", CHECKERS.values(), ids=CHECKERS)
def test_checkers_are_content(command):
    pytest.importorskip(command[0])
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
