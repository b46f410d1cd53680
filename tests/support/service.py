"""A service for tests: in this process without a socket, or a real one with a port."""

import asyncio
import contextlib
import http.client
import io
import json
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tenfold import Run
from tenfold.serve.access import AccessPolicy
from tenfold.serve.application import Application
from tenfold.serve.connection import Connection
from tenfold.serve.limits import Limits
from tenfold.serve.served_runs import build
from tests.support.program import Program, start

JSON = "application/json"
RAW = "application/octet-stream"


@dataclass(frozen=True)
class Told:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        assert list(self.json) == ["error"]
        return str(self.json["error"])


POLICY = AccessPolicy(frozenset({"localhost", "127.0.0.1", "testserver"}))


def guard_of(*runs: Run, token: str | None = None, **limits: Any) -> Application:
    guard = build(
        runs,
        Limits(**limits),
        AccessPolicy(frozenset({"localhost", "127.0.0.1", "testserver"}), token),
    )
    guard.tick()
    guard.state.ready = True
    return guard


class Pipe(asyncio.Transport):
    """What a connection of the service writes, without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self._closing = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self._closing.is_set()

    def close(self) -> None:
        self._closing.set()

    async def closed(self) -> None:
        await self._closing.wait()

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def asked(
    guard: Application,
    method: str,
    path: str,
    body: bytes | Sequence[bytes] = b"",
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    kind: str = "",
) -> Told:
    """Ask on a connection of its own; a body of several parts comes in chunks, of none never."""
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    given = {name for name, _ in pairs}
    if "host" not in given:
        pairs.append(("host", "127.0.0.1:8000"))
    if kind:
        pairs.append(("content-type", kind))
    parts = [body] if isinstance(body, bytes) else [b"%x\r\n%b\r\n" % (len(p), p) for p in body]
    if not isinstance(body, bytes):
        pairs.append(("transfer-encoding", "chunked"))
        parts += [b"0\r\n\r\n"] if body else []
    elif "content-length" not in given:
        pairs.append(("content-length", str(len(body))))
    lines = [f"{method} {quote(path)} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs)]
    if all(name != "connection" for name, _ in pairs):
        lines.append("connection: close")
    pipe, connection = Pipe(), Connection(guard, set())
    connection.connection_made(pipe)
    connection.data_received("\r\n".join([*lines, "", ""]).encode("latin-1"))
    for part in parts:
        connection.data_received(part)
    if body == []:
        connection.eof_received()
    await pipe.closed()
    connection.connection_lost(None)
    head, _, content = pipe.written.partition(b"\r\n\r\n")
    status, *found = head.decode("latin-1").split("\r\n")
    named = (line.partition(": ") for line in found)
    return Told(int(status.split()[1]), {name: value for name, _, value in named}, content)


def ask(guard: Application, method: str, path: str, *arguments: Any, **named: Any) -> Told:
    """One request, and the end of the loop it ran on."""
    return asyncio.run(asked(guard, method, path, *arguments, **named))


def predict(guard: Application, body: bytes, kind: str = JSON, **named: Any) -> Told:
    return ask(guard, "POST", "/v1/predict", body, kind=kind, **named)


def as_json(**request: Any) -> bytes:
    return json.dumps(request).encode()


def images(x: NDArray[Any]) -> bytes:
    """A request of pictures."""
    return as_json(images=[image.reshape(-1).tolist() for image in x])


def png(x: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(x).save(file, "PNG")
    return file.getvalue()


@dataclass
class Service:
    """A real one."""

    process: Program
    port: int
    log: Path

    def ask(
        self, method: str, path: str, body: bytes = b"", kind: str = "", **headers: str
    ) -> Told:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            given = ({"content-type": kind} if kind else {}) | headers
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Told(answer.status, found, answer.read())
        finally:
            connection.close()

    def leave(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def connect(running: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.port), timeout=20)


def everything(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            parts.append(part)
    connection.close()
    return b"".join(parts)


def one_answer(connection: socket.socket) -> bytes:
    """One answer, whole; nothing where the other side closed."""
    found = b""
    while True:
        head, end, body = found.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.partition(b"content-length: ")[2].split(b"\r")[0]):
            return found
        part = connection.recv(65_536)
        if not part:
            return found
        found += part


def request(body: bytes, kind: str = JSON, *more: str, path: str = "/v1/predict") -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "host: localhost",
        f"content-type: {kind}",
        f"content-length: {len(body)}",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextlib.contextmanager
def service(
    *runs: Run | Path, log: Path, flags: Sequence[str] = (), token: str | None = None
) -> Iterator[Service]:
    """`tenfold serve` on a free port; stopped in the end."""
    paths = [str(run.path if isinstance(run, Run) else run) for run in runs]
    environment = {**os.environ, **({"TENFOLD_TOKEN": token} if token else {})}
    with log.open("wb") as errors:
        process = start("serve", *paths, "--port", 0, *flags, stderr=errors, env=environment)
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("service  http://"), log.read_text()
        found = Service(process, int(line.rstrip("/\n").rpartition(":")[2]), log)
        while found.ask("GET", "/health/ready").status != 200:
            pass
        yield found
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
