"""Data sets on object stores: the same bytes as on disk, damage mended, imports that were stopped, connections lost."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import re
import threading
import uuid
from contextlib import suppress
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from job_files import job_frames, write_extxyz, write_job
from s3_server import BUCKET, DroppingProxy, Server
from sleeping import Sleeper, forget
from synthetic import random_frames, small_basis

from hiertl_dist import cli, fit_hierarchy, read_frames
from hiertl_dist.dataset import dataset_checks, importing, part_reader, parts, streaming, unpacking
from hiertl_dist.dataset import folder as data_folder
from hiertl_dist.dataset.dataset import Dataset
from hiertl_dist.dataset.dataset_index import INDEX, is_dataset
from hiertl_dist.errors import LockError, MissingFileError, ObjectStoreError, StoreError
from hiertl_dist.executors.base import TaskFailed
from hiertl_dist.executors.serial import SerialExecutor
from hiertl_dist.files import fences, locks, object_client, object_path
from hiertl_dist.files.locks import LOCK, locked
from hiertl_dist.files.object_path import ObjectPath
from hiertl_dist.files.store_use import use_stores
from hiertl_dist.jobs.stores import stores_at

obstore = pytest.importorskip("obstore", reason="obstore is not installed: pip install 'hiertl-dist[s3]'")

SERIAL = SerialExecutor()
BASIS = small_basis((3, 2, 0))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A file in small runs, and what it is imported to on disk."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        small_parts(patch)
        file = folder / "a.extxyz"
        write_extxyz(file, random_frames({"C": 8, "N": 4, "CN": 17}, groups=("liquid", "solid")))
        local = Dataset.create(folder / "local", file, group_key="config", executor=SERIAL)
        yield SimpleNamespace(file=file, local=local, frames=list(local))


def small_parts(patch):
    patch.setattr(importing, "RUN", 16000)
    patch.setattr(streaming, "MOST_FRAMES", 4)
    for name, rows in (("CHUNK", (4, 40)), ("BLOCK", (2, 8))):
        patch.setattr(parts, name, dict(zip(("frames", "atoms"), rows, strict=True)))
    for reader in (part_reader, dataset_checks):
        patch.setattr(reader, "BLOCK", parts.BLOCK)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    small_parts(monkeypatch)


@pytest.fixture
def place():
    return new_place()


def new_place():
    return ObjectPath.parse(f"memory://{uuid.uuid4().hex}/data")


def create(place, file, **options):
    return Dataset.create(place, file, group_key="config", executor=SERIAL, **options)


def files_of(folder):
    """Bytes of each file by its name, without what is of locks, and without the name that a data set gives itself."""
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    files = {name: data for name, data in files.items() if not name.startswith(LOCK)}
    for name in (INDEX, f"{INDEX}.copy"):
        if name in files:
            files[name] = {k: v for k, v in json.loads(files[name]).items() if k not in ("id", "sha256")}
    return files


def test_the_bytes_are_those_of_a_disk(made, place):
    data = create(place, made.file)
    assert files_of(place) == files_of(made.local.path)
    assert len(data._index.parts) > 2
    assert [f.digest for f in data] == [f.digest for f in made.frames]
    assert create(place, made.file).imports == data.imports, "nothing is done again"
    (whole,), (own,) = stores_at(place), stores_at(made.local.path)
    assert (whole.check(), whole.leftovers(0.0), whole.repair()) == ([], [], ([], []))
    assert {**whole.facts(), "path": "", "id": ""} == {**own.facts(), "path": "", "id": ""} | {
        "bytes": whole.facts()["bytes"]
    }


def test_any_frames_are_read_as_from_a_disk(made, place):
    data, rng = create(place, made.file), np.random.default_rng(0)
    drawn = (rng.integers(0, 29, n) for n in (5, 40))
    for numbers in (np.array([3]), np.array([0, 28]), np.array([28, 1, 1, 17]), *drawn):
        one, other = pickle.loads(pickle.dumps(data.take(numbers))), made.local.take(numbers)
        assert [(f.digest, f.origin, f.group) for f in one] == [(f.digest, f.origin, f.group) for f in other]
        assert (one.digests == other.digests).all()
        np.testing.assert_array_equal(one.stresses, other.stresses)
        np.testing.assert_array_equal(one.facts.energies, other.facts.energies)
    fits = [fit_hierarchy(own, BASIS, executor=SERIAL).fits for own in (data, made.local)]
    for name, fit in fits[0].items():
        theirs = fits[1][name].solution.parameters.coefficients
        assert fit.solution.parameters.coefficients.tobytes() == theirs.tobytes()


def test_a_chunk_is_one_request(made, place, monkeypatch):
    """Blocks that lie apart in it are read with what is between them."""
    data, asked = create(place, made.file), []
    get = obstore.get

    def counted(store, key, **options):
        asked.append(key)
        return get(store, key, **options)

    monkeypatch.setattr(obstore, "get", counted)
    reader = part_reader.PartReader(place, data._index, 0)
    n = data._index.parts[0].atoms
    assert n > 40
    rows = reader._rows("atoms/positions", np.array([0, 17, n - 1]))
    chunks = [key for key in asked if "positions" in key]
    assert len(chunks) == len(set(chunks)) == 2, chunks
    np.testing.assert_array_equal(rows, np.concatenate([f.positions for f in made.frames])[[0, 17, n - 1]])


def test_packed_files_pass_through_objects(made, place, tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "LEAST_RUNS", 2)
    monkeypatch.setattr(unpacking, "RUNS_PER_WORKER", 2)
    (packed := tmp_path / "p.extxyz.gz").write_bytes(gzip.compress(made.file.read_bytes()))
    write, seen = importing.write_part, []

    def counting(*args):
        seen.append(len(list((place / unpacking.SCRATCH).iterdir())))
        write(*args)

    monkeypatch.setattr(importing, "write_part", counting)
    data = create(place, packed)
    assert 0 < max(seen) <= 4
    assert not (place / unpacking.SCRATCH).exists()
    own, other = files_of(place), files_of(made.local.path)
    arrays = [name for name in other if name.startswith(("frames", "atoms"))]
    assert all(own[name] == other[name] for name in arrays)
    assert len(data) == len(made.frames)


def test_an_import_that_was_stopped_goes_on(made, place, monkeypatch):
    write, numbers = importing.write_part, []

    def stopping(folder, part, *args):
        if len(numbers) == 2:
            raise KeyboardInterrupt
        numbers.append(part.number)
        write(folder, part, *args)

    monkeypatch.setattr(importing, "write_part", stopping)
    with pytest.raises(KeyboardInterrupt):
        create(place, made.file)
    with pytest.raises(MissingFileError, match="an import that was not finished"):
        Dataset(place)
    assert stores_at(place)[0].facts()["kind"] == "data set that was not finished"
    numbers.append(None)
    data = create(place, made.file)
    assert len(set(numbers)) == len(numbers) == len(data._index.parts) + 1
    assert files_of(place) == files_of(made.local.path)


def test_frames_are_appended(made, place, tmp_path):
    create(place, made.file)
    write_extxyz(tmp_path / "b.extxyz", random_frames({"N": 3}, seed=7))
    with pytest.raises(StoreError, match="there is a data set of 29 frames already"):
        create(place, tmp_path / "b.extxyz")
    data = Dataset.create(place, tmp_path / "b.extxyz", append=True, executor=SERIAL)
    assert [f.digest for f in data][29:] == [f.digest for f in read_frames(tmp_path / "b.extxyz")]


def forgotten():
    """As by another process."""
    part_reader._arrays.__init__(part_reader.KEPT, lambda array: int(array.nbytes))
    part_reader._ledgers.__init__(256, lambda _: 1)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


PATTERNS = ("zarr.json", "dataset.json", "ledger/00000001.json", "frames/numbers/c/1/0",
            "atoms/positions/c/1/0", "atoms/zarr.json", "atoms/forces/zarr.json")  # fmt: skip


@pytest.mark.parametrize("damage", [flip, cut, ObjectPath.unlink])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_damage_is_named_and_mended(made, place, pattern, damage):
    create(place, made.file)
    path = next(place.glob(pattern))
    damage(path)
    (store,) = stores_at(place)
    assert any(str(path) in fault.text() for fault in store.check())
    if "/c/" in pattern or "ledger" in pattern:
        forgotten()
        with pytest.raises(StoreError, match="'hiertl-dist store repair' of this folder"):
            Dataset(place).table()
    assert store.repair()[1] == []
    create(place, made.file)
    (store,) = stores_at(place)
    assert store.check() == []
    assert [f.digest for f in Dataset(place)] == [f.digest for f in made.frames]
    store.remove(store.leftovers(0.0))
    assert files_of(place) == files_of(made.local.path)


def test_a_data_set_out_of_reach_is_not_taken_for_a_damaged_one(made, place, monkeypatch):
    data, before, (own,) = create(place, made.file), files_of(place), stores_at(place)
    copy = (place / f"{INDEX}.copy").read_bytes()
    calls = (own.check, own.repair, own.facts, lambda: own.leftovers(0.0), lambda: Dataset(place).table(),
             lambda: create(place, made.file), lambda: data.take(np.array([2, 20])).digests)  # fmt: skip
    for lost in range(35):  # the connection is there for so many requests
        left = iter(range(lost))

        def asked(call, *args, left=left, **options):
            if next(left, None) is None:
                raise obstore.exceptions.GenericError("error sending request")
            return call(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(object_path, "TRIES", 1)
            for name in ("get", "head", "list_with_delimiter"):
                patch.setattr(obstore, name, partial(asked, getattr(obstore, name)))
            with suppress(ObjectStoreError):
                forgotten()
                calls[lost % len(calls)]()
    assert files_of(place) == before
    assert (place / f"{INDEX}.copy").read_bytes() == copy


def test_one_imports_at_a_time(made, place, tmp_path):
    """Who comes second waits, or is refused, as the option says."""
    write_extxyz(tmp_path / "b.extxyz", random_frames({"N": 3}, seed=7))
    begun, end = threading.Event(), threading.Event()

    def hold():
        with locked(place):
            begun.set()
            end.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(20)
    for option in ({"in_use": "refuse"}, {"wait": 0.3}):
        with use_stores(**option), pytest.raises(LockError, match="waits no longer"):
            create(place, made.file)
    waiting = threading.Thread(target=create, args=(place, made.file))
    waiting.start()
    end.set()
    thread.join(20)
    waiting.join(20)
    assert files_of(place) == files_of(made.local.path)


@pytest.fixture
def asleep(monkeypatch):
    return Sleeper(monkeypatch)


MORE_FRAMES = random_frames({"C": 26, "CN": 6}, seed=7)


@pytest.mark.parametrize(("packed", "appended", "step"), [(False, False, 41), (False, True, 71), (True, False, 71)])
def test_who_sleeps_for_longer_than_its_lease_writes_over_nothing(made, tmp_path, asleep, packed, appended, step):
    """Wherever in its import it falls asleep: what the other has made is there to the last byte, and it is named."""
    write_extxyz(tmp_path / "b.extxyz", MORE_FRAMES)
    write_extxyz(tmp_path / "c.extxyz", random_frames({"N": 2}, seed=8))
    mine, n, told, tried = tmp_path / "b.extxyz", 0, 0, 0
    if packed:
        mine = tmp_path / "b.extxyz.gz"
        mine.write_bytes(gzip.compress((tmp_path / "b.extxyz").read_bytes()))

    def first(place):
        if appended:
            create(place, tmp_path / "c.extxyz")

    other = new_place()
    first(other)
    create(other, made.file, append=appended)
    expected = files_of(other)
    while n < 1000:
        n += 2 if n < 4 else step
        place = new_place()
        first(place)
        with pytest.MonkeyPatch.context() as patch:
            asked = asleep(patch, (fences.Fence, "require"), n, lambda at=place: create(at, made.file, append=appended))
            try:
                create(place, mine, append=appended)
                assert len(asked) < n, "it was asked, and went on"
                break
            except (LockError, TaskFailed) as error:
                said = f"the lock of {place} is no longer that of this run: .* taken it over: process {os.getpid()} on "
                told += re.search(said, str(error)) is not None
                tried += 1
        theirs = {name: data for name, data in files_of(place).items() if not name.startswith(unpacking.SCRATCH)}
        left = {name for name in theirs if name not in expected}
        assert {name: theirs[name] for name in expected} == expected
        assert all(re.match(r"(ledger/|(frames|atoms)/\w+/c/)", name) for name in left)
        assert [store.check() for store in stores_at(place)] == [[]]
        # what is left is of parts that no data set has: the next import writes over it
        assert len(Dataset.create(place, mine, append=True, executor=SERIAL)) == len(Dataset(other)) + len(MORE_FRAMES)
        assert [store.check() for store in stores_at(place)] == [[]]
    assert told == tried > 2


def test_a_write_that_was_on_its_way_is_refused(made, tmp_path, asleep):
    """One that was found to be in order, and reaches the server after another has taken over and written there."""
    write_extxyz(tmp_path / "b.extxyz", MORE_FRAMES)
    other = new_place()
    create(other, made.file)
    expected, n, refused = files_of(other), 0, 0

    def other_run(place):
        with suppress(StoreError):  # the first had come to its end
            create(place, made.file)

    while n < 1000:
        n += 31
        place = new_place()
        with pytest.MonkeyPatch.context() as patch:
            asked = asleep(patch, (obstore, "put"), n, lambda at=place: other_run(at))
            try:
                create(place, tmp_path / "b.extxyz")
                if len(asked) < n:
                    break
            except (LockError, StoreError, TaskFailed):
                refused += 1
        if is_dataset(place) and len(Dataset(place)) == len(made.frames):
            assert {name: data for name, data in files_of(place).items() if name in expected} == expected
    assert refused > 2


def test_workers_write_for_who_has_the_lock(made, place, tmp_path, asleep):
    """Those of other processes, too, which go on while the one that has the lock sleeps."""
    create(place, made.file)
    data = Dataset(place)
    table, before = data.table(), files_of(place)
    part = parts.Part(99, len(table), int(table.starts[-1]), 99, 99)
    with locked(place):
        lock = locks.held(place)
        with pytest.MonkeyPatch.context() as worker:
            forget(worker)
            with locks.written_for(pickle.loads(pickle.dumps(lock))):
                parts.write_part(place, part, table, {})
                parts.write_part(place, part, table, {})
            whole = files_of(place)
            assert len(whole) > len(before)
            asleep.sleep()
            with locked(place):
                for name in whole.keys() - before.keys():
                    (place / name).write_bytes(b"another's")
                theirs = files_of(place)
                with pytest.raises(LockError, match="taken it over: process"), locks.written_for(lock):
                    parts.write_part(place, part, table, {})
                with pytest.raises(LockError, match="taken it over: process"), locks.written_for(lock):
                    next(place.glob("ledger/*")).unlink()
            assert files_of(place) == theirs


def test_nothing_is_deleted_by_gc_that_has_lost_its_lock(made, place, asleep, monkeypatch):
    """Nor what somebody has written again since it was looked at."""
    create(place, made.file)
    chunk = place / "atoms/positions/c/99/0"
    chunk.write_bytes(b"of nobody")
    (store,) = stores_at(place)
    (found,) = store.leftovers(0.0)
    with monkeypatch.context() as patch:
        asleep(patch, (fences.Fence, "require"), 1, lambda: locked(place).__enter__())
        with pytest.raises(LockError, match=r"c/99/0: it is left as it is, .* taken it over: process"):
            store.remove([found])
    assert chunk.exists()
    (place / LOCK).delete()
    looked = type(store).leftovers

    def written_meanwhile(self, age):
        own = looked(self, age)
        chunk.write_bytes(b"of somebody")
        return own

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "leftovers", written_meanwhile)
        assert store.remove([found]) == 0
    assert chunk.read_bytes() == b"of somebody"
    assert store.remove(store.leftovers(0.0)) == len(b"of somebody")
    assert files_of(place) == files_of(made.local.path)


def test_an_import_is_done_once_its_index_is_written(made, place, monkeypatch):
    """That a server is gone before what others have left there is deleted takes nothing from it."""
    whole, index_of = importing.finish, data_folder.write_index

    def refuse(*_, **options):
        raise obstore.exceptions.GenericError("error sending request")

    def finished(*args):
        with monkeypatch.context() as patch:
            written = lambda *own: (index_of(*own), patch.setattr(obstore, "list_with_delimiter", refuse))  # noqa: E731
            patch.setattr(data_folder, "write_index", written)
            return whole(*args)

    monkeypatch.setattr(importing, "finish", finished)
    assert len(create(place, made.file)) == len(made.frames)
    assert files_of(place) == files_of(made.local.path)


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
    [("PUT .*/c/[01]/0", False), (r"PUT .*(dataset\.json|ledger|\.lock)", True), ("(GET|HEAD)", False)],
)
def test_connections_that_are_lost_are_made_again(server, environment, url, made, request_line, answered):
    proxy = DroppingProxy(server.port, request_line, 3, answered)
    environment(proxy.url)
    data = create(url, made.file)
    assert len(proxy.done) == 3
    assert len(data.table()) == 29
    proxy.stop()
    environment()
    assert files_of(ObjectPath.parse(url)) == files_of(made.local.path)


def test_what_was_complete_outlives_a_server_that_is_gone(server, environment, url, made, monkeypatch):
    monkeypatch.setattr(object_path, "TRIES", 2)
    proxy = DroppingProxy(server.port, "PUT .*/ledger/00000002", 10**6)
    environment(proxy.url)
    with pytest.raises(Exception, match=r"cannot be reached, or .* the same command goes on"):
        create(url, made.file)
    proxy.stop()
    environment()
    left = files_of(ObjectPath.parse(url))
    assert {n for n in left if n.startswith("ledger")} == {f"ledger/0000000{k}.json" for k in range(2)}
    create(url, made.file)
    assert files_of(ObjectPath.parse(url)) == files_of(made.local.path)


def test_who_sleeps_beside_another_on_a_server(environment, url, made, tmp_path, asleep):
    write_extxyz(tmp_path / "b.extxyz", MORE_FRAMES)
    with pytest.MonkeyPatch.context() as patch:
        asleep(patch, (fences.Fence, "require"), 40, lambda: create(url, made.file))
        with pytest.raises((LockError, TaskFailed), match=f"lock of {url} is no longer that of this run: .* it over"):
            create(url, tmp_path / "b.extxyz")
    theirs = files_of(ObjectPath.parse(url))
    assert {name: theirs[name] for name in files_of(made.local.path)} == files_of(made.local.path)


def test_commands(tmp_path, environment, url, capsys):
    """A fit, a plan and an evaluation of a data set on the server are those of one on disk."""
    frames = job_frames({"C": 4, "N": 4, "CN": 4})[0]
    write_extxyz(tmp_path / "all.extxyz", frames)
    results, evaluated = {}, {}
    for name, data in (("local", str(tmp_path / "data")), ("far", url)):
        assert cli.main(["import", data, str(tmp_path / "all.extxyz"), "--executor", "serial"]) == 0
        assert f'[[data]] path = "{data}"' in capsys.readouterr().out
        (tmp_path / name).mkdir()
        path = write_job(tmp_path / name, [], data=[{"path": data}], fit={"weights": {"force": 1.0}})
        assert cli.main(["plan", str(path)]) == 0
        assert cli.main(["fit", str(path)]) == 0
        folder = tmp_path / name / "hiertl_results"
        results[name] = {p.name: p.read_bytes() for p in folder.glob("*.params.txt")}
        capsys.readouterr()
        model = str(next(folder.glob("*.params.txt")))
        assert cli.main(["evaluate", model, "--frames", data, "--json"]) == 0
        evaluated[name] = json.loads(capsys.readouterr().out)
        assert cli.main(["init", data, "-o", str(tmp_path / name / "suggested.toml")]) == 0
        assert f'"{data}"' in (tmp_path / name / "suggested.toml").read_text()
    assert results["local"] == results["far"] != {}
    assert {**evaluated["local"], "sources": 0} == {**evaluated["far"], "sources": 0}
    for verb in ("check", "repair", "gc", "info"):
        assert cli.main(["store", verb, url]) == 0
    assert "data set: nothing is wrong" in capsys.readouterr().out


def test_what_is_wrong_is_said(tmp_path, environment, url, made, capsys):
    file = str(made.file)

    def refused(*arguments):
        assert cli.main(list(arguments)) == 2
        return capsys.readouterr().err

    assert "has no such bucket" in refused("import", "s3://no-such-bucket/x", file, "--executor", "serial")
    assert "expected s3://BUCKET/NAME" in refused("import", "s3://X/y", file)
    path = write_job(tmp_path, job_frames({"C": 2})[0], data=[{"path": url}])
    assert f"there is no data set {url}; s3://bucket has" in refused("plan", str(path))
    assert "'hiertl-dist import " in refused("evaluate", file, "--frames", url)
    assert "is read of" not in refused("import", url, "s3://bucket/a.extxyz")
    environment("http://127.0.0.1:9")
    said = refused("import", url, file, "--executor", "serial")
    assert "http://127.0.0.1:9 cannot be reached" in said
    assert "SECRET" not in said
