"""``AskedPrior``: a prior that leaves something for rows to choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..frames.rows import Group
    from ..model.mixing import Mean
    from ..model.priors import Prior
    from .probe_rows import ProbeRows


class AskedPrior(NamedTuple):
    """A prior of which rows choose the mean, the weight of probes, or both, with what they choose from.

    ``mean`` is that of lower blocks, where the rows choose its factors with these being 1; ``factors`` are what the
    groups' rows are multiplied by when they choose.
    """

    prior: Prior
    mean: Mean
    probes: ProbeRows | None
    factors: Mapping[Group, float]
