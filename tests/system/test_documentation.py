"""The documentation is made from the program: nothing of it is missing, what it shows works."""

import ast
import inspect
import json
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import typer
from docs import error_codes, outputs, reference
from PIL import Image

import tenfold
from tenfold import Dataset, Run
from tenfold.cli import main as cli
from tenfold.core.contract import Contract
from tenfold.core.errors import TenfoldError
from tenfold.core.settings import Settings
from tenfold.inputs.idx import write_idx
from tenfold.runs.record import Record
from tests.support.program import call_python

ROOT = Path(tenfold.__file__).parent.parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
TOUR = DOCS / "guide" / "tour.md"
TUTORIALS = sorted(DOCS.glob("tutorials/*.md"))
KINDS = ("tutorials", "howto", "guide", "design")
PAGES = [*DOCS.glob("*.md"), *(page for kind in KINDS for page in DOCS.glob(f"{kind}/*.md"))]
GUIDES = [page for page in PAGES if page != DOCS / "changes.md"]
COMMANDS = list(reference.commands())


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.S | re.M)


def shown_commands(page: Path) -> list[list[str]]:
    """The commands of a page that call `tenfold`, as words, comments left out."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    lines += [command for command, _ in outputs.commands_on(page)]
    words = [shlex.split(line, comments=True) for line in lines]
    return [one[1:] for one in words if one[:1] == ["tenfold"]]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_and_every_option_says_what_it_does(words: tuple[str, ...]) -> None:
    command = typer.main.get_command(cli.app)
    for word in words[1:]:
        command = command.commands[word]  # type: ignore[attr-defined]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{parameter.name} has no help"
    assert f"## `{' '.join(words)}`" in reference.commands_page()


def test_the_list_of_commands_fits_a_terminal_of_80_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reference, "WIDTH", "80")
    lines = reference.help_of(("tenfold",)).splitlines()
    listed = lines[lines.index("Commands:") :]
    assert max(map(len, lines)) <= 80
    assert not [line for line in listed if line.endswith("...")]


def test_the_page_of_commands_is_their_own_help() -> None:
    words = ("tenfold", "data", "check")
    printed = reference.help_of(words)
    assert printed.startswith("Usage: tenfold data check [OPTIONS]")
    assert "--labels" in printed and printed in reference.commands_page()


@pytest.mark.parametrize("name", tenfold.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    page = reference.api_page()
    value = getattr(tenfold, name)
    assert f" tenfold.{name}\n" in page
    assert inspect.getdoc(value)
    for member in re.findall(rf"tenfold\.{name}\n   :members: (.*)", page):
        for one in member.split(", "):
            assert inspect.getdoc(getattr(value, one)), f"{name}.{one}"


def test_every_setting_is_documented() -> None:
    assert all(field.description for field in Settings.model_fields.values())
    page = reference.settings_page()
    rows = re.findall(r"^\| `(\w+)` \| .+ \| `.+` \| .+ \|$", page, re.M)
    assert rows[: len(Settings.model_fields)] == list(Settings.model_fields)
    assert "`hidden` | numbers | `[128]`" in page
    assert "`dropout` | number, 0 to below 1 | `0.0`" in page
    assert "| `tutorial` | `network` | `epochs` 20" in page
    assert "| `seeds` | whole number, 1 or more | `1` | Trainings of each point" in page


def test_a_code_names_one_kind_of_error_and_the_page_lists_each() -> None:
    said: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for error in error_codes.raised_errors():
        said[error.code].add((error.kind, error.wrong))
    assert len(said) > 150
    assert not {code: words for code, words in said.items() if len(words) > 1}
    page = error_codes.page()
    assert not [code for code in said if f"| [`{code}`](errors/{code}.md) |" not in page]


def test_each_error_has_its_page(tmp_path: Path) -> None:
    error_codes.write_pages(tmp_path)
    codes = {error.code for error in error_codes.raised_errors()}
    assert {path.stem for path in tmp_path.iterdir()} == codes
    text = (tmp_path / "E708.md").read_text("utf-8")
    assert "**There is no run here.**" in text and "`tenfold.runs.record`" in text
    assert "A folder that `tenfold train` made." in text


def test_every_error_has_its_code_where_it_is_raised() -> None:
    kinds = {kind.__name__ for kind in TenfoldError.__subclasses__()}
    for path in error_codes.SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in kinds:
                assert error_codes.is_code(node.args), f"{path.name}:{node.lineno} has no code"


@pytest.mark.parametrize("name", reference.SCHEMAS)
def test_the_stored_schemas_are_the_programs_own(name: str) -> None:
    """If this fails the format changed: read the promise in docs/format.md, then `make schemas`."""
    stored = (ROOT / "docs" / "schema" / f"{name}.schema.json").read_text("utf-8")
    assert json.loads(stored) == reference.schema_of(name)
    assert f"(schema/{name}.schema.json)" in (ROOT / "docs" / "format.md").read_text("utf-8")


def test_what_format_1_wrote_is_still_read() -> None:
    folder = ROOT / "tests" / "formats"
    record = Record.model_validate_json((folder / "run-1.json").read_bytes())
    contract = Contract.model_validate_json((folder / "contract-1.json").read_bytes())
    assert (record.format, record.state, record.data.n_test) == (1, "finished", 10_000)
    assert (contract.format, contract.labels) == (1, tuple("0123456789"))


def test_every_page_is_reached_from_the_start() -> None:
    start = (ROOT / "docs" / "index.md").read_text("utf-8")
    listed = re.findall(r"^[a-z/-]+$", start, re.M)
    names = {page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES}
    assert names - {"index"} <= set(listed)
    for page in ("commands", "settings", "python"):
        assert f"generated/{page}" in listed


@pytest.mark.parametrize("page", ["safety.md", "design/systems.md"])
def test_every_promise_has_a_test(page: str) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    held = re.findall(r"`(\w+/test_\w+\.py)::(\w+)`", text)
    assert len(held) > 15
    for file, name in held:
        assert f"def {name}(" in (ROOT / "tests" / file).read_text("utf-8"), name
    for row in text.splitlines():
        names = re.findall(r"`(\w+/test_\w+\.py)::(\w+)`", row)
        assert not names or "slow" in row or not all(is_slow(*name) for name in names), row


def is_slow(file: str, name: str) -> bool:
    code = (ROOT / "tests" / file).read_text("utf-8")
    return re.search(rf"^@pytest\.mark\.slow\n(?:@.*\n)*def {name}\(", code, re.M) is not None


@pytest.mark.parametrize("page", [README, *GUIDES], ids=lambda page: page.name)
def test_every_command_shown_is_one(page: Path) -> None:
    for words in shown_commands(page):
        command = typer.main.get_command(cli.app)
        while hasattr(command, "commands") and not words[0].startswith("-"):
            name, *words = words
            command = command.commands[name]
        if hasattr(command, "commands"):  # an option of `tenfold` itself
            assert words[0] in {name for option in command.params for name in option.opts}
            continue
        command.make_context(command.name, list(words))  # refuses what it does not know


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_every_command_of_a_tutorial_is_shown_with_its_output(page: Path) -> None:
    shown = list(outputs.commands_on(page))
    assert shown
    for command, output in shown:
        assert output or ">" in command or command.startswith("python -c"), command


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_the_outputs_of_the_tutorials_are_those_of_today(page: Path) -> None:
    """If this fails: `make pictures`. Numbers may differ, for another machine has other bits."""
    text = page.read_text("utf-8")
    assert outputs.bare(outputs.with_outputs(text)) == outputs.bare(text)


@pytest.mark.parametrize("name", ["format.md", "guide/handwriting.md"])
def test_the_code_of_the_guides_runs(name: str, small_run: Run, shown_files: Path) -> None:
    (shown_files / "runs").mkdir()
    (shown_files / "runs" / "mnist-network-1").symlink_to(small_run.path)
    run = tenfold.open("runs/mnist-network-1")
    names = {"tenfold": tenfold, "run": run, "model": run.model}
    for block in blocks(ROOT / "docs" / name, "python"):
        exec(compile(block, name, "exec"), names)


@pytest.mark.slow
def test_the_code_of_the_estimators_guide_runs() -> None:
    for block in blocks(ROOT / "docs" / "guide" / "estimators.md", "python"):
        subprocess.run([sys.executable, "-c", block], check=True)
    assert Path("digits.onnx").is_file()


@pytest.fixture
def shown_files(mnist: Dataset, tmp_path: Path) -> Path:
    """What the commands of the tour read, small, in the working folder."""
    for part, rows in (("train", slice(800)), ("t10k", slice(60_000, 60_200))):
        small = mnist.x[rows], mnist.y[rows].astype(np.uint8)
        (tmp_path / "small").mkdir(exist_ok=True)
        write_idx(tmp_path / "small" / f"{part}-images-idx3-ubyte", small[0])
        write_idx(tmp_path / "small" / f"{part}-labels-idx1-ubyte", small[1])
    write_idx(tmp_path / "digits.idx", mnist.x[:5])
    large = [255 - np.kron(mnist.x[i], np.ones((4, 4), np.uint8)) for i in range(4)]
    Image.fromarray(large[0]).save(tmp_path / "photo.png")
    Image.fromarray(np.hstack(large[:3])).save(tmp_path / "page.jpg", quality=95)
    for name, labels in (("my-pictures", ("cat", "dog")), ("my-digits", ("5", "0"))):
        for label, true in zip(labels, (5, 0), strict=True):
            (tmp_path / name / label).mkdir(parents=True)
            for i in np.flatnonzero(mnist.y[:600] == true)[:40]:
                Image.fromarray(mnist.x[i]).save(tmp_path / name / label / f"{i}.png")
    write_table(tmp_path / "rows.csv", 360)
    write_table(tmp_path / "new.csv", 5)
    return tmp_path


def write_table(path: Path, n: int) -> None:
    chance = np.random.default_rng(0)
    days = np.datetime64("2024-01-01") + np.arange(n)
    sizes = chance.uniform(30, 200, n).round(1)
    prices = (3 * sizes + 20 * np.sin(np.arange(n) / 58) + chance.normal(0, 5, n)).round(2)
    frauds = np.where(sizes + chance.normal(0, 9, n) > 170, "yes", "no")
    lines = [",".join(map(str, row)) for row in zip(days, sizes, prices, frauds, strict=True)]
    path.write_text("\n".join(["day,size,price,fraud", *lines]) + "\n", "utf-8")


ELSEWHERE = ("--resume RUN", "data fetch", "serve RUN", "--min-accuracy")
"""They need a killed run, the network, an end from outside, or a good model: tested where they are
made."""

QUICK = (
    "train mnist",
    "train rows.csv --target price",
    "data show mnist",
    "predict RUN digits.idx --show",
    "predict RUN photo.png --show",
    "predict RUN new.csv",
    "read RUN page.jpg",
    "evaluate RUN",
    "report RUN --open",
    "export RUN --to page",
    "export RUN --to onnx",
    "verify RUN",
)
"""What trains one small model, or none: run by `make test`, all others by `make test-slow`."""

ONE_BY_ONE = """
import json, sys
from typer.testing import CliRunner
from tenfold.cli import main as cli
for words in json.loads(sys.argv[1]):
    done = CliRunner().invoke(cli.app, words)
    if done.exit_code:
        sys.exit(f"{words}: exit {done.exit_code}: {done.output} {done.exception!r}")
"""


def on_small_data(words: list[str]) -> list[str]:
    """A command of the tour on the files of `shown_files`, and on a run of them."""
    run = "rows-auto-1" if "new.csv" in words else "small-network-1"
    small = {"mnist": "small", "FOLDER": "small", "RUN": f"runs/{run}"}
    plan = ["--minutes", "0.03"] if words[:2] == ["train", "rows.csv"] else []  # two learners
    return [small.get(word, word) for word in words] + plan


def run_all(commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", "true")
    done = call_python(ONE_BY_ONE, json.dumps(list(map(on_small_data, commands))), timeout=1200)
    assert done.returncode == 0, done.stderr


def shown_in_the_tour(*, quick: bool) -> list[list[str]]:
    """The quick commands of the tour or the others; trainings first, for all others read runs."""
    shown = [words for words in shown_commands(TOUR) if not is_made_elsewhere(words)]
    chosen = [words for words in shown if (" ".join(words) in QUICK) == quick]
    return sorted(chosen, key=lambda words: words[0] != "train")


def is_made_elsewhere(words: list[str]) -> bool:
    return any(part in " ".join(words) for part in ELSEWHERE)


def test_the_commands_of_the_tour_work(shown_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = shown_in_the_tour(quick=True)
    assert len(commands) == len(QUICK)
    run_all(commands, monkeypatch)
    made = {path.name for path in Path("runs").iterdir()}
    assert {"small-network-1", "rows-auto-1"} <= made


@pytest.mark.slow
def test_the_long_commands_of_the_tour_work(
    shown_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_all([["train", "small"], *shown_in_the_tour(quick=False)], monkeypatch)
    assert Path("runs", "my-pictures-network-1").is_dir()
