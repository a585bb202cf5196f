"""``ask``: one process does something that may be refused, and every process gets the answer or the refusal."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from hiertl_dist.errors import HiertlError

if TYPE_CHECKING:
    from hiertl_dist.executors.base import Executor


def ask(executor: Executor, call: Callable[[], Any], *, what: str) -> Any:
    """What ``call()`` answers in one process. A HiertlError is raised as it is, for no task has failed.

    Parameters
    ----------
    executor : Executor
        Who calls, by its ``once``.
    call : callable
        Takes nothing.
    what : str
        For messages of what is unforeseen.

    Returns
    -------
    object
        The same on every calling process.

    Raises
    ------
    HiertlError
        What ``call`` raised, on every calling process.
    TaskFailed
        It failed in another way.
    """
    answer = executor.once(partial(_answer, call), what=what)
    if isinstance(answer, HiertlError):
        raise answer
    return answer


def _answer(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except HiertlError as error:
        return error
