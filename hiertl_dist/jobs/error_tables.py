"""Errors of a model on labelled frames: by kind of label, composition and group, and of each frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..fitting.mean_model import NAN, QUANTITIES, Kind, KindErrors, spread_of_labels, worse_than_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..frames.frame_facts import FrameFacts
    from .label_sums import LabelSums


@dataclass(frozen=True)
class Errors:
    """Errors over some frames; NaN where no frame has the label.

    Attributes
    ----------
    frames, atoms : int
        How many.
    force, energy, stress : float
        RMSE of force components, kcal/mol/Å, of energies, kcal/mol/atom, and of the stress components that are there,
        GPa.
    force_mae, energy_mae, stress_mae : float
        Mean absolute error of these.
    force_max, energy_max, stress_max : float
        Largest absolute error of these.
    force_labels, energy_labels, stress_labels : int
        How many of them there are.
    force_rms, stress_rms : float
        Root mean square of the labels.
    energy_spread : float
        Standard deviation of energies per atom, if there are two.
    force_of_mean, energy_of_mean, stress_of_mean : float
        RMSE of a model that predicts the mean of the labels: forces zero, energies per atom the mean of each
        composition, stresses that of each component.
    force_freedom, energy_freedom, stress_freedom : int
        Number of labels less these means.
    out_of_range : int
        Frames with a distance that the model was not fitted on.
    """

    frames: int
    atoms: int
    force: float
    force_rms: float
    energy: float
    stress: float
    out_of_range: int
    force_labels: int = 0
    force_mae: float = NAN
    force_max: float = NAN
    energy_labels: int = 0
    energy_mae: float = NAN
    energy_max: float = NAN
    energy_spread: float = NAN
    stress_labels: int = 0
    stress_mae: float = NAN
    stress_max: float = NAN
    stress_rms: float = NAN
    force_of_mean: float = NAN
    force_freedom: int = 0
    energy_of_mean: float = NAN
    energy_freedom: int = 0
    stress_of_mean: float = NAN
    stress_freedom: int = 0

    def of(self, kind: Kind) -> KindErrors:
        """Those of one kind of labels."""
        size = getattr(self, "energy_spread" if kind == "energy" else f"{kind}_rms")
        mean, largest = getattr(self, f"{kind}_mae"), getattr(self, f"{kind}_max")
        rmse, spread = getattr(self, kind), getattr(self, f"{kind}_of_mean")
        worse = worse_than_mean(kind, rmse, spread, getattr(self, f"{kind}_freedom"))
        return KindErrors(getattr(self, f"{kind}_labels"), rmse, mean, largest, size, spread, worse)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; ``worse_than_mean`` lists the kinds of labels whose RMSE is above that of the mean."""
        return vars(self) | {"worse_than_mean": [k for k in QUANTITIES if self.of(k).worse]}


@dataclass(frozen=True)
class FrameResidual:
    """One frame's errors, in the units of :class:`Errors`, and what is out of range in it."""

    index: int
    origin: str
    group: str
    composition: str
    force: float
    energy: float
    stress: float
    out_of_range: tuple[str, ...]


def names_and_codes(texts: tuple[str, ...], codes: NDArray[np.integer]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Each of some texts once, and of every frame, whose text is ``texts[code]``, the number of its text there."""
    names = {text: k for k, text in enumerate(dict.fromkeys(texts))}
    return tuple(names), np.array([names[text] for text in texts], np.int32)[codes]


def rms(values: NDArray[np.float64]) -> float:
    """Root of the mean square; NaN of nothing."""
    return float(np.sqrt(np.mean(values**2))) if len(values) else NAN


def energy_errors(facts: FrameFacts, energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) errors of energies of a model, kcal/mol an atom; NaN of a frame without a label."""
    return np.where(facts.has_energy, (energies - facts.energies) / facts.n_atoms, NAN)


def errors_by(
    codes: NDArray[np.integer], sums: LabelSums, facts: FrameFacts, energies: NDArray[np.float64],
    flagged: NDArray[np.bool_],
) -> dict[int, Errors]:  # fmt: skip
    """Errors of frames by key.

    Parameters
    ----------
    codes : ndarray of int, shape (n,)
        Number of the key of each frame.
    sums : LabelSums
        Of forces and stresses, for keys 0, 1, ….
    facts : FrameFacts
        Of the frames.
    energies : ndarray of shape (n,)
        What the model says, kcal/mol.
    flagged : ndarray of bool, shape (n,)
        Which frames have a distance that it was not fitted on.

    Returns
    -------
    dict from int to Errors
        Of the keys that occur, in order of first appearance.
    """
    order = np.argsort(codes, kind="stable")
    places = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []
    kinds = names_and_codes(facts.compositions, facts.formula)[1]
    found: dict[int, Errors] = {}
    for own in sorted(places, key=lambda own: int(own[0])):
        key = int(codes[own[0]])
        labelled = own[facts.has_energy[own]]
        n_atoms = facts.n_atoms[labelled]
        errors = (energies[labelled] - facts.energies[labelled]) / n_atoms
        table = _energy_table(errors, facts.energies[labelled] / n_atoms, kinds[labelled])
        table |= _force_table(sums, key) | _stress_table(sums, key)
        found[key] = Errors(
            frames=len(own), atoms=int(facts.n_atoms[own].sum()), out_of_range=int(np.count_nonzero(flagged[own])),
            **table,
        )  # fmt: skip
    return found


def _energy_table(errors: NDArray[np.float64], labels: NDArray[np.float64], kinds: NDArray[np.int32]) -> dict[str, Any]:
    some = len(errors) > 0
    of_mean, freedom = spread_of_labels(labels, kinds)
    return {
        "energy": rms(errors), "energy_labels": len(errors),
        "energy_mae": float(np.mean(np.abs(errors))) if some else NAN,
        "energy_max": float(np.max(np.abs(errors))) if some else NAN,
        "energy_spread": float(np.std(labels)) if len(labels) > 1 else NAN,
        "energy_of_mean": of_mean, "energy_freedom": freedom,
    }  # fmt: skip


def _sums_table(sums: LabelSums, key: int, kind: Kind) -> dict[str, Any]:
    added = sums.of(key, kind)
    n = added.labels
    return {
        kind: float(np.sqrt(added.squares / n)) if n else NAN, f"{kind}_labels": n,
        f"{kind}_mae": added.absolutes / n if n else NAN, f"{kind}_max": added.largest if n else NAN,
        f"{kind}_rms": float(np.sqrt(added.label_squares / n)) if n else NAN,
    }  # fmt: skip


def _force_table(sums: LabelSums, key: int) -> dict[str, Any]:
    table = _sums_table(sums, key, "force")
    # the mean of forces is zero
    return table | {"force_of_mean": table["force_rms"], "force_freedom": table["force_labels"]}


def _stress_table(sums: LabelSums, key: int) -> dict[str, Any]:
    table = _sums_table(sums, key, "stress")
    squares, components = sums.about_means(key)
    freedom = table["stress_labels"] - components
    spread = float(np.sqrt(squares / freedom)) if freedom else NAN
    return table | {"stress_of_mean": spread, "stress_freedom": freedom}
