"""Compiled kernels of other sources are forgotten; where they can't be kept, or numba is broken, the rest goes on."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from synthetic import HAS_MPI, MPIEXEC, environment, small_basis

import hiertl_dist
from hiertl_dist.compiled import cache
from hiertl_dist.compiled.cache import DIGEST, forget_other_sources, sources_digest
from hiertl_dist.evaluation import compiling
from hiertl_dist.evaluation.compiling import DISPATCHERS, KERNELS, compile_kernels
from hiertl_dist.executors import SerialExecutor

SOURCES = Path(hiertl_dist.__file__).parent / "evaluation" / "kernels"

PROGRAM = """
import sys
from hiertl_dist.evaluation.compiling import KERNELS, _compile
from hiertl_dist.evaluation.kernels.counting import count_clusters
_compile(next(k for k in KERNELS if k.name == "count_clusters"))
print(count_clusters.stats.cache_path)
print(sum(count_clusters.stats.cache_hits.values()), "numba.misc.gdb_hook" in sys.modules)
"""


def test_indices_of_other_sources_go_and_those_of_these_stay(tmp_path):
    (tmp_path / "clusters.nbi").write_text("index")
    assert forget_other_sources(tmp_path, SOURCES)
    assert [p.name for p in tmp_path.iterdir()] == [DIGEST]
    (tmp_path / "clusters.nbi").write_text("index")
    assert not forget_other_sources(tmp_path, SOURCES)
    assert (tmp_path / "clusters.nbi").exists()
    (tmp_path / DIGEST).write_text(sources_digest(SOURCES)[::-1])
    assert forget_other_sources(tmp_path, SOURCES)
    assert not (tmp_path / "clusters.nbi").exists()
    assert (tmp_path / DIGEST).read_text() == sources_digest(SOURCES)


def test_a_folder_that_cannot_be_made_does_no_harm(tmp_path):
    (tmp_path / "file").write_text("")
    assert forget_other_sources(tmp_path / "file" / "folder", SOURCES)


COMPILING = """
import sys
from hiertl_dist import Basis
from hiertl_dist.evaluation import compiling
from hiertl_dist.evaluation.compiling import compile_kernels
from hiertl_dist.executors import executor
kind, *words = sys.argv[1:]
if __name__ == "__main__":
    # one or two are enough to see what is done with them, and the others take longer
    names = ("count_clusters", "pair_rows") if "both" in words else ("count_clusters",)
    compiling.KERNELS = tuple(k for k in compiling.KERNELS if k.name in names)
    pairs = {"CC": {"rmin": 0.9, "rmax": 4.0, "lambda": 1.4}}
    basis = Basis.from_dict({"elements": ["C"], "orders": [3, 0, 0], "pairs": pairs})
    with executor(kind, workers=None if kind in ("serial", "mpi") else 2) as runner:
        tell = lambda line: print(line, file=runner.out(), flush=True)
        for _ in range(2):  # the second time there is nothing to compile, and nothing to say
            compile_kernels(basis, runner, tell)
"""
ONCE = "compiling kernels for this machine, once: "


def run(*words, folder, before=(), **more):
    """What Python prints, with its kernels in a folder: for this CPU, and started by no launcher but one before it."""
    others = ("PMI", "OMPI_", "SLURM_", "NUMBA_CPU_")
    variables = {k: v for k, v in environment().items() if not k.startswith(others)}
    done = subprocess.run(
        [*before, sys.executable, *map(str, words)], env=variables | {"NUMBA_CACHE_DIR": str(folder)} | more,
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return done.stdout


def kernels(folder):
    """Those of a folder that are called from Python."""
    return {p.name.split("-")[0].split(".")[-1] for p in folder.rglob("*.nbi")} & set(DISPATCHERS)


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("script") / "script.py"
    path.write_text(COMPILING)
    return path


@pytest.fixture(scope="module")
def compiled(script, tmp_path_factory):
    """A folder in which a process has compiled the smallest of the kernels, and what it said."""
    folder = tmp_path_factory.mktemp("kernels")
    return folder, run(script, "serial", folder=folder)


@pytest.fixture
def kept(compiled, tmp_path):
    """A copy of that folder."""
    return Path(shutil.copytree(compiled[0], tmp_path / "kernels"))


def test_an_index_that_cannot_be_read_is_no_failure(kept):
    """As after an upgrade, where an index names classes that are gone.

    What numba compiles with, its hook for gdb too, is imported where something is compiled, and not before.
    """

    def counted():
        folder, said = run("-c", PROGRAM, folder=kept).splitlines()
        return Path(folder), said

    folder, said = counted()
    assert folder.is_relative_to(kept)
    assert said == "1 False"
    for index in folder.glob("*.nbi"):
        version, _, rest = index.read_bytes().partition(b".")
        index.write_bytes(version + b"." + rest[:40] + b"no pickle")
    (folder / DIGEST).write_text("of older sources")
    assert counted() == (folder, "0 True")


ASKING = """
from hiertl_dist.compiled.cache import is_compiled
from hiertl_dist.evaluation.kernels.counting import count_clusters
print(is_compiled(count_clusters))
"""
CUTTING = """
from pathlib import Path
(index,) = Path(count_clusters.stats.cache_path).glob("counting.count_clusters*.nbi")
index.write_bytes(index.read_bytes()[:20])
print(is_compiled(count_clusters))
"""


def test_kernels_of_another_cpu_and_those_cut_short_are_not_taken_for_compiled(kept):
    assert run("-c", ASKING, folder=kept, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="") == "False\n"
    assert run("-c", ASKING + CUTTING, folder=kept) == "True\nFalse\n"


def test_one_process_says_what_it_compiles(compiled):
    folder, said = compiled
    assert said == ONCE + "some seconds\n"
    assert kernels(folder) == {"count_clusters"}


STARTED = {"processes": ([], ["both"]), "mpi": ([str(MPIEXEC), "-n", "2"], [])}


@pytest.mark.parametrize("kind", [k for k in STARTED if k != "mpi" or HAS_MPI])
def test_kernels_are_compiled_before_and_that_is_told_where_it_happens(script, tmp_path, kind):
    before, words = STARTED[kind]
    said = run(script, kind, *words, before=before, folder=tmp_path)
    assert said == ONCE + "some seconds\n"
    assert kernels(tmp_path) == {"count_clusters"} | ({"pair_rows"} if words else set())


@pytest.mark.parametrize("models", [True, False])
@pytest.mark.parametrize("orders", [(2, 0, 0), (2, 2, 0), (2, 0, 2)])
def test_the_kernels_that_a_basis_needs_are_shared_out(monkeypatch, orders, models):
    """Those that are not there yet, the longest first."""
    monkeypatch.setattr(compiling, "is_compiled", lambda kernel: kernel is DISPATCHERS["pair_rows"])
    monkeypatch.setattr(compiling, "_compile", lambda kernel: names.append(kernel.name))
    names, lines = [], []
    with SerialExecutor() as executor:
        compile_kernels(small_basis(orders), executor, lines.append, models=models)
    wide = ["cluster_energy", "cluster_rows"] if any(orders[1:]) else []
    every = (*wide, "image_pairs", "pair_energy", "scan_contacts", "count_clusters")
    expected = [n for n in every if models or not n.endswith(("energy", "clusters"))]
    assert names == expected
    assert lines == [ONCE + ("about half a minute" if wide else "some seconds")]


USING = """
from hiertl_dist.evaluation.compiling import DISPATCHERS, KERNELS, _compile
for kernel in KERNELS[::-1]:
    _compile(kernel)
    print(*(name for name, dispatcher in DISPATCHERS.items() if dispatcher.signatures))
"""


def test_a_kernel_is_compiled_and_no_other():
    done = subprocess.run([sys.executable, "-c", USING], env=environment(), capture_output=True, text=True, check=True)
    seen = [set(line.split()) for line in done.stdout.splitlines()]
    assert [len(s) for s in seen] == list(range(1, len(KERNELS) + 1))
    assert [s - t for s, t in zip(seen, [set(), *seen[:-1]], strict=True)] == [{k.name} for k in KERNELS[::-1]]


WITHOUT = {"HOME": "/dev/null/home", "XDG_CACHE_HOME": "/dev/null/cache", "PYTHONDONTWRITEBYTECODE": "1"}
CHECK = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from hiertl_dist.compiled.cache import kernel
    from hiertl_dist.evaluation.kernels.edges import jit
    from hiertl_dist.evaluation.kernels import pairs, neighbours, clusters
@jit
def add(a, b):
    return a + b
said = [str(w.message) for w in caught if issubclass(w.category, RuntimeWarning)]
print(add(1, 2), pairs.pair_rows.stats.cache_path, len(said), *said)
"""


@pytest.fixture
def uncached(tmp_path):
    """A copy of the package that no folder can be found for to cache kernels in; root may write anywhere, so a file is
    where the folder would be."""
    shutil.copytree(Path(hiertl_dist.__file__).parent, tmp_path / "hiertl_dist",
                    ignore=shutil.ignore_patterns("__pycache__", "data"))  # fmt: skip
    (tmp_path / "hiertl_dist" / "evaluation" / "kernels" / "__pycache__").touch()
    return {**os.environ, **WITHOUT, "NUMBA_CACHE_DIR": "/dev/null/numba", "PYTHONPATH": str(tmp_path)}


def test_without_a_folder_kernels_are_compiled_and_it_is_told_once(uncached, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CHECK], env=uncached, capture_output=True, text=True, check=True, timeout=300,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.startswith("3 None 1 no folder can be written to cache compiled kernels in")
    assert "set NUMBA_CACHE_DIR" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("where", [{"PMI_RANK": "1"}, {"OMPI_COMM_WORLD_RANK": "3"}])
def test_one_rank_tells(uncached, tmp_path, where):
    done = subprocess.run(
        [sys.executable, "-c", CHECK], env=uncached | where, capture_output=True, text=True, check=True, timeout=300,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout == "3 None 0\n"


def test_without_a_folder_it_is_told_that_kernels_are_not_kept(uncached, tmp_path):
    (tmp_path / "script.py").write_text(COMPILING)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(tmp_path / "script.py"), "serial"], env=uncached, capture_output=True,
        text=True, check=True, timeout=300, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.startswith("compiling kernels, in each process anew, for there is no folder to keep them in: ")


class Full:
    """A cache on a full disk."""

    cache_path = "/x"

    def save_overload(self, *_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def load_overload(self, *_):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_full_disk_is_told_once_and_borne(monkeypatch):
    monkeypatch.setattr(cache, "_warned", [])
    kernel = SimpleNamespace(_cache=Full())
    cache._bear_full_disks(kernel)
    assert kernel._cache.load_overload("sig", "context") is None
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        kernel._cache.save_overload("sig", "data")
    kernel._cache.save_overload("sig", "data")  # a second warning would be an error here


def test_other_errors_of_the_compiler_are_not_taken_for_that(monkeypatch):
    def njit(**_):
        def compiled(_):
            raise RuntimeError("another fault")

        return compiled

    monkeypatch.setattr(cache, "njit", njit)
    with pytest.raises(RuntimeError, match="another fault"):
        cache.kernel()(len)


# ---- numba that can't be imported


NEEDS = "Numba needs NumPy 2.2 or less. Got NumPy 2.9."


@pytest.fixture
def broken(tmp_path):
    """Variables of a process in which numba can't be imported."""
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text(f"raise ImportError({NEEDS!r})")
    path = os.pathsep.join([str(tmp_path), str(Path(hiertl_dist.__file__).parents[1])])
    return {**os.environ, "PYTHONPATH": path}


def command(variables, *words):
    return subprocess.run(
        [sys.executable, "-m", "hiertl_dist.cli", *words], env=variables, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip


def test_the_version_and_the_help_need_no_numba(broken):
    for words in (["--version"], ["fit", "--help"]):
        done = command(broken, *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert "hiertl-dist" in done.stdout


def test_the_doctor_needs_no_numba(broken):
    done = command(broken, "doctor", "--executor", "serial", "--json")
    assert done.returncode == 4
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["here"]["cache"]["error"] == f"ImportError: {NEEDS}"
    (problem,) = [p for p in found["problems"] if "numba" in p]
    text = f"The self-check failed (ImportError: {NEEDS}): install numba, numpy and this package afresh."
    assert problem == text
    assert "numba can't be used: ImportError" in command(broken, "doctor", "--executor", "serial").stdout


def test_other_commands_say_it_in_one_line(broken):
    done = command(broken, "fit", "input.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"hiertl-dist: ImportError: {NEEDS}\n"


# ---- processes that share the folder

COUNTING = """
import json
from numba.core import event

class Compiled(event.Listener):
    names = []
    def on_start(self, e):
        if "hiertl_dist" in str(e.data["dispatcher"].py_func.__module__):
            self.names.append(f"{e.data['dispatcher'].py_func.__name__} {e.data['args']}")
    def on_end(self, e):
        pass

event.register("numba:compile", Compiled())
from hiertl_dist.evaluation.compiling import KERNELS, _compile
_compile(next(k for k in KERNELS if k.name == "count_clusters"))
print(json.dumps(Compiled.names))
"""


def test_processes_at_once_compile_each_kernel_once(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        found = [json.loads(said) for said in pool.map(lambda _: run("-c", COUNTING, folder=tmp_path), range(2))]
    names = [name for compiled in found for name in compiled]
    assert any(name.startswith("count_clusters") for name in names)
    assert sorted(names) == sorted(set(names))


def test_without_locks_each_process_compiles(tmp_path, monkeypatch):
    class NoLocks:
        def __init__(self, path):
            pass

        def acquire(self):
            raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(cache, "FileLock", NoLocks)
    entered = False
    with cache._alone(tmp_path / "x.lock"):
        entered = True
    assert entered
