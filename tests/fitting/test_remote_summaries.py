"""Summary stores and checkpoints on object stores: the bytes of a disk, damage mended, one writer, connections lost."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from contextlib import suppress
from functools import partial

import pytest
from job_files import job_frames, write_job
from s3_server import BUCKET, DroppingProxy, Server
from sleeping import Sleeper
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist import cli
from hiertl_dist.design_matrix import planning
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.errors import LockError, ObjectStoreError, StoreError
from hiertl_dist.executors.base import TaskFailed
from hiertl_dist.executors.serial import SerialExecutor
from hiertl_dist.files import fences, leases, locks, object_client, object_path
from hiertl_dist.files.locks import LOCK, locked
from hiertl_dist.files.object_path import ObjectPath
from hiertl_dist.files.store_use import use_stores
from hiertl_dist.fitting import batch_files, leaves, pass_claims, row_pass
from hiertl_dist.fitting.checkpoints import HEAD, Checkpoints
from hiertl_dist.fitting.reduction import reduce_rows
from hiertl_dist.fitting.row_pass import range_size
from hiertl_dist.fitting.stored_summaries import open_summaries
from hiertl_dist.fitting.summary_pass import summarise
from hiertl_dist.fitting.summary_store import SummaryStore
from hiertl_dist.frames.rows import n_rows
from hiertl_dist.jobs.stores import stores_at

obstore = pytest.importorskip("obstore", reason="obstore is not installed: pip install 'hiertl-dist[s3]'")

BASIS = small_basis((3, 2, 0))
FRAMES = labelled(random_frames({"C": 6, "N": 4, "CN": 8}, atoms=8), random_parameters(BASIS, 3))
MORE = labelled(random_frames({"C": 3, "CN": 3}, atoms=8, seed=9), random_parameters(BASIS, 3))
SERIAL = SerialExecutor()


def summarised(place, frames=FRAMES, basis=BASIS, **options):
    return summarise(frames, basis, folds=2, summaries=place, executor=SERIAL, **options)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The same on disk."""
    folder = tmp_path_factory.mktemp("local") / "summaries"
    summarised(folder)
    return folder


@pytest.fixture
def place():
    return ObjectPath.parse(f"memory://{uuid.uuid4().hex}/summaries")


def files_of(folder):
    """Bytes of each file by its name, without what is of locks."""
    files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    return {name: p.read_bytes() for name, p in files.items() if not name.startswith(LOCK)}


def bits_of(summaries):
    return {g: {k: v.tobytes() for k, v in s.to_arrays().items()} for g, s in summaries.groups.items()}


def test_the_bytes_are_those_of_a_disk(local, place):
    made = summarised(place)
    assert files_of(place) == files_of(local)
    before = {p: p.stat() for p in place.rglob("*") if p.name != LOCK}
    assert bits_of(summarised(place)) == bits_of(made) == bits_of(open_summaries(local))
    assert {p: p.stat() for p in place.rglob("*") if p.name != LOCK} == before, "nothing is written again"
    (whole,), (own,) = stores_at(place), stores_at(local)
    assert (whole.check(), whole.repair(), whole.leftovers(0.0)) == ([], ([], []), [])
    assert {**whole.facts(), "path": "", "bytes": 0} == {**own.facts(), "path": "", "bytes": 0}
    SummaryStore.open(place).verify()


def test_more_frames_and_wider_blocks(place, tmp_path):
    """A batch more, and batches that supersede others, whose files go."""
    for folder in (place, tmp_path / "summaries"):
        summarised(folder, blocks=["C", "N"])
        with pytest.warns(match="were not given"):
            summarised(folder, MORE, blocks=["C", "N"])
        summarised(folder, [*FRAMES, *MORE])
    own = files_of(place)
    assert own == files_of(tmp_path / "summaries")
    live = SummaryStore.open(place).batches()
    assert {n.partition(".")[0] for n in own} == {"index", *(batch.id for batch in live)}


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


@pytest.mark.parametrize("damage", [flip, cut, ObjectPath.unlink])
@pytest.mark.parametrize("pattern", ["index.json", "*.f64", "*.frames", "????????*.json"])
def test_damage_is_named_and_mended(local, place, pattern, damage):
    made = bits_of(summarised(place))
    path = sorted(p for p in place.glob(pattern) if p.name == pattern or p.name != "index.json")[0]
    damage(path)
    batch_files.batches_of.cache_clear()
    (store,) = stores_at(place)
    assert any(str(path) in fault.text() for fault in store.check())
    if pattern != "index.json":
        with pytest.raises(StoreError, match=r"store repair|no such file|expected"):
            SummaryStore.open(place).verify()
    assert store.repair()[1] == []
    assert bits_of(summarised(place)).keys() == made.keys()
    (store,) = stores_at(place)
    assert store.check() == []
    store.remove(store.leftovers(0.0))
    assert files_of(place) == files_of(local)


def test_a_store_out_of_reach_is_not_taken_for_a_damaged_one(place, monkeypatch):
    summarised(place)
    before, (own,) = files_of(place), stores_at(place)
    calls = (own.check, own.repair, own.facts, lambda: own.leftovers(0.0), lambda: summarised(place),
             lambda: bits_of(open_summaries(place)), lambda: summarised(place, [*FRAMES, *MORE]))  # fmt: skip
    for lost in range(28):  # the connection is there for so many requests
        left = iter(range(lost))

        def asked(call, *args, left=left, **options):
            if next(left, None) is None:
                raise obstore.exceptions.GenericError("error sending request")
            return call(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(object_path, "TRIES", 1)
            for name in ("get", "head", "put", "list_with_delimiter"):
                patch.setattr(obstore, name, partial(asked, getattr(obstore, name)))
            patch.setattr(obstore, "delete", lambda *_: None)
            batch_files.batches_of.cache_clear()
            with suppress(ObjectStoreError):
                calls[lost % len(calls)]()
        (place / LOCK).unlink()
    left = files_of(place)
    assert {name: left[name] for name in before if not name.startswith("index")} == {
        name: data for name, data in before.items() if not name.startswith("index")
    }
    assert set(json.loads(before["index.json"])["batches"]) <= set(json.loads(left["index.json"])["batches"])


def test_who_comes_second_waits_or_is_refused(local, place, monkeypatch):
    monkeypatch.setattr(pass_claims, "POLL", 0.05)
    begun, end, reduce = threading.Event(), threading.Event(), row_pass.reduce_leaf

    def waiting(*args, **options):
        begun.set()
        end.wait(20)
        return reduce(*args, **options)

    monkeypatch.setattr(row_pass, "reduce_leaf", waiting)
    first = threading.Thread(target=partial(summarise, FRAMES, BASIS, folds=2, summaries=place, executor=SERIAL))
    first.start()
    assert begun.wait(20)
    with use_stores(in_use="refuse"), pytest.raises(LockError, match="the same pass over the same frames is made by"):
        summarised(place)
    with use_stores(wait=0.2), pytest.raises(LockError, match="waits no longer"):
        summarised(place)
    second = threading.Thread(target=partial(summarise, FRAMES, BASIS, folds=2, summaries=place, executor=SERIAL))
    second.start()
    time.sleep(0.2)
    end.set()
    first.join(30)
    second.join(30)
    assert files_of(place) == files_of(local)


def test_who_was_stopped_for_longer_than_its_lease_deletes_nothing(local, place, monkeypatch):
    """What is not live yet is then what another is about to bring to life."""
    monkeypatch.setattr(leases, "LEASE", 0.2)
    monkeypatch.setattr(leases, "BEAT", 30.0)
    ids = {name.partition(".")[0] for name in files_of(local)}
    whole = SummaryStore._write_index

    def late(store, *args):
        monkeypatch.setattr(SummaryStore, "_write_index", whole)
        time.sleep(0.3)
        with monkeypatch.context() as patch:  # another process, which takes the lock over meanwhile
            patch.setattr(fences, "_fences", {})
            patch.setattr(locks, "_leases", {})
            with locked(place):
                for name, data in files_of(local).items():
                    if not name.startswith("index"):
                        (place / name).write_bytes(data)
                (place / "index.json").write_bytes((local / "index.json").read_bytes() + b" ")
        return whole(store, *args)

    summarised(place, MORE, blocks=["C"])
    monkeypatch.setattr(SummaryStore, "_write_index", late)
    with pytest.raises((LockError, TaskFailed), match="another process has taken it over"):
        summarised(place, [*FRAMES, *MORE], blocks=["C"])
    assert ids <= {name.partition(".")[0] for name in files_of(place)}


def test_who_sleeps_for_longer_than_its_lease_brings_nothing_to_life_that_was_deleted(place, monkeypatch):
    """Another takes what is not live yet for what a dead one has left, and may leave the index as it was."""
    summarised(place, MORE, blocks=["C"])
    sleeper, told, tried = Sleeper(monkeypatch), 0, 0
    for n in range(1, 30, 6):
        place = ObjectPath.parse(f"memory://{uuid.uuid4().hex}/summaries")
        summarised(place, MORE, blocks=["C"])
        settings = SummaryStore.open(place).settings
        (place / "index.json.copy").unlink()

        def clean(place=place, settings=settings):
            (place / "index.json.copy").unlink()
            SummaryStore.create(place, settings)

        with pytest.MonkeyPatch.context() as patch:
            asked = sleeper(patch, (fences.Fence, "require"), n, clean)
            try:
                summarised(place, [*FRAMES, *MORE], blocks=["C"])
            except (LockError, TaskFailed) as error:
                said = f"the lock of {place} is no longer that of this run: .* has taken it over: process "
                told += re.search(said, str(error)) is not None
                tried += 1
        if len(asked) < n:
            break
        SummaryStore.open(place).verify()
        summarised(place, [*FRAMES, *MORE], blocks=["C"])
    assert told == tried > 1


# ---- checkpoints


@pytest.fixture
def short_ranges(monkeypatch):
    monkeypatch.setattr(planning, "SEGMENT_ROWS", n_rows(FRAMES[0]))
    monkeypatch.setattr(leaves, "LEAF_ROWS", 1)
    monkeypatch.setattr(row_pass, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr(row_pass, "range_size", lambda *_: 2)


@pytest.fixture
def cut_after(monkeypatch):
    whole, done = row_pass.reduce_leaf, []

    def counting(segments, **how):
        if len(done) >= counting.most:
            raise MemoryError("cut here")
        done.append(segments)
        return whole(segments, **how)

    counting.most, counting.done = 10**9, done
    monkeypatch.setattr(row_pass, "reduce_leaf", counting)
    return counting


def reduced(folder=None):
    plan = make_plan(FRAMES, BASIS)
    return bits_of(reduce_rows(plan, ["C", "CN"], store=None, executor=SERIAL, checkpoint=folder))


@pytest.mark.parametrize("damage", [None, flip, cut])
def test_a_pass_that_was_cut_goes_on(place, short_ranges, cut_after, damage, caplog):
    expected = reduced()
    n = len(cut_after.done)
    cut_after.most = n + n // 2
    with pytest.raises(TaskFailed, match="cut here"):
        reduced(place)
    there = sorted(place.glob("*/*.range"))
    assert len(there) >= n // 4 - 1
    for path in there[:1] if damage else ():
        damage(path)
    cut_after.most = 10**9
    before = len(cut_after.done)
    assert reduced(place) == expected
    assert len(cut_after.done) - before == n - 2 * len(there) + 2 * bool(damage)
    assert "goes on from" in caplog.text
    assert ("it was computed again" in caplog.text) == bool(damage)
    assert not place.exists(), "they are deleted when all is done"


def test_a_range_is_as_long_as_on_a_disk(place, tmp_path):
    """Nobody knows how much room a bucket has."""
    sizes = [range_size([30.0] * 64, 2, 1000, 10**9, Checkpoints(folder)) for folder in (place, tmp_path)]
    assert sizes[0] == sizes[1] > 0


def test_checkpoints_have_the_bytes_of_a_disk(place, tmp_path, short_ranges, cut_after):
    n = len(reduced() and cut_after.done)
    for folder in (place, tmp_path):
        cut_after.most = len(cut_after.done) + n // 2
        with pytest.raises(TaskFailed):
            reduced(folder)
    assert files_of(place) == files_of(tmp_path)
    assert any(name.endswith(HEAD) for name in files_of(place))


def test_a_server_that_is_gone_ends_the_pass(place, short_ranges, monkeypatch):
    """And is not taken for a range that is damaged, nor waited for at each range anew."""
    put, left = obstore.put, iter(range(3))

    def asked(*args, **options):
        if next(left, None) is None:
            raise obstore.exceptions.GenericError("error sending request")
        return put(*args, **options)

    monkeypatch.setattr(obstore, "put", asked)
    with pytest.raises(TaskFailed, match="cannot be reached") as caught:
        reduced(place)
    assert isinstance(caught.value.__cause__, ObjectStoreError)
    monkeypatch.setattr(obstore, "put", put)
    assert reduced(place) == reduced()


@pytest.mark.parametrize("gone", ["list", "delete", "list_with_delimiter"])
def test_a_server_that_is_gone_when_all_is_done_is_told_of(place, short_ranges, monkeypatch, caplog, gone):
    """Nothing is lost but that checkpoints stay, which nobody needs any more."""
    expected, discard = reduced(), Checkpoints.discard

    def refuse(*_, **options):
        raise obstore.exceptions.GenericError("error sending request")

    def late(kept):
        with monkeypatch.context() as patch:
            patch.setattr(obstore, gone, refuse)
            discard(kept)

    monkeypatch.setattr(Checkpoints, "discard", late)
    assert reduced(place) == expected
    assert (
        f"checkpoints in {place} were for is complete and written, but not all of them could be deleted" in caplog.text
    )
    monkeypatch.setattr(Checkpoints, "discard", discard)
    caplog.clear()
    assert reduced(place) == expected, "what was left is gone on from"
    assert not place.exists()
    assert "could be deleted" not in caplog.text


# ---- a server


@pytest.fixture(scope="module")
def server():
    made = Server()
    yield made
    made.stop()


@pytest.fixture
def environment(server, monkeypatch):
    monkeypatch.setattr(object_client, "RETRIES", {"max_retries": 3, "seconds": 3.0})

    def use(url=None, **changes):
        for key, value in {**server.environment(url), **changes}.items():
            monkeypatch.setenv(key, value)

    use()
    return use


@pytest.fixture
def url():
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.mark.parametrize(
    ("request_line", "answered"),
    [(r"PUT .*\.f64", False), (r"PUT .*(index\.json|\.frames|\.lock|claims)", True), ("(GET|HEAD)", False)],
)
def test_connections_that_are_lost_are_made_again(server, environment, url, local, request_line, answered):
    proxy = DroppingProxy(server.port, request_line, 3, answered)
    environment(proxy.url)
    made = summarised(url)
    assert len(proxy.done) == 3
    assert bits_of(made) == bits_of(open_summaries(local))
    proxy.stop()
    environment()
    assert files_of(ObjectPath.parse(url)) == files_of(local)


@pytest.mark.parametrize("request_line", [r"PUT .*\.f64", r"PUT .*/index\.json "])
def test_a_server_that_is_gone_in_mid_write(server, environment, url, local, request_line, monkeypatch):
    monkeypatch.setattr(object_path, "TRIES", 2)
    proxy = DroppingProxy(server.port, request_line, 10**6)
    environment(proxy.url)
    with pytest.raises((ObjectStoreError, TaskFailed), match=r"cannot be reached, or .* the same command goes on"):
        summarised(url)
    proxy.stop()
    environment()
    summarised(url)
    assert files_of(ObjectPath.parse(url)) == files_of(local)


def test_commands(tmp_path, environment, url, capsys):
    """A search whose summaries and checkpoints are on the server has the results of one on disk."""
    frames, found = job_frames({"C": 4, "N": 4, "CN": 4})[0], {}
    for name, place in (("local", tmp_path / "kept"), ("far", url)):
        (tmp_path / name).mkdir()
        grid = {"regulariser": [{"kind": "ridge", "alpha": alpha} for alpha in (1e-8, 1e-4)]}
        search = {"summaries": f"{place}", "folds": {"count": 2}, "grid": grid}
        store = {"keep_rows": False, "checkpoint": f"{place}-checkpoints"}
        path = write_job(tmp_path / name, frames, search=search, store=store)
        for verb in ("summarise", "search"):
            assert cli.main([verb, str(path)]) == 0
        found[name] = {p.name: p.read_bytes() for p in (tmp_path / name / "hiertl_results").glob("*.params.txt")}
    assert found["local"] == found["far"] != {}
    assert {p.name for p in (tmp_path / "far").iterdir()} == {"data.extxyz", "hiertl_results", "input.toml"}
    (one,), (other,) = (tmp_path / "kept").iterdir(), ObjectPath.parse(url).iterdir()
    assert files_of(one) == files_of(other)
    for verb in ("check", "repair", "gc", "info"):
        assert cli.main(["store", verb, url]) == 0
    assert "summary store: nothing is wrong" in capsys.readouterr().out
    assert cli.main(["summarise", str(path), "--fresh"]) == 2
    assert "can't be renamed" in capsys.readouterr().err
    environment("http://127.0.0.1:9")
    assert cli.main(["summarise", str(path)]) == 2
    assert "cannot be reached" in capsys.readouterr().err
