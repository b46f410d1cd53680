"""What the pages say is so."""

import re
import tomllib
from pathlib import Path

import pytest
from docs import measured

import tenfold
from tests.support.program import call_python

ROOT = Path(tenfold.__file__).parent.parent.parent
KINDS = ("tutorials", "howto", "guide", "design")
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    *ROOT.glob("docs/*.md"),
    *(page for kind in KINDS for page in ROOT.glob(f"docs/{kind}/*.md")),
]


ON_FEW_DIGITS = """
import numpy, tenfold
train = tenfold.train
rows = numpy.r_[:1000, 60_000:60_200]
tenfold.train = lambda data, **asked: train(data.take(rows), epochs=2, **asked)
"""


def test_the_readme_opens_with_its_two_commands() -> None:
    block = re.search(r"```sh\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    assert block
    commands = [line.partition("#")[0].strip() for line in block[1].splitlines()]
    assert commands == ["make train", "make test"]


def test_the_snippet_of_the_readme_runs(tmp_path: Path) -> None:
    snippet = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    assert snippet
    done = call_python(ON_FEW_DIGITS + snippet[1])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "mnist-network-1" / "report.html").is_file()


def test_the_figures_of_the_readme_are_those_that_were_measured() -> None:
    """If this fails: `python -m docs.measured`."""
    found = measured.TABLE.search((ROOT / "README.md").read_text("utf-8"))
    assert found and found[0] == measured.table()


def test_every_command_is_in_the_tour() -> None:
    tour = (ROOT / "docs" / "guide" / "tour.md").read_text("utf-8")
    for command in (
        "train", "compare", "sweep", "evaluate", "predict", "read", "verify", "report", "export",
        "serve",         "data", "doctor",
    ):  # fmt: skip
        assert f"tenfold {command}" in tour


def test_every_dependency_has_its_row() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    names = {re.split(r"[><=\[]", requirement)[0] for requirement in needed} - {"tenfold"}
    page = (ROOT / "docs" / "design" / "dependencies.md").read_text("utf-8")
    cells = re.findall(r"^\| ([a-z0-9, -]+) \|", page, re.M)
    assert {name.strip() for cell in cells for name in cell.split(",")} - {"package"} == names


def test_the_changelog_knows_this_version() -> None:
    assert f"## [{tenfold.__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_notice_names_the_makers_of_mnist() -> None:
    notice = (ROOT / "NOTICE").read_text("utf-8")
    for words in ("Yann LeCun", "Corinna Cortes", "by-sa/3.0"):
        assert words in notice


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target).is_file(), target
