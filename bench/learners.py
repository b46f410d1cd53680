"""Every learner beside scikit-learn's own, set up by hand: `python -m bench.learners`.

The peer is fitted to the training and the validation rows of the same split, for it needs none to
calibrate; both answer the same test rows. A table of your own is FILE:TARGET, as in
`houses.csv:SalePrice`.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import tenfold
from tenfold.core.settings import Reading, resolve
from tenfold.data.dataset import Dataset
from tenfold.data.split import Split, split
from tenfold.learners import LEARNERS

TOYS = {
    "digits": load_digits,
    "breast_cancer": load_breast_cancer,
    "wine": load_wine,
    "diabetes": load_diabetes,
}
SEEDS = 10
"""Of the small sets, where one row of the test part is up to two points."""
PEERS: dict[str, tuple[Any, ...]] = {
    "forest": (RandomForestClassifier(random_state=0), RandomForestRegressor(random_state=0)),
    "neighbors": (KNeighborsClassifier(), KNeighborsRegressor()),
    "logistic": (LogisticRegression(max_iter=1000),),
    "linear": (LinearRegression(),),
    "bayes": (GaussianNB(), MultinomialNB(), BernoulliNB(), BernoulliNB(binarize=0.5)),
}


def main() -> None:
    """Print one row per data set and learner: means over the seeds of split and fit."""
    print("| data | learner | seeds | score | by hand | peer | difference, points (sd) |")
    print("|---|---|---|---|---|---|---|")
    for name, data, frame, target in _data():
        seeds = range(SEEDS if name in TOYS else 1 if name == "mnist" else 3)
        for learner in (name for name in PEERS if data.task.kind in LEARNERS[name].tasks):
            pairs = [_both(learner, data, frame, target, seed) for seed in seeds]
            ours, theirs = (np.array(scores) for scores in list(zip(*pairs, strict=True))[:2])
            apart = 100 * (ours - theirs)
            spread = f" ({apart.std(ddof=1):.2f})" if len(pairs) > 1 else ""
            print(
                f"| {name} | `{learner}` | {len(pairs)} | {ours.mean():.4f} | {theirs.mean():.4f} "
                f"| `{pairs[0][2]}` | {apart.mean():+.2f}{spread} |",
                flush=True,
            )


def _both(
    learner: str, data: Dataset, frame: pd.DataFrame | None, target: str, seed: int
) -> tuple[float, float, str]:
    with TemporaryDirectory() as runs:
        run = tenfold.train(data, learner=learner, seed=seed, out=Path(runs))
    name = "accuracy" if data.labels else "r2"
    score = getattr(run.evaluation, name).value
    size = resolve({"learner": learner}, table=frame is not None).validation_size
    rows = split(data, seed=seed, validation_size=size)
    return score, *max(_peers(learner, data, frame, target, rows))


def _data() -> Iterator[tuple[str, Dataset, pd.DataFrame | None, str]]:
    for name, load in TOYS.items():
        frame = load(as_frame=True).frame
        yield name, tenfold.load(frame, reading=Reading(target="target")), frame, "target"
    for argument in sys.argv[1:]:
        path, _, target = argument.rpartition(":")
        messages = dict(sep="\t", header=None, quoting=csv.QUOTE_NONE)
        form: Any = messages if path.endswith("tsv") else {}
        frame = pd.DataFrame(pd.read_csv(path, **form))
        frame.columns = frame.columns.astype(str)
        data = tenfold.load(path, reading=Reading(target=target))
        assert len(data) == len(frame)
        yield Path(path).stem, data, frame, target
    yield "mnist", tenfold.load("mnist"), None, ""


def _peers(
    learner: str, data: Dataset, frame: pd.DataFrame | None, target: str, rows: Split
) -> Iterator[tuple[float, str]]:
    fitted = np.concatenate([rows.train, rows.validation])
    if frame is None:
        cells: Any = np.asarray(data.x).reshape(len(data), -1) / np.float32(255)
    else:
        cells = frame.drop(columns=target)
    known, asked = (cells[r] if frame is None else cells.iloc[r] for r in (fitted, rows.test))
    for peer in PEERS[learner]:
        if is_classifier(peer) != (data.task.kind == "classification"):
            continue
        counts = isinstance(peer, MultinomialNB | BernoulliNB)
        front = FunctionTransformer() if frame is None else _front(cells, scaled=not counts)
        model: Any = make_pipeline(front, peer)
        try:
            model.fit(known, data.y[fitted])
        except (TypeError, ValueError):
            if learner != "bayes":  # its kinds: one counts, one wants no sparse columns
                raise
            continue
        yield model.score(asked, data.y[rows.test]), type(peer).__name__


def _front(x: pd.DataFrame, *, scaled: bool) -> Any:
    numbers = x.select_dtypes("number").columns
    words = [name for name in x.columns.difference(numbers) if x[name].nunique() > len(x) / 5]
    labels = x.columns.difference(numbers).difference(words)
    steps = [SimpleImputer(strategy="median"), *([StandardScaler()] if scaled else [])]
    return make_column_transformer(
        (make_pipeline(*steps), numbers),
        (OneHotEncoder(handle_unknown="ignore"), labels),
        *((TfidfVectorizer(), name) for name in words),
        sparse_threshold=0.0 if not words else 0.3,
    )


if __name__ == "__main__":
    main()
