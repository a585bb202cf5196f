"""Settings of Sphinx: ``python -m sphinx -W -n --keep-going docs docs/_build/html``. Nothing is fetched."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from pages_from_code import filled
from pages_from_code.references import find_reference

project = "hiertl_dist"
author = "the hiertl_dist developers"
copyright = author
try:
    release = version_of("hiertl-dist")
except PackageNotFoundError:  # a source tree that was never installed
    release = "0+unknown"

extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx_copybutton", "sphinx_design"]
exclude_patterns = ["_build", "pages_from_code", "**.ipynb_checkpoints"]

myst_enable_extensions = ["dollarmath", "colon_fence", "attrs_block"]
myst_heading_anchors = 4
os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress")  # tqdm would rather have widgets
nb_execution_mode = "cache"
nb_execution_timeout = 120
nb_execution_raise_on_error = True

autodoc_typehints = "none"  # the docstrings have types and what they mean
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "pydata_sphinx_theme"
html_title = "hiertl_dist"
html_theme_options = {
    "header_links_before_dropdown": 6,
    "show_prev_next": False,
    "navigation_with_keys": False,
    # none beside tutorials: what commands print is wide
    "secondary_sidebar_items": {f"{part}*": ["page-toc"] for part in ("", "api/", "clusters/", "howto/", "reference/")},
    "navbar_align": "left",
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_sidebars = {"index": []}
copybutton_exclude = ".linenos, .gp, .go"


def fill(app: Any, docname: str, source: list[str]) -> None:
    """Put generated parts into a page as it is read."""
    page = Path(app.env.doc2path(docname))
    if page.suffix == ".md":
        source[0] = filled(source[0], page)


def setup(app: Any) -> None:
    """Connect to Sphinx."""
    app.connect("source-read", fill)
    app.connect("missing-reference", find_reference)
