"""The tree of errors and the one form of their messages."""

import doctest
import inspect
import os
import pickle
import re

import pytest

from tenfold.core import errors
from tenfold.core.errors import TenfoldError, did_you_mean, message, printable

TREE = [
    (errors.DataError, ValueError),
    (errors.FormatError, ValueError),
    (errors.SettingsError, ValueError),
    (errors.ModelError, ValueError),
    (errors.ExportError, RuntimeError),
    (errors.RunError, ValueError),
    (errors.BackendError, RuntimeError),
    (errors.FetchError, OSError),
    (errors.FileError, OSError),
]


@pytest.mark.parametrize(("kind", "builtin"), TREE, ids=lambda part: part.__name__)
def test_each_error_is_caught_as_ours_and_as_the_built_in_it_refines(
    kind: type[TenfoldError], builtin: type[Exception]
) -> None:
    for caught in (TenfoldError, builtin):
        with pytest.raises(caught) as error:
            raise kind("E100", "Too few rows", where="a.csv", code=1)
        assert str(error.value) == "Too few rows: code=1 (a.csv)."
        assert isinstance(error.value, TenfoldError)
        assert (error.value.code, error.value.where) == ("E100", "a.csv")
        assert error.value.facts == {"code": 1}


def test_an_error_is_the_same_after_the_way_to_another_process() -> None:
    error = errors.FileError("E901", "Cannot read", where="a.csv", reason="it is gone")
    for other in (
        pickle.loads(pickle.dumps(error)),
        errors.restored("FileError", error.code, str(error)),
    ):
        assert type(other) is errors.FileError and isinstance(other, OSError)
        assert (other.code, str(other)) == ("E901", "Cannot read: reason='it is gone' (a.csv).")


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    drawn = re.findall(r"─ (\w+) +\((\w+)\)", errors.__doc__ or "")
    assert drawn == [(kind.__name__, builtin.__name__) for kind, builtin in TREE]
    defined = {kind for _, kind in inspect.getmembers(errors, inspect.isclass)}
    ours = {kind for kind in defined if kind.__module__ == errors.__name__}
    assert ours == {TenfoldError, errors.TargetError, *(kind for kind, _ in TREE)}


def test_a_message_is_wrong_facts_where_rule_fix_in_this_order() -> None:
    text = message(
        "The file is too short",
        where="a.idx",
        expected="784 more",
        fix="Download it again",
        n_bytes=12,
        name="a",
    )
    assert text == (
        "The file is too short: n_bytes=12, name='a' (a.idx). Expected 784 more. Download it again."
    )


def test_a_message_leaves_out_what_it_is_not_given() -> None:
    assert message("Damaged") == "Damaged."
    assert message("Damaged", where="a.idx") == "Damaged (a.idx)."
    assert message("Damaged", expected="a file") == "Damaged. Expected a file."
    assert message("Damaged", n=0) == "Damaged: n=0."


def test_a_question_as_the_fix_gets_no_full_stop() -> None:
    assert message("Unknown", fix="Did you mean 'a'?") == "Unknown. Did you mean 'a'?"


def test_the_place_is_shown_even_where_it_is_falsy() -> None:
    assert message("Damaged", where=0) == "Damaged (0)."


def test_the_closest_known_name_is_suggested() -> None:
    assert did_you_mean("tutorail", ["default", "tutorial"]) == "Did you mean 'tutorial'?"
    assert did_you_mean("minst", iter(["mnist"])) == "Did you mean 'mnist'?"


@pytest.mark.parametrize("known", [["default", "tutorial"], []])
def test_nothing_is_suggested_where_nothing_is_close(known: list[str]) -> None:
    assert did_you_mean("zebra", known) is None


def test_the_examples_in_the_docstrings_hold() -> None:
    result = doctest.testmod(errors)
    assert result.attempted >= 2
    assert result.failed == 0


def test_a_place_that_is_no_text_can_be_written_down() -> None:
    name = os.fsdecode(b"caf\xe9.png")
    said = message("Not a picture", where=name, name=name)
    assert said == r"Not a picture: name='caf\udce9.png' (caf\udce9.png)."
    assert said.encode() and printable("café") == "café"
