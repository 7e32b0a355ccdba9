"""The registry of explanation methods.

A method takes an `Explainer` and returns raw signed maps, (n, h, w, c) or (n, h, w, 1). Flags say
what a reader must know: whether noise is drawn, whether the image itself is multiplied in, whether
the network is looked at at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from kernel_lib._checks import check_choice, check_count
from kernel_lib._progress import shows_progress
from kernel_lib._random import random_stream
from kernel_lib.models.classifier import as_classifier
from kernel_lib.network.compiled import fitting_batch_size
from kernel_lib.saliency import cams
from kernel_lib.saliency.explainer import Explainer, Options


@dataclass(frozen=True)
class Method:
    """An explanation method.

    Attributes:
        name: how code and tables name it.
        title: how figures name it.
        compute: explainer -> raw maps.
        stochastic: draws noise, so even the trained network does not repeat its map exactly.
        input_multiplied: multiplies the image in, so its edges show whatever the weights.
        needs_convolution: reads feature maps.
        model_independent: never looks at the network: a control.
        changes_each_step: draws anew at each step of a cascade: the control for "no similarity".
    """

    name: str
    title: str
    compute: Callable[[Explainer], np.ndarray]
    stochastic: bool = False
    input_multiplied: bool = False
    needs_convolution: bool = False
    model_independent: bool = False
    changes_each_step: bool = False

    @property
    def is_control(self) -> bool:
        """Whether the method is a yardstick rather than an explanation."""
        return self.model_independent or self.changes_each_step

    @property
    def flags(self) -> list[str]:
        """What figures print beside the title."""
        notes = {
            "control": self.is_control,
            "stochastic": self.stochastic and not self.is_control,
            "x input": self.input_multiplied,
        }
        return [note for note, holds in notes.items() if holds]


METHODS: dict[str, Method] = {}


def register(name: str, title: str, **flags: bool) -> Callable:
    """Add a function `explainer -> maps` to the registry under `name`.

    Example:
        >>> @register("gradient_sign", "Sign of the gradient")
        ... def gradient_sign(explainer):
        ...     return np.sign(explainer.gradient)
    """

    def add(compute: Callable[[Explainer], np.ndarray]) -> Callable[[Explainer], np.ndarray]:
        METHODS[name] = Method(name, title, compute, **flags)
        return compute

    return add


def methods() -> list[str]:
    """Names of all explanation methods, controls last."""
    return sorted(METHODS, key=lambda name: METHODS[name].is_control)


def as_method(method: str | Method | Callable) -> Method:
    """Look a method up by name, or wrap a callable (classifier, images, targets) -> maps."""
    if isinstance(method, Method):
        return method
    if callable(method):
        name = getattr(method, "__name__", type(method).__name__)
        return Method(name, name.replace("_", " "), lambda e: _call(method, name, e))
    return METHODS[check_choice("method", method, METHODS)]


def _call(method: Callable, name: str, explainer: Explainer) -> np.ndarray:
    maps = np.asarray(method(explainer.classifier, explainer.images, explainer.targets))
    if maps.shape[:3] != explainer.images.shape[:3]:
        raise ValueError(
            f"The method {name!r} must return one map for each image, shape (num_images, height, "
            f"width[, channels]) = {explainer.images.shape}. Received: {maps.shape}."
        )
    return maps


@shows_progress
def explain(
    model: Any,
    x: np.ndarray,
    target: np.ndarray | Sequence[int] | int | None = None,
    method: str | Callable = "gradient",
    *,
    options: Options | None = None,
    batch_size: int | None = None,
    backend: str = "kernel_lib",
) -> np.ndarray:
    """Explanation maps of images.

    Args:
        model: a Keras model or a `Classifier`.
        x: images (num_images, height, width, channels) in [0, 1].
        target: the class explained: one an image, one for all, or None for the predicted class.
        method: a name from `methods()`, or a callable (classifier, images, targets) -> maps.
        options: see `Options`.
        batch_size: images, noisy copies or path steps in memory at once; None fits the image size
            and the network.
        backend: "kernel_lib", or "tf_keras_vis" for the methods that library has.

    Returns:
        Raw signed maps (num_images, height, width, channels), or with one channel for class
        activation maps; float32.

    Raises:
        ValueError: unknown method, wrong images or classes, no convolution for an activation map.
    """
    classifier = as_classifier(model)
    images = classifier.check_images(x)
    targets = classifier.check_targets(target, images)
    fitting = fitting_batch_size(images.shape[1:], classifier.network)
    size = check_count("batch_size", batch_size or fitting)
    explainer = Explainer(classifier, images, targets, options or Options(), size)
    if check_choice("backend", backend, ("kernel_lib", "tf_keras_vis")) == "tf_keras_vis":
        from kernel_lib.saliency.tf_keras_vis_backend import explain_with_tf_keras_vis

        return explain_with_tf_keras_vis(explainer, method)
    return as_method(method).compute(explainer).astype(np.float32)


# --- methods of the gradient family --------------------------------------------------------------


@register("gradient", "Gradient")
def _gradient(explainer: Explainer) -> np.ndarray:
    """d S_c / dx (Simonyan et al. 2014)."""
    return explainer.gradient


@register("input_times_gradient", "Input x gradient", input_multiplied=True)
def _input_times_gradient(explainer: Explainer) -> np.ndarray:
    """x * d S_c / dx (Shrikumar et al. 2016)."""
    return explainer.images * explainer.gradient


@register("smoothgrad", "SmoothGrad", stochastic=True)
def _smoothgrad(explainer: Explainer) -> np.ndarray:
    """Mean gradient over noisy copies, signed (Smilkov et al. 2017)."""
    return explainer.noisy_moments[0]


@register("vargrad", "VarGrad", stochastic=True)
def _vargrad(explainer: Explainer) -> np.ndarray:
    """Variance of the gradient over noisy copies (Adebayo et al. 2018b)."""
    mean, square = explainer.noisy_moments
    return np.maximum(square - mean**2, 0)


@register("integrated_gradients", "Integrated gradients", input_multiplied=True)
def _integrated_gradients(explainer: Explainer) -> np.ndarray:
    """(x - b) * mean gradient on the straight path (Sundararajan et al. 2017)."""
    return explainer.integrated_gradients


@register(
    "integrated_gradients_smoothgrad",
    "Integrated gradients + SmoothGrad",
    stochastic=True,
    input_multiplied=True,
)
def _integrated_gradients_smoothgrad(explainer: Explainer) -> np.ndarray:
    """Mean over noisy copies of their integrated gradients."""
    return explainer.noisy_integrated_gradients


@register("guided_backprop", "Guided backprop")
def _guided_backprop(explainer: Explainer) -> np.ndarray:
    """Gradient through ReLUs that pass back positive signals only (Springenberg et al. 2015)."""
    return explainer.guided_gradient


# --- class activation maps -----------------------------------------------------------------------


@register("gradcam", "Grad-CAM", needs_convolution=True)
def _gradcam(explainer: Explainer) -> np.ndarray:
    return explainer.upsampled(cams.gradcam(*explainer.tap_reading))


@register("gradcam_plus_plus", "Grad-CAM++", needs_convolution=True)
def _gradcam_plus_plus(explainer: Explainer) -> np.ndarray:
    return explainer.upsampled(cams.gradcam_plus_plus(*explainer.tap_reading))


@register("layercam", "Layer-CAM", needs_convolution=True)
def _layercam(explainer: Explainer) -> np.ndarray:
    return explainer.upsampled(cams.layercam(*explainer.tap_reading))


@register("guided_gradcam", "Guided Grad-CAM", needs_convolution=True)
def _guided_gradcam(explainer: Explainer) -> np.ndarray:
    """Guided backprop times upsampled Grad-CAM (Selvaraju et al. 2017)."""
    return explainer.guided_gradient * _gradcam(explainer)


@register("scorecam", "Score-CAM", needs_convolution=True)
def _scorecam(explainer: Explainer) -> np.ndarray:
    maps, _ = explainer.tap_reading
    found = cams.scorecam(
        explainer.classifier.network,
        explainer.images,
        explainer.targets,
        maps,
        explainer.batch_size,
        explainer.options.scorecam_channels,
    )
    return explainer.upsampled(found)


# --- controls ------------------------------------------------------------------------------------


@register("edge_detector", "Edge detector", model_independent=True)
def _edge_detector(explainer: Explainer) -> np.ndarray:
    """Sobel magnitude of the grey image: what an explanation looks like that ignores the model."""
    grey = explainer.images.mean(axis=-1, dtype=np.float64)
    # Image by image: `sobel` smooths along all other axes, and the first one counts the images.
    return np.stack([np.hypot(ndimage.sobel(one, 0), ndimage.sobel(one, 1)) for one in grey])[
        ..., None
    ]


@register(
    "input_times_random",
    "Input x random",
    stochastic=True,
    input_multiplied=True,
    changes_each_step=True,
)
def _input_times_random(explainer: Explainer) -> np.ndarray:
    """x * u, u fresh noise: the floor for any method that multiplies the image in."""
    return explainer.images * _fresh_noise(explainer, "input times random")


@register("random_map", "Random map", stochastic=True, changes_each_step=True)
def _random_map(explainer: Explainer) -> np.ndarray:
    """Fresh noise: what a map that has nothing in common looks like."""
    return _fresh_noise(explainer, "random map")


def _fresh_noise(explainer: Explainer, purpose: str) -> np.ndarray:
    shape = explainer.images.shape[1:]
    return np.stack(
        [
            random_stream(words).standard_normal(shape, np.float32)
            for words in explainer.noise_streams(purpose)
        ]
    )


DEFAULT_METHODS = (
    "gradient",
    "smoothgrad",
    "input_times_gradient",
    "integrated_gradients",
    "guided_backprop",
    "gradcam",
    "guided_gradcam",
)
CONTROLS = ("edge_detector", "input_times_random", "random_map")
