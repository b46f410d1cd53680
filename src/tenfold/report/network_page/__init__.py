"""The network page: a model's own network in a page, computed by the browser."""

from tenfold.report.network_page.html import (
    Form,
    Living,
    embedded,
    inlined,
    page_style,
    page_text,
    read_text,
    render,
    write_page,
)
from tenfold.report.network_page.network import Unable, read_network

__all__ = [
    "Form",
    "Living",
    "Unable",
    "embedded",
    "inlined",
    "page_style",
    "page_text",
    "read_network",
    "read_text",
    "render",
    "write_page",
]
