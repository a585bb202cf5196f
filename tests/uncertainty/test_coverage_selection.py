"""Frames that close the gaps of a model's data: each gap once, most first, none where there is no gap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import random_frame, random_parameters, small_basis

from hiertl_dist import Frame, Model, select_for_coverage
from hiertl_dist.errors import FrameError, InputError

BASIS = small_basis((3, 2, 0), ("C", "N", "O"))
TRUTH = replace(random_parameters(BASIS, 3), coverage={"C:CC": (1.4, 5.0)})


def line(*species, apart):
    """Atoms in a row."""
    at = np.array([[apart * k, 0.0, 0.0] for k in range(len(species))])
    return Frame(species, at, None, origin=f"{''.join(species)} {apart}")


def test_each_gap_is_closed_once():
    without = TRUTH.with_types(t for t in BASIS.types if t.name != "CNO")
    model = Model(replace(without, fitted_on={"NNO": (0, 0), "NN": (3, 4)}))
    pool = [
        line("C", "C", apart=1.5), line("C", "N", "O", apart=2.0), line("C", "C", apart=1.12),
        line("C", "C", apart=1.15), line("C", "C", apart=1.35), line("C", "N", "O", "N", apart=2.0),
        line("N", "N", apart=1.5),
    ]  # fmt: skip
    picks = select_for_coverage(pool, 9, model)
    assert [p.index for p in picks] == [5, 2, 4]
    assert set(picks[0].types) == {"CNO", "NNO"}
    assert picks[1].distances == {"C:CC": pytest.approx(1.12)}
    assert (picks[2].types, list(picks[2].distances.values())) == ((), [pytest.approx(1.35)])
    assert [p.index for p in select_for_coverage(pool, 1, model)] == [5]
    # a finer step tells 1.12 and 1.15 apart
    assert {p.index for p in select_for_coverage(pool, 9, model, step=0.02)} == {2, 3, 4, 5}


def test_types_that_were_made_are_gaps_and_what_was_fitted_is_none():
    pool = [random_frame(("C", "N", "O"), 1)]
    assert select_for_coverage(pool, 1, Model(replace(TRUTH, coverage={}))) == []
    mixed = Model(replace(TRUTH, coverage={}, without_data={"CNO": "mixed"}))
    assert [p.types for p in select_for_coverage(pool, 1, mixed)] == [("CNO",)]


def test_what_can_not_be_selected_is_refused():
    with pytest.raises(InputError, match="a count ≥ 0 and a step > 0"):
        select_for_coverage([], -1, Model(TRUTH))
    with pytest.raises(FrameError, match="not among the elements"):
        select_for_coverage([line("C", "H", apart=1.0)], 1, Model(TRUTH))
