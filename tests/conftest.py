"""Shared parts of the tests: small real digits, and runs made once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import tenfold
from tenfold import Dataset, Run

Few = Callable[..., Dataset]


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    return tenfold.load("mnist")


@pytest.fixture(scope="session")
def few(mnist: Dataset) -> Few:
    """The first digits: `few(300, 100)` has 300 training and 100 official test rows."""

    def make(n: int = 400, n_test: int = 100) -> Dataset:
        return mnist.take(np.r_[:n, 60_000 : 60_000 + n_test])

    return make


@pytest.fixture(scope="session")
def small_run(few: Few, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run on a few hundred digits. Tests must leave it as it is."""
    return tenfold.train(few(600, 200), epochs=3, out=tmp_path_factory.mktemp("runs"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in a folder of its own, so that no test writes into the project."""
    monkeypatch.chdir(tmp_path)
    yield
