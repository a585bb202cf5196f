"""Types of clusters that a model meets, against those that it was fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..frames.element_set import ElementSet
from ..frames.type_names import cluster_name, split_symbols
from ..model.without_data import ways_of_sum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..model.parameters import Parameters
    from .missing_in_frames import MissingType


@dataclass(frozen=True)
class TypeCoverage:
    """How often a type of cluster was fitted on, against how often it is met now.

    Attributes
    ----------
    name : str
        Of the type.
    block : str
        The block that it belongs to.
    fitted : tuple of int, or None
        Frames with such clusters, and the clusters in them, that it was fitted on; ``None`` where that is not known.
    met : tuple of int
        The same of the frames at hand.
    without_data : str
        ``"mixed"`` or ``"zero"`` as the model says; ``"missing"`` where it has no coefficients and says nothing; else
        empty.
    """

    name: str
    block: str
    fitted: tuple[int, int] | None
    met: tuple[int, int]
    without_data: str = ""

    @property
    def remark(self) -> str:
        """What is wrong with using the type here; empty where nothing is."""
        if self.without_data == "missing":
            return "no coefficients"
        if self.without_data:
            return "no data: mixed from lower blocks" if self.without_data == "mixed" else "left out: zero"
        return "none fitted" if self.fitted == (0, 0) else ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "remark": self.remark}


def type_coverage(
    parts: Sequence[Parameters], met: Mapping[str, tuple[int, int]], missing: Sequence[MissingType] = ()
) -> list[TypeCoverage]:
    """For each type of cluster that frames contain, how often a sum of models was fitted on it and meets it.

    Parameters
    ----------
    parts : sequence of Parameters
        The models.
    met : Mapping from str to tuple of int
        By type, in how many frames it occurs and how often.
    missing : sequence of MissingType
        Those that no model has.

    Returns
    -------
    list of TypeCoverage
        Pairs first, then by name; those that no frame contains are left out.
    """
    ways = ways_of_sum([({t.elements for t in p.basis.types}, p.without_data) for p in parts])
    fitted: dict[str, tuple[int, int]] = {}
    for part in parts:
        fitted |= part.fitted_on
    rows = [(name, number, ways.get(name, "")) for name, number in met.items()]
    rows += [(m.name, (m.frames, m.clusters), "missing") for m in missing]
    listed = [
        TypeCoverage(name, ElementSet.of(split_symbols(name)), fitted.get(name), number, way)
        for name, number, way in rows
    ]
    return sorted(listed, key=lambda row: (len(split_symbols(row.name)), cluster_name(split_symbols(row.name))))
