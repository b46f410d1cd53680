"""The pages in a real browser: they answer like the model, ask for nothing and show what is so."""

import csv
import itertools
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from playwright.sync_api import Browser

import tenfold
from tenfold import Run
from tenfold.build.onnx import to_graph
from tenfold.core.contract import Contract, ImageInput
from tenfold.core.csv_cells import unescape_formula
from tenfold.core.errors import DataError
from tenfold.core.onnx_layers import layers_in
from tenfold.core.text import shown_cell
from tenfold.inputs.pictures import mnist_box
from tenfold.inputs.pictures.decode import read_picture
from tenfold.learners.architectures import dense_network
from tenfold.learners.network import Vote
from tenfold.report import write_comparison
from tenfold.report.network_page import read_network, write_page
from tenfold.runs.csv_files import compare_runs
from tests.conftest import Few
from tests.support.browser import UNPACKED, Opened, launch, open_file, packed
from tests.support.networks import fitted, untrained
from tests.support.paper import CONDITIONS, blank, on_paper
from tests.support.service import service

pytestmark = pytest.mark.browser

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def alive(browser: Browser, small_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """The living network of the small run. Tests leave nothing drawn that others need."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(small_run, path)
    return open_file(browser, path)


@pytest.fixture(scope="module")
def report(browser: Browser, small_run: Run) -> Opened:
    return open_file(browser, small_run.path / "report.html")


ANSWER_ALL = f"""([text, n]) => {{
  {UNPACKED}
  const pixels = unpacked(text);
  const one = (i) => pixels.subarray(784 * i, 784 * (i + 1));
  return Array.from({{length: n}}, (_, i) => tenfold.answer(one(i)));
}}"""

FIT_ALL = f"""(pictures) => {{
  {UNPACKED}
  return pictures.map(([text, height, width]) => {{
    const found = tenfold.fit({{height, width, data: unpacked(text)}});
    return [[...found.image.data], found.box, found.polarity];
  }});
}}"""


def test_the_page_answers_500_images_like_the_model(
    alive: Opened, small_run: Run, few: Few
) -> None:
    x = few(600, 500).images[600:]
    found = np.array(alive.run(ANSWER_ALL, [packed(x), len(x)]), np.float32)
    expected = small_run.model.answer(x).outputs[0]
    assert np.abs(found - expected).max() < TOLERANCE
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()


@pytest.mark.slow
def test_the_page_answers_like_a_trained_cnn(
    browser: Browser, small_cnn: Run, few: Few, tmp_path: Path
) -> None:
    run = small_cnn
    write_page(run, tmp_path / "page.html")
    page = open_file(browser, tmp_path / "page.html")
    x = few(600, 500).images[600:]
    found = np.array(page.run(ANSWER_ALL, [packed(x), len(x)]), np.float32)
    expected = run.model.answer(x).outputs[0]
    assert np.abs(found - expected).max() < TOLERANCE
    lead = np.sort(expected, axis=1)
    alike = found.argmax(axis=1) == expected.argmax(axis=1)
    assert alike[lead[:, -1] - lead[:, -2] > TOLERANCE].all()
    assert len(page.requests) == 1 and not page.complaints  # the file itself


@pytest.mark.parametrize("n", [1, pytest.param(14, marks=pytest.mark.slow)])
def test_the_page_fits_pictures_like_python(alive: Opened, few: Few, n: int) -> None:
    """Clean, thin, faint, in a shadow, on ruled paper, noisy photos: pixel by pixel."""
    digits = few(400).images
    pictures = []
    for k, paper in enumerate(CONDITIONS.values()):
        large = max(paper.px) > 200
        for seed in range(n):
            # Two of the full size, the others smaller: they take a quarter of the time.
            px = (paper.px[0] // 2, paper.px[1] // 2) if large and seed > 1 else paper.px
            if max(px) < 300 or seed < 2:
                pictures.append(on_paper(digits[10 * seed + k], replace(paper, px=px), seed))
    assert len(pictures) > 18 * n
    found = alive.run(FIT_ALL, [[packed(x), *x.shape] for x in pictures])
    for (pixels, place, polarity), picture in zip(found, pictures, strict=True):
        expected = mnist_box.fit(picture)
        difference = np.abs(np.reshape(pixels, (28, 28)) - expected.image.astype(int))
        assert difference.max() <= 2
        assert (tuple(place), polarity) == (expected.box, expected.polarity)


def test_blank_paper_is_called_blank(alive: Opened) -> None:
    for name in ("clean", "gradient", "noise"):
        x = blank(CONDITIONS[name])
        with pytest.raises(DataError, match="Nothing is drawn on the picture"):
            mnist_box.fit(x)
        alive.run(
            f"""([text, height, width]) => {{
              {UNPACKED}
              tenfold.read({{height, width, data: unpacked(text)}});
            }}""",
            [packed(x), *x.shape],
        )
        assert "Nothing is drawn on the picture" in alive.page.inner_text("#verdict")


def test_a_drawing_is_answered_while_it_is_drawn(alive: Opened, small_run: Run) -> None:
    page = alive.page
    page.click("#clear")
    alive.until("!tenfold.state.image")
    at = page.locator("#pad").bounding_box()
    assert at
    x, y = at["x"] + at["width"] / 2, at["y"]
    page.mouse.move(x, y + 0.2 * at["height"])
    page.mouse.down()
    page.mouse.move(x, y + 0.8 * at["height"], steps=8)
    alive.until("tenfold.state.image")
    page.mouse.up()
    image = np.array(alive.run("() => [...tenfold.state.image.data]"), np.uint8).reshape(28, 28)
    answer = small_run.model.predict_one(image)
    assert isinstance(answer, tenfold.Prediction)
    verdict = page.inner_text("#verdict")
    assert verdict.startswith(answer.label) and f"{100 * answer.confidence:.0f}"[:1] in verdict
    assert page.get_attribute(".bar.best", "aria-label").startswith(f"{answer.label}: ")  # type: ignore[union-attr]
    page.click("#undo")
    alive.until("!tenfold.state.image")


def test_the_network_is_drawn_with_the_paths_that_decide(
    alive: Opened, small_run: Run, few: Few
) -> None:
    image = few(3).images[2]
    alive.run(f"(text) => {{ {UNPACKED} tenfold.look(unpacked(text)); }}", packed(image))
    alive.until("!document.getElementById('paths').hidden")
    answer = small_run.model.predict_one(image)
    assert isinstance(answer, tenfold.Prediction)
    best = int(answer.label)
    alive.until(f"document.getElementById('paths-to').textContent === '{best}'")
    network, parameters = layers_in((small_run.path / "model.onnx").read_bytes())
    hidden, output = (parameters[name] for name in ("hidden_1", "output"))
    active = np.maximum(image.reshape(-1) / 255 @ hidden["kernel"] + hidden["bias"], 0)
    products = np.abs(active * output["kernel"][:, best])
    strongest = set(np.argsort(-products)[:10].tolist())
    texts = "(kind) => [...document.querySelectorAll(kind)].map((one) => one.textContent)"
    shown = alive.run(texts, "#paths .index")
    assert {int(text) for text in shown} == strongest and len(network.layers) == 5
    counts = ["784 pixels", f"{len(active)} neurons, 10 drawn", "10 outputs"]
    assert alive.run(texts, "#paths .count") == counts
    alive.page.locator("#paths circle.hidden").first.click()
    assert alive.page.inner_text("#neuron-title") == f"Neuron {min(strongest)} of layer 1"


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "JPEG"])
def test_a_chosen_picture_is_fitted_like_predict_does(
    alive: Opened, few: Few, tmp_path: Path, mode: str
) -> None:
    grey = on_paper(few(10).images[3], CONDITIONS["clean"])
    if mode == "RGBA":  # ink on nothing, as drawing programs save it
        ink = np.zeros((*grey.shape, 4), np.uint8)
        ink[..., 3] = 255 - grey
        picture = Image.fromarray(ink)
    else:
        picture = Image.fromarray(grey).convert("L" if mode == "JPEG" else mode)
    path = tmp_path / ("digit.jpg" if mode == "JPEG" else "digit.png")
    picture.save(path)
    page = alive.page
    page.click("#clear")
    alive.until("!tenfold.state.image")
    page.set_input_files("#file", str(path))
    alive.until("tenfold.state.image")
    image = np.array(alive.run("() => [...tenfold.state.image.data]")).reshape(28, 28)
    expected = mnist_box.fit(read_picture(path, at_least_px=mnist_box.WORK_PX).pixels).image
    # Browsers decode JPEG, and blend what is transparent, with other roundings than Pillow.
    most = {"L": 2, "RGB": 2, "RGBA": 6, "JPEG": 12}[mode]
    assert np.abs(image - expected.astype(int)).max() <= most


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_pictures_are_dropped_and_pasted(alive: Opened, few: Few, tmp_path: Path, way: str) -> None:
    grey = on_paper(few(10).images[6], CONDITIONS["clean"])
    Image.fromarray(grey).save(tmp_path / "digit.png")
    give = f"""([text, way]) => {{
      {UNPACKED}
      const data = new DataTransfer();
      data.items.add(new File([unpacked(text)], "digit.png", {{type: "image/png"}}));
      if (way === "drop") {{
        const pad = document.getElementById("pad");
        pad.dispatchEvent(new DragEvent("drop", {{dataTransfer: data, cancelable: true}}));
      }} else dispatchEvent(new ClipboardEvent("paste", {{clipboardData: data}}));
    }}"""
    alive.page.click("#clear")
    alive.until("!tenfold.state.image")
    content = np.frombuffer((tmp_path / "digit.png").read_bytes(), np.uint8)
    alive.run(give, [packed(content), way])
    alive.until("tenfold.state.image")
    image = np.array(alive.run("() => [...tenfold.state.image.data]")).reshape(28, 28)
    assert np.abs(image - mnist_box.fit(grey).image.astype(int)).max() <= 2
    alive.run(give, [packed(np.frombuffer(b"no picture", np.uint8)), way])
    alive.until("document.getElementById('verdict').textContent.includes('no picture')")


def test_a_picture_too_large_leaves_the_pad_as_it_is(alive: Opened, tmp_path: Path) -> None:
    page = alive.page
    page.click("#clear")
    alive.until("!tenfold.state.image")
    alive.run("() => tenfold.pad.strokes([[[0.5, 0.2], [0.5, 0.8]]])")
    alive.until("tenfold.state.image")
    pixels = "() => document.getElementById('pad').toDataURL()"
    drawn = alive.run(pixels)
    path = tmp_path / "long.png"
    Image.new("L", (16_385, 2), 255).save(path)
    page.set_input_files("#file", str(path))
    alive.until("document.getElementById('verdict').textContent.includes('too large')")
    alive.run("() => dispatchEvent(new Event('resize'))")
    assert alive.run(pixels) == drawn
    alive.run("() => tenfold.pad.strokes([[[0.3, 0.2], [0.7, 0.8]]])")
    alive.until("!document.getElementById('verdict').textContent.includes('too large')")


def test_an_example_is_drawn_once_when_it_comes_into_view(browser: Browser, small_run: Run) -> None:
    still = open_file(browser, small_run.path / "report.html")
    shown = "[...tenfold.state.image.data]"
    whole = still.run(f"() => {shown}")
    moving = open_file(browser, small_run.path / "report.html", reduced_motion="no-preference")
    moving.run(f"""() => {{
      window.seen = [];
      const note = () => {{
        const pixels = {shown};
        if (pixels.join() !== window.seen.at(-1)?.join()) window.seen.push(pixels);
        requestAnimationFrame(note);
      }};
      note();
      document.getElementById("pad").scrollIntoView({{ block: "center" }});
    }}""")
    moving.until(
        f"window.seen.length > 3 && {shown}.join() === {json.dumps(','.join(map(str, whole)))}"
    )
    first, *drawn = (np.array(pixels) for pixels in moving.run("() => window.seen"))
    assert first.tolist() == whole == drawn[-1].tolist()
    for before, after in itertools.pairwise(drawn):
        assert (before <= after).all() and before.sum() < after.sum(), "ink is only added"
    moving.run("() => scrollTo(0, 0)")
    moving.run("() => document.getElementById('pad').scrollIntoView({ block: 'center' })")
    moving.page.wait_for_timeout(100)
    assert moving.run(f"() => {shown}") == whole, "once"
    assert not moving.complaints


def test_a_finger_draws_as_a_mouse_does(alive: Opened) -> None:
    alive.page.click("#clear")
    alive.until("!tenfold.state.image")
    alive.run("""() => {
      const pad = document.getElementById("pad");
      pad.setPointerCapture = () => {};
      pad.hasPointerCapture = () => true;
      const box = pad.getBoundingClientRect();
      const at = (kind, y) => pad.dispatchEvent(new PointerEvent(kind, {
        pointerId: 7, pointerType: "touch", clientX: box.x + box.width / 2,
        clientY: box.y + y * box.height}));
      at("pointerdown", 0.2);
      for (const y of [0.4, 0.6, 0.8]) at("pointermove", y);
      delete pad.setPointerCapture;
      delete pad.hasPointerCapture;
    }""")
    alive.until("tenfold.state.image")
    assert alive.page.evaluate("getComputedStyle(document.querySelector('#pad')).touchAction") == (
        "none"
    )


def test_a_neuron_shows_its_arithmetic(alive: Opened, small_run: Run) -> None:
    page = alive.page
    page.click(".example >> nth=3")
    alive.until("tenfold.state.image")
    page.locator("#layers input").first.fill("17")
    text = page.inner_text("#neuron")
    assert "Neuron 17 of layer 1" in text and "ReLU" in text
    page.click("#bars button >> nth=4")
    assert "Output “4”" in page.inner_text("#neuron-title")
    page.locator("#layers canvas").first.click(position={"x": 5, "y": 5})
    assert "Neuron 0 of layer 1" in page.inner_text("#neuron-title")
    page.wait_for_selector("#evidence-sum:not(:empty)")
    page.select_option("#rival", "2")
    alive.until("document.querySelector('#evidence-sum').textContent.includes('“2”')")


# Networks of any layers, made here: engine.js beside ONNX Runtime.


def a_graph(kind: str) -> bytes:
    """A small random network of convolutions with the contract's ends."""
    rng = np.random.default_rng(3)
    weights: list[Any] = []

    def weight(name: str, *shape: int, at: float = 0.0, dtype: Any = np.float32) -> str:
        values = rng.normal(at, 1 / np.sqrt(max(math.prod(shape[1:]), 1)), shape)
        weights.append(numpy_helper.from_array(values.astype(dtype), name))
        return name

    def whole(name: str, values: list[int]) -> str:
        weights.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        node("Mul", ["x", "factor"], ["scaled"]),
        node("Unsqueeze", ["scaled", whole("axis", [1])], ["planes"]),
        node("Conv", ["planes", weight("k1", 6, 1, 3, 3), weight("b1", 6)], ["c1"], pads=[1] * 4),
        node("Relu", ["c1"], ["r1"]),
        node("MaxPool", ["r1"], ["m1"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    weights.append(numpy_helper.from_array(np.array(1 / 255, np.float32), "factor"))
    if kind == "strides":
        nodes += [
            node("Conv", ["m1", weight("k2", 8, 6, 5, 5), weight("b2", 8)], ["c2"],
                 strides=[2, 2], pads=[1, 1, 2, 2]),
            node("Relu", ["c2"], ["r2"]),
            node("Flatten", ["r2"], ["flat"], axis=1),
            node("Gemm", ["flat", weight("w", 392, 4), weight("b", 4)], ["logits"]),
        ]  # fmt: skip
    elif kind == "channels last":
        nodes += [
            node("Transpose", ["m1"], ["t"], perm=[0, 2, 3, 1]),
            node("Reshape", ["t", whole("sides", [0, -1])], ["flat"]),
            node("Gemm", ["flat", weight("w", 4, 14 * 14 * 6), weight("b", 4)], ["logits"],
                 transB=1),
        ]  # fmt: skip
    else:
        nodes += [
            node("MaxPool", ["m1"], ["m2"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
            node("Conv", ["m2", weight("k2", 5, 6, 3, 3)], ["c2"]),
            node("Sub", ["c2", weight("shift", 5, 1, 1)], ["s2"]),
            node("Relu", ["s2"], ["r2"]),
            node("Flatten", ["r2"], ["flat"], axis=1),
            node("Gemm", ["flat", weight("w", 125, 16), weight("b", 16)], ["d"]),
            node("Relu", ["d"], ["rd"]),
            node("Gemm", ["rd", weight("w2", 16, 4), weight("bb", 4)], ["logits"]),
        ]
    nodes.append(node("Softmax", ["logits"], ["soft"], axis=-1))
    nodes += [
        node("Clip", ["soft", weight("low", at=0), weight("high")], ["cut"]),
        node("Log", ["cut"], ["log"]),
        node("Mul", ["log", "cool"], ["tempered"]),
        node("Softmax", ["tempered"], ["probabilities"], axis=-1),
        # How far the answer is from the nearest of three centres, and how doubtful it is.
        node("Sub", ["logits", weight("mean", 4)], ["centred"]),
        node("Gemm", ["centred", weight("centres", 3, 4), weight("squares", 3)], ["closeness"],
             alpha=2.0, transB=1),
        node("ReduceMax", ["closeness"], ["nearest"], axes=[1], keepdims=0),
        node("ReduceSumSquare", ["centred"], ["square"], axes=[1], keepdims=0),
        node("Sub", ["square", "nearest"], ["off"]),
        node("Sqrt", ["off_"], ["root"]),
        node("Div", ["root", "unit"], ["novelty"]),
    ]  # fmt: skip
    nodes.insert(-2, node("Max", ["off", "low"], ["off_"]))
    ends = {"low": 1e-7, "high": 1.0, "cool": 0.8, "unit": 0.3}
    weights = [one for one in weights if one.name not in ends]
    weights += [numpy_helper.from_array(np.array(v, np.float32), k) for k, v in ends.items()]
    graph = helper.make_graph(
        nodes,
        "random",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 28, 28])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 4]),
            helper.make_tensor_value_info("novelty", TensorProto.FLOAT, ["n"]),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


class Sceptic(Contract):
    """A contract with a threshold of novelty."""

    novelty_threshold: float | None = 1.0


CONTRACT = Sceptic(
    input=ImageInput(height=28, width=28), labels=("a", "b", "c", "d"), learner="cnn", tenfold="0"
)


@pytest.fixture(params=["strides", "channels last", "flat"])
def convolutional(request: pytest.FixtureRequest, alive: Opened) -> tuple[Opened, bytes]:
    """A page that has opened a random network as `net`."""
    content = a_graph(request.param)
    network = read_network(content, CONTRACT)
    assert isinstance(network, dict)
    alive.run("(stored) => { globalThis.net = tenfold.openNetwork(stored); }", network)
    return alive, content


def test_convolutions_are_computed_like_onnx_runtime(
    convolutional: tuple[Opened, bytes], few: Few
) -> None:
    alive, content = convolutional
    x = few(60).images[:60]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    expected, novelty = session.run(None, {"image": x})
    assert np.ptp(expected, axis=0).max() > 0.02, "the answers must differ from row to row"
    found = alive.run(
        f"""([text, n]) => {{
          {UNPACKED}
          const x = unpacked(text);
          return Array.from({{length: n}}, (_, i) =>
            ["probabilities", "novelty"].map((name) =>
              [...tenfold.run(net, x.subarray(784 * i, 784 * (i + 1))).get(name).data]));
        }}""",
        [packed(x), len(x)],
    )
    assert np.abs(np.array([p for p, _ in found]) - expected).max() < TOLERANCE
    assert np.ptp(novelty) > 0.02
    assert np.abs(np.array([n for _, (n,) in found]) - novelty).max() < TOLERANCE


def test_of_a_vote_the_first_network_answers_while_the_pen_moves(alive: Opened, few: Few) -> None:
    networks = [untrained(dense_network((28, 28), [8], 4), seed=seed) for seed in (1, 2, 3)]
    vote, alone = (
        to_graph(fitted(one), CONTRACT.model_copy(update={"novelty_threshold": None}))
        for one in (Vote(tuple(networks)), networks[0])
    )
    x = few(1).images[:1]
    expected = [
        onnxruntime.InferenceSession(content).run(["probabilities"], {"image": x})[0][0]
        for content in (alone, vote)
    ]
    found = alive.run(
        f"""([text, stored]) => {{
          {UNPACKED}
          const net = tenfold.openNetwork(stored);
          return [net.first, net.steps].map((steps) =>
            [...tenfold.run(net, unpacked(text), steps).get(net.output).data]);
        }}""",
        [packed(x), read_network(vote, CONTRACT)],
    )
    assert np.abs(np.array(found) - expected).max() < TOLERANCE
    assert np.abs(expected[0] - expected[1]).max() > 100 * TOLERANCE


def test_an_answer_of_much_novelty_is_unsure(convolutional: tuple[Opened, bytes], few: Few) -> None:
    alive, content = convolutional
    x = few(1).images[0]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    p, (novelty,) = session.run(None, {"image": x[None]})
    doubts = alive.run(
        f"""([text, thresholds]) => {{
          {UNPACKED}
          const values = tenfold.run(net, unpacked(text));
          const labels = ["a", "b", "c", "d"];
          return thresholds.map((novelty_threshold) =>
            tenfold.answerOf({{labels, network: {{...net, novelty_threshold}}}}, values).doubt);
        }}""",
        [packed(x), [float(novelty) * 0.9, float(novelty) * 1.1, None]],
    )
    first, second = np.argsort(-p[0])[:2]
    between = p[0][second] >= 0.5 * p[0][first]
    expected = f"{'abcd'[first]} or {'abcd'[second]}" if between else "unlike the training examples"
    assert doubts == [expected, None, None]


def test_every_neuron_is_the_sum_of_its_weighted_inputs(
    convolutional: tuple[Opened, bytes], few: Few
) -> None:
    alive, _ = convolutional
    off = alive.run(
        f"""(text) => {{
          {UNPACKED}
          const values = tenfold.run(net, unpacked(text));
          return tenfold.layersOf(net).flatMap((layer) => [0, 1, 2, 3].map((index) => {{
            const one = tenfold.neuronOf(net, values, layer, index);
            const sum = one.products.reduce((a, b) => a + b, one.bias);
            return Math.abs(sum - one.sum);
          }}));
        }}""",
        packed(few(10).images[5]),
    )
    assert len(off) >= 8 and max(off) < 1e-3


def test_the_evidence_is_the_slope_of_the_lead(
    convolutional: tuple[Opened, bytes],
) -> None:
    """Pixels a little darker change the lead by their share of the evidence."""
    alive, _ = convolutional
    found = alive.run(
        f"""(text) => {{
          {UNPACKED}
          const pixels = unpacked(text);
          const told = tenfold.evidence(net, tenfold.run(net, pixels), 0, 1);
          const brightest = [...pixels.keys()].filter((i) => pixels[i] > 200).slice(0, 60);
          return brightest.map((i) => {{
            const less = Float32Array.from(pixels);
            less[i] *= 1 - 1 / 256;
            const after = tenfold.evidence(net, tenfold.run(net, less), 0, 1).difference;
            return [told.pixels[i], 256 * (told.difference - after)];
          }});
        }}""",
        packed(np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)),
    )
    told, measured = np.array(found).T
    assert np.abs(told).max() > 1e-3
    # A step may cross a corner of a ReLU or of a maximum; most do not.
    close = np.abs(told - measured) < 5e-3 + 0.03 * np.abs(told)
    assert close.mean() > 0.9


# Reports


def test_the_report_opens_offline_without_a_request_or_a_complaint(
    report: Opened, small_run: Run
) -> None:
    assert report.requests == [(small_run.path / "report.html").resolve().as_uri()]
    assert report.complaints == []


def stored_rows(run: Run) -> list[dict[str, str]]:
    with (run.path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_click_on_a_cell_shows_exactly_its_rows(report: Opened, small_run: Run) -> None:
    page, rows = report.page, stored_rows(small_run)
    cells = page.query_selector_all(".matrix button:enabled")
    assert len(cells) > 12
    n_seen = 0
    for cell in cells:
        cell.click()
        if page.is_visible("#cell-more"):
            page.click("#cell-more")
        true, predicted = json.loads(f"[{cell.get_attribute('data-cell')}]")
        mine = [r for r in rows if (r["true"], r["predicted"]) == (str(true), str(predicted))]
        mine.sort(key=lambda row: -float(row["confidence"]))
        shown = page.eval_on_selector_all("#cell-rows li", "all => all.map((x) => x.dataset.key)")
        assert shown == [unescape_formula(row["key"]) for row in mine]
        assert page.query_selector_all("#cell-rows .tile")
        assert cell.get_attribute("aria-pressed") == "true"
        n_seen += len(shown)
    assert n_seen == len(rows)


def test_the_images_of_a_cell_are_those_of_its_rows(report: Opened, few: Few) -> None:
    """A screenshot of a tile beside the image that its key names."""
    page = report.page
    page.locator("#hardest .tile").first.scroll_into_view_if_needed()
    key = page.locator("#hardest li").first.get_attribute("data-key")
    assert key
    data = few(600, 200)
    expected = data.images[list(data.keys).index(key)]
    shot = page.locator("#hardest .tile").first.screenshot(path="tile.png")
    assert shot
    shown = np.asarray(Image.open("tile.png").convert("L").resize((28, 28), Image.Resampling.BOX))
    inner = np.s_[3:25, 3:25]  # corners are round
    assert np.abs(shown[inner] - expected[inner].astype(int)).mean() < 12


def test_cells_are_reached_by_keyboard(report: Opened) -> None:
    page = report.page
    page.focus(".matrix button:enabled")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    focused = page.evaluate("document.activeElement.dataset.cell")
    assert page.locator(f'.matrix [data-cell="{focused}"]').get_attribute("aria-pressed") == "true"


def test_on_paper_the_evidence_is_printed_and_the_pad_is_not(report: Opened) -> None:
    report.page.emulate_media(media="print")
    assert report.page.is_hidden("#living") and report.page.is_hidden("nav")
    assert report.page.is_visible("#mistakes") and report.page.is_hidden("#settings")
    paper = report.page.pdf(format="A4", print_background=True)
    assert len(re.findall(rb"/Type /Page\b", paper)) == 2
    report.page.emulate_media(media="screen")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_report_without_a_sideways_scroll_and_text_stands_out(
    browser: Browser, small_run: Run, scheme: Any
) -> None:
    opened = open_file(
        browser, small_run.path / "report.html", color_scheme=scheme,
        viewport={"width": 390, "height": 844},
    )  # fmt: skip
    assert opened.run("() => document.documentElement.scrollWidth - innerWidth") <= 0
    found = opened.run(CONTRASTS)
    assert len(found) > 60
    weak = [(text, contrast) for text, contrast in found if contrast < 4.5]
    assert not weak, weak[:5]
    assert opened.run(TOO_SMALL) == []


TOO_SMALL = """() => {
  const found = [];
  for (const element of document.querySelectorAll("main *")) {
    if (!element.checkVisibility()) continue;
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const matrix = element.ownerSVGElement?.getScreenCTM();
    const scale = matrix ? Math.hypot(matrix.a, matrix.b) : 1;
    const size = parseFloat(getComputedStyle(element).fontSize) * scale;
    if (own && size < 12) found.push([element.textContent.trim().slice(0, 40), size]);
    if (!element.matches("button:enabled, summary, select, input:not([type=file])")) continue;
    const {width, height} = (element.closest("label") ?? element).getBoundingClientRect();
    if (Math.min(width, height) < 24) found.push([element.outerHTML.slice(0, 60), width, height]);
  }
  return found.slice(0, 5);
}"""
"""Text below 12 px, and what is pressed and is smaller than 24 px (WCAG 2.2, 2.5.8)."""


CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const rgb = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const found = rgb(getComputedStyle(one).backgroundColor);
      if (found[3] === 255) return found;
    }
  };
  const found = [];
  for (const element of document.querySelectorAll("main *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility() || element.disabled) continue;
    const style = getComputedStyle(element);
    const colour = element instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(rgb(colour)), light(ground(element))].sort((x, y) => y - x);
    found.push([element.textContent.trim().slice(0, 40), (a + 0.05) / (b + 0.05)]);
  }
  return found;
}"""
"""Text and its contrast with what is behind it, as WCAG 2.2 defines it (relative luminance)."""


# Tables


@pytest.fixture(scope="module")
def table_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A run of labels and one of numbers, on tables with words, gaps and a formula."""
    folder, rng = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)
    size, kind = rng.normal(50, 20, 300), rng.choice(["=red", "green", ""], 300)
    price = 3 * size + 20 * (kind == "green") + rng.normal(0, 15, 300)
    frame = pd.DataFrame({"size": size.round(2), "kind": kind, "price": price.round(1)})
    frame.to_csv(folder / "prices.csv", index=False)
    frame.assign(price=np.where(price > 160, "dear", "cheap")).to_csv(
        folder / "labels.csv", index=False
    )
    asked = {"labels": "logistic", "prices": "linear"}
    return {
        name: tenfold.train(
            folder / f"{name}.csv", target="price", learner=learner, out=folder, robustness=True
        )
        for name, learner in asked.items()
    }


def rows_of(run: Run) -> list[dict[str, str]]:
    source = run.record.data.source
    assert source is not None
    with Path(source).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_click_on_a_cell_shows_the_cells_of_its_rows(
    browser: Browser, table_runs: dict[str, Run]
) -> None:
    run = table_runs["labels"]
    opened, rows = open_file(browser, run.path / "report.html"), rows_of(run)
    n_seen = 0
    for cell in opened.page.query_selector_all(".matrix button:enabled"):
        cell.click()
        for shown in opened.run(CELLS):
            row = rows[int(shown.pop("key").rpartition(":")[2])]
            assert float(shown.pop("size")) == float(row["size"])
            assert shown == {"kind": row["kind"] or "missing"}
            n_seen += 1
    assert n_seen == run.record.data.n_test and opened.complaints == []


CELLS = """() => [...document.querySelectorAll("#cell-rows li")].map((row) => Object.fromEntries(
  [["key", row.dataset.key], ...[...row.querySelectorAll(".cells div")].map(
    (pair) => [...pair.children].map((part) => part.textContent))]))"""


def test_the_worst_rows_of_a_regression_show_their_cells(
    browser: Browser, table_runs: dict[str, Run]
) -> None:
    run = table_runs["prices"]
    opened, rows = open_file(browser, run.path / "report.html"), rows_of(run)
    head = opened.run("() => [...document.querySelectorAll('#worst th')].map((x) => x.innerText)")
    assert head == ["row", "true", "predicted", "off by", "size", "kind"]
    shown = opened.run(
        "() => [...document.querySelectorAll('#worst tr')].slice(1)"
        ".map((row) => [...row.children].map((cell) => cell.innerText))"
    )
    assert len(shown) == 20
    for key, true, _, _, size, kind in shown:
        row = rows[int(key.rpartition(":")[2])]
        assert (size, kind) == (shown_cell(row["size"], "number"), row["kind"])
        assert float(true.replace(",", "")) == pytest.approx(float(row["price"]), rel=1e-3)


def test_axe_finds_no_issue_in_a_report(browser: Browser, small_run: Run) -> None:
    ask_axe(browser, [small_run.path / "report.html"], "light")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_issue(
    browser: Browser, small_run: Run, table_runs: dict[str, Run], tmp_path: Path, scheme: Any
) -> None:
    """Every kind of page."""
    write_page(small_run, tmp_path / "page.html")
    write_comparison(
        small_run, small_run, compare_runs(small_run, small_run), tmp_path / "two.html"
    )
    reports = [run.path / "report.html" for run in (small_run, *table_runs.values())]
    ask_axe(browser, [*reports, tmp_path / "two.html", tmp_path / "page.html"], scheme)


def ask_axe(browser: Browser, paths: list[Path], scheme: Any) -> None:
    """Pages as axe-core judges them."""
    for path in paths:
        no_issue(open_file(browser, path, color_scheme=scheme))


def no_issue(opened: Opened) -> None:
    """Axe-core finds nothing in a page."""
    opened.page.evaluate(AXE_SCRIPT)
    found = opened.page.evaluate("axe.run({resultTypes: ['violations']})")
    issues = [
        (one["id"], one["impact"], [node["html"][:100] for node in one["nodes"][:3]])
        for one in found["violations"]
    ]
    assert len(found["passes"]) > 15 and not issues, (opened.page.url, issues)


def test_without_a_browser_tests_are_not_run_and_in_ci_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    nothing: Any = None
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="browser tests not run, no Chromium"):
        launch(nothing)
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="no Chromium: apt-get install chromium"):
        launch(nothing)


def test_a_comparison_opens_offline_without_a_complaint(
    browser: Browser, small_run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "two.html"
    write_comparison(small_run, small_run, compare_runs(small_run, small_run), path)
    opened = open_file(browser, path, viewport={"width": 390, "height": 844})
    assert opened.requests == [path.resolve().as_uri()] and opened.complaints == []
    assert opened.run("() => document.documentElement.scrollWidth - innerWidth") <= 0
    assert min(contrast for _, contrast in opened.run(CONTRASTS)) >= 4.5


# The page of a service.


def test_a_forest_is_asked_through_the_service(browser: Browser, few: Few, tmp_path: Path) -> None:
    run = tenfold.train(few(600, 50), learner="forest", n_trees=5, out=tmp_path)
    with service(run, log=tmp_path / "log") as found:
        page = browser.new_context().new_page()
        opened = Opened(page)
        page.on("console", lambda said: opened.complaints.append(said.text))
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        page.goto(f"http://127.0.0.1:{found.port}/")
        page.click(".example >> nth=3")
        opened.until("tenfold.state.answer")
        image = np.array(opened.run("() => [...tenfold.state.image.data]"), np.uint8)
        answer = run.model.predict_one(image.reshape(28, 28))
        assert isinstance(answer, tenfold.Prediction)
        assert page.inner_text("#verdict").startswith(answer.label)
        assert opened.run("() => tenfold.state.answer.probabilities") == pytest.approx(
            answer.probabilities.tolist(), abs=1e-5
        )
        at = page.locator("#pad").bounding_box()
        assert at
        page.mouse.move(at["x"] + at["width"] / 2, at["y"] + 0.2 * at["height"])
        page.mouse.down()
        page.mouse.move(at["x"] + at["width"] / 2, at["y"] + 0.8 * at["height"], steps=8)
        page.mouse.up()
        opened.until("tenfold.state.answer && !tenfold.asking.isBusy")
        page.click("#clear")
        opened.until("!tenfold.state.answer")
        found.leave()
        page.click(".example >> nth=4")
        opened.until("document.getElementById('verdict').textContent.includes('not answer')")
        assert all("ERR_CONNECTION" in said for said in opened.complaints), opened.complaints


def test_a_network_on_a_service_computes_itself_and_asks(
    browser: Browser, small_run: Run, tmp_path: Path
) -> None:
    with service(small_run, log=tmp_path / "log") as found:
        page = browser.new_context().new_page()
        opened = Opened(page)
        page.on("console", lambda said: opened.complaints.append(said.text))
        page.goto(f"http://127.0.0.1:{found.port}/")
        page.click(".example >> nth=3")
        opened.until("tenfold.state.image && !document.querySelector('#layers figure').hidden")
        opened.until("document.getElementById('served').textContent")
        image = np.array(opened.run("() => [...tenfold.state.image.data]"), np.uint8)
        answer = small_run.model.predict_one(image.reshape(28, 28))
        assert isinstance(answer, tenfold.Prediction)
        said = f"The service answers {answer.label}, {100 * answer.confidence:.2f}%"
        assert page.inner_text("#served").startswith(said)
        assert page.inner_text("#verdict").startswith(answer.label)
        found.leave()
        page.click(".example >> nth=4")
        opened.until("document.getElementById('served').textContent.includes('not answer')")
        assert all("ERR_CONNECTION" in said for said in opened.complaints), opened.complaints


def test_a_network_on_a_service_says_how_to_ask(
    browser: Browser, small_run: Run, tmp_path: Path
) -> None:
    with service(small_run, log=tmp_path / "log") as found:
        phone: Any = {"width": 390, "height": 844}
        page = browser.new_context(viewport=phone, bypass_csp=True).new_page()
        opened = Opened(page)
        page.on("console", lambda said: opened.complaints.append(said.text))
        page.goto(f"http://127.0.0.1:{found.port}/")
        no_issue(opened)
        page.click("text=How to ask this service")
        assert "openapi.json" in page.inner_text("main")
        no_issue(opened)
        assert opened.run("() => document.documentElement.scrollWidth - innerWidth") <= 0
        assert opened.run(TOO_SMALL) == [] and not opened.complaints
