"""The service as a process: how it starts, waits, refuses and leaves, over real sockets."""

import contextlib
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tenfold import Run
from tenfold.serve.server import _check_token, _listening
from tests.conftest import Few
from tests.support.errors import refused
from tests.support.program import call
from tests.support.service import (
    JSON,
    RAW,
    Service,
    connect,
    everything,
    images,
    one_answer,
    png,
    request,
    service,
)

QUICK = ["header_seconds=0.6", "body_seconds=0.8", "idle_seconds=1", "header_bytes=2000"]
FLAGS = [word for limit in QUICK for word in ("--limit", limit)]


@pytest.fixture(scope="module")
def running(small_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("service") / "log"
    with service(small_run, log=log, flags=FLAGS) as found:
        yield found


def test_it_answers_and_keeps_the_connection(running: Service, few: Few) -> None:
    body = images(few(1).images[:1])
    with connect(running) as connection:
        for _ in range(3):
            connection.sendall(request(body))
            assert one_answer(connection).startswith(b"HTTP/1.1 200 OK\r\n")
        connection.sendall(request(body) + request(body))  # one behind the other
        found = b""
        while found.count(b"predictions") < 2:
            found += connection.recv(65_536)
        assert found.count(b"HTTP/1.1 200 OK") == 2


def test_a_slow_sender_is_cut_off(running: Service) -> None:
    """Where a wait has no deadline, reading here runs into its own, of twenty seconds."""
    for begun, words in [
        (b"POST /v1/predict HTT", b"The headers did not arrive in time"),
        (b"\r\n\r\n", b""),
        (b"", b""),
        (request(bytes(784), RAW)[:-700], b"The body did not arrive in time"),
        (
            request(b"", RAW, "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
            + b"10\r\nabc",
            b"The body did not arrive in time",
        ),
    ]:
        connection = connect(running)
        connection.sendall(begun)
        found = everything(connection)
        assert words in found
        assert not words or (found.startswith(b"HTTP/1.1 408 ") and b"connection: close" in found)


def test_bytes_one_by_one_win_no_time(running: Service) -> None:
    connection = connect(running)
    stop = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            for byte in request(bytes(784), RAW):
                if stop.wait(0.05):
                    return
                connection.sendall(bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    found = everything(connection)
    stop.set()
    thread.join()
    assert found == b"" or b" 408 " in found


def test_what_is_too_long_or_no_request(running: Service) -> None:
    for sent, status in [
        (b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 3000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"431"),
        (b"a" * 5000, b"4"),
        (b"\0\1\2\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n", b"400"),
        (request(b"", RAW, "content-length: 3") + b"abc", b"400"),
        (request(b"abc", RAW, "transfer-encoding: chunked"), b"400"),
        (b"GET /v1/model HTTP/1.0\r\n\r\n", b"403"),
    ]:
        with connect(running) as connection:
            connection.sendall(sent)
            found = one_answer(connection)
            assert found.startswith(b"HTTP/1.1 " + status), (sent[:60], found[:80])
            assert b'{"error": "' in found


def test_a_body_too_large_is_refused_unread(running: Service) -> None:
    with connect(running) as connection:
        head = request(b"", RAW).replace(b"content-length: 0", b"content-length: 99999999")
        connection.sendall(head)
        found = one_answer(connection)
        assert (
            found.startswith(b"HTTP/1.1 413 ") and b"The body of the request is too large" in found
        )
        assert everything(connection) == b""  # the rest does not come: closed, without a word more


def test_after_an_early_answer_the_connection_is_good_and_ends(running: Service) -> None:
    with connect(running) as connection:
        sent = request(bytes(70_000), "text/plain")
        connection.sendall(sent[:300])
        assert one_answer(connection).startswith(b"HTTP/1.1 415 ")
        connection.sendall(sent[300:] + request(bytes(784), RAW))
        assert one_answer(connection).startswith(b"HTTP/1.1 200 ")
        assert everything(connection) == b""  # idle for a second


def test_what_is_refused_at_the_door_is_read_over(small_run: Run, few: Few, tmp_path: Path) -> None:
    flags = ["--limit", "in_flight=1", "--limit", "idle_seconds=1", "--limit", "connections=3"]
    with service(small_run, log=tmp_path / "log", flags=flags) as found:
        body = images(few(1).images[:1])
        with connect(found) as holds, connect(found) as refused:
            holds.sendall(request(body)[:-9])
            while "tenfold_in_flight 1" not in found.ask("GET", "/metrics").body.decode():
                pass
            refused.sendall(request(body)[:-9])
            told = one_answer(refused)
            assert told.startswith(b"HTTP/1.1 503 ") and b"retry-after: " in told
            assert b"fewer: in_flight" in told and b"connection: close" not in told
            assert found.ask("GET", "/health/ready").status == 200
            with connect(found), connect(found) as many:
                assert b"fewer: connections" in everything(many)
            holds.sendall(request(body)[-9:])
            assert one_answer(holds).startswith(b"HTTP/1.1 200 ")
            refused.sendall(request(body)[-9:] + request(body))
            assert one_answer(refused).startswith(b"HTTP/1.1 200 ")
            assert everything(refused) == b""


def test_health_is_answered_while_all_connections_are_taken(small_run: Run, tmp_path: Path) -> None:
    with service(small_run, log=tmp_path / "log", flags=["--limit", "connections=2"]) as found:
        held = [connect(found), connect(found)]
        for connection in held:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert one_answer(connection).startswith(b"HTTP/1.1 200 ")
        live = found.ask("GET", "/health/live")
        assert live.status == 200 and live.headers["connection"] == "close"
        refused = found.ask("GET", "/v1/model")
        assert refused.status == 503 and "fewer: connections" in refused.error
        others = [connect(found) for _ in range(17)]  # one more than there are places for
        assert b"fewer: connections" in everything(others[-1])
        assert all(b"fewer: connections" in everything(other) for other in others[:-1])
        for connection in held:
            connection.close()


def test_head_and_a_slash_at_the_end(running: Service) -> None:
    with connect(running) as connection:
        connection.sendall(b"HEAD /v1/model/ HTTP/1.1\r\nhost: localhost\r\n\r\n" * 2)
        connection.sendall(
            b"GET /v1/model HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )
        found = everything(connection)
    assert found.count(b"HTTP/1.1 200 OK\r\n") == 3 and found.count(b'{"name": ') == 1
    length = found.rpartition(b"content-length: ")[2].split(b"\r")[0]
    assert found.count(b"content-length: " + length) == 3
    assert running.ask("POST", "/v1/predict/", bytes(784), RAW).status == 200


def test_a_client_that_asks_before_it_sends_its_body_is_told_to(running: Service) -> None:
    with connect(running) as connection:
        sent = request(bytes(784), RAW, "expect: 100-continue")
        connection.sendall(sent[:-784])
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(sent[-784:])
        assert one_answer(connection).startswith(b"HTTP/1.1 200 ")
        connection.sendall(request(bytes(784), "text/plain", "expect: 100-continue")[:-784])
        assert one_answer(connection).startswith(b"HTTP/1.1 415 ")


def test_a_client_that_reads_nothing_is_left(small_run: Run, tmp_path: Path) -> None:
    flags = ["--limit", "answer_seconds=0.5"]
    with service(small_run, log=tmp_path / "log", flags=flags) as found:
        page = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n"
        with connect(found) as connection:
            connection.settimeout(5)
            with pytest.raises(ConnectionError):
                while True:
                    connection.sendall(page * 10)
                    time.sleep(0.01)
        assert found.ask("GET", "/health/ready").status == 200


def test_lines_of_the_log_are_json_without_data(running: Service) -> None:
    told = running.ask("GET", "/nowhere/secret?token=secret", referer="secret")
    time.sleep(0.3)
    lines = running.lines()
    mine = next(line for line in lines if line.get("id") == told.headers["x-request-id"])
    assert mine["status"] == 404 and mine["ms"] > 0
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(mine["time"]) < timedelta(1)
    assert "secret" not in running.log.read_text()


def test_workers_share_a_port_and_are_started_again(
    small_run: Run, few: Few, tmp_path: Path
) -> None:
    body = images(few(1).images[:1])
    with service(small_run, log=tmp_path / "log", flags=["--workers", "2"]) as found:
        children = Path(f"/proc/{found.process.pid}/task/{found.process.pid}/children")
        first = children.read_text().split()
        assert len(first) == 2
        time.sleep(2.1)  # a process that ends sooner than two seconds is not started again
        os.kill(int(first[0]), signal.SIGKILL)
        assert found.ask("POST", "/v1/predict", body, JSON).status == 200
        while len(now := children.read_text().split()) < 2 or first[0] in now:
            time.sleep(0.05)
        assert found.ask("POST", "/v1/predict", body, JSON).status == 200
        assert found.leave() == 0


def test_a_worker_that_is_told_to_leave_silences_nobody(small_run: Run, tmp_path: Path) -> None:
    """Its filter stood on the socket of all: who came was not heard until it had left."""
    with service(small_run, log=tmp_path / "log", flags=["--workers", "2"]) as found:
        children = Path(f"/proc/{found.process.pid}/task/{found.process.pid}/children")
        stuck = [connect(found) for _ in range(8)]  # each of the two has some
        for connection in stuck:
            connection.sendall(request(bytes(784), RAW)[:-5])
        time.sleep(2.1)  # a process that ends sooner than two seconds is not started again
        os.kill(int(children.read_text().split()[0]), signal.SIGTERM)
        time.sleep(1.5)  # it takes no more, and waits for the rest of what it has
        start = time.monotonic()
        for _ in range(10):
            assert found.ask("POST", "/v1/predict", bytes(784), RAW).status == 200
        assert time.monotonic() - start < 5
        for connection in stuck:
            connection.close()
        assert found.leave() == 0


def test_what_cannot_start_says_so(small_run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for flags, words in [
            (["nowhere"], "There is no run here"),
            (
                [str(small_run.path), "--port", port],
                "The address is not available: host='127.0.0.1', port=",
            ),
            (
                [str(small_run.path), "--host", "0.0.0.0"],
                "A service that others can reach needs a token",
            ),
            ([str(small_run.path), "--limit", "quee=1"], "Did you mean 'queue'?"),
            (["nowhere", "--workers", "2", "--port", "0"], "There is no run here"),
        ]:
            done = call("serve", *flags)
            assert done.returncode == 1 and words in done.stderr, done.stderr
            assert "Traceback" not in done.stderr


def test_addresses_and_tokens() -> None:
    for host in ("127.0.0.1", "::1", "localhost", "127.0.0.5"):
        _check_token(host, None)
    for host in ("0.0.0.0", "::", "192.168.0.1", "example.com", ""):
        with refused("E920"):
            _check_token(host, None)
        _check_token(host, "sixteen characters")
    with refused("E919", "n_characters=5"):
        _check_token("127.0.0.1", "short")
    with refused("E921", "host='no.such.invalid', port=1"):
        _listening("no.such.invalid", 1)


# How it leaves.


def load(
    running: Service, body: bytes, kind: str, ends: threading.Event, n: int
) -> tuple[list[threading.Thread], list[str]]:
    """Clients that ask without pause; each notes what became of every request it sent."""
    seen: list[str] = []

    def client() -> None:
        while not ends.is_set():
            try:
                connection = connect(running)
            except OSError:
                return  # it takes no more connections
            with connection:
                while not ends.is_set():
                    try:
                        connection.sendall(request(body, kind))
                        answer = one_answer(connection)
                    except OSError as error:
                        seen.append(type(error).__name__)
                        break
                    seen.append(answer[9:12].decode() if answer else "closed")
                    if not answer or b"connection: close" in answer:
                        break

    threads = [threading.Thread(target=client) for _ in range(n)]
    for thread in threads:
        thread.start()
    return threads, seen


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_sigterm_loses_no_accepted_request(
    small_run: Run, few: Few, tmp_path: Path, times: int
) -> None:
    body = images(few(1).images[:1])
    for _ in range(times):
        ends = threading.Event()
        with service(small_run, log=tmp_path / "log") as found:
            threads, seen = load(found, body, JSON, ends, 8)
            while seen.count("200") < 50:
                time.sleep(0.01)
            start = time.monotonic()
            found.process.send_signal(signal.SIGTERM)
            found.process.send_signal(signal.SIGINT)  # as a terminal and a supervisor both do
            statuses = set()
            while found.process.poll() is None:
                with contextlib.suppress(OSError):
                    statuses.add(found.ask("GET", "/health/ready").status)
                time.sleep(0.05)
            assert found.process.returncode == 0
            assert time.monotonic() - start < 30  # ten seconds, were this machine ours alone
            ends.set()
            for thread in threads:
                thread.join()
            assert 503 in statuses and set(seen) == {"200"}
            text = found.log.read_text()
            assert "Traceback" not in text and "fault" not in text


def test_a_stuck_client_does_not_keep_it(small_run: Run, tmp_path: Path) -> None:
    flags = ["--limit", "drain_seconds=0.5"]
    with service(small_run, log=tmp_path / "log", flags=flags) as found:
        connection = connect(found)
        connection.sendall(request(bytes(784), RAW)[:-5])
        while "tenfold_in_flight 1" not in found.ask("GET", "/metrics").body.decode():
            pass
        assert found.leave() == 0
        connection.close()


# Load, slow: each has a small one above, or runs briefly here.


def mixed(few: Few) -> list[tuple[bytes, str, int]]:
    """Requests of all kinds, a tenth of them bad, with the status that is right."""
    x = few(40).images[:40]
    good = [(images(x[i : i + 1]), JSON, 200) for i in range(20)]
    good += [(x[i].tobytes(), RAW, 200) for i in range(20)]
    good += [(png(x[i]), "image/png", 200) for i in range(5)]
    bad = [
        (b'{"images": [[1, 2]]}', JSON, 422),
        (b'{"images": [NaN]}', JSON, 422),
        (bytes(5), RAW, 422),
        (b"no picture", "image/png", 422),
        (b"a=b", "text/plain", 415),
    ]
    return good + bad


def ask_for(running: Service, few: Few, seconds: float, n_clients: int) -> tuple[int, list[str]]:
    """Mixed load; how many were answered, and what was wrong."""
    requests, wrong, counts = mixed(few), [], []
    known: dict[int, Any] = {}

    def client(seed: int) -> None:
        rng, until, n = random.Random(seed), time.monotonic() + seconds, 0
        while time.monotonic() < until:
            number = rng.randrange(len(requests))
            body, kind, status = requests[number]
            told = running.ask("POST", "/v1/predict", body, kind)
            n += 1
            if told.status == 503:
                continue
            if told.status != status or (
                status == 200 and told.body != known.setdefault(number, told.body)
            ):
                wrong.append(f"{number}: {told.status}")
        counts.append(n)

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(n_clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts), wrong


def resident(running: Service) -> float:
    for line in running.ask("GET", "/metrics").body.decode().splitlines():
        if line.startswith("process_resident_memory_bytes"):
            return float(line.split()[1])
    raise AssertionError("no such metric")


@pytest.mark.parametrize(
    ("warm", "seconds"), [(0.2, 1.0), pytest.param(30.0, 600.0, marks=pytest.mark.slow)]
)
def test_mixed_load_has_no_wrong_answer(
    small_run: Run, few: Few, tmp_path: Path, warm: float, seconds: float
) -> None:
    with service(small_run, log=tmp_path / "log") as found:
        ask_for(found, few, warm, 4)
        before = resident(found)
        n, wrong = ask_for(found, few, seconds, 4)
        assert n > 4 and not wrong
        if seconds > 60:
            assert resident(found) < 1.05 * before
        assert found.leave() == 0
        assert "fault" not in found.log.read_text()


@pytest.mark.parametrize("n", [20, pytest.param(60, marks=pytest.mark.slow)])
def test_stuck_clients_do_not_hinder_others(
    running: Service, small_run: Run, few: Few, n: int
) -> None:
    body = images(few(1).images[:1])
    stuck = []
    for i in range(n):
        connection = connect(running)
        begun: Sequence[bytes] = (b"POST /v1", request(body)[:-9], b"", request(body))
        connection.sendall(begun[i % 4])
        stuck.append(connection)
    for _ in range(20):
        assert running.ask("POST", "/v1/predict", body, JSON).status == 200
    found = [everything(connection) for connection in stuck]
    assert sum(b" 408 " in answer for answer in found) >= n // 2
    assert running.ask("GET", "/health/ready").status == 200


MUTATIONS = b'\0\r\n :/%?{}[]",\xff019GETPOSTHTTP/1.1chunked'


def fuzzed(rng: random.Random, body: bytes) -> bytes:
    """A request with something wrong in some place."""
    sent = bytearray(
        request(
            body if rng.random() < 0.5 else rng.randbytes(rng.randrange(900)),
            rng.choice([JSON, RAW, "image/png", "text/html", "image/\xe4"]),
            *(["transfer-encoding: chunked"] if rng.random() < 0.1 else []),
            *(["upgrade: websocket", "connection: upgrade"] if rng.random() < 0.05 else []),
            path=rng.choice(
                [
                    "/v1/predict",
                    "/",
                    "/docs",
                    "/v1/models/%2e%2e/predict",
                    "//",
                    "/%00",
                    "/v1/models/..;/x",
                    "/metrics?a=b",
                    "http://x/v1/predict",
                    "*",
                ]
            ),
        )
    )
    method = rng.choice([b"POST", b"GET", b"HEAD", b"OPTIONS", b"CONNECT", b"PATCH", b"X"])
    if rng.random() < 0.3:
        sent[:4] = method
    for _ in range(rng.choice([0, 0, 1, 1, 2, 8])):
        at = rng.randrange(min(len(sent), 300))
        if rng.random() < 0.5:
            sent[at] = rng.choice(MUTATIONS)
        elif rng.random() < 0.5:
            del sent[at : at + rng.randrange(1, 9)]
        else:
            sent[at:at] = rng.choice([b"\r\n", b"\0", b"\xff" * 9, b"[" * 99, b"a: b\r\n"])
    return bytes(sent)


@pytest.mark.parametrize("n", [300, pytest.param(5_000, marks=pytest.mark.slow)])
def test_fuzzed_requests_get_no_5xx(running: Service, few: Few, n: int) -> None:
    rng, body = random.Random(5), images(few(1).images[:1])
    for number in range(n):
        with connect(running) as connection:
            sent = fuzzed(rng, body)
            with contextlib.suppress(OSError):
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
            found = everything(connection)
        for status in [answer[:3] for answer in found.split(b"HTTP/1.1 ")[1:]]:
            assert status[:1] in b"234" or status == b"503", (number, sent[:200], found[:200])
        assert b"Traceback" not in found
        assert b"200 OK" in found or b".py" not in found
    assert running.ask("POST", "/v1/predict", body, JSON).status == 200
    text = running.log.read_text()
    assert "Traceback" not in text and "fault" not in text and "Error" not in text
