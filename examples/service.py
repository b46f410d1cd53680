"""The service, asked from Python. First, in another terminal: `tenfold serve RUN`.

`python service.py [http://127.0.0.1:8000]`; with curl: service.sh
"""

import json
import sys
import urllib.request
from typing import Any

import tenfold

data = tenfold.load("mnist")
images, true = data.x[60_000:60_500], data.y[60_000:60_500]
address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"


def ask(content: bytes, kind: str) -> list[dict[str, Any]]:
    """The answers to one request: an item each, in the form of `tenfold predict --json`."""
    request = urllib.request.Request(f"{address}/v1/predict", content, {"content-type": kind})
    with urllib.request.urlopen(request) as reply:
        answers: list[dict[str, Any]] = json.load(reply)["predictions"]
        return answers


question = json.dumps({"images": [images[0].ravel().tolist()]}).encode()  # one, as 784 numbers
(answer,) = ask(question, "application/json")
print(answer["label"], answer["confidence"], "unsure:", answer["unsure"])

answers = ask(images.tobytes(), "application/octet-stream")  # many, as bytes
right = [answer["label"] == str(label) for answer, label in zip(answers, true, strict=True)]
accuracy = sum(right) / len(right)
print(f"{len(right)} pictures, accuracy {accuracy:.3f}")
