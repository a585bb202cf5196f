"""A folder with a small fitted model of two elements and the covariances of its blocks, for tests of commands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from synthetic import random_frames, random_parameters, small_basis

from hiertl_dist import FitSettings, HierarchyOptions, Model, fit_hierarchy, hierarchy_posterior
from hiertl_dist.executors import executor

BASIS = small_basis((3, 2, 2))
TRUTH = random_parameters(BASIS, 3)
WEIGHTS = {"force": 1.0, "energy": 1.0, "stress": 50.0}
ALPHA = 0.1


def noisy(frames, seed):
    """Frames with the labels of the true model and noise of the size that a fit can't remove."""
    rng = np.random.default_rng(seed)
    return [
        replace(
            f, forces=told.forces + rng.normal(scale=0.3, size=told.forces.shape),
            energy=told.energy + rng.normal(scale=0.5),
            stress=told.stress + rng.normal(scale=1e-3, size=6) if f.periodic else None,
        )
        for f, told in zip(frames, Model(TRUTH).evaluate(frames), strict=True)
    ]  # fmt: skip


def write_fitted(folder, sets=("C", "N", "CN"), **settings):
    """Fit, and write ``model.params.txt`` and the covariances; returns the fit."""
    frames = noisy(random_frames(dict.fromkeys(sets, 5)), 1)
    given = FitSettings({"kind": "ridge", "alpha": ALPHA}, weights=WEIGHTS, **settings)
    fit = fit_hierarchy(frames, BASIS, options=HierarchyOptions(given), executor=executor("serial"))
    fit.model.write(folder / "model.params.txt")
    for name, part in hierarchy_posterior(fit).blocks.items():
        part.save(folder / f"{name}.covariance.npz")
    return fit
