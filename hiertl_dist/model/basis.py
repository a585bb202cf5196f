"""``Basis``: which clusters a model sees, how far, and with how many Chebyshev polynomials.

One naming for Python and TOML: :meth:`Basis.from_dict` takes what the ``[basis]`` table of an input
file holds, :meth:`Basis.to_dict` gives it back, complete.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BasisError
from ..files.paths import require_file
from ..text.cards import basis_card
from ..text.display import Shown
from ..text.problems import joined
from ..text.words import shown, toml_table
from .basis_table import given_energies, read_table
from .cluster_types import (
    TRANSFORMS,
    ClusterType,
    Cutoff,
    Edge,
    Elements,
    Pair,
    check_number,
    cluster_name,
    edges_of,
    element_faults,
    energy_faults,
    joining,
    mass_faults,
    split_symbols,
    type_faults,
    type_rank,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "TRANSFORMS", "Basis", "ClusterType", "Cutoff", "Edge", "Elements", "Pair", "cluster_name", "edges_of",
    "split_symbols", "type_rank",
]  # fmt: skip


@dataclass(frozen=True, repr=False)
class Basis(Shown, card=basis_card):
    """What a ChIMES model is linear in: its cluster types with their orders and cutoffs (docs/theory.md, section 1).

    Attributes
    ----------
    elements : tuple of str
        Element symbols in the order of the input (it fixes the order of cluster types and columns); names of other
        types of atoms, such as ``C1`` or a bead's, are as good, see :mod:`~hiertl_dist.frames.type_names`.
    pairs : tuple of Pair
        One for each pair of elements that a cluster type joins; others may be there too.
    types : tuple of ClusterType
        The cluster types that the model has; the basis keeps them in chimes_lsq's order.
    cutoff : Cutoff, default CUBIC
        The cutoff factor of every edge.
    energies : tuple of (str, float), default ()
        Energies of free atoms that are given and not fitted, as (element, kcal/mol); a fit holds the one-body
        coefficients of these elements there. Rows of a design matrix don't depend on them.
    masses : Mapping from str to float, default {}
        Masses in u of types that are no chemical elements or not of their mass. No energy depends on them, nor does the
        digest: parameter files carry them along for molecular dynamics.

    Raises
    ------
    BasisError
        Names, pairs, cluster types, energies or masses that are missing, unknown, given twice, or contradict each
        other; or two-body cutoffs that are not those of the pair.
    """

    elements: Elements
    pairs: tuple[Pair, ...]
    types: tuple[ClusterType, ...]
    cutoff: Cutoff = Cutoff()  # noqa: RUF009  it is frozen
    energies: tuple[tuple[str, float], ...] = ()
    masses: Mapping[str, float] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "energies", _checked_energies(self))
        self._check_names()
        check_number(len(self.elements), 2)
        wanted = {tuple(sorted(p)) for p in itertools.combinations_with_replacement(self.elements, 2)}
        given = {p.elements for p in self.pairs}
        if missing := {e.elements for t in self.types for e in t.edges} - given:
            raise BasisError(f"pairs: missing {', '.join(sorted(map(cluster_name, missing)))}")
        if extra := given - wanted:
            raise BasisError(f"pairs: {', '.join(sorted(map(cluster_name, extra)))} not among the elements")
        for kind in self.types:
            if unknown := set(kind.elements) - set(self.elements):
                raise BasisError(f"type {kind.name}: {sorted(unknown)} not among the elements {self.elements}")
        by_elements = {p.elements: p for p in self.pairs}
        for kind in self.types:
            for edge, fault in type_faults(kind, by_elements):
                raise BasisError(f"type {kind.name}, edge {edge.name}: {fault}")
        names = [t.elements for t in self.types]
        if len(set(names)) != len(names):
            twice = sorted({cluster_name(n) for n in names if names.count(n) > 1})
            raise BasisError(f"cluster types given twice: {twice}")
        for name, members in (("pairs", self.pairs), ("types", self.types)):
            ordered = sorted(members, key=lambda m: type_rank(m.elements, self.elements))
            object.__setattr__(self, name, tuple(ordered))

    def _check_names(self) -> None:
        object.__setattr__(self, "masses", dict(self.masses))
        for fault in (*element_faults(self.elements), *mass_faults(self.masses, self.elements)):
            raise BasisError(fault)

    @classmethod
    def from_toml(cls, path: str | Path) -> Basis:
        """Read the ``[basis]`` table of a TOML file.

        Parameters
        ----------
        path : str or Path
            An input file; its other tables are not looked at.

        Returns
        -------
        Basis
            What :meth:`from_dict` makes of the table.

        Raises
        ------
        BasisError
            Naming the file and every key that is wrong.
        MissingFileError
            There is no such file.
        """
        table = toml_table(require_file(path, "input file"), BasisError)
        if "basis" not in table:
            raise BasisError(f"{path}: expected a [basis] table, found {shown(sorted(table))}")
        try:
            return cls.from_dict(table["basis"])
        except BasisError as error:
            if error.problems:
                raise joined(error.problems, BasisError, f"{path}: ") from error
            raise BasisError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Basis:
        """Build a basis from the content of a ``[basis]`` table.

        Parameters
        ----------
        table : Mapping from str to Any
            The keys below; what TOML gives for them.

        Returns
        -------
        Basis
            With every cluster type that the table asks for.

        Raises
        ------
        BasisError
            Naming every key that is wrong, what was expected and what was found.

        Notes
        -----
        Keys: ``elements``; ``orders`` [n2, n3, n4] as PAIRTYP has them; ``transform``; ``cutoff``;
        ``pairs.XY`` with ``rmin``, ``rmax``, ``lambda``; and optional ``three_body``/``four_body`` with
        ``rmin``/``rmax``; ``blocks.XY.orders``; ``types.XYZ`` with ``order``, ``rmin``, ``rmax`` (a number,
        or a table by pair); ``one_body``; ``exclude``; ``masses`` of types that are no elements; ``energies``, those of
        free atoms by element that are given and not fitted, with ``unit = "eV"`` (the default) or ``"kcal"`` (kcal/mol)
        beside them. Many-body cutoffs default to those of the pair, and a pair with rmin = rmax is inactive. ``XYZ``
        stands for names of elements run together; other names of types have hyphens between them: ``pairs.C1-C1``.

        Examples
        --------
        >>> pair = {"rmin": 1.0, "rmax": 5.0, "lambda": 1.4}
        >>> basis = Basis.from_dict({"elements": ["C"], "orders": [12, 6, 0], "pairs": {"CC": pair}})
        >>> [t.name for t in basis.types]
        ['CC', 'CCC', 'C']
        """
        return cls(*read_table(table))

    def to_dict(self) -> dict[str, Any]:
        """The whole basis as a ``[basis]`` table.

        Returns
        -------
        dict from str to Any
            The table, with numbers in Å and kcal/mol; :meth:`from_dict` reads it back to an equal basis.
        """
        pairs = {
            p.name: {"rmin": p.rmin, "rmax": p.rmax, "transform": p.transform}
            | ({} if p.morse_lambda is None else {"lambda": p.morse_lambda})
            for p in self.pairs
        }
        types = {
            t.name: {
                "order": t.order,
                "rmin": {e.name: e.rmin for e in t.edges},
                "rmax": {e.name: e.rmax for e in t.edges},
            }
            for t in self.types
            if t.body > 1
        }
        ones = [t.elements[0] for t in self.types if t.body == 1]
        more: dict[str, Any] = {"masses": dict(self.masses)} if self.masses else {}
        if self.energies:
            more["energies"] = {**dict(self.energies), "unit": "kcal"}
        return {
            "elements": list(self.elements), "cutoff": str(self.cutoff), "orders": [0, 0, 0],
            "pairs": pairs, "types": types, "one_body": ones,
        } | more  # fmt: skip

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what rows depend on, and so neither of masses nor of energies that are given.

        Equal bases have equal digests, whatever file they came from.
        """
        content = {key: value for key, value in self.to_dict().items() if key not in ("masses", "energies")}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def reach(self) -> float:
        """The largest outer cutoff in Å: how far neighbours are needed. 0 with one-body types alone."""
        return max((e.rmax for t in self.types for e in t.edges), default=0.0)

    def pair(self, a: str, b: str) -> Pair:
        """The pair of two elements.

        Parameters
        ----------
        a, b : str
            The elements, in any order.

        Returns
        -------
        Pair
            Its cutoffs (Å) and transform.

        Raises
        ------
        BasisError
            The basis has no such pair: it and the pairs that there are are named.
        """
        return joining("basis", self.pairs, a, b)

    def type_named(self, elements: Iterable[str]) -> ClusterType | None:
        """The cluster type of some elements.

        Parameters
        ----------
        elements : iterable of str, or str
            The elements, each as often as it occurs, in any order; or the name of the type, such as ``"CCN"``.

        Returns
        -------
        ClusterType or None
            The type; ``None`` where the basis has none of these elements.

        Raises
        ------
        BasisError
            A name that no names of elements make.
        """
        key = split_symbols(elements) if isinstance(elements, str) else tuple(sorted(elements))
        return next((t for t in self.types if t.elements == key), None)

    def with_energies(self, energies: Mapping[str, float], unit: str = "eV") -> Basis:
        """The same basis with energies of free atoms that are given and not fitted.

        Parameters
        ----------
        energies : Mapping from str to float
            Energy of a free atom by element, in ``unit``; {} gives none. It replaces what was given before.
        unit : {"eV", "kcal"}, default "eV"
            Unit of the energies; ``"kcal"`` is kcal/mol.

        Returns
        -------
        Basis
            A copy; its ``energies`` are in kcal/mol.

        Raises
        ------
        BasisError
            An unknown unit, an energy that is no finite number, or an element without a one-body term.
        """
        return replace(self, energies=given_energies({**energies, "unit": unit}, "energies"))

    def with_types(self, types: Iterable[ClusterType]) -> Basis:
        """The same elements, pairs and cutoff function with other cluster types.

        Parameters
        ----------
        types : iterable of ClusterType
            All types of the new basis, in any order.

        Returns
        -------
        Basis
            A copy; given energies remain of the elements that still have a one-body term.

        Raises
        ------
        BasisError
            A type is there twice, or does not fit elements and pairs.
        """
        kept = tuple(types)
        ones = {t.elements[0] for t in kept if t.body == 1}
        return replace(self, types=kept, energies=tuple((e, x) for e, x in self.energies if e in ones))

    def restricted(self, elements: Iterable[str]) -> Basis:
        """The part that involves only some elements.

        Parameters
        ----------
        elements : iterable of str, or str
            The elements that are kept, or a name such as ``"CN"``; those that the basis lacks have no effect.

        Returns
        -------
        Basis
            Pairs, types, energies and masses of these elements alone.

        Raises
        ------
        BasisError
            The basis has none of the elements.
        """
        wanted = set(split_symbols(elements) if isinstance(elements, str) else elements)
        keep = [e for e in self.elements if e in wanted]
        return Basis(
            tuple(keep),
            tuple(p for p in self.pairs if set(p.elements) <= set(keep)),
            tuple(t for t in self.types if set(t.elements) <= set(keep)),
            self.cutoff,
            tuple((e, x) for e, x in self.energies if e in keep),
            {e: mass for e, mass in self.masses.items() if e in keep},
        )


def _checked_energies(basis: Basis) -> tuple[tuple[str, float], ...]:
    """The energies that are given, elements sorted. Raises BasisError where one is no number or has no column."""
    ones = {t.elements[0] for t in basis.types if t.body == 1}
    for fault in energy_faults((e for e, _ in basis.energies), ones):
        raise BasisError(fault)
    for element, energy in basis.energies:
        if not math.isfinite(energy):
            raise BasisError(f"energies.{element}: expected a finite number, found {energy}")
    if len(dict(basis.energies)) < len(basis.energies):
        raise BasisError(f"energies: expected each element once, found {[e for e, _ in basis.energies]}")
    return tuple(sorted((e, float(x)) for e, x in basis.energies))
