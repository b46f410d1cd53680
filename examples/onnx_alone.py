"""The model file alone, with ONNX Runtime and NumPy: no Tenfold needed where it is used.

`python onnx_alone.py RUN/model.onnx IMAGES.idx[.gz] LABELS.idx[.gz]`
"""

import gzip
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else ONNX Runtime reports its use by network

import numpy as np
import onnxruntime


def read_idx(path: str) -> np.ndarray:
    """An IDX file of bytes: its fourth byte counts the dimensions, four bytes each."""
    raw = Path(path).read_bytes()
    raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    n_dimensions = raw[3]
    shape = np.frombuffer(raw, ">u4", n_dimensions, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * n_dimensions).reshape(shape)


session = onnxruntime.InferenceSession(sys.argv[1])
images, true = read_idx(sys.argv[2]), read_idx(sys.argv[3])

# Scaling, network and calibration are in the graph; the contract says what goes in.
contract = json.loads(session.get_modelmeta().custom_metadata_map["tenfold"])
print("accepts", contract["input"], "answers", contract["labels"])

probabilities, novelty = session.run(["probabilities", "novelty"], {"image": images})
labels = np.array(contract["labels"])[probabilities.argmax(axis=1)]
accuracy = float((labels == true.astype(str)).mean())
unsure = novelty > contract["novelty_threshold"]
print(f"{len(true):,} pictures, accuracy {accuracy:.4f}, unsure of {unsure.mean():.2%}")
print("first:", labels[:5], probabilities[:5].max(axis=1).round(4))
