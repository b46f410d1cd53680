"""What columns contribute adds up to the learner's own score, and is what the definition says."""

import itertools
import json
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import tenfold
from tenfold import Model, Predictions, Run
from tenfold.cli import main as cli
from tenfold.core.contract import TableInput
from tenfold.core.records import BACKGROUND
from tenfold.inputs.tables.columns import graph_inputs
from tenfold.model.background import read_background
from tenfold.model.explain import Explainer
from tenfold.model.tree_paths import read_trees
from tests.conftest import Once
from tests.support.errors import refused

LABELLED = ("boosting", "forest", "logistic", "bayes", "neighbors", "network", "baseline")
NUMBERS = ("boosting", "forest", "linear")
SAMPLED = ("neighbors", "network")


def frame(n: int = 240) -> pd.DataFrame:
    """Numbers, some of them missing, a category and a text, of which two labels depend."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, n))
    kind = rng.choice(["red", "green", "blue"], n)
    text = np.where(rng.random(n) < 0.5, "a good thing to have", "not so good, it broke")
    y = a + b * (kind == "red") + (text == "a good thing to have") > 0.5
    a[::9] = np.nan
    table = {"a": a.round(3), "b": b.round(3), "kind": kind, "text": text}
    return pd.DataFrame(table | {"y": np.where(y, "yes", "no"), "z": (a * 10 + b).round(2)})


def made(once: Once, learner: str, target: str) -> Run:
    unused = "z" if target == "y" else "y"
    settings: dict[str, Any] = {"epochs": 3} if learner == "network" else {}
    if learner in ("boosting",):
        settings["rounds"] = 5

    def make(out: Path) -> Run:
        rows = frame().drop(columns=unused).dropna(subset=[target])
        return tenfold.train(rows, target=target, learner=learner, out=out, **settings)

    return once(f"explained_{learner}_{target}", make)


CASES = [*((name, "y") for name in LABELLED), *((name, "z") for name in NUMBERS)]


@pytest.mark.parametrize(("learner", "target"), CASES)
def test_contributions_add_up_to_the_score_of_the_graph(
    once: Once, learner: str, target: str
) -> None:
    model = made(once, learner, target).model
    rows = frame(40)
    explained = model.explain(rows)
    accepted = model.contract.input
    assert isinstance(accepted, TableInput)
    explainer = Explainer(model._content, accepted, "here")
    inputs = graph_inputs(model.reader.read(rows).rows, accepted)
    own = explainer._run(explainer.found.tensor, inputs).astype(np.float64).reshape(40, -1)
    own = own * explainer.found.scale + explainer.found.mean
    together = explained.base + explained.contributions.sum(axis=1)
    assert np.abs(together - own).max() <= 1e-6 * max(1, np.abs(own).max())
    for row, why in enumerate(explained):
        assert why.base + why.contributions.sum() == pytest.approx(why.score, abs=1e-9)
        if isinstance(explained.answers, Predictions):
            assert why.calibrated == explained.answers[row].confidence
    answered = model.predict(rows).outputs[0]
    assert (explained.answers.outputs[0] == answered).all()
    assert (explained.errors is not None) == (learner in SAMPLED)
    if target == "y" and model.contract.temperature == 1:
        assert [why.uncalibrated for why in explained] == pytest.approx(
            [why.calibrated for why in explained], abs=1e-5
        )


def test_contributions_to_trees_are_the_sum_over_all_orders() -> None:
    """The definition, over all subsets, beside the sums over paths."""
    rng = np.random.default_rng(1)
    node = _some_trees(rng)
    trees = read_trees(node)
    assert trees is not None
    x = rng.normal(size=(6, 3)).astype(np.float32)
    x[0, 1] = np.nan
    found = trees.contributions(x, np.arange(3), 3)
    for row in range(len(x)):
        for column in range(3):
            expected = sum(
                factorial(len(known)) * factorial(2 - len(known)) / 6
                * (_expected(node, x[row], {*known, column}) - _expected(node, x[row], {*known}))
                for size in range(3)
                for known in itertools.combinations({0, 1, 2} - {column}, size)
            )  # fmt: skip
            assert found[row, column] == pytest.approx(expected, abs=1e-12)
    assert trees.base == pytest.approx(_expected(node, x[0], set()))


def _some_trees(rng: np.random.Generator) -> onnx.NodeProto:
    """Two trees of seven and five nodes that ask about features again below themselves."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    from tenfold.build.onnx.trees import add_boosting
    from tenfold.core.onnx_builder import Builder
    from tenfold.learners.boosting import Boosting

    x = rng.normal(size=(300, 3))
    x[rng.random(x.shape) < 0.1] = np.nan
    y = np.nan_to_num(x[:, 0]) + np.nan_to_num(x[:, 1]) ** 2 + rng.normal(size=300)
    fitted = HistGradientBoostingRegressor(max_iter=3, max_leaf_nodes=12, min_samples_leaf=5)
    builder = Builder("x")
    add_boosting(builder, Boosting(fitted.fit(x, y), None))
    return next(node for node in builder.nodes if node.op_type == "TreeEnsembleRegressor")


def _expected(node: onnx.NodeProto, x: NDArray[np.float32], known: set[int]) -> NDArray[np.float64]:
    """The answer where only some features are known: others go both ways, as training rows did."""
    given: dict[str, Any] = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        is_tensor = attribute.name.endswith("_as_tensor")
        given[attribute.name] = onnx.numpy_helper.to_array(value) if is_tensor else value
    places = list(zip(given["nodes_treeids"], given["nodes_nodeids"], strict=True))
    leaves = zip(given["target_treeids"], given["target_nodeids"], strict=True)
    weights = dict(zip(leaves, given["target_weights_as_tensor"], strict=True))
    number = {place: i for i, place in enumerate(places)}

    def below(tree: int, node_id: int) -> float:
        i = number[tree, node_id]
        if given["nodes_modes"][i] == b"LEAF":
            return float(weights[tree, node_id])
        ways = given["nodes_truenodeids"][i], given["nodes_falsenodeids"][i]
        feature = given["nodes_featureids"][i]
        if feature in known:
            goes_left = x[feature] <= given["nodes_values_as_tensor"][i]
            if np.isnan(x[feature]):
                goes_left = bool(given["nodes_missing_value_tracks_true"][i])
            return below(tree, ways[0] if goes_left else ways[1])
        hits = [given["nodes_hitrates"][number[tree, way]] for way in ways]
        return float(sum(h * below(tree, w) for h, w in zip(hits, ways, strict=True)) / sum(hits))

    base = given["base_values_as_tensor"]
    return np.asarray(base + sum(below(tree, 0) for tree in {tree for tree, _ in places}))


def test_a_sampled_contribution_is_near_the_exact_one(once: Once) -> None:
    """Of a model that adds up, sampling is exact, and its standard error is nothing."""
    model = made(once, "logistic", "y").model
    accepted = model.contract.input
    assert isinstance(accepted, TableInput)
    rows = model.reader.read(frame(5)).rows
    background = model.reader.read(frame(50)[30:]).rows
    explainer = Explainer(model._content, accepted, "here")
    answers = model.answer(rows)
    exact = explainer.explain(rows, answers, background)
    both = graph_inputs(model.reader.read(pd.concat([frame(5), frame(50)[30:]])).rows, accepted)
    for base, found, *errors in (
        explainer._of_separate(explainer.found.parts[0], both, 5),
        explainer._of_samples(explainer.found.parts, both, 5, answers),
    ):
        assert np.abs(base - exact.base).max() < 1e-5
        assert np.abs(found - exact.contributions).max() < 1e-5
        assert all(np.abs(error).max() < 1e-5 for error in errors)


def test_a_column_that_decides_contributes_most(once: Once) -> None:
    why = made(once, "neighbors", "y").model.explain({"a": 2.5, "b": 0, "kind": "blue", "text": ""})
    first = why[0]
    assert first.of == "probability of yes"
    assert first.columns[int(np.argmax(first.contributions))] == "a"
    (title, average, largest, *_), lines = list(first.lines(1))[:4], list(first.lines())
    assert title == "probability of yes:"
    assert average.startswith("average row") and largest.startswith("a ")
    assert "standard error" in largest
    assert lines[-1].startswith("probability ") and "calibrated" in lines[-1]
    assert len(why[:1]) == 1


def test_a_file_of_trees_suffices_and_others_need_rows(once: Once, tmp_path: Path) -> None:
    trees, linear = (made(once, name, "y").model for name in ("boosting", "logistic"))
    assert len(Model(trees._content).explain(frame(3))) == 3
    alone = Model(linear._content)
    with refused("E524"):
        alone.explain(frame(3))
    assert len(alone.explain(frame(3), background=frame(40))) == 3


def test_trees_of_earlier_versions_cannot_be_explained(once: Once) -> None:
    proto = onnx.ModelProto.FromString(made(once, "forest", "y").model._content)
    for node in proto.graph.node:
        kept = [entry for entry in node.attribute if entry.name != "nodes_hitrates"]
        del node.attribute[:]
        node.attribute.extend(kept)
    model = Model(proto.SerializeToString())
    assert len(model.predict(frame(3))) == 3
    with refused("E521"):
        model.explain(frame(3))


def test_pictures_have_no_columns(small_run: Run) -> None:
    with refused("E523", "image"):
        small_run.model.explain(np.zeros((28, 28), np.uint8))


def test_the_background_is_of_training_rows(once: Once, tmp_path: Path) -> None:
    run = made(once, "logistic", "y")
    rows = read_background(run.path / BACKGROUND)
    assert rows is not None and len(rows) == 100
    assert read_background(tmp_path / "none") is None
    (tmp_path / BACKGROUND).write_text("a,b\n1\n")
    with refused("E525"):
        read_background(tmp_path / BACKGROUND)


def test_predict_explains_on_the_command_line(once: Once, tmp_path: Path) -> None:
    run = made(once, "boosting", "y")
    frame(2).to_csv(tmp_path / "rows.csv", index=False)

    def call(*flags: str) -> tuple[int, str]:
        words = ["predict", str(run.path), str(tmp_path / "rows.csv"), "--explain", *flags]
        done = CliRunner().invoke(cli.app, words)
        return done.exit_code, done.stdout

    code, said = call("--json")
    assert code == 0
    for item in json.loads(said)["predictions"]:
        why = item["explanation"]
        together = why["base"] + sum(why["contributions"].values())
        assert together == pytest.approx(why["score"], abs=1e-6)
        assert why["calibrated"] == item["confidence"]
    code, said = call()
    assert code == 0
    assert "log-odds of" in said and "average row" in said
    assert call("--csv")[0] == 2


def test_the_report_explains_mistakes(once: Once) -> None:
    page = (made(once, "boosting", "y").path / "report.html").read_text()
    assert "What each column contributed" in page
