"""Names of types of atoms: every name that is made of them can be taken apart again, and chemical ones are as ever."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from hiertl_dist.errors import BasisError, FrameError
from hiertl_dist.frames.frame import Frame
from hiertl_dist.frames.rows import Group
from hiertl_dist.frames.type_names import (
    FORBIDDEN,
    LONGEST,
    RESERVED,
    cluster_name,
    composition_name,
    elements_of_composition,
    formula_name,
    name_fault,
    split_symbols,
)
from hiertl_dist.model.basis import Basis
from hiertl_dist.units import SYMBOLS

symbols = st.sampled_from(sorted(SYMBOLS))
likely = st.sampled_from(
    ["C", "N", "CN", "C1", "C2", "1", "11", "X", "CH2", "Ow", "H+", "c", "Cl-", "OH-", "a-b", "a--b", "C75N25", "H2O1",
     "C_1", "C1_75", "H5'", "C*", "α", "x-", "CC-N"]
)  # fmt: skip
any_name = st.text("CNcn12+-_.'α", min_size=1, max_size=6) | st.text(min_size=1, max_size=4)
names = likely | symbols | any_name.filter(lambda name: not name_fault(name))


@given(st.lists(names, min_size=1, max_size=4))
@example(["CN"])
@example(["Cl-", "H+"])
@example(["a-", "b"])
def test_names_of_clusters_are_taken_apart_again(types):
    assert split_symbols(cluster_name(types)) == tuple(sorted(types))


@given(st.lists(names, min_size=1, max_size=4), st.lists(names, min_size=1, max_size=4))
def test_different_clusters_have_different_names(a, b):
    assume(sorted(a) != sorted(b))
    assert cluster_name(a) != cluster_name(b)


@given(st.dictionaries(names, st.integers(0, 100), min_size=1, max_size=4))
def test_compositions_tell_their_types(amounts):
    name = composition_name(amounts)
    assert elements_of_composition(name) == set(amounts)
    assert Group("a", "force", name).elements == set(amounts)
    assert not set(name) & set("/\0"), "weights are named 'composition/kind'"


@given(*[st.dictionaries(names, st.integers(0, 100), min_size=2, max_size=4)] * 2)
def test_different_compositions_have_different_names(a, b):
    assume(a != b)
    assert composition_name(a) != composition_name(b)
    assert formula_name(a) != formula_name(b)


@given(st.lists(symbols, min_size=1, max_size=4), st.integers(0, 100))
def test_names_of_elements_are_as_they_were(elements, share):
    """Files on disk and digests depend on them."""
    assert cluster_name(elements) == "".join(sorted(elements))
    assert formula_name(dict.fromkeys(elements, share)) == "".join(f"{e}{share}" for e in sorted(set(elements)))
    one = len(set(elements)) == 1
    wanted = elements[0] if one else "".join(f"{e}{share}" for e in sorted(set(elements)))
    assert composition_name(dict.fromkeys(elements, share)) == wanted
    assert split_symbols("-".join(elements)) == tuple(sorted(elements))


@pytest.mark.parametrize(
    ("types", "name"),
    [
        (("N", "C", "C"), "CCN"), (("C1", "N", "C1"), "C1-C1-N"), (("C1",), "C1"), (("CN",), "_CN"),
        (("CN", "CN"), "CN-CN"), (("Cl-",), "Cl--"), (("H+", "Cl-"), "Cl---H+"), (("X", "Ow"), "OwX"),
        (("1", "1", "2"), "1-1-2"), (("CH2",), "CH2"), (("C75N25",), "C75N25"), ((), ""),
    ],
)  # fmt: skip
def test_the_spelling_of_clusters(types, name):
    assert cluster_name(types) == name


@pytest.mark.parametrize(
    ("amounts", "name"),
    [
        ({"C": 75, "N": 25}, "C75N25"), ({"C": 100}, "C"), ({"N": 25, "C1": 75}, "C1_75-N_25"), ({"C1": 100}, "C1"),
        ({"CN": 100}, "_CN"), ({"C75N25": 100}, "_C75N25"), ({"Cl-": 50, "H+": 50}, "Cl--_50-H+_50"),
        ({"a_1": 60, "b": 40}, "a_1_60-b_40"),
    ],
)  # fmt: skip
def test_the_spelling_of_compositions(amounts, name):
    assert composition_name(amounts) == name


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "empty"), ("a b", "' '"), ("a/b", "'/'"), ("a\0b", r"'\\x00'"), ("a\nb", r"'\\n'"), ("-a", "begins"),
        ("_CN", "begins"), (".a", "begins"), ("+1", "begins"), ("²", "begins"), ("1.5", "number"), ("1e5", "number"),
        ("nan", "number"), ("Infinity", "number"), ("1_0", "number"), ("x" * (LONGEST + 1), "characters"),
        *((word, "another meaning") for word in RESERVED), *((f"a{c}", "contains") for c in FORBIDDEN),
    ],
)  # fmt: skip
def test_words_that_are_no_names(name, fault):
    assert re.search(fault, name_fault(name))
    with pytest.raises(FrameError, match=r"here: expected a chemical symbol or the name of a type of atoms, found "):
        Frame((name,), np.zeros((1, 3)), origin="here")
    with pytest.raises(BasisError, match=r"elements: .* is neither a chemical symbol nor the name of a type"):
        Basis((name,), (), ())


@pytest.mark.parametrize("name", ["", "a\0b", "C1-", "-C1", "C1---", "C1-/", "_C", "_C1", "C N", "1.5"])
def test_names_that_nothing_makes_are_refused(name):
    with pytest.raises(BasisError, match="expected element symbols such as 'CN' or 'MoNb', or names of types"):
        split_symbols(name)


@pytest.mark.parametrize("name", ["C1_75-N", "C1_a-N_2", "?", "a b"])
def test_words_that_are_no_compositions_are_refused(name):
    with pytest.raises(BasisError, match="expected a composition such as 'C75N25' or 'C1_75-N_25'"):
        elements_of_composition(name)


def test_a_frame_of_labelled_types():
    frame = Frame(("C1", "C1", "C1", "N"), np.arange(12.0).reshape(4, 3))
    assert (frame.formula, frame.composition, frame.elements) == ("C1_3-N_1", "C1_75-N_25", {"C1", "N"})
    assert "C1_3-N_1" in repr(frame)


PAIR = {"rmin": 1.0, "rmax": 4.0, "lambda": 1.5}


def table(*pairs, **more):
    return {"elements": ["C1", "C2"], "orders": [3, 2, 0], "pairs": dict.fromkeys(pairs, PAIR)} | more


def test_a_basis_of_labelled_types():
    basis = Basis.from_dict(
        table("C1-C1", "C2-C1", "C2-C2", types={"C1-C1-C2": {"rmax": {"C1-C2": 3.0}}}, masses={"C1": 12.011})
    )
    assert [t.name for t in basis.types] == [
        "C1-C1", "C2-C2", "C1-C2", "C1-C1-C1", "C1-C1-C2", "C1-C2-C2", "C2-C2-C2", "C1", "C2",
    ]  # fmt: skip
    assert {t.block for t in basis.types} == {"C1", "C2", "C1-C2"}
    assert Basis.from_dict(basis.to_dict()) == basis
    assert Basis.from_dict(basis.to_dict()).masses == {"C1": 12.011}
    assert Basis.from_dict({k: v for k, v in basis.to_dict().items() if k != "masses"}).digest == basis.digest
    assert basis.restricted(["C2"]).masses == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (table("C1C1"), r"basis\.pairs\.C1C1: .*names that are no symbols have hyphens between them: 'C1-C1'"),
        (table("C1-C1", "C1-C2", "C2-C2", masses={"C": 12.0}), "masses: 'C' not among the elements"),
        (table("C1-C1", "C1-C2", "C2-C2", masses={"C1": -1}), "masses: expected a mass above 0 for C1, found -1.0"),
        (table("C1-C1", "C1-C2", "C2-C2", masses={"C1": "12"}), r"basis\.masses\.C1: expected a number, found '12'"),
        (table("C1-C1", "C1-C2", "C2-C2") | {"elements": ["C1", "C 2"]}, "'C1-C2'|'C 2'|C1-C2"),
    ],
)
def test_a_basis_says_how_types_are_spelt(change, message):
    with pytest.raises(BasisError, match=message):
        Basis.from_dict(change)


def test_a_digest_of_elements_is_that_of_before():
    """Stores made by earlier versions are found again."""
    pairs = {name: {"rmin": 0.9, "rmax": 5.0, "lambda": 1.2} for name in ("CC", "CN", "NN")}
    basis = Basis.from_dict({"elements": ["C", "N"], "orders": [3, 2, 2], "pairs": pairs})
    assert basis.digest == DIGEST
    assert Frame(("C", "N"), np.eye(3)[:2], np.eye(3) * 9).digest == FRAME_DIGEST


DIGEST = "f68728b2e166307a1fa647550122ce24151640de276ec78c132171253b376ee1"
FRAME_DIGEST = "cfa5ebf7a9cd2893c14344039c791d0f87ec0296d52a513cab5e3a0c72f0b627"
