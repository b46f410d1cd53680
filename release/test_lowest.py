"""`make test-lowest`: `make test-fast` with the oldest packages that pyproject.toml allows."""

import sys

from release.environment import ROOT, make_environment, passes

FAST = "not (slow or long or browser or ray or notebook)"


def main() -> None:
    """Resolve, install and test; uv's resolution takes the oldest of what Tenfold itself names."""
    folder = ROOT / ".venvs" / "lowest"
    python = make_environment(sys.executable, folder, "--resolution", "lowest-direct")
    sys.exit(not passes(python, "-m", FAST, *sys.argv[1:]))


if __name__ == "__main__":
    main()
