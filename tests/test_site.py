"""The documentation site: built from a clean clone without a warning, notebooks executed, links that lead somewhere."""

from __future__ import annotations

import faulthandler
import os
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from test_architecture import ROOT

pytestmark = pytest.mark.skipif(
    "HIERTL_SITE" not in os.environ, reason="three CPU minutes; HIERTL_SITE=1 has the site built"
)
LIMIT = 1500
"""Seconds, of a machine at work with other things."""


class Page(HTMLParser):
    """Names of places in a page, and what it links to."""

    def __init__(self, text):
        super().__init__()
        self.places, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.places |= {given[k] for k in ("id", "name") if given.get(k)}
        self.links += [given[k] for k in ("href", "src") if given.get(k)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site."""
    pytest.importorskip("sphinx")
    faulthandler.cancel_dump_traceback_later()  # pytest's is for tests that hang; this has a limit of its own
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder / "clone")], check=True)
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "-q", "docs", "docs/_build/html"]
    own = os.environ | {"PYTHONPATH": str(folder / "clone")}
    done = subprocess.run(
        command, cwd=folder / "clone", capture_output=True, text=True, timeout=LIMIT, check=False, env=own
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "clone" / "docs" / "_build" / "html"


def test_the_site_builds_without_a_warning_and_runs_its_notebooks(site):
    tutorials = [p for p in (site / "tutorials").glob("*.html") if p.stem != "index"]
    assert len(tutorials) == 5
    for page in tutorials:
        assert "cell_output" in page.read_text(encoding="utf-8"), page.name


def test_links_lead_to_pages_and_places_that_are_there(site):
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
             if "_static" not in path.parts}  # fmt: skip
    wrong, seen = [], 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            seen += 1
            place = unquote(parts.fragment)
            if not target.exists() or (place and target in pages and place not in pages[target].places):
                wrong.append((path.name, link))
    assert seen > 1000
    assert not wrong, wrong[:20]
