"""Tests of `tenfold.core`."""
