"""The whole check-up on tiny images: form, files, verdicts, and what it leaves behind."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from kernel_lib.data import ImageSet
from kernel_lib.doctor import DoctorResult, audit, diagnose
from kernel_lib.doctor.measure import Measured
from kernel_lib.doctor.report import comparison_table
from kernel_lib.doctor.verdict import (
    LEAST_IMAGES,
    RELIANCE_CUT,
    Findings,
    judge,
    paired_evidence,
)
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


# --- no conclusion without evidence --------------------------------------------------------------


def test_a_network_that_guesses_is_told_so_and_not_to_lower_the_confidence(images):
    """Labels that have nothing to do with the images, and no image that it is sure of."""
    labels = np.random.default_rng(1).permutation(images.labels)
    guessed = ImageSet(images.images, labels, masks=images.masks)
    network = two_layer_network(seed=2)
    with pytest.raises(ValueError, match="guessing") as caught:
        audit(network, guessed, **(SETTINGS | {"min_confidence": 0.999}))
    message = str(caught.value)
    assert message.startswith("The network is guessing") or "tell the network from" in message
    assert "Lower `min_confidence`" not in message
    with pytest.raises(ValueError, match="cannot be told from guessing"):
        diagnose(network, guessed, min_confidence=0.999, progress=False)


def test_a_network_that_guesses_is_undetermined_where_it_can_be_measured(classifier, seen):
    shuffled = np.random.default_rng(0).permutation(seen.labels)
    guessed = ImageSet(seen.images, shuffled, ("a", "b", "c"), masks=seen.masks)
    result = audit(classifier, guessed, **(SETTINGS | {"treatment": False}))
    assert result.verdict.status == "undetermined"
    assert "guess" in result.verdict.headline


def test_a_network_that_is_sure_of_nothing_but_knows_its_task_hears_to_lower_it(classifier, seen):
    with pytest.raises(ValueError, match="Lower `min_confidence`"):
        audit(classifier, seen, **(SETTINGS | {"min_confidence": 1.0}))


def test_a_network_with_a_yes_or_no_for_each_class_is_declined(images):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(3, 3, activation="relu")(inputs)
    x = keras.layers.Dense(3, activation="sigmoid")(keras.layers.Flatten()(x))
    with pytest.raises(ValueError, match="3 sigmoid units"):
        audit(keras.Model(inputs, x), images, **SETTINGS)


def test_few_images_do_not_pass(classifier, seen):
    """Right on everything and misled by nothing that shows, on a dozen images."""
    result = audit(classifier, seen, **(SETTINGS | {"treatment": False}))
    assert result.verdict.status != "pass"


NAN = float("nan")
BASE = Findings(
    reliance=(0.3, 0.2, 0.4),
    reliance_p=1e-6,
    ablation_gain=(0.0, -0.01, 0.01),
    ablation_p=1.0,
    gain=(0.1, 0.05, 0.15),
    accuracies=(0.5, 0.6, 0.7),
    num_seeds=3,
    num_blamed=2,
    num_masked=200,
    num_test=300,
)
CLEAR = {"reliance": (0.01, -0.01, 0.03), "reliance_p": 0.4}
UNMASKED = {"reliance": (NAN, -1.0, 1.0), "reliance_p": 1.0, "num_masked": 0}


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({}, "warning", "The background misleads the network: 30 %"),
        ({"gain": (0.01, -0.02, 0.04)}, "fail", "plain fine-tuning"),
        ({"gain": None}, "fail", "It was not treated"),
        ({"failed": True}, "fail", "background misleads"),
        ({"num_seeds": 1}, "fail", "1 seed: for other images only"),
        (CLEAR, "pass", "No region or channel"),
        (CLEAR | {"reliance": (0.03, -0.01, 0.07)}, "undetermined", "must end below 5 %"),
        (
            CLEAR | {"reliance": (0.0, -0.08, 0.08), "num_masked": 40},
            "undetermined",
            "40 masked images, at least 73 are needed",
        ),
        (CLEAR | {"ablation_gain": (0.02, -0.02, 0.06)}, "undetermined", "must end below 5 points"),
        (UNMASKED, "undetermined", "without masks"),
        (
            UNMASKED | {"ablation_gain": (0.1, 0.03, 0.17), "ablation_p": 0.01},
            "warning",
            "Without the 2 blamed channels it is 10.0 points more accurate",
        ),
        # Two things are searched for: p = 0.03 twice over is no finding, nor is it a pass.
        (
            {"reliance": (0.06, 0.01, 0.11), "reliance_p": 0.03, "ablation_p": 0.9},
            "undetermined",
            "not settled",
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


def test_the_least_number_of_images_is_where_the_interval_can_first_clear_the_cut():
    for count, clears in ((LEAST_IMAGES - 1, False), (LEAST_IMAGES, True)):
        nothing = np.zeros(count, bool)
        assert (paired_evidence(nothing, nothing)[0][2] < RELIANCE_CUT) == clears


@pytest.mark.parametrize("count", [80, 300])
@pytest.mark.parametrize(("excess", "wrong_status"), [(0.0, ("warning", "fail")), (0.05, "pass")])
def test_chance_alone_seldom_decides(count, excess, wrong_status):
    """No reliance is seldom called one, and reliance at the cut seldom passes."""
    random = np.random.default_rng(count)
    found = []
    for _ in range(400):
        same = random.random(count) < 0.1
        other = np.where(random.random(count) < 0.7, same, random.random(count) < 0.1)
        other |= random.random(count) < excess / 0.9
        before = random.random(count) < 0.8
        after = np.where(random.random(count) < 0.8, before, random.random(count) < 0.8)
        (reliance, p), (gain, gain_p) = paired_evidence(other, same), paired_evidence(after, before)
        findings = replace(
            BASE, reliance=reliance, reliance_p=p, ablation_gain=gain, ablation_p=gain_p,
            num_masked=count, num_test=count,
        )  # fmt: skip
        found.append(judge(findings).status)
    assert sum(status in wrong_status for status in found) <= 0.05 * len(found)


def test_a_treatment_that_does_nothing_seldom_helps():
    """Three trainings of either kind that differ by the luck of their seeds."""
    random = np.random.default_rng(0)
    images = ImageSet(np.zeros((90, 2, 2, 1), np.float32), np.arange(90) % 3)
    empty, helped = np.zeros(0, bool), 0

    def network(accuracy):
        right = random.random(90) < accuracy
        nothing = np.full(90, np.nan)
        return Measured(right, np.zeros(90, int), np.ones(90), nothing, empty, empty)

    for _ in range(200):
        lucks = 0.7 + random.normal(0, 0.05, (2, 3))
        controls, treated = ([network(luck) for luck in row] for row in lucks)
        row = comparison_table(network(0.7), controls, treated, images).iloc[0]
        assert row.gain == pytest.approx(row.treated - row.control)
        assert row.low < row.gain < row.high
        helped += row.low > 0
    assert helped <= 0.05 * 200
