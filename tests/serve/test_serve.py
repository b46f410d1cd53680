"""The service as an application: routes, the guard, limits, and what OpenAPI promises."""

import asyncio
import base64
import html
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import tenfold
from tenfold import Run
from tenfold.core.errors import SettingsError
from tenfold.core.settings import Reading
from tenfold.model.answer_forms import Answer
from tenfold.model.answer_forms import as_json as in_form
from tenfold.model.predictions import Prediction
from tenfold.serve.access import without_port
from tenfold.serve.application import Application
from tenfold.serve.limits import Limits, read_limits
from tenfold.serve.predict_request import is_quick
from tests.conftest import Few
from tests.serve.conftest import ROWS
from tests.support.errors import refused
from tests.support.paper import CONDITIONS, on_paper
from tests.support.service import (
    JSON,
    RAW,
    Told,
    as_json,
    ask,
    asked,
    guard_of,
    images,
    png,
    predict,
    service,
)


@pytest.fixture(scope="module")
def guard(small_run: Run) -> Application:
    return guard_of(small_run)


def expected(run: Run, answers: Any, kind: str) -> list[dict[str, Any]]:
    return [in_form(Answer(kind, row, one)) for row, one in enumerate(answers)]


def close(found: Any, wanted: Any) -> bool:
    """Equal but for the last bits of numbers."""
    if isinstance(wanted, dict):
        same = set(found) == set(wanted)
        return same and all(close(found[name], wanted[name]) for name in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(close, found, wanted))
    return abs(found - wanted) < 1e-5 if isinstance(wanted, float) else bool(found == wanted)


def test_json_pictures_and_raw_bytes_are_answered_like_predict(
    guard: Application, small_run: Run, few: Few
) -> None:
    x = few(40).images[:40]
    model = small_run.model
    for body, kind, name in [(images(x), JSON, "images"), (x.tobytes(), RAW, "raw")]:
        told = predict(guard, body, kind)
        assert told.status == 200 and told.headers["content-type"] == JSON
        assert told.headers["x-content-type-options"] == "nosniff"
        assert told.json["model"] == model.sha256 and "notes" not in told.json
        wanted = expected(small_run, model.answer(x), name)
        assert all(map(close, told.json["predictions"], wanted))
    one = predict(guard, as_json(images=[x[3].tolist()])).json["predictions"]
    assert one == [told.json["predictions"][3] | {"input": "images", "row": 0}]


def test_a_photo_is_answered_through_the_fit(
    guard: Application, small_run: Run, few: Few, tmp_path: Path
) -> None:
    grey = on_paper(few(10).images[3], CONDITIONS["gradient"])
    path = tmp_path / "photo.png"
    Image.fromarray(grey).save(path)
    told = predict(guard, path.read_bytes(), "image/png")
    answer = small_run.model.predict_one(path)
    assert isinstance(answer, Prediction)
    assert close(told.json["predictions"], expected(small_run, [answer], "picture"))
    blank = predict(guard, png(np.full((50, 50), 255, np.uint8)), "image/png")
    assert blank.json["predictions"][0]["unsure"] is True
    assert blank.json["predictions"][0]["reason"] == "nothing is drawn on it"


def test_items_fail_alone_and_keep_their_places(guard: Application, few: Few) -> None:
    good = few(2).images[0].reshape(-1).tolist()
    told = predict(guard, as_json(images=[[1], good, "x"]))
    assert told.status == 200
    first, second, third = told.json["predictions"]
    assert first["error"].startswith("The item is not a picture") and (
        first["row"],
        third["row"],
    ) == (0, 2)
    assert second["row"] == 1 and "label" in second and "error" in third
    assert predict(guard, as_json(images=[[1]])).status == 422


def test_rows_of_a_table_are_answered_with_notes(table_run: Run) -> None:
    guard = guard_of(table_run)
    rows = [{"size": 3, "colour": "red"}, {"size": "x", "colour": None}, {"colour": "blue"}]
    told = predict(guard, as_json(rows=rows))
    assert told.status == 200
    answers = table_run.model.predict(rows)
    assert close(told.json["predictions"][0], expected(table_run, answers, "rows")[0])
    assert any("'x'" in note or "size" in note for note in told.json["notes"])
    assert predict(guard, bytes(784), RAW).status == 415
    assert predict(guard, as_json(rows=[{"other": 1}])).status == 422
    about = ask(guard, "GET", "/v1/model").json
    assert about["task"] == "regression" and about["labels"] == []


def test_the_column_that_names_rows_stands_beside_the_answers(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    frame = pd.read_csv(tmp_path / "rows.csv").assign(order=lambda rows: rows.index + 100)
    reading = Reading(target="price", id="order")
    run = tenfold.train(frame, learner="baseline", reading=reading, out=tmp_path)
    guard = guard_of(run)
    row = {"size": 3, "colour": "red"}
    sent = [{**row, "order": "A-7"}, {"order": 8}, row, {**row, "order": 9}]
    told = predict(guard, as_json(rows=sent)).json["predictions"]
    assert [answer.get("id") for answer in told] == ["A-7", None, None, "9"]
    assert [answer["row"] for answer in told] == [0, 1, 2, 3] and "error" in told[1]
    document = ask(guard, "GET", "/openapi.json").json
    assert '"id": {"type": "string"}' in json.dumps(document)


def test_several_runs_have_names(small_run: Run, table_run: Run, few: Few) -> None:
    guard = guard_of(small_run, table_run)
    first, second = small_run.path.name, table_run.path.name
    names = [one["name"] for one in ask(guard, "GET", "/v1/models").json["models"]]
    assert names == [first, second]
    x = few(1).images[:1]
    alike = [
        ask(guard, "POST", path, images(x), kind=JSON).json
        for path in ("/v1/predict", f"/v1/models/{first}/predict")
    ]
    assert alike[0] == alike[1]
    other = ask(guard, "POST", f"/v1/models/{second}/predict", images(x), kind=JSON)
    assert other.status == 422 and '{"rows": [...]}' in other.error
    assert ask(guard, "GET", f"/v1/models/{second}").json["name"] == second
    assert ask(guard, "POST", "/v1/models/none/predict", b"{}", kind=JSON).status == 404
    with refused("E915", "name="):
        guard_of(small_run, small_run)


def test_rows_are_explained_as_by_the_model(small_run: Run, table_run: Run) -> None:
    guard, name = guard_of(table_run, small_run), table_run.path.name
    address, row = f"/v1/models/{name}/explain", {"size": 3, "colour": "red"}
    (told,) = ask(guard, "POST", address, as_json(rows=[row]), kind=JSON).json["predictions"]
    why = table_run.model.explain(row)
    assert told.pop("explanation") == why[0].as_json()
    assert told == {"input": "rows", "row": 0, **why.answers[0].as_json()}
    failed, told = ask(guard, "POST", address, as_json(rows=[{}, row]), kind=JSON).json[
        "predictions"
    ]
    assert "error" in failed and told["explanation"] == why[0].as_json()
    reply = ask(guard, "POST", address, as_json(rows=[row] * 201), kind=JSON)
    assert reply.status == 413 and "at most 200" in reply.error  # 400 cells
    paths = ask(guard, "GET", "/openapi.json").json["paths"]
    item = paths[address]["post"]["responses"]["200"]["content"][JSON]["schema"]
    assert "explanation" in item["properties"]["predictions"]["items"]["oneOf"][0]["required"]
    assert f"/v1/models/{small_run.path.name}/explain" not in paths


def test_a_run_without_its_rows_says_why_it_explains_nothing(
    table_run: Run, tmp_path: Path
) -> None:
    run = tenfold.open(shutil.copytree(table_run.path, tmp_path / "earlier"))
    (run.path / "background.csv").unlink()
    body = as_json(rows=[{"size": 3, "colour": "red"}])
    reply = ask(guard_of(run), "POST", "/v1/models/earlier/explain", body, kind=JSON)
    assert reply.status == 422 and "cannot explain the predictions of this model" in reply.error
    assert str(tmp_path) not in reply.error


def test_a_run_of_any_name_is_served(small_run: Run, few: Few, tmp_path: Path) -> None:
    name = 'my 50% #1?{Maße} "x"+\u202f数'
    run = tenfold.open(shutil.copytree(small_run.path, tmp_path / name))
    guard = guard_of(run)
    address = f"/v1/models/{quote(name)}/predict"
    assert address in ask(guard, "GET", "/openapi.json").json["paths"]
    assert address in ask(guard, "GET", "/docs").body.decode()
    assert address in ask(guard, "GET", f"/models/{name}").body.decode()
    sent = images(few(1).images[:1])
    assert ask(guard, "POST", unquote(address), sent, kind=JSON).status == 200
    assert ask(guard, "GET", f"/v1/models/{name}").json["name"] == name
    told = ask(guard, "GET", "/metrics").body.decode()
    assert r'route="/v1/models/my 50% #1?{Maße} \"x\"' in told
    for bad in ("a\nb", "a\udcffb"):
        folder = Path(shutil.copytree(small_run.path, tmp_path / bad))
        with refused("E915", "name="):
            guard_of(tenfold.open(folder))


def test_pages_carry_their_policy(small_run: Run, table_run: Run) -> None:
    guard = guard_of(small_run, table_run)
    home = ask(guard, "GET", "/")
    policy = home.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy
    assert "connect-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert b"connect-src 'self'" in home.body and b"/docs" in home.body
    assert home.body == ask(guard, "GET", f"/models/{small_run.path.name}").body
    table = ask(guard, "GET", f"/models/{table_run.path.name}")
    assert b'id="form-data"' in table.body and b"colour" in table.body
    assert "script-src 'sha256-" in table.headers["content-security-policy"]
    manual = ask(guard, "GET", "/docs")
    assert b"/v1/predict" in manual.body and b"http://" not in manual.body
    assert b"https://" not in manual.body
    assert b'type="file"' in manual.body and b"data-column=" in manual.body
    assert "script-src 'sha256-" in manual.headers["content-security-policy"]


def test_the_example_of_a_form_is_answered(table_run: Run) -> None:
    guard = guard_of(table_run)
    page = ask(guard, "GET", "/docs").body.decode()
    cells = re.findall(r'data-column="([^"]*)" value="([^"]*)"', page)
    row = {html.unescape(name): html.unescape(cell) or None for name, cell in cells}
    address = f"/v1/models/{table_run.path.name}/predict"
    reply = ask(guard, "POST", address, json.dumps({"rows": [row]}).encode(), kind=JSON)
    assert reply.status == 200 and "error" not in reply.json["predictions"][0]


def test_health_and_metrics(small_run: Run, few: Few) -> None:
    guard = guard_of(small_run)
    assert ask(guard, "GET", "/health/live").json == {"status": "live"}
    assert ask(guard, "GET", "/health/ready").json == {"status": "ready"}
    guard.state.leaving = True
    told = ask(guard, "GET", "/health/ready")
    assert told.status == 503 and told.json == {"status": "leaving"}
    assert told.headers["connection"] == "close"
    assert predict(guard, images(few(1).images[:1])).headers["connection"] == "close"
    guard.state.leaving = guard.state.ready = False
    assert ask(guard, "GET", "/health/ready").json == {"status": "not ready"}
    text = ask(guard, "GET", "/metrics").body.decode()
    assert 'tenfold_requests_total{route="predict",status="200"} 1' in text
    assert 'tenfold_request_seconds_bucket{route="predict",le="+Inf"} 1' in text
    assert f'tenfold_batch_items_count{{model="{small_run.path.name}"}} 1' in text
    for line in text.splitlines():
        assert line.startswith("# ") or float(line.rpartition(" ")[2]) >= 0


def test_answers_are_counted(small_run: Run, few: Few) -> None:
    guard, x = guard_of(small_run), few(40).images[:40]
    answers = small_run.model.predict(x)
    assert predict(guard, images(x)).status == 200
    lines = ask(guard, "GET", "/metrics").body.decode().splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines if line[0] != "#")
    name = small_run.path.name
    for label in {one.label for one in answers}:  # type: ignore[union-attr]
        n = sum(one.label == label for one in answers)  # type: ignore[union-attr]
        assert found[f'tenfold_answers_total{{model="{name}",label="{label}"}}'] == str(n)
    n_unsure = sum(one.unsure for one in answers)  # type: ignore[union-attr]
    assert found[f'tenfold_unsure_total{{model="{name}"}}'] == str(n_unsure)
    assert found[f'tenfold_novelty_count{{model="{name}"}}'] == "40"
    bucket = f'tenfold_novelty_bucket{{model="{name}",le='
    below, every = found[bucket + '"1.0"}'], found[bucket + '"+Inf"}']
    assert int(every) - int(below) <= n_unsure and every == "40"


def test_a_model_that_fails_is_a_fault_of_the_service_and_is_counted(
    small_run: Run, few: Few, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard, x = guard_of(small_run), few(3).images[:3].copy()
    model = guard.predictors["/v1/predict"].model
    answer = model.answer
    x[1] = 7

    def fails_on_seven(rows: Any) -> Any:
        if (rows == 7).all(axis=(1, 2)).any():
            raise MemoryError
        return answer(rows)

    monkeypatch.setattr(model, "answer", fails_on_seven)
    told = predict(guard, images(x))
    assert told.status == 200
    first, second, third = told.json["predictions"]
    assert "label" in first and "label" in third
    assert second["error"] == "The model failed on this input, which may be in order."
    told = predict(guard, images(x[1:2]))
    assert (told.status, told.error) == (500, "The service failed.")
    text = ask(guard, "GET", "/metrics").body.decode()
    assert f'tenfold_model_failures_total{{model="{small_run.path.name}"}} 2' in text


def test_an_answer_that_is_no_number_is_a_fault_of_the_service(
    small_run: Run, few: Few, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = guard_of(small_run)
    model = guard.predictors["/v1/predict"].model
    answer = model.answer

    def no_number(rows: Any) -> Any:
        answers = answer(rows)
        answers.outputs[0][:] = np.nan
        return answers

    monkeypatch.setattr(model, "answer", no_number)
    assert predict(guard, images(few(1).images[:1])).status == 500
    text = ask(guard, "GET", "/metrics").body.decode()
    assert f'tenfold_model_failures_total{{model="{small_run.path.name}"}} 1' in text


def test_columns_of_recent_rows_are_compared_with_the_training(table_run: Run) -> None:
    guard = guard_of(table_run)

    def p_values(shift: int, n: int) -> dict[str, float]:
        rows = [{"size": i % 17 + shift, "colour": "red" if i % 3 else "blue"} for i in range(n)]
        assert predict(guard, as_json(rows=rows)).status == 200
        text = ask(guard, "GET", "/metrics").body.decode()
        found = re.findall(r'tenfold_column_p_value\{model=".*?",column="(.*?)"\} (\S+)', text)
        return {column: float(p) for column, p in found}

    assert p_values(0, 29) == {}  # too few to tell
    same = p_values(0, 200)
    assert same.keys() == {"size", "colour"} and min(same.values()) > 0.01
    shifted = p_values(50, 1_000)
    assert shifted["size"] < 0.01 < shifted["colour"]
    last = p_values(0, 1_000)  # the shifted rows are no longer among the newest
    assert min(last.values()) > 0.01


# Who may ask.


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8000", 200),
        ("LOCALHOST:1", 200),
        ("localhost", 200),
        ("", 403),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.", 403),
        ("localhost:", 403),
        ("localhost:x", 403),
        ("user@localhost", 403),
        ("[::1]", 403),
        ("127.0.0.1:80:80", 403),
        ("127.1", 403),
        ("0x7f000001", 403),
        ("localhost, evil", 403),
    ],
)
def test_only_names_of_the_service_are_answered(guard: Application, host: str, status: int) -> None:
    for path in ("/health/live", "/v1/model", "/metrics"):
        told = ask(guard, "GET", path, headers={"host": host})
        assert told.status == status
        assert status == 200 or told.error.startswith(
            "The host name is not allowed. Expected a name of this"
        )


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "PUT"])
def test_other_pages_may_not_ask(guard: Application, few: Few, method: str) -> None:
    body = images(few(1).images[:1])
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
    ):
        told = ask(guard, method, "/v1/predict", body, headers, JSON)
        assert told.status == 403 and told.error.startswith(
            "Requests from other origins are not allowed"
        )
        assert not any(name.startswith("access-control") for name in told.headers)
    own = {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}
    assert predict(guard, body, headers=own).status == 200
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert ask(guard, "GET", "/docs", headers=link).status == 200
    assert ask(guard, "POST", "/docs", headers=link).status == 403


def test_a_header_that_decides_stands_once(guard: Application) -> None:
    told = ask(guard, "GET", "/v1/model", headers=[("host", "localhost"), ("host", "evil")])
    assert told.status == 400 and told.error == "A header was sent twice: header='host'."


def test_a_token_is_asked_for(small_run: Run, few: Few) -> None:
    guard = guard_of(small_run, token="a secret of some length")
    body = images(few(1).images[:1])
    password = base64.b64encode(b"anyone:a secret of some length").decode()
    for given, status in [
        (None, 401),
        ("Bearer a secret of some length", 200),
        ("bearer a secret of some length", 200),
        ("Bearer a secret of some lengt", 401),
        ("Bearer ", 401),
        (f"Basic {password}", 200),
        ("Basic !!", 401),
        ("Token a secret of some length", 401),
        ("Basic " + base64.b64encode(b"a secret of some length").decode(), 401),
    ]:
        headers = {"authorization": given} if given else {}
        told = predict(guard, body, headers=headers)
        assert told.status == status, given
        if status == 401:
            assert told.headers["www-authenticate"].startswith("Basic ")
            assert "secret" not in told.error
    for path, status in [
        ("/health/live", 200),
        ("/health/ready", 200),
        ("/metrics", 401),
        ("/", 401),
        ("/docs", 401),
        ("/openapi.json", 401),
    ]:
        assert ask(guard, "GET", path).status == status


@pytest.mark.parametrize(
    ("host", "name"),
    [("a", "a"), ("a:1", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("a:", "a:"), ("", "")],
)
def test_a_port_is_no_part_of_a_name(host: str, name: str) -> None:
    assert without_port(host) == name


# How much.


def test_kinds_of_bodies(guard: Application) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        told = predict(guard, b"{}", kind)
        assert told.status == 415 and "Expected application/json" in told.error
    told = predict(guard, b"{}", headers={"content-encoding": "br"})
    assert told.status == 415 and told.error.startswith("The body of the request is compressed")
    told = ask(guard, "GET", "/v1/predict")
    assert told.status == 405 and told.headers["allow"] == "POST"
    assert told.error == "This address does not accept this method: method='GET'. Expected POST."
    assert predict(guard, bytes(784), "application/octet-stream; x=y").status == 200


def test_a_body_ends_at_its_limit(small_run: Run) -> None:
    guard = guard_of(small_run, body_bytes=1568)
    assert predict(guard, bytes(1568), RAW).status == 200
    for body in (bytes(1569), [bytes(1000), bytes(569)]):
        told = predict(guard, body, RAW)  # type: ignore[arg-type]
        assert told.status == 413
        assert told.error == "The body of the request is too large. Expected at most 1568 bytes."
    stated = predict(guard, b"", RAW, headers={"content-length": "99999999999"})
    assert stated.status == 413
    assert predict(guard, [], RAW).status == 408  # type: ignore[arg-type]
    crowded = guard_of(small_run, bodies_bytes=1000)
    told = predict(crowded, bytes(1568), RAW)
    assert told.status == 503 and "fewer: bodies_bytes" in told.error
    assert crowded.admission.body_bytes == 0


@pytest.mark.parametrize("limit", ["in_flight", "queue"])
def test_too_many_at_once_are_told_to_come_again(small_run: Run, few: Few, limit: str) -> None:
    """All that came in one turn of the loop were admitted, whatever the limit of the queue."""
    body = images(few(1).images[:1])
    limits: dict[str, Any] = {limit: 4}
    guard = guard_of(small_run, **limits)

    async def many() -> list[Told]:
        path = "/v1/predict"
        return await asyncio.gather(
            *(asked(guard, "POST", path, body, kind=JSON) for _ in range(9))
        )

    found = asyncio.run(many())
    assert sorted(told.status for told in found) == [200] * 4 + [503] * 5
    refused = next(told for told in found if told.status == 503)
    assert refused.headers["retry-after"] in ("1", "2", "3")
    assert refused.error.startswith(f"The service is busy. Expected fewer: {limit}.")
    assert guard.predictors["/v1/predict"].waiting == 0
    assert guard.admission.in_flight == 0 and predict(guard, body).status == 200
    waiting = guard_of(small_run, queue=2)
    assert predict(waiting, images(few(9).images[:9])).status == 200  # one request is always taken


def test_large_bodies_and_slow_models_leave_the_loop_alone(
    small_run: Run, few: Few, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = guard_of(small_run, answer_seconds=0.05)
    x = np.tile(few(50).images[:50], (2, 1, 1))
    assert len(predict(guard_of(small_run), x.tobytes(), RAW).json["predictions"]) == 100
    from tenfold.serve import predictor

    def slowly(*arguments: Any) -> Any:
        import time

        time.sleep(0.3)

    monkeypatch.setattr(predictor, "read_predict_request", slowly)
    told = predict(guard, x.tobytes(), RAW)
    assert told.status == 503 and "answer_seconds" in told.error


def test_only_numbers_and_tiny_pictures_are_read_in_the_loop(
    small_run: Run, table_run: Run, few: Few
) -> None:
    """Base64 of 50 kB may be a picture of 16 million pixels, which others waited for."""
    x, contract = few(1).images[:1], small_run.model.contract
    large = png(np.zeros((200, 200), np.uint8))
    text = base64.b64encode(large).decode()
    infer = {"id": "a", "inputs": [{"name": "image", "shape": [1], "datatype": "UINT8"}]}
    assert is_quick(images(x), JSON, contract) and is_quick(x.tobytes(), RAW, contract)
    assert is_quick(png(x[0]), "image/png", contract) and is_quick(as_json(**infer), JSON, contract)
    for body, kind in [
        (as_json(images=[text]), JSON),
        (as_json(images=[f"data:image/png;base64,{text}"]), JSON),
        (as_json(images=[text]).replace(b"A", b"\\u0041"), JSON),
        (as_json(**infer).replace(b"UINT8", b"BYTES"), JSON),
        (as_json(**infer).replace(b"UINT8", b"\\u0042YTES") + large, JSON),
        (b" " * 70_000 + images(x), JSON),
        (bytes(784 * 100), RAW),
        (large, "image/png"),
        (large[:20], "image/png"),
        (b"GIF89a", "image/gif"),
        (form_of(large), "multipart/form-data; boundary=x"),
    ]:
        assert not is_quick(body, kind, contract)
    assert not is_quick(as_json(rows=[{"size": 1}]), JSON, table_run.model.contract)


def form_of(content: bytes) -> bytes:
    return b'--x\r\ncontent-disposition: form-data; filename="a"\r\n\r\n' + content + b"\r\n--x--"


def test_a_fault_of_ours_tells_nothing(
    small_run: Run, few: Few, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tenfold.serve import predictor

    def broken(*arguments: Any) -> Any:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(predictor, "read_predict_request", broken)
    guard = guard_of(small_run)
    told = predict(guard, images(few(1).images[:1]))
    guard.log.flush()
    assert told.status == 500 and told.error == "The service failed."
    line = json.loads(capsys.readouterr().err)
    assert line["fault"] == "ZeroDivisionError" and "secret" not in str(line)
    assert line["id"] == told.headers["x-request-id"]


def test_the_log_has_no_data_of_the_sender(
    guard: Application, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(guard, "GET", "/a/secret", headers={"x-request-id": "secret", "user-agent": "secret"})
    ask(guard, "PROPFIND", "/v1/predict", b"secret")
    guard.log.refused(503)
    guard.log.flush()
    printed = capsys.readouterr().err
    first, second, third = map(json.loads, printed.splitlines()[-3:])
    assert (first["status"], first["route"], first["method"]) == (404, "other", "GET")
    assert (second["status"], second["method"]) == (405, "other")
    assert third["refused"] == 1 and third["status"] == 503
    assert "secret" not in printed.lower()


def test_limits_are_words_and_numbers() -> None:
    assert read_limits(["queue=3", "body_seconds=0.5"]) == Limits(queue=3, body_seconds=0.5)
    for word, words in [
        (
            "queu=3",
            "There is no such limit: limit='queu=3'. Expected NAME=VALUE with one of body_bytes",
        ),
        ("queue", "There is no such limit"),
        (
            "queue=0",
            "The value of a limit is not allowed: queue='0'. Expected 1 or more.",
        ),
        (
            "queue=many",
            "The value of a limit is not allowed: queue='many'. Expected a whole number",
        ),
        ("body_seconds=inf", "The value of a limit is not allowed"),
    ]:
        with pytest.raises(SettingsError) as found:
            read_limits([word])
        assert words in str(found.value)


def test_every_limit_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "guide" / "serving.md").read_text("utf-8")
    for name, field in Limits.model_fields.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        assert f"{field.default:,}".removesuffix(".0") in row, name


# What OpenAPI promises.


def picture_files() -> dict[str, bytes]:
    drawn = np.zeros((40, 40), np.uint8)
    drawn[8:32, 18:22] = 255
    found = {}
    for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp"):
        file = io.BytesIO()
        Image.fromarray(drawn).save(file, kind)
        found[kind] = file.getvalue()
    return found


def test_openapi_describes_every_route(guard: Application, small_run: Run) -> None:
    document = ask(guard, "GET", "/openapi.json").json
    assert document["openapi"].startswith("3.1")
    operation = document["paths"]["/v1/predict"]["post"]
    kinds = set(operation["requestBody"]["content"])
    assert kinds == {JSON, RAW, "multipart/form-data"} | {
        f"image/{kind}" for kind in picture_files()
    }
    assert {"200", "400", "401", "403", "408", "413", "415", "422", "503"} <= set(
        operation["responses"]
    )
    for kind, content in picture_files().items():
        assert predict(guard, content, f"image/{kind}").status == 200
    asked = document["paths"][f"/v2/models/{small_run.path.name}/infer"]["post"]
    tensors = asked["requestBody"]["content"][JSON]["schema"]["properties"]["inputs"]
    assert tensors["items"]["properties"]["name"] == {"enum": ["image"]}
    for path, methods in document["paths"].items():
        for method in methods:
            assert ask(guard, method.upper(), path).status not in (404, 405), path


@pytest.mark.parametrize(
    "examples", [4, pytest.param(300, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_schemathesis_finds_no_violation(small_run: Run, tmp_path: Path, examples: int) -> None:
    import schemathesis
    from hypothesis import strategies as st

    for kind, content in picture_files().items():
        schemathesis.openapi.media_type(f"image/{kind}", st.just(content))
    text = base64.b64encode(picture_files()["png"]).decode()
    schemathesis.openapi.format("picture", st.just(text))
    pictures = st.integers(1, 3).flatmap(lambda n: st.binary(min_size=784 * n, max_size=784 * n))
    schemathesis.openapi.media_type(RAW, pictures)
    with service(small_run, log=tmp_path / "log") as running:
        schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{running.port}/openapi.json")
        operations: list[Any] = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]
        assert len(operations) == len(running.ask("GET", "/openapi.json").json["paths"])
        for operation in operations:
            _check(operation, examples if operation.method == "post" else max(2, examples // 20))


def _check(operation: Any, n: int) -> None:
    from hypothesis import HealthCheck, given, settings
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    @given(operation.as_strategy())
    @settings(
        max_examples=n,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        # No schema says which files a form may hold, nor that a tensor has as many values as its
        # shape promises: what is made up from it may rightly be refused.
        is_loose = case.media_type == "multipart/form-data" or operation.path.endswith("/infer")
        case.call_and_validate(excluded_checks=[positive_data_acceptance] if is_loose else None)

    check()
