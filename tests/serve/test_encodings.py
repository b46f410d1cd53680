"""Bodies as clients send them: gzip, a form, base64; and JSON that is too much to be read."""

import base64
import gc
import gzip
import json
import shutil
import subprocess
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold import Run
from tenfold.serve import json_text
from tenfold.serve.application import Application
from tenfold.serve.encodings import boundary_of, decompressed, form_files
from tenfold.serve.json_text import check_structure, read_json
from tenfold.serve.limits import Limits
from tenfold.serve.messages import HTTPError
from tenfold.serve.predict_request import read_predict_request
from tests.conftest import Few
from tests.support.errors import refused
from tests.support.service import JSON, RAW, as_json, guard_of, images, png, predict, service


@pytest.fixture(scope="module")
def guard(small_run: Run) -> Application:
    return guard_of(small_run)


def drawn(few: Few) -> bytes:
    return png(np.kron(few(1).images[0], np.ones((4, 4), np.uint8)))


def form(*files: bytes, end: bytes = b"--\r\n") -> bytes:
    head = b'content-disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    parts = [b'content-disposition: form-data; name="note"\r\n\r\nhello']
    parts += [head + content for content in files]
    return b"".join(b"--XyZ\r\n" + part + b"\r\n" for part in parts) + b"--XyZ" + end


FORM = 'multipart/form-data; boundary="XyZ"'


# Compressed


@pytest.mark.parametrize("coding", ["gzip", "deflate", "GZIP"])
def test_a_compressed_body_is_answered_as_any_other(
    guard: Application, few: Few, coding: str
) -> None:
    body = images(few(2).images[:2])
    packed = zlib.compress(body) if coding == "deflate" else gzip.compress(body)
    told = predict(guard, packed, headers={"content-encoding": coding})
    assert told.status == 200 and told.json == predict(guard, body).json


def test_a_bomb_is_refused_after_as_many_bytes_as_a_body_may_have(guard: Application) -> None:
    bomb = gzip.compress(bytes(100 << 20), 1)
    assert len(bomb) < Limits().body_bytes
    tracemalloc.start()
    told = predict(guard, bomb, RAW, headers={"content-encoding": "gzip"})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert told.status == 413 and "at most 16777216 bytes" in told.error
    assert peak < 60 << 20
    twice = gzip.compress(gzip.compress(bytes(1 << 20)))
    assert predict(guard, twice, RAW, headers={"content-encoding": "gzip"}).status == 422
    assert predict(guard, twice, RAW, headers={"content-encoding": "gzip, gzip"}).status == 415


def test_a_damaged_compressed_body_is_refused() -> None:
    good = gzip.compress(b"[1, 2]")
    assert decompressed(good, Limits()) == b"[1, 2]"
    for wrong in (b"", b"x", good[:-1], good[:-9], good + good, b"\x1f\x8b" + bytes(20)):
        with pytest.raises(HTTPError) as found:
            decompressed(wrong, Limits())
        assert found.value.status == 422


# Forms and base64


def test_files_of_a_form_and_base64_are_answered_like_the_file(
    guard: Application, few: Few
) -> None:
    picture = drawn(few)
    (alone,) = predict(guard, picture, "image/png").json["predictions"]
    told = predict(guard, form(picture, b"no picture", picture), FORM)
    first, wrong, last = told.json["predictions"]
    assert first == alone and last == alone | {"row": 2}
    assert wrong["row"] == 1 and "error" in wrong
    text = base64.b64encode(picture).decode()
    sent = [
        text,
        f"data:image/png;base64,{text}",
        text[:-5],
        "häßlich",
        [1],
        [0] * 784,
        "=".join(["AAA"] * 2),
    ]
    told = predict(guard, as_json(images=sent))
    answers = told.json["predictions"]
    assert answers[0] == alone | {"input": "images"}
    assert answers[1] == alone | {"input": "images", "row": 1}
    assert all("The text is not a picture in base64" in answer["error"] for answer in answers[2:4])
    assert "The item is not a picture of this size" in answers[4]["error"]
    (black,) = predict(guard, as_json(images=[[0] * 784])).json["predictions"]
    assert answers[5] == black | {"row": 5}
    assert "The text is not a picture in base64" in answers[6]["error"]


def test_a_form_that_is_none_is_refused(guard: Application) -> None:
    for body, words in [
        (b"", "The form has no end"),
        (b"--XyZ", "The form has no end"),
        (form(b"a", end=b""), "The form has no end"),
        (form(), "The request is empty"),
        (form(b"a"), "picture"),
        (b"--XyZ--", "The request is empty"),
    ]:
        told = predict(guard, body, FORM)
        assert told.status == 422 and words in told.error
    many = guard_of_items(guard, form(*[b"a"] * 4))
    assert many.status == 413


def guard_of_items(guard: Application, body: bytes) -> Any:
    limited = guard_of(guard.predictors["/v1/predict"].run, items=3)
    return predict(limited, body, FORM)


@given(st.lists(st.binary(max_size=50), max_size=4))
def test_files_come_out_of_a_form_as_they_went_in(files: list[bytes]) -> None:
    files = [content for content in files if b"\r\n--XyZ" not in b"\r\n" + content]
    assert form_files(form(*files), boundary_of(FORM) or "", 9) == files


@given(st.binary(max_size=300))
def test_any_form_is_read_or_refused(body: bytes) -> None:
    try:
        form_files(body, "", 9)
        form_files(body, "-", 9)
    except HTTPError as refusal:
        assert refusal.status == 422


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_sends_a_file_as_a_form(small_run: Run, few: Few, tmp_path: Path) -> None:
    picture = tmp_path / "photo.png"
    picture.write_bytes(drawn(few))
    with service(small_run, log=tmp_path / "log") as running:
        address = f"http://127.0.0.1:{running.port}/v1/predict"
        command = ["curl", "-sS", "-F", f"file=@{picture}", address]
        found = subprocess.run(command, capture_output=True, check=True).stdout
        (answer,) = json.loads(found)["predictions"]
        assert answer["input"] == "picture" and "label" in answer
        packed = tmp_path / "body.gz"
        packed.write_bytes(gzip.compress(images(few(1).images[:1])))
        command = ["curl", "-sS", "--data-binary", f"@{packed}", address]
        command += ["-H", f"content-type: {JSON}", "-H", "content-encoding: gzip"]
        found = subprocess.run(command, capture_output=True, check=True).stdout
        assert "label" in json.loads(found)["predictions"][0]


# JSON that is looked at before it is read


def n_counted(value: Any) -> int:
    """Commas, colons and opening brackets of a value as JSON has them."""
    if not isinstance(value, dict | list):
        return 0
    inner = [*value.values()] if isinstance(value, dict) else value
    n = 1 + max(0, len(inner) - 1) + (len(inner) if isinstance(value, dict) else 0)
    return n + sum(map(n_counted, inner))


VALUES = st.recursive(
    st.none() | st.integers() | st.text('",:[]{}\\a', max_size=12),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(',"\\', max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES, st.lists(VALUES, max_size=3), st.integers(1, 9))
def test_values_are_counted_as_they_are_in_any_parts(
    value: Any, items: list[Any], n_bytes: int
) -> None:
    limits = Limits(json_depth=100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "PART_BYTES", n_bytes)
        patch.setattr(json_text, "SMALL_BYTES", -1)
        body, n = json.dumps(value).encode(), 1 + n_counted(value)
        check_structure(body, limits, n, of_items=False)
        if n > 1:
            with pytest.raises(HTTPError, match="too many values"):
                check_structure(body, limits, n - 1, of_items=False)
        body = json.dumps({"images": items}).encode()
        n = max([2, *(1 + n_counted(item) for item in items)]) + 4
        check_structure(body, limits, n, of_items=True)


def test_large_json_is_read_item_by_item_as_at_once() -> None:
    items = [[i] * 200 for i in range(300)]
    body = json.dumps({"images": items}, indent=1).encode()
    assert len(body) > json_text.SMALL_BYTES
    assert read_json(body, Limits(), of_items=True) == {"images": items} == json.loads(body)
    for wrong in (
        body[:-1],
        body + b"x",
        body.replace(b"7", b"x", 1),
        body[:-2] + b"]" + body[-2:],
        body[:-1] + b', "a": 1}',
        body.replace(b"[", b"[,", 1),
    ):
        with pytest.raises(HTTPError) as found:
            read_json(wrong, Limits(), of_items=True)
        assert found.value.code == "E960"
    with pytest.raises(HTTPError, match="too many items"):
        read_json(body, Limits(items=299), of_items=True)


@given(
    st.recursive(
        st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=5),
    )
)
def test_both_decoders_read_the_same(value: Any) -> None:
    body = json.dumps({"images": value}).encode()
    assert json.dumps(read_json(body, Limits(json_depth=100))) == json.dumps({"images": value})
    for wrong in (body[:-1], body + b"]", body.replace(b"{", b"{,"), body.replace(b": ", b": 0")):
        with pytest.raises(HTTPError):
            read_json(wrong, Limits(json_depth=100))


@pytest.mark.parametrize("body", [b"1" * 150_000, b" " * 150_000], ids=["number", "gap"])
def test_long_numbers_and_gaps_are_refused(body: bytes) -> None:
    with refused("E985"):
        read_json(b'{"images": [[' + body + b"1]]}", Limits(), of_items=True)


HOSTILE = {
    "commas": b"[" + b"," * 15_000_000,
    "zeros": b"[" + b"0," * 7_000_000 + b"0]",
    "lists": b"[" * 15_000_000,
    "empty lists": b"[" + b"[]," * 5_000_000 + b"[]]",
    "empty objects": b'{"images": [' + b"{}," * 5_000_000 + b"{}]}",
    "texts": b'{"images": [' + b'"",' * 5_000_000 + b'""]}',
    "keys": b"{" + b'"":0,' * 3_000_000 + b'"":0}',
    "backslashes": b'["' + b"\\" * 15_000_000,
    "quotes": b'"' * 15_000_000,
    "escapes": b'{"images": ["' + b"\\u0041" * 2_500_000 + b'"]}',
    "digits": b'{"images": [[' + b"1" * 15_000_000 + b"]]}",
    "decimals": b'{"images": [[0.' + b"1" * 15_000_000 + b"]]}",
    "blanks": b'{"images": [' + b" " * 15_000_000 + b"0]}",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_large_json_is_refused_before_it_is_built(body: bytes) -> None:
    tracemalloc.start()
    start = time.process_time()
    for of_items in (False, True):
        with pytest.raises(HTTPError):
            read_json(body, Limits(), of_items=of_items)
    seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 3 and peak < 3 * len(body)


def longest_hold(function: Callable[[], object]) -> float:
    """The most processor time that a thread takes between two turns of the main thread."""
    clocks: SimpleQueue[int] = SimpleQueue()

    def call() -> None:
        clocks.put(time.pthread_getcpuclockid(threading.get_ident()))
        function()

    gc.disable()  # the service looks for cycles seldom
    thread = threading.Thread(target=call)
    thread.start()
    clock, last, longest = clocks.get(), 0.0, 0.0
    with suppress(OSError):  # its clock ends with the thread
        while thread.is_alive():
            time.sleep(0.0002)
            now = time.clock_gettime(clock)
            longest, last = max(longest, now - last), now
    thread.join()
    gc.enable()
    return longest


ITEMS = {
    "pictures": [[0] * 784] * 1000,
    "too long": [[0] * 9_990] * 140,
    "nested": [[[[[[0]]]]] * 1600] * 180,
    "objects": [{str(i): 0 for i in range(4_990)}] * 140,
    "text": ["A" * 15_000_000],
}


@pytest.mark.parametrize("name", [*ITEMS, "texts", "quotes", "digits", "blanks", "escapes"])
def test_no_json_holds_the_interpreter(guard: Application, name: str) -> None:
    """Base64 of 15 MB held it for 29 ms, and the others waited; now no body does for 20 ms."""
    body = HOSTILE.get(name) or as_json(images=ITEMS[name])
    contract = guard.predictors["/v1/predict"].model.contract

    def read() -> None:
        with suppress(HTTPError):
            read_predict_request(body, JSON, contract, Limits())

    for _ in range(10):  # other programs only add time
        if longest_hold(read) < 0.02:
            return
    raise AssertionError("it was held for more than 20 ms each time")
