"""Texts beside numbers: `python -m bench.texts sms_spam.tsv [LEARNER ...]`.

Of 3,000 messages, three tables are made: whether a message is spam; and a label and a value that
depend on two numbers, a category and words of the message. Prints the log loss, or RMSE, of each
learner on the test rows, and its processor time.
"""

import sys
import time
import warnings

import numpy as np
import pandas as pd

import tenfold
from tenfold.build.choose import fit_chosen
from tenfold.core.settings import Reading, resolve
from tenfold.experiments.run_data import decided, problem_of
from tenfold.learners.choice import row_losses
from tenfold.model.model import Model

LEARNERS = ("baseline", "logistic", "linear", "bayes", "boosting", "forest", "network")


def tables(path: str) -> dict[str, pd.DataFrame]:
    messages = pd.read_csv(path, sep="\t", header=None, quoting=3, names=["y", "words"])
    messages = messages.sample(3_000, random_state=0)
    words, rng = messages["words"].astype(str), np.random.default_rng(0)
    frame = pd.DataFrame({"words": words.to_numpy(), "c": rng.choice(["p", "q", "r"], len(words))})
    frame["a"], frame["b"] = rng.uniform(-2, 2, (2, len(words)))
    said = words.str.lower().str.contains("call|free|txt").to_numpy()
    value = np.sin(2 * frame["a"]) + frame["a"] * frame["b"] + (frame["c"] == "p") + 1.5 * said
    value += rng.normal(0, 0.5, len(words)) - 0.7 * words.str.contains("you").to_numpy()
    label = np.where(value > value.median(), "up", "down")
    return {
        "spam": messages[["words", "y"]],
        "label of words and numbers": frame.assign(y=label),
        "value of words and numbers": frame.assign(y=value),
    }


def main() -> None:
    warnings.filterwarnings("ignore")
    for name, frame in tables(sys.argv[1]).items():
        reading = Reading(columns={"words": "text"})
        data = tenfold.load(frame, target="y", reading=reading)
        for learner in sys.argv[2:] or LEARNERS:
            if learner == ("linear" if data.labels else "logistic") or (
                learner == "bayes" and not data.labels
            ):
                continue
            settings = resolve({"learner": learner}, table=True, n_rows=len(data))
            problem = problem_of(decided(data, settings), settings)
            start = time.process_time()
            model = Model(fit_chosen(problem).content)
            seconds = time.process_time() - start
            test = problem.split.test
            found = model.answer(problem.data.x[test]).outputs[0]
            loss = row_losses(found if data.labels else found.ravel(), problem.data.y[test]).mean()
            loss = loss if data.labels else np.sqrt(loss)
            took = model.contract.learner if learner == "auto" else ""
            print(f"{name} | {learner} {took} | {loss:.4g} | {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
