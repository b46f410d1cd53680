"""The form to try values: the user changes a row of a table, and the page or its service predicts
it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tenfold.core.contract import Column, TableInput
from tenfold.core.errors import TenfoldError
from tenfold.core.records import BACKGROUND
from tenfold.core.text import shown_cell
from tenfold.inputs.tables.columns import Table, as_cells
from tenfold.model.background import read_background
from tenfold.model.explain import Explainer
from tenfold.report.network_page.network import MAX_BYTES, Unable
from tenfold.report.network_page.table_graph import read_table_graph
from tenfold.runs.record import Run

MAX_COLUMNS = 200
"""Maximum number of columns of a form."""

N_SAMPLED, FEWEST_SAMPLED, MAX_CELLS = 20, 5, 400
"""For sampled contributions: the maximum and the minimum number of training rows with which a
prediction is compared, and the maximum number of their cells, because each cell takes two
predictions of the page."""


def read_form(
    run: Run,
    service: str | None,
    names: Sequence[str],
    *,
    with_rows: bool,
    max_bytes: int = MAX_BYTES,
) -> dict[str, Any] | Unable:
    """What `form.js` needs from a run of a table, for JSON, or the reason why there is no form.

    Args:
      run: The run.
      service: The address of the run on its service, which is asked for what the page cannot
        compute. None: there is no service.
      names: The columns in the order of their fields.
      with_rows: Whether training rows may be in the page.
      max_bytes: Maximum size of the graph.
    """
    model, accepted = run.model, run.model.contract.input
    if accepted.kind != "table":
        return Unable("This model reads no rows of a table, so there are no values to change.")
    if accepted.order is not None:
        return Unable("An answer depends on the rows before it, which a form does not have.")
    if len(accepted.columns) > MAX_COLUMNS:
        return Unable(
            f"A form of {len(accepted.columns):,} columns is no help; {MAX_COLUMNS} are the most."
        )
    content = (run.path / "model.onnx").read_bytes()
    graph = read_table_graph(content, model.contract.learner, max_bytes)
    if isinstance(graph, Unable):
        if service is None:
            return graph
        graph = {}
    background = _background(run, accepted)
    typical = _typical(accepted, background)
    contract = model.contract
    sets = contract.prediction_sets if contract.gives_sets else None
    way = ExplainedBy(service is not None, bool(graph), with_rows)
    order = {name: place for place, name in enumerate(names)}
    columns = [_column(column, background) for column in accepted.columns]
    return {
        "graph": {**graph, "columns": columns} if graph else None,
        "fields": sorted(columns, key=lambda column: order.get(column["name"], len(order))),
        "service": service,
        "labels": list(model.labels),
        "target": accepted.target,
        "decision": contract.decision and contract.decision.model_dump(),
        "set": {"output": contract.set_output, "coverage": sets.coverage} if sets else None,
        "noveltyThreshold": contract.novelty_threshold,
        "typical": typical,
        "explained": _explained(run, content, background, typical, way),
    }


def _background(run: Run, accepted: TableInput) -> Table | None:
    """The training rows that the run contains. None: it was made by an earlier version."""
    rows = read_background(run.path / BACKGROUND)
    if not rows:
        return None
    table: Table = run.model.reader.read(rows).rows
    return table


def _column(column: Column, background: Table | None) -> dict[str, Any]:
    has_time = False
    if column.kind == "date" and background is not None:
        seconds = background.columns[column.name].astype("datetime64[s]").astype(np.int64)
        known = seconds[~np.isnat(background.columns[column.name])]
        has_time = bool((known % 86_400).any())
    return {
        "name": column.name,
        "kind": column.kind,
        "inputs": list(column.inputs),
        "levels": list(column.levels),
        "signs": column.signs,
        "hasTime": has_time,
    }


def _typical(accepted: TableInput, background: Table | None) -> Mapping[str, str]:
    """The initial value of each field: the median number with five digits, the median date, the
    most frequent category, or an empty text."""
    if background is None:
        return {column.name: (column.levels or ("",))[0] for column in accepted.columns}
    chosen: dict[str, Any] = {}
    for column in accepted.columns:
        values = background.columns[column.name]
        if values.dtype == object:
            different, counts = np.unique(values.astype(str), return_counts=True)
            value: Any = "" if column.kind == "text" else str(different[counts.argmax()])
        else:
            is_missing = np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)
            known = np.sort(values[~is_missing])
            value = known[len(known) // 2] if len(known) else values[0]
        chosen[column.name] = np.array([value], values.dtype)
    kinds = {column.name: column.kind for column in accepted.columns}
    cells = as_cells(Table(chosen)).items()
    return {name: shown_cell(of_column[0], kinds[name]) for name, of_column in cells}


class ExplainedBy(NamedTuple):
    """What there is to explain answers with: a service, the graph in the page, training rows in
    it."""

    has_service: bool
    has_graph: bool
    with_rows: bool


def _explained(
    run: Run,
    content: bytes,
    background: Table | None,
    typical: Mapping[str, str],
    way: ExplainedBy,
) -> dict[str, Any] | None:
    """How `contributions.js` explains the predictions, or that the service does. None: nothing
    can."""
    accepted = run.model.contract.input
    assert accepted.kind == "table"
    try:
        explainer = Explainer(content, accepted, run.path)
    except TenfoldError:  # trees of earlier versions have no counts of training rows
        return None
    if explainer.needs_background and background is None:
        return None
    asked = {"way": "service"} if way.has_service else None
    if not way.has_graph:
        return asked
    found, (part, *others) = explainer.found, explainer.found.parts
    facts = {
        "tensor": found.tensor,
        "features": part.features,
        "scale": found.scale,
        "mean": found.mean,
        "isLogOdds": found.is_log_odds,
        "labels": list(run.model.labels),
        "target": accepted.target,
    }
    if not others and part in explainer.trees:
        return {**facts, "way": "trees", "columnOf": explainer.column_of(part).tolist()}
    assert background is not None
    if not others and part.is_separate:
        reference = run.model.reader.read([dict(typical)]).rows
        expected = explainer.expected_beside(reference, background)
        terms = {"reference": dict(typical), "expected": expected.tolist()}
        return {**facts, "way": "separate", **terms}
    if asked or not way.with_rows:
        return asked
    n = max(FEWEST_SAMPLED, min(N_SAMPLED, MAX_CELLS // len(accepted.names)))
    cells = as_cells(background[np.arange(min(n, len(background)))])
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    return {**facts, "way": "samples", "background": rows}
