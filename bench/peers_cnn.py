"""One contender of `make bench` for convolutions, in a process and an environment of its own.

    python bench/peers_cnn.py NAME FOLDER_OF_THE_IDX_FILES epochs N_ROWS
    python bench/peers_cnn.py NAME FOLDER_OF_THE_IDX_FILES to99 SEED

`epochs`: the layers of the `cnn` for 28x28, Adam, batch 128, nothing distorted; for each line on
standard input two epochs and the seconds of the second. `to99`: for each line one epoch, its
seconds and the share of the test rows then right, in percent; the first has the compilation in
it. Ours is the recipe `fast` in one epoch: 99.2% of the validation rows, 99.5% in two (one seed).
The others are their libraries' own MNIST examples:
https://github.com/pytorch/examples/blob/main/mnist/main.py (14 epochs, Adadelta, batch 64) and
https://keras.io/examples/vision/mnist_convnet (15 epochs, Adam, batch 128, a tenth held out).
"""

import gzip
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

NAME, SOURCE, MODE, NUMBER = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
BATCH = 128
LAYERS = (
    (5, 2, 32, False),
    (3, 1, 32, True),
    (3, 1, 64, False),
    (3, 1, 64, True),
    (3, 1, 96, False),
)
"""Window, stride, channels, pooled."""


def read(name, header_bytes):
    with gzip.open(SOURCE / name) as file:
        file.read(header_bytes)
        return np.frombuffer(file.read(), np.uint8)


def images_of(part):
    y = read(f"{part}-labels-idx1-ubyte.gz", 8).astype(np.int64)
    return read(f"{part}-images-idx3-ubyte.gz", 16).reshape(len(y), 28, 28), y


def tenfold_training(x, y, validation, recipe, **asked):
    from tenfold.core.settings import resolve
    from tenfold.learners.architectures import architecture_of
    from tenfold.learners.job import Examples
    from tenfold.learners.training import ConvolutionTraining

    settings = resolve({"learner": "cnn", "recipe": recipe, **asked})
    architecture = architecture_of(settings, (28, 28), 10)
    held = None if validation is None else Examples(*validation)
    return iter(ConvolutionTraining(architecture, Examples(x, y), held, settings))


def tenfold_epochs(x, y):
    still = {name: 0 for name in ("shift_px", "rotate_degrees", "zoom", "shear", "elastic_px")}
    records = tenfold_training(x, y, None, "default", epochs=1000, batch_size=BATCH, **still)
    return lambda: next(records)


def keras_epochs(x, y):
    from keras import Input, Sequential, layers

    x = x[..., None] / np.float32(255)
    model = Sequential([Input((28, 28, 1))])
    for window, stride, channels, pooled in LAYERS:
        model.add(layers.Conv2D(channels, window, stride, "same", use_bias=False))
        if pooled:
            model.add(layers.MaxPooling2D(2, padding="same"))
        model.add(layers.BatchNormalization(scale=False))
        model.add(layers.ReLU())
    model.add(layers.Flatten())
    model.add(layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lambda: model.fit(x, y, batch_size=BATCH, verbose=0)


def torch_epochs(x, y):
    import torch
    from torch import nn

    layers, before = [], 1
    for window, stride, channels, pooled in LAYERS:
        layers.append(nn.Conv2d(before, channels, window, stride, window // 2, bias=False))
        if pooled:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        layers += [nn.BatchNorm2d(channels), nn.ReLU()]
        before = channels
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 4 * before, 10))
    model = model.to(memory_format=torch.channels_last)
    x = torch.tensor(x[:, None] / np.float32(255)).contiguous(memory_format=torch.channels_last)
    y = torch.tensor(y)
    optimizer, loss_of = torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss()

    def epoch():
        for rows in torch.randperm(len(y)).split(BATCH):
            optimizer.zero_grad()
            loss_of(model(x[rows]), y[rows]).backward()
            optimizer.step()

    return epoch


def tenfold_to99(train, test):
    records = tenfold_training(*train, test, "fast", seed=NUMBER, epochs=1, clean_epochs=0)
    return lambda: next(records).val_accuracy


def keras_to99(train, test):
    import keras
    from keras import layers

    keras.utils.set_random_seed(NUMBER)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    (x, y), (x_test, y_test) = (
        (a[..., None] / np.float32(255), keras.utils.to_categorical(b, 10))
        for a, b in (train, test)
    )

    def epoch():
        model.fit(x, y, batch_size=128, validation_split=0.1, verbose=0)
        return model.evaluate(x_test, y_test, batch_size=1000, verbose=0)[1]

    return epoch


def torch_to99(train, test):
    import torch
    from torch import nn

    torch.manual_seed(NUMBER)
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Dropout(0.25), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(128, 10), nn.LogSoftmax(1),
    )  # fmt: skip
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
    (x, y), (x_test, y_test) = (
        (torch.tensor((a[:, None] / np.float32(255) - 0.1307) / 0.3081).float(), torch.tensor(b))
        for a, b in (train, test)
    )

    def epoch():
        model.train()
        for rows in torch.randperm(len(y)).split(64):  # resident, where the example loads each row
            optimizer.zero_grad()
            nn.functional.nll_loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
        scheduler.step()
        model.eval()
        with torch.no_grad():
            parts = [model(part).argmax(1) for part in x_test.split(1000)]
        return float((torch.cat(parts) == y_test).float().mean())

    return epoch


CONTENDERS = {
    "tenfold": (tenfold_epochs, tenfold_to99),
    "keras-tensorflow": (keras_epochs, keras_to99),
    "keras-jax": (keras_epochs, keras_to99),
    "torch": (torch_epochs, torch_to99),
}


def import_library():
    if NAME.startswith("keras-"):
        os.environ["KERAS_BACKEND"] = NAME.removeprefix("keras-")
        import keras  # noqa: F401
    elif NAME == "torch":
        import torch  # noqa: F401
    else:
        from tenfold.learners.jax_runtime import configure

        configure()


def main():
    import_library()
    epochs, to99 = CONTENDERS[NAME]
    if MODE == "to99":
        train, test = images_of("train"), images_of("t10k")
        print("ready", flush=True)
        sys.stdin.readline()
        start = time.perf_counter()
        epoch = to99(train, test)
        while True:
            accuracy = epoch()
            print(time.perf_counter() - start, 100 * accuracy, flush=True)
            if not sys.stdin.readline():
                return
            start = time.perf_counter()
    x, y = (array[:NUMBER] for array in images_of("train"))
    epoch = epochs(x, y)
    epoch()
    print("ready", flush=True)
    for _ in sys.stdin:
        epoch()
        start = time.perf_counter()
        epoch()
        print(time.perf_counter() - start, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)  # KiB on Linux


if __name__ == "__main__":
    main()
