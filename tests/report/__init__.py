"""Tests of `tenfold.report`."""
