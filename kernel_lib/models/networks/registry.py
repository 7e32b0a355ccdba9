"""Build a network by its name, with initial weights that depend on the seed alone."""

from __future__ import annotations

import importlib
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kernel_lib._checks import check_choice, check_count

if TYPE_CHECKING:
    import keras

    from kernel_lib.models.classifier import Classifier


@dataclass(frozen=True)
class Entry:
    """Where the builder of a network is, and what the network expects of its images."""

    module: str
    builder: str
    preprocessing: str = "symmetric"
    min_size: int = 1


# Names and needs stand here, so that listing them does not import TensorFlow.
_NETWORKS = {
    "mlp": Entry("small", "mlp", "unit"),
    "cnn": Entry("small", "cnn", "unit", min_size=4),
    "small_cnn": Entry("small", "small_cnn", "unit", min_size=8),
    "cnn5": Entry("small", "cnn5", min_size=24),
    "vgg13_bn": Entry("vgg", "vgg13_bn", min_size=32),
    "resnet20": Entry("resnet", "resnet20", min_size=4),
    # The thirteen of the Model Doctor.
    "alexnet": Entry("alexnet", "alexnet", min_size=28),
    "vgg16": Entry("vgg", "vgg16", min_size=28),
    "resnet50": Entry("resnet", "resnet50", min_size=28),
    "wide_resnet50": Entry("resnet", "wide_resnet50", min_size=28),
    "resnext50": Entry("resnet", "resnext50", min_size=28),
    "densenet121": Entry("adapted", "densenet121", min_size=28),
    "efficientnet_v2": Entry("adapted", "efficientnet_v2", min_size=28),
    "googlenet": Entry("googlenet", "googlenet", min_size=28),
    "mobilenet_v2": Entry("adapted", "mobilenet_v2", min_size=28),
    "inception_v3": Entry("adapted", "inception_v3", min_size=28),
    "shufflenet_v2": Entry("shufflenet", "shufflenet_v2", min_size=28),
    "squeezenet": Entry("squeezenet", "squeezenet", min_size=28),
    "mnasnet": Entry("mnasnet", "mnasnet", min_size=28),
}

_APPLICATIONS = {
    **dict.fromkeys(
        [f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")], "bytes"
    ),
    **dict.fromkeys([f"DenseNet{depth}" for depth in (121, 169, 201)], "imagenet_torch"),
    **dict.fromkeys([f"EfficientNetB{size}" for size in range(8)], "bytes"),
    **dict.fromkeys(
        [f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")], "bytes"
    ),
    **dict.fromkeys(["InceptionV3", "InceptionResNetV2", "Xception"], "symmetric"),
    **dict.fromkeys(["MobileNet", "MobileNetV2", "NASNetLarge", "NASNetMobile"], "symmetric"),
    **dict.fromkeys(["MobileNetV3Large", "MobileNetV3Small"], "bytes"),
    **dict.fromkeys([f"ResNet{depth}" for depth in (50, 101, 152)], "imagenet_caffe"),
    **dict.fromkeys([f"ResNet{depth}V2" for depth in (50, 101, 152)], "symmetric"),
    **dict.fromkeys(["VGG16", "VGG19"], "imagenet_caffe"),
}
_ANY_CASE = {name.lower(): name for name in _APPLICATIONS}


def names() -> tuple[str, ...]:
    """Names that `build` and `train` know: the library's own, then those of keras.applications."""
    return (*_NETWORKS, *_APPLICATIONS)


def build(
    name: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    weights: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> Classifier:
    """Build a network by name; it ends in linear logits.

    Args:
        name: One of `names()`. The names of keras.applications are understood in any case
            ("mobilenetv2"), unless a network of the library bears that very name: "resnet50" is
            torchvision's, "ResNet50" that of keras.applications.
        input_shape: (height, width, channels) of the images.
        num_classes: Number of logits.
        weights: `None` draws initial weights from `seed`. A path loads a weights file. "imagenet"
            downloads the weights of keras.applications: with 1000 classes the whole network;
            with any other number its convolutional part, below a new linear head.
        seed: Names the initial weights. The same seed gives the same bytes, whatever was built
            before; global random state is left as it was.

    Returns:
        A `Classifier` with the preprocessing of its family.

    Raises:
        ValueError: Unknown name, images too small, weights that do not fit.
        FileNotFoundError: There is no weights file at `weights`.
        ConnectionError: The ImageNet weights cannot be downloaded.

    Example:
        >>> build("cnn", (28, 28, 1), 10).num_parameters
        3274634
    """
    from kernel_lib.models.classifier import Classifier
    from kernel_lib.models.preprocessing_choice import PreprocessingChoice, say
    from kernel_lib.models.preprocessing_forms import as_preprocessing

    name = _known_name(name)
    input_shape = _check_shape(input_shape)
    check_count("num_classes", num_classes, low=2)
    pretrained = weights == "imagenet"
    maker, preprocessing = find_builder(name, input_shape, num_classes, pretrained)
    with seeded(seed):
        model = in_fresh_names(maker)
    if weights is not None and not pretrained:
        load_weights(model, weights)
    known = as_preprocessing(preprocessing)
    evidence = f"Networks of the name {name!r} are built for {say(known)}."
    choice = PreprocessingChoice(known, "said", evidence)
    return Classifier(model, preprocessing=choice, head="logits", name=name)


def _known_name(name: str) -> str:
    if isinstance(name, str) and name not in _NETWORKS:
        name = _ANY_CASE.get(name.lower(), name)
    return check_choice("name", name, names())


def _check_shape(input_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    if len(input_shape) != 3:
        raise ValueError(
            "`input_shape` must be (height, width, channels), without the batch axis. "
            f"Received: input_shape={input_shape}."
        )
    height, width, channels = (check_count("input_shape", size) for size in input_shape)
    return height, width, channels


def find_builder(
    name: str, input_shape: tuple[int, int, int], num_classes: int, pretrained: bool = False
) -> tuple[Callable[[], keras.Model], str]:
    """Return a function that builds the network, and the name of the preprocessing it expects."""
    if name in _APPLICATIONS:
        from kernel_lib.models.networks.applications import application, preprocessing_for

        maker = partial(application, name, input_shape, num_classes, pretrained=pretrained)
        return maker, preprocessing_for(name, _APPLICATIONS[name], input_shape[-1])
    entry = _NETWORKS[name]
    if pretrained:
        raise ValueError(
            "There are ImageNet weights for the networks of keras.applications only. "
            f"Received: name={name!r}, weights='imagenet'."
        )
    if min(input_shape[:2]) < entry.min_size:
        raise ValueError(
            f"The network {name!r} needs images of at least {entry.min_size}x{entry.min_size} "
            f"pixels. Received: input_shape={input_shape}."
        )
    module = importlib.import_module(f"{__package__}.{entry.module}")
    return partial(getattr(module, entry.builder), input_shape, num_classes), entry.preprocessing


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Make what Keras draws inside depend on `seed` alone, and put the global state back after.

    Initialisers and dropout layers without a seed take one from Python's `random` when they are
    made, in the order in which they are made; their numbers then depend on that seed only.
    """
    state = random.getstate()
    random.seed(check_count("seed", seed, low=0))
    try:
        yield
    finally:
        random.setstate(state)


def in_fresh_names(maker: Callable[[], keras.Model]) -> keras.Model:
    """Build a network whose unnamed layers are numbered from zero, whatever was built before."""
    # Keras has a counter for each thread; that of a new thread starts at zero.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(maker).result()


def load_weights(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Load a weights file (`.weights.h5`, `.h5` or `.keras`) into `model`, or say what is wrong."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no weights file at {os.fspath(path)!r}.")
    try:
        model.load_weights(path)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"The weights in {os.fspath(path)!r} do not fit the network {model.name!r} with "
            f"{model.output_shape[-1]} classes: {reason}"
        ) from error
