"""Reading parameter files: every accepted variant and every refusal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hiertl_dist.errors import ParameterFileError
from hiertl_dist.io.params_read import read_parameters
from hiertl_dist.model.basis import Cutoff, Edge, Pair
from hiertl_dist.model.parameters import Parameters, Penalty

SMALL = """\
! Date  2022-03-19
!
USECOUL: false
FITCOUL: false
USEPOVR: false
FITPOVR: false
USE3BCH: true
USE4BCH: false
EXCL1B:
EXCL2B:

PAIRTYP: CHEBYSHEV  3 2 0 -1 1

ATOM TYPES: 2

# TYPEIDX #	# ATM_TYP #	# ATMCHRG #	# ATMMASS #
0		N		0		14.0067
1		C		0.0		12.0107

ATOM PAIRS: 3

# PAIRIDX #	# ATM_TY1 #	# ATM_TY1 #	# S_MINIM #	# S_MAXIM #	# S_DELTA #	# CHBDIST #	# MORSE_LAMBDA #
	0 N N 0.86 8 0.01 MORSE 1.09
	1 C C 0.98 5 0.01 MORSE 1.4
	2 N C 0.9 5 0.01 MORSE 1.34

FCUT TYPE: TERSOFF 0.75

PAIR CHEBYSHEV PENALTY DIST:    0.02
PAIR CHEBYSHEV PENALTY SCALING: 1000000.0

SPECIAL 3B S_MAXIM: SPECIFIC 1
NCNNNC NC NC NN 4.50000 4.50000 4.00000

ATOM PAIR TRIPLETS: 4
ATOM PAIR QUADRUPLETS: 0

PAIR CHEBYSHEV PARAMS

PAIRTYPE PARAMS: 0 N N

0 1.5
2 -2.5   ! the one between is zero

PAIRTYPE PARAMS: 2 C N

  0   1.0000000000000e+00
  1   2.0000000000000e+00
  2   3.0000000000000e+00

TRIPLET CHEBYSHEV PARAMS

TRIPLETTYPE PARAMS:
   INDEX: 0 ATOMS: N N N
   PAIRS: NN NN NN EXCLUDED:

TRIPLETTYPE PARAMS:
   INDEX: 1 ATOMS: N C N
PAIRS: NC NN CN UNIQUE: -1 TOTAL: 4
     index  |  powers  |  equiv index  |  param index  |       parameter
   ----------------------------------------------------------------------------
0 1 0 1 0 0 5.0
1 1 1 0 1 1 4.0
2 0 1 1 1 1 4.0
3 1 1 1 3 2 6.0

TRIPLETTYPE PARAMS:
   INDEX: 2 ATOMS: N C C
   PAIRS: NC NC CC UNIQUE: 3 TOTAL: 0
     index  |  powers  |  equiv index  |  param index  |       parameter
   ----------------------------------------------------------------------------

TRIPLETTYPE PARAMS:
   INDEX: 3 ATOMS: C C C
   PAIRS: CC CC CC EXCLUDED:


PAIRMAPS: 4
1 CC
2 CN
2 NC
0 NN

NO ENERGY OFFSETS:  2
ENERGY OFFSET 1 0.0
ENERGY OFFSET 2 -61.5
ENDFILE
"""


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Read a text after replacing parts of it, each of which must be there once."""

    def read(*changes: tuple[str, str], text: str = SMALL) -> Parameters:
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = tmp_path / "params.txt"
        path.write_text(text)
        return read_parameters(path)

    return read


def names(parameters: Parameters) -> list[str]:
    return [t.name for t in parameters.basis.types]


def test_reads_a_small_file_with_atoms_out_of_order(read: Any) -> None:
    found = read()
    assert found.basis.elements == ("N", "C")
    assert names(found) == ["NN", "CN", "CNN", "CCN", "N", "C"]
    assert found.basis.cutoff == Cutoff("TERSOFF", 0.75)
    assert found.basis.pair("C", "N") == Pair(("C", "N"), 0.9, 5.0, "MORSE", 1.34)
    assert found.penalty == Penalty(1.0e6, 0.02)
    assert found.coverage == {}
    cnn, ccn = found.basis.type_named("CNN"), found.basis.type_named("CCN")
    assert cnn is not None
    assert cnn.edges == (Edge(("C", "N"), 0.9, 4.5), Edge(("N", "N"), 0.86, 4.0))
    assert ccn is not None
    assert ccn.edges == (Edge(("C", "C"), 0.98, 5.0), Edge(("C", "N"), 0.9, 5.0))
    c, n, cn, cnn_, ccn_ = ("C",), ("N",), ("C", "N"), ("C", "N", "N"), ("C", "C", "N")
    assert found.as_dict() == {
        ("N", ("N", "N"), (1,)): 1.5, ("N", ("N", "N"), (2,)): 0.0, ("N", ("N", "N"), (3,)): -2.5,
        ("CN", cn, (1,)): 1.0, ("CN", cn, (2,)): 2.0, ("CN", cn, (3,)): 3.0,
        # N C N with powers 1 on both C–N edges is C N N with 1 1 0.
        ("CN", cnn_, (0, 1, 1)): 4.0, ("CN", cnn_, (1, 1, 0)): 5.0, ("CN", cnn_, (1, 1, 1)): 6.0,
        ("CN", ccn_, (0, 1, 1)): 0.0, ("CN", ccn_, (1, 0, 1)): 0.0, ("CN", ccn_, (1, 1, 1)): 0.0,
        ("N", n, ()): 0.0, ("C", c, ()): -61.5,
    }  # fmt: skip


DELTA = [
    ("# S_DELTA #\t", ""),
    ("0.86 8 0.01 ", "0.86 8 "),
    ("0.98 5 0.01 ", "0.98 5 "),
    ("0.9 5 0.01 ", "0.9 5 "),
]


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        (DELTA, lambda p: p.basis.pair("N", "N").morse_lambda == 1.09),
        ([("# PAIRIDX #", "!# PAIRIDX #")], lambda p: len(p.basis.pairs) == 3),
        ([("USEPOVR: false\nFITPOVR: false\n", "")], lambda p: len(p.columns) == 14),
        ([("EXCL1B:", "EXCLD1B: false")], lambda p: "N" in names(p)),
        ([("EXCL1B:", "EXCLD1B: 0")], lambda p: "N" not in names(p) and "C" in names(p)),
        ([("TERSOFF 0.75", "CUBIC")], lambda p: p.basis.cutoff == Cutoff()),
        ([("FCUT TYPE: TERSOFF 0.75\n", "")], lambda p: p.basis.cutoff == Cutoff()),
        ([("PAIR CHEBYSHEV PENALTY SCALING: 1000000.0\n", "")],
         lambda p: p.penalty == Penalty(1.0e4, 0.02)),
        ([("PAIR CHEBYSHEV PENALTY DIST:    0.02\n", "")], lambda p: p.penalty == Penalty(1.0e6, 0.01)),
        ([("SCALING: 1000000.0", "SCALING: 1E5\nPAIR CHEBYSHEV CUBIC SCALING: 1.0")],
         lambda p: p.penalty.scale == 1.0e5),
        ([("SPECIFIC 1\nNCNNNC NC NC NN 4.50000 4.50000 4.00000", "ALL 4.25")],
         lambda p: {e.rmax for t in p.basis.types if t.body == 3 for e in t.edges} == {4.25}),
        ([("S_MAXIM: SPECIFIC 1\nNCNNNC NC NC NN 4.50000 4.50000 4.00000",
           "S_MINIM: SPECIFIC 1\nNCNNNC NN NC NC 1.25 1.5 1.5")],
         lambda p: [e.rmin for e in p.basis.type_named("CNN").edges] == [1.5, 1.25]),
        ([("SPECIAL 3B S_MAXIM: SPECIFIC 1\nNCNNNC NC NC NN 4.50000 4.50000 4.00000\n", "")],
         lambda p: p.basis.type_named("CNN").edge("N", "N").rmax == 8.0),
        ([("-1 1\n", "\n")], lambda p: len(p.columns) == 14),
        ([("3 2 0 -1 1", "3 2 -1 1")], lambda p: len(p.columns) == 14),
        ([("NO ENERGY OFFSETS:  2\nENERGY OFFSET 1 0.0\nENERGY OFFSET 2 -61.5\n", "")],
         lambda p: names(p) == ["NN", "CN", "CNN", "CCN"]),
        ([("OFFSETS:  2\nENERGY OFFSET 1 0.0\nENERGY OFFSET 2 -61.5\n", "OFFSETS:  0\n")],
         lambda p: names(p) == ["NN", "CN", "CNN", "CCN"]),
        ([("ENDFILE", "! a comment\nENDFILE\nwhatever follows")], lambda p: len(p.columns) == 14),
        ([("ATOM PAIR QUADRUPLETS: 0\n", "")], lambda p: len(p.columns) == 14),
        ([("3 1 1 1 3 2 6.0", "3 0 0 0 3 2 0.0")],
         lambda p: p.as_dict()["CN", ("C", "N", "N"), (1, 1, 1)] == 0.0),
        ([("! Date  2022", "! hiertl_dist EXCLUDED: N\n! Date  2022")], lambda p: "N" not in names(p)),
        ([("! Date", "! hiertl_dist ORDERS: NC 3 CNN 2\n! hiertl_dist COVERAGE: NC NC 1 2.5\n! Date")],
         lambda p: p.coverage == {"CN:CN": (1.0, 2.5)}),
    ],
)  # fmt: skip
def test_accepts(read: Any, changes: list[tuple[str, str]], check: Any) -> None:
    assert check(read(*changes))


@pytest.mark.parametrize("word", ["INVRSE_R", "DEFAULT", "NONE"])
def test_accepts_each_transform_for_a_pair_of_its_own(read: Any, word: str) -> None:
    pair = read(("0.01 MORSE 1.4", f"0.01 {word}")).basis.pair("C", "C")
    assert (pair.transform, pair.morse_lambda) == ("DEFAULT" if word == "NONE" else word, None)


def test_a_lower_order_of_one_type_is_read_from_a_comment(read: Any) -> None:
    found = read(("! Date", "! hiertl_dist ORDERS: CN 2\n! Date"), ("  2   3.0000000000000e+00", "  2   0.0"))
    assert [c.powers for c in found.columns if c.elements == ("C", "N")] == [(1,), (2,)]


def test_two_bodies_alone(read: Any) -> None:
    start, stop = SMALL.index("TRIPLET CHEBYSHEV"), SMALL.index("PAIRMAPS")
    text = (SMALL[:start] + SMALL[stop:]).replace("3 2 0 -1 1", "3")
    assert names(read(text=text)) == ["NN", "CN", "N", "C"]


REFUSALS = [
    ("USECOUL: false", "USECOUL: true", "line 3: expected 'USECOUL: false' .charges.*found 'USECOUL: true'"),
    ("FITCOUL: false", "FITCOUL: true", "charges"),
    ("USEPOVR: false", "USEPOVR: true", "overbonding"),
    ("FITPOVR: false", "FITPOVR: true", "overbonding"),
    ("C\t\t0.0\t", "C\t\t0.3\t", "line 18: expected no charge on C .*, found 0.3"),
    ("USE3BCH: true", "USE3BCH: false", "no 3-body parameters, as USE3BCH is false, found N C N"),
    ("USE3BCH: true", "USE3BCH: maybe", "true or false"),
    ("-1 1", "0 1", "expected the range -1 1 .*found 0 1"),
    ("3 2 0 -1 1", "-1 1", "1 to 3 numbers of orders"),
    ("3 2 0 -1 1", "3 x 0 -1 1", "an integer, found 'x'"),
    ("3 2 0 -1 1", "3 999 0 -1 1", "up to 10000, 100 and 10, found 3 999 0"),
    ("PAIRTYP: CHEBYSHEV", "PAIRTYP: SPLINE", "PAIRTYP: CHEBYSHEV"),
    ("PAIRTYP: CHEBYSHEV  3 2 0 -1 1\n", "", "a line 'PAIRTYP:' before ENDFILE, found none"),
    ("FCUT TYPE: TERSOFF 0.75", "FCUT TYPE: TERSOFF 1.5", "line 27: expected FCUT TYPE: CUBIC"),
    ("FCUT TYPE: TERSOFF 0.75", "FCUT TYPE: COSINE", "FCUT TYPE: CUBIC"),
    ("FCUT TYPE: TERSOFF 0.75", "FCUT TYPE: CUBIC\nFCUT TYPE: CUBIC", "one line 'FCUT TYPE:' .*line 27.*found another"),
    ("ATOM TYPES: 2\n", "", "'ATOM TYPES: n' before this line"),
    ("1\t\tC\t\t0.0", "2\t\tC\t\t0.0", "the atom type 1, found 2"),
    ("1\t\tC\t\t0.0\t\t12.0107", "1\t\tC\t\t0.0", "4 columns .*found 3"),
    ("0\t\tN", "0\t\tX", "a pair of X C, found 'NC'|each pair of X C once"),
    ("1 C C 0.98", "5 C C 0.98", "the atom pair 1, found 5"),
    ("1 C C 0.98", "1 C N 0.98", "each pair of N C once"),
    ("0.98 5 0.01 ", "0.98 0.5 0.01 ", "line 24: .*0 ≤ rmin ≤ rmax"),
    ("MORSE 1.4\n", "MORSE\n", "λ of the Morse transform"),
    ("MORSE 1.4\n", "MORSE -1\n", "lambda > 0"),
    ("0.01 MORSE 1.4\n", "MORSE 1.4\n", "expected a transform of MORSE.*found 1.4"),
    ("MORSE 1.4\n", "WAVY 1.4\n", "found WAVY"),
    ("# S_DELTA #", "# USEOVRP #", "columns S_MINIM S_MAXIM"),
    ("DIST:    0.02", "DIST:    far", "the distance of the penalty, a finite number, found 'far'"),
    ("SCALING: 1000000.0", "SCALING: inf", "a finite number, found 'inf'"),
    ("SCALING: 1000000.0", "SCALING: 1\nPAIR CHEBYSHEV CUBIC SCALING: 2", "CUBIC SCALING: 1'"),
    ("S_MAXIM: SPECIFIC 1", "S_MEDIUM: SPECIFIC 1", "SPECIAL 3B|4B S_MAXIM"),
    ("4.50000 4.50000 4.00000", "4.50000 4.40000 4.00000", "one cutoff for the NC edges of NCNNNC, 4.5, found 4.4"),
    ("4.50000 4.50000 4.00000", "4.50000 4.50000", "7 columns"),
    ("4.50000 4.50000 4.00000", "4.50000 4.50000 0.2", "CNN, edge NN: expected 0 ≤ rmin ≤ rmax"),
    ("NCNNNC NC NC NN", "NCNNNC NC NC CC", "the 3 pairs of one 3-body cluster"),
    ("NCNNNC NC NC NN", "NCNCNN NC NN NN", "the 3 pairs of one 3-body cluster"),
    ("NCNNNC NC NC NN 4.50000 4.50000 4.00000", "OCCCOC OC OC CC 4.5 4.5 4", "a pair of N C, found 'OC'"),
    ("NCNNNC NC NC NN", "NCNNNC NCN NC NN", "a pair of N C, found 'NCN'"),
    ("SPECIFIC 1\n", "SPECIFIC 2\nNCNNNC NC NC NN 4.5 4.5 4.1\n", "as on line 33, 4.1 for NN, found 4.0"),
    ("TRIPLETS: 4", "TRIPLETS: 5", "'ATOM PAIR TRIPLETS: 4', as there are sections, found 5"),
    ("PARAMS: 0 N N", "PARAMS: 0 C C", "a pair of the header .0 N N, 1 C C, 2 N C., found 0 C C"),
    ("PARAMS: 0 N N", "PARAMS: 2 N C", "one section for the pair CN, found another"),
    ("2 -2.5   !", "3 -2.5   !", "line 43: expected an index of 0 … 2 .*, found 3"),
    ("2 -2.5   !", "0 -2.5   !", "the value 1.5 of an equivalent row .*found -2.5"),
    ("2 -2.5   !", "2 -2.5 7 !", "2 columns"),
    ("2 -2.5   !", "2 nan !", "a finite number, found 'nan'"),
    ("INDEX: 1 ATOMS: N C N", "INDEX: 1 ATOMS: N C", "'INDEX: i ATOMS:' and 3 symbols"),
    ("PAIRS: NC NN CN", "PAIRS: NC CN NN", "line 59: expected NN as the pair 1-3 of N C N, found CN"),
    ("PAIRS: NC NN CN", "PAIRS: NC NN", "found UNIQUE:"),
    ("UNIQUE: -1 TOTAL: 4", "UNIQUE: -1", "'UNIQUE: u TOTAL: n' or 'EXCLUDED:'"),
    ("UNIQUE: -1 TOTAL: 4", "UNIQUE: -1 TOTAL: 5", "found 'TRIPLETTYPE PARAMS:'|7 columns"),
    ("UNIQUE: -1 TOTAL: 4", "UNIQUE: -1 TOTAL: 3", "3 rows .TOTAL. for the cluster N C N, found another row"),
    ("2 0 1 1 1 1 4.0", "2 0 1 1 1 1 4.5", "line 64: expected the value 4.0 of an equivalent row .*found 4.5"),
    ("3 1 1 1 3 2 6.0", "3 1 1 2 3 2 6.0", "powers of 0 … 1 for CNN .*, found 1 1 2"),
    ("3 1 1 1 3 2 6.0", "3 1 1 -1 3 2 6.0", "found 1 1 -1"),
    ("3 1 1 1 3 2 6.0", "3 1 0 0 3 2 6.0", "that touch every atom, or the value 0, found 1 0 0 with 6.0"),
    (
        "INDEX: 3 ATOMS: C C C\n   PAIRS: CC CC CC",
        "INDEX: 3 ATOMS: N C C\n   PAIRS: NC NC CC",
        "each cluster of N C once",
    ),
    ("2 CN\n", "", "an integer, found 'NO'|2 columns"),
    ("OFFSETS:  2", "OFFSETS:  1", "2 energy offsets, one for each atom type, or 0 for none, found 1"),
    ("OFFSETS:  2", "OFFSETS:  0", "line 84 announces 0 energy offsets, a first row follows"),
    ("OFFSET 2 -61.5", "OFFSET 1 -61.5", "each index of 1 … 2 once, found 1"),
    ("ENERGY OFFSET 2", "ENERGY OFSET 2", "'ENERGY OFFSET index value'"),
    ("ENDFILE\n", "", "expected ENDFILE, found the end of the file: it is truncated"),
    ("ENERGY OFFSET 2 -61.5\nENDFILE\n", "", "an energy offset, found the end of the file"),
    ("USECOUL: false", "USECOUL: false\nSURPRISE: 1", "a keyword of a ChIMES parameter file, found 'SURPRISE: 1'"),
    ("EXCL1B:", "EXCLD1B: 1", "zero, as C is marked as left out .*found -61.5"),
    ("EXCL1B:", "EXCLD1B: 2", "1-body types of 0 … 1, found 2"),
    ("EXCL2B:", "EXCLD2B: 2", "zero, as CN is marked"),
    (
        "! Date",
        "! hiertl_dist ORDERS: CN 2\n! Date",
        "zero, as CN is marked as left out or of a lower order, found 3.0",
    ),
    ("! Date", "! hiertl_dist ORDERS: CN 4\n! Date", "an order of 1 to 3 .*found 4"),
    ("! Date", "! hiertl_dist ORDERS: CC 2\n! Date", "ORDERS of types that the file has, found CC"),
    ("! Date", "! hiertl_dist ORDERS: CO 2\n! Date", "a cluster of N C, found 'CO'"),
    ("! Date", "! hiertl_dist ORDERS: CN\n! Date", "each with its order"),
    ("! Date", "! hiertl_dist EXCLUDED: CNN\n! Date", "CNN to be EXCLUDED:"),
    ("! Date", "! hiertl_dist COVERAGE: CN CN 1\n! Date", "block, pair and two distances"),
    ("! Date", "! hiertl_dist COVERAGE: C C 1 2\n! Date", "block, pair and two distances"),
    ("! Date", "! hiertl_dist COLOUR: 1\n! Date", "line 1: expected a comment of ORDERS:"),
]


@pytest.mark.parametrize(("old", "new", "message"), REFUSALS)
def test_refuses(read: Any, old: str, new: str, message: str) -> None:
    with pytest.raises(ParameterFileError, match=rf"params\.txt.*({message})") as caught:
        read((old, new))
    assert "params.txt" in str(caught.value)


def test_refuses_parameters_of_a_body_without_orders(read: Any) -> None:
    with pytest.raises(ParameterFileError, match=r"its order is 0.*, found 1 0 1"):
        read(("3 2 0 -1 1", "3 0 0 -1 1"))


def test_refuses_a_file_without_one_of_its_pairs(read: Any) -> None:
    line = next(s for s in SMALL.splitlines(keepends=True) if s.startswith("\t2 "))
    with pytest.raises(ParameterFileError, match=r"pairs: missing CN|a pair of the header"):
        read((line, ""), ("ATOM PAIRS: 3", "ATOM PAIRS: 2"))


@pytest.mark.parametrize("junk", ["", "x", "-7", "999", "nan", "CC", "! hiertl_dist "])
def test_damage_never_raises_anything_else(junk: str, tmp_path: Path) -> None:
    """Each word in turn is replaced: the file is read, or refused with the right exception."""
    path = tmp_path / "params.txt"
    refused = 0
    for found in re.finditer(r"\S+", SMALL):
        path.write_text(SMALL[: found.start()] + junk + SMALL[found.end() :])
        try:
            read_parameters(path)
        except ParameterFileError as error:
            refused += str(path) in str(error)
    assert refused > 60


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.txt"
    lines = SMALL.splitlines(keepends=True)
    for count in range(len(lines)):
        path.write_text("".join(lines[:count]))
        with pytest.raises(ParameterFileError, match=r"params\.txt"):
            read_parameters(path)
