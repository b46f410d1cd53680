"""The service with a model of photos: the files that people send, as forms, bytes and base64."""

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tenfold import Run
from tenfold.inputs.pictures.preprocess import preprocess
from tenfold.serve.application import Application
from tests.conftest import Once
from tests.support.photos import photo, photo_folder, photo_run
from tests.support.service import RAW, as_json, guard_of, predict

FORM = 'multipart/form-data; boundary="XyZ"'


@pytest.fixture(scope="module")
def run(once: Once, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return photo_run(once, photo_folder(tmp_path_factory.mktemp("served") / "shapes"))


@pytest.fixture(scope="module")
def guard(run: Run) -> Application:
    return guard_of(run)


def encoded(image: Image.Image, kind: str) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **({"quality": 90} if kind == "JPEG" else {}))
    return written.getvalue()


def form(*files: bytes) -> bytes:
    head = b'content-disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    return b"".join(b"--XyZ\r\n" + head + content + b"\r\n" for content in files) + b"--XyZ--\r\n"


def answers_to(guard: Application, body: bytes, kind: str = "application/json") -> Any:
    told = predict(guard, body, kind)
    assert told.status == 200, told.body
    return told.json["predictions"]


@pytest.mark.parametrize(("kind", "media_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png")])
def test_a_photo_is_predicted_as_python_predicts_it(
    guard: Application, run: Run, tmp_path: Path, kind: str, media_type: str
) -> None:
    # Larger than the model sees, and not square.
    content = encoded(photo("disc", 900, (300, 200)), kind)
    (tmp_path / "photo").write_bytes(content)
    model: Any = run.model
    expected = model.predict_one(tmp_path / "photo")
    (answer,) = answers_to(guard, content, media_type)
    assert answer["label"] == expected.label and answer["unsure"] == expected.unsure
    assert answer["confidence"] == pytest.approx(expected.confidence, abs=1e-5)
    pixels = preprocess(tmp_path / "photo", model.contract.input).image
    assert answers_to(guard, pixels.tobytes(), RAW) == [answer | {"input": "raw"}]


def test_a_form_and_base64_give_the_same_predictions(guard: Application) -> None:
    photos = [encoded(photo("stripes", 901), "JPEG"), encoded(photo("disc", 902), "PNG")]
    alone = [answers_to(guard, one, "image/jpeg")[0] for one in photos]
    assert alone[0]["probabilities"] != alone[1]["probabilities"]
    in_form = answers_to(guard, form(*photos), FORM)
    assert in_form == [one | {"row": row} for row, one in enumerate(alone)]
    texts = [base64.b64encode(one).decode() for one in photos]
    in_text = answers_to(guard, as_json(images=[texts[0], f"data:image/png;base64,{texts[1]}"]))
    assert in_text == [one | {"row": row, "input": "images"} for row, one in enumerate(alone)]


def test_wrong_bytes_are_refused_and_spare_the_other_photos(guard: Application) -> None:
    good = encoded(photo("disc", 903), "JPEG")
    for wrong in (b"no photo", good[: len(good) // 3]):
        assert predict(guard, wrong, "image/jpeg").status == 422
        damaged, answer = answers_to(guard, form(wrong, good), FORM)
        assert "error" in damaged and answer["label"] and "error" not in answer
    text = base64.b64encode(b"no photo").decode()
    damaged, answer = answers_to(guard, as_json(images=[text, base64.b64encode(good).decode()]))
    assert "error" in damaged and answer["label"]
