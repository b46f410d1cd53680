"""The service: HTTP answers of one or more runs. `tenfold serve` starts it."""

from tenfold.serve.limits import Limits, read_limits
from tenfold.serve.server import serve

__all__ = ["Limits", "read_limits", "serve"]
