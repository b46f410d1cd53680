"""`make bench-serve`: the service under open-loop load, side by side with its peers.

Server and generator have a core each. Capacity is the highest rate without a refusal at which 99 of
100 answers take at most 50 ms from the intended send time; then 25 to 300% of it are offered.
"""

import argparse
import io
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
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

P99_MS = 50.0
CONNECTIONS = (16, 512)
"""Of the compiled generator: as many as keep a server busy, and twice what it takes at once."""

WRK = """
wrk.method, wrk.headers["content-type"] = "POST", {kind!r}
wrk.body = io.open({body!r}, "rb"):read("*all")
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{{"n": %d, "seconds": %f, "refused": %d, "lost": %d, "p50": %f, "p99": %f}}',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""
"""What tells wrk, a generator in C, what to ask and what to print (wg/wrk, SCRIPTING)."""

SHARES = (0.25, 0.5, 0.8, 1.0, 1.5, 3.0)
SERVER_CORE, LOAD_CORE = 0, 1

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


def main() -> None:
    """Measure, keep the figures as JSON, and write the section of the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.serve", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--run", type=Path, help="a run on MNIST; trained when not given")
    parser.add_argument("--only", nargs="*", help=f"contenders: tenfold, {', '.join(PEERS)}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as name:
        folder = Path(name)
        run = tenfold.open(options.run) if options.run else tenfold.train("mnist", out=folder)
        for found in _measured(run, folder, options.seconds, options.only or ["tenfold", *PEERS]):
            RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    write_section()
    print("\n".join(section()))


def _measured(
    run: tenfold.Run, folder: Path, seconds: float, only: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """What is known after each contender."""
    questions = write_questions(run, folder)
    found: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "load": list(os.getloadavg()),
        "seconds": seconds,
        "contenders": {},
    }
    kept: dict[str, Any] = found["contenders"]
    if "tenfold" in only:
        command = [sys.executable, "-m", "tenfold", "serve", str(run.path), "--port"]
        for kind in ("json", "raw", "png"):
            with _server([*command, "PORT"], questions["json"]) as server:
                name = f"tenfold {kind}"
                kept[name] = ladder(server, questions[kind], seconds) | {
                    "versions": _versions(None)
                }
            yield found
    for name in PEERS:
        if name in only:
            python = environment(ENVIRONMENTS[name], [*PEERS[name][1], "numpy"])
            if python is None:
                kept[name] = {"missing": "could not be installed"}
                continue
            model = _keras_weights(run, folder) if name == "keras" else run.path / "model.onnx"
            script = ROOT / "bench" / "peers_serve.py"
            command = [str(python), str(script), name, "PORT", str(model)]
            with _server(command, questions["json"]) as server:
                kept[name] = ladder(server, questions["json"], seconds) | {
                    "versions": _versions(python)
                }
            yield found


def write_questions(run: tenfold.Run, folder: Path) -> dict[str, Path]:
    """200 test digits as JSON, raw bytes and PNG, with the label that the model itself gives."""
    x = tenfold.load("mnist").x[60_000:60_200]
    model = run.model
    asked: dict[str, list[Any]] = {"json": [], "raw": [], "png": []}
    for image in x:
        label = model.answer(image[None]).labels[0]  # type: ignore[union-attr]
        body = json.dumps({"images": [image.reshape(-1).tolist()]})
        asked["json"].append(["/v1/predict", "application/json", body, label])
        raw = image.tobytes().decode("latin-1")
        asked["raw"].append(["/v1/predict", "application/octet-stream", raw, label])
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        seen = preprocess(file.getvalue(), model.contract.input).image  # type: ignore[arg-type]
        label = model.answer(seen[None]).labels[0]  # type: ignore[union-attr]
        asked["png"].append(["/v1/predict", "image/png", file.getvalue().decode("latin-1"), label])
    paths = {kind: folder / f"{kind}.json" for kind in asked}
    for kind, path in paths.items():
        path.write_text(json.dumps(asked[kind]))
    return paths


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
def _server(command: Sequence[str], question: Path) -> Iterator["Server"]:
    """A server on a core of its own, ready to answer."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = [str(port) if part == "PORT" else part for part in command]
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CORE), *given],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env=variables(),  # this process may have chosen a backend for its own Keras
    )  # fmt: skip
    path, kind, body, _ = json.loads(question.read_text())[0]
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body.encode(), {"content-type": kind}
    )
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


def offer(
    server: Server, questions: Path, rate: float, seconds: float, poisson: bool = False
) -> Any:
    """Offer a load; the figures of `bench.load`, and the processor time of an answer."""
    command = [sys.executable, "-m", "bench.load", str(server.port), str(questions)]
    command += [f"{rate:.1f}", f"{seconds:g}", "--core", str(LOAD_CORE)]
    command += ["--poisson"] if poisson else []
    before = server.cpu_seconds()
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    found = json.loads(printed)
    answered = found["answered"]["rate"] * seconds
    found["cpu_us"] = 1e6 * (server.cpu_seconds() - before) / max(1, answered)
    return found


def closed_loop(server: Server, questions: Path, seconds: float) -> list[dict[str, Any]]:
    """What is answered when every connection asks again at once, by wrk; nothing without it."""
    if shutil.which("wrk") is None:
        return []
    path, kind, body, _ = json.loads(questions.read_text())[0]
    sent, script = questions.with_suffix(".body"), questions.with_suffix(".lua")
    sent.write_bytes(body.encode("latin-1"))
    script.write_text(WRK.format(body=str(sent), kind=kind))
    found = []
    for n in CONNECTIONS:
        command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{n}", f"-d{seconds:.0f}s"]
        command += ["-s", str(script), f"http://127.0.0.1:{server.port}{path}"]
        before = server.cpu_seconds()
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        one = json.loads(printed[printed.rindex("{") :])
        one["cpu_us"] = 1e6 * (server.cpu_seconds() - before) / max(1, one["n"] - one["refused"])
        found.append(one | {"connections": n})
    return found


def ladder(server: Server, questions: Path, seconds: float) -> dict[str, Any]:
    """Capacity, then loads of 25 to 300% of it; and the load after the greatest one."""
    capacity, rate = 0.0, 10.0
    while _holds(offer(server, questions, rate, min(seconds, 4))):
        capacity, rate = rate, rate * 1.5
    low, high = capacity or rate / 2, rate
    for _ in range(4):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _holds(offer(server, questions, middle, seconds)) else (low, middle)
        )
    capacity = low
    loads = {
        f"{share:.0%}": offer(server, questions, share * capacity, seconds) for share in SHARES
    }
    loads["50%, 2 s after 300%"] = offer(server, questions, 0.5 * capacity, seconds)
    loads["80%, Poisson"] = offer(server, questions, 0.8 * capacity, seconds, True)
    closed = closed_loop(server, questions, seconds)
    return {"capacity": capacity, "loads": loads, "closed": closed}


def _holds(found: Any) -> bool:
    alright = set(found["status"]) == {"200"} and not found["wrong"]
    return bool(alright and found["answered"]["p99"] <= P99_MS)


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
        "This section is written by `make bench-serve`. It sends requests in an open loop, with",
        f"one core for the server and one for the load, {found['seconds']:g} s at each load, and",
        f"checks every response. Machine: {found['machine']};",
        f"the load average before was {found['load'][0]:.1f}.",
        f"Capacity is the highest rate without refusals at which p99 is at most {P99_MS:g} ms,",
        "counted from the intended send time. For a server that takes more than half of that time",
        "for a single response, it is the rate that its processor time allows. The generator",
        "reaches its own limit at about 15,000 requests/s, which delays the 300% loads of JSON and",
        "raw bytes.",
        "",
        "| what | capacity, requests/s | ours / theirs | p50, p99 ms at 50% | at 80% "
        "| processor us per response |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    titles = {f"tenfold {kind}": f"**tenfold serve**, {what}" for kind, what in WHAT.items()}
    titles |= {name: title for name, (title, _) in PEERS.items()}
    for name, title in titles.items():
        if name not in found["contenders"]:
            continue
        if name not in kept:
            lines.append(f"| {title} | missing: could not be installed | | | | |")
            continue
        one = kept[name]
        # One whose single answer takes half the time allowed is not measured by that rule.
        is_slow = one["loads"]["25%"]["answered"]["p50"] > P99_MS / 2
        capacity = 1e6 / one["loads"]["80%"]["cpu_us"] if is_slow else one["capacity"]
        ratio = f"{ours / capacity:.1f}" if ours and name in PEERS else ""
        shown = f"{capacity:,.0f}" + (", by processor time" if is_slow else "")
        half, most = (one["loads"][share]["answered"] for share in ("50%", "80%"))
        lines.append(
            f"| {title} | {shown} | {ratio} "
            f"| {half['p50']:.1f}, {half['p99']:.1f} | {most['p50']:.1f}, {most['p99']:.1f} "
            f"| {one['loads']['80%']['cpu_us']:.0f} |"
        )
    lines += [
        "",
        "| load | what | offered | answered | p50, p99 ms | refused | its p99 ms | wrong |",
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for name, one in kept.items():
        for share, load in one["loads"].items():
            lines.append(_load_row(titles[name], share, load))
    lines += _closed_rows(kept, titles)
    versions = (
        f"{name}: "
        + ", ".join(f"{package} {version}" for package, version in one["versions"].items())
        for name, one in kept.items()
        if name != "tenfold raw" and name != "tenfold png"
    )
    return [*lines, "", "Versions: " + "; ".join(versions) + ".", ""]


def _closed_rows(kept: dict[str, Any], titles: dict[str, str]) -> list[str]:
    lines = [
        "",
        "The same with wrk, a load generator in C whose connections send the next request as soon",
        "as they have the response. Times are counted from the sending of the request.",
        "",
        "| what | connections | answered/s | refused/s | lost | p50, p99 ms | processor us |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in kept.items():
        for load in one.get("closed", []):
            rates = [n / load["seconds"] for n in (load["n"] - load["refused"], load["refused"])]
            lines.append(
                f"| {titles[name]} | {load['connections']} | {rates[0]:,.0f} | {rates[1]:,.0f} "
                f"| {load['lost']} | {load['p50']:.1f}, {load['p99']:.1f} | {load['cpu_us']:.0f} |"
            )
    return lines if len(lines) > 6 else []


WHAT = {"json": "JSON of 784 numbers", "raw": "raw bytes", "png": "PNG 28x28 through the fit"}


def _load_row(title: str, share: str, load: Any) -> str:
    answered, refused = load["answered"], load["refused"]
    times = f"{answered['p50']:.1f}, {answered['p99']:.1f}" if "p50" in answered else ""
    late = f"{refused['p99']:.1f}" if "p99" in refused else ""
    return (
        f"| {share} | {title} | {load['offered']:,.0f} | {answered['rate']:,.0f} | {times} "
        f"| {refused['rate']:,.0f} | {late} | {load['wrong']} |"
    )


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
