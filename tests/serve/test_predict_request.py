"""Bodies of requests: what is read, what is refused, and in which words."""

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tenfold.core.contract import Contract, FeaturesInput, ImageInput
from tenfold.inputs.tables.columns import Table
from tenfold.serve.json_text import read_json
from tenfold.serve.limits import Limits
from tenfold.serve.messages import HTTPError
from tenfold.serve.predict_request import PredictRequest, read_predict_request
from tests.support.service import JSON, RAW, as_json, png

SMALL = Contract(
    tenfold="0",
    learner="network",
    task="classification",
    labels=("a", "b"),
    input=ImageInput(height=2, width=3),
)
DIGITS = SMALL.model_copy(update={"input": ImageInput(height=28, width=28)})
COLOUR = SMALL.model_copy(update={"input": ImageInput(height=2, width=2, channels=3)})
FEATURES = SMALL.model_copy(update={"input": FeaturesInput(n_features=2)})


def read(
    body: bytes, contract: Contract = SMALL, kind: str = JSON, **limits: Any
) -> PredictRequest:
    return read_predict_request(body, kind, contract, Limits(**limits))


def refused(body: bytes, *arguments: Any, **named: Any) -> HTTPError:
    with pytest.raises(HTTPError) as found:
        read(body, *arguments, **named)
    return found.value


def test_pictures_are_numbers_in_one_list_or_in_lists() -> None:
    flat, nested = [0, 1, 2, 3, 4, 255], [[0, 1, 2], [3, 4, 255]]
    assert read(as_json(images=[flat])).notes == []
    request = read(as_json(images=[flat, nested, [float(value) for value in flat]]))
    assert request.kind == "images" and request.errors == [None] * 3
    assert isinstance(request.rows, np.ndarray) and request.rows.dtype == np.uint8
    assert (request.rows == np.array(nested)).all()
    colour = [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 120]]]
    assert read(as_json(images=[colour]), COLOUR).rows.tolist() == [colour]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (
            [1] * 5,
            (
                "The item is not a picture of this size: found='a list of 5'. Expected 2 x 3 "
                "or 6 numbers."
            ),
        ),
        ([[1, 2], [3, 4], [5, 6]], "The item is not a picture"),
        ([[1, 2, 3], [4, 5]], "The item is not a picture"),
        ("123456", "The text is not a picture in base64"),
        (None, "found='null'"),
        ([0, 0, 0, 0, 0, 256], "A value is not a pixel: value=256"),
        ([0, 0, 0, 0, 0, -1], "value=-1"),
        ([0, 0, 0, 0, 0, 0.5], "value=0.5. Expected whole numbers from 0 to 255. Values from 0"),
        ([0, 0, 0, 0, 0, True], "value=True"),
        ([0, 0, 0, 0, 0, "1"], "value='text'"),
    ],
)
def test_an_item_that_is_no_picture_fails_alone(item: Any, words: str) -> None:
    request = read(as_json(images=[item, [70] * 6]))
    assert isinstance(request.rows, np.ndarray) and request.rows.tolist() == [[[70] * 3] * 2]
    assert request.errors[1] is None and words in str(request.errors[0])
    alone = refused(as_json(images=[item]))
    assert alone.status == 422 and words in str(alone)


def test_infinity_is_no_pixel_and_no_feature() -> None:
    assert "A value is not a pixel: value=inf" in str(
        refused(b'{"images": [[0, 0, 0, 0, 0, 1e999]]}')
    )
    assert "A value is not a finite number" in str(refused(b'{"features": [[0, 1e999]]}', FEATURES))
    whole = b'{"features": [[0, 1' + b"0" * 400 + b"]]}"
    assert "A value is not a finite number" in str(refused(whole, FEATURES))


def test_features_are_lists_of_numbers() -> None:
    assert read(b'{"features": [[1, 2.5]]}', FEATURES).rows.tolist() == [[1, 2.5]]  # type: ignore[union-attr]
    assert "The item is not a list of features: found='a list of 1'. Expected a list of 2" in str(
        refused(b'{"features": [[1]]}', FEATURES)
    )
    assert "The item is not a list of features" in str(
        refused(b'{"features": [[1, true]]}', FEATURES)
    )


def test_raw_bytes_are_whole_pictures() -> None:
    request = read(bytes(range(20, 32)), kind=RAW)
    assert request.kind == "raw" and request.errors == (None, None)
    assert np.ravel(request.rows).tolist() == list(range(20, 32))  # type: ignore[arg-type]
    found = refused(bytes(7), kind=RAW)
    assert found.status == 422
    assert (
        str(found)
        == "The body does not contain whole pictures: n_bytes=7. Expected 6 bytes for each, 2 x 3."
    )


def test_pictures_of_ones_are_stretched_and_said() -> None:
    ones = [0, 0, 1, 1, 0, 0]
    for request in (
        read(as_json(images=[ones, [20] * 6])),
        read(bytes([*ones, *[20] * 6]), kind=RAW),
    ):
        rows: Any = request.rows
        assert rows.reshape(2, 6).tolist() == [[255 * one for one in ones], [20] * 6]
        assert len(request.notes) == 1 and "1 of 2 pictures" in request.notes[0]


def test_a_picture_goes_through_the_fit() -> None:
    drawn = np.zeros((60, 60), np.uint8)
    drawn[10:50, 28:34] = 255
    request = read(png(drawn), DIGITS, "image/png")
    (steps,) = request.steps
    assert request.kind == "picture" and steps and steps.problem is None
    assert request.rows.shape == (1, 28, 28)  # type: ignore[union-attr]
    blank = read(png(np.full((60, 60), 200, np.uint8)), DIGITS, "image/png")
    (steps,) = blank.steps
    assert steps and steps.problem == "nothing is drawn on it"
    found = refused(png(drawn), DIGITS, "image/png", pixels=3500)
    assert found.status == 422
    assert (
        "The picture is too large: width=60, height=60 (picture). Expected at most 0.0035 million"
        in (str(found))
    )
    assert "The file is not a picture" in str(refused(b"GIF8 no", DIGITS, "image/gif"))


def test_what_is_no_request() -> None:
    for body, words in [
        (
            b"[]",
            (
                "The JSON object does not have the expected form: found='list'. Expected "
                '{"images": [...]}.'
            ),
        ),
        (b"{}", "found=[]"),
        (b'{"rows": []}', "found=['rows']"),
        (b'{"images": [], "top": 1}', "found=['images', 'top']"),
        (b'{"images": 1}', "The value is not a list: found='a number' (images)"),
        (b'{"images": []}', "The request is empty: items=0"),
        (b"", "The body is not valid JSON: problem='Expecting value' (line 1, column 1)."),
        (b'{"images": [[1,]]}', "The body is not valid JSON"),
        (
            b'{"images": [NaN]}',
            "JSON does not allow this number: value='NaN'. Expected finite numbers.",
        ),
        (b'{"images": [-Infinity]}', "value='-Infinity'"),
        (b'{"images": [], "images": []}', "A key occurs twice: key='images'"),
        (
            b'{"images": [' + b"1" * 5000 + b"]}",
            "A number has too many digits. Expected at most 4,300 digits.",
        ),
        (b'{"images": "\xff"}', "The body is not UTF-8 (byte 12)"),
        (b"\xef\xbb\xbf{}", "The body is not valid JSON"),
        (
            b'{"images": [[[[[[[[[1]]]]]]]]]}',
            "The JSON is nested too deeply. Expected at most 8 levels.",
        ),
        (b"[" * 100_000, "The JSON is nested too deeply"),
        (b'{"a":' * 100_000, "The JSON is nested too deeply"),
    ]:
        found = refused(body)
        assert found.status == 422 and words in str(found), body[:40]
    many = refused(as_json(images=[[0] * 6] * 4), items=3)
    assert (
        many.status == 413
        and str(many) == "The request has too many items: items=4. Expected at most 3."
    )
    assert refused(bytes(24), kind=RAW, items=3).status == 413
    other = refused(b"x", FEATURES, RAW)
    assert other.status == 415 and "Expected JSON" in str(other)


def test_brackets_inside_text_are_not_deep() -> None:
    assert read_json(b'{"a": "[[[[[[[[[[\\"[[[[[[[[["}', Limits(json_depth=3)) == {
        "a": '[[[[[[[[[["[[[[[[[[['
    }
    assert read_json(b"[[],[],[],[],[[]]]", Limits(json_depth=3)) == [[], [], [], [], [[]]]
    with pytest.raises(HTTPError, match="The JSON is nested too deeply"):
        read_json(b"[[],[],[],[],[[]]]", Limits(json_depth=2))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def depth(value: Any) -> int:
    if isinstance(value, list | dict):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth, inner), default=0)
    return 0


@given(VALUES, st.integers(1, 8))
@example({"[": None}, 1)
def test_json_is_read_like_json_and_its_depth_is_known(value: Any, most: int) -> None:
    body = json.dumps(value).encode()
    if depth(value) > most:
        with pytest.raises(HTTPError, match="The JSON is nested too deeply"):
            read_json(body, Limits(json_depth=most))
    else:
        assert read_json(body, Limits(json_depth=most)) == value


@given(st.binary(max_size=60) | st.text('[]{}",:\\0e1-.NaIfntrueslx ', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        value = read_json(body, Limits(json_depth=5))
    except HTTPError as refusal:
        assert refusal.status == 422
    else:
        assert depth(value) <= 5
        json.dumps(value, allow_nan="1e" in body.decode())


def test_rows_of_a_table(table_contract: Contract) -> None:
    sent = [{"size": 1, "kind": "a"}, {"size": [1], "kind": "a"}, 7, {"size": "2,5", "kind": None}]
    request = read(as_json(rows=sent), table_contract)
    assert isinstance(request.rows, Table) and len(request.rows) == 2
    assert request.errors[0] is None and request.errors[3] is None
    assert "A value is not a cell: found='a list of 1' (size). Expected text or a number." in str(
        request.errors[1]
    )
    assert "The item is not a row: found='a number'" in str(request.errors[2])
    assert "A value is not a finite number (size)" in str(
        refused(b'{"rows": [{"size": 1e999, "kind": "a"}]}', table_contract)
    )


def test_a_row_without_a_column_is_refused_in_any_company(table_contract: Contract) -> None:
    whole = {"size": 1, "kind": "a"}
    said = read(as_json(rows=[whole, {"kind": "a"}, {"other": 1}]), table_contract).errors
    assert said[
        0
    ] is None and "The row lacks columns that the model needs: columns=['size'] (rows)" in str(
        said[1]
    )
    assert str(said[1]) in str(refused(as_json(rows=[{"kind": "a"}]), table_contract))
    assert "columns=['size', 'kind']" in str(said[2])


def test_columns_of_their_own_in_each_row_cost_nothing(table_contract: Contract) -> None:
    rows = [{"size": i, "kind": "a", **{f"own-{i}-{j}": 1 for j in range(20)}} for i in range(400)]
    request = read(as_json(rows=rows), table_contract)  # a frame of 8,002 columns took 5 s
    assert isinstance(request.rows, Table) and list(request.rows.columns) == ["size", "kind"]
    (note,) = request.notes
    assert "columns not used by the model: own-0-0, " in note


def test_a_long_text_takes_no_memory_to_be_measured() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(HTTPError, match="The body is not valid JSON"):
            read_json(b'[[["' + b"a" * 1_000_000, Limits(json_depth=8))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000  # it was 115 times the text
    finally:
        tracemalloc.stop()


@pytest.fixture
def table_contract() -> Contract:
    from tenfold.core.contract import Column, TableInput

    columns = (
        Column(name="size", kind="number"),
        Column(name="kind", kind="category", levels=("a",)),
    )
    return SMALL.model_copy(update={"input": TableInput(columns=columns, target="answer")})
