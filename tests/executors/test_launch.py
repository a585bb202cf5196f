"""Launchers that don't fit, scripts without a guard, ranks with other frames: one message each, and no work done N
times."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest
from job_files import write_job
from synthetic import random_frames

import hiertl_dist
from hiertl_dist.errors import HiertlError, LaunchError
from hiertl_dist.executors import Executor, executor, guard
from hiertl_dist.executors.launch import check_launcher, launched_first, launched_size, refuse_many, without_mpi

ROOT = Path(hiertl_dist.__file__).parents[1]
BESIDE = Path(sys.executable).parent / "mpiexec"
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or find_spec("mpi4py") is None, reason="mpi4py and an mpiexec are not both here"
)
STEP = {"SLURM_PROCID": "1", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4"}


def python(*args: object, ranks: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PMI", "OMPI_", "SLURM_", "MV2_"))}
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    launcher = [str(MPIEXEC), "-n", str(ranks)] if ranks else []
    return subprocess.run(
        [*launcher, sys.executable, *map(str, args)], env=variables | {"PYTHONPATH": path} | more, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip


# ---- launchers


@pytest.mark.parametrize(
    ("environ", "size", "first"),
    [
        ({}, 1, True), (STEP, 4, False), (STEP | {"SLURM_PROCID": "0"}, 4, True),
        ({"SLURM_NTASKS": "16", "SLURM_PROCID": "0"}, 1, True),  # a batch script
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0", "OMPI_COMM_WORLD_SIZE": "1"}, 1, True),  # mpirun in a step
        ({"PMI_SIZE": "3", "PMI_RANK": "2"}, 3, False),
        ({"OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_RANK": "0"}, 8, True),
    ],
)  # fmt: skip
def test_how_many_were_launched(environ: dict[str, str], size: int, first: bool) -> None:
    assert launched_size(environ) == size
    assert launched_first(environ) is first


def test_a_library_that_knows_of_one_alone() -> None:
    check_launcher(4, "MPICH", STEP)
    check_launcher(1, "MPICH", {})
    with pytest.raises(LaunchError) as caught:
        check_launcher(1, "MPICH Version: 5\nmore", STEP)
    for said in ("started 4 processes", "'MPICH Version: 5'", "srun --mpi=list", "env -u SLURM_STEP_NUM_TASKS"):
        assert said in str(caught.value)
    assert not caught.value.speaks
    assert isinstance(caught.value, RuntimeError)
    assert isinstance(caught.value, HiertlError)


def test_no_mpi_at_all() -> None:
    missing = ModuleNotFoundError("No module named 'mpi4py'")
    assert without_mpi(missing, {}) is missing
    error = without_mpi(missing, {"PMI_SIZE": "2", "PMI_RANK": "0"})
    assert isinstance(error, LaunchError)
    assert error.speaks
    for said in ("started 2 processes", "No module named 'mpi4py'", "hiertl-dist[mpi]"):
        assert said in str(error)


def test_an_error_of_launching_travels() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(LaunchError("text", False)))
    assert (str(error), error.speaks) == ("text", False)


@pytest.mark.parametrize("kind", ["serial", "processes"])
def test_in_python_it_is_a_warning(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setenv("PMI_RANK", "0")
    with pytest.warns(RuntimeWarning, match=r"each of the 2 processes .* executor\(.mpi.\)"):
        executor(kind).close()
    monkeypatch.setenv("PMI_RANK", "1")
    executor(kind).close()  # one of them has told


@pytest.mark.parametrize(
    "words",
    [["--executor", "serial"], ["--executor", "processes"], ["--executor", "dask"], ["--scheduler", "tcp://x:1"], []],
)
def test_the_command_refuses_to_do_the_work_n_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    # without words it is the input file's "serial"
    path = write_job(tmp_path, random_frames({"C": 2}))
    monkeypatch.setenv("PMI_SIZE", "3")
    monkeypatch.setenv("PMI_RANK", "0")
    assert hiertl_dist.cli.commands.main(["fit", str(path), *words]) == 2
    err = capsys.readouterr().err
    assert "the launcher started 3 processes, and each of them would do all the work" in err
    assert err.count("\n") == 1
    monkeypatch.setenv("PMI_RANK", "2")
    assert hiertl_dist.cli.commands.main(["fit", str(path), *words]) == 2
    assert capsys.readouterr().err == "", "one of them has told"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.extxyz", "input.toml"]


def test_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_many("merge", {})
    with pytest.raises(LaunchError, match="merge: the launcher started 2 processes"):
        refuse_many("merge", {"PMI_SIZE": "2"})


@pytest.mark.parametrize("verb", ["inspect", "init"])
def test_what_is_done_by_one_process_is_refused_to_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    write_job(tmp_path, random_frames({"C": 2}))
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setenv("PMI_RANK", "0")
    words = ["-o", str(tmp_path / "new.toml")] if verb == "init" else []
    assert hiertl_dist.cli.commands.main([verb, str(tmp_path / "data.extxyz"), *words]) == 2
    err = capsys.readouterr().err
    assert f"{verb}: the launcher started 2 processes" in err
    assert "--executor" not in err, "these commands have no such option"
    assert not (tmp_path / "new.toml").exists()


@needs_mpi
@pytest.mark.mpi
class TestMPI:
    def test_one_message_under_mpirun(self, tmp_path: Path) -> None:
        path = write_job(tmp_path, random_frames({"C": 2}))
        ended = python("-m", "hiertl_dist.cli", "fit", path, "--executor", "serial", ranks=2)
        assert ended.returncode != 0
        assert ended.stderr.count("each of them would do all the work") == 1, ended.stderr
        assert "Traceback" not in ended.stderr
        assert sorted(p.name for p in tmp_path.iterdir()) == ["data.extxyz", "input.toml"]

    def test_one_message_of_a_mismatch(self, tmp_path: Path) -> None:
        """As under another MPI's launcher: each process is told of three, and MPI knows of one."""
        path = write_job(tmp_path, random_frames({"C": 2}), executor=None)
        for rank, said in (("0", 1), ("1", 0)):
            variables = {"MV2_COMM_WORLD_SIZE": "3", "MV2_COMM_WORLD_RANK": rank}
            ended = python("-m", "hiertl_dist.cli", "fit", path, **variables)
            assert ended.returncode == 2, ended.stderr
            assert ended.stderr.count("LaunchError: the launcher started 3 processes, but the MPI library") == said
            assert "Traceback" not in ended.stderr

    def test_a_wrong_input_is_told_once(self, tmp_path: Path) -> None:
        ended = python("-m", "hiertl_dist.cli", "fit", tmp_path / "none.toml", ranks=2)
        assert ended.returncode != 0
        assert ended.stderr.count("MissingFileError: input file: there is no file") == 1, ended.stderr

    def test_ranks_with_other_frames(self, tmp_path: Path) -> None:
        script = tmp_path / "script.py"
        script.write_text(
            textwrap.dedent("""
            import sys
            from mpi4py import MPI
            from synthetic import random_frames, small_basis
            from hiertl_dist import executor
            from hiertl_dist.errors import InputError
            from hiertl_dist.evaluation.energies import Model
            from hiertl_dist.fitting.hierarchy import fit_hierarchy
            from hiertl_dist.design_matrix.planning import make_plan
            from synthetic import random_parameters

            rank, basis = MPI.COMM_WORLD.rank, small_basis((3, 2, 2))
            frames = random_frames({"C": 5})
            model = Model(random_parameters(basis, 1))
            mine = {0: frames, 1: frames[:4] + frames[3:4], 2: frames[:3]}[rank]
            with executor("mpi") as runner:
                runner.require_alike(lambda: [f.digest for f in frames], "frames")
                for call in (
                    lambda: make_plan(mine, basis, blocks=["C"], executor=runner),
                    lambda: fit_hierarchy(mine, basis, executor=runner),
                    lambda: model.evaluate(mine, executor=runner),
                ):
                    try:
                        call()
                    except InputError as error:
                        said = str(error)
                    else:
                        said = "nothing"
                    told = MPI.COMM_WORLD.gather(said)
                    if rank == 0:
                        print(len(set(told)), told[0])
                runner.require_alike(lambda: [], "frames")
        """)
        )
        ended = python("-W", "error", script, ranks=3)
        assert ended.returncode == 0, ended.stderr
        said = (
            "1 the ranks were given different frames: rank 0 has 5, rank 1 has 5, which differ from number 5 on; "
            "rank 2 has 3, which differ from number 4 on; each rank has to read the same files"
        )
        lines = ended.stdout.splitlines()
        assert len(lines) == 3
        assert all(line.startswith(said) for line in lines), lines

    def test_the_command_tells_of_other_frames_once(self, tmp_path: Path) -> None:
        """As on nodes with different files under one name."""
        path = write_job(tmp_path, random_frames({"C": 4}), executor={"kind": "mpi"})
        script = tmp_path / "script.py"
        script.write_text(
            textwrap.dedent(f"""
            import os, sys
            from hiertl_dist.cli import commands as cli
            from hiertl_dist.jobs.input_file import Input
            whole = Input.read_weighed
            def part(job, *watch):
                job, fitted, held = whole(job, *watch)
                return job, (fitted[:-1] if os.environ["PMI_RANK"] == "1" else fitted), held
            Input.read_weighed = part
            sys.exit(cli.main(["fit", {str(path)!r}]))
        """)
        )
        ended = python(script, ranks=2)
        assert ended.returncode != 0
        assert "rank 0 has 4, rank 1 has 3, which differ from number 4 on" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_one_process_is_like_itself() -> None:
    with executor("serial") as runner:
        assert isinstance(runner, Executor)
        runner.require_alike(lambda: ["a"], "frames")


def test_the_text_of_many_ranks() -> None:
    from hiertl_dist.executors.mpi import _named

    assert _named("rank", [3]) == "rank 3"
    assert _named("rank", range(11)) == "ranks 0, 1, 2, 3, 4, 5, 6, 7 and 3 more"


# ---- scripts


WORK = """
import sys
from hiertl_dist import executor
def work():
    with executor(sys.argv[1], workers=2) as workers:
        print(workers.run(abs, [-1, -2, -3]))
"""
UNGUARDED = {
    "at the top": "import sys\nfrom hiertl_dist import executor\n"
    "with executor(sys.argv[1], workers=2) as workers:\n    print(workers.run(abs, [-1]))\n",
    "in a function": WORK + "work()\n",
    "in a loop": WORK + "for _ in range(2):\n    work()\n",
    "in a try": WORK + "try:\n    work()\nfinally:\n    pass\n",
}
GUARDED = {
    "guard": WORK + "if __name__ == '__main__':\n    work()\n",
    "guard the other way": WORK + "if '__main__' == __name__:\n    work()\n",
    "early exit": WORK + "if __name__ != '__main__':\n    raise ImportError\nwork()\n",
    "expression": WORK + "__name__ == '__main__' and work()\n",
}
ODD = WORK + "if __name__ != 'nobody':\n    work()\n"  # a guard that guards nothing


def lines_of(text: str) -> int:
    return len(text.splitlines())


@pytest.mark.parametrize("where", UNGUARDED)
def test_scripts_without(tmp_path: Path, where: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED[where])
    lines = len(UNGUARDED[where].splitlines())
    assert guard._lacks_guard(script, lines - 2 * ("try" in where))


@pytest.mark.parametrize("how", GUARDED)
def test_guards_in_every_form(tmp_path: Path, how: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(GUARDED[how])
    assert not guard._lacks_guard(script, len(GUARDED[how].splitlines()))


def test_a_script_with_a_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(GUARDED["guard"])
    ended = python(script, "processes")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "[1, 2, 3]\n", "")


@pytest.mark.parametrize("kind", ["processes", "dask"])
class TestGuard:
    def test_a_script_without(self, tmp_path: Path, kind: str) -> None:
        script = tmp_path / "script.py"
        script.write_text(UNGUARDED["at the top"])
        ended = python(script, kind)
        assert ended.returncode == 1
        *_, last = ended.stderr.splitlines()
        assert f"LaunchError: {script}, line " in last
        assert 'put the work under if __name__ == "__main__":' in last
        assert lines_of(ended.stderr) < 25
        assert ended.stdout == "", "nothing was begun"


def test_a_guard_that_guards_nothing(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(ODD)
    ended = python(script, "processes")
    assert ended.returncode == 1
    assert ended.stderr.count('put the work under if __name__ == "__main__":') == 1
    assert lines_of(ended.stderr) < 30


def test_at_a_prompt_there_is_no_need() -> None:
    ended = python("-c", UNGUARDED["at the top"], "processes")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "[1]\n", "")


def test_serial_needs_none(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED["in a function"].replace("2", "1"))
    ended = python(script, "serial")
    assert (ended.returncode, ended.stdout) == (0, "[1, 1, 3]\n")


def test_a_package_that_is_run_is_not_imported_again(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__main__.py").write_text(UNGUARDED["at the top"])
    (tmp_path / "mine" / "tool.py").write_text(UNGUARDED["in a function"])
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    assert python("-m", "mine", "processes", PYTHONPATH=path).stdout == "[1]\n"
    ended = python("-m", "mine.tool", "processes", PYTHONPATH=path)
    assert "tool.py, line" in ended.stderr.splitlines()[-1]


@pytest.mark.parametrize("text", ["x = (", "", "\0", "é = 1"])
def test_what_cannot_be_read_is_not_judged(tmp_path: Path, text: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(text)
    assert not guard._lacks_guard(script, 5)
    assert not guard._lacks_guard(tmp_path / "none.py", 1)


@pytest.mark.parametrize("kind", ["processes", "dask"])
def test_a_script_from_stdin_is_asked_to_be_a_file(tmp_path: Path, kind: str) -> None:
    """Its workers would look for a file ``<stdin>``, and die; a serial executor needs no workers."""
    text = "from hiertl_dist.executors import executor\nif __name__ == '__main__':\n"
    text += "    import sys\n    with executor(sys.argv[1], workers=1) as e:\n        print(e.run(abs, [-3]))\n"

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *args], input=text, env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    found = run("-", kind)
    assert found.returncode == 1
    last = found.stderr.strip().splitlines()[-1]
    assert "LaunchError" in last
    assert "<stdin> is no file" in last
    assert "save the script to a file" in last
    assert "out of memory" not in found.stderr
    if kind == "processes":
        assert run("-c", text, kind).stdout == "[3]\n", "a command looks for no file"
        text = text.replace(", workers=1", "")
        assert run("-", "serial").stdout == "[3]\n"
