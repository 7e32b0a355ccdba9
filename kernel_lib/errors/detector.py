"""A detector of wrong predictions that can be fitted, saved, loaded, and asked again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.errors import thresholds
from kernel_lib.errors.dropout import dropout_taps
from kernel_lib.errors.evidence import Evidence, Reading
from kernel_lib.errors.learned import out_of_fold
from kernel_lib.errors.metrics import check_both_kinds
from kernel_lib.errors.mutants import MutantSet, mutants
from kernel_lib.errors.registry import SCORES, Options, Score, chosen
from kernel_lib.models.classifier import Classifier, as_classifier


class ErrorDetector:
    """Gives each prediction a suspicion, learned on images the network was not trained on.

    Args:
        kind: a name of `kernel_lib.errors.scores()`: "conductance", "label_change_rate", "both",
            "msp", ...
        reading: how conductance is read; see `Reading`.
        mutants: settings of the mutants, as for `kernel_lib.errors.mutants`, such as
            `{"gamma": 0.02, "num_mutants": 50}`; or a `MutantSet` found before.
        head: classifier on top of features: "logistic", "mlp", "forest", "lda" or "qda".
        seed: seed of folds, heads and mutants.

    Attributes:
        calibration_scores: after `fit`, the suspicion of each calibration image by a detector
            that was fitted without it.

    Example:
        >>> held_out, new = images.calibration, images.test
        >>> detector = kl.errors.ErrorDetector("both").fit(model, held_out.images, held_out.labels)
        >>> suspicion = detector.score(new.images)
        >>> withheld = detector.flag(new.images, rule="risk", value=0.02)
        >>> detector.save("detector.npz")
        >>> detector = kl.errors.ErrorDetector.load("detector.npz", model)  # on another day
    """

    def __init__(
        self,
        kind: str = "conductance",
        *,
        reading: Reading | None = None,
        mutants: dict[str, Any] | MutantSet | None = None,
        head: str = "logistic",
        seed: int = 0,
    ):
        self.definition: Score = SCORES[check_choice("kind", kind, SCORES)]
        self.reading = reading_for(self.definition, reading or Reading(seed=seed))
        self.options = Options(head, seed)
        self._mutant_settings = mutants or {}
        self.mutants: MutantSet | None = None

    def fit(self, model: Any, images: np.ndarray, labels: np.ndarray) -> Self:
        """Learn what wrong predictions look like.

        Args:
            model: a Keras model or a `Classifier`.
            images: (num_images, height, width, channels) in [0, 1] that the model was not trained
                on.
            labels: (num_images,) their classes.

        Raises:
            ValueError: all predictions right, or all wrong, or too few wrong to learn from.
        """
        self.classifier: Classifier = as_classifier(model)
        images, labels = self.classifier.check_images(images), np.asarray(labels)
        wrong = self.classifier.predict(images) != labels
        check_both_kinds(wrong, "the calibration images")
        if "votes" in self.definition.needs:
            self.mutants = self._find_mutants(images, labels)
        evidence = self._gather(images)
        self.calibration_wrong = wrong
        self.calibration_scores = out_of_fold(self._make, evidence, wrong, self.options.seed)
        self._scorer = self._make().fit(evidence, wrong)
        return self

    def score(self, images: np.ndarray) -> np.ndarray:
        """Suspicion of each prediction, (num_images,); higher for more likely wrong."""
        self._check_fitted()
        return self._scorer.score(self._gather(images))

    def threshold(self, rule: str = "equal_recall", value: float | None = None) -> float:
        """A threshold from calibration alone; see `kernel_lib.errors.thresholds`."""
        self._check_fitted()
        return thresholds.threshold(self.calibration_scores, self.calibration_wrong, rule, value)

    def flag(
        self, images: np.ndarray, rule: str = "equal_recall", value: float | None = None
    ) -> np.ndarray:
        """Whether each prediction should be withheld, (num_images,) bool."""
        return self.score(images) > self.threshold(rule, value)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fitted detector to a file, without the network.

        Args:
            path: an ``.npz`` file of plain arrays; nothing in it can run.

        Returns:
            The file.

        Raises:
            ValueError: not fitted yet, or a head that cannot be written as arrays.
        """
        self._check_fitted()
        from kernel_lib.errors.detector_file import save

        return save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], model: Any) -> Self:
        """Read what `save` wrote; the detector gives the same scores to the last bit.

        Args:
            path: the file.
            model: the network it was fitted on, a Keras model or a `Classifier`.

        Raises:
            FileNotFoundError: no such file.
            ValueError: damaged, no detector, or fitted on another network.
        """
        from kernel_lib.errors.detector_file import load

        return load(cls, path, as_classifier(model))

    def _make(self) -> Any:
        return self.definition.make(self.options)

    def _find_mutants(self, images: np.ndarray, labels: np.ndarray) -> MutantSet:
        if isinstance(self._mutant_settings, MutantSet):
            return self._mutant_settings
        settings = {"seed": self.options.seed, "batch_size": self.reading.batch_size}
        return mutants(self.classifier, images, labels, **settings | self._mutant_settings)

    def _gather(self, images: np.ndarray) -> Evidence:
        recipes = () if self.mutants is None else tuple(self.mutants)
        return self.reading.gather(self.classifier, images, recipes)

    def _check_fitted(self) -> None:
        if not hasattr(self, "_scorer"):
            raise ValueError("The detector is not fitted yet: call fit(model, images, labels).")


def reading_for(score: Score, reading: Reading) -> Reading:
    """Read only what the score looks at."""
    from dataclasses import replace

    layers: Sequence[str] | None = reading.layers if "conductance" in score.needs else []
    passes = reading.dropout_passes if "dropout" in score.needs else 0
    return replace(reading, layers=layers, dropout_passes=passes)


def baseline_scores(
    model: Any,
    images: np.ndarray,
    calibration_images: np.ndarray,
    calibration_labels: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    seed: int = 0,
    batch_size: int | None = None,
) -> dict[str, np.ndarray]:
    """Suspicion by everything that needs neither conductance nor mutants.

    Args:
        model: a Keras model or a `Classifier`.
        images: (num_images, height, width, channels) in [0, 1], to be scored.
        calibration_images, calibration_labels: held-out images that those baselines learn from
            which learn.
        names: which; None for all that fit the network.
        seed: seed of dropout and of heads that draw.
        batch_size: images in memory at once; None fits the image size.

    Returns:
        Name -> (num_images,) suspicion.
    """
    classifier = as_classifier(model)
    has_dropout = bool(dropout_taps(classifier))
    wanted = chosen(names, has_votes=False, has_dropout=has_dropout)
    baselines = [s for s in wanted if not s.is_subject and (names is None or s.name in names)]
    reading = Reading(layers=[], seed=seed, batch_size=batch_size)
    known = reading.gather(classifier, calibration_images)
    asked = reading.gather(classifier, images)
    wrong = known.predicted != np.asarray(calibration_labels)
    check_both_kinds(wrong, "the calibration images")
    return {
        score.name: score.make(Options(seed=seed)).fit(known, wrong).score(asked)
        for score in baselines
    }
