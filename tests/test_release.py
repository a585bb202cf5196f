"""Packages: what is in them, whether version and dependencies are the same wherever they are written."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from test_architecture import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RECIPE = ROOT / "deploy" / "conda" / "recipe.yaml"
CONDA_NAMES = {"dask": "dask-core"}
"""What conda-forge calls a package otherwise than PyPI does; its ``dask`` brings what this package has no use for."""

needs_release_tools = pytest.mark.skipif(
    "HIERTL_RELEASE" not in os.environ, reason="a minute, and PyPI; HIERTL_RELEASE=1 has the packages built"
)


def run(*words, **options):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def program(name):
    """A program of the environment of this Python, which need not be on PATH, or else of PATH."""
    beside = Path(sys.executable).with_name(name)
    return beside if beside.exists() else shutil.which(name) or name


def test_one_version_everywhere():
    version = PROJECT["version"]
    found = {
        "CITATION.cff": re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), flags=re.M)[
            1
        ],
        "recipe.yaml": re.search(r'^  version: "(.+)"$', RECIPE.read_text(encoding="utf-8"), flags=re.M)[1],
    }
    assert set(found.values()) == {version}, found
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_dependencies_of_the_conda_recipe_are_those_of_the_project():
    text = RECIPE.read_text(encoding="utf-8")
    run_time = text[text.index("  run:\n") : text.index("\ntests:")]
    recipe = {m[1]: m[2].strip() for m in re.finditer(r"^    - ([\w-]+)(.*)$", run_time, flags=re.M)}
    assert recipe.pop("python") == ">=${{ python_min }}"
    wanted = dict(re.fullmatch(r"([\w-]+)(.*)", d).groups() for d in PROJECT["dependencies"])
    assert recipe == {CONDA_NAMES.get(name, name): limit for name, limit in wanted.items()}
    lowest = re.search(r'python_min: "(.+)"', text)[1]
    assert f">={lowest}" == PROJECT["requires-python"]


def test_the_recipe_is_one_that_rattler_build_reads():
    rattler_build = pytest.importorskip("rattler_build", reason="py-rattler-build is not installed")
    recipe = rattler_build.Stage0Recipe.from_file(str(RECIPE))
    (only,) = recipe.render(rattler_build.VariantConfig.from_yaml("python:\n  - '3.12'\n"))
    assert only.recipe.to_dict()["package"]["version"] == PROJECT["version"]


def test_pythons_that_are_named_are_those_that_are_allowed():
    named = [
        m[1] for c in PROJECT["classifiers"] if (m := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", c))
    ]
    assert f">={named[0]}" == PROJECT["requires-python"]
    minors = [int(version.split(".")[1]) for version in named]
    assert minors == list(range(minors[0], minors[-1] + 1))


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clean clone, of which everything is made."""
    clone = tmp_path_factory.mktemp("release") / "clone"
    run("git", "clone", "--quiet", ROOT, clone)
    return clone


@pytest.fixture(scope="module")
def built(clone):
    """Wheel and sdist, the wheel made from the sdist; hatchling is fetched for them where it is not installed."""
    here = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    run(sys.executable, "-m", "build", *here, "--outdir", clone.parent / "dist", clone)
    return sorted((clone.parent / "dist").iterdir())


@pytest.fixture(scope="module")
def empty(clone):
    """The folder of programs of an environment in which nothing is installed."""
    run(sys.executable, "-m", "venv", clone.parent / "empty")
    return clone.parent / "empty" / "bin"


# each a test of its own: pytest ends one that takes five minutes, and a machine at work needs most of that for some


@needs_release_tools
def test_the_manifest_is_whole(clone):
    run(sys.executable, "-m", "check_manifest", clone)


@needs_release_tools
def test_packages_are_built_and_whole(built):
    assert [path.suffix for path in built] == [".whl", ".gz"]
    run(sys.executable, "-m", "twine", "check", "--strict", *built)
    run(program("check-wheel-contents"), built[0])
    with zipfile.ZipFile(built[0]) as wheel:
        names = wheel.namelist()
    assert "hiertl_dist/py.typed" in names
    assert {name.split("/")[0] for name in names} == {"hiertl_dist", f"hiertl_dist-{PROJECT['version']}.dist-info"}


@needs_release_tools
def test_dependencies_install_in_an_empty_environment(empty):
    run(empty / "pip", "install", "--quiet", "--no-compile", *PROJECT["dependencies"])


@needs_release_tools
def test_the_wheel_works_with_its_dependencies_alone(built, empty, tmp_path):
    run(empty / "pip", "install", "--quiet", "--no-compile", built[0])
    elsewhere = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}  # the wheel, and not this tree
    said = run(empty / "hiertl-dist", "--version", cwd=tmp_path, env=elsewhere)
    assert said.split() == ["hiertl-dist", PROJECT["version"]]
    run(empty / "pip", "check")


@needs_release_tools
def test_the_citation_is_valid():
    if importlib.util.find_spec("cffconvert") is None:
        pytest.skip("cffconvert is not installed")
    run(program("cffconvert"), "--validate", "-i", ROOT / "CITATION.cff")
