"""Treat a network: fine-tune it so that each class relies on its own channels and its object.

Feng et al., Model Doctor: A Simple Gradient Aggregation Strategy for Diagnosing and Treating CNN
Classifiers, AAAI 2022, with corrections that `docs/doctor.md` lists.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kernel_lib import __version__
from kernel_lib._checks import check_choice, check_count, check_number
from kernel_lib._progress import progress as progress_bar
from kernel_lib.data import ImageSet
from kernel_lib.doctor.batches import Batches, backgrounds
from kernel_lib.doctor.course import Course
from kernel_lib.doctor.diagnosis import Diagnosis, diagnose
from kernel_lib.doctor.keeping import Keeper, StopAtNaN, Validation
from kernel_lib.doctor.places import check_tap, map_size
from kernel_lib.doctor.recipe import MODES, Recipe
from kernel_lib.doctor.survey import is_flat, survey
from kernel_lib.models.augmentation import augmentation
from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.models.copying import copied
from kernel_lib.tasks import digest

if TYPE_CHECKING:
    import pandas as pd

_SMALLEST_MAP = 4  # the authors advise against the spatial loss on smaller maps
_SMALLEST_IMAGE = 32  # and on images of this side or less


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a treatment trains.

    Attributes:
        epochs: times to go through the training images; at most so many with `patience`.
        learning_rate: of stochastic gradient descent with momentum 0.9, falling to 0 as a cosine.
        batch_size: images in a step.
        masked_share: least share of masked images in each batch; None leaves it to chance.
        patience: epochs without a better validation accuracy before it stops and takes the best
            weights; None runs all epochs and takes the last.
        clip: largest norm of a step's gradient.
        seed: names the order of the images and how they are moved.
        augment: random moves of images and their masks, "none", "auto" or words such as
            "crop4_flip", see `kernel_lib.models.train`.
    """

    epochs: int = 5
    learning_rate: float = 0.01
    batch_size: int = 32
    masked_share: float | None = None
    patience: int | None = None
    clip: float = 1.0
    seed: int = 0
    augment: str = "none"

    def __post_init__(self) -> None:
        check_count("epochs", self.epochs)
        check_count("batch_size", self.batch_size)
        check_count("seed", self.seed, low=0)
        if not isinstance(self.augment, str):
            raise TypeError(
                "`augment` of a treatment must be a name such as 'crop4_flip', because masks are "
                f"moved too. Received: {type(self.augment).__name__}."
            )
        if self.patience is not None:
            check_count("patience", self.patience)
        if self.masked_share is not None:
            check_number("masked_share", self.masked_share, 0, 1)
        for name in ("learning_rate", "clip"):
            if check_number(name, getattr(self, name), 0) == 0:
                raise ValueError(f"`{name}` must be above 0. Received: {name}=0.")


@dataclass
class Treatment:
    """A treated network and how it came about.

    Attributes:
        classifier: the treated network, a new `Classifier`.
        history: a dict an epoch: loss, its parts, accuracy, validation_accuracy.
        recipe, schedule: what was done.
        notes: sentences on what was left out or stopped, and why.
    """

    classifier: Classifier
    history: list[dict[str, float]]
    recipe: Recipe
    schedule: Schedule
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> pd.DataFrame:
        """The history as a table, one row an epoch."""
        import pandas as pd

        return pd.DataFrame(self.history)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the network as ``NAME_md.keras``; a file that is there is never overwritten.

        Raises:
            FileExistsError: the folder holds such a file.
        """
        path = Path(folder) / f"{self.classifier.name}.keras"
        if path.exists():
            raise FileExistsError(f"{path} exists and is not overwritten. Choose another folder.")
        return self.classifier.save(path)


def treat(
    model: Any,
    images: ImageSet,
    diagnosis: Diagnosis | None = None,
    *,
    alpha: float | None = None,
    beta: float | None = None,
    mode: str = "corrected",
    tap: str | None = None,
    target: str | None = None,
    reading: str | None = None,
    scaling: str | None = None,
    epochs: int = 5,
    learning_rate: float = 0.01,
    batch_size: int = 32,
    masked_share: float | None = None,
    patience: int | None = None,
    augment: str = "none",
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: bool = True,
) -> Treatment:
    """Fine-tune a copy of the network under L = CE + alpha L_c + beta L_s.

    Args:
        model: a Keras model or a `Classifier`. It is left exactly as it was.
        images: an `ImageSet`. Its training split is trained on; images whose mask is empty, or
            sets without masks, take no part in the spatial loss.
        diagnosis: what each class relies on; None makes one.
        alpha: weight of the channel loss; None is 1, or 10 in paper mode.
        beta: weight of the spatial loss; None is 1 if there are masks, the images are larger than
            32 pixels and the maps at least 4x4, else 0 (the authors' advice); 0 in paper mode.
        mode: "corrected", or "paper" for the authors' published settings: raw logits, only what
            raises the score, alpha 10, no scaling.
        tap: where gradients are constrained; None takes that of the diagnosis.
        target: "log_prob", "prob", "loss" or "logit"; None is "log_prob", or "logit" in paper
            mode.
        reading: what is kept off the background: "gradient_x_activation", which is what actually
            flows into the score, or the bare "gradient"; None is the first, or the second in
            paper mode.
        scaling: "match" or "none", see `Recipe`; None is "match", or "none" in paper mode.
        epochs, learning_rate, batch_size, masked_share, patience, augment, seed: see `Schedule`.
        folder: where the state is kept after each epoch; a killed treatment goes on from there,
            to the same weights.
        callbacks: Keras callbacks of your own.
        progress: show a progress bar.

    Returns:
        A `Treatment` with a new classifier named ``NAME_md``.

    Raises:
        ValueError: a combination that cannot do anything, such as a target whose gradient does
            not reach any convolution; masks asked for where there are none.

    Example:
        >>> treatment = treat(model, images, diagnosis, epochs=3)
        >>> treatment.classifier.accuracy(images.test.images, images.test.labels)
    """
    check_choice("mode", mode, MODES)
    classifier = as_classifier(model)
    classifier.check_image_set(images)
    schedule = Schedule(
        epochs, learning_rate, batch_size, masked_share, patience, seed=seed, augment=augment
    )
    augmentation(augment, images)  # an unknown name is refused before anything is computed
    if diagnosis is None:
        diagnosis = diagnose(classifier, images, tap=tap, seed=seed, progress=progress)
    recipe, notes = recipe_for(
        classifier, images, diagnosis, alpha=alpha, beta=beta, mode=mode, tap=tap, target=target,
        reading=reading, scaling=scaling,
    )  # fmt: skip
    practice = Practice(classifier, images, diagnosis, recipe)
    treated = practice.run(schedule, folder=folder, callbacks=callbacks, progress=progress)
    return replace(treated, notes=(*notes, *treated.notes))


def recipe_for(
    classifier: Classifier,
    images: ImageSet,
    diagnosis: Diagnosis,
    *,
    alpha: float | None = None,
    beta: float | None = None,
    mode: str = "corrected",
    tap: str | None = None,
    target: str | None = None,
    reading: str | None = None,
    scaling: str | None = None,
) -> tuple[Recipe, tuple[str, ...]]:
    """Fill in what was not said; see `treat` for the arguments.

    Returns:
        The recipe, and sentences on what was switched off and why.
    """
    is_paper = check_choice("mode", mode, MODES) == "paper"
    place = check_tap(classifier.network, tap or diagnosis.tap)
    _refuse_other_tap(diagnosis, place.name)
    size = map_size(place, images.image_shape, classifier.network)
    beta, notes = _chosen_beta(beta, is_paper, images.train, size)
    recipe = Recipe(
        place.name,
        alpha=(10.0 if is_paper else 1.0) if alpha is None else alpha,
        beta=beta,
        target=target or ("logit" if is_paper else "log_prob"),
        aggregate="relu" if is_paper else "absolute",
        reading=reading or ("gradient" if is_paper else "gradient_x_activation"),
        scaling=scaling or ("none" if is_paper else "match"),
    )
    return recipe, notes


class Practice:
    """Treatments of one network that differ only in their schedule share one compiled step.

    Args:
        classifier: the network; a copy of it is treated.
        images: the images.
        diagnosis: what each class relies on.
        recipe: what is constrained.
    """

    def __init__(
        self,
        classifier: Classifier,
        images: ImageSet,
        diagnosis: Diagnosis,
        recipe: Recipe,
    ):
        self.original, self.images, self.recipe = classifier, images, recipe
        self._relies = diagnosis.relies(recipe.tap)
        self._course: Course | None = None
        train = images.train
        place = check_tap(classifier.network, recipe.tap)
        size = map_size(place, images.image_shape, classifier.network)
        self._background, self._has_mask = backgrounds(train, size)
        self._train = train

    def run(
        self,
        schedule: Schedule,
        *,
        folder: str | os.PathLike[str] | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        progress: bool = True,
    ) -> Treatment:
        """Treat a fresh copy by this schedule."""
        batches = self._batches(schedule)
        course = self._prepared(batches)
        steps = len(batches) * schedule.epochs
        course.compile(_optimizer(schedule, steps), jit_compile=False)
        course.optimizer.build(course.trainable_variables)
        keeper = Keeper(course, self._state_path(schedule, folder))
        keeper.resume()
        own, is_over = self._own_callbacks(keeper, schedule)
        if len(keeper.history) < schedule.epochs and not is_over:
            # The bar's label says what is trained; one tick an epoch.
            own.append(_Bar(schedule.epochs - len(keeper.history), self.original.name, progress))
            course.fit(
                batches.dataset(len(keeper.history), schedule.epochs),
                steps_per_epoch=len(batches),
                epochs=schedule.epochs,
                initial_epoch=len(keeper.history),
                callbacks=[*own, *callbacks],
                shuffle=False,
                verbose=0,
            )
        else:
            for callback in own:
                callback.on_train_end()
        notes = (keeper.message,) if keeper.message else ()
        result = copied(course.classifier)
        result.name = f"{self.original.name}_md"
        result.history = keeper.history
        return Treatment(result, keeper.history, self.recipe, schedule, notes)

    def _prepared(self, batches: Batches) -> Course:
        """The course with the original weights, surveyed before it is used first."""
        if self._course is None:
            course = Course(copied(self.original), self.recipe, self._relies)
            course.build((None, *self.images.image_shape))
            if not self.recipe.is_plain:
                self._check(course, batches)
            self._course = course
        values = self.original.model.get_weights()
        self._course.classifier.model.set_weights(values)
        return self._course

    def _check(self, course: Course, batches: Batches) -> None:
        """Refuse constraints that can do nothing, and bring the others to size."""
        found = survey(course, self._survey_batch(batches), self.recipe.target == "logit")
        if found.reaches_trunk is False:
            raise ValueError(
                "The constraint has no gradient at any convolution, only at the head: all layers "
                f"after the tap {self.recipe.tap!r} are piecewise linear, so the gradient of a raw "
                "logit does not depend on what comes before. Use target='log_prob', or a tap "
                "before another convolution."
            )
        if self.recipe.beta and is_flat(found):
            raise ValueError(
                f"The gradient at the tap {self.recipe.tap!r} is the same at every place of a map "
                "(it feeds global pooling directly), so the spatial loss could only shrink "
                "weights. Use reading='gradient_x_activation', or a tap before the last activation."
            )
        if self.recipe.scaling == "match":
            sizes = (found.channel, found.spatial)
            factors = [found.cross_entropy / size if size > 0 else 1.0 for size in sizes]
            course.scale.assign(np.array(factors, np.float32))

    def _survey_batch(self, batches: Batches) -> tuple:
        """A batch that holds masked images, if there are any."""
        order = batches.order(0)
        masked_first = np.argsort(-self._has_mask[order], kind="stable")
        return batches.at(order[masked_first[:64]])

    def _batches(self, schedule: Schedule) -> Batches:
        return Batches(
            self._train.images,
            self._train.labels,
            self._background,
            self._has_mask,
            batch_size=schedule.batch_size,
            seed=schedule.seed,
            masked_share=schedule.masked_share,
            augment=augmentation(schedule.augment, self.images),
            masks=self._train.masks,
        )

    def _own_callbacks(
        self, keeper: Keeper, schedule: Schedule
    ) -> tuple[list[keras.callbacks.Callback], bool]:
        held_out = self.images.splits["calibration"]
        if not len(held_out):
            if schedule.patience is not None:
                raise ValueError("`patience` needs images in the calibration split.")
            return [StopAtNaN(keeper), keeper], False
        images, labels = self.images.images[held_out], self.images.labels[held_out]
        validation = Validation(keeper, images, labels, schedule.patience)
        return [StopAtNaN(keeper), validation, keeper], validation.is_over

    def _state_path(self, schedule: Schedule, folder: Any) -> Path | None:
        if folder is None:
            return None
        recipe = {
            "model": self.original.digest,
            "images": self.images.digest,
            "relies": self._relies,
            "recipe": asdict(self.recipe),
            "schedule": asdict(schedule),
            "version": __version__,
            "moves": getattr(augmentation(schedule.augment, self.images), "recipe", "none"),
        }
        return Path(folder) / f"treat-{digest(recipe)}.npz"


class _Bar(keras.callbacks.Callback):
    def __init__(self, epochs: int, name: str, enabled: bool):
        super().__init__()
        self._steps = iter(progress_bar(range(epochs), f"Treating {name}", enabled=enabled))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        next(self._steps, None)

    def on_train_end(self, logs: Any = None) -> None:
        next(self._steps, None)


def _optimizer(schedule: Schedule, steps: int) -> keras.Optimizer:
    rate = keras.optimizers.schedules.CosineDecay(schedule.learning_rate, steps)
    return keras.optimizers.SGD(rate, momentum=0.9, global_clipnorm=schedule.clip)


def _chosen_beta(
    beta: float | None, is_paper: bool, train: ImageSet, size: tuple[int, int]
) -> tuple[float, tuple[str, ...]]:
    """The weight of the spatial loss, and why it is off where it is."""
    has_masks = train.masks is not None and bool(train.masks.any())
    if beta is not None:
        if beta and not has_masks:
            raise ValueError(
                f"beta={beta:g} asks for the spatial loss, but no training image has a mask. Bring "
                "masks in with kernel_lib.data.import_labelme, or leave `beta` out."
            )
        return beta, ()
    if is_paper:
        return 0.0, ()
    if not has_masks:
        return 0.0, ("No training image has a mask, so there is no spatial loss.",)
    if max(train.image_shape[:2]) <= _SMALLEST_IMAGE or min(size) < _SMALLEST_MAP:
        reason = (
            f"Images of {train.image_shape[0]}x{train.image_shape[1]} pixels with maps of "
            f"{size[0]}x{size[1]} are too small for the spatial loss to be of use (it needs more "
            "than 32 pixels and maps of at least 4x4), so it is off. Give `beta` to use it anyway."
        )
        return 0.0, (reason,)
    return 1.0, ()


def _refuse_other_tap(diagnosis: Diagnosis, tap: str) -> None:
    if tap not in diagnosis.averages:
        raise ValueError(
            f"The diagnosis does not cover the tap {tap!r}. It covers: "
            f"{', '.join(diagnosis.layers)}. Diagnose with tap={tap!r} first."
        )
