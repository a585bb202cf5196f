"""``fm_setup.in`` with labelled types, inactive pairs, unknown keywords, lists of a wrong length, odd numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest
from fm_text import add, setup

from hiertl_dist.errors import InputError
from hiertl_dist.io.fm_setup import read_fm_setup

NAMES = ("C1", "1", "X", "CH2", "c", "H+", "Cl-", "CO")


def basis_of(tmp_path, *changes):
    return read_fm_setup(setup(tmp_path, *changes), read_frames=False).basis


# ---- names of types


@pytest.mark.parametrize("name", NAMES)
def test_types_of_any_name(tmp_path, name):
    special = f"SPECIAL 3B S_MAXIM: SPECIFIC 1\nO{name}O{name}{name}{name} O{name} O{name} {name}{name} 3.0 3.0 3.5"
    path = setup(
        tmp_path, ("2  C  0.0  12.011", f"2  {name}  0.0  44.5"), ("2  C  C", f"2  {name}  {name}"),
        ("3  C  O", f"3  {name}  O"), add(special), add(f"EXCLUDE 4B INTERACTION: 1\nO {name} O O"),
    )  # fmt: skip
    for listed in tmp_path.glob("*.xyzf"):
        listed.write_text(re.sub("(?m)^C ", f"{name} ", listed.read_text()))
    found = read_fm_setup(path)
    assert found.basis.elements == ("O", name)
    assert found.basis.masses == {name: 44.5}
    triplet = found.basis.type_named((name, name, "O"))
    assert triplet.edge(name, name).rmax == 3.5
    assert triplet.edge(name, "O").rmax == 3.0
    assert found.basis.type_named((name, "O", "O", "O")) is None
    assert {e for f in found.frames for e in f.elements} <= {"O", name}


def test_masses_of_elements_are_not_kept(tmp_path):
    assert basis_of(tmp_path).masses == {}


def test_names_that_cannot_be_told_apart_in_special_lines(tmp_path):
    three = [("    2\n", "    3\n"), ("2  C  0.0  12.011", "2  OO  0.0  1\n3  OOO  0.0  1")]
    table = "\n".join(f"{k}  {a}  {b}  1.0  4.0  0.01  1.3  false  0 0 0" for k, (a, b) in enumerate(
        [("O", "O"), ("OO", "OO"), ("OOO", "OOO"), ("O", "OO"), ("O", "OOO"), ("OO", "OOO")], 1))  # fmt: skip
    path = setup(tmp_path, *three, add("SPECIAL 3B S_MAXIM: SPECIFIC 1\nOOOOOOOOOO OOO OOO OOOO 3 3 3"))
    text = path.read_text()
    head, _, rest = text.partition("# PAIRIDX #")
    rows = rest.splitlines()
    path.write_text("\n".join([f"{head}# PAIRIDX #{rows[0]}", table, *rows[4:]]) + "\n")
    with pytest.raises(InputError, match=r"fm_setup\.in, line \d+: 'OOOOOOOOOO' may be .* or .*names that"):
        read_fm_setup(path, read_frames=False)


# ---- inactive pairs


def test_equal_cutoffs_make_an_inactive_pair_and_a_note(tmp_path):
    found = read_fm_setup(setup(tmp_path, ("3  C  O  0.95  4.2", "3  C  O  0.3  0.3"), (" 6 4 3 -1 1", " 6 0 0")))
    assert (found.basis.pair("C", "O").rmin, found.basis.pair("C", "O").rmax) == (0.3, 0.3)
    assert "PAIRIDX: CO inactive: S_MINIM is S_MAXIM, so all their terms are zero" in found.notes


# ---- keywords


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("# USECHNS #\nfalse", "# USECHNS # on line 30, 'false' on line 31: not a keyword that is known here"),
        ("# USECHNS #\n    true   ! why not", "# USECHNS # on line 30, 'true' on line 31: not"),
        ("# SOMEKEY #", "# SOMEKEY # on line 30, without a value: not"),
        ("# SOMEKEY # # OTHER #\n1 2\n3 4\n5 6", "# SOMEKEY # on line 30, '1 2' on line 31 and 2 more rows: not"),
        ("#USECHNS#\nfalse", "# USECHNS # on line 30, 'false' on line 31: not"),
        ("# FITFOO #\nfalse", "# FITFOO # on line 30, 'false' on line 31: not"),
        ("# USECOUL #\nfalse", "# USECOUL # on line 30, 'false' on line 31: not"),
        ("# USE3BCH #\ntrue", "# USE3BCH # on line 30, 'true' on line 31: not"),
    ],
)
def test_unknown_keywords_are_noted(tmp_path, text, note):
    plain = read_fm_setup(setup(tmp_path), read_frames=False)
    found = read_fm_setup(setup(tmp_path, add(text)), read_frames=False)
    assert found.basis == plain.basis
    (own,) = set(found.notes) - set(plain.notes)
    assert own.startswith(note)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# FITFOO #\ntrue", "line 31: unknown keyword # FITFOO # is 'true': what it would fit is not known here"),
        ("# FITFOO #\nFIRST 3", "line 31: unknown keyword # FITFOO # is 'FIRST 3'"),
        ("# USECOUL #\ntrue", "line 31: unknown keyword # USECOUL # is 'true': charges"),
        ("# USEPOVR #\ntrue", "line 31: unknown keyword # USEPOVR # is 'true': overcoordination"),
        ("# SUBTFRC #\nother.txt", "line 31: unknown keyword # SUBTFRC # is 'other.txt': subtracting"),
        ("# USE3BCH #\nfalse", "line 31: USE3BCH is false, but PAIRTYP has 3-body orders"),
        ("# NFRAME #\n2", "line 30: unknown keyword # NFRAME #; did you mean # NFRAMES #"),
        ("# FITENERGY #\ntrue", "line 30: unknown keyword # FITENERGY #; did you mean # FITENER #"),
        ("# FITSTRESS #\nfalse", "line 30: unknown keyword # FITSTRESS #; did you mean # FITSTRS #"),
        ("# hierarc #\ntrue", "line 30: unknown keyword # hierarc #; did you mean # HIERARC #"),
        ("#FITENERG\ntrue", "line 30: unknown keyword # FITENERG #; did you mean # FITENER #"),
    ],
)
def test_keywords_that_would_change_the_fit_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=rf"fm_setup\.in, {message}"):
        read_fm_setup(setup(tmp_path, add(text)), read_frames=False)


def test_comments_are_comments(tmp_path):
    text = "# a word about frames\n####### TOPOLOGY #######\n# CONTROLS\n#"
    assert basis_of(tmp_path, add(text)) == basis_of(tmp_path)


# ---- lists that are longer or shorter than announced


NINE = ["CCCCCC CC CC CC", "COCCOC CO CC OC"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (add("SPECIAL 3B S_MAXIM: SPECIFIC 1\nOOOOOO OO OO OO 3 3 3\nCCCCCC CC CC CC 4 4 4"),
         r"line 32: expected a keyword: line 30 announces 1 type, a second row follows: 'CCCCCC .*'SPECIAL 3B S_MAXIM"),
        (add("EXCLUDE 3B INTERACTION: 2\nC C C\nO O O\nC O O"), "line 33: .*line 30 announces 2 types, a third row"),
        (("2  C  0.0  12.011", "2  C  0.0  12.011\n3  N  0.0  14"),
         r"line 26: .*announces 2 types \(NATMTYP\), a third row"),
        (("3  C  O", "3  N  O  1 2 3 4 f\n4  C  O"),
         r"line 30: .*announces 3 pairs \(of NATMTYP types\), a fourth row follows"),
        (("    3\n", "    3\n    4\n"), "line 8: .*line 6 announces 1 row, a second row follows: '4'"),
    ],
)  # fmt: skip
def test_one_row_more_than_announced(tmp_path, change, message):
    with pytest.raises(InputError, match=rf"fm_setup\.in, {message}"):
        read_fm_setup(setup(tmp_path, change), read_frames=False)


def test_the_tenth_of_nine(tmp_path):
    rows = "\n".join(["OOOOOO OO OO OO 6.5 6.5 6.5"] * 10)
    with pytest.raises(InputError, match=r"line 40: .*: line 30 announces 9 types, a tenth row follows: 'OOOOOO"):
        read_fm_setup(setup(tmp_path, add(f"SPECIAL 3B S_MAXIM: SPECIFIC 9\n{rows}")), read_frames=False)


# ---- numbers


@pytest.mark.parametrize("word", ["9" * 5000, "1e999", "-1e999", "nan", "inf", "²", "٣", "1_0", "0x10", "1" + "0" * 18])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    3\n", "    {}\n"), ("    2\n", "    {}\n"), (" 6 4 3 -1 1", " {} 4 3 -1 1"),
        (" 6 4 3 -1 1", " 6 {} 3 -1 1"), (" 6 4 3 -1 1", " 6 4 {} -1 1"), (" 6 4 3 -1 1", " 6 4 3 {} 1"),
        ("TERSOFF 0.5", "TERSOFF {}"),
        ("2  C  0.0", "{}  C  0.0"), ("2  C  0.0", "2  C  {}"), ("0.0  12.011", "0.0  {}"),
        ("3  C  O  0.95", "3  C  O  {}"), ("    ALL", "    FIRST {}"), ("    true   of", "    FIRST {}"),
        add("SPECIAL 3B S_MAXIM: ALL {}"), add("SPECIAL 3B S_MAXIM: SPECIFIC {}\nOOOOOO OO OO OO 3 3 3"),
        add("EXCLUDE 3B INTERACTION: {}\nC C C"),
    ],
)  # fmt: skip
def test_odd_numbers_are_refused_by_line_and_cut(tmp_path, old, new, word):
    if new == "0.0  {}" and word.startswith("1000"):
        pytest.skip("a number that a mass may be")
    with pytest.raises(InputError, match=r"fm_setup\.in(, line \d+)?: ") as caught:
        read_fm_setup(setup(tmp_path, (old, new.replace("{}", word))), read_frames=False)
    assert len(str(caught.value).partition("fm_setup.in")[2]) < 300


@pytest.mark.parametrize("change", [(" 6 4 3 -1 1", " 20000 4 3 -1 1"), (" 6 4 3 -1 1", " 6 4 11 -1 1")])
def test_orders_that_would_take_all_the_memory_are_refused(tmp_path, change):
    with pytest.raises(InputError, match=r"line 15: PAIRTYP: expected the (two|four)-body order, up to 1(0000|0), "):
        basis_of(tmp_path, change)


def test_names_of_files_that_no_system_takes(tmp_path):
    path = setup(tmp_path)
    path.write_text(path.read_text().replace("traj.xyzf", "a\0b"))
    with pytest.raises(InputError, match=r"TRJFILE: expected the name of a file, found 'a\\x00b'"):
        read_fm_setup(path)


def test_frames_of_labelled_types_are_grouped_by_composition(tmp_path):
    path = setup(
        tmp_path, ("2  C  0.0  12.011", "2  C1  0.0  12.011"), ("2  C  C", "2  C1  C1"), ("3  C  O", "3  C1  O")
    )
    for listed in tmp_path.glob("*.xyzf"):
        listed.write_text(re.sub("(?m)^C ", "C1 ", listed.read_text()))
    frames = read_fm_setup(path).frames
    assert {f.composition for f in frames} & {"C1_50-O_50", "C1", "O"}
    assert np.isfinite(frames[0].positions).all()
