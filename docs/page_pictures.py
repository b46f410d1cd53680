"""The twelve pictures of docs/design/pages.md, from finished runs: `python -m docs.page_pictures`.

    python -m docs.page_pictures DIGITS LABELS NUMBERS FORECAST PHOTOS COMPARISON SWEEP

The arguments are the folders of a run on MNIST, of one on a table with labels, with numbers and in
the order of time, of one on photos, of a comparison and of a sweep.
"""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, sync_playwright

from docs.report_pictures import shot, write
from tenfold.runs.record import Run
from tests.support import program
from tests.support.browser import launch
from tests.support.service import service

WIDTH, PHONE_WIDTH = 1180, 390


class Shot(NamedTuple):
    """A picture: its name, the address, the section at its top, its height, and how it is seen."""

    name: str
    address: str
    section: str = ""
    height: int = 900
    is_dark: bool = False
    is_phone: bool = False


def shots(runs: list[Path], port: int) -> Iterator[Shot]:
    """The twelve pages. The first three runs are also on a service at this port."""
    digits, labels, numbers, forecast, photos, comparison, sweep = (
        (run / "report.html").resolve().as_uri() for run in runs
    )
    yield Shot("digits", digits)
    yield Shot("digits-mistakes", digits, "mistakes")
    yield Shot("digits-network", digits, "living", 1400)
    yield Shot("digits-phone", digits, height=844, is_phone=True)
    yield Shot("labels", labels, is_dark=True)
    yield Shot("numbers-columns", numbers, "why", 1000)
    yield Shot("numbers-form", numbers, "try", 880)
    yield Shot("forecast", forecast)
    yield Shot("photos-mistakes", photos, "mistakes", 1000)
    yield Shot("comparison", comparison)
    yield Shot("sweep", sweep, is_dark=True)
    yield Shot("service-docs", f"http://127.0.0.1:{port}/docs", height=844, is_phone=True)


def main() -> None:
    """Write all pictures into docs/images/pages."""
    runs = [Path(name) for name in sys.argv[1:]]
    served = [Run.open(run) for run in runs[:3]]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        os.environ.setdefault(program.SESSION, folder)
        with service(*served, log=Path(folder) / "log") as found:
            write_shots(launch(playwright), list(shots(runs, found.port)))


def write_shots(browser: Browser, wanted: Iterable[Shot]) -> None:
    """Write pictures, and close the browser."""
    for one in wanted:
        content = shot(
            browser,
            one.address,
            PHONE_WIDTH if one.is_phone else WIDTH,
            one.height,
            dark=one.is_dark,
            section=one.section,
            offline=not one.address.startswith("http"),
        )
        write(f"pages/{one.name}", content, None if one.is_phone else 900)
    browser.close()


if __name__ == "__main__":
    main()
