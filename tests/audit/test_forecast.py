"""Forecasts against the passes that audits really make."""

from __future__ import annotations

from collections import Counter

import keras
import numpy as np
import pytest

import kernel_lib as kl
from kernel_lib.audit.forecast import Speed, Work, announce, duration, forecast, work_of
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import CompiledNetwork


@pytest.fixture(scope="module")
def images():
    return kl.data.load("digits", num_images=300)


@pytest.fixture(scope="module")
def network(images):
    return kl.models.train("small_cnn", images, epochs=2, progress=False)


class _Counted:
    """A compiled function that notes how many images it is given."""

    def __init__(self, function, counts, kind):
        self.function, self.counts, self.kind = function, counts, kind

    def __call__(self, first, *others):
        self.counts[self.kind] += int(np.shape(first)[0])
        return self.function(first, *others)

    def __getattr__(self, name):
        return getattr(self.function, name)


@pytest.fixture
def passes(monkeypatch):
    counts: Counter[str] = Counter()
    plain = CompiledNetwork.function

    def function(self, key, body, signature):
        kind = "gradient" if "grad" in str(key).lower() or "path" in str(key) else "forward"
        return _Counted(plain(self, key, body, signature), counts, kind)

    monkeypatch.setattr(CompiledNetwork, "function", function)
    return counts


def fresh(network: Classifier) -> Classifier:
    return Classifier(network.model, preprocessing=network.preprocessing)


@pytest.mark.parametrize(
    "options",
    [
        {"methods": ["gradient", "input_times_gradient", "gradcam"], "num_images": 10},
        {"methods": ["smoothgrad", "vargrad", "guided_gradcam"], "num_images": 4, "num_seeds": 1},
    ],
)
def test_gradient_passes_of_the_saliency_audit(network, images, passes, options):
    classifier = fresh(network)
    options = {"num_seeds": 2, "options": kl.saliency.Options(smoothgrad_samples=3)} | options
    kl.saliency.audit(classifier, images, progress=False, **options)
    expected = work_of("saliency", classifier, images, options)
    # Ceilings of methods that draw noise, and controls, are a pass more here and there.
    assert passes["gradient"] == pytest.approx(expected.gradient, rel=0.25)


def test_forward_passes_of_the_invariance_audit(network, images, passes):
    classifier = fresh(network)
    kl.intake(classifier, images)
    passes.clear()
    options = {"num_images": 60, "num_display": 4}
    kl.invariance.audit(classifier, images, progress=False, **options)
    expected = work_of("invariance", classifier, images, options)
    assert passes.total() == pytest.approx(expected.forward, rel=0.1)


def test_unknown_options_and_audits_are_named(network, images):
    with pytest.raises(ValueError, match="num_sedes.*Did you mean 'num_seeds'"):
        work_of("saliency", network, images, {"num_sedes": 2})
    with pytest.raises(ValueError, match="`audit` must be one of"):
        forecast("salience", network, images)
    with pytest.raises(TypeError, match="with its name, such as audit"):
        kl.intake(network, images, num_seeds=2)


def test_time_is_passes_times_speed():
    work = Work(forward=100, gradient=10, other=2.5)
    assert Speed(0.01, 0.1).seconds(work) == pytest.approx(1 + 1 + 2.5)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (80, "80 s"), (700, "12 min"), (11_000, "3.1 h")]
)
def test_times_read_as_people_say_them(seconds, words):
    assert duration(seconds) == words


def test_a_long_audit_is_announced_with_what_would_be_cheaper(network, images, capsys, monkeypatch):
    from kernel_lib.audit import forecast as module

    options = {"num_images": 50, "num_seeds": 5}
    monkeypatch.setattr(module, "measured_speed", lambda *_: Speed(1e-5, 3e-5))
    announce("saliency", network, images, options, progress=True)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(module, "measured_speed", lambda *_: Speed(0.5, 2.0))
    monkeypatch.setattr(module, "_CERTAINLY_SHORT", 0)
    announce("saliency", network, images, options, progress=True)
    told = capsys.readouterr().err
    assert "num_seeds=1 takes" in told and " h on this machine" in told
    announce("saliency", network, images, options, progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("audit", ["doctor", "errors", "invariance", "saliency", "trust"])
def test_every_audit_can_be_forecast(network, images, audit):
    found = kl.intake(network, images, audit=audit)
    assert found.forecast["seconds"] >= 0
    assert audit in found.forecast["summary"]
    assert "Forecast" in str(found)


def test_a_forecast_leaves_the_model_as_it_was(network, images):
    before = [np.asarray(v).copy() for v in network.model.weights]
    kl.intake(network, images, audit="errors")
    after = [np.asarray(v).copy() for v in network.model.weights]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert isinstance(network.model, keras.Model)
