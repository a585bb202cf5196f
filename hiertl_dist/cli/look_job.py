"""What ``inspect`` and ``init`` do, as one function: read, guess, survey, suggest, and write the input file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError
from ..files.object_path import ObjectPath
from ..files.paths import named_place, refuse_overwriting, replacing
from ..jobs.data_tables import places_of
from ..suggestion.guessing import DataSource, read_guessed
from ..suggestion.suggesting import suggest_input
from ..suggestion.surveying import Survey, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..executors.base import Executor
    from ..library.labels import Label
    from ..suggestion.suggested import SuggestedInput


LARGE: Final = 100_000_000
"""Bytes of files whose reading takes about a minute."""


@dataclass(frozen=True, eq=False)
class Look:
    """What ``inspect`` and ``init`` found.

    Attributes
    ----------
    sources : tuple of DataSource
        How the files are read.
    notes : tuple of str
        What was guessed about that.
    survey : Survey
        What the data are.
    suggested : SuggestedInput or None
        An input for these data; ``None`` where there is nothing to fit.
    why : str
        Why there is nothing to fit.
    output : Path or None
        The input file that was written.
    """

    sources: tuple[DataSource, ...]
    notes: tuple[str, ...]
    survey: Survey
    suggested: SuggestedInput | None
    why: str = ""
    output: Path | None = None

    def text(self, units: str = "eV") -> str:
        """For people."""
        parts = ["\n".join(f"note: {note}" for note in self.notes), self.survey.text(units)]
        if self.suggested is None:
            parts.append(f"no input can be suggested: {self.why}")
        else:
            parts.append(self.suggested.text())
        if self.suggested is not None and self.output is not None:
            once = " --all-at-once" if self.suggested.all_at_once else ""
            parts.append(f"written: {self.output}; next: hiertl-dist fit {self.output}{once}")
        return "\n\n".join(part for part in parts if part)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        own = self.suggested
        return {
            "sources": [s.as_dict() for s in self.sources], "survey": self.survey.as_dict(),
            "input": None if own is None else dict(own.table), "why_no_input": self.why,
            "notes": [*self.notes, *(own.notes if own is not None else ())],
            "all_at_once": None if own is None else own.all_at_once,
            "estimated_cpu_seconds": None if own is None else own.seconds,
            "fit_cpu_seconds": None if own is None else own.cpu.as_dict(),
            "output": None if self.output is None else str(self.output),
        }  # fmt: skip


# long: its parameters are documented
def look_job(
    paths: Sequence[str],
    options: Mapping[str, str | None] | None = None,
    output: Path | None = None,
    *,
    executor: Executor,
    overwrite: bool = False,
    library: Path | None = None,
    statements: Mapping[str, Label | None] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Look:
    """Look at trajectories, or at a data set; with ``output`` also write an input file for them.

    Parameters
    ----------
    paths : sequence of str
        Files and patterns, from the current folder.
    options : mapping from str to str or None, optional
        Those of :func:`~hiertl_dist.read_frames` that the user states; keys that are not given are guessed.
    output : Path, optional
        The input file to write.
    executor : Executor
        Who looks at the frames.
    overwrite : bool, default False
        Write over a file that is there.
    library : Path, optional
        Folder of a library that the input is to grow.
    statements : mapping from str to object, optional
        ``theory`` and ``energy_reference`` of the data.
    tell : callable, optional
        Takes what is to be said before files are read.

    Returns
    -------
    Look
        What was found, and what was written.

    Raises
    ------
    InputError
        The output is there or one of the trajectories, or with ``output``: there is nothing to fit.
    FrameError, OSError
        As of the readers.
    TaskFailed
        A frame can't be looked at.
    """
    if output is not None:
        refuse_overwriting([output], overwrite, "-o", places_of({"path": paths}))
    files = [p for p in places_of({"path": paths}) if isinstance(p, Path) and p.is_file()]
    if (size := sum(file.stat().st_size for file in files)) >= LARGE:
        tell(
            f"note: {size / 1e6:.0f} MB of files are read by one process now, and again by each command that takes the "
            "input; 'hiertl-dist import FOLDER FILES' reads them once, on all cores; init, plan and fit take FOLDER in "
            "their place (Ctrl-C ends this)"
        )
    read = read_guessed(paths, options, executor.watch)
    sources, notes, frames = read.sources, read.notes, read.frames
    surveyed = replace(survey(frames, executor=executor), label_text=read.labels.text())
    folder = Path() if output is None else output.parent
    data = [{**s.as_dict(), "path": [_from_folder(p, folder) for p in s.paths]} for s in sources]
    try:
        suggested = suggest_input(
            frames, data, found=surveyed, notes=notes, library=library, **(statements or {})
        )  # fmt: skip
        if library is not None:
            own = {**suggested.table["library"], "path": _from_folder(str(library), folder)}
            suggested = replace(suggested, table={**suggested.table, "library": own})
    except InputError as error:
        if output is not None:
            raise InputError("\n".join([*notes, str(error)])) from error
        return Look(sources, notes, surveyed, None, str(error))
    if output is not None:
        _write(output, suggested.toml(output.name), overwrite)
    return Look(sources, notes, surveyed, suggested, output=output)


def _from_folder(path: str, folder: Path) -> str:
    """A path or pattern as seen from a folder; absolute ones stay, so that the file may be moved."""
    if isinstance(named_place(path, "data"), ObjectPath):
        return path
    return path if Path(path).is_absolute() else Path(os.path.relpath(path, folder)).as_posix()


def _write(path: Path, text: str, overwrite: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if overwrite:
        with replacing(path) as stream:
            stream.write(text.encode())
        return
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise InputError(f"{path} was made by another process meanwhile; --overwrite writes over it") from error
