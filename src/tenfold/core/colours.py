"""The colours of all pictures, in the notation of style sheets."""

INK = "#1f2933"
QUIET = "#7b8794"
ACCENT = "#1767b3"
AGAINST = "#d65a0a"


def rgb(colour: str) -> tuple[int, int, int]:
    """Convert a colour to its components, 0 to 255, as Pillow takes them.

    Example:
      >>> rgb("#1767b3")
      (23, 103, 179)
    """
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue
