"""What a climb refuses before anything is computed, and what it leaves out in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist import HierarchyOptions, Model, fit_all_at_once, fit_block, fit_hierarchy, plan
from hiertl_dist.errors import InnerCutoffError, InputError, MismatchError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting.block_order import choose_blocks
from hiertl_dist.fitting.settings import FitSettings
from hiertl_dist.model.parameters import Parameters, Penalty

BASIS = small_basis((3, 2, 0), ("C", "N", "O"))
TRUTH = random_parameters(BASIS, 7)
PURE = {"C": 3, "N": 3, "O": 3}
SERIAL = SerialExecutor()
RIDGE = FitSettings({"kind": "ridge", "alpha": 1e-6})


def frames_of(*sets):
    return random_frames(PURE | dict.fromkeys(sets, 4))


def part(*blocks, **changes):
    found = TRUTH.restricted(set(blocks))
    basis = found.basis.restricted(set().union(*(t.elements for t in found.basis.types)))
    return replace(Parameters(basis, found.coefficients, source="+".join(blocks)), **changes)


def refused(match, frames, error=InputError, frozen=(), **options):
    with pytest.raises(error, match=match):
        fit_hierarchy(frames, BASIS, frozen=frozen, options=HierarchyOptions(RIDGE, **options), executor=SERIAL,
                      done=lambda _: pytest.fail("something was computed first"))  # fmt: skip


def test_blocks_without_frames_are_left_out_of_the_model_in_words():
    told = []
    frames = labelled(frames_of("CN", "CO"), TRUTH)
    fit = fit_hierarchy(frames, BASIS, options=HierarchyOptions(RIDGE), executor=SERIAL, tell=told.append)
    assert list(fit.fits) == ["C", "N", "O", "CN", "CO"]
    assert {t.block for t in fit.model.parameters.basis.types} == {"C", "N", "O", "CN", "CO"}
    for block in ("NO", "CNO"):
        assert f"block {block} is left out of the model: no frame contains exactly its elements" in told


def test_a_block_that_others_stand_on_needs_frames():
    frames = [f for f in frames_of("CN") if f.elements != {"N"}]
    refused("block N: no frame contains exactly N, and CN stands on it", frames)
    assert choose_blocks(frames, BASIS, [part("N")], HierarchyOptions()) == ["C", "O", "CN"]


def test_a_block_named_by_hand_is_not_left_out():
    refused("block NO: no frame contains exactly", frames_of("CN"), only=["N", "O", "NO"])


def test_lower_blocks_must_be_had():
    refused("block CN: its lower blocks N are in the basis, but neither fitted here nor frozen", frames_of("CN"),
            only=["C", "CN"])  # fmt: skip


def test_lower_blocks_must_be_had_even_where_they_have_no_frames():
    frames = random_frames({"CN": 4})
    refused("block CN: its lower blocks C, N are in the basis, but neither fitted", frames, only=["CN"])
    half = [part("C")]
    refused("block CN: its lower blocks N are in the basis, but neither fitted", frames, frozen=half, only=["CN"])


def test_a_block_left_free_needs_no_frames_of_its_own():
    options = HierarchyOptions(RIDGE, partial={"CN": ["C"]})
    told = []
    frames = [f for f in frames_of("CN") if f.elements != {"C"}]
    assert choose_blocks(frames, BASIS, [], options, told.append) == ["N", "O", "CN"]
    assert not any(line.startswith("block C ") for line in told)
    fit = fit_hierarchy(labelled(frames, TRUTH), BASIS, options=options, executor=SERIAL)
    assert fit.fits["CN"].solution.blocks == ("C", "CN")


def test_no_block_changes_with_two_others():
    refused("partial: C would be changed by CN and by CO", frames_of("CN", "CO"), partial={"CN": ["C"], "CO": ["C"]})


def test_no_block_changes_after_another_was_fitted_on_it():
    refused("partial: CO would change C after CN was fitted on it", frames_of("CN", "CO"), partial={"OC": ["C"]})
    assert choose_blocks(frames_of("CN"), BASIS, [], HierarchyOptions(partial={"CN": ["C"]})) == ["C", "N", "O", "CN"]


def test_one_wall_for_all():
    settings = replace(RIDGE, penalty=Penalty(1e5, 0.01))
    other = replace(RIDGE, penalty=Penalty(1e6, 0.01))
    walls = {"C": settings, "N": other}
    refused("penalty: the settings of blocks name", frames_of(), MismatchError, block_settings=walls)
    frozen = [part("C"), part("N", penalty=Penalty(1e6, 0.02))]
    refused(r"penalty: C has .*10000\.0.*, N has .*1000000\.0", frames_of("CN"), MismatchError, frozen)


def test_weights_of_nothing_are_refused_first():
    with pytest.raises(InputError, match="weights: 'forc' names no kind or source of rows"):
        fit_hierarchy(frames_of(), BASIS, options=HierarchyOptions(FitSettings(weights={"forc": 2.0})), executor=SERIAL)


def test_all_problems_of_a_climb_are_told_at_once():
    options = HierarchyOptions(
        FitSettings(weights={"forc": 2.0}), {"C": replace(RIDGE, penalty=Penalty(1e5, 0.01)),
        "N": replace(RIDGE, penalty=Penalty(1e6, 0.01))}, partial={"CN": ["C"], "CO": ["C"]},
    )  # fmt: skip
    with pytest.raises(InputError) as error:
        choose_blocks(frames_of("CN", "CO"), BASIS, [], options)
    for said in ("partial: C would be changed by CN and by CO", "penalty: the settings of blocks", "weights: 'forc'"):
        assert sum(said in p for p in error.value.problems) == 1, said
    with pytest.raises(InputError) as error:
        choose_blocks(random_frames({"CN": 4}), BASIS, [], HierarchyOptions())
    assert [p.partition(":")[0] for p in error.value.problems] == ["block C", "block N"]


def test_all_at_once_ignores_no_option():
    for options in ({"partial": {"CN": ["C"]}}, {"only": ["C"]}, {"block_settings": {"C": RIDGE}}):
        with pytest.raises(InputError, match=rf"all at once: .*{next(iter(options))}.* would be ignored"):
            fit_all_at_once(frames_of(), BASIS, options=HierarchyOptions(RIDGE, **options), executor=SERIAL)
    with pytest.raises(InputError, match="frozen files hold every block"):
        fit_all_at_once(frames_of(), BASIS, frozen=[TRUTH], executor=SERIAL)


def test_all_at_once_leaves_frozen_blocks_alone():
    frames = labelled(frames_of("CN", "CO", "NO", "CNO"), TRUTH)
    fit = fit_all_at_once(frames, BASIS, frozen=[part("C"), part("N")], executor=SERIAL)
    assert fit.solution.blocks == ("O", "CN", "CO", "NO", "CNO")
    found, truth = fit.solution.parameters.as_dict(), TRUTH.as_dict()
    assert max(abs(found[c] - truth[c]) for c in found) < 1e-6


def test_names_may_have_their_elements_in_any_order():
    fit = fit_block(labelled(frames_of("CO"), TRUTH), BASIS, "OC", free=["O", "C"], executor=SERIAL)
    assert fit.solution.block == "CO"
    assert fit.solution.blocks == ("C", "O", "CO")
    assert any("refitted on frames of CO alone" in note for note in fit.solution.notes)


# ---- contacts inside the inner cutoffs of frozen models


def close_pair():
    """CN frames of which one has a C and a C closer than block C's inner cutoff, which CN's basis does not know."""
    frames = frames_of("CN")[-4:]
    carbons = [i for i, s in enumerate(frames[1].species) if s == "C"][:2]
    positions = frames[1].positions.copy()
    positions[carbons[1]] = positions[carbons[0]] + [0.7, 0.0, 0.0]
    return [frames[0], replace(frames[1], positions=positions), *frames[2:]], carbons


TWO_BODY = small_basis((3, 0, 0))


@pytest.fixture
def frozen():
    truth = random_parameters(TWO_BODY, 3)
    return [truth.restricted({b}) for b in ("C", "N")]


def test_they_are_refused_by_name(frozen):
    frames, (a, b) = close_pair()
    with pytest.raises(InnerCutoffError, match=rf"atoms {a} \(C\) and {b} \(C\) are 0.7000 Å .* of truth 3 \(C\)"):
        fit_block(frames, TWO_BODY, "CN", frozen=frozen, executor=SERIAL)


def test_the_policy_decides(frozen):
    frames, _ = close_pair()
    rms = {}
    for policy in ("skip_frame", "lsq", "damp"):
        settings = FitSettings({"kind": "ridge", "alpha": 1e-6}, policy=policy)
        solution = fit_block(frames, TWO_BODY, "CN", frozen=frozen, settings=settings, executor=SERIAL).solution
        assert any("inside an inner cutoff" in note for note in solution.notes)
        rms[policy] = solution.residuals["all/force"].target_rms
    # the wall is in every answer that keeps the frame, the two-body terms only in the damped one
    assert rms["skip_frame"] < 0.5 * min(rms["lsq"], rms["damp"])
    assert rms["lsq"] != rms["damp"]


# ---- coverage


def test_ranges_end_where_each_block_does():
    """CN reaches 5 Å in two-body terms, C only 4.7 Å here: what is beyond is no distance of C's."""
    basis = small_basis((0, 2, 0), types={"CN": {"order": 3}})
    frames = frames_of("CN")
    found = plan(frames[-4:], basis.restricted(["C", "N"])).coverage(["C", "CN"])
    assert found["C:CC"][1] <= 4.7 < found["CN:CN"][1] <= 5.0
    frames = labelled(frames[-4:], random_parameters(basis))
    together = fit_all_at_once(frames, basis, options=HierarchyOptions(RIDGE), executor=SERIAL)
    for key, span in together.solution.parameters.coverage.items():
        assert span == found.get(key, span)
    model = Model(together.solution.parameters)
    (one,) = model.evaluate(frames[-1:])
    assert one.out_of_range == ()
    for key, (low, high) in one.ranges.items():
        assert model.coverage[key][0] <= low <= high <= model.coverage[key][1]
    np.testing.assert_array_less(0.9, [low for low, _ in one.ranges.values()])


def test_what_is_looked_at_before_a_climb_grows_with_frames_not_with_their_square(monkeypatch):
    asked = []
    sets_of = HierarchyOptions.sets_of
    monkeypatch.setattr(HierarchyOptions, "sets_of", lambda *a: asked.append(a[1]) or sets_of(*a))
    counts = []
    for n in (2, 20):
        asked.clear()
        frames = labelled(random_frames(dict.fromkeys(("C", "N", "CN"), n)), random_parameters(BASIS))
        choose_blocks(frames, BASIS, [], HierarchyOptions().normal())
        counts.append(len(asked))
    assert 0 < counts[0] == counts[1]
