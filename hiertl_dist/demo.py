"""The demonstration's input: the shipped C/N PBE-D2 set, and settings chosen by held-out trajectories."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

from .inputs import Input


def demo_input(folder: Path) -> Input:
    """The job of ``hiertl-dist demo``, its results and its store in ``folder``.

    The input file is copied there too, with the path of the data, so that it can be changed and run again.
    """
    shipped = files("hiertl_dist") / "data"
    with as_file(shipped / "cn_pbe.extxyz.gz") as data, as_file(shipped / "demo.toml") as source:
        text = source.read_text(encoding="utf-8").replace("cn_pbe.extxyz.gz", str(data))
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "input.toml").write_text(text, encoding="utf-8")
    job = Input.from_dict(tomllib.loads(text), folder)
    return replace(job, output=folder, store=folder / "design.zarr")
