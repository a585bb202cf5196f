"""Models of several blocks: what each leaves open, together, and what was made of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist import (
    FitSettings,
    HierarchyOptions,
    columns_of,
    design_rows,
    fit_hierarchy,
    hierarchy_posterior,
    predict,
)
from hiertl_dist.errors import InputError
from hiertl_dist.executors import executor
from hiertl_dist.model.mixing import mixed_parameters
from hiertl_dist.model.mixing_matrix import made_types
from hiertl_dist.model.parameters import merge_parameters
from hiertl_dist.model.priors import Prior

ELEMENTS = ("C", "N", "O")
BASIS = small_basis((4, 3, 0), ELEMENTS)
SETS = ("C", "N", "O", "CN", "CO", "NO")
WEIGHTS = {"force": 1.0, "energy": 1.0, "stress": 50.0}


@pytest.fixture(scope="module")
def fit():
    frames = labelled(random_frames(dict.fromkeys(SETS, 6)), random_parameters(BASIS, 5))
    prior = {"mean": "mixed", "probes": 4, "probe_weight": 0.3}
    settings = FitSettings({"kind": "ridge", "alpha": 0.1}, weights=WEIGHTS, prior=prior)
    return fit_hierarchy(
        frames, BASIS, options=HierarchyOptions(settings, missing="mixed"), executor=executor("serial")
    )


@pytest.mark.parametrize("alike", [False, True])
def test_what_was_made_is_a_linear_function_of_what_it_was_made_of(alike):
    basis = BASIS  # whose λ differ from pair to pair
    if alike:
        pairs = {"".join(p.elements): {"rmin": p.rmin, "rmax": p.rmax, "lambda": 1.3} for p in BASIS.pairs}
        basis = small_basis((4, 3, 0), ELEMENTS, pairs=pairs)
    lower = random_parameters(basis.with_types(t for t in basis.types if len(set(t.elements)) < 2), 1)
    kinds = [t for t in basis.types if len(set(t.elements)) > 1]

    def whole(parameters):
        return merge_parameters([parameters, mixed_parameters(basis, kinds, [parameters], Prior(mean="mixed"))])

    model = whole(lower)
    made, others = made_types(model, {t.elements for t in lower.basis.types})
    assert not others
    assert {m.name for m in made} == {t.name for t in kinds}
    moved = whole(random_parameters(lower.basis, 2))
    table = moved.as_dict()
    expected = np.array([table[c] for c in columns_of(moved.basis)])
    values = expected.copy()
    for kind in made:
        values[kind.columns] = np.nan
    for kind in reversed(made):  # those of few elements first
        rows = kind.matrix.tocsr()
        values[kind.columns] = [row @ np.where(np.isnan(values), 0.0, values) for row in rows.toarray()]
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def test_a_frame_of_other_elements_has_the_deviations_of_all_blocks(fit):
    given = hierarchy_posterior(fit)
    assert set(given.blocks) == set(SETS)
    assert {m.name for m in given.made} == {"CNO"}
    (frame,) = random_frames({"CNO": 1}, seed=8)
    (told,) = predict([frame], given)
    np.testing.assert_allclose(told.mean.forces, fit.model.evaluate(frame)[0].forces)

    basis = fit.model.parameters.basis
    columns = list(columns_of(basis))
    labels = replace(frame, energy=0.0, forces=np.zeros((len(frame), 3)), stress=np.zeros(6))
    rows = design_rows([labels], basis, list(dict.fromkeys(t.block for t in basis.types)))
    order = [list(rows.columns).index(c) for c in columns]
    matrix = rows.matrix[:, order]
    whole = np.zeros(len(matrix))
    for part in given.blocks.values():
        covariance = part.posterior.linear.covariance() / part.posterior.linear.noise**2
        own = np.zeros((len(matrix), len(covariance)))
        for i, column in enumerate(part.posterior.view.columns):
            step = np.zeros(len(columns))
            if column in columns:
                step[columns.index(column)] = 1.0
            for kind in given.made:
                step[kind.columns] = kind.matrix @ step
            own[:, i] = matrix @ step
        whole += part.deviation**2 * np.einsum("ij,jk,ik->i", own, covariance, own)
    np.testing.assert_allclose(told.coefficients.forces.ravel(), np.sqrt(whole)[: 3 * len(frame)], rtol=1e-6)
    np.testing.assert_allclose(told.coefficients.energy, np.sqrt(whole)[-1], rtol=1e-6)
    noises = {e: given.blocks[e].posterior.noise for e in ELEMENTS}
    added = np.array([noises[e]["force"].noise for e in frame.species])[:, np.newaxis]
    np.testing.assert_allclose(told.total.forces, np.hypot(told.coefficients.forces, added))
    energies = np.sqrt(np.mean([noises[e]["energy"].noise ** 2 for e in frame.species])) * len(frame)
    assert told.total.energy == pytest.approx(np.hypot(told.coefficients.energy, energies))


def test_a_block_is_off_on_probes_by_what_its_mean_leaves(fit):
    given = hierarchy_posterior(fit)
    part = given.blocks["CN"]
    view = part.posterior.view
    forces = [g for g in view.factors if g.kind == "force"]
    parts = [view.layer(g, view.summaries.groups[g]) for g in forces]
    target = np.concatenate([x.factor.r @ x.target for x in parts])
    left = np.concatenate([x.factor.r[:, x.kept] @ view.deviation.mean[x.places] for x in parts]) - target
    share = np.linalg.norm(left) / np.linalg.norm(target)
    probes = view.deviation.rows / 0.3
    leverages = part.posterior.linear.leverage(probes)
    expected = min(share, 1.0) * np.linalg.norm(probes @ view.deviation.mean)
    assert part.deviation == pytest.approx(max(part.posterior.linear.noise, expected / np.sqrt(leverages.sum())))
    # a frame of the block's own elements has that block's alone, lower ones counting as known
    (frame,) = random_frames({"CN": 1}, seed=8)
    (told,) = predict([frame], given)
    (alone,) = predict([frame], replace(given, blocks={"CN": part}))
    np.testing.assert_array_equal(told.total.forces, alone.total.forces)
    (known,) = predict([frame], part.posterior)
    ratio = part.deviation / part.posterior.linear.noise
    np.testing.assert_allclose(told.coefficients.forces, ratio * known.coefficients.forces, rtol=1e-6)


def test_what_does_not_count_is_told(fit):
    given = hierarchy_posterior(fit)
    assert given.notes == ()
    fewer = hierarchy_posterior([part.posterior for name, part in given.blocks.items() if name != "CO"], fit.model)
    assert any("were not fitted here and count as known" in note and "CCO" in note for note in fewer.notes)
    with pytest.raises(InputError, match="the model that is their sum"):
        hierarchy_posterior([part.posterior for part in given.blocks.values()])
