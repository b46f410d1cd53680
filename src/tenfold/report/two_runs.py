"""Write the comparison of two runs as one self-contained file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tenfold.core import files
from tenfold.core.text import percent
from tenfold.evaluation import Comparison
from tenfold.report.html import write_html
from tenfold.runs.record import Run


@files.os_errors()
def write_comparison(first: Run, second: Run, comparison: Comparison, path: Path) -> None:
    """Write the comparison of two runs as one HTML file."""
    write_html(
        path,
        "tenfold.report",
        "comparison.html.j2",
        comparison=comparison,
        percent=percent,
        records=[run.record for run in (first, second)],
        names=[comparison.first, comparison.second],
        otherwise=list(_otherwise(first, second)),
    )


def _otherwise(first: Run, second: Run) -> Iterator[tuple[str, Any, Any]]:
    """The settings in which two runs differ. An older run may not have one of them."""
    configs = first.record.known_settings(), second.record.known_settings()
    for name in sorted({*configs[0], *configs[1]} - {"learner"}):
        values = [config.get(name, "not known then") for config in configs]
        if values[0] != values[1]:
            yield name, *values
