"""Writing parameter files: round trips to the bit, other programs' readers, the files of the authors."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic import unchecked

from hiertl_dist.errors import ParameterFileError
from hiertl_dist.io.params_read import read_parameters
from hiertl_dist.io.params_write import write_parameters
from hiertl_dist.model.basis import Basis, ClusterType, Cutoff, Edge, Pair
from hiertl_dist.model.blocks import columns_of
from hiertl_dist.model.parameters import Parameters, Penalty
from hiertl_dist.model.solution import Solution

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "cn_dft"
needs_shared = [
    pytest.mark.shared,
    pytest.mark.skipif(not SHARED.is_dir(), reason=f"the reference data is not at {SHARED}"),
]


@st.composite
def bases(draw: st.DrawFn) -> Basis:
    """A basis of 1 to 3 elements in any order, with any types, orders, transforms and cutoffs."""
    elements = tuple(draw(st.permutations(["Ti", "C", "N"]))[: draw(st.integers(1, 3))])
    # 1/r has no value at zero, and order 1 of a many-body type is no column: a basis refuses both
    inner, width = st.floats(0.01, 1.5), st.floats(0.1, 7.0)

    def cutoffs() -> tuple[float, float]:
        rmin = draw(inner)
        return rmin, rmin + draw(width)

    pairs = {}
    for key in itertools.combinations_with_replacement(elements, 2):
        names = tuple(sorted(key))
        transform = draw(st.sampled_from(["MORSE", "INVRSE_R", "DEFAULT"]))
        pairs[names] = Pair(names, *cutoffs(), transform, draw(width) if transform == "MORSE" else None)
    types = []
    for body, largest in ((1, 1), (2, 4), (3, 3), (4, 2)):
        for key in itertools.combinations_with_replacement(elements, body):
            kind = tuple(sorted(key))
            order = draw(st.integers(0, largest))
            if order > (body > 2):
                ends = sorted({tuple(sorted(p)) for p in itertools.combinations(kind, 2)})
                own = body > 2 and draw(st.booleans())
                edges = tuple(Edge(e, *(cutoffs() if own else (pairs[e].rmin, pairs[e].rmax))) for e in ends)
                types.append(ClusterType(kind, order, edges))
    fraction = draw(st.floats(0.01, 1.0))
    cutoff = draw(st.sampled_from([Cutoff(), Cutoff("TERSOFF", fraction)]))
    return Basis(elements, tuple(pairs.values()), tuple(types), cutoff)


@st.composite
def models(draw: st.DrawFn) -> Parameters:
    """Parameters with coefficients of every size, signed zeros among them."""
    basis = draw(bases())
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = len(columns_of(basis))
    values = rng.standard_normal(n) * 10.0 ** rng.integers(-300, 300, n)
    values[rng.random(n) < 0.3] = -0.0
    covered = draw(st.lists(st.sampled_from([p.name for p in basis.pairs]), unique=True))
    coverage = {f"{name}:{name}": (draw(st.floats(0.1, 1.0)), draw(st.floats(1.0, 9.0))) for name in covered}
    penalty = Penalty(draw(st.floats(0.0, 1e9)), draw(st.floats(0.0, 1.0)))
    return Parameters(basis, values, penalty, coverage)


def assert_same(found: Parameters, expected: Parameters) -> None:
    assert found.basis == expected.basis
    assert found.basis.digest == expected.basis.digest
    assert found.coefficients.tobytes() == expected.coefficients.tobytes()
    assert found.penalty == expected.penalty
    assert dict(found.coverage) == dict(expected.coverage)


def shuffled(text: str, rng: np.random.Generator) -> str:
    """The same file with the atoms of each cluster type in another order, and its rows in another order."""
    lines, out, at = text.splitlines(), [], 0
    while at < len(lines):
        out.append(lines[at])
        at += 1
        if not re.match("(TRIP|QUADRUP)LETTYPE PARAMS", out[-1]):
            continue
        head, pairs = lines[at].split(), lines[at + 1].split()
        atoms = head[3:]
        edges = list(itertools.combinations(range(len(atoms)), 2))
        order = rng.permutation(len(atoms))
        moved = [edges.index(tuple(sorted((order[a], order[b])))) for a, b in edges]  # type: ignore[arg-type]
        out.append(" ".join([*head[:3], *(atoms[i] for i in order)]))
        rest = pairs[1 + len(edges) :]
        out.append(" ".join(["PAIRS:", *(pairs[1 + e] for e in moved), *rest]))
        at += 2
        if rest[0] == "EXCLUDED:":
            continue
        out += lines[at : at + 2]
        rows = [row.split() for row in lines[at + 2 : at + 2 + int(rest[3])]]
        at += 2 + len(rows)
        rows = [rows[i] for i in rng.permutation(len(rows))]
        out += [" ".join([r[0], *(r[1 + e] for e in moved), *r[1 + len(edges) :]]) for r in rows]
    return "\n".join(out) + "\n"


def read_as_others_do(text: str, n_elements: int) -> dict[tuple[str, ...], dict[tuple[int, ...], float]]:
    """What a reader sees that counts lines instead of recognising them, as chimes_calculator does."""
    lines = text.splitlines()
    orders = next([int(w) for w in s.split()[2:5]] for s in lines if "PAIRTYP: CHEBYSHEV" in s)
    seen: dict[tuple[str, ...], dict[tuple[int, ...], float]] = {}
    by_index: dict[tuple[int, str], tuple[str, ...]] = {}
    for at, line in enumerate(lines):
        if "PAIRTYPE PARAMS:" in line:
            words = line.split()
            rows = [s.split() for s in lines[at + 2 : at + 2 + orders[0]]]
            seen[tuple(words[3:])] = {(int(k) + 1,): float(v) for k, v in rows}
            by_index[2, words[2]] = tuple(words[3:])
        if "LETTYPE PARAMS:" in line or "QUADRUPLETYPE PARAMS:" in line:
            body = 3 if line.startswith("TRIP") else 4
            edges = body * (body - 1) // 2
            head, pairs = lines[at + 1].split(), lines[at + 2].split()
            by_index[body, head[1]] = tuple(head[3:])
            if pairs[1 + edges] != "EXCLUDED:":
                rows = [s.split() for s in lines[at + 5 : at + 5 + int(pairs[4 + edges])]]
                seen[tuple(head[3:])] = {tuple(map(int, r[1 : 1 + edges])): float(r[3 + edges]) for r in rows}
        if "MAPS:" in line:
            word, count = line.split()
            body = {"PAIRMAPS:": 2, "TRIPMAPS:": 3, "QUADMAPS:": 4}[word]
            maps = [s.split() for s in lines[at + 1 : at + 1 + int(count)]]
            assert len(maps) == n_elements**body
            for index, name in maps:
                symbols = sorted(re.findall("[A-Z][a-z]?", name))
                expected = tuple(symbols[:: body - 1])
                if index != "-1":
                    assert tuple(sorted(by_index[body, index])) == expected
                else:
                    assert expected not in {tuple(sorted(k)) for k in seen}
    return seen


SLOW = settings(
    derandomize=True, deadline=None, max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@SLOW
@given(model=models())
def test_what_is_written_reads_back_to_the_bit(model: Parameters, tmp_path: Path) -> None:
    path = tmp_path / "params.txt"
    write_parameters(model, path, comments=["two\nlines", ""])
    assert_same(read_parameters(path), model)


@SLOW
@given(model=models(), seed=st.integers(0, 1000))
def test_the_order_of_atoms_and_rows_does_not_matter(model: Parameters, seed: int, tmp_path: Path) -> None:
    path = tmp_path / "params.txt"
    write_parameters(model, path)
    path.write_text(shuffled(unchecked(path.read_text()), np.random.default_rng(seed)))
    assert_same(read_parameters(path), model)


@SLOW
@given(model=models())
def test_readers_that_count_lines_find_the_same(model: Parameters, tmp_path: Path) -> None:
    path = tmp_path / "params.txt"
    write_parameters(model, path)
    seen = read_as_others_do(path.read_text(), len(model.basis.elements))
    seen = {tuple(sorted(atoms)): rows for atoms, rows in seen.items()}
    for column, value in zip(model.columns, model.coefficients, strict=True):
        if column.powers:
            assert seen[column.elements][column.powers] == value
    present = {t.elements for t in model.basis.types if t.body > 1}
    for atoms, rows in seen.items():
        assert atoms in present or not any(rows.values())


@SLOW
@given(model=models())
def test_a_reduced_file_loses_small_many_body_values_only(model: Parameters, tmp_path: Path) -> None:
    path = tmp_path / "params.txt"
    write_parameters(model, path, reduced=True)
    lost = np.array([len(c.elements) > 2 for c in model.columns], bool) & (np.abs(model.coefficients) <= 1e-6)
    kept = np.where(lost, 0.0, model.coefficients)
    found = read_parameters(path)
    assert found.basis.digest == model.basis.digest
    assert found.coefficients.tobytes() == kept.tobytes()
    unique = re.findall(r"UNIQUE: (\S+)", path.read_text())
    assert unique == ["-1"] * sum(t.body > 2 for t in model.basis.types)


def small_model(**keywords: Any) -> Parameters:
    basis = Basis.from_dict({
        "elements": ["C", "N"], "orders": [3, 3, 0], "pairs": {
            n: {"rmin": 0.9, "rmax": 5.0, "lambda": 1.3} for n in ("CC", "CN", "NN")},
        "blocks": {"N": {"orders": [2, 2, 0]}}, "exclude": ["CC", "CCC", "N"],
    })  # fmt: skip
    n = len(columns_of(basis))
    return Parameters(basis, keywords.pop("coefficients", np.linspace(1.0, 2.0, n)), **keywords)


def test_what_the_format_has_no_place_for_is_kept_in_comments(tmp_path: Path) -> None:
    path = tmp_path / "params.txt"
    model = small_model(coverage={"CN:CN": (0.98, 4.97)})
    write_parameters(model, path, comments=["fitted on a Tuesday"])
    lines = path.read_text().splitlines()
    assert lines[0] == "! fitted on a Tuesday"
    assert "! hiertl_dist ORDERS: NN 2 NNN 2" in lines
    assert "! hiertl_dist EXCLUDED: CC N" in lines
    assert "! hiertl_dist COVERAGE: CN CN 0.98 4.97" in lines
    assert "PAIR CHEBYSHEV PENALTY DIST: 0.01" in lines
    assert not any(line.startswith("SPECIAL") for line in lines)
    at = lines.index("PAIRTYPE PARAMS: 0 C C")
    assert [line.split() for line in lines[at + 2 : at + 5]] == [[str(k), f"{0.0:.16e}"] for k in range(3)]
    assert_same(read_parameters(path), model)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written") / "CN.params.txt"
    write_parameters(small_model(), path, comments=["fitted on a Tuesday"])
    return path


def test_a_flipped_bit_is_refused_or_changes_nothing(written: Path, tmp_path: Path) -> None:
    whole, path = bytearray(written.read_bytes()), tmp_path / "CN.params.txt"
    model, refused = read_parameters(written), 0
    places = np.random.default_rng(3).integers(0, 8 * len(whole), 300).tolist()
    for bit in places:
        changed = whole.copy()
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            read = read_parameters(path)
        except ParameterFileError:
            refused += 1
        else:
            assert_same(read, model)
    assert refused > len(places) // 2


def test_what_does_not_change_a_model_agrees_with_the_checksum(written: Path, tmp_path: Path) -> None:
    text, path = written.read_text(), tmp_path / "CN.params.txt"
    for changed in (text.replace("\n", "\r\n"), "! found on a disk\n" + text, text + "\n", "\ufeff" + text):
        path.write_text(changed, newline="")
        assert_same(read_parameters(path), read_parameters(written))


def test_an_edited_file_is_refused_until_its_checksum_is_deleted(written: Path, tmp_path: Path) -> None:
    path = tmp_path / "CN.params.txt"
    edited = written.read_text().replace("PENALTY SCALING: 10000", "PENALTY SCALING: 200000")
    path.write_text(edited)
    with pytest.raises(ParameterFileError, match=r"CN\.params\.txt: expected lines of SHA-256 .* on purpose, delete"):
        read_parameters(path)
    path.write_text(unchecked(edited))
    assert read_parameters(path).penalty.scale == 2e5


@pytest.mark.parametrize(("name", "is_refused"), [
    ("C.params.txt", True), ("model.params.txt", True), ("NC.params.txt", False), ("best.params.txt", False),
    ("C.txt", False),
])  # fmt: skip
def test_a_file_with_the_name_of_other_results_is_refused(written: Path, tmp_path: Path, name: str, is_refused: bool):
    path = tmp_path / name
    path.write_bytes(written.read_bytes())
    if is_refused:
        with pytest.raises(ParameterFileError, match=rf"{name}: it was written as CN\.params\.txt"):
            read_parameters(path)
    else:
        assert_same(read_parameters(path), read_parameters(written))


@pytest.mark.parametrize("text", ["a PAIRTYP: x", "ENDFILE", "a\n# PAIRIDX #", "hiertl_dist ORDERS: CC 1"])
def test_refuses_comments_that_programs_would_read(text: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterFileError, match="comment: expected text without a keyword"):
        write_parameters(small_model(), tmp_path / "params.txt", comments=[text])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"penalty": Penalty(np.inf, 0.1)}, "penalty: expected finite numbers, found .*inf"),
        ({"coverage": {"CO:CO": (1.0, 2.0)}}, "coverage: expected .*CC, CN, NN, found 'CO:CO'"),
        ({"coverage": {"CN:CN": (1.0, np.nan)}}, "coverage: expected .*nan"),
    ],
)
def test_refuses_what_a_file_cannot_hold(keywords: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterFileError, match=message):
        write_parameters(small_model(**keywords), tmp_path / "params.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_only_by_a_complete_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "params.txt"
    write_parameters(small_model(), path)
    before = path.read_text()

    def fail(descriptor: int) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="no space left"):
            write_parameters(small_model(penalty=Penalty(2.0, 3.0)), path)
    assert path.read_text() == before
    write_parameters(small_model(penalty=Penalty(2.0, 3.0)), path)
    assert read_parameters(path).penalty == Penalty(2.0, 3.0)
    assert list(tmp_path.iterdir()) == [path]


# -- files of the authors --------------------------------------------------------------------------------


def data_rows(path: Path) -> list[tuple[str, ...] | tuple[tuple[str, ...], float]]:
    """Lines that carry a type, powers or values, as words; the value as a number."""
    rows: list[Any] = []
    for line in path.read_text().splitlines():
        words = line.split()
        if re.match(r"PAIRTYPE|INDEX:|PAIRS:|(PAIR|TRIP|QUAD)MAPS|-?\d+ [A-Z]+$", line.strip()):
            rows.append(tuple(words))
        elif words[:1] == ["ENERGY"] or (len(words) in (2, 7, 10) and (words[0] + words[-2]).isdigit()):
            rows.append((tuple(words[:-1]), float(words[-1])))
    return rows


@pytest.mark.parametrize(
    ("name", "columns", "nonzero", "largest", "penalty"),
    [
        ("C.params.txt.reduced", 487, 442, 789.5168841123, Penalty(1.0e6, 0.02)),
        ("N.params.txt.reduced", 492, 426, 2449.939243192, Penalty(1.0e6, 0.02)),
        ("ALC-3.params.txt", 3799, 1607, 6.4397e02, Penalty()),
    ],
)
class TestFilesOfTheAuthors:
    pytestmark = needs_shared

    def test_agree_with_their_own_headers(
        self, name: str, columns: int, nonzero: int, largest: float, penalty: Penalty
    ) -> None:
        """The header counts every coefficient above 1e-5, one-body ones among them, and names the largest."""
        found = read_parameters(SHARED / name)
        assert len(found.columns) == columns
        assert np.count_nonzero(np.abs(found.coefficients) > 1e-5) == nonzero
        assert np.abs(found.coefficients).max() == pytest.approx(largest, rel=1e-4)
        assert found.penalty == penalty

    def test_write_and_read_back(
        self, name: str, columns: int, nonzero: int, largest: float, penalty: Penalty, tmp_path: Path
    ) -> None:
        found = read_parameters(SHARED / name)
        for reduced in (False, True):
            write_parameters(found, tmp_path / "params.txt", reduced=reduced)
            assert_same(read_parameters(tmp_path / "params.txt"), found)


@pytest.mark.parametrize(
    ("name", "block", "elements", "powers", "value"),
    [
        ("C.params.txt.reduced", "C", "CC", (1,), 18.06120982028),
        ("C.params.txt.reduced", "C", "CC", (20,), 0.1228237283798),
        ("C.params.txt.reduced", "C", "CCC", (0, 1, 2), -24.06469270294),
        ("C.params.txt.reduced", "C", "CCC", (0, 1, 1), 0.0),
        ("C.params.txt.reduced", "C", "CCCC", (3, 3, 3, 3, 3, 3), 22.36571720202),
        ("C.params.txt.reduced", "C", "C", (), -61.53443323069),
        ("N.params.txt.reduced", "N", "N", (), -147.8757623302),
        ("ALC-3.params.txt", "C", "CC", (1,), 1.2413651284760),
        ("ALC-3.params.txt", "CN", "CN", (5,), -5.5760704721690),
        ("ALC-3.params.txt", "CN", "CCNN", (0, 0, 1, 0, 1, 1), -30.082943235020),
        ("ALC-3.params.txt", "CN", "CNNN", (0, 0, 1, 0, 1, 1), -7.9333602835820),
        ("ALC-3.params.txt", "C", "C", (), 0.0),
        ("ALC-3.params.txt", "N", "N", (), -23.141906868510),
    ],
)
class TestKnownValues:
    pytestmark = needs_shared

    def test_value(self, name: str, block: str, elements: str, powers: tuple[int, ...], value: float) -> None:
        assert read_parameters(SHARED / name).as_dict()[block, tuple(elements), powers] == value


class TestLayout:
    pytestmark = needs_shared

    def test_is_that_of_chimes_lsq(self, tmp_path: Path) -> None:
        """Same types, powers, equivalence indices, parameter indices, values and maps in the same order."""
        write_parameters(read_parameters(SHARED / "ALC-3.params.txt"), tmp_path / "params.txt")
        expected = data_rows(SHARED / "ALC-3.params.txt")
        assert len(expected) > 13_600
        assert data_rows(tmp_path / "params.txt") == expected

    def test_of_a_reduced_file_too(self, tmp_path: Path) -> None:
        path = tmp_path / "params.txt"
        write_parameters(read_parameters(SHARED / "C.params.txt.reduced"), path, reduced=True)
        assert data_rows(path) == data_rows(SHARED / "C.params.txt.reduced")

    def test_many_body_cutoffs_come_from_the_special_lines(self) -> None:
        found = read_parameters(SHARED / "ALC-3.params.txt").basis
        assert found.pair("N", "N").rmax == 8.0
        for name, rmax in (("CNN", 5.0), ("CNNN", 4.5)):
            kind = found.type_named(name)
            assert kind is not None
            assert [(e.rmin, e.rmax) for e in kind.edges] == [(0.9, rmax), (0.86, rmax)]


@pytest.mark.parametrize("reduced", [False, True])
def test_a_file_of_ours_that_lost_a_line_is_refused_and_one_of_others_is_remarked(tmp_path, reduced):
    """Zeros that were left out and the default cutoff are for files that others reduced or wrote."""
    pair = Pair(("C", "C"), 0.9, 5.0, "MORSE", 1.3)
    edge = Edge(("C", "C"), 0.9, 5.0)
    basis = Basis(
        ("C",), (pair,), (ClusterType(("C", "C"), 4, (edge,)), ClusterType(("C",), 1, ())), Cutoff("TERSOFF", 0.75)
    )
    path = tmp_path / "C.params.txt"
    write_parameters(Parameters(basis, np.arange(1.0, 1.0 + len(columns_of(basis)))), path, reduced=reduced)
    lines = unchecked(path.read_text()).splitlines()
    section = next(i for i, line in enumerate(lines) if line.startswith("PAIRTYPE PARAMS:"))
    row = next(i for i in range(section, len(lines)) if lines[i].split()[:1] == ["2"])
    cut = next(i for i, line in enumerate(lines) if line.startswith("FCUT TYPE:"))
    for lost, said in ((row, "4 rows of the pair CC.*none of index 2"), (cut, "a line 'FCUT TYPE: …', found none")):
        rest = [line for i, line in enumerate(lines) if i != lost]
        path.write_text("\n".join(rest))
        with pytest.raises(ParameterFileError, match=said):
            read_parameters(path)
        path.write_text("\n".join(line for line in rest if "Written by" not in line))
        (note,) = read_parameters(path).notes
        assert re.search(said, note)


def test_a_parameter_file_is_no_solution_file_and_the_reader_of_it_is_named(tmp_path):
    path = tmp_path / "C.params.txt"
    path.write_text("! Written by hiertl_dist\nENDFILE\n")
    with pytest.raises(
        ParameterFileError, match=r"expected a solution file .*it is none; .* read by Model.read"
    ) as told:
        Solution.load(path)
    assert "pickle" not in str(told.value)
