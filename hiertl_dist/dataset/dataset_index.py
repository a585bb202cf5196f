"""``dataset.json``: which parts a data set on disk has, and the texts and formulas that its frames have numbers of."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from ..errors import MissingFileError, StoreError
from ..files.json_files import json_text
from ..files.paths import named_place, stamp_of
from ..files.places import each_read, may_be_written
from ..files.sealed import copy_of, has_copy, repair_command, standing, write_twice
from ..frames.frame_facts import Formula, Formulas
from ..text.words import shown
from .parts import FORMAT, Part, label_origin_of, part_of, read_ledger

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..files.object_path import Place
    from ..frames.labels import LabelOrigin

INDEX: Final = "dataset.json"
TEXTS: Final = ("formulas", "groups", "origins", "labels")
"""What frames have numbers of."""

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, eq=False)
class DatasetIndex:
    """What ``dataset.json`` says.

    Attributes
    ----------
    id : str
        Of this data set, for as long as it only grows.
    parts : tuple of Part
        In the order of their frames.
    formulas : Formulas
        Of all frames, each once.
    groups : tuple of str
        Names of groups.
    origins : tuple of str
        What origins of frames begin with.
    labels : tuple of LabelOrigin or None
        Where labels came from.
    codes : dict from str to tuple of ndarray
        By ``formulas``, ``groups``, ``origins`` and ``labels``, for each part: the number here of each of its own.
    imports : tuple of dict
        What was imported, one table for each call.
    ledgers : tuple of str
        SHA-256 of the ledger of each part.
    """

    id: str
    parts: tuple[Part, ...]
    formulas: Formulas
    groups: tuple[str, ...]
    origins: tuple[str, ...]
    labels: tuple[LabelOrigin | None, ...]
    codes: Mapping[str, tuple[NDArray[np.int32], ...]]
    imports: tuple[Mapping[str, Any], ...]
    ledgers: tuple[str, ...] = ()

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """(parts + 1,) number of the first frame of each part, and of all frames."""
        return np.concatenate([[0], np.cumsum([p.frames for p in self.parts], dtype=np.int64)]).astype(np.int64)

    @property
    def files(self) -> list[str]:
        """Paths of the files that were imported."""
        sources = (source for done in self.imports for source in done["sources"])
        return [file["file"] for source in sources for file in source.get("files", ())]

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return int(self.starts[-1])

    @property
    def atoms(self) -> int:
        """How many atoms there are."""
        return sum(p.atoms for p in self.parts)

    def by_part(
        self, numbers: range | NDArray[np.int64] | None = None
    ) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """Some frames, part by part.

        Parameters
        ----------
        numbers : range or ndarray of int64, optional
            Of the frames, in any order; default: all.

        Yields
        ------
        place : int
            Of a part that has some of them.
        own : ndarray of int64
            Their numbers in it.
        places : ndarray of int64
            Where they are among those that are asked for, rising.
        """
        asked = range(self.frames) if numbers is None else numbers
        starts = self.starts
        if isinstance(asked, range):
            cuts = np.clip(starts, asked.start, max(asked.stop, asked.start))
            for k in np.flatnonzero(np.diff(cuts)).tolist():
                own = np.arange(cuts[k], cuts[k + 1])
                yield k, own - starts[k], own - asked.start
            return
        rising = bool((asked[1:] >= asked[:-1]).all())
        order = None if rising else np.argsort(asked, kind="stable")
        cuts = np.searchsorted(asked, starts, sorter=order)
        for k in np.flatnonzero(np.diff(cuts)).tolist():
            places = np.arange(cuts[k], cuts[k + 1])
            places = places if order is None else np.sort(order[places])
            yield k, asked[places] - starts[k], places


def new_index() -> DatasetIndex:
    """That of a data set without frames."""
    return DatasetIndex(uuid.uuid4().hex, (), Formulas(), (), (), (), dict.fromkeys(TEXTS, ()), ())


def grown(index: DatasetIndex, ledgers: Iterable[Mapping[str, Any]], added: Mapping[str, Any]) -> DatasetIndex:
    """The index with more parts, by their ledgers, and with the import that added them."""
    formulas, groups = _numbered(index.formulas), _numbered(index.groups)
    origins, labels = _numbered(index.origins), _numbered(index.labels)
    own = list(index.ledgers)
    parts, codes = list(index.parts), {name: list(index.codes[name]) for name in TEXTS}
    for ledger in ledgers:
        parts.append(part_of(ledger))
        own.append(ledger["sha256"])
        codes["formulas"].append(_codes(formulas, map(_formula, ledger["formulas"])))
        codes["groups"].append(_codes(groups, ledger["groups"]))
        codes["origins"].append(_codes(origins, ledger["origins"]))
        codes["labels"].append(_codes(labels, map(label_origin_of, ledger["labels"])))
    return DatasetIndex(
        index.id, tuple(parts), Formulas(formulas), tuple(groups), tuple(origins), tuple(labels),
        {name: tuple(arrays) for name, arrays in codes.items()}, (*index.imports, dict(added)),
        tuple(own),
    )  # fmt: skip


def _numbered(things: Iterable[T]) -> dict[T, int]:
    return {thing: i for i, thing in enumerate(things)}


def _codes(known: dict[T, int], own: Iterable[T]) -> NDArray[np.int32]:
    return np.array([known.setdefault(thing, len(known)) for thing in own], np.int32)


def _formula(pairs: Sequence[Sequence[Any]]) -> Formula:
    return Formula(tuple((str(name), int(n)) for name, n in pairs))


def write_index(folder: Place, index: DatasetIndex) -> None:
    """Write ``dataset.json``, at once: a reader sees the old one or the new one."""
    content = {
        "format": FORMAT, "id": index.id, "frames": index.frames, "atoms": index.atoms, "imports": list(index.imports),
        "formulas": [[list(pair) for pair in f.counts] for f in index.formulas], "groups": list(index.groups),
        "origins": list(index.origins), "labels": [None if o is None else asdict(o) for o in index.labels],
        "parts": [
            {**asdict(part), "ledger": index.ledgers[k], **{name: index.codes[name][k].tolist() for name in TEXTS}}
            for k, part in enumerate(index.parts)
        ],
    }  # fmt: skip
    write_twice(folder / INDEX, json_text({**content, "sha256": _digest(content)}).encode())


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json_text(content).encode()).hexdigest()


def read_index(path: str | Place) -> DatasetIndex:
    """What a data set has.

    Parameters
    ----------
    path : str, Path or ObjectPath
        The folder.

    Returns
    -------
    DatasetIndex
        Parsed once for each state of the file.

    Raises
    ------
    MissingFileError
        There is no data set.
    StoreError
        The file is damaged, or of another format.
    """
    folder = named_place(path, "data set")
    try:
        stamp = stamp_of(folder / INDEX)
    except (FileNotFoundError, NotADirectoryError) as error:
        if copy_of(folder / INDEX).exists():
            raise StoreError(
                f"{folder / INDEX}: expected what says which frames there are, found no file; {repair_command(folder)}"
            ) from error
        there = (
            ", an import that was not finished: import again to go on with it" if (folder / "ledger").is_dir() else ""
        )
        raise MissingFileError(
            f"{folder}: expected a data set (a folder with {INDEX}, made by hiertl-dist import), found none{there}"
        ) from error
    with suppress(FileNotFoundError):  # of the copy too, which may be the one that counts
        stamp += stamp_of(copy_of(folder / INDEX))
    return _parsed(folder, stamp)


@lru_cache(maxsize=8)
def _parsed(folder: Place, stamp: tuple[int | str, ...]) -> DatasetIndex:
    return checked_index(standing(folder / INDEX, has_ledgers, ledgers_of))


def ledgers_of(path: Place) -> tuple[str, ...]:
    """SHA-256 of the ledger of each part that an index names."""
    return checked_index(path).ledgers


def has_ledgers(path: Place) -> bool:
    """Whether an index is of the parts whose ledgers are in its folder."""
    index = checked_index(path)

    def is_there(one: tuple[Part, str]) -> bool:
        try:
            read_ledger(path.parent, one[0].number, one[1])
        except StoreError:
            return False
        return True

    return all(each_read(path.parent, is_there, zip(index.parts, index.ledgers, strict=True)))


def checked_index(path: Place) -> DatasetIndex:
    """What an index says. Raises FileNotFoundError, and StoreError where it is not as it was written."""
    way_on = repair_command(path.parent)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if (found := _digest({k: v for k, v in content.items() if k != "sha256"})) != content["sha256"]:
            expected = shown(content["sha256"])
            raise StoreError(f"{path}: expected SHA-256 {expected}, found {found[:12]}: it was changed; {way_on}")
        if content["format"] != FORMAT:
            raise StoreError(
                f"{path}: expected format {FORMAT}, found {shown(content['format'])}: another version of this package "
                "wrote it; use that one, or import the data into another folder"
            )
        codes: dict[str, tuple[NDArray[np.int32], ...]] = {
            name: tuple(np.array(part[name], np.int32) for part in content["parts"]) for name in TEXTS
        }
        return DatasetIndex(
            content["id"], tuple(map(part_of, content["parts"])), Formulas(map(_formula, content["formulas"])),
            tuple(content["groups"]), tuple(content["origins"]), tuple(map(label_origin_of, content["labels"])), codes,
            tuple(content["imports"]), tuple(part["ledger"] for part in content["parts"]),
        )  # fmt: skip
    except (StoreError, FileNotFoundError):
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(f"{path}: it is damaged: {type(error).__name__}: {error}; {way_on}") from error


def lacks_copy(folder: Place) -> bool:
    """Whether an index was left without its copy by a process that was killed, and the copy can be made."""
    return (folder / INDEX).is_file() and not has_copy(folder / INDEX) and may_be_written(folder)


def is_dataset(path: str | Place) -> bool:
    """Whether a folder is a data set, be it one that has lost its index."""
    file = named_place(path, "data set") / INDEX
    return file.is_file() or copy_of(file).is_file()
