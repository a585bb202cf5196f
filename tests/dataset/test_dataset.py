"""Frames on disk are the frames that went in, whole or in parts, in this process or another."""

from __future__ import annotations

import pickle
import tracemalloc
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import small_basis

from hiertl_dist import Frame, executor
from hiertl_dist.algebra.byte_cache import Kept
from hiertl_dist.dataset import part_reader, streaming
from hiertl_dist.dataset.dataset import Dataset
from hiertl_dist.design_matrix import segments
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.errors import BasisError, InputError, MissingFileError, StoreError
from hiertl_dist.frames import frame_sequence
from hiertl_dist.frames.frame import frames_digest
from hiertl_dist.frames.frame_facts import facts_of
from hiertl_dist.frames.frame_sequence import FrameList, joined_frames
from hiertl_dist.frames.rows import SUMMARY_KINDS, kind_codes, n_rows

if TYPE_CHECKING:
    from collections.abc import Iterator


def mixed(number: int, seed: int = 0) -> list[Frame]:
    """Frames of several sets, groups, labels and periodicities."""
    rng = np.random.default_rng(seed)
    frames = []
    for i in range(number):
        n = int(rng.integers(1, 9))
        pbc = [(True, True, True), (True, True, False), None][rng.integers(3)]
        stress = rng.normal(size=6) if pbc == (True, True, True) else None
        if stress is not None and rng.random() < 0.5:
            stress[3:] = np.nan
        frames.append(Frame(
            tuple(rng.choice(["C", "N", "H"], n)), 5.0 * rng.normal(size=(n, 3)),
            None if pbc is None else np.diag(rng.uniform(4, 6, 3)), float(rng.normal()) if rng.random() < 0.7 else None,
            rng.normal(size=(n, 3)) if rng.random() < 0.7 else None, stress, f"g{rng.integers(3)}", f"image {i + 1}",
            pbc,
        ))  # fmt: skip
    return frames


@pytest.fixture
def create(monkeypatch):
    """Data sets in parts of few frames."""
    monkeypatch.setattr(streaming, "MOST_FRAMES", 7)
    return partial(Dataset.create, executor=executor("serial"))


def alike(one: Dataset, other: list[Frame]) -> None:
    assert [f.digest for f in one] == [f.digest for f in other]
    assert [(f.origin, f.labels, f.group) for f in one] == [(f.origin, f.labels, f.group) for f in other]
    assert len(one) == len(other)
    assert one.key == frames_digest(other)
    own, facts = one.facts, facts_of(other)
    assert [own.formulas[k] for k in own.formula] == [facts.formulas[k] for k in facts.formula]
    assert [own.group_names[k] for k in own.group] == [f.group for f in other]
    assert own.groups() == facts.groups()
    assert own.element_sets() == {f.element_set for f in other}
    np.testing.assert_array_equal(own.energies, facts.energies)
    np.testing.assert_array_equal(own.labels, facts.labels)
    assert own.n_rows.tolist() == [n_rows(f) for f in other]
    assert bytes(one.configurations).hex() == "".join(f.configuration for f in other)


def test_frames_come_back(create, tmp_path):
    frames = mixed(40)
    data = create(tmp_path / "d", iter(frames))
    alike(data, frames)
    assert len(data._index.parts) == 6
    for index in (0, 7, 39, -1):
        assert data[index].digest == frames[index].digest
        assert data.origin(index % 40) == frames[index].origin
    with pytest.raises(IndexError, match="one of 40 frames, found 40"):
        data[40]


@given(st.lists(st.integers(0, 39), min_size=1, max_size=15), st.integers(1, 5), st.integers(0, 39))
@settings(max_examples=30, deadline=None)
def test_any_part_is_those_frames(tmp_path_factory, numbers, step, start):
    frames = mixed(40)
    path = tmp_path_factory.getbasetemp() / "any part"
    if not path.exists():
        most, streaming.MOST_FRAMES = streaming.MOST_FRAMES, 7
        Dataset.create(path, frames, executor=executor("serial"))
        streaming.MOST_FRAMES = most
    data = Dataset(path)
    alike(data.take(np.array(numbers)), [frames[i] for i in numbers])
    part = data[start::step]
    alike(part, frames[start::step])
    inner = pickle.loads(pickle.dumps(part))
    alike(inner, frames[start::step])
    alike(inner[::-1], frames[start::step][::-1])


def test_what_travels_is_a_path_and_a_range(create, tmp_path):
    data = create(tmp_path / "d", mixed(40))
    assert len(pickle.dumps(data)) < 400
    assert len(pickle.dumps(data[3:30])) < 400
    assert len(pickle.dumps(data.take(np.array([3, 5, 30])))) < 600


def test_where(create, tmp_path):
    frames = mixed(40)
    data = create(tmp_path / "d", frames)
    alike(data.where(elements="CN"), [f for f in frames if f.element_set == "CN"])
    alike(data.where(elements=["NC", "H"]), [f for f in frames if f.element_set in ("CN", "H")])
    alike(data.where(group="g[12]"), [f for f in frames if f.group in ("g1", "g2")])
    alike(data.where(group=["g1", "*2"]), [f for f in frames if f.group in ("g1", "g2")])
    with pytest.raises(InputError, match="'y' matches no group"):
        data.where(group=["g1", "y"])
    alike(data.where(elements="C", group="g0"), [f for f in frames if (f.element_set, f.group) == ("C", "g0")])
    assert len(data.where(elements="Ta")) == 0
    assert list(data.where(elements="Ta")) == []
    with pytest.raises(InputError, match=r"'x\*' matches no group; there are g0, g1, g2"):
        data.where(group="x*")
    with pytest.raises(BasisError):
        data.where(elements="CCN")


def test_brackets_are_those_of_an_array(create, tmp_path):
    frames = mixed(20)
    data = create(tmp_path / "d", frames)
    numbers = np.arange(20)
    mask = numbers % 3 == 1
    for index in ([3, 1, -1, 3], np.array([5, -20], np.int32), [], np.empty(0, int), mask, mask.tolist(), range(2, 9)):
        for own in (data, FrameList(frames), data[:7] + data[7:]):
            alike(own[index], [frames[i] for i in numbers[index]])
    alike(data[data.facts.n_atoms > 4], [f for f in frames if len(f) > 4])
    assert isinstance(data[mask], Dataset)
    assert data[np.int64(3)].digest == frames[3].digest
    for wrong in ([0, 20], [-21]):
        with pytest.raises(IndexError, match=f"expected numbers of 20 frames, found {wrong[-1]}"):
            data[wrong]
    with pytest.raises(IndexError, match="expected a mask of 20 frames, found one of 19"):
        data[mask[1:]]
    for wrong in ((1, 2), "a", [0.5], np.zeros((2, 2), int), None, True, np.empty(0)):
        with pytest.raises(TypeError, match="a list or array of numbers or of one bool for each of 20 frames"):
            data[wrong]


def test_sums(create, tmp_path):
    frames = mixed(12)
    data = create(tmp_path / "d", frames[:8])
    other = create(tmp_path / "e", frames[8:])
    alike(data + other, frames)
    alike(data + frames[8:], frames)
    alike(frames[:8] + other, frames)
    nothing: list[Frame] = []
    alike(nothing + data[:3] + data[3:] + other, frames)
    assert isinstance(nothing + data, Dataset)
    assert "JoinedFrames: 12 frames of Dataset(" in repr(data + other)
    alike((data + other).where(group="g1"), [f for f in frames if f.group == "g1"])
    assert len(pickle.dumps(data + other)) < 900
    for wrong in ("x", 3, [1], None):
        with pytest.raises(TypeError, match="unsupported operand"):
            data + wrong


def test_frames_of_several_data_sets_in_any_order(create, tmp_path, monkeypatch):
    monkeypatch.setattr(frame_sequence, "MOST_RUNS", 3)
    frames = mixed(30)
    joined = create(tmp_path / "d", frames[:12]) + frames[12:20] + create(tmp_path / "e", frames[20:])
    order = np.random.default_rng(0).permutation(30)
    mixture = joined[order]
    alike(mixture, [frames[i] for i in order])
    assert len(mixture._parts) == 3
    again = pickle.loads(pickle.dumps(mixture))[::-2]
    alike(again, [frames[i] for i in order[::-2]])
    alike(again[4:6], [frames[i] for i in order[::-2][4:6]])
    table = mixture.table()
    assert [table.origin(k) for k in range(30)] == [mixture.origin(k) for k in range(30)]
    assert np.array_equal(mixture.stresses, table.stresses, equal_nan=True)
    assert mixture.identities != joined[order[::-1]].identities
    alike(mixture + joined[:1], [*(frames[i] for i in order), frames[0]])
    assert sum(a.frames for a in mixture.alike_labels()) == 30
    with pytest.raises(IndexError):
        mixture.take(np.array([30]))


def test_a_card_for_notebooks(create, tmp_path):
    frames = mixed(12)
    create(tmp_path / "d", frames[:8])
    data = create(tmp_path / "d", frames[8:], append=True)
    text = data._repr_html_()
    sets = {s: sum(f.element_set == s for f in frames) for s in data.facts.element_sets()}
    for said in (
        str(tmp_path / "d"), f"12 frames, {sum(map(len, frames))} atoms of C, H, N", "8 frames of an iterable",
        "4 frames of an iterable", f"energy ({sum(f.energy is not None for f in frames)})",
        f"stress ({sum(f.stress is not None for f in frames)})",
        *(f"<td>{s}</td><td>{n}</td>" for s, n in sets.items()),
        *(f"{g} ({sum(f.group == g for f in frames)})" for g in data.facts.groups()),
    ):  # fmt: skip
        assert said in text, said
    assert "5 of its 12 frames" in data[2:7]._repr_html_()
    assert "FrameList: 12 frames" in FrameList(frames)._repr_html_()
    assert data != Dataset(tmp_path / "d")
    assert data.key == Dataset(tmp_path / "d").key


@pytest.mark.parametrize("wrong", [np.array([True, False] * 4), [0.9, 1.2]])
def test_a_mask_is_no_list_of_numbers(create, tmp_path, wrong):
    frames = mixed(8)
    data = create(tmp_path / "d", frames)
    for sequence in (data, data[[3, 1, 2, 0, 7, 6, 5, 4]], FrameList(frames), data + frames[:3]):
        with pytest.raises(TypeError, match=r"expected numbers of \d+ frames, found an array of .*data\[mask\]"):
            sequence.take(np.asarray(wrong))


def test_where_labels_were_read_alike_first_in_any_order(create, tmp_path):
    frames = mixed(40)
    data = create(tmp_path / "d", frames)
    order = np.random.default_rng(1).permutation(40)
    assert data[order].alike_labels() == FrameList([frames[i] for i in order]).alike_labels()


def test_facts_of_a_list_are_those_of_its_frames():
    frames = FrameList(mixed(30))
    facts = frames.facts
    formulas, numbers, means = facts.mean_energies()
    energies = {}
    for frame in frames:
        if frame.energy is not None:
            energies.setdefault(tuple(sorted(Counter(frame.species).items())), []).append(frame.energy)
    assert [f.counts for f in formulas] == sorted(energies)
    assert numbers.tolist() == [len(energies[f.counts]) for f in formulas]
    np.testing.assert_allclose(means, [np.mean(energies[f.counts]) for f in formulas], rtol=1e-13)
    for i, frame in enumerate(frames):
        counts = np.bincount(kind_codes(frame), minlength=len(SUMMARY_KINDS))
        assert facts.rows_of_kinds[i].tolist() == counts.tolist()
        assert facts.n_atoms[i] == len(frame)
        assert facts.set_names[facts.sets[i]] == frame.element_set
        assert facts.compositions[facts.formula[i]] == frame.composition
        assert facts.counts(("C", "H", "N"))[i].tolist() == [frame.species.count(e) for e in ("C", "H", "N")]
    chosen = np.array([2, 5, 7])
    assert frames.take(chosen).facts.groups() == facts_of([frames[i] for i in chosen]).groups()
    assert facts.elements(facts.of_sets({"CN", "H"})) == ("C", "H", "N")
    assert facts.elements() == ("C", "H", "N")


def read(data: Dataset) -> None:
    list(data)
    len(data.digests)


class TestAppending:
    def test_more_frames(self, create, tmp_path):
        frames = mixed(30)
        first = create(tmp_path / "d", frames[:10])
        both = create(tmp_path / "d", mixed(30)[10:], append=True)
        alike(both, frames)
        alike(first, frames[:10])  # what was opened before goes on
        alike(pickle.loads(pickle.dumps(first)), frames[:10])

    def test_not_by_mistake(self, create, tmp_path):
        create(tmp_path / "d", mixed(5))
        with pytest.raises(StoreError, match=r"data set of 5 frames already; append=True \(--append\) adds"):
            create(tmp_path / "d", mixed(5, seed=1))

    def test_another_data_set_in_its_place(self, create, tmp_path):
        view = create(tmp_path / "d", mixed(9))[2:5]
        sent = pickle.dumps(view)
        (tmp_path / "d").rename(tmp_path / "old")
        create(tmp_path / "d", mixed(9, seed=1))
        with pytest.raises(StoreError, match="the folder was made anew meanwhile; open it again"):
            list(pickle.loads(sent))


def test_a_part_without_frames(create, tmp_path):
    data = create(tmp_path / "d", mixed(20))
    for nothing in (data[:0], pickle.loads(pickle.dumps(data[5:5])), data[:3].where(elements="Ta")):
        assert len(nothing.facts) == len(nothing) == len(list(nothing)) == 0
        assert nothing.facts.groups() == []
        assert len(nothing.where(elements="C")) == 0
        with pytest.raises(ValueError, match="at least one frame"):
            nothing.table()


def test_numbers_outside_are_refused(create, tmp_path):
    data = create(tmp_path / "d", mixed(20))
    for frames in (data[5:10], FrameList(data[5:10]), joined_frames([data[5:7], FrameList(data[7:10])])):
        for number in (-1, 5, 12):
            with pytest.raises(IndexError, match=f"numbers of 5 frames, found {number}"):
                frames.take(np.array([0, number]))


class TestDamage:
    @pytest.mark.parametrize("array", ["atoms/positions", "atoms/types", "frames/values", "frames/digests"])
    def test_a_changed_byte_is_noticed(self, create, tmp_path, array, monkeypatch):
        data = create(tmp_path / "d", mixed(20))
        file = tmp_path / "d" / array / "c" / "1" / "0"
        content = bytearray(file.read_bytes())
        content[5] ^= 1
        file.write_bytes(content)
        monkeypatch.setattr(part_reader, "_arrays", Kept(0, lambda _: 1))
        with pytest.raises(StoreError, match=rf"{array}, part 1, block 0: expected CRC32C .*import the data into"):
            read(data[7:14])

    def test_a_missing_file_is_no_array_of_nan(self, create, tmp_path):
        data = create(tmp_path / "d", mixed(20))
        (tmp_path / "d" / "atoms/positions/c/1/0").unlink()
        assert [f.digest for f in data[:7]] == [f.digest for f in mixed(20)[:7]]
        with pytest.raises(StoreError, match="part 1: cannot be read"):
            list(data)

    def test_a_damaged_index(self, create, tmp_path):
        create(tmp_path / "d", mixed(5))
        (tmp_path / "d" / "dataset.json").write_text("{")
        with pytest.raises(StoreError, match=r"dataset\.json: it is damaged"):
            Dataset(tmp_path / "d")

    def test_no_data_set(self, tmp_path):
        with pytest.raises(MissingFileError, match="expected a data set"):
            Dataset(tmp_path)
        (tmp_path / "other.txt").write_text("x")
        with pytest.raises(
            StoreError, match=r"expected an empty folder or a data set, found other files, such as other"
        ):
            Dataset.create(tmp_path, mixed(3), executor=executor("serial"))


def test_others_read_it_with_zarr(create, tmp_path):
    frames = mixed(20)
    create(tmp_path / "d", frames)
    group = zarr.open_group(tmp_path / "d", mode="r")
    positions = np.asarray(group["atoms/positions"][:])
    written = positions[~np.isnan(positions).any(axis=1)]
    np.testing.assert_array_equal(written, np.concatenate([f.positions for f in frames]))


def test_a_large_frame_has_a_part_of_several_chunks(tmp_path):
    small = mixed(1)[0]
    n = 20_000
    rng = np.random.default_rng(1)
    large = Frame(("C",) * n, 1e3 * rng.random((n, 3)), energy=1.0, forces=rng.normal(size=(n, 3)))
    data = Dataset.create(tmp_path / "d", [small, large, small], executor=executor("serial"))
    assert [f.digest for f in data] == [small.digest, large.digest, small.digest]


def small(number: int) -> Iterator[Frame]:
    """Frames of two atoms, made one at a time."""
    rng = np.random.default_rng(0)
    for i in range(number):
        positions = np.array([[0.0, 0.0, 0.0], [1.5 + rng.random(), 0.0, 0.0]])
        yield Frame(("C", "CN"[i % 2]), positions, None, energy=float(i), forces=rng.normal(size=(2, 3)))


def test_a_plan_holds_at_most_a_hundred_bytes_a_frame(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "DIGESTS", 512)
    basis, peaks = small_basis((2, 0, 0)), []
    for number in (2000, 8000):
        data = Dataset.create(tmp_path / str(number), small(number), executor=executor("serial"))
        make_plan(data, basis, by_block=True)  # what a process keeps up to a bound
        data = Dataset(tmp_path / str(number))
        tracemalloc.start()
        make_plan(data, basis, by_block=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 100 * 6000
