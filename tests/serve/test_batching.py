"""Answers together: identical to answers alone, and one that fails takes nobody with it."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tenfold
from tenfold import Run
from tenfold.model.model import Model
from tenfold.model.predictions import Prediction, Predictions, Value, Values
from tenfold.serve.batching import (
    ALIGNMENT,
    BATCH,
    Batcher,
    BatchProfile,
    Outcome,
    profile_model,
)
from tenfold.serve.metrics import Histogram
from tests.conftest import Few
from tests.support.errors import refused


def together(
    model: Any, parts: list[Any], profile: BatchProfile, sizes: Histogram | None = None
) -> list[list[Outcome]]:
    """The answers to several requests that wait at the same time."""

    async def main() -> list[list[Outcome]]:
        batcher = Batcher(model, profile, sizes or Histogram((1, 32)))
        try:
            return await asyncio.gather(*(batcher.answer(part) for part in parts))
        finally:
            assert batcher.waiting == 0
            batcher.close()

    return asyncio.run(main())


def bits(outcome: Outcome) -> tuple[bytes, float | None]:
    assert isinstance(outcome, Prediction)
    return outcome.probabilities.tobytes(), outcome.novelty


@pytest.mark.parametrize("seconds", [0.0, 1.0], ids=["inline", "thread"])
def test_answers_together_are_those_alone(small_run: Run, few: Few, seconds: float) -> None:
    x = few(300).images[:300]
    assert profile_model(small_run).alignment == ALIGNMENT
    profile = BatchProfile(ALIGNMENT, seconds)
    rng = np.random.default_rng(0)
    cuts = np.sort(rng.choice(np.arange(1, 300), 90, replace=False))
    parts = np.split(x, cuts)
    sizes = Histogram((1, 32))
    many = [one for part in together(small_run.model, parts, profile, sizes) for one in part]
    alone = [together(small_run.model, [x[i : i + 1]], profile)[0][0] for i in range(300)]
    assert [bits(one) for one in many] == [bits(one) for one in alone]
    n_batches = int(list(sizes.lines("sizes", ""))[-1].split()[1])
    assert -(-300 // BATCH) <= n_batches < 15


@pytest.mark.slow
@pytest.mark.parametrize("learner", ["cnn", "forest", "neighbors", "logistic", "bayes"])
def test_other_learners_answer_alike_together(few: Few, tmp_path: Path, learner: str) -> None:
    small: dict[str, Any] = {"epochs": 2, "width": 8} if learner == "cnn" else {}
    run = tenfold.train(few(600, 200), learner=learner, recipe="fast", out=tmp_path, **small)
    x, profile = few(700).images[600:], profile_model(run)
    many = together(run.model, [x], profile)[0]
    alone = [together(run.model, [x[i : i + 1]], profile)[0][0] for i in range(len(x))]
    assert [bits(one) for one in many] == [bits(one) for one in alone]


class Poisoned:
    """The small run's model, that fails in some way on a picture whose first pixel is 13."""

    def __init__(self, model: Model, way: str) -> None:
        self._model = model
        self._way = way

    def answer(self, x: NDArray[Any]) -> Any:
        poison = x[:, 0, 0] == 13
        if poison.any() and self._way == "raises":
            raise RuntimeError("the runtime gave up")
        answers = self._model.answer(x)
        assert isinstance(answers, Predictions)
        answers.probabilities[poison] = np.nan
        return answers


@pytest.mark.parametrize("way", ["raises", "is nan"])
@pytest.mark.parametrize("alignment", [0, 16])
def test_a_poisoned_item_fails_alone(small_run: Run, few: Few, way: str, alignment: int) -> None:
    x = few(40).images[:40].copy()
    x[[3, 17], 0, 0] = 13
    model = Poisoned(small_run.model, way)
    found = together(model, [x[:10], x[10:20], x[20:]], BatchProfile(alignment, 0.0))
    outcomes = [one for part in found for one in part]
    assert [i for i, one in enumerate(outcomes) if one is None or isinstance(one, Exception)] == [
        3,
        17,
    ]
    assert isinstance(outcomes[3], RuntimeError) == (way == "raises")
    good = together(small_run.model, [x[4:5]], BatchProfile(alignment, 0.0))[0][0]
    assert bits(outcomes[4]) == bits(good)


def test_a_request_that_was_given_up_is_left_out(small_run: Run, few: Few) -> None:
    x = few(4).images[:4]

    async def main() -> list[Outcome]:
        batcher = Batcher(small_run.model, BatchProfile(16, 1.0), Histogram((1, 32)))
        first = asyncio.ensure_future(batcher.answer(x[:1]))
        await asyncio.sleep(0)
        given_up = asyncio.ensure_future(batcher.answer(x[1:2]))
        await asyncio.sleep(0)
        given_up.cancel()
        last = await batcher.answer(x[2:])
        await first
        batcher.close()
        return last

    assert len(asyncio.run(main())) == 2


def test_of_a_large_request_given_up_the_rest_is_not_computed(small_run: Run, few: Few) -> None:
    x = few(320).images[:320]
    sizes = Histogram((1, 32))

    async def main() -> None:
        batcher = Batcher(small_run.model, BatchProfile(16, 1.0), sizes)
        given_up = asyncio.ensure_future(batcher.answer(x))
        while batcher.waiting in (0, 320):
            await asyncio.sleep(0)
        given_up.cancel()
        (one,) = await batcher.answer(x[:1])
        assert one is not None and batcher.waiting == 0
        batcher.close()

    asyncio.run(main())
    n_batches = int(list(sizes.lines("sizes", ""))[-1].split()[1])
    assert n_batches < 10


def test_a_batch_that_cannot_be_put_together_stops_nobody_else(
    small_run: Run, few: Few, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = few(4).images[:4]

    def failing(parts: Any) -> Any:
        if len(parts) > 1:
            raise MemoryError
        return parts[0]

    monkeypatch.setattr("tenfold.serve.batching.concatenate", failing)

    async def main() -> None:
        batcher = Batcher(small_run.model, BatchProfile(16, 0.0), Histogram((1, 32)))
        one, two = await asyncio.gather(batcher.answer(x[:1]), batcher.answer(x[1:3]))
        assert [type(outcome) for outcome in (*one, *two)] == [MemoryError] * 3
        assert (await batcher.answer(x[:1]))[0] is not None
        batcher.close()

    asyncio.run(main())


class Odd:
    """A model whose answers depend on the size of the batch, and nothing helps."""

    def __init__(self, run: Run, spoiled: float = 0.0) -> None:
        self.contract, self.reader = run.model.contract, run.model.reader
        self._spoiled = spoiled

    def answer(self, x: NDArray[Any]) -> Values:
        value = np.full(len(x), len(x) + self._spoiled, np.float32)
        return Values(value, value, value)


class FakeRun:
    def __init__(self, model: Any) -> None:
        self.model = model
        self.path = Path("odd")


def test_a_model_that_minds_company_is_asked_row_by_row(small_run: Run) -> None:
    run: Any = FakeRun(Odd(small_run))
    profile = profile_model(run)
    assert profile.alignment == 0
    found = together(run.model, [np.zeros((5, 28, 28), np.uint8)], profile)[0]
    assert [one.value for one in found if isinstance(one, Value)] == [1.0] * 5


def test_a_model_without_numbers_is_not_served(small_run: Run) -> None:
    run: Any = FakeRun(Odd(small_run, np.nan))
    with refused("E918", r"odd\)"):
        profile_model(run)


def test_tables_are_joined_by_column(small_run: Run) -> None:
    from tenfold.inputs.tables.columns import Table, concatenate

    parts = [Table({"a": np.array([1.0, 2.0])}), Table({"a": np.array([3.0])})]
    assert concatenate(parts).columns["a"].tolist() == [1, 2, 3]
