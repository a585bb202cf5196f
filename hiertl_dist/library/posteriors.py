"""``read_posterior``: what a model leaves open, from the files that fits and libraries keep beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import InputError, MismatchError, MissingFileError
from ..files.paths import local_path
from ..frames.element_set import ElementSet
from ..model.file_names import COVARIANCE as ENDING
from ..model.mixing_matrix import made_types
from ..text.display import listed
from ..uncertainty.block_posterior import BlockPosterior
from ..uncertainty.whole_model import HierarchyPosterior, hierarchy_posterior, unfitted_types
from .entry import COVARIANCE
from .folder import is_library, open_library

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..evaluation.energies import Model

NAMED: Final = 6
"""Blocks, and files that do not belong to a model, that an error names."""


# long: its parameters are documented
def read_posterior(model: Model, *places: str | Path, known: Collection[str] = ()) -> HierarchyPosterior:
    """What the blocks of a model leave open, for :func:`~hiertl_dist.predict` and :func:`~hiertl_dist.check_model`.

    Parameters
    ----------
    model : Model
        The whole model, such as a merged file.
    *places : str or Path
        Files that fits wrote (``CN.covariance.npz``), folders of results, and libraries. Of a folder and a library
        those files count whose coefficients are the model's; a file that is named has to be one of the model's blocks.
    known : collection of str, optional
        Blocks that may count as known without doubt, such as published ones.

    Returns
    -------
    HierarchyPosterior
        All blocks of the model; what counts as known is in its notes.

    Raises
    ------
    InputError
        No file is of a block that the model has: its blocks, and the files that were looked at, are named; two files
        are of one block, or ``known`` is no block of the model.
    MismatchError
        A file that is named is of another model.
    ParameterFileError, StoreError, MissingFileError
        A file can't be read, or is damaged: it is named.

    Examples
    --------
    >>> model = Model.read("hiertl_results/model.params.txt")
    >>> posterior = read_posterior(model, "hiertl_results")
    """
    blocks: list[BlockPosterior] = []
    fitted: dict[tuple[str, ...], str] = {}
    others: list[str] = []
    for place in places:
        path = local_path(place, "covariance")
        named = not path.is_dir()
        for file in [path] if named else _files_in(path):
            part, why = _part_of(model, file)
            if part is None:
                if named:
                    raise MismatchError(why)
                others.append(why)
            elif not fitted.keys() & set(part.types):
                blocks.append(part)
                fitted |= dict.fromkeys(part.types, part.source)
            elif named and fitted.get(part.types[0]) != part.source:
                raise InputError(f"{file}: its types are in {fitted[part.types[0]]} too; name one of them")
    _require_all(model, fitted, others, places, known)
    return hierarchy_posterior(blocks, model)


def _files_in(folder: Path) -> list[Path]:
    """Files of covariances in a folder of results or a library."""
    if is_library(folder):
        entries = open_library(folder).entries
        return [entry.checked_file(COVARIANCE) for entry in entries if COVARIANCE in entry.files]
    if not folder.is_dir():
        raise MissingFileError(f"covariance: there is no folder {folder.absolute()}")
    return sorted(folder.glob(f"*{ENDING}"))


def _part_of(model: Model, file: Path) -> tuple[BlockPosterior | None, str]:
    """What a file holds, or why it is none of the model's."""
    part = BlockPosterior.load(file)
    try:
        part.require_part_of(model.parameters)
    except MismatchError as error:
        return None, str(error)
    return part, ""


def _require_all(
    model: Model, fitted: Collection[tuple[str, ...]], others: list[str], places: Collection[str | Path],
    known: Collection[str],
) -> None:  # fmt: skip
    """Raise InputError, naming them, where blocks of a model have no covariance and are not said to be known."""
    parameters = model.parameters
    there = {t.block for t in parameters.basis.types if t.body > 1}
    stated = set()
    for name in known:
        if (block := ElementSet.parse(name)) not in there:
            raise InputError(f"known: {name!r} is no block of {parameters.source}, which has {listed(sorted(there))}")
        stated.add(block)
    made, _ = made_types(parameters, fitted)
    lacking = [
        t
        for t in unfitted_types(model, fitted, made)
        if t.name not in parameters.without_data and t.block not in stated
    ]
    if lacking:
        blocks = list(dict.fromkeys(t.block for t in lacking))
        why = f"; not of this model: {listed(others, NAMED)}" if others else ""
        where = listed([str(p) for p in places], NAMED) or "no place that was named"
        raise InputError(
            f"{parameters.source}: no covariance of blocks {listed(blocks, NAMED)} in {where}{why}; name the files, "
            "folders or libraries that have them, or say with --known (in Python known=) which blocks count as known "
            "without doubt"
        )
