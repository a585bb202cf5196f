"""``KnownBlocks``: what a library settles of an input that is to grow it: cutoffs, λ, orders, wall, statements."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InputError, MismatchError
from ..frames.element_set import ElementSet
from ..library.folder import open_library
from ..library.gates import label_differences
from ..library.labels import UNKNOWN, checked_label, differing, for_elements, label_text
from ..model.basis import Basis
from ..model.parameters import check_same_cutoffs, check_same_pairs, different_walls
from ..text.display import listed
from ..text.problems import Problems

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from ..library.entry import LibraryBlock
    from ..library.labels import Label
    from ..model.cluster_types import Elements, Pair
    from ..model.parameters import Parameters, Penalty
    from .surveying import Survey

OTHER_IN_USE = "another version of one of them (hiertl-dist library use)"


@dataclass(frozen=True, eq=False)
class KnownBlocks:
    """The blocks in use of a library that are of elements of some data; all go with one another.

    Attributes
    ----------
    path : Path
        Folder of the library.
    blocks : Mapping from ElementSet to Parameters
        Their coefficients and bases.
    pairs : Mapping from tuple of str to Pair
        Pairs of elements that they have.
    theory, energy_reference : str or Mapping
        What is stated of the data at hand.
    notes : tuple of str
        What the user should know of it.
    """

    path: Path
    blocks: Mapping[ElementSet, Parameters]
    pairs: Mapping[Elements, Pair]
    theory: Label
    energy_reference: Label
    notes: tuple[str, ...] = ()

    @property
    def wall(self) -> Penalty:
        """That of all of them."""
        return next(iter(self.blocks.values())).penalty

    @property
    def table(self) -> dict[str, Any]:
        """The ``[library]`` table."""
        return {"path": str(self.path), "theory": self.theory, "energy_reference": self.energy_reference}

    def outer(self, body: int) -> float | None:
        """Å, the outer cutoff of all edges of their types of a body; None where they have none, or several."""
        every = {e.rmax for p in self.blocks.values() for t in p.basis.types if t.body == body for e in t.edges}
        return next(iter(every)) if len(every) == 1 else None

    def lacking(self, present: Sequence[ElementSet], most: int) -> list[ElementSet]:
        """The blocks that these do not have and frames do, each of which is fitted by itself.

        Raises InputError, naming them, where there are none, where frames have more than ``most`` elements, or where a
        block of a single element is neither here nor in any frame.
        """
        if odd := [b for b in present if len(b.elements) > most]:
            raise InputError(
                f"library: frames of {', '.join(odd)} have more elements than a block can have, which are {most}; "
                "fitted all at once nothing of a library stays as it is: give frames of fewer elements"
            )
        fitted = [b for b in present if b not in self.blocks]
        if not fitted:
            raise InputError(
                f"library: {self.path} has every block of which there are frames, {', '.join(present)}: nothing is to "
                "be fitted; update = [BLOCK] in the [library] table of an input fits one anew"
            )
        single = {e for b in (*fitted, *self.blocks) if len(b.elements) == 1 for e in b.elements}
        if absent := sorted({e for b in fitted for e in b.elements} - single):
            raise InputError(
                f"library: with one, each block is fitted by itself, and neither {self.path} nor any frame has "
                f"{', '.join(absent)} alone, which {', '.join(b for b in fitted if b.elements & set(absent))} stands "
                "on; give such frames, or add such a block (hiertl-dist library add)"
            )
        return fitted

    def over(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """A ``[basis]`` table whose pairs and types of these blocks are theirs, exactly.

        Parameters
        ----------
        table : mapping from str to object
            As :func:`~hiertl_dist.suggestion.suggesting_basis.basis_table` makes it.

        Returns
        -------
        dict from str to object
            With their orders in ``blocks``, and single types where these don't say it.
        """
        first = next(iter(self.blocks.values())).basis
        pairs = dict(table["pairs"])
        transforms = {p.transform for p in self.pairs.values()}
        common = next(iter(transforms)) if len(transforms) == 1 else str(table["transform"])
        for pair in self.pairs.values():
            pairs[pair.name] = _pair_table(pair, common)
        if common != "MORSE":
            pairs = {n: {k: v for k, v in p.items() if k != "lambda" or p.get("transform") == "MORSE"}
                     for n, p in pairs.items()}  # fmt: skip
        blocks = dict(table.get("blocks", {}))
        for name, own in self.blocks.items():
            blocks[str(name)] = {"orders": _orders(name, own)}
        made = {**table, "cutoff": str(first.cutoff), "transform": common, "pairs": pairs, "blocks": blocks}
        return made | self._odd_types(Basis.from_dict(made))

    def _odd_types(self, basis: Basis) -> dict[str, Any]:
        """``types`` and ``exclude`` for what orders and cutoffs of all types alike don't say."""
        types: dict[str, Any] = {}
        absent: list[str] = []
        for name, own in self.blocks.items():
            theirs = {t.elements: t for t in own.basis.types if t.block == name and t.body > 1}
            ours = {t.elements: t for t in basis.types if t.block == name and t.body > 1}
            absent += [ours[e].name for e in ours if e not in theirs]
            for elements, kind in theirs.items():
                made = ours.get(elements)
                if made is None or (made.order, made.edges) != (kind.order, kind.edges):
                    types[kind.name] = {
                        "order": kind.order, "rmin": {e.name: e.rmin for e in kind.edges},
                        "rmax": {e.name: e.rmax for e in kind.edges},
                    }  # fmt: skip
        return ({"types": types} if types else {}) | ({"exclude": absent} if absent else {})


def _pair_table(pair: Pair, common: str) -> dict[str, Any]:
    lam = {} if pair.morse_lambda is None else {"lambda": pair.morse_lambda}
    own = {} if pair.transform == common else {"transform": pair.transform}
    return {"rmin": pair.rmin, "rmax": pair.rmax, **lam, **own}


def _orders(name: ElementSet, own: Parameters) -> list[int]:
    """The highest order of a block's types of two, three and four atoms."""
    kinds = [t for t in own.basis.types if t.block == name]
    return [max((t.order for t in kinds if t.body == body), default=0) for body in (2, 3, 4)]


# long: its parameters are documented
def known_blocks(
    path: str | Path, elements: Collection[str], *, theory: Label | None = None, energy_reference: Label | None = None
) -> KnownBlocks:
    """What a library has of some elements, in the versions in use.

    Parameters
    ----------
    path : str or Path
        Folder of the library.
    elements : collection of str
        Those of the data at hand.
    theory, energy_reference : str or Mapping, optional
        What the user states of these data; default: what the library states, with a note that nobody said so.

    Returns
    -------
    KnownBlocks
        At least one block.

    Raises
    ------
    MissingFileError, StoreError
        There is no library, or a file of it was changed.
    InputError
        It has no block of these elements alone.
    MismatchError
        Blocks in use don't go with one another, or with what is stated; both values are named, all at once.
    """
    library = open_library(path)
    entries = [library.find(b) for b in library.names if b.elements <= set(elements)]
    if not entries:
        raise InputError(
            f"library: {library.path} has no block of {', '.join(sorted(elements))} alone, it has "
            f"{listed(library.names) or 'none'}; init without --library writes an input, to which a [library] table "
            "may be added"
        )
    parts = [e.parameters() for e in entries]
    problems = Problems(MismatchError)
    _check_together(parts, problems)
    stated, notes = _statements(entries, elements, theory, energy_reference, problems)
    problems.settle(MismatchError)
    others = sorted({e for b in library.names for e in b.elements} - set(elements))
    if others:
        notes.append(
            f"no frame has {', '.join(others)}, which the library has too: blocks of these with the elements of the "
            "frames stay unfitted until there are such frames"
        )
    pairs = {p.elements: p for part in parts for p in part.basis.pairs}
    return KnownBlocks(
        library.path, {e.block: p for e, p in zip(entries, parts, strict=True)}, pairs, *stated, tuple(notes)
    )  # fmt: skip


def _check_together(parts: Sequence[Parameters], problems: Problems) -> None:
    """Note, with both values, in what blocks of a library differ that one model can't have twice."""
    for one, other in itertools.combinations(parts, 2):
        with problems.noting():
            check_same_pairs(one.basis, other.basis, one.source, other.source)
            for kind in one.basis.types:
                if (same := other.basis.type_named(kind.elements)) is not None:
                    check_same_cutoffs(kind, same, one.source, other.source)
        if one.penalty != other.penalty:
            problems.add(different_walls(one, other, OTHER_IN_USE))


def _statements(
    entries: Sequence[LibraryBlock], elements: Collection[str], theory: Label | None, reference: Label | None,
    problems: Problems,
) -> tuple[tuple[Label, Label], list[str]]:  # fmt: skip
    """What is stated of the data at hand, and what is said of it."""
    notes: list[str] = []
    labels = []
    for what, given, of in (
        ("theory", theory, lambda e: e.theory), ("energy_reference", reference, lambda e: e.energy_reference),
    ):  # fmt: skip
        own = _common(what, entries, of, elements, problems)
        labels.append(own if given is None else checked_label(given, what))
        if given is None:
            option = f"--{what.replace('_', '-')}"
            notes.append(
                f"{what} = {label_text(own)} is what the library states of its own data; nobody has said it of these: "
                f"change it in [library] if they are of another ({option} says it)"
            )
            lacking = [] if isinstance(own, str) else sorted(set(elements) - set(own))
            if lacking and any(e in own for e in elements):
                notes.append(f"{what} has no value of {', '.join(lacking)}: add them in [library]")
    for entry in entries:
        for one in label_differences(
            entry, labels[0], labels[1], elements, entry.block.elements, "what is stated of these frames"
        ):
            problems.add(f"{entry.source}, {one.what}: {one.values}")
    return (labels[0], labels[1]), notes


def _common(
    what: str, entries: Iterable[LibraryBlock], of: Callable[[LibraryBlock], Label], elements: Collection[str],
    problems: Problems,
) -> Label:  # fmt: skip
    """The statement of all blocks; tables of different elements are joined."""
    common: Label | None = None
    owner = ""
    for entry in entries:
        own = of(entry)
        if common is None:
            common, owner = own, entry.source
        elif isinstance(own, str) or isinstance(common, str):
            if values := differing(common, own):
                problems.add(f"{what}: {owner} and {entry.source} have {values}; put {OTHER_IN_USE} in use")
        else:
            shared = {k for k in elements if k in common and k in own}
            if values := differing(for_elements(common, shared, elements), for_elements(own, shared, elements)):
                problems.add(f"{what}: {owner} and {entry.source} have {values}; put {OTHER_IN_USE} in use")
            common = {**own, **common}
    return UNKNOWN if common is None else common


def contact_notes(known: KnownBlocks, found: Survey) -> list[str]:
    """What is said of frames whose atoms come nearer than the library's cutoffs and wall were made for."""
    notes = []
    for p in found.pairs:
        pair = known.pairs.get(p.elements)
        if pair is None or p.shortest is None:
            continue
        begins = pair.rmin + known.wall.distance
        if p.shortest <= pair.rmin:
            notes.append(
                f"{pair.name} come as near as {p.shortest:.3f} Å, the library's rmin is {pair.rmin:g} Å: a fit refuses "
                'such frames, or leaves them out with policy = "skip_frame" in [fit]; a smaller rmin is another library'
            )
        elif p.shortest < begins and known.wall.scale:
            notes.append(
                f"{pair.name} come as near as {p.shortest:.3f} Å, and the library's wall begins at {begins:.3f} Å: it "
                "acts on these frames"
            )
    return notes
