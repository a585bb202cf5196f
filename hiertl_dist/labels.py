"""``LabelOrigin``: under which keys the labels of a frame were read, and which look-alikes were passed over.

A name looks like a label when it contains ``energ``, ``force``, ``stress`` or ``virial`` in any case, was not used, and
has as many numbers as that label: ``free_energy``, ``REF_energy``, ``force``, ``virials``, ``Energy``, but not
``forces_max`` or ``energy_converged=T``. It is never taken by itself, for nobody but the user knows which of several
energies is meant; :mod:`~hiertl_dist.label_summary` tells of it, and warns where the label
itself is missing. A name looks like a lattice when a part of it is ``lattice``, ``cell`` or ``box``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LABELS: Final = ("energy", "forces", "stress")
ALIKE: Final = re.compile("(?P<energy>energ)|(?P<forces>force)|(?P<stress>stress|virial)", re.IGNORECASE)
LATTICE_ALIKE: Final = re.compile(r"(.*[_-])?(lattice|(unit|super)?cell|box)([_-].*|vectors?|s)?", re.IGNORECASE)

WORD: Final = " (a word without =)"
"""What follows the name of a look-alike that has no ``=``: ``energy -5.07``."""


@dataclass(frozen=True)
class LabelOrigin:
    """Where the labels of a frame came from; frames that were read alike share one.

    Attributes
    ----------
    source : the file, or the pattern, that was asked for.
    keys : the key or column that each label was read under, ``(("energy", "energy"), ("stress", "virial"))``; an empty
        key is the format's own place.
    named : of those labels whose key the user named, label (``energy``, ``forces``, ``stress``, ``virial``) and key.
    passed_over : look-alikes that were not used, each with the label that it looks like.
    notes : what the reader did with the frame that its file does not say.
    doubts : notes of what is likely not meant.
    """

    source: str
    keys: tuple[tuple[str, str], ...] = ()
    named: tuple[tuple[str, str], ...] = ()
    passed_over: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def look_alikes(
    names: Iterable[str], used: Iterable[str], fits: Callable[[str, str], bool]
) -> tuple[tuple[str, str], ...]:
    """``(label, name)`` of the names that look like a label and were not used.

    Parameters
    ----------
    fits : whether what has a name, the second argument, has the form of a label, the first.
    """
    left = [name for name in dict.fromkeys(names) if name not in set(used)]
    found = [(match.lastgroup or "", name) for name in left if (match := ALIKE.search(name))]
    return tuple((label, name) for label, name in found if fits(label, name))
