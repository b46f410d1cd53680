"""The program `tenfold-slim`, which is `tenfold`."""

import sys


def main() -> None:
    """Run the command line, or say why it is not there: `tenfold` was uninstalled."""
    try:
        import tenfold  # noqa: F401  # what is left of it says so
    except ImportError as error:
        sys.exit(str(error))
    from tenfold.cli.entry import main as run

    run()
