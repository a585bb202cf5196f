"""Imports a file in small parts, to be killed: ``import_script.py FILE FOLDER WORKERS [MOST]``.

With MOST, writers wait to be killed once the ledger has so many entries (one more for each other writer).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from synthetic import wait_at

from hiertl_dist.dataset import importing
from hiertl_dist.dataset.dataset import Dataset
from hiertl_dist.executors import executor

if len(sys.argv) > 4:  # in worker processes too
    wait_at(importing, "write_part", Path(sys.argv[2]) / "ledger", int(sys.argv[4]))


def main(file, folder, workers):
    importing.RUN = 4000
    with executor("processes" if workers > 1 else "serial", workers=workers) as runner:
        runner.run(warm, range(2 * workers))
        print("begin", flush=True)
        Dataset.create(folder, file, group_key="config_type", executor=runner)


def warm(_):
    time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
