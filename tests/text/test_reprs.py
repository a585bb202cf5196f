"""How public objects look: at most 20 lines each, tables in a notebook, names of the package and no more."""

from __future__ import annotations

import html.parser
import inspect
import pickle
import subprocess
import sys
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
from job_files import write_fm_setup
from synthetic import assemble, environment, labelled, random_frames, random_parameters, small_basis

import hiertl_dist as hd
from hiertl_dist.algebra import Ridge
from hiertl_dist.evaluation.coverage import OutOfRange
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.jobs.evaluating import evaluated_of
from hiertl_dist.model_selection.search_settings import Grid
from hiertl_dist.text.display import MOST_HTML_ROWS, MOST_LINES, WIDTH, Card, brief, listed

SERIAL = SerialExecutor()
BASIS = small_basis((3, 2, 2))
FOLDS = hd.Folds(2)
NASTY = "<script>alert('&')</script>\nnew line"
TABLES = ("Dataset", "Frame", "Plan", "Solution", "HierarchyFit", "ModelPosterior", "SearchResult", "Summaries")


@cache
def frames():
    made = labelled(random_frames({"C": 5, "N": 5, "CN": 8}, groups=("a", "b")), random_parameters(BASIS, 1))
    rng = np.random.default_rng(0)
    return tuple(replace(f, forces=f.forces + 0.1 * rng.normal(size=f.forces.shape)) for f in made)


@cache
def summaries():
    return hd.summarise(frames(), BASIS, folds=FOLDS, executor=SERIAL)


@cache
def chosen():
    return hd.view(summaries(), blocks=["CN"], frozen=[random_parameters(BASIS, 1).restricted({b}) for b in "CN"])


@cache
def used_stores():
    with hd.use_stores(wait=60.0) as use:
        return use


def hierarchy():
    return hd.fit_hierarchy(frames(), BASIS, executor=SERIAL)


def read_posterior(folder):
    for name, part in hd.hierarchy_posterior(hierarchy()).blocks.items():
        part.save(folder / f"{name}.covariance.npz")
    return hd.read_posterior(hierarchy().model, folder)


def polished():
    return hd.polish(summaries(), hierarchy().model, ["CN"], hold=10.0, regulariser=Ridge(1e-3))


def searched():
    table = {"folds": {"count": 2}, "grid": {"regulariser": {"kind": "ridge", "alpha": [1e-3, 1.0]}}}
    return hd.search(frames(), BASIS, hd.SearchSettings.from_dict(table), executor=SERIAL)


def evaluated():
    found = hierarchy().model.evaluate(frames()[0])[0]
    return replace(found, out_of_range=(OutOfRange("CN", (3, 7), 0.95, (1.1, 4.9)),))


def assembly(folder):
    return assemble(frames(), BASIS, folder / "store")


def probes():
    return hd.reassigned_frames(frames(), "CN", 4)


@cache
def tables():
    kinds = [t for t in BASIS.types if t.body < 4]
    return hd.tabulate(hd.Model(hierarchy().model.parameters.with_types(kinds)), tolerance=0.1, missing="zero")


def probe_rows():
    return hd.reduce_probes(probes().frames, BASIS, [hd.ElementSet("CN")], executor=SERIAL)


def moved():
    pytest.importorskip("ase")
    return hd.md_frames(calculator(), probes().frames[:1], [1.0], steps=1, every=1, timestep=1e-3)


def only_of(block):
    return random_parameters(BASIS, 1).restricted({block})


def calculator():
    pytest.importorskip("ase")
    return hd.Calculator(random_parameters(BASIS, 1))


def checked():
    """Of many rows, the reasons long."""
    rows = [hd.CheckRow("mixing", "C-N", 0.1 * k, "eV/atom", "at most 0.15", "fail", 200 * "x") for k in range(40)]
    return hd.ModelCheck("C.txt", tuple(rows), hd.CheckSettings(), ("a note",))


def cycled(folder):
    rows = tuple(hd.CycleRow(k, 12 + 4 * k, force=1.0, picked={"leverage": 4}, labelled=4) for k in range(40))
    return hd.CyclesReport(folder, rows, folder / "model.params.txt", "40 cycles are done")


def bonded_crystal():
    """An fcc crystal of Lennard-Jones atoms."""
    pytest.importorskip("ase")
    from ase.build import bulk
    from ase.calculators.lj import LennardJones

    atoms = bulk("Ar", "fcc", a=3.65)
    atoms.calc = LennardJones(sigma=2.3, epsilon=0.4, rc=3.1)
    return atoms


def of_crystals():
    settings = hd.PropertySettings(properties=("eos", "elastic"))
    return hd.crystal_properties(bonded_crystal(), settings, name="an fcc crystal")


def some_phonons():
    numbers = np.zeros(200)
    bands, place = np.zeros((200, 6)), (0.0, 0.0, 0.5)
    return hd.Phonons("GX", numbers, np.zeros((200, 3)), bands, ((0.0, "G"),) * 30, numbers, numbers, 0.0, place,
                      (4, 4, 4), 2, 3)  # fmt: skip


EXAMPLES = {
    "CrystalProperties": lambda _: of_crystals(),
    "EquationOfState": lambda _: of_crystals().eos,
    "Phonons": lambda _: some_phonons(),
    "PropertySettings": lambda _: hd.PropertySettings(),
    "CycleRow": lambda folder: cycled(folder).rows[0],
    "CycleSettings": lambda folder: hd.CycleSettings.from_dict({"states": [{"temperatures": [300.0]}]}, folder),
    "CyclesReport": cycled,
    "Assembly": assembly,
    "Basis": lambda _: BASIS,
    "Block": lambda _: hd.blocks_of(BASIS)[-1],
    "BlockFit": lambda _: hierarchy().fits["CN"],
    "BlockLattice": lambda _: hd.block_lattice(BASIS, frames()),
    "BlockLibrary": lambda folder: library(folder),
    "Calculator": lambda _: calculator(),
    "CheckRow": lambda _: checked().rows[0],
    "CheckSettings": lambda _: hd.CheckSettings(),
    "ClusterType": lambda _: BASIS.types[-1],
    "Column": lambda _: hd.columns_of(BASIS)[-1],
    "Committee": lambda _: hd.committee(chosen(), Ridge(1e-3)),
    "CrossValidation": lambda _: hd.cross_validate(chosen(), Ridge(1e-3))[0],
    "Cutoff": lambda _: BASIS.cutoff,
    "BlockPosterior": lambda _: hd.hierarchy_posterior(hierarchy()).blocks["CN"],
    "HierarchyPosterior": lambda _: hd.hierarchy_posterior(hierarchy()),
    "Submitted": lambda _: hd.submit(int, "3"),
    "StoreUse": lambda _: hd.StoreUse(wait=60.0),
    "DaskOptions": lambda _: hd.DaskOptions(),
    "DesignRows": lambda _: hd.design_rows(frames(), BASIS),
    "Dataset": lambda folder: hd.Dataset.create(folder / "frames", frames(), executor=hd.executor("serial")),
    "DesignStore": lambda folder: assembly(folder).store,
    "Edge": lambda _: next(t for t in BASIS.types if t.body == 3).edges[0],
    "ElementSet": lambda _: hd.blocks_of(BASIS)[-1].name,
    "Evaluation": lambda _: evaluated(),
    "FitSettings": lambda _: hd.FitSettings(weights={f"source {i}/energy": 0.1 * i for i in range(50)}),
    "Folds": lambda _: FOLDS,
    "Frame": lambda _: frames()[0],
    "HeldOut": lambda _: hd.cross_validate(chosen(), Ridge(1e-3))[0].errors,
    "HierarchyFit": lambda _: hierarchy(),
    "HierarchyOptions": lambda _: hd.HierarchyOptions(block_settings={b: hd.FitSettings() for b in ("C", "N", "CN")}),
    "LabelSummary": lambda _: hd.summarise_labels(frames()),
    "Input": lambda _: hd.Input(BASIS, data=({"path": "a.extxyz"},) * 5, block_fits={"CN": hd.FitSettings()}),
    "LammpsTables": lambda _: tables(),
    "LibraryBlock": lambda folder: library(folder).find("CN"),
    "LibrarySettings": lambda folder: hd.LibrarySettings(folder, "PBE", "unknown", accept={"CN": ("theory",)}),
    "Model": lambda _: hierarchy().model,
    "ModelCheck": lambda _: checked(),
    "ModelPosterior": lambda _: hd.posterior(chosen(), Ridge(1e-3)),
    "ProbeSet": lambda _: probes(),
    "Pair": lambda _: BASIS.pairs[0],
    "Parameters": lambda _: hierarchy().model.parameters,
    "Penalty": lambda _: hd.Penalty(),
    "Plan": lambda _: hd.plan(frames(), BASIS),
    "Prediction": lambda _: hd.predict(frames()[-1], hd.posterior(chosen(), Ridge(1e-3)))[0],
    "Prior": lambda _: hd.Prior(mean="mixed", gamma=0.5, probes=24),
    "ProbeRows": lambda _: probe_rows(),
    "SearchResult": lambda _: searched(),
    "SearchSettings": lambda _: hd.SearchSettings(Grid({"regulariser": tuple({"kind": "ridge", "alpha": 0.1}
                                                                             for _ in range(200))})),
    "Solution": lambda _: hierarchy().fits["CN"].solution,
    "SuggestedInput": lambda _: hd.suggest_input(frames(), data=({"path": "a.extxyz"},)),
    "Summaries": lambda _: summaries(),
    "Survey": lambda _: hd.survey(frames()),
    "View": lambda _: chosen(),
}  # fmt: skip
"""One of each public class."""


def setup_of(folder):
    write_fm_setup(folder, list(frames()))
    return hd.read_fm_setup(folder / "fm_setup.in")


def predicted():
    return [hd.predict(frame, hd.posterior(chosen(), Ridge(1e-3)))[0] for frame in frames()[-4:]]


def added(folder):
    parts = [(hierarchy().fits[b].solution, folder / f"{b}.npz") for b in ("C", "N", "CN")]
    for solution, path in parts:
        solution.save(path)
    stated = {"theory": "PBE", "energy_reference": "unknown"}
    return [one for _, path in parts for one in hd.add_to_library(folder / "library", path, **stated)]


def library(folder):
    added(folder)
    return hd.open_library(folder / "library")


def what_a_block_is_given():
    with hd.stopping_on_signals() as given:
        return given


RETURNED = {
    "crystal_properties": lambda _: of_crystals(),
    "elastic_constants": lambda _: of_crystals().elastic,
    "equation_of_state": lambda _: of_crystals().eos,
    "phonons": lambda _: some_phonons(),
    "relaxed_crystal": lambda _: of_crystals().crystal,
    "surface_energies": lambda _: {(1, 0, 0): 0.1},
    "vacancy_energies": lambda _: {"Ar": 1.0},
    "run_cycles": cycled,
    "lattice_frames": lambda _: hd.lattice_frames("CN", 4, {"C": 9.0, "N": 10.0}, shortest={"CN": 1.0}),
    "md_frames": lambda _: moved(),
    "reassigned_frames": lambda _: probes(),
    "add_to_library": added,
    "tabulate": lambda _: tables(),
    "assemble": assembly,
    "blocks_of": lambda _: hd.blocks_of(BASIS),
    "calibration": lambda _: hd.calibration(predicted(), frames()[-4:]),
    "check_library": lambda folder: hd.check_library(library(folder).path),
    "check_model": lambda _: checked(),
    "columns_of": lambda _: hd.columns_of(BASIS),
    "committee": lambda _: hd.committee(chosen(), Ridge(1e-3)),
    "cross_validate": lambda _: hd.cross_validate(chosen(), [Ridge(1e-3), Ridge(1.0)]),
    "design_rows": lambda _: hd.design_rows(frames(), BASIS),
    "executor": lambda _: hd.executor("serial"), "stopping_on_signals": lambda _: what_a_block_is_given(),
    "export_from_library": lambda folder: hd.export_from_library(library(folder).path),
    "fit_all_at_once": lambda _: hd.fit_all_at_once(frames(), BASIS, executor=SERIAL),
    "fit_block": lambda _: hd.fit_block(frames(), BASIS, "C", executor=SERIAL),
    "fit_hierarchy": lambda _: hierarchy(),
    "frames_from_ase": lambda _: ase_frames(),
    "grow_library": lambda folder: hd.grow_library(
        frames(), BASIS, hd.LibrarySettings(folder / "new", "PBE", "unknown"), executor=SERIAL
    ),
    "hold_out": lambda _: hd.hold_out(frames(), every=2),
    "iter_frames": lambda folder: list(hd.iter_frames(trajectory(folder))),
    "leverage": lambda _: hd.leverage(frames()[-2:], hd.posterior(chosen(), Ridge(1e-3))),
    "lsq_order": lambda _: hd.lsq_order(hd.columns_of(BASIS)),
    "open_library": lambda folder: library(folder),
    "open_summaries": lambda folder: stored(folder),
    "path": lambda _: hd.path(chosen(), "lasso", lam_min=1e-6),
    "path, ridge": lambda _: hd.path(chosen(), "ridge", alphas=np.geomspace(1e-8, 1.0, 500)),
    "block_lattice": lambda _: hd.block_lattice(BASIS),
    "plan": lambda _: hd.plan(frames(), BASIS),
    "polish": lambda _: polished(),
    "polished_model": lambda _: hd.polished_model(hierarchy().model, polished()),
    "posterior": lambda _: hd.posterior(chosen(), Ridge(1e-3)),
    "predict": lambda _: predicted(),
    "read_fm_setup": setup_of,
    "read_frames": lambda folder: hd.read_frames(trajectory(folder)),
    "reduce_probes": lambda _: probe_rows(),
    "reduce_rows": lambda _: hd.reduce_rows(hd.plan(frames(), BASIS), ["C"], store=None, executor=SERIAL),
    "search": lambda _: searched(),
    "select": lambda _: hd.select(frames(), 2, BASIS, alpha=1.0),
    "read_posterior": read_posterior,
    "hierarchy_posterior": lambda _: hd.hierarchy_posterior(hierarchy()),
    "submit": lambda _: hd.submit(int, "3"), "use_stores": lambda _: used_stores(),
    "select_for_coverage": lambda _: hd.select_for_coverage(frames(), 2, hd.Model(only_of("C"))),
    "solve": lambda _: hd.solve(chosen(), Ridge(1e-3)),
    "suggest_input": lambda _: hd.suggest_input(frames(), data=({"path": "a.extxyz"},)),
    "summarise": lambda _: summaries(),
    "summarise_labels": lambda _: hd.summarise_labels(frames()),
    "survey": lambda _: hd.survey(frames()),
    "types_without_coefficients": lambda _: hd.types_without_coefficients(only_of("C")),
    "view": lambda _: chosen(),
}  # fmt: skip
"""What each public function gives back."""


def stored(folder):
    hd.summarise(frames(), BASIS, folds=FOLDS, executor=SERIAL, summaries=folder / "kept")
    return hd.open_summaries(folder / "kept")


def trajectory(folder):
    path = folder / "a.extxyz"
    path.write_text('1\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3 energy=-1.5\nC 0 0 0\n' * 3)
    return path


def ase_frames():
    ase = pytest.importorskip("ase")
    return hd.frames_from_ase([ase.Atoms("CN", [[0, 0, 0], [0, 0, 1.2]])])


CLASSES = [
    name for name in hd.__all__ if inspect.isclass(kind := getattr(hd, name)) and not issubclass(kind, BaseException)
]


def check_lines(text):
    lines = text.split("\n")
    assert 0 < len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= WIDTH
    assert all(line == line.rstrip() for line in lines)


class Cells(html.parser.HTMLParser):
    """The text of an HTML table, and a stack of its tags that must come out empty."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.seen = [], [], set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_there_is_an_example_of_every_public_class():
    assert sorted(EXAMPLES) == sorted(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_reprs_are_short(tmp_path, name):
    thing = EXAMPLES[name](tmp_path)
    assert type(thing).__name__ == name
    text = repr(thing)
    check_lines(text)
    # a set of elements is shown as the text that it is: messages and tables have lists of them
    assert text.startswith(name) or text == repr(str(thing)) == "'CN'"
    if hasattr(thing, "_repr_html_"):
        found = Cells(thing._repr_html_())
        assert not found.open, "every tag is closed"
        assert found.seen <= {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td", "br"}
    if name in TABLES:
        assert "table" in found.seen


def parts_of(value):
    """A value, or of lists, tuples and tables of them the first of each."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return [part for own in value[:2] for part in parts_of(own)]
    return [value]


@pytest.mark.parametrize("name", RETURNED)
def test_what_functions_give_back_is_shown_in_a_few_lines(tmp_path, name):
    found = RETURNED[name](tmp_path)
    for part in parts_of(found):
        if isinstance(part, np.ndarray) or type(part).__module__.startswith("ase."):  # theirs are not ours to shorten
            continue
        check_lines(repr(part))
        assert "array(" not in repr(part), "a repr says how large an array is, not what is in it"
    if name.startswith("path"):
        shown = Cells(found._repr_html_())
        assert not shown.open
        assert {"GCV" if "ridge" in name else "BIC", "lowest"} <= set(shown.words)
        assert repr(pickle.loads(pickle.dumps(found))) == repr(found)
        best = found.best if "ridge" in name else found.best("bic")
        assert any(line.split()[0] == str(best) for line in repr(found).split("\n")), "the best is always shown"


def test_there_is_an_example_of_every_public_function():
    functions = {name for name in hd.__all__ if not inspect.isclass(getattr(hd, name))}
    assert {name.partition(",")[0] for name in RETURNED} == functions


@pytest.mark.parametrize("name", ["Plan", "Solution", "HierarchyFit", "SearchResult", "Summaries"])
def test_a_table_says_what_its_object_holds(tmp_path, name):
    """The numbers in the notebook are those of the text, and of the object."""
    thing = EXAMPLES[name](tmp_path)
    words = Cells(thing._repr_html_()).words
    said = {
        "Plan": lambda: [str(thing.columns["CN"]), "C", "N", "CN"],
        "Solution": lambda: [*thing.residuals, "group of rows"],
        "HierarchyFit": lambda: [*thing.fits, str(thing.fits["CN"].solution.n_columns)],
        "SearchResult": lambda: [s.name for s in thing.stages],
        "Summaries": lambda: ["a", "b", *(f"{k} rows" for k in ("force", "stress", "energy"))],
    }[name]()
    assert set(said) <= set(words)
    text = repr(thing)
    assert all(word in text for word in said if word != "group of rows")


def test_a_solution_says_what_it_was_conditioned_on():
    solution = hierarchy().fits["CN"].solution
    weights, ridge = {"force": 1.0, "stress": 123.456}, {"kind": "ridge", "alpha": 0.5}
    text = repr(replace(solution, weights=weights, regulariser=ridge))
    assert "ridge alpha 0.5; weights force 1.000, stress 123.5; objective lsq" in text
    assert "fit of C, fit of N" in text


def test_a_frame_is_a_line_in_a_list_and_a_table_alone():
    """A list has no hook of a notebook, so that what it shows of each frame is its line."""
    some = list(frames()[:3])
    assert repr(some).count("Frame(") == 3
    assert "\n" not in repr(some)
    frame = some[0]
    words = " ".join(Cells(frame._repr_html_()).words)
    edge = np.linalg.norm(frame.cell[0])
    cell = f"{edge:.4g} × {edge:.4g} × {edge:.4g} Å, 90°, 90°, 90°"
    for said in (frame.origin, frame.formula, cell, "energy", "group"):
        assert said in words
    slab = replace(frame, pbc=(True, True, False), stress=None)
    assert "it repeats along a and b alone" in " ".join(Cells(slab._repr_html_()).words)
    molecule = hd.Frame(("C",), np.zeros((1, 3)))
    words = " ".join(Cells(molecule._repr_html_()).words)
    assert "an isolated molecule" in words
    assert "labels none" in words


def test_angles_of_a_cell():
    a, b, c = np.radians((70.0, 80.0, 100.0))
    x, y = np.cos(b), (np.cos(a) - np.cos(b) * np.cos(c)) / np.sin(c)
    directions = np.array([[1, 0, 0], [np.cos(c), np.sin(c), 0], [x, y, np.sqrt(1 - x * x - y * y)]])
    cell = np.array([[4.0], [5.0], [6.0]]) * directions
    words = " ".join(Cells(hd.Frame(("C",), np.zeros((1, 3)), cell)._repr_html_()).words)
    assert "4 × 5 × 6 Å, 70°, 80°, 100°" in words


def test_text_of_others_is_no_markup():
    frame = replace(frames()[0], group=NASTY, origin=NASTY)
    found = hd.summarise([replace(f, group=NASTY) for f in frames()[:4]], BASIS, folds=FOLDS, executor=SERIAL)
    for thing in (frame, found, hd.plan([frame], BASIS), hd.design_rows([frame], BASIS)):
        check_lines(repr(thing))
        shown = Cells(thing._repr_html_())
        assert "script" not in shown.seen
        assert not shown.open
    assert "<script>" in "".join(Cells(frame._repr_html_()).words)


def test_large_things_stay_short():
    """Hundreds of groups, long names, many elements: what is left out is counted."""
    groups = [f"a rather long name of a trajectory, number {i:03}" for i in range(100)]
    many = random_frames({"C": 100}, groups=groups)
    found = hd.summarise(many, small_basis((2, 0, 0)), apart=["*"], executor=SERIAL)
    check_lines(repr(found))
    assert repr(found).endswith("more")
    assert f"… and {100 - MOST_HTML_ROWS} more" in "".join(Cells(found._repr_html_()).words)
    letters = ("H", "C", "N", "O", "S", "P")
    wide = small_basis((2, 2, 2), letters)
    for thing in (wide, random_parameters(wide), hd.Model(random_parameters(wide)), *hd.blocks_of(wide)):
        check_lines(repr(thing))
    assert "more" in repr(wide)
    long = replace(frames()[0], origin="x" * 500)
    check_lines(repr(long))
    assert repr(long).endswith("…")


def test_cards_cut_what_does_not_fit():
    facts = tuple((f"fact {i}", "x" * 300) for i in range(50))
    text = Card("title", facts, ("a", "b"), ((1, 2.0),)).text()
    check_lines(text)
    assert text.endswith("… and 32 more")
    rows = tuple((f"row {i}", i) for i in range(100))
    text = Card("title", (), ("a\ntall", "b"), rows).text()
    check_lines(text)
    assert len(text.split("\n")) == MOST_LINES
    assert text.endswith("… and 85 more")
    exact = Card("title", (), ("a", "b"), rows[:17]).text()
    assert exact.split("\n")[-1].split() == ["row", "16", "16"]


def test_values_in_half_a_line():
    assert brief(np.zeros((3, 4))) == "<array 3 × 4>"
    assert brief(list(range(100))) == "[0, 1, 2, 3, 4, 5, ...]"
    assert len(brief({f"key {i}": "x" * 200 for i in range(100)})) <= WIDTH
    assert brief(hierarchy()) == "HierarchyFit of C, N, CN"
    assert brief(hd.FitSettings()).startswith("FitSettings(regulariser={'kind': 'none'}, weights='auto'")
    assert listed(range(20), 3) == "0, 1, 2, … and 17 more"
    assert listed([]) == "none"


def test_what_is_shown_can_be_sent_and_compared():
    for name in ("Plan", "Solution", "Summaries", "FitSettings", "Frame"):
        thing = EXAMPLES[name](None)
        assert repr(pickle.loads(pickle.dumps(thing))) == repr(thing)
    assert hd.FitSettings() == hd.FitSettings()
    assert hash(BASIS) == hash(small_basis((3, 2, 2)))


def test_held_out_errors_in_a_repr_are_those_of_the_table():
    found = EXAMPLES["HeldOut"](None)
    line = next(line for line in repr(found).split("\n") if line.startswith("all"))
    assert [float(x) for x in line.split()[1:]] == pytest.approx(
        [found.rmse(k) for k in found.values("kind")], rel=5.1e-4
    )


def test_tables_of_errors_are_no_wall_of_text():
    """A check of the check: a dataclass that forgets ``repr=False`` shows its fields, however long they are."""
    table = evaluated_of(frames(), hierarchy().model.evaluate(frames())).errors
    with pytest.raises(AssertionError):
        check_lines(repr(table))


# ---- names of the package


def run(code, timeout=60):
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tab_completion_shows_public_names_alone():
    code = (
        "import hiertl_dist as hd, hiertl_dist.design_matrix.planning, hiertl_dist.jobs.report\n"
        "assert {n for n in dir(hd) if not n.startswith('_')} == set(hd.__all__), dir(hd)\n"
        "assert hd.design_matrix.planning.make_plan is hd.plan\n"
    )
    run(code)


WITHOUT_ASE = "import sys; sys.modules.update({'ase': None, 'ase.calculators': None})\n"


def test_everything_can_be_imported_without_ase():
    """The name of the calculator is there; who makes one is told what to install."""
    code = WITHOUT_ASE + (
        "from hiertl_dist import *\n"
        "import hiertl_dist as hd\n"
        "missing = [n for n in hd.__all__ if n not in globals()]\n"
        "assert not missing, missing\n"
        "try:\n"
        "    Calculator('C.params.txt')\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert "hiertl_dist.Calculator needs ASE: pip install 'hiertl-dist[ase]'" in run(code)


def test_the_calculator_is_there_with_ase():
    pytest.importorskip("ase")
    code = (
        "import sys, hiertl_dist as hd\n"
        "assert 'Calculator' in hd.__all__ and 'hiertl_dist.calculator' not in sys.modules\n"
        "from hiertl_dist import *\n"
        "from ase.calculators.calculator import Calculator as base\n"
        "assert issubclass(Calculator, base)\n"
    )
    run(code)


def test_another_error_of_the_calculators_module_is_not_hidden(monkeypatch):
    def broken(name, package=None):
        raise ImportError("something else", name="numba")

    monkeypatch.setattr(hd, "import_module", broken)
    monkeypatch.delitem(vars(hd), "Calculator", raising=False)
    with pytest.raises(ImportError, match="something else"):
        partial(getattr, hd, "Calculator")()
