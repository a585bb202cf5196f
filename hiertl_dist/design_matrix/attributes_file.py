"""``zarr.json`` of a design store: what its rows were made with, with a SHA-256 and a copy beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from ..files.sealed import COPY, SEAL, repair_command, sealed, unsealed, write_twice
from ..files.zarr_files import META, group_text, read_attributes
from ..text.words import shown
from .store_layout import FORMAT, is_store_folder, stores_in

if TYPE_CHECKING:
    from ..files.object_path import Place

KEYS = ("basis", "basis_digest", "policy", "provenance")


def read_store_attributes(folder: Place) -> dict[str, Any]:
    """What a design store says of itself.

    Raises
    ------
    StoreError
        There is none, or one of another format; the file is damaged or lost.
    """
    try:
        return checked_attributes(folder / META)
    except FileNotFoundError as error:
        if is_store_folder(folder):
            raise StoreError(
                f"{folder / META}: expected what the store was made with, found no file; {repair_command(folder)}"
            ) from error
        below = ", ".join(p.name for p in stores_in(folder))
        found = f"a folder of such: {below}" if below else "none"
        raise StoreError(f"{folder}: expected a design store, found {found}") from error


def checked_attributes(path: Place) -> dict[str, Any]:
    """The same of a file. Raises FileNotFoundError, and StoreError where it is not as it was written."""
    way_on = repair_command(path.parent)
    content = read_attributes(path, way_on)
    if "hiertl_dist" not in content and SEAL not in content:
        raise StoreError(f"{path.parent}: expected a design store, found none")
    if content.get("hiertl_dist") != 1:  # stores of format 1 have no SHA-256 of this
        content = unsealed(content, path, way_on)
    if content["hiertl_dist"] not in (1, FORMAT):
        raise StoreError(
            f"{path.parent}: expected store format {FORMAT} or one before, found {shown(content['hiertl_dist'])}: a "
            "newer version of this package wrote it; use that one, or name another folder"
        )
    if lacking := [key for key in KEYS if key not in content]:
        raise StoreError(f"{path}: expected {', '.join(lacking)} in it, found none; {way_on}")
    return content


def write_store_attributes(folder: Place, attributes: dict[str, Any]) -> None:
    """Write them."""
    write_twice(folder / META, group_text(sealed(attributes)))


def make_store(folder: Place, basis: dict[str, Any], basis_digest: str, policy: str) -> None:
    """Make a store of a folder that has nothing but what killed processes left. Needs the lock.

    Raises StoreError where something else is there.
    """
    ours = (".lock", ".claims")
    if other := [
        p for p in folder.iterdir() if not p.name.startswith(ours) and p.suffix not in (".partial", COPY)
    ]:  # fmt: skip
        raise StoreError(
            f"{folder}: expected an empty folder or a design store, found other files, such as {other[0].name}"
        )
    # the first file is all of it, so that a process that is killed leaves a store or none
    attributes = {"hiertl_dist": FORMAT, "basis": basis, "basis_digest": basis_digest, "policy": policy}
    write_store_attributes(folder, {**attributes, "provenance": []})
