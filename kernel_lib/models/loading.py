"""Load a model file without ever running code that it holds."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras

from kernel_lib.data.classes import ClassNames, class_name_list
from kernel_lib.models import keras2
from kernel_lib.models.classifier import Classifier
from kernel_lib.models.networks.registry import names
from kernel_lib.models.preprocessing_choice import is_auto
from kernel_lib.models.settings import read_settings
from kernel_lib.tasks.untrusted import (
    check_archive,
    check_entry,
    largest_in_memory,
    parsed_json,
    reason_of,
    untrusted,
)

_SUFFIXES = (".keras", ".h5", ".hdf5")
_WEIGHTS = "model.weights.h5"
_TEXTS = ("config.json", "metadata.json")
# What a layer has one weight for, at the least.
_WIDTHS = frozenset(["units", "filters", "input_dim", "output_dim", "key_dim"])
_LEAST_WIDTH = 10_000  # costs nothing
_MOST_PACKED = 1100  # times that deflate can make a file smaller

# What Keras says, somewhere in a long message, about a class it does not have.
_UNKNOWN_CLASS = re.compile(r"(?:Could not locate \w+|Unknown \w+:) '([^']+)'")


def load(
    path: str | os.PathLike[str],
    *,
    preprocessing: Any = None,
    head: str | None = None,
    output: int | str | None = None,
    class_names: ClassNames | None = None,
    input_size: int | Sequence[int] | None = None,
    name: str | None = None,
) -> Classifier:
    """Load a Keras model file as a `Classifier`.

    What is given here wins over what `Classifier.save` noted in the `.json` file beside the model,
    and that over what the network itself tells.

    Args:
        path: A `.keras` file, or one in the older `.h5` format.
        preprocessing: How the model wants images that lie in [0, 1], in any form of `Classifier`.
            `None` or "auto": as noted beside the model, otherwise as read off the network.
        head: As in `Classifier`; `None` or "auto": as noted beside the model, otherwise "auto".
        output: Position or name of the output to audit, where the model has several; `None`: as
            noted beside the model.
        class_names: One name a class, in the order of the network's outputs, in any form of
            `kernel_lib.data.class_name_list`: a list, text with commas, a file. `None`: as noted
            beside the model, otherwise "0", "1", ...
        input_size: Side of the images, or (height, width), where the model leaves it open.
        name: What reports call the model.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a whole Keras model, or it holds code (a Lambda layer) or
            classes that are not known here; or the model is no image classifier.

    Example:
        >>> load("model.keras", preprocessing="imagenet_torch").accuracy(images, labels)
    """
    path = _check_path(path)
    config = _read_config(path)
    _refuse_code(path, config)
    given = {
        "preprocessing": None if is_auto(preprocessing) else preprocessing,
        "head": None if head == "auto" else head,
        "output": output,
        "class_names": as_class_names(class_names),
        "input_size": input_size,
        "name": name,
    }
    said = {key: value for key, value in given.items() if value is not None}
    stored = read_settings(path)
    if output is not None and output != stored.get("output"):
        stored.pop("class_names", None)  # they name the classes of another output
    settings = stored | said
    if isinstance(settings.get("preprocessing"), dict) and "preprocessing" not in said:
        raise ValueError(
            f"The model in {path.name!r} was saved with a preprocessing layer, which its settings "
            "cannot bring back: pass load(..., preprocessing=layer)."
        )
    model = _load_model(path)
    try:
        return Classifier(model, **settings)
    except TypeError:
        raise  # of what was given here
    except Exception as error:
        if path.name in str(error):
            raise
        text = str(error) if isinstance(error, ValueError) else f"{reason_of(error)}."
        raise ValueError(f"In {path.name!r}: {text}") from error


def as_class_names(value: ClassNames | None) -> list[str] | None:
    """Return one name a class; None where none, or an empty list, was given.

    Args:
        value: any form of `kernel_lib.data.class_name_list`; or a list that holds nothing but the
            path of such a file, as forms and command lines give it.
    """
    if value is None or (not isinstance(value, str | os.PathLike) and len(value) == 0):
        return None
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    return list(class_name_list(value))


def _check_path(path: str | os.PathLike[str]) -> Path:
    text, path = os.fspath(path), Path(path)
    if path.is_dir():
        raise ValueError(
            f"A model is one file that ends in .keras or .h5. Received the folder {text!r}. A "
            "SavedModel folder holds no Keras model: save it with model.save('model.keras')."
        )
    if not path.exists():
        if text.lower() in map(str.lower, names()):
            raise ValueError(
                f"{text!r} is the name of a network, not a file: train it with "
                f"kernel_lib.models.train({text!r}, images), or get it untrained from "
                f"kernel_lib.models.build({text!r}, input_shape, num_classes)."
            )
        raise FileNotFoundError(f"There is no model file at {text!r}.")
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"A model file must end in .keras or .h5. Received: {path.name!r}.")
    return path


def _read_config(path: Path) -> Any:
    """Return the architecture as plain data, which also shows that the file is whole."""
    with untrusted(
        f"{path.name!r} is not a whole Keras model: it is cut off, damaged or something else",
        "Copy it again, or save it anew with model.save('model.keras').",
    ):
        text, num_bytes = _config_text(path)
        config = parsed_json(text or "null")
        if num_bytes is not None:
            _check_widths(config, num_bytes)
    if config is None:
        raise ValueError(
            f"{path.name!r} holds weights but no architecture. Build the network and load them "
            "into it: kernel_lib.models.build(name, input_shape, num_classes, weights=path)."
        )
    return config


def _config_text(path: Path) -> tuple[str | bytes | None, int | None]:
    """Return the architecture, and the bytes of all weights where they are in their usual place."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            check_archive(archive)
            for name in _TEXTS:
                if name in archive.namelist():
                    check_entry(archive, name)
            has_weights = _WEIGHTS in archive.namelist()
            num_bytes = _check_weights(archive) if has_weights else None
            return archive.read("config.json"), num_bytes
    with h5py.File(path, "r") as file:
        num_bytes = _check_arrays(file, path.stat().st_size)
        text = file.attrs.get("model_config")
        if text is not None and not isinstance(text, str | bytes):
            raise ValueError("its architecture is no text")
        return text, num_bytes


def _check_widths(config: Any, num_bytes: int) -> None:
    """Refuse layers that are wider than all weights together, before memory is taken for them."""
    if isinstance(config, dict):
        for name in _WIDTHS & config.keys():
            width = config[name]
            if isinstance(width, int | float) and width > _LEAST_WIDTH + num_bytes:
                raise ValueError(
                    f"a layer has {name}={width:.6g}, and all weights together {num_bytes:,} bytes"
                )
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            _check_widths(part, num_bytes)


def _check_weights(archive: zipfile.ZipFile) -> int:
    num_bytes = archive.getinfo(_WEIGHTS).file_size
    with archive.open(_WEIGHTS) as content, h5py.File(content, "r") as file:
        return _check_arrays(file, num_bytes)


def _check_arrays(file: h5py.File, num_bytes: int) -> int:
    """Return the bytes of all weights, or refuse those that claim more than the file can hold.

    HDF5 makes up what is not there.
    """

    def check(name: str, found: h5py.Group | h5py.Dataset) -> None:
        if isinstance(found, h5py.Dataset):
            sizes.append(found.nbytes)
            if found.nbytes > _MOST_PACKED * num_bytes:
                raise ValueError(
                    f"{name!r:.100} claims the shape {found.shape!s:.100} in a file of "
                    f"{num_bytes:,} bytes"
                )

    sizes: list[int] = []
    file.visititems(check)
    if sum(sizes) > largest_in_memory():
        raise ValueError(f"it would unpack to {sum(sizes):,} bytes, more than half of the memory")
    return sum(sizes)


def _refuse_code(path: Path, config: Any) -> None:
    # Keras in safe mode refuses Python code in .keras files; older versions of it do not in .h5
    # files, and its global switches can turn the refusal off.
    for class_name in _class_names(config):
        if class_name in ("Lambda", "__lambda__"):
            raise ValueError(
                f"The model in {path.name!r} holds Python code (a Lambda layer), which is never "
                "run from a file. Replace it with an ordinary layer or a registered class, and "
                "save the model again."
            )


def _class_names(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        yield str(config.get("class_name"))
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from _class_names(part)


def _load_model(path: Path) -> keras.Model:
    try:
        model = keras.saving.load_model(
            path, custom_objects=keras2.READERS, compile=False, safe_mode=True
        )
    except Exception as error:
        unknown = _UNKNOWN_CLASS.search(str(error))
        if unknown and unknown[1] in keras2.OPERATIONS:
            raise ValueError(
                f"The model in {path.name!r} was written by Keras 2 and calls functions inside the "
                f"graph ({unknown[1]}), such as preprocess_input(x), which Keras 3 cannot read "
                "from a file. Open it where it was made, build it anew with layers in their place "
                "(keras.layers.Rescaling(1 / 127.5, -1) for preprocess_input), load its weights, "
                "and save it; or leave preprocess_input out, and give preprocessing='symmetric', "
                "'imagenet_caffe' or 'imagenet_torch' to load."
            ) from error
        if unknown:
            raise ValueError(
                f"The model in {path.name!r} needs {unknown[1]!r}, which is not known here. Import "
                "the module that defines it, with @keras.saving.register_keras_serializable() "
                "above it, before loading; or save the model from ordinary layers."
            ) from error
        raise ValueError(
            f"The model in {path.name!r} cannot be loaded: {reason_of(error)}."
        ) from error
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"{path.name!r} must hold a Keras model. Received: a {type(model).__name__}."
        )
    return model
