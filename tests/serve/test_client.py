"""`tenfold.Client`: a real service asked from Python."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold import Client, Run
from tests.conftest import Few
from tests.support.errors import refused
from tests.support.service import Service, png, service

TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module")
def running(
    small_run: Run, table_run: Run, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("service") / "log"
    flags = ["--limit", "idle_seconds=1"]
    with service(small_run, table_run, log=log, flags=flags, token=TOKEN) as found:
        yield found


@contextmanager
def client_of(
    running: Service, token: str | None = TOKEN, model: str | None = None
) -> Iterator[Client]:
    with Client(f"http://127.0.0.1:{running.port}/", token=token, model=model) as client:
        yield client


def test_pictures_are_answered_as_by_the_model(
    running: Service, small_run: Run, few: Few, tmp_path: Path
) -> None:
    x, model = few(5).images[:5], small_run.model
    files = [tmp_path / f"{i}.png" for i in range(5)]
    for file, image in zip(files, x, strict=True):
        file.write_bytes(png(image))
    with client_of(running) as client:
        assert client.facts["model"] == model.sha256
        for sent in (x, x.astype(int)):
            check_alike(client.predict(sent), list(model.predict(x)))
        for read in (files, [file.read_bytes() for file in files]):
            check_alike(client.predict(read), [model.predict_one(file) for file in files])
        time.sleep(1.3)  # the service closes what is idle; a client asks on a new connection
        assert repr(client.predict_one(x[0])) == repr(client.predict(x[:1])[0])


def check_alike(answers: Sequence[Any], wanted: Sequence[Any]) -> None:
    for found, one in zip(answers, wanted, strict=True):
        assert isinstance(found, tenfold.Prediction)
        assert (found.label, found.classes) == (one.label, one.classes)
        assert (found.unsure, found.reason) == (one.unsure, one.reason)
        np.testing.assert_allclose(found.probabilities, one.probabilities, atol=1e-6)


def test_rows_are_answered_by_name_of_the_run(running: Service, table_run: Run) -> None:
    rows = [{"size": 5, "colour": "red"}, {"size": None, "colour": "blue"}]
    wanted = [answer.as_json() for answer in table_run.model.predict(rows)]
    with client_of(running, model=table_run.path.name) as client:
        for sent in (rows, pd.DataFrame(rows)):
            assert [answer.as_json() for answer in client.predict(sent)] == wanted
        with refused("E924", "row 1"):
            client.predict([*rows[:1], {}])


def test_refusals_are_errors(running: Service) -> None:
    with client_of(running) as client, refused("E925", "status=422"):
        client.predict([b"no picture"])
    with client_of(running, token=None) as client, refused("E926", "status=401"):
        client.predict_one(np.zeros((28, 28), np.uint8))
    with client_of(running, model="no/run") as client, refused("E926", "status=404"):
        print(client.facts)
    with refused("E923"):
        Client("localhost:8000")
    with refused("E927", "reason="):
        print(Client("http://127.0.0.1:9").facts)


class Busy(BaseHTTPRequestHandler):
    """Busy until it was asked three times; closes each connection that it has kept."""

    protocol_version = "HTTP/1.1"
    n = 0

    def do_GET(self) -> None:
        Busy.n += 1
        body = json.dumps({"labels": []}).encode()
        self.send_response(200 if Busy.n > 3 else 503)
        self.send_header("retry-after", "0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True  # without a word of it, as a proxy that restarts

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_busy_service_is_asked_again() -> None:
    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with Client(url, retries=1) as client, refused("E926", "status=503"):
            print(client.facts)
        assert Busy.n == 2
        with Client(url, retries=2) as client:
            assert client.facts == {"labels": []}
        assert Busy.n == 4
        server.shutdown()
