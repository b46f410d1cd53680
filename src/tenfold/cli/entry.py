"""Where the program `tenfold` begins: what is imported takes a second, in which Ctrl-C may come."""

import os
import signal


def main() -> None:
    """Run the command line; interrupted while it is imported it leaves at once, with 130.

    An exception would not do: in the middle of a compiled module it becomes an ImportError.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(130))
    from tenfold.cli.main import main as run

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run()
