"""Which folder is the summary store and which the design store, where both may be named.

For one version also with the keywords of before, when ``store=`` was the summary store and ``rows=`` the design store.
"""

from __future__ import annotations

import warnings

from ..errors import HiertlWarning, InputError, RenamedWarning, StoreError
from ..executors.launch import launched_first
from ..files.object_path import Place
from ..files.paths import named_place
from ..text.renaming import renaming

Folder = str | Place | None
"""Of a store, which may be on an object store."""


def named_stores(verb: str, summaries: Folder, store: Folder, rows: Folder = None) -> tuple[Folder, Folder]:
    """The folders of the summary store and of the design store that a public function was given.

    To be called by that function itself: warnings are of the line that calls it.

    Raises
    ------
    InputError
        ``rows`` beside what it is called now; one folder for both stores; a URL.
    StoreError
        One of the folders has a store of the other kind.
    """
    for name, folder in (("summaries", summaries), ("store", store), ("rows", rows)):
        if folder is not None:
            named_place(folder, name)
    if rows is not None:
        if summaries is not None and store is not None:
            raise InputError(f"{verb}: rows= is now called store=, which is given too; leave rows= out")
        moved = "" if store is None else ", and what was store= is called summaries="
        _warn(renaming(f"{verb}: rows=", f"store={moved}", gone_in="0.2"), RenamedWarning)
        summaries, store = (None if store is None else str(store)) if summaries is None else summaries, rows
    elif store is not None and summaries is None:
        _require_no_summaries(verb, named_place(store, "store"), "*/index.json")
        if not _is_design_store(named_place(store, "store")):
            _warn(
                f"{verb}: store= is now the design store, in which rows are kept, and the new folder {store} will be "
                "one; summaries are kept only with summaries=, the summary store, which was store= before"
            )
    if summaries is not None:
        require_no_design_store(verb, summaries)
    if store is not None:
        _require_no_summaries(verb, named_place(store, "store"))
    if summaries is not None and store is not None:
        _require_apart(verb, named_place(summaries, "summaries").absolute(), named_place(store, "store").absolute())
    return summaries, store


def named_summaries(verb: str, summaries: Folder, store: Folder) -> str | Place:
    """The folder of the summary store that a public function was given, ``store`` being its earlier name.

    Raises
    ------
    InputError
        None was given, or two.
    StoreError
        The folder has a design store.
    """
    if store is not None and summaries is None:
        if _is_design_store(named_place(store, "store")):
            raise StoreError(f"{verb}: store={str(store)!r} is a design store; expected a summary store as summaries=")
        _warn(renaming(f"{verb}: store=", "summaries=", gone_in="0.2"), RenamedWarning)
        summaries = store
    elif store is not None:
        raise InputError(f"{verb}: store= is now called summaries=, which is given too; leave store= out")
    elif summaries is None:
        raise InputError(f"{verb}: expected the folder of a summary store as summaries=, found none")
    require_no_design_store(verb, summaries)
    return summaries


def require_no_design_store(verb: str, folder: str | Place) -> None:
    """Raise StoreError where the folder of a summary store has a design store."""
    if _is_design_store(named_place(folder, "summaries")):
        raise StoreError(
            f"{verb}: summaries={str(folder)!r} is a design store, which is named as store=; name another folder for "
            "the summary store"
        )


def _require_no_summaries(verb: str, folder: Place, *below: str) -> None:
    """Raise StoreError where the folder of a design store is a summary store or has some, by these patterns."""
    if any(file for pattern in ("index.json", *below) for file in folder.glob(pattern)):
        raise StoreError(
            f"{verb}: store={str(folder)!r} is a summary store or has some, which is named as summaries= now; store= "
            "is the design store, in which rows are kept"
        )


def _require_apart(verb: str, summaries: Place, store: Place) -> None:
    if summaries == store:
        raise InputError(f"{verb}: summaries= and store= are the same folder, {store}; each needs its own")
    if store in list(summaries.parents):
        raise InputError(f"{verb}: summaries= lies in the folder of the design store, {store}; name one beside it")


def _is_design_store(folder: Place) -> bool:
    return (folder / "zarr.json").exists()


def _warn(text: str, category: type[HiertlWarning] = HiertlWarning) -> None:
    """Warn of the line that calls the public function, by the first of a launcher's processes."""
    if launched_first():
        warnings.warn(text, category, stacklevel=4)
