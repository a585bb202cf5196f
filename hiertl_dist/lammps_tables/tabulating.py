"""``tabulate``: a model of pairs and triplets as files for a LAMMPS without ChIMES, and how far the tables are off."""

from __future__ import annotations

import io
import math
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError
from ..files.paths import local_path, refuse_overwriting, replacing
from ..frames.type_names import cluster_name
from ..io.masses import MASSES
from ..model.missing_types import HOW_TO_ANSWER, types_text, unanswered_clusters
from ..text.display import Card, Shown, listed
from ..text.words import count_text
from ..units import EV
from .pairs import POINTS, pair_tables, write_pairs
from .triplets import splined, triplets_of, write_triplets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from ..evaluation.energies import Model
    from .pairs import PairTable
    from .triplets import Triplet, TripletSplines

FILES: Final = {"pairs": "pairs.table", "triplets": "triplets.uf3", "lines": "model.lammps"}

UNITS: Final = {"metal": EV, "real": 1.0}
"""kcal/mol per unit of energy of LAMMPS's units."""

FIRST: Final = 16
GROWTH: Final = 1.15
MOST: Final = 75
"""Intervals between the cutoffs of an edge: the first that are tried, how they grow at least, and the most that a table
has: with more, fewer digits of each coefficient fit into a line of LAMMPS's file, and tables get worse."""

MOST_LAYERS: Final = 4
"""Tables whose mean is a term; each takes LAMMPS as long as the first."""

ORDER: Final = 3
"""Errors of derivatives go with this power of the distance of knots."""


def _card(tables: LammpsTables) -> Card:
    facts = [
        ("types of atoms", f"{' '.join(tables.elements)}, in this order"),
        (
            "energies of free atoms",
            f"of {listed(list(tables.one_body))}: not in LAMMPS's" if tables.one_body else "none",
        ),
        ("memory of LAMMPS", f"{tables.memory / 1e6:.0f} MB in each process for triplets"),
    ]
    rows = tuple((t.triplet.kind.name, t.names[0], tables.errors[t.triplet.kind.name]) for t in tables.triplets)
    title = f"LammpsTables: {len(tables.pairs)} pairs, {len(rows)} triplets, units {tables.units}"
    return Card(title, tuple(facts), ("triplet", "centre", "error of derivatives"), rows)


@dataclass(frozen=True, eq=False, repr=False)
class LammpsTables(Shown, card=_card):
    """A model in tables.

    Attributes
    ----------
    units : {"metal", "real"}
        LAMMPS's units of the files.
    elements : tuple of str
        In the order of LAMMPS's types of atoms.
    pairs : tuple of PairTable
        Two-body terms with the wall.
    triplets : tuple of TripletSplines
        Three-body terms.
    errors : dict from str to float
        By three-body type, RMS error of derivatives by the edges of random triangles over their RMS size.
    one_body : dict from str to float
        Energies of free atoms, kcal/mol, which LAMMPS's energies lack.
    masses : dict from str to float
        By element.
    """

    units: str
    elements: tuple[str, ...]
    pairs: tuple[PairTable, ...]
    triplets: tuple[TripletSplines, ...]
    errors: dict[str, float]
    one_body: dict[str, float]
    masses: dict[str, float]

    @property
    def memory(self) -> int:
        """Bytes that LAMMPS takes for three-body tables in each process: four of the largest for each interaction."""
        largest = [max(t.splines for t in self.triplets if layer < len(t.layers)) for layer in range(self.layers)]
        return 4 * 8 * len(self.elements) ** 3 * sum(n**3 for n in largest)

    @property
    def layers(self) -> int:
        """How many files of triplets there are, whose sum LAMMPS takes."""
        return max((len(t.layers) for t in self.triplets), default=0)

    def write(self, folder: str | Path, *, overwrite: bool = False) -> tuple[Path, ...]:
        """Write the tables and the lines of LAMMPS's input that use them.

        Parameters
        ----------
        folder : str or Path
            Made if it is not there.
        overwrite : bool, default False
            Replace files that are there.

        Returns
        -------
        tuple of Path
            What was written.

        Raises
        ------
        InputError
            Files are there, which are named.
        OSError
            They can't be written.
        """
        place = local_path(folder, "folder of tables")
        unit = UNITS[self.units]
        layers = [place / _layer_file(layer) for layer in range(self.layers)]
        files = (place / FILES["pairs"], *layers, place / FILES["lines"])
        refuse_overwriting(files, overwrite, "tabulate -o")
        place.mkdir(parents=True, exist_ok=True)
        with _text_file(files[0]) as text:
            write_pairs(text, self.pairs, self.units, unit)
        for layer, path in enumerate(layers):
            with _text_file(path) as text:
                write_triplets(text, self.triplets, layer, self.elements, self.units, unit)
        with _text_file(files[-1]) as text:
            text.write(self.lines())
        return files

    def lines(self) -> str:
        """The lines of LAMMPS's input that use the files.

        Returns
        -------
        str
            Masses, pair_style and pair_coeff.
        """
        unit = UNITS[self.units]
        named = {"metal": "eV", "real": "kcal/mol"}[self.units]
        alone = ", ".join(f"{e} {v / unit!r}" for e, v in self.one_body.items()) or "none"
        table = f"table spline {POINTS - 1}"
        style = f"hybrid/overlay {table}{' uf3 3' * self.layers}" if self.triplets else table
        kind = "table " if self.triplets else ""
        out = [
            f"# A ChIMES model in tables: units {self.units}, newton on, atom types {' '.join(self.elements)}.",
            "# Run LAMMPS in this folder, or say where it is: lmp -var tables FOLDER …",
            f"# Energies of free atoms are not in it; {named} of each: {alone}.",
            "variable tables index .",
            *(f"mass {i} {self.masses[e]!r}" for i, e in enumerate(self.elements, 1)),
            f"pair_style {style}",
        ]
        number = {e: i for i, e in enumerate(self.elements, 1)}
        for pair in self.pairs:
            i, j = (number[e] for e in pair.elements)
            file, far = f"{kind}${{tables}}/{FILES['pairs']}", float(pair.distances[-1])
            out.append(f"pair_coeff {i} {j} {file} {pair.name} {far!r}")
        for layer in range(self.layers):
            which = f"uf3 {layer + 1}" if self.layers > 1 else "uf3"
            out.append(f"pair_coeff * * {which} ${{tables}}/{_layer_file(layer)} {' '.join(self.elements)}")
        return "\n".join(out) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """For JSON.

        Returns
        -------
        dict from str to Any
            Energies of free atoms in kcal/mol.
        """
        return {
            "elements": list(self.elements), "pairs": [p.name for p in self.pairs],
            "triplets": {t.triplet.kind.name: {"centre": t.names[0], "splines": t.splines, "layers": len(t.layers),
                                               "error": self.errors[t.triplet.kind.name]} for t in self.triplets},
            "one_body_kcal": self.one_body, "lammps_bytes": self.memory,
        }  # fmt: skip

    def text(self) -> str:
        """For a person.

        Returns
        -------
        str
            Lines.
        """
        rows = [f"elements, LAMMPS's types of atoms in this order: {' '.join(self.elements)}"]
        rows += [f"triplet {name}: derivatives off by {error:.1e} of their RMS" for name, error in self.errors.items()]
        if self.layers > 1:
            rows.append(f"triplets are the sum of {self.layers} tables, which takes LAMMPS {self.layers} times as long")
        if self.triplets:
            rows.append(f"LAMMPS takes about {self.memory / 1e6:.0f} MB for triplets in each of its processes")
        if self.one_body:
            rows.append(f"energies of free atoms ({', '.join(self.one_body)}) are not in LAMMPS's energies")
        return "\n".join(rows)


# long: its parameters are documented
def tabulate(model: Model, *, units: str = "metal", tolerance: float = 1e-4, missing: str = "refuse") -> LammpsTables:
    """Tables of a model of pairs and triplets that LAMMPS reads without ChIMES.

    Pairs, with the wall, are tables of 10 001 distances (``pair_style table``); triplets tensors of cubic B-splines
    (``pair_style uf3``, LAMMPS's package ML-UF3), with knots where they are needed. A table can have so many of them;
    where more are needed, up to four tables are summed, and LAMMPS takes as many times as long.

    Parameters
    ----------
    model : Model
        Without four-body terms.
    units : {"metal", "real"}
        LAMMPS's units of the tables.
    tolerance : float, default 1e-4
        Largest RMS error of derivatives of a three-body type over their RMS size, on random triangles from the closest
        contacts of the fitted frames, where these are known, to the cutoffs.
    missing : {"refuse", "zero"}
        What of cluster types of its elements that have no coefficients: to LAMMPS they are zero.

    Returns
    -------
    LammpsTables
        To be written by ``write(folder)``.

    Raises
    ------
    InputError
        Four-body terms; types without coefficients under ``missing="refuse"``; a tolerance that no table of acceptable
        size meets, with what the largest one gets.

    Examples
    --------
    >>> hiertl_dist.tabulate(model, tolerance=1e-5).write("tables")
    """
    parameters = model.parameters
    if units not in UNITS:
        raise InputError(f"units: expected one of {', '.join(UNITS)}, found {units!r}")
    if missing not in ("refuse", "zero"):
        raise InputError(f"missing: expected 'refuse' or 'zero', found {missing!r}")
    if not 0.0 < tolerance < 1.0:
        raise InputError(f"tolerance: expected a number between 0 and 1, found {tolerance!r}")
    if four := [t.name for t in parameters.basis.types if t.body == 4]:
        raise InputError(
            f"{parameters.source}: {count_text(len(four), 'type')} of four atoms ({', '.join(four[:6])}), which tables "
            "can't hold: LAMMPS needs pair_style chimesFF for this model"
        )
    if missing == "refuse" and (lacking := unanswered_clusters([parameters])):
        raise InputError(
            f"{parameters.source} has no coefficients for {types_text(map(cluster_name, lacking))} of its elements, "
            f"which LAMMPS would count as zero: {HOW_TO_ANSWER}"
        )
    elements = tuple(parameters.basis.elements)
    made = [_within(t, tolerance, UNITS[units]) for t in triplets_of(parameters)]
    ones = {c.elements[0]: float(v) for c, v in zip(parameters.columns, parameters.coefficients, strict=True)
            if len(c.elements) == 1}  # fmt: skip
    return LammpsTables(
        units, elements, pair_tables(parameters, elements), tuple(s for s, _ in made),
        {s.triplet.kind.name: error for s, error in made}, ones, _masses(parameters.basis.masses, elements),
    )  # fmt: skip


@contextmanager
def _text_file(path: Path) -> Iterator[TextIO]:
    with replacing(path) as stream:
        text = io.TextIOWrapper(stream, "utf-8")
        yield text
        text.flush()
        text.detach()  # the file is closed by whoever opened it


def _layer_file(layer: int) -> str:
    return FILES["triplets"] if layer == 0 else f"triplets{layer + 1}.uf3"


def _within(triplet: Triplet, tolerance: float, unit: float) -> tuple[TripletSplines, float]:
    """Splines on as few knots as do, and their error; more knots than one table can have go into several."""
    intervals, best = FIRST, math.inf
    while True:
        layers = -(-intervals // MOST)
        splines = splined(triplet, -(-intervals // layers), layers)
        error = splines.error(unit)
        if error <= tolerance:
            return splines, error
        best = min(best, error)
        if intervals == MOST * MOST_LAYERS:
            break
        needed = intervals * 0.95 * (error / tolerance) ** (1.0 / ORDER)
        intervals = int(min(max(needed, intervals * GROWTH + 1), MOST * MOST_LAYERS))
    raise InputError(
        f"tabulate: {triplet.kind.name}: tables of LAMMPS's format get its derivatives within {best:.1e} of their RMS, "
        f"not {tolerance:g}: give a tolerance that is not below that, or use LAMMPS with pair_style chimesFF"
    )


def _masses(given: Any, elements: Sequence[str]) -> dict[str, float]:
    masses = {e: float(given.get(e, MASSES.get(e, 0.0))) for e in elements}
    if unknown := [e for e, m in masses.items() if not m]:
        raise InputError(
            f"tabulate: no mass is known of {', '.join(unknown)}, which LAMMPS needs: state it in the basis (masses)"
        )
    return masses
