"""The command ``store``: whether a design store, summary store or data set is whole; what mends it, what can go."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..files.faults import Fault
    from ..jobs.stores import StoreFolder

DAMAGED = 1
"""Exit code where something is wrong, and of ``repair`` where something is left."""


def store_parser(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The grammar of ``store`` and its own verbs."""
    whole = verbs.add_parser("store", help="stores and data sets: check, repair, gc, info")
    own = whole.add_subparsers(dest="store_verb", required=True, metavar="VERB")
    shared = argparse.ArgumentParser(add_help=False, parents=[common])
    shared.add_argument("path", help="folder of one, or of several, or s3://bucket/name")
    shared.add_argument("--no-wait", action="store_true", help="fail at once where another run holds the lock")
    own.add_parser("check", parents=[shared], help="read every file and report each that is damaged; changes nothing")
    own.add_parser("repair", parents=[shared], help="mend what is damaged, or let the next run compute it again")
    one = own.add_parser("gc", parents=[shared], help="delete what killed writers left, and what belongs to nothing")
    one.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    one.add_argument(
        "--min-age", type=float, metavar="HOURS",
        help="leave files alone that were written since: a run may be writing them (default: 1)",
    )  # fmt: skip
    own.add_parser("info", parents=[shared], help="kind, format, sizes, and how much is complete")


def run_store(arguments: argparse.Namespace) -> int:
    """Run one of its verbs; returns its exit code."""
    from dataclasses import replace

    from ..executors import refuse_many
    from ..files.store_use import store_use, use_stores
    from ..jobs.stores import stores_at

    refuse_many("store", executors=False)
    with use_stores(replace(store_use(), wait=0.0) if arguments.no_wait else None):
        return _VERBS[arguments.store_verb](arguments, stores_at(arguments.path))


def _print(arguments: argparse.Namespace, content: Any, lines: list[str]) -> None:
    from ..files.json_files import json_text

    print(json_text(content) if arguments.json else "\n".join(lines), flush=True)


def _check(arguments: argparse.Namespace, stores: list[StoreFolder]) -> int:
    faults = {store: store.check() for store in stores}
    lines = []
    for store, own in faults.items():
        lines += [f"{store.path}: {store.kind}: {_number(own, 'is', 'wrong')}", *_told(own)]
    any_wrong = any(faults.values())
    if any_wrong:
        lines.append(f"'hiertl-dist store repair {arguments.path}' does what the lines below each fault say")
    content = [
        {"path": str(s.path), "kind": s.kind, "faults": [fault.as_dict() for fault in own]} for s, own in faults.items()
    ]
    _print(arguments, {"stores": content}, lines)
    return DAMAGED if any_wrong else 0


def _repair(arguments: argparse.Namespace, stores: list[StoreFolder]) -> int:
    content, lines, is_left = [], [], False
    for store in stores:
        done, left = store.repair()
        lines += [f"{store.path}: {store.kind}: {_number(done, 'was', 'mended')}", *_told(done)]
        lines += [f"{_number(left, 'is', 'left')}:", *_told(left)] if left else []
        is_left |= bool(left)
        content.append({
            "path": str(store.path), "kind": store.kind, "mended": [fault.as_dict() for fault in done],
            "left": [fault.as_dict() for fault in left],
        })  # fmt: skip
    _print(arguments, {"stores": content}, lines)
    return DAMAGED if is_left else 0


def _number(faults: list[Fault], verb: str, what: str) -> str:
    if not faults:
        return f"nothing {verb} {what}"
    return f"1 file {verb} {what}" if len(faults) == 1 else f"{len(faults)} files {verb.replace('is', 'are')} {what}"


def _told(faults: list[Fault]) -> list[str]:
    return [f"  {line}" for fault in faults for line in fault.text().splitlines()]


def _gc(arguments: argparse.Namespace, stores: list[StoreFolder]) -> int:
    from ..errors import InputError
    from ..files.faults import MIN_AGE

    if arguments.min_age is not None and not arguments.min_age >= 0.0:
        raise InputError(f"--min-age: expected hours of 0 or more, found {arguments.min_age}")
    age = MIN_AGE if arguments.min_age is None else 3600.0 * arguments.min_age
    content, lines = [], []
    for store in stores:
        files = store.leftovers(age)
        freed = sum(own.nbytes for own in files) if arguments.dry_run else store.remove(files)
        done = "would be deleted" if arguments.dry_run else "deleted"
        lines.append(f"{store.path}: {store.kind}: {len(files)} file{'s' * (len(files) != 1)} {done}, {freed} bytes")
        lines += [f"  {own.file}: {own.nbytes} bytes: {own.reason}" for own in files]
        listed = [{"file": str(own.file), "bytes": own.nbytes, "reason": own.reason} for own in files]
        content.append({"path": str(store.path), "kind": store.kind, "files": listed, "bytes": freed})
    _print(arguments, {"dry_run": arguments.dry_run, "stores": content}, lines)
    return 0


def _info(arguments: argparse.Namespace, stores: list[StoreFolder]) -> int:
    content = [store.facts() for store in stores]
    lines = []
    for facts in content:
        size = f"{facts['bytes'] / 2**20:.1f} MiB"
        lines.append(f"{facts['path']}: {facts['kind']} of format {facts['format']}, {size}")
        lines += [f"  {name}: {_value(value)}" for name, value in facts.items() if name not in _IN_HEAD]
    _print(arguments, {"stores": content}, lines)
    return 0


_IN_HEAD = ("path", "kind", "format", "bytes")


def _value(value: Any) -> str:
    """A fact for people: tables and lists of tables a line each."""
    if isinstance(value, dict):
        return "".join(f"\n    {name}: {_value(own)}" for name, own in value.items()) if _has_tables(value) else (
            ", ".join(f"{name} {own}" for name, own in value.items())
        )  # fmt: skip
    if isinstance(value, list):
        tables = any(isinstance(own, dict) for own in value)
        return "".join(f"\n    {_value(own)}" for own in value) if tables else ", ".join(map(str, value)) or "none"
    return str(value)


def _has_tables(value: dict[str, Any]) -> bool:
    return any(isinstance(own, dict) for own in value.values())


_VERBS = {"check": _check, "repair": _repair, "gc": _gc, "info": _info}
