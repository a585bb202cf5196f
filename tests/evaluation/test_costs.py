"""What evaluating a model is said to cost: counts of the loops against plain counting, and what makes it rise."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest
from synthetic import random_frame, random_frames, random_parameters, small_basis

from hiertl_dist import Frame, Model, blocks_of
from hiertl_dist.errors import FrameError
from hiertl_dist.evaluation import costs
from hiertl_dist.evaluation import coverage as coverage_module
from hiertl_dist.evaluation import frame_rows as tiles
from hiertl_dist.evaluation.compiled_basis import compile_recipe
from hiertl_dist.evaluation.costs import (
    EVALUATION_NANOSECONDS,
    ScannedFrames,
    evaluation_seconds,
    evaluation_turns,
    model_cost,
    scan_some,
)
from hiertl_dist.evaluation.frame_rows import FrameScan, scan_frame
from hiertl_dist.evaluation.kernels.moments import moment_layout

BASIS = small_basis((6, 5, 3))
FRAME = random_frame("CN", 3, atoms=16)
FRAMES = random_frames({"C": 4, "N": 3, "CN": 6})


def turns_of(frame, basis):
    recipe = compile_recipe(basis)
    return evaluation_turns(frame, scan_frame(frame, recipe), recipe)


def seconds_of(frame, basis):
    recipe = compile_recipe(basis)
    return evaluation_seconds(frame, scan_frame(frame, recipe), recipe)


def with_orders(basis, orders):
    return basis.with_types(replace(t, order=orders[t.body - 2]) if t.body > 1 else t for t in basis.types)


def without(basis, *names):
    return basis.with_types(t for t in basis.types if t.name not in names)


def directed_pairs(frame, cutoff):
    """(elements of both, how many) of directed pairs within a cutoff, every image looked at."""
    reach = int(np.ceil(cutoff / np.diag(frame.cell).min()))
    shifts = np.array(list(itertools.product(range(-reach, reach + 1), repeat=3))) @ frame.cell
    counts = {}
    for i, j in itertools.product(range(len(frame)), repeat=2):
        r = np.linalg.norm(frame.positions[j] + shifts - frame.positions[i], axis=1)
        key = frame.species[i], frame.species[j]
        counts[key] = counts.get(key, 0) + int(np.count_nonzero((r < cutoff) & (r > 0)))
    return counts


def test_pairs_and_roles_are_counted_as_the_kernels_meet_them():
    found = turns_of(FRAME, BASIS)
    two, three, four = (sum(directed_pairs(FRAME, r).values()) for r in (5.0, 4.7, 4.4))
    assert found["neighbour"] == two
    assert found["pair"] == pytest.approx(two / 2)
    assert found["centre pair"] == pytest.approx((three + four) / 2)
    assert found["edge"] == pytest.approx(5 * three + 3 * four)
    # a pair of any elements is in two types of three atoms and in three of four: C and N in CCN and CNN
    roles = {4.7: 2.0 * three / 2, 4.4: 3.0 * four / 2}
    assert found["role"] == pytest.approx(sum(roles.values()))
    sets = {body: moment_layout(body, n)[4] for body, n in ((3, 5), (4, 3))}
    assert found["dot"] == pytest.approx(roles[4.7] * 8 * sets[3] + roles[4.4] * 4 * sets[4])


def test_common_neighbours_are_estimated():
    crystal = np.argwhere(np.ones((4, 4, 4)))
    at = 1.7 * crystal + np.random.default_rng(5).uniform(-0.2, 0.2, crystal.shape)
    frame = Frame(("C",) * 64, at, 6.8 * np.eye(3))
    basis = small_basis((4, 4, 2), elements=("C",), rmin=0.5)
    found = turns_of(frame, basis)
    shifts = 6.8 * np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    images = (at[:, None] + shifts).reshape(-1, 3)

    def joined(a, b, cutoff):
        r = np.linalg.norm(a[:, None] - b[None], axis=2)
        return (r < cutoff) & (r > 1e-6)

    # the k that are neighbours of both atoms of a pair, whose two directions are counted once; and the k, l
    triplets, met = {4.7: 0.0, 4.4: 0.0}, 0.0
    for i in range(len(at)):
        for cutoff in (4.7, 4.4):
            near = images[joined(at[i : i + 1], images, cutoff)[0]]
            edges = joined(near, near, cutoff).astype(int)
            triplets[cutoff] += edges.sum() / 2
            if cutoff == 4.4:
                met += (edges.sum(axis=1) ** 2).sum() / 4
    xs, _, _, _, sets = moment_layout(4, 2)
    assert found["multiply"] == pytest.approx(triplets[4.7] * moment_layout(3, 4)[4] + triplets[4.4] * sets, rel=0.15)
    assert found["meeting"] == pytest.approx(met, rel=0.3)
    assert 0.2 < found["multiply 4"] / (found["meeting"] * 4 * xs) < 0.9


def test_the_check_of_distances_is_counted_by_its_looks(monkeypatch):
    basis = small_basis((4, 3, 2), elements=("C", "N", "O"), exclude=["CNO", "CCO"])
    frame = random_frame("CN", 1)
    blocks = {b.name: compile_recipe(basis, (b.name,)) for b in blocks_of(basis)}
    scan = scan_frame(frame, compile_recipe(basis), blocks)
    coverage = {key: span for key, span in scan.ranges.items() if not set(key.partition(":")[0]) - {"C", "N"}}
    model = Model(replace(random_parameters(basis), coverage=coverage))
    looks = []

    def counted(frame, recipe, near, real=tiles.joined_pairs):
        looks.append(1 + np.count_nonzero(np.triu(recipe.outer) > 0))
        return real(frame, recipe, near)

    monkeypatch.setattr(tiles, "joined_pairs", counted)
    monkeypatch.setattr(coverage_module, "joined_pairs", counted)
    model.evaluate(frame)
    assert sum(looks) == turns_of(frame, basis)["look"]


def test_every_loop_has_a_price():
    found = turns_of(FRAME, BASIS)
    assert set(found) == set(EVALUATION_NANOSECONDS)
    assert min(EVALUATION_NANOSECONDS.values()) > 0
    assert seconds_of(FRAME, BASIS) == pytest.approx(
        1e-9 * sum(EVALUATION_NANOSECONDS[loop] * number for loop, number in found.items())
    )


@pytest.mark.parametrize("body", [2, 3, 4])
def test_each_order_costs_more_than_the_one_below(body):
    costs_by_order = []
    for order in {2: range(2, 26), 3: range(2, 11), 4: range(2, 5)}[body]:
        orders = [8, 4, 2]
        orders[body - 2] = order
        costs_by_order.append(model_cost(with_orders(BASIS, orders), [FRAME]))
    assert np.all(np.diff(costs_by_order) > 0)


def test_each_cluster_type_costs_something():
    whole = model_cost(BASIS, [FRAME])
    many = [t.name for t in BASIS.types if t.body > 2]
    assert len(many) == 9
    for name in many:
        assert model_cost(without(BASIS, name), [FRAME]) < whole
    ladder = [model_cost(without(BASIS, *many[:k]), [FRAME]) for k in range(len(many) + 1)]
    assert np.all(np.diff(ladder) < 0)


def test_types_of_elements_that_a_frame_lacks_cost_nothing():
    carbon = random_frame("C", 2)
    only = seconds_of(carbon, BASIS.restricted(["C"]))
    both = seconds_of(carbon, BASIS)
    families = EVALUATION_NANOSECONDS["family"] * len(compile_recipe(BASIS).families)
    assert only == pytest.approx(both, abs=1e-9 * families)


def test_denser_frames_cost_more_and_labels_nothing():
    basis = small_basis((6, 5, 3), rmin=0.5)
    dense = replace(FRAME, positions=0.8 * FRAME.positions, cell=0.8 * FRAME.cell)
    assert seconds_of(dense, basis) > 1.5 * seconds_of(FRAME, basis)
    assert seconds_of(FRAME.without_labels(energy=True, forces=True, stress=True), basis) == seconds_of(FRAME, basis)


def test_a_molecule_and_a_lone_atom_have_a_cost():
    pair = Frame(("C", "N"), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.5]]))
    lone = Frame(("C",), np.zeros((1, 3)))
    assert 0 < seconds_of(lone, BASIS) < seconds_of(pair, BASIS) < seconds_of(FRAME, BASIS)


def test_the_clock_agrees_on_what_is_dear():
    cheap, dear = with_orders(BASIS, (3, 2, 2)), with_orders(BASIS, (12, 10, 4))
    cheap = without(cheap, *(t.name for t in cheap.types if t.body > 2))
    frame = random_frame("CN", 7, atoms=27)
    measured = []
    for basis in (cheap, dear):
        model, times = Model(random_parameters(basis)), []
        for _ in range(6):
            began = time.process_time()
            model.evaluate(frame)
            times.append(time.process_time() - began)
        measured.append(min(times[1:]))
    assert seconds_of(frame, dear) > 6 * seconds_of(frame, cheap)
    assert measured[1] > 3 * measured[0]


def test_a_scan_of_the_whole_basis_serves_those_reduced_from_it():
    scanned = scan_some(FRAMES, BASIS)
    # the same cutoffs: the same numbers
    lower = with_orders(BASIS, (4, 3, 2))
    assert model_cost(lower, scanned) == model_cost(lower, FRAMES)
    # three-body types of their own cutoffs, whose mean changes when some are left out
    special = small_basis((6, 5, 0), types={"CCC": {"rmax": 4.0}, "CNN": {"rmax": {"CN": 3.6}}})
    scanned, between = scan_some(FRAMES, special), 0
    for left_out in (["CCC"], ["CNN"], ["CCN", "NNN"], ["CCC", "CCN", "NNN"]):
        reduced = without(special, *left_out)
        assert model_cost(reduced, scanned) == pytest.approx(model_cost(reduced, FRAMES), rel=0.1)
        recipe, whole, frame = compile_recipe(reduced), scanned.scans[-1], scanned.frames[-1]
        own = scan_frame(frame, recipe)
        between += not set(own.overlap) <= set(whole.overlap)
        for loop, number in evaluation_turns(frame, own, recipe).items():
            assert evaluation_turns(frame, whole, recipe)[loop] == pytest.approx(number, rel=0.1)
    assert between > 0


def test_scans_that_do_not_fit_are_refused():
    recipe = compile_recipe(small_basis((4, 3, 2), three_body={"rmax": 4.1}))
    scan = scan_frame(FRAME, compile_recipe(BASIS))
    with pytest.raises(ValueError, match=r"CN 3: expected a scan with all edges.*C and C up to 4\.1 Å"):
        evaluation_seconds(FRAME, scan, recipe)
    other = scan_some([random_frame("C", 1)], small_basis(elements=("C", "O")))
    with pytest.raises(ValueError, match=r"elements \('C', 'N'\), found \('C', 'O'\)"):
        model_cost(BASIS, other)


def test_a_cost_is_the_mean_over_atoms():
    small, large = random_frame("CN", 1, atoms=9), random_frame("CN", 2, atoms=27)
    both = model_cost(BASIS, [small, large])
    assert both == pytest.approx((seconds_of(small, BASIS) + seconds_of(large, BASIS)) / 36)
    assert model_cost(BASIS, [small, large]) == both


def test_at_most_twenty_frames_are_scanned_evenly_spread(monkeypatch):
    seen = []

    def counted(frame, recipe):
        seen.append(frame)
        return FrameScan((), {}, dict.fromkeys(recipe.cutoffs, 0), {})

    monkeypatch.setattr(costs, "scan_frame", counted)
    frames = [FRAMES[k % len(FRAMES)] for k in range(95)]
    found = scan_some(frames, BASIS)
    assert isinstance(found, ScannedFrames)
    assert [*found.frames] == seen == frames[::5]
    assert len(scan_some(frames[:21], BASIS).frames) == 11
    assert len(scan_some(frames[:20], BASIS).frames) == 20
    assert len(scan_some(frames, BASIS, most=1).frames) == 1


def test_frames_that_can_not_be_scanned_are_refused():
    with pytest.raises(ValueError, match="at least one frame"):
        model_cost(BASIS, [])
    with pytest.raises(FrameError, match=r"O 1: O not among the elements"):
        model_cost(BASIS, [random_frame("O", 1)])
