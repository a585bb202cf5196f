"""The executor that makes every call here and now, one after the other.

It is the one to debug with, and what others must equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from hiertl_dist.executors.base import (
    Call,
    CallFailed,
    Executor,
    Reporting,
    attempt,
    task_failed,
)
from hiertl_dist.executors.blas_threads import one_thread
from hiertl_dist.executors.stopping import stop_requested, stopped_by
from hiertl_dist.executors.trees import Node, tree


class SerialExecutor(Executor):
    """Calls in this process, in order.

    The first failure ends the verb. ``reduce`` holds log2(n) + 2 values at most.
    """

    name: ClassVar[str] = "serial"

    def __init__(self) -> None:
        super().__init__(workers=1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}: every call in this process"

    def _run(self, task: Call, items: list[Any], reporting: Reporting, costs: list[float]) -> list[Any]:
        results = []
        with reporting.bar(len(items)) as bar:
            for i in range(len(items)):
                results.append(_call(task, (items[i],), Node(i, i + 1), items, reporting))
                bar.update()
        return results

    def _reduce(self, leaf: Call, merge: Call, items: list[Any], reporting: Reporting, costs: list[float]) -> Any:
        values: list[Any] = []
        with reporting.bar(2 * len(items) - 1) as bar:
            for node in tree(len(items)):
                if node.is_leaf:
                    values.append(_call(leaf, (items[node.lo],), node, items, reporting))
                else:
                    right, left = values.pop(), values.pop()
                    values.append(_call(merge, (left, right), node, items, reporting))
                    del left, right
                bar.update()
        return values.pop()


class InlineExecutor(SerialExecutor):
    """As SerialExecutor and with the same bits, for work inside a task or asked for without an executor.

    Exceptions are raised as they are, and no progress is shown.
    """

    name: ClassVar[str] = "inline"
    _heeds_signals: ClassVar[bool] = False  # inside a task, which is to become whole

    def once(self, call: Call, *, what: str) -> Any:
        """As ``Executor.once``: call() here, with one thread for BLAS."""
        with one_thread:
            return call()

    def _run(self, task: Call, items: list[Any], reporting: Reporting, costs: list[float]) -> list[Any]:
        with one_thread:
            return [task(item) for item in items]

    def _reduce(self, leaf: Call, merge: Call, items: list[Any], reporting: Reporting, costs: list[float]) -> Any:
        values: list[Any] = []
        with one_thread:
            for node in tree(len(items)):
                if node.is_leaf:
                    values.append(leaf(items[node.lo]))
                else:
                    right, left = values.pop(), values.pop()
                    values.append(merge(left, right))
        return values.pop()


def _call(call: Call, args: tuple[Any, ...], node: Node, items: Sequence[Any], reporting: Reporting) -> Any:
    if name := stop_requested():
        raise stopped_by(name)
    try:
        return attempt(call, *args)
    except CallFailed as failed:
        fault = failed.fault.named(node, items, reporting.label)
    raise task_failed(reporting.what, [fault])
