"""The page before a browser sees it: what is embedded, and why some models are not alive."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import tenfold
from tenfold import Run
from tenfold.core.contract import Column, Contract, ImageInput, TableInput
from tenfold.model.model import OPERATORS as WRITTEN
from tenfold.report.network_page import Unable, embedded, inlined, read_network, write_page
from tenfold.report.network_page.network import OPERATORS
from tests.conftest import Few


def test_the_network_is_what_leads_to_the_probabilities(small_run: Run) -> None:
    content = (small_run.path / "model.onnx").read_bytes()
    found = read_network(content, small_run.model.contract)
    assert isinstance(found, dict)
    operators = [node["operator"] for node in found["nodes"]]
    assert operators[:2] == ["Cast", "Mul"] and found["output"] == "probabilities"
    assert {"probabilities", "novelty"} <= {node["output"] for node in found["nodes"]}
    assert operators.count("Relu") == 2  # the network's, and the one that tells strangers
    shapes = {one["name"]: one["shape"] for one in found["weights"]}
    assert shapes["hidden_1.kernel"] == [784, 128]
    json.dumps(found)


def test_every_operator_of_a_network_is_in_both_engines() -> None:
    text = (Path(tenfold.__file__).parent / "report" / "network_page" / "engine.js").read_text(
        "utf-8"
    )
    table = text.partition("const OPERATORS = {")[2]
    assert set(re.findall(r"^  (\w+): \{", table, re.M)) == OPERATORS
    assert OPERATORS <= WRITTEN


@pytest.mark.parametrize("learner", ["forest", "neighbors"])
def test_a_learner_without_a_network_says_so(few: Few, tmp_path: Path, learner: str) -> None:
    run = tenfold.train(few(200, 50), learner=learner, recipe="fast", out=tmp_path)
    found = read_network((run.path / "model.onnx").read_bytes(), run.model.contract)
    assert isinstance(found, Unable) and f"“{learner}” is no network of layers" in found.reason
    write_page(run, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert found.reason in text and "<script" not in text
    report = (run.path / "report.html").read_text("utf-8")
    assert 'id="living"' not in report and "Try it" not in report


def test_a_logistic_model_is_a_network_without_hidden_layers(few: Few, tmp_path: Path) -> None:
    run = tenfold.train(few(200, 50), learner="logistic", recipe="fast", out=tmp_path)
    found = read_network((run.path / "model.onnx").read_bytes(), run.model.contract)
    assert isinstance(found, dict)


def test_tables_and_other_sizes_have_nothing_to_draw(small_run: Run) -> None:
    content = (small_run.path / "model.onnx").read_bytes()
    other: Any = ImageInput(height=8, width=8)
    for accepted, words in (
        (other, "this model sees 8 x 8"),
        (TableInput(columns=(Column(name="a", kind="number"),), target="y"), "nothing to draw"),
    ):
        contract = Contract(input=accepted, labels=("a", "b"), learner="network", tenfold="0")
        found = read_network(content, contract)
        assert isinstance(found, Unable) and words in found.reason


def test_embedded_data_cannot_end_its_element() -> None:
    text = embedded("x", {"label": "</script><script>alert(1)</script>"})
    assert text.count("<") == 2
    inside = text.partition(">")[2].rpartition("<")[0]
    assert json.loads(inside) == {"label": "</script><script>alert(1)</script>"}


def test_modules_become_one_script_in_scopes_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text(
        "const hidden = 1;\nexport function one() {\n  return hidden;\n}\n"
    )
    (tmp_path / "b.js").write_text('import { one } from "./a.js";\nexport const two = one() + 1;\n')
    text = inlined([tmp_path / "a.js", tmp_path / "b.js"])
    assert "const { one } = a_js;" in text and "return { two };" in text
    assert not re.search(r"^(import|export)", text, re.M)
    (tmp_path / "c.js").write_text('import one from "./a.js";\n')
    with pytest.raises(ValueError, match=r"c\.js: 'import one from"):
        inlined([tmp_path / "c.js"])


def test_the_page_is_small_and_alone(small_run: Run, tmp_path: Path) -> None:
    write_page(small_run, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert len(text) < 1_300_000
    assert not re.search(r"src=|@import|fetch\(|XMLHttp", text)
