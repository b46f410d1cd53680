"""What a run knows beside its numbers: the audit of its data, and how it bears changes."""

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from tenfold.core import files
from tenfold.core.contract import Frozen
from tenfold.core.errors import RunError
from tenfold.core.records import Audit
from tenfold.evaluation.robustness import Robustness
from tenfold.runs.record import Run

Document = TypeVar("Document", bound=Frozen)


def read_audit(run: Run) -> Audit | None:
    """What stood out in the data before training; None where nothing was written.

    Raises:
      RunError: The file is damaged.
    """
    path = run.path / "audit.json"
    return _parsed(Audit, path) if path.is_file() else None


def read_robustness(run: Run) -> Robustness | None:
    """What `--robustness` measured; None where it was not asked for.

    Raises:
      RunError: The file is damaged.
    """
    path = run.path / "robustness.json"
    return _parsed(Robustness, path) if path.is_file() else None


def _parsed(kind: type[Document], path: Path) -> Document:
    with files.os_errors("read", path):
        content = path.read_bytes()
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise RunError("E701", f"Damaged {path.name}", where=path, problem=problem) from error
