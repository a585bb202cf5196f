"""``import_frames``: frames of files, or of any iterable, become a data set on disk, or are added to one.

Files of text are cut into runs of frames, and workers parse and write a run each; one process unpacks what is packed.
What has no plain structure, or is read by ASE, is read by one process. An import that was stopped is gone on with:
parts that are complete stay. Frames belong to the data set all at once, when the last part is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import HiertlError, InputError, StoreError
from ..executors import TaskFailed, borrowed
from ..executors.ask import ask
from ..files.json_files import json_text
from ..files.locks import Held, written_for
from ..files.paths import named_place
from ..files.places import each_read
from ..frames.label_summary import MOST_SHOWN
from ..io.label_keys import LabelKeys
from ..io.reading import parse_run
from ..io.runs import RUN, changed, first_frames, iter_runs
from ..text.words import count_text
from .dataset_index import is_dataset, lacks_copy, read_index
from .folder import begin, finish, hold, is_complete, let_go
from .overlaps import new_files, refuse_overlaps
from .parts import Part, following, read_ledger, write_part
from .repeats import repeats_notes
from .sources import File, Source, named_apart, sorted_out
from .streaming import ase_batches, odd_batches, source_batches, trajectory_batches
from .unpacking import drop_unpacked, let_reader_go, next_window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..executors.base import Executor
    from ..files.object_path import Place
    from ..io.runs import Run
    from .dataset_index import DatasetIndex
    from .overlaps import New
    from .unpacking import Excerpt, Window


@dataclass(frozen=True)
class _Item:
    """A part, and the run of a file that its frames are in."""

    part: Part
    run: Run
    file: File
    excerpt: Excerpt | None = None
    """Where the text is, if the file is packed."""

    @property
    def label(self) -> str:
        last = self.run.frame + self.run.frames - 1
        return f"{self.run.path.name}, frames {self.run.frame} to {last}"


@dataclass(frozen=True)
class Imported:
    """What an import has done.

    Attributes
    ----------
    added : int
        How many frames it added.
    notes : tuple of str
        What was said of the sources that has no effect, a sentence each.
    passed_over : tuple of str
        Files that were in the data set already, unchanged since and read alike.
    repeats : tuple of str
        What is said of frames that are in the import twice, which may be meant.
    """

    added: int
    notes: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    repeats: tuple[str, ...] = ()

    def remarks(self) -> list[str]:
        """What a person should know of it, a sentence each."""
        if not self.passed_over:
            return list(self.notes)
        listed = ", ".join(self.passed_over[:MOST_SHOWN])
        more = f" and {len(self.passed_over) - MOST_SHOWN} more" if len(self.passed_over) > MOST_SHOWN else ""
        files = count_text(len(self.passed_over), "file")
        return [*self.notes, f"{files} passed over, in the data set already and unchanged since: {listed}{more}"]


@dataclass(frozen=True)
class _Cut:
    """The runs of a file; ``surplus``: it has more frames than those that are asked for."""

    runs: tuple[Run, ...]
    surplus: bool = False


def import_frames(
    path: str | Place, sources: Any, *, options: Mapping[str, Any], append: bool, executor: Executor | None
) -> Imported:
    """Make a data set, or add to one; see ``Dataset.create``.

    Parameters
    ----------
    path : str, Path or ObjectPath
        The folder.
    sources : str, Path, iterable of them, iterable of mappings, or iterable of Frame
        Files and patterns; or tables as of ``[[data]]``; or frames.
    options : mapping from str to object
        Keyword arguments of ``read_frames`` for all files.
    append : bool
        Whether there may be a data set already, to which frames are added.
    executor : Executor or None
        Who parses and writes.

    Returns
    -------
    Imported
        How many frames were added, and what is to be said of it.

    Raises
    ------
    StoreError, InputError, FrameError, OSError
        As of ``Dataset.create``.
    """
    folder = named_place(path, "data set").absolute()
    given = sorted_out(sources, options)
    asked = [source.as_dict() for source in given]
    with borrowed(executor) as runner:
        runner.shared_place(folder, "data set")
        runner.require_alike(lambda: [json_text(source) for source in asked], "sources")
        all_there = ask(runner, partial(_passed_over, folder, asked, append), what=f"look at {folder}")
        if all_there is not None:
            return Imported(0, passed_over=all_there)
        lock: Held = ask(runner, partial(hold, folder), what=f"lock {folder}")
        try:
            index: DatasetIndex
            index, new = ask(runner, partial(_written_for, lock, _open, folder, asked, append), what=f"open {folder}")
            if new is None:
                return Imported(0)
            given = [source.only(own) if source.files else source for source, own in zip(given, new.files, strict=True)]
            given = [source for source in given if source.files or source.frames is not None]
            given = named_apart(given, index.files)
            done = _add(lock, index, given, runner) if given else Imported(0)
        except TaskFailed as failed:
            if isinstance(failed.__cause__, HiertlError):  # of a file, as its reader raises it
                raise failed.__cause__ from failed
            raise
        finally:
            try:
                let_reader_go(folder)
            finally:
                let_go(folder)
    return replace(done, passed_over=new.passed_over)


def _written_for(lock: Held, call: Callable[..., Any], *args: Any) -> Any:
    """``call(*args)``, which writes for the process that has the lock: of an object store, while that has it still."""
    with written_for(lock):
        return call(*args)


def _add(lock: Held, index: DatasetIndex, given: Sequence[Source], runner: Executor) -> Imported:
    """Write frames and let them belong to the data set."""
    folder, writer = lock.folder, _Writer(lock, index, runner)
    writer.write(given)
    if not writer.parts:
        raise InputError(f"{folder}: no frames from {', '.join(source.name for source in given)}")
    ask(runner, partial(_check_keys, folder, given, writer.parts), what=f"check {folder}")
    frames = sum(part.frames for part, _ in writer.parts)
    added = {"sources": [source.as_dict() for source in given], "frames": frames}
    complete = partial(_written_for, lock, finish, folder, index, writer.parts, added)
    grown = ask(runner, complete, what=f"complete {folder}")
    earlier, own = ask(runner, partial(repeats_notes, folder, grown, frames), what=f"look at {folder}")
    notes = (*(note for source in given for note in source.notes), *writer.notes, *earlier)
    return Imported(frames, notes, repeats=tuple(own))


def _open(folder: Place, asked: Sequence[Mapping[str, Any]], append: bool) -> tuple[DatasetIndex, New | None]:
    """The index of the data set, and which files are new; None where the same was imported at once before.

    Raises StoreError where there is a data set and nothing is to be appended, InputError where a file is in it already
    and has changed, or is to be read in another way.
    """
    index = begin(folder)
    drop_unpacked(folder)
    return index, _new(folder, index, asked, append)


def _passed_over(folder: Place, asked: Sequence[Mapping[str, Any]], append: bool) -> tuple[str, ...] | None:
    """Files that are in the data set already, where all are: seen without a lock, for nothing is written then."""
    if not is_dataset(folder) or not all("files" in source for source in asked) or lacks_copy(folder):
        return None
    new = _new(folder, read_index(folder), asked, append)
    if new is None:
        return ()
    return None if any(new.files) else new.passed_over


def _new(folder: Place, index: DatasetIndex, asked: Sequence[Mapping[str, Any]], append: bool) -> New | None:
    new = new_files(asked, [source for done in index.imports for source in done["sources"]])
    if not is_dataset(folder):
        return new
    files = any("files" in source for source in asked)
    if files and any(list(asked) == list(done["sources"]) for done in index.imports):
        return None
    if not append:
        raise StoreError(
            f"{folder}: there is a data set of {index.frames} frames already; append=True (--append) adds to it, "
            "another folder gets a data set of its own, and without the folder this one can be made anew"
        )
    left = [dict(source) for source in asked]
    for source, own in zip(left, new.files, strict=True):
        source |= {"files": [source["files"][k] for k in own]} if "files" in source else {}
    refuse_overlaps(left, [source for done in index.imports for source in done["sources"]])
    return new


Written = tuple[Part, Mapping[str, Any]]
"""A part and what tells its frames from those of another import."""


class _Writer:
    """Writes the parts of an import, in the order of the frames."""

    def __init__(self, lock: Held, index: DatasetIndex, runner: Executor) -> None:
        self._lock, self._folder, self._runner = lock, lock.folder, runner
        self._before = index.parts[-1] if index.parts else None
        self._items: list[_Item] = []
        self.parts: list[Written] = []
        self.notes: list[str] = []

    def write(self, given: Sequence[Source]) -> None:
        """Runs of text are written by all workers, what can't be cut by one process."""
        plain = [file for source in given for file in source.files if source.can_be_cut and file.can_be_cut]
        cut = dict(zip(plain, self._runner.run(partial(_cut, size=RUN), plain, label=_name, what="look for frames"),
                       strict=True))  # fmt: skip
        for file, found in cut.items():
            if (found.runs[0].size, found.runs[0].mtime_ns) != (file.size, file.mtime_ns):
                raise changed(file)
        for source in given:
            if not source.can_be_cut:
                self._stream(partial(source_batches, source), source.name)
                continue
            for file in source.files:
                if file.trajectory is not None and not (file in cut and not cut[file].runs[-1].odd):
                    notes: list[str] = []
                    self._stream(partial(trajectory_batches, file, notes), file.path.name, notes)
                elif file in cut:
                    self._plain(file, cut[file])
                elif file.reading.is_text:
                    self._packed(file)
                else:
                    self._stream(partial(ase_batches, file), file.path.name)
        self._parse()

    @property
    def _last(self) -> Part | None:
        return self.parts[-1][0] if self.parts else self._before

    def _plain(self, file: File, cut: _Cut) -> None:
        for run in (run for run in cut.runs if not run.odd):
            self._items.append(_Item(following(self._last, run.frames, run.atoms), run, file))
            self.parts.append((self._items[-1].part, file.source_of(run)))
        for run in (run for run in cut.runs if run.odd):
            self._stream(partial(odd_batches, file, run), file.path.name)
        if cut.surplus and file.trajectory is not None:
            self.notes.append(file.trajectory.surplus)

    def _parse(self) -> None:
        """Parse and write what was cut so far, be it of many files."""
        names = list(dict.fromkeys(item.file.path.name for item in self._items))
        more = f" and {count_text(len(names) - 1, 'more file')}" if len(names) > 1 else ""
        work = partial(_import, lock=self._lock)
        self._runner.run(work, self._items, label=_label, what=f"import {''.join(names[:1])}{more}", cost=_cost)
        self._items = []

    def _packed(self, file: File) -> None:
        self._parse()
        odd: list[Run] = []
        what = f"import {file.path.name}, frames"
        with closing(self._runner.watch(self._windows(file), what, number=_frames_in)) as windows:
            for window in windows:
                self.parts += [(one.part, file.source_of(one.run)) for one in window.runs]
                self._items = [_Item(one.part, one.run, file, one.excerpt) for one in window.runs if one.excerpt]
                self._parse()
                odd += [window.odd] if window.odd is not None else []
        for run in odd:
            self._stream(partial(odd_batches, file, run), file.path.name)

    def _windows(self, file: File) -> Iterator[Window]:
        frames = 0
        while True:
            of_file = partial(next_window, size=RUN, workers=self._runner.workers)
            ahead = partial(_written_for, self._lock, of_file, self._folder, file, self._last, frames)
            window: Window | None = ask(self._runner, ahead, what=f"unpack {file.path.name}")
            if window is None:
                return
            yield window
            if window.odd is not None:
                return
            frames += _frames_in(window)

    def _stream(self, batches: Any, name: str, notes: Sequence[str] = ()) -> None:
        self._parse()
        watch = partial(self._runner.watch, what=f"import {name}, frames", number=_frames_of)
        work = partial(_written_for, self._lock, _stream, self._folder, self._last, batches, watch, notes)
        parts, said = ask(self._runner, work, what=f"import {name}")
        self.parts += parts
        self.notes += said


def _frames_in(window: Window) -> int:
    return sum(one.run.frames for one in window.runs)


def _frames_of(batch: Any) -> int:
    return len(batch[2])


def _name(file: File) -> str:
    return file.path.name


def _label(item: _Item) -> str:
    return item.label


def _cost(item: _Item) -> float:
    return float(item.run.last - item.run.first)


def _cut(file: File, *, size: int) -> _Cut:
    runs = tuple(iter_runs(file.path, size))
    if file.trajectory is None or runs[-1].odd:
        return _Cut(runs)
    frames = sum(run.frames for run in runs)
    file.trajectory.check_count(frames)
    return _Cut(tuple(first_frames(runs, file.trajectory.frames)), frames > file.trajectory.frames)


def _import(item: _Item, *, lock: Held) -> None:
    """Parse and write one part, unless that was done."""
    folder, source = lock.folder, item.file.source_of(item.run)
    if is_complete(folder, item.part, source):
        return
    parsed = parse_run(item.run, item.file.reading, item.excerpt.read() if item.excerpt else None)
    table = parsed.table
    assert table is not None  # only an odd run may turn out blank
    if item.file.trajectory is not None and item.file.labels is not None:
        table = item.file.labels.of_table(table, item.file.trajectory.first + item.run.frame - 1)
    met = {"seen": sorted(parsed.seen), "offered": sorted(parsed.offered)}
    _written_for(lock, write_part, folder, item.part, table, source, met)


def _stream(
    folder: Place, before: Part | None, batches: Any, watch: Any, notes: Sequence[str]
) -> tuple[list[Written], Sequence[str]]:
    """Read and write frames in one process; ``batches`` enters what is to be said of them in ``notes``."""
    parts: list[Written] = []
    with closing(watch(batches())) as told:
        for source, met, table in told:
            part = following(parts[-1][0] if parts else before, len(table), int(table.starts[-1]))
            if not is_complete(folder, part, source):
                write_part(folder, part, table, source, met)
            parts.append((part, source))
    return parts, notes


def _check_keys(folder: Place, given: Sequence[Source], parts: Sequence[Written]) -> None:
    """Raise FrameError where a key that was named is in no frame of a source."""
    met: dict[str, list[Mapping[str, Any]]] = {}
    for name, own in each_read(
        folder, lambda one: (_name_of(one[1]), read_ledger(folder, one[0].number)["met"]), parts
    ):
        met.setdefault(name, []).append(own)
    for source in given:
        if not source.can_be_cut:
            continue
        own = [one for file in source.files for one in met.get(_name_of(file.as_dict()), ()) if one]
        keys = LabelKeys(*source.files[0].reading.keys().given())
        keys.seen = {key for one in own for key in one["seen"]}
        keys.offered = {key for one in own for key in one["offered"]}
        keys.check_seen(", ".join(str(file.path) for file in source.files))


def _name_of(source: Mapping[str, Any]) -> str:
    """A file and how it is read, as a text."""
    return json_text([source.get("file"), source.get("reading")])
