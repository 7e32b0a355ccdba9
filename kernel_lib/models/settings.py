"""Settings beside a model file: how the model wants its input, and what its output means.

``model.keras`` has them in ``model.keras.json``, and a mean image in ``model.keras.npz``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema

from kernel_lib.models.preprocessing_choice import PreprocessingChoice, is_auto, say
from kernel_lib.models.preprocessing_forms import as_preprocessing, save_image
from kernel_lib.network.head import HEADS
from kernel_lib.tasks.untrusted import json_content, untrusted

if TYPE_CHECKING:
    from kernel_lib.models.classifier import Classifier

_NUMBERS = {"oneOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}]}
_SIZE = {"type": "integer", "minimum": 1}

# Settings that are not known here may come from a later version: they are let pass.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "preprocessing": {
            "anyOf": [
                {"type": ["string", "null"]},
                {"type": "array", "items": _NUMBERS, "minItems": 2, "maxItems": 2},
                {
                    "type": "object",
                    "properties": {
                        "scale": _NUMBERS,
                        "offset": _NUMBERS,
                        "reverse_channels": {"type": "boolean"},
                        "file": {"type": "string"},
                        "layer": {"type": "object"},
                    },
                },
            ]
        },
        "preprocessing_source": {"type": "string"},
        "head": {"enum": [*HEADS, None]},
        "output": {"type": ["string", "integer", "null"]},
        "class_names": {"type": ["array", "null"], "items": {"type": "string"}},
        "input_size": {
            "anyOf": [
                {**_SIZE, "type": ["integer", "null"]},
                {"type": "array", "items": _SIZE, "minItems": 2, "maxItems": 2},
            ]
        },
        "name": {"type": ["string", "null"]},
    },
}
NAMES = tuple(name for name in SCHEMA["properties"] if name != "preprocessing_source")


def read_settings(path: Path) -> dict[str, Any]:
    """Return what the settings beside the model at `path` say; nothing where there are none.

    The preprocessing comes as a `PreprocessingChoice`, or, where it was a layer that the file
    cannot bring back, as the dictionary that describes it.

    Raises:
        ValueError: The settings are no JSON, or a value is of a wrong type.
    """
    beside = path.with_name(path.name + ".json")
    if not beside.is_file():
        return {}
    with untrusted(
        f"The settings beside the model, {beside.name!r}, are not valid JSON",
        "Mend or delete the file.",
    ):
        settings = json_content(beside)
    _check(settings, beside.name)
    found = {name: settings[name] for name in NAMES if settings.get(name) is not None}
    if is_auto(found.get("preprocessing")):
        found.pop("preprocessing", None)
    elif "layer" not in found["preprocessing"] or isinstance(found["preprocessing"], str):
        found["preprocessing"] = _stored(settings, beside)
    return found


def _check(settings: Any, name: str) -> None:
    if not isinstance(settings, dict):
        raise ValueError(f"The settings beside the model, {name!r}, must be a JSON object.")
    error = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(SCHEMA).iter_errors(settings)
    )
    if error is None:
        return
    key = str(error.absolute_path[0])
    raise ValueError(
        f"The settings beside the model, {name!r}, hold a wrong value: {key!r} must be "
        f"{_WANTED[key]}. Received: {settings[key]!r:.200}. Mend it, or delete the line."
    )


_WANTED = {
    "preprocessing": 'a text such as "bytes", a pair of numbers or lists such as [2, -1], or an '
    'object such as {"scale": 2, "offset": -1}',
    "preprocessing_source": "a text",
    "head": f"one of {', '.join(HEADS)}",
    "output": "the name or the position of an output",
    "class_names": "a list of texts, one a class",
    "input_size": "a number of pixels, or [height, width]",
    "name": "a text",
}


def _stored(settings: dict[str, Any], beside: Path) -> PreprocessingChoice:
    try:
        found = as_preprocessing(settings["preprocessing"], beside.parent)
    except (ValueError, OSError) as error:
        raise ValueError(f"The settings beside the model, {beside.name!r}: {error}") from error
    source = settings.get("preprocessing_source", "said")
    if source == "assumed":  # a guess does not become a fact by being written down
        evidence = f"{beside.name!r} beside the model says {say(found)}, which was only assumed."
        return PreprocessingChoice(found, "assumed", evidence)
    how = "" if source in ("said", "stored") else f" ({source})"
    evidence = f"{beside.name!r} beside the model says {say(found)}{how}."
    return PreprocessingChoice(found, "stored", evidence)


def write_settings(classifier: Classifier, path: Path) -> None:
    """Write the settings of `classifier` beside its model at `path`."""
    from kernel_lib.tasks import atomic_path

    choice = classifier.preprocessing_choice
    described = choice.preprocessing.describe()
    if choice.preprocessing.is_image:
        arrays = path.with_name(path.name + ".npz")
        with atomic_path(arrays) as temporary:
            save_image(choice.preprocessing, temporary)
        described = {"file": arrays.name}
    named = classifier.is_named or classifier.names_said
    settings = {
        "preprocessing": described,
        "preprocessing_source": choice.source,
        "head": classifier.head,
        "output": classifier.network.output,
        "class_names": list(classifier.class_names) if named else None,
        "input_size": classifier.settings()["input_size"],
        "name": classifier.name,
    }
    with atomic_path(path.with_name(path.name + ".json")) as temporary:
        Path(temporary).write_text(json.dumps(settings, indent=1), encoding="utf-8")
