"""Where workers of one machine have temporary files, and that nothing of them is left, also after a kill."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from job_files import write_job
from synthetic import environment

from hiertl_dist.cli.command_line import parser
from hiertl_dist.cli.executor_options import executor_of
from hiertl_dist.errors import HiertlWarning, InputError
from hiertl_dist.executors import executor
from hiertl_dist.executors.scratch import ScratchFolder, scratch_place
from hiertl_dist.jobs.input_file import Input

LEFT = """
import os, signal, sys
from pathlib import Path
from hiertl_dist.executors.scratch import ScratchFolder
(ScratchFolder(Path(sys.argv[1])).path / "value").write_bytes(b"much")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_with_the_next_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", LEFT, str(tmp_path)], env=environment(), check=False)
    (left,) = tmp_path.glob("*/value")
    living = ScratchFolder(tmp_path)
    assert not left.exists()
    (living.path / "value").write_bytes(b"much")
    (tmp_path / "hiertl-of-another").mkdir()
    other = ScratchFolder(tmp_path)
    assert (living.path / "value").exists()
    for folder in (living, other):
        folder.remove()
    assert [p.name for p in tmp_path.iterdir()] == ["hiertl-of-another"]


def test_where_it_may_be(tmp_path: Path) -> None:
    assert scratch_place(tmp_path) == tmp_path
    with pytest.raises(InputError, match=r"scratch: expected a folder that can be written to, found .*/absent: No"):
        scratch_place(tmp_path / "absent")
    with pytest.raises(InputError, match="scratch: expected"):
        executor("processes", workers=1, scratch=tmp_path / "absent")
    with pytest.warns(HiertlWarning, match="scratch = .* is of no use to the executor 'serial' and is ignored"):
        executor("serial", scratch=tmp_path)


def test_the_option_and_the_key(tmp_path: Path) -> None:
    path = write_job(tmp_path, executor={"kind": "processes", "workers": 1, "scratch": "fast"})
    for name in ("fast", "faster"):
        (tmp_path / name).mkdir()
    job = Input.from_toml(path)
    assert job.scratch == tmp_path / "fast"
    for words, expected in (((), "fast"), (("--scratch", str(tmp_path / "faster")), "faster")):
        with executor_of(parser().parse_args(["fit", str(path), *words]), job) as made:
            assert made._scratch == tmp_path / expected  # type: ignore[attr-defined]
            assert made.run(str, [1, 2]) == ["1", "2"]
    assert list((tmp_path / "faster").iterdir()) == []
