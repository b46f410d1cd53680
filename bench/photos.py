"""What `transfer` is worth on a folder of photos, and what it costs.

    python -m bench.photos FOLDER [OTHERS]

FOLDER has a folder of photos for each label; OTHERS is one with pictures of other things. From five
draws of 20 and of 50 photos of each label the model is made, and it is measured on all others;
beside it stands what is usually done by hand with the same features, scikit-learn's logistic
regression: as it comes (C = 1), with C = 0.1, and with C = 0.1 on standardised features. Prints
what it found and writes `bench/results/photos.json`.
"""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

import tenfold
from tenfold import Model
from tenfold.build import photos
from tenfold.build.build import fit_model
from tenfold.build.photos import PhotoFeatures
from tenfold.build.problem import Problem
from tenfold.core.errors import TenfoldError
from tenfold.core.settings import resolve
from tenfold.core.systems import usable_cores
from tenfold.data.dataset import Dataset
from tenfold.data.split import Split, hold_out
from tenfold.inputs.pictures.decode import is_picture

RESULTS = Path(__file__).parent / "results" / "photos.json"
DRAWS = 5
OF_EACH = (20, 50)
TIMED = 64


def main(folder: str, others: str | None = None) -> None:
    data = tenfold.load(folder).as_photos()
    accepted: Any = data.input
    features = PhotoFeatures()
    everything = features.of(data.images, np.arange(len(data)), accepted)
    strange = [] if others is None else pictures_below(Path(others))
    found: dict[str, Any] = {"photos": len(data), "labels": len(data.labels), "draws": DRAWS}
    found["others"] = len(strange)
    for n in OF_EACH:
        draws = [measured(data, features, everything, strange, n, seed) for seed in range(DRAWS)]
        found[f"{n} of each"] = {
            name: {"mean": statistics.mean(values), "values": values}
            for name in draws[0]
            if (values := [round(draw[name], 4) for draw in draws])
        }
    found["milliseconds"] = milliseconds(
        np.asarray(data.images[np.arange(min(TIMED, len(data)))]), accepted
    )
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def pictures_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and is_picture(path))


def measured(
    data: Dataset,
    features: PhotoFeatures,
    everything: NDArray[np.float32],
    strange: list[Path],
    n: int,
    seed: int,
) -> dict[str, float]:
    """One draw: the shares of test photos that are right and unsure, and of others unsure."""
    rng = np.random.default_rng(seed)
    drawn = np.sort(
        np.concatenate(
            [rng.permutation(np.flatnonzero(data.y == code))[:n] for code in np.unique(data.y)]
        )
    )
    test = np.setdiff1d(np.arange(len(data)), drawn)
    train, validation = hold_out(data, drawn, 0.1, seed)
    split = Split(train, validation, test, np.empty(0, np.int64))
    settings = resolve({"learner": "transfer", "seed": seed})
    problem = Problem(data, split, settings, features=features, refit=True)  # as `train` does
    model = Model(fit_model(problem).content)
    answers: Any = model.answer(data.x[test])
    shares = {
        "accuracy": float((answers.outputs[0].argmax(axis=1) == data.y[test]).mean()),
        **by_hand(everything, data.y, drawn, test),
        "unsure": float(answers.unsure.mean()),
    }
    if strange:
        shares["others unsure"] = statistics.mean(unsure(model, strange))
    return shares


def by_hand(
    x: NDArray[np.float32], y: NDArray[Any], train: NDArray[np.int64], test: NDArray[np.int64]
) -> dict[str, float]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    ways: dict[str, Any] = {
        "by hand": LogisticRegression(max_iter=1000),
        "by hand, C = 0.1": LogisticRegression(C=0.1, max_iter=1000),
        "by hand, standardised": make_pipeline(
            StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)
        ),
    }
    return {
        name: float(way.fit(x[train], y[train]).score(x[test], y[test]))
        for name, way in ways.items()
    }


def unsure(model: Model, paths: list[Path]) -> list[float]:
    found = []
    for path in paths:
        try:
            answer: Any = model.predict_one(path)
        except TenfoldError:
            continue
        found.append(float(answer.unsure))
    return found


def milliseconds(images: NDArray[np.uint8], accepted: Any) -> dict[str, Any]:
    """Milliseconds of a photo: ours, and ONNX Runtime's own threads on the same pictures."""
    session = photos.open_session(accepted, usable_cores())

    def plain() -> None:
        for image in images:
            session.run(None, {accepted.name: image[None]})

    def ours() -> None:
        PhotoFeatures().of(images, np.arange(len(images)), accepted)

    times: dict[str, Any] = {"cores": usable_cores(), "onnxruntime": onnxruntime.__version__}
    for name, call in (("ONNX Runtime", plain), ("ours", ours)):
        tries = []
        for _ in range(3):
            start = time.perf_counter()
            call()
            tries.append(1e3 * (time.perf_counter() - start) / len(images))
        times[name] = round(min(tries), 2)
    return times


if __name__ == "__main__":
    main(*sys.argv[1:])
