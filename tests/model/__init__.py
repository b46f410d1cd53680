"""Tests of `tenfold.model`."""
