"""Folds: balanced, the same whatever the order, kept when frames are added, groups and configurations together."""

from __future__ import annotations

import json
import tomllib
from collections import Counter

import folds_oracle
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from summary_store_script import Told, recorded

from hiertl_dist import Frame
from hiertl_dist.dataset import draws
from hiertl_dist.dataset.folds import Folds, assign_folds
from hiertl_dist.dataset.systems import matches, systems_in_folds
from hiertl_dist.errors import InputError
from hiertl_dist.frames.frame_sequence import sequence_of

SPECIES = (("C",), ("N",), ("C", "N"), ("C", "C", "C", "N"))


def frame(number, kind=0, group="all", shared=False, energy=None):
    """Frame ``number`` of a composition; equal arguments make equal frames.

    Groups have configurations of their own, but those that are ``shared``, which are the same in every group.
    """
    species = SPECIES[kind]
    own = 0 if group == "all" else 1 + int.from_bytes(group.encode())
    at = np.arange(3.0 * len(species)).reshape(-1, 3) + 1e-3 * number + (-50 if shared else 10 * own)
    energy = float(number) if energy is None else energy
    return Frame(species, at, energy=energy, group=group, origin=f"frame {number} of {'-'.join(species)}")


def some(*counts, group="all"):
    """So many frames of each composition."""
    return [frame(i, kind, group) for kind, count in enumerate(counts) for i in range(count)]


def assigned(frames, folds, *known):
    """The fold of each frame, given records of known ones."""
    return assign_folds(frames, folds, known).tolist()


def known_of(frames, folds, **changed):
    """Records of frames that are known in some folds, each once."""
    told = {
        f.digest: Told(f.digest, fold, f.origin, f.group, f.composition, f.configuration)._replace(**changed)
        for f, fold in zip(frames, folds, strict=True)
    }
    return recorded(*told.values())[0]


def table(frames, found, count):
    """(fold × composition) numbers of frames, one row a composition."""
    names = sorted({f.composition for f in frames})
    return {n: [sum(f.composition == n and k == fold for f, k in zip(frames, found, strict=True))
                for fold in range(count)] for n in names}  # fmt: skip


def spread(numbers):
    return max(numbers) - min(numbers)


def totals(found, count):
    return [found.count(fold) for fold in range(count)]


counts = st.lists(st.integers(0, 14), min_size=1, max_size=4)


@given(counts, st.integers(2, 6), st.integers(0, 10**6))
@settings(deadline=None, max_examples=30)
def test_each_composition_and_all_frames_are_spread_evenly(numbers, count, seed):
    frames = some(*numbers)
    assume(len(frames) >= count)
    found = assigned(frames, Folds(count, seed=seed))
    assert all(spread(row) <= 1 for row in table(frames, found, count).values())
    assert spread(totals(found, count)) <= 1
    assert set(found) == set(range(count))


@given(counts, st.integers(2, 6), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_without_strata_all_frames_are_spread_evenly(numbers, count, seed):
    frames = some(*numbers)
    assume(len(frames) >= count)
    assert spread(totals(assigned(frames, Folds(count, seed=seed, stratify=False)), count)) <= 1


def test_without_strata_compositions_are_left_to_chance():
    frames = some(40, 40)
    rows = [table(frames, assigned(frames, Folds(4, seed=seed, stratify=False)), 4)["C"] for seed in range(6)]
    assert any(spread(row) > 1 for row in rows)


def units_of(frames, folds):
    """What has to be in one fold: lists of numbers of frames. By asking every pair again until nothing changes."""
    unit = list(range(len(frames)))
    labels = [i if folds.split == "frame" else folds_oracle.label_of(f.group, f.composition, folds)
              for i, f in enumerate(frames)]  # fmt: skip

    def together(i, j):
        return frames[i].configuration == frames[j].configuration or labels[i] == labels[j]

    changed = True
    while changed:
        changed = False
        for i in range(len(frames)):
            for j in range(i):
                if unit[i] != unit[j] and together(i, j):
                    unit[i] = unit[j] = min(unit[i], unit[j])
                    changed = True
    return [[i for i, u in enumerate(unit) if u == least] for least in sorted(set(unit))]


# some configurations in several groups, with the same label or another
datasets = st.lists(
    st.builds(
        frame, st.integers(0, 12), st.integers(0, 3), st.sampled_from("abcde"), st.sampled_from([False] * 9 + [True]),
        st.sampled_from([None, None, 1.0]),
    ),
    min_size=8, max_size=40,
)  # fmt: skip


splits = st.sampled_from([
    ("frame", None), ("group", None), ("system", None), ("system", "elements"),
    ("system", {"one": ["a", "b"], "two": "[cd]", "three": "*"}),
])  # fmt: skip


@given(datasets, splits, st.booleans(), st.integers(0, 99), st.randoms())
@settings(deadline=None, max_examples=40)
def test_the_order_of_the_frames_does_not_matter(frames, split, stratify, seed, random):
    folds = Folds(2, split[0], seed, stratify, split[1])
    units = units_of(frames, folds)
    assume(len(units) > 1)
    found = assigned(frames, folds)
    order = list(range(len(frames)))
    random.shuffle(order)
    assert assigned([frames[i] for i in order], folds) == [found[i] for i in order]
    assert set(found) == {0, 1}
    assert all(len({found[i] for i in unit}) == 1 for unit in units)


@given(datasets, datasets, splits, st.booleans(), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_what_is_known_stays_when_frames_are_added(old, new, split, stratify, seed):
    folds = Folds(2, split[0], seed, stratify, split[1])
    assume(len(units_of(old, folds)) > 1)
    before = assigned(old, folds)
    known = known_of(old, before)
    units = units_of([*new, *old], folds)
    settled = [{before[i - len(new)] for i in unit if i >= len(new)} for unit in units]
    if max(map(len, settled)) > 1:
        # what is new ties together what is in two folds
        for given in ([*new, *old], new):
            with pytest.raises(InputError, match=r"in one fold, found .* known in fold 0 and .* known in fold 1"):
                assigned(given, folds, known)
        return
    after = assigned([*new, *old], folds, known)
    assert after[len(new) :] == before
    assert all(len({after[i] for i in unit}) == 1 for unit in units)
    alone = assigned(new, folds, known)
    for unit, folds_of in zip(units, settled, strict=True):
        assert len({alone[i] for i in unit if i < len(new)} | folds_of) == 1
    if len({f.digest for f in old}) == len(old) and not {f.digest for f in old} & {f.digest for f in new}:
        # frames at hand and frames of which only the composition is known count alike
        assert alone == after[: len(new)]


def test_new_frames_fill_up_what_has_fewest_of_their_composition():
    old = some(10, 10)
    folds = [0 if f.composition == "C" else 1 for f in old]
    known = known_of(old, folds)
    new = [frame(100 + i, kind) for i in range(10) for kind in (0, 1)]
    after = table([*old, *new], assigned([*old, *new], Folds(2), known), 2)
    assert after == {"C": [10, 10], "N": [10, 10]}
    assert table(new, assigned(new, Folds(2), known), 2) == {"C": [0, 10], "N": [10, 0]}
    # of known frames of another composition only the number counts
    unlike = known_of(old, folds, composition="")
    assert totals(assigned(new, Folds(2), unlike), 2) == [10, 10]
    lopsided = known_of(old[:10], [0] * 9 + [1], composition="")
    assert totals(assigned([frame(100 + i, 3) for i in range(9)], Folds(2), lopsided), 2) == [4, 5]
    many = known_of([frame(200 + i) for i in range(31)], [0] * 30 + [1])
    assert totals(assigned(some(9, 9), Folds(2, stratify=False), many), 2) == [0, 18]


def test_groups_stay_together_and_are_spread_by_composition():
    sizes = {"C": [8, 7, 6, 5, 4, 3, 3], "N": [9, 2, 2, 2, 1]}
    frames = []
    for kind, (name, own) in enumerate(sizes.items()):
        for g, size in enumerate(own):
            frames += [frame(i, kind, f"{name}{g}") for i in range(size)]
    found = assigned(frames, Folds(3, "group"))
    assert len({(f.group, fold) for f, fold in zip(frames, found, strict=True)}) == 12
    rows = table(frames, found, 3)
    # largest first into the emptiest: 8 + 3 + 3, 7 + 4, 6 + 5 and 9, 2 + 2, 2 + 1
    assert sorted(rows["C"]) in ([11, 11, 14], [11, 12, 13])
    assert sorted(rows["N"]) == [3, 4, 9]


def test_a_group_may_hold_several_compositions():
    frames = [frame(i, kind, f"t{g}") for g in range(6) for kind in range(3) for i in range(4 + (g % 2))]
    found = assigned(frames, Folds(3, "group"))
    assert len({(f.group, fold) for f, fold in zip(frames, found, strict=True)}) == 6
    assert all(row == [9, 9, 9] for row in table(frames, found, 3).values())


def test_rare_compositions_weigh_as_much_as_common_ones():
    # the last group has to choose: a fold with all of the many common frames, or one with all of the few rare ones
    frames = [frame(i, 0, "a") for i in range(50)] + [frame(i, 1, "b") for i in range(6)]
    frames += [frame(100 + i, 0, "c") for i in range(2)] + [frame(100 + i, 1, "c") for i in range(3)]
    found = dict(zip((f.group for f in frames), assigned(frames, Folds(2, "group")), strict=True))
    assert found["a"] != found["b"]
    # 2 × 50/50 of the common against 3 × 6/6 of the rare
    assert found["c"] == found["a"]


def test_folds_are_never_empty_where_there_are_enough():
    # one group of each composition: any fold is as good by composition, and the empty one is taken
    frames = [frame(i, kind, f"g{kind}") for kind in range(4) for i in range(1 + 5 * kind)]
    assert sorted(set(assigned(frames, Folds(4, "group")))) == [0, 1, 2, 3]


def test_seeds_differ_and_a_seed_says_it_all():
    frames = some(20, 20)
    found = [tuple(assigned(frames, Folds(5, seed=seed))) for seed in range(8)]
    assert len(set(found)) == 8
    assert found == [tuple(assigned(frames, Folds(5, seed=seed))) for seed in range(8)]
    # fixed for good: factors of rows are kept by fold
    assert assigned(some(7), Folds(3)) == [2, 0, 1, 0, 2, 0, 1]


def test_identical_frames_share_a_fold():
    frames = [*some(6, 6), *some(6), frame(3), frame(3)]
    found = assigned(frames, Folds(4))
    by_digest = Counter((f.digest, fold) for f, fold in zip(frames, found, strict=True))
    assert len(by_digest) == len({f.digest for f in frames})
    # four copies of frame 3 weigh as four frames
    assert table(frames, found, 4)["C"].count(4) >= 1
    assert spread(table(frames, found, 4)["C"]) <= 2


def test_too_few_frames_or_groups_are_refused():
    with pytest.raises(InputError, match="at least 5 frames to divide, found 4"):
        assigned(some(4), Folds())
    with pytest.raises(InputError, match="at least 5 frames to divide, found 4"):
        assigned([*some(4), *some(4)], Folds())
    with pytest.raises(InputError, match="at least 3 groups to divide, found 2"):
        assigned([*some(9), *some(9, group="b")], Folds(3, "group"))
    with pytest.raises(InputError, match="found 0"):
        assigned([], Folds())
    # frames that are known count too
    assert assigned([frame(9)], Folds(), known_of(some(5), range(5)))[0] in range(5)
    known = known_of([frame(1, 0, "a"), frame(1, 0, "b")], [0, 1])
    assert assigned([frame(9, 0, "c")], Folds(3, "group"), known) == [2]


def test_a_fold_that_would_be_empty_is_refused():
    known = known_of(some(10), [0] * 10)
    with pytest.raises(InputError, match=r"each of 5 folds, found none in \d, \d: .* too few new frames"):
        assigned([frame(50), frame(51)], Folds(), known)
    assert sorted(assigned([frame(50 + i) for i in range(4)], Folds(), known)) == [1, 2, 3, 4]


def test_known_folds_that_contradict_are_refused():
    old = some(4, group="a")
    text = r"group 'a' in one fold, found frame 0 of C of group 'a' known in fold 0 and "
    with pytest.raises(InputError, match=text + r"frame 1 of C of group 'a' known in fold 1"):
        assigned(old, Folds(2, "group"), known_of(old[:2], [0, 1]))
    with pytest.raises(InputError, match=text + r"group 'a' known in fold 1"):
        assigned(old, Folds(2, "group"), known_of([frame(9, 0, "a"), old[0]], [1, 0]))
    for wrong in (5, -1):
        with pytest.raises(InputError, match=rf"frame '{old[0].digest}' is known to be in fold {wrong}, of 0 … 4"):
            assigned(old, Folds(), known_of(old[:1], [wrong]))


def test_a_new_frame_of_a_known_group_follows_it():
    known = known_of([frame(9, 0, name) for name in "abc"], [0, 1, 1])
    new = [frame(i, 0, name) for name in "abcd" for i in range(3)]
    assert assigned(new, Folds(2, "group"), known) == [0] * 3 + [1] * 6 + [0] * 3
    # by frame, groups have no say
    assert sorted(totals(assigned(new, Folds(2), known), 2)) in ([5, 7], [6, 6])


# ---- with a text for every frame


def said_of(assign, *arguments):
    """The folds, or why there are none."""
    try:
        return assign(*arguments)
    except InputError as error:
        return str(error)


known_words = st.fixed_dictionaries(
    {}, optional={"composition": st.just(""), "configuration": st.just("")}
)  # as stores of long ago have them


@given(
    datasets, datasets, st.integers(0, 30), st.integers(2, 4), splits, st.booleans(), st.integers(0, 99), known_words,
    st.sampled_from([8, 1, 0]),
)  # fmt: skip
@settings(deadline=None)
def test_folds_are_those_of_texts(old, new, repeated, count, split, stratify, seed, words, head):
    """From nothing, and where a store grows by frames, be they new or known, again and again; whatever is drawn alike.

    Frames that were assigned stay, so that what groups and configurations say agrees, as a store makes sure.
    """
    folds = Folds(count, split[0], seed, stratify, split[1])
    if split[0] == "system":  # stores of long ago have no systems
        words = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draws, "HEAD", head)
        patch.setattr(draws, "CHUNK", 7)
        known = {}
        for frames in (old, [*old[: repeated % len(old)], *new], new):
            told = known.values()
            expected = said_of(
                folds_oracle.assign_folds, frames, folds, {t.digest: t.fold for t in told},
                {folds_oracle.label_of(t.group, t.composition, folds): t.fold for t in told},
                {t.digest: t.composition for t in told}, {t.configuration: t.fold for t in told if t.configuration},
            )  # fmt: skip
            parts = recorded(*list(told)[:5]) + recorded(*list(told)[5:])
            found = said_of(assigned, frames, folds, *parts)
            assert found == expected
            if isinstance(found, str):
                return
            for f, fold in zip(frames, found, strict=True):
                own = Told(f.digest, fold, f.origin, f.group, f.composition, f.configuration)._replace(**words)
                known.setdefault(f.digest, own)


# ---- systems


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), min_size=3, max_size=12), st.integers(2, 5))
@settings(deadline=None, max_examples=30)
def test_systems_of_an_element_set_are_in_different_folds(systems, count):
    """So that its block can be cross-validated; of as many folds as there are systems, at most all."""
    names = {f"s{i}": kind for i, (kind, _) in enumerate(systems)}
    frames = [frame(k, kind, f"s{i}") for i, (kind, n) in enumerate(systems) for k in range(n)]
    assume(len(names) >= count)
    folds = Folds(count, "system", system=list(names))
    places = dict(zip((f.group for f in frames), assigned(frames, folds), strict=True))
    of_sets = [{0: "C", 1: "N", 2: "CN", 3: "CN"}[kind] for kind in names.values()]
    for own in set(of_sets):
        of_own = [places[name] for name, other in zip(names, of_sets, strict=True) if other == own]
        assert len(set(of_own)) == min(len(of_own), count)


def test_a_composition_is_a_system_whatever_the_number_of_atoms():
    """Of a single element each group is one, for it has a single composition."""
    large = [Frame(("C", "N") * 4, 1.0 * k + np.arange(24.0).reshape(8, 3), energy=1.0, group="x") for k in range(3)]
    frames = [*some(0, 0, 4, 3), *large, *some(3, group="x"), *some(2, group="y"), *some(0, 2, group="x")]
    folds = Folds(5, "system")
    found = assigned(frames, folds)
    labels = folds.labels(sequence_of(frames).facts)
    assert labels.names == ("C50N50", "C75N25", "C (x)", "C (y)", "N (x)")
    contents = systems_in_folds(labels, np.array(found), 5)
    assert sorted(tuple(own.items()) for own in contents) == [
        (("C (x)", 3),), (("C (y)", 2),), (("C50N50", 7),), (("C75N25", 3),), (("N (x)", 2),)
    ]  # fmt: skip
    by_elements = Folds(2, "system", system="elements").labels(sequence_of(frames).facts)
    assert by_elements.names == ("CN", "C", "N")
    text = r"at least 9 systems to divide, found 3 \(C, CN, N\), where systems that share a configuration count as one"
    with pytest.raises(InputError, match=text):
        assigned(frames, Folds(9, "system", system="elements"))


def test_known_folds_of_a_system_that_contradict_are_refused():
    old = [frame(1, 2, "a"), frame(2, 2, "b")]
    text = r"system 'C50N50' in one fold, found frame 1 of C-N of group 'a' known in fold 0 and frame 2 of C-N of group"
    with pytest.raises(InputError, match=text):
        assigned(old, Folds(2, "system"), known_of(old, [0, 1]))
    assert assigned([frame(3, 2, "c")], Folds(2, "system"), known_of([old[0], frame(1, 3)], [1, 0])) == [1]


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        ("*_{300..800}K", {"Mo_300K", "Mo_0800K", "Mo2_500K"}),
        ("*_{0.5..1}*", {"p_0.75", "p_1"}),
        ("{1..1}", {"1"}),
        ("*{0..9}*", {"1", "p_0.75", "p_1", "Mo2_500K"}),
        ("Mo?_*", {"Mo2_500K"}),
        ("*{2}*", set()),
    ],
)
def test_a_range_is_a_number_in_the_name_of_a_group(pattern, matching):
    groups = ("Mo_300K", "Mo_299K", "Mo_0800K", "Mo_801K", "Mo2_500K", "Mo_500K_b", "p_0.75", "p_1", "1", "x")
    assert {g for g in groups if matches(g, pattern)} == matching


def test_every_group_is_of_one_system():
    frames = [frame(i, 0, name) for i, name in enumerate(("M_300K", "M_900K", "M_1500K", "slab"))]
    ranges = {"cold": "*_{0..500}K", "hot": ["*_{501..1999}K", "never"]}
    with pytest.raises(InputError, match=r"group 'slab' matches no pattern of cold, hot; add one .*'\*'"):
        assigned(frames, Folds(2, "system", system=ranges))
    folds = Folds(3, "system", system={**ranges, "others": "*"})
    of_cold, *of_hot, of_slab = assigned(frames, folds)
    assert (len(set(of_hot)), {of_cold, *of_hot, of_slab}) == (1, {0, 1, 2})
    with pytest.raises(InputError, match=r"'M_300K' matches '\*_\{0..500\}K' of system 'cold' and 'M_3\*' of 'low'"):
        assigned(frames, Folds(2, "system", system={**ranges, "others": "*", "low": "M_3*"}))


# ---- configurations


@pytest.mark.parametrize("split", ["frame", "group"])
@pytest.mark.parametrize("energy", [None, 7.5], ids=["equal labels", "another label"])
def test_a_configuration_in_two_groups_is_in_one_fold(split, energy):
    """Whatever the seed: the same positions in groups a and b; with groups together c follows b, d and e are alone."""
    a, b = frame(1, 0, "a", True), frame(1, 0, "b", True, energy)
    assert a.digest != b.digest
    others = [frame(i, 0, name) for i in range(3) for name in "abcde"]
    frames = [a, *others, b, frame(2, 1, "b", True), frame(2, 1, "c", True, energy)]
    for seed in range(12):
        found = assigned(frames, Folds(2, split, seed))
        folds = {}
        for f, fold in zip(frames, found, strict=True):
            folds.setdefault(f.configuration, set()).add(fold)
            folds.setdefault(f.group, set()).add(fold)
        assert all(len(folds[f.configuration]) == 1 for f in frames)
        if split == "group":
            assert folds["a"] == folds["b"] == folds["c"] != folds["d"] == folds["e"]
        # the same when b comes later, given what is known with a or without
        first = [f for f in frames if f.group != "b"]
        before = assigned(first, Folds(2, split, seed))
        if split == "group" and before[first.index(a)] != before[first.index(frames[-1])]:
            continue
        known, of_a = known_of(first, before), before[first.index(a)]
        assert assigned([b, a], Folds(2, split, seed), known) == [of_a, of_a]
        assert assigned([b], Folds(2, split, seed), known) == [of_a]


def test_what_ties_together_two_known_folds_is_refused():
    a, b = frame(1, 0, "a", True), frame(1, 0, "b", True)
    text = (r"frames of one configuration in one fold, found frame 1 of C of group 'a' known in fold 0 and "
            r"frame 1 of C of group 'b' known in fold 1")  # fmt: skip
    with pytest.raises(InputError, match=text):
        assigned([b, a, *some(4)], Folds(2), known_of([a, b], [0, 1]))
    text = (r"frames of one configuration in one fold, found frame 1 of C of group 'a' known in fold 0 and "
            r"the configuration of frame 1 of C of group 'a' known in fold 1")  # fmt: skip
    known = known_of([a], [0], configuration=""), known_of([b], [1], group="c")
    with pytest.raises(InputError, match=text):
        assigned([a, *some(4)], Folds(2), *known)
    text = (r"frames of groups 'a', 'b', which share configurations, in one fold, found "
            r"group 'b' known in fold 0 and group 'a' known in fold 1")  # fmt: skip
    with pytest.raises(InputError, match=text):
        assigned([a, b], Folds(2, "group"), known_of([frame(9, 0, "a"), frame(9, 0, "b")], [1, 0]))
    # by frame, groups have no say
    found = assigned([a, b, *some(3)], Folds(2), known_of([frame(9, 0, "a"), frame(9, 0, "b")], [1, 0]))
    assert found[0] == found[1]


def test_configurations_count_once():
    copies = [frame(1, 0, name, True) for name in "abc"]
    with pytest.raises(InputError, match="at least 2 frames to divide, found 1, where frames of one configuration"):
        assigned(copies, Folds(2))
    with pytest.raises(InputError, match="at least 3 groups to divide, found 2, where groups that share a config"):
        assigned([*copies, frame(2, 0, "d")], Folds(3, "group"))


def test_the_configuration_of_a_frame():
    def made(**new):
        table = {"species": ("C", "N"), "positions": [[0, 0, 0], [1, 2, 3]], "cell": 9 * np.eye(3), "energy": 1.0}
        return Frame(**(table | new))

    one = made().configuration
    for new in ({"energy": None}, {"group": "b"}, {"origin": "x"}, {"forces": np.ones((2, 3))}, {"stress": np.ones(6)}):
        assert made(**new).configuration == one
    assert made(positions=[[-0.0, 0, -0.0], [1, 2, 3]]).configuration == one
    others = [
        {"species": ("N", "C")}, {"species": ("CN", "C")}, {"cell": None}, {"cell": 8 * np.eye(3)},
        {"positions": [[0, 0, 0], [1, 2, np.nextafter(3, 4)]]}, {"positions": [[1, 2, 3], [0, 0, 0]]},
    ]  # fmt: skip
    assert len({made(**new).configuration for new in others} | {one}) == 1 + len(others)


def test_tables_are_read_back():
    folds = Folds(7, "group", 3, False)
    assert folds.as_dict() == {"count": 7, "split": "group", "seed": 3, "stratify": False}
    assert Folds.from_dict(json.loads(json.dumps(folds.as_dict()))) == folds
    assert Folds.from_dict(tomllib.loads('split = "group"\nseed = 3')) == Folds(split="group", seed=3)
    assert Folds.from_dict({}) == Folds()
    assert Folds(3, "system").as_dict()["system"] == "composition"
    folds = Folds.from_dict(tomllib.loads('split = "system"\n[system]\nhot = ["b*", "a*"]\ncold = "c*"'))
    assert folds.as_dict()["system"] == {"cold": ["c*"], "hot": ["a*", "b*"]}
    assert Folds.from_dict(json.loads(json.dumps(folds.as_dict()))) == folds
    assert hash(Folds(split="system", system=folds.system)) == hash(folds)
    listed = Folds(split="system", system=["c*", "a*"])
    assert listed == Folds(split="system", system={"a*": "a*", "c*": ["c*"]})


@pytest.mark.parametrize(
    ("given_table", "message"),
    [
        ({"count": 1}, r"folds\.count: expected an integer of at least 2, found 1"),
        ({"count": 2.0}, r"folds\.count: expected an integer of at least 2, found 2\.0"),
        ({"count": True}, r"folds\.count: expected an integer"),
        ({"seed": -1}, r"folds\.seed: expected an integer of at least 0, found -1"),
        ({"seed": "x"}, r"folds\.seed: .* found 'x'"),
        ({"split": "time"}, r"folds\.split: expected 'frame', 'group' or 'system', found 'time'"),
        ({"split": []}, r"folds\.split: .* found \[\]"),
        ({"stratify": 1}, r"folds\.stratify: expected true or false, found 1"),
        ({"split": "system", "system": "atoms"}, r"folds\.system: expected \"composition\", .*; found 'atoms'"),
        ({"split": "system", "system": {}}, r"folds\.system: expected .*; found \{\}"),
        ({"split": "system", "system": {"a": 5}}, r"folds\.system\.a: expected a pattern of groups, .* found 5"),
        ({"split": "system", "system": {"a": "x", "b": ["x"]}}, r"pattern 'x' is one of system 'a' and of 'b'"),
        (
            {"split": "system", "system": ["T{9..1}"]},
            r"expected a range that rises, such as \{300..800\}, in 'T\{9..1\}'",
        ),
        ({"system": "elements"}, r"folds\.system: expected folds.split = 'system' beside it, found 'frame'"),
        (
            {"number": 5},
            r"folds: unknown keys \['number'\]; known are \['count', 'seed', 'split', 'stratify', 'system'\]",
        ),
        (5, r"folds: expected a table, found 5"),
    ],
)
def test_tables_that_mean_nothing_are_refused(given_table, message):
    with pytest.raises(InputError, match=message):
        Folds.from_dict(given_table)
