"""Picture files: every format and mode, each refusal, and thousands of damaged files."""

import io
import random
import re
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from tenfold.core.errors import FileError, FormatError, TenfoldError
from tenfold.inputs.pictures import decode as images
from tenfold.inputs.pictures.decode import PictureOptions, decode, read_picture
from tests.support.errors import refused

LIMIT_BYTES = 512 << 20


def drawing(mode: str = "L", size: tuple[int, int] = (40, 30), ink: int = 20) -> Image.Image:
    """A dark stroke on light paper."""
    image = Image.new("L", size, 230)
    ImageDraw.Draw(image).line((5, 5, size[0] - 8, size[1] - 6), fill=ink, width=4)
    return image.convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def samples() -> dict[str, bytes]:
    """A small file of every format, in modes that it knows."""
    deep = Image.fromarray(np.asarray(drawing(), np.uint16) * 257)
    kinds: dict[str, list[tuple[str, dict[str, object]]]] = {
        "PNG": [("1", {}), ("L", {}), ("LA", {}), ("P", {}), ("RGB", {}), ("RGBA", {})],
        "JPEG": [("L", {}), ("RGB", {}), ("CMYK", {}), ("RGB", {"progressive": True})],
        "GIF": [("L", {}), ("P", {})],
        "BMP": [("1", {}), ("L", {}), ("RGB", {})],
        "TIFF": [("L", {}), ("RGB", {"compression": "tiff_lzw"}), ("CMYK", {}), ("RGBA", {})],
        "WEBP": [("RGB", {}), ("RGBA", {"lossless": True})],
    }
    files = {
        f"{kind} {mode} {i}": encoded(drawing(mode), kind, **options)
        for kind, modes in kinds.items()
        for i, (mode, options) in enumerate(modes)
    }
    files["PNG I;16"] = encoded(deep, "PNG")
    files["TIFF I;16"] = encoded(deep, "TIFF")
    files["TIFF F"] = encoded(drawing("F"), "TIFF")
    files["TIFF I"] = encoded(drawing("I"), "TIFF")
    files["GIF of two"] = encoded(
        drawing(), "GIF", save_all=True, append_images=[Image.new("L", (40, 30), 0)]
    )
    return files


SAMPLES = samples()
EXPECTED = np.asarray(drawing())


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_and_mode_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.dat"  # the content decides, not the name
    path.write_bytes(SAMPLES[name])
    picture = read_picture(path)
    assert picture.pixels.dtype == np.uint8 and picture.pixels.flags.c_contiguous
    assert picture.step == 1
    expected = np.asarray(drawing(name.split()[1]).convert("L")) if " 1 " in name else EXPECTED
    loss = 40 if name.startswith(("JPEG", "WEBP")) or "CMYK" in name else 3
    assert np.abs(picture.pixels.astype(int) - expected).max() <= loss, name
    colour = decode(SAMPLES[name], channels=3).pixels
    assert colour.shape == (30, 40, 3) and colour.dtype == np.uint8


def test_colours_stay() -> None:
    image = Image.new("RGB", (3, 2), (250, 10, 60))
    assert (decode(encoded(image, "PNG"), channels=3).pixels == (250, 10, 60)).all()


@pytest.mark.parametrize("orientation", range(10))
def test_the_exif_turn_is_honoured_or_not(orientation: int) -> None:
    exif = Image.Exif()
    exif[images.ORIENTATION] = orientation
    content = encoded(drawing(), "PNG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    assert np.array_equal(decode(content).pixels, expected)
    assert np.array_equal(
        decode(content, options=PictureOptions(apply_exif=False)).pixels, EXPECTED
    )


def with_alpha(grey: int, opaque: float) -> Image.Image:
    """A patch of one grey on nothing; `opaque` is its share of the picture."""
    pixels = np.zeros((20, 20, 2), np.uint8)
    pixels[: round(20 * opaque)] = grey, 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("grey", "opaque", "paper"),
    [(10, 0.2, 255), (240, 0.2, 0), (240, 0.8, 240), (10, 0.8, 10), (0, 0.0, 255)],
)
def test_transparency_leaves_the_ink_visible(grey: int, opaque: float, paper: int) -> None:
    image = with_alpha(grey, opaque)
    assert decode(encoded(image, "PNG")).pixels[-1, -1] == paper
    assert (decode(encoded(image, "PNG"), channels=3).pixels[-1, -1] == paper).all()
    if opaque:
        assert decode(encoded(image.convert("RGBA"), "WEBP", lossless=True)).pixels[0, 0] == grey


def test_a_transparent_colour_of_a_palette_counts_too() -> None:
    image = Image.new("P", (20, 20), 1)
    image.putpalette([0, 0, 0, 90, 200, 90])
    image.paste(0, (3, 3, 8, 8))
    pixels = decode(encoded(image, "GIF", transparency=1)).pixels
    assert pixels[0, 0] == 255 and pixels[5, 5] == 0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 32768, 65535]], np.uint16), [0, 128, 255]),
        (np.array([[0, 2048, 4095]], np.uint16), [0, 128, 255]),  # a camera of 12 bits
        (np.array([[0, 128, 255]], np.int32), [0, 128, 255]),
        (np.array([[0, 65535, 32768]], np.int32), [0, 255, 128]),
        (np.array([[-100, 0, 100]], np.int32), [0, 128, 255]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 127.6, 255.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 1e12, 4e12]], np.float32), [0, 64, 255]),
        (np.array([[-7.0, -7.0]], np.float32), [0, 0]),
    ],
)
def test_deep_greys_are_scaled_not_clipped(
    values: NDArray[np.generic], expected: list[int]
) -> None:
    assert decode(encoded(Image.fromarray(values), "TIFF")).pixels.tolist() == [expected]


def test_values_that_are_no_numbers_are_refused() -> None:
    content = encoded(Image.fromarray(np.array([[0, np.nan]], np.float32)), "TIFF")
    with refused("E317", "reason='values that are not finite'"):
        decode(content)


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [drawing(), Image.new("L", (40, 30), 0)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.abs(decode(content).pixels.astype(int) - EXPECTED).max() <= 3


def test_a_phone_s_jpeg_with_previews_is_a_jpeg() -> None:
    picture = drawing("RGB")
    content = encoded(picture, "MPO", save_all=True, append_images=[picture])
    assert decode(content, at_least_px=10).step > 1  # shrunk while decoding, as JPEGs alone are


def test_a_large_jpeg_is_shrunk_while_decoding() -> None:
    content = encoded(drawing(size=(3000, 2001)), "JPEG")
    picture = decode(content, at_least_px=700)
    assert picture.step == 4 and picture.pixels.shape == (501, 750)
    assert decode(content).pixels.shape == (2001, 3000)
    assert decode(content, at_least_px=5000).step == 1
    assert decode(encoded(drawing(size=(900, 600)), "PNG"), at_least_px=100).step == 1


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("width", "height", "fact"),
    [
        (8001, 8000, "width=8001, height=8000"),
        (20_000, 2, "width=20000, height=2"),
        (12_000, 9_000, "width=12000, height=9000"),  # Pillow warns from here
        (60_000, 60_000, r"reason='Image size \(3600000000 pixels\) exceeds limit of"),
    ],
)
def test_a_picture_too_large_is_refused_before_it_is_decoded(
    width: int, height: int, fact: str
) -> None:
    with pytest.raises(
        FormatError, match=rf"^The picture is too large: {fact}.*\(bomb.png\). Expected"
    ):
        decode(png_of(width, height), where="bomb.png")


def jpeg_of_scans(n: int) -> bytes:
    """A progressive JPEG, whose last scan comes n times."""
    file = io.BytesIO()
    Image.fromarray(np.full((64, 64), 128, np.uint8)).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * n + b"\xff\xd9"


def test_a_jpeg_of_many_scans_is_refused() -> None:
    assert decode(jpeg_of_scans(90)).pixels.shape == (64, 64)
    with pytest.raises(FormatError, match=r"^The JPEG file has too many scans: n_scans=1\d\d"):
        decode(jpeg_of_scans(101))


SVG = b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'></svg>"


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", r"^The file is empty \(a.png\). Expected a picture."),
        (
            b"GIF",
            (
                r"^The file is not a picture that can be read: begins_with='47 49 46' "
                r"\(a.png\). Expected PNG, JPEG,.* or WEBP."
            ),
        ),
        (b"  <!DOCTYPE html><html>", "It is a web page or an SVG drawing; save it as PNG.$"),
        (SVG, "It is a web page or an SVG drawing; save it as PNG.$"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "^The file is not a picture that can be read: begins_with=",
        ),
        (
            b"P5 2 2 255\n\0\0\0\0",
            "^The file is not a picture that can be read: begins_with=",
        ),  # PPM is not on the list
        (
            SAMPLES["PNG L 1"][:-40],
            r"^The picture is damaged: reason='.*' \(a.png\). Expected a complete",
        ),
        (
            SAMPLES["JPEG RGB 1"][:-200],
            r"^The picture is damaged: reason='.*truncated.*' \(a.png\)",
        ),
        (png_of(30, 0), "^The picture is damaged|^The file is not a picture that can be read"),
        (
            bytes(images.MAX_BYTES + 1),
            r"^The picture file is too large: n_bytes=33554433 \(a.png\)",
        ),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else "",
)
def test_what_is_no_whole_picture_is_refused_in_one_line(
    content: bytes, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(content)
    with pytest.raises(FormatError, match=wrong) as refused:
        read_picture("a.png")
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=re.escape("missing.png")):
        read_picture(tmp_path / "missing.png")
    with pytest.raises(FileError):
        read_picture(tmp_path)


def damaged(rng: random.Random) -> bytes:
    """A valid small file, then cut, flipped, overwritten, stretched or spliced with another."""
    content = bytearray(rng.choice(list(SAMPLES.values())))
    for _ in range(rng.choice((1, 1, 2, 5))):
        n = len(content)
        if not n:
            break
        # Headers steer a decoder, so half of all damage is done there.
        at = rng.randrange(min(n, 100) if rng.random() < 0.5 else n)
        kind = rng.randrange(6)
        if kind == 0:
            del content[max(at, 1) :]
        elif kind == 1:
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            content[at : at + 4] = rng.choice(
                (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff")
            )
        elif kind == 3:
            content[at : at + rng.randrange(20)] = rng.randbytes(rng.randrange(20))
        elif kind == 4:
            content[at:at] = content[at : at + rng.randrange(60)] * rng.randrange(1, 4)
        else:
            other = rng.choice(list(SAMPLES.values()))
            content[at:] = other[rng.randrange(len(other)) :]
    return bytes(content)


def decode_damaged(n: int, seed: int) -> str:
    """Decode n damaged files within `LIMIT_BYTES` of memory; how many were read and refused."""
    rng = random.Random(seed)
    decode(SAMPLES["WEBP RGB 0"])  # load the codecs before the limit is set
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT_BYTES, used + LIMIT_BYTES))
    n_read = 0
    for _ in range(n):
        content = damaged(rng)
        try:
            pixels = decode(content, where="damaged.dat", channels=rng.choice((1, 3))).pixels
            assert pixels.dtype == np.uint8 and pixels.size
            n_read += 1
        except TenfoldError as error:
            assert "\n" not in str(error) and "damaged.dat" in str(error)
    return f"{n_read} read, {n - n_read} refused"


def run_damaged(n: int, seed: int) -> tuple[int, int]:
    """In a process of its own: a decoder that crashes must not take the tests with it."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", __name__, str(n), str(seed)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    # libtiff writes its own complaints; what Python writes would be a warning or a traceback.
    assert not re.search("warning|Traceback", done.stderr, re.I)
    n_read, n_refused = re.findall(r"\d+", done.stdout)
    return int(n_read), int(n_refused)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and RLIMIT_AS")
def test_damaged_files_end_in_a_picture_or_in_one_clear_error() -> None:
    n_read, n_refused = run_damaged(3_000, 0)
    assert n_read > 300 and n_refused > 1_000


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and RLIMIT_AS")
@pytest.mark.parametrize("seed", range(1, 11))
def test_a_hundred_thousand_damaged_files(seed: int) -> None:
    assert sum(run_damaged(10_000, seed)) == 10_000


if __name__ == "__main__":
    print(decode_damaged(int(sys.argv[1]), int(sys.argv[2])))


HEADS = [
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC picture"),
    (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "a HEIF picture"),
    (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1", "an AVIF picture"),
    (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl ", "a JPEG XL picture"),
]


@pytest.mark.parametrize(("head", "name"), HEADS, ids=[name for _, name in HEADS])
@pytest.mark.parametrize("file", ["photo", "photo.heic", "photo.jpg"])
def test_a_picture_of_another_kind_is_called_by_it(
    head: bytes, name: str, file: str, tmp_path: Path
) -> None:
    path = tmp_path / file
    path.write_bytes(head + bytes(200))
    assert images.is_picture(path)
    with pytest.raises(
        FormatError,
        match=rf"^The file is not a picture that can be read.*It is {name}; save it as JPEG or PNG",
    ):
        read_picture(path)


@pytest.mark.parametrize("name", sorted(samples()))
def test_a_picture_is_told_by_its_content_where_its_name_says_nothing(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / "photo"
    path.write_bytes(samples()[name])
    assert images.is_picture(path)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\0\0\x08\x03\0\0\0\x01", b"PK\x03\x04"])
def test_other_files_are_no_pictures(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    assert not images.is_picture(tmp_path / "file")
    assert not images.is_picture(tmp_path / "nothing") and not images.is_picture(tmp_path)
