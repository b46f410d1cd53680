"""`make bench-serve`: the service under load, side by side with its peers.

Server and generator have a core each. The generator is `load.c`, which is compiled first: it keeps
a rate whatever the server does, checks each response, and counts its time from the moment at which
the request was due.
"""

import argparse
import http.client
import io
import json
import os
import platform
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from PIL import Image

import tenfold
from bench.measure import environment
from bench.speed import variables
from tenfold.inputs.pictures.preprocess import preprocess

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results" / "serve.json"
PAGE = ROOT / "docs" / "performance.md"
HEADING = "## The service"

SERVER_CORE, LOAD_CORE = 0, 1

CLOSED = (16, 64)
"""Connections without a pause, for the capacity: the better one counts. The queue holds 64."""

OPEN = 480
"""Connections that share a rate. The service accepts 512."""

N_SLOW = 60
N_SOAKING = 4

SERVER = ["fastapi", "uvicorn", "uvloop", "httptools"]
PEERS = {
    "litserve": ("LitServe, the same model.onnx", ["litserve", *SERVER[2:], "onnxruntime"]),
    "starlette": (
        "a bare Starlette handler, the same model.onnx",
        ["starlette", *SERVER[1:], "onnxruntime"],
    ),
    "fastapi": ("a bare FastAPI handler, the same model.onnx", [*SERVER, "onnxruntime"]),
    "keras": ("Keras `predict` behind FastAPI", [*SERVER, "keras", "tensorflow-cpu"]),
}
ENVIRONMENTS = {
    "litserve": "litserve",
    "starlette": "fastapi",
    "fastapi": "fastapi",
    "keras": "keras-serve",
}
WHAT = {"json": "JSON of 784 numbers", "raw": "raw bytes", "png": "PNG 28x28 through the fit"}


def main() -> None:
    """Measure, keep the figures as JSON, and write the section of the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.serve", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--run", type=Path, help="a run on MNIST; trained when not given")
    parser.add_argument("--only", nargs="*", help=f"contenders: tenfold, {', '.join(PEERS)}")
    parser.add_argument("--soak", type=float, default=0, metavar="MINUTES", help="of mixed load")
    options = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as name:
        folder = Path(name)
        run = tenfold.open(options.run) if options.run else tenfold.train("mnist", out=folder)
        bench = Bench(run, folder, options.seconds)
        only = ["tenfold", *PEERS] if options.only is None else options.only
        for _ in bench.measure(only, options.soak):
            RESULTS.write_text(json.dumps(bench.found, indent=1) + "\n", encoding="utf-8")
    write_section()
    print("\n".join(section()))


class Bench:
    """The measurements of one run; `found` holds what is known so far."""

    def __init__(self, run: tenfold.Run, folder: Path, seconds: float) -> None:
        self._run = run
        self._folder = folder
        self._seconds = seconds
        self._questions = write_questions(run)
        self._load = folder / "load"
        source = ROOT / "bench" / "load.c"
        subprocess.run(["cc", "-O2", "-o", str(self._load), str(source)], check=True)
        self.found: dict[str, Any] = {
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
            "load": list(os.getloadavg()),
            "seconds": seconds,
            "contenders": {},
        }

    def measure(self, only: Sequence[str], soak_minutes: float) -> Iterator[None]:
        """Measure these contenders; yields after each."""
        kept = self.found["contenders"]
        for kind in WHAT if "tenfold" in only else ():
            with self._server(self._command()) as server:
                kept[f"tenfold {kind}"] = self._loads(server, kind) | {"versions": _versions(None)}
                if kind == "json":
                    self.found["slow clients"] = self._beside_slow_clients(server)
            yield
        for name in (name for name in PEERS if name in only):
            python = environment(ENVIRONMENTS[name], [*PEERS[name][1], "numpy"])
            if python is None:
                kept[name] = {"missing": "could not be installed"}
                continue
            is_keras = name == "keras"
            model = _keras_weights(self._run, self._folder) if is_keras else self._model()
            script = ROOT / "bench" / "peers_serve.py"
            with self._server([str(python), str(script), name, "PORT", str(model)]) as server:
                kept[name] = self._loads(server, "json") | {"versions": _versions(python)}
            yield
        if soak_minutes:
            with self._server(self._command()) as server:
                self.found["soak"] = soak(server, self._questions, 60 * soak_minutes)
            yield

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "tenfold", "serve", str(self._run.path), "--port", "PORT"]

    def _model(self) -> Path:
        return self._run.path / "model.onnx"

    def _server(self, command: Sequence[str]) -> Any:
        return _server(command, self._questions["json"][0])

    def _loads(self, server: "Server", kind: str) -> dict[str, Any]:
        """Capacity, and loads of 50, 80 and 300% of it."""
        questions = self._questions[kind]
        closed = [self._offer(server, questions, n) for n in CLOSED]
        capacity = max(load["answered"]["rate"] for load in closed)
        loads = {
            share: self._offer(server, questions, OPEN, float(share[:-1]) / 100 * capacity)
            for share in ("50%", "80%", "300%")
        }
        return {"capacity": capacity, "closed": closed, "loads": loads}

    def _beside_slow_clients(self, server: "Server") -> dict[str, Any]:
        """Half of the capacity without slow clients, with them, and without them again."""
        questions = self._questions["json"]
        rate = self.found["contenders"]["tenfold json"]["capacity"] / 2
        before = self._offer(server, questions, OPEN // 2, rate)
        with slow_clients(server):
            beside = self._offer(server, questions, OPEN // 2, rate)
        after = self._offer(server, questions, OPEN // 2, rate)
        return {"before": before, "beside": beside, "after": after}

    def _offer(
        self, server: "Server", questions: Sequence["Question"], n: int, rate: float = 0.0
    ) -> dict[str, Any]:
        """The load of `n` connections, at a rate in all or, with 0, without a pause."""
        file = self._folder / "requests"
        file.write_bytes(b"".join(question.for_load() for question in questions))
        command = ["taskset", "-c", str(LOAD_CORE), str(self._load), str(server.port), str(file)]
        command += [f"{rate:.1f}", f"{self._seconds:g}", str(n)]
        before = server.cpu_seconds()
        seen = subprocess.run(command, check=True, capture_output=True).stdout
        used = server.cpu_seconds() - before
        found = summary(np.frombuffer(seen, np.int32).reshape(-1, 3), self._seconds)
        answered = found["answered"]["rate"] * self._seconds
        return found | {"connections": n, "cpu_us": 1e6 * used / max(1, answered)}


def summary(seen: Any, seconds: float) -> dict[str, Any]:
    """Figures of a load from status, time (us) and rightness of each request."""
    found: dict[str, Any] = {"offered": len(seen) / seconds}
    answered, refused = seen[:, 0] == 200, np.isin(seen[:, 0], (429, 503))
    found |= {"lost": int((~answered & ~refused).sum()), "wrong": int((seen[:, 2] == 0).sum())}
    for name, rows in (("answered", answered), ("refused", refused)):
        found[name] = {"rate": int(rows.sum()) / seconds}
        if rows.any():
            marks = np.percentile(seen[rows, 1], [50, 99, 100]) / 1e3
            found[name] |= dict(zip(("p50", "p99", "max"), marks.round(2).tolist(), strict=True))
    return found


@dataclass(frozen=True)
class Question:
    """A request, and the label that is the right answer."""

    path: str
    kind: str
    body: bytes
    label: str

    def for_load(self) -> bytes:
        """The request as load.c reads it."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {self.kind}\r\n"
            f"content-length: {len(self.body)}\r\n\r\n"
        )
        sent, answer = head.encode() + self.body, f'"{self.label}"'.encode()
        return struct.pack("=II", len(sent), len(answer)) + sent + answer

    def is_answered_by(self, connection: http.client.HTTPConnection) -> bool:
        """Whether the answer is right; a service that is busy is asked again."""
        status = 503
        while status == 503:
            connection.request("POST", self.path, self.body, {"content-type": self.kind})
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
        if status != 200:
            return False
        return bool(json.loads(content)["predictions"][0]["label"] == self.label)

    def is_refused_by(self, connection: http.client.HTTPConnection) -> bool:
        """Whether the request is refused if the last third of its body is missing."""
        part = self.body[: len(self.body) * 2 // 3]
        connection.request("POST", self.path, part, {"content-type": self.kind})
        answer = connection.getresponse()
        answer.read()
        return answer.status in (422, 503)


def write_questions(run: tenfold.Run) -> dict[str, list[Question]]:
    """200 test digits as JSON, raw bytes and PNG, with the label that the model itself gives."""
    asked: dict[str, list[Question]] = {kind: [] for kind in WHAT}
    model: Any = run.model
    for image in tenfold.load("mnist").x[60_000:60_200]:
        label = model.answer(image[None]).labels[0]
        body = json.dumps({"images": [image.reshape(-1).tolist()]}).encode()
        asked["json"].append(Question("/v1/predict", "application/json", body, label))
        raw = Question("/v1/predict", "application/octet-stream", image.tobytes(), label)
        asked["raw"].append(raw)
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        seen = preprocess(file.getvalue(), model.contract.input).image
        label = model.answer(seen[None]).labels[0]
        asked["png"].append(Question("/v1/predict", "image/png", file.getvalue(), label))
    return asked


def _keras_weights(run: tenfold.Run, folder: Path) -> Path:
    graph = onnx.load(run.path / "model.onnx").graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    layers = [name.removesuffix(".kernel") for name in stored if name.endswith(".kernel")]
    arrays: dict[str, Any] = {}
    for i, layer in enumerate(layers):
        arrays |= {f"w{i}": stored[f"{layer}.kernel"], f"b{i}": stored[f"{layer}.bias"].ravel()}
    path = folder / "weights.npz"
    np.savez(path, **arrays)
    return path


@dataclass(frozen=True)
class Server:
    """A server that runs: its port, and the session of all its processes."""

    port: int
    session: int

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def resident_mb(self) -> float:
        """Memory of its first process (proc(5): statm)."""
        pages = int(Path(f"/proc/{self.session}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cpu_seconds(self) -> float:
        """Processor time of all its processes (proc(5): session, utime and stime of stat)."""
        ticks = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            if int(fields[3]) == self.session:
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def _server(command: Sequence[str], question: Question) -> Iterator[Server]:
    """A server on a core of its own, ready to answer."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = [str(port) if part == "PORT" else part for part in command]
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CORE), *given],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env=variables(),  # this process may have chosen a backend for its own Keras
    )  # fmt: skip
    address, kind = f"http://127.0.0.1:{port}{question.path}", {"content-type": question.kind}
    request = urllib.request.Request(address, question.body, kind)
    try:
        until = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    answer.read()
                break
            except (urllib.error.URLError, OSError):
                if process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.1)
        yield Server(port, process.pid)
    finally:
        with suppress(ProcessLookupError):  # it ended by itself
            os.killpg(process.pid, 9)
        process.wait()


@contextmanager
def slow_clients(server: Server) -> Iterator[None]:
    """Clients that send a byte of a request each tenth of a second, in a thread."""
    begun = b"POST /v1/predict HTTP/1.1\r\nhost: localhost\r\nx: "
    ends = threading.Event()

    def send() -> None:
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(N_SLOW)]
        for client in clients:
            client.sendall(begun)
        while not ends.wait(0.1):
            for i, client in enumerate(clients):
                try:
                    client.sendall(b"a")
                except OSError:  # it was refused for its slowness, and comes again
                    client.close()
                    clients[i] = socket.create_connection(("127.0.0.1", server.port))
                    clients[i].sendall(begun)
        for client in clients:
            client.close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


def soak(server: Server, questions: dict[str, list[Question]], seconds: float) -> dict[str, Any]:
    """Requests of all kinds without a pause, one in a hundred broken; every answer is checked.

    Memory is compared with that after a tenth of the time.
    """
    every = [question for asked in questions.values() for question in asked]
    n_asked, wrong = [0] * N_SOAKING, [0] * N_SOAKING
    until = time.monotonic() + seconds

    def client(number: int) -> None:
        chance, connection = random.Random(number), server.connect()
        while time.monotonic() < until:
            question = chance.choice(every)
            is_broken = chance.random() < 0.01
            answered = question.is_refused_by if is_broken else question.is_answered_by
            n_asked[number] += 1
            wrong[number] += not answered(connection)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(N_SOAKING)]
    for thread in threads:
        thread.start()
    time.sleep(seconds / 10)
    before = server.resident_mb()
    for thread in threads:
        thread.join()
    after = server.resident_mb()
    return {
        "minutes": seconds / 60,
        "requests": sum(n_asked),
        "wrong": sum(wrong),
        "mb_before": round(before, 1),
        "mb_after": round(after, 1),
    }


def _versions(python: Path | None) -> dict[str, str]:
    program = (
        "import json, importlib.metadata as m\n"
        "names = ['fastapi','uvicorn','starlette','uvloop','httptools','onnxruntime','litserve',"
        "'numpy'" + (",'keras','tensorflow-cpu'" if python else "") + "]\n"
        "print(json.dumps({d.name: d.version for d in m.distributions() if d.name in names}))"
    )
    command = [str(python or sys.executable), "-c", program]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(sorted(json.loads(found).items()))


def section() -> list[str]:
    """The page's section, from the figures that are kept."""
    found = json.loads(RESULTS.read_text("utf-8"))
    kept = {name: one for name, one in found["contenders"].items() if "capacity" in one}
    ours = kept.get("tenfold json", {}).get("capacity")
    lines = [
        HEADING, "",
        "This section is written by `make bench-serve`. One core serves and another one sends,",
        f"{found['seconds']:g} s at each load; every response is checked. Times are counted from",
        f"the moment at which the request was due. Machine: {found['machine']};",
        f"the load average before was {found['load'][0]:.1f}.",
        "Capacity is what a server answers if each of 16 or of 64 connections sends its next",
        f"request as soon as it has the response. The other loads come from {OPEN} connections at",
        "a fixed rate.",
        "",
        "| what | capacity, requests/s | ours / theirs | p50, p99 ms at 50% | at 80% "
        "| processor us per response |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    titles = {f"tenfold {kind}": f"**tenfold serve**, {what}" for kind, what in WHAT.items()}
    titles |= {name: title for name, (title, _) in PEERS.items()}
    for name, title in titles.items():
        if name in kept:
            one = kept[name]
            ratio = f"{ours / one['capacity']:.2f}" if ours and name in PEERS else ""
            half, most = (_times(one["loads"][share]["answered"]) for share in ("50%", "80%"))
            used = min(load["cpu_us"] for load in one["closed"])
            lines.append(
                f"| {title} | {one['capacity']:,.0f} | {ratio} | {half} | {most} | {used:.0f} |"
            )
        elif name in found["contenders"]:
            lines.append(f"| {title} | missing: could not be installed | | | | |")
    lines += [
        "",
        "Three times the capacity:",
        "",
        "| what | offered/s | answered/s | of capacity | p50, p99 ms | refused/s | its p50, p99 ms "
        "| lost | wrong |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in kept.items():
        load = one["loads"]["300%"]
        answered, refused = load["answered"], load["refused"]
        lines.append(
            f"| {titles[name]} | {load['offered']:,.0f} | {answered['rate']:,.0f} "
            f"| {answered['rate'] / one['capacity']:.0%} | {_times(answered)} "
            f"| {refused['rate']:,.0f} | {_times(refused)} | {load['lost']} | {load['wrong']} |"
        )
    lines += _other_rows(found)
    versions = (
        f"{name}: "
        + ", ".join(f"{package} {version}" for package, version in one["versions"].items())
        for name, one in kept.items()
        if name != "tenfold raw" and name != "tenfold png"
    )
    return [*lines, "", "Versions: " + "; ".join(versions) + ".", ""]


def _times(answers: dict[str, float]) -> str:
    return f"{answers['p50']:.1f}, {answers['p99']:.1f}" if "p50" in answers else ""


def _other_rows(found: dict[str, Any]) -> list[str]:
    lines = []
    if slow := found.get("slow clients"):
        before, beside, after = (
            slow[name]["answered"]["p99"] for name in ("before", "beside", "after")
        )
        lines += [
            "",
            f"Beside {N_SLOW} clients that send ten bytes a second, p99 of JSON at half of the",
            f"capacity is {beside:.1f} ms; without them it is {before:.1f} ms before and",
            f"{after:.1f} ms after.",
        ]
    if soak := found.get("soak"):
        lines += [
            "",
            f"In {soak['minutes']:g} minutes of mixed load by {N_SOAKING} clients, one request in",
            f"a hundred broken, {soak['wrong']} of {soak['requests']:,} responses were wrong.",
            f"The process took {soak['mb_before']:.0f} MB after a tenth of the time, and",
            f"{soak['mb_after']:.0f} MB at the end.",
        ]
    return lines


def write_section() -> None:
    """Put the section into the page, in the place of the one that is there."""
    text = PAGE.read_text("utf-8")
    before, found, after = text.partition(HEADING + "\n")
    rest = after.partition("\n## ")
    after = "## " + rest[2] if rest[1] else ""
    if not found:
        before = text.rstrip("\n") + "\n\n"
    PAGE.write_text(
        before + "\n".join(section()) + ("\n" + after if after else ""), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
