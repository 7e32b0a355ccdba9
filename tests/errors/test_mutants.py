"""Mutants on a live network: fast and slow ways agree, and nothing is left behind."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from error_networks import centred, plain_network, residual_network
from kernel_lib.errors import label_change_rate, mutants
from kernel_lib.errors.recipes import Mutant, Recipe
from kernel_lib.errors.runner import MutantRunner
from kernel_lib.errors.units import mutable_layers
from kernel_lib.errors.votes import Votes, votes
from kernel_lib.models import Classifier
from kernel_lib.network import restored_weights


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(8).random((40, 8, 8, 1), np.float32)


@pytest.fixture(scope="module", params=[plain_network, residual_network], ids=["plain", "residual"])
def compiled(request, images):
    """A network that predicts all its classes, so that no test passes for want of change."""
    made = centred(request.param(), images)
    assert len(np.unique(made.predict(images))) == 3
    return made


@pytest.fixture
def classifier(compiled):
    """The same compiled functions for all tests, and the same weights at the start of each."""
    with restored_weights(compiled):
        yield compiled


def by_cloning(classifier, mutant, images):
    """The slow way: a copy of the model, changed for good."""
    copy = keras.models.clone_model(classifier.model)
    copy.set_weights(classifier.model.get_weights())
    other = Classifier(copy)
    with restored_weights(other) as snapshot:
        runner = MutantRunner(other, [mutant], snapshot)
        runner.apply(mutant)
        return other.logits(images)


@pytest.mark.parametrize("layers", ["all", "conv", ["logits"]])
def test_every_way_of_running_gives_the_clones_logits(classifier, images, layers):
    chosen = mutable_layers(classifier, layers)
    drawn = [Recipe("gf", 0.4).draw(chosen, 0, i) for i in range(2)]
    drawn += [Recipe("nai", 0.4).draw(chosen, 0, i) for i in range(2)]
    own = classifier.logits(images)
    with restored_weights(classifier) as snapshot:
        found = list(MutantRunner(classifier, drawn, snapshot, batch_size=16).run_all(images))
    seen = set()
    for indices, logits in found:
        for index, one in zip(indices, logits, strict=True):
            seen.add(index)
            expected = by_cloning(classifier, drawn[index], images)
            np.testing.assert_allclose(one, expected, atol=2e-5)
            assert np.abs(one - own).max() > 1e-3
    assert seen == set(range(4))


def test_late_dense_layers_are_stacked_over_mutants(images):
    network = plain_network()
    chosen = mutable_layers(network, ["dense1", "logits"])
    drawn = [Recipe("gf", 0.3).draw(chosen, 0, i) for i in range(10)]
    drawn += [Mutant("gf", {"logits": (1,)}, index=i) for i in range(2)]
    with restored_weights(network) as snapshot:
        runner = MutantRunner(network, drawn, snapshot)
        assert runner.stacked == list(range(12))
        stacks = list(runner.run_all(images))
        assert len(stacks) == len(set(runner.start.values())) == 2
        shared = runner.activations(images)
        for indices, logits in stacks:
            for index, one in zip(indices, logits, strict=True):
                np.testing.assert_allclose(one, runner.run_one(index, shared), atol=1e-5)


def test_from_one_mutant_to_the_next_only_the_difference_is_assigned(classifier):
    layers = {layer.name: layer for layer in mutable_layers(classifier, "all")}
    first, second = list(layers)[:2]
    drawn = [Mutant("nai", {first: (0,)}), Mutant("nai", {first: (1,), second: (0,)}),
             Mutant("nai", {second: (1,)}), Mutant("nai", {})]  # fmt: skip
    with restored_weights(classifier) as snapshot:
        runner = MutantRunner(classifier, drawn, snapshot)
        for mutant in drawn:
            runner.apply(mutant)
            for name in (first, second):
                kernel = layers[name].variables["kernel"]
                expected = snapshot.value(kernel).copy()
                expected[..., list(mutant.places.get(name, ()))] *= -1
                np.testing.assert_array_equal(np.asarray(kernel), expected)


def test_images_are_shown_in_groups_of_bounded_memory(classifier, images, monkeypatch):
    drawn = [Recipe("gf", 0.3).draw(mutable_layers(classifier, "all"), 0, i) for i in range(4)]
    whole = votes(classifier, drawn, images, batch_size=8)
    with restored_weights(classifier) as snapshot:
        runner = MutantRunner(classifier, drawn, snapshot, batch_size=8)
        assert len(list(runner.groups(images))) == 1
        shared = runner.activations(images)
        floats = sum(np.asarray(value).size for value in shared.values()) // len(images)
        for batches, expected in ((2, 3), (1, 5), (0, 5)):
            monkeypatch.setattr("kernel_lib.errors.runner.KEPT_FLOATS", batches * 8 * floats)
            assert len(list(runner.groups(images))) == expected
    parts = votes(classifier, drawn, images, batch_size=8)
    np.testing.assert_array_equal(parts.predictions, whole.predictions)
    np.testing.assert_allclose(parts.doubt, whole.doubt, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batch_size_and_order_do_not_matter(classifier, images, batch_size):
    drawn = [Recipe("gf", 0.3).draw(mutable_layers(classifier, "all"), 0, i) for i in range(6)]
    whole = votes(classifier, drawn, images, batch_size=40)
    parts = votes(classifier, drawn[::-1], images, batch_size=batch_size)
    np.testing.assert_array_equal(parts.predictions[::-1], whole.predictions)
    np.testing.assert_allclose(parts.doubt[::-1], whole.doubt, atol=1e-5)
    assert 0 < whole.rate.mean() < 1


def test_a_vote_table_has_known_rates():
    predictions = np.array([[0, 1, 2], [0, 2, 2], [1, 2, 2], [0, 2, 2]])
    table = Votes(np.array([0, 1, 2]), predictions, np.zeros((4, 3), np.float32))
    np.testing.assert_array_equal(table.rate, [0.25, 0.75, 0])
    np.testing.assert_array_equal(table.select([2, 0, 3, 1]).rate, table.rate)
    joined = Votes.joined([table.select([0]), table.select([1, 2, 3])])
    np.testing.assert_array_equal(joined.predictions, predictions)


def test_a_mutant_that_touches_nothing_changes_nothing(classifier, images):
    assert label_change_rate(classifier, images, [Mutant("nai", {})] * 3).tolist() == [0] * 40


def test_a_filter_that_nobody_listens_to_changes_no_label(images):
    network = centred(plain_network(), images)
    layer = network.model.get_layer("dense1")
    kernel = np.asarray(layer.kernel).copy()
    # conv2 has 2x2 positions of 6 channels; silence what comes from channel 3.
    kernel.reshape(4, 6, 8)[:, 3] = 0
    layer.kernel.assign(kernel)
    centred(network, images)
    silent = [Mutant("nai", {"conv2": (3,)}), Mutant("gf", {"conv2": (3,)})]
    assert label_change_rate(network, images, silent).max() == 0
    assert label_change_rate(network, images, [Mutant("gf", {"conv2": (2,)})]).max() > 0


def test_swapping_twins_changes_no_label(images):
    network = centred(plain_network(), images)
    layer = network.model.get_layer("conv2")
    for variable in layer.weights:
        value = np.asarray(variable).copy()
        value[..., 4] = value[..., 1]
        variable.assign(value)
    centred(network, images)
    twins, others = Mutant("ns", {"conv2": (1, 4)}), Mutant("ns", {"conv2": (1, 2)})
    assert label_change_rate(network, images, [twins]).max() == 0
    assert label_change_rate(network, images, [others]).max() > 0


def test_the_soft_rate_is_the_mean_probability_of_other_classes(classifier, images):
    drawn = [Recipe("gf", 0.3).draw(mutable_layers(classifier), 0, i) for i in range(2)]
    own = classifier.predict(images)
    kept = [softmax(by_cloning(classifier, m, images))[np.arange(40), own] for m in drawn]
    found = label_change_rate(classifier, images, drawn, method="soft")
    np.testing.assert_allclose(found, 1 - np.mean(kept, axis=0), atol=1e-5)


def softmax(logits):
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


# --- acceptance ----------------------------------------------------------------------------------


def test_accepted_mutants_keep_their_accuracy(classifier, images):
    labels = classifier.predict(images)
    found = mutants(
        classifier, images, labels, operator="gf", gamma=0.15, num_mutants=6, accept_ratio=0.7
    )
    assert len(found) == 6
    assert found.original_accuracy == 1
    assert found.num_attempts > 6
    for mutant, accuracy in zip(found, found.accuracy, strict=True):
        again = (by_cloning(classifier, mutant, images).argmax(axis=1) == labels).mean()
        assert accuracy == pytest.approx(again)
        assert accuracy > 0.7
    np.testing.assert_array_equal(found.votes.rate, label_change_rate(classifier, images, found))


def test_the_same_seed_gives_the_same_mutants_and_a_longer_set_begins_with_the_shorter(
    classifier, images
):
    labels = classifier.predict(images)
    few = mutants(classifier, images, labels, gamma=0.2, num_mutants=3, accept_ratio=0.3, seed=4)
    more = mutants(
        classifier, images, labels, gamma=0.2, num_mutants=5, accept_ratio=0.3, seed=4, batch_size=3
    )
    other = mutants(classifier, images, labels, gamma=0.2, num_mutants=3, accept_ratio=0.3, seed=5)
    assert more.mutants[:3] == few.mutants
    assert other.mutants != few.mutants


def test_a_gamma_that_spoils_every_mutant_ends_with_a_clear_line(classifier, images):
    labels = classifier.predict(images)
    with pytest.raises(ValueError, match=r"of 12 mutants keep more than 0.999.*smaller gamma"):
        mutants(
            classifier, images, labels, operator="gf", gamma=0.9, num_mutants=4, max_attempts=12,
            accept_ratio=0.999,
        )  # fmt: skip


def test_a_network_that_always_says_the_same_is_named(images):
    network = plain_network()
    network.model.get_layer("logits").bias.assign([100, 0, 0])
    with pytest.raises(ValueError, match=r"predicts one class, '0', for all 40 .* vacuous"):
        mutants(network, images, np.zeros(40, int), gamma=0.2)


def test_labels_must_fit(classifier, images):
    with pytest.raises(ValueError, match="one label for each of the 40 images"):
        mutants(classifier, images, np.zeros(3, int))


def test_no_mutants_are_named(classifier, images):
    with pytest.raises(ValueError, match="no mutants to ask"):
        label_change_rate(classifier, images, [])


def test_the_sequential_method_asks_for_its_settings(classifier, images):
    with pytest.raises(ValueError, match="needs its settings"):
        label_change_rate(classifier, images, [Mutant("nai", {})], method="sequential")


# --- nothing is left behind ----------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_weights_are_put_back_bit_for_bit(classifier, images, monkeypatch, error):
    before, own = classifier.digest, classifier.logits(images)
    drawn = [Recipe("gf", 0.3).draw(mutable_layers(classifier), 0, i) for i in range(3)]
    if error is None:
        votes(classifier, drawn, images)
    else:
        with restored_weights(classifier) as snapshot:
            runner = MutantRunner(classifier, drawn, snapshot)
            runner.apply(drawn[0])
            assert classifier.digest != before
        apply = MutantRunner.apply

        def stop(self, mutant):
            apply(self, mutant)
            if mutant == drawn[1]:
                raise error

        monkeypatch.setattr(MutantRunner, "apply", stop)
        with pytest.raises(error):
            votes(classifier, drawn, images)
    assert classifier.digest == before
    np.testing.assert_array_equal(classifier.logits(images), own)


def test_an_interrupted_run_goes_on_from_the_votes_it_has(
    classifier, images, monkeypatch, tmp_path
):
    drawn = [Recipe("gf", 0.3).draw(mutable_layers(classifier, "conv"), 0, i) for i in range(50)]
    asked = []
    run_one = MutantRunner.run_one

    def counted(self, index, shared):
        asked.append(self.mutants[index].index)
        if len(asked) == 31:
            raise KeyboardInterrupt
        return run_one(self, index, shared)

    monkeypatch.setattr(MutantRunner, "run_one", counted)
    with pytest.raises(KeyboardInterrupt):
        votes(classifier, drawn, images, cache=tmp_path)
    first = votes(classifier, drawn, images, cache=tmp_path)
    assert asked[31:] == list(range(20, 50))  # the first twenty were kept
    again = votes(classifier, drawn, images, cache=tmp_path)
    assert len(asked) == 31 + 30
    np.testing.assert_array_equal(first.predictions, again.predictions)
    np.testing.assert_array_equal(first.predictions, votes(classifier, drawn, images).predictions)


def test_votes_are_not_taken_from_other_weights(classifier, images, tmp_path):
    drawn = [Recipe("gf", 0.3).draw(mutable_layers(classifier), 0, 0)]
    votes(classifier, drawn, images, cache=tmp_path)
    bias = classifier.model.layers[-1].bias
    bias.assign(np.asarray(bias) + [5, 0, 0])
    changed = votes(classifier, drawn, images, cache=tmp_path)
    np.testing.assert_array_equal(changed.predictions, votes(classifier, drawn, images).predictions)


def test_logits_that_are_not_finite_are_named(images):
    network = plain_network()
    network.model.get_layer("logits").bias.assign([np.inf, 0, 0])
    with pytest.raises(ValueError, match="not finite"):
        label_change_rate(network, images, [Mutant("nai", {"conv1": (0,)})])
