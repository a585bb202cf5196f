"""Errors against explicit formulas, and tables and plots for people, also where labels are missing."""

from __future__ import annotations

import csv
import json
import math
import struct
import sys
from dataclasses import replace

import numpy as np
import pytest
from synthetic import random_frame, random_frames, random_parameters, small_basis

from hiertl_dist import Frame, Model
from hiertl_dist.evaluation.coverage import Coverage, OutOfRange
from hiertl_dist.evaluation.energies import Evaluation
from hiertl_dist.jobs import figures
from hiertl_dist.jobs.csv_tables import coverage_csv, errors_csv, frames_csv
from hiertl_dist.jobs.evaluating import errors_of, evaluated_of
from hiertl_dist.jobs.figures import parity_figure, plot_parity
from hiertl_dist.jobs.report import (
    MOST_GROUPS,
    QUANTITIES,
    coverage_text,
    details_text,
    errors_text,
    warnings_text,
)
from hiertl_dist.text.display import number_text, table_text

FRAMES = random_frames({"C": 2, "CN": 3})
MODEL = Model(random_parameters(small_basis((2, 0, 0)), 1))
FOUND = MODEL.evaluate(FRAMES)
SHORT = OutOfRange("CN", (3, 7), 0.95, (1.1, 4.9))
LONG = OutOfRange("CC", (0, 1), 5.5, (1.1, 4.9))
EV = 23.060547830619026
GPA = 6.9476955


def errors_by_composition(frames, found):
    return evaluated_of(frames, found).errors


def errors_by_group(frames, found):
    return evaluated_of(frames, found).group_errors


def frame_errors(frames, found):
    return list(evaluated_of(frames, found).residuals())


def drawn(frames, found):
    return evaluated_of(frames, found, points=True)


def unlabelled(frame, *labels):
    return frame.without_labels(**dict.fromkeys(labels, True))


def molecule(n=3):
    """An isolated molecule with energy and forces: it has no stress."""
    positions = 1.5 * np.arange(3 * n).reshape(n, 3)
    return Frame(("C",) * n, positions, energy=-1.0, forces=np.ones((n, 3)), origin="molecule")


# ---- formulas


def test_errors_are_the_formulas():
    errors = errors_of(FRAMES, FOUND)
    pairs = list(zip(FRAMES, FOUND, strict=True))
    components = sum(3 * len(f) for f in FRAMES)
    assert errors.frames == 5
    assert errors.atoms == components / 3 == 60
    assert errors.force == pytest.approx(
        np.sqrt(sum(((e.forces - f.forces) ** 2).sum() for f, e in pairs) / components), rel=1e-14
    )
    assert errors.force_rms == pytest.approx(np.sqrt(sum((f.forces**2).sum() for f in FRAMES) / components), rel=1e-14)
    assert errors.energy == pytest.approx(
        np.sqrt(sum(((e.energy - f.energy) / len(f)) ** 2 for f, e in pairs) / 5), rel=1e-14
    )
    assert errors.stress == pytest.approx(
        GPA * np.sqrt(sum(((e.stress - f.stress) ** 2).sum() for f, e in pairs) / 30), rel=1e-14
    )


def test_means_and_extremes_are_the_formulas():
    errors = errors_of(FRAMES, FOUND)
    pairs = list(zip(FRAMES, FOUND, strict=True))
    differences = {
        "force": np.concatenate([(e.forces - f.forces).ravel() for f, e in pairs]),
        "energy": np.array([(e.energy - f.energy) / len(f) for f, e in pairs]),
        "stress": GPA * np.concatenate([e.stress - f.stress for f, e in pairs]),
    }
    for kind, values in differences.items():
        own = errors.of(kind)
        assert own.labels == len(values)
        assert own.rmse == getattr(errors, kind)
        assert own.mae == pytest.approx(np.mean(np.abs(values)), rel=1e-12)
        assert own.max == pytest.approx(np.max(np.abs(values)), rel=1e-12)
        assert own.mae <= own.rmse <= own.max
    assert errors.of("force").size == errors.force_rms
    assert errors.stress_rms == pytest.approx(GPA * np.sqrt(np.mean([f.stress**2 for f in FRAMES])))
    shifted = [replace(f, energy=f.energy - 1e4 * len(f)) for f in FRAMES]
    spread = np.std([f.energy / len(f) for f in FRAMES])
    assert errors.energy_spread == pytest.approx(spread)
    assert errors_of(shifted, FOUND).energy_spread == pytest.approx(spread, rel=1e-9), "it knows no zero of energy"
    assert math.isnan(errors_of(FRAMES[:1], FOUND[:1]).energy_spread)


def test_a_model_that_gives_no_number_does_not_hide():
    found = [replace(e, stress=np.full(6, np.nan), forces=np.full_like(e.forces, np.inf)) for e in FOUND]
    errors = errors_of(FRAMES, found)
    assert (errors.stress_labels, errors.force_labels) == (30, 180)
    assert math.isnan(errors.stress)
    assert math.isinf(errors.force)


def test_an_error_of_one_unit_each():
    """6.9 GPa is 1 kcal/mol/Å³, energies are per atom, forces per component."""
    found = [replace(e, energy=f.energy + len(f), forces=f.forces + 2.0, stress=f.stress - 1.0)
             for f, e in zip(FRAMES, FOUND, strict=True)]  # fmt: skip
    errors = errors_of(FRAMES, found)
    assert (errors.force, errors.energy, errors.stress) == pytest.approx((2.0, 1.0, GPA))


def test_frames_weigh_by_what_they_have():
    """Forces are pooled over components, not averaged over frames."""
    frames = [random_frame(("C",), 1, atoms=6), random_frame(("C",), 2, atoms=18)]
    found = [Evaluation(f.energy, f.forces + d, f.stress) for f, d in zip(frames, (4.0, 0.0), strict=True)]
    assert errors_of(frames, found).force == pytest.approx(np.sqrt(16.0 * 18 / 72))


def test_missing_stress_components_are_left_out():
    stress = np.array([1.0, 2.0, 3.0, np.nan, np.nan, np.nan])
    frames = [replace(FRAMES[0], stress=stress)]
    found = [replace(FOUND[0], stress=np.array([2.0, 2.0, 5.0, 1e3, 1e3, 1e3]))]
    assert errors_of(frames, found).stress == pytest.approx(GPA * np.sqrt((1 + 0 + 4) / 3))
    assert frame_errors(frames, found)[0].stress == pytest.approx(GPA * np.sqrt(5 / 3))


def test_frames_without_labels_do_not_count():
    frames = [unlabelled(FRAMES[0], "forces", "energy"), FRAMES[1], unlabelled(FRAMES[2], "stress")]
    errors, found = errors_of(frames, FOUND[:3]), FOUND[:3]
    forces = [f.forces - e.forces for f, e in zip(FRAMES[1:3], found[1:], strict=True)]
    assert errors.force == pytest.approx(np.sqrt(np.mean(np.square(forces))))
    stresses = [f.stress - e.stress for f, e in zip(FRAMES[:2], found[:2], strict=True)]
    assert errors.stress == pytest.approx(GPA * np.sqrt(np.mean(np.square(stresses))))
    assert errors.frames == 3


def test_what_no_frame_has_is_nan():
    frames = [unlabelled(f, "forces", "energy", "stress") for f in FRAMES]
    errors = errors_of(frames, FOUND)
    assert all(np.isnan(x) for x in (errors.force, errors.force_rms, errors.energy, errors.stress))
    for kind in QUANTITIES:
        own = errors.of(kind)
        assert own.labels == 0
        assert all(math.isnan(x) for x in (own.rmse, own.mae, own.max, own.size))
    one = frame_errors(frames, FOUND)[0]
    assert all(np.isnan(x) for x in (one.force, one.energy, one.stress))


def test_a_molecule_has_no_stress():
    errors = errors_of([molecule()], MODEL.evaluate([molecule()]))
    assert np.isnan(errors.stress)
    assert np.isfinite(errors.force)


def test_each_frame_by_itself():
    listed = frame_errors(FRAMES, [FOUND[0], replace(FOUND[1], out_of_range=(SHORT,)), *FOUND[2:]])
    assert [f.index for f in listed] == [0, 1, 2, 3, 4]
    assert [f.origin for f in listed] == [f.origin for f in FRAMES]
    assert listed[1].out_of_range == (str(SHORT),)
    for own, frame, found in zip(listed, FRAMES, FOUND, strict=True):
        alone = errors_of([frame], [found])
        assert (own.force, own.energy, own.stress) == (alone.force, alone.energy, alone.stress)


# ---- compositions


@pytest.mark.parametrize(
    ("species", "label"),
    [
        ("CCCC", "C"), ("NNNC", "C25N75"), ("CN", "C50N50"), ("NCO", "C33N33O33"), (["Mo", "Mo", "Nb"], "Mo67Nb33"),
        ("C" * 299 + "N", "C100N0"),
    ],
    ids=lambda v: v if isinstance(v, str) and len(v) < 20 else "",
)  # fmt: skip
def test_labels_of_compositions(species, label):
    assert Frame(tuple(species), 2.0 * np.arange(3 * len(species)).reshape(-1, 3)).composition == label


def test_errors_by_composition():
    table = errors_by_composition(FRAMES, FOUND)
    assert next(iter(table)) == "C"
    assert list(table)[-1] == "all"
    assert table["all"] == errors_of(FRAMES, FOUND)
    assert table["C"] == errors_of(FRAMES[:2], FOUND[:2])
    assert sum(e.frames for name, e in table.items() if name != "all") == 5
    assert list(errors_by_composition(FRAMES[:2], FOUND[:2])) == ["C"]
    assert errors_by_composition([], []) == {}


def test_out_of_range_frames_are_counted():
    found = [replace(e, out_of_range=(SHORT, LONG)) if i in (1, 2) else e for i, e in enumerate(FOUND)]
    table = errors_by_composition(FRAMES, found)
    assert (table["C"].out_of_range, table["all"].out_of_range) == (1, 2)


GROUPED = [replace(f, group=g) for f, g in zip(FRAMES, ("b", "all", "b", "a", "all"), strict=True)]


def test_errors_by_group():
    """A group may be called "all", as the default one is: there is no total to be mistaken for it."""
    table = errors_by_group(GROUPED, FOUND)
    assert list(table) == ["a", "all", "b"]
    assert table["all"] == errors_of([FRAMES[1], FRAMES[4]], [FOUND[1], FOUND[4]])
    assert table["b"].frames == 2
    assert sum(e.force_labels for e in table.values()) == errors_of(FRAMES, FOUND).force_labels


# ---- tables


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-0.0, "0"), (float("nan"), "–"), (float("inf"), "inf"), (0.5, "0.5000"), (12.3456, "12.35"),
     (9.99996, "10.00"), (1234.567, "1235"), (123456.7, "123457"), (1234567.891, "1.235e+06"), (-3.14159, "-3.142"),
     (0.000123456, "0.0001235"), (0.00001234, "1.234e-05"), (99999.6, "100000"), (999999.6, "1.000e+06"),
     (1e-300, "1.000e-300")],
)  # fmt: skip
def test_digits_fit_the_size_of_a_number(value, text):
    assert number_text(value) == text


def test_what_is_small_never_reads_as_zero_and_what_is_large_stays_short():
    for exponent in range(-20, 21):
        for leading in (1.0, 2.3456789, 9.9999, -4.44444):
            value = leading * 10.0**exponent
            text = number_text(value)
            assert float(text) == pytest.approx(value, rel=5.1e-4)
            assert float(text) != 0.0
            assert len(text) <= 11


def test_table():
    text = table_text(["name", "n", "x"], [["a", 12345, 0.5], ["longer", 1, float("nan")]])
    assert text.splitlines() == [
        "name         n       x",
        "──────────────────────",
        "a       12 345  0.5000",
        "longer       1       –",
    ]
    assert table_text(["name", "n"], []).splitlines()[0] == "name  n"


def test_titles_of_two_lines():
    text = table_text(["name", "force\nmine"], [["a", 0.5]])
    assert text.splitlines() == ["       force", "name    mine", "────────────", "a     0.5000"]


def test_errors_of_two_models_stand_beside_one_another():
    other = Model(random_parameters(small_basis((2, 0, 0)), 2)).evaluate(FRAMES)
    tables = {"one": errors_by_composition(FRAMES, FOUND), "two": errors_by_composition(FRAMES, other)}
    quantities, models, _, *rows, unit = errors_text(tables).splitlines()
    assert quantities.split()[-6:] == ["force", "force", "energy", "energy", "stress", "stress"]
    assert models.split()[-6:] == ["one", "two"] * 3
    one, two = tables["one"]["all"], tables["two"]["all"]
    expected = [5, one.force_rms, one.force, two.force, one.energy, two.energy, one.stress, two.stress]
    assert [float(x.lstrip("!")) for x in rows[-1].split()[1:]] == pytest.approx(expected, rel=5e-4)
    assert unit.startswith("RMSE")
    assert unit.endswith("; forces in kcal/mol/Å, energies in kcal/mol/atom, stresses in GPa")


def test_units_of_tables():
    table = {"": errors_by_composition(FRAMES, FOUND)}
    kcal, ev = (errors_text(table, u).splitlines() for u in ("kcal", "eV"))
    assert ev[-1].endswith("; forces in eV/Å, energies in eV/atom, stresses in GPa")
    all_kcal, all_ev = ([float(x.lstrip("!")) for x in t[-2].split()[2:]] for t in (kcal, ev))
    assert all_ev[:3] == pytest.approx([x / EV for x in all_kcal[:3]], rel=1e-3)
    assert all_ev[3] == all_kcal[3]


def test_details_by_kind_composition_and_group():
    other = Model(random_parameters(small_basis((2, 0, 0)), 2)).evaluate(FRAMES)
    evaluations = {"one": FOUND, "two": other}
    compositions = {n: errors_by_composition(GROUPED, e) for n, e in evaluations.items()}
    groups = {n: errors_by_group(GROUPED, e) for n, e in evaluations.items()}
    *texts, judged = details_text(compositions, groups, "eV").split("\n\n")
    assert judged.startswith("! one: worse than a model that predicts the mean (forces zero, ")
    for text, kind, unit, factor in zip(
        texts, QUANTITIES, ("eV/Å", "eV/atom", "GPa"), (1 / EV, 1 / EV, 1.0), strict=True
    ):
        above, header, _, *rows = text.splitlines()
        assert header.split()[:2] == [f"{kind},", unit]
        assert header.split()[-6:] == ["RMSE", "MAE", "max"] * 2
        assert above.split()[-2:] == ["one", "two"]
        found = {row.split("  ")[0]: row.split()[-8:] for row in rows}
        assert list(found) == [*compositions["one"], "group a", "group all", "group b"]
        one, two = (groups[n]["b"].of(kind) for n in evaluations)
        expected = [one.labels, one.spread * factor]
        expected += [x * factor for e in (one, two) for x in (e.rmse, e.mae, e.max)]
        numbers = [math.nan if x == "–" else float(x.lstrip("!")) for x in found["group b"]]
        assert numbers == pytest.approx(expected, rel=5.1e-4, nan_ok=True)


def test_details_leave_out_what_is_not_there():
    alone = [unlabelled(f, "stress") for f in FRAMES]
    text = details_text({"": errors_by_composition(alone, FOUND)}, {"": errors_by_group(alone, FOUND)})
    *texts, judged = text.split("\n\n")
    assert "stress of" not in judged
    assert [t.splitlines()[1].split(",")[0] for t in texts] == ["force", "energy"]
    assert "group" not in texts[0], "one group alone is all frames"


def test_of_many_groups_the_worst_are_shown_and_the_others_counted():
    many = 3 * MOST_GROUPS
    frames = [replace(FRAMES[0], group=f"g{i:03}") for i in range(many)]
    found = [replace(FOUND[0], forces=FRAMES[0].forces + i) for i in range(many)]
    text = details_text({"": errors_by_composition(frames, found)}, {"": errors_by_group(frames, found)})
    force = text.split("\n\n")[0].splitlines()
    shown = [line.split()[1] for line in force if line.startswith("group")]
    assert shown == [f"g{i:03}" for i in range(many - 1, many - 1 - MOST_GROUPS, -1)]
    assert force[-1].startswith(f"… and {many - MOST_GROUPS} groups with smaller errors")


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("units", ["kcal", "eV"])
def test_tables_as_csv(tmp_path, units):
    frames = list(GROUPED)
    frames[1] = replace(unlabelled(frames[1], "stress"), group='a "quoted", name')
    found = [replace(FOUND[0], out_of_range=(SHORT, LONG)), *FOUND[1:]]
    compositions, groups = errors_by_composition(frames, found), errors_by_group(frames, found)
    path = errors_csv({"m": {"fitted": compositions}}, {"m": {"fitted": groups}}, units).write(tmp_path / "new")
    rows = read_csv(path)
    assert path == tmp_path / "new" / "errors.csv"
    assert len(rows) == 3 * (len(compositions) + len(groups))
    factor = {"kcal": 1.0, "eV": 1 / EV}[units]
    names = {(r["by"], r["name"]) for r in rows}
    own = {("composition", c) for c in compositions if c != "all"} | {("group", g) for g in groups}
    assert names == own | {("all", "all")}
    quoted = next(r for r in rows if r["name"] == 'a "quoted", name' and r["quantity"] == "force")
    own = groups['a "quoted", name'].of("force")
    assert float(quoted["rmse"]) == pytest.approx(own.rmse * factor, rel=1e-15)
    assert int(quoted["labels"]) == own.labels
    assert quoted["unit"] == {"kcal": "kcal/mol/Å", "eV": "eV/Å"}[units]
    stress = next(r for r in rows if r["name"] == 'a "quoted", name' and r["quantity"] == "stress")
    assert (stress["labels"], stress["rmse"], stress["max"]) == ("0", "", "")
    listed = frame_errors(frames, found)
    rows = read_csv(frames_csv({"m": {"fitted": evaluated_of(frames, found)}}, units).write(tmp_path))
    assert [r["origin"] for r in rows] == [f.origin for f in frames]
    assert rows[0]["out_of_range"] == f"{SHORT}; {LONG}"
    assert float(rows[2][f"energy_error_{'eV' if units == 'eV' else 'kcal/mol'}/atom"]) == pytest.approx(
        listed[2].energy * factor
    )
    covered = [Coverage("CN", "CC", (1.2, 4.0), (1.1, 4.0), 8, 2)]
    (row,) = read_csv(coverage_csv({"m": covered}).write(tmp_path))
    assert (row["block"], row["fitted_from_Å"], row["used_from_Å"], row["frames_beyond"]) == ("CN", "1.2", "1.1", "2")
    assert {p.name for p in tmp_path.iterdir()} == {"new", "frames.csv", "coverage.csv"}, "no half-written files"


def test_errors_go_to_json():
    table = vars(errors_of(FRAMES, FOUND))
    assert json.loads(json.dumps(table)) == table


@pytest.mark.parametrize("missing", [("forces",), ("energy",), ("stress",), ("forces", "energy", "stress")])
def test_tables_have_a_dash_for_what_is_missing(missing):
    frames = [unlabelled(f, *missing) for f in FRAMES]
    table = errors_by_composition(frames, FOUND)
    dashes = {"forces": 2, "energy": 1, "stress": 1}  # the column of the labels' own size, too
    assert errors_text({"": table}).splitlines()[-2].count("–") == sum(dashes[m] for m in missing)
    found = [replace(e, out_of_range=(SHORT,)) for e in FOUND[:2]] + FOUND[2:]
    text = warnings_text(evaluated_of(frames, found))
    assert "nan" not in text
    assert ("–" in text.splitlines()[1][:12]) == ("forces" in missing)


def test_warnings_come_worst_first():
    errors = [3.0, 0.1, 7.0, 0.3, 5.0]
    flagged = (0, 2, 4)
    found = [
        replace(e, forces=f.forces + d, out_of_range=(SHORT,) if i in flagged else ())
        for i, (f, e, d) in enumerate(zip(FRAMES, FOUND, errors, strict=True))
    ]
    head, *lines = warnings_text(evaluated_of(FRAMES, found)).splitlines()
    assert head.startswith("3 of 5 frames have distances that the model was not fitted on")
    assert "median force error of the others 0.2000 kcal/mol/Å" in head
    assert [float(line.split()[0]) for line in lines] == [7.0, 5.0, 3.0]
    assert FRAMES[2].origin in lines[0]
    assert "CN 0.950 Å (atoms 3, 7), shorter than any it was fitted on (1.100–4.900 Å)" in lines[0]
    ev = warnings_text(evaluated_of(FRAMES, found), "eV").splitlines()
    assert float(ev[1].split()[0]) == pytest.approx(7.0 / EV, rel=5e-4)
    assert warnings_text(evaluated_of(FRAMES, found), most=1).splitlines()[-1] == "  … and 2 more"


def test_no_warnings():
    listed = evaluated_of(FRAMES, FOUND)
    assert "nothing is known of what is out of range" in warnings_text(listed)
    text = warnings_text(listed, known={"CN:NN", "C:CC"})
    assert text == "every distance lies inside the ranges that are known, those of C:CC, CN:NN"
    # never beside a row that doesn't: of one block they don't, or by less than is told of frames
    for used, frames in (((1.1, 4.0), 2), ((1.2, 4.05), 0)):
        row = Coverage("CN", "NN", (1.2, 4.0), used, 8, frames)
        for told in (
            warnings_text(replace(listed, coverage=([row],)), known={"CN:NN"}),
            warnings_text(listed, known={"CN:NN"}, beside=[row]),
        ):
            assert "every distance lies inside" not in told
            assert ("single blocks are used beyond theirs: CN:NN" in told) == bool(frames)
            assert ("the longest of CN:NN exceed theirs by at most 0.1 Å" in told) == (not frames)
    inside = Coverage("CN", "NN", (1.2, 4.0), (1.2, 4.0), 8, 0)
    assert "every distance lies inside" in warnings_text(listed, known={"CN:NN"}, beside=[inside])
    alone = [replace(FOUND[0], out_of_range=(LONG,))]
    assert "of the others –" in warnings_text(evaluated_of(FRAMES[:1], alone))


def test_coverage_marks_what_is_used_beyond():
    report = [
        Coverage("C", "CC", (1.2, 5.0), (1.2, 5.0), 8, 0),
        Coverage("CN", "CC", (1.2, 4.0), (1.1, 4.0), 8, 2),
        Coverage("CN", "NN", (1.2, 4.0), (1.3, 4.7), 8, 1),
    ]
    lines = coverage_text(report).splitlines()[2:]
    assert [line.split("<<")[1].strip() if "<<" in line else "" for line in lines] == ["", "shorter", "longer"]
    assert lines[1].split()[:6] == ["CN:", "CC", "1.200–4.000", "1.100–4.000", "8", "2"]


def test_predictions_for_scripts():
    found = [replace(FOUND[0], out_of_range=(SHORT,)), *FOUND[1:]]
    listed = evaluated_of(FRAMES, found).predictions()
    assert [p["energy"] for p in listed] == [e.energy for e in found]
    assert listed[0]["out_of_range"] == [str(SHORT)]
    assert listed[1]["stress"] == dict(zip(("xx", "yy", "zz", "xy", "xz", "yz"), found[1].stress, strict=True))
    assert listed[2]["energy_error_per_atom"] == errors_of(FRAMES[2:3], FOUND[2:3]).energy


# ---- plots


def png_size(path):
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:])


@pytest.mark.parametrize("missing", [(), ("forces",), ("forces", "energy", "stress")])
def test_parity_plots(tmp_path, missing):
    """Warnings are errors here: an empty legend would be one."""
    pytest.importorskip("matplotlib")
    frames = [unlabelled(f, *missing) for f in FRAMES]
    found = [replace(FOUND[0], out_of_range=(SHORT,)), *FOUND[1:]]
    written = plot_parity(tmp_path / "one.png", {"a": drawn(frames, found)})
    assert written == (tmp_path / "one.png", tmp_path / "one.pdf")
    assert written[1].read_bytes().startswith(b"%PDF")
    plot_parity(tmp_path / "two", {"a": drawn(frames, found), "b": drawn(frames[:1], found[:1])}, "eV")
    (width, height), (twice, same) = png_size(tmp_path / "one.png"), png_size(tmp_path / "two.png")
    assert twice > 1.7 * width
    assert height == same == (3.6 * max(1, 3 - len(missing)) + 0.5) * figures.DPI
    again = tmp_path / "again.png"
    plot_parity(again, {"a": drawn(frames, found)})
    assert again.read_bytes() == written[0].read_bytes(), "the same figure is the same file"
    assert again.with_suffix(".pdf").read_bytes() == written[1].read_bytes()


def test_parity_plots_of_what_has_no_stress(tmp_path):
    pytest.importorskip("matplotlib")
    frames = [molecule(), replace(FRAMES[0], stress=np.array([1.0, 2.0, 3.0, np.nan, np.nan, np.nan]))]
    plot_parity(tmp_path / "a.png", {"": drawn(frames, MODEL.evaluate(frames))})
    assert png_size(tmp_path / "a.png")[0] > 400


def panels(figure):
    """The axes of a figure that are no colour bars, by rows."""
    axes = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    columns = len([ax for ax in axes if ax.get_title()])
    return [axes[i : i + columns] for i in range(0, len(axes), columns)]


def test_panels_of_a_row_share_their_axes_and_say_error_and_number():
    """Models and sets, beside one another, are compared at sight: a point has the same place in each."""
    pytest.importorskip("matplotlib")
    worse = [replace(e, forces=3.0 * e.forces, energy=e.energy + 40.0) for e in FOUND]
    sets = {
        "hierarchical, fitted": (FRAMES[:3], FOUND[:3]), "hierarchical, held out": (FRAMES[3:], FOUND[3:]),
        "all at once, fitted": (FRAMES[:3], worse[:3]), "all at once, held out": (FRAMES[3:], worse[3:]),
    }  # fmt: skip
    figure = parity_figure({name: drawn(*pair) for name, pair in sets.items()}, "eV")
    rows = panels(figure)
    assert [ax.get_title() for ax in rows[0]] == list(sets)
    for row, kind, unit in zip(rows, QUANTITIES, ("eV/Å", "eV/atom", "GPa"), strict=True):
        assert len({ax.get_xlim() for ax in row} | {ax.get_ylim() for ax in row}) == 1
        for ax, (frames, found) in zip(row, sets.values(), strict=True):
            own = errors_of(frames, found).of(kind)
            (text,) = (t.get_text() for t in ax.texts)
            factor = 1.0 if kind == "stress" else 1 / EV
            rmse, mae = number_text(own.rmse * factor), number_text(own.mae * factor)
            assert text == f"RMSE {rmse} {unit}\nMAE {mae}\nN = {own.labels}"
            assert ax.get_xlabel().endswith(unit)
            points = np.concatenate([line.get_xydata() for line in ax.lines if line.get_linestyle() == "None"])
            assert len(points) == own.labels
            (low, high) = ax.get_xlim()
            assert ((points > low) & (points < high)).all(), "no point is outside"


def test_many_points_are_drawn_as_their_density(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(figures, "MANY", 100)
    figure = parity_figure({"a": drawn(FRAMES, FOUND), "b": drawn(FRAMES[:1], FOUND[:1])})
    force, energy, stress = panels(figure)
    for ax, labels in zip(force, (180, 36), strict=True):
        assert not [line for line in ax.lines if line.get_linestyle() == "None"]
        (mesh,) = ax.collections
        assert mesh.get_array().sum() == labels, "every label is in a cell"
    assert len({(m.norm.vmin, m.norm.vmax) for ax in force for m in ax.collections}) == 1, "one scale of colours"
    assert sum(ax.get_label() == "<colorbar>" for ax in figure.axes) == 1
    assert not [ax for ax in (*energy, *stress) if ax.collections]


def test_legends_are_not_cut():
    pytest.importorskip("matplotlib")
    carbon = FRAMES[0]
    frames = [replace(carbon, species=("C",) * (12 - i) + ("N",) * i) for i in range(12)]
    figure = parity_figure({"a": drawn(frames, [FOUND[0]] * 12)})
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 12
    figure.canvas.draw()
    box, whole = legend.get_window_extent(), figure.bbox
    assert box.x0 >= whole.x0
    assert box.x1 <= whole.x1
    assert box.y0 >= whole.y0


def test_out_of_range_frames_are_ringed_and_counted():
    pytest.importorskip("matplotlib")
    found = [replace(FOUND[0], out_of_range=(SHORT,)), *FOUND[1:]]
    figure = parity_figure({"a": drawn(FRAMES, found)})
    for (ax,), count in zip(panels(figure), (36, 1, 6), strict=True):
        (ring,) = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
        assert len(ring.get_xdata()) == count
        assert ax.texts[0].get_text().endswith("1 of 5 frames out of range")
    assert [t.get_text() for t in figure.legends[0].get_texts()][-1] == "frame out of range"


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "hiertl-dist\[plot\]"'):
        plot_parity(tmp_path / "a.png", {"": drawn(FRAMES, FOUND)})
