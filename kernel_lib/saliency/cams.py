"""Class activation maps: Grad-CAM, Grad-CAM++, Layer-CAM and Score-CAM.

Symbols: A (n, h, w, k) feature maps at the tap, G = dS/dA the gradient of the class logit there.
Each function returns maps (n, h, w) at the size of the tap; `upsampled` brings them to the image.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from kernel_lib.network.compiled import CompiledNetwork, Tap

_NO_NEW_MAP = (
    keras.layers.InputLayer,
    keras.layers.Identity,
    keras.layers.Dropout,
    keras.layers.SpatialDropout2D,
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
    keras.layers.Permute,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.Resizing,
)
_CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.Conv2DTranspose,
)


def default_tap(network: CompiledNetwork) -> str:
    """The last feature map before pooling that still has more than one pixel.

    Raises:
        ValueError: the network has no convolution.
    """
    taps = network.taps()
    first = next((i for i, tap in enumerate(taps) if isinstance(tap.layer, _CONVOLUTIONS)), None)
    if first is None:
        raise ValueError(
            "Class activation maps need a convolution; this network has none. Leave out the "
            "methods 'gradcam', 'gradcam_plus_plus', 'guided_gradcam', 'layercam', 'scorecam'."
        )
    maps = [tap for tap in taps[first:] if _is_candidate(tap)]
    if not maps:
        raise ValueError(
            "No feature map of this network has more than one pixel at this image size, so class "
            "activation maps would be constant. Use larger images or name a tap."
        )
    return maps[-1].name


def _is_candidate(tap: Tap) -> bool:
    is_wide = tap.is_map and (tap.shape[0] is None or tap.shape[0] * (tap.shape[1] or 2) > 1)
    is_model = isinstance(tap.layer, keras.Model)  # its last layer stands for it
    return is_wide and not is_model and not isinstance(tap.layer, _NO_NEW_MAP)


def gradcam(maps: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """relu(sum_k mean_ij(G_k) A_k) (Selvaraju et al. 2017, eqs. 1 and 2)."""
    weights = slopes.mean(axis=(1, 2))
    return np.maximum(np.einsum("nhwk,nk->nhw", maps, weights), 0)


def gradcam_plus_plus(maps: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """relu(sum_k w_k A_k), w_k = sum_ij alpha_ij relu(G_ij) (Chattopadhay et al. 2018, eq. 19).

    alpha = G^2 / (2 G^2 + sum_ab(A) G^3), scaled to sum to one over each map as in the published
    code. The paper's factor exp(S) multiplies a whole map and is left out.
    """
    squares = slopes**2
    below = 2 * squares + maps.sum(axis=(1, 2), keepdims=True) * squares * slopes
    alpha = squares / np.where(squares == 0, 1, np.where(below == 0, 1e-12, below))
    total = alpha.sum(axis=(1, 2), keepdims=True)
    alpha = alpha / np.where(total == 0, 1, total)
    weights = (alpha * np.maximum(slopes, 0)).sum(axis=(1, 2))
    return np.maximum(np.einsum("nhwk,nk->nhw", maps, weights), 0)


def layercam(maps: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """relu(sum_k relu(G_k) A_k) (Jiang et al. 2021, eq. 6)."""
    return np.maximum(np.einsum("nhwk,nhwk->nhw", maps, np.maximum(slopes, 0)), 0)


def scorecam(
    network: CompiledNetwork,
    images: np.ndarray,
    targets: np.ndarray,
    maps: np.ndarray,
    batch_size: int,
    max_channels: int | None = None,
) -> np.ndarray:
    """relu(sum_k softmax_c(f(x * M_k)) A_k), M_k the k-th map stretched to [0, 1] (Wang 2020).

    Args:
        max_channels: keep only the channels that vary most over each map; None keeps all.
    """
    if max_channels is not None and max_channels < maps.shape[-1]:
        spread = maps.std(axis=(1, 2))  # (n, k)
        keep = np.argsort(-spread, axis=1, kind="stable")[:, :max_channels]
        maps = np.take_along_axis(maps, keep[:, None, None, :], axis=-1)
    result = np.empty(maps.shape[:3])
    for index, (image, target) in enumerate(zip(images, targets, strict=True)):
        masks = _stretched_masks(maps[index], images.shape[1:3])  # (k, height, width)
        scores = np.concatenate(
            [
                _class_share(network, image * masks[start : start + batch_size, ..., None], target)
                for start in range(0, len(masks), batch_size)
            ]
        )
        result[index] = np.maximum(maps[index] @ scores, 0)
    return result


def _stretched_masks(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    masks = upsampled(maps.transpose(2, 0, 1), size)
    low, high = masks.min(axis=(1, 2), keepdims=True), masks.max(axis=(1, 2), keepdims=True)
    return ((masks - low) / np.where(high > low, high - low, 1)).astype(np.float32)


def _class_share(network: CompiledNetwork, images: np.ndarray, target: int) -> np.ndarray:
    logits = network.logits_function()(tf.constant(images, tf.float32))
    return tf.nn.softmax(logits)[:, target].numpy().astype(np.float64)


def upsampled(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize maps (n, h, w) bilinearly, pixel centres at half pixels, to (n, *size)."""
    rows = _interpolation(maps.shape[1], size[0])
    columns = _interpolation(maps.shape[2], size[1])
    return np.einsum("Hh,nhw,Ww->nHW", rows, maps, columns, optimize=True)


def _interpolation(source: int, target: int) -> np.ndarray:
    """Matrix (target, source) of linear interpolation between pixel centres."""
    place = ((np.arange(target) + 0.5) * source / target - 0.5).clip(0, source - 1)
    left = np.minimum(place.astype(int), max(source - 2, 0))
    share = place - left
    matrix = np.zeros((target, source))
    matrix[np.arange(target), left] = 1 - share
    matrix[np.arange(target), np.minimum(left + 1, source - 1)] += share
    return matrix
