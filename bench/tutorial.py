"""The tutorial's own program, step by step, with Keras on TensorFlow: what `make bench` runs beside
`tenfold train --recipe tutorial`. It needs tensorflow, scikit-learn and matplotlib, not tenfold.

    python bench/tutorial.py FOLDER_OF_THE_IDX_FILES FOLDER_FOR_THE_PICTURE
"""

import gzip
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder

SOURCE, OUT = Path(sys.argv[1]), Path(sys.argv[2])


def read(name: str, header_bytes: int) -> np.ndarray:
    with gzip.open(SOURCE / name) as file:
        file.read(header_bytes)
        return np.frombuffer(file.read(), np.uint8)


labels = read("train-labels-idx1-ubyte.gz", 8)
images = read("train-images-idx3-ubyte.gz", 16).reshape(len(labels), 784) / 255
plt.imshow(images[1010].reshape(28, 28), cmap="gray")
plt.savefig(OUT / "digit.png")

one_hot = OneHotEncoder(sparse_output=False).fit_transform(labels[:, np.newaxis])
x_train, x_test, y_train, y_test = train_test_split(images, one_hot, test_size=0.25)

model = keras.Sequential(
    [
        keras.Input((784,)),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(
    optimizer=keras.optimizers.SGD(0.01), loss="categorical_crossentropy", metrics=["accuracy"]
)
model.summary()
model.fit(x_train, y_train, batch_size=128, epochs=20)

loss, accuracy = model.evaluate(x_test, y_test)
print("test loss", loss, "accuracy", accuracy)
print(model.predict(images[1010:1011]))
predicted = model.predict(x_test).argmax(axis=1)
counts = confusion_matrix(y_test.argmax(axis=1), predicted)
for normalised in (False, True):
    cells = counts / counts.sum(axis=1, keepdims=True) if normalised else counts
    ConfusionMatrixDisplay(cells).plot(values_format=".2f" if normalised else "d")
    plt.savefig(OUT / f"confusion_{normalised}.png")
