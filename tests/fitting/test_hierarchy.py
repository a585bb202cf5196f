"""The climb: known coefficients are found block by block, whatever is fitted, frozen, read from a file or left free."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist import Model, columns_of
from hiertl_dist.algebra import UnsafeGram
from hiertl_dist.errors import InputError, MismatchError
from hiertl_dist.evaluation.energies import read_parts
from hiertl_dist.executors import executor
from hiertl_dist.fitting.hierarchy import fit_all_at_once, fit_hierarchy
from hiertl_dist.fitting.settings import FitSettings, HierarchyOptions
from hiertl_dist.model.parameters import Parameters, Penalty

ORDERS = (3, 2, 2)
BASIS = small_basis(ORDERS)
TRUTH = random_parameters(BASIS, 3)
FRAMES = labelled(random_frames({"C": 5, "N": 5, "CN": 8}), TRUTH)
ONLY_CN = [f for f in FRAMES if len(f.elements) == 2]
EXACT = 1e-6
"""Coefficients of order one come back this well: four-body columns are small, and 1e-16 of a force is what is left."""


@pytest.fixture
def serial():
    return executor("serial")


def part(*blocks, source="part"):
    """The true model of some blocks, on the elements that it has."""
    found = TRUTH.restricted(set(blocks))
    basis = found.basis.restricted(set().union(*(t.elements for t in found.basis.types)))
    return Parameters(basis, found.coefficients, source=source)


def assert_truth(parameters, truth=TRUTH, atol=EXACT):
    """All coefficients of the truth, column by column, and no others."""
    expected, found = truth.as_dict(), parameters.as_dict()
    assert expected.keys() == found.keys()
    np.testing.assert_allclose([found[c] for c in expected], list(expected.values()), rtol=0, atol=atol)


def noisy(frames, scale=0.3):
    return [
        replace(f, forces=f.forces + np.random.default_rng(i).normal(scale=scale, size=f.forces.shape))
        for i, f in enumerate(frames)
    ]


def largest_force_error(model, frames):
    return max(np.abs(e.forces - f.forces).max() for f, e in zip(frames, model.evaluate(frames), strict=True))


# ---- what is fitted


def test_two_elements_are_found_again(serial):
    told, done = [], []
    fit = fit_hierarchy(FRAMES, BASIS, executor=serial, tell=told.append, done=done.append)
    assert list(fit.fits) == ["C", "N", "CN"]
    assert done == list(fit.fits.values())
    assert told == [
        "block C: nothing frozen", "block N: nothing frozen", "C, N: fitted side by side", "block C is fitted",
        "block N is fitted", "block CN: fit of C, fit of N frozen",
    ]  # fmt: skip
    for block, own in fit.fits.items():
        assert_truth(own.solution.parameters, part(block))
        assert own.solution.rmse < 1e-10
    assert_truth(fit.model.parameters)
    assert set(fit.fits["CN"].solution.frozen) == {"fit of C", "fit of N"}


def test_three_elements_have_seven_blocks(serial):
    basis = small_basis((3, 2, 2), ("C", "N", "O"))
    truth = random_parameters(basis, 5)
    counts = dict.fromkeys(("C", "N", "O", "CN", "CO", "NO"), 6) | {"CNO": 8}
    fit = fit_hierarchy(labelled(random_frames(counts), truth), basis, executor=serial)
    assert list(fit.fits) == ["C", "N", "O", "CN", "CO", "NO", "CNO"]
    assert set(fit.fits["NO"].solution.frozen) == {"fit of N", "fit of O"}
    assert len(fit.fits["CNO"].solution.frozen) == 6
    assert_truth(fit.model.parameters, truth, atol=1e-5)
    columns = {b: f.solution.n_columns for b, f in fit.fits.items()}
    assert sum(columns.values()) == len(columns_of(basis))
    assert columns["CNO"] > columns["CN"] > columns["C"]


def test_each_block_learns_from_its_own_frames_alone(serial):
    spoilt = [replace(f, forces=-7.0 * f.forces) if f.elements == {"N"} else f for f in FRAMES]
    fit = fit_hierarchy(spoilt, BASIS, executor=serial)
    assert_truth(fit.fits["C"].solution.parameters, part("C"))
    assert np.abs(fit.fits["N"].solution.parameters.coefficients - part("N").coefficients).max() > 1.0
    used = [f.origin for f in fit.fits["N"].plan.segments[0].frames]
    assert used == [f.origin for f in spoilt if f.elements == {"N"}]


def test_a_store_gives_the_bits_of_streaming(serial, tmp_path):
    fits = [
        fit_hierarchy(noisy(FRAMES), BASIS, options=HierarchyOptions(store=where), executor=serial)
        for where in (None, tmp_path / "store")
    ]
    np.testing.assert_array_equal(*(f.model.parameters.coefficients for f in fits))


def test_only_some_blocks_are_fitted(serial):
    fit = fit_hierarchy(FRAMES, BASIS, options=HierarchyOptions(only=["N"]), executor=serial)
    assert list(fit.fits) == ["N"]
    assert_truth(fit.model.parameters, part("N"))
    assert fit.model.elements == ("N",)


def test_a_frozen_block_may_be_fitted_anew(serial):
    """And is then what later blocks see, not the file."""
    wrong = replace(part("C"), coefficients=part("C").coefficients + 1.0)
    fit = fit_hierarchy(FRAMES, BASIS, frozen=[wrong], options=HierarchyOptions(only=["C", "N", "CN"]), executor=serial)
    assert_truth(fit.model.parameters)


def test_a_frozen_block_left_free_is_later_what_was_fitted(serial):
    basis = small_basis((2, 2, 0), ("C", "N", "O"))
    truth = random_parameters(basis, 5)
    frames = labelled(random_frames({"O": 5, "CN": 8, "CO": 8, "NO": 8, "CNO": 8}), truth)
    own = truth.restricted({"C", "N"})
    wrong = replace(own, coefficients=own.coefficients + np.array([c.block == "C" for c in own.columns]), source="both")
    options, told = HierarchyOptions(partial={"CN": ["C"]}), []
    fit = fit_hierarchy(frames, basis, frozen=[wrong], options=options, executor=serial, tell=told.append)
    assert_truth(fit.model.parameters, truth, atol=1e-5)
    assert "note: partial fits C anew, in place of what both has of it" in told


def test_a_frozen_file_of_which_nothing_would_be_used_is_refused(serial):
    for free in (["C"], ["C", "N"]):
        with pytest.raises(InputError, match="partial: C is left free, and so nothing of the frozen whole would be"):
            fit_hierarchy(
                FRAMES, BASIS, frozen=[part("C", source="whole")], options=HierarchyOptions(partial={"CN": free}),
                executor=serial,
            )  # fmt: skip


def test_settings_of_single_blocks(serial):
    ridge = FitSettings({"kind": "ridge", "alpha": 10.0})
    options = HierarchyOptions(block_settings={"N": ridge}, settings=FitSettings(penalty=Penalty(1e6, 0.02)))
    fit = fit_hierarchy(FRAMES, BASIS, options=replace(options, only=["C"]), executor=serial)
    assert fit.fits["C"].solution.regulariser["kind"] == "none"
    assert fit.model.parameters.penalty == Penalty(1e6, 0.02)
    fit = fit_hierarchy(FRAMES, BASIS, options=replace(options, only=["N"]), executor=serial)
    assert fit.fits["N"].solution.regulariser == {"kind": "ridge", "alpha": 10.0}
    assert np.linalg.norm(fit.model.parameters.coefficients) < np.linalg.norm(part("N").coefficients)


def test_weights_of_a_source_concern_the_blocks_that_have_it(serial):
    frames = [replace(f, group="pure" if f.elements == {"C"} and i % 2 else "all") for i, f in enumerate(noisy(FRAMES))]
    weights = {"energy": 2.0, "pure": 5.0, "pure/stress": 3.0}
    fit = fit_hierarchy(frames, BASIS, options=HierarchyOptions(FitSettings(weights=weights)), executor=serial)
    assert fit.fits["C"].solution.weights == weights
    assert fit.fits["N"].solution.weights == fit.fits["CN"].solution.weights == {"energy": 2.0}
    options = HierarchyOptions(FitSettings(weights={"pur": 5.0}))
    with pytest.raises(ValueError, match="weights: 'pur' names no kind or source"):
        fit_hierarchy(frames, BASIS, options=options, executor=serial)


def test_frames_with_fewer_elements_join_by_option(serial):
    settings = FitSettings(include_fewer=True)
    options = HierarchyOptions(block_settings={"CN": settings}, partial={"CN": ["C", "N"]}, only=["CN"])
    fit = fit_hierarchy(FRAMES, BASIS, options=options, executor=serial)
    assert fit.fits["CN"].solution.rows == sum(3 * len(f) + 7 for f in FRAMES)
    assert_truth(fit.model.parameters)
    without = fit_hierarchy(FRAMES, BASIS, options=replace(options, block_settings={}), executor=serial)
    assert without.fits["CN"].solution.rows == sum(3 * len(f) + 7 for f in ONLY_CN)


# ---- what is frozen


def test_a_parameter_file_instead_of_a_fit(serial, tmp_path):
    Model(part("C")).write(tmp_path / "C.params.txt")
    frozen = [read_parts(tmp_path / "C.params.txt")]
    frames = [f for f in FRAMES if f.elements != {"C"}]  # not needed for C, for it is not fitted
    fit = fit_hierarchy(frames, BASIS, frozen=frozen, executor=serial)
    assert list(fit.fits) == ["N", "CN"]
    assert fit.frozen == tuple(frozen)
    assert fit.fits["CN"].solution.frozen[str(tmp_path / "C.params.txt")] == frozen[0].digest
    assert_truth(fit.model.parameters)


def test_a_solution_file_instead_of_a_fit(serial, tmp_path):
    first = fit_hierarchy(FRAMES, BASIS, options=HierarchyOptions(only=["C", "N"]), executor=serial)
    for block, own in first.fits.items():
        own.solution.save(tmp_path / f"{block}.npz")
    frozen = [read_parts(tmp_path / f"{b}.npz") for b in ("C", "N")]
    fit = fit_hierarchy(ONLY_CN, BASIS, frozen=frozen, executor=serial)
    assert list(fit.fits) == ["CN"]
    at_once = fit_hierarchy(FRAMES, BASIS, executor=serial)
    np.testing.assert_array_equal(fit.model.parameters.coefficients, at_once.model.parameters.coefficients)
    assert fit.model.coverage == at_once.model.coverage


def test_what_is_frozen_changes_the_fit(serial):
    wrong = replace(part("C"), coefficients=part("C").coefficients + 1.0)
    fit = fit_hierarchy(ONLY_CN, BASIS, frozen=[wrong, part("N")], executor=serial)
    assert np.abs(fit.fits["CN"].solution.parameters.coefficients - part("CN").coefficients).max() > 0.1
    found = fit.model.parameters.as_dict()
    assert all(found[c] == v for c, v in wrong.as_dict().items())


def test_a_lower_order_may_be_frozen_and_counts_as_zero(serial):
    low_basis = small_basis((2, 2, 0), ("C",))
    low = Parameters(low_basis, np.random.default_rng(1).normal(size=len(columns_of(low_basis))), source="low")
    zeros = dict.fromkeys(TRUTH.restricted({"C"}).as_dict(), 0.0) | low.as_dict()
    padded = [zeros.get(c, TRUTH.as_dict()[c]) for c in columns_of(BASIS)]
    truth = Parameters(BASIS, np.array(padded))
    fit = fit_hierarchy(labelled(FRAMES, truth), BASIS, frozen=[low], executor=serial)
    assert_truth(fit.fits["CN"].solution.parameters, part("CN"))
    found = fit.model.parameters.as_dict()
    assert not any(c.elements == ("C",) * 4 for c in found)
    assert {c: found[c] for c in low.as_dict()} == low.as_dict()


def test_a_higher_order_is_refused_with_both(serial):
    high = random_parameters(small_basis((4, 2, 2), ("C",)))
    with pytest.raises(MismatchError, match="type CC, order: the basis has 3, truth 0 has 4"):
        fit_hierarchy(ONLY_CN, BASIS, frozen=[high, part("N")], executor=serial)


def test_types_that_the_basis_excludes_are_the_frozen_files(serial):
    """As in an fm_setup.in of chimes_lsq, which does not state orders and cutoffs of what it excludes."""
    kept = BASIS.with_types(t for t in BASIS.types if t.block == "CN")
    own = small_basis((5, 3, 2), ("C",), three_body={"rmax": 4.1})
    frozen = [random_parameters(own, 8), part("N")]
    truth = Parameters(
        Model.merge([Model(f) for f in (*frozen, part("CN"))]).parameters.basis,
        Model.merge([Model(f) for f in (*frozen, part("CN"))]).parameters.coefficients,
    )
    fit = fit_hierarchy(labelled(ONLY_CN, truth), kept, frozen=frozen, executor=serial)
    assert list(fit.fits) == ["CN"]
    assert_truth(fit.model.parameters, truth)
    found = fit.model.parameters.basis
    assert found.type_named("CC").order == 5
    assert found.type_named("CCC").edge("C", "C").rmax == 4.1
    assert found.type_named("CCN").edge("C", "C").rmax == 4.7


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"rmin": 0.8}, "pair CC, rmin (Å): the basis has 0.9, truth 0 has 0.8"),
        ({"rmax": 5.5}, "pair CC, rmax (Å): the basis has 5.0, truth 0 has 5.5"),
        ({"cutoff": "TERSOFF 0.5"}, "cutoff function: the basis has CUBIC, truth 0 has TERSOFF 0.5"),
        ({"three_body": {"rmax": 4.6}}, "type CCC, rmax (Å) of its CC edges: the basis has 4.7, truth 0 has 4.6"),
        ({"four_body": {"rmin": 1.0, "rmax": 4.4}}, "type CCCC, rmin (Å) of its CC edges: the basis has 0.9, "
                                                    "truth 0 has 1.0"),
        ({"pairs": {"CC": {"rmin": 0.9, "rmax": 5.0, "lambda": 1.25}}}, "pair CC, λ (Å): the basis has 1.2, "
                                                                       "truth 0 has 1.25"),
        ({"pairs": {"CC": {"rmin": 0.9, "rmax": 5.0, "transform": "INVRSE_R"}}}, "pair CC, transform: the basis has "
                                                                                 "MORSE, truth 0 has INVRSE_R"),
    ],
    ids=["rmin", "rmax", "cutoff function", "three-body", "four-body", "lambda", "transform"],
)  # fmt: skip
def test_a_mismatch_names_both_values(serial, change, text):
    frozen = random_parameters(small_basis(ORDERS, ("C",), **change))
    with pytest.raises(MismatchError) as caught:
        fit_hierarchy(ONLY_CN, BASIS, frozen=[frozen, part("N")], executor=serial)
    assert text in str(caught.value)


def test_the_same_terms_in_two_frozen_files_are_refused(serial):
    """ALC-3 of al_driver: an additive residual that has terms of other blocks, too."""
    with pytest.raises(MismatchError, match=r"both C\.params and ALC have C"):
        fit_hierarchy(ONLY_CN, BASIS, frozen=[part("C", source="C.params"), part("C", "N", source="ALC")],
                      executor=serial)  # fmt: skip


# ---- what is left free


def test_lower_blocks_may_be_left_free(serial):
    options = HierarchyOptions(partial={"CN": ["C"]}, only=["CN"])
    told = []
    fit = fit_hierarchy(
        FRAMES, BASIS, frozen=[part("N", source="N")], options=options, executor=serial, tell=told.append
    )
    assert told[-1] == "block CN: N frozen, C left free"
    unused = "5 frames of {} not used: no block that is fitted has exactly these elements"
    assert told[:-1] == [unused.format(e) for e in "CN"]
    solution = fit.fits["CN"].solution
    assert solution.blocks == ("C", "CN")
    assert set(solution.frozen) == {"N"}
    assert largest_force_error(fit.model, ONLY_CN) < 1e-8
    assert_truth(fit.model.parameters, atol=1e-5)


def test_what_was_refitted_replaces_what_was_fitted(serial):
    options = HierarchyOptions(partial={"CN": ["C", "N"]})
    frames = [replace(f, forces=2.0 * f.forces) if len(f.elements) == 1 else f for f in FRAMES]
    fit = fit_hierarchy(frames, BASIS, options=options, executor=serial)
    assert fit.fits["CN"].solution.frozen == {}
    assert largest_force_error(fit.model, ONLY_CN) < 1e-8
    own, refitted = (f.restricted({"C"}).as_dict() for f in (
        fit.fits["C"].solution.parameters, fit.fits["CN"].solution.parameters))  # fmt: skip
    assert max(abs(own[c] - refitted[c]) for c in own) > 0.1
    assert fit.model.parameters.restricted({"C"}).as_dict() == refitted


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"partial": {"C": ["N"]}}, "partial: N is not a lower block of C"),
        ({"partial": {"CN": ["CN"]}}, "partial: CN is not a lower block of CN"),
        ({"only": ["CO"]}, "only: ['CO'] are not blocks of the basis, which has ['C', 'N', 'CN']"),
        ({"block_settings": {"O": FitSettings()}}, "settings of blocks: ['O'] are not blocks"),
    ],
)
def test_options_that_name_no_block_are_refused(serial, options, text):
    with pytest.raises(InputError) as caught:
        fit_hierarchy(FRAMES, BASIS, options=HierarchyOptions(**options), executor=serial)
    assert text in str(caught.value)


def test_a_free_block_must_be_in_the_basis(serial):
    kept = BASIS.with_types(t for t in BASIS.types if t.block != "C")
    options = HierarchyOptions(partial={"CN": ["C"]})
    with pytest.raises(InputError, match="partial: block C is only in a frozen file"):
        fit_hierarchy(FRAMES, kept, frozen=[part("C")], options=options, executor=serial)


def test_nothing_to_fit_is_refused(serial):
    with pytest.raises(InputError, match="nothing to fit: frozen files hold every block of the basis, C, N, CN"):
        fit_hierarchy(FRAMES, BASIS, frozen=[part("C", "N", "CN")], executor=serial)


# ---- the model, and what is kept


def test_blocks_that_share_no_pair_make_a_file(serial, tmp_path):
    """C and N without CN: the file has the cutoffs of the pair CN all the same."""
    fit = fit_hierarchy(FRAMES, BASIS, options=HierarchyOptions(only=["C", "N"]), executor=serial)
    fit.model.write(tmp_path / "model.params.txt")
    found = Model.read(tmp_path / "model.params.txt").parameters
    assert found.as_dict() == fit.model.parameters.as_dict()
    assert {p.name: p for p in found.basis.pairs} == {p.name: p for p in BASIS.pairs}


def test_the_model_is_the_sum_of_its_blocks(serial):
    fit = fit_hierarchy(noisy(FRAMES), BASIS, executor=serial)
    whole = fit.model.evaluate(FRAMES)
    parts = [
        Model(f.solution.parameters).evaluate(FRAMES, ignore_other_elements=True, missing="zero")
        for f in fit.fits.values()
    ]
    for i, found in enumerate(whole):
        for what in ("energy", "forces", "stress"):
            total = sum(getattr(p[i], what) for p in parts)
            np.testing.assert_allclose(total, getattr(found, what), rtol=0, atol=1e-9 * np.abs(total).max())


def test_all_at_once_is_the_same_without_noise(serial):
    together = fit_all_at_once(FRAMES, BASIS, executor=serial)
    assert together.solution.blocks == ("C", "N", "CN")
    assert together.solution.block == "CN"
    assert together.solution.rows == sum(3 * len(f) + 7 for f in FRAMES)
    assert_truth(together.solution.parameters)


def test_all_at_once_fits_the_noise_better(serial):
    frames = noisy(FRAMES)
    models = [
        fit_hierarchy(frames, BASIS, executor=serial).model,
        Model(fit_all_at_once(frames, BASIS, executor=serial).solution.parameters),
    ]
    hierarchical, together = (
        sum(((e.forces - f.forces) ** 2).sum() for f, e in zip(frames, m.evaluate(frames), strict=True)) for m in models
    )
    assert together < hierarchical < 2.0 * together


def test_what_is_computed_is_kept_when_a_later_block_fails(serial):
    done = []
    refused = FitSettings(method="gram", weights={"force": 0.0, "stress": 0.0})
    with pytest.raises(UnsafeGram):
        fit_hierarchy(
            FRAMES, BASIS, options=HierarchyOptions(block_settings={"N": refused}), executor=serial, done=done.append
        )
    assert [f.solution.block for f in done] == ["C"]
    assert_truth(done[0].solution.parameters, part("C"))
