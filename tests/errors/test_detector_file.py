"""A detector that was saved and loaded gives the same scores, to the last bit."""

from __future__ import annotations

import json
import warnings

import keras
import numpy as np
import pytest

from error_networks import plain_network
from kernel_lib.errors import ErrorDetector, Evidence, Reading
from kernel_lib.errors.fitted import Forest, Networks, from_arrays, to_arrays
from kernel_lib.errors.learned import HEADS, Head
from kernel_lib.errors.registry import SCORES, Options
from kernel_lib.errors.votes import Votes
from kernel_lib.models import Classifier
from kernel_lib.tasks.record_file import read_record, write_record


def some_evidence(num_images=240, seed=0):
    """All that any score may look at, of three classes."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(num_images, 3)).astype(np.float32) * 2
    base = logits.argmax(axis=1)
    predictions = np.where(random.random((20, num_images)) < 0.2, (base + 1) % 3, base)
    taps = {name: random.normal(size=(num_images, 5)).astype(np.float32) for name in ("a", "b")}
    return Evidence(
        logits,
        random.normal(size=(num_images, 7)).astype(np.float32),
        taps,
        np.zeros(num_images),
        Votes(base, predictions, random.random((20, num_images)).astype(np.float32)),
        random.dirichlet(np.ones(3), num_images),
    )


def some_wrong(evidence, seed=1):
    """Wrong more often where features and conductances are large."""
    random = np.random.default_rng(seed)
    drive = evidence.features[:, 0] + evidence.conductance["b"][:, 1] - 1
    return random.random(len(evidence)) < 1 / (1 + np.exp(-2 * drive))


@pytest.mark.parametrize("head", HEADS)
def test_heads_come_back_from_arrays_to_the_last_bit(head, tmp_path):
    random = np.random.default_rng(0)
    values = random.normal(size=(200, 6))
    wrong = values[:, 0] + random.normal(size=200) > 0.8
    fitted = Head(head, seed=3).fit(values, wrong)
    write_record(tmp_path / "head", "a head", {}, fitted.state())
    _, arrays = read_record(tmp_path / "head.npz", "a head")
    again = Head(head, seed=3).restore(arrays)
    new = random.normal(size=(500, 6)) * 3
    new[:3] = [[1e30] * 6, [-1e-30] * 6, values[0]]
    assert again.score(new).tobytes() == fitted.score(new).tobytes()
    assert len(np.unique(fitted.score(new))) > 10
    assert again.state().keys() == fitted.state().keys()  # and it can be saved again


def test_several_networks_come_back_as_their_mean():
    from sklearn.neural_network import MLPClassifier

    random = np.random.default_rng(0)
    values, wrong = random.normal(size=(80, 4)), random.random(80) < 0.5
    parts = [MLPClassifier((5, 3), max_iter=3, random_state=k) for k in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = Networks(
            values.std(axis=0), [each.fit(values, wrong.astype(int)) for each in parts]
        )
    again = from_arrays("mlp", to_arrays("mlp", fitted))
    assert again.predict_proba(values).tobytes() == fitted.predict_proba(values).tobytes()
    scaled = (values / values.std(axis=0)).astype(np.float32)
    expected = [each.predict_proba(scaled) for each in parts]
    np.testing.assert_array_equal(fitted.predict_proba(values), np.mean(expected, axis=0))


def test_a_forest_follows_its_trees_as_scikit_learn_does():
    """Ties at a threshold, and values between two floats, go where scikit-learn sends them."""
    from sklearn.ensemble import RandomForestClassifier

    random = np.random.default_rng(1)
    values = random.integers(0, 4, (300, 3)).astype(float) / 3
    forest = RandomForestClassifier(20, max_depth=6, random_state=0)
    forest.fit(values, (values.sum(axis=1) + random.random(300) > 2).astype(int))
    thresholds = np.unique(np.concatenate([tree.tree_.threshold for tree in forest.estimators_]))
    near = np.concatenate([thresholds, np.nextafter(thresholds, 2), np.nextafter(thresholds, -2)])
    asked = np.stack([random.permutation(near) for _ in range(3)], axis=1)
    for rows in (values, asked):
        ours = Forest(to_arrays("forest", forest)).predict_proba(rows)
        assert ours.tobytes() == forest.predict_proba(rows).tobytes()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("children_left", lambda a: np.where(a >= 0, 0, a)),  # a walk in circles
        ("children_right", lambda a: np.where(a >= 0, a + 10**6, a)),
        ("feature", lambda a: -np.abs(a) - 1),
        ("sizes", lambda a: a + 1),
        ("sizes", lambda a: a.astype(float)),
        ("value", lambda a: a[:, :1]),
        ("threshold", lambda a: a[:-1]),
    ],
)
def test_a_forest_that_leads_out_of_its_trees_is_refused(name, change):
    values = np.random.default_rng(0).normal(size=(80, 3))
    state = Head("forest").fit(values, values[:, 0] > 0.5).state()
    state[f"classifier/{name}"] = change(state[f"classifier/{name}"])
    with pytest.raises(ValueError, match="forest"):
        Head("forest").restore(state)


def test_a_head_that_is_no_arrays_is_refused_in_words():
    with pytest.raises(ValueError, match="cannot be written as arrays"):
        to_arrays("mlp", object())
    with pytest.raises(KeyError):
        from_arrays("lda", {})


@pytest.mark.parametrize("name", SCORES)
def test_every_score_comes_back(name):
    known, new = some_evidence(), some_evidence(100, seed=2)
    options = Options("logistic", seed=4)
    fitted = SCORES[name].make(options).fit(known, some_wrong(known))
    again = SCORES[name].make(options).restore(fitted.state())
    assert again.score(new).tobytes() == fitted.score(new).tobytes()
    assert len(np.unique(fitted.score(new))) > 3


# --- with a network ------------------------------------------------------------------------------

MUTANTS = {"num_mutants": 4, "gamma": 0.2, "accept_ratio": 0.0}


@pytest.fixture(scope="module")
def labelled():
    """Images that the network below tells apart, and labels that it does not know."""
    random = np.random.default_rng(0)
    blocks = np.kron(random.integers(0, 2, (60, 4, 4)), np.ones((1, 2, 2)))
    return blocks[..., None].astype(np.float32), random.integers(0, 3, 60)


@pytest.fixture
def plain():
    return plain_network(seed=5)


@pytest.mark.parametrize("kind", ["msp", "conductance_profile", "both"])
def test_a_detector_comes_back(kind, plain, labelled, pictures, tmp_path):
    detector = ErrorDetector(kind, mutants=MUTANTS, reading=Reading(steps=2, cache=tmp_path / "c"))
    detector.fit(plain, *labelled)
    path = detector.save(tmp_path / "detector")
    assert path.name == "detector.npz"
    assert str(tmp_path).encode() not in path.read_bytes()
    again = ErrorDetector.load(path, plain)
    assert again.score(pictures).tobytes() == detector.score(pictures).tobytes()
    assert again.threshold() == detector.threshold()
    assert again.calibration_scores.tobytes() == detector.calibration_scores.tobytes()
    assert again.save(tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_layers_may_have_other_names(plain, labelled, pictures, tmp_path):
    """As Keras gives them to a network that is built again in another program."""
    detector = ErrorDetector("both", mutants=MUTANTS, reading=Reading(["conv2"], steps=2))
    detector.fit(plain, *labelled).save(tmp_path / "d.npz")
    other = plain_network(seed=5)
    renamed = keras.models.clone_model(
        other.model,
        clone_function=lambda layer: type(layer).from_config(
            layer.get_config() | {"name": f"{layer.name}_again"}
        ),
    )
    renamed.set_weights(other.model.get_weights())
    again = ErrorDetector.load(tmp_path / "d.npz", Classifier(renamed))
    assert again.reading.layers == ["conv2_again"]
    assert again.score(pictures).tobytes() == detector.score(pictures).tobytes()


def test_a_baseline_image_travels(plain, labelled, pictures, tmp_path):
    black = np.full((8, 8, 1), 0.25, np.float32)
    detector = ErrorDetector("conductance", reading=Reading(steps=2, baseline=black))
    detector.fit(plain, *labelled).save(tmp_path / "d.npz")
    again = ErrorDetector.load(tmp_path / "d.npz", plain)
    assert again.score(pictures).tobytes() == detector.score(pictures).tobytes()


def test_another_network_is_refused(plain, residual, labelled, tmp_path):
    ErrorDetector("msp").fit(plain, *labelled).save(tmp_path / "d.npz")
    with pytest.raises(ValueError, match="was fitted on the network 'plain', and the weights"):
        ErrorDetector.load(tmp_path / "d.npz", residual)


def test_what_is_not_there_or_not_whole_is_refused(plain, labelled, tmp_path):
    with pytest.raises(ValueError, match="not fitted yet"):
        ErrorDetector("msp").save(tmp_path / "d.npz")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        ErrorDetector.load(tmp_path / "d.npz", plain)
    path = (
        ErrorDetector("conductance", reading=Reading(steps=2))
        .fit(plain, *labelled)
        .save(tmp_path / "d.npz")
    )
    about, arrays = read_record(path, "a detector of wrong predictions")
    for name in arrays:
        lacking = {key: value for key, value in arrays.items() if key != name}
        write_record(tmp_path / "l.npz", "a detector of wrong predictions", about, lacking)
        with pytest.raises(ValueError, match=r"l\.npz is no whole detector"):
            ErrorDetector.load(tmp_path / "l.npz", plain)
    for name in about:
        lacking = {key: value for key, value in about.items() if key != name}
        write_record(tmp_path / "l.npz", "a detector of wrong predictions", lacking, arrays)
        with pytest.raises(ValueError, match=r"l\.npz is no whole detector"):
            ErrorDetector.load(tmp_path / "l.npz", plain)
    write_record(tmp_path / "o.npz", "something else", {}, {})
    with pytest.raises(ValueError, match=r"o\.npz does not hold a detector"):
        ErrorDetector.load(tmp_path / "o.npz", plain)


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x93NUMPY\1\0", b"x" * 999])
def test_damaged_files_are_named(content, plain, tmp_path):
    path = tmp_path / "d.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"d\.npz is damaged, or no file that holds"):
        ErrorDetector.load(path, plain)


def test_nothing_is_unpickled(plain, tmp_path):
    about = np.frombuffer(json.dumps({}).encode(), np.uint8)
    np.savez(tmp_path / "d.npz", about=about, evil=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="is damaged, or no file that holds"):
        ErrorDetector.load(tmp_path / "d.npz", plain)
