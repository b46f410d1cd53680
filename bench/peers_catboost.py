"""CatBoost with its defaults, asked by `bench.auto_catboost`: `python peers_catboost.py FOLDER`.

Runs in an environment of its own, without Tenfold. For each `NAME.npz` of the folder it fits to the
rows `x`, `y` and answers the rows `asked`: `NAME.answers.npy` has probabilities or values.
"""

import sys
from pathlib import Path

import catboost  # type: ignore[import-not-found]
import numpy as np

for path in sorted(Path(sys.argv[1]).glob("*.npz")):
    rows = np.load(path)
    is_labels, categories = rows["y"].dtype.kind == "i", rows["categories"].tolist()
    kind = catboost.CatBoostClassifier if is_labels else catboost.CatBoostRegressor
    model = kind(
        thread_count=int(rows["threads"]), verbose=False, allow_writing_files=False, random_seed=0
    )
    x, asked = (rows[name].astype(object) for name in ("x", "asked"))
    for column in categories:
        x[:, column], asked[:, column] = (part[:, column].astype(int) for part in (x, asked))
    model.fit(x, rows["y"], cat_features=categories)
    answers = model.predict_proba(asked) if is_labels else model.predict(asked)
    if is_labels:  # a column for each label, also for those without a training row
        wide = np.zeros((len(answers), int(rows["n_labels"])))
        wide[:, model.classes_] = answers
        answers = wide
    np.save(path.with_suffix(".answers.npy"), answers)
