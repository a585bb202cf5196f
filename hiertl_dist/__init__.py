"""hiertl_dist: ChIMES interatomic models fitted block by block, out-of-core and distributed.

Design matrices of each block of elements are assembled as chunked zarr arrays by dask workers or MPI
ranks, reduced by TSQR or normal equations, and solved with the smaller blocks frozen.

Names are imported when they are used: ``hiertl-dist --version`` and ``doctor`` start where numba cannot be imported.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .assembly import Assembly, assemble
    from .basis import Basis, ClusterType, Cutoff, Edge, Pair
    from .blocks import Block, Column, blocks_of, columns_of, lsq_order
    from .calculator import Calculator as Calculator
    from .committees import Committee, committee
    from .design import DesignRows, design_rows
    from .errors import HiertlWarning
    from .evaluation import Evaluation, Model
    from .executors import executor
    from .folds import Folds
    from .frames import Frame
    from .held_out import HeldOut
    from .hierarchy import HierarchyFit, HierarchyOptions, fit_all_at_once, fit_hierarchy
    from .holding_out import hold_out
    from .inputs import Input
    from .io import frames_from_ase, iter_frames, read_fm_setup, read_frames
    from .label_summary import LabelSummary, summarise_labels
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
    from .suggested import SuggestedInput
    from .suggesting import suggest_input
    from .summarising import summarise
    from .summarising import summarise as summarize  # noqa: F401  the other spelling
    from .surveying import Survey, survey
    from .uncertainty import ModelPosterior, Prediction, calibration, posterior, predict
    from .validation import CrossValidation, cross_validate
    from .view_solutions import path, solve
    from .views import View, view

try:
    __version__ = version("hiertl-dist")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "Assembly", "Basis", "Block", "BlockFit", "Calculator", "ClusterType", "Column", "Committee", "CrossValidation",
    "Cutoff", "DesignRows", "DesignStore", "Edge", "Evaluation", "FitSettings", "Folds", "Frame", "HeldOut",
    "HierarchyFit", "HierarchyOptions", "HiertlWarning", "Input", "LabelSummary", "Model", "ModelPosterior", "Pair",
    "Parameters", "Penalty", "Plan",
    "Prediction", "SearchResult", "SearchSettings", "Solution", "SuggestedInput", "Summaries", "Survey", "View",
    "assemble", "blocks_of", "calibration", "columns_of", "committee", "cross_validate", "design_rows", "executor",
    "fit_all_at_once", "fit_block", "fit_hierarchy", "frames_from_ase", "hold_out", "iter_frames", "leverage",
    "lsq_order", "open_summaries", "path", "plan", "posterior", "predict", "read_fm_setup", "read_frames",
    "reduce_rows", "search", "select", "solve", "suggest_input", "summarise", "summarise_labels", "survey", "view",
]  # fmt: skip

_PLACES: Final = {
    "assembly": "Assembly assemble",
    "basis": "Basis ClusterType Cutoff Edge Pair",
    "blocks": "Block Column blocks_of columns_of lsq_order",
    "calculator": "Calculator",
    "committees": "Committee committee",
    "design": "DesignRows design_rows",
    "errors": "HiertlWarning",
    "evaluation": "Evaluation Model",
    "executors": "executor",
    "folds": "Folds",
    "frames": "Frame",
    "held_out": "HeldOut",
    "hierarchy": "HierarchyFit HierarchyOptions fit_all_at_once fit_hierarchy",
    "holding_out": "hold_out",
    "inputs": "Input",
    "io": "frames_from_ase iter_frames read_fm_setup read_frames",
    "label_summary": "LabelSummary summarise_labels",
    "parameters": "Parameters Penalty",
    "planning": "Plan make_plan=plan",
    "reduction": "Summaries reduce_rows",
    "searching.settings": "SearchSettings",
    "searching.stages": "SearchResult search",
    "selection": "leverage select",
    "solution": "Solution",
    "settings": "FitSettings",
    "solving": "BlockFit fit_block",
    "store": "DesignStore",
    "stored_summaries": "open_summaries",
    "suggested": "SuggestedInput",
    "suggesting": "suggest_input",
    "surveying": "Survey survey",
    "summarising": "summarise summarise=summarize",
    "uncertainty": "ModelPosterior Prediction calibration posterior predict",
    "validation": "CrossValidation cross_validate",
    "view_solutions": "path solve",
    "views": "View view",
}
"""Where each name is: module → names, ``theirs=ours`` where they differ."""

_PLACE_OF: Final = {
    name.rpartition("=")[2]: (module, name.partition("=")[0])
    for module, names in _PLACES.items()
    for name in names.split()
}


def __getattr__(name: str) -> object:
    if name in _PLACE_OF:
        module, theirs = _PLACE_OF[name]
        try:
            found: object = getattr(import_module(f".{module}", __name__), theirs)
        except ImportError as error:
            if name != "Calculator" or error.name != "ase":
                raise
            return _without_ase(str(error))
    elif not name.startswith("_") and find_spec(f".{name}", __name__) is not None:
        found = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def _without_ase(reason: str) -> type:
    """What stands for the calculator where ASE is not installed, so that ``import *`` works: it cannot be made."""

    def refuse(self: object, *args: object, **options: object) -> None:
        raise ImportError(reason)

    return type("Calculator", (), {"__init__": refuse, "__doc__": reason, "__module__": __name__})


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
