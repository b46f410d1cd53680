"""Features of photos, which are computed once by ONNX Runtime on all cores, and kept while they are
needed."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.contract import ImageInput
from tenfold.core.onnx_file import TensorProto
from tenfold.core.progress import Listener
from tenfold.core.systems import usable_cores
from tenfold.data.disk_images import AnyImages
from tenfold.learners.backbone import N_FEATURES, photo_front
from tenfold.learners.views import VIEWS

AT_ONCE = 256
"""Number of photos whose features are computed, reported and stored together."""


MAX_VIEWED = 500
"""Maximum number of training photos for which mirrored and cropped views are used, too. With more
photos there are enough to fit to, and five views take five times as long as the photo."""

Seeing = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Converts a picture to the input of a network."""


@dataclass(eq=False)
class PhotoFeatures:
    """The features of the rows of one dataset, and of views of them, each computed once.

    Attributes:
      folder: The folder in which they are stored for other processes and resumed trainings. None:
        they are only in memory.
      listener: It is told how many photos are done.
    """

    folder: Path | None = None
    listener: Listener = field(default_factory=Listener)
    _known: dict[str, dict[int, NDArray[np.float32]]] = field(default_factory=dict)

    def of(
        self, images: AnyImages, rows: NDArray[np.int64], accepted: ImageInput
    ) -> NDArray[np.float32]:
        """The features (n, 1280) of some rows of `images`. Other rows are not opened."""
        return self._kept("features", _whole, images, rows, accepted)

    def are_known(self, rows: NDArray[np.int64]) -> bool:
        """Whether the features of all these rows are computed."""
        return set(rows.tolist()) <= self._known.get("features", {}).keys()

    def of_parts(
        self, images: AnyImages, parts: Sequence[NDArray[np.int64]], accepted: ImageInput
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32] | None]]:
        """Everything that a fit needs of each part, training rows first: their features, and those
        of their views if there are few training rows."""
        rows = np.sort(np.concatenate(parts))
        found = self.of(images, rows, accepted)
        views = self.of_views(images, rows, accepted) if len(parts[0]) <= MAX_VIEWED else None
        at = [np.searchsorted(rows, part) for part in parts]
        return [(found[own], None if views is None else views[own]) for own in at]

    def of_views(
        self, images: AnyImages, rows: NDArray[np.int64], accepted: ImageInput
    ) -> NDArray[np.float32]:
        """The features of each of `learners.views.VIEWS` of these rows (n, n_views, 1280)."""
        return self._kept("views", _views, images, rows, accepted)

    def _kept(
        self,
        kind: str,
        network: Callable[[ImageInput], Seeing],
        images: AnyImages,
        rows: NDArray[np.int64],
        accepted: ImageInput,
    ) -> NDArray[np.float32]:
        """The features of each image. The network is opened only if those of an image are not
        stored yet."""
        known = self._known.setdefault(kind, self._read(kind))
        missing = np.array([row for row in rows.tolist() if row not in known], np.int64)
        for done, part in _computed(network(accepted), images, missing) if missing.size else ():
            self._write(kind, part)
            known |= part
            self.listener.progress(len(rows) - len(missing) + done, len(rows))
        return np.stack([known[row] for row in rows.tolist()])

    def _read(self, kind: str) -> dict[int, NDArray[np.float32]]:
        """Read the features that an earlier process stored."""
        found: dict[int, NDArray[np.float32]] = {}
        if self.folder is None:
            return found
        with files.os_errors("read", self.folder):
            for path in sorted(self.folder.glob(f"{kind}-*.npz")):
                with np.load(path, allow_pickle=False) as stored:
                    found |= zip(stored["rows"].tolist(), stored["features"], strict=True)
        return found

    def _write(self, kind: str, part: dict[int, NDArray[np.float32]]) -> None:
        if self.folder is None:
            return
        with files.os_errors("create", self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with files.durable(self.folder / f"{kind}-{min(part):08}.npz") as file:
            np.savez(file, rows=np.array(list(part)), features=np.stack(list(part.values())))


def _whole(accepted: ImageInput) -> Seeing:
    """A function that computes the features of a photo (1280,)."""
    session = open_session(accepted)

    def features(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run(None, {accepted.name: image[None]})[0][0]
        return found

    return features


def _views(accepted: ImageInput) -> Seeing:
    """A function that computes the features of each view of a photo (n_views, 1280)."""
    sides = {view.side_px(accepted.shape) for view in VIEWS}
    square_of = {
        side: _whole(accepted.model_copy(update={"height": side, "width": side})) for side in sides
    }

    def features(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen = (view.of(image) for view in VIEWS)
        return np.stack([square_of[len(square)](square) for square in seen])

    return features


def _computed(
    features: Seeing, images: AnyImages, rows: NDArray[np.int64]
) -> Iterator[tuple[int, dict[int, NDArray[np.float32]]]]:
    """Yield features by row, in parts, and how many photos are done.

    Each photo is computed alone and on one thread. Its features then depend neither on the other
    photos nor on the number of threads, and this is also the fastest way (`python -m
    bench.photos`).
    """
    with ThreadPoolExecutor(usable_cores()) as threads:
        for start in range(0, len(rows), AT_ONCE):
            part = rows[start : start + AT_ONCE]
            found = threads.map(features, np.asarray(images[part]))
            yield start + len(part), dict(zip(part.tolist(), found, strict=True))


def open_session(accepted: ImageInput, n_threads: int = 1) -> Any:
    """Open the network without a learner behind it, as it is in model files, with ONNX Runtime."""
    from onnx import helper

    front = photo_front(accepted)
    end = helper.make_tensor_value_info(front.output, TensorProto.FLOAT, ["n", N_FEATURES])
    graph = helper.make_graph(front.nodes, "features", front.inputs, [end], front.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = n_threads, 1
    content = model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
