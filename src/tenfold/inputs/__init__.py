"""The bytes of one input to arrays: IDX files, pictures, tables."""
