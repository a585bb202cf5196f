"""Files that are named twice, in one import or by two: what is passed over, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import InputError
from ..files.json_files import json_text

SourceTable = Mapping[str, Any]
"""A source, as ``Source.as_dict`` gives it for JSON."""


class New(NamedTuple):
    """The numbers, from 0, of the files of each source that are new, and the paths of those that are not."""

    files: tuple[tuple[int, ...], ...]
    passed_over: tuple[str, ...]


def new_files(sources: Sequence[SourceTable], before: Sequence[SourceTable]) -> New:
    """Which files are in a data set already, as they are and read alike.

    Parameters
    ----------
    sources : sequence of mapping
        What is to be imported.
    before : sequence of mapping
        What was imported.

    Returns
    -------
    New
        Parts of a file, and what an ``fm_setup.in`` names, are passed over only where the whole source is the same.
    """
    there = {json_text(file) for source in before if _is_plain(source) for file in source["files"]}
    new, passed_over = [], []
    for source in sources:
        files = source.get("files", ())
        if source in before and files:
            own: tuple[int, ...] = ()
        else:
            own = tuple(k for k, file in enumerate(files) if not (_is_plain(source) and json_text(file) in there))
        new.append(own)
        passed_over += [file["file"] for k, file in enumerate(files) if k not in set(own)]
    return New(tuple(new), tuple(dict.fromkeys(passed_over)))


def _is_plain(source: SourceTable) -> bool:
    """Whether a source is all frames of some files, each once."""
    return set(source) == {"files"}


def refuse_overlaps(sources: Sequence[SourceTable], before: Sequence[SourceTable] = ()) -> None:
    """Raise InputError where a file is read twice, by these sources or by one of them and one that came before.

    Parts of it that start and stop keep apart are no fault.
    """
    known: dict[str, list[tuple[SourceTable, SourceTable]]] = {}
    for number, source in enumerate([*before, *sources]):
        for file in source.get("files", ()):
            others = known.setdefault(file["file"], [])
            for other, there in others if number >= len(before) else ():
                if other is source and "fm_setup" in source:  # whose list may name a file twice, and means it
                    continue
                single = len(source["files"]) == len(other["files"]) == 1
                if not (single and are_apart(source, other)):
                    old = any(other is one for one in before)
                    how, advice = _in_the_data_set(file, there) if old else ("it is named twice", "")
                    raise InputError(f"{file['file']}: {how}; its frames would count twice{advice}")
            others.append((source, file))


def _in_the_data_set(file: SourceTable, there: SourceTable) -> tuple[str, str]:
    """What to say of a file that an earlier import read, and what to do."""
    known = "it is in the data set already"
    if (file["size"], file["mtime_ns"]) != (there["size"], there["mtime_ns"]):
        was = f"{there['size']} bytes then, {file['size']} now" if file["size"] != there["size"] else "written again"
        return f"{known}, and has changed since ({was})", ": leave it out, or import it into another data set"
    if file["reading"] != there["reading"]:
        keys = sorted({*file["reading"], *there["reading"]})
        pairs = [(key, there["reading"].get(key), file["reading"].get(key)) for key in keys]
        other = "; ".join(f"{key} {_named(then)} then, {_named(now)} now" for key, then, now in pairs if then != now)
        return f"{known}, read in another way ({other})", ": leave it out, or import it into another data set"
    return known, ""


def _named(value: str | None) -> str:
    return "not named" if value is None else repr(value)


def are_apart(one: SourceTable, other: SourceTable) -> bool:
    """Whether what two sources read of one file, by their start and stop, shares no frame."""
    return any(a.get("stop", math.inf) <= b.get("start", 0) for a, b in ((one, other), (other, one)))
