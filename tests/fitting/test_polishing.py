"""A polish: chosen blocks fitted again from summaries; truth stays, what is held stays, all chosen is all at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist import HierarchyOptions, Model, Prior
from hiertl_dist.errors import InputError, MismatchError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting.hierarchy import fit_all_at_once, fit_hierarchy
from hiertl_dist.fitting.polishing import polish, polished_model
from hiertl_dist.fitting.settings import FitSettings
from hiertl_dist.fitting.summary_pass import summarise
from hiertl_dist.model.truncation import lower_basis

SERIAL = SerialExecutor()
BASIS = small_basis((3, 2, 0))
TRUTH = random_parameters(BASIS, 3)
EXACT = labelled(random_frames({"C": 6, "N": 6, "CN": 10}), TRUTH)
RIDGE = {"kind": "ridge", "alpha": 1e-2}
WEIGHTS = {"energy": 0.3, "stress": 100.0}


def noisy(frames, scale=0.3):
    return [
        replace(f, forces=f.forces + np.random.default_rng(i).normal(scale=scale, size=f.forces.shape))
        for i, f in enumerate(frames)
    ]


NOISY = noisy(EXACT)


@pytest.fixture(scope="module")
def summaries():
    return summarise(NOISY, BASIS, executor=SERIAL)


@pytest.fixture(scope="module")
def climb():
    options = HierarchyOptions(FitSettings(RIDGE, weights=WEIGHTS))
    return fit_hierarchy(NOISY, BASIS, options=options, executor=SERIAL)


def values(parameters, blocks=("C", "N", "CN"), bodies=(1, 2, 3)):
    return {c: v for c, v in parameters.as_dict().items() if c.block in blocks and len(c.elements) in bodies}


def assert_close(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[c] for c in expected], list(expected.values()), **tolerance)


@pytest.mark.parametrize("hold", [None, 10.0, {"C": 1.0}])
@pytest.mark.parametrize("blocks", [["CN"], ["C", "CN"]])
def test_exact_labels_stay_at_the_truth(blocks, hold):
    if isinstance(hold, dict) and "C" in blocks:
        hold = {"N": 1.0}
    kept = summarise(EXACT, BASIS, executor=SERIAL)
    solution = polish(
        kept, Model(TRUTH), blocks, hold=hold, regulariser={"kind": "ridge", "alpha": 1e3}, prior="values"
    )
    assert_close(polished_model(Model(TRUTH), solution).parameters.as_dict(), TRUTH.as_dict(), atol=1e-7)
    # and is found again where the model is not there yet
    wrong = replace(TRUTH, coefficients=TRUTH.coefficients + np.array([c.block in blocks for c in TRUTH.columns]))
    found = polish(kept, Model(wrong), blocks, hold=hold, regulariser={"kind": "ridge", "alpha": 1e-12})
    assert_close(polished_model(wrong, found).parameters.as_dict(), TRUTH.as_dict(), atol=1e-4)


def test_all_blocks_chosen_and_drawn_to_zero_are_all_at_once(summaries, climb):
    options = HierarchyOptions(FitSettings(RIDGE, weights=WEIGHTS))
    together = fit_all_at_once(NOISY, BASIS, options=options, executor=SERIAL).solution
    found = polish(summaries, climb.model, ["N", "CN", "C"], regulariser=RIDGE, prior="zero", weights=WEIGHTS)
    assert_close(found.parameters.as_dict(), together.parameters.as_dict(), rtol=1e-7, atol=1e-7)
    assert found.rmse == pytest.approx(together.rmse, rel=1e-9)


def test_one_block_chosen_is_the_climb(summaries, climb):
    found = polish(summaries, climb.model, ["CN"], regulariser=RIDGE, prior="zero", weights=WEIGHTS)
    assert_close(found.parameters.as_dict(), values(climb.model.parameters, ["CN"]), rtol=1e-7, atol=1e-9)
    whole = polished_model(climb.model, found)
    assert values(whole.parameters, ["C", "N"]) == values(climb.model.parameters, ["C", "N"]), "bit for bit"
    assert whole.parameters.fitted_on == climb.model.parameters.fitted_on
    assert whole.parameters.without_data == climb.model.parameters.without_data
    assert whole.parameters.penalty == climb.model.parameters.penalty


def test_what_is_held_hard_stays_and_what_is_held_loosely_moves(summaries, climb):
    before = climb.model.parameters
    frozen = polish(summaries, before, ["CN"], regulariser=RIDGE, weights=WEIGHTS, sets=["C", "N", "CN"])
    moved = {}
    for hold in (1e-6, 1.0, 1e4, 1e14):
        found = polish(summaries, before, ["CN"], hold=hold, regulariser=RIDGE, weights=WEIGHTS)
        lower = values(found.parameters, ["C", "N"], (2, 3))
        moved[hold] = np.linalg.norm([v - before.as_dict()[c] for c, v in lower.items()])
        assert values(found.parameters, bodies=(1,)) == pytest.approx(values(before, bodies=(1,)), rel=1e-12)
    assert list(moved.values()) == sorted(moved.values(), reverse=True)
    assert moved[1e14] < 1e-9 < 1e-3 < moved[1.0]
    assert_close(values(found.parameters, ["CN"]), frozen.parameters.as_dict(), rtol=1e-6, atol=1e-8)
    # with nothing chosen and everything held, nothing changes
    still = polish(summaries, before, [], hold=1e14, regulariser=RIDGE, weights=WEIGHTS)
    assert_close(still.parameters.as_dict(), before.as_dict(), rtol=0, atol=1e-9)


def test_a_held_block_is_a_ridge_about_its_values(summaries, climb):
    """Beside the problem written out with normal equations."""
    before = climb.model.parameters
    found = polish(summaries, before, ["C"], hold={"CN": 50.0}, prior="zero", regulariser=RIDGE,
                   weights={"force": 1.0, "stress": 0.0, "energy": 0.0}, objective="plain")  # fmt: skip
    columns = [c for c in summaries.columns if c.powers]
    place = [i for i, c in enumerate(summaries.columns) if c.powers and c.block in ("C", "CN")]
    gram, right = np.zeros((len(place), len(place))), np.zeros(len(place))
    offset = np.array([before.as_dict()[c] if c.block == "N" else 0.0 for c in summaries.columns])
    for group, factor in summaries.groups.items():
        if group.kind == "force" and group.elements in ({"C"}, {"C", "N"}):
            own = [i for b in summaries.blocks_in(group) for i in summaries.starts[b]]
            rows = np.zeros((len(factor.r), len(summaries.columns)))
            rows[:, own] = factor.r[:, : len(own)]
            target = factor.r[:, len(own)] - rows @ offset
            gram += rows[:, place].T @ rows[:, place]
            right += rows[:, place].T @ target
    labels = [summaries.columns[i] for i in place]
    alpha = np.array([RIDGE["alpha"] * (50.0 if c.block == "CN" else 1.0) for c in labels])
    mean = np.array([before.as_dict()[c] if c.block == "CN" else 0.0 for c in labels])
    expected = mean + np.linalg.solve(gram + np.diag(alpha), right - gram @ mean)
    got = found.parameters.as_dict()
    np.testing.assert_allclose([got[c] for c in labels], expected, rtol=1e-6, atol=1e-8)
    assert {c for c in columns if c.block == "N"} & set(got) == set()
    assert found.prior["spread"] == {t.name: 50.0**-0.5 for t in BASIS.types if t.block == "CN"}


def test_mixed_draws_chosen_cross_blocks_to_what_the_lower_ones_make_of_them(summaries, climb):
    stiff = {"kind": "ridge", "alpha": 1e14}
    mixed = {"mean": "mixed", "lower": "coefficients"}
    found = polish(summaries, climb.model, ["CN", "C"], prior=mixed, regulariser=stiff, weights=WEIGHTS)
    own = climb.model.parameters.as_dict()
    cc, nn = ({c.powers: v for c, v in own.items() if c.elements == e} for e in (("C", "C"), ("N", "N")))
    for column, value in found.parameters.as_dict().items():
        if column.elements == ("C", "N"):
            assert value == pytest.approx(0.5 * (cc[column.powers] + nn[column.powers]), abs=1e-7)
        elif column.elements == ("C", "C"):
            assert value == pytest.approx(0.0, abs=1e-7)


def test_the_model_says_orders_and_types(summaries):
    """What it lacks of its blocks is not fitted; a block that it lacks is, in full."""
    low = lower_basis(BASIS, {"C", "N", "CN"}, {"CC": 2}, ["CCN"])
    part = random_parameters(low, 4)
    found = polish(summaries, part, ["C", "CN"], regulariser=RIDGE, weights=WEIGHTS)
    assert [c.powers for c in found.parameters.columns if c.elements == ("C", "C")] == [(1,), (2,)]
    assert found.parameters.basis.type_named("CCN") is None
    without = part.restricted({"C", "N"})
    anew = polish(summaries, without, ["CN"], regulariser=RIDGE, weights=WEIGHTS)
    assert anew.parameters.basis.type_named("CCN").order == 2
    assert any("nothing of CN, which is drawn to zero" in n for n in anew.notes)
    gone = polish(summaries, without, ["C"], regulariser=RIDGE, weights=WEIGHTS)
    assert any("blocks CN of the summaries are not in the model" in n for n in gone.notes)


def test_models_that_were_frozen_in_the_pass(climb):
    carbon = climb.model.parameters.restricted({"C"})
    kept = summarise(NOISY, BASIS, frozen=[carbon], executor=SERIAL)
    found = polish(kept, climb.model, ["CN"], hold=1e3, regulariser=RIDGE, weights=WEIGHTS)
    assert {str(b) for b in found.blocks} == {"N", "CN"}
    assert "C" in {c.block for c in polished_model(climb.model, found).parameters.columns}
    other = climb.model.parameters
    other = replace(other, coefficients=other.coefficients * (1.0 + 1e-6))
    with pytest.raises(MismatchError, match=r"summarised with .* frozen, whose coefficient of .* in the model it is"):
        polish(kept, other, ["CN"], regulariser=RIDGE)
    with pytest.raises(InputError, match="the summaries have N, CN, not"):
        polish(kept, climb.model, ["C"], regulariser=RIDGE)


def test_a_model_of_other_functions_is_refused(summaries, climb):
    """Whether its blocks are frozen, held or chosen: equal labels of columns do not make equal functions."""
    own = climb.model.parameters
    pairs = tuple(replace(p, morse_lambda=p.morse_lambda + 0.1) for p in own.basis.pairs)
    other = replace(own, basis=replace(own.basis, pairs=pairs))
    for options in ({}, {"hold": 1.0}, {"blocks": ["C", "N", "CN"]}):
        with pytest.raises(MismatchError, match="λ"):
            polish(summaries, other, **{"blocks": ["CN"], "regulariser": RIDGE, **options})
    with pytest.raises(MismatchError, match="λ"):
        polish(summaries, own, ["CN"], regulariser=RIDGE, prior=Prior(mean=other))


def test_mixed_blocks_that_do_not_follow_are_named():
    basis = small_basis((2, 0, 0), ("C", "N", "O"))
    frames = labelled(random_frames({"C": 4, "N": 4, "O": 4, "CN": 6}), random_parameters(basis, 2))
    options = HierarchyOptions(FitSettings(RIDGE), missing="mixed")
    fit = fit_hierarchy(frames, basis, options=options, executor=SERIAL)
    kept = summarise(frames, basis, executor=SERIAL)
    found = polish(kept, fit.model, ["C", "CN"], regulariser=RIDGE)
    assert any("blocks CO were made of lower blocks that are fitted anew" in n for n in found.notes)
    made = polished_model(fit.model, found).parameters
    assert made.without_data == fit.model.parameters.without_data


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": []}, "no block is chosen, and none is held"),
        ({"hold": 0.0}, r"hold: block C: expected a number above 0.*\n.*block N: expected a number"),
        ({"hold": {"CN": 2.0}}, "hold: block CN is chosen to be fitted, and held"),
        ({"hold": {"O": 2.0}}, "no terms of block O to be held to, but of C, CN, N"),
        ({"hold": 1.0, "regulariser": {"kind": "none"}}, "hold: it multiplies .*, and none has none"),
        ({"hold": 1.0, "regulariser": {"kind": "ard"}}, "and ard has none that is the same"),
        ({"prior": "auto"}, 'say "values", "mixed" or "zero"'),
        ({"prior": {"mean": "mixed", "probes": 4}}, "it has 4 probes, and a polish has none"),
    ],
)
def test_what_can_not_be_is_refused(summaries, climb, options, message):
    with pytest.raises(InputError, match=message):
        polish(summaries, climb.model, **{"blocks": ["CN"], "regulariser": RIDGE, **options})
