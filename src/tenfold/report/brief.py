"""The short forms of a run, without any row of its data: a page and a text for an e-mail, and the
model card."""

import json
from collections.abc import Iterator
from pathlib import Path

from tenfold.core import files
from tenfold.core.text import ordinal
from tenfold.report.commands import commands
from tenfold.report.html import write_html
from tenfold.report.summary import RunSummary, coverage_limits, noun, score_cards, summarise
from tenfold.runs.csv_files import read_predictions
from tenfold.runs.record import Run

MODEL_CARD = "MODEL_CARD.md"
"""The file name of the model card, whose form model hubs can read."""

KINDS = {
    ("image", "classification"): "image-classification",
    ("table", "classification"): "tabular-classification",
    ("table", "regression"): "tabular-regression",
}
"""The task of a model in the terms of the Hugging Face Hub, by its input and its task."""


@files.os_errors()
def write_model_card(run: Run) -> None:
    """Write `MODEL_CARD.md`: front matter for model hubs, and the run in words."""
    files.write_text(run.path / MODEL_CARD, model_card(run))


@files.os_errors()
def write_brief(run: Run) -> list[Path]:
    """Write `NAME-summary.html` and `NAME-summary.md` beside a run, without rows of the data."""
    name, folder = run.path.resolve().name, run.path.resolve().parent
    page, text = (folder / f"{name}-summary{suffix}" for suffix in (".html", ".md"))
    summary = summarise(run, read_predictions(run))
    write_html(
        page, "tenfold.report", "brief.html.j2", title=name, summary=summary,
        scores=score_cards(run.evaluation), limits=list(_limits(run)), learner=run.record.learner,
    )  # fmt: skip
    files.write_text(text, "\n".join(_words(run, summary)))
    return [page, text]


def model_card(run: Run) -> str:
    """The card of a run's model: what it predicts, the data, how good it is, and how to use it."""
    summary = summarise(run, read_predictions(run))
    lines = ["---", *_front_matter(run), "---", "", *_words(run, summary)]
    lines += ["## How to use it", ""]
    lines += [f"- {what}: `{how}`" for what, how in commands(run)]
    lines += [
        "",
        "`model.onnx` runs in ONNX Runtime without Tenfold, too; its metadata entry `tenfold` says "
        "what it takes and returns.",
        "",
    ]
    return "\n".join(lines)


def _front_matter(run: Run) -> Iterator[str]:
    """YAML that the Hugging Face Hub reads. Strings are quoted as in JSON, which YAML includes."""
    contract, evaluation = run.model.contract, run.evaluation
    kind = KINDS.get((contract.input.kind, contract.task), "other")
    score, metric = evaluation.score, evaluation.score_name.lower()
    name = f"{evaluation.score_name} (95% interval {score.low:.6g} to {score.high:.6g})"
    yield "library_name: onnx"
    yield f"pipeline_tag: {kind}"
    yield f"tags: [tenfold, {run.record.learner}]"
    yield "model-index:"
    yield f"- name: {json.dumps(run.path.resolve().name)}"
    yield "  results:"
    yield f"  - task: {{type: {kind}}}"
    data = json.dumps(run.record.data.name)
    yield f"    dataset: {{name: {data}, type: {data}, split: test}}"
    yield f"    metrics: [{{type: {metric}, value: {score.value:.6g}, name: {json.dumps(name)}}}]"


def _words(run: Run, summary: RunSummary) -> Iterator[str]:
    """The run in Markdown: question, answer, scores and limits."""
    yield f"# {_plain(summary.question)}"
    yield ""
    yield f"**{summary.headline} {summary.unit}.** {_plain(summary.answer)}"
    yield ""
    yield f"{_plain(summary.about)}"
    yield ""
    yield f"{_plain(summary.verdict)}"
    yield ""
    yield "## Data"
    yield ""
    yield f"{_plain(summary.subject)} The learner is `{run.record.learner}`."
    yield ""
    yield "## Scores"
    yield ""
    yield "| score | value | interval | meaning |"
    yield "|---|---|---|---|"
    for card in score_cards(run.evaluation):
        cells = (card.name, card.value, card.spread, card.meaning)
        yield f"| {' | '.join(map(_plain, cells))} |"
    yield ""
    yield "## Limits"
    yield ""
    for limit in _limits(run):
        yield f"- {_plain(limit)}"
    yield ""


def _limits(run: Run) -> Iterator[str]:
    """What the user should know before relying on the scores."""
    evaluation, record, rows = run.evaluation, run.record, noun(run)
    for doubt in evaluation.doubts:
        yield f"Do not trust these scores: {doubt}."
    yield (
        f"The scores are of {evaluation.n:,} {evaluation.part} {rows} of {record.data.name}. They "
        f"hold for {rows} of the same origin; elsewhere the model can be much worse."
    )
    number = ordinal(record.test_opened)
    yield f"This is the {number} model that was measured on these {evaluation.part} {rows}."
    yield from coverage_limits(run)
    if "neighbors" in run.model.contract.learners:
        yield "The model file contains the training rows themselves."


def _plain(text: str) -> str:
    """Escape text so that Markdown shows it unchanged, also in a table."""
    text = " ".join(text.split())
    for mark in "\\|*_`[]":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("<", "&lt;").replace("$", "\\$")
