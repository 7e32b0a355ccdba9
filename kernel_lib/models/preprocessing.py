"""How a network wants images that lie in [0, 1]: a declared scale and offset, or a layer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# ImageNet channel statistics that keras.applications uses, for pixels in [0, 1] (torch mode) and
# in [0, 255] with blue first (caffe mode).
_TORCH_MEAN, _TORCH_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_CAFFE_MEAN_BLUE_FIRST = np.array([103.939, 116.779, 123.68])

# Scale and offset: one number, one a channel, or one a pixel and channel (a mean image).
Numbers = tuple[float, ...] | np.ndarray


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """``scale * images + offset``, channels reversed first if asked, or a Keras layer.

    Attributes:
        name: one of `NAMED`, "affine", "mean_image" or "layer".
        scale: what images in [0, 1] are multiplied by.
        offset: what is then added.
        reverse_channels: whether blue comes first.
        layer: a Keras layer that does it all.
        whole_numbers: whether the result is rounded, as networks whose input is of a whole-number
            type want it; the gradient passes as if it were not.
    """

    name: str
    scale: Numbers = (1.0,)
    offset: Numbers = (0.0,)
    reverse_channels: bool = False
    layer: keras.Layer | None = None
    whole_numbers: bool = False

    def apply(self, images: tf.Tensor) -> tf.Tensor:
        """Map images (batch, height, width, channels) in [0, 1] to the network's input."""
        values = self._apply(images)
        return _rounded(values) if self.whole_numbers else values

    def _apply(self, images: tf.Tensor) -> tf.Tensor:
        if self.layer is not None:
            return self.layer(images)
        if self.name == "unit":
            return images
        images = tf.reverse(images, [-1]) if self.reverse_channels else images
        return images * tf.constant(self.scale, tf.float32) + tf.constant(self.offset, tf.float32)

    @property
    def is_image(self) -> bool:
        """Whether each pixel has a scale and an offset of its own."""
        return self.name == "mean_image"

    def describe(self) -> Any:
        """A form that JSON can hold and `as_preprocessing` can read again.

        A layer is described by its settings, a mean image by a digest of its content: these two
        can be told apart by it, not made again from it.
        """
        if self.layer is not None:
            return {"layer": self.layer.get_config()}
        if self.is_image:
            return {"mean_image": self._digest(), "shape": list(np.shape(self.offset))}
        if self.name != "affine":
            return self.name
        scale, offset = list(self.scale), list(self.offset)
        if self.reverse_channels:
            return {"scale": scale, "offset": offset, "reverse_channels": True}
        return [scale, offset]

    def _digest(self) -> str:
        content = hashlib.blake2b(bytes(self.reverse_channels), digest_size=16)
        for part in (self.scale, self.offset):
            content.update(np.asarray(part, np.float32).tobytes())
        return content.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Preprocessing) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, bool]:
        return json.dumps(self.describe(), default=str), self.whole_numbers


@tf.custom_gradient
def _rounded(values: tf.Tensor) -> tuple[tf.Tensor, Any]:
    # A cast to whole numbers cuts 254.99998 down to 254; rounding first does not.
    return tf.round(values), lambda slope: slope


NAMED = {
    "unit": Preprocessing("unit"),
    "symmetric": Preprocessing("symmetric", (2.0,), (-1.0,)),
    "bytes": Preprocessing("bytes", (255.0,)),
    "imagenet_torch": Preprocessing(
        "imagenet_torch", tuple(1 / _TORCH_STD), tuple(-_TORCH_MEAN / _TORCH_STD)
    ),
    "imagenet_caffe": Preprocessing(
        "imagenet_caffe", (255.0,), tuple(-_CAFFE_MEAN_BLUE_FIRST), reverse_channels=True
    ),
}

# The modes of keras.applications' preprocess_input.
ALIASES = {"tf": "symmetric", "torch": "imagenet_torch", "caffe": "imagenet_caffe"}
