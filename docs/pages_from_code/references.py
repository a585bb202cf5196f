"""References in docstrings to names that are in the code and on no page: they are shown without a link.

A name that is not in the code stays a reference that leads nowhere, which Sphinx reports with ``-n``.
"""

from __future__ import annotations

import importlib
import inspect
import re
from typing import TYPE_CHECKING, Any

import hiertl_dist

from .api import resolved

if TYPE_CHECKING:
    from collections.abc import Iterator

OF_DOCSTRING = re.compile(r"docstring of ([\w.]+)")


def find_reference(app: Any, env: Any, node: Any, content: Any) -> Any:
    """For Sphinx's event ``missing-reference``: a node in place of the reference; None where there is no such name."""
    if node.get("refdomain") != "py":
        return None
    for name in _candidates(node):
        if not _exists(name):
            continue
        public = _public_name(resolved(name))
        if public is not None:
            domain = env.get_domain("py")
            link = domain.resolve_xref(env, node["refdoc"], app.builder, "obj", public, node, content)
            if link is not None:
                return link
        return content
    return None


def _candidates(node: Any) -> Iterator[str]:
    """What a target may be short for: as it is, or below the class or module whose docstring has it."""
    target = node["reftarget"]
    yield target
    place = OF_DOCSTRING.search(str(getattr(node.parent, "source", None) or node.source or ""))
    parts = place[1].split(".") if place else []
    while parts:
        yield ".".join([*parts, target])
        parts.pop()


def _exists(name: str) -> bool:
    """Whether there is such a module, class, function, constant or attribute, fields without a default included."""
    if resolved(name) is not None:
        return True
    owner, _, last = name.rpartition(".")
    thing = resolved(owner) if owner else None
    if inspect.isclass(thing):
        return any(last in getattr(base, "__annotations__", {}) for base in thing.__mro__)
    if inspect.ismodule(thing):
        return last in vars(importlib.import_module(thing.__name__))
    return False


def _public_name(thing: Any) -> str | None:
    """The name by which the package hands a thing on."""
    for name in hiertl_dist.__all__:
        if getattr(hiertl_dist, name) is thing:
            return f"hiertl_dist.{name}"
    return None
