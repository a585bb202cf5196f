"""Imports a file again and again and is killed each time: ``import_kills_script.py FILE FOLDER PARTS TIMES``.

Prints how many of the PARTS were complete after each kill. Importers are forked: starting an interpreter takes longer
than all of the import.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from summary_store_script import forked
from synthetic import wait_at

from hiertl_dist.dataset import importing
from hiertl_dist.dataset.dataset import Dataset
from hiertl_dist.executors import executor


def started(file, folder, most):
    """The id of a process that imports until so many parts are complete."""

    def work():
        wait_at(importing, "write_part", Path(folder) / "ledger", most)
        with executor("serial") as runner:
            Dataset.create(folder, file, group_key="config_type", executor=runner)

    return forked(work)


def main(file, folder, parts, times):
    importing.RUN = 4000
    rng, complete = np.random.default_rng(5), 0
    for _ in range(times):
        wanted = complete + rng.uniform(0.0, 0.25) * (parts - complete)
        pid = started(file, folder, math.ceil(wanted) + 2)
        while len(list((Path(folder) / "ledger").glob("*.json"))) < wanted:
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
        assert not (Path(folder) / "dataset.json").exists()
        complete = len(list((Path(folder) / "ledger").glob("*.json")))
        print(complete)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
