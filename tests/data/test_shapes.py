"""Generated shapes: an oracle that looks only at pixels must read the labels back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from skimage.draw import polygon

from kernel_lib.data._shape_labels import TASKS
from kernel_lib.data._shape_scenes import SCENE, cover
from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.shapes import shapes

PALETTE = np.array(
    [
        (148, 0, 211),
        (75, 0, 130),
        (0, 0, 255),
        (0, 255, 0),
        (255, 255, 0),
        (255, 127, 0),
        (255, 0, 0),
    ]
)
# Lowest and highest k * radius² for the sizes of each shape, area = k * radius².
AREA_FACTORS = (np.pi, 2.0, 1.2990, 2.3776, 2.5981)
RADII = (
    ((16, 25), (32, 40), (45, 58)),
    ((16, 32), (40, 48), (56, 72)),
    ((20, 38), (50, 60), (70, 88)),
    ((14, 28), (36, 44), (52, 68)),
    ((14, 28), (35, 44), (49, 64)),
)


@pytest.fixture(scope="module")
def full_size() -> ImageSet:
    return shapes(size=256, num_images=210, seed=1)


@pytest.fixture(scope="module")
def factorial() -> ImageSet:
    return shapes(size=24, repetitions=5)


def pixels(images: ImageSet) -> np.ndarray:
    return np.rint(images.images * 255).astype(int)


def oracle(images: ImageSet) -> dict[str, np.ndarray]:
    """Read the labels off the pixels, by rules and without the masks."""
    flat = pixels(images).reshape(len(images), -1, 3)
    on_object = (flat[:, :, None] == PALETTE).all(-1)  # (num_images, pixels, colours)
    foreground = on_object.any(-1)
    side = images.image_shape[0]
    rows, columns = np.divmod(np.arange(side * side), side)
    middle = (side - 1) / 2
    area = foreground.sum(1) * (256 / side) ** 2
    right = (foreground * columns).sum(1) / foreground.sum(1) > middle
    top = (foreground * rows).sum(1) / foreground.sum(1) < middle
    corner = flat[:, 0]
    return {
        "color": on_object.sum(1).argmax(1),
        "size": np.digitize(area, [2600, 5700]),
        "quadrant": np.select([right & top, ~right & top, ~right & ~top], [0, 1, 2], 3),
        "background": np.select([(corner == 255).all(1), (corner == 0).all(1)], [0, 1], 2),
    }


@pytest.mark.parametrize(
    "images",
    [
        shapes(size=256, num_images=60),
        shapes(size=64, num_images=1260, seed=2),
        shapes(size=64, num_images=1260, placement="legacy", padding=39),
        shapes(size=100, num_images=500, padding=10),
    ],
    ids=["256", "64", "legacy", "100"],
)
def test_the_oracle_reads_four_tasks_without_an_error(images: ImageSet) -> None:
    for task, read in oracle(images).items():
        np.testing.assert_array_equal(read, images.tasks[task], err_msg=task)


def test_every_class_and_pair_is_exactly_balanced_in_every_split(factorial: ImageSet) -> None:
    assert len(factorial) == 6300
    assert [len(members) for members in factorial.splits.values()] == [3780, 1260, 1260]
    assert factorial.masks.any((1, 2)).all()
    columns = [(task, len(names)) for task, names in TASKS.items()]
    for part in (factorial.train, factorial.calibration, factorial.test):
        for (first, num_first), (second, num_second) in itertools.combinations(columns, 2):
            pairs = part.tasks[first] * num_second + part.tasks[second]
            expected = len(part) // (num_first * num_second)
            assert np.bincount(pairs).tolist() == [expected] * (num_first * num_second)


@pytest.mark.parametrize(
    ("repetitions", "counts"), [(3, (1, 1, 1)), (6, (4, 1, 1)), (8, (4, 2, 2))]
)
def test_no_repetition_is_lost(repetitions: int, counts: tuple[int, ...]) -> None:
    images = shapes(size=24, repetitions=repetitions)
    assert [len(images.split(name)) // 1260 for name in images.splits] == list(counts)
    assert len(images) == 1260 * repetitions


def test_no_image_is_in_two_splits() -> None:
    # So few pixels and so many images that plain drawing repeats itself.
    images = shapes(size=24, repetitions=10)
    rows = [{image.tobytes() for image in images.split(name).images} for name in images.splits]
    for first, second in itertools.combinations(rows, 2):
        assert not first & second
    assert len(rows[0]) < len(images.train)


def test_too_many_images_for_their_size_are_refused() -> None:
    with pytest.raises(ValueError, match="Ask for fewer images or a larger `size`"):
        shapes(
            size=24,
            num_images=20_000,
            padding=39,
            imbalance={
                "shape": [1, 0, 0, 0, 0],
                "color": [1, 0, 0, 0, 0, 0, 0],
                "size": [1, 0, 0],
                "quadrant": [1, 0, 0, 0],
                "background": [1, 0, 0],
            },
        )


def test_objects_have_one_colour_and_the_area_of_their_size(full_size: ImageSet) -> None:
    for image, mask, color, shape, size in zip(
        pixels(full_size),
        full_size.masks,
        full_size.tasks["color"],
        full_size.tasks["shape"],
        full_size.tasks["size"],
        strict=True,
    ):
        assert (image[mask] == PALETTE[color]).all()
        assert (image[~mask] == image[0, 0]).all()
        lowest, highest = AREA_FACTORS[shape] * np.square(RADII[shape][size], dtype=float)
        # Filled polygons include their boundary: up to a tenth more than the ideal area.
        assert lowest * 0.98 < mask.sum() < highest * 1.1
        assert not mask[[0, -1]].any()
        assert not mask[:, [0, -1]].any()


def test_random_backgrounds_are_pale_and_differ(full_size: ImageSet) -> None:
    corners = pixels(full_size)[full_size.tasks["background"] == 2][:, 0, 0]
    assert corners.min() >= 200
    assert corners.max() <= 245
    assert len(np.unique(corners, axis=0)) > 0.9 * len(corners)


@pytest.mark.parametrize("shape", range(1, 5))
def test_polygons_agree_with_another_rasterizer(shape: int) -> None:
    sides = (0, 4, 3, 5, 6)[shape]
    for radius in (30, 61):
        scene = np.zeros(1, SCENE)
        scene["shape"], scene["radius"], scene["x"], scene["y"] = shape, radius, 120, 95
        drawn = cover(scene, 256, 1)[0].astype(bool)
        angles = 2 * np.pi * np.arange(sides) / sides
        rows, columns = polygon(95 + radius * np.cos(angles), 120 + radius * np.sin(angles))
        expected = np.zeros((256, 256), bool)
        expected[rows, columns] = True
        assert not (expected & ~drawn).any()
        assert (expected & drawn).sum() / drawn.sum() > 0.94


def test_circle_and_diamond_are_exact() -> None:
    scenes = np.zeros(2, SCENE)
    scenes["shape"], scenes["radius"], scenes["x"], scenes["y"] = (0, 1), 5, 100, 90
    circle, diamond = cover(scenes, 256, 1).astype(bool)
    rows, columns = np.mgrid[:256, :256]
    np.testing.assert_array_equal(circle, (rows - 90) ** 2 + (columns - 100) ** 2 <= 25)
    np.testing.assert_array_equal(diamond, abs(rows - 90) + abs(columns - 100) <= 5)


def test_triangles_point_down(full_size: ImageSet) -> None:
    for mask in full_size.masks[full_size.labels == 2]:
        widths = mask.sum(1)[mask.any(1)]
        assert widths[0] > 10 * widths[-1]


@pytest.mark.parametrize(("placement", "least"), [("legacy", 16), ("radius_free", 88)])
def test_centres_keep_their_distance(placement: str, least: int) -> None:
    images = shapes(size=256, num_images=300, placement=placement, primary="quadrant", padding=20)
    near = 0.0
    for mask, quadrant in zip(images.masks, images.labels, strict=True):
        # The middle of the extent across is the centre, for every shape, to within half a unit.
        columns = np.flatnonzero(mask.any(0))
        x = (columns[0] + columns[-1]) / 2
        if quadrant in (0, 3):
            x = 255 - x
        assert least - 1 <= x <= 108 + 1
        near = max(near, 108 - x)
    assert near > (60 if placement == "legacy" else 15)


def test_seed_decides_every_byte_and_size_only_the_resolution() -> None:
    first, again = (shapes(size=32, num_images=100, seed=3) for _ in range(2))
    assert first.digest == again.digest
    assert first.digest != shapes(size=32, num_images=100, seed=4).digest
    larger = shapes(size=64, num_images=100, seed=3)
    np.testing.assert_array_equal(first.labels, larger.labels)
    agreement = (larger.masks[:, ::2, ::2] & first.masks).sum() / first.masks.sum()
    assert agreement > 0.9


def test_supersampling_softens_edges_and_keeps_areas() -> None:
    hard, soft = (shapes(size=64, num_images=50, supersample=k) for k in (1, 4))
    assert len(np.unique(hard.images[0].reshape(-1, 3), axis=0)) == 2
    assert len(np.unique(soft.images[0].reshape(-1, 3), axis=0)) > 4
    np.testing.assert_allclose(soft.masks.sum((1, 2)), hard.masks.sum((1, 2)), rtol=0.2)
    exact = shapes(size=256, num_images=50).images.reshape(50, 64, 4, 64, 4, 3).mean((2, 4))
    np.testing.assert_allclose(soft.images, exact, atol=1e-6)


def test_legacy_black_marks_circles_only() -> None:
    images = shapes(size=32, num_images=300, legacy_black=True)
    black = images.tasks["background"] == 1
    corners = pixels(images)[black][:, 0, 0, 0]
    np.testing.assert_array_equal(corners, (images.labels[black] == 0).astype(int))


def test_primary_task_gives_the_labels() -> None:
    images = shapes(size=24, num_images=50, primary="background")
    assert images.class_names == ("white", "black", "random")
    np.testing.assert_array_equal(images.labels, images.tasks["background"])
    assert tuple(images.tasks) == ("shape", "color", "size", "quadrant", "background")
    assert np.ptp(np.bincount(images.labels)) <= 3


@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0])
def test_correlation_plants_a_leak_of_known_size(rho: float) -> None:
    images = shapes(size=24, num_images=6000, correlation={("color", "shape"): rho})
    color, shape = images.tasks["color"], images.tasks["shape"]
    # Copied with probability rho; drawn alike by chance in a fifth of the rest.
    expected = rho + (1 - rho) / 5
    assert np.mean(shape == color % 5) == pytest.approx(expected, abs=0.03)
    assert np.mean(images.tasks["size"] == color % 3) == pytest.approx(1 / 3, abs=0.03)


def test_correlations_follow_one_another() -> None:
    chain = {("shape", "size"): 1.0, ("size", "background"): 1.0}
    images = shapes(size=24, num_images=500, correlation=chain)
    np.testing.assert_array_equal(images.tasks["background"], images.labels % 3)


def test_imbalance_sets_the_shares_of_classes() -> None:
    images = shapes(size=24, num_images=4000, imbalance={"size": [6, 3, 1]}, primary="size")
    np.testing.assert_allclose(np.bincount(images.labels) / 4000, [0.6, 0.3, 0.1], atol=0.03)
    np.testing.assert_allclose(np.bincount(images.tasks["color"]) / 4000, 1 / 7, atol=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": 40}, "`padding` must be at most 39.*Received: padding=40"),
        ({"padding": -1}, "`padding` must be at least 0"),
        ({"size": 23}, "`size` must be at least 24"),
        ({"repetitions": 2}, "`repetitions` must be at least 3"),
        ({"num_images": 4}, "`num_images` must be at least 5"),
        ({"primary": "radius"}, "`primary` must be one of"),
        ({"placement": "free"}, "`placement` must be one of 'legacy', 'radius_free'"),
        ({"supersample": 16}, "`supersample` must be at most 15"),
        ({"imbalance": {"hue": [1]}}, "`imbalance` must be one of"),
        ({"imbalance": {"size": [1, 2]}}, "one number for each of the 3 classes"),
        ({"imbalance": {"size": [0, 0, 0]}}, "not all 0"),
        ({"imbalance": {"size": [1, 1, -1]}}, "at least 0"),
        ({"correlation": {("color", "shape"): 1.5}}, r"must lie in \[0, 1\]"),
        ({"correlation": {("color", "color"): 0.5}}, "two different tasks"),
        ({"correlation": {"color": 0.5}}, "two different tasks"),
        ({"correlation": {("color", "hue"): 0.5}}, "`correlation` must be one of"),
        (
            {"correlation": {("color", "shape"): 0.5, ("size", "color"): 0.5}},
            "'color' comes too late",
        ),
        (
            {"correlation": {("color", "shape"): 0.5, ("size", "shape"): 0.5}},
            "'shape' comes too late",
        ),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shapes(**options)
