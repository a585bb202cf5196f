"""Design rows and targets equal those that chimes_lsq wrote."""

from __future__ import annotations

import numpy as np
import pytest
from reference import lsq_layout, worst

from hiertl_dist import design_rows, lsq_order, read_fm_setup

CASES = {
    "carbon_2+3b": 42,
    "ch_exclude": 1308,
    "cho_stress_all_energy_first5": 75,
    "cn_dft_frame0": 3747,
    "hier_big": 641,
    "hydrogen_2+3+4b_stress_energy": 287,
    "oh_special_cutoffs": 138,
    "ortho_small": 720,
    "tric_big": 720,
}
"""Every case of the reference data, with its number of columns."""

TOLERANCE = 1e-9


@pytest.mark.shared
def test_no_case_is_left_out(shared):
    assert {p.parent.name for p in (shared / "reference").glob("*/rows.npz")} == set(CASES)


@pytest.mark.shared
@pytest.mark.parametrize("case", CASES)
def test_rows_and_targets_equal_those_of_chimes_lsq(shared, case):
    folder = shared / "reference" / case
    with np.load(folder / "rows.npz") as expected:
        index, matrix, target = expected["row_index"], expected["A"], expected["b"]
    setup = read_fm_setup(folder / "fm_setup.in")
    design = design_rows(setup.frames, setup.basis)
    layout = lsq_layout(design.rows)
    found = design.matrix[np.ix_(layout[index], lsq_order(design.columns))]
    assert found.shape == matrix.shape == (len(index), CASES[case])
    assert len(layout) == len(target)
    assert np.abs(matrix).max() > 0
    assert worst(found, matrix) < TOLERANCE
    kinds = np.array([row.kind for row in design.rows])[layout]
    for kind in np.unique(kinds):
        largest = np.abs(target[kinds == kind]).max()
        assert np.abs(design.target[layout] - target)[kinds == kind].max() < TOLERANCE * largest
