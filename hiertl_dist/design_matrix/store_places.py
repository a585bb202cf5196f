"""Where the stores of an input file are: below the folder that it names.

One for each basis (or for each settings of a pass), named by a digest, so that a change of the input makes a store
beside the old one and needs no folder removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import StoreError
from ..files.paths import ASIDE
from .store import DesignStore
from .store_layout import is_store_folder, stores_in

if TYPE_CHECKING:
    from ..files.object_path import Place
    from ..model.basis import Basis

DIGITS = 12
"""Of a digest, in the name of a folder."""


def store_folder(path: Place, basis: Basis, policy: str, *, check: bool = True) -> Place:
    """Where below ``path`` the design store of a basis and policy is, or will be.

    A folder named by the first digits of the basis' digest, and by the policy unless that is ``refuse``. Where ``path``
    itself is a store, which it is if it was named in Python or made before stores had such names, it is that one.

    Raises
    ------
    StoreError
        ``path`` itself is a store that was made with others, and ``check``: what differs is named.
    """
    if is_store_folder(path):
        if check:
            DesignStore.open(path).require_made_with(basis.to_dict(), basis.digest, policy)
        return path
    return path / (basis.digest[:DIGITS] + ("" if policy == "refuse" else f"-{policy}"))


def other_stores(path: Place, basis: Basis, policy: str) -> list[str]:
    """What to say of the design stores of other bases and policies that are below ``path``: name, size, what differs.

    Only where the one of this basis is not there yet: that is when somebody may wonder why rows are computed anew.
    """
    new_store = store_folder(path, basis, policy, check=False)
    if new_store.exists():
        return []
    notes = []
    for folder in (s for s in stores_in(path) if ASIDE not in s.name):
        try:
            store = DesignStore.open(folder)
        except StoreError as error:  # which is none of this run's
            notes.append(f"rows go to the new store {new_store}; another one can't be opened: {error}")
            continue
        lines = store.differs_from(basis.to_dict(), basis.digest, policy).strip().splitlines()
        differs = "; ".join(line.strip() for line in lines[:3]) + (" …" if len(lines) > 3 else "")
        size = store.nbytes() / 2**20
        notes.append(f"rows go to the new store {new_store}; {folder} ({size:.0f} MiB) is of another basis: {differs}")
    return notes
