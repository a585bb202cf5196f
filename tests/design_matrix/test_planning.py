"""The plan: what it says of tiles, bytes and cost before anything runs, and what it refuses."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from synthetic import assemble, n_columns, random_frame, random_frames, small_basis

from hiertl_dist import blocks_of, columns_of, design_rows, fit_hierarchy
from hiertl_dist.design_matrix import planning
from hiertl_dist.design_matrix.assembly_items import block_array
from hiertl_dist.design_matrix.planning import all_needs, make_plan
from hiertl_dist.design_matrix.resources import check_resources
from hiertl_dist.errors import FrameError, InnerCutoffError, InputError, ResourceError
from hiertl_dist.evaluation.compiled_basis import compile_recipe
from hiertl_dist.evaluation.frame_rows import scan_frame
from hiertl_dist.evaluation.row_costs import FrameCounts, structural_nonzeros, tile_seconds
from hiertl_dist.executors import executor
from hiertl_dist.frames.rows import Group, n_rows, summary_group_counts

BASIS = small_basis()
FRAMES = random_frames({"C": 5, "N": 3, "CN": 7}, groups=("liquid", "solid"))
WIDTH = n_columns(BASIS, ["CN"])
ROWS = n_rows(FRAMES[0])


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of the widest block hold two frames and not three."""
    monkeypatch.setattr(planning, "TILE_BYTES", 8 * WIDTH * (3 * ROWS - 1))


@pytest.fixture
def plan(small_tiles):
    return make_plan(FRAMES, BASIS)


def test_segments_partition_the_frames_by_their_elements(plan):
    assert sorted(i for s in plan.segments for i in s.indices) == list(range(len(FRAMES)))
    for segment in plan.segments:
        assert [FRAMES[i] for i in segment.indices] == list(segment.frames)
        assert {"".join(sorted(f.elements)) for f in segment.frames} == {segment.elements}
        assert list(segment.indices) == sorted(segment.indices)
        assert segment.rows == sum(n_rows(f) for f in segment.frames)
        assert dict(segment.groups) == summary_group_counts(segment.frames)
    assert [s.elements for s in plan.segments][-4:] == ["CN"] * 4
    assert [len(s.frames) for s in plan.segments if s.elements == "CN"] == [2, 2, 2, 1]


def test_tiles_are_the_blocks_wherever_their_elements_occur(plan):
    expected = {"C": ["C"], "N": ["N"], "CN": ["C", "N", "CN"]}
    for segment in plan.segments:
        assert [t.block for t in plan.tiles if t.segment is segment] == expected[segment.elements]
    assert plan.columns == {b.name: b.n_columns for b in blocks_of(BASIS)}
    assert all(t.columns == plan.columns[t.block] for t in plan.tiles)


def test_needs_choose_the_tiles(small_tiles):
    assert all_needs(FRAMES, ["N", "CN"], BASIS) == {("N", "N"), ("CN", "N"), ("CN", "CN")}
    plan = make_plan(FRAMES, BASIS, blocks=["N", "CN"], needs={("CN", "CN"), ("CN", "C"), ("C", "C")})
    assert {(t.segment.elements, t.block) for t in plan.tiles} == {("CN", "CN")}
    assert {s.elements for s in plan.segments} == {"CN"}


def test_a_plan_by_block_counts_as_a_climb_does():
    """Frames, rows and columns of each block are those of its fit; by default those of all at once, and it is said."""
    blocks = make_plan(FRAMES, BASIS, by_block=True).as_dict()["blocks"]
    climb = fit_hierarchy(FRAMES, BASIS, executor=executor("serial"))
    assert {b: (own["frames"], own["rows"], own["columns"]) for b, own in blocks.items()} == {
        b: (len({row for s in fit.plan.segments for row in s.indices}), sum(s.rows for s in fit.plan.segments),
            fit.solution.n_columns)
        for b, fit in climb.fits.items()
    }  # fmt: skip
    assert {b: own["frames_of"] for b, own in blocks.items()} == {b: [b] for b in ("C", "N", "CN")}
    whole = make_plan(FRAMES, BASIS)
    assert whole.as_dict()["blocks"]["C"]["frames"] == 5 + 7
    assert whole.as_dict()["blocks"]["C"]["frames_of"] == ["C", "CN"]
    assert "by_block=True" in repr(whole)
    assert "by_block=True" not in repr(make_plan(FRAMES, BASIS, by_block=True))
    with pytest.raises(InputError, match="needs and by_block both"):
        make_plan(FRAMES, BASIS, by_block=True, needs=[("C", "C")])


def test_a_plan_says_what_its_assembly_writes(plan, tmp_path):
    store = assemble(FRAMES, BASIS, tmp_path / "store", plan=plan).store
    said = plan.as_dict()
    assert said["frames"] == len(FRAMES)
    assert said["tiles"] == len(plan.tiles)
    for name, block in said["blocks"].items():
        tiles = [store.read(block_array(name), key) for key in store.keys(block_array(name))]
        assert len(tiles) == block["tiles"]
        assert {t.shape[1] for t in tiles} == {block["columns"]}
        assert sum(len(t) for t in tiles) == block["rows"]
        assert sum(t.nbytes for t in tiles) == block["bytes"]
        assert sum(np.count_nonzero(t) for t in tiles) <= block["nonzeros"] <= block["rows"] * block["columns"]
    overhead = store.nbytes() - plan.disk_bytes
    files = sum(1 for p in store.path.rglob("*") if p.is_file())
    # labels of four bytes are planned as eight; checksums, ledger and metadata are a few hundred bytes a file
    assert -0.02 * plan.disk_bytes < overhead < 1000 * files


def nonzeros(frame, block):
    recipe = compile_recipe(BASIS, (block,))
    (found,) = structural_nonzeros(FrameCounts.of(frame, scan_frame(frame, recipe), recipe.elements), recipe)
    return found


def test_structural_nonzeros_are_exact_where_every_cluster_is_there():
    frame = random_frame("CN", 3, atoms=16)
    for block in ("C", "N", "CN"):
        rows = design_rows([frame], BASIS, [block]).matrix
        assert nonzeros(frame, block) == np.count_nonzero(rows)


@pytest.mark.parametrize("lacks", ["energy", "forces", "stress"])
def test_structural_nonzeros_count_only_rows_that_have_a_label(lacks):
    frame = random_frame("CN", 3, atoms=16).without_labels(**{lacks: True})
    rows = design_rows([frame], BASIS, ["C"]).matrix
    assert nonzeros(frame, "C") == np.count_nonzero(rows)


def test_structural_nonzeros_leave_out_clusters_that_the_composition_forbids():
    frame = random_frame("CN", 3, atoms=16)
    # CN clusters need both elements: in a frame of carbon alone the whole block is zero
    carbon = replace(frame, species=("C",) * 16)
    assert nonzeros(carbon, "CN") == 0
    assert not design_rows([carbon], BASIS, ["CN"]).matrix.any()


def test_twice_the_frames_cost_twice_as_much():
    one = make_plan(FRAMES, BASIS)
    two = make_plan([*FRAMES, *FRAMES], BASIS)
    assert one.seconds > 0
    assert two.seconds == pytest.approx(2 * one.seconds)
    assert all(t.seconds > 0 for t in one.tiles)


def test_more_columns_and_denser_frames_cost_more():
    def seconds(frame, basis):
        recipe = compile_recipe(basis, ("CN",))
        return tile_seconds(frame, scan_frame(frame, recipe), recipe)

    frame = FRAMES[-1]
    dense = replace(frame, positions=0.8 * frame.positions, cell=0.8 * frame.cell)
    assert seconds(frame, small_basis((5, 4, 3))) > 1.2 * seconds(frame, BASIS)
    assert seconds(dense, small_basis(rmin=0.5)) > 1.5 * seconds(frame, small_basis(rmin=0.5))


def described(plan):
    return [(s.key, s.indices.tolist(), s.groups) for s in plan.segments], [
        (t.segment.key, t.block, t.columns, t.nonzeros, t.seconds) for t in plan.tiles
    ]


def test_the_plan_does_not_depend_on_the_executor(plan, two_processes):
    assert described(make_plan(FRAMES, BASIS, executor=two_processes)) == described(plan)
    with executor("serial") as one:
        assert described(make_plan(FRAMES, BASIS, executor=one)) == described(plan)


def test_the_plan_follows_from_frames_and_basis(plan):
    changed = [*FRAMES[:-1], replace(FRAMES[-1], energy=0.25)]
    keys, others = ([s.key for s in make_plan(f, BASIS).segments] for f in (FRAMES, changed))
    assert keys == [s.key for s in plan.segments]
    assert [a == b for a, b in zip(keys, others, strict=True)] == [True] * (len(keys) - 1) + [False]


def test_no_digest_is_made_before_a_key_is_asked_for(small_tiles):
    frames = [replace(f) for f in FRAMES]
    with executor("serial") as one:
        segments = make_plan(frames, BASIS, executor=one).segments
    assert not any("digest" in f.__dict__ for f in frames)
    sent = pickle.dumps(segments[-1])
    assert pickle.loads(sent).key == segments[-1].key
    # what is sent has no other frames
    assert len(sent) < len(pickle.dumps(frames)) / 2
    assert len({s.key for s in segments}) == len({s.first for s in segments}) == len(segments)


def test_too_much_memory_is_refused_with_both_numbers(plan, tmp_path):
    needed = plan.worker_bytes
    with pytest.raises(ResourceError, match=rf"{needed / 2**20:.0f} MiB of memory needed by .*, 1 MiB available"):
        assemble(FRAMES, BASIS, tmp_path / "store", plan=plan, memory=2**20)
    assert not (tmp_path / "store").exists()
    assemble(FRAMES, BASIS, tmp_path / "store", plan=plan, memory=needed)


def test_workers_share_the_memory():
    check_resources(2**20, "test", workers=4, memory=4 * 2**20)
    with pytest.raises(ResourceError, match="test: 5 workers × 1 MiB = 5 MiB of memory needed, 4 MiB available"):
        check_resources(2**20, "test", workers=5, memory=4 * 2**20)


def test_too_much_disk_is_refused_with_both_numbers(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "free_disk", lambda _: plan.disk_bytes)
    assemble(FRAMES, BASIS, tmp_path / "fits", plan=plan)
    monkeypatch.setattr(planning, "free_disk", lambda _: plan.disk_bytes - 1)
    mib = f"{plan.disk_bytes / 2**20:.0f} MiB"
    with pytest.raises(ResourceError, match=rf"{mib} of disk needed at .*/store, {mib} free; keep_rows = false"):
        assemble(FRAMES, BASIS, tmp_path / "store", plan=plan)
    assert not (tmp_path / "store").exists()


def test_an_unknown_element_is_refused_by_name():
    alien = replace(FRAMES[2], species=("Xe", *FRAMES[2].species[1:]))
    with pytest.raises(FrameError, match=r"C \(0, 0, 2\): Xe not among the elements \('C', 'N'\)"):
        make_plan([*FRAMES, alien], BASIS)


def test_an_unknown_block_is_refused_by_name():
    with pytest.raises(KeyError, match="no block 'CO'"):
        make_plan(FRAMES, BASIS, blocks=["C", "CO"])


def test_frames_without_labels_are_reported_and_have_no_tile():
    bare = FRAMES[1].without_labels(energy=True, forces=True, stress=True)
    plan = make_plan([FRAMES[0], bare, FRAMES[2]], BASIS)
    assert plan.unlabelled == (bare.origin,)
    assert [s.indices.tolist() for s in plan.segments] == [[0, 2]]
    assert plan.as_dict()["unlabelled_frames"] == [bare.origin]


def test_no_frames_make_an_empty_plan(tmp_path):
    plan = make_plan([], BASIS)
    assert (plan.segments, plan.tiles, plan.disk_bytes, plan.seconds) == ((), (), 0, 0)
    assert assemble([], BASIS, tmp_path / "store", plan=plan).computed == 0


def test_a_frame_given_twice_counts_twice(tmp_path):
    twice = [FRAMES[-1], FRAMES[-1]]
    plan = make_plan(twice, BASIS, blocks=["CN"])
    store = assemble(twice, BASIS, tmp_path / "store", plan=plan).store
    (key,) = store.keys(block_array("CN"))
    rows = design_rows(FRAMES[-1], BASIS, ["CN"]).matrix
    np.testing.assert_array_equal(store.read(block_array("CN"), key), np.vstack([rows, rows]))


def test_a_segment_given_twice_is_stored_once(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "SEGMENT_ROWS", ROWS)
    twice = [FRAMES[-1], FRAMES[-1]]
    plan = make_plan(twice, BASIS, blocks=["CN"])
    assert len(plan.segments) == 2
    store = assemble(twice, BASIS, tmp_path / "store", plan=plan).store
    assert len(store.keys(block_array("CN"))) == 1


def too_close(frame, distance=0.5):
    """The frame with its first two atoms at a distance."""
    positions = frame.positions.copy()
    positions[1] = positions[0] + [distance, 0.0, 0.0]
    return replace(frame, positions=positions, origin="bad frame")


BAD = [*FRAMES[:2], too_close(FRAMES[2]), *FRAMES[3:]]


def test_a_pair_inside_its_inner_cutoff_is_refused_by_name():
    with pytest.raises(
        InnerCutoffError,
        match=r"1 pair .*\n  bad frame: atoms 0 \(C\) and 1 \(C\) are 0\.5000 Å apart, inside .* 0\.9000 Å",
    ):
        make_plan(BAD, BASIS)


def test_skip_frame_leaves_the_frame_out():
    plan = make_plan(BAD, BASIS, policy="skip_frame")
    assert plan.skipped == ("bad frame",)
    assert Counter(i for s in plan.segments for i in s.indices) == Counter(set(range(len(BAD))) - {2})
    assert len(plan.inside) == 1
    assert min(plan.ranges["C"].values()) == plan.ranges["C"]["C:CC"]
    assert plan.ranges["C"]["C:CC"][0] > 0.9


@pytest.mark.parametrize("policy", ["lsq", "damp"])
def test_other_policies_keep_the_frame_and_say_so(policy):
    plan = make_plan(BAD, BASIS, policy=policy)
    assert plan.skipped == ()
    assert sorted(i for s in plan.segments for i in s.indices) == list(range(len(BAD)))
    assert [p.distance for p in plan.inside] == [pytest.approx(0.5)]
    assert plan.ranges["C"]["C:CC"][0] == pytest.approx(0.5)


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match=r"expected one of .*'skip_frame'.*, found 'ignore'"):
        make_plan(FRAMES, BASIS, policy="ignore")


def test_ranges_are_the_distances_that_edges_join(plan):
    frames = [f for f in FRAMES if f.elements == {"C", "N"}]
    shifts = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T
    # block CN joins like atoms in three- and four-body terms alone, which end at 4.7 Å
    reach = {"CC": 4.7, "CN": 5.0, "NN": 4.7}
    found = {pair: [] for pair in reach}
    for frame in frames:
        vectors = frame.positions[:, None, None] - frame.positions[None, :, None] + shifts @ frame.cell
        for i, a in enumerate(frame.species):
            for j, b in enumerate(frame.species):
                lengths = np.linalg.norm(vectors[i, j], axis=-1)
                pair = "".join(sorted(a + b))
                found[pair] += [r for r in lengths if 0 < r < reach[pair]]
    for pair, distances in found.items():
        assert plan.ranges["CN"][f"CN:{pair}"] == pytest.approx((min(distances), max(distances)))


def test_a_group_is_a_source_and_a_kind(plan):
    counts = Counter()
    for segment in plan.segments:
        counts.update(dict(segment.groups))
    assert counts[Group("liquid", "energy")] == 3 + 2 + 4
    assert counts[Group("solid", "energy")] == 2 + 1 + 3
    assert counts[Group("solid", "stress_off_diagonal")] == 6 * 3
    assert counts[Group("liquid", "force")] == 9 * 36
    assert len(columns_of(BASIS)) == sum(plan.columns.values())
