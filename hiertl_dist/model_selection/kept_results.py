"""What came of items of a search, kept in a file each with its SHA-256, so that a search that was cut goes on."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from ..files.json_files import jsonable, write_json
from ..files.sealed import read_checked, sealed, unsealed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_log = logging.getLogger("hiertl_dist")


def keep_result(folder: Path, key: str, result: Mapping[str, Any]) -> None:
    """Write what came of an item."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{key}.json", sealed({**result, "key": key}))


def kept_results(folder: Path, keys: Sequence[str]) -> dict[str, Any]:
    """What is in the files of earlier searches, by key; what can't be read is told, and is as good as none."""
    results = {}
    for key in keys:
        path = folder / f"{key}.json"
        try:
            content = unsealed(read_checked(path, ""), path, "")
        except FileNotFoundError:
            continue
        except StoreError as error:
            _log.warning("%s; it is computed again", str(error).removesuffix("; "))
            continue
        if content.get("key") == key:
            results[key] = content
    return results


def as_kept(result: Mapping[str, Any]) -> Any:
    """A result as a file gives it back, so that an interruption changes nothing."""
    return json.loads(json.dumps(jsonable(dict(result))))
