"""Copies of a classifier, so that what a person passes in never changes."""

from __future__ import annotations

import keras

from kernel_lib.models.classifier import Classifier
from kernel_lib.models.networks.registry import seeded


def copied(classifier: Classifier, seed: int = 0) -> Classifier:
    """A classifier with weights of its own, equal to the given ones.

    Args:
        classifier: what is copied.
        seed: seed of the copy's dropout.

    Raises:
        ValueError: the model cannot be copied (a subclass without a configuration).
    """
    model = classifier.model
    try:
        with seeded(seed):
            copy = keras.models.clone_model(model)
        if not copy.built:
            copy.build_from_config(model.get_build_config())
        copy.set_weights(model.get_weights())
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            f"The model {classifier.name!r} cannot be copied, and the model that is passed in "
            "never changes. Use a Functional or Sequential model, or give its class a "
            "get_config() and a from_config()."
        ) from error
    return Classifier(copy, **classifier.settings())
