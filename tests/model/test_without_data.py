"""Types without data: how a model came to have them, in its parts, its sums and its files."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from synthetic import random_parameters, small_basis

from hiertl_dist import Model, Solution
from hiertl_dist.errors import ParameterFileError
from hiertl_dist.fitting.stored_summaries import parameters_dict, parameters_of
from hiertl_dist.io.params_read import read_parameters
from hiertl_dist.model.frozen import fitted_parameters
from hiertl_dist.model.parameters import Parameters, merge_parameters

WHOLE = random_parameters(small_basis((3, 3, 0)), 3)
BARE = Parameters.restricted(WHOLE, {"C", "N"})
"""Without a block of C and N together."""
WAYS = {"NNC": "mixed", "CCN": "mixed", "CC": "mixed"}


def test_names_are_sorted_and_every_part_has_its_own():
    model = replace(WHOLE, without_data=WAYS)
    assert model.without_data == {"CNN": "mixed", "CCN": "mixed", "CC": "mixed"}
    assert model.restricted({"C"}).without_data == {"CC": "mixed"}
    assert model.restricted({"C", "N", "CN"}).without_data == model.without_data
    some = [t for t in WHOLE.basis.types if t.name in ("CC", "CCC", "CCN")]
    assert model.with_types(some).without_data == {"CCN": "mixed", "CC": "mixed"}
    left_out = replace(BARE, without_data={"CN": "zero", "CCN": "zero"})
    assert left_out.with_types(left_out.basis.types).without_data == {"CN": "zero", "CCN": "zero"}
    assert left_out.restricted({"C"}).without_data == {}


def test_what_one_part_of_a_sum_has_from_data_has_data():
    made = replace(WHOLE.restricted({"CN"}), without_data={"CCN": "mixed", "CNN": "mixed"})
    left_out = replace(BARE, without_data={"CN": "zero", "CCN": "zero"})
    assert merge_parameters([made, left_out]).without_data == {"CCN": "mixed", "CNN": "mixed"}
    fitted = replace(WHOLE, source="fitted")
    assert merge_parameters([made, fitted], overlap="add").without_data == {}
    assert merge_parameters([left_out, left_out], overlap="add").without_data == left_out.without_data
    assert merge_parameters([BARE, made]).without_data == made.without_data


@pytest.mark.parametrize("ways", [{"CCN": "made"}, {"C": "zero"}, {"CCCCN": "zero"}, {"CCO": "zero"}, {"": "zero"}])
def test_what_can_not_be_is_refused(ways):
    with pytest.raises(ParameterFileError, match="types without data"):
        replace(WHOLE, without_data=ways)


def test_files_say_it_where_others_read_nothing(tmp_path):
    model = replace(WHOLE, without_data={"CNN": "mixed", "CCN": "mixed", "CCCN": "zero"})
    Model(model).write(tmp_path / "model.txt")
    text = (tmp_path / "model.txt").read_text()
    lines = [line for line in text.splitlines() if "WITHOUT_DATA" in line]
    assert lines == ["! hiertl_dist WITHOUT_DATA: zero CCCN", "! hiertl_dist WITHOUT_DATA: mixed CNN CCN"]
    assert read_parameters(tmp_path / "model.txt").without_data == model.without_data
    assert "types without data, mixed: CNN, CCN" in str(model)
    Model(WHOLE).write(tmp_path / "silent.txt")
    assert "WITHOUT_DATA" not in (tmp_path / "silent.txt").read_text()
    assert "without data" not in str(WHOLE)
    for bad in ("made CCN", "zero", "zero C", "zero CCO", ""):
        (tmp_path / "bad.txt").write_text(re.sub("WITHOUT_DATA: zero .*", f"WITHOUT_DATA: {bad}", text))
        with pytest.raises(ParameterFileError, match=r"WITHOUT_DATA: zero or mixed, and names|a cluster of C N"):
            read_parameters(tmp_path / "bad.txt")


def test_solutions_and_stores_say_it(tmp_path):
    model = replace(WHOLE, without_data=WAYS)
    solution = Solution(model, "CN", ("CN",), {}, {}, {}, "lsq", "rfactor", 1, 1.0, 1, 1, 0.0)
    solution.save(tmp_path / "CN.npz")
    assert Solution.load(tmp_path / "CN.npz").parameters.without_data == model.without_data
    assert solution.as_dict()["without_data"] == dict(model.without_data)
    with np.load(tmp_path / "CN.npz") as data:
        meta = json.loads(str(data["meta"]))
        del meta["without_data"]  # as files of before
        np.savez(tmp_path / "before.npz", coefficients=data["coefficients"], meta=np.array(json.dumps(meta)))
    assert Solution.load(tmp_path / "before.npz").parameters.without_data == {}
    assert parameters_of(parameters_dict(model)).without_data == model.without_data
    # digests of settings, which name the folders of stores, stay what they were
    assert "without_data" not in parameters_dict(WHOLE)


@pytest.mark.parametrize("head", ["{'descr': '<f8', (", "{'descr': '<f8', 'fortran_order': False, 'shape': (%d,), }"])
def test_heads_of_arrays_that_are_damaged_are_refused_by_name(tmp_path, head):
    """numpy takes the first for broken Python, and for the second asks for all memory."""
    Solution(WHOLE, "CN", ("CN",), {}, {}, {}, "lsq", "rfactor", 1, 1.0, 1, 1, 0.0).save(tmp_path / "CN.npz")
    text = (head.replace("%d", str(2**55)).ljust(117) + "\n").encode()
    array = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with zipfile.ZipFile(tmp_path / "CN.npz") as old, zipfile.ZipFile(tmp_path / "bad.npz", "w") as new:
        new.writestr("meta.npy", old.read("meta.npy"))
        new.writestr("coefficients.npy", array)
    with pytest.raises(ParameterFileError, match=r"bad.npz: expected a solution file"):
        Solution.load(tmp_path / "bad.npz")


def test_a_fit_says_it_of_elements_that_it_has():
    fitted = fitted_parameters(
        WHOLE.basis, WHOLE.restricted({"C"}).columns, WHOLE.restricted({"C"}).coefficients, {}, WHOLE.penalty, {}, "C",
        {"CC": "mixed", "CN": "zero"},
    )  # fmt: skip
    assert fitted.without_data == {"CC": "mixed"}
