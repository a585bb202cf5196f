"""``ElementSet``: a set of elements that is the text of its name, wherever a text was before."""

from __future__ import annotations

import ast
import copy
import hashlib
import json
import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hiertl_dist import ElementSet, Frame
from hiertl_dist.errors import BasisError
from hiertl_dist.frames import element_set
from hiertl_dist.frames.type_names import cluster_name, name_fault
from hiertl_dist.model.cluster_types import ClusterType
from hiertl_dist.units import SYMBOLS

likely = st.sampled_from(
    ["C", "N", "CN", "C1", "C2", "1", "11", "CH2", "Ow", "H+", "c", "Cl-", "a-b", "a--b", "α", "x-"]
)
any_name = st.text("CNcn12+-_.'α", min_size=1, max_size=6) | st.text(min_size=1, max_size=4)
names = likely | st.sampled_from(sorted(SYMBOLS)) | any_name.filter(lambda name: not name_fault(name))
element_lists = st.lists(names, min_size=1, max_size=4, unique=True)


# ---- names and elements


@given(element_lists)
@example(["CN"])
@example(["Cl-", "H+"])
def test_a_set_is_its_name_and_is_taken_apart_again(elements):
    found = ElementSet.of(elements)
    assert found == found.name == str(found) == cluster_name(elements)
    assert type(found.name) is str
    for again in (ElementSet.parse(found.name), ElementSet(found.name), ElementSet.of(found), ElementSet.parse(found)):
        assert type(again) is ElementSet
        assert (again, again.elements) == (found, frozenset(elements))


@given(element_lists.flatmap(lambda own: st.tuples(st.just(own), st.permutations(own))))
def test_the_order_of_elements_is_no_matter(both):
    elements, others = both
    assert ElementSet.of(elements) == ElementSet.of([*others, *elements])
    hyphens = "-".join(e.replace("-", "--") for e in others)
    if len(elements) > 1:
        assert ElementSet.parse(hyphens) == ElementSet.of(elements)


@given(element_lists, element_lists)
def test_equal_are_sets_of_equal_elements(a, b):
    assert (ElementSet.of(a) == ElementSet.of(b)) == (set(a) == set(b))


@given(element_lists, element_lists)
def test_subsets_are_those_of_elements(a, b):
    one, other = ElementSet.of(a), ElementSet.of(b)
    assert one.is_subset(other) == (set(a) <= set(b))
    assert one.is_proper_subset(other) == (set(a) < set(b))
    assert one.is_subset(ElementSet.of(a + b))
    assert not one.is_proper_subset(one)


@given(st.lists(element_lists, max_size=5))
def test_order_is_that_of_texts(lists):
    sets = [ElementSet.of(own) for own in lists]
    assert sorted(sets) == sorted(map(str, sets))


@pytest.mark.parametrize(
    ("name", "text", "elements"),
    [("NC", "CN", {"C", "N"}), ("N-C", "CN", {"C", "N"}), ("ClC", "CCl", {"C", "Cl"}), ("N-C1", "C1-N", {"C1", "N"}),
     ("_CN", "_CN", {"CN"}), ("C1", "C1", {"C1"}), ("H+-Cl--", "Cl---H+", {"Cl-", "H+"})],
)  # fmt: skip
def test_names(name, text, elements):
    found = ElementSet.parse(name)
    assert (found, found.elements) == (text, elements)


def test_a_set_of_nothing():
    none = ElementSet.of(())
    assert (none, none.elements) == ("", frozenset())
    assert none.is_proper_subset(ElementSet.parse("C"))
    assert pickle.loads(pickle.dumps(none)).elements == frozenset()


# ---- what is no set of elements


@pytest.mark.parametrize("name", ["", "a\0b", "C1-", "-C1", "C1-/", "_C", "C N", "1.5", "all", "2B"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(BasisError, match="expected element symbols such as 'CN' or 'MoNb', or names of types"):
        ElementSet.parse(name)
    with pytest.raises(BasisError, match="expected element symbols"):
        ElementSet(name)


@pytest.mark.parametrize(("name", "twice"), [("CC", "C"), ("CCN", "C"), ("N-C-N", "N"), ("C1-C1-N", "C1")])
def test_a_cluster_is_no_set(name, twice):
    with pytest.raises(BasisError, match=f"each once, found '{name}': {twice} is repeated"):
        ElementSet.parse(name)


@pytest.mark.parametrize("name", ["a b", "_CN", "all", "x/"])
def test_what_is_no_element_is_refused(name):
    with pytest.raises(BasisError, match=r"expected names of elements, found "):
        ElementSet.of(["C", name])


# ---- in the place of a text


@given(element_lists)
def test_it_travels_as_what_it_is(elements):
    found = ElementSet.of(elements)
    travelled = [pickle.loads(pickle.dumps(found, protocol=p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)]
    for other in (*travelled, copy.copy(found), copy.deepcopy(found)):
        assert type(other) is ElementSet
        assert (other, other.elements) == (found, found.elements)


@given(element_lists)
def test_it_is_a_text_to_tables_and_digests(elements):
    found, text = ElementSet.of(elements), cluster_name(elements)
    assert hash(found) == hash(text)
    assert {found: 1}[text] == {text: 1}[found] == 1
    assert {found, text} == {text}
    assert (f"{found}", repr(found), ", ".join([found]), found.encode()) == (text, repr(text), text, text.encode())
    for content in ({"block": found}, {found: [found]}, [found, found]):
        plain = ast.literal_eval(repr(content))
        assert json.dumps(content, sort_keys=True) == json.dumps(plain, sort_keys=True)
        assert json.loads(json.dumps(content)) == plain
        assert digest(content) == digest(plain)
    assert np.array([found]).dtype == np.array([text]).dtype


def digest(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def test_a_digest_is_that_of_before():
    """Stores made by earlier versions are found again."""
    content = {"blocks": {ElementSet.parse("NC"): ElementSet.parse("N-C1")}, "sets": [ElementSet.parse("Si")]}
    assert json.dumps(content) == '{"blocks": {"CN": "C1-N"}, "sets": ["Si"]}'


def test_it_stays_as_it_is():
    found = ElementSet.parse("CN")
    with pytest.raises(AttributeError):
        found.elements = frozenset("C")
    with pytest.raises(AttributeError):
        found.other = 1


def test_what_is_remembered_is_bounded():
    for remembered in (element_set._parsed, element_set._of):
        assert remembered.cache_info().maxsize == element_set.REMEMBERED
    assert ElementSet.parse("NC") is ElementSet.parse("NC")


# ---- where it comes from


def test_frames_and_types_say_theirs():
    frame = Frame(("N", "C1", "N"), np.arange(9.0).reshape(3, 3))
    assert (frame.element_set, frame.element_set.elements) == ("C1-N", frame.elements)
    assert type(ClusterType(("N",), 1, ()).block) is ElementSet


def test_a_plain_text_may_be_the_larger_set():
    assert ElementSet("C").is_subset("NC")
    assert ElementSet("C").is_proper_subset("NC")
    assert not ElementSet("CN").is_proper_subset("NC")


@pytest.mark.parametrize("wrong", [3, None, 2.5])
def test_what_is_no_text_is_no_set(wrong):
    with pytest.raises(BasisError, match="expected a set of elements"):
        ElementSet.parse(wrong)
    with pytest.raises(BasisError, match=r"expected names of elements, found .*no text"):
        ElementSet.of(["C", wrong])
