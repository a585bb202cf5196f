"""Blocks of a library as one model, in one ChIMES file."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, MismatchError
from ..evaluation.energies import Model
from ..model.parameters import merge_parameters
from ..model.relabelling import relabelled
from ..text.display import listed
from ..text.problems import Problems
from .entry import SHORT
from .folder import open_library
from .gates import IN_EXPORT, Difference, accepted_differences, label_differences, lower_differences
from .labels import label_text
from .settings import block_named, checked_accept, checked_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..model.parameters import Penalty
    from .entry import LibraryBlock


# long: its parameters are documented
def export_model(
    path: str | Path,
    *,
    elements: Iterable[str] | None = None,
    blocks: Sequence[str] | None = None,
    versions: Mapping[str, str] | None = None,
    accept: Mapping[str, Sequence[str]] | None = None,
    penalty: Penalty | None = None,
    names: Mapping[str, str] | None = None,
) -> tuple[Model, tuple[str, ...]]:
    """The sum of blocks of a library, whose statements must agree and which must have been fitted upon one another.

    Parameters
    ----------
    path : str or Path
        Folder of the library.
    elements : iterable of str, optional
        Every block of these elements; default: of all.
    blocks : sequence of str, optional
        These blocks alone, instead of elements.
    versions : Mapping from str to str, optional
        By block, the version that is taken, or how it begins; default: those in use.
    accept : Mapping from str to sequence of str, optional
        By block, in what it may differ from the others: ``"theory"``, ``"energy_reference"``, ``"lower_blocks"``.
    penalty : Penalty, optional
        The wall; needed where the blocks have different ones.
    names : Mapping from str to str, optional
        New names of types of atoms by old ones.

    Returns
    -------
    model : Model
        The sum.
    comments : tuple of str
        What a file of it should say: which versions it is of, what was stated, and what was accepted.

    Raises
    ------
    MismatchError
        Blocks that don't go together; both values are named.
    InputError
        Elements and blocks are both given, or the library has none of them.
    UnknownBlockError, StoreError
        A block is not there; a file was changed.
    """
    if elements is not None and blocks is not None:
        raise InputError("export: expected elements or blocks, found both")
    library = open_library(path)
    chosen = checked_versions(versions or {}, "versions")
    if blocks is not None:
        wanted = [block_named(b, "blocks") for b in blocks]
    else:
        known = {e for b in library.names for e in b.elements}
        own = known if elements is None else set(elements)
        if unknown := sorted(own - known):
            raise InputError(f"elements: {unknown} are in no block of {path}, which has {listed(sorted(known))}")
        wanted = [b for b in library.names if b.elements <= own]
    entries = {b: library.find(b, chosen.get(b)) for b in sorted(wanted, key=lambda b: (len(b.elements), b))}
    if not entries:
        raise InputError(f"{path}: no blocks to export; the library has {listed(library.names)}")
    problems = Problems(MismatchError)
    differences = [*_between(list(entries.values())), *lower_differences(entries, ())]
    accepted = accepted_differences(differences, checked_accept(accept or {}, "accept"), IN_EXPORT, problems)
    problems.settle(MismatchError)
    merged = merge_parameters([e.parameters() for e in entries.values()], penalty=penalty)
    stated = {
        b: f"{label_text(e.theory)}, energy reference {label_text(e.energy_reference)}" for b, e in entries.items()
    }
    comments = [f"block {b}, version {e.version[:SHORT]}: theory {stated[b]}" for b, e in entries.items()]
    comments += [f"accepted: {d.block}, {d.what}: {d.values}" for d in accepted]
    return Model(relabelled(merged, names) if names else merged), tuple(comments)


def _between(entries: Sequence[LibraryBlock]) -> list[Difference]:
    """In what statements of blocks differ, of each block against the first other one that it differs from."""
    differences: dict[tuple[str, str], Difference] = {}
    for one, other in itertools.permutations(entries, 2):
        shared = one.block.elements & other.block.elements
        every = one.block.elements | other.block.elements
        for d in label_differences(one, other.theory, other.energy_reference, every, shared, other.source):
            differences.setdefault((one.block, d.what), d)
    return list(differences.values())
