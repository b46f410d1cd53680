"""`tenfold train --watch`: a local page that shows a training while it runs."""

import hmac
import json
import secrets
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tenfold.cli.progress import TerminalListener
from tenfold.core.progress import Listener, Listeners
from tenfold.report.watching import Watching
from tenfold.runs.record import Run

LOOPBACK = "127.0.0.1"

LAST_SECONDS = 3
"""An open page asks once a second. The end of the training waits this long for it."""

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def watched(train: Callable[[Listener], Run], listener: TerminalListener, title: str) -> Run:
    """Return the result of `train`, and meanwhile show its page, which is saved beside the run."""
    watching = Watching(title)
    with served(watching) as address:
        listener.say(f"the training is shown at {address}")
        webbrowser.open(address)
        run = train(Listeners([listener, watching]))
        watching.end()
    path = run.path.with_name(f"{run.path.name}-watch.html")
    watching.write(path)
    listener.say(f"{path} plays it back")
    return run


@contextmanager
def served(watching: Watching) -> Iterator[str]:
    """Serve the page of a training to this computer only while the block runs. Yields its address.

    The address contains a token that nobody can guess, and requests for another host are refused,
    so that no web page can read it through a name that it resolves to this computer.
    """
    path = f"/{secrets.token_urlsafe()}/"
    server = _Server(watching, path)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}{path}"
        if server.is_seen:
            server.is_seen_to_the_end.wait(LAST_SECONDS)
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, watching: Watching, path: str) -> None:
        super().__init__((LOOPBACK, 0), _Page)
        self.watching, self.path = watching, path
        self.is_seen, self.is_seen_to_the_end = False, threading.Event()

    def handle_error(self, *_: Any) -> None:
        """A page that was closed before it got its response is not an error."""


class _Page(BaseHTTPRequestHandler):
    """Serves the page and its updates below the path with the token."""

    server: _Server
    server_version, sys_version = "tenfold", ""
    timeout = 10

    def do_GET(self) -> None:
        server, address = self.server, urlsplit(self.path)
        path, below = address.path[: len(server.path)], address.path[len(server.path) :]
        if self.headers.get("Host") != f"{LOOPBACK}:{server.server_port}":
            self.send_error(403)
        elif not hmac.compare_digest(path.encode(), server.path.encode()):
            self.send_error(404)
        elif below == "state":
            after = parse_qs(address.query).get("after", ["0"])[0][:9]
            state = server.watching.state(int(after) if after.isdecimal() else 0)
            self._answer("application/json", json.dumps(state))
            if state["done"]:
                server.is_seen_to_the_end.set()
        elif not below:
            server.is_seen = True
            self._answer("text/html", server.watching.page(is_live=True))
        else:
            self.send_error(404)

    def _answer(self, kind: str, text: str) -> None:
        content = text.encode()
        self.send_response(200)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Print nothing, because the terminal shows the training."""
