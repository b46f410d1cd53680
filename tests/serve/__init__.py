"""Tests of `tenfold.serve`."""
