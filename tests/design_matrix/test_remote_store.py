"""Design stores on object stores: the same bytes as on disk, damage mended, runs that share them, connections lost."""

from __future__ import annotations

import re
import threading
import uuid
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from job_files import job_frames, write_job
from s3_server import BUCKET, DroppingProxy, Server
from sleeping import Sleeper
from synthetic import random_frames, small_basis

from hiertl_dist import cli
from hiertl_dist.design_matrix import store_claims
from hiertl_dist.design_matrix.assembly import assemble
from hiertl_dist.design_matrix.store import DesignStore
from hiertl_dist.design_matrix.store_claims import CLAIMS, claim_path, move_store_aside
from hiertl_dist.design_matrix.store_layout import TileSpec
from hiertl_dist.errors import HiertlWarning, InputError, LockError, ObjectStoreError
from hiertl_dist.executors.base import TaskFailed
from hiertl_dist.executors.serial import SerialExecutor
from hiertl_dist.executors.shared_folders import leave_token, unseen
from hiertl_dist.files import fences, leases, object_client, object_path
from hiertl_dist.files.claims import take_claim
from hiertl_dist.files.object_path import ObjectPath
from hiertl_dist.fitting.hierarchy import fit_hierarchy
from hiertl_dist.fitting.settings import HierarchyOptions
from hiertl_dist.jobs.stores import stores_at

obstore = pytest.importorskip("obstore", reason="obstore is not installed: pip install 'hiertl-dist[s3]'")

BASIS = small_basis((3, 2, 0))
FRAMES = random_frames({"C": 2, "CN": 2}, atoms=8)
SERIAL = SerialExecutor()


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The same store on disk."""
    return assemble(FRAMES, BASIS, tmp_path_factory.mktemp("local") / "store", executor=SERIAL).store


@pytest.fixture
def place():
    return ObjectPath.parse(f"memory://{uuid.uuid4().hex}/store")


def files_of(folder):
    """Bytes of each file by its name, without what is of locks."""
    files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    return {name: p.read_bytes() for name, p in files.items() if not name.startswith(".lock")}


def test_the_bytes_are_those_of_a_disk(local, place):
    done = assemble(FRAMES, BASIS, place, executor=SERIAL)
    assert files_of(place) == files_of(local.path)
    again = assemble(FRAMES, BASIS, place, executor=SERIAL, verify=True)
    assert (again.computed, again.present) == (0, done.computed)
    (whole,) = stores_at(place)
    assert (whole.check(), whole.leftovers(0.0)) == ([], [])
    (one,) = stores_at(local.path)
    facts = {"path": None, "bytes": None}
    assert {**whole.facts(), **facts} == {**one.facts(), **facts}


def test_zarr_reads_it(place):
    import zarr
    from zarr.storage import ObjectStore

    from hiertl_dist.files.object_client import client

    store = assemble(FRAMES, BASIS, place, executor=SERIAL).store
    rows = zarr.open_group(ObjectStore(client(place.scheme, place.bucket), read_only=True), path=place.key, mode="r")
    tile = store.read("blocks/C", store.keys("blocks/C")[0])
    np.testing.assert_array_equal(rows["blocks/C"][: len(tile)], tile)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


PATTERNS = ("blocks/CN/c/*/0", "labels/kind/c/*/0", "ledger/blocks.C/*.json", "layout.json", "layout.json.copy",
            "zarr.json", "blocks/zarr.json", "frames.sha256")  # fmt: skip


@pytest.mark.parametrize("damage", [flip, ObjectPath.unlink])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_damage_is_named_and_mended(local, place, pattern, damage):
    store = assemble(FRAMES, BASIS, place, executor=SERIAL).store
    path = next(place.glob(pattern))
    damage(path)
    lost_entry = damage is not flip and pattern.startswith("ledger")  # then the tile is only not complete
    assert any(str(path) in fault.text() for fault in stores_at(place)[0].check()) or lost_entry
    if lost_entry:
        assemble(FRAMES, BASIS, place, executor=SERIAL)
    else:
        with pytest.warns(HiertlWarning, match="it was damaged"):
            assemble(FRAMES, BASIS, place, executor=SERIAL, verify=True)
    assert stores_at(place)[0].check() == []
    for array in local.layout()["arrays"]:
        for key in local.keys(array):
            np.testing.assert_array_equal(store.read(array, key), local.read(array, key))


def test_a_store_out_of_reach_is_not_taken_for_a_damaged_one(place, monkeypatch):
    """Else an outage would have whole tiles computed again, or their ledger entries removed."""
    store = assemble(FRAMES, BASIS, place, executor=SERIAL).store
    key, before, (folder,) = store.keys("blocks/C")[0], files_of(place), stores_at(place)
    calls = (
        lambda: assemble(FRAMES, BASIS, place, executor=SERIAL, verify=True), lambda: store.missing([spec]),
        folder.check, folder.repair, folder.facts, lambda: store.read("blocks/C", key), lambda: folder.leftovers(0.0),
    )  # fmt: skip
    rows = store.layout()["arrays"]["blocks/C"]["tiles"][key][2]
    spec = TileSpec("blocks/C", key, rows, 13)

    for lost in range(40):  # the connection is there for so many requests
        left = iter(range(lost))

        def asked(call, *args, left=left, **options):
            if next(left, None) is None:
                raise obstore.exceptions.GenericError("error sending request")
            return call(*args, **options)

        with monkeypatch.context() as patch:
            for name in ("get", "head", "list_with_delimiter"):
                patch.setattr(obstore, name, partial(asked, getattr(obstore, name)))
            with suppress(ObjectStoreError):
                calls[lost % len(calls)]()
                assert lost >= 3, "each asks for more"
    assert files_of(place) == before


def test_runs_at_once_share_the_tiles(local, place):
    runs = []

    def run():
        runs.append(assemble(FRAMES, BASIS, place, executor=SerialExecutor()))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    whole = runs[0]
    assert sum(done.computed for done in runs) == whole.computed + whole.present + whole.by_others
    names = [n for n in files_of(local.path) if n.startswith(("blocks", "labels", "ledger"))]
    assert all(files_of(place)[n] == files_of(local.path)[n] for n in names)
    assert not (place / CLAIMS).exists()


def test_a_tile_of_a_process_that_died_is_taken_over(place, monkeypatch):
    monkeypatch.setattr(leases, "LEASE", 1.2)
    monkeypatch.setattr(leases, "BEAT", 60.0)
    monkeypatch.setattr(store_claims, "POLL", 0.05)
    store = assemble(FRAMES, BASIS, place, executor=SERIAL).store
    (key,) = store.keys("blocks/CN")
    store.ledger_path("blocks/CN", key).unlink()
    take_claim(claim_path(place, "blocks/CN", key))  # and never again
    assert assemble(FRAMES, BASIS, place, executor=SERIAL).computed == 1


def test_who_sleeps_for_longer_than_its_lease_writes_over_nothing(local, place, monkeypatch):
    """While it makes the store, gives tiles their chunks, or takes an entry of the ledger back."""
    sleeper, told, tried = Sleeper(monkeypatch), 0, 0
    other = random_frames({"N": 2}, atoms=8, seed=3)
    for n in range(1, 40, 6):
        place = ObjectPath.parse(f"memory://{uuid.uuid4().hex}/store")
        with pytest.MonkeyPatch.context() as patch:
            meanwhile = partial(assemble, FRAMES, BASIS, place, executor=SERIAL)
            asked = sleeper(patch, (fences.Fence, "require"), n, meanwhile)
            try:
                assemble(other, BASIS, place, executor=SERIAL)
            except LockError as error:
                said = f"the lock of {place} is no longer that of this run: .* has taken it over: process "
                told += re.search(said, str(error)) is not None
                tried += 1
        if len(asked) < n:
            break
        store = DesignStore.open(place)
        for array in local.layout()["arrays"]:
            for key in local.keys(array):
                assert store.read(array, key).shape == local.read(array, key).shape
        assert assemble(FRAMES, BASIS, place, executor=SERIAL).computed == 0, "nothing of the other's is lost"
        assert stores_at(place)[0].check() == []
        assemble(other, BASIS, place, executor=SERIAL)
    assert told == tried > 2


def test_a_store_is_not_renamed(place):
    assert move_store_aside(place) is None
    assemble(FRAMES, BASIS, place, executor=SERIAL)
    with pytest.raises(InputError, match="can't be renamed"):
        move_store_aside(place)


def test_a_fit_from_a_complete_store_that_is_only_to_be_read(place, monkeypatch):
    """As on a disk that can't be written; an outage is no such thing."""
    frames = random_frames({"C": 4, "N": 4, "CN": 6})
    assemble(frames, BASIS, place, executor=SERIAL)
    expected, before = fit_hierarchy(frames, BASIS, executor=SERIAL), files_of(place)
    options = HierarchyOptions(store=place)
    for kind, text in (("GenericError", "error sending request"), ("PermissionDeniedError", "<Code>AccessDenied")):

        def refuse(*_, kind=kind, text=text, **options):
            raise getattr(obstore.exceptions, kind)(text)

        monkeypatch.setattr(obstore, "put", refuse)
        monkeypatch.setattr(object_path, "TRIES", 1)
        if kind == "GenericError":
            with pytest.raises(ObjectStoreError, match="cannot be reached"):
                fit_hierarchy(frames, BASIS, options=options, executor=SERIAL)
            continue
        with pytest.warns(HiertlWarning, match="complete but for what .* predicts, which can't be kept there"):
            fit = fit_hierarchy(frames, BASIS, options=options, executor=SERIAL)
    for name, own in expected.fits.items():
        theirs = fit.fits[name].solution.parameters.coefficients
        assert theirs.tobytes() == own.solution.parameters.coefficients.tobytes()
    with pytest.raises(ObjectStoreError, match="refuses these credentials"):  # rows that the store lacks
        fit_hierarchy([*frames, *random_frames({"CN": 2}, seed=5)], BASIS, options=options, executor=SERIAL)
    assert files_of(place) == before


def test_workers_have_to_reach_the_same_store(place, monkeypatch):
    token = leave_token(place)
    assert unseen(token, seconds=0.0) == ""
    elsewhere = ObjectPath.parse("memory://elsewhere/store")
    assert "there is no folder" in unseen(type(token)(elsewhere, elsewhere, token.name), seconds=0.0)
    token.remove()
    assert not place.exists()
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    assert "pip install 'hiertl-dist[s3]'" in unseen(token, seconds=0.0)


# ---- a server


@pytest.fixture(scope="module")
def server():
    made = Server()
    yield made
    made.stop()


@pytest.fixture
def environment(server, monkeypatch):
    """Of a process that reaches the server, or another URL; attempts are few."""
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
    [(r"PUT .*/c/0/0", False), (r"PUT .*(\.json|\.lock|claims)", True), ("(GET|HEAD)", False), ("(GET|HEAD)", True)],
)
def test_connections_that_are_lost_are_made_again(server, environment, url, local, request_line, answered):
    """In mid-request, or after it was carried out and before its answer was heard."""
    proxy = DroppingProxy(server.port, request_line, 3, answered)
    environment(proxy.url)
    assemble(FRAMES, BASIS, url, executor=SERIAL)
    assert len(proxy.done) == 3
    proxy.stop()
    environment()
    assert files_of(ObjectPath.parse(url)) == files_of(local.path)


@pytest.mark.parametrize("request_line", [r"PUT .*/blocks/CN/c/0/0", r"PUT .*/layout\.json "])
def test_what_was_complete_outlives_a_server_that_is_gone(server, environment, url, local, request_line, monkeypatch):
    monkeypatch.setattr("hiertl_dist.files.object_path.TRIES", 3)
    proxy = DroppingProxy(server.port, request_line, 10**6)
    environment(proxy.url)
    with pytest.raises((ObjectStoreError, TaskFailed), match=r"cannot be reached, or .* the same command goes on"):
        assemble(FRAMES, BASIS, url, executor=SERIAL)
    proxy.stop()
    environment()
    left = files_of(ObjectPath.parse(url))
    assert all(left[n] == files_of(local.path)[n] for n in left if "/c/" in n), "no chunk is there in part"
    done = assemble(FRAMES, BASIS, url, executor=SERIAL)
    assert done.present == sum("ledger/blocks" in n or "ledger/labels.target" in n for n in left)
    for array in local.layout()["arrays"]:
        for key in local.keys(array):
            np.testing.assert_array_equal(done.store.read(array, key), local.read(array, key))


def test_commands(tmp_path, environment, url, capsys):
    """A fit from a store that is on the server has the bits of one from a disk."""
    frames = job_frames({"C": 4, "N": 4, "CN": 4})[0]
    results = {}
    for name, store in (("local", "design.zarr"), ("far", url)):
        (tmp_path / name).mkdir()
        path = write_job(tmp_path / name, frames, store={"path": store}, fit={"weights": {"force": 1.0}})
        assert cli.main(["fit", str(path)]) == 0
        folder = tmp_path / name / "hiertl_results"
        results[name] = {p.name: p.read_bytes() for p in folder.glob("*.params.txt")}
    assert results["local"] == results["far"] != {}
    assert sorted(p.name for p in (tmp_path / "far").iterdir()) == ["data.extxyz", "hiertl_results", "input.toml"]
    for verb in ("check", "repair", "gc", "info"):
        assert cli.main(["store", verb, url]) == 0
    assert "design store: nothing is wrong" in capsys.readouterr().out
    assert cli.main(["fit", str(tmp_path / "far" / "input.toml"), "--fresh"]) == 2
    assert "can't be renamed" in capsys.readouterr().err
    assert DesignStore.open(next(ObjectPath.parse(url).iterdir())).nbytes() > 0


def test_what_is_wrong_with_an_environment_is_said(tmp_path, environment, url, capsys):
    path = write_job(tmp_path, job_frames({"C": 2})[0], store={"path": "s3://no-such-bucket/x"})
    assert cli.main(["assemble", str(path)]) == 2
    assert "has no such bucket" in capsys.readouterr().err
    write_job(tmp_path, job_frames({"C": 2})[0], store={"path": url})
    environment("http://127.0.0.1:9")
    assert cli.main(["assemble", str(path)]) == 2
    said = capsys.readouterr().err
    assert "http://127.0.0.1:9 cannot be reached" in said
    assert "SECRET" not in said
    assert cli.main(["store", "check", "s3://bucket/none"]) == 2
