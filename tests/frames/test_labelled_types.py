"""Types that are no chemical elements, through everything: a job with its elements renamed has the same results.

The names sort as the elements do, so that columns, and with them every bit of a result, must be the same.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from job_files import ORDERS, job_frames, write_fm_setup, write_job, write_toml
from synthetic import small_basis

from hiertl_dist import (
    Basis,
    Calculator,
    Model,
    Solution,
    blocks_of,
    committee,
    open_summaries,
    posterior,
    predict,
    read_frames,
    solve,
    summarise,
    view,
)
from hiertl_dist.algebra import Ridge
from hiertl_dist.cli import commands as cli
from hiertl_dist.errors import BasisError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.frames.type_names import cluster_name, split_symbols
from hiertl_dist.units import EV

PLAIN = ("C", "N")
NAMES = [("C1", "C2"), ("CN", "N-"), ("1", "c")]
RESULTS = "hiertl_results"
TABLE = small_basis(ORDERS).to_dict()
SEARCH = {"folds": {"count": 2}, "grid": {"regulariser": {"kind": "ridge", "alpha": [1e-3, 1.0]}}}
SERIAL = SerialExecutor()

labels = pytest.mark.parametrize("names", NAMES, ids=cluster_name)
a_label = pytest.mark.parametrize("names", NAMES[1:2], ids=cluster_name)
"""For what takes long: those whose names are most easily mistaken."""


def cluster(names, plain):
    """The name that a cluster of C and N has once they are renamed."""
    return cluster_name(names[PLAIN.index(e)] for e in split_symbols(plain))


def table_of(names):
    """The [basis] table, its elements and clusters renamed."""

    def by_pair(value):
        return {cluster(names, k): v for k, v in value.items()} if isinstance(value, dict) else value

    renamed = {
        what: {cluster(names, k): {s: by_pair(v) for s, v in own.items()} for k, own in TABLE[what].items()}
        for what in ("pairs", "types")
    }
    return TABLE | renamed | {"elements": list(names), "one_body": list(names)}


def frames_of(names):
    return [replace(f, species=tuple(names[PLAIN.index(s)] for s in f.species)) for f in job_frames()[0]]


def command(*words):
    """The object that a command prints; it must succeed."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as said:
        code = cli.main([*map(str, words), "--json"])
    assert code == 0, said.getvalue()
    return json.loads(out.getvalue())


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Of some names: the folder of a job that was fitted, and what ``fit`` printed."""

    @cache
    def run(names):
        folder = tmp_path_factory.mktemp("job")
        whole = cluster_name(names)
        fit = {
            "regulariser": {"kind": "ridge", "alpha": 1e-3}, "weights": {"all/energy": 2.0},
            "blocks": {whole: {"weights": {"force": 1.5}}},
        }  # fmt: skip
        path = write_job(folder, frames_of(names), basis=table_of(names), fit=fit, search=SEARCH)
        return folder, command("fit", path)

    return run


@labels
def test_a_fit_has_the_same_coefficients_to_the_bit(fitted, names):
    plain, own = fitted(PLAIN)[0] / RESULTS, fitted(names)[0] / RESULTS
    for block in ("C", "N", "CN"):
        there = cluster(names, block)
        wanted, found = (Solution.load(f / f"{b}.solution.npz") for f, b in ((plain, block), (own, there)))
        assert (found.block, found.blocks) == (there, (there,))
        np.testing.assert_array_equal(found.parameters.coefficients, wanted.parameters.coefficients)
        assert found.rmse == wanted.rmse
        ranges = wanted.parameters.coverage.items()
        assert found.parameters.coverage == {
            ":".join(cluster(names, part) for part in key.split(":")): span for key, span in ranges
        }


@labels
def test_the_files_and_folders_are_named_by_block(fitted, names):
    folder, _ = fitted(names)
    blocks = {cluster(names, b) for b in ("C", "N", "CN")}
    assert {p.name.removesuffix(".params.txt") for p in (folder / RESULTS).glob("*.params.txt")} == {*blocks, "model"}
    assert {p.name for p in (folder / "design.zarr").glob("*/blocks/*") if p.is_dir()} == blocks
    again = command("assemble", folder / "input.toml")
    assert (again["computed"], again["present"] > 0) == (0, True)


@labels
def test_errors_are_told_by_composition(fitted, names):
    plain, own = (fitted(n)[1]["errors"]["hierarchical"]["fitted"] for n in (PLAIN, names))
    assert own["all"] == plain["all"]
    assert own.keys() == {"all", *(f.composition for f in frames_of(names))}
    assert len(own) == len(plain)


@a_label
def test_models_are_merged_and_evaluated_from_their_files(fitted, names, tmp_path):
    errors = []
    for own in (PLAIN, names):
        folder = fitted(own)[0]
        files = [folder / RESULTS / f"{cluster(own, b)}.params.txt" for b in ("C", "N", "CN")]
        command("merge", *files, "-o", tmp_path / "merged.txt", "--overwrite")
        whole = Model.read(folder / RESULTS / "model.params.txt").parameters
        merged = Model.read(tmp_path / "merged.txt").parameters
        assert merged.as_dict() == whole.as_dict()
        assert command("evaluate", tmp_path / "merged.txt", "--frames", folder / "data.extxyz")["errors"]["all"]
        errors.append(command("evaluate", *files, "--frames", folder / "data.extxyz")["errors"]["all"])
    assert errors[0] == errors[1]


@a_label
def test_all_at_once_and_partial_and_frozen(fitted, names, tmp_path):
    folder = fitted(names)[0]
    one, whole = cluster(names, "N"), cluster(names, "CN")
    found = []
    for own in (PLAIN, names):
        fit = {"regulariser": {"kind": "ridge", "alpha": 1e-3}}
        path = write_job(tmp_path, frames_of(own), basis=table_of(own), fit=fit, output={"folder": f"o{len(found)}"})
        command("fit", path, "--no-keep-rows", "--all-at-once")
        (solution,) = (tmp_path / f"o{len(found)}").glob("*.solution.npz")
        found.append(Solution.load(solution).parameters.coefficients)
    np.testing.assert_allclose(*found, rtol=1e-7)
    path = write_job(
        tmp_path, frames_of(names), basis=table_of(names), output={"folder": "partial"},
        fit={"only": [whole]},
        frozen={"files": [str(folder / RESULTS / f"{cluster(names, 'C')}.params.txt")]},
    )  # fmt: skip
    command("fit", path, "--no-keep-rows", "--partial", f"{whole}:{one}")
    assert Solution.load(tmp_path / "partial" / f"{whole}.solution.npz").blocks == (one, whole)


@a_label
def test_summaries_views_committees_and_predictions(names, tmp_path):
    made = []
    for own in (PLAIN, names):
        basis, frames, store = Basis.from_dict(table_of(own)), frames_of(own), tmp_path / f"{len(made)}"
        summaries = summarise(frames, basis, folds=None, summaries=store, store=store / "rows", executor=SERIAL)
        assert open_summaries(store).groups.keys() == summaries.groups.keys()
        assert {g.elements for g in summaries.groups} == {frozenset(own[:1]), frozenset(own[1:]), frozenset(own)}
        names_of = partial_names(own)
        lower = [solve(view(summaries, blocks=[names_of(b)]), Ridge(1e-3)).parameters for b in ("C", "N")]
        options = {"orders": {names_of("CN"): [3, 2, 0]}, "exclude": [names_of("CCN")], "sets": [names_of("CN")]}
        options["weights"] = {frames[-1].composition: 2.0, f"{frames[-2].composition}/energy": 3.0}
        last = view(summaries, blocks=[names_of("CN")], frozen=lower, **options)
        solution = solve(last, Ridge(1e-3))
        drawn = committee(last, Ridge(1e-3), kind="bootstrap", members=3, seed=1)
        spread = predict(frames[-2:], posterior(last, Ridge(1e-3)))
        made.append((solution.parameters.coefficients, spread[0].mean.energy, len(drawn.members)))
    np.testing.assert_array_equal(made[0][0], made[1][0])
    assert made[0][1:] == made[1][1:]


def partial_names(own):
    return lambda plain: cluster(own, plain)


@a_label
def test_a_search_of_labelled_types(fitted, names):
    folder = fitted(names)[0]
    found = command("search", folder / "input.toml", "--no-keep-rows")
    assert [stage["name"] for stage in found["stages"]] == [cluster(names, b) for b in ("C", "N", "CN")]
    told = command("summarise", folder / "input.toml", "--no-keep-rows")
    assert set(told["element_sets"]) == {cluster(names, b) for b in ("C", "N", "CN")}
    assert (folder / RESULTS / f"{cluster(names, 'CN')}.solution.npz").exists()


@labels
def test_frames_come_back_from_their_file(fitted, names):
    found = read_frames(fitted(names)[0] / "data.extxyz", group_key="config")
    assert [f.species for f in found] == [f.species for f in frames_of(names)]


@labels
def test_frames_of_types_that_the_basis_lacks_are_refused(names, tmp_path, capsys):
    path = write_job(tmp_path, frames_of(PLAIN), basis=table_of(names))
    assert cli.main(["fit", str(path)]) == 2
    said = capsys.readouterr().err
    assert re.search(r"data\.extxyz, frame 1, line 1: C not among the elements \('", said), said


@labels
def test_blocks_by_name_in_any_order(names):
    basis = Basis.from_dict(table_of(names))
    whole = basis.restricted(cluster_name(names))
    assert whole == basis
    assert basis.type_named(cluster(names, "CNN")).elements == tuple(sorted((names[0], names[1], names[1])))
    assert {b.name for b in blocks_of(basis, cluster(names, "CN"))} == {cluster(names, "CN")}
    with pytest.raises(BasisError, match="expected element symbols"):
        blocks_of(basis, "a//b")


def test_an_fm_setup_of_labelled_types_is_fitted_and_read_back(fitted, tmp_path):
    names = ("C1", "C2")
    frames = frames_of(names)
    setup = write_fm_setup(tmp_path, frames)
    text = setup.read_text()
    for element, name in zip(PLAIN, names, strict=True):
        text = re.sub(rf"(?m)(?<=  ){element}(?=  )", name, text)
    setup.write_text(text.replace("CHEBYSHEV 3 2 0", "CHEBYSHEV 3 2 2"))
    path = write_toml(
        tmp_path / "input.toml", fm_setup="fm_setup.in", executor={"kind": "serial"},
        fit={"regulariser": {"kind": "ridge", "alpha": 1e-3}},
    )  # fmt: skip
    found = command("fit", path, "--no-keep-rows")
    assert set(found["errors"]["hierarchical"]["fitted"]) == {"all", *(f.composition for f in frames)}
    model = Model.read(tmp_path / RESULTS / "model.params.txt")
    assert model.parameters.basis.masses == {"C1": 12.011, "C2": 14.007}
    rows = model.evaluate(frames)
    assert np.sqrt(np.mean([(r.forces - f.forces) ** 2 for r, f in zip(rows, frames, strict=True)])) < 1.0


class TestCalculator:
    """ASE knows chemical symbols alone: its user says which type each atom is."""

    @pytest.fixture
    def model(self, fitted):
        return Model.read(fitted(("C1", "C2"))[0] / RESULTS / "model.params.txt")

    @pytest.fixture
    def frame(self):
        return frames_of(("C1", "C2"))[-1]

    @pytest.fixture
    def atoms(self, frame):
        ase = pytest.importorskip("ase")
        symbols = ["C" if s == "C1" else "N" for s in frame.species]
        return ase.Atoms(symbols, frame.positions, cell=frame.cell, pbc=True)

    def test_a_table_of_symbols(self, model, frame, atoms):
        atoms.calc = Calculator(model, types={"C": "C1", "N": "C2"}, extrapolation="record")
        found = model.evaluate(frame)[0]
        assert atoms.get_potential_energy() == found.energy / EV
        np.testing.assert_array_equal(atoms.get_forces(), found.forces / EV)

    def test_an_array_of_types_is_looked_at_again(self, model, frame, atoms):
        atoms.calc = Calculator(model, types="types", extrapolation="record")
        with pytest.raises(ValueError, match=r"expected an array 'types' with the type of each atom .*'positions'"):
            atoms.get_potential_energy()
        atoms.arrays["types"] = np.array(frame.species)
        assert atoms.get_potential_energy() == model.evaluate(frame)[0].energy / EV
        swapped = replace(frame, species=tuple(reversed(frame.species)))
        atoms.arrays["types"] = np.array(swapped.species)
        assert atoms.get_potential_energy() == model.evaluate(swapped)[0].energy / EV

    def test_without_either_it_says_what_to_do(self, model, atoms):
        atoms.calc = Calculator(model)
        with pytest.raises(ValueError, match=r"types C1, C2, the atoms are C, N: .*, types=\{'C': 'C1'\}\)"):
            atoms.get_potential_energy()
        with pytest.raises(TypeError, match="types: expected a table of symbols or the name of an array, found 3"):
            Calculator(model, types=3)
