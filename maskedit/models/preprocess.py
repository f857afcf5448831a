"""From pictures in [0, 1] to what a network was trained on."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.types import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def resize_by_area(image: Image, size: int) -> Float[Tensor, "b 3 _ _"]:
    """The picture at ``size`` x ``size`` pixels, each the mean of the pixels that it covers."""
    height, width = image.shape[-2:]
    if (height, width) == (size, size):
        return image
    if height % size == 0 and width % size == 0:
        # The same numbers; unlike adaptive pooling's, its gradient is deterministic on CUDA.
        return F.avg_pool2d(image, (height // size, width // size))
    return F.interpolate(image, (size, size), mode="area")
