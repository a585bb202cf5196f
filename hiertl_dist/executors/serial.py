"""The executor that makes every call here and now, one after the other.

It is the one to debug with, and what others must equal.
"""

from __future__ import annotations

from typing import Any, ClassVar

from hiertl_dist.executors.base import (
    CallFailed,
    Counted,
    Executor,
    Reporting,
    attempt,
    task_failed,
)
from hiertl_dist.executors.batches import Batches, Call, Ready
from hiertl_dist.executors.blas_threads import one_thread
from hiertl_dist.executors.stopping import stop_requested, stopped_by
from hiertl_dist.executors.trees import Node, tree


class SerialExecutor(Executor):
    """Calls in this process, in order.

    The first failure ends the verb. ``reduce`` holds log2(n) + 2 values at most.
    """

    name: ClassVar[str] = "serial"
    caller_works: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__(workers=1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}: every call in this process"

    def _run(self, batches: Batches, ready: Ready) -> None:
        with Reporting(batches.what, str).bar(len(batches.items)) as bar:
            for number, (batch, root) in enumerate(zip(batches.each, batches.roots, strict=True)):
                values = []
                for i in range(root.lo, root.hi):
                    values.append(_call(batch.call, (batches.items[i],), Node(i, i + 1), batches, bar))
                    bar.update()
                ready(number, values)

    def _reduce(self, batches: Batches, ready: Ready) -> None:
        with Reporting(batches.what, str).bar(2 * len(batches.items) - len(batches.each)) as bar:
            for number, (batch, root) in enumerate(zip(batches.each, batches.roots, strict=True)):
                values: list[Any] = []
                for node in tree(root.hi - root.lo, root.lo):
                    if node.is_leaf:
                        values.append(_call(batch.call, (batches.items[node.lo],), node, batches, bar))
                    else:
                        right, left = values.pop(), values.pop()
                        values.append(_call(batch.merge, (left, right), node, batches, bar))
                        del left, right
                    bar.update()
                ready(number, values.pop())


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

    def _run(self, batches: Batches, ready: Ready) -> None:
        with one_thread:
            for number, batch in enumerate(batches.each):
                ready(number, [batch.call(item) for item in batch.items])

    def _reduce(self, batches: Batches, ready: Ready) -> None:
        with one_thread:
            for number, batch in enumerate(batches.each):
                assert batch.merge is not None
                values: list[Any] = []
                for node in tree(len(batch.items)):
                    if node.is_leaf:
                        values.append(batch.call(batch.items[node.lo]))
                    else:
                        right, left = values.pop(), values.pop()
                        values.append(batch.merge(left, right))
                ready(number, values.pop())


def _call(call: Call | None, args: tuple[Any, ...], node: Node, batches: Batches, bar: Counted) -> Any:
    if name := stop_requested():
        raise stopped_by(name, how_far=batches.how_far(bar.done))
    assert call is not None
    try:
        return attempt(call, *args)
    except CallFailed as failed:
        fault = failed.fault.named(node, batches.name(node))
    raise task_failed(batches, [fault])
