"""The run folder: create, read, write, verify and export it."""
