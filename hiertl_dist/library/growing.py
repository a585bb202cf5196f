"""One more element: blocks that a library has are taken as they are, the others are fitted upon them and added."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, MismatchError
from ..executors import borrowed
from ..executors.ask import ask
from ..fitting.block_order import blocks_to_make
from ..fitting.hierarchy import HierarchyFit, fit_hierarchy, merged_model, stating_zeros, with_made
from ..fitting.settings import HierarchyOptions
from ..frames.element_set import ElementSet
from ..frames.frame_sequence import sequence_of
from ..model.blocks import blocks_of
from ..model.walls import explicit_wall
from ..text.display import listed
from ..text.problems import Problems
from .adding import add_fit
from .entry import SHORT
from .folder import open_library
from .gates import (
    IN_INPUT,
    Difference,
    accepted_differences,
    check_with_basis,
    label_differences,
    lower_differences,
    unknown_notes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ..executors.base import Executor
    from ..fitting.block_fit import BlockFit
    from ..frames.frame import Frame
    from ..model.basis import Basis
    from ..model.parameters import Parameters
    from .entry import LibraryBlock
    from .folder import BlockLibrary
    from .settings import LibrarySettings


@dataclass(frozen=True, eq=False)
class TakenBlocks:
    """What a fit takes from a library, once every gate is passed.

    Attributes
    ----------
    settings : LibrarySettings
        What was asked.
    entries : Mapping from ElementSet to LibraryBlock
        The version of each block that is taken.
    frozen : tuple of Parameters
        Their coefficients, in the same order.
    accepted : tuple of Difference
        In what they differ from the input, and were accepted.
    notes : tuple of str
        What the reader of a report should know.
    """

    settings: LibrarySettings
    entries: Mapping[ElementSet, LibraryBlock]
    frozen: tuple[Parameters, ...]
    accepted: tuple[Difference, ...]
    notes: tuple[str, ...]


def take_blocks(
    settings: LibrarySettings, basis: Basis, present: Collection[ElementSet], options: HierarchyOptions
) -> TakenBlocks:
    """The blocks of a basis that a library has, in the versions that count; ``present``: element sets of the frames.

    Raises MismatchError or InputError for all that does not go together: with the basis, with what is stated of the
    data, and with one another.
    """
    library = open_library(settings.path, missing_ok=True)
    names = [b.name for b in blocks_of(basis)]
    _check_names(settings, library, names, options)
    entries = {
        b: library.find(b, settings.versions.get(b)) for b in names if b not in settings.update and library.versions(b)
    }
    problems = Problems(MismatchError)
    frozen, differences = [], []
    for entry in entries.values():
        parameters = entry.parameters()
        frozen.append(parameters)
        differences += check_with_basis(entry, parameters, basis, problems)
        differences += label_differences(
            entry, settings.theory, settings.energy_reference, basis.elements, entry.block.elements, "the input"
        )  # fmt: skip
    wanted = names if options.only is None else [ElementSet.parse(b) for b in options.only]
    differences += lower_differences(entries, [b for b in wanted if b not in entries and b in present])
    accepted = accepted_differences(differences, settings.accept, IN_INPUT, problems)
    problems.settle(MismatchError)
    return TakenBlocks(
        settings, entries, tuple(frozen), accepted, tuple(_notes(settings, library, entries, accepted, basis))
    )  # fmt: skip


def _check_names(
    settings: LibrarySettings, library: BlockLibrary, names: Sequence[ElementSet], options: HierarchyOptions
) -> None:
    for what, given in (("update", settings.update), ("versions", settings.versions), ("accept", settings.accept)):
        if unknown := [b for b in given if b not in names]:
            raise InputError(f"library.{what}: {unknown} are not blocks of the basis, which has {names}")
    if absent := [b for b in settings.versions if not library.versions(b)]:
        raise InputError(f"library.versions: {absent} are not in {settings.path}, which has {listed(library.names)}")
    if partial_of := {b: lower for b, lower in options.partial.items() if lower}:
        raise InputError(
            f"partial: {partial_of}: with a library each block is fitted by itself, for what stands on a block would "
            "not fit its changed coefficients; leave partial out, or fit without [library] and add the files"
        )
    again = [b for b in map(ElementSet.parse, options.only or ()) if library.versions(b) and b not in settings.update]
    if again:
        raise InputError(
            f"only: the library has {', '.join(again)} already; update = {[str(b) for b in again]} in [library] fits "
            "anew, to further versions"
        )


def _notes(
    settings: LibrarySettings, library: BlockLibrary, entries: Mapping[ElementSet, LibraryBlock],
    accepted: Sequence[Difference], basis: Basis,
) -> list[str]:  # fmt: skip
    taken = ", ".join(f"{b} {e.version[:SHORT]}" for b, e in entries.items()) or "nothing"
    notes = [f"library {settings.path}: taken as they are: {taken}"]
    notes += [f"WARNING: accepted: {d.block}, {d.what}: {d.values}" for d in accepted]
    notes += unknown_notes(entries, settings.theory, settings.energy_reference)
    inside = [
        b for b in library.names if b.elements <= set(basis.elements) and b not in entries and b not in settings.update
    ]
    if inside:
        notes.append(f"library: {', '.join(inside)} not taken: the basis has no terms of them")
    return notes


def fit_upon(
    taken: TakenBlocks, frames: Sequence[Frame], basis: Basis, *, options: HierarchyOptions,
    executor: Executor | None = None, tell: Callable[[str], None] = lambda _: None,
    done: Callable[[BlockFit], None] = lambda _: None, sources: Sequence[Mapping[str, Any]] = (),
) -> HierarchyFit:  # fmt: skip
    """Fit the blocks that were not taken, and add each as soon as it is fitted; see :func:`grow_library`."""
    frames, options = sequence_of(frames), options.normal()
    names = [b.name for b in blocks_of(basis)]
    made = blocks_to_make([], basis, taken.frozen, options)
    present = frames.facts.element_sets()
    if all(b in taken.entries or (b in made and b not in present) for b in names):
        which = "" if all(b in taken.entries for b in names) else " that frames inform"
        tell(f"library: {taken.settings.path} has every block of the basis{which}; nothing is fitted")
        current: list[Parameters] = []
        for block in made:
            current = with_made(current, block, basis, taken.frozen, options, tell)
        model = merged_model([*taken.frozen, *current], basis, explicit_wall(options.settings.penalty))
        return HierarchyFit({}, taken.frozen, stating_zeros(model, made, basis, options))
    versions = {b: e.version for b, e in taken.entries.items()}
    with borrowed(executor) as runner:

        def add(fit: BlockFit) -> None:
            done(fit)
            block = ElementSet.parse(fit.solution.block)
            own = frames.take(np.flatnonzero(frames.facts.of_sets(options.sets_of(block, frames))))
            lower = {b: v for b, v in versions.items() if b.is_proper_subset(block)}
            accepted = [d for d in taken.accepted if ElementSet.parse(d.block) in lower]
            call = partial(add_fit, taken.settings, fit, own, lower, accepted, basis.elements, sources)
            added = ask(runner, call, what=f"add {block} to {taken.settings.path}")
            versions[block] = added.entry.version
            tell(f"  {added.text()}")

        return fit_hierarchy(
            frames, basis, frozen=taken.frozen, options=options, executor=runner, tell=tell, done=add
        )  # fmt: skip


# long: its parameters are documented
def grow_library(
    frames: Sequence[Frame],
    basis: Basis,
    settings: LibrarySettings,
    *,
    options: HierarchyOptions | None = None,
    executor: Executor | None = None,
    tell: Callable[[str], None] = lambda _: None,
    done: Callable[[BlockFit], None] = lambda _: None,
    sources: Sequence[Mapping[str, Any]] = (),
) -> HierarchyFit:
    """Fit the blocks of a basis that a library lacks upon those that it has, and add them to it.

    Nothing that is in the library changes. One more element is the same call with a larger basis: its own block and its
    cross blocks are fitted.

    Parameters
    ----------
    frames : Sequence of Frame
        Labelled frames of the blocks that are missing; others are not used.
    basis : Basis
        Of all blocks of the model.
    settings : LibrarySettings
        Where the library is, and what is stated of the data.
    options : HierarchyOptions, optional
        As of :func:`~hiertl_dist.fit_hierarchy`; without ``partial``. With rows that are kept, ``store`` may be in the
        library: :attr:`LibrarySettings.rows`.
    executor : Executor, optional
        Who does the work; default: mpirun's ranks, the current dask client, else a local dask cluster.
    tell : Callable from str to None, optional
        Called with a line about each step.
    done : Callable from BlockFit to None, optional
        Called with each block as soon as it is fitted, before it is added.
    sources : Sequence of Mapping, optional
        Where the frames are from, for the entries: tables with a ``path``, as ``[[data]]`` of an input file.

    Returns
    -------
    HierarchyFit
        The fits of the blocks that were missing, and the model of all blocks.

    Raises
    ------
    MismatchError
        A block of the library does not go with the basis, with what is stated or with the others; both values are
        named. See :class:`LibrarySettings` for what can be accepted.
    InputError, InnerCutoffError
        As of :func:`~hiertl_dist.fit_hierarchy`; a name that is no block.
    StoreError
        The folder is no library, or a file in it was changed.

    Examples
    --------
    >>> settings = LibrarySettings("carbides", theory="PBE, 520 eV", energy_reference="VASP, no shift")
    >>> fit = grow_library(frames, basis, settings, tell=print)
    """
    options = (options or HierarchyOptions()).normal()
    present = sequence_of(frames).facts.element_sets()
    with borrowed(executor) as runner:
        call = partial(take_blocks, settings, basis, present, options)
        taken = ask(runner, call, what=f"look at {settings.path}")
        for note in taken.notes:
            tell(f"note: {note}")
        return fit_upon(
            taken, frames, basis, options=options, executor=runner, tell=tell, done=done, sources=sources
        )  # fmt: skip
