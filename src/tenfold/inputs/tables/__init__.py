"""Turn tables into arrays: reading files, kinds of columns, encoding."""
