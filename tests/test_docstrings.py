"""Docstrings are numpydoc.

Those of what the package offers (``hiertl_dist.__all__``) have every parameter and field, and what is returned, with
its type and a sentence. Those of other modules may be one line; where one has sections, they are as complete.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import pkgutil
import re
import warnings

import pytest
from numpydoc.docscrape import NumpyDocString

import hiertl_dist

NOTHING = (inspect.Signature.empty, None, "None", "Never", "NoReturn")
SENTENCE = re.compile(r"(the|an?|whether|how|what|which|where|who|as|of|for|in)\b|.*[.;]( |$)")
"""How a sentence begins, or goes on, that stands where a type belongs."""


# ---- what is wrong with one docstring


def parsed(thing):
    """The docstring as numpydoc reads it, and what numpydoc says against it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        doc = NumpyDocString(inspect.getdoc(thing) or "")
    return doc, [str(w.message) for w in caught]


def entries(doc, *sections):
    """What is documented in some sections, by name: ``a, b : int`` are two."""
    return {name.strip().lstrip("*"): p for s in sections for p in doc[s] for name in p.name.split(",")}


def unclear(documented):
    """Entries that have no type, a sentence where the type belongs, or no sentence below it."""
    for name, entry in documented.items():
        if not entry.type:
            yield f"{name}: no type"
        elif SENTENCE.match(entry.type):
            yield f"{name}: a sentence where its type belongs: {entry.type!r}"
        if not "".join(entry.desc).strip():
            yield f"{name}: no sentence"


def summary_faults(doc, said):
    return [*said, *(["no summary"] if not "".join(doc["Summary"]).strip() else [])]


def parameters_of(function):
    parameters = inspect.signature(function).parameters
    return {n: p for n, p in parameters.items() if n not in ("self", "cls") and not n.startswith("_")}


def compared(documented, there):
    """What is not documented, and what is and isn't there. ``**options`` may be documented one by one."""
    if options := [n for n, p in there.items() if p.kind is inspect.Parameter.VAR_KEYWORD]:
        named = {n for n in there if n not in options}
        return [f"{n}: not documented" for n in named if n not in documented] + (
            [] if set(documented) - named else [f"{n}: not documented" for n in options]
        )
    missing = [f"{name}: not documented" for name in there if name not in documented]
    return missing + [f"{name}: documented, but there is none" for name in documented if name not in there]


def given_faults(doc):
    given = [*doc["Returns"], *doc["Yields"]]
    return [f for entry in given for f in unclear({entry.name or "what is returned": entry})]


def function_faults(function):
    doc, said = parsed(function)
    documented = entries(doc, "Parameters", "Other Parameters")
    faults = [*summary_faults(doc, said), *compared(documented, parameters_of(function)), *unclear(documented)]
    given = [*doc["Returns"], *doc["Yields"]]
    if inspect.signature(function).return_annotation not in NOTHING and not given:
        faults.append("no Returns or Yields")
    return faults + given_faults(doc)


def fields_of(cls):
    """Public fields of a dataclass or named tuple; ``None`` of another class."""
    if dataclasses.is_dataclass(cls):
        return [f.name for f in dataclasses.fields(cls) if not f.name.startswith("_")]
    return list(cls._fields) if issubclass(cls, tuple) and hasattr(cls, "_fields") else None


def class_faults(cls):
    doc, said = parsed(cls)
    documented = entries(doc, "Parameters", "Attributes")
    there = fields_of(cls)
    if there is not None:
        faults = [f"{name}: not documented" for name in there if name not in documented]
    else:
        own = "__init__" in vars(cls)
        faults = compared(entries(doc, "Parameters"), parameters_of(cls.__init__) if own else {})
    return [*summary_faults(doc, said), *faults, *unclear(documented)]


# ---- what there is


def inherited(cls, name, function):
    """Whether a method without a docstring of its own has that of another package's class."""
    bases = (base for base in cls.__mro__[1:] if name in vars(base) and base.__module__.split(".")[0] != "hiertl_dist")
    return not function.__doc__ and any(inspect.getdoc(vars(base)[name]) for base in bases)


def members(cls):
    """Public methods and properties that the package itself defines, as (name, function, kind)."""
    for base in cls.__mro__:
        if base.__module__.split(".")[0] != "hiertl_dist":
            continue
        for name, member in vars(base).items():
            if name.startswith("_"):
                continue
            if isinstance(member, property):
                yield name, member.fget, "property"
            elif isinstance(member, functools.cached_property):
                yield name, member.func, "property"
            elif inspect.isfunction(function := getattr(member, "__func__", member)) and not inherited(
                cls, name, function
            ):
                yield name, function, "method"


def faults_of(name):
    thing = getattr(hiertl_dist, name)
    if not inspect.isclass(thing):
        return function_faults(thing)
    found = class_faults(thing)
    for member, function, kind in members(thing):
        own = function_faults(function) if kind == "method" else summary_faults(*parsed(function))
        found += [f"{member}: {fault}" for fault in own]
    return found


@pytest.mark.parametrize("name", hiertl_dist.__all__)
def test_docstrings_are_complete(name):
    if name == "Calculator":
        pytest.importorskip("ase")
    faults = faults_of(name)
    assert not faults, f"{name}:\n  " + "\n  ".join(faults)


# ---- every module


NAMES = sorted(m.name for m in pkgutil.walk_packages(hiertl_dist.__path__, "hiertl_dist."))
MODULES = ["hiertl_dist", *(name for name in NAMES if not name.endswith(".__main__"))]


def written_faults(thing):
    """What is wrong with the sections that a docstring has; one without sections is right."""
    doc, found = parsed(thing)
    parameters = entries(doc, "Parameters", "Other Parameters")
    documented = parameters | entries(doc, "Attributes")
    found += unclear(documented)
    if inspect.isfunction(thing):
        found += compared(parameters, parameters_of(thing)) if parameters else []
    elif (fields := fields_of(thing)) is not None:
        found += [f"{name}: not documented" for name in fields if documented and name not in documented]
        found += [f"{name}: documented, but there is none" for name in documented if name not in {*fields, *dir(thing)}]
    elif parameters:
        found += compared(parameters, parameters_of(thing.__init__) if "__init__" in vars(thing) else {})
    found += given_faults(doc)
    return found + [f"{e.type}: raised, but when?" for e in doc["Raises"] if not "".join(e.desc).strip()]


def public(module):
    """Functions and classes of a module, and methods and properties of these, by name."""
    for name, thing in vars(module).items():
        thing = inspect.unwrap(getattr(thing, "py_func", thing)) if callable(thing) else thing
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(thing):
            yield from ((f"{name}.{member}", function) for member, function, _ in members(thing))
        if inspect.isclass(thing) or inspect.isfunction(thing):
            yield name, thing


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_with_sections_are_complete(name):
    if name == "hiertl_dist.calculator":
        pytest.importorskip("ase")
    module = importlib.import_module(name)
    faults = [f"{name}: {fault}" for name, thing in public(module) for fault in written_faults(thing)]
    assert not faults, f"{name}:\n  " + "\n  ".join(faults)


# ---- the checks see what is wrong


def good(a, b, *rest, c=1) -> int:
    """Sum up.

    Parameters
    ----------
    a, b : float
        Two numbers.
    *rest : float
        More of them.
    c : int, default 1
        A factor.

    Returns
    -------
    int
        The sum.
    """


def bad(a, b, c) -> int:
    """Sum up.

    Parameters
    ----------
    a : the first number; default:
        the last.
    b
        The second.
    d : int
    """


def wrong_section() -> None:
    """Do nothing.

    Return
    ------
    int
        Not a section.
    """


def a_yield() -> iter:
    """Count.

    Yields
    ------
    int
    """


def test_a_complete_docstring_passes():
    assert function_faults(good) == []


@pytest.mark.parametrize(
    "text",
    ["float", "ndarray of shape (n, 3), optional", "Mapping from str to float, default {}", '{"lsq", "plain"}',
     "ASE Atoms", "str or Path", "int >= 0, default 0.5", "tuple of str or None", "iterable of Frame",
     "``None`` or Frame"],
)  # fmt: skip
def test_types_are_no_sentences(text):
    assert not SENTENCE.match(text)


def test_what_is_wrong_with_a_function_is_seen():
    faults = function_faults(bad)
    assert faults == [
        "c: not documented", "d: documented, but there is none",
        "a: a sentence where its type belongs: 'the first number; default:'", "b: no type", "d: no sentence",
        "no Returns or Yields",
    ]  # fmt: skip
    assert any("Return" in fault for fault in function_faults(wrong_section))
    assert function_faults(lambda: None) == ["no summary"]
    assert function_faults(a_yield) == ["what is returned: no sentence"]


def test_what_is_wrong_with_a_class_is_seen():
    @dataclasses.dataclass
    class Point:
        """A point.

        Attributes
        ----------
        x : Å.
        """

        x: float
        y: float
        _cache: float = 0.0

    class Made:
        """Made of two.

        Parameters
        ----------
        a : int
            The first.
        """

        def __init__(self, a, b):
            pass

    assert class_faults(Point) == ["y: not documented", "x: a sentence where its type belongs: 'Å.'", "x: no sentence"]

    class Options(Made):
        """Made of options.

        Parameters
        ----------
        **options : Any
            Whatever.
        """

        def __init__(self, **options):
            pass

    class Silent(Made):
        """Made of options."""

        def __init__(self, **options):
            pass

    assert class_faults(Made) == ["b: not documented"]
    assert class_faults(Options) == []
    assert class_faults(Silent) == ["options: not documented"]


def half_said(a, b):
    """Sum up.

    Parameters
    ----------
    a : float

    Returns
    -------
    total : float
        The sum.
    rest : float

    Raises
    ------
    ValueError
    """


def test_what_is_wrong_with_sections_that_are_there_is_seen():
    assert written_faults(half_said) == [
        "a: no sentence",
        "b: not documented",
        "rest: no sentence",
        "ValueError: raised, but when?",
    ]
    assert written_faults(good) == written_faults(test_a_complete_docstring_passes) == []

    @dataclasses.dataclass
    class Line:
        """A line.

        Attributes
        ----------
        start : float
            Where it begins.
        length, colour : float
            What it has.
        """

        start: float
        end: float

        @property
        def length(self):
            return self.end - self.start

    assert written_faults(Line) == ["end: not documented", "colour: documented, but there is none"]


def test_every_public_function_class_and_member_of_a_module_is_looked_at():
    found = {name for name, _ in public(importlib.import_module("hiertl_dist.algebra.problem"))}
    assert {"Problem", "Problem.factor", "Problem.counted", "problem_of"} <= found
    assert not any(part.startswith("_") for name in found for part in name.split("."))
    assert "pair_rows" in {name for name, _ in public(importlib.import_module("hiertl_dist.evaluation.kernels.pairs"))}


def test_only_docstrings_of_other_packages_are_inherited():
    assert inherited(type("Own", (dict,), {}), "get", lambda self: None)
    assert not inherited(type("Own", (dict,), {}), "get", good)
    assert not inherited(type("Own", (), {}), "get", lambda self: None)
    package = type("Base", (), {"get": good, "__module__": "hiertl_dist.base"})
    assert not inherited(type("Own", (package,), {}), "get", lambda self: None)
