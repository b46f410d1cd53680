# %% [markdown]
# # A neural network in practice
#
# We train a small network to read handwritten digits, look into it until nothing is left unexplained, and find out how far it
# can be trusted. Every figure below is computed on the spot.
#
# **Problems of this kind.** *Classification*: which label? Spam or not, fraud or not, which digit. *Regression*: which number? A
# price, tomorrow's temperature. This notebook is about digits; [problems.ipynb](problems.ipynb) has the others.

# %%
import gzip
import math
import os
import struct
from importlib import resources

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when ONNX Runtime is imported

import matplotlib.pyplot as plt
import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from PIL import Image, ImageDraw, ImageFilter
from sklearn.neighbors import KNeighborsClassifier

import tenfold
from tenfold.inputs.idx import read_idx

plt.rcParams.update({"figure.dpi": 70, "image.cmap": "gray_r", "savefig.bbox": "tight"})

# %% tags=["parameters"]
ROWS = 60_000  # pictures of MNIST's training files
EPOCHS = 20  # times each training picture is seen
SEEDS = 5  # trainings that differ by luck alone
COMPARED = 20_000  # pictures for the comparisons at the end
FAST_EPOCHS = 5
NEURONS = [8, 32, 128]  # sizes of the networks that are compared
DEPTHS = [1, 2]

# %% [markdown]
# ## 1. The data, byte by byte
#
# MNIST is 70,000 pictures of 28 x 28 grey pixels with their digits, in four files. They come with the package, because their first
# home on the web no longer answers. The format is called IDX. A file of labels begins with 8 bytes:
#
# | bytes | what |
# |---|---|
# | 0, 1 | zero |
# | 2 | type of the numbers: 8 is one unsigned byte |
# | 3 | how many dimensions: 1 |
# | 4 to 7 | how many labels, largest part first |
#
# The first four together are the "magic number" 2049.

# %%
folder = resources.files("tenfold.data.catalog") / "mnist"
raw = gzip.decompress((folder / "train-labels-idx1-ubyte.gz").read_bytes())
magic, n_labels = struct.unpack(">II", raw[:8])
print("first bytes:", list(raw[:12]))
print("magic", magic, "| labels", n_labels, "| first labels", list(raw[8:16]))

# %% [markdown]
# Pictures: magic 2051, because there are three dimensions, so the header has 16 bytes. Then come 784 bytes for each picture, row by
# row; 0 is paper, 255 is ink.

# %%
raw_images = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
magic, n, height, width = struct.unpack(">IIII", raw_images[:16])
print("magic", magic, "| pictures", n, "of", height, "x", width, "| bytes", len(raw_images))
assert len(raw_images) == 16 + n * height * width  # a cut file would be noticed here

start = 16 + 0 * 784
first = np.frombuffer(raw_images[start : start + 784], np.uint8).reshape(28, 28)
for line in first[5:25:2]:
    print("".join(" .:*#"[pixel // 52] for pixel in line))

# %% [markdown]
# The library reads the same, and refuses what does not fit its header. `tenfold.load` also checks the content against its published
# SHA-256. Nothing has to be skipped by hand.

# %%
with resources.as_file(folder / "train-images-idx3-ubyte.gz") as path:
    images = read_idx(path)
mnist = tenfold.load("mnist")
assert np.array_equal(images, mnist.x[:60_000]) and np.array_equal(images[0], first)
assert mnist.y[:60_000].tolist() == list(raw[8:])

data = mnist.take(np.arange(ROWS))  # the training files alone, as the tutorial has it
print(data.x.shape, data.x.dtype, "| from", data.x.min(), "to", data.x.max())

# %% [markdown]
# The network sees each pixel divided by 255, so numbers from 0 to 1. Here that division is the first step *inside* the model, so
# nobody can forget it later.

# %%
figure, axes = plt.subplots(1, 8, figsize=(9, 1.5))
for axis, image, label in zip(axes, data.x, data.y, strict=False):
    axis.imshow(image)
    axis.set_title(label)
    axis.axis("off")

# %% [markdown]
# ## 2. One-hot: an answer as ten numbers
#
# The network has ten outputs, so the answer it should give is a row of ten numbers: a 1 in the place of the digit, 0 elsewhere.
# Places are counted from 0, as the digits are: the 1 of a 6 has index 6 and is the seventh number.

# %%
row = 999
print("label", data.y[row], "-> one-hot", data.one_hot()[row].astype(int))
assert data.y[row] == 6 and data.one_hot()[row].argmax() == 6
assert np.array_equal(data.decode(data.one_hot()), data.y)  # and back again

# %% [markdown]
# ## 3. The split, and why
#
# A quarter of the pictures is put aside. What a learner says about pictures that it was fitted to means nothing: the simplest
# learner, one that remembers everything and answers with the most similar picture, is always right about them.

# %%
split = tenfold.split(data, seed=0, test_size=0.25)
print(len(split.train), "to train on,", len(split.test), "to test on")

few_train, few_test = split.train[:2000], split.test[:2000]
memory = KNeighborsClassifier(1).fit(data.x[few_train].reshape(-1, 784), data.y[few_train])
on_its_own = memory.score(data.x[few_train].reshape(-1, 784), data.y[few_train])
on_new = memory.score(data.x[few_test].reshape(-1, 784), data.y[few_test])
print(
    f"a memory of {len(few_train)} pictures: {on_its_own:.3f} right on them, {on_new:.3f} right on new ones"
)

# %% [markdown]
# The second number is the honest one. It is an accuracy on *test* data; calling it accuracy "on the training data" would be the
# opposite of what it is for. The split is drawn by a seed, keeps the share of each digit, and keeps equal pictures on one side.

# %%
shares = [np.bincount(data.y[rows], minlength=10) / len(rows) for rows in (split.train, split.test)]
print("share of each digit, training", shares[0].round(3))
print("share of each digit, test    ", shares[1].round(3))
assert not set(split.train) & set(split.test)

# %% [markdown]
# ## 4. The network
#
# 784 inputs, **one** hidden layer of 128 neurons, an output layer of 10. (Input and output are not hidden: this is one hidden layer,
# not two.) A neuron multiplies each input by a weight of its own, adds everything up, adds a bias, and passes the sum through an
# activation: in the hidden layer `relu`, which makes negative sums 0.
#
# Training: all weights start as small random numbers. For 128 pictures at a time, each weight is moved a little in the direction
# that makes the loss smaller (plain gradient descent, step size 0.01). Seeing all pictures once is an epoch.

# %%
run = tenfold.train(data, recipe="tutorial", epochs=EPOCHS, seed=0)
run

# %%
epochs = [epoch["epoch"] for epoch in run.history]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.6))
left.plot(epochs, [epoch["loss"] for epoch in run.history], marker=".")
right.plot(epochs, [epoch["accuracy"] for epoch in run.history], marker=".")
left.set(xlabel="epoch", ylabel="training loss")
right.set(xlabel="epoch", ylabel="training accuracy")
for epoch in (run.history[0], run.history[-1]):
    print(f"epoch {epoch['epoch']:.0f}: loss {epoch['loss']:.4f}, accuracy {epoch['accuracy']:.4f}")

# %% [markdown]
# The tutorial this follows saw a loss of 1.34 after the first epoch and 0.258 after the 20th. Same settings, same curve.
#
# ### Why 101,770?
#
# Every hidden neuron has a weight for each of the 784 pixels and one bias; every output neuron has a weight for each of the 128
# hidden ones and one bias. The weights are in the model file:

# %%
graph = onnx.load(run.path / "model.onnx").graph
numbers = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
layers = {name: array for name, array in numbers.items() if name.endswith(("kernel", "bias"))}
for name, array in layers.items():
    print(f"{name:16}{array.shape!s:12}{array.size:8,}")
print(f"{'(784 + 1) * 128 + (128 + 1) * 10':28}{(784 + 1) * 128 + (128 + 1) * 10:8,}")
assert sum(array.size for array in layers.values()) == run.record.parameters == 101_770

# %% [markdown]
# ## 5. One neuron, by hand
#
# We take one picture of the test part, and of the 128 hidden neurons the one that answers it most. First with nothing but
# multiplication and addition:

# %%
row = split.test[1010]
picture = data.x[row]
pixels = (picture.reshape(784) / 255).tolist()
kernel, bias = numbers["hidden_1.kernel"], numbers["hidden_1.bias"]
j = int((np.array(pixels) @ kernel + bias).argmax())

total = float(bias[j])
for i in range(784):
    total += pixels[i] * float(kernel[i, j])
neuron = max(total, 0.0)  # relu
print(
    f"neuron {j}: bias {bias[j]:.4f} + sum of 784 products = {total:.4f}, after relu {neuron:.4f}"
)

inked = sorted(range(784), key=lambda i: -abs(pixels[i] * kernel[i, j]))[:5]
for i in inked:
    print(
        f"  pixel ({i // 28:2}, {i % 28:2}): {pixels[i]:.3f} x {kernel[i, j]:+.4f} = {pixels[i] * kernel[i, j]:+.4f}"
    )

# %% [markdown]
# Now what the model file itself computes at this place: its graph is asked for the hidden layer, too.

# %%
opened = onnx.load(run.path / "model.onnx")
opened.graph.output.append(onnx.ValueInfoProto(name="hidden_1.relu"))
session = onnxruntime.InferenceSession(opened.SerializeToString())
hidden, answer = session.run(["hidden_1.relu", "probabilities"], {"image": picture[None]})
print(f"the file says {hidden[0, j]:.4f}")
assert abs(hidden[0, j] - neuron) < 1e-3

figure, axes = plt.subplots(1, 3, figsize=(8, 2.5))
limit = abs(kernel[:, j]).max()
axes[0].imshow(picture)
axes[0].set_title(f"the picture: a {data.y[row]}")
axes[1].imshow(kernel[:, j].reshape(28, 28), cmap="RdBu", vmin=-limit, vmax=limit)
axes[1].set_title(f"weights of neuron {j}")
axes[2].imshow(picture / 255 * kernel[:, j].reshape(28, 28), cmap="RdBu", vmin=-limit, vmax=limit)
axes[2].set_title("their products")
for axis in axes:
    axis.axis("off")

# %% [markdown]
# The whole network is the same again, 138 times: two matrix products. At the end `softmax` turns ten sums into ten probabilities:
# $p_k = e^{z_k} / (e^{z_0} + ... + e^{z_9})$.

# %%
sums = (
    np.maximum(np.array(pixels) @ kernel + bias, 0) @ numbers["output.kernel"]
    + numbers["output.bias"]
)
by_hand = np.exp(sums - sums.max()) / np.exp(sums - sums.max()).sum()
for digit in range(10):
    print(
        f"{digit}: sum {sums[digit]:+7.3f}   by hand {by_hand[digit]:.5f}   the file {answer[0, digit]:.5f}"
    )
assert np.allclose(by_hand, answer[0], atol=1e-4)

# %% [markdown]
# ## 6. The softmax of one picture, and of one that is read wrongly
#
# Ten probabilities that sum to 1. The answer is the digit with the largest.

# %%
right = run.model.predict_one(picture)
print("true", data.y[row], "| read", right.label, f"| sum {right.probabilities.sum():.6f}")
right

# %%
answers = run.model.predict(data.x[split.test])
true = data.y[split.test]
wrong = np.flatnonzero(answers.codes != true)
near = wrong[np.argsort(answers.probabilities[wrong, true[wrong]])[-1]]
print("true", true[near], "| read", answers.labels[near])
answers[int(near)]

# %% [markdown]
# The truth was the second guess. A softmax says how the network *divides* its belief among ten digits, not that the picture is one:
# a shoe gets ten numbers that sum to 1 as well.

# %% [markdown]
# ## 7. Loss and accuracy, with an interval
#
# *Accuracy* is the share read rightly. *Loss* also asks how sure it was: the mean of -log(probability of the true digit). Saying 0.99
# to the truth costs 0.01, saying 0.01 costs 4.6.

# %%
given = answers.probabilities[np.arange(len(true)), true]
loss, accuracy, n = float(-np.log(given).mean()), float((answers.codes == true).mean()), len(true)
z = 1.96  # Wilson's interval: where the true share may lie, seeing `accuracy` on n pictures
middle = (accuracy + z * z / (2 * n)) / (1 + z * z / n)
reach = z / (1 + z * z / n) * math.sqrt(accuracy * (1 - accuracy) / n + z * z / (4 * n * n))
print(
    f"by hand  loss {loss:.4f}, accuracy {accuracy:.4f} [{middle - reach:.4f}, {middle + reach:.4f}]"
)
print("the run  loss", run.evaluation.log_loss, "| accuracy", run.evaluation.accuracy)
print("always the most frequent digit:", run.evaluation.baseline.accuracy)
assert abs(loss - run.evaluation.log_loss.value) < 1e-4

# %% [markdown]
# The interval says what another 15,000 pictures might have shown. It does not say what another *training* would have: first weights
# and the order of the pictures are luck. So we train again with other seeds, and look at pictures held back from training.

# %%
luck = tenfold.sweep(
    data,
    recipe="tutorial",
    validation_size=0.1,
    hidden=[128],
    layers=[1],
    seeds=SEEDS,
    epochs=EPOCHS,
)
for trial in luck.trials:
    scores = tenfold.open(trial.run).evaluation
    print(f"seed {trial.seed}: accuracy {scores.accuracy}, loss {scores.log_loss}")
(spread,) = luck.points
print(
    f"accuracy {spread.mean:.4f}, standard deviation over {len(spread.trials)} seeds {spread.deviation:.4f}"
)

# %% [markdown]
# Two networks whose accuracies differ by less than a few of these deviations may be equally good.
#
# ## 8. The confusion matrix
#
# Rows: the true digit. Columns: what was read. Left counts, right the share of each row.

# %%
confusion = np.array(run.evaluation.confusion)
assert confusion.sum() == n and np.trace(confusion) / n == accuracy

figure, axes = plt.subplots(1, 2, figsize=(11, 5))
shown = (confusion, "{:.0f}"), (confusion / confusion.sum(axis=1, keepdims=True), "{:.2f}")
for axis, (cells, form) in zip(axes, shown, strict=True):
    axis.imshow(np.sqrt(cells), cmap="Blues")  # the root, so that small counts are seen too
    for (y, x), value in np.ndenumerate(cells):
        dark = value > cells.max() / 2
        axis.text(
            x, y, form.format(value), ha="center", va="center", size=7, color="w" if dark else "k"
        )
    axis.set(xlabel="predicted", ylabel="true", xticks=range(10), yticks=range(10))

# %%
off = confusion - np.diag(np.diag(confusion))
for at in off.argsort(axis=None)[::-1][:3]:
    print(f"{at // 10} read as {at % 10}: {off.flat[at]} times")
for one in run.evaluation.per_class:
    print(f"{one.label}: of these found {one.recall}, of those called so right {one.precision}")

# %% [markdown]
# ## 9. The mistakes themselves
#
# The ones it was most sure of.

# %%
worst = wrong[np.argsort(-answers.confidence[wrong])][:16]
figure, axes = plt.subplots(2, 8, figsize=(9, 3))
for axis in axes.flat:
    axis.axis("off")
for axis, at in zip(axes.flat, worst, strict=False):
    axis.imshow(data.x[split.test[at]])
    axis.set_title(f"{true[at]} as {answers.labels[at]}, {answers.confidence[at]:.2f}", size=8)

# %% [markdown]
# ## 10. Better training, the same 101,770 numbers
#
# Another way of moving the weights (Adam, a step size that rises and falls, pictures moved by a pixel, an average of the weights)
# makes more of the same network. Same test pictures:

# %%
better = tenfold.train(data, recipe="default", epochs=FAST_EPOCHS, test_size=0.25, seed=0)
assert np.array_equal(
    tenfold.split(data, seed=0, test_size=0.25, validation_size=0.1).test, split.test
)
print(f"tutorial's, {EPOCHS} epochs:", run.evaluation.accuracy)
print(f"default, {FAST_EPOCHS} epochs:   ", better.evaluation.accuracy)

# %% [markdown]
# ## 11. Your own digit
#
# A photo is not like MNIST: dark ink on bright, uneven paper, large, off the middle. We draw one (put your own file here), and make
# it small the obvious way first.

# %%
paper = np.linspace(236, 190, 300)[:, None] + np.linspace(0, -25, 400)[None]
photo = Image.fromarray(paper.astype(np.uint8))
pen = ImageDraw.Draw(photo)
pen.line([(230, 60), (310, 55), (262, 190)], fill=60, width=13, joint="curve")
photo = photo.filter(ImageFilter.GaussianBlur(1.2))
photo.save("my-digit.png")

naive = np.asarray(photo.resize((28, 28)))
obvious = better.model.predict_one(naive)
inverted = better.model.predict_one(255 - naive)
fitted = better.model.predict_one("my-digit.png")
print("made small:", obvious, "| and inverted:", inverted)
print("fitted:    ", fitted)

figure, axes = plt.subplots(1, 5, figsize=(11, 2.4))
steps = fitted.steps
shown = (
    (photo, "the photo"),
    (naive, f"made small: {obvious.label}?"),
    (255 - naive, f"inverted: {inverted.label}?"),
)
shown += (steps.ink, "ink found"), (steps.image, f"fitted: {fitted.label}")
for axis, (image, title) in zip(axes, shown, strict=True):
    axis.imshow(image, cmap="gray", vmin=0, vmax=255)
    axis.set_title(title)
    axis.axis("off")

# %% [markdown]
# The fit does to your picture what was done to MNIST's: ink is told from paper, cut out, brought to 20 pixels, and its centre of mass
# is put into the middle of 28 x 28. A network only knows pictures like those it saw. It can also say that it does not know:

# %%
noise = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
nothing = better.model.predict_one(noise)
print(nothing, "|", nothing.reason)

# %% [markdown]
# ## 12. Try it yourself: other numbers of neurons, more layers
#
# *Can accuracy rise? Are more layers slower, and why?* Each setting is trained with several seeds on fewer pictures, and ranked on
# pictures held back. Bars are one standard deviation over the seeds.

# %%
small = mnist.take(np.r_[:COMPARED, 60_000:70_000])
tried = tenfold.sweep(small, recipe="fast", hidden=NEURONS, layers=DEPTHS, seeds=SEEDS)
figure, axes = plt.subplots(1, 2, figsize=(10, 2.8))
for depth in DEPTHS:
    of_depth = sorted(
        (p for p in tried.points if p.point["layers"] == depth), key=lambda p: p.point["hidden"]
    )
    widths = [group.point["hidden"] for group in of_depth]
    means, bars = [g.mean for g in of_depth], [g.deviation for g in of_depth]
    axes[0].errorbar(widths, means, bars, marker="o", capsize=4, label=f"{depth} hidden")
    axes[1].plot(
        widths, [g.training_seconds for g in of_depth], marker="o", label=f"{depth} hidden"
    )
for axis, name in zip(axes, ("accuracy on pictures held back", "seconds of training"), strict=True):
    axis.set(
        xlabel="neurons in each hidden layer",
        ylabel=name,
        xscale="log",
        xticks=widths,
        xticklabels=widths,
    )
    axis.legend()
for group in tried.points:
    print(
        f"{group.point!s:28} {group.mean:.4f} +- {group.deviation:.4f}  {group.parameters:7,} numbers  {group.training_seconds:.2f} s"
    )

# %%
print("\n".join(tried.findings))

# %% [markdown]
# So accuracy can rise, and each further neuron buys less. More layers are slower for two reasons. Every weight is a multiplication
# and an addition for each picture forwards, and about two more of each backwards: a second layer of 128 adds 16,384 weights. And a
# layer must wait for the one before it, so each brings a small fixed cost of its own, however narrow it is.
#
# ## 13. And a random forest?
#
# The mean of many decision trees; and logistic regression, which is this network without its hidden layer. All are fitted to the
# same pictures and measured on the official test part, opened once. The time is that of fitting, the network's compilation included.

# %%
contest = tenfold.compare(small, learners=["network", "forest", "logistic"], seeds=min(SEEDS, 3))
for place in contest.leaderboard:
    print(
        f"{place.learner:9} accuracy {place.test}  {place.verdict:20} training {place.seconds:5.1f} s  file {place.n_bytes / 1e6:5.1f} MB"
    )

figure, axis = plt.subplots(figsize=(6, 1.8))
for at, place in enumerate(contest.leaderboard):
    reach = [[place.test.value - place.test.low], [place.test.high - place.test.value]]
    axis.errorbar(place.test.value, at, xerr=reach, marker="o", capsize=4)
axis.set(
    yticks=range(len(contest.leaderboard)),
    yticklabels=[p.learner for p in contest.places],
    xlabel="accuracy, 95% interval",
)
axis.invert_yaxis()
print("\n".join(contest.findings))

# %% [markdown]
# The verdict comes from a paired test: both learners read the *same* pictures, so what counts is where they differ.
#
# ## What to take along
#
# - A network is multiplications and additions. You have done one neuron of it by hand.
# - A figure without an interval and without a second seed is an anecdote.
# - Data that chose anything cannot measure it.
# - Look at the mistakes before the average.
# - The step from a photo to the network's input decides more than the network.
