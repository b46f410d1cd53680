"""The estimators beside scikit-learn's own networks: `python -m bench.estimators`.

Five folds, defaults on both sides; scikit-learn's get the scaled columns that ours scale inside.
"""

import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tenfold import NetworkClassifier, NetworkRegressor

CASES: Sequence[tuple[str, Callable[..., Any], Sequence[Any]]] = (
    ("digits", load_digits, (NetworkClassifier(), MLPClassifier(random_state=0))),
    ("breast_cancer", load_breast_cancer, (NetworkClassifier(), MLPClassifier(random_state=0))),
    (
        "diabetes",
        load_diabetes,
        (
            NetworkRegressor(),
            MLPRegressor(random_state=0),
            TransformedTargetRegressor(MLPRegressor(random_state=0), transformer=StandardScaler()),
        ),
    ),
)


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)  # MLP* stop at 200 epochs and say so
    names = set(sys.argv[1:]) or {name for name, _, _ in CASES}
    print("| data | estimator | score, mean of 5 folds | sd | seconds |\n|---|---|---|---|---|")
    for name, load, estimators in CASES:
        x, y = load(return_X_y=True)
        folds = (KFold if name == "diabetes" else StratifiedKFold)(5, shuffle=True, random_state=0)
        for estimator in estimators if name in names else ():
            ours = type(estimator).__module__.startswith("tenfold")
            asked = estimator if ours else make_pipeline(StandardScaler(), estimator)
            start = time.perf_counter()
            scores = cross_val_score(asked, x, y, cv=folds)
            seconds = time.perf_counter() - start
            kind = f"`{type(estimator).__name__}`"
            if isinstance(estimator, TransformedTargetRegressor):
                kind = "`MLPRegressor`, target scaled too"
            row = f"{scores.mean():.4f} | {scores.std():.4f} | {seconds:.1f} |"
            print(f"| {name} | {kind} | {row}", flush=True)


if __name__ == "__main__":
    main()
