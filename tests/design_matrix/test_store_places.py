"""Stores below the folder that an input file names: one for each basis; nothing is deleted without being told to."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from job_files import ORDERS, job_frames, unnamed, write_job
from synthetic import small_basis

from hiertl_dist import DesignStore, Model, assemble, executor, open_summaries, summarise
from hiertl_dist.cli import commands as cli
from hiertl_dist.design_matrix.store_places import other_stores, store_folder
from hiertl_dist.errors import StoreError
from hiertl_dist.jobs.input_file import Input
from hiertl_dist.model.one_body import one_body_values
from hiertl_dist.units import EV

BASIS, WIDER = small_basis(ORDERS), small_basis((4, 2, 2))
FRAMES = job_frames({"C": 2, "N": 2, "CN": 2})[0]


@pytest.fixture
def run(capsys):
    def command(*words):
        code = cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        return code, out, err

    return command


def stores(folder):
    return sorted(p.name for p in (folder / "design.zarr").iterdir())


def test_names_follow_from_basis_and_policy(tmp_path):
    names = [store_folder(tmp_path, b, p).name for b in (BASIS, WIDER) for p in ("refuse", "lsq")]
    assert names == [BASIS.digest[:12], f"{BASIS.digest[:12]}-lsq", WIDER.digest[:12], f"{WIDER.digest[:12]}-lsq"]
    assert store_folder(tmp_path, small_basis(ORDERS), "refuse") == store_folder(tmp_path, BASIS, "refuse")


def test_another_basis_is_another_store_beside_the_first(run, tmp_path):
    path = write_job(tmp_path, FRAMES)
    code, out, err = run("assemble", path)
    assert (code, err, "note:" in out) == (0, "", False)
    first = {p: p.read_bytes() for p in (tmp_path / "design.zarr").rglob("*") if p.is_file()}
    write_job(tmp_path, FRAMES, basis=WIDER.to_dict())
    code, out, err = run("assemble", path)
    assert (code, err) == (0, "")
    assert stores(tmp_path) == sorted(b.digest[:12] for b in (BASIS, WIDER))
    assert f"design.zarr/{BASIS.digest[:12]} (" in out
    assert "is of another basis: basis.types.CC.order: 3 in the store, 4 now" in out
    assert "note:" not in run("assemble", path)[1], "it is there now, and that there is another is no news"
    assert {p: p.read_bytes() for p in first} == first
    # and back: nothing is computed again
    write_job(tmp_path, FRAMES)
    code, out, _ = run("assemble", path, "--json")
    assert json.loads(out)["computed"] == 0


def test_another_policy_is_another_store(run, tmp_path):
    assert run("assemble", write_job(tmp_path, FRAMES))[0] == 0
    assert run("assemble", write_job(tmp_path, FRAMES, fit={"policy": "lsq"}))[0] == 0
    assert stores(tmp_path) == [BASIS.digest[:12], f"{BASIS.digest[:12]}-lsq"]


def test_a_store_that_is_named_itself_is_used_where_it_fits_and_refused_where_not(run, tmp_path):
    path = write_job(tmp_path, FRAMES)
    with executor("serial") as runner:
        assemble(FRAMES, BASIS, tmp_path / "design.zarr", executor=runner)
    assert Input.from_toml(path).design_store() == tmp_path / "design.zarr"
    assert run("fit", path)[0] == 0
    assert BASIS.digest[:12] not in stores(tmp_path)
    write_job(tmp_path, FRAMES, basis=WIDER.to_dict(), fit={"policy": "lsq"})
    before = {p: p.read_bytes() for p in (tmp_path / "design.zarr").rglob("*") if p.is_file()}
    code, _, err = run("fit", path)
    assert code == 2
    for said in (
        "design.zarr: the store was made with another basis or policy", "basis.types.CC.order: 3 in the store, 4 now",
        'policy: "refuse" in the store, "lsq" now', "--fresh", "named by its digest",
    ):  # fmt: skip
        assert said in err
    assert {p: p.read_bytes() for p in (tmp_path / "design.zarr").rglob("*") if p.is_file()} == before
    code, out, err = run("fit", path, "--fresh")
    assert (code, err) == (0, "")
    assert f"{tmp_path / 'design.zarr'}: a new store is made; the one that was there is" in out
    old = {tmp_path / "design.zarr.old" / p.relative_to(tmp_path / "design.zarr"): text for p, text in before.items()}
    assert {p: p.read_bytes() for p in old} == old
    assert stores(tmp_path) == [f"{WIDER.digest[:12]}-lsq"]


def test_fresh_makes_a_new_store_and_keeps_the_old_one(run, tmp_path):
    path = write_job(tmp_path, FRAMES)
    assert json.loads(run("assemble", path, "--json", "--fresh")[1])["present"] == 0
    assert json.loads(run("assemble", path, "--json")[1])["computed"] == 0
    assert json.loads(run("assemble", path, "--json", "--fresh")[1])["present"] == 0
    name = BASIS.digest[:12]
    assert stores(tmp_path) == [name, f"{name}.old"]
    assert DesignStore.open(tmp_path / "design.zarr" / f"{name}.old").keys("blocks/CN")


def test_a_folder_of_stores_says_so(run, tmp_path):
    assert run("assemble", write_job(tmp_path, FRAMES))[0] == 0
    with pytest.raises(StoreError, match=f"found a folder of such: {BASIS.digest[:12]}"):
        DesignStore.open(tmp_path / "design.zarr")
    assert other_stores(tmp_path / "none", BASIS, "refuse") == []


def test_every_kind_of_difference_is_named(tmp_path):
    other = small_basis((3, 2, 2), "CO")
    store = DesignStore.create(tmp_path, BASIS.to_dict(), BASIS.digest, "refuse")
    lines = store.differs_from(other.to_dict(), other.digest, "refuse")
    assert 'basis.elements: ["C", "N"] in the store, ["C", "O"] now' in lines
    assert "basis.pairs.CN: {" in lines
    assert "in the store, nothing now" in lines
    cutoff = replace(BASIS, cutoff=replace(BASIS.cutoff, kind="TERSOFF", fraction=0.5))
    assert store.differs_from(cutoff.to_dict(), cutoff.digest, "refuse") == (
        '\n  basis.cutoff: "CUBIC" in the store, "TERSOFF 0.5" now'
    )
    assert store.differs_from(BASIS.to_dict(), BASIS.digest, "refuse") == ""


def test_what_no_row_depends_on_is_no_difference(tmp_path):
    given = BASIS.with_energies({"C": -150.0})
    store = DesignStore.create(tmp_path, given.to_dict(), given.digest, "refuse")
    assert store_folder(tmp_path, BASIS, "refuse") == tmp_path
    assert "energies" not in store.differs_from(WIDER.to_dict(), WIDER.digest, "refuse")


# ---- summaries


SEARCH = {"folds": {"count": 2}, "grid": {"regulariser": {"kind": "ridge", "alpha": [1e-3, 1.0]}}}


def test_more_blocks_go_to_the_summary_store_that_is_there(run, tmp_path):
    frames = job_frames()[0]
    path = write_job(tmp_path, frames, search=SEARCH, frozen=None)
    assert run("fit", path, "--blocks", "N")[0] == 0  # a model of N, to be frozen
    frozen = {"files": ["hiertl_results/N.params.txt"]}
    one = json.loads(run("summarise", write_job(tmp_path, frames, search=SEARCH), "--blocks", "C", "--json")[1])
    two = json.loads(run("summarise", path, "--json")[1])
    assert one["store"] == two["store"], "it has more blocks now"
    three = json.loads(run("summarise", write_job(tmp_path, frames, search=SEARCH, frozen=frozen), "--json")[1])
    assert three["store"] != two["store"], "other models are frozen, and their contributions are in the rows"


def test_another_basis_is_another_summary_store(run, tmp_path):
    frames = job_frames()[0]
    first = json.loads(run("summarise", write_job(tmp_path, frames, search=SEARCH), "--json")[1])
    path = write_job(tmp_path, frames, search=SEARCH, basis=WIDER.to_dict())
    second = json.loads(run("summarise", path, "--json")[1])
    assert first["store"] != second["store"]
    write_job(tmp_path, frames, search=SEARCH)
    assert json.loads(run("summarise", path, "--json")[1]) == first | {"new_batches": []}


def test_given_energies_are_those_of_the_input_at_hand(run, tmp_path):
    """No factor depends on them, so the store is the same; every model depends on them."""
    frames, found = job_frames({"C": 8})[0], []
    for energy in (-3.0, -4.0, None):
        basis = small_basis(ORDERS, "C").to_dict() | ({} if energy is None else {"energies": {"C": energy}})
        path = write_job(tmp_path, frames, search=SEARCH, basis=basis)
        code, out, err = run("search", path, "--no-plot", "--json")
        assert code == 0, err
        stage = json.loads(out)["stages"][0]
        model = Model.read(tmp_path / "hiertl_results" / "model.params.txt").parameters
        found.append((stage["chosen"]["score"], one_body_values([model])["C"]))
    assert len(list((tmp_path / "summaries").iterdir())) == 1
    assert [round(c / EV, 9) for _, c in found[:2]] == [-3.0, -4.0]
    assert len({score for score, _ in found}) == 3, "nothing is taken from a search with others"


def test_given_energies_in_python(tmp_path):
    with executor("serial") as runner:
        for energy in (-1.0, -2.0):
            basis = BASIS.with_energies({"C": energy})
            made = summarise(job_frames()[0], basis, folds=2, summaries=tmp_path, executor=runner)
            assert made.basis.energies == basis.energies
    assert open_summaries(tmp_path).basis.energies == BASIS.with_energies({"C": -1.0}).energies
    assert open_summaries(tmp_path, BASIS).basis.energies == ()


def test_a_summary_store_named_itself_names_what_differs(run, tmp_path):
    frames = job_frames()[0]
    path = write_job(tmp_path, frames, search=SEARCH)
    found = json.loads(run("summarise", path, "--json")[1])
    unnamed(tmp_path / "summaries" / found["store"].rpartition("/")[2])
    write_job(tmp_path, frames, search=SEARCH, basis=WIDER.to_dict())
    code, _, err = run("search", path, "--no-plot")
    assert code == 2
    assert "blocks C, CN, N are defined in another way" in err
    assert "basis.types.CC.order: 3 in the store, 4 now" in err
    code, out, err = run("search", path, "--no-plot", "--fresh")
    assert (code, err) == (0, "")
    assert "summaries.old" in out
    assert (tmp_path / "summaries.old" / "index.json").exists()


def test_frames_held_out_since_have_a_way_on(run, tmp_path):
    frames = [replace(f, group="ab"[i % 2]) for i, f in enumerate(job_frames({"C": 8, "N": 8, "CN": 8})[0])]
    path = write_job(tmp_path, frames, search=SEARCH)
    assert run("summarise", path)[0] == 0
    write_job(tmp_path, frames, search=SEARCH, hold_out={"groups": ["a"]})
    code, _, err = run("search", path, "--no-plot")
    assert code == 2
    assert "held out since?" in err
    assert "--fresh" in err
    found = run("search", path, "--no-plot", "--fresh")
    assert found[0] == 0, found
