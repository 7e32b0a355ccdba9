"""Loading: what was saved comes back, code in files is never run, every failure is one line."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from kernel_lib.models import Classifier, build, load


def small_model(*extra: keras.Layer) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Flatten(),
            *extra,
            keras.layers.Dense(3, name="logits"),
        ]
    )


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((4, 8, 8, 3), "float32")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.keras"
    small_model().save(path)
    return path


def one_line(caught) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_saved_classifier_comes_back_whole(tmp_path, images) -> None:
    saved = Classifier(
        small_model(),
        preprocessing=([2, 3, 4], -1),
        head="logits",
        class_names=["ant", "bee", "cat"],
        name="insects",
    )
    loaded = load(saved.save(tmp_path / "insects.keras"))
    np.testing.assert_array_equal(loaded.logits(images), saved.logits(images))
    assert loaded.class_names == ("ant", "bee", "cat")
    assert loaded.name == "insects"
    assert loaded.head == "logits"


def test_what_is_given_wins_over_what_was_saved(tmp_path, images) -> None:
    saved = Classifier(small_model(), preprocessing="bytes", class_names=["a", "b", "c"])
    path = saved.save(tmp_path / "model.keras")
    loaded = load(path, preprocessing="symmetric", class_names=["x", "y", "z"])
    expected = Classifier(saved.model, preprocessing="symmetric").logits(images)
    np.testing.assert_array_equal(loaded.logits(images), expected)
    assert loaded.class_names == ("x", "y", "z")


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".hdf5"])
def test_a_plain_keras_file_loads(suffix: str, tmp_path, images) -> None:
    model = small_model()
    path = tmp_path / f"plain{suffix}"
    model.save(path)
    loaded = load(str(path), preprocessing="symmetric")
    np.testing.assert_allclose(loaded.logits(images), model(images * 2 - 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("nested", [False, True])
def test_code_in_a_file_is_never_run(suffix: str, nested: bool, tmp_path) -> None:
    layer = keras.layers.Lambda(lambda x: x * 2)
    if nested:
        layer = keras.Sequential([keras.Input((192,)), layer])
    path = tmp_path / f"lambda{suffix}"
    small_model(layer).save(path)
    with pytest.raises(ValueError, match="holds Python code .* never run") as caught:
        load(path)
    one_line(caught)


def test_code_is_refused_even_where_keras_was_told_to_run_it(tmp_path) -> None:
    path = tmp_path / "lambda.keras"
    small_model(keras.layers.Lambda(lambda x: x * 2)).save(path)
    keras.config.enable_unsafe_deserialization()
    try:
        with pytest.raises(ValueError, match="never run"):
            load(path)
    finally:
        keras.src.saving.serialization_lib.SafeModeScope(None).__enter__()


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_an_unknown_class_is_named(suffix: str, tmp_path) -> None:
    class Doubling(keras.layers.Layer):
        def call(self, values):
            return values * 2

    path = tmp_path / f"own{suffix}"
    small_model(Doubling()).save(path)
    with pytest.raises(ValueError, match="needs 'Doubling', which is not known here") as caught:
        load(path)
    one_line(caught)


def test_a_registered_class_loads(tmp_path, images) -> None:
    @keras.saving.register_keras_serializable("loading_test")
    class Tripling(keras.layers.Layer):
        def call(self, values):
            return values * 3

    path = tmp_path / "own.keras"
    model = small_model(Tripling())
    model.save(path)
    np.testing.assert_allclose(load(path).logits(images), model(images), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_said(suffix: str, share: float, tmp_path) -> None:
    path = tmp_path / f"cut{suffix}"
    small_model().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="not a whole Keras model: it is cut off") as caught:
        load(path)
    one_line(caught)


def test_an_archive_with_damaged_weights_is_said(path: Path, tmp_path) -> None:
    damaged = tmp_path / "damaged.keras"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(damaged, "w") as target:
        target.writestr("config.json", source.read("config.json"))
        target.writestr("metadata.json", source.read("metadata.json"))
        target.writestr("model.weights.h5", source.read("model.weights.h5")[:-3000])
    told = "'damaged.keras' is not a whole Keras model: .*truncated file"
    with pytest.raises(ValueError, match=told) as caught:
        load(damaged)
    one_line(caught)


@pytest.mark.parametrize(
    ("name", "content"),
    [("text.keras", b"hello"), ("text.h5", b"hello"), ("empty.keras", b"")],
)
def test_what_is_no_model_is_said(name: str, content: bytes, tmp_path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"'{name}' is not a whole Keras model"):
        load(tmp_path / name)


def test_another_archive_is_no_model(tmp_path) -> None:
    path = tmp_path / "other.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")
    with pytest.raises(ValueError, match="not a whole Keras model"):
        load(path)


def test_a_saved_layer_is_no_model(path: Path) -> None:
    layer = {"module": "keras.layers", "class_name": "ReLU", "config": {}, "registered_name": None}
    with zipfile.ZipFile(path) as archive:
        weights = archive.read("model.weights.h5")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(layer))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", weights)
    with pytest.raises(ValueError, match="must hold a Keras model. Received: a ReLU"):
        load(path)


def test_weights_alone_are_pointed_to_build(tmp_path) -> None:
    path = tmp_path / "only.weights.h5"
    small_model().save_weights(path)
    with pytest.raises(ValueError, match=r"weights but no architecture. .*models.build"):
        load(path)


def test_paths_that_lead_nowhere(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no model file at .*missing.keras"):
        load(tmp_path / "missing.keras")
    with pytest.raises(ValueError, match="A model is one file .* Received the folder"):
        load(tmp_path)
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(ValueError, match="must end in .keras or .h5. Received: 'model.pt'"):
        load(tmp_path / "model.pt")


@pytest.mark.parametrize("name", ["cnn", "mobilenetv2"])
def test_the_name_of_a_network_is_pointed_to_train(name: str) -> None:
    with pytest.raises(ValueError, match=f"is the name of a network.*train\\('{name}', images\\)"):
        load(name)


def test_settings_beside_the_model_must_be_readable(path: Path) -> None:
    beside = path.with_name("model.keras.json")
    beside.write_text("{'preprocessing': ", encoding="utf-8")
    with pytest.raises(ValueError, match="'model.keras.json', are not valid JSON"):
        load(path)
    beside.write_text("[1]", encoding="utf-8")
    with pytest.raises(ValueError, match="must be a JSON object"):
        load(path)
    beside.write_text('{"preprocessing": "sideways"}', encoding="utf-8")
    with pytest.raises(ValueError, match="Received: 'sideways'"):
        load(path)
    beside.write_text('{"preprocessing": "bytes", "later": 1}', encoding="utf-8")
    assert load(path).preprocessing.name == "bytes"


def test_a_preprocessing_layer_must_be_given_again(tmp_path, images) -> None:
    layer = keras.layers.Rescaling(3.0)
    saved = Classifier(small_model(), preprocessing=layer)
    path = saved.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"pass load\(..., preprocessing=layer\)"):
        load(path)
    loaded = load(path, preprocessing=layer)
    np.testing.assert_array_equal(loaded.logits(images), saved.logits(images))


def test_a_network_of_ours_survives_the_file(tmp_path) -> None:
    saved = build("cnn5", (28, 28, 1), 10, seed=1)
    loaded = load(saved.save(tmp_path / "cnn5.keras"))
    assert loaded.digest == saved.digest
    assert loaded.preprocessing.name == "symmetric"


def test_what_is_stored_is_known_as_stored(tmp_path) -> None:
    path = Classifier(small_model(), preprocessing="bytes").save(tmp_path / "model.keras")
    for said in (None, "auto", "AUTO"):
        loaded = load(path, preprocessing=said)
        assert (loaded.preprocessing.name, loaded.preprocessing_source) == ("bytes", "stored")
        assert "'model.keras.json' beside the model says 'bytes'" in loaded.preprocessing_evidence
    said = load(path, preprocessing="tf")
    assert (said.preprocessing.name, said.preprocessing_source) == ("symmetric", "said")


def test_an_assumption_that_was_stored_stays_one(tmp_path) -> None:
    saved = Classifier(small_model())
    assert saved.preprocessing_source == "assumed"
    path = saved.save(tmp_path / "model.keras")
    for _ in range(2):
        loaded = load(path)
        assert loaded.preprocessing_source == "assumed"
        path = loaded.save(path)
    sure = load(path, preprocessing="unit").save(path)
    assert load(sure).preprocessing_source == "stored"


def test_the_stored_wins_over_what_the_network_tells(tmp_path) -> None:
    path = tmp_path / "model.keras"
    model = small_model(keras.layers.Rescaling(1 / 255))
    model.save(path)
    assert load(path).preprocessing_source == "read off the network"
    path.with_name("model.keras.json").write_text('{"preprocessing": "2,-1"}', encoding="utf-8")
    loaded = load(path)
    assert loaded.preprocessing.describe() == [[2.0], [-1.0]]
    assert loaded.preprocessing_source == "stored"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"preprocessing": 3}, "'preprocessing' must be a text such as"),
        ({"preprocessing": [1, 2, 3]}, "'preprocessing' must be a text such as"),
        ({"preprocessing": {"scale": "two"}}, "'preprocessing' must be a text such as"),
        ({"head": "softmax"}, "'head' must be one of auto"),
        ({"class_names": "ant,bee"}, "'class_names' must be a list of texts"),
        ({"class_names": [1, 2]}, "'class_names' must be a list of texts"),
        ({"input_size": -3}, "'input_size' must be a number of pixels"),
        ({"input_size": [1, 2, 3]}, "'input_size' must be a number of pixels"),
        ({"output": [1]}, "'output' must be the name or the position"),
        ({"name": 7}, "'name' must be a text"),
        ({"preprocessing": "gone.npy"}, "no preprocessing file"),
    ],
)
def test_settings_of_a_wrong_type_are_named_with_their_file(path: Path, settings, words) -> None:
    beside = path.with_name("model.keras.json")
    beside.write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ValueError, match=words) as caught:
        load(path)
    assert "'model.keras.json'" in one_line(caught)


def test_class_names_from_a_file(path: Path, tmp_path) -> None:
    (tmp_path / "names.txt").write_text("ant\n\nbee \ncat\n", encoding="utf-8")
    (tmp_path / "names.json").write_text('["ant", "bee", "cat"]', encoding="utf-8")
    for value in ("names.txt", "names.json"):
        for given in (str(tmp_path / value), [str(tmp_path / value)]):
            assert load(path, class_names=given).class_names == ("ant", "bee", "cat")
    assert load(path, class_names="ant, bee,cat").class_names == ("ant", "bee", "cat")
    assert load(path, class_names=[]).class_names == ("0", "1", "2")
    with pytest.raises(FileNotFoundError):
        load(path, class_names=str(tmp_path / "gone.txt"))


def test_the_chosen_output_comes_back(tmp_path, images) -> None:
    inputs = keras.Input((8, 8, 3))
    flat = keras.layers.Flatten()(inputs)
    model = keras.Model(inputs, [keras.layers.Dense(3)(flat), keras.layers.Dense(4)(flat)])
    saved = Classifier(model, output=1)
    loaded = load(saved.save(tmp_path / "two.keras"))
    assert loaded.num_classes == 4
    np.testing.assert_array_equal(loaded.logits(images), saved.logits(images))
    assert load(tmp_path / "two.keras", output="0").num_classes == 3
