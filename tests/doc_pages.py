"""The parts of the site that are made of the code, and blocks of code of its pages."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))

from pages_from_code import MARK, PARTS, filled
from pages_from_code.commands import commands
from pages_from_code.errors import ADVICE, errors, exit_code_of

__all__ = ["ADVICE", "MARK", "PARTS", "blocks", "commands", "errors", "exit_code_of", "filled"]


def blocks(path, *languages):
    """(line, language, text) of each block of code in these languages of a page."""
    found, text = [], path.read_text(encoding="utf-8")
    for block in re.finditer(r"^```(?:\{code-cell\} )?([\w{}-]*)[^\n]*\n(.*?)^```", text, flags=re.M | re.S):
        if block[1] in languages:  # a notebook has tags above the code
            found.append((text.count("\n", 0, block.start()) + 1, block[1], re.sub(r"^:tags:.*\n", "", block[2])))
    return found
