"""The whole check-up on tiny images: form, files, verdicts, and what it leaves behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kernel_lib.data import ImageSet
from kernel_lib.doctor import DoctorResult, audit
from kernel_lib.doctor.verdict import Findings, judge
from whole_results import check_it_comes_back, with_odd_names

from .conftest import two_layer_network

SETTINGS = {
    "alpha": 1,
    "beta": 1,
    "epochs": 1,
    "num_seeds": 2,
    "min_confidence": 0,
    "num_display": 3,
    "progress": False,
}


@pytest.fixture(scope="module")
def classifier():
    return two_layer_network(seed=2)


@pytest.fixture
def seen(classifier, images):
    """Images labelled as the network sees them, so that every class has right ones."""
    head = classifier.model.get_layer("logits")
    head.bias.assign(head.bias - classifier.logits(images.images).mean(axis=0))
    labels = classifier.predict(images.images)
    return ImageSet(images.images, labels, ("a", "b", "c"), masks=images.masks)


def test_it_compares_treatment_and_control_and_leaves_the_network(classifier, seen, tmp_path):
    before = classifier.digest
    result = audit(classifier, seen, **SETTINGS)
    assert classifier.digest == before
    table = result.tables["treatment"]
    assert table.network.tolist() == ["before", "control", "control", "treated", "treated"]
    assert table.accuracy[0] == pytest.approx(
        classifier.accuracy(seen.test.images, seen.test.labels)
    )
    changes = (table.fixed - table.broken) / len(seen.test)
    np.testing.assert_allclose(table.accuracy - table.accuracy[0], changes, atol=1e-9)
    gain = result.tables["comparison"].iloc[0]
    assert gain.gain == pytest.approx(gain.treated - gain.control)
    assert result.scores["gain_over_control"] == pytest.approx(gain.gain)
    assert set(result.parameters["recipe"]) >= {"alpha", "beta", "tap"}

    folder = result.save(tmp_path)
    loaded = DoctorResult.load(folder)
    assert loaded.scores == result.scores
    assert loaded.verdict == result.verdict
    for name, array in result.arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], array)
    for name in ("comparison", "channels", "classes"):
        np.testing.assert_array_equal(loaded.tables[name].columns, result.tables[name].columns)
    pictures = {path.stem for path in (folder / "figures").glob("*.png")}
    assert pictures >= {"comparison", "saliency", "correlation", "channels", "ablation", "history"}

    names = list(result.parameters["class_names"])
    check_it_comes_back(with_odd_names(result, names), tmp_path / "odd")

    # The treated network is handed over, the same to the last bit, also by a result that was read.
    again = loaded.treated()
    assert again.digest == result.treated().digest != before
    assert again.name == f"{classifier.name}_md"
    right = again.predict(seen.test.images) == seen.test.labels
    np.testing.assert_array_equal(right, result.arrays["right_treated"][0])
    loaded.save(folder)  # over itself
    elsewhere = DoctorResult.load(loaded.save(tmp_path / "elsewhere"))
    assert elsewhere.treated().digest == again.digest
    (folder / "treated.keras").write_bytes(b"of another run")
    with pytest.raises(ValueError, match=r"treated\.keras is not the file that was written with"):
        DoctorResult.load(folder)


def test_without_treatment_and_without_masks(classifier, seen):
    bare = replace(seen, masks=None)
    result = audit(classifier, bare, treatment=False, min_confidence=0, progress=False)
    assert "treatment" not in result.tables
    assert np.isnan(result.scores["background_reliance"])
    assert result.parameters["blame"] == "errors"
    assert "networks" not in result.figures()
    with pytest.raises(ValueError, match="holds no treated network: it was made with treatment="):
        result.treated()
    other = audit(classifier, bare, treatment=False, min_confidence=0, batch_size=5, progress=False)
    for name in ("averages", "relies", "right_before"):
        np.testing.assert_allclose(result.arrays[name], other.arrays[name], rtol=1e-5)


def test_the_network_stays_when_it_is_interrupted(classifier, seen, monkeypatch):
    from kernel_lib.doctor.course import Course

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    before = classifier.digest
    monkeypatch.setattr(Course, "fit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        audit(classifier, seen, **SETTINGS)
    assert classifier.digest == before


def test_other_images_are_refused(classifier, images):
    with pytest.raises(ValueError, match="have 2 classes"):
        audit(classifier, ImageSet(images.images, images.labels % 2), progress=False)
    with pytest.raises(ValueError, match="`num_seeds` must be at least 1"):
        audit(classifier, images, num_seeds=0, progress=False)


NAN = float("nan")
BASE = Findings((0.3, 0.2, 0.4), 0.0, 1.0, (0.1, 0.05, 0.15), (0.5, 0.6, 0.7), 3, 2)


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({}, "warning", "The background misleads the network: 30 %"),
        ({"gain": (0.01, -0.02, 0.04)}, "fail", "plain fine-tuning"),
        ({"gain": None}, "fail", "It was not treated"),
        ({"failed": True}, "fail", "background misleads"),
        ({"reliance": (0.01, -0.01, 0.03)}, "pass", "No region or channel"),
        ({"reliance": (NAN, NAN, NAN)}, "undetermined", "without masks"),
        (
            {"reliance": (NAN, NAN, NAN), "ablation_gain": 0.1, "ablation_p": 0.01},
            "warning",
            "Without the 2 blamed channels it is 10.0 points more accurate",
        ),
    ],
)
def test_verdicts(changes, status, words):
    verdict = judge(replace(BASE, **changes))
    assert verdict.status == status
    assert words in verdict.headline


def test_few_seeds_are_not_trusted():
    assert "at least 3 seeds" in judge(replace(BASE, num_seeds=1)).next_step
    assert "did harm" in judge(replace(BASE, gain=(-0.1, -0.2, -0.05))).means
