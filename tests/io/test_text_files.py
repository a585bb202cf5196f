"""Files in any packing, with any ending, in any encoding; and those that are not there."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
from pathlib import Path

import pytest

from hiertl_dist.dataset.dataset import Dataset
from hiertl_dist.errors import FrameError, HiertlError, InputError, MissingFileError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.frames.label_summary import summarise_labels
from hiertl_dist.io.text_files import default_groups, names_apart
from hiertl_dist.io.trajectories import read_frames

EXTXYZ = '2\nLattice="8 0 0 0 9 0 0 0 10" author="Müller" energy=-1\nC 0 0 0\nN 1.5 0 0\n'
XYZF = "2\n8 9 10 -1\nC 0 0 0\nN 1.5 0 0\n"
PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, "": bytes}


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("ending", [".extxyz", ".XYZ", ".EXTXYZ", ".exyz", ".XYZF", ".xyzf", ".ExtXYZ"])
@pytest.mark.parametrize("upper", [False, True])
def test_packings_and_endings(tmp_path, packing, ending, upper):
    path = tmp_path / f"a.b{ending}{packing.upper() if upper else packing}"
    path.write_bytes(PACKERS[packing]((XYZF if "f" in ending.lower() else EXTXYZ).encode()))
    (frame,) = read_frames(path)
    assert frame.group == "a.b"
    assert frame.energy is not None
    assert read_frames(f"{tmp_path}/*{path.suffix}")[0].digest == frame.digest


@pytest.mark.parametrize(
    ("paths", "names", "groups"),
    [
        ("a/OUTCAR", "OUTCAR", "OUTCAR"), ("/d/a.xyz /e/b.xyz.gz", "a.xyz b.xyz.gz", "a b"),
        ("d/run1/OUTCAR d/run2/OUTCAR d/c.xyz", "run1/OUTCAR run2/OUTCAR c.xyz", "run1 run2 c"),
        ("d/a/x/OUTCAR d/b/x/OUTCAR d/y/OUTCAR", "a/x/OUTCAR b/x/OUTCAR y/OUTCAR", "a/x b/x y"),
        ("d/OUTCAR d/e/OUTCAR", "d/OUTCAR e/OUTCAR", "d e"),
        ("r1/vasprun.xml.gz r2/vasprun.xml.gz", "r1/vasprun.xml.gz r2/vasprun.xml.gz", "r1 r2"),
        ("a/train.xyz b/train.xyz a/test.xyz", "a/train.xyz b/train.xyz test.xyz", "a/train b/train test"),
        ("a/../b/t.xyz ./c/t.xyz", "b/t.xyz c/t.xyz", "b/t c/t"), ("/t.xyz /a/t.xyz", "/t.xyz a/t.xyz", "/t a/t"),
    ],
)  # fmt: skip
def test_files_of_one_name_are_told_apart(paths, names, groups):
    paths = [Path(path) for path in paths.split()]
    assert names_apart(paths) == names.split()
    assert default_groups(paths) == groups.split()


@pytest.mark.parametrize("size", [0, 2**40])
def test_origins_and_groups_of_files_of_one_name(tmp_path, monkeypatch, size):
    monkeypatch.setattr("hiertl_dist.io.reading.SMALL", size)  # nothing is small, or everything
    odd = "\n" + EXTXYZ.replace("\n", "\r")  # which is read line by line
    for folder, text in (("a", EXTXYZ * 2), ("b", EXTXYZ), ("c", odd)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.xyz").write_text(text)
    for frames in (
        read_frames(f"{tmp_path}/*/t.xyz"),
        list(Dataset.create(tmp_path / "d", f"{tmp_path}/*/t.xyz", executor=SerialExecutor())),
    ):
        assert [f.origin for f in frames] == [
            "a/t.xyz, frame 1, line 1", f"a/t.xyz, frame 2, line {EXTXYZ.count(chr(10)) + 1}",
            "b/t.xyz, frame 1, line 1", "c/t.xyz, frame 1, line 2",
        ]  # fmt: skip
        assert [f.group for f in frames] == ["a/t", "a/t", "b/t", "c/t"]
    assert {f.group for f in read_frames(f"{tmp_path}/*/t.xyz", group="g")} == {"g"}
    assert [(f.origin, f.group) for f in read_frames(tmp_path / "b" / "t.xyz")] == [("t.xyz, frame 1, line 1", "t")]


@pytest.mark.parametrize("packing", [".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "after"])
def test_damaged_files(tmp_path, packing, damage):
    data = bytearray(PACKERS[packing]((XYZF * 500).encode()))
    if damage == "truncated":
        data = data[: len(data) // 2]
    elif damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    else:
        data += b"2\n"
    path = tmp_path / f"a.xyzf{packing}"
    path.write_bytes(data)
    try:
        frames = read_frames(path)
    except FrameError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:  # bzip2 and xz ignore what follows their end
        assert damage == "after"
        assert len(frames) == 500


def test_a_packing_that_python_may_lack(tmp_path):
    path = tmp_path / "a.xyz.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + b"\0" * 20)
    with pytest.raises(HiertlError, match=r"a\.xyz\.zst: .*zst"):
        read_frames(path)
    path.write_bytes(b"PK\x03\x04" + b"\0" * 20)
    with pytest.raises(FrameError, match=r"a zip archive; .*unpack it"):
        read_frames(path)


@pytest.mark.parametrize(
    "data",
    [
        EXTXYZ.encode(),
        EXTXYZ.encode("utf-8-sig"),
        EXTXYZ.encode("latin-1"),
        EXTXYZ.encode("utf-16"),
        EXTXYZ.replace("\n", "\r\n").encode(),
        EXTXYZ.replace("\n", "\r").encode(),
        EXTXYZ.replace(" ", "\t").replace("\t0\t", "  \t0\t ").encode(),
        ("\n \n" + EXTXYZ + "\n\n").encode(),
        EXTXYZ.rstrip("\n").encode(),
    ],
    ids=["utf-8", "mark", "latin-1", "utf-16", "CRLF", "CR", "tabs", "blank lines", "no last newline"],
)
def test_encodings_and_line_ends(tmp_path, data):
    path = tmp_path / "a.xyz"
    path.write_bytes(data)
    (frame,) = read_frames(path, group_key="author")
    assert (frame.group, frame.species, len(frame)) == ("Müller", ("C", "N"), 2)
    assert ("Latin-1" in summarise_labels([frame]).text()) == (data == EXTXYZ.encode("latin-1"))


def test_files_with_marks_that_were_joined(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_bytes(EXTXYZ.encode("utf-8-sig") * 2)
    assert len(read_frames(path)) == 2


def test_a_missing_file_says_where_was_looked(tmp_path, monkeypatch):
    (tmp_path / "train.extxyz").write_text(EXTXYZ)
    (tmp_path / "notes.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    for asked in ("trian.extxyz", Path("TRAIN.extxyz"), "train.extxyz.gz", f"{tmp_path}/traim.xyz"):
        with pytest.raises(MissingFileError, match=rf"there is no file {tmp_path}/.*; similar names .*: train\.extxyz"):
            read_frames(asked)
    with pytest.raises(FileNotFoundError, match=rf"there is no file {tmp_path}/zzz; .* has notes\.txt, train\.extxyz"):
        read_frames("zzz", format="extxyz")
    with pytest.raises(FileNotFoundError, match=rf"there is no folder {tmp_path}/data/b"):
        read_frames("data/b/train.extxyz")
    with pytest.raises(MissingFileError, match=rf"no file matches this pattern; .* folder {tmp_path}/data"):
        read_frames("data/*.extxyz")
    with pytest.raises(FileNotFoundError, match=rf"\*\.dat: no file matches .*; {tmp_path} has notes\.txt, train"):
        read_frames("*.dat")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"the folder .*empty is empty"):
        read_frames("empty/a.xyz")
    with pytest.raises(InputError, match="expected a file, found the folder"):
        read_frames("empty")
    with pytest.raises(InputError, match=r"may be on object stores .* nothing is downloaded"):
        read_frames("s3://bucket/a.xyz")


@pytest.mark.skipif(sys.platform == "win32", reason="rights of files")
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(EXTXYZ)
    path.chmod(0)
    try:
        path.open().close()
    except PermissionError:
        with pytest.raises(PermissionError):
            read_frames(path)
    else:
        pytest.skip("this user may read everything")
