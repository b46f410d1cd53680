"""What a sweep is to try: points of a grid, each with several seeds."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from tenfold.core.errors import SettingsError
from tenfold.core.settings import Settings, resolve

Point = Mapping[str, Any]
"""A value for each setting that is swept, in the order of the table's columns."""

SEARCHED: dict[str, tuple[float, float]] = {"learning_rate": (1e-4, 3e-2), "dropout": (0.0, 0.5)}
"""Ranges of a search for networks, beside `hidden` and `layers`."""


@dataclass(frozen=True)
class Plan:
    """A sweep as asked for: what decides its table.

    Attributes:
      kind: `sweep` or `comparison`; the name of its files.
      fixed: Settings that all trials share.
      axes: Setting to the values tried; `hidden` is neurons in a layer, `layers` how many layers.
      seeds: Seeds of first weights and order of rows; 0 to `seeds - 1`, added to `seed`.
      seed: Of the split, of what is drawn from the grid, and of a search.
      n_points: Points that are drawn from the grid, or searched; None: the whole grid.
      is_search: Points are chosen by what earlier ones were worth.
      is_table: Settings are resolved for a table.
    """

    kind: str
    fixed: Mapping[str, Any]
    axes: Mapping[str, Sequence[Any]]
    seeds: int = 1
    seed: int = 0
    n_points: int | None = None
    is_search: bool = False
    is_table: bool = False

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """What a search varies beside the axes: lowest and highest value."""
        if not self.is_search or "layers" not in self.axes:
            return {}
        known = {**self.fixed, **self.axes}
        return {name: ends for name, ends in SEARCHED.items() if name not in known}

    @property
    def columns(self) -> tuple[str, ...]:
        """Settings that differ between trials: the first columns of the table."""
        return (*self.axes, *self.ranges)

    @property
    def tried(self) -> dict[str, list[Any]]:
        """The values of each axis, sorted, none of them twice."""
        return {name: sorted(dict.fromkeys(values)) for name, values in self.axes.items()}

    def points(self) -> list[Point]:
        """The grid, sorted; with `n_points` so many of it, drawn without putting back."""
        tried = self.tried
        grid = [
            dict(zip(tried, found, strict=True)) for found in itertools.product(*tried.values())
        ]
        if self.n_points is None or self.n_points >= len(grid):
            return list(grid)
        drawn = np.random.default_rng(self.seed).choice(len(grid), self.n_points, replace=False)
        return [grid[i] for i in sorted(drawn)]

    def asked(self, point: Point, seed: int) -> dict[str, Any]:
        """What is asked for at a point, as `resolve` takes it."""
        asked = {**self.fixed, **point, "seed": self.seed + seed, "split_seed": self.seed}
        if "layers" in asked:
            asked["hidden"] = (asked["hidden"],) * asked.pop("layers")
        return asked

    def settings(self, point: Point, seed: int) -> Settings:
        """The settings of a trial.

        Raises:
          SettingsError: Values outside their rule.
        """
        return resolve(self.asked(point, seed), table=self.is_table)

    def key(self, fingerprint: str) -> str:
        """What an equal sweep of the same rows has alike: the digest of all that decides it."""
        parts = [
            self.kind, dict(self.fixed), self.tried, self.seeds, self.seed, self.n_points,
            self.is_search, self.is_table, fingerprint,
        ]  # fmt: skip
        return sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def check_plan(plan: Plan) -> None:
    """Refuse a plan that cannot be ranked.

    Raises:
      SettingsError: No seeds, nothing to try, or a point that has no validation rows or does not
        resolve: said before anything is trained.
    """
    if plan.seeds < 1:
        raise SettingsError("E803", "Too few", expected="1 or more", seeds=plan.seeds)
    if plan.n_points is not None and plan.n_points < 1:
        expected = "at least one for each of the seeds"
        raise SettingsError("E805", "Too few trials", expected=expected, seeds=plan.seeds)
    for name, values in plan.axes.items():
        if not values:
            raise SettingsError("E808", "Nothing to try", expected="a value", setting=name)
        if len({isinstance(value, str) for value in values}) > 1 or None in values:
            expected = "numbers or names, to sort them by"
            raise SettingsError(
                "E809",
                "Values of several kinds",
                expected=expected,
                setting=name,
                values=list(values),
            )
    if "learner" in plan.axes and plan.kind == "sweep":
        raise SettingsError(
            "E806",
            "Several learners in a sweep",
            expected="one",
            fix="Compare learners instead",
            learner=list(plan.axes["learner"]),
        )
    sizes = {plan.settings(point, 0).validation_size for point in plan.points()}
    if 0.0 in sizes or len(sizes) > 1:
        raise SettingsError(
            "E807",
            "Trials that cannot be ranked",
            expected="the same share of validation rows for all, above 0",
            validation_size=sorted(sizes),
        )
