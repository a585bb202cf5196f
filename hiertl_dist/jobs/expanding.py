"""An input file that names an ``fm_setup.in``, as one with ``[basis]`` and ``[[data]]`` of its own."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError
from ..files.paths import require_file
from ..io.fm_setup import find_setup_frames
from ..text.words import toml_table
from .input_file import Input

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ..io.fm_trajectories import FittedLabels
    from ..model.basis import Basis

_LINE: Final = re.compile(r"^[ \t]*fm_setup[ \t]*=.*\n?", re.MULTILINE)
_FIT: Final = re.compile(r"^[ \t]*\[fit\].*\n?", re.MULTILINE)
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def expanded_text(path: Path, data: str | None = None) -> str:
    """The text of an input file, with the basis and the data of its ``fm_setup.in`` in place of the line that names it.

    All else stays as it stands, comments too; weights that an ``fm_setup`` has by itself, ones, are written out.

    Parameters
    ----------
    path : Path
        The input file.
    data : str, optional
        A data set that was imported of the ``fm_setup.in``, which takes the place of its trajectories.

    Returns
    -------
    str
        An input file for the same folder, of an equal basis.

    Raises
    ------
    InputError
        There is no ``fm_setup``; not all labels of its trajectories are fitted, and no data set is named; or the file
        is written in a way that can't be changed line by line.
    """
    path = require_file(path, "input file")
    given = toml_table(path, InputError)
    job = Input.from_toml(path)
    if job.fm_setup is None:
        raise InputError(
            f"{path}: expected an fm_setup, found [basis] and [[data]], of which there is nothing to expand"
        )
    tables: dict[str, Any] = {"basis": job.basis.to_dict()}
    tables["data"] = [{"path": data}] if data is not None else _sources(job.fm_setup, path)
    own_weights = "weights" in given or "weights" in given.get("fit", {})
    text = _LINE.sub("", path.read_text(encoding="utf-8"), count=1)
    wanted = {key: value for key, value in given.items() if key != "fm_setup"} | tables
    if not own_weights:
        wanted["fit"] = given.get("fit", {}) | {"weights": {}}
        text = _with_weights(text)
    name = str(given["fm_setup"])
    text = "\n".join([text.strip("\n"), "", *_basis_lines(job.basis, name), *_data_lines(tables["data"]), ""]).lstrip(
        "\n"
    )
    try:
        agrees = tomllib.loads(text) == wanted
    except tomllib.TOMLDecodeError:
        agrees = False
    if not agrees:
        raise InputError(
            f"{path}: expected fm_setup on a line of its own and a [fit] table, if there is one, below its header; "
            "written otherwise, the file can't be changed line by line"
        )
    if Input.from_dict(wanted, path.parent).basis != job.basis:
        raise InputError(f"{path}: the basis of {name} can't be written as a [basis] table")
    return text


def _sources(setup: Path, path: Path) -> list[dict[str, Any]]:
    """A ``[[data]]`` table for each trajectory. Raises InputError where some of their labels are not fitted."""
    asked = find_setup_frames(setup)
    if left := _left_out(asked.labels):
        raise InputError(
            f"{path}: {setup.name} leaves out {left}, which [[data]] of trajectories can't: hiertl-dist import "
            f"data.frames {setup} keeps what it fits; then hiertl-dist config expand {path} --data data.frames"
        )
    tables = []
    for trajectory in asked.trajectories:
        place = trajectory.path
        if not place.is_absolute() and place.is_relative_to(path.parent):
            place = place.relative_to(path.parent)
        elif not place.is_absolute():
            place = place.resolve()
        own = {"path": str(place), "format": "xyzf", "group": trajectory.group, "stop": trajectory.frames}
        tables.append(own)
    return tables


def _left_out(labels: FittedLabels) -> str:
    """Which labels FITSTRS and FITENER leave out; nothing where all are fitted."""
    stress = "" if labels.stress == "full" else "stresses" if labels.stress == "none" else "off-diagonal stresses"
    if labels.stress != "none" and labels.n_stress is not None:
        stress = f"stresses of all but the first {labels.n_stress} frames"
    energy = "" if labels.energy else "energies"
    if labels.energy and labels.n_energy is not None:
        energy = f"energies of all but the first {labels.n_energy} frames"
    return " and ".join(filter(None, (stress, energy)))


def _with_weights(text: str) -> str:
    """The weights that inputs with an ``fm_setup`` have by themselves, written into ``[fit]``."""
    line = "weights = {}    # every row alike, as chimes_lsq; without this line they would be automatic ones\n"
    changed, headers = _FIT.subn(lambda header: f"{header[0].rstrip()}\n{line}", text, count=1)
    return changed if headers else f"{text.rstrip()}\n\n[fit]\n{line}"


def _basis_lines(basis: Basis, name: str) -> Iterator[str]:
    table = basis.to_dict()
    yield f"[basis]    # of {name}: each type with its order, as PAIRTYP counts them, and its cutoffs in Å"
    yield from (f"{key} = {_toml(value)}" for key, value in table.items() if key not in ("pairs", "types"))
    for key in ("pairs", "types"):
        yield from ("", f"[basis.{key}]")
        yield from (f"{_key(own)} = {_toml(value)}" for own, value in table[key].items())
    yield ""


def _data_lines(tables: list[dict[str, Any]]) -> Iterator[str]:
    for table in tables:
        yield "[[data]]"
        yield from (f"{key} = {_toml(value)}" for key, value in table.items())
        yield ""


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _toml(name)


def _toml(value: str | float | list[Any] | Mapping[str, Any]) -> str:
    """A value of a table in TOML, whose numbers and strings are written as in JSON."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(k)} = {_toml(v)}' for k, v in value.items())} }}" if value else "{}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
