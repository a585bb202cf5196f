"""The comment of a parameter file in which the package keeps the checksum of its lines, and the name it was written by.

ChIMES programs pass over it, as over any comment. Comments of others, blanks at the ends of lines and the kind of line
ends do not count, so that a note may be added and a file may travel.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from ..model.file_names import swapped_name
from .params_sections import NOTE, WRITTEN_BY

if TYPE_CHECKING:
    from collections.abc import Sequence

BEGIN: Final = "! Checksum of the lines of "
THIS_FILE: Final = "this file"
_WHOLE: Final = re.compile(re.escape(BEGIN) + r"(\S+|this file): sha256 ([0-9a-f]{64})")


def checksum_line(lines: Sequence[str], name: str) -> str:
    """The comment for a file of these lines and this name."""
    return f"{BEGIN}{name}: sha256 {_checksum(lines)}"


def checksum_fault(lines: Sequence[str], name: str) -> str:
    """What a file's checksum says against its lines or its name; nothing if it agrees or there is none."""
    own = [line.rstrip() for line in lines if line.startswith(BEGIN)]
    if not own:
        return ""
    whole = _WHOLE.fullmatch(own[0])
    if len(own) > 1 or whole is None:
        return f"expected one line {BEGIN!r}… with a SHA-256, found {len(own)}, the first {own[0][:120]!r}; {_EDITED}"
    if (found := _checksum(lines)) != whole[2]:
        return f"expected lines of SHA-256 {whole[2]}, as its comment says, found {found}; {_EDITED}"
    return swapped_name(whole[1], name)


_EDITED: Final = (
    "the file is damaged, or was edited: copy it back or write it again; if it was edited on purpose, delete its line "
    f"{BEGIN!r}…"
)


def _checksum(lines: Sequence[str]) -> str:
    counted = [line.rstrip() for line in lines if not _is_plain_comment(line)]
    while counted and not counted[-1]:
        counted.pop()
    return hashlib.sha256("\n".join(counted).encode()).hexdigest()


def _is_plain_comment(line: str) -> bool:
    return line.startswith("!") and not line.startswith((NOTE, WRITTEN_BY))
