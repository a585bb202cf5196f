"""An executor under a stop watch: CPU seconds and peak memory of each verb of a fit, worker processes included.

``fit_block`` and ``fit_hierarchy`` do all their work through an executor's verbs (look at frames, assemble, reduce,
solve), so that a watch on these measures a fit as a user calls it, step by step.
"""

from __future__ import annotations

import resource
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import psutil
from measure import peak_memory, peak_of, reset_peak

from hiertl_dist.executors.batches import Batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hiertl_dist.executors import Executor
    from hiertl_dist.executors.batches import Batch


@dataclass(frozen=True)
class Step:
    """What one verb took: CPU seconds of this process and its children, wall seconds, and the largest resident set
    (bytes) of any one of these processes."""

    what: str
    cpu: float
    wall: float
    peak: int


def tree_cpu() -> float:
    """CPU seconds, user and system, of this process and of all its children, those that have ended included."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + ended.ru_utime + ended.ru_stime
    for child in psutil.Process().children(recursive=True):
        try:
            total += sum(child.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue  # it has just ended, and is counted among the others from now on
    return total


def reset_peaks() -> None:
    """Forget the largest resident sets so far of this process and its children."""
    reset_peak()
    for child in psutil.Process().children(recursive=True):
        reset_peak(child.pid)


def largest_peak() -> int:
    """Largest resident set in bytes of this process or any of its children."""
    children = (peak_of(child.pid) for child in psutil.Process().children(recursive=True))
    return max([peak_memory(), *(p for p in children if p is not None)])


class Clocked:
    """An executor that notes what each of its verbs took; everything else is the executor's own.

    Attributes
    ----------
    steps : in the order in which they were made.
    solved : what the verbs named ``solve …`` returned.
    """

    def __init__(self, inner: Executor) -> None:
        self._inner = inner
        self.steps: list[Step] = []
        self.solved: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def run(self, task: Callable[..., Any], items: Iterable[Any], *, what: str = "tasks", **more: Any) -> list[Any]:
        """As the executor's ``run``."""
        with self._step(what):
            found: list[Any] = self._inner.run(task, items, what=what, **more)
        if what.startswith("solve "):
            self.solved += found
        return found

    def reduce(
        self, leaf: Callable[..., Any], merge: Callable[..., Any], items: Iterable[Any], *, what: str = "reduction",
        **more: Any,
    ) -> Any:  # fmt: skip
        """As the executor's ``reduce``."""
        with self._step(what):
            return self._inner.reduce(leaf, merge, items, what=what, **more)

    def run_each(self, batches: Sequence[Batch], ready: Callable[[int, Any], None]) -> None:
        """As the executor's ``run_each``, which fits of blocks that run side by side use."""

        def noted(number: int, values: list[Any]) -> None:
            if batches[number].what.startswith("solve "):
                self.solved += values
            ready(number, values)

        with self._step(Batches(tuple(batches)).what):
            self._inner.run_each(batches, noted)

    def reduce_each(self, batches: Sequence[Batch], ready: Callable[[int, Any], None]) -> None:
        """As the executor's ``reduce_each``."""
        with self._step(Batches(tuple(batches)).what):
            self._inner.reduce_each(batches, ready)

    @contextmanager
    def _step(self, what: str) -> Iterator[None]:
        reset_peaks()
        cpu, wall = tree_cpu(), time.perf_counter()
        yield
        self.steps.append(Step(what, tree_cpu() - cpu, time.perf_counter() - wall, largest_peak()))

    def taken(self) -> list[dict[str, Any]]:
        """The steps since the last call, as JSON objects."""
        found = [asdict(step) for step in self.steps]
        self.steps.clear()
        return found
