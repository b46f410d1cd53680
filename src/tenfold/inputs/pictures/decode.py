"""Decode picture files to uint8 arrays: only PNG, JPEG, GIF (first frame), BMP, TIFF and WebP.

Files are not trusted: the size is checked before pixels are decoded, no metadata except orientation
and camera is used, and every problem ends in one clear error.
"""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.errors import FormatError
from tenfold.inputs.pictures.pixels import white_of

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
"""Passed to Pillow each time, because it would also try formats that start other programs."""

JPEG = ("JPEG", "MPO")
"""Pillow's names for a JPEG. MPO is the format of phones, with previews."""

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
"""Suffixes of picture files, in lower case."""

FOREIGN = {
    **dict.fromkeys((b"ftypheic", b"ftypheix", b"ftyphevc", b"ftyphevx"), "a HEIC picture"),
    **dict.fromkeys((b"ftypmif1", b"ftypmsf1"), "a HEIF picture"),
    **dict.fromkeys((b"ftypavif", b"ftypavis"), "an AVIF picture"),
    b"jP  \r\n\x87\n": "a JPEG 2000 picture",
    b"JXL \r\n\x87\n": "a JPEG XL picture",
}
"""Picture formats that are not supported, by bytes 4 to 12, from freedesktop.org's shared-mime-info
2.2."""

STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"MM\0*", b"II*\0", b"MM\0+", b"II+\0")
"""The first bytes of files of `FORMATS`, from the same source. `is_picture` recognises WebP."""

MAX_BYTES = 32 << 20
MAX_PIXELS = 64_000_000
MAX_SIDE_PX = 16_384
MAX_SCANS = 100
"""Maximum number of scans of a JPEG, each of which takes time. Programs write about ten, and a file
of 94 kB with 1,000 took 14 s to decode. libtiff has the same limit (tif_jpeg.c)."""

Channels = Literal[1, 3]

DEEP_MODES = ("I", "F")
"""Prefixes of Pillow's modes for greys of more than 8 bits: integers and floats."""


@dataclass(frozen=True)
class PictureOptions:
    """Options for reading picture files.

    Attributes:
      fit_to_box: Bring a picture to the size of the model: fit the drawing to the MNIST box, or cut
        out the middle, as the model's contract says. With False the picture is used unchanged, and
        must have the size of the model.
      apply_exif: Apply the EXIF orientation. Use False for cameras that write a wrong tag.
      max_pixels: Larger pictures are refused before they are decoded.
      white: The value of white in pictures of more than 8 bits. None: determined for each picture.
    """

    fit_to_box: bool = True
    apply_exif: bool = True
    max_pixels: int = MAX_PIXELS
    white: int | None = None


DEFAULT_OPTIONS = PictureOptions()

ORIENTATION, MAKE, MODEL = 0x0112, 0x010F, 0x0110
"""EXIF 2.32, table 4: the tags of the orientation, and of maker and model of the camera."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture.

    Attributes:
      pixels: uint8 (h, w) grey, or (h, w, 3) red, green, blue.
      step: Pixels of the file per pixel of the array, in both directions: 1, or 2, 4, 8 if a large
        JPEG was reduced while it was decoded.
    """

    pixels: NDArray[np.uint8]
    step: int


def read_picture(
    source: Path | str | bytes,
    *,
    channels: Channels = 1,
    at_least_px: int | None = None,
    options: PictureOptions = DEFAULT_OPTIONS,
) -> Picture:
    """Read a picture file, or its bytes.

    Args:
      source: The file. Its type is recognised by its content, not by its name.
      channels: 1 for grey, 3 for colour.
      at_least_px: A JPEG may be reduced by 2, 4 or 8, but its longer side stays at least this.
      options: Only `apply_exif`, `max_pixels` and `white` matter here.

    Raises:
      FormatError: The file is not a picture of `FORMATS`, is damaged, or exceeds the limits.
      FileError: The file cannot be opened or read.
    """
    with _opened(source) as (file, where):
        content = file.read(MAX_BYTES + 1)
    return decode(content, where=where, channels=channels, at_least_px=at_least_px, options=options)


def is_picture(path: Path | str) -> bool:
    """Whether to read a file as a picture: by its name, or else by its first bytes.

    Formats that are not supported (HEIC, AVIF, ...) count as well, because reading them gives an
    error that names them. A file that cannot be opened does not count.
    """
    path = Path(path)
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return is_picture_content(head)


def png_pixels(content: bytes) -> int:
    """The number of pixels that the header of a PNG file states; 0 for other content.

    Source: W3C, "Portable Network Graphics (PNG) Specification", 11.2.1, IHDR.
    """
    if not content.startswith(b"\x89PNG\r\n\x1a\n") or content[12:16] != b"IHDR":
        return 0
    return int.from_bytes(content[16:20]) * int.from_bytes(content[20:24])


def is_picture_content(head: bytes) -> bool:
    """Whether a file that begins with these 12 bytes is a picture."""
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return head.startswith(STARTS) or is_webp or head[4:12] in FOREIGN


@contextmanager
def _opened(source: Path | str | bytes) -> Iterator[tuple[BinaryIO, object]]:
    """Open a picture file or its bytes, with its name for messages. The size is checked."""
    if isinstance(source, bytes):
        _check_bytes(len(source), "picture")
        yield io.BytesIO(source), "picture"
        return
    path = Path(source)
    with files.os_errors("read", path), path.open("rb") as file:
        _check_bytes(os.fstat(file.fileno()).st_size, path)
        yield file, path


class Header(NamedTuple):
    """The information in front of the pixels of a picture file.

    Attributes:
      shape: Height and width in pixels, after applying the EXIF orientation.
      camera: Maker and model of the camera, or empty if the file does not name them.
      file_type: The format that the bytes are in, such as `JPEG`, whatever the file is called.
    """

    shape: tuple[int, int]
    camera: str
    file_type: str


def read_picture_header(source: Path | str | bytes) -> Header:
    """Read the header of a picture file, or of its bytes.

    Raises:
      FormatError, FileError: As for `read_picture`.
    """
    with _opened(source) as (file, where), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = _open(file, where)
        width, height = image.size
        is_sideways = _orientation(image) in (5, 6, 7, 8)
        camera = " ".join(str(_exif(image, tag) or "").strip("\0 ") for tag in (MAKE, MODEL))
        # Pillow calls a JPEG file with a second picture in it, as some cameras write, MPO.
        file_type = "JPEG" if image.format == "MPO" else image.format or ""
    return Header((width, height) if is_sideways else (height, width), camera.strip(), file_type)


def read_white(source: Path | str | bytes) -> int | None:
    """The value of white of a picture with integer greys of more than 8 bits; None for others.

    Raises:
      FormatError, FileError: As for `read_picture`.
    """
    with _opened(source) as (file, where):
        image = _open(file, where)
        if not image.mode.startswith("I"):
            return None
        try:
            values = np.asarray(image)
        except Exception as error:  # decoders raise a dozen kinds of exceptions for damaged files
            raise _damaged(where, error) from error
    return None if values.min() < 0 else white_of(values[None])


def decode(
    content: bytes,
    *,
    where: object = "bytes",
    channels: Channels = 1,
    at_least_px: int | None = None,
    options: PictureOptions = DEFAULT_OPTIONS,
) -> Picture:
    """Decode the bytes of a picture file. The arguments are those of `read_picture`.

    Transparent parts are put on a background that keeps the drawing visible. If most of the picture
    is transparent, it is black or white, whichever differs more from the drawing; otherwise it is
    the median of the opaque pixels. Deep greys are scaled to 8 bits, not clipped.
    """
    _check_bytes(len(content), where)
    # Pillow warns about damaged metadata, which is not used here.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = _open(io.BytesIO(content), where, options.max_pixels)
        # Each scan begins with two bytes that cannot occur in coded pixels.
        n_scans = content.count(b"\xff\xda") if image.format in JPEG else 0
        if n_scans > MAX_SCANS:
            raise FormatError(
                "E324",
                "The JPEG file has too many scans",
                where=where,
                expected=f"at most {MAX_SCANS} scans",
                fix="Open it in a picture program and save it again",
                n_scans=n_scans,
            )
        try:
            return _decoded(image, channels, options, at_least_px)
        except Exception as error:  # decoders raise a dozen kinds of exceptions for damaged files
            raise _damaged(where, error) from error


def _check_bytes(n_bytes: int, where: object) -> None:
    if not n_bytes:
        raise FormatError("E318", "The file is empty", where=where, expected="a picture")
    if n_bytes > MAX_BYTES:
        raise FormatError(
            "E319",
            "The picture file is too large",
            where=where,
            expected=f"at most {MAX_BYTES >> 20} MiB",
            fix="Save it with fewer pixels, or as JPEG",
            n_bytes=n_bytes,
        )


def _open(file: BinaryIO, where: object, max_pixels: int = MAX_PIXELS) -> "Image.Image":
    """Read only the header, and check the size before any pixel is decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        file.seek(0)
        content = file.read(64)
        start = content.lstrip(b"\xef\xbb\xbf \t\r\n")
        fix = "It is a web page or an SVG drawing; save it as PNG" if start[:1] == b"<" else None
        if content[4:12] in FOREIGN:
            fix = f"It is {FOREIGN[content[4:12]]}; save it as JPEG or PNG"
        raise FormatError(
            "E320",
            "The file is not a picture that can be read",
            where=where,
            expected=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}",
            fix=fix,
            begins_with=content[:8].hex(" "),
        ) from error
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(where, max_pixels, reason=str(error).partition(",")[0]) from error
    # Readers of headers raise a dozen kinds of exceptions for damaged files.
    except Exception as error:
        raise _damaged(where, error) from error
    width, height = image.size
    if width * height > max_pixels or max(width, height) > MAX_SIDE_PX:
        raise _too_many_pixels(where, max_pixels, width=width, height=height)
    return image


def _too_many_pixels(where: object, max_pixels: int, **facts: object) -> FormatError:
    return FormatError(
        "E316",
        "The picture is too large",
        where=where,
        expected=f"at most {max_pixels / 10**6:g} million pixels, {MAX_SIDE_PX:,} on each side",
        fix="Make it smaller first",
        **facts,
    )


def _damaged(where: object, error: Exception) -> FormatError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return FormatError(
        "E317",
        "The picture is damaged",
        where=where,
        expected="a complete file",
        fix="Open it in a picture program and save it again",
        reason=reason,
    )


def _decoded(
    image: "Image.Image", channels: Channels, options: PictureOptions, at_least_px: int | None
) -> Picture:
    width = image.size[0]
    if at_least_px is not None and image.format in JPEG:
        ratio = at_least_px / max(image.size)
        # Pillow takes the greatest step that keeps both sides at least this large.
        image.draft(None, (int(width * ratio), int(image.size[1] * ratio)))
    image.load()
    step = max(1, round(width / image.size[0]))
    orientation = _orientation(image) if options.apply_exif else 1
    pixels = _pixels(image, channels, options.white)
    return Picture(np.ascontiguousarray(turned(pixels, orientation)), step)


def _orientation(image: "Image.Image") -> int:
    value = _exif(image, ORIENTATION)
    return value if isinstance(value, int) else 1


def _exif(image: "Image.Image", tag: int) -> Any:
    try:
        return image.getexif().get(tag)
    except Exception:  # an unreadable EXIF block is ignored
        return None


def turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Rotate or mirror pixels by the EXIF orientation, 1 to 8. Other values leave them unchanged.

    Source: EXIF 2.32, tag 274, which says where the first row and column are in the scene.
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _pixels(image: "Image.Image", channels: Channels, white: int | None) -> NDArray[np.uint8]:
    if image.mode.startswith(DEEP_MODES):
        grey = _deep(np.asarray(image), white)
        return grey if channels == 1 else np.repeat(grey[..., None], 3, axis=2)
    mode = "L" if channels == 1 else "RGB"
    if image.has_transparency_data:
        return _on_paper(image, mode)
    return np.array(image.convert(mode))


def _on_paper(image: "Image.Image", mode: str) -> NDArray[np.uint8]:
    """Put transparent parts on a background that keeps the drawing visible."""
    from PIL import Image

    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    opacity = np.asarray(alpha)
    if opacity.min() == 255:
        return np.array(image.convert(mode))
    seen = np.asarray(image.convert("L"))[opacity >= 128]
    if seen.size * 2 > opacity.size:
        paper = int(np.median(seen))
    else:
        paper = 255 if not seen.size or np.median(seen) < 128 else 0
    ground = Image.new(mode, image.size, paper if mode == "L" else (paper,) * 3)
    ground.paste(image.convert(mode), mask=alpha)
    return np.array(ground)


def _deep(values: NDArray[np.generic], white: int | None) -> NDArray[np.uint8]:
    """Scale greys of more than 8 bits to 8 bits.

    Integers are divided by `white`. By default this is the largest value of the smallest number of
    bits that represents all but a few hot pixels. Floats from 0 to 1 are multiplied by 255.
    Pictures with negative or larger floats are scaled from their smallest to their largest value.
    """
    x = values.astype(np.float32)
    low, high = float(x.min()), float(x.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("values that are not finite")
    if low < 0 or high >= 2.0**32:
        spread = high - low or 1.0
        x -= low
    elif np.issubdtype(values.dtype, np.floating) and high <= 1:
        spread = 1.0
    else:
        spread = float(white or white_of(x[None]))
    x *= 255 / spread
    return np.rint(np.minimum(x, 255)).astype(np.uint8)
