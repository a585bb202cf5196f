"""Compiled kernels of other sources are forgotten when the sources change.

numba keeps compiled functions in files beside the sources (or where NUMBA_CACHE_DIR says) and recompiles a function
whose own file has changed; not so where a helper in another file has, and files that name a class which is gone can't
even be read. So the folder holds a digest of all kernel sources, and is emptied of indices where that differs.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).parent
DIGEST: Final = "sources.digest"


def sources_digest() -> str:
    """SHA-256 of all files of this folder."""
    found = hashlib.sha256()
    for path in sorted(SOURCES.glob("*.py")):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()


def forget_other_sources(folder: Path) -> bool:
    """Drop numba's indices from the folder where it compiled other sources; whether it was so.

    To be called before any kernel is. Several processes may do this at once: what one has compiled meanwhile is then
    compiled again by the next, which is no more than a loss of time.
    """
    digest, mark = sources_digest(), folder / DIGEST
    with suppress(OSError):
        if mark.read_text() == digest:
            return False
    # a folder that can't be written to is one that numba does not use
    with suppress(OSError):
        for index in folder.glob("*.nbi"):
            index.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=DIGEST)
        with os.fdopen(handle, "w") as stream:
            stream.write(digest)
        Path(name).replace(mark)
    return True
