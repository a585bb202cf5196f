"""Clusters that a fit counts: exactly in few frames, in many those of some, scaled; whether there is any exactly."""

from __future__ import annotations

from dataclasses import replace

from synthetic import random_frames, random_parameters, small_basis

from hiertl_dist import Model
from hiertl_dist.evaluation.cluster_counts import count_types, edge_reaches
from hiertl_dist.executors import executor
from hiertl_dist.fitting import type_counts
from hiertl_dist.frames.frame_sequence import sequence_of
from hiertl_dist.jobs.evaluating import _counts_in

BASIS = small_basis((2, 2, 0))


def test_few_frames_are_counted_and_many_are_scaled(monkeypatch):
    frames = sequence_of([*random_frames({"C": 20}), *random_frames({"CN": 1})])
    types = [t for t in BASIS.types if t.body > 1 and t.block in ("C", "CN")]
    clusters = [t.elements for t in types]
    exact = count_types(frames, clusters, edge_reaches([BASIS], clusters))
    serial = executor("serial")
    assert type_counts.counts_of_fit(frames, BASIS, ["C", "CN"], serial) == {t.name: exact[t.name] for t in types}
    monkeypatch.setattr(type_counts, "MOST_COUNTED", 3)
    few = [frames[i] for i in (0, 10, 20)]
    scaled = type_counts.counts_of_fit(frames, BASIS, ["C", "CN"], serial)
    part = count_types(few, clusters, edge_reaches([BASIS], clusters))
    assert scaled == {n: (round(7 * a), round(7 * b)) for n, (a, b) in part.items()}
    # the frame that alone has them is not among those few
    moved = sequence_of([frames[i] for i in (0, 20, *range(1, 20))])
    rare = type_counts.counts_of_fit(moved, BASIS, ["C", "CN"], serial)
    assert {n: rare[n] for n in ("CN", "CCN", "CNN")} == {n: exact[n] for n in ("CN", "CCN", "CNN")}


def test_an_evaluation_counts_types_without_data_in_all_frames():
    frames = [*random_frames({"C": 3}), *random_frames({"CN": 1})]
    own = random_parameters(BASIS, 1)
    clusters = [t.elements for t in BASIS.types if t.body > 1]
    exact = count_types(frames, clusters, edge_reaches([BASIS], clusters))
    informed = replace(own, fitted_on={t.name: (1, 9) for t in BASIS.types if t.body > 1 and t.name != "CCN"})
    told = replace(informed, fitted_on={**informed.fitted_on, "CCN": (0, 0)}, without_data={"CNN": "mixed"})
    met = _counts_in(frames, [Model(told)], 2)
    assert {n: met[n] for n in ("CCN", "CNN")} == {n: exact[n] for n in ("CCN", "CNN")}
    assert "CN" not in met  # it is in the last frame alone
    some = count_types(frames[::2], [("C", "C")], {(2, ("C", "C")): 5.0})["CC"]
    assert met["CC"] == tuple(2 * x for x in some)
