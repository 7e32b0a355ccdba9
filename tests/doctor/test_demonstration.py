"""The demonstration, on image sets it was not tuned on: treated beats plain fine-tuning.

The treatment is that of the preset `demo`; there are fewer images, so the network trains for longer
and samples of less confidence count.
"""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.data import load
from kernel_lib.doctor import diagnose, plant_shortcut, treat
from kernel_lib.doctor.measure import image_gradients, outside_share
from kernel_lib.models import train

SETTINGS = {"tap": "conv2", "target": "logit", "alpha": 0, "epochs": 5, "learning_rate": 0.05}


@pytest.mark.slow
def test_treatment_with_masks_beats_plain_fine_tuning_on_three_image_sets() -> None:
    found = np.array([accuracies_and_outside(seed) for seed in (301, 302, 303)])
    control, treated = found[:, 0], found[:, 1]
    assert (treated[:, 0] > control[:, 0]).all(), found
    assert (treated[:, 0] - control[:, 0]).mean() > 0.1, found
    assert (treated[:, 1] < control[:, 1] - 0.1).all(), found


def accuracies_and_outside(seed: int) -> list[tuple[float, float]]:
    """Test accuracy, and gradient outside the object, of the control and of the treated."""
    images = load("shapes", seed=seed, size=48, primary="color", num_images=1000)
    images = plant_shortcut(images, 0.9, seed)
    classifier = train("small_cnn", images, epochs=7, seed=seed, progress=False)
    diagnosis = diagnose(classifier, images, tap="conv2", min_confidence=0.4, progress=False)
    found = []
    for beta in (0, 10):  # plain fine-tuning, then the treatment
        treated = treat(
            classifier, images, diagnosis, beta=beta, seed=seed, progress=False, **SETTINGS
        ).classifier
        accuracy = treated.accuracy(images.test.images, images.test.labels)
        slopes = image_gradients(treated, images.test, 128)
        found.append((accuracy, float(outside_share(slopes, images.test.masks).mean())))
    return found
