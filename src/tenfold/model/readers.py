"""Convert the inputs that people give to a model into rows, with one reader for each kind of input.

The contract determines the reader. No other code depends on the kind of a model's input.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import FeaturesInput, ImageInput, TableInput
from tenfold.core.errors import DataError
from tenfold.data.from_column import read_pictures
from tenfold.data.time_order import with_earlier_values
from tenfold.inputs.pictures.decode import DEFAULT_OPTIONS, PictureOptions, is_picture
from tenfold.inputs.pictures.preprocess import PictureSteps, as_trained, preprocess
from tenfold.inputs.tables.cells import Cells, from_rows
from tenfold.inputs.tables.columns import Table, graph_inputs, read_rows
from tenfold.inputs.tables.read import is_frame, read_frame, read_table
from tenfold.model.json_items import read_features, read_pixels, row_error, unknown_columns

Rows = NDArray[Any] | Table
"""Inputs that have been read: uint8 pictures, float64 features, or the columns of a table."""

Signature = dict[str, tuple[str, tuple[int, ...]]]
"""The dtype and the shape of one row of each graph input, by name. 0 means any length."""

CHUNK_BYTES = 1 << 23
"""Maximum number of bytes of input that are predicted at a time. This limits memory. More bytes are
not faster for 10,000 digits."""

TABLE_ROWS = 2_000
"""Maximum number of rows of a table that are predicted at a time."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs that have been read.

    Attributes:
      rows: The rows in the form that `Model.answer` takes.
      notes: Notes about the rows of a table for the user.
      steps: The steps for each picture file.
      ids: The name of each row of a table. Empty if there are none.
      errors: For each item of a JSON list, in order, why it is not among the rows, or None. A wrong
        item does not affect the others.
    """

    rows: Any
    notes: Sequence[str] = ()
    steps: tuple[PictureSteps, ...] = ()
    errors: Sequence[DataError | None] = ()
    ids: tuple[str, ...] = ()


class InputReader(Protocol):
    """Converts inputs of one kind into rows.

    Attributes:
      items: The JSON key of a list of them.
    """

    items: ClassVar[str]

    def read(self, inputs: Any, options: PictureOptions = DEFAULT_OPTIONS) -> Batch:
        """Read one input or many in any form that people use.

        Raises:
          DataError: This is not an input of this kind.
          FormatError: A file is damaged.
        """
        ...

    def read_json(self, items: list[Any], max_characters: int) -> Batch:
        """Read items of a JSON list. A limit applies to the characters of texts of a table.

        Raises:
          TenfoldError: The items cannot be read together.
        """
        ...

    def feeds(self, rows: Any, at_once: int | None) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the inputs of the graph, in parts of at most `at_once` rows.

        Raises:
          DataError: The rows are of another kind, shape or dtype.
        """
        ...

    def signature(self) -> Signature:
        """The graph's inputs: one, or for a table one for each column or part of a date."""
        ...

    def describe(self) -> str:
        """The size of one input, such as 28x28, 4 features or 5 columns."""
        ...

    def sample(self, n: int, examples: Any) -> Any:
        """`n` rows to try a model: noise, or for a table its stored examples in turn."""
        ...


def reader_of(accepted: ImageInput | TableInput | FeaturesInput) -> InputReader:
    """The reader for what a contract accepts."""
    return READERS[accepted.kind](accepted)


@dataclass(frozen=True)
class PictureReader:
    """Pictures: arrays, also in IDX and NumPy files or a CSV of pixels, and picture files, which
    are fitted to the model's box.

    Arrays are converted to the scale and polarity of the training, unless fitting is switched off.
    """

    accepted: ImageInput
    items: ClassVar[str] = "images"

    def read(self, inputs: Any, options: PictureOptions = DEFAULT_OPTIONS) -> Batch:
        where: object = "pictures"
        if isinstance(inputs, str | Path):
            if is_picture(inputs):
                steps = preprocess(inputs, self.accepted, options)
                return Batch(steps.image[None], steps.notes, steps=(steps,))
            where, path = inputs, Path(inputs)
            inputs = read_pictures(path)
            if isinstance(inputs, list):
                return self._of_files(inputs, options)
            if inputs.ndim == 2 and inputs.shape[1] == math.prod(self.accepted.shape):
                inputs = inputs.reshape(-1, *self.accepted.shape)
        x = np.asarray(inputs)
        shape = self.accepted.shape
        if x.shape in (shape, (*shape, 1)):
            x = x[None]
        if x.shape[1:] == (*shape, 1):
            x = x[..., 0]
        if not options.fit_to_box or x.shape[1:] != shape:
            return Batch(x)
        return Batch(*as_trained(x, self.accepted, where))

    def _of_files(self, contents: list[bytes], options: PictureOptions) -> Batch:
        steps = [preprocess(content, self.accepted, options) for content in contents]
        notes = [note for one in steps for note in one.notes]
        return Batch(np.stack([one.image for one in steps]), notes, steps=tuple(steps))

    def read_json(self, items: list[Any], max_characters: int) -> Batch:
        batch = _each(items, lambda item: read_pixels(item, self.accepted.shape))
        if not len(batch.rows):
            return batch
        rows, notes = as_trained(batch.rows, self.accepted, "images")
        return replace(batch, rows=rows, notes=notes)

    def feeds(self, rows: Any, at_once: int | None) -> Iterator[dict[str, NDArray[Any]]]:
        return _array_feeds(rows, self.accepted, "uint8", at_once)

    def signature(self) -> Signature:
        return {self.accepted.name: ("uint8", self.accepted.shape)}

    def describe(self) -> str:
        return "x".join(str(side) for side in self.accepted.shape)

    def sample(self, n: int, examples: Any) -> NDArray[np.uint8]:
        rng = np.random.default_rng(0)
        return rng.integers(0, 256, (n, *self.accepted.shape), np.uint8)


@dataclass(frozen=True)
class FeaturesReader:
    """Rows of numbers: arrays float64 (d,) or (n, d)."""

    accepted: FeaturesInput
    items: ClassVar[str] = "features"

    def read(self, inputs: Any, options: PictureOptions = DEFAULT_OPTIONS) -> Batch:
        try:
            rows = np.asarray(inputs, np.float64)
        except (TypeError, ValueError) as error:
            kind = type(inputs).__name__
            raise DataError(
                "E507",
                "The input is not an array of numbers",
                expected="an array of numbers",
                kind=kind,
            ) from error
        return Batch(rows if rows.ndim > 1 else rows[None])

    def read_json(self, items: list[Any], max_characters: int) -> Batch:
        return _each(items, lambda item: read_features(item, self.accepted.n_features))

    def feeds(self, rows: Any, at_once: int | None) -> Iterator[dict[str, NDArray[Any]]]:
        return _array_feeds(rows, self.accepted, "float64", at_once)

    def signature(self) -> Signature:
        return {self.accepted.name: ("float64", self.accepted.shape)}

    def describe(self) -> str:
        return f"{self.accepted.n_features} features"

    def sample(self, n: int, examples: Any) -> NDArray[np.float64]:
        return np.random.default_rng(0).normal(size=(n, *self.accepted.shape))


@dataclass(frozen=True)
class TableReader:
    """Rows of a table: files, data frames, a dict of columns and values, or a list of such
    dicts."""

    accepted: TableInput
    items: ClassVar[str] = "rows"

    def read(self, inputs: Any, options: PictureOptions = DEFAULT_OPTIONS) -> Batch:
        return self._batch(read_cells(inputs, self.accepted))

    def read_json(self, items: list[Any], max_characters: int) -> Batch:
        # If a model uses earlier values, all rows are needed. Otherwise each row is complete.
        order = self.accepted.order
        wanted = () if order else self.accepted.names
        errors = [row_error(item, wanted, max_characters) for item in items]
        names = {*self.accepted.names, self.accepted.target}
        names |= {order.time, *order.series_columns} if order else set()
        names |= {self.accepted.id} if self.accepted.id else set()
        names |= unknown_columns(items, names)
        good = [
            {name: value for name, value in item.items() if name in names}
            for item, error in zip(items, errors, strict=True)
            if error is None
        ]
        if not good:
            return Batch(np.empty(0), errors=errors)
        return replace(self._batch(read_cells(good, self.accepted)), errors=errors)

    def feeds(self, rows: Any, at_once: int | None) -> Iterator[dict[str, NDArray[Any]]]:
        if not isinstance(rows, Table):
            raise DataError(
                "E503",
                "The input does not fit the model",
                expected="rows of a table",
                dtype=str(rows.dtype),
                shape=rows.shape,
            )
        step = min(TABLE_ROWS, at_once or TABLE_ROWS)
        starts = range(0, len(rows), step)
        return (graph_inputs(rows[start : start + step], self.accepted) for start in starts)

    def signature(self) -> Signature:
        dtypes = {"float": "float32", "string": "string"}
        forms = self.accepted.inputs.items()
        return {name: (dtypes[dtype], (width,)) for name, (dtype, width) in forms}

    def describe(self) -> str:
        return f"{len(self.accepted.columns)} columns"

    def sample(self, n: int, examples: Any) -> Table:
        table: Table = self.read(examples).rows
        return table[np.arange(n) % len(table)]

    def _batch(self, cells: Cells) -> Batch:
        cells, notes = with_earlier_values(cells, self.accepted)
        rows, remarks = read_rows(cells, self.accepted)
        name = self.accepted.id
        ids = cells[name].texts.tolist() if name is not None and name in cells else ()
        return Batch(rows, (*notes, *remarks), ids=tuple(ids))


READERS: dict[str, Callable[[Any], InputReader]] = {
    "image": PictureReader,
    "table": TableReader,
    "features": FeaturesReader,
}
"""The reader of each kind of input."""


@dataclass(frozen=True)
class _Others:
    """The names of all columns that a model does not use, as a set whose members are not listed."""

    accepted: TableInput

    def __contains__(self, name: object) -> bool:
        order = self.accepted.order
        ordering = (order.time, *order.series_columns) if order else ()
        looked_at = (*self.accepted.names, self.accepted.target, self.accepted.id, *ordering)
        return name not in looked_at


def read_cells(inputs: Any, accepted: TableInput) -> Cells:
    """The cells of a table's input: a file, a data frame, a dict of values, or a list of dicts."""
    if isinstance(inputs, str | Path):
        return read_table(
            inputs, otherwise=accepted.encoding, known=accepted.names, unread=_Others(accepted)
        )
    if is_frame(inputs):
        return read_frame(inputs, "frame", _Others(accepted))
    rows = [inputs] if isinstance(inputs, Mapping) else inputs
    if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        raise DataError(
            "E504",
            "The input is not a table",
            expected="a table file, a data frame, or dicts with a value for each column",
            kind=type(inputs).__name__,
        )
    return from_rows(rows)


def _array_feeds(
    x: Any, accepted: ImageInput | FeaturesInput, dtype: str, at_once: int | None
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield rows under the name of the graph's input, a few megabytes at a time."""
    is_array, shape = (
        hasattr(x, "dtype"),
        accepted.shape,
    )  # or images on disk
    if not is_array or x.dtype != dtype or x.shape[1:] != shape:
        size = ", ".join(str(n) for n in shape)
        values = "uint8 from 0 to 255" if dtype == "uint8" else dtype
        fix = None
        if is_array and x.dtype != dtype:
            fix = _to_pixels(x) if dtype == "uint8" else None
        elif is_array and x.size and x.size % math.prod(shape) == 0:
            fix = f"The values fit: x.reshape(-1, {size})"
        raise DataError(
            "E503",
            "The input does not fit the model",
            expected=f"{values}, ({size}) or (n, {size})",
            fix=fix,
            dtype=str(x.dtype) if is_array else type(x).__name__,
            shape=x.shape if is_array else (len(x),),
        )
    step = max(1, CHUNK_BYTES // (math.prod(shape) * x.itemsize))
    step = min(step, at_once or step)
    starts = range(0, len(x), step)
    return ({accepted.name: np.ascontiguousarray(x[start : start + step])} for start in starts)


def _to_pixels(x: NDArray[Any]) -> str | None:
    """Advice to turn these numbers into pixels. None if no advice is certain to work."""
    if not x.size or x.dtype.kind not in "biuf" or not (x.min() >= 0 and x.max() <= 255):
        return None
    scaled = "(x * 255)" if x.max() <= 1 else "x"
    return f"Its values fit as {scaled}.round().astype('uint8')"


def _each(items: list[Any], read: Callable[[Any], NDArray[Any]]) -> Batch:
    rows: list[NDArray[Any]] = []
    errors: list[DataError | None] = []
    for item in items:
        try:
            rows.append(read(item))
            errors.append(None)
        except DataError as error:
            errors.append(error.with_traceback(None))  # the traceback would keep the items alive
    return Batch(np.stack(rows) if rows else np.empty(0), errors=errors)
