"""``posterior`` and ``predict``: how far a fitted model can be trusted, frame by frame (docs/theory.md, section 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ..algebra import TruncatedSVD, regulariser_from_dict
from ..algebra.posterior import Posterior
from ..errors import InputError, MismatchError
from ..evaluation.compiled_basis import compile_recipe
from ..evaluation.energies import Evaluation, Model
from ..evaluation.frame_rows import answerable, rows_of
from ..evaluation.missing_in_frames import MissingClusters, check_missing
from ..evaluation.sums import sum_evaluations
from ..executors import InlineExecutor
from ..fitting.view_solutions import as_regulariser, residual_squares, solution_of
from ..fitting.views import View, combined_factor
from ..fitting.weights import row_weights
from ..frames.frame import Frame, working_on
from ..frames.rows import OBJECTIVES, SUMMARY_KINDS, Group, kind_codes, person_kind
from ..model.solution import Solution
from ..model_selection.cross_validation import training_factors
from ..text.display import Shown
from ..text.result_cards import posterior_card, prediction_card
from .noise import KindNoise, distribution, fitted_noise, held_out_cells, kinds_of, noise_in_sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from ..algebra import Regulariser
    from ..evaluation.frame_rows import InnerPolicy
    from ..executors.base import Executor
    from ..model.basis import Basis


class Predictor(Protocol):
    """What predicts with standard deviations: a posterior of a block, or of a whole model."""

    @property
    def models(self) -> tuple[Model, ...]:
        """Their sum is the prediction."""

    @property
    def elements(self) -> frozenset[str]:
        """The elements that a frame may have."""

    def task(self, policy: InnerPolicy, source: str = "") -> Callable[[Frame], Prediction]:
        """What :func:`predict` does with a frame.

        Parameters
        ----------
        policy : {"refuse", "skip_frame", "lsq", "damp"}
            For pairs inside an inner cutoff.
        source : str, optional
            Whose weights the leverages are for.

        Returns
        -------
        callable
            From a frame to its prediction.
        """
        return self._task(policy, source)

    def _task(self, policy: InnerPolicy, source: str) -> Callable[[Frame], Prediction]:
        """The same of one kind of posterior."""
        raise NotImplementedError


class RowMaker(NamedTuple):
    """How frames become rows of a fit, weighted as rows of a source; of an unknown one by kind and composition."""

    basis: Basis
    blocks: tuple[str, ...]
    given: Mapping[str, float]
    objective: str
    policy: InnerPolicy
    source: str = ""

    def rows(self, frame: Frame) -> NDArray[np.float64]:
        """(rows, columns) of a frame's labels, unweighted; good until this thread's next call."""
        return rows_of([frame], compile_recipe(self.basis, self.blocks), self.policy, kept="uncertainty")

    def weights(self, frame: Frame) -> NDArray[np.float64]:
        """(rows,) weights of these rows."""
        return weights_of(frame, self.given, self.objective, self.source)


def weights_of(frame: Frame, given: Mapping[str, float], objective: str, source: str) -> NDArray[np.float64]:
    """(rows,) weights of a frame's rows, as those of a source."""
    groups = [Group(source, kind, frame.composition) for kind in SUMMARY_KINDS]
    return np.array(list(row_weights(groups, given, objective).values()))[kind_codes(frame)]


@dataclass(frozen=True, eq=False, repr=False)
class ModelPosterior(Shown, Predictor, card=posterior_card):
    """A fit of a view with the uncertainty of its coefficients: see :func:`posterior`.

    Attributes
    ----------
    view : View
        What was fitted.
    solution : Solution
        The fit, the centre of the distribution.
    linear : Posterior
        The Gaussian of the coefficients, in the order of ``view.columns``.
    noise : Mapping from str to KindNoise
        By kind (``"force"``, ``"stress"``, ``"energy"``) of those that the view has rows of.
    """

    view: View
    solution: Solution
    linear: Posterior
    noise: Mapping[str, KindNoise]

    @property
    def models(self) -> tuple[Model, ...]:
        """The fitted blocks and the frozen models: their sum is the prediction."""
        frozen = (*self.view.summaries.frozen, *self.view.frozen)
        return Model(self.solution.parameters), *map(Model, frozen)

    @property
    def elements(self) -> frozenset[str]:
        """The elements that a frame may have."""
        return frozenset(e for m in self.models for e in m.elements)

    def maker(self, policy: InnerPolicy, source: str = "") -> RowMaker:
        """How frames become rows of the fit: without its summaries, so that it is cheap to send.

        Parameters
        ----------
        policy : {"refuse", "skip_frame", "lsq", "damp"}
            For pairs inside an inner cutoff.
        source : str, optional
            Whose weights the rows have; default: those by kind and composition.

        Returns
        -------
        RowMaker
            With the basis, blocks, weights and objective of the view.
        """
        return RowMaker(self.view.basis, self.view.blocks, self.view.weights, self.view.objective, policy, source)

    def _task(self, policy: InnerPolicy, source: str) -> Callable[[Frame], Prediction]:
        maker = self.maker(policy, source)
        return partial(_predict, maker=maker, linear=self.linear, noise=self.noise, models=self.models)


@dataclass(frozen=True, eq=False, repr=False)
class Spread(Shown):
    """Standard deviations of a frame's energy, kcal/mol, forces (n, 3), kcal/mol/Å, and stress (6,), kcal/mol/Å³.

    The stress of a molecule is NaN, as is the total of a kind whose noise is not known.
    """

    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Shown, card=prediction_card):
    """What a model says of one frame, and how surely.

    Attributes
    ----------
    origin : str
        Where the frame is from.
    mean : Evaluation
        The model's energy, forces and stress, frozen blocks included.
    coefficients : Spread
        The part of the standard deviations that the fitted coefficients account for, √(noise² a (TᵀT)⁻¹ aᵀ). Frozen
        models count as known.
    total : Spread
        Standard deviations of the difference from a label: that part, scaled, and the noise of the kind.
    leverage_sum, leverage_max : float
        Sum and maximum of ‖T⁻ᵀa‖² over the frame's rows, weighted as in the fit: the number of coefficients that the
        frame would newly determine, and how far its strangest row lies outside of the fit (above 1: farther than all
        that was fitted).
    """

    origin: str
    mean: Evaluation
    coefficients: Spread
    total: Spread
    leverage_sum: float
    leverage_max: float


# long: its parameters are documented
def posterior(
    given: View,
    fit: Solution | Regulariser | Mapping[str, Any],
    *,
    held_out: bool | None = None,
    executor: Executor | None = None,
) -> ModelPosterior:
    """The uncertainty of a fit, from the factors alone.

    Coefficients are Gaussian with precision (RᵀR + penalties) / noise², R being the factor of all weighted rows of the
    view and noise that of a row of weight 1; a row of weight w has noise / w (docs/theory.md, section 10). Penalties
    are ridge's alpha, those that evidence chose (Bayesian ridge, ARD), or none. Of a LASSO and its relatives columns
    that are not zero are free: how uncertain their choice is, and that it shrinks, is left out. The noise of each kind
    is estimated apart, from folds left out or from the fit's own rows.

    Parameters
    ----------
    given : View
        What was fitted.
    fit : Solution, Regulariser or Mapping
        A solution of the same view, or the regulariser of one.
    held_out : bool, optional
        Estimate the noise from folds left out, which costs a fit for each; default: where there are two folds. Errors
        of related frames are only honest where these share a fold: ``Folds(5, split="group")``.
    executor : Executor, optional
        Who does the folds; default: this process.

    Returns
    -------
    ModelPosterior
        The fit with the Gaussian of its coefficients and the noise of each kind, for :func:`predict`.

    Raises
    ------
    InputError
        Truncated SVD, which says nothing about what it cuts off; too few folds; summaries that don't keep sizes apart.
    MismatchError
        The solution is not one of this view.
    LinAlgError, ValueError
        Columns that depend on others and have no penalty; fewer rows than degrees of freedom.
    """
    regulariser = regulariser_from_dict(fit.regulariser) if isinstance(fit, Solution) else as_regulariser(fit)
    if isinstance(regulariser, TruncatedSVD):
        raise InputError("posterior: svd says nothing about the directions that it cuts off; use ridge")
    if any(g.kind == "energy" and not g.atoms for g in given.factors):
        raise InputError(
            "posterior: the noise of energies is one per atom; use summaries of summarise(), which know it"
        )
    factor = combined_factor(given)
    known = _checked_coefficients(given, fit) if isinstance(fit, Solution) else None
    linear, answer = distribution(given, factor, regulariser, known=known)
    if isinstance(fit, Solution):
        solution = fit
    else:
        assert answer is not None
        solution = solution_of(given, answer, regulariser)
    folds = {g.fold for g in given.factors} - {-1}
    if held_out if held_out is not None else len(folds) > 1:
        noise = _held_out_noise(given, regulariser, InlineExecutor() if executor is None else executor)
    else:
        noise = noise_in_sample(given, linear, _checked_coefficients(given, solution))
    return ModelPosterior(given, solution, linear, noise)


def _held_out_noise(given: View, regulariser: Regulariser, runner: Executor) -> dict[str, KindNoise]:
    items = [(fold, factor) for fold, (factor,) in training_factors([given], runner)]
    task = partial(held_out_cells, given=given, regulariser=regulariser)
    parts = runner.run(task, items, label=lambda item: f"fold {item[0]}", what="held-out variances")
    cells = [c for part in parts for c in part]
    return {k: fitted_noise([c for c in cells if c.kind == k]) for k in kinds_of(given)}


def free_coefficients(given: View, solution: Solution) -> NDArray[np.float64]:
    """(columns,) of a solution in the order of a view, energies of free atoms above what was taken off the labels."""
    values = solution.parameters.as_dict()
    return np.array([values.get(c, zero) for c, zero in zip(given.columns, given.zeros, strict=True)]) - given.zeros


def _checked_coefficients(given: View, solution: Solution) -> NDArray[np.float64]:
    """(columns,) of a solution in the order of a view; MismatchError where it is not one of this view."""
    values = solution.parameters.as_dict()
    free = set(given.columns)
    # one-body energies that the view holds where the basis gives them are in the solution too
    fitted = {c for c in values if c in free or not (c[2] == () and c[1][0] in given.energies)}
    # and those that its rows say nothing of are not
    fitted |= {c for c in free if not c.powers and c not in values}
    frozen = sorted(f.digest for f in (*given.summaries.frozen, *given.frozen))
    for what, mine, theirs in (
        ("columns", free, fitted), ("weights", dict(given.weights), dict(solution.weights)),
        ("objective", given.objective, solution.objective), ("N", given.counted, solution.n_counted),
        ("frozen models", frozen, sorted(solution.frozen.values())),
        ("prior", {} if given.prior.is_flat else given.prior.as_dict(), dict(solution.prior)),
    ):  # fmt: skip
        if mine != theirs:
            shown = (len(mine), len(theirs)) if isinstance(mine, set) else (mine, theirs)  # type: ignore[arg-type]
            raise MismatchError(f"posterior: {what} of the view: {shown[0]}, of the solution: {shown[1]}")
    coefficients = free_coefficients(given, solution)
    # the same numbers of rows may be other rows, such as other folds
    squares, targets = residual_squares(given, coefficients[:, np.newaxis])
    counts = OBJECTIVES[given.objective]
    total = sum(counts.count(g.kind) * float(s[0]) for g, s in squares.items())
    rmse = float(np.sqrt(total / max(given.counted, 1)))
    # residuals of labels without noise are rounding of the targets
    rounding = 1e-9 * float(np.sqrt(sum(counts.count(g.kind) * t for g, t in targets.items()) / max(given.counted, 1)))
    if not np.isclose(rmse, solution.rmse, rtol=1e-6, atol=rounding):
        raise MismatchError(
            f"posterior: RMSE over the counted rows of the view: {rmse:.8g}, of the solution: {solution.rmse:.8g}; it "
            "was fitted on other rows"
        )
    return coefficients


def with_labels(frame: Frame) -> Frame:
    """The frame with labels of zero for all that it can have, so that it has all rows; without a volume, no stress."""
    stress = np.zeros(6) if frame.periodic else None
    return replace(frame, energy=0.0, forces=np.zeros((len(frame), 3)), stress=stress)


def each(task: Callable[[Frame], Any], frames: Sequence[Frame], executor: Executor | None, what: str) -> list[Any]:
    """task(frame) of each frame, in this process where there is no executor."""
    named = partial(_named, task)
    if executor is None:
        return [named(frame) for frame in frames]
    return executor.run(named, frames, label=lambda f: f.origin, what=what, cost=len)


def _named(task: Callable[[Frame], Any], frame: Frame) -> Any:
    with working_on(frame):
        return task(frame)


def predict(
    frames: Sequence[Frame] | Frame,
    given: Predictor,
    *,
    source: str = "",
    policy: InnerPolicy = "damp",
    executor: Executor | None = None,
    missing: str = "refuse",
) -> list[Prediction]:
    """Energy, forces and stress of frames with standard deviations.

    Parameters
    ----------
    frames : Frame or sequence of Frame
        Frames, which need no labels.
    given : ModelPosterior or HierarchyPosterior
        The fit of a block, or those of a whole model, :func:`~hiertl_dist.hierarchy_posterior`.
    source : str, optional
        Whose weights the leverages are for; default: weights by kind and composition only.
    policy : {"damp", "lsq", "refuse"}, optional
        For pairs inside an inner cutoff, as in :meth:`~hiertl_dist.Model.evaluate`.
    executor : Executor, optional
        Who makes the rows, (3 n + 7) × columns × 8 bytes in the task of a frame; default: this process.
    missing : {"refuse", "zero"}, optional
        For clusters of types without coefficients, of which no deviation knows, as in
        :meth:`~hiertl_dist.Model.evaluate`.

    Returns
    -------
    list of Prediction
        One for each frame.

    Raises
    ------
    FrameError, InnerCutoffError
        Naming the frame; with an executor TaskFailed, which has it as its cause.
    MissingTypesError
        Naming the types without coefficients and frames that contain them.
    """
    check_missing(missing)
    listed = answerable(frames, policy, "predict", given.elements)
    if missing == "refuse":
        MissingClusters.of([m.parameters for m in given.models]).refuse(listed)
    return each(given.task(policy, source), listed, executor, "predict")


def _predict(
    frame: Frame, *, maker: RowMaker, linear: Posterior, noise: Mapping[str, KindNoise], models: Sequence[Model]
) -> Prediction:
    parts = [m.evaluate(frame, ignore_other_elements=True, missing="zero", policy=maker.policy) for m in models]
    mean = sum_evaluations(parts, [m.coverage for m in models])[0]
    full = with_labels(frame)
    leverages = linear.leverage(maker.rows(full))
    weighted = maker.weights(full) ** 2 * leverages
    deviations = linear.noise * np.sqrt(leverages)
    missing = KindNoise(np.nan, 1.0, 0, False)
    by_code = [noise.get(person_kind(kind), missing) for kind in SUMMARY_KINDS]
    codes = kind_codes(full)
    floor = np.array([n.noise for n in by_code])[codes] * np.where(codes == 3, len(frame), 1)
    total = np.hypot(np.array([n.scale for n in by_code])[codes] * deviations, floor)
    return Prediction(
        frame.origin, mean, spread_of(full, deviations), spread_of(full, total), float(weighted.sum()),
        float(weighted.max()),
    )  # fmt: skip


def spread_of(frame: Frame, values: NDArray[np.float64]) -> Spread:
    """(rows,) of a frame that has all of its labels, by what they belong to."""
    n = 3 * len(frame)
    stress = np.full(6, np.nan) if frame.stress is None else values[n:-1]
    return Spread(float(values[-1]), values[:n].reshape(-1, 3), stress)
