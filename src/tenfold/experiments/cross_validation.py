"""Cross-validation: each part of the rows outside the test set is held out once.

It shows how much a score depends on the rows to which a model is fitted. The test rows stay sealed.
"""

import statistics
from dataclasses import replace

import numpy as np

from tenfold.build.choose import fit_chosen
from tenfold.build.problem import Problem
from tenfold.core.errors import DataError
from tenfold.core.progress import Listener
from tenfold.core.records import Fold
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.data.split import Split, assign_folds, cut_in_time, hold_out
from tenfold.experiments.artifacts import measure
from tenfold.model.model import Model
from tenfold.runs.record import Record


def cross_validate(
    problem: Problem, record: Record, listener: Listener | None = None
) -> tuple[Fold, ...]:
    """Fit a model for each fold and measure it on the rows of the fold, without test rows.

    Folds are stratified, and copies stay in the same fold. Rows in the order of time are divided
    into periods, each of which is predicted by a model that was fitted to the earlier rows. The
    listener is told how many folds are done.
    """
    data, split, settings = problem.data, problem.split, problem.settings
    listener, n_folds = listener or Listener(), settings.folds or 0
    rows = np.sort(np.concatenate([split.train, split.validation]))
    done = []
    for number, (fitted_to, held_out) in enumerate(_turns(data, rows, n_folds, settings.seed)):
        listener.progress(number, n_folds)
        train, validation = hold_out(data, fitted_to, settings.validation_size, settings.seed)
        parts = Split(train, validation, np.empty(0, np.int64), np.empty(0, np.int64))
        built = fit_chosen(replace(problem, split=parts, encoded=None))
        if built.interrupted:
            raise KeyboardInterrupt
        model = Model(built.content)
        evaluation, _ = measure(model, data, held_out, "all", record)
        scores = {name: getattr(evaluation, name) for name in evaluation.fold_scores}
        done.append(
            Fold(
                fold=number + 1,
                n_train=len(fitted_to),
                n_held_out=len(held_out),
                scores={name: score and score.value for name, score in scores.items()},
            )
        )
    listener.progress(n_folds, n_folds)
    return tuple(done)


def fold_spread(folds: tuple[Fold, ...]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation over the folds of each score that all of them have."""
    names = folds[0].scores if folds else {}
    values = {name: [fold.scores[name] for fold in folds] for name in names}
    return {
        name: (statistics.mean(scores), statistics.stdev(scores))
        for name, of_folds in values.items()
        if len(scores := [value for value in of_folds if value is not None]) == len(folds)
    }


def _turns(
    data: Dataset, rows: RowNumbers, n_folds: int, seed: int
) -> list[tuple[RowNumbers, RowNumbers]]:
    if data.info is None or data.info.timeline is None:
        fold_of = assign_folds(data, rows, n_folds, seed)
        return [(rows[fold_of != fold], rows[fold_of == fold]) for fold in range(n_folds)]
    n_times = len(np.unique(data.info.timeline.times[rows]))
    if n_times < 2 * (n_folds + 1):
        raise DataError(
            "E443",
            "This number of folds is not possible",
            where=data.name,
            expected=f"2 to {max(2, n_times // 2 - 1)}",
            folds=n_folds,
        )
    sizes = [len(span) for span in np.array_split(rows, n_folds + 1)]
    spans = cut_in_time(data, rows, np.cumsum(sizes)[:-1].tolist())
    return [(np.concatenate(spans[:i]), spans[i]) for i in range(1, n_folds + 1)]
