"""Features of photos: computed once by ONNX Runtime on all cores, kept while they are needed."""

from collections.abc import Iterator
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

AT_ONCE = 256
"""Photos whose features are computed, told of and written down together."""


@dataclass(eq=False)
class PhotoFeatures:
    """The features of the rows of one dataset, each computed once.

    Attributes:
      folder: Where they are written down, so that others, or a resumed training, find them; None:
        in memory alone.
      listener: Is told how many are done.
    """

    folder: Path | None = None
    listener: Listener = field(default_factory=Listener)
    _known: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    def of(
        self, images: AnyImages, rows: NDArray[np.int64], accepted: ImageInput
    ) -> NDArray[np.float32]:
        """The features (n, 1280) of some rows of all `images`; those of other rows stay unseen."""
        if not self._known:
            self._read()
        missing = np.array([row for row in rows.tolist() if row not in self._known], np.int64)
        if missing.size:
            n_known = len(rows) - len(missing)
            for done, part in self._computed(images, missing, accepted):
                self.listener.progress(n_known + done, len(rows))
                self._write(part)
                self._known |= part
        return np.stack([self._known[row] for row in rows.tolist()])

    def _computed(
        self, images: AnyImages, rows: NDArray[np.int64], accepted: ImageInput
    ) -> Iterator[tuple[int, dict[int, NDArray[np.float32]]]]:
        """Features by row, a part after the other, and how many are done.

        A photo at a time and each on one thread: so its features depend neither on the others nor
        on how many threads there are, and it is the fastest way (`python -m bench.photos`).
        """
        session = open_session(accepted)

        def features(image: NDArray[np.uint8]) -> NDArray[np.float32]:
            found: NDArray[np.float32] = session.run(None, {accepted.name: image[None]})[0][0]
            return found

        with ThreadPoolExecutor(usable_cores()) as threads:
            for start in range(0, len(rows), AT_ONCE):
                part = rows[start : start + AT_ONCE]
                found = threads.map(features, np.asarray(images[part]))
                yield start + len(part), dict(zip(part.tolist(), found, strict=True))

    def _read(self) -> None:
        """Take what an earlier process wrote down."""
        if self.folder is None:
            return
        with files.os_errors("read", self.folder):
            paths = sorted(self.folder.glob("features-*.npz"))
            for path in paths:
                with np.load(path, allow_pickle=False) as stored:
                    self._known |= dict(
                        zip(stored["rows"].tolist(), stored["features"], strict=True)
                    )

    def _write(self, part: dict[int, NDArray[np.float32]]) -> None:
        if self.folder is None:
            return
        with files.os_errors("create", self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with files.durable(self.folder / f"features-{min(part):08}.npz") as file:
            np.savez(file, rows=np.array(list(part)), features=np.stack(list(part.values())))


def open_session(accepted: ImageInput, n_threads: int = 1) -> Any:
    """The network alone, as it stands in model files, opened by ONNX Runtime."""
    from onnx import helper

    front = photo_front(accepted)
    end = helper.make_tensor_value_info(front.output, TensorProto.FLOAT, ["n", N_FEATURES])
    graph = helper.make_graph(front.nodes, "features", front.inputs, [end], front.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = n_threads, 1
    content = model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
