"""Damaged parameter files, ``fm_setup.in`` and TOML inputs: each is read, or refused by an error of the package.

``python benchmarks/mutations_models.py [number] [seed]`` damages a good file of each kind so many times and prints how
many were read, refused and not found, and every other exception with the seed that makes the file again. A damaged
number must not take all the memory either, so the slowest file of each kind is told. The tests run a few hundred.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from hiertl_dist.errors import HiertlError
from hiertl_dist.io.fm_setup import read_fm_setup
from hiertl_dist.io.params_read import read_parameters
from hiertl_dist.jobs.input_file import Input
from hiertl_dist.model.basis import Basis

if TYPE_CHECKING:
    from collections.abc import Callable

ODD_NUMBERS: Final = (
    "9" * 5000, "1e999", "-1e999", "nan", "inf", "-inf", "²", "٣", "1_0", "0x10", "1e-400", "-1", "0", "1000000000",
    "1" + "0" * 18, "1" + "0" * 30, "1.", ".5", "1d0", "1e", "+", "-", "1,5", "½", "−1", "1e400", "true", '""', "[]",
    "''",
)  # fmt: skip
"""Words that take the place of numbers: too large, no numbers, digits of other scripts."""

ODD_WORDS: Final = (
    "", "\0", "\ufeff", "é", "C1", "CN", "Cl-", "a/b", "X" * 5000, "#", "!", "##", "=", "\n", "\r", "\t", "\v",
    "\x1c", "\u2028", "[", "]", "[[", "{", "}", '"', "'", "'''", "1979-05-27",
    "ENDFILE", "# ENDFILE #", "SPECIAL 3B", "EXCLUDED:",
)  # fmt: skip


def mutate(text: bytes, rng: Random) -> bytes:
    """A text with one to four kinds of damage."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        text = rng.choice(DAMAGES)(text, rng)
    return text


def _flip(text: bytes, rng: Random) -> bytes:
    changed = bytearray(text)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _tokens(text: bytes) -> list[bytes]:
    """Words and what is between them, in turns."""
    return re.split(rb"(\s+|[\[\]{}=,\"])", text)


def _replaced(text: bytes, rng: Random, words: tuple[str, ...], numbers: bool) -> bytes:
    tokens = _tokens(text)
    places = [i for i, t in enumerate(tokens) if t.strip() and (not numbers or re.match(rb"[+-]?\.?\d", t))]
    for i in rng.sample(places, min(len(places), rng.choice((1, 1, 1, 3)))):
        tokens[i] = rng.choice(words).encode()
    return b"".join(tokens)


def _odd_number(text: bytes, rng: Random) -> bytes:
    return _replaced(text, rng, ODD_NUMBERS, True)


def _odd_word(text: bytes, rng: Random) -> bytes:
    return _replaced(text, rng, (*ODD_WORDS, *ODD_NUMBERS), False)


def _swap(text: bytes, rng: Random) -> bytes:
    tokens = _tokens(text)
    places = [i for i, t in enumerate(tokens) if t.strip()]
    if len(places) > 1:
        a, b = rng.sample(places, 2)
        tokens[a], tokens[b] = tokens[b], tokens[a]
    return b"".join(tokens)


def _delete(text: bytes, rng: Random) -> bytes:
    tokens = _tokens(text)
    if tokens:
        del tokens[rng.randrange(len(tokens))]
    return b"".join(tokens)


def _delete_lines(text: bytes, rng: Random) -> bytes:
    lines = text.splitlines(keepends=True)
    if lines:
        start = rng.randrange(len(lines))
        del lines[start : start + rng.choice((1, 1, 2, 5))]
    return b"".join(lines)


def _repeat_lines(text: bytes, rng: Random) -> bytes:
    lines = text.splitlines(keepends=True)
    if lines:
        start = rng.randrange(len(lines))
        some = lines[start : start + rng.choice((1, 1, 2, 5))]
        place = rng.choice((start, rng.randrange(len(lines))))
        lines[place:place] = some * rng.choice((1, 1, 2, 30))
    return b"".join(lines)


def _swap_lines(text: bytes, rng: Random) -> bytes:
    lines = text.splitlines(keepends=True)
    if len(lines) > 1:
        a, b = rng.sample(range(len(lines)), 2)
        lines[a], lines[b] = lines[b], lines[a]
    return b"".join(lines)


def _truncate(text: bytes, rng: Random) -> bytes:
    return text[: rng.randrange(len(text) + 1)]


def _nest(text: bytes, rng: Random) -> bytes:
    """Brackets without end, which readers that call themselves do not survive."""
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice((b"[", b"{a=", b"(")) * rng.choice((1, 2000)) + text[at:]


DAMAGES: Final = (
    _flip, _odd_number, _odd_number, _odd_word, _swap, _delete, _delete_lines, _repeat_lines, _swap_lines, _truncate,
    _nest,
)  # fmt: skip


PARAMETERS: Final = """\
False
srun: job 17 started
! Written for this test
USECOUL: false
FITCOUL: false
USE3BCH: true
USE4BCH: true
EXCL1B: false
EXCL2B: false

PAIRTYP: CHEBYSHEV  3 2 2 -1 1

ATOM TYPES: 2

# TYPEIDX #	# ATM_TYP #	# ATMCHRG #	# ATMMASS #
0		C1		0		12.011
1		N		0		14.007

ATOM PAIRS: 3

# PAIRIDX #	# ATM_TY1 #	# ATM_TY1 #	# S_MINIM #	# S_MAXIM #	# S_DELTA #	# CHBDIST #	# MORSE_LAMBDA #
	0 C1 C1 0.98 5 0.01 MORSE 1.4
	1 N N 0.86 0.86 0.01 MORSE 1.09
	2 C1 N 0.9 5 0.01 MORSE 1.34

FCUT TYPE: TERSOFF 0.75

PAIR CHEBYSHEV PENALTY DIST:    0.02
PAIR CHEBYSHEV PENALTY SCALING: 1000000.0

SPECIAL 3B S_MAXIM: SPECIFIC 1
C1C1C1NC1N C1C1 C1N C1N 4.0 4.50000 4.50000
SPECIAL 4B S_MINIM: ALL 0.9

ATOM PAIR TRIPLETS: 1
ATOM PAIR QUADRUPLETS: 1

PAIR CHEBYSHEV PARAMS

PAIRTYPE PARAMS: 0 C1 C1

  0   1.5000000000000e+00
  1   2.0000000000000e+00
  2   3.0000000000000e+00

PAIRTYPE PARAMS: 2 N C1

  0   1.0000000000000e+00

TRIPLET CHEBYSHEV PARAMS

TRIPLETTYPE PARAMS:
   INDEX: 0 ATOMS: C1 C1 N
   PAIRS: C1C1 C1N C1N UNIQUE: 2 TOTAL: 3
     index  |  powers  |  equiv index  |  param index  |       parameter
   ----------------------------------------------------------------------------
      0      0 1 1      0      0       5.0
      1      1 0 1      1      1       4.0
      2      1 1 0      1      1       4.0

QUADRUPLET CHEBYSHEV PARAMS

QUADRUPLETYPE PARAMS:
   INDEX: 0 ATOMS: C1 C1 C1 C1
   PAIRS: C1C1 C1C1 C1C1 C1C1 C1C1 C1C1 UNIQUE: 1 TOTAL: 1
     index  |  powers  |  equiv index  |  param index  |       parameter
   ----------------------------------------------------------------------------
      0      1 1 1 1 1 1      0      0       0.25

PAIRMAPS: 4
0 C1C1
2 C1N
2 NC1
1 NN

NO ENERGY OFFSETS:  2
ENERGY OFFSET 1 0.0
ENERGY OFFSET 2 -61.5
ENDFILE
"""

SETUP: Final = """\
####### CONTROL VARIABLES #######
# TRJFILE #
    MULTI list.txt
# WRAPTRJ #
    true
# NFRAMES #
    2
# NLAYERS #
    1
# FITCOUL #
    false
# USECHNS #
    false
# FITSTRS #
    FIRST 1
# FITENER #
    true
# PAIRTYP #
    CHEBYSHEV 6 4 3 -1 1
# CHBTYPE #
    MORSE
####### TOPOLOGY VARIABLES #######
# NATMTYP #
    2
# TYPEIDX # # ATM_TYP # # ATMCHRG # # ATMMASS #
1  O  0.0  15.999
2  C1  0.0  12.011
# PAIRIDX # # ATM_TY1 # # ATM_TY1 # # S_MINIM # # S_MAXIM # # S_DELTA # # MORSE_LAMBDA # # USEOVRP #
1  O  O   1.0   4.0  0.01  1.4  false  0 0 0
2  C1 C1  0.9   4.1  0.01  1.5  false  0 0 0
3  O  C1  0.95  4.2  0.01  1.3  false  0 0 0
SPECIAL 3B S_MAXIM: SPECIFIC 2
OC1OC1C1C1 OC1 OC1 C1C1 3.0 3.0 3.5
OOOOOO OO OO OO 3.9 3.9 3.9
SPECIAL 4B S_MINIM: ALL 0.7
EXCLUDE 4B INTERACTION: 1
O C1 O C1
# FCUTTYP #
    TERSOFF 0.5
# ENDFILE #
"""

TRAJECTORY: Final = """\
3
9.0 9.0 9.0 1.0 2.0 3.0 -10.0
O 1.0 1.0 1.0 0.1 0.0 0.0
C1 2.5 1.0 1.0 0.0 0.1 0.0
O 4.0 1.5 1.0 -0.1 -0.1 0.0
"""

JOB: Final = """\
[basis]
elements = ["C1", "N"]
orders = [6, 4, 3]
transform = "MORSE"
cutoff = "TERSOFF 0.75"
exclude = ["C1-C1-C1-C1"]
one_body = true
masses = { C1 = 12.011 }
[basis.pairs]
C1-C1 = { rmin = 0.98, rmax = 5.0, lambda = 1.4 }
NN = { rmin = 0.86, rmax = 0.86, lambda = 1.09 }
C1-N = { rmin = 0.9, rmax = 5.0, lambda = 1.34 }
[basis.three_body]
rmax = { C1-N = 4.0 }
[basis.four_body]
rmax = 4.0
[basis.blocks.N]
orders = [6, 3, 0]
[basis.types.C1-N-N]
order = 3
rmax = { NN = 3.5 }

[[data]]
path = "*.extxyz"
start = 0
stop = 100
group_key = "source"
[hold_out]
groups = ["t03*"]
[fit]
regulariser = { kind = "ridge", alpha = 1e-4 }
weights = { force = 1.0, energy = 0.3, "stress" = 100 }
objective = "lsq"
method = "rfactor"
include_fewer = false
penalty = { scale = 1e6, distance = 0.02 }
partial = ["N"]
only = ["N", "C1-N"]
[fit.blocks.C1-N]
regulariser = { kind = "lasso", lam = 1e-5 }
[store]
path = "design.zarr"
keep_rows = true
memory = "8 GiB"
[output]
folder = "results"
units = "eV"
[executor]
kind = "serial"
workers = 2
[search]
summaries = "summaries"
strategy = "grid"
rule = "one_se"
folds = { count = 3, seed = 1 }
importance = { force = 1.0 }
[search.grid]
regulariser = { kind = "ridge", alpha = [1e-4, 1e-2] }
weights = [{ force = 1.0 }, { force = 2.0, energy = [1, 3] }]
orders = [[6, 4, 3], [4, 3, 0]]
exclude = [["4B"], []]
"""


@dataclass(frozen=True)
class Kind:
    """A kind of file: its name, good content, what reads it, files beside it."""

    name: str
    content: str
    read: Callable[[Path], object]
    beside: dict[str, str] = field(default_factory=dict)


KINDS: Final = (
    Kind("params.txt", PARAMETERS, read_parameters),
    Kind(
        "fm_setup.in", SETUP, read_fm_setup,
        {"list.txt": "2\n1 a.xyzf\n1 b.xyzf\n", "a.xyzf": TRAJECTORY, "b.xyzf": TRAJECTORY},
    ),
    Kind("input.toml", JOB, Input.from_toml),
    Kind("basis.toml", JOB.partition("[[data]]")[0], Basis.from_toml),
)  # fmt: skip


@dataclass
class Found:
    """What became of the damaged files of a kind: counts by outcome, foreign exceptions by seed, the slowest in s."""

    outcomes: Counter[str] = field(default_factory=Counter)
    foreign: dict[str, str] = field(default_factory=dict)
    slowest: tuple[float, str] = (0.0, "")


def run(kind: Kind, number: int, seed: int, folder: Path) -> Found:
    """Damage a good file of a kind so many times and read each."""
    for name, text in kind.beside.items():
        (folder / name).write_text(text)
    path = folder / kind.name
    found = Found()
    for i in range(number):
        name = f"{seed}:{i}"
        path.write_bytes(mutate(kind.content.encode(), Random(name)))
        start = time.perf_counter()
        try:
            kind.read(path)
            found.outcomes["read"] += 1
        except HiertlError:
            found.outcomes["refused"] += 1
        except OSError:  # a path in it leads nowhere
            found.outcomes["not found"] += 1
        except Exception as error:
            found.outcomes["foreign"] += 1
            found.foreign[name] = f"{type(error).__name__}: {error}"[:300]
        found.slowest = max(found.slowest, (time.perf_counter() - start, name))
    return found


def main() -> int:
    """Print a table; the exit code tells whether there were foreign exceptions."""
    number, seed = (int(word) for word in (*sys.argv[1:], *("3000", "0")[len(sys.argv) - 1 :]))
    bad = 0
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            kind.read(good(kind, Path(folder)))
            found = run(kind, number, seed, Path(folder))
        bad += len(found.foreign)
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(found.outcomes.items()))
        print(f"{kind.name}: {counts}; slowest {found.slowest[0]:.2f} s ({found.slowest[1]})")
        for name, text in found.foreign.items():
            print(f"  {name}: {text}")
    return int(bad > 0)


def good(kind: Kind, folder: Path) -> Path:
    """The undamaged file, with those beside it."""
    for name, text in (*kind.beside.items(), (kind.name, kind.content)):
        (folder / name).write_text(text)
    return folder / kind.name


if __name__ == "__main__":
    raise SystemExit(main())
