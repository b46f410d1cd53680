"""The program `tenfold-slim`, which is `tenfold`; what is left when `tenfold` was uninstalled."""

import sys


def main() -> None:
    """Run the command line, or say why it is not there."""
    try:
        from tenfold.cli.entry import main as run
    except ModuleNotFoundError as error:
        if error.name != "tenfold":
            raise
        sys.exit(
            "The files of tenfold-slim were removed together with tenfold. "
            "Put them back: pip install --force-reinstall --no-deps tenfold-slim"
        )
    run()
