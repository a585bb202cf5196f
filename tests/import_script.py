"""Imports a file in small parts, to be killed: ``import_script.py FILE FOLDER WORKERS``."""

from __future__ import annotations

import sys
import time

from hiertl_dist.dataset import importing
from hiertl_dist.dataset.dataset import Dataset
from hiertl_dist.executors import executor


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
