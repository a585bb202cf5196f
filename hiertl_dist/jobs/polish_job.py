"""What ``hiertl-dist polish`` does, as one function: chosen blocks of a fitted model again, from kept summaries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError
from ..evaluation.compiling import compile_kernels
from ..evaluation.energies import Model, read_parts
from ..executors.ask import ask
from ..fitting.polishing import VALUES, polish_view, polished_model
from ..fitting.view_solutions import solve
from ..model.missing_types import missing_notes, zero_notes
from ..model_selection.search_pass import summarise_for, summary_place
from ..model_selection.search_plan import plan_search
from ..model_selection.search_settings import SearchSettings
from ..text.display import regulariser_text
from ..uncertainty.whole_model import view_posterior
from .block_files import write_covariance
from .evaluating import evaluate_frames
from .fit_job import known_frames, read_frozen, tell_solution
from .fit_report import errors_dict
from .job_stores import with_its_stores
from .outputs import MODEL, Results, file_writer, solution_files, solution_writers, write_model
from .report import errors_text
from .search_job import renew_summaries, reported_once, search_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ..algebra import Regulariser
    from ..executors.base import Executor
    from ..fitting.views import View
    from ..model.solution import Solution
    from ..uncertainty.block_posterior import BlockPosterior
    from .error_tables import Errors
    from .input_file import Input

POLISHED: Final = "polished"
"""Folder in that of the results, and name of the solution."""


@dataclass(frozen=True, eq=False)
class PolishReport:
    """What a polish made.

    Attributes
    ----------
    solution : Solution
        Of the blocks that were free.
    model : Model
        All blocks.
    files : tuple of Path
        What was written.
    errors : Mapping from str to Mapping
        ``before`` and ``after``: by set of frames and composition.
    """

    solution: Solution
    model: Model
    files: tuple[Path, ...]
    errors: Mapping[str, Mapping[str, Mapping[str, Errors]]]

    def as_dict(self) -> dict[str, Any]:
        """For JSON.

        Returns
        -------
        dict from str to object
            Solution, errors before and after, files.
        """
        return {
            "solution": self.solution.as_dict(), "errors": errors_dict(self.errors),
            "files": [str(f) for f in self.files],
        }  # fmt: skip

    def text(self, units: str) -> str:
        """For people.

        Parameters
        ----------
        units : {"kcal", "eV"}
            Of the tables.

        Returns
        -------
        str
            Errors before and after beside one another, by set of frames.
        """
        parts = []
        for name in self.errors["after"]:
            beside = {when: by_set[name] for when, by_set in self.errors.items() if name in by_set}
            parts.append(f"{name} frames\n{errors_text(beside, units)}")
        return "\n\n".join(parts)


# long: its parameters are documented
@with_its_stores
def polish_job(
    job: Input, path: Path, blocks: Sequence[str], executor: Executor, *,
    hold: float | Mapping[str, float] | None = None, prior: str = VALUES, output: Path | None = None,
    fresh: bool = False, tell: Callable[[str], None] = lambda _: None,
) -> PolishReport:  # fmt: skip
    """Fit chosen blocks of a model again, together, and write the model that comes of it.

    Parameters
    ----------
    job : Input
        Its data, basis, and general settings of fits.
    path : Path
        Parameter or solution file of the model.
    blocks : Sequence of str
        That are fitted.
    executor : Executor
        Who makes the pass over the rows, where summaries are not there yet.
    hold : float or Mapping from str to float, optional
        As of :func:`~hiertl_dist.polish`.
    prior : {"values", "zero", "mixed"}
        As of :func:`~hiertl_dist.polish`.
    output : Path, optional
        Folder of the results; default: ``polished`` in that of the input.
    fresh : bool
        Make a new summary store; the one that is there gets another name.
    tell : callable, optional
        Takes lines for a person.

    Returns
    -------
    PolishReport
        What was fitted and written.

    Raises
    ------
    InputError, MismatchError
        As of :func:`~hiertl_dist.polish`; or the input has a library, whose blocks do not change.
    """
    if job.library is not None:
        raise InputError(
            f"polish: blocks of the library {job.library.path} do not change; leave [library] out of the input and "
            "name a file that library export made of it as the model"
        )
    model = Model(read_parts(path))
    job, frames, held_out = job.read_weighed(executor.watch)
    executor.require_alike(lambda: [*frames.identities, *held_out.identities], "frames")
    frames = reported_once(frames, held_out, tell)
    frozen, _ = read_frozen(job, frames, executor, tell)
    if job.block_fits:
        tell(f"note: one fit has one kind of settings: those of blocks {', '.join(job.block_fits)} do not count")
    folder = job.output / POLISHED if output is None else output
    planned = [*solution_files(POLISHED, folder), folder / MODEL]
    results = Results(folder, planned, [path, *job.frozen], executor, tell)
    compile_kernels(job.basis, executor, tell)
    settings = SearchSettings(folds=(job.search or SearchSettings()).folds)
    plan = plan_search(frames, job.basis, settings, frozen=frozen, options=search_options(job), tell=tell)
    if fresh:
        renew_summaries(job, plan, settings, executor, tell)
    place = summary_place(plan, settings, job.summaries, executor)
    store = job.design_store() if job.keep_rows else None
    summaries, _ = summarise_for(plan, settings, summaries=place, store=store, executor=executor, tell=tell)
    seen = partial(
        polish_view, summaries, model, blocks, regulariser=job.fit.regulariser, hold=hold, prior=prior,
        weights=job.fit.weights, objective=job.fit.objective, missing_energies=job.fit.missing_energies,
    )  # fmt: skip
    solution: Solution = ask(executor, partial(_solved, seen, model), what=f"polish {path}")
    tell(f"polished: blocks {', '.join(solution.blocks)}, {regulariser_text(job.fit.regulariser)}")
    tell_solution(solution, tell)
    whole = polished_model(model, solution)
    own = [whole.parameters]
    for note in (*missing_notes(own, "the polished model"), *zero_notes(own, "the polished model")):
        tell(note)
    files = results.write([
        *solution_writers(POLISHED, solution, folder), file_writer(folder / MODEL, write_model, whole, ()),
    ])  # fmt: skip
    if job.covariance:
        make = partial(_left_open, seen, solution)
        files += write_covariance(results, solution_files(POLISHED, folder)[2], make, solution, tell)
    sets = known_frames([model, whole], {"fitted": frames, "held out": held_out}, tell)
    errors = {
        when: {s: evaluate_frames([m], own, executor, missing="zero").errors for s, own in sets.items()}
        for when, m in (("before", model), ("after", whole))
    }
    return PolishReport(solution, whole, files, errors)


def _solved(seen: Callable[[], tuple[View, Regulariser]], model: Model) -> Solution:
    given, wanted = seen()
    return solve(given, wanted, penalty=model.parameters.penalty)


def _left_open(seen: Callable[[], tuple[View, Regulariser]], solution: Solution) -> BlockPosterior:
    return view_posterior(seen()[0], solution)
