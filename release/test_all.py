"""`make test-all`: the whole suite on each Python that Tenfold supports, where it is here."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from release.environment import ROOT, make_environment, passes

CLASSIFIER = "Programming Language :: Python :: 3."


def supported() -> list[str]:
    """The versions that the classifiers name, such as `3.11`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = [name for name in project["classifiers"] if name.startswith(CLASSIFIER)]
    return [name.removeprefix("Programming Language :: Python :: ") for name in names]


def find(version: str) -> Path | None:
    """An interpreter of this version: on the path, or one of pyenv's."""
    return next((path for path in _candidates(version) if _version(path) == version), None)


def _candidates(version: str) -> Iterator[Path]:
    yield Path(sys.executable)
    for folder in os.get_exec_path():
        yield Path(folder) / f"python{version}"
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    made = (root / "versions").glob(f"{version}.*/bin/python")
    yield from sorted(made, reverse=True)


def _version(python: Path) -> str | None:
    """The version of an interpreter; None where it does not run, as pyenv's shims of others."""
    if not python.is_file():
        return None
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def main() -> None:
    """Test on each of them; fails where one fails or is missing."""
    ended = {version: _test(version, sys.argv[1:]) for version in supported()}
    for version, how in ended.items():
        print(f"Python {version}: {how}")
    sys.exit(any(how != "passed" for how in ended.values()))


def _test(version: str, arguments: list[str]) -> str:
    python = find(version)
    if python is None:
        return "no such interpreter here, not tested"
    program = make_environment(python, ROOT / ".venvs" / version)
    print(f"Python {version}: {python}", flush=True)
    return "passed" if passes(program, *arguments) else "failed"


if __name__ == "__main__":
    main()
