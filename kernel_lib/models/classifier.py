"""A trained Keras model together with how it wants its input and how to read its output."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kernel_lib._checks import check_choice, check_count
from kernel_lib.data._validation import within_rounding
from kernel_lib.data.classes import ClassNames, class_name_list
from kernel_lib.data.image_set import ImageSet
from kernel_lib.models import class_order
from kernel_lib.models.grey import with_channels
from kernel_lib.models.input_shapes import checked_size, image_shape, trial_shapes
from kernel_lib.models.preprocessing import Preprocessing
from kernel_lib.models.preprocessing_choice import PreprocessingChoice, choose_preprocessing, say
from kernel_lib.network.compiled import NO_GRADIENT, CompiledNetwork, forward_batch_size, in_batches
from kernel_lib.network.head import HEADS, KINDS, ReadingError
from kernel_lib.network.state import differs, held

# What Keras and TensorFlow raise when a model cannot take what it is given.
_RUN_ERRORS = (ValueError, TypeError, NotImplementedError, AttributeError, tf.errors.OpError)


class Classifier:
    """An image classifier as audits see it: images in [0, 1] in, logits out.

    Args:
        model: any Keras 3 model that takes one batch of images and gives one score a class.
        preprocessing: how the model wants images that lie in [0, 1]: "auto" (as the model itself
            tells by what it does before its first weights, otherwise as they are), "unit" (as they
            are), "symmetric" (to [-1, 1]; also "tf"), "bytes" (to [0, 255]), "imagenet_caffe"
            ("caffe"), "imagenet_torch" ("torch"), a pair `(scale, offset)` of numbers or
            per-channel lists, the same as text ("2,-1", "4.4,4.5,4.4;-2.1,-2.0,-1.8"), a `.json`
            file with scale and offset, a `.npy` or `.npz` file with a mean image (and `std`), or a
            Keras layer. How it is known is in `preprocessing_source` ("said", "stored", "read off
            the network", "measured", "assumed") and, in a sentence, in `preprocessing_evidence`.
        head: how the class scores are read. "auto" finds the logits behind a softmax or sigmoid,
            and takes the output as logits where there is neither; "logits" takes the output as it
            is; "probabilities" takes the logarithm where no softmax can be found; "multi_label"
            reads one independent score a class, of which any number can be true (found by itself
            where several sigmoid units end the model); "multi_label_probabilities" takes the
            log-odds of independent probabilities where no sigmoid can be found.
        output: position or name of the output to audit, where the model has several.
        class_names: one name a class, in the order of the outputs, in any form that
            `kernel_lib.data.load` takes: a list, `{name: index}`, "cat,dog", or a file.
        names_said: whether somebody gave these names; then even numbers are names.
        input_size: height and width, or one number for both, where the model leaves them free:
            all images then have this size. None: any size that the model can take.
        name: what reports call the model.

    Attributes:
        input_shape: (height, width, channels) of the images, None where any size will do.
        input_size: (height, width) at which the model was tried.
        num_classes: number of classes; two for one sigmoid unit.

    Raises:
        ValueError: the model does not take images, gives no class scores, or gives probabilities
            although no softmax can be found.

    The model is never changed, compiled or rebuilt.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        preprocessing: Any = "auto",
        head: str = "auto",
        output: int | str | None = None,
        class_names: ClassNames | None = None,
        input_size: int | Sequence[int] | None = None,
        name: str | None = None,
    ):
        if not isinstance(model, keras.Model):
            raise TypeError(
                "`model` must be a Keras model or a kernel_lib Classifier. "
                f"Received: {type(model).__name__}. Load a file with kernel_lib.models.load(path)."
            )
        if not model.built:
            raise ValueError(
                f"The model {model.name!r} has no weights yet: call it once on a batch of images."
            )
        check_choice("head", head, HEADS)
        self.model = model
        self.head = head
        self.name = name or model.name
        self.history: list[dict[str, float]] = []
        self._given_size = checked_size(input_size)
        self.input_shape = image_shape(model, self._given_size)
        self.preprocessing_choice = choose_preprocessing(preprocessing, model, self.input_shape)
        self.network = CompiledNetwork(
            model, self.preprocessing.apply, head, output, self.input_shape
        )
        self.input_size, noise_logits = self._first_run()
        self.num_classes = noise_logits.shape[1]
        self._refuse_hidden_probabilities(noise_logits)
        self.class_names = _class_names(class_names, self.num_classes)
        self.names_said = class_names is not None

    def _first_run(self) -> tuple[tuple[int, int], np.ndarray]:
        """Run two noise images, at the first size that works; return the size and the logits."""
        shapes, errors = trial_shapes(self.input_shape), []
        for shape in shapes:
            try:
                if len(shapes) > 1:
                    self._refuse_empty_maps(_noise(shape))
                logits = self._answer(_noise(shape))
            except ReadingError:
                raise
            except _RUN_ERRORS as error:
                errors.append(error)
                continue
            if np.isfinite(logits).all() or len(shapes) == 1:
                return shape[:2], logits
            errors.append(ValueError("it gives NaN: its weights are broken."))
        sizes = f"{shapes[0]}" if len(shapes) == 1 else f"{shapes[0]} to {shapes[-1]}"
        cure = ""
        if len(shapes) > 1:
            cure = " Say the size that it was made for, such as Classifier(model, input_size=224)."
        raise ValueError(
            f"The model {self.name!r} cannot be run on images of shape {sizes}: "
            f"{_first_line(errors[-1])}{cure}"
        ) from errors[-1]

    def _refuse_empty_maps(self, images: np.ndarray) -> None:
        """Raise where no pixel is left at a layer: a graph of free sizes runs on without a word.

        Shapes are inferred and nothing is computed: with oneDNN, TensorFlow's convolution of too
        few pixels gives one pixel of whatever lay in memory.
        """

        def note(name: str, layer: keras.Operation, output: tf.Tensor) -> tf.Tensor:
            if 0 in output.shape:
                raise ValueError(f"no pixel is left at {name!r}, whose shape is {output.shape}.")
            return output

        @tf.function(autograph=False)
        def traced(pixels: tf.Tensor) -> Any:
            return self.network.run(pixels, note)

        with self._held_state():
            traced.get_concrete_function(tf.TensorSpec(images.shape, tf.float32))

    def _refuse_hidden_probabilities(self, logits: np.ndarray) -> None:
        """Refuse an output that is taken for logits but looks like probabilities."""
        if self.network.head_kind != "linear" or self.head not in ("auto", "multi_label"):
            return
        is_one_unit = self.network.num_units == 1
        scores = logits[:, 1:] * 2 if is_one_unit else logits
        if self.head == "auto" and not is_one_unit and _are_shares(scores):
            raise ValueError(
                f"The model {self.name!r} gives probabilities, but no softmax can be found behind "
                "them. Audits need logits: take the softmax off the model, or pass "
                "Classifier(model, head='probabilities') to read log-probabilities instead."
            )
        if not (_are_probabilities(scores) and self._stays_within_one(is_one_unit)):
            return
        own = "probabilities" if is_one_unit else "multi_label_probabilities"
        raise ValueError(
            f"The model {self.name!r} gives values between 0 and 1 whatever it is shown, as "
            "probabilities are, but neither a softmax nor a sigmoid can be found behind them. "
            f"Audits need logits: pass Classifier(model, head={own!r}) if they are probabilities "
            f"of {'the second class' if is_one_unit else 'each class on its own'}, or "
            "head='logits' if they are scores that happen to lie there."
        )

    def _stays_within_one(self, is_one_unit: bool) -> bool:
        """Whether even inputs far out of range, which drive any score far, stay in [0, 1]."""
        if self.network.input_dtype.is_integer:
            return True
        noise = _noise((*self.input_size, self.input_shape[2] or 3))
        far = np.concatenate([noise * factor for factor in (-1e4, -1e2, 1e2, 1e4)])
        logits = self._answer(far.astype(np.float32))
        scores = logits[:, 1:] * 2 if is_one_unit else logits
        return _are_probabilities(scores[np.isfinite(scores).all(axis=1)])

    def _answer(self, images: np.ndarray) -> np.ndarray:
        """Logits of a few images, unchecked."""
        with self._held_state():
            return self.network.logits_function()(tf.constant(images)).numpy()

    @contextmanager
    def _held_state(self) -> Iterator[None]:
        """Whatever the model writes to itself when it is run is put back on leaving."""
        with held(self.network.assigned_variables):
            yield

    # --- preprocessing ------------------------------------------------------------------------

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to images in [0, 1] before the model sees them."""
        return self.preprocessing_choice.preprocessing

    @property
    def preprocessing_source(self) -> str:
        """How the preprocessing is known: one of `preprocessing_choice.SOURCES`."""
        return self.preprocessing_choice.source

    @property
    def preprocessing_evidence(self) -> str:
        """How the preprocessing is known, in a sentence."""
        return self.preprocessing_choice.evidence

    def with_preprocessing(
        self, value: Any, *, source: str = "said", evidence: str | None = None
    ) -> Classifier:
        """Return the same model with another preprocessing; all else stays as it is.

        Args:
            value: in any form of `Classifier`'s own argument; "auto" reads it off the network.
            source: how it is known, where `value` is not "auto".
            evidence: the same in a sentence.

        Nothing is traced before it is used, so this costs next to nothing.
        """
        choice = choose_preprocessing(value, self.model, self.input_shape)
        if choice.source == "said":
            known = (
                choice.evidence if source == "said" else f"{say(choice.preprocessing)}: {source}."
            )
            choice = replace(choice, source=source, evidence=evidence or known)
        other = copy.copy(self)
        other.preprocessing_choice = choice
        other.network = self.network.with_preprocess(choice.preprocessing.apply)
        other.history = list(self.history)
        return other

    def fed_like(self, other: Classifier) -> Classifier:
        """This network, fed as `other` is; itself where that is so already."""
        if self.preprocessing == other.preprocessing:
            return self
        return self.with_preprocessing(other.preprocessing_choice)

    def with_class_names(self, class_names: ClassNames) -> Classifier:
        """Return the same model with other names of its classes."""
        other = copy.copy(self)
        other.class_names = _class_names(class_names, self.num_classes)
        other.names_said = True
        other.history = list(self.history)
        return other

    # --- predictions --------------------------------------------------------------------------

    def logits(self, images: np.ndarray, batch_size: int | None = None) -> np.ndarray:
        """Logits (num_images, num_classes) float32 of images in [0, 1].

        `batch_size` images are in memory at once; None fits the image size and the network.
        """
        images = self.check_images(images)
        if batch_size is None:
            few = len(images) <= 8  # too few for a look at the network's layers
            batch_size = 8 if few else forward_batch_size(images.shape[1:], self.network)
        check_count("batch_size", batch_size)
        with self._held_state():
            return in_batches(self.network.logits_function(), batch_size, images)[0]

    def probabilities(self, images: np.ndarray, batch_size: int | None = None) -> np.ndarray:
        """Probabilities (num_images, num_classes) float32 of images in [0, 1].

        The softmax of the logits; where `is_multi_label`, the sigmoid of each.
        """
        logits = self.logits(images, batch_size)
        return (tf.sigmoid(logits) if self.is_multi_label else tf.nn.softmax(logits)).numpy()

    @property
    def is_multi_label(self) -> bool:
        """Whether each class is judged on its own (several sigmoid units), not one against all."""
        return self.network.is_multi_label

    def is_deterministic(self) -> bool:
        """Whether two predictions of the same images are the same: no dropout left on, say."""
        noise = tf.constant(_noise((*self.input_size, self.input_shape[2] or 3)))
        function = self.network.logits_function()
        with self._held_state():
            return not differs(function(noise).numpy(), function(noise).numpy())

    def is_batch_independent(self) -> bool:
        """Whether an image's prediction does not depend on the other images of its batch."""
        noise = _noise((*self.input_size, self.input_shape[2] or 3))
        company = np.concatenate([noise[:1], np.zeros_like(noise), np.ones_like(noise)])
        return not differs(self._answer(noise[:1]), self._answer(company)[:1])

    def predict(self, images: np.ndarray, batch_size: int | None = None) -> np.ndarray:
        """Predicted class of each image, (num_images,) int64."""
        return self.logits(images, batch_size).argmax(axis=1)

    def accuracy(
        self, images: np.ndarray, labels: np.ndarray, batch_size: int | None = None
    ) -> float:
        """Share of images whose predicted class is their label."""
        return float((self.predict(images, batch_size) == np.asarray(labels)).mean())

    # --- checks -------------------------------------------------------------------------------

    def check_images(self, images: Any) -> np.ndarray:
        """Return `images` as (num_images, height, width, channels) float32, or say what is wrong.

        Raises:
            ValueError: wrong rank or shape, an empty batch, NaN, or values outside [0, 1].
        """
        try:
            images = within_rounding(np.asarray(images, np.float32))
        except (TypeError, ValueError):
            raise ValueError(
                "Images must be one array of numbers (num_images, height, width, channels). "
                f"Received: {type(images).__name__} that is none, as images of different sizes "
                "are not: bring them to one size."
            ) from None
        expected = tuple("any" if size is None else size for size in self.input_shape)
        fits = images.ndim == 4 and all(
            want is None or want == got
            for want, got in zip(self.input_shape, images.shape[1:], strict=False)
        )
        if not fits:
            raise ValueError(
                f"The model {self.name!r} takes images of shape (num_images, "
                f"{', '.join(map(str, expected))}). Received: {images.shape}."
                f"{self._channel_cure(images)}"
            )
        if len(images) == 0:
            raise ValueError("There are no images: the batch is empty.")
        check_unit_range(images)
        return images

    def _channel_cure(self, images: np.ndarray) -> str:
        """What helps where everything but the number of channels may fit."""
        wanted = self.input_shape[2]
        if images.ndim != 4 or wanted not in (1, 3) or images.shape[3] == wanted:
            return ""
        return (
            f" Read the files with channels={wanted}: kernel_lib.data.load(..., channels={wanted})."
        )

    def check_image_set(self, images: ImageSet) -> None:
        """Refuse images of another shape, or whose classes are not this network's in its order.

        `aligned` brings the same classes into order first.
        """
        self.check_images(images.images[:1])
        class_order.check_order(images, self.class_names, self.name, said=self.names_said)

    def aligned(self, images: ImageSet) -> ImageSet:
        """Return `images` with their labels in the order of this network's classes, by name.

        Names that differ only in case, spaces, underscores or hyphens match. Images of some of the
        classes only are mapped too. Where the network or the images have numbers instead of names,
        the order is kept, unless the caller said the numbers and the images have the same ones: a
        folder read as text has "10" before "2". What was done stands in `images.notes`; where
        nothing need be done, and for images without labels, the same set comes back.

        Raises:
            ValueError: If images are of a class that the network does not have, or numbers of
                classes differ where there are no names to go by. The message holds the cure.
        """
        images = with_channels(images, self.input_shape[2])
        return class_order.aligned(images, self.class_names, self.name, said=self.names_said)

    def check_targets(self, targets: Any, images: np.ndarray) -> np.ndarray:
        """Return one class index an image; None means each image's predicted class."""
        if targets is None:
            return self.predict(images).astype(np.int32)
        targets = np.asarray(targets)
        if not np.issubdtype(targets.dtype, np.integer):
            raise TypeError(f"Classes must be whole numbers. Received: {targets.dtype} values.")
        if targets.ndim > 1 or (targets.ndim == 1 and len(targets) != len(images)):
            raise ValueError(
                f"There must be one class for each of the {len(images)} images. "
                f"Received: an array of shape {targets.shape}."
            )
        outside = targets[(targets < 0) | (targets >= self.num_classes)]
        if outside.size:
            raise ValueError(
                f"Classes of {self.name!r} run from 0 to {self.num_classes - 1}. "
                f"Received: {int(outside.flat[0])}."
            )
        return np.broadcast_to(targets, len(images)).astype(np.int32)

    def class_names_for(self, images: Any) -> tuple[str, ...]:
        """The model's own class names, or those of the image set where it only counts its own."""
        named = getattr(images, "class_names", ())
        fits = not self.is_named and len(named) == self.num_classes
        return named if fits else self.class_names

    @property
    def is_named(self) -> bool:
        """Whether the classes have names, rather than being counted "0", "1", ..."""
        return self.class_names != _class_names(None, self.num_classes)

    # --- facts ----------------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """Facts about the network, as an intake shows them; all values are plain Python.

        Returns:
            name; input_shape (None where any size will do), input_size (at which it was tried)
            and input_dtype; compute_dtypes of its layers; preprocessing; head (a key of
            `kernel_lib.network.head.KINDS`), head_in_words and is_multi_label; output (which of
            several); num_classes and class_names; num_parameters; num_layers; num_taps, last_map
            (the last tap of maps with more than one pixel, or None) and last_tap;
            is_deterministic; is_batch_independent; has_gradient (of the logits at the image); and
            notes, sentences on what is unusual.
        """
        taps = self.network.taps()
        maps = [tap.name for tap in taps if tap.is_map and tap.has_many_pixels]
        facts = {
            "name": self.name,
            "input_shape": self.input_shape,
            "input_size": self.input_size,
            "input_dtype": self.network.input_dtype.name,
            "compute_dtypes": sorted(_compute_dtypes(self.model)),
            "preprocessing": self.preprocessing.name,
            "head": self.network.head_kind,
            "head_in_words": self._head_in_words(),
            "is_multi_label": self.is_multi_label,
            "output": self.network.output,
            "num_classes": self.num_classes,
            "class_names": self.class_names,
            "num_parameters": self.num_parameters,
            "num_layers": len({id(tap.layer) for tap in taps}),
            "num_taps": len(taps),
            "last_map": maps[-1] if maps else None,
            "last_tap": taps[-1].name if taps else None,
            "is_deterministic": self.is_deterministic(),
            "is_batch_independent": self.is_batch_independent(),
            "has_gradient": self.network.has_gradient,
        }
        return facts | {"notes": self._notes(facts)}

    def _head_in_words(self) -> str:
        words = f"{self.network.num_units} units; logits are {KINDS[self.network.head_kind]}"
        if self.network.num_units == 1:
            return words.replace("1 units", "1 unit") + ", read as [-z/2, z/2] for two classes"
        return f"{words}; each class on its own" if self.is_multi_label else words

    def _notes(self, facts: dict[str, Any]) -> list[str]:
        said = {
            "The softmax at the end is applied to values that are probabilities already (an "
            "activation before it is a softmax or sigmoid): confidences can never be high. Take "
            "one of the two off and train again.": self.network.is_squashed_twice,
            "Two predictions of the same image differ: something random is on at inference, such "
            "as dropout called with training=True. Verdicts depend on the draw.": not facts[
                "is_deterministic"
            ],
            "An image's prediction depends on the other images of its batch, as with batch "
            "normalization called with training=True.": facts["is_deterministic"]
            and not facts["is_batch_independent"],
            f"The input is {facts['input_dtype']}: pixels are rounded to whole numbers, and "
            "gradients go straight through the rounding.": self.network.input_dtype.is_integer,
            "The logits have no gradient at the image: " + NO_GRADIENT: not facts["has_gradient"],
            "Only probabilities are known. Their logarithms differ from the logits by one number "
            "for each image: predictions and confidences are exact, gradients are those of the "
            "log-probability.": facts["head"] == "log_probabilities",
        }
        return [sentence for sentence, is_so in said.items() if is_so]

    # --- identity -----------------------------------------------------------------------------

    @property
    def num_parameters(self) -> int:
        """Number of weights, trained or not."""
        return int(self.model.count_params())

    @property
    def digest(self) -> str:
        """Content of the model, as it is now: layers in order, preprocessing, weight bytes.

        Names do not count: a model that was saved and loaded keeps its digest.
        """
        layers = [(*_kind(tap.layer), list(tap.shape)) for tap in self.network.taps()]
        content = hashlib.blake2b(digest_size=16)
        settings = [self.preprocessing.describe(), self.head, layers]
        if self.network.output is not None:
            settings.append(self.network.output)
        content.update(json.dumps(settings).encode())
        for variable in self.model.weights:
            value = np.asarray(variable)
            content.update(f"{value.dtype}{value.shape}".encode())
            content.update(value.tobytes())
        return content.hexdigest()

    def settings(self) -> dict[str, Any]:
        """The arguments that make the same classifier of a copy of its model.

        Example:
            >>> Classifier(keras.models.clone_model(classifier.model), **classifier.settings())
        """
        return {
            "preprocessing": self.preprocessing_choice,
            "head": self.head,
            "output": self.network.output,
            "class_names": self.class_names,
            "input_size": self._given_size,
            "name": self.name,
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model as ``.keras``, and beside it, in ``.keras.json``, how it wants input."""
        from kernel_lib.models.settings import write_settings
        from kernel_lib.tasks import atomic_path

        path = Path(path)
        if path.suffix != ".keras":
            raise ValueError(f"A model file must end in .keras. Received: {path.name!r}.")
        with atomic_path(path) as temporary:
            self.model.save(temporary)
        write_settings(self, path)
        return path

    def __repr__(self) -> str:
        shape = "x".join("?" if size is None else str(size) for size in self.input_shape)
        return (
            f"Classifier({self.name!r}, images {shape} {self.preprocessing.name}, "
            f"{self.num_classes} classes, {self.num_parameters:,} parameters)"
        )


def as_classifier(model: Any) -> Classifier:
    """Return `model` if it is a `Classifier`, otherwise wrap it with the default settings.

    A bare model is checked and compiled once; asked again soon, the same wrapper comes back.
    """
    if isinstance(model, Classifier):
        return model
    return _wrapped(model) if isinstance(model, keras.Model) else Classifier(model)


@lru_cache(maxsize=4)
def _wrapped(model: keras.Model) -> Classifier:
    return Classifier(model)


def check_unit_range(images: np.ndarray) -> None:
    """Refuse NaN, infinite values, and images that are not in [0, 1]."""
    low, high = float(images.min()), float(images.max())  # NaN comes through both
    if not np.isfinite(low) or not np.isfinite(high):
        raise ValueError("Images must be finite: there are NaN or infinite pixels.")
    if low < 0 or high > 1:
        hint = " They look like 0..255: divide by 255." if low >= 0 and high > 2 else ""
        raise ValueError(
            f"Pixels must lie in [0, 1]. Received: values from {low:g} to {high:g}.{hint}"
        )


def _class_names(names: ClassNames | None, num_classes: int) -> tuple[str, ...]:
    if names is None:
        return tuple(str(index) for index in range(num_classes))
    if isinstance(names, str | os.PathLike | Mapping):  # whose own order is none
        names = class_name_list(names)
    if len(names) != num_classes:
        hint = (
            " Where the first output is a background class, as in some networks of ImageNet, name "
            "it too: class_names=['background', *class_names]."
            if len(names) == num_classes - 1
            else ""
        )
        raise ValueError(
            f"The model has {num_classes} classes. Received: {len(names)} class names.{hint}"
        )
    return tuple(str(name) for name in names)


def _kind(layer: keras.Operation) -> tuple[str, str]:
    """Class and activation of a layer."""
    activation = getattr(layer, "activation", None)
    return type(layer).__name__, getattr(activation, "__name__", "")


def _are_shares(values: np.ndarray) -> bool:
    return bool((values >= 0).all() and np.allclose(values.sum(axis=1), 1, atol=1e-3))


def _are_probabilities(values: np.ndarray) -> bool:
    return bool((values >= 0).all() and (values <= 1).all() and (values > 0).any())


def _noise(shape: Sequence[int]) -> np.ndarray:
    return np.random.default_rng(0).random((2, *shape), np.float32)


def _compute_dtypes(model: keras.Model) -> set[str]:
    own = [layer for layer in model._flatten_layers() if layer.weights]
    return {str(layer.compute_dtype) for layer in own if not isinstance(layer, keras.Model)}


def _first_line(error: BaseException) -> str:
    """What a long message of Keras says, without colors and the list of arguments."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("Exception encountered when calling")]
    return (said or lines or [type(error).__name__])[0]


__all__ = [
    "Classifier",
    "Preprocessing",
    "PreprocessingChoice",
    "as_classifier",
    "check_unit_range",
]
