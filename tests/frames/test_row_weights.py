"""Weights of single rows of frames, beside slow formulas; al_driver's styles beside its own code where that is."""

from __future__ import annotations

import importlib.util
import math
import os
import pickle
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist.errors import InputError
from hiertl_dist.frames.frame import Frame
from hiertl_dist.frames.frame_sequence import FrameList
from hiertl_dist.frames.row_weights import ListedWeights, RowWeights
from hiertl_dist.frames.rows import row_labels, row_targets
from hiertl_dist.units import KCAL_PER_A3_IN_GPA

FRAMES = FrameList(
    labelled(
        random_frames({"C": 3, "CN": 4}, groups=("ALC-0", "ALC-3/liquid", "G_ALC-2")), random_parameters(small_basis())
    )
)
STYLES = [
    ("A", (2.5,)), ("B", (3.0, -1.0)), ("B", (2.0, 0.5)), ("C", (1.0, -1.0, 40.0)), ("D", (2.0, -0.5, 3.0, 60.0)),
    ("E", (-1.0,)), ("E", (0.5,)), ("F", (1.0, -1.0, 2.0, 9.0)), ("G", (0.7, -2.0, 5.0, 80.0)),
]  # fmt: skip


def style(name, a, cycle, x, n):
    """The weight of one row, by the formulas of al_driver's documentation and sources, one number at a time."""
    match name:
        case "A":
            return a[0]
        case "B":
            return a[0] * float(1 if cycle == 0 else cycle) ** a[1]
        case "C":
            return a[0] * math.exp(a[1] * abs(x) / a[2])
        case "D":
            return a[0] * math.exp(a[1] * (x - a[2]) / a[3])
        case "E":
            return float(n) ** a[0]
        case "F":
            return a[0] * math.exp(a[1] * (x / n - a[2]) / a[3])
    return a[0] * math.exp(a[1] * (abs(x) - a[2]) / a[3])


def call(name, a):
    return f"{name}({', '.join(map(repr, a))})"


def rows_of(frames):
    """Of every row its kind, cycle, label in al_driver's units, and number of atoms."""
    cycles = {"ALC-0": 0, "ALC-3/liquid": 3, "G_ALC-2": 2}
    for frame in frames:
        for row, x in zip(row_labels(frame, 0), row_targets(frame), strict=True):
            yield (
                row.kind,
                cycles.get(frame.group, 1),
                x * (KCAL_PER_A3_IN_GPA if row.kind == "stress" else 1.0),
                len(frame),
            )


def test_groups_that_a_loop_names_say_their_cycle():
    frames = FrameList(replace(f, group=g) for f, g in zip(FRAMES, ("cycle_0", "cycle_12", "ALC-3"), strict=False))
    found = RowWeights(force="1 + cycle").of(frames)[np.cumsum([0, *frames.facts.n_rows[:-1]])]
    assert found.tolist() == [1.0, 13.0, 4.0]
    with pytest.raises(InputError, match="expected the cycle of group 'bicycle_2'"):
        RowWeights(force="cycle").of(FrameList([replace(FRAMES[0], group="bicycle_2")]))


@pytest.mark.parametrize(("name", "a"), STYLES)
def test_al_drivers_styles(name, a):
    text = call(name, a)
    found = RowWeights(force=text, energy=text, stress=text).of(FRAMES)
    expected = [style(name, a, cycle, x, n) for _, cycle, x, n in rows_of(FRAMES)]
    assert found == pytest.approx(expected, rel=1e-13, abs=0.0)
    assert len({*expected}) > 1 or name == "A" or name == "E"


def al_driver():
    """al_driver's own function of a weight; skips where ``$HIERTL_AL_DRIVER`` names no checkout of it."""
    folder = os.environ.get("HIERTL_AL_DRIVER")
    if not folder:
        pytest.skip("HIERTL_AL_DRIVER names no checkout of al_driver")
    source = Path(folder) / "src"
    sys.path.insert(0, str(source))
    try:
        spec = importlib.util.spec_from_file_location("al_driver_gen_ff", source / "gen_ff.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault("config", module)  # what its modules import of a user
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(source))
        if sys.modules.get("config") is module:
            del sys.modules["config"]
    return module.gen_weights


@pytest.mark.parametrize("styles", [[s] for s in STYLES] + [STYLES[:2], [STYLES[0], STYLES[3], STYLES[5]]])
def test_al_drivers_own_code(styles, shared):
    gen_weights = al_driver()
    from hiertl_dist import read_frames

    given = read_frames(shared / "cn_dft" / "20.3percN_3.5gcc.xyzf")[:3]
    frames = FrameList(given)
    asked = [[name for name, _ in styles], [list(a) for _, a in styles]]
    for cycle in (0, 1, 4):
        text = " * ".join(call(*s) for s in styles)
        weights = RowWeights(force=text, energy=text, stress=text, cycles={"*": cycle})
        expected = [gen_weights(asked, cycle, repr(float(x)), n) for _, _, x, n in rows_of(frames)]
        assert weights.of(frames) == pytest.approx(expected, rel=1e-12, abs=0.0)


def test_a_weight_for_each_kind_and_facts_of_frames():
    weights = RowWeights(
        force="1 if gas else 1 / max_force", energy="fraction('N') + energy_per_atom ** 2",
        stress="volume_per_atom * abs(pressure) + rms_force * periodic",
    )  # fmt: skip
    expected = []
    for frame in FRAMES:
        longest = max(math.hypot(*f) for f in frame.forces)
        for row in row_labels(frame, 0):
            if row.kind == "force":
                expected.append(1.0 if frame.group.startswith("G_") else 1.0 / longest)
            elif row.kind == "energy":
                expected.append(frame.species.count("N") / len(frame) + (frame.energy / len(frame)) ** 2)
            else:
                pressure = np.mean(frame.stress[:3]) * KCAL_PER_A3_IN_GPA
                expected.append(frame.volume / len(frame) * abs(pressure) + float(np.sqrt(np.mean(frame.forces**2))))
    assert weights.of(FRAMES) == pytest.approx(expected, rel=1e-13)


def test_what_a_frame_lacks_is_told_with_the_frame():
    molecule = Frame(
        ("C", "N"), [[0, 0, 0], [0, 0, 1.2]], forces=np.ones((2, 3)), origin="m.xyz, frame 4", group="dimers"
    )
    for text, said in (
        ("volume", "the frame has no volume"),
        ("energy", "has no energy"),
        ("cycle", 'cycles = { "dimers"'),
    ):
        with pytest.raises(InputError, match=r"weights\.force: m\.xyz, frame 4: .*") as caught:
            RowWeights(force=text).of(FrameList([molecule]))
        assert said in str(caught.value)
    assert (
        RowWeights(force="volume if periodic else 2", cycles={"dim*": 1}).of(FrameList([molecule])).tolist()
        == [2.0] * 6
    )
    with pytest.raises(InputError, match=r"m\.xyz, frame 4: expected a finite number ≥ 0, found -1"):
        RowWeights(force="0 - value").of(FrameList([molecule]))
    with pytest.raises(InputError, match=r"cycles \[1, 2\] by several patterns"):
        RowWeights(force="cycle", cycles={"dim*": 1, "*mers": 2}).of(FrameList([molecule]))


def test_wrong_values_are_refused():
    for given in (
        {"force": -1.0},
        {"energy": float("inf")},
        {"stress": True},
        {"cycles": {"a": 1.5}},
        {"cycles": {"a": -1}},
    ):
        with pytest.raises(InputError, match="weights"):
            RowWeights(**given)


def test_names_must_be_met_by_some_frame():
    RowWeights(force="like(group, 'ALC*') + count('N')", gas=["G_*"]).require_met(FRAMES)
    for given, said in (
        ({"force": "group == 'liquid'"}, "'liquid' is no group"),
        ({"force": "count('O')"}, "no frame has an atom of type 'O'"),
        ({"cycles": {"x*": 1}}, r"weights\.cycles\.x\*"), ({"gas": ["x*"]}, r"weights\.gas"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            RowWeights(**given).require_met(FRAMES)


def test_listed_weights_go_with_their_frames():
    values = np.arange(float(FRAMES.facts.n_rows.sum())) + 1.0
    listed = ListedWeights.of_frames(FRAMES, values, "w.dat")
    backwards = FRAMES[::-1]
    expected = np.concatenate([values[a:b] for a, b in zip(listed.starts[-2::-1], listed.starts[:0:-1], strict=True)])
    assert listed.of(backwards).tolist() == expected.tolist()
    part = pickle.loads(pickle.dumps(RowWeights(energy=2.0, listed=listed).restricted(FRAMES[2:4]))).of(FRAMES[2:4])
    double = np.array([2.0 if kind == "energy" else 1.0 for kind, *_ in rows_of(FRAMES[2:4])])
    assert part.tolist() == (values[listed.starts[2] : listed.starts[4]] * double).tolist()
    other = FrameList(random_frames({"C": 1}, seed=9))
    with pytest.raises(InputError, match=r"w\.dat: .* is none of the 7 frames"):
        listed.of(other)
    twice = FRAMES + FRAMES[:1]
    with pytest.raises(InputError, match=r"equals .* and has other weights"):
        ListedWeights.of_frames(twice, np.arange(float(twice.facts.n_rows.sum())), "w.dat")


def test_the_digest_is_of_all_that_weights_follow_from():
    listed = ListedWeights.of_frames(FRAMES, np.ones(int(FRAMES.facts.n_rows.sum())), "w.dat")
    given = [
        {},
        {"force": 2.0},
        {"force": "2"},
        {"energy": 2.0},
        {"cycles": {"a": 1}},
        {"gas": ["x"]},
        {"listed": listed},
    ]
    assert len({RowWeights(**g).digest for g in given}) == len(given)
    assert RowWeights(force="n_atoms").digest == RowWeights(force="n_atoms").digest
