"""``solve``: coefficients from a summary and a regulariser, with what is needed to trust them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from hiertl_dist.algebra.automatic_relevance import automatic_relevance
from hiertl_dist.algebra.direct import least_squares, ridge, ridge_of_gram, truncated_svd
from hiertl_dist.algebra.evidence import Evidence, bayesian_ridge
from hiertl_dist.algebra.factor import Answer, Factor
from hiertl_dist.algebra.gram import Gram
from hiertl_dist.algebra.lapack import Matrix, Vector
from hiertl_dist.algebra.lasso import lasso
from hiertl_dist.algebra.penalised import adaptive_lasso, elastic_net
from hiertl_dist.algebra.problem import Problem, data_rows, others_of, problem_of
from hiertl_dist.algebra.regularisers import (
    ARD,
    AdaptiveLasso,
    BayesianRidge,
    ElasticNet,
    Lasso,
    NoRegularisation,
    Regulariser,
    Ridge,
    TruncatedSVD,
    penalises_all,
)
from hiertl_dist.algebra.rfactor import RFactor
from hiertl_dist.algebra.ridge_grid import ridge_conditions, ridge_solutions
from hiertl_dist.algebra.summary import Columns, Summary, column_index, locked
from hiertl_dist.algebra.unpenalised import Apart, determined, set_apart

#: Relative gradient that ridge promises; a solution above it says so in its notes.
GRADIENT_LIMIT = 1e-10

#: (columns below which, ridges from which on) one SVD costs less than a QR for each. CPU ms on one core of a Xeon with
#: AVX-512, OpenBLAS, for 300, 700, 1 500 columns: `solve` with a ridge 1.8, 13, 87; dgesdd 12, 131, 1 266; each more
#: alpha after it 0.1, 0.2, 1.3.
_SVD_PAYS = ((500, 8), (1000, 12), (np.inf, 17))

#: The answer where no column holds anything.
NOTHING = Answer(np.zeros(0), 0, 1.0)

_Penalised = Lasso | ElasticNet | AdaptiveLasso


@dataclass(frozen=True, eq=False)
class LinearSolution:
    """The answer to one linear problem.

    Attributes
    ----------
    coefficients : ndarray of shape (n,)
        Read-only; columns that are zero, or less than the rounding of the largest, get 0.
    rank : int
        Singular values kept (svd); else the independent columns of A, whatever the penalty: see ``Problem.rank``.
    condition : float
        Condition number of what was inverted: an estimate of cond_1 of the column-equilibrated triangle (none; ridge,
        bayesian_ridge, ard, elastic net: with the penalty's rows; LASSOs and ard: the nonzero columns); √cond_1 of the
        equilibrated normal matrix for ridge on a ``Gram``; for svd the exact ratio of the singular values kept, not
        equilibrated, and so, with the penalty's rows, for ridges that ``solve_all`` found together. Of the penalised
        columns alone where others are set apart.
    residual_norm2 : float
        ‖A c − b‖² over the weighted rows, without the penalty.
    nonzeros : int
        How many coefficients are not zero.
    gradient_norm : float or None
        ‖Aᵀ(b − A c) − penalties c‖ / ‖Aᵀb‖ over the columns that are not taken out (none, ridge, bayesian_ridge, ard).
    kkt_gap : float or None
        Largest violation of the optimality conditions relative to N lam (LASSOs, elastic net).
    method : {"rfactor", "gram"}
        Which kind of summary was solved.
    notes : tuple of str
        What the reader of a report should know.
    hyperparameters : mapping from str to float
        What the solver chose itself. none, svd: "tolerance", below which what is left of a column (relative to its
        length), or a singular value (relative to the largest), counts as zero. bayesian_ridge: "alpha" of min ‖A c −
        b‖² + alpha ‖c‖² (``Ridge(alpha)`` gives the same answer; for columns of length 1 with ``normalize``; inf where
        nothing but noise was found). bayesian_ridge, ard: "noise", the standard deviation of a row;
        "effective_parameters"; "log_evidence" of the (weighted) rows, of which those of a prior are none.
    penalties : ndarray of shape (n,) or None
        Read-only: what was added to the diagonal of AᵀA, inf where a column was held at 0 (ridge, bayesian_ridge, ard).
    undetermined : ndarray of shape (f, k)
        Orthonormal directions of the coefficients of the unpenalised columns, in the order in which they were named,
        that the rows say nothing about; the coefficients given have no part in them.
    """

    coefficients: Vector
    rank: int
    condition: float
    residual_norm2: float
    nonzeros: int
    gradient_norm: float | None
    kkt_gap: float | None
    method: str
    notes: tuple[str, ...] = ()
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    penalties: Vector | None = None
    undetermined: Matrix = field(default_factory=lambda: np.zeros((0, 0)))


def solve(
    summary: Summary, regulariser: Regulariser, n_counted: float | None = None, unpenalised: Columns = ()
) -> LinearSolution:
    """Minimise ‖A c − b‖² under a regulariser, b being target 0 of a summary.

    Parameters
    ----------
    summary : Summary
        Of the weighted rows [A | T].
    regulariser : Regulariser
        What is added to the squares.
    n_counted : float, optional
        The N of the LASSO's and its relatives' objectives and of the evidence of bayesian_ridge and ard, by default the
        rows of the summary; the others ignore it. Evidence needs the rows that say something: those of weight 0 don't.
    unpenalised : sequence of int or mask of shape (n,), optional
        Columns on which no penalty, and no choice of a shortest solution, acts, unless the regulariser has
        ``penalise_one_body``: adding A[:, unpenalised] x to b adds x to their coefficients and changes no other.
        Evidence counts as many rows less as these columns fit.

    Returns
    -------
    LinearSolution
        Coefficients (n,), and what is needed to trust them.

    Raises
    ------
    UnsafeGram
        A ``Gram`` that is too ill-conditioned to be solved.
    ConvergenceError
        The LASSO misses its optimality conditions, or evidence does not settle.
    ValueError
        An ``n_counted`` that is not a finite number > 0 (for evidence: at least the number of independent rows).
    """
    return solve_all(summary, [regulariser], n_counted, unpenalised)[0]


def solve_all(
    summary: Summary, regularisers: Sequence[Regulariser], n_counted: float | None = None, unpenalised: Columns = (), *,
    held: Matrix | None = None,
) -> list[LinearSolution]:  # fmt: skip
    """The answers of ``solve`` to many regularisers, in their order; work that they share is done once.

    Many ridges on an ``RFactor`` come from one SVD: predictions are those of ``solve`` to 1e-10 as long as √alpha is
    not below 1e-6 of the largest singular value, and else to what rounding leaves of either; ``condition`` is then the
    exact one of the unscaled columns with the penalty's rows. Raises what ``solve`` raises.

    Parameters
    ----------
    summary : Summary
        Of the weighted rows [A | T].
    regularisers : sequence of Regulariser
        What to solve with.
    n_counted : float, optional
        As for ``solve``.
    unpenalised : sequence of int or mask of shape (n,), optional
        As for ``solve``.
    held : ndarray of shape (k, n), optional
        Rows of a prior, with target 0, that are among those of an ``RFactor``: bayesian_ridge takes the evidence of the
        others, and N is without them; ard raises InputError. Zero in the columns that are unpenalised.

    Returns
    -------
    list of LinearSolution
        One for each regulariser.
    """
    free = column_index(unpenalised, summary.n_columns)
    whole = [i for i, r in enumerate(regularisers) if len(free) == 0 or penalises_all(r)]
    parted = [i for i in range(len(regularisers)) if i not in set(whole)]
    answers: dict[int, LinearSolution] = {}
    if whole:
        problem = problem_of(summary, n_counted, held)
        undetermined = _undetermined(summary, free)
        for i, one in zip(whole, _solved(problem, [regularisers[i] for i in whole]), strict=True):
            answers[i] = replace(one, undetermined=undetermined)
    if parted:
        answers |= zip(parted, _solved_apart(summary, [regularisers[i] for i in parted], n_counted, free, held),
                       strict=True)  # fmt: skip
    return [answers[i] for i in range(len(regularisers))]


def _solved(problem: Problem, regularisers: Sequence[Regulariser]) -> list[LinearSolution]:
    together = _ridges_together(problem, regularisers)
    return [
        _solution(problem, regulariser, together.get(i) or _answer(problem, regulariser))
        for i, regulariser in enumerate(regularisers)
    ]


def _undetermined(summary: Summary, free: npt.NDArray[np.intp]) -> Matrix:
    if isinstance(summary, RFactor):
        return determined(summary.r[:, free], summary.rows)[1]
    assert isinstance(summary, Gram)
    # these are squares: what is below 1e-8 of the largest can't be told from zero
    values, directions = np.linalg.eigh(summary.g[np.ix_(free, free)])
    nothing = values <= len(free) * float(np.finfo(np.float64).eps) * values.max(initial=0.0)
    return np.asarray(directions[:, nothing])


def _solved_apart(
    summary: Summary, regularisers: Sequence[Regulariser], n_counted: float | None, free: npt.NDArray[np.intp],
    held: Matrix | None = None,
) -> list[LinearSolution]:  # fmt: skip
    """With the columns ``free`` set apart; a ``Gram`` goes through its guarded Cholesky factor."""
    counted = float(data_rows(summary, held) if n_counted is None else n_counted)
    if isinstance(summary, Gram):
        return [_solved_gram_apart(summary, r, counted, free) for r in regularisers]
    assert isinstance(summary, RFactor)
    apart = set_apart(summary, free)
    solutions: dict[int, LinearSolution] = {}
    for by_evidence in (False, True):
        places = [i for i, r in enumerate(regularisers) if isinstance(r, BayesianRidge | ARD) == by_evidence]
        own = others_of(held, apart.free, apart.others)
        problem = problem_of(apart.rest, counted - apart.rank * by_evidence, own)
        solutions |= zip(places, _solved(problem, [regularisers[i] for i in places]), strict=True)
    return [_joined(summary, apart, solutions[i]) for i in range(len(regularisers))]


def _solved_gram_apart(
    summary: Gram, regulariser: Regulariser, counted: float, free: npt.NDArray[np.intp]
) -> LinearSolution:
    """Ridge by a Cholesky factor with its penalties, the others from the triangle of the guarded factor."""
    problem = problem_of(summary, counted)
    undetermined = _undetermined(summary, free)
    if isinstance(regulariser, Ridge):
        alphas = np.full(summary.n_columns, regulariser.alpha)
        alphas[free] = 0.0
        assert isinstance(problem.live, Gram)
        answer = ridge_of_gram(problem.live, alphas[problem.alive]) if problem.live.n_columns else NOTHING
        return replace(_solution(problem, regulariser, answer, alphas), undetermined=undetermined)
    n = problem.live.n_columns
    triangle = np.zeros((n + 1, n + 1), order="F")
    triangle[:n, :n], triangle[:n, n], triangle[n, n] = problem.factor.R, problem.factor.z, np.sqrt(problem.outside)
    place = np.cumsum(problem.alive) - 1
    live = RFactor(triangle, max(summary.rows, n + 1))
    (one,) = _solved_apart(live, [regulariser], counted, place[free[problem.alive[free]]])
    coefficients = problem.spread(one.coefficients, 0.0)
    penalties = None if one.penalties is None else locked(problem.spread(one.penalties, 0.0))
    return replace(
        one, coefficients=locked(coefficients), residual_norm2=summary.residual_norm2(coefficients),
        method=summary.kind, penalties=penalties, undetermined=undetermined,
    )  # fmt: skip


def _joined(summary: Summary, apart: Apart, part: LinearSolution) -> LinearSolution:
    coefficients = apart.joined(part.coefficients[np.newaxis])[0]
    hyperparameters = dict(part.hyperparameters)
    if "effective_parameters" in hyperparameters:
        hyperparameters["effective_parameters"] += apart.rank
    return replace(
        part,
        coefficients=locked(coefficients),
        rank=part.rank + apart.rank,
        residual_norm2=summary.residual_norm2(coefficients),
        nonzeros=int(np.count_nonzero(coefficients)),
        hyperparameters=hyperparameters,
        penalties=None if part.penalties is None else locked(apart.spread(part.penalties, 0.0)),
        undetermined=apart.undetermined,
    )


def _ridges_together(problem: Problem, regularisers: Sequence[Regulariser]) -> dict[int, Answer]:
    """Answers of the ridges among ``regularisers``, by place, where one SVD for all of them is cheaper."""
    alphas = {i: r.alpha for i, r in enumerate(regularisers) if isinstance(r, Ridge)}
    n = problem.live.n_columns
    least = next(count for columns, count in _SVD_PAYS if n < columns)
    decomposed = any(isinstance(r, TruncatedSVD | BayesianRidge) and not _normalised(r) for r in regularisers)
    # A Gram may be safe with a penalty and unsafe without: each alpha has a Cholesky factor of its own.
    if n == 0 or isinstance(problem.live, Gram) or len(alphas) < (2 if decomposed else least):
        return {}
    grid = np.array(list(alphas.values()))
    coefficients = ridge_solutions(problem.factor, problem.svd, grid)
    conditions = ridge_conditions(problem.factor, problem.svd[1] ** 2, grid)
    return {i: Answer(c, n, float(k)) for i, c, k in zip(alphas, coefficients, conditions, strict=True)}


def _solution(
    problem: Problem, regulariser: Regulariser, result: Answer | Evidence, alphas: Vector | None = None
) -> LinearSolution:
    answer, summary = (result.answer if isinstance(result, Evidence) else result), problem.summary
    coefficients = problem.spread(answer.coefficients, 0.0)
    penalties: Vector | None = None
    hyperparameters: dict[str, float] = {}
    match regulariser:
        case NoRegularisation() | TruncatedSVD():
            hyperparameters = {"tolerance": _tolerance(problem, regulariser)}
        case Ridge(alpha=alpha):
            penalties = np.full(summary.n_columns, alpha) if alphas is None else alphas
    if isinstance(result, Evidence):
        hyperparameters = result.hyperparameters()
        # a column that no row speaks of keeps its prior, where one alpha for all columns says what that is
        prior = np.inf if result.alpha is None or _normalised(regulariser) else result.alpha
        penalties = problem.spread(result.penalties, prior)
    solution = LinearSolution(
        coefficients=locked(coefficients),
        rank=answer.rank if isinstance(regulariser, NoRegularisation | TruncatedSVD) else problem.rank,
        condition=answer.condition,
        residual_norm2=summary.residual_norm2(coefficients),
        nonzeros=int(np.count_nonzero(coefficients)),
        gradient_norm=_gradient_norm(summary, regulariser, coefficients, penalties),
        kkt_gap=answer.kkt_gap,
        method=summary.kind,
        notes=answer.notes,
        hyperparameters=hyperparameters,
        penalties=None if penalties is None else locked(penalties),
    )
    return replace(solution, notes=solution.notes + _notes(solution, regulariser, problem.dead))


def _answer(problem: Problem, regulariser: Regulariser) -> Answer | Evidence:
    if problem.live.n_columns == 0 and not isinstance(regulariser, BayesianRidge | ARD):
        return replace(NOTHING, kkt_gap=0.0 if isinstance(regulariser, _Penalised) else None)
    if isinstance(regulariser, Ridge) and isinstance(problem.live, Gram):
        return ridge_of_gram(problem.live, regulariser.alpha)
    match regulariser:
        case NoRegularisation():
            return least_squares(problem.factor, _tolerance(problem, regulariser))
        case TruncatedSVD(tolerance=tolerance):
            return truncated_svd(problem.factor, tolerance, problem.svd)
        case Ridge(alpha=alpha):
            return ridge(problem.factor, alpha)
        case Lasso() | ElasticNet() | AdaptiveLasso():
            return _penalised(problem, regulariser)
        case BayesianRidge():
            return bayesian_ridge(problem, regulariser)
        case ARD():
            return automatic_relevance(problem, regulariser)
    raise TypeError(f"expected a regulariser, found {type(regulariser).__name__}")


def _tolerance(problem: Problem, regulariser: NoRegularisation | TruncatedSVD) -> float:
    if regulariser.tolerance is not None:
        return regulariser.tolerance
    return max(problem.live.rows, problem.live.n_columns) * float(np.finfo(np.float64).eps)


def _penalised(problem: Problem, regulariser: _Penalised) -> Answer:
    """Penalties on |c_j|, in columns of length 1 where ``normalize`` says so."""
    counted, factor = problem.counted(), problem.factor
    if not regulariser.normalize:
        return _penalty_solver(regulariser, counted)(factor)
    scaled = Factor(np.asfortranarray(factor.R / problem.lengths), factor.z)
    answer = _penalty_solver(regulariser, counted)(scaled)
    return replace(answer, coefficients=answer.coefficients / problem.lengths)


def _penalty_solver(regulariser: _Penalised, counted: float) -> Callable[[Factor], Answer]:
    mu = regulariser.lam * counted
    match regulariser:
        case Lasso():
            return lambda factor: lasso(factor, mu)
        case ElasticNet(l1_ratio=ratio):
            return lambda factor: elastic_net(factor, mu * ratio, mu * (1.0 - ratio))
        case AdaptiveLasso(alpha=alpha, gamma=gamma):
            return lambda factor: adaptive_lasso(factor, mu, alpha, gamma)


def _normalised(regulariser: Regulariser) -> bool:
    return isinstance(regulariser, _Penalised | BayesianRidge) and regulariser.normalize


def _gradient_norm(summary: Summary, regulariser: Regulariser, c: Vector, penalties: Vector | None) -> float | None:
    if not isinstance(regulariser, NoRegularisation | Ridge | BayesianRidge | ARD):
        return None
    slope, start = summary.gradient(c), summary.gradient(np.zeros_like(c))
    if penalties is not None:
        kept = np.isfinite(penalties)
        slope = np.where(kept, slope - np.where(kept, penalties, 0.0) * c, 0.0)
    steepness, at_zero = float(np.linalg.norm(slope)), float(np.linalg.norm(start))
    return steepness / at_zero if at_zero > 0.0 else steepness


def _notes(solution: LinearSolution, regulariser: Regulariser, zeros: int) -> tuple[str, ...]:
    notes = []
    n = len(solution.coefficients)
    if zeros:
        notes.append(
            f"{zeros} of {n} columns are zero in every row, or less than the rounding of the largest: their "
            "coefficients are 0"
        )
    if isinstance(regulariser, NoRegularisation) and solution.rank < n - zeros:
        dependent = n - zeros - solution.rank
        notes.append(
            f"{dependent} of {n} columns depend on others, to a relative tolerance of "
            f"{solution.hyperparameters['tolerance']:.1e}: the shortest solution was taken"
        )
    if isinstance(regulariser, TruncatedSVD) and solution.rank < n - zeros:
        notes.append(
            f"{solution.rank} of {n - zeros} singular values exceed {regulariser.tolerance:.1e} of the largest; the "
            "others count as zero"
        )
    if isinstance(regulariser, Ridge | BayesianRidge | ARD) and (solution.gradient_norm or 0.0) > GRADIENT_LIMIT:
        notes.append(f"relative gradient {solution.gradient_norm:.1e} exceeds {GRADIENT_LIMIT:.0e}")
    return tuple(notes)
