"""Convert a folder that contains a folder of pictures for each label to images of one size."""

import re
import unicodedata
from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.contract import Contract, ImageInput
from tenfold.core.errors import DataError, TenfoldError, did_you_mean, printable
from tenfold.core.text import shorten
from tenfold.data.dataset import Dataset, Photos, PictureInfo
from tenfold.data.disk_images import AnyImages, PictureFiles, StoredImages, Writer
from tenfold.data.duplicates import same_pictures
from tenfold.data.shortcuts import brightness, shortcuts, tenths
from tenfold.inputs.pictures.decode import (
    Header,
    is_picture,
    read_picture,
    read_picture_header,
    read_white,
)
from tenfold.inputs.pictures.preprocess import preprocess

LARGEST_PX = 64
"""Length of the longer side of the pictures for a model, if they are larger or of different
sizes."""

PHOTO_PX = 224
"""Maximum side of the middle square of the pictures for learners of photos."""

MAX_LOOKED_AT = 200
"""Maximum number of pictures that are checked for colour. They are evenly spaced."""

COLOUR_STEP, COLOUR_SHARE = 24, 0.01
"""A picture is in colour if this share of its pixels has channels that differ by this much, which
is more than in a grey JPEG."""

PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names of the folders of parts, in lower case, and the part. Training comes first."""

UNLABELLED = {"test", "testing", "unlabeled", "unlabelled", "predict"}
"""Names of folders of pictures that are not labels if they are beside folders of labels."""

MAX_WRAPPED = 3
"""Maximum number of folders that may be wrapped around the folder of labels."""


@dataclass(frozen=True)
class Example:
    """A picture with its label.

    Attributes:
      source: Its file, or the bytes of a file.
      key: Its name, by its place.
      part: `train`, `validation` or `test`.
    """

    source: Path | bytes
    key: str
    part: str
    label: str


def is_picture_folder(folder: Path) -> bool:
    """Whether a folder contains folders of pictures, directly or in its `train` and `test`."""
    with files.os_errors("look into", folder):
        return folder.is_dir() and bool(_layout(folder)[0])


def picture_dataset(
    folder: Path, *, like: Contract | None = None, white: float | None = None
) -> Dataset:
    """Make a dataset of a folder that contains a folder of pictures for each label.

    If it contains `train`, `valid` or `test` with such folders in them, these are the parts. A
    label's pictures may be in subfolders, and all folders of labels may be inside other folders.
    Integer labels are sorted as numbers, others by name. Without a model, pictures of one size up
    to 64 pixels keep it. Otherwise they are scaled to the median proportions and at most 64 pixels,
    in colour if there is any. A model to be measured (`like`) determines size, channels, crop and
    labels. Images that would take more than a quarter of the memory stay on disk. `white` is the
    value of white in files of more than 8 bits. None: it is determined from the files.

    Raises:
      DataError: There is a single label, the model does not know a label, or no picture is
        readable.
      FileError: A folder cannot be read, or the disk is full.
    """
    with files.os_errors("look into", folder):
        pictures, skipped, unlabelled = _files(folder)
    data = dataset_of_pictures(pictures, str(folder), like=like, white=white)
    remarks = [("skipped", f"no pictures: {_count(skipped)}")] if skipped else []
    remarks += data.pictures.remarks if data.pictures else ()
    if unlabelled:
        remarks.append(("skipped", f"pictures without a label, not used: {shorten(unlabelled, 5)}"))
    about = data.pictures and replace(data.pictures, remarks=tuple(remarks))
    return replace(data, source=str(folder), pictures=about)


def dataset_of_pictures(
    examples: Sequence[Example],
    name: str,
    *,
    like: Contract | None = None,
    white: float | None = None,
) -> Dataset:
    """Make a dataset of picture files with labels, as `picture_dataset` does, with its errors."""
    headers, refused = _headers(examples)
    examples = [example for example in examples if example.key in headers]
    shapes = {key: header.shape for key, header in headers.items()}
    expected = like.input if like and like.input.kind == "image" else None
    model_labels = like.labels if like and expected else ()
    _labels(name, examples, model_labels, refused)  # this fails before the pictures are decoded
    sources = [example.source for example in examples]
    accepted = expected or _input(list(shapes.values()), sources, white)
    images = Writer(len(shapes), accepted.shape, files.cache_folder())
    kept: list[Example] = []
    notes: list[str] = []
    for example in examples:
        try:
            steps = preprocess(example.source, accepted)
        except TenfoldError as error:
            refused.append(_why(error, example))
        else:
            images.add(steps.image)
            kept.append(example)
            notes += steps.notes
    x = images.images()
    labels = _labels(name, kept, model_labels, refused)
    size = (accepted.height, accepted.width)
    photos = None if like else _photos(kept, shapes, accepted.white)
    remarks = _alike(labels)
    if isinstance(x, StoredImages):
        on_disk = f"{x.size / 1e6:,.0f} MB of pixels stay on disk, read a few at a time"
        remarks.append(("streamed", on_disk))
    resized = [example.key for example in kept if shapes[example.key] != size]
    if resized:
        how = "fitted" if accepted.crop == "ink" else "cut in the middle and resized"
        pixels = f"{accepted.height} x {accepted.width} pixels"
        if photos is not None and accepted.channels == 3:
            pixels += f" ({photos.input.height} x {photos.input.width} for transfer)"
        remarks.append(("resized", f"{how} to {pixels}: {_count(resized)}"))
    y = np.array([labels.index(example.label) for example in kept], np.int64)
    if like is None:
        remarks += _shortcuts(kept, headers, x, y, labels)
    if accepted.white:
        remarks.append(("read as", f"greys of more than 8 bits: {accepted.white} is white in all"))
    if notes:
        remarks.append(("read as", shorten(notes, 3, "; ")))
    if refused:
        text = f"{len(refused):,} pictures cannot be read: {shorten(refused, 5, '; ')}"
        remarks.append(("refused", text))
    return Dataset(
        name=name,
        x=x,
        y=y,
        labels=labels,
        keys=[example.key for example in kept],
        test_rows=np.flatnonzero([example.part == "test" for example in kept]),
        validation_rows=np.flatnonzero([example.part == "validation" for example in kept]),
        pictures=PictureInfo(
            accepted,
            same_pictures(x),
            tuple(remarks),
            photos,
        ),
        white=white,
    )


def _shortcuts(
    examples: Sequence[Example],
    headers: dict[str, Header],
    x: AnyImages,
    y: NDArray[np.int64],
    labels: Sequence[str],
) -> list[tuple[str, str]]:
    """Remarks about facts that reveal the label without looking at the picture, without test
    pictures.

    The brightness is only checked for photos, because drawings of different labels have different
    amounts of ink.
    """
    rows = np.flatnonzero([example.part != "test" for example in examples])
    some = [examples[row] for row in rows.tolist()]
    shapes = [headers[example.key].shape for example in some]
    facts: dict[str, Sequence[Hashable]] = {
        "size": shapes if 2 * len(set(shapes)) <= len(shapes) else tenths(np.prod(shapes, axis=1)),
        "camera": [headers[example.key].camera for example in some],
        "file type": [headers[example.key].file_type for example in some],
    }
    if x.ndim == 4:
        facts["brightness"] = tenths(brightness(x)[rows])
    return [("shortcut", line) for line in shortcuts(facts, y[rows], labels)]


def _photos(
    examples: Sequence[Example], shapes: dict[str, tuple[int, int]], white: int | None
) -> Photos:
    """The form of middle squares of pictures, in colour and not larger than most of the
    pictures."""
    sides = [min(shapes[example.key]) for example in examples]
    side = min(PHOTO_PX, round(float(np.median(sides))))
    accepted = ImageInput(height=side, width=side, channels=3, crop="centre", white=white)
    sources = [example.source for example in examples]
    return Photos(
        accepted,
        PictureFiles(sources, lambda source: preprocess(source, accepted).image, accepted.shape),
    )


def _alike(labels: Sequence[str]) -> list[tuple[str, str]]:
    """A remark about labels that differ only in case or spaces."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(" ".join(label.casefold().split()), []).append(label)
    alike = [" and ".join(map(repr, group)) for group in groups.values() if len(group) > 1]
    if not alike:
        return []
    return [("read as", f"labels that differ in case or blanks alone: {shorten(alike, 5)}")]


def _why(error: TenfoldError, example: Example) -> str:
    """Why a picture cannot be read. Bytes in a table are named by their key."""
    return str(error) if isinstance(example.source, Path) else f"{example.key}: {error}"


def _under(folder: Path, path: Path) -> str:
    return printable(path.relative_to(folder).as_posix())


OWN = re.compile(r"\.(steps|read)(-\d+)?\.png$")
"""Pictures that `predict --show` and `read` write beside the originals. They are not examples."""

RECORDS = ("run.json", "sweep.json", "comparison.json")
"""Files that exist only in folders made by Tenfold."""


def _is_own(folder: Path) -> bool:
    """Whether a folder is a run or a sweep, or contains only these. Pictures in them are not
    examples."""
    if any((folder / name).is_file() for name in RECORDS):
        return True
    inner = list(folder.iterdir())
    return bool(inner) and all(path.is_dir() and _is_own(path) for path in inner)


def _folders(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith((".", "__MACOSX")) and not _is_own(path)
    )


def _is_picture(path: Path) -> bool:
    own = path.name.startswith(".") or OWN.search(path.name)
    return not own and path.is_file() and is_picture(path)


def _files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder and its subfolders, sorted by name. For an empty folder, the folder
    itself."""
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.is_symlink():
            yield path
        elif not _is_own(path):
            yield from list(_files_below(path)) or [path]


def _holds_pictures(folder: Path) -> bool:
    return any(map(_is_picture, _files_below(folder)))


def _layout(folder: Path, depth: int = 0) -> tuple[dict[str, list[Path]], list[Path]]:
    """The folders of labels of each part, and the folders of pictures without a label.

    Folders with the names of parts are parts if they contain folders of labels. A folder that only
    contains another folder and no pictures is skipped.
    """
    inner = [path for path in _folders(folder) if _holds_pictures(path)]
    parts: dict[str, list[Path]] = {}
    for path in inner:
        part = PARTS.get(path.name.lower())
        labels = [label for label in _folders(path) if _holds_pictures(label)]
        # As if it were a stray picture beside the labels.
        has_loose = any(map(_is_picture, path.iterdir()))
        if part and labels and (len(labels) > 1 or not has_loose):
            parts.setdefault(part, []).extend(labels)
    if parts.keys() & {"train", "test"}:
        used = {label.parent for labels in parts.values() for label in labels}
        return parts, [path for path in inner if path not in used]
    if len(inner) == 1 and depth < MAX_WRAPPED and not any(map(_is_picture, inner[0].iterdir())):
        return _layout(inner[0], depth + 1)
    unlabelled = [path for path in inner if path.name.lower() in UNLABELLED]
    labels = [path for path in inner if path not in unlabelled]
    if len(labels) < 2:  # then it may be a label
        labels, unlabelled = inner, []
    return ({"train": labels} if labels else {}), unlabelled


def _files(folder: Path) -> tuple[list[Example], list[str], list[str]]:
    """The pictures, beginning with the training set, the names of other files, and folders without
    a label."""
    parts, unlabelled = _layout(folder)
    pictures: list[Example] = []
    for part in dict.fromkeys(PARTS.values()):
        for label in parts.get(part, ()):
            name = printable(unicodedata.normalize("NFC", label.name))
            below = filter(_is_picture, _files_below(label))
            pictures += [Example(file, _under(folder, file), part, name) for file in below]
    used = {picture.source for picture in pictures}
    skipped = [
        _under(folder, path)
        for path in _files_below(folder)
        if path not in used and not any(path.is_relative_to(other) for other in unlabelled)
    ]
    return pictures, skipped, [_under(folder, path) for path in unlabelled]


def _headers(examples: Sequence[Example]) -> tuple[dict[str, Header], list[str]]:
    """The header of each readable picture by its key, and why others cannot be read."""
    headers: dict[str, Header] = {}
    refused: list[str] = []
    for example in examples:
        try:
            headers[example.key] = read_picture_header(example.source)
        except TenfoldError as error:
            refused.append(_why(error, example))
    return headers, refused


def _labels(
    name: str, kept: Sequence[Example], model_labels: Sequence[str], refused: list[str]
) -> tuple[str, ...]:
    """The labels of the pictures: those of the model to be measured, or else the names of the
    folders."""
    names = {example.label for example in kept}
    if not names:
        raise DataError(
            "E414",
            "The folder contains no picture that can be read",
            where=name,
            expected="a folder of pictures for each label",
            fix=shorten(refused, 5, "; ").removesuffix("."),
            n_refused=len(refused),
        )
    if model_labels:
        strange = sorted(names - set(model_labels))
        if strange:
            raise DataError(
                "E416",
                "The data have labels that the model does not know",
                where=name,
                expected=f"folders called {', '.join(model_labels)}",
                fix=did_you_mean(strange[0], model_labels),
                folders=strange[:5],
            )
        return tuple(model_labels)
    if len(names) < 2:
        raise DataError(
            "E415",
            "All pictures have the same label",
            where=name,
            expected="a folder of pictures for each label, at least two",
            labels=sorted(names),
        )
    whole = all(name.isascii() and name.isdigit() for name in names)
    return tuple(sorted(names, key=(lambda name: (int(name), name)) if whole else None))


def _input(
    shapes: list[tuple[int, int]], sources: list[Path | bytes], white: float | None
) -> ImageInput:
    """The contract of a model of pictures of these sizes."""
    height, width = np.median(shapes, axis=0).tolist()
    ratio = min(1.0, LARGEST_PX / max(height, width))
    return ImageInput(
        height=max(1, round(height * ratio)),
        width=max(1, round(width * ratio)),
        channels=3 if _in_colour(sources) else 1,
        crop="centre",
        white=None if (shown := _white(sources)) is None else round(white or shown),
    )


def _looked_at(sources: list[Path | bytes]) -> list[Path | bytes]:
    """At most 200 pictures, evenly spaced."""
    rows = np.linspace(0, len(sources) - 1, min(len(sources), MAX_LOOKED_AT)).astype(int)
    return [sources[row] for row in rows]


def _white(sources: list[Path | bytes]) -> int | None:
    """The value of white in all deep pictures: the largest one found. None without such
    pictures."""

    def found(some: list[Path | bytes]) -> list[int]:
        whites = []
        for source in some:
            with suppress(TenfoldError):  # reported when it is read
                whites.append(read_white(source))
        return [white for white in whites if white]

    return max(found(sources)) if found(_looked_at(sources)) else None


def _in_colour(sources: list[Path | bytes]) -> bool:
    """Whether any of at most 200 evenly spaced pictures is in colour."""
    for source in _looked_at(sources):
        try:
            pixels = read_picture(source, channels=3, at_least_px=LARGEST_PX).pixels
        except TenfoldError:
            continue  # reported when it is read
        apart = pixels.max(axis=2).astype(int) - pixels.min(axis=2)
        if (apart >= COLOUR_STEP).mean() >= COLOUR_SHARE:
            return True
    return False


def _count(names: list[str]) -> str:
    return f"{len(names):,} files, {shorten(names, 5)}"
