"""The whole audit on tiny networks: what happens to the weights, what is measured, what is said."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from scipy import stats

import kernel_lib.saliency as saliency
from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.network import blocks, restored_weights
from kernel_lib.saliency import Options, experiments
from kernel_lib.saliency.experiments import Redraw
from weight_bytes import contents

QUICK = {
    "methods": ["gradient", "smoothgrad", "guided_backprop", "gradcam"],
    "options": Options(smoothgrad_samples=3, path_steps=3),
    "metrics": ["spearman_absolute", "spearman_signed", "spearman_absolute_foreground", "ssim"],
    "num_images": 9,
    "num_seeds": 2,
    "num_display": 2,
    "progress": False,
}


def rows(result, metric="spearman_absolute", **where):
    table = result.tables["similarity"]
    table = table[table.metric == metric]
    for name, value in where.items():
        table = table[table[name] == value]
    return table


@pytest.fixture
def result(model, image_set):
    return saliency.audit(model, image_set, **QUICK)


# --- weights -------------------------------------------------------------------------------------


def test_after_step_k_the_top_k_blocks_are_random_and_the_others_as_trained(model):
    classifier = as_classifier(model)
    grouped = blocks(classifier)
    trained = {v.path: np.asarray(v).tobytes() for v in model.variables}
    steps = experiments.cascade_steps(classifier, grouped, Redraw("matched"))
    with restored_weights(model) as snapshot:
        for count, step in enumerate(steps):
            if step.restart:
                snapshot.restore()
            step.apply(0)
            random = {b.name for b in grouped[len(grouped) - count :]}
            assert set(step.changed) == random
            for variable in model.variables:
                same = np.asarray(variable).tobytes() == trained[variable.path]
                is_kernel = variable.path.endswith("kernel")
                assert same == (variable.path.split("/")[0] not in random) or not is_kernel


def test_the_last_step_of_a_cascade_is_the_whole_network_randomised(model):
    classifier = as_classifier(model)
    grouped = blocks(classifier)
    with restored_weights(model):
        for step in experiments.cascade_steps(classifier, grouped, Redraw()):
            step.apply(3)
        cascaded = contents(model)
    with restored_weights(model):
        experiments.full_steps(classifier, grouped, Redraw())[-1].apply(3)
        assert contents(model) == cascaded


def test_fresh_and_nested_differ_only_in_the_draws(model):
    classifier = as_classifier(model)
    nested = experiments.cascade_steps(classifier, blocks(model), Redraw(), protocol="nested")
    fresh = experiments.cascade_steps(classifier, blocks(model), Redraw(), protocol="fresh")
    assert [s.changed for s in nested] == [s.changed for s in fresh]
    assert [s.restart for s in fresh[1:]] == [True] * 4
    assert [s.restart for s in nested[1:]] == [True, False, False, False]


def test_orders_run_in_opposite_directions(model):
    classifier = as_classifier(model)
    down = experiments.cascade_steps(classifier, blocks(model), Redraw(), "top_down")
    up = experiments.cascade_steps(classifier, blocks(model), Redraw(), "bottom_up")
    assert [s.label for s in down[1:]] == ["scores", "hidden", "conv2", "conv1"]
    assert [s.label for s in up[1:]] == ["conv1", "conv2", "hidden", "scores"]


@pytest.mark.parametrize("test", ["cascade", "independent", "full", "noise", "random_logit"])
def test_the_model_is_left_bit_for_bit_as_it_was(normalised_model, image_set, test):
    before = contents(normalised_model)
    saliency.audit(normalised_model, image_set, test=test, noise_levels=[0.1, 1.0], **QUICK)
    assert contents(normalised_model) == before


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_model_is_left_as_it_was_when_a_method_breaks(model, image_set, error):
    before = contents(model)
    calls = []

    def breaks(classifier, images, targets):
        calls.append(contents(model) == before)
        if len(calls) == 4:
            raise error("in the middle")
        return images

    with pytest.raises(error, match="in the middle"):
        saliency.audit(model, image_set, **(QUICK | {"methods": [breaks]}))
    assert calls[0] and not calls[-1]  # it broke while the network was changed
    assert contents(model) == before


# --- measurements --------------------------------------------------------------------------------


def test_step_zero_is_exactly_the_trained_network(result):
    for method in QUICK["methods"]:
        np.testing.assert_allclose(rows(result, method=method, step=0)["mean"], 1)


def test_the_edge_detector_never_changes_and_the_random_map_never_stays(result):
    np.testing.assert_allclose(rows(result, method="edge_detector")["mean"], 1)
    count = 2 * 9 * 144
    assert rows(result, method="random_map")["mean"].abs().max() < 4 / np.sqrt(count)


def test_values_equal_a_plain_loop_over_images(model, image_set, result):
    """Independent of the audit's code: SciPy, one image at a time, weights set by hand."""
    chosen = image_set.test.sample(9, 0)  # in another order, which the mean does not mind
    targets = as_classifier(model).predict(chosen.images)
    reference = [
        saliency.explain(model, image[None], int(target), "gradient")[0]
        for image, target in zip(chosen.images, targets, strict=True)
    ]
    expected = []
    for seed in (0, 1):
        with restored_weights(model):
            saliency.randomize(model, ["scores", "hidden"], seed)
            for image, target, before in zip(chosen.images, targets, reference, strict=True):
                after = saliency.explain(model, image[None], int(target), "gradient")[0]
                expected.append(stats.spearmanr(abs(before).ravel(), abs(after).ravel())[0])
    found = rows(result, method="gradient", step=2)["mean"].item()
    assert found == pytest.approx(np.mean(expected), abs=1e-6)


def test_accuracy_and_logit_correlation_stand_beside(model, image_set, result):
    network = result.tables["network"]
    test = image_set.test
    assert network.accuracy[0] == as_classifier(model).accuracy(test.images, test.labels)
    assert network.logit_correlation[0] == pytest.approx(1)
    assert network.logit_correlation[1:].abs().max() < 0.99
    sizes = [name for name in network.columns if name.startswith("activation_size_")]
    assert len(sizes) == 4 and np.isfinite(network[sizes]).all(axis=None)


def test_independent_steps_change_one_block_each(model, image_set):
    result = saliency.audit(model, image_set, test="independent", **QUICK)
    assert [step["changed"] for step in result.parameters["steps"]] == [
        [], ["scores"], ["hidden"], ["conv2"], ["conv1"],
    ]  # fmt: skip


def test_batch_size_does_not_matter(model, image_set):
    whole = saliency.audit(model, image_set, batch_size=64, **QUICK)
    chunked = saliency.audit(model, image_set, batch_size=4, **QUICK)
    np.testing.assert_allclose(
        chunked.arrays["values"], whole.arrays["values"], atol=2e-3, equal_nan=True
    )
    difference = np.abs(chunked.arrays["values"] - whole.arrays["values"])
    assert np.nanmean(difference) < 1e-5


def test_the_same_seed_gives_the_same_bytes(model, image_set, result):
    again = saliency.audit(model, image_set, **QUICK)
    for name, array in result.arrays.items():
        assert array.tobytes() == again.arrays[name].tobytes(), name
    other = saliency.audit(model, image_set, seed=5, **QUICK)
    assert other.arrays["values"].tobytes() != result.arrays["values"].tobytes()


def test_common_noise_makes_the_trained_step_exact_and_fresh_noise_does_not(model, image_set):
    quick = QUICK | {"methods": ["smoothgrad"]}
    common = saliency.audit(model, image_set, **quick)
    fresh = saliency.audit(model, image_set, common_noise=False, **quick)
    ceiling = common.tables["controls"].query("method == 'smoothgrad'").ceiling.iloc[0]
    assert rows(common, step=0, method="smoothgrad")["mean"].item() == pytest.approx(1)
    found = rows(fresh, step=0, method="smoothgrad")["mean"].item()
    assert found < 0.99 and found == pytest.approx(ceiling, abs=0.1)


def test_no_noise_is_the_identity(model, image_set):
    result = saliency.audit(model, image_set, test="noise", noise_levels=[0.0, 3.0], **QUICK)
    assert rows(result, step=1, method="gradient")["mean"].item() == 1
    assert rows(result, step=2, method="gradient")["mean"].item() < 0.9


def test_targets(model, image_set):
    labelled = saliency.audit(model, image_set, target="label", **QUICK)
    current = saliency.audit(model, image_set, target="current", **QUICK)
    original = saliency.audit(model, image_set, **QUICK)
    assert labelled.arrays["values"].tobytes() != original.arrays["values"].tobytes()
    # re-choosing the class changes later steps, never the first
    np.testing.assert_array_equal(current.arrays["values"][:, 0], original.arrays["values"][:, 0])
    assert current.arrays["values"].tobytes() != original.arrays["values"].tobytes()


def test_random_logit_of_a_linear_network_compares_weights():
    model = keras.Sequential([layers.Input((12, 12, 1)), layers.Flatten(), layers.Dense(3)])
    images = np.random.default_rng(0).random((5, 12, 12, 1), np.float32)
    result = saliency.audit(
        model, images, test="random_logit", **(QUICK | {"methods": ["gradient"]})
    )
    kernel = np.asarray(model.layers[-1].kernel)
    predicted = as_classifier(model).predict(images)
    expected = np.mean(
        [stats.spearmanr(kernel[:, p], kernel[:, (p + 1) % 3])[0] for p in predicted]
    )
    found = rows(result, "spearman_signed", step=1, method="gradient")["mean"].item()
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_linear_network_forgets_at_once(image_set):
    model = keras.Sequential([layers.Input((12, 12, 1)), layers.Flatten(), layers.Dense(3)])
    result = saliency.audit(model, image_set, **(QUICK | {"methods": ["gradient"], "num_seeds": 5}))
    value = rows(result, "spearman_signed", step=1, method="gradient")["mean"].item()
    assert abs(value) < 4 / np.sqrt(5 * 144)


def test_smooth_cascade_runs_from_the_input_up(model, image_set):
    quick = QUICK | {"methods": ["gradient"], "num_images": 3, "num_seeds": 1}
    result = saliency.audit(model, image_set, test="smooth", **quick)
    assert [s["label"] for s in result.parameters["steps"]][1] == "conv1"
    assert rows(result, step=0, method="gradient")["mean"].item() == pytest.approx(1)


def test_labels_with_a_given_twin(model, image_set):
    twin = keras.models.clone_model(model)
    before = contents(model)
    result = saliency.audit(model, image_set, test="labels", twin=twin, **QUICK)
    assert [s["label"] for s in result.parameters["steps"]] == ["trained", "random labels"]
    assert contents(model) == before
    accuracy = Classifier(twin).accuracy(image_set.test.images, image_set.test.labels)
    assert result.tables["network"].accuracy[1] == accuracy


def test_labels_train_a_twin_that_knows_the_permuted_labels(image_set):
    model = keras.Sequential([layers.Input((12, 12, 1)), layers.Flatten(), layers.Dense(3)])
    result = saliency.audit(
        model, image_set, test="labels", twin_epochs=200, **(QUICK | {"methods": ["gradient"]})
    )
    assert len(result.parameters["steps"]) == 2


def test_labels_fail_loudly_if_the_twin_cannot_learn(image_set):
    model = keras.Sequential([layers.Input((12, 12, 1)), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(ValueError, match=r"0.95"):
        saliency.audit(
            model, image_set, test="labels", twin_epochs=1, **(QUICK | {"methods": ["gradient"]})
        )


def test_labels_refuse_a_twin_of_another_architecture(model, image_set):
    other = keras.Sequential([layers.Input((12, 12, 1)), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(ValueError, match="the same architecture"):
        saliency.audit(model, image_set, test="labels", twin=other, **QUICK)


def test_a_network_that_guesses_gets_no_advice_which_method_to_use(result):
    """Labels of noise cannot be known: whatever the maps do, there is nothing to explain."""
    assert result.verdict.status == "undetermined"
    assert "guessing" in result.verdict.headline
    assert "Explain this network" not in str(result.verdict)
    assert result.scores["methods_judged"] == 4


def test_images_without_labels_are_measured_against_predictions(model, images):
    result = saliency.audit(model, images, **QUICK)
    assert "Without labels the accuracy is unknown" in result.verdict.headline
    assert result.verdict.status != "pass"  # two seeds
    assert result.tables["network"].accuracy[0] == 1
    assert np.isnan(result.scores["accuracy_trained"])


def test_of_several_labels_the_strongest_is_explained_and_the_verdict_says_so(image_set):
    model = keras.Sequential(
        [layers.Input((12, 12, 1)), layers.Flatten(), layers.Dense(3, activation="sigmoid")]
    )
    quick = QUICK | {"methods": ["gradient"], "num_seeds": 1}
    result = saliency.audit(model, image_set.images[:8], **quick)
    assert "only its strongest class was explained" in result.verdict.does_not_mean


@pytest.mark.parametrize("batch_norm", ["all", "trainable", "recalibrate", "keep"])
def test_batch_norm_policies_run(normalised_model, image_set, batch_norm):
    quick = QUICK | {"methods": ["gradient"]}
    result = saliency.audit(normalised_model, image_set, batch_norm=batch_norm, **quick)
    assert result.parameters["batch_norm"] == batch_norm


def test_a_subclassed_network_works_for_what_needs_no_graph(image_set):
    class Small(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = layers.Conv2D(3, 3, activation="relu", name="conv")
            self.head = layers.Dense(3, activation="softmax", name="head")

        def call(self, pixels):
            return self.head(keras.ops.mean(self.conv(pixels), axis=(1, 2)))

    model = Small()
    model(np.zeros((1, 12, 12, 1), np.float32))
    result = saliency.audit(model, image_set, **QUICK)
    assert [s["label"] for s in result.parameters["steps"]] == ["trained", "head", "conv"]


def test_the_shown_images_are_of_different_classes(model, image_set):
    result = saliency.audit(model, image_set, **(QUICK | {"num_display": 3}))
    assert sorted(result.arrays["shown_labels"]) == [0, 1, 2]


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test": "cascades"}, "`test` must be one of .*mean 'cascade'"),
        ({"methods": ["gradient", "gradcamm"]}, "`methods` must be one of .*mean 'gradcam'"),
        ({"methods": []}, "`methods` is empty"),
        ({"metrics": ["spearman"]}, "`metrics` must be one of"),
        ({"num_images": 0}, "at least 1.*Received: num_images=0"),
        ({"num_seeds": 0}, "at least 1.*Received: num_seeds=0"),
        ({"batch_size": -1}, "at least 1.*Received: batch_size=-1"),
        ({"order": "sideways"}, "`order` must be one of"),
        ({"protocol": "old"}, "`protocol` must be one of"),
        ({"target": "best"}, "`target` must be one of"),
        ({"test": "noise", "noise_levels": [-1.0]}, r"`noise_levels` must lie in"),
        ({"test": "noise", "noise_scope": "some"}, "`noise_scope` must be one of"),
        ({"test": "noise", "noise_mode": "big"}, "`noise_mode` must be one of"),
        ({"blocks": ["nowhere"]}, "no tap named 'nowhere'"),
    ],
)
def test_bad_arguments_get_one_clear_line(model, image_set, change, message):
    before = contents(model)
    with pytest.raises(ValueError, match=message):
        saliency.audit(model, image_set, **(QUICK | change))
    assert contents(model) == before


def test_images_of_another_problem_are_refused(model, image_set):
    from kernel_lib.data import ImageSet

    pixels = np.random.default_rng(0).random((40, 12, 12, 1), np.float32)
    with pytest.raises(ValueError, match="5 classes.*has 3.* They do not belong together"):
        saliency.audit(model, ImageSet(pixels, np.arange(40) % 5), **QUICK)
    with pytest.raises(ValueError, match=r"takes images of shape \(num_images, 12, 12, 1\)"):
        saliency.audit(model, pixels[:, :9], **QUICK)


def test_constant_images_give_empty_maps_that_are_counted(model):
    black = np.zeros((4, 12, 12, 1), np.float32)
    result = saliency.audit(model, black, **(QUICK | {"methods": ["input_times_gradient"]}))
    table = rows(result, method="input_times_gradient")
    assert (table.num_empty == 8).all() and table["mean"].isna().all()
    assert result.verdict.status == "undetermined"


def test_gradcam_is_left_out_by_itself_where_there_is_no_convolution(image_set):
    model = keras.Sequential(
        [layers.Input((12, 12, 1)), layers.Flatten(), layers.Dense(4, "relu"), layers.Dense(3)]
    )
    result = saliency.audit(model, image_set, **(QUICK | {"methods": None}))
    assert "gradcam" not in result.parameters["methods"]
    assert "guided_backprop" in result.parameters["methods"]
    with pytest.raises(ValueError, match="need a convolution"):
        saliency.audit(model, image_set, **(QUICK | {"methods": ["gradcam"]}))
