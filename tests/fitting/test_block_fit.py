"""``fit_block``: known coefficients are found again; frozen models are offsets; mismatches name both values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import labelled, n_columns, random_frames, random_parameters, small_basis

from hiertl_dist import Basis, columns_of, design_rows, summarise, view
from hiertl_dist import solve as solve_view
from hiertl_dist.algebra import NoRegularisation, UnsafeGram
from hiertl_dist.algebra.solve import solve
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.errors import InnerCutoffError, InputError, MismatchError, ParameterFileError
from hiertl_dist.executors import SerialExecutor, executor
from hiertl_dist.fitting.block_fit import check_frozen, fit_block
from hiertl_dist.fitting.reduction import reduce_rows
from hiertl_dist.fitting.settings import FitSettings
from hiertl_dist.fitting.views import combine, whole_view
from hiertl_dist.frames.rows import kind_codes
from hiertl_dist.model.one_body import one_body_values
from hiertl_dist.model.parameters import Parameters, Penalty
from hiertl_dist.model.solution import Solution

BASIS = small_basis()
TRUTH = random_parameters(BASIS, 1)
FRAMES = labelled(random_frames({"C": 8, "N": 8, "CN": 14}, groups=("liquid", "solid")), TRUTH)
NOISY = [
    replace(f, forces=f.forces + np.random.default_rng(i).normal(scale=0.3, size=f.forces.shape))
    for i, f in enumerate(FRAMES)
]
FROZEN = [replace(TRUTH.restricted({b}), source=f"model {b}") for b in ("C", "N")]


@pytest.fixture
def serial():
    return executor("serial")


def coefficients(fit):
    return fit.solution.parameters.coefficients


def of_blocks(*blocks):
    """The true coefficients of some blocks, in the order of a solution's basis."""
    return TRUTH.restricted(set(blocks)).coefficients


@pytest.mark.parametrize("keep", [False, True], ids=["streaming", "kept"])
@pytest.mark.parametrize("block", ["C", "N"])
def test_a_block_of_one_element_is_found_again(serial, tmp_path, block, keep):
    fit = fit_block(FRAMES, BASIS, block, executor=serial, store=tmp_path / "store" if keep else None)
    np.testing.assert_allclose(coefficients(fit), of_blocks(block), rtol=0, atol=1e-7)
    solution = fit.solution
    assert solution.parameters.basis == BASIS.restricted(block)
    assert solution.blocks == (block,)
    assert solution.rank == solution.n_columns == n_columns(BASIS, [block])
    assert solution.rmse < 1e-12
    assert (fit.assembly is not None) == keep


ZERO = FitSettings(missing_energies="zero")
"""Fits upon nothing: energies of free atoms are taken to be zero."""


@pytest.mark.parametrize("method", ["rfactor", "gram", "auto"])
def test_a_block_is_found_again_with_others_frozen(serial, method):
    fit = fit_block(FRAMES, BASIS, "CN", frozen=FROZEN, settings=FitSettings(method=method), executor=serial)
    np.testing.assert_allclose(coefficients(fit), of_blocks("CN"), rtol=0, atol=1e-6 if method == "rfactor" else 1e-3)
    assert fit.solution.frozen == {"model C": FROZEN[0].digest, "model N": FROZEN[1].digest}
    assert fit.solution.parameters.basis.elements == ("C", "N")
    assert {t.block for t in fit.solution.parameters.basis.types} == {"CN"}
    assert fit.solution.method == {"auto": "gram"}.get(method, method)


def test_one_frozen_model_of_both_elements_is_the_same(serial):
    both = TRUTH.restricted({"C", "N"})
    apart, together = (fit_block(NOISY, BASIS, "CN", frozen=f, executor=serial) for f in (FROZEN, [both]))
    np.testing.assert_allclose(coefficients(apart), coefficients(together), rtol=1e-9, atol=0)


def test_freezing_changes_the_answer(serial):
    frozen, alone = (fit_block(FRAMES, BASIS, "CN", frozen=f, settings=ZERO, executor=serial) for f in (FROZEN, []))
    assert np.abs(coefficients(frozen) - coefficients(alone)).max() > 0.1
    assert alone.solution.rmse > 1e3 * frozen.solution.rmse


def test_offsets_equal_freezing_the_columns_of_a_summary(serial):
    fit = fit_block(NOISY, BASIS, "CN", frozen=FROZEN, settings=FitSettings(weights={}), executor=serial)
    plan = make_plan([f for f in NOISY if f.elements == {"C", "N"}], BASIS)
    found = reduce_rows(plan, ["C", "N", "CN"], store=None, executor=serial)
    whole = whole_view(found, {})
    lower = [i for i, c in enumerate(found.columns) if c.block != "CN"]
    by_columns = solve(
        combine(whole).freeze(lower, [TRUTH.as_dict()[found.columns[i]] for i in lower]),
        NoRegularisation(), whole.counted,
    )  # fmt: skip
    kept = [c for c in found.columns if c.block == "CN"]
    assert list(columns_of(fit.solution.parameters.basis)) == kept
    np.testing.assert_allclose(coefficients(fit), by_columns.coefficients, rtol=1e-8, atol=0)


def test_lower_blocks_may_be_free(serial):
    free = fit_block(FRAMES, BASIS, "CN", free=["C", "N"], executor=serial)
    assert free.solution.blocks == ("C", "N", "CN")
    np.testing.assert_allclose(coefficients(free), TRUTH.coefficients, rtol=0, atol=1e-5)
    mixed = fit_block(FRAMES, BASIS, "CN", free=["C"], frozen=FROZEN[1:], executor=serial)
    assert mixed.solution.blocks == ("C", "CN")
    np.testing.assert_allclose(coefficients(mixed), of_blocks("C", "CN"), rtol=0, atol=1e-5)


def test_only_frames_of_exactly_the_elements_are_used(serial):
    def indices(block, **more):
        fit = fit_block(FRAMES, BASIS, block, executor=serial, **{"settings": ZERO, **more})
        return sorted(f.origin for s in fit.plan.segments for f in s.frames)

    def origins(*sets):
        return sorted(f.origin for f in FRAMES if "".join(sorted(f.elements)) in sets)

    assert indices("C") == origins("C")
    assert indices("CN") == origins("CN")
    assert indices("CN", free=["C", "N"]) == origins("CN")
    fewer = FitSettings(include_fewer=True, missing_energies="zero")
    assert indices("CN", free=["C", "N"], settings=fewer) == origins("C", "N", "CN")
    # frames of nitrogen alone have no column that is free
    assert indices("CN", free=["C"], settings=fewer) == origins("C", "CN")
    assert indices("CN", settings=fewer) == origins("CN")
    assert indices("CN", free=["C"], frame_sets=["CN", "C"]) == origins("C", "CN")


def test_frames_with_fewer_elements_help_free_blocks(serial):
    few = [f for f in FRAMES if f.elements != {"C", "N"}] + [f for f in FRAMES if f.elements == {"C", "N"}][:4]
    settings = FitSettings(include_fewer=True)
    fit = fit_block(few, BASIS, "CN", free=["C", "N"], settings=settings, executor=serial)
    np.testing.assert_allclose(coefficients(fit), TRUTH.coefficients, rtol=0, atol=1e-5)
    alone = fit_block(few, BASIS, "CN", free=["C", "N"], executor=serial)
    assert alone.solution.condition > 3 * fit.solution.condition


def test_no_frame_of_the_elements_is_refused(serial):
    with pytest.raises(InputError, match="block CN: no frame contains exactly C, N"):
        fit_block(FRAMES[:16], BASIS, "CN", executor=serial)
    with pytest.raises(KeyError, match="no block 'CO'"):
        fit_block(FRAMES, BASIS, "CO", executor=serial)


# ------------------------------------------------------------------------- methods and regularisers


ILL_BASIS = small_basis((12, 0, 0), elements=("C",), rmin=0.1, one_body=False)
"""Two-body polynomials on a range of which the data sample the outer half: the columns are nearly dependent."""


def test_gram_refuses_by_name_where_it_is_unsafe(serial):
    with pytest.raises(UnsafeGram, match="condition") as refused:
        fit_block(FRAMES[:8], ILL_BASIS, "C", settings=FitSettings(method="gram"), executor=serial)
    assert refused.value.condition > 1e6
    assert f"estimated at {refused.value.condition:.1e}" in str(refused.value)


def test_auto_falls_back_from_gram_and_says_so(serial):
    auto, factor = (
        fit_block(FRAMES[:8], ILL_BASIS, "C", settings=FitSettings(method=m), executor=serial)
        for m in ("auto", "rfactor")
    )
    assert auto.solution.method == "rfactor"
    assert any(n.startswith("method auto: fell back from gram to rfactor: ") for n in auto.solution.notes)
    assert coefficients(auto).tobytes() == coefficients(factor).tobytes()
    assert factor.solution.notes == tuple(n for n in auto.solution.notes if "fell back" not in n)


def weighted_rows(weights, counts):
    """A and b of the CN block, C and N subtracted, each row times its weight and the root of its count."""
    frames = [f for f in NOISY if f.elements == {"C", "N"}]
    every = design_rows(frames, BASIS)
    own = np.array([c.block == "CN" for c in every.columns])
    target = every.target - every.matrix[:, ~own] @ of_blocks("C", "N")
    codes = np.concatenate([kind_codes(f) for f in frames])
    factor = np.array(weights)[codes] * np.sqrt(np.array(counts)[codes])
    return every.matrix[:, own] * factor[:, None], target * factor, int(np.array(counts)[codes].sum())


LSQ = (1, 1, 2, 3)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("lam", [1e-4, 1e-2])
def test_lasso_meets_its_optimality_conditions_on_the_explicit_rows(serial, lam, normalize):
    settings = FitSettings({"kind": "lasso", "lam": lam, "normalize": normalize}, {"energy": 0.5, "stress": 20.0})
    fit = fit_block(NOISY, BASIS, "CN", frozen=FROZEN, settings=settings, executor=serial)
    A, b, counted = weighted_rows((1.0, 20.0, 20.0, 0.5), LSQ)
    assert fit.solution.n_counted == counted
    scale = np.linalg.norm(A, axis=0) if normalize else np.ones(A.shape[1])
    c = coefficients(fit)
    slope = (A / scale).T @ (b - A @ c) / counted
    active = c != 0.0
    assert 0 < active.sum() < len(c)
    assert fit.solution.nonzeros == active.sum()
    np.testing.assert_allclose(slope[active], lam * np.sign(c[active]), rtol=1e-7, atol=0)
    assert np.abs(slope[~active]).max() <= lam * (1 + 1e-7)


def test_ridge_solves_the_explicit_normal_equations(serial):
    settings = FitSettings({"kind": "ridge", "alpha": 1e-3}, {"force": 2.0}, objective="plain")
    fit = fit_block(NOISY, BASIS, "CN", frozen=FROZEN, settings=settings, executor=serial)
    A, b, counted = weighted_rows((2.0, 1.0, 1.0, 1.0), (1, 1, 1, 1))
    stacked = np.vstack([A, np.sqrt(1e-3) * np.eye(A.shape[1])])
    x = np.linalg.lstsq(stacked, np.append(b, np.zeros(A.shape[1])), rcond=None)[0]
    np.testing.assert_allclose(coefficients(fit), x, rtol=0, atol=1e-9 * abs(x).max())
    assert fit.solution.n_counted == counted


def test_residuals_are_those_of_the_explicit_rows(serial):
    fit = fit_block(NOISY, BASIS, "CN", frozen=FROZEN, settings=FitSettings(weights={"energy": 3.0}), executor=serial)
    A, b, _ = weighted_rows((1.0,) * 4, (1,) * 4)
    frames = [f for f in NOISY if f.elements == {"C", "N"}]
    kinds = np.concatenate([kind_codes(f) for f in frames])
    source = np.concatenate([[f.group] * len(kind_codes(f)) for f in frames])
    residual = b - A @ coefficients(fit)
    names = ("force", "stress_diagonal", "stress_off_diagonal", "energy")
    assert len(fit.solution.residuals) == 8
    for name, found in fit.solution.residuals.items():
        group, kind = name.split("/")
        rows = (source == group) & (kinds == names.index(kind))
        assert found.rows == rows.sum()
        assert found.rmse == pytest.approx(np.sqrt(np.mean(residual[rows] ** 2)), rel=1e-8)
        assert found.target_rms == pytest.approx(np.sqrt(np.mean(b[rows] ** 2)), rel=1e-10)
    counts = np.array(LSQ)[kinds]
    assert fit.solution.rmse == pytest.approx(np.sqrt((counts * residual**2).sum() / counts.sum()), rel=1e-8)
    assert fit.solution.rows == len(b)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"method": "qr"}, "method: expected one of .*'auto'.*, found 'qr'"),
        ({"objective": "square"}, "objective: expected one of .*found 'square'"),
        ({"regulariser": {"kind": "lars"}}, "regulariser: regulariser kind: .*'lars'"),
        ({"regulariser": {"kind": "lasso", "lam": -1.0}}, "regulariser: lam: .*found -1.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(more, match):
    with pytest.raises(InputError, match=match):
        FitSettings(**more)


# ------------------------------------------------------------------------- what may be frozen


PAIRS = BASIS.to_dict()["pairs"]


def changed(pair=None, **more):
    """The C block's parameters on a basis that differs in one thing; ``pair`` replaces keys of the CC pair."""
    table = {"elements": ["C"], "orders": [4, 3, 2], "pairs": {"CC": PAIRS["CC"] | (pair or {})}}
    many = {"three_body": {"rmax": 4.7}, "four_body": {"rmax": 4.4}}
    basis = Basis.from_dict(table | many | more)
    return Parameters(basis, np.ones(n_columns(basis)), source="frozen.txt")


MISMATCHES = {
    "rmin": (changed({"rmin": 0.95}), r"pair CC, rmin \(Å\): the basis has 0\.9, frozen\.txt has 0\.95"),
    "rmax": (changed({"rmax": 5.25}), r"pair CC, rmax \(Å\): the basis has 5\.0, frozen\.txt has 5\.25"),
    "lambda": (changed({"lambda": 1.25}), r"pair CC, λ \(Å\): the basis has 1\.2, frozen\.txt has 1\.25"),
    "transform": (
        changed({"transform": "INVRSE_R"}),
        r"pair CC, transform: the basis has MORSE, frozen\.txt has INVRSE_R",
    ),
    "cutoff function": (
        changed(cutoff="TERSOFF 0.5"),
        r"cutoff function: the basis has CUBIC, frozen\.txt has TERSOFF 0\.5",
    ),
    "three-body rmax": (
        changed(three_body={"rmax": 4.8}),
        r"type CCC, rmax \(Å\) of its CC edges: the basis has 4\.7, frozen\.txt has 4\.8",
    ),
    "four-body rmin": (
        changed(four_body={"rmax": 4.4, "rmin": 1.0}),
        r"type CCCC, rmin \(Å\) of its CC edges: the basis has 0\.9, frozen\.txt has 1\.0",
    ),
    "order above": (changed(orders=[4, 4, 2]), r"type CCC, order: the basis has 3, frozen\.txt has 4"),
}


def test_the_same_basis_and_lower_orders_may_be_frozen(serial):
    check_frozen(BASIS, ("CN",), [changed()])
    lower = changed(orders=[3, 3, 0])
    check_frozen(BASIS, ("CN",), [lower])
    # missing coefficients are zero: the same as a frozen model that says so
    values = lower.as_dict()
    padded = replace(changed(), coefficients=[values.get(c, 0.0) for c in changed().columns])
    low, high = (fit_block(NOISY, BASIS, "CN", frozen=[f], settings=ZERO, executor=serial) for f in (lower, padded))
    np.testing.assert_allclose(coefficients(low), coefficients(high), rtol=1e-9, atol=0)


@pytest.mark.parametrize("what", MISMATCHES)
def test_a_mismatch_names_both_values(serial, what):
    frozen, match = MISMATCHES[what]
    with pytest.raises(MismatchError, match=match):
        fit_block(FRAMES, BASIS, "CN", frozen=[frozen], executor=serial)


def test_a_type_that_the_basis_excludes_is_frozen_as_it_is():
    check_frozen(small_basis(exclude=["CCC"]), ("CN",), [changed(three_body={"rmax": 4.8})])


def test_frozen_terms_of_the_block_that_is_fitted_are_refused(serial):
    with pytest.raises(MismatchError, match="model C has CC terms of block C, which is being fitted"):
        fit_block(FRAMES, BASIS, "C", frozen=FROZEN[:1], executor=serial)
    with pytest.raises(MismatchError, match="truth 1 has CN terms of block CN, which is being fitted"):
        fit_block(FRAMES, BASIS, "CN", frozen=[TRUTH], executor=serial)
    with pytest.raises(MismatchError, match="model N has NN terms of block N, which is being fitted"):
        fit_block(FRAMES, BASIS, "CN", free=["N"], frozen=FROZEN, executor=serial)


def test_the_same_terms_frozen_twice_are_refused():
    with pytest.raises(MismatchError, match=r"both model C and frozen\.txt have CC terms"):
        check_frozen(BASIS, ("CN",), [FROZEN[0], changed()])


def test_the_wall_is_that_of_the_frozen_models(serial):
    def penalty(*frozen, chosen=None):
        settings = replace(ZERO, penalty=chosen)
        fit = fit_block(FRAMES, BASIS, "CN", frozen=frozen, settings=settings, executor=serial)
        return fit.solution.parameters.penalty

    soft = Penalty(100.0, 0.02)
    walled = replace(FROZEN[0], penalty=soft)
    assert penalty() == Penalty()
    assert penalty(walled) == soft
    assert penalty(walled, FROZEN[1], chosen=Penalty(1.0, 0.1)) == Penalty(1.0, 0.1)
    with pytest.raises(MismatchError, match=r"penalty: .* scale 100\.0, .* scale 10000\.0, .* in \[fit\]"):
        penalty(walled, FROZEN[1])


# ------------------------------------------------------------------------- the solution


def test_coverage_is_the_range_of_distances_of_the_fit(serial):
    fit = fit_block(FRAMES, BASIS, "C", executor=serial)
    assert fit.solution.parameters.coverage == {"C:CC": fit.plan.ranges["C"]["C:CC"]}
    assert fit.plan.ranges["C"]["C:CC"][0] > 0.9


def test_what_was_left_out_is_noted(serial):
    positions = FRAMES[3].positions.copy()
    positions[1] = positions[0] + [0.5, 0.0, 0.0]
    bad = replace(FRAMES[3], positions=positions)
    bare = FRAMES[5].without_labels(energy=True, forces=True, stress=True)
    frames = [*FRAMES[:3], bad, FRAMES[4], bare, *FRAMES[6:8]]
    with pytest.raises(InnerCutoffError, match="1 pair"):
        fit_block(frames, BASIS, "C", executor=serial)
    fit = fit_block(frames, BASIS, "C", settings=FitSettings(policy="skip_frame"), executor=serial)
    notes = "\n".join(fit.solution.notes)
    assert "1 pair inside an inner cutoff, policy skip_frame" in notes
    assert f"1 frame left out by the policy: {bad.origin}" in notes
    assert f"1 frame without a label: {bare.origin}" in notes


def test_a_solution_is_saved_to_the_bit(serial, tmp_path):
    settings = FitSettings({"kind": "ridge", "alpha": 1e-6}, {"liquid/energy": 2.0}, penalty=Penalty(5.0, 0.03))
    solution = fit_block(NOISY, BASIS, "CN", frozen=FROZEN, settings=settings, executor=serial).solution
    path = tmp_path / "new" / "cn.npz"
    solution.save(path)
    again = Solution.load(path)
    assert again.parameters.coefficients.tobytes() == solution.parameters.coefficients.tobytes()
    assert again.parameters.basis == solution.parameters.basis
    assert again.parameters.penalty == Penalty(5.0, 0.03)
    assert again.parameters.coverage == solution.parameters.coverage
    assert again.parameters.digest == solution.parameters.digest
    assert again.as_dict() == solution.as_dict()
    assert again.blocks == ("CN",)
    assert list(path.parent.iterdir()) == [path]


def npz(path, **arrays):
    np.savez(path, **arrays)


GARBAGE = {
    "empty": lambda p: p.write_bytes(b""),
    "text": lambda p: p.write_text("! not a solution\n"),
    "zip of nothing": lambda p: npz(p),
    "no meta": lambda p: npz(p, coefficients=np.zeros(3)),
    "meta is not JSON": lambda p: npz(p, coefficients=np.zeros(3), meta=np.array("{")),
    "another format": lambda p: npz(p, coefficients=np.zeros(3), meta=np.array('{"hiertl_dist_solution": 99}')),
    "meta without content": lambda p: npz(p, coefficients=np.zeros(3), meta=np.array('{"hiertl_dist_solution": 1}')),
    "meta is a list": lambda p: npz(p, coefficients=np.zeros(3), meta=np.array("[1]")),
    "pickled": lambda p: npz(p, coefficients=np.zeros(3), meta=np.array([{}], dtype=object)),
}


@pytest.mark.parametrize("content", GARBAGE)
def test_what_is_no_solution_is_refused_by_name(tmp_path, content):
    path = tmp_path / "garbage.npz"
    GARBAGE[content](path)
    with pytest.raises(ParameterFileError, match=r"garbage\.npz: expected .*solution"):
        Solution.load(path)


def test_a_truncated_solution_is_refused(serial, tmp_path):
    path = tmp_path / "c.npz"
    fit_block(FRAMES, BASIS, "C", executor=serial).solution.save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ParameterFileError, match=r"c\.npz: expected a solution file"):
        Solution.load(path)


def test_a_solution_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        Solution.load(tmp_path / "none.npz")


def test_a_wall_that_reaches_the_fitted_frames_is_said(serial):
    rmin = next(p.rmin for p in BASIS.pairs if p.name == "CC")
    shortest = fit_block(FRAMES, BASIS, "C", executor=serial).solution.parameters.coverage["C:CC"][0]
    summaries = summarise(
        [f for f in FRAMES if f.elements == {"C"}], BASIS.restricted("C"), folds=None, executor=serial
    )
    for reach, said in ((-0.001, 0), (0.1, 1)):
        wall = Penalty(1e4, shortest - rmin + reach)
        fit = fit_block(FRAMES, BASIS, "C", settings=FitSettings(penalty=wall), executor=serial)
        of_view = solve_view(view(summaries), {"kind": "none"}, penalty=wall)
        for notes in (fit.solution.notes, of_view.notes):
            found = [n for n in notes if "the wall of the model" in n]
            assert len(found) == said, notes
    assert f"CC at {shortest:.3f} Å (wall below {shortest + 0.1:.3f} Å, force 300 kcal/mol/Å)" in found[0]


def test_what_is_frozen_are_parameters(serial):
    fit = fit_block(FRAMES, BASIS, "C", executor=serial)
    with pytest.raises(TypeError, match=r"frozen: expected Parameters, found BlockFit: a fit has solution.parameters"):
        fit_block(FRAMES, BASIS, "CN", frozen=[fit], executor=serial)


def test_pairs_that_nothing_has_terms_of_are_warned_of():
    lacking = BASIS.with_types(t for t in BASIS.types if t.elements != ("C", "C"))

    def said(basis, frozen=()):
        fit = fit_block(FRAMES, basis, "CN", frozen=frozen, executor=SerialExecutor(),
                        settings=FitSettings(missing_energies="fit"))  # fmt: skip
        return [n for n in fit.solution.notes if "two-body terms of" in n]

    (note,) = said(lacking.with_types(t for t in lacking.types if t.block == "CN"))
    assert note.startswith("WARNING: neither the basis nor a frozen model has two-body terms of CC, NN")
    (note,) = said(lacking.with_types(t for t in lacking.types if t.block in ("N", "CN")))
    assert "terms of CC: they" in note
    held = random_parameters(BASIS, 3).restricted({"C", "N"})
    assert not said(lacking.with_types(t for t in lacking.types if t.block == "CN"), [held])
    assert not said(BASIS)


@pytest.mark.parametrize("method", ["rfactor", "gram", "auto"])
@pytest.mark.parametrize("labelled_sets", [(), ("CN",)], ids=["no energies", "of CN alone"])
def test_energies_that_are_given_and_that_no_frame_tells_change_nothing_else(serial, method, labelled_sets):
    """They are off the labels whether there are any or not: the fit is whole, of what its frames cover."""
    frames = [f if f.element_set in labelled_sets else replace(f, energy=None) for f in NOISY]
    given = BASIS.with_energies({"C": -100.3, "N": -200.7})
    settings = FitSettings({"kind": "ridge", "alpha": 0.1}, method=method, penalty=Penalty(1e4, 5.0))
    fits = [fit_block(frames, basis, "C", settings=settings, executor=serial) for basis in (given, BASIS)]
    known, unknown = (f.solution.parameters for f in fits)
    assert one_body_values([known])["C"] == dict(given.energies)["C"]
    shapes = [{c: x for c, x in p.as_dict().items() if c.powers} for p in (known, unknown)]
    assert shapes[0].keys() == shapes[1].keys()
    np.testing.assert_allclose(list(shapes[0].values()), list(shapes[1].values()), rtol=1e-6, atol=1e-9)
    assert known.coverage == unknown.coverage != {}
    assert any("wall of the model" in note for note in fits[0].solution.notes)


def test_sets_of_frames_are_named_in_any_order(serial):
    one, other = (
        fit_block(NOISY, BASIS, "CN", free=["CN"], frame_sets=[name], frozen=FROZEN, executor=serial)
        for name in ("NC", "CN")
    )
    assert coefficients(one).tobytes() == coefficients(other).tobytes()
