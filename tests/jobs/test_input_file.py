"""The input file: every key means something, unknown ones are named, and Python has the same names."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from job_files import ORDERS, write_extxyz, write_fm_setup, write_job, write_toml, write_xyzf
from synthetic import random_frame, random_frames, small_basis

from hiertl_dist import Basis, read_frames
from hiertl_dist.algebra import regulariser_from_dict
from hiertl_dist.cli import commands as cli
from hiertl_dist.errors import BasisError, HiertlError, InputError
from hiertl_dist.files.store_use import StoreUse
from hiertl_dist.fitting.settings import FitSettings
from hiertl_dist.jobs.input_file import DATA, FIT, TOP, Input, fit_settings
from hiertl_dist.model.parameters import Penalty

FULL_BASIS = {
    "elements": ["C", "N"],
    "orders": [4, 3, 2],
    "transform": "MORSE",
    "cutoff": "TERSOFF 0.5",
    "pairs": {
        "CC": {"rmin": 0.98, "rmax": 6, "lambda": 1.4},
        "NN": {"rmin": 0.86, "rmax": 7.0, "transform": "INVRSE_R"},
        "C-N": {"rmin": 0.9, "rmax": 5.5, "lambda": 1.34},
    },
    "three_body": {"rmin": 0.95, "rmax": {"CC": 4.6, "CN": 4.5}},
    "four_body": {"rmax": 4.0},
    "blocks": {"CN": {"orders": [5, 4, 3]}},
    "types": {"CCN": {"order": 2, "rmin": {"CN": 1.0}, "rmax": 4.8}},
    "one_body": ["C"],
    "exclude": ["NNNN", "C-C-C-N"],
}


@pytest.fixture
def minimal():
    """The least that an input needs."""
    return {"basis": small_basis(ORDERS).to_dict(), "data": [{"path": "data.extxyz"}]}


class TestBasisTable:
    def test_every_key_arrives(self):
        basis = Basis.from_dict(FULL_BASIS)
        assert basis.elements == ("C", "N")
        assert str(basis.cutoff) == "TERSOFF 0.5"
        pairs = {p.name: (p.rmin, p.rmax, p.transform, p.morse_lambda) for p in basis.pairs}
        assert pairs == {
            "CC": (0.98, 6.0, "MORSE", 1.4), "NN": (0.86, 7.0, "INVRSE_R", None), "CN": (0.9, 5.5, "MORSE", 1.34),
        }  # fmt: skip
        orders = {t.name: t.order for t in basis.types}
        assert orders == {
            "C": 1, "CC": 4, "NN": 4, "CCC": 3, "NNN": 3, "CCCC": 2,  # of elements alone: [4, 3, 2]
            "CN": 5, "CCN": 2, "CNN": 4, "CCNN": 3, "CNNN": 3,  # of the block, but for CCN
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("kind", "edge", "cutoffs"),
        [
            ("NN", "NN", (0.86, 7.0)),  # the pair's
            ("CCC", "CC", (0.95, 4.6)),  # those of all triplets
            ("NNN", "NN", (0.95, 7.0)),  # no edge of its own among them: the pair's
            ("CCN", "CN", (1.0, 4.8)),  # its own
            ("CCN", "CC", (0.95, 4.8)),  # its own on one side
            ("CCNN", "NN", (0.86, 4.0)),  # those of all quadruplets, and the pair's
        ],
    )
    def test_the_nearest_cutoff_counts(self, kind, edge, cutoffs):
        kind = Basis.from_dict(FULL_BASIS).type_named(kind)
        found = kind.edge(edge[0], edge[1])
        assert (found.rmin, found.rmax) == cutoffs

    @pytest.mark.parametrize("table", [FULL_BASIS, small_basis().to_dict()], ids=["full", "small"])
    def test_one_naming_for_both_directions(self, table):
        basis = Basis.from_dict(table)
        again = Basis.from_dict(basis.to_dict())
        assert again == basis
        assert again.digest == basis.digest
        assert again.to_dict() == basis.to_dict()

    def test_the_toml_file_says_the_same(self, tmp_path):
        path = write_toml(tmp_path / "input.toml", basis=FULL_BASIS)
        assert Basis.from_toml(path) == Basis.from_dict(FULL_BASIS)

    def test_a_change_changes_the_digest(self):
        digests = {
            Basis.from_dict(FULL_BASIS | change).digest
            for change in ({}, {"one_body": True}, {"cutoff": "CUBIC"}, {"exclude": []}, {"orders": [4, 3, 0]})
        }
        assert len(digests) == 5

    @pytest.mark.parametrize(
        ("change", "parts"),
        [
            ({"order": [1, 2, 3]}, ["basis", "unknown keys ['order']", "'orders'"]),
            ({"pairs": FULL_BASIS["pairs"] | {"CO": {}}}, ["basis.pairs.CO", "C, N"]),
            ({"types": {"CCN": {"rmaxx": 4.0}}}, ["basis.types.CCN", "['rmaxx']"]),
            ({"orders": [4, 3]}, ["basis.orders", "three integers", "[4, 3]"]),
            ({"cutoff": "TERSOFF"}, ["'TERSOFF fraction'", "'TERSOFF'"]),
            ({"transform": "EXP"}, ["MORSE", "'EXP'"]),
        ],
        ids=["key", "pair", "type key", "orders", "cutoff", "transform"],
    )
    def test_what_means_nothing_is_refused(self, change, parts):
        with pytest.raises(BasisError) as caught:
            Basis.from_dict(FULL_BASIS | change)
        assert all(p in str(caught.value) for p in parts), str(caught.value)


class TestInput:
    def test_the_least(self, minimal, tmp_path):
        job = Input.from_dict(minimal, tmp_path)
        assert job.basis == small_basis(ORDERS)
        assert job.fit == FitSettings()
        assert (job.block_fits, job.partial, job.frozen, job.hold_out) == ({}, {}, (), ())
        assert (job.store, job.output) == (tmp_path / "design.zarr", tmp_path / "hiertl_results")
        assert (job.keep_rows, job.memory, job.units, job.executor, job.workers) == (True, None, "kcal", "auto", None)
        assert (job.search, job.summaries) == (None, tmp_path / "summaries")

    def test_every_key_arrives(self, minimal, tmp_path):
        source = dict.fromkeys(DATA, "x") | {"path": ["a.xyz", "/b/*.xyz"], "start": 1, "stop": 5}
        path = write_toml(
            tmp_path / "input.toml",
            basis=minimal["basis"],
            data=[source, {"path": "c.xyzf"}],
            hold_out={"groups": ["t03*", "t1?"]},
            fit={
                "regulariser": {"kind": "ridge", "alpha": 1e-4}, "weights": {"force": 2, "stress": 100.0},
                "objective": "plain", "method": "auto", "policy": "damp", "include_fewer": True,
                "penalty": {"scale": 1e6, "distance": 0.02},
            },
            frozen={"files": ["C.params.txt", "/models/N.npz"]},
            store={
                "path": "rows.zarr", "keep_rows": False, "memory": "2 GiB", "in_use": "refuse", "wait": 60,
                "fsync": True, "checkpoint": "cut",
            },
            output={"folder": "results", "units": "eV"},
            executor={"kind": "processes", "workers": 3},
            search={
                "summaries": "kept", "folds": {"count": 4, "split": "group"}, "strategy": "ladder", "rule": "best",
                "importance": {"force": 2.0}, "grid": {"objective": ["lsq", "plain"]},
                "blocks": {"CN": {"exclude": [["4B"]]}},
            },
        )  # fmt: skip
        job = Input.from_toml(path)
        assert job.data == (
            source | {"path": [str(tmp_path / "a.xyz"), "/b/*.xyz"]}, {"path": [str(tmp_path / "c.xyzf")]},
        )  # fmt: skip
        assert job.hold_out == ("t03*", "t1?")
        assert job.fit == FitSettings(
            {"kind": "ridge", "alpha": 1e-4}, {"force": 2, "stress": 100.0}, "plain", "auto", "damp", True,
            Penalty(1e6, 0.02),
        )  # fmt: skip
        assert [str(p) for p in job.frozen] == [str(tmp_path / "C.params.txt"), "/models/N.npz"]
        assert (job.store, job.keep_rows, job.memory) == (tmp_path / "rows.zarr", False, 2 * 2**30)
        assert job.store_use == StoreUse("refuse", 60, fsync=True)
        assert job.checkpoint_folder() == tmp_path / "cut"
        assert (job.output, job.units) == (tmp_path / "results", "eV")
        assert (job.executor, job.workers) == ("processes", 3)
        assert job.summaries == tmp_path / "kept"
        assert job.search.as_dict() == {
            "strategy": "ladder", "rule": "best", "importance": {"force": 2.0},
            "folds": {"count": 4, "split": "group", "seed": 0, "stratify": True},
            "grid": {"objective": ["lsq", "plain"]}, "blocks": {"CN": {"exclude": [("4B",)]}},
        }  # fmt: skip

    def test_python_has_the_names_of_the_file(self, minimal, tmp_path):
        assert Input.from_toml(write_toml(tmp_path / "input.toml", **minimal)).basis == Input.from_dict(minimal).basis
        assert {f.name for f in fields(FitSettings)} == set(FIT) - {"partial"} | {"missing_energies", "row_weights"}
        assert set(TOP) - {f.name for f in fields(Input)} == set()

    def test_absolute_paths_stay(self, minimal):
        job = Input.from_dict(minimal | {"store": {"path": "/scratch/rows.zarr"}, "output": {"folder": "/out"}})
        assert (str(job.store), str(job.output)) == ("/scratch/rows.zarr", "/out")

    @pytest.mark.parametrize(
        ("where", "wrong", "table"),
        [
            ("input", "frames", {"frames": []}),
            ("data", "energy", {"data": [{"path": "x", "energy": "e"}]}),
            ("fit", "regularser", {"fit": {"regularser": {}}}),
            ("fit.blocks.CN", "alpha", {"fit": {"blocks": {"CN": {"alpha": 1}}}}),
            ("fit.penalty", "depth", {"fit": {"penalty": {"depth": 1}}}),
            ("store", "folder", {"store": {"folder": "x"}}),
            ("output", "path", {"output": {"path": "x"}}),
            ("executor", "name", {"executor": {"name": "dask"}}),
            ("hold_out", "group", {"hold_out": {"group": []}}),
            ("frozen", "file", {"frozen": {"file": []}}),
        ],
    )
    def test_unknown_keys_are_named(self, minimal, tmp_path, where, wrong, table):
        path = write_toml(tmp_path / "input.toml", **(minimal | table))
        with pytest.raises(InputError) as caught:
            Input.from_toml(path)
        assert str(caught.value).startswith(f"{path}: {where}: unknown keys ['{wrong}']; known are [")

    @pytest.mark.parametrize(
        ("key", "value", "expected"),
        [
            ("fm_setup", 3, "a string"),
            ("data", {"path": "x"}, "[[…]] tables"),
            ("data.path", 5, "a string or a list of strings"),
            ("data.start", "1", "an integer"),
            ("fit.regulariser", "ridge", "a table such as {kind = 'ridge', alpha = 1e-4}"),
            ("fit.weights", {"force": "x"}, 'a table of numbers, "auto" or "evidence"'),
            ("fit.objective", ["lsq"], "a string"),
            ("fit.include_fewer", "yes", "true or false"),
            ("fit.penalty", {"scale": True}, 'a table of numbers or "auto"'),
            ("fit.partial", "C", "a list of strings"),
            ("store.path", 1, "a string"),
            ("store.keep_rows", 0, "true or false"),
            ("store.memory", [1], "bytes such as '8 GiB'"),
            ("store.checkpoint", 3, "a folder, true or false"),
            ("output.folder", 3, "a string"),
            ("executor.workers", True, "an integer"),
            ("hold_out.groups", "t03*", "a list of strings"),
            ("frozen.files", ["a", 1], "a list of strings"),
        ],
    )
    def test_a_value_of_another_kind_is_refused(self, minimal, key, value, expected):
        table, _, own = key.partition(".")
        content = value if not own else [{"path": "x", own: value}] if table == "data" else {own: value}
        with pytest.raises(InputError) as caught:
            Input.from_dict(({} if table == "fm_setup" else minimal) | {table: content})
        assert str(caught.value) == f"{key}: expected {expected}, found {value!r}"

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"data": []}, "at least one [[data]]"),
            ({"data": [{"group": "a"}]}, "data.path: missing"),
            ({"fm_setup": "fm_setup.in"}, "either [basis] and [[data]] or fm_setup"),
            ({"output": {"units": "Ha"}}, "output.units: expected one of ('kcal', 'eV'), found 'Ha'"),
            ({"fit": {"blocks": {"CO": {}}}}, "fit.blocks.CO: ['O'] not among the elements ['C', 'N']"),
            ({"fit": {"blocks": {"CN": {}, "N-C": {}}}}, "fit.blocks: CN is given twice, the second time as 'N-C'"),
            ({"fit": {"weights": "evidence"}}, 'fit.weights: "evidence" needs a regulariser that is a Gaussian prior'),
            ({"fit": {"policy": "ignore"}}, "fit.policy: expected one of ('refuse', 'skip_frame', 'lsq', 'damp')"),
        ],
        ids=lambda v: "" if isinstance(v, str) else next(iter(v)),
    )
    def test_what_contradicts_itself_is_refused(self, minimal, change, text):
        with pytest.raises(InputError) as caught:
            Input.from_dict(minimal | change)
        assert text in str(caught.value)

    def test_weights_by_evidence_go_with_the_regulariser(self, minimal):
        bayes = {"kind": "bayesian_ridge"}
        job = Input.from_dict(minimal | {"fit": {"weights": "evidence", "regulariser": bayes, "objective": "plain"}})
        assert (job.fit.weights, job.fit.regulariser) == ("evidence", bayes)
        lasso = {"blocks": {"CN": {"regulariser": {"kind": "lasso", "lam": 0.1}}}}
        with pytest.raises(InputError, match=r"fit\.blocks\.CN\.weights: \"evidence\" needs .* found kind \"lasso\""):
            Input.from_dict(minimal | {"fit": {"weights": "evidence", "regulariser": bayes, **lasso}})

    def test_what_is_no_toml_is_refused_with_its_line(self, tmp_path):
        path = tmp_path / "input.toml"
        path.write_text("[basis]\nelements = [C]\n")
        with pytest.raises(InputError, match=r"input\.toml: not valid TOML: .*line 2"):
            Input.from_toml(path)

    def test_an_error_of_the_basis_names_the_file(self, minimal, tmp_path):
        path = write_toml(tmp_path / "input.toml", **(minimal | {"basis": {"elements": ["C"]}}))
        with pytest.raises(BasisError) as caught:
            Input.from_toml(path)
        assert str(caught.value) == f"{path}: 2 problems:\n  basis.pairs: missing\n  basis.orders: missing"

    @pytest.mark.parametrize(
        ("value", "expected"),
        [("1 MiB", 2**20), ("8 GiB", 8 * 2**30), ("1.5GB", 1_500_000_000), (4096, 4096), (None, None)],
    )
    def test_memory(self, minimal, value, expected):
        store = {} if value is None else {"memory": value}
        assert Input.from_dict(minimal | {"store": store}).memory == expected

    @pytest.mark.parametrize("value", ["lots", "8 GiX", "-1 GiB", -5, 0, "1e400 GiB", "-3 GiB", "nan GiB", "²", "inf",
                                       "", "1e300", "8 8 GiB", "0x10", "1e18 GiB", "GiB", "1_000"])  # fmt: skip
    def test_memory_that_is_none(self, minimal, value):
        with pytest.raises(InputError) as caught:
            Input.from_dict(minimal | {"store": {"memory": value}})
        assert str(caught.value) == f"store.memory: expected bytes such as '8 GiB', found {value!r}"

    @pytest.mark.parametrize("value", ["9" * 5000, "9" * 5000 + " GiB", "G" * 5000])
    def test_memory_of_5000_digits_is_cut_in_the_message(self, minimal, value):
        with pytest.raises(InputError) as caught:
            Input.from_dict(minimal | {"store": {"memory": value}})
        assert str(caught.value).startswith("store.memory: expected bytes such as '8 GiB', found '")
        assert len(str(caught.value)) < 120

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("store.memory = " + "9" * 5000, "not valid TOML"), ("store.memory = 0x" + "f" * 5000, "less than 2^63"),
            ("fit.weights.force = inf", "fit.weights.force: expected a finite number, found inf"),
            ("fit.weights = {a = [1, nan]}", "fit.weights.a[1]: expected a finite number, found nan"),
            ("fit.regulariser = {kind = 'ridge', alpha = 1e400}", "fit.regulariser.alpha: expected a finite"),
            ("search.grid.regulariser = {kind = 'ridge', alpha = [1, " + "9" * 400 + "]}", "alpha[1]: expected an int"),
            ("basis.pairs.CC.rmin = 1" + "0" * 309, "basis.pairs.CC.rmin: expected an integer of less than 2^63"),
            ("executor.workers = 18446744073709551616", "executor.workers: expected an integer of less than 2^63"),
            ("data = [{path = 'x', start = 99999999999999999999}]", "data[0].start"),
            ("x = " + "[" * 3000, "not valid TOML"),
        ],
        ids=lambda v: v[:24],
    )  # fmt: skip
    def test_numbers_that_nothing_holds(self, tmp_path, text, said):
        table = {} if text.startswith("data") else {"data": [{"path": "x"}]}
        table |= {} if text.startswith("basis") else {"basis": small_basis(ORDERS).to_dict()}
        path = write_toml(tmp_path / "input.toml", **table)
        path.write_text(path.read_text() + text + "\n")
        with pytest.raises(InputError) as caught:
            Input.from_toml(path)
        assert said in str(caught.value)
        assert len(str(caught.value)) < 400

    def test_a_mark_of_the_byte_order_is_no_fault(self, minimal, tmp_path):
        path = write_toml(tmp_path / "input.toml", **minimal)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert Input.from_toml(path).basis == Basis.from_toml(path) == small_basis(ORDERS)


class TestAllAtOnce:
    """Everything that is wrong is told in one run."""

    WRONG = {  # noqa: RUF012
        "basis": {
            "elements": ["C", "N"], "orders": [3, 2, 2], "cutof": "CUBIC", "transform": "MORSE",
            "pairs": {"CC": {"rmin": 0.9, "rmax": 5.0}, "CN": {"rmin": "a", "rmax": 5.0, "lambda": 1.0}, "CO": {}},
            "three_body": {"rmaxx": 4.0},
        },
        "data": [{"pth": "x.extxyz"}, {"path": 3}, {"path": "y", "energy_kye": "e"}],
        "fit": {
            "regularizer": {"kind": "rigde", "alpha": 1.0}, "objective": "lsqq", "policy": "ignore", "weigths": {},
            "penalty": {"depth": 1}, "blocks": {"CN": {"method": "x"}},
        },
        "hold_out": {"fraction": 2.0, "group": ["a"]}, "store": {"memory": "much"}, "output": {"units": "Ha"},
        "executor": {"kind": "threads", "workers": 0}, "frozen": {"file": []},
        "search": {
            "strategy": "random", "fold": 5, "folds": {"count": 1},
            "grid": {"regularizer": {"kind": "ridge", "alpha": -1.0}, "exclud": []}, "blocks": {"CN": {"order": 1}},
        },
        "seach": {},
    }  # fmt: skip
    SAID = (
        "input: unknown keys ['seach']; known are [", "did you mean 'search'?",
        "basis: unknown keys ['cutof']", "basis.pairs.CO: expected", "basis.pairs.CC.lambda: missing",
        "basis.pairs.CN.rmin: expected", "basis.three_body: unknown keys ['rmaxx']", "did you mean 'rmax'?",
        "data[1]: unknown keys ['pth']", "did you mean 'path'?", "data[1].path: missing",
        "data[2] (3).path: expected a string or a list of strings, found 3", "did you mean 'energy_key'?",
        "fit: unknown keys ['weigths']", "did you mean 'weights'?", "fit.policy: expected one of",
        "fit.penalty: unknown keys ['depth']", "fit.objective: expected one of",
        "fit.regulariser: regulariser kind: expected one of none, svd, ridge", "(did you mean 'ridge'?)",
        "fit.blocks.CN.method: expected one of", "hold_out: unknown keys ['group']; known are [",
        "hold_out.fraction: expected a number above 0 and below 1, found 2.0", "store.memory: expected bytes",
        "output.units: expected one of", "executor.kind: expected one of", "executor.workers: expected at least 1",
        "frozen: unknown keys ['file']", "search: unknown keys ['fold']", "search.strategy: expected",
        "search.folds.count: expected", "search.grid: unknown keys ['exclud']",
        "search.grid.regulariser: alpha: expected", "search.blocks.CN: unknown keys ['order']",
    )  # fmt: skip

    def test_of_a_file(self, tmp_path):
        path = write_toml(tmp_path / "input.toml", **self.WRONG)
        with pytest.raises(InputError) as caught:
            Input.from_toml(path)
        missing = [said for said in self.SAID if said not in str(caught.value)]
        assert not missing, str(caught.value)
        head, *lines = str(caught.value).splitlines()
        assert head == f"{path}: {len(lines)} problems:"
        assert all(line.startswith("  ") for line in lines)
        assert len(lines) == len(set(lines)) == len(caught.value.problems) < 40, "each is told once"

    def test_of_a_basis(self):
        with pytest.raises(BasisError) as caught:
            Basis.from_dict(self.WRONG["basis"])
        assert len(caught.value.problems) == 5

    def test_the_command_exits_with_2_and_tells_all(self, tmp_path, capsys):
        path = write_toml(tmp_path / "input.toml", **self.WRONG)
        assert cli.main(["fit", str(path)]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"hiertl-dist: InputError: {path}: ")
        assert all(said in err for said in self.SAID)

    def test_each_problem_by_itself_is_told_as_it_is(self, minimal, tmp_path):
        with pytest.raises(BasisError, match=r"^basis: unknown keys \['cutof'\]"):
            Input.from_dict(minimal | {"basis": minimal["basis"] | {"cutof": "CUBIC"}})
        with pytest.raises(InputError, match=r"^frozen: unknown keys \['file'\]; .*'files'\]; did you mean"):
            Input.from_dict(minimal | {"frozen": {"file": []}})

    @pytest.mark.parametrize("wrong", [
        [], 3, "x", None, {"basis": [], "data": {}}, {"basis": {}, "data": [3]}, {"basis": {"elements": [3, "C"]}},
        {"basis": {"elements": ["C"], "pairs": {"CC": 3}, "types": {"CC": 3, "CCC": []}, "blocks": {"C": 3}}},
        {"basis": {"elements": ["C"], "pairs": [], "orders": 3, "three_body": 3, "exclude": [3],
         "energies": {"C": ""}}},
    ])  # fmt: skip
    def test_of_anything(self, wrong):
        with pytest.raises(HiertlError):
            Input.from_dict(wrong)


class TestSpelling:
    """British and American keys are the same; both at once are not."""

    def test_everywhere(self, minimal):
        fit = {"regularizer": {"kind": "lasso", "lam": 1.0, "normalise": True},
               "blocks": {"CN": {"regularizer": {"kind": "ridge", "alpha": 2.0}}}}  # fmt: skip
        grid = {"regularizer": [{"kind": "ridge", "alpha": [1.0, 2.0]}]}
        job = Input.from_dict(minimal | {"fit": fit, "search": {"grid": grid, "blocks": {"CN": grid}}})
        assert job.fit.regulariser["kind"] == "lasso"
        assert regulariser_from_dict(job.fit.regulariser).normalize
        assert job.block_fits["CN"].regulariser["alpha"] == 2.0
        assert len(job.search.grid.axes["regulariser"]) == len(job.search.blocks["CN"].axes["regulariser"]) == 2
        assert fit_settings({"regularizer": {"kind": "none"}}) == FitSettings()

    @pytest.mark.parametrize("table", [
        {"fit": {"regularizer": {"kind": "none"}, "regulariser": {"kind": "none"}}},
        {"fit": {"blocks": {"CN": {"regularizer": {"kind": "none"}, "regulariser": {"kind": "none"}}}}},
        {"search": {"grid": {"regularizer": {"kind": "none"}, "regulariser": {"kind": "none"}}}},
        {"fit": {"regulariser": {"kind": "lasso", "lam": 1.0, "normalise": True, "normalize": False}}},
    ])  # fmt: skip
    def test_both_are_refused(self, minimal, table):
        with pytest.raises(InputError, match=r"are the same key, given twice|given in two spellings"):
            Input.from_dict(minimal | table)


class TestSettingsOfBlocks:
    GENERAL = {"regulariser": {"kind": "ridge", "alpha": 1e-2}, "weights": {"energy": 2.0}, "method": "auto"}  # noqa: RUF012

    def test_they_replace_the_general_ones(self, minimal):
        own = {"regulariser": {"kind": "lasso", "lam": 1e-3}, "include_fewer": True}
        job = Input.from_dict(minimal | {"fit": self.GENERAL | {"blocks": {"N-C": own}}})
        assert job.block_fits == {"CN": fit_settings(self.GENERAL | own)}
        assert job.block_fits["CN"].weights == {"energy": 2.0}
        assert job.fit == fit_settings(self.GENERAL)
        assert not job.fit.include_fewer

    @pytest.mark.parametrize(
        ("fit", "partial"),
        [
            ({"partial": ["C"]}, {"CN": ("C",)}),  # of C and N nothing is below
            ({"partial": ["C", "N"]}, {"CN": ("C", "N")}),
            ({"blocks": {"CN": {"partial": ["N"]}}}, {"CN": ("N",)}),
            ({"partial": ["C", "N"], "blocks": {"CN": {"partial": []}}}, {"CN": ()}),
        ],
    )
    def test_what_is_left_free(self, minimal, fit, partial):
        assert Input.from_dict(minimal | {"fit": fit}).partial == partial


class TestFrames:
    @pytest.fixture
    def frames(self):
        groups = ("t01_C", "t02_C", "t03_N", "t03_CN", "t11_C")
        return [random_frame(("C", "N"), i, group=g) for i, g in enumerate(groups)]

    @pytest.mark.parametrize(
        ("patterns", "held"),
        [([], []), (["t03*"], [2, 3]), (["*_C", "t03_CN"], [0, 1, 3, 4]), (["t0[12]_?"], [0, 1])],
    )
    def test_hold_out_patterns(self, tmp_path, frames, patterns, held):
        job = Input.from_toml(write_job(tmp_path, frames, hold_out={"groups": patterns}))
        fitted, out = job.read_frames()
        assert [f.group for f in out] == [frames[i].group for i in held]
        assert [f.group for f in fitted] == [f.group for i, f in enumerate(frames) if i not in held]

    def test_a_pattern_without_a_match_is_refused(self, tmp_path, frames):
        job = Input.from_toml(write_job(tmp_path, frames, hold_out={"groups": ["t01*", "T03*"]}))
        with pytest.raises(InputError, match=r"'T03\*' matches no group; there are \['t01_C', 't02_C'"):
            job.read_frames()

    def test_what_is_written_here_is_read_back(self, tmp_path, frames):
        for path in (write_extxyz(tmp_path / "a.extxyz", frames), write_xyzf(tmp_path / "a.xyzf", frames)):
            for frame, again in zip(frames, read_frames(path), strict=True):
                assert again.species == frame.species
                for label in ("positions", "cell", "forces", "stress", "energy"):
                    np.testing.assert_allclose(getattr(again, label), getattr(frame, label), rtol=1e-13)

    def test_several_sources_in_order(self, tmp_path, frames):
        write_xyzf(tmp_path / "b.xyzf", frames[:3])
        sources = [
            {"path": "data.extxyz", "group": "first", "start": 1, "stop": 3}, {"path": "*.xyzf"},
            {"path": str(tmp_path / "data.extxyz"), "group_key": "config", "stop": 1},
        ]  # fmt: skip
        fitted, _ = Input.from_toml(write_job(tmp_path, frames, data=sources)).read_frames()
        assert [f.group for f in fitted] == ["first", "first", "b", "b", "b", "t01_C"]

    def test_options_of_a_source_reach_the_reader(self, tmp_path, frames):
        job = Input.from_toml(write_job(tmp_path, frames, data=[{"path": "data.extxyz", "energy_key": "free_energy"}]))
        with pytest.raises(HiertlError, match="no frame has the energy key 'free_energy'"):
            job.read_frames()


class TestFmSetup:
    def test_it_gives_basis_and_frames(self, tmp_path):
        frames = random_frames({"C": 2, "CN": 1})
        write_fm_setup(tmp_path, frames)
        job = Input.from_toml(write_toml(tmp_path / "input.toml", fm_setup="fm_setup.in"))
        assert job.fm_setup == tmp_path / "fm_setup.in"
        chosen = Input.from_toml(write_toml(tmp_path / "b.toml", fm_setup="fm_setup.in", fit={"penalty": "auto"}))
        assert (job.fit.penalty, chosen.fit.penalty) == (None, "auto")
        assert {t.name: t.order for t in job.basis.types} == {
            "C": 1, "N": 1, "CC": 3, "NN": 3, "CN": 3, "CCC": 2, "NNN": 2, "CCN": 2, "CNN": 2,
        }  # fmt: skip
        assert job.basis.pair("C", "N").morse_lambda == 1.4
        fitted, held = job.read_frames()
        assert [f.formula for f in fitted] == [f.formula for f in frames]
        assert not held
        assert any("ATMMASS" in note for note in job.notes)

    def test_it_may_be_held_out_by_trajectory(self, tmp_path):
        write_fm_setup(tmp_path, random_frames({"C": 2}))
        path = write_toml(tmp_path / "input.toml", fm_setup="fm_setup.in", hold_out={"every": 2})
        fitted, held = Input.from_toml(path).read_frames()
        assert (len(fitted), len(held)) == (1, 1)
        path = write_toml(tmp_path / "input.toml", fm_setup="fm_setup.in", hold_out={"groups": ["train"]})
        with pytest.raises(InputError, match=r"hold_out: groups = \['train'\] would hold out all 2 frames"):
            Input.from_toml(path).read_frames()

    def test_data_beside_it_is_refused(self, tmp_path):
        write_fm_setup(tmp_path, random_frames({"C": 1}))
        path = write_toml(tmp_path / "input.toml", fm_setup="fm_setup.in", data=[{"path": "x.xyz"}])
        with pytest.raises(InputError, match=r"its own trajectories; \[\[data\]\] beside it"):
            Input.from_toml(path)

    def test_its_errors_name_both_files(self, tmp_path):
        write_fm_setup(tmp_path, random_frames({"C": 1}), fitcoul="true")
        path = write_toml(tmp_path / "input.toml", fm_setup="fm_setup.in")
        with pytest.raises(InputError) as caught:
            Input.from_toml(path)
        assert str(path) in str(caught.value)
        assert "fm_setup.in, line 11: FITCOUL is true" in str(caught.value)
