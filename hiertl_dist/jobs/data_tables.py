"""What a ``[[data]]`` table of an input file names: files that are read as they are, or a data set on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..dataset.dataset import Dataset
from ..dataset.dataset_index import is_dataset
from ..dataset.holding_out import equal_frames_notes
from ..errors import InputError, MissingFileError
from ..files.object_path import ObjectPath
from ..files.paths import beside, named_place
from ..frames.frame_sequence import FrameList, joined_frames, sequence_of
from ..frames.label_summary import summarise_labels
from ..io.text_files import find_files
from ..io.trajectories import iter_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..files.object_path import Place
    from ..frames.frame import Frame
    from ..frames.frame_sequence import FrameSequence
    from ..frames.label_summary import LabelSummary


def dataset_of(table: Mapping[str, Any]) -> Place | None:
    """The folder of the data set that a table names; None where it names files.

    Raises InputError where there are other paths beside it, or options that say how files are read; MissingFileError
    where there is none at a place of an object store, on which nothing else is read.
    """
    places = [named_place(path, "data set") for path in table["path"]]
    folders = [place for place in places if is_dataset(place)]
    for place in places:
        if isinstance(place, ObjectPath) and place not in folders:
            raise MissingFileError(
                f"data: there is no data set {place}{beside(place)}; files are read of file systems alone: "
                f"'hiertl-dist import {place} FILES' makes a data set there"
            )
    if not folders:
        return None
    if len(table["path"]) > 1:
        raise InputError(f"data: {folders[0]} is a data set, which has a [[data]] table of its own: path = its folder")
    if others := sorted(set(table) - {"path", "start", "stop"}):
        raise InputError(
            f"data: {folders[0]} is a data set; {', '.join(others)} say how files are read: give them to hiertl-dist "
            "import"
        )
    return folders[0]


def read_table(table: Mapping[str, Any], watch: Callable[[Iterable[Frame], str], Iterable[Frame]]) -> FrameSequence:
    """The frames of a table: those of files, read now, or those of a data set, which stay there.

    Raises InputError where there are none; and as of the readers.
    """
    folder = dataset_of(table)
    if folder is not None:
        frames: FrameSequence = Dataset(folder)[table.get("start", 0) : table.get("stop")]
    else:
        frames = FrameList(watch(iter_frames(**table), f"read {', '.join(table['path'])}"))
    if not len(frames):
        raise InputError(f"data: no frames from {table['path']} with {table}")
    return frames


def look_at_path(table: Mapping[str, Any], path: str) -> None:
    """Raise where a path of a table is not there, or options of its reader contradict each other."""
    own = {**table, "path": [path]}
    if dataset_of(own) is None:
        iter_frames(**own)


def places_of(table: Mapping[str, Any]) -> list[Place]:
    """The files that a table names, or the folder of its data set."""
    folder = dataset_of(table)
    return [folder] if folder is not None else [file for file, _ in find_files(table["path"])]


def tell_labels(frames: Sequence[Frame], tell: Callable[[str], None], held_out: Sequence[Frame] = ()) -> LabelSummary:
    """Say which labels the frames have, a line for each source, with notes and warnings.

    Also which are there more than once. The labels are given back for reports.
    """
    labels = summarise_labels(joined_frames([sequence_of(frames), sequence_of(held_out)]))
    for line in labels.text().splitlines():
        tell(line)
    for note in equal_frames_notes(frames, held_out):
        tell(f"note: {note}")
    return labels
