"""What commands print with ``--json``: the keys of the object, what kind of value each has and what it means.

For the reference, for JSON schemas, and for the tests, which hold the commands to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Result(NamedTuple):
    """A key of the object that a command prints.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`; ending in `` or null`` where it can be null.
    text : str
        What it means.
    """

    kind: str
    text: str


KINDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "text": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "true or false": {"type": "boolean"},
    "table": {"type": "object"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "numbers": {"type": "array", "items": {"type": "number"}},
    "tables": {"type": "array", "items": {"type": "object"}},
    "list": {"type": "array"},
    "text or table": {"type": ["string", "object", "null"]},
}
"""Kinds of values, and what a JSON schema says of each."""

_NOTES: Final = Result("texts", "what was guessed, left out, passed over")
_LABELS: Final = Result("tables", "where labels of each source were found, and which were left out")
_FILES: Final = Result("texts", "files that were written")
_FILE_NOTES: Final = Result("texts", "how the file of frames is to be read, and what frames in it could not have")
_SIGMA_NOTES: Final = Result("texts", "what does not count in the deviations")
_SOURCES: Final = Result("tables", "what was read, and how")
_BY_KIND: Final = "for each way of fitting"
_LOOK: Final = {
    "sources": _SOURCES,
    "survey": Result("table", "frames, elements, groups, labels, contacts"),
    "input": Result("table or null", "the input file that is proposed"),
    "why_no_input": Result("text or null", "why there is none"),
    "notes": _NOTES,
    "all_at_once": Result("true or false", "whether a fit of all blocks together is proposed"),
    "estimated_cpu_seconds": Result("number or null", "CPU seconds of that fit"),
    "fit_cpu_seconds": Result("table or null", "these by steps"),
    "output": Result("text or null", "the input file that was written"),
}
_ENTRY: Final = {
    "hiertl_dist_library_block": Result("integer", "format of the entry"),
    "block": Result("text", "its elements"),
    "version": Result("text", "how it is called"),
    "parameters_digest": Result("text", "of its parameters"),
    "theory": Result("text or table", "level of theory, as stated"),
    "energy_reference": Result("text or table", "zero of energies, as stated"),
    "lower": Result("table", "versions of the lower blocks that were frozen"),
    "together": Result("list", "blocks that were fitted with it"),
    "data": Result("table", "what is known of the data"),
    "sources": Result("list", "files of the data"),
    "coverage": Result("table", "distances of each pair that it was fitted on"),
    "fit": Result("table", "how it was fitted"),
    "imported": Result("table or null", "the file that it came from"),
    "accepted": Result("list", "in what it was let differ from others"),
    "covariance_note": Result("text", "why it has no covariance, if so"),
    "packages": Result("table", "versions"),
    "added": Result("text", "when"),
    "files": Result("table", "files with their checksums"),
}
_STORES: Final = "each store or data set in the folder: path, kind, and "

RESULTS: Final[Mapping[str, Mapping[str, Result]]] = {
    "inspect": _LOOK,
    "init": _LOOK,
    "config check": {
        "input": Result("text", "the file"),
        "elements": Result("texts", "elements or types of atoms"),
        "types": Result("texts", "cluster types"),
        "sources": Result("integer", "number of `[[data]]` tables"),
        "not_compared": Result("texts", "keys that name groups of frames or weights of each, for frames are not read"),
        "notes": _NOTES,
    },
    "import": {
        "path": Result("text", "the data set"),
        "frames": Result("integer", "frames that it has"),
        "added": Result("integer", "frames that this run added"),
        "atoms": Result("integer", "atoms of all frames"),
        "groups": Result("integer", "number of groups"),
        "element_sets": Result("table", "frames by elements"),
        "labelled": Result("table", "frames by kind of label"),
        "labels": _LABELS,
        "notes": _NOTES,
        "passed_over": Result("tables", "frames of the sources that are not in it, and why"),
    },
    "probes": {
        "frames": Result("tables", "each structure: where it is from, formula, what it was made of"),
        "notes": _NOTES,
        "limits": Result("table", "Å: no pair is closer"),
        "output": Result("text", "the file"),
    },
    "plan": {
        "blocks": Result("table", "each block: frames, rows, columns, lower blocks"),
        "frames": Result("integer", "frames that are fitted"),
        "tiles": Result("integer", "pieces of rows that are computed at once"),
        "disk_bytes": Result("integer", "of the store"),
        "worker_bytes": Result("integer", "memory of a worker at its peak"),
        "cpu_seconds": Result("number", "of the rows"),
        "fit_cpu_seconds": Result("table", "of the whole fit, by steps"),
        "fit_wall_seconds": Result("number", "of the whole fit with these workers"),
        "summaries": Result("table", "summaries of a search: number, bytes"),
        "inside_inner_cutoff": Result("list", "frames with pairs inside an inner cutoff"),
        "skipped_frames": Result("list", "frames that are left out, and why"),
        "unlabelled_frames": Result("list", "frames without labels"),
        "inner_cutoffs": Result("tables", "pairs with distances inside the inner cutoff, and one that would do"),
        "inactive_types": Result("list", "cluster types that no frame has"),
        "closest_contacts": Result("table", "of each block's pairs, Å"),
        "lattice": Result("table", "every block, with what it stands on"),
        "held_out_frames": Result("integer", "frames that are evaluated and not fitted"),
        "workers": Result("integer", "number"),
        "executor": Result("text", "who works"),
        "assemble_bytes_per_worker": Result("integer", "memory while rows are stored"),
        "reduce_bytes_per_worker": Result("integer", "memory while rows are reduced"),
        "solve_bytes": Result("integer", "memory of the worker that solves"),
        "caller_bytes": Result("integer", "memory of the calling process, all in where it works itself"),
        "covariance_bytes": Result("integer", "disk of files of covariances"),
        "labels": _LABELS,
        "notes": _NOTES,
    },
    "assemble": {
        "store": Result("text", "the folder"),
        "computed": Result("integer", "tiles computed by this run"),
        "present": Result("integer", "tiles that were complete"),
        "by_others": Result("integer", "tiles that other runs computed meanwhile"),
        "rows": Result("integer", "of all blocks"),
        "blocks": Result("table", "rows and columns of each"),
        "labels": _LABELS,
        "notes": _NOTES,
        "repaired": Result("list", "what `--verify` mended"),
    },
    "fit": {
        "solutions": Result("table", "each block: columns, rows, regulariser, weights, condition"),
        "units": Result("table", "of errors, by kind"),
        "errors": Result("table", f"{_BY_KIND}: by composition"),
        "group_errors": Result("table", f"{_BY_KIND}: by group"),
        "coverage": Result("table", f"{_BY_KIND}: distances fitted on and met"),
        "out_of_range": Result("table", f"{_BY_KIND}: distances beyond those fitted on"),
        "missing_types": Result("table", f"{_BY_KIND}: cluster types without coefficients"),
        "types": Result("table", f"{_BY_KIND}: clusters by type"),
        "files": _FILES,
        "notes": _NOTES,
    },
    "summarise": {
        "batches": Result("table", "what the store has, by name"),
        "groups": Result("integer", "groups of rows"),
        "rows": Result("integer", "rows that were reduced"),
        "bytes": Result("integer", "of the store"),
        "folds": Result("table or null", "of cross-validation"),
        "store": Result("text", "the folder"),
        "element_sets": Result("table", "frames by elements"),
        "new_batches": Result("texts", "batches of this run"),
        "notes": _NOTES,
    },
    "search": {
        "versions": Result("table", "of packages"),
        "settings": Result("table", "strategy, rule, folds, grid"),
        "all_at_once": Result("true or false", "whether all blocks were searched together"),
        "summaries": Result("table", "the store, and what of it was taken"),
        "stages": Result("tables", "each stage: blocks, candidates with errors, choice"),
        "model": Result("table", "digest and columns of the model"),
        "errors": Result("table", "by composition"),
        "group_errors": Result("table", "by group"),
        "out_of_range": Result("table", "distances beyond those fitted on"),
        "missing_types": Result("table", "cluster types without coefficients"),
        "coverage": Result("tables", "distances fitted on and met"),
        "types": Result("tables", "clusters by type"),
        "files": _FILES,
        "notes": _NOTES,
    },
    "polish": {
        "solution": Result("table", "columns, rows, frozen blocks, regulariser"),
        "errors": Result("table", "before and after"),
        "files": _FILES,
        "notes": _NOTES,
    },
    "cycle": {
        "folder": Result("text", "where the folders of the cycles are"),
        "cycles": Result("tables", "a row for each: frames fitted, errors (kcal/mol/Å, kcal/mol/atom), runs, picks"),
        "model": Result("text", "the parameter file of the last fit"),
        "ended": Result("text", "by which rule the loop ended; empty where it waits for labels"),
        "waiting": Result("texts", "what is to be done for it to go on"),
        "notes": _NOTES,
    },
    "evaluate": {
        "errors": Result("table", "by composition"),
        "group_errors": Result("table", "by group"),
        "units": Result("table", "of errors, by kind"),
        "no_energy_offsets": Result("list", "elements whose energies of free atoms no file has"),
        "undetermined_energies": Result("table", "elements whose energies no data tell apart, and frames with them"),
        "missing_types": Result("list", "cluster types without coefficients"),
        "coverage": Result("tables", "distances fitted on and met"),
        "types": Result("tables", "clusters by type"),
        "frames": Result("tables", "each frame: errors, worst atom, predicted errors where asked for"),
        "files": _FILES,
        "file_notes": _FILE_NOTES,
        "sources": _SOURCES,
        "labels": _LABELS,
        "notes": _NOTES,
    },
    "predict": {
        "frames": Result("tables", "each frame: energy, stress, σ of each kind, leverage, distances out of range"),
        "units": Result("table", "of errors, by kind"),
        "no_energy_offsets": Result("list", "elements whose energies of free atoms no file has"),
        "undetermined_energies": Result("table", "elements whose energies no data tell apart, and frames with them"),
        "missing_types": Result("list", "cluster types without coefficients, which counted for nothing"),
        "coverage": Result("tables", "distances fitted on and met"),
        "types": Result("tables", "clusters by type"),
        "files": _FILES,
        "file_notes": _FILE_NOTES,
        "sigma_notes": _SIGMA_NOTES,
        "sources": _SOURCES,
        "labels": _LABELS,
        "notes": _NOTES,
    },
    "calibrate": {
        "hiertl_dist_calibration": Result("integer", "format of the file"),
        "model": Result("text", "the model"),
        "of": Result("text", "digest of the model and its covariances"),
        "units": Result("table", "of errors, by kind"),
        "kinds": Result("table", "by kind of label: factor, its standard error, coverage before and after, bins of σ"),
        "sigma_notes": _SIGMA_NOTES,
        "missing_types": Result("list", "cluster types without coefficients, which counted for nothing"),
        "files": _FILES,
        "sources": _SOURCES,
        "labels": _LABELS,
        "notes": _NOTES,
    },
    "select": {
        "method": Result("text", "d_optimal, leverage or coverage"),
        "picks": Result("tables", "chosen frames in their order: place in the pool, where from, and why"),
        "total": Result("number or null", "what all candidates have together, where a share of it was asked for"),
        "candidates": Result("integer", "frames that could be chosen"),
        "known": Result("integer", "frames that are fitted or pending"),
        "again": Result("integer", "frames that are there twice"),
        "inside_inner_cutoff": Result("integer", "frames with a pair inside an inner cutoff, where these are skipped"),
        "missing_types": Result("list", "cluster types without coefficients"),
        "selection_notes": Result("texts", "what does not count in deviations, and labels that are not in the file"),
        "files": _FILES,
        "sources": _SOURCES,
        "labels": _LABELS,
        "notes": _NOTES,
    },
    "committee": {
        "kind": Result("text", "folds or bootstrap"),
        "members": Result("integer", "how many"),
        "blocks": Result("texts", "that were fitted"),
        "frames": Result("tables", "each frame: energy, and the spread of forces, energy and stress"),
        "committee_notes": Result("texts", "rows that every member has; how the file of frames is to be read"),
        "files": _FILES,
        "notes": _NOTES,
    },
    "path": {
        "kind": Result("text", "ridge or lasso"),
        "blocks": Result("texts", "that were fitted"),
        "columns": Result("integer", "coefficients"),
        "points": Result("tables", "each strength: terms, degrees of freedom, errors by kind, criteria"),
        "best": Result("table", "number of the point with the least of each criterion, from 0"),
        "files": _FILES,
        "notes": _NOTES,
    },
    "report": {
        "files": _FILES,
        "warnings": Result("texts", "warnings of the run"),
        "not_there": Result("texts", "what the page lacks, and why"),
    },
    "check": {
        "source": Result("text", "the model"),
        "passed": Result("true or false", "whether no row fails"),
        "settings": Result("table", "of the check"),
        "notes": _NOTES,
        "rows": Result("tables", "what was tried: value, limit, verdict"),
    },
    "properties": {
        "model": Result("text", "the model"),
        "crystals": Result(
            "tables",
            "each crystal: cell_A, eos, elastic_constants_GPa, moduli, vacancies_eV, surfaces_J_per_m2, phonons (null: "
            "none), `not_computed` and why, `out_of_range` (number of calculations by property), notes",
        ),
        "files": _FILES,
        "notes": _NOTES,
    },
    "merge": {
        "output": Result("text", "the file"),
        "elements": Result("texts", "of the model"),
        "types": Result("texts", "cluster types"),
        "columns": Result("integer", "coefficients"),
        "missing_types": Result("texts", "cluster types without coefficients"),
    },
    "tabulate": {
        "elements": Result("texts", "of the model"),
        "pairs": Result("texts", "pairs with a table"),
        "triplets": Result("table", "centre, splines, layers (tables that are summed) and error of each triplet"),
        "one_body_kcal": Result("table", "kcal/mol an atom, which LAMMPS leaves out"),
        "lammps_bytes": Result("integer", "memory of the tables in LAMMPS"),
        "files": _FILES,
    },
    "library add": {
        "library": Result("text", "the folder"),
        "added": Result("tables", "entries, as `library show` has them"),
    },
    "library list": {
        "library": Result("text", "the folder"),
        "in_use": Result("table", "version of each block"),
        "versions": Result("tables", "entries, as `library show` has them"),
    },
    "library show": _ENTRY,
    "library check": {
        "versions": Result("integer", "entries that were looked at"),
        "files": Result("integer", "files that were read"),
        "problems": Result("texts", "what is wrong"),
        "notes": _NOTES,
    },
    "library use": {"block": Result("text", "its elements"), "version": Result("text", "now in use")},
    "library export": {
        "output": Result("text", "the file"),
        "elements": Result("texts", "of the model"),
        "types": Result("texts", "cluster types"),
        "columns": Result("integer", "coefficients"),
        "comments": Result("texts", "what the file says of where blocks are from"),
    },
    "store check": {"stores": Result("tables", f"{_STORES}faults")},
    "store repair": {"stores": Result("tables", f"{_STORES}what was mended and what is left")},
    "store gc": {
        "dry_run": Result("true or false", "whether nothing was deleted"),
        "stores": Result("tables", f"{_STORES}files and bytes that can go"),
    },
    "store info": {"stores": Result("tables", f"{_STORES}format, sizes, how much is complete")},
    "doctor": {
        "kind": Result("text", "the executor that was looked at"),
        "here": Result("table", "this process: host, versions, memory, threads"),
        "others": Result("table", "other ranks or workers"),
        "mpi": Result("table", "library, ranks, launcher"),
        "dask": Result("table", "client, threads, memory"),
        "problems": Result("texts", "what is wrong"),
        "notes": _NOTES,
        "speaks": Result("true or false", "whether this rank prints"),
    },
    "demo": {},
}
"""Of each command with ``--json``, in the order of the groups of ``--help``; ``demo`` prints what ``fit`` does."""


def result_schema(command: str) -> dict[str, Any]:
    """The JSON schema (draft 7) of what a command prints with ``--json``.

    Parameters
    ----------
    command : str
        A key of :data:`RESULTS`.

    Returns
    -------
    dict
        Every key is required, and there are no others.
    """
    keys = RESULTS[command] or RESULTS["fit"]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"what hiertl-dist {command} --json prints",
        "type": "object",
        "properties": {name: _value_schema(result) for name, result in keys.items()},
        "required": list(keys),
        "additionalProperties": False,
    }


def _value_schema(result: Result) -> dict[str, Any]:
    kind = result.kind.removesuffix(" or null")
    schema = dict(KINDS[kind])
    if kind != result.kind:
        schema["type"] = [schema["type"], "null"]
    return schema | {"description": result.text}
