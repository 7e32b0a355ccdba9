"""The colours of methods stay apart for readers who see fewer colours, and on their paper."""

from __future__ import annotations

import re

import numpy as np
import pytest

from kernel_widgets import CascadeStepper

# Simulation of full colour blindness on linear RGB: Machado, Oliveira & Fernandes (2009).
VISIONS = {
    "all colours": np.eye(3),
    "no red cones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green cones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue cones": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
PAPERS = {"light": "#ffffff", "dark": "#212121"}


def colours(scheme: str) -> np.ndarray:
    """The first eight method colours of a scheme, as linear RGB."""
    pairs = re.findall(
        r"kc-colour-\d \{\s*--kc-colour: light-dark\((#\w+), (#\w+)\)", str(CascadeStepper._css)
    )
    return np.array([linear(pair[scheme == "dark"]) for pair in pairs[:8]])


def linear(colour: str) -> np.ndarray:
    share = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = np.clip(rgb, 0, 1) @ to_xyz.T / (0.9505, 1, 1.089)
    curve = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = np.moveaxis(curve, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@pytest.mark.parametrize("scheme", PAPERS)
@pytest.mark.parametrize("vision", VISIONS)
def test_no_two_methods_look_alike(scheme, vision):
    seen = lab(colours(scheme) @ np.array(VISIONS[vision]).T)
    assert len(seen) == 8
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    assert distances[np.triu_indices(8, 1)].min() > 15


@pytest.mark.parametrize("scheme", PAPERS)
def test_lines_stand_out_from_their_paper(scheme):
    luminance = np.array([0.2126, 0.7152, 0.0722])
    lights = np.append(colours(scheme) @ luminance, linear(PAPERS[scheme]) @ luminance)
    low, high = np.sort([lights[:-1], np.full(8, lights[-1])], axis=0)
    assert ((high + 0.05) / (low + 0.05)).min() > 3
