# %% [markdown]
# # A classifier from your own 40 photos
#
# Photograph two things, twenty times each, and put the photos of each into a folder of its own. This notebook makes a model that tells
# them apart, measures it on photos that it has not seen, and shows where it looks. It takes about two minutes on a laptop, without a
# graphics card and without a network connection. The [tutorial](tutorial.ipynb) explains networks themselves.

# %%
from pathlib import Path

import numpy as np
from IPython.display import Image as Shown
from PIL import Image, ImageDraw, ImageFilter

import tenfold
from tenfold.report.drawings import steps_writer

# %% tags=["parameters"]
PHOTOS = "my-photos"
DRAWN = 20

# %% [markdown]
# ## The photos
#
# `PHOTOS` is the folder that holds `ball/`, `fence/`, or whatever your things are called; these names are the labels. Where there is no
# such folder, the next cell draws balls and fences, so that the notebook runs as it is. With your own photos, skip it.
#
# Take photos from different sides, near and far, and both things before the same backgrounds. If one of them always lies on the desk, the
# model learns the desk.


# %%
def drawn(label: str, seed: int) -> Image.Image:
    """A ball or a fence in some colours, somewhere in the picture, slightly blurred."""
    rng = np.random.default_rng(seed)
    ground, ink = (tuple(rng.integers(0, 256, 3).tolist()) for _ in range(2))
    image = Image.new("RGB", (400, 300), ground)
    draw = ImageDraw.Draw(image)
    if label == "ball":
        x, y, radius = rng.integers((150, 110, 40), (250, 190, 90)).tolist()
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    else:
        step = int(rng.integers(28, 50))
        for x in range(0, 400, step):
            draw.rectangle((x, 0, x + step // 2, 300), fill=ink)
    return image.filter(ImageFilter.GaussianBlur(1.5))


if not Path(PHOTOS).exists():
    for k, label in enumerate(("ball", "fence")):
        Path(PHOTOS, label).mkdir(parents=True)
        for i in range(DRAWN):
            drawn(label, 1000 * k + i).save(Path(PHOTOS, label, f"{i}.jpg"))

# %%
data = tenfold.load(PHOTOS)
data

# %% [markdown]
# ## Train
#
# A network that has seen a million photos is part of Tenfold. It describes each of yours by 1,280 numbers, and only a weighted sum of
# these is fitted to your labels. A quarter of the photos is set aside first, and measures the model in the end. The note says which
# penalty was chosen, and whether mirrored and cropped copies of the photos helped on photos that were held out. If left and right matter
# for your things, train with `flip=False`.
#
# The findings are what stood out in the photos before the training: damaged files, copies, labels with few photos, and facts that tell
# the label by themselves, such as the size of the files or the camera.

# %%
run = tenfold.train(data)
print(run.record.note)
for finding in run.audit.findings:
    print(f"{finding.kind}: {finding.text}")

# %%
run.evaluation

# %% [markdown]
# Ten test photos say little: look at the interval behind the accuracy. To narrow it, take more photos for the test, not only for the
# training.
#
# ## Where does it look?
#
# The more of the colour, the more a region added to the score of the label. If the background is coloured and the thing is not, the model
# has learned the background.

# %%
photo = next(path for path in sorted(Path(PHOTOS).rglob("*")) if path.is_file())
answer = run.model.predict_one(photo)
Shown(steps_writer(run.path, Path())(answer, photo))

# %%
answer

# %% [markdown]
# ## Something else
#
# The model knows no other labels than yours, and gives one to every picture: here to a written 7. What is unlike all training photos is `unsure`, though, and
# the reason is said.

# %%
seven = Image.new("RGB", (400, 300), "white")
ImageDraw.Draw(seven).line(((130, 60), (270, 60), (180, 250)), "black", 14)
seven.save("something-else.png")
other = run.model.predict_one("something-else.png")
Shown(steps_writer(run.path, Path())(other, Path("something-else.png")))

# %%
other.unsure, other.reason

# %% [markdown]
# ## How good can it be?
#
# On 300 photos of five flowers (TensorFlow's flower_photos, CC BY 2.0), with all other photos as the test set, 85% are right after twenty
# photos of each kind, and 90% after fifty: means of five draws (`python -m bench.photos`). 2% of the test photos are `unsure`, and 96% of
# the pictures of other things.
#
# `tenfold serve` answers photos over HTTP, and the folder `run.path` holds the report and `model.onnx`, which needs no Tenfold to be
# asked. `docs/guide/learners.md` says how it works.
