"""The same fit gives the same bits on every executor, for any number of workers, rows kept or not, frames imported or
not."""

from __future__ import annotations

import pytest
from synthetic import HAS_MPI, files_below, run_script

RUNS = {
    "serial": ("serial", [1], 0),
    "processes": ("processes", [2], 0),
    "dask": ("dask", [2], 0),
    "mpirun-3": ("mpi", [], 3),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bits")


def reports(folder, name):
    """Of every fit and every calling process: (executor, workers, kept or streamed), and (leaves, digests)."""
    kind, workers, ranks = RUNS[name]
    run_script("bits_script.py", folder, name, kind, *workers, ranks=ranks)
    lines = [line.split() for p in (folder / name).iterdir() for line in p.read_text().splitlines()]
    return [(tuple(words[:3]), tuple(words[3:])) for words in lines]


@pytest.fixture(scope="module")
def serial(folder):
    """Leaves and digests of the serial run that streams; and the files of its store when it keeps rows."""
    (_, streamed), (how, kept), (_, imported) = reports(folder, "serial")
    assert how == ("serial", "1", "kept")
    assert kept == streamed
    assert imported == streamed
    return streamed, files_below(folder / "serial-1", "blocks", "labels", "offsets")


def test_the_serial_fit_has_enough_leaves_for_a_tree(serial):
    (leaves, *digests), files = serial
    assert int(leaves) >= 5
    assert len(set(digests)) == 3
    assert len(files) > 50


def check(folder, serial, name):
    expected, files = serial
    found = reports(folder, name)
    kind, workers, ranks = RUNS[name]
    counts = [str(w) for w in workers] or [str(ranks)] * ranks
    assert sorted(how for how, _ in found) == sorted(
        (kind, w, k) for w in counts for k in ("imported", "kept", "streamed")
    )
    assert {answer for _, answer in found} == {expected}
    for count in set(counts):
        assert files_below(folder / f"{kind}-{count}", "blocks", "labels", "offsets") == files


@pytest.mark.parametrize("name", ["processes", "dask"])
def test_every_executor_gives_the_same_bits(folder, serial, name):
    check(folder, serial, name)


@pytest.mark.mpi
@pytest.mark.skipif(not HAS_MPI, reason="mpi4py and an mpiexec are not both here")
@pytest.mark.parametrize("name", [n for n in RUNS if n.startswith("mpirun")])
def test_every_number_of_ranks_gives_the_same_bits(folder, serial, name):
    check(folder, serial, name)
