"""The comment line of extended XYZ: what stands there, beside what ASE makes of it."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiertl_dist.io.comments import parse_comment

LISTS = {"Lattice", "pbc", "stress", "virial"}


def parsed(line):
    return parse_comment(line, LISTS, ValueError)


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("", {}),
        (" \t\r\n", {}),
        ("best of the runs of May", {}),
        ("Coordinates from run E -93.1, E -93.1", {}),
        ("it's Müller's run, don't touch", {}),
        ('a 5" wafer of 3" radius', {}),
        ("E = -93.1, E = -93.1", {"E": "-93.1"}),
        ("a=1\tb=2\r\n", {"a": "1", "b": "2"}),
        ("a=1,b=2", {"a": "1,b=2"}),
        ("a = 1 b= 2 c =3", {"a": "1", "b": "2", "c": "3"}),
        ("config_type= energy=0.25", {"config_type": "", "energy": "0.25"}),
        ("config_type=   energy = 0.25", {"config_type": "", "energy": "0.25"}),
        ('config_type= Lattice="8 0 0"', {"config_type": "", "Lattice": "8 0 0"}),
        ("config_type= name= energy=1 last=", {"config_type": "", "name": "", "energy": "1", "last": ""}),
        ("config_type=\tenergy=1", {"config_type": "", "energy": "1"}),
        ("config_type= bulk energy=1", {"config_type": "bulk", "energy": "1"}),
        ("a=\"\" b={} c=[] d='' e=1", {"a": "", "b": "", "c": "[]", "d": "", "e": "1"}),
        ("a=\"x y\" b='x y' c={x y} d=[1, 2]", {"a": "x y", "b": "x y", "c": "x y", "d": "[1, 2]"}),
        ("s=[[1, 2], [3, 4]]", {"s": "[[1, 2], [3, 4]]"}),
        (r'note="a \"b\" \\ c"', {"note": r'a "b" \ c'}),
        ('"two words"=5 "a flag" {another one}', {"two words": "5"}),
        ("url=http://a?b=c x==3", {"url": "http://a?b=c", "x": "=3"}),
        ("pbc=T T F energy=1", {"pbc": "T T F", "energy": "1"}),
        ("pbc=T, T, F", {"pbc": "T, T, F"}),
        ("PBC=1 1 0", {"pbc": "1 1 0"}),
        ("Lattice=8 0 0 0 8 0 0 0 8 of 5", {"Lattice": "8 0 0 0 8 0 0 0 8"}),
        ("energy=-5 0.3", {"energy": "-5"}),
        ("lattice='1' PROPERTIES=a", {"Lattice": "1", "Properties": "a"}),
        ("=== run 5 of 6", {}),
    ],
)
def test_values(line, values):
    comment = parsed(line)
    assert comment.values == values


def test_keys_given_more_than_once():
    comment = parsed("a=1 b=2 a=1 b=3 Lattice=x lattice=y b=2")
    assert comment.differing == {"b": ["2", "3", "2"], "Lattice": ["x", "y"]}
    assert comment.values["a"] == "1"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("energy -5.07 gnorm 0.1", ["energy"]),
        ("Energy: -5, max force 0.1", ["Energy", "force"]),
        ("REF_energy -1 energy=2", ["REF_energy"]),
        ("low energy structure, forces converged", []),
        ("5 energy", []),
    ],
)
def test_words_that_look_like_labels(line, words):
    assert parsed(line).words == [f"{word} (a word without =)" for word in words]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('note="open', "'\"open', which is not closed"),
        ("s=[[1, 2]", "which is not closed"),
        ("s={1 2", "which is not closed"),
        ('Lattice="1 2"pbc=T', "found '\"1 2\"pbc=T'"),
        ("Lattice 8 0 0 0 8 0 0 0 8", "'Lattice' without '='"),
    ],
)
def test_what_cannot_be_read_is_quoted(line, said):
    with pytest.raises(ValueError, match="expected key=value pairs") as refused:
        parsed(line)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "line",
    ['"' * 20000, "x=[" * 20000, "[ " * 20000, "= " * 20000, "a= " * 20000, "a" * 200000, '" ' * 20001, "[[" * 20000,
     'a="' + "\\" * 50001, "a=1 " * 20000, "'\"" * 20000, "energy " * 20000, ", " * 20000],
    ids=range(13),
)  # fmt: skip
def test_long_lines_take_no_time(line):
    began = time.process_time()
    with contextlib.suppress(ValueError):
        parsed(line)
    assert time.process_time() - began < 2.0


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name.lower() not in ("lattice", "properties", "pbc", "uid", "virial", "stress")
)
texts = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12).map(str.strip)


@settings(deadline=None)
@given(info=st.dictionaries(names, texts | st.integers(-9, 9) | st.lists(st.integers(0, 9), min_size=2), max_size=5))
def test_what_ase_writes_is_read(info):
    ase_io = pytest.importorskip("ase.io.extxyz")
    np = pytest.importorskip("numpy")
    given = {k: np.array(v) if isinstance(v, list) else v for k, v in info.items()}
    line = ase_io.key_val_dict_to_str(given)
    # what ASE itself loses: it leaves backslashes, = and commas as they are
    if any(set(v) & set("\\=,") for v in info.values() if isinstance(v, str)):
        return
    found = parsed(line).values
    for key, value in info.items():
        text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
        assert found.get(key) == text
