"""What a ChIMES parameter file says, section by section, with the lines where it says it.

:mod:`.params_scan` fills these from text, :mod:`.params_read` turns them into ``Parameters``; the words of
the format that reader and writer share are here too.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from ..errors import ParameterFileError
from ..model.basis import Cutoff, Elements, edges_of

if TYPE_CHECKING:
    from collections.abc import Sequence

NOTE: Final = "! hiertl_dist "
WRITTEN_BY: Final = "! Written by hiertl_dist"
"""Starts the comment lines in which this package keeps what the format has no place for."""

LONGEST: Final = 200
"""Characters of what a message says was found."""

SECTION_OF_BODY: Final = {3: "TRIPLETTYPE PARAMS:", 4: "QUADRUPLETYPE PARAMS:"}
COUNT_OF_BODY: Final = {3: "ATOM PAIR TRIPLETS:", 4: "ATOM PAIR QUADRUPLETS:"}
TRANSFORM_OF: Final = {"MORSE": "MORSE", "INVRSE_R": "INVRSE_R", "DEFAULT": "DEFAULT", "NONE": "DEFAULT"}


KEYWORD_LIKE: Final = re.compile(
    r"(?i:PAIRTYP|TYPEIDX|PAIRIDX|ATOM (TYPES|PAIR)|S_M(AX|IN)IM|SPECIAL [1-4]B|FCUT|TRIPLET|QUADRUPLET|"
    r"(PAIR|TRIP|QUAD)MAPS|ENERGY OFFSET|EXCLD?[12]B|PENALTY (DIST|SCALING)|CHEBYSHEV (PARAMS|PENALTY|CUBIC)|"
    r"(USE|FIT)(COUL|POVR|[0-9]BCH)|^(UNIQUE|INDEX|ATOMS|PAIRS):|^ENDFILE)|"
    r"^(USE|FIT|EXCL|PAIR|ATOM|TRIP|QUAD|SPECIAL|NO |ENERGY)[A-Z0-9_ ]*:"
)
"""What a line of the format may look like, misspelt or unknown to this package, and captured output does not."""


class Row(NamedTuple):
    """One coefficient: its line, its powers (two-body: index k of the file, for T_(k+1)), its value."""

    line: int
    powers: tuple[int, ...]
    value: float


class PairRow(NamedTuple):
    """One line of ATOM PAIRS; cutoffs and λ in Å."""

    line: int
    atoms: tuple[str, str]
    rmin: float
    rmax: float
    transform: str
    morse_lambda: float | None


class Special(NamedTuple):
    """Cutoffs (Å) of one cluster type per pair of elements, or of a whole body (``elements`` is None)."""

    line: int
    body: int
    side: str
    elements: Elements | None
    values: dict[Elements, float]
    everywhere: float


class Section(NamedTuple):
    """The parameters of one cluster type: its atoms in the order of the file, and its rows."""

    line: int
    atoms: tuple[str, ...]
    excluded: bool
    rows: list[Row]


class Note(NamedTuple):
    """One of this package's own comment lines."""

    line: int
    words: list[str]


@dataclass
class Sections:
    """Everything that a parameter file says, not yet checked against itself."""

    path: str
    orders: tuple[int, int, int] = (0, 0, 0)
    elements: list[str] = field(default_factory=list)
    pairs: list[PairRow] = field(default_factory=list)
    cutoff: Cutoff = field(default_factory=Cutoff)
    penalty: dict[str, float] = field(default_factory=dict)
    specials: list[Special] = field(default_factory=list)
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    switches: dict[int, bool] = field(default_factory=dict)
    types: dict[int, list[Section]] = field(default_factory=lambda: {2: [], 3: [], 4: []})
    offsets: dict[int, Row] = field(default_factory=dict)
    excluded: dict[int, dict[int, int]] = field(default_factory=lambda: {1: {}, 2: {}})
    notes: dict[str, list[Note]] = field(default_factory=dict)
    masses: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    checksum_fault: str = ""
    """What the checksum that the package writes into its files says against this one."""

    complete: bool = False
    """Whether the package wrote the file, which leaves out no line that others may."""

    def doubt(self, line: int, expected: str, found: str, taken: str) -> None:
        """What others may leave out: a remark says what was taken; of a file of the package, an error."""
        if self.complete:
            self.fail(line, expected, found)
        self.remarks.append(f"{self.path}: expected {expected}, found {found}; {taken}")

    def fail(self, line: int, expected: str, found: object) -> NoReturn:
        """Raise ParameterFileError naming the file and the line."""
        text = str(found)
        text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
        raise ParameterFileError(f"{self.path}, line {line}: expected {expected}, found {text}")


def edge_map(order: Sequence[int]) -> list[int]:
    """Where each edge comes from when the atoms are taken in another order: ``new[e] = old[map[e]]``."""
    edges = edges_of(len(order))
    return [edges.index((min(order[a], order[b]), max(order[a], order[b]))) for a, b in edges]


@lru_cache(maxsize=64)
def edge_permutations(pattern: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Edge maps of the permutations of atoms within an element, in chimes_lsq's order (lexicographic)."""
    orders = itertools.permutations(range(len(pattern)))
    return tuple(tuple(edge_map(o)) for o in orders if tuple(pattern[atom] for atom in o) == pattern)
