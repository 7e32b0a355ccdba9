"""What a treatment is fed: images, the background at each place of a map, and who owns a mask."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from kernel_lib.data import ImageSet
from kernel_lib.data.labelme_draw import area_average
from kernel_lib.models.augmentation import Augmentation


class Batches:
    """Batches in an order that the seed and the epoch name, so that a stopped fit can go on.

    Args:
        images: (num_images, height, width, channels) in [0, 1].
        labels: (num_images,) class ids.
        background: (num_images, map_height, map_width), share of each place that is background.
        has_mask: (num_images,) 1 for images that own a mask.
        batch_size: images in a batch.
        seed: names the order.
        masked_share: least share of masked images in each batch; None leaves it to chance.
        augment: moves images and their masks alike; None leaves them as they are.
        masks: (num_images, height, width), True on the object, where `augment` moves them.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        background: np.ndarray,
        has_mask: np.ndarray,
        *,
        batch_size: int,
        seed: int,
        masked_share: float | None = None,
        augment: Augmentation | None = None,
        masks: np.ndarray | None = None,
    ):
        self._images, self._labels = images, labels.astype(np.int32)
        self._background = background.astype(np.float32)
        self._has_mask = has_mask.astype(np.float32)
        self._batch_size, self._seed, self._masked_share = batch_size, seed, masked_share
        self._augment, self._masks = augment, masks

    def __len__(self) -> int:
        return -(-len(self._images) // self._batch_size)

    def dataset(self, first_epoch: int, last_epoch: int) -> tf.data.Dataset:
        """All batches of these epochs one after another, for `fit` with `steps_per_epoch`."""

        def give() -> Iterator[tuple]:
            for epoch in range(first_epoch, last_epoch):
                order = self.order(epoch)
                for step, start in enumerate(range(0, len(order), self._batch_size)):
                    places = order[start : start + self._batch_size]
                    yield self.at(places, epoch * len(self) + step)

        inputs = tuple(_spec(each) for each in (self._images, self._background, self._has_mask))
        signature = (inputs, _spec(self._labels))
        return tf.data.Dataset.from_generator(give, output_signature=signature).prefetch(2)

    def at(self, places: np.ndarray, step: int | None = None) -> tuple:
        """The images at `places`, in the form that `Course` takes; moved as `step` has it."""
        inputs = (self._images[places], self._background[places], self._has_mask[places])
        if self._augment is not None and step is not None:
            inputs = self._moved(self._augment, places, step)
        return inputs, self._labels[places]

    def _moved(self, augment: Augmentation, places: np.ndarray, step: int) -> tuple:
        """Images after their random moves, and the background and masks that went with them."""
        seed = tf.constant([self._seed % 2**31, step], tf.int32)
        if self._masks is None:
            (images,) = augment.moved(seed, self._images[places])
            return images.numpy(), self._background[places], self._has_mask[places]
        images, masks = augment.moved(seed, self._images[places], self._masks[places])
        background, has_mask = _backgrounds(masks.numpy(), self._background.shape[1:])
        return images.numpy(), background, has_mask

    def order(self, epoch: int) -> np.ndarray:
        """Places of the images of one epoch, (num_images,)."""
        random = np.random.default_rng([self._seed, epoch])
        order = random.permutation(len(self._images))
        if self._masked_share is None or not self._has_mask.any():
            return order
        return _with_masked(order, self._has_mask > 0, self._batch_size, self._masked_share, random)


def _spec(array: np.ndarray) -> tf.TensorSpec:
    return tf.TensorSpec((None, *array.shape[1:]), array.dtype)


def _with_masked(
    order: np.ndarray,
    has_mask: np.ndarray,
    batch_size: int,
    share: float,
    random: np.random.Generator,
) -> np.ndarray:
    """Put masked images in place of others until every batch holds its share of them."""
    order, masked = order.copy(), np.flatnonzero(has_mask)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        others = np.flatnonzero(~has_mask[batch])
        missing = int(np.ceil(share * len(batch))) - (len(batch) - len(others))
        if missing > 0:
            batch[others[:missing]] = random.choice(masked, min(missing, len(others)))
    return order


def backgrounds(images: ImageSet, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Background share of each place of a map, and which images own a mask.

    Args:
        images: an image set; an empty mask means that there is none.
        size: (height, width) of the map.

    Returns:
        (num_images, height, width) float32 and (num_images,) float32.
    """
    shares = np.zeros((len(images), *size), np.float32)
    has_mask = np.zeros(len(images), np.float32)
    if images.masks is not None:
        for start in range(0, len(images), 256):
            part = slice(start, start + 256)
            shares[part], has_mask[part] = _backgrounds(images.masks[part], size)
    return shares, has_mask


def _backgrounds(masks: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    has_mask: np.ndarray = np.any(masks, axis=(1, 2)).astype(np.float32)
    shares = (1 - area_average(masks, *size)) * has_mask[:, None, None]
    return shares, has_mask
