"""What is asked of a library: where it is, what is stated of the data, which versions count, what is accepted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..errors import BasisError, InputError
from ..files.paths import local_path
from ..frames.element_set import ElementSet
from ..text.display import Shown
from ..text.problems import Problems
from ..text.words import shown
from .labels import Label, checked_label

ORDERS: Final = "orders"
THEORY: Final = "theory"
REFERENCE: Final = "energy_reference"
LOWER: Final = "lower_blocks"

ROWS: Final = "rows"
"""Folder of design stores in a library."""

GATES: Final = (ORDERS, THEORY, REFERENCE, LOWER)
"""In what a block of a library may differ and yet be used, if it is accepted by name."""


@dataclass(frozen=True, repr=False)
class LibrarySettings(Shown):
    """How a fit uses a library: the table ``[library]`` of an input file.

    Attributes
    ----------
    path : Path
        Folder of the library; it is made with the first block.
    theory : str or Mapping
        Level of theory of the data at hand: a text, or a table of texts and numbers; ``"unknown"`` if nobody knows it.
    energy_reference : str or Mapping
        What the zero of their energies is, stated alike. In a table, keys that are elements are compared for the
        elements that a block has.
    versions : Mapping from str to str
        By block, the version that counts here, or how it begins; default: those in use.
    update : tuple of str
        Blocks that are fitted anew, to a further version that is in use from then on.
    accept : Mapping from str to tuple of str
        By block, in what it may differ from the input and be used all the same: of ``"orders"`` (its own are lower),
        ``"theory"``, ``"energy_reference"`` and ``"lower_blocks"``. Recorded with each block that is fitted upon it.
    covariance : bool
        Keep the covariance of the coefficients of blocks that are fitted.

    Raises
    ------
    InputError
        Naming every value at fault.
    """

    path: Path
    theory: Label
    energy_reference: Label
    versions: Mapping[str, str] = field(default_factory=dict)
    update: tuple[str, ...] = ()
    accept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    covariance: bool = True

    def __post_init__(self) -> None:
        problems = Problems()
        values: dict[str, object] = {}
        with problems.noting():
            values["path"] = local_path(self.path, "library.path")
        for name in ("theory", "energy_reference"):
            with problems.noting():
                values[name] = checked_label(getattr(self, name), f"library.{name}")
        with problems.noting():
            values["versions"] = checked_versions(self.versions, "library.versions")
        with problems.noting():
            values["update"] = tuple(block_named(b, "library.update") for b in self.update)
        with problems.noting():
            values["accept"] = checked_accept(self.accept, "library.accept")
        problems.settle()
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if both := sorted(set(self.update) & set(self.versions)):
            raise InputError(f"library: {both} are in versions and in update; a block is taken or fitted anew")

    @property
    def rows(self) -> Path:
        """Where fits keep their design stores if they are given no other place."""
        return self.path / ROWS


def block_named(name: object, where: str) -> ElementSet:
    """The block of a name. Raises InputError, naming where it stands, for what is no name."""
    try:
        return ElementSet.parse(name)  # type: ignore[arg-type]  # what is no text is refused
    except BasisError as error:
        raise InputError(f"{where}: {error}") from error


def checked_versions(given: Mapping[str, str], where: str) -> dict[ElementSet, str]:
    """Versions by block. Raises InputError for what is none."""
    versions: dict[ElementSet, str] = {}
    for name, version in given.items():
        if not isinstance(version, str) or not version.strip():
            raise InputError(f"{where}.{name}: expected a version such as '1a2b3c', found {shown(version)}")
        versions[block_named(name, where)] = version.strip()
    return versions


def checked_accept(given: Mapping[str, Iterable[str]], where: str) -> dict[str, tuple[str, ...]]:
    """What is accepted, by block. Raises InputError for what can't be."""
    accepted: dict[str, tuple[str, ...]] = {}
    for name, kinds in given.items():
        listed = tuple(kinds) if isinstance(kinds, list | tuple) else (kinds,)
        if wrong := [k for k in listed if k not in GATES]:
            raise InputError(
                f"{where}.{name}: expected some of {GATES}, found {shown(wrong[0])}; cutoffs, λ, transform and cutoff "
                "function can't differ in one model"
            )
        block = block_named(name, where)
        accepted[block] = tuple(dict.fromkeys((*accepted.get(block, ()), *listed)))
    return accepted
