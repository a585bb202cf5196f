"""Scripts whose work is not under ``if __name__ == "__main__":``, or that are no file, and processes that are spawned.

A spawned process imports the script that started it, to find what is defined there. If the script does its work as it
is imported, each process does all of it again, and starts processes in its turn.
"""

from __future__ import annotations

import ast
import multiprocessing
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import FrameType, ModuleType
from typing import Final

from hiertl_dist.errors import LaunchError

MARK: Final = "HIERTL_DIST_UNGUARDED"
"""Environment variable: a file that a spawned process makes to tell the one that started it that there is no guard."""

EXIT_CODE: Final = 78

_marks: list[str] = []


def require_main_guard() -> None:
    """Look, before processes are spawned, whether they would do this script's work again.

    Raises
    ------
    LaunchError
        They would: the script and its line are named. Or they could not import it, as there is no such file.
    SystemExit
        This is such a process: it ends without a word, and the one that started it tells (:func:`unguarded`).
    """
    leave_if_spawned()
    main = sys.modules["__main__"]
    if (missing := _no_file(main)) is not None:
        raise LaunchError(
            f"worker processes import the script that started them, and {missing} is no file that they can find: save "
            'the script to a file, its work under if __name__ == "__main__":, and run that; or use executor("serial"), '
            "or the client of a dask cluster that is there already (with threads: Client(processes=False))"
        )
    script = _script(main)
    line = None if script is None else _working_line(script)
    if script is not None and line is not None and _lacks_guard(script, line):
        raise LaunchError(message(f"{script}, line {line}"))
    os.environ.setdefault(MARK, str(Path(tempfile.gettempdir()) / f"hiertl-unguarded-{os.getpid()}"))


def leave_if_spawned() -> None:
    """Raise SystemExit where a spawned process does the script's work, as it imports it at this moment."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        with suppress(OSError, KeyError):
            Path(os.environ[MARK]).touch()
        raise SystemExit(EXIT_CODE)


def unguarded() -> bool:
    """Whether a process that was spawned found that the script has no guard."""
    mark = Path(os.environ.get(MARK, os.devnull))
    if mark.is_file():
        _marks.append(str(mark))
        with suppress(OSError):
            mark.unlink()
    return bool(_marks)


def message(where: str = "the script") -> str:
    """What to tell of a script without a guard."""
    return (
        f"{where}: worker processes import this script, and would do its work again: put the work under "
        f'if __name__ == "__main__": (what is defined above may stay), or use executor("serial")'
    )


def _no_file(main: ModuleType) -> str | None:
    """What a spawned process would look for as the main module and not find: ``<stdin>``, or a script that is gone.

    At a prompt, in a notebook and with ``python -c`` it looks for none.
    """
    file = getattr(main, "__file__", None)
    if file is None or getattr(main, "__spec__", None) is not None:
        return None
    start = getattr(multiprocessing.process, "ORIGINAL_DIR", None) or os.curdir  # where the script's path holds
    return None if (Path(start) / file).exists() else str(file)


def _script(main: ModuleType) -> Path | None:
    """The file that a spawned process would import as the main module; none in a notebook or at a prompt."""
    name = getattr(getattr(main, "__spec__", None), "name", None)
    if name is not None and (name == "__main__" or name.endswith(".__main__")):
        return None
    file = getattr(main, "__file__", None)
    return Path(file) if file is not None and Path(file).suffix == ".py" and Path(file).is_file() else None


def _working_line(script: Path) -> int | None:
    """The line of the script's own code, outside of functions, that is being executed."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and Path(frame.f_code.co_filename).absolute() == script.absolute():
            return frame.f_lineno
        frame = frame.f_back
    return None


def _lacks_guard(script: Path, line: int) -> bool:
    """Whether the statement at a line is executed whenever the script is imported. No, where that can't be told."""
    try:
        tree = ast.parse(script.read_bytes())
    except (OSError, ValueError, SyntaxError):
        return False
    compared = (n for node in ast.walk(tree) if isinstance(node, ast.Compare) for n in ast.walk(node))
    if any(isinstance(n, ast.Name) and n.id == "__name__" for n in compared):
        return False  # there is a guard, be it in another form; if it does not help, the spawned process tells
    top = next((n for n in tree.body if n.lineno <= line <= (n.end_lineno or n.lineno)), None)
    return top is not None and not isinstance(top, ast.If | ast.Match)
