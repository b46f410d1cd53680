"""Lists of names in messages: the first ones, and how many more there are."""

from collections.abc import Sequence


def shorten(names: Sequence[str], at_most: int = 20, separator: str = ", ") -> str:
    """Join the first names, and say how many were left out.

    Example:
      >>> shorten(["a", "b", "c", "d"], at_most=2)
      'a, b and 2 more'
    """
    return separator.join(names[:at_most]) + and_more(at_most, len(names))


def and_more(shown: int, total: int) -> str:
    """The words behind a list that shows fewer than there are; empty where it shows all.

    Example:
      >>> and_more(5, 1205), and_more(5, 3)
      (' and 1,200 more', '')
    """
    return f" and {total - shown:,} more" if total > shown else ""
