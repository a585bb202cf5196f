"""Under which keys a data set keeps groups and labels, where nobody says: guesses, each of which is told.

``inspect``, ``init`` and ``evaluate`` read with them, all three by :func:`read_guessed`.

Extended XYZ, and what ASE reads, has usual names (``energy``, ``forces``, ``stress``, ``virial``), and files that name
the level of theory have others (``dft_energy``, ``REF_forces``). What looks like a label is the rule of
:mod:`~hiertl_dist.frames.labels`. A look-alike is only taken where the usual name is in no frame and it is the only
one; of several, one whose name says that it is the reference. Readers themselves never guess.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..dataset.dataset import Dataset
from ..frames.label_summary import LabelSummary, summarise_labels
from ..frames.labels import ALIKE, SIZES, likeness, other_quantity, says_reference
from ..io.text_files import find_files
from ..io.trajectories import format_of, is_fm_setup, iter_frames
from ..jobs.data_tables import dataset_of
from .file_keys import GROUP_KEYS, FileKeys, file_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from ..frames.frame import Frame

GROUPS: Final = "groups are told apart by the key"

MOST_FILES: Final = 20
FIRST_FRAMES: Final = 200
"""How much is looked at for a key that nobody named."""


@dataclass(frozen=True)
class DataSource:
    """One ``[[data]]`` table: files that are read alike.

    Attributes
    ----------
    paths : tuple of str
        As they were given, patterns included.
    options : mapping from str to str
        Those of :func:`~hiertl_dist.read_frames`.
    """

    paths: tuple[str, ...]
    options: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Keyword arguments of :func:`~hiertl_dist.read_frames`."""
        return {"path": list(self.paths), **self.options}


def guess_sources(
    paths: Iterable[str],
    given: Mapping[str, str | None] | None = None,
    watch: Callable[[Iterable[Any], str], Iterable[Any]] = lambda items, _: items,
) -> tuple[tuple[DataSource, ...], tuple[str, ...]]:
    """How to read some files: keys of groups and labels that are not given are guessed from what the files name.

    Parameters
    ----------
    paths : iterable of str
        Files and patterns.
    given : mapping from str to str or None, optional
        Options of :func:`~hiertl_dist.read_frames` that the user states, such as ``{"group_key": "traj"}``; an empty
        ``group_key``: groups are the names of the files, and nothing is guessed.
    watch : callable, optional
        Wraps the files as they are looked at, with a word for it, to show progress.

    Returns
    -------
    sources : tuple of DataSource
        How the files are read.
    notes : tuple of str
        A sentence for each guess and for each choice that was left to the user.

    Raises
    ------
    FrameError, InputError, OSError
        As of the reader.
    """
    stated = {k: v for k, v in (given or {}).items() if v is not None}
    paths = list(paths)
    find_files(paths)  # refuses a file that is named twice
    files = {path: [file for file, _ in find_files(path)] for path in paths}
    all_files = [file for matched in files.values() for file in matched]
    formats = {file: format_of(file, stated.get("format")) for file in all_files}
    named = [file for file, kind in formats.items() if kind != "xyzf"]
    keys = {file: file_keys(file, formats[file]) for file in watch(named, f"look for keys in {', '.join(paths)}")}
    # a key that is named means those that have keys; where no file has, the reader refuses it
    kept = {k: v for k, v in stated.items() if v and (not keys or not k.endswith("_key"))}
    notes: dict[str, list[str]] = {}
    group = stated.get("group_key")
    if group is None and "group" not in stated:
        group = guess_group_key(list(keys.values()), notes)
    options: dict[Path, dict[str, str]] = {}
    for file in all_files:
        options[file] = dict(kept)
        if file in keys:
            options[file] |= ({"group_key": group} if group else {}) | guess_label_keys(keys[file], stated, notes)
    sources: list[DataSource] = []
    for path, matched in files.items():
        alike = all(options[f] == options[matched[0]] for f in matched)
        for one, use in [(path, options[matched[0]])] if alike else [(str(f), options[f]) for f in matched]:
            same = next((s for s in sources if s.options == use), None)
            if same is None:
                sources.append(DataSource((str(one),), use))
            else:
                sources[sources.index(same)] = DataSource((*same.paths, str(one)), use)
    messages = (text if len(keys) == 1 else f"{text} ({_files(where)})" for text, where in notes.items())
    return tuple(sources), tuple(messages)


@dataclass(frozen=True, eq=False)
class GuessedFrames:
    """Frames that were read with guesses.

    Attributes
    ----------
    frames : sequence of Frame
        The frames of all files, or a data set.
    sources : tuple of DataSource
        How the files were read.
    notes : tuple of str
        What was guessed about that.
    labels : LabelSummary
        What was found under which keys.
    formats : frozenset of str
        Those of the files: ``"extxyz"``, ``"xyzf"`` (ChIMES' own), ``"ase"``; none of a data set.
    """

    frames: Sequence[Frame]
    sources: tuple[DataSource, ...]
    notes: tuple[str, ...]
    labels: LabelSummary
    formats: frozenset[str]

    @property
    def units(self) -> str:
        """Of tables, where nobody says: ``"eV"``, as of extended XYZ, ``"kcal"`` where all files are ChIMES' own."""
        return "kcal" if self.formats == {"xyzf"} else "eV"

    @property
    def keyed(self) -> bool:
        """Whether there are files whose labels are under keys: of every format but ChIMES' own."""
        return bool(self.formats - {"xyzf"})

    def _units(self) -> list[str]:
        return [text for kind, text in UNITS.items() if kind in self.formats]

    def text(self) -> str:
        """How everything was read, in the words of the command line."""
        lines = [f"note: {note}" for note in self.notes] + [self.labels.text(), *self._units()]
        if not self.formats:
            return "\n".join(lines)
        if not any("group_key" in s.options for s in self.sources):
            lines.append("groups: the names of the files" + "; --group-key KEY takes them from the frames" * self.keyed)
        elif any(note.startswith(GROUPS) for note in self.notes):
            lines.append("groups: --group-by-file takes the names of the files instead")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "sources": [s.as_dict() for s in self.sources], "labels": self.labels.as_dict(),
            "notes": [*self.notes, *self._units()],
        }  # fmt: skip


UNITS: Final = {
    "extxyz": (
        "units of extended XYZ: taken for eV, eV/Å, eV/Å³ (stress) and eV (virial); labels in others must be "
        "converted first; --energy-key, --forces-key, --stress-key, --virial-key name other keys"
    ),
    "xyzf": "units of .xyzf: ChIMES' own, energies in kcal/mol, forces in Hartree/Bohr, stresses in GPa",
    "ase": "units of what ASE reads: eV, eV/Å and eV/Å³, to which ASE converts those of the program",
}
"""What is said of the units of each format."""


def read_guessed(
    paths: Iterable[str],
    given: Mapping[str, str | None] | None = None,
    watch: Callable[[Iterable[Any], str], Iterable[Any]] = lambda items, _: items,
) -> GuessedFrames:
    """Read files as :func:`guess_sources` says; it raises what that raises. A data set stays where it is.

    Parameters
    ----------
    paths : iterable of str
        Files and patterns, or the folder of one data set.
    given : mapping from str to str or None, optional
        As for :func:`guess_sources`.
    watch : callable, optional
        Wraps files as they are looked at and frames as they are read, with a word for it, to show progress.

    Returns
    -------
    GuessedFrames
        The frames, and what was guessed.
    """
    paths = list(paths)
    folder = dataset_of({"path": paths, **{k: v for k, v in (given or {}).items() if v is not None}})
    if folder is not None:
        data = Dataset(folder)
        return GuessedFrames(data, (DataSource((str(folder),), {}),), (), summarise_labels(data), frozenset())
    sources, notes = guess_sources(paths, given, watch)
    frames = [f for s in sources for f in watch(iter_frames(**s.as_dict()), f"read {', '.join(s.paths)}")]
    formats = {format_of(file, s.options.get("format")) for s in sources for p in s.paths for file, _ in find_files(p)}
    return GuessedFrames(frames, sources, notes, summarise_labels(frames), frozenset(formats))


def _files(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more files" if len(names) > 3 else "")


def guess_group_key(files: Sequence[FileKeys], notes: dict[str, list[str]]) -> str | None:
    """The key that every frame has and that parts the frames into groups, of several the likeliest; else ``None``."""
    total = sum(f.frames for f in files)
    for key in GROUP_KEYS:
        values = sum((f.groups.get(key, Counter()) for f in files), Counter[str]())
        if values.total() < total or not total:
            continue
        # one value tells nothing, and a value for each frame is a name of the frame
        if len(values) < 2 or len(values) == total:
            continue
        notes.setdefault(f"{GROUPS} {key!r}: {len(values)} groups", []).append("all files")
        return key
    return None


def unused_group_key(paths: Iterable[str], format: str | None = None) -> str:
    """A key by which groups could be told apart, of files of extended XYZ that are read without one; "" for none.

    The first frames of some files are looked at.
    """
    files = [file for file, _ in find_files(list(paths))][:MOST_FILES]
    text = [file for file in files if not is_fm_setup(file) and format_of(file, format) == "extxyz"]
    return guess_group_key([file_keys(file, most=FIRST_FRAMES) for file in text], {}) or ""


def guess_label_keys(
    in_file: FileKeys, given: Mapping[str, str], notes: dict[str, list[str]]
) -> dict[str, str]:  # fmt: skip
    """``{"energy_key": …}`` of the labels of a file that have no usual name; given ones are handed on."""
    keys = {f"{label}_key": given[f"{label}_key"] for label in ALIKE if f"{label}_key" in given}
    for label in ALIKE:
        usual = in_file.columns if label == "forces" else in_file.keys
        twin = {"stress": "virial", "virial": "stress"}.get(label)
        have = {label, twin} - {None}
        if f"{label}_key" in keys or any(usual[str(name)] for name in have) or f"{twin}_key" in keys:
            continue
        if label == "forces":
            names = list(in_file.columns)
        else:
            names = [k for k, size in in_file.sizes.items() if size in SIZES[label]]
        like = {k: likeness(k) for k in names}
        alike = [k for k, guess in like.items() if guess and guess.label == label and not other_quantity(k)]
        chosen = alike if len(alike) == 1 else [k for k in alike if says_reference(k)]
        if len(chosen) == 1:
            keys[f"{label}_key"] = chosen[0]
            text = f"{label} read from {chosen[0]!r}, found in {usual[chosen[0]]} of {in_file.frames} frames"
            notes.setdefault(text, []).append(in_file.path.name)
        elif alike:
            option = f"--{label}-key"
            text = f"no {label}: {', '.join(map(repr, alike))} look alike; name one with {option}"
            notes.setdefault(text, []).append(in_file.path.name)
    return keys
