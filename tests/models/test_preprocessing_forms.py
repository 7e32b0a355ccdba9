"""A preprocessing said in any form means the same; what is no form is met with all of them."""

from __future__ import annotations

import json
import pickle

import keras
import numpy as np
import pytest

from kernel_lib.models import Classifier, load
from kernel_lib.models.preprocessing import NAMED
from kernel_lib.models.preprocessing_forms import as_preprocessing

IMAGES = np.random.default_rng(0).random((2, 4, 5, 3)).astype("float32")


def applied(value, folder="."):
    return np.asarray(as_preprocessing(value, folder).apply(keras.ops.convert_to_tensor(IMAGES)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("unit", IMAGES),
        ("Symmetric", IMAGES * 2 - 1),
        ("tf", IMAGES * 2 - 1),
        ("2,-1", IMAGES * 2 - 1),
        (" 2 , -1 ", IMAGES * 2 - 1),
        ("2;-1", IMAGES * 2 - 1),
        ((2, -1), IMAGES * 2 - 1),
        ([[1, 2, 3], 4], IMAGES * [1, 2, 3] + 4),
        ("1,2,3;4,5,6", IMAGES * [1, 2, 3] + [4, 5, 6]),
        ("1,2,3;4", IMAGES * [1, 2, 3] + 4),
        ("1e2,-.5", IMAGES * 100 - 0.5),
        ({"scale": 2}, IMAGES * 2),
        ({"offset": [1, 2, 3]}, IMAGES + [1, 2, 3]),
        ({"scale": 255, "offset": -1, "reverse_channels": True}, IMAGES[..., ::-1] * 255 - 1),
    ],
)
def test_each_form_says_what_it_means(value, expected):
    np.testing.assert_allclose(applied(value), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["tf", "torch", "caffe"])
def test_the_modes_of_keras_have_their_own_names(mode):
    expected = keras.applications.imagenet_utils.preprocess_input(IMAGES * 255, mode=mode)
    np.testing.assert_allclose(applied(mode), expected, atol=1e-3)


@pytest.mark.parametrize(
    "value",
    ["zscore", "2", "1,2,3", "1,2;3,4,5", "a,b", "2,-1;", {}, [1], [[[1]], 2], None, 7]
    + [["a", "b"], True],
)
def test_what_is_no_form_is_told_all_of_them(value):
    with pytest.raises(ValueError, match="`preprocessing` must be 'auto', 'unit'") as caught:
        as_preprocessing(value)
    for form in ("'bytes'", "'caffe'", "'2,-1'", "'4.4,4.5,4.4;", ".json", "mean.npz", "layer"):
        assert form in str(caught.value)
    assert f"Received: {value!r}." in str(caught.value)


@pytest.mark.parametrize("value", ["0,1", "nan,0", (1, float("inf")), ([1, 0, 1], 0)])
def test_numbers_that_lose_the_image_are_refused(value):
    with pytest.raises(ValueError, match="must be finite, and the scale not zero"):
        as_preprocessing(value)


@pytest.mark.parametrize(
    "content",
    [{"scale": 2, "offset": -1}, [2, -1], "2,-1", "symmetric", {"preprocessing": [2, -1]}],
)
def test_a_json_file(content, tmp_path):
    path = tmp_path / "scale.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    np.testing.assert_allclose(applied(str(path)), IMAGES * 2 - 1, atol=1e-6)
    np.testing.assert_allclose(applied("scale.json", tmp_path), IMAGES * 2 - 1, atol=1e-6)
    np.testing.assert_allclose(applied(path), IMAGES * 2 - 1, atol=1e-6)


@pytest.mark.parametrize("top", [1.0, 255.0])
@pytest.mark.parametrize("shape", [(4, 5, 3), (1, 4, 5, 3), (3,), ()])
def test_a_mean_image_in_the_range_of_its_own(top, shape, tmp_path):
    random = np.random.default_rng(1)
    mean, std = random.uniform(0.3, 0.6, shape) * top, random.uniform(0.1, 0.4, shape) * top
    np.save(tmp_path / "mean.npy", mean)
    np.savez(tmp_path / "both.npz", mean=mean, std=std)
    only, both = applied("mean.npy", tmp_path), applied("both.npz", tmp_path)
    np.testing.assert_allclose(only, IMAGES * top - mean, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(both, (IMAGES * top - mean) / std, rtol=1e-3, atol=1e-3)


def test_files_that_hold_something_else(tmp_path):
    class Trap:
        def __reduce__(self):
            return print, ("run from a file",)

    (tmp_path / "trap.npy").write_bytes(pickle.dumps(Trap()))
    np.save(tmp_path / "objects.npy", np.array([Trap()], object), allow_pickle=True)
    np.savez(tmp_path / "other.npz", images=np.ones(3))
    np.savez(tmp_path / "flat.npz", mean=np.ones(3), std=np.zeros(3))
    np.savez(tmp_path / "apart.npz", mean=np.ones((4, 5, 3)), std=np.ones((5, 5, 3)))
    np.save(tmp_path / "text.npy", np.array(["a"]))
    np.save(tmp_path / "deep.npy", np.ones((2, 3, 4, 5)))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "flat.npz").read_bytes()[:100])
    (tmp_path / "bad.json").write_text("{'scale': ")
    (tmp_path / "loop.json").write_text('"loop.json"')
    (tmp_path / "unknown.json").write_text('"sideways"')
    for name, words in {
        "trap.npy": "nothing is unpickled",
        "objects.npy": "nothing is unpickled",
        "cut.npz": "not a whole NumPy file",
        "other.npz": r"must hold an array `mean`.*It holds: images",
        "flat.npz": "`std` in 'flat.npz' must be above zero",
        "apart.npz": "do not fit each other",
        "text.npy": "must hold finite numbers",
        "deep.npy": "the shape .height, width, channels.",
        "bad.json": "'bad.json' is not valid JSON",
        "loop.json": "names another file",
        "mean.txt": "must end in .json, .npy, .npz",
        "unknown.json": "In 'unknown.json': `preprocessing` must be 'auto'",
    }.items():
        with pytest.raises(ValueError, match=words):
            as_preprocessing({"file": name}, tmp_path)
    with pytest.raises(FileNotFoundError, match="no preprocessing file at .*gone.npy"):
        as_preprocessing("gone.npy", tmp_path)


def test_equal_ones_are_equal(tmp_path):
    np.save(tmp_path / "mean.npy", np.full((4, 5, 3), 0.5))
    np.save(tmp_path / "more.npy", np.full((4, 5, 3), 0.6))
    mean, more = (as_preprocessing(name, tmp_path) for name in ("mean.npy", "more.npy"))
    assert mean == as_preprocessing("mean.npy", tmp_path)
    assert mean != more
    assert len({mean, more, NAMED["unit"], as_preprocessing("unit")}) == 3


# --- in a classifier -----------------------------------------------------------------------------


def model(shape=(4, 5, 3)):
    return keras.Sequential(
        [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(3, name="logits")]
    )


def test_a_mean_image_is_stored_beside_the_model(tmp_path):
    np.save(tmp_path / "mean.npy", 255 * IMAGES.mean(axis=0))
    saved = Classifier(model(), preprocessing=str(tmp_path / "mean.npy"))
    assert (saved.preprocessing_source, saved.preprocessing.name) == ("said", "mean_image")
    path = saved.save(tmp_path / "model.keras")
    (tmp_path / "mean.npy").unlink()
    for loaded in (load(path), load(path.rename(tmp_path / "model.keras"))):
        np.testing.assert_array_equal(loaded.logits(IMAGES), saved.logits(IMAGES))
        assert loaded.digest == saved.digest
        assert loaded.preprocessing_source == "stored"


def test_numbers_must_fit_the_images(tmp_path):
    np.save(tmp_path / "mean.npy", np.zeros((8, 8, 3)))
    with pytest.raises(ValueError, match="of shape 8x8x3, the network takes 4x5x3"):
        Classifier(model(), preprocessing=tmp_path / "mean.npy")
    with pytest.raises(ValueError, match="of shape 3, the network takes 4x5x1"):
        Classifier(model((4, 5, 1)), preprocessing="torch")


def test_another_preprocessing_for_the_same_model():
    before = Classifier(
        model(), preprocessing="bytes", class_names=["a", "b", "c"], name="n", head="logits"
    )
    before.history.append({"accuracy": 1.0})
    digest = before.digest
    after = before.with_preprocessing("2,-1", source="measured", evidence="It is right more often.")
    direct = Classifier(before.model, preprocessing=(2.0, -1.0), head="logits")
    np.testing.assert_array_equal(after.logits(IMAGES), direct.logits(IMAGES))
    assert (after.preprocessing_source, after.preprocessing_evidence) == (
        "measured",
        "It is right more often.",
    )
    for name in ("model", "head", "class_names", "name", "num_classes", "history", "input_shape"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.history is not before.history
    expected = before.model(IMAGES * 255)
    np.testing.assert_allclose(before.logits(IMAGES), expected, rtol=1e-5, atol=1e-4)
    assert before.digest == digest != after.digest
    assert after.with_preprocessing("auto").preprocessing_source == "assumed"


def test_whole_numbers_are_rounded_and_pass_their_gradient():
    import tensorflow as tf

    whole = keras.Input((4, 5, 3), dtype="uint8")
    summed = keras.ops.mean(keras.ops.cast(whole, "float32"), axis=(1, 2))
    classifier = Classifier(
        keras.Model(whole, keras.layers.Dense(2)(summed)), preprocessing="bytes"
    )
    pixels = np.arange(256, dtype="float32").reshape(-1, 1, 1, 1) / np.float32(255)
    given = classifier.preprocessing.apply(tf.constant(pixels))
    np.testing.assert_array_equal(tf.cast(given, tf.uint8), np.arange(256).reshape(-1, 1, 1, 1))
    with tf.GradientTape() as tape:
        images = tf.constant(IMAGES)
        tape.watch(images)
        total = tf.reduce_sum(classifier.preprocessing.apply(images))
    np.testing.assert_array_equal(tape.gradient(total, images), np.full(IMAGES.shape, 255.0))


def test_a_dictionary_as_json_text():
    text = '{"scale": [1.0], "offset": [0.0], "reverse_channels": true}'
    assert as_preprocessing(text) == as_preprocessing(
        {"scale": [1.0], "offset": [0.0], "reverse_channels": True}
    )
    for wrong in ("{", "{}", '{"file": "mean.npy"}', '{"scale": "x"}'):
        with pytest.raises(ValueError, match="`preprocessing` must be"):
            as_preprocessing(wrong)
