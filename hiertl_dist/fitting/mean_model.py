"""Errors beside those of a model that predicts the mean of the labels: what is worse than that has learned nothing.

Of forces the mean is zero; of energies per atom it is that of each composition, whose offsets any model has; of
stresses that of each component. What the means take from the labels is counted (n labels less the means), so that a few
frames don't seem to have less spread than many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

import numpy as np

from ..text.display import listed, number_text

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from numpy.typing import NDArray

NAN: Final = float("nan")  # one object, so that errors of nothing are equal

Kind = Literal["force", "energy", "stress"]
QUANTITIES: Final[tuple[Kind, ...]] = ("force", "energy", "stress")

LEAST: Final = 10
"""Labels, less the means, from which on an error is judged: the spread of ten is known to a quarter."""

FEW: Final = 3
"""Fewer than :data:`LEAST`, from which on an error is judged that is :data:`FAR_ABOVE` times the spread: that of three
is so much too small once in a hundred times."""

FAR_ABOVE: Final = 5.0
"""See :data:`FEW`."""

NOISE: Final[Mapping[Kind, float]] = {"force": 1e-3, "energy": 1e-4, "stress": 1e-3}
"""Errors that are not judged, kcal/mol/Å, kcal/mol an atom and GPa: digits of labels, as where symmetry makes all
forces zero."""

FAR: Final = 5.0
"""Times the median of the groups from which on a group is named."""

GROUPS: Final = 3
"""That have the label, for there to be others to compare one with."""

MARK: Final = "!"
"""Before an error that is worse than that of the mean; without a space, so that a number stays one word."""

MOST_NAMED: Final = 12
"""Groups and compositions of a sentence."""

MEANS: Final = "forces zero, energies per atom the mean of each composition, stresses the mean of each component"


@dataclass(frozen=True)
class KindErrors:
    """Errors of one kind of labels, in the units of ``error_tables.Errors``; NaN where no frame has such a label.

    Attributes
    ----------
    labels : int
        How many numbers there are: components of forces and of stresses, energies of frames.
    rmse, mae, max : float
        Root of the mean square, mean and maximum of the absolute error.
    size : float
        Of the labels themselves: RMS of forces and stresses, of energies per atom the standard deviation, which knows
        no zero of energy.
    spread : float
        RMSE of a model that predicts the mean of the labels.
    worse : bool
        Whether the RMSE is above it.
    """

    labels: int
    rmse: float
    mae: float
    max: float
    size: float
    spread: float = NAN
    worse: bool = False


class HasErrors(Protocol):
    """Errors over some frames, by kind of label."""

    def of(self, kind: Kind) -> KindErrors:
        """The errors of one kind of labels."""


def spread_of_labels(
    labels: NDArray[np.float64],
    keys: Sequence[Hashable] | NDArray[np.integer] | None,
    sizes: NDArray[np.float64] | None = None,
) -> tuple[float, int]:
    """Standard deviation of labels about the mean of those with the same key, and its degrees of freedom.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        The labels.
    keys : sequence of hashable, ndarray of int, or None
        One for each label; ``None``: the deviation is about zero.
    sizes : ndarray of shape (n,), optional
        Weights of the labels.

    Returns
    -------
    spread : float
        In the units of the labels; NaN where no label is left.
    freedom : int
        How many labels there are less the means that were taken off.
    """
    weights = np.ones(1) if sizes is None else sizes**2 / np.mean(sizes**2)
    if keys is None:
        rest, left = labels, len(labels)
    else:
        of: NDArray[np.integer]
        if not isinstance(keys, np.ndarray):
            place = {key: i for i, key in enumerate(dict.fromkeys(keys))}
            of = np.array([place[key] for key in keys], np.intp)
        elif len(keys) and keys.max() < len(keys):
            of = keys
        else:
            of = np.unique(keys, return_inverse=True)[1]
        sums = np.bincount(of, weights * labels)
        counts = np.bincount(of) if sizes is None else np.bincount(of, weights)
        means = sums / np.where(counts > 0, counts, 1)
        rest, left = labels - means[of], len(labels) - int(np.count_nonzero(counts))
    return (float(np.sqrt(np.sum(weights * rest**2) / left)) if left else NAN), left


def worse_than_mean(kind: Kind, rmse: float, spread: float, freedom: int) -> bool:
    """Whether an error is above the spread of its labels, far above it where these are few.

    Not where they are too few to tell, nor for mere digits.
    """
    above = rmse > spread if freedom >= LEAST else freedom >= FEW and rmse > FAR_ABOVE * spread
    return bool(above and rmse > NOISE[kind])


def marked(value: float, *, worse: bool) -> float | str:
    """An error for a table, marked where it is worse than that of the mean."""
    return MARK + number_text(value) if worse else value


def judgement_text(
    compositions: Mapping[str, Mapping[str, HasErrors]], groups: Mapping[str, Mapping[str, HasErrors]]
) -> str:
    """What of some tables is worse than the mean, and which groups are far worse than the others; nothing if none is.

    Parameters
    ----------
    compositions, groups : mapping from str to mapping from str to HasErrors
        By model, errors by composition and by group of the same frames.

    Returns
    -------
    str
        Lines for a person.
    """
    lines = []
    for model in compositions:
        of = f"{model}: " if model else ""
        worse = _worse(compositions[model], groups.get(model, {}))
        if worse:
            lines.append(f"{MARK} {of}worse than a model that predicts the mean ({MEANS}): {'; '.join(worse)}")
        far = far_groups(groups.get(model, {}))
        if far:
            lines.append(f"{of}more than {FAR:g} times the median error of the groups: {'; '.join(far)}")
    return "\n".join(lines)


def _worse(compositions: Mapping[str, HasErrors], groups: Mapping[str, HasErrors]) -> list[str]:
    phrases = []
    for kind in QUANTITIES:
        names = ["all frames" if name == "all" else name for name, e in compositions.items() if e.of(kind).worse]
        if len(groups) > 1:  # one group alone is all frames
            names += [f"group {name}" for name, e in groups.items() if e.of(kind).worse]
        if names:
            phrases.append(f"{kind} of {listed(names, MOST_NAMED)}")
    return phrases


def far_groups(groups: Mapping[str, HasErrors]) -> list[str]:
    """By kind of label, the groups whose error is more than :data:`FAR` times the median of the groups, worst first."""
    phrases = []
    for kind in QUANTITIES:
        # labels that are all zero, as forces of perfect crystals are, say nothing of what is usual
        of_kind = {name: e.of(kind) for name, e in groups.items()}
        errors = {n: e.rmse for n, e in of_kind.items() if e.labels and (kind == "energy" or e.size > NOISE[kind])}
        if len(errors) < GROUPS:
            continue
        median = float(np.median(list(errors.values())))
        far = sorted((n for n, x in errors.items() if x > max(FAR * median, NOISE[kind])), key=lambda n: -errors[n])
        names = [f"{n} ({number_text(errors[n] / median)} times)" if median else n for n in far]
        if names:
            phrases.append(f"{kind} of {listed(names, MOST_NAMED)}")
    return phrases
