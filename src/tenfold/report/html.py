"""`report.html`: the run in one self-contained file that can be mailed and opened anywhere."""

import base64
from collections.abc import Sequence
from importlib import resources

from tenfold import files
from tenfold.evaluation import in_unit
from tenfold.runs import Run

PICTURES = {
    "confusion_matrix.png": "Confusion matrix",
    "precision_recall.png": "Precision and recall",
    "predicted_vs_true.png": "Predicted against true",
    "forecast.png": "The test rows over time",
    "residuals.png": "Residuals",
    "history.png": "Training",
}
"""Every picture a run folder may hold, in the order of the report, with its title."""


def write_report(run: Run, notes: Sequence[str] = ()) -> None:
    """Write `report.html` from what stands in the run folder: the pictures that are there.

    Args:
      run: The run.
      notes: What a reader must know beside the numbers, one sentence or more each.

    Raises:
      RunError: The run has no evaluation yet.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = resources.files("tenfold.report").joinpath("report.html.j2").read_text("utf-8")
    text = environment.from_string(source).render(
        title=run.path.name,
        record=run.record,
        evaluation=run.evaluation,
        pictures={
            title: _data_uri(run, name)
            for name, title in PICTURES.items()
            if (run.path / name).is_file()
        },
        notes=notes,
        ordinal=ordinal,
        in_unit=in_unit,
    )
    files.write_text(run.path / "report.html", text)


def ordinal(number: int) -> str:
    """The number as a place in a row.

    Example:
      >>> [ordinal(n) for n in (1, 2, 3, 4, 11, 21)]
      ['1st', '2nd', '3rd', '4th', '11th', '21st']
    """
    teens = 10 <= number % 100 <= 20
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _data_uri(run: Run, name: str) -> str:
    with files.os_errors("read", run.path / name):
        content = (run.path / name).read_bytes()
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
