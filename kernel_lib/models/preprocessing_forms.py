"""The forms in which a person can say a preprocessing: a name, numbers, a file or a layer."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kernel_lib.models.preprocessing import ALIASES, NAMED, Preprocessing
from kernel_lib.tasks.untrusted import json_content, load_array, load_arrays, untrusted

FILES = (".json", ".npy", ".npz")

# A mean image brighter than this is one of bytes: images in [0, 1] have none.
_BRIGHTEST_OF_UNIT = 1.5


def as_preprocessing(value: Any, folder: str | os.PathLike[str] = ".") -> Preprocessing:
    """Read a preprocessing in any form but "auto".

    Args:
        value: a name of `NAMED` or `ALIASES`; text "scale,offset", with one number a channel
            "r,g,b;r,g,b"; a dictionary, see below, as JSON text; a path to a `.json` file with
            scale and offset, or to a `.npy` or `.npz` file with a mean image; a pair
            `(scale, offset)`; a dictionary with the keys `scale`, `offset`, `reverse_channels` or
            `file`; or a Keras layer.
        folder: where a relative path starts.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: none of these forms.
    """
    if isinstance(value, Preprocessing):
        return value
    if isinstance(value, keras.Layer):
        return Preprocessing("layer", layer=value)
    if isinstance(value, os.PathLike) or (isinstance(value, str) and _is_file(value)):
        return _from_file(Path(folder, value))
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, dict) and "file" in value:
        return _from_file(Path(folder, str(value["file"])))
    if isinstance(value, dict) and value.keys() & {"scale", "offset"}:
        found = _from_pair(value.get("scale", 1.0), value.get("offset", 0.0), value)
        return replace(found, reverse_channels=value.get("reverse_channels") is True)
    if isinstance(value, list | tuple) and len(value) == 2:
        return _from_pair(value[0], value[1], value)
    raise _unknown(value)


def _unknown(value: Any) -> ValueError:
    names = ", ".join(map(repr, (*NAMED, *ALIASES)))
    return ValueError(
        f"`preprocessing` must be 'auto', {names}, numbers as text such as '2,-1' (scale, offset) "
        "or '4.4,4.5,4.4;-2.1,-2.0,-1.8' (one a channel), a file such as 'scale.json' with "
        "{\"scale\": 2, \"offset\": -1}, 'mean.npy' or 'mean.npz' (a mean image), a pair "
        f"(scale, offset) or a Keras layer. Received: {value!r:.200}."
    )


def _is_file(text: str) -> bool:
    return text.lower().endswith(FILES)


def _from_text(text: str) -> Preprocessing:
    if text.lstrip().startswith("{"):
        return _from_json_text(text)
    name = text.strip().lower()
    name = ALIASES.get(name, name)
    if name in NAMED:
        return NAMED[name]
    parts = text.split(";") if ";" in text else text.split(",")
    try:
        scale, offset = ([float(number) for number in part.split(",")] for part in parts)
    except ValueError:
        raise _unknown(text) from None
    return _from_pair(scale, offset, text)


def _from_json_text(text: str) -> Preprocessing:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise _unknown(text) from None
    if not value.keys() & {"scale", "offset"}:  # a file belongs beside a file
        raise _unknown(text)
    return as_preprocessing({name: value[name] for name in value if name != "file"})


def _from_pair(scale: Any, offset: Any, received: Any) -> Preprocessing:
    try:
        parts = [np.atleast_1d(np.asarray(part, float)) for part in (scale, offset)]
    except (TypeError, ValueError, OverflowError):
        raise _unknown(received) from None
    lengths = {len(part) for part in parts} - {1}
    if any(part.ndim > 1 for part in parts) or len(lengths) > 1 or 0 in lengths:
        raise _unknown(received)
    if not np.isfinite(np.concatenate(parts)).all() or (parts[0] == 0).any():
        raise ValueError(
            "The scale and the offset of `preprocessing` must be finite, and the scale not zero. "
            f"Received: {received!r:.200}."
        )
    scale, offset = (tuple(part.tolist()) for part in parts)
    return Preprocessing("affine", scale, offset)


# --- files ---------------------------------------------------------------------------------------


def _from_file(path: Path) -> Preprocessing:
    if path.suffix.lower() not in FILES:
        raise ValueError(
            f"A preprocessing file must end in {', '.join(FILES)}. Received: {path.name!r}."
        )
    if not path.is_file():
        raise FileNotFoundError(f"There is no preprocessing file at {str(path)!r}.")
    return _from_json(path) if path.suffix.lower() == ".json" else _from_arrays(path)


def _from_json(path: Path) -> Preprocessing:
    with untrusted(f"{path.name!r} is not valid JSON"):
        content = json_content(path)
    if isinstance(content, dict) and "preprocessing" in content:  # settings beside a model
        content = content["preprocessing"]
    if isinstance(content, str) and _is_file(content):
        raise ValueError(f"{path.name!r} names another file, {content!r}: pass that one.")
    try:
        return as_preprocessing(content, path.parent)
    except ValueError as error:
        raise ValueError(f"In {path.name!r}: {error}") from error


def _from_arrays(path: Path) -> Preprocessing:
    arrays = _load_arrays(path)
    if "scale" in arrays and "offset" in arrays:  # as `save_image` writes it
        scale, offset = _image(path, arrays["scale"]), _image(path, arrays["offset"])
        backwards = bool(np.any(arrays.get("reverse_channels", False)))
        _check_fit(path, scale, offset)
        return _of_images(path, scale, offset, backwards)
    if "mean" not in arrays:
        raise ValueError(
            f"{path.name!r} must hold an array `mean`, and may hold `std`: save it with "
            f"np.savez({path.name!r}, mean=mean, std=std). It holds: {', '.join(arrays) or 'none'}."
        )
    mean = _image(path, arrays["mean"])
    top = 255.0 if mean.max() > _BRIGHTEST_OF_UNIT else 1.0
    std = _image(path, arrays.get("std", np.ones(1)))
    if (std <= 0).any():
        raise ValueError(f"The `std` in {path.name!r} must be above zero everywhere.")
    _check_fit(path, mean, std)
    with np.errstate(all="ignore"):
        scale, offset = top / std, -mean / std
    if not (np.isfinite(scale).all() and np.isfinite(offset).all()):
        raise ValueError(f"The `std` in {path.name!r} is so small that the images become infinite.")
    return _of_images(path, scale, offset, False)


def _check_fit(path: Path, first: np.ndarray, second: np.ndarray) -> None:
    try:
        np.broadcast_shapes(first.shape, second.shape)
    except ValueError:
        raise ValueError(
            f"The arrays in {path.name!r} do not fit each other: {first.shape} and {second.shape}."
        ) from None


def _of_images(
    path: Path, scale: np.ndarray, offset: np.ndarray, reverse_channels: bool
) -> Preprocessing:
    if scale.ndim == offset.ndim == 1:
        plain = _from_pair(scale.tolist(), offset.tolist(), path.name)
        return replace(plain, reverse_channels=reverse_channels)
    return Preprocessing("mean_image", scale, offset, reverse_channels)


def _load_arrays(path: Path) -> dict[str, np.ndarray]:
    told = f"{path.name!r} is not a whole NumPy file of plain numbers (nothing is unpickled)"
    cure = "Save it with np.save or np.savez."
    if path.suffix.lower() == ".npy":
        return {"mean": load_array(path, failure=told, cure=cure)}
    return load_arrays(path, told, cure)


def _image(path: Path, array: np.ndarray) -> np.ndarray:
    """Return one value a channel, or an image (height, width, channels)."""
    with np.errstate(over="ignore"):  # what is infinite as float32 is refused here
        is_finite = array.dtype.kind in "iuf" and np.isfinite(array.astype(np.float32)).all()
    if not is_finite or not array.size:
        raise ValueError(f"The arrays in {path.name!r} must hold finite numbers.")
    array = array[0] if array.ndim == 4 and len(array) == 1 else array
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim not in (0, 1, 3):
        raise ValueError(
            f"A mean image has the shape (height, width, channels). {path.name!r} holds "
            f"{array.shape}."
        )
    return np.atleast_1d(array).astype(np.float32)


def save_image(preprocessing: Preprocessing, path: str | os.PathLike[str]) -> None:
    """Write a mean image as an `.npz` file that `as_preprocessing` reads."""
    with open(path, "wb") as file:
        np.savez_compressed(
            file,
            scale=np.asarray(preprocessing.scale, np.float32),
            offset=np.asarray(preprocessing.offset, np.float32),
            reverse_channels=np.asarray(preprocessing.reverse_channels),
        )
