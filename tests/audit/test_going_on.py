"""What an audit says where it cannot go on, and networks that it declines."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kernel_lib.audit.findings import Finding, Intake
from kernel_lib.audit.guards import need_one_class, stops_first
from kernel_lib.models import Classifier


def intake_with(*findings):
    return Intake({}, {}, None, [], {}, {}, findings=findings)


def test_a_stop_of_the_intake_leads_and_the_error_follows():
    stop = Finding("guessing", "stop", "The network is guessing.", "Train it further.")
    with (
        pytest.raises(
            ValueError, match=r"^The network is guessing\. Train it further\. .* go on: none$"
        ),
        stops_first(intake_with(stop)),
    ):
        raise ValueError("none")


def test_without_a_stop_and_for_other_errors_nothing_is_added():
    note = Finding("reading", "caution", "One file was skipped.")
    with pytest.raises(ValueError, match="^none$"), stops_first(intake_with(note)):
        raise ValueError("none")
    stop = Finding("guessing", "stop", "The network is guessing.")
    with pytest.raises(KeyError), stops_first(intake_with(stop)):
        raise KeyError("none")


def test_a_yes_or_no_for_each_class_is_declined_with_a_cure_that_works():
    inputs = keras.Input((4, 4, 1))
    outputs = keras.layers.Dense(3, activation="sigmoid")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, outputs)
    with pytest.raises(ValueError, match="^Why. The network .*3 sigmoid units") as caught:
        need_one_class(Classifier(model), "Why.")
    cure = str(caught.value).rpartition("among them: ")[2].rstrip(".")
    cured = eval(cure, {"Classifier": Classifier, "keras": keras, "model": model})
    need_one_class(cured, "Why.")
    images = np.random.default_rng(0).random((5, 4, 4, 1), np.float32)
    shares = np.asarray(model(images))
    np.testing.assert_allclose(
        cured.probabilities(images), shares / shares.sum(axis=1, keepdims=True), rtol=1e-5
    )
