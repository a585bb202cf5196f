"""``survey``: what there is in a data set, before anything is fitted; a :class:`Survey` tells it to people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import FrameError
from ..text.cards import survey_card
from ..text.display import Shown, table_text
from ..text.words import count_text
from ..units import EV, KCAL_PER_A3_IN_GPA
from .distances import REACH, PairDistances, heights, pair_distances
from .isolated_atoms import IsolatedAtom, agreed_energies, disagreements, isolated_atoms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..frames.frame import Frame

LABEL_UNITS: Final = {
    "eV": {"energy": ("eV/atom", EV), "force": ("eV/Å", EV), "stress": ("GPa", 1.0)},
    "kcal": {"energy": ("kcal/mol/atom", 1.0), "force": ("kcal/mol/Å", 1.0), "stress": ("GPa", 1.0)},
}
"""By the units of a table: unit of each kind of label, and what one of it is in those of :class:`LabelSpread`."""

MOST_SHOWN: Final = 20
"""Groups and compositions that the text names."""


@dataclass(frozen=True)
class LabelSpread:
    """How many labels of a kind there are, and how far they are spread: what a model has to describe.

    Attributes
    ----------
    kind : {"force", "stress", "energy"}
        Kind of label.
    frames : int
        Frames that have the label.
    rows : int
        Numbers that are fitted.
    rms : float
        kcal/mol/Å of force components, GPa of stress components, kcal/mol/atom of energies after the best offsets of
        the elements are taken away (see :func:`energy_offsets`).
    largest : float
        The largest in size of the same.
    """

    kind: str
    frames: int
    rows: int
    rms: float
    largest: float


@dataclass(frozen=True, eq=False, repr=False)
class Survey(Shown, card=survey_card):
    """What there is in a data set.

    Attributes
    ----------
    frames : int
        How many.
    atoms : int
        How many in all frames together.
    elements : tuple of str
        Sorted symbols.
    groups : Mapping from str to int
        Number of frames of each group.
    element_sets : Mapping from str to int
        Number of frames of each set of elements (``"CN"``).
    compositions : Mapping from str to int
        Number of frames of each composition (``"C75N25"``).
    labels : tuple of LabelSpread
        Of each kind that occurs.
    unlabelled : int
        Frames without any label.
    offsets : Mapping from str to float
        kcal/mol for an atom of each element: energies of atoms that describe the total energies best.
    undetermined : tuple of str
        Elements whose offsets the compositions do not tell apart.
    pairs : tuple of PairDistances
        Distances of each pair of elements, in Å.
    crystals : int
        Frames that repeat in three directions.
    slabs : int
        Frames that repeat in one or two.
    molecules : int
        Frames that repeat in none.
    thinnest : tuple of float
        Å, distance of the nearest two faces of each cell of a repeating frame.
    copies : int
        Frames whose configuration an earlier frame has.
    isolated : tuple of IsolatedAtom
        Frames of one atom without neighbours, with an energy.
    isolated_notes : tuple of str
        What was not taken for such a frame.
    label_text : str
        Under which keys the labels were found, as the readers say.
    """

    frames: int
    atoms: int
    elements: tuple[str, ...]
    groups: Mapping[str, int]
    element_sets: Mapping[str, int]
    compositions: Mapping[str, int]
    labels: tuple[LabelSpread, ...]
    unlabelled: int
    offsets: Mapping[str, float]
    undetermined: tuple[str, ...]
    pairs: tuple[PairDistances, ...]
    crystals: int
    slabs: int
    molecules: int
    thinnest: tuple[float, ...]
    copies: int
    isolated: tuple[IsolatedAtom, ...] = ()
    isolated_notes: tuple[str, ...] = ()
    label_text: str = ""

    def label(self, kind: str) -> LabelSpread | None:
        """The spread of one kind of label.

        Parameters
        ----------
        kind : {"force", "stress", "energy"}
            Kind of label.

        Returns
        -------
        LabelSpread or None
            ``None`` where no frame has such a label.
        """
        return next((s for s in self.labels if s.kind == kind), None)

    def thinner(self, cutoff: float) -> int:
        """Repeating frames whose cell is thinner than a cutoff in a direction: atoms meet their own images.

        Parameters
        ----------
        cutoff : float
            Å.

        Returns
        -------
        int
            How many.
        """
        return sum(t < cutoff for t in self.thinnest)

    def text(self, units: str = "eV") -> str:
        """What there is, for people.

        Parameters
        ----------
        units : {"eV", "kcal"}, optional
            Of energies and forces; stresses are in GPa with either.

        Returns
        -------
        str
            Several lines: frames and groups, a table of labels, a table of pairs, energies of single atoms.
        """
        return "\n\n".join(
            part for part in (self._what(), self._labels(units), self._pairs(), self._energies(units)) if part
        )

    def _what(self) -> str:
        kinds = [(self.crystals, "periodic"), (self.slabs, "slabs or wires"), (self.molecules, "molecules")]
        lines = [
            f"{count_text(self.frames, 'frame')} ({', '.join(f'{n} {what}' for n, what in kinds if n)}), "
            f"{count_text(self.atoms, 'atom')} of {', '.join(self.elements)}",
            f"element sets: {_counted(self.element_sets)}", f"compositions: {_counted(self.compositions)}",
            f"groups: {_counted(self.groups)}",
        ]  # fmt: skip
        if self.thinnest:
            lines.append(
                f"cells: the thinnest is {min(self.thinnest):.2f} Å from face to face, the median "
                f"{float(np.median(self.thinnest)):.2f} Å"
            )
        if self.copies:
            lines.append(f"{count_text(self.copies, 'frame')} with the configuration of an earlier one")
        return "\n".join(lines)

    def _labels(self, units: str) -> str:
        rows = []
        for s in self.labels:
            unit, one = LABEL_UNITS[units][s.kind]
            rows.append([s.kind, s.frames, s.rows, f"{s.rms / one:.4g}", f"{s.largest / one:.4g}", unit])
        table = table_text(["label", "frames", "numbers", "rms", "largest", "unit"], rows) if rows else "no labels"
        missing = [k for k in ("energy", "force", "stress") if self.label(k) is None]
        lines = [self.label_text] if self.label_text else []
        lines += [table]
        if missing:
            lines.append(f"no frame has: {', '.join(missing)}")
        if self.unlabelled:
            lines.append(f"{count_text(self.unlabelled, 'frame')} without any label")
        return "\n".join(lines)

    def _pairs(self) -> str:
        rows = []
        for p in self.pairs:
            numbers = [p.shortest, p.peak, p.valley]
            rows.append([p.name, *(float("nan") if x is None else x for x in numbers), p.origin or "–"])
        header = ["pair", "closest, Å", "first peak\nof g(r), Å", "minimum\nbehind, Å", "closest in"]
        return table_text(header, rows)

    def _energies(self, units: str) -> str:
        if not self.offsets:
            return ""
        unit, one = LABEL_UNITS[units]["energy"]
        offsets = ", ".join(f"{e} {v / one:.4f}" for e, v in self.offsets.items())
        text = f"energies of single atoms that describe the total energies best, {unit}: {offsets}"
        if self.undetermined:
            text += f"\nthe compositions do not tell the energies of {', '.join(self.undetermined)} apart"
        return "\n".join([text, *self._isolated(unit, one)])

    def _isolated(self, unit: str, one: float) -> list[str]:
        agreed = agreed_energies(self.isolated)
        own = ", ".join(f"{a.element} {a.energy / one:.4f} ({a.origin})" for a in self.isolated if a.element in agreed)
        lines = [f"isolated atoms (none other within {REACH:g} Å), {unit}: {own}"] if own else []
        return [*lines, *disagreements(self.isolated, unit, one), *self.isolated_notes]

    def as_dict(self) -> dict[str, Any]:
        """The survey as JSON can hold it.

        Returns
        -------
        dict
            Energies in kcal/mol, forces in kcal/mol/Å, distances in Å, stresses in GPa.
        """
        return {
            "frames": self.frames, "atoms": self.atoms, "elements": list(self.elements), "groups": dict(self.groups),
            "element_sets": dict(self.element_sets), "compositions": dict(self.compositions),
            "labels": {s.kind: {"frames": s.frames, "rows": s.rows, "rms": s.rms, "largest": s.largest}
                       for s in self.labels},
            "label_sources": self.label_text, "unlabelled_frames": self.unlabelled,
            "energy_offsets": dict(self.offsets), "undetermined_offsets": list(self.undetermined),
            "isolated_atoms": [a.as_dict() for a in self.isolated], "isolated_notes": list(self.isolated_notes),
            "pairs": [p.as_dict() for p in self.pairs], "periodic": self.crystals, "slabs": self.slabs,
            "molecules": self.molecules, "thinnest_cell": min(self.thinnest, default=None), "copies": self.copies,
        }  # fmt: skip


def survey(
    frames: Sequence[Frame],
    *,
    watch: Callable[[Iterable[Frame], str], Iterable[Frame]] = lambda frames, _: frames,
) -> Survey:
    """Look at all frames: elements, groups, labels and their spread, distances, cells.

    Parameters
    ----------
    frames : sequence of Frame
        All of the data set, labelled or not.
    watch : callable taking an iterable of Frame and a str, optional
        Wraps the frames as they are looked at, to show progress; the str says what is done.

    Returns
    -------
    Survey
        What there is in them; ``text()`` tells it to people.

    Raises
    ------
    FrameError
        No frame, or a cell without volume, naming the frame.
    """
    if not frames:
        raise FrameError("survey: expected at least one frame, found none")
    offsets, undetermined, left = energy_offsets(frames)
    labels = [
        _spread("energy", [np.array([e]) for e in left]),
        _spread("force", [f.forces for f in frames if f.forces is not None]),
        _spread("stress", [KCAL_PER_A3_IN_GPA * f.stress for f in frames if f.stress is not None]),
    ]
    seen = Counter(f.configuration for f in frames)
    return Survey(
        len(frames), sum(map(len, frames)), tuple(sorted(set().union(*(f.elements for f in frames)))),
        Counter(f.group for f in frames),
        dict(_by_size(Counter(f.element_set for f in frames))),
        dict(_by_size(Counter(f.composition for f in frames))),
        tuple(s for s in labels if s is not None),
        sum(f.energy is None and f.forces is None and f.stress is None for f in frames),
        offsets, undetermined, pair_distances(frames, watch),
        sum(f.periodic for f in frames), sum(f.cell is not None and not f.periodic for f in frames),
        sum(f.cell is None for f in frames), tuple(t for f in frames if (t := thinnest(f)) is not None),
        sum(n - 1 for n in seen.values()), *isolated_atoms(frames),
    )  # fmt: skip


def thinnest(frame: Frame) -> float | None:
    """Å, how far apart the nearest two faces of a cell are that the frame repeats across; ``None`` for a molecule."""
    distances = heights(frame)
    return float(distances.min()) if len(distances) else None


def energy_offsets(frames: Sequence[Frame]) -> tuple[dict[str, float], tuple[str, ...], NDArray[np.float64]]:
    """Energies of single atoms that describe the total energies of some frames best: least squares, per atom.

    Parameters
    ----------
    frames : sequence of Frame
        Those without an energy are passed over.

    Returns
    -------
    offsets : dict from str to float
        Energy of an atom of each element, kcal/mol.
    undetermined : tuple of str
        Elements whose energies the compositions do not tell apart; theirs are the smallest that do.
    left : ndarray of shape (frames with an energy,)
        What is left of each frame's energy, kcal/mol an atom.
    """
    known = [f for f in frames if f.energy is not None]
    if not known:
        return {}, (), np.empty(0)
    elements = sorted(set().union(*(f.elements for f in known)))
    shares = np.array([[f.species.count(e) / len(f) for e in elements] for f in known])
    energies = np.array([f.energy / len(f) for f in known if f.energy is not None])
    offsets, _, rank, _ = np.linalg.lstsq(shares, energies, rcond=1e-9)
    loose: tuple[str, ...] = ()
    if rank < len(elements):
        _, _, directions = np.linalg.svd(shares)
        free = np.abs(directions[rank:]).max(axis=0)
        loose = tuple(e for e, f in zip(elements, free, strict=True) if f > 1e-6)
    return dict(zip(elements, offsets.tolist(), strict=True)), loose, energies - shares @ offsets


def _spread(kind: str, labels: Sequence[NDArray[np.float64]]) -> LabelSpread | None:
    if not labels:
        return None
    values = np.concatenate([np.ravel(v) for v in labels])
    values = values[np.isfinite(values)]
    largest = float(np.abs(values).max(initial=0.0))
    return LabelSpread(kind, len(labels), len(values), float(np.sqrt(np.mean(values**2))), largest)


def _by_size(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (len(item[0]), item[0]))


def _counted(counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{name} {n}" for name, n in list(counts.items())[:MOST_SHOWN])
    return shown + (f", … ({len(counts)} in all)" if len(counts) > MOST_SHOWN else "")
