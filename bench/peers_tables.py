"""pandas, scikit-learn and LightGBM on a table, for `bench.tables`: `peers_tables.py WHAT CSV`.

Runs in an environment of its own, without Tenfold, and prints one line of JSON: seconds and
processor seconds of each stage, and the peak memory. Rows are split as Tenfold splits them, a
quarter to test and a tenth of the others to validate.
"""

import json
import resource
import sys
import time
from pathlib import Path

import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]

what, path = sys.argv[1], Path(sys.argv[2])
seconds: dict[str, float] = {}
cpu_seconds: dict[str, float] = {}
began = time.perf_counter(), time.process_time()


def ended(stage: str) -> None:
    """The stage ends here, and the next one begins."""
    global began
    now = time.perf_counter(), time.process_time()
    seconds[stage], cpu_seconds[stage] = (round(b - a, 3) for a, b in zip(began, now, strict=True))
    began = now


def read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


if what in ("csv", "parquet"):
    read(path.with_name(f"table-10000.{what}"))
    began = time.perf_counter(), time.process_time()
    read(path.with_suffix(f".{what}"))
    ended("load")
else:
    from lightgbm import LGBMClassifier, early_stopping  # type: ignore[import-not-found]
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, log_loss
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    began = time.perf_counter(), time.process_time()
    frame = read(path)
    frame["day"] = pd.to_datetime(frame["day"]).astype("int64") / 1e18
    y = frame.pop("y")
    ended("load")
    names = frame.select_dtypes(exclude="number").columns.tolist()
    numbers = [name for name in frame if name not in names]
    x, x_test, y, y_test = train_test_split(frame, y, test_size=0.25, stratify=y, random_state=0)
    x, x_val, y, y_val = train_test_split(x, y, test_size=0.1, stratify=y, random_state=0)
    if what == "scikit-learn logistic":
        model = make_pipeline(
            make_column_transformer(
                (OneHotEncoder(handle_unknown="ignore"), names),
                (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            ),
            LogisticRegression(max_iter=1_000),
        )
        model.fit(x, y)
    else:
        kinds = {name: pd.CategoricalDtype(sorted(x[name].unique())) for name in names}
        x, x_val, x_test = (part.astype(kinds) for part in (x, x_val, x_test))
        if what == "LightGBM":
            model = LGBMClassifier(n_estimators=1_000, verbose=-1)
            stop = early_stopping(20, verbose=False)
            model.fit(x, y, eval_set=[(x_val, y_val)], callbacks=[stop])
        else:
            model = HistGradientBoostingClassifier(max_iter=1_000, early_stopping=True)
            model.fit(x, y, X_val=x_val, y_val=y_val)
    ended("train")
    answers = model.predict_proba(x_test)
    log_loss(y_test, answers), accuracy_score(y_test, model.classes_[answers.argmax(axis=1)])
    ended("evaluate")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": peak}))
