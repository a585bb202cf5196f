"""Several callers of one executor at a time: what they ask of it at the same point of their ways is done in one verb.

A fit of a block looks at frames, reduces rows, solves: verbs with few items each, at the end of which workers wait for
the last. Of fits that do not depend on one another, these verbs are joined, so that workers wait once for all of them.

Each caller runs in a thread of its own, as a coroutine would: one of them, or the thread that has begun them, runs at a
time, in an order that depends on what they ask alone, and all verbs are made in the thread that has begun them. So
nothing is at the same time but what workers do, and under MPI all ranks make the same verbs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TextIO, TypeVar

from hiertl_dist.executors.base import Executor
from hiertl_dist.executors.batches import Batch, Batches, Ready
from hiertl_dist.files.object_path import Place

Value = TypeVar("Value")

STEPS: Final = ("run", "reduce")
"""Verbs that are joined, in this order: reductions, which take longest, when nobody wants anything else."""


@dataclass(frozen=True, eq=False)
class _Wish:
    """What a caller waits for: a call by itself, or batches of a verb."""

    verb: str
    call: Callable[[], Any] | None = None
    batches: tuple[Batch, ...] = ()


class _Caller:
    """A call in a thread, which runs until it wants something, and goes on when it has that."""

    def __init__(self, call: Callable[[Executor], Any], inner: Executor, callers: int) -> None:
        self._call, self._shared = call, SharedExecutor(inner, self._ask, callers)
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self.wish: _Wish | None = None
        self.value: Any = None
        self.error: BaseException | None = None
        self._answer: Any = None
        self._refusal: BaseException | None = None
        self._alive = False
        context = copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._live,), name="side by side", daemon=True)

    def _live(self) -> None:
        self._go.acquire()
        try:
            if self._refusal is not None:
                raise self._refusal
            self.value = self._call(self._shared)
        except BaseException as error:  # handed on by who has begun it
            self.error = error
        self.wish, self._alive = None, False
        self._back.release()

    def _ask(self, wish: _Wish) -> Any:
        self.wish = wish
        self._back.release()
        self._go.acquire()
        # neither what was asked for nor the answer is kept here: they are large, and the caller may let go of them
        answer, self._answer, self.wish = self._answer, None, None
        del wish
        if self._refusal is not None:
            raise self._refusal
        return answer

    def begin(self) -> None:
        """Start the thread, which waits."""
        self._thread.start()
        self._alive = True

    def give(self, answer: Any, refusal: BaseException | None = None) -> None:
        """What it will have when it goes on, or why not; nobody else is to keep it."""
        self._answer, self._refusal = answer, refusal

    def go_on(self) -> None:
        """Let it have what was given, and wait until it wants more or has ended."""
        self._go.release()
        try:
            self._back.acquire()
        except BaseException:  # Ctrl-C, or a signal that is to stop at once: what it is at becomes whole
            self._back.acquire()
            raise

    def end(self) -> None:
        """Have it end where it waits, through whatever catches exceptions, as Python ends a coroutine."""
        while self._alive:
            self.give(None, GeneratorExit())
            self.go_on()


class SharedExecutor(Executor):
    """An executor as one of several callers has it who share it; verbs are made by the thread that has begun them."""

    name: ClassVar[str] = "shared"
    _heeds_signals: ClassVar[bool] = False  # the executor's own verbs do

    def __init__(self, inner: Executor, ask: Callable[[_Wish], Any], callers: int) -> None:
        self._inner, self._ask, self._callers = inner, ask, callers
        super().__init__(workers=1)
        self.overhead = inner.overhead  # type: ignore[misc]  # of the class, but of that executor's

    def _alone(self, call: Callable[[], Any]) -> Any:
        return self._ask(_Wish("alone", call))

    @property
    def workers(self) -> int:
        """As of the executor."""
        return int(self._alone(lambda: self._inner.workers))

    @property
    def callers(self) -> int:
        """How many began."""
        return self._callers

    @property
    def notes(self) -> tuple[str, ...]:
        """As of the executor."""
        notes: tuple[str, ...] = self._alone(lambda: self._inner.notes)
        return notes

    def once(self, call: Callable[[], Any], *, what: str) -> Any:
        """As of the executor."""
        return self._alone(lambda: self._inner.once(call, what=what))

    def require_alike(self, digests: Callable[[], Sequence[str]], what: str) -> None:
        """As of the executor."""
        self._alone(lambda: self._inner.require_alike(digests, what))

    def _require_shared(self, place: Place) -> None:
        """As of the executor: of its folders, and of its places on object stores."""
        self._alone(lambda: self._inner._require_shared(place))

    def memory(self) -> int:
        """As of the executor."""
        return int(self._alone(self._inner.memory))

    def room_for(self, needed: int, base: int, wanted: int, memory: int | None = None) -> int:
        """As of the executor."""
        return int(self._alone(lambda: self._inner.room_for(needed, base, wanted, memory)))

    def most_of(self, size: int) -> int:
        """As of the executor."""
        return int(self._alone(lambda: self._inner.most_of(size)))

    def limits_text(self, memory: int | None = None) -> str:
        """As of the executor."""
        return str(self._alone(lambda: self._inner.limits_text(memory)))

    def waiting(self, n: int) -> int:
        """As of the executor."""
        return int(self._alone(lambda: self._inner.waiting(n)))

    def out(self) -> TextIO:
        """As of the executor."""
        stream: TextIO = self._alone(self._inner.out)
        return stream

    def close(self) -> None:
        """Nothing: it is not this caller's to close."""

    def run_each(self, batches: Sequence[Batch], ready: Ready) -> None:
        """As of the executor, together with what others run."""
        for number, values in enumerate(self._ask(_Wish("run", batches=tuple(batches)))):
            ready(number, values)

    def reduce_each(self, batches: Sequence[Batch], ready: Ready) -> None:
        """As of the executor, together with what others reduce."""
        for number, value in enumerate(self._ask(_Wish("reduce", batches=tuple(batches)))):
            ready(number, value)

    def _run(self, batches: Batches, ready: Ready) -> None:
        raise AssertionError("unreachable: the executor runs")

    def _reduce(self, batches: Batches, ready: Ready) -> None:
        raise AssertionError("unreachable: the executor reduces")


# long: its parameters are documented
def side_by_side(
    calls: Sequence[Callable[[Executor], Value]], executor: Executor, *, memory: int | None = None,
    ready: Callable[[int, Value], None] = lambda *_: None, tell: Callable[[str], None] = lambda _: None,
) -> list[Value]:  # fmt: skip
    """Make calls that use an executor and do not depend on one another, their verbs joined.

    Parameters
    ----------
    calls : sequence of callable
        Each takes the executor that it is to use, whose ``callers`` says how many there are.
    executor : Executor
        Who works.
    memory : int, optional
        Bytes that all workers may take together, by which it is settled how many batches are worked through at a time;
        default: what is available.
    ready : callable
        Takes the number of a call and its value, as soon as that is there; also where others fail.
    tell : callable
        Takes a line where memory allows of fewer batches at a time than there are.

    Returns
    -------
    list
        The values of the calls, in order.

    Raises
    ------
    Exception
        Of the calls that failed, what the first of them raised; the others have gone on to their ends.
    """
    if len(calls) == 1:
        values = [calls[0](executor)]
        ready(0, values[0])
        return values
    callers = [_Caller(call, executor, len(calls)) for call in calls]
    try:
        for caller in callers:
            caller.begin()
        for number, caller in enumerate(callers):
            _to_next_step(caller, number, ready)
        while any(caller.wish is not None for caller in callers):
            verb = next(v for v in STEPS if any(c.wish is not None and c.wish.verb == v for c in callers))
            those = [n for n, c in enumerate(callers) if c.wish is not None and c.wish.verb == verb]
            answers = _joined(verb, [callers[n].wish for n in those], executor, memory, tell)
            for number in those:
                callers[number].give(*answers.pop(0))
                _to_next_step(callers[number], number, ready)
    finally:
        for caller in callers:
            caller.end()
    if (error := next((c.error for c in callers if c.error is not None), None)) is not None:
        raise error
    return [caller.value for caller in callers]


def _to_next_step(caller: _Caller, number: int, ready: Callable[[int, Any], None]) -> None:
    """Have a caller go on until it wants a verb that is joined, or has ended; what it wants alone is done at once."""
    caller.go_on()
    while caller.wish is not None and (call := caller.wish.call) is not None:
        try:
            caller.give(call())
        except Exception as error:
            caller.give(None, error)
        caller.go_on()
    if caller.wish is None and caller.error is None:
        try:
            ready(number, caller.value)
        except Exception as error:  # others, who have come as far, go on
            caller.error = error


def _joined(
    verb: str, wishes: Sequence[_Wish | None], executor: Executor, memory: int | None, tell: Callable[[str], None]
) -> list[tuple[list[Any] | None, BaseException | None]]:
    """What each wish comes to: values of its batches, or why there are none."""
    batches = [batch for wish in wishes if wish is not None for batch in wish.batches]
    values: dict[int, Any] = {}
    failures: dict[int, BaseException] = {}
    portions = _portions(verb, batches, executor, memory)
    if len(portions) > 1:
        tell(
            f"{Batches(tuple(b for b in batches if b.items)).what}: {len(portions)} portions, one after the other, for "
            "memory has no room for all at a time"
        )
    each = executor.run_each if verb == "run" else executor.reduce_each
    while portions:
        numbers = portions.pop(0)

        def take(place: int, value: Any, numbers: list[int] = numbers) -> None:
            values[numbers[place]] = value

        try:
            each([batches[n] for n in numbers], take)
        except Exception as error:
            failed = {numbers[place] for place in getattr(error, "batches", ())}
            if not failed:  # a signal, or a cluster that is gone: of all that is left
                failures |= {n: error for n in range(len(batches)) if n not in values and n not in failures}
                break
            failures |= dict.fromkeys(failed, error)
            # after a failure nothing more was begun of the others
            if left := [n for n in numbers if n not in values and n not in failed]:
                portions.insert(0, left)
    answers: list[tuple[list[Any] | None, BaseException | None]] = []
    first = 0
    for wish in wishes:
        assert wish is not None
        own = range(first, first + len(wish.batches))
        first += len(wish.batches)
        whole = all(n in values for n in own)
        why = next((failures[n] for n in own if n in failures), None)
        answers.append(([values.pop(n) for n in own], None) if whole else (None, why))
    return answers


def _portions(verb: str, batches: Sequence[Batch], executor: Executor, memory: int | None) -> list[list[int]]:
    """The numbers of the batches that are worked through at a time; one, where more don't fit."""
    portions: list[list[int]] = [[]]
    if any(batch.nbytes for batch in batches):
        workers = min(executor.workers, Batches(tuple(batches)).most or executor.workers)
        available = executor.memory() if memory is None else memory
        for number in range(len(batches)):
            own = [batches[n] for n in (*portions[-1], number)]
            if portions[-1] and _needed(verb, own, workers) > available:
                portions.append([])
            portions[-1].append(number)
        return portions
    return [list(range(len(batches)))]


def _needed(verb: str, batches: Sequence[Batch], workers: int) -> int:
    """Bytes of all workers: of runs, the calls that may be made at a time; of reductions, one call and all values."""
    if verb == "run":
        return sum(sorted((b.nbytes for b in batches for _ in b.items), reverse=True)[:workers])
    return min(workers, sum(len(b.items) for b in batches)) * max(
        b.nbytes + sum(other.kept for other in batches if other is not b) for b in batches
    )
