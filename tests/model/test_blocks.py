"""Blocks, columns and bases: numbers, labels and order of columns, tables, and what a bad basis is told."""

from __future__ import annotations

import copy
import itertools
import pickle
import re

import pytest
from reference import EDGES, basis_of, lsq_columns, own_cutoffs, permuted_powers, raw_powers

from hiertl_dist import Basis, ClusterType, Cutoff, Edge, Pair, blocks_of, columns_of, lsq_order
from hiertl_dist.errors import BasisError
from hiertl_dist.model.blocks import Column, n_type_columns


def cluster_type(elements, order):
    """A cluster type with some cutoffs."""
    pairs = sorted({tuple(sorted(p)) for p in itertools.combinations(elements, 2)})
    return ClusterType(tuple(elements), order, tuple(Edge(p, 0.5, 3.0) for p in pairs))


@pytest.fixture(scope="module")
def basis():
    """Four elements, not in alphabetical order."""
    return basis_of("OCHN", (3, 4, 3))


class TestCounts:
    """Numbers of columns, as chimes_lsq has them."""

    @pytest.mark.parametrize(
        ("elements", "order", "columns"),
        [
            ("CC", 25, 25), ("CN", 12, 12), ("C", 1, 1),
            ("AAA", 10, 210), ("AAB", 10, 531), ("ABB", 10, 531), ("ABC", 10, 972),
            ("AAA", 8, 112), ("AAB", 8, 273), ("ABC", 8, 490),
            ("AAAA", 4, 256), ("AAAB", 4, 760), ("AABB", 4, 1140), ("AABC", 4, 2043), ("ABBC", 4, 2043),
            ("ABCD", 4, 3861),
            ("AAAA", 3, 56), ("AAAB", 3, 140), ("ABBB", 3, 140), ("AABB", 3, 210), ("ABCC", 3, 350),
            ("ABCD", 3, 636),
        ],
    )  # fmt: skip
    def test_columns_of_a_cluster_type(self, elements, order, columns):
        assert n_type_columns(cluster_type(elements, order)) == columns

    @pytest.mark.parametrize(("elements", "columns"), [("C", 492), ("CN", 4731), ("CNO", 19818), ("CNOH", 56715)])
    def test_columns_of_all_blocks_at_orders_25_10_4(self, elements, columns):
        blocks = blocks_of(basis_of(elements, (25, 10, 4)))
        assert sum(b.n_columns for b in blocks) == columns
        assert len(blocks) == 2 ** len(elements) - 1

    def test_blocks_of_equal_size_have_equally_many_columns(self):
        blocks = blocks_of(basis_of("CNOH", (25, 10, 4)))
        counts = {(len(b.elements), b.n_columns) for b in blocks}
        assert counts == {(1, 492), (2, 3747), (3, 7101), (4, 3861)}

    def test_order_zero_switches_a_body_off(self):
        assert {t.body for t in basis_of("CN", (5, 0, 2)).types} == {1, 2, 4}

    def test_four_bodies_need_not_be_connected(self):
        assert (1, 0, 0, 0, 0, 1) in raw_powers("ABCD", 2)
        basis = basis_of("CNOH", (0, 0, 2))
        powers = [c.powers for c in columns_of(basis) if c.elements == ("C", "H", "N", "O")]
        assert (1, 0, 0, 0, 0, 1) in powers
        assert (0, 0, 0, 1, 1, 1) not in powers


class TestColumns:
    """Labels and order of columns."""

    def test_a_label_has_the_smallest_powers_of_its_orbit_and_sorted_elements(self, basis):
        many = [c for c in columns_of(basis) if len(c.elements) > 2]
        for column in many:
            assert column.powers == min(permuted_powers(column.elements, column.powers))
            assert column.elements == tuple(sorted(column.elements))
            assert column.block == "".join(sorted(set(column.elements)))
        assert any(column.powers != tuple(sorted(column.powers)) for column in many)

    def test_labels_are_distinct_and_cover_every_allowed_set(self, basis):
        columns = columns_of(basis)
        assert len(set(columns)) == len(columns) == sum(b.n_columns for b in blocks_of(basis))
        for kind in (t for t in basis.types if t.body > 1):
            powers = [c.powers for c in columns if c.elements == kind.elements]
            covered = set().union(*(permuted_powers(kind.elements, p) for p in powers))
            assert covered == set(raw_powers(kind.elements, kind.order))
            assert all(len(p) == len(EDGES[kind.body]) for p in powers)

    def test_blocks_come_smallest_first_with_their_one_body_column_last(self, basis):
        blocks = blocks_of(basis)
        assert [b.name for b in blocks] == [
            "O", "C", "H", "N", "CO", "HO", "NO", "CH", "CN", "HN", "CHO", "CNO", "HNO", "CHN", "CHNO",
        ]  # fmt: skip
        assert [b.columns[-1] for b in blocks[:4]] == [Column(e, (e,), ()) for e in "OCHN"]
        assert all(c.powers for b in blocks[4:] for c in b.columns)
        assert columns_of(basis) == tuple(c for b in blocks for c in b.columns)

    def test_blocks_by_name_keep_the_order_of_the_basis(self, basis):
        assert [b.name for b in blocks_of(basis, ["CHO", "O", "CO"])] == ["O", "CO", "CHO"]
        assert [b.name for b in blocks_of(basis, "CO")] == ["CO"]
        assert {c.block for c in columns_of(basis, ["CO"])} == {"CO"}

    def test_an_unknown_block_is_named_with_those_that_there_are(self, basis):
        with pytest.raises(KeyError, match="no block 'CSi'; the basis has O, C, H, N, CO"):
            blocks_of(basis, ["CSi"])

    @pytest.mark.parametrize("elements", ["C", "CN", "NC", "OCH", "HCO", "COHN", "NHOC"])
    def test_lsq_order_is_that_of_its_loops(self, elements):
        columns = columns_of(basis_of(elements, (3, 3, 2)))
        expected = lsq_columns(elements, (3, 3, 2))
        assert [columns[i][1:] for i in lsq_order(columns)] == expected
        assert [columns[i][1:] for i in lsq_order(list(columns), elements)] == expected

    def test_without_remembered_elements_the_first_appearance_decides(self):
        basis = basis_of("OCH", (2, 2, 0))
        names = ("H", "C", "O", "CO", "HO", "CH", "CHO")
        columns = [tuple(c) for name in names for c in columns_of(basis, name)]
        assert len(columns) == len(columns_of(basis))
        assert [columns[i][1:] for i in lsq_order(columns)] == lsq_columns("HCO", (2, 2, 0))

    def test_elements_given_override_those_remembered(self):
        columns = columns_of(basis_of("OC", (2, 2, 2)))
        assert [columns[i][1:] for i in lsq_order(columns, "CO")] == lsq_columns("CO", (2, 2, 2))
        assert lsq_columns("CO", (2, 2, 2)) != lsq_columns("OC", (2, 2, 2))

    def test_columns_remember_their_elements_through_a_pickle(self):
        columns = pickle.loads(pickle.dumps(columns_of(basis_of("OC", (2, 2, 2)))))
        assert columns.elements == ("O", "C")
        assert columns == columns_of(basis_of("OC", (2, 2, 2)))


def table():
    """A complete ``[basis]`` table of two elements."""
    return {
        "elements": ["N", "C"],
        "orders": [4, 3, 2],
        "transform": "MORSE",
        "cutoff": "TERSOFF 0.75",
        "pairs": {
            "CC": {"rmin": 0.98, "rmax": 5.0, "lambda": 1.4},
            "C-N": {"rmin": 0.9, "rmax": 5, "lambda": 1.34},
            "NN": {"rmin": 0.86, "rmax": 8.0, "transform": "INVRSE_R"},
        },
        "three_body": {"rmax": 4.5},
        "four_body": {"rmax": {"CC": 4.0, "CN": 3.9}, "rmin": 0.8},
        "blocks": {"CN": {"orders": [3, 2, 3]}},
        "types": {"NCC": {"order": 5, "rmin": {"CN": 0.7}, "rmax": 3.5}},
        "one_body": ["C"],
        "exclude": ["NNNN"],
    }


class TestBasisTable:
    """``from_dict`` means what its table says, and ``to_dict`` gives it back."""

    def test_orders_of_bodies_blocks_and_types(self):
        orders = {t.name: t.order for t in Basis.from_dict(table()).types}
        assert orders == {
            "CC": 4, "NN": 4, "CN": 3, "CCC": 3, "NNN": 3, "CCN": 5, "CNN": 2,
            "CCCC": 2, "CCCN": 3, "CCNN": 3, "CNNN": 3, "C": 1,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("kind", "edge", "rmin", "rmax"),
        [
            ("NN", "NN", 0.86, 8.0),
            ("CNN", "NN", 0.86, 4.5),
            ("CCN", "CN", 0.7, 3.5),
            ("CCN", "CC", 0.98, 3.5),
            ("CCNN", "CC", 0.8, 4.0),
            ("CCNN", "CN", 0.8, 3.9),
            ("CCNN", "NN", 0.8, 8.0),
        ],
    )
    def test_cutoffs_come_from_the_type_then_the_body_then_the_pair(self, kind, edge, rmin, rmax):
        assert Basis.from_dict(table()).type_named(kind).edge(*edge) == Edge(tuple(edge), rmin, rmax)

    def test_transforms_and_lambda_of_pairs(self):
        basis = Basis.from_dict(table() | {"transform": "NONE"})
        assert [(p.name, p.transform, p.morse_lambda) for p in basis.pairs] == [
            ("NN", "INVRSE_R", None), ("CC", "DEFAULT", None), ("CN", "DEFAULT", None),
        ]  # fmt: skip
        assert Basis.from_dict(table()).pair("N", "C") == Pair(("C", "N"), 0.9, 5.0, "MORSE", 1.34)

    def test_a_pair_or_edge_that_is_not_there_is_named_with_those_that_are(self):
        found = Basis.from_dict(table())
        with pytest.raises(BasisError, match=r"^basis: .*\(N-N, C-C, C-N\), found 'O' and 'C'$"):
            found.pair("O", "C")
        with pytest.raises(BasisError, match=r"^cluster type CNN: .*\(C-N, N-N\), found 'C' and 'C'$"):
            found.type_named("CNN").edge("C", "C")
        with pytest.raises(BasisError, match=r"^cluster type C: .*\(none\), found 'C' and 'C'$"):
            cluster_type("C", 1).edge("C", "C")

    def test_reach_is_the_largest_outer_cutoff(self):
        assert Basis.from_dict(table()).reach == 8.0
        assert Basis.from_dict(table()).restricted(["C"]).reach == 5.0

    def test_restricted_keeps_what_involves_only_the_elements(self):
        part = Basis.from_dict(table()).restricted(["C"])
        assert (part.elements, [p.name for p in part.pairs]) == (("C",), ["CC"])
        assert [t.name for t in part.types] == ["CC", "CCC", "CCCC", "C"]

    @pytest.mark.parametrize(
        "basis",
        [
            Basis.from_dict(table()),
            basis_of("OCHN", (4, 3, 2), types=own_cutoffs("OCHN", 3, 0.4, 3.0), cutoff="TERSOFF 0.1"),
            basis_of("H", (0, 3, 0), one_body=False),
        ],
        ids=["table", "own cutoffs", "three-body only"],
    )
    def test_round_trip_keeps_basis_columns_and_digest(self, basis):
        again = Basis.from_dict(basis.to_dict())
        assert again == basis
        assert again.digest == basis.digest
        assert columns_of(again) == columns_of(basis)

    def test_digest_is_of_the_content(self):
        plain = Basis.from_dict(table())
        spelled = copy.deepcopy(table())
        spelled["pairs"]["NC"] = spelled["pairs"].pop("C-N") | {"rmax": 5.000}
        assert Basis.from_dict(spelled).digest == plain.digest
        assert re.fullmatch("[0-9a-f]{64}", plain.digest)

    @pytest.mark.parametrize(
        "change",
        [
            {"elements": ["C", "N"]},
            {"orders": [5, 3, 2]},
            {"cutoff": "TERSOFF 0.76"},
            {"cutoff": "CUBIC"},
            {"three_body": {"rmax": 4.500001}},
            {"one_body": True},
            {"exclude": []},
        ],
    )
    def test_digest_sees_every_part(self, change):
        assert Basis.from_dict(table() | change).digest != Basis.from_dict(table()).digest

    def test_from_toml_reads_the_basis_table_and_names_the_file(self, tmp_path):
        good, bad, other = tmp_path / "good.toml", tmp_path / "bad.toml", tmp_path / "other.toml"
        text = '[basis]\nelements = ["C"]\norders = [2, 0, 0]\n[basis.pairs.CC]\nrmin = 1\nrmax = 5\n'
        text += "lambda = 1.4\n"
        good.write_text(text)
        bad.write_text(text.replace("rmax", "rmaks"))
        other.write_text("[data]\n")
        assert Basis.from_toml(good).pairs == (Pair(("C", "C"), 1.0, 5.0, "MORSE", 1.4),)
        with pytest.raises(BasisError, match=r"bad\.toml: 2 problems:\n +basis\.pairs\.CC: unknown keys \['rmaks'\]"):
            Basis.from_toml(bad)
        with pytest.raises(BasisError, match=r"other\.toml: expected a \[basis\] table, found \['data'\]"):
            Basis.from_toml(other)
        other.write_text("[basis\n")
        with pytest.raises(BasisError, match=r"other\.toml: not valid TOML"):
            Basis.from_toml(other)


PAIRS = table()["pairs"]
CC, CN = PAIRS["CC"], PAIRS["C-N"]


class TestBadBases:
    """Every bad input is refused, naming the key or the pair, what was expected and what was found."""

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"order": [1]}, "basis: unknown keys ['order']; known are ['blocks'"),
            ({"elements": "CN"}, "basis.elements: expected list, found 'CN'"),
            ({"elements": ["C", "N", "N"]}, "elements: expected distinct symbols"),
            ({"elements": []}, "basis.elements: expected distinct symbols, found ()"),
            ({"elements": ["C", "N", "O"]}, "basis.pairs.CO: missing"),
            ({"orders": [4, 3]}, "basis.orders: expected three integers ≥ 0"),
            ({"orders": [4, 3, -1]}, "found [4, 3, -1]"),
            ({"orders": [4, 3, True]}, "found [4, 3, True]"),
            ({"orders": [4, 3.0, 2]}, "found [4, 3.0, 2]"),
            ({"cutoff": "COSINE"}, "expected 'CUBIC' or 'TERSOFF fraction', found 'COSINE'"),
            ({"cutoff": "TERSOFF"}, "expected 'CUBIC' or 'TERSOFF fraction', found 'TERSOFF'"),
            ({"cutoff": "TERSOFF x"}, "expected 'CUBIC' or 'TERSOFF fraction', found 'TERSOFF x'"),
            ({"cutoff": "TERSOFF 1.5"}, "TERSOFF: expected a fraction in (0, 1], found 1.5"),
            ({"cutoff": "TERSOFF 0"}, "TERSOFF: expected a fraction in (0, 1], found 0.0"),
            ({"cutoff": 3}, "basis.cutoff: expected str, found 3"),
            ({"pairs": {"CC": CC, "CN": CN}}, "basis.pairs.NN: missing"),
            ({"pairs": PAIRS | {"CO": CC}}, "basis.pairs.CO: expected 2 of the elements N, C"),
            ({"pairs": PAIRS | {"c": CC}}, "basis.pairs.c: expected 2 of the elements N, C"),
            ({"pairs": PAIRS | {"C:C": CC}}, "expected element symbols such as 'CN' or 'MoNb', or names of types"),
            ({"pairs": PAIRS | {"CC": CC | {"delta": 1}}}, "basis.pairs.CC: unknown keys ['delta']"),
            ({"pairs": PAIRS | {"CC": CC | {"rmin": "1"}}}, "basis.pairs.CC.rmin: expected a number, found '1'"),
            ({"pairs": PAIRS | {"CC": {"rmin": 1.0, "lambda": 1.0}}}, "basis.pairs.CC.rmax: missing"),
            ({"pairs": PAIRS | {"CC": {"rmin": 1.0, "rmax": 5.0}}}, "basis.pairs.CC.lambda: missing"),
            ({"pairs": PAIRS | {"CC": CC | {"lambda": 0}}}, "CC.lambda: MORSE needs a finite lambda > 0, found 0.0"),
            ({"pairs": PAIRS | {"CC": CC | {"rmin": 6.0}}}, "CC: expected 0 ≤ rmin ≤ rmax, found rmin 6.0"),
            ({"pairs": PAIRS | {"CC": CC | {"rmin": -1}}}, "CC: expected 0 ≤ rmin ≤ rmax, found rmin -1.0"),
            ({"transform": "LOG"}, "expected a transform of ('MORSE', 'INVRSE_R', 'DEFAULT'), found 'LOG'"),
            ({"three_body": {"r": 1}}, "basis.three_body: unknown keys ['r']"),
            ({"three_body": {"rmax": "4"}}, "rmax: expected a number or a table by pair, found '4'"),
            ({"three_body": {"rmax": 0.5}}, "expected 0 ≤ rmin ≤ rmax"),
            ({"four_body": 4.0}, "basis.four_body: expected dict, found 4.0"),
            ({"types": {"CCN": {"orders": 3}}}, "basis.types.CCN: unknown keys ['orders']"),
            ({"types": {"CCN": {"order": 2.5}}}, "basis.types.CCN.order: expected int, found 2.5"),
            ({"types": {"CCN": {"order": -2}}}, "basis.types.CCN.order: expected an order of at least 2, found -2"),
            ({"types": {"CCO": {}}}, "basis.types.CCO: expected 1 or 2 or 3 or 4 of the elements N, C"),
            ({"types": {"CCCCC": {}}}, "basis.types.CCCCC: expected 1 or 2 or 3 or 4 of the elements N, C"),
            ({"types": {"CNN": {"rmax": {"NN": 0.1}}}}, "basis.types.CNN.rmax, edge NN: expected 0 ≤ rmin ≤ rmax"),
        ],
    )  # fmt: skip
    def test_bad_tables(self, change, message):
        Basis.from_dict(table())
        with pytest.raises(BasisError, match=re.escape(message)):
            Basis.from_dict(table() | change)

    def test_a_missing_key_is_named(self):
        whole = table()
        for key in ("elements", "orders", "pairs"):
            part = {k: v for k, v in whole.items() if k != key}
            with pytest.raises(BasisError, match=f"basis.{key}: missing"):
                Basis.from_dict(part)

    @pytest.mark.parametrize(
        ("elements", "pairs", "types", "message"),
        [
            (("X:",), (), (), "elements: 'X:' is neither a chemical symbol"),
            (("C", "C"), (), (), "elements: expected distinct symbols, found ('C', 'C')"),
            ((), (), (), "elements: expected distinct symbols, found ()"),
            (("C",), (), (("C", "C"),), "pairs: missing CC"),
            (("C",), (("C", "N"),), (), "pairs: CN not among the elements"),
            (("C",), (), (("N",),), "type N: ['N'] not among the elements ('C',)"),
            (("C",), (("C", "C"),), (("C", "C"), ("C", "C")), "cluster types given twice: ['CC']"),
        ],
    )
    def test_bad_parts(self, elements, pairs, types, message):
        with pytest.raises(BasisError, match=re.escape(message)):
            Basis(
                elements,
                tuple(Pair(p, 0.5, 3.0, "DEFAULT") for p in pairs),
                tuple(cluster_type(t, 1) for t in types),
            )

    @pytest.mark.parametrize(
        ("build", "message"),
        [
            (lambda: Cutoff("SINE"), "expected CUBIC or TERSOFF, found 'SINE'"),
            (lambda: ClusterType(("N", "C"), 2, ()), "expected 1 to 4 sorted elements, found ('N', 'C')"),
            (lambda: ClusterType(("C",) * 5, 2, ()), "expected 1 to 4 sorted elements"),
            (lambda: cluster_type("CC", 0), "CC: expected an order of at least 1, found 0"),
            (lambda: cluster_type("CCC", 1), "CCC: expected an order of at least 2, found 1"),
            (lambda: cluster_type("C", 2), "C: expected an order of exactly 1, found 2"),
            (lambda: ClusterType(("C", "C"), 2, ()), "CC: expected cutoffs for [('C', 'C')], found []"),
            (lambda: Pair(("C", "C"), 0.5, float("inf"), "DEFAULT"), "CC: expected 0 ≤ rmin ≤ rmax"),
            (lambda: Pair(("C", "C"), float("nan"), 2.0, "DEFAULT"), "CC: expected 0 ≤ rmin ≤ rmax"),
        ],
    )
    def test_bad_nouns(self, build, message):
        with pytest.raises(BasisError, match=re.escape(message)):
            build()
