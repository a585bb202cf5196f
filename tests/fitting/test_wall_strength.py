"""What a fit says of a wall that its two-body terms outweigh, and that the wall which it names holds."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from synthetic import labelled, n_columns, random_frames, small_basis

from hiertl_dist import FitSettings, Frame, HierarchyOptions, Model, Penalty, fit_block, fit_hierarchy
from hiertl_dist.errors import InputError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting.wall_strength import weak_wall_notes
from hiertl_dist.model.parameters import Parameters
from hiertl_dist.model.walls import BARRIER

BASIS = small_basis((4, 0, 0), ("C",), rmin=0.8, one_body=False)
CONTACT = 1.3


def model(*values, wall, coverage=CONTACT):
    known = {} if coverage is None else {"C:CC": (coverage, 5.0)}
    return Parameters(BASIS, np.array(values, float), wall, known)


REPELLING, ATTRACTING = (200.0, 0.0, 0.0, 0.0), (-200.0, 0.0, 0.0, 0.0)


def test_polynomials_that_repel_are_kept_apart_by_themselves():
    assert weak_wall_notes(model(*REPELLING, wall=Penalty(1e4, 0.4))) == ()


def test_a_hole_is_told_with_a_wall_that_holds():
    weak = model(*ATTRACTING, wall=Penalty(10.0, 0.4))
    (note,) = weak_wall_notes(weak)
    assert "does not keep atoms apart at 3000 K, which takes 10.3 eV" in note
    assert re.search(r"get up to CC 0\.0 eV \(a hole below 1\.\d\d Å\)", note)
    scale, distance = map(float, re.search(r"a scale of (\S+) and a distance of (\S+) Å would", note).groups())
    better = replace(weak, penalty=Penalty(scale, distance))
    assert weak_wall_notes(better) == ()
    assert 0.8 + distance < CONTACT
    # by hand: from the contact inward the energy rises above 40 kT, and never falls by more than kT before
    dimers = [Frame(("C", "C"), np.array([[0, 0, 0], [0, 0, r]])) for r in np.arange(CONTACT, 0.4, -0.01)]
    energies = np.array([e.energy for e in Model(better).evaluate(dimers)])
    energies = energies[: int(np.argmax(energies - energies[0] > BARRIER)) + 1]
    assert energies[-1] - energies[0] > BARRIER
    assert (np.maximum.accumulate(energies) - energies).max() < 1.05 * BARRIER / 40


def test_no_wall_helps_where_the_energy_falls_from_the_contact_on():
    (note,) = weak_wall_notes(model(*(50.0 * np.array(ATTRACTING)), wall=Penalty(10.0, 0.1)))
    assert "no wall does that begins below the closest contacts" in note


def test_what_is_not_known_is_not_judged():
    assert weak_wall_notes(model(*ATTRACTING, wall=Penalty(10.0, 0.4), coverage=None)) == ()


def test_contacts_of_frozen_models_count():
    weak = model(*ATTRACTING, wall=Penalty(10.0, 0.4), coverage=None)
    assert len(weak_wall_notes(weak, [model(*REPELLING, wall=Penalty())])) == 1


# ---- the wall that is chosen


AUTO = FitSettings(penalty="auto")
CN = small_basis((4, 0, 0), ("C", "N"), rmin=0.8, one_body=False)
MIXED = [
    replace(f, energy=None)
    for f in labelled(random_frames({"C": 3, "N": 3, "CN": 3}), Parameters(CN, np.ones(n_columns(CN))))
]


def closest(frames):
    """Å, by hand: of all periodic images of two atoms."""
    images = np.array(np.meshgrid(*[range(-2, 3)] * 3)).reshape(3, -1).T
    shortest = np.inf
    for f in frames:
        apart = f.positions[:, None, None] - f.positions[None, :, None] + images @ f.cell
        away = np.linalg.norm(apart, axis=-1)
        shortest = min(shortest, away[away > 0].min())
    return shortest


def test_no_contact_feels_the_wall_that_is_chosen_and_it_is_said():
    told = []
    fit = fit_hierarchy(MIXED, CN, options=HierarchyOptions(AUTO), executor=SerialExecutor(), tell=told.append)
    wall = fit.model.parameters.penalty
    room = closest(MIXED) - 0.8
    assert room - 0.0301 < wall.distance < room - 0.0199
    assert wall.scale * max(0.5 * wall.distance, 0.15) ** 3 >= BARRIER
    assert all(f.solution.parameters.penalty == wall for f in fit.fits.values())
    (note,) = (t for t in told if t.startswith("wall: "))
    assert f"{wall.scale:g} kcal/mol/Å³ within {wall.distance:g} Å of rmin" in note


def test_blocks_that_are_fitted_one_by_one_have_the_wall_of_a_climb():
    serial = SerialExecutor()
    whole = fit_hierarchy(MIXED, CN, options=HierarchyOptions(AUTO), executor=serial).model.parameters
    lower = [fit_block(MIXED, CN, e, settings=AUTO, executor=serial).solution for e in "CN"]
    assert all(any(n.startswith("wall: ") for n in s.notes) for s in lower)
    frozen = [s.parameters for s in lower]
    cross = fit_block(MIXED, CN, "CN", frozen=frozen, settings=AUTO, executor=serial).solution
    assert {s.parameters.penalty for s in (*lower, cross)} == {whole.penalty}
    assert not any(n.startswith("wall: ") for n in cross.notes), "that of the frozen models"
    options = HierarchyOptions(AUTO, only=["C"])
    assert fit_hierarchy(MIXED, CN, options=options, executor=serial).model.parameters.penalty == whole.penalty


@pytest.mark.parametrize("named", [None, Penalty(2e4, 0.05)])
def test_frozen_models_and_settings_bring_their_own_wall(named):
    serial, theirs = SerialExecutor(), Penalty(3e4, 0.02)
    lower = [replace(fit_block(MIXED, CN, "C", executor=serial).solution.parameters, penalty=theirs)]  # not below N
    options = HierarchyOptions(AUTO, block_settings={} if named is None else {"CN": FitSettings(penalty=named)})
    fit = fit_hierarchy(MIXED, CN, frozen=lower, options=options, executor=serial)
    assert fit.model.parameters.penalty == (named or theirs)


def test_blocks_without_a_wall_get_that_of_another_block_and_it_is_said():
    named, told = Penalty(2e4, 0.05), []
    options = HierarchyOptions(block_settings={"CN": FitSettings(penalty=named)})
    fit = fit_hierarchy(MIXED, CN, options=options, executor=SerialExecutor(), tell=told.append)
    assert {f.solution.parameters.penalty for f in fit.fits.values()} == {named}
    assert (
        f"wall: that which settings of a block name ({named}), also of blocks without one, for a model has one" in told
    )
    told.clear()
    every = HierarchyOptions(FitSettings(penalty=named))
    fit_hierarchy(MIXED, CN, options=every, executor=SerialExecutor(), tell=told.append)
    assert not any("wall" in line for line in told)


def test_without_room_for_a_wall_it_is_that_of_chimes_and_said():
    near = small_basis((4, 0, 0), ("C",), rmin=float(closest(MIXED[:3])) - 0.005, one_body=False)
    fit = fit_block(MIXED[:3], near, "C", settings=AUTO, executor=SerialExecutor())
    assert fit.solution.parameters.penalty == Penalty()
    assert any("leaves no room for one; a smaller rmin does" in n for n in fit.solution.notes)
    skipped = small_basis((4, 0, 0), ("C",), rmin=float(closest(MIXED[:3])) + 0.005, one_body=False)
    settings = replace(AUTO, policy="skip_frame")
    solution = fit_block(MIXED[:3], skipped, "C", settings=settings, executor=SerialExecutor()).solution
    assert solution.parameters.penalty != Penalty(), "frames that are passed over don't count"


def test_another_word_for_a_wall_is_refused():
    with pytest.raises(InputError, match="penalty: expected \"auto\" or a scale and a distance, found 'hard'"):
        FitSettings(penalty="hard")


@pytest.mark.parametrize(("sign", "said"), [(-60.0, True), (60.0, False)])
def test_a_fit_says_it(sign, said):
    frames = labelled(random_frames({"C": 3}), Parameters(BASIS, sign * np.ones(n_columns(BASIS))))
    settings = FitSettings({"kind": "ridge", "alpha": 1e-6}, penalty=Penalty(1e4, 0.1))
    fit = fit_block(frames, BASIS, "C", executor=SerialExecutor(), settings=settings)
    assert any("does not keep atoms apart" in n for n in fit.solution.notes) is said
