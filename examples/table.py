"""A table: from a CSV file to a model that answers rows by the names of their columns."""

import pandas as pd
from sklearn.datasets import load_breast_cancer

import tenfold

source = load_breast_cancer(as_frame=True)
rows = source.data.assign(kind=source.target.map({0: "malignant", 1: "benign"}))
rows.to_csv("tumours.csv", index=False)

# A missed malignant one counts as much as five false alarms.
run = tenfold.train(
    "tumours.csv",
    target="kind",
    learner="logistic",
    positive="malignant",
    cost={"false_negative": 5},
)
scores = run.evaluation
print("accuracy", scores.accuracy, "| always one label", scores.baseline.accuracy)
print("malignant:", scores.average_precision, "average precision; from", scores.threshold)
print(pd.DataFrame(scores.confusion, index=scores.labels, columns=scores.labels))

answers = run.model.predict(rows.drop(columns="kind").head(3))  # a frame, a file or dicts
for answer, true in zip(answers, rows["kind"], strict=False):
    print(answer, "true", true)
