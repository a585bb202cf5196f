"""``check_model``: what passes, what fails, what is not checked, against sums over pairs of a Morse potential."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from synthetic import labelled, small_basis

from hiertl_dist import (
    BlockPosterior,
    CheckSettings,
    Folds,
    Frame,
    Model,
    ModelCheck,
    check_model,
    posterior,
    solve,
    summarise,
    view,
)
from hiertl_dist.algebra import Ridge
from hiertl_dist.cli import commands as cli
from hiertl_dist.errors import InputError, MismatchError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.model.blocks import columns_of
from hiertl_dist.model.parameters import Parameters, Penalty
from hiertl_dist.stability.dynamics import Run, _drift_row
from hiertl_dist.stability.lattices import ideal_cell, relaxed_lattices
from hiertl_dist.units import EV

pytest.importorskip("ase")

ORDER, RMIN, RMAX, LAMBDA = 12, 1.7, 6.0, 2.7
DEPTH, STEEP, NEAREST = 0.5, 1.5, 2.8
"""eV, 1/Å, Å of a Morse potential of metals."""

COVERAGE = {"Mo:MoMo": (2.2, 6.0), "W:WW": (2.2, 6.0), "MoW:MoW": (2.2, 6.0)}
WALL = Penalty(1e4, 0.4)
QUICK = CheckSettings(picoseconds=0.1, arrangements=1, lattice="fcc")


def chebyshev(r):
    """(distances, order) basis functions of a pair, by the definition."""
    x, low, high = (np.exp(-d / LAMBDA) for d in (r, RMAX, RMIN))
    s = (x - 0.5 * (low + high)) / (0.5 * (high - low))
    angles = np.arccos(np.clip(s, -1, 1))
    return np.cos(np.outer(angles, np.arange(1, ORDER + 1))) * ((1 - r / RMAX) ** 3)[:, np.newaxis]


def morse(r):
    """Its energy in eV."""
    return DEPTH * ((1 - np.exp(-STEEP * (r - NEAREST))) ** 2 - 1)


def coefficients(potential):
    """Of one pair, kcal/mol, nearest to a potential in eV."""
    r = np.linspace(RMIN, RMAX, 400)
    return EV * np.linalg.lstsq(chebyshev(r), potential(r), rcond=None)[0]


def model_of(unlike=1.0, like=morse, penalty=WALL, coverage=COVERAGE):
    """A model of Mo and W with one pair potential, that of Mo–W times a factor."""
    pairs = {p: {"rmin": RMIN, "rmax": RMAX, "lambda": LAMBDA} for p in ("MoMo", "MoW", "WW")}
    basis = small_basis((ORDER, 0, 0), ("Mo", "W"), pairs=pairs)
    values, own = {}, coefficients(like)
    for column in columns_of(basis):
        factor = unlike if column.block == "MoW" else 1.0
        values[column] = factor * own[column.powers[0] - 1] if column.powers else -100.0
    return Model(Parameters(basis, np.array(list(values.values())), penalty, coverage, source="Morse"))


def energy_by_pairs(cell, factor=lambda a, b: 1.0):
    """Of a cell of atoms, eV, by adding up pairs of all images."""
    own, total = coefficients(morse) / EV, 0.0
    shifts = np.array(np.meshgrid(*[np.arange(-3, 4)] * 3)).reshape(3, -1).T @ np.array(cell.cell)
    symbols = cell.get_chemical_symbols()
    for i, at in enumerate(cell.positions):
        for j, other in enumerate(cell.positions):
            r = np.linalg.norm(other + shifts - at, axis=1)
            r = r[(r > 1e-6) & (r < RMAX)]
            total += 0.5 * factor(symbols[i], symbols[j]) * float((chebyshev(r) @ own).sum())
    return total - len(cell) * 100.0 / EV


def rows_of(check, what):
    return [r for r in check.rows if r.what.startswith(what)]


def test_a_model_that_can_be_used():
    check = check_model(model_of(), settings=QUICK)
    assert check.passed, check.text()
    assert [r.what for r in check.rows if r.verdict == "not checked"] == ["σ of forces"]
    mixed, ordered = rows_of(check, "mixing")
    assert max(mixed.value, ordered.value) < 1e-9, "Mo and W are one element in all but name"
    assert [r.elements for r in rows_of(check, "pushed")] == ["Mo-Mo", "Mo-W", "W-W"]
    assert {r.what for r in check.rows if "K" in r.what} == {
        f"{what}, {t} K" for what in ("drift", "heat", "range", "contact") for t in (300, 3000)
    }
    short = replace(QUICK, temperatures=(300.0,))
    again, other = (check_model(model_of(), settings=replace(short, seed=seed)) for seed in (0, 1))
    assert set(again.rows) <= set(check.rows) | set(rows_of(again, "σ")), "the same seed, the same numbers"
    assert rows_of(other, "drift")[0].value != rows_of(check, "drift")[0].value


def test_lattices_are_those_of_the_pairs():
    from ase.build import bulk

    lattice = relaxed_lattices(model_of(), "Mo")["fcc"]

    def energy(nearest):
        return energy_by_pairs(bulk("Mo", "fcc", a=float(2**0.5 * nearest)))

    assert lattice.energy == pytest.approx(energy(lattice.nearest), abs=1e-8)
    assert energy(lattice.nearest) < min(energy(lattice.nearest - 0.01), energy(lattice.nearest + 0.01))
    assert lattice.volume == pytest.approx(lattice.nearest**3 / 2**0.5)
    # B = V d²E/dV²
    volumes = lattice.volume * np.array([0.99, 1.0, 1.01])
    low, middle, high = (energy((2**0.5 * v) ** (1 / 3)) for v in volumes)
    modulus = lattice.volume * (low - 2 * middle + high) / (0.01 * lattice.volume) ** 2 * 160.21766
    (row,) = rows_of(check_model(model_of(), elements=["Mo"], settings=QUICK), "equation")
    assert row.value == pytest.approx(modulus, rel=0.02)


def test_mixtures_far_from_linear_mixing():
    check = check_model(model_of(unlike=1.3), settings=replace(QUICK, temperatures=()))
    (ordered,) = rows_of(check, "mixing, ordered")
    lattices = {e: relaxed_lattices(model_of(), e)["fcc"] for e in ("Mo", "W")}
    cell = ideal_cell("fcc", ["Mo", "W"] * 16, lattices["Mo"].volume)
    mixed = energy_by_pairs(cell, lambda a, b: 1.3 if a != b else 1.0) / 32
    assert ordered.value == pytest.approx(abs(mixed - lattices["Mo"].energy), abs=1e-6)
    assert ordered.verdict == "fail"
    away = f"fcc Mo16W16: {mixed - lattices['Mo'].energy:+.3f} eV/atom from linear mixing"
    assert ordered.reason == f"{away}; compare with the compound's energy of formation"
    assert not check.passed
    assert ordered in check.failures
    wide = check_model(model_of(unlike=1.3), settings=replace(QUICK, temperatures=(), mixing=2.0, ordered=2.0))
    assert wide.passed
    # sign and composition are said of one that passes as well
    (ordered,) = rows_of(wide, "mixing, ordered")
    assert (ordered.verdict, ordered.reason) == ("pass", away)
    assert f"pass: mixing, ordered Mo-W: {away}" in wide.text()


def test_pairs_that_get_past_one_another():
    def soft(r):
        return 0.3 * morse(r)

    static = replace(QUICK, temperatures=())
    (row,) = rows_of(check_model(model_of(like=soft), elements=["Mo"], settings=static), "pushed")
    assert row.verdict == "pass"
    bare = model_of(like=soft, penalty=Penalty(0.0, 0.0))
    (row,) = rows_of(check_model(bare, elements=["Mo"], settings=static), "pushed")
    assert row.verdict == "fail", "the polynomials end at rmin, and without a wall there is nothing inside"
    assert "the highest energy on the way to MoMo 0.85 Å" in row.reason

    def falling(r):
        return morse(r) - 60.0 * np.exp(-((r - 1.9) ** 2) / 0.02)

    (row,) = rows_of(check_model(model_of(like=falling), elements=["Mo"], settings=static), "pushed")
    assert row.verdict == "fail"
    assert "a hole" in row.reason


def test_a_triplet_that_falls_into_a_hole_and_the_wall_that_holds():
    """Pairs alone pass: only three near atoms see the hole. A named wall holds if it begins before the hole does."""
    static = replace(QUICK, temperatures=())
    basis = small_basis((ORDER, 4, 0), ("Mo",), pairs={"MoMo": {"rmin": RMIN, "rmax": RMAX, "lambda": LAMBDA}},
                        three_body={"rmax": 3.4})  # fmt: skip
    pairs = model_of().parameters.as_dict()

    def with_triplets(strength, penalty):
        values = [
            pairs.get(c, -100.0) if len(c.elements) < 3 else (strength if c.powers == (1, 1, 1) else 0.0)
            for c in columns_of(basis)
        ]  # fmt: skip
        return Model(Parameters(basis, np.array(values), penalty, {"Mo:MoMo": COVERAGE["Mo:MoMo"]}, source="triplets"))

    flat = check_model(with_triplets(0.0, WALL), settings=static)
    assert [(r.elements, r.verdict) for r in rows_of(flat, "pushed")] == [("Mo-Mo", "pass"), ("Mo-Mo-Mo", "pass")]
    hollow = check_model(with_triplets(-3e6, WALL), settings=static)
    pair, triplet = rows_of(hollow, "pushed")
    assert (pair.verdict, triplet.verdict) == ("pass", "fail")
    assert "a hole" in triplet.reason
    (note,) = [n for n in hollow.notes if "apart" in n]
    scale, distance = map(float, re.search(r"--penalty (\S+) (\S+),", note).groups())
    assert RMIN + distance < COVERAGE["Mo:MoMo"][0]
    held = check_model(with_triplets(-3e6, Penalty(scale, distance)), settings=static)
    assert all(r.verdict == "pass" for r in rows_of(held, "pushed"))


def test_a_run_that_bursts_is_given_up():
    check = check_model(model_of(), settings=replace(QUICK, time_step=40.0, picoseconds=50.0, temperatures=(3000.0,)))
    drift, heat = rows_of(check, "drift")[0], rows_of(check, "heat")[0]
    assert (drift.verdict, heat.verdict) == ("fail", "fail")
    assert "given up at" in drift.reason
    assert json.loads(json.dumps(check.as_dict(), allow_nan=True))["passed"] is False


def test_runs_too_short_to_tell_a_drift():
    times = np.linspace(0.0, 0.1, 101)
    wiggling = Run(list(times), list(1e-3 * np.sin(220 * times)))
    slope, wiggle = wiggling.drift
    assert QUICK.drift < abs(slope) < wiggle
    drifting = Run(list(times), list(1e-2 * times + 1e-6 * np.sin(220 * times)))
    assert drifting.drift[0] == pytest.approx(10.0, rel=0.01), "meV/atom/ps"
    rows = [_drift_row("drift", "Mo", run, QUICK, "a run") for run in (wiggling, drifting)]
    assert [r.verdict for r in rows] == ["not checked", "fail"]
    assert "too short to tell" in rows[0].reason


def test_contacts_and_their_limits():
    short = replace(QUICK, temperatures=(300.0,), picoseconds=0.02)
    (row,) = rows_of(check_model(model_of(), elements=["Mo"], settings=short), "contact")
    assert row.limit == "at least 1.980"
    (row,) = rows_of(check_model(model_of(), elements=["W"], settings=replace(short, contact=2.95)), "contact")
    assert (row.verdict, row.limit) == ("fail", "at least 2.950")
    (row,) = rows_of(check_model(model_of(coverage={}), elements=["Mo"], settings=short), "contact")
    assert row.limit == "at least 1.700", "the inner cutoff, where nothing is known of the fit"


def test_runs_outside_the_fitted_range_warn_and_say_so():
    short = replace(QUICK, temperatures=(1000.0,), picoseconds=0.05)
    low = round(relaxed_lattices(model_of(), "Mo")["fcc"].nearest * 0.945, 2)
    narrow = COVERAGE | {"Mo:MoMo": (low, 5.2)}
    check = check_model(model_of(coverage=narrow), elements=["Mo"], settings=short)
    (row,) = rows_of(check, "range")
    assert (row.verdict, row.unit, row.limit) == ("warn", "% of steps", "at most 1.000")
    assert check.warnings == (row,)
    assert row not in check.failures
    assert ", 1 warn, " in check.summary
    assert ModelCheck("", (row, replace(row, verdict="pass")), short).passed, "nothing failed"
    found = re.search(
        rf"range in (\d+) of (\d+) steps: .*MoMo down to (\S+) Å \(fitted {low:.3f}–5.200\) in (\d+)", row.reason
    )
    outside, steps, nearest, shorter = map(float, found.groups())
    assert row.value == pytest.approx(100 * outside / steps)
    assert 0 < shorter <= outside <= steps
    (contact,) = rows_of(check, "contact")
    assert nearest <= contact.value + 1e-3 < low, "contacts are looked at in every fourth step"
    assert re.search(rf"MoMo up to \S+ Å \(fitted {low:.3f}–5.200\)", row.reason)
    assert "the model extrapolates there" in row.reason
    assert f"warn: {row.what} {row.elements}: {row.reason}" in check.text()
    (tolerant,) = rows_of(
        check_model(model_of(coverage=narrow), elements=["Mo"], settings=replace(short, outside=1.0)), "range"
    )
    assert (tolerant.verdict, "extrapolates" in tolerant.reason) == ("pass", False)
    (wide,) = rows_of(check_model(model_of(), elements=["Mo"], settings=short), "range")
    assert (wide.verdict, wide.value, wide.reason) == ("pass", 0.0, "")
    (unknown,) = rows_of(check_model(model_of(coverage={}), elements=["Mo"], settings=short), "range")
    assert (unknown.verdict, unknown.reason) == (
        "not checked",
        "the model does not say which distances it was fitted on",
    )


def test_pairs_without_a_known_range_are_not_said_to_be_inside_it():
    """As of a sum with a published block, which does not say what it was fitted on."""
    short = replace(QUICK, temperatures=(1000.0,), picoseconds=0.01)
    partly = model_of(coverage={"W:WW": COVERAGE["W:WW"]})
    (alone,) = rows_of(check_model(partly, elements=["Mo"], settings=short), "range")
    assert (alone.verdict, "does not say" in alone.reason) == ("not checked", True)
    (mixed,) = rows_of(check_model(partly, elements=["Mo", "W"], settings=short), "range")
    assert (mixed.elements, mixed.verdict) == ("Mo-W", "pass")
    assert "of MoMo, MoW the model does not say which distances were fitted" in mixed.reason


def test_no_lattice_binds():
    check = check_model(model_of(like=lambda r: np.exp(-r)), settings=QUICK)
    assert {r.verdict for r in rows_of(check, "equation")} == {"fail"}
    assert [r.verdict for r in rows_of(check, "lattice")] == ["fail"]
    assert {r.what for r in check.rows if r.verdict == "not checked"} == {
        "mixing", "pushed together", "dynamics", "σ of forces"
    }  # fmt: skip


def frames_near(model, count):
    """Cells of 4 atoms about a lattice, labelled by the model."""
    rng = np.random.default_rng(3)
    sites = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    frames = []
    for k in range(count):
        edge = rng.uniform(3.6, 4.2)
        positions = edge * sites + rng.normal(scale=0.1, size=(4, 3))
        species = tuple(str(e) for e in rng.choice(["Mo", "W"], 4))
        frames.append(Frame(species, positions, edge * np.eye(3), origin=f"cell {k}", group=f"g{k % 2}"))
    return labelled(frames, model.parameters)


def test_forces_beside_their_deviations(tmp_path, capsys):
    truth = model_of()
    frames = frames_near(truth, 24)
    rng = np.random.default_rng(1)
    frames = [replace(f, forces=f.forces + rng.normal(scale=1.0, size=f.forces.shape)) for f in frames]
    summaries = summarise(frames, truth.parameters.basis, folds=Folds(2), executor=SerialExecutor())
    chosen = view(summaries, weights={"force": 1.0, "energy": 1.0, "stress": 10.0})
    fitted = solve(chosen, Ridge(1e-3))
    model, settings = Model(fitted.parameters), replace(QUICK, temperatures=())
    (row,) = rows_of(check_model(model, posterior=posterior(chosen, fitted), settings=settings), "σ")
    assert row.verdict == "pass"
    assert 0.0 < row.value < 0.5
    with pytest.raises(MismatchError, match="expected a fit of Morse; on perturbed cell 1 the forces differ by up to"):
        check_model(truth, posterior=posterior(chosen, fitted), settings=settings)
    strict = replace(settings, deviation=0.5 * row.value)
    (row,) = rows_of(check_model(model, posterior=posterior(chosen, fitted), settings=strict), "σ")
    assert row.verdict == "fail"
    # the command takes it from the file beside the model, and says what is there instead
    words = ["check", str(tmp_path / "fit.params.txt"), "--picoseconds", "0.1", "--temperatures", "300", "--json"]
    model.write(tmp_path / "fit.params.txt")
    part = BlockPosterior.of(posterior(chosen, fitted))
    for name, verdict, why in (("MoW", "pass", "σ"), ("other", "not checked", "no covariance of blocks Mo, W, MoW in")):
        for old in tmp_path.glob("*.npz"):
            old.unlink()
        digest = part.digest if name == "MoW" else "0" * 64
        replace(part, digest=digest).save(tmp_path / f"{name}.covariance.npz")
        cli.main(words)
        (row,) = [r for r in json.loads(capsys.readouterr().out)["rows"] if r["what"] == "σ of forces"]
        assert row["verdict"] == verdict
        assert why in row["reason"]
    assert cli.main([*words, "--covariance"]) == 2
    assert "digest of its types: expected 000000000000" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lattice": "sc"}, "lattice: expected auto or one of .*, found 'sc'"),
        ({"mixing": -1.0}, "mixing: expected a number above 0, found -1.0"),
        ({"temperatures": (300.0, 0.0)}, "temperatures: expected a number above 0, found 0.0"),
        ({"arrangements": 0}, "arrangements: expected a whole number of at least 1, found 0"),
        ({"threads": 1.5}, "threads: expected a whole number of at least 1, found 1.5"),
    ],
)
def test_settings_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        CheckSettings(**options)


def test_elements_that_cannot_be():
    with pytest.raises(InputError, match="the model has Mo, W, found C"):
        check_model(model_of(), elements=["Mo", "C"])
    with pytest.raises(InputError, match="expected some of Mo, W, found none"):
        check_model(model_of(), elements=[])
    odd = Model(
        Parameters(
            small_basis((2, 0, 0), ("C1",), pairs={"C1-C1": {"rmin": 1.0, "rmax": 5.0, "lambda": 1.2}}), np.zeros(3)
        )
    )
    with pytest.raises(InputError, match="C1 are types of atoms and no chemical elements"):
        check_model(odd)


def test_the_command(tmp_path, capsys):
    model_of().write(tmp_path / "good.txt")
    words = ["check", str(tmp_path / "good.txt"), "--picoseconds", "0.1", "--temperatures", "300", "--lattice", "fcc"]
    assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert "equation of state" in text
    assert "1 not checked" in text
    model_of(unlike=1.3).write(tmp_path / "bad.txt")
    words[1] = str(tmp_path / "bad.txt")
    assert cli.main([*words, "--json"]) == 4, "something failed"
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is False
    assert found["settings"]["temperatures"] == [300.0]
    assert cli.main([*words, "--mixing", "0"]) == 2
    assert "mixing: expected a number above 0" in capsys.readouterr().err
