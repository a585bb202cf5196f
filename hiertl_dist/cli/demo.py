"""The demonstration's input: the shipped C/N PBE-D2 set, and settings chosen by held-out trajectories."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from ..jobs.input_file import Input
from ..jobs.outputs import write_text_anew

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..executors.base import Executor


def demo_input(folder: Path) -> Input:
    """The job of ``hiertl-dist demo``, its results and its store in ``folder``."""
    folder = folder.absolute()
    job = Input.from_dict(tomllib.loads(_text()), folder)
    return replace(job, output=folder, store=folder / "design.zarr")


def write_demo_input(folder: Path, executor: Executor, tell: Callable[[str], None]) -> None:
    """Write the input file of the demonstration into ``folder``, so that it can be changed and run again.

    It has the path of the data; one that was changed is moved to a folder ``earlier_…``.
    """
    write_text_anew(executor, _text(), folder.absolute() / "input.toml", tell)


def _text() -> str:
    shipped = files("hiertl_dist") / "data"
    with as_file(shipped / "cn_pbe.extxyz.gz") as data, as_file(shipped / "demo.toml") as source:
        return source.read_text(encoding="utf-8").replace("cn_pbe.extxyz.gz", str(data))
