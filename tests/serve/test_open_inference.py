"""The Open Inference Protocol: asked by Triton's own client, and by bytes that hurt."""

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tenfold
from tenfold import Run
from tenfold.core.contract import Contract, ImageInput
from tenfold.model.predictions import Prediction, Predictions
from tenfold.serve.application import Application
from tenfold.serve.limits import Limits
from tenfold.serve.messages import HTTPError
from tenfold.serve.open_inference import read_infer_request
from tests.conftest import Few
from tests.support.service import Service, as_json, ask, guard_of, png, predict, service


@pytest.fixture(scope="module")
def running(
    small_run: Run, table_run: Run, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("service") / "log"
    with service(small_run, table_run, log=log) as found:
        yield found


@pytest.fixture(scope="module")
def guard(small_run: Run) -> Application:
    return guard_of(small_run)


def test_tritons_client_finds_out_what_there_is(running: Service, small_run: Run) -> None:
    http = pytest.importorskip("tritonclient.http")
    client, name = http.InferenceServerClient(f"127.0.0.1:{running.port}"), small_run.path.name
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(name)
    assert not client.is_model_ready("none")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    facts = client.get_model_metadata(name)
    accepted = small_run.model.contract.input
    assert facts["inputs"] == [{"name": accepted.name, "datatype": "UINT8", "shape": [-1, 28, 28]}]  # type: ignore[union-attr]
    assert facts["outputs"][-1] == {
        "name": "probabilities",
        "datatype": "FP32",
        "shape": [-1, len(small_run.model.labels)],
    }


@pytest.mark.parametrize("as_bytes", [True, False], ids=["bytes", "json"])
def test_tritons_client_gets_the_answers_of_predict(
    running: Service, small_run: Run, few: Few, as_bytes: bool
) -> None:
    http = pytest.importorskip("tritonclient.http")
    client, name = http.InferenceServerClient(f"127.0.0.1:{running.port}"), small_run.path.name
    x = few(5).images[:5]
    tensor = http.InferInput("image", list(x.shape), "UINT8")
    tensor.set_data_from_numpy(x, binary_data=as_bytes)
    wanted = [http.InferRequestedOutput(one, as_bytes) for one in ("probabilities", "label")]
    for outputs, coding in [(wanted, None), (None, "gzip"), (None, "deflate")]:
        found = client.infer(
            name,
            [tensor],
            outputs=outputs,
            request_id="seven",
            request_compression_algorithm=coding,
        )
        answers = small_run.model.predict(x)
        assert found.get_response()["id"] == "seven"
        labels = found.as_numpy("label").astype(str)  # bytes, where they come behind the JSON
        assert [label.strip("b'") for label in labels] == [one.label for one in answers]  # type: ignore[union-attr]
        assert np.allclose(found.as_numpy("probabilities"), answers.probabilities, atol=1e-6)  # type: ignore[union-attr]
        assert (found.as_numpy("unsure") is None) == (outputs is not None)


def test_tritons_client_asks_for_rows_of_a_table(running: Service, table_run: Run) -> None:
    http = pytest.importorskip("tritonclient.http")
    client, name = http.InferenceServerClient(f"127.0.0.1:{running.port}"), table_run.path.name
    size = http.InferInput("size", [3], "FP64").set_data_from_numpy(np.array([3.0, 5.0, np.nan]))
    colours = np.array([b"red", b"blue", b"red"], object)
    colour = http.InferInput("colour", [3, 1], "BYTES").set_data_from_numpy(colours[:, None])
    found = client.infer(name, [size, colour])
    rows = [
        {"size": 3.0, "colour": "red"},
        {"size": 5.0, "colour": "blue"},
        {"size": None, "colour": "red"},
    ]
    answers = table_run.model.predict(rows)
    for field in ("value", "low", "high"):
        wanted = [getattr(answer, field) for answer in answers]
        assert np.allclose(found.as_numpy(field), wanted)
    with pytest.raises(Exception, match="lacks columns"):
        client.infer(name, [size])


def test_prediction_sets_are_answered_in_each_form(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    size = np.r_[rng.normal(0, 1, 400), rng.normal(2, 1, 400)]
    frame = pd.DataFrame({"size": size, "kind": ["small"] * 400 + ["large"] * 400})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    run = tenfold.train(tmp_path / "rows.csv", target="kind", learner="logistic", out=tmp_path)
    expected, name = run.model.predict([{"size": 1.0}, {"size": 9.0}]), run.path.name
    assert isinstance(expected, Predictions) and expected.in_set is not None
    guard = guard_of(run)
    schema = ask(guard, "GET", "/openapi.json").json["paths"]["/v1/predict"]["post"]["responses"]
    schema = schema["200"]["content"]["application/json"]["schema"]["properties"]["predictions"]
    assert "prediction_set" in schema["items"]["oneOf"][0]["required"]
    asked = predict(guard, as_json(rows=[{"size": 1.0}, {"size": 9.0}]))
    sets = [one["prediction_set"] for one in asked.json["predictions"]]
    assert sets == [list(one.prediction_set or ()) for one in expected]
    assert len(sets[0]) == 2 and sets[1] == ["large"]
    outputs = ask(guard, "GET", f"/v2/models/{name}").json["outputs"]
    assert outputs[-1] == {"name": "in_set", "datatype": "BOOL", "shape": [-1, 2]}
    given = {"name": "size", "shape": [2], "datatype": "FP64", "data": [1.0, 9.0]}
    body = as_json(inputs=[given], outputs=[{"name": "in_set"}])
    (found,) = ask(guard, "POST", f"/v2/models/{name}/infer", body).json["outputs"]
    assert found["data"] == expected.in_set.ravel().tolist()


def test_picture_files_are_tensors_of_bytes(
    guard: Application, small_run: Run, few: Few, tmp_path: Path
) -> None:
    picture = png(np.kron(few(1).images[0], np.ones((3, 3), np.uint8)))
    (tmp_path / "photo.png").write_bytes(picture)
    answer = small_run.model.predict_one(tmp_path / "photo.png")
    assert isinstance(answer, Prediction)
    text = base64.b64encode(picture).decode()
    given = {"name": "image", "shape": [2], "datatype": "BYTES"}
    head = as_json(inputs=[given | {"parameters": {"binary_data_size": 2 * len(picture) + 8}}])
    behind = 2 * (struct.pack("<I", len(picture)) + picture)
    lengths = {"inference-header-content-length": str(len(head))}
    for body, headers in [
        (as_json(inputs=[given | {"data": [text, text]}]), {}),
        (head + behind, lengths),
    ]:
        path = f"/v2/models/{small_run.path.name}/infer"
        told = ask(guard, "POST", path, body, headers)
        label = next(one for one in told.json["outputs"] if one["name"] == "label")
        assert label["data"] == [answer.label] * 2


DIGITS = Contract(
    tenfold="0",
    learner="network",
    task="classification",
    labels=("0", "1"),
    input=ImageInput(name="image", height=2, width=2),
)
GOOD: dict[str, Any] = {"name": "image", "shape": [1, 2, 2], "datatype": "UINT8"}


@pytest.mark.parametrize(
    "sent",
    [
        [],
        {},
        {"inputs": {}},
        {"inputs": []},
        {"inputs": [3]},
        {"inputs": [GOOD]},
        {"inputs": [GOOD | {"data": [0, 0, 0]}]},
        {"inputs": [GOOD | {"data": [0, 0, 0, 256]}]},
        {"inputs": [GOOD | {"data": [0, 0, 0, 0.5], "datatype": "FP32"}]},
        {"inputs": [GOOD | {"data": [0, 0, 0, 1e39], "datatype": "FP32"}]},
        {"inputs": [GOOD | {"data": [0, 0, 0, "a"]}]},
        {"inputs": [GOOD | {"data": [0, 0, 0, 0], "datatype": "COMPLEX"}]},
        {"inputs": [GOOD | {"data": [0, 0, 0, 0], "datatype": [1]}]},
        {"inputs": [GOOD | {"data": [0, 0, 0, 0], "shape": [1, -2, -2]}]},
        {"inputs": [GOOD | {"data": [0, 0, 0, 0], "shape": [4]}]},
        {"inputs": [GOOD | {"data": [0, 0, 0, 0], "shape": "x"}]},
        {"inputs": [GOOD | {"data": [], "shape": [0, 2, 2]}]},
        {"inputs": [GOOD | {"shape": [1 << 32] * 9, "parameters": {"binary_data_size": 4}}]},
        {"inputs": [GOOD | {"parameters": {"binary_data_size": -1}}]},
        {"inputs": [GOOD | {"parameters": {"binary_data_size": 1 << 70}}]},
        {"inputs": [GOOD | {"parameters": 3}]},
        {"inputs": [GOOD | {"name": "other", "data": [0, 0, 0, 0]}]},
        {"inputs": [GOOD | {"name": "other", "data": [0, 0, 0, 0]}, GOOD | {"data": [0] * 4}]},
        {"inputs": [GOOD | {"data": [0, 0, 0, 0]}], "id": 3},
        {"inputs": [GOOD | {"data": [0, 0, 0, 0]}], "outputs": [3]},
        {"inputs": [GOOD | {"data": ["a b"], "datatype": "BYTES", "shape": [1]}]},
        {"inputs": [GOOD | {"data": [3], "datatype": "BYTES", "shape": [1]}]},
    ],
)
def test_what_is_no_inference_request_is_refused(sent: Any) -> None:
    with pytest.raises(HTTPError) as found:
        read_infer_request(json.dumps(sent).encode(), None, DIGITS, Limits())
    assert found.value.status in (413, 422)


def test_an_output_that_there_is_not_is_refused(guard: Application, small_run: Run) -> None:
    given = {"name": "image", "shape": [1, 784], "datatype": "UINT8", "data": [0] * 784}
    path = f"/v2/models/{small_run.path.name}/infer"
    body = as_json(inputs=[given], outputs=[{"name": "logits"}])
    told = ask(guard, "POST", path, body)
    assert told.status == 422 and "one of label, confidence" in told.error
    body = as_json(inputs=[given], outputs=[{"name": "confidence"}], id="a")
    told = ask(guard, "POST", path, body)
    assert [one["name"] for one in told.json["outputs"]] == ["confidence"]
    assert told.json["id"] == "a" and told.json["model_name"] == small_run.path.name


@given(
    st.binary(max_size=40),
    st.sampled_from(["0", "3", "120", "-1", "x", "9" * 30]) | st.none(),
    st.integers(-1, 50),
    st.sampled_from(["BYTES", "UINT8", "FP64", "BOOL"]),
)
def test_any_bytes_behind_the_json_are_read_or_refused(
    behind: bytes, length: str | None, size: int, datatype: str
) -> None:
    given = GOOD | {"datatype": datatype, "parameters": {"binary_data_size": size}}
    head = as_json(inputs=[given])
    try:
        read_infer_request(head + behind, length or str(len(head)), DIGITS, Limits())
    except HTTPError as refusal:
        assert refusal.status == 422
