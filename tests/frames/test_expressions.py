"""Expressions of weights: what is taken, what is named as not known, and values beside those of Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiertl_dist.errors import InputError
from hiertl_dist.frames.expressions import Expression, Facts
from hiertl_dist.frames.weight_facts import KNOWN

NUMBERS = {"n_atoms": [1.0, 8.0, 64.0], "energy": [-3.0, 0.25, 1e3], "value": [0.0, -2.5, 7.0]}
GROUPS = ("liquid_1", "solid", "liquid_2")


class Table(Facts):
    """Three rows, of three frames; the second has no volume."""

    def number(self, name, at):
        if name == "volume":
            if 1 in at:
                raise InputError("frame 1 has no volume")
            return np.array([10.0, np.nan, 30.0])[at]
        return np.array(NUMBERS[name])[at]

    def names(self, at):
        return GROUPS, at

    def share(self, function, symbol, at):
        return np.array([1.0, 2.0, 3.0])[at] / (4.0 if function == "fraction" else 1.0)

    def origin(self, row):
        return f"frame {row}"


def values(text):
    return Expression.parse(text, "weights.force", KNOWN).evaluate(Table(), 3).tolist()


@pytest.mark.parametrize(("text", "expected"), [
    ("2", [2.0] * 3), ("n_atoms ** 0.5 - -1", [2.0, math.sqrt(8) + 1, 9.0]),
    ("1.0 if value < 0 else n_atoms", [1.0, 1.0, 64.0]), ("0 < n_atoms <= 8", [1, 1, 0]),
    ("like(group, 'liquid*', 'gas*')", [1, 0, 1]), ("group == 'solid'", [0, 1, 0]), ("group != 'solid'", [1, 0, 1]),
    ("'solid' == group or value > 0", [0, 1, 1]), ("not (value > 0 and True)", [1, 1, 0]),
    ("max(1, n_atoms, 9) + min(value, 0)", [9.0, 6.5, 64.0]), ("count('C') * fraction('C')", [0.25, 1.0, 2.25]),
    ("1 if group == 'solid' else volume", [10.0, 1.0, 30.0]), ("group != 'solid' and volume > 15", [0, 0, 1]),
    ("group == 'solid' or volume > 15", [0, 1, 1]), ("eV / eV", [1.0] * 3),
])  # fmt: skip
def test_values(text, expected):
    assert values(text) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(("text", "said"), [
    ("enregy", "'enregy' is not known; did you mean 'energy'?"), ("exp(1, 2)", "expected 1 numbers, found 2"),
    ("__import__('os')", "'__import__' is no function here"), ("max_forces", "did you mean 'max_force'?"),
    ("value.real", "value.real (Attribute) is not taken"), ("(lambda: 1)()", "is no function here"),
    ("[1][0]", "(Subscript) is not taken"), ("group", "group is a text"), ("group + 1", "group is a text"),
    ("group < 'a'", "expected group =="), ("group == like", "like is a function"),
    ("like(value, 'a')", "expected like(group"),
    ("count(C)", 'expected count("C")'), ("1 if", "is no expression"), ("9e999", "expected a finite number"),
    ("value := 3", "is no expression"), ("(x := 3)", "(NamedExpr) is not taken"),
    ("value // 2", "(BinOp) is not taken"),
    ("exp(x=1)", "without names"), ("exp(*[1])", "without names"), ("A(1, 2)", "expected 1 numbers, found 2"),
    ("'liquid'", "is a text; expected a number"), ("1j", "(Constant) is not taken"), ("log", "expected log(…)"),
    ("value in (1, 2)", "is not taken"), ("f'{value}'", "(JoinedStr) is not taken"), ("", "is no expression"),
    ("energy == 'solid'", "expected group =="), ("'solid' != n_atoms", "expected group =="),
    ("-" * 151 + "1", "nested too deep"), ("not " * 400 + "1", "nested too deep"),
    ("(" * 300 + "1" + ")" * 300, "no expression"), ("1+" * 1200 + "1", "at most 2000 characters"),
])  # fmt: skip
def test_what_is_not_known_is_named(text, said):
    with pytest.raises(InputError, match=r"^weights\.force: ") as caught:
        Expression.parse(text, "weights.force", KNOWN)
    assert said in str(caught.value)


@pytest.mark.parametrize(("text", "said"), [
    ("volume", "frame 1 has no volume"), ("log(value)", "frame 1: log(value) is no number there"),
    ("1.0 if sqrt(value) > 1 else 2.0", "frame 1: sqrt(value) is no number there"), ("value / value", "frame 0"),
    ("group == 'solid' and volume > 15", "frame 1 has no volume"),
])  # fmt: skip
def test_a_step_that_is_no_number_names_the_frame(text, said):
    with pytest.raises(InputError) as caught:
        values(text)
    assert said in str(caught.value)


def test_the_deepest_expression_is_evaluated_from_deep_in_a_stack():
    def below(levels):
        return values("abs(" * 150 + "n_atoms" + ")" * 150) if not levels else below(levels - 1)

    assert below(200) == NUMBERS["n_atoms"]


def trees(depth=3):
    leaves = st.sampled_from(["1.5", "2", "n_atoms", "energy", "value", "0.25"])
    if not depth:
        return leaves
    deeper = trees(depth - 1)
    return leaves | st.builds("({} {} {})".format, deeper, st.sampled_from(["+", "-", "*"]), deeper) | st.builds(
        "({} if {} < {} else {})".format, deeper, deeper, deeper, deeper
    ) | st.builds("({} <= {} and not {} > {})".format, deeper, deeper, deeper, deeper)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(trees())
def test_values_are_those_of_python(text):
    own = [float(eval(text, {}, {k: v[i] for k, v in NUMBERS.items()})) for i in range(3)]
    assert values(text) == own


def test_texts_that_must_be_met():
    found = Expression.parse("like(group, 'a*') + count('C') + (group == 'b')", "w", KNOWN).texts()
    assert sorted(found) == [("group", "b"), ("pattern", "a*"), ("type", "C")]
