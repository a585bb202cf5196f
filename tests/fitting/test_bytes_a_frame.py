"""Of many frames, folds and summary stores take at most a hundred bytes each, in memory and in JSON."""

from __future__ import annotations

import tracemalloc
from functools import cached_property

import numpy as np
import pytest
from summary_store_script import batch, changed

from hiertl_dist.dataset import draws
from hiertl_dist.dataset import folds as folds_module
from hiertl_dist.dataset.folds import Folds, assign_folds
from hiertl_dist.dataset.holding_out import hold_out
from hiertl_dist.fitting import stored_frames
from hiertl_dist.fitting.known_frames import strange_frames_notes, todo_of_pass
from hiertl_dist.fitting.summary_store import SummaryStore
from hiertl_dist.frames import digests, frame_records
from hiertl_dist.frames.element_set import ElementSet
from hiertl_dist.frames.frame_facts import ENERGY, Formula, Formulas, FrameFacts
from hiertl_dist.frames.frame_records import RecordsOfFrames
from hiertl_dist.frames.frame_sequence import FrameSequence

MOST = 100 + 17
"""Bytes of a frame; and of the facts of a part of the frames that is made meanwhile."""

FEW, MANY = 3_000, 9_000
GROUPS = tuple(f"run {i}" for i in range(50))


class ManyFrames(FrameSequence):
    """Frames that nobody made, of three formulas, fifty groups, and configurations that some of them share."""

    def __init__(self, numbers):
        self.numbers = numbers

    def __len__(self):
        return len(self.numbers)

    @cached_property
    def facts(self):
        numbers = self.numbers
        return FrameFacts(
            Formulas([Formula.of("CC"), Formula.of("CN"), Formula.of("CCNN")]), (numbers % 3).astype(np.int32), GROUPS,
            (numbers // 6 % 50).astype(np.int32), np.full(len(numbers), ENERGY, np.uint8), np.zeros(len(numbers)),
        )  # fmt: skip

    def take(self, indices):
        return ManyFrames(self.numbers[indices])

    def _bytes(self, numbers):
        out = np.empty((len(numbers), 4), np.uint64)
        for k in range(4):
            out[:, k] = numbers * 4 + k + 1
            out[:, k] *= np.uint64(0x9E3779B97F4A7C15)
            out[:, k] ^= out[:, k] >> np.uint64(29)
            out[:, k] *= np.uint64(0xBF58476D1CE4E5B9)
        return out.view(np.uint8)

    @property
    def digests(self):
        return self._bytes(self.numbers + 10**9)

    @property
    def configurations(self):
        # of the last in each two hundred, that of the frame three before, whose composition and group are the same
        return self._bytes(self.numbers - 3 * (self.numbers % 198 == 197))

    def origin(self, index):
        return f"a.xyz, frame {self.numbers[index] + 1}"

    stresses = identities = table = _frame = None


def peak(work):
    """What some work gives, and the most bytes that it took meanwhile."""
    tracemalloc.start()
    try:
        made = work()
        return made, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("split", ["frame", "group"])
def test_bytes_a_frame(tmp_path, monkeypatch, split):
    """What is done some thousand frames at a time is done with few of them here, lest it be all that is seen."""
    for module in (draws, folds_module, digests):
        monkeypatch.setattr(module, "CHUNK", 100)
    for module in (frame_records, stored_frames):
        monkeypatch.setattr(module, "PART", 100)
    folds = Folds(5, split)
    sizes = {}
    for count in (FEW, MANY):
        frames = ManyFrames(np.arange(count))
        store = SummaryStore.create(tmp_path / str(count), {"blocks": {"C": "c1"}, "folds": folds.as_dict()})
        first, second = np.arange(0, count, 2), np.arange(1, count, 2)
        found, sizes["folds", count] = peak(lambda f=frames: assign_folds(f, folds))
        both = RecordsOfFrames(frames, found)

        def add(number, own, store=store, both=both):
            return store.add(**changed(batch(number), frames=both.take(own), tiles=[]))

        _, sizes["write", count] = peak(lambda a=add, own=first: a(1, own))
        _, sizes["grow", count] = peak(lambda a=add, own=second: a(2, own))
        known, sizes["open", count] = peak(lambda p=store.path: SummaryStore.open(p).batches())
        records, sizes["records", count] = peak(store.frames)
        todo, sizes["again", count] = peak(
            lambda s=store, k=known, f=frames: todo_of_pass(s, k, f, [ElementSet.parse("C")], folds)
        )
        _, sizes["part", count] = peak(lambda s=store, k=known, f=frames: strange_frames_notes(s, k, f[::3]))
        _, sizes["hold out", count] = peak(lambda f=frames: hold_out(f, fraction=0.1))
        _, sizes["verify", count] = peak(store.verify)
        sizes["json", count] = sum(p.stat().st_size for p in store.path.glob("*.json"))
        assert (len(records), todo.folds.tolist(), len(todo.wanted)) == (count, found.tolist(), 0)
    slopes = {what: (sizes[what, MANY] - sizes[what, FEW]) / (MANY - FEW) for what, _ in sizes}
    assert {what: slope for what, slope in slopes.items() if slope > MOST} == {}
    assert slopes["json"] < 3, "checksums of blocks alone"
    assert slopes["open"] < 3
