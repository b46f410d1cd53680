"""What is left of `tenfold` when `tenfold-slim`, which holds the same files, was uninstalled.

It lies beside the package, which Python prefers while it is there.
"""

raise ImportError(
    "The files of tenfold were removed together with tenfold-slim. "
    "Put them back: pip install --force-reinstall --no-deps tenfold"
)
