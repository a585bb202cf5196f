"""Names that have changed: what is said, and that they are gone when they were said to be."""

from __future__ import annotations

import ast
import tomllib

import pytest
from test_architecture import ROOT

from hiertl_dist.errors import HiertlWarning, RenamedWarning
from hiertl_dist.text.renaming import renaming


def number(version):
    return tuple(int(part) for part in version.split("."))


def renamings():
    """Where the package says that a name has changed, and the version in which the old one is gone."""
    for path in sorted((ROOT / "hiertl_dist").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "renaming":
                gone = next(k.value for k in node.keywords if k.arg == "gone_in")
                assert isinstance(gone, ast.Constant), f"{path}, line {node.lineno}: a version as a literal"
                yield f"{path.relative_to(ROOT)}, line {node.lineno}", gone.value


def overdue(found, version):
    return [where for where, gone_in in found if number(gone_in) <= number(version)]


def test_old_names_are_gone_when_they_were_said_to_be():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    found = list(renamings())
    assert found, "the sentence is used"
    assert overdue(found, version) == []
    assert overdue(found, "1.0.0") == [where for where, _ in found]


def test_the_sentence_names_both_and_the_version():
    assert renaming("f: a=", "b=", gone_in="0.2") == "f: a= is now called b=; version 0.2 will not know the old name"


def test_the_warning_is_shown_to_users_and_is_of_the_package():
    assert issubclass(RenamedWarning, HiertlWarning)
    assert issubclass(RenamedWarning, FutureWarning), "which Python shows by default, unlike DeprecationWarning"
    with pytest.raises(ValueError, match="invalid literal"):
        number("next")
