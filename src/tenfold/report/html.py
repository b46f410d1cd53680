"""`report.html`: the run in one self-contained file that can be mailed and opened anywhere."""

from tenfold.core import files
from tenfold.core.text import in_unit, ordinal
from tenfold.report.commands import commands
from tenfold.report.figures import report_plots
from tenfold.report.layers import layer_rows
from tenfold.report.network_page import Living, read_text, render
from tenfold.report.rows import N_HARDEST, report_rows, sheet_data
from tenfold.runs.csv_files import read_predictions
from tenfold.runs.record import Run
from tenfold.runs.studies import read_audit, read_robustness

MAX_CELLS_LABELS = 40
"""With more labels the confusion matrix is not drawn; the confused pairs are listed."""

N_PAIRS = 12
MAX_COLUMNS, MAX_TEXT = 30, 80
"""Columns of a table that are shown, and characters of a cell."""

GRAVE = ("test set inside training set", "in both parts", "test set repeats itself")


def write_report(run: Run) -> None:
    """Write `report.html` from what stands in the run folder.

    Raises:
      RunError: The run has no evaluation or no model yet, or a file of it is damaged.
    """
    evaluation, stored = run.evaluation, read_predictions(run)
    living = Living(run)
    audit, robustness = read_audit(run), read_robustness(run)
    rows = report_rows(run, stored)
    text = render(
        "tenfold.report",
        "report.html.j2",
        title=run.path.resolve().name,
        css=read_text("tenfold.report.network_page", "page.css")
        + read_text("tenfold.report", "report.css"),
        record=run.record,
        evaluation=evaluation,
        living=living,
        scripts=living.scripts + rows.scripts,
        findings=audit.findings if audit else (),
        grave=GRAVE,
        plots=report_plots(run, stored, robustness),
        sheet=sheet_data(run),
        worst=rows.worst,
        layers=layer_rows((run.path / "model.onnx").read_bytes()),
        robustness=robustness,
        commands=commands(run),
        cells=rows.cells,
        max_cells=MAX_CELLS_LABELS,
        n_hardest=N_HARDEST,
        max_columns=MAX_COLUMNS,
        max_text=MAX_TEXT,
        n_pairs=N_PAIRS,
        ordinal=ordinal,
        in_unit=in_unit,
    )
    files.write_text(run.path / "report.html", text)
