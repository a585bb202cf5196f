"""Design rows in memory, for people and for tests: ``design_rows(frames, basis)``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InnerCutoffError
from ..frames.frame import Frame
from ..frames.rows import Row, row_labels, row_targets
from ..model.blocks import Columns, blocks_of, columns_of
from ..text.cards import rows_card
from ..text.display import Shown
from .compiled_basis import compile_recipe
from .contacts import refuse_all
from .frame_rows import InnerPolicy, check_elements, check_policy, rows_of, skipped_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ..model.basis import Basis


@dataclass(frozen=True, eq=False, repr=False)
class DesignRows(Shown, card=rows_card):
    """A design matrix with its labels; how rows are defined is in section 2 of docs/theory.md.

    Attributes
    ----------
    matrix : ndarray of shape (rows, columns)
        Unweighted; kcal/mol/Å, kcal/mol/Å³ and kcal/mol per unit coefficient.
    target : ndarray of shape (rows,)
        Labels in the same units.
    rows : tuple of Row
        Of each row ``(frame, kind, atom or -1, component)``.
    columns : Columns
        Of each column ``(block, sorted elements, powers)``.
    skipped : tuple of int
        Indices of frames that the policy left out.
    """

    matrix: NDArray[np.float64]
    target: NDArray[np.float64]
    rows: tuple[Row, ...]
    columns: Columns
    skipped: tuple[int, ...] = ()


# long: its parameters are documented
def design_rows(
    frames: Sequence[Frame] | Frame,
    basis: Basis,
    blocks: Iterable[str] | None = None,
    *,
    policy: InnerPolicy = "refuse",
    ignore_other_elements: bool = False,
) -> DesignRows:
    """Design rows of frames in memory.

    Per frame: forces atom by atom (x y z), the stress rows it has labels for (xx yy zz xy xz yz), one energy row; a
    label that a frame lacks has no row. See section 2 of docs/theory.md.

    Parameters
    ----------
    frames : Sequence of Frame, or Frame
        Whose rows are wanted.
    basis : Basis
        Whose columns are wanted.
    blocks : Iterable of str, optional
        Names such as ``["C", "CN"]``; default: every block of the basis.
    policy : {"refuse", "skip_frame", "lsq", "damp"}
        For pairs inside an inner cutoff, see :data:`hiertl_dist.evaluation.frame_rows.InnerPolicy`.
    ignore_other_elements : bool
        Leave atoms that the basis does not know out of the clusters; otherwise they are refused.

    Returns
    -------
    DesignRows
        Matrix, labels, and what each row and column is.

    Raises
    ------
    InnerCutoffError
        Names the frame, with the shortest distance of each pair of elements over these frames.
    FrameError
        Names the frame.
    UnknownBlockError
        Names the block that the basis lacks.
    ValueError
        An unknown policy.

    Examples
    --------
    >>> rows = hiertl_dist.design_rows(frames, basis, ["C"])
    >>> residuals = rows.matrix @ coefficients - rows.target
    """
    check_policy(policy)
    listed = [frames] if isinstance(frames, Frame) else list(frames)
    names = None if blocks is None else tuple([blocks] if isinstance(blocks, str) else blocks)
    if not ignore_other_elements:
        check_elements(listed, basis.elements)
    recipe = compile_recipe(basis, names)
    skipped = skipped_frames(listed, recipe) if policy == "skip_frame" else ()
    kept = [(i, f) for i, f in enumerate(listed) if i not in skipped]
    try:
        matrix = rows_of([f for _, f in kept], recipe, policy)
    except InnerCutoffError:
        refuse_all([f for _, f in kept], basis, [b.name for b in blocks_of(basis, names)])
        raise
    target = np.concatenate([np.empty(0), *(row_targets(f) for _, f in kept)])
    rows = tuple(label for i, f in kept for label in row_labels(f, i))
    return DesignRows(matrix, target, rows, columns_of(basis, names), tuple(sorted(skipped)))
