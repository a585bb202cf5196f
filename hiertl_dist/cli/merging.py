"""What commands do with models before they are written: blocks taken out, types of atoms renamed."""

from __future__ import annotations

import tomllib
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ..evaluation.energies import Model
    from ..library.labels import Label


def add_model_options(one: argparse.ArgumentParser) -> None:
    """The options of both commands that write a merged model."""
    one.add_argument("--penalty", nargs=2, type=float, metavar=("SCALE", "DISTANCE"), help="wall of the merged model")
    one.add_argument("--reduced", action="store_true", help="leave out many-body values of at most 1e-6")
    one.add_argument("--rename", nargs="+", default=[], metavar="OLD=NEW", help="other names of types of atoms")


def label_of(text: str, option: str) -> Label:
    """A statement as it is on a command line, where a table is written as in an input file."""
    from ..errors import InputError

    if not text.lstrip().startswith("{"):
        return text
    try:
        table: dict[str, Any] = tomllib.loads(f"label = {text}")["label"]
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{option}: expected a table as in TOML, found {text!r}: {error}") from error
    return table


def pairs_of(given: Sequence[str], sign: str, option: str, *, bare: bool = False) -> list[tuple[str, str]]:
    """``A=B`` as (A, B); with ``bare`` also ``A`` as (A, ""). Raises InputError, naming the option, for others."""
    from ..errors import InputError

    split = [text.partition(sign) for text in given]
    for text, (name, between, value) in zip(given, split, strict=True):
        if not name or (between and not value) or not (between or bare):
            raise InputError(f"{option}: expected A{sign}B, found {text!r}")
    if twice := [name for i, (name, _, _) in enumerate(split) if sign == "=" and name in {n for n, _, _ in split[:i]}]:
        raise InputError(f"{option}: {twice[0]!r} is given twice")
    return [(name, value) for name, _, value in split]


def models_of(files: Iterable[Path], blocks: Sequence[str] | None) -> list[Model]:
    """The models of files; where blocks are named, these alone, each file's with its own elements."""
    from ..errors import UnknownBlockError
    from ..evaluation.energies import Model, read_parts
    from ..fitting.block_order import blocks_in
    from ..frames.element_set import ElementSet
    from ..model.parameters import only_blocks

    parts = [read_parts(p) for p in files]
    if blocks is None:
        return list(map(Model, parts))
    wanted = {ElementSet.parse(n) for n in blocks}
    there = set().union(*map(blocks_in, parts))
    if unknown := sorted(wanted - there):
        raise UnknownBlockError(f"merge --blocks: {unknown} are in none of the files, which have {sorted(there)}")
    return [Model(only_blocks(p, own)) for p in parts if (own := blocks_in(p) & wanted)]


def renamed(model: Model, given: Sequence[str]) -> Model:
    """The model with other names of its types of atoms, as ``OLD=NEW``."""
    from ..evaluation.energies import Model
    from ..model.relabelling import relabelled

    return Model(relabelled(model.parameters, dict(pairs_of(given, "=", "--rename")))) if given else model


def require_pairs(model: Model) -> None:
    """Raise InputError where a sum of models lacks a pair of its elements, which a parameter file has to state."""
    from ..errors import InputError
    from ..model.basis import cluster_name

    stated = {p.elements for p in model.parameters.basis.pairs}
    pairs = combinations_with_replacement(sorted(model.elements), 2)
    if missing := [cluster_name(p) for p in pairs if p not in stated]:
        raise InputError(
            f"merge: no file states the pairs {missing}, which a file of these elements needs: name a file that has "
            "them, too (a model of these elements, be its pairs zero), or have a fit write the model: with "
            'missing = "mixed" or "zero" in [fit], and these files in [frozen]'
        )
