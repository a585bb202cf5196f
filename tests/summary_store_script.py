"""Batches for tests of the summary store, and processes that write it at the same time, or are killed.

Run as ``summary_store_script.py WHAT FOLDER``.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hiertl_dist.algebra import RFactor
from hiertl_dist.files.json_files import digest_of
from hiertl_dist.fitting.summary_store import SummaryStore
from hiertl_dist.frames.frame_records import RecordTexts
from hiertl_dist.frames.rows import Group

SETTINGS = {"policy": "refuse", "blocks": {"C": "c1", "N": "n1"}}
BATCHES_A_WRITER = 12
KILLS = 25
FORCE, ENERGY = Group("dft", "force", "C", 0), Group("dft", "energy", "C", 1, 8)


def reduced(rows, n_targets=1):
    """Factors and sums of squares of the rows (m, width) of each group."""
    factors = {group: RFactor.of_buffer(a, n_targets) for group, a in rows.items()}
    return factors, {group: np.square(a).sum(axis=0) for group, a in rows.items()}


def digest(number, i):
    return hashlib.sha256(f"{number}:{i}".encode()).hexdigest()


class Told(NamedTuple):
    """A record of a frame in words."""

    digest: str
    fold: int
    origin: str
    group: str
    composition: str = ""
    configuration: str = ""


def recorded(*told):
    """Records of frames that are told of in words, in one part."""
    texts = RecordTexts()
    rows = texts.told([one._asdict() for one in told])
    return [texts.records(rows)]


def told_of(records):
    """Records in words."""
    return [
        Told(
            records.digest(i), int(records.folds[i]), records.origin(i), records.group(i),
            records.composition_names[records.compositions[i]], records.configuration(i),
        )
        for i in range(len(records))
    ]  # fmt: skip


def by_digest(store):
    """The frames of a store in words, by digest."""
    return {told.digest: told for told in told_of(store.frames())}


def told_in(number, frames=2):
    """The frames of batch ``number``."""
    return [Told(digest(number, i), i % 2, f"run{number}.xyz:{i}", "dft") for i in range(frames)]


def batch(number, columns=5, frames=2, elements="C", blocks=("C",)):
    """Arguments of ``add``: its frames depend on ``number`` only, its rows on the columns too."""
    rng = np.random.default_rng([number, columns])
    rows = {FORCE: rng.normal(size=(40, columns)), ENERGY: rng.normal(size=(3, columns))}
    return elements, blocks, recorded(*told_in(number, frames)), [f"tile-{number}-{columns}"], *reduced(rows)


def in_format_1(folder):
    """Make of a store what versions before wrote: the records of frames stand in the JSON of a batch."""
    store, ids = SummaryStore.open(folder), []
    for old in store.batches():
        content = json.loads((folder / f"{old.id}.json").read_text())
        told = [one for records in store.records(old) for one in told_of(records)]
        content["frames"] = [one._asdict() for one in told]
        ids.append(digest_of(content))
        (folder / f"{ids[-1]}.json").write_text(json.dumps(content))
        (folder / f"{old.id}.f64").rename(folder / f"{ids[-1]}.f64")
        for suffix in ("json", "frames"):
            (folder / f"{old.id}.{suffix}").unlink()
    index = {"hiertl_dist_summaries": 1, "settings": store.settings, "batches": sorted(ids)}
    (folder / "index.json").write_text(json.dumps(index | {"sha256": digest_of(index)}))
    (folder / "index.json.copy").unlink()


def files(folder):
    """Every file by name but the lock and who had it."""
    return {p.name: p.read_bytes() for p in Path(folder).iterdir() if p.is_file() and not p.name.startswith(".lock")}


def changed(arguments, **new):
    """Arguments of ``add`` with some of them replaced, by name."""
    names = ("elements", "blocks", "frames", "tiles", "factors", "squares")
    return {**dict(zip(names, arguments, strict=True)), **new}


def flip(path, where):
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)


class KilledError(BaseException):
    """What no ``except Exception`` catches."""


class Doom:
    """Ends the world at some step of what is done to files: that step and all later ones fail."""

    def __init__(self, patch, last):
        self.steps, self.last = 0, last
        for name, then in (("replace", True), ("replace", False), ("unlink", False), ("open", True)):
            patch.setattr(Path, name, self.step(getattr(Path, name), after=then))

    def step(self, original, *, after):
        def stepped(path, *arguments, **options):
            if original.__name__ == "open" and "x" not in str(arguments[:1]):
                return original(path, *arguments, **options)
            if not after:
                self.count()
            result = original(path, *arguments, **options)
            if after:
                try:
                    self.count()
                except KilledError:
                    if original.__name__ == "open":
                        result.close()
                    raise
            return result

        stepped.__name__ = original.__name__
        return stepped

    def count(self):
        self.steps += 1
        if self.steps > self.last:
            raise KilledError


def forked(work, *arguments):
    """The id of a process that does some work and ends with 0, or with 1 after an exception."""
    if pid := os.fork():
        return pid
    try:
        work(*arguments)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def write_some(folder, writer):
    store = SummaryStore.create(folder, SETTINGS)
    for i in range(BATCHES_A_WRITER):
        store.add(*batch(100 * writer + i))


def supersede(folder, times=None):
    """Supersede the one batch of frames 1 by wider ones, for ever or some times."""
    store = SummaryStore.create(folder, SETTINGS)
    while times is None or times > 0:
        (old,) = store.batches()
        store.add(*batch(1, 4 + (old.groups[0].width - 3) % 9), replaces=[old.id])
        times = None if times is None else times - 1


def concurrent(folder):
    """Three processes create one store and add batches of their own."""
    for pid in [forked(write_some, folder, writer) for writer in range(3)]:
        assert os.waitpid(pid, 0)[1] == 0


def reader(folder):
    """Always exactly one batch, whole, is seen while another process supersedes it again and again."""
    SummaryStore.create(folder, SETTINGS).add(*batch(1))
    pid = forked(supersede, folder, 150)
    seen = set()
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        store = SummaryStore.open(folder)
        (found,) = store.batches()
        assert len(store.frames()) == 2
        seen.add(found.id)
    print(len(seen))


def kills(folder):
    """A writer is killed at any moment; what is left is the old store or the new one, and writable."""
    SummaryStore.create(folder, SETTINGS).add(*batch(1))
    rng, seen, leftovers = np.random.default_rng(3), [], 0
    for _ in range(KILLS):
        pid = forked(supersede, folder)
        time.sleep(rng.uniform(0.01, 0.08))
        os.kill(pid, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
        store = SummaryStore.open(folder)
        store.verify()
        (found,) = store.batches()
        seen.append(found.id)
        leftovers += len(files(folder)) > 5
        SummaryStore.open(folder).add_all([])  # the next that writes
        own = {f"{found.id}.{suffix}" for suffix in ("json", "frames", "f64")}
        assert files(folder).keys() == {"index.json", "index.json.copy", *own}
    print(len(set(seen)), leftovers)


if __name__ == "__main__":
    {"concurrent": concurrent, "reader": reader, "kills": kills}[sys.argv[1]](Path(sys.argv[2]))
