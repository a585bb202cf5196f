"""Damaged trajectories, and ASE's Atoms with odd labels: each is read, or refused by an error of the package.

``python benchmarks/mutations_frames.py [number] [seed]`` does for the readers of frames what ``mutations_models.py``
does for those of models, with the same kinds of damage. A warning of numpy counts as a foreign exception, for it tells
of an overflow that nobody looked at.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from mutations_models import Found, Kind, good, run

from hiertl_dist import frames_from_ase, read_frames
from hiertl_dist.errors import HiertlError, HiertlWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

USUAL: Final = """\
3
Lattice="8.0 0.0 0.0 0.5 9.0 0.0 0.0 0.25 10.0" Properties=species:S:1:pos:R:3:forces:R:3 config_type=bulk energy=-1.5 \
stress="0.1 0.0 0.01 0.0 0.2 0.0 0.01 0.0 0.3" pbc="T T T"
C   0.0 0.0 0.0   0.1 0.2 0.3
C   1.5 0.0 0.0  -0.1 -0.2 -0.3
N   1.5 1.5 0.5   0.0 0.0 0.0
2
config_type= energy=-2.5 Lattice="8 0 0 0 9 0 0 0 10" Properties=species:S:1:pos:R:3:forces:R:3 pbc="T T F" \
free_energy=-2.6
N 0 0 0 1e-3 2D-3 .5
N 0 0 1.1 -1e-3 -2d-3 -.5
"""

ODD: Final = """\
2
pbc=T T T Lattice=[[8,0,0],[0,9,0],[0,0,10]] virial={1 2 3 4 5 6} note="a \\"b\\" c" \
properties='Z:I:1:magmom:R:1:pos:R:3' \
REF_energy = -3.25, "two words"=5 flag units=eV
6 0.1 0.0 0.0 0.0
7 0.2 1.5 0.0 0.0
1
Lattice="4 0 0 0 4 0 0 0 0" pbc="TRUE T F" dft_energy=1 REF_energy="-1.0" Properties=species:S:1:pos:R:3:tag:S:2
C1 0 0 0 a b
2
ordinary words of the run of May, E -93.1, E -93.1
C 0 0 0 0.1 0.2 0.3
N 0 0 1.2 0.1 0.2 0.3
"""

XYZF: Final = """\
2
9.0 9.0 9.0 1.0 2.0 3.0 -12.5
C 0.0 0.0 0.0  0.1 0.2 0.3
N 1.5 0.0 0.0  -0.1 -0.2 -0.3
1
NON_ORTHO 8 0 0 1 9 0 2 3 10 1 2 3 4 5 6 -5.5
C1 0.0 0.0 0.0  0.1 0.2D0 0.3
"""


def read_quietly(path: Path, **options: Any) -> list[Any]:
    """Read; the package's own warnings are part of a good answer, others are not."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", HiertlWarning)
        return read_frames(path, **options)


KINDS: Final = (
    Kind("usual.extxyz", USUAL, read_quietly),
    Kind("groups.extxyz", USUAL, lambda path: read_quietly(path, group_key="config_type")),
    Kind("odd.xyz", ODD, read_quietly),
    Kind("keys.xyz", ODD, lambda path: read_quietly(path, energy_key="REF_energy", virial_key="virial")),
    Kind("ortho.xyzf", XYZF, read_quietly),
)

ODD_VALUES: Final = (
    None, float("nan"), float("inf"), 1e308, 10**400, -0.0, "", "x", "²", "-1.5", b"1", [], [1], [[1.0, 2.0], [3.0]],
    {}, {"a": 1}, object(), True, 1j, np.array(1.0), np.array([1.0]), np.ones(3), np.ones((3, 3)), np.ones((2, 3)),
    np.ones((2, 3), object), np.array(["a"]), np.full((2, 3), np.nan), np.ones(6), np.arange(9.0), np.ones((2, 3, 1)),
    np.ones((2, 3), complex), np.ma.masked_all((2, 3)),
)  # fmt: skip
"""What takes the place of a label, a position, a cell."""


def damaged_images(rng: Random) -> Iterator[Any]:
    """Atoms with labels in a calculator, in info and in arrays, of which one thing is odd; or no Atoms."""
    import ase
    from ase.calculators.singlepoint import SinglePointCalculator

    for _ in range(2):
        atoms = ase.Atoms("CN", [[0, 0, 0], [1.5, 0, 0]], cell=[8, 9, 10], pbc=True)
        atoms.calc = SinglePointCalculator(atoms)
        atoms.calc.results = {"energy": -1.0, "forces": np.ones((2, 3)), "stress": np.ones(6)}
        atoms.info |= {"energy": -1.0, "config_type": "a"}
        yield atoms
    place = rng.choice(("results", "info", "arrays", "positions", "cell", "pbc", "calc", "moved", "none"))
    key = rng.choice(("energy", "forces", "stress", "virial", "free_energy", "config_type"))
    value = rng.choice(ODD_VALUES)
    if place == "results":
        atoms.calc.results[key] = value
    elif place == "info":
        atoms.info[rng.choice((key, 7, ("a", "b")))] = value
    elif place == "arrays":
        atoms.arrays[key] = value
    elif place in ("positions", "cell"):
        getattr(atoms, place)[0] = rng.choice((0.0, np.nan, np.inf, 1e308, 1e7, 1.5))
    elif place == "pbc":
        atoms.pbc = [rng.random() < 0.5 for _ in range(3)]
    elif place == "calc":
        atoms.calc.results = rng.choice((None, {}, {"energy": value}))
    elif place == "moved":
        atoms.positions += rng.choice((1e-3, 0.0, 1e-12))
    yield value if place == "none" else atoms


def run_atoms(number: int, seed: int) -> Found:
    """Damage Atoms so many times and make frames of them."""
    found = Found()
    for i in range(number):
        name = f"{seed}:{i}"
        start = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", HiertlWarning)
                frames_from_ase(list(damaged_images(Random(name))), group_key="config_type")
            found.outcomes["read"] += 1
        except HiertlError:
            found.outcomes["refused"] += 1
        except Exception as error:
            found.outcomes["foreign"] += 1
            found.foreign[name] = f"{type(error).__name__}: {error}"[:300]
        found.slowest = max(found.slowest, (time.perf_counter() - start, name))
    return found


def main() -> int:
    """Print a table; the exit code tells whether there were foreign exceptions."""
    number, seed = (int(word) for word in (*sys.argv[1:], *("3000", "0")[len(sys.argv) - 1 :]))
    bad = 0
    for kind in (*KINDS, None):
        with tempfile.TemporaryDirectory() as folder:
            if kind is None:
                found = run_atoms(number, seed)
            else:
                kind.read(good(kind, Path(folder)))
                found = run(kind, number, seed, Path(folder))
        bad += len(found.foreign)
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(found.outcomes.items()))
        name = "ASE Atoms" if kind is None else kind.name
        print(f"{name}: {counts}; slowest {found.slowest[0]:.2f} s ({found.slowest[1]})")
        for at, text in found.foreign.items():
            print(f"  {at}: {text}")
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main())
