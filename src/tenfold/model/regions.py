"""The regions of a picture that support a label, by class activation maps or by occlusion."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.onnx_file import ModelProto, NodeProto, ValueInfoProto, to_array
from tenfold.model.model import Model


class Spoken(Protocol):
    """Computes which regions of a picture support a label.

    Attributes:
      in_middle: Whether the regions cover only the square in the middle, or the whole picture.
    """

    in_middle: bool

    def of(self, image: NDArray[np.uint8], code: int) -> NDArray[np.float32]:
        """How much each region of a picture, in the form that the model accepts, supports a label
        (k, k)."""


def open_regions(path: Path) -> Spoken | None:
    """Make it from a checked model file, or from the one in a run folder. None if the model has
    neither means of feature maps nor convolutions, because other models do not distinguish
    regions."""
    path = path / "model.onnx" if path.is_dir() else path
    with files.os_errors("open", path):
        content = path.read_bytes()
    proto = ModelProto.FromString(content)
    if (found := Activations.in_graph(proto)) is not None:
        return found
    return Occlusion(Model(content)) if any(n.op_type == "Conv" for n in proto.graph.node) else None


class Activations:
    """Class activation maps, for a model whose logits are weighted sums of means of feature maps.

    Models of photos are of this kind: their features are the means of the last feature maps of a
    network, so that each position of the maps contributes a share of the logit.

    Source: Zhou et al. 2016, arXiv:1512.04150, section 2.
    """

    in_middle = True

    def __init__(self, proto: ModelProto, pool: NodeProto, kernel: str) -> None:
        """Use the graph of such a model, its pooling node and the name of the weights after it."""
        (weights,) = (to_array(one) for one in proto.graph.initializer if one.name == kernel)
        # Only the differences between labels matter, because a softmax follows.
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
    def in_graph(cls, proto: ModelProto) -> "Activations | None":
        """Make it from a graph. None if the logits are no such sum."""
        made_by = {name: node for node in proto.graph.node for name in node.output}
        for node in proto.graph.node:
            flat = made_by.get(node.input[0]) if node.op_type == "Gemm" else None
            pool = made_by.get(flat.input[0]) if flat is not None else None
            if pool is not None and pool.op_type == "GlobalAveragePool":
                return cls(proto, pool, node.input[1])
        return None

    def of(self, image: NDArray[np.uint8], code: int) -> NDArray[np.float32]:
        """How much each region adds to the logit of a label, compared with the mean logit of all
        labels: (7, 7).

        Except for constants, the sum over the regions is the difference between the logit and the
        mean.
        """
        feed: Any = {self._input: image[None]}
        ((maps,),) = self._session.run(None, feed)
        shares = np.tensordot(self._weights[:, code], maps, 1) / maps[0].size
        return np.asarray(shares, np.float32)


REGIONS = 7
"""The number of regions along each side, as in the feature maps of the network for photos."""


class Occlusion:
    """Occlusion, for any model of pictures: how much the score of a label falls if a region is
    covered.

    A region, with half a region around it, is covered with the median colour of the picture.

    Source: Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2.
    """

    in_middle = False

    def __init__(self, model: Model) -> None:
        self._model = model

    def of(self, image: NDArray[np.uint8], code: int) -> NDArray[np.float32]:
        """How much the logit of a label, compared with the mean logit of all labels, falls if each
        of 7 x 7 regions is covered."""
        ground = np.median(image, axis=(0, 1)).astype(np.uint8)
        height, width = image.shape[:2]
        covered = [image]
        for row in range(REGIONS):
            for column in range(REGIONS):
                one = image.copy()
                one[_span(row, height), _span(column, width)] = ground
                covered.append(one)
        probabilities: Any = self._model.answer(np.stack(covered)).outputs[0]
        logs = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))
        scores = logs[:, code] - logs.mean(axis=1)
        fallen = (scores[0] - scores[1:]).reshape(REGIONS, REGIONS)
        return np.asarray(fallen, np.float32)


def _span(number: int, side: int) -> slice:
    """The range of a region along a side, with half a region before and after it."""
    first, last = (number - 0.5) * side / REGIONS, (number + 1.5) * side / REGIONS
    return slice(max(0, round(first)), round(last))
