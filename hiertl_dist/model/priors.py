"""``Prior``: what is believed of the coefficients of a block before its rows are seen, and its mean from lower blocks.

A cross block that a penalty pulls to zero says anything where its frames don't reach. One that is pulled to the mean of
what the blocks of its elements say in the same place is neutral there: elements that are alike behave alike. The
formulas are in section 4 of docs/theory.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError
from ..frames.type_names import cluster_name, split_symbols
from ..text.display import Shown
from ..text.problems import Problems, require_known
from ..text.table_keys import PRIOR
from ..text.words import shown
from .parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from .basis import Basis
    from .blocks import Column

ZERO: Final = "zero"
MIXED: Final = "mixed"
AUTO: Final = "auto"
MEANS: Final = (ZERO, MIXED, AUTO)
DECAYS: Final = ("none", "algebraic", "exponential")
LOWER: Final = ("function", "coefficients")
PROBES: Final = 24
"""Probe structures of ``"auto"``."""


@dataclass(frozen=True, repr=False)
class Prior(Shown):
    """A Gaussian for the coefficients of a block: its mean, and how far from it they may go.

    Attributes
    ----------
    mean : {"zero", "mixed", "auto"} or Parameters
        ``mixed``: the mean, over the atoms of a cluster, of what the blocks of the single elements say of it. ``auto``:
        that where it explains at least half of what the lower blocks leave of the forces, else zero, without probes.
        Parameters: their coefficients, zero where they lack a column; blocks of single elements have it too.
    gamma : tuple of 3 float
        Factors of the mean of two-, three- and four-body terms, 0 … 1.
    lower : {"function", "coefficients"}
        What is taken of the lower blocks where their cutoffs, orders or λ differ from those of the block: their
        functions, projected on its basis by least squares over the distances in range, or their coefficients as they
        are. Where all agree, the two are the same.
    decay : {"none", "algebraic", "exponential"}
        How the standard deviation of a coefficient falls with the sum p of its powers: (1 + p)^−strength or
        exp(−strength p), so that what the data don't say stays smooth.
    strength : float
        Of the decay, ≥ 0.
    spread : Mapping from str to float
        Factors of the standard deviation by cluster type (``"CCN"``) or number of bodies (``"3B"``), > 0.
    probes : int
        Number of probe structures on which the deviation from the mean is held to zero; 0: none.
    probe_weight : float or None
        Of the probes' rows of forces beside a weight of 1 of those of the data; ``None``: the more rows of data the
        larger, and up to 1 where it costs nothing, see
        :func:`~hiertl_dist.fitting.mean_choice.estimated_weight`. Deviations
        count by their size beside that of the forces, see :func:`~hiertl_dist.fitting.probe_rows.reduce_probes`.
    probe_force : float or None
        eV/Å, in place of a weight: by about so much forces on probes may deviate from those of the mean. The weight is
        the error of forces that generalised cross-validation expects of the fit, over this.
    probe_energy : float or None
        meV/atom, by about so much energies of probes may; ``None``: energies are not held. Measured: with one to five
        frames of liquid C/N and 10 times the weight of forces, energies are better by 5 to 20 %; with one frame of
        alloys they are twice as bad; with more frames, nothing changes.
    seed : int
        Of the choice of probes.

    Raises
    ------
    InputError
        A value out of range, named with what was expected.
    """

    mean: str | Parameters = ZERO
    gamma: tuple[float, float, float] = (1.0, 1.0, 1.0)
    lower: str = "function"
    decay: str = "none"
    strength: float = 0.0
    spread: Mapping[str, float] = field(default_factory=dict)
    probes: int = 0
    probe_weight: float | None = None
    probe_force: float | None = None
    probe_energy: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        problems = Problems()
        for key, value, known in (
            ("mean", self.mean, MEANS), ("lower", self.lower, LOWER), ("decay", self.decay, DECAYS)
        ):  # fmt: skip
            if not isinstance(value, Parameters) and value not in known:
                problems.add(f"prior.{key}: expected one of {', '.join(known)}, found {shown(value)}")
        gamma: Any = [self.gamma] * 3 if _is_number(self.gamma) else self.gamma
        if not isinstance(gamma, list | tuple) or len(gamma) != 3 or not all(map(_is_number, gamma)):
            problems.add(f"prior.gamma: expected a number, or three (two-, three-, four-body), found {shown(gamma)}")
        elif not all(0.0 <= g <= 1.0 for g in gamma):
            problems.add(f"prior.gamma: expected numbers in 0 … 1, found {shown(self.gamma)}")
        else:
            object.__setattr__(self, "gamma", tuple(float(g) for g in gamma))
        for key, least in (("strength", 0.0), ("probe_weight", 0.0)):
            number = getattr(self, key)
            if key == "probe_weight" and number is None:
                continue
            if not (_is_number(number) and least <= number < 1e6):
                problems.add(f"prior.{key}: expected a number ≥ 0, found {shown(number)}")
        for key in ("probe_force", "probe_energy"):
            strength = getattr(self, key)
            if strength is not None and not (_is_number(strength) and 0.0 < strength < 1e6):
                problems.add(f"prior.{key}: expected a number > 0, found {shown(strength)}")
            elif strength is not None and self.probes == 0:
                problems.add(f"prior.{key}: there are no probes, so it would be ignored; say probes = {PROBES}")
        if self.probe_force is not None and self.probe_weight is not None:
            problems.add("prior.probe_force: it takes the place of probe_weight; leave one of them out")
        for key in ("probes", "seed"):
            number = getattr(self, key)
            if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 10**6:
                problems.add(f"prior.{key}: expected a whole number ≥ 0, found {shown(number)}")
        if not isinstance(self.spread, Mapping):
            problems.add(f"prior.spread: expected a table of numbers by type or body, found {shown(self.spread)}")
        else:
            for name, factor in self.spread.items():
                if not (_is_number(factor) and 0.0 < factor < 1e6):
                    problems.add(f"prior.spread.{name}: expected a number > 0, found {shown(factor)}")
        problems.settle()
        if isinstance(self.mean, Parameters) and self.probes:
            raise InputError("prior.probes: they hold predictions to a mixed mean; a mean of parameters has none")
        if self.mean == ZERO and self.probes:
            raise InputError(
                'prior.probes: with the mean "zero" probes would hold the forces of a block to zero; say mean = "mixed"'
            )

    @classmethod
    def of(cls, given: Any, where: str = "prior") -> Prior:
        """A prior from its name, table, or itself.

        Parameters
        ----------
        given : Prior, str or Mapping
            ``"zero"``, ``"mixed"``, ``"auto"`` (with :data:`PROBES` probes), or a table of the attributes, of which the
            mean is ``"mixed"`` if it is not said.
        where : str
            For messages.

        Returns
        -------
        Prior
            That is meant.

        Raises
        ------
        InputError
            Another name, an unknown key, a value out of range.
        """
        if isinstance(given, Prior):
            return given
        if isinstance(given, str):
            return cls(mean=given, probes=PROBES if given == AUTO else 0)
        if not isinstance(given, Mapping):
            raise InputError(f"{where}: expected one of {', '.join(MEANS)}, or a table, found {shown(given)}")
        require_known(given, PRIOR, where)
        return cls(**{"mean": MIXED, **given})

    @property
    def is_flat(self) -> bool:
        """Whether it is that of a plain ridge: mean zero, all coefficients alike."""
        return self.mean == ZERO and (self.decay == "none" or not self.strength) and not self.spread

    def short(self) -> str | dict[str, Any]:
        """The name of the mean where that says all, else :meth:`as_dict`: what an input file would have.

        Returns
        -------
        str or dict
            :meth:`of` makes the same prior of it.
        """
        return self.mean if isinstance(self.mean, str) and self == Prior.of(self.mean) else self.as_dict()

    def of_blocks(self, blocks: Sequence[Collection[str]]) -> Prior:
        """The prior as it is for blocks of some elements.

        Parameters
        ----------
        blocks : sequence of collection of str
            The elements of each.

        Returns
        -------
        Prior
            With the mean zero and without probes where all are of single elements, which have nothing below them; as it
            is where the mean is of parameters.
        """
        if not isinstance(self.mean, Parameters) and all(len(elements) == 1 for elements in blocks):
            return Prior(decay=self.decay, strength=self.strength, spread=self.spread)
        return self

    def as_dict(self) -> dict[str, Any]:
        """What :meth:`of` makes the same prior of.

        Returns
        -------
        dict from str to object
            The attributes but for those that are as usual; the mean always, of parameters as their source and digest,
            of which :meth:`of` makes none.
        """
        usual = Prior()
        own = {key: getattr(self, key) for key in PRIOR}
        if isinstance(self.mean, Parameters):
            own["mean"] = {"source": self.mean.source, "digest": self.mean.digest}
        table = {k: v for k, v in own.items() if k == "mean" or v != getattr(usual, k)}
        return {k: list(v) if isinstance(v, tuple) else dict(v) if isinstance(v, Mapping) else v
                for k, v in table.items()}  # fmt: skip


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def prior_scale(prior: Prior, columns: Sequence[Column]) -> NDArray[np.float64]:
    """(columns,) standard deviations of coefficients in units of 1/√alpha; 1 for one-body columns.

    Raises InputError where the spread names a type that is not among the columns.
    """
    types = dict.fromkeys(c.elements for c in columns if c.powers)
    names = {cluster_name(t) for t in types} | {f"{len(t)}B" for t in types}
    spread = {n if n in names else cluster_name(split_symbols(n)): s for n, s in prior.spread.items()}
    scale = np.ones(len(columns))
    for i, column in enumerate(columns):
        if not column.powers:
            continue
        total = sum(column.powers)
        if prior.decay == "algebraic":
            scale[i] = (1.0 + total) ** -prior.strength
        elif prior.decay == "exponential":
            scale[i] = np.exp(-prior.strength * total)
        for name in (f"{len(column.elements)}B", cluster_name(column.elements)):
            scale[i] *= spread.get(name, 1.0)
    # what is smaller is zero beside the others, and would not be told from a column that holds nothing
    return np.maximum(scale, 1e-8)


def unknown_spread(prior: Prior, basis: Basis) -> list[str]:
    """Names of ``prior.spread`` that are no type or body of a basis."""
    names = {t.name for t in basis.types} | {f"{t.body}B" for t in basis.types if t.body > 1}
    return [n for n in prior.spread if n not in names and cluster_name(split_symbols(n)) not in names]
