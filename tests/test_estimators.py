"""The scikit-learn estimators."""

from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from tenfold import NetworkClassifier, NetworkRegressor


@parametrize_with_checks([NetworkClassifier(), NetworkRegressor()])  # type: ignore[untyped-decorator]
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)
