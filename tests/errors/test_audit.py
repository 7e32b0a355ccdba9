"""The audit as a whole: leaks, arithmetic, files, honesty, and what it refuses."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers
from sklearn.covariance import LedoitWolf

from error_networks import plain_network
from kernel_lib.data import ImageSet
from kernel_lib.errors import ErrorDetector, audit, baseline_scores, scores
from kernel_lib.errors.evidence import Evidence, Reading
from kernel_lib.errors.learned import Head, Learned, out_of_fold
from kernel_lib.errors.metrics import auroc
from kernel_lib.errors.plots import plot_profiles
from kernel_lib.errors.registry import SCORES, Options
from kernel_lib.errors.result import ErrorResult
from kernel_lib.errors.verdict import _baseline_sentence, error_rate, nothing_to_tell, verdict
from kernel_lib.models import Classifier, train
from kernel_widgets import ErrorTriage
from whole_results import check_it_comes_back, with_odd_names

SETTINGS = {"num_mutants": 8, "gamma": 0.2, "accept_ratio": 0.7, "steps": 4, "progress": False}

SOME = ["conductance", "label_change_rate", "both", "entropy", "relative_mahalanobis"]


@pytest.fixture(scope="module")
def network(stripes):
    """A network with something to learn, and errors left."""
    return train(plain_network(), stripes, epochs=12, seed=0, progress=False)


@pytest.fixture(scope="module")
def result(network, stripes):
    return audit(network, stripes, shifts=["contrast", "fgsm"], severities=[3],
                 attack_sizes=[0.05], num_shift_images=60, **SETTINGS)  # fmt: skip


def test_the_network_leaves_as_it_came(network, stripes):
    before = network.digest
    audit(network, stripes, scores=["label_change_rate"], **SETTINGS)
    assert network.digest == before


def test_every_score_is_there_beside_its_baselines(result, network, stripes):
    names = set(result.tables["scores"].score)
    assert names == set(scores()) - {"mc_dropout"}
    wrong = network.predict(stripes.test.images) != stripes.test.labels
    np.testing.assert_array_equal(result.arrays["test_wrong"], wrong)
    assert 10 < wrong.sum() < 110
    assert result.scores["num_wrong"] == wrong.sum()
    p = np.exp(network.logits(stripes.test.images).astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    assert result.scores["auroc_msp"] == pytest.approx(auroc(1 - p.max(axis=1), wrong))


def test_counts_rebuild_the_shares_of_every_outcome(result):
    table = result.tables["outcomes"]
    wrong = int(result.arrays["test_wrong"].sum())
    right = len(result.arrays["test_wrong"]) - wrong
    for row in table.itertuples():
        assert row.right_kept + row.right_withheld == right
        assert row.wrong_kept + row.wrong_withheld == wrong
        assert row.errors_detected * wrong == pytest.approx(row.wrong_withheld)
        flagged = result.suspicion(row.score) > row.threshold
        assert flagged.sum() == row.right_withheld + row.wrong_withheld


def test_permuted_test_labels_change_no_threshold_mutant_or_score(result, network, stripes):
    labels = np.array(stripes.labels)
    test = stripes.splits["test"]
    labels[test] = np.random.default_rng(0).permutation(labels[test])
    other = audit(network, replace(stripes, labels=labels), scores=SOME, **SETTINGS)
    keys = ["score", "rule"]
    lines = [r.tables["outcomes"].set_index(keys).threshold for r in (result, other)]
    pd.testing.assert_series_equal(lines[0][list(other.parameters["scores"])], lines[1])
    np.testing.assert_array_equal(result.arrays["votes"], other.arrays["votes"])
    for name in other.parameters["scores"]:
        for split in ("test", "calibration"):
            np.testing.assert_array_equal(
                result.suspicion(name, split), other.suspicion(name, split)
            )
    assert result.scores["auroc_msp"] != other.scores["auroc_msp"]


def test_the_same_seed_gives_the_same_bytes_and_batch_size_does_not_matter(
    result, network, stripes
):
    again = audit(network, stripes, scores=SOME, batch_size=17, **SETTINGS)
    np.testing.assert_array_equal(result.arrays["votes"], again.arrays["votes"])
    same = audit(network, stripes, scores=SOME, **SETTINGS)
    for name in same.parameters["scores"]:
        np.testing.assert_allclose(result.suspicion(name), again.suspicion(name), atol=2e-3)
        assert result.suspicion(name).tobytes() == same.suspicion(name).tobytes()


def test_costs_are_in_forward_passes(result):
    passes = result.tables["scores"].set_index("score").forward_passes
    assert passes["msp"] == passes["trust_score"] == 1
    assert passes["conductance"] == 1  # the last tap has an affine tail
    assert passes["conductance_profile"] == 1 + 3 * 5
    assert passes["label_change_rate"] == passes["both"] == 1 + 8
    assert 1 < passes["sequential_label_change_rate"] <= 9


def test_it_survives_its_files(result, tmp_path):
    result.save(tmp_path)
    loaded = ErrorResult.load(tmp_path)
    assert loaded.scores == pytest.approx(result.scores)
    assert loaded.verdict == result.verdict
    for name, array in result.arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], array)
    assert sorted(path.stem for path in (tmp_path / "figures").glob("*.png")) == sorted(
        ["curves", "mutants", "outcomes", "profiles", "ranking", "shifts"]
    )
    frames, again = result.frames(), loaded.frames()
    assert frames["images"] == again["images"]
    assert sum(vote["count"] for vote in frames["images"][0]["votes"]) == 8


def test_shown_images_come_most_suspicious_first(result):
    shown = result.arrays["shown"]
    assert (np.diff(result.suspicion("both")[shown]) <= 0).all()
    assert len(set(shown.tolist())) == len(shown) == 48
    assert result.arrays["test_wrong"][shown].any()


def test_shifts_keep_their_thresholds(result):
    table = result.tables["shifts"]
    assert set(zip(table["shift"], table.severity, strict=True)) == {
        ("none", 0.0), ("contrast", 3.0), ("fgsm", 0.05)
    }  # fmt: skip
    accuracy = table.groupby("shift").accuracy.first()
    assert accuracy["fgsm"] < accuracy["none"]


def test_without_mutants_or_with_chosen_scores_only(network, stripes):
    found = audit(network, stripes, scores=["entropy", "conductance"], num_mutants=0, steps=2,
                  progress=False)  # fmt: skip
    assert found.parameters["scores"] == ["msp", "entropy", "conductance"]
    assert set(found.figures()) == {"ranking", "curves", "outcomes", "profiles"}
    assert found.frames()["num_mutants"] == 0


# --- detectors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["conductance", "label_change_rate", "both", "trust_score", "msp"])
def test_a_detector_scores_as_the_audit_does(kind, result, network, stripes):
    settings = {key: SETTINGS[key] for key in ("num_mutants", "gamma", "accept_ratio")}
    known, new = stripes.calibration, stripes.test
    detector = ErrorDetector(kind, mutants=settings, reading=Reading(steps=4))
    detector.fit(network, known.images, known.labels)
    np.testing.assert_allclose(detector.score(new.images), result.suspicion(kind), atol=1e-6)
    outcomes = result.tables["outcomes"].set_index(["score", "rule"])
    assert detector.threshold() == pytest.approx(outcomes.threshold[kind, "equal_recall"])
    flagged = detector.flag(new.images, "coverage", 0.8)
    assert 0 < flagged.mean() < 0.5


@pytest.mark.parametrize("head", ["logistic", "mlp", "forest", "lda", "qda"])
def test_permuted_outcomes_teach_nothing_and_a_leak_teaches_all(head):
    random = np.random.default_rng(0)
    wrong = random.random(400) < 0.3
    noise = random.normal(size=(400, 6))
    leak = wrong + 0.05 * random.normal(size=400)
    evidence = Evidence(noise[:, :3], np.column_stack([noise, leak]))
    blind = out_of_fold(lambda: Learned(lambda e: e.features[:, :6], head), evidence, wrong)
    assert abs(auroc(blind, wrong) - 0.5) < 3 * 0.032
    leaked = out_of_fold(lambda: Learned(lambda e: e.features[:, 6:], head), evidence, wrong)
    assert auroc(leaked, wrong) == 1.0


def test_folds_do_not_teach_their_own_images():
    """A scorer that remembers what it was shown must not recognise an image out of fold."""
    seen = []

    class Memory:
        needs_fit = True

        def fit(self, evidence, wrong):
            self.known = set(evidence.features[:, 0].tolist())
            return self

        def score(self, evidence):
            seen.append(self.known & set(evidence.features[:, 0].tolist()))
            return np.zeros(len(evidence))

    wrong = np.arange(60) % 4 == 0
    evidence = Evidence(np.zeros((60, 2)), np.arange(60.0)[:, None])
    out_of_fold(Memory, evidence, wrong)
    assert len(seen) == 5
    assert not any(seen)


def test_the_trust_score_by_hand():
    features = np.array([[0.0], [0.2], [1.0], [1.2]] * 10)
    logits = np.eye(2)[[0, 0, 1, 1] * 10]
    scorer = SCORES["trust_score"].make(Options())
    scorer.fit(Evidence(logits, features), np.zeros(40, bool))
    asked = Evidence(np.eye(2)[[0, 1]], np.array([[0.4], [0.4]]))
    np.testing.assert_allclose(scorer.score(asked), [0.2 / 0.6, 0.6 / 0.2])


def test_mahalanobis_is_the_distance_to_the_nearest_class():
    random = np.random.default_rng(0)
    classes = np.arange(4000) % 2
    features = random.normal(size=(4000, 2)) * [1.0, 3.0] + 10 * classes[:, None]
    scorer = SCORES["mahalanobis"].make(Options())
    scorer.fit(Evidence(np.eye(2)[classes], features), np.zeros(4000, bool))
    asked = Evidence(np.eye(2), np.array([[2.0, 0.0], [10.0, 16.0]]))
    np.testing.assert_allclose(scorer.score(asked), [4, 4], rtol=0.1)


@pytest.mark.parametrize(("count", "size"), [(40, 12), (12, 40)])
def test_mahalanobis_is_that_of_the_inverse_covariance(count, size):
    """Also with fewer images than features, and with features that are always zero."""
    random = np.random.default_rng(0)
    features, classes = np.abs(random.normal(size=(count, size))), np.arange(count) % 2
    features[:, ::3] = 0
    scorer = SCORES["relative_mahalanobis"].make(Options())
    scorer.fit(Evidence(np.eye(2)[classes], features), np.zeros(count, bool))
    means = np.stack([features[classes == c].mean(axis=0) for c in (0, 1)])
    within = LedoitWolf(assume_centered=True).fit(features - means[classes]).precision_
    whole = LedoitWolf().fit(features).precision_
    asked = random.normal(size=(5, size))
    near = [min((x - m) @ within @ (x - m) for m in means) for x in asked]
    far = [(x - features.mean(axis=0)) @ whole @ (x - features.mean(axis=0)) for x in asked]
    found = scorer.score(Evidence(np.eye(2)[[0] * 5], asked))
    np.testing.assert_allclose(found, np.subtract(near, far), rtol=1e-6)


def test_features_that_never_change_give_finite_distances():
    scorer = SCORES["mahalanobis"].make(Options())
    known = Evidence(np.eye(2)[[0, 1] * 5], np.ones((10, 3)))
    scorer.fit(known, np.zeros(10, bool))
    assert np.isfinite(scorer.score(known)).all()


def test_a_head_that_does_not_settle_is_quiet():
    random = np.random.default_rng(0)
    values, wrong = random.normal(size=(60, 10)), random.random(60) < 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Head("mlp").fit(values, wrong)


def test_monte_carlo_dropout_is_the_mean_over_sub_networks():
    """Four units that drop make sixteen sub-networks, whose mean is known exactly."""
    inputs = keras.Input((2, 2, 1))
    x = layers.Dropout(0.25, name="drop")(layers.Flatten()(inputs))
    classifier = Classifier(keras.Model(inputs, layers.Dense(3, name="logits")(x)))
    classifier.model.get_layer("logits").kernel.assign(6 * np.eye(4, 3))
    images = np.random.default_rng(0).random((30, 2, 2, 1), np.float32)
    reading = Reading(layers=[], dropout_passes=600)
    found = reading.gather(classifier, images).dropout
    small = replace(reading, batch_size=7).gather(classifier, images).dropout
    np.testing.assert_allclose(found, small, atol=1e-6)
    expected = np.zeros((30, 3))
    for kept in itertools.product([0, 1], repeat=4):
        chance = 0.75 ** sum(kept) * 0.25 ** (4 - sum(kept))
        logits = (images.reshape(30, 4) * kept / 0.75) @ (6 * np.eye(4, 3))
        expected += chance * np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=0.05)
    plain = np.exp(classifier.logits(images))
    assert np.abs(found - plain / plain.sum(axis=1, keepdims=True)).max() > 0.06


def test_baselines_alone_need_neither_conductance_nor_mutants(network, stripes):
    known, new = stripes.calibration, stripes.test.images[:20]
    found = baseline_scores(network, new, known.images, known.labels)
    assert set(found) == {name for name, s in SCORES.items() if not s.is_subject} - {"mc_dropout"}
    assert all(values.shape == (20,) for values in found.values())
    assert set(baseline_scores(network, new, known.images, known.labels, names=["entropy"])) == {
        "entropy"
    }


def test_long_names_and_numbers_of_maps_have_room(result):
    names = ("matchstick", "granny smith", "sea urchin")
    arrays = result.arrays | {"map_ids": result.arrays["map_ids"] + 1000}
    long = replace(result, arrays=arrays, parameters=result.parameters | {"class_names": names})
    pictures, profiles = np.reshape(plot_profiles(long, 3).axes, (2, 3))
    assert all("\n" in axes.get_title() for axes in pictures)
    assert {tick.get_rotation() for axes in profiles for tick in axes.get_xticklabels()} == {90}


# --- honesty -------------------------------------------------------------------------------------


def judged(difference, low, high, num_wrong=50, auroc_low=0.8, auroc_high=0.97, num_right=350):
    rows = [
        {"score": "msp", "title": "Maximum softmax", "auroc": 0.9, "under_test": False},
        {"score": "both", "title": "Both", "auroc": 0.9 + difference, "under_test": True},
    ]
    table = pd.DataFrame(rows).assign(
        auroc_low=auroc_low, auroc_low_of_all=auroc_low - 0.01, auroc_high=auroc_high
    )
    compared = pd.DataFrame([{"score": "both", "title": "Both", "difference": difference,
                              "low": low, "high": high, "times_the_cost": 41.0,
                              "p_holm": 0.01 if low > 0 else 0.5}])  # fmt: skip
    outcome = {"rule": "equal_recall", "coverage": 0.8, "wrong_withheld": 40, "wrong_kept": 10,
               "accuracy_of_kept": 0.97, "accuracy_of_all": 0.9}  # fmt: skip
    outcomes = pd.DataFrame([{"score": name, **outcome} for name in ("msp", "both")])
    table = table.sort_values("auroc", ascending=False, ignore_index=True)
    return verdict(table, compared, outcomes, num_wrong, num_right)


def test_no_gain_over_maximum_softmax_is_said_aloud():
    found = judged(0.01, -0.01, 0.03)
    assert found.status == "warning"
    assert "do not find wrong predictions better than the maximum softmax" in found.headline
    assert "41 times the cost" in found.headline
    assert "it is free" in found.next_step


def test_a_gain_is_named_with_its_price():
    found = judged(0.05, 0.02, 0.08)
    assert found.status == "pass"
    assert "beats it by 0.050 AUROC [+0.020, +0.080] at 41 times the cost" in found.headline
    assert "None of them beats it at equal cost" in found.headline


@pytest.mark.parametrize(
    ("title", "within"),
    [("Maximum logit", "maximum logit"), ("Relative Mahalanobis", "relative Mahalanobis"),
     ("Mahalanobis distance", "Mahalanobis distance"), ("DOCTOR alpha", "DOCTOR alpha"),
     ("MC dropout", "MC dropout")],
)  # fmt: skip
def test_names_keep_their_capitals_within_a_sentence(title, within):
    row = pd.DataFrame([{"auroc": 0.9, "under_test": False, "score": "x", "title": title}])
    assert _baseline_sentence(row, row.iloc[0]) == [
        f"The best score of all is a baseline, {within}."
    ]


@pytest.mark.parametrize(("num_wrong", "num_right"), [(4, 396), (396, 4), (9, 9)])
def test_few_of_a_kind_settle_nothing_and_the_verdict_says_how_many_are_needed(
    num_wrong, num_right
):
    found = judged(0.05, 0.02, 0.08, num_wrong=num_wrong, num_right=num_right)
    assert found.status == "undetermined"
    kind = "wrong" if num_wrong <= num_right else "right"
    assert f"Only {min(num_wrong, num_right)} test predictions are {kind}" in found.headline
    assert "at least 10 are needed" in found.headline


def test_scores_fail_only_where_none_can_be_good():
    """An interval across the limit is no evidence against a score, nor for it."""
    assert judged(0.05, 0.02, 0.08, auroc_low=0.55, auroc_high=0.69).status == "fail"
    found = judged(0.05, 0.02, 0.08, auroc_low=0.55, auroc_high=0.97)
    assert found.status == "undetermined"
    assert "not settled" in found.headline
    assert "50 wrong and 350 right predictions" in found.headline
    picked = judged(0.05, 0.02, 0.08, auroc_low=0.705)  # of one score, not of all at once
    assert picked.status == "undetermined"


def all_right(network, stripes):
    return replace(stripes, labels=network.predict(stripes.images))


def test_a_network_that_is_right_on_all_test_images_gets_a_bound_and_no_score(
    network, stripes, tmp_path
):
    result = audit(network, all_right(network, stripes), **SETTINGS)
    assert result.verdict.status == "undetermined"
    assert "All 120 test predictions are right" in result.verdict.headline
    bound = 100 * (1 - 0.025 ** (1 / 120))
    assert f"at most {bound:.1f} %" in result.verdict.headline
    assert result.scores["num_wrong"] == 0
    assert np.isnan(result.scores["best_auroc"])
    assert result.figures() == {}
    assert result.tables["comparison"].query("under_test").empty
    loaded = ErrorResult.load(result.save(tmp_path))
    assert loaded.verdict == result.verdict
    widget = ErrorTriage(loaded)
    assert widget.frames["scores"][0]["auroc"] is None
    assert widget.coverage == 1  # nothing is withheld


def test_two_hundred_right_leave_two_percent():
    assert "at most 1.8 %" in nothing_to_tell(50, 7, 200, 0).headline
    assert error_rate(200, 200) == "at least 98.2 %"
    assert error_rate(5, 100) == "5.0 % [1.6, 11.3]"


def test_a_network_that_guesses_does_not_pass(stripes):
    """Right on 6 of 60 images with 7 classes: whatever its scores, it does not know its task."""
    random = np.random.default_rng(0)
    network = plain_network(7)
    predicted = network.predict(stripes.images)
    labels = (predicted + random.integers(1, 7, 600)) % 7
    test = stripes.splits["test"][:60]
    labels[test[:6]] = predicted[test[:6]]
    labels[stripes.splits["calibration"][:60:3]] = predicted[stripes.splits["calibration"][:60:3]]
    images = replace(stripes, labels=labels, class_names=tuple("abcdefg"),
                     splits=stripes.splits | {"test": test})  # fmt: skip
    result = audit(network, images, scores=["entropy"], num_mutants=0, progress=False)
    assert result.scores["num_wrong"] == 54
    assert result.verdict.status == "undetermined"
    assert "guessing" in result.verdict.headline


def test_what_cannot_go_on_says_first_what_the_intake_found(network, stripes):
    shifted = replace(stripes, labels=(stripes.labels + 1) % 3)
    with pytest.raises(ValueError, match="^The network is guessing.*class_names.*could not go on"):
        audit(network, shifted, scores=["label_change_rate"], gamma=1e-6, progress=False)


def test_a_network_with_a_yes_or_no_for_each_class_is_declined_and_the_cure_works(stripes):
    inputs = keras.Input((8, 8, 1))
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(inputs))
    model = keras.Model(inputs, layers.Dense(3, activation="sigmoid")(x))
    with pytest.raises(ValueError, match="3 sigmoid units") as caught:
        audit(Classifier(model), stripes, scores=["entropy"], num_mutants=0, progress=False)
    cure = str(caught.value).rpartition("among them: ")[2].rstrip(".")
    whole = eval(cure, {"Classifier": Classifier, "keras": keras, "model": model})
    np.testing.assert_array_equal(
        whole.predict(stripes.images), Classifier(model).predict(stripes.images)
    )
    result = audit(whole, stripes, scores=["entropy"], num_mutants=0, progress=False)
    assert result.scores["num_wrong"] > 0


# --- bad input -----------------------------------------------------------------------------------


def relabelled(stripes, network, split, right):
    labels = np.array(stripes.labels)
    rows = stripes.splits[split]
    predicted = network.predict(stripes.images[rows])
    labels[rows] = predicted if right else (predicted + 1) % 3
    return replace(stripes, labels=labels)


@pytest.mark.parametrize("split", ["calibration", "test"])
@pytest.mark.parametrize("right", [True, False])
def test_splits_without_both_kinds_are_named_and_nothing_is_concluded(
    network, stripes, split, right
):
    result = audit(network, relabelled(stripes, network, split, right), scores=["entropy"],
                   progress=False)  # fmt: skip
    assert result.verdict.status == "undetermined"
    if not (split == "test" and not right):  # there the intake speaks first
        kind = "right" if right else "wrong"
        assert f"All 120 {split} predictions are {kind}" in result.verdict.headline


def test_too_few_errors_to_learn_from_are_named(network, stripes):
    labels = np.array(relabelled(stripes, network, "calibration", True).labels)
    labels[stripes.splits["calibration"][:2]] = (labels[stripes.splits["calibration"][:2]] + 1) % 3
    with pytest.raises(ValueError, match="Only 2 of 120 calibration predictions are wrong"):
        audit(network, replace(stripes, labels=labels), scores=["conductance"], progress=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": ["confidence"]}, "`scores` must be one of"),
        ({"scores": ["mc_dropout"]}, "needs a network with dropout"),
        ({"shifts": ["rain"]}, "`shifts` must be one of"),
        ({"coverage": 80}, "`coverage` must lie in"),
        ({"gamma": 0.01}, "touches nothing"),
        ({"rule": "simpson"}, "`rule` must be one of"),
        ({"layers": ["conv7"]}, "no tap named"),
    ],
)
def test_bad_arguments_are_named(network, stripes, arguments, message):
    with pytest.raises(ValueError, match=message):
        audit(network, stripes, progress=False, **{"num_mutants": 4, **arguments})


def test_images_without_splits_are_refused(network, stripes):
    with pytest.raises(TypeError, match="needs labelled images in splits"):
        audit(network, stripes.images)
    only = ImageSet(stripes.images[:30], stripes.labels[:30], splits={"test": np.arange(30)})
    with pytest.raises(ValueError, match="'calibration' holds no images"):
        audit(network, only)


def test_a_detector_that_is_not_fitted_says_so(stripes):
    with pytest.raises(ValueError, match="not fitted yet"):
        ErrorDetector("msp").score(stripes.images)


def test_odd_names_cost_nothing_and_the_result_comes_back(result, tmp_path):
    check_it_comes_back(with_odd_names(result, list(result.parameters["class_names"])), tmp_path)
