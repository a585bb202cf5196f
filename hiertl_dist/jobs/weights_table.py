"""The ``[weights]`` table of an input file: weights of single rows, by expressions and from files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..frames.row_weights import RowWeights
from ..io.weight_files import read_frame_weights, read_row_weights
from ..text.table_keys import ROW_WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..fitting.settings import FitSettings
    from ..frames.frame_sequence import FrameSequence
    from .input_tables import Reading


@dataclass(frozen=True)
class WeightsFile:
    """A file with a weight for each row, or for each frame, of a job.

    Attributes
    ----------
    path : Path
        The file.
    by_row : bool
        Whether it has a number for each row as chimes_lsq writes them; else a line for each frame.
    """

    path: Path
    by_row: bool


def weights_table(reading: Reading, fits: Mapping[str, FitSettings]) -> tuple[RowWeights | None, WeightsFile | None]:
    """What a ``[weights]`` table says, if there is one; what is wrong with it is noted.

    ``fits`` are the settings that it holds for, by the tables they are from.
    """
    if "weights" not in reading.top:
        return None, None
    own = reading.table("weights", ROW_WEIGHTS)
    for key, value in reading.top["weights"].items() if isinstance(reading.top["weights"], dict) else ():
        if styles := _styles_of_al_driver(value):
            reading.problems.add(f'weights.{key}: styles of al_driver are functions here: "{styles}"')
    files = {key: reading.path(own.pop(key), f"weights.{key}") for key in ("rows", "frames") if key in own}
    given: dict[str, Any] = {}
    for key, value in own.items():  # each by itself, for the first that is wrong ends it
        with reading.problems.noting():
            RowWeights(**{key: value})
            given[key] = value
    if len(files) > 1:
        reading.problems.add("weights: rows and frames are two files of weights for the same rows; keep one of them")
    if not reading.top["weights"]:
        reading.problems.add(f"weights: the table is empty; expected some of {', '.join(ROW_WEIGHTS)}")
    file = next((WeightsFile(path, key == "rows") for key, path in files.items()), None)
    for where, settings in fits.items():
        if "rows" in files and settings.objective != "lsq":
            reading.problems.add(
                f"{where}.objective is {settings.objective!r}: the rows of weights.rows are those of chimes_lsq, which "
                'has some of them several times; expected objective = "lsq"'
            )
    return RowWeights(**given), file


def _styles_of_al_driver(value: Any) -> str:
    """``[["A", "B"], [[1.0], [1.0, -1.0]]]`` of a config.py as an expression; nothing for what is not like that."""
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(part, list) for part in value)):
        return ""
    names, numbers = value
    if len(names) != len(numbers) or not all(isinstance(own, list) for own in numbers):
        return ""
    return " * ".join(f"{name}({', '.join(map(str, own))})" for name, own in zip(names, numbers, strict=True))


def with_file(weights: RowWeights, file: WeightsFile | None, frames: FrameSequence) -> RowWeights:
    """Weights with those of a file, which has them for all frames of a job, in their order.

    Raises
    ------
    InputError
        As of the readers; or an expression names a group or a type of atoms that no frame has.
    """
    weights.require_met(frames)
    if file is None:
        return weights
    read = read_row_weights if file.by_row else read_frame_weights
    return replace(weights, listed=read(file.path, frames))


def default_of_groups(reading: Reading, fm_setup: bool) -> dict[str, Any]:
    """What weights of groups are where nobody gives any, if they are not automatic.

    Those of chimes_lsq are ones, and whoever hands us its input gets them; so does who gives weights of rows, of which
    automatic ones would cancel what is the same for all rows of a kind.
    """
    return {"weights": {}} if fm_setup or "weights" in reading.top else {}
