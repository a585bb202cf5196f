"""What a plan says of the folds of a search that leave out whole systems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..dataset.folds import Folds, assign_folds
from ..dataset.holding_out import each_once
from ..dataset.systems import systems_in_folds
from ..errors import InputError
from ..frames.frame_sequence import sequence_of
from ..model_selection.fold_checks import folds_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ..frames.frame import Frame
    from ..model_selection.search_settings import SearchSettings


def planned_folds(
    search: SearchSettings | None, frames: Sequence[Frame], sets: Collection[str]
) -> dict[str, Any]:  # fmt: skip
    """The systems of each fold, as a search would divide some frames, for JSON.

    Parameters
    ----------
    search : SearchSettings or None
        The ``[search]`` table of a job, if there is one.
    frames : sequence of Frame
        Those to be fitted.
    sets : collection of str
        Element sets that are used.

    Returns
    -------
    dict from str to object
        The ``folds`` and, of each, the number of frames by system, ``systems``; or why there are none, ``refused``.
        Empty where a search leaves out no systems.
    """
    if search is None or search.folds.split != "system":
        return {}
    given = sequence_of(frames)
    used, _ = each_once(given.take(np.flatnonzero(given.facts.of_sets(sets) & (given.facts.n_rows > 0))))
    table = {"folds": search.folds.as_dict()}
    try:
        of_frames = assign_folds(used, search.folds)
        labels = search.folds.labels(used.facts)
    except InputError as error:  # the plan of a fit is of use without a search
        return {**table, "refused": f"search.{error}"}
    assert labels is not None
    return {**table, "systems": systems_in_folds(labels, of_frames, search.folds.count)}


def planned_folds_text(facts: Mapping[str, Any]) -> str:
    """What :func:`planned_folds` says, for people; empty where that is."""
    if not facts:
        return ""
    if "refused" in facts:
        return f"search would be refused: {facts['refused']}"
    text = folds_text(Folds.from_dict(facts["folds"]), facts["systems"])
    return f"search, unless its summary store has folds already: {text}"
