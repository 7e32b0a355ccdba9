"""Similarities equal their references, image by image, and say when a map is dead."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats
from skimage.feature import hog
from skimage.metrics import structural_similarity

from kernel_lib.saliency import metrics, similarity
from kernel_lib.saliency.hog import hog_descriptors
from kernel_lib.saliency.maps import scaled, to_bytes, view_of
from kernel_lib.saliency.similarity import SSIM_PRESETS


@pytest.fixture
def pair():
    random = np.random.default_rng(0)
    a = random.normal(size=(8, 28, 28))
    b = a + random.normal(size=a.shape)
    a[:, :9], b[:, :7] = 0, 0  # ties, as a black background gives
    return a, b


@pytest.fixture
def foreground(pair):
    return np.random.default_rng(1).random(pair[0].shape) < 0.3


def each(function, a, b):
    return np.array([function(x, y) for x, y in zip(a, b, strict=True)])


def test_spearman_equals_scipy(pair):
    signed = each(lambda x, y: stats.spearmanr(x.ravel(), y.ravel())[0], *pair)
    absolute = each(lambda x, y: stats.spearmanr(abs(x).ravel(), abs(y).ravel())[0], *pair)
    np.testing.assert_allclose(similarity(*pair, "spearman_signed"), signed, atol=1e-12)
    np.testing.assert_allclose(similarity(*pair, "spearman_absolute"), absolute, atol=1e-12)


def test_spearman_of_the_foreground_equals_scipy_on_those_pixels(pair, foreground):
    expected = np.array(
        [stats.spearmanr(x[m], y[m])[0] for x, y, m in zip(*pair, foreground, strict=True)]
    )
    found = similarity(*pair, "spearman_signed_foreground", foreground)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_spearman_ignores_monotone_change(pair):
    a, b = pair
    np.testing.assert_allclose(
        similarity(np.exp(a), 5 * b - 3, "spearman_signed"), similarity(a, b, "spearman_signed")
    )


@pytest.mark.parametrize(
    ("preset", "scale", "settings"),
    [
        (
            "default",
            lambda x: x / abs(x).max(),
            {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
        ),
        ("repo", lambda x: (x - x.min()) / np.ptp(x), {"gaussian_weights": True, "sigma": 1.5}),
        ("paper", lambda x: x / abs(x).max(), {"win_size": 5}),
        (
            "second_moment",
            lambda x: x / np.sqrt(np.mean(x**2)),
            {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
        ),
    ],
)
def test_ssim_equals_scikit_image(pair, preset, scale, settings):
    expected = each(
        lambda x, y: structural_similarity(scale(x), scale(y), data_range=2, **settings), *pair
    )
    ssim = SSIM_PRESETS[preset]
    found = ssim.compare(ssim.prepare(pair[0]), ssim.prepare(pair[1]))
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize(("size", "cell"), [((28, 28), 4), ((50, 64), 16), ((13, 17), 4)])
def test_hog_equals_scikit_image(size, cell):
    maps = np.random.default_rng(2).normal(size=(3, *size))
    expected = [hog(one, pixels_per_cell=(cell, cell)) for one in maps]
    np.testing.assert_allclose(hog_descriptors(maps), expected, atol=1e-7)


def test_hog_similarity_is_pearson_of_descriptors(pair):
    a, b = (hog_descriptors(scaled(maps)) for maps in pair)
    expected = each(lambda x, y: np.corrcoef(x, y)[0, 1], a, b)
    np.testing.assert_allclose(similarity(*pair, "hog"), expected, atol=1e-12)


def test_hog_says_when_maps_are_too_small():
    with pytest.raises(ValueError, match="at least 12 x 12 pixels. Received: 8 x 8"):
        similarity(np.ones((1, 8, 8)), np.ones((1, 8, 8)), "hog")


@pytest.mark.parametrize("metric", metrics())
def test_a_map_is_like_itself(pair, foreground, metric):
    np.testing.assert_allclose(similarity(pair[0], pair[0], metric, foreground), 1)


@pytest.mark.parametrize("metric", metrics())
def test_a_constant_map_gives_nan_and_touches_no_other(pair, foreground, metric):
    a, b = (maps.copy() for maps in pair)
    a[2] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = similarity(a, b, metric, foreground)
    assert np.isnan(found[2])
    expected = similarity(*pair, metric, foreground)
    np.testing.assert_allclose(np.delete(found, 2), np.delete(expected, 2))


@pytest.mark.parametrize("metric", metrics())
def test_a_batch_gives_what_single_images_give(pair, foreground, metric):
    single = [
        similarity(pair[0][i : i + 1], pair[1][i : i + 1], metric, foreground[i : i + 1])[0]
        for i in range(len(pair[0]))
    ]
    np.testing.assert_allclose(similarity(*pair, metric, foreground), single, atol=1e-12)


def test_the_negative_of_a_map(pair):
    a, _ = pair
    assert similarity(a, -a, "spearman_signed") == pytest.approx(-1)
    assert similarity(a, -a, "spearman_absolute") == pytest.approx(1)
    assert similarity(a, -a, "cosine") == pytest.approx(-1)
    assert similarity(a, -a, "sign_agreement") == pytest.approx(0)


def test_random_maps_have_nothing_in_common():
    a, b = np.random.default_rng(3).normal(size=(2, 50, 20, 20))
    for metric in ("spearman_signed", "spearman_absolute", "cosine"):
        assert abs(similarity(a, b, metric).mean()) < 4 / np.sqrt(a.size)


def test_overlap_of_the_top_tenth_by_hand():
    a = np.arange(100.0).reshape(1, 10, 10)
    b = np.roll(a, 5)  # five of the ten largest stay among the ten largest
    assert similarity(a, b, "top_overlap") == pytest.approx(0.5)


def test_views_by_hand():
    maps = np.array([[[[1.0, -2.0]]]])
    assert view_of(maps, "absolute").item() == 3
    assert view_of(maps, "signed").item() == -1


def test_display_bytes_keep_zero_at_the_middle():
    maps = np.linspace(-1, 1, 25).reshape(1, 5, 5)
    assert to_bytes(maps, "signed")[0, 2, 2] == 127
    assert to_bytes(maps, "signed").min() == 0 and to_bytes(maps, "signed").max() == 254
    assert (to_bytes(np.zeros((1, 3, 3)), "absolute") == 0).all()
    assert (to_bytes(np.zeros((1, 3, 3)), "signed") == 127).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((1, 4, 4)), np.zeros((1, 4, 4)), "spearman"), "`metric` must be one of"),
        ((np.zeros((1, 4, 4)), np.zeros((1, 5, 4)), "cosine"), "the same shape"),
        ((np.zeros((1, 4, 4)),) * 2 + ("spearman_signed_foreground",), "needs `foreground`"),
        ((np.zeros((4, 4)), np.zeros((4, 4)), "cosine"), r"Maps must have shape"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        similarity(*arguments)
