"""Turn a name, a file or a folder into a `Dataset`, and split it."""
