"""What ``hiertl-dist probes`` does, as one function: make probe structures of the data of an input, and write them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..evaluation.energies import Model, read_parts
from ..files.paths import refuse_overwriting, replacing
from ..frames.element_set import ElementSet
from ..io.extxyz_write import structure_lines
from ..probes.lattice_volumes import known_of_models
from ..probes.reassigning import reassigned_frames
from .data_tables import places_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ..probes.probe_set import ProbeSet
    from .input_file import Input


# long: its parameters are documented
def probes_job(
    job: Input, elements: str, count: int, output: Path, *, seed: int = 0, groups: Sequence[str] | None = None,
    volumes: Mapping[str, float] | None = None, vacuum: bool = True, overwrite: bool = False,
) -> ProbeSet:  # fmt: skip
    """Make probe structures of the frames that an input fits, and write them as extended XYZ.

    Parameters
    ----------
    job : Input
        Its basis says how close atoms may come. Elements without frames take their volumes, and how close their atoms
        may come, from its frozen models.
    elements : str
        Name of the set of elements, ``"MoNb"``.
    count : int
        How many.
    output : Path
        The file to write.
    seed : int, default 0
        Of what is random.
    groups : sequence of str, optional
        Patterns of groups whose frames are taken; default: all.
    volumes : Mapping from str to float, optional
        Å³ an atom by element, in place of those of frames and models.
    vacuum : bool, default True
        Whether frames with vacuum are taken, too.
    overwrite : bool, default False
        Write over a file that is there.

    Returns
    -------
    ProbeSet
        What was written.

    Raises
    ------
    InputError
        As of :func:`~hiertl_dist.reassigned_frames`; or the file is there already, or is one that is read.
    FrameError, ParameterFileError, OSError
        As of the readers.
    """
    read = [file for table in job.data for file in places_of(table)]
    refuse_overwriting(
        [output], overwrite, "-o", [*read, *job.frozen, *(() if job.fm_setup is None else [job.fm_setup])]
    )
    frames = job.read_frames()[0]
    if groups is not None:
        frames = frames.where(group=groups)
    named = ElementSet.parse(elements)
    alone = {e for s in frames.facts.element_sets() if len(s.elements) == 1 for e in s.elements}
    models = [Model(read_parts(path)) for path in job.frozen]
    given, shortest, notes = known_of_models(models, named.elements - alone, volumes)
    made = reassigned_frames(
        frames, named, count, seed=seed, basis=job.basis, volumes=given, shortest=shortest, vacuum=vacuum
    )
    made = replace(made, notes=(*notes, *made.notes))
    with replacing(output) as stream:
        stream.writelines(line.encode() for line in structure_lines(made.frames))
    return made
