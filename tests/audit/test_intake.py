"""The intake against networks whose scale, order and accuracy are known by hand."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

import kernel_lib as kl
from brightness import NAMES, brightness_images, brightness_network
from kernel_lib.audit import conclude
from kernel_lib.audit.examine import intake
from kernel_lib.audit.guards import guarded
from kernel_lib.audit.standing import standing_of
from kernel_lib.report.result import AuditResult, Verdict

PASS = Verdict("pass", "All is well.", "It is.", "Nothing.", "Go on.")
FAIL = dataclasses.replace(PASS, status="fail")


def classifier(**options):
    network = {k: options.pop(k) for k in ("scale", "offset", "channels", "order") if k in options}
    return kl.models.Classifier(brightness_network(**network), **options)


def named(found, name):
    return [each for each in found.findings if each.name == name]


def test_a_network_that_is_fed_rightly_has_nothing_to_be_found():
    found = intake(classifier(preprocessing="unit"), brightness_images())
    assert found.standing.accuracy == 1
    assert found.standing.chance == pytest.approx(0.25)
    assert not found.stops
    assert guarded(PASS, found) == PASS


@pytest.mark.parametrize(
    ("scale", "offset", "name"), [(255.0, 0.0, "bytes"), (2.0, -1.0, "symmetric")]
)
def test_a_scale_that_nothing_tells_is_measured_and_used(scale, offset, name):
    asked = classifier(scale=scale, offset=offset)
    assert asked.preprocessing_source == "assumed"
    images = brightness_images(400)
    assert asked.preprocessing.name == "unit"
    assert asked.accuracy(images.images, images.labels) < 0.6
    found = intake(asked, images)
    assert found.classifier.preprocessing.name == name
    assert found.feeding["source"] == "measured"
    assert found.standing.accuracy == 1
    assert not found.stops
    (finding,) = named(found, "scale")
    assert finding.severity == "caution"
    assert f"preprocessing={name!r}" in finding.cure
    assert asked.preprocessing.name == "unit"  # the caller's own is left alone


def test_a_scale_that_was_said_is_not_overruled_but_stops_the_verdict():
    images = brightness_images(400)
    asked = classifier(scale=255.0, preprocessing="unit")
    found = intake(asked, images)
    assert found.classifier is asked
    (finding,) = named(found, "scale")
    assert finding.severity == "stop"
    assert guarded(PASS, found).status == "undetermined"
    cured = classifier(scale=255.0, preprocessing="bytes")  # the cure, followed
    assert not intake(cured, images).stops


def test_color_networks_of_the_other_two_scales():
    images = brightness_images(400, channels=3)
    model = brightness_network(255.0, -116.0, channels=3)
    asked = kl.models.Classifier(model)
    assert asked.preprocessing_source == "assumed"
    found = intake(asked, images)
    assert found.classifier.preprocessing.name == "imagenet_caffe"


def test_too_few_images_decide_nothing_about_the_scale():
    found = intake(classifier(scale=255.0, preprocessing="unit"), brightness_images(12))
    assert not [each for each in found.findings if each.name == "scale"]
    assert [each.name for each in found.stops] == ["guessing"]


@pytest.mark.parametrize("order", [(2, 0, 3, 1), (1, 0, 2, 3)])
def test_classes_in_another_order_stop_the_verdict_and_the_cure_works(order):
    images = brightness_images(400)
    found = intake(classifier(order=order, preprocessing="unit"), images)
    (finding,) = found.stops
    assert finding.name == "class_order"
    in_order = [NAMES[k] for k in order]
    assert f"class_names={in_order!r}" in finding.cure
    verdict = guarded(PASS, found)
    assert verdict.status == "undetermined"
    assert str(in_order) in verdict.next_step


def test_an_off_by_one_is_called_so():
    found = intake(classifier(order=(1, 2, 3, 0), preprocessing="unit"), brightness_images(100))
    assert "off-by-one" in found.stops[0].text


def test_a_network_that_says_one_class_only_is_guessing_however_common_the_class():
    predicted = np.zeros(200, int)
    labels = np.array([0] * 190 + [1] * 10)
    standing = standing_of(predicted, labels, 2)
    assert standing.accuracy == 0.95
    assert standing.chance == pytest.approx(0.95)
    assert standing.is_guessing


def test_guessing_at_random_is_rarely_taken_for_knowing():
    random = np.random.default_rng(0)
    knows = 0
    for _ in range(1000):
        labels, predicted = random.integers(0, 5, (2, 60))
        knows += not standing_of(predicted, labels, 5).is_guessing
    assert knows / 1000 < 0.05


def test_a_leak_that_is_shown_stands_although_the_network_guesses():
    images = brightness_images(200)
    blind = kl.models.Classifier(
        brightness_network(), preprocessing=keras.layers.Rescaling(0.0, 0.5)
    )
    found = intake(blind, images)
    assert {each.name for each in found.stops} == {"scale"} or found.stops
    guess = dataclasses.replace(
        found, findings=tuple(each for each in found.findings if each.name != "scale")
    )
    guess = dataclasses.replace(guess, findings=(*guess.findings, *_guessing(found)))
    assert guarded(FAIL, guess).status == "undetermined"
    assert guarded(FAIL, guess, stands=("fail",)).status == "fail"
    assert guarded(PASS, guess, stands=("fail",)).status == "undetermined"
    assert "guessing" in guarded(FAIL, guess, stands=("fail",)).does_not_mean


def _guessing(found):
    from kernel_lib.audit.examine import _guessing as finding

    return (finding(found.standing),)


def test_copies_of_training_images_are_not_judged():
    images = brightness_images(200, noise=0.4)
    pixels = images.images.copy()
    copied, original = images.splits["test"][:12], images.splits["train"][:12]
    pixels[copied] = pixels[original]
    labels = images.labels.copy()
    labels[copied] = labels[original]
    images = dataclasses.replace(images, images=pixels, labels=labels)
    found = intake(classifier(preprocessing="unit"), images)
    assert named(found, "leaked_images")[0].severity == "caution"
    assert not set(copied) & set(found.image_set.splits["test"])
    assert found.images["exact_copies_across_splits"] == 12
    assert found.standing.num_images == len(images.splits["test"]) - 12


def test_a_test_split_of_copies_alone_stops_the_verdict():
    images = brightness_images(100, noise=0.4)
    pixels, labels = images.images.copy(), images.labels.copy()
    test = images.splits["test"]
    pixels[test] = pixels[images.splits["train"][: len(test)]]
    labels[test] = labels[images.splits["train"][: len(test)]]
    found = intake(
        classifier(preprocessing="unit"),
        dataclasses.replace(images, images=pixels, labels=labels),
    )
    assert named(found, "leaked_images")[0].severity == "stop"


@pytest.mark.parametrize("batch_size", [1, 7, 200])
def test_the_batch_size_changes_nothing(batch_size):
    images, asked = brightness_images(100), classifier(preprocessing="unit")
    from kernel_lib.audit import examine

    examine._kept.clear()
    found = intake(asked, images, batch_size=batch_size).describe()
    examine._kept.clear()
    assert found == intake(asked, images).describe()


def test_bare_images_are_taken_in_without_an_accuracy():
    found = intake(classifier(preprocessing="unit"), brightness_images(40).images)
    assert found.standing is None
    assert not found.stops
    assert "no labels" in found.headline


def test_classes_that_are_absent_and_classes_that_are_never_said():
    images = brightness_images(200)
    images = images.select(images.labels != 3)
    asked = classifier(order=(0, 1, 1, 3), preprocessing="unit")
    found = intake(asked, images)
    assert "'lightest'" in named(found, "absent_classes")[0].text
    assert "'light'" in named(found, "never_said")[0].text


def test_the_words_are_readable_in_text_and_page():
    found = intake(classifier(order=(2, 0, 3, 1), preprocessing="unit"), brightness_images(400))
    assert "✖ Stop" in str(found)
    assert "class_names=" in str(found)
    html = found._repr_html_()
    assert "<section" in html and "class_names=" in html


def test_the_intake_is_on_record_in_the_result_and_survives_its_file(tmp_path):
    class Result(AuditResult):
        audit, question = "toy", "Is it?"

    found = intake(classifier(preprocessing="unit"), brightness_images())
    result = conclude(Result({"a": 1.0}, {}, {}, PASS), found)
    result.save(tmp_path)
    loaded = Result.load(tmp_path)
    assert loaded.intake == result.intake
    assert loaded.intake["standing"]["accuracy"] == 1
    assert "How the network is fed" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_names_that_would_be_html_are_escaped():
    images = dataclasses.replace(brightness_images(200), class_names=("<b>", "b", "c", "d"))
    html = intake(classifier(order=(2, 0, 3, 1), preprocessing="unit"), images)._repr_html_()
    assert "<b>'" not in html and "&lt;b&gt;" in html


def test_the_number_of_images_of_an_audit_is_not_that_of_the_intake():
    images, asked = brightness_images(400), classifier(preprocessing="unit")
    found = intake(asked, images, audit="invariance", num_images=6)
    assert found.standing == intake(asked, images).standing
    assert found.forecast["forward"] < intake(asked, images, audit="invariance").forecast["forward"]
    assert intake(asked, images, most_images=6).standing.num_images == 6
    with pytest.raises(TypeError, match="Options of an audit are taken with its name"):
        intake(asked, images, num_images=6)


def test_an_intake_in_a_list_is_one_line():
    found = intake(classifier(order=(2, 0, 3, 1), preprocessing="unit"), brightness_images(400))
    assert "\n" not in repr(found) and len(repr(found)) < 500
    assert "class_order" in repr(found)


@pytest.mark.parametrize("form", ["pair", "tf.data", "list"])
def test_images_come_in_any_form(form):
    import tensorflow as tf

    images = brightness_images(80)
    pixels, labels = images.images, images.labels
    given = {
        "pair": (pixels, labels),
        "tf.data": tf.data.Dataset.from_tensor_slices((pixels, labels)).batch(16),
        "list": list(zip(pixels, labels, strict=True)),
    }[form]
    assert intake(classifier(preprocessing="unit"), given).standing.accuracy == 1


def test_audits_take_images_in_any_form():
    images = brightness_images(120)
    pair = (images.images, images.labels)
    network = classifier(preprocessing="unit")
    result = kl.invariance.audit(
        network, pair, transform="brightness", num_images=24, taps=[], progress=False
    )
    assert result.provenance["data"]["num_images"] == 120
    with pytest.raises(TypeError, match=r"a pair \(images, labels\).*without labels"):
        kl.errors.audit(network, images.images)


def test_a_wrong_order_is_not_taken_for_a_wrong_scale():
    """At the right scale and in a wrong order a network is right on nothing: others look better."""
    images = brightness_images(400)
    asked = classifier(order=(1, 2, 3, 0))
    assert asked.preprocessing_source == "assumed"
    found = intake(asked, images)
    assert found.classifier.preprocessing.name == "unit"
    assert [each.name for each in found.stops] == ["class_order"]


def test_without_test_images_it_is_said_whose_accuracy_is_told():
    images = brightness_images(200)
    everything = {"train": np.arange(200), "calibration": [], "test": []}
    found = intake(classifier(preprocessing="unit"), dataclasses.replace(images, splits=everything))
    assert named(found, "no_test_images")


def test_every_finding_is_in_the_docs_with_its_severity():
    root = Path(kl.__file__).parents[1]
    tree = ast.parse((root / "kernel_lib" / "audit" / "examine.py").read_text(encoding="utf-8"))
    calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call)]
    made = [c.args for c in calls if isinstance(c.func, ast.Name) and c.func.id == "Finding"]
    page = (root / "docs" / "intake.md").read_text(encoding="utf-8")
    rows = {row.split("|")[1].strip(): row for row in page.splitlines() if row.startswith("| `")}
    assert {f"`{name.value}`" for name, *_ in made} == set(rows)
    for name, severity, *_ in made:
        if isinstance(severity, ast.Constant):
            assert severity.value in rows[f"`{name.value}`"].split("|")[2]


# scale and offset of a network's input, for images in [0, 1], that no named scale brings about
RARER = {
    "inverted bytes": (-255.0, 255.0),
    "standardized": (1 / 0.2, -0.8 / 0.2),
}


@pytest.mark.parametrize("how", RARER)
def test_a_rarer_scale_is_measured_too_and_its_cure_works(how):
    scale, offset = RARER[how]
    images = brightness_images(400)
    if how == "standardized":
        mean, deviation = images.images.mean(), images.images.std()
        scale, offset = float(1 / deviation), float(-mean / deviation)
    asked = classifier(scale=scale, offset=offset)
    found = intake(asked, images)
    assert found.feeding["source"] == "measured"
    assert found.standing.accuracy > 0.97
    (finding,) = named(found, "scale")
    told = finding.cure.split("preprocessing=")[1].removesuffix(".")
    cured = intake(
        classifier(scale=scale, offset=offset, preprocessing=ast.literal_eval(told)), images
    )
    assert not named(cured, "scale")
    assert cured.standing.accuracy == found.standing.accuracy


def test_blue_first_is_measured_and_its_cure_works():
    """The class is the brightness of blue; the network looks at the first channel."""
    random = np.random.default_rng(0)
    base = brightness_images(400)
    pixels = random.random((*base.images.shape[:3], 3), np.float32)
    pixels[..., 2] = base.images[..., 0]
    images = dataclasses.replace(base, images=pixels)
    grey = brightness_network()
    image = keras.Input(images.image_shape)
    model = keras.Model(image, grey(keras.layers.Lambda(lambda x: x[..., :1])(image)))
    found = intake(kl.models.Classifier(model), images)
    assert found.standing.accuracy == 1
    assert found.classifier.preprocessing.reverse_channels
    (finding,) = named(found, "scale")
    told = finding.cure.split("preprocessing=")[1].removesuffix(".")
    cured = intake(kl.models.Classifier(model, preprocessing=ast.literal_eval(told)), images)
    assert cured.standing.accuracy == 1
    assert not named(cured, "scale")


def test_images_that_stand_many_times_are_no_further_evidence():
    """A dozen images, sixty times each, are a dozen images."""
    images = brightness_images(400, noise=0.3)
    few = images.splits["test"][:12]
    others = [images.splits[name] for name in ("train", "calibration")]
    places = np.concatenate([*others, np.tile(few, 60)])
    ends = np.cumsum([len(each) for each in others])
    splits = dict(
        zip(("train", "calibration", "test"), np.split(np.arange(len(places)), ends), strict=True)
    )
    repeated = dataclasses.replace(
        images, images=images.images[places], labels=images.labels[places], splits=splits
    )
    found = intake(classifier(preprocessing="unit"), repeated)
    assert found.standing.num_images == 12
    assert len(found.image_set.splits["test"]) == 12
    assert "708 in test" in named(found, "repeated_images")[0].text
    assert named(found, "few_images")


def test_scores_that_are_no_numbers_stop_the_verdict():
    model = brightness_network()
    model.set_weights([np.full_like(each, np.nan) for each in model.get_weights()])
    found = intake(kl.models.Classifier(model), brightness_images(200))
    assert found.stops[0].name == "not_finite"
    assert "NaN" in found.headline


def test_the_cure_of_folders_named_by_numbers_works():
    """A folder is read as text, "10" before "2"; the network has its classes in order of number."""
    numbers = [str(number) for number in range(12)]
    as_text = sorted(numbers)
    random = np.random.default_rng(0)
    labels = np.tile(np.arange(12), 50)  # positions in `as_text`
    levels = np.array([int(name) for name in as_text])[labels]
    pixels = (levels[:, None, None, None] + 0.5 + random.uniform(-0.3, 0.3, (600, 8, 8, 1))) / 12
    images = kl.data.ImageSet(pixels.astype(np.float32), labels, as_text)
    steps = np.arange(12.0)  # the largest of k * x - k**2 / 2 at x = 12 times the mean, less a half
    image = keras.Input((8, 8, 1))
    mean = keras.layers.GlobalAveragePooling2D()(image)
    model = keras.Model(image, keras.layers.Dense(12)(mean))
    model.set_weights([12 * steps[None], -(steps**2) / 2 - steps / 2])
    found = intake(kl.models.Classifier(model), images)
    assert found.stops[0].name == "class_order"
    told = ast.literal_eval(found.stops[0].cure.split("class_names=")[1].removesuffix("."))
    assert told == numbers
    for cured in (
        intake(kl.models.Classifier(model, class_names=told), images),
        intake(kl.models.Classifier(model).with_class_names(told), images),
        intake(model, images.with_classes(told)),
    ):
        assert not cured.stops
        assert cured.standing.accuracy > 0.99


def test_numbers_that_were_said_as_names_are_stored(tmp_path):
    numbers = [str(number) for number in range(4)]
    for names in (None, numbers):
        saved = classifier(class_names=names).save(tmp_path / f"{names is None}.keras")
        loaded = kl.models.load(saved)
        assert loaded.names_said is (names is not None)


def test_grey_pictures_with_three_channels_fit_a_grey_network_and_the_reverse():
    grey, color = brightness_images(120), brightness_images(120, channels=3)
    thrice = dataclasses.replace(grey, images=np.repeat(grey.images, 3, axis=-1))
    found = intake(classifier(preprocessing="unit"), thrice)
    assert found.standing.accuracy == 1
    assert "three equal channels" in named(found, "reading")[0].text
    np.testing.assert_array_equal(found.image_set.images, grey.images)
    found = intake(classifier(channels=3, preprocessing="unit"), grey)
    assert found.standing.accuracy == 1
    with pytest.raises(ValueError, match=r"channels=1: kernel_lib\.data\.load"):
        intake(classifier(preprocessing="unit"), color)


def test_splits_that_share_a_third_of_their_pictures_are_not_trusted():
    images = brightness_images(200, noise=0.4)
    pixels, labels = images.images.copy(), images.labels.copy()
    copied, original = images.splits["test"][:30], images.splits["train"][:30]
    pixels[copied], labels[copied] = pixels[original], labels[original]
    found = intake(
        classifier(preprocessing="unit"), dataclasses.replace(images, images=pixels, labels=labels)
    )
    (finding,) = named(found, "leaked_images")
    assert finding.severity == "stop" and "not drawn apart" in finding.text


def test_a_scale_that_few_images_cannot_hold_is_said_to_be_assumed():
    found = intake(classifier(), brightness_images(40))
    assert any("is assumed" in each.text for each in named(found, "scale"))
    assert not named(intake(classifier(preprocessing="unit"), brightness_images(40)), "scale")


def test_a_stop_is_said_before_an_audit_takes_its_time(capsys):
    from kernel_lib.audit.forecast import announce

    images = brightness_images(400)
    found = intake(classifier(order=(2, 0, 3, 1), preprocessing="unit"), images)
    options = {"num_images": 8, "methods": ["gradient"], "num_seeds": 1}
    for progress, told in ((True, True), (False, False)):
        announce(
            "saliency", found.classifier, images, options, progress=progress, stops=found.stops
        )
        assert ("No verdict can stand" in capsys.readouterr().err) is told
