"""``survey``: what there is in a data set, before anything is fitted; a :class:`Survey` tells it to people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import FrameError
from ..frames.digests import first_equal
from ..frames.frame_sequence import sequence_of
from ..text.cards import survey_card
from ..text.display import Shown, table_text
from ..text.words import count_text
from ..units import EV
from .distances import REACH, PairDistances, described_pairs
from .energy_offsets import energy_offsets
from .frame_look import Sums, look_at_frames
from .isolated_atoms import IsolatedAtom, agreed_energies, disagreements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..executors.base import Executor
    from ..frames.element_set import ElementSet
    from ..frames.frame import Frame
    from ..frames.frame_facts import FrameFacts

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
    thinnest : ndarray
        Å, distance of the nearest two faces of each cell of a repeating frame.
    copies : int
        Frames whose configuration an earlier frame has.
    isolated : tuple of IsolatedAtom
        Frames of one atom without neighbours, with an energy.
    isolated_notes : tuple of str
        What was not taken for such a frame.
    telling : Mapping from ElementSet to int
        By element set of frames, labels that can tell something: those that are not zero by symmetry.
    isolated_frames : ndarray of int
        Numbers of the frames that are an isolated atom, with an energy or without.
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
    thinnest: NDArray[np.float64]
    copies: int
    telling: Mapping[ElementSet, int]
    isolated_frames: NDArray[np.int64]
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
        return int((self.thinnest < cutoff).sum())

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
        if len(self.thinnest):
            lines.append(
                f"cells: the thinnest is {float(self.thinnest.min()):.2f} Å from face to face, the median "
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
            "molecules": self.molecules, "thinnest_cell": min(self.thinnest.tolist(), default=None),
            "copies": self.copies,
        }  # fmt: skip


def survey(frames: Sequence[Frame], *, executor: Executor | None = None) -> Survey:
    """Look at all frames: elements, groups, labels and their spread, distances, cells.

    Of a :class:`~hiertl_dist.Dataset` no more than some ten bytes a frame are held here.

    Parameters
    ----------
    frames : sequence of Frame
        All of the data set, labelled or not.
    executor : Executor, optional
        Who looks at the frames; default: this process.

    Returns
    -------
    Survey
        What there is in them; ``text()`` tells it to people.

    Raises
    ------
    FrameError
        No frame, or a cell without volume, naming the frame.
    TaskFailed
        The latter of a worker.
    """
    sequence = sequence_of(frames)
    if not len(sequence):
        raise FrameError("survey: expected at least one frame, found none")
    if executor is not None:
        executor.require_alike(lambda: sequence.identities, "frames")
    facts = sequence.facts
    counted, look = look_at_frames(sequence, executor)
    offsets, undetermined, left = energy_offsets(facts)
    labels = [("energy", Sums.of(len(left), left)), ("force", look.forces), ("stress", look.stresses)]
    elements = facts.elements()
    isolated = sorted(look.isolated.atoms, key=lambda atom: atom.element)
    return Survey(
        len(sequence), int(facts.n_atoms.sum(dtype=np.int64)), elements, _groups(facts),
        _by_size(facts.set_names, facts.sets), _by_size(facts.compositions, facts.formula),
        tuple(LabelSpread(kind, s.frames, s.rows, s.rms, s.largest) for kind, s in labels if s.frames),
        int((facts.labels == 0).sum()), offsets, undetermined, described_pairs(elements, counted, look.closest),
        look.crystals, look.slabs, look.molecules, np.concatenate([np.empty(0), *look.thinnest]),
        int((first_equal(sequence.configurations) != np.arange(len(sequence))).sum()), look.telling,
        np.concatenate([np.empty(0, np.int64), *look.isolated.numbers]), tuple(isolated), look.isolated.notes,
    )  # fmt: skip


def _groups(facts: FrameFacts) -> dict[str, int]:
    """Number of frames of each group, in order of first appearance."""
    numbers = np.bincount(facts.group, minlength=len(facts.group_names))
    counts = dict(zip(facts.group_names, numbers.tolist(), strict=True))
    return {name: counts[name] for name in facts.groups()}


def _by_size(names: Sequence[str], codes: NDArray[np.int32]) -> dict[str, int]:
    """Number of frames of each name, shorter names first; several codes may have one name."""
    counts: dict[str, int] = {}
    for name, number in zip(names, np.bincount(codes, minlength=len(names)).tolist(), strict=True):
        if number:
            counts[name] = counts.get(name, 0) + number
    return dict(sorted(counts.items(), key=lambda item: (len(item[0]), item[0])))


def _counted(counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{name} {n}" for name, n in list(counts.items())[:MOST_SHOWN])
    return shown + (f", … ({len(counts)} in all)" if len(counts) > MOST_SHOWN else "")
