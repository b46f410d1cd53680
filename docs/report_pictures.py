"""Pictures of a report in a real Chromium: `python -m docs.report_pictures RUN`."""

import io
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.support.browser import launch

IMAGES = Path(__file__).parent / "images"

PLAYED = 4_000
"""Milliseconds after which the page has drawn its first example and the network has answered."""


def write_pictures(run: Path) -> None:
    """The pictures that the README and the guides show of a run on MNIST."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = (run / "report.html").resolve().as_uri()
        top = shot(browser, page, 1180, 512)
        write("report", _above(top, shot(browser, page, 1180, 1370, section="living")))
        write("dark", shot(browser, page, 1180, 1100, dark=True), 590)
        write("phone", shot(browser, page, 390, 1480, is_mobile=True), 300)
        write("mistakes", shot(browser, page, 1180, 976, section="mistakes"))
        browser.close()


def shot(
    browser: Browser,
    page: str,
    width: int,
    height: int,
    *,
    dark: bool = False,
    section: str = "",
    offline: bool = True,
    **settings: Any,
) -> bytes:
    """A page from its top, or from a section on, when its first animation has played."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        offline=offline,
        **settings,
    )
    tab = context.new_page()
    tab.goto(page + (f"#{section}" if section else ""))
    tab.wait_for_timeout(PLAYED)
    picture = tab.screenshot()
    context.close()
    return picture


def _above(*contents: bytes) -> bytes:
    """Pictures of one width, one above the other."""
    pictures = [Image.open(io.BytesIO(content)).convert("RGB") for content in contents]
    both = Image.new("RGB", (pictures[0].width, sum(picture.height for picture in pictures)))
    top = 0
    for picture in pictures:
        both.paste(picture, (0, top))
        top += picture.height
    content = io.BytesIO()
    both.save(content, "png")
    return content.getvalue()


def write(name: str, content: bytes, width: int | None = None) -> None:
    """A PNG of at most 256 colours, which is a fifth of the size."""
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    if width is not None:
        size = (width, round(picture.height * width / picture.width))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    picture.quantize(256).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    write_pictures(Path(sys.argv[1]))
