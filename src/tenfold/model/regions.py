"""Which regions of a photo spoke for a label: class activation maps.

The features of a photo are means of the last maps of the network that sees it, and a label's logit
is a weighted sum of them. So each place of the maps has a share of the logit.

Source: Zhou et al. 2016, arXiv:1512.04150, section 2.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.onnx_file import ModelProto, NodeProto, ValueInfoProto, to_array


class Regions:
    """The shares of the regions of photos, of a model whose answer is a weighted sum of means."""

    def __init__(self, proto: ModelProto, pool: NodeProto, kernel: str) -> None:
        """Of the graph of such a model, its pooling and the name of the weights behind it."""
        (weights,) = (to_array(one) for one in proto.graph.initializer if one.name == kernel)
        # Only differences between labels decide, for a softmax follows.
        self._weights = weights - weights.mean(axis=1, keepdims=True)
        self._input = proto.graph.input[0].name
        del proto.graph.output[:]
        maps = ValueInfoProto(name=pool.input[0])
        proto.graph.output.append(maps)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        content, providers = proto.SerializeToString(), ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(content, options, providers=providers)

    @classmethod
    def open(cls, path: Path) -> "Regions | None":
        """Those of a checked model file, or of the one in a run folder; None where its answer is
        no such sum."""
        path = path / "model.onnx" if path.is_dir() else path
        with files.os_errors("open", path):
            proto = ModelProto.FromString(path.read_bytes())
        made_by = {name: node for node in proto.graph.node for name in node.output}
        for node in proto.graph.node:
            flat = made_by.get(node.input[0]) if node.op_type == "Gemm" else None
            pool = made_by.get(flat.input[0]) if flat is not None else None
            if pool is not None and pool.op_type == "GlobalAveragePool":
                return cls(proto, pool, node.input[1])
        return None

    def of(self, image: NDArray[np.uint8], code: int) -> NDArray[np.float32]:
        """What each region of a picture adds to the logit of a label, against the mean of all.

        The picture is one as the model accepts it, the regions are those of the square in its
        middle: float32 (7, 7). They sum to the difference of the logits, but for the constants.
        """
        feed: Any = {self._input: image[None]}
        ((maps,),) = self._session.run(None, feed)
        shares = np.tensordot(self._weights[:, code], maps, 1) / maps[0].size
        return np.asarray(shares, np.float32)
