"""`Dataset`: examples, their answers, and where each of them comes from."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tenfold.core import html_repr
from tenfold.core.contract import FeaturesInput, ImageInput, TableInput
from tenfold.core.errors import DataError, did_you_mean, printable
from tenfold.core.settings import Reading
from tenfold.core.task import Classification, Regression, Task
from tenfold.core.text import shorten
from tenfold.data.duplicates import first_of_each, parts
from tenfold.data.timeline import Timeline, time_texts
from tenfold.inputs.pictures.pixels import like_training, training_pixels
from tenfold.inputs.tables.columns import Profile, Table

RowNumbers = NDArray[np.int64]

MAX_LABELS = 65_536
"""The largest code that may be its own label. Larger numbers are probably not label codes."""

FEW_VALUES = 10
"""If rows repeat at least this often on average, equal rows are not regarded as copies, because
there are only few distinct values."""


class Undecided(NamedTuple):
    """The data from which a table is read again: its `Cells`, and the position of each row (n,)."""

    cells: Any
    places: RowNumbers


@dataclass(frozen=True, eq=False)
class TableInfo:
    """What a dataset of a table contains in addition to its rows.

    Attributes:
      input: The columns, the target and the order of time, in the form of a model's contract.
      reading: The options with which the file was read. Reading it again with them gives the same
        dataset.
      profiles: The profile of every column of the file, including those that are not used.
      notes: What was recognised about the file, and what was dropped, for the user.
      timeline: The position in time of ordered rows. None for others.
      groups: The group of each row (n,), from 0, given by `Reading.group`. None: there are no
        groups.
      undecided: Cells and positions of the rows, until the test rows are known, because these must
        not decide anything (`decide_by`).
    """

    input: TableInput
    reading: Reading
    profiles: tuple[Profile, ...]
    notes: tuple[str, ...]
    timeline: Timeline | None = None
    groups: RowNumbers | None = None
    undecided: Undecided | None = None

    @property
    def previous(self) -> NDArray[np.float64] | None:
        """For rows in the order of time, the previous value of the target for each row (n,)."""
        return None if self.timeline is None else self.timeline.previous

    def time_texts(self, rows: RowNumbers) -> list[str]:
        """The time of each row of a single series as text. Empty for all other data."""
        order = self.input.order
        if self.timeline is None or order is None or order.series is not None:
            return []
        return time_texts(order, self.timeline.times[rows])

    def take(self, rows: RowNumbers) -> "TableInfo":
        """The same of these rows."""
        groups = None if self.groups is None else self.groups[rows]
        timeline = self.timeline and self.timeline[rows]
        return replace(self, timeline=timeline, groups=groups, undecided=None)


class Places(Sequence[str]):
    """Keys of rows by their position in a file, `file:row`, each made when it is requested."""

    def __init__(self, file: str, rows: RowNumbers) -> None:
        self._file, self._rows = file, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice | RowNumbers) -> "Places": ...
    def __getitem__(self, row: int | slice | RowNumbers) -> "str | Places":
        if isinstance(row, slice | np.ndarray):
            return Places(self._file, self._rows[row])
        return f"{self._file}:{self._rows[row]}"

    def __iter__(self) -> Iterator[str]:
        return (f"{self._file}:{row}" for row in self._rows.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list


@dataclass(frozen=True, eq=False)
class PictureInfo:
    """What a dataset of picture files contains in addition to its rows.

    Attributes:
      input: The input of a model of these pictures: size, channels and crop.
      same_as: For each example, the first row with the same picture, even if re-encoded (n,).
      remarks: What was resized, skipped or refused, for the user: pairs (kind, line).
      photos: The same pictures in the form for learners of photos. None: they have no other form.
    """

    input: ImageInput
    same_as: RowNumbers
    remarks: tuple[tuple[str, str], ...] = ()
    photos: "Photos | None" = None

    def take(self, rows: RowNumbers) -> "PictureInfo":
        """The same of these rows."""
        _, first, which = np.unique(self.same_as[rows], return_index=True, return_inverse=True)
        photos = self.photos and replace(self.photos, images=self.photos.images.select(rows))
        return replace(self, same_as=first[which], photos=photos)


@dataclass(frozen=True, eq=False)
class Photos:
    """Pictures of a folder in the form for learners of photos, read on demand.

    `input` is the input of a model of them. `images` are `StoredImages`, as many as the dataset has
    rows.
    """

    input: ImageInput
    images: Any


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Examples with answers.

    Attributes:
      name: The name under which it was loaded.
      x: Images, uint8 (n, height, width) or (n, height, width, 3), or the rows of a table. Images
        of a folder that would take too much memory are `StoredImages`, which are read in parts.
      y: Label codes, int64 (n,), in [0, len(labels)); for regression the target, float64 (n,).
      labels: The name of each code. Empty for regression.
      keys: The place that each row comes from, as `file:row`.
      test_rows: Rows of the official test set. Empty if there is none.
      validation_rows: Rows of the official validation set. Empty if there is none.
      info: Additional information about a table. None for images.
      source: The file or folder from which it was read, if any.
      pictures: Additional information about picture files. None for others.
      notes: What was done to images, for the user.
      seen_from: The dataset of which this one has the same pictures in another form.
      white: The requested value of white of images stored as numbers.
    """

    name: str
    x: Any
    y: NDArray[Any]
    labels: tuple[str, ...]
    keys: Sequence[str]
    test_rows: RowNumbers = field(default_factory=lambda: np.empty(0, np.int64))
    info: TableInfo | None = None
    source: str | None = None
    pictures: PictureInfo | None = None
    validation_rows: RowNumbers = field(default_factory=lambda: np.empty(0, np.int64))
    notes: tuple[str, ...] = ()
    seen_from: "Dataset | None" = None
    white: float | None = None

    def __post_init__(self) -> None:
        if self.table is None:
            _check_images(self.x, self.name)
        if not len(self.x) == len(self.y) == len(self.keys):
            raise DataError(
                "E408",
                "The numbers of examples, answers and keys differ",
                where=self.name,
                expected="one answer and one key for each example",
                n_examples=len(self.x),
                n_answers=len(self.y),
                n_keys=len(self.keys),
            )
        if np.issubdtype(self.y.dtype, np.integer):
            _check_codes(self.y, self.labels, self.name)
        elif self.labels or not np.isfinite(self.y).all():
            raise DataError(
                "E413",
                "The target cannot be used for regression",
                where=self.name,
                expected="finite numbers, and no labels",
                labels=self.labels,
            )

    @property
    def task(self) -> Task:
        """The kind of answers, before the training rows are known."""
        if self.labels:
            return Classification(self.labels)
        return Regression() if self.info is None else Regression(self.info.input.target)

    @property
    def input(self) -> ImageInput | TableInput:
        """The input of a model of this dataset."""
        if self.info is not None:
            return self.info.input
        if self.pictures is not None:
            return self.pictures.input
        height, width, *channels = self.images.shape[1:]
        return ImageInput(height=height, width=width, channels=3 if channels else 1)

    @property
    def reading(self) -> Reading | None:
        """The options with which it was read. None for images without any."""
        if self.info is not None:
            return self.info.reading
        return None if self.white is None else Reading(white=self.white)

    @property
    def table(self) -> Table | None:
        """The examples if they are rows of a table. None for images."""
        return self.x if isinstance(self.x, Table) else None

    @property
    def images(self) -> NDArray[np.uint8]:
        """The examples if they are images.

        Raises:
          DataError: They are rows of a table.
        """
        if self.table is not None:
            raise DataError(
                "E405",
                "The array does not contain images",
                where=self.name,
                expected="a dataset of images",
            )
        images: NDArray[np.uint8] = self.x
        return images

    @classmethod
    def from_arrays(
        cls,
        x: NDArray[Any],
        y: ArrayLike,
        *,
        labels: Sequence[str] | None = None,
        name: str = "arrays",
        white: float | None = None,
    ) -> "Dataset":
        """Make a dataset of your own arrays.

        Args:
          x: Images (n, height, width), (n, height, width, 1) or (n, height, width, 3), with numbers
            from 0 to 255. Numbers of another scale, such as 0 to 1, are converted, which `notes`
            says.
          y: Label codes (n,) or (n, 1), integers from 0.
          labels: The name of each code. By default, the codes themselves.
          name: The name of the dataset in run folders.
          white: The value of white. None: found from the images.

        Raises:
          DataError: The arrays are not images or not integers, or differ in length.
        """
        codes = np.asarray(y)
        if codes.ndim == 2 and codes.shape[1] == 1:
            codes = codes[:, 0]
        if codes.ndim != 1 or not np.issubdtype(codes.dtype, np.integer) or not codes.size:
            raise DataError(
                "E409",
                "The labels are not whole numbers",
                where=name,
                expected="whole numbers (n,)",
                dtype=str(codes.dtype),
                shape=codes.shape,
            )
        if labels is None:
            n_labels = min(int(codes.max()) + 1, MAX_LABELS)
            labels = [str(code) for code in range(n_labels)]
        keys = [f"{name}:{row}" for row in range(len(codes))]
        images, notes = np.asarray(x), list[str]()
        if images.ndim == 4 and images.shape[3] == 1:
            images = images[..., 0]
        if images.size and images.ndim > 1:
            images, notes = training_pixels(images, name, white)
        codes = codes.astype(np.int64)
        return cls(name, images, codes, tuple(labels), keys, notes=tuple(notes))

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        """One line, however large the dataset is."""
        facts = ", ".join(f"{what} {value}" for what, value in self._facts())
        return f"Dataset({self.name!r}, {facts})"

    def _facts(self) -> list[tuple[str, str]]:
        if self.table is not None:
            inputs = f"{len(self.table.columns)} columns"
        else:
            inputs = f"images of {' x '.join(map(str, self.x.shape[1:]))}"
        answers = shorten([printable(label) for label in self.labels], 10)
        if not self.labels:
            answers = f"numbers from {self.y.min():g} to {self.y.max():g}"
        parts = [("test rows", self.test_rows), ("validation rows", self.validation_rows)]
        official = [(name, f"{len(rows):,}") for name, rows in parts if len(rows)]
        return [("rows", f"{len(self):,}"), ("inputs", inputs), ("answers", answers), *official]

    def _repr_html_(self) -> str:
        parts = [html_repr.table((), self._facts())]
        if self.table is None:
            first = [
                html_repr.picture(np.asarray(self.x[row])) for row in range(min(10, len(self)))
            ]
            parts.append("".join(first))
        return html_repr.card(f"Dataset {self.name}", *parts)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of examples, answers, labels, groups and the official test rows. It does not
        depend on names."""
        if self.seen_from is not None:
            return self.seen_from.fingerprint
        table = self.table
        shape = self.x.shape if table is None else (len(table), *table.columns)
        digest = hashlib.sha256(repr((shape, self.labels)).encode())
        arrays = parts(self.x) if table is None else _column_bytes(table)
        official = [rows for rows in (self.test_rows, self.validation_rows) if rows.size]
        groups = [] if self.groups is None else [self.groups]
        for array in (*arrays, self.y, *official, *groups):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @cached_property
    def duplicate_of(self) -> RowNumbers:
        """For each example, the row of the first one that is identical to it, which may be itself.

        Picture files are also identical if they encode the same picture.
        """
        if self.pictures is not None:
            return self.pictures.same_as
        return first_of_each(self.images) if self.table is None else self.table.duplicate_of

    def n_distinct(self, profile: Profile) -> int:
        """The number of distinct values of a column of the table, without missing ones."""
        if profile.n_distinct is not None:
            return profile.n_distinct
        values = self.x.columns[profile.name]
        return len(np.unique(values[~np.isnan(values)]))

    def cells_of(self, name: str) -> NDArray[Any]:
        """The cells of any column of a table (n,), as values if they are learned from, else as
        texts.

        Raises:
          DataError: There is no such column.
        """
        if self.table is not None and name in self.table.columns:
            column: NDArray[Any] = self.table.columns[name]
            return column
        known = None if self.info is None else self.info.undecided
        if known is None or name not in known.cells:
            names = () if known is None else known.cells.names
            raise DataError(
                "E453",
                "There is no such column",
                where=self.name,
                expected=shorten(list(names)) or "a table",
                fix=did_you_mean(name, names),
                column=name,
            )
        places = np.searchsorted(known.cells.row_numbers, known.places)
        texts = known.cells[name].texts.take(places)
        cells = np.array(texts.tolist(), object)
        cells[texts.is_missing] = ""
        return cells

    @property
    def groups(self) -> RowNumbers | None:
        """The group of each row of a table that has groups (n,)."""
        return None if self.info is None else self.info.groups

    @cached_property
    def group_of(self) -> RowNumbers:
        """For each example, the first row of its group. A group stays on one side of a split.

        Rows with the same value of `Reading.group` are a group, and so are copies of a picture.
        Equal rows of a table are different cases, unless `Reading.equal_rows` keeps them together.
        Earlier versions, which had no choice (None), kept them together unless rows repeated ten
        times on average.
        """
        if self.groups is not None:
            _, first, which = np.unique(self.groups, return_index=True, return_inverse=True)
            return np.asarray(first[which])
        rule = "together" if self.info is None else self.info.reading.equal_rows
        n_distinct = len(np.unique(self.duplicate_of))
        if rule == "spread" or (rule is None and n_distinct * FEW_VALUES <= len(self)):
            return np.arange(len(self))
        return self.duplicate_of

    def as_photos(self) -> "Dataset":
        """The same rows in the form for learners of photos, or unchanged if they have only one
        form."""
        if self.pictures is None or self.pictures.photos is None:
            return self
        photos = self.pictures.photos
        remarks = tuple(remark for remark in self.pictures.remarks if remark[0] != "streamed")
        pictures = PictureInfo(photos.input, self.pictures.same_as, remarks)
        return replace(self, x=photos.images, pictures=pictures, seen_from=self)

    def seen_as(self, accepted: ImageInput | TableInput | FeaturesInput) -> "Dataset":
        """The same rows in the one of their forms that a model accepts."""
        photos = self.as_photos()
        is_photo = accepted.kind == "image" and photos.x.shape[1:] == accepted.shape
        return photos if is_photo else self

    def as_trained(self, accepted: ImageInput) -> "Dataset":
        """The images light on dark, or dark on light, as in a model's training."""
        if self.images.shape[1:] != accepted.shape:
            return self
        x, notes = like_training(self.images, accepted, self.name)
        return replace(self, x=x, notes=(*self.notes, *notes)) if notes else self

    def split_like(self, reading: Reading | None) -> "Dataset":
        """The dataset, with equal rows treated as different cases or kept together, according to a
        reading."""
        if self.info is None or reading is None:
            return self
        if self.info.reading.equal_rows == reading.equal_rows:
            return self
        asked = self.info.reading.model_copy(update={"equal_rows": reading.equal_rows})
        return replace(self, info=replace(self.info, reading=asked))

    def n_twins(self, test: RowNumbers, train: RowNumbers) -> int:
        """The number of test examples that equal a training example in all columns or pixels that
        are used."""
        return int(np.isin(self.duplicate_of[test], self.duplicate_of[train]).sum())

    def take(self, rows: ArrayLike) -> "Dataset":
        """The dataset of these rows, in this order. Official test rows stay marked.

        Raises:
          DataError: These are not row numbers of this dataset.
        """
        rows = np.asarray(rows)
        whole = np.issubdtype(rows.dtype, np.integer) and rows.ndim == 1
        if not whole or not rows.size or rows.min() < 0 or rows.max() >= len(self):
            raise DataError(
                "E410",
                "These are not valid row numbers",
                where=self.name,
                expected=f"whole numbers (n,) from 0 to {len(self) - 1}, at least one",
                dtype=str(rows.dtype),
                shape=rows.shape,
                highest=rows.max(initial=0).item() if whole else None,
            )
        return replace(
            self,
            x=self.x[rows],
            y=self.y[rows],
            seen_from=None,
            keys=self.keys[rows]
            if isinstance(self.keys, Places)
            else [self.keys[row] for row in rows],
            test_rows=np.flatnonzero(np.isin(rows, self.test_rows)),
            validation_rows=np.flatnonzero(np.isin(rows, self.validation_rows)),
            info=self.info and self.info.take(rows),
            pictures=self.pictures and self.pictures.take(rows),
        )

    def relabelled(self, labels: tuple[str, ...]) -> "Dataset":
        """The dataset with the codes of other labels, which include all of its own."""
        codes = np.array([labels.index(label) for label in self.labels], np.int64)
        return replace(self, y=codes[self.y], labels=labels)

    def one_hot(self) -> NDArray[np.float32]:
        """The answers as one-hot rows: float32 (n, n_labels), 1 in the column of the label."""
        one_hot: NDArray[np.float32] = np.eye(len(self.labels), dtype=np.float32)[self.y]
        return one_hot

    def decode(self, one_hot: ArrayLike) -> NDArray[np.int64]:
        """The label codes (n,) of one-hot rows: the inverse of `one_hot`.

        Raises:
          DataError: The width is wrong, or a row is not a single 1 among zeros.
        """
        encoded = np.asarray(one_hot)
        if encoded.ndim != 2 or encoded.shape[1] != len(self.labels):
            raise DataError(
                "E411",
                "The array is not one-hot encoded",
                expected=f"(n, {len(self.labels)})",
                shape=encoded.shape,
            )
        wrong = ((encoded == 1).sum(axis=1) != 1) | ((encoded != 0).sum(axis=1) != 1)
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(
                "E412",
                "A row is not one-hot encoded",
                expected="a single 1 among zeros",
                row=row,
                values=encoded[row].tolist(),
            )
        codes: NDArray[np.int64] = encoded.argmax(axis=1)
        return codes


def _column_bytes(table: Table) -> Iterable[NDArray[Any]]:
    """The columns as arrays of bytes, one after the other."""
    for values in table.columns.values():
        if values.dtype == object:
            yield np.frombuffer("\0".join(values).encode(), np.uint8)
        else:
            yield values.view(np.int64)


def _check_images(x: NDArray[np.uint8], name: str) -> None:
    fitting = x.dtype == np.uint8 and (x.ndim == 3 or (x.ndim == 4 and x.shape[3] == 3))
    if not fitting or not x.size:
        raise DataError(
            "E405",
            "The array does not contain images",
            where=name,
            expected="uint8 (n, height, width) or (n, height, width, 3), no dimension of 0",
            dtype=str(x.dtype),
            shape=x.shape,
        )


def _check_codes(y: NDArray[Any], labels: tuple[str, ...], name: str) -> None:
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise DataError(
            "E406",
            "The labels are not distinct",
            where=name,
            expected="at least two different labels",
            labels=labels,
        )
    if y.min() < 0 or y.max() >= len(labels):
        raise DataError(
            "E407",
            "A code has no label",
            where=name,
            expected=f"codes from 0 to {len(labels) - 1}",
            lowest=int(y.min()),
            highest=int(y.max()),
        )
