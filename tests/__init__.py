"""The tests, in the folders of the package; `system` tests the whole from outside."""
