"""Tests of `tenfold.learners`."""
