"""``Input``: a whole job as one TOML file, or the same thing in Python.

::

    fm_setup = "fm_setup.in"        # instead of [basis] and [[data]], for users of chimes_lsq
    [basis]      …                  # see Basis.from_dict
    [[data]]     path = "*.extxyz"  # and any option of read_frames
    [hold_out]   groups = ["t03*"]  # patterns of group names that are kept out of the fit
                 fraction = 0.1, or every = 10    # and of the other frames a tenth, see hold_out
    [fit]        regulariser, weights, objective, method, policy, include_fewer, penalty, partial, apart, prior
                 only, missing, probes   # of the whole climb
    [weights]    force, energy, stress, rows, frames, cycles, gas    # of single rows
    [fit.blocks.CN]  the same keys but those of the whole climb, for one block
    [frozen]     files = ["C.params.txt"]; energies = "refuse", "fit" or "zero" where they lack those of free atoms
    [store]      path, keep_rows, memory    # the store is the folder of path that is named by the basis
                 in_use, wait, fsync        # see StoreUse; also of data sets and summary stores
                 checkpoint                 # folder of what a long pass that is cut goes on from; true, or false: none
    [output]     folder, units; covariance    # false: fits write no files of what they leave open
    [executor]   kind, workers, scratch; of a dask cluster: scheduler, tls_ca_file, tls_cert, tls_key, encrypted,
                 worker_wait, dashboard, performance_report, resources
    [library]    path, theory, energy_reference; versions, update, accept, covariance: see LibrarySettings
    [search]     summaries, folds, strategy, rule, importance; [search.grid], [search.blocks.CN], see searching
    [cycle]      the active-learning loop: [[cycle.states]] and how frames are picked and labelled, see CycleSettings

Paths are relative to the file's folder. A key that is not known is an error that names it, and the key that was perhaps
meant; all that is wrong is told at once. American spelling is taken (``regularizer``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dataset.holding_out import NEIGHBOURS, check_hold_out, hold_out
from ..design_matrix.store_places import store_folder
from ..errors import HiertlError, InputError
from ..executors import KINDS, DaskOptions
from ..files.object_path import Place
from ..files.paths import require_file
from ..files.store_use import StoreUse
from ..fitting.settings import MISSING, FitSettings
from ..frames.frame_sequence import FrameList, FrameSequence, joined_frames, sequence_of
from ..frames.label_summary import summarise_labels
from ..io.fm_setup import read_fm_setup
from ..model.one_body import MISSING_ENERGIES
from ..text.cards import input_card
from ..text.display import Shown
from ..text.problems import joined
from ..text.table_keys import BYTES, DATA, EXECUTOR, FIT, FROZEN, HOLD_OUT, OF_CLIMB, OUTPUT, STORE, TABLE, TOP
from ..text.words import toml_table
from .cycle_settings import CycleSettings
from .data_tables import read_table
from .input_tables import UNITS, Reading, fit_settings, refuse_overlaps
from .table_checks import bytes_of
from .weights_table import WeightsFile, default_of_groups, weights_table, with_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..frames.frame import Frame
    from ..library.settings import LibrarySettings
    from ..model.basis import Basis
    from ..model_selection.search_settings import SearchSettings

__all__ = ["DATA", "FIT", "TOP", "Input", "fit_settings"]


@dataclass(frozen=True, eq=False, repr=False)
class Input(Shown, card=input_card):
    """A job: basis, data, how to fit, where results go.

    Attributes
    ----------
    basis : Basis
        Of all blocks.
    data : tuple of Mapping from str to object
        Keyword arguments of :func:`~hiertl_dist.read_frames`, one mapping per source.
    fm_setup : Path or None
        A chimes_lsq input that gives basis and frames instead.
    hold_out : tuple of str
        Patterns of group names whose frames are not fitted.
    fit : FitSettings
        Settings of every block.
    block_fits : Mapping from str to FitSettings
        Those of single blocks.
    partial : Mapping from str to tuple of str
        Per block, lower blocks that are fitted together with it.
    only : tuple of str, or None
        Blocks to fit; ``None``: all that are not frozen.
    frozen : tuple of Path
        Parameter or solution files of blocks that are not fitted.
    store : Path or ObjectPath
        Folder of design stores, see :meth:`design_store`.
    keep_rows : bool
        Whether rows are written there.
    memory : int or None
        Bytes that all workers may take together; ``None``: what is available.
    output : Path
        Folder of the results.
    units : {"kcal", "eV"}
        Units of reports, tables and figures.
    executor : {"auto", "serial", "processes", "dask", "mpi"}
        Who works, see :func:`~hiertl_dist.executor`.
    workers : int or None
        How many; ``None``: as many as that executor starts or has by itself.
    notes : tuple of str
        What the report should say of the input: of ``fm_setup.in``, and of frames held out one by one.
    search : SearchSettings or None
        What ``hiertl-dist search`` varies, if there is such a table.
    summaries : Path or ObjectPath
        Folder of summary stores.
    hold_out_fraction : float or None
        Which part of the other frames is not fitted either, see :func:`~hiertl_dist.hold_out`.
    hold_out_every : int or None
        Of the other frames of each group every so manieth is not fitted, see :func:`~hiertl_dist.hold_out`.
    missing : {"refuse", "zero", "mixed"} or None
        What becomes of blocks that no frame informs, see :class:`~hiertl_dist.HierarchyOptions`.
    probes : tuple of Path
        Files of structures on which priors hold predictions; none: they are made of the frames.
    library : LibrarySettings or None
        The library whose blocks are taken as they are, and to which those that are fitted are added.
    store_use : StoreUse
        What is done where other runs use the same stores, and whether files are flushed to disk.
    checkpoint : Path, ObjectPath or bool
        Folder of checkpoints, see :meth:`checkpoint_folder`; ``True``: in that of the results; ``False``: none.
    dask : DaskOptions
        Which dask cluster works, if one does, and how it is spoken to.
    covariance : bool
        Whether fits write what they leave open in the coefficients (``CN.covariance.npz``), for predicted errors.
    scratch : Path or None
        Where workers of "processes", and those of a local dask cluster, have temporary files; ``None``: TMPDIR.
    cycle : CycleSettings or None
        The active-learning loop of ``hiertl-dist cycle``, if there is such a table.
    added : tuple of Mapping from str to object
        More sources, as ``data``, of which nothing is held out: what a loop has had labelled. No key of a file.
    weights : WeightsFile or None
        The file that ``[weights]`` names, read by :meth:`read_weighed`; its expressions are in the settings of fits.
    frame_notes : tuple of str
        What :meth:`read_weighed` notes of the trajectories of an ``fm_setup.in``. No key of a file.
    """

    basis: Basis
    data: tuple[Mapping[str, Any], ...] = ()
    fm_setup: Path | None = None
    hold_out: tuple[str, ...] = ()
    fit: FitSettings = field(default_factory=FitSettings)
    block_fits: Mapping[str, FitSettings] = field(default_factory=dict)
    partial: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    only: tuple[str, ...] | None = None
    frozen: tuple[Path, ...] = ()
    store: Place = Path("design.zarr")
    keep_rows: bool = True
    memory: int | None = None
    output: Path = Path("hiertl_results")
    units: str = "kcal"
    executor: str = "auto"
    workers: int | None = None
    notes: tuple[str, ...] = ()
    search: SearchSettings | None = None
    summaries: Place = Path("summaries")
    hold_out_fraction: float | None = None
    hold_out_every: int | None = None
    missing: str | None = None
    probes: tuple[Path, ...] = ()
    library: LibrarySettings | None = None
    store_use: StoreUse = field(default_factory=StoreUse)
    checkpoint: Place | bool = True
    dask: DaskOptions = field(default_factory=DaskOptions)
    covariance: bool = True
    scratch: Path | None = None
    cycle: CycleSettings | None = None
    added: tuple[Mapping[str, Any], ...] = ()
    weights: WeightsFile | None = None
    frame_notes: tuple[str, ...] = ()

    @classmethod
    def from_toml(cls, path: str | Path, *, look_for_files: bool = False) -> Input:
        """Read an input file.

        Parameters
        ----------
        path : str or Path
            The file (TOML); relative paths in it are taken from its folder.
        look_for_files : bool, optional
            Also say which of the files that it names are not there, instead of when they are read.

        Returns
        -------
        Input
            The job; nothing of the data is read yet.

        Raises
        ------
        InputError, BasisError
            Naming the file and every key at fault, a line for each.
        MissingFileError
            There is no such file; or one that it names is not there, and nothing else is wrong.

        Examples
        --------
        >>> job = Input.from_toml("input.toml")
        >>> frames, held_out = job.read_frames()
        """
        path = require_file(path, "input file")
        table = toml_table(path, InputError)
        try:
            return cls.from_dict(table, path.parent, look_for_files=look_for_files)
        except HiertlError as error:
            if error.problems:
                raise joined(error.problems, type(error), f"{path}: ") from error
            raise type(error)(f"{path}: {error}") from error

    # long: a line for each key
    @classmethod
    def from_dict(cls, table: Mapping[str, Any], folder: Path = Path(), *, look_for_files: bool = False) -> Input:
        """A job from the content of an input file.

        Parameters
        ----------
        table : Mapping from str to object
            Tables and keys as in the file.
        folder : Path, optional
            What relative paths are taken from.
        look_for_files : bool, optional
            As for :meth:`from_toml`.

        Returns
        -------
        Input
            The job.

        Raises
        ------
        InputError, BasisError
            Naming every key at fault, a line for each.
        MissingFileError
            All that is wrong is that a file is not there: ``fm_setup``, or with ``look_for_files`` any that is named.
        """
        reading = Reading(table, folder)
        setup, basis, notes = reading.basis()
        data = reading.data(setup)
        fit, store, output, run, held_out, frozen = (
            reading.table(name, kinds)
            for name, kinds in (
                ("fit", FIT | OF_CLIMB | {"blocks": TABLE}), ("store", STORE), ("output", OUTPUT),
                ("executor", EXECUTOR), ("hold_out", HOLD_OUT), ("frozen", FROZEN),
            )
        )  # fmt: skip
        reading.one_of("output.units", output.get("units", "kcal"), UNITS)
        reading.one_of("executor.kind", run.get("kind", "auto"), KINDS)
        if run.get("workers", 1) < 1:
            reading.problems.add(f"executor.workers: expected at least 1, found {run['workers']}")
        dask = reading.dask(run)
        scratch = reading.path(run["scratch"], "executor.scratch") if "scratch" in run else None
        search, summaries = reading.search()
        library = reading.library()
        cycle = None
        with reading.problems.noting():
            cycle = CycleSettings.from_dict(reading.top["cycle"], folder) if "cycle" in reading.top else None
        fit = default_of_groups(reading, setup is not None) | fit
        general, fits, partial_of = reading.fits(fit, basis, data)
        all_fits = {"fit": general, **{f"fit.blocks.{b}": own for b, own in fits.items()}}
        row_weights, weights_file = weights_table(reading, all_fits)
        missing = frozen.get("energies", "refuse")
        reading.one_of("frozen.energies", missing, MISSING_ENERGIES)
        if "missing" in fit:
            reading.one_of("fit.missing", fit["missing"], MISSING)
        given = fit.get("probes", [])
        probes = tuple(reading.path(f, "fit.probes") for f in ([given] if isinstance(given, str) else given))
        with reading.problems.noting():
            check_hold_out(held_out.get("fraction"), held_out.get("every"))
        if held_out.get("fraction") is not None or held_out.get("every") is not None:
            notes = (*notes, NEIGHBOURS)
        memory = None
        with reading.problems.noting():
            memory = bytes_of(store["memory"], "store.memory", BYTES) if "memory" in store else None
        use = reading.store_use(store)
        files = tuple(reading.path(f, "frozen.files") for f in frozen.get("files", ()))
        rows = reading.place(store.get("path", "design.zarr"), "store.path")
        if library is not None and "path" not in store:
            rows = library.rows
        results = reading.path(output.get("folder", "hiertl_results"), "output.folder")
        kept = reading.place(summaries, "search.summaries")
        checkpoint = store.get("checkpoint", True)
        if isinstance(checkpoint, str):
            checkpoint = reading.place(checkpoint, "store.checkpoint")
        if look_for_files:
            reading.look_for(data, files)
        reading.problems.settle()
        assert basis is not None
        general = replace(general, missing_energies=missing, row_weights=row_weights)
        fits = {name: replace(own, missing_energies=missing, row_weights=row_weights) for name, own in fits.items()}
        return cls(
            basis, data, setup, tuple(held_out.get("groups", ())), general, fits, partial_of,
            tuple(fit["only"]) if "only" in fit else None, files, rows, store.get("keep_rows", True), memory, results,
            output.get("units", "kcal"), run.get("kind", "auto"), run.get("workers"), notes, search, kept,
            held_out.get("fraction"), held_out.get("every"), fit.get("missing"), probes, library, use, checkpoint, dask,
            output.get("covariance", True), scratch, cycle, (), weights_file,
        )  # fmt: skip

    def design_store(self) -> Place:
        """Folder of the design store of this basis and policy.

        Returns
        -------
        Path
            The one in :attr:`store` that is named by them, or that folder itself if it is a store of theirs.

        Raises
        ------
        StoreError
            That folder is the store of another basis or policy; what differs is named.
        """
        return store_folder(self.store, self.basis, self.fit.policy)

    def checkpoint_folder(self) -> Place | None:
        """Folder of checkpoints, from which a pass over rows that takes long goes on when it was cut.

        Returns
        -------
        Path, ObjectPath or None
            None where there are to be none.
        """
        if isinstance(self.checkpoint, bool):
            return self.output / "checkpoint" if self.checkpoint else None
        return self.checkpoint

    def read_frames(
        self, watch: Callable[[Iterable[Frame], str], Iterable[Frame]] = lambda frames, _: frames
    ) -> tuple[FrameSequence, FrameSequence]:
        """The frames to fit and those held out.

        Parameters
        ----------
        watch : callable taking an iterable of Frame and a str, optional
            Wraps the frames as they are read, to show progress; the str says what is read. Not called for ``fm_setup``.

        Returns
        -------
        tuple of (sequence of Frame, sequence of Frame)
            Those to fit and those held out, each in the order of the data. Frames of a data set stay on disk.

        Raises
        ------
        InputError
            A hold-out pattern matches no group, a source has no frames, a file is named twice, or no frame has a label.
        """
        frames, held_out = self.read_weighed(watch)[1:]
        return frames, held_out

    def read_weighed(
        self, watch: Callable[[Iterable[Frame], str], Iterable[Frame]] = lambda frames, _: frames
    ) -> tuple[Input, FrameSequence, FrameSequence]:
        """As :meth:`read_frames`, with the job to go on with: its weights of rows are those that its files have.

        Parameters
        ----------
        watch : callable taking an iterable of Frame and a str, optional
            As of :meth:`read_frames`.

        Returns
        -------
        tuple of (Input, sequence of Frame, sequence of Frame)
            The job, the frames to fit and those held out.

        Raises
        ------
        InputError
            As of :meth:`read_frames`; a file of weights does not fit the frames; an expression of a weight names a
            group or a type of atoms that no frame has.
        """
        if self.fm_setup is not None:
            read = read_fm_setup(self.fm_setup)
            frames: FrameSequence = FrameList(read.frames)
            noted = tuple(note for note in read.notes if note not in self.notes)
        else:
            refuse_overlaps(self.data)
            noted = ()
            frames = joined_frames([read_table(source, watch) for source in self.data])
        if not frames.facts.n_rows.any():
            raise InputError(
                f"none of the {len(frames)} frames has an energy, forces or a stress; energy_key, forces_key, "
                "stress_key and virial_key in [[data]] say where extended XYZ keeps them\n"
                + summarise_labels(frames).text()
            )
        fitted, held_out = hold_out(
            frames, groups=self.hold_out, fraction=self.hold_out_fraction, every=self.hold_out_every
        )
        if self.added:
            more = [read_table(source, watch) for source in self.added]
            frames, fitted = (joined_frames([sequence_of(known), *more]) for known in (frames, fitted))
        if self.fit.row_weights is None:
            return replace(self, frame_notes=noted), sequence_of(fitted), sequence_of(held_out)
        weights = with_file(self.fit.row_weights, self.weights, frames)
        own = {b: replace(s, row_weights=weights) for b, s in self.block_fits.items()}
        job = replace(self, fit=replace(self.fit, row_weights=weights), block_fits=own, frame_notes=noted)
        return job, sequence_of(fitted), sequence_of(held_out)
