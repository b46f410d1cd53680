"""The rows of a sweep, which are written once and memory-mapped by all workers, so that there is
one copy in memory.

Only training and validation rows are written: no worker ever has a test row.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from tenfold.build.photos import PhotoFeatures
from tenfold.core import files
from tenfold.core.contract import ImageInput, TableInput
from tenfold.core.errors import DataError, FormatError
from tenfold.core.settings import Reading
from tenfold.data import disk_images
from tenfold.data.dataset import Dataset, Photos, PictureInfo, TableInfo
from tenfold.data.split import Split
from tenfold.data.timeline import Timeline
from tenfold.inputs.tables.columns import Profile, Table

MANIFEST = "data.json"
PHOTOS = "photos.npy"
NO_ROWS = np.empty(0, np.int64)


class _Manifest(BaseModel):
    """The content of `data.json`: everything about the rows except the arrays."""

    model_config = ConfigDict(extra="forbid")
    format: Literal[1] = 1
    name: str
    source: str | None
    labels: tuple[str, ...]
    n_train: int
    fingerprint: str
    columns: tuple[str, ...] | None = None
    texts: tuple[str, ...] = ()
    input: TableInput | None = None
    reading: Reading | None = None
    profiles: tuple[Profile, ...] = ()
    notes: tuple[str, ...] = ()
    pictures: ImageInput | None = None
    photos: ImageInput | None = None
    remarks: tuple[tuple[str, str], ...] = ()


def share(data: Dataset, split: Split, folder: Path, features: PhotoFeatures | None = None) -> str:
    """Write the training and validation rows into a new folder. Returns their fingerprint.

    With `features`, for learners of photos, the features of all these rows are computed and
    written, and also the validation rows as photos.
    """
    shared = data.take(np.concatenate([split.train, split.validation]))
    with files.os_errors("create", folder):
        folder.mkdir(parents=True, exist_ok=True)
    texts: tuple[str, ...] = ()
    if shared.table is None:
        disk_images.save(folder / "x.npy", shared.x)
    else:
        texts = _write_columns(shared.table.columns, folder)
    disk_images.save(folder / "y.npy", shared.y)
    _write_texts(folder / "keys.json", list(shared.keys))
    info, pictures = shared.info, shared.pictures
    if info is not None and info.timeline is not None:
        disk_images.save(folder / "timeline.npy", info.timeline.as_array())
    if shared.groups is not None:
        disk_images.save(folder / "groups.npy", shared.groups)
    if pictures is not None:
        disk_images.save(folder / "same_as.npy", pictures.same_as)
    photos = None if features is None else _share_photos(shared, len(split.train), folder, features)
    manifest = _Manifest(
        name=shared.name,
        source=shared.source,
        labels=shared.labels,
        n_train=len(split.train),
        fingerprint=shared.fingerprint,
        columns=None if shared.table is None else tuple(shared.table.columns),
        texts=texts,
        input=info.input if info else None,
        reading=info.reading if info else None,
        profiles=info.profiles if info else (),
        notes=info.notes if info else (),
        pictures=pictures.input if pictures else None,
        photos=photos,
        remarks=pictures.remarks if pictures else (),
    )
    files.write_text(folder / MANIFEST, manifest.model_dump_json() + "\n")
    return shared.fingerprint


def _share_photos(
    shared: Dataset, n_train: int, folder: Path, features: PhotoFeatures
) -> ImageInput | None:
    """Compute the features and write the validation rows as photos. Returns the form of the photos,
    or None if all rows have the same form."""
    photos = shared.as_photos()
    accepted = photos.input
    assert accepted.kind == "image"  # there are some because learners of photos were requested
    kept = PhotoFeatures(folder, features.listener)
    train, held = np.split(np.arange(len(photos)), [n_train])
    kept.of_parts(photos.images, (train, held), accepted)
    if photos is shared:
        return None
    disk_images.save(folder / PHOTOS, photos.images[n_train:])
    return accepted


def open_shared(folder: Path) -> tuple[Dataset, Split]:
    """Open the rows that `share` wrote, and their split. Arrays are memory-mapped, not read."""
    with files.os_errors("read", folder):
        content = (folder / MANIFEST).read_bytes()
    try:
        manifest = _Manifest.model_validate_json(content)
        data = _dataset(manifest, folder)
    except (ValidationError, ValueError, KeyError) as error:
        raise FormatError(
            "E812", "The shared rows of the sweep are damaged", where=folder, problem=str(error)
        ) from error
    if data.fingerprint != manifest.fingerprint:
        raise DataError(
            "E811",
            "The rows are not those of the sweep",
            where=folder,
            fingerprint=data.fingerprint,
            expected=f"fingerprint {manifest.fingerprint}",
        )
    rows = np.arange(len(data))
    return data, Split(rows[: manifest.n_train], rows[manifest.n_train :], NO_ROWS, NO_ROWS)


def _dataset(manifest: _Manifest, folder: Path) -> Dataset:
    info = pictures = None
    x: Any
    if manifest.columns is None:
        x = disk_images.open_saved(folder / "x.npy")
    else:
        x = Table(_read_columns(manifest, folder))
    if manifest.input is not None and manifest.reading is not None:
        timeline, groups = folder / "timeline.npy", folder / "groups.npy"
        info = TableInfo(
            manifest.input,
            manifest.reading,
            manifest.profiles,
            manifest.notes,
            Timeline.of_array(_read_array(timeline)) if timeline.exists() else None,
            groups=_read_array(groups) if groups.exists() else None,
        )
    if manifest.pictures is not None:
        same_as = _read_array(folder / "same_as.npy")
        photos = None
        if manifest.photos is not None:
            # Of the training rows, only the features were written.
            stored = disk_images.open_stored(folder / PHOTOS)
            before = np.full(manifest.n_train, -1)
            rows = np.concatenate([before, np.arange(len(stored))])
            photos = Photos(manifest.photos, stored.select(rows))
        pictures = PictureInfo(manifest.pictures, same_as, manifest.remarks, photos)
    y = _read_array(folder / "y.npy")
    keys = _read_texts(folder / "keys.json")
    return Dataset(
        name=manifest.name,
        x=x,
        y=y,
        labels=manifest.labels,
        keys=keys,
        test_rows=NO_ROWS,
        info=info,
        source=manifest.source,
        pictures=pictures,
    )


def _write_columns(columns: Mapping[str, NDArray[Any]], folder: Path) -> tuple[str, ...]:
    """Write the columns of a table by position. Returns the names of the text columns."""
    texts = []
    for i, (name, values) in enumerate(columns.items()):
        if values.dtype == object:
            _write_texts(folder / f"column-{i}.json", values.tolist())
            texts.append(name)
        else:
            disk_images.save(folder / f"column-{i}.npy", values)
    return tuple(texts)


def _read_columns(manifest: _Manifest, folder: Path) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {}
    for i, name in enumerate(manifest.columns or ()):
        if name in manifest.texts:
            columns[name] = np.array(_read_texts(folder / f"column-{i}.json"), object)
        else:
            columns[name] = _read_array(folder / f"column-{i}.npy")
    return columns


def _read_array(path: Path) -> NDArray[Any]:
    with files.os_errors("read", path):
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _write_texts(path: Path, texts: list[str]) -> None:
    files.write_bytes(path, json.dumps(texts).encode())


def _read_texts(path: Path) -> list[str]:
    with files.os_errors("read", path):
        texts: list[str] = json.loads(path.read_bytes())
    return texts
