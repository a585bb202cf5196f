"""``Input``: a whole job as one TOML file, or the same thing in Python.

::

    fm_setup = "fm_setup.in"        # instead of [basis] and [[data]], for users of chimes_lsq
    [basis]      …                  # see Basis.from_dict
    [[data]]     path = "*.extxyz"  # and any option of read_frames
    [hold_out]   groups = ["t03*"]  # patterns of group names that are kept out of the fit
    [fit]        regulariser, weights, objective, method, policy, include_fewer, penalty, partial
    [fit.blocks.CN]  the same keys, for one block
    [frozen]     files = ["C.params.txt"]
    [store]      path, keep_rows, memory
    [output]     folder, units
    [executor]   kind, workers

Paths are relative to the file's folder. A key that is not known is an error that names it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .basis import Basis, split_symbols
from .errors import HiertlError, InputError
from .io import read_fm_setup, read_frames
from .parameters import Penalty
from .solving import FitSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .frames import Frame

TOP: Final = ("fm_setup", "basis", "data", "hold_out", "fit", "frozen", "store", "output", "executor")
DATA: Final = (
    "path", "format", "group", "group_key", "energy_key", "forces_key", "stress_key", "virial_key", "start", "stop",
)  # fmt: skip
FIT: Final = ("regulariser", "weights", "objective", "method", "policy", "include_fewer", "penalty", "partial")
UNITS: Final = ("kcal", "eV")


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
    frozen : parameter or solution files of blocks that are not fitted.
    store : folder of the design store; ``None`` streams. keep_rows : whether the store is written.
    """

    basis: Basis
    data: tuple[Mapping[str, Any], ...] = ()
    fm_setup: Path | None = None
    hold_out: tuple[str, ...] = ()
    fit: FitSettings = field(default_factory=FitSettings)
    block_fits: Mapping[str, FitSettings] = field(default_factory=dict)
    partial: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    frozen: tuple[Path, ...] = ()
    store: Path = Path("design.zarr")
    keep_rows: bool = True
    memory: int | None = None
    output: Path = Path("hiertl_results")
    units: str = "kcal"
    executor: str = "auto"
    workers: int | None = None
    notes: tuple[str, ...] = ()

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
        _known(table, TOP, "input")
        setup = folder / table["fm_setup"] if "fm_setup" in table else None
        if (setup is None) == ("basis" not in table):
            raise InputError("expected either [basis] and [[data]] or fm_setup")
        if setup is not None and "data" in table:
            raise InputError("fm_setup names its own trajectories; [[data]] beside it would be ignored")
        basis = Basis.from_dict(table["basis"]) if setup is None else read_fm_setup(setup, read_frames=False).basis
        notes = () if setup is None else read_fm_setup(setup, read_frames=False).notes
        data = tuple(_data(d, folder) for d in _table(table, "data", list))
        if setup is None and not data:
            raise InputError("expected at least one [[data]] table")
        fit = _table(table, "fit", dict)
        _known(fit, (*FIT, "blocks"), "fit")
        per_block = {"".join(split_symbols(k)): v for k, v in _table(fit, "blocks", dict).items()}
        general = {k: v for k, v in fit.items() if k != "blocks"}
        known = {t.block for t in basis.types}
        if unknown := set(per_block) - known:
            raise InputError(f"fit.blocks: {sorted(unknown)} are not blocks of the basis, which has {sorted(known)}")
        for name, own in per_block.items():
            _known(own, FIT, f"fit.blocks.{name}")
        store, output, run = (_table(table, k, dict) for k in ("store", "output", "executor"))
        hold_out, frozen = _table(table, "hold_out", dict), _table(table, "frozen", dict)
        for name, part, keys in (
            ("store", store, ("path", "keep_rows", "memory")), ("output", output, ("folder", "units")),
            ("executor", run, ("kind", "workers")), ("hold_out", hold_out, ("groups",)), ("frozen", frozen, ("files",)),
        ):  # fmt: skip
            _known(part, keys, name)
        units = output.get("units", "kcal")
        if units not in UNITS:
            raise InputError(f"output.units: expected one of {UNITS}, found {units!r}")
        return cls(
            basis, data, setup, tuple(_strings(hold_out, "groups", "hold_out")), fit_settings(general),
            {name: fit_settings(general | own) for name, own in per_block.items()},
            {n: tuple(own.get("partial", general.get("partial", ()))) for n, own in per_block.items()}
            | {n: tuple(general["partial"]) for n in known - set(per_block) if "partial" in general},
            tuple(folder / f for f in _strings(frozen, "files", "frozen")),
            folder / store.get("path", "design.zarr"), _boolean(store, "keep_rows", True, "store"),
            _memory(store.get("memory")), folder / output.get("folder", "hiertl_results"), units,
            str(run.get("kind", "auto")), run.get("workers"), notes,
        )  # fmt: skip

    def read_frames(self) -> tuple[list[Frame], list[Frame]]:
        """The frames to fit and those held out. Raises InputError if a hold-out pattern matches no group."""
        if self.fm_setup is not None:
            frames = list(read_fm_setup(self.fm_setup).frames)
        else:
            frames = [f for source in self.data for f in read_frames(**source)]
        for pattern in self.hold_out:
            if not any(fnmatchcase(f.group, pattern) for f in frames):
                groups = sorted({f.group for f in frames})
                raise InputError(f"hold_out: {pattern!r} matches no group; there are {groups[:20]}")
        held = [any(fnmatchcase(f.group, p) for p in self.hold_out) for f in frames]
        fitted = [f for f, out in zip(frames, held, strict=True) if not out]
        return fitted, [f for f, out in zip(frames, held, strict=True) if out]


def fit_settings(table: Mapping[str, Any]) -> FitSettings:
    """:class:`~hiertl_dist.solving.FitSettings` from a ``[fit]`` table."""
    own = {k: v for k, v in table.items() if k not in ("partial", "penalty")}
    if "regulariser" in own and not isinstance(own["regulariser"], dict):
        found = own["regulariser"]
        raise InputError(f"fit.regulariser: expected a table such as {{kind = 'ridge', alpha = 1e-4}}, found {found!r}")
    penalty = table.get("penalty")
    if penalty is not None:
        _known(penalty, ("scale", "distance"), "fit.penalty")
        own["penalty"] = Penalty(**penalty)
    return FitSettings(**own)


def _known(table: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    if not isinstance(table, dict):
        raise InputError(f"{where}: expected a table, found {table!r}")
    if unknown := sorted(set(table) - set(keys)):
        raise InputError(f"{where}: unknown keys {unknown}; known are {sorted(keys)}")


def _table(table: Mapping[str, Any], key: str, kind: type) -> Any:
    value = table.get(key, kind())
    if not isinstance(value, kind):
        raise InputError(f"{key}: expected {'[[…]] tables' if kind is list else 'a table'}, found {value!r}")
    return value


def _data(source: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    _known(source, DATA, "data")
    if "path" not in source:
        raise InputError("data.path: missing")
    paths = [source["path"]] if isinstance(source["path"], str) else source["path"]
    return {**source, "path": [str(folder / p) for p in paths]}


def _strings(table: Mapping[str, Any], key: str, where: str) -> list[str]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise InputError(f"{where}.{key}: expected a list of strings, found {value!r}")
    return value


def _boolean(table: Mapping[str, Any], key: str, default: bool, where: str) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise InputError(f"{where}.{key}: expected true or false, found {value!r}")
    return value


def _memory(value: Any) -> int | None:
    """Bytes from ``"8 GiB"`` or a number."""
    if value is None:
        return None
    from dask.utils import parse_bytes

    try:
        return int(parse_bytes(value))
    except (ValueError, TypeError) as error:
        raise InputError(f"store.memory: expected bytes such as '8 GiB', found {value!r}") from error
