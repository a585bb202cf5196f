"""``Dataset``: frames on disk, in an order, of which the calling process holds facts and no atoms.

It is a sequence of frames wherever a list of them is: fits, plans and searches take it. Parts of it (slices, ``where``)
are data sets too. A worker is sent a path and a range, and reads the frames itself.
"""

from __future__ import annotations

import hashlib
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import numpy as np

from ..errors import HiertlWarning, StoreError
from ..files.paths import named_place
from ..files.places import each_read
from ..frames.choosing import checked_numbers
from ..frames.digests import DIGEST
from ..frames.frame_facts import ENERGY, FORCES, STRESS, FrameFacts
from ..frames.frame_sequence import FrameSequence
from ..frames.frame_table import joined_tables
from ..frames.labels import AlikeLabels
from ..io.trajectories import warn_of_labels
from .dataset_index import read_index
from .importing import import_frames
from .part_reader import PartReader
from .parts import ZERO_ENERGY
from .view_facts import KeptFacts, facts_of_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from ..executors.base import Executor
    from ..files.object_path import Place
    from ..frames.frame import Frame
    from ..frames.frame_table import FrameTable
    from .dataset_index import DatasetIndex

AT_ONCE: Final = 256
"""Frames of which atoms are read at once when all are walked through."""

Answer = TypeVar("Answer")

WHOLE: Final = 4
"""Facts of all frames are read, and kept, where those of at least one frame in so many are wanted."""


class Dataset(FrameSequence):
    """Frames in a folder; :meth:`create` and ``hiertl-dist import`` make one.

    Between brackets stand a number, which gives a frame, or a slice, numbers or a mask, as of a NumPy array, which give
    a part. ``+`` joins data sets and lists of frames, whose frames stay where they are. As with frames, two data sets
    are equal, and have the same hash, only where they are one object; :attr:`key` tells whether their frames are equal.

    Parameters
    ----------
    path : str, Path or ObjectPath
        The folder; on an object store ``s3://bucket/name``.

    Raises
    ------
    MissingFileError
        There is no data set.
    StoreError
        It is damaged.

    Examples
    --------
    >>> data = Dataset("mptrj.frames")
    >>> carbon = data.where(elements="C")
    >>> small = data[data.facts.n_atoms < 20]
    >>> fit = hiertl_dist.fit_hierarchy(data + read_frames("dimers.xyz"), basis)
    >>> fit = hiertl_dist.fit_hierarchy(data, basis)
    """

    def __init__(self, path: str | Place) -> None:
        folder = named_place(path, "data set").absolute()
        index = read_index(folder)
        self._enter(folder, index.id, range(index.frames))
        self.__dict__["_index"] = index

    # long: its parameters are documented
    @classmethod
    def create(
        cls,
        path: str | Place,
        sources: Any,
        *,
        append: bool = False,
        executor: Executor | None = None,
        format: str | None = None,
        group: str | None = None,
        group_key: str | None = None,
        energy_key: str | None = None,
        forces_key: str | None = None,
        stress_key: str | None = None,
        virial_key: str | None = None,
    ) -> Self:
        """Write frames into a folder, once for any number of fits.

        A call that was stopped is gone on with by the same call: what is written stays. Where the same files, unchanged
        since, are in the data set already, nothing is done; of other files that are appended, those are passed over.

        Parameters
        ----------
        path : str, Path or ObjectPath
            The folder, made where it is not there; on an object store ``s3://bucket/name``.
        sources : str, Path, or iterable of str, Path, mapping or Frame
            Files and patterns, as for :func:`~hiertl_dist.read_frames`; or tables of its keyword arguments, as in
            ``[[data]]``; or frames, be it of a generator. A file may be an ``fm_setup.in``: the frames and labels that
            :func:`~hiertl_dist.read_fm_setup` gives.
        append : bool, default False
            Add to the data set that is there.
        executor : Executor, optional
            Who parses and writes; default: mpirun's ranks, the current dask client, else a local dask cluster. The
            folder must be the same for all workers.
        format : str, optional
            As for :func:`~hiertl_dist.read_frames`.
        group, group_key : str, optional
            As for :func:`~hiertl_dist.read_frames`.
        energy_key, forces_key, stress_key, virial_key : str, optional
            As for :func:`~hiertl_dist.read_frames`.

        Returns
        -------
        Dataset
            All frames of the folder, in the order in which they were given.

        Raises
        ------
        StoreError
            The folder has other files, or a data set to which nothing is to be added.
        InputError
            A file is in the data set already and has changed since, or is to be read in another way; options that
            contradict each other.
        FrameError, MissingFileError, OSError
            As of :func:`~hiertl_dist.read_frames`: nothing of this call belongs to the data set then.
        TaskFailed
            The same of a worker, naming file and frame.

        Warns
        -----
        HiertlWarning
            As of :func:`~hiertl_dist.read_frames`; what of an ``fm_setup.in`` has no effect; what is passed over.
        """
        options = {
            "format": format, "group": group, "group_key": group_key, "energy_key": energy_key,
            "forces_key": forces_key, "stress_key": stress_key, "virial_key": virial_key,
        }  # fmt: skip
        done = import_frames(path, sources, options=options, append=append, executor=executor)
        made = cls(path)
        if remarks := done.remarks():
            warnings.warn("Dataset.create: " + "\n  ".join(remarks), HiertlWarning, stacklevel=2)
        warn_of_labels(made, "Dataset.create")
        return made

    def _enter(self, folder: Place, id: str, indices: range | NDArray[np.int64]) -> None:
        self._folder, self._id, self._indices = folder, id, indices

    @classmethod
    def _view(cls, folder: Place, id: str, indices: range | NDArray[np.int64]) -> Self:
        view = cls.__new__(cls)
        view._enter(folder, id, indices)
        return view

    def __reduce__(self) -> tuple[object, ...]:
        return Dataset._view, (self._folder, self._id, self._indices)

    @property
    def path(self) -> Place:
        """The folder."""
        return self._folder

    @cached_property
    def _index(self) -> DatasetIndex:
        index = read_index(self._folder)
        if index.id != self._id or index.frames <= self._last:
            raise StoreError(
                f"{self._folder}: expected the data set {self._id[:8]} with at least {self._last + 1} frames, found "
                f"{index.id[:8]} with {index.frames}: the folder was made anew meanwhile; open it again"
            )
        return index

    @property
    def _last(self) -> int:
        """Number of the last of these frames in the folder, −1 without any."""
        own = self._indices
        return own.stop - 1 if isinstance(own, range) else int(np.max(own, initial=-1))

    @property
    def imports(self) -> tuple[Mapping[str, Any], ...]:
        """What was imported into the folder, a table for each call: its sources, and how many frames they gave."""
        return self._index.imports

    def __len__(self) -> int:
        return len(self._indices)

    def __repr__(self) -> str:
        whole = self._index.frames
        part = f"{len(self)} of {whole}" if len(self) != whole else f"{whole}"
        return f"Dataset({str(self._folder)!r}: {part} frames)"

    def take(self, indices: NDArray[np.integer]) -> Dataset:
        """Some of the frames.

        Parameters
        ----------
        indices : ndarray of int
            Their numbers, in any order.

        Returns
        -------
        Dataset
            In that order.

        Raises
        ------
        IndexError
            One is not the number of a frame.
        """
        checked_numbers(indices, len(self))
        own = self._indices
        places = own.start + np.asarray(indices, np.int64) if isinstance(own, range) else own[indices]
        view = Dataset._view(self._folder, self._id, _shortest(places))
        view.__dict__.update(
            {name: self.__dict__[name] for name in ("_index", "_facts_of_all") if name in self.__dict__}
        )
        return view

    # ---- what is known without atoms

    @cached_property
    def _facts_of_all(self) -> FrameFacts:
        return facts_of_parts(self._folder, self._index, self._index.frames, self._index.by_part())

    @property
    def facts(self) -> FrameFacts:
        """What is known of the frames without their atoms: formula, group, labels and energy of each, as columns."""
        rows = self._indices
        if isinstance(rows, range) and "_facts_of_all" in self.__dict__:
            return self._facts_of_all.take(slice(rows.start, rows.stop))  # which copies nothing
        return self._kept_facts.get(self._own_facts)

    @cached_property
    def _kept_facts(self) -> KeptFacts:
        return KeptFacts()

    def _own_facts(self) -> FrameFacts:
        rows = self._indices
        if "_facts_of_all" in self.__dict__ or WHOLE * len(self) >= self._index.frames:
            return self._facts_of_all.take(slice(rows.start, rows.stop) if isinstance(rows, range) else rows)
        return facts_of_parts(self._folder, self._index, len(self), self._by_part())

    def _by_part(self) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        return self._index.by_part(self._indices)

    def _of_parts(
        self, read: Callable[[PartReader, NDArray[np.integer]], Answer]
    ) -> Iterator[tuple[NDArray[np.int64], Answer]]:
        """What is read of the frames of each part, after their places here."""
        folder, index = self._folder, self._index
        return each_read(folder, lambda one: (one[2], read(PartReader(folder, index, one[0]), one[1])), self._by_part())

    def _digests(self, columns: slice) -> NDArray[np.uint8]:
        out = np.empty((len(self), DIGEST), np.uint8)
        for places, own in self._of_parts(PartReader.digests):
            out[places] = own[:, columns]
        return out

    @property
    def digests(self) -> NDArray[np.uint8]:
        """(n, 32) ``Frame.digest`` of each frame, as bytes."""
        return self._digests(slice(0, DIGEST))

    @property
    def configurations(self) -> NDArray[np.uint8]:
        """(n, 32) ``Frame.configuration`` of each frame, as bytes."""
        return self._digests(slice(DIGEST, None))

    @property
    def stresses(self) -> NDArray[np.float64]:
        """(n, 6) stress of each in kcal/mol/Å³, xx yy zz xy xz yz; NaN where there is none."""
        out = np.empty((len(self), 6))
        for places, own in self._of_parts(PartReader.stresses):
            out[places] = own
        return out

    @property
    def identities(self) -> list[str]:
        """A text that tells these frames, and their order, from others."""
        own = self._indices
        which = str(own) if isinstance(own, range) else hashlib.sha256(np.ascontiguousarray(own).data).hexdigest()
        return [f"{self._id} {which}"]

    def origin(self, index: int) -> str:
        """Where a frame came from, for messages.

        Parameters
        ----------
        index : int
            Its number, from 0.

        Returns
        -------
        str
            As ``Frame.origin``.
        """
        return self.take(np.array([index])).origins()[0]

    def origins(self) -> list[str]:
        """Where each of the frames came from; to be asked for of few.

        Returns
        -------
        list of str
            As ``Frame.origin`` of each.
        """
        listed = [""] * len(self)
        for places, texts in self._of_parts(PartReader.origins):
            for place, text in zip(places.tolist(), texts, strict=True):
                listed[place] = text
        return listed

    def alike_labels(self) -> list[AlikeLabels]:
        """Which labels frames have, and where these came from.

        Returns
        -------
        list of AlikeLabels
            Frames that were read alike together, in order of first appearance.
        """
        known: dict[tuple[int, int], tuple[int, AlikeLabels]] = {}
        for k, own, places in self._by_part():
            numbers = PartReader(self._folder, self._index, k).numbers[own]
            has_stress = (numbers[:, 3] >= STRESS) * STRESS
            alike = np.stack([numbers[:, 7], numbers[:, 3] % STRESS + has_stress], axis=1)
            zero = (numbers[:, 4] & ZERO_ENERGY) != 0
            kinds, first, which = np.unique(alike, axis=0, return_index=True, return_inverse=True)
            for j in range(len(kinds)):
                labels, bits = kinds[j].tolist()
                mine = which.reshape(-1) == j
                place = int(places[first[j]])
                earlier, before = known.get((labels, bits)) or (len(self), AlikeLabels(
                    self._index.labels[labels], bool(bits & ENERGY), bool(bits & FORCES), bool(bits & STRESS), 0, "", 0,
                ))  # fmt: skip
                known[labels, bits] = (
                    min(earlier, place),
                    before._replace(
                        frames=before.frames + int(mine.sum()),
                        zero_energies=before.zero_energies + int(zero[mine].sum()),
                    ),
                )
        ordered = sorted(known.values(), key=lambda own: own[0])
        return [alike._replace(first=self.origin(place)) for place, alike in ordered]

    # ---- frames

    def table(self) -> FrameTable:
        """All of the frames as ragged arrays; to be asked for of few.

        Returns
        -------
        FrameTable
            With arrays of their own.

        Raises
        ------
        StoreError
            What is on disk is not what was written.
        """
        places, tables = [np.empty(0, np.int64)], []
        for there, own in self._of_parts(PartReader.table):  # whatever the order, lest one be read often
            tables.append(own)
            places.append(there)
        table, place = joined_tables(tables), np.concatenate(places)
        return table if (place[1:] > place[:-1]).all() else table.take(np.argsort(place))

    def _frame(self, index: int) -> Frame:
        return self.take(np.array([index])).table().frame(0)

    def __iter__(self) -> Iterator[Frame]:
        for start in range(0, len(self), AT_ONCE):
            yield from self.take(np.arange(start, min(start + AT_ONCE, len(self)))).table()


def _shortest(places: NDArray[np.int64]) -> range | NDArray[np.int64]:
    """Numbers of frames, as a range where they follow one another."""
    follow = len(places) and places[-1] - places[0] == len(places) - 1 and (places[1:] > places[:-1]).all()
    return range(int(places[0]), int(places[-1]) + 1) if follow else places
