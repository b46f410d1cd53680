"""The service: HTTP answers of one or more runs. `tenfold serve` starts it.

This module imports nothing: a process of the service listens to its supervisor before it loads
what answers (`serve/__main__.py`).
"""
