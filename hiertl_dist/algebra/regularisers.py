"""What is added to, or taken from, a least-squares problem to make its answer well defined: nouns.

They hold numbers only; ``solve`` knows what to do with them. N is the number of rows that the caller counts. Columns
that the caller says are unpenalised (energies of free atoms) are left out of every penalty, unless
``penalise_one_body``.
"""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields

from hiertl_dist.errors import InputError
from hiertl_dist.text.problems import require_known, respelled
from hiertl_dist.text.table_keys import OF_REGULARISER


def _require(name: str, value: float, *, positive: bool, below: float = math.inf, hint: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name}: expected a number, found {value!r}")
    if isinstance(value, int) and abs(value) >= 10**15:  # it may be too large for a float, or to be written
        raise ValueError(f"{name}: expected a number of at most 15 digits, found a longer one")
    low_enough = value < below
    high_enough = value > 0.0 if positive else value >= 0.0
    if not (value <= sys.float_info.max and low_enough and high_enough):  # an integer may be larger than any float
        bounds = f"{'> 0' if positive else '≥ 0'}" + (f" and < {below:g}" if below < math.inf else "")
        written = value if isinstance(value, float) or abs(value) < 10**60 else "an integer of more than 60 digits"
        raise ValueError(f"{name}: expected a finite number {bounds}, found {written}{hint}")


@dataclass(frozen=True)
class NoRegularisation:
    """Minimise ‖A x − b‖²; the shortest x where it is not unique.

    Attributes
    ----------
    tolerance : float or None
        A column counts as dependent when what is left of it, after scaling every column to length 1, is at most this;
        ``None`` is max(rows, n) × 2.2e-16.
    """

    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.tolerance is not None:
            _require("tolerance", self.tolerance, positive=False, below=1.0)


@dataclass(frozen=True)
class TruncatedSVD:
    """Minimise ‖A x − b‖² within the singular vectors whose values are large enough.

    Attributes
    ----------
    tolerance : float
        What the values exceed, relative to the largest one.
    """

    tolerance: float

    def __post_init__(self) -> None:
        _require("tolerance", self.tolerance, positive=False, below=1.0)


@dataclass(frozen=True)
class Ridge:
    """Minimise ‖A x − b‖² + alpha ‖x‖².

    Attributes
    ----------
    alpha : float
        The penalty > 0, in the units of b² / x².
    penalise_one_body : bool
        Whether it acts on columns that the caller says are unpenalised, too.
    """

    alpha: float
    penalise_one_body: bool = False

    def __post_init__(self) -> None:
        _require_switch(self)
        _require("alpha", self.alpha, positive=True, hint='; for no penalty use kind "none"')


@dataclass(frozen=True)
class Lasso:
    """Minimise (1/2N) ‖A x − b‖² + lam ‖x‖₁, N being the rows that the caller counts.

    Columns and target are never centred.

    Attributes
    ----------
    lam : float
        The penalty > 0.
    normalize : bool
        Divide columns by their Euclidean norm over all weighted rows; ``lam`` acts on the scaled coefficients.
    penalise_one_body : bool
        Whether it acts on columns that the caller says are unpenalised, too.
    """

    lam: float
    normalize: bool = False
    penalise_one_body: bool = False

    def __post_init__(self) -> None:
        _require_switch(self)
        _require("lam", self.lam, positive=True, hint='; for no penalty use kind "none" or "ridge"')
        if not isinstance(self.normalize, bool):
            raise ValueError(f"normalize: expected true or false, found {self.normalize!r}")


@dataclass(frozen=True)
class ElasticNet:
    """Minimise (1/2N) ‖A x − b‖² + lam l1_ratio ‖x‖₁ + ½ lam (1 − l1_ratio) ‖x‖².

    Zou, Hastie, J. R. Stat. Soc. B 67, 301 (2005), in scikit-learn's parametrisation.

    Attributes
    ----------
    lam : float
        The penalty > 0.
    l1_ratio : float
        Its part that acts on lengths, not on squares.
    normalize : bool
        As for ``Lasso``.
    penalise_one_body : bool
        Whether it acts on columns that the caller says are unpenalised, too.
    """

    lam: float
    l1_ratio: float
    normalize: bool = False
    penalise_one_body: bool = False

    def __post_init__(self) -> None:
        _require_switch(self)
        _require("lam", self.lam, positive=True, hint='; for no penalty use kind "none" or "ridge"')
        _require("l1_ratio", self.l1_ratio, positive=True, hint='; with 0 it is kind "ridge", alpha = N lam')
        if self.l1_ratio > 1.0:
            raise ValueError(f"l1_ratio: expected a finite number > 0 and ≤ 1, found {self.l1_ratio}")
        if not isinstance(self.normalize, bool):
            raise ValueError(f"normalize: expected true or false, found {self.normalize!r}")


@dataclass(frozen=True)
class AdaptiveLasso:
    """Minimise (1/2N) ‖A x − b‖² + lam Σ_j |x_j| / |p_j|^gamma, p being the ridge solution with alpha.

    Zou, J. Am. Stat. Assoc. 101, 1418 (2006).

    Attributes
    ----------
    lam : float
        The penalty > 0.
    alpha : float
        That of the ridge solution, > 0.
    gamma : float
        The exponent.
    normalize : bool
        Take both steps in columns of length 1.
    penalise_one_body : bool
        Whether it acts on columns that the caller says are unpenalised, too.
    """

    lam: float
    alpha: float
    gamma: float = 1.0
    normalize: bool = False
    penalise_one_body: bool = False

    def __post_init__(self) -> None:
        _require_switch(self)
        _require("lam", self.lam, positive=True, hint='; for no penalty use kind "none" or "ridge"')
        _require("alpha", self.alpha, positive=True)
        _require("gamma", self.gamma, positive=True, hint='; with 0 it is kind "lasso"')
        if not isinstance(self.normalize, bool):
            raise ValueError(f"normalize: expected true or false, found {self.normalize!r}")


@dataclass(frozen=True)
class BayesianRidge:
    """Ridge whose alpha and noise maximise the evidence of the N rows, one alpha for all coefficients.

    MacKay, Neural Comput. 4, 415 (1992).

    Attributes
    ----------
    tolerance : float
        Relative accuracy of alpha.
    max_iter : int
        The most steps.
    normalize : bool
        Let alpha act on coefficients of columns of length 1.
    penalise_one_body : bool
        Whether it acts on columns that the caller says are unpenalised, too.
    """

    tolerance: float = 1e-6
    max_iter: int = 1000
    normalize: bool = False
    penalise_one_body: bool = False

    def __post_init__(self) -> None:
        _require_switch(self)
        _require_iteration(self)


@dataclass(frozen=True)
class ARD:
    """As ``BayesianRidge`` with an alpha of its own for each coefficient: automatic relevance determination.

    Tipping, J. Mach. Learn. Res. 1, 211 (2001).

    Attributes
    ----------
    tolerance : float
        The change of the alphas' logarithms that ends the iteration.
    max_iter : int
        The most steps.
    prune : float
        A coefficient whose alpha exceeds this times the noise's precision (with columns of length 1) is zero.
    penalise_one_body : bool
        Whether it acts on columns that the caller says are unpenalised, too.
    """

    tolerance: float = 1e-6
    max_iter: int = 1000
    prune: float = 1e8
    penalise_one_body: bool = False

    def __post_init__(self) -> None:
        _require_switch(self)
        _require_iteration(self)
        _require("prune", self.prune, positive=True)


def _require_switch(given: Ridge | Lasso | ElasticNet | AdaptiveLasso | BayesianRidge | ARD) -> None:
    if not isinstance(given.penalise_one_body, bool):
        raise ValueError(f"penalise_one_body: expected true or false, found {given.penalise_one_body!r}")


def _require_iteration(given: BayesianRidge | ARD) -> None:
    _require("tolerance", given.tolerance, positive=True, below=1.0)
    if not isinstance(given.max_iter, int) or isinstance(given.max_iter, bool) or given.max_iter < 1:
        raise ValueError(f"max_iter: expected a whole number ≥ 1, found {given.max_iter!r}")
    if isinstance(given, BayesianRidge) and not isinstance(given.normalize, bool):
        raise ValueError(f"normalize: expected true or false, found {given.normalize!r}")


Regulariser = NoRegularisation | TruncatedSVD | Ridge | Lasso | ElasticNet | AdaptiveLasso | BayesianRidge | ARD

_KINDS: dict[str, type[Regulariser]] = {
    "none": NoRegularisation,
    "svd": TruncatedSVD,
    "ridge": Ridge,
    "lasso": Lasso,
    "elastic_net": ElasticNet,
    "adaptive_lasso": AdaptiveLasso,
    "bayesian_ridge": BayesianRidge,
    "ard": ARD,
}


def regulariser_kinds() -> Mapping[str, type[Regulariser]]:
    """The classes of regularisers by what their kind is called in settings."""
    return _KINDS


def regulariser_from_dict(settings: Mapping[str, object]) -> Regulariser:
    """The regulariser of settings such as {"kind": "ridge", "alpha": 1e-4}.

    Parameters
    ----------
    settings : mapping from str to object
        The kind, one of none, svd, ridge, lasso, elastic_net, adaptive_lasso, bayesian_ridge, ard; the other keys are
        the fields of its class.

    Returns
    -------
    Regulariser
        An instance of that class.

    Raises
    ------
    ValueError
        An unknown kind, an unknown or missing key, or a value that is out of range.
    """
    if faults := regulariser_faults(settings):
        raise InputError("; ".join(faults))
    noun = _KINDS[str(settings["kind"])]
    given = {str(key): value for key, value in settings.items() if key != "kind"}
    return noun(**respelled(given, {field.name for field in fields(noun)}, "regulariser"))  # checked


def regulariser_faults(settings: Mapping[str, object]) -> list[str]:
    """All that is wrong with the settings of a regulariser.

    Of a kind that is not known the one that is most like it says what they should be.
    """
    kind, faults = settings.get("kind"), []
    noun = _KINDS.get(kind) if isinstance(kind, str) else None
    if noun is None:
        close = difflib.get_close_matches(kind, _KINDS, 1) if isinstance(kind, str) else []
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        faults.append(f"regulariser kind: expected one of {', '.join(_KINDS)}; found {kind!r:.60}{hint}")
        if not close:
            return faults
        kind, noun = close[0], _KINDS[close[0]]
    known = {field.name: field.default is MISSING for field in fields(noun)}
    given = {str(key): value for key, value in settings.items() if key != "kind"}
    try:
        given = respelled(given, known, "regulariser")
    except InputError as error:
        return [*faults, str(error)]
    try:
        require_known(given, known, f"regulariser {kind!r}", here=OF_REGULARISER)
    except InputError as error:
        faults.append(str(error))
    if missing := sorted(name for name, required in known.items() if required and name not in given):
        faults.append(f"regulariser {kind!r}: missing: {', '.join(missing)}; its keys are {', '.join(known)}")
    likely = {name: 0.5 for name, required in known.items() if required}
    for name in known:
        try:  # each by itself, for the first that is wrong ends it
            if name in given:
                noun(**{**likely, name: given[name]})  # type: ignore[arg-type]
        except ValueError as error:
            faults.append(str(error))
    return faults


def regulariser_to_dict(regulariser: Regulariser) -> dict[str, object]:
    """What ``regulariser_from_dict`` makes the same regulariser of."""
    kind = next(kind for kind, noun in _KINDS.items() if noun is type(regulariser))
    table = asdict(regulariser)
    if not table.get("penalise_one_body", True):
        del table["penalise_one_body"]  # said only where it is not as usual, as in files that older versions wrote
    return {"kind": kind, **table}


def penalises_all(regulariser: Regulariser) -> bool:
    """Whether the columns that the caller says are unpenalised are penalised like all others."""
    return bool(getattr(regulariser, "penalise_one_body", False))
