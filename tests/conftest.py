"""Fixtures for every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    """Touch kernels that are older than others: numba's cache of one does not notice a change in another."""
    files = list((ROOT / "hiertl_dist" / "kernels").glob("*.py"))
    newest = max(f.stat().st_mtime for f in files)
    for file in files:
        if file.stat().st_mtime < newest:
            os.utime(file, (newest, newest))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data: ``$HIERTL_SHARED``, else ``../shared/data``. Skips where it is absent."""
    folder = Path(os.environ.get("HIERTL_SHARED", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}; HIERTL_SHARED names another folder")
    return folder
