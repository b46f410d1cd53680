"""LightGBM or CatBoost with its defaults, asked by `bench.boosting` and `bench.network`:
`python peers_boosting.py FOLDER [catboost]`.

Runs in an environment of its own, without Tenfold. For each `NAME.npz` of the folder it fits to the
rows `x`, `y` and answers the rows `asked`: `NAME.answers.npy` has probabilities or values, and one
line of JSON per file says the seconds of the fit and of the answers.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def lightgbm(rows: Any, *, is_labels: bool) -> Any:
    """LightGBM fitted to the rows."""
    import lightgbm as peer  # type: ignore[import-not-found]

    kind = peer.LGBMClassifier if is_labels else peer.LGBMRegressor
    options = {"n_estimators": int(rows["n_trees"])} if "n_trees" in rows else {}
    model = kind(n_jobs=int(rows["threads"]), verbose=-1, **options)
    return model.fit(rows["x"], rows["y"], categorical_feature=rows["categories"].tolist())


def catboost(rows: Any, *, is_labels: bool) -> Any:
    """CatBoost fitted to the rows, whose categories are words to it."""
    import catboost as peer  # type: ignore[import-not-found]

    kind = peer.CatBoostClassifier if is_labels else peer.CatBoostRegressor
    model = kind(thread_count=int(rows["threads"]), verbose=0, allow_writing_files=False)
    categories = rows["categories"].tolist()
    return model.fit(words(rows["x"], categories), rows["y"], cat_features=categories)


def words(x: NDArray[np.float64], categories: list[int]) -> NDArray[Any]:
    """The cells, those of categories as whole numbers, which CatBoost takes for words."""
    if not categories:
        return x
    mixed = x.astype(object)
    mixed[:, categories] = x[:, categories].astype(int)
    return mixed


with_catboost = "catboost" in sys.argv[2:]
for path in sorted(Path(sys.argv[1]).glob("*.npz")):
    rows = np.load(path)
    is_labels = rows["y"].dtype.kind == "i"
    start = time.perf_counter()
    model = (catboost if with_catboost else lightgbm)(rows, is_labels=is_labels)
    fitted = time.perf_counter()
    asked = rows["asked"]
    if with_catboost:
        asked = words(asked, rows["categories"].tolist())
    answers = model.predict_proba(asked) if is_labels else model.predict(asked)
    ended = time.perf_counter()
    if is_labels:  # a column for each label, also for those without a training row
        wide = np.zeros((len(answers), int(rows["n_labels"])))
        wide[:, model.classes_] = answers
        answers = wide
    np.save(path.with_suffix(".answers.npy"), answers)
    seconds = {"name": path.stem, "fit": fitted - start, "answers": ended - fitted}
    print(json.dumps(seconds), flush=True)
