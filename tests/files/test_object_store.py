"""Places on object stores, conditional writes, and the leases that stand in for locks; in a store of this process."""

from __future__ import annotations

import json
import os
import pickle
import sys
import threading
import time
import uuid

import numpy as np
import pytest

from hiertl_dist.errors import InputError, LockError, ObjectStoreError
from hiertl_dist.files import claims, leases, object_path
from hiertl_dist.files.claims import is_claimed, living, take_claim
from hiertl_dist.files.locks import LOCK, locked
from hiertl_dist.files.object_path import ObjectPath
from hiertl_dist.files.paths import named_place, opened, replacing
from hiertl_dist.files.signatures import signed_by
from hiertl_dist.files.store_use import use_stores

obstore = pytest.importorskip("obstore", reason="obstore is not installed: pip install 'hiertl-dist[s3]'")


@pytest.fixture
def folder():
    return ObjectPath.parse(f"memory://{uuid.uuid4().hex}/some/store")


@pytest.fixture
def short(monkeypatch):
    """Leases that end soon and that nobody renews."""
    monkeypatch.setattr(leases, "LEASE", 0.2)
    monkeypatch.setattr(leases, "BEAT", 30.0)


@pytest.mark.parametrize("url", ["s3:/", "s3://", "s3://b/x", "s3://bucket//x", "s3://bucket/../x", "s3://bucket/a?b",
                                 "s3://Bucket/x", "s3://bucket/a\n"])  # fmt: skip
def test_urls_that_are_no_places(url):
    with pytest.raises(InputError, match="store: expected "):
        named_place(url, "store")


def test_places_are_named_as_by_pathlib():
    place = named_place("s3:/bucket/a/b.c", "store")  # as pathlib has it
    assert str(place) == "s3://bucket/a/b.c" == str(pickle.loads(pickle.dumps(place)))
    assert (place.name, place.stem, place.suffix) == ("b.c", "b", ".c")
    assert [str(p) for p in place.parents] == ["s3://bucket/a", "s3://bucket"]
    assert place.parent.parent.parent / "x" == ObjectPath.parse("s3://bucket/x/")
    assert place.with_name("d") in {ObjectPath.parse("s3://bucket/a/d")}
    assert place.relative_to(place.parent).parts == ("b.c",)
    with pytest.raises(TypeError):
        os.fspath(place)  # lest a folder "s3:" be made


NAMES = ("zarr.json", "a/zarr.json", "b/c/0/0", "b/c/1/0", "b/c/1/1", "ledger/b.C/x.json", "ledger/b.C/x.txt")


def test_lists_are_those_of_a_disk(folder, tmp_path):
    for root in (folder, tmp_path):
        for name in NAMES:
            with replacing(root / name) as stream:
                stream.write(name.encode())
    for pattern in ("*", "*/zarr.json", "*/*.json", "*/c/*/0", "*/*/*.json", "zarr.json", "none/*"):
        # of more than two parts, objects alone
        on_disk = [p for p in tmp_path.glob(pattern) if pattern.count("/") < 2 or p.is_file()]
        names = sorted(str(p.relative_to(tmp_path)) for p in on_disk)
        assert sorted(str(p.relative_to(folder)) for p in folder.glob(pattern)) == names, pattern
    assert sorted(p.read_text() for p in folder.rglob("*")) == sorted(NAMES)
    assert sorted(p.read_text() for p in folder.rglob("*.json")) == sorted(n for n in NAMES if n.endswith(".json"))
    for name in ("zarr.json", "a", "b/c", "none", "zarr"):
        one, other = folder / name, tmp_path / name
        assert (one.exists(), one.is_file(), one.is_dir()) == (other.exists(), other.is_file(), other.is_dir()), name
    moved = (folder / "zarr.json").rename(folder / "x")
    assert (moved.read_text(), (folder / "zarr.json").exists(), moved.stat().st_size) == ("zarr.json", False, 9)
    for call in (lambda p: p.read_bytes(), lambda p: p.stat(), lambda p: p.open("rb").__enter__()):
        with pytest.raises(FileNotFoundError) as caught:
            call(folder / "none")
        assert caught.value.filename == str(folder / "none")


def test_objects_are_read_by_ranges(folder, monkeypatch):
    monkeypatch.setattr(object_path, "RANGE", 1000)
    data = np.random.default_rng(0).bytes(4567)
    (folder / "x").write_bytes(data)
    with opened(folder / "x") as (stream, size):
        assert size == 4567
        for start, length in ((0, 10), (990, 2005), (4000, 900), (3, 1), (4567, 5)):
            stream.seek(start)
            buffer = np.zeros((length, 1), np.uint8)
            assert stream.readinto(buffer.data) == len(data[start : start + length])
            assert buffer.tobytes()[: len(data) - start] == data[start : start + length]
        assert len(stream._data) <= 1000, "no more than a range is in memory"
        (folder / "x").write_bytes(data[::-1])
        stream.seek(0)
        with pytest.raises(ValueError, match="it was written again while it was read"):
            stream.readinto(bytearray(4))


def test_a_file_that_ends_in_an_error_is_not_written(folder):
    with pytest.raises(TypeError), replacing(folder / "x") as stream:
        stream.writelines([b"half", None])
    assert not folder.exists()


def test_writes_with_a_condition(folder):
    place = folder / "x"
    first = place.write_if(b"1", None)
    assert place.write_if(b"2", None) is None
    second = place.write_if(b"3", first)
    assert place.write_if(b"4", first) is None
    assert place.read_with_tag() == (b"3", second)


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_write_with_a_condition_whose_answer_was_lost(folder, monkeypatch, carried_out):
    put, lost = obstore.put, []

    def losing(*args, **options):
        if len(lost) < 2:
            lost.append(None)
            if carried_out:
                put(*args, **options)
            raise obstore.exceptions.GenericError("error sending request")
        return put(*args, **options)

    monkeypatch.setattr(obstore, "put", losing)
    tag = (folder / "x").write_if(b"1", None)
    assert (folder / "x").read_with_tag() == (b"1", tag)
    assert len(lost) == (1 if carried_out else 2)


# ---- claims and locks


def test_a_claim_is_one_process_at_a_time(folder):
    claim = take_claim(folder / "claim")
    assert not claim.after_death
    assert take_claim(folder / "claim") is None
    assert is_claimed(folder / "claim")
    assert list(living(folder, "cl*")) == [folder / "claim"]
    assert f"process {os.getpid()} on " in signed_by(folder / "claim")
    claim.let_go()
    assert not is_claimed(folder / "claim")
    assert not folder.is_dir(), "nothing is left"


def test_who_removes_what_the_dead_have_left_is_not_taken_for_one_that_is_at_work(folder):
    removing = take_claim(folder / "claim")
    threading.Timer(claims.SECONDS_BETWEEN_LOOKS, removing.let_go).start()
    assert list(living(folder, "claim")) == []


def test_of_many_that_want_a_claim_one_has_it(folder):
    leases._clock(folder / "claim")
    taken = []
    threads = [threading.Thread(target=lambda: taken.append(take_claim(folder / "claim"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in taken) == 1


def test_an_expired_lease_is_taken_over_and_its_owner_notices(folder, short):
    first = take_claim(folder / "claim")
    time.sleep(1.3)  # the server's times may be of whole seconds
    assert not is_claimed(folder / "claim")
    second = take_claim(folder / "claim")
    assert second.after_death
    assert not first.renew()
    first.let_go()
    assert json.loads((folder / "claim").read_bytes())["token"] == second._content["token"], "it is not deleted"
    second.let_go()


def test_a_lease_that_is_renewed_does_not_expire(folder, monkeypatch):
    monkeypatch.setattr(leases, "LEASE", 1.5)
    monkeypatch.setattr(leases, "BEAT", 0.1)
    claim = take_claim(folder / "claim")
    time.sleep(2.0)
    assert is_claimed(folder / "claim")
    assert claim._content["beat"] > 5
    claim.let_go()


def test_what_is_written_under_a_lost_lock_is_refused(folder, short):
    with locked(folder):
        (folder / "a.json").write_bytes(b"mine")
        (folder / "a.json").write_bytes(b"mine again")
        time.sleep(1.3)
        other = leases.take_lease(folder / LOCK)
        assert other.after_death
        tag = (folder / "a.json").read_with_tag()[1]
        (folder / "a.json").write_if(b"the other's", tag)
        with pytest.raises(LockError, match=rf"a\.json: it is left as it is, .* it over: process {os.getpid()} on "):
            (folder / "a.json").write_bytes(b"too late")
    assert (folder / "a.json").read_bytes() == b"the other's"
    assert is_claimed(folder / LOCK), "the lock of the other is as it was"
    other.set_free()
    with locked(folder):  # a free one is taken at once
        (folder / "a.json").write_bytes(b"in turn")
    assert (folder / "a.json").read_bytes() == b"in turn"


def test_a_held_lock_is_waited_for_as_long_as_is_allowed(folder):
    with locked(folder), use_stores(wait=0.2):
        second = locked(folder)
        with pytest.raises(LockError, match=rf"process {os.getpid()} on .*, after 0 s,"):
            second.__enter__()
    with locked(folder):
        pass


def test_a_server_that_keeps_to_no_conditions_is_refused(folder, monkeypatch):
    put = obstore.put
    monkeypatch.setattr(obstore, "put", lambda *args, mode=None, **options: put(*args, **options))
    with pytest.raises(LockError, match="does not keep to conditions of writes"), locked(folder):
        pass
    assert not folder.is_dir()


# ---- what servers refuse

STRING_TO_SIGN = "<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code><Message>It is wrong</Message>\
<AWSAccessKeyId>AKID</AWSAccessKeyId><StringToSign>GET hidden</StringToSign></Error>"
REFUSALS = {
    ("PermissionDeniedError", f"403 Forbidden: {STRING_TO_SIGN}"): "refuses these credentials (SignatureDoesNotMatch",
    ("GenericError", "PUT http://169.254.169.254/latest/api/token"): "there are no credentials: expected AWS_ACCESS_",
    ("GenericError", "404: <Code>NoSuchBucket</Code>"): "has no such bucket",
    ("GenericError", "301: <Code>PermanentRedirect</Code>"): "of another region (PermanentRedirect): name it by AWS_R",
    ("GenericError", "status code: 507 Full: <Code>XMinioStorageFull</Code>"): "answers XMinioStorageFull.",
    ("GenericError", "status code: 503 Slow"): "answers status 503.",
    ("GenericError", "PUT http://user:hidden@host/x: error sending request\n\nDebug"): "cannot be reached, or the",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), REFUSALS)
def test_refusals_say_what_to_do_and_no_secret(folder, monkeypatch, kind, text):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:hidden@localhost:9")

    def refuse(*args, **options):
        raise getattr(obstore.exceptions, kind)(text)

    for name in ("put", "get", "head", "list", "delete"):
        monkeypatch.setattr(obstore, name, refuse)
    calls = (lambda: (folder / "x").write_bytes(b""), (folder / "x").read_bytes, (folder / "x").stat, folder.is_dir,
             (folder / "x").unlink)  # fmt: skip
    for call in calls:
        with pytest.raises(ObjectStoreError) as caught:
            call()
        said = str(caught.value)
        assert REFUSALS[kind, text] in said
        assert said.startswith(f"{folder}")
        assert "hidden" not in said
        assert "AKID" not in said
        assert caught.value.__cause__ is None


def test_without_obstore_the_line_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(InputError, match=r"pip install 'hiertl-dist\[s3\]'"):
        named_place("s3://bucket/x", "store")
