"""The output of every command in the tutorials: `python -m docs.outputs [NAME ...]` runs them.

A block marked `console` holds commands, each behind `$ `, and below each what it prints on standard
output. The commands of a page run in order in one empty folder, so each finds what the earlier
ones made. A service is started beside the others and ends with the page.
"""

import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

import tenfold

TUTORIALS = Path(__file__).parent / "tutorials"
BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.S | re.M)
COLUMNS = "88"
MOST_LINES = 40
"""A longer output is cut, and an ellipsis says so."""


def commands_of(block: str) -> list[tuple[str, str]]:
    """The commands of a block, each with the output below it."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.M)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def commands_on(page: Path) -> Iterator[tuple[str, str]]:
    """All commands of a page, each with its output."""
    for block in BLOCK.findall(page.read_text("utf-8")):
        yield from commands_of(block)


def with_outputs(text: str) -> str:
    """The text of a page, with what its commands print now."""
    with tempfile.TemporaryDirectory() as folder, Shell(Path(folder)) as shell:
        return BLOCK.sub(lambda block: _run(block[0], shell), text)


def bare(output: str) -> str:
    """An output without its numbers and its spacing, which differ between machines."""
    return re.sub(r"\s+", " ", re.sub(r"[\d·]+(?:[.,:]\d+)*", "#", output))


class Shell:
    """Runs the commands of one page in a folder, and ends what it started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._services: list[subprocess.Popen[str]] = []
        self._environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": COLUMNS,
            "NO_COLOR": "1",
        }

    def __enter__(self) -> "Shell":
        write_photo(self._folder / "photo.png")
        write_photos(self._folder / "my-photos")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for service in self._services:
            service.terminate()
            service.communicate()

    def run(self, command: str) -> str:
        """What a command prints on standard output.

        Raises:
          RuntimeError: It failed.
        """
        if command.startswith("tenfold serve"):
            return self._serve(command)
        done = subprocess.run(
            command,
            shell=True,
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{command}: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def _serve(self, command: str) -> str:
        """Start a service, and return its first line when it is ready."""
        log = self._folder / "serve.log"
        with log.open("w") as file:
            service = subprocess.Popen(
                shlex.split(command),  # no shell in between, so that ending it ends the service
                cwd=self._folder,
                env=self._environment,
                stdout=file,
                stderr=file,
                text=True,
            )
        self._services.append(service)
        while "http://" not in log.read_text("utf-8"):
            if service.poll() is not None:
                raise RuntimeError(log.read_text("utf-8"))
            time.sleep(0.2)
        return log.read_text("utf-8").splitlines()[0] + "\n"


def write_photo(path: Path) -> None:
    """A digit as a photo shows it: dark ink on grey paper, with uneven light and noise."""
    digit = tenfold.load("mnist").x[60_004]
    ink = np.asarray(Image.fromarray(digit).resize((170, 170)), float)
    page = np.linspace(215, 120, 400)[None].repeat(300, 0)
    page += np.random.default_rng(0).normal(0, 4, page.shape)
    page[60:230, 150:320] *= 1 - 0.7 * ink / 255
    content = io.BytesIO()
    Image.fromarray(page.clip(0, 255).astype(np.uint8)).save(content, "png")
    path.write_bytes(content.getvalue())


def write_photos(folder: Path) -> None:
    """Twenty pictures of a ball and twenty of a fence, in colours of chance before others."""
    rng = np.random.default_rng(0)
    for label in ("ball", "fence"):
        (folder / label).mkdir(parents=True)
        for number in range(20):
            ground, colour = (tuple(rng.integers(0, 256, 3).tolist()) for _ in range(2))
            picture = Image.new("RGB", (320, 240), ground)
            draw = ImageDraw.Draw(picture)
            x, y, size = rng.integers((60, 60, 40), (180, 120, 90)).tolist()
            if label == "ball":
                draw.ellipse((x, y, x + size, y + size), fill=colour)
            else:
                for left in range(x % 30, 320, 30):
                    draw.rectangle((left, y, left + size // 4, 240), fill=colour)
            blurred = picture.filter(ImageFilter.GaussianBlur(1))
            blurred.save(folder / label / f"{number}.jpg", quality=90)


def _run(block: str, shell: Shell) -> str:
    """A block with its commands run again."""
    return "".join(
        f"$ {command}\n{_shown(shell.run(command))}" for command, _ in commands_of(block)
    )


def _shown(output: str) -> str:
    lines = [line.rstrip() for line in output.strip("\n").splitlines()]
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], "..."]
    return "".join(f"{line}\n" for line in lines)


def main() -> None:
    """Run the pages named, or all."""
    for page in sorted(TUTORIALS.glob("*.md")):
        if page.stem in sys.argv[1:] or not sys.argv[1:]:
            page.write_text(with_outputs(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
