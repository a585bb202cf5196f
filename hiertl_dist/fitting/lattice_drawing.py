"""Drawings of a lattice of blocks: in text, with a mark for what happens to each, and as a graph for Graphviz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..text.words import count_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..frames.element_set import ElementSet

    Node = tuple[ElementSet, str, int]

MARKS: Final = ("●", "◐", "■", "~", "0", "·", "!", "∅")
"""By way, in the order of :data:`~hiertl_dist.fitting.block_lattice.WAYS`."""

COLOURS: Final = ("lightblue", "lightcyan", "lightgrey", "khaki", "white", "white", "salmon", "white")

MOST_NAMES: Final = 12
"""Blocks of a level that are drawn by name; of more their numbers."""

MOST_LINES: Final = 3
"""Blocks of a level up to which lines are drawn to those below: more cross one another too often to be followed."""

GAP: Final = 5
"""Characters between blocks that lines are drawn between."""


def drawing(nodes: Sequence[Node], ways: Sequence[str]) -> str:
    """A lattice in text, large sets on top.

    Parameters
    ----------
    nodes : sequence of tuple (ElementSet, str, int)
        Each block, what happens to it, and its columns; small sets first.
    ways : sequence of str
        All that may happen, in the order of :data:`MARKS`.

    Returns
    -------
    str
        A line for each number of elements, lines between where there are few, and what the marks mean.
    """
    mark = dict(zip(ways, MARKS, strict=True))
    levels: dict[int, list[Node]] = {}
    for node in nodes:
        levels.setdefault(len(node[0].elements), []).append(node)
    most = max(map(len, levels.values()), default=0)
    if most <= MOST_LINES:
        body = _with_lines(levels, mark)
    else:
        body = [f"{n}  {_level_text(levels[n], mark, ways)}" for n in sorted(levels, reverse=True)]
        body.append("each block stands on all blocks of fewer of its elements")
    used = {way for _, way, _ in nodes}
    legend = "   ".join(f"{mark[w]} {w}" for w in ways if w in used)
    return "\n".join([*body, legend])


def _level_text(nodes: Sequence[Node], mark: dict[str, str], ways: Sequence[str]) -> str:
    if len(nodes) <= MOST_NAMES:
        return "   ".join(f"{mark[way]} {block}" for block, way, _ in nodes)
    counts = [f"{mark[w]} {n}" for w in ways if (n := sum(way == w for _, way, _ in nodes))]
    block, _, columns = max(nodes, key=lambda node: node[2])
    return f"{count_text(len(nodes), 'block')}: {'  '.join(counts)}; the largest is {block}, {columns} columns"


def _with_lines(levels: dict[int, list[Node]], mark: dict[str, str]) -> list[str]:
    """A Hasse diagram: blocks in the middle of equal spaces, and lines to those that have one element less."""
    names = {n: [f"{mark[way]} {block}" for block, way, _ in own] for n, own in levels.items()}
    space = max(len(name) for own in names.values() for name in own) + GAP
    widest = max(map(len, levels.values()))
    centre = {
        block: int((i + 0.5 + (widest - len(own)) / 2) * space)
        for own in levels.values() for i, (block, _, _) in enumerate(own)
    }  # fmt: skip
    lines: list[str] = []
    for n in sorted(levels, reverse=True):
        if lines:
            larger = [(b, c) for b, _, _ in levels.get(n + 1, ()) for c, _, _ in levels[n] if c.is_proper_subset(b)]
            lines += _between([(centre[b], centre[c]) for b, c in larger], widest * space)
        row = [" "] * (widest * space + space)
        for (block, _, _), name in zip(levels[n], names[n], strict=True):
            start = centre[block] - len(name) // 2
            row[start : start + len(name)] = name
        lines.append(f"{n}  {''.join(row).rstrip()}")
    return lines


def _between(ends: Sequence[tuple[int, int]], width: int, rows: int = 3) -> list[str]:
    """Lines from places in the row above to places in the row below."""
    canvas = [[" "] * (width + 1) for _ in range(rows)]
    for top, bottom in ends:
        stroke = "│" if top == bottom else "╲" if bottom > top else "╱"
        for i in range(rows):
            place = round(top + (bottom - top) * (i + 1) / (rows + 1))
            before = canvas[i][place]
            canvas[i][place] = stroke if before in (" ", stroke) else "╳"
    return ["   " + "".join(row).rstrip() for row in canvas]


def graph(nodes: Sequence[Node], ways: Sequence[str]) -> str:
    """A lattice as a directed graph in Graphviz's language.

    Parameters
    ----------
    nodes : sequence of tuple (ElementSet, str, int)
        As of :func:`drawing`.
    ways : sequence of str
        As of :func:`drawing`.

    Returns
    -------
    str
        From each block to those just below it: no other block is between.
    """
    colour = dict(zip(ways, COLOURS, strict=True))
    lines = ["digraph blocks {", "  rankdir=BT; node [shape=box, style=filled];"]
    lines += [
        f'  "{block}" [label="{block}\\n{columns} columns\\n{way}", fillcolor={colour[way]}];'
        for block, way, columns in nodes
    ]
    names = [block for block, _, _ in nodes]
    known = {name.elements: name for name in names}
    for block in names:
        below = {known[rest] for e in block.elements if (rest := block.elements - {e}) in known}
        lines += [f'  "{lower}" -> "{block}";' for lower in sorted(below)]
    return "\n".join([*lines, "}"])
