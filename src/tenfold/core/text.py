"""Format numbers and lists of names for people."""

import math
import re
from collections.abc import Sequence

CONTROLS = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Characters that control a terminal or reverse a line: C0 except tab and line feed, DEL, C1,
Unicode's line separators, and characters that embed, override or isolate a writing direction."""


def escape_controls(text: str) -> str:
    r"""Replace such characters by Python's escapes.

    Example:
      >>> print(escape_controls("\x1b]0;mine\x07"))
      \x1b]0;mine\x07
    """
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def shorten(names: Sequence[str], at_most: int = 20, separator: str = ", ") -> str:
    """Join the first names, and say how many were left out.

    Example:
      >>> shorten(["a", "b", "c", "d"], at_most=2)
      'a, b and 2 more'
    """
    return separator.join(names[:at_most]) + and_more(at_most, len(names))


def and_more(shown: int, total: int) -> str:
    """The words after a list that is incomplete. Empty if it is complete.

    Example:
      >>> and_more(5, 1205), and_more(5, 3)
      (' and 1,200 more', '')
    """
    return f" and {total - shown:,} more" if total > shown else ""


def signed(value: float, *, is_share: bool = False) -> str:
    """A number or a share with its sign, as it is added to others.

    Example:
      >>> signed(133800.4), signed(-0.0000266), signed(0.3238, is_share=True)
      ('+133,800', '-0.00002660', '+32.4%')
    """
    return (
        f"{value:+.1%}"
        if is_share
        else f"{'-' if value < 0 else '+'}{in_unit(abs(value), digits=4)}"
    )


def shown_cell(cell: str, kind: str) -> str:
    """A stored cell for people: a number with five digits, and a day without its midnight. What
    shown_cell.js does.

    Example:
      >>> shown_cell("0.027178291080364757", "number"), shown_cell("358963.0", "number")
      ('0.027178', '358963')
      >>> shown_cell("1988-11-14T00:00:00", "date"), shown_cell("1.0", "category")
      ('1988-11-14', '1.0')
    """
    if kind == "date":
        return cell.removesuffix("T00:00:00")
    if kind != "number" or not cell or not math.isfinite(value := float(cell)):
        return cell
    size = math.floor(math.log10(abs(value))) if value else 0
    if not -7 < size < 15:
        return f"{value:.5g}"
    text = f"{value:.{max(0, 4 - size)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def ordinal(number: int) -> str:
    """Format a number as a position.

    Example:
      >>> [ordinal(n) for n in (1, 2, 3, 4, 11, 21)]
      ['1st', '2nd', '3rd', '4th', '11th', '21st']
    """
    teens = 10 <= number % 100 <= 20
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def percent(share: float, digits: int = 1) -> str:
    """Format a share in percent. It is rounded to 100% or 0% only if it is exact.

    Example:
      >>> percent(0.9877), percent(1.0), percent(0.9999)
      ('98.8%', '100%', '99.99%')
    """
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    while digits < 4 and round(share, digits + 2) in (0.0, 1.0):
        digits += 1
    return f"{share:.{digits}%}"


def in_unit(value: float, size: float | None = None, digits: int = 5) -> str:
    """A number with the decimals that give `size`, or the number itself, this many digits."""
    size = abs(value) if size is None else size
    decimals = digits - 1 - math.floor(math.log10(size)) if size > 0 else digits - 1
    if -15 <= decimals - digits <= 5:
        return f"{value:,.{max(decimals, 0)}f}"
    return f"{value:.{digits - 1}e}"
