"""The whole audit: what it finds, what it refuses, and that it leaves models as they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kernel_lib.audit.examine import intake
from kernel_lib.data import ImageSet
from kernel_lib.models import Classifier, build
from kernel_lib.report import load
from kernel_lib.trust import (
    TrustResult,
    audit,
    compare,
    features,
    ideal_matrix,
    probe,
    train_primaries,
    trust_matrix,
    trust_score,
)
from kernel_lib.trust import measure as measure_module
from kernel_lib.trust.columns import columns_of, primary_task
from kernel_lib.trust.measure import control_columns
from kernel_lib.trust.untrained import initialize, pixel_features
from whole_results import check_it_comes_back, with_odd_names

QUICK = {"num_untrained": 2, "num_permutations": 99, "progress": False}


@pytest.fixture(scope="module")
def result(network, tiny_shapes) -> TrustResult:
    return audit(network, tiny_shapes, probes=("ridge", "knn"), **QUICK)


def trusting(*arguments, **options):
    """The intake where a network stands in for a trained one: what it says of it is left out."""
    return replace(intake(*arguments, **options), findings=())


def weights(classifier: Classifier) -> list[bytes]:
    return [np.asarray(variable).tobytes() for variable in classifier.model.variables]


def test_the_matrix_is_what_the_steps_give(result, network, tiny_shapes):
    found = features(network, tiny_shapes, "dense1", progress=False)
    expected = trust_matrix({"shape": found["dense1"]}, tiny_shapes)
    np.testing.assert_allclose(result.matrix().values, expected.values)
    assert result.matrix().rows == ("shape",)
    score = trust_score(expected, ideal_matrix(tiny_shapes, "conditional", rows=["shape"]))
    assert result.scores["trust"] == pytest.approx(score.total)
    normal = trust_score(result.matrix(), result.ideal, mode="normalised")
    assert result.scores["leakage"] == pytest.approx(normal.leakage)
    assert result.scores["preservation"] == pytest.approx(normal.preservation)
    relative = trust_score(
        result.matrix(), result.ideal, mode="relative", untrained=result.matrix(column="untrained")
    )
    assert result.scores["trust_relative"] == pytest.approx(relative.total)


def test_the_tables_hold_every_tap_probe_and_task(result, network, tiny_shapes):
    cells, scores = result.tables["cells"], result.tables["scores"]
    assert len(cells) == 4 * 2 * 1 * 5
    assert len(scores) == 4 * 2 * 4 * 2
    assert (cells.low <= cells.accuracy).all()
    assert (cells.accuracy <= cells.high).all()
    assert (scores.trust_low <= scores.trust).all()
    assert (scores.trust <= scores.trust_high).all()
    assert cells.num_images.eq(120).all()
    own = cells.primary == cells.target
    assert cells.p_holm[own].isna().all()
    assert cells.p_holm[~own].between(0, 1).all()
    assert (cells.p_holm[~own] >= cells.p_value[~own]).all()
    head = network.accuracy(tiny_shapes.test.images, tiny_shapes.test.labels)
    assert result.scores["head_accuracy"] == pytest.approx(head)
    assert result.arrays["hits"].shape == (4, 2, 1, 1, 5, 120)
    assert set(result.tables["codes"].primary) == {"shape", "untrained"}


def test_saved_results_come_back_whole(result, tmp_path):
    result.save(tmp_path)
    again = load(tmp_path)
    assert isinstance(again, TrustResult)
    assert again.scores == pytest.approx(result.scores)
    np.testing.assert_array_equal(again.arrays["hits"], result.arrays["hits"])
    np.testing.assert_allclose(
        again.matrix("conv2", "knn").values, result.matrix("conv2", "knn").values
    )
    assert again.verdict == result.verdict
    for name, values in result.frames()["cells"].items():
        np.testing.assert_allclose(again.frames()["cells"][name], values, rtol=1e-6)
    assert {"matrix", "depth", "controls", "probes", "codes"} == {
        path.stem for path in (tmp_path / "figures").glob("*.png")
    }


def test_the_same_seed_gives_the_same_numbers_and_batch_size_does_not_matter(
    result, network, tiny_shapes
):
    options = QUICK | {"probes": ("ridge", "knn")}
    again = audit(network, tiny_shapes, **options)
    assert again.scores == result.scores
    np.testing.assert_array_equal(again.arrays["hits"], result.arrays["hits"])
    smaller = audit(network, tiny_shapes, batch_size=17, **options)
    assert (smaller.arrays["hits"] == result.arrays["hits"]).mean() > 0.995


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_the_model_leaves_as_it_came(network, tiny_shapes, monkeypatch, error):
    before = weights(network)
    seen = []

    def failing(*arguments: object, **options: object):
        seen.append(weights(network))
        if len(seen) == 2 and error is not None:
            raise error("stop")
        return features(*arguments, **options)

    monkeypatch.setattr("kernel_lib.trust.untrained.features", failing)
    options = QUICK | {"taps": "penultimate", "controls": ("untrained",)}
    if error is None:
        audit(network, tiny_shapes, **options)
    else:
        with pytest.raises(error, match="stop"):
            audit(network, tiny_shapes, **options)
    assert weights(network) == before
    assert seen[0] != before
    assert seen[0] != seen[1]


def test_untrained_weights_follow_the_initialisers_and_the_seed(network):
    from kernel_lib.network import restored_weights

    with restored_weights(network):
        initialize(network, 3)
        first = weights(network)
        kernel = np.asarray(network.model.get_layer("conv2").kernel)
        assert kernel.std() == pytest.approx(np.sqrt(2 / (16 * 9)), rel=0.1)  # He
        assert not np.asarray(network.model.get_layer("conv2").bias).any()
        initialize(network, 4)
        assert weights(network) != first
        initialize(network, 3)
        assert weights(network) == first


def test_runs_are_averaged_and_widen_the_interval(tiny_shapes):
    networks = {
        "shape": [build("small_cnn", tiny_shapes.image_shape, 5, seed=s) for s in (0, 1)],
        "size": [build("small_cnn", tiny_shapes.image_shape, 3, seed=s) for s in (0, 1)],
    }
    options = QUICK | {"taps": "penultimate", "controls": ()}
    both = audit(networks, tiny_shapes, **options)
    alone = [
        audit({task: runs[s] for task, runs in networks.items()}, tiny_shapes, **options)
        for s in (0, 1)
    ]
    mean = (alone[0].matrix().values + alone[1].matrix().values) / 2
    np.testing.assert_allclose(both.matrix().values, mean)
    assert both.parameters["num_runs"] == 2
    assert both.provenance["models"]["size"] == [each.digest for each in networks["size"]]
    assert both.arrays["hits"].shape[2] == 2


def test_networks_that_know_only_their_task_pass(factorial_shapes, monkeypatch):
    """A stand-in for features: one-hot labels, plain for own tasks, for all, or for none."""
    few = factorial_shapes
    networks = {
        task: build("small_cnn", few.image_shape, len(names))
        for task, names in few.task_class_names.items()
    }
    options = {"taps": "penultimate", "controls": ("permutation",), "progress": False}

    def told(known: dict[str, list[str]]):
        def fake(classifier, images, taps, **options):
            task = next(name for name, network in networks.items() if network is classifier)
            tables = [np.eye(7, dtype=np.float32)[images.tasks[name]] for name in known[task]]
            values = (
                np.concatenate(tables, axis=1) if tables else np.zeros((len(images), 2), np.float32)
            )
            return dict.fromkeys(taps, values)

        return fake

    tasks = list(networks)
    monkeypatch.setattr("kernel_lib.trust.primaries.intake", trusting)
    # Pictures of 24 pixels that look alike stay: a factorial design is exact only as a whole.
    monkeypatch.setattr("kernel_lib.trust.primaries.without_copies", lambda images: images)
    monkeypatch.setattr(measure_module, "features", told({task: [task] for task in tasks}))
    clean = audit(networks, few, **options)
    assert clean.verdict.status == "pass"
    assert clean.scores["trust"] == pytest.approx(1)
    assert clean.scores["leakage"] == pytest.approx(0)
    assert "in all 20 cells a leak over 4 % of the way" in clean.verdict.headline
    assert clean.scores["trust_low"] < clean.scores["trust"]

    indices = np.concatenate([few.splits[name][:1260] for name in ("train", "calibration")])
    some = few.select(np.concatenate([indices, few.splits["test"][:60]]))
    thin = audit(networks, some, **options)
    assert thin.verdict.status == "undetermined"
    assert "with 60 test images a leak under" in thin.verdict.headline
    assert "cannot be excluded" in thin.verdict.headline

    monkeypatch.setattr(measure_module, "features", told(dict.fromkeys(tasks, tasks)))
    leaking = audit(networks, few, **options)
    assert leaking.verdict.status == "warning"
    assert "20 of 20 cells leak" in leaking.verdict.headline
    assert leaking.scores["trust"] == pytest.approx(0.6259524)
    assert leaking.scores["trust_normalised"] == pytest.approx(0.5)

    monkeypatch.setattr(measure_module, "features", told({task: [] for task in tasks}))
    assert audit(networks, few, **options).verdict.status == "undetermined"

    difference = compare(clean, leaking)
    assert difference["trust"].value == pytest.approx(0.5)
    assert difference["leakage"].high < 0
    assert "less leakage" in difference["leakage"].text
    same = compare(clean, clean)["trust"]
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_a_leak_that_training_added_fails_and_one_that_was_there_warns(result):
    from kernel_lib.trust.verdict import PASS_LIMIT, judge

    cells = result.tables["cells"].copy()
    cells[["share", "share_low", "p_holm"]] = (0.4, 0.3, 0.001)
    cells[["added", "added_p_holm"]] = (0.2, 0.01)
    scores = result.scores | {"preservation": 0.9}
    has = {"untrained": True, "permutation": True}
    taught = judge(cells, scores, result.parameters, **has)
    assert taught.status == "fail"
    assert "trained for shape tells color (40 %)" in taught.headline
    cells["added_p_holm"] = 0.2
    kept = judge(cells, scores, result.parameters, **has)
    assert kept.status == "warning"
    assert "tell, is not shown" in kept.headline
    unknown = judge(cells, scores, result.parameters, untrained=False, permutation=True)
    assert "is not known" in unknown.headline
    alone = judge(cells.assign(added_p_holm=np.nan), scores, result.parameters, **has)
    assert "one untrained network does not tell" in alone.headline
    assert "num_untrained=3" in alone.next_step

    # A share of 40 % that is not significant is no leak that is shown, and none that is excluded.
    unclear = judge(cells.assign(p_holm=1.0, share_high=0.5), scores, result.parameters, **has)
    assert unclear.status == "undetermined"
    assert "a leak under 50 % of the way to certainty cannot be excluded" in unclear.headline
    excluded = cells.assign(p_holm=1.0, share=0.0, share_high=PASS_LIMIT)
    own = cells.primary == cells.target
    excluded.loc[own, ["share", "share_low", "share_high"]] = (0.9, 0.8, 0.95)
    assert judge(excluded, scores, result.parameters, **has).status == "pass"
    above = excluded.copy()
    above.loc[above.target == "size", "share_high"] = PASS_LIMIT + 0.001
    assert judge(above, scores, result.parameters, **has).status == "undetermined"
    guess = excluded.copy()
    guess.loc[own, "share_low"] = -0.01
    assert "cannot tell that from chance" in judge(guess, scores, result.parameters, **has).headline

    # A leak that is shown is shown, whether or not the network holds its own task.
    weak = judge(cells.assign(added_p_holm=0.01), scores | {"preservation": 0.2},
                 result.parameters, **has)  # fmt: skip
    assert weak.status == "fail"
    assert "Its own task the network holds less well (20 %" in weak.means


def test_a_leak_that_was_taught_fails_although_the_network_guesses_at_its_task(tiny_shapes):
    """Trained for color in secret; the head that is shown for shape always says the same."""
    import keras

    from kernel_lib.models import train

    colors = tiny_shapes.with_task("color")
    options = {"epochs": 30, "learning_rate": 3e-3, "seed": 0, "progress": False}
    secret = train("small_cnn", colors, **options).model
    blank = keras.layers.Dense(5, kernel_initializer="zeros")
    outputs = blank(secret.get_layer("dense1").output)
    shown = Classifier(keras.Model(secret.inputs, outputs), head="logits")
    found = audit(shown, tiny_shapes, primary="shape", taps="penultimate", **QUICK)
    assert found.intake["findings"][0]["name"] == "guessing"
    assert found.scores["preservation"] < 0.5
    assert found.verdict.status == "fail"
    assert "tells color" in found.verdict.headline
    assert "Its own task the network holds less well" in found.verdict.means
    assert "The network is guessing" in found.verdict.does_not_mean


def test_of_a_multi_label_network_one_label_an_image_is_read(network, tiny_shapes, monkeypatch):
    import keras

    monkeypatch.setattr("kernel_lib.trust.primaries.intake", trusting)
    outputs = keras.layers.Dense(5, "sigmoid")(network.model.get_layer("dense1").output)
    many = Classifier(keras.Model(network.model.inputs, outputs), head="multi_label")
    options = QUICK | {"taps": "penultimate", "controls": ()}
    found = audit(many, tiny_shapes, primary="shape", **options)
    plain = audit(network, tiny_shapes, primary="shape", **options)
    assert "nothing is said of the other labels of an image" in found.verdict.does_not_mean
    assert "other labels" not in plain.verdict.does_not_mean


def test_an_untrained_network_passes_and_fails_nothing(tiny_shapes):
    network = build("small_cnn", tiny_shapes.image_shape, 5, seed=11)
    few = tiny_shapes.select(np.arange(60))
    test = np.arange(54, 60)
    few = replace(few, splits={"train": np.arange(40), "calibration": np.arange(40, 54),
                               "test": test})  # fmt: skip
    for images in (tiny_shapes, few):
        found = audit(network, images, taps="penultimate", **QUICK)
        assert found.verdict.status == "undetermined"
        cells = found.tables["cells"]
        assert (cells.share_high - cells.share_low > 0.05).all()


def test_networks_are_trained_one_a_task(tiny_shapes):
    networks = train_primaries(
        "small_cnn", tiny_shapes, ["size", "color"], num_seeds=2, epochs=1, progress=False
    )
    assert {task: [n.num_classes for n in each] for task, each in networks.items()} == {
        "size": [3, 3], "color": [7, 7]
    }  # fmt: skip
    assert weights(networks["size"][0]) != weights(networks["size"][1])


def test_correlated_labels_under_both_ideals(random):
    """What follows from the primary label alone is no leak under the conditional ideal."""
    first = random.integers(0, 4, 6000)
    second = np.where(random.random(6000) < 0.6, first, random.integers(0, 4, 6000))
    pixels = random.random((6000, 8, 8, 1), np.float32)
    images = ImageSet(pixels, first, tasks={"a": first, "b": second})
    one_hot = {"a": np.eye(4, dtype=np.float32)[first]}
    matrix = trust_matrix(one_hot, images)
    conditional = ideal_matrix(images, "conditional", rows=["a"])
    assert conditional.value("a", "b") == pytest.approx(0.6 + 0.4 / 4, abs=0.03)
    assert trust_score(matrix, conditional).total == pytest.approx(1)
    assert trust_score(matrix, ideal_matrix(images, rows=["a"])).total < 0.8


def test_control_tasks_are_fixed_for_each_combination_and_only_memory_solves_them(factorial_shapes):
    columns = columns_of(factorial_shapes)
    controls = control_columns(columns, seed=0)
    assert [column.num_classes for column in controls.values()] == [5, 7, 3, 4, 3]
    table = np.stack([column.labels for column in columns.values()], axis=1)
    cells = np.unique(table, axis=0, return_inverse=True)[1].reshape(-1)
    for column in controls.values():
        for cell in range(20):
            assert len(set(column.labels[cells == cell])) == 1
    every = np.concatenate(
        [np.eye(7, dtype=np.float32)[c.labels] for c in columns.values()], axis=1
    )
    shape = next(iter(controls.values())).labels
    test = factorial_shapes.splits["test"]
    linear = probe(every, shape, factorial_shapes.splits).predictions
    whole = probe(np.eye(1260, dtype=np.float32)[cells], shape, factorial_shapes.splits).predictions
    assert (linear == shape)[test].mean() < 0.4
    assert (whole == shape)[test].mean() == 1


def test_pixels_are_averaged():
    images = np.arange(2 * 4 * 6, dtype=np.float32).reshape(2, 4, 6, 1)
    found = pixel_features(images, side=2)
    blocks = (
        images[0, rows, columns]
        for rows in (slice(2), slice(2, 4))
        for columns in (slice(3), slice(3, 6))
    )
    np.testing.assert_allclose(found[0], [block.mean() for block in blocks])
    assert pixel_features(images, side=16).shape == (2, 24)


def test_labels_that_are_no_task_are_a_column_of_their_own(tiny_shapes):
    assert primary_task(tiny_shapes) == "shape"
    other = replace(tiny_shapes, labels=tiny_shapes.labels % 2, class_names=("even", "odd"))
    assert primary_task(other) == "label"
    assert next(iter(columns_of(other))) == "label"


def test_missing_labels_are_allowed(network, tiny_shapes):
    tasks = dict(tiny_shapes.tasks)
    tasks["color"] = np.where(np.arange(600) % 3 == 0, -1, tasks["color"])
    partly = replace(tiny_shapes, tasks=tasks)
    found = audit(network, partly, taps="penultimate", **QUICK)
    cells = found.tables["cells"].set_index("target")
    assert cells.num_images["color"] == (tasks["color"][tiny_shapes.splits["test"]] >= 0).sum()
    assert cells.num_images["size"] == 120
    assert np.isfinite(found.hits("dense1", "ridge")[0, 0, 1]).mean() == pytest.approx(
        2 / 3, abs=0.05
    )


def test_bad_input_is_named(network, tiny_shapes):
    def refused(message: str, *arguments: object, error: type = ValueError, **options: object):
        with pytest.raises(error, match=message):
            audit(*(arguments or (network, tiny_shapes)), **{**QUICK, **options})

    refused("needs an ImageSet", network, tiny_shapes.images, error=TypeError)
    refused("no tap named 'conv9'. Its taps are: conv1", taps="conv9")
    refused("`tap` must be one place", tap="all")
    refused("`probes` must be one of 'knn'", probes=("forest",))
    refused("`probes` is empty", probes=())
    refused("`controls` must be one of 'code'", controls=("luck",))
    refused("`primary` must be one of", primary="taste")
    refused("task 'size' has 3 classes, the model 'small_cnn' has 5", primary="size")
    refused("`reduction` must be", reduction="gap")
    networks = train_primaries("small_cnn", tiny_shapes, epochs=1, progress=False)
    refused("below 399 none of the 20 cells", networks, tiny_shapes)
    refused("as many networks", {"shape": [network], "size": []}, tiny_shapes)
    refused("a mapping says it", {"shape": network}, tiny_shapes, primary="shape")
    plain = ImageSet(tiny_shapes.images, tiny_shapes.labels, tiny_shapes.class_names)
    refused("at least two label columns", network, plain)
    tasks = dict(tiny_shapes.tasks)
    tasks["color"] = np.where(tasks["color"] >= 0, 2, 2)
    refused("'color' has 1 class", network, replace(tiny_shapes, tasks=tasks))
    tasks = dict(tiny_shapes.tasks)
    color = tasks["color"].copy()
    test = tiny_shapes.splits["test"]
    outside = np.setdiff1d(np.arange(600), test)
    color[outside] = np.where(color[outside] == 6, 5, color[outside])
    tasks["color"] = color
    refused(
        "absent from the train and calibration splits: red",
        network,
        replace(tiny_shapes, tasks=tasks),
    )
    splits = dict(tiny_shapes.splits)
    splits["calibration"] = np.zeros(0, int)
    refused("Without images: calibration", network, replace(tiny_shapes, splits=splits))
    with pytest.raises(ValueError, match="one class id for each of the 600 images"):
        replace(tiny_shapes, tasks=dict(tiny_shapes.tasks) | {"color": np.zeros(7, int)})


def test_results_of_different_images_are_not_compared(result, network, tiny_shapes):
    other = audit(network, tiny_shapes.sample(400, seed=1), **QUICK | {"controls": ()})
    with pytest.raises(ValueError, match="different images"):
        compare(result, other)
    with pytest.raises(ValueError, match="`mode` must be one of"):
        compare(result, result, mode="relative")


@pytest.mark.slow
def test_planted_leakage_is_found_in_the_right_order():
    """The more colour tells the shape, the more a network trained for shape tells colour."""
    from kernel_lib.data import load as load_images

    shares, trust = [], []
    for rho in (0.0, 0.5, 1.0):
        images = load_images(
            "shapes", size=24, num_images=1500, correlation={("shape", "color"): rho}, seed=2
        )
        networks = train_primaries("small_cnn", images, ["shape"], epochs=6, progress=False)
        found = audit(
            networks, images, taps="penultimate", ideal="uniform", controls=(), progress=False
        )
        shares.append(found.tables["cells"].set_index("target").share["color"])
        trust.append(found.scores["trust_normalised"] - 0.5 * found.scores["preservation"])
    assert shares == sorted(shares)
    assert shares[-1] > shares[0] + 0.2
    assert trust == sorted(trust, reverse=True)


def test_odd_names_cost_nothing_and_the_result_comes_back(result, tmp_path):
    check_it_comes_back(with_odd_names(result, list(result.matrix().rows)), tmp_path)
