"""A training that is watched: on its page while it runs, and afterwards in a browser."""

import http.client
import json
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

import tenfold
from tenfold.cli.progress import TerminalListener
from tenfold.cli.watch import watched
from tenfold.core.progress import Listener, Listeners
from tenfold.core.records import Epoch
from tests.conftest import Few
from tests.support.browser import launch, open_file


class Asks(Listener):
    """Asks the page for something after each epoch."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self.states: list[dict[str, Any]] = []
        self.refused: list[int] = []

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        address = self.addresses[0]
        known = max(0, epoch.epoch - 2)  # the weights of this epoch come after it
        self.states.append(json.loads(asked(address, f"state?after={known}")[1]))
        if epoch.epoch == 1:
            assert b"<h1>digits</h1>" in asked(address, "")[1]
            where = urlsplit(address)
            other = f"http://{where.netloc}/{'x' * 40}/"
            self.refused = [
                asked(address, "state", host="evil.example")[0],
                asked(address, "other")[0],
                asked(other, "")[0],
                asked(f"http://{where.netloc}/", "")[0],
            ]


def asked(address: str, below: str, host: str | None = None) -> tuple[int, bytes]:
    where = urlsplit(address)
    connection = http.client.HTTPConnection(where.netloc, timeout=10)
    headers = {} if host is None else {"Host": host}
    connection.request("GET", f"{where.path}{below}", headers=headers)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.browser
def test_a_training_is_watched_and_plays_back(
    few: Few, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", addresses.append)
    asks = Asks(addresses)

    def train(listener: Listener) -> tenfold.Run:
        listener = Listeners([listener, asks])
        return tenfold.train(few(300, 100), epochs=4, hidden=(40,), out=tmp_path, listener=listener)

    run = watched(train, TerminalListener(), "digits")
    assert asks.refused == [403, 404, 404, 404]
    first, *_, last = asks.states
    assert first["status"].startswith("Training: epoch 1 of 4, validation accuracy ")
    assert first["samples"].count("<img") == 20 and "300 training" in first["about"]
    assert [frame["epoch"] for frame in last["frames"]] == [3] and "<svg" in last["chart"]
    said = capsys.readouterr().err
    page = tmp_path / f"{run.path.name}-watch.html"
    assert f"shown at {addresses[0]}" in said and f"{page} plays it back" in said
    assert tenfold.verify(run.path)["examples"] == 10
    with pytest.raises(ConnectionRefusedError):
        asked(addresses[0], "")
    with sync_playwright() as playwright:
        opened = open_file(launch(playwright), page)
        assert opened.run("() => document.getElementById('status').textContent").startswith(
            "Finished: epoch 4 of 4, validation accuracy "
        )
        seen = "document.getElementById('at').textContent"
        opened.until(f"{seen}.startsWith('epoch 4, ')")
        opened.page.click("#play")
        opened.until(f"{seen}.startsWith('epoch 1, ')")
        opened.until(f"{seen}.startsWith('epoch 4, ')")
        assert opened.complaints == [] and len(opened.requests) == 1
