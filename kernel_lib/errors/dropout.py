"""Monte Carlo dropout: the sub-networks that dropout trained (Gal and Ghahramani 2016)."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from kernel_lib._progress import is_watched, progress
from kernel_lib.errors.graph import places
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import in_batches

_DROPOUTS = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)


def dropout_taps(classifier: Classifier) -> list[str]:
    """The taps where the network drops units during training."""
    return [
        name
        for name, place in places(classifier).items()
        if isinstance(place.tap.layer, _DROPOUTS) and place.tap.layer.rate > 0
    ]


def dropout_probabilities(
    classifier: Classifier, images: np.ndarray, num_passes: int, seed: int, batch_size: int
) -> np.ndarray | None:
    """Mean class probabilities over random sub-networks, (num_images, num_classes) float64.

    Each pass draws one sub-network and shows it all images, so the result depends neither on the
    order of the images nor on the batch size. None if the network has no dropout.
    """
    if not dropout_taps(classifier):
        return None
    function = _pass_function(classifier)
    total = np.zeros((len(images), classifier.num_classes))
    for number in progress(range(num_passes), "Dropout", enabled=is_watched()):
        words = tf.constant([seed, number], tf.int32)
        shares = in_batches(lambda batch, words=words: function(batch, words), batch_size, images)
        total += shares[0]
    return total / num_passes


def _pass_function(classifier: Classifier) -> Callable[..., tf.Tensor]:
    network = classifier.network
    taps = dropout_taps(classifier)

    def body(images: tf.Tensor, words: tf.Tensor) -> tf.Tensor:
        def alter(name: str, layer: keras.Operation, output: tf.Tensor) -> tf.Tensor:
            if name not in taps:
                return output
            is_spatial = not isinstance(layer, keras.layers.Dropout)
            shape = [1, *tf.unstack(tf.shape(output)[1:])]
            if is_spatial:
                shape = [1, *[1] * (output.shape.rank - 2), tf.shape(output)[-1]]
            place = tf.stack([words[0], words[1] * 1009 + taps.index(name)])
            kept = tf.random.stateless_uniform(shape, place) >= layer.rate
            return output * tf.cast(kept, output.dtype) / (1 - layer.rate)

        return tf.nn.softmax(network.forward(images, alter=alter)[0])

    signature = [network.image_spec, tf.TensorSpec((2,), tf.int32)]
    return network.function("dropout pass", body, signature)
