"""Tests of `tenfold.runs`."""
