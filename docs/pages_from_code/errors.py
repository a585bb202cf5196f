"""The errors, from the classes themselves, with what to do; and the exit codes, as the command line lists them."""

from __future__ import annotations

import inspect
import re
from typing import Final

import hiertl_dist
from hiertl_dist.algebra.errors import ConvergenceError
from hiertl_dist.cli import commands
from hiertl_dist.errors import HiertlError, HiertlWarning, ResourceError, StoppedBySignal
from hiertl_dist.executors import TaskFailed

ADVICE: Final = {
    "HiertlError":
        "In Python, `except HiertlError` catches all that this package raises on purpose.",
    "AtomsError":
        "Look at what the message names: an element that the model does not know, or options of the "
        "calculator.",
    "BasisError":
        "Correct the key that is named; `hiertl-dist config check input.toml` says all that is wrong at once.",
    "ClusterFailed":
        "What is complete is kept. Look at the scheduler, then give the same command again, also with another"
        " executor.",
    "ConvergenceError":
        "Raise `max_iter` or `tolerance`, or take a stronger penalty; the message has the gap that was left.",
    "DiskFullError":
        "Make room, or put `[store] path` on another disk; `--no-keep-rows` needs none. The same command goes"
        " on.",
    "FrameError":
        "Open the file at the frame and line that are named.",
    "IncompleteStoreError":
        "Run `hiertl-dist assemble input.toml`, which computes what is missing.",
    "InnerCutoffError":
        "`hiertl-dist plan` lists the shortest distances. Lower rmin, or choose `[fit] policy`: [short "
        "contacts](../howto/short_contacts.md).",
    "InputError":
        "Correct the key that is named; `hiertl-dist config check input.toml` says all that is wrong at once.",
    "LaunchError":
        "`hiertl-dist doctor --executor mpi` under the same `mpirun`; in scripts, work belongs under `if "
        '__name__ == "__main__":`.',
    "LockError":
        "Another process, which is named with its host, has the store: wait (`--wait`), or let it end.",
    "MismatchError":
        "Both values are named: parts of one model need the same cutoffs, λ, transform and cutoff function.",
    "MissingFileError":
        "Paths of an input file are relative to its folder.",
    "MissingTypesError":
        'Fit frames that have these types, or choose `missing = "mixed"` in `[fit]`: '
        "[alloys](../howto/alloys.md).",
    "NotDoneError":
        "The call goes on: ask again, with a longer timeout or none, or `cancel()` it.",
    "ObjectStoreError":
        "The object and the server's reason are named. Look at the address, the region and the credentials in the "
        "environment ([clusters](../clusters/index.md)), then give the same command again: it goes on.",
    "ParameterFileError":
        "The line is named. A file that was edited on purpose: delete the line with its checksum.",
    "ResourceError":
        "Both numbers are named. `hiertl-dist plan` says what each step needs; give `[store] memory`, fewer "
        "`workers`, or stream.",
    "StoppedBySignal":
        "Give the same command again: it goes on from what is complete.",
    "StoreError":
        "`hiertl-dist store check` says which file, `hiertl-dist store repair` mends it or has it computed "
        "again.",
    "TaskFailed":
        "The message names the item and has the reason; what is complete is kept.",
    "UnknownBlockError":
        "The blocks that there are stand in the message.",
    "UnsafeGram":
        'Use `method = "rfactor"` or `"auto"`, or a stronger regulariser.',
    "WriteError":
        "The path and the reason are named: permission, a read-only file system, an input/output error.",
}  # fmt: skip
"""What to do, by error."""


def errors() -> list[type[Exception]]:
    """The exceptions that the package hands on, but for warnings; those of all kinds first."""
    kinds = [getattr(hiertl_dist, name) for name in hiertl_dist.__all__]
    own = [k for k in kinds if inspect.isclass(k) and issubclass(k, Exception) and not issubclass(k, HiertlWarning)]
    return sorted(own, key=lambda k: (k is not HiertlError, k.__name__))


def exit_code_of(kind: type[Exception]) -> int:
    """With what a command ends that meets it."""
    if issubclass(kind, StoppedBySignal):
        return StoppedBySignal.EXIT_CODE
    if issubclass(kind, ResourceError):
        return 3
    return 1 if issubclass(kind, TaskFailed | ConvergenceError) else 2


def error_reference() -> str:
    """A section for each error: what it means, what it is in Python, the exit code, what to do."""
    lines: list[str] = []
    for kind in errors():
        builtin = [b.__name__ for b in kind.__mro__ if b.__module__ == "builtins" and b not in (BaseException, object)]
        above = [b.__name__ for b in kind.__bases__ if issubclass(b, HiertlError)]
        summary = (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ")
        summary = re.sub(r":\w+:`~?[\w.]*?(\w+)`", r"`\1`", summary)
        what = f"`{builtin[0]}`" if builtin[0] != "Exception" else "`Exception`"
        named = " and ".join(f"`{name}`" for name in above)
        code = "" if kind is HiertlError else f", exit code {exit_code_of(kind)}"
        lines += ["", f"## {kind.__name__}", "", summary, "",
                  f"*{what}{' and ' + named if named else ''}{code}.* {ADVICE[kind.__name__]}"]  # fmt: skip
    return "\n".join(lines) + "\n"


def exit_codes() -> str:
    """A row for each exit code, as the module of the command line lists them."""
    text = " ".join((commands.__doc__ or "").partition("Exit codes: ")[2].split())
    found = re.findall(r"(\d+) ((?:[^;.]|;(?! \d))+)", text)
    rows = [f"| {code} | {meaning.strip().replace('``', '`')} |" for code, meaning in found]
    return "\n".join(["| exit code | meaning |", "|---:|---|", *rows]) + "\n"
