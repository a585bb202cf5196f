"""Compiled kernels of other sources are forgotten."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hiertl_dist.kernels.cache import DIGEST, forget_other_sources, sources_digest

PROGRAM = """
from hiertl_dist import Basis, Frame, design_rows
from hiertl_dist.kernels.pairs import pair_rows
import numpy as np
pairs = {"CC": {"rmin": 0.9, "rmax": 4.0, "lambda": 1.4}}
basis = Basis.from_dict({"elements": ["C"], "orders": [3, 0, 0], "pairs": pairs})
design_rows(Frame(("C", "C"), np.array([[0.0, 0, 0], [1.5, 0, 0]]), None, forces=np.zeros((2, 3))), basis)
print(pair_rows.stats.cache_path, sum(pair_rows.stats.cache_hits.values()))
"""


def test_indices_of_other_sources_go_and_those_of_these_stay(tmp_path):
    (tmp_path / "clusters.nbi").write_text("index")
    assert forget_other_sources(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [DIGEST]
    (tmp_path / "clusters.nbi").write_text("index")
    assert not forget_other_sources(tmp_path)
    assert (tmp_path / "clusters.nbi").exists()
    (tmp_path / DIGEST).write_text(sources_digest()[::-1])
    assert forget_other_sources(tmp_path)
    assert not (tmp_path / "clusters.nbi").exists()
    assert (tmp_path / DIGEST).read_text() == sources_digest()


def test_a_folder_that_cannot_be_made_does_no_harm(tmp_path):
    (tmp_path / "file").write_text("")
    assert forget_other_sources(tmp_path / "file" / "folder")


def test_an_index_that_cannot_be_read_is_no_failure(tmp_path, monkeypatch):
    """As after an upgrade, where an index names classes that are gone."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))

    def run():
        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=300)
        folder, hits = done.stdout.rsplit(maxsplit=1)
        return Path(folder), int(hits)

    folder, hits = run()
    assert hits == 0
    assert run() == (folder, 1)
    for index in folder.glob("*.nbi"):
        version, _, rest = index.read_bytes().partition(b".")
        index.write_bytes(version + b"." + rest[:40] + b"no pickle")
    (folder / DIGEST).write_text("of older sources")
    assert run() == (folder, 0)
