"""The steps of one cycle: fit, runs, pick, label. Each gives facts and files for the record of the cycle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import FrameError
from ..evaluation.energies import Model, read_parts
from ..executors.ask import ask
from ..files.json_files import write_json
from ..files.paths import replacing
from ..fitting.block_order import blocks_in
from ..io.extxyz_write import structure_lines
from ..io.trajectories import read_frames
from ..jobs.fit_job import fit_job
from ..jobs.outputs import MODEL
from ..library.posteriors import read_posterior
from ..model.file_names import COVARIANCE
from ..stability.lattices import nearest_allowed
from ..text.display import listed
from ..text.words import count_text
from .dft_inputs import read_results, write_inputs
from .dynamics import run_dynamics, run_files
from .judging import judge
from .labelling import failures_text, label_file, label_frames, labelled_by, labelled_lines
from .picking import by_species, counts_by_way, pick_frames
from .records import read_record, read_state, write_record
from .report import rms
from .runs import Run, planned_runs

if TYPE_CHECKING:
    from ..executors.base import Executor
    from ..frames.frame import Frame
    from ..jobs.cycle_settings import CycleSettings
    from ..jobs.fit_report import FitResult
    from ..jobs.input_file import Input
    from ..uncertainty.whole_model import HierarchyPosterior

Done = tuple[dict[str, Any], list[Path]]
"""What a step came to, and the files that later steps follow from."""

PICKED: Final = "picked.extxyz"
PICKS: Final = "picks.json"
LABELS: Final = "labels.extxyz"
MOST_NAMED: Final = 5
"""Runs that were cut, of which notes say why."""


@dataclass(frozen=True, eq=False)
class CycleWork:
    """One cycle.

    Attributes
    ----------
    job : Input
        With all that was labelled before, its results in this cycle's folder.
    settings : CycleSettings
        Of the loop.
    cycle : int
        Which one.
    folder : Path
        Of this cycle, by its absolute path.
    executor : Executor
        Who works.
    tell : callable
        Is told what is done.
    """

    job: Input
    settings: CycleSettings
    cycle: int
    folder: Path
    executor: Executor
    tell: Callable[[str], None]

    def fit(self, _done: Mapping[str, Any]) -> Done:
        """Fit all that has labels."""
        if not self.cycle:  # states that can't be run are told before hours of fitting
            self._planned()
        self.tell("fit")
        result = fit_job(self.job, self.executor, tell=lambda line: self.tell(f"  {line}"))
        data, notes = self._data()
        for line in notes:
            self.tell(line)
        facts: dict[str, Any] = {
            "fitted": len(result.sets["fitted"]) if "fitted" in result.sets else 0, **_errors(result), "data": data,
            "notes": notes,
        }  # fmt: skip
        kept = [p for p in result.files if p.name == MODEL or p.name.endswith(COVARIANCE)]
        return facts, [p.absolute() for p in kept]

    def _data(self) -> tuple[dict[str, Any], list[str]]:
        """What tells the frames of the input, without labels of cycles, from others; a note where they have changed."""
        bare = replace(self.job.fit, row_weights=None)  # they may name labels of cycles
        frames = replace(self.job, added=(), fit=bare).read_frames()[0]
        own = {"frames": len(frames), "sha256": sha256(frames.digests.tobytes()).hexdigest()}
        before = self.folder.parent / f"{self.cycle - 1:04d}"
        told = read_state(before) if self.cycle else {}
        known = told.get("fit", {}).get("data", own)  # cycles of earlier versions don't say
        notes = [] if own == known else [
            f"WARNING: frames of [[data]], or their labels, are not those that cycle {self.cycle - 1} was fitted to: "
            f"{known['frames']} then, {own['frames']} now"
        ]  # fmt: skip
        return own, notes

    def runs(self, _done: Mapping[str, Any]) -> Done:
        """Run the model at all states."""
        model, place = self._model(), self.folder / "runs"
        runs, notes = self._planned()
        limits = {pair: self.settings.contact * r for pair, r in nearest_allowed(model).items()}
        self.tell(f"{count_text(len(runs), 'run')} of {count_text(self.settings.steps, 'step')}")
        task = partial(run_dynamics, model=model, settings=self.settings, limits=limits, folder=place)
        told = self.executor.run(task, runs, label=lambda r: f"run {r.number} ({r.name})", what="runs", cost=_atoms)
        cut = [own for own in told if own["stopped"]]
        lines = [f"run {own['run']} ({own['name']}) {own['stopped']}" for own in cut[:MOST_NAMED]]
        if cut:
            lines.insert(0, f"{len(cut)} of {count_text(len(told), 'run')} cut; frames before are kept")
        if len(cut) > MOST_NAMED:
            lines.append(f"and {count_text(len(cut) - MOST_NAMED, 'run')} more cut: the records in {place} say why")
        if not model.coverage:
            lines.append("the model does not say how close fitted atoms were: contacts are held against inner cutoffs")
        for line in (*notes, *lines):
            self.tell(line)
        kept = sum(own["frames"] for own in told)
        if not kept:
            raise FrameError(
                f"{place}: no run kept a frame, so none can be picked: {listed(lines, MOST_NAMED)}; take lower "
                "temperatures, a smaller timestep, or a stronger regulariser, and delete that folder"
            )
        facts = {"runs": len(told), "cut": len(cut), "kept": kept, "notes": [*notes, *lines],
                 "made": sum(own["made"] for own in told)}  # fmt: skip
        return facts, [file for run in runs for file in run_files(place, run.number)]

    def pick(self, done: Mapping[str, Any]) -> Done:
        """Judge all frames of the runs, and pick some."""
        frames = self._kept(done["runs"]["runs"])
        posterior = self._posterior()
        self.tell(f"judge {count_text(len(frames), 'frame')}")
        judged = judge(frames, posterior, self.executor)
        known = {bytes(row).hex() for row in self._fitted().configurations}
        picks = pick_frames(frames, judged, posterior, self.settings, self.cycle, known, self.executor)
        chosen = [by_species(frames[p.index]) for p in picks]
        why = [p.as_dict(frames[p.index], judged[p.index]) for p in picks]
        write = partial(_write_picks, self.folder, chosen, why)
        ask(self.executor, write, what=f"write {self.folder / PICKED}")
        sigmas = [j.sigma for j in judged if np.isfinite(j.sigma)]
        unknown = sum(bool(j.missing) for j in judged)
        notes = list(posterior.notes)
        if unknown:
            notes.append(f"{count_text(unknown, 'frame')} with types without coefficients: σ of these is not known")
        ways = counts_by_way(why)
        facts = {
            "judged": len(judged), "outside": sum(bool(j.outside or j.missing) for j in judged), "unknown": unknown,
            "sigma": max(sigmas, default=None), "median_sigma": float(np.median(sigmas)) if sigmas else None,
            "picked": len(picks), "by": ways, "notes": notes,
        }  # fmt: skip
        by = ", ".join(f"{n} by {way}" for way, n in ways.items())
        self.tell(f"{count_text(len(picks), 'frame')} picked{by and ': '}{by}")
        return facts, [self.folder / PICKED, self.folder / PICKS]

    def label(self, _done: Mapping[str, Any]) -> tuple[dict[str, Any], list[Path], tuple[str, ...]]:
        """Have the picked frames labelled; with what is to be waited for, if results of a program are not there."""
        frames = read_frames(self.folder / PICKED, group=f"cycle_{self.cycle}")
        label, notes = self.settings.label, list[str]()
        if label.calculator:
            self.tell(f"label {count_text(len(frames), 'frame')} by {label.name}")
            place = self.folder / "labels"
            told = label_frames(frames, label, place, self.executor)
            labelled, notes = labelled_by(frames, told), failures_text(told)
            if not any(own is not None for own in labelled):
                forget = partial(_forget, place, len(frames))
                self.executor.once(forget, what=f"remove failed labels of {place}")
                raise FrameError(f"{place}: none of {count_text(len(frames), 'frame')} could be labelled: {notes[0]}")
        else:
            place = self.folder / "inputs"
            labelled, lacking = ask(self.executor, partial(_results, frames, label, place), what=f"read {place}")
            if any(own is None for own in labelled):
                said = ask(self.executor, partial(_inputs, frames, label, place), what=f"write {place}")
                there = sum(own is not None for own in labelled)
                waiting = (*said, *([f"{there} of {len(frames)} results are there"] if there else []), *lacking[:1])
                return {}, [], tuple(waiting)
        good = [own for own in labelled if own is not None]
        write = partial(_write_labels, self.folder / LABELS, good, self.cycle)
        ask(self.executor, write, what=f"write {self.folder / LABELS}")
        facts = {"labelled": len(good), "asked": len(frames), "notes": notes, **self._told_before(good)}
        for line in notes:
            self.tell(line)
        return facts, [self.folder / LABELS], ()

    def _told_before(self, labelled: Sequence[Frame]) -> dict[str, Any]:
        """What the model, which has not seen them, says of frames that have just been labelled, kcal/mol/Å."""
        posterior = self._posterior()
        judged = judge(labelled, posterior, self.executor)
        known = [i for i, own in enumerate(judged) if not own.missing and labelled[i].forces is not None]
        said = posterior.model.evaluate([labelled[i] for i in known], executor=self.executor) if known else []
        told = zip((labelled[i].forces for i in known), said, strict=True)
        errors = [float(np.sqrt(np.mean((own.forces - forces) ** 2))) for forces, own in told if forces is not None]
        sigmas = [judged[i].total for i in known if np.isfinite(judged[i].total)]
        return {"force": rms(errors) if errors else None, "sigma": rms(sigmas) if sigmas else None}

    def _model(self) -> Model:
        return Model(read_parts(self.folder / "model" / MODEL))

    def _posterior(self) -> HierarchyPosterior:
        frozen = {str(b) for path in self.job.frozen for b in blocks_in(read_parts(path))}
        return read_posterior(self._model(), self.folder / "model", known=sorted(frozen))

    def _fitted(self) -> Any:
        return self.job.read_frames()[0]

    def _planned(self) -> tuple[list[Run], list[str]]:
        return planned_runs(self.settings, self._fitted(), self.job.basis.elements, self.cycle)

    def _kept(self, runs: int) -> list[Frame]:
        files = [run_files(self.folder / "runs", number)[0] for number in range(runs)]
        filled = [f for f in files if f.stat().st_size]
        frames = [frame for f in filled for frame in read_frames(f, group=f"cycle_{self.cycle}")]
        return frames


def _atoms(run: Run) -> float:
    return float(len(run.start))


def _errors(result: FitResult) -> dict[str, float | None]:
    """RMSE over all frames that were fitted and held out, kcal/mol/Å and kcal/mol/atom."""
    facts: dict[str, float | None] = {}
    evaluated = next(iter(result.evaluated.values()))
    for name, key in (("fitted", "fitted"), ("held out", "held_out")):
        whole = evaluated[name].whole if name in evaluated else None
        facts[f"{key}_force"] = None if whole is None else whole.force
        facts[f"{key}_energy"] = None if whole is None else whole.energy
    return facts


def _write_picks(folder: Path, frames: Sequence[Frame], why: Sequence[Mapping[str, Any]]) -> None:
    with replacing(folder / PICKED) as stream:
        stream.writelines(line.encode() for line in structure_lines(frames))
    write_json(folder / PICKS, {"picks": list(why)})


def _write_labels(path: Path, frames: Sequence[Frame], cycle: int) -> None:
    with replacing(path) as stream:
        stream.writelines(line.encode() for line in labelled_lines(frames, cycle))


def _results(frames: Sequence[Frame], label: Any, folder: Path) -> tuple[list[Frame | None], list[str]]:
    return read_results(frames, label, folder)


def _inputs(frames: Sequence[Frame], label: Any, folder: Path) -> list[str]:
    """Write inputs once: those that are there may have been edited."""
    record = folder / "inputs.json"
    known = read_record(record)
    if known is None:
        known = {"said": write_inputs(frames, label, folder)}
        write_record(record, known)
    return list(known["said"])


def _forget(folder: Path, count: int) -> None:
    for number in range(count):
        label_file(folder, number).unlink(missing_ok=True)
