"""Encodings of bodies and pictures: gzip, the files of a form, and base64 in JSON."""

import binascii
import zlib
from email.message import Message

from tenfold.core.errors import DataError
from tenfold.serve.limits import Limits, too_large
from tenfold.serve.messages import HTTPError

FORM_TYPE = "multipart/form-data"

BASE64_PART = 1 << 20
"""Characters that are decoded at once; other threads have their turn between two parts. It is a
multiple of four, so that only the last part may end in padding."""

GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
"""The header of the data tells the two formats apart (zlib.h, `inflateInit2`)."""


def decompressed(body: bytes, limits: Limits) -> bytes:
    """Decompress a body that was sent as gzip or deflate, up to the largest size of a body."""
    unpacker = zlib.decompressobj(GZIP_OR_ZLIB)
    try:
        content = unpacker.decompress(body, limits.body_bytes + 1)
    except zlib.error as error:
        raise HTTPError(
            "E979", "The compressed body is damaged", 422, expected="gzip or deflate"
        ) from error
    if len(content) > limits.body_bytes:
        raise too_large(limits)
    if not unpacker.eof or unpacker.unused_data:
        raise HTTPError(
            "E980", "The compressed body does not end where it should", 422, n_bytes=len(body)
        )
    return content


def boundary_of(content_type: str) -> str | None:
    """The boundary between the parts of a form (RFC 2046, section 5.1.1)."""
    message = Message()
    message["content-type"] = content_type
    return message.get_boundary()


def form_files(body: bytes, boundary: str, most: int) -> list[bytes]:
    """The files of a form in their order; at most `most` + 1 of its parts are read.

    Fields without a file name are ignored. Source: RFC 7578, and RFC 2046, section 5.1.1.
    """
    delimiter = b"\r\n--" + boundary.encode("latin-1")
    _, *parts = (b"\r\n" + body).split(delimiter, most + 2)
    files, is_whole = [], False
    for part in parts:
        if part.startswith(b"--"):
            is_whole = True
            break
        head, end, content = part.partition(b"\r\n\r\n")
        if end and b"filename" in head.lower():
            files.append(content)
    if not is_whole and len(parts) <= most:
        raise HTTPError("E981", "The form has no end", 422, expected="the boundary and two dashes")
    return files


def from_base64(text: str) -> bytes:
    """The bytes of a picture file that is base64 in JSON, alone or in a `data:` address."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    parts = (text[start : start + BASE64_PART] for start in range(0, len(text), BASE64_PART))
    try:
        if 0 <= text.find("=") < len(text) - 2:
            raise ValueError("characters behind the padding")
        return b"".join(binascii.a2b_base64(part, strict_mode=True) for part in parts)
    except ValueError as error:  # also raised for characters outside ASCII
        raise DataError(
            "E982", "The text is not a picture in base64", expected="base64 of a picture file"
        ) from error
