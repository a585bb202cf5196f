"""Numbers as they stand in files and options, and values cut to a length that a message can hold."""

from __future__ import annotations

import math
import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


_ORDINALS: Final = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()


def shown(value: object, longest: int = 60) -> str:
    """A value for a message: its repr, cut where it is longer than that many characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python writes no integers of more than 4300 digits, nor lists too deep
        return f"{type(value).__name__} that is too long to write"
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def count_text(number: int, noun: str) -> str:
    """``3 frames``, ``1 frame``; of several words the first is counted: ``1 pair of atoms``."""
    first, space, rest = noun.partition(" ")
    return f"{number} {first}{'s' * (number != 1)}{space}{rest}"


def percent_text(share: float) -> str:
    """A share of 1 as per cent, to two digits: ``100 %``, ``37 %``, ``0.25 %``."""
    percent = 100.0 * share
    return f"{percent:.0f} %" if percent >= 9.95 else f"{percent:.2g} %"


def whole_number(word: str) -> int | None:
    """An integer of at most 18 ASCII digits, with or without a sign; None for any other word.

    Python's own ``int`` takes ``1_0`` and digits of other scripts, and raises ValueError beyond 4300 digits.
    """
    return int(word) if _WHOLE.fullmatch(word) else None


def finite_number(word: str) -> float | None:
    """A finite number in ASCII digits; None for any other word, ``nan``, ``1_0`` and ``1e999`` among them."""
    value = float(word) if _NUMBER.fullmatch(word) else math.nan
    return value if math.isfinite(value) else None


def ordinal(number: int) -> str:
    """``1`` → ``a first``, ``11`` → ``an eleventh``, ``21`` → ``a 21st``."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    word = _ORDINALS[number] if 0 <= number < len(_ORDINALS) else f"{number}{ending}"
    return f"{'an' if word.startswith(('e', '8')) or number == 18 else 'a'} {word}"


def toml_table(path: Path, error: type[Exception]) -> dict[str, Any]:
    """The content of a TOML file.

    Parameters
    ----------
    path : Path
        The file.
    error : type of Exception
        What to raise, naming the file, where it is no valid TOML. ``tomllib`` itself raises several things: its own
        error for grammar, ValueError for an integer of more than 4300 digits, RecursionError for a thousand brackets.

    Returns
    -------
    dict
        As ``tomllib`` gives it.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as stream:
        content = stream.read()
    try:
        table = tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError, OverflowError) as cause:
        # what people have before there is an input file
        other = "" if path.suffix == ".toml" else (
            '; an fm_setup.in is named in an input file (fm_setup = "fm_setup.in"), and of trajectories '
            "hiertl-dist init makes one"
        )  # fmt: skip
        # Python's own advice there is about a setting of the interpreter
        long = "set_int_max_str_digits" in str(cause)
        reason = f"{_long_integer(content)}: expected a number that a double holds" if long else str(cause)[:200]
        raise error(f"{path}: not valid TOML: {reason}{other}") from cause
    return table


def _long_integer(content: bytes) -> str:
    """Where a file has an integer of so many digits that Python reads none, and how it begins."""
    for number, line in enumerate(content.decode("utf-8-sig").splitlines(), 1):
        if match := re.search(r"[0-9][0-9_]{4000,}", line):
            key = line[: match.start()].strip().rstrip("=").strip()[-60:]
            return f"line {number}: {key or 'a value'} is an integer of {len(match[0])} digits, {match[0][:10]}…"
    return "an integer of more than 4300 digits"
