"""Write the report of a run, one self-contained file that can be e-mailed."""

from pathlib import Path
from typing import Any

from tenfold.core import files
from tenfold.evaluation.by_column import ByColumn
from tenfold.report.column_charts import column_effects_of, column_figures
from tenfold.report.commands import commands, next_steps
from tenfold.report.figures import report_charts
from tenfold.report.network_page import Form, Living, page_style, render
from tenfold.report.rows import (
    N_HARDEST,
    REGIONS,
    SHEET,
    kinds_of,
    layer_rows,
    module_script,
    picture_data,
    report_rows,
)
from tenfold.report.summary import (
    GRAVE,
    coverage_limits,
    noun,
    other_checks,
    scale_floor,
    score_cards,
    settings_of,
    summarise,
)
from tenfold.runs.csv_files import read_predictions
from tenfold.runs.record import Run

MAX_CELLS_LABELS = 40
"""With more labels, the confusion matrix is not drawn, and the confused pairs are listed."""

N_PAIRS = 12
MAX_FORM_BYTES = 2_200_000
"""Maximum size of the model in the report of a table, which should fit into an e-mail."""

MAX_COLUMNS, MAX_TEXT = 30, 80
"""Maximum number of columns of a table that are shown, and of characters of a cell."""


def write_html(path: Path, package: str, template: str, **values: Any) -> None:
    """Render a template of a package, with the styles of reports, as one HTML file."""
    files.write_text(path, render(package, template, css=page_style(), **values))


@files.os_errors()
def write_report(run: Run, *, with_rows: bool = True, by: ByColumn | None = None) -> None:
    """Write `report.html` from the files of the run folder.

    Without `with_rows`, it contains no row of the data: no picture, no cell and no key. `by` are
    scores by the values of a column, which it also shows.
    """
    evaluation, stored = run.evaluation, read_predictions(run)
    sets = evaluation.prediction_sets
    living = Living(run, with_examples=with_rows)
    form = _form(run, with_rows)
    audit, robustness = run.audit, run.robustness
    rows = report_rows(run, stored, with_rows=with_rows)
    write_html(
        run.path / "report.html",
        "tenfold.report",
        "report.html.j2",
        title=run.path.resolve().name,
        record=run.record,
        summary=summarise(run, stored),
        scores=score_cards(evaluation),
        noun=noun(run),
        next_steps=next_steps(run),
        evaluation=evaluation,
        sets=sets if sets and sets.coverage else None,
        limits=list(coverage_limits(run)),
        living=living,
        form=form,
        scripts="".join(
            [living.scripts, form.scripts if form else "", rows.scripts, module_script("copy.js")]
        ),
        findings=audit.findings if audit else (),
        codes={check.text: check.code for check in run.checks},
        checks=other_checks(run),
        grave=GRAVE,
        charts=report_charts(run, stored),
        column_figures=column_figures(run),
        effects=column_effects_of(run),
        settings=list(settings_of(run)),
        sheet=picture_data(run, SHEET) if with_rows else None,
        regions=picture_data(run, REGIONS) if with_rows else None,
        n_held=rows.n + living.n_examples + (form.n_rows if form else 0),
        with_rows=with_rows,
        worst=rows.worst,
        layers=layer_rows((run.path / "model.onnx").read_bytes()),
        robustness=robustness,
        by=by,
        reasons=rows.reasons,
        kinds=kinds_of(run),
        commands=commands(run),
        cells=rows.cells,
        max_cells=MAX_CELLS_LABELS,
        n_hardest=N_HARDEST,
        max_columns=MAX_COLUMNS,
        max_text=MAX_TEXT,
        n_pairs=N_PAIRS,
        floor=scale_floor(evaluation),
    )


def _form(run: Run, with_rows: bool) -> Form | None:
    """The form to try values of a table, with the most important columns first. None for other
    inputs."""
    if run.model.contract.input.kind != "table":
        return None
    effects = column_effects_of(run)
    columns = [one.column for one in effects.columns] if effects else []
    return Form(run, columns=columns, with_rows=with_rows, max_bytes=MAX_FORM_BYTES)


def rewrite_report(run: Run, *, with_rows: bool = True, by: ByColumn | None = None) -> Path:
    """Write the report of a finished run again, with its digest, and return its path."""
    with files.locked(run.path, wait=False):
        write_report(run, with_rows=with_rows, by=by)
        path = run.path / "report.html"
        if "report.html" in run.record.files:
            run.record.files["report.html"] = files.sha256(path)
            run.save()
    return path
