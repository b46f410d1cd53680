"""Tests of `tenfold.data`."""
