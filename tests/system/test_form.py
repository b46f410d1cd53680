"""The form to try values, in a real browser: it answers and explains like the model, offline."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser

import tenfold
from tenfold import Predictions, Run
from tenfold.core.contract import Column, TableInput
from tenfold.core.text import shown_cell
from tenfold.inputs.tables.columns import Table, as_cells, graph_inputs
from tenfold.model.answer_forms import Answer, as_json
from tenfold.report import rewrite_report
from tenfold.report.network_page import Form, Unable, write_page
from tenfold.report.network_page.form import read_form
from tenfold.report.network_page.html import FORM, script
from tests.conftest import Once
from tests.model.test_explain import CASES, frame, made
from tests.support.browser import Opened, open_file
from tests.support.service import service

pytestmark = pytest.mark.browser

TOLERANCE = 1e-4

NAMES = ("a", "b", "kind", "text")


@pytest.fixture(scope="module")
def modules(browser: Browser) -> Opened:
    """A blank page in which the modules of the form are at hand as `modules`."""
    opened = Opened(browser.new_context(offline=True).new_page())
    names = "form_js, cells_js, graph_js, contributions_js, shown_cell_js"
    opened.run(f"() => {{ {script(FORM)} globalThis.modules = {{ {names} }}; }}")
    return opened


def asked(n: int = 40) -> list[dict[str, Any]]:
    """Rows with missing cells and categories that no training row had."""
    rows = frame(n)[[*NAMES]].astype(object)
    rows = rows.where(rows.notna(), None)
    rows.loc[::5, "kind"], rows.loc[1::6, "kind"] = "violet", None
    rows.loc[2::7, "text"], rows.loc[3::8, "b"] = "", None
    rows.loc[4::9, "text"] = "Ein Wort, das niemand kennt: 12345 №"
    return [dict(zip(NAMES, row, strict=True)) for row in rows.itertuples(index=False)]


def texts(table: Table) -> list[dict[str, str]]:
    cells = as_cells(table)
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


ANSWER_ALL = """([stored, rows]) => {
  const {form_js, graph_js, contributions_js} = modules;
  const graph = graph_js.openGraph(stored.graph);
  return rows.map((cells, i) => {
    const answer = form_js.answerOf(graph, stored, cells);
    const why = i < 8 && contributions_js.explain(graph, stored.explained, cells, answer.best ?? 0);
    return {...answer, why};
  });
}"""


@pytest.mark.parametrize(("learner", "target"), [case for case in CASES if case[0] != "neighbors"])
def test_the_page_answers_and_explains_like_the_model(
    modules: Opened, once: Once, learner: str, target: str
) -> None:
    run = made(once, learner, target)
    stored = read_form(run, None, (), with_rows=True)
    assert isinstance(stored, dict)
    rows = run.model.reader.read(asked()).rows
    found = modules.run(ANSWER_ALL, [stored, texts(rows)])
    answers, explained = run.model.answer(rows), run.model.explain(asked()[:8])
    if isinstance(answers, Predictions):
        probabilities = np.array([one["probabilities"] for one in found])
        assert np.abs(probabilities - answers.probabilities).max() < TOLERANCE
        assert [one["best"] for one in found] == answers.codes.tolist()
        if answers.novelty is not None:
            novelty = np.array([one["novelty"] for one in found])
            assert np.abs(novelty - answers.novelty).max() < TOLERANCE
        assert [one["labels"] and tuple(one["labels"]) for one in found] == [
            one.prediction_set for one in answers
        ]
    else:
        for name, expected in zip(("value", "low", "high"), answers.outputs, strict=True):
            values = np.array([one[name] for one in found])
            assert np.abs(values - expected).max() < TOLERANCE * expected.std()
    for one, why in zip(found[:8], explained, strict=True):
        shown = {part["name"]: part["value"] for part in one["why"]["columns"]}
        assert one["why"]["of"] == why.of
        assert one["why"]["base"] + sum(shown.values()) == pytest.approx(why.score, abs=1e-3)
        if why.errors is None:
            contributions = [shown[name] for name in why.columns]
            assert contributions == pytest.approx(why.contributions, abs=1e-4)


def test_cells_become_the_inputs_of_the_graph_as_in_python(modules: Opened) -> None:
    words = [
        "",
        "Call 08001 NOW!",
        "naïve café №5 ²",
        "東京に住む ok",
        "a_b  c\td",
        "ἄλφα ١٢٣",
        "x" * 30,
    ]
    dates = [
        "2020-02-29T13:30:00",
        "1969-12-31T23:59:59",
        "1900-01-01T00:00:00",
        "",
        "2038-07-04T00:00:00",
    ]
    columns = (
        Column(name="t", kind="text"),
        Column(name="s", kind="text", signs=True),
        Column(name="d", kind="date"),
        Column(name="n", kind="number"),
        Column(name="y", kind="yes/no"),
    )
    accepted = TableInput(columns=columns, target="z")
    n = len(words)
    table = Table(
        {
            "t": np.array(words, object),
            "s": np.array(words, object),
            "d": np.array([*dates, "", ""][:n], "datetime64[s]"),
            "n": np.array([1.5, -0.0, np.nan, 1e300, -1e-30, 16_777_217, np.nan]),
            "y": np.array(["yes", "no", "", "perhaps", "yes", "no", ""], object),
        }
    )
    made_of = [
        {"name": one.name, "kind": one.kind, "inputs": list(one.inputs), "signs": one.signs}
        for one in columns
    ]
    ask = """([columns, rows]) => rows.map((cells) => Object.entries(
      modules.cells_js.graphInputs(columns, cells)).map(([name, {data}]) => [name, [...data].map(
        (value) => Number.isNaN(value) ? null : value)]))"""
    found = [dict(one) for one in modules.run(ask, [made_of, texts(table)])]
    for row, inputs in enumerate(found):
        expected = graph_inputs(table[np.array([row])], accepted)
        assert set(inputs) == set(expected)
        for name, values in expected.items():
            if values.dtype == object:
                assert inputs[name] == values[0].tolist(), name
            else:
                numbers = np.array(inputs[name], float)
                assert numbers == pytest.approx(values[0], rel=1e-6, nan_ok=True), name


def test_cells_are_shown_short_in_a_page_as_in_python(modules: Opened) -> None:
    cells = ["0.02717829", "-0.0446416", "1234567.5", "45.0", "0.0", "", "nan", "1e-12", "1e300"]
    shown = ["0.027178", "-0.044642", "1234568", "45", "0", "", "nan", "1e-12", "1e+300"]
    days = ["2020-02-29T13:30:00", "2020-02-29T00:00:00"]
    assert [shown_cell(cell, "number") for cell in cells] == shown
    assert [shown_cell(day, "date") for day in days] == [days[0], "2020-02-29"]
    assert shown_cell("1.50", "category") == "1.50"
    ask = "([cells, kind]) => cells.map((cell) => modules.shown_cell_js.shownCell(cell, kind))"
    for texts_, kind in ((cells, "number"), (days, "date"), (["1.50"], "category")):
        assert modules.run(ask, [texts_, kind]) == [shown_cell(text, kind) for text in texts_]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two labels with a report, on a table with a date, a formula and many columns."""
    folder, rng = tmp_path_factory.mktemp("form"), np.random.default_rng(0)
    rows = frame(700).drop(columns="z").dropna()
    n = len(rows)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D")
    more = {f"column {i}": rng.normal(size=n).round(3) for i in range(12)}
    rows = rows.assign(day=days.strftime("%Y-%m-%d"), **more)
    rows["kind"] = rows["kind"].replace("red", "=red <b>")
    rows.to_csv(folder / "rows.csv", index=False)
    return tenfold.train(folder / "rows.csv", target="y", learner="logistic", out=folder)


def test_a_person_changes_a_value_and_sees_the_answer(browser: Browser, run: Run) -> None:
    opened = open_file(browser, run.path / "report.html")
    page = opened.page
    page.locator("#form").get_by_label("a", exact=True).fill("2.5")
    page.locator("#form").get_by_label("kind", exact=True).select_option("(another value)")
    cells = opened.run("() => tenfold.form.cells")
    assert (cells["a"], cells["kind"]) == ("2.5", "(another value)")
    answer = run.model.predict_one({name: cell or None for name, cell in cells.items()})
    assert isinstance(answer, tenfold.Prediction)
    shown = page.inner_text("#form-answer")
    assert shown == f"{answer.label}, {answer.confidence:.1%}"
    assert answer.novelty is not None
    assert f"Novelty {answer.novelty:.2f}" in page.inner_text("#form-detail")
    (why,) = run.model.explain({name: cell or None for name, cell in cells.items()})
    told = as_json(Answer("rows", 0, answer, explanation=why))  # as the service says it
    assert (told["novelty"], told["explanation"]["of"]) == (answer.novelty, why.of)
    opened.until("document.querySelectorAll('#form-why-bars li').length === 11")  # ten, and others
    page.locator("#form").get_by_label("b", exact=True).fill("")
    assert opened.run("() => tenfold.form.cells.b") == ""
    page.click("#form-typical")
    assert opened.run("() => tenfold.form.cells.kind") == "=red <b>" or page.input_value("select")
    assert len(opened.requests) == 1 and opened.complaints == []


def test_a_row_of_the_report_is_put_into_the_form(browser: Browser, run: Run) -> None:
    opened = open_file(browser, run.path / "report.html")
    door = opened.page.locator("#cell-rows .door").first
    key = door.locator("xpath=..").get_attribute("data-key")
    door.click()
    cells = opened.run("() => tenfold.form.cells")
    stored = {row["key"]: row for row in predictions(run)}[str(key)]
    shown = opened.page.inner_text("#form-answer")
    assert shown == f"{stored['predicted']}, {float(stored['confidence']):.1%}"
    assert "Test row" in opened.page.inner_text("#form-about") and cells["text"]


def predictions(run: Run) -> list[dict[str, str]]:
    with (run.path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_form_is_accessible_and_fits_a_phone(
    browser: Browser, run: Run, tmp_path: Path, scheme: Any
) -> None:
    write_page(run, tmp_path / "page.html")
    phone = {"width": 390, "height": 844}
    opened = open_file(
        browser, tmp_path / "page.html", color_scheme=scheme, viewport=phone, bypass_csp=True
    )
    assert opened.run("() => document.documentElement.scrollWidth - innerWidth") <= 0
    opened.page.evaluate(AXE_SCRIPT)
    found = opened.page.evaluate("axe.run({resultTypes: ['violations']})")
    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []


def test_what_a_page_cannot_compute_it_says_or_asks_its_service(
    browser: Browser, once: Once, tmp_path: Path
) -> None:
    neighbors = made(once, "neighbors", "y")
    assert "TopK" in str(Form(neighbors).reason)
    assert "leaves out models" in str(Form(made(once, "forest", "y"), max_bytes=1_000).reason)
    network = made(once, "network", "y")
    with service(neighbors, network, log=tmp_path / "log") as found:
        opened = Opened(browser.new_context().new_page())
        for run, address in ((neighbors, "/"), (network, f"/models/{network.path.name}")):
            opened.page.goto(f"http://127.0.0.1:{found.port}{address}")
            opened.until("document.querySelectorAll('#form-why-bars li').length === 4")
            opened.page.locator("#form").get_by_label("a", exact=True).fill("2.5")
            opened.until("tenfold.form.cells.a === '2.5'")
            is_answered_like(opened, run)
        assert opened.run("() => tenfold.form.stored.explained") == {"way": "service"}


def is_answered_like(opened: Opened, run: Run) -> None:
    """The page shows the answer of a run to the row in its form, and the contributions to it."""
    cells = opened.run("() => tenfold.form.cells")
    (why,) = run.model.explain({name: cell or None for name, cell in cells.items()})
    answer = run.model.predict_one({name: cell or None for name, cell in cells.items()})
    assert isinstance(answer, tenfold.Prediction)
    shown = f"{answer.label}, {answer.confidence:.1%}"
    opened.until(f"document.getElementById('form-answer').textContent === {json.dumps(shown)}")
    score = f"{why.score:.1%}" if why.of.startswith("probability") else f"{why.score:.3g}"
    opened.until(f"document.getElementById('form-why-about').textContent.includes('{score}')")
    assert opened.page.inner_text("#form-why-about").startswith(why.of)
    strongest = why.columns[int(np.abs(why.contributions).argmax())]
    assert opened.page.locator("#form-why-bars li span").first.inner_text().startswith(strongest)


def test_without_rows_a_page_holds_none(once: Once) -> None:
    network = made(once, "network", "y")
    full, bare = (read_form(network, None, (), with_rows=with_rows) for with_rows in (True, False))
    assert not isinstance(full, Unable) and not isinstance(bare, Unable)
    assert len(full["explained"]["background"]) == Form(network).n_rows == 20
    assert bare["explained"] is None and Form(network, with_rows=False).n_rows == 0
    page = rewrite_report(network, with_rows=False).read_text()
    assert "This file contains no rows" in page and "it needs rows of the training" in page
    assert "data-cells=" not in page
