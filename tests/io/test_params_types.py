"""Parameter files of labelled types, with inactive pairs, with other text in them, with odd numbers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hiertl_dist import Frame, Model
from hiertl_dist.errors import MismatchError, ParameterFileError
from hiertl_dist.frames.type_names import cluster_name
from hiertl_dist.io.params_read import read_parameters
from hiertl_dist.io.params_write import write_parameters
from hiertl_dist.model.basis import Basis
from hiertl_dist.model.blocks import columns_of
from hiertl_dist.model.parameters import Parameters, merge_parameters

if TYPE_CHECKING:
    from pathlib import Path

SMALL = """\
USECOUL: false
FITCOUL: false
USE3BCH: false
USE4BCH: false

PAIRTYP: CHEBYSHEV  1 0 0 -1 1

ATOM TYPES: 2

# TYPEIDX #	# ATM_TYP #	# ATMCHRG #	# ATMMASS #
0		O		0		15.999
1		Ti		0		47.867

ATOM PAIRS: 3

# PAIRIDX #	# ATM_TY1 #	# ATM_TY1 #	# S_MINIM #	# S_MAXIM #	# CHBDIST #	# MORSE_LAMBDA #
	0               O               O               0.2             0.3             MORSE           0.35
	1               Ti              Ti              2.5             4.3             MORSE           3
	2               O               Ti              1.5             2.8             MORSE           3

FCUT TYPE: TERSOFF 0.5

ATOM PAIR TRIPLETS: 0
ATOM PAIR QUADRUPLETS: 0

PAIR CHEBYSHEV PARAMS

PAIRTYPE PARAMS: 0 O O

  0   0.0000000000000e+00

PAIRTYPE PARAMS: 1 Ti Ti

  0   1.0000000000000e+01

PAIRTYPE PARAMS: 2 O Ti

  0   2.0000000000000e+01

PAIRMAPS: 4
0 OO
1 TiTi
2 OTi
2 TiO

ENDFILE
"""

POSITIONS = np.array([[1.0, 1.0, 1.0], [2.9, 1.0, 1.0], [4.7, 1.2, 1.0]])
ENERGY, FORCE = 11.213090132060, -29.6546624
"""kcal/mol and kcal/mol/Å (atom 1, x) of chimes_calculator for SMALL and these positions, O Ti O in a box of 20 Å."""


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Read a text after replacing parts of it, each of which must be there."""

    def read(*changes: tuple[str, str], text: str = SMALL) -> Parameters:
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / "params.txt"
        path.write_text(text, encoding="utf-8")
        return read_parameters(path)

    return read


def check_reference(found: Parameters, metal: str = "Ti") -> None:
    evaluated = Model(found).evaluate(Frame(("O", metal, "O"), POSITIONS, np.eye(3) * 20.0))[0]
    assert evaluated.energy == pytest.approx(ENERGY, abs=1e-9)
    assert evaluated.forces[0, 0] == pytest.approx(FORCE, abs=1e-6)


# ---- names of types


@pytest.mark.parametrize("name", ["C1", "1", "X", "c", "CH2", "Ow", "H+", "Cl-", "TiO", "α", "C_a"])
def test_types_of_any_name_are_read_evaluated_and_written(read: Any, name: str, tmp_path: Path) -> None:
    found = read(("Ti", name))
    check_reference(found, name)
    assert found.basis.masses == {name: 47.867}
    again = tmp_path / "again.txt"
    write_parameters(found, again)
    back = read_parameters(again)
    check_reference(back, name)
    assert (back.basis, back.digest, back.basis.masses) == (found.basis, found.digest, found.basis.masses)
    assert f"\n1\t\t{name}\t\t0\t\t47.867\n" in again.read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "why"), [("a/b", "contains '/'"), ("1.5", "reads as a number"), ("all", "meaning")])
def test_a_word_that_is_no_name_is_named_with_its_line(read: Any, name: str, why: str) -> None:
    with pytest.raises(ParameterFileError, match=rf"line 12: expected a chemical symbol or .*{name}.*{why}"):
        read(("1\t\tTi\t", f"1\t\t{name}\t"))


TYPES = ("C1", "N", "CN")


def labelled_model(types: tuple[str, ...] = TYPES, seed: int = 0) -> Parameters:
    """Coefficients of 2, 3 and 4 bodies, cutoffs of single types among them."""
    a, b, last = types[0], types[1], types[-1]
    names = [cluster_name((x, y)) for i, x in enumerate(types) for y in types[i:]]
    pairs = {n: {"rmin": 0.9, "rmax": 5.0 + 0.1 * k, "lambda": 1.2 + 0.1 * k} for k, n in enumerate(names)}
    table = {
        "elements": list(types), "orders": [4, 3, 2], "pairs": pairs, "three_body": {"rmax": 4.7},
        "four_body": {"rmax": 4.4}, "masses": {a: 12.5},
        "types": {cluster_name((a, a, b)): {"order": 2, "rmax": {cluster_name((a, b)): 3.9}}},
        "exclude": [cluster_name((last,) * body) for body in (1, 2, 4)],
    }  # fmt: skip
    basis = Basis.from_dict(table)
    values = np.random.default_rng(seed).standard_normal(len(columns_of(basis)))
    return Parameters(basis, values, coverage={f"{cluster_name((a, b))}:{cluster_name((a, a))}": (1.0, 4.0)})


@pytest.mark.parametrize("types", [TYPES, ("1", "2", "N"), ("C1", "C2", "C3"), ("Cl-", "H+", "O"), ("X", "Ow", "c")])
def test_models_of_labelled_types_read_back_to_the_bit(types: tuple[str, ...], tmp_path: Path) -> None:
    model = labelled_model(types)
    write_parameters(model, tmp_path / "params.txt")
    found = read_parameters(tmp_path / "params.txt")
    assert found.basis == model.basis
    assert found.as_dict() == model.as_dict()
    assert found.coverage == model.coverage
    assert found.basis.masses == model.basis.masses
    assert found.notes == ()


def test_names_that_run_together_to_the_same_word_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ParameterFileError, match=r"calls both .*-.* and .*-.* '1111?', as it runs names together"):
        write_parameters(labelled_model(("1", "11", "111")), tmp_path / "params.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_special_line_whose_pairs_may_be_two_is_refused(read: Any) -> None:
    special = "SPECIAL 3B S_MAXIM: SPECIFIC 1\nOOOOOOOOOOOO OOOO OOOO OOOO 3 3 3\n"
    changes = (
        ("ATOM TYPES: 2", "ATOM TYPES: 3"),
        ("1\t\tTi\t\t0\t\t47.867\n", "1\t\tOO\t\t0\t\t1\n2\t\tOOO\t\t0\t\t1\n"),
        ("\nATOM PAIR TRIPLETS", f"\n{special}ATOM PAIR TRIPLETS"),
    )
    with pytest.raises(ParameterFileError, match=r"line 25: expected a pair of O OO OOO, .* O-OOO or OO-OO"):
        read(*changes)


def test_an_unknown_mass_is_zero_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "params.txt"
    write_parameters(labelled_model(), path)
    text = path.read_text()
    assert "! No mass is known of CN: 0 stands for it" in text
    assert "\n0\t\tC1\t\t0\t\t12.5\n" in text
    assert "\n2\t\tCN\t\t0\t\t0\n" in text


def test_masses_of_isotopes_are_kept_and_merged(read: Any) -> None:
    heavy = read(("15.999", "17.999"))
    assert heavy.basis.masses == {"O": 17.999}
    part = heavy.restricted({"O"})
    rest = read().restricted({"Ti", "OTi"})
    assert merge_parameters([rest, part]).basis.masses == {"O": 17.999}
    other = replace(rest, basis=replace(rest.basis, masses={"O": 18.5}), source="other")
    with pytest.raises(MismatchError, match=r"mass of O \(u\): other has 18.5, .* has 17.999"):
        merge_parameters([other, part])


# ---- inactive pairs


@pytest.mark.parametrize("cutoff", ["TERSOFF 0.5", "CUBIC", "TERSOFF 1"])
@pytest.mark.parametrize("transform", ["MORSE           0.35", "INVRSE_R", "DEFAULT"])
def test_equal_cutoffs_make_an_inactive_pair(read: Any, cutoff: str, transform: str, tmp_path: Path) -> None:
    changes = (
        ("0.2             0.3             MORSE           0.35", f"0.3             0.3             {transform}"),
        ("TERSOFF 0.5", cutoff), ("  0   0.0000000000000e+00", "  0   5.0"),
    )  # fmt: skip
    found = read(*changes)
    assert (found.basis.pair("O", "O").rmin, found.basis.pair("O", "O").rmax) == (0.3, 0.3)
    without = read(*changes[:2])
    frame = Frame(("O", "Ti", "O"), POSITIONS, np.eye(3) * 20.0)
    assert Model(found).evaluate(frame)[0].energy == Model(without).evaluate(frame)[0].energy
    if cutoff == "TERSOFF 0.5":
        check_reference(found)
    write_parameters(found, tmp_path / "again.txt")
    assert read_parameters(tmp_path / "again.txt").digest == found.digest


# ---- text that is none of the format's


@pytest.mark.parametrize(
    "head",
    [
        "False\n",
        "\n\n  False\n\n",
        "srun: job 123 queued and waiting for resources\nsrun\n",
        "[node17:04312] mca_base_component: 3 warnings\n4 processes\n2024-05-01 12:00:01 start\n",
        "/opt/chimes_lsq.py:33: RuntimeWarning: overflow encountered\n  x = y\nWARNING: 2 of 4\n",
        "USEFOO: false\n",
        "\ufeff",
    ],
)
def test_captured_text_at_the_head_is_passed_over(read: Any, head: str) -> None:
    found = read(text=head + SMALL)
    check_reference(found)
    first = head.strip("\ufeff\n ").partition("\n")[0].strip()
    if first:
        (note,) = found.notes
        assert re.search(r"params\.txt: passed over lines that are none of a parameter file: line \d+ '", note)
        assert first[:40] in note


@pytest.mark.parametrize(
    "place", ["\nATOM TYPES: 2", "\nATOM PAIRS: 3", "\nFCUT TYPE", "\nPAIRTYPE PARAMS: 1", "\nENDFILE"]
)
def test_captured_text_between_sections_is_passed_over(read: Any, place: str) -> None:
    found = read((place, f"\nsrun: launch succeeded{place}"))
    check_reference(found)
    assert "'srun: launch succeeded'" in found.notes[0]


def test_a_note_shows_a_few_lines_and_counts_the_others(read: Any) -> None:
    (note,) = read(text="".join(f"line {i} of a log {'x' * 100}\n" for i in range(30)) + SMALL).notes
    assert note.endswith(", 25 more")
    assert len(note) < 700


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("\nFCUT TYPE", "USEFOO: true"), ("\nFCUT TYPE", "fcut type: CUBIC"), ("\nFCUT TYPE", "FCUT TYPE CUBIC"),
        ("USECOUL: false", "usecoul: false"), ("USECOUL: false", "USECOUL false"), ("USECOUL: false", "PAIR FOO: 3"),
        ("\nFCUT TYPE", "Pair Chebyshev Penalty Dist: 0.02"), ("\nFCUT TYPE", "SPECIAL 2B S_MAXIM: ALL 3"),
        ("\nENDFILE", "ENERGY OFFSET 1 -3.0"), ("\nENDFILE", "NO ENERGY OFFSET: 2"), ("\nENDFILE", "endfile"),
        ("\nFCUT TYPE", "  0   1.0"), ("\nFCUT TYPE", "OO 4.0 3.0"), ("\nENDFILE", "EXCLD2B 0"),
    ],
)  # fmt: skip
def test_what_looks_like_the_format_is_not_passed_over(read: Any, place: str, line: str) -> None:
    with pytest.raises(ParameterFileError, match=r"params\.txt, line \d+: expected .*found "):
        read((place, f"\n{line}\n{place}"))


def test_a_file_of_another_kind_says_so(read: Any) -> None:
    with pytest.raises(ParameterFileError, match="line 1: expected a ChIMES parameter file, with lines such as"):
        read(text="0.1 0.2 0.3\n0.4 0.5 0.6\n")


def test_tabulated_pairs_are_refused_by_name(read: Any) -> None:
    with pytest.raises(ParameterFileError, match=r"line 28: .*tabulated pairs are not supported"):
        read(("PAIRTYPE PARAMS: 0 O O", "PAIRTYPE PARAMS: 0 O O TABULATED table.dat"))


# ---- lists longer than announced


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ATOM TYPES: 2", "ATOM TYPES: 1", "line 8 announces 1 atom types, a second row follows"),
        ("ATOM PAIRS: 3", "ATOM PAIRS: 2", "line 14 announces 2 pairs, a third row follows"),
        ("PAIRMAPS: 4", "PAIRMAPS: 3", "line 40 announces 3 lines, a fourth row follows"),
        ("ATOM PAIR TRIPLETS: 0",
         "SPECIAL 3B S_MAXIM: SPECIFIC 1\nOOOOOO OO OO OO 3 3 3\nTiTiTiTiTiTi TiTi TiTi TiTi 3 3 3\n",
         "line 23 announces 1 3-body types, a second row follows"),
    ],
)  # fmt: skip
def test_one_row_more_than_announced(read: Any, old: str, new: str, message: str) -> None:
    with pytest.raises(ParameterFileError, match=rf"params\.txt, line \d+: expected a keyword: {message}, found '"):
        read((old, new))


# ---- numbers


NUMBERS = ("9" * 5000, "1e999", "-1e999", "nan", "inf", "²", "٣", "1_0", "0x10", "", "--1", "1" + "0" * 18)


@pytest.mark.parametrize("word", [w for w in NUMBERS if w])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("CHEBYSHEV  1 0", "CHEBYSHEV  {} 0"), ("ATOM TYPES: 2", "ATOM TYPES: {}"), ("1\t\tTi\t", "{}\t\tTi\t"),
        ("47.867", "{}"), ("2.5             4.3", "{}             4.3"), ("TERSOFF 0.5", "TERSOFF {}"),
        ("  0   1.0000000000000e+01", "  {}   1.0"), ("  0   1.0000000000000e+01", "  0   {}"),
        ("PAIRMAPS: 4", "PAIRMAPS: {}"), ("0 OO", "{} OO"),
    ],
)  # fmt: skip
def test_odd_numbers_are_refused_by_line_and_cut(read: Any, old: str, new: str, word: str) -> None:
    if word.startswith("1000") and new in ("{}", "  0   {}"):
        assert np.isfinite(read((old, new.format(word))).coefficients).all()
        return
    with pytest.raises(ParameterFileError, match=r"params\.txt(, line \d+)?: ") as caught:
        read((old, new.format(word)))
    assert len(str(caught.value).partition("params.txt")[2]) < 450


def test_orders_that_would_take_all_the_memory_are_refused(read: Any) -> None:
    for orders in ("1000000000 0 0", "1 1000000 0", "1 0 1000"):
        with pytest.raises(ParameterFileError, match="line 6: expected orders n2, n3, n4 up to 10000, 100 and 10"):
            read(("CHEBYSHEV  1 0 0", f"CHEBYSHEV  {orders}"))
