"""``LabelOrigin``: under which keys the labels of a frame were read, and which look-alikes were passed over.

One rule says which names look like a label: :func:`likeness`, by a part of the name in any case, and the number of
numbers, :data:`SIZES`: ``free_energy``, ``REF_energy``, ``force``, ``virials``, ``Energy``, ``TOTEN``, but not
``forces_max`` or ``energy_converged=T``. Readers never take such a name by themselves, for nobody but the user knows
which of several energies is meant; :mod:`~hiertl_dist.frames.label_summary` tells of it, and warns where the label
itself is missing. ``init`` takes the only one, or the only one that says it is the reference, and says so, but no name
that tells of another quantity (:func:`other_quantity`). A name looks like a lattice when a part of it is ``lattice``,
``cell`` or ``box``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LABELS: Final = ("energy", "forces", "stress")
ALIKE: Final[Mapping[str, re.Pattern[str]]] = {
    "energy": re.compile(r"energ|etot|(?<![a-z])e_tot|toten", re.I), "forces": re.compile(r"force", re.I),
    "stress": re.compile(r"stress", re.I), "virial": re.compile(r"virial", re.I),
}  # fmt: skip
"""What a name has in it that looks like a label; where there are several, the first counts: ``virial_stress`` is a
stress."""

SIZES: Final[Mapping[str, tuple[int, ...]]] = {"energy": (1,), "stress": (6, 9), "virial": (6, 9)}
"""How many numbers a label has; forces have three an atom."""

OTHER: Final = re.compile(
    r"free|kin|zero|atom|rel(ative)?_|std|var|err|unc|diff|delta|band|fermi|vib|zpe|cutoff|shift|corr|disp|weight|max|min"
    r"|mean|norm|abs|local|interaction|binding|cohesive|formation|flag|has_|_ok"
    r"|predict|sigma|spread",
    re.I,
)
REFERENCE: Final = re.compile(r"dft|ref|qm|pbe|scan|target|true|ccsd|vasp|castep|aims", re.I)
LATTICE_ALIKE: Final = re.compile(r"(.*[_-])?(lattice|(unit|super)?cell|box)([_-].*|vectors?|s)?", re.IGNORECASE)

WORD: Final = " (a word without =)"
"""What follows the name of a look-alike that has no ``=``: ``energy -5.07``."""


@dataclass(frozen=True)
class LabelOrigin:
    """Where the labels of a frame came from; frames that were read alike share one.

    Attributes
    ----------
    source : str
        The file, or the pattern, that was asked for.
    keys : tuple of (str, str)
        The key or column that each label was read under, ``(("energy", "energy"), ("stress", "virial"))``; an empty
        key is the format's own place.
    named : tuple of (str, str)
        Of those labels whose key the user named, label (``energy``, ``forces``, ``stress``, ``virial``) and key.
    passed_over : tuple of (str, str)
        Look-alikes that were not used, each with the label that it looks like.
    notes : tuple of str
        What the reader did with the frame that its file does not say.
    doubts : tuple of str
        Notes of what is likely not meant.
    """

    source: str
    keys: tuple[tuple[str, str], ...] = ()
    named: tuple[tuple[str, str], ...] = ()
    passed_over: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


class AlikeLabels(NamedTuple):
    """Frames whose labels were read alike: from where, which of them there are, and how many frames.

    ``first`` is the origin of the first of them; ``zero_energies`` how many have an energy of exactly 0 although there
    are forces in them.
    """

    labels: LabelOrigin | None
    energy: bool
    forces: bool
    stress: bool
    frames: int
    first: str
    zero_energies: int


def joined_alike(parts: Iterable[Iterable[AlikeLabels]]) -> list[AlikeLabels]:
    """Frames that were read alike, of several sequences, together; in order of first appearance."""
    known: dict[tuple[object, ...], AlikeLabels] = {}
    for own in (alike for part in parts for alike in part):
        before = known.get(own[:4])
        known[own[:4]] = own if before is None else before._replace(
            frames=before.frames + own.frames, zero_energies=before.zero_energies + own.zero_energies
        )  # fmt: skip
    return list(known.values())


def takes(label: str, key: str, verb: str) -> str:
    """How to have a label read from a key, in an input file, in Python and on a command line."""
    return f"{label}_key = {key!r} {verb} (on a command line --{label}-key {shlex.quote(key)})"


def look_alikes(
    names: Iterable[str], used: Iterable[str], fits: Callable[[str, str], bool]
) -> tuple[tuple[str, str], ...]:
    """``(label, name)`` of the names that look like a label and were not used.

    Parameters
    ----------
    names : iterable of str
        What there is.
    used : iterable of str
        Those of them that were used.
    fits : callable
        ``fits(label, name)``: whether what has the name has the form of the label.

    Returns
    -------
    tuple of tuple (str, str)
        The pairs.
    """
    left = [name for name in dict.fromkeys(names) if name not in set(used)]
    pairs = [(_READ_AS.get(like.label, like.label), name) for name in left if (like := likeness(name))]
    return tuple((label, name) for label, name in pairs if fits(label, name))


_READ_AS: Final = {"virial": "stress"}
"""Label that a look-alike stands for in a :class:`LabelOrigin`."""


class Likeness(NamedTuple):
    """The label that a name looks like (``energy``, ``forces``, ``stress``, ``virial``), and where in the name."""

    label: str
    start: int


def likeness(name: str) -> Likeness | None:
    """What label a name looks like, if any."""
    for label, pattern in ALIKE.items():
        if match := pattern.search(name):
            return Likeness(label, match.start())
    return None


def other_quantity(name: str) -> bool:
    """Whether a name that looks like a label tells of another quantity, such as a part or the spread of it."""
    return OTHER.search(name) is not None


def says_reference(name: str) -> bool:
    """Whether a name tells of the level of theory that a model is fitted to."""
    return REFERENCE.search(name) is not None
