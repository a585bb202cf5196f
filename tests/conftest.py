"""Fixtures for every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data: ``$HIERTL_SHARED``, else ``../shared/data``. Skips where it is absent."""
    folder = Path(os.environ.get("HIERTL_SHARED", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}; HIERTL_SHARED names another folder")
    return folder
