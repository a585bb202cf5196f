"""What is asked of an active-learning loop: the table ``[cycle]`` of an input file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from ..errors import InputError
from ..files.paths import local_path
from ..text.display import Shown
from ..text.problems import Problems, require_known
from ..text.table_keys import CYCLE, CYCLE_LABEL, CYCLE_SHARES, CYCLE_STATE
from ..text.words import shown
from ..units import SYMBOLS

CODES: Final = ("extxyz", "vasp", "espresso", "cp2k")
"""Programs whose inputs are written; ``extxyz``: one file of all frames, for any other program."""

SHARES: Final[Mapping[str, float]] = {"distances": 0.25, "leverage": 0.5, "clusters": 0.25}

_FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True, repr=False)
class CycleState(Shown):
    """Conditions at which the model is run: every temperature at every pressure or volume, of every start.

    Attributes
    ----------
    temperatures : tuple of float
        K, above 0.
    pressures : tuple of float
        GPa. With one or more of them the cell breathes; without, its volume is kept.
    volumes : tuple of float
        Volumes at which the cell is kept, as multiples of that of the starting structure.
    start : tuple of Path
        Files of starting structures; none: frames that are fitted.
    groups : tuple of str
        Patterns of groups of frames from which runs start; none: all.
    elements : tuple of str
        Sets of elements (``"CuNi"``) of frames from which runs start; none: all.
    compositions : tuple of Mapping from str to float
        Shares of elements that are assigned anew, at random, to the sites of each starting structure; none: as it is.
    count : int
        Starting structures, drawn anew in each cycle.
    """

    temperatures: tuple[float, ...]
    pressures: tuple[float, ...] = ()
    volumes: tuple[float, ...] = ()
    start: tuple[Path, ...] = ()
    groups: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    compositions: tuple[Mapping[str, float], ...] = ()
    count: int = 1

    @classmethod
    def from_dict(cls, table: Mapping[str, Any], folder: Path, where: str) -> CycleState:
        """A state of an input file; one value stands for a list of it.

        Parameters
        ----------
        table : Mapping from str to object
            Keys as in the file.
        folder : Path
            What relative paths are taken from.
        where : str
            Names the table in messages.

        Returns
        -------
        CycleState
            The state.

        Raises
        ------
        InputError
            Naming every key at fault.
        """
        problems, values = Problems(), dict[str, Any]()
        with problems.noting():
            require_known(table, CYCLE_STATE, where, here="[[cycle.states]]")
        for key in ("temperatures", "pressures", "volumes"):
            with problems.noting():
                values[key] = _numbers(table.get(key, ()), f"{where}.{key}", positive=key != "pressures")
        if not table.get("temperatures"):
            problems.add(f"{where}.temperatures: expected one or more, in K, found none")
        if table.get("pressures") not in (None, []) and table.get("volumes") not in (None, []):
            problems.add(f"{where}: expected pressures or volumes, found both: the volume follows from the pressure")
        for key in ("start", "groups", "elements"):
            with problems.noting():
                values[key] = _texts(table.get(key, ()), f"{where}.{key}")
        with problems.noting():
            values["start"] = tuple(folder / local_path(p, f"{where}.start") for p in values.get("start", ()))
        with problems.noting():
            values["compositions"] = _compositions(table.get("compositions", ()), f"{where}.compositions")
        with problems.noting():
            values["count"] = _whole(table.get("count", 1), f"{where}.count", 1)
        if values.get("start") and (values.get("groups") or values.get("elements")):
            problems.add(f"{where}: groups and elements choose among the frames that are fitted; start names others")
        problems.settle()
        return cls(**values)


@dataclass(frozen=True, repr=False)
class CycleLabel(Shown):
    """Who labels what was picked: a calculator of ASE, or a program whose inputs are written.

    Attributes
    ----------
    calculator : str
        ``module:function``, a function (or class) that gives an ASE calculator, or the name that ASE has for one
        (``emt``); empty: inputs are written instead.
    code : {"extxyz", "vasp", "espresso", "cp2k"}
        For which program.
    options : Mapping from str to object
        Keyword arguments of the calculator, or of what writes the inputs.
    template : Path or None
        A whole input of the program, with all but the atoms; needed for ``cp2k``.
    energy_key : str
        Under which name results have the energy; empty: as readers look for it.
    folder : Path
        Of the input file, where the module of a calculator may be.
    """

    calculator: str = ""
    code: str = "extxyz"
    options: Mapping[str, Any] = field(default_factory=dict)
    template: Path | None = None
    energy_key: str = ""
    folder: Path = Path()

    @classmethod
    def from_dict(cls, given: str | Mapping[str, Any], folder: Path) -> CycleLabel:
        """The key ``label``: a name, or a table of its keys.

        Parameters
        ----------
        given : str or Mapping from str to object
            A code's name, a calculator's, or the table.
        folder : Path
            Of the input file.

        Returns
        -------
        CycleLabel
            The same, checked.

        Raises
        ------
        InputError
            Naming every key at fault.
        """
        where = "cycle.label"
        if not isinstance(given, str | dict):
            raise InputError(f"{where}: expected a name or a table, found {shown(given)}")
        if isinstance(given, str):
            given = {"code": given} if given in CODES else {"calculator": given}
        problems = Problems()
        with problems.noting():
            require_known(given, CYCLE_LABEL, where, here="[cycle] label")
        calculator, code = given.get("calculator", ""), given.get("code", "extxyz")
        options, template = given.get("options", {}), given.get("template")
        if "calculator" in given and "code" in given:
            problems.add(f"{where}: expected a calculator or a code, found both")
        if not isinstance(calculator, str) or not (calculator == "" or _is_calculator(calculator)):
            problems.add(
                f"{where}.calculator: expected module:function or the name of one of ASE's calculators, such as "
                f"'emt', found {shown(calculator)}; codes whose inputs are written are {CODES}"
            )
        if code not in CODES:
            problems.add(f"{where}.code: expected one of {CODES}, found {shown(code)}")
        if not isinstance(options, dict):
            problems.add(f"{where}.options: expected a table, found {shown(options)}")
        if code == "cp2k" and template is None:
            problems.add(f"{where}.template: missing: cp2k needs an input with all but the cell and the atoms")
        if template is not None and code != "cp2k":
            problems.add(f"{where}.template: it is of use to cp2k alone; for others options has what the input says")
        energy_key = given.get("energy_key", "")
        if not isinstance(energy_key, str) or (energy_key and calculator):
            problems.add(f"{where}.energy_key: expected a name in results of a code, found {shown(energy_key)}")
        place = None
        if template is not None:
            with problems.noting():
                place = folder / local_path(template, f"{where}.template")
        problems.settle()
        return cls(calculator, code, options, place, energy_key, folder)

    @property
    def name(self) -> str:
        """What labels, for people."""
        return self.calculator or self.code


@dataclass(frozen=True, repr=False)
class CycleSettings(Shown):
    """An active-learning loop: fit, run the model, pick frames, have them labelled, and again.

    Attributes
    ----------
    states : tuple of CycleState
        At which the model is run.
    folder : Path
        Where each cycle has a folder of its own.
    cycles : int
        How many times frames are picked and labelled at most.
    picks : int
        Frames that a cycle picks at most.
    shares : Mapping from str to float
        Of the picks, by why they are picked: ``distances`` and types of clusters outside of what was fitted,
        ``leverage`` (D-optimal), ``clusters`` of frames that are alike, ``random``. What one of the first two leaves is
        taken by the next.
    label : CycleLabel
        Who labels.
    steps : int
        Of each run.
    every : int
        After so many steps, again and again, a frame is kept.
    timestep : float
        fs.
    friction : float
        1/fs, of Langevin's thermostat.
    contact : float
        A run is cut where a pair is closer than this times the shortest distance that the model was fitted on.
    heat : float
        A run is cut where its atoms are so many times as hot as they should be.
    sigma : float or None
        eV/Å: the loop ends where no frame's σ of forces, rms over its atoms, that the coefficients leave is above.
    least : float
        How many coefficients' worth a frame must settle (the sum of its rows' leverages) to be picked by leverage or
        clusters.
    seed : int
        Of all that is random.

    Raises
    ------
    InputError
        Naming every value at fault.
    """

    states: tuple[CycleState, ...]
    folder: Path = Path("cycles")
    cycles: int = 3
    picks: int = 20
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))
    label: CycleLabel = field(default_factory=CycleLabel)
    steps: int = 2000
    every: int = 50
    timestep: float = 1.0
    friction: float = 0.01
    contact: float = 0.9
    heat: float = 3.0
    sigma: float | None = None
    least: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        problems = Problems()
        for name, least in (("cycles", 1), ("picks", 1), ("steps", 1), ("every", 1), ("seed", 0)):
            with problems.noting():
                _whole(getattr(self, name), f"cycle.{name}", least)
        for name in ("timestep", "friction", "heat", *(() if self.sigma is None else ("sigma",))):
            with problems.noting():
                _number(getattr(self, name), f"cycle.{name}", positive=True)
        for name in ("contact", "least"):
            with problems.noting():
                _number(getattr(self, name), f"cycle.{name}", positive=None)
        with problems.noting():
            _check_shares(self.shares)
        if not self.states:
            problems.add("cycle.states: expected one [[cycle.states]] table or more, found none")
        if not problems.found and self.every > self.steps:
            problems.add(f"cycle.every: expected at most the {self.steps} steps of a run, found {self.every}")
        problems.settle()

    @classmethod
    def from_dict(cls, table: Mapping[str, Any], folder: Path) -> CycleSettings:
        """The settings of a ``[cycle]`` table.

        Parameters
        ----------
        table : Mapping from str to object
            Keys as in the file.
        folder : Path
            Of the input file, from which relative paths are taken.

        Returns
        -------
        CycleSettings
            The loop.

        Raises
        ------
        InputError
            Naming every key at fault, a line for each.
        """
        problems = Problems()
        with problems.noting():
            require_known(table, CYCLE, "cycle", here="[cycle]")
        own = {k: v for k, v in table.items() if k in {f.name for f in fields(cls)}}
        given = own.pop("states", [])
        states: list[CycleState] = []
        if not isinstance(given, list):
            problems.add(f"cycle.states: expected [[cycle.states]] tables, found {shown(given)}")
            given = []
        for number, state in enumerate(given, 1):
            where = "cycle.states" + f"[{number}]" * (len(given) > 1)
            with problems.noting():
                states.append(CycleState.from_dict(state, folder, where))
        with problems.noting():
            (place,) = _texts(own.get("folder", "cycles"), "cycle.folder")[:1] or ("cycles",)
            own["folder"] = folder / local_path(place, "cycle.folder")
        with problems.noting():
            if "label" in own:
                own["label"] = CycleLabel.from_dict(own["label"], folder)
        problems.settle()
        return cls(tuple(states), **own)


def _check_shares(shares: object) -> None:
    where = "cycle.shares"
    require_known(shares, CYCLE_SHARES, where)
    assert isinstance(shares, Mapping)
    for name, share in shares.items():
        _number(share, f"{where}.{name}", positive=None)
    if not 0.0 < sum(shares.values()) <= 1.0 + 1e-9:
        raise InputError(f"{where}: expected a sum above 0 and up to 1, found {sum(shares.values()):g}")


def _is_calculator(name: str) -> bool:
    return name not in CODES and bool(_FUNCTION.fullmatch(name) or re.fullmatch(r"[A-Za-z]\w*", name))


def _whole(value: object, where: str, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{where}: expected an integer of at least {least}, found {shown(value)}")
    return value


def _number(value: object, where: str, *, positive: bool | None) -> float:
    """A finite number: above zero, not below it where ``positive`` is None, or any where it is false."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or (positive is not False and (value < 0 or (positive and value == 0))):  # type: ignore[operator]
        bound = {True: " above 0", None: " of at least 0", False: ""}[positive]
        raise InputError(f"{where}: expected a number{bound}, found {shown(value)}")
    return float(value)  # type: ignore[arg-type]


def _numbers(value: object, where: str, *, positive: bool) -> tuple[float, ...]:
    listed = value if isinstance(value, list | tuple) else [value]
    return tuple(_number(v, where, positive=positive) for v in listed)


def _texts(value: object, where: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list | tuple) else [value]
    if wrong := [v for v in listed if not isinstance(v, str)]:
        raise InputError(f"{where}: expected a string or a list of strings, found {shown(wrong[0])}")
    return tuple(listed)


def _compositions(value: object, where: str) -> tuple[Mapping[str, float], ...]:
    listed: Sequence[Any] = value if isinstance(value, list | tuple) else [value]
    for own in listed:
        if not isinstance(own, dict) or not own or any(e not in SYMBOLS for e in own):
            raise InputError(f"{where}: expected tables of elements such as {{Cu = 3, Ni = 1}}, found {shown(own)}")
        for element, share in own.items():
            _number(share, f"{where}.{element}", positive=True)
    return tuple(listed)
