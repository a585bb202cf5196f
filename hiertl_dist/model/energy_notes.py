"""What is said of energies of free atoms that a fit takes, tells or leaves open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from .undetermined import directions_of, trades_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..frames.rows import Group
    from .one_body import OpenEnergies

EnergyLabels = Literal["none", "weightless", "some"]
"""Whether the frames of a fit have energies, and any of these a weight above zero."""


def fitted_notes(elements: Sequence[str]) -> tuple[str, ...]:
    """What is said of energies of other blocks that a fit tells."""
    note = f"energies of free atoms of {', '.join(elements)}, which no frozen model has, are fitted here"
    return (note,) if elements else ()


def energy_labels(factors: Mapping[Group, float]) -> EnergyLabels:
    """As :data:`EnergyLabels`, from what rows of each group are multiplied by."""
    energy_factors = [factor for group, factor in factors.items() if group.kind == "energy"]
    return ("some" if any(energy_factors) else "weightless") if energy_factors else "none"


def undetermined_notes(still: OpenEnergies, where: str, labels: EnergyLabels = "some") -> tuple[str, ...]:
    """What is said of energies that a fit left open.

    ``labels`` says whether its frames have energies, and whether these have weights above zero.
    """
    alone = still.alone()
    notes = []
    if alone:
        why = {
            "none": f"no frame of {where} has an energy", "weightless": f"energies have weight 0 in the fit of {where}",
            "some": f"no frame of {where} has an energy that tells them",
        }[labels]  # fmt: skip
        notes.append(
            f"energies of free atoms of {', '.join(alone)} are left open: {why}; a larger block whose frames tell "
            "them, if one is fitted, will fit them"
        )
    if together := [e for e in still.elements if e not in alone]:
        named = ", ".join(together)
        left = still.without(alone)
        notes.append(
            f"energies of free atoms of {named} are not told apart by the compositions of {where}, in which it makes "
            f"no difference to take {trades_text(directions_of(left.elements, left.directions))}: of those that fit as "
            "well the smallest were taken, which is right for these compositions alone; [basis] energies can give the "
            f"energy of {' or '.join(together)}, and frames of other compositions would tell"
            if labels == "some"
            else f"of the energies of free atoms of {named} {where} tells no more than lower blocks did, combinations"
        )
    return tuple(notes)
