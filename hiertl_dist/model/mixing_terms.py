"""Which lower types a mixed cluster type is made of, and by which factors (docs/theory.md, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..frames.type_names import cluster_name

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .basis import Elements


class Term(NamedTuple):
    """A lower type that counts in the mean: its factor, elements (sorted), and which atom of the cluster is which."""

    factor: float
    elements: Elements
    atoms: tuple[int, ...]


def terms_of(elements: Elements, known: Collection[Elements]) -> tuple[list[Term], list[str]]:
    """What a type is made of, of the types that are known, and notes of what is not there; the same ones may recur."""
    terms, notes = _pure_terms(elements, known)
    if len(set(elements)) > 2:
        more, lacking = _deviation_terms(elements, known)
        terms, notes = [*terms, *more], [*notes, *lacking]
    return terms, notes


def merged_terms(terms: Sequence[Term]) -> list[Term]:
    """The same with each once, and without those that cancel."""
    merged: dict[tuple[Elements, tuple[int, ...]], float] = {}
    for term in terms:
        merged[term.elements, term.atoms] = merged.get((term.elements, term.atoms), 0.0) + term.factor
    return [Term(f, e, a) for (e, a), f in merged.items() if abs(f) > 1e-14]


def _pure_terms(elements: Elements, known: Collection[Elements]) -> tuple[list[Term], list[str]]:
    """The mean over the atoms of a cluster of the types of single elements; what is not there counts as zero."""
    body, terms, notes = len(elements), [], []
    for element in elements:
        pure = (element,) * body
        if pure in known:
            terms.append(Term(1.0 / body, pure, tuple(range(body))))
        else:
            notes.append(
                f"WARNING: prior of {cluster_name(elements)}: no lower block has {cluster_name(pure)} terms, which "
                "count as zero in its mean"
            )
    return terms, list(dict.fromkeys(notes))


def _deviation_terms(elements: Elements, known: Collection[Elements]) -> tuple[list[Term], list[str]]:
    """The mean deviation of the types that a type becomes where one element is replaced by another of its own."""
    distinct = sorted(set(elements))
    swaps = [(old, new) for old in distinct for new in distinct if old != new]
    terms, lacking = [], []
    used = []
    for old, new in swaps:
        replaced = [new if e == old else e for e in elements]
        atoms = tuple(sorted(range(len(replaced)), key=replaced.__getitem__))
        key = tuple(replaced[a] for a in atoms)
        if key in known:
            used.append((key, atoms))
        else:
            lacking.append(cluster_name(key))
    for key, atoms in used:
        terms.append(Term(1.0 / len(used), key, atoms))
        terms += [t._replace(factor=-t.factor / len(used)) for t in _pure_terms(key, known)[0]]
    if not lacking:
        return terms, []
    names = ", ".join(sorted(set(lacking)))
    note = f"WARNING: prior of {cluster_name(elements)}: no lower block has {names} terms; their deviation is left out"
    return terms, [note]
