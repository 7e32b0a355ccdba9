"""Networks of keras.applications with small images let in at their own resolution.

Each is built by keras.applications and copied layer by layer with a few settings changed: strides
and poolings that a small image cannot afford. Their published form is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import layers

from kernel_lib.models.networks.blocks import Shape, dropped_halvings

# Settings that replace a layer's own, by the name of the layer.
Changes = Mapping[str, Mapping[str, Any]]

# Inception pads nothing in its stem: below this size less than 3x3 of the image is left.
_INCEPTION_SIZE = 139


def densenet121(input_shape: Shape, num_classes: int) -> keras.Model:
    """DenseNet-121, for small images with a 3x3 stem of stride 1."""
    original = _at_full_size(keras.applications.DenseNet121, input_shape, num_classes)
    stem_pad, pool_pad = (
        layer.name for layer in original.layers if isinstance(layer, layers.ZeroPadding2D)
    )
    no_pool = {pool_pad: {"padding": 0}, "pool1": {"pool_size": 1, "strides": 1}}
    stem = {stem_pad: {"padding": 1}, "conv1_conv": {"kernel_size": 3, "strides": 1}}
    changes = ({}, no_pool, no_pool | stem)[dropped_halvings(input_shape)]
    return _changed(original, changes, "densenet121", keras.Input(input_shape))


def mobilenet_v2(input_shape: Shape, num_classes: int) -> keras.Model:
    """MobileNet V2, for small images with a stem and, if need be, a first block of stride 1."""
    original = _at_full_size(keras.applications.MobileNetV2, input_shape, num_classes)
    stem = {"Conv1": {"strides": 1}}
    block = {"block_1_pad": {"padding": 1}, "block_1_depthwise": {"strides": 1}}
    changes = ({}, stem, stem | block)[dropped_halvings(input_shape)]
    return _changed(original, changes, "mobilenet_v2", keras.Input(input_shape))


def efficientnet_v2(input_shape: Shape, num_classes: int) -> keras.Model:
    """EfficientNet V2-S, for small images with a stem and a second block of stride 1."""
    original = _at_full_size(
        keras.applications.EfficientNetV2S, input_shape, num_classes, include_preprocessing=False
    )
    stem = {"stem_conv": {"strides": 1}}
    block = {"block2a_expand_conv": {"strides": 1}}
    changes = ({}, stem, stem | block)[dropped_halvings(input_shape)]
    return _changed(original, changes, "efficientnet_v2", keras.Input(input_shape))


def inception_v3(input_shape: Shape, num_classes: int) -> keras.Model:
    """Inception V3 without auxiliary head; small images are enlarged to 139 pixels inside.

    Batch normalisation is given its scale, as in torchvision.
    """
    inputs = x = keras.Input(input_shape)
    height, width, channels = input_shape
    size = max(height, _INCEPTION_SIZE), max(width, _INCEPTION_SIZE)
    if size != (height, width):
        x = layers.Resizing(*size, name="resize")(x)
    original = _original(
        keras.applications.InceptionV3, (*size, channels), num_classes, input_tensor=x
    )
    scaled = {
        layer.name: {"scale": True}
        for layer in original.layers
        if isinstance(layer, layers.BatchNormalization)
    }
    return _changed(original, scaled, "inception_v3", inputs)


def _at_full_size(
    maker: Callable[..., keras.Model], input_shape: Shape, num_classes: int, **options: Any
) -> keras.Model:
    """Build a network for images so much larger that all its halvings fit.

    Paddings are reckoned from the map sizes behind the stem: with the halvings left out, a small
    image has just the sizes there that the larger one has in the unchanged network.
    """
    height, width, channels = input_shape
    scale = 2 ** dropped_halvings(input_shape)
    return _original(maker, (scale * height, scale * width, channels), num_classes, **options)


def _original(
    maker: Callable[..., keras.Model], input_shape: Shape, num_classes: int, **options: Any
) -> keras.Model:
    return maker(
        weights=None,
        input_shape=input_shape,
        classes=num_classes,
        classifier_activation=None,
        **options,
    )


def _changed(
    model: keras.Model, changes: Changes, name: str, inputs: keras.KerasTensor
) -> keras.Model:
    """Copy a model layer by layer onto new `inputs`, with some settings changed."""
    unknown = set(changes) - {layer.name for layer in model.layers}
    if unknown:
        raise ValueError(f"{model.name!r} of this Keras version has no layers named {unknown}.")

    def copy(layer: keras.Layer) -> keras.Layer:
        return type(layer).from_config(layer.get_config() | changes.get(layer.name, {}))

    # Keras wants the new input in a list where the old one came in a list.
    tensors = [inputs] if isinstance(model.input, list) else inputs
    changed = keras.models.clone_model(model, input_tensors=tensors, clone_function=copy)
    return keras.Model(inputs, changed.output, name=name)
