"""Turn the bytes of one input into arrays: IDX files, pictures, tables."""
