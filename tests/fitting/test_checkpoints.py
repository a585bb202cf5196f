"""A pass that was cut goes on from the ranges of leaves that are kept, with the bits of one that was not."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import threading
from dataclasses import replace

import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist.dataset.folds import Folds
from hiertl_dist.design_matrix import planning
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.errors import StoppedBySignal, StoreError
from hiertl_dist.executors import SerialExecutor, TaskFailed
from hiertl_dist.executors.batches import Batches
from hiertl_dist.executors.stopping import stopping_on_signals
from hiertl_dist.fitting import leaves, pass_claims, pass_help, row_pass, summary_pass
from hiertl_dist.fitting.checkpoints import Checkpoints, PassFolder
from hiertl_dist.fitting.hierarchy import fit_hierarchy
from hiertl_dist.fitting.reduction import reduce_rows
from hiertl_dist.fitting.row_pass import range_size
from hiertl_dist.fitting.settings import HierarchyOptions
from hiertl_dist.fitting.summary_pass import summarise
from hiertl_dist.frames.rows import n_rows

BASIS = small_basis((3, 2, 0))
FRAMES = labelled(random_frames({"C": 12, "N": 8, "CN": 12}, groups=("liquid", "solid")), random_parameters(BASIS, 3))
SERIAL = SerialExecutor()


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch):
    """Leaves of a few frames, and ranges of two leaves, however short the pass."""
    monkeypatch.setattr(planning, "SEGMENT_ROWS", n_rows(FRAMES[0]))
    monkeypatch.setattr(leaves, "LEAF_ROWS", 1)
    monkeypatch.setattr(row_pass, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr(row_pass, "range_size", lambda *_: 2)


@pytest.fixture
def reduced(monkeypatch):
    """How many leaves have been reduced; from ``most`` on there is no more memory."""
    whole = row_pass.reduce_leaf

    class Count:
        done, most = 0, 10**9

    def counting(segments, **how):
        if Count.done >= Count.most:
            raise MemoryError("cut here")
        Count.done += 1
        return whole(segments, **how)

    monkeypatch.setattr(row_pass, "reduce_leaf", counting)
    return Count


def bits_of(summaries):
    return {g: {k: v.tobytes() for k, v in s.to_arrays().items()} for g, s in summaries.groups.items()}


def reduce_c(folder=None, method="rfactor", frames=FRAMES):
    return bits_of(
        reduce_rows(
            make_plan(frames, BASIS), ["C", "CN"], store=None, method=method, executor=SERIAL, checkpoint=folder
        )
    )


def in_memory(folder=None):
    return bits_of(summarise(FRAMES, BASIS, folds=Folds(2), executor=SERIAL, checkpoint=folder))


WAYS = {"rfactor": reduce_c, "gram": lambda folder=None: reduce_c(folder, "gram"), "summarise": in_memory}


def cut(reduced, way, folder, after=5):
    reduced.done, reduced.most = 0, after
    with pytest.raises(TaskFailed, match="cut here"):
        way(folder)
    reduced.done, reduced.most = 0, 10**9
    return sorted(folder.glob("*/*.range"))


@pytest.mark.parametrize("size", ["NaN", "Infinity", "true", "-2", "3", "2.0", "[]", "1e400"])
def test_a_head_with_an_odd_range_is_refused(tmp_path, reduced, size):
    cut(reduced, reduce_c, tmp_path / "kept")
    (head,) = (tmp_path / "kept").glob("*/pass.json")
    head.write_text(head.read_text().replace('"range": 2', f'"range": {size}'))
    with pytest.raises(StoreError, match="expected the checkpoints of this pass, found damaged ones"):
        reduce_c(tmp_path / "kept")


@pytest.mark.parametrize("name", WAYS)
def test_a_pass_that_was_cut_goes_on_with_the_same_bits(tmp_path, reduced, caplog, name):
    way, folder = WAYS[name], tmp_path / "kept"
    expected = way()
    n = reduced.done
    assert n > 6
    assert len(cut(reduced, way, folder)) == 2
    assert way(folder) == expected
    assert reduced.done == n - 4
    assert f"goes on from 2 of {-(-n // 2)} ranges of tiles" in caplog.text
    assert not folder.exists(), "what is complete needs them no more"
    assert way(folder) == expected
    assert not folder.exists()


def test_a_signal_while_summaries_are_written_leaves_no_checkpoints(tmp_path, monkeypatch):
    folder, store, write = tmp_path / "kept", tmp_path / "summaries", summary_pass._write

    def writing(*arguments):
        assert list(folder.glob("*/*.range"))
        write(*arguments)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(summary_pass, "_write", writing)
    with pytest.raises(StoppedBySignal), stopping_on_signals():
        summarise(FRAMES, BASIS, folds=Folds(2), summaries=store, executor=SERIAL, checkpoint=folder)
    again = summarise(FRAMES, BASIS, folds=Folds(2), summaries=store, executor=SERIAL, checkpoint=folder)
    assert len(again.groups) == len(in_memory())
    assert not folder.exists(), "the second run has nothing to reduce, and knows of no pass"


def test_what_is_damaged_or_not_its_own_is_computed_again(tmp_path, reduced, caplog):
    folder = tmp_path / "kept"
    expected = in_memory()
    n = reduced.done
    first, second = cut(reduced, in_memory, folder)
    whole = first.read_bytes()
    swapped = second.read_bytes()
    for place in (0, 70, len(whole) // 2, len(whole) - 1, None, -9, "swapped"):
        caplog.clear()
        shutil.rmtree(folder, ignore_errors=True)
        cut(reduced, in_memory, folder)
        data = bytearray(whole)
        if place == "swapped":
            data = swapped
        elif place is None:
            data += b"x"
        elif place == -9:
            data = data[:-9]
        else:
            data[place] ^= 4
        first.write_bytes(data)
        assert in_memory(folder) == expected
        assert reduced.done == n - 2
        assert f"{first.name}" in caplog.text
        assert "it was computed again" in caplog.text
        assert not folder.exists()


def test_those_of_another_pass_are_left_alone_and_told_of(tmp_path, reduced, caplog):
    folder = tmp_path / "kept"
    cut(reduced, reduce_c, folder)
    (other,) = folder.iterdir()
    caplog.clear()
    fewer = reduce_c(frames=FRAMES[:-1])
    reduced.done = 0
    assert reduce_c(folder, frames=FRAMES[:-1]) == fewer
    assert "goes on from" not in caplog.text
    assert "checkpoints of 1 other passes are there" in caplog.text
    assert other.exists()
    # under the name of another pass they are refused
    cut(reduced, lambda place: reduce_c(place, "gram"), folder)
    digest = next(p for p in folder.iterdir() if p != other)
    for own in (True, False):
        shutil.copy(other / "pass.json", digest / "pass.json")
        if own:
            (digest / "pass.json").write_text("{")
        with pytest.raises(StoreError, match=r"pass\.json: (cannot be read|expected the checkpoints of this pass)"):
            reduce_c(folder, "gram")


def test_a_full_disk_stops_nothing(tmp_path, reduced, caplog, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    expected = reduce_c()
    monkeypatch.setattr(PassFolder, "write", full)
    assert reduce_c(tmp_path / "kept") == expected
    assert "a checkpoint could not be written: [Errno 28] No space left" in caplog.text


def test_a_climb_that_was_cut_reduces_no_block_twice(tmp_path, reduced):
    folder = tmp_path / "kept"
    expected = fit_hierarchy(FRAMES, BASIS, executor=SERIAL).model.parameters.coefficients.tobytes()
    n = reduced.done
    options = HierarchyOptions(checkpoint=folder)
    cut(reduced, lambda _: fit_hierarchy(FRAMES, BASIS, options=options, executor=SERIAL), folder, after=n - 1)
    assert len(list(folder.iterdir())) == 3, "whole passes of C and N, and ranges of CN"
    again = fit_hierarchy(FRAMES, BASIS, options=options, executor=SERIAL)
    assert again.model.parameters.coefficients.tobytes() == expected
    assert reduced.done <= 2
    assert not folder.exists()


def test_ranges_are_subtrees_of_the_reduction(tmp_path):
    def join(a, b):
        return f"({a}{b})"

    for n in range(1, 40):
        expected = SERIAL.reduce(str, join, range(n))
        for size in (1, 2, 4, 8):
            items = [range(lo, min(lo + size, n)) for lo in range(0, n, size)]
            assert SERIAL.reduce(lambda own: SERIAL.reduce(str, join, own), join, items) == expected


class Careless(SerialExecutor):
    """Counts the first item twice, or not at all."""

    times = 2

    def _reduce(self, batches, ready):
        (batch,) = batches.each
        items = batch.items[:1] * self.times + batch.items[1:]
        return super()._reduce(Batches((replace(batch, items=items),)), ready)


@pytest.mark.parametrize("times", [0, 2])
def test_a_tile_that_is_lost_or_counted_twice_is_found(times):
    careless = Careless()
    careless.times = times
    plan = make_plan(FRAMES, BASIS)
    with pytest.raises(
        StoreError, match=rf"reduce C: tiles were lost or counted twice: tile \w+ \{times - 1:+d} times"
    ):
        reduce_rows(plan, ["C"], store=None, executor=careless)


def test_the_size_of_ranges(tmp_path, monkeypatch, caplog):
    monkeypatch.undo()
    kept = Checkpoints(tmp_path)
    assert range_size([1.0] * 50, 2, 10**6, 10**9, kept) == 0, "too short"
    assert range_size([1.0] * 1000, 2, 10**6, 10**9, kept) == 8, "of ten seconds"
    assert range_size([20.0] * 10, 2, 10**6, 10**9, kept) == 1
    assert range_size([0.5] * 1000, 100, 10**6, 10**9, kept) == 2, "four for each worker"
    assert range_size([0.4] * 100000, 10**4, 1000, 10**9, kept) == 32, "a scheduler with ten thousand workers"
    assert range_size([1.0] * 1000, 2, 10**6, 10**6, kept) == 2, "what a worker has room for"
    assert range_size([1.0] * 1000, 2, 10**6, -5, kept) == 1
    monkeypatch.setattr(row_pass, "free_disk", lambda _: 10**7)
    assert range_size([1.0] * 1000, 2, 10**6, 10**9, kept) == 0
    assert "no checkpoints of this pass are kept" in caplog.text


# ---- two runs with the same pass


def test_of_two_runs_with_the_same_pass_the_second_computes_what_nobody_has_claimed(tmp_path, monkeypatch, caplog):
    """The first writes it all, with the bits of one alone; each range is computed by one of the two."""
    monkeypatch.setattr(pass_claims, "POLL", 0.01)
    reduce, by = row_pass.reduce_leaf, []
    helping, helped = threading.Event(), threading.Event()
    made = {}

    def run(name, **options):
        def in_thread():
            made[name] = summarise(
                FRAMES, BASIS, folds=Folds(2), summaries=tmp_path / "s", executor=SerialExecutor(),
                checkpoint=tmp_path / "kept", **options,
            )  # fmt: skip

        thread = threading.Thread(target=in_thread, name=name)
        thread.start()
        return thread

    def by_the_first(segments, **how):
        by.append(("first", segments[0].key))
        if len(by) == 1:
            second.append(run("second"))
        assert helping.wait(30)
        if len(by) > 2:
            assert helped.wait(30)
        return reduce(segments, **how)

    def by_the_second(segments, **how):
        by.append(("second", segments[0].key))
        helping.set()
        return reduce(segments, **how)

    def done(*args):
        helped.set()
        return while_left(*args)

    second, while_left = [], PassFolder.leave
    monkeypatch.setattr(row_pass, "reduce_leaf", by_the_first)
    monkeypatch.setattr(pass_help, "reduce_leaf", by_the_second)
    monkeypatch.setattr(PassFolder, "leave", done)
    first = run("first")
    first.join(60)
    second[0].join(60)
    assert {who for who, _ in by} == {"first", "second"}
    assert len({key for _, key in by}) == len(by), "none was computed twice"
    assert sum(who == "second" for who, _ in by) > sum(who == "first" for who, _ in by)
    assert re.search(r"another run makes the same pass; \d+ of its \d+ ranges of tiles were computed here", caplog.text)
    assert not (tmp_path / "kept").exists()
    monkeypatch.setattr(row_pass, "reduce_leaf", reduce)
    assert (
        bits_of(made["first"])
        == bits_of(made["second"])
        == bits_of(summarise(FRAMES, BASIS, folds=Folds(2), summaries=tmp_path / "alone", executor=SERIAL))
    )
    whole, alone = ({p.name: p.read_bytes() for p in (tmp_path / f).iterdir()} for f in ("s", "alone"))
    assert whole == alone


def test_who_helps_goes_on_where_the_other_is_killed(tmp_path, reduced, monkeypatch):
    """What it computed, and what the other had, is there when it makes the pass itself."""
    monkeypatch.setattr(pass_claims, "POLL", 0.01)
    given = {"folds": Folds(2), "summaries": tmp_path / "s", "checkpoint": tmp_path / "kept"}
    expected = bits_of(summarise(FRAMES, BASIS, folds=Folds(2), executor=SERIAL))
    n = reduced.done
    reduced.done, reduced.most = 0, 5
    with pytest.raises(TaskFailed, match="cut here"):
        summarise(FRAMES, BASIS, executor=SERIAL, **given)
    reduced.done, reduced.most = 0, 10**9
    made, looks = pass_claims.is_claimed, []
    # as long as it helps the other is alive
    monkeypatch.setattr(pass_claims, "is_claimed", lambda path: len(looks) < 3 or made(path))
    monkeypatch.setattr(PassFolder, "leave", lambda place: looks.extend(range(3)))
    assert bits_of(summarise(FRAMES, BASIS, executor=SERIAL, **given)) == expected
    assert looks, "it has helped"
    assert reduced.done == 0, "all that was left was computed by helping"
    assert n > 6


def test_a_pass_without_checkpoints_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(row_pass, "range_size", lambda *_: 0)
    monkeypatch.setattr(pass_claims, "POLL", 0.01)
    claimed = iter([True, True, True])
    monkeypatch.setattr(pass_claims, "is_claimed", lambda _: next(claimed, False))
    given = {"folds": Folds(2), "summaries": tmp_path / "s", "checkpoint": tmp_path / "kept", "executor": SERIAL}
    assert bits_of(summarise(FRAMES, BASIS, **given)) == bits_of(summarise(FRAMES, BASIS, folds=2, executor=SERIAL))
    assert next(claimed, None) is None
