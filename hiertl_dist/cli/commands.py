"""The command ``hiertl-dist`` and its verbs, from ``inspect`` and ``import`` to ``fit``, ``search`` and ``doctor``.

Exit codes: 0 done; 1 a task or a worker failed, ``store check`` found damage, or an unforeseen error; 2 the command
line or an input is wrong; 3 not enough memory or disk; 4 ``doctor``, ``check`` or ``library check`` found problems,
``properties`` could not compute all; 5 ``cycle`` waits for labels; 75 stopped by SIGTERM or
SIGUSR1, to be given again as it is; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .calibrate_command import calibrate
from .check_command import check
from .command_line import parser
from .committee_command import run_committee
from .completion_command import print_completion
from .config_command import run_config
from .cycle_command import run_cycle
from .evaluate_command import evaluate
from .executor_options import dask_options, executor_of
from .import_command import import_data
from .library_command import run_library
from .look_commands import look
from .merging import models_of, renamed, require_pairs
from .path_command import run_path
from .polish_command import polish
from .predict_command import predict_frames
from .probes_command import probes
from .properties_command import crystal_properties_of
from .report_command import report
from .select_command import select
from .store_command import run_store
from .store_options import chosen_store_use
from .tabulate_command import tabulate_model
from .telling import showing_all, stopped, tell_notes, teller, trace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..executors.base import Executor
    from ..jobs.input_file import Input


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code and prints errors as one message, not as a traceback."""
    from ..errors import HiertlError, LaunchError, ResourceError, StoppedBySignal

    arguments = parser().parse_args(argv)
    from ..algebra.errors import SOLVER_ERRORS, ConvergenceError  # after --version and --help, which need none of it
    from ..executors import TaskFailed
    from ..executors.stopping import stopping_on_signals
    from ..files.paths import refuse_urls

    try:
        with _plain_warnings(), stopping_on_signals():
            refuse_urls(vars(arguments))
            return _VERBS[arguments.verb](arguments)
    except StoppedBySignal as stop:  # raised on every rank, unless at once
        return stopped(stop)
    except ResourceError as error:
        return _fail(error, 3)
    except LaunchError as error:  # every process meets it
        return _fail(error, 2, alone=False) if error.speaks else 2
    except BrokenPipeError:  # whoever read the output has gone, as in `hiertl-dist … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (TaskFailed, ConvergenceError) as error:
        cause = error.__cause__
        if isinstance(cause, ResourceError):
            return _fail(error, 3)
        return _fail(error, 2 if isinstance(cause, HiertlError) and not isinstance(cause, SOLVER_ERRORS) else 1)
    except (HiertlError, OSError, ImportError) as error:
        return _fail(error, 2)
    except (ValueError, KeyError, ArithmeticError) as error:
        return _fail(error, 2)
    except KeyboardInterrupt:
        print(
            "interrupted; what is complete of stores and data sets is kept, and the same command goes on from there",
            file=sys.stderr,
        )
        return 130


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show warnings as the lines of a command, without the place in the program that Python's own format names.

    Those of other packages keep it, for it says whose they are.
    """
    from ..errors import HiertlWarning

    cache = Path(__file__).parents[1] / "compiled" / "cache.py"  # which knows nothing of this package's classes

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        ours = issubclass(category, HiertlWarning) or Path(filename) == cache
        where = "" if ours else f" ({category.__name__}, {filename}, line {lineno})"
        print(f"hiertl-dist: warning: {message}{where}", file=sys.stderr, flush=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _fail(error: Exception, code: int, *, alone: bool = True) -> int:
    """Print an error; ``alone``: end a job of several ranks, for the others may not have met it."""
    from ..executors import TaskFailed, abandon, let_first_speak
    from ..executors.launch import launched_first

    if isinstance(error, TaskFailed) and not launched_first():  # every rank raises it
        return code
    if alone and not isinstance(error, TaskFailed):
        let_first_speak()
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    if hasattr(error, "frame_at_fault"):  # where the message does not name the frame, a note does
        text = "; ".join([str(text), *getattr(error, "__notes__", ())])
    trace = trace_of(error)  # above the message, which is what a person reads last
    print(f"{trace}{trace and chr(10)}hiertl-dist: {type(error).__name__}: {text}", file=sys.stderr, flush=True)
    if alone and not isinstance(error, TaskFailed):  # that one is raised on every rank
        abandon(code)
    return code


def _print(arguments: argparse.Namespace, runner: Executor | None, content: Any, text: str) -> None:
    from ..files.json_files import json_text

    stream = sys.stdout if runner is None else runner.out()
    print(json_text(content) if arguments.json else text, file=stream, flush=True)


def _job(arguments: argparse.Namespace) -> Input:
    from dataclasses import replace

    from ..errors import InputError
    from ..files.paths import named_place
    from ..frames.element_set import ElementSet
    from ..jobs.input_file import Input

    job = Input.from_toml(arguments.input, look_for_files=True)
    if arguments.all_at_once and (arguments.blocks or arguments.partial):
        raise InputError("--all-at-once fits every block: --blocks and --partial would be ignored")
    if arguments.include_fewer:
        wider = {b: replace(own, include_fewer=True) for b, own in job.block_fits.items()}
        job = replace(job, fit=replace(job.fit, include_fewer=True), block_fits=wider)
    partial = {b: tuple(lower) for b, lower in job.partial.items()}
    for item in arguments.partial:
        block, _, lower = item.partition(":")
        if not lower:
            raise InputError(f"--partial: expected BLOCK:LOWER such as CN:C, found {item!r}")
        block = ElementSet.parse(block)
        partial[block] = (*partial.get(block, ()), ElementSet.parse(lower))
    given = getattr(arguments, "checkpoint", None)
    return replace(
        job, partial=partial, frozen=(*job.frozen, *arguments.frozen),
        only=tuple(arguments.blocks) if arguments.blocks else job.only,
        output=getattr(arguments, "output", None) or job.output,
        keep_rows=job.keep_rows and not arguments.no_keep_rows,
        covariance=job.covariance and not getattr(arguments, "no_covariance", False),
        store_use=chosen_store_use(arguments, job.store_use),
        checkpoint=not getattr(arguments, "no_checkpoint", False)
        and (job.checkpoint if given is None else named_place(given, "--checkpoint")),
    )  # fmt: skip


def _plan(arguments: argparse.Namespace) -> int:
    from ..errors import InnerCutoffError
    from ..jobs.fit_job import plan_job, plan_text

    job = _job(arguments)
    with executor_of(arguments, job) as runner:
        try:
            _, facts = plan_job(job, runner, all_at_once=arguments.all_at_once)
        except InnerCutoffError as error:
            if arguments.json:  # the text goes to stderr, and a script wants the numbers
                refused = {"refused": str(error), "inner_cutoffs": [c.as_dict() for c in error.contacts]}
                _print(arguments, runner, refused, "")
            raise
        _print(arguments, runner, facts, plan_text(facts))
    return 0


def _assemble(arguments: argparse.Namespace) -> int:
    from ..jobs.fit_job import assemble_job
    from ..text.words import count_text

    job = _job(arguments)
    with executor_of(arguments, job) as runner:
        tell, _ = teller(arguments, job, runner)
        _ready_rows(arguments, job, runner, tell)
        facts = assemble_job(job, runner, all_at_once=arguments.all_at_once, verify=arguments.verify, tell=tell)
        by_others = f"{facts['by_others']} came from other runs meanwhile, " if facts["by_others"] else ""
        text = (
            f"{facts['store']}: {count_text(facts['computed'], 'tile')}, labels and offsets computed, "
            f"{facts['present']} were complete, {by_others}{count_text(facts['rows'], 'row')}"
        )
        _print(arguments, runner, facts, text)
    return 0


def _fit(arguments: argparse.Namespace) -> int:
    from ..errors import InputError

    if arguments.also_hierarchical and not arguments.all_at_once:
        raise InputError("--also-hierarchical goes with --all-at-once")
    job = _job(arguments)
    with executor_of(arguments, job) as runner:
        _run_fit(
            arguments, job, runner, all_at_once=arguments.all_at_once, plot=arguments.plot,
            tables=arguments.csv, hierarchical=not arguments.all_at_once or arguments.also_hierarchical,
        )  # fmt: skip
    return 0


def _run_fit(arguments: argparse.Namespace, job: Input, runner: Executor, **how: Any) -> None:
    from ..jobs.fit_job import fit_job
    from ..jobs.fit_report import fit_dict
    from ..jobs.short_text import Screen, short_text
    from ..model.blocks import blocks_of

    screen = Screen(len(blocks_of(job.basis)))
    tell, lines = teller(arguments, job, runner, screen)
    _ready_rows(arguments, job, runner, tell)
    with showing_all(screen, arguments, runner):
        result = fit_job(job, runner, tell=tell, **how)
    text = "\n" + short_text(result, job, screen) + "\n\nwritten:\n" + "\n".join(f"  {f}" for f in result.files)
    _print(arguments, runner, fit_dict(result) | {"notes": lines}, text)


def _ready_rows(arguments: argparse.Namespace, job: Input, runner: Executor, tell: Callable[[str], None]) -> None:
    """Rename the design store if asked to, and say of others that are there instead of the one that is wanted."""
    from ..design_matrix.store_places import other_stores
    from ..jobs.fit_job import renew_rows

    if getattr(arguments, "fresh", False):
        renew_rows(job, runner, tell)
    elif job.keep_rows and (job.library is None or job.store != job.library.rows):  # there each basis has its own
        for note in other_stores(job.store, job.basis, job.fit.policy):
            tell(f"note: {note}")


def _summarise(arguments: argparse.Namespace) -> int:
    from ..jobs.search_job import summarise_job, summarise_text

    job = _job(arguments)
    with executor_of(arguments, job) as runner:
        tell, lines = teller(arguments, job, runner)
        facts = summarise_job(job, runner, all_at_once=arguments.all_at_once, fresh=arguments.fresh, tell=tell)
        _print(arguments, runner, facts | {"notes": lines}, summarise_text(facts))
    return 0


def _search(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from ..jobs.search_job import search_job

    job = _job(arguments)
    if arguments.rule is not None and job.search is not None:
        job = replace(job, search=replace(job.search, rule=arguments.rule))
    with executor_of(arguments, job) as runner:
        tell, lines = teller(arguments, job, runner)
        report = search_job(
            job, runner, all_at_once=arguments.all_at_once, plot=arguments.plot, fresh=arguments.fresh, tell=tell
        )
        text = "\n" + report.text(job.units) + "\n\nwritten:\n" + "\n".join(f"  {f}" for f in report.files)
        _print(arguments, runner, report.as_dict() | {"notes": lines}, text)
    return 0


def _merge(arguments: argparse.Namespace) -> int:
    from ..evaluation.energies import Model
    from ..executors import refuse_many
    from ..files.paths import refuse_overwriting
    from ..io.params_write import left_out
    from ..model.basis import cluster_name
    from ..model.missing_types import missing_notes, stating_zeros_of, unanswered_clusters, zero_notes
    from ..model.parameters import Penalty

    refuse_many("merge", executors=False)
    refuse_overwriting([arguments.output], arguments.overwrite, "-o", arguments.files)
    penalty = None if arguments.penalty is None else Penalty(*arguments.penalty)
    parts = models_of(arguments.files, arguments.blocks)
    tell_notes(parts)
    model = renamed(Model.merge(parts, overlap="add" if arguments.add else "refuse", penalty=penalty), arguments.rename)
    require_pairs(model)
    if arguments.missing == "zero":
        model = Model(stating_zeros_of(model.parameters))
    lacking = [cluster_name(c) for c in unanswered_clusters([model.parameters])]
    own, written = [model.parameters], str(arguments.output)
    tell_notes([], (*missing_notes(own, written), *zero_notes(own, written)))
    model.write(arguments.output, reduced=arguments.reduced)
    types = [t.name for t in model.parameters.basis.types]
    facts = {"output": str(arguments.output), "elements": list(model.elements), "types": types,
             "columns": len(model.parameters.coefficients), "missing_types": lacking}  # fmt: skip
    small = f", {left_out(model.parameters)} of them left out, of at most 1e-6" if arguments.reduced else ""
    _print(arguments, None, facts, f"{arguments.output}: {facts['columns']} coefficients of {', '.join(types)}{small}")
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from ..executors.dask_options import scheduler_asked
    from .doctor import diagnose

    with scheduler_asked(dask_options(arguments)):
        report = diagnose(arguments.executor)
    if report.speaks:
        _print(arguments, None, report.as_dict(), report.text())
    return 4 if report.problems else 0


def _demo(arguments: argparse.Namespace) -> int:
    from dataclasses import replace
    from importlib.util import find_spec

    from ..executors import under_mpirun
    from .demo import demo_input, write_demo_input

    job = demo_input(arguments.folder)
    drawn = find_spec("matplotlib") is not None
    if not drawn:
        job = replace(job, notes=(*job.notes, 'no parity.png without matplotlib: pip install "hiertl-dist[plot]"'))
    arguments.executor = arguments.executor or ("auto" if under_mpirun() else "dask")
    with executor_of(arguments) as runner:
        notes: list[str] = []
        write_demo_input(arguments.folder, runner, notes.append)
        job = replace(job, notes=(*job.notes, *(note.removeprefix("note: ") for note in notes)))
        _run_fit(arguments, job, runner, all_at_once=True, hierarchical=True, plot=drawn)
    return 0


_VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "inspect": look, "init": look, "import": lambda given: import_data(given, executor_of), "plan": _plan,
    "cycle": lambda given: run_cycle(given, executor_of), "polish": lambda given: polish(given, executor_of),
    "assemble": _assemble, "fit": _fit,
    "summarise": _summarise, "summarize": _summarise, "search": _search, "evaluate": evaluate,
    "predict": predict_frames, "calibrate": calibrate, "select": select, "check": check, "report": report,
    "properties": crystal_properties_of,
    "committee": lambda given: run_committee(given, executor_of), "path": lambda given: run_path(given, executor_of),
    "merge": _merge, "tabulate": tabulate_model, "library": run_library, "store": run_store, "probes": probes,
    "config": run_config, "doctor": _doctor, "demo": _demo,
    "completion": lambda given: print_completion(given, parser()),
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
