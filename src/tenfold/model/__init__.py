"""A model file that answers; nothing here loads a training library."""
