"""What a fit says of a wall that its two-body terms outweigh, and that the wall which it names holds."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from synthetic import labelled, n_columns, random_frames, small_basis

from hiertl_dist import FitSettings, Frame, Model, Penalty, fit_block
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


@pytest.mark.parametrize(("sign", "said"), [(-60.0, True), (60.0, False)])
def test_a_fit_says_it(sign, said):
    frames = labelled(random_frames({"C": 3}), Parameters(BASIS, sign * np.ones(n_columns(BASIS))))
    settings = FitSettings({"kind": "ridge", "alpha": 1e-6}, penalty=Penalty(1e4, 0.1))
    fit = fit_block(frames, BASIS, "C", executor=SerialExecutor(), settings=settings)
    assert any("does not keep atoms apart" in n for n in fit.solution.notes) is said
