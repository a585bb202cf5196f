"""Errors against explicit formulas, and tables and plots for people, also where labels are missing."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from synthetic import random_frame, random_frames, random_parameters, small_basis

from hiertl_dist import Frame, Model
from hiertl_dist.evaluation import Coverage, Evaluation, OutOfRange
from hiertl_dist.report import (
    coverage_text,
    errors_by_composition,
    errors_of,
    errors_text,
    frame_errors,
    plot_parity,
    predictions,
    table_text,
    warnings_text,
)

FRAMES = random_frames({"C": 2, "CN": 3})
MODEL = Model(random_parameters(small_basis((2, 0, 0)), 1))
FOUND = MODEL.evaluate(FRAMES)
SHORT = OutOfRange("CN", (3, 7), 0.95, (1.1, 4.9))
LONG = OutOfRange("CC", (0, 1), 5.5, (1.1, 4.9))
EV = 23.060547830619026
GPA = 6.9476955


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


# ---- tables


def test_table():
    text = table_text(["name", "n", "x"], [["a", 12345, 0.5], ["longer", 1, float("nan")]])
    assert text.splitlines() == [
        "name         n      x",
        "─────────────────────",
        "a       12 345  0.500",
        "longer       1      –",
    ]
    assert table_text(["name", "n"], []).splitlines()[0] == "name  n"


def test_titles_of_two_lines():
    text = table_text(["name", "force\nmine"], [["a", 0.5]])
    assert text.splitlines() == ["      force", "name   mine", "───────────", "a     0.500"]


def test_errors_of_two_models_stand_beside_one_another():
    other = Model(random_parameters(small_basis((2, 0, 0)), 2)).evaluate(FRAMES)
    tables = {"one": errors_by_composition(FRAMES, FOUND), "two": errors_by_composition(FRAMES, other)}
    quantities, models, _, *rows, unit = errors_text(tables).splitlines()
    assert quantities.split()[-6:] == ["force", "force", "energy", "energy", "stress", "stress"]
    assert models.split()[-6:] == ["one", "two"] * 3
    one, two = tables["one"]["all"], tables["two"]["all"]
    expected = [5, one.force_rms, one.force, two.force, one.energy, two.energy, one.stress, two.stress]
    assert [float(x) for x in rows[-1].split()[1:]] == pytest.approx(expected, abs=5e-4)
    assert unit.startswith("RMSE")
    assert unit.endswith("; forces in kcal/mol/Å, energies in kcal/mol/atom, stresses in GPa")


def test_units_of_tables():
    table = {"": errors_by_composition(FRAMES, FOUND)}
    kcal, ev = (errors_text(table, u).splitlines() for u in ("kcal", "eV"))
    assert ev[-1].endswith("; forces in eV/Å, energies in eV/atom, stresses in GPa")
    all_kcal, all_ev = ([float(x) for x in t[-2].split()[2:]] for t in (kcal, ev))
    assert all_ev[:3] == pytest.approx([x / EV for x in all_kcal[:3]], abs=1e-3)
    assert all_ev[3] == all_kcal[3]


@pytest.mark.parametrize("missing", [("forces",), ("energy",), ("stress",), ("forces", "energy", "stress")])
def test_tables_have_a_dash_for_what_is_missing(missing):
    frames = [unlabelled(f, *missing) for f in FRAMES]
    table = errors_by_composition(frames, FOUND)
    dashes = {"forces": 2, "energy": 1, "stress": 1}  # the column of the labels' own size, too
    assert errors_text({"": table}).splitlines()[-2].count("–") == sum(dashes[m] for m in missing)
    found = [replace(e, out_of_range=(SHORT,)) for e in FOUND[:2]] + FOUND[2:]
    text = warnings_text(frame_errors(frames, found))
    assert "nan" not in text
    assert ("–" in text.splitlines()[1][:12]) == ("forces" in missing)


def test_warnings_come_worst_first():
    errors = [3.0, 0.1, 7.0, 0.3, 5.0]
    flagged = (0, 2, 4)
    found = [
        replace(e, forces=f.forces + d, out_of_range=(SHORT,) if i in flagged else ())
        for i, (f, e, d) in enumerate(zip(FRAMES, FOUND, errors, strict=True))
    ]
    head, *lines = warnings_text(frame_errors(FRAMES, found)).splitlines()
    assert head.startswith("3 of 5 frames have distances that the model was not fitted on")
    assert "median force error of the others 0.20 kcal/mol/Å" in head
    assert [float(line.split()[0]) for line in lines] == [7.0, 5.0, 3.0]
    assert FRAMES[2].origin in lines[0]
    assert "CN 0.950 Å (atoms 3, 7), shorter than any it was fitted on (1.100–4.900 Å)" in lines[0]
    ev = warnings_text(frame_errors(FRAMES, found), "eV").splitlines()
    assert float(ev[1].split()[0]) == pytest.approx(7.0 / EV, abs=0.005)
    assert warnings_text(frame_errors(FRAMES, found), most=1).splitlines()[-1] == "  … and 2 more"


def test_no_warnings():
    listed = frame_errors(FRAMES, FOUND)
    assert "nothing is known of what is out of range" in warnings_text(listed)
    text = warnings_text(listed, known={"CN:NN", "C:CC"})
    assert text == "every distance lies inside the ranges that are known, those of C:CC, CN:NN"
    alone = [replace(FOUND[0], out_of_range=(LONG,))]
    assert "of the others –" in warnings_text(frame_errors(FRAMES[:1], alone))


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
    listed = predictions(FRAMES, found)
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
    plot_parity(tmp_path / "one.png", {"a": (frames, found)})
    plot_parity(tmp_path / "two.png", {"a": (frames, found), "b": (frames[:1], found[:1])}, "eV")
    (width, height), (twice, same) = png_size(tmp_path / "one.png"), png_size(tmp_path / "two.png")
    assert twice == 2 * width
    assert height == same > 1000


def test_parity_plots_of_what_has_no_stress(tmp_path):
    pytest.importorskip("matplotlib")
    frames = [molecule(), replace(FRAMES[0], stress=np.array([1.0, 2.0, 3.0, np.nan, np.nan, np.nan]))]
    plot_parity(tmp_path / "a.png", {"": (frames, MODEL.evaluate(frames))})
    assert png_size(tmp_path / "a.png")[0] > 400
