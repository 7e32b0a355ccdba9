"""How a network wants images that lie in [0, 1]: a declared scale and offset, or a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# ImageNet channel statistics that keras.applications uses, for pixels in [0, 1] (torch mode) and
# in [0, 255] with blue first (caffe mode).
_TORCH_MEAN, _TORCH_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_CAFFE_MEAN_BLUE_FIRST = np.array([103.939, 116.779, 123.68])


@dataclass(frozen=True)
class Preprocessing:
    """``scale * images + offset``, channels reversed first if asked, or a Keras layer."""

    name: str
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    reverse_channels: bool = False
    layer: keras.Layer | None = None

    def apply(self, images: tf.Tensor) -> tf.Tensor:
        """Map images (batch, height, width, channels) in [0, 1] to the network's input."""
        if self.layer is not None:
            return self.layer(images)
        if self.name == "unit":
            return images
        images = tf.reverse(images, [-1]) if self.reverse_channels else images
        return images * tf.constant(self.scale, tf.float32) + tf.constant(self.offset, tf.float32)

    def describe(self) -> Any:
        """A form that JSON can hold and `as_preprocessing` can read again."""
        if self.layer is not None:
            return {"layer": self.layer.get_config()}
        return [list(self.scale), list(self.offset)] if self.name == "affine" else self.name


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


def as_preprocessing(value: Any, model: keras.Model) -> Preprocessing:
    """Read the `preprocessing` argument of `Classifier`."""
    if isinstance(value, Preprocessing):
        return value
    if isinstance(value, keras.Layer):
        return Preprocessing("layer", layer=value)
    if isinstance(value, str) and value == "auto":
        return NAMED["bytes" if _divides_by_255(model) else "unit"]
    if isinstance(value, str) and value in NAMED:
        return NAMED[value]
    if isinstance(value, list | tuple) and len(value) == 2:
        scale, offset = (tuple(np.atleast_1d(part).astype(float).tolist()) for part in value)
        return Preprocessing("affine", scale, offset)
    raise ValueError(
        f"`preprocessing` must be 'auto', {', '.join(map(repr, NAMED))}, a pair (scale, offset) "
        f"or a Keras layer. Received: {value!r}."
    )


def _divides_by_255(model: keras.Model) -> bool:
    """Whether the model itself begins by bringing 0..255 down to about one."""
    for layer in getattr(model, "layers", [])[:4]:
        is_small = isinstance(layer, keras.layers.Rescaling) and np.max(layer.scale) <= 1 / 64
        if is_small or isinstance(layer, keras.layers.Normalization):
            return True
    return False
