"""A real headless Chromium for the tests of pages, and what a page did in it."""

import base64
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, Playwright

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def launch(playwright: Playwright) -> Browser:
    """Debian's Chromium. Where there is none the tests are not run; in CI that is a failure."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        reason = "no Chromium: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(f"browser tests not run, {reason}")
    return playwright.chromium.launch(executable_path=found, args=FLAGS)


@dataclass
class Opened:
    """A page, and what it asked for and complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def run(self, function: str, argument: Any = None) -> Any:
        """Call a JavaScript function with one argument."""
        return self.page.evaluate(function, argument)

    def until(self, condition: str, tries: int = 200) -> None:
        """Wait for an expression to hold. Playwright's own waiting is forbidden by the page."""
        for _ in range(tries):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(25)
        raise AssertionError(f"never so: {condition}")


def open_file(browser: Browser, path: Path, **settings: Any) -> Opened:
    """Open a file from disk as a reader does, offline, without motion unless the settings allow it.
    Pages close with the browser."""
    given: dict[str, Any] = {"offline": True, "reduced_motion": "reduce"} | settings
    page = browser.new_context(**given).new_page()
    opened = Opened(page)
    page.on("request", lambda request: opened.requests.append(request.url))
    page.on("console", lambda said: opened.complaints.append(said.text))
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.goto(path.resolve().as_uri())
    return opened


def packed(array: NDArray[np.uint8]) -> str:
    """Bytes for a page; `unpacked` below has them again."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


UNPACKED = "const unpacked = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));"
