"""What docs/ says of the code: paths and links are there, numbers are those of the code, folders stand as shown."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from doc_pages import MARK, PARTS
from test_architecture import MODULES, PACKAGE, ROOT, imports

from hiertl_dist import Basis, blocks_of

PAGES = sorted(p for p in (ROOT / "docs").rglob("*.md") if not {"_build", "jupyter_execute"} & set(p.parts))
LINKED = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
THEORY = ROOT / "docs" / "theory.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"

DOCS = [ARCHITECTURE, THEORY]
"""Pages that say which module does what."""

docs = pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
pages = pytest.mark.parametrize("path", LINKED, ids=lambda p: str(p.relative_to(ROOT)))
PATHS = re.compile(r"`((?:hiertl_dist|tests|benchmarks|deploy|docs)/[^`\s]*)`")
LINKS = re.compile(r"\]\(([^)\s]+)\)")
NUMBERS = re.compile(r"`([\w.\[\]\"]+)` = ([-+.\de]*\d)")
MOST = {"AAA": 3, "AAB": 3, "ABC": 3, "AAAA": 4, "AAAB": 4, "AABB": 4, "AABC": 4, "ABCD": 4}


def prose(path):
    """The text without its blocks of code, in which brackets and quotes are no Markdown."""
    return re.sub(r"^```.*?^```", "", text_of(path), flags=re.M | re.S)


@cache
def text_of(path):
    """A page as the site has it: with what is made of the code, links as they stand in the repository."""
    text = path.read_text(encoding="utf-8")
    parts = MARK.sub(lambda mark: PARTS[mark[2].strip()]() if mark[1] == "generated" else "", text)
    whole = [path.parent / mark[2].strip() for mark in MARK.finditer(text) if mark[1] == "whole"]
    # links of a file that is a page as a whole are looked at where that file is
    return parts + "".join(re.sub(LINKS, "", file.read_text(encoding="utf-8")) for file in whole)


def rows_of_tables(text):
    """Tables as lists of rows of cells, headings first."""
    tables, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            cells = [c.strip().replace(r"\|", "|") for c in re.split(r"(?<!\\)\|", line)[1:-1]]
            rows += [] if set("".join(cells)) <= set("-: ") else [cells]
        elif rows:
            tables.append(rows)
            rows = []
    return tables


def table(path, first):
    """The rows of the table whose first heading is this one."""
    (found,) = (rows[1:] for rows in rows_of_tables(path.read_text(encoding="utf-8")) if rows[0][0] == first)
    return found


def anchors(path):
    """What GitHub makes of the headings."""
    headings = [h.replace("\\", "") for h in re.findall(r"^#+ (.+)$", prose(path), flags=re.M)]
    named = set(re.findall(r"^\((.+)\)=$", prose(path), flags=re.M))
    return named | {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_there_are_documents():
    assert {THEORY, ARCHITECTURE} <= set(PAGES)
    assert len(PAGES) > 30


@pages
def test_paths_exist(path):
    found = set(PATHS.findall(path.read_text(encoding="utf-8")))
    assert found or path not in DOCS
    gone = sorted(p for p in found if not (ROOT / p).exists())
    assert not gone, f"{path.name} names what is not there: {gone}"


@pages
def test_relative_links_resolve(path):
    wrong = []
    for link in LINKS.findall(prose(path)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = unquote(link).partition("#")
        target = path.parent / file if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert not wrong


@pages
def test_external_links_are_secure(path):
    links = [link for link in LINKS.findall(prose(path)) if re.match(r"[a-z]+:", link)]
    assert [link for link in links if not link.startswith("https://")] == []


@pytest.mark.parametrize(("name", "value", "_unit", "module"), table(THEORY, "name"), ids=lambda cell: cell[:40])
def test_numbers_are_those_of_the_code(name, value, _unit, module):
    dotted = module.strip("`").removesuffix(".py").replace("/", ".")
    found = eval(name.strip("`"), vars(importlib.import_module(dotted)))
    assert found == ast.literal_eval(value)


@docs
def test_numbers_in_the_text_are_those_of_the_table(path):
    known = {row[0].strip("`"): ast.literal_eval(row[1]) for row in table(THEORY, "name")}
    found = NUMBERS.findall(path.read_text(encoding="utf-8"))
    assert found or path != THEORY
    assert [(name, value) for name, value in found if known.get(name) != float(value)] == []


def counted(pattern, order):
    """Columns of a cluster type such as AAB, whose elements are the first ones of C, N, O, H."""
    elements = sorted({"A": "C", "B": "N", "C": "O", "D": "H"}[letter] for letter in pattern)
    body = len(elements)
    orders = [0, order * (body == 3), order * (body == 4)]
    pairs = {"".join(p): PAIR for p in itertools.combinations_with_replacement(sorted(set(elements)), 2)}
    basis = Basis.from_dict({"elements": sorted(set(elements)), "orders": orders, "pairs": pairs, "one_body": False})
    kind = basis.type_named(elements)
    (own,) = (s for b in blocks_of(basis) for t, s in b.spans() if t == kind)
    return own.stop - own.start


PAIR = {"rmin": 1.0, "rmax": 4.0, "lambda": 1.5}


def test_columns_of_types_are_as_said():
    tables = [t for t in rows_of_tables(THEORY.read_text(encoding="utf-8")) if t[0][0] == "order"]
    said = {
        (pattern, int(row[0])): int(cell)
        for (_, *patterns), *rows in tables for row in rows for pattern, cell in zip(patterns, row[1:], strict=True)
    }  # fmt: skip
    assert {pattern for pattern, _ in said} == set(MOST)
    assert said == {key: counted(*key) for key in said}


def test_columns_of_a_hierarchy_are_as_said():
    elements = ["C", "H", "N", "O"]
    found = []
    for count in range(1, 5):
        own = elements[:count]
        pairs = {a + b: PAIR for a, b in itertools.combinations_with_replacement(own, 2)}
        blocks = blocks_of(Basis.from_dict({"elements": own, "orders": [25, 10, 4], "pairs": pairs}))
        sizes = [b.n_columns for b in blocks]
        found.append([str(count), str(sum(sizes)), str(max(sizes))])
    assert found == table(THEORY, "elements")


def folders():
    """The package's folders and modules in the order of docs/architecture.md, by the name that an import has."""
    return [Path(row[0].strip("`")).stem for row in table(ARCHITECTURE, "folder")]


def test_every_folder_is_shown():
    there = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert sorted(folders()) == sorted(there - {"__init__", "__main__"})


def test_folders_import_from_those_above_them_in_the_table():
    place = {name: i for i, name in enumerate(folders())}
    wrong = [
        f"{'.'.join(here)}, line {line}: {'.'.join(there)}"
        for here, path in MODULES.items() for there, line in imports(path)
        if here[0] in place and there[0] in place and place[there[0]] > place[here[0]]
    ]  # fmt: skip
    assert not wrong


def test_the_check_of_imports_sees_the_package():
    assert any(here[0] == "fitting" and there[0] == "algebra" for here, p in MODULES.items() for there, _ in imports(p))


def test_names_are_in_the_modules_said():
    said = re.findall(r"`(\w+)` (?:of|in)\s`(hiertl_dist/[^`]+\.py)`", prose(ARCHITECTURE) + prose(THEORY))
    assert len(said) > 5
    gone = [
        (name, path) for name, path in said
        if not re.search(rf"^(def |class |){name}\b", (ROOT / path).read_text(encoding="utf-8"), flags=re.M)
    ]  # fmt: skip
    assert not gone


def test_references_are_cited_and_there():
    text = prose(THEORY)
    cited = {int(n) for group in re.findall(r"\[(\d+(?:, \d+)*)\](?!\()", text) for n in group.split(", ")}
    listed = [int(n) for n in re.findall(r"^(\d+)\. ", text.partition(". References\n")[2], flags=re.M)]
    assert listed == list(range(1, len(listed) + 1))
    assert cited == set(listed)
