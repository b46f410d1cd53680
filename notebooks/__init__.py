"""Notebooks, their sources, and what makes the one of the other."""
