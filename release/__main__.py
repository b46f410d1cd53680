"""`make dist`: both distributions, each with its SBOM, into dist/."""

import shutil
import sys
import tempfile
from pathlib import Path

from release.environment import ROOT, install, new_environment, run

DIST = ROOT / "dist"

SLIM_FILES = ("src", "release", "README.md", "CHANGELOG.md", "LICENSE", "NOTICE")
"""What tenfold-slim is built from, beside its own pyproject.toml."""

TAG = "-py3-none-any.whl"
"""How the name of a wheel ends that runs on every system: nothing in it is compiled."""


def main() -> None:
    """Build the sdist and the wheel of both distributions from this tree, and list what is new."""
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="tenfold-dist-") as name:
        build(ROOT)
        build(slim_tree(Path(name)))
        for wheel in sorted(DIST.glob("*.whl")):
            if not wheel.name.endswith(TAG):
                sys.exit(f"{wheel.name} is tied to a system; expected one that ends with {TAG}")
            write_sbom(wheel, Path(name) / wheel.stem)
    for path in sorted(DIST.iterdir()):
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1e6:.1f} MB")


def slim_tree(folder: Path) -> Path:
    """The files that tenfold-slim is built from, in a folder of their own."""
    tree = folder / "tree"
    for name in SLIM_FILES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, tree / name)
    shutil.copy2(ROOT / "release" / "slim.toml", tree / "pyproject.toml")
    return tree


def build(tree: Path) -> None:
    """The sdist, and from it the wheel, so that the sdist is known to be whole."""
    run(sys.executable, "-m", "build", "--outdir", DIST, tree)


def write_sbom(wheel: Path, folder: Path) -> None:
    """Write what an empty environment holds once the wheel was installed, in CycloneDX's form.

    https://cyclonedx.org/specification/overview/
    """
    python = new_environment(sys.executable, folder)
    install(python, wheel)
    made = DIST / f"{wheel.name.removesuffix(TAG)}.cdx.json"
    own = ("--output-reproducible", "--mc-type", "application", "--output-file", made, python)
    run(sys.executable, "-m", "cyclonedx_py", "environment", *own)


if __name__ == "__main__":
    main()
