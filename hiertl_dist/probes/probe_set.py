"""``ProbeSet``: probe structures, with what each was made of and what was passed over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..text.display import Card, Shown, table_text
from .contacts import widest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..frames.frame import Frame


@dataclass(frozen=True)
class ProbeSource:
    """What a probe structure was made of.

    Attributes
    ----------
    origin : str
        The frame that was taken, or the lattice.
    element : str
        Whose atoms it had before elements were assigned; of a frame of several elements the name of their set.
    group : str
        Its group.
    scale : float
        By what all lengths were multiplied to come from the volume of that element to the mixed one.
    stretch : float
        By what they were multiplied besides, because atoms were too close; 1 as a rule.
    volume : float
        Of the probe, Å³ an atom; NaN where it has vacuum.
    closest : Mapping from str to float
        The shortest distance of each pair of elements in the probe, Å; pairs that are not within reach are left out.
    """

    origin: str
    element: str
    group: str
    scale: float
    stretch: float
    volume: float
    closest: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "origin": self.origin, "element": self.element, "group": self.group, "scale": self.scale,
            "stretch": self.stretch, "volume": None if math.isnan(self.volume) else self.volume,
            "closest": dict(self.closest),
        }  # fmt: skip


def _card(made: ProbeSet) -> Card:
    notes, more = made.notes[:NOTES], len(made.notes) - NOTES
    facts = [("note", note) for note in notes] + [("notes", f"{more} more in .notes")] * (more > 0)
    return Card(f"ProbeSet: {made.title}", tuple(facts), TITLES, tuple(made.rows()))


SHOWN = 3
"""Closest contacts in a row of the table."""

NOTES = 8
"""Notes that a repr shows."""

TITLES = ("set", "frames", "atoms", "least\nÅ³/atom", "mean", "most", "closest contacts, Å", "stretched")
"""Of the columns of :meth:`ProbeSet.rows`."""


@dataclass(frozen=True, eq=False, repr=False)
class ProbeSet(Shown, card=_card):
    """Probe structures and a record of how they were made.

    Attributes
    ----------
    frames : tuple of Frame
        The structures, without labels.
    sources : tuple of ProbeSource
        What each was made of.
    notes : tuple of str
        What was taken from where, guessed, passed over, stretched or dropped.
    limits : Mapping from str to float
        By pair of elements, the distance in Å below which no two atoms of a probe may be.
    """

    frames: tuple[Frame, ...]
    sources: tuple[ProbeSource, ...]
    notes: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def title(self) -> str:
        """What they are, in a line."""
        return f"{len(self)} probe structure{'s' * (len(self) != 1)}, without labels"

    def rows(self) -> list[tuple[Any, ...]]:
        """Rows of a table, one for each set of elements.

        Returns
        -------
        list of tuple
            Set, frames, atoms; least, mean and largest volume, Å³ an atom, of frames without vacuum; the closest
            contacts; how many frames were stretched.
        """
        rows = []
        for name in sorted({f.element_set for f in self.frames}):
            own = [i for i, f in enumerate(self.frames) if f.element_set == name]
            volumes = [v for i in own if not math.isnan(v := self.sources[i].volume)]
            closest = widest([self.sources[i].closest for i in own])
            atoms = [len(self.frames[i]) for i in own]
            rows.append((
                name, len(own), str(min(atoms)) if len(set(atoms)) == 1 else f"{min(atoms)}–{max(atoms)}",
                *((min(volumes), sum(volumes) / len(volumes), max(volumes)) if volumes else (float("nan"),) * 3),
                " ".join(f"{pair} {d:.2f}" for pair, d in sorted(closest.items(), key=lambda one: one[1])[:SHOWN]),
                sum(self.sources[i].stretch > 1.0 for i in own),
            ))  # fmt: skip
        return rows

    def text(self) -> str:
        """A table by set of elements, and all notes, for people.

        Returns
        -------
        str
            Lines.
        """
        table = table_text(TITLES, self.rows()) if self.frames else ""
        return "\n".join(part for part in (self.title, table, *(f"note: {note}" for note in self.notes)) if part)

    def as_dict(self) -> dict[str, Any]:
        """What each is and was made of, for JSON.

        Returns
        -------
        dict from str to object
            ``frames``, ``notes`` and ``limits``; volumes in Å³ an atom, None where there is vacuum.
        """
        frames = [
            {"origin": f.origin, "formula": f.formula, "group": f.group, "made_of": s.as_dict()}
            for f, s in zip(self.frames, self.sources, strict=True)
        ]
        return {"frames": frames, "notes": list(self.notes), "limits": dict(self.limits)}


def joined_probes(parts: Sequence[ProbeSet]) -> ProbeSet:
    """Probe structures of several ways of making them, one after the other.

    Parameters
    ----------
    parts : sequence of ProbeSet
        Any number; a note that several have is there once.

    Returns
    -------
    ProbeSet
        All frames; of each pair the largest limit.
    """
    limits: dict[str, float] = {}
    for part in parts:
        limits |= {pair: max(r, limits.get(pair, 0.0)) for pair, r in part.limits.items()}
    return ProbeSet(
        tuple(f for p in parts for f in p.frames), tuple(s for p in parts for s in p.sources),
        tuple(dict.fromkeys(n for p in parts for n in p.notes)), limits,
    )  # fmt: skip
