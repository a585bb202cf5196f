"""The reference of the package in Python: what it offers, by folder, and what its docstrings name beside that."""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from typing import Any, Final

import hiertl_dist

SECTIONS: Final = {
    "data": ("frames", "io", "dataset", "suggestion"),
    "models": ("model", "evaluation", "calculator"),
    "fits": ("design_matrix", "fitting", "jobs"),
    "choosing": ("model_selection",),
    "uncertainty": ("uncertainty", "active_learning"),
    "transfer": ("probes", "library", "stability", "properties"),
    "execution": ("executors", "files"),
    "errors": ("errors", "algebra"),
}
"""Pages, and the folders whose names stand on each."""

ROLE: Final = re.compile(r":(class|func|meth|data|attr|mod|exc):`~?\.?([\w.]+)`")
MORE: Final = "more"


def api_titles() -> list[str]:
    """The names of the pages."""
    return [*SECTIONS, MORE]


@cache
def names_of(section: str) -> tuple[str, ...]:
    """What the package offers that stands on a page, classes first."""
    own = [n for n in hiertl_dist.__all__ if hiertl_dist._PLACE_OF[n][0].split(".")[0] in SECTIONS[section]]
    return tuple(sorted(own, key=lambda n: (not inspect.isclass(getattr(hiertl_dist, n)), n.lower())))


def directive(name: str) -> list[str]:
    """What autodoc is asked for, of a dotted name."""
    thing = resolved(name)
    if inspect.isclass(thing):
        return [f".. autoclass:: {name}", "   :members:", ""]
    return [f".. {'autofunction' if callable(thing) else 'autodata'}:: {name}", ""]


def resolved(name: str) -> Any:
    """What a dotted name names, or None."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            thing: Any = importlib.import_module(".".join(parts[:n]))
        except ImportError:
            continue
        for part in parts[n:]:
            thing = getattr(thing, part, None)
        return thing
    return None


def api_section(title: str) -> str:
    """The directives of a page."""
    names = named_elsewhere() if title == MORE else [f"hiertl_dist.{name}" for name in names_of(title)]
    lines = [line for name in names for line in directive(name)]
    return "\n".join(["```{eval-rst}", *lines, "```"]) + "\n"


def docstrings(thing: Any) -> list[str]:
    """Those of a function, or of a class and its public members."""
    own = [inspect.getdoc(thing) or ""] if callable(thing) else []
    if inspect.isclass(thing):
        for name, member in vars(thing).items():
            if not name.startswith("_"):
                function = getattr(member, "fget", None) or getattr(member, "func", None) or member
                own.append(getattr(function, "__doc__", None) or "")
    return own


def named_elsewhere() -> list[str]:
    """What docstrings on the other pages refer to that stands on none of them, and so on; dotted names."""
    shown = {id(getattr(hiertl_dist, name)) for name in hiertl_dist.__all__}
    queue = [getattr(hiertl_dist, name) for name in hiertl_dist.__all__]
    more: dict[str, None] = {}
    while queue:
        for text in docstrings(queue.pop()):
            for role, target in ROLE.findall(text):
                if not target.startswith("hiertl_dist.") or role in ("meth", "attr", "mod"):
                    continue
                thing = resolved(target)
                if thing is None or target in more or (role != "data" and id(thing) in shown):
                    continue
                more[target] = None
                if role != "data":
                    shown.add(id(thing))
                    queue.append(thing)
    return sorted(more)
