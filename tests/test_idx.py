"""The IDX reader and writer: round trips, damage, bombs and every refusal."""

import gzip
import hashlib
import math
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from tenfold.errors import DataError, FileError, FormatError
from tenfold.idx import read_idx, write_idx

Array = NDArray[np.uint8]
Edit = tuple[str, int, bytes]

SMALL = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
HUGE = 2**32 - 1

any_array = arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6))


def header(*sizes: int) -> bytes:
    return bytes([0, 0, 8, len(sizes)]) + b"".join(size.to_bytes(4, "big") for size in sizes)


def idx(array: Array) -> bytes:
    return header(*array.shape) + array.tobytes()


PLAIN, ZIPPED = idx(SMALL), gzip.compress(idx(SMALL), mtime=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a test: Hypothesis runs many of them."""
    return tmp_path_factory.mktemp("idx")


@pytest.fixture
def store(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "some-file"
        path.write_bytes(content)
        return path

    return write


Store = Callable[[bytes], Path]


def refusal(path: Path, **options: Any) -> str:
    """The message with which a file is refused, which always names the file."""
    with pytest.raises(FormatError) as error:
        read_idx(path, **options)
    assert f"({path})" in str(error.value)
    return str(error.value).replace(f" ({path})", "")


# Round trips


@settings(deadline=None)
@given(array=any_array, name=st.sampled_from(["images", "images.gz"]))
def test_what_is_written_is_read_again(folder: Path, array: Array, name: str) -> None:
    write_idx(folder / name, array)
    again = read_idx(folder / name)
    assert again.dtype == np.uint8
    assert again.shape == array.shape
    np.testing.assert_array_equal(again, array)


@settings(deadline=None)
@given(array=any_array)
def test_a_plain_file_is_laid_out_as_published(folder: Path, array: Array) -> None:
    write_idx(folder / "plain", array)
    assert (folder / "plain").read_bytes() == idx(array)


def test_eight_dimensions_are_written_and_read(tmp_path: Path) -> None:
    array = np.arange(16, dtype=np.uint8).reshape(1, 2, 1, 2, 1, 2, 1, 2)
    write_idx(tmp_path / "a", array)
    np.testing.assert_array_equal(read_idx(str(tmp_path / "a")), array)


def test_the_layout_in_memory_does_not_matter(tmp_path: Path) -> None:
    for array in (np.asfortranarray(SMALL), SMALL[::-1, :, ::2]):
        write_idx(tmp_path / "a", array)
        np.testing.assert_array_equal(read_idx(tmp_path / "a"), array)


def test_the_name_decides_how_to_write_and_the_time_of_day_is_left_out(tmp_path: Path) -> None:
    write_idx(tmp_path / "a.gz", SMALL)
    content = (tmp_path / "a.gz").read_bytes()
    assert gzip.decompress(content) == idx(SMALL)
    # RFC 1952: bytes 4 to 7 are the time; 0 is none, so that equal arrays are equal files.
    assert content[4:8] == bytes(4)


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


def test_a_gzip_header_with_a_name_and_a_comment_is_read(store: Store) -> None:
    # RFC 1952: flags 0x18 announce a file name and a comment, each ending with a zero byte.
    named = ZIPPED[:3] + b"\x18" + ZIPPED[4:10] + b"digits\0a comment\0" + ZIPPED[10:]
    np.testing.assert_array_equal(read_idx(store(named)), SMALL)


# Damage


def reference(content: bytes) -> tuple[tuple[int, ...], bytes] | None:
    """Shape and elements of an IDX file, or None: everything in memory, one rule per line."""
    if content[:2] == b"\x1f\x8b":
        inflater = zlib.decompressobj(wbits=31)
        try:
            content = inflater.decompress(content)
        except zlib.error:
            return None
        if not inflater.eof or inflater.unused_data:
            return None
    if len(content) < 4 or content[:3] != b"\0\0\x08" or not 1 <= content[3] <= 8:
        return None
    start = 4 + 4 * content[3]
    if len(content) < start:
        return None
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    if len(content) - start != math.prod(shape):
        return None
    if math.prod(size or 1 for size in shape) > np.iinfo(np.intp).max:
        return None  # empty, and yet NumPy cannot hold such a shape
    return shape, content[start:]


def outcome(path: Path) -> tuple[tuple[int, ...], bytes] | None:
    try:
        array = read_idx(path)
    except FormatError:
        return None
    return array.shape, array.tobytes()


def damage(content: bytes, edits: list[Edit]) -> bytes:
    for kind, position, extra in edits:
        at = position % (len(content) + 1)
        if kind == "flip":
            content = (
                content[:at]
                + bytes(b ^ extra[0] for b in content[at : at + 1])
                + (content[at + 1 :])
            )
        elif kind == "insert":
            content = content[:at] + extra + content[at:]
        elif kind == "delete":
            content = content[:at] + content[at + len(extra) :]
        else:
            content = content[:at]
    return content


edits = st.lists(
    st.tuples(
        st.sampled_from(["flip", "insert", "delete", "truncate"]),
        st.integers(0, 120),
        st.binary(min_size=1, max_size=6),
    ),
    max_size=3,
)


@settings(deadline=None, max_examples=500)
@given(array=any_array, inside=edits, outside=edits, zipped=st.booleans())
@example(array=SMALL, inside=[], outside=[], zipped=True)
@example(array=SMALL, inside=[("flip", 3, b"\x01")], outside=[], zipped=True)
@example(array=SMALL, inside=[], outside=[("insert", 120, b"\0")], zipped=True)
def test_a_damaged_file_is_read_as_the_reference_reads_it_or_refused(
    folder: Path, array: Array, inside: list[Edit], outside: list[Edit], zipped: bool
) -> None:
    content = damage(idx(array), inside)
    content = damage(gzip.compress(content, mtime=0) if zipped else content, outside)
    path = folder / "damaged"
    path.write_bytes(content)
    assert outcome(path) == reference(content)


@pytest.mark.parametrize("content", [PLAIN, ZIPPED], ids=["plain", "gzip"])
def test_no_flipped_bit_passes_unless_the_reference_accepts_it(
    folder: Path, content: bytes
) -> None:
    path, n_refused = folder / "flipped", 0
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        expected = reference(bytes(flipped))
        assert outcome(path) == expected, f"bit {bit}"
        n_refused += expected is None
    assert n_refused > 50


@pytest.mark.parametrize("content", [PLAIN, ZIPPED], ids=["plain", "gzip"])
def test_every_shorter_file_is_refused(store: Store, content: bytes) -> None:
    for n in range(len(content)):
        assert refusal(store(content[:n])).startswith(("Too few bytes", "Truncated gzip"))


# Refusals, one by one


@pytest.mark.parametrize(
    ("magic", "why"),
    [
        ("00 01 08 03", "not two zeros"),
        ("01 00 08 03", "not two zeros"),
        ("00 00 09 03", "signed bytes"),
        ("00 00 0d 03", "floats"),
        ("00 00 08 00", "no dimension"),
        ("00 00 08 09", "nine dimensions"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_another_magic_number_is_refused(
    store: Store, magic: str, why: str, pack: Callable[[bytes], bytes]
) -> None:
    path = store(pack(bytes.fromhex(magic) + PLAIN[4:]))
    assert refusal(path) == (
        f"Not an IDX file of unsigned bytes: magic='{magic}'. Expected 00 00 08 and 01 to 08."
    ), why


@pytest.mark.parametrize(
    ("content", "n_bytes", "n_missing"),
    [
        (b"", 0, 4),
        (b"\0\0\x08", 3, 4),
        (header(2, 3)[:9], 5, 8),
        (header(2, 3), 0, 6),
        (header(2, 3) + b"12345", 5, 6),
    ],
    ids=["empty", "magic", "sizes", "no elements", "one element short"],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_too_few_bytes_are_counted(
    store: Store, content: bytes, n_bytes: int, n_missing: int, pack: Callable[[bytes], bytes]
) -> None:
    text = refusal(store(pack(content)))
    assert text.startswith(f"Too few bytes: n_bytes={n_bytes}. Expected {n_missing} more")


@pytest.mark.parametrize(
    "content",
    [
        PLAIN + b"\0",
        header(0) + b"\0",
        gzip.compress(PLAIN + b"\0"),
        ZIPPED + ZIPPED,
        ZIPPED + gzip.compress(b""),
        ZIPPED + b"junk",
        ZIPPED + b"\0",
        gzip.compress(header(0)) + b"\0",
    ],
    ids=[
        "plain",
        "plain and empty",
        "inside gzip",
        "second member",
        "empty second member",
        "junk after gzip",
        "padding after gzip",
        "padding after gzip of an empty array",
    ],
)
def test_what_follows_the_last_element_is_refused(store: Store, content: bytes) -> None:
    expected = "Too many bytes. Expected the end of the file after the last element."
    assert refusal(store(content)) == expected


def test_junk_is_refused_where_gzip_ends_with_a_chunk(store: Store) -> None:
    # The reader takes 2 bytes, then 2**18 at a time: here the member ends exactly with a chunk,
    # so that what follows it is still in the file and not in the inflater.
    array = np.random.default_rng(0).integers(0, 256, (1 << 18) - 1000, np.uint8)
    zipped = gzip.compress(idx(array), 0, mtime=0)
    comment = b"\x10".join([zipped[:3], zipped[4:10]])
    filler = b"c" * (2 + (1 << 18) - len(zipped) - 1) + b"\0"
    content = comment + filler + zipped[10:]
    assert len(content) == 2 + (1 << 18)
    np.testing.assert_array_equal(read_idx(store(content)), array)
    assert refusal(store(content + b"\0")).startswith("Too many bytes")


def test_truncated_gzip_says_what_to_do(store: Store) -> None:
    for n in (2, 10, len(ZIPPED) // 2, len(ZIPPED) - 1):
        expected = "Truncated gzip. Expected a complete file. Download it again."
        assert refusal(store(ZIPPED[:n])) == expected


@pytest.mark.parametrize(
    ("position", "reason"),
    [(-8, "incorrect data check"), (-4, "incorrect length check"), (2, "unknown compression")],
    ids=["checksum", "length", "method"],
)
def test_damaged_gzip_says_why_and_what_to_do(store: Store, position: int, reason: str) -> None:
    content = bytearray(ZIPPED)
    content[position] ^= 1
    text = refusal(store(bytes(content)))
    assert text.startswith("Damaged gzip: reason=")
    assert reason in text
    assert text.endswith(" Download it again.")


# Sizes that lie


@pytest.mark.parametrize("n_dimensions", [2, 3, 8])
def test_a_header_that_promises_more_than_any_memory_is_refused_without_asking_for_it(
    store: Store, n_dimensions: int
) -> None:
    path = store(header(*[HUGE] * n_dimensions) + b"1234")
    tracemalloc.start()
    try:
        text = refusal(path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert text.startswith("Too large for this machine's memory: shape=(4294967295, 4294967295")
    assert f"n_bytes={HUGE**n_dimensions}" in text
    assert peak_bytes < 1_000_000


def test_a_header_that_promises_more_than_this_memory_is_refused(store: Store) -> None:
    sizes = (2**31 - 1, 2**31 - 1)
    assert refusal(store(header(*sizes) + b"1234")) == (
        f"Too large for this machine's memory: shape={sizes}, n_bytes={math.prod(sizes)}."
    )


def test_a_header_that_promises_four_gigabytes_is_refused(store: Store) -> None:
    text = refusal(store(header(HUGE) + b"1234"))
    # Where memory is promised before it is there, the missing bytes are found out instead.
    assert text.startswith(("Too large for this machine's memory", "Too few bytes: n_bytes=4."))


@pytest.mark.parametrize("sizes", [(0, HUGE, HUGE), (HUGE, HUGE, HUGE, 0)])
def test_an_empty_file_with_sizes_no_array_can_have_is_refused_as_a_format_error(
    store: Store, sizes: tuple[int, ...]
) -> None:
    assert str(sizes) in refusal(store(header(*sizes)))


def test_a_gzip_bomb_is_refused_with_little_memory(store: Store) -> None:
    deflater = zlib.compressobj(1, wbits=31)
    parts = [deflater.compress(header(10))]
    megabyte = bytes(1 << 20)
    parts += [deflater.compress(megabyte) for _ in range(200)]
    parts.append(deflater.flush())
    path = store(b"".join(parts))
    tracemalloc.start()
    try:
        text = refusal(path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert text.startswith("Too many bytes")
    assert peak_bytes < 2_000_000


# out= and sha256=


def test_a_file_is_read_into_a_part_of_a_larger_array(store: Store) -> None:
    whole = np.full((4, 3, 4), 255, np.uint8)
    assert read_idx(store(ZIPPED), out=whole[1:3]).base is whole
    np.testing.assert_array_equal(whole[1:3], SMALL)
    assert (whole[[0, 3]] == 255).all()


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
        f"The file does not fit the array: dtype='{dtype}', shape={shape} ({path}). "
        "Expected writable, C-contiguous uint8 (2, 3, 4)."
    )


def test_an_array_that_cannot_be_written_is_refused_as_data(store: Store) -> None:
    out = np.zeros_like(SMALL)
    out.flags.writeable = False
    with pytest.raises(DataError, match="some-file"):
        read_idx(store(PLAIN), out=out)


@pytest.mark.parametrize("content", [PLAIN, ZIPPED], ids=["plain", "gzip"])
def test_the_digest_is_that_of_the_decompressed_file(store: Store, content: bytes) -> None:
    digest = hashlib.sha256(PLAIN).hexdigest()
    np.testing.assert_array_equal(read_idx(store(content), sha256=digest), SMALL)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_another_digest_is_refused_with_both(store: Store, pack: Callable[[bytes], bytes]) -> None:
    published = hashlib.sha256(PLAIN).hexdigest()
    changed = PLAIN[:-1] + b"\xff"
    assert refusal(store(pack(changed)), sha256=published) == (
        f"Changed content: sha256='{hashlib.sha256(changed).hexdigest()}'. "
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
        (np.zeros((2, 2), np.float32), "float32", (2, 2)),
        (np.zeros(3, np.int8), "int8", (3,)),
        (np.zeros((), np.uint8), "uint8", ()),
        (np.zeros((1,) * 9, np.uint8), "uint8", (1,) * 9),
    ],
    ids=["floats", "signed bytes", "no dimension", "nine dimensions"],
)
def test_what_idx_cannot_hold_is_refused_and_not_written(
    tmp_path: Path, array: Any, dtype: str, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "a.idx"
    with pytest.raises(DataError) as error:
        write_idx(path, array)
    assert str(error.value) == (
        f"Not an array for IDX: dtype='{dtype}', shape={shape} ({path}). "
        "Expected uint8 in 1 to 8 dimensions."
    )
    assert not path.exists()


def test_a_size_beyond_four_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.idx"
    array = np.broadcast_to(np.uint8(0), (2**32, 1))
    with pytest.raises(DataError) as error:
        write_idx(path, array)
    assert f"Too large for IDX: shape=(4294967296, 1) ({path})" in str(error.value)
    assert not path.exists()
