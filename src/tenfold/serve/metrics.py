"""The metrics of one process, in the text format of Prometheus.

Source: prometheus.io, "Exposition formats", text format 0.0.4.
"""

import bisect
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tenfold.core.systems import resident_bytes
from tenfold.model.predictions import Prediction
from tenfold.runs.record import Run
from tenfold.serve.drift import Drift

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Upper ends of the bins of durations, in seconds."""

NOVELTY = (0.25, 0.5, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0, 4.0)
"""Upper ends of the bins of novelty; from 1 on, an input is unlike the training data."""

BATCHES = (1, 2, 4, 8, 16, 32)
"""Upper ends of the bins of batch sizes."""

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Histogram:
    """Counts of values in bins, and their sum."""

    def __init__(self, ends: tuple[float, ...]) -> None:
        self._ends = ends
        self._counts = [0] * (len(ends) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect.bisect_left(self._ends, value)] += 1
        self._sum += value

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """The lines of the text format; `labels` are in that format already, without braces."""
        comma, total = "," if labels else "", 0
        for end, count in zip((*self._ends, "+Inf"), self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{{labels}{comma}le="{end}"}} {total}'
        braces = f"{{{labels}}}" if labels else ""
        yield f"{name}_sum{braces} {self._sum:.6f}"
        yield f"{name}_count{braces} {total}"


class Metrics:
    """The counters of a process; `failures` counts the items on which a model failed, by its name.

    Gauges are functions, which are called when the metrics are read. This happens in a thread while
    the event loop counts. Dictionaries are therefore copied before a loop, which is atomic.
    """

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: dict[str, Histogram] = defaultdict(lambda: Histogram(SECONDS))
        self._batches: dict[str, Histogram] = {}
        self._labels: Counter[tuple[str, str]] = Counter()
        self._n_unsure: Counter[str] = Counter()
        self._novelty: dict[str, Histogram] = defaultdict(lambda: Histogram(NOVELTY))
        self._drift: dict[str, Drift] = {}
        self._gauges: list[tuple[str, str, str, Callable[[], float]]] = []
        started = time.time()
        self.gauge("process_start_time_seconds", "Start of the process", lambda: started)
        self.gauge("process_resident_memory_bytes", "Resident memory", _resident_bytes)

    def request(self, route: str, status: int, seconds: float) -> None:
        self._requests[route, status] += 1
        self._seconds[route].add(seconds)

    def batches(self, model: str) -> Histogram:
        """The histogram of a model's batch sizes."""
        return self._batches.setdefault(model, Histogram(BATCHES))

    def answered(self, model: str, outcomes: Sequence[Any], threshold: float | None) -> None:
        """Count the answers and failures of a model; `threshold` is that of its novelty."""
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                self.failures[model] += 1
            elif isinstance(outcome, Prediction):
                self._labels[model, outcome.label] += 1
                self._n_unsure[model] += outcome.unsure
                if threshold and outcome.novelty is not None:
                    self._novelty[model].add(outcome.novelty / threshold)

    def drift_of(self, model: str, run: Run) -> Drift | None:
        """What measures the drift of a table's columns. None for other inputs, for rows in the
        order of time, which always differ, and for rows in groups, which are not independent."""
        accepted = run.model.contract.input
        if accepted.kind != "table" or accepted.order is not None or accepted.group is not None:
            return None
        self._drift[model] = Drift(run)
        return self._drift[model]

    def gauge(self, name: str, about: str, value: Callable[[], float], labels: str = "") -> None:
        self._gauges.append((name, about, labels, value))

    def text(self) -> str:
        return "\n".join([*self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        yield from _head("tenfold_requests_total", "counter", "Requests by route and status")
        for (route, status), n in sorted(self._requests.items()):
            yield f'tenfold_requests_total{{route="{escaped(route)}",status="{status}"}} {n}'
        about = "From the end of the headers to the answer"
        yield from _head("tenfold_request_seconds", "histogram", about)
        for route, histogram in sorted(self._seconds.items()):
            yield from histogram.lines("tenfold_request_seconds", f'route="{escaped(route)}"')
        yield from _head("tenfold_batch_items", "histogram", "Items that were answered together")
        for model, histogram in list(self._batches.items()):
            yield from histogram.lines("tenfold_batch_items", f'model="{escaped(model)}"')
        about = "Items on which a model failed"
        yield from _head("tenfold_model_failures_total", "counter", about)
        for model in list(self._batches):
            labels = f'model="{escaped(model)}"'
            yield f"tenfold_model_failures_total{{{labels}}} {self.failures[model]}"
        yield from self._answer_lines()
        described = set()
        for name, about, labels, value in self._gauges:
            if name not in described:
                described.add(name)
                yield from _head(name, "gauge", about)
            yield f"{name}{{{labels}}} {value():g}" if labels else f"{name} {value():.15g}"

    def _answer_lines(self) -> Iterator[str]:
        yield from _head("tenfold_answers_total", "counter", "Answers by label")
        for (model, label), n in sorted(self._labels.items()):
            named = f'model="{escaped(model)}",label="{escaped(label)}"'
            yield f"tenfold_answers_total{{{named}}} {n}"
        yield from _head("tenfold_unsure_total", "counter", "Answers that are unsure")
        for model, n in list(self._n_unsure.items()):
            yield f'tenfold_unsure_total{{model="{escaped(model)}"}} {n}'
        about = "Novelty of the items, in shares of the one that makes an answer unsure"
        yield from _head("tenfold_novelty", "histogram", about)
        for model, histogram in list(self._novelty.items()):
            yield from histogram.lines("tenfold_novelty", f'model="{escaped(model)}"')
        about = "p value of a column of recent rows having the distribution of the training rows"
        yield from _head("tenfold_column_p_value", "gauge", about)
        for model, drift in list(self._drift.items()):
            for column, p in drift.p_values().items():
                named = f'model="{escaped(model)}",column="{escaped(column)}"'
                yield f"tenfold_column_p_value{{{named}}} {p:.3g}"


def _head(name: str, kind: str, about: str) -> tuple[str, str]:
    return f"# HELP {name} {about}", f"# TYPE {name} {kind}"


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _resident_bytes() -> float:
    held = resident_bytes()
    return float("nan") if held is None else held  # how Prometheus writes an unknown value
