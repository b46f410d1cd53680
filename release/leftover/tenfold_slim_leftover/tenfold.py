"""What is left of `tenfold-slim` when `tenfold`, which holds the same files, was uninstalled.

`tenfold_slim.pth` puts this folder last on the path, so that the package is found before it.
"""

raise ImportError(
    "The files of tenfold-slim were removed together with tenfold. "
    "Put them back: pip install --force-reinstall --no-deps tenfold-slim"
)
