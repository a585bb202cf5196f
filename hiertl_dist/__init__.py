"""hiertl_dist: ChIMES interatomic models fitted block by block, out-of-core and distributed.

Design matrices of each block of elements are assembled as chunked zarr arrays by dask workers or MPI
ranks, reduced by TSQR or normal equations, and solved with the smaller blocks frozen.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from .assembly import Assembly, assemble
from .basis import Basis, ClusterType, Cutoff, Edge, Pair
from .blocks import Block, Column, blocks_of, columns_of, lsq_order
from .committees import Committee, committee
from .design import DesignRows, design_rows
from .evaluation import Evaluation, Model
from .executors import executor
from .folds import Folds
from .frames import Frame
from .held_out import HeldOut
from .hierarchy import HierarchyFit, HierarchyOptions, fit_all_at_once, fit_hierarchy
from .inputs import Input
from .io import frames_from_ase, iter_frames, read_fm_setup, read_frames
from .parameters import Parameters, Penalty
from .planning import Plan
from .planning import make_plan as plan
from .reduction import Summaries, reduce_rows
from .searching.settings import SearchSettings
from .searching.stages import SearchResult, search
from .selection import leverage, select
from .settings import FitSettings
from .solution import Solution
from .solving import BlockFit, fit_block
from .store import DesignStore
from .stored_summaries import open_summaries
from .suggesting import SuggestedInput, suggest_input
from .summarising import summarise
from .surveying import Survey, survey
from .uncertainty import ModelPosterior, Prediction, calibration, posterior, predict
from .validation import CrossValidation, cross_validate
from .view_solutions import path, solve
from .views import View, view

if TYPE_CHECKING:
    from .calculator import Calculator as Calculator

try:
    __version__ = version("hiertl-dist")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "Assembly", "Basis", "Block", "BlockFit", "ClusterType", "Column", "Committee", "CrossValidation", "Cutoff",
    "DesignRows", "DesignStore", "Edge", "Evaluation", "FitSettings", "Folds", "Frame", "HeldOut", "HierarchyFit",
    "HierarchyOptions", "Input", "Model", "ModelPosterior", "Pair", "Parameters", "Penalty", "Plan", "Prediction",
    "SearchResult", "SearchSettings", "Solution", "SuggestedInput", "Summaries", "Survey", "View", "assemble",
    "blocks_of", "calibration", "columns_of", "committee", "cross_validate", "design_rows", "executor",
    "fit_all_at_once", "fit_block",
    "fit_hierarchy", "frames_from_ase", "iter_frames", "leverage", "lsq_order", "open_summaries", "path", "plan",
    "posterior", "predict", "read_fm_setup", "read_frames", "reduce_rows", "search", "select", "solve", "suggest_input",
    "summarise", "survey", "view",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name == "Calculator":  # not in __all__: it needs ASE, which is optional
        from .calculator import Calculator

        return Calculator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
