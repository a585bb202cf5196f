"""Energies of free atoms: their zero changes nothing else, what frames don't tell is left open and said, never zero."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import labelled, random_frame, random_frames, random_parameters, small_basis
from view_oracle import dense, least_squares

from hiertl_dist import (
    FitSettings,
    HierarchyOptions,
    Model,
    fit_all_at_once,
    fit_block,
    fit_hierarchy,
    path,
    solve,
    summarise,
    view,
)
from hiertl_dist.errors import BasisError, InputError, MismatchError, StoreError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.model.basis import cluster_name
from hiertl_dist.model.one_body import OpenEnergies, energy_zeros, one_body_values, without_one_body
from hiertl_dist.model.solution import Solution
from hiertl_dist.model_selection.search_settings import SearchSettings
from hiertl_dist.model_selection.search_stages import search
from hiertl_dist.units import EV

SERIAL = SerialExecutor()
BASIS = small_basis(orders=(4, 3, 0))
TRUTH = random_parameters(BASIS, seed=5)
FRAMES = labelled(random_frames(atoms=9), TRUTH)
RNG = np.random.default_rng(0)
NOISY = [
    replace(
        f, energy=f.energy + RNG.normal(), forces=f.forces + RNG.normal(size=f.forces.shape),
        stress=f.stress + 0.01 * RNG.normal(size=6),
    )
    for f in FRAMES
]  # fmt: skip
ZERO = {"C": EV * -1e5, "N": EV * -1.2e5}
KINDS = [
    {"kind": "none"}, {"kind": "svd", "tolerance": 1e-3}, {"kind": "ridge", "alpha": 1.0},
    {"kind": "lasso", "lam": 0.05}, {"kind": "elastic_net", "lam": 0.05, "l1_ratio": 0.5},
    {"kind": "adaptive_lasso", "lam": 0.01, "alpha": 0.1}, {"kind": "bayesian_ridge"}, {"kind": "ard"},
]  # fmt: skip


def moved(frames, zero):
    return [f if f.energy is None else replace(f, energy=f.energy + sum(zero[s] for s in f.species)) for f in frames]


def without_energies(frames, *elements):
    """The frames, those of exactly these element sets without energies."""
    sets = [set(e) for e in elements]
    return [f.without_labels(energy=True) if f.elements in sets else f for f in frames]


def predictions(parameters, frames=FRAMES):
    found = Model(parameters).evaluate(frames, missing="zero")  # parts of models, too
    return (
        np.array([e.energy for e in found]), np.concatenate([e.forces.ravel() for e in found]),
        np.concatenate([e.stress for e in found]),
    )  # fmt: skip


def climb(frames, basis=BASIS, frozen=(), **settings):
    told = []
    options = HierarchyOptions(FitSettings(**settings))
    fit = fit_hierarchy(frames, basis, frozen=frozen, options=options, executor=SERIAL, tell=told.append)
    return fit, told


def energies(model):
    return one_body_values([getattr(model, "parameters", model)])


# ---------------------------------------------------------------------------------------------- the zero


@pytest.mark.parametrize("regulariser", KINDS, ids=lambda r: r["kind"])
@pytest.mark.parametrize("method", ["rfactor", "gram"])
def test_the_zero_of_energies_changes_energies_alone(regulariser, method):
    if method == "gram" and regulariser["kind"] in ("adaptive_lasso", "svd", "ard"):
        pytest.skip("one kind of each solver is enough")
    one, other = (
        climb(own, regulariser=regulariser, method=method)[0].model.parameters for own in (NOISY, moved(NOISY, ZERO))
    )
    (e, f, s), (e0, f0, s0) = predictions(one), predictions(other)
    np.testing.assert_allclose(f0, f, rtol=0, atol=1e-6 * np.sqrt(np.mean(f**2)))
    np.testing.assert_allclose(s0, s, rtol=0, atol=1e-6 * np.sqrt(np.mean(s**2)))
    shift = np.array([sum(ZERO[x] for x in frame.species) for frame in FRAMES])
    np.testing.assert_allclose(e0 - shift, e, rtol=0, atol=1e-4)


@pytest.mark.parametrize("regulariser", [KINDS[2], KINDS[3], KINDS[6]], ids=lambda r: r["kind"])
def test_the_zero_of_energies_in_summaries(regulariser, tmp_path):
    found = []
    for k, own in enumerate((NOISY, moved(NOISY, ZERO))):
        # more frames of another zero are one more batch, brought to that of the first
        summarise(own[::2], BASIS, folds=2, summaries=tmp_path / str(k), executor=SERIAL)
        summaries = summarise(own, BASIS, folds=2, summaries=tmp_path / str(k), executor=SERIAL)
        found.append(solve(view(summaries), regulariser))
        direct = fit_all_at_once(
            own, BASIS, options=HierarchyOptions(FitSettings(regulariser)), executor=SERIAL
        ).solution  # fmt: skip
        assert found[-1].weights == pytest.approx(direct.weights, rel=1e-6)
        np.testing.assert_allclose(predictions(found[-1].parameters)[1], predictions(direct.parameters)[1], atol=1e-5)
    (_, f, s), (_, f0, s0) = (predictions(x.parameters) for x in found)
    np.testing.assert_allclose(f0, f, rtol=0, atol=1e-6 * np.sqrt(np.mean(f**2)))
    np.testing.assert_allclose(s0, s, rtol=0, atol=1e-6 * np.sqrt(np.mean(s**2)))


def test_an_option_penalises_them_as_chimes_lsq_does():
    frames = [f for f in moved(NOISY, {"C": 50.0, "N": 0.0}) if f.elements == {"C"}]
    regulariser = {"kind": "ridge", "alpha": 2.0, "penalise_one_body": True}
    fit = fit_block(frames, BASIS, "C", settings=FitSettings(regulariser, weights={}), executor=SERIAL)
    rows = dense(frames, BASIS, ["C"])
    factors = rows.factors()
    expected = least_squares(factors[:, None] * rows.matrix, factors * rows.target, 2.0)
    np.testing.assert_allclose(fit.solution.parameters.coefficients, expected, rtol=1e-9)
    assert fit.solution.regulariser == regulariser
    summaries = summarise(frames, BASIS, blocks=["C"], folds=None, executor=SERIAL)
    solution = solve(view(summaries, weights={}), regulariser)
    np.testing.assert_allclose(solution.parameters.coefficients, expected, rtol=1e-9)
    grid = path(view(summaries, weights={}), "ridge", alphas=[2.0], penalise_one_body=True)
    np.testing.assert_allclose(grid.coefficients[0], expected, rtol=1e-9)
    free = path(view(summaries, weights={}), "ridge", alphas=[2.0])
    plain = solve(view(summaries, weights={}), {"kind": "ridge", "alpha": 2.0})
    np.testing.assert_allclose(free.coefficients[0], plain.parameters.coefficients, rtol=1e-9)


def test_zeros_are_known_energies_and_whole_numbers_for_the_rest():
    zeros = energy_zeros(moved(FRAMES, ZERO), {"N": ZERO["N"]}, ["C", "N"])
    assert zeros["N"] == ZERO["N"]
    assert zeros["C"] == np.round(zeros["C"])
    assert abs(zeros["C"] - ZERO["C"]) < 30
    frames = moved(FRAMES, ZERO)
    counts = np.array([[f.species.count(e) for e in "CN"] for f in frames])
    slow = np.linalg.lstsq(counts, np.array([f.energy for f in frames]), rcond=1e-8)[0]
    assert list(energy_zeros(frames, {}, ["C", "N"]).values()) == np.round(slow).tolist()
    assert energy_zeros(without_energies(FRAMES, "C", "N", "CN"), {}, ["C", "N"]) == {"C": 0.0, "N": 0.0}


# ---------------------------------------------------------------------------------------------- given energies


def test_given_energies_are_held_and_stated():
    basis = small_basis(orders=(4, 3, 0), energies={"C": -1.0, "unit": "eV"})
    assert basis.energies == (("C", -EV),)
    assert basis.digest == BASIS.digest  # rows don't depend on them
    assert basis.restricted("N").energies == ()
    frames = moved(FRAMES, {"C": -EV - TRUTH.as_dict()[("C", ("C",), ())], "N": 0.0})
    fit, _ = climb(frames, basis)
    assert energies(fit.model) == pytest.approx({"C": -EV, "N": TRUTH.as_dict()[("N", ("N",), ())]}, abs=1e-4)
    np.testing.assert_allclose(predictions(fit.model.parameters)[0], [f.energy for f in frames], atol=1e-4)
    # what is given wrongly is held as well, and seen in the residuals
    wrong, _ = climb(FRAMES, small_basis(orders=(4, 3, 0), energies={"C": 3.0, "unit": "kcal"}), weights={})
    assert energies(wrong.model)["C"] == 3.0
    assert wrong.fits["C"].solution.rmse > 1e3 * fit.fits["C"].solution.rmse
    together = fit_all_at_once(frames, basis, options=HierarchyOptions(FitSettings()), executor=SERIAL)
    assert energies(together.solution.parameters)["C"] == pytest.approx(-EV)


def test_given_energies_in_views():
    basis = BASIS.with_energies({"C": 3.0}, "kcal")
    summaries = summarise(NOISY, basis, folds=None, executor=SERIAL)
    solution = solve(view(summaries, blocks=["C"]), {"kind": "ridge", "alpha": 1.0})
    settings = FitSettings({"kind": "ridge", "alpha": 1.0})
    direct = fit_block(NOISY, basis, "C", settings=settings, executor=SERIAL)
    assert energies(solution.parameters) == {"C": 3.0}
    np.testing.assert_allclose(
        solution.parameters.coefficients, direct.solution.parameters.coefficients, rtol=1e-6, atol=1e-9
    )
    cross = solve(view(summaries, blocks=["CN", "N"], frozen=[solution]), {"kind": "ridge", "alpha": 1.0})
    assert set(energies(cross.parameters)) == {"N"}


def test_given_energies_stand_in_for_frozen_files_that_lack_them():
    (bare,) = without_one_body([TRUTH.restricted({"C"})])
    value = TRUTH.as_dict()[("C", ("C",), ())]
    fit, _ = climb(FRAMES, BASIS.with_energies({"C": value}, "kcal"), frozen=[bare])
    np.testing.assert_allclose(predictions(fit.model.parameters)[0], [f.energy for f in FRAMES], atol=1e-4)
    assert energies(fit.model)["C"] == value
    with pytest.raises(MismatchError, match=r"energies\.C: the basis gives 3 kcal/mol, truth 5 \(C\) has"):
        climb(FRAMES, BASIS.with_energies({"C": 3.0}, "kcal"), frozen=[TRUTH.restricted({"C"})])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"C": "x"}, "basis.energies.C: expected a number, found 'x'"),
        ({"C": -1.0, "unit": "J"}, "basis.energies.unit: expected 'eV' or 'kcal'"),
        ({"O": -1.0}, "energies.O: expected an element with a one-body term, of which there are"),
        ({"C": float("nan")}, "energies.C: expected a number, found nan"),
    ],
)
def test_energies_of_a_basis_are_checked(table, message):
    with pytest.raises(BasisError, match=message):
        small_basis(energies=table)


def test_energies_go_through_the_table_of_a_basis():
    basis = BASIS.with_energies({"C": -154.9})
    assert type(basis).from_dict(basis.to_dict()) == basis
    assert "energies" not in BASIS.to_dict()
    with pytest.raises(BasisError, match=r"energies\.C"):
        small_basis(one_body=["N"], energies={"C": -1.0})


# ---------------------------------------------------------------------------------------------- left open


def test_a_block_without_energies_leaves_them_to_a_larger_one():
    frames = without_energies(FRAMES, "C")
    fit, _ = climb(frames)
    assert set(energies(fit.fits["C"].solution.parameters)) == set()
    assert any("energies of free atoms of C are left open" in n for n in fit.fits["C"].solution.notes)
    assert any("energies of free atoms of C" in n and "fitted here" in n for n in fit.fits["CN"].solution.notes)
    assert set(energies(fit.fits["CN"].solution.parameters)) == {"C"}
    assert fit.left_open.elements == ()
    e, f, _ = predictions(fit.model.parameters)
    np.testing.assert_allclose(f, np.concatenate([x.forces.ravel() for x in FRAMES]), atol=1e-4)
    np.testing.assert_allclose(e, [x.energy for x in FRAMES], atol=1e-3)
    # whether their zero is near or far
    far, _ = climb(moved(frames, ZERO), regulariser={"kind": "ridge", "alpha": 1.0})
    near, _ = climb(frames, regulariser={"kind": "ridge", "alpha": 1.0})
    np.testing.assert_allclose(
        predictions(far.model.parameters)[1], predictions(near.model.parameters)[1], atol=1e-6 * np.abs(f).max()
    )


def test_all_lower_blocks_without_energies():
    fit, _ = climb(without_energies(FRAMES, "C", "N"))
    assert set(energies(fit.fits["CN"].solution.parameters)) == {"C", "N"}
    np.testing.assert_allclose(predictions(fit.model.parameters)[0], [x.energy for x in FRAMES], atol=1e-3)
    none, told = climb(without_energies(FRAMES, "C", "N", "CN"))
    assert energies(none.model) == {}
    assert none.left_open.elements == ("C", "N")
    assert any("energies of free atoms of C, N are not determined by any frame" in line for line in told)


def test_a_solution_with_energies_of_lower_blocks_goes_through_files(tmp_path):
    fit, _ = climb(without_energies(FRAMES, "C"))
    solution = fit.fits["CN"].solution
    solution.save(tmp_path / "CN.npz")
    assert Solution.load(tmp_path / "CN.npz").parameters.digest == solution.parameters.digest
    parts = [Model(f.solution.parameters) for f in fit.fits.values()]
    for name, part in zip(fit.fits, parts, strict=True):
        part.write(tmp_path / f"{name}.params.txt")
    read = Model.merge([Model.read(tmp_path / f"{name}.params.txt") for name in fit.fits])
    np.testing.assert_allclose(predictions(read.parameters)[0], [x.energy for x in FRAMES], atol=1e-3)


def same_composition(frames):
    """Frames of two elements that have four carbon and five nitrogen atoms."""
    return [f for f in frames if len(f.elements) < 2 or f.species.count("C") == 4]


def test_compositions_that_do_not_tell_elements_apart():
    frames = labelled(random_frames({"C": 8, "N": 8, "CN": 60}, atoms=9), TRUTH)
    frames = same_composition(without_energies(frames, "C", "N"))
    assert sum(len(f.elements) == 2 for f in frames) >= 8
    fit, _ = climb(frames)
    notes = fit.fits["CN"].solution.notes
    assert any("energies of free atoms of C, N are not told apart by the compositions of CN" in n for n in notes)
    assert fit.left_open.count == 1
    np.testing.assert_allclose(fit.left_open.directions.T @ [4.0, 5.0], 0.0, atol=1e-9)
    mixed = [f for f in frames if f.energy is not None]
    np.testing.assert_allclose(predictions(fit.model.parameters, mixed)[0], [f.energy for f in mixed], atol=1e-3)


def test_a_larger_block_tells_what_a_smaller_one_left_open_and_keeps_what_it_knew():
    basis = small_basis(orders=(3, 2, 0), elements=("C", "N", "H"))
    truth = random_parameters(basis, seed=6)
    counts = {"C": 6, "N": 6, "H": 6, "CN": 60, "CH": 12, "HN": 12, "CHN": 12}
    frames = labelled(random_frames(counts, atoms=14), truth)
    frames = [f for f in frames if f.elements != {"C", "N"} or f.species.count("C") == 7]
    # carbon and nitrogen: only the energy of one of each is told, before hydrogen comes in
    frames = without_energies(frames, "C", "N", "CH", "HN")
    assert sum(f.elements == {"C", "N"} for f in frames) >= 6
    fit, _ = climb(frames, basis)
    assert fit.left_open.elements == ()
    found, known = energies(fit.model), one_body_values([truth])
    assert found == pytest.approx(known, abs=1e-2)
    two = energies(fit.fits["CN"].solution.parameters)
    assert 7 * two["C"] + 7 * two["N"] == pytest.approx(7 * known["C"] + 7 * known["N"], abs=1e-3)
    assert two["C"] != pytest.approx(known["C"], abs=1e-2)


def test_all_at_once_with_one_composition():
    frames = same_composition(labelled(random_frames({"CN": 60}, atoms=9), TRUTH))
    fit = fit_block(frames, BASIS, "CN", free=["C", "N"], settings=FitSettings(), executor=SERIAL)
    assert any("not told apart by the compositions of CN" in n for n in fit.solution.notes)
    np.testing.assert_allclose(predictions(fit.solution.parameters, frames)[0], [f.energy for f in frames], atol=1e-3)
    solution = solve(view(summarise(frames, BASIS, folds=None, executor=SERIAL)), {"kind": "none"})
    assert any("not told apart by the compositions of CN" in n for n in solution.notes)


# ---------------------------------------------------------------------------------------------- frozen files


def test_frozen_models_without_energies_are_refused_unless_said_what_is_meant():
    bare = without_one_body([TRUTH.restricted({"C"})])
    message = r"block CN: frames with energies of C need the energy of a free atom of C, found truth 5 \(C\) without"
    with pytest.raises(InputError, match=message):
        climb(FRAMES, frozen=bare)
    with pytest.raises(InputError, match=message):
        fit_block(FRAMES, BASIS, "CN", frozen=[*bare, TRUTH.restricted({"N"})], executor=SERIAL)
    fitted, _ = climb(FRAMES, frozen=bare, missing_energies="fit")
    np.testing.assert_allclose(predictions(fitted.model.parameters)[0], [f.energy for f in FRAMES], atol=1e-3)
    zero, _ = climb(FRAMES, frozen=bare, missing_energies="zero")
    assert any("are taken to be zero, as was asked for" in n for n in zero.fits["CN"].solution.notes)
    assert set(energies(zero.model)) == {"N"}
    # where no frame has an energy nothing is missing
    climb(without_energies(FRAMES, "CN"), frozen=bare)
    # a basis without a one-body term has none on purpose where the block is fitted, not where it is frozen
    few = small_basis(orders=(4, 3, 0), one_body=["N"])
    assert set(energies(climb(FRAMES, few)[0].model)) == {"N"}
    with pytest.raises(InputError, match=message):
        climb(FRAMES, few, frozen=bare)
    said = climb(FRAMES, few, frozen=bare, missing_energies="fit")[0].model
    np.testing.assert_allclose(predictions(said.parameters)[0], [f.energy for f in FRAMES], atol=1e-3)


def test_a_cross_block_alone_needs_the_energies_of_its_atoms():
    """As an fm_setup.in that excludes one-body terms and all of the lower blocks: frozen files are to have them."""
    cross = BASIS.with_types(t for t in BASIS.types if t.block == "CN")
    lower = [TRUTH.restricted({b}) for b in ("C", "N")]
    fit, _ = climb(FRAMES, cross, frozen=lower)
    np.testing.assert_allclose(predictions(fit.model.parameters)[0], [f.energy for f in FRAMES], atol=1e-3)
    bare = without_one_body(lower)
    for frozen in (bare, ()):
        with pytest.raises(InputError, match="frames with energies of C, N need the energy of a free atom of C, N"):
            climb(FRAMES, cross, frozen=frozen)
    fit, _ = climb(FRAMES, cross, frozen=bare, missing_energies="fit")
    assert set(energies(fit.model)) == {"C", "N"}
    mixed = [f for f in FRAMES if len(f.elements) == 2]
    np.testing.assert_allclose(predictions(fit.model.parameters, mixed)[0], [f.energy for f in mixed], atol=1e-3)
    with pytest.raises(InputError, match="missing_energies: expected one of"):
        FitSettings(missing_energies="maybe")


def test_views_refuse_fit_or_take_zero_alike():
    summaries = summarise(NOISY, BASIS, folds=None, executor=SERIAL)
    lower = [TRUTH.restricted({"N"}), *without_one_body([TRUTH.restricted({"C"})])]
    ridge = {"kind": "ridge", "alpha": 1.0}
    with pytest.raises(InputError, match="view: frames with energies of C need the energy of a free atom of C"):
        view(summaries, blocks=["CN"], frozen=lower)
    for missing in ("fit", "zero"):
        solution = solve(view(summaries, blocks=["CN"], frozen=lower, missing_energies=missing), ridge)
        direct = fit_block(
            NOISY, BASIS, "CN", frozen=lower, settings=FitSettings(ridge, missing_energies=missing), executor=SERIAL
        ).solution  # fmt: skip
        assert set(energies(solution.parameters)) == set(energies(direct.parameters)) == set("C" * (missing == "fit"))
        np.testing.assert_allclose(
            predictions(solution.parameters)[1], predictions(direct.parameters)[1], rtol=1e-6, atol=1e-8
        )
    opened = view(summaries, blocks=["CN"], frozen=lower, left_open=["C"])
    assert any(not c.powers for c in opened.columns)
    few = summarise(NOISY, BASIS, blocks=["CN"], folds=None, executor=SERIAL)
    with pytest.raises(InputError, match="can't be fitted: the summaries have the blocks CN alone"):
        view(few, missing_energies="fit")


# ---------------------------------------------------------------------------------------------- directions


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(0, 4), st.data())
def test_directions_within_elements(n, k, data):
    """What frames of some elements can tell is all but the directions that leave these where they are."""
    elements = tuple("CHNO"[:n])
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    basis, _ = np.linalg.qr(rng.normal(size=(n, n)))
    given_ = OpenEnergies(elements, basis[:, : min(k, n)])
    inside = data.draw(st.sets(st.sampled_from(elements)))
    found = given_.within(inside)
    spread = np.zeros((n, found.count))
    spread[[elements.index(e) for e in found.elements]] = found.directions
    np.testing.assert_allclose(spread.T @ spread, np.eye(found.count), atol=1e-8)
    projected = given_.directions @ given_.directions.T @ spread
    np.testing.assert_allclose(projected, spread, atol=1e-8)
    here = [i for i, e in enumerate(elements) if e in inside]
    assert found.count == (np.linalg.matrix_rank(given_.directions[here]) if here and given_.count else 0)
    rest = given_.directions - spread @ (spread.T @ given_.directions)
    np.testing.assert_allclose(rest[here], 0.0, atol=1e-8)
    # moved and nothing left open: as many directions fewer
    assert given_.replaced(found, OpenEnergies()).count == given_.count - found.count


# ---------------------------------------------------------------------------------------------- three elements


THREE = small_basis(orders=(3, 2, 0), elements=("C", "N", "O"))
TRUE_THREE = random_parameters(THREE, seed=9)


def of_three(sets, told):
    """Exact labels of a known model; energies of the sets in ``told``, of one composition each where it is 1."""
    frames = labelled(random_frames(dict.fromkeys(sets, 8), atoms=14), TRUE_THREE)
    found = []
    for name in sets:
        own = [f for f in frames if f.elements == set(name)]
        first = sorted(own[0].species)
        for frame in own:
            keep = name in told and (told[name] != 1 or sorted(frame.species) == first)
            found.append(frame if keep else frame.without_labels(energy=True))
    return found, frames


@pytest.mark.parametrize(
    "told",
    [
        {"CN": 1, "CO": 0, "CNO": 0}, {"CO": 1, "CN": 0, "CNO": 0}, {"O": 0, "CN": 1, "NO": 0, "CNO": 0},
        {"CN": 1, "CO": 1, "NO": 1, "CNO": 0},
    ],
    ids=lambda t: ",".join(f"{k}{v}" for k, v in t.items()),
)  # fmt: skip
def test_a_known_combination_is_settled_by_any_block_that_tells(told):
    frames, whole = of_three(("C", "N", "O", "CN", "CO", "NO", "CNO"), told)
    fit, _ = climb(frames, THREE, weights={})
    assert not fit.left_open.elements
    np.testing.assert_allclose(predictions(fit.model.parameters, whole)[0], [f.energy for f in whole], atol=1e-3)


@pytest.mark.parametrize(
    ("counts", "said", "free"),
    [
        # as many C as N in each, O as it comes
        (({"C": 2, "N": 2, "O": 1}, {"C": 2, "N": 2, "O": 3}), "C, N are not told apart by the compositions of CNO, in "
         "which it makes no difference to take 1 more for each C with 1 less for each N: ", ["O"]),
        # on the line between C2N2O and C1N1O3
        (({"C": 2, "N": 2, "O": 1}, {"C": 4, "N": 2, "O": 4}, {"C": 6, "N": 4, "O": 5}),
         "to take 3 more for each C with 2 less for each N and 2 less for each O: ", []),
        (({"C": 2, "N": 3, "O": 1},), "to take 1 more for each C with 2 less for each O; 1 more for each N with 3 less "
         "for each O: ", []),
    ],
    ids=["pair", "line", "point"],
)  # fmt: skip
def test_compositions_on_a_line_name_what_they_do_not_tell(counts, said, free):
    frames = []
    for i, numbers in enumerate(counts * 3):
        species = tuple(e for e, n in numbers.items() for _ in range(n))
        frames.append(replace(random_frame(("C",), i, atoms=len(species)), species=species))
    frames = labelled(frames, TRUE_THREE)
    lower = without_one_body([TRUE_THREE.restricted({"C", "N", "O", "CN", "CO", "NO"})])
    settings = FitSettings({"kind": "ridge", "alpha": 1e-8}, weights={}, missing_energies="fit")
    fit = fit_block(frames, THREE, "CNO", frozen=lower, settings=settings, executor=SERIAL).solution
    (note,) = (n for n in fit.notes if "not told apart" in n)
    assert said in note
    assert "[basis] energies can give the energy of C or N" in note
    fitted, truth = energies(fit.parameters), energies(TRUE_THREE)
    for element in free:
        assert fitted[element] == pytest.approx(truth[element], abs=1e-2)
    for numbers in counts:  # combinations that are known are right
        known, true = (sum(n * values[e] for e, n in numbers.items()) for values in (fitted, truth))
        assert known == pytest.approx(true, abs=0.1)
    # one energy of those that move together, given, settles the others
    settled = THREE.with_energies({"C": truth["C"]} | ({"N": truth["N"]} if len(counts) == 1 else {}), "kcal")
    fit = fit_block(frames, settled, "CNO", frozen=lower, settings=settings, executor=SERIAL).solution
    assert not any("not told apart" in n for n in fit.notes)
    assert energies(fit.parameters) == pytest.approx(truth, abs=0.1)


def test_a_fit_states_the_energies_of_its_own_elements():
    given_ = BASIS.with_energies({e: x for e, x in energies(TRUTH).items() if e == "C"}, "kcal")
    fit, _ = climb(FRAMES, given_)
    assert set(energies(fit.fits["N"].solution.parameters)) == {"N"}
    parts = [f.solution.parameters for f in fit.fits.values()]
    assert Model.merge([Model(p) for p in parts]).parameters.as_dict() == fit.model.parameters.as_dict()
    both = BASIS.with_energies(energies(TRUTH), "kcal")
    for basis, free in ((given_, ["N"]), (both, ["N"]), (both, ["C", "N"]), (given_, ["C", "N"])):
        model = fit_hierarchy(
            FRAMES, basis, options=HierarchyOptions(partial={"CN": free}), executor=SERIAL
        ).model  # fmt: skip
        np.testing.assert_allclose(predictions(model.parameters)[0], [f.energy for f in FRAMES], atol=1e-3)


@pytest.mark.parametrize("free", [["C"], ["C", "N"]])
def test_an_energy_that_was_left_open_is_fitted_once_with_its_own_block(free):
    frames = [f.without_labels(energy=True) if cluster_name(f.elements) in free else f for f in FRAMES]
    fit = fit_hierarchy(frames, BASIS, options=HierarchyOptions(partial={"CN": free}), executor=SERIAL)
    assert not fit.left_open.elements
    for element, value in energies(TRUTH).items():
        assert energies(fit.model.parameters)[element] == pytest.approx(value, abs=1e-3)
    if free == ["C"]:  # and where a block is fitted by itself
        model = fit.fits["N"].solution.parameters
        whole = fit_block(frames, BASIS, "CN", free=free, frozen=[model], executor=SERIAL,
                          left_open=OpenEnergies.of(["C"]))  # fmt: skip
        assert energies(whole.solution.parameters)["C"] == pytest.approx(energies(TRUTH)["C"], abs=1e-3)


def test_the_energy_of_an_atom_alone_freezes_no_block():
    stray = replace(TRUTH.with_types(t for t in BASIS.types if t.block == "N" or t.elements == ("C",)), source="stray")
    for fit in (climb, lambda frames, frozen: fit_all_at_once(frames, BASIS, frozen=frozen, executor=SERIAL)):
        with pytest.raises(InputError, match="block C: of it stray has the energy of a free atom alone"):
            fit(FRAMES, frozen=[stray])


def test_views_state_given_energies_that_a_frozen_file_lacks():
    given_ = BASIS.with_energies({"C": energies(TRUTH)["C"]}, "kcal")
    bare = without_one_body([TRUTH.restricted({"C"})])
    summaries = summarise(FRAMES, given_, frozen=bare, folds=None, executor=SERIAL)
    solution = solve(view(summaries), {"kind": "none"})
    model = Model.merge([Model(bare[0]), Model(solution.parameters)])
    np.testing.assert_allclose(predictions(model.parameters)[0], [f.energy for f in FRAMES], atol=1e-3)


def test_a_store_is_of_the_energies_that_were_taken_off(tmp_path):
    bare, truth = without_one_body([TRUTH.restricted({"C"})]), energies(TRUTH)["C"]
    given_ = {x: BASIS.with_energies({"C": x}, "kcal") for x in (truth, truth + 500.0)}
    for x in given_:
        summarise(FRAMES, given_[x], frozen=bare, folds=None, summaries=tmp_path / f"{x}", executor=SERIAL)
    with pytest.raises(StoreError, match=r"energies\.C: .* in the store, .* now"):
        summarise(
            FRAMES, given_[truth + 500.0], frozen=bare, folds=None, summaries=tmp_path / f"{truth}", executor=SERIAL
        )
    # those of elements with a column are no matter of the store
    summarise(FRAMES, given_[truth], folds=None, summaries=tmp_path / "all", executor=SERIAL)
    again = summarise(FRAMES, given_[truth + 500.0], folds=None, summaries=tmp_path / "all", executor=SERIAL)
    assert energies(solve(view(again), {"kind": "none"}).parameters)["C"] == pytest.approx(truth + 500.0)


def test_a_search_refuses_what_only_a_fit_can_settle():
    grid = SearchSettings.from_dict({"folds": 2, "grid": {"regulariser": {"kind": "ridge", "alpha": 1e-9}}})
    frames, whole = of_three(("C", "N", "O", "CN", "CO", "NO", "CNO"), {"CN": 1, "CNO": 0})
    with pytest.raises(InputError, match="free atoms of C, N apart, and a search can't fit them anew with CNO"):
        search(frames, THREE, grid, executor=SERIAL)
    model = search(frames, THREE, grid, executor=SERIAL, all_at_once=True).model
    np.testing.assert_allclose(predictions(model.parameters, whole)[0], [f.energy for f in whole], atol=1e-2)
    # nothing tells them apart, so nothing would be fitted anew
    search(of_three(("C", "N", "CN"), {"CN": 1})[0], THREE.restricted("CN"), grid, executor=SERIAL)
    bare = without_one_body([TRUTH.restricted({"C"})])
    given_ = BASIS.with_energies({"C": energies(TRUTH)["C"]}, "kcal")
    model = search(FRAMES, given_, grid, frozen=bare, executor=SERIAL).model
    np.testing.assert_allclose(predictions(model.parameters)[0], [f.energy for f in FRAMES], atol=1e-2)


FIT = HierarchyOptions(FitSettings(missing_energies="fit"))
GRID = {"folds": 2, "grid": {"regulariser": {"kind": "ridge", "alpha": 1e-9}}}


@pytest.mark.parametrize("together", [False, True], ids=["block by block", "all at once"])
@pytest.mark.parametrize("elements", ["C", "CN"])
def test_a_search_fits_energies_that_frozen_files_lack(elements, together, tmp_path):
    bare = [replace(p, source=f"{e} alone") for e in elements for p in without_one_body([TRUTH.restricted({e})])]
    settings_ = SearchSettings.from_dict(GRID)
    with pytest.raises(InputError, match="free atom of C"):
        search(FRAMES, BASIS, settings_, frozen=bare, executor=SERIAL, all_at_once=together)
    found = search(
        FRAMES, BASIS, settings_, frozen=bare, executor=SERIAL, options=FIT, all_at_once=together, summaries=tmp_path
    )
    assert found.stages[-1].solution.blocks == (("N", "CN") if together and elements == "C" else ("CN",))
    assert set(energies(found.stages[-1].solution.parameters)) >= set(elements)
    np.testing.assert_allclose(predictions(found.model.parameters)[0], [f.energy for f in FRAMES], atol=1e-2)
    # as a fit does, and again from the store
    fit, _ = climb(
        FRAMES, frozen=bare, missing_energies="fit", weights=found.stages[-1].solution.weights,
        regulariser={"kind": "ridge", "alpha": 1e-9},
    )  # fmt: skip
    for e, x in energies(fit.model).items():
        assert energies(found.model)[e] == pytest.approx(x, abs=1e-4)
    again = search(
        FRAMES, BASIS, settings_, frozen=bare, executor=SERIAL, options=FIT, all_at_once=together, summaries=tmp_path
    )
    assert again.model.parameters.digest == found.model.parameters.digest


def test_a_combination_of_energies_that_frozen_files_lack_is_not_settled_by_a_search_alone():
    frames, whole = of_three(("O", "CN", "CO", "NO", "CNO"), {"O": 0, "CN": 1, "CNO": 0})
    bare = without_one_body([TRUE_THREE.restricted({"C"}), TRUE_THREE.restricted({"N"})])
    fit, _ = climb(frames, THREE, frozen=bare, missing_energies="fit", weights={})
    np.testing.assert_allclose(predictions(fit.model.parameters, whole)[0], [f.energy for f in whole], atol=1e-3)
    with pytest.raises(InputError, match="free atoms of C, N apart, and a search can't fit them anew with CNO"):
        search(frames, THREE, SearchSettings.from_dict(GRID), frozen=bare, executor=SERIAL, options=FIT)


def test_views_fit_energies_that_summaries_kept_columns_for():
    bare = without_one_body([TRUTH.restricted({"C"}), TRUTH.restricted({"N"})])
    frames = [f for f in FRAMES if f.elements == {"C", "N"}]
    lacking = summarise(frames, BASIS, frozen=bare, folds=None, executor=SERIAL)
    with pytest.raises(InputError, match=r'C, N can.t be fitted: .* missing_energies="fit" to summarise'):
        view(lacking, missing_energies="fit")
    with pytest.raises(InputError, match="summarise: frames with energies of C, N need"):
        summarise(frames, BASIS, frozen=bare, folds=None, executor=SERIAL, missing_energies="refuse")
    kept = summarise(frames, BASIS, frozen=bare, folds=None, executor=SERIAL, missing_energies="fit")
    assert kept.blocks == ("C", "N", "CN")
    for chosen in (view(kept), view(kept, blocks=["CN"], missing_energies="fit")):
        solution = solve(chosen, {"kind": "none"})
        model = Model.merge([*map(Model, bare), Model(solution.parameters)])
        np.testing.assert_allclose(predictions(model.parameters, frames)[0], [f.energy for f in frames], atol=1e-3)
    # a model that says these energies leaves none to fit
    stated = summarise(frames, BASIS, frozen=[TRUTH.restricted({"C", "N"})], executor=SERIAL, missing_energies="fit")
    assert stated.blocks == ("CN",)
    with pytest.raises(MismatchError, match="has C terms of block C, which is being fitted"):
        summarise(frames, kept.basis, blocks=kept.blocks, frozen=[TRUTH.restricted({"C", "N"})], executor=SERIAL)


# ---------------------------------------------------------------------------------------------- blocks fitted anew


@pytest.mark.parametrize("free", [["CN"], ["CN", "CO", "NO"]], ids=",".join)
def test_energies_that_a_block_told_outlive_it(free):
    """N's frames have no energies, and those of CN, which tell N's, are fitted anew with CNO."""
    sets = ("C", "N", "O", "CN", "CO", "NO", "CNO")
    frames, whole = of_three(sets, dict.fromkeys(set(sets) - {"N"}, 0))
    options = HierarchyOptions(FitSettings(include_fewer=len(free) > 1), partial={"CNO": free})
    fit = fit_hierarchy(frames, THREE, options=options, executor=SERIAL)
    assert set(energies(fit.model)) == {"C", "N", "O"}
    np.testing.assert_allclose(predictions(fit.model.parameters, whole)[0], [f.energy for f in whole], atol=1e-3)
    parts = [f.solution.parameters for f in fit.fits.values()]
    assert len({p.source for p in parts}) == len(parts)


def test_energies_that_are_given_are_stated_where_no_frame_has_any():
    given_ = BASIS.with_energies({"N": energies(TRUTH)["N"]}, "kcal")
    frames = without_energies(FRAMES, "N")
    alone, _ = climb([f for f in frames if f.elements == {"N"}], given_.restricted("N"))
    assert energies(alone.model)["N"] == pytest.approx(energies(TRUTH)["N"])
    fit, _ = climb(frames, given_)
    np.testing.assert_allclose(predictions(fit.model.parameters)[0], [f.energy for f in FRAMES], atol=1e-3)


def test_what_a_fit_of_several_blocks_told_stays_as_it_was_told():
    one = sorted(next(f for f in FRAMES if f.elements == {"C", "N"}).species)
    frames = [f for f in without_energies(FRAMES, "C", "N") if len(f.elements) == 1 or sorted(f.species) == one]
    options = HierarchyOptions(FitSettings(include_fewer=True), partial={"CN": ["C", "N"]})
    fit = fit_hierarchy(frames, BASIS, options=options, executor=SERIAL)
    (told,) = fit.fits["CN"].solution.parameters.undetermined
    (whole,) = fit.model.parameters.undetermined
    assert whole == pytest.approx(told)
    # the composition that was fitted is known
    assert sum(x * one.count(e) for e, x in whole.items()) == pytest.approx(0.0, abs=1e-9)


def test_a_search_warns_as_a_fit_does():
    held = TRUTH.restricted({"C", "N"})
    off = replace(held, coefficients=np.where([len(c.elements) == 1 for c in held.as_dict()], -1e6, held.coefficients))
    frames = [f for f in FRAMES if f.elements == {"C", "N"}]
    fit, _ = climb(frames, frozen=[off])
    found = search(frames, BASIS, SearchSettings.from_dict(GRID), frozen=[off], executor=SERIAL)

    def warned(solution):
        return {n[:40] for n in solution.notes if n.startswith("WARNING")}

    assert any("energies of free atoms" in n for n in warned(fit.fits["CN"].solution))
    assert warned(found.stages[-1].solution) == warned(fit.fits["CN"].solution)
