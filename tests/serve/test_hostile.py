"""Requests that are made to hurt: each costs little, and others are answered meanwhile."""

import asyncio
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tenfold
from tenfold import Run
from tenfold.core.contract import Column, Contract, TableInput
from tenfold.serve.json_text import read_json
from tenfold.serve.limits import Limits
from tenfold.serve.messages import HTTPError
from tenfold.serve.predict_request import read_predict_request
from tests.support.service import (
    JSON,
    RAW,
    Service,
    as_json,
    asked,
    connect,
    everything,
    guard_of,
    one_answer,
    predict,
    request,
    service,
)

PIPELINED = b"GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def running(small_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Any:
    log = tmp_path_factory.mktemp("service") / "log"
    with service(small_run, log=log, flags=["--limit", "header_bytes=2000"]) as found:
        yield found


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def refusal(body: bytes, contract: Contract, **limits: Any) -> HTTPError:
    with pytest.raises(HTTPError) as found:
        read_predict_request(body, JSON, contract, Limits(**limits))
    return found.value


def table_of(*names: str) -> Contract:
    columns = tuple(Column(name=name, kind="category", levels=("a",)) for name in names)
    return Contract(
        tenfold="0",
        learner="forest",
        task="classification",
        labels=("a", "b"),
        input=TableInput(columns=columns, target="answer"),
    )


# Connections


def test_requests_one_behind_the_other_without_end_take_no_memory(running: Service) -> None:
    """It was 120 MB a second, before the token was looked at."""
    before = resident_mb(running.process.pid)
    with connect(running) as connection:
        connection.settimeout(1)
        data, n_sent = PIPELINED * 20_000, 0
        end = time.monotonic() + 2
        while time.monotonic() < end:
            try:
                n_sent += connection.send(data)
            except OSError:
                break
        assert resident_mb(running.process.pid) < before + 20
        assert running.ask("GET", "/health/ready").status == 200


def test_of_many_requests_at_once_the_first_are_answered_and_the_connection_closed(
    running: Service,
) -> None:
    with connect(running) as connection:
        connection.sendall(PIPELINED * 10)
        answers = b""
        while answers.count(b"HTTP/1.1 404") < 10:
            answers += connection.recv(65_536)
        connection.sendall(PIPELINED * 100)
        answers = everything(connection)
    assert answers.count(b"HTTP/1.1 404") == 17  # one, and sixteen that wait behind it


CHUNKED = request(b"", RAW, "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
PICTURE = b"310\r\n" + bytes(784) + b"\r\n"


@pytest.mark.parametrize(
    ("begin", "unit"),
    [
        (CHUNKED + PICTURE + b"0\r\n", b"X: y\r\n"),
        (CHUNKED + PICTURE + b"0\r\nX: ", b"y"),
        (CHUNKED + b"310;", b"a"),
        (CHUNKED, b"1\r\na\r\n"),
        (b"", b"\r\n"),
        (b"GET / HTTP/1.1\r\nx: ", b"a"),
    ],
    ids=["trailers", "trailer", "extension", "chunks", "blank lines", "header"],
)
def test_what_has_no_end_is_cut_off(running: Service, begin: bytes, unit: bytes) -> None:
    before = resident_mb(running.process.pid)
    with connect(running) as connection:
        connection.sendall(begin)
        n_sent, data = 0, unit * (200_000 // len(unit))
        with contextlib.suppress(OSError):
            while n_sent < 100_000_000:
                n_sent += connection.send(data)
    assert n_sent < 20_000_000
    assert resident_mb(running.process.pid) < before + 20
    assert running.ask("GET", "/health/ready").status == 200


def test_a_trailer_is_no_header(running: Service) -> None:
    with connect(running) as connection:
        connection.sendall(CHUNKED + PICTURE + b"0\r\nhost: evil\r\ncontent-type: a/b\r\n\r\n")
        assert one_answer(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "identity", "chunked, chunked"])
def test_other_transfer_codings_are_refused(running: Service, coding: str) -> None:
    with connect(running) as connection:
        connection.sendall(CHUNKED.replace(b": chunked", f": {coding}".encode()) + PICTURE)
        assert everything(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("body", [b"xyz\r\n", b"-1\r\n", b"310\r\nab\0", b"5\r\nabcdefgh", b"\0"])
def test_a_body_that_is_none_is_answered(running: Service, body: bytes) -> None:
    with connect(running) as connection:
        connection.sendall(CHUNKED)
        time.sleep(0.1)  # the application waits for it
        connection.sendall(body)
        connection.shutdown(socket.SHUT_WR)
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 400 ") or body == b"310\r\nab\0"


def test_garbage_behind_a_request_takes_its_answer_from_nobody(running: Service) -> None:
    with connect(running) as connection:
        connection.sendall(request(bytes(784), RAW) + b"\0\1\2")
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.count(b"HTTP/1.1") == 1


def test_a_reader_of_the_log_that_stops_stops_nobody(small_run: Run) -> None:
    """After 511 answers a full pipe stopped the service."""
    program = "from tenfold.cli.main import main; main()"
    command = [sys.executable, "-c", program, "serve", str(small_run.path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        port = int(process.stdout.readline().decode().rstrip("/\n").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            for _ in range(1_500):
                connection.sendall(PIPELINED)
                assert one_answer(connection).startswith(b"HTTP/1.1 404 ")
        time.sleep(0.2)
        os.set_blocking(process.stderr.fileno(), False)
        first = process.stderr.read()
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(PIPELINED)
            one_answer(connection)
        process.terminate()
        process.wait(20)
        lines = [json.loads(line) for line in (first + process.stderr.read()).splitlines()]
    n_dropped = sum(line.get("dropped", 0) for line in lines)
    assert n_dropped > 0
    assert n_dropped + sum("status" in line for line in lines) == 1_501


# Bodies


def keys_with_one_twice(n: int) -> bytes:
    keys = [f'"{i:x}":0' for i in range(n)]
    return ("{" + ",".join([*keys, keys[-1]]) + "}").encode()


def test_a_key_twice_is_found_in_one_pass() -> None:
    """Of 130 kB it took 3.8 s, in the loop that answers all others."""
    body = keys_with_one_twice(20_000)
    start = time.process_time()
    with pytest.raises(HTTPError, match="A key occurs twice: key='4e1f'"):
        read_json(body, Limits(json_depth=8))
    assert time.process_time() - start < 1.5


@pytest.mark.parametrize(
    "body",
    [
        b'{"rows": [{"size": "\\ud800"}]}',
        b'{"rows": [{"size": "\\uDFFF\\ud83d"}]}',
        b'{"rows": [{"size": 1, "\\ud800": 1}]}',
        b'{"\\ud800": []}',
        b'{"\\ud800": 1, "\\ud800": 1}',
    ],
)
def test_half_a_character_is_refused(body: bytes) -> None:
    error = refusal(body, table_of("size"))
    assert error.status == 422 and str(error).encode()


def test_whole_characters_in_escapes_are_read() -> None:
    text = b'["\\ud83d\\ude00", "\\\\ud800"]'
    assert read_json(text, Limits()) == [
        "\U0001f600",
        "\\ud800",
    ]


def test_a_long_cell_is_an_error_of_its_row() -> None:
    rows = [{"size": "x" * 70_000}, {"size": "a"}, {"size": "x" * 65_536}]
    found = read_predict_request(as_json(rows=rows), JSON, table_of("size"), Limits())
    assert (
        "A cell contains too much text: n_characters=70000 (size). Expected at most 65536"
        in str(found.errors[0])
    )
    assert found.errors[1:] == [None, None]


def test_a_long_cell_makes_no_other_cell_as_wide() -> None:
    """1,000 rows with one cell of 1,000,000 letters took 4 GB: every cell became as long."""
    rows = [{"size": "x" * 65_536}, *({"size": "a"} for _ in range(999))]
    body, contract = as_json(rows=rows), table_of("size")
    read_predict_request(as_json(rows=rows[1:]), JSON, contract, Limits())  # loads what it needs
    tracemalloc.start()
    try:
        found = read_predict_request(body, JSON, contract, Limits())
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    (note,) = found.notes
    assert note.startswith("never seen in training: size=xxx") and len(note) < 200


def test_errors_name_few_columns() -> None:
    """1,000 rows of a model of 2,000 columns were answered with 88 MB of errors."""
    names = [f"column_number_{i:05}" for i in range(300)]
    rows = [dict.fromkeys(names, 1), *({} for _ in range(999))]
    start = time.process_time()
    found = read_predict_request(as_json(rows=rows), JSON, table_of(*names), Limits())
    assert sum(len(str(error)) for error in found.errors) < 600_000
    assert time.process_time() - start < 5
    text = str(found.errors[1])
    assert "column_number_00004 and 295 more" in text and "00005" not in text


def test_a_sender_s_names_are_cut_in_errors() -> None:
    long = "k" * 100_000
    for body in (as_json(**{long: 1}), as_json(rows=[{"size": 1, long: [1]}])):
        assert len(str(refusal(body, table_of("size")))) < 300


def jpeg_of_scans(n: int) -> bytes:
    """A progressive JPEG, whose last scan comes again and again."""
    file = io.BytesIO()
    Image.fromarray(np.full((4000, 4000), 128, np.uint8)).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * n + b"\xff\xd9"


def test_a_jpeg_of_many_scans_is_refused_unread(running: Service) -> None:
    """One of 94 kB took 14 s, and two of 683 kB both threads that read."""
    start = time.monotonic()
    answer = running.ask("POST", "/v1/predict", jpeg_of_scans(20_000), "image/jpeg")
    assert answer.status == 422 and answer.error.startswith(
        "The JPEG file has too many scans: n_scans=20"
    )
    assert time.monotonic() - start < 3


def test_bodies_that_are_refused_leave_nothing(running: Service) -> None:
    """Reference cycles, which are looked for seldom here, kept each of them: 77 MB a request."""
    item = b"[" + b"0.5," * 9_000 + b"0]"
    body = b'{"images": [' + b",".join([item] * 90) + b"]}"
    running.ask("POST", "/v1/predict", body, JSON)
    before = resident_mb(running.process.pid)
    for _ in range(5):
        assert running.ask("POST", "/v1/predict", body, JSON).status == 422
    assert resident_mb(running.process.pid) < before + 40


# What a thread holds


def test_bodies_count_until_a_thread_lets_go_of_them(
    small_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tenfold.serve import predictor

    monkeypatch.setattr(predictor, "read_predict_request", lambda *_: time.sleep(0.4))
    guard, body = guard_of(small_run, answer_seconds=0.1), bytes(784 * 100)

    async def main() -> list[int]:
        asking = [asked(guard, "POST", "/v1/predict", body, kind=RAW) for _ in range(6)]
        answers = await asyncio.gather(*asking)
        assert {answer.status for answer in answers} == {503}
        held = [guard.admission.body_bytes]  # by two threads at most; the others let go
        await asyncio.sleep(0.6)
        return [*held, guard.admission.body_bytes]

    given_up, later = asyncio.run(main())
    assert 0 < given_up <= 2 * len(body) and later == 0
    assert guard.admission.in_flight == 0


def test_a_thread_that_is_stuck_does_not_keep_the_service(small_run: Run) -> None:
    program = (
        "import time\nfrom tenfold.serve import predictor\n"
        "predictor.read_predict_request = lambda *_: time.sleep(60)\n"
        "from tenfold.cli.main import main\nmain()"
    )
    command = [sys.executable, "-c", program, "serve", str(small_run.path), "--port", "0"]
    command += ["--limit", "answer_seconds=0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        port = int(process.stdout.readline().decode().rstrip("/\n").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(request(bytes(784 * 100), RAW))
            assert one_answer(connection).startswith(b"HTTP/1.1 503 ")
        start = time.monotonic()
        process.terminate()
        assert process.wait(30) == 0
        assert time.monotonic() - start < 10


def test_workers_end_with_their_supervisor(small_run: Run, tmp_path: Path) -> None:
    with service(small_run, log=tmp_path / "log", flags=["--workers", "2"]) as running:
        pid = running.process.pid
        workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert len(workers) == 2
        running.process.kill()
        end = time.monotonic() + 20
        while any(Path(f"/proc/{worker}").exists() for worker in workers):
            assert time.monotonic() < end
            time.sleep(0.05)
        with socket.create_server(("127.0.0.1", running.port)):
            pass


# Models and what they are served by


def test_a_run_whose_columns_look_like_formulas_is_served(tmp_path: Path) -> None:
    rows = "\n".join(f"{i % 7},{i % 5},{'yes' if i % 7 > 3 else 'no'}" for i in range(90))
    (tmp_path / "rows.csv").write_text(f"a,-b,=y\n{rows}\n")
    run = tenfold.train(
        tmp_path / "rows.csv", target="=y", learner="bayes", recipe="fast", out=tmp_path
    )
    assert predict(guard_of(run), as_json(rows=[{"a": 5, "-b": 1}])).status == 200


def test_a_model_that_fails_on_some_items_is_written_down(
    small_run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guard = guard_of(small_run)
    model = guard.predictors["/v1/predict"].model
    answer = model.answer

    def fails_on_sevens(rows: Any) -> Any:
        if (rows == 7).all(axis=(1, 2)).any():
            raise MemoryError
        return answer(rows)

    monkeypatch.setattr(model, "answer", fails_on_sevens)
    assert predict(guard, bytes(784) + bytes([7] * 784), RAW).status == 200
    guard.log.flush()
    line = json.loads(capsys.readouterr().err)
    assert (line["status"], line["fault"]) == (200, "MemoryError")
