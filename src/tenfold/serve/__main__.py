"""One process of a service that has several; `tenfold serve --workers N` starts it."""

import sys

from tenfold.core.errors import TenfoldError
from tenfold.serve.server import CANNOT_START, work_as_told

if __name__ == "__main__":
    try:
        work_as_told(sys.argv[1])
    except TenfoldError as error:
        print(f"tenfold: {error} [{error.code}]", file=sys.stderr)
        sys.exit(CANNOT_START)
