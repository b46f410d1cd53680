"""The version of Tenfold."""

__version__ = "0.1.0"
