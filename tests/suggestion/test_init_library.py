"""``init --library``: an input for what a library lacks, whose cutoffs, orders and wall are those of the library."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import tomllib
from dataclasses import replace

import pytest
from job_files import write_extxyz, write_toml
from synthetic import files_below, labelled, random_frames, random_parameters, small_basis

from hiertl_dist import Basis, Input, Model, Penalty, add_to_library, open_library, suggest_input
from hiertl_dist.cli import commands as cli
from hiertl_dist.errors import InputError, MismatchError
from hiertl_dist.model.parameters import only_blocks

STATED = {"theory": "PBE, 520 eV", "energy_reference": {"C": -154.9, "unit": "eV"}}
WALL = Penalty(2e4, 0.05)
ORDERS = (3, 2, 2)
FRAMES = labelled(
    random_frames({"C": 6, "N": 8, "CN": 8}), random_parameters(small_basis((4, 3, 0)), 8)
)  # fmt: skip


def of(*names):
    return [f for f in FRAMES if str(f.element_set) in names]


def run(*words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(w) for w in words])
    return code, out.getvalue(), err.getvalue()


def done(*words):
    code, out, err = run(*words)
    assert code == 0, err
    return out


@pytest.fixture(scope="module")
def carbon(tmp_path_factory):
    """A library of C with cutoffs, λ, orders and a wall that init would not choose."""
    folder = tmp_path_factory.mktemp("carbon")
    write_extxyz(folder / "data.extxyz", of("C"))
    pairs = {"CC": {"rmin": 0.85, "rmax": 4.5, "lambda": 1.31}}
    basis = {"elements": ["C"], "orders": list(ORDERS), "cutoff": "CUBIC", "pairs": pairs,
             "three_body": {"rmax": 4.2}, "four_body": {"rmax": 3.9}}  # fmt: skip
    wall = {"scale": WALL.scale, "distance": WALL.distance}
    path = write_toml(
        folder / "input.toml", basis=basis, data=[{"path": "data.extxyz"}], executor={"kind": "serial"},
        library={"path": "lib", **STATED}, fit={"regulariser": {"kind": "ridge", "alpha": 0.01}, "penalty": wall},
    )  # fmt: skip
    done("fit", path)
    return folder


@pytest.fixture
def library(carbon, tmp_path):
    shutil.copytree(carbon / "lib", tmp_path / "lib")
    write_extxyz(tmp_path / "more.extxyz", of("N", "CN"))
    return tmp_path


def test_the_input_runs_upon_the_library_and_changes_nothing_of_it(library):
    before = files_below(library / "lib", "blocks")
    out = done("init", library / "more.extxyz", "-o", library / "in" / "input.toml", "--library", library / "lib",
               "--theory", "pbe 520 eV", "--energy-reference", "{ C = -154.90, N = -1.5, unit = 'eV' }")  # fmt: skip
    assert "nobody has said" not in out
    text = (library / "in" / "input.toml").read_text()
    table = tomllib.loads(text)
    assert table["library"]["theory"] == "pbe 520 eV"
    assert (library / "in" / table["library"]["path"]).resolve() == library / "lib" or table["library"][
        "path"
    ].startswith("/")
    assert table["fit"]["penalty"] == {"scale": WALL.scale, "distance": WALL.distance}
    assert "partial" not in text
    pairs = table["basis"]["pairs"]
    assert pairs["CC"] == {"rmin": 0.85, "rmax": 4.5, "lambda": 1.31}
    assert {p["rmax"] for p in pairs.values()} == {4.5}, "all pairs have one, and the library's is that"
    assert (table["basis"]["cutoff"], table["basis"]["blocks"]["C"]) == ("CUBIC", {"orders": list(ORDERS)})
    assert (table["basis"]["three_body"], table["basis"]["four_body"]) == ({"rmax": 4.2}, {"rmax": 3.9})
    assert re.search(r"CC = .* # of the library; closest", text)
    basis, theirs = Basis.from_dict(table["basis"]), open_library(library / "lib").find("C").parameters().basis
    assert basis.restricted("C").digest == theirs.digest
    # new pairs have their wall below the contacts, where the library's says it begins
    shortest = {p.name: p.shortest for p in suggest_input(of("N", "CN")).survey.pairs}
    for name in ("CN", "NN"):
        assert 0.5 * shortest[name] < pairs[name]["rmin"] <= 0.7 * shortest[name] + 1e-9
        assert pairs[name]["rmin"] + WALL.distance < shortest[name]
    out = done("fit", library / "in" / "input.toml", "--executor", "serial")
    assert "taken as they are: C" in out
    after = files_below(library / "lib", "blocks")
    assert {k: after[k] for k in before} == before
    assert open_library(library / "lib").names == ("C", "N", "CN")
    assert Model.read(library / "in" / "results" / "model.params.txt").parameters.penalty == WALL


def test_what_nobody_stated_is_taken_of_the_library_and_said(library):
    found = suggest_input(of("N", "CN"), [{"path": "x"}], library=library / "lib")
    assert found.table["library"] == {"path": str(library / "lib"), **STATED}
    said = " ".join(found.warnings)
    assert said.count("nobody has said it of these") == 2
    assert "energy_reference has no value of N" in said
    assert Input.from_dict({**found.table, "data": [{"path": "x"}]}, folder=library).library.theory == STATED["theory"]


@pytest.mark.parametrize(
    ("option", "message"),
    [(("--theory", "SCAN"), "theory: the block and what is stated of these frames have 'PBE, 520 eV' and 'SCAN'"),
     (("--energy-reference", "{ C = -1, unit = 'eV' }"), "energy_reference: the block and what is stated of these "
      "frames have C = -154.9 and C = -1")],
)  # fmt: skip
def test_statements_that_contradict_the_library_are_refused(library, option, message):
    code, _, err = run(
        "init", library / "more.extxyz", "-o", library / "in.toml", "--library", library / "lib", *option
    )
    assert code == 2
    assert message in err
    assert not (library / "in.toml").exists()


def added(folder, name, basis, penalty=None, **stated):
    """A block of random coefficients in a library."""
    own = only_blocks(random_parameters(basis, 1), {name})
    Model(own if penalty is None else replace(own, penalty=penalty)).write(folder / f"{name}.txt")
    add_to_library(folder / "lib", folder / f"{name}.txt", **{"theory": "PBE", "energy_reference": "atoms", **stated})


def test_blocks_that_differ_among_themselves_are_refused_with_both_values(tmp_path):
    one, other = (small_basis((2, 0, 0), ("C", "N"), rmax=r) for r in (5.0, 4.9))
    added(tmp_path, "C", one)
    added(tmp_path, "N", one, Penalty(3e4, 0.1), theory="SCAN")
    added(tmp_path, "CN", other)
    with pytest.raises(MismatchError) as refused:
        suggest_input(of("C", "N", "CN"), library=tmp_path / "lib")
    text = str(refused.value)
    for part in ("has 5.0, ", "has 4.9", str(Penalty()), str(Penalty(3e4, 0.1)), "'PBE' and 'SCAN'"):
        assert part in text
    assert "hiertl-dist library use" in text


def test_single_types_of_a_library_are_written_one_by_one(tmp_path):
    """A published block may lack types, and have cutoffs of its own for others."""
    whole = small_basis((3, 2, 0), ("C", "N"), types={"CCN": {"rmax": {"CC": 4.0, "CN": 3.5}}}, exclude=["CNN"])
    for name in ("C", "N", "CN"):
        added(tmp_path, name, whole)
    frames = labelled(random_frames({"CNO": 6, "O": 6}), random_parameters(small_basis((2, 2, 0), ("C", "N", "O")), 2))
    found = suggest_input(frames, library=tmp_path / "lib")
    assert found.table["basis"]["exclude"] == ["CNN"]
    basis = Basis.from_dict(tomllib.loads(found.toml())["basis"])
    assert basis.restricted("CN").digest == whole.digest
    assert [str(b.name) for b in found.blocks] == ["O", "CNO"]
    assert basis.type_named(("C", "N", "O")) is not None


def test_what_cannot_be_fitted_upon_a_library_is_refused(library):
    path = library / "lib"
    with pytest.raises(InputError, match="has every block of which there are frames, C: nothing is to be fitted"):
        suggest_input(of("C"), library=path)
    with pytest.raises(InputError, match="nor any frame has N alone, which CN stands on"):
        suggest_input(of("CN"), library=path)
    with pytest.raises(InputError, match="has no block of N alone, it has C"):
        suggest_input(of("N"), library=path)
    with pytest.raises(InputError, match="statements for a library"):
        suggest_input(of("N"), theory="PBE")
    many = [replace(f, species=tuple("CNOHSCNOHSCN")) for f in of("N")[:1]]
    with pytest.raises(InputError, match="more elements than a block can have"):
        suggest_input([*of("N"), *many], library=path)


def nearer(frame, distance):
    """The same with its second atom so near, Å, to the first."""
    positions = frame.positions.copy()
    positions[1] = positions[0] + (distance, 0.0, 0.0)
    return replace(frame, positions=positions)


def test_contacts_inside_the_library_are_told(library):
    close = nearer(of("C")[0], 0.8)
    found = suggest_input([*of("N", "CN"), close], library=library / "lib")
    (note,) = [n for n in found.warnings if "the library's rmin is 0.85 Å" in n]
    assert "CC come as near as 0.8" in note
    found = suggest_input([*of("N", "CN"), nearer(close, 0.88)], library=library / "lib")
    assert any("the library's wall begins at 0.900 Å: it acts on these frames" in n for n in found.warnings)
    assert not any("the library's" in n for n in suggest_input(of("N", "CN"), library=library / "lib").warnings[-1:])


def test_json_has_the_table(library):
    out = done("init", library / "more.extxyz", "-o", library / "in.toml", "--library", library / "lib", "--json")
    assert json.loads(out)["input"]["library"]["energy_reference"] == STATED["energy_reference"]
