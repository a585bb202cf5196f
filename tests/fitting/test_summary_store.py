"""The summary store: every bit kept, no row lost or counted twice without a word."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from summary_store_script import (
    ENERGY,
    FORCE,
    SETTINGS,
    Told,
    batch,
    changed,
    digest,
    files,
    flip,
    recorded,
    reduced,
    told_in,
    told_of,
)

from hiertl_dist.algebra import RFactor
from hiertl_dist.errors import StoreError
from hiertl_dist.fitting import summary_batches, summary_store
from hiertl_dist.fitting.batch_files import batches_of
from hiertl_dist.fitting.summary_store import NewBatch, SummaryStore
from hiertl_dist.frames.rows import SUMMARY_KINDS, Group

INDEX = {"index.json", "index.json.copy"}


@pytest.fixture
def store(tmp_path):
    return SummaryStore.create(tmp_path / "summaries", SETTINGS)


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes(order="C") == b.tobytes(order="C")


def require_equal(found, factor, squares):
    assert same_bits(found[0].r, factor.r)
    assert (found[0].rows, found[0].n_targets) == (factor.rows, factor.n_targets)
    assert same_bits(found[1], squares)


# ---- numbers


def test_what_is_added_is_read_back_to_the_bit(store):
    arguments = batch(1)
    made = store.add(*arguments)
    again = SummaryStore.open(store.path)
    assert again.batches() == (made,)
    assert (made.elements, made.blocks, made.tiles) == ("C", ("C",), ("tile-1-5",))
    assert told_of(again.frames()) == told_in(1)
    factors, squares = arguments[4:]
    assert factors[FORCE].is_triangle
    assert not factors[ENERGY].is_triangle
    for group in (FORCE, ENERGY):
        require_equal(again.read(made.id, group), factors[group], squares[group])
    again.verify()


# -0.0, numbers below the smallest normal one, and 300 orders of magnitude between columns
numbers = st.floats(-1e150, 1e150) | st.sampled_from([0.0, -0.0, 5e-324, -2.2e-308, 1e-170, 1e150])
group_names = st.builds(
    Group,
    st.sampled_from(["dft", "Å/∞", ""]),
    st.sampled_from(SUMMARY_KINDS),
    st.sampled_from(["", "C", "C75N25"]),
    st.integers(-1, 3),
    st.integers(0, 2),
)


@st.composite
def group_rows(draw):
    """Rows (m, width) of some groups, m from 0 to more than the width, and the number of targets."""
    width = draw(st.integers(1, 6))
    rows = st.integers(0, 12).flatmap(lambda m: hnp.arrays(np.float64, (m, width), elements=numbers))
    return draw(st.dictionaries(group_names, rows, max_size=5)), draw(st.integers(1, width))


@settings(deadline=None, derandomize=True)
@given(drawn=group_rows())
def test_any_rows_are_accepted_and_read_back_to_the_bit(drawn):
    """In any order of the groups, and with any spread of sizes; rounding is never taken for a lost row."""
    rows, n_targets = drawn
    factors, squares = reduced(rows, n_targets)
    with tempfile.TemporaryDirectory() as folder:
        store = SummaryStore.create(folder, {})
        made = store.add("C", ["C"], batch(1)[2], [], factors, squares, rows={g: len(a) for g, a in rows.items()})
        found = {group: rest for group, *rest in store.read_all(made.id)}
        assert list(found) == sorted(rows)
        for group in rows:
            require_equal(found[group], factors[group], squares[group])
        backwards = dict(reversed(factors.items()))
        assert store.add("C", ["C"], batch(1)[2], [], backwards, squares) == made
        size = (store.path / f"{made.id}.f64").stat().st_size
        assert size == 8 * sum(
            f.width + (f.width * (f.width + 1) // 2 if f.is_triangle else f.r.size) for f in factors.values()
        )
        store.verify()


def test_merged_factors_of_ill_conditioned_columns_pass_the_check(store):
    """Columns of sizes from 1e-140 to 1e140 and a condition number of 1e14; a tree of triangles over all rows."""
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(4000, 24)) * np.logspace(-140, 140, 24)
    rows[:, 1] = rows[:, 0] * (1 + 1e-14 * rng.normal(size=4000))
    rows[:, 2] = 0.0
    parts = [RFactor.of_buffer(part) for part in np.split(rows, 8)]
    while len(parts) > 1:
        parts = [a.merge(b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    squares = np.zeros(24)
    for row in rows:
        squares += row * row
    made = store.add("C", ["C"], batch(1)[2], [], {FORCE: parts[0]}, {FORCE: squares})
    require_equal(store.read(made.id, FORCE), parts[0], squares)


def test_a_triangle_takes_half_of_its_matrix(store):
    width = 300
    factors, squares = reduced({FORCE: np.random.default_rng(0).normal(size=(width, width))})
    made = store.add("C", ["C"], batch(1)[2], [], factors, squares)
    size = (store.path / f"{made.id}.f64").stat().st_size
    assert size == 8 * (width * (width + 1) // 2 + width)
    assert size < 0.51 * factors[FORCE].r.nbytes
    assert store.nbytes() == sum(p.stat().st_size for p in store.path.iterdir())
    assert size < store.nbytes() < size + 3000


def test_thousands_of_small_groups_take_one_open_and_one_read_each(store, monkeypatch):
    rng = np.random.default_rng(0)
    rows = {Group("dft", "energy", f"C{i}", i % 5, i): rng.normal(size=(2, 7)) for i in range(2000)}
    factors, squares = reduced(rows)
    made = store.add("C", ["C"], batch(1)[2], [], factors, squares)
    opened, original = [], Path.open

    def counted(self, *arguments, **options):
        opened.append(self.name)
        return original(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", counted)
    found = list(store.read_all(made.id))
    assert opened == [f"{made.id}.json", f"{made.id}.f64"]
    assert [group for group, *_ in found] == sorted(rows)
    some = sorted(rows)[1500::-700]
    assert [group for group, *_ in store.read_all(made.id, some)] == some
    for group, *rest in found[::97]:
        require_equal(rest, factors[group], squares[group])


# ---- the check of the rows


@pytest.mark.parametrize("rows", [40, 3], ids=["triangle", "rows"])
@pytest.mark.parametrize("wrong", ["lost", "twice"])
def test_a_row_that_is_lost_or_counted_twice_is_found(store, rows, wrong):
    """In the squares, while the factor has all, and the other way round."""
    a = np.random.default_rng(1).normal(size=(rows, 5))
    b = a[1:] if wrong == "lost" else np.vstack([a, a[:1]])
    for of_factor, of_squares in ((a, b), (b, a)):
        factors, squares = {FORCE: RFactor.of_buffer(of_factor)}, {FORCE: np.square(of_squares).sum(axis=0)}
        with pytest.raises(StoreError, match=r"group dft/force/C, fold 0: column 0: expected the norm of its rows"):
            store.add("C", ["C"], batch(1)[2], [], factors, squares)
    assert store.batches() == ()
    assert set(files(store.path)) == INDEX


@pytest.mark.parametrize(
    ("column", "named", "factor"),
    [(2, "column 2", 1 + 4e-9), (3, "target 0", 1 - 4e-9), (4, "target 1", 0.0), (1, "column 1", np.nan),
     (0, "column 0", -1.0), (0, "column 0", np.inf)],
)  # fmt: skip
def test_the_column_that_differs_is_named(store, column, named, factor):
    factors, squares = reduced({FORCE: np.random.default_rng(1).normal(size=(40, 5))}, 2)
    squares[FORCE][column] *= factor
    with pytest.raises(StoreError, match=rf"{named}: expected the norm .* in the factor of 40 rows: rows were lost"):
        store.add("C", ["C"], batch(1)[2], [], factors, squares)


def test_rounding_of_the_squares_is_allowed(store):
    factors, squares = reduced({FORCE: np.random.default_rng(1).normal(size=(40, 5))})
    squares[FORCE] *= 1 + np.array([1.8e-9, -1.8e-9, 1e-12, 0, 0])
    store.add("C", ["C"], batch(1)[2], [], factors, squares)


@pytest.mark.parametrize("rows", [40, 3])
def test_a_column_that_is_zero_is_zero_in_both(store, rows):
    a = np.random.default_rng(1).normal(size=(rows, 5))
    a[:, 2] = 0.0
    factors, squares = reduced({FORCE: a})
    store.add("C", ["C"], batch(1)[2], [], factors, squares)
    a[0, 2] = 1e-12
    other, others = reduced({FORCE: a})
    for one, two in ((factors, others), (other, squares)):
        with pytest.raises(StoreError, match=r"column 2: expected the norm"):
            store.add("C", ["C"], batch(2)[2], [], one, two)


def test_squares_that_are_too_small_for_numbers_are_no_lost_rows(store):
    """4 000 numbers whose squares are each zero, while their norm is not, nor its square."""
    a = np.random.default_rng(1).normal(size=(4000, 3))
    a[:, 1] = 1e-162
    factors, squares = reduced({FORCE: a})
    assert squares[FORCE][1] == 0 < np.square(factors[FORCE].r).sum(axis=0)[1]
    store.add("C", ["C"], batch(1)[2], [], factors, squares)


def test_a_reader_compares_the_rows_too(store, monkeypatch):
    """Numbers with the right checksums, written by a program that did not look at them."""
    factors, squares = reduced({FORCE: np.random.default_rng(1).normal(size=(40, 5))})
    squares[FORCE][3] *= 1.01
    with monkeypatch.context() as patch:
        patch.setattr(summary_batches, "require_all_rows", lambda *_: None)
        made = store.add("C", ["C"], batch(1)[2], [], factors, squares)
    for question in (store.verify, lambda: store.read(made.id, FORCE)):
        with pytest.raises(
            StoreError, match=rf"{made.id}\.f64, group dft/force/C, fold 0: column 3: expected the norm"
        ):
            question()


def test_rows_that_were_announced_are_counted(store):
    """A row of zeros has no norm; its number tells."""
    a = np.vstack([np.random.default_rng(1).normal(size=(40, 5)), np.zeros((1, 5))])
    factors, squares = reduced({FORCE: a[:40]})
    with pytest.raises(StoreError, match=r"group dft/force/C, fold 0: expected 41 rows, found 40 in its factor"):
        store.add("C", ["C"], batch(1)[2], [], factors, squares, rows={FORCE: 41})
    store.add("C", ["C"], batch(1)[2], [], factors, squares, rows={FORCE: 40})


@pytest.mark.parametrize(
    ("new", "text"),
    [
        ({"squares": {}}, "group dft/energy/C, 8 atoms, fold 1 is in factors and not in squares"),
        ({"factors": {}}, "is in squares and not in factors"),
        ({"rows": {FORCE: 40}}, "group dft/energy/C, 8 atoms, fold 1 is in factors and not in rows"),
        ({"frames": []}, "expected at least one frame, found none"),
        ({"frames": batch(1)[2] * 2}, "frames run1.xyz:0 and run1.xyz:0 are the same"),
        ({"tiles": ["t", "u", "t"]}, "tile t is named twice"),
        ({"blocks": ["C", "C"]}, "block C is named twice"),
        ({"blocks": ["C", "CN"]}, "block CN: expected one of ['C', 'N']"),
        ({"squares": {FORCE: np.ones(5), ENERGY: np.ones(4)}}, "expected sums of squares of shape (5,), found"),
    ],
)
def test_what_does_not_fit_together_is_refused(store, new, text):
    with pytest.raises(StoreError, match=re.escape(text)):
        store.add(**changed(batch(1), **new))
    assert store.batches() == ()


def test_groups_of_other_columns_are_refused(store):
    rng = np.random.default_rng(0)
    factors, squares = reduced({FORCE: rng.normal(size=(9, 4)), ENERGY: rng.normal(size=(9, 5))})
    with pytest.raises(StoreError, match=r"force/C, fold 0: expected \(width, targets\) \(5, 1\), as group .*energy"):
        store.add("C", ["C"], batch(1)[2], [], factors, squares)


def test_a_factor_that_is_no_triangle_is_refused(store):
    a = np.eye(3)
    a[2, 0] = 0.5
    factors, squares = {FORCE: RFactor(a, 30)}, {FORCE: np.square(a).sum(axis=0)}
    with pytest.raises(StoreError, match=r"group dft/force/C, fold 0: expected an upper triangle, found 0.5 in row 2"):
        store.add("C", ["C"], batch(1)[2], [], factors, squares)


# ---- batches


def test_more_frames_are_one_more_batch_and_leave_the_others_alone(store):
    first = store.add(*batch(1))
    before = files(store.path)
    second = store.add(*batch(2))
    after = files(store.path)
    assert {name for name in before if before[name] != after[name]} == INDEX
    assert set(after) - set(before) == {f"{second.id}.{suffix}" for suffix in ("f64", "frames", "json")}
    assert store.groups() == {group: sorted([first.id, second.id]) for group in (FORCE, ENERGY)}
    assert len(store.frames()) == 4


def test_the_order_of_adding_does_not_matter(store, tmp_path):
    other = SummaryStore.create(tmp_path / "other", SETTINGS)
    for number in range(5):
        store.add(*batch(number))
        other.add(*batch(4 - number))
    assert files(store.path) == files(other.path)
    assert store.batches() == other.batches()


def test_adding_the_same_again_is_harmless_and_repairs(store):
    made = store.add(*batch(1))
    before = files(store.path)
    assert store.add(*batch(1)) == made
    assert files(store.path) == before
    flip(store.path / f"{made.id}.f64", 9)
    flip(store.path / f"{made.id}.frames", 9)
    (store.path / f"{made.id}.json").write_text("{")
    assert store.add(*batch(1)) == made
    assert files(store.path) == before


def test_overlapping_frames_are_refused(store):
    made = store.add(*batch(1))
    before = files(store.path)
    frames = recorded(told_in(2)[0], told_in(1)[1])
    with pytest.raises(
        StoreError, match=rf"frame run1.xyz:1 \({digest(1, 1)[:12]}\) is in batch {made.id[:12]} already"
    ):
        store.add(**changed(batch(2), frames=frames))
    with pytest.raises(StoreError, match=rf"frame run1.xyz:0 .* is in batch {made.id[:12]} already"):
        store.add(*batch(1, columns=6))  # no word of replacing
    assert files(store.path) == before


def test_overlapping_tiles_are_refused(store):
    made = store.add(*batch(1))
    with pytest.raises(StoreError, match=rf"tile tile-1-5 is in batch {made.id[:12]} already"):
        store.add(**changed(batch(2), tiles=["tile-2-5", "tile-1-5"]))


def test_more_columns_supersede(store):
    old, other = store.add(*batch(1)), store.add(*batch(2))
    arguments = changed(batch(1, columns=8), blocks=("C", "N"))
    new = store.add(**arguments, replaces=[old.id])
    assert set(store.batches()) == {new, other}
    assert {b for b in files(store.path) if not b.startswith(("index", new.id, other.id))} == set()
    require_equal(store.read(new.id, FORCE), arguments["factors"][FORCE], arguments["squares"][FORCE])
    with pytest.raises(StoreError, match=rf"where batch {old.id[:12]} was superseded meanwhile, list them again"):
        store.read(old.id, FORCE)
    # harmless once more, though what it supersedes is gone
    assert store.add(**arguments, replaces=[old.id]) == new
    with pytest.raises(StoreError, match=rf"to be replaced: expected a live batch, found {old.id[:12]}"):
        store.add(*batch(3), replaces=[old.id])


def test_a_reader_that_is_overtaken_looks_again(store, monkeypatch):
    """The batch is superseded, and its files deleted, after the reader has seen the index."""
    old = store.add(*batch(1))
    original, new = SummaryStore._index, []

    def overtaken(self):
        index = original(self)
        if not new:
            new.append(None)
            new[0] = store.add(*batch(1, columns=8), replaces=[old.id])
            batches_of.cache_clear()
        return index

    monkeypatch.setattr(SummaryStore, "_index", overtaken)
    assert store.batches() == (new[0],)


def test_several_batches_become_one(store):
    old = [store.add(*batch(number)) for number in (1, 2)]
    frames = [*batch(1)[2], *batch(2)[2]]
    factors = {g: batch(1)[4][g].merge(batch(2)[4][g]) for g in (FORCE, ENERGY)}
    squares = {g: batch(1)[5][g] + batch(2)[5][g] for g in (FORCE, ENERGY)}
    made = store.add("C", ["C"], frames, ["tile-1-5", "tile-2-5"], factors, squares, [b.id for b in old])
    assert store.batches() == (made,)
    require_equal(store.read(made.id, FORCE), factors[FORCE], squares[FORCE])


@pytest.mark.parametrize(
    ("new", "text"),
    [
        ({"frames": recorded(told_in(1)[0])}, rf"its frame run1.xyz:1 \({digest(1, 1)[:12]}\) is not in the new batch"),
        (
            {"frames": recorded(told_in(1)[0], told_in(1)[1]._replace(fold=4))},
            "its frame run1.xyz:1 is in fold 1, in the new batch in 4",
        ),
        ({"blocks": ("N",)}, r"its block C is not in the new batch, which has \['N'\]"),
    ],
)
def test_what_is_superseded_has_to_be_contained(store, new, text):
    old = store.add(*batch(1))
    before = files(store.path)
    with pytest.raises(StoreError, match=rf"batch {old.id[:12]} can't be replaced: {text}"):
        store.add(**changed(batch(1, columns=8), **new), replaces=[old.id])
    assert files(store.path) == before


# ---- several at once, and their folds


def test_several_batches_at_once_are_as_one_after_the_other(store, tmp_path):
    other = SummaryStore.create(tmp_path / "other", SETTINGS)
    one_by_one = [other.add(*batch(number)) for number in (3, 1, 2)]
    assert store.add_all([NewBatch(*batch(number)) for number in (3, 1, 2)]) == tuple(one_by_one)
    assert files(store.path) == files(other.path)
    assert store.add_all([]) == ()
    assert store.add_all([NewBatch(*batch(2)), NewBatch(*batch(4))], SETTINGS)[0] == one_by_one[2]
    assert len(store.batches()) == 4
    store.verify()


@pytest.mark.parametrize(
    ("new", "text"),
    [
        ({"frames": recorded(*told_in(2), told_in(3)[1])}, "frame run3.xyz:1 ({d}) is in batch"),
        ({"tiles": ["tile-3-5"]}, "tile tile-3-5 is in batch"),
        ({"replaces": ["z"]}, "to be replaced: expected a live batch, found z"),
        ({"blocks": ["O"]}, "block O: expected one of ['C', 'N']"),
        (batch(3, 6), "frame run3.xyz:0"),
        (batch(3), "frame run3.xyz:0"),
    ],
)
def test_where_one_of_several_does_not_fit_none_is_written(store, new, text):
    store.add(*batch(1))
    before = files(store.path)
    wrong = NewBatch(**changed(batch(2), **new)) if isinstance(new, dict) else NewBatch(*new)
    for order in (1, -1):
        with pytest.raises(StoreError, match=re.escape(text.format(d=digest(3, 1)[:12]))):
            store.add_all([wrong, NewBatch(*batch(4)), NewBatch(*batch(3))][::order])
        assert files(store.path) == before


def test_what_is_new_can_not_be_replaced_at_once(store):
    made = store.add(*batch(1))
    wider = NewBatch(*batch(1, 8), replaces=[made.id])
    with pytest.raises(StoreError, match=rf"to be replaced: expected a live batch, found {made.id[:12]}"):
        store.add_all([NewBatch(*batch(1)), wider])
    with pytest.raises(StoreError, match=r"frame run1.xyz:0 .* is in batch"):
        store.add_all([NewBatch(*batch(1, 7), replaces=[made.id]), wider])
    assert store.batches() == (made,)


def test_settings_that_differ_leave_the_batches_out(store):
    before = files(store.path)
    with pytest.raises(StoreError, match='policy: "refuse" in the store, "lsq" now'):
        store.add_all([NewBatch(*batch(1))], {**SETTINGS, "policy": "lsq"})
    with pytest.raises(StoreError, match=r"block O: expected one of \['C', 'N'\]"):
        store.add_all([NewBatch(*batch(1, blocks=("C", "O")))])
    assert files(store.path) == before
    wide = {**SETTINGS, "blocks": {**SETTINGS["blocks"], "O": "o1"}}
    (made,) = store.add_all([NewBatch(*batch(1, blocks=("C", "O")))], wide)
    assert store.settings == wide
    assert store.batches() == (made,)


def records(number, *told):
    """Frames of a batch: group, fold and configuration of each."""
    return recorded(
        *(
            Told(digest(number, i), fold, f"run{number}.xyz:{i}", group, "C", configuration)
            for i, (group, fold, configuration) in enumerate(told)
        )
    )


X = digest("x", 1)
"""A configuration."""

FOLDED = {
    "group in two batches": ("group", [("a", 0, "")], [("b", 1, ""), ("a", 1, "")], "group 'a' in", "2.xyz:1"),
    "group in one batch": ("group", [("b", 1, "")], [("a", 1, ""), ("a", 0, "")], "group 'a' in", "2.xyz:1"),
    "configuration, by group": ("group", [("a", 0, X)], [("b", 1, X)], f"one configuration, {X[:12]}, in", "2.xyz:0"),
    "configuration, by frame": ("frame", [("a", 0, X)], [("a", 1, X)], f"one configuration, {X[:12]}, in", "2.xyz:0"),
}


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("case", FOLDED)
def test_frames_that_belong_together_are_in_one_fold(tmp_path, case, at_once):
    split, first, second, what, origin = FOLDED[case]
    store = SummaryStore.create(tmp_path, {**SETTINGS, "folds": {"count": 2, "split": split}})
    one, two = (NewBatch(**changed(batch(n), frames=records(n, *told))) for n, told in ((1, first), (2, second)))
    if not at_once:
        store.add_all([one])
    before = files(store.path)
    text = rf"frames of {what} one fold, found run.* in fold (\d) and run{re.escape(origin)} of group .* in fold (\d)"
    with pytest.raises(StoreError, match=text) as caught:
        store.add_all([one, two] if at_once else [two])
    assert sorted(re.search(text, str(caught.value)).groups()) == ["0", "1"]
    assert files(store.path) == before
    # what agrees is welcome, and so is anything that nobody says is the same
    fold = {"a": 0, "b": 1}
    fine = [(g, f if split == "frame" else fold[g], digest(g, f) if c else "") for g, f, c in first + second]
    store.add(**changed(batch(3), frames=records(3, *fine, *fine)))
    store.verify()


def test_by_frame_a_group_may_be_in_several_folds(tmp_path):
    store = SummaryStore.create(tmp_path, {**SETTINGS, "folds": {"count": 2, "split": "frame"}})
    store.add(**changed(batch(1), frames=records(1, ("a", 0, ""), ("a", 1, ""), ("a", 1, X), ("b", 1, X))))
    store.verify()


def test_verify_finds_frames_in_two_folds(tmp_path, monkeypatch):
    store = SummaryStore.create(tmp_path, {**SETTINGS, "folds": {"count": 2, "split": "group"}})
    with monkeypatch.context() as patch:
        patch.setattr(summary_store, "require_sound", lambda *_: None)
        store.add(**changed(batch(1), frames=records(1, ("a", 0, ""), ("a", 1, ""))))
    with pytest.raises(StoreError, match=r"frames of group 'a' in one fold, found run1\.xyz:0"):
        store.verify()


def test_a_batch_or_group_that_is_not_there_is_named(store):
    made = store.add(*batch(1))
    with pytest.raises(StoreError, match=rf"expected one of the batches \['{made.id[:12]}'\], found no file .*/zzz"):
        store.read("zzz", FORCE)
    with pytest.raises(StoreError, match=r"expected a group of this batch, found dft/stress_diagonal$"):
        store.read(made.id, Group("dft", "stress_diagonal"))


def test_integers_of_numpy_are_as_good(store):
    group = Group("dft", "force", "C", np.int64(0))
    _, _, _, _, factors, squares = batch(1)
    frames = recorded(*(told._replace(fold=np.int64(told.fold)) for told in told_in(1)))
    made = store.add("C", ["C"], frames, [], {group: factors[FORCE]}, {group: squares[FORCE]})
    require_equal(store.read(made.id, FORCE), factors[FORCE], squares[FORCE])
