"""What ``hiertl-dist committee`` does, as one function: fits to other rows, their files, and their spread on frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..evaluation.energies import Model
from ..evaluation.frame_rows import check_elements
from ..files.paths import move_to_earlier
from ..fitting.mean_model import QUANTITIES
from ..frames.frame_sequence import sequence_of
from ..model.parameters import merge_parameters
from ..text.display import Shown, number_text, table_text
from ..text.words import count_text
from ..uncertainty.committee import committee
from ..units import KCAL_PER_A3_IN_GPA
from .frame_file import FrameFile
from .input_views import view_of_input
from .job_stores import with_its_stores
from .outputs import MODEL, Results, file_writer, write_model
from .predicted_lines import spread_text
from .report import unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ..executors.base import Executor
    from ..frames.frame import Frame
    from ..uncertainty.committee import Committee, CommitteeKind, Opinion
    from .input_file import Input

FOLDER: Final = "committee"
"""Folder in that of the results."""
SPREAD: Final = "spread.extxyz"
MOST: Final = 20
AT_ONCE: Final = 256
"""Frames whose opinions are in memory together."""


@dataclass(frozen=True, eq=False, repr=False)
class CommitteeReport(Shown):
    """What ``committee`` made.

    Attributes
    ----------
    members : Committee
        The fits.
    blocks : tuple of str
        That were free.
    frames : tuple of dict
        Of each frame: where it is from, energy, and the spread of forces, energy and stress.
    files : tuple of Path
        What was written.
    notes : tuple of str
        What there is to say of members and files.
    """

    members: Committee
    blocks: tuple[str, ...]
    frames: tuple[dict[str, Any], ...]
    files: tuple[Path, ...]
    notes: tuple[str, ...]

    def text(self, units: str) -> str:
        """For people.

        Parameters
        ----------
        units : {"kcal", "eV"}
            Of the table.

        Returns
        -------
        str
            The members, the frames of the largest spread, the files.
        """
        count = len(self.members.members)
        lines = [
            f"committee by {self.members.kind}: {count_text(count, 'member')}, blocks {', '.join(self.blocks)} free"
        ]
        if self.frames:
            named = [(kind, *unit_of(kind, units)) for kind in QUANTITIES]
            widest = sorted(self.frames, key=lambda f: -f["spread"]["force"])[:MOST]
            rows = [[f["origin"], *(number_text(f["spread"][k] * x) for k, _, x in named)] for f in widest]
            lines.append(f"largest spread of forces ({len(rows)} of {count_text(len(self.frames), 'frame')})")
            lines.append(table_text(["frame", *(f"{k}, {unit}" for k, unit, _ in named)], rows))
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines) + "\n\nwritten:" + "".join(f"\n  {f}" for f in self.files)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, in kcal/mol, Å and GPa.

        Returns
        -------
        dict from str to object
            Kind and number of members, free blocks, spread on frames, files.
        """
        return {
            "kind": self.members.kind, "members": len(self.members.members), "blocks": list(self.blocks),
            "frames": list(self.frames), "committee_notes": self.notes, "files": [str(f) for f in self.files],
        }  # fmt: skip


# long: its parameters are documented
@with_its_stores
def committee_job(
    job: Input, executor: Executor, *, kind: CommitteeKind = "folds", members: int | None = None, seed: int = 0,
    blocks: Sequence[str] | None = None, model: Path | None = None, frames: Sequence[Frame] = (),
    output: Path | None = None, missing: str = "refuse", fresh: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> CommitteeReport:  # fmt: skip
    """Fit blocks several times to other rows of an input, and write each whole model.

    Parameters
    ----------
    job : Input
        Its data, basis and settings of fits.
    executor : Executor
        Who does the work.
    kind : {"folds", "bootstrap"}
        As of :func:`~hiertl_dist.committee`, as are the next two.
    members : int, optional
        How many a bootstrap has.
    seed : int
        Of what is drawn.
    blocks : Sequence of str, optional
        That are fitted together; default: all.
    model : Path, optional
        The model that has the others, which are frozen.
    frames : sequence of Frame
        On which the spread is told.
    output : Path, optional
        Folder of the results; default: ``committee`` in that of the input.
    missing : {"refuse", "zero"}
        For clusters of types without coefficients in these frames.
    fresh : bool
        Make a new summary store; the one that is there gets another name.
    tell : callable, optional
        Takes lines for a person.

    Returns
    -------
    CommitteeReport
        What was fitted and written.

    Raises
    ------
    InputError, MismatchError
        As of :func:`~hiertl_dist.committee` and :func:`~hiertl_dist.jobs.input_views.view_of_input`.
    """
    folder = job.output / FOLDER if output is None else output
    chosen = view_of_input(job, blocks, model, executor, fresh=fresh, tell=tell)
    found = committee(
        chosen.view, chosen.settings.regulariser, kind=kind, members=members, seed=seed, penalty=chosen.wall,
        executor=executor,
    )  # fmt: skip
    names = [f"member_{i:0{len(str(len(found.members)))}}.params.txt" for i in range(1, len(found.members) + 1)]
    planned = [folder / name for name in (*names, MODEL, *([SPREAD] if len(frames) else []))]
    sequence = sequence_of(frames)
    check_elements(sequence, sorted(found.elements))
    named = [*job.frozen, *([] if model is None else [model])]
    results = Results(folder, planned, named, executor, tell)
    moved = executor.once(partial(_move_earlier, folder, named), what=f"make room in {folder}")
    for aside, earlier in moved.items():
        tell(f"note: {count_text(len(earlier), 'file')} of a committee before are in {aside} now; nothing is lost")
    files = results.write([
        file_writer(folder / name, write_model, Model(merge_parameters([one, *found.frozen])), (one.source,))
        for name, one in zip((*names, MODEL), (*found.members, found.mean), strict=True)
    ])  # fmt: skip
    told: list[dict[str, Any]] = []
    notes: tuple[str, ...] = found.notes
    if len(sequence):
        with FrameFile(folder / SPREAD, executor) as file:
            for at in range(0, len(sequence), AT_ONCE):
                some = list(sequence[at : at + AT_ONCE])
                opinions = found.evaluate(some, executor=executor, missing=missing)
                file.add([spread_text(frame, one) for frame, one in zip(some, opinions, strict=True)])
                told += [_numbers(frame, one) for frame, one in zip(some, opinions, strict=True)]
        notes, files = (*notes, *file.notes()), (*files, folder / SPREAD)
    return CommitteeReport(found, tuple(map(str, chosen.view.blocks)), tuple(told), files, notes)


def _move_earlier(folder: Path, named: Sequence[Path]) -> dict[Path, tuple[str, ...]]:
    """Members of an earlier committee stand beside none of another."""
    kept = {p.resolve() for p in named}
    before = [*sorted(folder.glob("member_*.params.txt")), folder / MODEL, folder / SPREAD]
    return move_to_earlier(p for p in before if p.resolve() not in kept)


def _numbers(frame: Frame, opinion: Opinion) -> dict[str, Any]:
    spread = opinion.deviation
    return {
        "origin": frame.origin, "group": frame.group, "energy": opinion.mean.energy,
        "spread": {
            "force": float(np.sqrt(np.mean(spread.forces**2))), "energy": spread.energy / len(frame),
            "stress": float(np.sqrt(np.mean(spread.stress**2)) * KCAL_PER_A3_IN_GPA),
        },
    }  # fmt: skip
