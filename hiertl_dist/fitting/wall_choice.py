"""The wall of a model where settings do not name one: that of the frozen models, else of the contacts of the frames."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..evaluation.contacts import contacts_of, scan_frames
from ..frames.frame_sequence import sequence_of
from ..frames.type_names import cluster_name
from ..model.blocks import blocks_of
from ..model.parameters import Penalty
from ..model.walls import AUTO, BARRIER, GAP, HOTTEST, contact_wall, explicit_wall
from ..units import EV

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ..evaluation.frame_rows import InnerPolicy
    from ..executors.base import Executor
    from ..frames.element_set import ElementSet
    from ..frames.frame import Frame
    from ..model.basis import Basis
    from ..model.parameters import Parameters
    from .settings import FitSettings, HierarchyOptions


def chosen_wall(
    frames: Sequence[Frame], basis: Basis, policies: Collection[InnerPolicy], executor: Executor | None
) -> tuple[Penalty, str]:
    """The wall of a model that is fitted on some frames, and what is to be said of it.

    Of all frames and the whole basis, whichever blocks are fitted: those that are fitted one by one have the same wall.

    Parameters
    ----------
    frames : sequence of Frame
        All that there are; those without a label are passed over.
    basis : Basis
        Of all blocks.
    policies : collection of str
        What the fits do with pairs inside an inner cutoff; unless one of them fits such frames these don't count.
    executor : Executor or None
        Who looks at the frames; None: this process.

    Returns
    -------
    wall : Penalty
        As of :func:`~hiertl_dist.model.walls.contact_wall`, or ChIMES's default where that finds no room.
    note : str
        Which it is, and why.
    """
    names = tuple(b.name for b in blocks_of(basis))
    frames = sequence_of(frames)
    used = frames.take(np.flatnonzero(frames.facts.n_rows > 0))
    scans = scan_frames(used, basis, names, executor=executor)
    if scans.inside.any() and not {"lsq", "damp"} & set(policies):
        scans = scan_frames(used.take(np.flatnonzero(~scans.inside)), basis, names, executor=executor)
    pairs = {p.name: p for p in basis.pairs}
    contacts: dict[tuple[str, ...], float] = {}
    for contact in contacts_of(scans, basis, names):
        if np.isfinite(contact.distance):
            elements = pairs[contact.pair].elements
            contacts[elements] = min(contact.distance, contacts.get(elements, np.inf))
    inner = {p.elements: p.rmin for p in basis.pairs}
    wall = contact_wall(contacts, inner)
    if wall is None:
        wall = Penalty()
        near = min(contacts, key=lambda p: contacts[p] - inner[p], default=None)
        why = "no contact of the frames is known" if near is None else (
            f"{cluster_name(near)} come as near as {contacts[near]:.3f} Å and have rmin {inner[near]:g}, which leaves "
            "no room for one; a smaller rmin does"
        )  # fmt: skip
        return wall, f"wall: ChIMES's default, {_shown(wall)}, which may not keep atoms apart when hot: {why}"
    return wall, (
        f"wall: {_shown(wall)}, from the contacts of the frames: it begins {GAP:g} Å below the closest one or deeper, "
        f"and so acts on none, and rises to {BARRIER / EV:.1f} eV, which keeps atoms apart at {HOTTEST:g} K; "
        "penalty in [fit] says another"
    )


def _shown(wall: Penalty) -> str:
    return f"{wall.scale:g} kcal/mol/Å³ within {wall.distance:g} Å of rmin"


def with_wall(
    options: HierarchyOptions, frames: Sequence[Frame], basis: Basis, wanted: Sequence[ElementSet],
    frozen: Sequence[Parameters], executor: Executor | None, tell: Callable[[str], None],
) -> HierarchyOptions:  # fmt: skip
    """Options whose settings all say the wall of the model, which has one, where that can be known.

    Also those of blocks that stand on no frozen model, and of blocks beside one whose settings name a wall: else their
    files would have ChIMES's default, and the sum of all could not be made.

    Parameters
    ----------
    options : HierarchyOptions
        Normal.
    frames : sequence of Frame
        All that there are.
    basis : Basis
        Of all blocks.
    wanted : sequence of ElementSet
        Blocks that are fitted.
    frozen : sequence of Parameters
        Models that bring their own wall.
    executor : Executor or None
        Who looks at the frames.
    tell : callable
        Is told a wall that no settings named, and frozen models that have another than is named.

    Returns
    -------
    HierarchyOptions
        Without ``"auto"``: the wall that a block's settings name, that of the frozen models, or a chosen one.
    """
    every = (options.settings, *options.block_settings.values())
    settings = [options.of(b) for b in wanted]
    wall = settled_wall(settings, frozen, lambda p: chosen_wall(frames, basis, p, executor), tell)
    if wall is None:
        return options
    general, *own = (s if isinstance(s.penalty, Penalty) else replace(s, penalty=wall) for s in every)
    return replace(options, settings=general, block_settings=dict(zip(options.block_settings, own, strict=True)))


def settled_wall(
    settings: Sequence[FitSettings], frozen: Sequence[Parameters],
    choose: Callable[[Collection[InnerPolicy]], tuple[Penalty, str]], tell: Callable[[str], None],
) -> Penalty | None:  # fmt: skip
    """The one wall of a model that is fitted in several steps.

    Parameters
    ----------
    settings : sequence of FitSettings
        Of each step.
    frozen : sequence of Parameters
        Models that bring their own wall.
    choose : callable
        Gives wall and note for the policies of the steps, where contacts are to choose it: :func:`chosen_wall`.
    tell : callable
        Is told a wall that no settings named, and frozen models that have another than is named.

    Returns
    -------
    Penalty or None
        None: ChIMES's default, or frozen models disagree, which is refused elsewhere.
    """
    auto = any(s.penalty == AUTO for s in settings)
    wall = next((w for s in settings if (w := explicit_wall(s.penalty)) is not None), None)
    if wall is not None:
        if auto:
            tell(f'penalty = "auto": the wall that another block is given ({wall}), for a model has one')
        elif any(explicit_wall(s.penalty) is None for s in settings):
            tell(f"wall: that which settings of a block name ({wall}), also of blocks without one, for a model has one")
        if (other := next((f for f in frozen if f.penalty != wall), None)) is not None:
            tell(
                f"WARNING: penalty: {other.source} has {other.penalty}, the settings name {wall}, which the model has; "
                "files of single blocks keep their own, so that merge and library export want --penalty"
            )
    elif len(walls := {f.penalty for f in frozen}) == 1:  # also of blocks that stand on none of them
        wall = next(iter(walls))
        if auto or wall != Penalty():
            tell(f"wall: that of the frozen models ({wall}), for a model has one; penalty in [fit] says another")
    elif auto and not frozen:
        wall, note = choose([s.policy for s in settings])
        tell(note)
    return wall
