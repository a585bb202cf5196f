"""Rows of ASE's databases, some at a time, for reading alone: SQLite, JSON, and the LMDB of ``ase-db-backends``.

The last is also what fairchem writes and the large public data sets come as (``.aselmdb``); fairchem itself reads
them with that package.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import numpy as np

from ..errors import FrameError, InputError
from .ase_images import Image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SQLITE: Final = b"SQLite format 3\x00"
LMDB: Final = (b"\xde\xc0\xef\xbe", b"\xbe\xef\xc0\xde")
"""At byte 16 of an LMDB file."""

ROWS: Final = 200
"""Rows of an SQLite file that are in memory together; ASE would take all."""

NEED_LMDB: Final = "reading .aselmdb files needs ase-db-backends: pip install ase-db-backends"
TWICE: Final = "data of the row repeat names of its labels, and were passed over"


def database_images(path: Path) -> Iterator[Image]:
    """The rows of a database, in the order of their ids; raises FrameError, InputError, or what ASE raises."""
    with path.open("rb") as stream:
        head = stream.read(20)
    if head.startswith(SQLITE):
        rows = _sqlite_rows(path)
    elif head[16:20] in LMDB:
        rows = _lmdb_rows(path)
    elif head.lstrip()[:1] == b"{":
        rows = _json_rows(path)
    elif not head:
        raise FrameError(f"{path}: expected at least one frame, found an empty file")
    else:
        raise FrameError(
            f"{path}: expected a database of ASE (SQLite, LMDB or JSON, not packed), found a file that begins with "
            f"{head[:16]!r}"
        )
    for row in rows:
        yield _image(row)


def _image(row: Any) -> Image:
    atoms = row.toatoms()
    results = getattr(atoms.calc, "results", {})
    data = row.data if isinstance(row.data, dict) else {}
    atoms.info.update({k: v for k, v in data.items() if k not in results})
    atoms.info.update(row.key_value_pairs)
    same = all(np.array_equal(data[k], results[k]) for k in data if k in results)
    return Image(atoms, () if same else (TWICE,))


def _sqlite_rows(path: Path) -> Iterator[Any]:
    from ase.db.sqlite import SQLite3Database

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", timeout=20, uri=True)

    with closing(connect()) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'systems'").fetchall():
            raise FrameError(f"{path}: expected a database of ASE, found one of SQLite without its table 'systems'")
    database = SQLite3Database(str(path), use_lock_file=False, serial=True)
    database._connect = connect  # ASE's would make tables where there are none
    last = 0
    with database:
        while True:
            row = None
            for row in database.select([("id", ">", last)], sort="id", limit=ROWS):
                yield row
            if row is None:
                return
            last = row.id


def _json_rows(path: Path) -> Iterator[Any]:
    from ase.db.jsondb import JSONDatabase

    yield from JSONDatabase(str(path), use_lock_file=False, serial=True).select()


def _lmdb_rows(path: Path) -> Iterator[Any]:
    need_lmdb(path)
    import lmdb
    from ase_db_backends.aselmdb import LMDBDatabase

    # a file that is cut is no exception later on, but the end of the process
    with lmdb.open(str(path), subdir=False, readonly=True, lock=False) as environment:
        needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    found = path.stat().st_size
    if found < needed:
        raise FrameError(f"{path}: expected {needed} bytes, found {found}: the file is cut")
    _require_readable(path)
    with LMDBDatabase(str(path), use_lock_file=False, serial=True, readonly=True) as database:
        yield from database.select()


_READ_THROUGH: Final = """
import sys, lmdb
with lmdb.open(sys.argv[1], subdir=False, readonly=True, lock=False) as environment:
    with environment.begin(buffers=True) as transaction:
        rows, seen = environment.stat()["entries"], 0
        for key, value in transaction.cursor():
            bytes(key), value[:1], value[-1:]
            seen += 1
            if seen > rows:
                break
        if seen != rows:
            sys.exit(f"its tree has {'more' if seen > rows else seen} rows of {rows}")
"""
"""Goes through all pages and to the end of each value."""


def _require_readable(path: Path) -> None:
    """Have another process go through the file: liblmdb follows what it says of pages, and ends who reads a wrong one.

    Raises
    ------
    FrameError
        That process was ended by a signal (SIGBUS, SIGSEGV), or says what is wrong.
    """
    with path.open("rb"):  # else what is wrong is that it can't be read
        pass
    ended = subprocess.run(
        [sys.executable, "-c", _READ_THROUGH, str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, errors="replace", check=False,
    )  # fmt: skip
    if ended.returncode == 0:
        return
    if ended.returncode < 0:
        number = -ended.returncode
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        reason = f"a process that went through it was ended by {name}"
    else:
        reason = (ended.stderr.strip().splitlines() or ["no reason is given"])[-1]
    raise FrameError(
        f"{path}: expected a whole LMDB file, found pages that can't be followed ({reason}): the file is damaged; "
        "copy it again from where it came from"
    )


def need_lmdb(path: Path) -> None:
    """Raise InputError, saying what to install, unless what reads LMDB is there."""
    try:
        import ase_db_backends.aselmdb  # noqa: F401
    except ImportError as error:
        raise InputError(f"{path}: {NEED_LMDB} ({error})") from error
