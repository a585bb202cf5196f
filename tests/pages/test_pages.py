"""Reports as HTML: their numbers are those of the JSON reports, nothing is left out in silence, nothing is run or
fetched."""

from __future__ import annotations

import base64
import csv
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from job_files import job_frames, write_extxyz, write_job
from synthetic import random_parameters, small_basis

from hiertl_dist import Frame, Model
from hiertl_dist.cli import commands as cli
from hiertl_dist.jobs.evaluating import evaluate_frames
from hiertl_dist.jobs.figure_facts import CELLS, figure_facts
from hiertl_dist.model.pair_curves import pair_curve
from hiertl_dist.pages import drawings
from hiertl_dist.pages.html_page import html_text
from hiertl_dist.pages.pieces import Figure, Page, Section, Table, Text
from hiertl_dist.pages.report_page import NO_MATPLOTLIB, _with_names_apart, report_page
from hiertl_dist.pages.results_folder import read_results
from hiertl_dist.pages.run_sections import label_counts
from hiertl_dist.pages.search_section import search_section
from hiertl_dist.pages.table_files import latex_escaped, latex_text
from hiertl_dist.text.display import cell_text
from hiertl_dist.units import EV

pytest.importorskip("matplotlib")

NASTY = "<script>alert(1)</script>&$x_1$"
SECTIONS = ["card", "plan", "errors", "parity", "coverage", "frames", "coefficients", "curves", "uncertainty", "search",
            "notes"]  # fmt: skip
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


class Parsed(HTMLParser):
    """Tables as lists of rows of (text, value), texts by class, pictures, scripts and tags of a page."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.paragraphs, self.images, self.scripts, self.tags, self.ids = {}, [], [], [], [], []
        self._table = self._row = None
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        own = dict(attrs)
        self.tags.append((tag, own))
        self.ids += [own["id"]] if "id" in own else []
        if tag == "table":
            self._table = self.tables.setdefault(own["id"].removeprefix("table-"), [])
        elif tag == "tr":
            self._row = []
            self._table.append(self._row)
        elif tag in ("td", "th"):
            self._row.append(["", own.get("data-value")])
        elif tag == "img":
            self.images.append(own)
        elif tag == "p":
            self.paragraphs.append([own["class"], ""])
        elif tag == "script":
            self.scripts.append("")
        self._inside = tag if tag not in ("span", "br") else self._inside

    def handle_endtag(self, tag):
        self._inside = self._inside if tag == "span" else ""

    def handle_data(self, data):
        if self._inside in ("td", "th"):
            self._row[-1][0] += data
        elif self._inside == "p":
            self.paragraphs[-1][1] += data
        elif self._inside == "script":
            self.scripts[-1] += data

    def said(self, tone):
        return [text for own, text in self.paragraphs if own == tone]

    def rows(self, table):
        header, *rows = self.tables[table]
        return [{h[0]: cell for h, cell in zip(header, row, strict=True)} for row in rows]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Results of a small fit with a group of a nasty name, one held out, and its data beside it."""
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(2)
    frames = [
        replace(f, group=("liquid", "nasty", "slab")[i % 3], forces=f.forces + rng.normal(size=f.forces.shape))
        for i, f in enumerate(job_frames()[0])
    ]
    write_extxyz(folder / "data.extxyz", [replace(f, group=f.group.replace("nasty", f'"{NASTY}"')) for f in frames])
    job = write_job(
        folder, frames, hold_out={"groups": ["slab"]}, output={"units": "eV"},
        fit={"regulariser": {"kind": "ridge", "alpha": 0.25}, "weights": {"energy": 0.5, "stress": 20.0}},
    )  # fmt: skip
    write_extxyz(folder / "data.extxyz", [replace(f, group=f.group.replace("nasty", f'"{NASTY}"')) for f in frames])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lambda *_, **__: None)
        assert cli.main(["fit", str(job), "--csv"]) == 0
        assert cli.main(["report", str(folder / "hiertl_results"), "--tables", str(folder / "tables")]) == 0
    return folder


@pytest.fixture(scope="module")
def results(folder):
    return folder / "hiertl_results"


@pytest.fixture(scope="module")
def text(results):
    return (results / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Parsed(text)


def test_a_page_has_all_sections_and_stands_alone(page, text):
    assert [i for i in page.ids if i in SECTIONS] == SECTIONS
    assert len(page.ids) == len(set(page.ids)), "what a link leads to is one thing"
    for tag, own in page.tags:
        assert tag not in ("link", "iframe", "object", "form"), tag
        links = [v for k, v in own.items() if k in ("src", "href", "action")]
        assert all(v.startswith(("#", "data:image/svg+xml;base64,")) for v in links)
        assert not {k for k in own if k.startswith("on") or k == "style"}
    assert len(page.scripts) == 1
    assert "url(" not in text
    assert "@import" not in text
    (policy,) = (own["content"] for tag, own in page.tags if own.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_pictures_say_what_they_show(page):
    assert len(page.images) >= 8
    for image in page.images:
        svg = base64.b64decode(image["src"].partition(",")[2]).decode()
        assert "<svg" in svg
        assert not re.search(r"(?:href|src)=\"(?:https?:|//)", svg), "a picture fetches nothing"
        assert len(image["alt"]) > 30
        assert re.search(r"\d", image["alt"]), "with its main numbers"


def test_numbers_are_those_of_the_json_report(page, results):
    report = json.loads((results / "report.json").read_text())
    seen = 0
    for kind, factor in (("force", 1.0 / EV), ("energy", 1.0 / EV), ("stress", 1.0)):
        rows = page.rows(f"errors_{kind}")
        for tables, by in ((report["errors"], "composition"), (report["group_errors"], "group")):
            for model, sets in tables.items():
                for of, table in sets.items():
                    for name, own in table.items():
                        (row,) = (
                            r for r in rows if [r[k][0] for k in ("model", "frames", "name")] == [model, of, name]
                            and (r["by"][0] == "group") == (by == "group")
                        )  # fmt: skip
                        for title, key in (("RMSE", kind), ("MAE", f"{kind}_mae"), ("max", f"{kind}_max")):
                            assert float(row[title][1]) == own[key] * factor
                            assert row[title][0] == cell_text(own[key] * factor)
                        assert int(row["labels"][1]) == own[f"{kind}_labels"]
                        seen += 1
        assert len(rows) == seen, "and no others"
        assert seen > 10
        seen = 0
    fits = {r["fit"][0]: r for r in page.rows("fits")}
    assert list(fits) == list(report["solutions"])
    for name, own in report["solutions"].items():
        assert float(fits[name]["condition"][1]) == own["condition"]
        assert int(fits[name]["rank"][1]) == own["rank"]


def test_coverage_types_and_worst_frames_are_those_of_the_report(page, results):
    report = json.loads((results / "report.json").read_text())
    own = [(m, c) for m, rows in report["coverage"].items() for c in rows]
    rows = page.rows("coverage")
    assert len(rows) == len(own)
    for row, (model, c) in zip(rows, own, strict=True):
        assert (row["model"][0], row["block"][0], row["pair"][0]) == (model, c["block"], c["pair"])
        assert [float(row[k][1]) for k in ("fitted from, Å", "fitted to, Å", "used from, Å", "used to, Å")] == [
            *c["fitted"], *c["used"]
        ]  # fmt: skip
    assert len(page.rows("types")) == sum(map(len, report["types"].values()))
    worst = page.rows("worst_frames_force")
    assert len(worst) == sum(len(s["worst_frames"]["force"]) for m in report["figures"].values() for s in m.values())
    first = report["figures"]["hierarchical"]["fitted"]["worst_frames"]["force"][0]
    assert (worst[0]["frame"][0], worst[0]["group"][0]) == (first["origin"], first["group"])
    assert float(worst[0]["RMSE of force, eV/Å"][1]) == first["force"] * (1.0 / EV)
    with (results / "frames.csv").open(encoding="utf-8", newline="") as stream:
        frames = [r for r in csv.DictReader(stream) if (r["model"], r["frames_of"]) == ("hierarchical", "fitted")]
    assert max(float(r["force_rmse_eV/Å"]) for r in frames) == float(worst[0]["RMSE of force, eV/Å"][1])


def test_the_card_says_where_the_model_is_from(page, results):
    card = {r["what"][0]: r["value"][0] for r in page.rows("card")}
    model = Model.read(results / "model.params.txt").parameters
    assert card["elements"] == "C, N"
    assert card["digest of the model (SHA-256)"] == model.digest
    assert card["model"].startswith(f"{len(model.coefficients)} coefficients")
    assert card["level of theory"].startswith("not stated")
    assert card["regulariser"] == "ridge alpha 0.25"
    assert card["held out"] == "groups slab"
    assert "hiertl-dist" in card["versions"]
    assert "numpy" in card["versions"]
    columns = {b: sum(c.block == b for c in model.columns) for b in ("C", "N", "CN")}
    assert {r["block"][0]: int(r["columns"][1]) for r in page.rows("plan")} == columns
    atoms = {r["element"][0]: float(r["kcal/mol"][1]) for r in page.rows("free_atoms_model")}
    assert atoms == {c.elements[0]: v for c, v in model.as_dict().items() if not c.powers}


def test_coefficients_by_degree_are_those_of_the_model(page, results):
    model = Model.read(results / "model.params.txt").parameters
    rows = page.rows("coefficients_model")
    assert sum(int(r["coefficients"][1]) for r in rows) == sum(bool(c.powers) for c in model.columns)
    for row in rows:
        elements = next(t.elements for t in model.basis.types if t.name == row["type"][0])
        degree = int(row["degree"][1])
        own = [v for c, v in model.as_dict().items() if c.elements == elements and sum(c.powers) == degree]
        assert float(row["RMS, kcal/mol"][1]) == pytest.approx(np.sqrt(np.mean(np.square(own))))
        assert float(row["largest, kcal/mol"][1]) == np.abs(own).max()


def test_names_are_escaped(page, text, folder):
    assert "<script>alert" not in text
    names = {r["name"][0] for r in page.rows("errors_force")}
    assert NASTY in names, "and shown as they are"
    assert NASTY in (folder / "tables" / "errors_force.csv").read_text()
    assert r"\textless{}script\textgreater{}alert(1)" in (folder / "tables" / "errors_force.tex").read_text()
    assert drawings.plain_label("$x$") == r"\$x\$"


def test_tables_are_files_too(page, folder):
    there = {p.name for p in (folder / "tables").iterdir()}
    assert there == {f"{name}{ending}" for name in page.tables for ending in (".csv", ".tex")}
    for name in page.tables:
        with (folder / "tables" / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
        assert [[c[1] for c in row] for row in page.tables[name][1:]] == rows[1:]
        latex = (folder / "tables" / f"{name}.tex").read_text()
        assert latex.count("\\\\\n") == len(rows)
        assert latex.count("{") == latex.count("}")


def test_what_is_not_there_is_said(folder, results, tmp_path, capsys):
    shutil.copy(results / "model.params.txt", tmp_path)
    assert cli.main(["report", str(tmp_path), "--no-figures"]) == 0
    err = capsys.readouterr().err
    page = Parsed((tmp_path / "report.html").read_text())
    assert [i for i in page.ids if i in SECTIONS] == SECTIONS
    absent = page.said("absent")
    for said in ("run.json", "no errors", "parity and residuals", "which distances the model was used on", "the plan",
                 "frames with the largest errors", "a search", "covariance", "which data"):  # fmt: skip
        assert any(said in a for a in absent), said
    assert len(absent) == err.count("note: not in the report")
    assert page.rows("pairs_model"), "what is there is shown"
    # frames that are given fill the gaps
    words = ["--frames", str(folder / "data.extxyz"), "--group-key", "config", "--overwrite", "--no-figures"]
    words += ["--theory", "PBE <500>"]
    assert cli.main(["report", str(tmp_path), *words]) == 0
    filled = Parsed((tmp_path / "report.html").read_text())
    assert not any("parity and residuals" in a or "no errors" in a for a in filled.said("absent"))
    assert {r["model"][0] for r in filled.rows("errors_force")} == {"the model"}
    assert {r["what"][0]: r["value"][0] for r in filled.rows("card")}["level of theory"] == "PBE <500>"


@pytest.mark.filterwarnings("always::hiertl_dist.errors.HiertlWarning")
def test_results_without_anything_and_damaged_ones_are_refused(results, tmp_path, capsys):
    assert cli.main(["report", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "expected report.json" in capsys.readouterr().err
    shutil.copytree(results, tmp_path / "r")
    assert cli.main(["report", str(tmp_path / "r")]) == 2
    assert "report.html" in capsys.readouterr().err, "a page that is there is kept"
    (tmp_path / "r" / "report.json").write_text("{")
    assert cli.main(["report", str(tmp_path / "r"), "--overwrite"]) == 2
    said = capsys.readouterr().err
    assert "report.json: cannot be read" in said
    assert "report.json: it is not the file that the run wrote" in said
    whole = json.loads((results / "report.json").read_text())
    of_three = {"name": "CC", "block": "C", "fitted": [2, 5], "met": [1, 5, 7], "without_data": ""}
    for wrong in ({"errors": 3}, {"coverage": {"model": [{}]}}, {"types": {"model": [of_three]}}):
        (tmp_path / "r" / "report.json").write_text(json.dumps(whole | wrong))
        assert cli.main(["report", str(tmp_path / "r"), "--overwrite"]) == 2
        assert "expected what hiertl-dist writes there, found something of another form" in capsys.readouterr().err
    shutil.copy(results / "report.json", tmp_path / "r")
    (tmp_path / "r" / "search.json").write_text('{"stages": []}')
    assert cli.main(["report", str(tmp_path / "r"), "--overwrite"]) == 2
    assert "of one run" in capsys.readouterr().err
    assert cli.main(["report", str(results), "-o", str(results / "report.json"), "--overwrite"]) == 2
    assert "report.json" in capsys.readouterr().err


def test_tables_of_an_evaluation_make_a_page(results, tmp_path):
    for name in ("errors.csv", "frames.csv", "coverage.csv"):
        shutil.copy(results / name, tmp_path)
    found, whole = read_results(tmp_path), read_results(results)
    assert found.units == whole.units == "eV"
    ours = {(e.model, e.frames_of, e.by, e.name): e for e in found.errors}
    for e in whole.errors:
        own = ours.pop((e.model, e.frames_of, e.by, e.name))
        assert (own.frames, own.atoms, own.out_of_range) == (e.frames, e.atoms, e.out_of_range)
        for kind in ("force", "energy", "stress"):
            assert own.of(kind).labels == e.of(kind).labels
            assert own.of(kind).rmse == pytest.approx(e.of(kind).rmse, rel=1e-12, nan_ok=True)
            assert own.of(kind).worse == e.of(kind).worse
    assert not ours
    assert {m: len(rows) for m, rows in found.coverage.items()} == {m: len(rows) for m, rows in whole.coverage.items()}
    for key, own in whole.figures.items():
        origins = [f["origin"] for f in own["worst_frames"]["force"]]
        assert [f["origin"] for f in found.figures[key]["worst_frames"]["force"]] == origins
    assert "labels are counted" not in html_text(report_page(found, draw=False))


def test_what_evaluate_prints_makes_a_page(folder, results, tmp_path, capsys):
    words = [str(results / "model.params.txt"), "--frames", str(folder / "data.extxyz"), "--group-key", "config"]
    assert cli.main(["evaluate", *words, "--json"]) == 0
    (tmp_path / "evaluation.json").write_text(capsys.readouterr().out)
    assert cli.main(["report", str(tmp_path / "evaluation.json"), "--no-figures"]) == 0
    page = Parsed((tmp_path / "evaluation.html").read_text())
    errors = json.loads((tmp_path / "evaluation.json").read_text())["errors"]["all"]
    (row,) = (r for r in page.rows("errors_force") if r["by"][0] == "all")
    assert float(row["RMSE"][1]) == errors["force"] * (1.0 / EV)
    (tmp_path / "other.json").write_text('{"a": 1}')
    assert cli.main(["report", str(tmp_path / "other.json")]) == 2


def test_without_figures_a_page_says_so(results):
    told = report_page(read_results(results), draw=False)
    assert "<img" not in html_text(told)
    assert any("no figures" in t for t in told.texts("note"))


def test_without_matplotlib_a_page_names_it(results, monkeypatch):
    monkeypatch.setattr("hiertl_dist.pages.report_page.find_spec", lambda _: None)
    assert NO_MATPLOTLIB in report_page(read_results(results)).texts("note")


def test_a_search_is_a_table_that_sorts(tmp_path, capsys):
    grid = {"regulariser": {"kind": "ridge", "alpha": [1e-4, 1.0]}, "exclude": [[], ["3B"]]}
    job = write_job(tmp_path, search={"folds": {"count": 2}, "grid": grid})
    assert cli.main(["search", str(job), "--no-plot"]) == 0
    assert cli.main(["report", str(tmp_path / "hiertl_results"), "--units", "kcal", "--no-figures"]) == 0
    section = search_section(read_results(tmp_path / "hiertl_results"), draw=True)
    assert sum(isinstance(p, Figure) for p in section.pieces) == 1
    page = Parsed((tmp_path / "hiertl_results" / "report.html").read_text())
    search = json.loads((tmp_path / "hiertl_results" / "search.json").read_text())
    for stage in search["stages"]:
        rows = page.rows(f"search_{stage['name']}")
        assert [float(r["score"][1]) for r in rows] == [c["score"] for c in stage["candidates"]]
        assert [float(r["force, kcal/mol/Å"][1]) for r in rows] == [
            c["errors"]["force"]["rmse"] for c in stage["candidates"]
        ]
        assert [i for i, r in enumerate(rows) if "chosen" in r["remark"][0]] == [stage["chosen"]["index"]]
        assert len({r["model"][0] for r in rows}) == 4, "names tell models apart"
    assert any("edge of the grid" in w for w in page.said("warning")) == any(s["edges"] for s in search["stages"])


# ---- what figures are made of


@given(st.integers(1, 40), st.integers(0, 5))
def test_cells_and_bins_count_every_label(count, seed):
    rng = np.random.default_rng(seed)
    labels = rng.normal(size=count) * 10.0 ** rng.integers(-3, 4)
    values = labels + rng.normal(size=count)
    points = SimpleNamespace(labels=labels, values=values, frames=np.zeros(count, int))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hiertl_dist.jobs.figure_facts.points_of", lambda *_: points)
        patch.setattr("hiertl_dist.jobs.figure_facts._worst", lambda _: {})
        whole = SimpleNamespace(of=lambda _: SimpleNamespace(labels=count))
        facts = figure_facts(SimpleNamespace(whole=whole))
    for own in facts["parity"].values():
        assert sum(n for *_, n in own["cells"]) == own["counted"] == count
        low, high = own["range"]
        for i, j, _ in own["cells"]:
            inside = [low + (high - low) * k / CELLS for k in (i, i + 1)]
            assert ((labels >= inside[0] - 1e-9) & (labels <= inside[1] + 1e-9)).any()
            assert 0 <= j < CELLS
    for own in facts["residuals"].values():
        assert sum(own["counts"]) + own["beyond"] == count
        assert own["mean"] == pytest.approx(np.mean(values - labels))


def test_a_million_labels_are_a_sample_that_is_told(monkeypatch):
    frames, truth = job_frames({"C": 4})
    monkeypatch.setattr("hiertl_dist.jobs.samples.MOST_POINTS", 30)
    facts = figure_facts(evaluate_frames([Model(truth)], frames, points=True))
    own = facts["parity"]["force"]
    assert own["labels"] == sum(3 * len(f) for f in frames)
    assert own["counted"] < own["labels"]
    from hiertl_dist.pages.error_sections import _counted

    assert _counted("m", own) == f"m: {own['counted']} of {own['labels']} labels, spread evenly."
    assert len(json.dumps(facts)) < 200_000


@pytest.mark.parametrize("cutoff", ["CUBIC", "TERSOFF 0.6"])
@pytest.mark.parametrize("transform", ["MORSE", "INVRSE_R", "DEFAULT"])
def test_pair_curves_are_what_the_model_says_of_two_atoms(cutoff, transform):
    table = small_basis((5, 0, 0)).to_dict()
    pairs = {k: {**p, "transform": transform} for k, p in table["pairs"].items()}
    basis = type(small_basis((5, 0, 0))).from_dict({**table, "cutoff": cutoff, "pairs": pairs})
    parameters = random_parameters(basis, 4)
    model = Model(parameters)
    for kind in (t for t in basis.types if t.body == 2):
        edge = kind.edge(*kind.elements)
        r = np.array(
            [
                0.5 * edge.rmin,
                edge.rmin - 0.02,
                edge.rmin + 1e-3,
                0.5 * (edge.rmin + edge.rmax),
                0.9 * edge.rmax,
                edge.rmax - 1e-6,
            ]
        )
        energies, forces = pair_curve(parameters, kind, r)
        alone = sum(parameters.as_dict().get((e, (e,), ()), 0.0) for e in kind.elements)
        for x, energy, force in zip(r.tolist(), energies, forces, strict=True):
            atoms = Frame(kind.elements, np.array([[0.0, 0, 0], [x, 0, 0]]), None, origin="two atoms")
            (said,) = model.evaluate(atoms, missing="zero")
            assert energy == pytest.approx(said.energy - alone, rel=1e-9, abs=1e-9)
            assert force == pytest.approx(said.forces[1, 0], rel=1e-9, abs=1e-9)
        # between, the slope of the energies is the force
        near = np.linspace(edge.rmin - 0.2, edge.rmax, 40)
        step = 1e-5
        up, down = (pair_curve(parameters, kind, near + d)[0] for d in (step, -step))
        slope = -(up - down) / (2 * step)
        np.testing.assert_allclose(pair_curve(parameters, kind, near)[1], slope, rtol=1e-5, atol=1e-3)


def test_latex_of_odd_letters():
    assert latex_escaped("a_b & 50 % $x$ #1 {z} \\ ~ ^") == (
        r"a\_b \& 50 \% \$x\$ \#1 \{z\} \textbackslash{} \textasciitilde{} \textasciicircum{}"
    )
    table = Table("t", "eV/Å", ("name", "n"), [("x_1", 1.5), ("y", float("nan"))])
    assert r"x\_1 & 1.500 \\" in latex_text(table)
    assert r"y & -- \\" in latex_text(table)


# ---- in a browser


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: chromium, google-chrome not found")
def test_a_browser_shows_it_and_sorts_it(results, tmp_path):
    """On a narrow screen: a table is sorted by a click, pictures are drawn, only tables are wider than the screen."""
    from matplotlib import image

    text = (results / "report.html").read_text(encoding="utf-8")
    checks = """
      const table = document.getElementById("table-errors_force"), head = [...table.tHead.rows[0].cells];
      const at = head.findIndex(h => h.textContent.startsWith("RMSE"));
      const column = () => [...table.tBodies[0].rows].map(r => Number(r.cells[at].dataset.value));
      head[at].querySelector("button").click();
      const rising = column().every((x, i, a) => !i || a[i - 1] <= x), first = head[at].getAttribute("aria-sort");
      head[at].querySelector("button").click();
      const falling = column().every((x, i, a) => !i || a[i - 1] >= x);
      const drawn = [...document.images].every(i => i.complete && i.naturalWidth > 200);
      const wide = document.documentElement.scrollWidth <= window.innerWidth;
      document.title = JSON.stringify({rising, falling, first, drawn, wide, images: document.images.length});
    """
    # the test's own script is let in; the rest of the policy stays
    tried = text.replace("script-src ", "script-src 'unsafe-hashes' 'nonce-test' ", 1).replace(
        "</body>", f'<script nonce="test">window.addEventListener("load", () => {{{checks}}});</script></body>'
    )
    (tmp_path / "page.html").write_text(tried, encoding="utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=500,900",
        f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom",
        f"--screenshot={tmp_path / 'page.png'}", f"file://{tmp_path / 'page.html'}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    title = re.search(r"<title>(.*?)</title>", done.stdout, flags=re.S)
    assert title, done.stderr[-2000:]
    seen = json.loads(title[1])
    assert seen.pop("images") >= 8
    assert seen == {"rising": True, "falling": True, "first": "ascending", "drawn": True, "wide": True}
    picture = image.imread(tmp_path / "page.png")
    assert picture.shape[:2] == (900, 500)
    assert 0.02 < (picture[..., :3].mean(axis=2) < 0.6).mean() < 0.5, "ink on paper"


def test_files_of_tables_have_names_that_differ():
    tables = [Table(name, "t", ("a",), [(1,)]) for name in ("search_Co", "search_CO", "x", "search_Co_2")]
    (section,) = _with_names_apart([Section("a", "A", tuple(tables))])
    assert [t.name for t in section.pieces] == ["search_Co", "search_CO_2", "x", "search_Co_2_2"]


def test_long_tables_are_cut_on_the_page_alone(monkeypatch):
    monkeypatch.setattr("hiertl_dist.pages.html_page.MOST_ROWS", 3)
    table = Table("t", "Rows.", ("n",), [(i,) for i in range(5)])
    text = html_text(Page("t", (), (Section("a", "A", (table,)),)))
    assert [r["n"][0] for r in Parsed(text).rows("t")] == ["0", "1", "2"]
    assert "Rows. The first 3 of 5 rows; the files of --tables have all." in text
    assert latex_text(table).count("\\\\\n") == 6


def test_texts_of_a_page_are_by_tone():
    page = Page("t", (), (Section("a", "A", (Text("x", "warning"), Text("y"))),))
    assert page.texts("warning") == ["x"]
    assert '<p class="warning"><span class="tone">Warning: </span>x</p>' in html_text(page)


def test_labels_that_have_no_key_in_their_file_are_counted_alone():
    assert [label_counts(c) for c in ({"": 20}, {"energy": 3, "E": 1}, {})] == ["20", "3 (energy), 1 (E)", "none"]
