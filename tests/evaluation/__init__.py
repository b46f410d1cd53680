"""Tests of `tenfold.evaluation`."""
