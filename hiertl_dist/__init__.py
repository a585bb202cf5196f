"""hiertl_dist: ChIMES interatomic models fitted block by block, out-of-core and distributed.

Design matrices of each block of elements are assembled as chunked zarr arrays by dask workers or MPI
ranks, reduced by TSQR or normal equations, and solved with the smaller blocks frozen.

Names are imported when they are used: ``hiertl-dist --version`` and ``doctor`` start where numba cannot be imported.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .active_learning.cycling import run_cycles
    from .active_learning.report import CycleRow, CyclesReport
    from .algebra.errors import ConvergenceError, UnsafeGram
    from .calculator import AtomsError as AtomsError
    from .calculator import Calculator as Calculator
    from .dataset.dataset import Dataset
    from .dataset.folds import Folds
    from .dataset.holding_out import hold_out
    from .design_matrix.assembly import Assembly, assemble
    from .design_matrix.planning import Plan
    from .design_matrix.planning import make_plan as plan
    from .design_matrix.store import DesignStore
    from .errors import (
        BasisError,
        DiskFullError,
        FrameError,
        HiertlError,
        HiertlWarning,
        IncompleteStoreError,
        InnerCutoffError,
        InputError,
        LaunchError,
        LockError,
        MismatchError,
        MissingFileError,
        MissingTypesError,
        NotDoneError,
        ObjectStoreError,
        ParameterFileError,
        RenamedWarning,
        ResourceError,
        StoppedBySignal,
        StoreError,
        UnknownBlockError,
        WriteError,
    )
    from .evaluation.design_rows import DesignRows, design_rows
    from .evaluation.energies import Evaluation, Model
    from .executors import executor
    from .executors.base import ClusterFailed, TaskFailed
    from .executors.dask_options import DaskOptions
    from .executors.stopping import stopping_on_signals
    from .executors.submitting import Submitted, submit
    from .files.store_use import StoreUse, use_stores
    from .fitting.block_fit import BlockFit, fit_block
    from .fitting.block_lattice import BlockLattice
    from .fitting.hierarchy import HierarchyFit, fit_all_at_once, fit_hierarchy
    from .fitting.lattice_rows import block_lattice
    from .fitting.polishing import polish, polished_model
    from .fitting.probe_rows import ProbeRows, reduce_probes
    from .fitting.reduction import Summaries, reduce_rows
    from .fitting.settings import FitSettings, HierarchyOptions
    from .fitting.stored_summaries import open_summaries
    from .fitting.summary_pass import summarise
    from .fitting.summary_pass import summarise as summarize  # noqa: F401  the other spelling
    from .fitting.view_choice import view
    from .fitting.view_solutions import path, solve
    from .fitting.views import View
    from .frames.element_set import ElementSet
    from .frames.frame import Frame
    from .frames.label_summary import LabelSummary, summarise_labels
    from .io.atoms import frames_from_ase
    from .io.fm_setup import read_fm_setup
    from .io.trajectories import iter_frames, read_frames
    from .jobs.cycle_settings import CycleSettings
    from .jobs.input_file import Input
    from .lammps_tables.tabulating import LammpsTables, tabulate
    from .library.adding import add_file as add_to_library
    from .library.checking import check_library
    from .library.entry import LibraryBlock
    from .library.exporting import export_model as export_from_library
    from .library.folder import BlockLibrary, open_library
    from .library.growing import grow_library
    from .library.posteriors import read_posterior
    from .library.settings import LibrarySettings
    from .model.basis import Basis, ClusterType, Cutoff, Edge, Pair
    from .model.blocks import Block, Column, blocks_of, columns_of, lsq_order
    from .model.missing_types import types_without_coefficients
    from .model.parameters import Parameters, Penalty
    from .model.priors import Prior
    from .model.solution import Solution
    from .model_selection.cross_validation import CrossValidation, cross_validate
    from .model_selection.held_out_errors import HeldOut
    from .model_selection.search_settings import SearchSettings
    from .model_selection.search_stages import SearchResult, search
    from .probes.dynamics import md_frames
    from .probes.lattices import lattice_frames
    from .probes.probe_set import ProbeSet
    from .probes.reassigning import reassigned_frames
    from .properties.computing import crystal_properties
    from .properties.crystals import (
        EquationOfState,
        elastic_constants,
        equation_of_state,
        relaxed_crystal,
        surface_energies,
        vacancy_energies,
    )
    from .properties.phonons import Phonons, phonons
    from .properties.report import CrystalProperties
    from .properties.settings import PropertySettings
    from .stability.check_rows import CheckRow, CheckSettings, ModelCheck
    from .stability.checking import check_model
    from .suggestion.suggested import SuggestedInput
    from .suggestion.suggesting import suggest_input
    from .suggestion.surveying import Survey, survey
    from .uncertainty.active_selection import leverage, select
    from .uncertainty.block_posterior import BlockPosterior
    from .uncertainty.calibration import calibration
    from .uncertainty.committee import Committee, committee
    from .uncertainty.coverage_selection import select_for_coverage
    from .uncertainty.predictive import ModelPosterior, Prediction, posterior, predict
    from .uncertainty.whole_model import HierarchyPosterior, hierarchy_posterior

try:
    __version__ = version("hiertl-dist")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "Assembly", "AtomsError", "Basis", "BasisError", "Block", "BlockFit", "BlockLattice", "BlockLibrary",
    "BlockPosterior", "Calculator", "CheckRow", "CheckSettings", "ClusterFailed", "ClusterType", "Column", "Committee",
    "ConvergenceError", "CrossValidation", "CrystalProperties", "Cutoff", "CycleRow", "CycleSettings", "CyclesReport",
    "DaskOptions", "Dataset", "DesignRows", "DesignStore", "DiskFullError", "Edge", "ElementSet", "EquationOfState",
    "Evaluation", "FitSettings", "Folds", "Frame", "FrameError", "HeldOut", "HierarchyFit", "HierarchyOptions",
    "HierarchyPosterior", "HiertlError", "HiertlWarning", "IncompleteStoreError", "InnerCutoffError", "Input",
    "InputError", "LabelSummary", "LammpsTables", "LaunchError", "LibraryBlock", "LibrarySettings", "LockError",
    "MismatchError", "MissingFileError", "MissingTypesError", "Model", "ModelCheck", "ModelPosterior", "NotDoneError",
    "ObjectStoreError", "Pair", "ParameterFileError", "Parameters", "Penalty", "Phonons", "Plan", "Prediction", "Prior",
    "ProbeRows", "ProbeSet", "PropertySettings", "RenamedWarning", "ResourceError", "SearchResult", "SearchSettings",
    "Solution", "StoppedBySignal", "StoreError", "StoreUse", "Submitted", "SuggestedInput", "Summaries", "Survey",
    "TaskFailed", "UnknownBlockError", "UnsafeGram", "View", "WriteError", "add_to_library", "assemble",
    "block_lattice", "blocks_of", "calibration", "check_library", "check_model", "columns_of", "committee",
    "cross_validate", "crystal_properties", "design_rows", "elastic_constants", "equation_of_state", "executor",
    "export_from_library", "fit_all_at_once", "fit_block", "fit_hierarchy", "frames_from_ase", "grow_library",
    "hierarchy_posterior", "hold_out", "iter_frames", "lattice_frames", "leverage", "lsq_order", "md_frames",
    "open_library", "open_summaries", "path", "phonons", "plan", "polish", "polished_model", "posterior", "predict",
    "read_fm_setup", "read_frames", "read_posterior", "reassigned_frames", "reduce_probes", "reduce_rows",
    "relaxed_crystal", "run_cycles", "search", "select", "select_for_coverage", "solve", "stopping_on_signals",
    "submit", "suggest_input", "summarise", "summarise_labels", "surface_energies", "survey", "tabulate",
    "types_without_coefficients", "use_stores", "vacancy_energies", "view",
]  # fmt: skip

_PLACES: Final = {
    "active_learning.cycling": "run_cycles",
    "active_learning.report": "CycleRow CyclesReport",
    "algebra.errors": "ConvergenceError UnsafeGram",
    "calculator": "AtomsError Calculator",
    "dataset.dataset": "Dataset",
    "dataset.folds": "Folds",
    "dataset.holding_out": "hold_out",
    "design_matrix.assembly": "Assembly assemble",
    "design_matrix.planning": "Plan make_plan=plan",
    "design_matrix.store": "DesignStore",
    "errors": (
        "BasisError DiskFullError FrameError HiertlError HiertlWarning IncompleteStoreError InnerCutoffError "
        "InputError LaunchError LockError MismatchError MissingFileError MissingTypesError NotDoneError "
        "ObjectStoreError RenamedWarning "
        "ParameterFileError ResourceError StoppedBySignal StoreError UnknownBlockError WriteError"
    ),
    "evaluation.design_rows": "DesignRows design_rows",
    "evaluation.energies": "Evaluation Model",
    "executors": "executor",
    "executors.base": "ClusterFailed TaskFailed",
    "executors.dask_options": "DaskOptions",
    "executors.stopping": "stopping_on_signals",
    "executors.submitting": "Submitted submit",
    "files.store_use": "StoreUse use_stores",
    "fitting.block_fit": "BlockFit fit_block",
    "fitting.block_lattice": "BlockLattice",
    "fitting.hierarchy": "HierarchyFit fit_all_at_once fit_hierarchy",
    "fitting.lattice_rows": "block_lattice",
    "fitting.polishing": "polish polished_model",
    "fitting.probe_rows": "ProbeRows reduce_probes",
    "fitting.reduction": "Summaries reduce_rows",
    "fitting.settings": "FitSettings HierarchyOptions",
    "fitting.stored_summaries": "open_summaries",
    "fitting.summary_pass": "summarise summarise=summarize",
    "fitting.view_solutions": "path solve",
    "fitting.view_choice": "view",
    "fitting.views": "View",
    "frames.element_set": "ElementSet",
    "frames.frame": "Frame",
    "frames.label_summary": "LabelSummary summarise_labels",
    "io.atoms": "frames_from_ase",
    "io.fm_setup": "read_fm_setup",
    "io.trajectories": "iter_frames read_frames",
    "jobs.cycle_settings": "CycleSettings",
    "jobs.input_file": "Input",
    "lammps_tables.tabulating": "LammpsTables tabulate",
    "library.adding": "add_file=add_to_library",
    "library.checking": "check_library",
    "library.entry": "LibraryBlock",
    "library.exporting": "export_model=export_from_library",
    "library.folder": "BlockLibrary open_library",
    "library.growing": "grow_library",
    "library.posteriors": "read_posterior",
    "library.settings": "LibrarySettings",
    "model.basis": "Basis ClusterType Cutoff Edge Pair",
    "model.blocks": "Block Column blocks_of columns_of lsq_order",
    "model.missing_types": "types_without_coefficients",
    "model.parameters": "Parameters Penalty",
    "model.priors": "Prior",
    "model.solution": "Solution",
    "model_selection.cross_validation": "CrossValidation cross_validate",
    "model_selection.held_out_errors": "HeldOut",
    "model_selection.search_settings": "SearchSettings",
    "model_selection.search_stages": "SearchResult search",
    "probes.dynamics": "md_frames",
    "probes.lattices": "lattice_frames",
    "probes.probe_set": "ProbeSet",
    "probes.reassigning": "reassigned_frames",
    "properties.computing": "crystal_properties",
    "properties.crystals": (
        "EquationOfState elastic_constants equation_of_state relaxed_crystal surface_energies vacancy_energies"
    ),
    "properties.phonons": "Phonons phonons",
    "properties.report": "CrystalProperties",
    "properties.settings": "PropertySettings",
    "stability.check_rows": "CheckRow CheckSettings ModelCheck",
    "stability.checking": "check_model",
    "suggestion.suggested": "SuggestedInput",
    "suggestion.suggesting": "suggest_input",
    "suggestion.surveying": "Survey survey",
    "uncertainty.active_selection": "leverage select",
    "uncertainty.block_posterior": "BlockPosterior",
    "uncertainty.calibration": "calibration",
    "uncertainty.committee": "Committee committee",
    "uncertainty.coverage_selection": "select_for_coverage",
    "uncertainty.predictive": "ModelPosterior Prediction posterior predict",
    "uncertainty.whole_model": "HierarchyPosterior hierarchy_posterior",
}
"""Where each name is: module → names, ``theirs=ours`` where they differ."""

_PLACE_OF: Final = {
    name.rpartition("=")[2]: (module, name.partition("=")[0])
    for module, names in _PLACES.items()
    for name in names.split()
}


if not os.environ.keys().isdisjoint(("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")):
    # from here on an exception that nobody catches on one rank ends all ranks, which would wait for that one for ever
    import_module(".executors", __name__)


def __getattr__(name: str) -> object:
    if name in _PLACE_OF:
        module, theirs = _PLACE_OF[name]
        try:
            value: object = getattr(import_module(f".{module}", __name__), theirs)
        except ImportError as error:
            if module != "calculator" or error.name != "ase":
                raise
            return _without_ase(name, str(error))
    elif not name.startswith("_") and find_spec(f".{name}", __name__) is not None:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def _without_ase(name: str, reason: str) -> type:
    """What stands for the calculator, or its error, where ASE is not installed: it can't be made, and ``*`` has it."""
    from .errors import FrameError

    def refuse(self: object, *args: object, **options: object) -> None:
        raise ImportError(reason)

    bases = (FrameError,) if name == "AtomsError" else ()
    return type(name, bases, {"__init__": refuse, "__doc__": reason, "__module__": __name__})


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
