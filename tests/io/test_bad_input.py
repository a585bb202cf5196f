"""Kinds of bad input, each with the exception and what its message must name.

``python tests/io/test_bad_input.py`` prints each kind with its message.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from job_files import ORDERS, job_frames, write_fm_setup, write_job
from synthetic import random_frames, random_parameters, small_basis

from hiertl_dist import Basis, Dataset, Frame, Model, design_rows, frames_from_ase, read_fm_setup, read_frames
from hiertl_dist.algebra import UnsafeGram
from hiertl_dist.cli import commands as cli
from hiertl_dist.design_matrix.assembly import assemble
from hiertl_dist.design_matrix.planning import check_disk, make_plan
from hiertl_dist.design_matrix.resources import check_resources
from hiertl_dist.design_matrix.store import DesignStore
from hiertl_dist.errors import (
    BasisError,
    FrameError,
    HiertlError,
    IncompleteStoreError,
    InnerCutoffError,
    InputError,
    MismatchError,
    MissingFileError,
    ParameterFileError,
    ResourceError,
    StoreError,
    UnknownBlockError,
)
from hiertl_dist.executors import executor
from hiertl_dist.fitting.block_fit import fit_block
from hiertl_dist.fitting.hierarchy import fit_hierarchy
from hiertl_dist.fitting.settings import FitSettings, HierarchyOptions
from hiertl_dist.jobs.input_file import Input
from hiertl_dist.model.solution import Solution

BASIS = small_basis(ORDERS)
FRAMES, TRUTH = job_frames()

EXTXYZ = """\
2
Lattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.5
C 0.0 0.0 0.0  0.1 0.2 0.3
N 1.5 0.0 0.0  -0.1 -0.2 -0.3
"""
XYZF = """\
2
9.0 9.0 9.0 1.0 2.0 3.0 -12.5
C 0.0 0.0 0.0  0.1 0.2 0.3
N 1.5 0.0 0.0  -0.1 -0.2 -0.3
"""


@dataclass(frozen=True)
class Kind:
    """A kind of bad input: what it is, what is done with it in a folder, and what must come of it."""

    area: str
    name: str
    act: Callable[[Path], Any]
    error: type[Exception]
    builtin: type[Exception]
    parts: tuple[str, ...]
    cause: type[Exception] | None = None


KINDS: list[Kind] = []


def kind(area, name, error, builtin, *parts, cause=None):
    """Enters a function of a folder into the table."""

    def enter(act):
        KINDS.append(Kind(area, name, act, error, builtin, parts, cause))
        return act

    return enter


def replaced(text, old, new):
    assert old in text, f"{old!r} is not in what is to be spoilt"
    return text.replace(old, new, 1)


# ---- frames


def trajectory(old, new, *, text=EXTXYZ, name="bad.extxyz"):
    """Reads a good frame and one with something replaced."""

    def act(folder):
        path = folder / name
        path.write_text(text + replaced(text, old, new))
        return read_frames(path)

    return act


for what, change, line, said in [
    ("missing columns", ("N 1.5 0.0 0.0  -0.1 -0.2 -0.3", "N 1.5 0.0 0.0"), 8, "expected 7 columns, found 4"),
    ("a word for a number", ("1.5 0.0", "1.5 zero"), 8, "expected a finite number for column 3, found 'zero'"),
    ("a number that is not finite", ("0.1 0.2", "nan 0.2"), 7, "expected a finite number for column 5, found 'nan'"),
    ("a number too large", ("0.3\nN", "1e300\nN"), 7, "expected a finite number for column 7, found '1e300'"),
    ("another unit", ("energy=-1.5", "energy=-1.5 Ha"), 6, "expected an energy in eV, found energy='-1.5 Ha'"),
    ("no value", ("energy=-1.5", "energy="), 6, "expected a finite number for the energy energy, found ''"),
    ("two energies", ("energy=-1.5", "energy=-1.5 energy=2"), 6, "the key 'energy' is given twice, as '-1.5'"),
    (
        "no name of a type",
        ("N 1.5", "1.5 1.5"),
        8,
        "expected a chemical symbol or the name of a type of atoms, found '1.5'",
    ),
    ("a singular cell", ("0 9 0 0 0 9", "9 0 0 0 0 9"), 6, "singular cell, volume 0 Å³"),
    ("a singular slab", ("0 9 0 0 0 9", '9 0 0 0 0 9" pbc="T T F'), 6, "singular cell: pbc is T T F"),
    ("a periodicity that is none", ("energy", "pbc=y energy"), 6, "expected three of T and F in pbc, found 'y'"),
    ("coinciding atoms", ("N 1.5", "N 9.001"), 8, "atoms 1 (line 7) and 2 (line 8) coincide: 0.001 Å apart"),
    ("an unclosed quote", ('9" Prop', "9 Prop"), 6, "expected key=value pairs"),
    ("no number of atoms", ("2\n", "two\n"), 5, "expected the number of atoms, a positive integer, found 'two'"),
]:
    kind("frames", what, FrameError, ValueError, f"bad.extxyz, frame 2, line {line}: {said}")(trajectory(*change))

kind("frames", "missing atoms", FrameError, ValueError, "bad.extxyz, frame 2, line 7", "expected 2 atoms, found 1")(
    trajectory("\nN 1.5 0.0 0.0  -0.1 -0.2 -0.3\n", "")
)
kind("frames", "an xyzf tail of five numbers", FrameError, ValueError, "bad.xyzf, frame 2, line 6", "found 8 numbers")(
    trajectory("-12.5", "-12.5 7.0", text=XYZF, name="bad.xyzf")
)


@kind("frames", "a damaged gzip file", FrameError, ValueError, "bad.extxyz.gz: damaged gzip file after line")
def _(folder):
    import gzip

    packed = gzip.compress((EXTXYZ * 50).encode())
    (folder / "bad.extxyz.gz").write_bytes(packed[: len(packed) // 2])
    return read_frames(folder / "bad.extxyz.gz")


@kind("frames", "a label key that no frame has", FrameError, ValueError, "a.extxyz", "no frame has the energy key 'E0'")
def _(folder):
    (folder / "a.extxyz").write_text(EXTXYZ)
    return read_frames(folder / "a.extxyz", energy_key="E0")


@kind("frames", "a pattern without a match", MissingFileError, FileNotFoundError,
      "*.xyz: no file matches this pattern; ", "similar names in ", ": a.extxyz")  # fmt: skip
def _(folder):
    (folder / "a.extxyz").write_text(EXTXYZ)
    return read_frames(folder / "*.xyz")


@kind("frames", "a file that is not there", MissingFileError, FileNotFoundError, "there is no file ", "trian.extxyz",
      "similar names in ", ": train.extxyz")  # fmt: skip
def _(folder):
    (folder / "train.extxyz").write_text(EXTXYZ)
    return read_frames(folder / "trian.extxyz")


@kind("frames", "a folder instead of a file", InputError, ValueError, "expected a file, found the folder ")
def _(folder):
    return read_frames(folder)


@kind("frames", "labels of atoms that have moved since", FrameError, ValueError, "image 2: its labels are of other "
      "atoms", "positions changed", "atoms.calc = None")  # fmt: skip
def _(folder):
    ase = pytest.importorskip("ase")
    from ase.calculators.singlepoint import SinglePointCalculator

    images = [ase.Atoms("CN", [[0, 0, 0], [1.5, 0, 0]]) for _ in range(2)]
    for atoms in images:
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0)
    images[1].positions += 0.1
    return frames_from_ase(images)


@kind("frames", "a path instead of Atoms", FrameError, ValueError, "expected ASE Atoms, found the path 'a.extxyz'",
      "read_frames reads files")  # fmt: skip
def _(folder):
    return frames_from_ase("a.extxyz")


@kind("frames", "an unknown extension", InputError, ValueError, "frames.dat: unknown extension '.dat'", "'.xyzf'")
def _(folder):
    (folder / "frames.dat").write_text(EXTXYZ)
    return read_frames(folder / "frames.dat")


@kind("frames", "a stress without a cell", FrameError, ValueError, "run 7: it has a stress but no cell")
def _(folder):
    return Frame(("C",), np.zeros((1, 3)), stress=np.ones(6), origin="run 7")


@kind("frames", "forces of another shape", FrameError, ValueError, "run 7: expected forces of shape (2, 3)", "(3, 2)")
def _(folder):
    return Frame(("C", "N"), np.eye(3)[:2], forces=np.zeros((3, 2)), origin="run 7")


@kind("frames", "an element that the basis lacks", FrameError, ValueError, "run 7: N not among the elements ('C',)")
def _(folder):
    return make_plan([replace(FRAMES[-1], origin="run 7")], small_basis(ORDERS, ("C",)))


@kind(
    "frames",
    "a pair inside an inner cutoff",
    InnerCutoffError,
    ValueError,
    "1 pair of atoms",
    "run 7: atoms 0 (C) and 1 (N) are 0.8000 Å apart",
    "inner cutoff of 0.9000 Å",
    "skip_frame, lsq or damp",
)
def _(folder):
    frame = Frame(("C", "N"), np.array([[0, 0, 0], [0.8, 0, 0]]), np.eye(3) * 9, 1.0, origin="run 7")
    return make_plan([frame], BASIS)


# ---- basis


def basis(**change):
    return lambda folder: Basis.from_dict(BASIS.to_dict() | change)


GOOD_PAIRS = BASIS.to_dict()["pairs"]
for what, change, said in [
    ("an unknown key", {"order": 4}, ("basis: unknown keys ['order']", "known are [", "'orders'")),
    ("a missing pair", {"pairs": {"CC": GOOD_PAIRS["CC"]}}, ("basis.pairs.CN: missing",)),
    ("cutoffs in the wrong order", {"pairs": GOOD_PAIRS | {"CN": GOOD_PAIRS["CN"] | {"rmin": 6.0}}},
     ("CN: expected 0 ≤ rmin ≤ rmax", "rmin 6.0, rmax 5.0")),
    ("MORSE without lambda", {"pairs": GOOD_PAIRS | {"CC": {"rmin": 1.0, "rmax": 5.0}}},
     ("basis.pairs.CC.lambda: missing",)),
    ("no chemical symbol", {"elements": ["C", "X:"], "pairs": {}, "types": {}, "one_body": True}, ("'X:'", "symbol")),
    ("an unknown cutoff function", {"cutoff": "COSINE"}, ("expected 'CUBIC' or 'TERSOFF fraction', found 'COSINE'",)),
]:  # fmt: skip
    kind("basis", what, BasisError, ValueError, *said)(basis(**change))


@kind("basis", "a block that is not there", UnknownBlockError, KeyError, "no block 'CO'", "the basis has C, N, CN")
def _(folder):
    return design_rows(FRAMES[:1], BASIS, ["CO"])


# ---- input file


def input_file(**tables):
    return lambda folder: Input.from_toml(write_job(folder, FRAMES, **tables))


for what, change, said in [
    ("an unknown key", {"fit": {"regularisor": {}}},
     ("input.toml: fit: unknown keys ['regularisor']", "did you mean 'regulariser'?")),
    ("both spellings of a key", {"fit": {"regularizer": {"kind": "none"}, "regulariser": {"kind": "none"}}},
     ("input.toml: fit: 'regularizer' and 'regulariser' are the same key",)),
    ("a value of another kind", {"executor": {"workers": "two"}},
     ("input.toml: executor.workers: expected an integer, found 'two'",)),
    ("memory that is none", {"store": {"memory": "much"}}, ("input.toml: store.memory: expected bytes", "'much'")),
    ("settings of a block that is not there", {"fit": {"blocks": {"CO": {}}}},
     ("input.toml: fit.blocks.CO: ", "['O']", "['C', 'N']")),
    ("data beside fm_setup", {"fm_setup": "fm_setup.in", "basis": None}, ("input.toml: ", "fm_setup.in", "[[data]]")),
]:  # fmt: skip
    kind("input file", what, InputError, ValueError, *said)(input_file(**change))


@kind("input file", "no TOML", InputError, ValueError, "input.toml: not valid TOML", "line 2")
def _(folder):
    (folder / "input.toml").write_text("[basis]\nelements = C, N\n")
    return Input.from_toml(folder / "input.toml")


@kind("input file", "a hold-out pattern without a match", InputError, ValueError, "'t9*'", "there are ['all']")
def _(folder):
    return Input.from_toml(write_job(folder, FRAMES, hold_out={"groups": ["t9*"]})).read_frames()


# ---- fm_setup.in


def fm_setup(old="", new="", **more):
    def act(folder):
        path = write_fm_setup(folder, random_frames({"CN": 2}), **more)
        path.write_text(replaced(path.read_text(), old, new))
        return read_fm_setup(path)

    return act


for what, act, error, said in [
    ("charges to fit", fm_setup(fitcoul="true"), InputError, ("fm_setup.in, line 11", "FITCOUL", "not supported")),
    ("a charge", fm_setup(charge=0.5), InputError, ("fm_setup.in, line 20", "the charge of C is 0.5")),
    ("overcoordination", fm_setup("1.4  false", "1.4  true"), InputError, ("fm_setup.in, line 25", "USEOVRP of CN")),
    ("more frames than there are", fm_setup(count=5), FrameError, ("train.xyzf: expected 5 frames, found 2",)),
    ("an unknown keyword", fm_setup("# FCUTTYP #", "# FCUTTYPE #"), InputError, ("fm_setup.in, line 26", "FCUTTYPE")),
    ("a range", fm_setup("-1 1", "0 1"), InputError, ("fm_setup.in, line 13", "expected the range -1 1, found 0 1")),
    ("no end", fm_setup("# ENDFILE #", ""), InputError, ("fm_setup.in", "expected # ENDFILE #")),
]:
    kind("fm_setup.in", what, error, ValueError, *said)(act)


# ---- parameter files


def parameter_file(old, new, line=None):
    def act(folder):
        path = folder / "C.params.txt"
        Model(random_parameters(small_basis(ORDERS, ("C",)))).write(path)
        path.write_text(replaced(path.read_text(), old, new))
        return Model.read(path)

    return act


for what, act, said in [
    ("a truncated file", parameter_file("ENDFILE", ""), ("C.params.txt", "ENDFILE")),
    ("charges", parameter_file("USECOUL: false", "USECOUL: true"), ("C.params.txt, line ", "USECOUL")),
    ("another range", parameter_file("-1 1", "-0.5 1"), ("C.params.txt, line ", "-0.5")),
]:
    kind("parameter file", what, ParameterFileError, ValueError, *said)(act)


@kind("parameter file", "equivalent rows that differ", ParameterFileError, ValueError, "C.params.txt, line ",
      "found 77.0", "of an equivalent row before it (CCCC, powers 0 1 1 1 1 1")  # fmt: skip
def _(folder):
    path = folder / "C.params.txt"
    Model(random_parameters(small_basis(ORDERS, ("C",)))).write(path)
    lines = path.read_text().splitlines()
    at = max(i for i, line in enumerate(lines) if line.split()[1:7] == ["1", "1", "1", "1", "1", "0"])
    lines[at] = " ".join([*lines[at].split()[:-1], "77.0"])
    path.write_text("\n".join(lines) + "\n")
    return Model.read(path)


@kind("parameter file", "no solution", ParameterFileError, ValueError, "C.npz: expected a solution file")
def _(folder):
    np.savez(folder / "C.npz", coefficients=np.ones(3))
    return Solution.load(folder / "C.npz")


@kind("parameter file", "elements that a model lacks", FrameError, ValueError, "run 7: the model has elements C, the "
      "frame also N", "--ignore-other-elements leaves", "ignore_other_elements=True")  # fmt: skip
def _(folder):
    model = Model(random_parameters(small_basis(ORDERS, ("C",))))
    return model.evaluate(replace(FRAMES[-1], origin="run 7"))


# ---- store


def serial():
    return executor("serial")


@kind("store", "a store of another basis", StoreError, ValueError, "design.zarr: the store was made with",
      "basis.types.CC.order: 3 in the store, 4 now", "--fresh")  # fmt: skip
def _(folder):
    assemble(FRAMES[:2], BASIS, folder / "design.zarr", executor=serial())
    return assemble(FRAMES[:2], small_basis((4, 2, 2)), folder / "design.zarr", executor=serial())


@kind("store", "a folder of other files", StoreError, ValueError, "expected an empty folder or a design store")
def _(folder):
    (folder / "thesis.tex").write_text("years of work")
    return assemble(FRAMES[:2], BASIS, folder, executor=serial())


@kind("store", "no store", StoreError, ValueError, "none.zarr: expected a design store, found none")
def _(folder):
    return DesignStore.open(folder / "none.zarr")


@kind("store", "a tile that was never made", IncompleteStoreError, RuntimeError, "blocks/C", "no tile ffffffffffff")
def _(folder):
    return assemble(FRAMES[:2], BASIS, folder / "design.zarr", executor=serial()).store.read("blocks/C", "f" * 64)


@kind("store", "a damaged tile", StoreError, ValueError, "design.zarr/blocks/C, tile ", "--verify")
def _(folder):
    done = assemble(FRAMES[:2], BASIS, folder / "design.zarr", executor=serial())
    chunk = next((folder / "design.zarr" / "blocks" / "C" / "c").rglob("0"))
    chunk = next(p for p in [chunk, *chunk.rglob("*")] if p.is_file())
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 0xFF
    chunk.write_bytes(data)
    return done.store.read("blocks/C", done.plan.segments[0].key)


# ---- plan


@kind("plan", "too little memory", ResourceError, RuntimeError, "4 workers × 2048 MiB = 8192 MiB of memory needed",
      "1024 MiB available")  # fmt: skip
def _(folder):
    return check_resources(2 * 2**30, "plan", workers=4, memory=2**30)


@kind("plan", "too little disk", ResourceError, RuntimeError, "MiB of disk needed at", "MiB free", "keep_rows = false")
def _(folder):
    return check_disk(2**60, "plan", folder)


@kind("plan", "an unknown policy", InputError, ValueError, "expected one of", "'skip_frame'", "'ignore'")
def _(folder):
    return make_plan(FRAMES[:1], BASIS, policy="ignore")


# ---- frozen models


def frozen(orders=ORDERS, **change):
    def act(folder):
        model = replace(random_parameters(small_basis(orders, ("C",), **change)), source="C.params.txt")
        return fit_block(FRAMES, BASIS, "CN", frozen=[model], executor=serial())

    return act


for what, change, said in [
    ("another outer cutoff", {"rmax": 5.5}, ("pair CC, rmax (Å): the basis has 5.0, C.params.txt has 5.5",)),
    ("another cutoff function", {"cutoff": "TERSOFF 0.75"}, ("the basis has CUBIC, C.params.txt has TERSOFF 0.75",)),
    ("another three-body cutoff", {"three_body": {"rmax": 4.0}},
     ("type CCC, rmax (Å) of its CC edges: the basis has 4.7, C.params.txt has 4.0",)),
    ("a higher order", {"orders": (5, 2, 2)}, ("type CC, order: the basis has 3, C.params.txt has 5",)),
]:  # fmt: skip
    kind("frozen model", what, MismatchError, ValueError, *said)(frozen(**change))


@kind("frozen model", "terms of the block being fitted", MismatchError, ValueError, "ALC-3 has CN terms of block CN",
      "which is being fitted")  # fmt: skip
def _(folder):
    return fit_block(FRAMES, BASIS, "CN", frozen=[replace(TRUTH, source="ALC-3")], executor=serial())


# ---- fit


@kind("fit", "no frames of a block", InputError, ValueError, "block N: no frame contains exactly N", "freeze a file")
def _(folder):
    return fit_hierarchy([f for f in FRAMES if f.elements != {"N"}], BASIS, executor=serial())


@kind("fit", "an unknown regulariser", InputError, ValueError, "regulariser", "ridge", "'tikhonov'")
def _(folder):
    return FitSettings({"kind": "tikhonov"})


@kind("fit", "a negative penalty", InputError, ValueError, "regulariser: alpha", "-1")
def _(folder):
    return FitSettings({"kind": "ridge", "alpha": -1.0})


@kind("fit", "weights of nothing", InputError, ValueError, "weights: 'forces' names no kind or source", "'force'")
def _(folder):
    return fit_block(FRAMES, BASIS, "C", settings=FitSettings(weights={"forces": 2.0}), executor=serial())


@kind("fit", "unsafe normal equations", UnsafeGram, ArithmeticError, "condition number", 'method = "rfactor"')
def _(folder):
    # one frame has fewer rows than there are columns to tell apart
    frames = [f for f in FRAMES if len(f.elements) == 2][:1]
    settings = FitSettings(method="gram", missing_energies="zero")
    return fit_block(frames, BASIS, "CN", settings=settings, executor=serial())


@kind("fit", "a free block that is not below", InputError, ValueError, "partial: N is not a lower block of C")
def _(folder):
    return fit_hierarchy(FRAMES, BASIS, options=HierarchyOptions(partial={"C": ["N"]}), executor=serial())


# ---- command line: exit code and message


def command(code, *words, **tables):
    """Raises SystemExit with the message, if the command ended with the code."""

    def act(folder):
        if tables:
            write_job(folder, FRAMES, **tables)
        screen = io.StringIO()
        with contextlib.redirect_stderr(screen), contextlib.redirect_stdout(io.StringIO()):
            found = cli.main([w.format(folder=folder) for w in words])
        assert found == code, f"exit code {found}, not {code}"
        raise SystemExit(screen.getvalue().strip())

    return act


FILE = "{folder}/input.toml"
SERIAL = {"executor": {"kind": "serial"}}
for what, act, said in [
    ("no such file (exit 2)", command(2, "plan", "{folder}/none.toml"), ("MissingFileError", "none.toml")),
    ("an unknown block (exit 2)", command(2, "fit", FILE, "--blocks", "CO", **SERIAL),
     ("only: ['CO']", "['C', 'N', 'CN']")),
    ("half an option (exit 2)", command(2, "fit", FILE, "--partial", "CN", **SERIAL), ("expected BLOCK:LOWER", "'CN'")),
    ("too little memory (exit 3)", command(3, "plan", FILE, store={"memory": "1 MiB"}),
     (" MiB of memory needed by each of 1 worker, 1 MiB available",)),
    ("a search of nothing (exit 2)", command(2, "search", FILE, **SERIAL), ("expected a [search] table, found none",)),
    ("an unknown key of a grid (exit 2)", command(2, "search", FILE, search={"grid": {"alpha": [1.0]}}, **SERIAL),
     ("input.toml: search.grid: unknown keys ['alpha']", "'regulariser'")),
    ("a search with orders above the basis (exit 2)",
     command(2, "search", FILE, search={"grid": {"orders": [[9, 2, 2]]}}, **SERIAL),
     ("search.grid, for C: orders: type CC has order 3", "9 was asked for")),
    ("a search of nothing, and what is wrong besides, at once (exit 2)",
     command(2, "search", FILE, "--partial", "CN:C", fit={"weights": {"forc": 1.0}}, **SERIAL),
     ("expected a [search] table, found none", "weights: 'forc' names no kind or source")),
    ("more folds than frames (exit 2)", command(2, "summarise", FILE, search={"folds": 99}, **SERIAL),
     ("folds.count: expected at least 99 frames to divide, found 18",)),
    ("a folder of summaries that is none (exit 2)",
     command(2, "search", FILE, search={"summaries": 3}, **SERIAL), ("search.summaries: expected a string, found 3",)),
    ("an unknown executor (exit 2)", command(2, "plan", FILE, executor={"kind": "threads"}),
     ("'threads'", "processes")),
    ("no workers (exit 2)", command(2, "plan", FILE, "--executor", "processes", "--workers", "0", **SERIAL),
     ("workers: expected at least 1, found 0",)),
]:  # fmt: skip
    kind("command line", what, SystemExit, BaseException, *said)(act)


# ---- the test, and the table for people


def outcome(one, folder):
    """The exception that a kind of bad input raises."""
    try:
        found = one.act(folder)
    except (Exception, SystemExit) as error:
        return error
    raise AssertionError(f"nothing was raised, but given back: {found!r}")


def message(error):
    return str(error)


@pytest.mark.parametrize("one", KINDS, ids=lambda k: f"{k.area}: {k.name}")
def test_bad_input_is_refused_by_name(tmp_path, one):
    error = outcome(one, tmp_path)
    assert type(error) is one.error, f"{type(error).__name__}: {error}"
    assert isinstance(error, one.builtin)
    if one.cause is not None:
        assert type(error.__cause__) is one.cause
    said = message(error)
    missing = [part for part in one.parts if part not in said]
    assert not missing, f"{missing} not in {said!r}"


@pytest.mark.parametrize("one", [k for k in KINDS if k.area == "frames"], ids=lambda k: k.name)
def test_an_import_refuses_frames_in_the_same_words(tmp_path, one, monkeypatch):
    def imported(path, **options):
        return list(Dataset.create(tmp_path / "data", path, executor=executor("serial"), **options))

    read = outcome(one, tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "read_frames", imported)
    error = outcome(one, tmp_path)
    assert type(error) is type(read)
    assert message(error) == message(read)
    assert not (tmp_path / "data" / "dataset.json").exists()


def test_the_table_is_long_enough():
    assert len(KINDS) >= 25
    assert len({(k.area, k.name) for k in KINDS}) == len(KINDS)
    assert len({k.area for k in KINDS}) == 10


def test_our_exceptions_are_builtins_too():
    for error in {k.error for k in KINDS} | {k.cause for k in KINDS if k.cause}:
        if error.__module__ == HiertlError.__module__:
            assert issubclass(error, HiertlError)
            assert issubclass(error, (ValueError, RuntimeError, FileNotFoundError, KeyError))


def main():
    """Print each kind of bad input with its message."""
    with tempfile.TemporaryDirectory() as root:
        for i, one in enumerate(KINDS):
            folder = Path(root) / str(i)
            folder.mkdir()
            error = outcome(one, folder)
            said = message(error).replace(str(folder), "…")
            name = "" if isinstance(error, SystemExit) else f"{type(error).__name__}: "
            print(f"{i + 1:3d}  {one.area}: {one.name}\n     {name}" + said.replace("\n", "\n     "))
    return 0


if __name__ == "__main__":
    sys.exit(main())
