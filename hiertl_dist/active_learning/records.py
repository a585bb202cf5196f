"""Records of what a cycle has done: JSON with a checksum, written last, so that what has one is complete."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from ..errors import LockError, StoreError
from ..files.claims import Claim, take_claim
from ..files.json_files import write_json
from ..files.sealed import read_checked, sealed, unsealed
from ..files.signatures import signed_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

STATE: Final = "state.json"
"""What of a cycle is done, in its folder."""

CLAIM: Final = ".claim"
"""Says that a process works on the cycles of a folder."""

FORMAT: Final = 1

AGAIN: Final = "delete it, and the same command does again what it stood for"

_claims: dict[Path, Claim] = {}
"""Of this process."""


def read_record(path: Path) -> dict[str, Any] | None:
    """What a record says, or None where there is none. Raises StoreError where it is damaged."""
    try:
        return unsealed(read_checked(path, AGAIN), path, AGAIN)
    except FileNotFoundError:
        return None


def write_record(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record whole."""
    write_json(path, sealed(dict(content)))


def read_state(folder: Path) -> dict[str, Any]:
    """The steps of a cycle that are done, by name, with what each came to.

    Raises
    ------
    StoreError
        The record is damaged, of another format, or a file that a step left is not what it was.
    """
    path = folder / STATE
    content = read_record(path)
    if content is None:
        return {}
    if content.get("format") != FORMAT:
        raise StoreError(f"{path}: expected format {FORMAT}, found {content.get('format')!r}; {AGAIN}")
    steps: dict[str, Any] = content["steps"]
    for step, facts in steps.items():
        for name, digest in facts.get("files", {}).items():
            _require_unchanged(folder / name, digest, step)
    return steps


def write_step(folder: Path, step: str, facts: Mapping[str, Any], files: Iterable[Path] = ()) -> dict[str, Any]:
    """Note that a step is done, with what it came to and checksums of its files; returns all steps."""
    content = read_record(folder / STATE) or {"format": FORMAT, "steps": {}}
    sums = {str(p.relative_to(folder)): sha256_of(p) for p in files}
    content["steps"][step] = {**facts, "files": sums}
    write_record(folder / STATE, content)
    return read_state(folder)


def sha256_of(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _require_unchanged(path: Path, digest: str, step: str) -> None:
    if not path.exists():
        raise StoreError(
            f"{path}: the step '{step}' of this cycle left this file, and it is gone; copy it back, or delete "
            f"{path.parent / STATE} and the files of later steps to do them again"
        )
    if (found := sha256_of(path)) != digest:
        raise StoreError(
            f"{path}: expected SHA-256 {digest[:16]}…, as the step '{step}' of this cycle left it, found "
            f"{found[:16]}…: it was changed; later steps follow from it, so copy it back, or begin in another folder "
            "([cycle] folder)"
        )


def begin_work(folder: Path) -> None:
    """Claim the cycles of a folder until :func:`end_work`. Raises LockError where another process works there."""
    path = folder / CLAIM
    claim = take_claim(path)
    if claim is None:
        raise LockError(f"{folder}: its cycles are worked on by {signed_by(path)}; wait for its end, or end it")
    _claims[folder] = claim


def end_work(folder: Path) -> None:
    """Let the cycles go, where this process has claimed them."""
    if (claim := _claims.pop(folder, None)) is not None:
        claim.let_go()
