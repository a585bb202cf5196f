"""JSON of what results hold, and files of it that appear whole; :func:`jsonable` makes numpy's values plain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .paths import replacing


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


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a part."""
    with replacing(path) as stream:
        stream.write(json_text(value).encode())
