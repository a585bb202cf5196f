"""What a plan says that a fit spends besides its rows."""

from __future__ import annotations

import pytest
from synthetic import random_frames, small_basis

from hiertl_dist.design_matrix import fit_costs
from hiertl_dist.design_matrix.fit_costs import fit_seconds, reduction_seconds, solve_seconds
from hiertl_dist.design_matrix.planning import make_plan

BASIS = small_basis()
FRAMES = random_frames({"C": 5, "N": 3, "CN": 7})


def test_blocks_that_share_frames_are_fitted_together():
    plan = make_plan(FRAMES, BASIS)
    found, width = fit_seconds(plan), sum(plan.columns.values()) + 1
    assert found.rows == plan.seconds
    assert found.solve == solve_seconds(width)
    assert found.reduction == pytest.approx(reduction_seconds(sum(s.rows for s in plan.segments), width))
    assert found.total == pytest.approx(found.planning + found.rows + found.reduction + found.solve)
    assert found.frozen == 0.0
    apart = fit_seconds(make_plan(FRAMES, BASIS, by_block=True))
    assert apart.solve == pytest.approx(sum(solve_seconds(n + 1) for n in plan.columns.values()))
    assert apart.reduction < found.reduction
    assert apart.planning == found.planning > 0
    rows_of_cn = sum(t.seconds for t in make_plan(FRAMES, BASIS, by_block=True).tiles if t.block == "CN")
    assert apart.frozen == pytest.approx(fit_costs.FROZEN_SHARE * rows_of_cn)


def test_the_flops_of_a_wide_reduction_are_those_of_a_qr():
    segment = make_plan(FRAMES[:1], BASIS).segments[0]
    width = 10_000
    flops = 2.0 * segment.rows * width**2
    assert reduction_seconds(segment.rows, width) == pytest.approx(flops / fit_costs.QR_RATE, rel=0.02)


def test_fits_may_be_told():
    plan = make_plan(FRAMES, BASIS)
    own = [s for s in plan.segments if s.elements == "C"]
    found = fit_seconds(plan, [(["C"], own)])
    assert found.reduction == reduction_seconds(sum(s.rows for s in own), plan.columns["C"] + 1)


def test_the_plan_shows_all_of_it():
    plan = make_plan(FRAMES, BASIS)
    table = plan.as_dict()["fit_cpu_seconds"]
    assert list(table) == ["planning", "rows", "frozen", "reduction", "solve", "total"]
    assert table == fit_seconds(plan).as_dict()
    for part in ("planning", "rows", "frozen", "reduction", "solve"):
        assert f"{part} " in repr(plan)
    nothing = make_plan([], BASIS)
    assert nothing.as_dict()["fit_cpu_seconds"]["total"] == 0.0
