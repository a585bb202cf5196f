"""What messages of several problems are made of: :class:`Problems`, and what is said of keys that mean nothing."""

from __future__ import annotations

import difflib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import HiertlError, InputError
from .table_keys import elsewhere, spellings
from .words import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping


# ---- keys


def require_known(
    table: Any, known: Collection[str], where: str, kind: type[HiertlError] = InputError, *, here: str = ""
) -> None:
    """Raise an error of a kind, naming the place, where a table is none or has keys that mean nothing.

    ``here`` is what the table is called where the keys of all tables are listed, if it lacks some of them.
    """
    if not isinstance(table, dict):
        raise kind(f"{where}: expected a table, found {shown(table)}")
    if unknown := set(table) - set(known):
        raise kind(f"{where}: {unknown_keys_message(unknown, sorted(known), here)}")


def unknown_keys_message(unknown: Iterable[Any], known: Iterable[str], here: str = "") -> str:
    """What to say of keys that mean nothing: which they are, which are known, and which were perhaps meant."""
    wrong, right = sorted(map(str, unknown)), list(known)
    other = elsewhere(wrong, here)
    lower = {name.lower(): name for name in right}
    close = {key: difflib.get_close_matches(key.lower(), lower, 1) for key in wrong}
    likely = {key: lower[names[0]] for key, names in close.items() if names}
    meant = ", ".join(repr(to) if len(wrong) == 1 else f"{to!r} for {key!r}" for key, to in likely.items())
    listed = ", ".join(map(shown, wrong))
    belongs = "".join(f"; {shown(key)} is a key of {place}" for key, place in other.items())
    return f"unknown keys [{listed}]; known are {right}{f'; did you mean {meant}?' if meant else ''}{belongs}"


def respelled(table: Mapping[str, Any], known: Iterable[str], where: str) -> dict[str, Any]:
    """A table with its known keys as they are spelt here: ``regularizer`` is taken for ``regulariser``.

    Raises InputError where a key is given in both spellings.
    """
    names = set(known)
    renamed: dict[str, Any] = {}
    for key, value in table.items():
        name = key if key in names else next((s for s in spellings(key) if s in names), key)
        if name in renamed:
            both = " and ".join(repr(k) for k in table if k == name or (k not in names and name in spellings(k)))
            raise InputError(f"{where or 'input'}: {both} are the same key, given twice")
        renamed[name] = value
    return renamed


# ---- all problems at once


class Problems:
    """Collects what is wrong, so that all of it is told at once and not one thing a run.

    Attributes
    ----------
    found : list of str
        The text of each problem, in the order in which they were met.
    silent : tuple of str
        Names of keys of which nothing more is to be said.
    """

    def __init__(self, kind: type[HiertlError] = InputError) -> None:
        self._kind = kind
        self.found: list[str] = []
        self.silent: tuple[str, ...] = ()
        self._errors: list[HiertlError] = []

    def add(self, text: str) -> None:
        """Note a problem, an error of the kind that all of these are."""
        self._note(self._kind(text))

    def _note(self, error: HiertlError) -> None:
        texts = (t for t in error.problems or (str(error),) if t.partition(":")[0] not in self.silent)
        new = [text for text in texts if text not in self.found]
        if new:
            self.found += new
            self._errors.append(error)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note what is raised within, if it is an error of this package, and go on behind it."""
        try:
            yield
        except HiertlError as error:
            self._note(error)

    def settle(self, kind: type[HiertlError] = InputError) -> None:
        """Raise what was found: a single exception as it was, several as one of ``kind``, a line for each."""
        if len(self._errors) == 1:
            raise self._errors[0]
        if self.found:
            raise joined(self.found, kind)


def joined(texts: Iterable[str], kind: type[HiertlError], where: str = "") -> HiertlError:
    """One exception that tells of several problems, a line for each."""
    listed = tuple(texts)
    lines = "".join(f"\n  {text}" for text in listed)
    error = kind(f"{where}{len(listed)} problems:{lines}")
    error.problems = listed
    return error
