"""Assessors on made-up networks whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from kernel_lib.invariance import Assessor, bundled, data_sheet, feature_names, zoo
from kernel_lib.invariance.assessor import Assessment
from kernel_lib.invariance.features import feature_title
from kernel_lib.invariance.grids import even_grid
from kernel_lib.invariance.signals import OUTPUT_SIGNALS, STATISTICS, Signals
from kernel_lib.invariance.verdict import overall
from kernel_lib.invariance.zoo.build import Zoo
from kernel_lib.invariance.zoo.judging import calibration_error, kappa, one_threshold, three_folds
from kernel_lib.invariance.zoo.votes import fleiss_kappa
from kernel_lib.tasks import TaskRun

NAMES = feature_names()
SETTING = {
    "transform": "rotation",
    "values": list(even_grid(-15, 15, 31, 0).values),
    "resampling": "smooth",
    "mode": "clean",
}


def made_up(num: int = 40, strength: float = 5.0, seed: int = 0) -> Zoo:
    """Half of the networks are invariant; the confidence features tell which."""
    random = np.random.default_rng(seed)
    is_invariant = np.arange(num) % 2 == 0
    table = random.normal(size=(num, 80))
    table[:, :16] -= strength * is_invariant[:, None]
    models = pd.DataFrame(
        {
            "name": [f"m{k}" for k in range(num)],
            "network": "cnn5",
            "held_out": np.arange(num) % 3 == 0,
            "verdict": np.where(is_invariant, "invariant", "not invariant"),
            "drop": np.where(is_invariant, 0.01, 0.3),
            "max_augment": np.where(is_invariant, 15.0, 0.0),
        }
    )
    return Zoo(models, table, NAMES, SETTING, TaskRun({}, {}))


def swept(scale: float = 0.01, values=None, transform="rotation") -> Signals:
    random = np.random.default_rng(0)
    grid = even_grid(-15, 15, 31, 0) if values is None else values
    names = (*OUTPUT_SIGNALS, *(f"{tap}.{s}" for tap in ("a", "b") for s in STATISTICS))
    signals = random.random((len(names), 1, 30)) + scale * random.random((len(names), 31, 30))
    settings = {"transform": transform, "resampling": "smooth"}
    none = np.zeros((31, 30), int)
    return Signals(names, signals.astype("f4"), none, grid, None, None, 4, settings)


def test_all_algorithms_tell_what_can_be_told():
    scores = zoo.judge(made_up(), repeats=1, num_folds=3, progress=False).set_index("algorithm")
    for name in zoo.ALGORITHMS:
        assert scores.accuracy[name] > (0.9 if name == "linear_regression" else 0.97), name
    assert scores.accuracy["majority"] <= 0.55


@pytest.fixture(scope="module")
def measured_zoo() -> Zoo:
    """52 real networks that read digits, tested for scaling by 0.7 to 1.3; the file says how."""
    path = Path(__file__).with_name("zoo_scaling.csv")
    table = pd.read_csv(path, comment="#", dtype={"held_out": bool})
    features = table[list(NAMES)].to_numpy()
    models = table.drop(columns=list(NAMES))
    return Zoo(models, features, NAMES, SETTING | {"transform": "scaling"}, TaskRun({}, {}))


def test_real_networks_that_saw_more_scaling_move_less(measured_zoo):
    models, confidence = measured_zoo.models, measured_zoo.features[:, 1]
    within = (models.max_augment <= 0.3).to_numpy()
    assert spearmanr(models.max_augment[within], confidence[within]).statistic < -0.25
    # A network that was hardly trained is sure of nothing, so its confidence does not move either.
    reads = within & (models.identity_accuracy > 0.8).to_numpy()
    assert reads.sum() > 30
    assert spearmanr(models.max_augment[reads], confidence[reads]).statistic < -0.6


def test_the_best_assessor_of_real_networks_beats_the_majority(measured_zoo):
    scores = zoo.judge(measured_zoo, algorithms=["logistic", "random_forest"], repeats=1,
                       progress=False).set_index("algorithm")  # fmt: skip
    best = scores.accuracy[["logistic", "random_forest"]].max()
    assert best > scores.accuracy["majority"] + 0.04
    assert scores.balanced_accuracy[["logistic", "random_forest"]].max() > 0.7


def test_shuffled_labels_give_no_better_than_chance():
    """If anything leaked from the tested networks, this would show."""
    random = made_up()
    order = np.random.default_rng(1).permutation(40)
    models = random.models.assign(verdict=random.models.verdict.to_numpy()[order])
    shuffled = Zoo(models, random.features, NAMES, SETTING, random.run)
    scores = zoo.judge(shuffled, algorithms=["logistic", "random_forest"], repeats=1,
                       progress=False).set_index("algorithm")  # fmt: skip
    assert scores.accuracy["logistic"] < 0.72
    assert scores.accuracy["random_forest"] < 0.72


def test_the_same_seed_gives_the_same_scores():
    options = {"algorithms": ["random_forest", "decision_tree"], "repeats": 1, "progress": False}
    first, second = (zoo.judge(made_up(strength=1), **options) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_the_three_fold_protocol_tests_each_regular_network_once():
    held_out = np.arange(31) % 3 == 0
    folds = list(three_folds(held_out, 2, seed=0))
    assert len(folds) == 6
    for repeat in (folds[:3], folds[3:]):
        tested = np.concatenate([test for _, test in repeat])
        assert sorted(tested) == list(range(31))
        assert held_out[repeat[0][1]].all()
        assert not held_out[repeat[0][0]].any()
        for fit, test in repeat:
            assert not set(fit) & set(test)
    assert not np.array_equal(folds[0][0], folds[3][0])


def test_importance_finds_the_matrix_that_matters_and_no_other():
    table = zoo.importance(made_up(strength=3.0), repeats=3).set_index("group")
    assert table.index[0] == "confidence"
    assert table.loss["confidence"] > 0.2
    for name in ("first.max", "second.max_mean"):
        assert table.low[name] <= 0 <= table.high[name]
    by = zoo.importance(made_up(strength=3.0), repeats=1, by="measurement")
    assert len(by) == 16


def test_transfer_to_another_zoo():
    scores = zoo.transfer(made_up(seed=0), made_up(seed=1), algorithms=["logistic"])
    assert scores.set_index("algorithm").accuracy["logistic"] > 0.95
    other = Zoo(made_up().models, made_up().features[:, :10], NAMES[:10], {}, TaskRun({}, {}))
    with pytest.raises(ValueError, match="other features"):
        zoo.transfer(made_up(), other)


def test_too_few_networks_of_a_kind():
    few = made_up()
    models = few.models.assign(verdict="invariant")
    with pytest.raises(ValueError, match="at least 3 networks"):
        zoo.judge(Zoo(models, few.features, NAMES, SETTING, few.run), progress=False)


def test_one_threshold_by_hand():
    feature, labels = np.array([1.0, 2, 3, 4]), np.array([True, True, False, False])
    assert one_threshold(feature, labels, np.array([2.4, 2.6])).tolist() == [1, 0]


def test_kappas():
    a = np.array(["x", "y", "x", "y"])
    assert kappa(a, a) == 1
    assert kappa(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])) == 0
    random = np.random.default_rng(0)
    assert abs(kappa(random.integers(3, size=4000), random.integers(3, size=4000))) < 0.05
    # The worked example of Fleiss (1971) as it is usually given.
    counts = np.array([[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0],
                       [2, 2, 8, 1, 1], [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2],
                       [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]])  # fmt: skip
    assert fleiss_kappa(counts) == pytest.approx(0.210, abs=0.001)


def test_a_perfectly_calibrated_judge_has_no_calibration_error():
    random = np.random.default_rng(0)
    probability = random.random(20000)
    truth = random.random(20000) < probability
    assert calibration_error(probability, truth) < 0.02
    assert calibration_error(np.ones(10), np.zeros(10)) == 1


def test_votes_are_counted_and_compared(tmp_path):
    path = tmp_path / "votes.csv"
    rows = ["model_id,transform,annotator,vote,date"]
    given = {"1": ("invariant", "invariant", "borderline"), "2": ("invariant", "not invariant")}
    for model, votes in given.items():
        rows += [f"{model},rotation,p{k},{vote},2026-01-01" for k, vote in enumerate(votes)]
    path.write_text("\n".join(rows))
    votes = zoo.read_votes(path)
    verdicts = zoo.majority(votes)
    assert verdicts.verdict.tolist() == ["invariant", "borderline"]
    assert zoo.compare(verdicts, verdicts) == {"agreement": 1, "kappa": 1, "num_networks": 2}
    assert zoo.agreement(votes)["num_annotators"] == 3
    path.write_text("\n".join([*rows, rows[1]]))
    with pytest.raises(ValueError, match="voted more than once"):
        zoo.read_votes(path)
    path.write_text(rows[0] + "\n1,rotation,p,good,2026-01-01")
    with pytest.raises(ValueError, match="Votes are one of"):
        zoo.read_votes(path)


# --- the saved assessor ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def assessor() -> Assessor:
    return made_up(strength=2.0).assessor(name="made up")


def test_a_saved_assessor_judges_as_before(assessor, tmp_path):
    path = assessor.save(tmp_path / "assessor.json")
    loaded = Assessor.load(path)
    table = made_up(seed=5).features
    assert np.array_equal(loaded.probability(table), assessor.probability(table))
    assert loaded.summary["name"] == "made up"
    assert json.loads(path.read_text())["schema"] == 1


def test_its_numbers_are_those_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    data = made_up(strength=2.0)
    ours = data.assessor()
    scaled = (data.features - ours.centre) / ours.scale
    best = min(
        np.abs(
            LogisticRegression(C=c, class_weight="balanced", max_iter=2000)
            .fit(scaled, data.is_invariant).coef_[0] - ours.weights
        ).max()
        for c in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    )  # fmt: skip
    assert best < 1e-8
    said = ours.probability(data.features) > 0.5
    assert (said == data.is_invariant).mean() > 0.95


def test_reasons_and_warnings(assessor):
    usual = made_up(strength=2.0).features[0]
    assert assessor.warnings(usual) == ()
    strange = usual.copy()
    strange[3] = 1e6
    (warning,) = assessor.warnings(strange)
    assert feature_title(NAMES[3]) in warning
    assert "1 of 80 measurements" in warning
    clipped = usual.copy()
    clipped[3] = assessor.high[3]
    assert assessor.probability(strange[None]) == assessor.probability(clipped[None])
    assert all("speaks" in reason for reason in assessor.reasons(usual))
    strange[5], strange[40] = -20, 1e9
    furthest = [feature_title(NAMES[i]) for i in (40, 3, 5)]
    assert list(assessor.outside(strange)) == furthest


def test_every_feature_has_a_title_of_its_own():
    titles = [feature_title(name) for name in NAMES]
    assert len(set(titles)) == 80
    assert not any("/" in title or "_" in title for title in titles)


def test_the_headline_names_what_blocks_the_assessor():
    """A probability of 3 % is no verdict on a network unlike those of the training."""
    outside = tuple(feature_title(NAMES[i]) for i in (40, 3, 5, 6))
    found = Assessment(0.03, "not invariant", (), ("outside",), outside, 80)
    arguments = {"title": "Rotation"}
    said = overall(arguments, "from -15 to 15", "15", None, found, 0.1)
    assert said.status == "undetermined"
    assert "4 of 80 measurements lie outside what the assessor was trained on" in said.headline
    assert all(title in said.headline for title in outside[:3])
    assert "and 1 more" in said.headline
    assert "cannot judge" in said.headline
    assert "3%" not in said.headline
    sure = overall(arguments, "from -15 to 15", "15", None, Assessment(0.03, "not invariant"), 0.1)
    assert sure.status == "fail"
    assert "probability of 3%" in sure.headline


def test_a_foreign_sweep_is_refused(assessor):
    assessment = assessor.assess(swept())
    assert 0 <= assessment.probability <= 1
    assert assessment.verdict in ("invariant", "borderline", "not invariant")
    with pytest.raises(ValueError, match="its transform is 'rotation'. Received: 'scaling'"):
        assessor.assess(swept(transform="scaling"))
    with pytest.raises(ValueError, match="its values is 31 values"):
        assessor.assess(swept(values=even_grid(-30, 30, 31, 0)))
    other = Assessor(**{**vars(assessor), "names": ("x", *assessor.names[1:])})
    with pytest.raises(ValueError, match="its features is"):
        other.assess(swept())
    with pytest.raises(ValueError, match="takes features of shape"):
        assessor.probability(np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"schema": 1', '"schema": 2'), "has schema 2"),
        (lambda text: text.replace("made up", "improved"), "changed or damaged"),
        (lambda text: text[:200], "is no assessor"),
        (lambda text: "[]", "is no assessor of kernel_lib"),
    ],
)
def test_damaged_and_foreign_files_are_refused(assessor, tmp_path, change, message):
    path = assessor.save(tmp_path / "assessor.json")
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=message):
        Assessor.load(path)


@pytest.mark.parametrize("name", bundled())
def test_the_assessors_that_come_with_the_library(name):
    assessor = Assessor.load(name)
    assert assessor.names == NAMES
    assert assessor.setting["transform"] == name
    assert assessor.summary["accuracy"] >= assessor.summary["accuracy_of_one_feature"]
    assert f"# Assessor for {name}" in data_sheet(name)
    middle = assessor.probability(assessor.centre[None])[0]
    assert 0 < middle < 1


def test_brightness_is_judged_whatever_the_rules_of_borders():
    from kernel_lib.invariance.transforms import Stepper, as_rules, as_transform

    pictures = np.zeros((2, 8, 8, 1), np.float32)
    for rules in ("clean", "paper"):
        made = Stepper(as_transform("brightness"), as_rules(rules), pictures).describe()
        Assessor.load("brightness").check_setting({"values": made["grid"]["values"], **made})


def test_the_plots_of_a_zoo(tmp_path):
    data = made_up(strength=2.0)
    scores = zoo.judge(data, algorithms=["decision_tree"], repeats=1, progress=False)
    importance = zoo.importance(data, algorithm="decision_tree", repeats=1)
    result = zoo.summarize(data, scores, scores, importance)
    result.save(tmp_path)
    loaded = zoo.ZooResult.load(tmp_path)
    assert loaded.scores == pytest.approx(result.scores)
    assert len(list((tmp_path / "figures").glob("*.png"))) == 3
