"""In scikit-learn: a pipeline, cross-validation, and the model file at the end of it."""

from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

import tenfold

x, y = load_digits(return_X_y=True)
pipeline = make_pipeline(
    PCA(32, random_state=0), tenfold.NetworkClassifier((64,), max_epochs=30, random_state=0)
)
scores = cross_val_score(pipeline, x, y, cv=3)
print("accuracy of three folds", scores.round(4), "mean", scores.mean().round(4))

fitted = pipeline.fit(x, y)
print("read", fitted.predict(x[:5]), "true", y[:5])
network = fitted[-1]  # what follows the pipeline's other steps is one ONNX file
Path("network.onnx").write_bytes(network.onnx_)
print("model file", tenfold.Model.open("network.onnx").contract.input)
