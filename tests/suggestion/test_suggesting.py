"""``inspect`` and ``init``: the rules, and that the file which is written runs as it is on small data of every kind."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fm_text import setup
from job_files import write_extxyz, write_xyzf
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist import Basis, Frame, Model, read_frames, suggest_input, survey
from hiertl_dist.cli import commands as cli
from hiertl_dist.errors import InputError
from hiertl_dist.frames.frame_facts import facts_of
from hiertl_dist.frames.frame_table import table_of
from hiertl_dist.model.one_body import one_body_values
from hiertl_dist.suggestion.distances import PairDistances
from hiertl_dist.suggestion.frame_look import informative
from hiertl_dist.suggestion.mean_losses import mean_loss_notes
from hiertl_dist.suggestion.suggesting import choose_hold_out
from hiertl_dist.suggestion.suggesting_basis import choose_cutoffs, choose_pairs
from hiertl_dist.units import EV

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def truth(frames, elements):
    """The frames with labels of a model with other orders, cutoffs and λ than are suggested."""
    basis = small_basis(orders=(4, 3, 0), elements=elements)
    return labelled(frames, random_parameters(basis, seed=8))


def made(counts, groups=("all",), seed=1, elements=None):
    return truth(random_frames(counts, seed, groups=groups), elements or sorted(set("".join(counts))))


def suggested(frames, **more):
    return suggest_input(frames, [{"path": ["x.extxyz"]}], **more)


# ---- rules


def pair(shortest, peak=None, name=("C", "C"), longest=8.0):
    return PairDistances(name, 100, 1, shortest, "somewhere", longest, peak)


def test_lambda_is_the_first_peak_and_rmin_well_below_the_closest_contact():
    (found,), _ = choose_pairs([pair(1.017, 1.43)])
    assert (found.morse_lambda, found.rmin) == (1.43, 0.61)


def test_a_pair_that_was_never_met_takes_the_means_of_like_pairs():
    pairs = [pair(1.0, 1.4), pair(None, name=("C", "O")), pair(2.0, 2.4, ("O", "O"))]
    found = {p.name: p for p in choose_pairs(pairs)[0]}
    assert found["CO"].rmin == pytest.approx(0.95)
    assert found["CO"].morse_lambda == pytest.approx(1.9)


def test_atoms_that_never_meet_are_an_error():
    with pytest.raises(InputError, match=r"no two atoms come within 8\.0 Å"):
        choose_pairs([pair(None)])


@pytest.mark.parametrize(
    ("peak", "longest", "expected"),
    [(0.75, 8.0, (6.0, 5.0, 4.0)), (2.71, 8.0, (7.0, 6.0, 5.4)), (4.0, 8.0, (8.0, 6.0, 5.5)),
     (1.1, 2.5, (3.0, 3.0, 3.0))],
)  # fmt: skip
def test_outer_cutoffs_follow_the_first_shell(peak, longest, expected):
    found = choose_cutoffs([pair(0.8 * peak, peak, longest=longest)])
    assert found[:3] == pytest.approx(expected)


def test_the_wall_begins_below_every_contact():
    pairs, wall = choose_pairs([pair(1.0, 1.4), pair(2.0, 2.4, ("O", "O"))])
    assert wall.distance == pytest.approx(0.48)
    assert [p.rmin + wall.distance for p in pairs] == pytest.approx([0.98, 1.88])
    text = suggested(made({"C": 3})).toml()
    assert ", wall below 1." in text
    assert "Half-way to rmin it has 10.3 eV" in " ".join(text.replace("#", "").split())


def test_labels_that_are_zero_by_symmetry_tell_nothing():
    (frame,) = random_frames({"C": 1})
    still = replace(frame, forces=np.zeros((12, 3)), stress=np.array([1.0, 1.0, 1.0, 0, 0, 0]))
    bare = still.without_labels(forces=True, energy=True)
    assert informative(table_of([frame, still, bare])).tolist() == [3 * 12 + 6 + 1, 3 + 1, 3]


# ---- what is held out


def hold_out_of(frames, isolated=()):
    return choose_hold_out(facts_of(frames), np.isin(np.arange(len(frames)), isolated))


def test_whole_groups_are_held_out_where_there_are_enough():
    groups = tuple(f"t{k:02d}[x]" for k in range(10))
    frames = random_frames({"C": 20}, groups=groups)
    found = hold_out_of(frames)
    assert found.table == {"groups": ["t02[[]x]", "t07[[]x]"]}
    assert found.frames == 4


def test_each_element_set_needs_groups_of_its_own():
    frames = random_frames({"C": 20, "N": 20}, groups=tuple(f"t{k}" for k in range(10)))
    assert "groups" not in hold_out_of(frames).table


def test_single_frames_otherwise():
    assert hold_out_of(random_frames({"C": 25})).table == {"every": 10}
    few = hold_out_of(random_frames({"C": 25}, groups=tuple(f"g{k}" for k in range(4))))
    assert few.table == {"fraction": 0.1}


def test_nothing_of_very_few():
    found = suggested(made({"C": 3}))
    assert "hold_out" not in found.table
    assert "3 frames are too few" in found.toml()


# ---- blocks


def test_a_hierarchy_whose_blocks_have_frames_of_their_own():
    found = suggested(made({"C": 12, "N": 12, "CN": 16}))
    assert [b.names for b in found.blocks] == [("C",), ("N",), ("CN",)]
    assert set(found.table["fit"]) == {"regulariser", "weights", "penalty", "prior"}
    assert not found.all_at_once


def test_lower_blocks_without_frames_are_fitted_with_the_larger_one():
    found = suggested(made({"CN": 30}))
    assert [b.names for b in found.blocks] == [("CN", "C", "N")]
    assert found.table["fit"]["blocks"] == {"CN": {"partial": ["C", "N"]}}
    assert "only" not in found.table["fit"]


def test_a_block_that_its_frames_do_not_determine_is_fitted_with_a_larger_one():
    dimers = [Frame(("C", "C"), np.array([[0, 0, 0], [d, 0, 0]])) for d in (1.2, 1.5, 2.0)]
    found = suggested(made({"N": 12, "CN": 16}) + truth_of_pairs(dimers))
    assert [b.names for b in found.blocks] == [("N",), ("CN", "C")]
    assert found.table["fit"]["only"] == ["N", "CN"]
    assert found.table["fit"]["blocks"] == {"CN": {"partial": ["C"], "include_fewer": True}}


def test_each_lower_block_changes_with_one_block_only():
    found = suggested(made({"CN": 16, "CO": 16}))
    assert [b.names for b in found.blocks] == [("CN", "C", "N"), ("CO", "O")]


def test_more_elements_than_a_block_can_have():
    found = suggested(truth(random_frames({"BCNOF": 12}, atoms=24), ("B", "C", "N", "O", "F")))
    assert found.all_at_once
    assert "hiertl-dist fit input.toml --all-at-once" in found.toml()
    assert len(found.blocks) == 1


def test_orders_follow_from_the_number_of_labels():
    sizes = [max(b.columns for b in suggested(made({"C": n})).blocks) for n in (1, 4, 40)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    for n in (1, 4, 40):
        (block,) = suggested(made({"C": n})).blocks
        assert 4 * block.columns <= block.labels


def test_orders_follow_from_the_time(monkeypatch):
    frames = made({"C": 40})
    free = suggested(frames)
    monkeypatch.setattr("hiertl_dist.suggestion.suggesting_basis.SECONDS", 0.3 * free.seconds)
    bound = suggested(frames)
    assert bound.blocks[0].columns < free.blocks[0].columns
    assert bound.seconds < free.seconds


ESTIMATED = {
    "hierarchy": lambda: made({"C": 12, "N": 12, "CN": 16}),
    "lower blocks free": lambda: made({"N": 12, "CN": 16}) + truth_of_pairs(
        [Frame(("C", "C"), np.array([[0, 0, 0], [d, 0, 0]])) for d in (1.2, 1.5, 2.0)]
    ),
    "all at once": lambda: truth(random_frames({"BCNOF": 12, "C": 3}, atoms=24), ("B", "C", "N", "O", "F")),
}  # fmt: skip


@pytest.mark.parametrize("case", ESTIMATED)
def test_the_estimate_is_that_of_the_plan(case, tmp_path, capsys):
    write_extxyz(tmp_path / "data.extxyz", ESTIMATED[case]())
    output = tmp_path / "input.toml"
    assert cli.main(["init", str(tmp_path / "data.extxyz"), "-o", str(output), "--json"]) == 0
    init = json.loads(capsys.readouterr().out)
    together = ["--all-at-once"] * init["all_at_once"]
    assert cli.main(["plan", str(output), "--executor", "serial", "--json", *together]) == 0, capsys.readouterr().err
    plan = json.loads(capsys.readouterr().out)
    assert init["fit_cpu_seconds"] == pytest.approx(plan["fit_cpu_seconds"], rel=1e-9)


def test_of_more_frames_a_sample_stands_for_all(monkeypatch):
    frames = made({"C": 24})
    whole = suggested(frames)
    monkeypatch.setattr("hiertl_dist.suggestion.fit_estimates.LOOKED_AT", 6)
    some = suggested(frames)
    assert (whole.looked_at, some.looked_at) == (len(frames) - whole.hold_out.frames, 6)
    assert some.cpu.rows == pytest.approx(whole.cpu.rows, rel=0.2)
    assert some.cpu.reduction == whole.cpu.reduction
    assert "estimate from 6 frames" in some.text()


def test_names_of_types_that_are_no_symbols():
    names = {"C": "C1", "N": "H+"}
    frames = [replace(f, species=tuple(names[s] for s in f.species)) for f in made({"C": 2, "CN": 30})]
    found = suggested(frames)
    assert [b.names for b in found.blocks] == [("C1-H+", "C1", "H+")]
    assert tomllib.loads(found.toml()) == found.table
    Basis.from_dict(found.table["basis"])


def test_slabs_and_wires():
    frames = [
        replace(f.without_labels(stress=True), pbc=pbc)
        for pbc in ((True, True, False), (False, False, True)) for f in made({"C": 10})
    ]  # fmt: skip
    found = suggested(frames)
    assert found.survey.slabs == 20
    assert "slabs or wires" in found.survey.text()
    assert "no frame has stresses" in found.toml()


# ---- the file


CASES = {
    "one element": lambda: made({"C": 30}),
    "hierarchy": lambda: made({"C": 12, "N": 12, "CN": 16}),
    "groups": lambda: made({"C": 20}, groups=tuple(f"t{k}" for k in range(5))),
    "mixtures alone": lambda: made({"CN": 30}),
    "three elements, few frames": lambda: made({"CNO": 3}),
    "four elements": lambda: truth(random_frames({"CHNO": 8}, 1, atoms=20), ("C", "H", "N", "O")),
    "three elements": lambda: made({"C": 12, "CN": 12, "CNO": 20}),
    "no stress": lambda: [f.without_labels(stress=True) for f in made({"C": 30})],
    "no forces": lambda: [f.without_labels(forces=True) for f in made({"C": 60})],
    "forces alone": lambda: [f.without_labels(energy=True, stress=True) for f in made({"C": 30})],
    "a few frames": lambda: made({"C": 3}),
    "a single frame": lambda: made({"C": 1}),
    "molecules": lambda: molecules(),
    "a far zero of energy": lambda: [replace(f, energy=f.energy - 2e4 * len(f)) for f in made({"CN": 30})],
}  # fmt: skip


def molecules():
    """Water: bonds and angles about their means, and a few dimers of it."""
    rng = np.random.default_rng(4)
    found = []
    for k in range(60):
        a, b = 0.96 + 0.05 * rng.standard_normal(2)
        angle = 1.82 + 0.15 * rng.standard_normal()
        one = np.array([[0, 0, 0], [a, 0, 0], [b * np.cos(angle), b * np.sin(angle), 0]])
        positions = np.vstack([one, one + np.array([0, 0, 2.8 + 0.2 * rng.random()])]) if k % 3 == 0 else one
        found.append(Frame(("O", "H", "H") * (len(positions) // 3), positions, origin=f"water {k}"))
    return truth_of_pairs(found)


def truth_of_pairs(frames):
    """The frames with energies and forces of a two-body model of molecules."""
    names = ["".join(p) for p in itertools.combinations_with_replacement(sorted(frames[0].elements), 2)]
    pairs = {p: {"rmin": 0.4, "rmax": 4.0, "lambda": 1.0} for p in names}
    basis = Basis.from_dict({"elements": sorted(frames[0].elements), "orders": [4, 0, 0], "pairs": pairs})
    found = Model(random_parameters(basis, seed=2)).evaluate(frames)
    return [replace(f, energy=e.energy, forces=e.forces) for f, e in zip(frames, found, strict=True)]


def atom(element, energy, size=20.0, group="isolated_atom", origin="alone"):
    """One atom in a cube; of no size: without a cell."""
    cell = np.eye(3) * size if size else None
    return Frame((element,), np.zeros((1, 3)), cell=cell, energy=energy, forces=np.zeros((1, 3)), group=group,
                 origin=origin)  # fmt: skip


CASES["isolated atoms"] = lambda: truth(
    [*random_frames({"C": 12, "CN": 16}, 1, groups=("all",)), atom("C", 0.0), atom("N", 0.0)], ("C", "N")
)


@pytest.mark.parametrize("case", CASES)
def test_the_file_is_the_table(case):
    found = suggested(CASES[case]())
    assert tomllib.loads(found.toml()) == found.table
    assert Basis.from_dict(found.table["basis"]).elements == found.survey.elements
    assert all(len(line) <= 120 for line in found.toml().splitlines() if line.startswith("#"))


@pytest.mark.parametrize("case", CASES)
def test_the_file_runs_as_it_is(case, tmp_path, capsys):
    frames = CASES[case]()
    write_extxyz(tmp_path / "data.extxyz", [replace(f, group=f.group or "all") for f in frames])
    output = tmp_path / "input.toml"
    assert cli.main(["init", str(tmp_path / "data.extxyz"), "-o", str(output), "--group-key", "config"]) == 0
    assert cli.main(["fit", str(output), "--executor", "serial", "--json"]) == 0, capsys.readouterr().err
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    known = survey(frames)
    errors = report["errors"]["hierarchical"]["fitted"]
    own = errors.get("all", next(iter(errors.values())))
    spreads = {"force": known.label("force"), "energy": known.label("energy"), "stress": known.label("stress")}
    for kind, spread in spreads.items():
        if spread is not None and spread.rms > 1e-6 and spread.rows > 3:
            assert own[kind] < 0.5 * spread.rms, kind


def search(output, capsys):
    code = cli.main(["search", str(output), "--executor", "serial", "--json", "--no-plot"])
    assert code == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("case", CASES)
def test_a_search_of_the_file_runs_as_it_is(case, tmp_path, capsys):
    write_extxyz(tmp_path / "data.extxyz", [replace(f, group=f.group or "all") for f in CASES[case]()])
    output = tmp_path / "input.toml"
    assert cli.main(["init", str(tmp_path / "data.extxyz"), "-o", str(output), "--group-key", "config"]) == 0
    capsys.readouterr()
    table, text = tomllib.loads(output.read_text()), output.read_text()
    if "search" not in table:
        assert case == "a single frame"
        assert "# [search]: these frames are too few" in text
        return
    assert f"hiertl-dist search {output.name}" in text
    found = search(output, capsys)
    fits = table["fit"].get("blocks", {})
    stages = {s["name"]: s for s in found["stages"]}
    assert list(stages) == table["fit"].get("only", list(stages))
    for name, own in stages.items():
        assert set(own["blocks"]) == {name, *fits.get(name, {}).get("partial", ())}
        assert [c["regulariser"]["alpha"] for c in own["candidates"]] == [1e-3, 1e-2, 1e-1, 1.0]
    if case in ("hierarchy", "molecules"):  # what is recommended works too
        assert "# orders = " in text
        output.write_text(text.replace("# orders = ", "orders = "))
        axis = tomllib.loads(output.read_text())["search"]["grid"]["orders"]
        more = search(output, capsys)
        assert len(axis) > 1
        assert max(len(s["candidates"]) for s in more["stages"]) == 4 * len(axis)


def test_too_few_frames_to_search_are_said():
    found = suggested(CASES["a single frame"]())
    assert "search" not in found.table
    text = " ".join(line.lstrip("# ") for line in found.toml().splitlines())
    assert "[search]: these frames are too few or too uneven to cross-validate. " in text


def test_isolated_atoms_are_a_line_to_be_had(tmp_path, capsys):
    energies = {"C": -237.1145715579618, "N": -269.25}
    atoms = [atom(e, x * EV, size) for (e, x), size in zip(energies.items(), (20.0, 0.0), strict=True)]
    frames = [*with_zero(made({"C": 12, "CN": 16}), energies), *atoms]
    found = suggested(frames)
    assert "energies" not in found.table["basis"]
    text = found.toml()
    assert "The data have isolated atoms of C, N" in text.replace("\n# ", " ")
    line = next(line for line in text.splitlines() if line.startswith("# energies = "))
    given = tomllib.loads(line.removeprefix("# "))["energies"]
    assert given["unit"] == "eV"
    assert {e: given[e] for e in energies} == pytest.approx(energies, rel=1e-11)
    assert "isolated atoms (none other within 8 Å), eV/atom: C -237.1146" in found.survey.text()
    write_extxyz(tmp_path / "data.extxyz", [replace(f, group=f.group or "all") for f in frames])
    output = tmp_path / "input.toml"
    assert cli.main(["init", str(tmp_path / "data.extxyz"), "-o", str(output), "--group-key", "config"]) == 0
    output.write_text(output.read_text().replace("# energies = ", "energies = "))
    for verb in ("fit", "search"):
        assert cli.main([verb, str(output), "--executor", "serial"]) == 0, capsys.readouterr().err
        model = Model.read(tmp_path / "results" / "model.params.txt")
        own = one_body_values([model.parameters])
        assert {e: x / EV for e, x in own.items()} == pytest.approx(energies, rel=1e-9)


def with_zero(frames, energies):
    return [replace(f, energy=f.energy + EV * sum(energies[s] for s in f.species)) for f in frames]


def test_isolated_atoms_that_differ_are_said_and_not_averaged():
    frames = [*made({"C": 12, "CN": 16}), atom("C", -3.0, origin="a"), atom("C", -30.0, origin="b"),
              atom("C", -3.0, origin="c"), atom("N", -5.0)]  # fmt: skip
    found = suggested(frames)
    line = next(line for line in found.toml().splitlines() if line.startswith("# energies = "))
    assert set(tomllib.loads(line.removeprefix("# "))["energies"]) == {"N", "unit"}
    for text in (found.toml().replace("\n# ", " "), found.survey.text()):
        assert "3 isolated atoms of C have different energies" in text
        assert "(a); -1.3" in text
        assert "which one is meant is not guessed" in text
    assert len(found.survey.as_dict()["isolated_atoms"]) == 4


def test_isolated_atoms_leave_the_choice_of_what_is_held_out_as_it_is():
    frames = made({"C": 20}, groups=tuple(f"t{k}" for k in range(5)))
    found = suggested([*frames, atom("C", -3.0)]).hold_out
    assert found.table == hold_out_of(frames).table
    assert found.reason.startswith("1 of 5 groups, 4 of 21 frames")
    assert set(hold_out_of(frames).table) == {"groups"}


def test_paths_are_relative_to_the_folder_of_the_file(tmp_path, monkeypatch, capsys):
    (tmp_path / "data").mkdir()
    write_extxyz(tmp_path / "data" / "a.extxyz", made({"C": 3}))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "data/*.extxyz", "-o", "jobs/one/input.toml"]) == 0
    table = tomllib.loads(Path("jobs/one/input.toml").read_text())
    assert table["data"][0]["path"] == ["../../data/*.extxyz"]
    assert len(read_frames(Path("jobs/one") / table["data"][0]["path"][0])) == 3
    capsys.readouterr()
    assert cli.main(["init", str(tmp_path / "data" / "a.extxyz"), "-o", "other.toml"]) == 0
    assert tomllib.loads(Path("other.toml").read_text())["data"][0]["path"] == [str(tmp_path / "data" / "a.extxyz")]


def test_an_input_that_is_there_is_kept(tmp_path, capsys):
    data = write_extxyz(tmp_path / "a.extxyz", made({"C": 3}))
    output = tmp_path / "input.toml"
    output.write_text("mine")
    assert cli.main(["init", str(data), "-o", str(output)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert output.read_text() == "mine"
    assert cli.main(["init", str(data), "-o", str(output), "--overwrite"]) == 0
    assert "[basis]" in output.read_text()


def test_inspect_prints_the_same_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_extxyz(tmp_path / "a.extxyz", made({"C": 12}))
    assert cli.main(["inspect", "a.extxyz"]) == 0
    inspected = capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.extxyz"]
    assert cli.main(["init", "a.extxyz"]) == 0
    assert capsys.readouterr().out.startswith(inspected.rstrip())
    assert (tmp_path / "input.toml").exists()


def test_json_is_one_object(tmp_path, capsys):
    data = write_extxyz(tmp_path / "a.extxyz", made({"C": 12}))
    assert cli.main(["inspect", str(data), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["survey"]["frames"] == 12
    assert found["input"]["basis"]["elements"] == ["C"]
    assert found["output"] is None


def test_frames_without_labels_can_be_inspected_but_give_no_input(tmp_path, capsys):
    bare = [f.without_labels(energy=True, forces=True, stress=True) for f in random_frames({"C": 3})]
    data = write_extxyz(tmp_path / "a.extxyz", bare)
    assert cli.main(["inspect", str(data)]) == 0
    assert "no input can be suggested: none of the 3 frames has" in capsys.readouterr().out
    assert cli.main(["init", str(data), "-o", str(tmp_path / "input.toml")]) == 2
    assert "there is nothing to fit" in capsys.readouterr().err
    assert not (tmp_path / "input.toml").exists()


def test_chimes_trajectories_and_guessed_keys_in_one_input(tmp_path, capsys):
    frames = made({"C": 12})
    write_xyzf(tmp_path / "a.xyzf", frames[:6])
    text = write_extxyz(tmp_path / "b.extxyz", frames[6:]).read_text()
    (tmp_path / "b.extxyz").write_text(text.replace(" energy=", " dft_energy="))
    output = tmp_path / "input.toml"
    assert cli.main(["init", str(tmp_path / "a.xyzf"), str(tmp_path / "b.extxyz"), "-o", str(output)]) == 0
    assert "energy read from 'dft_energy'" in capsys.readouterr().out
    assert "# Note: energy read from 'dft_energy'" in output.read_text()
    data = tomllib.loads(output.read_text())["data"]
    assert [set(d) for d in data] == [{"path"}, {"path", "energy_key"}]


def test_names_that_need_quotes(tmp_path):
    groups = tuple(f'"q" \\ t{k}\té[{k}]*' for k in range(5))
    found = suggested(made({"C": 10}, groups=groups), notes=["a note"])
    assert tomllib.loads(found.toml()) == found.table
    assert "# Note: a note." in found.toml()


def test_cells_that_are_thinner_than_the_cutoffs_are_told():
    assert any("thinner than twice the two-body cutoff" in n for n in suggested(made({"C": 3})).warnings)


@pytest.mark.skipif(not SHARED.exists(), reason="no ../shared/data here")
@pytest.mark.parametrize(
    ("paths", "options"),
    [("cn_pbe/*.gz", {"group_key": "config_type"}), ("hydrogen/*.xyzf", {}),
     ("sic/*.xyz", {"group_key": "config_type", "energy_key": "dft_energy", "forces_key": "dft_force",
                    "virial_key": "dft_virial"}),
     ("monbtaw/Mo_[AES]*.gz", {"group_key": "config_type"})],
)  # fmt: skip
def test_real_data_are_read_as_they_should_be(paths, options, capsys):
    assert cli.main(["inspect", str(SHARED / paths), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {k: v for k, v in found["sources"][0].items() if k != "path"} == options
    assert found["estimated_cpu_seconds"] < 300
    assert all(p["first_peak"] > p["shortest"] for p in found["survey"]["pairs"])


def test_an_input_given_as_data_is_told_what_to_do_with(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    setup(tmp_path)
    for verb in ("inspect", "init"):
        assert cli.main([verb, "fm_setup.in"]) == 2
        said = capsys.readouterr().err
        assert "fm_setup.in: expected trajectories, found an input of chimes_lsq (fm_setup.in)" in said
        assert "the trajectories that its TRJFILE names" in said
    line = said[said.index('fm_setup = "') :].partition(" beside")[0]
    assert line == 'fm_setup = "fm_setup.in"'
    Path("input.toml").write_text(line + "\n")
    assert cli.main(["plan", "input.toml", "--executor", "serial", "--all-at-once"]) == 0, capsys.readouterr().err
    assert cli.main(["inspect", "input.toml"]) == 2
    assert "found an input file, which hiertl-dist fit takes as it is" in capsys.readouterr().err
    Path("data.txt").write_text("C 0 0 0\n")
    assert cli.main(["inspect", "data.txt"]) == 2
    assert "unknown extension '.txt'" in capsys.readouterr().err


def test_means_that_lose_much_are_told_in_the_comments_of_the_input():
    """Four-body functions of a lower order, or of another λ, are no guide; equal ones are exact."""
    frames = made({"C": 3, "N": 3, "CN": 3})
    found = survey(frames)
    lam = {"CC": 1.4, "NN": 1.4, "CN": 1.4}

    def notes(lengths, orders, mean="auto"):
        pairs = {p: {"rmin": 0.6, "rmax": 5.0, "lambda": x} for p, x in lengths.items()}
        basis = {"elements": ["C", "N"], "orders": [8, 3, 3], "pairs": pairs, "four_body": {"rmax": 4.0},
                 "blocks": {"CN": {"orders": orders}}}  # fmt: skip
        return mean_loss_notes({"basis": basis, "fit": {"prior": {"mean": mean, "strength": 0.1}}}, found)

    assert notes(lam, [8, 3, 3]) == []
    (lower,) = notes(lam, [8, 3, 2])
    assert re.search(r"means of 4-body terms, such as CCCN, CCNN, CNNN, lose about \d+ %", lower)
    assert "gamma = [1.0, 1.0, 0.0]" in lower
    assert notes(lam, [8, 3, 2], mean="zero") == []
    assert any("4-body" in note for note in notes(lam | {"NN": 3.0}, [8, 3, 2]))
    text = " ".join(replace(suggested(frames), warnings=(lower,)).toml().replace("# ", "").split())
    assert "lose about" in text
