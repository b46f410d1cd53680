"""Your own pictures: a folder with one folder for each label. `python pictures.py [FOLDER]`.

Without a folder it draws one: rings, boxes and crosses of any colour, size and place.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import tenfold


def draw(label: str, rng: np.random.Generator) -> Image.Image:
    """One picture of 32 x 32 pixels."""
    paper, ink = (tuple(rng.integers(*ends, 3).tolist()) for ends in ((170, 256), (0, 120)))
    picture = Image.new("RGB", (32, 32), paper)
    x, y = rng.integers(3, 13, 2).tolist()
    end_x, end_y = x + int(rng.integers(12, 17)), y + int(rng.integers(12, 17))
    pen = ImageDraw.Draw(picture)
    if label == "ring":
        pen.ellipse((x, y, end_x, end_y), outline=ink, width=2)
    elif label == "box":
        pen.rectangle((x, y, end_x, end_y), outline=ink, width=2)
    else:
        pen.line((x, y, end_x, end_y), fill=ink, width=2)
        pen.line((x, end_y, end_x, y), fill=ink, width=2)
    return picture


def draw_folder(folder: Path, n: int = 80) -> None:
    rng = np.random.default_rng(0)
    for label in ("ring", "box", "cross"):
        (folder / label).mkdir(parents=True)
        for i in range(n):
            draw(label, rng).save(folder / label / f"{i}.png")


folder = Path(sys.argv[1]) if sys.argv[1:] else Path("my-pictures")
if not folder.exists():
    draw_folder(folder)
run = tenfold.train(folder, learner="cnn", width=8, epochs=12, batch_size=16)
print("accuracy", run.evaluation.accuracy, "| always one label", run.evaluation.baseline.accuracy)
one = next(path for path in sorted(folder.rglob("*")) if path.is_file())
print(one, tenfold.predict(run, one)[0])
