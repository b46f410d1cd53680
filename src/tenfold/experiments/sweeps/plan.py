"""The plan of a sweep: points of a grid, each with several seeds."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tenfold.build.problem import Problem
from tenfold.core.contract import Frozen
from tenfold.core.errors import SettingsError
from tenfold.core.settings import AUTO, FEW, TRIED_ON_FEW, Settings, checked, resolve
from tenfold.data.dataset import Dataset
from tenfold.experiments.run_data import decided, split_of
from tenfold.learners import LEARNERS, check_learner, check_used, is_used

Point = Mapping[str, Any]
"""A value of each setting that is varied, in the order of the table's columns."""

Limits = tuple[tuple[int, float], ...]
"""Pairs (epoch, score): stop after that epoch unless the validation score is above the score."""

SEARCHED: dict[str, tuple[float, float]] = {"learning_rate": (1e-4, 3e-2), "dropout": (0.0, 0.5)}
"""Ranges of a search over networks, in addition to `hidden` and `layers`."""

DEFAULT_AXES: dict[str, Sequence[Any]] = {"hidden": (32, 64, 128, 256), "layers": (1, 2)}
"""Values that a sweep of networks tries by default."""

SEARCHED_POINTS = 32
"""Default number of points of a search."""


class SweepSettings(Frozen):
    """How much work a sweep or a comparison does, apart from the settings of its trainings."""

    seeds: Annotated[int, Field(ge=1)] = Field(
        default=1,
        description="Trainings of each point, which differ in the initial weights and the order "
        "of the rows.",
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        default=0,
        description="The seed of the split, of the first training of each point and of the "
        "random choice.",
    )
    trials: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="The maximum number of trainings, counting all seeds; the points are drawn "
        "at random from the grid, or chosen by the search.",
    )
    search: bool = Field(
        default=False,
        description="Let Optuna choose the points: widths and depths between the smallest and "
        "the largest given, and learning rate and dropout too.",
    )
    minutes: Annotated[float, Field(ge=0)] | None = Field(
        default=None,
        description="Begin no training after this many minutes, including the time of earlier "
        "calls.",
    )


@dataclass(frozen=True)
class Trial:
    """A planned training. `name` is the name of its folder, `seed` counts from 0."""

    name: str
    point: Point
    seed: int
    stop_below: Limits = ()


@dataclass(frozen=True)
class Plan:
    """A sweep as requested.

    Attributes:
      kind: `sweep` or `comparison`, which is also the name of its files.
      fixed: Settings that all trials share.
      axes: The values to try for each setting. `hidden` is the number of neurons in a layer,
        `layers` the number of hidden layers.
      seeds: Number of seeds of initial weights and row order: 0 to `seeds - 1`, added to `seed`.
      seed: Seed of the split, of the random choice of points, and of a search.
      n_points: Number of points that are drawn from the grid or searched. None: the whole grid.
      is_search: Whether points are chosen by the scores of earlier points.
      is_table, n_rows: Settings are resolved for a table or for pictures, with this many rows.
      minutes: No trial starts after this time. None: all trials run.
    """

    kind: str
    fixed: Mapping[str, Any]
    axes: Mapping[str, Sequence[Any]]
    seeds: int = 1
    seed: int = 0
    n_points: int | None = None
    is_search: bool = False
    is_table: bool = False
    minutes: float | None = None
    n_rows: int | None = None

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The lowest and the highest value of each setting that a search varies in addition to the
        axes."""
        if not self.is_search or "layers" not in self.axes:
            return {}
        given = {**self.fixed, **self.axes}
        return {name: ends for name, ends in SEARCHED.items() if name not in given}

    @property
    def columns(self) -> tuple[str, ...]:
        """Settings that differ between trials: the first columns of the table."""
        return (*self.axes, *self.ranges)

    def points(self) -> list[Point]:
        """The sorted grid, or `n_points` points drawn from it without replacement."""
        tried = [sorted(dict.fromkeys(values)) for values in self.axes.values()]
        grid = [dict(zip(self.axes, values, strict=True)) for values in itertools.product(*tried)]
        if self.n_points is None or self.n_points >= len(grid):
            return list(grid)
        drawn = np.random.default_rng(self.seed).choice(len(grid), self.n_points, replace=False)
        return [grid[i] for i in sorted(drawn)]

    def asked(self, point: Point, seed: int) -> dict[str, Any]:
        """The settings at a point in the form that `resolve` takes."""
        own = TRIED_ON_FEW.get(str(point.get("learner")), {}) if self._is_quick else {}
        seeds = {"seed": self.seed + seed, "split_seed": self.seed}
        asked = {**own, **self.fixed, **point, **seeds}
        if "layers" in asked:
            asked["hidden"] = (asked["hidden"],) * asked.pop("layers")
        return asked

    @property
    def _is_quick(self) -> bool:
        """Whether this is a quick comparison of few pictures, which tries small networks."""
        is_few = self.n_rows is not None and self.n_rows < FEW
        return self.kind == "comparison" and self.fixed.get("recipe") == "fast" and is_few

    def problem(self, data: Dataset) -> Problem:
        """The problem of the first trial. All trials share its rows; pictures have the form that
        most learners need."""
        settings = self.settings(self.points()[0], 0)
        data = decided(data, settings)
        return Problem(data, split_of(data, settings), settings)

    def settings(self, point: Point, seed: int) -> Settings:
        # For a table, a single network is trained instead of the vote that a training makes, in a
        # fifth of the time.
        one = {"members": 1} if self.is_table else {}
        return resolve(one | self.asked(point, seed), table=self.is_table, n_rows=self.n_rows)

    @property
    def n_trials(self) -> int:
        """The maximum number of trials."""
        return self.seeds * (self.n_points or 0 if self.is_search else len(self.points()))

    @property
    def learners(self) -> list[str]:
        return list(dict.fromkeys(self.settings(point, 0).learner for point in self.points()))

    def trials(self) -> list[Trial]:
        return [
            Trial(self._name(point, seed), point, seed)
            for point in self.points()
            for seed in range(self.seeds)
        ]

    def _name(self, point: Point, seed: int) -> str:
        parts = [
            str(value) if name == "learner" else f"{name}-{value}" for name, value in point.items()
        ]
        return "-".join([*parts, f"seed-{self.seed + seed}"])

    def key(self, fingerprint: str) -> str:
        """A digest of the resolved settings of all trials. The same work on the same rows has the
        same key, in whatever form it was requested."""
        settings = [self.settings(point, 0).model_dump(mode="json") for point in self.points()]
        trials = sorted(json.dumps(plain, sort_keys=True) for plain in settings)
        searched = [self.n_points, self.ranges] if self.is_search else []
        parts = [self.kind, fingerprint, self.seeds, trials, searched]
        return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def as_plain(self) -> dict[str, Any]:
        return {
            "fixed": dict(self.fixed),
            "axes": {name: list(values) for name, values in self.axes.items()},
            "seeds": self.seeds,
            "seed": self.seed,
            "search": self.is_search,
            "n_rows": self.n_rows,
        }

    def from_plain(self, plain: Mapping[str, Any], n_trials: int) -> "Plan":
        """Restore the plan of a record, with the kind of rows and the time limit of this plan."""
        return replace(
            self,
            fixed=plain["fixed"],
            axes=plain["axes"],
            seeds=plain["seeds"],
            seed=plain["seed"],
            n_points=n_trials // plain["seeds"],
            is_search=plain["search"],
            # It is missing in the first sweeps, whose defaults did not depend on it.
            n_rows=plain.get("n_rows"),
        )


def sweep_plan(data: Dataset, asked: Mapping[str, Any]) -> Plan:
    """Make the plan of a sweep: lists of values are tried, other settings apply to all trials."""
    how, settings = _how(asked, SweepSettings.model_fields)
    axes: dict[str, Sequence[Any]] = {
        name: value
        for name, value in settings.items()
        if isinstance(value, list | tuple | range) and name != "class_weights"
    }
    fixed = {name: value for name, value in settings.items() if name not in axes}
    learner = fixed.get("learner", "network")
    if learner in LEARNERS and is_used("hidden", learner):
        axes = {name: axes.pop(name, values) for name, values in DEFAULT_AXES.items()} | axes
    elif axes.keys() & DEFAULT_AXES.keys():
        raise SettingsError(
            "E804",
            "This learner is not a network",
            expected="the learner 'network', to vary hidden and layers",
            learner=learner,
        )
    check_used([*fixed, *axes], [learner])
    n_points = None if how.trials is None else how.trials // how.seeds
    if how.search and n_points is None:
        n_points = SEARCHED_POINTS
    plan = Plan(
        "sweep",
        fixed,
        axes,
        how.seeds,
        how.seed,
        n_points,
        how.search,
        minutes=how.minutes,
        **_size(data),
    )
    check_plan(plan)
    check_learner(plan.settings(plan.points()[0], 0), data.task.kind, data.input)
    return plan


def comparison_plan(data: Dataset, asked: Mapping[str, Any]) -> Plan:
    """Make the plan of a comparison: `learners` are tried, and settings apply to all of them."""
    how, settings = _how(asked, ("seeds", "seed"))
    names = list(dict.fromkeys(settings.pop("learners", None) or learners_for(data)))
    check_used(settings, names)
    fixed = {"recipe": "fast", **settings}
    plan = Plan("comparison", fixed, {"learner": names}, how.seeds, how.seed, **_size(data))
    check_plan(plan)
    for point in plan.points():
        check_learner(plan.settings(point, 0), data.task.kind, data.input)
    return plan


def _size(data: Dataset) -> dict[str, Any]:
    """The properties of the data that `Plan` contains."""
    return {"is_table": data.table is not None, "n_rows": len(data)}


def _how(asked: Mapping[str, Any], names: Iterable[str]) -> tuple[SweepSettings, dict[str, Any]]:
    """Separate the settings of a sweep from the settings of its trainings."""
    given = {name: value for name, value in asked.items() if value is not None}
    own = {name: given.pop(name) for name in names if name in given}
    return checked(SweepSettings, own), given


def learners_for(data: Dataset) -> list[str]:
    """Every learner that can learn from the data, except the baseline, which every evaluation
    includes."""
    return [
        name
        for name, learner in LEARNERS.items()
        if data.task.kind in learner.tasks and learner.accepts(data.input) and learner.looks
        if learner.quick_on_pictures or data.input.kind != "image"
    ]


def check_plan(plan: Plan) -> None:
    """Refuse a plan whose trials cannot be ranked, before anything is trained."""
    if plan.n_points is not None and plan.n_points < 1:
        expected = "at least one for each of the seeds"
        raise SettingsError(
            "E805", "There are too few trials for the seeds", expected=expected, seeds=plan.seeds
        )
    for name, values in plan.axes.items():
        if not values:
            raise SettingsError(
                "E808",
                "A setting has no values to try",
                expected="at least one value",
                setting=name,
            )
        if len({isinstance(value, str) for value in values}) > 1 or None in values:
            expected = "numbers or names, to sort them by"
            raise SettingsError(
                "E809",
                "A setting has values of several kinds",
                expected=expected,
                setting=name,
                values=list(values),
            )
    if "learner" in plan.axes and plan.kind == "sweep":
        raise SettingsError(
            "E806",
            "A sweep takes a single learner",
            expected="one learner",
            fix="To compare learners, use tenfold compare",
            learner=list(plan.axes["learner"]),
        )
    if AUTO in plan.learners:
        raise SettingsError(
            "E818",
            "A choice among learners cannot be a trial",
            expected="learners by name",
            fix="Use tenfold train --learner auto",
            learner=AUTO,
        )
    sizes = {plan.settings(point, 0).validation_size for point in plan.points()}
    if 0.0 in sizes or len(sizes) > 1:
        raise SettingsError(
            "E807",
            "The trials cannot be ranked",
            expected="the same validation_size above 0 for all trials",
            validation_size=sorted(sizes),
        )
