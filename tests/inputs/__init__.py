"""Tests of `tenfold.inputs`."""
