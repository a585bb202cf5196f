"""Pairs inside an inner cutoff: refused, left out with their frame, or damped, as the policy says."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from reference import DAMPING, basis_of, direct_rows, labelled, random_coefficients, worst

from hiertl_dist import Frame, Model, design_rows
from hiertl_dist.errors import InnerCutoffError
from hiertl_dist.parameters import Parameters, Penalty

CLOSE = 0.59
"""Å between the first two atoms; the inner cutoff of C–N is 0.61, of C–C and N–N 0.60 and 0.62."""

POSITIONS = np.array([[0, 0, 0], [CLOSE, 0, 0], [0.2, 1.3, 0.1], [0.5, 0.3, 1.4], [-0.9, 0.4, 0.8]])
CELL = np.array([[4.1, 0.0, 0.0], [0.4, 4.3, 0.0], [-0.3, 0.5, 4.5]])


@pytest.fixture(scope="module")
def basis():
    """C and N, two-, three- and four-body."""
    return basis_of("CN", (4, 4, 3), (3.2, 3.1, 3.0), cutoff="TERSOFF 0.7")


@pytest.fixture(scope="module")
def close():
    """Five atoms, the first two of which are closer than the inner cutoff of their elements."""
    return labelled("CNCNC", POSITIONS, CELL, origin="run.xyzf, frame 3")


@pytest.fixture(scope="module")
def apart():
    """The same atoms, none of them inside an inner cutoff."""
    moved = POSITIONS.copy()
    moved[1, 0] = 0.9
    return labelled("CNCNC", moved, CELL)


def columns_of_body(design, body):
    return np.array([len(c.elements) == body for c in design.columns])


class TestRefusal:
    """Without another policy such a frame is refused."""

    def test_the_message_names_frame_atoms_and_distance(self, basis, close):
        message = re.escape(
            "run.xyzf, frame 3: atoms 0 (C) and 1 (N) are 0.5900 Å apart, inside the inner cutoff of 0.6100 Å"
        )
        with pytest.raises(InnerCutoffError, match=message):
            design_rows(close, basis)
        model = Model(Parameters(basis, random_coefficients(basis)))
        with pytest.raises(InnerCutoffError, match=message):
            model.evaluate(close, policy="refuse")

    def test_it_counts_the_pairs(self, basis):
        chain = labelled("CCC", [[0, 0, 0], [0.5, 0, 0], [1, 0, 0]], CELL)
        message = r"atoms 0 \(C\) and 1 \(C\).*\(2 such pairs; policy 'refuse'\)"
        with pytest.raises(InnerCutoffError, match=message):
            design_rows(chain, basis)

    def test_a_periodic_image_counts(self, basis):
        frame = labelled("CN", [[0.1, 0, 0], [4.0, 0, 0]], np.eye(3) * 4.2)
        with pytest.raises(InnerCutoffError, match=r"are 0\.3000 Å apart"):
            design_rows(frame, basis)

    def test_the_largest_inner_cutoff_of_the_blocks_asked_for_decides(self, apart):
        basis = basis_of("CN", (4, 3, 0), types={"CCN": {"rmin": {"CN": 0.95}}})
        assert design_rows(apart, basis, ["C", "N"]).matrix.any()
        message = r"are 0\.9000 Å apart, inside the inner cutoff of 0\.9500 Å"
        with pytest.raises(InnerCutoffError, match=message):
            design_rows(apart, basis, ["CN"])

    def test_other_elements_do_not_count(self, close):
        basis = basis_of("C", (4, 3, 0))
        assert design_rows(close, basis, ignore_other_elements=True).matrix.any()

    def test_an_unknown_policy_is_refused(self, basis, apart):
        with pytest.raises(ValueError, match=r"one of .*'refuse', 'skip_frame', 'lsq', 'damp'.*'ignore'"):
            design_rows(apart, basis, policy="ignore")
        with pytest.raises(ValueError, match="found 'ignore'"):
            Model(Parameters(basis, random_coefficients(basis))).evaluate(apart, policy="ignore")


class TestSkipping:
    """``skip_frame`` leaves the frame out, and the others keep their numbers."""

    def test_rows_of_the_other_frames_only(self, basis, close, apart):
        found = design_rows([apart, close, apart], basis, policy="skip_frame")
        alone = design_rows(apart, basis)
        assert found.skipped == (1,)
        assert {r.frame for r in found.rows} == {0, 2}
        assert np.array_equal(found.matrix, np.concatenate([alone.matrix] * 2))
        assert len(found.target) == len(found.rows) == len(found.matrix)

    def test_nothing_is_skipped_without_need(self, basis, apart):
        assert design_rows([apart], basis, policy="skip_frame").skipped == ()

    def test_all_frames_may_be_skipped(self, basis, close):
        found = design_rows([close], basis, policy="skip_frame")
        assert found.skipped == (0,)
        assert found.matrix.shape == (0, len(found.columns))


class TestDamping:
    """``lsq`` and ``damp`` follow the formula of chimes_lsq and of chimes_calculator."""

    @pytest.mark.parametrize("policy", ["lsq", "damp"])
    def test_rows_equal_direct_sums(self, basis, close, policy):
        found = design_rows(close, basis, policy=policy)
        expected = direct_rows(close, basis, found.columns, policy)
        assert worst(found.matrix, expected) < 1e-10

    def test_lsq_leaves_out_two_bodies_and_nothing_else(self, basis, close):
        lsq, damp = (design_rows(close, basis, policy=p) for p in ("lsq", "damp"))
        two = columns_of_body(lsq, 2)
        pairs = np.array([c.elements == ("C", "N") for c in lsq.columns])
        differs = (lsq.matrix != damp.matrix).any(axis=0)
        assert np.array_equal(differs, two & pairs)
        assert differs.sum() == 4

    def test_two_body_continuation_is_that_of_the_formula(self):
        """T₁ = s of a DEFAULT pair is −1 at rmin with slope 2 / (rmax − rmin), continued exponentially."""
        rmin, rmax, r = 1.0, 3.0, 0.985
        pair = {"rmin": rmin, "rmax": rmax, "transform": "DEFAULT"}
        basis = basis_of("C", (1, 0, 0), pairs={"CC": pair}, one_body=False)
        dimer = labelled("CC", [[0, 0, 0], [r, 0, 0]])
        decay = np.exp((r - rmin) / DAMPING)
        t, slope = -1 + DAMPING * (decay - 1), decay
        f, df = (1 - r / rmax) ** 3, -3 / rmax * (1 - r / rmax) ** 2
        found = design_rows(dimer, basis, policy="damp").matrix[:, 0]
        assert found[-1] == pytest.approx(f * t, rel=1e-12)
        assert found[0] == pytest.approx(df * t + f * slope, rel=1e-12)
        assert not design_rows(dimer, basis, policy="lsq").matrix.any()

    @pytest.mark.parametrize("policy", ["lsq", "damp"])
    def test_policies_change_nothing_outside(self, basis, apart, policy):
        found, expected = design_rows(apart, basis, policy=policy), design_rows(apart, basis)
        assert np.array_equal(found.matrix, expected.matrix)

    def test_forces_are_minus_the_gradient_inside(self, basis, close):
        design = design_rows(close, basis, policy="damp")
        expected = np.empty((15, len(design.columns)))
        h = 1e-4
        for row, (atom, axis) in enumerate(itertools.product(range(5), range(3))):
            energies = {}
            for k in (-2, -1, 1, 2):
                moved = close.positions.copy()
                moved[atom, axis] += k * h
                frame = Frame(close.species, moved, close.cell, energy=0.0)
                energies[k] = design_rows(frame, basis, policy="damp").matrix[0]
            expected[row] = (8 * (energies[-1] - energies[1]) - (energies[-2] - energies[2])) / (12 * h)
        assert worst(design.matrix[:15], expected) < 1e-6

    @pytest.mark.parametrize("policy", ["lsq", "damp"])
    def test_evaluation_equals_rows_times_coefficients(self, basis, close, policy):
        model = Model(Parameters(basis, random_coefficients(basis), Penalty(0.0, 0.01)))
        (found,) = model.evaluate(close, policy=policy)
        expected = design_rows(close, basis, policy=policy).matrix @ model.parameters.coefficients
        values = np.concatenate([found.forces.ravel(), found.stress, [found.energy]])
        assert values == pytest.approx(expected, rel=1e-9, abs=1e-9 * np.abs(expected).max())

    def test_evaluation_damps_unless_told_otherwise(self, basis, close):
        model = Model(Parameters(basis, random_coefficients(basis)))
        damp, lsq = (model.evaluate(close, policy=p)[0].energy for p in ("damp", "lsq"))
        assert model.evaluate(close)[0].energy == damp != lsq


class TestExactlyAtTheInnerCutoff:
    """A pair at r = rmin is not inside: s = ±1 there. ``lsq`` still leaves its two-body terms out."""

    @pytest.fixture
    def pair(self):
        pair = {"rmin": 1.0, "rmax": 3.0, "lambda": 1.3}
        basis = basis_of("C", (3, 3, 0), pairs={"CC": pair}, one_body=False)
        return basis, labelled("CCC", [[0, 0, 0], [1, 0, 0], [0.5, 1.5, 0]])

    def test_it_is_not_refused_and_equals_the_damped_rows(self, pair):
        basis, frame = pair
        refused = design_rows(frame, basis)
        assert np.array_equal(refused.matrix, design_rows(frame, basis, policy="damp").matrix)
        assert worst(refused.matrix, direct_rows(frame, basis, refused.columns)) < 1e-12
        assert design_rows(frame, basis, policy="skip_frame").skipped == ()

    def test_morse_polynomials_are_one_there(self, pair):
        basis, frame = pair
        dimer = labelled("CC", frame.positions[:2])
        design = design_rows(dimer, basis)
        assert design.matrix[-1, :3] == pytest.approx([(2 / 3) ** 3] * 3)

    def test_lsq_leaves_its_two_body_terms_out(self, pair):
        basis, frame = pair
        lsq = design_rows(frame, basis, policy="lsq")
        full = design_rows(frame, basis)
        two = columns_of_body(lsq, 2)
        assert worst(lsq.matrix, direct_rows(frame, basis, lsq.columns, "lsq")) < 1e-12
        assert np.array_equal(lsq.matrix[:, ~two], full.matrix[:, ~two])
        assert full.matrix[:, ~two].any()
        other_sides = labelled("CC", [[0, 0, 0], [np.hypot(0.5, 1.5), 0, 0]])
        assert lsq.matrix[-1, two] == pytest.approx(2 * design_rows(other_sides, basis).matrix[-1, two])

    def test_just_below_it_is_refused(self, pair):
        basis, _ = pair
        dimer = labelled("CC", [[0, 0, 0], [np.nextafter(1.0, 0.0), 0, 0]])
        with pytest.raises(InnerCutoffError, match="inside the inner cutoff"):
            design_rows(dimer, basis)
