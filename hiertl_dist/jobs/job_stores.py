"""What is done with a job uses stores as the job says."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from ..files.store_use import use_stores
from .input_file import Input

P = ParamSpec("P")
R = TypeVar("R")


def with_its_stores(work: Callable[Concatenate[Input, P], R]) -> Callable[Concatenate[Input, P], R]:
    """What is done with a job, so that stores are used as the job says."""

    @wraps(work)
    def using(job: Input, /, *args: P.args, **options: P.kwargs) -> R:
        with use_stores(job.store_use):
            return work(job, *args, **options)

    return using
