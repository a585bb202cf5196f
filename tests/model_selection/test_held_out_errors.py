"""`HeldOut`: sums of squares by cell, beside the residuals that they are the sums of."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiertl_dist.frames.rows import KINDS, SUMMARY_KINDS, Group, person_kind
from hiertl_dist.model_selection.held_out_errors import UNITS, Cell, HeldOut, cell_of
from hiertl_dist.units import KCAL_PER_A3_IN_GPA

SOURCES, COMPOSITIONS = ("liquid", "solid"), ("C", "C75N25", "C50N50")


@st.composite
def residuals(draw):
    """Residuals (rows,) of some groups, in kcal/mol and Å."""
    groups = st.builds(
        Group, st.sampled_from(SOURCES), st.sampled_from(SUMMARY_KINDS), st.sampled_from(COMPOSITIONS),
        st.integers(0, 3), st.integers(1, 9),
    )  # fmt: skip
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    chosen = draw(st.lists(groups, min_size=1, max_size=20, unique=True))
    return {
        # only energy rows are kept apart by the number of atoms
        g if g.kind == "energy" else g._replace(atoms=0): rng.normal(size=draw(st.integers(1, 6)))
        for g in chosen
    }


def in_units(group, values):
    """Residuals as a person reads them."""
    return {
        "force": values, "stress": values * KCAL_PER_A3_IN_GPA, "energy": values / max(group.atoms, 1)
    }[person_kind(group.kind)]  # fmt: skip


def of(given):
    return HeldOut.of({g: (len(v), float(v @ v)) for g, v in given.items()})


def rms(given, kind, **where):
    """From the residuals, one by one."""
    chosen = [
        in_units(g, v) for g, v in given.items()
        if person_kind(g.kind) == kind and all(getattr(g, k) == value for k, value in where.items())
    ]  # fmt: skip
    return float(np.sqrt(np.mean(np.concatenate(chosen) ** 2))) if chosen else math.nan


@settings(deadline=None, max_examples=40)
@given(residuals())
def test_every_rmse_is_that_of_the_residuals(given_residuals):
    errors = of(given_residuals)
    for kind in KINDS:
        assert errors.rmse(kind) == pytest.approx(rms(given_residuals, kind), nan_ok=True)
        for where in (*({"source": s, "fold": 1} for s in SOURCES), *({"composition": c} for c in COMPOSITIONS)):
            if all(v in errors.values(k) for k, v in where.items()):
                assert errors.rmse(kind, **where) == pytest.approx(rms(given_residuals, kind, **where), nan_ok=True)
            else:
                with pytest.raises(ValueError, match=r"(source|fold|composition): expected one of .*, found"):
                    errors.rmse(kind, **where)
    with pytest.raises(ValueError, match=r"kind: expected one of .*, found 'forces'"):
        errors.rmse("forces")
    assert errors.rows.sum() == sum(map(len, given_residuals.values()))
    assert len(set(errors.cells)) == len(errors.cells)


@settings(deadline=None, max_examples=30)
@given(residuals())
def test_tables_scores_and_what_is_pooled_agree(given_residuals):
    errors = of(given_residuals)
    kinds = [k for k in KINDS if not math.isnan(errors.rmse(k))]
    assert errors.values("kind") == kinds
    for by in ("composition", "source", "fold"):
        table = errors.table(by)
        assert list(table)[-1] == "all"
        assert set(table) - {"all"} == {getattr(g, by) for g in given_residuals}
        for name, row in table.items():
            where = {} if name == "all" else {by: name}
            assert row == pytest.approx({k: rms(given_residuals, k, **where) for k in kinds}, nan_ok=True)
    score = errors.score()
    assert score == pytest.approx(np.prod([errors.rmse(k) for k in kinds]) ** (1 / len(kinds)))
    weights = dict(zip(KINDS, (3.0, 1.0, 0.0), strict=True))
    used = {k: w for k, w in weights.items() if k in kinds and w}
    if used:
        logs = sum(w * math.log(errors.rmse(k)) for k, w in used.items()) / sum(used.values())
        assert errors.score(weights) == pytest.approx(math.exp(logs))
    else:
        with pytest.raises(ValueError, match="score: no held-out rows of the kinds force, stress"):
            errors.score(weights)
    pooled = errors.pooled()
    assert {c.source for c in pooled.cells} == {""}
    assert pooled.score() == pytest.approx(score)
    assert pooled.fold_scores() == pytest.approx(errors.fold_scores())
    assert len(errors.pooled(["kind"]).cells) == len(kinds)
    np.testing.assert_allclose(errors.pooled(["kind"]).squares.sum(), errors.squares.sum())
    back = HeldOut.from_dict(json.loads(json.dumps(errors.as_dict())))
    assert back.cells == errors.cells
    np.testing.assert_array_equal(back.rows, errors.rows)
    np.testing.assert_array_equal(back.squares, errors.squares)


@settings(deadline=None, max_examples=40)
@given(residuals())
def test_the_standard_error_is_that_of_the_folds_scores(given_residuals):
    errors = of(given_residuals)
    folds = sorted({g.fold for g in given_residuals})
    kinds = errors.values("kind")
    pooled = {k: rms(given_residuals, k) for k in kinds}
    # the mean of the logarithms' differences from all folds, over the kinds that a fold has
    scores = np.array([
        errors.score() * math.exp(np.mean([
            math.log(own / pooled[k]) for k in kinds if not math.isnan(own := rms(given_residuals, k, fold=f))
        ]))
        for f in folds
    ])  # fmt: skip
    assert errors.fold_scores() == pytest.approx(scores)
    found = errors.standard_error()
    if len(folds) < 2:
        assert math.isnan(found)
    else:
        spread = math.sqrt(np.sum((np.log(scores) - np.log(scores).mean()) ** 2) / (len(folds) - 1))
        assert found == pytest.approx(errors.score() * spread / math.sqrt(len(folds)))


def test_units_are_those_of_the_field():
    """An energy error counts per atom whatever the size of its frame; a stress in GPa, diagonal or not."""
    sizes = {8: 4.0, 32: 4.0}
    energies = {Group("a", "energy", "C", 0, n): (1, e**2) for n, e in sizes.items()}
    stresses = {Group("a", k, "C", 0): (3, 3 * 0.01**2) for k in ("stress_diagonal", "stress_off_diagonal")}
    forces = {Group("a", "force", "C", 0): (120, 120 * 2.0**2)}
    errors = HeldOut.of(energies | stresses | forces)
    assert errors.rmse("energy") == pytest.approx(math.sqrt((0.5**2 + 0.125**2) / 2))
    # 1 kcal/mol/Å³ is 6.9477 GPa
    assert errors.rmse("stress") == pytest.approx(0.069477, rel=1e-4)
    assert errors.rmse("force") == pytest.approx(2.0)
    assert [c.kind for c in errors.cells] == ["energy", "stress", "force"]
    assert list(errors.rows) == [2, 6, 120]
    assert set(UNITS) == set(KINDS)
    assert cell_of(Group("a", "energy", "C", 2)) == (Cell("energy", "a", "C", 2), 1.0)


def test_what_is_not_there_is_nan_and_not_zero():
    errors = HeldOut.of({Group("a", "force", "C", 0): (4, 1.0), Group("a", "energy", "N", 1, 2): (1, 1.0)})
    assert math.isnan(errors.rmse("stress"))
    assert math.isnan(errors.rmse("force", composition="N"))
    assert math.isnan(errors.table()["C"]["energy"])
    assert math.isnan(errors.standard_error(fold=0))
    # kinds that are not there don't count, whatever their importance
    assert errors.score({"force": 1.0, "stress": 5.0}) == pytest.approx(0.5)
    assert errors.score(composition="C") == pytest.approx(0.5)
    assert errors.fold_scores(composition="C").shape == (1,)
    # a fold without rows that count has no score
    assert errors.fold_scores({"energy": 1.0}) == pytest.approx([0.5])
    assert errors.fold_scores(fold=0) == pytest.approx([0.5])


def test_a_perfect_fit_has_a_score():
    errors = HeldOut.of({Group("a", "force", "C", f): (4, 0.0) for f in range(2)})
    assert 0.0 <= errors.score() < 1e-200
    assert errors.rmse("force") == 0.0


@pytest.mark.parametrize(
    ("importance", "message"),
    [
        ({"forces": 1.0}, "importance: expected numbers ≥ 0 by .*, found forces: 1.0"),
        ({"force": -1.0}, "importance: .* found force: -1.0"),
        ({"force": math.nan}, "importance: .* found force: nan"),
        ({"force": math.inf}, "importance: .* found force: inf"),
        ({"force": 0.0}, "score: no held-out rows of the kinds"),
        ({"stress": 1.0}, "score: no held-out rows of the kinds stress"),
    ],
)
def test_an_importance_that_is_none_is_refused(importance, message):
    errors = HeldOut.of({Group("a", "force", "C", 0): (4, 1.0)})
    with pytest.raises(ValueError, match=message):
        errors.score(importance)


def test_an_unknown_field_is_refused():
    errors = HeldOut.of({Group("a", "force", "C", 0): (4, 1.0)})
    with pytest.raises(ValueError, match=r"expected some of .*, found \['species'\]"):
        errors.rmse("force", species="C")


def test_a_fold_that_lacks_a_kind_is_scored_on_the_scale_of_all():
    cells = [Cell(k, "a", "C", f) for f in range(3) for k in ("force", "energy") if (k, f) != ("energy", 2)]
    squares = [{"force": 4.0, "energy": 0.01}[c.kind] * 10 for c in cells]
    even = HeldOut(tuple(cells), np.full(len(cells), 10), np.array(squares))
    assert even.fold_scores() == pytest.approx([math.sqrt(0.2)] * 3)
    assert even.standard_error() == pytest.approx(0.0, abs=1e-12)
    squares[-1] *= 4.0  # forces of the last fold: twice the error, and RMSE of all folds √2 of the others
    worse = HeldOut(tuple(cells), np.full(len(cells), 10), np.array(squares))
    assert worse.fold_scores()[2] == pytest.approx(worse.score() * 2.0 / math.sqrt(2.0))


def test_errors_that_are_zero_by_symmetry_decide_nothing():
    """Forces of a perfect crystal leave rounding: energies alone tell two models apart."""
    cells = (Cell("force", "a", "C", 0), Cell("energy", "a", "C", 0), Cell("force", "b", "N", 0))
    one, other = (
        HeldOut(cells, np.array([10, 10, 10]), np.array([force, energy, 40.0]))
        for force, energy in ((1e-29, 0.1), (9e-29, 0.1))
    )
    assert one.score(composition="C") == other.score(composition="C")
    worse = HeldOut(cells, np.array([10, 10, 10]), np.array([1e-31, 0.4, 40.0]))
    assert worse.score(composition="C") == pytest.approx(2**0.5 * one.score(composition="C"))
