"""What files of Keras 2 say that Keras 3 does not take, although it means nothing."""

from __future__ import annotations

from typing import Any

import keras

# Operations that Keras 2 wrote into a file where a function was called on a layer's output.
OPERATIONS = frozenset({"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"})


class _DepthwiseConv2D:
    """Keras 2.13 writes `groups`, always 1, into a depthwise convolution."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.layers.Layer:
        """The ordinary layer."""
        known = {name: value for name, value in config.items() if name != "groups"}
        return keras.layers.DepthwiseConv2D.from_config(known)


READERS = {"DepthwiseConv2D": _DepthwiseConv2D}
