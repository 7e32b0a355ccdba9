"""Networks by name: small ones of the papers, the Model Doctor's thirteen, keras.applications.

One module for each family. Each builder takes `(input_shape, num_classes)` and returns a Keras
model that ends in linear logits; `registry` finds it by name.
"""

from __future__ import annotations

from kernel_lib.models.networks.registry import build, names

__all__ = ["build", "names"]
