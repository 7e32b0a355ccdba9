"""Explanation maps of one batch of images, under whatever weights the network holds now."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from kernel_lib._checks import check_choice, check_count, check_number
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import in_batches
from kernel_lib.saliency import cams
from kernel_lib.saliency.guided import guided_gradient_function
from kernel_lib.saliency.points import (
    NoisyPoints,
    PathPoints,
    gradient_moments,
    noisy_path_moments,
    path_shares,
)


@dataclass(frozen=True)
class Options:
    """How the methods are run. The defaults are the published settings where they are sound.

    Attributes:
        smoothgrad_samples: noisy copies an image, for SmoothGrad and VarGrad.
        smoothgrad_spread: noise standard deviation as a share of the image's range.
        path_steps: steps of integrated gradients.
        path_rule: "midpoint", or "pair" (both ends counted, as PAIR's code does).
        noisy_path_samples: noisy copies of integrated gradients with SmoothGrad.
        baseline: pixel value at the start of the path; 0 is black.
        tap: where class activation maps are read; None for the last map before pooling.
        scorecam_channels: most varied channels that Score-CAM keeps; None keeps all.
        seed: seed of the noise.
        noise_draw: another number gives other noise for the same seed.
    """

    smoothgrad_samples: int = 50
    smoothgrad_spread: float = 0.15
    path_steps: int = 50
    path_rule: str = "midpoint"
    noisy_path_samples: int = 25
    baseline: float = 0.0
    tap: str | None = None
    scorecam_channels: int | None = None
    seed: int = 0
    noise_draw: int = 0

    def __post_init__(self) -> None:
        for name in ("smoothgrad_samples", "path_steps", "noisy_path_samples"):
            check_count(name, getattr(self, name))
        check_number("smoothgrad_spread", self.smoothgrad_spread, 0)
        check_number("baseline", self.baseline, 0, 1)
        check_choice("path_rule", self.path_rule, ("midpoint", "pair"))


@dataclass
class Explainer:
    """What explanation methods are made of. Each ingredient is computed once and shared.

    An explainer belongs to one state of the weights: make a new one after changing them.

    Attributes:
        classifier: the network.
        images: (num_images, height, width, channels) float32 in [0, 1].
        targets: (num_images,) int32, the class whose logit is explained.
        options: how to run the methods.
        batch_size: images, noisy copies or path steps in memory at once.
    """

    classifier: Classifier
    images: np.ndarray
    targets: np.ndarray
    options: Options = field(default_factory=Options)
    batch_size: int = 128

    # --- ingredients ---------------------------------------------------------------------------

    @cached_property
    def gradient(self) -> np.ndarray:
        """Gradient of the target logit at each image, (n, h, w, c)."""
        function = self.classifier.network.image_gradient_function()
        return in_batches(function, self.batch_size, self.images, self.targets)[0]

    @cached_property
    def guided_gradient(self) -> np.ndarray:
        """Guided gradient at each image, (n, h, w, c)."""
        function = guided_gradient_function(self.classifier.network)
        return in_batches(function, self.batch_size, self.images, self.targets)[0]

    @cached_property
    def noisy_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and mean square of the gradient over noisy copies."""
        return gradient_moments(
            self.classifier.network.image_gradient_function(),
            self.targets,
            self.noisy_points("smoothgrad", self.options.smoothgrad_samples),
            self.images.shape,
            self.batch_size,
            with_squares=True,
        )

    @cached_property
    def integrated_gradients(self) -> np.ndarray:
        """(x - b) times the mean gradient between b and x."""
        options = self.options
        shares = path_shares(options.path_steps, options.path_rule)
        mean, _ = gradient_moments(
            self.classifier.network.image_gradient_function(),
            self.targets,
            PathPoints(self.images, self.baseline, shares),
            self.images.shape,
            self.batch_size,
        )
        return (self.images - self.baseline) * mean

    @cached_property
    def noisy_integrated_gradients(self) -> np.ndarray:
        """Mean over noisy copies of their integrated gradients."""
        options = self.options
        return noisy_path_moments(
            self.classifier.network.image_gradient_function(),
            self.targets,
            self.noisy_points("noisy path", options.noisy_path_samples),
            self.baseline,
            path_shares(options.path_steps, options.path_rule),
            self.batch_size,
        )

    @cached_property
    def tap_reading(self) -> tuple[np.ndarray, np.ndarray]:
        """Feature maps at the tap and the gradient of the target logit there."""
        function = self.classifier.network.tap_gradients_function([self.tap])
        _, maps, slopes = in_batches(function, self.batch_size, self.images, self.targets)
        return maps.astype(np.float64), slopes.astype(np.float64)

    # --- helpers -------------------------------------------------------------------------------

    @cached_property
    def tap(self) -> str:
        """Name of the tap that class activation maps are read at."""
        network = self.classifier.network
        if self.options.tap is None:
            return cams.default_tap(network)
        tap = network.tap(self.options.tap)
        if not tap.is_map:
            raise ValueError(f"The tap {tap.name!r} is no feature map: its shape is {tap.shape}.")
        return tap.name

    @property
    def baseline(self) -> np.ndarray:
        """Start of the path, (n, h, w, c)."""
        return np.full_like(self.images, self.options.baseline)

    def upsampled(self, maps: np.ndarray) -> np.ndarray:
        """Bring maps (n, h, w) of the tap to the size of the images, (n, h, w, 1)."""
        return cams.upsampled(maps, self.images.shape[1:3])[..., None]

    def noisy_points(self, purpose: str, count: int) -> NoisyPoints:
        """Noisy copies of the images."""
        spread = self.options.smoothgrad_spread
        return NoisyPoints(self.images, self.noise_streams(purpose), spread, count)

    def noise_streams(self, purpose: str) -> list[list[int]]:
        """Seed words of each image's own noise, by its content: order and batch do not matter."""
        common = [self.options.seed, self.options.noise_draw, zlib.crc32(purpose.encode())]
        return [[*common, zlib.crc32(image.tobytes())] for image in self.images]
