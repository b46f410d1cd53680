"""Measurements that the documentation quotes; `python -m bench` rewrites its page."""
