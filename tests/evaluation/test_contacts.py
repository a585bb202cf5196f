"""Pairs inside an inner cutoff: refused, left out with their frame, or damped, as the policy says."""

from __future__ import annotations

import itertools
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import DAMPING, basis_of, direct_rows, labelled, random_coefficients, worst

from hiertl_dist import Basis, Frame, Model, design_rows, survey
from hiertl_dist.cli.commands import main
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.errors import InnerCutoffError
from hiertl_dist.evaluation.contacts import Contact, check_contacts
from hiertl_dist.executors import SerialExecutor, executor
from hiertl_dist.fitting.hierarchy import fit_all_at_once, fit_hierarchy
from hiertl_dist.fitting.settings import FitSettings, HierarchyOptions
from hiertl_dist.fitting.summary_pass import summarise
from hiertl_dist.model.parameters import Parameters, Penalty
from hiertl_dist.model.walls import propose_wall
from hiertl_dist.suggestion.suggesting_basis import choose_pairs

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
        with pytest.raises(InnerCutoffError, match=r"^2 pairs of atoms in 1 frame inside an inner cutoff:"):
            design_rows(chain, basis)
        model = Model(Parameters(basis, random_coefficients(basis)))
        message = r"atoms 0 \(C\) and 1 \(C\).*\(2 such pairs; policy 'refuse'\)"
        with pytest.raises(InnerCutoffError, match=message):
            model.evaluate(chain, policy="refuse")

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


# ---- the shortest distance of each pair of elements over all frames, for all blocks at once

TABLE = {
    "elements": ["C", "N"], "orders": [3, 3, 2], "three_body": {"rmax": 3.4}, "four_body": {"rmax": 3.2},
    "pairs": {
        "CC": {"rmin": 1.0, "rmax": 4.0, "lambda": 1.4}, "CN": {"rmin": 1.1, "rmax": 4.0, "lambda": 1.3},
        "NN": {"rmin": 0.8, "rmax": 4.0, "lambda": 1.2},
    },
}  # fmt: skip
ALL = Basis.from_dict(TABLE)
SERIAL = SerialExecutor()


def chain(species, *gaps, origin, group="all"):
    """Atoms in a row, these distances apart, each 20 Å from its images."""
    places = np.cumsum([0.0, *gaps])
    positions = np.stack([places, np.zeros(len(places)), np.zeros(len(places))], axis=1)
    return labelled(species, positions, 30.0 * np.eye(3), origin=origin, group=group)


def data():
    """Pure and mixed frames; C–C is shortest in a mixture, N–N and C–N are too short in one frame each."""
    return [
        chain("CCC", 1.40, 1.45, origin="a.xyz, frame 1"),
        chain("CCC", 1.10, 1.50, origin="a.xyz, frame 2"),
        chain("NNN", 1.30, 1.20, origin="a.xyz, frame 3"),
        chain("NNN", 0.75, 1.60, origin="a.xyz, frame 4"),
        chain("CCNN", 0.95, 1.50, 1.12, origin="a.xyz, frame 5"),
        chain("CNCC", 1.05, 1.40, 1.30, origin="a.xyz, frame 6"),
    ]


def shortest(frames, pair, members=("CN",)):
    """The shortest distance of a pair, its frame and atoms, by comparing every two atoms."""
    found = []
    for frame in frames:
        if set("".join(members)) <= set(frame.elements):
            for i, j in itertools.combinations(range(len(frame)), 2):
                if sorted((frame.species[i], frame.species[j])) == sorted(pair):
                    found.append((abs(frame.positions[i, 0] - frame.positions[j, 0]), frame.origin, (i, j)))
    return min(found)


def within(contacts):
    return {(c.pair, c.rmin): c for c in contacts}


class TestContacts:
    """Shortest distances against inner cutoffs: what plans show and refusals say."""

    def test_of_each_pair_over_all_frames(self):
        found = within(make_plan(data(), ALL, policy="damp").contacts)
        assert [c[0] for c in found] == ["CC", "NN", "CN"]
        for (pair, _), contact in found.items():
            distance, frame, atoms = shortest(data(), pair, ("",))
            assert contact.distance == pytest.approx(distance, rel=1e-12)
            assert (contact.frame, contact.atoms) == (frame, atoms)
        assert [c.inside for c in found.values()] == [True, True, True]
        assert [c.largest_rmin for c in found.values()] == [0.94, 0.74, 1.04]
        assert found["CC", 1.0].types == ("CC", "CCC", "CCN", "CCCC", "CCCN", "CCNN")

    def test_the_rmin_that_would_do_does_and_is_the_largest_with_two_decimals(self):
        contacts = make_plan(data(), ALL, policy="damp").contacts
        pairs = {c.pair: TABLE["pairs"][c.pair] | {"rmin": c.largest_rmin} for c in contacts}
        assert make_plan(data(), Basis.from_dict(TABLE | {"pairs": pairs})).inside == ()
        for c in contacts:
            more = pairs | {c.pair: pairs[c.pair] | {"rmin": c.largest_rmin + 0.02}}
            with pytest.raises(InnerCutoffError, match=f"{c.pair}: .* TOO LARGE"):
                make_plan(data(), Basis.from_dict(TABLE | {"pairs": more}))

    @given(distance=st.floats(0.0, 10.0))
    @settings(derandomize=True, database=None)
    def test_it_lies_a_little_below_the_shortest_distance(self, distance):
        found = Contact("CC", 1.0, ("CC",), distance=distance).largest_rmin
        assert found == round(found, 2) >= 0.0
        assert distance - 0.012 < found
        assert found == 0.0 or found < distance

    def test_the_rule_is_that_of_init(self):
        """Of the same frames the plan names the rmin that init takes."""
        found = {p.name: p.rmin for p in choose_pairs(survey(data()).pairs)[0]}
        assert {c.pair: c.by_rule for c in make_plan(data(), ALL, policy="damp").contacts} == found
        assert math.isnan(Contact("CC", 1.0, ("CC",)).by_rule)

    def test_an_inner_cutoff_of_some_types_counts_where_these_occur(self):
        types = {"CCN": {"rmin": {"CC": 1.2}}}
        found = within(make_plan(data(), Basis.from_dict(TABLE | {"types": types}), policy="damp").contacts)
        assert found["CC", 1.2].types == ("CCN",)
        assert found["CC", 1.2].distance == pytest.approx(0.95)
        pure = data()[:4]
        found = within(make_plan(pure, Basis.from_dict(TABLE | {"types": types}), policy="damp").contacts)
        assert found["CC", 1.0].distance == pytest.approx(1.10)
        assert np.isnan(found["CC", 1.2].distance)
        assert not found["CC", 1.2].inside
        assert str(found["CC", 1.2]) == "CC: no two atoms within reach; rmin 1.2 Å (CCN)"

    def test_images_count(self):
        frame = labelled("CC", [[0.1, 0, 0], [3.4, 0, 0]], np.diag([4.2, 30.0, 30.0]), origin="x")
        (found, *_) = make_plan([frame], ALL, policy="damp").contacts
        assert (found.pair, found.atoms) == ("CC", (0, 1))
        assert found.distance == pytest.approx(0.9)

    def test_frozen_models_have_rows_of_their_own(self):
        truth = Parameters(ALL, random_coefficients(ALL), source="C and N").restricted({"C", "N"})
        own = ALL.with_types(t for t in ALL.types if t.block == "CN")
        found = make_plan(data()[4:], own, frozen=[truth], policy="damp").contacts
        assert [(c.pair, c.source) for c in found] == [
            ("CC", ""), ("NN", ""), ("CN", ""), ("CC", truth.source), ("NN", truth.source)
        ]  # fmt: skip
        assert found[3].distance == pytest.approx(0.95)
        with pytest.raises(InnerCutoffError, match=rf"CC: 0\.9500 .* \(CC, CCC, CCCC of {re.escape(truth.source)}\)"):
            make_plan(data()[4:], own, frozen=[truth])


def check_refusal(error):
    """The contacts of every pair of elements are in the message, whatever block is fitted first."""
    text = str(error)
    assert text.startswith("4 pairs of atoms in 4 frames inside an inner cutoff:\n  a.xyz, frame ")
    for line in (
        "CC: 0.9500 Å in a.xyz, frame 5 (atoms 0 and 1); rmin 1 Å (CC, CCC, CCN, CCCC …): TOO LARGE, up to 0.94 Å",
        "NN: 0.7500 Å in a.xyz, frame 4 (atoms 0 and 1); rmin 0.8 Å (NN, CNN, NNN, CCNN …): TOO LARGE, up to 0.74 Å",
        "CN: 1.0500 Å in a.xyz, frame 6 (atoms 0 and 1); rmin 1.1 Å (CN, CCN, CNN, CCCN …): TOO LARGE, up to 1.04 Å",
    ):
        assert line in text
    assert "skip_frame, lsq or damp" in text
    assert [c.pair for c in error.contacts] == ["CC", "NN", "CN"]


FRAMES = [*data(), chain("CNC", 1.09, 1.40, origin="a.xyz, frame 7")]


class TestBeforeAnythingIsFitted:
    """The refusal names every pair of every block, and comes first."""

    @pytest.mark.parametrize("call", [
        lambda frames: fit_hierarchy(frames, ALL, executor=SERIAL),
        lambda frames: fit_all_at_once(frames, ALL, executor=SERIAL),
        lambda frames: make_plan(frames, ALL),
        lambda frames: make_plan(frames, ALL, executor=SERIAL),
        lambda frames: design_rows(frames, ALL),
        lambda frames: summarise(frames, ALL, executor=SERIAL, folds=None),
    ], ids=["hierarchy", "together", "plan", "plan with executor", "design_rows", "summarise"])  # fmt: skip
    def test_whoever_refuses(self, call):
        with pytest.raises(InnerCutoffError) as caught:
            call(FRAMES)
        check_refusal(caught.value)

    def test_no_block_is_fitted(self):
        """Pure frames are fine; the first mixed one is not."""
        frames = [f for f in FRAMES if f.origin not in ("a.xyz, frame 4",)]
        fitted = []
        with pytest.raises(InnerCutoffError, match=r"CC: 0\.9500"):
            fit_hierarchy(frames, ALL, executor=SERIAL, tell=fitted.append, done=fitted.append)
        assert fitted == []

    def test_the_policy_of_each_block_decides(self):
        frames = [f for f in FRAMES if f.origin != "a.xyz, frame 4"]
        ridge = FitSettings({"kind": "ridge", "alpha": 1e-3})
        options = HierarchyOptions(ridge, {"CN": replace(ridge, policy="damp")})
        fit = fit_hierarchy(frames, ALL, options=options, executor=SERIAL)
        assert list(fit.fits) == ["C", "N", "CN"]
        with pytest.raises(InnerCutoffError, match=r"^1 pair of atoms in 1 frame"):  # N's own frame is refused
            fit_hierarchy(FRAMES, ALL, options=options, executor=SERIAL)

    def test_frames_of_no_block_and_without_labels_do_not_count(self):
        bare = FRAMES[3].without_labels(energy=True, forces=True, stress=True)
        check_contacts([bare], ALL, ["N"], refused={"N"})
        check_contacts(FRAMES, ALL, ["N"], refused=set())
        with pytest.raises(InnerCutoffError):
            check_contacts(FRAMES, ALL, ["N"], refused={"N"})

    def test_other_executors_say_the_same(self, two_processes):
        with executor("dask", workers=2) as dask:
            for runner in (two_processes, dask):
                with pytest.raises(InnerCutoffError) as caught:
                    fit_hierarchy(FRAMES, ALL, executor=runner)
                check_refusal(caught.value)

    def test_on_the_command_line(self, tmp_path, capsys):
        lines = []
        for frame in FRAMES:
            lines += [str(len(frame)), 'Lattice="30 0 0 0 30 0 0 0 30" Properties=species:S:1:pos:R:3 energy=1.0']
            lines += [f"{s} {x} {y} {z}" for s, (x, y, z) in zip(frame.species, frame.positions, strict=True)]
        (tmp_path / "a.xyz").write_text("\n".join(lines) + "\n")
        pairs = "\n".join(
            f"{k} = {{ rmin = {p['rmin']}, rmax = 4.0, lambda = {p['lambda']} }}" for k, p in TABLE["pairs"].items()
        )
        text = f'[basis]\nelements = ["C", "N"]\norders = [3, 3, 2]\n[basis.pairs]\n{pairs}\n[[data]]\npath = "a.xyz"\n'
        end = '[executor]\nkind = "serial"\n'
        path = tmp_path / "input.toml"
        path.write_text(text + end)
        for verb in ("plan", "fit"):
            assert main([verb, str(path)]) == 2
            said = capsys.readouterr().err
            for line in ("CC: 0.9500 Å", "NN: 0.7500 Å", "CN: 1.0500 Å", "up to 0.94 Å would do"):
                assert line in said
        assert not (tmp_path / "results").exists()
        assert main(["plan", str(path), "--json"]) == 2
        found = json.loads(capsys.readouterr().out)
        assert [(c["pair"], c["rmin"], c["rmin_that_would_do"]) for c in found["inner_cutoffs"]] == [
            ("CC", 1.0, 0.94), ("NN", 0.8, 0.74), ("CN", 1.1, 1.04)
        ]  # fmt: skip
        path.write_text(text + '[fit]\npolicy = "damp"\n' + end)
        assert main(["plan", str(path)]) == 0
        table = capsys.readouterr().out.splitlines()[-3:]
        wall = propose_wall({("C", "C"): 0.95, ("N", "N"): 0.75, ("C", "N"): 1.05})
        by_rule = {"".join(p): rmin for p, rmin in wall.inner.items()}
        for row, (pair, distance, number, rmin, enough, types) in zip(table, [
            ("CC", 0.95, "5", 1.0, 0.94, "CC, CCC, CCN, CCCC …"), ("NN", 0.75, "4", 0.8, 0.74, "NN, CNN, NNN, CCNN …"),
            ("CN", 1.05, "6", 1.1, 1.04, "CN, CCN, CNN, CCCN …"),
        ], strict=True):  # fmt: skip
            words = row.split()
            assert words[0] == pair
            assert words[2:6] == ["a.xyz,", "frame", f"{number},", "line"]
            assert words[7:9] == ["(0,", "1)"]
            assert [float(words[k]) for k in (1, 9, 10)] == pytest.approx([distance, rmin, enough])
            assert float(words[11]) == by_rule[pair]
            assert " ".join(words[12:]) == types
        assert main(["plan", str(path), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["inner_cutoffs"]
        assert found[1] == {
            "pair": "NN", "shortest": pytest.approx(0.75), "frame": "a.xyz, frame 4, line 16", "atoms": [0, 1],
            "rmin": 0.8, "rmin_that_would_do": 0.74, "rmin_by_rule": pytest.approx(0.41, abs=0.04), "inside": True,
            "types": ["NN", "CNN", "NNN", "CCNN", "CNNN", "NNNN"], "source": "",
        }  # fmt: skip
