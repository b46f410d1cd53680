"""A folder of pictures for each label -> images of one size, with a list of what was left out."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tenfold.core import files
from tenfold.core.contract import Contract, ImageInput
from tenfold.core.errors import DataError, TenfoldError, did_you_mean, printable
from tenfold.core.text import shorten
from tenfold.data.dataset import Dataset, Photos, PictureInfo
from tenfold.data.disk_images import PictureFiles, StoredImages, Writer
from tenfold.data.duplicates import same_pictures
from tenfold.inputs.pictures.decode import is_picture, read_picture, read_shape, read_white
from tenfold.inputs.pictures.preprocess import preprocess

LARGEST_PX = 64
"""Longer side of what a model of mixed or larger pictures sees."""

PHOTO_PX = 224
"""Side of the square in the middle that a learner for photos sees, at most."""

MAX_LOOKED_AT = 200
"""Pictures that are looked at for colour, at most, spread over all."""

COLOUR_STEP, COLOUR_SHARE = 24, 0.01
"""A picture is in colour where this share of its pixels has channels this far apart: more than
the greys of a JPEG have."""

PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What folders of parts are called, in any case of letters, and the part; training comes first."""

UNLABELLED = {"test", "testing", "unlabeled", "unlabelled", "predict"}
"""Folders of pictures beside those of labels that are no label when they are called so."""

MAX_WRAPPED = 3
"""How many folders may lie around the one that is meant."""


@dataclass(frozen=True)
class _File:
    path: Path
    part: str
    label: str


def is_picture_folder(folder: Path) -> bool:
    """Whether a folder holds folders of pictures, itself or in its `train` and `test`."""
    with files.os_errors("look into", folder):
        return folder.is_dir() and bool(_layout(folder)[0])


def picture_dataset(folder: Path, *, like: Contract | None = None) -> Dataset:
    """The dataset of a folder with a folder of pictures for each label.

    Where there are `train`, `valid` or `test` with such folders in them, they are the parts. A
    label's pictures may lie deeper, and a folder may be wrapped around all. Labels that are whole
    numbers come in their order, others by name. Without a model to be measured, pictures of one
    size up to 64 pixels stay as they are; else the model sees the middle sizes' proportions, 64
    pixels at most; colour stays where there is some. Of a model to be measured (`like`) size,
    channels, crop and labels hold. Images that would take more than a quarter of the memory stay on
    disk.

    Raises:
      DataError: A single label, labels the model does not know, or no picture that can be read.
      FileError: A folder cannot be looked into, or the disk is full.
    """
    with files.os_errors("look into", folder):
        pictures, skipped, unlabelled = _files(folder)
    shapes, refused = _shapes(pictures)
    pictures = [picture for picture in pictures if picture.path in shapes]
    expected = like.input if like and like.input.kind == "image" else None
    model_labels = like.labels if like and expected else ()
    _labels(folder, pictures, model_labels, refused)  # before the pictures are decoded
    accepted = expected or _input(list(shapes.values()), list(shapes))
    images = Writer(len(shapes), accepted.shape, files.cache_folder())
    kept: list[_File] = []
    notes: list[str] = []
    for picture in pictures:
        try:
            steps = preprocess(picture.path, accepted)
        except TenfoldError as error:
            refused.append(str(error))
        else:
            images.add(steps.image)
            kept.append(picture)
            notes += steps.notes
    x = images.images()
    labels = _labels(folder, kept, model_labels, refused)
    size = (accepted.height, accepted.width)
    remarks = []
    if isinstance(x, StoredImages):
        on_disk = f"{x.size / 1e6:,.0f} MB of pixels stay on disk, read a few at a time"
        remarks.append(("streamed", on_disk))
    resized = [_under(folder, file.path) for file in kept if shapes[file.path] != size]
    if resized:
        how = "fitted" if accepted.crop == "ink" else "cut in the middle and resized"
        text = f"{how} to {accepted.height} x {accepted.width} pixels: {_count(resized)}"
        remarks.append(("resized", text))
    if accepted.white:
        remarks.append(("read as", f"greys of more than 8 bits: {accepted.white} is white in all"))
    if notes:
        remarks.append(("read as", shorten(notes, 3, "; ")))
    if skipped:
        remarks.append(("skipped", f"no pictures: {_count(skipped)}"))
    if refused:
        text = f"{len(refused):,} pictures cannot be read: {shorten(refused, 5, '; ')}"
        remarks.append(("refused", text))
    if unlabelled:
        remarks.append(("skipped", f"pictures without a label, not used: {shorten(unlabelled, 5)}"))
    return Dataset(
        name=str(folder),
        x=x,
        y=np.array([labels.index(file.label) for file in kept], np.int64),
        labels=labels,
        keys=[_under(folder, file.path) for file in kept],
        test_rows=np.flatnonzero([file.part == "test" for file in kept]),
        validation_rows=np.flatnonzero([file.part == "validation" for file in kept]),
        source=str(folder),
        pictures=PictureInfo(
            accepted,
            same_pictures(x),
            tuple(remarks),
            None if like else _photos([file.path for file in kept], shapes, accepted.white),
        ),
    )


def _photos(paths: list[Path], shapes: dict[Path, tuple[int, int]], white: int | None) -> Photos:
    """The middle squares of pictures, in colour, not larger than most of them are."""
    side = min(PHOTO_PX, round(float(np.median([min(shapes[path]) for path in paths]))))
    accepted = ImageInput(height=side, width=side, channels=3, crop="centre", white=white)
    return Photos(
        accepted,
        PictureFiles(paths, lambda path: preprocess(path, accepted).image, accepted.shape),
    )


def _under(folder: Path, path: Path) -> str:
    return printable(path.relative_to(folder).as_posix())


OWN = re.compile(r"\.(steps|read)(-\d+)?\.png$")
"""Pictures that `predict --show` and `read` write beside others: no examples."""

RECORDS = ("run.json", "sweep.json", "comparison.json")
"""Files that only a folder which Tenfold made holds."""


def _is_own(folder: Path) -> bool:
    """Whether a folder is a run or a sweep, or holds nothing else: its pictures are no examples."""
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
    """The files of a folder and of folders in it, by name; of an empty folder the folder."""
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.is_symlink():
            yield path
        elif not _is_own(path):
            yield from list(_files_below(path)) or [path]


def _holds_pictures(folder: Path) -> bool:
    return any(map(_is_picture, _files_below(folder)))


def _layout(folder: Path, depth: int = 0) -> tuple[dict[str, list[Path]], list[Path]]:
    """The folders of labels of each part, and the folders of pictures that say no label.

    Folders called like parts are parts where they hold folders of labels. A folder that holds a
    single one, and no pictures, is only wrapped around it.
    """
    inner = [path for path in _folders(folder) if _holds_pictures(path)]
    parts: dict[str, list[Path]] = {}
    for path in inner:
        part = PARTS.get(path.name.lower())
        labels = [label for label in _folders(path) if _holds_pictures(label)]
        if part and labels and not any(map(_is_picture, path.iterdir())):
            parts.setdefault(part, []).extend(labels)
    if parts.keys() & {"train", "test"}:
        used = {label.parent for labels in parts.values() for label in labels}
        return parts, [path for path in inner if path not in used]
    if len(inner) == 1 and depth < MAX_WRAPPED and not any(map(_is_picture, inner[0].iterdir())):
        return _layout(inner[0], depth + 1)
    unlabelled = [path for path in inner if path.name.lower() in UNLABELLED]
    labels = [path for path in inner if path not in unlabelled]
    if len(labels) < 2:  # then it may be a label all the same
        labels, unlabelled = inner, []
    return ({"train": labels} if labels else {}), unlabelled


def _files(folder: Path) -> tuple[list[_File], list[str], list[str]]:
    """The pictures, training part first; the names of what is none; folders that say no label."""
    parts, unlabelled = _layout(folder)
    pictures: list[_File] = []
    for part in dict.fromkeys(PARTS.values()):
        for label in parts.get(part, ()):
            name = printable(unicodedata.normalize("NFC", label.name))
            below = filter(_is_picture, _files_below(label))
            pictures += [_File(file, part, name) for file in below]
    used = {picture.path for picture in pictures}
    skipped = [
        _under(folder, path)
        for path in _files_below(folder)
        if path not in used and not any(path.is_relative_to(other) for other in unlabelled)
    ]
    return pictures, skipped, [_under(folder, path) for path in unlabelled]


def _shapes(pictures: list[_File]) -> tuple[dict[Path, tuple[int, int]], list[str]]:
    """The size of each picture whose header can be read, and why the others cannot."""
    shapes: dict[Path, tuple[int, int]] = {}
    refused: list[str] = []
    for file in pictures:
        try:
            shapes[file.path] = read_shape(file.path)
        except TenfoldError as error:
            refused.append(str(error))
    return shapes, refused


def _labels(
    folder: Path, kept: list[_File], model_labels: Sequence[str], refused: list[str]
) -> tuple[str, ...]:
    """The labels of the pictures: those of a model to be measured, or the folders' names."""
    names = {file.label for file in kept}
    if not names:
        raise DataError(
            "E414",
            "No picture can be read",
            where=folder,
            expected="a folder of them per label",
            fix=shorten(refused, 5, "; ").removesuffix("."),
            n_refused=len(refused),
        )
    if model_labels:
        strange = sorted(names - set(model_labels))
        if strange:
            raise DataError(
                "E416",
                "Other labels than the model's",
                where=folder,
                expected=f"folders called {', '.join(model_labels)}",
                fix=did_you_mean(strange[0], model_labels),
                folders=strange[:5],
            )
        return tuple(model_labels)
    if len(names) < 2:
        raise DataError(
            "E415",
            "Pictures of a single label",
            where=folder,
            expected="a folder of pictures for each label, at least two",
            labels=sorted(names),
        )
    whole = all(name.isascii() and name.isdigit() for name in names)
    return tuple(sorted(names, key=(lambda name: (int(name), name)) if whole else None))


def _input(shapes: list[tuple[int, int]], paths: list[Path]) -> ImageInput:
    """The contract of a model of pictures of these sizes."""
    height, width = np.median(shapes, axis=0).tolist()
    ratio = min(1.0, LARGEST_PX / max(height, width))
    return ImageInput(
        height=max(1, round(height * ratio)),
        width=max(1, round(width * ratio)),
        channels=3 if _in_colour(paths) else 1,
        crop="centre",
        white=_white(paths),
    )


def _looked_at(paths: list[Path]) -> list[Path]:
    """At most 200 pictures, spread over all."""
    rows = np.linspace(0, len(paths) - 1, min(len(paths), MAX_LOOKED_AT)).astype(int)
    return [paths[row] for row in rows]


def _white(paths: list[Path]) -> int | None:
    """The value of white in all deep pictures: the largest that one shows; None without any."""

    def found(some: list[Path]) -> list[int]:
        whites = []
        for path in some:
            with suppress(TenfoldError):  # said when it is read
                whites.append(read_white(path))
        return [white for white in whites if white]

    return max(found(paths)) if found(_looked_at(paths)) else None


def _in_colour(paths: list[Path]) -> bool:
    """Whether any of at most 200 pictures, spread over all of them, is in colour."""
    for path in _looked_at(paths):
        try:
            pixels = read_picture(path, channels=3, at_least_px=LARGEST_PX).pixels
        except TenfoldError:
            continue  # said when it is read
        apart = pixels.max(axis=2).astype(int) - pixels.min(axis=2)
        if (apart >= COLOUR_STEP).mean() >= COLOUR_SHARE:
            return True
    return False


def _count(names: list[str]) -> str:
    return f"{len(names):,} files, {shorten(names, 5)}"
