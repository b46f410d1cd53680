"""The wheels of both distributions, built from this tree."""

import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import NamedTuple

from release.__main__ import slim_tree
from release.environment import ROOT


class Wheel(NamedTuple):
    """A wheel that was built, the names of its files, and its metadata."""

    path: Path
    files: list[str]
    metadata: Message


class Wheels(NamedTuple):
    """The wheels of `tenfold` and of `tenfold-slim`."""

    full: Wheel
    slim: Wheel


def build_wheels(folder: Path) -> Wheels:
    """Build both in a folder, without an environment of its own for each as `make dist` makes."""
    return Wheels(_build(ROOT, folder), _build(slim_tree(folder), folder))


def _build(tree: Path, folder: Path) -> Wheel:
    from hatchling.builders.wheel import WheelBuilder

    path = Path(next(WheelBuilder(str(tree)).build(directory=str(folder), versions=["standard"])))
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        about = next(name for name in names if name.endswith(".dist-info/METADATA"))
        return Wheel(path, names, message_from_bytes(archive.read(about)))
