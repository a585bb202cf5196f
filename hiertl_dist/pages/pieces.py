"""What a page consists of: sections of texts, tables and figures, before it is known how they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Tone = Literal["plain", "note", "warning", "absent"]


@dataclass(frozen=True)
class Text:
    """A paragraph; of tone ``absent`` where it says what is not there."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of texts and numbers.

    Attributes
    ----------
    name : str
        Of its files.
    caption : str
        What it shows, with units that its header does not have.
    header : tuple of str
        Titles of the columns.
    rows : sequence of tuple
        Texts, integers and floats; NaN is what is not there.
    marked : frozenset of int
        Numbers of rows that stand out, such as that of the chosen model.
    sorts : bool
        Whether titles of columns sort it.
    folded : bool
        Whether it shows on demand alone, and not on paper.
    """

    name: str
    caption: str
    header: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    marked: frozenset[int] = frozenset()
    sorts: bool = True
    folded: bool = False


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture.

    Attributes
    ----------
    caption : str
        What it shows.
    alt : str
        The same for who cannot see it, with its main numbers.
    svg : bytes
        The picture.
    """

    caption: str
    alt: str
    svg: bytes


Piece = Text | Table | Figure


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a page with a title of its own."""

    name: str
    title: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, eq=False)
class Page:
    """All of a report."""

    title: str
    summary: tuple[Piece, ...]
    sections: tuple[Section, ...]

    @property
    def tables(self) -> list[Table]:
        """All of its tables."""
        pieces = (*self.summary, *(p for s in self.sections for p in s.pieces))
        return [p for p in pieces if isinstance(p, Table)]

    def texts(self, tone: Tone) -> list[str]:
        """What its sections say in a tone."""
        return [p.text for s in self.sections for p in s.pieces if isinstance(p, Text) and p.tone == tone]
