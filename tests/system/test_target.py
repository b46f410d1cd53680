"""No column is predicted that nobody chose: a terminal is asked, a program is refused."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tenfold.cli import main as cli
from tenfold.cli import options

COMMANDS = (["train", "--learner", "bayes"], ["compare"], ["sweep"], ["data", "show"])


@pytest.fixture(autouse=True)
def rows(elsewhere: None) -> None:
    lines = [f"{n % 7},{n % 11}.5,{'ab'[n % 3 > 0]}" for n in range(90)]
    Path("rows.csv").write_text("\n".join(["size,co\x1b[31mlour,Label", *lines]))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_without_a_terminal_the_columns_are_listed(words: list[str]) -> None:
    done = CliRunner().invoke(cli.app, [*words, "rows.csv"], input="\n")
    error = done.exception
    assert done.exit_code == 1 and str(error).startswith("No target column was chosen (rows")
    assert "size" in str(error) and "Use --target Label" in str(error)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("answers", "labels"), [("\n", ["a", "b"]), ("labl\nsize\n", list("0123456"))]
)
def test_on_a_terminal_the_target_is_asked_for(
    answers: str, labels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "has_terminal", lambda: True)
    done = CliRunner().invoke(cli.app, ["data", "show", "rows.csv"], input=answers)
    assert done.exit_code == 0, done.exception
    assert "size" in done.stderr and "\\x1b[31m" in done.stderr and "\x1b" not in done.stderr
    assert "Which one is to be predicted? [Label]" in done.stderr
    assert ("Did you mean 'Label'?" in done.stderr) == (answers != "\n")
    counted = done.stdout.partition("share\n")[2].splitlines()
    assert [line.split()[0] for line in counted[: len(labels)]] == labels


def test_nothing_is_asked_where_a_target_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "has_terminal", lambda: True)
    done = CliRunner().invoke(cli.app, ["data", "show", "rows.csv", "--target", "size"])
    assert done.exit_code == 0 and done.stderr == ""
