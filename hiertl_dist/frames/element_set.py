"""``ElementSet``: a set of elements that is its own name, as blocks and the frames of a block are called."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ..errors import BasisError
from ..text.words import shown
from .type_names import cluster_name, name_fault, split_symbols

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

REMEMBERED: Final = 4096
"""Names, and sets, that are remembered; a basis of twenty elements has some six thousand blocks, a fit rarely ten."""


class ElementSet(str):
    """A set of elements, or of other types of atoms, such as the block ``CN``.

    It is the text of its name, elements sorted and each once (``CN``, ``C1-N``), so that JSON, tables, stores and
    digests have it as they have a text, and equals it. As with any text, ``sorted`` goes by letters, ``in`` looks for
    letters, and ``len`` counts them: elements are in :attr:`elements`. ``ElementSet("NC")`` is ``ElementSet.parse``.

    Attributes
    ----------
    elements : frozenset of str
        The elements.
    name : str
        The name, as a plain text.

    Raises
    ------
    BasisError
        As of :meth:`parse`.

    Examples
    --------
    >>> ElementSet.parse("NC")
    'CN'
    >>> ElementSet.of(["N"]).is_proper_subset(ElementSet.parse("CN"))
    True
    """

    __slots__ = ("_elements",)

    _elements: frozenset[str]

    def __new__(cls, name: str) -> Self:
        """As :meth:`parse`."""
        return cls._holding(_elements_named(name))

    @classmethod
    def _holding(cls, elements: frozenset[str]) -> Self:
        self = super().__new__(cls, cluster_name(elements))
        self._elements = elements
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return ElementSet.of, (tuple(sorted(self._elements)),)

    @classmethod
    def parse(cls, name: str) -> ElementSet:
        """The set of a name.

        Parameters
        ----------
        name : str
            Elements in any order, run together or with hyphens between them: ``"NC"``, ``"N-C"``, ``"C1-N"``.

        Returns
        -------
        ElementSet
            Its text is the sorted name.

        Raises
        ------
        BasisError
            No names of elements make this name, or an element is in it twice, as in that of a cluster (``"CCN"``).
        """
        if not isinstance(name, str):
            raise BasisError(f"expected a set of elements such as 'CN', found {shown(name)}")
        return name if isinstance(name, ElementSet) else _parsed(name)

    @classmethod
    def of(cls, elements: Iterable[str]) -> ElementSet:
        """The set of some elements.

        Parameters
        ----------
        elements : iterable of str, or str
            In any order, and each as often as it occurs; a text is a name, as of :meth:`parse`. None make the set
            without elements, the text of which is empty.

        Returns
        -------
        ElementSet
            Of each of them once.

        Raises
        ------
        BasisError
            What can't be the name of an element.
        """
        return cls.parse(elements) if isinstance(elements, str) else _of(frozenset(elements))

    @classmethod
    def union(cls, sets: Iterable[ElementSet]) -> ElementSet:
        """The set of all elements of some sets.

        Parameters
        ----------
        sets : iterable of ElementSet
            Any number of them.

        Returns
        -------
        ElementSet
            The smallest set that has all of them as subsets.
        """
        return cls.of(element for each in sets for element in each._elements)

    @property
    def elements(self) -> frozenset[str]:
        """The elements."""
        return self._elements

    @property
    def name(self) -> str:
        """The name, as a plain text."""
        return str(self)

    def is_subset(self, other: str) -> bool:
        """Whether another set has all elements of this one.

        Parameters
        ----------
        other : ElementSet or str
            Which may be the same.

        Returns
        -------
        bool
            Also true of the same set.
        """
        return self._elements <= ElementSet.parse(other)._elements

    def is_proper_subset(self, other: str) -> bool:
        """Whether another set has all elements of this one, and more.

        Parameters
        ----------
        other : ElementSet or str
            The larger one, if so.

        Returns
        -------
        bool
            False of the same set.
        """
        return self._elements < ElementSet.parse(other)._elements


def _elements_named(name: str) -> frozenset[str]:
    names = split_symbols(name)
    elements = frozenset(names)
    if len(elements) < len(names):
        twice = next(e for e in names if names.count(e) > 1)
        raise BasisError(
            f"expected a set of elements such as 'CN', each once, found {shown(name)}: {twice} is repeated"
        )
    return elements


@lru_cache(maxsize=REMEMBERED)
def _parsed(name: str) -> ElementSet:
    return ElementSet(name)


@lru_cache(maxsize=REMEMBERED)
def _of(elements: frozenset[str]) -> ElementSet:
    for name in sorted(elements, key=str):
        fault = name_fault(name) if isinstance(name, str) else "it is no text"
        if fault:
            raise BasisError(f"expected names of elements, found {shown(name)}: {fault}")
    return ElementSet._holding(elements)
