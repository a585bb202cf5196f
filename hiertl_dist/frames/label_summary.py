"""``LabelSummary``: how many frames of each source have which label, under which keys, and what was passed over."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..text.display import Shown
from ..text.words import count_text, shown
from .frame_sequence import sequence_of
from .labels import LABELS, WORD, LabelOrigin, likeness, takes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .frame import Frame

MOST_SHOWN: Final = 20
"""Sources, and names of look-alikes, that the text of a summary shows."""


@dataclass
class SourceLabels:
    """The labels of one source, in numbers of frames.

    Attributes
    ----------
    source : str
        A file or pattern.
    frames : int
        How many frames.
    found : dict from str to Counter
        Per label, the key that it was read under and in how many frames.
    left_out : Counter
        Per label, in how many frames it was read but not kept (a molecule's stress, what FITENER leaves out).
    named : dict from (str, str) to int
        Keys that the user named, as (label, key), and in how many frames each was found.
    passed_over : dict from str to dict
        Per label, each look-alike with the number of frames that have it, and of those without the label.
    notes, doubts : dict from str to (int, str)
        Each with the number of frames and the origin of the first.
    zero_energies : int
        Frames whose energy is exactly 0 although there are forces in it.
    """

    source: str
    frames: int = 0
    found: dict[str, Counter[str]] = field(default_factory=lambda: {label: Counter() for label in LABELS})
    left_out: Counter[str] = field(default_factory=Counter)
    named: dict[tuple[str, str], int] = field(default_factory=dict)
    passed_over: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    notes: dict[str, tuple[int, str]] = field(default_factory=dict)
    doubts: dict[str, tuple[int, str]] = field(default_factory=dict)
    zero_energies: int = 0

    def count(self, label: str) -> int:
        """How many frames have the label."""
        return sum(self.found[label].values())

    def line(self) -> str:
        """One line for people: frames, each label with its count and its keys, look-alikes."""
        words = []
        for label in LABELS:
            keys = ", ".join(_short(key) for key in self.found[label] if key)
            words.append(
                f"{label} {self.count(label)}" + f" (key {keys})" * bool(keys)
                + (f", read and left out {n}" if (n := self.left_out[label]) else "")
            )  # fmt: skip
        alike = [_short(name) for names in self.passed_over.values() for name in names]
        passed = f"; passed over: {_listed(alike)}" if alike else ""
        return f"{self.source}: {count_text(self.frames, 'frame')}; {', '.join(words)}{passed}"

    def warnings(self) -> list[str]:
        """What is likely wrong, a sentence each."""
        messages = [
            f"the {label} key {shown(key)} was named and is in {n} of {self.frames} frames only"
            for (label, key), n in self.named.items()
            if n < self.frames
        ]
        for label, names in self.passed_over.items():
            if missed := {name: without for name, (_, without) in names.items() if without}:
                messages.append(_missed(label, missed, self))
        messages += self._other_family()
        messages += [f"{text} ({_times(n, first)})" for text, (n, first) in self.doubts.items()]
        if self.zero_energies and self.zero_energies == self.count("energy"):
            messages.append(
                f"the energy is exactly 0 in all {self.zero_energies} frames that have one, although there are forces: "
                "made up by the program that wrote it? Then leave it out: weights = { energy = 0 } in [fit] (in Python "
                "also Frame.without_labels(energy=True))"
            )
        return [f"{self.source}: {text}" for text in messages]

    def _other_family(self) -> list[str]:
        """REF_energy was named and REF_forces is there, but forces were read under their usual name."""
        messages = []
        for label, key in self.named:
            like = likeness(key)
            prefix = key[: like.start] if like else ""
            own_label = "stress" if label == "virial" else label
            for other, names in self.passed_over.items() if prefix else ():
                mates = [name for name in names if name.startswith(prefix)]
                elsewhere = self.count(other) and not any(name.startswith(prefix) for name in self.found[other])
                if mates and elsewhere and other != own_label:
                    messages.append(
                        f"{label} is read from {_short(key)}, but {other} from {_listed(self.found[other])}, although "
                        f"there is {_listed(mates)}: do they belong together?"
                    )
        return messages

    def remarks(self) -> list[str]:
        """Notes, a sentence each."""
        texts = [f"{self.source}: {text} ({_times(n, first)})" for text, (n, first) in self.notes.items()]
        if 0 < self.zero_energies < self.count("energy"):
            zeros = count_text(self.zero_energies, "frame")
            texts.append(f"{self.source}: the energy is exactly 0 in {zeros} with forces")
        return texts

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "source": self.source, "frames": self.frames, "line": self.line(),
            "found": {label: dict(self.found[label]) for label in LABELS}, "left_out": dict(self.left_out),
            "named": [{"label": label, "key": key, "frames": n} for (label, key), n in self.named.items()],
            "passed_over": {
                label: {name: {"frames": n, "without_the_label": without} for name, (n, without) in names.items()}
                for label, names in self.passed_over.items()
            },
            "notes": self.remarks(), "warnings": self.warnings(),
        }  # fmt: skip


def _times(n: int, first: str) -> str:
    return f"{count_text(n, 'frame')}, the first: {first}"


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:40]}…"


def _listed(names: Iterable[str]) -> str:
    short = [_short(name) for name in names]
    return ", ".join(short[:MOST_SHOWN]) + (f" and {len(short) - MOST_SHOWN} more" if len(short) > MOST_SHOWN else "")


def _missed(label: str, missed: dict[str, int], source: SourceLabels) -> str:
    names = _listed(f"{_short(name)} ({n})" for name, n in missed.items())
    if label == "lattice":
        return (
            f"frames without a Lattice are isolated molecules; passed over, in how many of them: {names}. Extended XYZ "
            "keeps the lattice vectors under Lattice, as nine numbers"
        )
    without = source.frames - source.count(label)
    text = f"{without} of {source.frames} frames are without {label}; passed over, in how many of them: {names}. "
    text += "If that is meant, "
    best = max(missed, key=lambda name: missed[name])
    if best.endswith(WORD):
        return f"{text}write it as {label}=number"
    like = likeness(best)
    option = like.label if like and label == "stress" else label
    return f"{text}{takes(option, best[:40], 'reads it')}"


@dataclass(frozen=True, repr=False)
class LabelSummary(Shown):
    """Which labels were found where; made by :func:`summarise_labels`.

    Attributes
    ----------
    sources : tuple of SourceLabels
        The labels of each source (file, pattern, or ``frames made in Python``), in the order of first appearance.
    """

    sources: tuple[SourceLabels, ...]

    def text(self) -> str:
        """What was found, for people.

        Returns
        -------
        str
            A line for each source, then notes and warnings, the first 20 of each.
        """
        return labels_text(self.as_dict())

    def warnings(self) -> tuple[str, ...]:
        """What is likely wrong.

        Returns
        -------
        tuple of str
            A sentence each, in the order of the sources; empty where nothing is.
        """
        return tuple(text for source in self.sources for text in source.warnings())

    def as_dict(self) -> list[dict[str, Any]]:
        """The summary as JSON can hold it.

        Returns
        -------
        list of dict
            One object for each source: its frames, keys, look-alikes, notes and warnings.
        """
        return [source.as_dict() for source in self.sources]


def summarise_labels(frames: Iterable[Frame]) -> LabelSummary:
    """How many frames of each source have which label, under which keys, and what was passed over.

    Parameters
    ----------
    frames : iterable of Frame
        Frames of any reader; those made in Python count as one source, ``frames made in Python``.

    Returns
    -------
    LabelSummary
        The labels of each source, in the order in which sources first appear.
    """
    sources: dict[str, SourceLabels] = {}
    for alike in sequence_of(frames).alike_labels():
        name = "frames made in Python" if alike.labels is None else alike.labels.source
        source = sources.setdefault(name, SourceLabels(name))
        has_label = dict(zip(LABELS, (alike.energy, alike.forces, alike.stress), strict=True))
        _enter(source, alike.labels or LabelOrigin(""), has_label, alike.frames, alike.first)
        source.zero_energies += alike.zero_energies
    return LabelSummary(tuple(sources.values()))


def _enter(source: SourceLabels, origin: LabelOrigin, has: dict[str, bool], n: int, first: str) -> None:
    """Count ``n`` frames that were read alike."""
    source.frames += n
    keys: dict[str, str] = {}
    for label, key in origin.keys:
        keys[label] = f"{keys[label]} and {key}" if label in keys else key
    for label in LABELS:
        if has[label]:
            source.found[label][keys.get(label, "")] += n
        elif label in keys:
            source.left_out[label] += n
    for label, key in origin.named:
        met = ("stress" if label == "virial" else label, key) in origin.keys
        source.named[label, key] = source.named.get((label, key), 0) + met * n
    for label, name in origin.passed_over:
        counts = source.passed_over.setdefault(label, {}).setdefault(name, [0, 0])
        counts[0] += n
        # what was read and not kept is not missed
        counts[1] += n * (not has.get(label, False) and label not in keys)
    for texts, kept in ((origin.notes, source.notes), (origin.doubts, source.doubts)):
        for text in texts:
            before, earliest = kept.get(text, (0, first))
            kept[text] = (before + n, earliest)


def labels_text(sources: Iterable[Mapping[str, Any]]) -> str:
    """The text of :meth:`LabelSummary.as_dict`."""
    sources = list(sources)
    parts = (
        ("source", "", [source["line"] for source in sources]),
        ("note", "  note: ", [one for source in sources for one in source["notes"]]),
        ("warning", "  warning: ", [one for source in sources for one in source["warnings"]]),
    )
    lines = []
    for what, before, texts in parts:
        lines += [before + one for one in texts[:MOST_SHOWN]]
        if (more := len(texts) - MOST_SHOWN) > 0:
            lines.append(f"  … and {more} more {what}s")
    return "\n".join(lines)
