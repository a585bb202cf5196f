"""hiertl_dist: ChIMES interatomic models fitted block by block, out-of-core and distributed.

Design matrices of each block of elements are assembled as chunked zarr arrays by dask workers or MPI
ranks, reduced by TSQR or normal equations, and solved with the smaller blocks frozen.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from .basis import Basis, ClusterType, Cutoff, Edge, Pair
from .blocks import Block, Column, blocks_of, columns_of, lsq_order
from .design import DesignRows, design_rows
from .evaluation import Evaluation, Model
from .frames import Frame
from .io import read_fm_setup, read_frames

try:
    __version__ = version("hiertl-dist")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "Basis", "Block", "ClusterType", "Column", "Cutoff", "DesignRows", "Edge", "Evaluation", "Frame", "Model", "Pair",
    "blocks_of", "columns_of", "design_rows", "lsq_order", "read_fm_setup", "read_frames",
]  # fmt: skip
