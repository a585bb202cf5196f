"""Lines of atoms, many frames in one call: words to numbers and types.

Numbers come out as Python's ``float`` gives them, correctly rounded. m × 10^e is one multiplication or division of two
exact numbers where m < 2^53 and |e| ≤ 22 (W. D. Clinger, PLDI 1990). Longer m, up to 19 digits, with a negative e are
divided in twice the precision, and taken where what is left over can't change the rounding. Other words are listed, for
Python to read. What is anything but a line as it should be is left alone: its frame is one for the careful reader.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from ...compiled.cache import forget_other_sources, kernel
from .columns import PLACES, POSITIONS, TYPE

TEN: Final = np.array([10.0**k for k in range(23)])
"""Powers of ten that are exact."""

EXACT: Final = np.uint64(2**53)
"""Of 64 bits without a sign, as what it is held against: numba compares others as doubles, and 2^53 + 1 is none."""

MOST_DIGITS: Final = 19
"""Digits that a whole number of 64 bits has room for."""

LONGEST: Final = 8
"""Letters of a name that are told apart here; they are one number of 64 bits."""

SPLITTER: Final = 134217729.0
"""2^27 + 1, which splits a number into halves of 26 bits."""

TIE: Final = 2.0**-40
"""How far, as a fraction of what is left over, the sum may move and must round the same; its error is below 2^-50."""

jit = kernel(nogil=True, error_model="numpy")
helper = kernel(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


@helper
def divided(mantissa, ten):
    """The double nearest to a whole number above 2^53 divided by a power of ten, and whether it surely is."""
    high = np.float64(mantissa)
    if high >= 9223372036854775808.0:  # it may have been rounded up, beyond what is subtracted below
        return 0.0, False
    low = np.float64(np.int64(mantissa) - np.int64(high))
    quotient = high / ten
    # quotient × ten without rounding, as the product and what it lacks (T. J. Dekker, 1971)
    product = quotient * ten
    a = SPLITTER * quotient
    a1 = a - (a - quotient)
    a2 = quotient - a1
    b = SPLITTER * ten
    b1 = b - (b - ten)
    b2 = ten - b1
    lacks = ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2
    rest = (((high - product) - lacks) + low) / ten
    value = quotient + rest
    more = quotient + rest * (1.0 + TIE)
    less = quotient + rest * (1.0 - TIE)
    return value, more == less


# long: one pass over the letters, without calls in it
@jit
def read_lines(text, starts, counts, layouts, widths, columns, rows, types, words, slow, farthest, faults):
    """Read the lines of the atoms of several frames.

    Parameters
    ----------
    text : ndarray of uint8
        The text, whose last letter ends a line.
    starts, counts, layouts : ndarray of int64, shape (n,)
        Of each frame, where its first atom stands, how many atoms there are, and the number of their layout.
    widths : ndarray of int64, shape (layouts,)
        How many columns a line has.
    columns : ndarray of int64, shape (layouts, most columns)
        What is done with each: :mod:`~hiertl_dist.io.kernels.columns`.
    rows : ndarray of float64, shape (atoms, 7)
        Gets the numbers: positions, forces, an atomic number.
    types : ndarray of int64, shape (atoms,)
        Gets the number of each atom's word in ``words``.
    words : ndarray of uint64, shape (most words,)
        Gets the words of types, as many as the first number returned; letters are the bytes, the last one lowest.
    slow : ndarray of int64, shape (most, 3)
        Gets the words that Python is to read: first letter, end, index in ``rows`` raveled.
    farthest : float
        A coordinate beyond this is not plain.
    faults : ndarray of uint8, shape (n,)
        Frames marked are passed over; gets a mark for each frame that is not plain.

    Returns
    -------
    tuple of int
        How many words of types there are, and how many words are left to Python.
    """
    n_words = 0
    n_slow = 0
    row = 0
    for frame in range(len(starts)):
        first = row
        row += counts[frame]
        if faults[frame]:
            continue
        at = starts[frame]
        layout = layouts[frame]
        width = widths[layout]
        slow_before = n_slow
        bad = False
        for atom in range(first, row):
            column = 0
            letter = text[at]
            while True:
                while letter == 32 or letter == 9:
                    at += 1
                    letter = text[at]
                if letter == 10:
                    break
                if letter == 13:
                    at += 1
                    bad = text[at] != 10
                    break
                if column == width or letter < 32 or letter > 126:
                    bad = True
                    break
                does = columns[layout, column]
                column += 1
                if does < 0:
                    begin = at
                    word = np.uint64(0)
                    while letter > 32 and letter < 127:
                        word = (word << np.uint64(8)) | np.uint64(letter)
                        at += 1
                        letter = text[at]
                    if does == TYPE:
                        if at - begin > LONGEST:
                            bad = True
                            break
                        # as the atom before, mostly
                        code = types[atom - 1] if atom > first else 0
                        if n_words == 0 or words[code] != word:
                            code = 0
                            while code < n_words and words[code] != word:
                                code += 1
                            if code == len(words):
                                bad = True
                                break
                            if code == n_words:
                                words[code] = word
                                n_words += 1
                        types[atom] = code
                    continue
                begin = at
                negative = letter == 45
                if letter == 45 or letter == 43:
                    at += 1
                    letter = text[at]
                mantissa = np.uint64(0)
                digits = 0
                power = 0
                any_digit = False
                while letter >= 48 and letter <= 57:
                    any_digit = True
                    mantissa = mantissa * np.uint64(10) + np.uint64(letter - 48)
                    digits += digits > 0 or letter != 48
                    at += 1
                    letter = text[at]
                if letter == 46:
                    at += 1
                    letter = text[at]
                    while letter >= 48 and letter <= 57:
                        any_digit = True
                        mantissa = mantissa * np.uint64(10) + np.uint64(letter - 48)
                        digits += digits > 0 or letter != 48
                        power -= 1
                        at += 1
                        letter = text[at]
                if not any_digit:
                    bad = True
                    break
                if (letter | 32) == 101 or (letter | 32) == 100:  # e, or Fortran's d
                    at += 1
                    letter = text[at]
                    minus = letter == 45
                    if letter == 45 or letter == 43:
                        at += 1
                        letter = text[at]
                    exponent = 0
                    if letter < 48 or letter > 57:
                        bad = True
                        break
                    while letter >= 48 and letter <= 57:
                        if exponent < 100000:
                            exponent = exponent * 10 + (letter - 48)
                        at += 1
                        letter = text[at]
                    power += -exponent if minus else exponent
                if letter != 32 and letter != 9 and letter != 10 and letter != 13:
                    bad = True
                    break
                value = 0.0
                sure = digits <= MOST_DIGITS
                if sure and mantissa:
                    if mantissa <= EXACT and -22 <= power <= 22:
                        value = np.float64(mantissa) / TEN[-power] if power < 0 else np.float64(mantissa) * TEN[power]
                    elif -22 <= power < 0:
                        value, sure = divided(mantissa, TEN[-power])
                    else:
                        sure = False
                if not sure:
                    slow[n_slow, 0] = begin
                    slow[n_slow, 1] = at
                    slow[n_slow, 2] = atom * PLACES + does
                    n_slow += 1
                if does < POSITIONS and value > farthest:
                    bad = True
                    break
                rows[atom, does] = -value if negative else value
            if bad or column != width:
                bad = True
                break
            at += 1
        if bad:
            faults[frame] = 1
            n_slow = slow_before
    return n_words, n_slow


forget_other_sources(read_lines.stats.cache_path, Path(__file__).parent)
