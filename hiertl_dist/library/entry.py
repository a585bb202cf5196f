"""``LibraryBlock``: one version of one block in a library, with all that is known of how it was made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..algebra.packed import unpack_upper
from ..errors import InputError, StoreError
from ..evaluation.energies import read_parts
from ..files.json_files import digest_of, jsonable, read_object
from ..frames.element_set import ElementSet
from ..model.blocks import Column
from ..model.solution import Solution
from ..text.display import Card, Shown, listed, table_text
from ..text.words import count_text
from .labels import Label, label_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..model.parameters import Parameters

FORMAT: Final = 1
ENTRY: Final = "entry.json"
PARAMETERS: Final = "params.txt"
SOLUTION: Final = "solution.npz"
COVARIANCE: Final = "covariance.npz"
SUMS: Final = "checksums.sha256"
SHORT: Final = 12
"""Digits of a version that are shown; its folder has a few more."""

IN_FOLDER: Final = 16
NOT_COMPARED: Final = ("library", "version", "packages", "added", "files", "sources")
NOT_COMPARED_OF_FIT: Final = ("frozen", "notes")
"""What says nothing of the block itself, or says in words what else is there: two entries that differ in nothing else
are one version."""


def _card(one: LibraryBlock) -> Card:
    low = [f"{b} {v[:SHORT]}" for b, v in one.lower.items()]
    facts = [
        ("version", one.version),
        ("level of theory", label_text(one.theory)),
        ("zero of the energies", label_text(one.energy_reference)),
        ("stands on", listed(low) if low else "nothing"),
        *([("fitted together with", listed(one.together))] if one.together else []),
        ("data", _data_text(one)),
        *([("fit", _fit_text(one))] if one.fit else [("imported from", str(one.imported.get("name", "unknown")))]),
        ("distances fitted on, Å", listed([f"{k} {a:.3f}–{b:.3f}" for k, (a, b) in one.coverage.items()], 20)),
        *[("accepted", f"{a['block']}: {a['what']}: {a['values']}") for a in one.accepted],
        ("covariance", "kept" if COVARIANCE in one.files else one.covariance_note or "not kept"),
        ("added", f"{one.added} by " + ", ".join(f"{k} {v}" for k, v in one.packages.items())),
        ("files", f"{listed(sorted(one.files))} in {one.folder}"),
    ]  # fmt: skip
    residuals = (one.fit or {}).get("residuals", {})
    rows = tuple((g, r["rows"], float(r["target_rms"]), float(r["rmse"])) for g, r in residuals.items())
    return Card(
        f"LibraryBlock {one.block} of {one.library}", tuple(facts), ("group of rows", "rows", "RMS", "RMSE"), rows
    )


@dataclass(frozen=True, eq=False, repr=False)
class LibraryBlock(Shown, card=_card):
    """One version of a block.

    Attributes
    ----------
    library : Path
        Folder of the library.
    block : ElementSet
        Name of the block.
    parameters_digest : str
        SHA-256 of basis, coefficients and penalty (:attr:`~hiertl_dist.Parameters.digest`).
    theory, energy_reference : str or Mapping
        What the user stated of the data; ``"unknown"`` where nobody did.
    lower : Mapping from str to str
        By lower block, the version that was frozen when this one was fitted; ``"unknown"`` where nobody knows.
    together : tuple of str
        Blocks that were fitted in the same solve, which are entries of their own.
    data : Mapping from str to object
        Of the frames it was fitted on: ``frames``, ``groups`` with numbers of frames, and ``digest``, SHA-256 of those
        of the frames; empty where nobody knows.
    sources : tuple of Mapping
        Where these were read: tables as ``[[data]]`` of an input file, or what a user stated.
    coverage : Mapping from str to (float, float)
        By ``"block:pair"`` the range of distances, Å, that it was fitted on.
    fit : Mapping from str to object
        What :meth:`Solution.as_dict` says of the fit, its residuals too; empty for an imported parameter file.
    imported : Mapping from str to str
        ``name`` and ``sha256`` of the file that it was read from, if it was.
    accepted : tuple of Mapping
        What was accepted of blocks that it stands on: ``block``, ``version``, ``what`` and ``values``.
    covariance_note : str
        Why there is no covariance; empty where there is.
    packages : Mapping from str to str
        Versions of what made it.
    added : str
        When, in UTC.
    files : Mapping from str to str
        SHA-256 of each file but ``entry.json``, by name.
    version : str
        SHA-256 of all that says what the block is: not of where the data were, nor of who added it when.
    """

    library: Path
    block: ElementSet
    parameters_digest: str
    theory: Label
    energy_reference: Label
    lower: Mapping[str, str] = field(default_factory=dict)
    together: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[Mapping[str, Any], ...] = ()
    coverage: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)
    imported: Mapping[str, str] = field(default_factory=dict)
    accepted: tuple[Mapping[str, str], ...] = ()
    covariance_note: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    added: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    version: str = ""

    def named(self) -> LibraryBlock:
        """The same with its version, which follows from what it holds.

        Returns
        -------
        LibraryBlock
            With :attr:`version`.
        """
        plain = {k: v for k, v in _plain(self).items() if k not in NOT_COMPARED}
        plain["fit"] = {k: v for k, v in self.fit.items() if k not in NOT_COMPARED_OF_FIT}
        return replace(self, version=digest_of(jsonable(plain)))

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.library / "blocks" / f"{self.block}-{self.version[:IN_FOLDER]}"

    @property
    def source(self) -> str:
        """What it is called in messages."""
        return f"library block {self.block} ({self.version[:SHORT]})"

    def text(self) -> str:
        """All that is known of it, for people.

        Returns
        -------
        str
            Lines, none of which is cut.
        """
        card = _card(self)
        lines = [card.title, *(f"  {name}: {value}" for name, value in card.facts)]
        return "\n".join([*lines, table_text(card.header, card.rows)] if card.rows else lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON.

        Returns
        -------
        dict from str to object
            The attributes but the library's place.
        """
        return {"hiertl_dist_library_block": FORMAT} | {k: v for k, v in _plain(self).items() if k != "library"}

    @classmethod
    def read(cls, folder: Path) -> LibraryBlock:
        """The entry of a folder.

        Parameters
        ----------
        folder : Path
            Of the version, in ``blocks`` of its library.

        Returns
        -------
        LibraryBlock
            As it was written.

        Raises
        ------
        StoreError
            Naming the file: it can't be read, is of another format, or says something else than its version promises.
        """
        path = folder / ENTRY
        try:
            content = read_object(path)
        except FileNotFoundError as error:
            raise StoreError(f"{folder}: expected {ENTRY} of a library block, found none") from error
        if content.pop("hiertl_dist_library_block", None) != FORMAT:
            raise StoreError(f"{path}: expected the entry of a library block of format {FORMAT}")
        try:
            content["block"] = ElementSet.parse(content["block"])
            content["coverage"] = {k: (float(a), float(b)) for k, (a, b) in content["coverage"].items()}
            for key in ("together", "accepted", "sources"):
                content[key] = tuple(content[key])
            entry = cls(folder.parent.parent, **content)
            expected = entry.named().version
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"{path}: expected the entry of a library block, but: {error!r}") from error
        if expected != entry.version or entry.folder.name != folder.name:
            raise StoreError(
                f"{path}: its content makes version {expected[:IN_FOLDER]}, it says {entry.version[:IN_FOLDER]}, and "
                f"its folder is {folder.name}: it was changed after it was written"
            )
        return entry

    def checked_file(self, name: str) -> Path:
        """The path of one of its files, whose checksum is looked at.

        Parameters
        ----------
        name : str
            Such as ``"params.txt"``.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        InputError
            The block has no such file.
        StoreError
            It is not there any more, or not as it was written.
        """
        if name not in self.files:
            raise InputError(f"{self.source} has no {name}; it has {listed(sorted(self.files))}")
        path = self.folder / name
        if not path.is_file():
            raise StoreError(f"{path}: expected a file of {self.source}, found none")
        if (sum_now := sha256_of(path)) != self.files[name]:
            raise StoreError(f"{path}: SHA-256 expected {self.files[name]}, found {sum_now}: it was changed or damaged")
        return path

    def parameters(self) -> Parameters:
        """Its coefficients.

        Returns
        -------
        coefficients : Parameters
            Its ``source`` is :attr:`source`.

        Raises
        ------
        StoreError
            A file is not as it was written.
        """
        read = read_parts(self.checked_file(SOLUTION if SOLUTION in self.files else PARAMETERS))
        if read.digest != self.parameters_digest:
            raise StoreError(f"{self.folder}: coefficients of {self.source} are not those that it was made with")
        return replace(read, source=self.source)

    def solution(self) -> Solution:
        """The fit with all that it was conditioned on.

        Returns
        -------
        Solution
            As it was saved.

        Raises
        ------
        InputError
            The block was imported from a parameter file, and has none.
        StoreError
            The file is not as it was written.
        """
        return Solution.load(self.checked_file(SOLUTION))

    def covariance(self) -> tuple[list[Column], NDArray[np.float64]]:
        """The covariance of its coefficients, regularised as the fit was; frozen blocks count as known.

        Returns
        -------
        columns : list of Column
            Those that could move; the others are known without doubt here.
        covariance : ndarray of shape (columns, columns)
            (kcal/mol)².

        Raises
        ------
        InputError
            It was not kept.
        StoreError
            The file is not as it was written.
        """
        if COVARIANCE not in self.files:
            raise InputError(f"{self.source} has no covariance: {self.covariance_note or 'it was not kept'}")
        with np.load(self.checked_file(COVARIANCE), allow_pickle=False) as kept:
            triangle, noise = unpack_upper(kept["triangle"]), float(kept["noise"])
            columns = [Column(b, tuple(e.split()), tuple(map(int, p.split()))) for b, e, p in kept["columns"].tolist()]
        root = np.linalg.solve(triangle, np.eye(len(triangle))) * noise
        return columns, root @ root.T


def _data_text(one: LibraryBlock) -> str:
    """What it was fitted on, in one line."""
    read = f" from {listed([s.get('path', s) for s in one.sources], 4)}" if one.sources else ""
    if not one.data:
        return "unknown" + read
    groups = one.data.get("groups", {})
    return f"{count_text(one.data['frames'], 'frame')} of {listed(list(groups), 4)}{read}"


def _fit_text(one: LibraryBlock) -> str:
    """How it was fitted, in one line."""
    kept = {k: v for k, v in one.fit["regulariser"].items() if k != "kind"}
    settings = ", ".join(f"{k} {v}" for k, v in kept.items())
    return (
        f"{one.fit['columns']} columns, {one.fit['rows']} rows, {one.fit['regulariser']['kind']} {settings}, "
        f"RMSE over counted rows {one.fit['rmse']:.4g} (kcal/mol, Å)"
    )


def _plain(entry: LibraryBlock) -> dict[str, Any]:
    values = {f.name: getattr(entry, f.name) for f in fields(entry)}
    return values | {
        "library": str(entry.library), "block": str(entry.block), "lower": dict(sorted(entry.lower.items())),
        "coverage": {k: list(v) for k, v in entry.coverage.items()},
    }  # fmt: skip


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
