"""Colours of maps: the stops that `static/cascade_stepper.js` uses too (a test compares them)."""

from __future__ import annotations

import numpy as np

# Matplotlib's magma at eighths: even in lightness, readable by the colour-blind and in grey print.
MAGMA = (
    "#000004", "#1d1147", "#51127c", "#832681", "#b73779", "#e75263", "#fc8961", "#fec488",
    "#fcfdbf",
)  # fmt: skip
# Blue for less, orange for more, white exactly at zero.
DIVERGING = ("#0a3f78", "#3f84c4", "#a9cdea", "#f7f7f5", "#f8c48e", "#dd7a22", "#8a3200")


def palette(stops: tuple[str, ...], zero: int | None = None) -> np.ndarray:
    """Spread hexadecimal colours over the 256 levels of a byte.

    Args:
        stops: colours such as "#fcfdbf", evenly spaced.
        zero: the level that gets the middle stop, for values that have a sign.

    Returns:
        Array (256, 3) of uint8.
    """
    colours = np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in stops], float)
    middle = (len(stops) - 1) / 2
    if zero is None:
        position = np.linspace(0, len(stops) - 1, 256)
    else:
        position = np.clip(middle + (np.arange(256) - zero) / zero * middle, 0, len(stops) - 1)
    places = np.arange(len(stops))
    channels = [np.interp(position, places, colours[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)
