"""Predict with a model file. Nothing here imports a training library."""
