"""Numbers in files and options: what is none, or too large for anything, is an error of the package that is short."""

from __future__ import annotations

import pytest
from job_files import toml
from synthetic import small_basis

from hiertl_dist.algebra import Ridge
from hiertl_dist.errors import BasisError, HiertlError, InputError
from hiertl_dist.jobs.input_file import Input
from hiertl_dist.model.basis import Basis
from hiertl_dist.model_selection.search_settings import SearchSettings
from hiertl_dist.text.words import count_text, finite_number, ordinal, percent_text, shown, whole_number

NO_NUMBERS = ("", "²", "٣", "1_0", "nan", "inf", "0x10", "1d0", "--1", "½", "−1", " 1")
HUGE = 10**4999


@pytest.mark.parametrize("word", [*NO_NUMBERS, "9" * 5000, "1.0", "1e3"])
def test_words_that_are_no_whole_numbers(word):
    assert whole_number(word) is None


@pytest.mark.parametrize("word", [*NO_NUMBERS, "1e999", "-1e999", "9" * 5000])
def test_words_that_are_no_finite_numbers(word):
    assert finite_number(word) is None


@pytest.mark.parametrize(("word", "value"), [("1", 1.0), ("-1.5e-3", -1.5e-3), (".5", 0.5), ("1.", 1.0), ("+2E2", 200)])
def test_numbers_are_read(word, value):
    assert finite_number(word) == value


def test_one_thing_and_several():
    said = [count_text(n, "part") for n in (0, 1, 2)] + [count_text(1, "pair of atoms"), count_text(3, "pair of atoms")]
    assert said == ["0 parts", "1 part", "2 parts", "1 pair of atoms", "3 pairs of atoms"]


def test_shares():
    shares = (1.0, 0.999, 0.374, 0.0996, 0.0123, 0.00025)
    assert [percent_text(s) for s in shares] == ["100 %", "100 %", "37 %", "10 %", "1.2 %", "0.025 %"]


def test_values_are_cut():
    assert shown("x" * 5000) == "'" + "x" * 58 + "…"
    assert shown(HUGE) == "int that is too long to write"
    assert shown([[1, 2]]) == "[[1, 2]]"
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert shown(nested) == "list that is too long to write"


@pytest.mark.parametrize(
    ("number", "word"),
    [(1, "a first"), (8, "an eighth"), (11, "an eleventh"), (21, "a 21st"), (112, "a 112th"), (80, "an 80th")],
)
def test_ordinals(number, word):
    assert ordinal(number) == word


def job(folder, extra):
    path = folder / "input.toml"
    basis = small_basis((3, 2, 0)).to_dict()
    path.write_text(f"basis = {toml(basis)}\ndata = [{{path = 'data.extxyz'}}]\n{extra}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("store = {memory = '1e400 GiB'}", r"store\.memory: expected bytes such as '8 GiB', found '1e400 GiB'"),
        ("store = {memory = '-1 GiB'}", r"store\.memory: expected bytes such as '8 GiB', found '-1 GiB'"),
        ("store = {memory = 'nan GiB'}", r"store\.memory: expected bytes"),
        ("store = {memory = '²'}", r"store\.memory: expected bytes"),
        ("store = {memory = '1e30 GiB'}", r"store\.memory: expected bytes"),
        (f"store = {{memory = {'9' * 4000}}}", r"store\.memory: expected an integer of less than 2\^63, found 9{59}…$"),
        (f"store = {{memory = {'9' * 5000}}}", r"not valid TOML: line 3: .* an integer of 5000 digits"),
        (f"fit = {{x = {'[' * 5000}", "not valid TOML"),
        ("fit = {weights = {force = 1e999}}", r"fit\.weights\.force: expected a finite number, found inf"),
        ("fit = {weights = {force = nan}}", r"fit\.weights\.force: expected a finite number, found nan"),
        ("fit = {regulariser = {kind = 'ridge', alpha = -inf}}", r"fit\.regulariser\.alpha: expected a finite number"),
        ("executor = {workers = 1000000000000000000000}", r"executor\.workers: expected an integer of less than"),
        ("search = {grid = {weights = {force = [1.0, inf]}}}", r"search\.grid\.weights\.force.*: expected a finite"),
    ],
)
def test_numbers_of_an_input_file(tmp_path, extra, message):
    with pytest.raises(InputError, match=message) as caught:
        Input.from_toml(job(tmp_path, extra))
    assert "input.toml" in str(caught.value)
    assert len(str(caught.value).partition("input.toml")[2]) < 300


@pytest.mark.parametrize("value", [10**400, float("inf"), float("nan"), "²", True])
@pytest.mark.parametrize("key", ["rmin", "rmax", "lambda"])
def test_numbers_of_a_basis_in_python(key, value):
    table = small_basis((3, 2, 0)).to_dict()
    table["pairs"]["CC"] = table["pairs"]["CC"] | {key: value}
    with pytest.raises(BasisError, match=rf"basis\.pairs\.CC\.{key}: expected a number, found "):
        Basis.from_dict(table)


def test_orders_that_would_take_all_the_memory():
    for orders in ([10**9, 3, 0], [3, 10**4, 0], [3, 3, 100], [HUGE, 0, 0]):
        with pytest.raises(BasisError, match=r"expected an order of at most (10000|100|10), found "):
            small_basis(orders)
    with pytest.raises(BasisError, match="CC: expected an outer cutoff up to 1000 Å, found 1e"):
        small_basis((3, 0, 0), ("C",), rmax=1e18)
    with pytest.raises(BasisError, match="1000 elements make 500500 types of 2 bodies, more than 200000"):
        Basis.from_dict({"elements": [f"A{i}" for i in range(1000)], "orders": [3, 0, 0], "pairs": {}})


def test_numbers_of_other_options_in_python():
    with pytest.raises(HiertlError, match=r"search\.grid\.weights\.force: expected a finite number"):
        SearchSettings.from_dict({"grid": {"weights": {"force": HUGE}}})
    with pytest.raises(ValueError, match="alpha: expected a number of at most 15 digits"):
        Ridge(HUGE)
