"""The simulated cluster: bounds that no schedule can break, every row once, and the benchmark at toy size."""

from __future__ import annotations

import importlib
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from benchmark_toys import BENCHMARKS, forget_benchmarks, toy_cn_dft

SHARES = (0.98, 0.015, 0.005)


@pytest.fixture(scope="module")
def model():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        names = ("at_scale", "scale_costs", "simulated_cluster", "simulated_work", "bench", "levels")
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    forget_benchmarks()


@pytest.fixture
def costs(model):
    return model.simulated_work.Costs(
        row={487: 8e-5, 3747: 1.4e-4}, qr={487: 4e10, 3747: 6e10}, merge={487: 0.004, 3747: 1.1}, task=0.0025,
        around=0.0, join=0.0, dask=1e9, mpi=2e9, write=2e9, read=4e9, look=1e-3, plan=1e-5,
    )  # fmt: skip


def work_of(model, costs, columns=488, rows=10**6, **more):
    return model.simulated_work.Work(model.simulated_work.leaves_of(rows, columns, 655), columns, SHARES, costs, **more)


@pytest.mark.parametrize("workers", [1, 3, 40])
@pytest.mark.parametrize("columns", [488, 3748])
def test_no_machine_is_faster_than_its_work(model, costs, workers, columns):
    work, cluster = work_of(model, costs, columns, spread=0.1), model.simulated_cluster.Cluster(workers, latency=0.0)
    least = max(work.total / workers, work.leaf[0] + work.merge[work.nodes[-1]])
    for outcome in (
        model.simulated_cluster.Pool(work, cluster).run(), model.simulated_cluster.Ranks(work, cluster).run(),
        model.simulated_cluster.Pool(work, cluster, 4).run(),
    ):  # fmt: skip
        assert outcome.wall >= least * (1 - 1e-9)
        assert outcome.rows == work.rows.sum()
        if workers == 1:
            assert outcome.wall == pytest.approx(work.total, rel=0.02)


@pytest.mark.parametrize("workers", [1, 3, 40])
def test_reductions_at_once_take_less_than_one_after_the_other(model, costs, workers):
    works = [
        work_of(model, costs, columns, rows, spread=0.1) for columns, rows in ((488, 10**6), (100, 10**5), (900, 10**4))
    ]
    level, cluster = model.simulated_work.Level(works), model.simulated_cluster.Cluster(workers, latency=0.0)
    assert level.total == pytest.approx(sum(level.leaf) + sum(level.merge.values()))
    for kind in (model.simulated_cluster.Pool, model.simulated_cluster.Ranks):
        together, apart = kind(level, cluster).run(), [kind(work, cluster).run() for work in works]
        assert together.rows == sum(work.rows.sum() for work in works)
        assert together.tasks == sum(one.tasks for one in apart)
        least = max(level.total / workers, *(work.leaf[0] + work.merge[work.nodes[-1]] for work in works[:2]))
        assert together.wall >= least * (1 - 1e-9)
        assert together.wall <= sum(one.wall for one in apart) * (1 + 1e-9)
        if workers == 40:
            assert together.wall < 0.9 * sum(one.wall for one in apart)


def test_a_scheduler_that_is_asked_too_often_sets_the_pace(model, costs):
    work = work_of(model, costs, rows=6 * 10**7)
    outcome = model.simulated_cluster.Pool(work, model.simulated_cluster.Cluster(2000)).run()
    assert outcome.wall >= outcome.scheduler == pytest.approx(outcome.tasks * costs.task)
    fewer = model.simulated_cluster.Pool(work, model.simulated_cluster.Cluster(2000), 4).run()
    assert fewer.tasks == pytest.approx(outcome.tasks / 4, rel=0.02)
    assert fewer.wall < outcome.wall / 2


def test_levels_of_wide_merges_overlap(model, costs):
    work, cluster = work_of(model, costs, 3748, rows=2 * 10**7), model.simulated_cluster.Cluster(256)
    one_by_one = model.simulated_cluster.Ranks(work, cluster).run()
    overlapping = model.simulated_cluster.Ranks(work, cluster, overlap=True).run()
    root = work.merge[work.nodes[-1]]
    tails = [o.wall - o.leaves_end for o in (one_by_one, overlapping)]
    assert tails[0] > 7 * root
    assert root < tails[1] < tails[0] / 2


def test_what_a_dead_node_had_is_made_again_and_counted_once(model, costs):
    work = work_of(model, costs, rows=3 * 10**6)
    steady = model.simulated_cluster.Pool(work, model.simulated_cluster.Cluster(32, 8)).run()
    for seed in range(6):
        cluster = model.simulated_cluster.Cluster(32, 8, failures=3 * 3600 / steady.wall / 4, seed=seed)
        outcome = model.simulated_cluster.Pool(work, cluster, 2).run()
        assert outcome.rows == work.rows.sum()
        if outcome.failed:
            assert outcome.lost > 0
            assert outcome.wall > steady.wall


def test_a_job_that_is_begun_again_takes_as_long_as_the_formula_says(model):
    cluster = model.simulated_cluster.Cluster(64, failures=36.0)  # one in 100 s
    expected = (math.exp(1.0) - 1.0) * (100.0 + 10.0)
    assert model.simulated_cluster.expected_wall(100.0, cluster, 10.0) == pytest.approx(expected, rel=0.15)
    kept = np.arange(1.0, 100.0).tolist()
    assert model.simulated_cluster.expected_wall(100.0, cluster, 10.0, kept) == pytest.approx(110.0, rel=0.05)


def test_toy(model, tmp_path, monkeypatch):
    monkeypatch.setattr(model.at_scale, "KINDS", ())
    monkeypatch.setattr(model.scale_costs, "launch", lambda call, *a, **k: [
        {"task": 0.003, "around": 0.002, "join": 0.0, "dask": 1e9} if "dask" in call else 2e9
    ])  # fmt: skip
    (tmp_path / "cn_dft").mkdir()
    toy_cn_dft(tmp_path / "cn_dft")
    options = model.bench.Options(tmp_path, tmp_path, toy=True, apart=False, cache=tmp_path / "cache", scale=0.002)
    record = model.at_scale.BENCHMARK.record(options)
    assert len(record["cases"]) == 8
    assert all(0 < c["efficiency"] <= 1 for c in record["cases"] if not c["better"])
    text = model.at_scale.BENCHMARK.text(json.loads(json.dumps(record)))
    assert "MPI, redesigned" in text
    assert "merges at the end" in text or "the work" in text


def test_toy_levels(model, costs, tmp_path):
    options = model.bench.Options(tmp_path, tmp_path, toy=True, apart=False)
    assert all(c["ideal"] < c["together"] < c["apart"] for c in model.levels.cases(options, costs) if c["workers"] > 2)
    record = model.levels.BENCHMARK.record(options)
    text = model.levels.BENCHMARK.text(json.loads(json.dumps(record)))
    assert "| serial |" in text
    assert "| yes |" in text
    assert "not measured: more workers: not there" in text
