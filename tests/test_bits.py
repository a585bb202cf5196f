"""The same fit gives the same bits on every executor, for any number of workers, rows kept or not, frames imported or
not."""

from __future__ import annotations

import pytest
from bits_script import write_reports
from synthetic import HAS_MPI, files_below, run_script

from hiertl_dist.executors import executor


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bits")


def reports(folder, name):
    """Of every fit and every calling process: (executor, workers, kept or streamed), and (leaves, digests)."""
    lines = [line.split() for p in (folder / name).iterdir() for line in p.read_text().splitlines()]
    return [(tuple(words[:3]), tuple(words[3:])) for words in lines]


@pytest.fixture(scope="module")
def serial(folder):
    """Leaves and digests of the serial run that streams; and the files of its store when it keeps rows."""
    write_reports(folder, "serial", executor("serial"))
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


def check(folder, serial, name, workers, callers=1):
    expected, files = serial
    found = reports(folder, name)
    assert sorted(how for how, _ in found) == sorted(
        (name, str(workers), k) for k in ("imported", "kept", "streamed") for _ in range(callers)
    )
    assert {answer for _, answer in found} == {expected}
    assert files_below(folder / f"{name}-{workers}", "blocks", "labels", "offsets") == files


def test_processes_give_the_same_bits(folder, serial, two_processes):
    write_reports(folder, "processes", two_processes)
    check(folder, serial, "processes", 2)


def test_dask_gives_the_same_bits(folder, serial):
    with executor("dask", workers=2) as runner:
        write_reports(folder, "dask", runner)
    check(folder, serial, "dask", 2)


@pytest.mark.mpi
@pytest.mark.skipif(not HAS_MPI, reason="mpi4py and an mpiexec are not both here")
def test_ranks_give_the_same_bits(folder, serial):
    run_script("bits_script.py", folder, "mpi", ranks=3)
    check(folder, serial, "mpi", 3, callers=3)
