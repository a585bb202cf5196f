"""The files of batches of a summary store, and what is remembered of those that were read."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

from .stored_frames import read_content
from .summary_batches import batch_from

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..files.object_path import Place
    from .summary_batches import Batch


def read_batch(folder: Place, batch_id: str) -> Batch:
    """The batch of a file. Raises FileNotFoundError, and StoreError where its content is not what its id tells."""
    return batch_from(read_content(folder / f"{batch_id}.json"))


def remembered_batch(folder: Place, batch_id: str) -> Batch:
    """The same, read once, for a batch never changes under its id. Raises as :func:`read_batch` does."""
    return batches_of(folder)(batch_id)


@lru_cache(maxsize=4)
def batches_of(folder: Place) -> Callable[[str], Batch]:
    """What remembers the batches of a store.

    A batch takes some tens of KB, more with many groups: those of stores that were used before the last four go.
    """
    return lru_cache(maxsize=256)(partial(read_batch, folder))
