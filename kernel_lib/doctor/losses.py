"""The two constraints of the treatment (Feng et al., AAAI 2022), as pure functions.

| symbol | meaning |
|---|---|
| G_y, G_c' (n, k) | gradient strength of the true class y, of the confusing class c' |
| M (c, k) | 1 where a class relies on a channel, 0 elsewhere |
| B (n, h, w) | 1 on the background, 0 on the object |
| g_y (n, h, w, k) | gradient of the true class's score at the maps |

c' is the strongest wrong class: the second when the prediction is right, the first otherwise.
The authors' published code divides by the batch size twice (in the mean of the targets, and
again); here it is done once, so an image's share does not depend on its batch.
"""

from __future__ import annotations

import tensorflow as tf


def channel_loss(
    own: tf.Tensor, confusing: tf.Tensor, relied_own: tf.Tensor, relied_confusing: tf.Tensor
) -> tf.Tensor:
    """Mean over images of what should not support a class, channel by channel.

    L_c = 1/N sum_b [ sum_k M[c'_b, k] G_c'[b, k] + sum_k (1 - M[y_b, k]) G_y[b, k] ]: the
    confusing class on its own channels, and the true class on channels it has no use for.

    Args:
        own: G_y, (num_images, num_channels).
        confusing: G_c', (num_images, num_channels).
        relied_own: M[y], (num_images, num_channels).
        relied_confusing: M[c'], (num_images, num_channels).

    Returns:
        A scalar.
    """
    own, confusing, relied_own, relied_confusing = (
        tf.cast(value, tf.float32) for value in (own, confusing, relied_own, relied_confusing)
    )
    misplaced = relied_confusing * confusing + (1 - relied_own) * own
    return tf.reduce_mean(tf.reduce_sum(misplaced, axis=1))


def spatial_loss(slopes: tf.Tensor, background: tf.Tensor, has_mask: tf.Tensor) -> tf.Tensor:
    """Mean over images of the gradient that lies on the background.

    L_s = 1/N sum_b sum_ijk B_b[i, j] |g_y[b, i, j, k]|; images without a mask count as 0.

    Args:
        slopes: g_y, or g_y times the activation, (num_images, height, width, num_channels).
        background: share of each place that is background, (num_images, height, width).
        has_mask: 1 for images that own a mask, (num_images,).

    Returns:
        A scalar.
    """
    slopes, background, has_mask = (
        tf.cast(value, tf.float32) for value in (slopes, background, has_mask)
    )
    by_image = tf.einsum("nhwk,nhw->n", tf.abs(slopes), background)
    return tf.reduce_mean(by_image * has_mask)


def strongest_wrong(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The confusing class c' of each image, (num_images,) int32."""
    own = tf.one_hot(labels, logits.shape[-1], on_value=True, off_value=False, dtype=tf.bool)
    others = tf.where(own, logits.dtype.min, logits)
    return tf.argmax(others, axis=1, output_type=tf.int32)
