"""Predict with the model beside this program. It needs only ONNX Runtime and NumPy.

    pip install onnxruntime numpy
    python NAME.py              predict the inputs that are stored beside it
    python NAME.py own.npz      predict your own: an array for each input of the model

A picture is uint8 (n, height, width) or (n, height, width, 3). A digit has 28 pixels a side, 0 for
paper and 255 for ink, and its strokes are in a box of 20 pixels with the centre of mass in the
middle.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # or ONNX Runtime sends usage data

import numpy as np
import onnxruntime


def main() -> None:
    here = Path(__file__)
    session = onnxruntime.InferenceSession(
        here.with_suffix(".onnx"), providers=["CPUExecutionProvider"]
    )
    contract = json.loads(session.get_modelmeta().custom_metadata_map["tenfold"])
    with np.load(sys.argv[1] if len(sys.argv) > 1 else here.with_suffix(".npz")) as stored:
        inputs = dict(stored)
    for value in session.get_inputs():
        print(f"input  {value.name}: {value.type} {value.shape}", file=sys.stderr)

    names = [value.name for value in session.get_outputs()]
    answers = dict(zip(names, session.run(None, inputs), strict=True))
    if contract["task"] == "regression":
        for value, low, high in zip(answers["value"], answers["low"], answers["high"], strict=True):
            print(f"{value:.6g} [{low:.6g}, {high:.6g}]")
        return

    labels, decision = contract["labels"], contract["decision"]
    for row, p in enumerate(answers["probabilities"]):
        best = int(p.argmax())
        if decision:  # predict the positive label if its probability reaches the threshold
            positive = labels.index(decision["positive"])
            best = positive if p[positive] >= np.float32(decision["threshold"]) else 1 - positive
        limit = contract["novelty_threshold"]
        unsure = limit is not None and not answers["novelty"][row] <= np.float32(limit)
        print(f"{labels[best]} {p[best]:.4f}" + (" unsure" if unsure else ""))


if __name__ == "__main__":
    main()
