"""Tables to arrays: reading files, kinds of columns, encoding."""
