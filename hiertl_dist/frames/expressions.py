"""Expressions that a person writes over facts of frames and rows: parsed by a list of what is allowed, never executed.

The grammar is that of Python's expressions, of which numbers, texts, names of facts, arithmetic, comparisons, ``and``,
``or``, ``not``, ``a if b else c`` and calls of known functions are taken; all else is an error that names it. Values
are those of many rows at once, and what is behind an ``if``, an ``and`` or an ``or`` is asked for where it is needed
alone: a frame without a volume may stand in front of ``volume``, as long as it does not get there.
"""

from __future__ import annotations

import ast
import difflib
import operator
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError
from ..text.words import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from numpy.typing import NDArray

LONGEST: Final = 2000
"""Characters of an expression; longer ones are no text of a person."""

DEEPEST: Final = 150
"""Levels of an expression."""
_ARITHMETIC: Final[Mapping[type, Callable[[Any, Any], Any]]] = {
    ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide, ast.Pow: np.power,
}  # fmt: skip
_COMPARISONS: Final[Mapping[type, Callable[[Any, Any], Any]]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip

TAKEN: Final = "numbers, names, + - * / **, comparisons, and, or, not, 'a if b else c' and calls of functions"


class Facts(ABC):
    """What names of an expression mean, for n rows."""

    @abstractmethod
    def number(self, name: str, at: NDArray[np.intp]) -> NDArray[np.float64]:
        """A fact at some of the rows, (rows,); InputError, naming the frame, where one has none."""

    @abstractmethod
    def names(self, at: NDArray[np.intp]) -> tuple[tuple[str, ...], NDArray[np.intp]]:
        """The groups of frames, and of some rows the number of each in these."""

    @abstractmethod
    def share(self, function: str, symbol: str, at: NDArray[np.intp]) -> NDArray[np.float64]:
        """``count`` or ``fraction`` of atoms of a type, at some of the rows, (rows,)."""

    @abstractmethod
    def origin(self, row: int) -> str:
        """The frame of a row, for messages."""


@dataclass(frozen=True)
class Function:
    """A function of numbers: how many it takes, at most (None: any number), and what it makes of them.

    ``facts`` are those that it asks for besides, given first.
    """

    least: int
    most: int | None
    call: Callable[..., Any]
    facts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Names:
    """What an expression may say.

    Attributes
    ----------
    numbers : Mapping from str to str
        Facts that are numbers, with what they are.
    constants : Mapping from str to float
        Numbers with a name.
    functions : Mapping from str to Function
        Of numbers.
    group : str
        The name of the one fact that is a text.
    """

    numbers: Mapping[str, str]
    constants: Mapping[str, float]
    functions: Mapping[str, Function]
    group: str = "group"

    @property
    def of_text(self) -> tuple[str, ...]:
        """Functions that take texts: ``like(group, "liquid*")``, ``count("C")``, ``fraction("C")``."""
        return ("like", "count", "fraction")

    def words(self) -> list[str]:
        """All names that may stand alone."""
        return sorted([*self.numbers, *self.constants, self.group])


@dataclass(frozen=True)
class Expression:
    """An expression that was looked through; made by :meth:`parse`.

    Attributes
    ----------
    text : str
        As a person wrote it.
    where : str
        The key it stands at, for messages.
    known : Names
        What it may say.
    """

    text: str
    where: str
    known: Names

    @classmethod
    def parse(cls, text: str, where: str, known: Names) -> Expression:
        """Look an expression through.

        Parameters
        ----------
        text : str
            The expression.
        where : str
            The key it stands at, for messages.
        known : Names
            What it may say.

        Returns
        -------
        Expression
            That may be evaluated.

        Raises
        ------
        InputError
            It is no expression, or has a name, function or construct that is not known, which is named.
        """
        made = cls(text, where, known)
        made.tree()
        return made

    def tree(self) -> ast.expr:
        """Its tree, all of whose nodes are known."""
        if len(self.text) > LONGEST:
            raise InputError(f"{self.where}: expected at most {LONGEST} characters, found {len(self.text)}")
        try:
            body = ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else str(error)
            raise InputError(f"{self.where}: {shown(self.text)} is no expression: {reason}") from error
        if _depth(body) > DEEPEST:
            raise InputError(f"{self.where}: {shown(self.text)} is nested too deep, in more than {DEEPEST} levels")
        if _Look(self).kind_of(body) == TEXT:
            raise self.fault(f"{ast.unparse(body)} is a text; expected a number")
        return body

    def texts(self) -> list[tuple[str, str]]:
        """Texts in it, each with what it is: ``"group"`` or ``"pattern"`` of a group, or ``"type"`` of an atom."""
        found = []
        for node in ast.walk(self.tree()):
            if isinstance(node, ast.Compare):
                found += [("group", s) for s in map(_text_of, (node.left, *node.comparators)) if s is not None]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                what = "pattern" if node.func.id == "like" else "type"
                found += [(what, s) for s in map(_text_of, node.args) if s is not None]
        return found

    def fault(self, what: str) -> InputError:
        """An error that names the key and the expression."""
        return InputError(f"{self.where}: {shown(self.text)}: {what}")

    def evaluate(self, facts: Facts, n_rows: int) -> NDArray[np.float64]:
        """Its values, (n_rows,).

        Parameters
        ----------
        facts : Facts
            Of the rows.
        n_rows : int
            How many there are.

        Returns
        -------
        ndarray of shape (n_rows,)
            All are numbers, perhaps infinite.

        Raises
        ------
        InputError
            A frame lacks a fact that is needed, or the result of a step is no number; the frame is named.
        """
        with np.errstate(all="ignore"):
            return _Values(self, facts).number(self.tree(), np.arange(n_rows))


def _depth(body: ast.expr) -> int:
    depth, level = 0, [body]
    while level := [c for node in level for c in ast.iter_child_nodes(node) if isinstance(c, ast.expr)]:
        depth += 1
    return depth


def _text_of(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


TEXT: Final = "text"
NUMBER: Final = "number"


class _Look:
    """Looks a tree through for what is not known; nothing is computed."""

    def __init__(self, given: Expression) -> None:
        self.given, self.known = given, given.known

    def kind_of(self, node: ast.expr) -> str:
        """Whether a node is a number or a text. Raises InputError for what is not known."""
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                if not abs(value) < 1e300:
                    raise self.given.fault(f"expected a finite number, found {ast.unparse(node)}")
                return NUMBER
            case ast.Constant(value=str()):
                return TEXT
            case ast.Name(id=name):
                return self._name(name)
            case ast.UnaryOp(op=ast.UAdd() | ast.USub() | ast.Not(), operand=operand):
                self._numbers(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                self._numbers(left, right)
            case ast.BoolOp(values=values):
                self._numbers(*values)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self._numbers(test, body, orelse)
            case ast.Compare():
                self._compare(node)
            case ast.Call():
                self._call(node)
            case _:
                raise self.given.fault(f"{ast.unparse(node)} ({type(node).__name__}) is not taken; what is: {TAKEN}")
        return NUMBER

    def _name(self, name: str) -> str:
        if name == self.known.group:
            return TEXT
        if name in self.known.numbers or name in self.known.constants:
            return NUMBER
        if name in self.known.functions or name in self.known.of_text:
            raise self.given.fault(f"{name} is a function; expected {name}(…)")
        raise self.given.fault(f"{name!r} is not known{_meant(name, self.known.words())}; known are "
                               f"{', '.join(self.known.words())}")  # fmt: skip

    def _numbers(self, *nodes: ast.expr) -> None:
        for node in nodes:
            if self.kind_of(node) == TEXT:
                raise self.given.fault(
                    f"{ast.unparse(node)} is a text; texts are compared with == and !=, or like({self.known.group}, "
                    '"liquid*")'
                )

    def _compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        kinds = [self.kind_of(s) for s in sides]
        for op in node.ops:
            if type(op) not in _COMPARISONS:
                raise self.given.fault(f"{ast.unparse(node)}: {type(op).__name__} is not taken; what is: {TAKEN}")
        if TEXT in kinds:
            names = [s for s in sides if isinstance(s, ast.Name)]
            texts = [s for s in sides if isinstance(s, ast.Constant) and isinstance(s.value, str)]
            plain = isinstance(node.ops[0], ast.Eq | ast.NotEq) and [n.id for n in names] == [self.known.group]
            if len(sides) != 2 or len(texts) != 1 or not plain:
                wanted = f'{self.known.group} == "…" or {self.known.group} != "…"'
                raise self.given.fault(f"{ast.unparse(node)}: expected {wanted}")

    def _call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        functions = [*self.known.functions, *self.known.of_text]
        if not isinstance(node.func, ast.Name) or name not in functions:
            hint = _meant(name, functions)
            raise self.given.fault(f"{name!r} is no function here{hint}; known are {', '.join(sorted(functions))}")
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            raise self.given.fault(f"{ast.unparse(node)}: expected its arguments one after the other, without names")
        if name in self.known.of_text:
            self._text_call(name, node)
            return
        function, given = self.known.functions[name], len(node.args)
        if given < function.least or (function.most is not None and given > function.most):
            most = "or more" if function.most is None else f"to {function.most}"
            wanted = str(function.least) if function.least == function.most else f"{function.least} {most}"
            raise self.given.fault(f"{ast.unparse(node)}: expected {wanted} numbers, found {given}")
        self._numbers(*node.args)

    def _text_call(self, name: str, node: ast.Call) -> None:
        texts = node.args[1:] if name == "like" else node.args
        named = name != "like" or (bool(node.args) and isinstance(node.args[0], ast.Name)
                                   and node.args[0].id == self.known.group)  # fmt: skip
        plain = all(isinstance(t, ast.Constant) and isinstance(t.value, str) for t in texts)
        enough = bool(texts) if name == "like" else len(texts) == 1
        if not (named and plain and enough):
            wanted = f'like({self.known.group}, "liquid*")' if name == "like" else f'{name}("C")'
            raise self.given.fault(f"{ast.unparse(node)}: expected {wanted}")


def _meant(name: str, known: Collection[str]) -> str:
    lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), lower, 1)
    return f"; did you mean {lower[close[0]]!r}?" if close else ""


class _Values:
    """Values of the nodes of a tree that was looked through, at some rows at a time."""

    def __init__(self, given: Expression, facts: Facts) -> None:
        self.given, self.known, self.facts = given, given.known, facts

    def number(self, node: ast.expr, at: NDArray[np.intp]) -> NDArray[np.float64]:
        """(rows,) values at some rows; true and false are 1 and 0."""
        value = np.asarray(self._value(node, at), np.float64)
        full = np.broadcast_to(value, at.shape)
        wrong = np.flatnonzero(np.isnan(full))
        if len(wrong):
            row = int(at[wrong[0]])
            raise self.given.fault(f"{self.facts.origin(row)}: {ast.unparse(node)} is no number there")
        return full

    def _value(self, node: ast.expr, at: NDArray[np.intp]) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() as constant):
                return float(constant)
            case ast.Name(id=name):
                return self.known.constants[name] if name in self.known.constants else self.facts.number(name, at)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self.number(operand, at) == 0.0
            case ast.UnaryOp(op=op, operand=operand):
                signed = self.number(operand, at)
                return -signed if isinstance(op, ast.USub) else signed
            case ast.BinOp(left=left, op=op, right=right):
                return _ARITHMETIC[type(op)](self.number(left, at), self.number(right, at))
            case ast.BoolOp(op=op, values=values):
                return self._bool(isinstance(op, ast.And), values, at)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                yes = self.number(test, at) != 0.0
                out = np.empty(at.shape)
                out[yes], out[~yes] = self.number(body, at[yes]), self.number(orelse, at[~yes])
                return out
            case ast.Compare():
                return self._compare(node, at)
            case ast.Call():
                return self._call(node, at)
        raise AssertionError("unreachable: the tree was looked through")

    def _bool(self, is_and: bool, values: list[ast.expr], at: NDArray[np.intp]) -> NDArray[np.bool_]:
        out = np.full(at.shape, is_and)
        open_ = np.ones(at.shape, np.bool_)
        for value in values:
            out[open_] = self.number(value, at[open_]) != 0.0
            open_ &= out if is_and else ~out
        return out

    def _compare(self, node: ast.Compare, at: NDArray[np.intp]) -> NDArray[np.bool_]:
        sides = [node.left, *node.comparators]
        texts = [s.value for s in sides if isinstance(s, ast.Constant) and isinstance(s.value, str)]
        if texts:
            names, number = self.facts.names(at)
            equal = np.array([n == texts[0] for n in names], np.bool_)[number]
            return equal if isinstance(node.ops[0], ast.Eq) else ~equal
        out = np.ones(at.shape, np.bool_)
        left = self.number(sides[0], at)
        for op, side in zip(node.ops, sides[1:], strict=True):
            right = self.number(side, at)
            out &= _COMPARISONS[type(op)](left, right)
            left = right
        return out

    def _call(self, node: ast.Call, at: NDArray[np.intp]) -> Any:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        if name == "like":
            patterns = [str(t.value) for t in node.args[1:] if isinstance(t, ast.Constant)]
            names, number = self.facts.names(at)
            return np.array([any(fnmatchcase(n, p) for p in patterns) for n in names], np.bool_)[number]
        if name in self.known.of_text:
            (symbol,) = (str(t.value) for t in node.args if isinstance(t, ast.Constant))
            return self.facts.share(name, symbol, at)
        function = self.known.functions[name]
        facts = [self.facts.number(fact, at) for fact in function.facts]
        return function.call(*facts, *(self.number(a, at) for a in node.args))
