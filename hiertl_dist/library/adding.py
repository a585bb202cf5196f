"""Blocks that go into a library: from a fit at hand, from a solution file, or from a parameter file of anybody."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, MismatchError
from ..evaluation.energies import read_parts
from ..files.json_files import jsonable
from ..files.paths import require_file
from ..frames.element_set import ElementSet
from ..model.parameters import check_same_pairs, different_walls, only_blocks
from ..model.solution import Solution
from ..text.display import listed
from .covariances import covariance_of
from .entry import LibraryBlock, sha256_of
from .folder import Added, BlockLibrary, add_entry, open_library
from .labels import UNKNOWN, Label, checked_label, for_elements
from .settings import block_named

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ..fitting.block_fit import BlockFit
    from ..frames.frame_sequence import FrameSequence
    from ..model.parameters import Parameters
    from .gates import Difference
    from .settings import LibrarySettings


def add_fit(
    settings: LibrarySettings, fit: BlockFit, frames: FrameSequence, lower: Mapping[ElementSet, str],
    accepted: Sequence[Difference], elements: Collection[str], sources: Sequence[Mapping[str, Any]],
) -> Added:  # fmt: skip
    """Write a block that was fitted upon versions of a library (``lower``); ``frames`` are those of its element sets.

    ``elements`` are those of the whole basis, ``accepted`` what was accepted of the blocks that it stands on.
    """
    solution, block = fit.solution, ElementSet.parse(fit.solution.block)
    kept, note = covariance_of(fit) if settings.covariance else (None, "it was not asked for")
    entry = LibraryBlock(
        settings.path, block, solution.parameters.digest,
        for_elements(settings.theory, block.elements, elements),
        for_elements(settings.energy_reference, block.elements, elements),
        lower={str(b): v for b, v in lower.items()}, data=data_of(fit, frames), sources=tuple(map(dict, sources)),
        coverage=dict(solution.parameters.coverage), fit=_facts(solution),
        accepted=tuple(d.as_dict() for d in accepted), covariance_note=note,
    )  # fmt: skip
    return add_entry(entry, solution.parameters, solution=solution, covariance=kept, use=block in settings.update)


def data_of(fit: BlockFit, frames: FrameSequence) -> dict[str, Any]:
    """Which frames a block was fitted on: how many of which group, and the digest of all."""
    used = frames.take(np.sort(np.concatenate([s.indices for s in fit.plan.segments])))
    names, numbers = used.facts.group_names, Counter(used.facts.group.tolist())
    return {
        "frames": len(used), "groups": {names[g]: n for g, n in sorted(numbers.items())},
        "digest": hashlib.sha256(np.ascontiguousarray(used.digests).tobytes()).hexdigest(),
    }  # fmt: skip


def _facts(solution: Solution) -> dict[str, Any]:
    facts: dict[str, Any] = jsonable(solution.as_dict())
    return {k: v for k, v in facts.items() if k not in ("coverage", "block")}


# long: its parameters are documented
def add_file(
    path: str | Path,
    file: str | Path,
    *,
    theory: Label,
    energy_reference: Label,
    upon: Mapping[str, str] | None = None,
    data: str = "",
    use: bool = False,
) -> list[Added]:
    """Add the blocks of a solution file, or of any ChIMES parameter file, each as an entry of its own.

    Parameters
    ----------
    path : str or Path
        Folder of the library; it is made if need be.
    file : str or Path
        Of one block, or of several that were fitted together, as published models are.
    theory, energy_reference : str or Mapping
        What is stated of the data (:class:`~hiertl_dist.LibrarySettings`); ``"unknown"`` if nobody knows it.
    upon : Mapping from str to str, optional
        By lower block, the version in the library that was frozen when the file's block was fitted, or how it begins;
        ``""`` is the one in use. Default: those whose digest the solution file names, else unknown.
    data : str, optional
        What is known of the data, in words.
    use : bool, default False
        Put the versions in use also where others of the blocks are.

    Returns
    -------
    list of Added
        The versions, small element sets first.

    Raises
    ------
    InputError
        A statement is none; a file of several blocks has energies of free atoms of elements without a block of their
        own, which can't be taken apart; ``upon`` names what is no lower block.
    UnknownBlockError
        ``upon`` names a block that the library lacks.
    StoreError, ParameterFileError, MissingFileError
        The folder is no library; the file can't be read.
    """
    file = require_file(file, "library add")
    statements = checked_label(theory, "theory"), checked_label(energy_reference, "energy_reference")
    solution = Solution.load(file) if file.suffix == ".npz" else None
    whole = read_parts(file) if solution is None else solution.parameters
    library = open_library(path, missing_ok=True)
    pieces = _pieces(whole)
    blocks = [block for block, _ in pieces]
    stated = {block_named(b, "upon"): v for b, v in (upon or {}).items()}
    if wrong := [b for b in stated if not any(b.is_proper_subset(block) for block in blocks) or b in blocks]:
        raise InputError(f"upon: {wrong} are no lower blocks of {', '.join(blocks)} that another file has")
    chosen = {b: library.find(b, v or None).version for b, v in stated.items()}
    versions: dict[ElementSet, str] = {}
    added = []
    for block, parameters in pieces:
        own = None if solution is None else _own_solution(solution, block, parameters, blocks)
        entry = LibraryBlock(
            library.path, block, parameters.digest,
            for_elements(statements[0], block.elements, whole.basis.elements),
            for_elements(statements[1], block.elements, whole.basis.elements),
            lower=_lower(block, versions, chosen, solution, library), together=tuple(b for b in blocks if b != block),
            sources=({"stated": data},) if data else (), coverage=dict(parameters.coverage),
            fit={} if own is None else _facts(own), imported={"name": file.name, "sha256": sha256_of(file)},
            covariance_note="a file has none",
        )  # fmt: skip
        done = add_entry(
            entry, parameters, solution=own, original=file if solution is None else None, use=use
        )  # fmt: skip
        versions[block] = done.entry.version
        added.append(done)
    return added


def mismatch_notes(path: str | Path, added: Sequence[Added]) -> tuple[str, ...]:
    """A warning for each block that was added and does not go with one in use, with both values.

    It is there all the same, for nothing that was there has changed: fits and exports refuse the two together. Orders
    may differ from block to block.
    """
    library = open_library(path)
    notes = []
    for own in (one.entry for one in added):
        parameters = own.parameters()
        for block in (b for b in library.in_use if ElementSet.parse(b) != own.block):
            other = library.find(ElementSet.parse(block), None)
            try:
                theirs = other.parameters()
                check_same_pairs(parameters.basis, theirs.basis, str(own.block), f"{block}, in use")
                if theirs.penalty != parameters.penalty:
                    raise MismatchError(different_walls(parameters, theirs, "penalty in [fit], or --penalty of export"))
            except MismatchError as error:
                why = f"does not go with {block}, which is in use: {error}; a fit refuses them together"
                notes.append(f"WARNING: {own.block} {why}")
    return tuple(notes)


def _pieces(whole: Parameters) -> list[tuple[ElementSet, Parameters]]:
    """The blocks of a model, small ones first; one block alone stays whole, with all energies of free atoms it has."""
    blocks = {t.block for t in whole.basis.types}
    full = {t.block for t in whole.basis.types if t.body > 1} or blocks
    if len(full) == 1:
        return [(block, whole) for block in full]
    if loose := sorted(blocks - full):
        raise InputError(
            f"{whole.source}: it has the energies of free atoms of {listed(loose)}, no other terms of them, and "
            f"several blocks, {listed(sorted(full))}, any of which may have been fitted with them; add files of one "
            "block each"
        )
    ordered = sorted(full, key=lambda b: (len(b.elements), b))
    return [(b, only_blocks(whole, {b})) for b in ordered]


def _own_solution(
    solution: Solution, block: ElementSet, parameters: Parameters, blocks: Sequence[ElementSet]
) -> Solution:
    if len(blocks) == 1:
        return solution
    note = (
        f"fitted together with {', '.join(b for b in blocks if b != block)}: rank, condition and residuals are of all"
    )
    return replace(solution, parameters=parameters, block=block, blocks=(block,), notes=(*solution.notes, note))


def _lower(
    block: ElementSet, siblings: Mapping[ElementSet, str], stated: Mapping[ElementSet, str],
    solution: Solution | None, library: BlockLibrary,
) -> dict[str, str]:  # fmt: skip
    """By lower block, the version that was frozen: of the same file, as stated, or known by its digest."""
    digests = set() if solution is None else set(solution.frozen.values())
    by_digest: dict[ElementSet, str] = {}
    for entry in library.entries:
        counts = entry.block not in by_digest or library.in_use.get(entry.block) == entry.version
        # of two with the same numbers the one in use
        if counts and entry.parameters_digest in digests and entry.block.is_proper_subset(block):
            by_digest[entry.block] = entry.version
    known = {e.parameters_digest for e in library.entries}
    all_known = solution is not None and digests <= known
    elements = sorted(block.elements)
    sets = [ElementSet.of(c) for n in range(1, len(elements)) for c in itertools.combinations(elements, n)]
    lower = {}
    for each in sets:
        version = siblings.get(each) or stated.get(each) or by_digest.get(each) or ("" if all_known else UNKNOWN)
        if version:
            lower[str(each)] = version
    return lower
