"""Files of results: what writes each, and writing them once, whatever the number of calling processes.

What was there before is moved, never lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError
from ..evaluation.energies import Model
from ..executors.ask import ask
from ..files.checksums import RESULTS_SUMS, note_checksums
from ..files.json_files import write_json
from ..files.paths import move_to_earlier, replacing
from ..fitting.block_order import blocks_in
from ..model.blocks import blocks_of
from ..model.file_names import COVARIANCE, ENDINGS
from ..text.display import listed
from .csv_tables import NAMES
from .figures import figure_files, plot_parity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ..executors.base import Executor
    from ..model.parameters import Parameters
    from ..model.solution import Solution
    from .csv_tables import CsvTable
    from .input_file import Input


@dataclass(frozen=True, eq=False)
class Writer:
    """What writes some files of results, and which these are."""

    write: Callable[[], object]
    files: tuple[Path, ...]


def file_writer(path: Path, write: Callable[..., object], *arguments: Any) -> Writer:
    """Of ``write(*arguments, path)``, which writes that file."""
    return Writer(partial(write, *arguments, path), (path,))


def figure_writer(path: Path, write: Callable[..., object], *arguments: Any) -> Writer:
    """Of ``write(*arguments, path)``, which writes a figure, and its PDF."""
    return Writer(partial(write, *arguments, path), figure_files(path))


def table_writer(folder: Path, table: CsvTable) -> Writer:
    """Of a table into a folder."""
    return Writer(partial(table.write, folder), (folder / table.name,))


MODEL: Final = "model.params.txt"
REPORT: Final = "report.json"
REPORT_TEXT: Final = "report.txt"
"""All that a fit says, of which a screen has what matters."""
PARITY: Final = "parity.png"
SEARCH: Final = "search.json"
SEARCH_FIGURE: Final = "search.png"
RUN: Final = "run.json"
PAGE: Final = "report.html"
"""The page that ``hiertl-dist report`` makes of the others; a new run moves it with them."""
TOGETHER: Final = "all_at_once"
"""Name of the solution of a fit of all blocks at once."""

FIXED: Final = (
    MODEL, REPORT, REPORT_TEXT, SEARCH, RUN, PAGE, RESULTS_SUMS, *NAMES,
    *(f.name for n in (PARITY, SEARCH_FIGURE) for f in figure_files(n)),
)  # fmt: skip
"""Names of all files of results but those of solutions, see :func:`solution_files`."""


def solution_files(name: str, folder: Path) -> tuple[Path, Path, Path]:
    """The files of a solution: all of it, its parameters, and what the fit leaves open."""
    return folder / f"{name}{ENDINGS[0]}", folder / f"{name}{ENDINGS[1]}", folder / f"{name}{COVARIANCE}"


def files_of_results(folder: Path) -> list[Path]:
    """What runs of ``fit`` and ``search`` left in a folder, whatever their blocks.

    Nothing that others put there, such as a parameter file without its solution, and no store.
    """
    solutions = sorted(p.name.removesuffix(ENDINGS[0]) for p in folder.glob(f"*{ENDINGS[0]}"))
    names = [folder / name for name in FIXED]
    return [p for p in (*names, *(f for n in solutions for f in solution_files(n, folder))) if p.is_file()]


class Results:
    """The folder of a run's results.

    Before the first file is written all that earlier runs left there is moved to a folder ``earlier_1`` (2, 3, …) in
    it: nothing is lost, and no file of another run stands beside those of this one. Their SHA-256 are in
    ``results.sha256``, by which a file that is put in the place of one of them is noticed when it is read.

    Parameters
    ----------
    folder : Path
        Where results go.
    planned : iterable of Path
        Files that may be written.
    named : iterable of Path
        Files that the input names, such as frozen models: they stay where they are.
    executor : Executor
        Lets one process write.
    tell : callable
        Is told where files were moved.

    Raises
    ------
    InputError
        A file that the input names would be written over.
    """

    def __init__(
        self, folder: Path, planned: Iterable[Path], named: Iterable[Path], executor: Executor,
        tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.folder = folder
        self._executor, self._tell = executor, tell
        given = {p.resolve() for p in named}
        # what is known of a file stays with it
        self._named = given | {
            p.with_name(p.name.removesuffix(e) + COVARIANCE) for p in given for e in ENDINGS if p.name.endswith(e)
        }
        self._written: set[Path] = set()
        self._refuse(planned)

    @classmethod
    def of(
        cls, job: Input, frozen: Sequence[Parameters], executor: Executor, tell: Callable[[str], None], *,
        climb: bool, all_at_once: bool, model: bool = False,
    ) -> Results:  # fmt: skip
        """Of a job: of a climb, of all blocks at once, or of both.

        ``model``: a merged one will be written, as it is of a climb.
        """
        frozen_blocks = {b for f in frozen for b in blocks_in(f)}
        names: list[str] = [b.name for b in blocks_of(job.basis) if b.name not in frozen_blocks] if climb else []
        names += [TOGETHER] if all_at_once else []
        planned = [f for name in names for f in solution_files(name, job.output)]
        planned += [job.output / MODEL] if climb or model else []
        return cls(job.output, planned, job.frozen, executor, tell)

    def _refuse(self, files: Iterable[Path]) -> None:
        if over := [p for p in files if p.resolve() in self._named]:
            raise InputError(
                f"{over[0]}: the input names this file, and the run would write its results over it; give the results "
                "another folder (--output, or folder in [output]), or copy the file elsewhere and name the copy"
            )

    def write(self, writers: Sequence[Writer]) -> tuple[Path, ...]:
        """Write files once, whatever the number of calling processes; returns their paths."""
        files = [p for w in writers for p in w.files]
        self._refuse(files)
        # at first all of an earlier run, later what others have put there meanwhile
        whole = self.folder if not self._written else None
        kept = self._named | self._written
        _make_room(self._executor, partial(_in_the_way, whole, files, kept), self._tell)
        write_outputs(self._executor, writers)
        if files:
            self._note(files)
        return tuple(files)

    def write_unless(self, path: Path, write: Callable[[Path], str]) -> str:
        """Write a file once, unless what writes it says why it can't, which is given back."""
        self._refuse([path])
        _make_room(self._executor, partial(_in_the_way, None, [path], self._named | self._written), self._tell)
        why: str = ask(self._executor, partial(write, path), what=f"write {path}")
        if not why:
            self._note([path])
        return why

    def _note(self, files: Sequence[Path]) -> None:
        """What was written is this run's, and checksums tell of it."""
        sums = self.folder / RESULTS_SUMS
        self._executor.once(partial(note_checksums, self.folder, files), what=f"write {sums}")
        self._written |= {sums.resolve(), *(p.resolve() for p in files)}


def _in_the_way(whole: Path | None, files: Sequence[Path], kept: Collection[Path]) -> list[Path]:
    paths = dict.fromkeys([*(() if whole is None else files_of_results(whole)), *files])
    return [p for p in paths if p.resolve() not in kept]


def _make_room(executor: Executor, find: Callable[[], Sequence[Path]], tell: Callable[[str], None]) -> None:
    """Move what is found to a folder ``earlier_…`` beside it, and say so; once, by one of those who write files."""
    moved = executor.once(lambda: move_to_earlier(find()), what="make room for results")
    for aside, names in moved.items():
        tell(f"note: {listed(names, 4)} of before {'is' if len(names) == 1 else 'are'} in {aside} now; nothing is lost")


def write_outputs(executor: Executor, writers: Sequence[Writer]) -> None:
    """Write files once, whatever the number of calling processes."""
    for writer in writers:
        executor.once(writer.write, what=f"write {writer.files[0]}")


def write_text_anew(executor: Executor, text: str, path: Path, tell: Callable[[str], None]) -> None:
    """Write a text; a file of that name with another text is moved to a folder ``earlier_…`` beside it before."""
    _make_room(executor, partial(_other_text, text, path), tell)
    write_outputs(executor, [file_writer(path, write_text, text)])


def _other_text(text: str, path: Path) -> list[Path]:
    return [path] if path.is_file() and path.read_bytes() != text.encode() else []


def write_text(text: str, path: Path) -> None:
    """Write a text file."""
    with replacing(path) as stream:
        stream.write(text.encode())


def _write_solution(solution: Solution, path: Path) -> None:
    solution.save(path)


def write_model(model: Model, comments: tuple[str, ...], path: Path) -> None:
    """Write a model's parameter file, in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    model.write(path, comments=comments)


def write_json_file(value: Any, path: Path) -> None:
    """Write a JSON file: :func:`write_json` with the path last, as writers have it."""
    write_json(path, value)


def _solution_comments(solution: Solution) -> tuple[str, ...]:
    return (
        f"fit of block {solution.block}: {solution.n_columns} columns, {solution.rows} rows, "
        f"regulariser {json.dumps(dict(solution.regulariser))}, RMSE over counted rows {solution.rmse:.6g}",
    )


def solution_writers(name: str, solution: Solution, folder: Path) -> list[Writer]:
    """What writes a solution and its parameter file."""
    whole, parameters, _ = solution_files(name, folder)
    return [
        file_writer(whole, _write_solution, solution),
        file_writer(parameters, write_model, Model(solution.parameters), _solution_comments(solution)),
    ]


def write_plot(drawn: Any, units: str, path: Path) -> None:
    """Draw a parity plot into a file."""
    plot_parity(path, drawn, units)
