"""A name, a file or a folder to a `Dataset`, split into train, validation and test."""
