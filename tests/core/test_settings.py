"""Settings are resolved from what was asked, the recipe and the defaults, or refused at once."""

from typing import Any

import pytest

from tenfold.core.errors import SettingsError
from tenfold.core.settings import RECIPES, Settings, resolve


def test_the_tutorial_recipe_is_the_tutorials() -> None:
    settings = resolve({"recipe": "tutorial"})
    assert (settings.optimizer, settings.learning_rate, settings.schedule) == (
        "sgd", 0.01, "constant"
    )  # fmt: skip
    assert (settings.hidden, settings.epochs, settings.batch_size) == ((128,), 20, 128)
    assert (settings.test_size, settings.validation_size) == (0.25, 0)
    assert (settings.label_smoothing, settings.shift_px) == (0, 0)


def test_the_default_recipe_keeps_the_architecture_and_at_most_20_epochs() -> None:
    settings = resolve({})
    assert settings.hidden == (128,)
    assert settings.epochs <= 20
    assert settings.test_size is None
    assert settings.validation_size > 0


def test_what_is_asked_wins_over_the_recipe() -> None:
    settings = resolve({"recipe": "tutorial", "epochs": 3, "hidden": [64, 32], "seed": 5})
    assert (settings.epochs, settings.hidden, settings.seed) == (3, (64, 32), 5)
    assert settings.learning_rate == 0.01


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_resolves(recipe: str) -> None:
    assert resolve({"recipe": recipe}).recipe == recipe


@pytest.mark.parametrize(
    ("asked", "facts"),
    [
        ({"recipe": "tutorail"}, ["not 'tutorail'", "Did you mean 'tutorial'?"]),
        ({"recipe": ["default"]}, ["recipe must be", "['default']"]),
        ({"epoch": 3}, ["there is no setting 'epoch'", "Did you mean 'epochs'?"]),
        (
            {"learner": "forrest"},
            ["learner must be 'network'", "not 'forrest'", "Did you mean 'forest'?"],
        ),
        ({"epochs": 0}, ["epochs must be 1 or more, not 0"]),
        ({"epochs": 2.5}, ["epochs must be a whole number, not 2.5"]),
        ({"hidden": [128, 0]}, ["hidden must be 1 or more, not 0"]),
        ({"hidden": [1] * 65}, ["hidden=", "64"]),
        ({"learning_rate": 0}, ["learning_rate must be greater than 0, not 0"]),
        ({"learning_rate": float("nan")}, ["learning_rate must be a finite number, not nan"]),
        ({"test_size": 1.0}, ["test_size must be less than 1, not 1.0"]),
        ({"seed": -1}, ["seed must be 0 or more, not -1"]),
        (
            {"batch_size": 0, "seed": -1},
            ["batch_size must be 1 or more, not 0; seed must be"],
        ),  # all in one message
    ],
)
def test_settings_outside_their_rule_are_refused(asked: dict[str, Any], facts: list[str]) -> None:
    with pytest.raises(SettingsError, match="The settings are not valid") as error:
        resolve(asked)
    for fact in facts:
        assert fact in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().epochs = 3


def test_patience_needs_rows_to_watch() -> None:
    rule = "patience=3, expected validation rows to watch: validation_size above 0"
    with pytest.raises(SettingsError, match=rule):
        resolve({"recipe": "tutorial", "patience": 3})
    assert resolve({"patience": 3}).patience == 3


@pytest.mark.parametrize(
    ("hidden", "rate"),
    [((128,), 0.01), ((), 0.01), ((2048,), 0.005), ((32,), 0.0141), ((128,) * 4, 0.005),
     ((2048, 32), 0.00177)],
)  # fmt: skip
def test_the_learning_rate_fits_the_layers_unless_it_is_given(
    hidden: tuple[int, ...], rate: float
) -> None:
    assert resolve({"hidden": hidden}).learning_rate == rate
    assert resolve({"hidden": hidden, "learning_rate": 0.5}).learning_rate == 0.5
    assert resolve({"hidden": hidden, "recipe": "tutorial"}).learning_rate == 0.01


def test_few_rows_are_learned_from_in_more_epochs() -> None:
    vote, few = (resolve({"learner": "cnn"}, n_rows=n) for n in (60_000, 1_000))
    assert (vote.members, vote.epochs, few.members, few.epochs) == (3, 8, 1, 30)
    assert resolve({"learner": "cnn", "members": 2}, n_rows=1_000).members == 2
    assert resolve({"learner": "cnn", "recipe": "fast"}, n_rows=1_000).epochs == 8
    for recipe in ("default", "fast"):
        asked = {"recipe": recipe}
        epochs = [resolve(asked, table=True, n_rows=n).epochs for n in (150, 5_000)]
        assert epochs == [200, 60 if recipe == "default" else 5]


def test_tables_of_many_rows_train_one_network() -> None:
    members = [resolve({}, table=True, n_rows=n).members for n in (150, 5_000, 20_000)]
    assert members == [5, 5, 1]
    assert resolve({"members": 2}, table=True, n_rows=150).members == 2
    assert resolve({"recipe": "fast"}, table=True, n_rows=150).members == 1
