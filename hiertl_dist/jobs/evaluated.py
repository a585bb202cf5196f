"""``EvaluatedFrames``: what reports, tables and figures need of a model's evaluation of many frames, in few numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..fitting.mean_model import NAN
from ..frames.rows import STRESS_COMPONENTS
from ..text.display import Shown
from .error_tables import Errors, FrameResidual, energy_errors, errors_by, names_and_codes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from ..evaluation.coverage import Coverage
    from ..evaluation.missing_in_frames import MissingType
    from ..frames.frame_sequence import FrameSequence
    from .flagged import FlaggedPairs
    from .label_sums import LabelSums
    from .samples import Points

AT_ONCE: Final = 4096
"""Frames whose origins are read together."""

MOST_LISTED: Final = 20_000
"""Frames that JSON lists one by one; of more it says how many, and where they are to be had."""


def are_listed(frames: int) -> bool:
    """Whether JSON lists so many frames one by one."""
    return frames <= MOST_LISTED


@dataclass(frozen=True, eq=False, repr=False)
class EvaluatedFrames(Shown):
    """What a model, or a sum of models, says of n frames, some tens of bytes each.

    Attributes
    ----------
    frames : FrameSequence
        The frames.
    energies : ndarray of shape (n,)
        What the model says, kcal/mol.
    force, stress : ndarray of shape (n,)
        RMSE of each frame, kcal/mol/Å and GPa; NaN of a frame without such labels.
    stresses : ndarray of shape (n, 6) or None
        What the model says, kcal/mol/Å³; of at most :data:`MOST_LISTED` frames.
    flagged : FlaggedPairs
        Distances that the model was not fitted on.
    coverage : tuple of list of Coverage
        Of each model.
    sums : tuple of LabelSums
        By composition, by group, and of all frames.
    points : dict from str to Points
        For figures: of forces and of stresses; empty if none were asked for.
    missing : tuple of MissingType
        Types of clusters that the frames contain and no model has coefficients of: they counted for nothing.
    met : Mapping from str to (int, int)
        By type of cluster that a model has, how many frames contain it, and how many such clusters there are.
    """

    frames: FrameSequence
    energies: NDArray[np.float64]
    force: NDArray[np.float64]
    stress: NDArray[np.float64]
    stresses: NDArray[np.float64] | None
    flagged: FlaggedPairs
    coverage: tuple[list[Coverage], ...]
    sums: tuple[LabelSums, LabelSums, LabelSums]
    points: dict[str, Points]
    missing: tuple[MissingType, ...] = ()
    met: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def is_flagged(self) -> NDArray[np.bool_]:
        """(n,) which frames have a distance that the model was not fitted on."""
        out = np.zeros(len(self), np.bool_)
        out[self.flagged.frames] = True
        return out

    @cached_property
    def whole(self) -> Errors:
        """Errors pooled over all frames."""
        codes = np.zeros(len(self), np.int8)
        found = errors_by(codes, self.sums[2], self.frames.facts, self.energies, self.is_flagged)
        return found[0] if found else Errors(0, 0, NAN, NAN, NAN, NAN, 0)

    @cached_property
    def errors(self) -> dict[str, Errors]:
        """Errors per composition, short names first, and of all frames under ``"all"`` if there are several."""
        facts = self.frames.facts
        names, codes = names_and_codes(facts.compositions, facts.formula)
        found = errors_by(codes, self.sums[0], facts, self.energies, self.is_flagged)
        table = {names[k]: e for k, e in sorted(found.items(), key=lambda of: (len(names[of[0]]), names[of[0]]))}
        return table | ({"all": self.whole} if len(table) > 1 else {})

    @cached_property
    def group_errors(self) -> dict[str, Errors]:
        """Errors per ``Frame.group``, sorted by name; no total, for a group may be called ``"all"``."""
        facts = self.frames.facts
        names, codes = names_and_codes(facts.group_names, facts.group)
        found = errors_by(codes, self.sums[1], facts, self.energies, self.is_flagged)
        return {names[k]: e for k, e in sorted(found.items(), key=lambda of: names[of[0]])}

    def residuals(self, numbers: Iterable[int] | None = None) -> Iterator[FrameResidual]:
        """Errors of each frame, or of some, one after the other."""
        chosen = np.arange(len(self)) if numbers is None else np.array(list(numbers), np.int64)
        facts = self.frames.facts
        energy = np.abs(energy_errors(facts, self.energies))
        for some in np.split(chosen, range(AT_ONCE, len(chosen), AT_ONCE)):
            for i, origin in zip(some.tolist(), self.frames.take(some).origins(), strict=True):
                yield FrameResidual(
                    i, origin, facts.group_names[facts.group[i]], facts.compositions[facts.formula[i]],
                    self.force[i].item(), energy[i].item(), self.stress[i].item(),
                    tuple(map(str, self.flagged.of(i))),
                )  # fmt: skip

    def worst_flagged(self, most: int) -> NDArray[np.int64]:
        """Numbers of frames that are out of range, at most so many: those with the largest errors of forces first."""
        numbers = self.flagged.numbers()
        return numbers[np.argsort(-np.nan_to_num(self.force[numbers]), kind="stable")[:most]]

    def out_of_range(self) -> list[dict[str, Any]]:
        """Frames that are out of range for JSON, in order; of more than :data:`MOST_LISTED` the worst."""
        return [vars(f) for f in self.residuals(np.sort(self.worst_flagged(MOST_LISTED)).tolist())]

    @property
    def out_of_range_left_out(self) -> str | None:
        """What to say where :meth:`out_of_range` has not all such frames."""
        count = len(self.flagged.numbers())
        if are_listed(count):
            return None
        return (
            f"of {count} frames that are out of range those {MOST_LISTED} with the largest force errors are listed; "
            "--csv writes all (frames.csv)"
        )

    @property
    def predictions_left_out(self) -> str | None:
        """What to say where :meth:`predictions` has nothing."""
        if self.stresses is not None:
            return None
        return (
            f"predictions of {len(self)} frames are not listed, which is done for at most {MOST_LISTED}; --csv writes "
            "errors of each (frames.csv); fewer frames at a time, or Model.evaluate(frames[first:last]) in Python, "
            "have the predictions"
        )

    def predictions(self) -> list[dict[str, Any]]:
        """Per frame what the model says, for JSON: energy (kcal/mol), stress (kcal/mol/Å³), errors, flags.

        Of more than :data:`MOST_LISTED` frames nothing.
        """
        if self.stresses is None:
            return []
        return [
            {
                "index": f.index, "origin": f.origin, "group": f.group, "energy": energy,
                "stress": dict(zip(STRESS_COMPONENTS, stress, strict=True)), "force_rmse": f.force,
                "energy_error_per_atom": f.energy, "stress_rmse_gpa": f.stress, "out_of_range": list(f.out_of_range),
            }
            for f, energy, stress in zip(
                self.residuals(), self.energies.tolist(), self.stresses.tolist(), strict=True
            )
        ]  # fmt: skip
