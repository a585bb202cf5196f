"""`store=` is the design store and `summaries=` the summary store; what they were called before is understood
or told."""

from __future__ import annotations

import warnings

import pytest
from synthetic import random_frames, small_basis

from hiertl_dist import SearchSettings, open_summaries, search, summarise
from hiertl_dist.design_matrix.store import DesignStore
from hiertl_dist.errors import HiertlWarning, InputError, StoreError
from hiertl_dist.executors.serial import SerialExecutor
from hiertl_dist.fitting.store_names import named_stores
from hiertl_dist.fitting.summary_store import SummaryStore

BASIS = small_basis((2, 0, 0))
FRAMES = random_frames({"C": 4})
SETTINGS = SearchSettings.from_dict({"folds": 2, "grid": {"regulariser": {"kind": "ridge", "alpha": 0.1}}})
VERBS = {
    "summarise": lambda **stores: summarise(FRAMES, BASIS, folds=2, executor=SerialExecutor(), **stores),
    "search": lambda **stores: search(FRAMES, BASIS, SETTINGS, executor=SerialExecutor(), **stores),
}
verbs = pytest.mark.parametrize("verb", VERBS)


@pytest.fixture
def folders(tmp_path):
    """A new folder, one of a design store, one of a summary store, and one that such stores are below."""
    basis = BASIS.to_dict()
    DesignStore.create(tmp_path / "design", basis, BASIS.digest, "refuse")
    SummaryStore.create(tmp_path / "kept", {"basis": basis, "blocks": {}, "folds": None, "frozen": []})
    SummaryStore.create(tmp_path / "many" / "0123456789ab", {"basis": basis, "blocks": {}, "folds": None, "frozen": []})
    return tmp_path


def stores_of(folder):
    """What kinds of stores are below a folder."""
    kinds = {"zarr.json": DesignStore, "index.json": SummaryStore}
    found = {path.parent: kinds[path.name] for path in folder.rglob("*.json") if path.name in kinds}
    return {place.relative_to(folder).parts[0]: kind for place, kind in found.items()}


@verbs
def test_the_names_of_now(tmp_path, verb):
    VERBS[verb](summaries=tmp_path / "s", store=tmp_path / "d")
    assert stores_of(tmp_path) == {"s": SummaryStore, "d": DesignStore}


@verbs
def test_names_of_before_are_understood_and_told_once(tmp_path, verb):
    with pytest.warns(HiertlWarning) as told:
        VERBS[verb](store=tmp_path / "s", rows=tmp_path / "d")
    (one,) = told
    assert str(one.message).startswith(f"{verb}: rows= is now called store=, and what was store= is called summaries=")
    assert one.filename == __file__, "the line of the user"
    assert stores_of(tmp_path) == {"s": SummaryStore, "d": DesignStore}
    with pytest.warns(HiertlWarning, match=r"rows= is now called store=; version 0.2"):
        VERBS[verb](rows=tmp_path / "d")


@verbs
def test_a_new_folder_for_the_design_store_alone_is_told_of_once(tmp_path, verb):
    with pytest.warns(HiertlWarning) as told:
        VERBS[verb](store=tmp_path / "d")
    (one,) = told
    assert "summaries are kept only with summaries=" in str(one.message)
    assert stores_of(tmp_path) == {"d": DesignStore}
    VERBS[verb](store=tmp_path / "d")


@verbs
@pytest.mark.parametrize("name", ["kept", "many"])
def test_a_summary_store_is_no_design_store(folders, verb, name):
    with pytest.raises(
        StoreError, match=rf"{verb}: store='.*{name}' is a summary store or has some, .* summaries= now"
    ):
        VERBS[verb](store=folders / name)


@verbs
def test_stores_that_are_exchanged_are_refused(folders, verb):
    with pytest.raises(StoreError, match=rf"{verb}: summaries='.*design' is a design store, which is named as store="):
        VERBS[verb](summaries=folders / "design", store=folders / "kept")
    with pytest.raises(StoreError, match=rf"{verb}: store='.*kept' is a summary store"):
        VERBS[verb](summaries=folders / "new", store=folders / "kept")
    with pytest.raises(InputError, match="the same folder"):
        VERBS[verb](summaries=folders / "new", store=str(folders / "new"))
    with pytest.raises(InputError, match="summaries= lies in the folder of the design store"):
        VERBS[verb](summaries=folders / "new/sums", store=folders / "new")
    assert not (folders / "new").exists()
    with pytest.raises(InputError, match="rows= is now called store=, which is given too"):
        VERBS[verb](summaries=folders / "new", store=folders / "design", rows=folders / "rows")


def test_rows_beside_summaries_is_the_design_store(folders):
    with pytest.warns(HiertlWarning, match="rows= is now called store=; version 0.2"):
        assert named_stores("search", "s", None, "d") == ("s", "d")


def test_stores_below_the_folder_of_another_are_none_of_it(folders):
    """Input files may name one folder for both, below which stores are named by digests."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert named_stores("search", folders / "many", folders / "many" / "rows")[0] == folders / "many"


def test_open_summaries(folders):
    for folder in (folders / "design", str(folders / "design")):
        with pytest.raises(StoreError, match=r"open_summaries: summaries='.*design' is a design store"):
            open_summaries(folder)
    with pytest.warns(HiertlWarning, match="store= is now called summaries="):
        found = open_summaries(store=folders / "kept")
    assert found.groups.keys() == open_summaries(summaries=folders / "kept").groups.keys() == set()
    with pytest.raises(
        StoreError, match=r"open_summaries: store='.*design' is a design store; expected a summary store"
    ):
        open_summaries(store=folders / "design")
    with pytest.raises(InputError, match="store= is now called summaries=, which is given too"):
        open_summaries(folders / "kept", store=folders / "kept")
    with pytest.raises(InputError, match="expected the folder of a summary store"):
        open_summaries()
