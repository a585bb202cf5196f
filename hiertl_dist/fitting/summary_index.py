"""``index.json`` of a summary store: settings and live batches, with a SHA-256 and a copy beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..errors import StoreError
from ..files.sealed import SEAL, copy_of, read_checked, repair_command, standing, unsealed, write_sealed
from ..text.words import shown

if TYPE_CHECKING:
    from ..files.object_path import Place

FORMAT: Final = 2
"""The newest format, which is written; those before are read."""

INDEX: Final = "index.json"
KEY: Final = "hiertl_dist_summaries"


def read_index(folder: Place) -> dict[str, Any]:
    """What the index of a store says. Raises StoreError where there is none, or it is damaged or of a newer format."""
    try:
        return checked_index(standing(folder / INDEX, has_batches, batches_of))
    except FileNotFoundError as error:
        if copy_of(folder / INDEX).exists():
            raise StoreError(
                f"{folder / INDEX}: expected what says which batches there are, found no file; {repair_command(folder)}"
            ) from error
        below = ", ".join(sorted(p.parent.name for p in folder.glob(f"*/{INDEX}")))
        instead = f"a folder of such: {below}" if below else "none"
        raise StoreError(f"{folder}: expected a summary store, found {instead}") from error


def checked_index(path: Place) -> dict[str, Any]:
    """What an index says. Raises FileNotFoundError, and StoreError where it is not as it was written."""
    way_on = repair_command(path.parent)
    index = read_checked(path, way_on)
    if KEY not in index and SEAL not in index:
        raise StoreError(f"{path.parent}: expected a summary store, found another {path.name}")
    if KEY in index and index[KEY] not in range(1, FORMAT + 1):
        raise StoreError(
            f"{path.parent}: expected summary store format {FORMAT} or one before, found {shown(index[KEY])}: a newer "
            "version of this package wrote it; use that one, or name another folder"
        )
    return unsealed(index, path, way_on)


def batches_of(path: Place) -> list[str]:
    """The batches that an index names."""
    batches: list[str] = checked_index(path)["batches"]
    return batches


def has_batches(path: Place) -> bool:
    """Whether the batches that an index names are in its folder."""
    return all((path.parent / f"{i}.json").exists() for i in batches_of(path))


def write_index(folder: Place, settings: dict[str, Any], batches: list[str]) -> None:
    """Write an index and its copy."""
    write_sealed(folder / INDEX, {KEY: FORMAT, "settings": settings, "batches": batches})
