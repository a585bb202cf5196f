"""Names of atom types, and how several of them make the name of a cluster, a block or a composition.

A type is a chemical element as a rule; coarse-grained and labelled models have others (``C1``, ``1``, ``CH2``,
``H+``). Names that all look like chemical symbols (a capital, then a small letter or none) run together: ``CCN``,
``C75N25``. As soon as one does not, hyphens stand between them: ``C1-C1-N``, ``C1_75-N_25``. A hyphen within a name is
doubled there (the type ``Cl-`` beside ``H+`` is ``Cl---H+``), and a type that stands alone and would read as several
symbols (a bead called ``CN``) has an underscore before it: ``_CN``. So every name that is made here can be taken apart
again.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ..errors import BasisError
from ..text.words import shown, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Elements = tuple[str, ...]
"""Type names of a cluster or a block, sorted: element symbols as a rule."""

LONGEST: Final = 40
"""Characters of a name; names of blocks are names of folders."""

RESERVED: Final = (
    "1B", "2B", "3B", "4B", "1b", "2b", "3b", "4b", "all", "force", "stress", "energy", "stress_diagonal",
    "stress_off_diagonal", "ENDFILE",
)  # fmt: skip
"""Words that stand for bodies, totals, kinds of rows or the end of a file wherever a type could be named."""

FORBIDDEN: Final = '/\\:,;=!#"|<>'
"""Characters that separate, quote or start a comment in files, paths or options."""

SYMBOL: Final = re.compile(r"[A-Z][a-z]?")
_SYMBOLS: Final = re.compile(r"(?:[A-Z][a-z]?)+")
_SHARES: Final = re.compile(r"(?:[A-Z][a-z]?[0-9]+){2,}")


def name_fault(name: str) -> str:
    """Why a word cannot be the name of an atom type; empty where it can."""
    if not name:
        return "it is empty"
    if len(name) > LONGEST:
        return f"it has {len(name)} characters, more than {LONGEST}"
    if not (name[0].isalpha() or name[0] in "0123456789"):
        return "a name begins with a letter or a digit"
    if wrong := sorted({c for c in name if c in FORBIDDEN or c.isspace() or not c.isprintable()}):
        return f"it contains {' '.join(map(repr, wrong))}"
    if name in RESERVED:
        return f"the words {', '.join(RESERVED)} have another meaning"
    return "" if SYMBOL.fullmatch(name) or not _reads_as_number(name) else "it reads as a number"


def _reads_as_number(name: str) -> bool:
    """Whether a word is a number but a whole one without a sign, which beads are called."""
    if name.isascii() and name.isdigit():
        return False
    try:
        float(name)
    except ValueError:
        return False
    return True


def cluster_name(elements: Iterable[str]) -> str:
    """Name of a cluster, or of the block of a set of elements: ``CCN``, ``C1-C1-N``; the types are sorted."""
    names = sorted(elements)
    if all(map(SYMBOL.fullmatch, names)):
        return "".join(names)
    return _alone(names[0], _SYMBOLS) if len(names) == 1 else "-".join(map(_escaped, names))


@lru_cache(maxsize=4096)
def split_symbols(name: str) -> Elements:
    """``"CCN"`` or ``"C-C-N"`` → ``("C", "C", "N")``, ``"C1-N"`` → ``("C1", "N")``, sorted.

    It takes apart what :func:`cluster_name` makes. Whether there are such types is for the caller to know: a word
    that is no run of symbols is one type of that name.

    Raises
    ------
    BasisError
        What no names of types make.
    """
    if _SYMBOLS.fullmatch(name):
        return tuple(sorted(SYMBOL.findall(name)))
    names = [name[1:]] if _is_marked(name, _SYMBOLS) else _split_hyphens(name)
    for part in names:
        if fault := name_fault(part):
            raise BasisError(
                f"expected element symbols such as 'CN' or 'MoNb', or names of types with hyphens between them such as "
                f"'C1-C1-N', found {shown(name)}: {shown(part)} is no name, {fault}"
            )
    return tuple(sorted(names))


def composition_name(amounts: Mapping[str, int]) -> str:
    """A composition: ``C75N25``, ``C1_75-N_25``; of one type alone just its name.

    Parameters
    ----------
    amounts : mapping from str to int
        The amount of each type, in per cent, say.

    Returns
    -------
    str
        Types in the order of their names.
    """
    if len(amounts) == 1:
        (name,) = amounts
        return name if SYMBOL.fullmatch(name) else _alone(name, _SYMBOLS, _SHARES)
    return formula_name(amounts)


def formula_name(amounts: Mapping[str, int]) -> str:
    """A chemical formula: ``C24N8``, ``C1_24-N_8``, also of one type alone; the types are sorted."""
    names = sorted(amounts)
    if all(map(SYMBOL.fullmatch, names)):
        return "".join(f"{name}{amounts[name]}" for name in names)
    return "-".join(f"{_escaped(name)}_{amounts[name]}" for name in names)


@lru_cache(maxsize=4096)
def elements_of_composition(composition: str) -> frozenset[str]:
    """The types of a composition that :func:`composition_name` made; none of an empty one.

    Raises
    ------
    BasisError
        It is no composition.
    """
    if not composition:
        return frozenset()
    if _SYMBOLS.fullmatch(composition) or _SHARES.fullmatch(composition):
        return frozenset(SYMBOL.findall(composition))
    if _is_marked(composition, _SYMBOLS, _SHARES):
        return frozenset((composition[1:],))
    names = _split_hyphens(composition)
    if len(names) > 1:
        parts = [name.rpartition("_") for name in names]
        names = [name if whole_number(amount) is not None else "" for name, _, amount in parts]
    for name in names:
        if fault := name_fault(name):
            raise BasisError(
                f"expected a composition such as 'C75N25' or 'C1_75-N_25', found {shown(composition)}: {fault}"
            )
    return frozenset(names)


def _escaped(name: str) -> str:
    return name.replace("-", "--")


def _alone(name: str, *others: re.Pattern[str]) -> str:
    """A type's name where it stands alone; marked if it would be read as something else."""
    return f"_{name}" if any(p.fullmatch(name) for p in others) else _escaped(name)


def _is_marked(text: str, *others: re.Pattern[str]) -> bool:
    return text.startswith("_") and not SYMBOL.fullmatch(text[1:]) and any(p.fullmatch(text[1:]) for p in others)


def _split_hyphens(text: str) -> list[str]:
    if "\0" in text:
        return [text]
    # no name begins with a hyphen, so the first two of three are one within a name
    return [part.replace("\0", "-") for part in text.replace("--", "\0").split("-")]
