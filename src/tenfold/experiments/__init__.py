"""Trainings: one, in folds, or many, on this computer or on a cluster."""
