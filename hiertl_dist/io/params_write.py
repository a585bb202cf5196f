"""Writing ``Parameters`` as a ChIMES parameter file that chimes_calculator and chimes_md read.

The layout is chimes_lsq's, row for row, because chimes_md counts lines. What the format has no place for
(orders of single types, two- and one-body types that are left out, coverage, combinations of energies of free atoms
that the data did not determine, how types without data were made, and how often others were met) is kept in comments.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from typing import TYPE_CHECKING, Final

from ..errors import ParameterFileError
from ..files.paths import local_path, replacing
from ..model.basis import cluster_name, edges_of
from ..model.blocks import columns_of, pattern_of, type_powers
from ..model.without_data import WAYS
from .masses import MASSES
from .params_checksum import THIS_FILE, checksum_line
from .params_sections import COUNT_OF_BODY, NOTE, SECTION_OF_BODY, WRITTEN_BY, edge_permutations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ..model.basis import Basis, ClusterType, Elements
    from ..model.parameters import Parameters

REDUCED_BELOW: Final = 1.0e-6
"""Reduced files leave out many-body parameters of at most this size: the threshold of chimes_lsq's tool."""

RESERVED: Final = re.compile(
    r"ENDFILE|CHEBYSHEV PARAMS|# (TYPEIDX|PAIRIDX) #|(PAIRTYP|TYPES|PAIRS|TYPE|DIST|SCALING|PARAMS|OFFSETS|"
    r"TRIPLETS|QUADRUPLETS|MAPS|S_MAXIM|S_MINIM|COUL|POVR|BCH|EXCLD?[12]B):"
)
"""chimes_calculator looks for its keywords anywhere in a line, comments included."""

NAMES_A_LINE: Final = 40
"""Cluster types that a comment of many of them names at most."""

NAME_OF_BODY: Final = {3: "TRIPLET", 4: "QUADRUPLET"}


def write_parameters(
    parameters: Parameters, path: str | Path, *, reduced: bool = False, comments: Iterable[str] = ()
) -> None:
    """Write a parameter file; a file of that name is replaced only once the new one is complete.

    Values are in kcal/mol and Å with 17 significant digits, so that :func:`read_parameters` gives back the same basis
    and the same coefficients to the bit; a comment has the checksum of the lines, which it compares. Masses are those
    of the basis, else of the elements; 0 and a comment stand for one that is not known. Two-body and one-body types
    that the basis leaves out are written as zeros (the other programs read a fixed number of lines) and named in a
    comment. Note that those programs put the penalty on every pair, also on those. chimes_calculator knows MORSE only
    and refuses a file with another transform; chimes_md reads it.

    Parameters
    ----------
    parameters : Parameters
        What to write.
    path : str or Path
        The file.
    reduced : bool, default False
        Leave out many-body parameters of size 1e-6 or less, which makes the file smaller and the other programs faster.
        These values are lost: read back, they are zero.
    comments : iterable of str, optional
        Lines to put at the top, without their comment mark.

    Raises
    ------
    ParameterFileError
        A comment, order, penalty, coverage or name of a type that a parameter file cannot hold; it is named.
    OSError
        The file cannot be written.
    """
    path = local_path(path, "parameter file")
    lines = list(_Writer(parameters, reduced).lines(list(comments)))
    plain = re.fullmatch(r"[\w.+-]+", path.name, re.ASCII) and not RESERVED.search(path.name)
    own = next(i for i, line in enumerate(lines) if line.startswith(WRITTEN_BY))
    lines.insert(own + 1, checksum_line("\n".join(lines).splitlines(), path.name if plain else THIS_FILE))
    text = "\n".join(lines) + "\n"
    with replacing(path) as stream:
        stream.write(text.encode())
        stream.flush()
        os.fsync(stream.fileno())


def left_out(parameters: Parameters) -> int:
    """How many many-body coefficients a reduced file leaves out."""
    values = zip(columns_of(parameters.basis), parameters.coefficients, strict=True)
    return sum(len(column.elements) > 2 and abs(value) <= REDUCED_BELOW for column, value in values)


class _Writer:
    """The lines of one file, in chimes_lsq's order of elements, pairs and cluster types."""

    def __init__(self, parameters: Parameters, reduced: bool) -> None:
        self.parameters = parameters
        self.reduced = reduced
        self.basis: Basis = parameters.basis
        coefficients = (float(c) for c in parameters.coefficients)
        named = zip(parameters.columns, coefficients, strict=True)
        self.values = {(column.elements, column.powers): value for column, value in named}
        stated = {p.elements for p in self.basis.pairs}
        every = (tuple(sorted(p)) for p in itertools.combinations_with_replacement(self.basis.elements, 2))
        if missing := [cluster_name(p) for p in every if p not in stated]:
            raise ParameterFileError(
                f"{parameters.source}: a file of these elements states every pair; missing {', '.join(missing)}"
            )
        index = {e: i for i, e in enumerate(self.basis.elements)}
        # The names of pairs keep the order of the input ("ON" for O before N), as other programs form them.
        self.pairs = [tuple(sorted(p.elements, key=index.__getitem__)) for p in self.basis.pairs]
        self.pair_name = {p.elements: "".join(n) for p, n in zip(self.basis.pairs, self.pairs, strict=True)}
        self.massless = [e for e in self.basis.elements if e not in MASSES and e not in self.basis.masses]
        self.present: dict[Elements, ClusterType] = {t.elements: t for t in self.basis.types}
        orders = {b: max((t.order for t in self.basis.types if t.body == b), default=0) for b in (1, 2, 3, 4)}
        if orders[1] > 1:
            raise ParameterFileError(f"{parameters.source}: expected one-body types of order 1, found {orders[1]}")
        # chimes_calculator sets T_1 whatever the order is; with 0 it would write past the end of its array.
        self.orders = orders | {2: max(orders[2], 1)}

    def lines(self, comments: Sequence[str]) -> Iterator[str]:
        yield from self._comments(comments)
        yield from self._notes()
        yield from self._header()
        for body in (3, 4):
            yield from self._specials(body)
        for body in (3, 4):
            yield f"{COUNT_OF_BODY[body]} {len(self._clusters(body))}"
        yield ""
        yield from self._two_body()
        for body in (3, 4):
            yield from self._many_body(body)
        yield ""
        yield from self._maps()
        yield from self._offsets()
        yield "ENDFILE"

    # -- comments ---------------------------------------------------------------------------------

    def _comments(self, comments: Sequence[str]) -> Iterator[str]:
        for text in comments:
            for line in text.splitlines() or [""]:
                if RESERVED.search(" ".join(line.split())) or f"! {line}".startswith(NOTE):
                    raise ParameterFileError(
                        f"comment: expected text without a keyword of the format, as programs look for these "
                        f"in comments too, found {line!r}"
                    )
                yield f"! {line}".rstrip()
        yield f"{WRITTEN_BY}; energies in kcal/mol, distances in Angstrom"
        if self.massless:
            yield f"! No mass is known of {', '.join(self.massless)}: 0 stands for it, dynamics need the true one"

    def _notes(self) -> Iterator[str]:
        orders = [f"{t.name} {t.order}" for t in self.basis.types if t.order != self.orders[t.body]]
        if orders:
            yield f"{NOTE}ORDERS: {' '.join(orders)}"
        left_out = [p.name for p in self.basis.pairs if p.elements not in self.present]
        if any(t.body == 1 for t in self.basis.types):
            left_out += [cluster_name((e,)) for e in self.basis.elements if (e,) not in self.present]
        if left_out:
            yield f"{NOTE}EXCLUDED: {' '.join(left_out)}"
        known = {p.name for p in self.basis.pairs}
        for key, (low, high) in self.parameters.coverage.items():
            block, _, name = key.partition(":")
            if not block or name not in known or not (math.isfinite(low) and math.isfinite(high)):
                pairs = ", ".join(sorted(known))
                raise ParameterFileError(
                    f"coverage: expected 'block:pair' and finite distances of {pairs}, found {key!r}: {low}, {high}"
                )
            yield f"{NOTE}COVERAGE: {block} {name} {_number(low)} {_number(high)}"
        for direction in self.parameters.undetermined:
            yield f"{NOTE}UNDETERMINED_ENERGIES: {' '.join(f'{e} {_number(x)}' for e, x in direction.items())}"
        for way in WAYS:
            names = [n for n, own in self.parameters.without_data.items() if own == way]
            for first in range(0, len(names), NAMES_A_LINE):
                yield f"{NOTE}WITHOUT_DATA: {way} {' '.join(names[first : first + NAMES_A_LINE])}"
        counts = [f"{name} {frames} {clusters}" for name, (frames, clusters) in self.parameters.fitted_on.items()]
        for first in range(0, len(counts), NAMES_A_LINE):
            yield f"{NOTE}FITTED_ON: {' '.join(counts[first : first + NAMES_A_LINE])}"

    # -- header -----------------------------------------------------------------------------------

    def _header(self) -> Iterator[str]:
        switch = {body: str(self.orders[body] > 0).lower() for body in (3, 4)}
        yield from ("USECOUL: false", "FITCOUL: false", f"USE3BCH: {switch[3]}", f"USE4BCH: {switch[4]}", "")
        yield f"PAIRTYP: CHEBYSHEV  {self.orders[2]} {self.orders[3]} {self.orders[4]} -1 1"
        yield from ("", f"ATOM TYPES: {len(self.basis.elements)}", "")
        yield "# TYPEIDX #\t# ATM_TYP #\t# ATMCHRG #\t# ATMMASS #"
        for index, element in enumerate(self.basis.elements):
            mass = self.basis.masses.get(element, MASSES.get(element, 0.0))
            yield f"{index}\t\t{element}\t\t0\t\t{_number(mass)}"
        yield from ("", f"ATOM PAIRS: {len(self.pairs)}", "")
        columns = ("PAIRIDX", "ATM_TY1", "ATM_TY1", "S_MINIM", "S_MAXIM", "CHBDIST", "MORSE_LAMBDA")
        yield "\t".join(f"# {name} #" for name in columns)
        for index, (names, pair) in enumerate(zip(self.pairs, self.basis.pairs, strict=True)):
            # chimes_md reads λ after MORSE only; one that is not there cannot be mistaken for the next index.
            scale = [] if pair.morse_lambda is None else [_number(pair.morse_lambda)]
            words = [str(index), *names, _number(pair.rmin), _number(pair.rmax), pair.transform, *scale]
            yield "\t" + " ".join(f"{w:<15}" for w in words)
        yield from ("", f"FCUT TYPE: {self.basis.cutoff}", "")
        penalty = self.parameters.penalty
        if not (math.isfinite(penalty.distance) and math.isfinite(penalty.scale)):
            raise ParameterFileError(f"penalty: expected finite numbers, found {penalty}")
        # Always written: programs disagree about what holds when the file is silent.
        yield f"PAIR CHEBYSHEV PENALTY DIST: {_number(penalty.distance)}"
        yield f"PAIR CHEBYSHEV PENALTY SCALING: {_number(penalty.scale)}"
        yield ""

    def _clusters(self, body: int) -> list[Elements]:
        """Every cluster of a body that has types at all, in chimes_lsq's order."""
        if self.orders[body] == 0:
            return []
        combinations = itertools.combinations_with_replacement(self.basis.elements, body)
        return [tuple(sorted(c)) for c in combinations]

    def _edge_names(self, atoms: Sequence[str]) -> list[str]:
        return [self.pair_name[tuple(sorted((atoms[a], atoms[b])))] for a, b in edges_of(len(atoms))]

    def _specials(self, body: int) -> Iterator[str]:
        types = [t for t in self.basis.types if t.body == body]
        pairs = {p.elements: p for p in self.basis.pairs}
        for side, word in (("rmax", "S_MAXIM"), ("rmin", "S_MINIM")):
            # All types or none: chimes_calculator forgets the inner cutoffs of the four-body types not named.
            if all(getattr(e, side) == getattr(pairs[e.elements], side) for t in types for e in t.edges):
                continue
            yield f"SPECIAL {body}B {word}: SPECIFIC {len(types)}"
            for kind in types:
                names = self._edge_names(kind.elements)
                ends = [(kind.elements[a], kind.elements[b]) for a, b in edges_of(body)]
                cutoffs = [_number(getattr(kind.edge(*e), side)) for e in ends]
                yield " ".join(["".join(names), *names, *cutoffs])
            yield ""

    # -- parameters -------------------------------------------------------------------------------

    def _two_body(self) -> Iterator[str]:
        yield from ("PAIR CHEBYSHEV PARAMS ", "")
        for index, (names, pair) in enumerate(zip(self.pairs, self.basis.pairs, strict=True)):
            yield from (f"PAIRTYPE PARAMS: {index} {' '.join(names)}", "")
            for k in range(self.orders[2]):
                yield f"{k:3d} {_value(self.values.get((pair.elements, (k + 1,)), 0.0))}"
            yield " "

    def _many_body(self, body: int) -> Iterator[str]:
        clusters = self._clusters(body)
        if not clusters:
            return
        yield from (f"{NAME_OF_BODY[body]} CHEBYSHEV PARAMS ", "")
        for index, elements in enumerate(clusters):
            yield SECTION_OF_BODY[body]
            yield f"   INDEX: {index} ATOMS: {' '.join(elements)}"
            names = f"   PAIRS: {' '.join(self._edge_names(elements))}"
            kind = self.present.get(elements)
            if kind is None:
                yield f"{names} EXCLUDED:"
            else:
                unique, rows = self._rows(kind)
                yield f"{names} UNIQUE: {unique} TOTAL: {len(rows)}"
                yield "     index  |  powers  |  equiv index  |  param index  |       parameter       "
                yield "   " + "-" * 76
                yield from rows
            yield ""

    def _rows(self, kind: ClusterType) -> tuple[int, list[str]]:
        """UNIQUE, and one row for each distinct permutation of each orbit, orbit by orbit."""
        moves = edge_permutations(pattern_of(kind.elements))
        rows: list[str] = []
        first, columns = 0, type_powers(kind)
        for column, powers in enumerate(columns):
            sets = dict.fromkeys(tuple(powers[e] for e in move) for move in moves)
            value = self.values[kind.elements, powers]
            if not self.reduced or abs(value) > REDUCED_BELOW:
                for raw in sets:
                    shown = "".join(f"{p:<3d}" for p in raw)
                    index = f"      {len(rows):<7d} {shown}      {first:<15d} {column:<8d}"
                    rows.append(f"{index} {_value(value)}")
            first += len(sets)
        return (-1 if self.reduced else len(columns)), rows

    # -- tail -------------------------------------------------------------------------------------

    def _maps(self) -> Iterator[str]:
        for body, word in ((2, "PAIRMAPS"), (3, "TRIPMAPS"), (4, "QUADMAPS")):
            if body == 2:
                index = {p.elements: i for i, p in enumerate(self.basis.pairs)}
            else:
                index = {c: i if c in self.present else -1 for i, c in enumerate(self._clusters(body))}
            if not index:
                continue
            maps: dict[str, Elements] = {}
            for atoms in itertools.product(self.basis.elements, repeat=body):
                name = "".join(atoms) if body == 2 else "".join(self._edge_names(atoms))
                cluster = maps.setdefault(name, tuple(sorted(atoms)))
                if cluster != tuple(sorted(atoms)):
                    raise ParameterFileError(
                        f"{self.parameters.source}: a parameter file calls both {cluster_name(cluster)} and "
                        f"{cluster_name(atoms)} {name!r}, as it runs names together; give the types other names"
                    )
            yield f"{word}: {len(maps)}"
            yield from (f"{index[maps[name]]} {name}" for name in sorted(maps))
            yield ""

    def _offsets(self) -> Iterator[str]:
        if not any(t.body == 1 for t in self.basis.types):
            return
        yield f"NO ENERGY OFFSETS:  {len(self.basis.elements)}"
        for index, element in enumerate(self.basis.elements, start=1):
            yield f"ENERGY OFFSET {index} {_value(self.values.get(((element,), ()), 0.0))}"


def _value(value: float) -> str:
    # 17 significant digits are what a double needs; chimes_lsq's own %21.13e would lose the last three.
    return f"{value:24.16e}"


def _number(value: float) -> str:
    """The shortest text that reads back to the same number."""
    return repr(float(value)).removesuffix(".0")
