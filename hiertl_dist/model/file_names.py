"""Names of files of results, and whether a file has that of another: whole files may be swapped, too."""

from __future__ import annotations

import re
from typing import Final

from ..frames.element_set import ElementSet
from ..units import SYMBOLS

ENDINGS: Final = (".solution.npz", ".params.txt")
"""Of the two files of a solution: all of it, and its parameters."""

COVARIANCE: Final = ".covariance.npz"
"""Of the file beside them with what the fit leaves open."""

WHOLE: Final = ("model", "all_at_once")
"""What comes before these endings where it is no block."""

_BLOCK: Final = re.compile(r"(?:[A-Z][a-z]?)+|[A-Z][a-z]?[0-9]*(?:-[A-Z][a-z]?[0-9]*)+")
"""Names of blocks of elements and of labelled elements: a bead may be called anything, and a file of a user, too."""

_ELEMENT: Final = re.compile(r"[A-Z][a-z]?")


def result_of(name: str) -> str:
    """What a file of results is of by its name: a block, or one of WHOLE; nothing if the name is any other."""
    for ending in (*ENDINGS, COVARIANCE):
        if name.endswith(ending):
            stem = name.removesuffix(ending)
            if stem in WHOLE:
                return stem
            known = _BLOCK.fullmatch(stem) and SYMBOLS.issuperset(_ELEMENT.findall(stem))
            return ElementSet.parse(stem) if known else ""
    return ""


def swapped_name(written: str, name: str) -> str:
    """What is wrong with the name of a file of results that was written by another; nothing if it is all right.

    A file may get any name; that of other results is a mistake.
    """
    before, now = result_of(written), result_of(name)
    if not before or not now or before == now:
        return ""
    return (
        f"it was written as {written}, and has the name of other results: expected those of {now}, found those of "
        f"{before}; files were swapped, or copied over one another: give it its name back, or one of its own"
    )
