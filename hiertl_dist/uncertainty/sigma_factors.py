"""``SigmaFactors``: by how much predicted errors are off, found on labelled frames, and kept in a file for others."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError, MismatchError, ParameterFileError
from ..executors import InlineExecutor
from ..files.json_files import read_object, write_json
from ..files.paths import require_file
from ..files.sealed import SEAL, sealed, unsealed
from ..frames.frame import working_on
from ..text.display import Shown, number_text
from ..text.words import count_text
from .calibration import LEVELS, compared, errors_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ..executors.base import Executor
    from ..frames.frame import Frame
    from ..frames.frame_sequence import FrameSequence
    from .predictive import Prediction
    from .whole_model import HierarchyPosterior

FORMAT: Final = 1
OWN_LABELS: Final = 1e-6
"""Factors below which labels are the model's own: written with eight digits, they differ by less."""

AT_ONCE: Final = 16
"""Frames of a task."""


@dataclass(frozen=True)
class KindFactor:
    """How errors of a kind of labels compare with predicted ones.

    Attributes
    ----------
    factor : float
        Root mean square of error / σ: σ times this is right on average.
    standard_error : float
        Of the factor, from how it differs from frame to frame; NaN of one frame.
    labels, frames : int
        How many it is from.
    without_sigma : int
        Labels of which no σ is known, that don't count.
    rmse, sigma : float
        Root mean squares of errors and of σ: kcal/mol/Å, kcal/mol/atom, GPa.
    coverage, calibrated : tuple of tuple of float
        (level, share of errors within a Gaussian's interval of that level), with σ as it is, and times the factor.
    reliability : tuple of tuple of float
        (rms σ, rms error, labels) in bins of rising σ, before it is scaled.
    """

    factor: float
    standard_error: float
    labels: int
    frames: int
    without_sigma: int
    rmse: float
    sigma: float
    coverage: tuple[tuple[float, float], ...]
    calibrated: tuple[tuple[float, float], ...]
    reliability: tuple[tuple[float, float, int], ...]


@dataclass(frozen=True, eq=False, repr=False)
class SigmaFactors(Shown):
    """Factors of predicted errors of a model, by kind of labels.

    Attributes
    ----------
    kinds : Mapping from str to KindFactor
        ``"force"``, ``"energy"``, ``"stress"``, of those that have labels.
    of : str
        Digest of the model and of all that its blocks leave open.
    model : str
        Where the model was read.
    source : str
        The file that it was read from.
    """

    kinds: Mapping[str, KindFactor]
    of: str
    model: str
    source: str = ""

    def applied(self, given: HierarchyPosterior) -> HierarchyPosterior:
        """A posterior whose deviations are multiplied by the factors.

        Parameters
        ----------
        given : HierarchyPosterior
            Of the model whose errors were looked at.

        Returns
        -------
        HierarchyPosterior
            The same with factors, and notes that say so.

        Raises
        ------
        MismatchError
            The factors are of another model or other covariances.
        """
        if (now := digest_of_posterior(given)) != self.of:
            raise MismatchError(
                f"{self.source}: it is of {self.model}, or of covariances, that are not those of "
                f"{given.model.parameters.source} (expected digest {self.of[:12]}, found {now[:12]}); calibrate anew"
            )
        told = ", ".join(f"{kind} × {number_text(k.factor)}" for kind, k in self.kinds.items())
        lacking = [kind for kind in ("force", "energy", "stress") if kind not in self.kinds]
        more = f"; {', '.join(lacking)} as they are, for there were no labels" if lacking else ""
        factors = {kind: k.factor for kind, k in self.kinds.items()}
        return replace(
            given, factors=factors, notes=(*given.notes, f"σ times the factors of {self.source}: {told}{more}")
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON.

        Returns
        -------
        dict from str to object
            What :meth:`load` reads.
        """
        return {
            "hiertl_dist_calibration": FORMAT, "model": self.model, "of": self.of,
            "units": {"force": "kcal/mol/Å", "energy": "kcal/mol/atom", "stress": "GPa"},
            "kinds": {kind: asdict(k) for kind, k in self.kinds.items()},
        }  # fmt: skip

    def save(self, path: Path) -> None:
        """Write a JSON file, atomically.

        Parameters
        ----------
        path : Path
            The file; one that is there is replaced.
        """
        write_json(path, sealed(self.as_dict()))

    @classmethod
    def load(cls, path: Path) -> SigmaFactors:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : Path
            The file.

        Returns
        -------
        SigmaFactors
            The factors.

        Raises
        ------
        ParameterFileError
            It is no such file, or has a factor that is no number above 0.
        StoreError, MissingFileError
            It can't be read as JSON; there is none.
        """
        content = read_object(require_file(path, "calibration file"))
        if SEAL in content:  # files of versions before have none
            content = unsealed(content, path, "calibrate again; who changed it on purpose deletes its key sha256")
        if content.get("hiertl_dist_calibration") != FORMAT:
            found = content.get("hiertl_dist_calibration")
            raise ParameterFileError(f"{path}: expected a calibration of format {FORMAT}, found {found}")
        try:
            tables: dict[str, dict[str, Any]] = content["kinds"]
            kinds = {
                kind: KindFactor(**(table | {k: float("nan") for k, v in table.items() if v is None}))
                for kind, table in tables.items()
            }
            digest, model = str(content["of"]), str(content["model"])
            good = all(0.0 < float(k.factor) < np.inf for k in kinds.values())
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ParameterFileError(f"{path}: a calibration file that lacks something: {error!r}") from error
        if not good or not kinds.keys() <= {"force", "energy", "stress"}:
            raise ParameterFileError(f"{path}: expected factors above 0 of force, energy, stress, found {kinds}")
        return cls(kinds, digest, model, str(path))


def digest_of_posterior(given: HierarchyPosterior) -> str:
    """SHA-256 of a model and of all that its blocks leave open."""
    whole = hashlib.sha256(given.model.parameters.digest.encode())
    for name in sorted(given.blocks):
        for key, array in sorted(given.blocks[name].arrays().items()):
            values = np.ascontiguousarray(array)
            content = "\n".join(map(str, values.ravel())).encode() if values.dtype.kind == "U" else values.tobytes()
            whole.update(f"{name} {key} ".encode() + content)
    return whole.hexdigest()


def sigma_factors(
    frames: FrameSequence, given: HierarchyPosterior, executor: Executor | None = None, *,
    levels: Sequence[float] = LEVELS,
) -> SigmaFactors:  # fmt: skip
    """How predicted errors compare with those that a model makes.

    Parameters
    ----------
    frames : FrameSequence
        Labelled frames that the model was not fitted on: on those that it was errors are too small.
    given : HierarchyPosterior
        Of the model.
    executor : Executor, optional
        Who makes the rows; default: this process.
    levels : sequence of float, optional
        Probabilities whose coverage is counted.

    Returns
    -------
    SigmaFactors
        The factor of each kind of labels.

    Raises
    ------
    InputError
        No frame has a label with a σ, σ is zero where an error is not, or labels are the model's own predictions.
    FrameError, InnerCutoffError
        Naming the frame; with an executor TaskFailed, which has it as its cause.
    """
    runner = InlineExecutor() if executor is None else executor
    chunks = [frames[i : i + AT_ONCE] for i in range(0, len(frames), AT_ONCE)]
    task = partial(_beside, predicted=given.task("damp"))
    found = runner.run(task, chunks, label=lambda c: c.origin(0), what="errors beside σ", cost=_atoms)
    parts = [part for own in found for part in own]
    kinds = {}
    for kind in ("force", "energy", "stress"):
        own = [part[kind] for part in parts if kind in part]
        known = [p[:, np.isfinite(p[1])] for p in own]
        known = [p for p in known if p.shape[1]]
        if known:
            lost = sum(p.shape[1] for p in own) - sum(p.shape[1] for p in known)
            kinds[kind] = _factor(kind, known, lost, levels)
    if not kinds:
        raise InputError(
            f"calibrate: none of {count_text(len(frames), 'frame')} has a label whose σ is known: labelled frames are "
            "needed, and covariances of blocks with the noise of such labels"
        )
    return SigmaFactors(kinds, digest_of_posterior(given), given.model.parameters.source)


def _beside(
    chunk: FrameSequence, *, predicted: Callable[[Frame], Prediction]
) -> list[dict[str, NDArray[np.float64]]]:  # fmt: skip
    parts = []
    for frame in chunk:
        with working_on(frame):
            parts.append(errors_beside(frame, predicted(frame)))
    return parts


def _atoms(chunk: FrameSequence) -> float:
    return float(chunk.facts.n_atoms.sum())


def _factor(kind: str, parts: Sequence[NDArray[np.float64]], lost: int, levels: Sequence[float]) -> KindFactor:
    """Of the errors and deviations of each frame that has any."""
    errors, sigmas = np.concatenate(parts, axis=1)
    if (wrong := (sigmas == 0.0) & (errors != 0.0)).any():
        raise InputError(f"calibrate: {np.count_nonzero(wrong)} σ of {kind} are zero, which no factor makes right")
    squares = np.array([np.sum(np.square(p[0] / np.where(p[1] > 0.0, p[1], 1.0))) for p in parts])
    sizes = np.array([p.shape[1] for p in parts])
    mean = squares.sum() / sizes.sum()
    factor = float(np.sqrt(mean))
    if factor < OWN_LABELS:
        raise InputError(
            f"calibrate: the labels of {kind} are what the model itself says, to the last digits, as those of a "
            "trajectory that was run with it are; expected frames with labels of the reference method"
        )
    n = len(parts)
    # frames are independent, the labels of a frame are not
    spread = np.sqrt(n / (n - 1) * np.sum((squares - mean * sizes) ** 2)) / sizes.sum() if n > 1 else np.nan
    before, after = (compared([{kind: np.array([errors, f * sigmas])}], levels=levels)[kind] for f in (1.0, factor))
    bins = before.reliability
    return KindFactor(
        factor, float(spread / (2.0 * factor)), len(errors), n, lost, before.rmse,
        float(np.sqrt(np.mean(np.square(sigmas)))), tuple(before.coverage.items()), tuple(after.coverage.items()),
        tuple(zip(bins.rms_sigma.tolist(), bins.rms_error.tolist(), bins.count.tolist(), strict=True)),
    )  # fmt: skip
