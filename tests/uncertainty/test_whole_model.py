"""Models of several blocks: what each leaves open, together, and what was made of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist import (
    FitSettings,
    HierarchyOptions,
    Model,
    calibration,
    columns_of,
    design_rows,
    fit_hierarchy,
    hierarchy_posterior,
    predict,
    read_posterior,
)
from hiertl_dist.errors import InputError, MismatchError, ParameterFileError
from hiertl_dist.executors import executor
from hiertl_dist.frames.frame_sequence import sequence_of
from hiertl_dist.model.mixing import mixed_parameters
from hiertl_dist.model.mixing_matrix import made_types
from hiertl_dist.model.parameters import merge_parameters
from hiertl_dist.model.priors import Prior
from hiertl_dist.uncertainty.frame_sigmas import sigma_report
from hiertl_dist.uncertainty.whole_model import block_posterior

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
        covariance = part.linear.covariance() / part.linear.noise**2
        own = np.zeros((len(matrix), len(covariance)))
        for i, column in enumerate(part.columns):
            step = np.zeros(len(columns))
            if column in columns:
                step[columns.index(column)] = 1.0
            for kind in given.made:
                step[kind.columns] = kind.matrix @ step
            own[:, i] = matrix @ step
        whole += part.deviation**2 * np.einsum("ij,jk,ik->i", own, covariance, own)
    np.testing.assert_allclose(told.coefficients.forces.ravel(), np.sqrt(whole)[: 3 * len(frame)], rtol=1e-6)
    np.testing.assert_allclose(told.coefficients.energy, np.sqrt(whole)[-1], rtol=1e-6)
    noises = {e: given.blocks[e].noise for e in ELEMENTS}
    added = np.array([noises[e]["force"].noise for e in frame.species])[:, np.newaxis]
    np.testing.assert_allclose(told.total.forces, np.hypot(told.coefficients.forces, added))
    energies = np.sqrt(np.mean([noises[e]["energy"].noise ** 2 for e in frame.species])) * len(frame)
    assert told.total.energy == pytest.approx(np.hypot(told.coefficients.energy, energies))


def test_a_block_is_off_on_probes_by_what_its_mean_leaves(fit):
    given = hierarchy_posterior(fit)
    part = given.blocks["CN"]
    alone = block_posterior(fit.fits["CN"])
    view = alone.view
    forces = [g for g in view.factors if g.kind == "force"]
    parts = [view.layer(g, view.summaries.groups[g]) for g in forces]
    target = np.concatenate([x.factor.r @ x.target for x in parts])
    left = np.concatenate([x.factor.r[:, x.kept] @ view.deviation.mean[x.places] for x in parts]) - target
    share = np.linalg.norm(left) / np.linalg.norm(target)
    probes = view.deviation.weighted / 0.3
    leverages = part.linear.leverage(probes)
    expected = min(share, 1.0) * np.linalg.norm(probes @ view.deviation.mean)
    assert part.deviation == pytest.approx(max(part.linear.noise, expected / np.sqrt(leverages.sum())))
    # a frame of the block's own elements has that block's alone, lower ones counting as known
    (frame,) = random_frames({"CN": 1}, seed=8)
    (told,) = predict([frame], given)
    (single,) = predict([frame], replace(given, blocks={"CN": part}))
    np.testing.assert_array_equal(told.total.forces, single.total.forces)
    (known,) = predict([frame], alone)
    ratio = part.deviation / part.linear.noise
    np.testing.assert_allclose(told.coefficients.forces, ratio * known.coefficients.forces, rtol=1e-6)


def test_what_does_not_count_is_told(fit):
    given = hierarchy_posterior(fit)
    assert given.notes == ()
    fewer = hierarchy_posterior([block_posterior(f) for name, f in fit.fits.items() if name != "CO"], fit.model)
    assert any("were not fitted here and count as known" in note and "CCO" in note for note in fewer.notes)
    with pytest.raises(InputError, match="the model that is their sum"):
        hierarchy_posterior(list(given.blocks.values()))


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        (
            "mixed",
            "CN, CCN, CNN were made by mixing of single elements alone: σ holds what these leave open, not how far ",
        ),
        (
            "zero",
            "without terms of 1 pair (CN), 2 triplets (CCN, CNN) on purpose: σ holds nothing of what they would add",
        ),
    ],
)
def test_a_mixture_that_no_frame_told_of_is_no_part_of_deviations(missing, says):
    basis = small_basis((3, 2, 0))
    frames = labelled(random_frames({"C": 5, "N": 5}), random_parameters(basis, 5))
    options = HierarchyOptions(FitSettings({"kind": "ridge", "alpha": 0.1}, weights=WEIGHTS), missing=missing)
    given = hierarchy_posterior(fit_hierarchy(frames, basis, options=options, executor=executor("serial")))
    (note,) = (n for n in given.notes if n.startswith("WARNING"))
    assert says in note


@pytest.fixture(scope="module")
def written(fit, tmp_path_factory):
    """A folder with the merged model and the covariance of each block."""
    folder = tmp_path_factory.mktemp("written")
    fit.model.write(folder / "model.params.txt")
    for name, part in hierarchy_posterior(fit).blocks.items():
        part.save(folder / f"{name}.covariance.npz")
    return folder


def test_deviations_from_files_are_those_of_the_fit(fit, written):
    model = Model.read(written / "model.params.txt")
    given = read_posterior(model, written)
    assert {m.name for m in given.made} == {"CNO"}
    assert given.notes == ()
    frames = random_frames({"C": 1, "CN": 1, "CNO": 1}, seed=8)
    for mine, theirs in zip(predict(frames, given), predict(frames, hierarchy_posterior(fit)), strict=True):
        for spread in ("coefficients", "total"):
            # a file has its types in another order, so that sums differ in their last digit
            np.testing.assert_allclose(getattr(mine, spread).forces, getattr(theirs, spread).forces, rtol=1e-12)
            assert getattr(mine, spread).energy == pytest.approx(getattr(theirs, spread).energy, rel=1e-12)
        assert mine.leverage_max == pytest.approx(theirs.leverage_max, rel=1e-12)


def test_covariances_that_are_missing_or_of_another_model_are_refused_by_name(fit, written, tmp_path):
    model = Model.read(written / "model.params.txt")
    some = [written / f"{name}.covariance.npz" for name in SETS if name != "CO"]
    with pytest.raises(InputError, match=r"model.params.txt: no covariance of blocks CO in .*--known"):
        read_posterior(model, *some)
    assert any("CCO" in note for note in read_posterior(model, *some, known=["OC"]).notes)
    with pytest.raises(InputError, match="'CH' is no block"):
        read_posterior(model, written, known=["CH"])
    # a block of a fit on other data: of a folder it does not count, named it is refused
    own = fit.model.parameters
    part = own.basis.types.index(next(t for t in own.basis.types if t.name == "CO"))
    other = Model(replace(own, coefficients=own.coefficients * (1 + 1e-12 * (np.arange(len(own.coefficients)) > part))))
    with pytest.raises(InputError, match=r"no covariance of blocks .*; not of this model: .*digest of its types"):
        read_posterior(other, written)
    with pytest.raises(MismatchError, match=r"CO\.covariance\.npz: it is of other coefficients of CO"):
        read_posterior(other, written / "CO.covariance.npz")
    with pytest.raises(MismatchError, match=r"N.covariance.npz: it is of another model: .* has no type N"):
        read_posterior(Model(own.restricted({"C"})), written / "N.covariance.npz")
    # whole files in one another's places, and damage
    (tmp_path / "N.covariance.npz").write_bytes((written / "C.covariance.npz").read_bytes())
    with pytest.raises(ParameterFileError, match="expected those of N, found those of C"):
        read_posterior(model, tmp_path)
    whole = dict(np.load(written / "C.covariance.npz"))
    whole["triangle"][0] *= 2.0
    np.savez(tmp_path / "N.covariance.npz", **whole)
    with pytest.raises(ParameterFileError, match="not that of its SHA-256"):
        read_posterior(model, tmp_path)


def test_errors_beside_their_deviations(fit):
    given = hierarchy_posterior(fit)
    frames = labelled(random_frames({"CN": 2, "CNO": 1}, seed=8), random_parameters(BASIS, 6))
    report = sigma_report(sequence_of(frames), given, executor("serial"))
    compared = calibration(predict(frames, given, missing="zero"), frames)
    for row in report.rows():
        expected = compared[row["kind"]]
        assert row["labels"] == len(expected.errors)
        assert row["rmse"] == pytest.approx(expected.rmse)
        assert row["standardised"] == pytest.approx(expected.standardised)
        assert row["within_1"] == np.mean(np.abs(expected.errors) <= expected.sigmas)
    text = report.text(lambda kind: (kind, 1.0))
    assert "within 2 σ" in text
    assert frames[2].origin in text
    # without the noise of energies these have no σ, which is said
    unknown = {
        n: replace(p, noise={k: v for k, v in p.noise.items() if k != "energy"}) for n, p in given.blocks.items()
    }
    fewer = sigma_report(sequence_of(frames), replace(given, blocks=unknown), executor("serial"))
    assert [row["kind"] for row in fewer.rows()] == ["force", "stress"]
    assert "3 labels of energy have no σ" in fewer.text(lambda kind: (kind, 1.0))
