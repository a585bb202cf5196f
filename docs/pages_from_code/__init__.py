"""Parts of pages that are made of the code, and pages that are files from elsewhere in the repository.

A line ``% generated: NAME`` of a page is replaced by what NAME gives, and ``% whole: ../FILE.md`` by that file. All of
it is Markdown, so that the tests can look at it without Sphinx.
"""

from __future__ import annotations

import re
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from .api import api_section, api_titles
from .commands import command_reference, command_table
from .errors import error_reference, exit_codes
from .inputs import input_reference
from .results import result_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DOCS: Final = Path(__file__).resolve().parents[1]
ROOT: Final = DOCS.parent

PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "input reference": input_reference,
    "command table": command_table,
    "command reference": command_reference,
    "errors": error_reference,
    "exit codes": exit_codes,
    "json results": result_reference,
    **{f"api: {title}": (lambda title=title: api_section(title)) for title in api_titles()},
}

MARK: Final = re.compile(r"^% (generated|whole): (.+)$", flags=re.M)
LINK: Final = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")

PAGES: Final = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks": "benchmarks.md",
    "benchmarks/README.md": "benchmarks.md",
    "deploy": "clusters/index.md",
    "deploy/README.md": "clusters/index.md",
    "deploy/local/README.md": "clusters/local.md",
    "deploy/slurm/README.md": "clusters/slurm.md",
    "deploy/kubernetes/README.md": "clusters/kubernetes.md",
    "deploy/container/README.md": "clusters/container.md",
    "deploy/conda/README.md": "clusters/conda.md",
    "hiertl_dist/algebra/dlars.md": "howto/dlars.md",
    "hiertl_dist/data/cn_pbe.README.md": "shipped_data.md",
}
"""Files of the repository that are pages of the site, or say there what a page says."""


def filled(text: str, page: Path) -> str:
    """The text of a page with its parts, and with links that lead to pages of the site or nowhere.

    Raises
    ------
    KeyError
        There is no part of a name.
    """
    text = _linked(text, page, page)
    return MARK.sub(lambda mark: _part(mark[1], mark[2].strip(), page), text)


def _part(kind: str, name: str, page: Path) -> str:
    if kind == "generated":
        return PARTS[name]()
    file = (page.parent / name).resolve()
    return _linked(file.read_text(encoding="utf-8"), file, page)


def _linked(text: str, file: Path, page: Path) -> str:
    """A text of a file with its links as they are from a page; what is no page is named and not linked to."""

    def replaced(link: re.Match[str]) -> str:
        path, hash_sign, anchor = unquote(link[2]).partition("#")
        if re.match(r"[a-z]+:", link[2]) or not path:
            return link[0]
        target = (file.parent / path).resolve()
        inside = target.relative_to(ROOT).as_posix() if target.is_relative_to(ROOT) else ""
        if inside in PAGES:
            target = DOCS / PAGES[inside]
        elif not target.is_relative_to(DOCS):
            return link[1] if "`" in link[1] else f"`{link[1]}`"
        return f"[{link[1]}]({relpath(target, page.parent)}{hash_sign}{anchor})"

    blocks = re.split(r"(^```.*?^```[^\n]*$)", text, flags=re.M | re.S)
    return "".join(block if i % 2 else LINK.sub(replaced, block) for i, block in enumerate(blocks))
