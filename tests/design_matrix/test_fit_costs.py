"""What a plan says that a fit spends besides its rows."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import random_frames, small_basis

from hiertl_dist.design_matrix import fit_costs
from hiertl_dist.design_matrix.fit_costs import fit_seconds, reduction_seconds, solve_seconds
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.model.blocks import n_type_columns

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


def test_priors_take_what_their_probes_and_projections_take():
    plan = make_plan(FRAMES, BASIS, by_block=True)
    fits = [([b], [s for s in plan.segments if s.elements == b]) for b in ("C", "CN")]
    plain, mean, probed = (fit_seconds(plan, fits, lambda _, n=n: n) for n in (None, 0, 14))
    assert plain.priors == 0.0
    columns = [n_type_columns(t) for t in BASIS.types if t.block == "CN" and t.body > 1]
    once = sum(fit_costs.VALUE_SECONDS * n**2 + fit_costs.PROJECTION_FLOPS * n**3 / fit_costs.QR_RATE for n in columns)
    assert mean.priors == pytest.approx(once)
    alone, own = ([f for f in FRAMES if len(f.elements) == n] for n in (1, 2))
    making = sum(t.seconds for t in plan.tiles if t.block == "CN")
    share = 14 * np.mean([len(f) for f in alone]) / sum(len(f) for f in own)
    assert probed.priors > 2.0 * mean.priors + 2.0 * share * making
    assert probed.total - plain.total == pytest.approx(probed.priors)
    # nothing leans on blocks that are fitted with it
    together = [(["C", "N", "CN"], plan.segments)]
    assert fit_seconds(plan, together, lambda _: 14).priors == 0.0


def test_the_plan_shows_all_of_it():
    plan = make_plan(FRAMES, BASIS)
    table = plan.as_dict()["fit_cpu_seconds"]
    assert list(table) == ["planning", "rows", "frozen", "reduction", "solve", "priors", "total"]
    assert table == fit_seconds(plan).as_dict()
    for part in ("planning", "rows", "frozen", "reduction", "solve"):
        assert f"{part} " in repr(plan)
    nothing = make_plan([], BASIS)
    assert nothing.as_dict()["fit_cpu_seconds"]["total"] == 0.0
