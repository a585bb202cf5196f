"""``Input``: a whole job as one TOML file, or the same thing in Python.

::

    fm_setup = "fm_setup.in"        # instead of [basis] and [[data]], for users of chimes_lsq
    [basis]      …                  # see Basis.from_dict
    [[data]]     path = "*.extxyz"  # and any option of read_frames
    [hold_out]   groups = ["t03*"]  # patterns of group names that are kept out of the fit
    [fit]        regulariser, weights, objective, method, policy, include_fewer, penalty, partial, only
    [fit.blocks.CN]  the same keys but only, for one block
    [frozen]     files = ["C.params.txt"]
    [store]      path, keep_rows, memory
    [output]     folder, units
    [executor]   kind, workers
    [search]     summaries, folds, strategy, rule, importance; [search.grid], [search.blocks.CN], see searching

Paths are relative to the file's folder. A key that is not known is an error that names it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .basis import Basis, cluster_name, split_symbols
from .errors import BasisError, HiertlError, InputError
from .io import iter_frames, read_fm_setup
from .label_summary import summarise_labels
from .parameters import Penalty
from .rows import n_rows
from .searching.settings import SearchSettings
from .solving import FitSettings
from .tiles import INNER_POLICIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .frames import Frame

TEXT: Final = "a string"
TEXTS: Final = "a list of strings"
TABLE: Final = "a table"
INTEGER: Final = "an integer"
SWITCH: Final = "true or false"
PATHS: Final = "a string or a list of strings"
NUMBERS: Final = "a table of numbers"
REGULARISER: Final = "a table such as {kind = 'ridge', alpha = 1e-4}"
BYTES: Final = "bytes such as '8 GiB'"

KINDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    TEXT: lambda v: isinstance(v, str),
    TEXTS: lambda v: isinstance(v, list) and all(isinstance(x, str) for x in v),
    TABLE: lambda v: isinstance(v, dict),
    REGULARISER: lambda v: isinstance(v, dict),
    INTEGER: lambda v: isinstance(v, int) and not isinstance(v, bool),
    SWITCH: lambda v: isinstance(v, bool),
    PATHS: lambda v: KINDS[TEXT](v) or KINDS[TEXTS](v),
    NUMBERS: lambda v: isinstance(v, dict) and all(type(x) in (int, float) for x in v.values()),
    BYTES: lambda v: KINDS[TEXT](v) or KINDS[INTEGER](v),
    "[[…]] tables": lambda v: isinstance(v, list),
}
"""What a value may be, in words for messages, and whether it is that."""

TOP: Final = dict.fromkeys(("basis", "hold_out", "fit", "frozen", "store", "output", "executor", "search"), TABLE) | {
    "fm_setup": TEXT, "data": "[[…]] tables"
}
DATA: Final = {"path": PATHS, "start": INTEGER, "stop": INTEGER} | dict.fromkeys(
    ("format", "group", "group_key", "energy_key", "forces_key", "stress_key", "virial_key"), TEXT
)
FIT: Final = {
    "regulariser": REGULARISER, "weights": NUMBERS, "objective": TEXT, "method": TEXT, "policy": TEXT,
    "include_fewer": SWITCH, "penalty": NUMBERS, "partial": TEXTS,
}  # fmt: skip
STORE: Final = {"path": TEXT, "keep_rows": SWITCH, "memory": BYTES}
OUTPUT: Final = {"folder": TEXT, "units": TEXT}
EXECUTOR: Final = {"kind": TEXT, "workers": INTEGER}
UNITS: Final = ("kcal", "eV")
EXECUTORS: Final = ("auto", "serial", "processes", "dask", "mpi")


@dataclass(frozen=True, eq=False)
class Input:
    """A job: basis, data, how to fit, where results go.

    Attributes
    ----------
    data : keyword arguments of :func:`~hiertl_dist.io.read_frames`, one mapping per source.
    fm_setup : path of a chimes_lsq input that gives basis and frames instead.
    hold_out : patterns of group names whose frames are not fitted.
    fit : settings of every block; block_fits : those of single blocks.
    partial : per block, lower blocks that are fitted together with it.
    only : blocks to fit; default: all that are not frozen.
    frozen : parameter or solution files of blocks that are not fitted.
    store : folder of the design store; ``None`` streams. keep_rows : whether the store is written.
    search : what ``hiertl-dist search`` varies, if there is such a table; summaries : folder of the summary store.
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
    store: Path = Path("design.zarr")
    keep_rows: bool = True
    memory: int | None = None
    output: Path = Path("hiertl_results")
    units: str = "kcal"
    executor: str = "auto"
    workers: int | None = None
    notes: tuple[str, ...] = ()
    search: SearchSettings | None = None
    summaries: Path = Path("summaries")

    @classmethod
    def from_toml(cls, path: str | Path) -> Input:
        """Read an input file. Raises InputError (or BasisError) naming the file and the key."""
        path = Path(path)
        try:
            with path.open("rb") as stream:
                table = tomllib.load(stream)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not valid TOML: {error}") from error
        try:
            return cls.from_dict(table, path.parent)
        except HiertlError as error:
            raise type(error)(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, table: Mapping[str, Any], folder: Path = Path()) -> Input:
        """The content of an input file; relative paths are taken from ``folder``."""
        _check(table, TOP, "")
        setup = folder / table["fm_setup"] if "fm_setup" in table else None
        if (setup is None) == ("basis" not in table):
            raise InputError("expected either [basis] and [[data]] or fm_setup")
        if setup is not None and "data" in table:
            raise InputError("fm_setup names its own trajectories; [[data]] beside it would be ignored")
        basis = Basis.from_dict(table["basis"]) if setup is None else read_fm_setup(setup, read_frames=False).basis
        notes = () if setup is None else read_fm_setup(setup, read_frames=False).notes
        data = tuple(_data(d, folder) for d in table.get("data", []))
        if setup is None and not data:
            raise InputError("expected at least one [[data]] table")
        fit, store, output, run, hold_out, frozen = (
            _check(table.get(name, {}), kinds, name)
            for name, kinds in (
                ("fit", FIT | {"blocks": TABLE, "only": TEXTS}), ("store", STORE), ("output", OUTPUT),
                ("executor", EXECUTOR),
                ("hold_out", {"groups": TEXTS}), ("frozen", {"files": TEXTS}),
            )
        )  # fmt: skip
        units = output.get("units", "kcal")
        if units not in UNITS:
            raise InputError(f"output.units: expected one of {UNITS}, found {units!r}")
        if run.get("kind", "auto") not in EXECUTORS:
            raise InputError(f"executor.kind: expected one of {EXECUTORS}, found {run['kind']!r}")
        search, summaries = _search(table.get("search"))
        general = {k: v for k, v in fit.items() if k not in ("blocks", "only")}
        per_block = _block_tables(fit, {t.block for t in basis.types})
        return cls(
            basis, data, setup, tuple(hold_out.get("groups", ())), fit_settings(general),
            {name: fit_settings({**general, **own}, f"fit.blocks.{name}") for name, own in per_block.items()},
            _partial(general, per_block, basis), tuple(fit["only"]) if "only" in fit else None,
            tuple(folder / f for f in frozen.get("files", ())),
            folder / store.get("path", "design.zarr"), store.get("keep_rows", True), _memory(store.get("memory")),
            folder / output.get("folder", "hiertl_results"), units, run.get("kind", "auto"), run.get("workers"), notes,
            search, folder / summaries,
        )  # fmt: skip

    def read_frames(
        self, watch: Callable[[Iterable[Frame], str], Iterable[Frame]] = lambda frames, _: frames
    ) -> tuple[list[Frame], list[Frame]]:
        """The frames to fit and those held out.

        Parameters
        ----------
        watch : wraps the frames as they are read, to show progress.

        Raises
        ------
        InputError
            A hold-out pattern matches no group, a source has no frames, or no frame has a label.
        """
        if self.fm_setup is not None:
            frames = list(read_fm_setup(self.fm_setup).frames)
        else:
            frames = []
            for source in self.data:
                own = list(watch(iter_frames(**source), f"read {', '.join(source['path'])}"))
                if not own:
                    raise InputError(f"data: no frames from {source['path']} with {source}")
                frames += own
        if not any(n_rows(f) for f in frames):
            raise InputError(
                f"none of the {len(frames)} frames has an energy, forces or a stress; energy_key, forces_key, "
                "stress_key and virial_key in [[data]] say where extended XYZ keeps them\n"
                + summarise_labels(frames).text()
            )
        for pattern in self.hold_out:
            if not any(fnmatchcase(f.group, pattern) for f in frames):
                groups = sorted({f.group for f in frames})
                raise InputError(f"hold_out: {pattern!r} matches no group; there are {groups[:20]}")
        held = [any(fnmatchcase(f.group, p) for p in self.hold_out) for f in frames]
        fitted = [f for f, out in zip(frames, held, strict=True) if not out]
        return fitted, [f for f, out in zip(frames, held, strict=True) if out]


def fit_settings(table: Mapping[str, Any], where: str = "fit") -> FitSettings:
    """:class:`~hiertl_dist.solving.FitSettings` from a ``[fit]`` table."""
    _check(table, FIT, where)
    own = {k: v for k, v in table.items() if k not in ("partial", "penalty")}
    if own.get("policy", "refuse") not in INNER_POLICIES:
        raise InputError(f"{where}.policy: expected one of {INNER_POLICIES}, found {own['policy']!r}")
    if "penalty" in table:
        _known(table["penalty"], ("scale", "distance"), f"{where}.penalty")
        own["penalty"] = Penalty(**table["penalty"])
    return FitSettings(**own)


def _block_tables(fit: Mapping[str, Any], known: set[str]) -> dict[str, Mapping[str, Any]]:
    """The ``[fit.blocks]`` tables by the blocks' names; keys that name no block, or one twice, are refused."""
    found: dict[str, Mapping[str, Any]] = {}
    for key, own in fit.get("blocks", {}).items():
        name = cluster_name(split_symbols(key))
        if name not in known:
            raise InputError(f"fit.blocks: {[name]} are not blocks of the basis, which has {sorted(known)}")
        if name in found:
            raise InputError(f"fit.blocks: {name} is given twice, the second time as {key!r}")
        found[name] = _check(own, FIT, f"fit.blocks.{name}")
    return found


def _partial(
    general: Mapping[str, Any], per_block: Mapping[str, Mapping[str, Any]], basis: Basis
) -> dict[str, tuple[str, ...]]:
    """Lower blocks left free, per block. What holds for every block means those below it."""
    known = {t.block for t in basis.types}
    for where, table in (("fit", general), *((f"fit.blocks.{b}", own) for b, own in per_block.items())):
        for given in table.get("partial", ()):
            if cluster_name(split_symbols(given)) not in known:
                raise InputError(f"{where}.partial: {given!r} is no block of the basis, which has {sorted(known)}")
    found = {}
    for name, elements in {t.block: set(t.elements) for t in basis.types}.items():
        lower = [cluster_name(split_symbols(p)) for p in general.get("partial", ())]
        own = per_block.get(name, {}).get("partial")
        if own is not None:
            found[name] = tuple(cluster_name(split_symbols(p)) for p in own)
        elif free := tuple(p for p in lower if set(split_symbols(p)) < elements):
            found[name] = free
    return found


def _search(table: Mapping[str, Any] | None) -> tuple[SearchSettings | None, str]:
    """The settings of a ``[search]`` table, if there is one, and the folder of the summary store."""
    if table is None:
        return None, "summaries"
    summaries = table.get("summaries", "summaries")
    _check({"summaries": summaries}, {"summaries": TEXT}, "search")
    try:
        return SearchSettings.from_dict({k: v for k, v in table.items() if k != "summaries"}), summaries
    except BasisError as error:
        raise InputError(f"search: {error}") from error


def _known(table: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    if not isinstance(table, dict):
        raise InputError(f"{where}: expected a table, found {table!r}")
    if unknown := sorted(set(table) - set(keys)):
        raise InputError(f"{where or 'input'}: unknown keys {unknown}; known are {sorted(keys)}")


def _check(table: Mapping[str, Any], kinds: Mapping[str, str], where: str) -> Mapping[str, Any]:
    """The table, if its keys are known and each value is of its kind. Raises InputError naming the key."""
    _known(table, kinds, where)
    for key, value in table.items():
        if not KINDS[kinds[key]](value):
            raise InputError(f"{where}{'.' * bool(where)}{key}: expected {kinds[key]}, found {value!r}")
    return table


def _data(source: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    _check(source, DATA, "data")
    if "path" not in source:
        raise InputError("data.path: missing")
    paths = [source["path"]] if isinstance(source["path"], str) else source["path"]
    return {**source, "path": [str(folder / p) for p in paths]}


def _memory(value: str | int | None) -> int | None:
    """Bytes from ``"8 GiB"`` or a number."""
    if value is None:
        return None
    from dask.utils import parse_bytes

    try:
        found = int(parse_bytes(value))
    except ValueError as error:
        raise InputError(f"store.memory: expected {BYTES}, found {value!r}") from error
    if found <= 0:
        raise InputError(f"store.memory: expected {BYTES}, found {value!r}")
    return found
