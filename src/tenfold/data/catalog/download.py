"""Download a dataset into the cache folder, from several mirrors in turn.

Only this module imports pooch, so that nothing else in Tenfold uses the network.
"""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from tenfold.core import files
from tenfold.core.errors import FetchError, FormatError
from tenfold.data.catalog import File, find, folder_of

TIMEOUT_SECONDS = 30
MAX_BYTES = 1 << 28
"""Maximum size of a download in bytes, which no file of the catalog reaches. If a server sends
more, the download stops."""

Watch = Callable[[str, int], None]


def fetch(name: str, watch: Watch | None = None) -> Path:
    """Download the files of a dataset into its folder, unless they exist and are correct.

    Args:
      name: Its name in the catalog.
      watch: It is called with an address and the number of bytes received from it so far.

    Returns:
      The folder, the same as `catalog.folder_of`.

    Raises:
      DataError: No dataset has this name.
      FetchError: No mirror provided a file. The message names the files, and the folder in which to
        put them by hand.
      FileError: The folder cannot be written, or the disk is full.
    """
    dataset, folder = find(name), folder_of(name)
    if not dataset.mirrors:
        return folder
    with files.os_errors("create", folder):
        folder.mkdir(parents=True, exist_ok=True)
    with files.locked(folder):
        with files.os_errors("clean", folder):
            for unfinished in folder.glob("*.tmp.*"):  # left by a download that was killed
                unfinished.unlink()
        missing = [file for file in dataset if not _is_right(file, folder)]
        for file in missing:
            refusals = _fetch_file(file, dataset.mirrors, folder, watch or (lambda *_: None))
            if refusals is not None:
                names = ", ".join(f"{file.name}.gz" for file in missing)
                raise FetchError(
                    "E904",
                    "The dataset cannot be downloaded",
                    expected=f"{file.name}.gz from one of its mirrors: " + "; ".join(refusals),
                    fix=f"Put {names} by hand into {folder}",
                    name=name,
                )
    return folder


def _is_right(file: File, folder: Path) -> bool:
    path = file.find(folder)
    try:
        return path is not None and file.read(path) is not None
    except FormatError:
        return False


def _fetch_file(
    file: File, mirrors: tuple[str, ...], folder: Path, watch: Watch
) -> list[str] | None:
    """Download from the first mirror with the published content, or say why each one failed."""
    from pooch import HTTPDownloader
    from requests import RequestException

    download = HTTPDownloader(chunk_size=1 << 16, timeout=TIMEOUT_SECONDS)
    refusals = []
    for mirror in mirrors:
        url = f"{mirror}{file.name}.gz"
        try:
            with files.durable(folder / f"{file.name}.gz") as target:
                try:
                    download(url, _Counted(target, url, watch), None)
                except RequestException as error:  # it is an OSError, but not an error of the disk
                    raise _Refused(_reason(error)) from error
                target.seek(0)
                file.parse(target, where=url)
            # It was unpacked, and may have the wrong content.
            (folder / file.name).unlink(missing_ok=True)
            return None
        except (FormatError, _Refused) as error:
            reason = str(error)
            refusals.append(reason if url in reason else f"{reason} ({url})")
    return refusals


class _Refused(Exception):
    """A mirror did not respond, or not with a file."""


class _Counted:
    """The file to which pooch writes. It reports the number of bytes, and stops an endless
    download."""

    def __init__(self, target: BinaryIO, url: str, watch: Watch) -> None:
        self._target, self._url, self._watch = target, url, watch
        self._n_bytes = 0

    def write(self, part: bytes) -> None:
        self._n_bytes += len(part)
        if self._n_bytes > MAX_BYTES:
            raise _Refused(f"More than {MAX_BYTES} bytes")
        self._target.write(part)
        self._watch(self._url, self._n_bytes)

    def flush(self) -> None:
        """Called by pooch after each part. `durable` flushes once, at the end."""


def _reason(error: Exception) -> str:
    """A short reason, because the messages of urllib3 are very long."""
    from requests import HTTPError, Timeout
    from requests.exceptions import ChunkedEncodingError

    if isinstance(error, HTTPError) and error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    if isinstance(error, ChunkedEncodingError):
        return "Ended before its end"
    return "No answer in time" if isinstance(error, Timeout) else "No connection"
