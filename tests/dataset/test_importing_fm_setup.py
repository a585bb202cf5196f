"""An import of an ``fm_setup.in`` has the frames that ``read_fm_setup`` reads."""

from __future__ import annotations

import gzip
import json

import pytest
from fm_text import frames_text, setup

from hiertl_dist import executor, read_fm_setup
from hiertl_dist.cli.commands import main as command
from hiertl_dist.dataset import importing
from hiertl_dist.dataset.dataset import Dataset
from hiertl_dist.errors import FrameError, HiertlWarning, InputError, MissingFileError

LIST = "5\n3 x/t.xyzf 300\n0 none.xyzf\n4 t.xyzf 600\n3 x/t.xyzf 300\n2 o.xyzf\n"


@pytest.fixture(autouse=True)
def small_runs(monkeypatch):
    monkeypatch.setattr(importing, "RUN", 150)


def listed(folder, *changes, listing=LIST):
    path = setup(folder, ("\ttraj.xyzf", "MULTI list.dat"), ("    3\n", "    12\n"), *changes)
    (folder / "x").mkdir()
    (folder / "list.dat").write_text(listing)
    (folder / "x" / "t.xyzf").write_text(frames_text(3))
    (folder / "t.xyzf").write_bytes(gzip.compress(frames_text(4).encode()))
    (folder / "o.xyzf").write_bytes(frames_text(2).replace("\n", "\r").encode())
    return path


def create(folder, path, workers=None):
    with workers or executor("serial") as runner:
        return Dataset.create(folder, path, executor=runner)


def same(data, frames):
    assert [f.digest for f in data] == [f.digest for f in frames]
    assert [(f.origin, f.group, f.labels) for f in data] == [(f.origin, f.group, f.labels) for f in frames]


@pytest.mark.parametrize("changes", [
    (), (("    ALL", "FIRSTALL 5"), ("    true   of", "    FIRST 8")), (("    ALL", "FIRST 9"),),
    (("    ALL", "false"), ("    true   of", "    false")), (("    ALL", "true"), ("    true   of", "    FIRST 0")),
])  # fmt: skip
def test_plain_packed_odd_and_repeated_trajectories(tmp_path, changes):
    path = listed(tmp_path, *changes)
    with pytest.warns(HiertlWarning, match=r"(?s)fm_setup\.in: t\.xyzf is 2 times in the list.*none\.xyzf: left out"):
        data = create(tmp_path / "d", path)
    frames = read_fm_setup(path).frames
    same(data, frames)
    assert {f.group for f in frames} == {"t_300", "t_600", "o"}
    assert len(data._index.parts) > 5
    same(create(tmp_path / "d", path), frames)  # there is nothing to do, and to say


@pytest.mark.parametrize("rest", ["", "2\nno frame", "\r"])
def test_the_first_frames_of_one_trajectory(tmp_path, rest):
    path = setup(tmp_path, n=5)
    with (tmp_path / "traj.xyzf").open("a") as stream:
        stream.write(rest)
    with pytest.warns(HiertlWarning, match=r"traj\.xyzf: only the first 3 frames are read \(NFRAMES\); it has more"):
        data = create(tmp_path / "d", path)
    same(data, read_fm_setup(path).frames)


@pytest.mark.parametrize(("frame", "n"), [
    ("2\n8 9 10 1 2 3 4 5 6\nO 0 0 0 1 1 1\nC 2 0 0 1 1 1\n", 2), ("2\n8 9 10 -5\nO 0 0 0 1 1 1\nC 2 0 0 1 1 1\n", 2),
    ("2\n8 9 10 1 2 3 -5\nO 0 0 0 1 1 1\nC 2 0 0 1 1 1\n", 2), ("2\n8 9 10 1 2 3 4 5 6 -5\nO 0 0 0\nC 2 0 0\n", 2),
    ("2\n8 9 10 1 2 3 4 5 6 -5\nN 0 0 0 1 1 1\nC 2 0 0 1 1 1\n", 2), ("", 2), ("2\nfoo\n", 2),
])  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_faults_are_those_of_the_reader(tmp_path, frame, n, packed):
    path = setup(tmp_path)
    text = (frames_text(n) + frame).encode()
    (tmp_path / "traj.xyzf").write_bytes(gzip.compress(text) if packed else text)
    with pytest.raises(FrameError) as read:
        read_fm_setup(path)
    with pytest.raises(FrameError) as imported:
        create(tmp_path / "d", path)
    assert str(imported.value) == str(read.value)
    assert not (tmp_path / "d" / "dataset.json").exists()


def test_a_list_that_has_fewer_frames_than_the_file(tmp_path):
    path = listed(tmp_path, listing=LIST.replace("4 t.xyzf", "3 t.xyzf").replace("2 o.xyzf", "3 o.xyzf"))
    with pytest.raises(FrameError, match=r"t\.xyzf: expected 3 frames, found 4"):
        create(tmp_path / "d", path)


def test_what_else_is_refused(tmp_path):
    path = setup(tmp_path)
    with pytest.raises(InputError, match=r"fm_setup\.in: energy_key, stop can't be given for an fm_setup\.in"):
        create(tmp_path / "d", [{"path": path, "energy_key": "E", "stop": 2}])
    with pytest.raises(InputError, match=r"traj\.xyzf: it is named twice"):
        create(tmp_path / "d", [path, tmp_path / "traj.xyzf"])
    (tmp_path / "traj.xyzf").unlink()
    with pytest.raises(MissingFileError, match=r"traj\.xyzf"):
        create(tmp_path / "d", path)


def test_the_command_and_a_file_beside_it(tmp_path, capsys):
    path, other = setup(tmp_path, n=4), tmp_path / "b.xyzf"
    other.write_text(frames_text(2))
    words = ["import", str(tmp_path / "d"), str(other), str(path), "--json", "--executor", "serial"]
    assert command(words) == 0
    facts = json.loads(capsys.readouterr().out)
    more, repeated = facts["notes"]
    assert more == "traj.xyzf: only the first 3 frames are read (NFRAMES); it has more"
    assert repeated.startswith(
        "4 of 5 frames added now have the atoms, positions and cell of an earlier one of this import"
    )
    assert [(s["source"], s["frames"]) for s in facts["labels"]] == [(str(other), 2), (str(tmp_path / "traj.xyzf"), 3)]
