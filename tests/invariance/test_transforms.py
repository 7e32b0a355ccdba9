"""Transformations do what they say, exactly where that can be exact."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.invariance.grids import Grid, even_grid, ratio_grid
from kernel_lib.invariance.transforms import (
    CLEAN,
    PAPER,
    Rules,
    Stepper,
    as_transform,
    background,
    inscribed_circle,
    transforms,
)
from kernel_lib.invariance.warp import translation_matrix, warp_of

EXACT = Rules(fill=0.0, mask=False, resampling="bilinear")


@pytest.fixture(scope="module")
def colour() -> np.ndarray:
    return np.random.default_rng(1).random((5, 16, 16, 3), np.float32)


def steps_of(images, name, values=None, rules=EXACT, **options):
    stepper = Stepper(as_transform(name, values, **options), rules, images)
    return dict(stepper.steps(images)), stepper.grid


@pytest.mark.parametrize("name", transforms())
def test_the_identity_returns_the_images_bit_for_bit(colour, name):
    moved, grid = steps_of(colour, name)
    assert np.array_equal(moved[grid.identity_index], colour)


@pytest.mark.parametrize("name", transforms())
def test_steps_do_not_depend_on_batches_or_order(colour, name):
    options = {"values": [0.0, 0.2, 0.4]} if name in ("noise", "occlusion") else {}
    whole, grid = steps_of(colour, name, **options)
    stepper = Stepper(as_transform(name, options.get("values")), EXACT, colour)
    last = len(grid) - 1
    for index in (3, 0):
        alone = dict(stepper.steps(colour[index : index + 1]))[last]
        np.testing.assert_array_equal(alone[0], whole[last][index])


@pytest.mark.parametrize("name", transforms())
def test_every_transformation_changes_images_and_keeps_their_range(colour, name):
    moved, grid = steps_of(colour, name)
    last = moved[len(grid) - 1]
    assert not np.array_equal(last, colour)
    assert last.min() >= 0
    assert last.max() <= 1
    assert last.dtype == np.float32


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (-90, -1)])
def test_quarter_turns_are_exact_and_counter_clockwise(colour, degrees, turns):
    moved, grid = steps_of(colour, "rotation", sorted({-1, 0, 1, degrees}))
    step = grid.values.index(degrees)
    assert np.array_equal(moved[step], np.rot90(colour, turns, axes=(1, 2)))


def test_whole_shifts_roll_and_fill(colour):
    moved, grid = steps_of(colour, "translation_x", [-1, 0, 2])
    expected = np.roll(colour, 2, axis=2)
    expected[:, :, :2] = 0
    assert np.array_equal(moved[grid.values.index(2)], expected)


def test_brightness_multiplies_and_clips(colour):
    moved, grid = steps_of(colour, "brightness")
    bright = grid.values.index(max(grid.values))
    np.testing.assert_array_equal(
        moved[bright], np.minimum(colour * np.float32(grid.values[bright]), 1)
    )


@pytest.mark.parametrize(("side", "flat"), [(32, [-1, 0, 1]), (28, [-2, -1, 0, 1, 2])])
def test_plateaus_of_nearest_pixels(side, flat):
    """At 32 pixels a turn by one degree moves nothing; at 28 pixels not even one by two."""
    images = np.random.default_rng(0).random((3, side, side, 1), np.float32)
    moved, grid = steps_of(images, "rotation", rules=PAPER)
    assert [grid.values[k] for k in range(31) if np.array_equal(moved[k], images)] == flat
    moved, grid = steps_of(images, "scaling", rules=PAPER)
    same = [round(grid.values[k], 2) for k in range(31) if np.array_equal(moved[k], images)]
    assert same == [0.98, 1.0, 1.02]


def test_a_disc_is_the_same_when_turned():
    disc = inscribed_circle((33, 33)).astype(np.float32)[None, ..., None] * 0.8
    moved, _ = steps_of(disc, "rotation", rules=CLEAN)
    assert max(np.abs(each - moved[15]).mean() for each in moved.values()) < 0.015


def test_smooth_resampling_blurs_the_identity_like_its_neighbours():
    """A blur at every angle but zero would draw a cross into the matrix."""
    images = np.random.default_rng(0).random((8, 24, 24, 1), np.float32)

    def sharpness(resampling):
        rules = Rules(fill="reflect", mask=False, resampling=resampling)
        moved, _ = steps_of(images, "rotation", rules=rules)
        inner = [moved[k][:, 6:18, 6:18].std() for k in (14, 15, 16)]
        return inner[1] / (inner[0] + inner[2]) * 2

    assert sharpness("bilinear") > 1.1
    assert sharpness("smooth") < 1.06


def test_the_mask_is_there_at_every_step():
    images = np.random.default_rng(0).random((4, 15, 15, 3), np.float32)
    stepper = Stepper(as_transform("rotation"), CLEAN, images)
    assert stepper.rules.mask is True
    outside = ~inscribed_circle((15, 15))
    mean = images.mean(axis=(0, 1, 2))
    for _, moved in stepper.steps(images):
        np.testing.assert_allclose(moved[:, outside], np.broadcast_to(mean, (4, outside.sum(), 3)),
                                   atol=1e-6)  # fmt: skip


def test_a_background_fills_and_needs_no_mask():
    images = np.zeros((3, 9, 9, 1), np.float32)
    images[:, 3:6, 3:6] = 1
    stepper = Stepper(as_transform("rotation"), CLEAN, images)
    assert (stepper.rules.fill, stepper.rules.mask) == (0.0, False)
    assert background(images).tolist() == [0]
    assert background(np.random.default_rng(0).random((9, 9, 9, 1))) is None


@pytest.mark.parametrize("border", ["fill", "edge", "reflect"])
def test_borders(border):
    row = np.arange(1, 5, dtype=np.float32)[:, None]  # one row of four pixels
    warp = warp_of(translation_matrix(2, 0), (1, 4), border=border)
    moved = warp.apply(row, np.array([9], np.float32)).ravel().tolist()
    assert moved == {"fill": [9, 9, 1, 2], "edge": [1, 1, 1, 2], "reflect": [3, 2, 1, 2]}[border]


def test_noise_grows_in_one_direction(colour):
    moved, _ = steps_of(colour * 0.2 + 0.4, "noise", [0, 0.01, 0.02])
    np.testing.assert_allclose(moved[2] - moved[0], 2 * (moved[1] - moved[0]), atol=1e-6)
    other, _ = steps_of(colour * 0.2 + 0.4, "noise", [0, 0.01, 0.02], seed=1)
    assert not np.array_equal(other[2], moved[2])


def test_a_small_occlusion_lies_inside_a_large_one(colour):
    moved, _ = steps_of(colour, "occlusion", [0, 0.2, 0.5])
    small, large = ((moved[k] != colour).any(-1) for k in (1, 2))
    assert small.any()
    assert (large | ~small).all()


def test_grids_know_their_identity_and_symmetry():
    assert even_grid(0.7, 1.3, 31, 1).values[15] == 1.0
    assert even_grid(-15, 15, 31, 0).is_symmetric
    assert ratio_grid(2.0, 31).is_symmetric
    assert not even_grid(0, 2, 21, 0).is_symmetric
    assert not Grid((-1, 0, 3), 0).is_symmetric
    assert even_grid(-15, 15, 31, 0, "degrees").label(0) == "−15°"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2, 3], "must hold its identity step"),
        ([0, 1], "at least 3 steps"),
        ([0, 2, 1], "grow from step to step"),
        ([0, 1, float("nan")], "must lie in"),
    ],
)
def test_grids_that_make_no_sense_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        as_transform("rotation", values)


def test_functions_of_ones_own(colour):
    def negative(images, value):
        return np.abs(value - images)

    moved, _ = steps_of(colour, negative, [0, 0.5, 1])
    np.testing.assert_allclose(moved[2], 1 - colour, atol=1e-6)
    with pytest.raises(ValueError, match="needs `values`"):
        as_transform(negative)
    with pytest.raises(ValueError, match="keep the shape"):
        steps_of(colour, lambda images, value: images[:, :-1], [0, 1, 2])
    with pytest.raises(ValueError, match=r"keep pixels in \[0, 1\]"):
        steps_of(colour, lambda images, value: images + value, [0, 1, 2])


def test_bad_names_and_rules():
    with pytest.raises(ValueError, match="Did you mean 'rotation'"):
        as_transform("rotatoin")
    with pytest.raises(TypeError, match="`transform` must be"):
        as_transform(3)
    with pytest.raises(ValueError, match="`resampling` must be one of"):
        Rules(resampling="cubic")
    with pytest.raises(ValueError, match="`fill` must lie"):
        Rules(fill=2.0)
    with pytest.raises(ValueError, match="needs colour images"):
        steps_of(np.zeros((2, 4, 4, 1), np.float32), "saturation")
