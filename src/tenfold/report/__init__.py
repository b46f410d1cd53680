"""The evidence of a run as people look at it: pictures and one HTML file."""

from tenfold.report.html import write_report
from tenfold.report.plots import draw_confusion, draw_examples, draw_history

__all__ = ["draw_confusion", "draw_examples", "draw_history", "write_report"]
