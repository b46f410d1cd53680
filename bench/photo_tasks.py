"""Whether `auto` chooses well on photos of several kinds, and whether new kinds are unsure.

    python -m bench.photo_tasks FOLDER [TASK ...]

FOLDER has a folder of photos for each label. On it and on drawn pictures (letters that are mirror
images of each other, arrows to the left and to the right, shapes told apart by their colour) `auto`
is compared with `transfer` and with the `cnn` that `auto` tries: `auto` should not be worse than
the better one by more than a standard error. Then each label of FOLDER is left out in turn, and the
share of its photos that are unsure is measured. Writes what it found of each task into
`bench/results/photo_tasks.json`; without TASK all are done.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

import tenfold
from tenfold import Model
from tenfold.build import photo_plan
from tenfold.build.choose import fit_chosen
from tenfold.build.photo_plan import problems_of_pictures
from tenfold.build.photos import PhotoFeatures
from tenfold.build.problem import Problem
from tenfold.core.settings import resolve
from tenfold.data.dataset import Dataset
from tenfold.data.split import Split, hold_out, split

RESULTS = Path(__file__).parent / "results" / "photo_tasks.json"
PX, SAVED_PX = 72, 48
MANY, FEW = 200, 60
"""Pictures of each label: more and fewer than `auto` needs to try a `cnn`."""

Draw = Callable[[ImageDraw.ImageDraw, str, tuple[int, int, int]], None]


def letter(draw: ImageDraw.ImageDraw, label: str, ink: tuple[int, int, int]) -> None:
    middle: Any = ImageFont.load_default(48)
    draw.text((PX / 2, PX / 2), label, ink, middle, anchor="mm")


def arrow(draw: ImageDraw.ImageDraw, label: str, ink: tuple[int, int, int]) -> None:
    points = [(14, 36), (34, 18), (34, 30), (58, 30), (58, 42), (34, 42), (34, 54)]
    if label == "right":
        points = [(PX - x, y) for x, y in points]
    draw.polygon(points, ink)


COLOURS = {"blue": (30, 60, 200), "green": (20, 150, 60), "red": (200, 30, 40)}


def sign(draw: ImageDraw.ImageDraw, label: str, ink: tuple[int, int, int]) -> None:
    """A disc, a square or a triangle, by chance, in the colour of the label."""
    colour = COLOURS[label]
    box = (16, 16, PX - 16, PX - 16)
    form = sum(ink) % 3
    if form == 0:
        draw.ellipse(box, colour)
    elif form == 1:
        draw.rectangle(box, colour)
    else:
        draw.polygon([(36, 12), (60, 58), (12, 58)], colour)


DRAWN: dict[str, tuple[Draw, tuple[str, ...], int]] = {
    "mirrored letters b d p q": (letter, tuple("bdpq"), MANY),
    "few mirrored letters b d p q": (letter, tuple("bdpq"), FEW),
    "arrows to the left and right": (arrow, ("left", "right"), 2 * MANY),
    "signs by colour": (sign, tuple(COLOURS), MANY),
}


def drawn(folder: Path, draw: Draw, labels: tuple[str, ...], n: int) -> Path:
    """A folder of `n` pictures of each label: in chance colours, turned and moved a little."""
    rng = np.random.default_rng(0)
    for label in labels:
        (folder / label).mkdir(parents=True)
        for i in range(n):
            ground, ink = (tuple(rng.integers(0, 256, 3).tolist()) for _ in range(2))
            image = Image.new("RGB", (PX, PX), ground)
            draw(ImageDraw.Draw(image), label, ink)
            turned = image.rotate(
                float(rng.uniform(-12, 12)),
                Image.Resampling.BILINEAR,
                translate=tuple(rng.integers(-6, 7, 2).tolist()),
                fillcolor=ground,
            )
            noise = rng.normal(0, 8, (PX, PX, 3))
            blurred = np.asarray(turned.filter(ImageFilter.GaussianBlur(0.7)), np.float64)
            pixels = np.clip(blurred + noise, 0, 255).astype(np.uint8)
            small = Image.fromarray(pixels).resize((SAVED_PX, SAVED_PX))
            small.save(folder / label / f"{i}.jpg", quality=90)
    return folder


def right_by(problem: Problem, model: Model) -> NDArray[np.float64]:
    data, test = problem.data.seen_as(model.contract.input), problem.split.test
    answers: Any = model.answer(data.x[test])
    return np.asarray(answers.outputs[0].argmax(axis=1) == data.y[test], np.float64)


def compared(folder: Path) -> dict[str, Any]:
    """The accuracies of `auto`, `transfer` and `cnn` on one split, and how far `auto` is behind."""
    data = tenfold.load(folder)
    parts = split(data, seed=0, test_size=0.25, validation_size=0.1)
    settings = resolve({"learner": "auto"})
    problem = Problem(data, parts, settings, features=PhotoFeatures(), refit=True)
    built = fit_chosen(problem)
    chosen = built.contract.learner
    right = {"auto": right_by(problem, Model(built.content))}
    for candidate in candidates(problem):
        name = candidate.settings.learner
        same = name == chosen
        right[name] = (
            right["auto"] if same else right_by(problem, Model(fit_chosen(candidate).content))
        )
    best = max(("transfer", "cnn"), key=lambda name: right[name].mean())
    differences = right[best] - right["auto"]
    error = float(differences.std() / np.sqrt(len(differences)))
    return {
        "labels": len(data.labels),
        "training pictures": len(parts.train),
        "test pictures": len(parts.test),
        "chosen": chosen,
        **{name: round(float(one.mean()), 4) for name, one in right.items()},
        "behind": round(float(differences.mean()), 4),
        "standard error": round(error, 4),
    }


def candidates(problem: Problem) -> list[Problem]:
    """`transfer` and the `cnn`, also where there are so few pictures that `auto` tries no `cnn`."""
    few, photo_plan.MANY = photo_plan.MANY, 0
    try:
        found = problems_of_pictures(problem)
    finally:
        photo_plan.MANY = few
    return [one for one in found if one.settings.learner in ("transfer", "cnn")]


def left_out(data: Dataset, features: PhotoFeatures) -> dict[str, Any]:
    """The share of the photos of each label that are unsure for a model of the other labels."""
    shares = dict[str, Any]()
    none = np.empty(0, np.int64)
    for code, label in enumerate(data.labels):
        known, rows = np.flatnonzero(data.y != code), np.flatnonzero(data.y == code)
        names = tuple(name for name in data.labels if name != label)
        # The photos that are left out need some code, which nothing reads.
        codes = np.where(data.y == code, 0, data.y - (data.y > code))
        others = replace(data, y=codes, labels=names)
        train, validation = hold_out(data, known, 0.1, 0)
        parts = Split(train, validation, none, none)
        settings = resolve({"learner": "transfer"})
        built = fit_chosen(Problem(others, parts, settings, features=features, refit=True))
        answers: Any = Model(built.content).answer(data.x[rows])
        shares[label] = round(float(answers.unsure.mean()), 4)
    return shares


def main(folder: str, *asked: str) -> None:
    own = "the photos of FOLDER"
    for task in asked or (own, *DRAWN, LEFT_OUT):
        with tempfile.TemporaryDirectory() as temporary:
            if task == LEFT_OUT:
                found = left_out(tenfold.load(folder).as_photos(), PhotoFeatures())
            elif task == own:
                found = compared(Path(folder))
            else:
                found = compared(drawn(Path(temporary) / "drawn", *DRAWN[task]))
        written = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(written | {task: found}, indent=1) + "\n")
        print(task, found, flush=True)


LEFT_OUT = "unsure, if the label is left out"


if __name__ == "__main__":
    main(*sys.argv[1:])
