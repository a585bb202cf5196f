"""The tables of an input file: which keys they have, of which kind each value is, and what the values mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..dataset.dataset import Dataset
from ..dataset.overlaps import are_apart
from ..errors import BasisError, HiertlError, InputError, MissingFileError
from ..evaluation.frame_rows import INNER_POLICIES
from ..executors import DaskOptions
from ..files.object_path import ObjectPath, Place
from ..files.paths import local_path, named_place, require_file
from ..files.store_use import StoreUse
from ..fitting.settings import FitSettings
from ..fitting.weights import CHOSEN, EVIDENCE, mistaken_kind, unknown_weight
from ..frames.element_set import ElementSet
from ..frames.rows import KINDS as ROW_KINDS
from ..io.fm_setup import read_fm_setup
from ..io.text_files import default_groups, refuse_twice
from ..library.settings import LibrarySettings
from ..model.basis import Basis
from ..model.parameters import Penalty
from ..model.walls import AUTO as AUTO_WALL
from ..model_selection.search_settings import SearchSettings
from ..text.problems import Problems, require_known, respelled
from ..text.table_keys import (
    BYTES,
    CYCLES,
    DATA,
    EXPRESSION,
    FIT,
    FOLDER_OR_SWITCH,
    INTEGER,
    LABEL,
    LIBRARY,
    LISTED,
    NAME_OR_TABLE,
    NUMBER,
    NUMBERS,
    OF_CLIMB,
    PATHS,
    PENALTY,
    REGULARISER,
    SUMMARIES,
    SWITCH,
    TABLE,
    TEXT,
    TEXTS,
    TOP,
    WALL,
    WEIGHTS,
)
from ..text.words import shown
from .data_tables import dataset_of, look_at_path, places_of
from .table_checks import without_wrong_numbers, wrong_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    TEXT: lambda v: isinstance(v, str),
    TEXTS: lambda v: isinstance(v, list) and all(isinstance(x, str) for x in v),
    TABLE: lambda v: isinstance(v, dict),
    REGULARISER: lambda v: isinstance(v, dict),
    INTEGER: lambda v: isinstance(v, int) and not isinstance(v, bool),
    SWITCH: lambda v: isinstance(v, bool),
    NUMBER: lambda v: type(v) in (int, float),
    PATHS: lambda v: KINDS[TEXT](v) or KINDS[TEXTS](v),
    NUMBERS: lambda v: isinstance(v, dict) and all(type(x) in (int, float) for x in v.values()),
    EXPRESSION: lambda v: KINDS[TEXT](v) or KINDS[NUMBER](v),
    CYCLES: lambda v: isinstance(v, dict) and all(type(x) is int for x in v.values()),
    WALL: lambda v: v == AUTO_WALL or KINDS[NUMBERS](v),
    WEIGHTS: lambda v: v in CHOSEN or KINDS[NUMBERS](v),
    NAME_OR_TABLE: lambda v: KINDS[TEXT](v) or KINDS[TABLE](v),
    FOLDER_OR_SWITCH: lambda v: isinstance(v, str | bool),
    BYTES: lambda v: KINDS[TEXT](v) or KINDS[INTEGER](v),
    LABEL: lambda v: isinstance(v, str | dict),
    LISTED: lambda v: isinstance(v, list),
}
"""What a value may be, in words for messages, and whether it is that."""

UNITS: Final = ("kcal", "eV")


class Reading:
    """The tables of an input file as they are read; what is wrong is kept until all of it can be told."""

    def __init__(self, table: Mapping[str, Any], folder: Path) -> None:
        self.problems, self.folder = Problems(), folder
        self.given: dict[str, Any] = {}
        with self.problems.noting():
            self.given = respelled(_table(table, ""), TOP, "")
        wrong = [text for key, value in self.given.items() for text in wrong_numbers(value, str(key))]
        for text in wrong:
            self.problems.add(text)
        # what is said of a key that was taken out, that it is missing, was said better
        keys = [text.partition(":")[0].rstrip("]0123456789[") for text in wrong]
        # regularisers speak of all their keys at once
        whole = [w.replace("regularizer", "regulariser") for k in keys if "regulari" in (w := k.rpartition(".")[0])]
        self.problems.silent = (*keys, *whole)
        self.top = _checked(without_wrong_numbers(self.given), TOP, "", self.problems)

    def table(self, name: str, kinds: Mapping[str, str]) -> dict[str, Any]:
        """A table without the keys that are wrong."""
        return _checked(self.top.get(name, {}), kinds, name, self.problems)

    def path(self, text: str, where: str) -> Path:
        """A path below the file's folder."""
        with self.problems.noting():
            local_path(text, where)
        return self.folder / text

    def place(self, text: str, where: str) -> Place:
        """A path below the file's folder, or a place of an object store."""
        with self.problems.noting():
            return self._placed(text, where)
        return self.folder / "no place"

    def _placed(self, text: str, where: str) -> Place:
        place = named_place(text, where)
        return place if isinstance(place, ObjectPath) else self.folder / place

    def dask(self, run: Mapping[str, Any]) -> DaskOptions:
        """What of ``[executor]`` is of a dask cluster."""
        given = {key: value for key, value in run.items() if key not in ("kind", "workers", "scratch")}
        for key in ("tls_ca_file", "tls_cert", "tls_key", "performance_report"):
            if key in given:
                given[key] = self.path(given[key], f"executor.{key}")
        try:
            return DaskOptions(**given)
        except InputError as error:
            self.problems.add(f"executor.{error}")
            return DaskOptions()

    def one_of(self, where: str, value: str, known: tuple[str, ...]) -> None:
        """Note a problem where a value is not one of those that are known."""
        if value not in known:
            self.problems.add(f"{where}: expected one of {known}, found {shown(value)}")

    def basis(self) -> tuple[Path | None, Basis | None, tuple[str, ...]]:
        """The ``fm_setup.in``, if that is it; the basis, unless it is wrong; and what the former notes."""
        if ("fm_setup" in self.given) == ("basis" in self.given):
            self.problems.add("expected either [basis] and [[data]] or fm_setup")
            return None, None, ()
        with self.problems.noting():
            if "fm_setup" in self.top:
                setup = self.path(self.top["fm_setup"], "fm_setup")
                read = read_fm_setup(require_file(setup, "fm_setup"), read_frames=False)
                return setup, read.basis, read.notes
            if "basis" in self.top:
                return None, Basis.from_dict(self.top["basis"]), ()
        return None, None, ()

    def data(self, setup: Path | None) -> tuple[Mapping[str, Any], ...]:
        """Arguments of the reader for each ``[[data]]`` table."""
        if "fm_setup" in self.given:
            if "data" in self.given:
                self.problems.add("fm_setup names its own trajectories; [[data]] beside it would be ignored")
            return ()
        if not self.given.get("data"):
            self.problems.add("expected at least one [[data]] table")
        tables: list[Mapping[str, Any]] = []
        sources = self.top.get("data", [])
        for number, source in enumerate(sources, 1):
            where = source_name(number, len(sources), source)
            own = _checked(source, DATA, where, self.problems)
            if isinstance(source, dict) and "path" not in source:
                self.problems.add(f"{where}.path: missing")
            if "path" in own:
                paths = [own["path"]] if isinstance(own["path"], str) else own["path"]
                with self.problems.noting():
                    tables.append({**own, "path": [str(self._placed(p, f"{where}.path")) for p in paths]})
        return tuple(tables)

    def search(self) -> tuple[SearchSettings | None, str]:
        """The settings of a ``[search]`` table, if there is one, and the folder of summary stores."""
        if "search" not in self.top:
            return None, "summaries"
        table = dict(self.top["search"])
        summaries = _checked(
            {"summaries": table.pop("summaries", "summaries")}, SUMMARIES, "search", self.problems
        ).get("summaries", "summaries")
        with self.problems.noting():
            return SearchSettings.from_dict(table), summaries
        return None, summaries

    def store_use(self, store: Mapping[str, Any]) -> StoreUse:
        """What a ``[store]`` table says of other runs and of flushing."""
        given = {key: value for key, value in store.items() if key in StoreUse.__dataclass_fields__}
        use = StoreUse()
        for key, value in given.items():  # each by itself, for the first that is wrong ends it
            with self.problems.noting():
                try:
                    use = replace(use, **{key: value})
                except InputError as error:
                    raise InputError(f"store.{error}") from error
        return use

    def library(self) -> LibrarySettings | None:
        """The settings of a ``[library]`` table, if there is one and nothing is wrong with it."""
        if "library" not in self.top:
            return None
        own = self.table("library", LIBRARY)
        if "frozen" in self.top and self.top["frozen"].get("files"):
            self.problems.add(
                "library: frozen.files beside it are not in the library: hiertl-dist library add puts them there, with "
                "what is known of their data"
            )
        missing = [key for key in ("path", "theory", "energy_reference") if key not in self.top["library"]]
        for key in missing:
            self.problems.add(f"library.{key}: missing" + ('; "unknown" if nobody knows it' * (key != "path")))
        if not {"path", "theory", "energy_reference"} <= set(own):
            return None
        with self.problems.noting():
            return LibrarySettings(**own | {"path": self.path(own["path"], "library.path")})
        return None

    def fits(
        self, fit: Mapping[str, Any], basis: Basis | None, data: Sequence[Mapping[str, Any]] = ()
    ) -> tuple[FitSettings, dict[str, FitSettings], dict[str, tuple[str, ...]]]:
        """The general settings, those of single blocks, and the lower blocks that are left free with a block."""
        general = {k: v for k, v in fit.items() if k not in ("blocks", *OF_CLIMB)}
        settings, fits = FitSettings(), {}
        base: Mapping[str, Any] = {}  # nothing of the general table, where that is wrong: it is told once
        with self.problems.noting():
            settings = fit_settings(general)
            base = general
        self._weight_names("fit", general, data)
        known = None if basis is None else {t.block for t in basis.types}
        per_block = self._block_tables(fit, known)
        for name, own in per_block.items():
            self._weight_names(f"fit.blocks.{name}", own, data)
            with self.problems.noting():
                fits[name] = fit_settings({**base, **own}, f"fit.blocks.{name}")
        if basis is None or known is None:
            return settings, fits, {}
        for block in fit.get("only", ()):
            _known_block(block, known, "fit.only", self.problems)
        return settings, fits, _partial(general, per_block, basis, self.problems)

    def _block_tables(self, fit: Mapping[str, Any], known: set[ElementSet] | None) -> dict[str, Mapping[str, Any]]:
        """The ``[fit.blocks]`` tables by the blocks' names; keys that name no block, or one twice, are problems."""
        tables: dict[str, Mapping[str, Any]] = {}
        given = self.top.get("basis", {}).get("elements")
        elements = set(map(str, given)) if isinstance(given, list) else None  # told also where the basis is wrong
        for key, own in fit.get("blocks", {}).items():
            with self.problems.noting():
                name = _set_named(key, f"fit.blocks.{key}")
                if elements is not None and (others := name.elements - elements):
                    raise InputError(f"fit.blocks.{key}: {sorted(others)} not among the elements {sorted(elements)}")
                if known is not None and name not in known:
                    raise InputError(f"fit.blocks: {[name]} are not blocks of the basis, which has {sorted(known)}")
                if name in tables:
                    raise InputError(f"fit.blocks: {name} is given twice, the second time as {key!r}")
                tables[name] = _checked(own, FIT, f"fit.blocks.{name}", self.problems)
        return tables

    def _weight_names(self, where: str, fit: Mapping[str, Any], data: Sequence[Mapping[str, Any]]) -> None:
        """Note names of weights that are a slip for a kind; other names may be groups, which frames must tell."""
        weights = fit.get("weights")
        slips = [k for k in weights if mistaken_kind(k)] if isinstance(weights, dict) else []
        if not slips or "fm_setup" in self.given or any("group_key" in source for source in data):
            return
        groups = [str(source["group"]) for source in data if "group" in source]
        for source in data:
            with suppress(HiertlError):  # what is not there is told elsewhere
                if (folder := dataset_of(source)) is not None:
                    groups += Dataset(folder).facts.group_names
                else:
                    groups += default_groups([Path(str(place)) for place in places_of(source)])
        known = {name for group in groups for name in (group, *(f"{group}/{kind}" for kind in ROW_KINDS))}
        for name in slips:
            if name not in known:
                self.problems.add(f"{where}.{unknown_weight(name, groups)}")

    def look_for(self, data: tuple[Mapping[str, Any], ...], frozen: tuple[Path, ...]) -> None:
        """Note which files are not there, and options of a reader that contradict each other."""
        for source in data:
            for path in source["path"]:
                with self.problems.noting():
                    look_at_path(source, path)
        with self.problems.noting():
            refuse_overlaps(data)
        for path in frozen:
            with self.problems.noting():
                require_file(path, "frozen.files")


def refuse_overlaps(data: Sequence[Mapping[str, Any]]) -> None:
    """Raise InputError where two ``[[data]]`` tables read the same frames of a file.

    Parts of it that start and stop keep apart are no fault. A file that is not there is told elsewhere.
    """
    tables: list[tuple[str, Mapping[str, Any], list[Place]]] = []
    for number, source in enumerate(data, 1):
        files: list[Place] = []
        with suppress(MissingFileError):
            files = places_of(source)
        where = source_name(number, len(data), {"path": ", ".join(Path(p).name for p in source["path"])})
        for name, other, others in tables:
            if not (len(files) == len(others) == 1 and are_apart(source, other)):
                refuse_twice([(file, w) for w, own in ((name, others), (where, files)) for file in own])
        tables.append((where, source, files))


def source_name(number: int, total: int, source: Any) -> str:
    """What a ``[[data]]`` table is called in messages: ``data``, or where there are several, its number and path."""
    path = source.get("path") if isinstance(source, dict) else None
    if total == 1:
        return "data"
    return f"data[{number}]" if path is None else f"data[{number}] ({shown(path)})"


def fit_settings(table: Mapping[str, Any], where: str = "fit") -> FitSettings:
    """:class:`~hiertl_dist.FitSettings` from a ``[fit]`` table. Raises InputError for all that is wrong."""
    problems = Problems()
    own = _checked(table, FIT, where, problems)
    own.pop("partial", None)
    if own.get("policy", "refuse") not in INNER_POLICIES:
        problems.add(f"{where}.policy: expected one of {INNER_POLICIES}, found {shown(own.pop('policy'))}")
    if own.get("penalty", AUTO_WALL) != AUTO_WALL:
        penalty = own.pop("penalty")
        with problems.noting():
            require_known(penalty, PENALTY, f"{where}.penalty")
        own["penalty"] = Penalty(**{k: v for k, v in penalty.items() if k in PENALTY})
    settings = FitSettings()
    # each by itself, for the first that is wrong ends it
    for key, value in own.items():
        if value == EVIDENCE:  # it goes with the regulariser
            continue
        try:
            FitSettings(**{key: value})
        except InputError as error:
            for text in error.problems or (str(error),):
                problems.add(f"{where}.{text}")
    problems.settle()
    try:
        return FitSettings(**own) if own else settings
    except InputError as error:
        raise InputError(f"{where}.{error}") from error


def _set_named(name: str, where: str) -> ElementSet:
    try:
        return ElementSet.parse(name)
    except BasisError as error:
        raise BasisError(f"{where}: {error}") from error


def _known_block(given: str, known: set[ElementSet], where: str, problems: Problems) -> None:
    with problems.noting():
        if _set_named(given, where) not in known:
            raise InputError(f"{where}: {given!r} is no block of the basis, which has {sorted(known)}")


def _partial(
    general: Mapping[str, Any], per_block: Mapping[str, Mapping[str, Any]], basis: Basis, problems: Problems
) -> dict[str, tuple[str, ...]]:
    """Lower blocks left free, per block. What holds for every block means those below it."""
    known = {t.block for t in basis.types}
    before = len(problems.found)
    for where, table in (("fit", general), *((f"fit.blocks.{b}", own) for b, own in per_block.items())):
        for given in table.get("partial", ()):
            _known_block(given, known, f"{where}.partial", problems)
    if len(problems.found) > before:
        return {}
    by_block: dict[str, tuple[str, ...]] = {}
    lower = [ElementSet.parse(p) for p in general.get("partial", ())]
    for name in dict.fromkeys(t.block for t in basis.types):
        own = per_block.get(name, {}).get("partial")
        if own is not None:
            by_block[name] = tuple(map(ElementSet.parse, own))
        elif free := tuple(p for p in lower if p.is_proper_subset(name)):
            by_block[name] = free
    return by_block


def _table(table: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(table, dict):
        raise InputError(f"{where or 'input'}: expected a table, found {shown(table)}")
    return table


def _checked(table: Any, kinds: Mapping[str, str], where: str, problems: Problems) -> dict[str, Any]:
    """The keys of a table that are known and whose value is of its kind; the others are problems."""
    values: dict[str, Any] = {}
    with problems.noting():
        values = respelled(_table(table, where), kinds, where)
    with problems.noting():
        require_known(values, kinds, where or "input")
    for key in [k for k in values if k in kinds]:
        if not KINDS[kinds[key]](values[key]):
            problems.add(f"{where}{'.' * bool(where)}{key}: expected {kinds[key]}, found {shown(values.pop(key))}")
    return {k: v for k, v in values.items() if k in kinds}
