"""Random moves of training images: crops, flips and small turns, each image its own.

Every move is a choice of source pixels, so masks and other maps of the images can be moved by the
very same choice. What comes from outside the image is 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kernel_lib.data import ImageSet

# As the Model Doctor's authors train on these image sets; but digits are not mirrored, and photos
# not turned upside down.
OF_IMAGE_SETS = {
    "mnist": "crop2",
    "mnist5k": "crop2",
    "fashion_mnist": "crop2_flip",
    "cifar10": "crop4_flip",
    "cifar100": "crop4_flip_rotate15",
    "stl10": "flip",
}
_WORD = re.compile(r"crop(?P<crop>[1-9]\d*)|(?P<flip>flip)|rotate(?P<rotate>\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Augmentation:
    """What happens to each training image, in this order.

    Attributes:
        crop: pixels added on each side, before a window of the old size is cut out at random.
        flip: whether half of the images are mirrored, left to right.
        rotate: largest turn in degrees, either way; the nearest pixel is taken.
    """

    crop: int = 0
    flip: bool = False
    rotate: float = 0.0

    @property
    def recipe(self) -> str:
        """The name that `augmentation` understands, such as "crop4_flip"."""
        words = [f"crop{self.crop}"] * bool(self.crop) + ["flip"] * self.flip
        return "_".join(words + [f"rotate{self.rotate:g}"] * bool(self.rotate))

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Move a batch (num_images, height, width, channels); see `kernel_lib.models.train`."""
        return self.moved(seed, images)[0]

    def moved(self, seed: tf.Tensor, *stacks: tf.Tensor) -> list[tf.Tensor]:
        """Move several stacks of maps alike.

        Args:
            seed: int32 (2,), names what is drawn.
            *stacks: (num_images, height, width) or (num_images, height, width, channels) each.
        """
        count, height, width = tf.unstack(tf.shape(stacks[0])[:3])
        source, inside = self._sources(count, height, width, seed)
        return [_taken(stack, source, inside) for stack in stacks]

    def _sources(
        self, count: tf.Tensor, height: tf.Tensor, width: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Where each pixel comes from, and whether that is inside the image, (n, h, w) both."""
        draws = tf.random.stateless_uniform([4, count, 1, 1], seed)
        x, y = tf.meshgrid(tf.range(width), tf.range(height))
        x, y = x[None], y[None]  # (1, h, w)
        inside = tf.ones([count, height, width], tf.bool)
        # From the last move back to the first.
        if self.rotate:
            angle = (2 * draws[0] - 1) * (self.rotate * np.pi / 180)
            x, y = _turned(x, y, angle, width, height)
            inside &= _is_inside(x, y, width, height)
        if self.flip:
            x = tf.where(draws[1] < 0.5, width - 1 - x, x)
        if self.crop:
            right, down = (
                tf.cast(draws[i] * (2 * self.crop + 1), tf.int32) - self.crop for i in (2, 3)
            )
            x, y = x + right, y + down
            inside &= _is_inside(x, y, width, height)
        source = tf.clip_by_value(y, 0, height - 1) * width + tf.clip_by_value(x, 0, width - 1)
        return tf.broadcast_to(source, tf.shape(inside)), inside


def augmentation(name: Any, images: ImageSet) -> Any:
    """The augmentation of that name; a function, and None for "none", pass.

    Args:
        name: "none"; "auto" for what the authors of the Model Doctor do on the image set, and
            nothing on others; or words joined by "_": "crop4" pads by 4 pixels and crops, "flip"
            mirrors half of the images, "rotate15" turns by up to 15 degrees.
        images: what is to be moved.

    Raises:
        ValueError: an unknown name, or a crop as wide as the image.
    """
    if not isinstance(name, str):
        if name is None or callable(name):
            return name
        raise TypeError(
            "`augment` must be a name such as 'crop4_flip', or a function (images, seed) -> "
            f"images. Received: {type(name).__name__}."
        )
    name = OF_IMAGE_SETS.get(images.name, "none") if name == "auto" else name
    return None if name == "none" else _checked(_parsed(name), images)


def _parsed(name: str) -> Augmentation:
    words = [_WORD.fullmatch(word) for word in name.split("_")]
    found = {word.lastgroup: word[word.lastgroup] for word in words if word and word.lastgroup}
    if len(found) < len(words):
        raise ValueError(
            "`augment` must be 'none', 'auto', or words such as 'crop4', 'flip' and 'rotate15' "
            f"joined by '_'. Received: augment={name!r}."
        )
    return Augmentation(int(found.get("crop", 0)), "flip" in found, float(found.get("rotate", 0)))


def _checked(found: Augmentation, images: ImageSet) -> Augmentation:
    if found.crop >= min(images.image_shape[:2]):
        raise ValueError(
            f"A crop by {found.crop} pixels can leave nothing of images of "
            f"{images.image_shape[0]}x{images.image_shape[1]}. Received: augment={found.recipe!r}."
        )
    return found


def _turned(
    x: tf.Tensor, y: tf.Tensor, angle: tf.Tensor, width: tf.Tensor, height: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The pixels that a clockwise turn around the middle brings to x and y."""
    middle_x, middle_y = ((tf.cast(size, tf.float32) - 1) / 2 for size in (width, height))
    right, down = tf.cast(x, tf.float32) - middle_x, tf.cast(y, tf.float32) - middle_y
    cosine, sine = tf.cos(angle), tf.sin(angle)
    old_x = cosine * right + sine * down + middle_x
    old_y = cosine * down - sine * right + middle_y
    return tf.cast(tf.round(old_x), tf.int32), tf.cast(tf.round(old_y), tf.int32)


def _is_inside(x: tf.Tensor, y: tf.Tensor, width: tf.Tensor, height: tf.Tensor) -> tf.Tensor:
    return (x >= 0) & (x < width) & (y >= 0) & (y < height)


def _taken(stack: tf.Tensor, source: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
    """Each pixel's source, 0 or False where that lies outside."""
    shape = tf.shape(stack)
    pixels = tf.reshape(stack, [shape[0], shape[1] * shape[2], -1])
    flat = tf.reshape(source, [shape[0], -1])
    found = tf.gather(pixels, flat, axis=1, batch_dims=1)
    found = tf.where(tf.reshape(inside, [shape[0], -1, 1]), found, tf.zeros_like(found))
    moved = tf.reshape(found, shape)
    moved.set_shape(stack.shape)
    return moved
