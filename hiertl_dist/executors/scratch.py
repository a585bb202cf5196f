"""Folders for what workers of one machine hand on in files: they go when a verb ends, or with the next after a kill.

Beside each is a claim, which its process has locked: of a process that was killed nobody has, and the folder goes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hiertl_dist.errors import InputError
from hiertl_dist.files.claims import is_claimed, take_claim
from hiertl_dist.files.paths import local_path

if TYPE_CHECKING:
    from hiertl_dist.files.claims import Claim

PREFIX: Final = "hiertl-"
CLAIM: Final = ".claim"


def scratch_place(given: str | Path | None) -> Path:
    """The folder that is given for temporary files, else that of the system (TMPDIR).

    Raises
    ------
    InputError
        It is no folder in which files can be made.
    """
    if given is None:
        return Path(tempfile.gettempdir())
    place = local_path(given, "scratch").absolute()
    try:
        with tempfile.TemporaryFile(dir=place):
            return place
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"scratch: expected a folder that can be written to, found {place}: {reason}") from error


class ScratchFolder:
    """A new folder of this process's own.

    Parameters
    ----------
    place : Path
        Where it is made, and those of processes that are no more are removed.
    """

    def __init__(self, place: Path) -> None:
        remove_scratch_of_the_dead(place)
        self.path = place / f"{PREFIX}{uuid.uuid4().hex}"
        self._claim: Claim | None = None
        with suppress(OSError):  # without locks what a killed process leaves is not known for it, and stays
            self._claim = take_claim(self.path.with_name(self.path.name + CLAIM))
        self.path.mkdir(mode=0o700)

    def remove(self) -> None:
        """Delete it with what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._claim is not None:
            self._claim.let_go()
            self._claim = None


def remove_scratch_of_the_dead(place: Path) -> int:
    """Delete folders that processes of this user left that were killed; how many."""
    removed = 0
    for path in place.glob(f"{PREFIX}*{CLAIM}"):
        with suppress(OSError):  # of another user, or gone meanwhile
            if path.stat().st_uid != os.getuid() or is_claimed(path) or (claim := take_claim(path)) is None:
                continue
            shutil.rmtree(path.with_name(path.name.removesuffix(CLAIM)), ignore_errors=True)
            claim.let_go()
            removed += 1
    return removed
