"""One contender of `make bench`, in a process and an environment of its own.

    python bench/peers.py NAME FOLDER_OF_THE_IDX_FILES epochs N_ROWS WIDTH
    python bench/peers.py NAME FOLDER_OF_THE_IDX_FILES to98 LEARNING_RATE

`epochs`: the tutorial's fit (784-WIDTH-10, SGD 0.01, batch 128), warmed up; then, for each line on
standard input, two more epochs and the seconds of the second. `to98`: Adam (ours: the default
recipe), from nothing but imported libraries to the first epoch end with 98% of the validation rows
right.
"""

import gzip
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

NAME, SOURCE, MODE = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
BATCH, N_VALIDATION = 128, 6_000
RATE = float(sys.argv[4]) if MODE == "to98" else 0.01


def read(name, header_bytes):
    with gzip.open(SOURCE / name) as file:
        file.read(header_bytes)
        return np.frombuffer(file.read(), np.uint8)


Y = read("train-labels-idx1-ubyte.gz", 8).astype(np.int64)
X = read("train-images-idx3-ubyte.gz", 16).reshape(len(Y), 28, 28)


def floor(x, y, width):
    """The matrix products of an epoch and nothing else, by NumPy's BLAS."""
    rng = np.random.default_rng(0)
    sizes = [(BATCH, 784), (784, width), (BATCH, width), (width, 10), (BATCH, 10)]
    a, w1, h, w2, d2 = (rng.random(size, dtype=np.float32) for size in sizes)
    products = ((a, w1), (h, w2), (a.T, h), (h.T, d2), (d2, w2.T))
    out = [np.empty((p.shape[0], q.shape[1]), np.float32) for p, q in products]

    def epoch():
        for _ in range(-(-len(y) // BATCH)):
            for (p, q), r in zip(products, out, strict=True):
                np.matmul(p, q, out=r)

    return epoch


def scan(x, y, width):
    """What anyone would write with JAX: float32 rows resident, one scan over the batches."""
    import jax
    import jax.numpy as jnp

    n_steps, rng = -(-len(y) // BATCH), np.random.default_rng(0)
    x, y = jnp.asarray(x.reshape(len(x), 784) / np.float32(255)), jnp.asarray(y)
    limit1, limit2 = (6 / (784 + width)) ** 0.5, (6 / (width + 10)) ** 0.5
    w1 = rng.uniform(-limit1, limit1, (784, width)).astype(np.float32)
    w2 = rng.uniform(-limit2, limit2, (width, 10)).astype(np.float32)
    state = [(w1, np.zeros(width, np.float32), w2, np.zeros(10, np.float32))]

    def loss(weights, x, y, present):
        w1, b1, w2, b2 = weights
        logits = jax.nn.relu(x @ w1 + b1) @ w2 + b2
        losses = -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1)[:, 0]
        correct = jnp.sum((logits.argmax(1) == y) * present)
        return jnp.sum(losses * present) / jnp.sum(present), correct

    @jax.jit
    def run(weights, rows, present):
        def step(weights, batch):
            rows, present = batch
            (mean, n), g = jax.value_and_grad(loss, has_aux=True)(
                weights, x[rows], y[rows], present
            )
            return jax.tree.map(lambda w, g: w - 0.01 * g, weights, g), (mean, n)

        return jax.lax.scan(step, weights, (rows, present))

    def epoch():
        rows = np.zeros((n_steps, BATCH), np.int32)
        present = np.zeros((n_steps, BATCH), np.float32)
        rows.flat[: len(y)], present.flat[: len(y)] = rng.permutation(len(y)), 1
        state[0], totals = run(state[0], rows, present)
        jax.block_until_ready((state[0], totals))

    return epoch


def tenfold(x, y, width, validation=None):
    from tenfold.core.settings import resolve
    from tenfold.learners.architectures import architecture_of
    from tenfold.learners.job import Examples
    from tenfold.learners.training import DenseTraining

    asked = {"hidden": (width,), "epochs": 1000, "recipe": "tutorial"}
    settings = resolve(asked if validation is None else {})
    architecture = architecture_of(settings, (28, 28), 10)
    held = None if validation is None else Examples(*validation)
    records = iter(DenseTraining(architecture, Examples(x, y), held, settings))
    return (lambda: next(records)) if validation is None else lambda: next(records).val_accuracy


def keras_fit(x, y, width, validation=None):
    import keras

    x = x.reshape(len(x), 784) / np.float32(255)
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(width, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    best = keras.optimizers.Adam(RATE) if validation else keras.optimizers.SGD(0.01)
    model.compile(optimizer=best, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    if validation is None:
        return lambda: model.fit(x, y, batch_size=BATCH, verbose=0)
    held = validation[0].reshape(-1, 784) / np.float32(255), validation[1]

    def epoch():
        fitted = model.fit(
            x, y, batch_size=BATCH, verbose=0, validation_data=held, validation_batch_size=1000
        )
        return fitted.history["val_accuracy"][-1]

    return epoch


def torch_eager(x, y, width, validation=None):
    import torch

    torch.manual_seed(0)
    x, y = torch.tensor(x.reshape(len(x), 784) / np.float32(255)), torch.tensor(y)
    model = torch.nn.Sequential(
        torch.nn.Linear(784, width), torch.nn.ReLU(), torch.nn.Linear(width, 10)
    )
    best = torch.optim.Adam(model.parameters(), lr=RATE) if validation else None
    optimizer = best or torch.optim.SGD(model.parameters(), lr=0.01)
    loss_of = torch.nn.CrossEntropyLoss()

    def epoch():
        for rows in torch.randperm(len(y)).split(BATCH):
            optimizer.zero_grad()
            loss_of(model(x[rows]), y[rows]).backward()
            optimizer.step()
        if validation is not None:
            with torch.no_grad():
                held = torch.tensor(validation[0].reshape(-1, 784) / np.float32(255))
                return float((model(held).argmax(1).numpy() == validation[1]).mean())

    return epoch


def sklearn_mlp(x, y, width, validation=None):
    from sklearn.neural_network import MLPClassifier

    x = x.reshape(len(x), 784) / np.float32(255)
    best = {"solver": "adam", "learning_rate_init": RATE}
    plain = {"solver": "sgd", "learning_rate_init": 0.01, "momentum": 0.0}
    model = MLPClassifier((width,), batch_size=BATCH, alpha=0.0, **(best if validation else plain))

    def epoch():
        model.partial_fit(x, y, classes=np.arange(10))
        if validation is not None:
            held = validation[0].reshape(-1, 784) / np.float32(255)
            return float((model.predict(held) == validation[1]).mean())

    return epoch


CONTENDERS = {
    "floor": floor,
    "scan": scan,
    "tenfold": tenfold,
    "keras-jax": keras_fit,
    "keras-tensorflow": keras_fit,
    "keras-torch": keras_fit,
    "torch": torch_eager,
    "sklearn": sklearn_mlp,
}


def import_library():
    """Libraries are loaded before any clock starts: cold starts are measured as whole programs."""
    if NAME.startswith("keras-"):
        os.environ["KERAS_BACKEND"] = NAME.removeprefix("keras-")
        import keras  # noqa: F401
    elif NAME == "torch":
        import torch  # noqa: F401
    elif NAME == "sklearn":
        import sklearn.neural_network  # noqa: F401
    elif NAME == "tenfold":
        from tenfold.learners.jax_runtime import configure

        configure()
    elif NAME == "scan":
        import jax  # noqa: F401


def main():
    import_library()
    build = CONTENDERS[NAME]
    if MODE == "to98":
        order = np.random.default_rng(0).permutation(len(Y))
        held, rows = order[:N_VALIDATION], order[N_VALIDATION:]
        start = time.perf_counter()
        epoch = build(X[rows], Y[rows], 128, (X[held], Y[held]))
        n_epochs = 1
        while epoch() < 0.98 and n_epochs < 40:
            n_epochs += 1
        print(time.perf_counter() - start, n_epochs, flush=True)
        return
    n, width = int(sys.argv[4]), int(sys.argv[5])
    rows = np.arange(n) % 45_000
    epoch = build(X[rows], Y[rows], width)
    for _ in range(2):
        epoch()
    print("ready", flush=True)
    for _ in sys.stdin:
        epoch()  # threads of the contender before spin on for up to 0.2 s, and caches are its own
        start = time.perf_counter()
        epoch()
        print(time.perf_counter() - start, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)  # KiB on Linux


if __name__ == "__main__":
    main()
