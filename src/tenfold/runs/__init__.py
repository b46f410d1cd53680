"""The run folder: create, read, write, verify, export."""
