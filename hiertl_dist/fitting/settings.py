"""``FitSettings``: how a block is fitted; ``HierarchyOptions``: how all blocks of a hierarchy are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ..algebra import regulariser_faults, regulariser_from_dict
from ..errors import InputError
from ..frames.element_set import ElementSet
from ..frames.frame_sequence import sequence_of
from ..frames.pooling import check_apart
from ..frames.rows import OBJECTIVES
from ..model.blocks import sets_used
from ..model.one_body import MISSING_ENERGIES
from ..model.parameters import Penalty
from ..model.priors import AUTO as AUTO_MEAN
from ..model.priors import MIXED, Prior
from ..model.walls import AUTO as AUTO_WALL
from ..text.display import Shown
from ..text.problems import joined
from ..text.table_keys import REGULARISERS, elsewhere
from .evidence_weights import require_prior
from .weights import AUTO, EVIDENCE, checked_choice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..evaluation.frame_rows import InnerPolicy
    from ..files.object_path import Place
    from ..frames.frame import Frame
    from ..frames.row_weights import RowWeights
    from ..model.one_body import MissingEnergies
    from .checkpoints import Checkpoints

A_TABLE: Final = """expected a table such as {"kind": "ridge", "alpha": 0.1}"""

MISSING: Final = ("refuse", "zero", "mixed")
METHODS: Final = ("rfactor", "gram", "auto")


@dataclass(frozen=True, repr=False)
class FitSettings(Shown):
    """How a block is fitted.

    Attributes
    ----------
    regulariser : Mapping from str to object
        ``{"kind": "ridge", "alpha": 1e-4}``; kinds are ``none`` (default), ``svd``, ``ridge``, ``lasso``,
        ``elastic_net``, ``adaptive_lasso``, ``bayesian_ridge`` and ``ard``. See
        :func:`~hiertl_dist.algebra.regulariser_from_dict` and section 7 of docs/theory.md.
    weights : Mapping from str to float, "auto" or "evidence"
        ``"auto"``, see :func:`~hiertl_dist.fitting.weights.auto_weights`; ``"evidence"``, from the noise of each kind
        of row that the evidence of a ridge or Bayesian ridge says, see
        :func:`~hiertl_dist.fitting.evidence_weights.evidence_weights`; or by kind of row, by source, or
        ``source/kind``; they multiply rows, so the objective holds their squares. ``{}``: every row alike. See section
        8 of docs/theory.md.
    objective : {"lsq", "plain"}
        How often rows count: as in chimes_lsq, or once each.
    method : {"rfactor", "gram", "auto"}
        ``rfactor`` (TSQR), ``gram`` (normal equations, refused where unsafe) or ``auto``: Gram, and where that is
        unsafe RFactor, which reads the rows (or, when streaming, makes them) once more. See section 6 of
        docs/theory.md.
    policy : {"refuse", "skip_frame", "lsq", "damp"}
        For pairs inside an inner cutoff, see :data:`~hiertl_dist.evaluation.frame_rows.InnerPolicy`.
    include_fewer : bool
        Also use frames that have only some of the block's elements.
    penalty : Penalty, "auto" or None
        The wall of the fitted model; ``None`` (default): that of the frozen models, else ChIMES's default. ``"auto"``:
        that of the frozen models, else one that begins just below the closest contacts of the frames and holds at
        3000 K, see :func:`~hiertl_dist.model.walls.contact_wall`.
    missing_energies : {"refuse", "fit", "zero"}
        Where energies are fitted upon frozen models that lack the energy of a free atom: ``"refuse"``, ``"fit"`` it
        with the block, or ``"zero"`` is meant.
    apart : Sequence of str
        Patterns of groups of frames whose rows, and so residuals, are kept apart. Of others, those that no weight names
        are pooled where there are more than a few, see :mod:`~hiertl_dist.frames.pooling`.
    row_weights : RowWeights or None
        Weights of single rows, which follow from their frames (``[weights]``); those of ``weights`` multiply them.
        ``"auto"`` and ``"evidence"`` are made of rows that have them, so that what all rows of a kind share cancels.
    prior : Prior, str or Mapping
        ``"zero"``, ``"mixed"``, ``"auto"``, or a table, see :meth:`~hiertl_dist.model.priors.Prior.of`: what the
        regulariser draws the block's coefficients to. Blocks of single elements have nothing below them to lean on.

    Raises
    ------
    InputError
        A value that is none of these, named with what was expected.
    """

    regulariser: Mapping[str, Any] = field(default_factory=lambda: {"kind": "none"})
    weights: Mapping[str, float] | str = AUTO
    objective: str = "lsq"
    method: str = "rfactor"
    policy: InnerPolicy = "refuse"
    include_fewer: bool = False
    penalty: Penalty | str | None = None
    missing_energies: MissingEnergies = "refuse"
    apart: Sequence[str] = ()
    prior: Prior = field(default_factory=Prior)
    row_weights: RowWeights | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "prior", Prior.of(self.prior))
        checked_choice(self.weights)
        check_apart(self.apart)
        if self.penalty is not None and self.penalty != AUTO_WALL and not isinstance(self.penalty, Penalty):
            raise InputError(f'penalty: expected "{AUTO_WALL}" or a scale and a distance, found {self.penalty!r}')
        if self.missing_energies not in MISSING_ENERGIES:
            raise InputError(f"missing_energies: expected one of {MISSING_ENERGIES}, found {self.missing_energies!r}")
        if self.method not in METHODS:
            raise InputError(f"method: expected one of {METHODS}, found {self.method!r}")
        if self.objective not in OBJECTIVES:
            raise InputError(f"objective: expected one of {sorted(OBJECTIVES)}, found {self.objective!r}")
        if not isinstance(self.regulariser, Mapping):
            raise InputError(f"regulariser: {A_TABLE}, found {self.regulariser!r}")
        if faults := regulariser_faults(dict(self.regulariser)):
            known = elsewhere(key for key in self.regulariser if key not in REGULARISERS)
            places = "".join(f"; {key!r} is a key of {place}" for key, place in known.items())
            texts = [f"regulariser: {fault}{places if 'expected keys' in fault else ''}" for fault in faults]
            raise InputError(texts[0]) if len(texts) == 1 else joined(texts, InputError)
        if self.weights == EVIDENCE:
            require_prior(regulariser_from_dict(dict(self.regulariser)))
            if self.method != "rfactor":
                raise InputError(
                    f'weights: "{EVIDENCE}" needs triangular factors, method "rfactor"; found method {self.method!r}'
                )


@dataclass(frozen=True, eq=False, repr=False)
class HierarchyOptions(Shown):
    """What applies to a whole climb.

    Attributes
    ----------
    settings : FitSettings
        Of every block that has none of its own.
    block_settings : Mapping from str to FitSettings
        Of single blocks.
    partial : Mapping from str to Sequence of str
        By block, lower blocks that are left free when it is fitted.
    only : Sequence of str or None
        Blocks to fit; default: all that are not frozen.
    store : str, Path or ObjectPath or None
        Folder of the design store; ``None`` streams.
    memory : int or None
        Bytes that all workers may take together; default: what is available.
    missing : {"refuse", "zero", "mixed"} or None
        What becomes of blocks of several elements that no frame informs: ``"refuse"`` leaves them out of the model,
        whose evaluation then refuses frames that have them; ``"zero"`` means that they are zero; ``"mixed"`` makes
        their coefficients of those of lower blocks, see :mod:`hiertl_dist.model.mixing`. ``None``: mixed unless the
        general prior has the mean zero, where it is refuse. With ``only``, nothing is made.
    probes : Sequence of Frame or None
        Structures on which priors hold predictions; ``None``: made of the frames of single elements.
    checkpoint : str or Path or None
        Folder of checkpoints, by which a climb that is cut goes on (:func:`~hiertl_dist.reduce_rows`): blocks whose
        rows are reduced are not reduced again. What is there of it is deleted when all is done.
    """

    settings: FitSettings = field(default_factory=FitSettings)
    block_settings: Mapping[str, FitSettings] = field(default_factory=dict)
    partial: Mapping[str, Sequence[str]] = field(default_factory=dict)
    only: Sequence[str] | None = None
    store: str | Place | None = None
    memory: int | None = None
    missing: str | None = None
    probes: Sequence[Frame] | None = None
    checkpoint: Checkpoints | str | Place | None = None

    def __post_init__(self) -> None:
        if self.missing is not None and self.missing not in MISSING:
            raise InputError(f"missing: expected one of {MISSING}, found {self.missing!r}")
        if self.only is not None and self.missing not in (None, "refuse"):
            raise InputError(
                f"missing: with only, no block is made, and {self.missing!r} would be ignored; leave one of them out"
            )
        settings = (self.settings, *self.block_settings.values())
        if self.probes is not None and not any(s.prior.probes for s in settings):
            raise InputError(
                'probes: no prior holds predictions on them; say prior = {mean = "mixed", probes = '
                f"{len(self.probes)}}}"
            )

    def normal(self) -> HierarchyOptions:
        """The same with every block's name in sorted form. Raises BasisError where one is no name of elements.

        Returns
        -------
        HierarchyOptions
            The same, each name with its elements in order.
        """
        return replace(
            self,
            block_settings={ElementSet.parse(b): s for b, s in self.block_settings.items()},
            partial={ElementSet.parse(b): _parsed(free) for b, free in self.partial.items()},
            only=None if self.only is None else _parsed(self.only),
        )

    @property
    def way_of_missing(self) -> str:
        """What becomes of blocks without frames: ``"refuse"``, ``"zero"`` or ``"mixed"``."""
        if self.only is not None:
            return "refuse"
        return self.missing or (MIXED if self.settings.prior.mean in (MIXED, AUTO_MEAN) else "refuse")

    def of(self, block: str) -> FitSettings:
        """The settings of a block.

        Parameters
        ----------
        block : str
            Its name, elements sorted.

        Returns
        -------
        FitSettings
            Those of the block, if it has any of its own.
        """
        return self.block_settings.get(block, self.settings)

    def together(self, block: str) -> tuple[ElementSet, ...]:
        """The block and those that are left free when it is fitted.

        Parameters
        ----------
        block : str
            Its name, elements sorted.

        Returns
        -------
        tuple of ElementSet
            The block first.
        """
        return _parsed((block, *self.partial.get(block, ())))

    def sets_of(self, block: str, frames: Iterable[Frame]) -> frozenset[ElementSet]:
        """The element sets whose frames the fit of a block uses.

        Parameters
        ----------
        block : str
            Its name, elements sorted.
        frames : Iterable of Frame
            All that there are.

        Returns
        -------
        frozenset of ElementSet
            Of those that there are among the frames.
        """
        return sets_used(sequence_of(frames).facts.element_sets(), self.together(block), self.of(block).include_fewer)


def _parsed(names: Iterable[str]) -> tuple[ElementSet, ...]:
    return tuple(map(ElementSet.parse, names))
