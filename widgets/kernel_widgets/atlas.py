"""Pack checked frames into one block of bytes, small enough to live in a notebook.

The browser gets everything at once and needs no kernel afterwards: the arrays go end to end into
one `atlas`, and a layout says where each begins. Frames that are too big lose resolution first,
then seeds, then more resolution; what was lost is said in a note.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MAX_BYTES = 20_000_000
_GOOD_SIDE = 56  # pixels: above it, a smaller map costs less than a lost seed
_LEAST_SIDE = 14
_INPUT_SIDE = 224
_BY_SEED = ("values", "maps_absolute", "maps_signed", "empty")
_LISTS = ("blocks", "steps", "seeds", "images", "methods", "metrics", "verdicts", "words")


def pack(tabs: Sequence[Mapping[str, Any]]) -> tuple[bytes, dict[str, Any]]:
    """Lay the arrays of all tabs end to end.

    Args:
        tabs: checked frames, one for each tab of the widget.

    Returns:
        The bytes, and a layout {"tabs": [{array name: {offset, shape, dtype}}]}. Each offset is a
        multiple of 4, so that a browser can view the floats in place.
    """
    chunks: list[bytes] = []
    layout: list[dict[str, Any]] = []
    offset = 0
    for frames in tabs:
        entries = {}
        for name, array in arrays_of(frames).items():
            entries[name] = {
                "offset": offset,
                "shape": list(array.shape),
                "dtype": str(array.dtype),
            }
            padding = b"\0" * (-array.nbytes % 4)
            chunks += [array.tobytes(), padding]
            offset += array.nbytes + len(padding)
        layout.append(entries)
    return b"".join(chunks), {"tabs": layout}


def unpack(atlas: bytes, layout: Mapping[str, Any], tab: int = 0) -> dict[str, np.ndarray]:
    """Return the arrays of one tab, as `pack` took them."""
    arrays = {}
    for name, entry in layout["tabs"][tab].items():
        count = int(np.prod(entry["shape"]))
        flat = np.frombuffer(atlas, entry["dtype"], count, entry["offset"])
        arrays[name] = flat.reshape(entry["shape"])
    return arrays


def arrays_of(frames: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return every array of the frames under one flat name, in little-endian bytes."""
    curves = {f"curve_{kind}": frames["curves"][kind] for kind in ("mean", "low", "high")}
    plain = {name: frames[name] for name in ("values", "ceilings", "maps_absolute", "maps_signed")}
    plain |= {"empty": frames["empty"].astype(np.uint8), "inputs": frames["inputs"]}
    return {
        name: np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        for name, array in (plain | curves).items()
    }


def meta_of(frames: Mapping[str, Any], notes: Sequence[str] = ()) -> dict[str, Any]:
    """Return what is not an array, ready for JSON."""
    texts = {name: frames[name] for name in ("schema", "test", "title", "axis", *_LISTS)}
    return texts | {"notes": list(notes)}


def fit(frames: Mapping[str, Any], limit: int = MAX_BYTES) -> tuple[dict[str, Any], list[str]]:
    """Shrink frames until their arrays take at most `limit` bytes.

    Args:
        frames: checked frames.
        limit: the most bytes the arrays may take.

    Returns:
        The frames, and one sentence for each thing that was given up.

    Raises:
        ValueError: if the frames are too big even at the smallest size.
    """
    fitted = dict(frames)
    fitted["inputs"] = _shrink_inputs(frames["inputs"])
    while _num_bytes(fitted) > limit:
        side = max(fitted["maps_absolute"].shape[-2:])
        if side > _GOOD_SIDE:
            fitted |= _halve(fitted)
        elif len(fitted["seeds"]) > 1:
            fitted |= _drop_last_seed(fitted)
        elif side > _LEAST_SIDE:
            fitted |= _halve(fitted)
        else:
            raise ValueError(
                f"the frames take {_num_bytes(fitted) / 1e6:.0f} MB even at {side} pixels and one "
                f"seed; at most {limit / 1e6:.0f} MB fit. Show fewer images, methods or steps."
            )
    return fitted, _notes(frames, fitted)


def _num_bytes(frames: Mapping[str, Any]) -> int:
    return sum(array.nbytes for array in arrays_of(frames).values())


def _notes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    notes = []
    old, new = before["maps_absolute"].shape[-2:], after["maps_absolute"].shape[-2:]
    if old != new:
        notes.append(
            f"Maps are shown at {new[0]} x {new[1]} pixels; they were computed at "
            f"{old[0]} x {old[1]}."
        )
    if len(before["seeds"]) != len(after["seeds"]):
        notes.append(
            f"{len(after['seeds'])} of {len(before['seeds'])} seeds can be chosen here; "
            "the curves are over all of them."
        )
    return notes


def _drop_last_seed(frames: Mapping[str, Any]) -> dict[str, Any]:
    images = [image | {"predictions": image["predictions"][:-1]} for image in frames["images"]]
    arrays = {name: frames[name][:-1] for name in _BY_SEED}
    return arrays | {"seeds": frames["seeds"][:-1], "images": images}


def _halve(frames: Mapping[str, Any]) -> dict[str, Any]:
    absolute = _mean_of_pairs(frames["maps_absolute"].astype(np.float32))
    signed = _mean_of_pairs(frames["maps_signed"].astype(np.float32) - 127)
    return {
        "maps_absolute": np.rint(_fill_range(absolute, 255)).astype(np.uint8),
        "maps_signed": (np.rint(_fill_range(signed, 127)) + 127).astype(np.uint8),
    }


def _fill_range(maps: np.ndarray, top: float) -> np.ndarray:
    """Scale each map so that its largest magnitude is `top` again; leave empty maps at zero."""
    peak = np.abs(maps).max(axis=(-2, -1), keepdims=True)
    return maps * np.divide(top, peak, out=np.zeros_like(peak), where=peak > 0)


def _mean_of_pairs(maps: np.ndarray) -> np.ndarray:
    """Average blocks of 2 x 2 pixels over the last two axes; an odd edge is repeated."""
    odd = [(0, 0)] * (maps.ndim - 2) + [(0, maps.shape[-2] % 2), (0, maps.shape[-1] % 2)]
    padded = np.pad(maps, odd, mode="edge")
    *lead, height, width = padded.shape
    return padded.reshape(*lead, height // 2, 2, width // 2, 2).mean(axis=(-3, -1))


def _shrink_inputs(inputs: np.ndarray) -> np.ndarray:
    while max(inputs.shape[1:3]) > _INPUT_SIDE:
        channels_first = np.moveaxis(inputs.astype(np.float32), -1, 1)
        inputs = np.rint(np.moveaxis(_mean_of_pairs(channels_first), 1, -1)).astype(np.uint8)
    return inputs
