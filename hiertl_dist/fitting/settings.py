"""``FitSettings``: how a block is fitted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..algebra import regulariser_faults
from ..errors import InputError
from ..frames.rows import OBJECTIVES
from ..model.one_body import MISSING_ENERGIES
from ..text.display import Shown
from ..text.problems import joined
from ..text.table_keys import REGULARISERS, elsewhere
from .weights import AUTO, checked_choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..evaluation.frame_rows import InnerPolicy
    from ..model.one_body import MissingEnergies
    from ..model.parameters import Penalty

METHODS: Final = ("rfactor", "gram", "auto")


@dataclass(frozen=True, repr=False)
class FitSettings(Shown):
    """How a block is fitted.

    Attributes
    ----------
    regulariser : Mapping from str to object
        ``{"kind": "ridge", "alpha": 1e-4}``; kinds are ``none`` (default), ``svd``, ``ridge``, ``lasso``,
        ``elastic_net``, ``adaptive_lasso``, ``bayesian_ridge`` and ``ard``. See
        :func:`~hiertl_dist.algebra.regulariser_from_dict` and section 7 of docs/theory.md.
    weights : Mapping from str to float, or "auto"
        ``"auto"``, see :func:`~hiertl_dist.fitting.weights.auto_weights`; or by kind of row, by source, or
        ``source/kind``; they multiply rows, so the objective holds their squares. ``{}``: every row alike. See section
        8 of docs/theory.md.
    objective : {"lsq", "plain"}
        How often rows count: as in chimes_lsq, or once each.
    method : {"rfactor", "gram", "auto"}
        ``rfactor`` (TSQR), ``gram`` (normal equations, refused where unsafe) or ``auto``: Gram, and where that is
        unsafe RFactor, which reads the rows (or, when streaming, makes them) once more. See section 6 of
        docs/theory.md.
    policy : {"refuse", "skip_frame", "lsq", "damp"}
        For pairs inside an inner cutoff, see :data:`~hiertl_dist.evaluation.frame_rows.InnerPolicy`.
    include_fewer : bool
        Also use frames that have only some of the block's elements.
    penalty : Penalty or None
        The wall of the fitted block; default: that of the frozen models, else ChIMES's default.
    missing_energies : {"refuse", "fit", "zero"}
        Where energies are fitted upon frozen models that lack the energy of a free atom: ``"refuse"``, ``"fit"`` it
        with the block, or ``"zero"`` is meant.

    Raises
    ------
    InputError
        A value that is none of these, named with what was expected.
    """

    regulariser: Mapping[str, Any] = field(default_factory=lambda: {"kind": "none"})
    weights: Mapping[str, float] | str = AUTO
    objective: str = "lsq"
    method: str = "rfactor"
    policy: InnerPolicy = "refuse"
    include_fewer: bool = False
    penalty: Penalty | None = None
    missing_energies: MissingEnergies = "refuse"

    def __post_init__(self) -> None:
        checked_choice(self.weights)
        if self.missing_energies not in MISSING_ENERGIES:
            raise InputError(f"missing_energies: expected one of {MISSING_ENERGIES}, found {self.missing_energies!r}")
        if self.method not in METHODS:
            raise InputError(f"method: expected one of {METHODS}, found {self.method!r}")
        if self.objective not in OBJECTIVES:
            raise InputError(f"objective: expected one of {sorted(OBJECTIVES)}, found {self.objective!r}")
        if faults := regulariser_faults(dict(self.regulariser)):
            known = elsewhere(key for key in self.regulariser if key not in REGULARISERS)
            places = "".join(f"; {key!r} is a key of {place}" for key, place in known.items())
            texts = [f"regulariser: {fault}{places if 'expected keys' in fault else ''}" for fault in faults]
            raise InputError(texts[0]) if len(texts) == 1 else joined(texts, InputError)
