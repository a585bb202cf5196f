"""The rows of a pass in a design store, which is completed, or read where it lacks nothing but what models predict."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from ..design_matrix.assembly import Assembly, assemble
from ..errors import HiertlWarning, ObjectStoreError, WriteError
from ..executors.launch import launched_first
from ..files.object_client import is_forbidden
from ..model.one_body import without_one_body
from ..text.display import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..design_matrix.planning import Plan
    from ..executors.base import Executor
    from ..files.object_path import Place
    from ..model.parameters import Parameters


def rows_in_store(
    plan: Plan, store: str | Place | None, *, frozen: Sequence[Parameters], executor: Executor, memory: int | None
) -> tuple[Assembly | None, bool]:
    """Complete a store as :func:`~hiertl_dist.assemble` does, unless it has all rows already and can't be written.

    Such a store may lack what frozen models predict, for only a fit knows these.

    Parameters
    ----------
    plan : Plan
        Whose rows are wanted.
    store : str, Path or ObjectPath, optional
        Folder of the store; ``None``: there is none.
    frozen : Sequence of Parameters
        Models whose predictions are wanted.
    executor : Executor
        Who works.
    memory : int or None
        Bytes that all workers may take together; ``None``: what is available.

    Returns
    -------
    tuple of (Assembly or None, bool)
        The store, if there is one, and whether predictions are to be made from frames instead of read.

    Raises
    ------
    WriteError, ObjectStoreError
        It can't be written, and lacks rows of blocks or labels.

    Warns
    -----
    HiertlWarning
        Of predictions that are made anew by each pass.
    """
    if store is None:
        return None, False
    try:
        return assemble(
            [], plan.basis, store, frozen=frozen, policy=plan.policy, executor=executor, memory=memory, plan=plan
        ), False  # fmt: skip
    except (WriteError, ObjectStoreError) as error:
        if not without_one_body(frozen) or not _cannot_be_written(error):
            raise
        refusal = error
    try:
        done = assemble([], plan.basis, store, policy=plan.policy, executor=executor, memory=memory, plan=plan)
    except (WriteError, ObjectStoreError) as error:
        if not _cannot_be_written(error):
            raise
        raise refusal from None
    if launched_first():
        warnings.warn(
            f"{store} is complete but for what {listed([model.source for model in frozen])} predicts, which can't be "
            f"kept there and is computed by this pass, and by each that comes: {refusal}",
            HiertlWarning, stacklevel=3,
        )  # fmt: skip
    return done, True


def _cannot_be_written(error: Exception) -> bool:
    """Whether an error is of a place that is only to be read, and not of a server that is out of reach."""
    return not isinstance(error, ObjectStoreError) or is_forbidden(error)
