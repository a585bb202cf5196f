"""JSON of what results hold, and files of it that appear whole; :func:`jsonable` makes numpy's values plain."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import StoreError
from .paths import replacing

if TYPE_CHECKING:
    from .object_path import Place


def jsonable(value: Any) -> Any:
    """The same value with numbers that JSON lacks (NaN, infinities) as ``null``, and keys as text."""
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def json_text(value: Any) -> str:
    """The value as JSON."""
    return json.dumps(jsonable(value), allow_nan=False)


def write_json(path: Place, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a part."""
    with replacing(path) as stream:
        stream.write(json_text(value).encode())


def read_object(path: Place) -> dict[str, Any]:
    """An object in a JSON file. Raises FileNotFoundError, and StoreError where it can't be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (ValueError, OSError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise StoreError(f"{path}: expected an object, found {type(content).__name__}")
    return content


def digest_of(content: Any) -> str:
    """SHA-256 of what JSON holds, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
