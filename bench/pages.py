"""How large reports are, and how quickly they are written, painted and answer a drawing.

    python -m bench.pages RUN...

Needs Chromium. Each report is opened from the disk on a phone's screen. If it contains a network, a
digit is drawn point by point, and for each point the time from the movement of the pen to the
answer in the page is measured, which includes waiting for the next frame. Processor time is that of
the page's main thread, which other programs on the machine change less.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

import tenfold
from bench.measure import run_process
from tests.support.browser import launch

PHONE: Any = {"width": 390, "height": 844}
N_DIGITS = 5
"""How often the digit is drawn. A first time is not counted, in which the page is compiled."""

DIGIT = [[0.25 + 0.5 * i / 15, 0.25] for i in range(16)]
DIGIT += [[0.75 - 0.35 * i / 15, 0.25 + 0.6 * i / 15] for i in range(1, 16)]
"""The points of a 7, in shares of the pad."""

DRAW = """async (points) => {
  const verdict = document.getElementById("verdict");
  const answered = () => new Promise((done) => {
    const observer = new MutationObserver(() => {
      observer.disconnect();
      done(performance.now());
    });
    observer.observe(verdict, { childList: true });
  });
  const times = [];
  for (let n = 2; n <= points.length; n++) {
    const answer = answered();
    const start = performance.now();
    tenfold.pad.strokes([points.slice(0, n)]);
    times.push((await answer) - start);
  }
  return times;
}"""

FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def main() -> None:
    """Measure the reports of the runs that are given."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for name in sys.argv[1:]:
            measure(browser, Path(name).resolve())
        browser.close()


def measure(browser: Browser, run: Path) -> None:
    """Print the size of a report, the time to write and to paint it, and that of a stroke."""
    command: list[str | Path] = [sys.executable, "-m", "tenfold", "report", run]
    with tempfile.TemporaryDirectory() as folder:
        writing = run_process(command, Path(folder))
    report = run / "report.html"
    page = browser.new_context(viewport=PHONE, offline=True).new_page()
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(report.as_uri())
    page.wait_for_timeout(1_000)
    print(
        f"{run.name}: {report.stat().st_size / 1e6:.2f} MB, written in {writing.seconds:.2f} s "
        f"({writing.cpu_seconds:.2f} s of processor time, with the start of Python), first paint "
        f"after {page.evaluate(FIRST_PAINT):.0f} ms"
    )
    if page.evaluate("Boolean(globalThis.tenfold?.pad)"):
        print(f"  {tenfold.open(run).record.learner}: {strokes(page, session)}")


def strokes(page: Page, session: CDPSession) -> str:
    """The time from a movement of the pen to the answer, in words."""
    page.evaluate(DRAW, DIGIT)
    before = _thread_seconds(session)
    times = np.concatenate([page.evaluate(DRAW, DIGIT) for _ in range(N_DIGITS)])
    processor = 1000 * (_thread_seconds(session) - before) / len(times)
    least, middle, most = np.percentile(times, [0, 50, 95])
    return (
        f"stroke to answer {middle:.1f} ms (median of {len(times)}; {least:.1f} at least, "
        f"{most:.1f} for 95%), {processor:.1f} ms of processor time"
    )


def _thread_seconds(session: CDPSession) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


if __name__ == "__main__":
    main()
