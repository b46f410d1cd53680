"""Tests of `tenfold.experiments`."""
