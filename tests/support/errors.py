"""What tests ask of an error: its code and its facts, so that its words stay free."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tenfold.core.errors import TenfoldError


@contextmanager
def refused(code: str, facts: str = "") -> Iterator[pytest.ExceptionInfo[TenfoldError]]:
    """The block raises the error of this code; a pattern is found in its facts and place."""
    with pytest.raises(TenfoldError) as raised:
        yield raised
    error = raised.value
    assert error.code == code, f"{error} [{error.code}]"
    told = ", ".join(f"{name}={value!r}" for name, value in error.facts.items())
    told += "" if error.where is None else f" ({error.where})"
    assert re.search(facts, told), told
