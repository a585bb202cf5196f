"""The basis that an ``fm_setup.in`` describes: its tables, special cutoffs and exclusions."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from ..errors import BasisError, InputError
from ..frames.type_names import name_fault
from ..model.basis import Basis, ClusterType, Cutoff, Edge, Elements, Pair, cluster_name
from ..model.cluster_types import MOST_ORDERS, check_number
from ..text.words import shown
from .masses import own_masses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .fm_sections import Line, Sections

TRANSFORMS: Final = {"MORSE": "MORSE", "INVRSE_R": "INVRSE_R", "DEFAULT": "DEFAULT", "NONE": "DEFAULT"}
PAIR_COLUMNS: Final = (
    "PAIRIDX",
    "ATM_TY1",
    "ATM_TY1",
    "S_MINIM",
    "S_MAXIM",
    "S_DELTA",
    "MORSE_LAMBDA",
    "USEOVRP",
)
"""chimes_lsq reads the PAIRIDX table by position, whatever its header says."""

Special = dict[Elements, dict[Elements, float]]
"""Special cutoffs: cluster → pair → value."""


def basis_of(sections: Sections, one_body: bool) -> Basis:
    """Build the basis.

    Parameters
    ----------
    sections : Sections
        What the input file says.
    one_body : bool
        Whether energies are fitted, which is when chimes_lsq has one-body columns.

    Returns
    -------
    Basis
        With all types that the file does not exclude.

    Raises
    ------
    InputError
        Naming the file and, where there is one, the line.
    """
    orders = _orders(sections)
    elements = _elements(sections)
    transform = _transform(sections)
    pairs = _pairs(sections, elements, transform)
    excluded = _excluded(sections, elements)
    special = {key: _special(sections, key[0], key[1], elements) for key in sections.special}
    types = [ClusterType((e,), 1, ()) for e in elements if one_body and (e,) not in excluded]
    try:
        for body, order in zip((2, 3, 4), orders, strict=True):
            if order == 0 or (body > 2 and order == 1):
                continue
            check_number(len(elements), body)
            for key in _clusters(elements, body):
                if key not in excluded:
                    rmin = special.get((body, "S_MINIM"), {}).get(key, {})
                    rmax = special.get((body, "S_MAXIM"), {}).get(key, {})
                    types.append(ClusterType(key, order, _edges(key, pairs, rmin, rmax)))
        stated = {row.words[1]: sections.real(row, 3, "the mass") for row in sections.type_rows}
        return Basis(elements, tuple(pairs.values()), tuple(types), _cutoff(sections), masses=own_masses(stated))
    except BasisError as error:
        raise InputError(f"{sections.path}: {error}") from error


def _clusters(elements: Elements, body: int) -> list[Elements]:
    return [tuple(sorted(c)) for c in itertools.combinations_with_replacement(elements, body)]


def _edge_names(cluster: Elements) -> list[Elements]:
    return sorted({(min(a, b), max(a, b)) for a, b in itertools.combinations(cluster, 2)})


def _edges(
    cluster: Elements,
    pairs: Mapping[Elements, Pair],
    rmin: Mapping[Elements, float],
    rmax: Mapping[Elements, float],
) -> tuple[Edge, ...]:
    return tuple(Edge(e, rmin.get(e, pairs[e].rmin), rmax.get(e, pairs[e].rmax)) for e in _edge_names(cluster))


def _orders(sections: Sections) -> tuple[int, int, int]:
    line = sections.need("PAIRTYP")
    if line.words[0] != "CHEBYSHEV":
        sections.fail(f"PAIRTYP: expected CHEBYSHEV, found {line.words[0]!r}; other pair types are not supported", line)
    names = ("the two-body order", "the three-body order", "the four-body order")
    n2, n3, n4 = (
        sections.integer(line, k + 1, name) if k == 0 or k + 1 < len(line.words) else 0 for k, name in enumerate(names)
    )
    for body, order in zip((2, 3, 4), (n2, n3, n4), strict=True):
        if order > MOST_ORDERS[body]:
            sections.fail(f"PAIRTYP: expected {names[body - 2]}, up to {MOST_ORDERS[body]}, found {order}", line)
    bounds = [sections.real(line, k, "the range") for k in range(4, min(len(line.words), 6))]
    if any(a != b for a, b in zip(bounds, (-1.0, 1.0), strict=False)):
        sections.fail(
            f"PAIRTYP: expected the range -1 1, found {' '.join(line.words[4:6])}; "
            "distances are always mapped to [-1, 1]",
            line,
        )
    return n2, n3, n4


def _transform(sections: Sections) -> str:
    if "CHBTYPE" not in sections.values:
        return "DEFAULT"
    line = sections.values["CHBTYPE"]
    if line.words[0] not in TRANSFORMS:
        sections.fail(f"CHBTYPE: expected one of {list(TRANSFORMS)}, found {line.words[0]!r}", line)
    return TRANSFORMS[line.words[0]]


def _cutoff(sections: Sections) -> Cutoff:
    if "FCUTTYP" not in sections.values:
        return Cutoff()
    line = sections.values["FCUTTYP"]
    if line.words[0] not in ("CUBIC", "TERSOFF"):
        sections.fail(
            f"FCUTTYP: expected CUBIC or TERSOFF fraction, found {str(line)!r}; others are not supported",
            line,
        )
    if line.words[0] == "CUBIC":
        return Cutoff()
    fraction = sections.real(line, 1, "the fraction of TERSOFF")
    try:
        return Cutoff("TERSOFF", fraction)
    except BasisError as error:
        sections.fail(str(error), line)


def _elements(sections: Sections) -> Elements:
    if not sections.type_rows:
        sections.fail("expected the table # TYPEIDX #, found none")
    elements: list[str] = []
    for k, row in enumerate(sections.type_rows):
        if len(row.words) < 4:
            sections.fail(f"expected index, element, charge and mass, found {str(row)!r}", row)
        if sections.integer(row, 0, "the index of an element", least=1) != k + 1:
            sections.fail(f"expected index {k + 1}, found {row.words[0]}", row)
        element = row.words[1]
        if fault := name_fault(element):
            sections.fail(
                f"expected a chemical symbol or the name of a type of atoms, found {shown(element)}: {fault}", row
            )
        if element in elements:
            sections.fail(f"the element {element} is given twice", row)
        charge = sections.real(row, 2, "the charge")
        if charge != 0.0:
            sections.fail(f"the charge of {element} is {charge}: fixed charges are not supported", row)
        sections.real(row, 3, "the mass")
        elements.append(element)
    return tuple(elements)


def _pairs(sections: Sections, elements: Elements, transform: str) -> dict[Elements, Pair]:
    header = sections.pair_header
    if header is None:
        sections.fail("expected the table # PAIRIDX #, found none")
    names = [word for word in header.words if word != "#"]
    wrong = [(a, b) for a, b in zip(names[3:], PAIR_COLUMNS[3:], strict=False) if a != b]
    if wrong:
        sections.fail(f"expected the column {wrong[0][1]}, found {wrong[0][0]}", header)
    pairs: dict[Elements, Pair] = {}
    for row in sections.pair_rows:
        if len(row.words) < (7 if transform == "MORSE" else 5):
            sections.fail(f"expected index, two elements, rmin, rmax, delta and lambda, found {str(row)!r}", row)
        a, b = row.words[1:3]
        key = (min(a, b), max(a, b))
        if unknown := {a, b} - set(elements):
            sections.fail(f"{sorted(unknown)} are not elements of TYPEIDX, which has {list(elements)}", row)
        if key in pairs:
            sections.fail(f"the pair {cluster_name(key)} is given twice", row)
        if len(row.words) > 7 and row.words[7].lower() in ("true", "t"):
            sections.fail(f"USEOVRP of {cluster_name(key)} is true: overcoordination is not supported", row)
        lam = sections.real(row, 6, "MORSE_LAMBDA") if transform == "MORSE" else None
        try:
            pairs[key] = Pair(key, sections.real(row, 3, "S_MINIM"), sections.real(row, 4, "S_MAXIM"), transform, lam)
        except BasisError as error:
            sections.fail(str(error), row)
    return pairs


def _excluded(sections: Sections, elements: Elements) -> set[Elements]:
    excluded: set[Elements] = set()
    for body, (line, rows) in sections.exclude.items():
        if rows and body <= 2 and not sections.flag("HIERARC"):
            sections.fail(
                f"EXCLUDE {body}B has an effect only with # HIERARC # true; chimes_lsq ignores it without",
                line,
            )
        for row in rows:
            cluster = tuple(sorted(row.words[:body]))
            if len(row.words) != body:
                sections.fail(f"expected {body} elements to exclude, found {str(row)!r}", row)
            if unknown := set(cluster) - set(elements):
                sections.fail(f"{sorted(unknown)} are not elements of TYPEIDX, which has {list(elements)}", row)
            excluded.add(cluster)
    return excluded


def _special(sections: Sections, body: int, side: str, elements: Elements) -> Special:
    line, rows = sections.special[body, side]
    clusters = _clusters(elements, body)
    if line.words[3] == "ALL":
        value = sections.real(line, 4, side)
        return {cluster: dict.fromkeys(_edge_names(cluster), value) for cluster in clusters}
    n_pairs = body * (body - 1) // 2
    special: Special = {}
    for row in rows:
        if len(row.words) != 2 * n_pairs + 1:
            sections.fail(f"expected a name, {n_pairs} pairs and {n_pairs} values, found {len(row.words)} words", row)
        cluster = _cluster_of(sections, row, elements, body)
        _assign(sections, row, cluster, elements, special.setdefault(cluster, {}))
    return special


def _cluster_of(sections: Sections, row: Line, elements: Elements, body: int) -> Elements:
    """The many-body type that a row names: the names of its pairs run together, its atoms in any order."""
    place = {element: k for k, element in enumerate(elements)}
    candidates = set()
    for atoms in itertools.product([e for e in elements if e in row.words[0]], repeat=body):
        pairs = ["".join(sorted(pair, key=place.__getitem__)) for pair in itertools.combinations(atoms, 2)]
        if "".join(pairs) == row.words[0]:
            candidates.add(tuple(sorted(atoms)))
    if len(candidates) == 1:
        return candidates.pop()
    if candidates:
        meant = " or ".join(sorted(map(cluster_name, candidates)))
        sections.fail(f"{shown(row.words[0])} may be {meant}; give the types names that can be told apart", row)
    sections.fail(f"unknown type {shown(row.words[0])}; a {body}-body type is named by its pairs", row)


def _assign(
    sections: Sections, row: Line, cluster: Elements, elements: Elements, values: dict[Elements, float]
) -> None:
    """Values of one row, by pair name: chimes_lsq gives one value to all pairs of that name in a type."""
    wanted = _edge_names(cluster)
    pairs = {a + b: pair for pair in wanted for a, b in (pair, pair[::-1])}
    half = (len(row.words) - 1) // 2
    for k, name in enumerate(row.words[1 : half + 1]):
        pair = pairs.get(name)
        if pair is None:
            sections.fail(f"{shown(name)} is no pair of the type {cluster_name(cluster)}", row)
        value = sections.real(row, half + 1 + k, f"the cutoff of {name}")
        if values.setdefault(pair, value) != value:
            sections.fail(
                f"the type {cluster_name(cluster)} has two values for the pair {name}: {values[pair]} and {value}",
                row,
            )
    if missing := [cluster_name(pair) for pair in wanted if pair not in values]:
        sections.fail(f"the type {cluster_name(cluster)} has no value for {', '.join(missing)}", row)
