"""LightGBM with its defaults, asked by `bench.boosting`: `python peers_boosting.py FOLDER`.

Runs in an environment of its own, without Tenfold. For each `NAME.npz` of the folder it fits to the
rows `x`, `y` and answers the rows `asked`: `NAME.answers.npy` has probabilities or values, and one
line of JSON per file says the seconds of the fit and of the answers.
"""

import json
import sys
import time
from pathlib import Path

import lightgbm  # type: ignore[import-not-found]
import numpy as np

for path in sorted(Path(sys.argv[1]).glob("*.npz")):
    rows = np.load(path)
    is_labels = rows["y"].dtype.kind == "i"
    kind = lightgbm.LGBMClassifier if is_labels else lightgbm.LGBMRegressor
    options = {"n_estimators": int(rows["n_trees"])} if "n_trees" in rows else {}
    model = kind(n_jobs=int(rows["threads"]), verbose=-1, **options)
    start = time.perf_counter()
    model.fit(rows["x"], rows["y"], categorical_feature=rows["categories"].tolist())
    fitted = time.perf_counter()
    answers = model.predict_proba(rows["asked"]) if is_labels else model.predict(rows["asked"])
    ended = time.perf_counter()
    if is_labels:  # a column for each label, also for those without a training row
        wide = np.zeros((len(answers), int(rows["n_labels"])))
        wide[:, model.classes_] = answers
        answers = wide
    np.save(path.with_suffix(".answers.npy"), answers)
    seconds = {"name": path.stem, "fit": fitted - start, "answers": ended - fitted}
    print(json.dumps(seconds), flush=True)
