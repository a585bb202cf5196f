"""``Parameters``: a basis with a value for each of its columns — what a ChIMES parameter file holds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import BasisError, InputError, MismatchError, ParameterFileError
from ..frames.element_set import ElementSet
from ..frames.type_names import split_symbols
from ..text.cards import parameters_card
from ..text.display import Shown
from .basis import Basis
from .blocks import Columns, columns_of
from .undetermined import combined
from .without_data import checked_ways, ways_of_sum

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from .basis import ClusterType
    from .undetermined import Direction
    from .without_data import WithoutData


@dataclass(frozen=True)
class Penalty:
    """Two-body wall A (rmin + d − r)³ for r < rmin + d, on pairs that have a two-body type (docs/theory.md, section 1).

    Attributes
    ----------
    scale : float
        A, kcal/mol/Å³; the default, 1e4, is chimes_calculator's where a file is silent.
    distance : float
        d, Å; default 0.01.
    """

    scale: float = 1.0e4
    distance: float = 0.01

    def __str__(self) -> str:
        return f"scale {self.scale}, distance {self.distance}"


@dataclass(frozen=True, eq=False, repr=False)
class Parameters(Shown, card=parameters_card):
    """Coefficients of every column of a basis.

    Attributes
    ----------
    basis : Basis
        Its types are those that have parameters; excluded ones are absent.
    coefficients : ndarray of shape (columns,)
        One for each column, kcal/mol, in the order of :func:`~hiertl_dist.model.blocks.columns_of`; copied, read-only.
    penalty : Penalty
        The wall below the inner cutoffs.
    coverage : Mapping from str to (float, float)
        By ``"block:pair"`` the range of distances, Å, of that pair of elements in the frames that the block was fitted
        on, as far as the block's terms reach: ``{"CN:CC": (1.05, 5.0)}``; empty where unknown.
    source : str
        Where it came from, for messages.
    notes : tuple of str
        What its reader passed over or guessed, one sentence each.
    undetermined : tuple of Mapping from str to float
        Directions (an amount by element) in the energies of free atoms that the data did not determine, see
        :mod:`hiertl_dist.model.undetermined`: energies of what has numbers of atoms along one of them lack a constant.
    without_data : Mapping from str to {"zero", "mixed"}
        By the name of a cluster type that no fitted frame informed, such as ``MoNbTa``: made from lower blocks
        (``mixed``), or left without terms on purpose (``zero``), see :mod:`hiertl_dist.model.without_data`.
    fitted_on : Mapping from str to (int, int)
        By the name of a cluster type, in how many frames it was fitted on there are such clusters, and how many; types
        of which that is not known are left out. Of many frames these are estimates, see
        :mod:`hiertl_dist.fitting.type_counts`; whether there is any is exact.

    Raises
    ------
    ParameterFileError
        A number of coefficients that is not that of the columns, a coefficient that is not finite, or types without
        data that can't be: another word, or no cluster of the elements.
    """

    basis: Basis
    coefficients: NDArray[np.float64]
    penalty: Penalty = Penalty()
    coverage: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    source: str = "parameters"
    notes: tuple[str, ...] = ()
    undetermined: tuple[Direction, ...] = ()
    without_data: WithoutData = field(default_factory=dict)
    fitted_on: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = np.array(self.coefficients, np.float64)
        expected = len(self.columns)
        if values.shape != (expected,):
            raise ParameterFileError(
                f"{self.source}: expected {expected} coefficients for this basis, found shape {values.shape}"
            )
        if not np.isfinite(values).all():
            column = self.columns[int(np.flatnonzero(~np.isfinite(values))[0])]
            raise ParameterFileError(f"{self.source}: the coefficient of {column} is not finite")
        values.setflags(write=False)
        object.__setattr__(self, "coefficients", values)
        try:
            object.__setattr__(self, "without_data", checked_ways(self.without_data, self.basis.elements))
        except BasisError as error:
            raise ParameterFileError(f"{self.source}: types without data: {error}") from error

    @property
    def columns(self) -> Columns:
        """Labels of the coefficients, in their order."""
        return columns_of(self.basis)

    @property
    def digest(self) -> str:
        """SHA-256 of what evaluations depend on: basis, coefficients, penalty."""
        wall = np.array([self.penalty.scale, self.penalty.distance])
        return hashlib.sha256(self.basis.digest.encode() + self.coefficients.tobytes() + wall.tobytes()).hexdigest()

    def as_dict(self) -> dict[tuple[str, tuple[str, ...], tuple[int, ...]], float]:
        """The coefficients by column.

        Returns
        -------
        dict from Column to float
            Each coefficient, kcal/mol, under its (block, elements, powers).
        """
        return dict(zip(self.columns, (float(c) for c in self.coefficients), strict=True))

    def with_types(self, types: Iterable[ClusterType]) -> Parameters:
        """The part of some cluster types only.

        Parameters
        ----------
        types : iterable of ClusterType
            Types of its basis, or such of lower order: their columns are among its own.

        Returns
        -------
        part : Parameters
            The coefficients of these types; blocks whose types remain in part keep their coverage.

        Raises
        ------
        UnknownBlockError
            A type has a column that this model lacks.
        """
        basis = self.basis.with_types(types)
        values, blocks = self.as_dict(), {t.block for t in basis.types if t.body > 1}
        coverage = {key: r for key, r in self.coverage.items() if key.partition(":")[0] in blocks}
        coefficients = np.array([values[c] for c in columns_of(basis)])
        undetermined = _undetermined_of(self, basis)
        names = {t.name for t in basis.types}
        elements = set().union(*(t.elements for t in basis.types))
        ways = {
            n: way
            for n, way in self.without_data.items()
            if (n in names if way == "mixed" else elements.issuperset(split_symbols(n)))
        }
        return replace(
            self, basis=basis, coefficients=coefficients, coverage=coverage, undetermined=undetermined,
            without_data=ways, fitted_on={n: count for n, count in self.fitted_on.items() if n in names},
        )  # fmt: skip

    def restricted(self, blocks: AbstractSet[str]) -> Parameters:
        """The part of some blocks only.

        Parameters
        ----------
        blocks : set of str
            Names of the blocks that are kept; others than its own have no effect.

        Returns
        -------
        part : Parameters
            Their coefficients and coverage; ``source`` names the blocks where it is not the whole model.
        """
        basis = self.basis.with_types(t for t in self.basis.types if t.block in blocks)
        values = self.as_dict()
        coverage = {key: r for key, r in self.coverage.items() if key.partition(":")[0] in blocks}
        # solutions keep frozen models apart by their source
        whole = {t.block for t in self.basis.types} <= blocks
        source = self.source if whole else f"{self.source} ({', '.join(sorted(blocks))})"
        coefficients = np.array([values[c] for c in columns_of(basis)])
        undetermined = _undetermined_of(self, basis)
        ways = {n: w for n, w in self.without_data.items() if whole or ElementSet.of(split_symbols(n)) in blocks}
        counts = {n: count for n, count in self.fitted_on.items() if n in {t.name for t in basis.types}}
        return Parameters(basis, coefficients, self.penalty, coverage, source, self.notes, undetermined, ways, counts)


def only_blocks(parameters: Parameters, blocks: AbstractSet[str]) -> Parameters:
    """The part of some blocks, with their elements and the pairs of these alone."""
    part = parameters.restricted(blocks)
    return replace(part, basis=part.basis.restricted({e for t in part.basis.types for e in t.elements}))


def _undetermined_of(whole: Parameters, basis: Basis) -> tuple[Direction, ...]:
    """The directions of a model that a part of it moves along."""
    stated = {t.elements[0] for t in basis.types if t.body == 1}
    moved = {e for d in whole.undetermined for e in d}
    return whole.undetermined if moved <= stated else combined(whole.undetermined, stated)


# long: its parameters are documented
def merge_parameters(
    parts: Sequence[Parameters], *, overlap: str = "refuse", penalty: Penalty | None = None
) -> Parameters:
    """One set of parameters that is the sum of its parts.

    Parameters
    ----------
    parts : sequence of Parameters
        Blocks or models; pairs, cutoff functions and penalties must agree.
    overlap : {"refuse", "add"}, default "refuse"
        What happens to cluster types that two parts have: an error, or their coefficients are added (an additive
        residual such as al_driver's ALC files). Nothing is ever replaced.
    penalty : Penalty, optional
        The wall of the result; needed where the parts have different ones.

    Returns
    -------
    merged : Parameters
        Every cluster type of the parts. Of a pair that two parts of one block cover, the range that both do. What one
        part has from its data counts as having data.

    Raises
    ------
    MismatchError
        Naming the two parts and both values.
    ValueError
        No parts, or another ``overlap``.
    """
    if overlap not in ("refuse", "add"):
        raise InputError(f"overlap: expected 'refuse' or 'add', found {overlap!r}")
    if not parts:
        raise InputError("merge: expected at least one part, found none")
    if overlap == "refuse":
        refuse_shared_types(parts)
    types: dict[tuple[str, ...], tuple[ClusterType, str]] = {}
    pairs = {}
    values: dict[tuple[str, tuple[str, ...], tuple[int, ...]], float] = {}
    coverage: dict[str, tuple[float, float]] = {}
    for index, part in enumerate(parts):
        for earlier in parts[:index]:
            check_same_pairs(earlier.basis, part.basis, earlier.source, part.source)
            if penalty is None and part.penalty != earlier.penalty:
                raise MismatchError(different_walls(earlier, part, "--penalty SCALE DISTANCE (in Python penalty=)"))
        pairs.update({p.elements: p for p in part.basis.pairs})
        for kind in part.basis.types:
            known, owner = types.get(kind.elements, (kind, part.source))
            if kind.elements in types:
                check_same_cutoffs(known, kind, owner, part.source)
            types[kind.elements] = (max(known, kind, key=lambda t: t.order), owner)
        for column, value in part.as_dict().items():
            values[column] = values.get(column, 0.0) + value
        for key, (low, high) in part.coverage.items():
            before = coverage.get(key, (low, high))
            # parts of one block add up, so it is as sure of a pair as the part that saw least of it
            coverage[key] = (max(low, before[0]), min(high, before[1]))
    elements = tuple(dict.fromkeys(e for part in parts for e in part.basis.elements))
    kinds, cutoff = tuple(t for t, _ in types.values()), parts[0].basis.cutoff
    basis = Basis(elements, tuple(pairs.values()), kinds, cutoff, masses=_merged_masses(parts))
    coefficients = np.array([values.get(c, 0.0) for c in columns_of(basis)])
    source = " + ".join(p.source for p in parts)
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    undetermined = combined(d for part in parts for d in part.undetermined)
    ways = ways_of_sum([({t.elements for t in p.basis.types}, p.without_data) for p in parts])
    counts: dict[str, tuple[int, int]] = {}
    for name, (frames, clusters) in (item for part in parts for item in part.fitted_on.items()):
        seen = counts.get(name, (frames, clusters))
        counts[name] = min(frames, seen[0]), min(clusters, seen[1])
    wall = penalty or parts[0].penalty
    return Parameters(basis, coefficients, wall, coverage, source, notes, undetermined, ways, counts)


def refuse_shared_types(parts: Sequence[Parameters]) -> None:
    """Raise MismatchError, naming both files, where two parts have a cluster type, whose terms a sum counts twice."""
    owners: dict[tuple[str, ...], str] = {}
    for part in parts:
        for kind in part.basis.types:
            if kind.elements in owners:
                raise MismatchError(
                    f"type {kind.name} is in {owners[kind.elements]} and in {part.source}: "
                    "its terms would count twice; --add sums their coefficients (in Python overlap='add')"
                )
            owners[kind.elements] = part.source


def different_walls(a: Parameters, b: Parameters, option: str) -> str:
    """What to say of two parts whose walls differ; ``option`` is what says which holds."""
    return f"penalty: {a.source} has {a.penalty}, {b.source} has {b.penalty}; {option} says which holds"


IN_FIT: Final = "penalty = { scale = …, distance = … } in [fit] (in Python FitSettings(penalty=Penalty(…)))"
"""What says which wall a fitted model has."""


def _merged_masses(parts: Sequence[Parameters]) -> dict[str, float]:
    """The masses that the parts state; two of one type must agree."""
    masses: dict[str, tuple[float, str]] = {}
    for part in parts:
        for element, mass in part.basis.masses.items():
            known, owner = masses.setdefault(element, (mass, part.source))
            if known != mass:
                raise MismatchError(f"mass of {element} (u): {owner} has {known}, {part.source} has {mass}")
    return {element: mass for element, (mass, _) in masses.items()}


def check_same_pairs(a: Basis, b: Basis, a_name: str, b_name: str) -> None:
    """Raise MismatchError unless pairs that both bases have, and the cutoff function, agree.

    Both values are named. Numbers are compared as numbers.
    """
    if a.cutoff != b.cutoff:
        raise MismatchError(f"cutoff function: {a_name} has {a.cutoff}, {b_name} has {b.cutoff}")
    other = {p.elements: p for p in b.pairs}
    for pair in a.pairs:
        if pair.elements in other:
            for key, what in (
                ("rmin", "rmin (Å)"), ("rmax", "rmax (Å)"), ("transform", "transform"), ("morse_lambda", "λ (Å)")
            ):  # fmt: skip
                mine, theirs = getattr(pair, key), getattr(other[pair.elements], key)
                if mine != theirs:
                    raise MismatchError(f"pair {pair.name}, {what}: {a_name} has {mine}, {b_name} has {theirs}")


def check_same_cutoffs(a: ClusterType, b: ClusterType, a_name: str, b_name: str) -> None:
    """Raise MismatchError unless two types of the same elements have the same cutoffs."""
    for mine, theirs in zip(a.edges, b.edges, strict=True):
        for side in ("rmin", "rmax"):
            x, y = getattr(mine, side), getattr(theirs, side)
            if x != y:
                raise MismatchError(
                    f"type {a.name}, {side} (Å) of its {mine.name} edges: {a_name} has {x}, {b_name} has {y}"
                )
