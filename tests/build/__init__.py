"""Tests of `tenfold.build`."""
