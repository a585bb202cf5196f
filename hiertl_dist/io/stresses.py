"""Stresses and virials as files and ASE state them, in the package's order, sign and unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ..units import EV

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

ASYMMETRY: Final = 1e-4
"""Entries of a stress across the diagonal may differ by this fraction of its largest entry."""
DISAGREEMENT: Final = 1e-3
"""A stress and a virial of one frame may differ by this fraction of the largest entry."""

VOIGT: Final = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""ASE's order of six stress numbers; the package's is xx yy zz xy xz yz."""


def six_of(values: NDArray[np.float64], key: str, error: Callable[[str], Exception]) -> NDArray[np.float64]:
    """Six numbers, xx yy zz xy xz yz, from nine, or from six in ASE's order.

    Parameters
    ----------
    values : ndarray
        The numbers, of any shape.
    key : str
        What holds them, for the message.
    error : callable
        Makes the exception to raise of its text, where there are other numbers of them, or the tensor is not symmetric.

    Returns
    -------
    ndarray of shape (6,)
        In the units of ``values``.
    """
    values = values.ravel()
    matrix = np.zeros((3, 3))
    if len(values) == 6:
        for (a, b), value in zip(VOIGT, values, strict=True):
            matrix[a, b] = matrix[b, a] = value
    elif len(values) == 9:
        matrix = values.reshape(3, 3)
    else:
        raise error(f"expected nine numbers, or six, in {key}, found {len(values)}")
    for a, b in ((0, 1), (0, 2), (1, 2)):
        if abs(matrix[a, b] - matrix[b, a]) > ASYMMETRY * np.abs(matrix).max():
            name = "xyz"[a] + "xyz"[b]
            raise error(f"{key} is not symmetric: {name} is {matrix[a, b]:.10g}, {name[::-1]} is {matrix[b, a]:.10g}")
    matrix = 0.5 * (matrix + matrix.T)
    return np.array([matrix[0, 0], matrix[1, 1], matrix[2, 2], matrix[0, 1], matrix[0, 2], matrix[1, 2]])


def stress_of(
    tensors: Mapping[str, NDArray[np.float64]], cell: NDArray[np.float64], error: Callable[[str], Exception]
) -> NDArray[np.float64] | None:
    """The stress in ChIMES' order and sign, from a stress, a virial, or both.

    Parameters
    ----------
    tensors : mapping from str to ndarray of shape (6,)
        ``"stress"`` (eV/Å³, ASE's sign) and ``"virial"`` (eV), those that there are, as :func:`six_of` gives them.
    cell : ndarray of shape (3, 3)
        The lattice vectors, Å, as rows.
    error : callable
        Makes the exception to raise of its text, where both disagree or the cell has no volume.

    Returns
    -------
    ndarray of shape (6,) or None
        xx yy zz xy xz yz, kcal/mol/Å³; ``None`` where there is none.
    """
    stresses = {}
    if "stress" in tensors:
        stresses["stress"] = EV * -tensors["stress"]
    if "virial" in tensors:
        volume = abs(float(np.linalg.det(cell)))
        if volume == 0.0:
            raise error("singular cell: its volume is zero")
        stresses["virial"] = EV * (tensors["virial"] / volume)
    if len(stresses) == 2:
        difference = np.abs(stresses["stress"] - stresses["virial"])
        k = int(np.argmax(difference))
        if difference[k] > DISAGREEMENT * np.abs(stresses["stress"]).max():
            raise error(
                f"stress and virial disagree: component {k} of xx yy zz xy xz yz is {stresses['stress'][k]:.8g} "
                f"kcal/mol/Å³ by the stress, {stresses['virial'][k]:.8g} by the virial; name the key to use"
            )
    return next(iter(stresses.values()), None)
