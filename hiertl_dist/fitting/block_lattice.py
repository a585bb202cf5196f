"""``BlockLattice``: every block of a basis, what it stands upon, which frames inform it, and what a fit makes of it.

It is made by :func:`~hiertl_dist.fitting.lattice_rows.block_lattice`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError
from ..frames.element_set import ElementSet
from ..text.display import Card, Shown, listed, table_text
from ..text.words import count_text
from .lattice_drawing import drawing, graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FITTED: Final = "fitted"
TOGETHER: Final = "fitted with a larger block"
FROZEN: Final = "frozen"
MIXED: Final = "mixed"
ZERO: Final = "zero"
LEFT_OUT: Final = "left out"
NEEDS_FRAMES: Final = "needs frames"
ABSENT: Final = "not in the basis"
WAYS: Final = (FITTED, TOGETHER, FROZEN, MIXED, ZERO, LEFT_OUT, NEEDS_FRAMES, ABSENT)
WITH_TERMS: Final = (FITTED, TOGETHER, FROZEN, MIXED)

MOST_ROWS: Final = 40
"""Of a table for people; of a larger lattice blocks of a level that go the same way, without frames, share a row."""

MOST_LOWER: Final = 6
"""Names of lower blocks in a row; of more their number."""


@dataclass(frozen=True)
class LatticeRow:
    """One block of a lattice.

    Attributes
    ----------
    block : ElementSet
        Its elements.
    types : tuple of str
        Its cluster types.
    columns : int
        How many coefficients they have; those of the frozen model, if the block is frozen.
    stands_on : tuple of ElementSet
        Lower blocks of the model that are there before it; without those that are fitted together with it.
    frames : int or None
        Frames of exactly its elements; ``None`` where no frames were given.
    used_frames : int or None
        Frames that its fit uses; 0 of a block that is not fitted.
    way : str
        What happens to it, one of :data:`WAYS`: ``mixed`` is made of lower blocks, ``zero`` is zero on purpose, ``left
        out`` is in no model, and ``needs frames`` makes a climb refuse.
    detail : str
        The file that it is frozen from, the block that it is fitted with, or why.
    """

    block: ElementSet
    types: tuple[str, ...]
    columns: int
    stands_on: tuple[ElementSet, ...]
    frames: int | None
    used_frames: int | None
    way: str
    detail: str = ""

    @property
    def level(self) -> int:
        """How many elements it has."""
        return len(self.block.elements)

    @property
    def what(self) -> str:
        """What happens to it, in words."""
        if self.way == TOGETHER:
            return f"fitted with {self.detail}"
        if self.way == FROZEN:
            return f"frozen: {self.detail}"
        said = "mixed of lower blocks" if self.way == MIXED else self.way
        return f"{said}, {self.detail}" if self.detail else said


def lattice_card(lattice: BlockLattice) -> Card:
    """A lattice: its summary, and a row for each block."""
    rows = tuple((r.block.name, *_cells(r)) for r in lattice.rows)
    return Card(f"BlockLattice of {lattice.summary()}", (), HEADER, rows)


HEADER: Final = ("block", "elements", "types", "columns", "frames", "stands on", "what happens")


@dataclass(frozen=True, eq=False, repr=False)
class BlockLattice(Shown, card=lattice_card):
    """All blocks of a basis up to its body order, small sets first.

    Attributes
    ----------
    rows : tuple of LatticeRow
        A block each: those of the basis, those that elements and body order would allow and the basis lacks, and those
        of frozen models.
    problem_columns : int
        Free columns of the largest fit.
    all_at_once : bool
        Whether all are fitted together.
    """

    rows: tuple[LatticeRow, ...]
    problem_columns: int
    all_at_once: bool = False

    def __getitem__(self, block: str) -> LatticeRow:
        wanted = ElementSet.parse(block)
        for row in self.rows:
            if row.block == wanted:
                return row
        raise InputError(f"lattice: no block {wanted}; there are {listed([r.block for r in self.rows], 20)}")

    def of_way(self, way: str) -> list[ElementSet]:
        """The blocks to which something happens.

        Parameters
        ----------
        way : str
            One of :data:`WAYS`.

        Returns
        -------
        list of ElementSet
            Small sets first.
        """
        return [r.block for r in self.rows if r.way == way]

    @property
    def columns(self) -> int:
        """Coefficients of all blocks that have any in the model."""
        return sum(r.columns for r in self.rows if r.way in WITH_TERMS)

    def summary(self) -> str:
        """The lattice in one line.

        Returns
        -------
        str
            How many blocks, what happens to them, columns.
        """
        ways = ", ".join(f"{n} {w}" for w in WAYS if (n := sum(r.way == w for r in self.rows)))
        elements = ElementSet.union(r.block for r in self.rows).elements
        return (
            f"{count_text(len(self.rows), 'block')} of {count_text(len(elements), 'element')}: {ways}; "
            f"{count_text(self.columns, 'column')}, {self.problem_columns} in the largest fit"
        )

    def text(self) -> str:
        """For people.

        Returns
        -------
        str
            A table, a drawing of the levels, and the summary.
        """
        rows = _rows_for_people(self.rows)
        drawn = drawing([(r.block, r.way, r.columns) for r in self.rows], WAYS)
        return "\n".join([table_text(HEADER, rows), "", drawn, "", self.summary()])

    def dot(self) -> str:
        """For Graphviz (``dot -Tpdf``).

        Returns
        -------
        str
            A directed graph: an edge from each block to those just below it.
        """
        return graph([(r.block, r.way, r.columns) for r in self.rows], WAYS)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it back.

        Returns
        -------
        dict from str to object
            By block what its row has, and the attributes.
        """
        rows = {r.block.name: {**asdict(r), "level": r.level} for r in self.rows}
        for row in rows.values():
            del row["block"]
        return {
            "blocks": rows, "problem_columns": self.problem_columns, "all_at_once": self.all_at_once,
            "columns": self.columns,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> BlockLattice:
        """The lattice of :meth:`as_dict`.

        Parameters
        ----------
        table : Mapping from str to object
            As :meth:`as_dict` gives it, or as JSON does.

        Returns
        -------
        BlockLattice
            An equal one.
        """
        rows = tuple(
            LatticeRow(
                ElementSet.parse(name), tuple(own["types"]), own["columns"],
                tuple(map(ElementSet.parse, own["stands_on"])), own["frames"], own["used_frames"], own["way"],
                own["detail"],
            )
            for name, own in table["blocks"].items()
        )  # fmt: skip
        return cls(rows, table["problem_columns"], table["all_at_once"])


def _cells(row: LatticeRow) -> tuple[Any, ...]:
    lower = " ".join(row.stands_on) if len(row.stands_on) <= MOST_LOWER else f"{len(row.stands_on)} blocks"
    frames: int | str = "any" if row.frames is None else row.frames
    if row.used_frames and row.used_frames != row.frames:
        frames = f"{row.frames}, used {row.used_frames}"
    return row.level, len(row.types), row.columns, frames, lower or "–", row.what


def _rows_for_people(rows: Sequence[LatticeRow]) -> list[tuple[Any, ...]]:
    """Cells of a table; of many blocks those that are alike, and no frame informs, share a row."""
    if len(rows) <= MOST_ROWS:
        return [(r.block, *_cells(r)) for r in rows]
    alike: dict[tuple[Any, ...], list[LatticeRow]] = {}
    for row in rows:
        informed = row.frames or row.used_frames
        key = (row.level, row.block) if informed else (row.level, row.what, len(row.stands_on))
        alike.setdefault(key, []).append(row)
    return [_cells_of_alike(own) for own in alike.values()]


def _cells_of_alike(rows: Sequence[LatticeRow]) -> tuple[Any, ...]:
    first = rows[0]
    level, types, _, frames, lower, what = _cells(first)
    if len(rows) == 1:
        return first.block, *_cells(first)
    counts = {r.columns for r in rows}
    columns = f"{min(counts)} … {max(counts)} each" if len(counts) > 1 else f"{first.columns} each"
    lower = f"{len(first.stands_on)} blocks" if first.stands_on else lower
    return f"{len(rows)} as {first.block}", level, types, columns, frames, lower, what
