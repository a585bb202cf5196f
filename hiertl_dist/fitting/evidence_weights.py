"""Weights by evidence: the noise of forces, stresses and energies is estimated together with the fit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ..algebra import BayesianRidge, RFactor, Ridge, penalises_all, regulariser_to_dict
from ..algebra.noise_evidence import KindOfRows, noise_evidence
from ..errors import InputError
from ..frames.rows import OBJECTIVES, SUMMARY_KINDS, person_kind
from ..text.words import count_text
from .weights import EVIDENCE, FLAT, SMALLEST, AutoWeights, auto_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..algebra import Regulariser
    from .weights import KindRows

FEW: Final = 10.0
"""Rows less degrees of freedom below which the one row of the prior is more than a tenth of what tells the noise."""


def require_prior(regulariser: Regulariser, where: str = "weights") -> None:
    """Raise InputError unless a regulariser is a Gaussian prior that weights don't change: evidence needs one."""
    kind = regulariser_to_dict(regulariser)["kind"]
    if not isinstance(regulariser, Ridge | BayesianRidge):
        raise InputError(
            f'{where}: "{EVIDENCE}" needs a regulariser that is a Gaussian prior with one variance, kind "ridge" or '
            f'"bayesian_ridge"; found kind "{kind}": take one of these, or automatic weights'
        )
    if isinstance(regulariser, BayesianRidge) and regulariser.normalize:
        raise InputError(
            f'{where}: "{EVIDENCE}" needs a prior that weights do not change, and normalize = true divides columns by '
            "their weighted lengths; leave normalize out, or take automatic weights"
        )
    if penalises_all(regulariser):
        raise InputError(
            f'{where}: "{EVIDENCE}" takes energies of free atoms as not penalised; leave penalise_one_body out, or '
            "take automatic weights"
        )


def evidence_weights(
    kinds: Sequence[KindRows], unpenalised: Sequence[int], regulariser: Regulariser, objective: str
) -> AutoWeights:
    """Weights by kind, 1/noise, from the noise of each kind that the evidence of all rows says (theory.md, section 8).

    The reference kind (forces, else the kind with most rows) has weight 1, so that a ridge's alpha is what it is with
    automatic weights: a penalty beside squares in the units of forces. A kind whose labels are all equal says nothing
    and has weight 1, as with automatic weights, whose residuals are the guesses from which the search begins.

    Parameters
    ----------
    kinds : sequence of KindRows
        Rows of each kind that there is, see :func:`~hiertl_dist.fitting.weights.by_kind`; triangular factors.
    unpenalised : sequence of int
        Indices of the one-body columns.
    regulariser : Regulariser
        Ridge, whose alpha is held, or Bayesian ridge, whose alpha is that of the largest evidence.
    objective : str
        How often rows count: its roots are part of the rows of ``kinds``.

    Returns
    -------
    AutoWeights
        With the noises.

    Raises
    ------
    InputError
        Another regulariser; normal equations.
    ConvergenceError
        The evidence has no maximum that can be reached.
    """
    require_prior(regulariser)
    first = auto_weights(kinds, unpenalised)
    parts = {k.kind: k.summary for k in kinds if first.spreads[k.kind] > FLAT[k.kind]}
    if not parts:
        return first
    reference = "force" if "force" in parts else max(parts, key=lambda k: parts[k].rows)
    named = [reference, *(k for k in parts if k != reference)]
    rows = []
    for kind in named:
        part = parts[kind]
        if not isinstance(part, RFactor):
            raise InputError(f'weights: "{EVIDENCE}" needs triangular factors (method rfactor), found {part.kind}')
        rows.append(KindOfRows(part, first.residuals.get(kind, first.spreads[kind])))
    alpha = regulariser.alpha if isinstance(regulariser, Ridge) else None
    best = noise_evidence(rows, alpha, unpenalised)
    weights = dict.fromkeys(first.weights, 1.0) | dict(zip(named, (best.noise[0] / best.noise).tolist(), strict=True))
    noises = {k: float(s / np.sqrt(_least_count(k, objective))) for k, s in zip(named, best.noise, strict=True)}
    notes = [_note(k, x, n, first) for k, x, n in zip(named, best.left.tolist(), best.noise.tolist(), strict=True)]
    return replace(
        first, weights=weights, residuals={}, noises={k: noises[k] for k in parts}, log_evidence=best.log_evidence,
        regulariser=regulariser_to_dict(regulariser), notes=(*first.notes, *filter(None, notes)),
    )  # fmt: skip


def _least_count(kind: str, objective: str) -> int:
    """How often the objective counts a row of a kind; of stresses one on the diagonal."""
    return min(OBJECTIVES[objective].count(k) for k in SUMMARY_KINDS if person_kind(k) == kind)


def _note(kind: str, left: float, noise: float, first: AutoWeights) -> str:
    """What people should know of the noise of a kind; nothing where rows tell it well."""
    if left < FEW:
        rows = count_text(first.rows[kind], "row")
        return (
            f"{kind}: the fit leaves {max(left, 0.0):.2g} degrees of freedom of {rows}, which tell little of the "
            "noise: the residual behind automatic weights counts as one row more"
        )
    if noise < SMALLEST * first.spreads[kind]:
        return (
            f"{kind}: the noise is below {SMALLEST:g} of the labels' spread: these look like labels that a model of "
            "this form made, and the weight is as large as the guess behind automatic weights allows"
        )
    return ""
