"""``Image``: one ``Atoms`` that ASE read, with what is known of it beside that."""

from __future__ import annotations

from typing import Any, NamedTuple


class Image(NamedTuple):
    """An ``Atoms``, with notes and doubts as a :class:`~hiertl_dist.frames.labels.LabelOrigin` has them."""

    atoms: Any
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
