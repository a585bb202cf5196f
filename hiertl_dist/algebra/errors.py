"""What can go wrong in a solve that is not the caller's mistake; both subclass builtins."""

from __future__ import annotations

from hiertl_dist.errors import HiertlError


class ConvergenceError(HiertlError, RuntimeError):
    """An iteration stopped before its answer met the promised accuracy.

    Parameters
    ----------
    message : str
        What was expected and what was found.
    gap : float
        The largest violation of the optimality conditions that was left, relative to the penalty.
    """

    def __init__(self, message: str, gap: float) -> None:
        super().__init__(message)
        self.gap = gap

    def __reduce__(self) -> tuple[type[ConvergenceError], tuple[str, float]]:
        return type(self), (str(self), self.gap)


class UnsafeGram(HiertlError, ArithmeticError):  # noqa: N818 - named for the state it reports, like ZeroDivision
    """Normal equations can't be trusted at this conditioning.

    Parameters
    ----------
    message : str
        What was expected and what was found.
    condition : float
        The estimated condition number of the (regularised, column-equilibrated) design matrix.
    """

    def __init__(self, message: str, condition: float) -> None:
        super().__init__(message)
        self.condition = condition

    def __reduce__(self) -> tuple[type[UnsafeGram], tuple[str, float]]:
        # Workers send exceptions to one another; the default would call __init__ without `condition`.
        return type(self), (str(self), self.condition)


SOLVER_ERRORS = (ConvergenceError, UnsafeGram)
"""What a model of those that are tried may meet; another may be fitted all the same."""
