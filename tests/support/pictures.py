"""A run of the learner `cnn`, made once in a test session for the files that look at one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tenfold
from tenfold import Dataset, Run


def data(few: Callable[..., Dataset]) -> Dataset:
    return few(1500, 300)


def cnn_run(few: Callable[..., Dataset], once: Callable[..., Run]) -> Run:
    """A finished run of narrow convolutions on `data`. Tests must leave it as it is."""

    def make(out: Path) -> Run:
        # 1350 rows are 45 steps of 30: one program for all steps.
        settings: dict[str, Any] = {"width": 8, "batch_size": 30, "epochs": 4}
        return tenfold.train(data(few), learner="cnn", recipe="fast", out=out, **settings)

    return once("cnn_run", make)
