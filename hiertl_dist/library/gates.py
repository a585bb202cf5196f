"""Whether blocks of a library go with a basis, with the data at hand and with one another; what does not is refused.

Each refusal names both values. What can be accepted all the same must be accepted by name, and is recorded with each
block that is fitted upon it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import MismatchError
from ..frames.element_set import ElementSet
from ..model.parameters import check_same_cutoffs, check_same_pairs
from ..text.problems import Problems
from .entry import SHORT
from .labels import UNKNOWN, Label, differing, for_elements, is_unknown
from .settings import LOWER, ORDERS, REFERENCE, THEORY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ..model.basis import Basis
    from ..model.parameters import Parameters
    from .entry import LibraryBlock


@dataclass(frozen=True)
class Difference:
    """In what a block differs from what it is to go with.

    Attributes
    ----------
    block, version : str
        The block of the library.
    what : str
        One of :data:`~hiertl_dist.library.settings.GATES`.
    values : str
        Both values, in words.
    """

    block: str
    version: str
    what: str
    values: str

    def as_dict(self) -> dict[str, str]:
        """For the entry of a block that is fitted upon it."""
        return {"block": str(self.block), "version": self.version, "what": self.what, "values": self.values}

    def refusal(self, how: str) -> str:
        """What is said where it was not accepted; ``how`` is how it would be."""
        return (
            f"library block {self.block} ({self.version[:SHORT]}), {self.what}: {self.values}; "
            f"{how.format(block=self.block, what=self.what)} uses it all the same, and is recorded"
        )


IN_INPUT = 'accept = {{ {block} = ["{what}"] }} in [library] (in Python LibrarySettings(accept=…))'
IN_EXPORT = "--accept {block}:{what} (in Python accept=…)"


def accepted_differences(
    differences: Sequence[Difference], accept: Mapping[str, Collection[str]], how: str, problems: Problems
) -> tuple[Difference, ...]:
    """Those that are accepted; the others are problems."""
    for one in differences:
        if one.what not in accept.get(one.block, ()):
            problems.add(one.refusal(how))
    return tuple(d for d in differences if d.what in accept.get(d.block, ()))


def label_differences(
    entry: LibraryBlock, theory: Label, reference: Label, known: Collection[str], shared: Collection[str], other: str
) -> Iterator[Difference]:
    """What was stated of a block's data against what is stated of others, which are called ``other``.

    Of the ``known`` elements, keys of tables are compared for the ``shared`` ones.
    """
    for what, own, theirs in ((THEORY, entry.theory, theory), (REFERENCE, entry.energy_reference, reference)):
        if values := differing(for_elements(own, shared, known), for_elements(theirs, shared, known)):
            yield Difference(entry.block, entry.version, what, f"the block and {other} have {values}")


def order_differences(entry: LibraryBlock, parameters: Parameters, basis: Basis) -> Iterator[Difference]:
    """Where a block has lower orders than the basis, or lacks a type. MismatchError where it has more."""
    own = {t.elements: t for t in parameters.basis.types if t.block == entry.block and t.body > 1}
    wanted = {t.elements: t for t in basis.types if t.block == entry.block and t.body > 1}
    lower = []
    for elements in dict.fromkeys((*wanted, *own)):
        here, there = wanted.get(elements), own.get(elements)
        have, want = there.order if there else 0, here.order if here else 0
        name = (here or there).name  # type: ignore[union-attr]  # it is a type of one of the two
        if have > want:
            raise MismatchError(
                f"type {name}, order: {entry.source} has {have}, the basis has {want or 'no such type'}; give the "
                f"basis the block's orders ([basis.blocks.{entry.block}] orders)"
            )
        if have < want:
            lower.append(f"{name} {have or 'none'} and {want}")
    if lower:
        yield Difference(entry.block, entry.version, ORDERS, f"the block and the basis have {'; '.join(lower)}")


def check_with_basis(entry: LibraryBlock, parameters: Parameters, basis: Basis, problems: Problems) -> list[Difference]:
    """Differences of orders; other cutoffs, λ, transforms and cutoff functions are problems, one for each block."""
    with problems.noting():
        check_same_pairs(parameters.basis, basis, entry.source, "the basis")
        for kind in parameters.basis.types:
            if (other := basis.type_named(kind.elements)) is not None:
                check_same_cutoffs(kind, other, entry.source, "the basis")
        return list(order_differences(entry, parameters, basis))
    return []


def lower_differences(
    entries: Mapping[ElementSet, LibraryBlock], fitted: Collection[ElementSet]
) -> Iterator[Difference]:
    """Blocks that were fitted upon other lower blocks than those that are taken, or fitted now."""
    for entry in entries.values():
        there = {b: e.version for b, e in entries.items() if b.is_proper_subset(entry.block)}
        here = there | {b: "" for b in fitted if b.is_proper_subset(entry.block)}
        for block in sorted({*here, *map(ElementSet.parse, entry.lower)}):
            before, now = entry.lower.get(block, ""), here.get(block, None)
            if before == now and before not in ("", UNKNOWN):
                continue
            stood = f"version {before[:SHORT]} of {block}" if before not in ("", UNKNOWN) else (
                f"a block {block} that nobody knows" if before else f"no block {block}"
            )  # fmt: skip
            taken = "none is taken" if now is None else f"{now[:SHORT]} is taken" if now else "it is fitted anew"
            yield Difference(entry.block, entry.version, LOWER, f"it was fitted upon {stood}, and {taken}")


def unknown_notes(entries: Mapping[ElementSet, LibraryBlock], theory: Label, reference: Label) -> list[str]:
    """What is said where nobody knows whether blocks and data go together."""
    both = [w for w, label in ((THEORY, theory), (REFERENCE, reference)) if is_unknown(label)]
    if not both or not entries:
        return []
    return [
        f"WARNING: library: {' and '.join(both)} of the data at hand and of {', '.join(entries)} unknown: nobody "
        "can tell whether they go together"
    ]
