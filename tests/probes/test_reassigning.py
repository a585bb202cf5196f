"""Probe structures from frames of single elements: volumes, compositions and contacts against what is said of them."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import random_frame, small_basis

from hiertl_dist import Dataset, Frame, InputError, executor, reassigned_frames
from hiertl_dist.probes.compositions import atom_counts, even_compositions
from hiertl_dist.probes.contacts import closest_contacts, contact_limits, kept_apart, nearest_distances, shortest_fitted
from hiertl_dist.probes.probe_set import joined_probes
from hiertl_dist.probes.sources import natural, shared_out
from hiertl_dist.probes.structures import repeated, scaled
from hiertl_dist.probes.volumes import group_pattern, has_vacuum, size_of

SIZES = {"C": 1.0, "N": 1.15, "O": 0.9}


def pure_frames(elements="CNO", groups=("cold", "hot"), each=3):
    """Crystals of single elements, 12 atoms each, whose lattices are of different size by element."""
    frames = []
    for k, e in enumerate(elements):
        for g, group in enumerate(groups):
            for i in range(each):
                frame = random_frame((e,), (k, g, i), group=f"{e}_{group}")
                frames.append(replace(
                    frame, positions=frame.positions * SIZES[e], cell=frame.cell * SIZES[e], origin=f"{e} {g} {i}"
                ))  # fmt: skip
    return frames


FRAMES = pure_frames()
BY_ORIGIN = {f.origin: f for f in FRAMES}


def mean_volumes(group):
    """Oracle: mean volume an atom of the frames of an element in a group, which all fill space."""
    return {
        e: np.mean([f.volume / len(f) for f in FRAMES if f.elements == {e} and f.group == f"{e}_{group}"])
        for e in SIZES
    }  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(
    st.sets(st.sampled_from("CNO"), min_size=2), st.integers(1, 9), st.integers(0, 2**40), st.sampled_from([1, 16, 40])
)
def test_volumes_are_mixed_and_every_element_is_there(elements, count, seed, least):
    made = reassigned_frames(FRAMES, elements, count, seed=seed, least_atoms=least, group="mine")
    assert len(made.frames) == len(made.sources) == count
    for frame, source in zip(made.frames, made.sources, strict=True):
        assert frame.elements == set(elements)
        assert frame.energy is frame.forces is frame.stress is frame.labels is None
        assert frame.group == "mine"
        assert len(frame) >= least
        taken = BY_ORIGIN[source.origin]
        volumes = mean_volumes(source.group.partition("_")[2])
        mixed = sum(n / len(frame) * volumes[e] for e, n in Counter(frame.species).items())
        wanted = taken.volume / len(taken) * mixed / volumes[source.element] * source.stretch**3
        assert frame.volume / len(frame) == pytest.approx(wanted, rel=1e-12)
        # the same places but for their size: of the first copy, all of them
        assert np.allclose(frame.positions[:12], taken.positions * source.scale * source.stretch, rtol=1e-12)
        for pair, r in closest_contacts(frame).items():
            assert r >= made.limits[pair]
    of = Counter(s.element for s in made.sources)
    assert max(of.values()) - min(of.get(e, 0) for e in elements) <= 1
    for e in elements:
        groups = Counter(s.group for s in made.sources if s.element == e)
        assert max(groups.values(), default=0) - min(groups.get(f"{e}_{g}", 0) for g in ("cold", "hot")) <= 1


@settings(max_examples=8, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 100))
def test_the_order_of_frames_and_their_labels_have_no_influence(random, seed):
    mixed = [*FRAMES, random_frame(("C", "N"), 5)]
    random.shuffle(mixed)
    mixed = [f.without_labels(forces=random.random() < 0.5) for f in mixed]
    ours, theirs = (reassigned_frames(f, "CNO", 5, seed=seed) for f in (FRAMES, mixed))
    assert [f.digest for f in ours.frames] == [f.digest for f in theirs.frames]
    assert ours.notes == theirs.notes
    other = reassigned_frames(FRAMES, "CNO", 5, seed=seed + 1)
    assert {f.digest for f in ours.frames}.isdisjoint(f.digest for f in other.frames)


def test_frames_of_a_data_set_are_taken_as_those_of_a_list(tmp_path):
    stored = Dataset.create(tmp_path / "data", FRAMES, executor=executor("serial"))
    assert [f.digest for f in reassigned_frames(stored, "CN", 4).frames] == [
        f.digest for f in reassigned_frames(FRAMES, "CN", 4).frames
    ]


# ---- compositions


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(2, 5), st.integers(0, 1000))
def test_compositions_cover_all_parts(count, elements, seed):
    shares = even_compositions(count, elements, np.random.default_rng(seed))
    assert np.allclose(shares.sum(axis=1), 1.0)
    assert (shares >= 0.0).all()
    # of the first element, one in each of as many equally likely parts
    likely = 1.0 - (1.0 - shares[:, 0]) ** (elements - 1)
    assert sorted(np.floor(likely * count).astype(int).tolist()) == list(range(count))
    for own in shares:
        counts = atom_counts(own, 12)
        assert counts.sum() == 12
        assert counts.min() >= 1
        assert (np.abs(counts - 1 - own * (12 - elements)) < 1.0).all()


def test_many_elements_meet_in_every_region():
    shares = even_compositions(60, 3, np.random.default_rng(0))
    assert {int(s.argmax()) for s in shares if s.max() > 0.7} == {0, 1, 2}
    assert any(s.max() < 0.45 for s in shares)
    assert all((s < 0.1).any() for s in shares.T)


@given(st.integers(1, 40), st.integers(1, 12), st.floats(0.0, 0.999))
def test_turns_are_even(count, among, shift):
    turns = Counter(shared_out(count, among, shift))
    assert set(turns) <= set(range(among))
    assert max(turns.values()) - min(turns.get(i, 0) for i in range(among)) <= 1


# ---- sizes, contacts, and frames that are odd


def slab(element="C", origin="slab"):
    """A crystal with 12 Å of vacuum, in a cell that is said to repeat in three directions."""
    frame = random_frame((element,), 7)
    cell = frame.cell + np.diag([0.0, 0.0, 12.0])
    return Frame(frame.species, frame.positions, cell, group=f"{element}_slab", origin=origin)


def brute_nearest(frame):
    """Oracle: the nearest neighbour of each atom, its own images among them."""
    shifts = np.array(list(itertools.product(*(range(-2, 3) if p else (0,) for p in frame.pbc)))) @ (
        np.zeros((3, 3)) if frame.cell is None else frame.cell
    )
    apart = frame.positions[:, None, None] - frame.positions[None, :, None] - shifts
    r = np.linalg.norm(apart, axis=-1)
    return np.where(r > 0.0, r, np.inf).min(axis=(1, 2))


@pytest.mark.parametrize("frame", [FRAMES[0], slab(), Frame(("C", "C", "C"), np.diag([0.0, 3.5, 9.0]))])
def test_nearest_neighbours(frame):
    assert np.allclose(nearest_distances(frame), brute_nearest(frame))


def test_an_atom_alone_has_none():
    assert np.isinf(nearest_distances(Frame(("C",), [[0.0, 0.0, 0.0]], np.eye(3) * 30.0))).all()


def test_vacuum_is_seen_whatever_the_cell_says():
    assert not any(has_vacuum(f, 1.5) for f in FRAMES)
    assert has_vacuum(slab(), 1.5)
    assert has_vacuum(replace(FRAMES[0], stress=None, pbc=(True, True, False)), 1.5)
    graphite = Frame(("C",) * 2, [[0, 0, 0], [0, 0, 3.35]], np.diag([1.42, 1.42, 6.7]))
    assert not has_vacuum(graphite, 1.42)
    assert np.isnan(size_of(slab()).volume)
    assert not size_of(slab()).dense


def test_frames_with_vacuum_are_scaled_but_make_no_means():
    made = reassigned_frames([*FRAMES, slab()], "CN", 12)
    assert "1 frame with vacuum scaled like others, but no part of mean volumes: C C_slab 1" in made.notes
    (source,) = {s.group: s for s in made.sources if s.origin == "slab"}.values()
    assert np.isnan(source.volume)
    # its group has no counterpart, so the means of all groups are mixed; the slab is no part of them
    frame = made.frames[made.sources.index(source)]
    volumes = {e: np.mean([mean_volumes(g)[e] for g in ("cold", "hot")]) for e in "CN"}
    share = frame.species.count("N") / len(frame)
    assert source.scale == pytest.approx(((1 - share) + share * volumes["N"] / volumes["C"]) ** (1 / 3), rel=1e-12)
    without = reassigned_frames([*FRAMES, slab()], "CN", 12, vacuum=False)
    assert "slab" not in {s.origin for s in without.sources}
    assert "1 frame with vacuum passed over: C C_slab 1" in without.notes
    assert "probes" in repr(made) or "probe structures" in repr(made)
    assert made.as_dict()["frames"][made.sources.index(source)]["made_of"]["volume"] is None


def test_molecules_are_scaled_by_distances():
    def molecule(element, r, i):
        return Frame((element,) * 3, [[0, 0, 0], [r, 0, 0], [0, r, 0]], group="gas", origin=f"{element}{i}")

    frames = [molecule("C", 1.4 + 0.01 * i, i) for i in range(3)] + [molecule("N", 1.1, 0)]
    frames += [Frame(("N",), [[0, 0, 0]], group="atom"), Frame(("N", "N"), [[0, 0, 0], [1.1, 0, 0]], group="two")]
    made = reassigned_frames(frames, "CN", 4)
    cubes = {"C": np.mean([(1.4 + 0.01 * i) ** 3 for i in range(3)]), "N": 1.1**3}
    for frame, source in zip(made.frames, made.sources, strict=True):
        mixed = sum(cubes[e] * n for e, n in Counter(frame.species).items()) / len(frame)
        if source.group == "gas":
            assert source.scale == pytest.approx((mixed / cubes[source.element]) ** (1 / 3))
    assert "1 frame whose atoms have no neighbours passed over: N atom 1" in made.notes
    made = reassigned_frames([*frames, molecule("O", 1.2, 0)], "CNO", 3)
    assert "1 frame with fewer atoms than there are elements passed over: N two 1" in made.notes
    with pytest.raises(InputError, match="only distances of neighbours can be mixed, and volumes are given of N"):
        reassigned_frames(frames, "CN", 4, volumes={"N": 8.0})


@given(st.integers(1, 60))
@settings(max_examples=10, deadline=None)
def test_repeated_frames_are_the_same_crystal(atoms):
    frame = replace(FRAMES[0], stress=None, pbc=(True, False, True), cell=np.diag([2.0, 30.0, 9.0]))
    large = repeated(frame, atoms)
    assert len(large) >= atoms
    assert len(large) < atoms + 2 * len(frame) or len(large) == len(frame)
    assert large.cell[1] == pytest.approx(frame.cell[1])
    assert sorted(nearest_distances(large)) == pytest.approx(
        sorted(np.tile(nearest_distances(frame), len(large) // len(frame)))
    )


def test_atoms_are_kept_apart():
    frame = scaled(FRAMES[0], 1.0, origin="x", species=("C", "N") * 6)
    close = closest_contacts(frame)
    apart = kept_apart(frame, {pair: 1.03 * r for pair, r in close.items()})
    assert apart.stretch == pytest.approx(1.03)
    assert all(r >= 1.03 * close[pair] for pair, r in apart.closest.items())
    assert np.allclose(apart.frame.cell, 1.03 * frame.cell)
    assert kept_apart(frame, {"CN": 1.06 * close["CN"]}) is None
    assert kept_apart(frame, close).frame is frame


def test_limits_are_of_the_basis_and_of_shortest_distances():
    basis = small_basis(elements=("C", "N", "O"), rmin=0.9)
    limits = contact_limits(["C", "N"], {"CC": 1.0, "NN": 1.2}, basis)
    assert limits == pytest.approx({"CC": 1.0, "CN": 1.1, "NN": 1.2})
    assert contact_limits(["C", "N"], {"CC": 0.5, "CN": 0.7}, basis)["CN"] == pytest.approx(0.901)
    assert contact_limits(["C", "N"], {"CN": 1.3})["CN"] == 1.3
    assert contact_limits(["C", "N"], {"CC": 1.3}) == {"CC": 1.3}
    with pytest.raises(InputError, match="found none of F in it"):
        contact_limits(["C", "F"], {}, basis)
    coverage = {"C:CC": (1.2, 5.0), "CN:CC": (1.0, 5.0), "CN:CN": (1.1, 5.0), "CNO:CN": (1.05, 4.0)}
    assert shortest_fitted(coverage) == {"CC": 1.2, "CN": 1.05}


def test_probes_that_are_too_close_are_stretched_or_dropped_and_that_is_said():
    close = min(closest_contacts(f)["CC"] for f in FRAMES if f.elements == {"C"})
    made = reassigned_frames(FRAMES, "CN", 8, shortest={"CN": 1.6 * close})
    assert any(s.stretch > 1.0 for s in made.sources)
    assert len(made.frames) < 8
    assert any("stretched by up to" in note for note in made.notes)
    assert sum(int(n.split()[0]) for n in made.notes if "dropped" in n) == 8 - len(made.frames)
    assert all(r >= made.limits[pair] for f in made.frames for pair, r in closest_contacts(f).items())
    with pytest.raises(InputError, match=r"probes of CN: no probe could be made: .*dropped"):
        reassigned_frames(FRAMES, "CN", 8, basis=small_basis(rmin=3.5, rmax=6.0, three_body={"rmin": 3.5, "rmax": 4.7},
                                                             four_body={"rmin": 3.5, "rmax": 4.4}))  # fmt: skip


def test_lattices_stand_for_an_element_without_frames():
    made = reassigned_frames(FRAMES, ["C", "Na"], 6, volumes={"Na": 20.0})
    own = [(f, s) for f, s in zip(made.frames, made.sources, strict=True) if s.element == "Na"]
    assert len(own) == 3
    assert {s.origin.split()[0] for _, s in own} <= {"bcc", "fcc", "hcp"}
    assert all(f.elements == {"C", "Na"} for f in made.frames)
    assert any(note.startswith("Na: no frame of Na alone") for note in made.notes)
    # one frame of C looks like another and counts once
    twice = reassigned_frames(FRAMES[:1] * 3, ["C", "Na"], 4, volumes={"Na": 20.0})
    assert "1 probe made of a frame that another is made of, with other elements" in twice.notes
    both = joined_probes([made, twice])
    assert len(both) == len(made) + len(twice)
    assert both.limits["CC"] == max(made.limits["CC"], twice.limits["CC"])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"elements": "C"}, "expected 2 different elements or more, found 'C'"),
        ({"elements": "CW"}, "nothing is known of the volume of W: expected frames of the element alone"),
        ({"count": 0}, "expected count to be an integer of at least 1, found 0"),
        ({"seed": -1}, "expected seed to be an integer of at least 0, found -1"),
        ({"volumes": {"C": float("nan")}}, "expected a volume of C above 0 Å³ an atom, found nan"),
    ],
)
def test_what_cannot_be_made_is_refused(how, message):
    with pytest.raises(InputError, match=message):
        reassigned_frames(FRAMES, **({"elements": "CN", "count": 3} | how))


def test_names_of_groups():
    assert group_pattern("Mo_AIMD", "Mo") == "*_AIMD"
    assert group_pattern("Cu_C", "C") == "Cu_*"
    assert group_pattern("cold", "C") == "cold"
    assert sorted(["T3000", "T300", "U", "T1e3"], key=natural) == ["T1e3", "T300", "T3000", "U"]
