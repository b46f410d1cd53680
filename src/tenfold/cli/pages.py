"""What was read on pages of digits, for people on a terminal and as JSON for programs."""

import json
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tenfold.cli.answers import drawn
from tenfold.core.errors import TenfoldError
from tenfold.inputs.pictures.decode import PictureOptions
from tenfold.model.model import Model
from tenfold.model.transcript import Transcript, transcribe, transcript_json, write_annotated


class ReadPage(NamedTuple):
    """What `read` prints of one image: what stands there, or why it cannot be read.

    `picture` is the annotated picture that was written. `complete` is false where one should have
    been, and where there is nothing to print.
    """

    input: str
    read: Transcript | None = None
    picture: Path | None = None
    error: str | None = None
    complete: bool = True


def read_pages(
    model: Model,
    images: Sequence[Path],
    options: PictureOptions,
    *,
    draw: bool,
    folder: Path | None,
) -> Iterator[ReadPage]:
    """Read images in their order; one that cannot be read stands in its place with its error."""
    for path in images:
        try:
            read = transcribe(model, path, options)
        except TenfoldError as error:
            yield ReadPage(str(path), error=str(error), complete=False)
            continue
        write = partial(write_annotated, read, path, folder, options)
        picture = drawn(write) if draw else None
        yield ReadPage(str(path), read, picture, complete=not draw or picture is not None)


def print_pages_json(model: Model, pages: Iterator[ReadPage]) -> bool:
    """Print JSON while reading; pictures that were written are named on standard error."""
    print(f'{{"model": "{model.sha256}", "pages": [', end="")
    complete, separator = True, "\n"
    for page in pages:
        complete = complete and page.complete
        if page.read is None:
            found: dict[str, Any] = {"input": page.input, "error": page.error}
        else:
            found = {"input": page.input, "lines": transcript_json(page.read)}
        print(separator + json.dumps(found), end="")
        separator = ",\n"
        if page.picture:
            print(f"tenfold: picture {page.picture}", file=sys.stderr)
    print("\n]}")
    return complete


def print_pages(model: Model, pages: Iterator[ReadPage]) -> bool:
    """Print each line's number, and the confidence of each of its digits, `?` where unsure."""
    complete = True
    for page in pages:
        complete = complete and page.complete
        if page.read is None:
            print(f"tenfold: {page.error}", file=sys.stderr)
            continue
        lines = page.read.lines
        n_digits, n_lines = sum(map(len, lines)), len(lines)
        counts = [
            f"{n} {word}{'s' * (n != 1)}" for n, word in ((n_digits, "digit"), (n_lines, "line"))
        ]
        print(f"{page.input}: {' in '.join(counts) if n_digits else 'no digits'}")
        width = max((len(text) for text in page.read.texts), default=0)
        for text, line in zip(page.read.texts, lines, strict=True):
            sure = " ".join(
                f"{digit.answer.confidence:.2f}{'?' if digit.answer.unsure else ''}"
                for digit in line
            )
            print(f"  {text:<{width}}  {sure}")
        if page.picture:
            print(f"picture  {page.picture}")
    return complete
