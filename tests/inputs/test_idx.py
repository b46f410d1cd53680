"""The IDX reader and writer: round trips, damage, bombs and every refusal."""

import bz2
import gzip
import hashlib
import io
import lzma
import math
import os
import pickle
import random
import sys
import threading
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from tenfold.core.errors import DataError, FileError, FormatError
from tenfold.inputs.idx import TYPES, parse_idx, read_header, read_idx, write_idx
from tests.support.errors import refused

Array = NDArray[Any]
Edit = tuple[str, int, bytes]
Read = tuple[str, tuple[int, ...], bytes]
Store = Callable[[bytes], Path]

SMALL = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
HUGE = 2**32 - 1

# The format's own table: bytes of each type.
SIZES = {0x08: 1, 0x09: 1, 0x0B: 2, 0x0C: 4, 0x0D: 4, 0x0E: 8}
NAMES = {
    0x08: "uint8",
    0x09: "int8",
    0x0B: "int16",
    0x0C: "int32",
    0x0D: "float32",
    0x0E: "float64",
}


@st.composite
def any_array(draw: st.DrawFn) -> Array:
    """Any dtype, bits and shape; now and then in the other byte order."""
    dtype = draw(st.sampled_from(list(TYPES.values())))
    shape = draw(st.just(()) | array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
    raw = draw(arrays(np.uint8, (math.prod(shape) * dtype.itemsize,)))
    array: Array = raw.view(dtype).reshape(shape)
    return array.astype(dtype.newbyteorder()) if draw(st.booleans()) else array


def header(*sizes: int, kind: int = 8) -> bytes:
    return bytes([0, 0, kind, len(sizes)]) + b"".join(size.to_bytes(4, "big") for size in sizes)


def idx(array: Array) -> bytes:
    """The bytes of an IDX file."""
    kind = next(kind for kind, name in NAMES.items() if name == array.dtype.newbyteorder("=").name)
    big = array.astype(array.dtype.newbyteorder(">"))
    return header(*array.shape, kind=kind) + big.tobytes()


PLAIN, ZIPPED = idx(SMALL), gzip.compress(idx(SMALL), mtime=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a test: Hypothesis runs many of them."""
    return tmp_path_factory.mktemp("idx")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    def write(content: bytes) -> Path:
        path = tmp_path / "some-file"
        path.write_bytes(content)
        return path

    return write


def refusal(content: bytes, **options: Any) -> str:
    """The message with which content is refused, which always says where."""
    with pytest.raises(FormatError) as error:
        parse_idx(io.BytesIO(content), where="here", **options)
    text = str(error.value)
    assert "(here)" in text
    assert "\n" not in text
    return text.replace(" (here)", "")


def traced(read: Callable[[], object]) -> int:
    """Peak of the memory that Python and NumPy ask for meanwhile, in bytes."""
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# Round trips


@settings(deadline=None)
@given(array=any_array(), name=st.sampled_from(["images", "images.gz"]))
def test_what_is_written_is_read_again_bit_by_bit(folder: Path, array: Array, name: str) -> None:
    write_idx(folder / name, array)
    again = read_idx(folder / name)
    native = array.astype(array.dtype.newbyteorder("="))
    assert again.dtype == native.dtype
    assert again.dtype.isnative
    assert again.flags.carray
    assert again.shape == array.shape
    assert again.tobytes() == native.tobytes()


@pytest.mark.parametrize("kind", TYPES, ids=NAMES.get)
def test_a_plain_file_is_laid_out_as_published(folder: Path, kind: int) -> None:
    array = np.arange(-6, 6).astype(TYPES[kind]).reshape(3, 4)
    write_idx(folder / "plain", array)
    assert (folder / "plain").read_bytes() == idx(array)


def test_the_published_examples_of_bytes_are_read() -> None:
    def read(text: str) -> Array:
        return parse_idx(io.BytesIO(bytes.fromhex(text)), where="here")

    assert read("00000801 00000003 01 02 ff").tolist() == [1, 2, 255]
    assert read("00000901 00000003 01 02 ff").tolist() == [1, 2, -1]
    assert read("00000b01 00000002 0001 fffe").tolist() == [1, -2]
    assert read("00000c02 00000001 00000002 00000001 fffffffe").tolist() == [[1, -2]]
    assert read("00000d01 00000001 3fc00000").tolist() == [1.5]
    assert read("00000e00 3ff8000000000000").tolist() == 1.5
    assert read("00000803 00000002 00000000 00000005").shape == (2, 0, 5)


def test_a_scalar_is_read_and_written(tmp_path: Path) -> None:
    for array in (np.uint8(7), np.float64(2.5), np.array(-3, np.int16)):
        write_idx(tmp_path / "a", np.asarray(array))
        again = read_idx(tmp_path / "a")
        assert again.shape == ()
        assert again == array


def test_eight_dimensions_are_written_and_read(tmp_path: Path) -> None:
    array = np.arange(16, dtype=np.int32).reshape(1, 2, 1, 2, 1, 2, 1, 2)
    write_idx(tmp_path / "a", array)
    np.testing.assert_array_equal(read_idx(str(tmp_path / "a")), array)


def test_the_layout_in_memory_does_not_matter(tmp_path: Path) -> None:
    for array in (np.asfortranarray(SMALL), SMALL[::-1, :, ::2]):
        for dtype in (np.uint8, np.float32):
            write_idx(tmp_path / "a", array.astype(dtype))
            np.testing.assert_array_equal(read_idx(tmp_path / "a"), array)


def test_the_name_decides_how_to_write_and_the_time_of_day_is_left_out(tmp_path: Path) -> None:
    write_idx(tmp_path / "a.gz", SMALL)
    content = (tmp_path / "a.gz").read_bytes()
    assert gzip.decompress(content) == idx(SMALL)
    # RFC 1952: byte 3 has no flags, so no name; bytes 4 to 7 are the time, 0 is none.
    assert content[3:8] == bytes(5)


def test_gzip_is_recognised_by_content_and_never_by_name(tmp_path: Path) -> None:
    (tmp_path / "plain-name").write_bytes(ZIPPED)
    (tmp_path / "gzip-name.gz").write_bytes(PLAIN)
    np.testing.assert_array_equal(read_idx(tmp_path / "plain-name"), SMALL)
    np.testing.assert_array_equal(read_idx(tmp_path / "gzip-name.gz"), SMALL)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_file_larger_than_one_chunk_is_read_whole(store: Store, zipped: bool) -> None:
    array = np.random.default_rng(0).integers(0, 256, (700, 1001), np.uint8)
    content = idx(array)
    path = store(gzip.compress(content, 1) if zipped else content)
    np.testing.assert_array_equal(read_idx(path), array)


def test_a_gzip_header_with_a_name_and_a_comment_is_read() -> None:
    # RFC 1952: flags 0x18 announce a file name and a comment, each ending with a zero byte.
    named = ZIPPED[:3] + b"\x18" + ZIPPED[4:10] + b"digits\0a comment\0" + ZIPPED[10:]
    np.testing.assert_array_equal(parse_idx(io.BytesIO(named), where="here"), SMALL)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("content", [PLAIN, ZIPPED], ids=["plain", "gzip"])
def test_a_pipe_is_read_though_its_size_is_unknown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(content,))
    writer.start()
    np.testing.assert_array_equal(read_idx(path), SMALL)
    writer.join()


def test_the_header_alone_tells_dtype_and_shape(store: Store) -> None:
    assert read_header(store(PLAIN)) == (np.dtype("uint8"), (2, 3, 4))
    assert read_header(store(gzip.compress(header(5, kind=0x0D)))) == (np.dtype("float32"), (5,))
    with refused("E305"):
        read_header(store(header(5)))


# Damage


def reference(content: bytes) -> Read | None:
    """Dtype, shape and elements of an IDX file, or None: slow, all in memory, a rule a line."""
    if content[:2] == b"\x1f\x8b":
        inflater = zlib.decompressobj(wbits=31)
        try:
            content = inflater.decompress(content)
        except zlib.error:
            return None
        if not inflater.eof or inflater.unused_data:
            return None
    if len(content) < 4 or content[:2] != b"\0\0":
        return None
    if content[2] not in SIZES or content[3] > 8:
        return None
    start, size = 4 + 4 * content[3], SIZES[content[2]]
    if len(content) < start:
        return None
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    if len(content) - start != math.prod(shape) * size:
        return None
    if math.prod(n or 1 for n in shape) * size > np.iinfo(np.intp).max:
        return None  # empty, and yet NumPy cannot hold such a shape
    step = -1 if sys.byteorder == "little" else 1
    elements = [content[at : at + size][::step] for at in range(start, len(content), size)]
    return NAMES[content[2]], shape, b"".join(elements)


def outcome(content: bytes) -> Read | None:
    try:
        array = parse_idx(io.BytesIO(content), where="here")
    except FormatError as error:
        assert "(here)" in str(error)
        return None
    return array.dtype.name, array.shape, array.tobytes()


def damage(content: bytes, edits: list[Edit]) -> bytes:
    for kind, position, extra in edits:
        at = position % (len(content) + 1)
        before, after = content[:at], content[at:]
        if kind == "flip":
            content = before + bytes(byte ^ extra[0] for byte in after[:1]) + after[1:]
        elif kind == "write":
            content = before + extra + after[len(extra) :]
        elif kind == "insert":
            content = before + extra + after
        elif kind == "delete":
            content = before + after[len(extra) :]
        elif kind == "repeat":
            content += after
        else:
            content = before
    return content


KINDS = ["flip", "write", "insert", "delete", "truncate", "repeat"]
edits = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 120), st.binary(min_size=1, max_size=6)),
    max_size=3,
)


@settings(deadline=None, max_examples=300)
@given(array=any_array(), inside=edits, outside=edits, zipped=st.booleans())
@example(array=SMALL, inside=[], outside=[], zipped=True)
@example(array=SMALL, inside=[("flip", 3, b"\x01")], outside=[], zipped=True)
@example(array=SMALL, inside=[], outside=[("insert", 120, b"\0")], zipped=True)
@example(array=SMALL, inside=[], outside=[("repeat", 0, b"\0")], zipped=True)
def test_a_damaged_file_is_read_as_the_reference_reads_it_or_refused(
    array: Array, inside: list[Edit], outside: list[Edit], zipped: bool
) -> None:
    content = damage(idx(array), inside)
    content = damage(gzip.compress(content, mtime=0) if zipped else content, outside)
    assert outcome(content) == reference(content)


STARTS = [b"<html>", b"\x89PNG\r\n\x1a\n", b"version https://git-lfs.github.com/spec/v1\n", b"\0"]
WORDS = [
    b"\0\0\0\0",
    b"\0\0\0\1",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
    b"\0\1\0\0",
    b"\x80\0\0\0",
]


def damaged_files(n: int, seed: int) -> Iterator[bytes]:
    """Files that are nearly IDX: sizes that lie, types that are none, gzip torn and doubled."""
    rng = random.Random(seed)

    def edit(content: bytes) -> bytes:
        at = rng.randrange(len(content) + 1)
        match rng.randrange(9):
            case 0:
                extra = rng.choice(WORDS)  # over a size of the header
                return damage(content, [("write", 4 * rng.randrange(1, 5), extra)])
            case 1:
                return damage(content, [("write", rng.randrange(4), rng.randbytes(1))])
            case 2:
                return rng.choice(STARTS) + content[rng.randrange(8) :]
            case kind:
                return damage(content, [(KINDS[kind - 3], at, rng.randbytes(rng.randint(1, 6)))])

    for _ in range(n):
        kind = rng.choice(list(SIZES))
        shape = [rng.randrange(5) for _ in range(rng.randrange(5))]
        content = header(*shape, kind=kind) + rng.randbytes(math.prod(shape) * SIZES[kind])
        for _ in range(rng.randrange(3)):
            content = edit(content)
        if rng.random() < 0.5:
            content = gzip.compress(content, rng.choice([0, 1, 9]), mtime=0)
        for _ in range(rng.randrange(3)):
            content = edit(content)
        yield content


def survive(n: int, seed: int) -> None:
    n_read = 0
    tracemalloc.start()
    try:
        for content in damaged_files(n, seed):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            found = outcome(content)
            peak_bytes = tracemalloc.get_traced_memory()[1] - before
            assert peak_bytes < 4_000_000, content
            assert found == reference(content), content
            n_read += found is not None
    finally:
        tracemalloc.stop()
    assert n / 20 < n_read < n / 2, "the damage is neither all harmless nor all fatal"


def test_damaged_files_give_our_own_errors_and_cost_no_memory() -> None:
    survive(4_000, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_1_000_000_damaged_files_give_our_own_errors_and_cost_no_memory(seed: int) -> None:
    survive(100_000, seed)


@pytest.mark.parametrize("content", [PLAIN, ZIPPED], ids=["plain", "gzip"])
def test_no_flipped_bit_passes_unless_the_reference_accepts_it(content: bytes) -> None:
    n_refused = 0
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        expected = reference(bytes(flipped))
        assert outcome(bytes(flipped)) == expected, f"bit {bit}"
        n_refused += expected is None
    assert n_refused > 50


@pytest.mark.parametrize("content", [PLAIN, ZIPPED], ids=["plain", "gzip"])
def test_every_shorter_file_is_refused(content: bytes) -> None:
    for n in range(len(content)):
        starts = (
            ("The file is too short", "The gzip file is incomplete")
            if n > 1
            else ("The file is not an IDX", "The file is too short")
        )
        assert refusal(content[:n]).startswith(starts)


# Refusals, one by one


def npy() -> bytes:
    target = io.BytesIO()
    np.save(target, SMALL)
    return target.getvalue()


def zipped() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("a", "b")
    return target.getvalue()


@pytest.mark.parametrize(
    ("content", "found", "fix"),
    [
        (b"", "an empty file", "Download it again."),
        (b"<!DOCTYPE html><html>", "a web page", "Download the file itself."),
        (b"\n\n  <html lang=en>", "a web page", "Download the file itself."),
        (b'\xef\xbb\xbf<?xml version="1.0"?><Error>', "a web page", "Download the file itself."),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9912422\n",
            "a Git LFS pointer",
            "Fetch the content with `git lfs pull`.",
        ),
        (
            b"/annex/objects/MD5E-s9912422--f68b3c2d.gz\n",
            "a git-annex pointer",
            "Fetch the content with `git annex get`.",
        ),
        (
            b"../.git/annex/objects/Xz/0q/MD5E-s9912422--f68b3c2d.gz",
            "a git-annex pointer",
            "Fetch the content with `git annex get`.",
        ),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG picture", ""),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG picture", ""),
        (b"GIF89a", "a GIF picture", ""),
        (zipped(), "a zip archive", ""),
        (bz2.compress(PLAIN), "a bzip2 archive", ""),
        (lzma.compress(PLAIN), "an xz archive", ""),
        (npy(), "a NumPy array", ""),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file", ""),
        (pickle.dumps(SMALL), "a pickle", ""),
        (b"%PDF-1.7", "a PDF", ""),
        (ZIPPED[:1] + b"abc", "1f 61 62 63", ""),
        (b"\3\x08\0\0\2\0\0\0", "an IDX header in the wrong byte order", ""),
        (b"404: Not Found", "34 30 34 3a 20 4e 6f 74", ""),
        (b"\0\1\x08\3", "00 01 08 03", ""),
    ],
    ids=map(str, range(21)),
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_what_people_have_instead_of_their_data_is_named(
    content: bytes, found: str, fix: str, pack: Callable[[bytes], bytes]
) -> None:
    text = refusal(pack(content))
    fact = "found" if found.startswith(("a", "gzip")) else "begins_with"
    wrong = f"The file is not an IDX file: {fact}='{found}'"
    assert text == f"{wrong}. Expected 00 00 as its first bytes. {fix}".strip()


def test_gzip_inside_gzip_is_named() -> None:
    assert "found='gzip inside gzip'" in refusal(gzip.compress(ZIPPED))


def test_damage_behind_a_wrong_start_does_not_hide_what_it_is() -> None:
    content = gzip.compress(b"<html>" + random.Random(0).randbytes(2000))
    assert "found='a web page'" in refusal(content[:-900])


@pytest.mark.parametrize("kind", [0, 7, 0x0A, 0x0F, 0x80])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_an_unknown_type_is_refused(kind: int, pack: Callable[[bytes], bytes]) -> None:
    assert refusal(pack(header(1, kind=kind) + b"abcdefgh")) == (
        f"The IDX file has an unknown type of elements: magic='00 00 {kind:02x} 01'. "
        "Expected one of 08, 09, 0b, 0c, 0d, 0e as the third byte."
    )


def test_nine_dimensions_are_refused() -> None:
    text = "The IDX file has too many dimensions: n_dimensions=9. Expected 0 to 8."
    assert refusal(header(*[1] * 9) + b"a") == text


@pytest.mark.parametrize(
    ("content", "n_needed"),
    [
        (b"\0", 4),
        (b"\0\0\x08", 4),
        (header(2, 3)[:9], 12),
        (header(2, 3), 18),
        (header(2, 3) + b"12345", 18),
        (header(2, 3, kind=0x0E) + bytes(47), 60),
    ],
    ids=["one byte", "magic", "sizes", "no elements", "one element short", "one byte short"],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_too_few_bytes_are_counted(
    content: bytes, n_needed: int, pack: Callable[[bytes], bytes]
) -> None:
    assert refusal(pack(content)) == (
        f"The file is too short: n_bytes={len(content)}. Expected {n_needed} bytes "
        "according to its header. Download it again."
    )


@pytest.mark.parametrize(
    "content",
    [PLAIN + b"\0", header(0) + b"\0", header(2, kind=0x0B) + b"12345"],
    ids=["one more", "empty", "short integers"],
)
def test_too_many_bytes_are_counted(content: bytes) -> None:
    n_needed = {PLAIN[2:8]: len(PLAIN)}.get(content[2:8], 8 if content[2] == 8 else 12)
    end = f"Expected {n_needed} bytes according to its header."
    assert refusal(content) == f"The file is too long: n_bytes={len(content)}. {end}"
    packed = gzip.compress(content)
    assert refusal(packed) == f"The file is too long: n_bytes='more than {n_needed}'. {end}"


@pytest.mark.parametrize(
    "content",
    [
        ZIPPED + ZIPPED,
        ZIPPED + gzip.compress(b""),
        gzip.compress(PLAIN[:20]) + gzip.compress(PLAIN[20:]),
        gzip.compress(PLAIN[:6]) + gzip.compress(PLAIN[6:]),
        gzip.compress(PLAIN[:-1]) + gzip.compress(PLAIN[-1:]),
    ],
    ids=["twice", "an empty one", "torn in the elements", "torn in the sizes", "last byte"],
)
def test_several_gzip_members_are_refused(content: bytes) -> None:
    assert refusal(content) == (
        "The gzip file has several members. Expected a single member, as programs write it. "
        "Unpack the file and compress it again."
    )


@pytest.mark.parametrize(
    ("content", "first"),
    [
        (ZIPPED + b"junk", "6a 75 6e 6b"),
        (ZIPPED + b"\0", "00"),
        (gzip.compress(header(0)) + b"\0", "00"),
    ],
    ids=["junk", "padding", "padding of an empty array"],
)
def test_bytes_after_gzip_are_refused(content: bytes, first: str) -> None:
    text = (
        f"The file continues after the end of the gzip data: begins_with='{first}'. "
        f"Expected the end of the file."
    )
    assert refusal(content) == text


@pytest.mark.parametrize("extra", [b"\0", ZIPPED], ids=["junk", "member"])
def test_what_follows_is_seen_where_gzip_ends_with_a_chunk(extra: bytes) -> None:
    # The reader takes 2 bytes, then 2**18 at a time: here the member ends exactly with a chunk,
    # so that what follows it is still in the file and not in the inflater.
    array = np.random.default_rng(0).integers(0, 256, (1 << 18) - 1000, np.uint8)
    packed = gzip.compress(header(len(array)) + array.tobytes(), 0, mtime=0)
    comment = b"\x10".join([packed[:3], packed[4:10]])
    filler = b"c" * (2 + (1 << 18) - len(packed) - 1) + b"\0"
    content = comment + filler + packed[10:]
    assert len(content) == 2 + (1 << 18)
    np.testing.assert_array_equal(parse_idx(io.BytesIO(content), where="here"), array)
    assert refusal(content + extra).startswith(
        ("The file continues after the end", "The gzip file has several members")
    )


def test_truncated_gzip_says_what_to_do() -> None:
    for n in (2, 10, len(ZIPPED) // 2, len(ZIPPED) - 1):
        expected = "The gzip file is incomplete. Expected a complete file. Download it again."
        assert refusal(ZIPPED[:n]) == expected


@pytest.mark.parametrize(
    ("position", "reason"),
    [(-8, "incorrect data check"), (-4, "incorrect length check"), (2, "unknown compression")],
    ids=["checksum", "length", "method"],
)
def test_damaged_gzip_says_why_and_what_to_do(position: int, reason: str) -> None:
    content = bytearray(ZIPPED)
    content[position] ^= 1
    text = refusal(bytes(content))
    assert text.startswith("The gzip file is damaged: reason=")
    assert reason in text
    assert text.endswith(" Download it again.")


# Sizes that lie


@pytest.mark.parametrize("sizes", [(HUGE,), (HUGE, HUGE), (HUGE,) * 8, (2**31 - 1, 2**31 - 1)])
@pytest.mark.parametrize("kind", [0x08, 0x0E])
def test_a_header_that_promises_more_than_the_file_holds_is_refused_before_any_memory(
    sizes: tuple[int, ...], kind: int
) -> None:
    content = header(*sizes, kind=kind) + b"1234"
    n_needed = 4 + 4 * len(sizes) + math.prod(sizes) * SIZES[kind]
    packed = gzip.compress(content, mtime=0)
    for stored, n in ((content, str(len(content))), (packed, f"'at most {1032 * len(packed)}'")):
        assert traced(lambda stored=stored: refusal(stored)) < 1_000_000  # type: ignore[misc]
        text = refusal(stored)
        assert text.startswith(f"The file is too short: n_bytes={n}. Expected {n_needed} bytes")


@pytest.mark.parametrize("sizes", [(0, HUGE, HUGE), (HUGE, HUGE, HUGE, 0)])
def test_an_empty_file_with_sizes_no_array_can_have_is_refused_as_a_format_error(
    sizes: tuple[int, ...],
) -> None:
    text = f"The file is too large for the memory of this machine: shape={sizes}, n_bytes=0."
    assert refusal(header(*sizes)) == text


def deflate(start: bytes, n_megabytes: int) -> bytes:
    deflater = zlib.compressobj(1, wbits=31)
    parts = [deflater.compress(start)]
    megabyte = bytes(1 << 20)
    parts += [deflater.compress(megabyte) for _ in range(n_megabytes)]
    return b"".join([*parts, deflater.flush()])


def test_a_stream_that_goes_on_after_what_its_header_promises_costs_no_memory() -> None:
    content = deflate(header(10), 200)
    assert (
        refusal(content) == "The file is too long: n_bytes='more than 18'. "
        "Expected 18 bytes according to its header."
    )
    assert traced(lambda: refusal(content)) < 2_000_000


def test_a_bomb_that_is_honest_about_itself_costs_no_memory() -> None:
    content = header(3 << 29) + random.Random(0).randbytes(2_000_000)
    packed = gzip.compress(content, 0, mtime=0)
    text = refusal(packed)
    assert text.startswith("The file would decompress to a suspicious size: n_bytes=")
    assert f"n_inflated={3 << 29}. Expected at most 100 times its own size." in text
    assert traced(lambda: refusal(packed)) < 5_000_000


def test_a_small_file_may_shrink_as_far_as_it_can(tmp_path: Path) -> None:
    zeros = np.zeros((1000, 28, 28), np.uint8)
    write_idx(tmp_path / "a.gz", zeros)
    assert (tmp_path / "a.gz").stat().st_size < zeros.nbytes / 500
    np.testing.assert_array_equal(read_idx(tmp_path / "a.gz"), zeros)


def test_reading_costs_one_allocation(store: Store) -> None:
    array = np.random.default_rng(0).integers(0, 64, (4_000, 28, 28), np.uint8)
    path = store(gzip.compress(header(*array.shape) + array.tobytes(), 1))
    assert traced(lambda: read_idx(path)) < 1.5 * array.nbytes


# out= and sha256=


def test_a_file_is_read_into_a_part_of_a_larger_array(store: Store) -> None:
    whole = np.full((4, 3, 4), 255, np.uint8)
    assert read_idx(store(ZIPPED), out=whole[1:3]).base is whole
    np.testing.assert_array_equal(whole[1:3], SMALL)
    assert (whole[[0, 3]] == 255).all()


def test_numbers_of_several_bytes_are_read_into_an_array_too(store: Store) -> None:
    out = np.empty(3, np.float32)
    read_idx(store(idx(np.array([1.5, -2, 3], np.float32))), out=out)
    assert out.tolist() == [1.5, -2, 3]


@pytest.mark.parametrize(
    ("out", "dtype", "shape"),
    [
        (np.empty((2, 3, 5), np.uint8), "uint8", (2, 3, 5)),
        (np.empty(24, np.uint8), "uint8", (24,)),
        (np.empty((2, 3, 4), np.int8), "int8", (2, 3, 4)),
        (np.empty((2, 3, 4), np.uint8, order="F"), "uint8", (2, 3, 4)),
        (np.empty((2, 3, 8), np.uint8)[:, :, ::2], "uint8", (2, 3, 4)),
    ],
    ids=["shape", "dimensions", "dtype", "order", "stride"],
)
def test_an_array_that_does_not_fit_is_refused(
    store: Store, out: Any, dtype: str, shape: tuple[int, ...]
) -> None:
    path = store(PLAIN)
    with pytest.raises(DataError) as error:
        read_idx(path, out=out)
    assert str(error.value) == (
        f"The array cannot take the content of the file: dtype='{dtype}', shape={shape} ({path}). "
        "Expected a writable, C-contiguous array, uint8 (2, 3, 4)."
    )


def test_an_array_in_the_other_byte_order_is_refused(store: Store) -> None:
    other = np.empty(2, np.dtype(np.int16).newbyteorder())
    with pytest.raises(DataError, match="Expected a writable, C-contiguous array, int16"):
        read_idx(store(idx(np.zeros(2, np.int16))), out=other)


def test_an_array_that_cannot_be_written_is_refused_as_data(store: Store) -> None:
    out = np.zeros_like(SMALL)
    out.flags.writeable = False
    with refused("E308", "some-file"):
        read_idx(store(PLAIN), out=out)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("array", [SMALL, SMALL.astype(np.int32)], ids=["uint8", "int32"])
def test_the_digest_is_that_of_the_decompressed_file(
    store: Store, array: Array, pack: Callable[[bytes], bytes]
) -> None:
    digest = hashlib.sha256(idx(array)).hexdigest()
    np.testing.assert_array_equal(read_idx(store(pack(idx(array))), sha256=digest), array)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_another_digest_is_refused_with_both(pack: Callable[[bytes], bytes]) -> None:
    published = hashlib.sha256(PLAIN).hexdigest()
    changed = PLAIN[:-1] + b"\xff"
    assert refusal(pack(changed), sha256=published) == (
        f"The file differs from the published one: sha256='{hashlib.sha256(changed).hexdigest()}'. "
        f"Expected SHA-256 {published} once decompressed."
    )


# The file system, and what cannot be written


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    path = tmp_path / "missing"
    with pytest.raises(FileError) as error:
        read_idx(path)
    assert str(error.value) == f"Cannot read: reason='No such file or directory' ({path})."
    with pytest.raises(FileError) as error:
        read_idx(tmp_path)
    assert str(error.value) == f"Cannot read: reason='Is a directory' ({tmp_path})."


def test_a_folder_that_is_missing_cannot_be_written_to(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "a.idx"
    with pytest.raises(FileError) as error:
        write_idx(path, SMALL)
    assert str(error.value) == f"Cannot write: reason='No such file or directory' ({path})."


@pytest.mark.parametrize(
    ("array", "dtype", "shape"),
    [
        (np.zeros((2, 2), np.float16), "float16", (2, 2)),
        (np.zeros(3, np.int64), "int64", (3,)),
        (np.zeros(3, np.uint16), "uint16", (3,)),
        (np.zeros(3, bool), "bool", (3,)),
        (np.array(["a"]), "<U1", (1,)),
        (np.zeros((1,) * 9, np.uint8), "uint8", (1,) * 9),
    ],
    ids=["half floats", "long", "unsigned short", "yes and no", "text", "nine dimensions"],
)
def test_what_idx_cannot_hold_is_refused_and_not_written(
    tmp_path: Path, array: Any, dtype: str, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "a.idx"
    with pytest.raises(DataError) as error:
        write_idx(path, array)
    assert str(error.value) == (
        f"This array cannot be written as IDX: dtype='{dtype}', shape={shape} ({path}). "
        "Expected uint8, int8, int16, int32, float32, float64 in 0 to 8 dimensions."
    )
    assert not path.exists()


def test_a_size_beyond_four_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.idx"
    array = np.broadcast_to(np.uint8(0), (2**32, 1))
    with pytest.raises(DataError) as error:
        write_idx(path, array)
    assert f"The array is too large for an IDX file: shape=(4294967296, 1) ({path})" in str(
        error.value
    )
    assert not path.exists()
