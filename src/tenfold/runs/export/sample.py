"""Ask the model beside this program, with ONNX Runtime and NumPy alone.

    pip install onnxruntime numpy
    python NAME.py              the inputs that are stored beside it
    python NAME.py own.npz      your own: an array for each input of the model

A picture is uint8 (n, height, width) or (n, height, width, 3). Of a digit 0 is paper and 255 ink,
28 pixels a side, its strokes in a box of 20 with their centre of mass in the middle.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else ONNX Runtime reports its use by network

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
        if decision:  # of two labels: the one that is looked for, from a threshold on
            positive = labels.index(decision["positive"])
            best = positive if p[positive] >= np.float32(decision["threshold"]) else 1 - positive
        limit = contract["novelty_threshold"]
        unsure = limit is not None and not answers["novelty"][row] <= np.float32(limit)
        print(f"{labels[best]} {p[best]:.4f}" + (" unsure" if unsure else ""))


if __name__ == "__main__":
    main()
