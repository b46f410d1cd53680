"""`NetworkClassifier`, `NetworkRegressor`: the learner `network` as scikit-learn estimators.

The estimators are thin adapters around `choose_features.fit_features`, which makes models in the
same way as a run. `tenfold` imports this module only when an estimator is used, because it imports
scikit-learn.
"""

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from tenfold.build.calibration import MIN_ROWS
from tenfold.build.choose_features import fit_features, held_out
from tenfold.build.onnx.fronts import encode_features
from tenfold.build.problem import Prepared
from tenfold.core.contract import FeaturesInput
from tenfold.core.errors import DataError
from tenfold.core.settings import Settings, checked, scaled_learning_rate
from tenfold.core.task import Classification, Regression, Task, TaskKind
from tenfold.learners import Examples
from tenfold.model.model import Model

MAX_COMPARED = 1_000
"""Number of rows on which each fit compares its graph with its network."""

NAMES = {
    "hidden": "hidden_layer_sizes",
    "epochs": "max_epochs",
    "validation_size": "validation_fraction",
}
"""Settings that have another name in scikit-learn or among its users."""


class _NetworkEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The common part of both estimators."""

    _task: ClassVar[TaskKind]

    def __init__(
        self,
        hidden_layer_sizes: tuple[int, ...] = (128,),
        *,
        learning_rate: float | None = None,
        max_epochs: int = 200,
        batch_size: int = 128,
        weight_decay: float = 0.0,
        dropout: float = 0.0,
        validation_fraction: float = 0.1,
        patience: int | None = 20,
        learner: str = "network",
        minutes: float = 1.0,
        random_state: Any = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.learning_rate = learning_rate
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.learner = learner
        self.minutes = minutes
        self.random_state = random_state

    @property
    def loss_curve_(self) -> list[float]:
        """The training loss of each epoch."""
        check_is_fitted(self)
        return [epoch.loss for epoch in self.history_]

    def _settings(self) -> Settings:
        drawn = check_random_state(self.random_state).randint(2**32, dtype=np.uint32)
        asked = {
            "seed": int(drawn),
            "learner": self.learner,
            "minutes": self.minutes,
            "hidden": np.atleast_1d(self.hidden_layer_sizes).tolist(),
            "epochs": self.max_epochs,
            "batch_size": self.batch_size,
            "weight_decay": self.weight_decay,
            "dropout": self.dropout,
            "validation_size": self.validation_fraction,
            "patience": self.patience if self.validation_fraction else None,
            "learning_rate": 1.0 if self.learning_rate is None else self.learning_rate,
            "schedule": "linear" if self._task == "regression" else "constant",
            "average": 0.998,
            "shift_px": 0,
        }
        return checked(Settings, asked, NAMES)

    def _suited(self, settings: Settings, n_train: int, n_held: int) -> Settings:
        """The settings, adapted to the number of rows (docs/guide/estimators.md)."""
        # Without a temperature, nothing would undo it.
        update: dict[str, Any] = {"label_smoothing": 0.05 if n_held >= MIN_ROWS else 0.0}
        if self.learning_rate is None:
            # With one step per epoch there are few steps, and their gradients are exact.
            whole = n_train <= settings.batch_size or self._task == "regression"
            rate = 0.006 if whole else 0.001
            rate = scaled_learning_rate(rate, settings.hidden) if settings.hidden else 5 * rate
            update["learning_rate"] = rate
        return settings.model_copy(update=update)

    def _rows(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[np.float64] | None]:
        """The checked rows and their weights, without rows of weight 0."""
        numeric = self._task == "regression"
        x, answers = validate_data(self, X, y, dtype=np.float64, y_numeric=numeric)
        if sample_weight is None:
            return x, answers, None
        weight = _check_sample_weight(sample_weight, x, dtype=np.float64, ensure_non_negative=True)
        kept = weight > 0
        return x[kept], answers[kept], weight[kept]

    def _learn(
        self,
        x: NDArray[np.float64],
        y: NDArray[Any],
        weight: NDArray[np.float64] | None,
        labels: tuple[str, ...] = (),
    ) -> None:
        """Fit to rows (n, d) and label codes or targets (n,), calibrate, write the graph and
        compare it with the learner.

        `weight` is positive. `labels` are the names of the codes.
        """
        settings = self._settings()
        if len(x) <= settings.batch_size:
            x, y, weight = _merged(x, y, weight)
        train, held = held_out(y, settings)
        settings = self._suited(settings, len(train), len(held))
        of_train = None if weight is None else weight[train]
        columns = _scales(x[train], of_train)
        encoding = encode_features(FeaturesInput(n_features=x.shape[1]), *columns)
        task: Task = Classification(labels)
        if not labels:
            (mean,), (deviation,) = _scales(y[train, None], of_train)
            task = Regression(mean=float(mean), scale=float(deviation))
            y = ((y - mean) / deviation).astype(np.float32)
        shares = None if weight is None else (weight / weight[train].mean()).astype(np.float32)
        examples, validation = (
            Examples(encoding.encode(x[rows]), y[rows], None if shares is None else shares[rows])
            for rows in (train, held)
        )
        compared = x[held if held.size else train][:MAX_COMPARED]
        prepared = Prepared(
            name=type(self).__name__,
            task=task,
            train=examples,
            validation=validation if held.size else None,
            encoding=encoding,
            compared=compared,
            keys=tuple(f"row {row}" for row in range(len(compared))),
        )
        built = fit_features(prepared, settings)
        # A search fits many estimators, and one Ctrl-C has to end all of them.
        if built.interrupted:
            raise KeyboardInterrupt
        self.onnx_ = built.content
        self.model_ = Model(self.onnx_)
        self.history_ = built.history
        self.n_iter_ = len(built.history)
        self.learner_ = built.contract.learner
        self.candidates_ = built.candidates

    def _answer(self, X: ArrayLike) -> NDArray[np.float32]:
        """The model's probabilities (n, n_classes) or values (n,)."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        return self.model_.answer(x).outputs[0]

    def __getstate__(self) -> dict[str, Any]:
        """Store the model as its file's bytes, because a session cannot be copied."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "model_"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "onnx_" in state:
            self.model_ = Model(self.onnx_)


class NetworkClassifier(ClassifierMixin, _NetworkEstimator):  # type: ignore[misc]
    """A classifier: a network of dense layers.

    Columns are scaled inside the model. A part of the rows decides when to stop, and calibrates the
    probabilities by a temperature. `predict` runs the ONNX graph in `model_`.

    Args:
      hidden_layer_sizes: Number of neurons of each hidden layer. With () the model is a softmax
        regression.
      learning_rate: Learning rate of Adam. None: 0.001 for one layer of 128 neurons, adapted to
        other sizes, and six times as much if each step uses all rows.
      max_epochs: Maximum number of epochs. One epoch is one pass over the training rows.
      batch_size: Number of rows in each step. With no more training rows than this, each step uses
        all rows, and integer sample weights are equivalent to repeated rows.
      weight_decay: Decoupled weight decay of the kernels, as in AdamW.
      dropout: Share of each hidden layer's outputs that is set to 0 during training.
      validation_fraction: Share of the rows that is held out, stratified, for early stopping and
        calibration. If these are fewer than 10 rows, all rows are used for training instead, for
        all epochs.
      patience: Number of epochs without a lower validation loss after which training stops. The
        weights of the best epoch are kept. None: train all epochs and keep the last weights.
      class_weight: Weight of each class as a dict, or `balanced`, as in scikit-learn. It is
        multiplied with the sample weights. Probabilities then refer to the weighted rows.
      learner: `network`, another learner of tables with its own defaults, or `auto`, which keeps
        the best of several or a vote of them, as `tenfold train` does. Of the parameters above, all
        but `validation_fraction` and `class_weight` apply only to networks.
      minutes: Estimated time for `auto` on two cores. It determines which learners are tried by a
        table of costs, never by the clock.
      random_state: Seed of the initial weights, the order of rows and the held-out rows. The same
        int gives the same model. None draws from NumPy's global generator.

    Attributes:
      classes_: The classes (n_classes,), sorted.
      n_features_in_, feature_names_in_: As in scikit-learn.
      model_: The model, a `tenfold.Model`. Its input is float64 (n, n_features).
      onnx_: The content of the model file. Written to a file, it can be read by
        `tenfold.Model.open` or by any ONNX runtime.
      history_: A record for each epoch. `loss_curve_` contains only the training losses.
      n_iter_: Number of trained epochs. It is 0 for learners without epochs.
      learner_: The learner of the model. With `auto` it is the best one, or `vote`.
      candidates_: With `auto` the candidates, best first, each with its learner, its loss, its
        difference from the best loss, and its weight in the vote. Otherwise it is empty.

    Raises:
      SettingsError: In `fit`, if a parameter is invalid, or the learner is for another task.
      DataError: In `fit`, if there is a single class.

    Example:
      >>> from tenfold import NetworkClassifier
      >>> fitted = NetworkClassifier(max_epochs=50).fit([[0.0], [1.0]] * 5, ["no", "yes"] * 5)
      >>> fitted.predict([[0.1], [0.9]]).tolist()
      ['no', 'yes']
    """

    _task = "classification"

    def __init__(
        self,
        hidden_layer_sizes: tuple[int, ...] = (128,),
        *,
        learning_rate: float | None = None,
        max_epochs: int = 200,
        batch_size: int = 128,
        weight_decay: float = 0.5,
        dropout: float = 0.0,
        validation_fraction: float = 0.1,
        patience: int | None = 20,
        class_weight: Any = None,
        learner: str = "network",
        minutes: float = 1.0,
        random_state: Any = 0,
    ) -> None:
        super().__init__(
            hidden_layer_sizes,
            learning_rate=learning_rate,
            max_epochs=max_epochs,
            batch_size=batch_size,
            weight_decay=weight_decay,
            dropout=dropout,
            validation_fraction=validation_fraction,
            patience=patience,
            learner=learner,
            minutes=minutes,
            random_state=random_state,
        )
        self.class_weight = class_weight

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to rows (n, n_features) of numbers and their classes (n,), numbers or strings."""
        x, y, weight = self._rows(X, y, sample_weight)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            found = self.classes_.tolist()
            raise DataError(
                "E612",
                "The target has only one class",
                expected="at least two classes",
                classes=found,
            )
        if self.class_weight is not None:
            of_class = compute_class_weight(
                self.class_weight, classes=self.classes_, y=y, sample_weight=weight
            )
            weight = of_class[codes] * (1 if weight is None else weight)
        self._learn(x, codes, weight, tuple(map(str, self.classes_.tolist())))
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Probabilities (n, n_classes), in the order of `classes_`."""
        return self._answer(X)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class of each row (n,)."""
        codes = self._answer(X).argmax(axis=1)
        best: NDArray[Any] = self.classes_[codes]
        return best


class NetworkRegressor(RegressorMixin, _NetworkEstimator):  # type: ignore[misc]
    """A regressor: a network of dense layers.

    The target is scaled inside the model and predicted in its own unit, as float32.
    `model_.answer(x)` also has `low` and `high`: an interval that contains the truth in 90 of 100
    cases, calibrated on the held-out rows (infinite if there are none).

    Args, attributes and errors are those of `NetworkClassifier`, without classes and their weights,
    and `weight_decay` is 0 by default. The learning rate starts at 0.006, independent of the number
    of steps, and falls linearly to 0 over `max_epochs`.

    Example:
      >>> from tenfold import NetworkRegressor
      >>> fitted = NetworkRegressor().fit([[0.0], [1.0], [2.0]], [10.0, 20.0, 30.0])
      >>> [round(float(value)) for value in fitted.predict([[0.0], [2.0]])]
      [10, 30]
    """

    _task = "regression"

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to rows (n, n_features) of numbers and their targets (n,)."""
        x, y, weight = self._rows(X, y, sample_weight)
        self._learn(x, y.astype(np.float64), weight)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float32]:
        """The value of each row (n,), in the target's unit."""
        return self._answer(X)


def _merged(
    x: NDArray[np.float64], y: NDArray[Any], weight: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[np.float64]]:
    """Merge equal rows into one with the sum of their weights, in a fixed order.

    If every step uses all rows, this changes only the rounding, which training magnifies. Merged,
    the same rows give the same model bit for bit, whether they are repeated or weighted, and in any
    order.
    """
    rows = np.column_stack([x, y])
    _, first, of = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return x[first], y[first], np.bincount(of, weight).astype(np.float64)


def _scales(
    columns: NDArray[np.float64], weight: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each column, float64 (d,). For a constant column the latter is
    1."""
    fitted = StandardScaler().fit(columns, sample_weight=weight)
    return fitted.mean_, fitted.scale_
