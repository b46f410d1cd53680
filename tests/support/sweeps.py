"""The tables of sweeps, as tests compare them."""

import csv
from pathlib import Path


def read_table(path: Path) -> list[dict[str, str]]:
    """The lines of a table, without what differs between equal sweeps: `seconds` and `run`."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    return [{k: v for k, v in line.items() if k not in ("seconds", "run")} for line in lines]
