"""Record what the program computes, and compare with what was recorded.

Trains each learner on small data with a fixed seed by the command line alone, so that no name of a
module matters. Files are recorded by their SHA-256, printed answers as they are. The bits of a
network hold for one machine: record and check on the same one.

Usage: python tools/house/baseline.py record|check [--tolerance 1e-6]
"""

import argparse
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[2]
RECORDED = Path(__file__).with_name("baseline.json")
DATA = ROOT / "tests" / "runs_of_0_1" / "data.zip"
TENFOLD = (sys.executable, "-m", "tenfold.cli")
FILES = ("model.onnx", "predictions.csv", "evaluation.json")

NETWORK = "--hidden 16 --epochs 3 --batch-size 16"
TRAINED = {
    **{
        f"mnist-{learner}": f"mnist-part --learner {learner} {options}"
        for learner, options in {
            "network": NETWORK, "cnn": "--epochs 2 --batch-size 32", "forest": "", "bayes": "",
            "logistic": "", "neighbors": "", "baseline": "",
        }.items()
    },
    **{
        f"iris-{learner}": f"iris.csv --target species --learner {learner} {options}"
        for learner, options in {
            "network": NETWORK, "forest": "", "bayes": "", "logistic": "", "neighbors": "",
        }.items()
    },
    **{
        f"diabetes-{learner}": f"diabetes.csv --target progression --learner {learner} {options}"
        for learner, options in {
            "network": NETWORK, "forest": "", "linear": "", "neighbors": "",
        }.items()
    },
    "orders": f"orders.csv --target late --folds 2 --robustness --cost false_negative=2 {NETWORK}",
    "days": "days.csv --target temperature --time day --lags 7 --learner linear",
    "pictures": "pictures --learner cnn --epochs 2 --batch-size 16",
    "digits": "digits --learner network --hidden 16 --epochs 2 --recipe long --batch-size 32",
}  # fmt: skip
ASKED = {
    "mnist": "asked/mnist.idx asked/seven.png", "iris": "asked/iris.csv", "days": "asked/days.csv",
    "diabetes": "asked/diabetes.csv", "orders": "asked/orders.csv", "digits": "asked/digits.idx",
    "pictures": "asked/picture.png",
}  # fmt: skip
MORE = {
    "sweep": "sweep iris.csv --target species --hidden 4,8 --layers 1 --epochs 3 --workers 1 --json",
    "compare": "compare iris.csv --target species --learners bayes,logistic --workers 1 --json",
}


def tenfold(command: str, folder: Path) -> str:
    """What a command prints."""
    words = [*TENFOLD, *shlex.split(command)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"tenfold {command}\n{done.stdout}{done.stderr}")
    return done.stdout


def computed(folder: Path) -> dict[str, Any]:
    """All that is compared, by name."""
    with ZipFile(DATA) as archive:
        archive.extractall(folder)
    found: dict[str, Any] = {}
    for name, command in TRAINED.items():
        run = Path("out", name)
        tenfold(f"train {command} --seed 1 --out {run}", folder)
        (made,) = (folder / run).iterdir()
        for file in FILES:
            found[f"{name}/{file}"] = hashlib.sha256((made / file).read_bytes()).hexdigest()
        asked = ASKED[name.split("-")[0]]
        found[f"{name}/predict"] = json.loads(
            tenfold(f"predict {made.relative_to(folder)} {asked} --json", folder)
        )
        print(name, file=sys.stderr, flush=True)
    (made,) = (folder / "out" / "mnist-network").iterdir()
    found["read"] = json.loads(tenfold(f"read {made} asked/page.png --no-picture --json", folder))
    (days,) = (folder / "out" / "days").iterdir()
    found["forecast"] = json.loads(tenfold(f"predict {days} --steps 3 --json", folder))
    for name, command in MORE.items():
        found[name] = without_times(json.loads(tenfold(f"{command} --out out/{name}", folder)))
    found["service"] = served(folder, made)
    return found


def without_times(value: Any) -> Any:
    """What was printed without seconds and paths, which differ between runs."""
    if isinstance(value, dict):
        varying = re.compile(r"second|created|path|run$|folder")
        return {k: without_times(v) for k, v in value.items() if not varying.search(k)}
    if isinstance(value, str):
        return re.sub(r"[\d.]+ times the training time \([^)]*\)", "TIME", value)
    return [without_times(one) for one in value] if isinstance(value, list) else value


def served(folder: Path, run: Path) -> list[Any]:
    """What the service answers for ten rows of pixels, and for two rows of a table."""
    (table,) = (folder / "out" / "iris-network").iterdir()
    pixels = (folder / "mnist-part" / "t10k-images-idx3-ubyte").read_bytes()[16 : 16 + 7840]
    images = [[list(pixels[n * 784 + r * 28 :][:28]) for r in range(28)] for n in range(10)]
    names = (folder / "iris.csv").read_text().splitlines()[0].split(",")[:4]
    cells = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
    rows = [dict(zip(names, row, strict=True)) for row in cells]
    answers = []
    for model, questions in ((run, {"images": images}), (table, {"rows": rows})):
        process = subprocess.Popen(
            [*TENFOLD, "serve", str(model), "--port", "0"], cwd=folder,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        address = None
        while address is None:
            address = re.search(r"http://127\.0\.0\.1:\d+", line := process.stdout.readline())
            if not line:
                raise SystemExit("The service ended")
        request = urllib.request.Request(
            f"{address.group()}/v1/predict", json.dumps(questions).encode(),
            {"Content-Type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request) as answer:
                answers.append(without_times(json.load(answer)))
        finally:
            process.terminate()
            process.wait()
    return answers


def differences(old: Any, new: Any, tolerance: float, where: str = "") -> list[str]:
    """Where two recorded values differ by more than a tolerance."""
    if isinstance(old, dict) and isinstance(new, dict):
        missing = [f"{where}/{key}: only on one side" for key in old.keys() ^ new.keys()]
        shared = [key for key in old if key in new]
        return missing + [
            line for key in shared
            for line in differences(old[key], new[key], tolerance, f"{where}/{key}")
        ]  # fmt: skip
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            line for n, pair in enumerate(zip(old, new, strict=True))
            for line in differences(*pair, tolerance, f"{where}[{n}]")
        ]  # fmt: skip
    if isinstance(old, float) and isinstance(new, float) and abs(old - new) <= tolerance:
        return []
    return [] if old == new else [f"{where}: {old!r} was {new!r}"[:200]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["record", "check"])
    parser.add_argument("--tolerance", type=float, default=0.0)
    options = parser.parse_args()
    os.environ.setdefault("MPLBACKEND", "agg")
    with tempfile.TemporaryDirectory() as folder:
        found = computed(Path(folder).resolve())
    if options.what == "record":
        RECORDED.write_text(json.dumps(found, indent=1) + "\n")
        return
    lines = differences(*map(without_times, (json.loads(RECORDED.read_text()), found)), options.tolerance)
    print("\n".join(lines) or f"{len(found)} values as recorded")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
