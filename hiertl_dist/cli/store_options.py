"""Options of commands that write stores: what is done where another run is at work there, and flushing to disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ..files.store_use import StoreUse


def add_store_options(one: argparse.ArgumentParser) -> None:
    """Enter them in a command's grammar."""
    one.add_argument(
        "--in-use", choices=("join", "refuse"),
        help="where another run works on the same store: compute what nobody has claimed (default), or fail at once",
    )  # fmt: skip
    waiting = one.add_mutually_exclusive_group()
    waiting.add_argument(
        "--wait", type=float, metavar="SECONDS", help="fail after so long where another run has a store's lock or tiles"
    )
    waiting.add_argument("--no-wait", action="store_true", help="fail at once where another run holds a store's lock")
    one.add_argument(
        "--fsync", action="store_true", default=None,
        help="have each file written to the disk itself before going on: outlives a loss of power (slow)",
    )  # fmt: skip


def chosen_store_use(arguments: argparse.Namespace, use: StoreUse) -> StoreUse:
    """The way of the input file, with what the command line says instead."""
    from dataclasses import replace

    from ..errors import InputError

    given = {"in_use": arguments.in_use, "wait": 0.0 if arguments.no_wait else arguments.wait, "fsync": arguments.fsync}
    try:
        return replace(use, **{key: value for key, value in given.items() if value is not None})
    except InputError as error:
        raise InputError(f"--{error}") from error
