"""The entry point of `tenfold`. Imports take a second, during which Ctrl-C may be pressed."""

import os
import signal


def main() -> None:
    """Run the command line. If interrupted during the imports, exit at once with 130.

    An exception would not work, because inside a compiled module it becomes an ImportError.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(130))
    from tenfold.cli.main import main as run

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run()
