"""What the tests of the executors have done: importable by name, for other processes import it too."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_info


class CustomError(Exception):
    """It can't be unpickled: its arguments are not what its constructor wants."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} against {b}")


def double(i: int) -> int:
    return 2 * i


def larger(left: int, right: int) -> int:
    return max(left, right)


def wait_for(path: Path, folder: Path, i: int) -> None:
    (folder / f"begun-{i}").touch()
    while not path.exists():
        time.sleep(0.01)
    (folder / f"ended-{i}").touch()


def append_a_line(path: Any) -> str:
    with open(path, "a", encoding="utf-8") as stream:  # noqa: PTH123
        stream.write("once\n")
    return "done"


def double_unevenly(i: int) -> int:
    time.sleep(0.02 if i % 5 == 0 else 0.0)
    return 2 * i


def fail_at(bad: int, i: int) -> int:
    if i == bad:
        raise ValueError(f"no good: {i}")
    return i


def fail_oddly(i: int) -> int:
    raise CustomError(i, 7)


def leave(i: int) -> int:
    raise SystemExit(3)


def unsendable(i: int) -> Any:
    return open(os.devnull) if i == 1 else i  # noqa: PTH123


def keep_left(left: Any, right: Any) -> Any:
    return left


def join(left: str, right: str) -> str:
    return f"({left}+{right})"


def join_but(bad: str, left: str, right: str) -> str:
    if left == bad:
        raise ArithmeticError(f"can't add to {left}")
    return join(left, right)


def join_unsendable(left: Any, right: Any) -> Any:
    return lambda: (left, right)


def triangle(i: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(i).standard_normal((120, 90)), mode="r")


def merge_triangles(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    ((_, _), r) = scipy.linalg.qr(np.vstack([left, right]), mode="raw")
    return np.triu(r[: left.shape[1]])


def sum_of_reals(i: int) -> float:
    return float(np.random.default_rng(i).standard_normal(1000).sum())


def product(i: int) -> bytes:
    a = np.random.default_rng(i).standard_normal((300, 300))
    return (a @ a).tobytes()


def blas_threads(i: int) -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def big(megabytes: int, i: int) -> np.ndarray:
    return np.full(megabytes * 125_000, float(i))


class Table:
    """A large static argument that leaves a note each time that it is unpickled."""

    def __init__(self, values: np.ndarray, folder: Path) -> None:
        self.values, self.folder = values, folder

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        (self.folder / f"unpickled-{os.getpid()}-{time.monotonic_ns()}").touch()


def look_up(table: Table, i: int) -> float:
    return float(table.values[i])


def write(folder: Path, i: int) -> None:
    (folder / f"written-{i}").write_text(f"item {i}")


def fail_first(folder: Path, i: int) -> None:
    (folder / f"begun-{i}").touch()
    if i == 0:
        raise ValueError("the first fails")
    time.sleep(0.05)
    (folder / f"ended-{i}").touch()


def ask_to_stop(pid: int, folder: Path, i: int) -> None:
    (folder / f"begun-{i}").touch()
    if i == 2:
        os.kill(pid, signal.SIGTERM)
    time.sleep(0.05)
    (folder / f"ended-{i}").touch()


def die_at(bad: int, i: int) -> int:
    if i == bad:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2)
    return i


def die_once(flag: Path, i: int) -> str:
    time.sleep(0.05)
    if i == 5 and not flag.exists():
        flag.touch()
        os._exit(1)
    return str(i)


def pid_after(seconds: float, i: int) -> int:
    time.sleep(seconds)
    return os.getpid()


class Named(NamedTuple):
    name: str
    number: int


def named_tuples(i: int) -> dict[Named, list[Named]]:
    return {Named("a", i): [Named("b", i + 1)]}


def join_named(a: dict[Named, list[Named]], b: dict[Named, list[Named]]) -> dict[Named, list[Named]]:
    return a | b
