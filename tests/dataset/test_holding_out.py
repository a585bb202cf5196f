"""Frames that are held out: by group, a fraction, every n-th; the same on every machine, and as many as asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from job_files import write_job
from synthetic import random_frame

from hiertl_dist import hold_out
from hiertl_dist.dataset import draws
from hiertl_dist.dataset.draws import drawn
from hiertl_dist.dataset.holding_out import NEIGHBOURS
from hiertl_dist.errors import InputError
from hiertl_dist.jobs.input_file import Input

few = settings(derandomize=True, deadline=None, max_examples=30, database=None)


def frames_of(**groups):
    """Frames with energies by group and elements: ``frames_of(a="C C CN")``."""
    sets = {"C": ("C",), "N": ("N",), "CN": ("C", "N")}
    listed = [(g, sets[s]) for g, words in groups.items() for s in words.split()]
    return [replace(random_frame(e, i), group=g, energy=1.0) for i, (g, e) in enumerate(listed)]


def groups_of(frames):
    return dict(Counter(f.group for f in frames))


def test_a_fraction_is_taken_of_each_group():
    frames = frames_of(a="C " * 30, b="C " * 20, c="C " * 10)
    fitted, held = hold_out(frames, fraction=0.1)
    assert groups_of(held) == {"a": 3, "b": 2, "c": 1}
    assert [f.digest for f in frames if f in fitted] == [f.digest for f in fitted], "in the order given"
    assert len(fitted) + len(held) == 60


def test_a_fraction_is_taken_of_each_element_set():
    held = hold_out(frames_of(a="C " * 20 + "N " * 10 + "CN " * 30), fraction=0.2)[1]
    assert Counter(f.formula.rstrip("0123456789") != "" and "".join(sorted(f.elements)) for f in held) == {
        "C": 4, "N": 2, "CN": 6
    }  # fmt: skip


def test_the_choice_follows_from_contents_and_seed():
    frames = frames_of(a="C " * 40)
    held = {f.digest for f in hold_out(frames, fraction=0.25)[1]}
    assert {f.digest for f in hold_out(frames[::-1], fraction=0.25)[1]} == held
    assert {f.digest for f in hold_out(frames, fraction=0.25, seed=1)[1]} != held
    assert [frames.index(f) for f in hold_out(frames, fraction=0.1)[1]] == [4, 8, 10, 15], "on every machine"


def drawn_one_by_one(frames, fraction, seed):
    """Digests of the frames that a fraction holds out, by lists of frames."""
    distinct = list({f.configuration: f for f in reversed(frames)}.values())[::-1]
    strata = {}
    for f in distinct:
        strata.setdefault((f.group, tuple(sorted(f.elements))), []).append(f.configuration)
    total = max(1, round(fraction * len(distinct))) if len(distinct) > 1 else 0
    counts = {s: int(fraction * len(own)) for s, own in strata.items()}
    left = sorted(strata, key=lambda s: (counts[s] - fraction * len(strata[s]), drawn(seed, *s)))
    for s in left[: max(0, total - sum(counts.values()))]:
        counts[s] += 1
    chosen = {c for s, own in strata.items() for c in sorted(own, key=lambda c: drawn(seed, c))[: counts[s]]}
    return [f.digest for f in frames if f.configuration in chosen]


@few
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["C", "N", "CN"]), st.integers(0, 9)), min_size=2),
    st.floats(0.02, 0.9), st.integers(0, 9), st.sampled_from([8, 1, 0]),
)  # fmt: skip
def test_the_draw_is_that_of_lists(told, fraction, seed, head):
    """Also where a configuration is there again, in this group or another, and where first bytes of draws are alike."""
    frames = [replace(random_frame(tuple(s), i), group=g, energy=float(k)) for k, (g, s, i) in enumerate(told)]
    expected = drawn_one_by_one(frames, fraction, seed)
    assume(0 < len(expected) < len(frames))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draws, "HEAD", head)
        assert [f.digest for f in hold_out(frames, fraction=fraction, seed=seed)[1]] == expected


@few
@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9), min_size=1), st.floats(0.02, 0.9))
def test_the_number_is_that_of_the_fraction(sizes, fraction):
    frames = frames_of(**{g: "C " * n for g, n in sizes.items()})
    if len(frames) == 1:
        return
    held = hold_out(frames, fraction=fraction)[1]
    assert len(held) == max(1, round(fraction * len(frames)))
    for group, n in sizes.items():
        own = groups_of(held).get(group, 0)
        assert np.floor(fraction * n) <= own <= np.ceil(fraction * n) or len(held) == 1


def test_every_nth_of_each_group():
    frames = frames_of(a="C " * 7, b="C " * 2, c="C C N C N C")
    held = hold_out(frames, every=3)[1]
    assert [frames.index(f) for f in held] == [2, 5, 11, 14]


def test_equal_configurations_are_held_out_together():
    frames = frames_of(a="C " * 10)
    twins = [replace(f, energy=2.0) for f in frames]
    for options in ({"fraction": 0.3}, {"every": 3}):
        held = hold_out([*frames, *twins], **options)[1]
        assert Counter(Counter(f.configuration for f in held).values()) == {2: 3}


def test_groups_go_first_and_the_others_are_shared_out():
    frames = frames_of(a="C " * 10, b="C " * 10)
    assert groups_of(hold_out(frames, groups=["a"])[1]) == {"a": 10}
    assert groups_of(hold_out(frames, groups=["a"], every=5)[1]) == {"a": 10, "b": 2}
    assert hold_out(frames) == (frames, [])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"fraction": 0.1, "every": 10}, "fraction and every both choose single frames"),
        ({"fraction": 0.0}, r"hold_out.fraction: expected a number above 0 and below 1, found 0.0"),
        ({"fraction": 1}, "above 0 and below 1"), ({"fraction": True}, "above 0"),
        ({"fraction": float("nan")}, "above 0"),
        ({"every": 1}, "hold_out.every: expected an integer of at least 2, found 1"), ({"every": 2.0}, "an integer"),
        ({"every": 9}, "none of 4 frames would be held out by every = 9"), ({"groups": ["b*"]}, "matches no group"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        hold_out(frames_of(a="C C", c="C C"), **options)


def test_it_is_part_of_an_input_file(tmp_path):
    frames = frames_of(a="C " * 20, b="C " * 10)
    for table, expected in (({"fraction": 0.1}, {"a": 2, "b": 1}), ({"every": 10}, {"a": 2, "b": 1}),
                            ({"groups": ["b"], "every": 10}, {"a": 2, "b": 10})):  # fmt: skip
        job = Input.from_toml(write_job(tmp_path, frames, hold_out=table))
        assert groups_of(job.read_frames()[1]) == expected
        assert NEIGHBOURS in job.notes
    with pytest.raises(InputError, match="fraction and every both"):
        Input.from_toml(write_job(tmp_path, frames, hold_out={"fraction": 0.1, "every": 3}))
    with pytest.raises(InputError, match=r"hold_out\.every: expected an integer, found 2\.5"):
        Input.from_toml(write_job(tmp_path, frames, hold_out={"every": 2.5}))


@pytest.mark.parametrize("options", [{"groups": ["*"]}, {"groups": ["a", "b"]}])
def test_all_frames_held_out_is_refused(options):
    frames = frames_of(a="C C", b="C N")
    with pytest.raises(InputError, match=r"hold_out: groups = .* would hold out all 4 frames, and leave none to fit"):
        hold_out(frames, **options)
